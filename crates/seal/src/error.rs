//! The errors of this crate. No text contains a payload or a byte of a key.

use model::KeyVersion;

/// Why something was not sealed, opened or unwrapped.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// The master key belongs to another store.
    #[error("this is not the master key that the store was made with")]
    WrongMasterKey,
    /// The bytes start with a format number that this program does not know: written by a later one, or
    /// damaged.
    #[error("format {0} is unknown")]
    UnknownFormat(u8),
    /// The bytes are too short, or too long for a fixed length.
    #[error("{0} bytes are not a length this can have")]
    WrongLength(usize),
    /// Sealed under another version of the project's key than the one given.
    #[error("sealed under key version {}, not {}", .sealed.0, .key.0)]
    OtherKeyVersion {
        /// The version that sealed it.
        sealed: KeyVersion,
        /// The version of the key given.
        key: KeyVersion,
    },
    /// The bytes were changed or moved, or another key sealed them. These cases look the same.
    #[error("does not open: changed, moved, or sealed with another key")]
    DoesNotOpen,
    /// The access data was changed or moved, or another key guarded it. These cases look the same.
    #[error("who may use it was changed in the database, or its row is another's")]
    Altered,
    /// The row has no guard although it should have one.
    #[error("nothing vouches in the database for who may use it")]
    Unguarded,
    /// A payload or key that was just sealed did not open to the same bytes. Memory or the processor is failing.
    #[error("what was just sealed does not open: suspect the memory of this machine")]
    NotReproduced,
    /// The system gave no random bytes.
    #[error("no random bytes from the system")]
    NoRandomness,
    /// Keys of this length are not generated.
    #[error("keys of {0} bits are not generated")]
    NotOffered(u32),
    /// The cipher library generated no key, or none that it can write: no primes in time, or no memory.
    #[error("no key was generated")]
    NotGenerated,
    /// The system gave no memory for a key.
    #[error("no memory for a key")]
    NoMemory,
}
