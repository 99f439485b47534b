//! Providers give the master key.
//!
//! Both providers read the same text, one line that `openssl rand -base64 32` prints as well:
//!
//! ```text
//! base64 of 32 random bytes, with padding: 44 characters, then a newline
//! ```
//!
//! A provider returns the key that it found. For a new store, some providers make a key, write it down safely and return
//! it. A provider does not know whether the key belongs to the store: [`MasterKey::verify`] checks that.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::primitives::KEY_BYTES;
use crate::{Error, Locked, MasterKey};

mod file;
mod systemd_creds;

pub use file::FileProvider;
pub use systemd_creds::SystemdCredential;

/// Gives the master key.
pub trait KeyProvider: Send + Sync {
    /// The master key. A provider may make it only for a new store.
    fn master_key(&self, store: StoreAge) -> Result<MasterKey, ProviderError>;

    /// The place of the key, for people. It goes into logs and is not secret.
    fn describe(&self) -> String;
}

/// Whether the store is new. A new key would be useless for a store that has one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StoreAge {
    /// Nothing is sealed yet.
    New,
    /// Something may be.
    Existing,
}

/// Why there is no master key. Each text says what happened, then what to do.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The store has its key in a file that is not there.
    #[error(
        "master key {} is missing and the store was made with it: restore the file, or name another",
        .path.display()
    )]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// Other users may read the file.
    #[error(
        "master key {} has mode {mode:04o}, so others may have read it: chmod 600 {}",
        .path.display(), .path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A directory, device or pipe.
    #[error("master key {} is not a regular file: name one that is", .path.display())]
    NotRegular {
        /// What it is not.
        path: PathBuf,
    },
    /// The text does not have the length of a key.
    #[error(
        "master key {} does not have the length of a key: it must be one line of {TEXT_BYTES} characters, \
         the base64 of {KEY_BYTES} bytes; restore it from a backup",
        .path.display()
    )]
    WrongLength {
        /// The file.
        path: PathBuf,
    },
    /// The text has the length of a key but is not one.
    #[error(
        "master key {} is not the base64 of {KEY_BYTES} bytes: restore it from a backup",
        .path.display()
    )]
    NotBase64 {
        /// The file.
        path: PathBuf,
    },
    /// No credentials were passed to the process.
    #[error(
        "no credentials directory, so no credential {name:?}: start donjond from a systemd unit with \
         LoadCredential={name}:PATH or LoadCredentialEncrypted={name}:PATH"
    )]
    NoCredentials {
        /// The credential that was asked for.
        name: String,
    },
    /// Credentials were passed, but not this one.
    #[error(
        "no credential {name:?} in {}: add LoadCredential={name}:PATH or LoadCredentialEncrypted={name}:PATH \
         to the systemd unit",
        .directory.display()
    )]
    NoSuchCredential {
        /// The credential that was asked for.
        name: String,
        /// Where it was looked for.
        directory: PathBuf,
    },
    /// The name leads out of the credentials directory, or nowhere.
    #[error("{name:?} is no name of a credential: use one without '/', '..' or control characters")]
    InvalidName {
        /// The name.
        name: String,
    },
    /// The file system refused.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No key could be made.
    #[error(transparent)]
    Seal(#[from] Error),
}

/// The characters of the text, without the newline.
const TEXT_BYTES: usize = 44;
/// How many bytes are read at most: a key, and some more to notice a file that is too long.
const READ_BYTES_MAX: u64 = 128;

/// Maps an error of the file system.
fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ProviderError {
    move |source| ProviderError::Io { action, path: path.to_owned(), source }
}

/// Everything in the file, or enough of it to know that it is too long.
fn read(file: File, path: &Path) -> Result<Zeroizing<Vec<u8>>, ProviderError> {
    // Twice the room, so that the buffer never moves and leaves no copy behind.
    let mut content = Zeroizing::new(Vec::with_capacity(2 * READ_BYTES_MAX as usize));
    file.take(READ_BYTES_MAX).read_to_end(&mut content).map_err(io_error("read", path))?;
    Ok(content)
}

/// The key in a text.
fn parse(text: &[u8], path: &Path) -> Result<MasterKey, ProviderError> {
    let text = text.trim_ascii();
    if text.len() != TEXT_BYTES {
        return Err(ProviderError::WrongLength { path: path.to_owned() });
    }
    let mut decoded = Zeroizing::new([0; TEXT_BYTES]); // More than enough, as the decoder wants it.
    match STANDARD.decode_slice(text, decoded.as_mut_slice()) {
        Ok(KEY_BYTES) => {}
        Ok(_) | Err(_) => return Err(ProviderError::NotBase64 { path: path.to_owned() }),
    }
    let key = decoded.first_chunk().expect("44 bytes have 32 first ones");
    keep(key)
}

/// The key, in locked memory.
fn keep(key: &[u8; KEY_BYTES]) -> Result<MasterKey, ProviderError> {
    let locked = Locked::try_init(|bytes| {
        bytes.copy_from_slice(key);
        Ok::<_, Error>(())
    })?;
    Ok(locked.into())
}

/// The text of a key, with its newline.
fn text(key: &MasterKey) -> Zeroizing<[u8; TEXT_BYTES + 1]> {
    let mut text = Zeroizing::new([b'\n'; TEXT_BYTES + 1]);
    STANDARD
        .encode_slice(key.expose(), text.as_mut_slice())
        .expect("the base64 of 32 bytes has 44 characters");
    text
}
