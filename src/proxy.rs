//! THE PATH: one request, from the client to the upstream and back, top to bottom.

use std::net::SocketAddr;

pub mod clock;
pub mod cookies;
pub mod headers;
pub mod route;
pub mod upstream;

pub use clock::Clock;

/// What is known of the client's connection when a request arrives on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// The address the connection came from.
    pub address: SocketAddr,
    /// Whether it came over TLS.
    pub scheme: Scheme,
}

/// The client's scheme, as `X-Forwarded-Proto` and `Secure` cookies see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Clear text.
    Http,
    /// TLS.
    Https,
}

/// Limits and timeouts of the path itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Our cookie.
    pub cookie: cookies::Settings,
    /// The session header names and budgets.
    pub headers: headers::Settings,
    /// Every route, in the order they were written.
    pub routes: Vec<route::Settings>,
    /// Every upstream; routes refer to them by index.
    pub upstreams: Vec<upstream::Settings>,
}
