//! The byte stream of a connection, whose other end has to go on taking what is written to it.
//!
//! A write that finds no room waits until there is some, and an end that never reads makes none: the answer, and the
//! connection with it, would wait for ever. Here the wait has an end. It is measured from the first write that found no
//! room to the next that succeeds, so a slow reader is served for as long as it reads at all.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A stream that fails with [`ErrorKind::TimedOut`] once its other end has taken nothing for too long. Reading has
/// limits elsewhere and is passed on.
#[derive(Debug)]
pub(crate) struct Patience<I> {
    io: I,
    time_max: Duration,
    /// Runs while there is no room. None before that: most connections never need a timer.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<I> Patience<I> {
    /// Waits no longer than this for room.
    pub(crate) fn new(io: I, time_max: Duration) -> Self {
        Self { io, time_max, waiting: None }
    }

    /// Passes on what became of an attempt to write, unless it has to wait and has waited long enough.
    fn bounded<T>(&mut self, attempt: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if attempt.is_ready() {
            self.waiting = None;
            return attempt;
        }
        let time_max = self.time_max;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(time_max)));
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Patience<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Patience<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let attempt = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.bounded(attempt, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let attempt = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.bounded(attempt, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let attempt = Pin::new(&mut self.io).poll_flush(cx);
        self.bounded(attempt, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let attempt = Pin::new(&mut self.io).poll_shutdown(cx);
        self.bounded(attempt, cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::time::Instant;

    use super::*;

    const TIME_MAX: Duration = Duration::from_secs(30);

    /// Both ends of a stream with room for four bytes.
    fn narrow() -> (Patience<DuplexStream>, DuplexStream) {
        let (near, far) = duplex(4);
        (Patience::new(near, TIME_MAX), far)
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_given_up() {
        let (mut near, _far) = narrow();
        let start = Instant::now();
        near.write_all(b"1234").await.unwrap();
        near.flush().await.unwrap();
        assert!(near.waiting.is_none()); // What finds room needs no timer.
        let error = near.write_all(b"5").await.unwrap_err();
        assert_eq!((error.kind(), start.elapsed().as_secs()), (ErrorKind::TimedOut, 30));
        let error = near.write_vectored(&[IoSlice::new(b"5")]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_something_now_and_then_is_served() {
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
        assert!(near.waiting.is_none());
    }
}
