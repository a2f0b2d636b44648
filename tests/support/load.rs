//! Visitors who do not stop: each logs in, counts upwards in its session, and looks whether it is still itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::browser::{Answer, Browser, Doors, Request, get, post};
use super::{PATIENCE, eventually};

/// Visitors of sites whose backend is a [`super::mirror::Mirror`].
pub struct Load {
    visitors: Vec<Visitor>,
    signals: Arc<Signals>,
}

#[derive(Default)]
struct Signals {
    stop: AtomicBool,
    /// Whether what was acknowledged may be missing.
    may_forget: AtomicBool,
}

struct Visitor {
    counters: Arc<Counters>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Counters {
    /// The last number that was written, as the gateway said.
    acknowledged: AtomicU64,
    /// Answers of every kind so far.
    served: AtomicU64,
    refused: AtomicU64,
    /// What its session held in the end.
    found: AtomicU64,
}

/// How it went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub served: u64,
    pub refused: u64,
    /// What each visitor's session held in the end.
    pub found: Vec<u64>,
}

impl Load {
    /// `count` visitors, who fail the test if an answer takes longer than `limit`, if a cookie of theirs is touched
    /// once they are logged in, or if they ever find themselves to be somebody else or nobody.
    pub fn start(doors: &dyn Fn() -> Doors, count: usize, limit: Duration) -> Self {
        let signals = Arc::<Signals>::default();
        let visitor = |i: usize| {
            let counters = Arc::<Counters>::default();
            let (doors, signals, shared) = (doors(), Arc::clone(&signals), Arc::clone(&counters));
            let thread = thread::spawn(move || visit(doors, &format!("visitor-{i}"), limit, &signals, &shared));
            Visitor { counters, thread }
        };
        let load = Self { visitors: (0..count).map(visitor).collect(), signals };
        load.until_more_is_acknowledged();
        load
    }

    /// From now on what was acknowledged may be missing: a master that is replaced takes along what its replica has
    /// not.
    pub fn expect_losses(&self) {
        self.signals.may_forget.store(true, Ordering::SeqCst);
    }

    /// What each has been told is stored.
    pub fn acknowledged(&self) -> Vec<u64> {
        self.visitors.iter().map(|visitor| visitor.counters.acknowledged.load(Ordering::SeqCst)).collect()
    }

    /// Waits until each has been told of one more write.
    pub fn until_more_is_acknowledged(&self) {
        let before = self.acknowledged();
        eventually("every visitor has written again", || {
            self.look();
            self.acknowledged().iter().zip(&before).all(|(now, before)| now > before).then_some(())
        });
    }

    /// Waits until each has been refused once more.
    pub fn until_refused(&self) {
        let count = |visitor: &Visitor| visitor.counters.refused.load(Ordering::SeqCst);
        let before: Vec<_> = self.visitors.iter().map(count).collect();
        eventually("every visitor has been refused", || {
            self.look();
            self.visitors.iter().map(count).zip(&before).all(|(now, before)| now > *before).then_some(())
        });
    }

    /// Ends it, once every visitor has been served again.
    pub fn stop(self) -> Report {
        self.signals.stop.store(true, Ordering::SeqCst);
        let mut report = Report::default();
        for visitor in self.visitors {
            visitor.thread.join().expect("a visitor was wronged: see above");
            report.served += visitor.counters.served.load(Ordering::SeqCst);
            report.refused += visitor.counters.refused.load(Ordering::SeqCst);
            report.found.push(visitor.counters.found.load(Ordering::SeqCst));
        }
        report
    }

    fn look(&self) {
        assert!(!self.visitors.iter().any(|visitor| visitor.thread.is_finished()), "a visitor was wronged: see above");
    }
}

fn visit(doors: Doors, name: &str, limit: Duration, signals: &Signals, counters: &Counters) {
    let browser = Browser::among(doors.into(), "localhost");
    let login = browser.send(post("/login").ask("User", name)).answer();
    assert_eq!(login.status(), 200, "{}", login.text_head());
    let mut next = 1;
    // Written, or perhaps written: a refusal does not say that nothing was.
    let mut possible = 0;
    let look = |possible: u64| {
        let seen = answer(&browser, get("/look"), limit, counters)?;
        assert_eq!(seen.saw("User"), Some(name), "{}", seen.text_head());
        let count = counted(&seen);
        assert!(count <= possible, "{name} has written {possible} at most, and finds {count}");
        let acknowledged = counters.acknowledged.load(Ordering::SeqCst);
        if !signals.may_forget.load(Ordering::SeqCst) {
            assert!(count >= acknowledged, "{name} was told that {acknowledged} are stored, and finds {count}");
        }
        Some(count)
    };
    while !signals.stop.load(Ordering::SeqCst) {
        look(possible);
        possible = next;
        let patch = format!("{{\"count\":{next}}}");
        if answer(&browser, post("/count").ask("Patch", &patch), limit, counters).is_some() {
            counters.acknowledged.store(next, Ordering::SeqCst);
        }
        next += 1;
        // Leaves something of two cores to the others.
        thread::sleep(Duration::from_millis(2));
    }
    let found = eventually("a visitor is served again", || look(possible));
    counters.found.store(found, Ordering::SeqCst);
}

/// The number in a visitor's session.
fn counted(seen: &Answer) -> u64 {
    let data = seen.saw("Data").map(|data| serde_json::from_str::<serde_json::Value>(data).expect("JSON"));
    data.and_then(|data| data.get("count")?.as_u64()).unwrap_or(0)
}

/// The answer, or none where the store could not be asked.
fn answer(browser: &Browser, request: Request, limit: Duration, counters: &Counters) -> Option<Answer> {
    let began = Instant::now();
    let answer = browser.send(request).answer();
    let took = began.elapsed();
    assert!(took < limit.min(PATIENCE), "an answer took {took:?}: {}", answer.text_head());
    assert_eq!(answer.sid(), None, "{}", answer.text_head());
    let counter = match answer.status() {
        200 => &counters.served,
        503 => &counters.refused,
        status => panic!("{status} is neither an answer nor a refusal: {}", answer.text_head()),
    };
    counter.fetch_add(1, Ordering::SeqCst);
    (answer.status() == 200).then_some(answer)
}
