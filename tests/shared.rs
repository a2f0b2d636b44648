//! Sessions that are seen and ended from another gateway than the one that their users are at.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use support::{Redis, Site, get, ok, post, request};

#[test]
fn the_api_of_any_gateway_lists_shows_and_revokes() {
    let redis = Redis::start();
    let (one, other) =
        (Site::build().redis_at(&redis.url(), "").start(), Site::build().redis_at(&redis.url(), "").start());
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
    let site = Site::build().redis_at(&redis.url(), "").start();
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
