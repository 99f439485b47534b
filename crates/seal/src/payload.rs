//! Plaintext, as a type that does not let it leave by accident.
//!
//! The type promises that no derive, format string or serialiser lets the bytes out, and that they are wiped
//! when it is dropped. It does not lock its memory: payloads are many and short-lived, and may be swapped out
//! (keys may not).

use std::fmt;

use zeroize::Zeroizing;

/// Plaintext. It leaves through [`Payload::expose`] and no other way:
///
/// ```compile_fail
/// fn log(payload: &seal::Payload) { println!("{payload}"); }
/// ```
///
/// ```compile_fail
/// fn keep(payload: &seal::Payload) -> seal::Payload { payload.clone() }
/// ```
///
/// ```compile_fail
/// fn guess(a: &seal::Payload, b: &seal::Payload) -> bool { a == b }
/// ```
///
/// ```compile_fail
/// fn slip(payload: &seal::Payload) -> &[u8] { payload }
/// ```
///
/// Its debug text shows nothing of it, not even the length:
///
/// ```
/// assert_eq!(format!("{:?}", seal::Payload::new(b"hunter2".to_vec())), "Payload([redacted])");
/// ```
pub struct Payload(Zeroizing<Vec<u8>>); // Not Box<[u8]>: shrinking may leave a copy behind.

impl Payload {
    /// Takes the bytes over; they are wiped when this is dropped.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes. A caller that copies them must wipe the copy.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Takes over bytes that are wiped on drop already.
impl From<Zeroizing<Vec<u8>>> for Payload {
    fn from(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Payload([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_debug_text_is_redacted() {
        let payload = Payload::new(b"hunter2".to_vec());
        assert_eq!(format!("{payload:?} {payload:#?} {:?}", Some(&payload)).matches("hunter2").count(), 0);
        assert_eq!(format!("{payload:?}"), "Payload([redacted])");
    }

    #[test]
    fn a_payload_may_be_empty() {
        assert!(Payload::new(Vec::new()).is_empty());
        assert_eq!(Payload::new(b"hunter2".to_vec()).len(), 7);
    }
}
