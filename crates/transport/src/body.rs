//! Receives request bodies, up to a size and within a time.

use std::pin::Pin;

use bytes::Buf as _;
use http_body_util::BodyExt as _;
use hyper::body::Body;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::limits::Limits;

/// A request body, up to its limit. It may hold plaintext, so it lies in a wiped buffer.
#[derive(Debug)]
pub struct RequestBody {
    /// The first bytes, at most [`Limits::body_bytes_max`].
    pub bytes: Zeroizing<Vec<u8>>,
    /// Whether the body is longer than that.
    pub cut: bool,
}

/// The body of a request while it comes in. An answer says whether the connection stays open, so before the answer the
/// rest of the body is received, or the connection is given up.
pub struct Arriving<'b, B> {
    body: Pin<&'b mut B>,
    received: Received,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Received {
    /// Nothing was asked for.
    Nothing,
    /// Everything.
    Whole,
    /// A part, and the rest is not received: the connection cannot be used again.
    Part,
}

/// Why a body was not received.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BodyError {
    /// It took too long.
    #[error("the request body took too long")]
    TimedOut,
    /// It ended too early, or its framing is not HTTP.
    #[error("the request body is incomplete or badly framed")]
    Broken,
}

impl RequestBody {
    /// No body.
    pub fn empty() -> Self {
        Self { bytes: Zeroizing::new(Vec::new()), cut: false }
    }

    /// Whether it is UTF-8. At the end of a cut body a character may be incomplete.
    pub fn is_utf8(&self) -> bool {
        match std::str::from_utf8(&self.bytes) {
            Ok(_) => true,
            Err(error) => self.cut && error.error_len().is_none(),
        }
    }
}

impl<'b, B: Body> Arriving<'b, B> {
    /// A body of which nothing was received.
    pub fn new(body: Pin<&'b mut B>) -> Self {
        Self { body, received: Received::Nothing }
    }

    /// Receives it.
    pub async fn receive(&mut self, limits: &Limits) -> Result<RequestBody, BodyError> {
        if self.body.is_end_stream() {
            return Ok(RequestBody::empty());
        }
        self.received = Received::Part; // Until its end has come.
        timeout(limits.body_time_max, self.collect(limits)).await.map_err(|_| BodyError::TimedOut)?
    }

    async fn collect(&mut self, limits: &Limits) -> Result<RequestBody, BodyError> {
        // Allocated once, at a size that is never exceeded: growing would leave plaintext behind.
        let hint = self.body.size_hint().upper().and_then(|length| usize::try_from(length).ok());
        let capacity = hint.unwrap_or(usize::MAX).min(limits.body_bytes_max);
        let mut buffer = Zeroizing::new(Vec::with_capacity(capacity)); // Wiped also if the body is refused.
        let discarded = self
            .frames(limits, |chunk| {
                let room = limits.body_bytes_max.saturating_sub(buffer.len());
                let taken = chunk.get(..room).unwrap_or(chunk);
                buffer.extend_from_slice(taken);
                chunk.len() - taken.len()
            })
            .await?;
        Ok(RequestBody { bytes: buffer, cut: discarded > 0 })
    }

    /// Gives each chunk to `take`, which returns how many of its bytes it discards. Ends early once too many are
    /// discarded. Returns their number.
    async fn frames(
        &mut self,
        limits: &Limits,
        mut take: impl FnMut(&[u8]) -> usize,
    ) -> Result<usize, BodyError> {
        let mut discarded = 0_usize;
        while let Some(frame) = self.body.as_mut().frame().await {
            let frame = frame.map_err(|_| BodyError::Broken)?;
            let Ok(mut data) = frame.into_data() else { continue }; // Trailers have no meaning here.
            while data.has_remaining() {
                let chunk = data.chunk();
                let length = chunk.len();
                discarded = discarded.saturating_add(take(chunk));
                data.advance(length);
            }
            if discarded > limits.discarded_bytes_max {
                return Ok(discarded);
            }
        }
        self.received = Received::Whole;
        Ok(discarded)
    }

    /// Receives and discards a body that nobody asked for, within the limits. Returns whether the connection stays open.
    /// It does not if the client waits for a 100 before it sends the body, since no 100 was sent.
    pub async fn finish(&mut self, is_awaited: bool, limits: &Limits) -> bool {
        match self.received {
            Received::Whole => true,
            Received::Part => false,
            Received::Nothing if self.body.is_end_stream() => true,
            Received::Nothing => {
                let length = self.body.size_hint().lower();
                if is_awaited || length > limits.discarded_bytes_max as u64 {
                    return false;
                }
                let discarded = timeout(limits.body_time_max, self.frames(limits, <[u8]>::len)).await;
                matches!(discarded, Ok(Ok(_))) && self.received == Received::Whole
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Full;

    use super::*;

    fn limits() -> Limits {
        Limits { body_bytes_max: 4, discarded_bytes_max: 3, ..Limits::default() }
    }

    #[tokio::test]
    async fn a_long_body_is_cut() {
        for (sent, expect, goes_on) in
            [("", "", true), ("abc", "abc", true), ("abcdefg", "abcd", true), ("abcdefgh", "abcd", false)]
        {
            let mut body = Full::new(Bytes::from_static(sent.as_bytes()));
            let mut arriving = Arriving::new(Pin::new(&mut body));
            let received = arriving.receive(&limits()).await.unwrap();
            assert_eq!(received.bytes.as_slice(), expect.as_bytes(), "{sent}");
            assert_eq!(arriving.finish(false, &limits()).await, goes_on, "{sent}");
        }
    }

    #[tokio::test]
    async fn an_unread_body_is_discarded_or_ends_the_connection() {
        for (sent, is_awaited, goes_on) in [
            ("", false, true),
            ("abc", false, true),
            ("abcd", false, false),
            ("abc", true, false),
            ("", true, true),
        ] {
            let mut body = Full::new(Bytes::from_static(sent.as_bytes()));
            let mut arriving = Arriving::new(Pin::new(&mut body));
            assert_eq!(arriving.finish(is_awaited, &limits()).await, goes_on, "{sent}");
        }
    }
}
