//! Accepts connections: limits, timeouts, one task a connection. Takes its handler as an argument.

use std::net::SocketAddr;
use std::time::Duration;

/// Where to listen, and how much of a connection's time and memory a client may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Address for clear text.
    pub http: Option<SocketAddr>,
    /// Address for TLS.
    pub https: Option<SocketAddr>,
    /// Whether the clear-text address only answers 308 to https. Never true without `https`.
    pub redirect: bool,
    /// How many workers; each has its own runtime and listener.
    pub workers: usize,
    /// How many connections may be open at once, over all workers.
    pub max_connections: usize,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long a request head may take, and how long a connection may stay without a request.
    pub header_timeout: Duration,
    /// The most bytes a request head may have.
    pub max_header_size: usize,
    /// How long requests in flight may go on after a stop is asked for.
    pub drain_timeout: Duration,
}
