//! Redis fails in every way it can, and nobody is logged out: no cookie is touched, no request waits for longer than it
//! may, guests are served, nothing is reported as stored that is not, and afterwards everybody is who they were.

#[path = "outage/stand.rs"]
mod stand;
mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use stand::{Stand, TIMEOUT, assert_refusal, within_limit};
use support::redis::Redis;
use support::*;

#[test]
fn a_killed_redis_logs_nobody_out() {
    let mut stand = Stand::new(Redis::build());
    for _ in 0..2 {
        stand.redis.kill();
        stand.endure();
        stand.endure();
        stand.redis.restart();
        stand.recover();
        stand.site.patch(&stand.alice, r#"{"note":"kept"}"#);
    }
}

#[test]
fn a_redis_that_stands_still_for_ten_seconds_logs_nobody_out() {
    let stand = Stand::new(Redis::build());
    stand.redis.freeze();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(10) {
        stand.endure();
    }
    stand.redis.thaw();
    stand.recover();
}

#[test]
fn while_redis_stands_still_requests_are_refused_at_once_and_not_each_after_its_timeout() {
    let stand = Stand::new(Redis::build());
    stand.redis.freeze();
    stand.endure();
    let began = Instant::now();
    for _ in 0..50 {
        stand.refuse(&stand.alice, get("/look"));
    }
    assert!(began.elapsed() < TIMEOUT * 10, "{:?} for fifty", began.elapsed());
}

#[test]
fn a_paused_redis_logs_nobody_out() {
    let stand = Stand::new(Redis::build());
    stand.redis.command(&["CLIENT", "PAUSE", "3000", "ALL"]);
    stand.endure();
    stand.recover();
}

#[test]
fn a_redis_whose_writes_are_paused_serves_sessions_and_refuses_changes() {
    let stand = Stand::new(Redis::build());
    stand.redis.command(&["CLIENT", "PAUSE", "60000", "WRITE"]);
    assert_eq!(stand.serve(&stand.alice, get("/look"), ok()).user(), Some("alice"));
    stand.refuse_change(&stand.alice, ok().session("Patch", r#"{"note":"kept"}"#));
    stand.redis.command(&["CLIENT", "UNPAUSE"]);
    stand.recover();
}

#[test]
fn a_slow_network_is_waited_for_no_longer_than_the_timeout() {
    let stand = Stand::new(Redis::build());
    stand.relay.suffer(Fault::Latency(TIMEOUT / 5));
    assert_eq!(stand.serve(&stand.alice, get("/look"), ok()).user(), Some("alice"), "slow is not failed");
    stand.relay.suffer(Fault::Latency(TIMEOUT * 2));
    stand.endure();
    stand.relay.heal();
    stand.recover();
}

#[test]
fn a_silent_network_logs_nobody_out() {
    let stand = Stand::new(Redis::build());
    stand.relay.suffer(Fault::Silence);
    stand.endure();
    stand.relay.heal();
    stand.recover();
}

#[test]
fn a_connection_lost_in_the_middle_of_a_reply_logs_nobody_out() {
    let stand = Stand::new(Redis::build());
    for bytes in [0, 1, 7, 40] {
        stand.relay.suffer(Fault::CutAfter(bytes));
        stand.endure();
        stand.relay.heal();
        stand.until_alice_gets(200);
        stand.assert_all_is_well();
    }
    stand.recover();
}

#[test]
fn a_network_that_hangs_up_or_refuses_logs_nobody_out() {
    let stand = Stand::new(Redis::build());
    for fault in [Fault::Hangup, Fault::Refusal] {
        stand.relay.suffer(fault);
        stand.endure();
        stand.relay.heal();
    }
    stand.recover();
}

#[test]
fn connections_that_redis_ends_are_made_again() {
    let stand = Stand::new(Redis::build());
    stand.throw_out();
    stand.recover();
}

/// Everything is gone, and the cookies of those who had something say so; it is not a fault.
#[test]
fn a_redis_that_is_emptied_serves_everybody_as_a_stranger() {
    let stand = Stand::new(Redis::build());
    stand.redis.command(&["FLUSHALL"]);
    for browser in [&stand.alice, &stand.cart] {
        stand.site.look(browser).assert_stranger();
    }
    assert_eq!(stand.site.look(&stand.site.login("alice")).user(), Some("alice"));
}

#[test]
fn a_redis_that_forgets_its_scripts_is_told_them_again() {
    let stand = Stand::new(Redis::build());
    stand.redis.command(&["SCRIPT", "FLUSH"]);
    stand.assert_all_is_well();
    stand.recover();
}

#[test]
fn a_full_redis_serves_sessions_lets_them_end_and_refuses_to_store_more() {
    let stand = Stand::new(Redis::build());
    let bob = stand.site.login("bob");
    stand.redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    stand.assert_all_is_well();
    stand.refuse_change(&stand.alice, ok().session("Patch", r#"{"note":"lost"}"#));
    stand.refuse_change(&stand.guest, ok().session("User", "mallory"));
    stand.refuse_change(&stand.site.browser(), ok().session("User", "mallory"));
    assert!(stand.site.logout(&bob).deletes_sid(), "there is always room for a logout");
    stand.site.look(&bob).assert_no_session();
    stand.assert_all_is_well();
    stand.redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    stand.recover();
}

#[test]
fn a_password_changed_under_the_gateway_logs_nobody_out() {
    let stand = Stand::new(Redis::build().user("gateway", "first", "~* &* +@all"));
    stand.redis.command(&["ACL", "SETUSER", "gateway", "resetpass", ">second"]);
    stand.throw_out();
    stand.until_alice_gets(503);
    stand.endure();
    stand.redis.command(&["ACL", "SETUSER", "gateway", "resetpass", ">first"]);
    stand.recover();
}

#[test]
fn a_user_who_may_not_write_serves_sessions_and_refuses_changes() {
    let stand = Stand::new(Redis::build().user("gateway", "first", "~* &* +@all"));
    stand.redis.command(&["ACL", "SETUSER", "gateway", "-@write", "-@scripting"]);
    stand.assert_all_is_well();
    stand.refuse_change(&stand.alice, ok().session("Patch", r#"{"note":"lost"}"#));
    stand.redis.command(&["ACL", "SETUSER", "gateway", "+@all"]);
    stand.recover();
}

/// One record that is not ours costs its visitor an error, and nobody else anything.
#[test]
fn a_record_that_cannot_be_read_is_an_error_for_its_visitor_alone_and_logs_nobody_out() {
    let stand = Stand::new(Redis::build());
    let key = stand.key_of("alice");
    let good = stand.redis.command(&[b"DUMP".as_slice(), &key]).bytes().to_vec();
    let spoil = |words: &[&[u8]]| {
        stand.redis.command(&[b"DEL".as_slice(), &key]);
        stand.redis.command(words);
    };
    let ways: [&[&[u8]]; 4] = [
        &[b"SET", &key, b"something else"],
        &[b"HSET", &key, b"m", b"9 live and well"],
        &[b"HSET", &key, b"other", b"1"],
        &[b"HSET", &key, b"m", b"1 live \xff"],
    ];
    for way in ways {
        spoil(way);
        let counted = stand.site.metric_if_any("session_gateway_store_unreadable_total", &[]).unwrap_or(0);
        stand.refuse(&stand.alice, get("/look"));
        assert!(stand.site.metric("session_gateway_store_unreadable_total", &[]) > counted);
        let cart = stand.site.look(&stand.cart);
        assert_eq!(cart.data(), Some(json!({"cart": ["apple"]})));
        stand.redis.command(&[b"RESTORE".as_slice(), &key, b"0", &good, b"REPLACE"]);
        stand.assert_all_is_well();
    }
    stand.recover();
}

#[test]
fn where_a_route_says_so_sessions_are_served_as_strangers_while_redis_is_down_and_keep_their_cookies() {
    let mut stand = Stand::new(Redis::build());
    let before = stand.alice.sid();
    stand.redis.kill();
    for _ in 0..3 {
        let seen = stand.serve(&stand.alice, get("/open"), ok());
        assert_eq!((seen.user(), seen.data(), seen.is_new()), (None, None, false));
    }
    // What cannot be done is not reported as done, a logout least of all.
    for reply in [
        ok().session("Patch", r#"{"note":"lost"}"#),
        ok().session("User", "mallory"),
        ok().session("End", "this"),
        ok().session("Renew", "true"),
    ] {
        let (_, answer) = within_limit(|| stand.site.visit(&stand.alice, post("/open"), reply));
        assert_refusal(&answer);
    }
    assert_eq!(stand.alice.sid(), before);
    assert!(stand.site.metric("session_gateway_requests_without_store_total", &[("outcome", "anonymous")]) >= 7);
    stand.refuse(&stand.alice, get("/look"));
    assert!(stand.site.metric("session_gateway_requests_without_store_total", &[("outcome", "rejected")]) >= 1);
    stand.redis.restart();
    stand.recover();
}

#[test]
fn a_guest_whose_ticket_waits_to_be_signed_anew_is_served_without_redis() {
    let before = Site::build().keys(&[1]).start();
    let mut stand = Stand::with(Redis::build(), Site::build().keys(&[2, 1]));
    let guest = stand.site.browser();
    guest.plant(COOKIE, &before.guest().sid().expect("a guest's ticket"));
    stand.redis.kill();
    assert!(!stand.serve(&guest, get("/look"), ok()).is_new());
    stand.redis.restart();
    eventually("the ticket is signed anew", || stand.site.visit(&guest, get("/look"), ok()).1.sid());
}

#[test]
fn readiness_says_whether_redis_answers() {
    let mut stand = Stand::new(Redis::build());
    let ready = |target: &str| {
        let answer = within_limit(|| stand.site.admin(get(target)));
        (answer.status(), answer.text())
    };
    assert_eq!(ready("/readyz"), (200, "ready\n".to_owned()));
    assert_eq!(ready("/readyz?store=optional"), (200, "ready\n".to_owned()));
    assert_eq!(ready("/readyz?store=never").0, 400);
    stand.redis.kill();
    let ready = |target: &str| {
        let answer = within_limit(|| stand.site.admin(get(target)));
        (answer.status(), answer.text())
    };
    let (status, text) = ready("/readyz");
    assert!(status == 503 && text.contains("the session store is not available"), "{status} {text}");
    let (status, text) = ready("/readyz?store=optional");
    assert!(status == 200 && text.contains("the session store is not available"), "{status} {text}");
    assert_eq!(ready("/livez").0, 200);
    stand.redis.restart();
    eventually("the gateway is ready again", || (stand.site.admin(get("/readyz")).status() == 200).then_some(()));
}

/// The backend has answered, and takes its logout for done: the client may be gone by then.
#[test]
fn a_logout_everywhere_is_carried_out_though_its_client_does_not_wait_for_it() {
    let stand = Stand::new(Redis::build());
    let others = [stand.site.login("alice"), stand.site.login("alice")];
    stand.relay.suffer(Fault::Latency(TIMEOUT / 5));
    let pending = stand.alice.send(post("/logout"));
    let exchange = stand.site.backend.next();
    let looks = || stand.redis.calls().get("zrange").copied().unwrap_or(0);
    let before = looks();
    exchange.reply(ok().session("End", "all"));
    eventually("the gateway looks for her sessions", || (looks() > before).then_some(()));
    drop(pending);
    stand.relay.heal();
    for browser in others.iter().chain([&stand.alice]) {
        eventually("they are logged out", || stand.site.look(&browser.copy()).user().is_none().then_some(()));
    }
}
