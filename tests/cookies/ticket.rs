//! Its shape, its attributes, and the keys that sign it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::DAY;
use super::support::*;

#[test]
fn a_ticket_is_72_bytes_in_96_characters() {
    let site = Site::new();
    let browser = site.browser();
    let (_, answer) = site.visit(&browser, get("/"), ok());
    let value = answer.sid().expect("a guest's cookie").value;
    assert!(value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{value}");
    assert_eq!(URL_SAFE_NO_PAD.decode(&value).expect("base64url").len(), 72);
    let guest = Ticket::read(&value);
    assert_eq!((guest.version, guest.kind, guest.issued_at), (1, Ticket::GUEST, START));
    site.wait(7);
    let session = site.patch(&browser, r#"{"a":1}"#).ticket();
    assert_eq!((session.version, session.kind, session.issued_at), (1, Ticket::SESSION, START + 7));
    assert_eq!(session.secret, guest.secret);
}

#[test]
fn every_secret_is_another() {
    let site = Site::new();
    let secrets: std::collections::HashSet<_> = (0..50).map(|_| site.guest().ticket().secret).collect();
    assert_eq!(secrets.len(), 50);
}

#[test]
fn the_cookie_has_the_promised_attributes_and_no_others() {
    let site = Site::new();
    let browser = site.browser();
    let guest = site.visit(&browser, get("/"), ok()).1;
    let born = site.patch(&browser, r#"{"a":1}"#);
    let login = site.login_as(&browser, "alice");
    for answer in [guest, born, login] {
        let cookie = answer.sid().expect("our cookie");
        assert_eq!(cookie.attribute_names(), ["httponly", "path", "samesite", "secure"]);
        assert_eq!(cookie.attribute("Path"), Some("/"));
        assert!(cookie.attribute("SameSite").is_some_and(|value| value.eq_ignore_ascii_case("lax")));
    }
    let deletion = site.logout(&browser).sid().expect("a deletion");
    assert_eq!(deletion.attribute("Path"), Some("/"), "a deletion must match what it deletes");
    assert!(deletion.attribute("Secure").is_some(), "a __Host- cookie cannot be touched without it");
    assert!(deletion.is_deletion() && deletion.value.len() < 96);
}

#[test]
fn configured_name_and_attributes_are_used() {
    let site = Site::build()
        .cookie("sid")
        .session("same_site = \"strict\"\npath = \"/app\"\ndomain = \"example.com\"")
        .start();
    let pending = site.plain().send(get("/app"));
    site.backend.next().reply(ok());
    let answer = pending.answer();
    let [cookie] = &answer.set_cookies()[..] else { panic!("one cookie: {}", answer.text_head()) };
    assert_eq!((cookie.name.as_str(), cookie.value.len()), ("sid", 96));
    assert_eq!(cookie.attribute_names(), ["domain", "httponly", "path", "samesite"]);
    assert_eq!((cookie.attribute("Path"), cookie.attribute("Domain")), (Some("/app"), Some("example.com")));
    assert!(cookie.attribute("SameSite").is_some_and(|value| value.eq_ignore_ascii_case("strict")));
}

#[test]
fn a_session_that_does_not_change_sets_no_cookie() {
    let site = Site::new();
    for browser in [site.guest(), site.keep(r#"{"a":1}"#), site.login("alice")] {
        for _ in 0..3 {
            site.wait(60);
            let (_, answer) = site.visit(&browser, get("/"), ok());
            assert_eq!(answer.sid(), None, "{}", answer.text_head());
        }
        let answer = site.patch(&browser, "{}");
        assert_eq!(answer.sid(), None, "{}", answer.text_head());
    }
    let browser = site.login("alice");
    assert_eq!(site.patch(&browser, r#"{"b":2}"#).sid(), None, "a patched session keeps its ticket");
}

#[test]
fn without_guest_cookies_none_is_set_until_something_is_kept() {
    let site = Site::build().session("guest_cookie = false").start();
    let browser = site.browser();
    for _ in 0..2 {
        let (seen, answer) = site.visit(&browser, get("/"), ok());
        seen.assert_stranger();
        assert_eq!(answer.sid(), None);
    }
    let born = site.patch(&browser, r#"{"a":1}"#).ticket();
    assert_eq!(born.kind, Ticket::SESSION);
    assert_eq!(site.look(&browser).session("Data"), Some(r#"{"a":1}"#));
}

#[test]
fn without_guest_cookies_the_id_of_the_first_write_is_the_sessions() {
    let site = Site::build().session("guest_cookie = false").start();
    let browser = site.browser();
    let (seen, _) = site.visit(&browser, post("/"), ok().session("Patch", r#"{"a":1}"#));
    assert_eq!(site.look(&browser).id(), seen.id());
}

#[test]
fn a_key_is_rolled_out_without_changing_anybody() {
    let steps = [&[1_u8][..], &[1, 2], &[2, 1], &[2]];
    let browser = Site::build().keys(steps[0]).start().guest();
    let mut value = browser.sid().expect("a cookie");
    let secret = Ticket::read(&value).secret;
    let mut id = None;
    for (step, keys) in steps.iter().enumerate() {
        let site = Site::build().keys(keys).start();
        let browser = site.browser();
        browser.plant(COOKIE, &value);
        let (seen, answer) = site.visit(&browser, get("/"), ok());
        assert!(!seen.is_new(), "keys {keys:?}");
        assert_eq!(*id.get_or_insert_with(|| seen.id().to_owned()), seen.id(), "keys {keys:?}");
        assert_eq!(answer.sid().is_some(), step == 2, "re-signed when the new key comes first, and only then");
        assert_eq!(browser.ticket().secret, secret);
        assert_eq!(site.visit(&browser, get("/"), ok()).1.sid(), None, "once is enough");
        value = browser.sid().expect("a cookie");
    }
}

#[test]
fn a_ticket_is_re_signed_under_the_same_secret() {
    let old = Site::build().keys(&[1]).start();
    let browser = old.guest();
    let new = Site::build().keys(&[2, 1]).start();
    new.wait(6 * DAY);
    let elsewhere = new.browser();
    elsewhere.plant(COOKIE, &browser.sid().expect("a cookie"));
    new.look(&elsewhere);
    let (before, after) = (browser.ticket(), elsewhere.ticket());
    assert_ne!(before.key, after.key);
    assert_eq!((before.kind, before.secret), (after.kind, after.secret));
}

#[test]
fn a_dropped_key_makes_guests_strangers_and_no_errors() {
    let browser = Site::build().keys(&[1]).start().guest();
    let site = Site::build().keys(&[2]).start();
    let elsewhere = site.browser();
    elsewhere.plant(COOKIE, &browser.sid().expect("a cookie"));
    site.look(&elsewhere).assert_stranger();
}
