//! What a session file costs: a request, the thread that writes it, a restart.
//!
//! Fails where a request costs a tenth more with it than without, so that it can guard the promise.
#![allow(clippy::print_stdout, reason = "it is a report")]

use std::os::unix::fs::MetadataExt;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use session_gateway::session::lifetime::Limits;
use session_gateway::session::{Change, Edit, KeyRing, Lifetimes, Patch, UnixTime, ticket::Signed};
use session_gateway::sessions::{Answer, Cookie, Counters, Sessions, Settings};
use session_gateway::store::file::{self, File};
use session_gateway::store::{Memory, Store, memory};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SESSIONS: u32 = 1_000_000;
const BOUNDS: memory::Settings = memory::Settings { max_sessions: SESSIONS as usize, max_bytes: u64::MAX };
const DATA_BYTES: usize = 100;
const PATCHES: usize = 200_000;
/// As many as come between two turns at 50,000 patches a second and a `sync` of a second.
const PATCHES_IN_A_TURN: usize = 25_000;
const ROUNDS: usize = 9;
const MOST_FOR_A_REQUEST: f64 = 1.10;
const NOW: UnixTime = UnixTime(1_800_000_000);

fn main() -> ExitCode {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let settings = file::Settings { path: dir.path().join("sessions.redb"), sync: Duration::from_secs(1) };
    let memory_alone = Bench::new(Memory::new(BOUNDS, lifetimes()));
    let opened = file::open(&settings, &BOUNDS, &lifetimes(), NOW).expect("a new file");
    let (with_file, mut file) = (Bench::new(opened.memory), opened.file);
    let tickets = [&memory_alone, &with_file].map(Bench::log_everybody_in);
    write(&mut file, &with_file, "a million sessions at once");

    let (mut alone, mut filed, mut writer) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // In turns, so that whatever else this machine does meets both.
        alone.push(memory_alone.patch(&tickets[0], round, || {}));
        let (each, written) = with_file.patch_while_written(&tickets[1], round, &mut file);
        filed.push(each);
        writer.push(written);
    }
    let [alone, filed, writer] = [alone, filed, writer].map(median);
    let ratio = filed / alone;
    println!(
        "a patch of one of a million sessions: {alone:.3} µs without a file, {filed:.3} µs with one: {ratio:.3} (at most {MOST_FOR_A_REQUEST})"
    );
    println!("beside it, the thread that writes: {writer:.3} µs for each");
    report(&settings, "after that");

    file.finish(&with_file.memory, NOW).expect("the disk takes it");
    let (begun, started) = (cpu(), Instant::now());
    let again = file::open(&settings, &BOUNDS, &lifetimes(), NOW).expect("the same file");
    println!("a restart with {} sessions: {:.2?}, {:.2} s of CPU", again.found.kept, started.elapsed(), cpu() - begun);
    let kept = again.found.kept == SESSIONS as usize && ratio <= MOST_FOR_A_REQUEST;
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn write(file: &mut File, bench: &Bench, what: &str) {
    let (begun, started) = (cpu(), Instant::now());
    file.write(&bench.memory, NOW).expect("the disk takes it");
    println!("writing {what}: {:.2?}, {:.2} s of CPU", started.elapsed(), cpu() - begun);
    report(file.settings(), "then");
}

fn report(settings: &file::Settings, when: &str) {
    // Not its length, which redb doubles when it needs more: what was never written takes nothing.
    let taken = std::fs::metadata(&settings.path).expect("the file").blocks() * 512;
    println!("the file takes {} MB {when}", taken >> 20);
}

/// One worker's sessions.
struct Bench {
    sessions: Sessions,
    memory: Arc<Memory>,
    patches: Vec<Change>,
}

impl Bench {
    fn new(memory: Memory) -> Self {
        let memory = Arc::new(memory);
        let ring = KeyRing::new(&[[7; 32]], "__Host-sid").expect("one long key");
        let settings = Settings { lifetimes: lifetimes(), guest_cookie: true, max_data: 64 * 1024, max_per_user: None };
        let counters = Arc::new(Counters::default());
        let sessions = Sessions::new(Store::Memory(Arc::clone(&memory)), Arc::new(ring), Arc::new(settings), counters);
        let patches = (0..ROUNDS).map(|round| change(None, u32::try_from(round).expect("a few"))).collect();
        Self { sessions, memory, patches }
    }

    fn log_everybody_in(&self) -> Vec<Signed> {
        (0..SESSIONS)
            .map(|number| {
                let visit = ready(self.sessions.open(None, true, NOW)).expect("memory does not fail");
                let change = change(Some(format!("user-{number:07}")), number);
                match ready(self.sessions.commit(&visit, &change, Answer::Private, NOW)).expect("there is room") {
                    Cookie::Set { ticket, .. } => ticket,
                    other => panic!("a login sets a cookie, and not {other:?}"),
                }
            })
            .collect()
    }

    /// Microseconds of CPU that the request path takes for a patch. Now and then it is time for a turn.
    fn patch(&self, tickets: &[Signed], round: usize, turn: impl Fn()) -> f64 {
        let begun = cpu();
        // A step that visits all of them, in no order that a cache could guess.
        let mut at = round * PATCHES;
        for patch in 0..PATCHES {
            if patch % PATCHES_IN_A_TURN == 0 {
                turn();
            }
            at = (at + 611_953) % tickets.len();
            let ticket = self.sessions.ticket(std::iter::once(&tickets[at].as_bytes()[..]), NOW);
            let visit = ready(self.sessions.open(ticket, true, NOW)).expect("memory does not fail");
            let cookie = ready(self.sessions.commit(&visit, &self.patches[round], Answer::Private, NOW));
            assert_eq!(cookie.expect("there is room"), Cookie::Keep);
        }
        each(cpu() - begun)
    }

    /// The same while the file is written in turns, and what those take for each, the last one included.
    fn patch_while_written(&self, tickets: &[Signed], round: usize, file: &mut File) -> (f64, f64) {
        let memory = &*self.memory;
        let (due, turns) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let writer = scope.spawn(move || {
                let begun = cpu();
                for () in turns {
                    file.write(memory, NOW).expect("the disk takes it");
                }
                file.write(memory, NOW).expect("the disk takes it");
                each(cpu() - begun)
            });
            let patch = self.patch(tickets, round, || due.send(()).expect("the writer waits for more"));
            drop(due);
            (patch, writer.join().expect("nobody panics"))
        })
    }
}

/// Microseconds for each patch of a round that took so many seconds.
fn each(seconds: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a few hundred thousand")]
    let patches = PATCHES as f64;
    seconds * 1e6 / patches
}

fn change(user: Option<String>, number: u32) -> Change {
    let frame = r#"{"cart":""}"#.len();
    let patch = format!(r#"{{"cart":"{number:0>width$}"}}"#, width = DATA_BYTES - frame);
    let edit =
        Edit { patch: Some(Patch::parse(patch.as_bytes()).expect("it is a JSON object")), persist: None, jar: None };
    Change { user: user.map(String::into_boxed_str), edit, ..Change::default() }
}

fn lifetimes() -> Lifetimes {
    let hours = |idle, lifetime| Limits { idle: Duration::from_hours(idle), lifetime: Duration::from_hours(lifetime) };
    Lifetimes {
        user: hours(1, 12),
        anonymous: hours(24, 168),
        persistent: hours(744, 744),
        renew_after: Duration::from_hours(1),
        touch_after: Duration::from_mins(1),
        tombstone: Duration::from_mins(1),
    }
}

/// Memory answers without waiting.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("the memory store never waits"),
    }
}

/// Seconds of CPU that this thread has taken.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0)).as_secs_f64()
}
