//! What comes between the steps of a move, each time where it hurts.
//!
//! A move of a user's session asks six times: what is under the old key; the index; the new key; the index; the old
//! key; and, where that has changed, the new key again.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use session_gateway::session::entry::Renewed;
use session_gateway::session::{Entry, Session, StoreKey};
use session_gateway::store::{Ended, Error, Replace, Replaced, Store};

use super::gate::Gate;
use super::stand::*;
use super::support::Redis;

const BEFORE_THE_NEW_KEY: usize = 2;
const BEFORE_THE_OLD_KEY: usize = 4;

/// A mover, whose way is in the test's hands, and everybody else.
struct Between {
    gate: Gate,
    others: Store,
    redis: Redis,
    old: StoreKey,
    new: StoreKey,
}

impl Between {
    fn new() -> Self {
        let redis = Redis::start();
        let (gate, others) = (Gate::to(redis.port()), store_at(one(redis.port()), "sgw"));
        let (old, new) = (key(), key());
        block_on(async {
            let others = others.for_worker();
            // One move without, so that the server knows every script.
            let (from, to) = (key(), key());
            others.insert(&from, of("bob", from, NOW)).await.expect("there is room");
            let step = renewal(&from, &to, of("bob", from, NOW));
            assert_eq!(others.replace(step, NOW).await, Ok(Replaced::Done));
            others.insert(&old, of("alice", old, NOW)).await.expect("there is room");
        });
        Self { gate, others, redis, old, new }
    }

    /// Begins a renewal; returns when it has taken so many steps, with what will have become of it.
    fn move_up_to(&self, steps: usize) -> Receiver<Result<Replaced, Error>> {
        let (tell, told) = channel();
        let (mover, old, new) = (store_at(one(self.gate.port), "sgw"), self.old, self.new);
        let ((ready, is_ready), (go, may_go)) = (channel(), channel::<()>());
        std::thread::spawn(move || {
            block_on(async {
                let session = live(&mover, &old, NOW).await.expect("it is live");
                ready.send(()).expect("the test waits");
                may_go.recv().expect("the test goes on");
                let _ = tell.send(mover.replace(renewal(&old, &new, session), NOW).await);
            });
        });
        is_ready.recv().expect("the mover goes on");
        self.gate.shut();
        go.send(()).expect("the mover waits");
        self.gate.let_pass(steps);
        told
    }

    fn others(&self) -> Store {
        self.others.for_worker()
    }
}

fn renewal<'a>(old: &'a StoreKey, new: &'a StoreKey, session: Session) -> Replace<'a> {
    let seen = Some(session.version);
    let session = Session { renewed_from: Some(Box::new(*old)), version: session.version + 1, ..session };
    Replace { old, seen, leave: Entry::Renewed(Box::new(renewed(*new))), new, session }
}

fn renewed(to: StoreKey) -> Renewed {
    Renewed { to, issued_at: NOW, until: at(300) }
}

#[test]
fn a_change_between_the_steps_undoes_the_move() {
    let between = Between::new();
    let moved = between.move_up_to(BEFORE_THE_OLD_KEY);
    block_on(async {
        let others = between.others();
        others.edit(&between.old, &patch(r#"{"a":1}"#), NO_BIRTH, NOW).await.unwrap();
        between.gate.open();
        assert_eq!(moved.recv(), Ok(Ok(Replaced::Changed)));
        assert!(others.load(&between.new, NOW).await.unwrap().is_none());
        assert_eq!(keys_of(&others, "alice", NOW).await, [between.old]);
        assert_eq!(others.by_id(&between.old.into(), NOW).await.unwrap().map(|(key, _)| key), Some(between.old));
    });
}

#[test]
fn a_session_revoked_under_its_new_key_does_not_live_on_under_its_old_one() {
    let between = Between::new();
    let moved = between.move_up_to(BEFORE_THE_OLD_KEY);
    block_on(async {
        let others = between.others();
        others.edit(&between.old, &patch(r#"{"a":1}"#), NO_BIRTH, NOW).await.unwrap();
        assert!(matches!(others.end(&between.new, false, at(60), NOW).await, Ok(Ended::Session(_))));
        between.gate.open();
        assert_eq!(moved.recv(), Ok(Ok(Replaced::Changed)));
        assert!(matches!(others.load(&between.old, NOW).await, Ok(Some(Entry::Ended { until })) if until == at(60)));
        assert!(keys_of(&others, "alice", NOW).await.is_empty());
    });
}

#[test]
fn a_parallel_renewal_that_is_done_first_is_not_undone() {
    let between = Between::new();
    let moved = between.move_up_to(BEFORE_THE_OLD_KEY);
    block_on(async {
        let others = between.others();
        let session = live(&others, &between.old, NOW).await.unwrap();
        let step = renewal(&between.old, &between.new, session);
        assert_eq!(others.replace(step, NOW).await, Ok(Replaced::Done));
        between.gate.open();
        assert_eq!(moved.recv(), Ok(Ok(Replaced::Changed)));
        assert!(live(&others, &between.new, NOW).await.is_some());
        assert_eq!(keys_of(&others, "alice", NOW).await, [between.new]);
    });
}

#[test]
fn a_move_that_is_undone_late_leaves_what_another_has_put_in_its_place() {
    let between = Between::new();
    let moved = between.move_up_to(BEFORE_THE_OLD_KEY);
    block_on(async {
        let others = between.others();
        others.edit(&between.old, &patch(r#"{"a":1}"#), NO_BIRTH, NOW).await.unwrap();
        between.gate.let_pass(1);
        let session = live(&others, &between.old, NOW).await.unwrap();
        let step = renewal(&between.old, &between.new, session);
        assert_eq!(others.replace(step, NOW).await, Ok(Replaced::Done));
        between.gate.open();
        assert_eq!(moved.recv(), Ok(Ok(Replaced::Changed)));
        assert_eq!(data(&others, &between.new, NOW).await.as_deref(), Some(r#"{"a":1}"#));
    });
}

/// Whoever ends all sessions of a user must not miss one that is on its way.
#[test]
fn a_session_is_in_the_index_before_it_is_stored_and_stays_in_it() {
    let between = Between::new();
    let moved = between.move_up_to(BEFORE_THE_NEW_KEY);
    block_on(async {
        let others = between.others();
        let index = between.redis.command(&["KEYS", "sgw:u:*"]);
        let has_new = || {
            let name = session_gateway::session::PublicId::from(between.new).to_string();
            let score = |index: &super::support::redis::Value| {
                between.redis.command(&["ZSCORE", &index.text(), &name]) != super::support::redis::Value::Nil
            };
            index.list().iter().any(score)
        };
        assert!(has_new(), "before it is stored");
        // Who reads the index now finds nothing there, and puts the index right.
        assert_eq!(keys_of(&others, "alice", NOW).await, [between.old]);
        assert!(!has_new());
        between.gate.open();
        assert_eq!(moved.recv(), Ok(Ok(Replaced::Done)));
        assert_eq!(keys_of(&others, "alice", NOW).await, [between.new]);
    });
}

#[test]
fn a_move_that_nobody_waits_for_any_more_is_made_all_the_same() {
    let between = Between::new();
    let mover = store_at(one(between.gate.port), "sgw");
    block_on(async {
        let session = live(&mover, &between.old, NOW).await.unwrap();
        between.gate.shut();
        let step = renewal(&between.old, &between.new, session);
        assert!(tokio::time::timeout(Duration::from_millis(20), mover.replace(step, NOW)).await.is_err());
        between.gate.open();
        let others = between.others();
        let deadline = std::time::Instant::now() + super::support::PATIENCE;
        while !matches!(others.load(&between.old, NOW).await, Ok(Some(Entry::Renewed(_)))) {
            assert!(std::time::Instant::now() < deadline, "it should have been made by now");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert!(live(&others, &between.new, NOW).await.is_some());
    });
}
