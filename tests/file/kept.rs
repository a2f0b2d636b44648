//! What a file keeps of a memory, asked directly.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use session_gateway::session::entry::Renewed;
use session_gateway::session::lifetime::Limits;
use session_gateway::session::{Edit, Entry, Lifetimes, Patch, Secret, Session, StoreKey, UnixTime};
use session_gateway::store::file::{self, File, Found};
use session_gateway::store::{EditRules, Edited, Ended, Memory, Replace, Replaced, Store, memory};
use tempfile::TempDir;

const NOW: UnixTime = UnixTime(1_800_000_000);
const RULES: EditRules = EditRules { birth: Some(NOW), max_data: 1 << 20 };
const BOUNDS: memory::Settings = memory::Settings { max_sessions: 100_000, max_bytes: 1 << 40 };

fn lifetimes() -> Lifetimes {
    let limits = |idle, lifetime| Limits { idle: Duration::from_secs(idle), lifetime: Duration::from_secs(lifetime) };
    Lifetimes {
        user: limits(1800, 43_200),
        anonymous: limits(86_400, 604_800),
        persistent: limits(2_678_400, 2_678_400),
        renew_after: Duration::from_hours(1),
        touch_after: Duration::from_mins(1),
        tombstone: Duration::from_mins(1),
    }
}

/// A store and its file.
struct Kept {
    store: Store,
    memory: Arc<Memory>,
    file: File,
    found: Found,
}

impl Kept {
    fn open(path: &Path, now: UnixTime) -> Self {
        Self::open_within(path, &BOUNDS, now)
    }

    fn open_within(path: &Path, bounds: &memory::Settings, now: UnixTime) -> Self {
        let settings = file::Settings { path: path.into(), sync: Duration::from_secs(1) };
        let filled = file::open(&settings, bounds, &lifetimes(), now).expect("a file that can be used");
        let memory = Arc::new(filled.memory);
        Self { store: Store::Memory(Arc::clone(&memory)), memory, file: filled.file, found: filled.found }
    }

    fn write(&mut self) {
        self.file.write(&self.memory, NOW).expect("the disk takes it");
    }

    fn finish(self) {
        self.file.finish(&self.memory, NOW).expect("the disk takes it");
    }

    /// As a crash now would leave it.
    fn after_crash(path: &Path, now: UnixTime) -> Self {
        let copy = path.with_extension("crashed");
        fs::copy(path, &copy).expect("room for a copy");
        Self::open(&copy, now)
    }

    fn load(&self, key: &StoreKey, now: UnixTime) -> Option<Entry> {
        block_on(self.store.load(key, now)).expect("memory does not fail")
    }

    fn data(&self, key: &StoreKey) -> Option<String> {
        match self.load(key, NOW) {
            Some(Entry::Live(session)) => Some(session.data.as_str().to_owned()),
            _ => None,
        }
    }

    fn insert(&self, key: &StoreKey, session: Session) {
        block_on(self.store.insert(key, session)).expect("there is room");
    }

    fn edit(&self, key: &StoreKey, json: &str) -> Edited {
        block_on(self.store.edit(key, &patch(json), RULES, NOW)).expect("memory does not fail")
    }

    fn replace(&self, old: &StoreKey, leave: Entry, new: &StoreKey) {
        let Some(Entry::Live(session)) = self.load(old, NOW) else { panic!("it is live") };
        let (seen, session) = (Some(session.version), Session::clone(&session));
        let step = Replace { old, seen, leave, new, session };
        assert_eq!(block_on(self.store.replace(step, NOW)), Ok(Replaced::Done));
    }

    fn end(&self, key: &StoreKey) {
        let until = UnixTime(NOW.0 + 60);
        assert!(matches!(block_on(self.store.end(key, false, until, NOW)), Ok(Ended::Session(_))));
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

fn key() -> StoreKey {
    Secret::random().store_key()
}

fn patch(json: &str) -> Edit {
    Edit { patch: Some(Patch::parse(json.as_bytes()).expect("a patch")), persist: None, jar: None }
}

fn of(user: &str, key: StoreKey) -> Session {
    Session { user: Some(user.into()), ..Session::new(key, NOW) }
}

fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("sessions.redb");
    (dir, path)
}

#[test]
fn entries_of_every_kind_come_back_as_they_were() {
    let (_dir, path) = place();
    let mut kept = Kept::open(&path, NOW);
    let [user, guest, old, new, left, login, ended] = [(); 7].map(|()| key());
    kept.insert(&user, Session { persistent: true, version: 7, ..of("j\u{f6}rg", user) });
    assert!(matches!(kept.edit(&user, r#"{"cart":["a","\u00e9"],"n":1e400}"#), Edited::Live(_)));
    assert!(matches!(kept.edit(&guest, r#"{"a":1}"#), Edited::Born(_)));
    kept.insert(&old, of("alice", old));
    let renewed = Renewed { to: new, issued_at: NOW, until: UnixTime(NOW.0 + 300) };
    kept.replace(&old, Entry::Renewed(Box::new(renewed)), &new);
    kept.insert(&left, of("bob", left));
    kept.replace(&left, Entry::Superseded { until: UnixTime(NOW.0 + 60) }, &login);
    kept.insert(&ended, of("carol", ended));
    kept.end(&ended);
    kept.write();

    let again = Kept::after_crash(&path, NOW);
    assert_eq!(again.found, Found { kept: 7, ..Found::default() });
    for key in [&user, &guest, &new, &login] {
        let (Some(Entry::Live(before)), Some(Entry::Live(after))) = (kept.load(key, NOW), again.load(key, NOW)) else {
            panic!("it is live");
        };
        assert!(before == after, "{before:?} {after:?}");
    }
    assert!(matches!(again.load(&old, NOW), Some(Entry::Renewed(back)) if *back == renewed));
    assert!(matches!(again.load(&left, NOW), Some(Entry::Superseded { until }) if until.0 == NOW.0 + 60));
    assert!(matches!(again.load(&ended, NOW), Some(Entry::Ended { until }) if until.0 == NOW.0 + 60));
    let users = |user: &str| block_on(again.store.by_user(user, NOW)).expect("memory does not fail").len();
    assert_eq!(["j\u{f6}rg", "alice", "bob", "carol"].map(users), [1, 1, 1, 0]);
}

#[test]
fn what_was_seen_and_settled_comes_back_too() {
    let (_dir, path) = place();
    let mut kept = Kept::open(&path, NOW);
    let (old, new, later) = (key(), key(), UnixTime(NOW.0 + 600));
    kept.insert(&old, of("alice", old));
    let renewed = Renewed { to: new, issued_at: NOW, until: UnixTime(NOW.0 + 300) };
    kept.replace(&old, Entry::Renewed(Box::new(renewed)), &new);
    kept.write();
    block_on(kept.store.touch(&new, later)).expect("memory does not fail");
    block_on(kept.store.settle(&new, &old, UnixTime(NOW.0 + 10))).expect("memory does not fail");
    kept.write();
    let again = Kept::after_crash(&path, NOW);
    assert!(matches!(again.load(&new, NOW), Some(Entry::Live(session)) if session.last_seen == later));
    assert!(matches!(again.load(&old, NOW), Some(Entry::Renewed(back)) if back.until.0 == NOW.0 + 10));
}

#[test]
fn what_went_does_not_come_back() {
    let (_dir, path) = place();
    let mut kept = Kept::open(&path, NOW);
    let (emptied, expired, stays, late) = (key(), key(), key(), UnixTime(NOW.0 + 3600));
    for key in [&emptied, &stays] {
        assert!(matches!(kept.edit(key, r#"{"a":1}"#), Edited::Born(_)));
    }
    kept.insert(&expired, of("alice", expired));
    kept.write();
    assert!(matches!(kept.edit(&emptied, r#"{"a":null}"#), Edited::Emptied));
    kept.memory.sweep(late);
    kept.finish();
    // Even where the clock has gone back, or sessions are to live longer now.
    let again = Kept::open(&path, NOW);
    assert_eq!(again.found, Found { kept: 1, ..Found::default() });
    assert!(again.data(&stays).is_some());
}

#[test]
fn what_expired_meanwhile_is_dropped_for_good() {
    let (_dir, path) = place();
    let kept = Kept::open(&path, NOW);
    let (alice, guest) = (key(), key());
    kept.insert(&alice, of("alice", alice));
    assert!(matches!(kept.edit(&guest, r#"{"a":1}"#), Edited::Born(_)));
    kept.finish();
    let late = Kept::open(&path, UnixTime(NOW.0 + 3600));
    assert_eq!(late.found, Found { kept: 1, expired: 1, ..Found::default() });
    assert_eq!(late.memory.stats().live, 1);
    late.finish();
    let again = Kept::open(&path, NOW);
    assert_eq!(again.found, Found { kept: 1, ..Found::default() });
}

#[test]
fn of_too_many_those_come_back_that_would_not_have_been_evicted() {
    let (_dir, path) = place();
    let kept = Kept::open(&path, NOW);
    let guests: Vec<StoreKey> = (0..20).map(|_| key()).collect();
    for (index, key) in guests.iter().enumerate() {
        assert!(matches!(kept.edit(key, r#"{"a":1}"#), Edited::Born(_)));
        // Neither the order in which they came nor that of their keys.
        block_on(kept.store.touch(key, UnixTime(NOW.0 + (index as u64 * 7) % 20))).expect("memory does not fail");
    }
    let users: Vec<StoreKey> = (0..5).map(|_| key()).collect();
    for key in &users {
        kept.insert(key, of("alice", *key));
    }
    kept.finish();
    let bounds = memory::Settings { max_sessions: 10, ..BOUNDS };
    let again = Kept::open_within(&path, &bounds, NOW);
    assert_eq!(again.found, Found { kept: 10, dropped: 15, ..Found::default() });
    assert!(users.iter().all(|key| again.data(key).is_some()), "those with a user stay");
    for (index, key) in guests.iter().enumerate() {
        assert_eq!(again.data(key).is_some(), (index * 7) % 20 >= 15, "the longest idle go");
    }
    again.finish();
    assert_eq!(Kept::open(&path, NOW).found, Found { kept: 10, ..Found::default() }, "what was dropped is gone");

    let bounds = memory::Settings { max_sessions: 3, ..BOUNDS };
    let again = Kept::open_within(&path, &bounds, NOW);
    assert_eq!((again.found.kept, again.found.dropped), (3, 7));
    drop(again);
    let bounds = memory::Settings { max_bytes: 1000, ..BOUNDS };
    let again = Kept::open_within(&path, &bounds, NOW);
    assert!(again.memory.stats().bytes <= 1000 && again.memory.stats().live >= 2, "{:?}", again.memory.stats());
}

/// Some sessions change all the time, most never do, some go: the file has them all, and does not grow with the
/// changes.
#[test]
fn a_file_grows_with_what_is_in_it_and_not_with_how_often_it_changed() {
    let (_dir, path) = place();
    let mut kept = Kept::open(&path, NOW);
    let filling = "x".repeat(1000);
    let keys: Vec<StoreKey> = (0..2000).map(|_| key()).collect();
    let set = |kept: &Kept, index: usize, round: usize| {
        let json = format!(r#"{{"n":{round},"filling":"{filling}"}}"#);
        assert!(matches!(kept.edit(&keys[index], &json), Edited::Live(_) | Edited::Born(_)));
    };
    for index in 0..keys.len() {
        set(&kept, index, 0);
    }
    kept.write();
    for round in 1..=400 {
        for index in 0..100 {
            set(&kept, (index * 7 + round) % 500, round);
        }
        if round % 20 == 0 {
            assert!(matches!(kept.edit(&keys[1000 + round], r#"{"n":null,"filling":null}"#), Edited::Emptied));
        }
        kept.write();
    }
    let expected: Vec<_> = keys.iter().map(|key| kept.data(key)).collect();
    // 2 MB live, 40 MB written.
    let length = fs::metadata(&path).expect("the file").len();
    assert!(length < 24 << 20, "{length} bytes for 2 MB of sessions");
    let again = Kept::after_crash(&path, NOW);
    assert_eq!(keys.iter().map(|key| again.data(key)).collect::<Vec<_>>(), expected);
    let stats = kept.memory.file_stats().expect("it has a file");
    assert!(stats.records < 2 * (2000 + 400 * 100), "{stats:?}: too much is written again");
    kept.finish();
    let again = Kept::open(&path, NOW);
    assert_eq!(keys.iter().map(|key| again.data(key)).collect::<Vec<_>>(), expected);
}

/// Sessions move all the time, as logins and renewals do. Whenever a crash comes, each is live under one key: under
/// two, a logout would not end it; under none, somebody is logged out.
#[test]
fn no_step_over_two_keys_is_ever_torn() {
    const MOVERS: usize = 3;
    let (_dir, path) = place();
    let mut kept = Kept::open(&path, NOW);
    let firsts: Vec<StoreKey> = (0..MOVERS).map(|_| key()).collect();
    for (mover, key) in firsts.iter().enumerate() {
        kept.insert(key, of(&format!("user-{mover}"), *key));
    }
    kept.write();
    let (turns, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let Kept { store, memory, mut file, .. } = kept;
    std::thread::scope(|scope| {
        for first in &firsts {
            let (store, turns, done) = (&store, &turns, &done);
            scope.spawn(move || {
                let (mut old, mut moves) = (*first, 0);
                while !done.load(Ordering::Relaxed) {
                    // Without end within a turn, the memory would fill with what the sessions leave behind.
                    if moves / 2000 > turns.load(Ordering::Relaxed) {
                        std::thread::yield_now();
                        continue;
                    }
                    moves += 1;
                    let new = key();
                    let Ok(Some(Entry::Live(session))) = block_on(store.load(&old, NOW)) else { panic!("it is live") };
                    let (seen, session) = (Some(session.version), Session::clone(&session));
                    let leave = Entry::Superseded { until: UnixTime(NOW.0 + 60) };
                    let step = Replace { old: &old, seen, leave, new: &new, session };
                    assert_eq!(block_on(store.replace(step, NOW)), Ok(Replaced::Done));
                    old = new;
                }
            });
        }
        for turn in 0..30 {
            turns.store(turn, Ordering::Relaxed);
            file.write(&memory, NOW).expect("the disk takes it");
            let copy = path.with_extension("crashed");
            fs::copy(&path, &copy).expect("room for a copy");
            let again = Kept::open(&copy, NOW);
            for mover in 0..MOVERS {
                let found = block_on(again.store.by_user(&format!("user-{mover}"), NOW)).expect("memory does not fail");
                if found.len() != 1 {
                    done.store(true, Ordering::Relaxed);
                }
                assert_eq!(found.len(), 1, "live tickets of one session after turn {turn}");
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn what_is_in_the_file_leads_to_no_ticket() {
    let (_dir, path) = place();
    let kept = Kept::open(&path, NOW);
    let secret = Secret::from([0x5a; 32]);
    kept.insert(&secret.store_key(), of("alice", secret.store_key()));
    kept.finish();
    let bytes = fs::read(&path).expect("the file");
    let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    assert!(holds(b"alice") && holds(secret.store_key().as_bytes()), "the test looks at the wrong file");
    assert!(!holds(&[0x5a; 8]));
}

#[test]
fn nobody_else_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let (_dir, path) = place();
    Kept::open(&path, NOW).finish();
    assert_eq!(fs::metadata(&path).expect("the file").permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_file_that_is_gone_when_it_is_closed_is_made_anew_with_everything() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("sessions.redb");
    let (old, new) = (key(), key());
    let mut kept = Kept::open(&path, NOW);
    kept.edit(&old, r#"{"old":1}"#);
    kept.write();
    fs::remove_file(&path).expect("it was there");
    kept.edit(&new, r#"{"new":1}"#);
    kept.finish();
    let again = Kept::open(&path, NOW);
    assert_eq!(again.found.kept, 2);
    assert_eq!(
        [again.data(&old), again.data(&new)],
        [r#"{"old":1}"#, r#"{"new":1}"#].map(|data| Some(data.to_owned()))
    );
}
