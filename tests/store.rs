//! What a store promises, asked of every store directly.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "store/gate.rs"]
mod gate;
#[path = "store/memory.rs"]
mod in_memory;
#[path = "store/redis.rs"]
mod in_redis;
#[path = "store/jars.rs"]
mod jars;
#[path = "store/limit.rs"]
mod limit;
#[path = "store/moves.rs"]
mod moves;
#[path = "store/races.rs"]
mod races;
#[path = "store/stand.rs"]
mod stand;
mod support;

use session_gateway::session::entry::Renewed;
use session_gateway::session::{Edit, Entry, Patch, Session, StoreKey, UnixTime};
use session_gateway::store::{EditRules, Edited, Ended, Error, Replace, Replaced, Store};

use limit::{
    a_login_beyond_the_limit_ends_the_user_s_longest_idle_session, logins_at_once_leave_no_more_sessions_than_the_limit,
};
use races::*;
use stand::*;

/// Makes a test of every promise for every store.
macro_rules! promises {
    ($($promise:ident)*) => {
        mod memory {
            $(#[test] fn $promise() { super::$promise(&super::Stand::memory()); })*
        }
        mod redis {
            $(#[test] fn $promise() { super::$promise(&super::Stand::redis()); })*
        }
        mod near_cache {
            $(#[test] fn $promise() { super::$promise(&super::Stand::near_cache()); })*
        }
        /// All of them, by name.
        const PROMISES: &[(&str, fn(&Stand))] = &[$((stringify!($promise), $promise)),*];
    };
}

promises! {
    a_first_write_gives_birth_and_the_next_one_joins
    nothing_is_born_of_an_edit_that_keeps_nothing_or_of_a_session_ticket
    a_guest_joins_no_session_that_was_born_long_ago
    an_emptied_session_is_gone
    a_user_s_session_stays_when_its_data_goes
    data_over_its_limit_changes_nothing
    data_is_the_same_text_in_every_store
    many_keys_at_once_are_kept
    every_field_of_a_session_comes_back
    an_edit_counts_and_touching_does_not
    ended_and_superseded_tickets_take_no_edit_until_they_are_forgotten
    an_edit_through_a_renewed_ticket_is_told_where_to_go
    a_session_expires_when_nobody_asks_and_is_never_revived
    a_touched_session_lives_on_up_to_its_lifetime
    each_kind_of_session_has_its_own_lifetime
    persisting_makes_it_live_longer
    a_session_moves_only_if_nobody_changed_it_meanwhile
    a_session_moves_over_nothing_that_is_there
    a_session_is_born_in_place_of_an_expired_ticket_once
    a_renewed_ticket_leads_on_until_its_new_one_has_come_back
    barring_takes_free_keys_only
    ending_says_what_ended
    a_user_s_sessions_are_found_and_no_other_s
    sessions_are_found_by_user_and_by_id_wherever_they_moved
    a_move_that_was_undone_leaves_nothing_behind
    parallel_edits_of_different_keys_all_survive
    parallel_first_writes_all_survive
    parallel_edits_survive_while_the_session_moves
    of_parallel_moves_one_is_made
    a_session_is_found_by_its_id_whether_its_move_is_done_or_undone
    a_session_is_found_by_its_id_and_by_its_user_while_renewals_move_it
    an_abandoned_question_spoils_nothing_for_others
    a_login_beyond_the_limit_ends_the_user_s_longest_idle_session
    logins_at_once_leave_no_more_sessions_than_the_limit
}

fn superseded() -> Entry {
    Entry::Superseded { until: at(60) }
}

fn renewed(to: StoreKey) -> Entry {
    Entry::Renewed(Box::new(Renewed { to, issued_at: NOW, until: at(300) }))
}

async fn edit(store: &Store, key: &StoreKey, json: &str, rules: EditRules, now: UnixTime) -> Edited {
    store.edit(key, &patch(json), rules, now).await.expect("the store stands")
}

async fn inserted(store: &Store, session: Session) -> StoreKey {
    let key = key();
    store.insert(&key, Session { id: key.into(), ..session }).await.expect("there is room");
    key
}

async fn moved(store: &Store, old: &StoreKey, leave: Entry, new: &StoreKey, session: Session) -> Replaced {
    let step = Replace { old, seen: Some(session.version), leave, new, session };
    store.replace(step, NOW).await.expect("the store stands")
}

fn a_first_write_gives_birth_and_the_next_one_joins(stand: &Stand) {
    block_on(async {
        let (store, key) = (stand.worker(), key());
        born(&store, &key, NOW).await;
        assert!(matches!(edit(&store, &key, r#"{"b":2}"#, RULES, NOW).await, Edited::Live(_)));
        assert_eq!(data(&store, &key, NOW).await.as_deref(), Some(r#"{"a":1,"b":2}"#));
        assert_eq!(data(&stand.worker(), &key, NOW).await.as_deref(), Some(r#"{"a":1,"b":2}"#), "another gateway");
    });
}

fn nothing_is_born_of_an_edit_that_keeps_nothing_or_of_a_session_ticket(stand: &Stand) {
    block_on(async {
        let store = stand.worker();
        for (edit, rules) in [
            (patch("{}"), RULES),
            (patch(r#"{"a":null}"#), RULES),
            (Edit { persist: Some(true), ..Edit::default() }, RULES),
            (patch(r#"{"a":1}"#), NO_BIRTH),
        ] {
            let key = key();
            assert!(matches!(store.edit(&key, &edit, rules, NOW).await, Ok(Edited::Missing)));
            assert!(store.load(&key, NOW).await.unwrap().is_none());
        }
    });
}

fn a_guest_joins_no_session_that_was_born_long_ago(stand: &Stand) {
    block_on(async {
        let (store, key) = (stand.worker(), key());
        born(&store, &key, NOW).await;
        let later = EditRules { birth: Some(at(1)), ..RULES };
        assert!(matches!(edit(&store, &key, r#"{"b":2}"#, later, at(61)).await, Edited::NotTheirs));
        assert_eq!(data(&store, &key, NOW).await.as_deref(), Some(r#"{"a":1}"#));
        let same = EditRules { birth: Some(NOW), ..RULES };
        assert!(matches!(edit(&store, &key, r#"{"b":2}"#, same, at(61)).await, Edited::Live(_)));
    });
}

fn an_emptied_session_is_gone(stand: &Stand) {
    block_on(async {
        let (store, key) = (stand.worker(), key());
        born(&store, &key, NOW).await;
        assert!(matches!(edit(&store, &key, r#"{"a":null}"#, NO_BIRTH, NOW).await, Edited::Emptied));
        assert!(store.load(&key, NOW).await.unwrap().is_none());
    });
}

fn a_user_s_session_stays_when_its_data_goes(stand: &Stand) {
    block_on(async {
        let store = stand.worker();
        let key = inserted(&store, of("alice", key(), NOW)).await;
        assert!(matches!(edit(&store, &key, r#"{"a":1,"b":2}"#, NO_BIRTH, NOW).await, Edited::Live(_)));
        let Edited::Live(left) = edit(&store, &key, r#"{"a":null,"b":null,"c":null}"#, NO_BIRTH, NOW).await else {
            panic!("it has a user")
        };
        assert!(left.data.is_empty() && left.user.as_deref() == Some("alice"));
        assert!(live(&store, &key, NOW).await.unwrap() == *left);
    });
}

fn data_over_its_limit_changes_nothing(stand: &Stand) {
    block_on(async {
        let (store, key) = (stand.worker(), key());
        born(&store, &key, NOW).await;
        let rules = EditRules { max_data: 20, ..NO_BIRTH };
        let edited = store.edit(&key, &patch(r#"{"b":"0123456789"}"#), rules, NOW).await;
        assert_eq!(edited.expect_err("24 bytes are too many"), Error::DataOverLimit { size: 24, limit: 20 });
        assert_eq!(data(&store, &key, NOW).await.as_deref(), Some(r#"{"a":1}"#));
        // The limit itself is not too much, and what another key gives up is counted.
        assert!(matches!(edit(&store, &key, r#"{"a":null,"b":"0123456789"}"#, rules, NOW).await, Edited::Live(_)));
        let over = EditRules { max_data: 17, ..RULES };
        let born = store.edit(&stand::key(), &patch(r#"{"b":"0123456789"}"#), over, NOW).await;
        assert_eq!(born.expect_err("18 bytes are too many"), Error::DataOverLimit { size: 18, limit: 17 });
        let fits = EditRules { max_data: 18, ..RULES };
        assert!(matches!(edit(&store, &stand::key(), r#"{"b":"0123456789"}"#, fits, NOW).await, Edited::Born(_)));
    });
}

fn data_is_the_same_text_in_every_store(stand: &Stand) {
    block_on(async {
        let (store, key) = (stand.worker(), key());
        let mut expected = Session::new(key, NOW).data;
        for json in [
            "{\"b\":1,\"\u{e9}\":[ 1 , \"\u{1f600}\" ],\"a\":\"x \\\\ y\"}",
            "{\"\":{},\"Z\":12345678901234567890123456789.0e999,\"a b\":\"\\ud83d\\ude00\"}",
            "{\"\u{ff5e}\":1,\"\u{10000}\":2,\"\\u0000\":\"\\u0000\\r\\n\",\"q\\\"\":true,\"m\":1,\"u\":2,\"d:\":3}",
            "{\"b\":null,\"\\u00e9\":2,\"m\":null}",
        ] {
            expected = expected.patched(&Patch::parse(json.as_bytes()).expect("a patch"));
            let (Edited::Born(session) | Edited::Live(session)) = edit(&store, &key, json, RULES, NOW).await else {
                panic!("it is live")
            };
            assert_eq!(session.data.as_str(), expected.as_str());
            assert_eq!(data(&store, &key, NOW).await.as_deref(), Some(expected.as_str()));
            let exact = EditRules { max_data: expected.len(), ..NO_BIRTH };
            assert!(matches!(edit(&store, &key, "{}", exact, NOW).await, Edited::Live(_)));
            let less = EditRules { max_data: expected.len() - 1, ..NO_BIRTH };
            assert!(store.edit(&key, &patch("{}"), less, NOW).await.is_err());
        }
    });
}

fn many_keys_at_once_are_kept(stand: &Stand) {
    block_on(async {
        let (store, key) = (stand.worker(), key());
        let rules = EditRules { max_data: 1 << 20, ..RULES };
        let all = |value: &str| {
            let keys: Vec<String> = (0..10_000).map(|index| format!("\"k{index}\":{value}")).collect();
            format!("{{{}}}", keys.join(","))
        };
        assert!(matches!(edit(&store, &key, &all("1"), rules, NOW).await, Edited::Born(_)));
        let kept = data(&store, &key, NOW).await.unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Map<_, _>>(&kept).unwrap().len(), 10_000);
        let new = stand::key();
        let session = live(&store, &key, NOW).await.unwrap();
        assert_eq!(moved(&store, &key, superseded(), &new, session).await, Replaced::Done);
        assert_eq!(data(&store, &new, NOW).await, Some(kept));
        assert!(matches!(edit(&store, &new, &all("null"), rules, NOW).await, Edited::Emptied));
    });
}

fn every_field_of_a_session_comes_back(stand: &Stand) {
    block_on(async {
        let (store, first, second) = (stand.worker(), key(), key());
        let whole = Session {
            user: Some("j\u{f6}rg {x} \" \\ :".into()),
            data: Session::new(first, NOW).data.patched(&Patch::parse(br#"{"a":[1]}"#).unwrap()),
            created: UnixTime(NOW.0 - 1000),
            last_seen: UnixTime(NOW.0 - 10),
            issued_at: UnixTime(NOW.0 - 500),
            version: u32::MAX,
            persistent: true,
            renewed_from: Some(Box::new(second)),
            ..Session::new(second, NOW)
        };
        store.insert(&first, whole.clone()).await.expect("there is room");
        assert!(live(&store, &first, NOW).await.unwrap() == whole);
        assert_eq!(keys_of(&store, "j\u{f6}rg {x} \" \\ :", NOW).await, [first]);
        let Edited::Live(next) = edit(&store, &first, "{}", NO_BIRTH, NOW).await else { panic!("it is live") };
        assert_eq!(next.version, 0, "versions begin again");
        let Ok(Ended::Session(ended)) = store.end(&first, false, at(60), NOW).await else { panic!("it is live") };
        assert!(ended == next);
    });
}

fn an_edit_counts_and_touching_does_not(stand: &Stand) {
    block_on(async {
        let (store, key) = (stand.worker(), key());
        born(&store, &key, NOW).await;
        edit(&store, &key, r#"{"b":2}"#, NO_BIRTH, NOW).await;
        store.touch(&key, at(5)).await.unwrap();
        let session = live(&store, &key, at(5)).await.unwrap();
        assert_eq!((session.version, session.last_seen, session.created), (1, at(5), NOW));
        store.touch(&key, at(3)).await.unwrap();
        assert_eq!(live(&store, &key, at(5)).await.unwrap().last_seen, at(5), "time does not run backwards");
        store.touch(&stand::key(), NOW).await.expect("nothing is there, and that is no failure");
    });
}

fn ended_and_superseded_tickets_take_no_edit_until_they_are_forgotten(stand: &Stand) {
    block_on(async {
        let (store, ended, left, new) = (stand.worker(), key(), key(), key());
        born(&store, &ended, NOW).await;
        born(&store, &left, NOW).await;
        assert!(matches!(store.end(&ended, false, at(60), NOW).await, Ok(Ended::Session(_))));
        assert_eq!(moved(&store, &left, superseded(), &new, of("alice", new, NOW)).await, Replaced::Done);
        for dead in [&ended, &left] {
            for now in [NOW, at(59)] {
                assert!(matches!(edit(&store, dead, r#"{"b":2}"#, RULES, now).await, Edited::Dead));
            }
            assert!(matches!(edit(&store, dead, r#"{"b":2}"#, NO_BIRTH, at(60)).await, Edited::Missing));
            assert!(store.load(dead, at(60)).await.unwrap().is_none());
        }
    });
}

fn an_edit_through_a_renewed_ticket_is_told_where_to_go(stand: &Stand) {
    block_on(async {
        let (store, old, new) = (stand.worker(), key(), key());
        born(&store, &old, NOW).await;
        let session = live(&store, &old, NOW).await.unwrap();
        assert_eq!(moved(&store, &old, renewed(new), &new, session).await, Replaced::Done);
        // It opens nothing after `until`, and is still remembered for what was opened before.
        for now in [NOW, at(359)] {
            let Edited::Renewed(to) = edit(&store, &old, r#"{"b":2}"#, RULES, now).await else { panic!("at {now:?}") };
            assert_eq!(to, Renewed { to: new, issued_at: NOW, until: at(300) });
            assert!(matches!(store.end(&old, true, at(60), now).await, Ok(Ended::Renewed(at)) if at == to));
        }
        assert!(matches!(edit(&store, &old, r#"{"b":2}"#, NO_BIRTH, at(360)).await, Edited::Missing));
        assert_eq!(data(&store, &new, NOW).await.as_deref(), Some(r#"{"a":1}"#));
    });
}

fn a_session_expires_when_nobody_asks_and_is_never_revived(stand: &Stand) {
    block_on(async {
        let store = stand.worker();
        let key = inserted(&store, of("alice", key(), NOW)).await;
        assert!(live(&store, &key, at(1799)).await.is_some());
        assert!(store.load(&key, at(1800)).await.unwrap().is_none());
        assert!(keys_of(&store, "alice", at(1800)).await.is_empty());
        assert!(store.by_id(&key.into(), at(1800)).await.unwrap().is_none());
        store.touch(&key, at(1800)).await.unwrap();
        assert!(store.load(&key, at(1800)).await.unwrap().is_none());
        assert!(matches!(edit(&store, &key, r#"{"b":2}"#, NO_BIRTH, at(1800)).await, Edited::Missing));
        assert!(matches!(store.end(&key, false, at(1900), at(1800)).await, Ok(Ended::Nothing)));
        // What a guest's ticket gives birth to under the same key has nothing of it.
        let Edited::Born(other) = edit(&store, &key, r#"{"b":2}"#, RULES, at(1800)).await else { panic!("it is born") };
        assert_eq!((other.user.as_deref(), other.data.as_str(), other.created), (None, r#"{"b":2}"#, at(1800)));
        assert!(live(&store, &key, at(1800)).await.unwrap() == *other);
        // Nor has what is stored there.
        let later = at(1800 + 86_400);
        store.insert(&key, of("bob", key, later)).await.expect("there is room");
        assert!(live(&store, &key, later).await.unwrap() == of("bob", key, later));
    });
}

fn a_touched_session_lives_on_up_to_its_lifetime(stand: &Stand) {
    block_on(async {
        let store = stand.worker();
        let key = inserted(&store, of("alice", key(), NOW)).await;
        let mut now = 0;
        while now + 1000 < 43_200 {
            now += 1000;
            store.touch(&key, at(now)).await.unwrap();
            assert!(live(&store, &key, at(now)).await.is_some(), "after {now} s");
            assert_eq!(keys_of(&store, "alice", at(now)).await, [key], "after {now} s");
        }
        assert!(live(&store, &key, at(43_199)).await.is_some());
        assert!(live(&store, &key, at(43_200)).await.is_none());
    });
}

fn each_kind_of_session_has_its_own_lifetime(stand: &Stand) {
    block_on(async {
        let (store, guest) = (stand.worker(), key());
        born(&store, &guest, NOW).await;
        let user = inserted(&store, of("alice", key(), NOW)).await;
        let persistent = inserted(&store, Session { persistent: true, ..of("alice", key(), NOW) }).await;
        for (key, idle) in [(user, 1800), (guest, 86_400), (persistent, 2_678_400)] {
            assert!(live(&store, &key, at(idle - 1)).await.is_some());
            assert!(matches!(edit(&store, &key, "{}", NO_BIRTH, at(idle - 1)).await, Edited::Live(_)));
            assert!(live(&store, &key, at(idle)).await.is_none());
            assert!(matches!(edit(&store, &key, "{}", NO_BIRTH, at(idle)).await, Edited::Missing));
        }
    });
}

fn persisting_makes_it_live_longer(stand: &Stand) {
    block_on(async {
        let store = stand.worker();
        let key = inserted(&store, of("alice", key(), NOW)).await;
        let persist = |persist| Edit { persist: Some(persist), ..Edit::default() };
        assert!(matches!(store.edit(&key, &persist(true), NO_BIRTH, NOW).await, Ok(Edited::Live(_))));
        assert!(live(&store, &key, at(86_400)).await.is_some_and(|session| session.persistent));
        assert_eq!(keys_of(&store, "alice", at(86_400)).await, [key]);
        assert!(matches!(store.edit(&key, &persist(false), NO_BIRTH, NOW).await, Ok(Edited::Live(_))));
        assert!(live(&store, &key, at(86_400)).await.is_none());
    });
}

fn a_session_moves_only_if_nobody_changed_it_meanwhile(stand: &Stand) {
    block_on(async {
        let (store, old, new) = (stand.worker(), key(), key());
        born(&store, &old, NOW).await;
        edit(&store, &old, r#"{"b":2}"#, NO_BIRTH, NOW).await;
        assert_eq!(moved(&store, &old, superseded(), &new, of("alice", new, NOW)).await, Replaced::Changed);
        let step = Replace { old: &old, seen: None, leave: superseded(), new: &new, session: of("alice", new, NOW) };
        assert_eq!(store.replace(step, NOW).await, Ok(Replaced::Changed));
        assert!(store.load(&new, NOW).await.unwrap().is_none());
        assert!(keys_of(&store, "alice", NOW).await.is_empty());
        assert_eq!(data(&store, &old, NOW).await.as_deref(), Some(r#"{"a":1,"b":2}"#));
    });
}

fn a_session_moves_over_nothing_that_is_there(stand: &Stand) {
    block_on(async {
        let (store, old) = (stand.worker(), key());
        born(&store, &old, NOW).await;
        let taken = inserted(&store, of("bob", key(), NOW)).await;
        let ended = key();
        assert!(matches!(store.end(&ended, true, at(60), NOW).await, Ok(Ended::Marked)));
        for new in [taken, ended] {
            assert_eq!(moved(&store, &old, superseded(), &new, of("alice", new, NOW)).await, Replaced::Taken);
            assert_eq!(data(&store, &old, NOW).await.as_deref(), Some(r#"{"a":1}"#));
        }
        assert_eq!(keys_of(&store, "bob", NOW).await, [taken]);
        assert!(keys_of(&store, "alice", NOW).await.is_empty());
    });
}

fn a_session_is_born_in_place_of_an_expired_ticket_once(stand: &Stand) {
    block_on(async {
        let (store, old, first, second) = (stand.worker(), key(), key(), key());
        let step = |new, session| Replace { old: &old, seen: None, leave: superseded(), new, session };
        assert_eq!(store.replace(step(&first, of("alice", first, NOW)), NOW).await, Ok(Replaced::Done));
        assert_eq!(store.replace(step(&second, of("alice", second, NOW)), NOW).await, Ok(Replaced::Changed));
        assert!(matches!(store.load(&old, NOW).await, Ok(Some(Entry::Superseded { .. }))));
        assert_eq!(keys_of(&store, "alice", NOW).await, [first]);
    });
}

fn a_renewed_ticket_leads_on_until_its_new_one_has_come_back(stand: &Stand) {
    block_on(async {
        let (store, new) = (stand.worker(), key());
        let old = inserted(&store, of("alice", key(), NOW)).await;
        let session = live(&store, &old, NOW).await.unwrap();
        let session = Session { renewed_from: Some(Box::new(old)), version: 1, ..session };
        let step = Replace { old: &old, seen: Some(0), leave: renewed(new), new: &new, session };
        assert_eq!(store.replace(step, NOW).await, Ok(Replaced::Done));
        assert_eq!(live(&store, &new, NOW).await.unwrap().renewed_from.as_deref(), Some(&old));
        store.settle(&key(), &old, at(5)).await.expect("it is another's, and that is no failure");
        for (until, expected) in [(at(10), at(10)), (at(20), at(10))] {
            store.settle(&new, &old, until).await.unwrap();
            let Ok(Some(Entry::Renewed(left))) = store.load(&old, at(15)).await else { panic!("it is remembered") };
            assert_eq!((left.to, left.issued_at, left.until), (new, NOW, expected));
        }
        let settled = live(&store, &new, NOW).await.unwrap();
        assert_eq!((settled.renewed_from, settled.version), (None, 1));
        assert!(store.load(&old, at(70)).await.unwrap().is_none());
        assert_eq!(keys_of(&store, "alice", NOW).await, [new]);
    });
}

fn barring_takes_free_keys_only(stand: &Stand) {
    block_on(async {
        let (store, free, taken) = (stand.worker(), key(), key());
        born(&store, &taken, NOW).await;
        assert_eq!(store.bar(&taken, at(60), NOW).await, Ok(Replaced::Changed));
        assert_eq!(store.bar(&free, at(60), NOW).await, Ok(Replaced::Done));
        assert_eq!(store.bar(&free, at(90), NOW).await, Ok(Replaced::Changed));
        assert!(matches!(store.load(&free, at(59)).await, Ok(Some(Entry::Superseded { until })) if until == at(60)));
        assert!(matches!(edit(&store, &free, r#"{"a":1}"#, RULES, at(59)).await, Edited::Dead));
        assert_eq!(store.bar(&free, at(120), at(60)).await, Ok(Replaced::Done));
    });
}

fn ending_says_what_ended(stand: &Stand) {
    block_on(async {
        let (store, guest, unmarked) = (stand.worker(), key(), key());
        let user = inserted(&store, of("alice", key(), NOW)).await;
        let ended = store.end(&user, false, at(60), NOW).await;
        assert!(matches!(ended, Ok(Ended::Session(session)) if session.user.as_deref() == Some("alice")));
        assert!(matches!(store.load(&user, NOW).await, Ok(Some(Entry::Ended { until })) if until == at(60)));
        assert!(matches!(store.end(&user, true, at(90), NOW).await, Ok(Ended::Dead)));
        assert!(keys_of(&store, "alice", NOW).await.is_empty());
        assert!(store.by_id(&user.into(), NOW).await.unwrap().is_none());
        assert!(matches!(store.end(&guest, true, at(60), NOW).await, Ok(Ended::Marked)));
        assert!(matches!(edit(&store, &guest, r#"{"a":1}"#, RULES, NOW).await, Edited::Dead));
        assert!(matches!(store.end(&unmarked, false, at(60), NOW).await, Ok(Ended::Nothing)));
        assert!(store.load(&unmarked, NOW).await.unwrap().is_none());
    });
}

fn a_user_s_sessions_are_found_and_no_other_s(stand: &Stand) {
    block_on(async {
        let store = stand.worker();
        let mut alices = Vec::new();
        for _ in 0..70 {
            alices.push(inserted(&store, of("alice", key(), NOW)).await);
        }
        alices.sort();
        let bob = inserted(&store, of("bob", key(), NOW)).await;
        assert_eq!(keys_of(&store, "alice", NOW).await, alices);
        assert_eq!(keys_of(&store, "bob", NOW).await, [bob]);
        assert!(keys_of(&store, "carol", NOW).await.is_empty());
        for (index, key) in alices.iter().enumerate().filter(|(index, _)| index % 2 == 0) {
            assert!(matches!(store.end(key, false, at(60), NOW).await, Ok(Ended::Session(_))), "{index}");
        }
        let odd: Vec<StoreKey> = alices.iter().copied().skip(1).step_by(2).collect();
        assert_eq!(keys_of(&store, "alice", NOW).await, odd);
        assert!(keys_of(&store, "alice", at(1800)).await.is_empty());
    });
}

fn sessions_are_found_by_user_and_by_id_wherever_they_moved(stand: &Stand) {
    block_on(async {
        let (store, first, second, third) = (stand.worker(), key(), key(), key());
        let session = of("alice", first, NOW);
        let id = session.id;
        store.insert(&first, session.clone()).await.expect("there is room");
        inserted(&store, of("bob", key(), NOW)).await;
        assert_eq!(moved(&store, &first, Entry::Ended { until: NOW }, &second, session.clone()).await, Replaced::Done);
        assert_eq!(keys_of(&store, "alice", NOW).await, [second]);
        assert_eq!(store.by_id(&id, NOW).await.unwrap().map(|(key, _)| key), Some(second));
        // A login gives it another id, and then another user's.
        let other = of("carol", third, NOW);
        assert_eq!(moved(&store, &second, superseded(), &third, other).await, Replaced::Done);
        assert!(keys_of(&store, "alice", NOW).await.is_empty());
        assert_eq!(keys_of(&store, "carol", NOW).await, [third]);
        assert!(store.by_id(&id, NOW).await.unwrap().is_none());
        assert_eq!(store.by_id(&third.into(), NOW).await.unwrap().map(|(key, _)| key), Some(third));
    });
}

fn a_move_that_was_undone_leaves_nothing_behind(stand: &Stand) {
    block_on(async {
        let (store, new) = (stand.worker(), key());
        let old = inserted(&store, of("alice", key(), NOW)).await;
        let mut undone = 0;
        for round in 0..stand.rounds(5000, 200) {
            let version = live(&store, &old, NOW).await.unwrap().version;
            // An edit at the same time comes before, in between or after; where it comes first, the move is not made.
            let session = Session { version: version + 1, ..live(&store, &old, NOW).await.unwrap() };
            let step = Replace { old: &old, seen: Some(version), leave: renewed(new), new: &new, session };
            let other = stand.worker();
            let json = format!(r#"{{"n":{round}}}"#);
            let (moved, _) = tokio::join!(store.replace(step, NOW), edit(&other, &old, &json, NO_BIRTH, NOW));
            match moved {
                Ok(Replaced::Changed) => undone += 1,
                Ok(Replaced::Done) => return,
                other => panic!("{other:?}"),
            }
            assert!(store.load(&new, NOW).await.unwrap().is_none());
            assert_eq!(keys_of(&store, "alice", NOW).await, [old]);
        }
        assert!(undone > 0);
    });
}
