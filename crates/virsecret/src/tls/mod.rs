//! A TLS session over a socket that one thread sends on while another receives.
//!
//! ```text
//!  send_all ──▶ outgoing ═▶ state: encrypt ─┐ ciphertext ──▶ socket       outgoing is held while something is sent,
//!                                           │                            state only while nothing is waited for
//!  receive  ◀──────────── state: decrypt ◀──┴─ socket, what is there
//!                │ owes an answer (a key update)
//!                └─▶ outgoing, if nobody has it; else who has it sends it afterwards
//! ```
//!
//! So a receiving thread never waits for a sending one: it keeps reading from a daemon that takes nothing until it is read
//! from. The sender looks for owed answers after it has unlocked `outgoing`, so none is left behind.
//!
//! Decrypted bytes that did not fit the caller's room stay in the session, where no poll of the socket sees them.
//! [`Session::holds_some`] says whether there are any.
//!
//! Left out: session resumption, early data. rustls decrypts in buffers of its own and does not wipe them.

mod certificate;
mod credentials;

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::event::PollFlags;
use rustls::ClientConnection;

use crate::error::{Error, Result, TlsError};
use crate::limits::TLS_READS_MAX;
use crate::transfer;
use crate::uri::Uri;

pub(crate) use credentials::Credentials;
#[cfg(test)]
use credentials::provider;

/// The byte that a daemon sends when it has accepted our certificate and address.
const ACCEPTED: u8 = 1;

/// See above.
pub(crate) struct Session {
    /// Never held during a wait.
    state: Mutex<ClientConnection>,
    /// Encrypted bytes to send. Held while they are sent, so that records stay in order.
    outgoing: Mutex<Vec<u8>>,
}

impl Session {
    /// Does the handshake, and waits until the daemon has accepted us, at most until the deadline. The socket may be blocking.
    pub(crate) fn begin(
        socket: &OwnedFd,
        uri: &Uri,
        credentials: Credentials,
        deadline: Instant,
    ) -> Result<Self> {
        let host = uri.host().name_or_localhost();
        let mut state = credentials.connection(host, uri.options().no_verify)?;
        shake_hands(&mut state, socket, deadline).map_err(blamed)?;
        let session = Self { state: Mutex::new(state), outgoing: Mutex::default() };
        session.confirm(socket, deadline)?;
        Ok(session)
    }

    fn confirm(&self, socket: &OwnedFd, deadline: Instant) -> Result<()> {
        let mut said = [0];
        let received = loop {
            match self.receive(socket, &mut said, false) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait(socket, PollFlags::IN, deadline).map_err(TlsError::Unconfirmed)?;
                }
                Err(error) => return Err(TlsError::Unconfirmed(error).into()),
                Ok(received) => break received,
            }
        };
        match (received, said) {
            (0, _) => Err(TlsError::Unconfirmed(io::ErrorKind::UnexpectedEof.into()).into()),
            (_, [ACCEPTED]) => Ok(()),
            _ => Err(TlsError::Refused.into()),
        }
    }

    /// Sends all of it, and waits as long as the socket does.
    pub(crate) fn send_all(&self, socket: &OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
        let mut outgoing = lock(&self.outgoing);
        while !bytes.is_empty() {
            let mut state = self.state();
            let taken = state.writer().write(bytes)?;
            take(&mut state, &mut outgoing)?;
            drop(state);
            if taken == 0 {
                return Err(io::ErrorKind::WriteZero.into()); // Cannot happen: its buffer has just been emptied.
            }
            transfer::send_all(socket, &outgoing)?;
            outgoing.clear();
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        drop(outgoing);
        self.send_owed(socket);
        Ok(())
    }

    /// Receives at most as many bytes as there is room for; 0 is the end. `WouldBlock` if there are none and `wait` is false.
    /// One thread at a time.
    pub(crate) fn receive(&self, socket: &OwnedFd, room: &mut [u8], wait: bool) -> io::Result<usize> {
        loop {
            let mut state = self.state();
            let received = receive_there(&mut state, socket, room);
            let owes = state.wants_write();
            drop(state);
            if owes {
                self.send_owed(socket);
            }
            match received {
                Err(error) if wait && error.kind() == io::ErrorKind::WouldBlock => {
                    transfer::wait(socket, PollFlags::IN, None)?;
                }
                other => return other,
            }
        }
    }

    /// Whether bytes, or the end, can be received without the socket.
    pub(crate) fn holds_some(&self) -> bool {
        let there = self.state().process_new_packets();
        there.is_ok_and(|there| there.plaintext_bytes_to_read() > 0 || there.peer_has_closed())
    }

    /// Tells the daemon that the session ends. Not while another thread sends: the end cuts its message off anyway.
    pub(crate) fn say_goodbye(&self, socket: &OwnedFd) {
        if let Ok(mut outgoing) = self.outgoing.try_lock() {
            let mut state = self.state();
            state.send_close_notify();
            let taken = take(&mut state, &mut outgoing);
            drop(state);
            if taken.is_ok() {
                let _ = Ready(socket.as_fd()).write(&outgoing); // Nothing depends on it.
            }
        }
    }

    /// Sends the session's own records, if no other thread sends and as far as the socket takes them. The rest goes before the
    /// next message.
    fn send_owed(&self, socket: &OwnedFd) {
        while self.owes()
            && let Ok(mut outgoing) = self.outgoing.try_lock()
        {
            let taken = take(&mut self.state(), &mut outgoing);
            match taken.and_then(|()| Ready(socket.as_fd()).write(&outgoing)) {
                Ok(sent) => drop(outgoing.drain(..sent)),
                Err(_) => return, // Either the socket is full, or its next user gets the error.
            }
        }
    }

    fn owes(&self) -> bool {
        self.state().wants_write()
    }

    fn state(&self) -> MutexGuard<'_, ClientConnection> {
        lock(&self.state)
    }
}

/// Receives without waiting: first from the session, then from the socket.
fn receive_there(state: &mut ClientConnection, socket: &OwnedFd, room: &mut [u8]) -> io::Result<usize> {
    for _ in 0..TLS_READS_MAX {
        match state.reader().read(room) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // An attacker who cuts the stream here gains nothing: each message has its length.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
            other => return other,
        }
        state.read_tls(&mut Ready(socket.as_fd()))?;
        state.process_new_packets().map_err(broken)?;
    }
    Err(io::ErrorKind::WouldBlock.into())
}

/// Takes all ciphertext of the session.
fn take(state: &mut ClientConnection, outgoing: &mut Vec<u8>) -> io::Result<()> {
    while state.wants_write() {
        state.write_tls(outgoing)?;
    }
    Ok(())
}

fn shake_hands(state: &mut ClientConnection, socket: &OwnedFd, deadline: Instant) -> io::Result<()> {
    let mut ready = Ready(socket.as_fd());
    while state.is_handshaking() || state.wants_write() {
        let (direction, done) = if state.wants_write() {
            (PollFlags::OUT, state.write_tls(&mut ready))
        } else {
            (PollFlags::IN, state.read_tls(&mut ready))
        };
        match done {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait(socket, direction, deadline)?,
            Err(error) => return Err(error),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) if direction == PollFlags::OUT => {}
            Ok(_) => {
                if let Err(error) = state.process_new_packets() {
                    let _ = state.write_tls(&mut ready); // The alert that says why.
                    return Err(broken(error));
                }
            }
        }
    }
    Ok(())
}

fn wait(socket: &OwnedFd, direction: PollFlags, deadline: Instant) -> io::Result<()> {
    let ready = transfer::wait(socket, direction, Some(deadline))?;
    if ready { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
}

fn broken(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Tells an untrusted certificate from other failures of a handshake.
fn blamed(error: io::Error) -> Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(why)) => TlsError::Untrusted(why.clone()).into(),
        _ => TlsError::Handshake(error).into(),
    }
}

/// A socket whose reads and writes never block and never raise SIGPIPE.
struct Ready<'a>(BorrowedFd<'a>);

impl Read for Ready<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        transfer::receive(self.0, room, false)
    }
}

impl Write for Ready<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        transfer::send_some(self.0, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Nothing here panics while it holds a lock; if it did, what is behind would still be whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::sync::{Arc, mpsc};
    use std::thread::JoinHandle;
    use std::time::Duration;

    use libvirt_rpc::frame::{self, Header};
    use libvirt_rpc::messages::Lifecycle;
    use libvirt_rpc::procedures::{EVENT_LIFECYCLE, Procedure};
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ServerConfig, ServerConnection, StreamOwned};

    use super::*;
    use crate::link::Link;
    use crate::peer::{payload, reply};
    use crate::stream::Stream;

    /// No step takes longer.
    const PATIENCE: Duration = Duration::from_secs(60);
    /// openssl req -x509 -newkey ed25519 -nodes -days 36500 -subj /CN=test -addext subjectAltName=DNS:localhost
    const IDENTITY: &str = "\
        -----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIOBQ47UDxx00elMgAHtNGDTPCQYPAjscvw3D1NoYZ4HD\n\
        -----END PRIVATE KEY-----\n\
        -----BEGIN CERTIFICATE-----\n\
        MIIBRzCB+qADAgECAhQKa/N5gksWoNFGMFIwXPlln2zykjAFBgMrZXAwDzENMAsG\n\
        A1UEAwwEdGVzdDAgFw0yNjExMjQyMTM3NThaGA8yMTI2MTAzMTIxMzc1OFowDzEN\n\
        MAsGA1UEAwwEdGVzdDAqMAUGAytlcAMhADPGg9kuQdQX0mpihAivCX8+V/2X4wQY\n\
        6he3imaYsT75o2YwZDAdBgNVHQ4EFgQUglMSQPyw4Jg0hpTppNfn6E/prnowHwYD\n\
        VR0jBBgwFoAUglMSQPyw4Jg0hpTppNfn6E/prnowFAYDVR0RBA0wC4IJbG9jYWxo\n\
        b3N0MAwGA1UdEwEB/wQCMAAwBQYDK2VwA0EAHmjEmm6RvWozCb2IWxI1NIy85Wj8\n\
        uGnCnxMoCeKiCRooHqyOkT+0crbP3PvU+7YCyAeLi67iHQyolAOpapRJDA==\n\
        -----END CERTIFICATE-----\n";

    type Peer = StreamOwned<ServerConnection, TcpStream>;

    /// Has a daemon do this with a client's socket.
    fn daemon<T: Send + 'static>(
        act: impl FnOnce(TcpStream) -> T + Send + 'static,
    ) -> (TcpStream, JoinHandle<T>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (theirs, _) = listener.accept().unwrap();
        theirs.set_read_timeout(Some(PATIENCE)).unwrap();
        theirs.set_write_timeout(Some(PATIENCE)).unwrap();
        (ours, std::thread::spawn(move || act(theirs)))
    }

    fn encrypted(socket: TcpStream) -> Peer {
        let chain = vec![CertificateDer::from_pem_slice(IDENTITY.as_bytes()).unwrap()];
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, PrivateKeyDer::from_pem_slice(IDENTITY.as_bytes()).unwrap())
            .unwrap();
        StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), socket)
    }

    fn accepting(socket: TcpStream) -> Peer {
        let mut peer = encrypted(socket);
        peer.write_all(&[ACCEPTED]).unwrap();
        peer.flush().unwrap();
        peer
    }

    fn client(socket: TcpStream, parameters: &str) -> Result<Stream> {
        let uri: Uri = format!("secret+tls://localhost/system?{parameters}").parse().unwrap();
        Stream::encrypted(socket, &uri, Credentials::none())
    }

    fn refusal(parameters: &str, act: impl FnOnce(TcpStream) + Send + 'static) -> String {
        let (socket, acting) = daemon(act);
        let error = client(socket, parameters).err().unwrap().to_string();
        let _ = acting.join(); // The peer may fail because we leave.
        error
    }

    #[test]
    fn an_untrusted_daemon_and_a_daemon_that_refuses_us_are_different_errors() {
        let says = |bytes: &'static [u8]| {
            move |socket| {
                let mut peer = encrypted(socket);
                let _ = peer.write_all(bytes).and_then(|()| peer.flush());
                peer.conn.send_close_notify();
                let _ = peer.flush();
                let _ = peer.read(&mut [0]);
            }
        };
        assert!(refusal("", says(b"\x01")).starts_with("the daemon's certificate is not to be trusted: "));
        assert!(
            refusal("no_verify=1", says(b"\x00")).starts_with("the daemon does not accept this client: ")
        );
        assert!(refusal("no_verify=1", says(b"")).starts_with("the daemon did not accept this client, "));
        let plain = |mut socket: TcpStream| {
            socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
            let _ = socket.read(&mut [0; 4096]);
        };
        assert!(refusal("no_verify=1", plain).starts_with("the TLS handshake failed: "));
        assert!(refusal("no_verify=1", drop).starts_with("the TLS handshake failed: "));
    }

    #[test]
    fn a_silent_daemon_is_given_up() {
        let begin = |act: fn(TcpStream)| {
            let (socket, acting) = daemon(act);
            let uri: Uri = "secret+tls://localhost/system?no_verify=1".parse().unwrap();
            let deadline = Instant::now() + Duration::from_millis(200);
            let error = Session::begin(&socket.into(), &uri, Credentials::none(), deadline).err().unwrap();
            acting.join().unwrap();
            error
        };
        let until_the_end = |mut socket: TcpStream| while socket.read(&mut [0; 4096]).unwrap_or(0) > 0 {};
        let before = begin(until_the_end);
        assert!(
            matches!(&before, Error::Tls(TlsError::Handshake(why)) if why.kind() == io::ErrorKind::TimedOut),
            "{before}"
        );
        let after = begin(|socket| {
            let mut peer = encrypted(socket);
            let _ = peer.read(&mut [0]);
        });
        // On a busy machine it may be given up in the handshake already.
        assert!(
            matches!(&after, Error::Tls(TlsError::Unconfirmed(why) | TlsError::Handshake(why))
                if why.kind() == io::ErrorKind::TimedOut),
            "{after}"
        );
    }

    #[test]
    fn both_directions_may_be_full_at_once() {
        const BYTES: usize = 16 << 20; // More than the sockets hold.
        let (socket, acting) = daemon(|socket| {
            let mut peer = accepting(socket);
            peer.write_all(&vec![b'd'; BYTES]).unwrap(); // It takes nothing until all of this is taken.
            let mut taken = vec![0; BYTES];
            peer.read_exact(&mut taken).unwrap();
            assert!(taken.iter().all(|byte| *byte == b'u'));
            // Anew with other keys, which it asks us for too.
            peer.conn.refresh_traffic_keys().unwrap();
            peer.write_all(b"end").unwrap();
            peer.read_exact(&mut taken[..3]).unwrap();
            assert_eq!(&taken[..3], b"END");
            peer.read(&mut taken).unwrap()
        });
        let stream = client(socket, "no_verify=1").unwrap();
        assert!(stream.is_encrypted() && stream.is_secure());
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| stream.send_all(&vec![b'u'; BYTES]).unwrap());
            let (mut room, mut received) = ([0; 5000], 0);
            while received < BYTES {
                let count = stream.receive(&mut room, true).unwrap();
                assert!(count > 0 && room[..count].iter().all(|byte| *byte == b'd'));
                received += count;
            }
            sending.join().unwrap();
        });
        let mut end = [0; 3];
        assert_eq!((stream.receive(&mut end, true).unwrap(), &end), (3, b"end"));
        stream.send_all(b"END").unwrap();
        stream.shut_down();
        assert_eq!(acting.join().unwrap(), 0, "told that this is the end");
    }

    #[test]
    fn decrypted_bytes_that_wait_are_reported() {
        let (socket, acting) = daemon(|socket| {
            let mut peer = accepting(socket);
            peer.write_all(&[7; 10_000]).unwrap();
            peer.flush().unwrap();
            peer.read(&mut [0]).unwrap()
        });
        let stream = client(socket, "no_verify=1").unwrap();
        let soon = || Instant::now() + Duration::from_millis(50);
        assert!(stream.wait_until(Instant::now() + PATIENCE).unwrap());
        let mut room = [0; 100];
        for fetched in 1..=100 {
            assert_eq!(stream.receive(&mut room, true).unwrap(), 100);
            assert_eq!(
                (stream.holds_some(), stream.wait_until(soon()).unwrap()),
                (fetched < 100, fetched < 100)
            );
        }
        assert_eq!(stream.receive(&mut room, false).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        stream.shut_down();
        acting.join().unwrap();
    }

    #[test]
    fn an_event_behind_a_reply_wakes_a_polling_thread() {
        let (socket, acting) = daemon(|socket| {
            let mut peer = accepting(socket);
            let mut call = [0; frame::LENGTH_MIN];
            peer.read_exact(&mut call).unwrap();
            let call = Header::call(Procedure::ConnectGetUri as i32, 0);
            let text = payload(|to| _ = to.string(&[b'x'; 9_000]).unwrap());
            let said = Lifecycle {
                callback: 5,
                secret: libvirt_rpc::messages::Secret { uuid: [7; 16], usage_type: 2, usage_id: b"x" },
                event: 0,
                detail: 0,
            };
            let event = frame::message(Header::event(EVENT_LIFECYCLE), 64, |to| said.encode(to)).unwrap();
            peer.write_all(&[reply(call, frame::OK, &text), event].concat()).unwrap(); // In one record.
            peer.flush().unwrap();
            let _ = peer.read(&mut [0]);
        });
        let link = Link::over(client(socket, "no_verify=1").unwrap()).unwrap();
        let (tell, told) = mpsc::channel();
        link.watch(Box::new(move |notice| _ = tell.send(notice)));
        let answer = link.call(Procedure::ConnectGetUri as i32, 0, |_| Ok(()), Some(PATIENCE)).unwrap();
        assert_eq!(answer.payload().len(), 9_004);
        // Nothing more comes: what came must have been looked at.
        assert_eq!(told.try_recv(), Ok(crate::close::Notice::Events));
        assert_eq!(link.take_events().1.len(), 1);
        link.close(crate::close::CloseReason::Client);
        acting.join().unwrap();
    }
}
