//! One connection to a server: bytes out, bytes in.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use http::HeaderMap;
use tokio::io::AsyncReadExt;

use super::answer::{self, Head, Malformed, Place};
use super::sending::{SendError, Sending};
use super::stream::Stream;
use super::timer::Timer;
use crate::proxy::headers::{Asked, Names};

/// How much is read at once to begin with: the head of a usual answer, and a small body.
const LEAST: usize = 8 * 1024;
/// How much is read at once of a large body that keeps coming.
const MOST: usize = 256 * 1024;

/// How many headers an idle connection keeps room for.
const MOST_ROOM: usize = 32;

/// A connection to a server, and how far the exchange on it has got. All of that lives here, in one place on the heap
/// that is kept with the connection, and not in the futures that drive it: those are moved for every request.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    /// What has come and was not taken yet.
    pub(super) input: BytesMut,
    /// The request.
    pub(super) sending: Sending,
    /// The head of its answer, once it has come.
    pub(super) head: Head,
    /// How much the next read has room for. It follows what comes.
    room: usize,
    /// Whether the last read had more room than it needed; twice in turn, and there is less next time.
    roomy: bool,
    /// How long the server may take; one for all requests, for setting it anew is cheaper than making it.
    pub(super) timer: Timer,
}

impl Connection {
    pub(super) fn new(stream: Stream) -> Self {
        let (input, sending, head) = Default::default();
        Self { stream, input, sending, head, room: LEAST, roomy: false, timer: Timer::new() }
    }

    /// Which address is at the other end, where it has one.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.stream.peer()
    }

    /// Reads more, behind what is there; zero bytes mean that the server has said all.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.is_empty() || self.input.capacity() - self.input.len() < LEAST / 8 {
            self.input.reserve(self.room);
        }
        let room = self.input.capacity() - self.input.len();
        // Nothing of the read is in this future: it may be made anew each time.
        let read = match pin!(self.stream.read_buf(&mut self.input)).poll(cx) {
            Poll::Ready(read) => read?,
            Poll::Pending => {
                self.give_back();
                return Poll::Pending;
            }
        };
        self.follow(read, room);
        Poll::Ready(Ok(read))
    }

    /// Gives back what a large part of a body took: there may be none like it for hours where an answer is a stream of
    /// events.
    fn give_back(&mut self) {
        if self.input.is_empty() && self.input.capacity() > LEAST {
            self.input = BytesMut::new();
        }
    }

    fn follow(&mut self, read: usize, room: usize) {
        if read == room {
            self.room = (self.room * 2).min(MOST);
            self.roomy = false;
        } else if read < self.room / 4 {
            if std::mem::replace(&mut self.roomy, true) {
                self.room = (self.room / 2).max(LEAST);
            }
        } else {
            self.roomy = false;
        }
    }

    /// Sends as much of the request as the client has sent and the server takes.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.sending.poll(cx, &mut self.stream)
    }

    /// Takes the head of the answer out of what has come; says whether it was there whole.
    pub(super) fn read_head(
        &mut self,
        asked: Asked,
        names: &Names,
        places: &mut Vec<Place>,
    ) -> Result<bool, Malformed> {
        let is_there = answer::read(&mut self.input, asked, names, places, &mut self.head)?;
        if is_there {
            self.sending.take_time();
        }
        Ok(is_there)
    }

    /// Whether an idle connection can be used: it is open, and nothing came that nobody asked for.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.input.is_empty() && self.stream.is_quiet()
    }

    /// The stream, which speaks another protocol from now on, and what has come of that already.
    pub(super) fn into_stream(self) -> (Stream, BytesMut) {
        (self.stream, self.input)
    }

    /// Gives back what a large body took: an idle connection keeps no more than a head needs, and nothing of what a
    /// request said.
    pub(super) fn rest(&mut self) {
        self.sending = Sending::default();
        if self.head.headers.capacity() > MOST_ROOM {
            self.head.headers = HeaderMap::new();
        }
        self.give_back();
    }
}
