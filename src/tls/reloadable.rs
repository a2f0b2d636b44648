//! What TLS is served with at present, and how it is replaced while connections come and go.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use rustls::ServerConfig;

use super::{Clients, Error, Expiry, Settings, read_certificates, serving};
use crate::metrics::Expiries;

/// All that a handshake needs, read from the files at one time.
#[derive(Debug)]
pub struct Loaded {
    source: Source,
    config: ServerConfig,
    expiries: Vec<Expiry>,
}

/// What it was read from.
#[derive(Debug)]
struct Source {
    settings: Settings,
    stamps: Vec<Stamp>,
}

/// What is served with now is made of this.
#[derive(Debug)]
struct Current {
    source: Source,
    /// Counts what was installed.
    generation: u64,
}

/// What tells a file from the one that will be in its place: device, inode, size, time of change. A symbolic link is
/// that to which it leads. None where there is no file.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

impl Loaded {
    /// Reads certificates and keys; nothing is served with them yet.
    pub fn read(settings: &Settings) -> Result<Self, Error> {
        // Before they are read: what changes meanwhile is to be read again.
        let stamps = stamps(settings);
        let certificates = read_certificates(settings)?;
        let expiries = certificates.iter().map(|one| one.expiry.clone()).collect();
        let clients = Clients::read(settings.client.as_ref())?;
        let config = serving(certificates, clients.as_ref())?;
        Ok(Self { source: Source { settings: settings.clone(), stamps }, config, expiries })
    }

    /// When each of its certificates expires, the default first.
    pub fn expiries(&self) -> &[Expiry] {
        &self.expiries
    }
}

/// What TLS is served with. Every handshake takes what is there when it begins; connections keep what they began with.
#[derive(Debug)]
pub struct Reloadable {
    config: Arc<ArcSwap<ServerConfig>>,
    /// What `config` was made from. The lock is for those who replace it, and never held while a file is read: no
    /// handshake waits for them, nor they for a file system.
    current: Mutex<Current>,
    expiries: Arc<Expiries>,
}

impl Reloadable {
    /// Serves with this.
    pub fn new(loaded: Loaded) -> Self {
        let this = Self {
            config: Arc::new(ArcSwap::from_pointee(loaded.config)),
            current: Mutex::new(Current { source: loaded.source, generation: 0 }),
            expiries: Arc::default(),
        };
        this.expiries.set(loaded.expiries.iter().map(told).collect());
        this
    }

    /// From now on, handshakes are made with this. Sessions begun before are resumed under it, where no certificate is
    /// asked for.
    pub fn install(&self, loaded: Loaded) {
        self.replace(&mut self.current(), loaded);
    }

    /// Reads the files again, where any has changed and all have been at rest since the last look. `looked` is what
    /// this saw then; whether there is something new.
    pub fn look(&self, looked: &mut Looked) -> Result<bool, Error> {
        let (settings, generation) = {
            let current = self.current();
            (current.source.settings.clone(), current.generation)
        };
        let stamps = stamps(&settings);
        let at_rest = looked.seen.as_ref() == Some(&stamps);
        looked.seen = Some(stamps);
        let (Some(stamps), true) = (&looked.seen, at_rest) else { return Ok(false) };
        {
            let mut current = self.current();
            if current.generation != generation || *stamps == current.source.stamps {
                return Ok(false);
            }
            // Tried once, whatever comes of it.
            current.source.stamps.clone_from(stamps);
        }
        let loaded = Loaded::read(&settings)?;
        let mut current = self.current();
        // What somebody else has installed meanwhile is newer than what was read here.
        if current.generation != generation {
            return Ok(false);
        }
        self.replace(&mut current, loaded);
        Ok(true)
    }

    fn replace(&self, current: &mut Current, Loaded { source: new, mut config, expiries }: Loaded) {
        let before = self.config.load();
        // Not where clients are asked for certificates: then there are none, and none is to be resumed from before.
        if current.source.settings.client.is_none() && new.settings.client.is_none() {
            // The keys of the tickets, and the sessions of those who take none. What was begun with another certificate
            // may be resumed: rustls compares the name asked for, and its client has checked that certificate at that
            // time.
            config.ticketer = Arc::clone(&before.ticketer);
            config.session_storage = Arc::clone(&before.session_storage);
        }
        self.config.store(Arc::new(config));
        self.expiries.set(expiries.iter().map(told).collect());
        *current = Current { source: new, generation: current.generation + 1 };
    }

    /// What the current configuration was made from.
    pub fn settings(&self) -> Settings {
        self.current().source.settings.clone()
    }

    /// What handshakes take it from.
    pub fn config(&self) -> Arc<ArcSwap<ServerConfig>> {
        Arc::clone(&self.config)
    }

    /// When its certificates expire, for the metrics.
    pub fn expiries(&self) -> Arc<Expiries> {
        Arc::clone(&self.expiries)
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the last look at the files has shown.
#[derive(Debug, Default)]
pub struct Looked {
    seen: Option<Vec<Stamp>>,
}

fn told(expiry: &Expiry) -> (String, i64) {
    (expiry.certificate.display().to_string(), expiry.at)
}

fn stamps(settings: &Settings) -> Vec<Stamp> {
    let stamp = |path: &Path| {
        let found = std::fs::metadata(path).ok()?;
        Some((found.dev(), found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
    };
    let pairs = settings.pairs().flat_map(|pair| [stamp(&pair.certificate), stamp(&pair.private_key)]);
    pairs.chain(settings.client.iter().map(|client| stamp(&client.ca))).collect()
}
