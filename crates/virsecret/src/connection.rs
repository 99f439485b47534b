//! A connection to a secret daemon: the handshake, then a method for each procedure.
//!
//! ```text
//!  AUTH_LIST ─▶ (AUTH_POLKIT) ─▶ OPEN ─▶ SUPPORTS_FEATURE 14, 15 ─▶ calls … ─▶ CLOSE
//! ```
//!
//! libvirt's own client makes these calls in the same order. It also asks for feature 10, keepalive, which the C library
//! asks for here too. [`Connection::open`] does not: keepalive obliges a client to answer within seconds, even while no
//! caller waits.

use std::os::unix::net::UnixStream;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use libvirt_rpc::error::RemoteError;
use libvirt_rpc::frame;
use libvirt_rpc::messages;
use libvirt_rpc::messages::{
    AUTH_NONE, AUTH_POLKIT, AUTH_TYPES_MAX, DEFINE_VALIDATE, DefineXml, EventRegister,
    FEATURE_CLOSE_CALLBACK, FEATURE_EVENT_CALLBACK, FEATURE_KEEPALIVE, Get, ListAll, LookupByUsage,
    OPEN_READ_ONLY, Open, SetValue,
};
use libvirt_rpc::procedures::Procedure;
use libvirt_rpc::xdr::{DecodeError, Decoder, EncodeError, Encoder};
use uuid::Uuid;

use crate::access::Access;
use crate::close::CloseReason;
use crate::error::{Error, ProtocolError, Result};
use crate::events::{Event, EventKind, Registration};
use crate::limits::{CLOSE_WAIT_MAX, EVENT_WAIT_MAX, REPLY_WAIT_MAX, SECRETS_MAX, VALUE_BYTES_MAX};
use crate::link::Link;
use crate::reach;
use crate::secret::{Filter, Secret, UsageType};
use crate::stream::Stream;
use crate::uri::Uri;
use crate::value::Value;

/// Whether the daemon compares XML with the schema of secrets before it defines one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Validate {
    /// Unknown elements are ignored.
    No,
    /// Unknown elements are an error.
    Yes,
}

/// A connection to a secret daemon. Threads may share it; their calls do not wait for each other.
///
/// Dropping it says goodbye and waits shortly for the answer.
pub struct Connection {
    link: Link,
    /// `None` waits without a limit.
    reply_wait: Mutex<Option<Duration>>,
}

impl Connection {
    /// Opens a URI for reading and changing.
    ///
    /// ```no_run
    /// # fn main() -> virsecret::Result<()> {
    /// let here = virsecret::Connection::open("secret:///system")?;
    /// let donjon =
    ///     virsecret::Connection::open("secret:///system?socket=/run/donjon/virtsecretd-sock")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn open(uri: &str) -> Result<Self> {
        Self::open_uri(&Uri::from_str(uri)?, Access::ReadWrite)
    }

    /// Opens a URI for reading.
    pub fn open_read_only(uri: &str) -> Result<Self> {
        Self::open_uri(&Uri::from_str(uri)?, Access::ReadOnly)
    }

    /// Opens a parsed URI.
    pub fn open_uri(uri: &Uri, access: Access) -> Result<Self> {
        Self::over_stream(reach::daemon(uri, access)?, uri.name(), access)
    }

    /// Opens a URI for a caller that waits for each reply without a limit. `keepalive` is as for [`Self::begin`].
    pub(crate) fn open_for_ever(uri: &Uri, access: Access, keepalive: bool) -> Result<(Self, bool)> {
        let (connection, keepalive) = Self::begin(reach::daemon(uri, access)?, None, keepalive)?;
        connection.open_name(uri.name(), access)?;
        Ok((connection, keepalive))
    }

    /// Opens a stream on which nothing was said yet, asking for `name`, as `secret:///system`.
    pub fn over(stream: UnixStream, name: &str, access: Access) -> Result<Self> {
        Self::over_stream(stream.into(), name, access)
    }

    fn over_stream(stream: Stream, name: &str, access: Access) -> Result<Self> {
        let (connection, _) = Self::begin(stream, Some(REPLY_WAIT_MAX), false)?;
        connection.open_name(name, access)?;
        Ok(connection)
    }

    /// Authenticates. With `keepalive` it also asks whether the daemon answers PINGs, and returns the answer. From then on the
    /// daemon may send PINGs too.
    pub(crate) fn begin(stream: Stream, wait: Option<Duration>, keepalive: bool) -> Result<(Self, bool)> {
        let link = Link::over(stream).map_err(Error::Io)?;
        let connection = Self { link, reply_wait: Mutex::new(wait) };
        connection.authenticate()?;
        let keepalive = keepalive && connection.supports(FEATURE_KEEPALIVE)?;
        Ok((connection, keepalive))
    }

    /// Asks the daemon to open this name.
    pub(crate) fn open_name(&self, name: &str, access: Access) -> Result<()> {
        let flags = if access == Access::ReadOnly { OPEN_READ_ONLY } else { 0 };
        let open = Open { uri: Some(name.as_bytes()), flags };
        self.call(Procedure::ConnectOpen, |to| open.encode(to), nothing)?;
        for feature in [FEATURE_EVENT_CALLBACK, FEATURE_CLOSE_CALLBACK] {
            // Every client asks. Daemons with secret events (3.0.0) have both features, so nothing depends on the answer.
            self.supports(feature)?;
        }
        Ok(())
    }

    fn supports(&self, feature: i32) -> Result<bool> {
        let answer = self.call(Procedure::ConnectSupportsFeature, |to| int(to, feature), read_int)?;
        Ok(answer != 0)
    }

    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    /// Says goodbye. Dropping does the same, without a result.
    pub fn close(self) -> Result<()> {
        self.goodbye()
    }

    /// Sets how long each later call waits for its reply, in place of [`crate::limits::REPLY_WAIT_MAX`]. The most is
    /// [`crate::limits::EVENT_WAIT_MAX`].
    pub fn set_reply_wait(&self, wait: Duration) {
        *self.reply_wait.lock().unwrap_or_else(PoisonError::into_inner) = Some(wait.min(EVENT_WAIT_MAX));
    }

    /// Whether the connection is open, as far as is known without asking the daemon.
    pub fn is_alive(&self) -> bool {
        !self.link.is_closed()
    }

    /// The daemon's URI.
    pub fn uri(&self) -> Result<String> {
        self.call(Procedure::ConnectGetUri, no_arguments, bytes).and_then(text)
    }

    /// The version of libvirt that the daemon has or answers like: 12008000 is 12.8.0.
    pub fn lib_version(&self) -> Result<u64> {
        self.call(Procedure::ConnectGetLibVersion, no_arguments, |from| from.u64())
    }

    /// The number of secrets.
    pub fn number_of_secrets(&self) -> Result<i32> {
        self.call(Procedure::ConnectNumOfSecrets, no_arguments, read_int)
    }

    /// The secrets, in no order.
    ///
    /// ```no_run
    /// # fn main() -> virsecret::Result<()> {
    /// # let connection = virsecret::Connection::open("secret:///system")?;
    /// use virsecret::Filter;
    /// for secret in connection.list(Filter::PRIVATE.and(Filter::NO_EPHEMERAL))? {
    ///     println!("{} {}", secret.uuid, secret.usage_text());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list(&self, filter: Filter) -> Result<Vec<Secret>> {
        let ask = ListAll { need_results: 1, flags: filter.bits() };
        self.call(
            Procedure::ConnectListAllSecrets,
            |to| ask.encode(to),
            |from| from.array(SECRETS_MAX, secret),
        )
    }

    /// The secret with this UUID.
    pub fn lookup_by_id(&self, uuid: Uuid) -> Result<Secret> {
        let write = |to: &mut Encoder| {
            to.uuid(uuid.as_bytes());
            Ok(())
        };
        self.call(Procedure::SecretLookupByUuid, write, secret)
    }

    /// The secret with this usage.
    pub fn lookup_by_usage(&self, usage_type: UsageType, usage_id: impl AsRef<[u8]>) -> Result<Secret> {
        let ask = LookupByUsage { usage_type: usage_type.number(), usage_id: usage_id.as_ref() };
        self.call(Procedure::SecretLookupByUsage, |to| ask.encode(to), secret)
    }

    /// Makes a secret without a value. If the XML has the UUID of an existing secret, its attributes are replaced and its value
    /// stays.
    pub fn define(&self, xml: impl AsRef<[u8]>, validate: Validate) -> Result<Secret> {
        let flags = if validate == Validate::Yes { DEFINE_VALIDATE } else { 0 };
        let define = DefineXml { xml: xml.as_ref(), flags };
        self.call(Procedure::SecretDefineXml, |to| define.encode(to), secret)
    }

    /// The attributes of a secret as XML, without its value.
    pub fn xml(&self, secret: &Secret) -> Result<String> {
        let get = Get { secret: secret.to_wire(), flags: 0 };
        self.call(Procedure::SecretGetXmlDesc, |to| get.encode(to), bytes).and_then(text)
    }

    /// Sets the value of a secret, also in place of an earlier one: 1 to [`crate::limits::VALUE_BYTES_MAX`] bytes.
    pub fn set_value(&self, secret: &Secret, value: &[u8]) -> Result<()> {
        let set = SetValue { secret: secret.to_wire(), value, flags: 0 };
        self.call_with(Procedure::SecretSetValue, set.bytes_max(), |to| set.encode(to), nothing)
    }

    /// The value of a secret. [`Error::is_no_secret`] means that it has none, [`Error::is_invalid_secret`] that it is private.
    pub fn value(&self, secret: &Secret) -> Result<Value> {
        let get = Get { secret: secret.to_wire(), flags: 0 };
        let read = |from: &mut Decoder<'_>| from.opaque(VALUE_BYTES_MAX).map(Value::of);
        self.call(Procedure::SecretGetValue, |to| get.encode(to), read)
    }

    /// Deletes a secret with its value.
    pub fn undefine(&self, secret: &Secret) -> Result<()> {
        self.call(Procedure::SecretUndefine, |to| secret.to_wire().encode(to), nothing)
    }

    /// Registers for events of one secret or of all. [`Self::next_event`] takes them.
    pub fn register_events(&self, kind: EventKind, secret: Option<&Secret>) -> Result<Registration> {
        let ask = EventRegister { event: kind.number(), secret: secret.map(Secret::to_wire) };
        self.call(Procedure::ConnectSecretEventRegisterAny, |to| ask.encode(to), read_int).map(Registration)
    }

    /// Ends a registration, and drops its unclaimed events.
    pub fn deregister_events(&self, registration: Registration) -> Result<()> {
        let write = |to: &mut Encoder| int(to, registration.0);
        self.call(Procedure::ConnectSecretEventDeregisterAny, write, nothing)?;
        self.link.forget_events(registration);
        Ok(())
    }

    /// The next event of any registration; `None` if none comes in time. The longest wait is
    /// [`crate::limits::EVENT_WAIT_MAX`].
    ///
    /// ```no_run
    /// # fn main() -> virsecret::Result<()> {
    /// # let connection = virsecret::Connection::open("secret:///system")?;
    /// use virsecret::EventKind;
    /// connection.register_events(EventKind::ValueChanged, None)?;
    /// while let Some(event) = connection.next_event(std::time::Duration::from_secs(60))? {
    ///     println!("{:?} {}", event.change, event.secret.uuid);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn next_event(&self, wait: Duration) -> Result<Option<Event>> {
        self.link.next_event(wait.min(EVENT_WAIT_MAX))
    }

    /// Tries the first method of the daemon's list, as libvirt's client does. For polkit the daemon does the work: it knows the
    /// user at the other end of the socket, and asks polkit. An empty list means that no authentication is needed.
    fn authenticate(&self) -> Result<()> {
        let types =
            self.call(Procedure::AuthList, no_arguments, |from| from.array(AUTH_TYPES_MAX, read_int))?;
        match types.first() {
            None | Some(&AUTH_NONE) => Ok(()),
            Some(&AUTH_POLKIT) => self.call(Procedure::AuthPolkit, no_arguments, read_int).map(drop),
            Some(_) => Err(Error::Authentication(types)),
        }
    }

    pub(crate) fn goodbye(&self) -> Result<()> {
        if self.link.is_closed() {
            return Ok(());
        }
        let wait = self.reply_wait().unwrap_or(CLOSE_WAIT_MAX).min(CLOSE_WAIT_MAX);
        let said = self.link.call(Procedure::ConnectClose as i32, 0, no_arguments, Some(wait));
        self.link.close(CloseReason::Client);
        said.map(drop)
    }

    fn reply_wait(&self) -> Option<Duration> {
        *self.reply_wait.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn call<T>(
        &self,
        procedure: Procedure,
        write: impl FnOnce(&mut Encoder) -> std::result::Result<(), EncodeError>,
        read: impl FnOnce(&mut Decoder<'_>) -> std::result::Result<T, DecodeError>,
    ) -> Result<T> {
        self.call_with(procedure, 0, write, read)
    }

    pub(crate) fn call_with<T>(
        &self,
        procedure: Procedure,
        payload_capacity: usize,
        write: impl FnOnce(&mut Encoder) -> std::result::Result<(), EncodeError>,
        read: impl FnOnce(&mut Decoder<'_>) -> std::result::Result<T, DecodeError>,
    ) -> Result<T> {
        let reply = self.link.call(procedure as i32, payload_capacity, write, self.reply_wait())?;
        let (asked, got) = (procedure as i32, reply.header.procedure);
        if asked != got {
            return Err(ProtocolError::OtherProcedure { asked, got }.into());
        }
        let mut from = Decoder::new(reply.payload());
        match reply.header.status {
            frame::OK => Ok(read(&mut from)?),
            _ => Err(Error::Remote(Box::new(RemoteError::decode(&mut from)?))),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let _ = self.goodbye(); // No caller is left for an error.
    }
}

fn no_arguments(_: &mut Encoder) -> std::result::Result<(), EncodeError> {
    Ok(())
}

fn int(to: &mut Encoder, value: i32) -> std::result::Result<(), EncodeError> {
    to.i32(value);
    Ok(())
}

fn read_int(from: &mut Decoder<'_>) -> std::result::Result<i32, DecodeError> {
    from.i32()
}

fn nothing(_: &mut Decoder<'_>) -> std::result::Result<(), DecodeError> {
    Ok(())
}

fn secret(from: &mut Decoder<'_>) -> std::result::Result<Secret, DecodeError> {
    messages::Secret::decode(from).map(|secret| Secret::of_wire(&secret))
}

fn bytes(from: &mut Decoder<'_>) -> std::result::Result<Vec<u8>, DecodeError> {
    from.string().map(<[u8]>::to_vec)
}

fn text(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| ProtocolError::NotText.into())
}

#[cfg(test)]
mod tests {
    use libvirt_rpc::error::{Code, Domain};
    use libvirt_rpc::frame::Header;
    use libvirt_rpc::messages::Lifecycle;
    use libvirt_rpc::procedures::EVENT_LIFECYCLE;

    use super::*;
    use crate::events::Change;
    use crate::peer::{Step, answers, answers_with, payload, play, reply};

    const SHORT: Duration = Duration::from_millis(30);

    fn known() -> Secret {
        Secret {
            uuid: Uuid::from_bytes([7; 16]),
            usage_type: UsageType::Ceph,
            usage_id: b"client.x".to_vec(),
        }
    }

    fn handle() -> Vec<u8> {
        payload(|to| known().to_wire().encode(to).unwrap())
    }

    fn with_flags(flags: u32) -> Vec<u8> {
        [handle(), payload(|to| _ = to.u32(flags))].concat()
    }

    fn number(value: i32) -> Vec<u8> {
        payload(|to| _ = to.i32(value))
    }

    fn auth(types: &[i32]) -> Step {
        let list = payload(|to| {
            to.i32(types.len().try_into().unwrap());
            types.iter().for_each(|kind| _ = to.i32(*kind));
        });
        answers(Procedure::AuthList, vec![], list)
    }

    fn open(flags: u32) -> Step {
        let arguments = payload(|to| Open { uri: Some(b"secret:///system"), flags }.encode(to).unwrap());
        answers(Procedure::ConnectOpen, arguments, vec![])
    }

    fn features() -> [Step; 2] {
        [14, 15].map(|feature| answers(Procedure::ConnectSupportsFeature, number(feature), number(1)))
    }

    fn close() -> Step {
        answers(Procedure::ConnectClose, vec![], vec![])
    }

    fn refuses(procedure: Procedure, arguments: Vec<u8>, code: Code, text: &'static str) -> Step {
        let error = RemoteError::new(code, Domain::Secret, text.as_bytes());
        answers_with(procedure, arguments, move |call| {
            reply(call, frame::ERROR, &payload(|to| error.encode(to).unwrap()))
        })
    }

    /// A connection whose daemon plays these steps after the handshake, and before the goodbye.
    fn check(steps: impl IntoIterator<Item = Step>, client: impl FnOnce(&Connection)) {
        let script = [auth(&[0]), open(0)].into_iter().chain(features()).chain(steps).chain([close()]);
        let (stream, playing) = play(script.collect());
        let connection = Connection::over(stream, "secret:///system", Access::ReadWrite).unwrap();
        client(&connection);
        drop(connection);
        playing.join().unwrap();
    }

    #[test]
    fn authentication_is_none_or_polkit() {
        let try_with = |steps: Vec<Step>| {
            let (stream, playing) = play(steps);
            let result =
                Connection::over(stream, "secret:///system", Access::ReadOnly).and_then(Connection::close);
            playing.join().unwrap();
            result.map_err(|error| error.to_string())
        };
        let rest = || [open(1)].into_iter().chain(features()).chain([close()]);
        let polkit = || answers(Procedure::AuthPolkit, vec![], number(1));
        assert_eq!(try_with([auth(&[0, 2])].into_iter().chain(rest()).collect()), Ok(()));
        assert_eq!(try_with([auth(&[])].into_iter().chain(rest()).collect()), Ok(()));
        assert_eq!(try_with([auth(&[2]), polkit()].into_iter().chain(rest()).collect()), Ok(()));
        let denied = refuses(Procedure::AuthPolkit, vec![], Code::AuthFailed, "access denied by policy");
        assert_eq!(
            try_with(vec![auth(&[2]), denied, close()]),
            Err("authentication failed: access denied by policy".into())
        );
        assert_eq!(
            try_with(vec![auth(&[1]), close()]),
            Err("the daemon asks for authentication by SASL, and this client has polkit only".into())
        );
    }

    #[test]
    fn calls_carry_their_arguments_and_replies_are_read() {
        let xml = "<secret/>";
        let steps = [
            answers(Procedure::ConnectGetUri, vec![], payload(|to| _ = to.string(b"secret:///system"))),
            answers(Procedure::ConnectGetLibVersion, vec![], payload(|to| _ = to.u64(12_008_000))),
            answers(Procedure::ConnectNumOfSecrets, vec![], number(1)),
            answers(
                Procedure::ConnectListAllSecrets,
                payload(|to| ListAll { need_results: 1, flags: 6 }.encode(to).unwrap()),
                [number(1), handle(), number(1)].concat(),
            ),
            answers(Procedure::SecretLookupByUuid, vec![7; 16], handle()),
            answers(
                Procedure::SecretLookupByUsage,
                payload(|to| _ = to.i32(2).string(b"client.x")),
                handle(),
            ),
            answers(
                Procedure::SecretDefineXml,
                payload(|to| DefineXml { xml: xml.as_bytes(), flags: 1 }.encode(to).unwrap()),
                handle(),
            ),
            answers(Procedure::SecretGetXmlDesc, with_flags(0), payload(|to| _ = to.string(xml.as_bytes()))),
            answers(
                Procedure::SecretSetValue,
                payload(|to| {
                    SetValue { secret: known().to_wire(), value: b"hunter2", flags: 0 }.encode(to).unwrap()
                }),
                vec![],
            ),
            answers(Procedure::SecretGetValue, with_flags(0), payload(|to| _ = to.opaque(b"hunter2", 7))),
            answers(Procedure::SecretUndefine, handle(), vec![]),
        ];
        check(steps, |connection| {
            assert_eq!(connection.uri().unwrap(), "secret:///system");
            assert_eq!(connection.lib_version().unwrap(), 12_008_000);
            assert_eq!(connection.number_of_secrets().unwrap(), 1);
            assert_eq!(connection.list(Filter::PRIVATE.and(Filter::NO_EPHEMERAL)).unwrap(), [known()]);
            assert_eq!(connection.lookup_by_id(known().uuid).unwrap(), known());
            assert_eq!(connection.lookup_by_usage(UsageType::Ceph, "client.x").unwrap(), known());
            assert_eq!(connection.define(xml, Validate::Yes).unwrap(), known());
            assert_eq!(connection.xml(&known()).unwrap(), xml);
            connection.set_value(&known(), b"hunter2").unwrap();
            assert!(connection.value(&known()).unwrap().expose() == b"hunter2");
            connection.undefine(&known()).unwrap();
        });
    }

    #[test]
    fn a_refusal_is_an_error_and_the_connection_goes_on() {
        let steps = [
            refuses(Procedure::SecretGetValue, with_flags(0), Code::InvalidSecret, "secret is private"),
            refuses(
                Procedure::SecretLookupByUuid,
                vec![0; 16],
                Code::NoSecret,
                "no secret with matching uuid",
            ),
        ];
        check(steps, |connection| {
            let Err(private) = connection.value(&known()) else { panic!("told") };
            assert!(private.is_invalid_secret() && !private.is_no_secret());
            assert_eq!(private.to_string(), "Invalid secret: secret is private");
            assert!(connection.lookup_by_id(Uuid::nil()).unwrap_err().is_no_secret());
        });
    }

    #[test]
    fn a_value_that_is_too_long_is_not_sent() {
        check([], |connection| {
            let error = connection.set_value(&known(), &[b'z'; VALUE_BYTES_MAX + 1]).unwrap_err();
            assert!(matches!(error, Error::TooLong(_)), "{error}");
        });
    }

    #[test]
    fn events_come_between_replies_and_end_with_their_registration() {
        let event = |callback, event| {
            let known = known();
            let said = Lifecycle { callback, secret: known.to_wire(), event, detail: 0 };
            frame::message(Header::event(EVENT_LIFECYCLE), 64, |to| said.encode(to)).unwrap()
        };
        let of_one =
            payload(|to| EventRegister { event: 0, secret: Some(known().to_wire()) }.encode(to).unwrap());
        let (before, after) = ([event(5, 0), event(5, 1)].concat(), event(5, 9));
        let steps = [
            answers(Procedure::ConnectSecretEventRegisterAny, of_one, number(5)),
            answers_with(Procedure::SecretUndefine, handle(), move |call| {
                [before, reply(call, frame::OK, &[]), after].concat()
            }),
            answers(Procedure::ConnectSecretEventDeregisterAny, number(5), vec![]),
        ];
        check(steps, |connection| {
            let registration = connection.register_events(EventKind::Lifecycle, Some(&known())).unwrap();
            connection.undefine(&known()).unwrap();
            let expect = |change| Event { registration, secret: known(), change };
            assert_eq!(connection.next_event(SHORT).unwrap(), Some(expect(Change::Defined)));
            assert_eq!(connection.next_event(SHORT).unwrap(), Some(expect(Change::Undefined)));
            connection.deregister_events(registration).unwrap();
            assert_eq!(connection.next_event(SHORT).unwrap(), None);
        });
    }

    #[test]
    fn a_daemon_that_breaks_the_protocol_is_blamed() {
        let other = |call: Header| reply(Header { procedure: 1, ..call }, frame::OK, &[]);
        let steps = [
            answers(Procedure::ConnectNumOfSecrets, vec![], vec![0, 0]),
            answers_with(Procedure::ConnectNumOfSecrets, vec![], other),
            answers(Procedure::ConnectGetUri, vec![], payload(|to| _ = to.string(b"\xff"))),
            answers(Procedure::ConnectListAllSecrets, payload(|to| _ = to.i32(1).u32(0)), number(16_385)),
        ];
        check(steps, |connection| {
            let broken = "the daemon does not keep to the protocol: ";
            let blamed = |error: Error| error.to_string().strip_prefix(broken).unwrap().to_owned();
            let number = || blamed(connection.number_of_secrets().unwrap_err());
            assert_eq!(number(), "the message ends in the middle of a field");
            assert_eq!(number(), "a reply is to procedure 1, and 139 was called");
            assert_eq!(blamed(connection.uri().unwrap_err()), "a text is not UTF-8");
            let list = blamed(connection.list(Filter::ALL).unwrap_err());
            assert_eq!(list, "a field has a length of 16385, and may have 16384 at most");
        });
    }

    #[test]
    fn a_daemon_that_goes_in_the_middle_is_noticed() {
        let half = |call| reply(call, frame::OK, &[0; 4])[..20].to_vec();
        let (stream, playing) = play(vec![
            auth(&[0]),
            answers_with(
                Procedure::ConnectOpen,
                payload(|to| Open { uri: Some(b"x"), flags: 0 }.encode(to).unwrap()),
                half,
            ),
        ]);
        let result = Connection::over(stream, "x", Access::ReadWrite);
        assert!(matches!(result, Err(Error::Ended)));
        playing.join().unwrap();
    }
}
