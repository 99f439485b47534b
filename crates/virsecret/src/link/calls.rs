//! Calls by their serials: those that wait for a reply, and replies that their callers have not fetched yet.

use std::collections::HashMap;

use crate::inbox::Message;

/// The table.
#[derive(Default)]
pub(super) struct CallTable(HashMap<u32, Option<Message>>);

impl CallTable {
    /// A call is about to be sent: the reply may be there at once.
    pub(super) fn announce(&mut self, serial: u32) {
        self.0.insert(serial, None);
    }

    /// Keeps a reply for its caller. False if nobody waits for it, or one is there: neither is replaced.
    pub(super) fn put(&mut self, reply: Message) -> bool {
        match self.0.get_mut(&reply.header.serial) {
            Some(slot @ None) => {
                *slot = Some(reply);
                true
            }
            Some(Some(_)) | None => false,
        }
    }

    /// Whether a call was announced, and its reply if that has come.
    pub(super) fn take(&mut self, serial: u32) -> Option<Option<Message>> {
        self.0.get_mut(&serial).map(Option::take)
    }

    /// The caller waits no more: a reply that comes later is dropped.
    pub(super) fn forget(&mut self, serial: u32) {
        self.0.remove(&serial);
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
