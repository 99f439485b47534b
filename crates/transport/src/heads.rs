//! The bytes of a connection on their way to hyper, which is more lenient about a head than a server behind a proxy may
//! be: it takes a bare LF for the end of a line, a coding before `chunked`, and a length beside it. Proxies differ in what
//! they make of these, and where two disagree on the end of a request, one client's bytes become another's request.
//!
//! hyper has no switch for any of it. So the line that is wrong gets a NUL in the place of its LF, which hyper answers as
//! it does every head that is no HTTP: 400, and the connection ends. Nothing else is changed.
//!
//! ```text
//! (CRLF)* request-line CRLF (field CRLF)* CRLF ( length bytes | (size CRLF data CRLF)* 0 CRLF (field CRLF)* CRLF )
//! ```
//!
//! To know heads from bodies, the lengths of bodies are followed here too, by the strictest reading: whatever could be
//! read in two ways is refused before hyper reads it, so the two agree.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much of a line is kept that comes in pieces: what can be read as the length of a body is shorter. Lines that begin
/// otherwise are not kept at all; a token may be in them.
const LINE_BYTES_KEPT: usize = 64;

/// A stream whose heads are read before hyper reads them.
#[derive(Debug)]
pub(crate) struct Heads<I> {
    io: I,
    scanner: Scanner,
}

impl<I> Heads<I> {
    /// A stream from its beginning.
    pub(crate) fn new(io: I) -> Self {
        Self { io, scanner: Scanner::default() }
    }
}

/// Where in the stream it is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum At {
    /// Before a request. Empty lines are passed over there.
    #[default]
    Between,
    /// In the fields of a head.
    Fields,
    /// In a body, or in one chunk with the CRLF behind it: so many bytes are left.
    Bytes { left: u64, chunk: bool },
    /// At the size of a chunk.
    Size,
    /// In the fields behind the last chunk.
    Trailers,
    /// Behind what is refused, here or by hyper.
    Nowhere,
}

/// How long the body of a request is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Length {
    #[default]
    Unsaid,
    Bytes(u64),
    Chunked,
}

/// A line that must not be passed on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Refused;

#[derive(Debug, Default)]
struct Scanner {
    at: At,
    length: Length,
    /// The beginning of a line that came in pieces, if it may be one that counts.
    kept: Vec<u8>,
    /// How long that line was so far, and its last byte.
    before: usize,
    last: u8,
}

impl Scanner {
    /// Looks at what came, and changes the LF of a line that is refused.
    fn scan(&mut self, bytes: &mut [u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.at {
                At::Nowhere => return,
                At::Bytes { left, chunk } => {
                    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    let left = left.saturating_sub(taken as u64);
                    self.at = match (left, chunk) {
                        (0, true) => At::Size,
                        (0, false) => At::Between,
                        _ => At::Bytes { left, chunk },
                    };
                    rest.get_mut(taken..).unwrap_or_default()
                }
                _ => self.scan_line(rest),
            };
        }
    }

    /// Looks at the bytes up to the end of a line, and gives those behind.
    fn scan_line<'b>(&mut self, bytes: &'b mut [u8]) -> &'b mut [u8] {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            self.keep(bytes);
            return &mut [];
        };
        let (line, rest) = bytes.split_at_mut(end + 1);
        let Some((lf, content)) = line.split_last_mut() else { return rest };
        let outcome = if self.before == 0 {
            without_cr(content).and_then(|line| self.line(line, line.is_empty()))
        } else {
            self.keep(content);
            let is_empty = self.before == 1;
            let kept = std::mem::take(&mut self.kept);
            let whole = if self.last == b'\r' { Ok(()) } else { Err(Refused) };
            let outcome = whole.and_then(|()| self.line(kept.strip_suffix(b"\r").unwrap_or(&kept), is_empty));
            self.kept = kept;
            outcome
        };
        self.kept.clear();
        self.before = 0;
        if outcome.is_err() {
            *lf = 0;
            self.at = At::Nowhere;
        }
        rest
    }

    /// Remembers a piece of a line.
    fn keep(&mut self, piece: &[u8]) {
        let Some(last) = piece.last() else { return };
        let begin = if self.before == 0 { piece } else { &self.kept };
        if may_say_length(begin) || self.at == At::Size {
            let room = LINE_BYTES_KEPT.saturating_sub(self.kept.len());
            self.kept.extend(piece.iter().take(room));
        }
        self.before = self.before.saturating_add(piece.len());
        self.last = *last;
    }

    /// A line that ended as it should, without its CRLF. It may have been shortened, so whether it is empty is said apart.
    fn line(&mut self, line: &[u8], is_empty: bool) -> Result<(), Refused> {
        match self.at {
            At::Between if !is_empty => {
                self.at = At::Fields;
                self.length = Length::Unsaid;
            }
            At::Fields if is_empty => {
                self.at = match self.length {
                    Length::Unsaid | Length::Bytes(0) => At::Between,
                    Length::Bytes(left) => At::Bytes { left, chunk: false },
                    Length::Chunked => At::Size,
                }
            }
            At::Fields if may_say_length(line) => self.field(line)?,
            At::Size => {
                self.at = match chunk_size(line).ok_or(Refused)? {
                    0 => At::Trailers,
                    size => At::Bytes { left: size.checked_add(2).ok_or(Refused)?, chunk: true },
                }
            }
            At::Trailers if is_empty => self.at = At::Between,
            At::Between | At::Fields | At::Trailers | At::Bytes { .. } | At::Nowhere => {}
        }
        Ok(())
    }

    /// Reads a field that says how long the body is.
    fn field(&mut self, line: &[u8]) -> Result<(), Refused> {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { return Ok(()) };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        let length = if name.eq_ignore_ascii_case(b"content-length") {
            decimal(value).map(Length::Bytes)
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            value.eq_ignore_ascii_case(b"chunked").then_some(Length::Chunked)
        } else {
            return Ok(());
        };
        // Not if it is said twice or in two ways, nor in a line of which not everything may be here.
        if self.length != Length::Unsaid || line.len() >= LINE_BYTES_KEPT {
            return Err(Refused);
        }
        self.length = length.ok_or(Refused)?;
        Ok(())
    }
}

/// Whether the name of a field may be one of the two that count: a look at its first letter spares most of them more.
fn may_say_length(line: &[u8]) -> bool {
    matches!(line.first(), Some(b'c' | b'C' | b't' | b'T'))
}

fn without_cr(line: &[u8]) -> Result<&[u8], Refused> {
    line.strip_suffix(b"\r").ok_or(Refused)
}

/// Digits and nothing else.
fn decimal(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// The size at the beginning of the line; extensions are behind it. Not one of which not every digit may be here.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let end = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    if end >= LINE_BYTES_KEPT {
        return None;
    }
    let digits = std::str::from_utf8(line.get(..end)?).ok()?;
    u64::from_str_radix(digits, 16).ok()
}

/// Looks at a whole stream that comes in pieces of a size, for the fuzz target and the tests.
pub(crate) fn scan_in_pieces(bytes: &mut [u8], piece: usize) {
    let mut scanner = Scanner::default();
    bytes.chunks_mut(piece.max(1)).for_each(|piece| scanner.scan(piece));
}

impl<I: AsyncRead + Unpin> AsyncRead for Heads<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        self.scanner.scan(buffer.filled_mut().get_mut(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Heads<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The output, in pieces of a size.
    fn scanned(sent: &[u8], piece: usize) -> Vec<u8> {
        let mut bytes = sent.to_vec();
        scan_in_pieces(&mut bytes, piece);
        bytes
    }

    #[test]
    fn what_is_right_is_passed_on_whatever_its_bodies_hold() {
        let sent = "\r\nPOST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\na\nb\n\n\r\n\n\n\
                    POST / HTTP/1.1\r\nX: y\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\n\n\n\n\r\n0A\r\n\n\r\n\r\n\r\n\r\n\n\r\n\
                    0\r\nTrailer: x\r\n\r\n\
                    GET / HTTP/1.1\r\ncontent-length:0\r\ncookie: chunked\r\n\r\nGET / HTTP/1.0\r\n\r\n";
        for piece in 1..=sent.len() {
            assert!(scanned(sent.as_bytes(), piece) == sent.as_bytes(), "in pieces of {piece}");
        }
    }

    #[test]
    fn a_line_that_is_wrong_gets_a_nul() {
        for sent in [
            "GET / HTTP/1.1@",
            "GET / HTTP/1.1\r\nHost: h@",
            "GET / HTTP/1.1\r\nHost: h\r\n@",
            "@GET / HTTP/1.1\r\n",
            "GET / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r@",
            "GET / HTTP/1.1\r\nTransfer-Encoding: identity\r@",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r@",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r@",
            "GET / HTTP/1.1\r\nContent-Length: 3\r\nX: y\r\nTransfer-Encoding: chunked\r@",
            "GET / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r@",
            "GET / HTTP/1.1\r\nContent-Length: 3, 3\r@",
            "GET / HTTP/1.1\r\nContent-Length: +3\r@",
            "GET / HTTP/1.1\r\nContent-Length:\r@",
            "GET / HTTP/1.1\r\nContent-Length: 00000000000000000000000000000000000000000000000000000000003\r@",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked                                          , gzip, chunked\r@",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y@",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r@",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
             000000000000000000000000000000000000000000000000000000000000000000000003\r@",
            "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n\n\nGET / HTTP/1.1@",
        ] {
            let (wrong, right) = (sent.replace('@', "\n"), sent.replace('@', "\0"));
            for piece in 1..=wrong.len() {
                assert!(
                    scanned(wrong.as_bytes(), piece) == right.as_bytes(),
                    "{sent:?} in pieces of {piece}"
                );
            }
        }
    }

    #[test]
    fn of_other_lines_nothing_is_kept() {
        let mut scanner = Scanner::default();
        scanner.scan(&mut b"GET / HTTP/1.1\r\nX-Auth-Token: secret".to_vec());
        assert!(scanner.kept.is_empty() && scanner.before > 0);
    }

    proptest! {
        #[test]
        fn it_matters_to_nothing_where_pieces_end(sent in "(GET|[0-9a-f]{0,2}|\r|\n|\r\n|Content-Length: [0-9]|Transfer-Encoding: chunked|:){0,30}", piece in 1_usize..9) {
            prop_assert_eq!(scanned(sent.as_bytes(), piece), scanned(sent.as_bytes(), usize::MAX));
        }
    }
}
