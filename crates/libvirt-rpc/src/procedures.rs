//! The table of what a secret daemon does: each procedure's number, name, arguments, reply and permission.
//!
//! One row a procedure. What other daemons do is in [`crate::foreign`]. Source: `remote_protocol.x` of 12.8.0.

/// What a caller must have done, and what they must be, for a procedure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// Anybody, whether authenticated or not: it is how one becomes so.
    Anybody,
    /// Whoever is authenticated, before a connection is open too.
    Authenticated,
    /// A connection must be open: the hypervisor's, as far as errors are concerned.
    Connection,
    /// A connection must be open: the secret driver's.
    Secrets,
    /// The same, and the connection must not be read-only. The function of the API is named in the refusal.
    Write(&'static str),
}

macro_rules! procedures {
    ($($variant:ident = $number:literal $name:literal ($arguments:literal) -> $reply:literal, $access:expr;)+) => {
        /// One procedure of the `REMOTE` program.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        #[repr(i32)]
        pub enum Procedure {
            $(
                #[doc = concat!("`REMOTE_PROC_", $name, "(", $arguments, ")`, replied with `", $reply, "`")]
                $variant = $number,
            )+
        }

        impl Procedure {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The one with this number.
            pub const fn of(number: i32) -> Option<Self> {
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

            /// What it takes to be allowed.
            pub const fn access(self) -> Access {
                match self {
                    $(Self::$variant => $access,)+
                }
            }
        }
    };
}

procedures! {
    ConnectOpen = 1 "CONNECT_OPEN" ("string *uri, unsigned flags") -> "", Access::Authenticated;
    ConnectClose = 2 "CONNECT_CLOSE" ("") -> "", Access::Authenticated;
    ConnectGetType = 3 "CONNECT_GET_TYPE" ("") -> "string", Access::Connection;
    ConnectSupportsFeature = 60 "CONNECT_SUPPORTS_FEATURE" ("int feature") -> "int", Access::Authenticated;
    AuthList = 66 "AUTH_LIST" ("") -> "int types<20>", Access::Anybody;
    AuthSaslInit = 67 "AUTH_SASL_INIT" ("") -> "string mechanisms", Access::Anybody;
    AuthSaslStart = 68 "AUTH_SASL_START" ("string mechanism, int nil, char data<65536>") -> "int complete, int nil, char data<65536>", Access::Anybody;
    AuthSaslStep = 69 "AUTH_SASL_STEP" ("int nil, char data<65536>") -> "int complete, int nil, char data<65536>", Access::Anybody;
    AuthPolkit = 70 "AUTH_POLKIT" ("") -> "int complete", Access::Anybody;
    ConnectGetUri = 110 "CONNECT_GET_URI" ("") -> "string", Access::Connection;
    ConnectNumOfSecrets = 139 "CONNECT_NUM_OF_SECRETS" ("") -> "int", Access::Secrets;
    ConnectListSecrets = 140 "CONNECT_LIST_SECRETS" ("int maxuuids") -> "string uuids<16384>", Access::Secrets;
    SecretLookupByUuid = 141 "SECRET_LOOKUP_BY_UUID" ("uuid") -> "secret", Access::Secrets;
    SecretDefineXml = 142 "SECRET_DEFINE_XML" ("string xml, unsigned flags") -> "secret", Access::Write("virSecretDefineXML");
    SecretGetXmlDesc = 143 "SECRET_GET_XML_DESC" ("secret, unsigned flags") -> "string", Access::Secrets;
    SecretSetValue = 144 "SECRET_SET_VALUE" ("secret, opaque value<65536>, unsigned flags") -> "", Access::Write("virSecretSetValue");
    SecretGetValue = 145 "SECRET_GET_VALUE" ("secret, unsigned flags") -> "opaque<65536>", Access::Write("virSecretGetValue");
    SecretUndefine = 146 "SECRET_UNDEFINE" ("secret") -> "", Access::Write("virSecretUndefine");
    SecretLookupByUsage = 147 "SECRET_LOOKUP_BY_USAGE" ("int type, string id") -> "secret", Access::Secrets;
    ConnectIsSecure = 149 "CONNECT_IS_SECURE" ("") -> "int", Access::Connection;
    ConnectGetLibVersion = 157 "CONNECT_GET_LIB_VERSION" ("") -> "unsigned hyper", Access::Connection;
    ConnectListAllSecrets = 287 "CONNECT_LIST_ALL_SECRETS" ("int need_results, unsigned flags") -> "secret<16384>, unsigned", Access::Secrets;
    ConnectRegisterCloseCallback = 360 "CONNECT_REGISTER_CLOSE_CALLBACK" ("") -> "", Access::Connection;
    ConnectUnregisterCloseCallback = 361 "CONNECT_UNREGISTER_CLOSE_CALLBACK" ("") -> "", Access::Connection;
    ConnectSecretEventRegisterAny = 380 "CONNECT_SECRET_EVENT_REGISTER_ANY" ("int event, secret *") -> "int callback", Access::Secrets;
    ConnectSecretEventDeregisterAny = 381 "CONNECT_SECRET_EVENT_DEREGISTER_ANY" ("int callback") -> "", Access::Secrets;
    ConnectSetIdentity = 419 "CONNECT_SET_IDENTITY" ("typed_param<20>, unsigned flags") -> "", Access::Connection;
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
    fn numbers_and_rows_are_each_others_inverse() {
        assert!(Procedure::ALL.is_sorted_by_key(|procedure| *procedure as i32));
        for procedure in Procedure::ALL {
            assert_eq!(Procedure::of(*procedure as i32), Some(*procedure), "{}", procedure.name());
        }
        assert_eq!(Procedure::of(EVENT_LIFECYCLE), None);
    }
}
