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
use tokio::time::MissedTickBehavior;

use crate::listener::{Edge, Limits, Stop, redirect, serve};
use crate::metrics::Connections;
use crate::proxy::access::AccessLog;
use crate::proxy::{self, Clock, Proxy, upstream};
use crate::sessions::Sessions;

/// How often a worker closes idle upstream connections and hands over its access lines.
const TICK: Duration = Duration::from_secs(1);
/// How often it looks whether the sessions of open streams have ended: they end within a second.
const LOOK: Duration = Duration::from_millis(500);

/// What a worker is made of. All of it but the store belongs to it alone.
pub(super) struct Worker {
    pub(super) sockets: Sockets,
    /// The port that clear-text requests are redirected to, if they are.
    pub(super) redirect_to: Option<u16>,
    pub(super) limits: Limits,
    pub(super) stop: Stop,
    pub(super) sessions: Sessions,
    pub(super) proxy: proxy::Settings,
    /// What it shares with the others of each upstream.
    pub(super) upstreams: Arc<[Arc<upstream::Shared>]>,
    pub(super) clock: Clock,
    pub(super) counters: Arc<proxy::Counters>,
    pub(super) connections: Arc<Connections>,
    pub(super) access: Option<AccessLog>,
}

/// Its own sockets on the addresses that all workers share.
pub(super) struct Sockets {
    pub(super) http: Option<TcpListener>,
    pub(super) https: Option<(TcpListener, Arc<ArcSwap<ServerConfig>>)>,
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

    async fn run(self) {
        let proxy = Proxy::new(
            &self.proxy,
            &self.upstreams,
            self.sessions,
            self.clock,
            Arc::clone(&self.counters),
            self.access,
        );
        // The configuration has checked that the prefix makes header names.
        let proxy = Rc::new(proxy.expect("session header names are valid"));
        let handler = {
            let proxy = Rc::clone(&proxy);
            move |request, client| Rc::clone(&proxy).serve(request, client)
        };
        let listen = |socket| tokio::net::TcpListener::from_std(socket).expect("a bound socket can be registered");

        let mut serving = Vec::new();
        if let Some((socket, tls)) = self.sockets.https {
            let (limits, connections, stop) = (self.limits.clone(), Arc::clone(&self.connections), self.stop.clone());
            let edge = Edge::Https(tls);
            let served = serve(listen(socket), edge, limits, connections, stop, handler.clone());
            serving.push(tokio::task::spawn_local(served));
        }
        if let Some(socket) = self.sockets.http {
            let (limits, connections, stop) = (self.limits, self.connections, self.stop);
            serving.push(match self.redirect_to {
                Some(port) => {
                    let counters = Arc::clone(&self.counters.unrouted);
                    let handler = move |request: http::Request<hyper::body::Incoming>, _| {
                        let response = redirect(&request, port);
                        counters.count(response.status());
                        std::future::ready(response)
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
            let proxy = Rc::clone(&proxy);
            async move {
                let mut tick = tokio::time::interval(TICK);
                loop {
                    tick.tick().await;
                    proxy.tick(TICK);
                }
            }
        });
        let looking = tokio::task::spawn_local({
            let proxy = Rc::clone(&proxy);
            async move {
                let mut look = tokio::time::interval(LOOK);
                // A store that is slow is not asked the more for it.
                look.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    look.tick().await;
                    proxy.look_at_streams().await;
                }
            }
        });
        for served in serving {
            if let Err(error) = served.await {
                tracing::error!(%error, "a listener is gone");
            }
        }
        ticking.abort();
        looking.abort();
        proxy.tick(TICK);
    }
}
