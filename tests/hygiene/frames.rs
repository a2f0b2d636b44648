//! HTTP/2 as bytes: frames and header blocks as a client may choose to write them (RFC 9113 section 4, RFC 7541).

use std::io;

use super::support::wire::Wire;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// What a client begins with.
pub(crate) fn hello() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()
}

/// A header block of literals that are not indexed (RFC 7541 section 6.2.2).
pub(crate) fn block(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            number(&mut block, text.len());
            block.extend_from_slice(text);
        }
    }
    block
}

/// A length with a prefix of seven bits (RFC 7541 section 5.1).
fn number(block: &mut Vec<u8>, mut number: usize) {
    let low = |number: usize| u8::try_from(number).expect("below 256");
    if number < 127 {
        return block.push(low(number));
    }
    block.push(127);
    number -= 127;
    while number >= 128 {
        block.push(low(number % 128 + 128));
        number /= 128;
    }
    block.push(low(number));
}

/// A frame that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Came {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// The next frame; None where the other side has closed. Waiting too long is an error.
pub(crate) fn next(wire: &mut Wire) -> io::Result<Option<Came>> {
    let Some(head) = wire.exactly(9)? else { return Ok(None) };
    let size = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    let stream = u32::from_be_bytes(head[5..9].try_into().expect("four bytes"));
    let Some(payload) = wire.exactly(size)? else { return Ok(None) };
    Ok(Some(Came { kind: head[3], flags: head[4], stream, payload }))
}

impl Came {
    /// The status of an answer's head, which is the first in its block: indexed, or a literal whose name is.
    pub(crate) fn status(&self) -> u16 {
        let block = &self.payload[self.payload.iter().take_while(|byte| **byte & 0xe0 == 0x20).count()..];
        match block {
            [index @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500][usize::from(index - 0x88)],
            [0x48 | 0x08 | 0x18, 3, digits @ ..] => {
                String::from_utf8_lossy(&digits[..3]).parse().expect("a status is a number")
            }
            [0x48 | 0x08 | 0x18, 0x82 | 0x83, huffman @ ..] => digits(huffman),
            _ => panic!("no status where it should be: {block:?}"),
        }
    }

    /// The error code of a reset, or of a GOAWAY.
    pub(crate) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("four bytes"))
    }
}

/// Three digits in the code of RFC 7541 appendix B: 0 to 2 have five bits, the others six.
fn digits(bytes: &[u8]) -> u16 {
    let bits =
        bytes.iter().take(3).fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (4 - bytes.len().min(3)));
    let (mut at, mut number) = (0, 0);
    for _ in 0..3 {
        let left = bits << at;
        let five = left >> 27;
        let (digit, length) = if five < 3 { (five, 5) } else { ((left >> 26) - 0x19 + 3, 6) };
        number = number * 10 + digit;
        at += length;
    }
    u16::try_from(number).expect("three digits")
}
