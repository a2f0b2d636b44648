//! Which Redis, and how long it is waited for.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::store::near_cache;

/// How the store is reached and what it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where it is.
    pub servers: Servers,
    /// Whether it, and its sentinels, are spoken to over TLS.
    pub tls: bool,
    /// PEM file of the authorities that its certificate is checked against; the system's where there is none.
    pub ca: Option<PathBuf>,
    /// The ACL user; Redis' default one where there is none.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Password>,
    /// The number of the database.
    pub database: u32,
    /// What every key begins with, before a colon.
    pub key_prefix: String,
    /// The sessions kept in this process, if any are.
    pub near_cache: Option<near_cache::Settings>,
    /// How long a request waits for an answer.
    pub timeout: Duration,
    /// How long a connection may take to be made, TLS and authentication included.
    pub connect_timeout: Duration,
}

/// Where a Redis is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Servers {
    /// One server.
    One(Address),
    /// A master and its replicas; which of them is master, sentinels know.
    Sentinels {
        /// The sentinels.
        sentinels: Vec<Address>,
        /// What they call the master.
        master: String,
    },
    /// Some servers of a cluster, who know the others.
    Cluster(Vec<Address>),
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// A name, or an IP address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// A password. Its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}
