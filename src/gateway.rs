//! Builds the parts, binds, runs one runtime a core, drains.

mod keeper;
mod worker;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::runtime::LocalRuntime;
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use crate::admin::{self, Admin, Exposition};
use crate::config::Config;
use crate::listener::{self, Edge, Limits, Slots, Stop};
use crate::proxy::{self, Clock};
use crate::session::KeyRing;
use crate::session::keys::KeyError;
use crate::sessions::{self, Sessions};
use crate::store::{self, Store};
use crate::telemetry::AccessWriter;
use crate::tls;
use keeper::Keeper;
use worker::{Sockets, Worker};

/// How often expired entries are dropped from memory.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// Connections to the admin address at once: scrapers, and people.
const ADMIN_CONNECTIONS: usize = 64;
/// Calls to it are short, and by the time it stops no request of a client is left.
const ADMIN_DRAIN: Duration = Duration::from_secs(1);

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    /// Where clear text is served, if it is.
    pub http: Option<SocketAddr>,
    /// Where TLS is served, if it is.
    pub https: Option<SocketAddr>,
    /// Where the admin address is served, if it is.
    pub admin: Option<SocketAddr>,
    ready: Arc<AtomicBool>,
    stop: Stop,
    workers: Vec<JoinHandle<()>>,
    admin_stop: Stop,
    admin_thread: Option<JoinHandle<()>>,
    sweeper: (Sender<()>, JoinHandle<()>),
    keeper: Option<Keeper>,
    access: Option<AccessWriter>,
}

/// What is read from files at start: the parts of a configuration that can be wrong without being misspelt.
#[derive(Debug)]
pub struct Files {
    ring: KeyRing,
    tls: Option<Arc<rustls::ServerConfig>>,
}

impl Files {
    /// Reads keys and certificates; the error has a line for each that cannot be used.
    pub fn read(config: &Config) -> anyhow::Result<Self> {
        match (key_ring(config), config.tls.as_ref().map(tls::server_config).transpose()) {
            (Ok(ring), Ok(tls)) => Ok(Self { ring, tls }),
            (Err(keys), Ok(_)) => Err(keys),
            (Ok(_), Err(tls)) => Err(tls.into()),
            (Err(keys), Err(tls)) => Err(anyhow!("{keys:#}\nerror: {:#}", anyhow::Error::from(tls))),
        }
    }
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

impl Gateway {
    /// Reads keys and certificates, binds every address, starts the workers; returns once requests are served.
    pub fn start(config: &Config, clock: Clock) -> anyhow::Result<Self> {
        let files = Files::read(config)?;
        let ring = Arc::new(files.ring);
        let settings = Arc::new(config.sessions.clone());
        let count = config.listen.workers;
        let mut http = Bound::new(config.listen.http, count)?;
        let mut https = Bound::new(config.listen.https, count)?;
        let mut admin = Bound::new(config.admin.as_ref().map(|admin| admin.listen), 1)?;

        // Before the first request, or its session would not be there and its cookie be replaced. Connections that come
        // meanwhile wait at the sockets.
        let store::Settings::Memory(bounds, file) = &config.store;
        let (memory, file) = keeper::memory(bounds, file.as_ref(), &settings.lifetimes, &clock)?;
        let store = Arc::new(Store::Memory(memory));

        let lost_lines = Arc::new(AtomicU64::new(0));
        let access =
            AccessWriter::start(&config.log, Arc::clone(&lost_lines)).context("cannot start the access log")?;
        let stop = Stop::new();
        let limits = Limits::new(&config.listen);
        let acceptor = files.tls.map(TlsAcceptor::from);
        let sessions_of = |counters: &Arc<sessions::Counters>| {
            Sessions::new(Arc::clone(&store), Arc::clone(&ring), Arc::clone(&settings), Arc::clone(counters))
        };

        let (mut workers, mut counted) = (Vec::new(), Vec::new());
        for index in 0..count {
            let counters = admin::Worker {
                connections: Arc::default(),
                proxy: Arc::new(proxy::Counters::new(&config.proxy)),
                sessions: Arc::new(sessions::Counters::new(ring.len())),
            };
            let worker = Worker {
                sockets: Sockets { http: http.next(), https: https.next().zip(acceptor.clone()) },
                redirect_to: if config.listen.redirect { https.address.map(|address| address.port()) } else { None },
                limits: limits.clone(),
                stop: stop.clone(),
                sessions: sessions_of(&counters.sessions),
                proxy: config.proxy.clone(),
                clock: clock.clone(),
                counters: Arc::clone(&counters.proxy),
                connections: Arc::clone(&counters.connections),
                access: access.as_ref().map(AccessWriter::handle),
            };
            workers.push(worker.spawn(index).context("cannot start a worker")?);
            counted.push(counters);
        }

        let ready = Arc::new(AtomicBool::new(true));
        let admin_stop = Stop::new();
        let api_counters = Arc::new(sessions::Counters::new(ring.len()));
        let admin_thread = match (admin.next(), &config.admin) {
            (Some(socket), Some(settings)) => {
                let exposition = Exposition::new(
                    counted,
                    Arc::clone(&api_counters),
                    Arc::clone(&store),
                    Arc::clone(&ring),
                    &config.proxy,
                    lost_lines,
                );
                let admin = Admin {
                    sessions: sessions_of(&api_counters),
                    clock: clock.clone(),
                    exposition: Arc::new(exposition),
                    ready: Arc::clone(&ready),
                    token: settings.token.clone(),
                };
                Some(
                    serve_admin(socket, admin, &limits, admin_stop.clone())
                        .context("cannot start the admin address")?,
                )
            }
            _ => None,
        };
        let keeper = file.map(|file| Keeper::start(file, Arc::clone(&store), clock.clone())).transpose();
        let keeper = keeper.context("cannot start what keeps the session file")?;
        let sweeper = sweep(store, clock).context("cannot start the sweeper")?;
        Ok(Self {
            http: http.address,
            https: https.address,
            admin: admin.address,
            ready,
            stop,
            workers,
            admin_stop,
            admin_thread,
            sweeper,
            keeper,
            access,
        })
    }

    /// Stops accepting, lets requests in flight end within `drain_timeout`, writes what they changed, and joins every
    /// thread.
    pub fn stop(self) {
        self.ready.store(false, Ordering::Relaxed);
        self.stop.ask();
        for worker in self.workers {
            let _ = worker.join();
        }
        self.admin_stop.ask();
        if let Some(admin) = self.admin_thread {
            let _ = admin.join();
        }
        let (stop, sweeper) = self.sweeper;
        drop(stop);
        let _ = sweeper.join();
        if let Some(keeper) = self.keeper {
            keeper.stop();
        }
        if let Some(access) = self.access {
            access.finish();
        }
    }
}

/// One address' sockets, one for each worker.
struct Bound {
    address: Option<SocketAddr>,
    sockets: std::vec::IntoIter<TcpListener>,
}

impl Bound {
    fn new(address: Option<SocketAddr>, sockets: usize) -> anyhow::Result<Self> {
        let Some(address) = address else { return Ok(Self { address: None, sockets: Vec::new().into_iter() }) };
        let sockets = listener::bind(address, sockets)?;
        let address = sockets.first().map(TcpListener::local_addr).transpose()?;
        Ok(Self { address, sockets: sockets.into_iter() })
    }

    fn next(&mut self) -> Option<TcpListener> {
        self.sockets.next()
    }
}

/// On a thread and runtime of its own, so that it answers when every worker is busy, and takes nothing from them. Its
/// connections have limits of their own: whoever reaches it cannot keep clients out.
fn serve_admin(socket: TcpListener, admin: Admin, limits: &Limits, stop: Stop) -> anyhow::Result<JoinHandle<()>> {
    let limits = Limits { slots: Slots::new(ADMIN_CONNECTIONS), drain_timeout: ADMIN_DRAIN, ..limits.clone() };
    let (started, start) = channel();
    let thread = std::thread::Builder::new().name("admin".to_owned()).spawn(move || {
        let runtime = match LocalRuntime::new() {
            Ok(runtime) => runtime,
            Err(error) => return drop(started.send(Err(error))),
        };
        runtime.block_on(async move {
            match tokio::net::TcpListener::from_std(socket) {
                Err(error) => drop(started.send(Err(error))),
                Ok(socket) => {
                    let _ = started.send(Ok(()));
                    listener::serve(socket, Edge::Http, limits, Arc::default(), stop, admin.handler()).await;
                }
            }
        });
    })?;
    start.recv().context("it ended before it began")??;
    Ok(thread)
}

fn sweep(store: Arc<Store>, clock: Clock) -> std::io::Result<(Sender<()>, JoinHandle<()>)> {
    let (stop, stopped) = channel();
    let thread = std::thread::Builder::new().name("sweeper".to_owned()).spawn(move || {
        let Store::Memory(memory) = &*store;
        while stopped.recv_timeout(SWEEP_EVERY) == Err(RecvTimeoutError::Timeout) {
            memory.sweep(clock.now());
        }
    })?;
    Ok((stop, thread))
}
