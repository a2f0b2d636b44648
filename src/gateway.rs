//! Builds the parts, binds, runs one runtime a core, drains.

use std::net::SocketAddr;

use crate::config::Config;
use crate::proxy::Clock;

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    /// Where clear text is served, if it is.
    pub http: Option<SocketAddr>,
    /// Where TLS is served, if it is.
    pub https: Option<SocketAddr>,
    /// Where the admin address is served, if it is.
    pub admin: Option<SocketAddr>,
}

impl Gateway {
    /// Reads keys and certificates, binds every address, starts the workers; returns once requests are served.
    pub fn start(config: &Config, clock: Clock) -> anyhow::Result<Self> {
        let _ = (config, clock);
        anyhow::bail!("being written")
    }

    /// Stops accepting, lets requests in flight end within `drain_timeout`, and joins every thread.
    pub fn stop(self) {}
}
