//! What the Redis store promises besides: what stands in Redis, and what it makes of what others put there.

use session_gateway::session::{Entry, PublicId, Session, StoreKey};
use session_gateway::store::record::Flaw;
use session_gateway::store::{Edited, Ended, Error, Outage, Redis, Replace, Replaced, Store};

use super::stand::*;

fn entry_key(key: &StoreKey) -> String {
    format!("sgw:s:{}", PublicId::from(*key))
}

fn stats(store: &Store) -> session_gateway::store::redis::Stats {
    let Store::Redis(redis) = store else { panic!("it is a Redis") };
    redis.stats()
}

/// Every question about one key.
async fn ask_all(store: &Store, key: &StoreKey) -> Vec<Result<(), Error>> {
    let leave = Entry::Superseded { until: at(60) };
    let new = stand_key();
    let step = Replace { old: key, seen: Some(0), leave: leave.clone(), new: &new, session: Session::new(new, NOW) };
    let onto = Replace { old: &new, seen: None, leave, new: key, session: Session::new(*key, NOW) };
    vec![
        store.load(key, NOW).await.map(drop),
        store.edit(key, &patch(r#"{"b":2}"#), RULES, NOW).await.map(drop),
        store.touch(key, at(10)).await,
        store.settle(key, &new, at(10)).await,
        store.replace(step, NOW).await.map(drop),
        store.replace(onto, NOW).await.map(drop),
        store.bar(key, at(60), NOW).await.map(drop),
        store.end(key, true, at(60), NOW).await.map(drop),
        store.by_id(&PublicId::from(*key), NOW).await.map(drop),
    ]
}

fn stand_key() -> StoreKey {
    key()
}

#[test]
fn a_record_that_cannot_be_read_is_one_clear_error_and_is_left_as_it_is() {
    let stand = Stand::redis();
    let server = stand.server();
    block_on(async {
        let store = stand.worker();
        for (field, value, flaw) in [
            ("m", "2 live and more", Flaw::Meta),
            ("m", "1 live", Flaw::Meta),
            ("m", "", Flaw::Meta),
            ("m", "1 renewed x y z", Flaw::Meta),
        ] {
            let key = key();
            born(&store, &key, NOW).await;
            server.ask::<()>(&[b"HSET", entry_key(&key).as_bytes(), field.as_bytes(), value.as_bytes()]);
            let before: Vec<(String, String)> = server.ask(&[b"HGETALL", entry_key(&key).as_bytes()]);
            for (question, answer) in ask_all(&store, &key).await.into_iter().enumerate() {
                assert_eq!(answer, Err(Error::Unreadable(flaw)), "question {question} about {value:?}");
            }
            assert_eq!(server.ask::<Vec<(String, String)>>(&[b"HGETALL", entry_key(&key).as_bytes()]), before);
        }
        let counted = stats(&store);
        assert_eq!((counted.unreadable, counted.failures), (4 * 9, 0));
    });
}

#[test]
fn another_type_under_our_key_is_one_clear_error() {
    let stand = Stand::redis();
    let server = stand.server();
    block_on(async {
        let store = stand.worker();
        for put in [&[&b"SET"[..], b"KEY", b"x"][..], &[b"SADD", b"KEY", b"x"], &[b"RPUSH", b"KEY", b"x"]] {
            let key = key();
            let name = entry_key(&key);
            let put: Vec<&[u8]> =
                put.iter().map(|word| if *word == b"KEY" { name.as_bytes() } else { *word }).collect();
            server.ask::<()>(&put);
            for (question, answer) in ask_all(&store, &key).await.into_iter().enumerate() {
                assert_eq!(answer, Err(Error::Unreadable(Flaw::Type)), "question {question}");
            }
        }
        // A hash of somebody else's.
        let key = key();
        server.ask::<()>(&[b"HSET", entry_key(&key).as_bytes(), b"name", b"value"]);
        for (question, answer) in ask_all(&store, &key).await.into_iter().enumerate() {
            assert_eq!(answer, Err(Error::Unreadable(Flaw::Meta)), "question {question}");
        }
    });
}

#[test]
fn damaged_data_is_an_error_of_that_session_alone() {
    let stand = Stand::redis();
    let server = stand.server();
    block_on(async {
        let store = stand.worker();
        let (good, mut bad) = (key(), Vec::new());
        store.insert(&good, of("alice", good, NOW)).await.unwrap();
        for (field, value, flaw) in [
            (&b"d:b"[..], &b"1,\"x\":2"[..], Flaw::Data),
            (b"d:b", b"\xff", Flaw::Data),
            (b"d:\"", b"1", Flaw::Data),
            (b"u", b"\xff", Flaw::User),
        ] {
            let key = key();
            store.insert(&key, of("alice", key, NOW)).await.unwrap();
            server.ask::<()>(&[b"HSET", entry_key(&key).as_bytes(), field, value]);
            assert_eq!(store.load(&key, NOW).await.map(drop), Err(Error::Unreadable(flaw)));
            bad.push(key);
        }
        assert_eq!(keys_of(&store, "alice", NOW).await, [good], "the others are found all the same");
        for key in bad {
            assert!(store.end(&key, false, at(60), NOW).await.is_err(), "it cannot be told what ended");
            assert!(matches!(store.load(&key, NOW).await, Ok(Some(Entry::Ended { .. }))), "and it has");
        }
    });
}

#[test]
fn nothing_is_stored_without_a_time_to_live() {
    let stand = Stand::redis();
    let server = stand.server();
    block_on(async {
        let (store, guest, marked, barred, new, last) = (stand.worker(), key(), key(), key(), key(), key());
        born(&store, &guest, NOW).await;
        store.edit(&guest, &patch(r#"{"b":1}"#), NO_BIRTH, NOW).await.unwrap();
        store.touch(&guest, at(10)).await.unwrap();
        store.end(&marked, true, at(60), NOW).await.unwrap();
        store.bar(&barred, at(60), NOW).await.unwrap();
        let user = key();
        store.insert(&user, of("alice", user, NOW)).await.unwrap();
        let session = live(&store, &user, NOW).await.unwrap();
        let renewed = session_gateway::session::entry::Renewed { to: new, issued_at: NOW, until: at(300) };
        let session = Session { renewed_from: Some(Box::new(user)), ..session };
        let leave = Entry::Renewed(Box::new(renewed));
        let step = Replace { old: &user, seen: Some(0), leave, new: &new, session };
        assert_eq!(store.replace(step, NOW).await, Ok(Replaced::Done));
        store.settle(&new, &user, at(10)).await.unwrap();
        store.insert(&last, of("bob", last, NOW)).await.unwrap();
        assert!(matches!(store.end(&last, false, at(60), NOW).await, Ok(Ended::Session(_))));

        let keys: Vec<String> = server.ask(&[b"KEYS", b"*"]);
        assert!(keys.len() >= 8, "{keys:?}");
        for key in &keys {
            let left: i64 = server.ask(&[b"PTTL", key.as_bytes()]);
            assert!(left > 0 && key.starts_with("sgw:"), "{key} lives for {left} ms");
        }
        // Longer than the session by what clocks may differ, and by no more than that.
        let left = |key: &StoreKey| server.ask::<i64>(&[b"TTL", entry_key(key).as_bytes()]);
        assert!((86_400 + 50..=86_400 + 60).contains(&left(&guest)), "{}", left(&guest));
        assert!((1800 + 50..=1800 + 60).contains(&left(&new)), "{}", left(&new));
        assert!((60 + 50..=60 + 60).contains(&left(&marked)), "{}", left(&marked));
    });
}

#[test]
fn a_user_s_index_lasts_as_long_as_the_longest_of_the_sessions() {
    let stand = Stand::redis();
    let server = stand.server();
    let index = || {
        let keys: Vec<String> = server.ask(&[b"KEYS", b"sgw:u:*"]);
        assert_eq!(keys.len(), 1, "{keys:?}");
        keys[0].clone()
    };
    let left = || server.ask::<i64>(&[b"TTL", index().as_bytes()]);
    block_on(async {
        let (store, short, long) = (stand.worker(), key(), key());
        store.insert(&long, Session { persistent: true, ..of("alice", long, NOW) }).await.unwrap();
        store.insert(&short, of("alice", short, NOW)).await.unwrap();
        assert!(left() > 2_678_000, "{}", left());
        store.end(&long, false, at(60), NOW).await.unwrap();
        assert_eq!(keys_of(&store, "alice", NOW).await, [short]);
        let persist = session_gateway::session::Edit { patch: None, persist: Some(true) };
        assert!(matches!(store.edit(&short, &persist, NO_BIRTH, at(3)).await, Ok(Edited::Live(_))));
        assert!(left() > 2_678_000, "{}", left());
        // What has expired leaves the index when somebody looks, and what lives does not.
        assert_eq!(server.ask::<i64>(&[b"ZCARD", index().as_bytes()]), 1);
        let idle = key();
        store.insert(&idle, of("alice", idle, NOW)).await.unwrap();
        assert_eq!(server.ask::<i64>(&[b"ZCARD", index().as_bytes()]), 2);
        assert_eq!(keys_of(&store, "alice", at(1800)).await, [short]);
        assert_eq!(server.ask::<i64>(&[b"ZCARD", index().as_bytes()]), 1);
    });
}

#[test]
fn what_a_broken_off_renewal_left_does_not_stop_the_next_one() {
    let stand = Stand::redis();
    block_on(async {
        let (store, old, new) = (stand.worker(), key(), key());
        let session = of("alice", old, NOW);
        store.insert(&old, session.clone()).await.unwrap();
        let renewal = |version| Session { renewed_from: Some(Box::new(old)), version, ..session.clone() };
        // Cut off between the two steps: the session stands twice.
        store.insert(&new, renewal(1)).await.unwrap();
        store.edit(&old, &patch(r#"{"a":1}"#), NO_BIRTH, NOW).await.unwrap();
        let to = session_gateway::session::entry::Renewed { to: new, issued_at: NOW, until: at(300) };
        let data = live(&store, &old, NOW).await.unwrap().data;
        let session = Session { data, ..renewal(2) };
        let step = Replace { old: &old, seen: Some(1), leave: Entry::Renewed(Box::new(to)), new: &new, session };
        assert_eq!(store.replace(step, NOW).await, Ok(Replaced::Done));
        assert_eq!(super::data(&store, &new, NOW).await.as_deref(), Some(r#"{"a":1}"#));
        assert_eq!(keys_of(&store, "alice", NOW).await, [new]);
    });
}

#[test]
fn scripts_that_the_server_has_forgotten_are_told_again() {
    let stand = Stand::redis();
    block_on(async {
        let (store, key) = (stand.worker(), key());
        born(&store, &key, NOW).await;
        stand.server().ask::<()>(&[b"SCRIPT", b"FLUSH"]);
        assert!(matches!(store.edit(&key, &patch(r#"{"b":2}"#), NO_BIRTH, NOW).await, Ok(Edited::Live(_))));
        assert_eq!(super::data(&store, &key, NOW).await.as_deref(), Some(r#"{"a":1,"b":2}"#));
    });
}

#[test]
fn no_server_is_a_failure_and_never_no_session() {
    let stand = Stand::redis();
    let port = stand.server().port;
    drop(stand);
    block_on(async {
        let store = Store::Redis(Redis::new(settings(port), lifetimes(), None));
        for answer in ask_all(&store, &key()).await {
            let Err(Error::Unavailable(outage)) = answer else { panic!("{answer:?}") };
            assert!(matches!(outage, Outage::Down | Outage::Unreachable), "{outage:?}");
        }
        assert!(store.by_user("alice", NOW).await.is_err());
    });
}

#[test]
fn a_lost_connection_is_made_again() {
    let stand = Stand::redis();
    block_on(async {
        let (store, key) = (stand.worker(), key());
        born(&store, &key, NOW).await;
        for _ in 0..3 {
            stand.server().ask::<()>(&[b"CLIENT", b"KILL", b"TYPE", b"normal", b"SKIPME", b"yes"]);
            let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(5);
            while store.load(&key, NOW).await.is_err() {
                assert!(tokio::time::Instant::now() < deadline, "it should be back by now");
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        }
        assert!(stats(&store).connects > 1);
    });
}
