//! One exchange with an upstream: pool, timeouts.

use std::path::PathBuf;
use std::time::Duration;

/// A named group of backend servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its name in the configuration, in logs and in metrics.
    pub name: String,
    /// Its servers, at least one; requests go to them in turn.
    pub servers: Vec<Server>,
    /// Which session headers it is given and which of its own are honoured.
    pub trust: Trust,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long the response head may take, from the moment the request is sent.
    pub response_timeout: Duration,
    /// How long either body may stand still.
    pub body_timeout: Duration,
    /// How long an unused connection is kept.
    pub keepalive: Duration,
    /// How many unused connections each worker keeps.
    pub max_idle: usize,
}

/// Where one backend server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// `http://host:port`; the host is resolved when a connection is made.
    Tcp {
        /// A name or an address literal, without brackets.
        host: String,
        /// Its port.
        port: u16,
    },
    /// `unix:/path/to.sock`.
    Unix(PathBuf),
}

/// What an upstream may do with sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    /// No session headers either way.
    None,
    /// It is told who is calling.
    Read,
    /// It may also patch the session's data.
    Write,
    /// It may also log in, end, renew and persist.
    Full,
}
