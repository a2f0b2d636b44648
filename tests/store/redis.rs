//! What the Redis store promises besides: what stands in Redis, and what it makes of what others put there.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use session_gateway::session::{Entry, PublicId, Session, StoreKey};
use session_gateway::store::record::Flaw;
use session_gateway::store::redis::{Address, Servers, Settings};
use session_gateway::store::{EditRules, Edited, Ended, Error, Outage, Replace, Replaced, Store};

use super::stand::*;
use super::support::redis::sentinels::NAME;
use super::support::redis::{Cluster, Redis, Sentinels, Value};

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
    let server = stand.redis_server();
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
            server.command(&["HSET", &entry_key(&key), field, value]);
            let before = server.command(&["HGETALL", &entry_key(&key)]);
            for (question, answer) in ask_all(&store, &key).await.into_iter().enumerate() {
                assert_eq!(answer, Err(Error::Unreadable(flaw)), "question {question} about {value:?}");
            }
            assert_eq!(server.command(&["HGETALL", &entry_key(&key)]), before);
        }
        let counted = stats(&store);
        assert_eq!((counted.unreadable, counted.failures), (4 * 9, 0));
    });
}

#[test]
fn another_type_under_our_key_is_one_clear_error() {
    let stand = Stand::redis();
    let server = stand.redis_server();
    block_on(async {
        let store = stand.worker();
        for put in ["SET", "SADD", "RPUSH"] {
            let key = key();
            server.command(&[put, &entry_key(&key), "x"]);
            for (question, answer) in ask_all(&store, &key).await.into_iter().enumerate() {
                assert_eq!(answer, Err(Error::Unreadable(Flaw::Type)), "question {question}");
            }
        }
        // A hash of somebody else's.
        let key = key();
        server.command(&["HSET", &entry_key(&key), "name", "value"]);
        for (question, answer) in ask_all(&store, &key).await.into_iter().enumerate() {
            assert_eq!(answer, Err(Error::Unreadable(Flaw::Meta)), "question {question}");
        }
    });
}

#[test]
fn damaged_data_is_an_error_of_that_session_alone() {
    let stand = Stand::redis();
    let server = stand.redis_server();
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
            server.command(&[b"HSET", entry_key(&key).as_bytes(), field, value]);
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
    let server = stand.redis_server();
    block_on(async {
        let left = |key: &StoreKey| server.command(&["TTL", &entry_key(key)]).integer();
        let only_born = key();
        born(&stand.worker(), &only_born, NOW).await;
        assert!((86_400 + 50..=86_400 + 60).contains(&left(&only_born)), "{}", left(&only_born));
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

        let keys: Vec<String> = server.command(&["KEYS", "*"]).list().iter().map(Value::text).collect();
        assert!(keys.len() >= 8, "{keys:?}");
        for key in &keys {
            let left = server.command(&["PTTL", key]).integer();
            assert!(left > 0 && key.starts_with("sgw:"), "{key} lives for {left} ms");
        }
        // Longer than the session by what clocks may differ, and by no more than that.
        assert!((86_400 + 50..=86_400 + 60).contains(&left(&guest)), "{}", left(&guest));
        assert!((1800 + 50..=1800 + 60).contains(&left(&new)), "{}", left(&new));
        assert!((60 + 50..=60 + 60).contains(&left(&marked)), "{}", left(&marked));
    });
}

#[test]
fn a_user_s_index_lasts_as_long_as_the_longest_of_the_sessions() {
    let stand = Stand::redis();
    let server = stand.redis_server();
    let index = || {
        let keys = server.command(&["KEYS", "sgw:u:*"]);
        assert_eq!(keys.list().len(), 1, "{keys:?}");
        keys.list()[0].text()
    };
    let left = || server.command(&["TTL", &index()]).integer();
    block_on(async {
        let (store, short, long) = (stand.worker(), key(), key());
        store.insert(&long, Session { persistent: true, ..of("alice", long, NOW) }).await.unwrap();
        store.insert(&short, of("alice", short, NOW)).await.unwrap();
        assert!(left() > 2_678_000, "{}", left());
        store.end(&long, false, at(60), NOW).await.unwrap();
        assert_eq!(keys_of(&store, "alice", NOW).await, [short]);
        let persist = session_gateway::session::Edit { persist: Some(true), ..Default::default() };
        assert!(matches!(store.edit(&short, &persist, NO_BIRTH, at(3)).await, Ok(Edited::Live(_))));
        assert!(left() > 2_678_000, "{}", left());
        // What has expired leaves the index when somebody looks, and what lives does not.
        assert_eq!(server.command(&["ZCARD", &index()]).integer(), 1);
        let idle = key();
        store.insert(&idle, of("alice", idle, NOW)).await.unwrap();
        assert_eq!(server.command(&["ZCARD", &index()]).integer(), 2);
        assert_eq!(keys_of(&store, "alice", at(1800)).await, [short]);
        assert_eq!(server.command(&["ZCARD", &index()]).integer(), 1);
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
        stand.redis_server().command(&["SCRIPT", "FLUSH"]);
        assert!(matches!(store.edit(&key, &patch(r#"{"b":2}"#), NO_BIRTH, NOW).await, Ok(Edited::Live(_))));
        assert_eq!(super::data(&store, &key, NOW).await.as_deref(), Some(r#"{"a":1,"b":2}"#));
    });
}

#[test]
fn no_server_is_a_failure_and_never_no_session() {
    let mut redis = Redis::start();
    redis.kill();
    block_on(async {
        let store = store_at(one(redis.port()), "sgw");
        for answer in ask_all(&store, &key()).await {
            let Err(Error::Unavailable(outage)) = answer else { panic!("{answer:?}") };
            assert!(matches!(outage, Outage::Down | Outage::Unreachable), "{outage:?}");
        }
        assert!(store.by_user("alice", NOW).await.is_err());
    });
}

/// The first to wait learns that nothing comes; nobody waits after that, until it stirs again.
#[test]
fn a_server_that_stands_still_is_waited_for_once() {
    let redis = Redis::start();
    block_on(async {
        let patience = Duration::from_millis(200);
        let (store, fresh) = (impatient(redis.port(), patience), impatient(redis.port(), patience));
        let key = key();
        born(&store, &key, NOW).await;
        redis.freeze();
        for (store, outage) in [(&store, Outage::TimedOut), (&fresh, Outage::Unreachable)] {
            let began = Instant::now();
            assert_eq!(store.load(&key, NOW).await.map(drop), Err(Error::Unavailable(outage)));
            assert!(began.elapsed() >= patience);
            let began = Instant::now();
            for _ in 0..100 {
                assert_eq!(store.load(&key, NOW).await.map(drop), Err(Error::Unavailable(Outage::Down)));
            }
            assert!(began.elapsed() < patience, "they wait: {:?}", began.elapsed());
        }
        redis.thaw();
        for store in [&store, &fresh] {
            until_it_answers(store, &key).await;
        }
    });
}

#[test]
fn whoever_waits_on_a_connection_that_is_given_up_still_gets_an_answer() {
    let redis = Redis::start();
    block_on(async {
        let store = impatient(redis.port(), Duration::from_millis(400));
        let key = key();
        born(&store, &key, NOW).await;
        redis.freeze();
        let mut early = std::pin::pin!(store.load(&key, NOW));
        assert!(tokio::time::timeout(Duration::from_millis(200), &mut early).await.is_err());
        let mut late = std::pin::pin!(store.load(&key, NOW));
        // The first gives up, which is the end of the connection for whoever comes now.
        let (early, none) = tokio::join!(early, tokio::time::timeout(Duration::from_millis(210), &mut late));
        assert_eq!((early.map(drop), none.is_err()), (Err(Error::Unavailable(Outage::TimedOut)), true));
        redis.thaw();
        assert!(matches!(late.await, Ok(Some(Entry::Live(_)))));
    });
}

fn impatient(port: u16, timeout: Duration) -> Store {
    let settings = Settings { timeout, ..settings(one(port), "sgw") };
    Store::Redis(session_gateway::store::Redis::new(settings, lifetimes(), None))
}

async fn until_it_answers(store: &Store, key: &StoreKey) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while store.load(key, NOW).await.is_err() {
        assert!(Instant::now() < deadline, "it should be back by now");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn a_lost_connection_is_made_again() {
    let stand = Stand::redis();
    block_on(async {
        let (store, key) = (stand.worker(), key());
        born(&store, &key, NOW).await;
        for _ in 0..3 {
            stand.redis_server().command(&["CLIENT", "KILL", "TYPE", "normal"]);
            until_it_answers(&store, &key).await;
        }
        assert!(stats(&store).connects > 1);
    });
}

fn servers(cluster: &Cluster) -> Servers {
    Servers::Cluster(addresses(&cluster.url()))
}

fn addresses(url: &str) -> Vec<Address> {
    let hosts = url.split("://").nth(1).and_then(|rest| rest.split('/').next()).expect("a URL");
    hosts.split(',').map(|host| at_port(host.rsplit(':').next().expect("a port").parse().expect("a port"))).collect()
}

#[test]
fn every_promise_is_kept_by_a_cluster() {
    let cluster = Cluster::start();
    for (name, promise) in super::PROMISES {
        eprintln!("{name}");
        promise(&Stand::among(&servers(&cluster), name));
    }
    let used = cluster.nodes.iter().filter(|node| node.calls().contains_key("hset")).count();
    assert!(used >= 3, "every master has some of it");
}

#[test]
fn every_promise_is_kept_behind_sentinels() {
    let sentinels = Sentinels::start();
    let behind = Servers::Sentinels { sentinels: addresses(&sentinels.url()), master: NAME.to_owned() };
    for (name, promise) in super::PROMISES {
        eprintln!("{name}");
        promise(&Stand::among(&behind, name));
    }
}

/// The old one takes changes for some ten seconds more, and then loses them.
#[test]
fn a_master_that_is_replaced_in_good_order_is_left_at_once() {
    let sentinels = Sentinels::start();
    let behind = Servers::Sentinels { sentinels: addresses(&sentinels.url()), master: NAME.to_owned() };
    let (stand, key, is_over) = (Stand::among(&behind, "sgw"), key(), AtomicBool::new(false));
    block_on(async { born(&stand.worker(), &key, NOW).await });
    sentinels.settle();
    let rules = EditRules { max_data: 1 << 20, ..NO_BIRTH };
    let acknowledged = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let (store, mut acknowledged) = (stand.worker(), Vec::new());
            block_on(async {
                for number in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    let edit = patch(&format!("{{\"k{number}\":1}}"));
                    if let Ok(Edited::Live(_)) = store.edit(&key, &edit, rules, NOW).await {
                        acknowledged.push((number, Instant::now()));
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
            acknowledged
        });
        sentinels.swap();
        is_over.store(true, Ordering::Relaxed);
        writer.join().expect("the writer ends")
    });
    let kept = block_on(async { super::data(&stand.worker(), &key, NOW).await }).expect("it is live");
    let kept: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&kept).expect("data is an object");
    let is_lost = |(number, _): &&(usize, Instant)| !kept.contains_key(&format!("k{number}"));
    let lost: Vec<Instant> = acknowledged.iter().filter(is_lost).map(|(_, when)| *when).collect();
    let span = lost.first().zip(lost.last()).map_or(Duration::ZERO, |(first, last)| *last - *first);
    assert!(acknowledged.len() > 200 && span < Duration::from_secs(2), "{} writes in {span:?} are lost", lost.len());
}

/// The server of a slot's next owner says where it still is, and that of its last one where it is already.
#[test]
fn a_session_is_found_while_its_slot_is_handed_over() {
    let cluster = Cluster::start();
    let stand = Stand::among(&servers(&cluster), "sgw");
    block_on(async {
        let (store, fresh) = (stand.worker(), stand.worker());
        let (there, new, gone) = (key(), key(), key());
        for key in [&there, &gone] {
            born(&store, key, NOW).await;
        }
        for key in [&there, &new, &gone] {
            let name = entry_key(key);
            let slot = cluster.nodes[0].command(&["CLUSTER", "KEYSLOT", &name]).integer();
            let owner = (0..3).find(|node| slot < (node + 1) * 16_384 / 3).expect("one of three");
            let (owner, slot) = (usize::try_from(owner).unwrap(), slot.to_string());
            let next = (owner + 1) % 3;
            let id = |node: usize| cluster.nodes[node].command(&["CLUSTER", "MYID"]).text();
            cluster.nodes[next].command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(owner)]);
            cluster.nodes[owner].command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(next)]);
            let port = cluster.nodes[next].port().to_string();
            if key == &gone {
                cluster.nodes[owner].command(&["MIGRATE", "127.0.0.1", &port, &name, "0", "5000"]);
            }
            for store in [&store, &fresh] {
                match store.edit(key, &patch(r#"{"b":2}"#), RULES, NOW).await {
                    Ok(Edited::Live(_) | Edited::Born(_)) => {}
                    other => panic!("{other:?}"),
                }
                assert!(live(store, key, NOW).await.is_some());
            }
            cluster.nodes[owner].command(&["MIGRATE", "127.0.0.1", &port, &name, "0", "5000"]);
            for node in [next, owner] {
                cluster.nodes[node].command(&["CLUSTER", "SETSLOT", &slot, "NODE", &id(next)]);
            }
            for store in [&store, &fresh, &stand.worker()] {
                assert!(live(store, key, NOW).await.is_some(), "it is found where it has gone");
                assert!(matches!(store.edit(key, &patch(r#"{"c":3}"#), NO_BIRTH, NOW).await, Ok(Edited::Live(_))));
            }
        }
    });
}
