//! One worker's connections to one server.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use socket2::TcpKeepalive;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::AbortHandle;
use tokio::time::Sleep;

use super::wire::{Watched, Wire};
use super::{Error, Server};
use crate::proxy::body::{Progress, RequestBody};

const KEEPALIVE: Duration = Duration::from_mins(1);
/// Room for a response head; bodies are read in pieces of up to this size.
const MOST_BUFFERED: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Pool {
    server: Server,
    idle: RefCell<Vec<Idle>>,
    max_idle: usize,
    /// Time as this pool knows it: how often it was aged, in milliseconds.
    age: Cell<u64>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: u64,
}

#[derive(Debug)]
struct Connection {
    sender: SendRequest<RequestBody>,
    wire: Rc<Wire>,
    /// How long an answer may take; one for all requests, for setting it anew is cheaper than making it.
    timer: Pin<Box<Sleep>>,
    /// Its task, which ends with it: hyper alone would go on sending a body that nobody waits to have answered.
    task: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Pool {
    pub(super) fn new(server: Server, max_idle: usize) -> Self {
        Self { server, idle: RefCell::default(), max_idle, age: Cell::new(0) }
    }

    /// The connection used last, for it is the least likely to be closed on us.
    pub(super) fn idle(pool: &Rc<Self>) -> Option<Lease> {
        let mut idle = pool.idle.borrow_mut();
        for at in (0..idle.len()).rev() {
            let sender = &idle[at].connection.sender;
            if sender.is_closed() {
                idle.swap_remove(at);
            } else if sender.is_ready() {
                let Idle { connection, .. } = idle.swap_remove(at);
                return Some(Lease {
                    connection: Some(connection),
                    reused: true,
                    sending: None,
                    pool: Rc::clone(pool),
                });
            }
            // One that is not ready yet has an answer's end to take in; it stays for another request.
        }
        None
    }

    pub(super) async fn connect(pool: &Rc<Self>, timeout: Duration) -> Result<Lease, Error> {
        let connection = match tokio::time::timeout(timeout, pool.handshake()).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(source)) => return Err(Error::Connect { server: pool.server.to_string(), source }),
            Err(_) => return Err(Error::ConnectTimeout { server: pool.server.to_string(), timeout }),
        };
        Ok(Lease { connection: Some(connection), reused: false, sending: None, pool: Rc::clone(pool) })
    }

    async fn handshake(&self) -> std::io::Result<Connection> {
        match &self.server {
            Server::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                // Finds the server that vanished without a word while an answer is still being sent to it.
                socket2::SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
                spawn(stream).await
            }
            Server::Unix(path) => spawn(UnixStream::connect(path).await?).await,
        }
    }

    fn release(&self, connection: Connection) {
        let mut idle = self.idle.borrow_mut();
        if !connection.sender.is_closed() && idle.len() < self.max_idle {
            idle.push(Idle { connection, since: self.age.get() });
        }
    }

    pub(super) fn age(&self, by: Duration, limit: Duration) {
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let now = self.age.get().saturating_add(millis(by));
        self.age.set(now);
        let oldest = now.saturating_sub(millis(limit));
        self.idle.borrow_mut().retain(|idle| !idle.connection.sender.is_closed() && idle.since >= oldest);
    }
}

async fn spawn<T>(stream: T) -> std::io::Result<Connection>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let wire = Rc::new(Wire::default());
    let io = TokioIo::new(Watched::new(stream, Rc::clone(&wire)));
    let handshake = http1::Builder::new().max_buf_size(MOST_BUFFERED).handshake(io).await;
    let (sender, connection) = handshake.map_err(std::io::Error::other)?;
    let task = tokio::task::spawn_local(async move {
        // What goes wrong is told to the exchange that waits on it; an idle connection's end is no error.
        drop(connection.await);
    });
    let timer = Box::pin(tokio::time::sleep(Duration::ZERO));
    Ok(Connection { sender, wire, timer, task: task.abort_handle() })
}

/// A connection in use. It goes back to the pool by [`Lease::release`]; dropped before, it is closed, and the upstream
/// learns that nobody waits for its answer.
#[derive(Debug)]
pub struct Lease {
    connection: Option<Connection>,
    reused: bool,
    /// How far the request's body has got.
    sending: Option<Progress>,
    pool: Rc<Pool>,
}

impl Lease {
    /// Sends a request, and waits for the head of its answer.
    pub(super) fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> + use<> {
        let connection = self.connection();
        connection.wire.begin();
        connection.sender.try_send_request(request)
    }

    /// The timer for its answer.
    pub(super) fn timer(&mut self) -> Pin<&mut Sleep> {
        self.connection().timer.as_mut()
    }

    fn connection(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("a lease has its connection until it is released")
    }

    /// Whether the connection had been used before.
    pub(super) fn is_reused(&self) -> bool {
        self.reused
    }

    /// The request once more, where it was written whole, has no body, and no byte has come back.
    pub(super) fn unanswered(&self) -> Option<Request<RequestBody>> {
        self.connection.as_ref()?.wire.unanswered()
    }

    /// The request's body may still be on its way though its answer has begun.
    pub(super) fn sends(&mut self, progress: Progress) {
        self.sending = Some(progress);
    }

    /// The answer was taken in whole: the connection may serve another request, unless the upstream answered before it
    /// had taken in the whole request. Then it is closed, rather than be kept busy by an upload that nobody wants.
    pub fn release(mut self) {
        if let Some(connection) = self.connection.take()
            && self.sending.as_ref().is_none_or(Progress::is_whole)
        {
            self.pool.release(connection);
        }
    }
}
