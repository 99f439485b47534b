//! How a client authenticates.
//!
//! On a UNIX socket the kernel says which user the client is; polkit may be asked in addition. SASL, and TLS with
//! certificates, belong to listeners that do not exist yet: each will be a variant of [`ClientAuth`] and an answer to `AUTH_LIST`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use libvirt_rpc::messages::{AUTH_NONE, AUTH_POLKIT};

use crate::identity::Peer;
use crate::limits::POLKIT_QUESTIONS_MAX;

/// The authentication that a client needs before any other call.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ClientAuth {
    /// None: a client that can open the socket may use it.
    #[default]
    None,
    /// polkit must authorise the client, unless it is root: `org.libvirt.unix.manage`, or `org.libvirt.unix.monitor` on the
    /// read-only socket.
    Polkit,
}

impl ClientAuth {
    /// The answer of `AUTH_LIST` to this client.
    pub(crate) fn method_for(self, peer: Option<Peer>) -> i32 {
        match (self, peer) {
            (Self::None, _) | (Self::Polkit, Some(Peer { uid: 0, .. })) => AUTH_NONE,
            (Self::Polkit, _) => AUTH_POLKIT,
        }
    }
}

/// How many open questions polkit has about each user.
#[derive(Debug, Default)]
pub(crate) struct Questions(Mutex<HashMap<u32, u32>>);

impl Questions {
    /// Begins one more, unless this user has reached the limit. So the questions about one user do not hold up those about
    /// others.
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

/// One open question. It ends when this is dropped.
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
    fn questions_about_one_user_do_not_block_others() {
        let questions = Arc::<Questions>::default();
        let asked: Vec<_> = (0..POLKIT_QUESTIONS_MAX).map(|_| questions.begin(1000).unwrap()).collect();
        assert!(questions.begin(1000).is_none());
        assert!(questions.begin(1001).is_some());
        drop(asked);
        assert!(questions.begin(1000).is_some());
        assert!(questions.0.lock().unwrap().is_empty(), "a user without questions has no entry");
    }
}
