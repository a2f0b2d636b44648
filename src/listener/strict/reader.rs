//! Where in a message the bytes stand, and which of them are refused.

use memchr::memchr;

use super::grammar::{chunk_size, length, value_of};

/// How much is kept of a line that comes in pieces. It is more than a length can need, and the longest line that says
/// how large a chunk is, with its extensions, which nobody uses.
const KEPT: usize = 256;

/// Where in a message the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
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
pub(super) struct Reader {
    pub(super) at: At,
    framing: Framing,
    /// Whether the head that is being read asks for another protocol.
    upgrades: bool,
    /// Whether the last one did, so that what follows may be that.
    pub(super) may_be_other: bool,
    /// How many heads have ended.
    pub(super) heads: u32,
    partial: Partial,
}

/// The beginning of a line whose end is still to come.
#[derive(Debug, Default)]
struct Partial {
    bytes: Vec<u8>,
    last: Option<u8>,
    longer: bool,
}

impl Reader {
    pub(super) fn new() -> Self {
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
    pub(super) fn is_in_head(&self) -> bool {
        match self.at {
            At::Start => self.partial.last.is_some(),
            At::Field => true,
            _ => false,
        }
    }

    /// Takes in what came; the place of the first byte that is refused.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<(), usize> {
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
