//! Messages on their way to a client, in order.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use zeroize::Zeroize as _;

/// One message. If it holds a value, it is wiped once it is sent or given up; therefore no `Debug`.
pub(crate) struct Frame {
    bytes: Vec<u8>,
    is_secret: bool,
}

impl Frame {
    /// A message that anybody may see.
    pub(crate) fn open(bytes: Vec<u8>) -> Self {
        Self { bytes, is_secret: false }
    }

    /// A message that holds a value.
    pub(crate) fn secret(bytes: Vec<u8>) -> Self {
        Self { bytes, is_secret: true }
    }

    /// The message.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        if self.is_secret {
            self.bytes.zeroize();
        }
    }
}

/// Messages that wait to be sent.
#[derive(Default)]
pub(crate) struct Output {
    frames: VecDeque<Frame>,
    /// Bytes of the first message that are sent.
    sent: usize,
    waiting: usize,
}

impl Output {
    /// Adds a message at the end.
    pub(crate) fn push(&mut self, frame: Frame) {
        self.waiting += frame.bytes.len();
        self.frames.push_back(frame);
    }

    /// Bytes that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether everything is sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Sends as much as the other end takes. Returns the number of bytes.
    pub(crate) fn poll_send<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        context: &mut Context<'_>,
    ) -> io::Result<usize> {
        let mut total = 0;
        while let Some(first) = self.frames.front() {
            let rest = first.bytes.get(self.sent..).unwrap_or_default();
            match Pin::new(&mut *stream).poll_write(context, rest) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => {
                    total += written;
                    self.sent += written;
                    if self.sent >= first.bytes.len() {
                        self.waiting -= first.bytes.len();
                        self.sent = 0;
                        self.frames.pop_front();
                    }
                }
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        if self.frames.is_empty() {
            self.frames = VecDeque::new(); // An idle connection keeps nothing.
        }
        Ok(total)
    }
}
