//! Answers so late that their ticket has expired, or that its end is forgotten.

use serde_json::json;

use super::*;

#[test]
fn a_write_survives_a_slower_read_with_an_expired_ticket() {
    let site = stand();
    let browser = site.login("alice");
    site.wait(31 * 60);
    let (reading, read) = begin(&site, &browser, get("/slow"));
    site.patch(&browser, r#"{"cart":["apple"]}"#);
    read.reply(ok());
    let late = reading.answer();
    assert_eq!(late.sid(), None, "a late guest's cookie must not overwrite the session's: {}", late.text_head());
    assert_eq!(site.look(&browser).data(), Some(json!({"cart": ["apple"]})));
}

#[test]
fn login_beats_a_read_in_flight_with_an_expired_ticket() {
    let site = stand();
    let browser = site.login("alice");
    site.wait(31 * 60);
    let (reading, read) = begin(&site, &browser, get("/slow"));
    site.login_as(&browser, "alice");
    let fresh = browser.sid();
    read.reply(ok());
    assert_eq!(reading.answer().sid(), None, "a late guest cookie must not overwrite the login's");
    assert_eq!(browser.sid(), fresh);
}

#[test]
fn login_beats_a_write_in_flight_with_an_expired_ticket() {
    let site = stand();
    let browser = site.login("alice");
    site.wait(31 * 60);
    let (writing, write) = begin(&site, &browser, post("/slow"));
    site.login_as(&browser, "alice");
    let fresh = browser.sid();
    write.reply(ok().session("Patch", r#"{"late":true}"#));
    assert_eq!(writing.answer().sid(), None, "a late session's cookie must not overwrite the login's");
    assert_eq!(browser.sid(), fresh);
    assert_eq!(site.look(&browser).data(), Some(json!({})));
}

#[test]
fn a_slow_write_after_expiry_gives_birth_to_another_session() {
    let site = build().session("idle_timeout = \"40s\"").start();
    let browser = site.login("alice");
    site.patch(&browser, r#"{"cart":["apple"]}"#);
    let old = browser.ticket();
    let thief = browser.copy();
    let (writing, write) = begin(&site, &browser, post("/slow"));
    site.wait(45);
    write.reply(ok().session("Patch", r#"{"late":true}"#));
    let born = writing.answer().ticket();
    assert_ne!(born.secret, old.secret, "the old key is never revived");
    let seen = site.look(&browser);
    assert_eq!((seen.user(), seen.data()), (None, Some(json!({"late": true}))));
    site.look(&thief).assert_stranger();
}

#[test]
fn a_write_so_late_that_a_logout_may_be_forgotten_is_dropped() {
    let site = stand();
    let browser = site.login("alice");
    let (writing, write) = begin(&site, &browser, post("/slow"));
    site.wait(31 * 60);
    write.reply(ok().session("Patch", r#"{"late":true}"#));
    assert_eq!(writing.answer().sid(), None);
}

#[test]
fn logout_and_login_beat_a_write_that_comes_when_the_logout_is_forgotten() {
    let site = stand();
    let browser = site.login("alice");
    let (writing, write) = begin(&site, &browser, post("/slow"));
    site.logout(&browser);
    site.login_as(&browser, "alice");
    site.wait(20 * 60);
    write.reply(ok().session("Patch", r#"{"late":true}"#));
    assert_eq!(writing.answer().sid(), None, "a late session's cookie must not overwrite the login's");
    let seen = site.look(&browser);
    assert_eq!((seen.user(), seen.data()), (Some("alice"), Some(json!({}))));
    assert_eq!(site.live_sessions(), 1, "nothing is born of it");
}

#[test]
fn login_beats_whatever_comes_when_the_logout_before_it_is_forgotten() {
    let mut beaten = Vec::new();
    for prepare in [Site::guest as fn(&Site) -> Browser, |site| site.login("alice")] {
        for reply in [
            ok().session("Renew", "true"),
            ok().session("Renew", "true").session("Patch", r#"{"late":true}"#),
            ok().session("End", "this"),
        ] {
            let site = stand();
            let browser = prepare(&site);
            let (pending, exchange) = begin(&site, &browser, post("/slow"));
            site.logout(&browser);
            site.login_as(&browser, "alice");
            site.wait(20 * 60);
            exchange.reply(reply.clone());
            if pending.answer().sid().is_some() || site.look(&browser).user() != Some("alice") {
                beaten.push(reply);
            }
        }
    }
    assert!(beaten.is_empty(), "{beaten:#?}");
}

#[test]
fn a_logout_is_remembered_for_longer_than_the_slowest_answer_takes() {
    let site = build().upstream("response_timeout = \"10m\"").session("idle_timeout = \"4h\"").start();
    let browser = site.login("alice");
    let guest = site.guest();
    let (writing, write) = begin(&site, &browser, post("/slow"));
    let (first_writing, first_write) = begin(&site, &guest, post("/slow"));
    site.logout(&browser);
    site.login_as(&guest, "bob");
    let fresh = guest.sid();
    site.wait(599);
    write.reply(ok().session("Patch", r#"{"late":true}"#));
    assert_eq!(writing.answer().sid(), None);
    first_write.reply(ok().session("Patch", r#"{"late":true}"#));
    assert_eq!(first_writing.answer().sid(), None);
    assert_eq!((browser.sid(), guest.sid()), (None, fresh));
}
