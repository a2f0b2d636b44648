//! Who asks: the client's connection, as far as a request's way depends on it.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::HeaderValue;

/// What is known of the client's connection when a request arrives on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The address the connection came from; behind a trusted proxy, the one that it tells, with port 0 where it tells
    /// none.
    pub address: SocketAddr,
    /// Whether it came over TLS.
    pub scheme: Scheme,
    /// What the PROXY protocol says of the address.
    pub(super) announced: Announced,
    /// The certificate that it has shown, where it was asked for one, as upstreams are told it (RFC 9440 section 2.1).
    pub(super) certificate: Option<HeaderValue>,
    /// The host that a trusted proxy was asked for, where its word is taken for that, too.
    pub(super) host: Option<HeaderValue>,
    /// The lines by which upstreams are told of its address, with those of the proxies between, and of its scheme;
    /// written once for all requests of a connection from which nothing else is told.
    pub(super) forwarded: Box<str>,
}

impl Client {
    /// A client at `address`.
    pub fn new(address: SocketAddr, scheme: Scheme) -> Self {
        let forwarded = Self::forwarded(&address.ip().to_string(), scheme);
        Self { address, scheme, announced: Announced::Nothing, certificate: None, host: None, forwarded }
    }

    /// The lines that tell of these addresses and this scheme.
    pub(super) fn forwarded(addresses: &str, scheme: Scheme) -> Box<str> {
        let scheme = match scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        format!("x-forwarded-for: {addresses}\r\nx-forwarded-proto: {scheme}\r\n").into()
    }

    /// The same, of whom the PROXY protocol says this.
    #[must_use]
    pub fn announced(self, announced: Announced) -> Self {
        Self { announced, ..self }
    }

    /// The same, with a certificate that it has shown, in DER.
    #[must_use]
    pub fn with_certificate(self, certificate: &[u8]) -> Self {
        let certificate = HeaderValue::try_from(format!(":{}:", STANDARD.encode(certificate)));
        Self { certificate: Some(certificate.expect("base64 is a header value")), ..self }
    }
}

/// What a connection's PROXY protocol header says of whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// There is none, for none was expected: the address is that of whoever has connected.
    Nothing,
    /// The address; or that the connection is the proxy's own, whose address it then is.
    Address,
    /// That it is somebody else's, of whom it tells no address: it is the proxy's, and not the proxy who speaks.
    Somebody,
}

/// The client's scheme, as `X-Forwarded-Proto` and `Secure` cookies see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Clear text.
    Http,
    /// TLS.
    Https,
}
