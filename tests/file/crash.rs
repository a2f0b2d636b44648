//! A gateway that is killed, again and again, while its sessions change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::support::wire::{Framing, Wire};
use crate::support::*;

const KILLS: usize = 50;
const CLIENTS: usize = 4;
const VISITORS: usize = 12;
const SYNC: Duration = Duration::from_millis(100);

/// What a visitor's session is after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// There is none.
    Out,
    /// It has this user and number. Whoever was killed before the answer came does not know its ticket.
    In { ticket: Option<String>, user: String, number: u64 },
}

/// Somebody who does one thing after the other, and remembers when each was acknowledged.
struct Visitor {
    name: usize,
    logins: u64,
    acknowledged: Vec<(SystemTime, State)>,
    /// What was asked for and not acknowledged.
    pending: Option<State>,
}

impl Visitor {
    fn state(&self) -> &State {
        &self.acknowledged.last().expect("one at least").1
    }

    /// Asks for something, and waits for the answer. Whether it came.
    fn act(&mut self, wire: &mut Wire, random: &mut Random) -> bool {
        let login = |logins: u64| State::In { ticket: None, user: format!("{}-{logins}", self.name), number: 0 };
        let number = |number: u64| format!(r#"{{"n":{number}}}"#);
        let (asks, mut next) = match self.state() {
            State::Out => {
                (vec![("User", format!("{}-{}", self.name, self.logins)), ("Patch", number(0))], login(self.logins))
            }
            State::In { ticket, user, number: n } => match random.below(10) {
                0 => (vec![("End", "this".to_owned())], State::Out),
                1 => {
                    let next = State::In { ticket: None, user: user.clone(), number: *n };
                    (vec![("Renew", "true".to_owned())], next)
                }
                2 => {
                    (vec![("User", format!("{}-{}", self.name, self.logins)), ("Patch", number(0))], login(self.logins))
                }
                _ => {
                    let next = State::In { ticket: ticket.clone(), user: user.clone(), number: n + 1 };
                    (vec![("Patch", number(n + 1))], next)
                }
            },
        };
        self.logins += 1;
        let ticket = if let State::In { ticket, .. } = self.state() { ticket.clone() } else { None };
        self.pending = Some(next.clone());
        let Some((_, cookies)) = exchange(wire, ticket.as_deref(), &asks) else { return false };
        if let Some(set) = cookies.into_iter().find(|cookie| cookie.name == COOKIE && !cookie.is_deletion())
            && let State::In { ticket, .. } = &mut next
        {
            *ticket = Some(set.value);
        }
        assert!(!matches!(next, State::In { ticket: None, .. }), "a login sets a cookie");
        self.acknowledged.push((SystemTime::now(), next));
        self.pending = None;
        true
    }

    /// Compares what is there with what may be: the state of some moment that is not before `safe`. What is there then.
    fn check(&mut self, wire: &mut Wire, safe: SystemTime) -> Result<usize, String> {
        let first = self.acknowledged.iter().rposition(|(at, _)| *at <= safe).unwrap_or(0);
        let latest = self.acknowledged.last().expect("one at least").0;
        self.acknowledged.extend(self.pending.take().map(|state| (latest, state)));
        // Older tickets too: they have been dead for so long that nothing may bring them back.
        let known = &self.acknowledged[first.saturating_sub(5)..];
        let mut tickets: Vec<&String> = known
            .iter()
            .filter_map(|(_, state)| if let State::In { ticket, .. } = state { ticket.as_ref() } else { None })
            .collect();
        tickets.sort();
        tickets.dedup();
        let mut live = Vec::new();
        for ticket in tickets {
            let (seen, _) = exchange(wire, Some(ticket), &[]).expect("it runs");
            if let Some((user, data)) = seen.split_once('|').filter(|(user, _)| !user.is_empty()) {
                let data: serde_json::Value = serde_json::from_str(data).expect("JSON");
                let number = data["n"].as_u64().expect("a number");
                live.push(State::In { ticket: Some(ticket.clone()), user: user.to_owned(), number });
            }
        }
        let fits = |state: &State| match state {
            State::Out | State::In { ticket: None, .. } => live.is_empty(),
            State::In { .. } => live == [state.clone()],
        };
        let Some(found) = self.acknowledged.iter().rposition(|(_, state)| fits(state)).filter(|found| *found >= first)
        else {
            let may_be = &self.acknowledged[first..];
            let (oldest, newest) = (&may_be[0].1, &may_be[may_be.len() - 1].1);
            return Err(format!("live: {live:?}\nof {} states from {oldest:?}\nto {newest:?}", may_be.len()));
        };
        let lost = self.acknowledged.len() - 1 - found;
        let state = match self.acknowledged.swap_remove(found).1 {
            State::In { ticket: None, .. } => State::Out,
            state => state,
        };
        self.acknowledged.truncate(found);
        let keep = self.acknowledged.len().saturating_sub(5);
        self.acknowledged.drain(..keep);
        self.acknowledged.push((SystemTime::now(), state));
        Ok(lost)
    }
}

/// One request on a connection that is kept: the body of its answer, and the cookies. None where the gateway has gone.
fn exchange(wire: &mut Wire, ticket: Option<&str>, asks: &[(&str, String)]) -> Option<(String, Vec<SetCookie>)> {
    let mut head = "GET / HTTP/1.1\r\nHost: localhost\r\n".to_owned();
    for (name, value) in asks {
        head.extend(["Ask-", name, ": ", value, "\r\n"]);
    }
    if let Some(ticket) = ticket {
        head.extend(["Cookie: ", COOKIE, "=", ticket, "\r\n"]);
    }
    head.push_str("\r\n");
    wire.send(head.as_bytes());
    let head = wire.head().expect("an answer in time")?;
    assert_eq!(head.status(), 200, "{head:?}");
    let Framing::Length(length) = head.response_body("GET") else { panic!("a body of some length: {head:?}") };
    let body = wire.body(Framing::Length(length)).expect("a body in time");
    let cookies = head.fields.all("set-cookie").into_iter().map(SetCookie::read).collect();
    body.complete.then(|| (String::from_utf8_lossy(&body.bytes).into_owned(), cookies))
}

/// Answers every request with what it asks for, and with what it was told of the session.
fn obedient(backend: &Backend, done: &AtomicBool) {
    while !done.load(Ordering::Relaxed) {
        let Some(exchange) = backend.next_within(Duration::from_millis(100)) else { continue };
        let told = |name| exchange.session(name).unwrap_or_default();
        let mut reply = ok().body(format!("{}|{}", told("User"), told("Data")));
        for name in ["User", "Patch", "End", "Renew"] {
            if let Some(value) = exchange.header(&format!("Ask-{name}")) {
                reply = reply.session(name, value);
            }
        }
        exchange.reply(reply);
    }
}

/// From when on the gateway had written nothing, as its log says; `born` where it had written nothing at all.
fn written_until(log: &str, born: SystemTime) -> SystemTime {
    let Some(line) = log.lines().rfind(|line| line.contains("the session file has everything")) else { return born };
    let (_, as_of) = line.rsplit_once("as_of=").unwrap_or_else(|| panic!("no moment: {line}"));
    let as_of: jiff::Timestamp = as_of.trim().parse().unwrap_or_else(|_| panic!("no time: {line}"));
    as_of.into()
}

struct Random(u64);

impl Random {
    /// xorshift64*: enough to choose by, and the same again from the same seed.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}

fn seed() -> u64 {
    match std::env::var("SEED") {
        Ok(seed) => seed.parse().expect("SEED is a number"),
        Err(_) => {
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |time| u64::from(time.subsec_nanos()))
                | 1
        }
    }
}

/// What was acknowledged before the moment that was written last is there, and nothing that was over then: no change is
/// missing, no logout undone, no ticket live beside the one that replaced it. And that moment is no longer ago than
/// `sync`.
#[test]
fn a_crash_loses_no_more_than_the_last_moment_and_brings_nothing_back() {
    let seed = seed();
    let mut random = Random(seed);
    let dir = Arc::new(tempfile::tempdir().expect("a temporary directory"));
    let backend = Backend::start();
    let store = format!("file = \"sessions.redb\"\nsync = \"{}ms\"", SYNC.as_millis());
    let setup = Site::build().store(&store).servers(&[backend.server()]);
    let start = || Process::start_in(&dir, &setup, "access = \"off\"\nlevel = \"session_gateway=debug\"");
    let over = Arc::new(AtomicBool::new(false));
    let answering = thread::spawn({
        let over = Arc::clone(&over);
        move || obedient(&backend, &over)
    });
    let begun = SystemTime::now();
    let mut visitors: Vec<Visitor> = (0..VISITORS)
        .map(|name| Visitor { name, logins: 0, acknowledged: vec![(begun, State::Out)], pending: None })
        .collect();
    let (mut changes, mut lost, mut behind) = (0, 0, Vec::new());
    for kill in 0..KILLS {
        let (life, born) = (Duration::from_millis(150 + random.below(400)), SystemTime::now());
        let process = start();
        let door = process.door();
        let (killed_at, log) = thread::scope(|scope| {
            for group in visitors.chunks_mut(VISITORS / CLIENTS) {
                let (door, mut random) = (&door, Random(random.below(1 << 30) << 1 | 1));
                scope.spawn(move || {
                    let mut wire = door.open();
                    for visitor in (0..group.len()).cycle() {
                        if !group[visitor].act(&mut wire, &mut random) {
                            break;
                        }
                    }
                });
            }
            thread::sleep(life);
            (SystemTime::now(), process.kill())
        });
        let written = written_until(&log, born);
        behind.push(killed_at.duration_since(written).unwrap_or_default());
        let process = start();
        let mut wire = process.door().open();
        for visitor in &mut visitors {
            changes += visitor.acknowledged.iter().filter(|(at, _)| *at > born).count();
            match visitor.check(&mut wire, written) {
                Ok(missing) => lost += missing,
                Err(difference) => panic!("after kill {kill}, {life:?} after its start, SEED={seed}: {difference}"),
            }
        }
        process.kill();
    }
    over.store(true, Ordering::Relaxed);
    answering.join().expect("nobody panics");
    behind.sort();
    let [median, worst] = [behind[KILLS / 2], behind[KILLS - 1]];
    println!("{KILLS} kills, {changes} changes, {lost} lost; the file was {median:.1?} behind, {worst:.1?} at worst");
    // Not each of them: the writer is a thread that a busy machine lets wait, on a disk that others write to.
    assert!(median <= SYNC, "the file should be written once in {SYNC:?}: {behind:?}");
    assert!(changes > 50 * KILLS && lost > 0, "the kills came at the wrong moments: SEED={seed}");
}
