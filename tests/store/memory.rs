//! What the memory store promises besides: its bounds, and what it does when it is full.

use std::sync::Arc;

use session_gateway::session::{Entry, UnixTime};
use session_gateway::store::{Ended, Error, Memory, Replace, Replaced, Store, memory};

use super::stand::*;

fn store(max_sessions: usize, max_bytes: u64) -> Store {
    Store::Memory(Arc::new(Memory::new(memory::Settings { max_sessions, max_bytes }, lifetimes())))
}

fn memory(store: &Store) -> &Memory {
    let Store::Memory(memory) = store else { panic!("it is in memory") };
    memory
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
