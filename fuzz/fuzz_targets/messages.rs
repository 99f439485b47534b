//! Any bytes as the arguments, the reply or the error of a procedure: refused, or the same again once written.
#![no_main]

use libvirt_rpc::error::RemoteError;
use libvirt_rpc::frame::Header;
use libvirt_rpc::messages::{
    DefineXml, EventRegister, Get, Lifecycle, ListAll, LookupByUsage, Open, Secret, SetIdentity, SetValue,
    ValueChanged,
};
use libvirt_rpc::xdr::{Decoder, Encoder};

/// What is decoded is written, and that is decoded to what would be written again. Padding and the words of optionals
/// may change on the way, so bytes are compared from the second time on.
macro_rules! there_and_back {
    ($($message:ident)+, $bytes:expr) => {
        $({
            let write = |bytes: &[u8]| {
                let message = $message::decode(&mut Decoder::new(bytes)).ok()?;
                let mut to = Encoder::default();
                message.encode(&mut to).expect("what was read fits");
                Some(to.into_bytes())
            };
            if let Some(written) = write($bytes) {
                assert_eq!(write(&written).as_ref(), Some(&written), stringify!($message));
            }
        })+
    };
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = Header::decode(&mut Decoder::new(bytes));
    there_and_back!(
        DefineXml EventRegister Get Lifecycle ListAll LookupByUsage Open RemoteError Secret SetIdentity SetValue
        ValueChanged,
        bytes
    );
});
