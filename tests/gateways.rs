//! Several gateways on one Redis: what they have in common, what each request costs it, and how they are let in.

#[path = "gateways/harness.rs"]
mod harness;
#[path = "gateways/limit.rs"]
mod limit;
#[path = "gateways/secrets.rs"]
mod secrets;
mod support;

use std::collections::BTreeMap;
use std::fs;

use serde_json::json;

use support::redis::{Options, Redis};
use support::*;

/// Two gateways on a Redis, each of which asks it whenever it wants to know.
fn two_gateways() -> Site {
    Site::build().gateways(2).redis(Redis::start(), "near_cache = false").start()
}

#[test]
fn a_session_written_by_one_gateway_is_the_same_on_another() {
    let site = two_gateways();
    let browser = site.guest();
    let (here, there) = (site.at(0, &browser), site.at(1, &browser));
    site.login_as(&here, "alice");
    site.patch(&there, r#"{"a":[1,"\u00fc"]}"#);
    site.patch(&here, r#"{"b":{"c":null}}"#);
    let (one, other) = (site.look(&here), site.look(&there));
    assert_eq!(one.data(), Some(json!({"a": [1, "\u{fc}"], "b": {"c": null}})));
    for name in ["Id", "User", "Data", "Created", "Expires"] {
        assert!(one.session(name).is_some());
        assert_eq!(one.session(name), other.session(name), "{name}");
    }
    site.logout(&there);
    site.look(&here.copy()).assert_no_session();
}

#[test]
fn a_rolling_restart_loses_nothing() {
    let mut site = two_gateways();
    let (alice, cart) = (site.login("alice"), site.keep(r#"{"cart":["apple"]}"#));
    for index in [0, 1] {
        site.replace_gateway(index);
        for _ in 0..2 {
            assert_eq!(site.look(&alice).user(), Some("alice"));
            assert_eq!(site.look(&cart).data(), Some(json!({"cart": ["apple"]})));
        }
    }
}

#[test]
fn a_gateway_that_starts_while_redis_is_away_serves_guests_and_then_sessions() {
    let mut site = Site::build().gateways(2).mirror("").redis(Redis::start(), "near_cache = false").start();
    let alice = site.login("alice");
    site.redis().freeze();
    site.replace_gateway(0);
    let guest = site.at(0, &site.browser());
    assert!(site.look(&guest).is_new());
    let alice = site.at(0, &alice);
    assert_eq!(alice.send(get("/mirror")).answer().status(), 503);
    site.redis().thaw();
    let answer = eventually("sessions are served", || {
        let answer = alice.send(get("/mirror")).answer();
        (answer.status() == 200).then_some(answer)
    });
    assert_eq!(answer.saw("User"), Some("alice"));
}

#[test]
fn a_flood_without_cookies_asks_redis_nothing() {
    let mut site = two_gateways();
    let returning = site.guest();
    for _ in 0..100 {
        site.look(&site.browser());
        site.look(&returning);
        let forger = site.browser();
        forger.plant(COOKIE, &"A".repeat(96));
        site.look(&forger);
    }
    assert_eq!(site.redis().calls(), BTreeMap::new());
    assert_eq!(site.redis().dump().entries, []);
}

#[test]
fn a_request_in_a_session_asks_redis_once() {
    let mut site = two_gateways();
    let alice = site.login("alice");
    let before = site.redis().calls();
    for _ in 0..10 {
        site.look(&alice);
    }
    let after = site.redis().calls();
    let asked: u64 = after.values().sum::<u64>() - before.values().sum::<u64>();
    assert_eq!(asked, 10, "{before:?} {after:?}");
}

#[test]
fn nothing_stays_in_redis_for_ever() {
    let mut site = Site::build().session("idle_timeout = \"4h\"").redis(Redis::start(), "near_cache = false").start();
    let (alice, bob) = (site.login("alice"), site.login("bob"));
    site.keep(r#"{"cart":["apple"]}"#);
    site.visit(&alice, get("/persist"), ok().session("Persist", "true"));
    site.wait(3601);
    site.look(&alice);
    site.logout(&bob);
    let dump = site.redis().dump();
    assert!(dump.entries.len() >= 6, "{dump:?}");
    let longest = 32 * 24 * 60 * 60 * 1000;
    let lasting: Vec<_> =
        dump.entries.iter().filter(|entry| entry.ttl.is_none_or(|left| left == 0 || left > longest)).collect();
    assert!(lasting.is_empty(), "{lasting:?}");
}

/// A site on a server that wants something, and what it holds after a login.
fn logs_in(options: Options, url: impl Fn(&Redis) -> String, lines: impl Fn(&Redis) -> String) -> Vec<String> {
    let redis = options.start();
    let site = Site::build().redis_at(&url(&redis), &lines(&redis)).start();
    let alice = site.login("alice");
    assert_eq!(site.look(&alice).user(), Some("alice"));
    let dump = redis.dump();
    dump.entries.iter().map(|entry| String::from_utf8_lossy(&entry.key).into_owned()).collect()
}

#[test]
fn keys_have_a_prefix_and_stay_in_their_database() {
    let lines = |_: &Redis| "key_prefix = \"shop\"".to_owned();
    let keys = logs_in(Redis::build(), |redis| redis.url() + "/7", lines);
    assert!(!keys.is_empty() && keys.iter().all(|key| key.starts_with("shop:")), "{keys:?}");
    let redis = Redis::start();
    let site = Site::build().redis_at(&(redis.url() + "/7"), "").start();
    site.login("alice");
    let keyspace = redis.command(&["INFO", "keyspace"]).text();
    assert!(keyspace.contains("db7:") && !keyspace.contains("db0:"), "{keyspace}");
}

#[test]
fn a_password_may_stand_in_the_url_or_in_a_file() {
    let plain = |redis: &Redis| format!("redis://127.0.0.1:{}", redis.port());
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("password");
    fs::write(&file, "opensesame\n").expect("a writable directory");
    let password = || Redis::build().password("opensesame");
    logs_in(password(), Redis::url, |_| String::new());
    logs_in(password(), plain, |_| format!("password_file = {file:?}"));
}

/// What an operator has to allow.
#[test]
fn a_user_needs_no_more_rights_than_the_documentation_says() {
    let rules = "resetkeys ~sgw:* resetchannels -@all +@read +@write +@scripting +@connection";
    logs_in(Redis::build().user("gateway", "secret", rules), Redis::url, |_| String::new());
}

#[test]
fn tls_is_checked_against_the_authority_that_is_named() {
    let ca = |redis: &Redis| format!("ca = {:?}", redis.authority());
    logs_in(Redis::build().tls(), Redis::url, ca);
    let redis = Redis::build().tls().start();
    let stranger = Redis::build().tls().start();
    let site = Site::build().redis_at(&redis.url(), &ca(&stranger)).start();
    let (_, answer) = site.visit(&site.browser(), post("/login"), ok().session("User", "alice"));
    assert_eq!(answer.status(), 503, "{}", answer.text_head());
    assert_eq!(redis.dump().entries, []);
}
