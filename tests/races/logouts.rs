//! Logout wins: whatever was under way brings no session and no cookie back.

use super::*;

#[test]
fn logout_beats_a_write_in_flight() {
    let site = stand();
    let browser = site.login("alice");
    let thief = browser.copy();
    let (writing, write) = begin(&site, &browser, post("/slow"));
    assert!(site.logout(&browser).deletes_sid());
    write.reply(ok().session("Patch", r#"{"late":true}"#));
    let late = writing.answer();
    assert_eq!(late.status(), 200);
    assert_eq!(late.sid(), None, "a late answer must not bring a cookie back: {}", late.text_head());
    assert_eq!(browser.sid(), None, "the browser stays logged out");
    site.look(&thief).assert_stranger();
}

#[test]
fn logout_beats_a_read_in_flight() {
    let site = patient();
    let browser = site.login("alice");
    let thief = browser.copy();
    // The reader's ticket is due for renewal, so that its answer has a reason to carry a cookie.
    site.wait(RENEWAL_DUE);
    let (reading, read) = begin(&site, &browser, get("/slow"));
    assert_eq!(read.session("User"), Some("alice"));
    assert!(site.logout(&browser).deletes_sid());
    read.reply(ok());
    let late = reading.answer();
    assert_eq!(late.status(), 200);
    assert_eq!(late.sid(), None, "a late answer must not bring a cookie back: {}", late.text_head());
    assert_eq!(browser.sid(), None);
    site.look(&thief).assert_stranger();
}

#[test]
fn logout_beats_a_read_in_flight_that_was_begun_before_a_renewal() {
    let site = patient();
    let browser = site.login("alice");
    site.wait(RENEWAL_DUE);
    let (reading, read) = begin(&site, &browser, get("/slow"));
    let old = browser.copy();
    site.look(&browser);
    assert_ne!(old.ticket().secret, browser.ticket().secret, "the second request should have renewed");
    let renewed = browser.copy();
    assert!(site.logout(&browser).deletes_sid());
    read.reply(ok().session("Patch", r#"{"late":true}"#));
    assert_eq!(reading.answer().sid(), None);
    site.look(&renewed).assert_stranger();
    site.look(&old).assert_no_session();
}

#[test]
fn logout_through_the_old_ticket_of_a_renewal_ends_the_renewed_session() {
    let site = patient();
    let browser = site.login("alice");
    site.wait(RENEWAL_DUE);
    let (leaving, logout) = begin(&site, &browser, post("/logout"));
    let old = browser.copy();
    site.look(&browser);
    let renewed = browser.copy();
    assert_ne!(old.ticket().secret, renewed.ticket().secret);
    logout.reply(ok().session("End", "this"));
    assert!(leaving.answer().deletes_sid());
    site.look(&renewed).assert_stranger();
    site.look(&old).assert_no_session();
}

#[test]
fn a_logout_let_in_before_a_renewal_ends_the_session_however_slow() {
    let site = patient();
    let browser = site.login("alice");
    let (leaving, logout) = begin_before_a_renewal(&site, &browser, post("/logout"));
    assert_eq!(site.look(&browser).user(), Some("alice"));
    logout.reply(ok().session("End", "this"));
    assert!(leaving.answer().deletes_sid());
    site.look(&browser).assert_stranger();
}

#[test]
fn a_revocation_beats_a_write_in_flight() {
    let site = stand();
    let browser = site.login("alice");
    let (writing, write) = begin(&site, &browser, post("/slow"));
    let id = write.session("Id").expect("an id").to_owned();
    assert_eq!(site.admin(request("DELETE", &format!("/sessions/{id}"))).status(), 200);
    write.reply(ok().session("Patch", r#"{"late":true}"#));
    assert_eq!(writing.answer().sid(), None);
    site.look(&browser).assert_stranger();
}

#[test]
fn ending_all_of_a_users_sessions_beats_a_write_in_flight_in_another_browser() {
    let site = stand();
    let (here, there) = (site.login("alice"), site.login("alice"));
    let (writing, write) = begin(&site, &there, post("/slow"));
    site.visit(&here, post("/leave"), ok().session("End", "all"));
    write.reply(ok().session("Patch", r#"{"late":true}"#));
    assert_eq!(writing.answer().sid(), None);
    site.look(&there).assert_stranger();
}

#[test]
fn a_guests_slow_first_write_cannot_follow_a_logout_of_the_session_born_meanwhile() {
    let site = stand();
    let browser = site.guest();
    let (writing, write) = begin(&site, &browser, post("/slow"));
    site.patch(&browser, r#"{"cart":["apple"]}"#);
    let thief = browser.copy();
    site.logout(&browser);
    write.reply(ok().session("Patch", r#"{"late":true}"#));
    assert_eq!(writing.answer().sid(), None);
    assert_eq!(browser.sid(), None);
    site.look(&thief).assert_stranger();
}

#[test]
fn a_guests_logout_beats_its_first_write_in_flight() {
    let site = stand();
    let browser = site.guest();
    let (writing, write) = begin(&site, &browser, post("/slow"));
    assert!(site.logout(&browser).deletes_sid());
    write.reply(ok().session("Patch", r#"{"late":true}"#));
    assert_eq!(writing.answer().sid(), None);
    assert_eq!(browser.sid(), None);
    assert_eq!(site.live_sessions(), 0);
}

#[test]
fn a_logout_through_the_guest_ticket_ends_the_session_born_of_it() {
    let site = stand();
    let browser = site.guest();
    let (leaving, logout) = begin(&site, &browser, post("/logout"));
    site.patch(&browser, r#"{"cart":["apple"]}"#);
    let thief = browser.copy();
    logout.reply(ok().session("End", "this"));
    assert!(leaving.answer().deletes_sid());
    assert_eq!(browser.sid(), None);
    site.look(&thief).assert_stranger();
}

#[test]
fn a_copied_cookie_is_dead_after_logout() {
    let site = stand();
    let browser = site.login("alice");
    site.patch(&browser, r#"{"cart":["apple"]}"#);
    let thief = browser.copy();
    assert_eq!(site.look(&thief).user(), Some("alice"), "before the logout the copy is as good as the original");
    site.logout(&browser);
    for _ in 0..2 {
        site.look(&thief).assert_stranger();
    }
    // Nor is it adopted once the logout itself is forgotten.
    site.wait(3600);
    site.look(&thief).assert_no_session();
}

#[test]
fn a_dead_tickets_answers_carry_no_cookie() {
    let site = stand();
    let (before_login, browser) = {
        let browser = site.keep(r#"{"cart":["apple"]}"#);
        (browser.copy(), browser)
    };
    site.login_as(&browser, "alice");
    let logged_out = browser.copy();
    site.logout(&browser);
    for dead in [before_login, logged_out] {
        for reply in
            [ok(), ok().session("Patch", r#"{"a":1}"#), ok().session("End", "this"), ok().session("Persist", "true")]
        {
            let (seen, answer) = site.visit(&dead, get("/"), reply);
            seen.assert_stranger();
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.sid(), None, "{}", answer.text_head());
        }
    }
}
