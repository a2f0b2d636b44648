//! `X-Session-Renew` and `X-Session-Persist`.

use super::MONTH;
use super::support::*;

#[test]
fn a_renewal_asked_for_gets_a_new_ticket_and_id_with_the_same_data() {
    let site = Site::new();
    let browser = site.login("alice");
    site.patch(&browser, r#"{"a":1}"#);
    let (old, before) = (browser.copy(), site.look(&browser));
    site.wait(100);
    let (_, answer) = site.visit(&browser, post("/sudo"), ok().session("Renew", "true"));
    assert_ne!(answer.ticket().secret, old.ticket().secret);
    let after = site.look(&browser);
    assert_eq!((after.user(), after.data()), (before.user(), before.data()));
    assert_ne!(after.id(), before.id());
    assert_eq!(after.session("Created"), before.session("Created"), "a renewal does not begin a lifetime");
    site.look(&old).assert_stranger();
}

#[test]
fn a_renewal_asked_for_a_guest_stores_nothing() {
    let site = Site::new();
    let browser = site.guest();
    let (_, answer) = site.visit(&browser, post("/"), ok().session("Renew", "true"));
    assert_eq!(answer.status(), 200);
    site.look(&browser).assert_no_session();
    assert_eq!(browser.ticket().kind, Ticket::GUEST);
    assert_eq!(site.metric("session_gateway_sessions_live", &[]), 0);
}

#[test]
fn a_persistent_session_has_a_cookie_with_max_age() {
    let site = Site::new();
    let browser = site.login("alice");
    assert_eq!(site.visit(&browser, get("/"), ok()).1.sid(), None);
    let (_, answer) = site.visit(&browser, post("/"), ok().session("Persist", "true"));
    let cookie = answer.sid().expect("the cookie with its new attribute");
    assert_eq!(cookie.attribute("Max-Age"), Some(MONTH.to_string().as_str()));
    let (_, answer) = site.visit(&browser, post("/"), ok().session("Persist", "false"));
    let cookie = answer.sid().expect("the cookie without it");
    assert_eq!((cookie.attribute("Max-Age"), cookie.attribute("Expires")), (None, None));
    assert_eq!(site.look(&browser).user(), Some("alice"));
}

#[test]
fn remember_me_is_one_answer() {
    let site = Site::new();
    let browser = site.guest();
    let (_, answer) = site.visit(&browser, post("/login"), ok().session("User", "alice").session("Persist", "true"));
    let cookie = answer.sid().expect("a login's cookie");
    assert_eq!(cookie.attribute("Max-Age"), Some(MONTH.to_string().as_str()));
}

#[test]
fn persist_alone_keeps_nothing_for_a_guest() {
    let site = Site::new();
    let browser = site.guest();
    let (_, answer) = site.visit(&browser, post("/"), ok().session("Persist", "true"));
    assert_eq!(answer.status(), 200);
    site.look(&browser).assert_no_session();
}
