//! What a million sessions take in memory, and that a million guests take nothing.
//!
//! Fails where either promise is broken, so that it can guard them.
#![allow(clippy::print_stdout, reason = "it is a report")]

use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use session_gateway::session::lifetime::Limits;
use session_gateway::session::{Change, Edit, KeyRing, Lifetimes, Patch, UnixTime};
use session_gateway::sessions::{Answer, Cookie, Counters, Sessions, Settings};
use session_gateway::store::{Memory, Store, memory};

/// The binary's allocator, since it decides what a small record takes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SESSIONS: u32 = 1_000_000;
const MOST_SESSIONS: usize = SESSIONS as usize;
const DATA_BYTES: usize = 100;
const MOST_MEGABYTES_OF_SESSIONS: f64 = 400.0;
const MOST_MEGABYTES_OF_GUESTS: f64 = 1.0;
const NOW: UnixTime = UnixTime(1_800_000_000);

fn main() -> ExitCode {
    let (sessions, store) = empty();

    let before = resident_megabytes();
    for number in 0..SESSIONS {
        log_in(&sessions, number);
    }
    let taken = resident_megabytes() - before;
    let live = live(&store);
    println!(
        "{live} sessions with a user and {DATA_BYTES} bytes of data: {taken:.1} MB, {:.0} bytes each (at most {MOST_MEGABYTES_OF_SESSIONS} MB)",
        taken * 1024.0 * 1024.0 / f64::from(SESSIONS)
    );

    let before = resident_megabytes();
    for _ in 0..SESSIONS {
        visit_as_guest(&sessions);
    }
    let by_guests = resident_megabytes() - before;
    println!(
        "{SESSIONS} requests without a cookie: {by_guests:.1} MB, {} sessions (at most {MOST_MEGABYTES_OF_GUESTS} MB and none)",
        self::live(&store) - live
    );

    let kept = live == MOST_SESSIONS
        && self::live(&store) == live
        && taken <= MOST_MEGABYTES_OF_SESSIONS
        && by_guests < MOST_MEGABYTES_OF_GUESTS;
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A login as a backend asks for it: a user, and data as a patch.
fn log_in(sessions: &Sessions, number: u32) {
    let frame = r#"{"cart":""}"#.len();
    let patch = format!(r#"{{"cart":"{number:0>width$}"}}"#, width = DATA_BYTES - frame);
    assert_eq!(patch.len(), DATA_BYTES);
    let change = Change {
        user: Some(format!("user-{number:07}").into()),
        edit: Edit { patch: Some(Patch::parse(patch.as_bytes()).expect("it is a JSON object")), ..Edit::default() },
        ..Change::default()
    };
    let visit = ready(sessions.open(None, true, NOW)).expect("memory does not fail");
    let cookie = ready(sessions.commit(&visit, &change, Answer::Private, NOW)).expect("the store has room");
    assert!(matches!(cookie, Cookie::Set { .. }));
}

/// A request without a cookie, to a backend that keeps nothing.
fn visit_as_guest(sessions: &Sessions) {
    let visit = ready(sessions.open(None, true, NOW)).expect("memory does not fail");
    let cookie = ready(sessions.commit(&visit, &Change::default(), Answer::Private, NOW)).expect("nothing is stored");
    assert!(matches!(cookie, Cookie::Set { .. }));
}

fn empty() -> (Sessions, Store) {
    let hours = |idle, lifetime| Limits { idle: Duration::from_hours(idle), lifetime: Duration::from_hours(lifetime) };
    let lifetimes = Lifetimes {
        user: hours(1, 12),
        anonymous: hours(24, 168),
        persistent: hours(744, 744),
        renew_after: Duration::from_hours(1),
        touch_after: Duration::from_mins(1),
        tombstone: Duration::from_mins(1),
    };
    let bounds = memory::Settings { max_sessions: MOST_SESSIONS, max_bytes: u64::MAX };
    let store = Store::Memory(Arc::new(Memory::new(bounds, lifetimes.clone())));
    let ring = KeyRing::new(&[[7; 32]], "__Host-sid").expect("one long key");
    let settings = Settings { lifetimes, guest_cookie: true, max_data: 64 * 1024, max_per_user: None };
    let counters = Arc::new(Counters::default());
    (Sessions::new(store.clone(), Arc::new(ring), Arc::new(settings), counters), store)
}

fn live(store: &Store) -> usize {
    match store {
        Store::Memory(memory) => memory.stats().live,
        Store::Redis(_) => unreachable!("it is in memory"),
    }
}

/// Memory answers without waiting.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("the memory store never waits"),
    }
}

/// What the kernel says this process has in memory.
fn resident_megabytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has /proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("every process has VmRSS");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number of kB") / 1024.0
}
