//! The procedures that are the session's own business: opening, features, identity, authentication, registrations.

use std::sync::Arc;

use libvirt_rpc::error::{Code, Domain, RemoteError};
use libvirt_rpc::frame::Header;
use libvirt_rpc::messages::{
    AUTH_NONE, AUTH_TYPES_MAX, EventRegister, FEATURE_CLOSE_CALLBACK, FEATURE_EVENT_CALLBACK,
    FEATURE_KEEPALIVE, FEATURE_TYPED_PARAM_STRING, OPEN_READ_ONLY, Open, SetIdentity,
};
use model::SecretId;

use super::{Session, Step, not_open};
use crate::auth::ClientAuth;
use crate::door::Socket;
use crate::error::{About, of_vault, rpc_internal};
use crate::events::{EventId, NotRegistered};
use crate::identity::{Identity, Peer};
use crate::limits::CALLBACKS_MAX;
use crate::pending::{Decides, PendingCall};
use crate::reply::{Reply, number_reply, reply};
use crate::{polkit, uri};

impl Session {
    pub(super) fn auth_list(&self, header: Header) -> Reply {
        let auth =
            if self.is_authenticated { AUTH_NONE } else { self.door.config.auth.method_for(self.peer) };
        reply(header, |to| {
            to.length(1, AUTH_TYPES_MAX)?.i32(auth);
            Ok(())
        })
    }

    pub(super) fn open(&mut self, open: Open<'_>) -> Result<(), RemoteError> {
        if self.uri.is_some() {
            return Err(not_open("connection already open"));
        }
        self.uri = Some(uri::check(open.uri, self.door.config.reach)?);
        self.is_read_only |= open.flags & OPEN_READ_ONLY != 0;
        Ok(())
    }

    pub(super) fn supports(&mut self, feature: i32) -> Result<bool, RemoteError> {
        match feature {
            FEATURE_KEEPALIVE => {
                self.is_kept_alive = true; // The question switches it on, and needs no open connection.
                Ok(true)
            }
            _ if self.uri.is_none() => Err(not_open("hypervisor connection not open")),
            FEATURE_TYPED_PARAM_STRING | FEATURE_EVENT_CALLBACK | FEATURE_CLOSE_CALLBACK => Ok(true),
            _ => Ok(false),
        }
    }

    pub(super) fn set_identity(&mut self, arguments: &SetIdentity<'_>) -> Result<(), RemoteError> {
        let identity = Identity::claimed_by(arguments, self.door.config.token.as_ref())?;
        self.is_system = identity.is_system;
        let is_believed = self.is_system || self.peer.is_some_and(|peer| peer.uid == 0);
        self.user = match identity.user {
            Some(user) if is_believed => Some(user),
            _ => self.peer.and_then(Peer::user),
        };
        Ok(())
    }

    pub(super) fn register(
        &mut self,
        header: Header,
        arguments: EventRegister<'_>,
    ) -> Result<Step, RemoteError> {
        let event = EventId::from_number(arguments.event)
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
        Ok(Step::Pending(PendingCall::new(header, Decides::Registration(callback), async move {
            door.vault.follow(&call).await.map_err(|error| of_vault(&error, About::All))?;
            number_reply(header, callback)
        })))
    }

    pub(super) fn deregister(&mut self, callback: i32) -> Result<(), RemoteError> {
        if self.registrations.remove(callback) {
            return Ok(());
        }
        // The text names the wrong kind of event, in libvirt too.
        Err(rpc_internal(format!("node device event callback {callback} not registered")))
    }

    pub(super) fn authenticate(&mut self, header: Header) -> Result<Step, RemoteError> {
        if self.door.config.auth == ClientAuth::None || self.is_authenticated {
            // libvirtd's answer where polkit is not needed: an error that no code set.
            return Err(RemoteError {
                str1: None,
                str2: None,
                int1: 0,
                int2: 0,
                message: Some(b"Library function returned error but did not set virError"[..].into()),
                ..rpc_internal(String::new())
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
        Ok(Step::Pending(PendingCall::new(header, Decides::Authentication, async move {
            let _question = question; // It ends with this future.
            match subject {
                Some(subject) => polkit::authorise(&subject, action).await,
                None => Err(polkit::Refusal::Gone),
            }
            .map_err(|refused| refused.wire())?;
            number_reply(header, 1)
        })))
    }
}
