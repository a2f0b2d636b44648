//! HTTP/1.1 as bytes, for both ends: heads and bodies are read here and nowhere else in the tests.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// Anything bytes go through: TCP, TLS, a Unix socket.
pub trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

/// Header or trailer fields as they came, in order, names in the spelling that was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(pub Vec<(String, String)>);

impl Fields {
    /// Every value of `name`, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    /// The one value of `name`, if there is one; two are a failure.
    pub fn one(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() <= 1, "{name} came {} times: {values:?}", values.len());
        values.first().copied()
    }

    /// The names whose every odd character reads as `-` once lower-cased and that then begin with `prefix`.
    pub fn aliases_of(&self, prefix: &str) -> Vec<&str> {
        let plain = |name: &str| -> String {
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
        };
        self.0.iter().map(|(name, _)| name.as_str()).filter(|name| plain(name).starts_with(&plain(prefix))).collect()
    }

    fn parse(lines: &[u8]) -> Self {
        let text = String::from_utf8_lossy(lines);
        let lines = text.split("\r\n").filter(|line| !line.is_empty());
        let field = |line: &str| match line.split_once(':') {
            Some((name, value)) => (name.to_owned(), value.trim_matches([' ', '\t']).to_owned()),
            None => panic!("a header line without a colon: {line:?}"),
        };
        Self(lines.map(field).collect())
    }
}

/// The head of a request or a response.
#[derive(Clone, Debug)]
pub struct Head {
    /// The bytes, with the empty line.
    pub raw: Vec<u8>,
    /// The first line.
    pub start: String,
    /// What follows it.
    pub fields: Fields,
}

impl Head {
    fn parse(raw: Vec<u8>) -> Self {
        let end = raw.windows(2).position(|two| two == b"\r\n").expect("a head ends its lines with CRLF");
        let start = String::from_utf8_lossy(&raw[..end]).into_owned();
        let fields = Fields::parse(&raw[end + 2..]);
        Self { raw, start, fields }
    }

    fn is_chunked(&self) -> bool {
        self.fields.all("transfer-encoding").iter().any(|value| value.to_ascii_lowercase().contains("chunked"))
    }

    fn length(&self) -> Option<usize> {
        self.fields.one("content-length").map(|length| length.parse().expect("Content-Length is a number"))
    }

    /// How the body of a request with this head ends.
    pub fn request_body(&self) -> Framing {
        if self.is_chunked() { Framing::Chunked } else { Framing::Length(self.length().unwrap_or(0)) }
    }

    /// How the body of a response with this head ends, when it answers `method`.
    pub fn response_body(&self, method: &str) -> Framing {
        let status = self.status();
        if method == "HEAD" || status == 204 || status == 304 || status < 200 {
            Framing::Length(0)
        } else if self.is_chunked() {
            Framing::Chunked
        } else {
            self.length().map_or(Framing::Close, Framing::Length)
        }
    }

    /// The status code of a response head.
    pub fn status(&self) -> u16 {
        let code = self.start.split(' ').nth(1).and_then(|code| code.parse().ok());
        code.unwrap_or_else(|| panic!("not a status line: {:?}", self.start))
    }
}

/// How the end of a body is known (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Length(usize),
    Chunked,
    Close,
}

/// A body, read to its end or to where it broke off.
#[derive(Clone, Debug, Default)]
pub struct Body {
    /// Its content, without chunk framing.
    pub bytes: Vec<u8>,
    /// Its trailers, if it was chunked.
    pub trailers: Fields,
    /// Whether it came to its proper end.
    pub complete: bool,
}

/// A connection, and what was read from it too early.
pub struct Wire {
    stream: Box<dyn Stream>,
    /// The socket below the stream.
    socket: TcpStream,
    ahead: Vec<u8>,
}

impl Wire {
    /// `stream` speaks through `socket`, itself or through TLS.
    pub fn new(stream: impl Stream + 'static, socket: TcpStream) -> Self {
        Self { stream: Box::new(stream), socket, ahead: Vec::new() }
    }

    /// How long to wait for bytes, and for room to send some; for ever without a limit.
    pub fn set_patience(&self, limit: Option<Duration>) {
        self.socket.set_read_timeout(limit).expect("a socket");
        self.socket.set_write_timeout(limit).expect("a socket");
    }

    /// The port of our end.
    pub fn local_port(&self) -> u16 {
        self.socket.local_addr().expect("a connected socket").port()
    }

    /// Says that nothing more will be sent.
    pub fn finish(&self) {
        self.socket.shutdown(Shutdown::Write).expect("a connected socket");
    }

    /// Sends zeros until `total` are gone or the other side takes no more; how many were taken. Not for TLS, which
    /// cannot go on from half a record.
    pub fn pour(&mut self, total: usize) -> usize {
        self.set_patience(Some(Duration::from_millis(500)));
        let zeros = vec![0; 64 * 1024];
        let mut taken = 0;
        while taken < total {
            match self.stream.write(&zeros[..zeros.len().min(total - taken)]) {
                Ok(n) => taken += n,
                Err(_) => break,
            }
        }
        self.set_patience(Some(super::PATIENCE));
        taken
    }

    /// Sends `bytes` as they are. The other side may have gone; the test will see that when it reads.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).and_then(|()| self.stream.flush()).is_ok()
    }

    /// The next head; `None` where the other side closed before one. Waiting too long is an error.
    pub fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = find(&self.ahead, b"\r\n\r\n") {
                return Ok(Some(Head::parse(self.ahead.drain(..end + 4).collect())));
            }
            if !self.more()? {
                return Ok(None);
            }
        }
    }

    /// The body that `framing` describes.
    pub fn body(&mut self, framing: Framing) -> io::Result<Body> {
        let mut body = Body::default();
        body.complete = match framing {
            Framing::Length(length) => self.take(length, &mut body.bytes)?,
            Framing::Chunked => self.chunks(&mut body)?,
            Framing::Close => {
                while self.more()? {}
                body.bytes.append(&mut self.ahead);
                true
            }
        };
        Ok(body)
    }

    /// The raw bytes up to and with `needle`, wherever in the stream it is; `None` where the stream ends without it.
    pub fn until(&mut self, needle: &[u8]) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(at) = find(&self.ahead, needle) {
                return Ok(Some(self.ahead.drain(..at + needle.len()).collect()));
            }
            if !self.more()? {
                return Ok(None);
            }
        }
    }

    /// The next bytes, so many; `None` where the stream ends before.
    pub fn exactly(&mut self, length: usize) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        Ok(self.take(length, &mut bytes)?.then_some(bytes))
    }

    /// Whether the other side closes, now or after more bytes, which are dropped.
    pub fn closes(&mut self) -> io::Result<bool> {
        while self.more()? {
            self.ahead.clear();
        }
        Ok(true)
    }

    /// Every byte that is still to come before the other side closes.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        while self.more()? {}
        Ok(std::mem::take(&mut self.ahead))
    }

    fn take(&mut self, length: usize, into: &mut Vec<u8>) -> io::Result<bool> {
        while self.ahead.len() < length {
            if !self.more()? {
                into.append(&mut self.ahead);
                return Ok(false);
            }
        }
        into.extend(self.ahead.drain(..length));
        Ok(true)
    }

    fn chunks(&mut self, body: &mut Body) -> io::Result<bool> {
        loop {
            let Some(line) = self.until(b"\r\n")? else { return Ok(false) };
            let size = String::from_utf8_lossy(&line);
            let size = size.trim().split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(size, 16).unwrap_or_else(|_| panic!("not a chunk size: {size:?}"));
            if size == 0 {
                break;
            }
            let mut end = Vec::new();
            if !self.take(size, &mut body.bytes)? || !self.take(2, &mut end)? {
                return Ok(false);
            }
            assert_eq!(end, b"\r\n", "a chunk must end with CRLF");
        }
        let mut trailers = Vec::new();
        loop {
            let Some(line) = self.until(b"\r\n")? else { return Ok(false) };
            if line == b"\r\n" {
                body.trailers = Fields::parse(&trailers);
                return Ok(true);
            }
            trailers.extend(line);
        }
    }

    /// Reads once; `false` where the other side is done, be it politely or by a reset.
    fn more(&mut self) -> io::Result<bool> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(false),
                Ok(n) => {
                    self.ahead.extend(&buffer[..n]);
                    return Ok(true);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => return Err(e),
                Err(_) => return Ok(false),
            }
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// `bytes` as one chunk.
pub fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}
