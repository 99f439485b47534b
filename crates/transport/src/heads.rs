//! A check of request heads before hyper reads them. hyper is more lenient than a server behind a proxy may be: it accepts
//! a bare LF at the end of a line, a coding before `chunked`, and a length beside it. Proxies read these differently, and if
//! two programs disagree on the end of a request, one client's bytes become another's request (request smuggling).
//!
//! hyper has no setting for this. So the LF of a wrong line is replaced by a NUL, and hyper answers 400 and ends the
//! connection, as with every malformed head. Nothing else is changed.
//!
//! ```text
//! (CRLF)* request-line CRLF (field CRLF)* CRLF ( length bytes | (size CRLF data CRLF)* 0 CRLF (field CRLF)* CRLF )
//! ```
//!
//! To tell heads from bodies, the lengths of bodies are followed here too, by the strictest reading: a length that could be
//! read in two ways is refused before hyper reads it, so both agree.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many bytes of a line in pieces are kept: a line with the length of a body is shorter. Other lines are not kept at
/// all, since a token may be in them.
const LINE_BYTES_KEPT: usize = 64;

/// A stream whose heads are checked before hyper reads them.
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

/// A position in the stream.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Position {
    /// Before a request. Empty lines are ignored there.
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
    /// Behind a refused line.
    Nowhere,
}

/// How long the body of a request is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Length {
    #[default]
    Undeclared,
    Bytes(u64),
    Chunked,
}

/// A wrong line, which must not reach hyper.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Refused;

#[derive(Debug, Default)]
struct Scanner {
    at: Position,
    length: Length,
    /// The beginning of a line that came in pieces, if it may hold a length.
    kept: Vec<u8>,
    /// The length of that line so far, and its last byte.
    line_bytes: usize,
    last: u8,
}

impl Scanner {
    /// Checks received bytes, and replaces the LF of a wrong line.
    fn scan(&mut self, bytes: &mut [u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.at {
                Position::Nowhere => return,
                Position::Bytes { left, chunk } => {
                    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    let left = left.saturating_sub(taken as u64);
                    self.at = match (left, chunk) {
                        (0, true) => Position::Size,
                        (0, false) => Position::Between,
                        _ => Position::Bytes { left, chunk },
                    };
                    rest.get_mut(taken..).unwrap_or_default()
                }
                _ => self.scan_line(rest),
            };
        }
    }

    /// Checks the bytes up to the end of a line, and returns the rest.
    fn scan_line<'b>(&mut self, bytes: &'b mut [u8]) -> &'b mut [u8] {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            self.keep_piece(bytes);
            return &mut [];
        };
        let (line, rest) = bytes.split_at_mut(end + 1);
        let Some((lf, content)) = line.split_last_mut() else { return rest };
        let outcome = if self.line_bytes == 0 {
            content.strip_suffix(b"\r").ok_or(Refused).and_then(|line| self.take_line(line, line.is_empty()))
        } else {
            self.keep_piece(content);
            let is_empty = self.line_bytes == 1;
            let kept = std::mem::take(&mut self.kept);
            let whole = if self.last == b'\r' { Ok(()) } else { Err(Refused) };
            let outcome =
                whole.and_then(|()| self.take_line(kept.strip_suffix(b"\r").unwrap_or(&kept), is_empty));
            self.kept = kept;
            outcome
        };
        self.kept.clear();
        self.line_bytes = 0;
        if outcome.is_err() {
            *lf = 0;
            self.at = Position::Nowhere;
        }
        rest
    }

    /// Remembers a piece of a line.
    fn keep_piece(&mut self, piece: &[u8]) {
        let Some(last) = piece.last() else { return };
        let begin = if self.line_bytes == 0 { piece } else { &self.kept };
        if may_hold_length(begin) || self.at == Position::Size {
            let room = LINE_BYTES_KEPT.saturating_sub(self.kept.len());
            self.kept.extend(piece.iter().take(room));
        }
        self.line_bytes = self.line_bytes.saturating_add(piece.len());
        self.last = *last;
    }

    /// Takes a line without its CRLF. It may be shortened, so `is_empty` is a parameter.
    fn take_line(&mut self, line: &[u8], is_empty: bool) -> Result<(), Refused> {
        match self.at {
            Position::Between if !is_empty => {
                self.at = Position::Fields;
                self.length = Length::Undeclared;
            }
            Position::Fields if is_empty => {
                self.at = match self.length {
                    Length::Undeclared | Length::Bytes(0) => Position::Between,
                    Length::Bytes(left) => Position::Bytes { left, chunk: false },
                    Length::Chunked => Position::Size,
                }
            }
            Position::Fields if may_hold_length(line) => self.read_length(line)?,
            Position::Size => {
                self.at = match chunk_size(line).ok_or(Refused)? {
                    0 => Position::Trailers,
                    size => Position::Bytes { left: size.checked_add(2).ok_or(Refused)?, chunk: true },
                }
            }
            Position::Trailers if is_empty => self.at = Position::Between,
            Position::Between
            | Position::Fields
            | Position::Trailers
            | Position::Bytes { .. }
            | Position::Nowhere => {}
        }
        Ok(())
    }

    /// Reads a field with the length of the body.
    fn read_length(&mut self, line: &[u8]) -> Result<(), Refused> {
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
        // A second length is refused, and so is a line that may be shortened.
        if self.length != Length::Undeclared || line.len() >= LINE_BYTES_KEPT {
            return Err(Refused);
        }
        self.length = length.ok_or(Refused)?;
        Ok(())
    }
}

/// Whether a field may hold a length: its first letter excludes most.
fn may_hold_length(line: &[u8]) -> bool {
    matches!(line.first(), Some(b'c' | b'C' | b't' | b'T'))
}

/// Digits and nothing else.
fn decimal(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// The size at the beginning of the line; extensions follow it. A number whose digits may be shortened is refused.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let end = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    if end >= LINE_BYTES_KEPT {
        return None;
    }
    let digits = std::str::from_utf8(line.get(..end)?).ok()?;
    u64::from_str_radix(digits, 16).ok()
}

/// Checks a whole stream in pieces of a size, for the fuzz target and the tests.
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
    fn valid_requests_are_unchanged_whatever_their_bodies_hold() {
        let sent = "\r\nPOST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\na\nb\n\n\r\n\n\n\
                    POST / HTTP/1.1\r\nX: y\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\n\n\n\n\r\n0A\r\n\n\r\n\r\n\r\n\r\n\n\r\n\
                    0\r\nTrailer: x\r\n\r\n\
                    GET / HTTP/1.1\r\ncontent-length:0\r\ncookie: chunked\r\n\r\nGET / HTTP/1.0\r\n\r\n";
        for piece in 1..=sent.len() {
            assert!(scanned(sent.as_bytes(), piece) == sent.as_bytes(), "in pieces of {piece}");
        }
    }

    #[test]
    fn a_wrong_line_gets_a_nul() {
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
        assert!(scanner.kept.is_empty() && scanner.line_bytes > 0);
    }

    proptest! {
        #[test]
        fn it_matters_to_nothing_where_pieces_end(sent in "(GET|[0-9a-f]{0,2}|\r|\n|\r\n|Content-Length: [0-9]|Transfer-Encoding: chunked|:){0,30}", piece in 1_usize..9) {
            prop_assert_eq!(scanned(sent.as_bytes(), piece), scanned(sent.as_bytes(), usize::MAX));
        }
    }
}
