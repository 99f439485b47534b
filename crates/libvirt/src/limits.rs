//! What a client may cost. Each is far above what any client of libvirt's needs.

use std::time::Duration;

use libvirt_rpc::xdr::STRING_MAX;

/// Of a message so much is kept; the rest is read and dropped. No arguments of the secret driver's are longer: what
/// follows them is looked at by nobody, in libvirt either.
pub(crate) const FRAME_KEPT_BYTES_MAX: usize = STRING_MAX + 64 * 1024;
/// A message up to this has its room at once: the longest that brings a value has 65 536 bytes of it.
pub(crate) const FRAME_SMALL_BYTES_MAX: usize = 96 * 1024;
/// Longer ones, of all clients of a socket together, wait for each other beyond this: whoever may only read keeps nobody
/// from writing. libvirtd takes 32 MiB for each client that announces so much.
pub(crate) const LARGE_FRAMES_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long a message may take from its first byte to its last. libvirtd waits for ever.
pub(crate) const FRAME_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a client may leave what it asked for unread. libvirtd waits for ever.
pub(crate) const UNREAD_TIME_MAX: Duration = Duration::from_secs(60);
/// How long a client may take to authenticate: a person types a password meanwhile.
pub(crate) const AUTH_TIME_MAX: Duration = Duration::from_secs(150);
/// Calls of one connection at once; further ones wait in the socket. libvirtd's `max_client_requests` is 5.
pub(crate) const CALLS_MAX: usize = 16;
/// How often a connection may have its socket read, or a call answered, before others have their turn.
pub(crate) const TURN_WORK_MAX: u32 = 8;
/// An answer counts once more for each of these: a list of a thousand secrets is a turn.
pub(crate) const ANSWER_BYTES_A_WORK: usize = 4 * 1024;
/// Entries of a list that are written where requests are served; a longer one is written on a thread apart.
pub(crate) const LIST_QUICK_MAX: usize = 1000;
/// Answers and events that wait to be sent: beyond this nothing more is read or told until they are.
pub(crate) const UNSENT_BYTES_MAX: usize = 256 * 1024;
/// Registrations for events of one connection. libvirtd has no bound.
pub(crate) const CALLBACKS_MAX: usize = 1024;
/// Events kept for clients that are slow to read them; who is further behind is cut off. libvirtd keeps all, for each.
pub(crate) const EVENTS_MAX: usize = 8192;
/// The same in bytes of what they say.
pub(crate) const EVENT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Definitions longer than this are read on a thread of their own, and so is every one that has a DOCTYPE: a short one can
/// be a lot of work by its entities.
pub(crate) const XML_QUICK_BYTES_MAX: usize = 16 * 1024;
/// Lines of the log about connections that were cut off, in [`CUT_LINES_TIME`]. The rest are counted.
pub(crate) const CUT_LINES_MAX: u32 = 30;
/// See [`CUT_LINES_MAX`].
pub(crate) const CUT_LINES_TIME: Duration = Duration::from_secs(60);
/// The longest URI a connection is opened with: it is kept as long as the connection.
pub(crate) const URI_BYTES_MAX: usize = 16 * 1024;
/// The most of a client's own text that an error says to it again.
pub(crate) const QUOTED_BYTES_MAX: usize = 8 * 1024;
/// Questions to polkit at once about one user: each has a bus connection of its own, and the bus allows 256 to a service.
pub(crate) const POLKIT_QUESTIONS_MAX: u32 = 4;

/// `keepalive_interval` of libvirtd.conf: how long a client that asked for it may be silent before it is pinged.
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// `keepalive_count`: pings in a row that may stay unanswered.
pub(crate) const KEEPALIVE_COUNT: u32 = 5;
