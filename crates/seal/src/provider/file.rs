//! The master key in a file: one line of base64, mode 0600.
//!
//! ```text
//! New, no file:  .NAME.RANDOM.new (O_EXCL, 0600) ─write─▶ fsync ─link─▶ NAME ─unlink .new─▶ fsync directory
//! ```
//!
//! Linking is atomic and does not replace, so at every moment there is no key or a whole one, and of two
//! processes that start at once both use the key of the first. A crash may leave the `.new` file behind: it
//! has the same protection, and may be deleted.
//!
//! The file is only as safe as its disk and the root user. Another provider is needed for a key in a TPM or an HSM.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{KeyProvider, ProviderError, StoreAge, io_error, parse, read, text};
use crate::{MasterKey, primitives};

/// The permissions of the file.
const MODE: u32 = 0o600;
/// The permissions that group and others must not have.
const MODE_OTHERS: u32 = 0o077;

/// The master key in a file, made for a new store.
#[derive(Clone, Debug)]
pub struct FileProvider {
    path: PathBuf,
}

impl FileProvider {
    /// Keeps the key in this file. Its directory must be there.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    fn load(&self) -> Result<MasterKey, ProviderError> {
        let path = || self.path.clone();
        let file = match open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(ProviderError::Missing { path: path() });
            }
            other => other.map_err(io_error("open", &self.path))?,
        };
        // Examines the open file, so that nobody can replace it between the check and the reading.
        let metadata = file.metadata().map_err(io_error("examine", &self.path))?;
        if !metadata.is_file() {
            return Err(ProviderError::NotRegular { path: path() });
        }
        if metadata.mode() & MODE_OTHERS != 0 {
            return Err(ProviderError::Exposed { path: path(), mode: metadata.mode() & 0o7777 });
        }
        parse(&read(file, &self.path)?, &self.path)
    }

    /// Creates the whole file on disk, unless another process was first.
    fn create(&self) -> Result<(), ProviderError> {
        let temporary = self.temporary()?;
        let linked = write_new(&temporary).and_then(|()| {
            fs::hard_link(&temporary, &self.path).or_else(|error| match error.kind() {
                ErrorKind::AlreadyExists => Ok(()),
                _ => Err(io_error("link a new key to", &self.path)(error)),
            })
        });
        let removed = fs::remove_file(&temporary).map_err(io_error("remove", &temporary));
        linked.and(removed)?;
        let directory = self.directory();
        File::open(directory).and_then(|open| open.sync_all()).map_err(io_error("force to disk", directory))
    }

    /// A name beside the file that nobody else uses.
    fn temporary(&self) -> Result<PathBuf, ProviderError> {
        let mut random = [0; 8];
        primitives::random(&mut random)?;
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        Ok(self.directory().join(format!(".{name}.{:016x}.new", u64::from_ne_bytes(random))))
    }

    fn directory(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        }
    }
}

impl KeyProvider for FileProvider {
    fn master_key(&self, store: StoreAge) -> Result<MasterKey, ProviderError> {
        match self.load() {
            Err(ProviderError::Missing { .. }) if store == StoreAge::New => {
                self.create()?;
                self.load() // Reads the file, so that the key in use is the stored key.
            }
            found => found,
        }
    }

    fn describe(&self) -> String {
        format!("file {}", self.path.display())
    }
}

fn open(path: &Path) -> io::Result<File> {
    // Non-blocking, because a pipe in the place of the key must not block the start.
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// A new key in a new file, on disk when this returns.
fn write_new(path: &Path) -> Result<(), ProviderError> {
    let key = MasterKey::random()?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(path)
        .map_err(io_error("make a new key in", path))?;
    file.write_all(text(&key).as_slice())
        .and_then(|()| file.sync_all())
        .map_err(io_error("write a new key to", path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use tempfile::TempDir;

    use super::*;
    use crate::Rows;

    const STORE: &[u8; 16] = b"the first store.";
    /// 32 bytes of 0x11.
    const TEXT: &str = "ERERERERERERERERERERERERERERERERERERERERERE=";

    fn place() -> (TempDir, FileProvider) {
        let directory = tempfile::tempdir().unwrap();
        let provider = FileProvider::new(directory.path().join("master.key"));
        (directory, provider)
    }

    fn put(provider: &FileProvider, content: &str, mode: u32) {
        fs::write(&provider.path, content).unwrap();
        fs::set_permissions(&provider.path, PermissionsExt::from_mode(mode)).unwrap();
    }

    /// What the provider says of a file, without the directory.
    fn check(content: &str, mode: u32, expected: Result<(), &str>) {
        let (directory, provider) = place();
        put(&provider, content, mode);
        for age in [StoreAge::New, StoreAge::Existing] {
            let found = provider.master_key(age).map(drop).map_err(|error| error.to_string());
            let found = found.map_err(|text| text.replace(&format!("{}/", directory.path().display()), ""));
            assert_eq!(found, expected.map_err(str::to_owned));
        }
        assert_eq!(
            fs::read_to_string(&provider.path).unwrap(),
            content,
            "a file that is there is not touched"
        );
    }

    #[test]
    fn a_new_store_gets_a_key_that_is_there_the_next_time() {
        let (directory, provider) = place();
        let made = provider.master_key(StoreAge::New).unwrap();
        let check = made.check_value(STORE);
        for age in [StoreAge::Existing, StoreAge::New] {
            assert_eq!(provider.master_key(age).unwrap().verify(STORE, &check), Ok(Rows::Guarded));
        }
        let metadata = fs::metadata(&provider.path).unwrap();
        assert_eq!((metadata.mode() & 0o7777, metadata.len(), metadata.nlink()), (0o600, 45, 1));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn two_stores_get_two_keys() {
        let ((_a, a), (_b, b)) = (place(), place());
        let check = a.master_key(StoreAge::New).unwrap().check_value(STORE);
        let other = b.master_key(StoreAge::New).unwrap();
        assert_eq!(other.verify(STORE, &check), Err(crate::Error::WrongMasterKey));
    }

    #[test]
    fn processes_that_start_at_once_agree_on_one_key() {
        let (directory, provider) = place();
        let checks: Vec<_> = std::thread::scope(|scope| {
            let start = || provider.master_key(StoreAge::New).unwrap().check_value(STORE);
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(checks.iter().all(|check| *check == checks[0]));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_existing_store_never_gets_a_new_key() {
        let (_directory, provider) = place();
        let error = provider.master_key(StoreAge::Existing).unwrap_err();
        assert!(matches!(&error, ProviderError::Missing { path } if *path == provider.path), "{error}");
        assert!(!provider.path.exists());
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let (directory, _) = place();
        let provider = FileProvider::new(directory.path().join("absent/master.key"));
        let error = provider.master_key(StoreAge::New).unwrap_err();
        assert!(matches!(error, ProviderError::Io { action: "make a new key in", .. }), "{error}");
    }

    #[test]
    fn a_key_is_one_line_of_base64() {
        check(&format!("{TEXT}\n"), 0o600, Ok(()));
        check(TEXT, 0o400, Ok(()));
        let length = "master key master.key does not have the length of a key: it must be one line of 44 characters, \
                      the base64 of 32 bytes; restore it from a backup";
        for content in ["", "short", &TEXT[..43], &format!("{TEXT}\n{TEXT}\n"), &"x".repeat(100_000)] {
            check(content, 0o600, Err(length));
        }
        let garbage = "master key master.key is not the base64 of 32 bytes: restore it from a backup";
        let (not_base64, bytes_33, bytes_31) =
            ("?".repeat(44), "A".repeat(44), format!("{}==", "A".repeat(42)));
        for content in [not_base64, bytes_33, bytes_31] {
            check(&content, 0o600, Err(garbage));
        }
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        for mode in [0o640, 0o604, 0o620, 0o610, 0o666] {
            let text = format!(
                "master key master.key has mode {mode:04o}, so others may have read it: chmod 600 master.key"
            );
            check(TEXT, mode, Err(&text));
        }
    }

    #[test]
    fn only_a_regular_file_is_a_key() {
        let (directory, provider) = place();
        fs::create_dir(&provider.path).unwrap();
        let error = provider.master_key(StoreAge::New).unwrap_err();
        assert!(matches!(error, ProviderError::NotRegular { .. }), "{error}");
        let link = FileProvider::new(directory.path().join("link"));
        symlink("/dev/null", &link.path).unwrap();
        let error = link.master_key(StoreAge::New).unwrap_err();
        assert!(matches!(error, ProviderError::NotRegular { .. }), "{error}");
    }

    #[test]
    fn a_key_may_be_behind_a_link() {
        let (directory, provider) = place();
        put(&provider, TEXT, 0o600);
        symlink(&provider.path, directory.path().join("link")).unwrap();
        let link = FileProvider::new(directory.path().join("link"));
        assert!(link.master_key(StoreAge::Existing).is_ok());
    }

    #[test]
    fn no_text_carries_the_key() {
        let (_directory, provider) = place();
        put(&provider, &TEXT[..43], 0o600);
        let error = provider.master_key(StoreAge::Existing).unwrap_err();
        assert!(
            !format!("{error} {error:?} {provider:?} {}", provider.describe())
                .contains("EREREREREREREREREREREREREREREREREREREREREREE")
        );
    }
}
