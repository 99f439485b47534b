//! How much and how long: every bound of the client, with where it comes from.

use std::time::Duration;

/// The longest value of a secret (64 KiB): `REMOTE_SECRET_VALUE_MAX`.
pub const VALUE_BYTES_MAX: usize = libvirt_rpc::messages::VALUE_BYTES_MAX;

/// The longest XML or usage (4 MiB): `REMOTE_STRING_MAX`.
pub const STRING_BYTES_MAX: usize = libvirt_rpc::xdr::STRING_MAX;

/// The most secrets in one list: `REMOTE_SECRET_LIST_MAX`.
pub const SECRETS_MAX: usize = libvirt_rpc::messages::SECRETS_MAX;

/// To be accepted. A daemon with `max_clients` lets newcomers wait in the backlog for ever.
pub const CONNECT_WAIT_MAX: Duration = Duration::from_secs(10);

/// For a TLS session, from the first byte until the daemon has accepted us. libvirt's own client waits for ever.
pub const HANDSHAKE_WAIT_MAX: Duration = Duration::from_secs(30);

/// For a reply, unless [`crate::Connection::set_reply_wait`] says otherwise. libvirt's own client waits for ever;
/// a set-value that waits for a busy disk is answered within seconds.
pub const REPLY_WAIT_MAX: Duration = Duration::from_secs(60);

/// For the daemon to take more of a message. Within this it reads, or it is stuck.
pub const SEND_WAIT_MAX: Duration = Duration::from_secs(30);

/// For the goodbye to be answered. Nothing depends on it.
pub const CLOSE_WAIT_MAX: Duration = Duration::from_secs(2);

/// For an event, at once: whoever wants to wait longer asks again. A year, which a clock can always be asked for.
pub const EVENT_WAIT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// Events that nobody has taken yet. Of more the oldest are dropped, and the next taker is told how many.
pub const EVENTS_WAITING_MAX: usize = 16_384;

/// Memory taken on the word of a length alone. A message with a value in it is shorter than this, so its buffer never
/// grows, which would leave a copy behind. Longer ones (lists, XML) grow as their bytes arrive.
pub(crate) const MESSAGE_BYTES_AT_ONCE: usize = 128 * 1024;

/// The shortest wait: so that a wait of nothing looks once.
pub(crate) const WAIT_MIN: Duration = Duration::from_millis(1);

/// What a connection keeps to receive into: room for most replies, and for many events at once.
pub(crate) const INBOX_BYTES: usize = 8 * 1024;

/// Reads in one go for an event loop, so that a daemon that never stops sending does not keep it from anything else.
pub(crate) const READS_AT_ONCE_MAX: usize = 64;

/// Bytes of usages in events that nobody has taken yet: a usage may be as long as a string.
pub(crate) const EVENTS_BYTES_MAX: usize = 16 << 20;

/// Of a file with certificates, revocations or a key. libvirt reads 64 KiB of certificates; a whole system's authorities
/// are some 250.
pub(crate) const CREDENTIALS_BYTES_MAX: usize = 1 << 20;

/// Reads from the socket, of 4 KiB each, until a record of TLS (16 KiB) must have come whole. More is a daemon that says
/// nothing at great length, and it is looked at anew whether anybody still wants to know.
pub(crate) const TLS_READS_MAX: usize = 8;
