//! Receives request bodies, up to a size and within a time.

use bytes::Buf as _;
use http_body_util::BodyExt as _;
use hyper::body::Body;
use tokio::time::timeout;
use vault::Payload;

use crate::limits::Limits;

/// A request body, as far as it is looked at. It may hold plaintext, so it lies in a wiped buffer.
#[derive(Debug)]
pub(crate) struct RequestBody {
    /// The first bytes, at most [`Limits::body_bytes_max`].
    pub bytes: Payload,
    /// Whether the body is longer than that.
    pub cut: bool,
    /// Whether some was not even received: the connection cannot be used again.
    pub unread: bool,
}

/// Why a body was not received.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum BodyError {
    /// It took too long.
    #[error("the request body took too long")]
    TimedOut,
    /// It broke off, or was not framed as HTTP says.
    #[error("the request body is incomplete or badly framed")]
    Broken,
}

impl RequestBody {
    /// No body.
    pub(crate) fn empty() -> Self {
        Self { bytes: Payload::new(Vec::new()), cut: false, unread: false }
    }

    /// Whether it is UTF-8; where it was cut off, a character may be cut in two.
    pub(crate) fn is_utf8(&self) -> bool {
        match std::str::from_utf8(self.bytes.expose()) {
            Ok(_) => true,
            Err(error) => self.cut && error.error_len().is_none(),
        }
    }

    /// Receives a body.
    pub(crate) async fn receive<B: Body>(body: B, limits: &Limits) -> Result<Self, BodyError> {
        if body.is_end_stream() {
            return Ok(Self::empty());
        }
        timeout(limits.body_time_max, collect(body, limits)).await.map_err(|_| BodyError::TimedOut)?
    }
}

async fn collect<B: Body>(body: B, limits: &Limits) -> Result<RequestBody, BodyError> {
    let mut body = std::pin::pin!(body);
    // Allocated once, at a size that is never exceeded: growing would leave plaintext behind.
    let hint = body.size_hint().upper().and_then(|length| usize::try_from(length).ok());
    let mut buffer = Vec::with_capacity(hint.unwrap_or(usize::MAX).min(limits.body_bytes_max));
    let mut discarded = 0_usize;
    let mut result = Ok(false);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            result = Err(BodyError::Broken);
            break;
        };
        let Ok(mut data) = frame.into_data() else { continue }; // Trailers say nothing here.
        while data.has_remaining() {
            let chunk = data.chunk();
            let room = limits.body_bytes_max.saturating_sub(buffer.len());
            let (taken, length) = (chunk.get(..room).unwrap_or(chunk), chunk.len());
            buffer.extend_from_slice(taken);
            discarded = discarded.saturating_add(length - taken.len());
            data.advance(length);
        }
        if discarded > limits.discarded_bytes_max {
            result = Ok(true);
            break;
        }
    }
    let bytes = Payload::new(buffer); // Wiped also if the body is refused.
    result.map(|unread| RequestBody { bytes, cut: discarded > 0, unread })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Full;

    use super::*;

    #[tokio::test]
    async fn a_long_body_is_cut_off() {
        let limits = Limits { body_bytes_max: 4, discarded_bytes_max: 3, ..Limits::default() };
        for (sent, expect, unread) in
            [("", "", false), ("abc", "abc", false), ("abcdefg", "abcd", false), ("abcdefgh", "abcd", true)]
        {
            let body =
                RequestBody::receive(Full::new(Bytes::from_static(sent.as_bytes())), &limits).await.unwrap();
            assert_eq!((body.bytes.expose(), body.unread), (expect.as_bytes(), unread), "{sent}");
        }
    }
}
