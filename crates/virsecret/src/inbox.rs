//! The received bytes of a stream: whole messages that nobody has taken yet, and the beginning of the next one.
//!
//! ```text
//!  ├─ taken, wiped ─┼─ message ─┼─ mess… ─┼─ room ─┤
//!                 begin                  end
//! ```
//!
//! One system call receives as many messages as have come. A message is wiped in the buffer when it is taken, because it may
//! have held a value.

use libvirt_rpc::frame::{self, Header, LENGTH_BYTES, LENGTH_MIN};
use libvirt_rpc::xdr::Decoder;
use zeroize::{Zeroize, Zeroizing};

use crate::error::{ProtocolError, Result};
use crate::limits::{INBOX_BYTES, MESSAGE_BYTES_AT_ONCE};

/// A whole message, wiped after use.
pub(crate) struct Message {
    /// Its header.
    pub(crate) header: Header,
    bytes: Zeroizing<Vec<u8>>,
}

impl Message {
    fn of(bytes: Zeroizing<Vec<u8>>) -> Result<Self> {
        let header = Header::decode(&mut Decoder::new(bytes.get(LENGTH_BYTES..).unwrap_or_default()))?;
        Ok(Self { header, bytes })
    }

    /// The bytes after the header.
    pub(crate) fn payload(&self) -> &[u8] {
        self.bytes.get(LENGTH_MIN..).unwrap_or_default()
    }
}

/// See above.
#[derive(Default)]
pub(crate) struct Inbox {
    bytes: Zeroizing<Vec<u8>>,
    begin: usize,
    end: usize,
}

impl Inbox {
    /// The next message, if it is whole.
    pub(crate) fn take(&mut self) -> Result<Option<Message>> {
        let Some(length) = self.length()? else { return Ok(None) };
        if self.end - self.begin < length {
            return Ok(None);
        }
        if length > INBOX_BYTES && (self.begin, self.end) == (0, length) {
            // Long and alone: take the buffer itself, not a copy.
            let mut bytes = std::mem::take(&mut self.bytes);
            bytes.truncate(length);
            (self.begin, self.end) = (0, 0);
            return Message::of(bytes).map(Some);
        }
        let taken = self.bytes.get_mut(self.begin..self.begin + length).unwrap_or_default();
        let message = Message::of(Zeroizing::new(taken.to_vec()));
        taken.zeroize();
        self.begin += length;
        if self.begin == self.end {
            (self.begin, self.end) = (0, 0);
            if self.bytes.len() > INBOX_BYTES {
                self.bytes = Zeroizing::default();
            }
        }
        message.map(Some)
    }

    /// The room for new bytes. It is never empty.
    pub(crate) fn room(&mut self) -> Result<&mut [u8]> {
        let filled = self.end - self.begin;
        let wanted = self.length()?.unwrap_or(LENGTH_MIN);
        if self.end == self.bytes.len() {
            // The promised length if that is little, else twice the bytes that have come.
            self.move_to(INBOX_BYTES.max(wanted.min(MESSAGE_BYTES_AT_ONCE.max(filled * 2))));
        }
        // For a long message no more than its own bytes, so that its buffer can be taken whole.
        let until =
            if wanted > INBOX_BYTES { self.bytes.len().min(self.begin + wanted) } else { self.bytes.len() };
        Ok(self.bytes.get_mut(self.end..until).unwrap_or_default())
    }

    /// Says how many bytes were put into the room.
    pub(crate) fn filled(&mut self, bytes: usize) {
        self.end = (self.end + bytes).min(self.bytes.len());
    }

    /// The length of the whole message, if that has come.
    fn length(&self) -> Result<Option<usize>> {
        match self.bytes.get(self.begin..self.end).and_then(<[u8]>::first_chunk::<LENGTH_BYTES>) {
            None => Ok(None),
            Some(length) => {
                frame::length(*length).map(Some).map_err(|error| ProtocolError::from(error).into())
            }
        }
    }

    /// Moves the bytes to a new buffer. A `Vec` that grows by itself would leave a copy behind.
    fn move_to(&mut self, capacity: usize) {
        let mut other = Zeroizing::new(vec![0; capacity]);
        let waiting = self.bytes.get(self.begin..self.end).unwrap_or_default();
        if let Some(front) = other.get_mut(..waiting.len()) {
            front.copy_from_slice(waiting);
        }
        (self.begin, self.end) = (0, waiting.len());
        self.bytes = other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(payload: usize, mark: u8) -> Vec<u8> {
        let write = |to: &mut libvirt_rpc::xdr::Encoder| to.opaque(&vec![mark; payload], payload).map(drop);
        frame::message(Header::call(1, mark.into()), payload, write).unwrap()
    }

    /// Feeds a stream in pieces of this size and takes the messages.
    fn through(stream: &[u8], piece: usize) -> (Vec<Vec<u8>>, Inbox) {
        let (mut inbox, mut messages, mut rest) = (Inbox::default(), Vec::new(), stream);
        while !rest.is_empty() {
            let room = inbox.room().unwrap();
            assert!(!room.is_empty());
            let count = rest.len().min(piece).min(room.len());
            room[..count].copy_from_slice(&rest[..count]);
            inbox.filled(count);
            rest = &rest[count..];
            while let Some(message) = inbox.take().unwrap() {
                messages.push(message.bytes.to_vec());
            }
        }
        (messages, inbox)
    }

    #[test]
    fn messages_come_out_whole_from_any_pieces() {
        let sizes = [0, 8, 4_000, INBOX_BYTES, 1, MESSAGE_BYTES_AT_ONCE, 3 * MESSAGE_BYTES_AT_ONCE + 1, 12];
        let expect: Vec<_> = sizes.iter().zip(1..).map(|(size, mark)| message(*size, mark)).collect();
        for piece in [3, 27, 1_000, INBOX_BYTES - 5, usize::MAX] {
            let (messages, inbox) = through(&expect.concat(), piece);
            assert!(messages == expect, "in pieces of {piece}");
            assert!(inbox.bytes.len() <= INBOX_BYTES);
        }
    }

    #[test]
    fn a_taken_message_is_wiped() {
        let (_, inbox) = through(&[message(8, 0xAA), message(8, 0xAA)[..30].to_vec()].concat(), usize::MAX);
        let first = message(8, 0xAA).len();
        assert!(inbox.bytes[..first].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_great_length_alone_takes_little_memory() {
        let (_, mut inbox) = through(&33_554_436_u32.to_be_bytes(), 4);
        assert!(inbox.room().unwrap().len() <= MESSAGE_BYTES_AT_ONCE);
    }
}
