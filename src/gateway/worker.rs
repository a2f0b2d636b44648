//! One worker: a thread, a runtime, its own listeners and its own path for requests.

use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;
use hyper::body::Incoming;
use rustls::ServerConfig;
use tokio::runtime::LocalRuntime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::path::Path;
use super::plan::Plan;
use crate::listener::{Edge, Limits, Listening, Stop, redirect, serve};
use crate::metrics::Connections;
use crate::proxy::access::RouteCounters;
use crate::proxy::body::ResponseBody;
use crate::proxy::{self, Client, Clock};
use crate::sessions::Sessions;
use crate::telemetry::AccessLines;

/// How often a worker closes idle upstream connections and hands over its access lines.
const TICK: Duration = Duration::from_secs(1);
/// How often it looks whether the sessions of open streams have ended: they end within a second.
const LOOK: Duration = Duration::from_millis(500);

/// How long the store may take at the end. It has timeouts of its own, which are shorter.
const LAST_COMMITS: Duration = Duration::from_secs(5);

/// What a worker is made of. All of it but the store belongs to it alone.
pub(super) struct Worker {
    pub(super) sockets: Sockets,
    pub(super) limits: Arc<ArcSwap<Limits>>,
    pub(super) stop: Stop,
    pub(super) sessions: Sessions,
    /// What its requests go by.
    pub(super) plans: watch::Receiver<Arc<Plan>>,
    pub(super) clock: Clock,
    pub(super) counters: Arc<proxy::Counters>,
    pub(super) connections: Arc<Connections>,
    pub(super) lines: AccessLines,
}

/// A listening socket, and whether it was passed and outlives this process.
pub(super) struct Socket {
    pub(super) listener: TcpListener,
    pub(super) is_passed: bool,
}

/// Its own sockets on the addresses that all workers share.
pub(super) struct Sockets {
    pub(super) http: Option<Socket>,
    pub(super) https: Option<(Socket, Arc<ArcSwap<ServerConfig>>)>,
    /// The port that clear-text requests are redirected to, if they are.
    pub(super) redirect_to: Option<u16>,
}

impl Worker {
    /// Starts it; returns once its runtime stands and its path is built.
    pub(super) fn spawn(self, index: usize) -> anyhow::Result<thread::JoinHandle<()>> {
        let (started, start) = sync_channel(1);
        let thread = thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            // Made here: neither the runtime nor what belongs to its connections may leave this thread.
            match LocalRuntime::new() {
                Ok(runtime) => {
                    let _ = started.send(Ok(()));
                    runtime.block_on(self.run());
                }
                Err(error) => drop(started.send(Err(error))),
            }
        })?;
        start.recv().context("the worker ended before it began")??;
        Ok(thread)
    }

    async fn run(mut self) {
        let plan = Arc::clone(&self.plans.borrow_and_update());
        let path = Path::new(&plan, self.sessions, self.clock, Arc::clone(&self.counters), self.lines);
        drop(plan);
        let path = Rc::new(path);
        let edges = Edges {
            path: Rc::clone(&path),
            limits: self.limits,
            connections: self.connections,
            stop: self.stop.clone(),
            unrouted: Arc::clone(&self.counters.unrouted),
        };
        let serving = edges.serve(self.sockets);
        drop(edges);
        let following = tokio::task::spawn_local({
            let path = Rc::clone(&path);
            async move { path.follow(self.plans).await }
        });
        let beside = [following, tick(&path), look(&path), leave(&path, self.stop)];
        for served in serving {
            if let Err(error) = served.await {
                tracing::error!(%error, "a listener is gone");
            }
        }
        beside.iter().for_each(JoinHandle::abort);
        if tokio::time::timeout(LAST_COMMITS, path.now().stored()).await.is_err() {
            tracing::error!("what some answers asked of their sessions is not stored");
        }
        path.now().tick(TICK);
    }
}

/// What every connection of a worker is served with.
struct Edges {
    path: Rc<Path>,
    limits: Arc<ArcSwap<Limits>>,
    connections: Arc<Connections>,
    stop: Stop,
    /// Counts what is redirected.
    unrouted: Arc<RouteCounters>,
}

impl Edges {
    /// Begins to serve on each of these.
    fn serve(&self, sockets: Sockets) -> Vec<JoinHandle<()>> {
        let handler = {
            let path = Rc::clone(&self.path);
            move |request, client| path.now().serve(request, client)
        };
        let https = sockets.https.map(|(socket, tls)| self.serve_on(socket, Edge::Https(tls), handler.clone()));
        let http = sockets.http.map(|socket| match sockets.redirect_to {
            Some(port) => self.redirect_on(socket, port),
            None => self.serve_on(socket, Edge::Http, handler),
        });
        https.into_iter().chain(http).collect()
    }

    fn serve_on<H, F>(&self, Socket { listener, is_passed }: Socket, edge: Edge, handler: H) -> JoinHandle<()>
    where
        H: Fn(http::Request<Incoming>, Rc<Client>) -> F + Clone + 'static,
        F: Future<Output = http::Response<ResponseBody>> + 'static,
    {
        let socket = tokio::net::TcpListener::from_std(listener).expect("a bound socket can be registered");
        let listening = Listening { socket, is_kept: is_passed };
        let (limits, connections, stop) = (Arc::clone(&self.limits), Arc::clone(&self.connections), self.stop.clone());
        tokio::task::spawn_local(serve(listening, edge, limits, connections, stop, handler))
    }

    fn redirect_on(&self, socket: Socket, port: u16) -> JoinHandle<()> {
        let (path, counters) = (Rc::clone(&self.path), Arc::clone(&self.unrouted));
        let handler = move |request: http::Request<Incoming>, client| {
            let (proxy, counters) = (path.now(), Arc::clone(&counters));
            async move {
                // Or a proxy that ends TLS in front of this address would be sent round in circles.
                if proxy.is_over_tls(&request, &client) {
                    return proxy.serve(request, client).await;
                }
                let response = redirect(&request, port);
                counters.count(response.status());
                response.map(|_| ResponseBody::none())
            }
        };
        self.serve_on(socket, Edge::Http, handler)
    }
}

fn tick(path: &Rc<Path>) -> JoinHandle<()> {
    let path = Rc::clone(path);
    tokio::task::spawn_local(async move {
        let mut tick = tokio::time::interval(TICK);
        loop {
            tick.tick().await;
            path.now().tick(TICK);
        }
    })
}

fn look(path: &Rc<Path>) -> JoinHandle<()> {
    let path = Rc::clone(path);
    tokio::task::spawn_local(async move {
        let mut look = tokio::time::interval(LOOK);
        // A store that is slow is not asked the more for it.
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            path.now().look_at_streams().await;
        }
    })
}

fn leave(path: &Rc<Path>, stop: Stop) -> JoinHandle<()> {
    let path = Rc::clone(path);
    tokio::task::spawn_local(async move {
        stop.asked().await;
        path.now().leave();
    })
}
