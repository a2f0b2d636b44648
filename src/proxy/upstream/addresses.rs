//! The addresses of a server that has a name: looked up once before the first request, and now and then beside
//! requests.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use super::Server;

/// How names become addresses.
#[derive(Clone, Debug)]
pub(super) enum Resolver {
    /// As everywhere on this machine.
    System,
    /// As a test says.
    #[cfg(test)]
    Told(Rc<RefCell<Result<Vec<SocketAddr>, io::ErrorKind>>>),
}

impl Resolver {
    async fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let found: Vec<_> = match self {
            Self::System => tokio::net::lookup_host((host, port)).await?.collect(),
            #[cfg(test)]
            Self::Told(told) => told.borrow().clone().map_err(io::Error::from)?,
        };
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(found)
    }
}

/// The addresses of one server, as one worker knows them.
#[derive(Debug)]
pub(super) struct Addresses {
    host: String,
    port: u16,
    resolver: Resolver,
    /// Those of the last answer; none before the first.
    known: RefCell<Rc<[SocketAddr]>>,
    /// Which is the next to be connected to.
    turn: Cell<usize>,
    /// Whether a name stands for them: an address literal stays what it is.
    is_name: bool,
    /// Whether an answer is on its way.
    asking: Cell<bool>,
    /// Whether the last question was answered: only a change is told.
    failing: Cell<bool>,
}

impl Addresses {
    /// Of a server that is at a host.
    pub(super) fn of(server: &Server, resolver: Resolver) -> Option<Self> {
        let (host, port) = match server {
            Server::Tcp { host, port, .. } | Server::Tls { host, port, .. } => (host.clone(), *port),
            Server::Unix(_) => return None,
        };
        let is_name = host.parse::<IpAddr>().is_err();
        let (known, turn) = (RefCell::new(Rc::from([])), Cell::new(0));
        let (asking, failing) = (Cell::new(false), Cell::new(false));
        Some(Self { host, port, resolver, known, turn, is_name, asking, failing })
    }

    /// All of them, the one whose turn it is first. They are looked up only where they never were.
    pub(super) async fn in_turn(&self) -> io::Result<Vec<SocketAddr>> {
        if self.known.borrow().is_empty() {
            let found = self.resolver.look_up(&self.host, self.port).await?;
            *self.known.borrow_mut() = found.into();
        }
        let known = Rc::clone(&self.known.borrow());
        let first = self.turn.get() % known.len();
        self.turn.set(first + 1);
        Ok([&known[first..], &known[..first]].concat())
    }

    /// Whether there is a name to be looked up again: one that was before, and for which nobody waits.
    pub(super) fn can_be_renewed(&self) -> bool {
        self.is_name && !self.asking.get() && !self.known.borrow().is_empty()
    }

    /// Looks the name up again; whether its addresses are others now. Those last known stay where there is no answer.
    pub(super) async fn renew(&self) -> bool {
        let _asking = Asking::begin(&self.asking);
        let mut found = match self.resolver.look_up(&self.host, self.port).await {
            Ok(found) => found,
            Err(error) => {
                if !self.failing.replace(true) {
                    tracing::warn!(host = self.host, %error, "the name cannot be looked up: its last addresses are used");
                }
                return false;
            }
        };
        self.failing.set(false);
        let mut known = self.known.borrow().to_vec();
        // Name servers change the order for every question.
        found.sort_unstable();
        known.sort_unstable();
        let changed = found != known;
        if changed {
            tracing::info!(host = self.host, addresses = ?found, "the name has other addresses now");
            *self.known.borrow_mut() = found.into();
        }
        changed
    }

    /// Whether a connection to this address may still be used.
    pub(super) fn has(&self, address: SocketAddr) -> bool {
        // A name server that tells an IPv4 address as an IPv6 one means the same.
        let canonical = |address: SocketAddr| (address.ip().to_canonical(), address.port());
        self.known.borrow().iter().any(|known| canonical(*known) == canonical(address))
    }
}

/// A question under way, for as long as this lives.
struct Asking<'a>(&'a Cell<bool>);

impl<'a> Asking<'a> {
    fn begin(asking: &'a Cell<bool>) -> Self {
        asking.set(true);
        Self(asking)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}
