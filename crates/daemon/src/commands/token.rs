//! `donjond token`: makes the token that libvirt's daemons share, and lets a group read it, for a server that does not run as root.
//! It replaces no token, and locks the file as libvirt's daemons do, because one of them may make the token at the same moment.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use crate::cli;
use crate::config::values::Group;
use crate::console::print_line;
use crate::error::{DoorError, Error};
use crate::{token, unix_socket};

/// Makes the token, unless it exists, and gives it to the group.
pub(crate) fn run(flags: &cli::Token) -> Result<(), Error> {
    let path = &flags.file;
    make(path, flags.group.as_ref())
        .map_err(|source| DoorError::TokenGiven { path: path.clone(), source })?;
    print_line(format_args!("system token {}", path.display()));
    Ok(())
}

fn make(path: &Path, group: Option<&Group>) -> io::Result<()> {
    let gid = group.map(unix_socket::gid_of).transpose()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    unix_socket::make_folder(folder)?; // Folders above it, such as /run/libvirt, stay open to all.
    token::ensure(path)?;
    let Some(gid) = gid else { return Ok(()) };
    if !may_everybody_enter(folder)? {
        give(folder, gid, 0o750)?;
    }
    give(path, gid, 0o640)
}

/// A folder that everybody may enter, such as /run or /etc, holds files of others, so its group and mode stay.
fn may_everybody_enter(folder: &Path) -> io::Result<bool> {
    Ok(std::fs::metadata(folder)?.permissions().mode() & 0o001 != 0)
}

fn give(path: &Path, gid: u32, mode: u32) -> io::Result<()> {
    chown(path, None, Some(gid))?;
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    /// The user's own group, to which everybody may give a file.
    fn own() -> Group {
        Group(rustix::process::getegid().as_raw().to_string())
    }

    #[test]
    fn the_group_may_read_a_new_and_an_existing_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libvirt/common/system.token");
        let common = path.parent().unwrap();
        make(&path, None).unwrap();
        assert_eq!((mode(&path), mode(common), mode(common.parent().unwrap())), (0o600, 0o700, 0o755));
        let text = std::fs::read(&path).unwrap();
        make(&path, Some(&own())).unwrap();
        assert_eq!((mode(&path), mode(common)), (0o640, 0o750));
        assert_eq!(std::fs::read(&path).unwrap(), text, "libvirt's daemons have read it");
    }

    #[test]
    fn a_folder_open_to_all_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let path = folder.path().join("system.token");
        make(&path, Some(&own())).unwrap();
        assert_eq!((mode(&path), mode(folder.path())), (0o640, 0o755));
    }

    #[test]
    fn an_unknown_group_gets_no_token_and_a_file_without_a_token_stays_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("system.token");
        let nobody = Group("no-such-group-at-all".into());
        assert_eq!(make(&path, Some(&nobody)).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(!path.exists());
        std::fs::write(&path, "hello").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(make(&path, Some(&own())).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!((std::fs::read(&path).unwrap(), mode(&path)), (b"hello".to_vec(), 0o600));
    }
}
