//! Builds the parts, binds, runs one runtime a core, drains.

mod bound;
mod crew;
mod files;
mod keeper;
mod path;
mod plan;
mod prober;
mod reload;
mod watcher;
mod worker;

use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;
use hyper::body::Incoming;
use rustls::ClientConfig;
use tokio::runtime::LocalRuntime;
use tokio::sync::watch;

use crate::admin::{self, Desk};
use crate::config::Config;
use crate::listener::{self, Edge, Limits, Passed, Slots, Stop};
use crate::proxy::{Client, Clock};
use crate::sessions;
use crate::store::{self, Memory, Redis, Store};
use crate::telemetry::AccessWriter;
use crate::tls;
use bound::{Bound, ensure_guarded};
use crew::Crew;
pub use files::Files;
use keeper::Keeper;
use plan::Plan;
use prober::Prober;
use reload::{Running, Shown};
use watcher::Watcher;
use worker::Sockets;

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
    running: Running,
    ready: Arc<AtomicBool>,
    stop: Stop,
    workers: Vec<JoinHandle<()>>,
    admin_stop: Stop,
    admin_thread: Option<JoinHandle<()>>,
    sweeper: Option<(Sender<()>, JoinHandle<()>)>,
    keeper: Option<Keeper>,
    prober: Option<Prober>,
    watcher: Option<Watcher>,
    access: AccessWriter,
}

impl Gateway {
    /// Reads keys and certificates, binds every address, starts the workers; returns once requests are served.
    pub fn start(config: &Config, clock: Clock) -> anyhow::Result<Self> {
        Self::start_on(Passed::default(), config, clock)
    }

    /// The same on sockets that were passed, where there are any for an address.
    pub fn start_on(mut passed: Passed, config: &Config, clock: Clock) -> anyhow::Result<Self> {
        let files = Files::read(config)?;
        files.doubts().iter().for_each(|doubt| tracing::warn!("{doubt}"));
        let count = config.listen.workers;
        let mut http = Bound::new("http", config.listen.http, &mut passed, count)?;
        let mut https = Bound::new("https", config.listen.https, &mut passed, count)?;
        let mut admin = Bound::new("admin", config.admin.as_ref().map(|admin| admin.listen), &mut passed, 1)?;
        passed.finish()?;
        ensure_guarded(admin.address, config)?;

        let (store, keeper) = open_store(config, files.store_tls, &clock)?;
        let lost_lines = Arc::new(AtomicU64::new(0));
        let access = AccessWriter::start(Arc::clone(&lost_lines)).context("cannot start the access log")?;
        let stop = Stop::new();
        let limits = Arc::new(ArcSwap::from_pointee(Limits::new(&config.listen)));
        let tls = files.tls.map(tls::Reloadable::new).map(Arc::new);
        let (told, adopted) = channel();
        let plan = Arc::new(Plan::new(config, files.ring, files.upstream_tls, None, told));
        let prober = Prober::start(&plan.proxy, &plan.upstreams)?;
        let plans = watch::Sender::new(Arc::clone(&plan));
        let crew = Crew { plan: &plan, plans: &plans, store: &store, limits: &limits, stop: &stop, clock: &clock };
        let redirect_to = config.listen.redirect.then(|| https.address.map(|address| address.port())).flatten();
        let sockets = || Sockets {
            http: http.next(),
            https: https.next().zip(tls.as_ref().map(|tls| tls.config())),
            redirect_to,
        };
        let (workers, counted) = crew.hire(count, sockets, &access)?;

        let ready = Arc::new(AtomicBool::new(true));
        let admin_stop = Stop::new();
        let api_counters = Arc::<sessions::Counters>::default();
        let shown = Shown {
            sessions: crew.sessions(&api_counters),
            workers: counted,
            api_counters,
            store: store.clone(),
            clock: clock.clone(),
            ready: Arc::clone(&ready),
            reloads: Arc::default(),
            lost_lines,
            expiries: tls.as_ref().map(|tls| tls.expiries()),
        };
        let (desk, admin_thread) = match (admin.next(), &config.admin) {
            (Some(socket), Some(settings)) => {
                let desk = Arc::new(Desk::new(shown.admin(&plan, settings)));
                let thread = serve_admin(socket.listener, desk.handler(), &limits.load(), admin_stop.clone());
                (Some(desk), Some(thread.context("cannot start the admin address")?))
            }
            _ => (None, None),
        };
        let (config, admin_at) = (config.clone(), admin.address);
        let running = Running { config, admin_at, plans, adopted, limits, tls: tls.clone(), shown, desk };
        let watcher = tls.as_ref().map(|tls| Watcher::start(Arc::clone(tls))).transpose()?;
        let sweeper = match store {
            Store::Memory(memory) => Some(sweep(memory, clock).context("cannot start the sweeper")?),
            Store::Redis(_) => None,
        };
        Ok(Self {
            http: http.address,
            https: https.address,
            admin: admin.address,
            tls,
            running,
            ready,
            stop,
            workers,
            admin_stop,
            admin_thread,
            sweeper,
            keeper,
            prober,
            watcher,
            access,
        })
    }

    /// Goes by another configuration from now on, as a whole or not at all: what came of reading it, and its files,
    /// decides. Returns when every worker's new requests go by it, also those on connections that are open; requests
    /// under way end as they began.
    pub fn reload(&mut self, read: anyhow::Result<(Config, Files)>) -> anyhow::Result<()> {
        let reloaded = read.and_then(|(config, files)| {
            self.running.check(&config)?;
            files.doubts().iter().for_each(|doubt| tracing::warn!("{doubt}"));
            // Stopped before anything is changed that it writes to.
            if let Some(prober) = self.prober.take() {
                prober.stop();
            }
            let plan = self.running.change(config, files);
            self.prober = Prober::start(&plan.proxy, &plan.upstreams).unwrap_or_else(|error| {
                tracing::error!("no server is asked whether it is well: {error:#}");
                plan.upstreams.iter().for_each(|shared| shared.are_not_asked());
                None
            });
            Ok(())
        });
        self.running.shown.reloads.count(reloaded.is_ok());
        reloaded
    }

    /// Says that it is not ready, and after `drain_delay` stops accepting, lets requests in flight end within
    /// `drain_timeout`, writes what they changed, and joins every thread.
    pub fn stop(self) {
        self.ready.store(false, Ordering::Relaxed);
        std::thread::sleep(self.running.config.listen.drain_delay);
        self.stop.ask();
        drop(self.running);
        for worker in self.workers {
            let _ = worker.join();
        }
        if let Some(prober) = self.prober {
            prober.stop();
        }
        if let Some(watcher) = self.watcher {
            watcher.stop();
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
        self.access.finish();
    }
}

fn open_store(
    config: &Config,
    tls: Option<Arc<ClientConfig>>,
    clock: &Clock,
) -> anyhow::Result<(Store, Option<Keeper>)> {
    let lifetimes = config.sessions.lifetimes.clone();
    Ok(match &config.store {
        store::Settings::Memory(bounds, None) => {
            (Store::Memory(Arc::new(Memory::new(bounds.clone(), lifetimes))), None)
        }
        // Read before the first request, or its session would not be there and its cookie be replaced. Connections
        // that come meanwhile wait at the sockets.
        store::Settings::Memory(bounds, Some(file)) => {
            let (memory, keeper) = Keeper::start(file, bounds, &lifetimes, clock.clone())?;
            (Store::Memory(memory), Some(keeper))
        }
        store::Settings::Redis(redis) => (Store::Redis(Redis::new(redis.clone(), lifetimes, tls)), None),
    })
}

/// On a thread and runtime of its own, so that it answers when every worker is busy, and takes nothing from them. Its
/// connections have limits of their own: whoever reaches it cannot keep clients out.
fn serve_admin<H>(socket: TcpListener, handler: H, limits: &Limits, stop: Stop) -> anyhow::Result<JoinHandle<()>>
where
    H: Fn(http::Request<Incoming>, Rc<Client>) -> admin::Answer + Clone + Send + 'static,
{
    let limits = Limits {
        slots: Slots::new(ADMIN_CONNECTIONS),
        drain_timeout: ADMIN_DRAIN,
        proxy_protocol: None,
        ..limits.clone()
    };
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
                    let limits = Arc::new(ArcSwap::from_pointee(limits));
                    listener::serve(socket, Edge::Http, limits, Arc::default(), stop, handler).await;
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
