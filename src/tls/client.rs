//! The other side: what a server's certificate is checked against, and what it is shown.

use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};

use super::{Error, Settings, certificates, private_key, unusable};

/// Servers whose TLS sessions are kept to be resumed; of TLS 1.3 several for each.
const SERVERS: usize = 256;

/// What speaks TLS to servers whose certificates the authorities in `ca`, a PEM file, have signed; or, where there is
/// none, the system's. They are shown `identity` if they ask, and offered the protocols of `alpn`, the best first.
pub fn client_config(
    ca: Option<&Path>,
    identity: Option<&Settings>,
    alpn: &[&[u8]],
) -> Result<Arc<ClientConfig>, Error> {
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
        .with_root_certificates(roots);
    let mut config = match identity {
        None => config.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = (certificates(&identity.certificate)?, private_key(&identity.private_key)?);
            config.with_client_auth_cert(chain, key).map_err(|error| unusable(identity, error))?
        }
    };
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    config.resumption = Resumption::in_memory_sessions(SERVERS);
    Ok(Arc::new(config))
}
