//! What is read from files at start: keys and certificates.

use std::sync::Arc;

use anyhow::anyhow;
use rustls::ClientConfig;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::proxy::upstream;
use crate::session::KeyRing;
use crate::session::keys::KeyError;
use crate::store;
use crate::tls::{self, client_config};

/// What is read from files at start: the parts of a configuration that can be wrong without being misspelt.
#[derive(Debug)]
pub struct Files {
    pub(super) ring: KeyRing,
    pub(super) tls: Option<tls::Loaded>,
    pub(super) store_tls: Option<Arc<ClientConfig>>,
    /// By upstream, in the order of the configuration; for those with a server that speaks TLS.
    pub(super) upstream_tls: Vec<Option<Arc<ClientConfig>>>,
}

impl Files {
    /// Reads keys and certificates; the error has a line for each that cannot be used.
    pub fn read(config: &Config) -> anyhow::Result<Self> {
        let store_tls = match &config.store {
            store::Settings::Redis(redis) if redis.tls => Some(redis.ca.as_deref()),
            _ => None,
        };
        let ring = key_ring(config);
        let tls = config.tls.as_ref().map(tls::Loaded::read).transpose().map_err(anyhow::Error::from);
        let store_tls = store_tls.map(|ca| client_config(ca, None, &[])).transpose().map_err(anyhow::Error::from);
        let upstream_tls: Vec<_> = config.proxy.upstreams.iter().map(upstream_tls).collect();
        let mut all = vec![ring.as_ref().err(), tls.as_ref().err(), store_tls.as_ref().err()];
        all.extend(upstream_tls.iter().map(|tls| tls.as_ref().err()));
        let wrong: Vec<_> = all.into_iter().flatten().map(|error| format!("{error:#}")).collect();
        match (ring, tls, store_tls, upstream_tls.into_iter().collect()) {
            (Ok(ring), Ok(tls), Ok(store_tls), Ok(upstream_tls)) => Ok(Self { ring, tls, store_tls, upstream_tls }),
            _ => Err(anyhow!(wrong.join("\nerror: "))),
        }
    }
}

impl Files {
    /// What can be used, and should be looked at all the same.
    pub fn doubts(&self) -> Vec<String> {
        let now = jiff::Timestamp::now();
        let expiries = self.tls.iter().flat_map(tls::Loaded::expiries);
        let expired = expiries.filter(|expiry| expiry.at < now.as_second());
        let told = |expiry: &tls::Expiry| {
            let at =
                jiff::Timestamp::from_second(expiry.at).map_or_else(|_| "long ago".to_owned(), |at| at.to_string());
            format!("the certificate in {} has expired: {at}", expiry.certificate.display())
        };
        expired.map(told).collect()
    }
}

fn upstream_tls(upstream: &upstream::Settings) -> anyhow::Result<Option<Arc<ClientConfig>>> {
    let Some(tls) = &upstream.tls else { return Ok(None) };
    let identity = tls
        .identity
        .clone()
        .map(|upstream::Identity { certificate, private_key }| tls::Settings::pair(certificate, private_key));
    // All of an upstream's servers speak the same.
    let alpn: Vec<_> = upstream.servers.first().map(|server| server.protocol().alpn()).into_iter().collect();
    let config = client_config(tls.ca.as_deref(), identity.as_ref(), &alpn);
    config.map(Some).map_err(|error| anyhow::Error::from(error).context(format!("upstream {}", upstream.name)))
}

fn key_ring(config: &Config) -> anyhow::Result<KeyRing> {
    let (mut keys, mut unreadable) = (Vec::new(), Vec::new());
    for path in &config.keys {
        match std::fs::read(path).map(Zeroizing::new) {
            // What an editor adds at the end of a line is no part of the key.
            Ok(key) => keys.push(Zeroizing::new(key.trim_ascii_end().to_vec())),
            Err(error) => unreadable.push(format!("cannot read the session key {}: {error}", path.display())),
        }
        warn_if_readable(path);
    }
    if !unreadable.is_empty() {
        return Err(anyhow!(unreadable.join("\nerror: ")));
    }
    KeyRing::new(&keys, &config.proxy.cookie.name).map_err(|error| match error {
        KeyError::TooShort { index, .. } | KeyError::Repeated { index } => {
            anyhow!("the session key {} cannot be used: {error}", config.keys[index].display())
        }
        KeyError::Missing | KeyError::CookieName => anyhow!("session keys: {error}"),
    })
}

fn warn_if_readable(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    if std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0) {
        tracing::warn!(path = %path.display(), "every user of this machine can read the session key; chmod 600 it");
    }
}
