//! Sees to it that hyper and whoever reads the same bytes find the same requests in them.
//!
//! hyper takes a bare LF for the end of a line, drops a length beside a transfer coding, and reads past whatever stands in
//! a chunk's extension. Each is allowed, and each is how a request is hidden from the one of two servers and not from the
//! other. So every byte of HTTP/1.1 passes here first: lines end in CRLF, a message has one length or is chunked, and a
//! chunk's line is what the grammar says (RFC 9112 sections 2.2, 6.3, 7.1). What hyper sees to itself is left to it.
//!
//! What is refused is made what nobody takes for HTTP: the offending byte and all behind it are read as NUL, which hyper
//! answers with 400, and closes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use memchr::memchr;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::pulse::Pulse;
use super::socket::Stream;

/// How much is kept of a line that comes in pieces. It is more than a length can need, and the longest line that says how
/// large a chunk is, with its extensions, which nobody uses.
const KEPT: usize = 256;

/// The largest length, of a body or of a chunk: there are servers that count with a sign.
const LARGEST: u64 = i64::MAX.unsigned_abs();

/// What is read in place of all that follows a refusal: what hyper waits for the end of, it must find the end of.
const NOTHING: &[u8] = b"\0\r\n\r\n";

/// A client's bytes, looked at as they are read.
#[derive(Debug)]
pub(super) struct Strict<S> {
    stream: S,
    pulse: Rc<Pulse>,
    reader: Reader,
}

/// Where in a message the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// A request's first line, or an empty one before it.
    Start,
    /// A line of its head.
    Field,
    /// So many bytes of a body.
    Body(u64),
    /// The line with a chunk's size.
    Size,
    /// So many bytes of a chunk.
    Chunk(u64),
    /// The end of its line.
    ChunkEnd,
    /// A line of the trailers.
    Trailer,
    /// What is no HTTP/1.1 or is not read as such.
    Elsewhere,
    /// Behind a refusal.
    Refused,
}

/// How the body of the request that is being read is framed, as far as its head has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    None,
    Length(u64),
    Chunked,
    /// By a transfer coding that is refused once the head has been read.
    Foreign,
}

/// The bytes cannot be relied on to be read by others as here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ambiguous;

/// Reads along.
#[derive(Debug)]
struct Reader {
    at: At,
    framing: Framing,
    /// Whether the head that is being read asks for another protocol.
    upgrades: bool,
    /// Whether the last one did, so that what follows may be that.
    may_be_other: bool,
    /// How many heads have ended.
    heads: u32,
    partial: Partial,
}

/// The beginning of a line whose end is still to come.
#[derive(Debug, Default)]
struct Partial {
    bytes: Vec<u8>,
    last: Option<u8>,
    longer: bool,
}

impl<S> Strict<S> {
    pub(super) fn new(stream: S, pulse: &Rc<Pulse>) -> Self {
        Self { stream, pulse: Rc::clone(pulse), reader: Reader::new() }
    }

    /// The stream itself.
    pub(super) fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: Stream> Stream for Strict<S> {
    fn socket(&self) -> &TcpStream {
        self.stream.socket()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Strict<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.reader.at == At::Refused {
            buf.put_slice(&NOTHING[..NOTHING.len().min(buf.remaining())]);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let came = &mut buf.filled_mut()[before..];
        if let Err(from) = this.reader.read(came) {
            if this.reader.may_be_other {
                // It may be the other protocol. If not, hyper finds a request of which there is no head here.
                this.reader.at = At::Elsewhere;
            } else {
                this.reader.at = At::Refused;
                came[from..].fill(0);
            }
        }
        for _ in 0..std::mem::take(&mut this.reader.heads) {
            this.pulse.add_head();
        }
        this.pulse.set_in_head(this.reader.is_in_head());
        Poll::Ready(Ok(()))
    }
}

impl Reader {
    fn new() -> Self {
        Self {
            at: At::Start,
            framing: Framing::None,
            upgrades: false,
            may_be_other: false,
            heads: 0,
            partial: Partial::default(),
        }
    }

    /// Whether a request's head has begun, and not ended.
    fn is_in_head(&self) -> bool {
        match self.at {
            At::Start => self.partial.last.is_some(),
            At::Field => true,
            _ => false,
        }
    }

    /// Takes in what came; the place of the first byte that is refused.
    fn read(&mut self, bytes: &[u8]) -> Result<(), usize> {
        let mut from = 0;
        while from < bytes.len() {
            let left = &bytes[from..];
            from += match &mut self.at {
                At::Elsewhere => left.len(),
                At::Refused => return Err(from),
                At::Body(size) | At::Chunk(size) => {
                    let passed = usize::try_from(*size).map_or(left.len(), |size| size.min(left.len()));
                    *size -= passed as u64;
                    if *size == 0 {
                        self.at = if matches!(self.at, At::Body(_)) { At::Start } else { At::ChunkEnd };
                    }
                    passed
                }
                At::Start | At::Field | At::Size | At::ChunkEnd | At::Trailer => {
                    let Some(end) = memchr(b'\n', left) else {
                        return self.begin_line(left).map_err(|Ambiguous| from);
                    };
                    self.line(&left[..end]).map_err(|Ambiguous| from + end)?;
                    end + 1
                }
            };
        }
        Ok(())
    }

    /// A line that is not yet whole. A chunk's need not be waited for to be seen to be none.
    fn begin_line(&mut self, bytes: &[u8]) -> Result<(), Ambiguous> {
        self.partial.push(bytes);
        let longest = match self.at {
            At::Size => KEPT + 1,
            At::ChunkEnd => 1,
            _ => return Ok(()),
        };
        if self.partial.longer || self.partial.bytes.len() > longest { Err(Ambiguous) } else { Ok(()) }
    }

    /// A line, or the rest of it, up to its LF.
    fn line(&mut self, rest: &[u8]) -> Result<(), Ambiguous> {
        if self.partial.last.is_none() {
            let line = rest.strip_suffix(b"\r").ok_or(Ambiguous)?;
            return self.whole(line, line.len() > KEPT);
        }
        let mut partial = std::mem::take(&mut self.partial);
        partial.push(rest);
        if partial.last != Some(b'\r') {
            return Err(Ambiguous);
        }
        if !partial.longer {
            partial.bytes.pop();
        }
        self.whole(&partial.bytes, partial.longer)
    }

    /// A line without its end, or no more than its beginning where it is longer than is kept.
    fn whole(&mut self, line: &[u8], longer: bool) -> Result<(), Ambiguous> {
        match self.at {
            // RFC 9112 section 2.2: an empty line before a request is none of it.
            At::Start if line.is_empty() => {}
            At::Start => {
                (self.framing, self.upgrades) = (Framing::None, false);
                self.at = At::Field;
            }
            At::Field if line.is_empty() => {
                self.heads += 1;
                self.may_be_other = self.upgrades && matches!(self.framing, Framing::None | Framing::Length(0));
                self.at = match self.framing {
                    Framing::None | Framing::Length(0) => At::Start,
                    Framing::Length(length) => At::Body(length),
                    Framing::Chunked => At::Size,
                    Framing::Foreign => At::Refused,
                }
            }
            At::Field => self.field(line, longer)?,
            At::Size if longer => return Err(Ambiguous),
            At::Size => {
                let size = chunk_size(line).ok_or(Ambiguous)?;
                self.at = if size == 0 { At::Trailer } else { At::Chunk(size) };
            }
            At::ChunkEnd if line.is_empty() => self.at = At::Size,
            At::ChunkEnd => return Err(Ambiguous),
            At::Trailer if line.is_empty() => self.at = At::Start,
            // hyper reads trailers once all have come.
            At::Trailer | At::Body(_) | At::Chunk(_) | At::Elsewhere | At::Refused => {}
        }
        Ok(())
    }

    /// A line of the head. Those that are no header at all, hyper refuses.
    fn field(&mut self, line: &[u8], longer: bool) -> Result<(), Ambiguous> {
        match line[0] | 0x20 {
            b'c' => {
                let Some(value) = value_of(line, b"content-length") else { return Ok(()) };
                // One that is longer than is kept cannot be a number.
                if longer || self.framing != Framing::None {
                    return Err(Ambiguous);
                }
                self.framing = Framing::Length(length(value).ok_or(Ambiguous)?);
            }
            b't' => {
                let Some(value) = value_of(line, b"transfer-encoding") else { return Ok(()) };
                self.framing = match self.framing {
                    Framing::Length(_) => return Err(Ambiguous),
                    Framing::None if !longer && value.eq_ignore_ascii_case(b"chunked") => Framing::Chunked,
                    _ => Framing::Foreign,
                };
            }
            b'u' => self.upgrades |= value_of(line, b"upgrade").is_some(),
            _ => {}
        }
        Ok(())
    }
}

/// Whether bytes are refused at the same place, and are as many requests, however they come. For fuzzing.
#[cfg(any(test, fuzzing))]
pub(crate) fn reads_in_pieces_as_whole(bytes: &[u8], size: usize) -> bool {
    let read = |size: usize| {
        let mut reader = Reader::new();
        let refused = bytes
            .chunks(size)
            .enumerate()
            .find_map(|(index, piece)| reader.read(piece).err().map(|at| index * size + at));
        (refused.is_some(), reader.heads)
    };
    read(size) == read(bytes.len().max(1))
}

impl Partial {
    fn push(&mut self, bytes: &[u8]) {
        let Some(last) = bytes.last() else { return };
        self.last = Some(*last);
        let room = KEPT + 1 - self.bytes.len();
        self.longer |= bytes.len() > room;
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// The value of a header, if this is its name.
fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    let value = value.strip_prefix(b":")?;
    start.eq_ignore_ascii_case(name).then(|| trim(value))
}

/// Without optional whitespace around it (RFC 9110 section 5.6.3).
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// RFC 9110 section 8.6: digits and nothing else. A list of equal ones may be refused, and is.
fn length(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| digits)?.parse().ok().filter(|length| *length <= LARGEST)
}

/// RFC 9112 section 7.1: hexadecimal digits, then extensions, which mean nothing to anybody.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, extensions) = line.split_at(digits);
    let size = std::str::from_utf8(size).ok().and_then(|size| u64::from_str_radix(size, 16).ok());
    let size = size.filter(|size| *size <= LARGEST)?;
    are_extensions(extensions).then_some(size)
}

/// RFC 9112 section 7.1.1: `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`.
fn are_extensions(mut text: &[u8]) -> bool {
    while !text.is_empty() {
        let Some(name) = blank(text).strip_prefix(b";") else { return false };
        let Some(behind) = token(blank(name)) else { return false };
        text = behind;
        if let Some(value) = blank(behind).strip_prefix(b"=") {
            let value = blank(value);
            let Some(behind) = token(value).or_else(|| quoted(value)) else { return false };
            text = behind;
        }
    }
    true
}

/// What is behind whitespace.
fn blank(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    &text[blanks..]
}

/// What is behind a token (RFC 9110 section 5.6.2).
fn token(text: &[u8]) -> Option<&[u8]> {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let length = text.iter().take_while(|byte| is_token(byte)).count();
    (length > 0).then(|| &text[length..])
}

/// What is behind a quoted string (RFC 9110 section 5.6.4), in ASCII.
fn quoted(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text.strip_prefix(b"\"")?;
    loop {
        rest = match rest {
            [b'"', behind @ ..] => return Some(behind),
            [b'\\', b'\t' | b' '..=b'~', behind @ ..] | [b'\t' | b' '..=b'[' | b']'..=b'~', behind @ ..] => behind,
            _ => return None,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Strict<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What still comes is read by nobody who would take it for a request.
        self.reader.at = At::Elsewhere;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// How much of it passes, read in pieces of this size; all of it is None.
    fn passes(bytes: &[u8], piece: usize) -> Option<usize> {
        let mut reader = Reader::new();
        let mut from = 0;
        for piece in bytes.chunks(piece) {
            if let Err(at) = reader.read(piece) {
                return Some(from + at);
            }
            from += piece.len();
        }
        None
    }

    #[test]
    fn extensions_are_what_the_grammar_says() {
        for line in ["0", "a;b", "A;b=c", "1 ; b = c", "1;b=\"c d\"", "1;b=\"\\\"\";c", "7fffffffffffffff"] {
            assert!(chunk_size(line.as_bytes()).is_some(), "{line}");
        }
        for line in [
            "",
            ";",
            "1;",
            "1 ",
            "1;b=",
            "1;b=\"c",
            "1;b=\"c\"d",
            "1;=c",
            "1;b\r",
            "1;b\0",
            "1;\u{e9}",
            "0x1",
            "+1",
            "-1",
            "1_0",
            "1;b=\"\r\"",
            " 1",
            "10000000000000000",
            "ffffffffffffffff",
        ] {
            assert_eq!(chunk_size(line.as_bytes()), None, "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn it_does_not_matter_in_what_pieces_the_bytes_come(
            parts in proptest::collection::vec(
                prop_oneof![
                    Just("GET / HTTP/1.1\r\n"), Just("Host: a\r\n"), Just("\r\n"), Just("\n"), Just("\r"), Just("Content-Length: 3\r\n"),
                    Just("abc"), Just("Transfer-Encoding: chunked\r\n"), Just("3\r\nabc\r\n"), Just("0\r\n"), Just("2;x=\"y\"\r\nab\r\n"),
                    Just("transfer-encoding: gzip, chunked\r\n"), Just("X: y\r\n"), Just("Upgrade: x\r\n"), Just(" "), Just("ff"),
                ],
                0..16,
            ),
            piece in 1_usize..20,
        ) {
            let bytes = parts.concat().into_bytes();
            let (whole, pieces) = (passes(&bytes, bytes.len().max(1)), passes(&bytes, piece));
            prop_assert_eq!(whole.is_some(), pieces.is_some());
            // A piece may be refused before the line that it is in has come.
            prop_assert!(pieces <= whole);
        }
    }
}
