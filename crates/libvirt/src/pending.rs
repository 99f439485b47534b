//! Calls that have begun and are not answered yet.

use std::pin::Pin;
use std::task::{Context, Poll};

use libvirt_rpc::frame::{Header, REMOTE};
use libvirt_rpc::procedures::Procedure;
use libvirt_rpc::xdr::Decoder;
use tokio::sync::OwnedSemaphorePermit;

use crate::reply::Reply;

/// A call that has begun.
pub(crate) struct PendingCall {
    /// The header of the call.
    pub(crate) header: Header,
    /// What its reply decides for the session.
    pub(crate) decides: Decides,
    work: Pin<Box<dyn Future<Output = Reply> + Send>>,
    /// The memory for a long message. The call has copies of parts of it, so it holds this until it is done.
    memory: Option<OwnedSemaphorePermit>,
}

/// What the reply of a call decides for its session: yes, unless it is an error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Decides {
    /// Nothing.
    Nothing,
    /// Whether the client is authenticated.
    Authentication,
    /// Whether this registration holds from now on.
    Registration(i32),
}

impl PendingCall {
    pub(crate) fn new(
        header: Header,
        decides: Decides,
        work: impl Future<Output = Reply> + Send + 'static,
    ) -> Self {
        Self { header, decides, work: Box::pin(work), memory: None }
    }

    /// Goes on with it.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Reply> {
        self.work.as_mut().poll(context)
    }

    /// Holds memory until it is done.
    pub(crate) fn hold(&mut self, memory: Option<OwnedSemaphorePermit>) {
        self.memory = memory;
    }

    /// Whether it makes a list.
    pub(crate) fn is_list(&self) -> bool {
        is_list(self.header)
    }
}

fn is_list(header: Header) -> bool {
    let procedure = Procedure::from_number(header.procedure);
    let lists = [Procedure::ConnectListSecrets, Procedure::ConnectListAllSecrets];
    header.program == REMOTE && procedure.is_some_and(|procedure| lists.contains(&procedure))
}

/// Whether a message, without its length, calls for a list.
pub(crate) fn asks_for_a_list(message: &[u8]) -> bool {
    Header::decode(&mut Decoder::new(message)).is_ok_and(is_list)
}
