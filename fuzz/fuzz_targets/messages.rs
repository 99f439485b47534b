//! Any bytes as the arguments, the reply or the error of a procedure are refused, or are the same after encoding.
#![no_main]

use libvirt_rpc::error::RemoteError;
use libvirt_rpc::frame::Header;
use libvirt_rpc::messages::{
    DefineXml, EventRegister, Get, Lifecycle, ListAll, LookupByUsage, Open, Secret, SetIdentity, SetValue,
    ValueChanged,
};
use libvirt_rpc::xdr::{Decoder, Encoder};

/// Decodes and encodes the bytes twice. Padding and the words of optionals may change the first time, so the results of the
/// two times are compared.
macro_rules! check_both_ways {
    ($($message:ident)+, $bytes:expr) => {
        $({
            let write = |bytes: &[u8]| {
                let message = $message::decode(&mut Decoder::new(bytes)).ok()?;
                let mut to = Encoder::default();
                message.encode(&mut to).expect("a decoded message fits");
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
    check_both_ways!(
        DefineXml EventRegister Get Lifecycle ListAll LookupByUsage Open RemoteError Secret SetIdentity SetValue
        ValueChanged,
        bytes
    );
});
