//! One connection to a server: bytes out, bytes in.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use socket2::TcpKeepalive;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::Server;
use super::answer::{self, Head, Malformed, Place};
use super::sending::{SendError, Sending};
use super::timer::Timer;
use crate::proxy::headers::{Asked, Names};

const KEEPALIVE: Duration = Duration::from_mins(1);
/// How much is read at once to begin with: the head of a usual answer, and a small body.
const LEAST: usize = 8 * 1024;
/// How much is read at once of a large body that keeps coming.
const MOST: usize = 256 * 1024;

/// A connection to a server, and how far the exchange on it has got. All of that lives here, in one place on the heap that is
/// kept with the connection, and not in the futures that drive it: those are moved for every request.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    /// What has come and was not taken yet.
    pub(super) input: BytesMut,
    /// The request.
    pub(super) sending: Sending,
    /// The head of its answer, once it has come.
    pub(super) head: Head,
    /// Where headers stand in the head that is being read; kept for the next one.
    pub(super) places: Vec<Place>,
    /// How much the next read has room for. It follows what comes.
    room: usize,
    /// Whether the last read had more room than it needed; twice in turn, and there is less next time.
    roomy: bool,
    /// How long the server may take; one for all requests, for setting it anew is cheaper than making it.
    pub(super) timer: Timer,
}

/// Bytes to and from a server.
#[derive(Debug)]
pub enum Stream {
    /// Of `http://host:port`.
    Tcp(TcpStream),
    /// Of `unix:/path`.
    Unix(UnixStream),
}

/// Hands a call on to whichever stream it is.
macro_rules! either {
    ($stream:ident.$call:ident($($argument:expr),*)) => {
        match $stream.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).$call($($argument),*),
            Stream::Unix(stream) => Pin::new(stream).$call($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self.poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

impl Connection {
    pub(super) async fn open(server: &Server) -> io::Result<Self> {
        let stream = match server {
            Server::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                // Finds the server that vanished without a word while an answer is still being sent to it.
                socket2::SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
                Stream::Tcp(stream)
            }
            Server::Unix(path) => Stream::Unix(UnixStream::connect(path).await?),
        };
        let (input, sending, head, places) = Default::default();
        Ok(Self { stream, input, sending, head, places, room: LEAST, roomy: false, timer: Timer::new() })
    }

    /// Reads more, behind what is there; zero bytes mean that the server has said all.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.is_empty() || self.input.capacity() - self.input.len() < LEAST / 8 {
            self.input.reserve(self.room);
        }
        let room = self.input.capacity() - self.input.len();
        // Nothing of the read is in this future: it may be made anew each time.
        let read = ready!(pin!(self.stream.read_buf(&mut self.input)).poll(cx))?;
        self.follow(read, room);
        Poll::Ready(Ok(read))
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
    pub(super) fn read_head(&mut self, asked: Asked, names: &Names) -> Result<bool, Malformed> {
        let head = answer::read(&mut self.input, asked, names, &mut self.places)?;
        Ok(head.map(|head| self.head = head).is_some())
    }

    /// Whether an idle connection can be used: it is open, and nothing came that nobody asked for. The system is only asked
    /// where it has said that there is something to read.
    pub(super) fn is_quiet(&self) -> bool {
        if !self.input.is_empty() {
            return false;
        }
        let mut byte = [0];
        let read = match &self.stream {
            Stream::Tcp(stream) => stream.try_read(&mut byte),
            Stream::Unix(stream) => stream.try_read(&mut byte),
        };
        read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// The stream, which speaks another protocol from now on, and what has come of that already.
    pub(super) fn into_stream(self) -> (Stream, BytesMut) {
        (self.stream, self.input)
    }

    /// Gives back what a large body took: an idle connection keeps no more than a head needs, and nothing of what a request
    /// said.
    pub(super) fn rest(&mut self) {
        self.sending = Sending::default();
        if self.input.capacity() > LEAST {
            self.input = BytesMut::new();
        }
    }
}
