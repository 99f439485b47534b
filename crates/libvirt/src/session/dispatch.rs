//! The one match over the procedures of the table.
//!
//! Arguments are decoded, and the connection is as the procedure's row demands: [`super`] has seen to that. A new row of
//! the table needs an arm here, or nothing builds.

use std::sync::Arc;

use libvirt_rpc::error::{Code, Domain, RemoteError};
use libvirt_rpc::frame::Header;
use libvirt_rpc::messages::{DefineXml, Get, ListAll, LookupByUsage, Secret, SetValue};
use libvirt_rpc::procedures::Arguments;
use model::SecretId;
use vault::Payload;

use super::{Session, Step};
use crate::handlers::Request;
use crate::pending::{Decides, PendingCall};
use crate::reply::{Reply, empty_reply, number_reply, reply, text_reply};

/// The release whose replies these are, as `CONNECT_GET_LIB_VERSION` says.
const LIB_VERSION: u64 = 12_008_000;

impl Session {
    pub(super) fn dispatch(&mut self, header: Header, arguments: Arguments<'_>) -> Result<Step, RemoteError> {
        use Arguments as A;
        let now = |reply: Reply| reply.map(Step::Reply);
        match arguments {
            A::AuthList(()) => now(self.auth_list(header)),
            A::AuthSaslInit(()) | A::AuthSaslStart(()) | A::AuthSaslStep(()) => {
                Err(RemoteError::new(Code::AuthFailed, Domain::Rpc, &b"authentication failed"[..]))
            }
            A::AuthPolkit(()) => self.authenticate(header),
            A::ConnectOpen(open) => now(self.open(open).and_then(|()| empty_reply(header))),
            A::ConnectClose(()) => empty_reply(header).map(Step::Last),
            A::ConnectSupportsFeature(feature) => {
                now(self.supports(feature).and_then(|yes| number_reply(header, i32::from(yes))))
            }
            A::ConnectGetType(()) => now(text_reply(header, b"secret")),
            A::ConnectGetUri(()) => now(text_reply(header, self.uri.as_deref().unwrap_or_default())),
            A::ConnectGetLibVersion(()) => now(reply(header, |to| {
                to.u64(LIB_VERSION);
                Ok(())
            })),
            A::ConnectIsSecure(()) => now(number_reply(header, 1)), // A UNIX socket does not leave the host.
            // A client is called back only when the hypervisor's connection is lost, and there is no hypervisor.
            A::ConnectRegisterCloseCallback(()) | A::ConnectUnregisterCloseCallback(()) => {
                now(empty_reply(header))
            }
            A::ConnectSetIdentity(identity) => {
                now(self.set_identity(&identity).and_then(|()| empty_reply(header)))
            }
            A::ConnectSecretEventRegisterAny(register) => self.register(header, register),
            A::ConnectSecretEventDeregisterAny(callback) => {
                now(self.deregister(callback).and_then(|()| empty_reply(header)))
            }
            A::ConnectNumOfSecrets(()) => self.secrets(header, Request::number_of_secrets),
            A::ConnectListSecrets(max) => self.secrets(header, |request| request.list(max)),
            A::ConnectListAllSecrets(ListAll { need_results, flags }) => {
                self.secrets(header, |request| request.list_all(need_results != 0, flags))
            }
            A::SecretLookupByUuid(uuid) => {
                self.secrets(header, |request| request.lookup_by_uuid(SecretId::from_bytes(uuid)))
            }
            A::SecretLookupByUsage(LookupByUsage { usage_type, usage_id }) => {
                self.secrets(header, |request| request.lookup_by_usage(usage_type, usage_id.to_vec()))
            }
            A::SecretDefineXml(DefineXml { xml, flags }) => {
                self.secrets(header, |request| request.define_xml(xml.to_vec(), flags))
            }
            A::SecretGetXmlDesc(Get { secret, flags }) => {
                self.secrets(header, |request| request.xml_desc(id_of(&secret), flags))
            }
            A::SecretSetValue(SetValue { secret, value, flags }) => {
                let value = Payload::new(value.to_vec());
                self.secrets(header, |request| request.set_value(id_of(&secret), value, flags))
            }
            A::SecretGetValue(Get { secret, flags }) => {
                self.secrets(header, |request| request.value(id_of(&secret), flags))
            }
            A::SecretUndefine(secret) => self.secrets(header, |request| request.undefine(id_of(&secret))),
        }
    }

    /// A call of the secret driver. It is a future of its own, so that a client may send several calls without waiting, and
    /// they are done together.
    fn secrets<F>(&self, header: Header, work: impl FnOnce(Request) -> F) -> Result<Step, RemoteError>
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let request = Request { door: Arc::clone(&self.door), call: self.vault_call(), header };
        Ok(Step::Pending(PendingCall::new(header, Decides::Nothing, work(request))))
    }
}

/// Only the UUID of a handle counts, as in libvirt.
fn id_of(secret: &Secret<'_>) -> SecretId {
    SecretId::from_bytes(secret.uuid)
}
