//! What a configuration means for requests: all that is replaced, in one piece, when it is read again.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use rustls::ClientConfig;
use tokio_rustls::TlsConnector;

use crate::config::Config;
use crate::proxy::{self, upstream};
use crate::session::KeyRing;
use crate::sessions;
use crate::telemetry::Access;

/// A configuration with its files, ready for every worker to build its path of.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) proxy: proxy::Settings,
    /// What workers share of each upstream, in the order of the settings.
    pub(super) upstreams: Arc<[Arc<upstream::Shared>]>,
    pub(super) ring: Arc<KeyRing>,
    pub(super) sessions: Arc<sessions::Settings>,
    pub(super) access: Access,
    /// Told by every worker once its requests go by this.
    pub(super) adopted: Sender<()>,
}

impl Plan {
    /// What has not changed since the plan `before` goes on as it is.
    pub(super) fn new(
        config: &Config,
        ring: KeyRing,
        upstream_tls: Vec<Option<Arc<ClientConfig>>>,
        before: Option<&Self>,
        adopted: Sender<()>,
    ) -> Self {
        let mut proxy = config.proxy.clone();
        let was = |name: &str| {
            let before = before?;
            let index = before.proxy.upstreams.iter().position(|upstream| upstream.name == name)?;
            Some((&before.proxy.upstreams[index], &before.upstreams[index]))
        };
        if let Some(before) = before.filter(|before| before.proxy.limits.births == proxy.limits.births) {
            proxy.limits.births.clone_from(&before.proxy.limits.births);
        }
        let mut shared = Vec::new();
        for (upstream, tls) in proxy.upstreams.iter_mut().zip(upstream_tls) {
            let before = was(&upstream.name);
            if let (Some(jar), Some(old)) = (&mut upstream.jar, before.and_then(|(old, _)| old.jar.as_ref())) {
                jar.observed = old.observed.clone();
            }
            shared.push(match before {
                // The certificates of what speaks TLS may be others in files of the same names.
                Some((settings, shared)) if settings == upstream && tls.is_none() => Arc::clone(shared),
                _ => Arc::new(upstream::Shared::new(
                    upstream,
                    tls.map(TlsConnector::from),
                    before.map(|(_, shared)| &**shared),
                )),
            });
        }
        let (ring, sessions) = (Arc::new(ring), Arc::new(config.sessions.clone()));
        Self { proxy, upstreams: shared.into(), ring, sessions, access: config.log.access, adopted }
    }
}
