//! Looks at an HTTP/2 connection's frames as they are read: a header block that does not end is one that can be waited
//! for too long, and frames that ask for nothing cost the client's allowance.
//!
//! h2 itself bounds what a header block may hold and in how many pieces it may come (CVE-2024-27316), how many streams
//! may be reset before they were looked at or because of what was wrong with them (CVE-2023-44487, CVE-2025-8671), and
//! empty DATA. It does not mind a client that makes it work for ever: resets of requests that had begun, settings and
//! pings that want an answer each, priorities, requests that are refused (RFC 9113 section 10.5).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::pulse::Pulse;

/// What a client begins with.
const PREFACE: u32 = 24;
/// A frame's head (RFC 9113 section 4.1).
const HEAD: usize = 9;
/// A PING that is none, in place of the frame for which the allowance does not suffice: h2 answers it with GOAWAY.
const LAST: [u8; HEAD] = [0, 0, 0, 6, 0, 0, 0, 0, 0];

/// A client's bytes, looked at as they are read.
#[derive(Debug)]
pub(super) struct Frames<S> {
    stream: S,
    pulse: Rc<Pulse>,
    at: At,
    head: [u8; HEAD],
    /// How much of it has come.
    came: usize,
    /// How much of the frame behind it is still to come.
    left: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Among frames.
    Frames,
    /// In the last frame of a header block.
    LastOfBlock,
    /// Behind what is looked at.
    Elsewhere,
    /// Behind a frame for which the allowance did not suffice, and that was begun before it was known.
    Spent,
}

/// The allowance does not suffice for a frame that begins here, or before these bytes.
struct Spent(Option<usize>);

impl<S> Frames<S> {
    pub(super) fn new(stream: S, pulse: &Rc<Pulse>) -> Self {
        Self { stream, pulse: Rc::clone(pulse), at: At::Frames, head: [0; HEAD], came: 0, left: PREFACE }
    }

    /// Takes in what came.
    fn read(&mut self, bytes: &[u8]) -> Result<(), Spent> {
        let mut from = 0;
        while from < bytes.len() {
            let rest = &bytes[from..];
            if self.left > 0 {
                let passed = usize::try_from(self.left).map_or(rest.len(), |left| left.min(rest.len()));
                self.left -= u32::try_from(passed).unwrap_or(self.left);
                from += passed;
                if self.left == 0 {
                    self.end_frame();
                }
                continue;
            }
            let begins = (self.came == 0).then_some(from);
            let more = rest.len().min(HEAD - self.came);
            self.head[self.came..self.came + more].copy_from_slice(&rest[..more]);
            self.came += more;
            from += more;
            if self.came == HEAD {
                self.came = 0;
                self.begin_frame().map_err(|()| Spent(begins))?;
            }
        }
        Ok(())
    }

    fn begin_frame(&mut self) -> Result<(), ()> {
        const END_STREAM: u8 = 1;
        const END_HEADERS: u8 = 4;
        let [high, middle, low, kind, flags, ..] = self.head;
        self.left = u32::from_be_bytes([0, high, middle, low]);
        let is_block = matches!(kind, 1 | 9);
        let cost = match kind {
            // DATA: an empty one moves nothing.
            0 if self.left > 0 || flags & END_STREAM > 0 => 0,
            // So does PRIORITY.
            0 | 2 => 64,
            // HEADERS and CONTINUATION: what they cost is given back when there is a request.
            1 | 9 => 64 + self.left,
            // RST_STREAM: the work was done.
            3 => 512,
            // SETTINGS: it is answered.
            4 => 256 + self.left,
            // PING: so is it; but gRPC measures the way with many.
            6 => 32,
            // WINDOW_UPDATE: of a client that takes what it is sent, which earns it.
            8 => 13,
            _ => 9 + self.left,
        };
        if is_block {
            if kind == 1 {
                self.pulse.begin_head();
            }
            self.pulse.set_in_block(true);
            self.at = if flags & END_HEADERS > 0 { At::LastOfBlock } else { At::Frames };
        }
        let within = if is_block { self.pulse.spend_on_request(cost) } else { self.pulse.spend(cost) };
        if self.left == 0 {
            self.end_frame();
        }
        if within { Ok(()) } else { Err(()) }
    }

    fn end_frame(&mut self) {
        if self.at == At::LastOfBlock {
            self.at = At::Frames;
            self.pulse.set_in_block(false);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Frames<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.at == At::Spent {
            return Poll::Ready(Err(io::Error::other("too many frames that ask for nothing")));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        if this.at == At::Elsewhere {
            return Poll::Ready(Ok(()));
        }
        if let Err(Spent(begins)) = this.read(&buf.filled()[before..]) {
            this.at = At::Spent;
            if let Some(begins) = begins {
                buf.set_filled(before + begins);
                // There was a frame's head.
                buf.put_slice(&LAST);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Frames<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.at = At::Elsewhere;
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
