//! What an upstream is told of a visitor, and by which id.

use serde_json::json;

use super::is_public_id;
use super::support::*;

#[test]
fn a_visitor_without_a_ticket_is_new_and_has_an_id() {
    let site = Site::new();
    let browser = site.browser();
    let seen = site.look(&browser);
    seen.assert_stranger();
    assert!(is_public_id(seen.id()), "{}", seen.id());
}

#[test]
fn a_returning_guest_keeps_the_id_and_is_not_new() {
    let site = Site::new();
    let browser = site.browser();
    let id = site.look(&browser).id().to_owned();
    for _ in 0..3 {
        let seen = site.look(&browser);
        seen.assert_no_session();
        assert!(!seen.is_new());
        assert_eq!(seen.id(), id);
        site.wait(3600);
    }
}

#[test]
fn two_visitors_have_two_ids() {
    let site = Site::new();
    assert_ne!(site.look(&site.browser()).id(), site.look(&site.browser()).id());
}

#[test]
fn a_session_shows_its_data_and_its_times_but_no_user() {
    let site = Site::new();
    let browser = site.guest();
    site.wait(100);
    site.patch(&browser, r#"{"cart":["apple"]}"#);
    site.wait(10);
    let seen = site.look(&browser);
    assert_eq!(seen.session("Data"), Some(r#"{"cart":["apple"]}"#));
    assert_eq!(seen.session("Created"), Some((START + 100).to_string().as_str()));
    assert_eq!(seen.session("Expires"), Some((START + 100 + 24 * 3600).to_string().as_str()));
    assert_eq!((seen.user(), seen.is_new()), (None, false));
}

#[test]
fn a_logged_in_user_is_shown() {
    let site = Site::new();
    let browser = site.guest();
    site.wait(100);
    site.login_as(&browser, "alice@example.com");
    site.wait(10);
    let seen = site.look(&browser);
    assert_eq!(seen.user(), Some("alice@example.com"));
    assert_eq!(seen.session("Data"), Some("{}"));
    assert_eq!(seen.session("Created"), Some((START + 100).to_string().as_str()));
    assert_eq!(seen.session("Expires"), Some((START + 100 + 30 * 60).to_string().as_str()));
    assert!(!seen.is_new());
}

#[test]
fn a_guest_ticket_never_yields_data() {
    let site = Site::new();
    let browser = site.guest();
    let guest = browser.copy();
    site.patch(&browser, r#"{"cart":["apple"]}"#);
    assert_eq!(browser.ticket().secret, guest.ticket().secret, "the session is born under the same secret");
    site.look(&guest).assert_no_session();
}

#[test]
fn data_is_ascii_whatever_was_kept() {
    let site = Site::new();
    let browser = site.guest();
    let patch = r#"{"name":"J\u00f6rg \ud83d\ude00","\u00e9":"line\nbreak\u0000\u007f"}"#;
    site.patch(&browser, patch);
    let seen = site.look(&browser);
    let header = seen.session("Data").expect("data");
    assert!(header.bytes().all(|b| (b' '..=b'~').contains(&b)), "{header}");
    assert!(header.to_ascii_lowercase().contains(r"j\u00f6rg \ud83d\ude00"), "{header}");
    assert_eq!(seen.data(), Some(serde_json::from_str(patch).expect("JSON")));
}

#[test]
fn raw_utf8_in_a_patch_is_shown_escaped() {
    let site = Site::new();
    let browser = site.guest();
    site.patch(&browser, r#"{"name":"Jörg 😀"}"#);
    let seen = site.look(&browser);
    assert!(seen.head.raw.is_ascii());
    assert_eq!(seen.data(), Some(json!({"name": "Jörg 😀"})));
}

#[test]
fn data_over_the_header_budget_is_announced_instead_of_sent() {
    let site = Site::new();
    let browser = site.guest();
    let value = "x".repeat(3000);
    site.patch(&browser, &format!(r#"{{"a":"{value}"}}"#));
    site.patch(&browser, &format!(r#"{{"b":"{value}"}}"#));
    let seen = site.look(&browser);
    assert!(seen.data().is_some() && seen.session("Data-Omitted").is_none(), "6014 bytes are within 6 KiB");
    site.patch(&browser, &format!(r#"{{"c":"{}"}}"#, "x".repeat(200)));
    let seen = site.look(&browser);
    assert_eq!(seen.data(), None);
    let whole = json!({"a": value, "b": value, "c": "x".repeat(200)}).to_string();
    assert_eq!(seen.session("Data-Omitted"), Some(whole.len().to_string().as_str()));
    site.patch(&browser, r#"{"a":null}"#);
    let seen = site.look(&browser);
    assert!(seen.data().is_some() && seen.session("Data-Omitted").is_none(), "small again");
}

#[test]
fn omitted_data_is_had_from_the_api() {
    let site = Site::new();
    let browser = site.guest();
    let value = "x".repeat(7000);
    site.patch(&browser, &format!(r#"{{"a":"{value}"}}"#));
    let id = site.look(&browser).id().to_owned();
    let answer = site.admin(get(&format!("/sessions/{id}")));
    let session: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(session["data"], json!({"a": value}));
}

#[test]
fn the_id_stays_when_a_guest_becomes_a_session_and_on_every_patch() {
    let site = Site::new();
    let browser = site.browser();
    let id = site.look(&browser).id().to_owned();
    for i in 0..3 {
        site.patch(&browser, &format!(r#"{{"a":{i}}}"#));
        assert_eq!(site.look(&browser).id(), id);
    }
}

#[test]
fn the_id_changes_on_login_logout_and_renewal_by_the_backend() {
    let site = Site::new();
    let browser = site.keep(r#"{"a":1}"#);
    let mut ids = vec![site.look(&browser).id().to_owned()];
    site.login_as(&browser, "alice");
    ids.push(site.look(&browser).id().to_owned());
    site.visit(&browser, post("/sudo"), ok().session("Renew", "true"));
    ids.push(site.look(&browser).id().to_owned());
    site.logout(&browser);
    ids.push(site.look(&browser).id().to_owned());
    for (i, id) in ids.iter().enumerate() {
        assert!(is_public_id(id));
        assert!(!ids[..i].contains(id), "{ids:?}");
    }
}

#[test]
fn the_id_is_not_in_the_ticket_nor_the_ticket_in_the_id() {
    let site = Site::new();
    let browser = site.login("alice");
    let (seen, ticket) = (site.look(&browser), browser.sid().expect("a ticket"));
    assert!(!ticket.contains(seen.id()));
    assert!(!String::from_utf8_lossy(&seen.head.raw).contains(&ticket));
}
