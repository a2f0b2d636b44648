//! Those who serve requests: as many workers as there are sockets for them.

use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context;
use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::plan::Plan;
use super::worker::{Sockets, Worker};
use crate::admin;
use crate::listener::{Limits, Stop};
use crate::proxy::Clock;
use crate::sessions::{Counters, Sessions};
use crate::store::Store;
use crate::telemetry::AccessWriter;

/// What all workers have in common.
#[derive(Clone, Copy)]
pub(super) struct Crew<'a> {
    pub(super) plan: &'a Plan,
    pub(super) plans: &'a watch::Sender<Arc<Plan>>,
    pub(super) store: &'a Store,
    pub(super) limits: &'a Arc<ArcSwap<Limits>>,
    pub(super) stop: &'a Stop,
    pub(super) clock: &'a Clock,
}

impl Crew<'_> {
    /// Starts so many, each on sockets of its own; and what each of them counts.
    pub(super) fn hire(
        self,
        count: usize,
        mut sockets: impl FnMut() -> Sockets,
        access: &AccessWriter,
    ) -> anyhow::Result<(Vec<JoinHandle<()>>, Vec<admin::Worker>)> {
        let (mut workers, mut counted) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for index in 0..count {
            let counters =
                admin::Worker { connections: Arc::default(), proxy: Arc::default(), sessions: Arc::default() };
            let worker = Worker {
                sockets: sockets(),
                limits: Arc::clone(self.limits),
                stop: self.stop.clone(),
                sessions: self.sessions(&counters.sessions),
                plans: self.plans.subscribe(),
                clock: self.clock.clone(),
                counters: Arc::clone(&counters.proxy),
                connections: Arc::clone(&counters.connections),
                lines: access.lines(),
            };
            workers.push(worker.spawn(index).context("cannot start a worker")?);
            counted.push(counters);
        }
        Ok((workers, counted))
    }

    /// One worker's way to the sessions, or the admin address'.
    pub(super) fn sessions(self, counters: &Arc<Counters>) -> Sessions {
        let (ring, settings) = (Arc::clone(&self.plan.ring), Arc::clone(&self.plan.sessions));
        Sessions::new(self.store.for_worker(), ring, settings, Arc::clone(counters))
    }
}
