//! Which of several certificates a client is shown: by the name that it asks for.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Certificates by the names that they are for.
#[derive(Debug)]
pub(super) struct ByName {
    /// For clients that ask for no name, or for one that nobody has.
    default: Arc<CertifiedKey>,
    /// Names in lower case, `*.example.com` as it is.
    names: HashMap<Box<str>, Arc<CertifiedKey>>,
}

impl ByName {
    pub(super) fn new(default: Arc<CertifiedKey>) -> Self {
        Self { default, names: HashMap::new() }
    }

    /// Adds one for these names, but for those that another has already.
    pub(super) fn add(&mut self, names: &[String], certificate: &Arc<CertifiedKey>) {
        for name in names {
            self.names.entry(name.to_ascii_lowercase().into()).or_insert_with(|| Arc::clone(certificate));
        }
    }

    /// The one for a name in lower case: its own before that of a wildcard, which stands for one label (RFC 9525
    /// section 6.3).
    fn of(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let wildcard = || self.names.get(format!("*.{}", name.split_once('.')?.1).as_str());
        self.names.get(name).or_else(wildcard)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // rustls gives it in lower case.
        let named = hello.server_name().and_then(|name| self.of(name));
        Some(Arc::clone(named.unwrap_or(&self.default)))
    }
}
