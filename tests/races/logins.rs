//! Login wins over whatever was under way with the ticket before it, and always succeeds.

use serde_json::json;

use super::*;

#[test]
fn login_beats_a_request_in_flight_with_the_guest_ticket() {
    let site = stand();
    let browser = site.guest();
    let (writing, write) = begin(&site, &browser, post("/slow"));
    site.login_as(&browser, "alice");
    let fresh = browser.sid();
    write.reply(ok().session("Patch", r#"{"late":true}"#));
    let late = writing.answer();
    assert_eq!(late.status(), 200);
    assert_eq!(late.sid(), None, "a late answer must not overwrite the login's cookie: {}", late.text_head());
    assert_eq!(browser.sid(), fresh);
    let seen = site.look(&browser);
    assert_eq!((seen.user(), seen.data()), (Some("alice"), Some(json!({}))), "the late change is dropped");
}

#[test]
fn login_beats_a_request_in_flight_with_the_old_session_ticket() {
    let site = stand();
    let browser = site.keep(r#"{"cart":["apple"]}"#);
    let (writing, write) = begin(&site, &browser, post("/write"));
    let (reading, read) = begin(&site, &browser, get("/read"));
    site.login_as(&browser, "alice");
    let fresh = browser.sid();
    write.reply(ok().session("Patch", r#"{"cart":null,"late":true}"#));
    assert_eq!(writing.answer().sid(), None);
    read.reply(ok());
    assert_eq!(reading.answer().sid(), None);
    assert_eq!(browser.sid(), fresh);
    let seen = site.look(&browser);
    assert_eq!((seen.user(), seen.data()), (Some("alice"), Some(json!({"cart": ["apple"]}))));
}

#[test]
fn login_beats_a_read_in_flight_whose_ticket_is_to_be_signed_again() {
    let old = build().keys(&[1]).start().guest();
    let site = build().keys(&[2, 1]).start();
    let browser = site.browser();
    browser.plant(COOKIE, &old.sid().expect("a ticket"));
    let (reading, read) = begin(&site, &browser, get("/slow"));
    site.login_as(&browser, "alice");
    read.reply(ok());
    assert_eq!(reading.answer().sid(), None);
    assert_eq!(site.look(&browser).user(), Some("alice"));
}

#[test]
fn login_beats_a_logout_in_flight_with_the_old_ticket() {
    let site = stand();
    let browser = site.keep(r#"{"cart":["apple"]}"#);
    let (leaving, logout) = begin(&site, &browser, post("/logout"));
    site.login_as(&browser, "alice");
    logout.reply(ok().session("End", "this"));
    assert_eq!(leaving.answer().sid(), None, "the late logout must not delete the login's cookie");
    assert_eq!(site.look(&browser).user(), Some("alice"));
}

#[test]
fn login_beats_a_logout_in_flight_with_the_guest_ticket() {
    let site = stand();
    let browser = site.guest();
    let (leaving, logout) = begin(&site, &browser, post("/logout"));
    site.login_as(&browser, "alice");
    logout.reply(ok().session("End", "this"));
    assert_eq!(leaving.answer().sid(), None, "the late logout must not delete the login's cookie");
    assert_eq!(site.look(&browser).user(), Some("alice"));
}

#[test]
fn login_beats_a_guests_second_logout_in_flight() {
    let site = stand();
    let browser = site.guest();
    let (leaving, logout) = begin(&site, &browser, post("/logout"));
    site.logout(&browser);
    site.login_as(&browser, "alice");
    logout.reply(ok().session("End", "this"));
    assert_eq!(leaving.answer().sid(), None, "the late logout must not delete the login's cookie");
    assert_eq!(site.look(&browser).user(), Some("alice"));
}

#[test]
fn login_beats_a_logout_everywhere_in_flight_with_the_old_ticket() {
    let site = stand();
    let browser = site.login("alice");
    let (leaving, logout) = begin(&site, &browser, post("/logout"));
    site.login_as(&browser, "alice");
    logout.reply(ok().session("End", "all"));
    assert_eq!(leaving.answer().sid(), None);
    assert_eq!(site.look(&browser).user(), Some("alice"), "a change through a superseded ticket is dropped");
}

#[test]
fn a_renewal_asked_for_by_the_backend_beats_a_write_in_flight() {
    let site = stand();
    let browser = site.login("alice");
    let (writing, write) = begin(&site, &browser, post("/slow"));
    site.visit(&browser, post("/sudo"), ok().session("Renew", "true"));
    let fresh = browser.sid();
    write.reply(ok().session("Patch", r#"{"late":true}"#));
    assert_eq!(writing.answer().sid(), None);
    assert_eq!(browser.sid(), fresh);
    let seen = site.look(&browser);
    assert_eq!((seen.user(), seen.data()), (Some("alice"), Some(json!({}))));
}

#[test]
fn a_login_passes_a_logout_that_was_faster() {
    let site = stand();
    let browser = site.login("alice");
    let (entering, login) = begin(&site, &browser, post("/login"));
    site.logout(&browser);
    login.reply(ok().session("User", "alice"));
    assert_eq!(entering.answer().ticket().kind, Ticket::SESSION);
    assert_eq!(site.look(&browser).user(), Some("alice"));
}

#[test]
fn the_guest_cookie_from_before_a_login_is_dead_after_it() {
    let site = stand();
    let browser = site.guest();
    let planted = browser.copy();
    site.login_as(&browser, "alice");
    site.look(&planted).assert_no_session();
    let (_, answer) = site.visit(&planted, post("/write"), ok().session("Patch", r#"{"planted":true}"#));
    assert_eq!(answer.sid(), None, "a superseded guest's change gets no cookie: {}", answer.text_head());
    let seen = site.look(&browser);
    assert_eq!((seen.user(), seen.data()), (Some("alice"), Some(json!({}))));
}

#[test]
fn the_session_cookie_from_before_a_login_is_dead_after_it() {
    let site = stand();
    let browser = site.keep(r#"{"cart":["apple"]}"#);
    let planted = browser.copy();
    let before = site.look(&browser).id().to_owned();
    site.login_as(&browser, "alice");
    let seen = site.look(&planted);
    seen.assert_stranger();
    assert_ne!(seen.id(), before, "the old id is not used again");
    assert_ne!(seen.id(), site.look(&browser).id());
}

#[test]
fn a_login_sent_twice_whose_first_answer_is_lost_logs_in() {
    for prepare in [Site::guest as fn(&Site) -> Browser, |site| site.keep(r#"{"cart":["apple"]}"#)] {
        let site = stand();
        let browser = prepare(&site);
        let (first, login) = begin(&site, &browser, post("/login"));
        login.reply(ok().session("User", "alice"));
        let lost = first.lose().ticket();
        let (second, login) = begin(&site, &browser, post("/login"));
        login.reply(ok().session("User", "alice"));
        let kept = second.answer().ticket();
        assert_eq!(kept.kind, Ticket::SESSION);
        assert_ne!(kept.secret, lost.secret, "every login has a secret of its own");
        assert_eq!(site.look(&browser).user(), Some("alice"));
    }
}

#[test]
fn a_double_click_on_log_in_logs_in() {
    let site = stand();
    let browser = site.guest();
    let (first, one) = begin(&site, &browser, post("/login"));
    let (second, two) = begin(&site, &browser, post("/login"));
    one.reply(ok().session("User", "alice"));
    first.answer();
    assert_eq!(site.look(&browser).user(), Some("alice"));
    two.reply(ok().session("User", "alice"));
    second.answer();
    assert_eq!(site.look(&browser).user(), Some("alice"));
}
