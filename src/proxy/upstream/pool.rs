//! One worker's connections to one server.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};

use super::{Error, Server};
use crate::proxy::body::RequestBody;

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
    sender: SendRequest<RequestBody>,
    since: u64,
}

impl Pool {
    pub(super) fn new(server: Server, max_idle: usize) -> Self {
        Self { server, idle: RefCell::default(), max_idle, age: Cell::new(0) }
    }

    /// The connection used last, for it is the least likely to be closed on us.
    pub(super) fn idle(pool: &Rc<Self>) -> Option<Lease> {
        let mut idle = pool.idle.borrow_mut();
        // One that is not ready yet has an answer's end to take in; it stays for another request.
        let ready = idle.iter().rposition(|idle| idle.sender.is_ready())?;
        let Idle { sender, .. } = idle.remove(ready);
        Some(Lease { sender: Some(sender), reused: true, pool: Rc::clone(pool) })
    }

    pub(super) async fn connect(pool: &Rc<Self>, timeout: Duration) -> Result<Lease, Error> {
        let sender = match tokio::time::timeout(timeout, pool.handshake()).await {
            Ok(Ok(sender)) => sender,
            Ok(Err(source)) => return Err(Error::Connect { server: pool.server.to_string(), source }),
            Err(_) => return Err(Error::ConnectTimeout { server: pool.server.to_string(), timeout }),
        };
        Ok(Lease { sender: Some(sender), reused: false, pool: Rc::clone(pool) })
    }

    async fn handshake(&self) -> std::io::Result<SendRequest<RequestBody>> {
        match &self.server {
            Server::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                spawn(stream).await
            }
            Server::Unix(path) => spawn(UnixStream::connect(path).await?).await,
        }
    }

    fn release(&self, sender: SendRequest<RequestBody>) {
        let mut idle = self.idle.borrow_mut();
        if !sender.is_closed() && idle.len() < self.max_idle {
            idle.push(Idle { sender, since: self.age.get() });
        }
    }

    pub(super) fn age(&self, by: Duration, limit: Duration) {
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let now = self.age.get().saturating_add(millis(by));
        self.age.set(now);
        let oldest = now.saturating_sub(millis(limit));
        self.idle.borrow_mut().retain(|idle| !idle.sender.is_closed() && idle.since >= oldest);
    }
}

async fn spawn<T>(stream: T) -> std::io::Result<SendRequest<RequestBody>>
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
    TokioIo<T>: Read + Write,
{
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(MOST_BUFFERED)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(std::io::Error::other)?;
    tokio::task::spawn_local(async move {
        // What goes wrong is told to the exchange that waits on it; an idle connection's end is no error.
        drop(connection.await);
    });
    Ok(sender)
}

/// A connection in use. It goes back to the pool by [`Lease::release`]; dropped before, it is closed, and the upstream
/// learns that nobody waits for its answer.
#[derive(Debug)]
pub struct Lease {
    sender: Option<SendRequest<RequestBody>>,
    reused: bool,
    pool: Rc<Pool>,
}

impl Lease {
    pub(super) fn sender(&mut self) -> &mut SendRequest<RequestBody> {
        self.sender.as_mut().expect("a lease has its sender until it is released")
    }

    pub(super) fn is_reused(&self) -> bool {
        self.reused
    }

    /// The answer was taken in whole: the connection may serve another request.
    pub fn release(mut self) {
        if let Some(sender) = self.sender.take() {
            self.pool.release(sender);
        }
    }
}
