//! The near cache: what it spares, and that nobody is ever shown what has changed.

mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use support::redis::{Cluster, Redis};
use support::*;

/// How long the gateway waits for an answer before it takes the server for dead.
const TIMEOUT: Duration = Duration::from_millis(250);
/// How often it asks whether the server is still there.
const PING_EVERY: Duration = Duration::from_secs(1);

/// One gateway with a near cache.
fn one_gateway() -> Site {
    Site::build().redis(Redis::start(), "").start()
}

/// Two of them on one Redis, the first through a relay.
struct Pair {
    here: Site,
    there: Site,
    relay: Relay,
    redis: Redis,
}

impl Pair {
    fn new() -> Self {
        Self::with(&format!("timeout = \"{}ms\"", TIMEOUT.as_millis()))
    }

    fn with(lines: &str) -> Self {
        Self::suffering(Fault::None, lines)
    }

    fn suffering(fault: Fault, lines: &str) -> Self {
        let redis = Redis::start();
        let relay = Relay::to(redis.port());
        relay.suffer(fault);
        // One worker has one connection, and so every request meets the same fate.
        let gateway = |port| {
            let setup = Site::build().listen("workers = 1").session("idle_timeout = \"4h\"");
            setup.mirror("").redis_at(&redis.url_through(port), lines).start()
        };
        let (here, there) = (gateway(relay.port()), gateway(redis.port()));
        Self { here, there, relay, redis }
    }

    /// A visitor logged in as alice, whose session the first gateway keeps, at the one and at the other.
    fn alice(&self) -> (Browser, Browser) {
        let here = self.here.login("alice");
        self.here.look(&here);
        let there = self.there.browser();
        there.plant(COOKIE, &here.sid().expect("a cookie of ours"));
        (here, there)
    }
}

/// How long until the browser is nobody for this gateway.
fn time_until_stranger(site: &Site, browser: &Browser) -> Duration {
    let began = Instant::now();
    eventually("the session is gone", || site.look(&browser.copy()).user().is_none().then_some(()));
    began.elapsed()
}

#[test]
fn an_established_session_costs_no_round_trip() {
    let mut site = one_gateway();
    let alice = site.login("alice");
    site.look(&alice);
    let before = site.redis().calls();
    for _ in 0..100 {
        assert_eq!(site.look(&alice).user(), Some("alice"));
    }
    assert_eq!(site.redis().calls(), before);
}

#[test]
fn without_it_every_request_in_a_session_asks() {
    let mut site = Site::build().redis(Redis::start(), "near_cache = false").start();
    let alice = site.login("alice");
    let before = site.redis().calls().values().sum::<u64>();
    for _ in 0..10 {
        site.look(&alice);
    }
    assert_eq!(site.redis().calls().values().sum::<u64>() - before, 10);
}

#[test]
fn a_gateway_sees_its_own_writes_at_once() {
    let site = one_gateway();
    let alice = site.login("alice");
    for count in 0..50 {
        site.patch(&alice, &format!("{{\"count\":{count}}}"));
        for _ in 0..2 {
            assert_eq!(site.look(&alice).data(), Some(json!({"count": count})));
        }
    }
    let copy = alice.copy();
    site.logout(&alice);
    site.look(&copy).assert_no_session();
}

/// Nor does it need to be told of them.
#[test]
fn a_gateway_that_is_told_of_nothing_sees_its_own_writes_all_the_same() {
    let pair = Pair::suffering(Fault::Untold, "");
    let (here, _) = pair.alice();
    for count in 0..5 {
        pair.here.patch(&here, &format!("{{\"count\":{count}}}"));
        for _ in 0..2 {
            assert_eq!(pair.here.look(&here).data(), Some(json!({"count": count})));
        }
    }
    // Neither what a renewal leaves nor when the visitor was seen is written again with every request.
    for seconds in [3601, 61] {
        pair.here.wait(seconds);
        pair.here.look(&here);
        pair.here.look(&here);
        let before = pair.redis.calls();
        for _ in 0..10 {
            assert_eq!(pair.here.look(&here).user(), Some("alice"));
        }
        assert_eq!(pair.redis.calls().get("evalsha"), before.get("evalsha"), "after {seconds} seconds");
    }
    let thief = here.copy();
    pair.here.logout(&here);
    pair.here.look(&thief).assert_no_session();
}

/// Whatever goes wrong with the telling, it is some seconds and no more.
#[test]
fn a_change_that_nobody_tells_of_is_seen_after_some_seconds() {
    let pair = Pair::suffering(Fault::Untold, "");
    let (here, there) = pair.alice();
    pair.there.logout(&there);
    assert_eq!(pair.here.look(&here).user(), Some("alice"), "the fault is one");
    pair.here.wait(5);
    pair.here.look(&here).assert_no_session();
}

#[test]
fn a_revocation_is_seen_by_the_other_gateway_within_a_tenth_of_a_second() {
    let pair = Pair::new();
    let mut took = Vec::new();
    for round in 0..9 {
        let (here, there) = pair.alice();
        if round % 2 == 0 {
            pair.there.logout(&there);
        } else {
            let id = pair.there.look(&there).id().to_owned();
            assert_eq!(pair.there.admin(request("DELETE", &format!("/sessions/{id}"))).status(), 200);
        }
        took.push(time_until_stranger(&pair.here, &here));
    }
    took.sort();
    // The middle one: this machine may be busy with other tests for a moment, and not for half of all moments.
    assert!(took[took.len() / 2] < Duration::from_millis(100), "{took:?}");
}

#[test]
fn a_change_by_the_other_gateway_is_seen() {
    let pair = Pair::new();
    let (here, there) = pair.alice();
    for count in 0..9 {
        pair.there.patch(&there, &format!("{{\"count\":{count}}}"));
        eventually("the change is seen", || {
            (pair.here.look(&here).data() == Some(json!({"count": count}))).then_some(())
        });
    }
}

/// The reply says what was, and right behind it comes that it is no more: what has not been kept yet cannot be
/// forgotten.
#[test]
fn a_reply_and_its_invalidation_in_one_packet_leave_nothing_behind() {
    let pair = Pair::with("timeout = \"5s\"");
    let (here, there) = pair.alice();
    for count in 0..5 {
        // Old enough to be asked for again.
        pair.here.wait(10);
        let before = pair.relay.replied();
        pair.relay.suffer(Fault::HeldReplies);
        let reading = here.send(get("/look"));
        let replied =
            eventually("the session has been read", || Some(pair.relay.replied()).filter(|now| *now > before + 50));
        pair.there.patch(&there, &format!("{{\"count\":{count}}}"));
        eventually("the change has been told of", || (pair.relay.replied() > replied).then_some(()));
        pair.relay.heal();
        pair.here.backend.next().reply(ok());
        assert_eq!(reading.answer().status(), 200);
        assert_eq!(pair.here.look(&here).data(), Some(json!({"count": count})), "nothing else is to come");
    }
}

/// A late answer's cookie would overwrite the login's: what the gateway has kept must not decide on it.
#[test]
fn login_at_another_gateway_beats_a_read_in_flight_whose_ticket_is_to_be_signed_again() {
    let pair = Pair::suffering(Fault::Untold, "");
    let old = Site::build().keys(&[2]).redis_at(&pair.redis.url(), "").start();
    let new = Site::build().keys(&[1, 2]).redis_at(&pair.redis.url_through(pair.relay.port()), "").start();
    let browser = old.login("alice");
    let here = new.browser();
    here.plant(COOKIE, &browser.sid().expect("a cookie of ours"));
    let reading = here.send(get("/slow"));
    let exchange = new.backend.next();
    assert_eq!(exchange.session("User"), Some("alice"));
    old.login_as(&browser, "alice");
    exchange.reply(ok());
    assert_eq!(reading.answer().sid(), None);
}

#[test]
fn a_session_is_asked_for_again_when_it_is_some_seconds_old() {
    let mut site = one_gateway();
    let alice = site.login("alice");
    site.look(&alice);
    let before = site.redis().calls().values().sum::<u64>();
    site.wait(4);
    site.look(&alice);
    assert_eq!(site.redis().calls().values().sum::<u64>(), before);
    site.wait(1);
    site.look(&alice);
    site.look(&alice);
    assert_eq!(site.redis().calls().values().sum::<u64>(), before + 1);
}

#[test]
fn what_was_read_over_a_lost_connection_is_asked_for_again() {
    let pair = Pair::new();
    for fault in [Fault::Hangup, Fault::Refusal] {
        let (here, there) = pair.alice();
        pair.relay.suffer(fault);
        // Nobody knows any more whether it still stands.
        eventually("the gateway has noticed", || (here.send(get("/mirror")).answer().status() == 503).then_some(()));
        pair.there.logout(&there);
        pair.relay.heal();
        assert_stranger_once_served(&here);
    }
}

/// A connection that is open and dead: nobody says that the session has ended, and the gateway has to find out by
/// itself.
#[test]
fn a_server_that_has_fallen_silent_is_not_trusted_for_longer_than_a_second() {
    let pair = Pair::new();
    let (here, there) = pair.alice();
    pair.relay.suffer(Fault::Silence);
    let began = Instant::now();
    pair.there.logout(&there);
    while here.send(get("/mirror")).answer().status() == 200 {
        assert!(began.elapsed() < PING_EVERY + TIMEOUT * 3, "it is still trusted");
    }
    pair.relay.heal();
    assert_stranger_once_served(&here);
}

/// Refused for a while, and then nobody.
fn assert_stranger_once_served(browser: &Browser) {
    let answer = eventually("the gateway serves again", || {
        let answer = browser.copy().send(get("/mirror")).answer();
        (answer.status() != 503).then_some(answer)
    });
    assert_eq!((answer.status(), answer.saw("User"), answer.saw("New")), (200, None, Some("true")));
}

#[test]
fn an_emptied_redis_leaves_nothing_in_it() {
    let pair = Pair::new();
    let (here, _) = pair.alice();
    pair.redis.command(&["FLUSHALL"]);
    time_until_stranger(&pair.here, &here);
}

/// Every server of a cluster tells of what was read from it.
#[test]
fn it_hears_of_changes_in_a_cluster_and_spares_questions_there_too() {
    let cluster = Cluster::start();
    let gateway = || Site::build().listen("workers = 1").redis_at(&cluster.url(), "").start();
    let (here, there) = (gateway(), gateway());
    // Their sessions are on all three masters, or nearly so.
    let users: Vec<_> = (0..12).map(|i| here.login(&format!("user-{i}"))).collect();
    for user in &users {
        here.look(user);
    }
    let calls = || cluster.nodes.iter().map(|node| node.calls().values().sum::<u64>()).sum::<u64>();
    let before = calls();
    for user in users.iter().cycle().take(60) {
        assert!(here.look(user).user().is_some());
    }
    assert_eq!(calls(), before);
    for user in users {
        let elsewhere = there.browser();
        elsewhere.plant(COOKIE, &user.sid().expect("a cookie of ours"));
        there.logout(&elsewhere);
        time_until_stranger(&here, &user);
    }
}

#[test]
fn it_is_not_used_where_redis_may_not_tell_of_changes() {
    // Redis 6.2 cannot take away a part of a command.
    let redis = Redis::build().user("gateway", "secret", "~* &* +@all -client").start();
    let mut site = Site::build().redis(redis, "").start();
    let alice = site.login("alice");
    let before = site.redis().calls().values().sum::<u64>();
    for _ in 0..10 {
        assert_eq!(site.look(&alice).user(), Some("alice"));
    }
    assert_eq!(site.redis().calls().values().sum::<u64>() - before, 10);
}

#[test]
fn it_holds_no_more_than_it_may() {
    let site = Site::build().redis(Redis::start(), "near_cache_size = \"64KiB\"").start();
    for i in 0..100 {
        let browser = site.keep(&format!("{{\"text\":\"{}\"}}", "x".repeat(2000 + i)));
        site.look(&browser);
    }
    let bytes = site.metric("session_gateway_near_cache_bytes", &[]);
    assert!((1..=64 * 1024).contains(&bytes), "{bytes}");
}
