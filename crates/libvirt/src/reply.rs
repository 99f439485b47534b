//! Replies to calls.

use libvirt_rpc::error::RemoteError;
use libvirt_rpc::frame::{self, Header};
use libvirt_rpc::xdr::{EncodeError, Encoder};

use crate::error::unencodable;
use crate::output::Frame;

/// The reply to a call: a complete message, or the error that is sent instead.
pub(crate) type Reply = Result<Frame, RemoteError>;

/// A reply with the payload that `write` writes.
pub(crate) fn reply(header: Header, write: impl FnOnce(&mut Encoder) -> Result<(), EncodeError>) -> Reply {
    let message = frame::message(header.reply(frame::OK), 64, write);
    message.map(Frame::open).map_err(|_| unencodable())
}

/// A reply without a payload.
pub(crate) fn empty_reply(header: Header) -> Reply {
    reply(header, |_| Ok(()))
}

/// A reply of one number.
pub(crate) fn number_reply(header: Header, number: i32) -> Reply {
    reply(header, |to| {
        to.i32(number);
        Ok(())
    })
}

/// A reply of one text.
pub(crate) fn text_reply(header: Header, text: &[u8]) -> Reply {
    reply(header, |to| to.string(text).map(drop))
}

/// The message of an error. If the error does not fit, a shorter one takes its place.
pub(crate) fn error_reply(header: Header, error: &RemoteError) -> Frame {
    let header = header.reply(frame::ERROR);
    let message = frame::message(header, 256, |to| error.encode(to))
        .or_else(|_| frame::message(header, 256, |to| unencodable().encode(to)));
    Frame::open(message.unwrap_or_default())
}
