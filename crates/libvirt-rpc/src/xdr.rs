//! The part of XDR (RFC 4506) that libvirt uses: big-endian words, a length before each variable field, four-byte
//! alignment.
//!
//! It is as lenient as libvirt's decoder: padding may hold any bytes, any non-zero word means that an optional is there, a
//! string ends at its first NUL, and bytes after the last field are ignored.

/// The longest string: `REMOTE_STRING_MAX`.
pub const STRING_MAX: usize = 4_194_304;

/// The bytes do not decode.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end too early.
    #[error("the message ends in the middle of a field")]
    Truncated,
    /// A length is above the limit of its field.
    #[error("a field has a length of {length}, and may have {max} at most")]
    TooLong {
        /// The length in the message.
        length: u32,
        /// The limit.
        max: usize,
    },
    /// A field names an unknown kind.
    #[error("a field is of the unknown kind {0}")]
    UnknownKind(i32),
}

/// The value does not fit its field.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a field of {length} is longer than its limit of {max}")]
pub struct EncodeError {
    /// The length of the value.
    pub length: usize,
    /// The limit of the field.
    pub max: usize,
}

/// Reads the fields of a payload in order. No `Debug`: a value may be among them.
#[derive(Clone)]
pub struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// Begins at the front.
    pub fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }

    /// The unread bytes.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    /// `unsigned int`
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.take().map(u32::from_be_bytes)
    }

    /// `int`
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        self.take().map(i32::from_be_bytes)
    }

    /// `unsigned hyper`
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.take().map(u64::from_be_bytes)
    }

    /// `hyper`
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        self.take().map(i64::from_be_bytes)
    }

    /// `opaque[16]`: a UUID.
    pub fn uuid(&mut self) -> Result<[u8; 16], DecodeError> {
        self.take()
    }

    /// `opaque<max>`
    pub fn opaque(&mut self, max: usize) -> Result<&'a [u8], DecodeError> {
        let length = self.length(max)?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(DecodeError::Truncated)?;
        self.rest = rest.get(padding(length)..).ok_or(DecodeError::Truncated)?;
        Ok(bytes)
    }

    /// `string<REMOTE_STRING_MAX>`: its bytes, of whatever encoding, up to the first NUL.
    pub fn string(&mut self) -> Result<&'a [u8], DecodeError> {
        let bytes = self.opaque(STRING_MAX)?;
        Ok(bytes.split(|byte| *byte == 0).next().unwrap_or_default())
    }

    /// `T *`: something that may be absent.
    pub fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        match self.u32()? {
            0 => Ok(None),
            _ => read(self).map(Some),
        }
    }

    /// `T<max>`: an array. Memory grows with the items that are there, not with the announced length.
    pub fn array<T>(
        &mut self,
        max: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let length = self.length(max)?;
        let mut items = Vec::new();
        for _ in 0..length {
            items.push(read(self)?);
        }
        Ok(items)
    }

    fn length(&mut self, max: usize) -> Result<usize, DecodeError> {
        let length = self.u32()?;
        match usize::try_from(length) {
            Ok(fits) if fits <= max => Ok(fits),
            _ => Err(DecodeError::TooLong { length, max }),
        }
    }
}

/// Writes fields in order. No `Debug`: a value may be among them.
#[derive(Default)]
pub struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    /// Begins with room for so many bytes. A secret must fit this room, because a buffer that grows leaves a copy behind.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes) }
    }

    /// The written bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// `unsigned int`
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.put(&value.to_be_bytes())
    }

    /// `int`
    pub fn i32(&mut self, value: i32) -> &mut Self {
        self.put(&value.to_be_bytes())
    }

    /// `unsigned hyper`
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.put(&value.to_be_bytes())
    }

    /// `hyper`
    pub fn i64(&mut self, value: i64) -> &mut Self {
        self.put(&value.to_be_bytes())
    }

    /// `opaque[16]`: a UUID.
    pub fn uuid(&mut self, value: &[u8; 16]) -> &mut Self {
        self.put(value)
    }

    /// `opaque<max>`
    pub fn opaque(&mut self, value: &[u8], max: usize) -> Result<&mut Self, EncodeError> {
        self.length(value.len(), max)?;
        self.put(value);
        let padding = padding(value.len());
        Ok(self.put([0; 3].get(..padding).unwrap_or_default()))
    }

    /// `string<REMOTE_STRING_MAX>`
    pub fn string(&mut self, value: &[u8]) -> Result<&mut Self, EncodeError> {
        self.opaque(value, STRING_MAX)
    }

    /// `T *`: something that may be absent.
    pub fn optional<T>(
        &mut self,
        value: Option<T>,
        write: impl FnOnce(&mut Self, T) -> Result<(), EncodeError>,
    ) -> Result<&mut Self, EncodeError> {
        match value {
            None => {
                self.u32(0);
            }
            Some(value) => write(self.u32(1), value)?,
        }
        Ok(self)
    }

    /// The length of an array of at most `max`, which must follow.
    pub fn length(&mut self, length: usize, max: usize) -> Result<&mut Self, EncodeError> {
        match u32::try_from(length) {
            Ok(word) if length <= max => Ok(self.u32(word)),
            _ => Err(EncodeError { length, max }),
        }
    }

    /// Puts the length of the whole message into its first word.
    pub(crate) fn patch_length(&mut self) -> Result<(), EncodeError> {
        let length = self.bytes.len();
        let max = crate::frame::LENGTH_MAX;
        let word = u32::try_from(length).ok().filter(|_| length <= max);
        let word = word.ok_or(EncodeError { length, max })?;
        if let Some(first) = self.bytes.first_chunk_mut() {
            *first = word.to_be_bytes();
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }
}

/// Bytes up to the next word.
const fn padding(length: usize) -> usize {
    length.wrapping_neg() & 3
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn strings_are_read_as_libvirt_reads_them() {
        let check = |bytes: &str, expect: Result<&[u8], DecodeError>| {
            assert_eq!(Decoder::new(&hex(bytes)).string(), expect, "{bytes}");
        };
        check("0000000161000000", Ok(b"a"));
        check("0000000161585a59", Ok(b"a")); // Padding of any content.
        check("0000000461006263", Ok(b"a")); // Cut at the NUL.
        check("00000000", Ok(b""));
        check("00000002610000", Err(DecodeError::Truncated));
        check("000000056162636465", Err(DecodeError::Truncated)); // Without padding.
        check("00400001", Err(DecodeError::TooLong { length: 0x0040_0001, max: STRING_MAX }));
        check("ffffffff", Err(DecodeError::TooLong { length: u32::MAX, max: STRING_MAX }));
        check("0000", Err(DecodeError::Truncated));
    }

    #[test]
    fn an_optional_is_absent_only_if_its_word_is_zero() {
        let read = |bytes: &str| Decoder::new(&hex(bytes)).optional(Decoder::u32);
        assert_eq!(read("00000000"), Ok(None));
        assert_eq!(read("0000000200000007"), Ok(Some(7)));
        assert_eq!(read("00000001"), Err(DecodeError::Truncated));
    }

    #[test]
    fn an_array_takes_no_memory_for_missing_items() {
        let claim = hex("00004000");
        assert_eq!(Decoder::new(&claim).array(16_384, Decoder::u32), Err(DecodeError::Truncated));
        let over = hex("00004001");
        let too_long = DecodeError::TooLong { length: 16_385, max: 16_384 };
        assert_eq!(Decoder::new(&over).array(16_384, Decoder::u32), Err(too_long));
    }

    #[test]
    fn a_field_that_is_too_long_is_not_written() {
        let mut to = Encoder::default();
        assert!(to.opaque(&[0; 5], 4).is_err());
        assert!(to.into_bytes().is_empty());
    }

    proptest! {
        #[test]
        fn written_fields_are_read_back(bytes: Vec<u8>, n: u32, big: i64, text in "[^\0]{0,9}") {
            let mut to = Encoder::default();
            to.u32(n).i64(big).opaque(&bytes, 1 << 20).unwrap().string(text.as_bytes()).unwrap();
            let written = to.into_bytes();
            let mut from = Decoder::new(&written);
            prop_assert_eq!(from.u32(), Ok(n));
            prop_assert_eq!(from.i64(), Ok(big));
            prop_assert_eq!(from.opaque(1 << 20), Ok(&bytes[..]));
            prop_assert_eq!(from.string(), Ok(text.as_bytes()));
            prop_assert!(from.rest().is_empty());
        }
    }
}
