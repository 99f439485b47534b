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
use crate::output::Frame;
use crate::pending::{Decides, PendingCall};
use crate::polkit;
use crate::reply::{Reply, error_reply};

/// What the connection does after a message.
pub(crate) enum Step {
    /// It sends nothing.
    Nothing,
    /// It sends a reply.
    Reply(Frame),
    /// It sends a reply when this call is done.
    Pending(PendingCall),
    /// It sends a reply and closes.
    Last(Frame),
    /// It closes: the stream cannot be understood.
    Close,
}

/// The protocol's state of one connection.
pub(crate) struct Session {
    door: Arc<Door>,
    socket: Socket,
    peer: Option<Peer>,
    /// The client as a subject of polkit, if polkit is to authorise it.
    subject: Option<polkit::Subject>,
    is_authenticated: bool,
    /// Whether a question to polkit is open.
    is_asking: bool,
    /// The URI of an open connection.
    uri: Option<Vec<u8>>,
    is_read_only: bool,
    user: Option<UserId>,
    is_system: bool,
    is_kept_alive: bool,
    registrations: Registrations,
}

impl Session {
    /// The state of a new connection.
    pub(crate) fn new(door: Arc<Door>, socket: Socket, peer: Option<Peer>) -> Self {
        let is_authenticated = door.config.auth.method_for(peer) == AUTH_NONE;
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

    /// Whether the client is authenticated.
    pub(crate) fn is_authenticated(&self) -> bool {
        self.is_authenticated
    }

    /// Whether the client has asked for keepalive messages.
    pub(crate) fn is_kept_alive(&self) -> bool {
        self.is_kept_alive
    }

    /// The events that the client asked for.
    pub(crate) fn registrations(&self) -> &Registrations {
        &self.registrations
    }

    /// Ends a call: counts it, notes what its reply decides, and returns the message to send.
    pub(crate) fn finish(&mut self, call: &PendingCall, reply: Reply) -> Frame {
        match (call.decides, reply.is_ok()) {
            (Decides::Nothing, _) => {}
            (Decides::Authentication, true) => self.is_authenticated = true,
            (Decides::Authentication, false) => self.is_asking = false,
            (Decides::Registration(callback), true) => {
                let newest = self.door.vault.newest_change();
                self.registrations.begin(callback, newest);
            }
            (Decides::Registration(callback), false) => {
                self.registrations.remove(callback);
            }
        }
        self.door.metrics.count_call(Procedure::from_number(call.header.procedure), reply.is_ok());
        reply.unwrap_or_else(|error| error_reply(call.header, &error))
    }

    /// Handles a message, without its length.
    pub(crate) fn handle(&mut self, message: &[u8]) -> Step {
        let mut from = Decoder::new(message);
        // The length was checked, so the header is there.
        let Ok(header) = Header::decode(&mut from) else { return Step::Close };
        match (header.kind, header.program) {
            (Kind::Message, KEEPALIVE) if header.procedure == PING => {
                Step::Reply(Frame::open(frame::empty(Header::keepalive(PONG))))
            }
            (Kind::Call, _) => self.call(header, from),
            (Kind::CallWithFds, _) => match from.u32() {
                Ok(0) => self.call(header, from),
                _ => Step::Close, // No call of the secret driver passes descriptors, and none are received.
            },
            (Kind::Message | Kind::Reply | Kind::Other(_), _) => Step::Nothing,
        }
    }

    fn call(&mut self, header: Header, arguments: Decoder<'_>) -> Step {
        let procedure = match header {
            Header { program: REMOTE, version: VERSION, procedure, .. } => Procedure::from_number(procedure),
            _ => None,
        };
        match self.check_and_dispatch(header, procedure, arguments) {
            Ok(pending @ Step::Pending(_)) => pending, // `finish` counts it.
            Ok(step) => {
                self.door.metrics.count_call(procedure, true);
                step
            }
            Err(error) => {
                self.door.metrics.count_call(procedure, false);
                Step::Reply(error_reply(header, &error))
            }
        }
    }

    /// Makes the checks in libvirtd's order, and then the call.
    fn check_and_dispatch(
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
        self.require_access(procedure.access())?;
        self.dispatch(header, arguments)
    }

    fn require_authenticated(&self) -> Result<(), RemoteError> {
        if self.is_authenticated { Ok(()) } else { Err(rpc("authentication required".to_owned())) }
    }

    /// The error for a procedure of another daemon.
    fn not_supported(&self, foreign: Foreign) -> RemoteError {
        let function_error = |code: Code, text: String| RemoteError {
            domain: foreign.domain,
            ..RemoteError::new(code, Domain::None, text.into_bytes())
        };
        if self.uri.is_none() {
            return rpc_internal(foreign.connection.not_open().to_owned());
        }
        if foreign.writes && self.is_read_only {
            return function_error(Code::OperationDenied, read_only(foreign.function));
        }
        function_error(Code::NoSupport, foreign.function.to_owned())
    }

    /// Checks that the connection is as a procedure demands.
    fn require_access(&self, access: Access) -> Result<(), RemoteError> {
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
