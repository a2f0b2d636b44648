//! What TLS is served with at present, and how it is replaced while connections come and go.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::ServerConfig;

use super::{Error, Settings, server_config};

/// All that a handshake needs, read from the files at one time.
#[derive(Debug)]
pub struct Loaded {
    settings: Settings,
    config: ServerConfig,
}

impl Loaded {
    /// Reads certificates and keys; nothing is served with them yet.
    pub fn read(settings: &Settings) -> Result<Self, Error> {
        Ok(Self { settings: settings.clone(), config: server_config(settings)? })
    }
}

/// What TLS is served with. Every handshake takes what is there when it begins; connections keep what they began with.
#[derive(Debug)]
pub struct Reloadable {
    config: Arc<ArcSwap<ServerConfig>>,
    /// What `config` was made from. The lock is for those who replace it; no handshake waits for them.
    settings: Mutex<Settings>,
}

impl Reloadable {
    /// Serves with this.
    pub fn new(Loaded { settings, config }: Loaded) -> Self {
        Self { config: Arc::new(ArcSwap::from_pointee(config)), settings: Mutex::new(settings) }
    }

    /// From now on, handshakes are made with this. Sessions begun before are resumed under it.
    pub fn install(&self, Loaded { settings, mut config }: Loaded) {
        let mut current = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.config.load();
        // The keys of the tickets, and the sessions of those who take none. What was begun with another certificate may be
        // resumed: rustls compares the name asked for, and its client has checked that certificate at that time.
        config.ticketer = Arc::clone(&before.ticketer);
        config.session_storage = Arc::clone(&before.session_storage);
        self.config.store(Arc::new(config));
        *current = settings;
    }

    /// What the current configuration was made from.
    pub fn settings(&self) -> Settings {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What handshakes take it from.
    pub fn config(&self) -> Arc<ArcSwap<ServerConfig>> {
        Arc::clone(&self.config)
    }
}
