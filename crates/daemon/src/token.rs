//! The system token's file, which libvirt's daemons on this machine share. The first daemon makes it, and all others read it, so
//! an existing token is never replaced.
//!
//! It is made as libvirt makes it: mode 0600, in a folder of mode 0700, and written under a lock (fcntl(2)) by the first process
//! that finds it empty.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use libvirt::{SystemToken, TOKEN_BYTES};
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::rand::{GetRandomFlags, getrandom};
use zeroize::Zeroizing;

/// The token in the file, which is made if it is missing. An existing file needs only to be readable.
pub(crate) fn ensure(path: &Path) -> io::Result<SystemToken> {
    if let Ok(file) = File::open(path)
        && let Some(token) = read(&file)?
    {
        return Ok(token);
    }
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    fcntl_lock(&file, FlockOperation::LockExclusive)?; // The lock ends with the file.
    if let Some(token) = read(&file)? {
        return Ok(token);
    }
    file.write_all(&new()?)?;
    file.sync_all()?;
    read(&file)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// The token in a file, or none in an empty file.
fn read(file: &File) -> io::Result<Option<SystemToken>> {
    let mut text = Zeroizing::new(vec![0; TOKEN_BYTES + 2]); // libvirt writes no line end; one is harmless.
    let length = file.read_at(&mut text, 0)?;
    text.truncate(length);
    while text.last().is_some_and(u8::is_ascii_whitespace) {
        text.pop();
    }
    if text.is_empty() {
        return Ok(None);
    }
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    SystemToken::try_from(text).map(Some).map_err(invalid)
}

/// Sixteen random bytes in hexadecimal.
fn new() -> io::Result<Zeroizing<Vec<u8>>> {
    let mut random = Zeroizing::new([0; TOKEN_BYTES / 2]);
    getrandom(&mut random[..], GetRandomFlags::empty())?;
    let mut text = Zeroizing::new(Vec::with_capacity(TOKEN_BYTES));
    for byte in random.iter() {
        write!(text, "{byte:02x}")?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_first_daemon_makes_the_token_and_all_keep_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("common/system.token");
        ensure(&path).unwrap();
        let text = std::fs::read(&path).unwrap();
        assert_eq!(text.len(), TOKEN_BYTES);
        ensure(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), text);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let other = folder.path().join("other/system.token");
        ensure(&other).unwrap();
        assert_ne!(std::fs::read(&other).unwrap(), text);
    }

    #[test]
    fn a_file_without_a_token_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["hello", "0123456789abcdef0123456789abcdeg", "0123456789abcdef0123456789abcdef0"] {
            let path = folder.path().join("system.token");
            std::fs::write(&path, text).unwrap();
            assert_eq!(ensure(&path).unwrap_err().kind(), io::ErrorKind::InvalidData, "{text}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }
}
