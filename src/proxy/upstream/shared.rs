//! What all workers share of an upstream.

use tokio_rustls::TlsConnector;

/// What all workers share of an upstream: how TLS is spoken to its servers, so that a TLS session begun by one worker is
/// resumed by any other.
#[derive(Default)]
pub struct Shared {
    pub(super) tls: Option<TlsConnector>,
}

impl Shared {
    /// With what speaks TLS, which must be there if any of its servers does.
    pub fn new(tls: Option<TlsConnector>) -> Self {
        Self { tls }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
