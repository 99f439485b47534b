//! One connection, from its first byte to its last: HTTP/1.1 with keep-alive, within the limits.
//!
//! Whoever opened the connection gets an answer before it is closed, also to what is no HTTP: hyper answers what it
//! cannot parse (400, 414, 431), and what it would pass over in silence is answered here.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use tracing::debug;

use crate::door::Door;
use crate::limits::Limits;
use crate::patience::Patience;

/// To a request whose head did not come in time.
const REQUEST_TIMEOUT: &str = concat!(
    "HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\ncontent-length: 94\r\nconnection: close\r\n\r\n",
    r#"{"code": 408, "title": "Request Timeout", "description": "the head of the request is missing"}"#,
);
/// To HTTP/2.
const VERSION_NOT_SUPPORTED: &str = concat!(
    "HTTP/1.1 505 HTTP Version Not Supported\r\ncontent-type: application/json\r\ncontent-length: 98\r\n",
    "connection: close\r\n\r\n",
    r#"{"code": 505, "title": "HTTP Version Not Supported", "description": "this server speaks HTTP/1.1"}"#,
);
/// How long the last words on a connection may take: its other end may be gone.
const LAST_WORDS_TIME_MAX: Duration = Duration::from_secs(1);

impl Door {
    /// Serves one accepted connection until it ends. When `drain` completes, a request that has begun is still
    /// answered, within [`Limits::drain_time_max`], and no other is taken.
    pub async fn serve_connection<I>(self: Arc<Self>, io: I, drain: impl Future<Output = ()>)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let _open = self.metrics().connection();
        let limits = *self.limits();
        let service = service_fn(|request| {
            let door = Arc::clone(&self);
            async move { Ok::<_, Infallible>(door.answer(request).await) }
        });
        let mut connection = builder(&limits)
            .serve_connection(TokioIo::new(Patience::new(io, limits.write_time_max)), service);
        let mut served = tokio::select! {
            served = &mut connection => Some(served),
            () = drain => None,
        };
        if served.is_none() {
            Pin::new(&mut connection).graceful_shutdown();
            served = timeout(limits.drain_time_max, &mut connection).await.ok();
        }
        let error = match served {
            Some(Ok(())) => return,
            Some(Err(error)) => error,
            None => return debug!("a connection did not end in time"),
        };
        debug!(%error, "a connection ended early");
        let parts = connection.into_parts();
        let words = match (error.is_parse_version_h2(), error.is_timeout() && !parts.read_buf.is_empty()) {
            (true, _) => VERSION_NOT_SUPPORTED,
            (_, true) => REQUEST_TIMEOUT,
            _ => return,
        };
        say(parts.io.into_inner(), words).await;
    }
}

fn builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time_max)
        .max_buf_size(limits.head_bytes_max.max(Limits::HEAD_BYTES_MIN))
        .max_headers(limits.header_fields_max)
        .half_close(true); // Whoever says nothing more still gets an answer.
    builder
}

/// Says something last. Whether it arrives cannot be helped.
async fn say(mut io: impl AsyncWrite + Unpin, words: &str) {
    let said = async {
        io.write_all(words.as_bytes()).await?;
        io.shutdown().await
    };
    if !matches!(timeout(LAST_WORDS_TIME_MAX, said).await, Ok(Ok(()))) {
        debug!("the last words on a connection did not arrive");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_as_long_as_they_say() {
        for words in [REQUEST_TIMEOUT, VERSION_NOT_SUPPORTED] {
            let (head, body) = words.split_once("\r\n\r\n").unwrap();
            assert!(
                head.contains(&format!("content-length: {}\r\n", body.len())),
                "{} bytes: {head}",
                body.len()
            );
        }
    }
}
