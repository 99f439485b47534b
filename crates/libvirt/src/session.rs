//! What a connection has come to, and what each of its messages is answered.
//!
//! The order of checks is libvirtd's, and shows: whoever makes two mistakes learns of the first. A procedure nobody has,
//! a client nobody knows, arguments that are none, a connection that is not open, one that is read-only, and only then
//! the call itself. What must not wait is answered at once; what asks the vault is a future of its own, so that a client
//! that sends one call after the other, unanswered, has them done together.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use libvirt_rpc::error::{Code, Domain, RemoteError};
use libvirt_rpc::foreign::foreign;
use libvirt_rpc::frame::{self, Header, KEEPALIVE, Kind, PING, PONG, QEMU, REMOTE, VERSION};
use libvirt_rpc::messages::{
    AUTH_NONE, AUTH_TYPES_MAX, EventRegister, FEATURE_CLOSE_CALLBACK, FEATURE_EVENT_CALLBACK,
    FEATURE_KEEPALIVE, FEATURE_TYPED_PARAM_STRING, OPEN_READ_ONLY, Open, SetIdentity,
};
use libvirt_rpc::procedures::{Access, Procedure};
use libvirt_rpc::xdr::{DecodeError, Decoder, EncodeError, Encoder};
use model::{Call, SecretId, UserId};
use tokio::sync::OwnedSemaphorePermit;

use crate::auth::Auth;
use crate::door::{Door, Socket};
use crate::error::{About, of_vault, rpc, rpc_internal, undecodable, unencodable};
use crate::events::{EventId, NotRegistered, Registrations};
use crate::handlers::{self, Begun};
use crate::identity::{Identity, Peer};
use crate::limits::CALLBACKS_MAX;
use crate::output::Frame;
use crate::{polkit, uri};

/// The release whose answers these are: what `CONNECT_GET_LIB_VERSION` says.
const LIB_VERSION: u64 = 12_008_000;

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

/// A call that is being done.
pub(crate) struct Later {
    procedure: Procedure,
    header: Header,
    work: Work,
    /// What its message holds of the memory for long ones: it has copies of it until it is done.
    memory: Option<OwnedSemaphorePermit>,
}

/// What it takes to do it.
enum Work {
    /// One of the secret driver's procedures.
    Secret(Begun),
    /// One that makes something else of the session.
    Session(Pin<Box<dyn Future<Output = Done> + Send>>),
}

impl Later {
    /// Goes on with it; when it is done, its answer and what it makes of the session.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Done> {
        match &mut self.work {
            Work::Session(work) => work.as_mut().poll(context),
            Work::Secret(work) => work.as_mut().poll(context).map(|answer| Done {
                frame: answer.unwrap_or_else(|error| refusal(self.header, &error)),
                effect: Effect::None,
            }),
        }
    }

    fn new(procedure: Procedure, header: Header, work: Work) -> Self {
        Self { procedure, header, work, memory: None }
    }

    /// Holds memory until it is done.
    pub(crate) fn hold(&mut self, memory: Option<OwnedSemaphorePermit>) {
        self.memory = memory;
    }

    /// What was called.
    pub(crate) fn procedure(&self) -> Procedure {
        self.procedure
    }

    /// Whether it makes a list.
    pub(crate) fn is_list(&self) -> bool {
        is_list(self.procedure)
    }
}

fn is_list(procedure: Procedure) -> bool {
    matches!(procedure, Procedure::ConnectListSecrets | Procedure::ConnectListAllSecrets)
}

/// Whether a message, without its length, calls for a list.
pub(crate) fn asks_for_a_list(message: &[u8]) -> bool {
    Header::decode(&mut Decoder::new(message)).is_ok_and(|header| {
        let procedure = Procedure::of(header.procedure);
        header.program == REMOTE && procedure.is_some_and(is_list)
    })
}

/// A call that was done.
pub(crate) struct Done {
    /// Its answer.
    pub(crate) frame: Frame,
    /// What the session is now.
    pub(crate) effect: Effect,
}

/// What a call that was done makes of a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    /// Nothing else.
    None,
    /// Its client is authenticated.
    Authenticated,
    /// Its client is not, and may ask again.
    Unauthenticated,
    /// A registration holds from now on.
    Registered(i32),
    /// A registration was refused after all.
    Unregistered(i32),
}

/// What a handler comes to: a whole message, or an error to be sent instead.
pub(crate) type Answer = Result<Frame, RemoteError>;

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

    /// Takes note of what a call has done.
    pub(crate) fn apply(&mut self, procedure: Procedure, done: &Done) {
        self.door.metrics.answered(Some(procedure), !is_error(&done.frame));
        match done.effect {
            Effect::None => {}
            Effect::Authenticated => self.is_authenticated = true,
            Effect::Unauthenticated => self.is_asking = false,
            Effect::Registered(callback) => {
                let newest = *self.door.vault.newest_change().borrow();
                self.registrations.begin(callback, newest);
            }
            Effect::Unregistered(callback) => {
                self.registrations.remove(callback);
            }
        }
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
        arguments: Decoder<'_>,
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
        self.serve(procedure, header, arguments)
    }

    fn require_authenticated(&self) -> Result<(), RemoteError> {
        if self.is_authenticated { Ok(()) } else { Err(rpc("authentication required".to_owned())) }
    }

    /// What a procedure of another daemon is answered.
    fn not_supported(&self, foreign: libvirt_rpc::foreign::Foreign) -> RemoteError {
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
    fn require(&self, procedure: Procedure) -> Result<(), RemoteError> {
        let is_open = self.uri.is_some();
        match procedure.access() {
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

    fn serve(
        &mut self,
        procedure: Procedure,
        header: Header,
        mut arguments: Decoder<'_>,
    ) -> Result<Step, RemoteError> {
        use Procedure as P;
        let now = |frame: Result<Frame, RemoteError>| frame.map(Step::Reply);
        match procedure {
            P::AuthList => now(reply(header, |to| {
                let auth =
                    if self.is_authenticated { AUTH_NONE } else { self.door.config.auth.of(self.peer) };
                to.length(1, AUTH_TYPES_MAX)?.i32(auth);
                Ok(())
            })),
            P::AuthSaslInit | P::AuthSaslStart | P::AuthSaslStep => {
                Err(RemoteError::new(Code::AuthFailed, Domain::Rpc, &b"authentication failed"[..]))
            }
            P::AuthPolkit => {
                let work = self.authenticate(header)?;
                Ok(Step::Later(Later::new(procedure, header, work)))
            }
            P::ConnectOpen => {
                let open = decoded(Open::decode(&mut arguments))?;
                self.open(open)?;
                now(reply(header, |_| Ok(())))
            }
            P::ConnectClose => Ok(Step::Last(reply(header, |_| Ok(()))?)),
            P::ConnectSupportsFeature => {
                let feature = decoded(arguments.i32())?;
                now(self.supports(feature).and_then(|yes| number(header, i32::from(yes))))
            }
            P::ConnectGetType => {
                self.require(procedure)?;
                now(text(header, b"secret"))
            }
            P::ConnectGetUri => {
                self.require(procedure)?;
                now(text(header, self.uri.as_deref().unwrap_or_default()))
            }
            P::ConnectGetLibVersion => {
                self.require(procedure)?;
                now(reply(header, |to| {
                    to.u64(LIB_VERSION);
                    Ok(())
                }))
            }
            // A UNIX socket goes nowhere else.
            P::ConnectIsSecure => {
                self.require(procedure)?;
                now(number(header, 1))
            }
            // The one reason to call back is that the hypervisor's connection is lost, and there is none.
            P::ConnectRegisterCloseCallback | P::ConnectUnregisterCloseCallback => {
                self.require(procedure)?;
                now(reply(header, |_| Ok(())))
            }
            P::ConnectSetIdentity => {
                let arguments = decoded(SetIdentity::decode(&mut arguments))?;
                self.require(procedure)?;
                self.set_identity(&arguments)?;
                now(reply(header, |_| Ok(())))
            }
            P::ConnectSecretEventRegisterAny => {
                let arguments = decoded(EventRegister::decode(&mut arguments))?;
                self.require(procedure)?;
                let work = self.register(header, arguments)?;
                Ok(Step::Later(Later::new(procedure, header, work)))
            }
            P::ConnectSecretEventDeregisterAny => {
                let callback = decoded(arguments.i32())?;
                self.require(procedure)?;
                if !self.registrations.remove(callback) {
                    // The text names the wrong kind of event, in libvirt too.
                    let text = format!("node device event callback {callback} not registered");
                    return Err(rpc_internal(text));
                }
                now(reply(header, |_| Ok(())))
            }
            P::ConnectNumOfSecrets
            | P::ConnectListSecrets
            | P::ConnectListAllSecrets
            | P::SecretLookupByUuid
            | P::SecretLookupByUsage
            | P::SecretDefineXml
            | P::SecretGetXmlDesc
            | P::SecretSetValue
            | P::SecretGetValue
            | P::SecretUndefine => {
                let ask = handlers::Ask { door: Arc::clone(&self.door), call: self.vault_call(), header };
                let decoded = handlers::begin(procedure, ask, &mut arguments);
                // Arguments that are none come before a connection that is not open, and that before what is wrong with
                // them otherwise.
                let begun = decoded.map_err(|_| undecodable())?;
                self.require(procedure)?;
                Ok(Step::Later(Later::new(procedure, header, Work::Secret(begun))))
            }
        }
    }

    fn vault_call(&self) -> Call {
        self.door.call(self.user.clone(), self.is_system)
    }

    fn open(&mut self, open: Open<'_>) -> Result<(), RemoteError> {
        if self.uri.is_some() {
            return Err(not_open("connection already open"));
        }
        self.uri = Some(uri::check(open.uri, self.door.config.reach)?);
        self.is_read_only |= open.flags & OPEN_READ_ONLY != 0;
        Ok(())
    }

    fn supports(&mut self, feature: i32) -> Result<bool, RemoteError> {
        match feature {
            FEATURE_KEEPALIVE => {
                self.is_kept_alive = true; // To ask for it is to switch it on, and needs no open connection.
                Ok(true)
            }
            _ if self.uri.is_none() => Err(not_open("hypervisor connection not open")),
            FEATURE_TYPED_PARAM_STRING | FEATURE_EVENT_CALLBACK | FEATURE_CLOSE_CALLBACK => Ok(true),
            _ => Ok(false),
        }
    }

    fn set_identity(&mut self, arguments: &SetIdentity<'_>) -> Result<(), RemoteError> {
        let identity = Identity::of(arguments, self.door.config.token.as_ref())?;
        self.is_system = identity.is_system;
        let is_believed = self.is_system || self.peer.is_some_and(|peer| peer.uid == 0);
        self.user = match identity.user {
            Some(user) if is_believed => Some(user),
            _ => self.peer.and_then(Peer::user),
        };
        Ok(())
    }

    fn register(&mut self, header: Header, arguments: EventRegister<'_>) -> Result<Work, RemoteError> {
        let event = EventId::of(arguments.event)
            .ok_or_else(|| rpc_internal(format!("unsupported secret event ID {}", arguments.event)))?;
        let secret = arguments.secret.map(|secret| SecretId::from_bytes(secret.uuid));
        let next = || self.door.next_callback();
        let callback = self.registrations.add(event, secret, next).map_err(|refused| match refused {
            NotRegistered::Tracked => {
                RemoteError::new(Code::InvalidArg, Domain::None, &b"event callback already tracked"[..])
            }
            NotRegistered::TooMany => {
                rpc_internal(format!("a connection may have {CALLBACKS_MAX} event callbacks, and has"))
            }
        })?;
        let (door, call) = (Arc::clone(&self.door), self.vault_call());
        Ok(Work::Session(Box::pin(async move {
            let may = door.vault.may_follow(&call).await.map_err(|error| of_vault(&error, About::All));
            match may.and_then(|()| number(header, callback)) {
                Ok(frame) => Done { frame, effect: Effect::Registered(callback) },
                Err(error) => Done { frame: refusal(header, &error), effect: Effect::Unregistered(callback) },
            }
        })))
    }

    fn authenticate(&mut self, header: Header) -> Result<Work, RemoteError> {
        if self.door.config.auth == Auth::None || self.is_authenticated {
            // Said by libvirtd where polkit is not asked: the error that nobody made.
            return Err(RemoteError {
                str1: None,
                str2: None,
                int1: 0,
                int2: 0,
                ..rpc_internal_bare("Library function returned error but did not set virError")
            });
        }
        let uid = self.peer.map_or(u32::MAX, |peer| peer.uid);
        let question = if self.is_asking { None } else { self.door.questions.begin(uid) };
        let question = question.ok_or_else(|| {
            RemoteError::new(Code::AuthFailed, Domain::Rpc, &b"authentication is under way"[..])
        })?;
        self.is_asking = true;
        let subject = self.subject;
        let action = match self.socket {
            Socket::ReadWrite => polkit::Action::Manage,
            Socket::ReadOnly => polkit::Action::Monitor,
        };
        Ok(Work::Session(Box::pin(async move {
            let _question = question; // Until it is answered, or given up.
            let authorised = match subject {
                Some(subject) => polkit::authorise(&subject, action).await,
                None => Err(polkit::Refusal::Gone),
            };
            match authorised {
                Ok(()) => Done {
                    frame: number(header, 1).unwrap_or_else(|error| refusal(header, &error)),
                    effect: Effect::Authenticated,
                },
                Err(refused) => {
                    Done { frame: refusal(header, &refused.wire()), effect: Effect::Unauthenticated }
                }
            }
        })))
    }
}

fn rpc_internal_bare(message: &'static str) -> RemoteError {
    RemoteError {
        message: Some(std::borrow::Cow::Borrowed(message.as_bytes())),
        ..rpc_internal(String::new())
    }
}

fn not_open(text: &str) -> RemoteError {
    rpc_internal(text.to_owned())
}

fn read_only(function: &str) -> String {
    format!("read only access prevents {function}")
}

fn decoded<T>(arguments: Result<T, DecodeError>) -> Result<T, RemoteError> {
    arguments.map_err(|_| undecodable())
}

/// A reply, with whatever `write` puts into it.
pub(crate) fn reply(
    header: Header,
    write: impl FnOnce(&mut Encoder) -> Result<(), EncodeError>,
) -> Result<Frame, RemoteError> {
    let message = frame::message(header.reply(frame::OK), 64, write);
    message.map(Frame::open).map_err(|_| unencodable())
}

/// A reply of one number.
pub(crate) fn number(header: Header, number: i32) -> Result<Frame, RemoteError> {
    reply(header, |to| {
        to.i32(number);
        Ok(())
    })
}

/// A reply of one text.
pub(crate) fn text(header: Header, text: &[u8]) -> Result<Frame, RemoteError> {
    reply(header, |to| to.string(text).map(drop))
}

/// A reply that is an error. One that is too long to be told is told shorter.
pub(crate) fn refusal(header: Header, error: &RemoteError) -> Frame {
    let header = header.reply(frame::ERROR);
    let message = frame::message(header, 256, |to| error.encode(to))
        .or_else(|_| frame::message(header, 256, |to| unencodable().encode(to)));
    Frame::open(message.unwrap_or_default())
}

fn is_error(frame: &Frame) -> bool {
    // The status is the last word of the header.
    frame.bytes().get(24..28) == Some(&frame::ERROR.to_be_bytes())
}
