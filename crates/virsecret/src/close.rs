//! Why a connection ends, and what a watcher of it is told.

/// Why a connection is at its end: `virConnectCloseReason`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CloseReason {
    /// Something is wrong with the stream or with a message on it.
    Error = 0,
    /// The daemon closed it.
    EndOfFile = 1,
    /// The daemon was silent for too long.
    Keepalive = 2,
    /// We closed it.
    Client = 3,
}

impl CloseReason {
    /// The reason with a number; any unknown one is an error.
    pub(crate) fn from_number(number: i32) -> Self {
        let all = [Self::EndOfFile, Self::Keepalive, Self::Client];
        all.into_iter().find(|reason| *reason as i32 == number).unwrap_or(Self::Error)
    }
}

/// News about a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Notice {
    /// Events wait to be taken.
    Events,
    /// The link is at its end.
    Closed(CloseReason),
    /// The daemon's own connection behind it is at its end, as the daemon says. The link is not.
    ClosedBeyond(CloseReason),
}

/// Whom the thread that notices something tells, with no lock held.
pub(crate) type Watcher = Box<dyn Fn(Notice) + Send + Sync>;
