//! One connection, from its first byte to its last: HTTP/1.1 with keep-alive, within the limits.
//!
//! A client gets an answer before its connection is closed, even if it does not speak HTTP. hyper answers heads that it
//! cannot parse (400, 414, 431). The cases in which it would close without a word are answered here. Heads that hyper
//! takes and a proxy may read otherwise are marked as wrong by [`Heads`].

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_io_timeout::TimeoutWriter;
use tracing::debug;

use crate::clock::while_datable;
use crate::heads::Heads;
use crate::limits::Limits;

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
/// To a request at a time that no answer can be dated with.
const NO_TIME: &str = concat!(
    "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: 117\r\n",
    "retry-after: 5\r\nconnection: close\r\n\r\n",
    r#"{"code": 503, "title": "Service Unavailable", "description": "the clock of this server is before 1970 or after 9999"}"#,
);
/// Bytes that are still read behind the last response: closing a socket with unread bytes may discard the response.
const UNREAD_BYTES_MAX: usize = 64 * 1024;
/// How long the last response on a connection may take: the client may be gone.
const LAST_RESPONSE_TIME_MAX: Duration = Duration::from_secs(1);

/// Answers the requests of connections.
pub trait Service: Send + Sync + 'static {
    /// The body of an answer.
    type Body: Body<Data: Send, Error: std::error::Error + Send + Sync> + Send + 'static;

    /// Answers one request, which came in at an address of this machine. Every request has an answer.
    fn answer(
        &self,
        request: Request<Incoming>,
        here: SocketAddr,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// Serves one accepted connection until it ends. `here` is the address of this machine that it came to. After `drain`
/// completes, a request that has begun is answered within [`Limits::drain_time_max`], and no other is accepted.
pub async fn serve_connection<S, I>(
    service: Arc<S>,
    limits: &Limits,
    io: I,
    here: SocketAddr,
    drain: impl Future<Output = ()>,
) where
    S: Service,
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| {
        let service = Arc::clone(&service);
        async move { Ok::<_, Infallible>(service.answer(request, here).await) }
    });
    let io = Heads::new(with_write_time(io, limits.write_time_max));
    let mut connection = builder(limits).serve_connection(TokioIo::new(io), service);
    let mut served = tokio::select! {
        served = while_datable(&mut connection) => Some(served),
        () = drain => None,
    };
    if served.is_none() {
        Pin::new(&mut connection).graceful_shutdown();
        served = timeout(limits.drain_time_max, while_datable(&mut connection)).await.ok();
    }
    let error = match served {
        Some(Some(Ok(()))) => return,
        Some(Some(Err(error))) => error,
        Some(None) => return send_last_response(connection.into_parts().io.into_inner(), NO_TIME).await,
        None => return debug!("a connection did not end in time"),
    };
    debug!(%error, "a connection ended early");
    let parts = connection.into_parts();
    let response = match (error.is_parse_version_h2(), error.is_timeout() && !parts.read_buf.is_empty()) {
        (true, _) => VERSION_NOT_SUPPORTED,
        (_, true) => REQUEST_TIMEOUT,
        _ => return,
    };
    send_last_response(parts.io.into_inner(), response).await;
}

/// A stream whose writes fail with `TimedOut` once its other end has taken nothing for so long: an end that never reads
/// would keep the connection for ever, and one that reads slowly is served for as long as it reads. Only a write that finds
/// no room starts the timer. Reads have other limits.
fn with_write_time<I: AsyncRead + AsyncWrite>(io: I, time_max: Duration) -> Pin<Box<TimeoutWriter<I>>> {
    let mut io = TimeoutWriter::new(io);
    io.set_timeout(Some(time_max));
    Box::pin(io)
}

fn builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time_max)
        .max_buf_size(limits.head_bytes_max.max(Limits::HEAD_BYTES_MIN))
        .max_headers(limits.header_fields_max)
        .half_close(true); // A client that has closed its side still gets an answer.
    builder
}

/// Sends a response and ends the connection. Some unread bytes are read first, or the response might be lost.
async fn send_last_response(mut io: impl AsyncRead + AsyncWrite + Unpin, response: &str) {
    let sent = async {
        io.write_all(response.as_bytes()).await?;
        io.shutdown().await?;
        let (mut buffer, mut left) = ([0; 1024], UNREAD_BYTES_MAX);
        while let read @ 1.. = io.read(&mut buffer).await?.min(left) {
            left -= read;
        }
        std::io::Result::Ok(())
    };
    if !matches!(timeout(LAST_RESPONSE_TIME_MAX, sent).await, Ok(Ok(()))) {
        debug!("the last response on a connection was not delivered");
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, IoSlice};

    use tokio::io::{DuplexStream, duplex};
    use tokio::time::{Instant, sleep};

    use super::*;

    #[test]
    fn last_responses_have_the_length_they_declare() {
        for response in [REQUEST_TIMEOUT, VERSION_NOT_SUPPORTED, NO_TIME] {
            let (head, body) = response.split_once("\r\n\r\n").unwrap();
            assert!(
                head.contains(&format!("content-length: {}\r\n", body.len())),
                "{} bytes: {head}",
                body.len()
            );
        }
    }

    const TIME_MAX: Duration = Duration::from_secs(30);

    /// Both ends of a stream with room for four bytes.
    fn narrow() -> (Pin<Box<TimeoutWriter<DuplexStream>>>, DuplexStream) {
        let (near, far) = duplex(4);
        (with_write_time(near, TIME_MAX), far)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_is_cut_off() {
        let (mut near, _far) = narrow();
        let start = Instant::now();
        near.write_all(b"1234").await.unwrap();
        near.flush().await.unwrap();
        let error = near.write_all(b"5").await.unwrap_err();
        assert_eq!((error.kind(), start.elapsed().as_secs()), (ErrorKind::TimedOut, 30));
        let error = near.write_vectored(&[IoSlice::new(b"5")]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_is_served() {
        let (mut near, mut far) = narrow();
        let start = Instant::now();
        let reading = async move {
            let mut taken = Vec::new();
            while taken.len() < 12 {
                sleep(Duration::from_secs(29)).await;
                taken.push(far.read_u8().await.unwrap());
            }
            taken
        };
        let (written, taken) = tokio::join!(near.write_all(b"twelve bytes"), reading);
        written.unwrap();
        assert_eq!((taken.as_slice(), start.elapsed().as_secs()), (b"twelve bytes".as_slice(), 12 * 29));
    }
}
