//! The master key as a systemd credential: decrypted by systemd (from the TPM, if so set up) and handed to
//! the service in a file that no other service sees. See <https://systemd.io/CREDENTIALS/>.
//!
//! ```text
//! [Service]
//! LoadCredentialEncrypted=donjon.key:/etc/donjon/master.key.cred
//!
//! $CREDENTIALS_DIRECTORY/donjon.key ──▶ one line of base64, or 32 bytes as they are
//! ```
//!
//! This provider never makes a key: a file that it wrote would be gone when the service stops. It does not check
//! the mode of the file: systemd owns the directory, and if it grants the service access by an ACL, the mode is 0440.

use std::env;
use std::fs::File;
use std::io::ErrorKind;
use std::path::PathBuf;

use super::{KeyProvider, ProviderError, StoreAge, io_error, keep, parse, read};
use crate::MasterKey;

/// The environment variable with the directory of the credentials, which systemd sets.
const DIRECTORY_VARIABLE: &str = "CREDENTIALS_DIRECTORY";
/// The longest name, in bytes: it is a file name.
const NAME_BYTES_MAX: usize = 255;

/// The master key as a systemd credential.
#[derive(Clone, Debug)]
pub struct SystemdCredential {
    name: String,
    directory: PathBuf,
}

impl SystemdCredential {
    /// The credential of this name, in this directory.
    pub fn new(name: &str, directory: impl Into<PathBuf>) -> Result<Self, ProviderError> {
        if !is_valid(name) {
            return Err(ProviderError::InvalidName { name: name.to_owned() });
        }
        Ok(Self { name: name.to_owned(), directory: directory.into() })
    }

    /// The credential of this name, in the directory that systemd names in `$CREDENTIALS_DIRECTORY`.
    pub fn from_env(name: &str) -> Result<Self, ProviderError> {
        Self::from_directory(name, env::var_os(DIRECTORY_VARIABLE).map(PathBuf::from))
    }

    fn from_directory(name: &str, directory: Option<PathBuf>) -> Result<Self, ProviderError> {
        match directory {
            Some(directory) if directory.is_absolute() => Self::new(name, directory),
            _ => Err(ProviderError::NoCredentials { name: name.to_owned() }),
        }
    }
}

impl KeyProvider for SystemdCredential {
    /// Does the same for a new store: the operator made the key when setting up the credential.
    fn master_key(&self, _: StoreAge) -> Result<MasterKey, ProviderError> {
        let path = self.directory.join(&self.name);
        let file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(ProviderError::NoSuchCredential {
                    name: self.name.clone(),
                    directory: self.directory.clone(),
                });
            }
            other => other.map_err(io_error("open", &path))?,
        };
        if !file.metadata().map_err(io_error("examine", &path))?.is_file() {
            return Err(ProviderError::NotRegular { path });
        }
        let content = read(file, &path)?;
        match content.as_slice().try_into() {
            Ok(key) => keep(key), // Exactly 32 bytes: no text of a key is that short.
            Err(_) => parse(&content, &path),
        }
    }

    fn describe(&self) -> String {
        format!("systemd credential {}", self.name)
    }
}

fn is_valid(name: &str) -> bool {
    let leads_elsewhere = name == "." || name.contains("..") || name.contains('/');
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !leads_elsewhere
        && !name.contains(|character: char| character.is_control())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const STORE: &[u8; 16] = b"the first store.";

    fn check(content: &[u8]) -> Result<Vec<u8>, ProviderError> {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("donjon.key"), content).unwrap();
        let key = SystemdCredential::new("donjon.key", directory.path())?.master_key(StoreAge::New)?;
        Ok(key.check_value(STORE))
    }

    #[test]
    fn text_and_raw_bytes_are_the_same_key() {
        let raw = check(&[0x11; 32]).unwrap();
        assert_eq!(check(b"ERERERERERERERERERERERERERERERERERERERERERE=\n").unwrap(), raw);
        assert_ne!(check(&[0x22; 32]).unwrap(), raw);
    }

    #[test]
    fn other_content_is_refused() {
        for content in [&[0x11; 31][..], &[0x11; 33], b"", &[0; 10_000]] {
            assert!(matches!(check(content), Err(ProviderError::WrongLength { .. })));
        }
        assert!(matches!(check(&[b'?'; 44]), Err(ProviderError::NotBase64 { .. })));
    }

    #[test]
    fn a_missing_credential_says_how_to_pass_it() {
        let directory = tempfile::tempdir().unwrap();
        let credential = SystemdCredential::new("donjon.key", directory.path()).unwrap();
        for age in [StoreAge::New, StoreAge::Existing] {
            let text = credential.master_key(age).unwrap_err().to_string();
            assert!(text.contains("LoadCredential=donjon.key:PATH"), "{text}");
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "and is never made");
    }

    #[test]
    fn no_directory_says_how_to_get_one() {
        for directory in [None, Some(PathBuf::new()), Some("relative".into())] {
            let text = SystemdCredential::from_directory("donjon.key", directory).unwrap_err().to_string();
            assert!(text.contains("LoadCredential=donjon.key:PATH"), "{text}");
        }
        let text = SystemdCredential::from_directory("donjon.key", Some("/run/credentials/x".into()));
        assert_eq!(text.unwrap().describe(), "systemd credential donjon.key");
    }

    #[test]
    fn a_name_stays_in_the_directory() {
        for name in ["", ".", "..", "../master.key", "a/b", "/etc/shadow", "a..b", "a\nb", &"x".repeat(256)] {
            let found = SystemdCredential::new(name, "/run/credentials/x");
            assert!(matches!(found, Err(ProviderError::InvalidName { .. })), "{name}");
        }
        assert!(SystemdCredential::new("donjon.key", "/run/credentials/x").is_ok());
    }
}
