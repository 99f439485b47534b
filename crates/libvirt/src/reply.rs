//! Replies to calls: an answer, or the error in its place.

use libvirt_rpc::error::RemoteError;
use libvirt_rpc::frame::{self, Header};
use libvirt_rpc::xdr::{EncodeError, Encoder};

use crate::error::unencodable;
use crate::output::Frame;

/// The outcome of a call: a whole message, or an error to be sent instead.
pub(crate) type Answer = Result<Frame, RemoteError>;

/// A reply, with whatever `write` puts into it.
pub(crate) fn reply(header: Header, write: impl FnOnce(&mut Encoder) -> Result<(), EncodeError>) -> Answer {
    let message = frame::message(header.reply(frame::OK), 64, write);
    message.map(Frame::open).map_err(|_| unencodable())
}

/// A reply that says no more than that it was done.
pub(crate) fn done(header: Header) -> Answer {
    reply(header, |_| Ok(()))
}

/// A reply of one number.
pub(crate) fn number(header: Header, number: i32) -> Answer {
    reply(header, |to| {
        to.i32(number);
        Ok(())
    })
}

/// A reply of one text.
pub(crate) fn text(header: Header, text: &[u8]) -> Answer {
    reply(header, |to| to.string(text).map(drop))
}

/// A reply that is an error. If the error does not fit a message, a shorter one takes its place.
pub(crate) fn refusal(header: Header, error: &RemoteError) -> Frame {
    let header = header.reply(frame::ERROR);
    let message = frame::message(header, 256, |to| error.encode(to))
        .or_else(|_| frame::message(header, 256, |to| unencodable().encode(to)));
    Frame::open(message.unwrap_or_default())
}
