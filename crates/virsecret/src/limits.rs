//! Every limit of the client on sizes and waits, with its source.

use std::time::Duration;

/// The longest value of a secret (64 KiB): `REMOTE_SECRET_VALUE_MAX`.
pub const VALUE_BYTES_MAX: usize = libvirt_rpc::messages::VALUE_BYTES_MAX;

/// The longest XML or usage (4 MiB): `REMOTE_STRING_MAX`.
pub const STRING_BYTES_MAX: usize = libvirt_rpc::xdr::STRING_MAX;

/// The most secrets in one list: `REMOTE_SECRET_LIST_MAX`.
pub const SECRETS_MAX: usize = libvirt_rpc::messages::SECRETS_MAX;

/// The wait to be accepted. A daemon with `max_clients` leaves new clients in the backlog for ever.
pub const CONNECT_WAIT_MAX: Duration = Duration::from_secs(10);

/// The wait for a TLS session, from the first byte until the daemon has accepted us. libvirt's own client has no limit.
pub const HANDSHAKE_WAIT_MAX: Duration = Duration::from_secs(30);

/// The wait for a reply, unless [`crate::Connection::set_reply_wait`] sets another. libvirt's own client has no limit. A
/// set-value that waits for a busy disk is answered within seconds.
pub const REPLY_WAIT_MAX: Duration = Duration::from_secs(60);

/// The wait until the daemon receives more of a message. A daemon that needs longer is stuck.
pub const SEND_WAIT_MAX: Duration = Duration::from_secs(30);

/// The wait for the answer to the goodbye. Nothing depends on it.
pub const CLOSE_WAIT_MAX: Duration = Duration::from_secs(2);

/// The longest wait for an event: a year, which every clock can add. A caller that wants to wait longer asks again.
pub const EVENT_WAIT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// The most unclaimed events. If there are more, the oldest are dropped, and the next caller is told how many.
pub const EVENTS_WAITING_MAX: usize = 16_384;

/// The memory that a length alone can claim, before its bytes arrive. A message with a value is shorter, so its buffer never
/// grows, which would leave a copy behind. Longer messages (lists, XML) grow with their bytes.
pub(crate) const MESSAGE_BYTES_AT_ONCE: usize = 128 * 1024;

/// The shortest wait. So a wait of zero still looks once.
pub(crate) const WAIT_MIN: Duration = Duration::from_millis(1);

/// The receive buffer that a connection keeps: room for most replies, and for many events at once.
pub(crate) const INBOX_BYTES: usize = 8 * 1024;

/// The most reads in a row for an event loop. So a daemon that never stops sending cannot block the loop.
pub(crate) const READS_AT_ONCE_MAX: usize = 64;

/// The most bytes of usages in unclaimed events: a usage may be as long as a string.
pub(crate) const EVENTS_BYTES_MAX: usize = 16 << 20;

/// The longest file of certificates, revocations or a key. libvirt reads 64 KiB of certificates; all authorities of a system
/// take about 250 KiB.
pub(crate) const CREDENTIALS_BYTES_MAX: usize = 1 << 20;

/// Reads from the socket, of 4 KiB each, until a record of TLS (16 KiB) must have come whole. After that
/// the caller checks first whether it still waits.
pub(crate) const TLS_READS_MAX: usize = 8;
