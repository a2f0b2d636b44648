//! A backend server: where it listens, and how it is known to be the right one.

use std::path::PathBuf;

use http::uri::Scheme;
use rustls_pki_types::ServerName;

/// Where one backend server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// `http://host:port` or `h2c://host:port`; the host is looked up before the first connection, and again every now
    /// and then.
    Tcp {
        /// A name or an address literal, without brackets.
        host: String,
        /// Its port.
        port: u16,
        /// What is spoken to it.
        protocol: Protocol,
    },
    /// `https://host:port` or `h2://host:port`.
    Tls {
        /// A name or an address literal, without brackets.
        host: String,
        /// Its port.
        port: u16,
        /// Whose certificate it has to show; a name is also sent to it (SNI).
        name: ServerName<'static>,
        /// What is spoken to it.
        protocol: Protocol,
    },
    /// `unix:/path/to.sock`.
    Unix(PathBuf),
}

/// Which HTTP is spoken to a server, known in advance: nothing is negotiated but what TLS confirms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

impl Protocol {
    /// As TLS knows it (RFC 7301).
    pub fn alpn(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 => b"h2",
        }
    }
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
    /// What is spoken to it.
    pub fn protocol(&self) -> Protocol {
        match self {
            Self::Tcp { protocol, .. } | Self::Tls { protocol, .. } => *protocol,
            Self::Unix(_) => Protocol::Http1,
        }
    }

    /// The scheme of what it is asked for (RFC 9113 section 8.3.1).
    pub(super) fn scheme(&self) -> Scheme {
        if matches!(self, Self::Tls { .. }) { Scheme::HTTPS } else { Scheme::HTTP }
    }

    /// What a `Host` says of it.
    pub(super) fn authority(&self) -> String {
        let shown = self.to_string();
        shown.split_once("://").map_or_else(|| "localhost".to_owned(), |(_, authority)| authority.to_owned())
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (scheme, host, port) = match self {
            Self::Tcp { host, port, protocol: Protocol::Http1 } => ("http", host, port),
            Self::Tcp { host, port, protocol: Protocol::Http2 } => ("h2c", host, port),
            Self::Tls { host, port, protocol: Protocol::Http1, .. } => ("https", host, port),
            Self::Tls { host, port, protocol: Protocol::Http2, .. } => ("h2", host, port),
            Self::Unix(path) => return write!(f, "unix:{}", path.display()),
        };
        if host.contains(':') { write!(f, "{scheme}://[{host}]:{port}") } else { write!(f, "{scheme}://{host}:{port}") }
    }
}
