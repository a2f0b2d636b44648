//! What `max_per_user` promises, whatever store the sessions are in.

use std::num::NonZeroUsize;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use session_gateway::session::ticket::Signed;
use session_gateway::session::{Change, Entry, KeyRing, StoreKey, Ticket, UnixTime, change};
use session_gateway::sessions::{Answer, Cookie, Counters, Error, Sessions, Settings};
use session_gateway::store::{self, Store, redis};

use super::gate::Gate;
use super::stand::*;
use super::support::Redis;

fn ring() -> KeyRing {
    KeyRing::new(&[[1; 32]], "__Host-sid").expect("a key")
}

/// A gateway's sessions in this store, so many for each user.
fn limited_to(most: usize, store: Store) -> (Sessions, Arc<Counters>) {
    let max_per_user = NonZeroUsize::new(most);
    let settings = Settings { lifetimes: lifetimes(), guest_cookie: true, max_data: 1000, max_per_user };
    let (ring, counters) = (ring(), Arc::new(Counters::default()));
    (Sessions::new(store, Arc::new(ring), Arc::new(settings), Arc::clone(&counters)), counters)
}

async fn try_login(sessions: &Sessions, user: &str, now: UnixTime) -> Result<StoreKey, Error> {
    let visit = sessions.open(None, true, now).await.expect("no store is asked");
    let login = Change { user: Some(change::user(user.as_bytes()).expect("a user")), ..Change::default() };
    match sessions.commit(&visit, &login, Answer::Private, now).await? {
        Cookie::Set { ticket, .. } => Ok(key_of(&ticket)),
        other => panic!("a login sets a cookie: {other:?}"),
    }
}

fn key_of(ticket: &Signed) -> StoreKey {
    Ticket::verify(ticket.as_bytes(), &ring()).expect("a ticket of ours").ticket.secret.store_key()
}

async fn login(sessions: &Sessions, user: &str, now: UnixTime) -> StoreKey {
    try_login(sessions, user, now).await.expect("the store stands")
}

pub(crate) fn a_login_beyond_the_limit_ends_the_user_s_longest_idle_session(stand: &Stand) {
    block_on(async {
        let (store, (sessions, counters)) = (stand.worker(), limited_to(2, stand.worker()));
        let bob = login(&sessions, "bob", NOW).await;
        let (first, second) = (login(&sessions, "alice", NOW).await, login(&sessions, "alice", at(10)).await);
        store.touch(&first, at(100)).await.unwrap();
        // What somebody has read lately is not shown to anybody any more once it has ended.
        assert!(live(&store, &second, at(100)).await.is_some());
        assert_eq!(counters.over_limit.get(), 0);
        let third = login(&sessions, "alice", at(110)).await;
        assert!(matches!(store.load(&second, at(110)).await, Ok(Some(Entry::Ended { .. }))));
        for key in [&first, &third, &bob] {
            assert!(live(&store, key, at(110)).await.is_some());
        }
        let mut expected = [first, third];
        expected.sort();
        assert_eq!((keys_of(&store, "alice", at(110)).await, counters.over_limit.get()), (expected.to_vec(), 1));
    });
}

/// Through many gateways. Whoever comes afterwards is let in, and there are not more for it.
pub(crate) fn logins_at_once_leave_no_more_sessions_than_the_limit(stand: &Stand) {
    const LOGINS: usize = 4;
    let start = Barrier::new(LOGINS);
    for round in 0..stand.rounds(200, 10) {
        let limit = 1 + round % 3;
        std::thread::scope(|scope| {
            for _ in 0..LOGINS {
                let (store, start) = (stand.worker(), &start);
                scope.spawn(move || {
                    block_on(async {
                        let (sessions, _) = limited_to(limit, store);
                        start.wait();
                        login(&sessions, "alice", NOW).await;
                    });
                });
            }
        });
        block_on(async {
            let store = stand.worker();
            assert_eq!(keys_of(&store, "alice", NOW).await.len(), limit, "round {round}");
            let newest = login(&limited_to(limit, stand.worker()).0, "alice", NOW).await;
            assert!(live(&store, &newest, NOW).await.is_some(), "round {round}");
            assert_eq!(keys_of(&store, "alice", NOW).await.len(), limit, "round {round}");
        });
    }
}

/// So many that some may find no place: those fail, and there are not more sessions for it.
#[test]
fn a_crowd_of_logins_at_once_leaves_no_more_sessions_than_the_limit() {
    let stand = Stand::redis();
    let start = Barrier::new(16);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                block_on(async {
                    let (sessions, _) = limited_to(1, stand.worker());
                    start.wait();
                    let login = try_login(&sessions, "alice", NOW).await;
                    assert!(matches!(login, Ok(_) | Err(Error::Contended)), "{login:?}");
                });
            });
        }
    });
    block_on(async {
        let store = stand.worker();
        assert!(keys_of(&store, "alice", NOW).await.len() <= 1);
        let newest = login(&limited_to(1, stand.worker()).0, "alice", NOW).await;
        assert_eq!(keys_of(&store, "alice", NOW).await, [newest]);
    });
}

/// A user without a limit costs no question more than before.
#[test]
fn where_no_limit_is_set_a_login_does_not_ask_for_the_others() {
    let stand = Stand::redis();
    let before = stand.redis_server().calls();
    block_on(async {
        let (sessions, _) = limited_to(0, stand.worker());
        login(&sessions, "alice", NOW).await;
        login(&sessions, "alice", NOW).await;
    });
    let after = stand.redis_server().calls();
    assert!(after != before && !after.contains_key("zrange") && !after.contains_key("hgetall"), "{after:?}");
}

/// A login of a stranger asks three times before it looks at the user's sessions: the index, the key, the index.
#[test]
fn a_login_stands_though_the_store_fails_before_the_others_are_ended() {
    let redis = Redis::start();
    let gate = Gate::to(redis.port());
    let others = store_at(one(redis.port()), "sgw");
    let settings = redis::Settings { timeout: Duration::from_millis(500), ..settings(one(gate.port), "sgw") };
    let here = Store::Redis(store::Redis::new(settings, lifetimes(), None));
    let first = block_on(async { login(&limited_to(1, others.for_worker()).0, "alice", NOW).await });
    let (tell, told) = std::sync::mpsc::channel();
    let (ready, is_ready) = std::sync::mpsc::channel();
    let (go, may_go) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        block_on(async {
            here.load(&first, at(1)).await.expect("the store stands");
            ready.send(()).expect("the test waits");
            may_go.recv().expect("the test goes on");
            let (sessions, counters) = limited_to(1, here);
            let login = try_login(&sessions, "alice", at(1)).await;
            let _ = tell.send((login, counters.over_limit.get()));
        });
    });
    is_ready.recv().expect("the login goes on");
    gate.shut();
    go.send(()).expect("the login waits");
    gate.let_pass(3);
    let (second, ended) = told.recv_timeout(super::support::PATIENCE).expect("the login is not kept waiting");
    let second = second.expect("the login stands");
    gate.open();
    block_on(async {
        let mut both = [first, second];
        both.sort();
        assert_eq!((keys_of(&others, "alice", at(2)).await, ended), (both.to_vec(), 0));
        let third = login(&limited_to(1, others.for_worker()).0, "alice", at(2)).await;
        assert_eq!(keys_of(&others, "alice", at(2)).await, [third], "the next login ends what is too many");
    });
}
