//! A client of the libvirt door that sends given bytes and waits only on demand.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use libvirt_rpc::error::RemoteError;
use libvirt_rpc::frame::{self, ERROR, Header, Kind, LENGTH_BYTES};
use libvirt_rpc::messages::{
    DefineXml, EventRegister, Get, Lifecycle, ListAll, Open, Parameter, ParameterValue, Secret, SetIdentity,
    SetValue, ValueChanged,
};
use libvirt_rpc::procedures::{EVENT_LIFECYCLE, EVENT_VALUE_CHANGED, Procedure};
use libvirt_rpc::xdr::{Decoder, EncodeError, Encoder};

use super::PATIENCE;

/// A UUID as it is sent.
pub type Id = [u8; 16];

/// One connection.
pub struct Raw {
    stream: UnixStream,
    serial: u32,
    /// Messages that came before an awaited reply.
    events: VecDeque<Message>,
}

/// A message of the server.
#[derive(Debug)]
pub struct Message {
    pub header: Header,
    pub payload: Vec<u8>,
}

/// An error that was answered.
#[derive(Debug, Eq, PartialEq)]
pub struct Refused {
    pub code: i32,
    pub text: String,
}

/// The payload of a reply, or the error in its place.
pub type Answer = Result<Vec<u8>, Refused>;

/// The content of an event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    Defined(Id),
    Undefined(Id),
    ValueChanged(Id),
}

impl Message {
    fn answer(self) -> Answer {
        if self.header.status != ERROR {
            return Ok(self.payload);
        }
        let error = RemoteError::decode(&mut Decoder::new(&self.payload)).unwrap();
        Err(Refused { code: error.code, text: error.text().into_owned() })
    }

    /// The event that it is, and the registration it is for.
    pub fn event(&self) -> (i32, Event) {
        let mut from = Decoder::new(&self.payload);
        match self.header.procedure {
            EVENT_LIFECYCLE => {
                let told = Lifecycle::decode(&mut from).unwrap();
                let event = if told.event == 0 { Event::Defined } else { Event::Undefined };
                (told.callback, event(told.secret.uuid))
            }
            EVENT_VALUE_CHANGED => {
                let told = ValueChanged::decode(&mut from).unwrap();
                (told.callback, Event::ValueChanged(told.secret.uuid))
            }
            other => panic!("{other} is no event"),
        }
    }
}

impl Raw {
    /// Connects, and says nothing.
    pub fn connect(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, serial: 0, events: VecDeque::new() })
    }

    /// Connects and opens the connection, as every client does first.
    pub fn open(socket: &Path) -> io::Result<Self> {
        let mut client = Self::connect(socket)?;
        client.call(Procedure::ConnectOpen, open)?.expect("it opens");
        Ok(client)
    }

    /// The socket itself.
    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Reads one message.
    pub fn message(&mut self) -> io::Result<Message> {
        let mut head = [0; LENGTH_BYTES];
        self.stream.read_exact(&mut head)?;
        let mut rest = vec![0; frame::length(head).unwrap() - LENGTH_BYTES];
        self.stream.read_exact(&mut rest)?;
        let mut from = Decoder::new(&rest);
        let header = Header::decode(&mut from).unwrap();
        Ok(Message { header, payload: from.rest().to_vec() })
    }

    /// Whether the server has closed the connection, waiting until it does or says something.
    pub fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(count) => count == 0,
            Err(error) => matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe),
        }
    }

    /// Sends a call and does not wait.
    pub fn begin(&mut self, procedure: Procedure, write: impl FnOnce(&mut Encoder)) -> io::Result<u32> {
        self.serial += 1;
        let message = message(procedure, self.serial, write);
        self.send(&message)?;
        Ok(self.serial)
    }

    /// Sends a call and waits for its answer.
    pub fn call(&mut self, procedure: Procedure, write: impl FnOnce(&mut Encoder)) -> io::Result<Answer> {
        let serial = self.begin(procedure, write)?;
        self.answer_to(serial)
    }

    /// Waits for the answer to a call.
    pub fn answer_to(&mut self, serial: u32) -> io::Result<Answer> {
        loop {
            let message = self.message()?;
            match message.header.kind {
                Kind::Reply if message.header.serial == serial => return Ok(message.answer()),
                Kind::Message => self.events.push_back(message),
                _ => {} // The answer to another call.
            }
        }
    }

    /// The next event.
    pub fn event(&mut self) -> io::Result<(i32, Event)> {
        if let Some(message) = self.events.pop_front() {
            return Ok(message.event());
        }
        loop {
            let message = self.message()?;
            if message.header.kind == Kind::Message {
                return Ok(message.event());
            }
        }
    }

    // The calls themselves.

    pub fn define(&mut self, xml: &str) -> io::Result<Result<Id, Refused>> {
        let answer = self.call(Procedure::SecretDefineXml, define(xml))?;
        Ok(answer.map(|reply| Secret::decode(&mut Decoder::new(&reply)).unwrap().uuid))
    }

    pub fn set_value(&mut self, id: Id, value: &[u8]) -> io::Result<Answer> {
        self.call(Procedure::SecretSetValue, set_value(id, value))
    }

    pub fn value(&mut self, id: Id) -> io::Result<Answer> {
        let answer = self.call(Procedure::SecretGetValue, get(id))?;
        Ok(answer.map(|reply| Decoder::new(&reply).opaque(65_536).unwrap().to_vec()))
    }

    pub fn xml(&mut self, id: Id) -> io::Result<Result<String, Refused>> {
        let answer = self.call(Procedure::SecretGetXmlDesc, get(id))?;
        Ok(answer.map(|reply| String::from_utf8(Decoder::new(&reply).string().unwrap().to_vec()).unwrap()))
    }

    pub fn undefine(&mut self, id: Id) -> io::Result<Answer> {
        self.call(Procedure::SecretUndefine, |to| handle(id).encode(to).unwrap())
    }

    /// The ids of all secrets.
    pub fn list(&mut self) -> io::Result<Vec<Id>> {
        let all = ListAll { need_results: 1, flags: 0 };
        let reply = self.call(Procedure::ConnectListAllSecrets, |to| all.encode(to).unwrap())?;
        let reply = reply.expect("a list");
        let secrets = Decoder::new(&reply).array(16_384, Secret::decode).unwrap();
        Ok(secrets.iter().map(|secret| secret.uuid).collect())
    }

    pub fn count(&mut self) -> io::Result<i32> {
        let reply = self.call(Procedure::ConnectNumOfSecrets, |_| {})?.expect("a number");
        Ok(Decoder::new(&reply).i32().unwrap())
    }

    /// Asks for events: 0 lifecycle, 1 value changed.
    pub fn register(&mut self, event: i32, secret: Option<Id>) -> io::Result<Result<i32, Refused>> {
        let arguments = EventRegister { event, secret: secret.map(handle) };
        let write = |to: &mut Encoder| arguments.encode(to).unwrap();
        let answer = self.call(Procedure::ConnectSecretEventRegisterAny, write)?;
        Ok(answer.map(|reply| Decoder::new(&reply).i32().unwrap()))
    }

    pub fn deregister(&mut self, callback: i32) -> io::Result<Answer> {
        self.call(Procedure::ConnectSecretEventDeregisterAny, |to| {
            to.i32(callback);
        })
    }

    /// Sets the identity of the connection.
    pub fn identify(&mut self, user: Option<u64>, token: Option<&str>) -> io::Result<Answer> {
        let user = user.map(|user| ("unix-user-id", ParameterValue::ULLong(user)));
        let token = token.map(|token| ("system.token", ParameterValue::String(token.as_bytes())));
        let parameters = user.into_iter().chain(token);
        let parameters = parameters.map(|(name, value)| Parameter { field: name.as_bytes(), value });
        let arguments = SetIdentity { parameters: parameters.collect(), flags: 0 };
        self.call(Procedure::ConnectSetIdentity, |to| arguments.encode(to).unwrap())
    }
}

/// A whole call.
pub fn message(procedure: Procedure, serial: u32, write: impl FnOnce(&mut Encoder)) -> Vec<u8> {
    let write = |to: &mut Encoder| -> Result<(), EncodeError> {
        write(to);
        Ok(())
    };
    frame::message(Header::call(procedure as i32, serial), 64, write).unwrap()
}

/// Arguments of an open of everything.
pub fn open(to: &mut Encoder) {
    Open { uri: Some(b"secret:///system"), flags: 0 }.encode(to).unwrap();
}

/// Arguments of a definition.
pub fn define(xml: &str) -> impl FnOnce(&mut Encoder) {
    move |to| DefineXml { xml: xml.as_bytes(), flags: 0 }.encode(to).unwrap()
}

/// The arguments of setting a value.
pub fn set_value(id: Id, value: &[u8]) -> impl FnOnce(&mut Encoder) {
    move |to| SetValue { secret: handle(id), value, flags: 0 }.encode(to).unwrap()
}

/// The arguments of reading a value or a definition.
pub fn get(id: Id) -> impl FnOnce(&mut Encoder) {
    move |to| Get { secret: handle(id), flags: 0 }.encode(to).unwrap()
}

/// Names a secret by nothing but its id.
pub fn handle(id: Id) -> Secret<'static> {
    Secret { uuid: id, usage_type: 0, usage_id: b"" }
}

/// The text of an id.
pub fn text(id: Id) -> String {
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// A definition with an id of one's own.
pub fn xml(id: Id, attributes: &str, rest: &str) -> String {
    format!("<secret {attributes}><uuid>{}</uuid>{rest}</secret>", text(id))
}

/// The id made of a number. It is of no version of the UUID standard: libvirt does not ask for one.
pub fn id(number: u64) -> Id {
    let mut id = [0xd0; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    id
}
