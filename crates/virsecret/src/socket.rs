//! Connects to the first UNIX socket of a list that exists.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::error::{Error, Result};
use crate::limits::CONNECT_WAIT_MAX;

/// Connects to the first socket that exists. If none does, the error is about the last, as with libvirt.
pub(crate) fn open(candidates: &[PathBuf]) -> Result<UnixStream> {
    // A socket that may not be looked at counts as existing, so that the error names it.
    let is_there = |path: &&PathBuf| !matches!(path.try_exists(), Ok(false));
    let there = candidates.iter().find(is_there).or(candidates.last());
    let path = there.cloned().unwrap_or_default();
    open_one(&path).map_err(|source| Error::Connect { path, source })
}

/// The standard library connects without a timeout. On Linux the timeout of sending applies to connecting too.
fn open_one(path: &Path) -> io::Result<UnixStream> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&socket, Timeout::Send, Some(CONNECT_WAIT_MAX))?;
    let address = SocketAddrUnix::new(path)?;
    rustix::io::retry_on_intr(|| connect(&socket, &address))?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn the_first_socket_that_is_there_is_taken_and_else_the_last_is_blamed() {
        let folder = std::env::temp_dir().join(format!("virsecret-socket-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (absent, present) = (folder.join("absent"), folder.join("present"));
        let listener = UnixListener::bind(&present).unwrap();
        assert!(open(&[absent.clone(), present.clone()]).is_ok());
        let blamed = |candidates: &[PathBuf]| match open(candidates) {
            Err(Error::Connect { path, source }) => (path, source.kind()),
            _ => panic!("connected"),
        };
        assert_eq!(blamed(&[folder.join("b"), absent.clone()]), (absent, io::ErrorKind::NotFound));
        drop(listener);
        assert_eq!(blamed(std::slice::from_ref(&present)), (present, io::ErrorKind::ConnectionRefused));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
