//! How long sessions live, by the clock that the tests turn.

mod support;

use support::*;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

fn persist(site: &Site, browser: &Browser) {
    let (_, answer) = site.visit(browser, post("/remember"), ok().session("Persist", "true"));
    assert!(answer.sid().is_some_and(|cookie| cookie.attribute("Max-Age").is_some()), "{}", answer.text_head());
}

#[test]
fn a_user_session_dies_after_thirty_idle_minutes() {
    let site = Site::new();
    let (early, late) = (site.login("alice"), site.login("bob"));
    site.wait(30 * MINUTE - 1);
    assert_eq!(site.look(&early).user(), Some("alice"));
    site.wait(2);
    site.look(&late).assert_stranger();
}

#[test]
fn activity_keeps_a_user_session_alive() {
    let site = Site::new();
    let browser = site.login("alice");
    for _ in 0..12 {
        site.wait(29 * MINUTE);
        assert_eq!(site.look(&browser).user(), Some("alice"));
    }
}

#[test]
fn a_user_session_dies_twelve_hours_after_login_however_active() {
    let site = Site::new();
    let browser = site.login("alice");
    for _ in 0..35 {
        site.wait(20 * MINUTE);
        assert_eq!(site.look(&browser).user(), Some("alice"));
    }
    // Renewals happened on the way, and did not extend it.
    site.wait(20 * MINUTE - 1);
    assert_eq!(site.look(&browser).user(), Some("alice"), "just before");
    site.wait(2);
    site.look(&browser).assert_stranger();
}

#[test]
fn the_twelve_hours_count_from_login_not_from_birth() {
    let site = Site::new();
    let browser = site.keep(r#"{"cart":["apple"]}"#);
    site.wait(20 * HOUR);
    site.login_as(&browser, "alice");
    for _ in 0..35 {
        site.wait(20 * MINUTE);
        assert_eq!(site.look(&browser).user(), Some("alice"));
    }
    site.wait(20 * MINUTE + 1);
    site.look(&browser).assert_stranger();
}

#[test]
fn a_session_without_a_user_dies_after_an_idle_day() {
    let site = Site::new();
    let (early, late) = (site.keep(r#"{"a":1}"#), site.keep(r#"{"b":1}"#));
    site.wait(DAY - 1);
    assert_eq!(site.look(&early).session("Data"), Some(r#"{"a":1}"#));
    site.wait(2);
    site.look(&late).assert_stranger();
}

#[test]
fn a_session_without_a_user_dies_after_seven_days_however_active() {
    let site = Site::new();
    let browser = site.keep(r#"{"a":1}"#);
    for _ in 0..13 {
        site.wait(DAY / 2);
        assert_eq!(site.look(&browser).session("Data"), Some(r#"{"a":1}"#));
    }
    site.wait(DAY / 2 - 1);
    assert_eq!(site.look(&browser).session("Data"), Some(r#"{"a":1}"#), "just before");
    site.wait(2);
    site.look(&browser).assert_stranger();
}

#[test]
fn a_persistent_session_outlives_weeks_without_a_visit() {
    let site = Site::new();
    let browser = site.login("alice");
    persist(&site, &browser);
    site.wait(20 * DAY);
    assert_eq!(site.look(&browser).user(), Some("alice"));
}

#[test]
fn a_persistent_session_needs_no_user() {
    let site = Site::new();
    let browser = site.keep(r#"{"a":1}"#);
    persist(&site, &browser);
    site.wait(20 * DAY);
    assert_eq!(site.look(&browser).session("Data"), Some(r#"{"a":1}"#));
    site.wait(11 * DAY + 1);
    site.look(&browser).assert_stranger();
}

#[test]
fn a_persistent_session_dies_after_thirty_one_days_however_active() {
    let site = Site::new();
    let browser = site.login("alice");
    persist(&site, &browser);
    for _ in 0..30 {
        site.wait(DAY);
        assert_eq!(site.look(&browser).user(), Some("alice"));
    }
    site.wait(DAY - 1);
    assert_eq!(site.look(&browser).user(), Some("alice"), "just before");
    site.wait(2);
    site.look(&browser).assert_stranger();
}

#[test]
fn a_session_that_no_longer_persists_is_an_ordinary_one_again() {
    let site = Site::new();
    let browser = site.login("alice");
    persist(&site, &browser);
    let (_, answer) = site.visit(&browser, post("/forget"), ok().session("Persist", "false"));
    let cookie = answer.sid().expect("a cookie without Max-Age");
    assert_eq!(cookie.attribute("Max-Age"), None);
    site.wait(30 * MINUTE + 1);
    site.look(&browser).assert_stranger();
}

#[test]
fn configured_lifetimes_are_used() {
    let site = Site::build()
        .session("idle_timeout = \"10m\"\nlifetime = \"15m\"")
        .anonymous("idle_timeout = \"20m\"\nlifetime = \"25m\"")
        .persistent("lifetime = \"2h\"")
        .start();
    let (user, guest, persistent) = (site.login("alice"), site.keep(r#"{"a":1}"#), site.login("bob"));
    persist(&site, &persistent);
    site.wait(9 * MINUTE);
    assert_eq!(site.look(&user).user(), Some("alice"));
    site.wait(7 * MINUTE);
    site.look(&user).assert_stranger();
    assert!(site.look(&guest).data().is_some(), "16 minutes");
    site.wait(10 * MINUTE);
    site.look(&guest).assert_stranger();
    assert_eq!(site.look(&persistent).user(), Some("bob"), "26 minutes");
    site.wait(2 * HOUR);
    site.look(&persistent).assert_stranger();
}

#[test]
fn requests_on_passive_routes_are_no_activity() {
    let routes = ["path = \"/\"\nupstream = \"app\"", "path = \"/poll\"\nupstream = \"app\"\npassive = true"];
    let site = Site::build().routes(&routes).start();
    let browser = site.login("alice");
    for _ in 0..2 {
        site.wait(14 * MINUTE);
        let (seen, _) = site.visit(&browser, get("/poll"), ok());
        assert_eq!(seen.user(), Some("alice"), "a passive route has sessions all the same");
    }
    site.wait(2 * MINUTE + 1);
    let (seen, _) = site.visit(&browser, get("/poll"), ok());
    seen.assert_stranger();
}

fn last_seen(site: &Site, id: &str) -> u64 {
    let answer = site.admin(get(&format!("/sessions/{id}")));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let session: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    session["last_seen"].as_u64().unwrap_or_else(|| panic!("no last_seen in {session}"))
}

#[test]
fn the_last_visit_is_written_once_a_minute_at_most() {
    let routes = ["path = \"/\"\nupstream = \"app\"", "path = \"/poll\"\nupstream = \"app\"\npassive = true"];
    let site = Site::build().routes(&routes).start();
    let browser = site.login("alice");
    let id = site.look(&browser).id().to_owned();
    site.wait(59);
    site.look(&browser);
    assert_eq!(last_seen(&site, &id), START, "not yet worth a write");
    site.wait(2);
    site.visit(&browser, get("/poll"), ok());
    assert_eq!(last_seen(&site, &id), START, "polling is no activity");
    site.look(&browser);
    assert_eq!(last_seen(&site, &id), START + 61);
}

#[test]
fn expires_is_the_moment_the_session_dies_unless_the_visitor_comes_back() {
    let site = Site::new();
    let (early, late) = (site.login("alice"), site.login("bob"));
    let expires: u64 = site.look(&early).session("Expires").expect("a session expires").parse().expect("seconds");
    assert_eq!(expires, START + 30 * MINUTE);
    site.wait(expires - site.now() - 1);
    assert_eq!(site.look(&early).user(), Some("alice"));
    site.wait(2);
    site.look(&late).assert_stranger();
}

#[test]
fn expires_moves_with_activity_but_not_past_the_lifetime() {
    let site = Site::new();
    let browser = site.login("alice");
    let expires = |seen: Seen| seen.session("Expires").expect("a session expires").parse::<u64>().expect("seconds");
    site.wait(20 * MINUTE);
    site.look(&browser);
    assert_eq!(expires(site.look(&browser)), START + 50 * MINUTE);
    for _ in 0..34 {
        site.wait(20 * MINUTE);
        site.look(&browser);
    }
    assert_eq!(expires(site.look(&browser)), START + 12 * HOUR);
}

#[test]
fn a_guest_ticket_older_than_any_lifetime_is_no_ticket() {
    let site = Site::new();
    let browser = site.guest();
    let first = site.look(&browser);
    assert!(!first.is_new());
    site.wait(31 * DAY + 1);
    let (seen, answer) = site.visit(&browser, get("/"), ok());
    assert!(seen.is_new());
    assert_ne!(seen.id(), first.id());
    assert_ne!(answer.ticket().secret, [0; 32]);
    assert!(!site.look(&browser).is_new(), "the new one is as good as any");
}

#[test]
fn an_expired_session_leaves_a_fresh_guest() {
    let site = Site::new();
    let browser = site.login("alice");
    let old = browser.ticket();
    site.wait(DAY);
    let (seen, answer) = site.visit(&browser, get("/"), ok());
    seen.assert_stranger();
    let fresh = answer.ticket();
    assert_eq!(fresh.kind, Ticket::GUEST);
    assert_ne!(fresh.secret, old.secret);
    let next = site.look(&browser);
    assert!(!next.is_new());
    next.assert_no_session();
}

#[test]
fn a_periodic_renewal_happens_once_an_hour() {
    let site = Site::build().session("idle_timeout = \"4h\"").start();
    let browser = site.login("alice");
    let first = browser.ticket();
    site.wait(59 * MINUTE);
    site.look(&browser);
    assert_eq!(browser.ticket(), first, "not yet");
    site.wait(MINUTE + 1);
    site.look(&browser);
    let second = browser.ticket();
    assert_ne!(second.secret, first.secret);
    assert_eq!(second.issued_at, site.now());
    site.wait(59 * MINUTE);
    site.look(&browser);
    assert_eq!(browser.ticket(), second, "the hour begins again with the new ticket");
    site.wait(MINUTE + 1);
    site.look(&browser);
    assert_ne!(browser.ticket().secret, second.secret);
}

#[test]
fn a_renewed_persistent_cookie_lasts_no_longer_than_its_session() {
    let site = Site::new();
    let browser = site.login("alice");
    persist(&site, &browser);
    site.wait(10 * DAY);
    let (_, answer) = site.visit(&browser, get("/"), ok());
    let cookie = answer.sid().expect("a renewal after ten days");
    let age: u64 = cookie.attribute("Max-Age").expect("still persistent").parse().expect("seconds");
    assert_eq!(age, 21 * DAY);
}
