//! How a client becomes somebody: the seam between a connection and what may be asked on it.
//!
//! A connection of the UNIX sockets is the kernel's word for who is there; `polkit` asks in addition. SASL, and TLS with
//! certificates, belong to listeners that are not there yet: each is a way more here, and an answer to `AUTH_LIST`.

use libvirt_rpc::messages::{AUTH_NONE, AUTH_POLKIT};

use crate::identity::Peer;

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
