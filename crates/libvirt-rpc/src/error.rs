//! The error in a reply, `virNetMessageError`, with its fields as libvirt sets them.
//!
//! Programs read the code, the domain and the message; the other fields are the parts of the message. Texts are those of
//! libvirt 12.8.0, whose formats number their arguments.

use std::borrow::Cow;

use crate::xdr::{DecodeError, Decoder, EncodeError, Encoder};

/// `VIR_ERR_ERROR`: the level of every error of a daemon.
pub const LEVEL_ERROR: i32 = 2;

/// The part of libvirt that an error comes from: `virErrorDomain`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(i32)]
pub enum Domain {
    /// No part in particular.
    None = 0,
    /// The reading of XML.
    Xml = 5,
    /// The RPC itself.
    Rpc = 7,
    /// The client's side of a connection.
    Remote = 13,
    /// Hypervisor connections and domains.
    Domain = 20,
    /// Secrets.
    Secret = 30,
    /// D-Bus.
    Dbus = 47,
    /// polkit.
    Polkit = 60,
}

/// The error's code: those of `virErrorNumber` that a secret daemon uses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(i32)]
pub enum Code {
    /// `VIR_ERR_INTERNAL_ERROR`
    InternalError = 1,
    /// `VIR_ERR_NO_SUPPORT`
    NoSupport = 3,
    /// `VIR_ERR_NO_CONNECT`
    NoConnect = 5,
    /// `VIR_ERR_INVALID_ARG`
    InvalidArg = 8,
    /// `VIR_ERR_OPERATION_DENIED`
    OperationDenied = 29,
    /// `VIR_ERR_SYSTEM_ERROR`
    SystemError = 38,
    /// `VIR_ERR_RPC`
    Rpc = 39,
    /// `VIR_ERR_AUTH_FAILED`
    AuthFailed = 45,
    /// `VIR_ERR_INVALID_SECRET`
    InvalidSecret = 65,
    /// `VIR_ERR_NO_SECRET`
    NoSecret = 66,
    /// `VIR_ERR_ARGUMENT_UNSUPPORTED`
    ArgumentUnsupported = 74,
    /// `VIR_ERR_AUTH_CANCELLED`
    AuthCancelled = 79,
    /// `VIR_ERR_ACCESS_DENIED`
    AccessDenied = 88,
    /// `VIR_ERR_DBUS_SERVICE`
    DbusService = 89,
    /// `VIR_ERR_AUTH_UNAVAILABLE`
    AuthUnavailable = 94,
}

impl Code {
    /// The beginning of the message, and its format.
    const fn prefix_and_format(self) -> (&'static str, &'static str) {
        match self {
            Self::InternalError => ("internal error: ", "internal error: %1$s"),
            Self::NoSupport => (
                "this function is not supported by the connection driver: ",
                "this function is not supported by the connection driver: %1$s",
            ),
            Self::NoConnect => {
                ("no connection driver available for ", "no connection driver available for %1$s")
            }
            Self::InvalidArg => ("invalid argument: ", "invalid argument: %1$s"),
            Self::OperationDenied => ("operation forbidden: ", "operation forbidden: %1$s"),
            Self::SystemError | Self::Rpc => ("", "%s"),
            Self::AuthFailed => ("authentication failed: ", "authentication failed: %1$s"),
            Self::InvalidSecret => ("Invalid secret: ", "Invalid secret: %1$s"),
            Self::NoSecret => ("Secret not found: ", "Secret not found: %1$s"),
            Self::ArgumentUnsupported => ("argument unsupported: ", "argument unsupported: %1$s"),
            Self::AuthCancelled => ("authentication cancelled: ", "authentication cancelled: %1$s"),
            Self::AccessDenied => ("access denied: ", "access denied: %1$s"),
            Self::DbusService => ("error from service: ", "error from service: %1$s"),
            Self::AuthUnavailable => ("authentication unavailable: ", "authentication unavailable: %1$s"),
        }
    }
}

/// A text of an error. It is bytes, because it repeats a client's words unchanged.
pub type Text = Cow<'static, [u8]>;

/// An error as it is sent. Errors about secrets never name a domain or a network, so these fields are left out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RemoteError {
    /// `virErrorNumber`
    pub code: i32,
    /// `virErrorDomain`
    pub domain: i32,
    /// The text for people.
    pub message: Option<Text>,
    /// `virErrorLevel`
    pub level: i32,
    /// Usually the format of the message.
    pub str1: Option<Text>,
    /// Usually the argument of the format.
    pub str2: Option<Text>,
    /// A second argument.
    pub str3: Option<Text>,
    /// The system's error number, or -1.
    pub int1: i32,
    /// Mostly -1.
    pub int2: i32,
}

impl RemoteError {
    /// An error in libvirt's usual form: the text of the code, then the detail.
    pub fn new(code: Code, domain: Domain, detail: impl Into<Text>) -> Self {
        let ((prefix, format), detail) = (code.prefix_and_format(), detail.into());
        let message =
            if prefix.is_empty() { detail.clone() } else { [prefix.as_bytes(), &detail].concat().into() };
        Self::from_parts(code as i32, domain as i32, message, format, detail)
    }

    /// An error with a code that this crate does not name.
    pub fn from_parts(code: i32, domain: i32, message: Text, format: &'static str, detail: Text) -> Self {
        Self {
            code,
            domain,
            message: Some(message),
            level: LEVEL_ERROR,
            str1: Some(Cow::Borrowed(format.as_bytes())),
            str2: Some(detail),
            str3: None,
            int1: -1,
            int2: -1,
        }
    }

    /// The error of a function of the API that refuses an argument. It names both.
    pub fn invalid_argument(
        function: &'static str,
        argument: &'static str,
        message: impl Into<Text>,
    ) -> Self {
        Self {
            str1: Some(Cow::Borrowed(function.as_bytes())),
            str2: Some(Cow::Borrowed(argument.as_bytes())),
            int1: 0,
            int2: 0,
            ..Self::from_parts(
                Code::InvalidArg as i32,
                Domain::Secret as i32,
                message.into(),
                "",
                Text::default(),
            )
        }
    }

    /// The message as text, for logs and people. Invalid UTF-8 is replaced.
    pub fn text(&self) -> Cow<'_, str> {
        self.message.as_deref().map(String::from_utf8_lossy).unwrap_or_default()
    }

    /// Writes it.
    pub fn encode(&self, to: &mut Encoder) -> Result<(), EncodeError> {
        to.i32(self.code).i32(self.domain);
        put(to, &self.message)?.i32(self.level).u32(0);
        put(to, &self.str1)?;
        put(to, &self.str2)?;
        put(to, &self.str3)?.i32(self.int1).i32(self.int2).u32(0);
        Ok(())
    }

    /// Reads it, and skips a domain or a network.
    pub fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let (code, domain) = (from.i32()?, from.i32()?);
        let (message, level) = (take(from)?, from.i32()?);
        from.optional(|from| Ok((from.string()?, from.uuid()?, from.i32()?)))?;
        let (str1, str2, str3) = (take(from)?, take(from)?, take(from)?);
        let (int1, int2) = (from.i32()?, from.i32()?);
        from.optional(|from| Ok((from.string()?, from.uuid()?)))?;
        Ok(Self { code, domain, message, level, str1, str2, str3, int1, int2 })
    }
}

fn put<'e>(to: &'e mut Encoder, text: &Option<Text>) -> Result<&'e mut Encoder, EncodeError> {
    to.optional(text.as_ref(), |to, text| to.string(text).map(drop))
}

fn take(from: &mut Decoder<'_>) -> Result<Option<Text>, DecodeError> {
    from.optional(|from| from.string().map(|bytes| Cow::Owned(bytes.to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_what_libvirtd_sends() {
        // raw/105 of the recorded answers, without the header.
        let text = "Cannot find program 1801807216 version 1";
        let recorded = [
            &b"\0\0\0\x27\0\0\0\x07\0\0\0\x01\0\0\0\x28"[..],
            text.as_bytes(),
            b"\0\0\0\x02\0\0\0\0\0\0\0\x01\0\0\0\x02%s\0\0\0\0\0\x01\0\0\0\x28",
            text.as_bytes(),
            b"\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
        ];
        let mut to = Encoder::default();
        RemoteError::new(Code::Rpc, Domain::Rpc, text.as_bytes()).encode(&mut to).unwrap();
        assert_eq!(to.into_bytes(), recorded.concat());
    }

    #[test]
    fn an_error_comes_back_as_it_was_written() {
        for error in [
            RemoteError::new(
                Code::NoSecret,
                Domain::Secret,
                "no secret with matching uuid '…'".as_bytes().to_vec(),
            ),
            RemoteError::invalid_argument("virSecretSetValue", "value", &b"must not be NULL"[..]),
        ] {
            let mut to = Encoder::default();
            error.encode(&mut to).unwrap();
            assert_eq!(RemoteError::decode(&mut Decoder::new(&to.into_bytes())), Ok(error));
        }
    }
}
