//! The libvirt door's settings: where its sockets are, who may open them, and whose secrets they see.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, ValueEnum};
use model::ProjectId;

use super::Surroundings;
use super::values::{self, Invalid};

/// The part that was chosen.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct LibvirtSettings {
    /// Serve libvirt's secret API on a UNIX socket at PATH and, read-only, at PATH-ro; or "off"
    ///
    /// Sockets that systemd passes take precedence. At /run/libvirt/virtsecretd-sock virsh and libvirt's daemons find it
    /// without being told.
    ///
    /// [default: /run/donjon/virtsecretd-sock as root, else $RUNTIME_DIRECTORY/virtsecretd-sock (in a systemd unit with
    /// RuntimeDirectory=), else $XDG_RUNTIME_DIR/donjon/virtsecretd-sock, else DATA-DIR/virtsecretd-sock]
    #[arg(long, value_name = "PATH")]
    pub(crate) libvirt_socket: Option<LibvirtSocket>,

    /// Let GROUP, a name or a number, open the read-write socket too
    ///
    /// [default: the group of the user that runs donjond, which its mode gives nothing]
    #[arg(long, value_name = "GROUP")]
    pub(crate) libvirt_socket_group: Option<Group>,

    /// Give the read-write socket the mode MODE, in octal
    ///
    /// [default: 0600, or 0660 with --libvirt-socket-group]
    #[arg(long, value_name = "MODE")]
    pub(crate) libvirt_socket_mode: Option<SocketMode>,

    /// Give the read-only socket the mode MODE, in octal: it shows what secrets there are, and no value
    ///
    /// [default: 0666]
    #[arg(long, value_name = "MODE")]
    pub(crate) libvirt_socket_ro_mode: Option<SocketMode>,

    /// Open the secrets of this project
    ///
    /// [default: default]
    #[arg(long, value_name = "ID", value_parser = project)]
    pub(crate) libvirt_project: Option<ProjectId>,

    /// Let in who can open the socket (none), or ask polkit about whoever is not root (polkit)
    ///
    /// [default: none]
    #[arg(long, value_name = "HOW", value_enum, hide_possible_values = true)]
    pub(crate) libvirt_auth: Option<LibvirtAuth>,

    /// Keep the system token here, by which libvirt's daemons prove to be such; it is made if it is not there
    ///
    /// [default: common/system.token in the socket's directory, where libvirt has it]
    #[arg(long, value_name = "FILE", value_parser = values::path)]
    pub(crate) libvirt_token: Option<PathBuf>,
}

impl LibvirtSettings {
    /// These, and `other` where these do not say.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            libvirt_socket: self.libvirt_socket.or(other.libvirt_socket),
            libvirt_socket_group: self.libvirt_socket_group.or(other.libvirt_socket_group),
            libvirt_socket_mode: self.libvirt_socket_mode.or(other.libvirt_socket_mode),
            libvirt_socket_ro_mode: self.libvirt_socket_ro_mode.or(other.libvirt_socket_ro_mode),
            libvirt_project: self.libvirt_project.or(other.libvirt_project),
            libvirt_auth: self.libvirt_auth.or(other.libvirt_auth),
            libvirt_token: self.libvirt_token.or(other.libvirt_token),
        }
    }

    /// What they come to.
    pub(super) fn resolve(self, data_dir: &Path, around: &Surroundings) -> Libvirt {
        let read_write = if self.libvirt_socket_group.is_some() { 0o660 } else { 0o600 };
        Libvirt {
            is_socket_chosen: self.libvirt_socket.is_some(),
            socket: self.libvirt_socket.unwrap_or_else(|| LibvirtSocket::At(around.libvirt_socket(data_dir))),
            group: self.libvirt_socket_group,
            mode: self.libvirt_socket_mode.unwrap_or(SocketMode(read_write)),
            ro_mode: self.libvirt_socket_ro_mode.unwrap_or(SocketMode(0o666)),
            project: self.libvirt_project.unwrap_or_else(default_project),
            auth: self.libvirt_auth.unwrap_or(LibvirtAuth::None),
            token: self.libvirt_token,
        }
    }
}

/// The choice, or the default.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Libvirt {
    pub(crate) socket: LibvirtSocket,
    /// Whether somebody named the socket; if not, the door stays closed where another server has it.
    pub(crate) is_socket_chosen: bool,
    pub(crate) group: Option<Group>,
    pub(crate) mode: SocketMode,
    pub(crate) ro_mode: SocketMode,
    pub(crate) project: ProjectId,
    pub(crate) auth: LibvirtAuth,
    pub(crate) token: Option<PathBuf>,
}

pub(super) fn project(text: &str) -> Result<ProjectId, Invalid> {
    ProjectId::try_from(text).map_err(|_| Invalid::Project)
}

#[expect(clippy::expect_used, reason = "the text is seven letters")]
fn default_project() -> ProjectId {
    ProjectId::try_from("default").expect("seven letters are a project")
}

/// Where the sockets are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum LibvirtSocket {
    /// Nowhere.
    Off,
    /// At this path, and the read-only one beside it.
    At(PathBuf),
}

impl FromStr for LibvirtSocket {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "off" => Ok(Self::Off),
            _ => values::path(text).map(Self::At),
        }
    }
}

/// A group, by name or number. Names are looked up when the socket is made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Group(pub(crate) String);

impl FromStr for Group {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let is_name = !text.is_empty() && !text.contains([':', '\n', '\0']);
        if is_name { Ok(Self(text.to_owned())) } else { Err(Invalid::Group) }
    }
}

/// The permissions of a socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct SocketMode(pub(crate) u32);

impl fmt::Display for SocketMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl FromStr for SocketMode {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777 && text.len() <= 4);
        mode.map(Self).ok_or(Invalid::SocketMode)
    }
}

/// Who is let in.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum LibvirtAuth {
    /// Who can open the socket
    None,
    /// Root, and whom polkit authorises for org.libvirt.unix.manage or org.libvirt.unix.monitor
    Polkit,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal() {
        for (text, mode) in
            [("0660", Some(0o660)), ("600", Some(0o600)), ("0", Some(0)), ("777", Some(0o777))]
        {
            assert_eq!(text.parse::<SocketMode>().ok(), mode.map(SocketMode), "{text}");
        }
        for text in ["", "1777", "0o660", "668", "rw-rw----", "-1", "+660x"] {
            assert_eq!(text.parse::<SocketMode>(), Err(Invalid::SocketMode), "{text}");
        }
        assert_eq!(SocketMode(0o60).to_string(), "0060");
    }

    #[test]
    fn a_group_widens_the_mode_unless_one_is_given() {
        let around = Surroundings { root: true, ..Surroundings::default() };
        let resolve = |settings: LibvirtSettings| settings.resolve(Path::new("/d"), &around);
        let group = || Some(Group("kvm".into()));
        assert_eq!(resolve(LibvirtSettings::default()).mode, SocketMode(0o600));
        let with_group = LibvirtSettings { libvirt_socket_group: group(), ..LibvirtSettings::default() };
        assert_eq!(resolve(with_group.clone()).mode, SocketMode(0o660));
        let with_both = LibvirtSettings { libvirt_socket_mode: Some(SocketMode(0o666)), ..with_group };
        assert_eq!(resolve(with_both).mode, SocketMode(0o666));
    }

    #[test]
    fn the_socket_is_where_others_of_the_user_look() {
        let socket =
            |around: &Surroundings| LibvirtSettings::default().resolve(Path::new("/d"), around).socket;
        let at = |path: &str| LibvirtSocket::At(path.into());
        let root = Surroundings { root: true, ..Surroundings::default() };
        assert_eq!(socket(&root), at("/run/donjon/virtsecretd-sock"));
        let user = Surroundings { xdg_runtime_dir: Some("/run/user/5".into()), ..Surroundings::default() };
        assert_eq!(socket(&user), at("/run/user/5/donjon/virtsecretd-sock"));
        let unit = |paths: &str| Surroundings {
            runtime_directory: Some(paths.into()),
            xdg_runtime_dir: Some("/run/user/5".into()),
            ..Surroundings::default()
        };
        assert_eq!(socket(&unit("/run/keys")), at("/run/keys/virtsecretd-sock"));
        assert_eq!(socket(&unit("/run/keys:/run/more")), at("/run/keys/virtsecretd-sock"));
        assert_eq!(socket(&unit("keys")), at("/run/user/5/donjon/virtsecretd-sock"));
        assert_eq!(socket(&unit("")), at("/run/user/5/donjon/virtsecretd-sock"));
        assert_eq!(
            socket(&Surroundings { root: true, ..unit("/run/keys") }),
            at("/run/donjon/virtsecretd-sock")
        );
        let by_default = LibvirtSettings::default().resolve(Path::new("/d"), &unit("/run/keys"));
        assert!(!by_default.is_socket_chosen, "nobody has named it");
        assert_eq!(socket(&Surroundings::default()), at("/d/virtsecretd-sock"));
    }
}
