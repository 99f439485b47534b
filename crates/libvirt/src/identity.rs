//! The user of a connection: that of the process at its other end, or the one that a trusted process names.
//!
//! libvirt's own daemons pass on calls of their clients and name the user by `CONNECT_SET_IDENTITY`. They are believed,
//! because they run as root or show the system token. Any other client may send the same call, as with libvirt, but the
//! audit trail shows its own user.

use libvirt_rpc::error::{Code, Domain, RemoteError};
use libvirt_rpc::messages::{ParameterValue, SetIdentity};
use model::UserId;

use crate::error::quoted;
use crate::token::SystemToken;

/// The process at the other end of a UNIX socket, as the kernel knows it (`SO_PEERCRED`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Peer {
    /// Its user.
    pub uid: u32,
    /// Its process, when it connected; 0 if it is in a namespace that this one cannot see.
    pub pid: u32,
}

impl Peer {
    /// The user in the audit trail: `unix:` and the number.
    pub(crate) fn user(self) -> Option<UserId> {
        user(u64::from(self.uid))
    }
}

fn user(uid: u64) -> Option<UserId> {
    UserId::try_from(format!("unix:{uid}").as_str()).ok()
}

/// The claims of a client.
#[derive(Debug, PartialEq)]
pub(crate) struct Identity {
    /// The user that it names.
    pub(crate) user: Option<UserId>,
    /// Whether it showed the system token.
    pub(crate) is_system: bool,
}

/// The known parameters with their types: `src/util/viridentity.c` names them.
const KNOWN: [(&str, ParameterValue<'_>); 10] = [
    ("user-name", ParameterValue::String(b"")),
    ("unix-user-id", ParameterValue::ULLong(0)),
    ("group-name", ParameterValue::String(b"")),
    ("unix-group-id", ParameterValue::ULLong(0)),
    ("process-id", ParameterValue::LLong(0)),
    ("process-time", ParameterValue::ULLong(0)),
    ("sasl-user-name", ParameterValue::String(b"")),
    ("x509-distinguished-name", ParameterValue::String(b"")),
    ("selinux-context", ParameterValue::String(b"")),
    ("system.token", ParameterValue::String(b"")),
];

impl Identity {
    /// The claims in the arguments of `CONNECT_SET_IDENTITY`. A wrong token is no error: it just proves nothing.
    pub(crate) fn claimed_by(
        arguments: &SetIdentity<'_>,
        token: Option<&SystemToken>,
    ) -> Result<Self, RemoteError> {
        let mut identity = Self { user: None, is_system: false };
        let mut seen = Vec::with_capacity(arguments.parameters.len());
        for parameter in &arguments.parameters {
            let field = String::from_utf8_lossy(quoted(parameter.field)).into_owned();
            let Some((name, kind)) = KNOWN.iter().find(|(name, _)| name.as_bytes() == parameter.field) else {
                return Err(refused(Code::ArgumentUnsupported, format!("parameter '{field}' not supported")));
            };
            if seen.contains(name) {
                return Err(refused(Code::InvalidArg, format!("parameter '{field}' occurs multiple times")));
            }
            seen.push(*name);
            match (*name, parameter.value) {
                ("unix-user-id", ParameterValue::ULLong(uid)) => identity.user = user(uid),
                ("system.token", ParameterValue::String(text)) => {
                    identity.is_system = token.is_some_and(|token| token.matches(text));
                }
                (_, value) if value.type_name() == kind.type_name() => {}
                // libvirt's text has the two types the wrong way round.
                (_, value) => {
                    let (known, given) = (kind.type_name(), value.type_name());
                    let text = format!("invalid type '{known}' for parameter '{field}', expected '{given}'");
                    return Err(refused(Code::InvalidArg, text));
                }
            }
        }
        Ok(identity)
    }
}

fn refused(code: Code, text: String) -> RemoteError {
    RemoteError::new(code, Domain::None, text.into_bytes())
}

#[cfg(test)]
mod tests {
    use libvirt_rpc::messages::Parameter;

    use super::*;

    fn check(parameters: &[(&str, ParameterValue<'_>)], expect: Result<(Option<&str>, bool), &str>) {
        let parameters =
            parameters.iter().map(|(name, value)| Parameter { field: name.as_bytes(), value: *value });
        let arguments = SetIdentity { parameters: parameters.collect(), flags: 0 };
        let text = b"0123456789abcdef0123456789abcdef".to_vec();
        let token = SystemToken::try_from(zeroize::Zeroizing::new(text)).unwrap();
        let identity = Identity::claimed_by(&arguments, Some(&token));
        let found = identity.as_ref().map(|found| (found.user.as_ref().map(UserId::as_str), found.is_system));
        assert_eq!(found.map_err(|error| error.text().into_owned()), expect.map_err(str::to_owned));
    }

    /// raw/090 to raw/092 of the recorded answers.
    #[test]
    fn claims_are_believed_or_refused_as_by_libvirtd() {
        use ParameterValue::{LLong, String, ULLong};
        check(&[], Ok((None, false)));
        check(
            &[("user-name", String(b"alice")), ("unix-user-id", ULLong(1000)), ("process-id", LLong(42))],
            Ok((Some("unix:1000"), false)),
        );
        check(&[("system.token", String(b"0123456789abcdef0123456789abcdef"))], Ok((None, true)));
        check(&[("system.token", String(b"00000000000000000000000000000000"))], Ok((None, false)));
        check(&[("system.token", String(b""))], Ok((None, false)));
        check(&[("bogus", String(b"x"))], Err("argument unsupported: parameter 'bogus' not supported"));
        check(
            &[("user-name", ULLong(1))],
            Err("invalid argument: invalid type 'string' for parameter 'user-name', expected 'ullong'"),
        );
        check(
            &[("user-name", String(b"a")), ("user-name", String(b"b"))],
            Err("invalid argument: parameter 'user-name' occurs multiple times"),
        );
    }
}
