//! For tests: a daemon that follows a script, at the other end of a pair of sockets.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;
use std::time::Duration;

use libvirt_rpc::frame::{self, Header, LENGTH_BYTES, LENGTH_MIN};
use libvirt_rpc::procedures::Procedure;
use libvirt_rpc::xdr::{Decoder, Encoder};

/// No step of a test takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// One call in the script: its procedure and arguments, which are checked, and the bytes to send.
pub(crate) struct Step {
    procedure: Procedure,
    arguments: Vec<u8>,
    answer: Box<dyn FnOnce(Header) -> Vec<u8> + Send>,
}

/// Answers a call with a payload.
pub(crate) fn answers(procedure: Procedure, arguments: Vec<u8>, payload: Vec<u8>) -> Step {
    answers_with(procedure, arguments, move |call| reply(call, frame::OK, &payload))
}

/// Answers a call with these bytes.
pub(crate) fn answers_with(
    procedure: Procedure,
    arguments: Vec<u8>,
    answer: impl FnOnce(Header) -> Vec<u8> + Send + 'static,
) -> Step {
    Step { procedure, arguments, answer: Box::new(answer) }
}

/// The reply to a call, whole.
pub(crate) fn reply(call: Header, status: u32, payload: &[u8]) -> Vec<u8> {
    let mut message = frame::empty(call.reply(status));
    message.extend_from_slice(payload);
    let length = u32::try_from(message.len()).unwrap();
    message[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
    message
}

/// Bytes of a payload.
pub(crate) fn payload(write: impl FnOnce(&mut Encoder)) -> Vec<u8> {
    let mut to = Encoder::default();
    write(&mut to);
    to.into_bytes()
}

/// Plays the steps in order, then closes. Joining the thread fails if the client left the script.
pub(crate) fn play(steps: Vec<Step>) -> (UnixStream, JoinHandle<()>) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.set_read_timeout(Some(PATIENCE)).unwrap();
    let playing = std::thread::spawn(move || {
        for (serial, step) in steps.into_iter().enumerate() {
            let (header, arguments) = receive(&mut theirs);
            assert_eq!(Procedure::from_number(header.procedure), Some(step.procedure), "call {serial}");
            assert_eq!(arguments, step.arguments, "arguments of {:?}", step.procedure);
            assert_eq!(header, Header::call(step.procedure as i32, u32::try_from(serial).unwrap()));
            theirs.write_all(&(step.answer)(header)).unwrap();
        }
    });
    (ours, playing)
}

fn receive(stream: &mut UnixStream) -> (Header, Vec<u8>) {
    let mut first = [0; LENGTH_BYTES];
    stream.read_exact(&mut first).unwrap();
    let mut rest = vec![0; frame::length(first).unwrap() - LENGTH_BYTES];
    stream.read_exact(&mut rest).unwrap();
    let header = Header::decode(&mut Decoder::new(&rest)).unwrap();
    (header, rest.split_off(LENGTH_MIN - LENGTH_BYTES))
}
