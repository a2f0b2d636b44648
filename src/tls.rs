//! Certificates to a rustls `ServerConfig`.

use std::path::PathBuf;

/// Which certificate is presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// PEM file: the certificate, then its chain.
    pub certificate: PathBuf,
    /// PEM file: its private key.
    pub private_key: PathBuf,
}
