//! Routes that would rather have an old session than none while Redis is away.

mod support;

use serde_json::json;
use support::redis::Redis;
use support::*;

/// A gateway whose routes serve old sessions, and its Redis behind a relay.
struct Stand {
    site: Site,
    relay: Relay,
    redis: Redis,
}

impl Stand {
    fn new() -> Self {
        let redis = Redis::start();
        let relay = Relay::to(redis.port());
        // One worker has one connection, and so every request meets the same fate.
        let setup = Site::build().listen("workers = 1").mirror("on_store_failure = \"stale\"");
        let site = setup.redis_at(&redis.url_through(relay.port()), "max_stale = \"2m\"").start();
        Self { site, relay, redis }
    }

    /// Logged in, with a note, and seen since.
    fn alice(&self) -> Browser {
        let alice = self.site.login("alice");
        self.site.patch(&alice, r#"{"note":"kept"}"#);
        assert_eq!(self.site.look(&alice).session("Stale"), None);
        alice
    }

    /// Redis cannot be reached, and the gateway has noticed: this session is an old one.
    fn cut_off(&self, browser: &Browser) {
        self.relay.suffer(Fault::Refusal);
        eventually("the session is an old one", || {
            (browser.send(get("/mirror")).answer().saw("Stale") == Some("true")).then_some(())
        });
    }
}

#[test]
fn a_session_is_served_as_it_was_and_marked_so() {
    let stand = Stand::new();
    let alice = stand.alice();
    let (before, cookie) = (stand.site.look(&alice), alice.sid());
    stand.cut_off(&alice);
    let (seen, answer) = stand.site.visit(&alice, get("/look"), ok());
    assert_eq!(seen.session("Stale"), Some("true"));
    assert_eq!(seen.data(), Some(json!({"note": "kept"})));
    for name in ["Id", "User", "Data", "Created", "Expires", "New"] {
        assert_eq!(seen.session(name), before.session(name), "{name}");
    }
    assert_eq!((answer.status(), answer.sid()), (200, None));
    assert_eq!(alice.sid(), cookie);
    assert!(stand.site.metric("session_gateway_requests_without_store_total", &[("outcome", "stale")]) > 0);

    stand.relay.heal();
    eventually("the session is as it is now", || {
        (alice.send(get("/mirror")).answer().saw("Stale").is_none()).then_some(())
    });
    assert_eq!(stand.site.look(&alice).data(), Some(json!({"note": "kept"})));
    assert_eq!(alice.sid(), cookie);
}

#[test]
fn nothing_can_be_changed_through_an_old_session() {
    let stand = Stand::new();
    let alice = stand.alice();
    let cookie = alice.sid();
    stand.cut_off(&alice);
    for reply in [
        ok().session("Patch", r#"{"note":"lost"}"#),
        ok().session("User", "bob"),
        ok().session("End", "this"),
        ok().session("End", "all"),
        ok().session("Renew", "true"),
        ok().session("Persist", "true"),
    ] {
        let (seen, answer) = stand.site.visit(&alice, post("/change"), reply.clone());
        assert_eq!(seen.user(), Some("alice"));
        assert_eq!((answer.status(), answer.set_cookies()), (503, vec![]), "{reply:?}");
    }
    assert_eq!(alice.sid(), cookie);
    assert_eq!(stand.site.look(&alice).data(), Some(json!({"note": "kept"})), "a change that failed is no change");
}

/// Its cookie would have to be another by now.
#[test]
fn an_old_session_gets_no_new_ticket() {
    let stand = Stand::new();
    let alice = stand.alice();
    stand.site.visit(&alice, post("/remember"), ok().session("Persist", "true"));
    stand.site.wait(3590);
    stand.site.look(&alice);
    stand.site.look(&alice);
    let cookie = alice.sid();
    stand.cut_off(&alice);
    stand.site.wait(60);
    let (seen, answer) = stand.site.visit(&alice, get("/look"), ok());
    assert_eq!((seen.user(), seen.session("Stale")), (Some("alice"), Some("true")));
    assert_eq!((answer.status(), answer.sid()), (200, None), "renewal is due, and can wait");
    assert_eq!(alice.sid(), cookie);
}

#[test]
fn a_session_that_is_too_old_is_refused() {
    let stand = Stand::new();
    let alice = stand.alice();
    stand.cut_off(&alice);
    stand.site.wait(120);
    assert_eq!(stand.site.look(&alice).session("Stale"), Some("true"));
    stand.site.wait(1);
    let answer = alice.send(get("/mirror")).answer();
    assert_eq!((answer.status(), answer.set_cookies()), (503, vec![]));
}

#[test]
fn what_is_not_known_or_known_to_have_changed_is_refused() {
    let stand = Stand::new();
    let alice = stand.alice();
    let bob = stand.site.login("bob");
    let carol = stand.site.login("carol");
    stand.site.look(&carol);
    let thief = carol.copy();
    stand.site.logout(&carol);
    stand.cut_off(&alice);
    for (browser, why) in [(bob, "never read since the login"), (thief, "logged out")] {
        let answer = browser.send(get("/mirror")).answer();
        assert_eq!((answer.status(), answer.set_cookies()), (503, vec![]), "{why}");
    }
    stand.site.look(&stand.site.guest()).assert_no_session();
}

/// A session that ends while its gateway cannot be told is an old one there, for as long as `max_stale` says. Where the
/// telling works again, it is over.
#[test]
fn a_session_that_ended_meanwhile_is_over_when_redis_is_back() {
    let stand = Stand::new();
    let there = Site::build().redis_at(&stand.redis.url(), "").start();
    let alice = stand.alice();
    stand.cut_off(&alice);
    let thief = there.browser();
    thief.plant(COOKIE, &alice.sid().expect("a cookie of ours"));
    there.logout(&thief);
    stand.relay.heal();
    eventually("sessions are read again", || {
        alice.copy().send(get("/mirror")).answer().saw("Stale").is_none().then_some(())
    });
    stand.site.look(&alice).assert_no_session();
}
