//! The sockets of the server: passed by systemd, or made where the configuration says.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};

use crate::banner::Addresses;
use crate::config::Config;
use crate::config::values::{ListenAt, SocketMode};
use crate::error::{DoorError, Error};
use crate::listen::PassedSockets;
use crate::unix_socket::{self, SocketFile};

/// The sockets of the server. They are open before anything else is touched.
pub(super) struct Sockets {
    pub(super) rest: Vec<StdListener>,
    pub(super) libvirt: UnixSockets,
    pub(super) metrics: Option<StdListener>,
    pub(super) admin: AdminSocket,
}

/// The admin socket. It is in the data directory, so it is made after that.
pub(super) enum AdminSocket {
    Off,
    Open(StdUnixListener, SocketFile),
    /// The default path cannot be used.
    Closed(DoorError),
}

impl AdminSocket {
    pub(super) fn open(config: &Config) -> Result<Self, Error> {
        let Some(path) = config.general.admin_socket.path() else { return Ok(Self::Off) };
        match unix_socket::listen(path, SocketMode(0o600), None) {
            Ok((socket, made)) => Ok(Self::Open(socket, made)),
            Err(source) => {
                let error = DoorError::ListenUnix { path: path.to_owned(), flag: "--admin-socket", source };
                if config.derived.is_admin_socket_chosen {
                    Err(error.into())
                } else {
                    Ok(Self::Closed(error))
                }
            }
        }
    }
}

impl Sockets {
    pub(super) fn open(config: &Config, passed: PassedSockets) -> Result<Self, Error> {
        for socket in &passed.tcp {
            config.allow_listening_at(socket.local_addr().map_err(DoorError::PassedSocket)?)?;
        }
        let libvirt = UnixSockets::open(config, passed.unix)?;
        let rest = match (passed.tcp.is_empty(), config.general.listen) {
            (false, _) => passed.tcp,
            (true, ListenAt::At(address)) => vec![bind(address, "--listen")?],
            (true, ListenAt::Off) => Vec::new(),
        };
        if rest.is_empty() && libvirt.sockets.is_empty() {
            return Err(Error::NothingToServe);
        }
        let metrics = match config.general.metrics_listen {
            ListenAt::Off => None,
            ListenAt::At(address) => Some(bind(address, "--metrics-listen")?),
        };
        Ok(Self { rest, libvirt, metrics, admin: AdminSocket::Off })
    }

    /// The addresses, with the port that the system chose for port 0.
    pub(super) fn addresses(&self) -> Addresses {
        let address = |socket: &StdListener| socket.local_addr().ok();
        Addresses {
            rest: self.rest.iter().filter_map(address).collect(),
            libvirt: self.libvirt.path(libvirt::Socket::ReadWrite),
            metrics: self.metrics.as_ref().and_then(address),
        }
    }
}

/// The sockets of the libvirt door.
#[derive(Default)]
pub(super) struct UnixSockets {
    pub(super) sockets: Vec<(StdUnixListener, libvirt::Socket)>,
    /// Whether systemd made them, for the whole machine.
    pub(super) are_passed: bool,
    /// Files that are removed with this.
    pub(super) made: Vec<SocketFile>,
    /// Why there are no sockets although there should be.
    pub(super) closed: Option<DoorError>,
}

impl UnixSockets {
    pub(super) fn open(config: &Config, passed: Vec<StdUnixListener>) -> Result<Self, Error> {
        if !passed.is_empty() {
            return Ok(Self::passed(passed)?);
        }
        let Some(path) = config.general.libvirt_socket.path() else { return Ok(Self::default()) };
        match Self::make(config, path) {
            // Only the default path may fail: with a named one, clients would find another program's secrets there.
            Err(closed) if !config.derived.is_libvirt_socket_chosen => {
                Ok(Self { closed: Some(closed), ..Self::default() })
            }
            made => Ok(made?),
        }
    }

    fn make(config: &Config, path: &Path) -> Result<Self, DoorError> {
        let read_only = unix_socket::read_only_path(path);
        let listen = |path: &Path, mode, group| {
            unix_socket::listen(path, mode, group).map_err(|source| DoorError::ListenUnix {
                path: path.to_owned(),
                flag: "--libvirt-socket",
                source,
            })
        };
        let (first, made) =
            listen(path, config.general.libvirt_socket_mode, config.general.libvirt_socket_group.as_ref())?;
        let (second, made_too) = listen(&read_only, config.general.libvirt_socket_ro_mode, None)?;
        let sockets = vec![(first, libvirt::Socket::ReadWrite), (second, libvirt::Socket::ReadOnly)];
        Ok(Self { sockets, made: vec![made, made_too], ..Self::default() })
    }

    /// The names tell the sockets apart, as in libvirt. libvirt's third socket, for virt-admin, is closed. A socket with
    /// another name is refused: a guess might let read-only clients write.
    fn passed(passed: Vec<StdUnixListener>) -> Result<Self, DoorError> {
        let mut sockets = Vec::new();
        for socket in passed {
            let path = path_of(&socket).unwrap_or_default();
            let name = path.display().to_string();
            if name.ends_with("-admin-sock") {
                tracing::info!(name, "not served: there is no administration by libvirt's API");
            } else if name.ends_with("-ro") {
                sockets.push((socket, libvirt::Socket::ReadOnly));
            } else if name.ends_with("-sock") {
                sockets.push((socket, libvirt::Socket::ReadWrite));
            } else {
                return Err(DoorError::PassedName(path));
            }
        }
        Ok(Self { sockets, are_passed: true, ..Self::default() })
    }

    fn path(&self, which: libvirt::Socket) -> Option<PathBuf> {
        self.sockets.iter().find(|(_, socket)| *socket == which).and_then(|(socket, _)| path_of(socket))
    }

    /// The path where libvirt's daemons keep the token: below the folder of their sockets.
    pub(super) fn token_path(&self) -> Option<PathBuf> {
        let (socket, _) = self.sockets.first()?;
        Some(path_of(socket)?.parent()?.join("common/system.token"))
    }
}

fn path_of(socket: &StdUnixListener) -> Option<PathBuf> {
    socket.local_addr().ok()?.as_pathname().map(Path::to_owned)
}

fn bind(address: SocketAddr, flag: &'static str) -> Result<StdListener, DoorError> {
    StdListener::bind(address).map_err(|source| DoorError::Listen { address, flag, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_passed_socket_says_its_purpose() {
        use libvirt::Socket::{ReadOnly, ReadWrite};
        let folder = tempfile::tempdir().unwrap();
        let check = |name: &str, expect: Option<&[libvirt::Socket]>| {
            let passed = UnixSockets::passed(vec![StdUnixListener::bind(folder.path().join(name)).unwrap()]);
            let served =
                passed.ok().map(|open| open.sockets.iter().map(|(_, which)| *which).collect::<Vec<_>>());
            assert_eq!(served.as_deref(), expect, "{name}");
        };
        check("virtsecretd-sock", Some(&[ReadWrite]));
        check("virtsecretd-sock-ro", Some(&[ReadOnly]));
        check("libvirt-sock", Some(&[ReadWrite]));
        check("keys-ro", Some(&[ReadOnly]));
        check("virtsecretd-admin-sock", Some(&[]));
        check("donjon.sock", None);
        check("virtsecretd-sock-rw", None);
    }

    #[test]
    fn a_passed_socket_with_another_name_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("donjon.sock");
        let refused = UnixSockets::passed(vec![StdUnixListener::bind(&path).unwrap()]).err().unwrap();
        let said = refused.to_string();
        assert!(said.contains(path.to_str().unwrap()) && said.contains("virtsecretd-sock-ro"), "{said}");
    }
}
