//! Sessions that several gateways share: what is done to them from another gateway, and what Redis may and can do.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use session_gateway::config::{self, Config};
use support::{Redis, Site, get, ok, post, request};

/// `examples/redis`, on ports of its own.
#[test]
fn the_example_with_two_gateways_does_what_its_page_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/redis");
    let [first, second] = ["gateway-1.toml", "gateway-2.toml"]
        .map(|name| config::load(&folder.join(name)).unwrap_or_else(|mistakes| panic!("{mistakes}")));
    let of_first = Config { listen: first.listen.clone(), admin: first.admin.clone(), ..second.clone() };
    assert_eq!(of_first, first, "they differ in where they listen alone");
    assert!(first.listen.https != second.listen.https && first.admin != second.admin);

    let backend = Command::new("python3").arg(folder.join("backend.py")).arg("0").stdout(Stdio::piped()).spawn();
    let mut backend = Ended(backend.expect("Python 3 is installed; `make test` installs it"));
    let mut line = String::new();
    BufReader::new(backend.0.stdout.take().expect("piped")).read_line(&mut line).expect("its address");
    let server = line.trim().strip_prefix("backend on ").expect("its address");
    let site = Site::build().gateways(2).servers(&[server]).redis(Redis::start(), "").start();
    let browser = site.browser();
    let page = || browser.send(get("/")).answer().text();
    assert!(page().contains("nobody, visit 1,") && page().contains("nobody, visit 2,"));
    let login = post("/login").with("Content-Type", "application/x-www-form-urlencoded").body("name=J%C3%B6rg+%3Cb%3E");
    assert_eq!(browser.send(login).answer().status(), 303);
    assert!(page().contains("J\u{f6}rg &lt;b&gt;, visit 3,") && page().contains("J\u{f6}rg &lt;b&gt;, visit 4,"));
    assert_eq!(browser.send(post("/logout").body("")).answer().status(), 303);
    assert!(page().contains("nobody, visit 1,"));
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_api_of_any_gateway_lists_shows_and_revokes() {
    let redis = Redis::start();
    let (one, other) = (
        Site::build().redis_at(&redis.url(), "near_cache = false").start(),
        Site::build().redis_at(&redis.url(), "near_cache = false").start(),
    );
    let browser = one.login("alice");
    let id = one.look(&browser).id().to_owned();
    let answer = other.admin(get("/sessions?user=alice"));
    assert!(answer.text().contains(&id), "{}", answer.text());
    assert_eq!(other.admin(get(&format!("/sessions/{id}"))).status(), 200);
    assert_eq!(other.admin(request("DELETE", &format!("/sessions/{id}"))).status(), 200);
    one.look(&browser).assert_no_session();
}

#[test]
fn a_replica_stores_nothing_and_logs_nobody_out() {
    let redis = Redis::start();
    let site = Site::build().redis_at(&redis.url(), "near_cache = false").start();
    let (browser, guest) = (site.login("alice"), site.guest());
    redis.command(&["REPLICAOF", "127.0.0.1", "1"]);
    let (_, answer) = site.visit(&browser, post("/patch"), ok().session("Patch", r#"{"a":1}"#));
    assert_eq!((answer.status(), answer.set_cookies().len()), (503, 0));
    site.look(&guest).assert_no_session();
    redis.command(&["REPLICAOF", "NO", "ONE"]);
    support::eventually("the gateway has seen that it is a master again", || {
        let pending = browser.send(get("/look"));
        let exchange = site.backend.next_within(std::time::Duration::from_millis(100));
        let user = exchange.and_then(|exchange| {
            let user = exchange.session("User").map(str::to_owned);
            exchange.reply(ok());
            user
        });
        let answer = pending.answer();
        assert!(matches!((answer.status(), answer.set_cookies().len()), (200 | 503, 0)), "{}", answer.text_head());
        (user.as_deref() == Some("alice")).then_some(())
    });
}

#[test]
fn a_redis_that_takes_no_changes_serves_whoever_comes_back_after_a_while() {
    let redis = Redis::start();
    let site = Site::build().redis_at(&redis.url(), "near_cache = false").session("renew_after = \"5m\"").start();
    let (alice, cart) = (site.login("alice"), site.keep(r#"{"cart":["tea"]}"#));
    // Seen long ago enough for that to be written again, and with a new ticket that has not come back yet.
    site.wait(4 * 60);
    site.look(&alice);
    site.wait(60);
    site.look(&alice);
    for fault in [["min-replicas-to-write", "1"], ["maxmemory", "1"]] {
        redis.command(&["CONFIG", "SET", fault[0], fault[1]]);
        // The last one is due to get another ticket.
        for seconds in [61, 61, 300] {
            site.wait(seconds);
            assert_eq!(site.look(&alice).user(), Some("alice"), "{fault:?}, after {seconds} s");
            assert_eq!(site.look(&cart).session("Data"), Some(r#"{"cart":["tea"]}"#), "{fault:?}, after {seconds} s");
        }
        for (browser, name, value) in [
            (&alice, "Patch", r#"{"more":1}"#),
            (&cart, "Patch", r#"{"more":1}"#),
            (&site.guest(), "Patch", r#"{"more":1}"#),
            (&site.browser(), "Patch", r#"{"more":1}"#),
            (&site.guest(), "User", "bob"),
        ] {
            let (_, answer) = site.visit(browser, post("/change"), ok().session(name, value));
            assert_eq!((answer.status(), answer.set_cookies().len()), (503, 0), "{fault:?}: {name}");
        }
        redis.command(&["CONFIG", "SET", fault[0], "0"]);
    }
    // Where memory is short, what makes room is possible.
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    site.patch(&cart, r#"{"cart":null}"#);
    site.look(&cart).assert_no_session();
    site.logout(&alice);
    site.look(&alice).assert_no_session();
}

/// The rights that the documentation names, and no others.
#[test]
fn a_user_with_the_rights_of_the_documentation_can_do_all_there_is() {
    let page = include_str!("../docs/operations.md");
    let rights = page.split("user sgw on >PASSWORD ").nth(1).and_then(|rest| rest.lines().next()).expect("the rights");
    let redis = Redis::build().user("sgw", "secret", rights).start();
    let site = Site::build().redis_at(&redis.url(), "").start();
    let alice = site.login("alice");
    let (id, other) = (site.look(&alice).id().to_owned(), site.login("alice"));
    site.patch(&alice, r#"{"a":1,"b":2}"#);
    site.patch(&alice, r#"{"a":null}"#);
    site.wait(61);
    assert_eq!(site.look(&alice).session("Data"), Some(r#"{"b":2}"#));
    site.visit(&alice, post("/persist"), ok().session("Persist", "true"));
    site.wait(3600);
    for _ in 0..2 {
        assert_eq!(site.look(&alice).user(), Some("alice"), "renewed, and the new ticket settled");
    }
    assert_eq!(site.admin(get(&format!("/sessions/{id}"))).status(), 200);
    assert!(site.admin(get("/sessions?user=alice")).text().contains(&id));
    let (_, answer) = site.visit(&alice, post("/logout"), ok().session("End", "all"));
    assert_eq!(answer.status(), 200);
    for browser in [&alice, &other] {
        site.look(browser).assert_no_session();
    }
    assert_eq!(site.metric("session_gateway_store_failures_total", &[]), 0);
    assert!(site.metric("session_gateway_near_cache_hits_total", &[]) > 0, "Redis tells of changes");
}

#[test]
fn what_redis_keeps_of_a_session_that_has_ended_is_that_it_has() {
    let mut site = Site::build().redis(Redis::start(), "").start();
    let logged_out = site.login("alice");
    site.patch(&logged_out, r#"{"card":"4000-1234"}"#);
    site.logout(&logged_out);
    // A login leaves the visitor's old ticket dead in the same way.
    let kept = site.keep(r#"{"card":"4000-1234"}"#);
    site.login_as(&kept, "bob");
    site.logout(&kept);
    let dump = site.redis().dump();
    let remembered: Vec<_> = dump.entries.iter().filter(|entry| entry.field("m").is_some()).collect();
    assert!(remembered.len() >= 3, "{remembered:?}");
    for entry in remembered {
        assert_eq!(entry.parts.len(), 2, "more than a mark: {entry:?}");
    }
    let card = b"4000-1234";
    assert!(!dump.strings().any(|text| text.windows(card.len()).any(|window| window == card)));
}

#[test]
fn a_session_that_persists_is_found_among_its_users_for_as_long_as_it_lasts() {
    let site = Site::build().redis(Redis::start(), "").start();
    let remembered = site.login("alice");
    site.visit(&remembered, post("/remember"), ok().session("Persist", "true"));
    // Longer than any session lasts that does not persist; then others of hers begin, and the index is looked over.
    site.wait(13 * 3600);
    let another = site.login("alice");
    // Whoever comes back is entered again, for the ticket is renewed: nobody has come back yet.
    let revoked = site.admin(request("DELETE", "/sessions?user=alice"));
    assert_eq!(revoked.text(), r#"{"revoked":2}"#);
    for browser in [remembered, another] {
        assert_eq!(site.look(&browser).user(), None, "signed out everywhere");
    }
}
