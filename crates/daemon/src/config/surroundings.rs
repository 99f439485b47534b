//! The process and its variables (XDG, systemd), on which some defaults depend.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Facts about the process that defaults depend on.
#[derive(Default)]
pub(super) struct Surroundings {
    pub(super) root: bool,
    /// Whether this user owns the system's data directory, as the user of the service does.
    pub(super) owns_system_data: bool,
    pub(super) xdg_data_home: Option<OsString>,
    pub(super) xdg_runtime_dir: Option<OsString>,
    /// The directory that systemd made for the unit (`RuntimeDirectory=`).
    pub(super) runtime_directory: Option<OsString>,
    pub(super) home: Option<OsString>,
    /// The directory of the credentials that systemd passes to the unit.
    pub(super) credentials_directory: Option<OsString>,
}

/// The data directory of the system's server.
const SYSTEM_DATA: &str = "/var/lib/donjon";

/// Whether a directory exists and belongs to the current user.
fn is_own(directory: &str) -> bool {
    let found = std::fs::symlink_metadata(directory);
    found.is_ok_and(|found| found.is_dir() && found.uid() == rustix::process::geteuid().as_raw())
}

impl Surroundings {
    pub(super) fn of_process() -> Self {
        Self {
            root: rustix::process::geteuid().is_root(),
            owns_system_data: is_own(SYSTEM_DATA),
            xdg_data_home: std::env::var_os("XDG_DATA_HOME"),
            xdg_runtime_dir: std::env::var_os("XDG_RUNTIME_DIR"),
            runtime_directory: std::env::var_os("RUNTIME_DIRECTORY"),
            home: std::env::var_os("HOME"),
            credentials_directory: std::env::var_os("CREDENTIALS_DIRECTORY"),
        }
    }

    pub(super) fn data_dir(&self) -> Option<PathBuf> {
        if self.root || self.owns_system_data {
            return Some(PathBuf::from(SYSTEM_DATA));
        }
        let data_home = self.xdg_data_home.as_ref().and_then(absolute);
        let share = || self.home.as_ref().and_then(absolute).map(|home| home.join(".local/share"));
        data_home.or_else(share).map(|share| share.join("donjon"))
    }

    /// The path of a credential, if systemd passes credentials.
    pub(super) fn credential(&self, name: &str) -> Option<PathBuf> {
        self.credentials_directory.as_ref().and_then(absolute).map(|directory| directory.join(name))
    }

    pub(super) fn libvirt_socket(&self, data_dir: &Path) -> PathBuf {
        const NAME: &str = "virtsecretd-sock";
        if self.root {
            return Path::new("/run/donjon").join(NAME);
        }
        let of_unit = self.runtime_directory.as_deref().and_then(first_of_several);
        let of_user = || self.xdg_runtime_dir.as_ref().and_then(absolute).map(|dir| dir.join("donjon"));
        of_unit.or_else(of_user).unwrap_or_else(|| data_dir.to_owned()).join(NAME)
    }
}

/// XDG's specification ignores relative paths.
fn absolute(path: &OsString) -> Option<PathBuf> {
    Some(PathBuf::from(path)).filter(|path| path.is_absolute())
}

/// The first directory of several, which systemd separates by colons.
fn first_of_several(paths: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(paths).next().filter(|path| path.is_absolute())
}
