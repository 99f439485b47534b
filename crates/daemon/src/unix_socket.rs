//! UNIX sockets: made where nobody listens, with group and mode, and removed at the end.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::config::values::{Group, SocketMode};

/// A socket that this process made. Its file is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// The identity of the file, to recognise a replaced one.
    file: (u64, u64),
}

/// Listens at a path. A socket without a listener is replaced; any other existing file stays.
pub(crate) fn listen(
    path: &Path,
    mode: SocketMode,
    group: Option<&Group>,
) -> io::Result<(UnixListener, SocketFile)> {
    let gid = group.map(gid_of).transpose()?;
    make_folder(path)?;
    remove_stale(path)?;
    let listener = UnixListener::bind(path)?; // For its user alone, by the umask.
    let found = std::fs::symlink_metadata(path)?;
    let made = SocketFile { path: path.to_owned(), file: (found.dev(), found.ino()) };
    if gid.is_some() {
        std::os::unix::fs::chown(path, None, gid)?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode.0))?;
    Ok((listener, made))
}

/// The read-only socket's path, named as libvirt does.
pub(crate) fn read_only_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-ro");
    name.into()
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours =
            std::fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.file);
        if is_ours {
            let _ = std::fs::remove_file(&self.path); // If it stays, the next start finds it stale.
        }
    }
}

/// Makes the folder of a file and those above it, open to all: the mode of the socket limits access.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(()) };
    let make = || DirBuilder::new().mode(0o755).create(folder);
    let made = match make() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_folder(folder).and_then(|()| make()),
        made => made,
    };
    match made {
        // The umask has removed the bits for others.
        Ok(()) => std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn remove_stale(path: &Path) -> io::Result<()> {
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something is there that is no socket"));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another program listens there")),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(error) => Err(error),
    }
}

/// The number of a group. A name is looked up.
pub(crate) fn gid_of(group: &Group) -> io::Result<u32> {
    if let Ok(number) = group.0.parse() {
        return Ok(number);
    }
    match nix::unistd::Group::from_name(&group.0)? {
        Some(found) => Ok(found.gid.as_raw()),
        None => Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no group called {}", group.0))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODE: SocketMode = SocketMode(0o660);

    #[test]
    fn a_socket_is_made_with_its_mode_and_removed_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/sock");
        let (listener, made) = listen(&path, MODE, None).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o660, 0o755));
        assert!(UnixStream::connect(&path).is_ok());
        let busy = listen(&path, MODE, None).unwrap_err();
        assert_eq!(busy.kind(), io::ErrorKind::AddrInUse);
        drop((listener, made));
        assert!(!path.exists());
    }

    #[test]
    fn every_folder_that_is_made_is_open_to_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/libvirt/sock");
        let (_listener, _made) = listen(&path, MODE, None).unwrap();
        for folder in path.ancestors().skip(1).take(2) {
            let mode = std::fs::metadata(folder).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o755, "{}", folder.display());
        }
    }

    #[test]
    fn a_stale_socket_is_replaced_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sock");
        drop(UnixListener::bind(&path).unwrap());
        let (_listener, made) = listen(&path, MODE, None).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "somebody's").unwrap();
        let refused = listen(&path, MODE, None).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        drop(made);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "somebody's", "it was not ours to take away");
    }

    #[test]
    fn a_group_must_exist() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sock");
        let nobody = Group("no-such-group-at-all".into());
        assert_eq!(listen(&path, MODE, Some(&nobody)).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(!path.exists());
        assert_eq!(gid_of(&Group("root".into())).unwrap(), 0);
        assert_eq!(gid_of(&Group("1234".into())).unwrap(), 1234);
    }
}
