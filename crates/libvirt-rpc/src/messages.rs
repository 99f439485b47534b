//! Arguments and replies of [`crate::procedures`], each with `decode` and `encode`, so that server and client agree.
//!
//! Texts are bytes that borrow from the message: a client's text need not be UTF-8, and errors repeat it unchanged. A
//! reply of one number or one string has no type here: [`crate::xdr`] reads and writes it.

use std::fmt;

use crate::xdr::{DecodeError, Decoder, EncodeError, Encoder};

/// `REMOTE_SECRET_VALUE_MAX`: the longest value of a secret.
pub const VALUE_BYTES_MAX: usize = 65_536;
/// `REMOTE_SECRET_LIST_MAX`: the most secrets in a list.
pub const SECRETS_MAX: usize = 16_384;
/// `REMOTE_AUTH_TYPE_LIST_MAX`
pub const AUTH_TYPES_MAX: usize = 20;
/// `REMOTE_CONNECT_IDENTITY_PARAMS_MAX`
pub const IDENTITY_PARAMETERS_MAX: usize = 20;

/// `VIR_CONNECT_RO`: the only flag of `CONNECT_OPEN` that a daemon reads.
pub const OPEN_READ_ONLY: u32 = 1;
/// `VIR_SECRET_DEFINE_VALIDATE`
pub const DEFINE_VALIDATE: u32 = 1;

/// `VIR_CONNECT_LIST_SECRETS_EPHEMERAL`
pub const LIST_EPHEMERAL: u32 = 1;
/// `VIR_CONNECT_LIST_SECRETS_NO_EPHEMERAL`
pub const LIST_NO_EPHEMERAL: u32 = 2;
/// `VIR_CONNECT_LIST_SECRETS_PRIVATE`
pub const LIST_PRIVATE: u32 = 4;
/// `VIR_CONNECT_LIST_SECRETS_NO_PRIVATE`
pub const LIST_NO_PRIVATE: u32 = 8;

/// `REMOTE_AUTH_NONE`, `_SASL`, `_POLKIT`: the answers of `AUTH_LIST`.
pub const AUTH_NONE: i32 = 0;
/// See [`AUTH_NONE`].
pub const AUTH_SASL: i32 = 1;
/// See [`AUTH_NONE`].
pub const AUTH_POLKIT: i32 = 2;

/// `VIR_DRV_FEATURE_TYPED_PARAM_STRING`: strings among typed parameters.
pub const FEATURE_TYPED_PARAM_STRING: i32 = 8;
/// `VIR_DRV_FEATURE_PROGRAM_KEEPALIVE`: the question also switches it on.
pub const FEATURE_KEEPALIVE: i32 = 10;
/// `VIR_DRV_FEATURE_REMOTE_EVENT_CALLBACK`
pub const FEATURE_EVENT_CALLBACK: i32 = 14;
/// `VIR_DRV_FEATURE_REMOTE_CLOSE_CALLBACK`
pub const FEATURE_CLOSE_CALLBACK: i32 = 15;

/// `VIR_SECRET_EVENT_ID_LIFECYCLE`
pub const EVENT_ID_LIFECYCLE: i32 = 0;
/// `VIR_SECRET_EVENT_ID_VALUE_CHANGED`
pub const EVENT_ID_VALUE_CHANGED: i32 = 1;
/// `VIR_SECRET_EVENT_DEFINED`
pub const LIFECYCLE_DEFINED: i32 = 0;
/// `VIR_SECRET_EVENT_UNDEFINED`
pub const LIFECYCLE_UNDEFINED: i32 = 1;

/// `remote_nonnull_secret`: a handle. A daemon looks only at its UUID.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Secret<'a> {
    /// The secret's id.
    pub uuid: [u8; 16],
    /// `virSecretUsageType`, 0 for none.
    pub usage_type: i32,
    /// The id of its usage; empty for none.
    pub usage_id: &'a [u8],
}

impl<'a> Secret<'a> {
    /// Reads it.
    pub fn decode(from: &mut Decoder<'a>) -> Result<Self, DecodeError> {
        Ok(Self { uuid: from.uuid()?, usage_type: from.i32()?, usage_id: from.string()? })
    }

    /// Writes it.
    pub fn encode(&self, to: &mut Encoder) -> Result<(), EncodeError> {
        to.uuid(&self.uuid).i32(self.usage_type).string(self.usage_id).map(drop)
    }

    /// About the bytes that [`Self::encode`] writes.
    pub fn bytes(&self) -> usize {
        28 + self.usage_id.len()
    }
}

/// Arguments of `CONNECT_OPEN`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Open<'a> {
    /// The URI, without the client's own parameters.
    pub uri: Option<&'a [u8]>,
    /// [`OPEN_READ_ONLY`]
    pub flags: u32,
}

impl<'a> Open<'a> {
    /// Reads them.
    pub fn decode(from: &mut Decoder<'a>) -> Result<Self, DecodeError> {
        Ok(Self { uri: from.optional(Decoder::string)?, flags: from.u32()? })
    }

    /// Writes them.
    pub fn encode(&self, to: &mut Encoder) -> Result<(), EncodeError> {
        to.optional(self.uri, |to, uri| to.string(uri).map(drop))?.u32(self.flags);
        Ok(())
    }
}

/// Arguments of `SECRET_DEFINE_XML`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DefineXml<'a> {
    /// The document.
    pub xml: &'a [u8],
    /// [`DEFINE_VALIDATE`]
    pub flags: u32,
}

impl<'a> DefineXml<'a> {
    /// Reads them.
    pub fn decode(from: &mut Decoder<'a>) -> Result<Self, DecodeError> {
        Ok(Self { xml: from.string()?, flags: from.u32()? })
    }

    /// Writes them.
    pub fn encode(&self, to: &mut Encoder) -> Result<(), EncodeError> {
        to.string(self.xml)?.u32(self.flags);
        Ok(())
    }
}

/// Arguments of `SECRET_GET_XML_DESC` and `SECRET_GET_VALUE`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Get<'a> {
    /// The secret.
    pub secret: Secret<'a>,
    /// No flag is defined.
    pub flags: u32,
}

impl<'a> Get<'a> {
    /// Reads them.
    pub fn decode(from: &mut Decoder<'a>) -> Result<Self, DecodeError> {
        Ok(Self { secret: Secret::decode(from)?, flags: from.u32()? })
    }

    /// Writes them.
    pub fn encode(&self, to: &mut Encoder) -> Result<(), EncodeError> {
        self.secret.encode(to)?;
        to.u32(self.flags);
        Ok(())
    }
}

/// Arguments of `SECRET_SET_VALUE`. No `Debug`: the value is a secret.
#[derive(Clone, Copy)]
pub struct SetValue<'a> {
    /// The secret.
    pub secret: Secret<'a>,
    /// The value, where it lies in the message.
    pub value: &'a [u8],
    /// No flag is defined.
    pub flags: u32,
}

impl<'a> SetValue<'a> {
    /// Reads them.
    pub fn decode(from: &mut Decoder<'a>) -> Result<Self, DecodeError> {
        let secret = Secret::decode(from)?;
        Ok(Self { secret, value: from.opaque(VALUE_BYTES_MAX)?, flags: from.u32()? })
    }

    /// Writes them.
    pub fn encode(&self, to: &mut Encoder) -> Result<(), EncodeError> {
        self.secret.encode(to)?;
        to.opaque(self.value, VALUE_BYTES_MAX)?.u32(self.flags);
        Ok(())
    }

    /// At least the bytes that [`Self::encode`] writes, so that no buffer with a value has to grow.
    pub fn bytes_max(&self) -> usize {
        self.secret.bytes() + self.value.len() + 16
    }
}

/// Arguments of `SECRET_LOOKUP_BY_USAGE`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LookupByUsage<'a> {
    /// `virSecretUsageType`
    pub usage_type: i32,
    /// The id of the usage.
    pub usage_id: &'a [u8],
}

impl<'a> LookupByUsage<'a> {
    /// Reads them.
    pub fn decode(from: &mut Decoder<'a>) -> Result<Self, DecodeError> {
        Ok(Self { usage_type: from.i32()?, usage_id: from.string()? })
    }

    /// Writes them.
    pub fn encode(&self, to: &mut Encoder) -> Result<(), EncodeError> {
        to.i32(self.usage_type).string(self.usage_id).map(drop)
    }
}

/// Arguments of `CONNECT_LIST_ALL_SECRETS`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ListAll {
    /// Whether the reply lists the secrets, or only counts them.
    pub need_results: i32,
    /// [`LIST_EPHEMERAL`] and the others.
    pub flags: u32,
}

impl ListAll {
    /// Reads them.
    pub fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self { need_results: from.i32()?, flags: from.u32()? })
    }

    /// Writes them.
    pub fn encode(&self, to: &mut Encoder) -> Result<(), EncodeError> {
        to.i32(self.need_results).u32(self.flags);
        Ok(())
    }
}

/// Arguments of `CONNECT_SECRET_EVENT_REGISTER_ANY`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EventRegister<'a> {
    /// [`EVENT_ID_LIFECYCLE`] or [`EVENT_ID_VALUE_CHANGED`]
    pub event: i32,
    /// The secret, if only its events are wanted.
    pub secret: Option<Secret<'a>>,
}

impl<'a> EventRegister<'a> {
    /// Reads them.
    pub fn decode(from: &mut Decoder<'a>) -> Result<Self, DecodeError> {
        Ok(Self { event: from.i32()?, secret: from.optional(Secret::decode)? })
    }

    /// Writes them.
    pub fn encode(&self, to: &mut Encoder) -> Result<(), EncodeError> {
        to.i32(self.event).optional(self.secret, |to, secret| secret.encode(to)).map(drop)
    }
}

/// The message [`crate::procedures::EVENT_LIFECYCLE`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lifecycle<'a> {
    /// The registration it is for.
    pub callback: i32,
    /// The secret.
    pub secret: Secret<'a>,
    /// [`LIFECYCLE_DEFINED`] or [`LIFECYCLE_UNDEFINED`]
    pub event: i32,
    /// Always 0.
    pub detail: i32,
}

impl<'a> Lifecycle<'a> {
    /// Reads it.
    pub fn decode(from: &mut Decoder<'a>) -> Result<Self, DecodeError> {
        let (callback, secret) = (from.i32()?, Secret::decode(from)?);
        Ok(Self { callback, secret, event: from.i32()?, detail: from.i32()? })
    }

    /// Writes it.
    pub fn encode(&self, to: &mut Encoder) -> Result<(), EncodeError> {
        self.secret.encode(to.i32(self.callback))?;
        to.i32(self.event).i32(self.detail);
        Ok(())
    }
}

/// The message [`crate::procedures::EVENT_VALUE_CHANGED`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ValueChanged<'a> {
    /// The registration it is for.
    pub callback: i32,
    /// The secret.
    pub secret: Secret<'a>,
}

impl<'a> ValueChanged<'a> {
    /// Reads it.
    pub fn decode(from: &mut Decoder<'a>) -> Result<Self, DecodeError> {
        Ok(Self { callback: from.i32()?, secret: Secret::decode(from)? })
    }

    /// Writes it.
    pub fn encode(&self, to: &mut Encoder) -> Result<(), EncodeError> {
        self.secret.encode(to.i32(self.callback))
    }
}

/// The value of a typed parameter: `remote_typed_param_value`. Its `Debug` shows no text, because it may be the system token.
#[derive(Clone, Copy, PartialEq)]
pub enum ParameterValue<'a> {
    /// `VIR_TYPED_PARAM_INT`
    Int(i32),
    /// `VIR_TYPED_PARAM_UINT`
    UInt(u32),
    /// `VIR_TYPED_PARAM_LLONG`
    LLong(i64),
    /// `VIR_TYPED_PARAM_ULLONG`
    ULLong(u64),
    /// `VIR_TYPED_PARAM_DOUBLE`
    Double(f64),
    /// `VIR_TYPED_PARAM_BOOLEAN`
    Boolean(i32),
    /// `VIR_TYPED_PARAM_STRING`
    String(&'a [u8]),
}

impl fmt::Debug for ParameterValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.type_name())
    }
}

impl ParameterValue<'_> {
    /// libvirt's name of the type.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Int(_) => "int",
            Self::UInt(_) => "uint",
            Self::LLong(_) => "llong",
            Self::ULLong(_) => "ullong",
            Self::Double(_) => "double",
            Self::Boolean(_) => "boolean",
            Self::String(_) => "string",
        }
    }
}

/// One typed parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameter<'a> {
    /// Its name.
    pub field: &'a [u8],
    /// Its value.
    pub value: ParameterValue<'a>,
}

impl<'a> Parameter<'a> {
    /// Reads it.
    pub fn decode(from: &mut Decoder<'a>) -> Result<Self, DecodeError> {
        let field = from.string()?;
        let value = match from.i32()? {
            1 => ParameterValue::Int(from.i32()?),
            2 => ParameterValue::UInt(from.u32()?),
            3 => ParameterValue::LLong(from.i64()?),
            4 => ParameterValue::ULLong(from.u64()?),
            5 => ParameterValue::Double(f64::from_bits(from.u64()?)),
            6 => ParameterValue::Boolean(from.i32()?),
            7 => ParameterValue::String(from.string()?),
            unknown => return Err(DecodeError::UnknownKind(unknown)),
        };
        Ok(Self { field, value })
    }

    /// Writes it.
    pub fn encode(&self, to: &mut Encoder) -> Result<(), EncodeError> {
        to.string(self.field)?;
        match self.value {
            ParameterValue::Int(value) => to.i32(1).i32(value),
            ParameterValue::UInt(value) => to.i32(2).u32(value),
            ParameterValue::LLong(value) => to.i32(3).i64(value),
            ParameterValue::ULLong(value) => to.i32(4).u64(value),
            ParameterValue::Double(value) => to.i32(5).u64(value.to_bits()),
            ParameterValue::Boolean(value) => to.i32(6).i32(value),
            ParameterValue::String(value) => to.i32(7).string(value)?,
        };
        Ok(())
    }
}

/// Arguments of `CONNECT_SET_IDENTITY`.
#[derive(Clone, Debug, PartialEq)]
pub struct SetIdentity<'a> {
    /// The claims of the client.
    pub parameters: Vec<Parameter<'a>>,
    /// Ignored by daemons.
    pub flags: u32,
}

impl<'a> SetIdentity<'a> {
    /// Reads them.
    pub fn decode(from: &mut Decoder<'a>) -> Result<Self, DecodeError> {
        let parameters = from.array(IDENTITY_PARAMETERS_MAX, Parameter::decode)?;
        Ok(Self { parameters, flags: from.u32()? })
    }

    /// Writes them.
    pub fn encode(&self, to: &mut Encoder) -> Result<(), EncodeError> {
        to.length(self.parameters.len(), IDENTITY_PARAMETERS_MAX)?;
        for parameter in &self.parameters {
            parameter.encode(to)?;
        }
        to.u32(self.flags);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    fn check_both_ways<'a, T: PartialEq + Debug>(
        value: &T,
        bytes: &'a mut Vec<u8>,
        encode: impl Fn(&T, &mut Encoder) -> Result<(), EncodeError>,
        decode: impl Fn(&mut Decoder<'a>) -> Result<T, DecodeError>,
    ) {
        let mut to = Encoder::default();
        encode(value, &mut to).unwrap();
        *bytes = to.into_bytes();
        let mut from = Decoder::new(bytes);
        assert_eq!(decode(&mut from).as_ref(), Ok(value));
        assert!(from.rest().is_empty());
    }

    macro_rules! check_both_ways {
        ($($type:ident $value:expr),+ $(,)?) => {
            $(check_both_ways(&$value, &mut Vec::new(), $type::encode, $type::decode);)+
        };
    }

    const SECRET: Secret<'_> = Secret { uuid: [7; 16], usage_type: 2, usage_id: b"client.x" };

    #[test]
    fn every_message_is_the_same_after_encoding_and_decoding() {
        check_both_ways!(
            Secret SECRET,
            Open Open { uri: Some(b"secret:///system"), flags: 1 },
            Open Open { uri: None, flags: 0 },
            DefineXml DefineXml { xml: b"<secret/>", flags: 1 },
            Get Get { secret: SECRET, flags: 3 },
            LookupByUsage LookupByUsage { usage_type: -1, usage_id: b"" },
            ListAll ListAll { need_results: 1, flags: 15 },
            EventRegister EventRegister { event: 0, secret: Some(SECRET) },
            EventRegister EventRegister { event: 1, secret: None },
            Lifecycle Lifecycle { callback: 9, secret: SECRET, event: 1, detail: 0 },
            ValueChanged ValueChanged { callback: 9, secret: SECRET },
            SetIdentity SetIdentity {
                parameters: vec![
                    Parameter { field: b"user-name", value: ParameterValue::String(b"alice") },
                    Parameter { field: b"unix-user-id", value: ParameterValue::ULLong(1000) },
                    Parameter { field: b"process-id", value: ParameterValue::LLong(-1) },
                    Parameter { field: b"x", value: ParameterValue::Double(0.5) },
                ],
                flags: 0,
            },
        );
    }

    #[test]
    fn a_value_is_the_same_after_encoding_and_decoding_and_fits_its_buffer() {
        for length in [0, 1, 3, 4, VALUE_BYTES_MAX] {
            let value = vec![b'z'; length];
            let set = SetValue { secret: SECRET, value: &value, flags: 0 };
            let mut to = Encoder::with_capacity(set.bytes_max());
            set.encode(&mut to).unwrap();
            let bytes = to.into_bytes();
            assert!(bytes.len() <= set.bytes_max());
            let back = SetValue::decode(&mut Decoder::new(&bytes)).unwrap();
            assert!(back.value == value && back.secret == SECRET);
        }
        let long = vec![0; VALUE_BYTES_MAX + 1];
        let set = SetValue { secret: SECRET, value: &long, flags: 0 };
        assert!(set.encode(&mut Encoder::default()).is_err());
    }

    #[test]
    fn a_parameter_of_an_unknown_type_is_refused() {
        let mut to = Encoder::default();
        to.u32(1).string(b"x").unwrap().i32(99);
        let bytes = to.into_bytes();
        assert_eq!(SetIdentity::decode(&mut Decoder::new(&bytes)), Err(DecodeError::UnknownKind(99)));
    }
}
