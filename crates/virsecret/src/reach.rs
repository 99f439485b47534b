//! Connects to a daemon: over a socket of this machine, over the network with or without TLS, or through a program.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::access::Access;
use crate::error::{Error, Result};
use crate::limits::CONNECT_WAIT_MAX;
use crate::socket;
use crate::stream::Stream;
use crate::tls::Credentials;
use crate::uri::{Proxy, Transport, Uri};

/// A new stream to the daemon of a URI.
pub(crate) fn daemon(uri: &Uri, access: Access) -> Result<Stream> {
    match uri.transport() {
        Transport::Unix => socket::open(&uri.sockets(access, session_folder().as_deref())).map(Stream::from),
        Transport::Tcp => tcp(uri.address()).map(Stream::from),
        Transport::Tls => {
            let credentials = Credentials::read(uri, users_home().as_deref())?;
            Stream::encrypted(tcp(uri.address())?, uri, credentials)
        }
        Transport::Ext => carried(Command::new(uri.options().command.as_deref().unwrap_or_default())),
        Transport::Ssh => carried(ssh(uri, access)),
    }
}

/// The folder with the sockets of a user's own daemons. Root's are the system's.
fn session_folder() -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return None;
    }
    let below = |name, below| folder_named(name).map(|folder| folder.join(below));
    below("XDG_RUNTIME_DIR", "libvirt")
        .or_else(|| below("XDG_CACHE_HOME", "libvirt"))
        .or_else(|| below("HOME", ".cache/libvirt"))
}

/// The folder that an environment variable names, if the path is absolute.
fn folder_named(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute())
}

/// The home of a user, who may have certificates there. Root's are the system's.
fn users_home() -> Option<PathBuf> {
    let is_root = rustix::process::geteuid().is_root();
    folder_named("HOME").filter(|_| !is_root)
}

/// The first of the host's addresses that answers.
fn tcp((host, port): (&str, u32)) -> Result<TcpStream> {
    let Ok(number) = u16::try_from(port) else {
        // No such port exists. libvirt's client would connect to the port with the number modulo 65536.
        let source = io::Error::from_raw_os_error(libc::ECONNREFUSED);
        return Err(Error::Refused { host: host.into(), port, source });
    };
    let resolved = (host, number).to_socket_addrs();
    let addresses = resolved.map_err(|source| Error::Resolve { host: host.into(), port, source })?;
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_WAIT_MAX) {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(Error::Io)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(Error::Refused { host: host.into(), port, source: last })
}

/// Runs a program whose standard input and output are the stream. Its stderr goes to the user.
fn carried(mut command: Command) -> Result<Stream> {
    let (ours, theirs) = UnixStream::pair().map_err(Error::Io)?;
    let theirs = OwnedFd::from(theirs);
    let input = theirs.try_clone().map_err(Error::Io)?;
    let program = PathBuf::from(command.get_program());
    let child = command
        .stdin(Stdio::from(input))
        .stdout(Stdio::from(theirs))
        .spawn()
        .map_err(|source| Error::Program { program, source })?;
    Ok(Stream::carried(ours, child))
}

/// `ssh … HOST sh -c 'virt-ssh-helper URI'`, or netcat if that helper is missing or the URI names a socket.
fn ssh(uri: &Uri, access: Access) -> Command {
    let (host, options) = (uri.host(), uri.options());
    let mut command = Command::new(options.command.as_deref().unwrap_or("ssh"));
    if let Some(port) = host.port.filter(|port| *port != 0) {
        command.args(["-p", &port.to_string()]);
    }
    if let Some(user) = &host.user {
        command.args(["-l", user]);
    }
    if let Some(keyfile) = &options.keyfile {
        command.args(["-i", keyfile]);
    }
    if options.no_tty {
        command.args(["-o", "PasswordAuthentication=no", "-o", "BatchMode=yes"]);
    }
    if options.no_verify {
        command.args(["-o", "StrictHostKeyChecking=no"]);
    }
    command.args([
        "-T",
        "-e",
        "none",
        "--",
        host.name_or_localhost(),
        "sh",
        "-c",
        &quoted(&remote_script(uri, access)),
    ]);
    command
}

fn remote_script(uri: &Uri, access: Access) -> String {
    let netcat = quoted(uri.options().netcat.as_deref().unwrap_or("nc"));
    let sockets = uri.sockets(access, None);
    // The last socket is that of a daemon with all drivers. Releases of libvirt that need netcat have no other.
    let socket = uri.socket().or(sockets.last().map(PathBuf::as_path)).unwrap_or(Path::new(""));
    let by_netcat = format!("exec {netcat} -U {}", quoted(&socket.to_string_lossy()));
    let read_only = if access == Access::ReadOnly { "-r " } else { "" };
    let helper = format!("exec virt-ssh-helper {read_only}{}", quoted(uri.name()));
    match uri.options().proxy {
        Proxy::Native => return helper,
        Proxy::Netcat => return by_netcat,
        Proxy::Auto if uri.socket().is_some() || uri.options().netcat.is_some() => return by_netcat,
        Proxy::Auto => {}
    }
    format!("if command -v virt-ssh-helper >/dev/null 2>&1; then {helper}; else {by_netcat}; fi")
}

/// Quotes a text as one word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(uri: &str, expect: &[&str]) {
        let command = ssh(&uri.parse().unwrap(), Access::ReadOnly);
        let words: Vec<_> = command.get_args().map(|word| word.to_str().unwrap()).collect();
        assert_eq!(words, expect, "{uri}");
    }

    #[test]
    fn ssh_is_told_what_the_uri_says() {
        let options = ["-p", "22", "-l", "me", "-i", "/k", "-o", "StrictHostKeyChecking=no"];
        let rest = ["-T", "-e", "none", "--", "far", "sh", "-c"];
        let by_netcat = quoted("exec 'nc' -U '/a b'");
        let expect: Vec<_> = options.into_iter().chain(rest).chain([by_netcat.as_str()]).collect();
        check("secret+ssh://me@far:22/system?keyfile=/k&no_verify=1&socket=/a%20b", &expect);
        let by_helper = quoted(
            "if command -v virt-ssh-helper >/dev/null 2>&1; then exec virt-ssh-helper -r 'secret:///system'; \
             else exec 'nc' -U '/run/libvirt/libvirt-sock-ro'; fi",
        );
        let expect: Vec<_> = rest.into_iter().chain([by_helper.as_str()]).collect();
        for no_port in ["secret+ssh://far/system", "secret+ssh://far:0/system"] {
            check(no_port, &expect);
        }
        for (proxy, script) in [
            ("native", "exec virt-ssh-helper -r 'secret:///system'"),
            ("netcat", "exec 'nc' -U '/run/libvirt/libvirt-sock-ro'"),
        ] {
            let script = quoted(script);
            let expect: Vec<_> = rest.into_iter().chain([script.as_str()]).collect();
            check(&format!("secret+ssh://far/system?proxy={proxy}"), &expect);
        }
    }

    #[test]
    fn a_word_for_a_shell_stays_one() {
        for text in ["", "a b", "it's", "$(x) `y` \\ \"z\""] {
            let said =
                Command::new("sh").args(["-c", &format!("printf %s {}", quoted(text))]).output().unwrap();
            assert_eq!(String::from_utf8(said.stdout).unwrap(), text);
        }
    }

    #[test]
    fn a_program_is_a_way_and_leaves_no_zombie() {
        let stream = carried(Command::new("cat")).unwrap();
        stream.send_all(b"echo").unwrap();
        let mut came = [0; 4];
        assert_eq!(stream.receive(&mut came, true).unwrap(), 4);
        assert_eq!(&came, b"echo");
        drop(stream);
        assert!(matches!(carried(Command::new("/nonexistent")), Err(Error::Program { .. })));
    }
}
