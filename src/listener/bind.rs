//! One listening socket a worker, on one port.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

/// How many connections the kernel may queue for one socket. It takes the smaller of this and `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    /// The address as asked for.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

/// Binds one non-blocking `SO_REUSEPORT` socket a worker, so that the kernel spreads connections over the workers. Port
/// 0 takes a free one, the same for all.
pub fn bind(address: SocketAddr, workers: usize) -> Result<Vec<TcpListener>, BindError> {
    open_all(address, workers).map_err(|source| BindError { address, source })
}

fn open_all(mut address: SocketAddr, workers: usize) -> io::Result<Vec<TcpListener>> {
    // With SO_REUSEPORT alone a second gateway of the same user would take half of the first one's connections and
    // nobody would be told. Two that start in the same instant can still slip through: no system call closes that gap.
    if address.port() != 0 {
        drop(listen(address, Sharing::Refused)?);
    }
    let mut sockets = Vec::with_capacity(workers);
    for _ in 0..workers {
        let socket: TcpListener = listen(address, Sharing::Allowed)?.into();
        address = socket.local_addr()?;
        sockets.push(socket);
    }
    Ok(sockets)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Allowed,
    Refused,
}

fn listen(address: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the old connections' TIME_WAIT. It never lets two sockets listen.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(sharing == Sharing::Allowed)?;
    socket.set_nonblocking(true)?;
    // Linux and the BSDs hand both options on to what is accepted: two system calls a connection saved.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&keepalive())?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Finds the client that vanished without a word while its request is still being worked on: no other timeout would.
pub(super) fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new().with_time(Duration::from_mins(1)).with_interval(Duration::from_secs(15)).with_retries(4)
}
