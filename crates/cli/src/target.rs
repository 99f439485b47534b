//! Finds the daemon.

use std::path::{Path, PathBuf};

use virsecret::{Access, Connection, Uri};

use crate::error::Error;

/// The socket of the system's `donjond`.
pub(crate) const SYSTEM: &str = "/run/donjon/virtsecretd-sock";
/// The socket of libvirt's own daemon, or of `donjond` in its place.
pub(crate) const LIBVIRT: &str = "/run/libvirt/virtsecretd-sock";
/// The socket of a user's `donjond`, below the session's folder.
const SESSION: &str = "donjon/virtsecretd-sock";

/// Connects to the daemon that the flag or the environment names, or else to the first that exists.
pub(crate) fn connect(flag: Option<&str>) -> Result<Connection, Error> {
    let variable = std::env::var_os("DONJON_URI").filter(|text| !text.is_empty());
    let variable = variable.map(|text| text.into_string().map_err(|_| Error::UriNotText)).transpose()?;
    let uri = match flag.or(variable.as_deref()) {
        Some(text) => parse(text)?,
        None => Uri::of_socket(first_there(default_sockets())?),
    };
    Ok(Connection::open_uri(&uri, Access::ReadWrite)?)
}

/// A URI, or the path of a socket.
fn parse(text: &str) -> Result<Uri, Error> {
    let is_path = text.contains('/') && !text.contains("://");
    if is_path { Ok(Uri::of_socket(text)) } else { Ok(text.parse()?) }
}

fn default_sockets() -> Vec<PathBuf> {
    let session = std::env::var_os("XDG_RUNTIME_DIR").filter(|_| !rustix::process::geteuid().is_root());
    sockets(session.as_deref().map(Path::new))
}

/// A user's own daemon comes before that of the system.
fn sockets(session: Option<&Path>) -> Vec<PathBuf> {
    let own = session.map(|folder| folder.join(SESSION));
    own.into_iter().chain([SYSTEM, LIBVIRT].map(PathBuf::from)).collect()
}

/// A socket that exists and refuses, or cannot be looked at, ends the search: its error helps more than that of another
/// daemon.
fn first_there(sockets: Vec<PathBuf>) -> Result<PathBuf, Error> {
    let there = sockets.iter().find(|path| !matches!(path.try_exists(), Ok(false))).cloned();
    there.ok_or(Error::NoSocket(sockets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_uri_or_a_path() {
        let check = |text: &str, expect: &str| {
            let sockets = parse(text).unwrap().sockets(Access::ReadWrite, None);
            assert_eq!(sockets.first(), Some(&PathBuf::from(expect)), "{text}");
        };
        check("/run/x", "/run/x");
        check("a/x", "a/x");
        check("secret:///system", LIBVIRT);
        check("secret:///system?socket=/run/x", "/run/x");
        assert!(matches!(parse("secret+bogus:///system"), Err(Error::Uri(_))));
        assert!(matches!(parse("x"), Err(Error::Uri(_))));
    }

    #[test]
    fn a_users_own_daemon_is_tried_first() {
        let own = PathBuf::from("/run/user/7/donjon/virtsecretd-sock");
        assert_eq!(sockets(Some(Path::new("/run/user/7"))), [own, SYSTEM.into(), LIBVIRT.into()]);
        assert_eq!(sockets(None), [SYSTEM, LIBVIRT].map(PathBuf::from));
        let nowhere = vec![PathBuf::from("/nowhere/a"), PathBuf::from("/nowhere/b")];
        let Err(error) = first_there(nowhere) else { panic!("found") };
        assert!(error.to_string().contains("/nowhere/a, /nowhere/b"), "{error}");
        assert_eq!(first_there(vec!["/nowhere".into(), "/".into()]).unwrap(), Path::new("/"));
    }
}
