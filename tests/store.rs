//! What a store promises, asked of it directly.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use session_gateway::session::entry::Renewed;
use session_gateway::session::lifetime::Limits;
use session_gateway::session::{Edit, Entry, Lifetimes, Patch, PublicId, Secret, Session, StoreKey, UnixTime};
use session_gateway::store::{EditRules, Edited, Ended, Error, Memory, Replace, Replaced, Store, memory};

const NOW: UnixTime = UnixTime(1_800_000_000);
const RULES: EditRules = EditRules { birth: Some(UnixTime(0)), max_data: 1 << 16 };
const NO_BIRTH: EditRules = EditRules { birth: None, max_data: 1 << 16 };

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

fn store(max_sessions: usize, max_bytes: u64) -> Store {
    Store::Memory(Memory::new(memory::Settings { max_sessions, max_bytes }, lifetimes()))
}

fn memory(store: &Store) -> &Memory {
    let Store::Memory(memory) = store;
    memory
}

fn key() -> StoreKey {
    Secret::random().store_key()
}

fn patch(json: &str) -> Edit {
    Edit { patch: Some(Patch::parse(json.as_bytes()).expect("a patch")), persist: None }
}

fn of(user: &str, key: StoreKey, now: UnixTime) -> Session {
    Session { user: Some(user.into()), ..Session::new(key, now) }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

async fn born(store: &Store, key: &StoreKey, now: UnixTime) {
    assert!(matches!(store.edit(key, &patch(r#"{"a":1}"#), RULES, now).await, Ok(Edited::Born(_))));
}

async fn data(store: &Store, key: &StoreKey, now: UnixTime) -> Option<String> {
    match store.load(key, now).await.expect("memory does not fail") {
        Some(Entry::Live(session)) => Some(session.data.as_str().to_owned()),
        _ => None,
    }
}

#[test]
fn a_first_write_gives_birth_and_the_next_one_joins() {
    block_on(async {
        let (store, key) = (store(10, 1 << 20), key());
        born(&store, &key, NOW).await;
        assert!(matches!(store.edit(&key, &patch(r#"{"b":2}"#), RULES, NOW).await, Ok(Edited::Live(_))));
        assert_eq!(data(&store, &key, NOW).await.as_deref(), Some(r#"{"a":1,"b":2}"#));
    });
}

#[test]
fn nothing_is_born_of_an_edit_that_keeps_nothing_or_of_a_session_ticket() {
    block_on(async {
        let store = store(10, 1 << 20);
        for (edit, rules) in [
            (patch("{}"), RULES),
            (patch(r#"{"a":null}"#), RULES),
            (Edit { patch: None, persist: Some(true) }, RULES),
            (patch(r#"{"a":1}"#), NO_BIRTH),
        ] {
            assert!(matches!(store.edit(&key(), &edit, rules, NOW).await, Ok(Edited::Missing)));
        }
        assert_eq!(memory(&store).stats(), memory::Stats::default());
    });
}

#[test]
fn a_guest_joins_no_session_that_was_born_long_ago() {
    block_on(async {
        let (store, key) = (store(10, 1 << 20), key());
        born(&store, &key, NOW).await;
        let later = EditRules { birth: Some(UnixTime(NOW.0 + 1)), ..RULES };
        assert!(matches!(
            store.edit(&key, &patch(r#"{"b":2}"#), later, UnixTime(NOW.0 + 61)).await,
            Ok(Edited::NotTheirs)
        ));
        assert_eq!(data(&store, &key, NOW).await.as_deref(), Some(r#"{"a":1}"#));
    });
}

#[test]
fn an_emptied_session_is_gone() {
    block_on(async {
        let (store, key) = (store(10, 1 << 20), key());
        born(&store, &key, NOW).await;
        assert!(matches!(store.edit(&key, &patch(r#"{"a":null}"#), NO_BIRTH, NOW).await, Ok(Edited::Emptied)));
        assert!(store.load(&key, NOW).await.expect("memory does not fail").is_none());
        assert_eq!(memory(&store).stats(), memory::Stats::default());
    });
}

#[test]
fn data_over_its_limit_changes_nothing() {
    block_on(async {
        let (store, key) = (store(10, 1 << 20), key());
        born(&store, &key, NOW).await;
        let rules = EditRules { max_data: 20, ..NO_BIRTH };
        let edited = store.edit(&key, &patch(r#"{"b":"0123456789"}"#), rules, NOW).await;
        assert_eq!(edited.expect_err("22 bytes are too many"), Error::DataOverLimit { size: 24, limit: 20 });
        assert_eq!(data(&store, &key, NOW).await.as_deref(), Some(r#"{"a":1}"#));
    });
}

#[test]
fn ended_and_superseded_tickets_take_no_edit_until_they_are_forgotten() {
    block_on(async {
        let until = UnixTime(NOW.0 + 60);
        let (store, ended, left, new) = (store(10, 1 << 20), key(), key(), key());
        born(&store, &ended, NOW).await;
        born(&store, &left, NOW).await;
        assert!(matches!(store.end(&ended, false, until, NOW).await, Ok(Ended::Session(_))));
        let leave = Entry::Superseded { until };
        let step = Replace { old: &left, seen: Some(0), leave, new: &new, session: of("alice", new, NOW) };
        assert_eq!(store.replace(step, NOW).await, Ok(Replaced::Done));
        for dead in [&ended, &left] {
            assert!(matches!(store.edit(dead, &patch(r#"{"b":2}"#), RULES, NOW).await, Ok(Edited::Dead)));
            assert!(matches!(
                store.edit(dead, &patch(r#"{"b":2}"#), RULES, UnixTime(until.0 - 1)).await,
                Ok(Edited::Dead)
            ));
            assert!(matches!(store.edit(dead, &patch(r#"{"b":2}"#), NO_BIRTH, until).await, Ok(Edited::Missing)));
        }
    });
}

#[test]
fn a_session_moves_only_if_nobody_changed_it_meanwhile() {
    block_on(async {
        let (store, old, new) = (store(10, 1 << 20), key(), key());
        born(&store, &old, NOW).await;
        store.edit(&old, &patch(r#"{"b":2}"#), NO_BIRTH, NOW).await.expect("memory does not fail");
        let leave = Entry::Superseded { until: UnixTime(NOW.0 + 60) };
        let step = Replace { old: &old, seen: Some(0), leave, new: &new, session: of("alice", new, NOW) };
        assert_eq!(store.replace(step, NOW).await, Ok(Replaced::Changed));
        assert!(store.load(&new, NOW).await.expect("memory does not fail").is_none());
        assert!(store.by_user("alice", NOW).await.expect("memory does not fail").is_empty());
        assert_eq!(memory(&store).stats().live, 1);
    });
}

#[test]
fn sessions_are_found_by_user_and_by_id_wherever_they_moved() {
    block_on(async {
        let (store, first, second) = (store(10, 1 << 20), key(), key());
        let session = of("alice", first, NOW);
        let id = session.id;
        store.insert(&first, session.clone()).await.expect("there is room");
        store.insert(&key(), of("bob", key(), NOW)).await.expect("there is room");
        let step = Replace { old: &first, seen: Some(0), leave: Entry::Ended { until: NOW }, new: &second, session };
        assert_eq!(store.replace(step, NOW).await, Ok(Replaced::Done));
        let found = store.by_user("alice", NOW).await.expect("memory does not fail");
        assert_eq!(found.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [second]);
        assert_eq!(store.by_id(&id, NOW).await.expect("memory does not fail").map(|(key, _)| key), Some(second));
    });
}

#[test]
fn the_longest_idle_session_without_a_user_makes_room() {
    block_on(async {
        let (store, first, second, third) = (store(3, 1 << 20), key(), key(), key());
        store.insert(&key(), of("alice", key(), NOW)).await.expect("there is room");
        born(&store, &first, UnixTime(NOW.0 + 1)).await;
        born(&store, &second, UnixTime(NOW.0 + 2)).await;
        store.touch(&first, UnixTime(NOW.0 + 3)).await.expect("memory does not fail");
        born(&store, &third, UnixTime(NOW.0 + 4)).await;
        assert!(data(&store, &second, UnixTime(NOW.0 + 4)).await.is_none(), "the longest idle one goes");
        assert!(data(&store, &first, UnixTime(NOW.0 + 4)).await.is_some(), "one that was touched stays");
        assert_eq!((memory(&store).stats().live, memory(&store).stats().evicted), (3, 1));
    });
}

#[test]
fn sessions_with_a_user_are_never_evicted() {
    block_on(async {
        let store = store(2, 1 << 20);
        for user in ["alice", "bob"] {
            let key = key();
            store.insert(&key, of(user, key, NOW)).await.expect("there is room");
        }
        assert_eq!(store.edit(&key(), &patch(r#"{"a":1}"#), RULES, NOW).await.expect_err("it is full"), Error::Full);
        assert_eq!(store.insert(&key(), of("carol", key(), NOW)).await.expect_err("it is full"), Error::Full);
        assert_eq!(memory(&store).stats().live, 2);
        assert_eq!(store.by_user("alice", NOW).await.expect("memory does not fail").len(), 1);
    });
}

#[test]
fn a_full_store_still_renews_and_ends() {
    block_on(async {
        let (store, old, new) = (store(1, 1 << 20), key(), key());
        store.insert(&old, of("alice", old, NOW)).await.expect("there is room");
        let leave = Entry::Superseded { until: UnixTime(NOW.0 + 60) };
        let step = Replace { old: &old, seen: Some(0), leave, new: &new, session: of("alice", new, NOW) };
        assert_eq!(store.replace(step, NOW).await, Ok(Replaced::Done));
        assert_eq!(memory(&store).stats().live, 1);
        assert!(matches!(store.end(&new, false, UnixTime(NOW.0 + 60), NOW).await, Ok(Ended::Session(_))));
        assert_eq!((memory(&store).stats().live, memory(&store).stats().bytes), (0, 0));
    });
}

#[test]
fn bytes_are_bounded_too() {
    block_on(async {
        let store = store(1000, 20_000);
        let big = format!(r#"{{"a":"{}"}}"#, "x".repeat(5000));
        for minute in 0..20 {
            let now = UnixTime(NOW.0 + minute);
            store.edit(&key(), &patch(&big), RULES, now).await.expect("older ones make room");
        }
        let stats = memory(&store).stats();
        assert!(stats.bytes < 20_000 + 6000, "{stats:?}");
        assert_eq!(stats.live as u64 + stats.evicted, 20);
    });
}

#[test]
fn a_sweep_drops_what_has_expired_and_nothing_else() {
    block_on(async {
        let (store, user, guest, dead) = (store(10, 1 << 20), key(), key(), key());
        store.insert(&user, of("alice", user, NOW)).await.expect("there is room");
        born(&store, &guest, NOW).await;
        store.end(&dead, true, UnixTime(NOW.0 + 60), NOW).await.expect("memory does not fail");
        memory(&store).sweep(UnixTime(NOW.0 + 59));
        assert_eq!(memory(&store).stats().entries, 3);
        memory(&store).sweep(UnixTime(NOW.0 + 1800));
        let stats = memory(&store).stats();
        assert_eq!((stats.entries, stats.live, stats.expired), (1, 1, 1));
        assert!(data(&store, &guest, UnixTime(NOW.0 + 1800)).await.is_some());
    });
}

#[test]
fn guests_that_leave_do_not_fill_the_memory() {
    block_on(async {
        let (store, until) = (store(5, 1 << 20), UnixTime(NOW.0 + 60));
        for _ in 0..40 {
            assert!(matches!(store.end(&key(), true, until, NOW).await, Ok(Ended::Marked)));
            assert_eq!(store.bar(&key(), until, NOW).await, Ok(Replaced::Done));
        }
        assert_eq!(memory(&store).stats().entries, 5);
        for _ in 0..5 {
            born(&store, &key(), NOW).await;
        }
        assert_eq!(memory(&store).stats().live, 5, "what is dead takes no session's place");
        memory(&store).sweep(until);
        assert_eq!(memory(&store).stats().entries, 5);
        store.end(&key(), true, UnixTime(until.0 + 60), until).await.expect("memory does not fail");
        assert_eq!(memory(&store).stats().entries, 6, "once the dead are forgotten there is room for others");
    });
}

#[test]
fn a_session_moves_over_nothing_that_is_there() {
    block_on(async {
        let (store, old, new) = (store(10, 1 << 20), key(), key());
        born(&store, &old, NOW).await;
        store.insert(&new, of("bob", new, NOW)).await.expect("there is room");
        let leave = Entry::Superseded { until: UnixTime(NOW.0 + 60) };
        let step = Replace { old: &old, seen: Some(0), leave, new: &new, session: of("alice", new, NOW) };
        assert_eq!(store.replace(step, NOW).await, Ok(Replaced::Taken));
        assert_eq!(data(&store, &old, NOW).await.as_deref(), Some(r#"{"a":1}"#));
        assert_eq!(store.by_user("bob", NOW).await.expect("memory does not fail").len(), 1);
        assert_eq!(memory(&store).stats().live, 2);
    });
}

/// Eight threads write to one session, one moves it about as renewals do, all at once.
#[test]
fn parallel_edits_survive_while_the_session_moves() {
    let store = Arc::new(store(10, 1 << 20));
    let first = key();
    block_on(born(&store, &first, NOW));
    let place = Arc::new(Mutex::new(first));
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let (store, place) = (Arc::clone(&store), Arc::clone(&place));
            scope.spawn(move || {
                for write in 0..200 {
                    let edit = patch(&format!(r#"{{"w{writer}-{write}":1}}"#));
                    loop {
                        let at = *place.lock().expect("no writer panics");
                        match block_on(store.edit(&at, &edit, NO_BIRTH, NOW)).expect("memory does not fail") {
                            Edited::Live(_) => break,
                            Edited::Dead | Edited::Missing => std::thread::yield_now(),
                            other => panic!("{other:?}"),
                        }
                    }
                }
            });
        }
        let (store, place) = (Arc::clone(&store), Arc::clone(&place));
        scope.spawn(move || {
            let mut moved = 0;
            while moved < 100 {
                let old = *place.lock().expect("no writer panics");
                let Ok(Some(Entry::Live(session))) = block_on(store.load(&old, NOW)) else { panic!("it is live") };
                let new = key();
                let leave = Entry::Superseded { until: UnixTime(NOW.0 + 60) };
                let (seen, session) = (Some(session.version), Session::clone(&session));
                let step = Replace { old: &old, seen, leave, new: &new, session };
                if block_on(store.replace(step, NOW)) == Ok(Replaced::Done) {
                    *place.lock().expect("no writer panics") = new;
                    moved += 1;
                }
            }
        });
    });
    let at = *place.lock().expect("no writer panics");
    let text = block_on(data(&store, &at, NOW)).expect("it is live");
    let keys: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).expect("data is an object");
    assert_eq!(keys.len(), 1 + 8 * 200);
    assert_eq!(memory(&store).stats().live, 1);
}

/// Edits meet moves all the time: some come between a move's two steps, and the move is undone.
#[test]
fn a_session_is_found_by_its_id_whether_its_move_is_done_or_undone() {
    let (store, first) = (store(10, 1 << 20), key());
    let id = PublicId::from(first);
    let place = Mutex::new(first);
    let done = AtomicBool::new(false);
    block_on(store.insert(&first, of("alice", first, NOW))).expect("there is room");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            block_on(async {
                let edit = patch(r#"{"a":1}"#);
                while !done.load(Ordering::Relaxed) {
                    let at = *place.lock().expect("nobody panics");
                    store.edit(&at, &edit, NO_BIRTH, NOW).await.expect("memory does not fail");
                }
            });
        });
        block_on(async {
            for _ in 0..20_000 {
                let old = *place.lock().expect("nobody panics");
                let Ok(Some(Entry::Live(session))) = store.load(&old, NOW).await else { panic!("it is live") };
                let new = key();
                let leave = Entry::Superseded { until: NOW };
                let (seen, session) = (Some(session.version), Session::clone(&session));
                let step = Replace { old: &old, seen, leave, new: &new, session };
                let at = match store.replace(step, NOW).await {
                    Ok(Replaced::Done) => new,
                    Ok(Replaced::Changed) => old,
                    other => panic!("{other:?}"),
                };
                let found = store.by_id(&id, NOW).await.expect("memory does not fail");
                done.store(found.is_none(), Ordering::Relaxed);
                assert_eq!(found.map(|(key, _)| key), Some(at));
                *place.lock().expect("nobody panics") = at;
            }
        });
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(memory(&store).stats().live, 1);
}

/// Somebody looks all the time, and meets a move or two in every look.
#[test]
fn a_session_is_found_by_its_id_and_by_its_user_while_renewals_move_it() {
    let (store, first) = (store(10, 1 << 20), key());
    let id = PublicId::from(first);
    let (looks, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    block_on(store.insert(&first, of("alice", first, NOW))).expect("there is room");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            block_on(async {
                let (mut at, mut looked) = (first, 0);
                while !done.load(Ordering::Relaxed) {
                    let Ok(Some(Entry::Live(session))) = store.load(&at, NOW).await else { panic!("it is live") };
                    let (new, seen) = (key(), Some(session.version));
                    let renewed = Renewed { to: new, issued_at: NOW, until: UnixTime(NOW.0 + 300) };
                    let leave = Entry::Renewed(Box::new(renewed));
                    let step = Replace { old: &at, seen, leave, new: &new, session: Session::clone(&session) };
                    assert_eq!(store.replace(step, NOW).await, Ok(Replaced::Done));
                    at = new;
                    while looks.load(Ordering::Relaxed) == looked && !done.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                    looked = looks.load(Ordering::Relaxed);
                }
            });
        });
        let missed = block_on(async {
            let mut missed = (0, 0);
            for _ in 0..200_000 {
                missed.0 += u32::from(store.by_id(&id, NOW).await.expect("memory does not fail").is_none());
                looks.fetch_add(1, Ordering::Relaxed);
                missed.1 += u32::from(store.by_user("alice", NOW).await.expect("memory does not fail").is_empty());
                looks.fetch_add(1, Ordering::Relaxed);
            }
            missed
        });
        done.store(true, Ordering::Relaxed);
        assert_eq!(missed, (0, 0), "looks by id and by user that found nothing");
    });
}
