//! What of a running gateway a reload changes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::bail;
use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::bound::ensure_guarded;
use super::files::Files;
use super::plan::Plan;
use crate::admin::{self, Admin, Desk, Exposition, Reloads};
use crate::config::Config;
use crate::listener::Limits;
use crate::metrics::Expiries;
use crate::proxy::Clock;
use crate::sessions::{self, Sessions};
use crate::store::Store;
use crate::tls;

/// How long workers are waited for. They switch between two turns of their runtimes, in microseconds.
const ADOPTION: Duration = Duration::from_secs(5);

/// The configuration that a gateway goes by, and what has to be told of another one.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) config: Config,
    /// Where the admin address is in fact: a socket that was passed may be on another than the configured one.
    pub(super) admin_at: Option<SocketAddr>,
    pub(super) plans: watch::Sender<Arc<Plan>>,
    /// Where workers say that they have adopted a plan.
    pub(super) adopted: Receiver<()>,
    pub(super) limits: Arc<ArcSwap<Limits>>,
    pub(super) tls: Option<Arc<tls::Reloadable>>,
    pub(super) shown: Shown,
    pub(super) desk: Option<Arc<Desk>>,
}

/// What the admin address shows whatever the configuration is.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) sessions: Sessions,
    pub(super) workers: Vec<admin::Worker>,
    pub(super) api_counters: Arc<sessions::Counters>,
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) ready: Arc<AtomicBool>,
    pub(super) reloads: Arc<Reloads>,
    pub(super) lost_lines: Arc<AtomicU64>,
    /// Of the certificates, where there are any.
    pub(super) expiries: Option<Arc<Expiries>>,
}

impl Running {
    /// Whether another configuration can take the place of this one while the gateway runs.
    pub(super) fn check(&self, next: &Config) -> anyhow::Result<()> {
        let now = &self.config;
        let address = |config: &Config| config.admin.as_ref().map(|admin| admin.listen);
        let fixed = [
            ("listen.http", now.listen.http != next.listen.http),
            ("listen.https", now.listen.https != next.listen.https),
            ("listen.redirect", now.listen.redirect != next.listen.redirect),
            ("listen.workers", now.listen.workers != next.listen.workers),
            ("[store]", now.store != next.store),
            ("admin.listen", address(now) != address(next)),
        ];
        let changed: Vec<_> = fixed.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect();
        if !changed.is_empty() {
            bail!("a change of {} needs a restart", changed.join(", "));
        }
        ensure_guarded(self.admin_at, next)
    }

    /// Goes by another configuration, which was checked. Nothing of it can fail.
    pub(super) fn change(&mut self, mut config: Config, files: Files) -> Arc<Plan> {
        // Requests under way still have the old timeouts: a logout is remembered until they have ended.
        let tombstone = &mut config.sessions.lifetimes.tombstone;
        *tombstone = (*tombstone).max(self.config.sessions.lifetimes.tombstone);
        let (told, adopted) = channel();
        let before = Arc::clone(&self.plans.borrow());
        let plan = Arc::new(Plan::new(&config, files.ring, files.upstream_tls, Some(&before), told));
        self.shown.store.live_by(&plan.sessions.lifetimes);
        let limits = self.limits.load().changed(&config.listen);
        self.limits.store(Arc::new(limits));
        if let (Some(current), Some(next)) = (&self.tls, files.tls) {
            current.install(next);
        }
        self.plans.send_replace(Arc::clone(&plan));
        self.adopted = adopted;
        self.wait_for_workers();
        if let (Some(desk), Some(settings)) = (&self.desk, &config.admin) {
            desk.install(self.shown.admin(&plan, settings));
        }
        self.config = config;
        plan
    }

    fn wait_for_workers(&self) {
        let until = Instant::now() + ADOPTION;
        for _ in &self.shown.workers {
            if self.adopted.recv_timeout(until.saturating_duration_since(Instant::now())).is_err() {
                tracing::error!("a worker has not taken the new configuration within {} s", ADOPTION.as_secs());
                return;
            }
        }
    }
}

impl Shown {
    /// What answers at the admin address by this plan.
    pub(super) fn admin(&self, plan: &Plan, settings: &admin::Settings) -> Admin {
        let mut exposition = Exposition::new(
            self.workers.clone(),
            Arc::clone(&self.api_counters),
            self.store.clone(),
            Arc::clone(&plan.ring),
            (&plan.proxy, Arc::clone(&plan.upstreams)),
            (Arc::clone(&self.reloads), Arc::clone(&self.lost_lines)),
        );
        if let Some(expiries) = &self.expiries {
            exposition.certificates(Arc::clone(expiries));
        }
        Admin {
            sessions: self.sessions.under(Arc::clone(&plan.ring), Arc::clone(&plan.sessions)),
            clock: self.clock.clone(),
            exposition: Arc::new(exposition),
            ready: Arc::clone(&self.ready),
            token: settings.token.clone(),
        }
    }
}
