//! What a store promises to many who ask at once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use session_gateway::session::{Entry, PublicId, Session};
use session_gateway::store::{Edited, Replace, Replaced};

use super::stand::*;
use super::{edit, inserted, moved, renewed, superseded};

/// Many tasks of several gateways write to one session, each its own keys.
pub(crate) fn parallel_edits_of_different_keys_all_survive(stand: &Stand) {
    const WRITERS: usize = 8;
    let first = key();
    block_on(async { born(&stand.worker(), &first, NOW).await });
    let rounds = stand.rounds(200, 50);
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = stand.worker();
            scope.spawn(move || {
                block_on(async {
                    for write in 0..rounds {
                        let json = format!(r#"{{"w{writer}-{write}":1}}"#);
                        assert!(matches!(edit(&store, &first, &json, NO_BIRTH, NOW).await, Edited::Live(_)));
                    }
                });
            });
        }
    });
    let session = block_on(async { live(&stand.worker(), &first, NOW).await }).unwrap();
    assert_eq!(session.version as usize, WRITERS * rounds);
    let keys: serde_json::Map<String, serde_json::Value> = serde_json::from_str(session.data.as_str()).unwrap();
    assert_eq!(keys.len(), 1 + WRITERS * rounds);
}

pub(crate) fn parallel_first_writes_all_survive(stand: &Stand) {
    for _ in 0..10 {
        let first = key();
        let births = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let (store, births) = (stand.worker(), &births);
                scope.spawn(move || {
                    block_on(async {
                        match edit(&store, &first, &format!(r#"{{"w{writer}":1}}"#), RULES, NOW).await {
                            Edited::Born(_) => drop(births.fetch_add(1, Ordering::Relaxed)),
                            Edited::Live(_) => {}
                            other => panic!("{other:?}"),
                        }
                    });
                });
            }
        });
        assert_eq!(births.into_inner(), 1);
        let kept = block_on(async { data(&stand.worker(), &first, NOW).await });
        assert_eq!(kept.as_deref(), Some(r#"{"w0":1,"w1":1,"w2":1,"w3":1}"#));
    }
}

/// Eight threads write to one session, one moves it about as renewals do, all at once.
pub(crate) fn parallel_edits_survive_while_the_session_moves(stand: &Stand) {
    let first = key();
    block_on(async { born(&stand.worker(), &first, NOW).await });
    let place = Mutex::new(first);
    let (rounds, moves) = (stand.rounds(200, 25), stand.rounds(100, 10));
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let (store, place) = (stand.worker(), &place);
            scope.spawn(move || {
                block_on(async {
                    for write in 0..rounds {
                        let json = format!(r#"{{"w{writer}-{write}":1}}"#);
                        loop {
                            let at = *place.lock().expect("no writer panics");
                            match edit(&store, &at, &json, NO_BIRTH, NOW).await {
                                Edited::Live(_) => break,
                                Edited::Dead | Edited::Missing => tokio::task::yield_now().await,
                                other => panic!("{other:?}"),
                            }
                        }
                    }
                });
            });
        }
        let (store, place) = (stand.worker(), &place);
        scope.spawn(move || {
            block_on(async {
                let mut made = 0;
                while made < moves {
                    let old = *place.lock().expect("no writer panics");
                    let (new, session) = (key(), live(&store, &old, NOW).await.expect("it is live"));
                    if moved(&store, &old, superseded(), &new, session).await == Replaced::Done {
                        *place.lock().expect("no writer panics") = new;
                        made += 1;
                    }
                }
            });
        });
    });
    let at = *place.lock().expect("no writer panics");
    let text = block_on(async { data(&stand.worker(), &at, NOW).await }).expect("it is live");
    let keys: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).expect("data is an object");
    assert_eq!(keys.len(), 1 + 8 * rounds);
}

/// Several gateways renew one session at once, which leads all of them to the same new key; some others log in from it.
pub(crate) fn of_parallel_moves_one_is_made(stand: &Stand) {
    for _ in 0..stand.rounds(200, 20) {
        let next = key();
        let old = block_on(async { inserted(&stand.worker(), of("alice", key(), NOW)).await });
        let made = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for mover in 0..4 {
                let (store, made) = (stand.worker(), &made);
                scope.spawn(move || {
                    block_on(async {
                        let session = live(&store, &old, NOW).await;
                        let Some(session) = session else { return };
                        let renewal =
                            Session { renewed_from: Some(Box::new(old)), version: session.version + 1, ..session };
                        let random = key();
                        let (new, leave, session) = match mover % 2 {
                            0 => (next, renewed(next), renewal),
                            _ => (random, superseded(), of("alice", random, NOW)),
                        };
                        let step = Replace { old: &old, seen: Some(0), leave, new: &new, session };
                        if store.replace(step, NOW).await.expect("the store stands") == Replaced::Done {
                            made.lock().expect("nobody panics").push(new);
                        }
                    });
                });
            }
        });
        let made = made.into_inner().expect("nobody panics");
        assert_eq!(made.len(), 1, "of four moves one is made");
        block_on(async {
            let store = stand.worker();
            assert!(live(&store, &made[0], NOW).await.is_some(), "what was moved is there");
            assert_eq!(keys_of(&store, "alice", NOW).await, made);
            store.end(&made[0], false, at(60), NOW).await.unwrap();
        });
    }
}

/// Edits meet moves all the time: some come between a move's two steps, and the move is undone.
pub(crate) fn a_session_is_found_by_its_id_whether_its_move_is_done_or_undone(stand: &Stand) {
    let first = key();
    let id = PublicId::from(first);
    let place = Mutex::new(first);
    let done = AtomicBool::new(false);
    block_on(async { stand.worker().insert(&first, of("alice", first, NOW)).await }).expect("there is room");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let store = stand.worker();
            block_on(async {
                while !done.load(Ordering::Relaxed) {
                    let at = *place.lock().expect("nobody panics");
                    edit(&store, &at, r#"{"a":1}"#, NO_BIRTH, NOW).await;
                }
            });
        });
        let store = stand.worker();
        block_on(async {
            for _ in 0..stand.rounds(20_000, 500) {
                let old = *place.lock().expect("nobody panics");
                let (new, session) = (key(), live(&store, &old, NOW).await.expect("it is live"));
                let leave = Entry::Superseded { until: NOW };
                let at = match moved(&store, &old, leave, &new, session).await {
                    Replaced::Done => new,
                    Replaced::Changed => old,
                    other @ Replaced::Taken => panic!("{other:?}"),
                };
                let found = store.by_id(&id, NOW).await.expect("the store stands");
                done.store(found.is_none(), Ordering::Relaxed);
                assert_eq!(found.map(|(key, _)| key), Some(at));
                *place.lock().expect("nobody panics") = at;
            }
        });
        done.store(true, Ordering::Relaxed);
    });
}

/// Somebody looks all the time, and meets a move or two in every look.
pub(crate) fn a_session_is_found_by_its_id_and_by_its_user_while_renewals_move_it(stand: &Stand) {
    let first = key();
    let id = PublicId::from(first);
    let (looks, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    block_on(async { stand.worker().insert(&first, of("alice", first, NOW)).await }).expect("there is room");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let store = stand.worker();
            block_on(async {
                let (mut at, mut looked) = (first, 0);
                while !done.load(Ordering::Relaxed) {
                    let (new, session) = (key(), live(&store, &at, NOW).await.expect("it is live"));
                    assert_eq!(moved(&store, &at, renewed(new), &new, session).await, Replaced::Done);
                    at = new;
                    while looks.load(Ordering::Relaxed) == looked && !done.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                    looked = looks.load(Ordering::Relaxed);
                }
            });
        });
        let store = stand.worker();
        let missed = block_on(async {
            let mut missed = (0, 0);
            for _ in 0..stand.rounds(200_000, 1000) {
                missed.0 += u32::from(store.by_id(&id, NOW).await.expect("the store stands").is_none());
                looks.fetch_add(1, Ordering::Relaxed);
                missed.1 += u32::from(store.by_user("alice", NOW).await.expect("the store stands").is_empty());
                looks.fetch_add(1, Ordering::Relaxed);
            }
            missed
        });
        done.store(true, Ordering::Relaxed);
        assert_eq!(missed, (0, 0), "looks by id and by user that found nothing");
    });
}

/// A client goes away while its request is under way; the others' questions go over the same connection.
pub(crate) fn an_abandoned_question_spoils_nothing_for_others(stand: &Stand) {
    block_on(async {
        let store = stand.worker();
        let mut keys = Vec::new();
        for index in 0..100 {
            let key = key();
            let json = format!(r#"{{"n":{index}}}"#);
            edit(&store, &key, &json, RULES, NOW).await;
            keys.push(key);
        }
        for round in 0..100 {
            let abandoned = keys[(round * 7) % 100];
            // Dropped before, while and after its question is written, or its answer has come.
            let patience = Duration::from_micros(20 * u64::try_from(round % 8).unwrap());
            let _ = tokio::time::timeout(patience, store.load(&abandoned, NOW)).await;
            let expected = format!(r#"{{"n":{round}}}"#);
            assert_eq!(data(&store, &keys[round], NOW).await, Some(expected));
        }
    });
}
