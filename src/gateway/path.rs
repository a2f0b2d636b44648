//! One worker's path for requests, which is another one after a reload.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::watch;

use super::plan::Plan;
use crate::proxy::{self, Clock, Proxy};
use crate::sessions::Sessions;
use crate::telemetry::AccessLines;

/// The path that new requests take. Those under way keep the one they began on.
#[derive(Debug)]
pub(super) struct Path {
    now: RefCell<Rc<Proxy>>,
    sessions: Sessions,
    lines: AccessLines,
}

impl Path {
    /// One by this plan. The configuration has checked that the prefix makes header names.
    pub(super) fn new(
        plan: &Plan,
        sessions: Sessions,
        clock: Clock,
        counters: Arc<proxy::Counters>,
        lines: AccessLines,
    ) -> Self {
        let access = lines.end(plan.access, None);
        let proxy = Proxy::new(&plan.proxy, &plan.upstreams, sessions.clone(), clock, counters, access);
        let now = RefCell::new(Rc::new(proxy.expect("session header names are valid")));
        Self { now, sessions, lines }
    }

    /// The path at present.
    pub(super) fn now(&self) -> Rc<Proxy> {
        Rc::clone(&self.now.borrow())
    }

    /// Goes by every plan that comes.
    pub(super) async fn follow(&self, mut plans: watch::Receiver<Arc<Plan>>) {
        while plans.changed().await.is_ok() {
            let plan = Arc::clone(&plans.borrow_and_update());
            self.adopt(&plan);
            // Nobody waits for it any more, if this is late.
            let _ = plan.adopted.send(());
        }
    }

    fn adopt(&self, plan: &Plan) {
        let before = self.now();
        let access = self.lines.end(plan.access, before.access());
        let sessions = self.sessions.under(Arc::clone(&plan.ring), Arc::clone(&plan.sessions));
        let next = Proxy::succeed(&before, &plan.proxy, &plan.upstreams, sessions, access);
        *self.now.borrow_mut() = Rc::new(next.expect("session header names are valid"));
    }
}
