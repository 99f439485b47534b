//! Messages on the stream: a length, a header, a payload.
//!
//! ```text
//! 0        4         8         12          16     20       24       28
//! │ length │ program │ version │ procedure │ kind │ serial │ status │ payload …
//! ```
//!
//! Source: `src/rpc/virnetprotocol.x`, and what libvirtd 12.8.0 accepts.

use crate::xdr::{DecodeError, Decoder, EncodeError, Encoder};

/// The length's own bytes.
pub const LENGTH_BYTES: usize = 4;
/// The header's own bytes.
pub const HEADER_BYTES: usize = 24;
/// The shortest message: no payload.
pub const LENGTH_MIN: usize = LENGTH_BYTES + HEADER_BYTES;
/// The longest: `VIR_NET_MESSAGE_MAX` (32 MiB), not counting the length itself.
pub const LENGTH_MAX: usize = 33_554_432 + LENGTH_BYTES;

/// `REMOTE_PROGRAM`: all calls of a connection.
pub const REMOTE: u32 = 0x2000_8086;
/// `QEMU_PROGRAM`: every daemon registers it, though only one has procedures in it.
pub const QEMU: u32 = 0x2000_8087;
/// `KEEPALIVE_PROGRAM`.
pub const KEEPALIVE: u32 = 0x6b65_6570;
/// The version of all of them.
pub const VERSION: u32 = 1;
/// `KEEPALIVE_PROC_PING`.
pub const PING: i32 = 1;
/// `KEEPALIVE_PROC_PONG`.
pub const PONG: i32 = 2;

/// The type of a message: `virNetMessageType`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A call of a client.
    Call,
    /// The reply of a daemon.
    Reply,
    /// An event or a keepalive, which gets no reply.
    Message,
    /// A call with file descriptors: their count stands before the payload.
    CallWithFds,
    /// Streams, holes, replies with descriptors: unused for secrets.
    Other(i32),
}

impl Kind {
    const fn number(self) -> i32 {
        match self {
            Self::Call => 0,
            Self::Reply => 1,
            Self::Message => 2,
            Self::CallWithFds => 4,
            Self::Other(number) => number,
        }
    }

    const fn from_number(number: i32) -> Self {
        match number {
            0 => Self::Call,
            1 => Self::Reply,
            2 => Self::Message,
            4 => Self::CallWithFds,
            other => Self::Other(other),
        }
    }
}

/// `virNetMessageStatus` of success.
pub const OK: u32 = 0;
/// `virNetMessageStatus` of a reply that carries an error.
pub const ERROR: u32 = 1;

/// The header of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    /// The set of procedures.
    pub program: u32,
    /// The version of that set.
    pub version: u32,
    /// The procedure's number.
    pub procedure: i32,
    /// Call, reply or event.
    pub kind: Kind,
    /// Ties a reply to its call: the reply repeats it.
    pub serial: u32,
    /// [`OK`] or [`ERROR`]; always [`OK`] in a call.
    pub status: u32,
}

impl Header {
    /// The header of a call.
    pub const fn call(procedure: i32, serial: u32) -> Self {
        Self { program: REMOTE, version: VERSION, procedure, kind: Kind::Call, serial, status: OK }
    }

    /// The header of an event. Daemons send the serial 1 in all of them, unlike the protocol file says.
    pub const fn event(procedure: i32) -> Self {
        Self { program: REMOTE, version: VERSION, procedure, kind: Kind::Message, serial: 1, status: OK }
    }

    /// The header of a keepalive message.
    pub const fn keepalive(procedure: i32) -> Self {
        Self { program: KEEPALIVE, version: VERSION, procedure, kind: Kind::Message, serial: 0, status: OK }
    }

    /// The header of the reply to this call.
    pub const fn reply(self, status: u32) -> Self {
        Self { kind: Kind::Reply, status, ..self }
    }

    /// Reads the header that follows a length.
    pub fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            program: from.u32()?,
            version: from.u32()?,
            procedure: from.i32()?,
            kind: Kind::from_number(from.i32()?),
            serial: from.u32()?,
            status: from.u32()?,
        })
    }
}

/// The length is not that of a message. Where the next message begins is unknown, so the stream is unusable.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0} bytes are no message: from {LENGTH_MIN} to {LENGTH_MAX} are")]
pub struct BadLength(pub u32);

/// Bytes of the whole message, including those of the length.
pub fn length(first: [u8; LENGTH_BYTES]) -> Result<usize, BadLength> {
    let word = u32::from_be_bytes(first);
    match usize::try_from(word) {
        Ok(length) if (LENGTH_MIN..=LENGTH_MAX).contains(&length) => Ok(length),
        _ => Err(BadLength(word)),
    }
}

/// A whole message: its header and the payload that `write` writes.
pub fn message(
    header: Header,
    payload_capacity: usize,
    write: impl FnOnce(&mut Encoder) -> Result<(), EncodeError>,
) -> Result<Vec<u8>, EncodeError> {
    let mut to = Encoder::with_capacity(LENGTH_MIN + payload_capacity);
    to.u32(0).u32(header.program).u32(header.version).i32(header.procedure);
    to.i32(header.kind.number()).u32(header.serial).u32(header.status);
    write(&mut to)?;
    to.patch_length()?;
    Ok(to.into_bytes())
}

/// A message with no payload.
pub fn empty(header: Header) -> Vec<u8> {
    // A header always fits.
    message(header, 0, |_| Ok(())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_the_bounds_of_libvirtd() {
        for (word, good) in [
            (0, false),
            (4, false),
            (27, false),
            (28, true),
            (33_554_433, true),
            (33_554_436, true),
            (33_554_437, false),
            (u32::MAX, false),
        ] {
            assert_eq!(length(word.to_be_bytes()).is_ok(), good, "{word}");
        }
    }

    #[test]
    fn a_header_comes_back_as_it_was_written() {
        for number in -1..9 {
            let header = Header { kind: Kind::from_number(number), ..Header::call(145, u32::MAX) };
            let bytes = empty(header);
            assert_eq!(bytes.len(), LENGTH_MIN);
            assert_eq!(length(*bytes.first_chunk().unwrap()), Ok(LENGTH_MIN));
            assert_eq!(Header::decode(&mut Decoder::new(&bytes[4..])), Ok(header));
        }
    }

    #[test]
    fn a_pong_is_what_libvirtd_sends() {
        // raw/102 of the recorded answers: prog=0x6b656570 proc=2 type=2 serial=0.
        let expect =
            [0, 0, 0, 28, 0x6b, 0x65, 0x65, 0x70, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(empty(Header::keepalive(PONG)), expect);
    }
}
