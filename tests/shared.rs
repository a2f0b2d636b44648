//! Gateways that keep their sessions in Redis, as their users meet them.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "store/server.rs"]
mod server;
mod support;

use std::time::{Duration, Instant};

use server::Server;
use support::{Browser, COOKIE, PATIENCE, Setup, Site, get, ok, post, request};

fn site(server: &Server) -> Site {
    setup(&server.url()).start()
}

fn setup(url: &str) -> Setup {
    // Long enough for many servers on few cores.
    Site::build().store(&format!(
        "kind = \"redis\"\nurl = \"{url}\"\nnear_cache = false\ntimeout = \"5s\"\nconnect_timeout = \"5s\""
    ))
}

/// The same visitor, sent to another gateway.
fn sent_to(site: &Site, browser: &Browser) -> Browser {
    let there = site.browser();
    there.plant(COOKIE, &browser.sid().expect("a cookie of ours"));
    there
}

#[test]
fn a_user_logs_in_comes_back_and_logs_out() {
    let server = Server::start(&[]);
    let site = site(&server);
    let browser = site.login("alice");
    site.patch(&browser, r#"{"cart":["a"]}"#);
    let seen = site.look(&browser);
    assert_eq!((seen.user(), seen.session("Data")), (Some("alice"), Some(r#"{"cart":["a"]}"#)));
    site.logout(&browser);
    site.look(&browser).assert_no_session();
    assert_eq!(site.metric("session_gateway_sessions_ended_total", &[("reason", "logout")]), 1);
}

#[test]
fn a_visitor_without_a_session_costs_no_command() {
    let server = Server::start(&[]);
    let site = site(&server);
    let browser = site.guest();
    for _ in 0..5 {
        site.look(&browser).assert_no_session();
        site.look(&site.browser()).assert_no_session();
    }
    let stats: String = server.ask(&[b"INFO", b"commandstats"]);
    let asked: Vec<&str> = stats.lines().filter(|line| line.contains("hgetall") || line.contains("eval")).collect();
    assert!(asked.is_empty(), "{asked:?}");
}

#[test]
fn a_session_written_by_one_gateway_is_the_same_on_another() {
    let server = Server::start(&[]);
    let (one, other) = (site(&server), site(&server));
    let browser = one.login("alice");
    one.patch(&browser, r#"{"cart":["a"]}"#);
    let before = one.look(&browser);
    let there = sent_to(&other, &browser);
    let seen = other.look(&there);
    assert_eq!((seen.id(), seen.user()), (before.id(), Some("alice")));
    assert_eq!(seen.session("Data"), Some(r#"{"cart":["a"]}"#));
    other.patch(&there, r#"{"cart":["a","b"]}"#);
    assert_eq!(one.look(&browser).session("Data"), Some(r#"{"cart":["a","b"]}"#));
    // What ends on one has ended on all.
    one.logout(&browser.copy());
    other.look(&there).assert_no_session();
}

#[test]
fn a_gateway_that_is_restarted_forgets_nobody() {
    let server = Server::start(&[]);
    let mut first = site(&server);
    let browser = first.login("alice");
    first.stop().join().unwrap();
    let second = site(&server);
    assert_eq!(second.look(&sent_to(&second, &browser)).user(), Some("alice"));
}

#[test]
fn the_api_lists_shows_and_revokes() {
    let server = Server::start(&[]);
    let (one, other) = (site(&server), site(&server));
    let browser = one.login("alice");
    let id = one.look(&browser).id().to_owned();
    let answer = other.admin(get("/sessions?user=alice"));
    assert!(answer.text().contains(&id), "{}", answer.text());
    assert_eq!(other.admin(get(&format!("/sessions/{id}"))).status(), 200);
    assert_eq!(other.admin(request("DELETE", &format!("/sessions/{id}"))).status(), 200);
    one.look(&browser).assert_no_session();
}

#[test]
fn a_store_that_cannot_be_asked_costs_nobody_a_session() {
    let server = Server::start(&[]);
    let site = site(&server);
    let (browser, guest) = (site.login("alice"), site.guest());
    // A replica of nobody answers no question that changes anything, and then none at all.
    server.ask::<()>(&[b"REPLICAOF", b"127.0.0.1", b"1"]);
    let (_, answer) = site.visit(&browser, post("/patch"), ok().session("Patch", r#"{"a":1}"#));
    assert_eq!((answer.status(), answer.set_cookies().len()), (503, 0));
    site.look(&guest).assert_no_session();
    server.ask::<()>(&[b"REPLICAOF", b"NO", b"ONE"]);
    let deadline = Instant::now() + PATIENCE;
    let seen = loop {
        let pending = browser.send(get("/look"));
        if let Some(exchange) = site.backend.next_within(Duration::from_millis(100)) {
            let seen = exchange.session("User").map(str::to_owned);
            exchange.reply(ok());
            assert_eq!(pending.answer().status(), 200);
            break seen;
        }
        let answer = pending.answer();
        assert_eq!((answer.status(), answer.set_cookies().len()), (503, 0));
        assert!(Instant::now() < deadline, "the session should be there again");
    };
    assert_eq!(seen.as_deref(), Some("alice"));
}
