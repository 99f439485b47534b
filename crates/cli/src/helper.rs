//! `virt-ssh-helper`: libvirt's clients start it over ssh on another machine. This one is for hosts without libvirt's own.
//!
//! ```text
//! virsh -c secret+ssh://HOST/system ──ssh──▶ virt-ssh-helper secret:///system ──socket──▶ donjond
//! ```
//!
//! It is `donjon` itself under that name. It takes the same arguments as libvirt's helper, and copies bytes in both
//! directions until one side ends. Messages go to stderr, which the user of ssh sees.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use rustix::process::geteuid;
use virsecret::{Access, Uri};
use zeroize::Zeroize as _;

use crate::console;
use crate::target;

/// The name that libvirt's clients start.
const NAME: &str = "virt-ssh-helper";
const USAGE: &str = "usage: virt-ssh-helper [-r | --readonly] URI";
/// Bytes copied at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Whether the program was called by that name.
pub(crate) fn is_called(program: Option<&OsStr>) -> bool {
    program.map(Path::new).and_then(Path::file_name).is_some_and(|name| name == NAME)
}

/// Connects and copies.
pub(crate) fn run(arguments: impl Iterator<Item = String>) -> ExitCode {
    match parse(arguments).and_then(|(uri, access)| connect(&uri, access)) {
        Ok(stream) => serve(stream),
        Err(text) => {
            console::tell(format_args!("{NAME}: {}", console::lines(&text)));
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: impl Iterator<Item = String>) -> Result<(Uri, Access), String> {
    let (mut access, mut uri) = (Access::ReadWrite, None);
    for argument in arguments {
        match argument.as_str() {
            "-r" | "--readonly" => access = Access::ReadOnly,
            text if !text.starts_with('-') && uri.is_none() => uri = Some(text.to_owned()),
            _ => return Err(USAGE.to_owned()),
        }
    }
    let uri: Uri = uri.ok_or(USAGE)?.parse().map_err(|error| format!("{error}"))?;
    Ok((uri, access))
}

/// Connects to the first daemon that answers, in the order of libvirt's own helper. For the system's daemon donjond's
/// socket comes first.
fn connect(uri: &Uri, access: Access) -> Result<UnixStream, String> {
    let session = std::env::var_os("XDG_RUNTIME_DIR").filter(|_| !geteuid().is_root());
    let session = session.map(|folder| PathBuf::from(folder).join("libvirt"));
    let mut sockets = uri.sockets(access, session.as_deref());
    if sockets
        .first()
        .is_some_and(|first| first.starts_with(Path::new(target::LIBVIRT).parent().unwrap_or(first)))
    {
        let ending = if access == Access::ReadOnly { "-ro" } else { "" };
        sockets.insert(0, format!("{}{ending}", target::SYSTEM).into());
    }
    let mut failed = Vec::new();
    for socket in &sockets {
        match UnixStream::connect(socket) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed.push(format!("{}: {error}", socket.display())),
        }
    }
    Err(format!("no daemon can be reached. Is donjond running?\n{}", failed.join("\n")))
}

/// Copies bytes until the daemon or the client closes the connection.
fn serve(stream: UnixStream) -> ExitCode {
    let Ok(to_daemon) = stream.try_clone() else { return ExitCode::FAILURE };
    thread::spawn(move || {
        let _ = copy(io::stdin().lock(), &to_daemon);
        let _ = to_daemon.shutdown(Shutdown::Both); // The client has ended, so nobody reads an answer.
    });
    match copy(&stream, io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn copy(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let bytes = piece.get_mut(..read).unwrap_or_default();
        let sent = to.write_all(bytes).and_then(|()| to.flush());
        bytes.zeroize(); // They may have held a value.
        sent?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_of_libvirts_clients_are_accepted() {
        let parsed = |line: &str| parse(line.split(' ').map(str::to_owned)).map(|(_, access)| access);
        assert_eq!(parsed("secret:///system"), Ok(Access::ReadWrite));
        assert_eq!(parsed("-r secret:///system"), Ok(Access::ReadOnly));
        assert_eq!(parsed("--readonly qemu:///session"), Ok(Access::ReadOnly));
        for wrong in ["", "-x secret:///system", "a b", "secret:///system secret:///system"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
        assert!(is_called(Some(OsStr::new("/usr/libexec/donjon/virt-ssh-helper"))));
        assert!(!is_called(Some(OsStr::new("/usr/bin/donjon"))) && !is_called(None));
    }

    #[test]
    fn bytes_are_copied() {
        let bytes: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let mut to = Vec::new();
        copy(&bytes[..], &mut to).unwrap();
        assert!(to == bytes);
    }
}
