//! The state of a connection, and the checks that each of its messages passes.
//!
//! The order of checks is libvirtd's, and clients see it: a client that makes two mistakes learns of the first.
//!
//! ```text
//! program and status ─▶ procedure ─▶ authenticated? ─▶ arguments ─▶ open? read-only? ─▶ dispatch ─▶ flags, the vault
//! ```

mod dispatch;
mod own;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use libvirt_rpc::error::{Code, Domain, RemoteError};
use libvirt_rpc::foreign::{Foreign, foreign};
use libvirt_rpc::frame::{self, Header, KEEPALIVE, Kind, PING, PONG, QEMU, REMOTE, VERSION};
use libvirt_rpc::messages::AUTH_NONE;
use libvirt_rpc::procedures::{Access, Procedure};
use libvirt_rpc::xdr::Decoder;
use model::{Call, UserId};

use crate::door::{Door, Socket};
use crate::error::{rpc, rpc_internal, undecodable};
use crate::events::Registrations;
use crate::identity::Peer;
use crate::later::{Decides, Later};
use crate::output::Frame;
use crate::polkit;
use crate::reply::{Answer, refusal};

/// What a message comes to.
pub(crate) enum Step {
    /// Nothing is answered.
    Nothing,
    /// It is answered at once.
    Reply(Frame),
    /// It is answered when this is done.
    Later(Later),
    /// It is answered, and that was the last.
    Last(Frame),
    /// The connection is of no more use.
    Close,
}

/// One connection, as far as the protocol goes.
pub(crate) struct Session {
    door: Arc<Door>,
    socket: Socket,
    peer: Option<Peer>,
    /// The client as polkit knows it, if it is to be asked.
    subject: Option<polkit::Subject>,
    is_authenticated: bool,
    /// Whether polkit is being asked.
    is_asking: bool,
    /// The URI it was opened with.
    uri: Option<Vec<u8>>,
    is_read_only: bool,
    user: Option<UserId>,
    is_system: bool,
    is_kept_alive: bool,
    registrations: Registrations,
}

impl Session {
    /// A new connection's.
    pub(crate) fn new(door: Arc<Door>, socket: Socket, peer: Option<Peer>) -> Self {
        let is_authenticated = door.config.auth.of(peer) == AUTH_NONE;
        let asked = peer.filter(|_| !is_authenticated);
        Self {
            subject: asked.and_then(|peer| polkit::Subject::of_peer(peer.pid, peer.uid).ok()),
            is_authenticated,
            is_asking: false,
            user: peer.and_then(Peer::user),
            door,
            socket,
            peer,
            uri: None,
            is_read_only: socket == Socket::ReadOnly,
            is_system: false,
            is_kept_alive: false,
            registrations: Registrations::default(),
        }
    }

    /// Whether the client may ask for anything.
    pub(crate) fn is_authenticated(&self) -> bool {
        self.is_authenticated
    }

    /// Whether the client has asked for keepalive messages.
    pub(crate) fn is_kept_alive(&self) -> bool {
        self.is_kept_alive
    }

    /// What it is to be told of.
    pub(crate) fn registrations(&self) -> &Registrations {
        &self.registrations
    }

    /// A call is done: takes note of what its answer decides, and gives back the message that answers it.
    pub(crate) fn finish(&mut self, call: &Later, answer: Answer) -> Frame {
        match (call.decides, answer.is_ok()) {
            (Decides::Nothing, _) => {}
            (Decides::Authentication, true) => self.is_authenticated = true,
            (Decides::Authentication, false) => self.is_asking = false,
            (Decides::Registration(callback), true) => {
                let newest = *self.door.vault.newest_change().borrow();
                self.registrations.begin(callback, newest);
            }
            (Decides::Registration(callback), false) => {
                self.registrations.remove(callback);
            }
        }
        self.door.metrics.answered(Procedure::of(call.header.procedure), answer.is_ok());
        answer.unwrap_or_else(|error| refusal(call.header, &error))
    }

    /// Handles a message, without its length.
    pub(crate) fn handle(&mut self, message: &[u8]) -> Step {
        let mut from = Decoder::new(message);
        // A message that is shorter than its header has no length that is one.
        let Ok(header) = Header::decode(&mut from) else { return Step::Close };
        match (header.kind, header.program) {
            (Kind::Message, KEEPALIVE) if header.procedure == PING => {
                Step::Reply(Frame::open(frame::empty(Header::keepalive(PONG))))
            }
            (Kind::Call, _) => self.call(header, from),
            (Kind::CallWithFds, _) => match from.u32() {
                Ok(0) => self.call(header, from),
                _ => Step::Close, // No call of a secret driver's brings any, and here none is received.
            },
            (Kind::Message | Kind::Reply | Kind::Other(_), _) => Step::Nothing,
        }
    }

    fn call(&mut self, header: Header, arguments: Decoder<'_>) -> Step {
        let procedure = match header {
            Header { program: REMOTE, version: VERSION, procedure, .. } => Procedure::of(procedure),
            _ => None,
        };
        match self.answer(header, procedure, arguments) {
            Ok(later @ Step::Later(_)) => later, // Counted when it is done.
            Ok(step) => {
                self.door.metrics.answered(procedure, true);
                step
            }
            Err(error) => {
                self.door.metrics.answered(procedure, false);
                Step::Reply(refusal(header, &error))
            }
        }
    }

    fn answer(
        &mut self,
        header: Header,
        procedure: Option<Procedure>,
        mut arguments: Decoder<'_>,
    ) -> Result<Step, RemoteError> {
        let Header { program, version, procedure: number, status, .. } = header;
        if !matches!((program, version), (REMOTE | QEMU, VERSION)) {
            return Err(rpc(format!("Cannot find program {program} version {version}")));
        }
        if status != frame::OK {
            return Err(rpc(format!("Unexpected message status {status}")));
        }
        let Some(procedure) = procedure else {
            let foreign = if program == REMOTE { foreign(number) } else { None };
            let Some(foreign) = foreign else { return Err(rpc(format!("unknown procedure: {number}"))) };
            self.require_authenticated()?;
            return Err(self.not_supported(foreign));
        };
        if procedure.access() != Access::Anybody {
            self.require_authenticated()?;
        }
        let arguments = procedure.decode(&mut arguments).map_err(|_| undecodable())?;
        self.require(procedure.access())?;
        self.dispatch(header, arguments)
    }

    fn require_authenticated(&self) -> Result<(), RemoteError> {
        if self.is_authenticated { Ok(()) } else { Err(rpc("authentication required".to_owned())) }
    }

    /// What a procedure of another daemon is answered.
    fn not_supported(&self, foreign: Foreign) -> RemoteError {
        let of_function = |code: Code, text: String| RemoteError {
            domain: foreign.domain,
            ..RemoteError::new(code, Domain::None, text.into_bytes())
        };
        if self.uri.is_none() {
            return rpc_internal(foreign.connection.not_open().to_owned());
        }
        if foreign.writes && self.is_read_only {
            return of_function(Code::OperationDenied, read_only(foreign.function));
        }
        of_function(Code::NoSupport, foreign.function.to_owned())
    }

    /// Whether the connection is what a procedure takes.
    fn require(&self, access: Access) -> Result<(), RemoteError> {
        let is_open = self.uri.is_some();
        match access {
            Access::Anybody | Access::Authenticated => Ok(()),
            Access::Connection if !is_open => Err(not_open("hypervisor connection not open")),
            Access::Secrets | Access::Write(_) if !is_open => Err(not_open("connection not open")),
            Access::Write(function) if self.is_read_only => {
                let text = read_only(function).into_bytes();
                Err(RemoteError::new(Code::OperationDenied, Domain::Secret, text))
            }
            Access::Connection | Access::Secrets | Access::Write(_) => Ok(()),
        }
    }

    fn vault_call(&self) -> Call {
        self.door.call(self.user.clone(), self.is_system)
    }
}

fn not_open(text: &str) -> RemoteError {
    rpc_internal(text.to_owned())
}

fn read_only(function: &str) -> String {
    format!("read only access prevents {function}")
}
