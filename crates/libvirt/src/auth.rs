//! How a client becomes somebody: the seam between a connection and what may be asked on it.
//!
//! A connection of the UNIX sockets is the kernel's word for who is there; `polkit` asks in addition. SASL, and TLS with
//! certificates, belong to listeners that are not there yet: each is a way more here, and an answer to `AUTH_LIST`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use libvirt_rpc::messages::{AUTH_NONE, AUTH_POLKIT};

use crate::identity::Peer;
use crate::limits::POLKIT_QUESTIONS_MAX;

/// What a client has to do before it may ask for anything.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Auth {
    /// Nothing: who can open the socket may use it.
    #[default]
    None,
    /// Be authorised by polkit, unless it is root: `org.libvirt.unix.manage`, or `org.libvirt.unix.monitor` on the
    /// read-only socket.
    Polkit,
}

impl Auth {
    /// What `AUTH_LIST` answers this client.
    pub(crate) fn of(self, peer: Option<Peer>) -> i32 {
        match (self, peer) {
            (Self::None, _) | (Self::Polkit, Some(Peer { uid: 0, .. })) => AUTH_NONE,
            (Self::Polkit, _) => AUTH_POLKIT,
        }
    }
}

/// Questions that polkit is being asked, by the user they are about.
#[derive(Debug, Default)]
pub(crate) struct Questions(Mutex<HashMap<u32, u32>>);

impl Questions {
    /// One more, unless there are as many about this user as may be: so one user's do not keep others from being asked
    /// about.
    pub(crate) fn begin(self: &Arc<Self>, uid: u32) -> Option<Question> {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = asked.entry(uid).or_default();
        if *count >= POLKIT_QUESTIONS_MAX {
            return None;
        }
        *count += 1;
        Some(Question { questions: Arc::clone(self), uid })
    }
}

/// One of them, until this is dropped.
#[derive(Debug)]
pub(crate) struct Question {
    questions: Arc<Questions>,
    uid: u32,
}

impl Drop for Question {
    fn drop(&mut self) {
        let mut asked = self.questions.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = asked.get_mut(&self.uid) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                asked.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_users_questions_do_not_keep_others_from_asking() {
        let questions = Arc::<Questions>::default();
        let asked: Vec<_> = (0..POLKIT_QUESTIONS_MAX).map(|_| questions.begin(1000).unwrap()).collect();
        assert!(questions.begin(1000).is_none());
        assert!(questions.begin(1001).is_some());
        drop(asked);
        assert!(questions.begin(1000).is_some());
        assert!(questions.0.lock().unwrap().is_empty(), "nothing is kept of who has asked");
    }
}
