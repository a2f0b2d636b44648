//! A backend server: where it listens, and how it is known to be the right one.

use std::path::PathBuf;

use rustls_pki_types::ServerName;

/// Where one backend server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// `http://host:port`; the host is looked up before the first connection, and again every now and then.
    Tcp {
        /// A name or an address literal, without brackets.
        host: String,
        /// Its port.
        port: u16,
    },
    /// `https://host:port`.
    Tls {
        /// A name or an address literal, without brackets.
        host: String,
        /// Its port.
        port: u16,
        /// Whose certificate it has to show; a name is also sent to it (SNI).
        name: ServerName<'static>,
    },
    /// `unix:/path/to.sock`.
    Unix(PathBuf),
}

/// How TLS is spoken to an upstream's servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// PEM file: the authorities that sign their certificates; the system's where there is none.
    pub ca: Option<PathBuf>,
    /// What they are shown, where they ask who is calling.
    pub identity: Option<Identity>,
}

/// A client's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// PEM file: the certificate, then its chain.
    pub certificate: PathBuf,
    /// PEM file: its private key.
    pub private_key: PathBuf,
}

impl Server {
    /// What a `Host` says of it.
    pub(super) fn authority(&self) -> String {
        let shown = self.to_string();
        shown.split_once("://").map_or_else(|| "localhost".to_owned(), |(_, authority)| authority.to_owned())
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (scheme, host, port) = match self {
            Self::Tcp { host, port } => ("http", host, port),
            Self::Tls { host, port, .. } => ("https", host, port),
            Self::Unix(path) => return write!(f, "unix:{}", path.display()),
        };
        if host.contains(':') { write!(f, "{scheme}://[{host}]:{port}") } else { write!(f, "{scheme}://{host}:{port}") }
    }
}
