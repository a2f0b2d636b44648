//! Listening sockets that somebody else has bound and keeps, such as systemd (`sd_listen_fds(3)`).
//!
//! They outlive the process: connections that wait at them when it ends wait for the next one.

use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;
use socket2::SockRef;

use super::bind::keepalive;

/// The sockets that were passed and that nobody has taken yet.
#[derive(Debug, Default)]
pub struct Passed(Vec<Socket>);

#[derive(Debug)]
struct Socket {
    name: String,
    address: SocketAddr,
    listener: TcpListener,
}

/// What was passed and cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum PassedError {
    /// It is no TCP socket, or not in a state to be used.
    #[error("the socket number {number} that was passed ({name}) cannot be listened on")]
    Unusable {
        /// Its place among those that were passed, from 0.
        number: usize,
        /// Its name.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing in the configuration wants it.
    #[error(
        "the socket {name} on {address} was passed, and nothing in the configuration wants it; expected the name http, \
         https or admin, or an address of listen.http, listen.https or admin.listen"
    )]
    Unwanted {
        /// Its name.
        name: String,
        /// Where it listens.
        address: SocketAddr,
    },
}

impl Passed {
    /// What the environment says was passed to this process: `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES`. To be
    /// called before there is another thread.
    pub fn from_env() -> Result<Self, PassedError> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':').map(str::to_owned);
        let mut fds = ListenFd::from_env();
        let mut sockets = Vec::new();
        for number in 0..fds.len() {
            let name = names.next().unwrap_or_else(|| "unknown".to_owned());
            let taken = fds.take_tcp_listener(number).and_then(|listener| {
                let listener = listener.ok_or(io::ErrorKind::NotFound)?;
                prepare(&listener)?;
                Ok((listener.local_addr()?, listener))
            });
            match taken {
                Ok((address, listener)) => sockets.push(Socket { name, address, listener }),
                Err(source) => return Err(PassedError::Unusable { number, name, source }),
            }
        }
        Ok(Self(sockets))
    }

    /// Takes those of a name, or where there are none of that name those on an address.
    pub fn take(&mut self, name: &str, address: SocketAddr) -> Vec<TcpListener> {
        let is_named = self.0.iter().any(|socket| socket.name == name);
        let wanted = |socket: &mut Socket| if is_named { socket.name == name } else { socket.address == address };
        self.0.extract_if(.., wanted).map(|socket| socket.listener).collect()
    }

    /// Makes sure that everything was taken: a socket at which nobody accepts would let clients wait for ever.
    pub fn finish(self) -> Result<(), PassedError> {
        match self.0.into_iter().next() {
            None => Ok(()),
            Some(Socket { name, address, .. }) => Err(PassedError::Unwanted { name, address }),
        }
    }
}

/// Gives it what a socket of our own has.
fn prepare(listener: &TcpListener) -> io::Result<()> {
    let socket = SockRef::from(listener);
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&keepalive())
}
