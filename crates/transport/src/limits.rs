//! Every limit of a connection and its requests, in one place.

use std::time::Duration;

/// How much one request may use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Bytes of a request line with its headers; more is answered 431. Python's servers stop at 64 KiB as well.
    /// hyper needs at least 8 KiB.
    pub head_bytes_max: usize,
    /// Header fields of a request; more is answered 431.
    pub header_fields_max: usize,
    /// Bytes of a body that are kept: Barbican's `max_allowed_request_size_in_bytes`. A longer body is read as if it
    /// ended there.
    pub body_bytes_max: usize,
    /// Bytes of a longer or unread body that are received and discarded, so that the client reads the answer instead of
    /// a reset, and the connection stays open. After more bytes it ends with the answer.
    pub discarded_bytes_max: usize,
    /// Time to send the head of a request, from the end of the answer before it; then the connection is closed, after
    /// a 408 if a part of the head had come.
    pub head_time_max: Duration,
    /// Time to send a body; then 408.
    pub body_time_max: Duration,
    /// Time in which the client reads at least some bytes of an answer; then the connection is cut off. Otherwise a
    /// client that never reads would keep it for ever.
    pub write_time_max: Duration,
    /// Time that an open connection gets to finish its request once the server drains.
    pub drain_time_max: Duration,
}

impl Limits {
    /// The smallest [`Self::head_bytes_max`] that hyper takes.
    pub const HEAD_BYTES_MIN: usize = 8 * 1024;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes_max: 64 * 1024,
            header_fields_max: 100,
            body_bytes_max: 25_000,
            discarded_bytes_max: 16 * 1024 * 1024,
            head_time_max: Duration::from_secs(60),
            body_time_max: Duration::from_secs(30),
            write_time_max: Duration::from_secs(30),
            drain_time_max: Duration::from_secs(30),
        }
    }
}
