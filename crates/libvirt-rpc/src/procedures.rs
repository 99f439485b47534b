//! The procedures of a secret daemon, as a table: number, name, arguments, reply and required access.
//!
//! One row a procedure. [`Procedure::decode`] reads the arguments that the row names, and a server has one `match` over
//! [`Arguments`]: a new row does not build there without an arm. What other daemons do is in [`crate::foreign`]. Source:
//! `remote_protocol.x` of 12.8.0.

use crate::messages::{
    DefineXml, EventRegister, Get, ListAll, LookupByUsage, Open, Secret, SetIdentity, SetValue,
};
use crate::xdr::{DecodeError, Decoder};

/// The state of the connection that a procedure requires.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// Any: clients authenticate by it.
    Anybody,
    /// The client is authenticated. The connection need not be open.
    Authenticated,
    /// The connection is open. Errors speak of the hypervisor's.
    Connection,
    /// The connection is open. Errors speak of a driver's.
    Secrets,
    /// The connection is open and not read-only. The refusal names this function of the API.
    Write(&'static str),
}

macro_rules! procedures {
    ($($variant:ident = $number:literal $name:literal ($decode:expr => $arguments:ty) -> $reply:literal, $access:expr;)+) => {
        /// One procedure of the `REMOTE` program.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        #[repr(i32)]
        pub enum Procedure {
            $(
                #[doc = concat!("`REMOTE_PROC_", $name, "(", stringify!($arguments), ")`, replied with `", $reply, "`")]
                $variant = $number,
            )+
        }

        /// The arguments of one call. No `Debug`: a value may be among them.
        #[derive(Clone)]
        pub enum Arguments<'a> {
            $(
                #[doc = concat!("Those of `REMOTE_PROC_", $name, "`.")]
                $variant($arguments),
            )+
        }

        impl Procedure {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The one with this number.
            pub const fn from_number(number: i32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// Its name in the protocol's file, without `REMOTE_PROC_`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The access that it requires.
            pub const fn access(self) -> Access {
                match self {
                    $(Self::$variant => $access,)+
                }
            }

            /// Reads its arguments.
            pub fn decode<'a>(self, from: &mut Decoder<'a>) -> Result<Arguments<'a>, DecodeError> {
                match self {
                    $(Self::$variant => $decode(from).map(Arguments::$variant),)+
                }
            }
        }
    };
}

/// No arguments, or none that a secret daemon looks at.
fn nothing(_: &mut Decoder<'_>) -> Result<(), DecodeError> {
    Ok(())
}

procedures! {
    ConnectOpen = 1 "CONNECT_OPEN" (Open::decode => Open<'a>) -> "", Access::Authenticated;
    ConnectClose = 2 "CONNECT_CLOSE" (nothing => ()) -> "", Access::Authenticated;
    ConnectGetType = 3 "CONNECT_GET_TYPE" (nothing => ()) -> "string", Access::Connection;
    ConnectSupportsFeature = 60 "CONNECT_SUPPORTS_FEATURE" (Decoder::i32 => i32) -> "int", Access::Authenticated;
    AuthList = 66 "AUTH_LIST" (nothing => ()) -> "int types<20>", Access::Anybody;
    AuthSaslInit = 67 "AUTH_SASL_INIT" (nothing => ()) -> "string mechanisms", Access::Anybody;
    AuthSaslStart = 68 "AUTH_SASL_START" (nothing => ()) -> "int complete, int nil, char data<65536>", Access::Anybody;
    AuthSaslStep = 69 "AUTH_SASL_STEP" (nothing => ()) -> "int complete, int nil, char data<65536>", Access::Anybody;
    AuthPolkit = 70 "AUTH_POLKIT" (nothing => ()) -> "int complete", Access::Anybody;
    ConnectGetUri = 110 "CONNECT_GET_URI" (nothing => ()) -> "string", Access::Connection;
    ConnectNumOfSecrets = 139 "CONNECT_NUM_OF_SECRETS" (nothing => ()) -> "int", Access::Secrets;
    ConnectListSecrets = 140 "CONNECT_LIST_SECRETS" (Decoder::i32 => i32) -> "string uuids<16384>", Access::Secrets;
    SecretLookupByUuid = 141 "SECRET_LOOKUP_BY_UUID" (Decoder::uuid => [u8; 16]) -> "secret", Access::Secrets;
    SecretDefineXml = 142 "SECRET_DEFINE_XML" (DefineXml::decode => DefineXml<'a>) -> "secret", Access::Write("virSecretDefineXML");
    SecretGetXmlDesc = 143 "SECRET_GET_XML_DESC" (Get::decode => Get<'a>) -> "string", Access::Secrets;
    SecretSetValue = 144 "SECRET_SET_VALUE" (SetValue::decode => SetValue<'a>) -> "", Access::Write("virSecretSetValue");
    SecretGetValue = 145 "SECRET_GET_VALUE" (Get::decode => Get<'a>) -> "opaque<65536>", Access::Write("virSecretGetValue");
    SecretUndefine = 146 "SECRET_UNDEFINE" (Secret::decode => Secret<'a>) -> "", Access::Write("virSecretUndefine");
    SecretLookupByUsage = 147 "SECRET_LOOKUP_BY_USAGE" (LookupByUsage::decode => LookupByUsage<'a>) -> "secret", Access::Secrets;
    ConnectIsSecure = 149 "CONNECT_IS_SECURE" (nothing => ()) -> "int", Access::Connection;
    ConnectGetLibVersion = 157 "CONNECT_GET_LIB_VERSION" (nothing => ()) -> "unsigned hyper", Access::Connection;
    ConnectListAllSecrets = 287 "CONNECT_LIST_ALL_SECRETS" (ListAll::decode => ListAll) -> "secret<16384>, unsigned", Access::Secrets;
    ConnectRegisterCloseCallback = 360 "CONNECT_REGISTER_CLOSE_CALLBACK" (nothing => ()) -> "", Access::Connection;
    ConnectUnregisterCloseCallback = 361 "CONNECT_UNREGISTER_CLOSE_CALLBACK" (nothing => ()) -> "", Access::Connection;
    ConnectSecretEventRegisterAny = 380 "CONNECT_SECRET_EVENT_REGISTER_ANY" (EventRegister::decode => EventRegister<'a>) -> "int callback", Access::Secrets;
    ConnectSecretEventDeregisterAny = 381 "CONNECT_SECRET_EVENT_DEREGISTER_ANY" (Decoder::i32 => i32) -> "", Access::Secrets;
    ConnectSetIdentity = 419 "CONNECT_SET_IDENTITY" (SetIdentity::decode => SetIdentity<'a>) -> "", Access::Connection;
}

/// `REMOTE_PROC_CONNECT_EVENT_CONNECTION_CLOSED`: sent to clients, never called. Its argument is a reason, an `int`.
pub const EVENT_CONNECTION_CLOSED: i32 = 362;
/// `REMOTE_PROC_SECRET_EVENT_LIFECYCLE`: sent to clients, never called.
pub const EVENT_LIFECYCLE: i32 = 382;
/// `REMOTE_PROC_SECRET_EVENT_VALUE_CHANGED`: sent to clients, never called.
pub const EVENT_VALUE_CHANGED: i32 = 383;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_number() {
        assert!(Procedure::ALL.is_sorted_by_key(|procedure| *procedure as i32));
        for procedure in Procedure::ALL {
            assert_eq!(Procedure::from_number(*procedure as i32), Some(*procedure), "{}", procedure.name());
        }
        assert_eq!(Procedure::from_number(EVENT_LIFECYCLE), None);
    }
}
