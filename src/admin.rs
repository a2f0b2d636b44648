//! Its own address: health, metrics and the sessions API.

use std::net::SocketAddr;

/// Where the admin address listens and who may use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The address; anything but loopback needs a token.
    pub listen: SocketAddr,
    /// The bearer token the API and the metrics ask for.
    pub token: Option<Token>,
}

/// A bearer token. Its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}
