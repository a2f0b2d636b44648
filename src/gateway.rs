//! Builds the parts, binds, runs one runtime a core, drains.

mod files;
mod keeper;
mod prober;
mod worker;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use tokio::runtime::LocalRuntime;
use tokio_rustls::TlsConnector;

use crate::admin::{self, Admin, Exposition};
use crate::config::Config;
use crate::listener::{self, Edge, Limits, Slots, Stop};
use crate::proxy::{self, Clock, upstream};
use crate::sessions::{self, Sessions};
use crate::store::{self, Memory, Redis, Store};
use crate::telemetry::AccessWriter;
use crate::tls;
pub use files::Files;
use keeper::Keeper;
use prober::Prober;
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
    /// What TLS is served with, if it is.
    pub tls: Option<Arc<tls::Reloadable>>,
    ready: Arc<AtomicBool>,
    stop: Stop,
    workers: Vec<JoinHandle<()>>,
    admin_stop: Stop,
    admin_thread: Option<JoinHandle<()>>,
    sweeper: Option<(Sender<()>, JoinHandle<()>)>,
    keeper: Option<Keeper>,
    prober: Option<Prober>,
    access: Option<AccessWriter>,
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

        let lifetimes = settings.lifetimes.clone();
        let (store, keeper) = match &config.store {
            store::Settings::Memory(bounds, None) => {
                (Store::Memory(Arc::new(Memory::new(bounds.clone(), lifetimes))), None)
            }
            // Read before the first request, or its session would not be there and its cookie be replaced. Connections
            // that come meanwhile wait at the sockets.
            store::Settings::Memory(bounds, Some(file)) => {
                let (memory, keeper) = Keeper::start(file, bounds, &lifetimes, clock.clone())?;
                (Store::Memory(memory), Some(keeper))
            }
            store::Settings::Redis(redis) => {
                (Store::Redis(Redis::new(redis.clone(), lifetimes, files.store_tls)), None)
            }
        };

        let lost_lines = Arc::new(AtomicU64::new(0));
        let access =
            AccessWriter::start(&config.log, Arc::clone(&lost_lines)).context("cannot start the access log")?;
        let stop = Stop::new();
        let limits = Limits::new(&config.listen);
        let tls = files.tls.map(tls::Reloadable::new).map(Arc::new);
        let upstreams: Arc<[_]> = config.proxy.upstreams.iter().zip(files.upstream_tls).map(shared).collect();
        let prober = Prober::start(&config.proxy, &upstreams)?;
        let sessions_of = |counters: &Arc<sessions::Counters>| {
            Sessions::new(store.for_worker(), Arc::clone(&ring), Arc::clone(&settings), Arc::clone(counters))
        };

        let (mut workers, mut counted) = (Vec::new(), Vec::new());
        for index in 0..count {
            let counters = admin::Worker {
                connections: Arc::default(),
                proxy: Arc::new(proxy::Counters::new(&config.proxy)),
                sessions: Arc::new(sessions::Counters::new(ring.len())),
            };
            let worker = Worker {
                sockets: Sockets { http: http.next(), https: https.next().zip(tls.as_ref().map(|tls| tls.config())) },
                redirect_to: if config.listen.redirect { https.address.map(|address| address.port()) } else { None },
                limits: limits.clone(),
                stop: stop.clone(),
                sessions: sessions_of(&counters.sessions),
                proxy: config.proxy.clone(),
                upstreams: Arc::clone(&upstreams),
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
                    store.clone(),
                    Arc::clone(&ring),
                    (&config.proxy, Arc::clone(&upstreams)),
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
        let sweeper = match store {
            Store::Memory(memory) => Some(sweep(memory, clock).context("cannot start the sweeper")?),
            Store::Redis(_) => None,
        };
        Ok(Self {
            http: http.address,
            https: https.address,
            admin: admin.address,
            tls,
            ready,
            stop,
            workers,
            admin_stop,
            admin_thread,
            sweeper,
            keeper,
            prober,
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
        if let Some(prober) = self.prober {
            prober.stop();
        }
        self.admin_stop.ask();
        if let Some(admin) = self.admin_thread {
            let _ = admin.join();
        }
        if let Some((stop, sweeper)) = self.sweeper {
            drop(stop);
            let _ = sweeper.join();
        }
        if let Some(keeper) = self.keeper {
            keeper.stop();
        }
        if let Some(access) = self.access {
            access.finish();
        }
    }
}

/// What workers share of an upstream.
fn shared((settings, tls): (&upstream::Settings, Option<Arc<rustls::ClientConfig>>)) -> Arc<upstream::Shared> {
    Arc::new(upstream::Shared::new(settings, tls.map(TlsConnector::from)))
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

fn sweep(memory: Arc<Memory>, clock: Clock) -> std::io::Result<(Sender<()>, JoinHandle<()>)> {
    let (stop, stopped) = channel();
    let thread = std::thread::Builder::new().name("sweeper".to_owned()).spawn(move || {
        while stopped.recv_timeout(SWEEP_EVERY) == Err(RecvTimeoutError::Timeout) {
            memory.sweep(clock.now());
        }
    })?;
    Ok((stop, thread))
}
