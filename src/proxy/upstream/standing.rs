//! How one server stands, as all workers know it: what its health checks say, and what requests have met.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::Server;
use crate::deadline::Deadline;

/// How one server stands. Read without a lock, for every request.
#[derive(Debug)]
pub(super) struct Standing {
    upstream: String,
    server: String,
    /// What its health checks say; true where there are none.
    healthy: AtomicBool,
    /// Failures that requests have met and that are not forgotten yet.
    fails: AtomicUsize,
    /// When they are forgotten.
    forgotten: AtomicU64,
    /// Until when it is passed over because of them; 0 where it is not.
    passed_over: AtomicU64,
    /// Exchanges under way, where they are counted.
    pub(super) under_way: AtomicUsize,
}

/// How many failures a server may have, and within which time; passed over for that time is it then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tolerance {
    /// Failures; none are counted where it is 0.
    pub max_fails: usize,
    /// Within which they count, and for which the server is passed over.
    pub fail_timeout: Duration,
}

impl Standing {
    pub(super) fn new(upstream: &str, server: &Server) -> Self {
        Self {
            upstream: upstream.to_owned(),
            server: server.to_string(),
            healthy: AtomicBool::new(true),
            fails: AtomicUsize::new(0),
            forgotten: AtomicU64::new(0),
            passed_over: AtomicU64::new(0),
            under_way: AtomicUsize::new(0),
        }
    }

    pub(super) fn server(&self) -> &str {
        &self.server
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    /// Whether it has failed too often of late.
    pub(super) fn is_passed_over(&self) -> bool {
        let until = self.passed_over.load(Ordering::Relaxed);
        until != 0 && !Deadline::of_millis(until).left().is_zero()
    }

    /// Whether a request may go to it. Once its time is over, one request finds out how it is; the others pass it over
    /// until that is known.
    pub(super) fn admits(&self, tolerance: Tolerance) -> bool {
        let until = self.passed_over.load(Ordering::Relaxed);
        if until == 0 {
            return true;
        }
        let next = Deadline::after(tolerance.fail_timeout).millis();
        Deadline::of_millis(until).left().is_zero()
            && self.passed_over.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// It could not be connected to, or took too long to answer.
    pub(super) fn failed(&self, tolerance: Tolerance) {
        if tolerance.max_fails == 0 {
            return;
        }
        let after = Deadline::after(tolerance.fail_timeout).millis();
        if Deadline::of_millis(self.forgotten.load(Ordering::Relaxed)).left().is_zero() {
            self.fails.store(0, Ordering::Relaxed);
            self.forgotten.store(after, Ordering::Relaxed);
        }
        let fails = self.fails.fetch_add(1, Ordering::Relaxed) + 1;
        if fails >= tolerance.max_fails && self.passed_over.swap(after, Ordering::Relaxed) == 0 {
            let (upstream, server, millis) = (&self.upstream, &self.server, tolerance.fail_timeout.as_millis());
            tracing::warn!(%upstream, %server, fails, "the server has failed: it is passed over for {millis} ms");
        }
    }

    /// It has answered.
    pub(super) fn answered(&self) {
        if self.fails.load(Ordering::Relaxed) != 0 {
            self.fails.store(0, Ordering::Relaxed);
        }
        if self.passed_over.load(Ordering::Relaxed) != 0 && self.passed_over.swap(0, Ordering::Relaxed) != 0 {
            let (upstream, server) = (&self.upstream, &self.server);
            tracing::info!(%upstream, %server, "the server answers again: it is no longer passed over");
        }
    }

    /// It has no health checks, or none any more.
    pub(super) fn is_not_asked(&self) {
        self.healthy.store(true, Ordering::Relaxed);
    }

    /// Its health checks say that it is well again.
    pub(super) fn recovered(&self) {
        self.healthy.store(true, Ordering::Relaxed);
        tracing::info!(upstream = %self.upstream, server = %self.server, "the server passes its health checks again");
    }

    /// Its health checks say that it is not well.
    pub(super) fn fell_ill(&self, error: &super::health::Failure) {
        self.healthy.store(false, Ordering::Relaxed);
        let (upstream, server) = (&self.upstream, &self.server);
        tracing::warn!(%upstream, %server, %error, "the server fails its health checks: no request goes to it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tolerance(fail_timeout: Duration) -> Tolerance {
        Tolerance { max_fails: 2, fail_timeout }
    }

    #[test]
    fn once_its_time_is_over_one_request_alone_finds_out_how_it_is() {
        let standing = Standing::new("app", &Server::Unix("/run/app.sock".into()));
        let (long, short) = (tolerance(Duration::from_hours(1)), tolerance(Duration::from_millis(1)));
        standing.failed(short);
        assert!(standing.admits(long) && standing.admits(long), "it has failed once");
        standing.failed(short);
        std::thread::sleep(Duration::from_millis(20));
        standing.failed(short);
        standing.failed(short);
        std::thread::sleep(Duration::from_millis(20));
        assert!(standing.admits(long));
        assert!(!standing.admits(long) && standing.is_passed_over(), "the others wait for what comes of that");
        standing.answered();
        assert!(standing.admits(long) && standing.admits(long));
    }
}
