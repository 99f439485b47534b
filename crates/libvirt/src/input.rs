//! Cuts the bytes of a stream into messages.
//!
//! ```text
//! as they arrive:  │ end of one │ a whole one │ a whole one │ begin of an-
//! kept:                                                     └────────────── until it is whole
//! ```
//!
//! - A client that announces a long message and sends nothing gets no memory for it.
//! - A message longer than any useful one is kept up to [`FRAME_KEPT_BYTES_MAX`]; the rest is dropped as it comes.
//! - Buffers are wiped, because they may hold a value: also the old buffer when a larger one replaces it.

use libvirt_rpc::frame::{self, BadLength, LENGTH_BYTES};
use zeroize::Zeroize as _;

use crate::limits::{FRAME_KEPT_BYTES_MAX, FRAME_SMALL_BYTES_MAX};

/// Bytes that have arrived and are not handled yet. No `Debug`: they may hold a value.
#[derive(Default)]
pub(crate) struct Input {
    buffer: Vec<u8>,
    /// Where the first message begins.
    at: usize,
    /// Bytes of the first message that were dropped.
    dropped: usize,
}

impl Input {
    /// Adds bytes that have arrived.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.make_room(bytes);
        self.buffer.extend_from_slice(bytes);
        self.drop_excess();
    }

    /// Drops bytes of a long first message beyond the part that is kept.
    fn drop_excess(&mut self) {
        let Ok(Some(length)) = self.first_length() else { return };
        let excess = (self.buffer.len() - self.at).saturating_sub(FRAME_KEPT_BYTES_MAX);
        let missing = length.saturating_sub(FRAME_KEPT_BYTES_MAX + self.dropped);
        let drop = excess.min(missing);
        if drop > 0 {
            let from = self.at + FRAME_KEPT_BYTES_MAX;
            self.buffer.drain(from..from + drop);
            self.dropped += drop;
        }
    }

    /// The next whole message, without its length. It stays until [`Self::remove_first`].
    pub(crate) fn first(&self) -> Result<Option<&[u8]>, BadLength> {
        let Some(length) = self.first_length()? else { return Ok(None) };
        let kept = length.min(FRAME_KEPT_BYTES_MAX);
        if length - kept != self.dropped {
            return Ok(None);
        }
        Ok(self.buffer.get(self.at + LENGTH_BYTES..self.at + kept))
    }

    /// Removes the first message, which was handled.
    pub(crate) fn remove_first(&mut self) {
        if let Ok(Some(length)) = self.first_length() {
            let end = (self.at + length.min(FRAME_KEPT_BYTES_MAX)).min(self.buffer.len());
            self.buffer.get_mut(self.at..end).unwrap_or_default().zeroize();
            self.at = end;
            self.dropped = 0;
            self.drop_excess(); // The next message is the first now.
        }
        if self.at == self.buffer.len() {
            self.buffer.zeroize(); // This wipes the unused capacity, too.
            self.buffer = Vec::new(); // An idle connection keeps nothing.
            self.at = 0;
        }
    }

    /// Whether no bytes wait.
    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Memory beyond that of a small message, once so many more bytes have come.
    pub(crate) fn large_bytes_after(&self, bytes: usize) -> usize {
        let announced = self.first_length().ok().flatten().unwrap_or(0);
        self.capacity_after(bytes, announced).saturating_sub(FRAME_SMALL_BYTES_MAX)
    }

    /// Memory beyond that of a small message.
    pub(crate) fn large_bytes(&self) -> usize {
        self.buffer.capacity().saturating_sub(FRAME_SMALL_BYTES_MAX)
    }

    fn first_length(&self) -> Result<Option<usize>, BadLength> {
        let head = self.buffer.get(self.at..).and_then(|rest| rest.first_chunk::<LENGTH_BYTES>());
        head.map(|head| frame::length(*head)).transpose()
    }

    /// The capacity of the buffer once so many bytes are added.
    fn capacity_after(&self, bytes: usize, announced: usize) -> usize {
        if self.buffer.len() + bytes <= self.buffer.capacity() {
            return self.buffer.capacity();
        }
        let needed = self.buffer.len() - self.at + bytes;
        if announced <= FRAME_SMALL_BYTES_MAX {
            needed.max(announced)
        } else {
            (needed * 2).min(needed.max(FRAME_KEPT_BYTES_MAX + bytes))
        }
    }

    fn make_room(&mut self, bytes: &[u8]) {
        if self.buffer.len() + bytes.len() <= self.buffer.capacity() {
            return;
        }
        let have = self.buffer.len() - self.at;
        let head = if have == 0 { bytes } else { self.buffer.get(self.at..).unwrap_or_default() };
        let announced = head.first_chunk().and_then(|head| frame::length(*head).ok()).unwrap_or(0);
        let mut larger = Vec::with_capacity(self.capacity_after(bytes.len(), announced));
        larger.extend_from_slice(self.buffer.get(self.at..).unwrap_or_default());
        self.buffer.zeroize();
        self.buffer = larger;
        self.at = 0;
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.buffer.zeroize();
    }
}

/// A message without its length, and the bytes after it.
type Split<'a> = (&'a [u8], &'a [u8]);

/// The whole message at the front of some bytes, and the bytes after it.
pub(crate) fn split_message(bytes: &[u8]) -> Result<Option<Split<'_>>, BadLength> {
    let Some(head) = bytes.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = frame::length(*head)?;
    Ok(bytes
        .split_at_checked(length)
        .map(|(message, rest)| (message.get(LENGTH_BYTES..).unwrap_or_default(), rest)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(length: usize, fill: u8) -> Vec<u8> {
        let mut bytes = u32::try_from(length).unwrap().to_be_bytes().to_vec();
        bytes.resize(length, fill);
        bytes
    }

    /// The messages of a stream that arrives in pieces: length and last byte of each.
    fn messages_in_pieces(stream: &[u8], piece: usize) -> Vec<(usize, u8)> {
        let mut input = Input::default();
        let mut found = Vec::new();
        for piece in stream.chunks(piece) {
            input.push(piece);
            while let Some(message) = input.first().unwrap() {
                found.push((message.len() + 4, *message.last().unwrap()));
                input.remove_first();
            }
        }
        assert!(input.is_empty());
        found
    }

    #[test]
    fn messages_come_out_complete_in_pieces_of_any_size() {
        let stream = [message(28, 1), message(5000, 2), message(29, 3)].concat();
        for piece in [1, 3, 28, 4096, 10_000] {
            assert_eq!(messages_in_pieces(&stream, piece), [(28, 1), (5000, 2), (29, 3)], "{piece}");
        }
    }

    #[test]
    fn the_end_of_an_overlong_message_is_dropped_and_the_next_message_is_found() {
        let long = FRAME_KEPT_BYTES_MAX + 100_000;
        let stream = [message(28, 1), message(long, 2), message(28, 3)].concat();
        for piece in [16_384, 1 << 20, stream.len()] {
            assert_eq!(
                messages_in_pieces(&stream, piece),
                [(28, 1), (FRAME_KEPT_BYTES_MAX, 2), (28, 3)],
                "{piece}"
            );
        }
    }

    #[test]
    fn an_announced_length_takes_no_memory() {
        let mut input = Input::default();
        input.push(&33_554_436_u32.to_be_bytes());
        assert_eq!(input.first(), Ok(None));
        assert!(input.buffer.capacity() < 100 && input.large_bytes() == 0);
        input.push(&[0; 200_000]);
        assert!(input.buffer.capacity() < 500_000, "{}", input.buffer.capacity());
    }

    #[test]
    fn a_small_message_gets_its_whole_buffer_at_once() {
        let mut input = Input::default();
        input.push(&message(FRAME_SMALL_BYTES_MAX, 7)[..10]);
        let room = input.buffer.as_ptr();
        input.push(&vec![7; FRAME_SMALL_BYTES_MAX - 10]);
        assert_eq!(input.buffer.as_ptr(), room, "an abandoned buffer is an abandoned copy");
    }

    #[test]
    fn a_length_out_of_bounds_is_an_error() {
        for word in [0_u32, 27, 33_554_437, 0x4745_5420] {
            let mut input = Input::default();
            input.push(&word.to_be_bytes());
            assert_eq!(input.first(), Err(BadLength(word)));
            assert_eq!(split_message(&word.to_be_bytes()), Err(BadLength(word)));
        }
    }

    #[test]
    fn memory_needs_are_announced_before_they_arise() {
        const PIECE: usize = 16 * 1024;
        let long = message(2 * FRAME_KEPT_BYTES_MAX, 7);
        let mut input = Input::default();
        for piece in long.chunks(PIECE) {
            let asked = input.large_bytes_after(PIECE);
            input.push(piece);
            assert!(input.large_bytes() <= asked, "{} of {asked}", input.large_bytes());
        }
        assert!(input.first().unwrap().is_some());
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_give_the_same_messages(
            lengths in proptest::collection::vec(28_usize..300, 1..8),
            piece in 1_usize..400,
        ) {
            let stream: Vec<u8> = lengths.iter().enumerate().flat_map(|(n, length)| message(*length, n as u8)).collect();
            let expect: Vec<_> = lengths.iter().enumerate().map(|(n, length)| (*length, n as u8)).collect();
            prop_assert_eq!(messages_in_pieces(&stream, piece), expect);
        }
    }
}
