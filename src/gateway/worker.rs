//! One worker: a thread, a runtime, its own listeners and its own path for requests.

use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::runtime::LocalRuntime;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::path::Path;
use super::plan::Plan;
use crate::listener::{Edge, Limits, Listening, Stop, redirect, serve};
use crate::metrics::Connections;
use crate::proxy::body::ResponseBody;
use crate::proxy::{self, Clock};
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
    /// The port that clear-text requests are redirected to, if they are.
    pub(super) redirect_to: Option<u16>,
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
}

impl Worker {
    /// Starts it; returns once its runtime stands and its path is built.
    pub(super) fn spawn(self, index: usize) -> anyhow::Result<JoinHandle<()>> {
        let (started, start) = sync_channel(1);
        let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
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
        let handler = {
            let path = Rc::clone(&path);
            move |request, client| path.now().serve(request, client)
        };
        let following = tokio::task::spawn_local({
            let path = Rc::clone(&path);
            async move { path.follow(self.plans).await }
        });
        let listen = |Socket { listener, is_passed }| {
            let socket = tokio::net::TcpListener::from_std(listener).expect("a bound socket can be registered");
            Listening { socket, is_kept: is_passed }
        };

        let mut serving = Vec::new();
        if let Some((socket, tls)) = self.sockets.https {
            let (limits, connections, stop) =
                (Arc::clone(&self.limits), Arc::clone(&self.connections), self.stop.clone());
            let edge = Edge::Https(tls);
            let served = serve(listen(socket), edge, limits, connections, stop, handler.clone());
            serving.push(tokio::task::spawn_local(served));
        }
        if let Some(socket) = self.sockets.http {
            let (limits, connections, stop) = (self.limits, self.connections, self.stop.clone());
            serving.push(match self.redirect_to {
                Some(port) => {
                    let counters = Arc::clone(&self.counters.unrouted);
                    let path = Rc::clone(&path);
                    let handler = move |request: http::Request<hyper::body::Incoming>, client| {
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
                    tokio::task::spawn_local(serve(listen(socket), Edge::Http, limits, connections, stop, handler))
                }
                None => tokio::task::spawn_local(serve(
                    listen(socket),
                    Edge::Http,
                    limits,
                    connections,
                    stop,
                    handler.clone(),
                )),
            });
        }
        drop(handler);

        let ticking = tokio::task::spawn_local({
            let path = Rc::clone(&path);
            async move {
                let mut tick = tokio::time::interval(TICK);
                loop {
                    tick.tick().await;
                    path.now().tick(TICK);
                }
            }
        });
        let looking = tokio::task::spawn_local({
            let path = Rc::clone(&path);
            async move {
                let mut look = tokio::time::interval(LOOK);
                // A store that is slow is not asked the more for it.
                look.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    look.tick().await;
                    path.now().look_at_streams().await;
                }
            }
        });
        let leaving = tokio::task::spawn_local({
            let (path, stop) = (Rc::clone(&path), self.stop.clone());
            async move {
                stop.asked().await;
                path.now().leave();
            }
        });
        for served in serving {
            if let Err(error) = served.await {
                tracing::error!(%error, "a listener is gone");
            }
        }
        ticking.abort();
        looking.abort();
        following.abort();
        leaving.abort();
        if tokio::time::timeout(LAST_COMMITS, path.now().stored()).await.is_err() {
            tracing::error!("what some answers asked of their sessions is not stored");
        }
        path.now().tick(TICK);
    }
}
