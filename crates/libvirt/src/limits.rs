//! Limits on the memory and the time that a client may take. Each is far above the needs of libvirt's own clients.

use std::time::Duration;

use libvirt_rpc::xdr::STRING_MAX;

/// Bytes of a message that are kept; the rest is read and dropped. The secret driver's arguments are never longer, and
/// libvirt, too, ignores the bytes after them.
pub(crate) const FRAME_KEPT_BYTES_MAX: usize = STRING_MAX + 64 * 1024;
/// Messages up to this size get their buffer at once. The longest value has 65 536 bytes.
pub(crate) const FRAME_SMALL_BYTES_MAX: usize = 96 * 1024;
/// Memory for longer messages of all clients of one socket; beyond it they wait for each other. Each socket has its own,
/// so read-only clients do not hold up the others. libvirtd takes 32 MiB for each client that announces so much.
pub(crate) const LARGE_FRAMES_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long a message may take from its first byte to its last. libvirtd waits for ever.
pub(crate) const FRAME_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a client may leave replies unread. libvirtd waits for ever.
pub(crate) const UNREAD_TIME_MAX: Duration = Duration::from_secs(60);
/// How long a client may take to authenticate: a person types a password meanwhile.
pub(crate) const AUTH_TIME_MAX: Duration = Duration::from_secs(150);
/// Calls of one connection at once; more wait in the socket. libvirtd's `max_client_requests` is 5.
pub(crate) const CALLS_MAX: usize = 16;
/// Reads of the socket and answered calls of one connection before others have their turn.
pub(crate) const TURN_WORK_MAX: u32 = 8;
/// A reply counts once more for each of these bytes: a list of a thousand secrets is a turn.
pub(crate) const ANSWER_BYTES_A_WORK: usize = 4 * 1024;
/// Entries of a list that the serving thread writes itself; another thread writes a longer list.
pub(crate) const LIST_QUICK_MAX: usize = 1000;
/// Bytes of replies and events that wait to be sent; beyond this the client is not read from and gets no more events.
pub(crate) const UNSENT_BYTES_MAX: usize = 256 * 1024;
/// Registrations for events of one connection. libvirtd has no limit.
pub(crate) const CALLBACKS_MAX: usize = 1024;
/// Events kept for slow clients; a client that is further behind is cut off. libvirtd keeps all, for each client.
pub(crate) const EVENTS_MAX: usize = 8192;
/// The same limit in bytes.
pub(crate) const EVENT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Another thread reads definitions longer than this, and every one with a DOCTYPE: its entities can be a lot of work even
/// if it is short.
pub(crate) const XML_QUICK_BYTES_MAX: usize = 16 * 1024;
/// Log lines about connections that were cut off, in [`CUT_LINES_TIME`]. The rest are only counted.
pub(crate) const CUT_LINES_MAX: u32 = 30;
/// See [`CUT_LINES_MAX`].
pub(crate) const CUT_LINES_TIME: Duration = Duration::from_secs(60);
/// The longest URI of a connection, which is kept as long as the connection.
pub(crate) const URI_BYTES_MAX: usize = 16 * 1024;
/// The most of a client's own text that an error repeats.
pub(crate) const QUOTED_BYTES_MAX: usize = 8 * 1024;
/// Questions to polkit at once about one user: each has a bus connection of its own, and the bus allows 256 to a service.
pub(crate) const POLKIT_QUESTIONS_MAX: u32 = 4;

/// `keepalive_interval` of libvirtd.conf: how long a client that asked for it may be silent before it is pinged.
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// `keepalive_count`: pings in a row that may stay unanswered.
pub(crate) const KEEPALIVE_COUNT: u32 = 5;
