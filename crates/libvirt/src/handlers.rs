//! The secret driver's procedures: typed arguments, one call of the vault, a typed reply.
//!
//! A call borrows nothing of its message. Flags are checked before anything is looked for, as libvirt does.

use std::sync::Arc;

use libvirt_rpc::error::{Code, RemoteError};
use libvirt_rpc::frame::{self, Header};
use libvirt_rpc::messages::{
    DEFINE_VALIDATE, LIST_EPHEMERAL, LIST_NO_EPHEMERAL, LIST_NO_PRIVATE, LIST_PRIVATE, SECRETS_MAX,
    VALUE_BYTES_MAX,
};
use libvirt_rpc::xdr::STRING_MAX;
use model::{Call, Listed, SecretId, Usage, UsageType, Which};
use vault::{Absent, Action, Payload};

use crate::door::Door;
use crate::error::{About, of_vault, of_xml, rpc, rpc_internal, secret, unencodable, unknown_flags};
use crate::events::handle;
use crate::limits::{LIST_QUICK_MAX, XML_QUICK_BYTES_MAX};
use crate::output::Frame;
use crate::reply::{Reply, empty_reply, number_reply, reply, text_reply};
use crate::xml::{self, Definition};

/// One call of the secret driver.
pub(crate) struct Request {
    /// The door of its connection.
    pub(crate) door: Arc<Door>,
    /// The caller and the time.
    pub(crate) call: Call,
    /// Its header, which the reply repeats.
    pub(crate) header: Header,
}

/// Reads a definition. If that may take long, another thread does it.
async fn read_definition(xml: Vec<u8>, flags: u32) -> Result<Definition, RemoteError> {
    let validate = flags & DEFINE_VALIDATE != 0;
    let has_doctype = xml.windows(2).any(|pair| pair == b"<!");
    let read = if xml.len() <= XML_QUICK_BYTES_MAX && !has_doctype {
        xml::parse(&xml, validate)
    } else {
        match tokio::task::spawn_blocking(move || xml::parse(&xml, validate)).await {
            Ok(read) => read,
            Err(_) => return Err(rpc_internal("the definition could not be read".to_owned())),
        }
    };
    read.map_err(|error| of_xml(&error))
}

/// Writes a list of so many entries. Another thread writes a long one.
async fn write_list(entries: usize, write: impl FnOnce() -> Reply + Send + 'static) -> Reply {
    if entries <= LIST_QUICK_MAX {
        return write();
    }
    let written = tokio::task::spawn_blocking(write).await;
    written.unwrap_or_else(|_| Err(rpc_internal("the list could not be written".to_owned())))
}

impl Request {
    /// `CONNECT_NUM_OF_SECRETS` (139), `@acl: connect:search_secrets`.
    pub(crate) async fn number_of_secrets(self) -> Reply {
        let count = self.door.vault.count_secrets(&self.call, Which::default()).await;
        let count = count.map_err(|error| of_vault(&error, About::All))?;
        number_reply(self.header, i32::try_from(count).unwrap_or(i32::MAX))
    }

    /// `CONNECT_LIST_SECRETS` (140), `@acl: connect:search_secrets`.
    pub(crate) async fn list(self, max: i32) -> Reply {
        let max = usize::try_from(max).map_err(|_| rpc("maxuuids must be non-negative".to_owned()))?;
        if max > SECRETS_MAX {
            return Err(rpc("maxuuids > REMOTE_SECRET_LIST_MAX".to_owned()));
        }
        let all = self.list_secrets(Which::default(), max).await?;
        let header = self.header;
        write_list(all.len(), move || {
            reply(header, |to| {
                to.length(all.len(), SECRETS_MAX)?;
                for listed in &all {
                    to.string(listed.id.to_string().as_bytes())?;
                }
                Ok(())
            })
        })
        .await
    }

    /// `CONNECT_LIST_ALL_SECRETS` (287), `@acl: connect:search_secrets`.
    pub(crate) async fn list_all(self, need_results: bool, flags: u32) -> Reply {
        const KNOWN: u32 = LIST_EPHEMERAL | LIST_NO_EPHEMERAL | LIST_PRIVATE | LIST_NO_PRIVATE;
        if flags & !KNOWN != 0 {
            return Err(unknown_flags(flags & !KNOWN, "secretConnectListAllSecrets"));
        }
        let which = Which {
            ephemeral: choice(flags, LIST_EPHEMERAL, LIST_NO_EPHEMERAL),
            private: choice(flags, LIST_PRIVATE, LIST_NO_PRIVATE),
        };
        if !need_results {
            let count = self.door.vault.count_secrets(&self.call, which).await;
            let count = count.map_err(|error| of_vault(&error, About::All))?;
            return reply(self.header, |to| {
                to.u32(0).u32(u32::try_from(count).unwrap_or(u32::MAX));
                Ok(())
            });
        }
        let all = self.list_secrets(which, SECRETS_MAX + 1).await?;
        if all.len() > SECRETS_MAX {
            let count = self.door.vault.count_secrets(&self.call, which).await;
            let count = count.map_err(|error| of_vault(&error, About::All))?;
            return Err(rpc_internal(format!("Too many secrets '{count}' for limit '{SECRETS_MAX}'")));
        }
        let header = self.header;
        write_list(all.len(), move || {
            let bytes = all.iter().map(|listed| handle(listed).bytes() + 3).sum();
            let message = frame::message(header.reply(frame::OK), bytes, |to| {
                to.length(all.len(), SECRETS_MAX)?;
                for listed in &all {
                    handle(listed).encode(to)?;
                }
                to.u32(u32::try_from(all.len()).unwrap_or(u32::MAX));
                Ok(())
            });
            message.map(Frame::open).map_err(|_| unencodable())
        })
        .await
    }

    async fn list_secrets(&self, which: Which, limit: usize) -> Result<Vec<Listed>, RemoteError> {
        let all = self.door.vault.all_secrets(&self.call, which, limit).await;
        all.map_err(|error| of_vault(&error, About::All))
    }

    /// `SECRET_LOOKUP_BY_UUID` (141), `@acl: secret:getattr`.
    pub(crate) async fn lookup_by_uuid(self, id: SecretId) -> Reply {
        let found = self.door.vault.lookup(&self.call, id).await;
        self.handle(&found.map_err(|error| of_vault(&error, About::Secret(id)))?)
    }

    /// `SECRET_LOOKUP_BY_USAGE` (147), `@acl: secret:getattr`.
    pub(crate) async fn lookup_by_usage(self, usage_type: i32, id: Vec<u8>) -> Reply {
        let usage = UsageType::of_number(usage_type).zip(str::from_utf8(&id).ok());
        let found = match usage {
            Some((usage_type, id)) => {
                let usage = Usage { usage_type, id: id.to_owned() };
                self.door.vault.lookup_usage(&self.call, &usage).await
            }
            // No secret can have this usage. The audit trail records the call all the same.
            None => self.door.vault.lookup(&self.call, SecretId::NIL).await,
        };
        self.handle(&found.map_err(|error| of_vault(&error, About::Usage(&id)))?)
    }

    /// `SECRET_DEFINE_XML` (142), `@acl: secret:write`, `@acl: secret:save`.
    pub(crate) async fn define_xml(self, xml: Vec<u8>, flags: u32) -> Reply {
        if flags & !DEFINE_VALIDATE != 0 {
            return Err(unknown_flags(flags & !DEFINE_VALIDATE, "secretDefineXML"));
        }
        let definition = match read_definition(xml, flags).await {
            Ok(definition) => definition,
            Err(error) => return Err(self.record_refusal(error).await),
        };
        let (id, facets) = (definition.id.unwrap_or_else(SecretId::random), definition.facets);
        // libvirt accepts a definition that it cannot show again, and then answers every look with an error.
        if xml::write(id, &facets).len() > STRING_MAX {
            let text = format!("the definition would be longer than {STRING_MAX} bytes when it is shown");
            return Err(self.record_refusal(secret(Code::InvalidArg, text)).await);
        }
        let usage = facets.usage();
        let defined = self.door.vault.define_secret(&self.call, id, facets).await;
        defined.map_err(|error| of_vault(&error, About::Definition(id, usage.as_ref())))?;
        self.handle(&Listed { id, usage })
    }

    /// Records in the audit trail that a definition was refused for its own sake.
    async fn record_refusal(&self, error: RemoteError) -> RemoteError {
        let refused = self.door.vault.refuse(&self.call, Action::CreateSecret, None).await;
        refused.map_or_else(|error| of_vault(&error, About::All), |()| error)
    }

    /// `SECRET_GET_XML_DESC` (143), `@acl: secret:read`.
    pub(crate) async fn xml_desc(self, id: SecretId, flags: u32) -> Reply {
        if flags != 0 {
            return Err(unknown_flags(flags, "secretGetXMLDesc"));
        }
        let found = self.door.vault.secret(&self.call, id).await;
        let found = found.map_err(|error| of_vault(&error, About::Secret(id)))?;
        text_reply(self.header, xml::write(id, &found.facets).as_bytes())
    }

    /// `SECRET_SET_VALUE` (144), `@acl: secret:write`.
    pub(crate) async fn set_value(self, id: SecretId, value: Payload, flags: u32) -> Reply {
        if value.is_empty() {
            let text = &b"value in virSecretSetValue must not be NULL"[..];
            return Err(RemoteError::invalid_argument("virSecretSetValue", "value", text));
        }
        if flags != 0 {
            return Err(unknown_flags(flags, "secretSetValue"));
        }
        let set = self.door.vault.set_value(&self.call, id, value).await;
        set.map_err(|error| of_vault(&error, About::Secret(id)))?;
        empty_reply(self.header)
    }

    /// `SECRET_GET_VALUE` (145), `@acl: secret:read_secure`.
    pub(crate) async fn value(self, id: SecretId, flags: u32) -> Reply {
        if flags != 0 {
            return Err(unknown_flags(flags, "secretGetValue"));
        }
        let value = self.door.vault.read_value(&self.call, id).await;
        let value = value.map_err(|error| of_vault(&error, About::Secret(id)))?;
        if value.is_empty() {
            // The REST door can store an empty payload. libvirt takes an empty value for no value.
            return Err(of_vault(&Absent::Payload(id).into(), About::Secret(id)));
        }
        let room = value.len() + 8; // Enough for all of it: a buffer that grows leaves a copy behind.
        let message = frame::message(self.header.reply(frame::OK), room, |to| {
            to.opaque(value.expose(), VALUE_BYTES_MAX).map(drop)
        });
        message.map(Frame::secret).map_err(|_| unencodable())
    }

    /// `SECRET_UNDEFINE` (146), `@acl: secret:delete`.
    pub(crate) async fn undefine(self, id: SecretId) -> Reply {
        let undefined = self.door.vault.delete_secret(&self.call, id, false).await;
        undefined.map_err(|error| of_vault(&error, About::Secret(id)))?;
        empty_reply(self.header)
    }

    fn handle(&self, listed: &Listed) -> Reply {
        reply(self.header, |to| handle(listed).encode(to))
    }
}

/// The choice of two flags that exclude each other. Both or neither choose nothing.
fn choice(flags: u32, yes: u32, no: u32) -> Option<bool> {
    match (flags & yes != 0, flags & no != 0) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        (true, true) | (false, false) => None,
    }
}
