//! The other side: what a server's certificate is checked against.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};

use super::{Error, certificates};

/// What speaks TLS to servers whose certificates the authorities in `ca`, a PEM file, have signed; or, where there is none,
/// the system's.
pub fn client_config(ca: Option<&Path>) -> Result<Arc<ClientConfig>, Error> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca {
        for authority in certificates(path)? {
            roots.add(authority).map_err(|source| Error::Refused { certificate: path.into(), source })?;
        }
    } else {
        // One that cannot be read or used is no reason not to trust the others.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(Error::NoAuthorities);
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(Error::Client)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
