//! `Cookie`, on its way in.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::support::*;

#[test]
fn our_cookie_is_removed_and_every_other_byte_stays() {
    let site = Site::new();
    let browser = site.guest();
    let sid = format!("{COOKIE}={}", browser.sid().expect("a cookie"));
    let cases = [
        (format!("{sid}; a=1"), "a=1"),
        (format!("a=1; {sid}"), "a=1"),
        (format!("a=1; {sid}; b=2"), "a=1; b=2"),
        (format!("a=b=c; d=\"x y\"; {sid}; e; =f; g="), "a=b=c; d=\"x y\"; e; =f; g="),
        (format!("a=%7B%22x%22%3A1%7D; {sid}; js={{\"x\":[1,2]}}"), "a=%7B%22x%22%3A1%7D; js={\"x\":[1,2]}"),
        (format!("{sid}; {COOKIE}=planted; a=1; {COOKIE}="), "a=1"),
        (format!("x{COOKIE}=1; {sid}; {COOKIE}x=2"), "x__Host-sid=1; __Host-sidx=2"),
    ];
    for (sent, expected) in cases {
        let (seen, _) = site.visit(&browser, get("/").without_jar().with("Cookie", &sent), ok());
        assert_eq!(seen.header("Cookie"), Some(expected), "sent {sent}");
        assert!(!seen.is_new(), "sent {sent}");
    }
}

#[test]
fn a_cookie_header_without_our_cookie_is_untouched() {
    let site = Site::new();
    for sent in ["a=1", "a=1;b=2", "a=1;  b=2 ; c", "a=1; b=\"2;3\"", ";;a", "$Version=1; a=1; $Path=/"] {
        let (seen, _) = site.visit(&site.browser(), get("/").with("Cookie", sent), ok());
        assert_eq!(seen.header("Cookie"), Some(sent));
    }
}

#[test]
fn a_request_with_only_our_cookie_has_none_upstream() {
    let site = Site::new();
    let browser = site.guest();
    let seen = site.look(&browser);
    assert_eq!(seen.header("Cookie"), None);
    assert!(!seen.head.raw.windows(6).any(|w| w.eq_ignore_ascii_case(b"cookie")));
}

#[test]
fn odd_spacing_hides_our_cookie_from_nobody() {
    let site = Site::new();
    let browser = site.guest();
    let sid = browser.sid().expect("a cookie");
    for sent in [
        format!("a=1;{COOKIE}={sid};b=2"),
        format!("a=1;   {COOKIE}={sid}  ;b=2"),
        format!("a=1;\t{COOKIE}={sid}; b=2"),
        format!("a=1; {COOKIE} = {sid}; b=2"),
        format!("a=1;; {COOKIE}={sid};; b=2"),
    ] {
        let (seen, _) = site.visit(&browser, get("/").without_jar().with("Cookie", &sent), ok());
        let upstream = seen.header("Cookie").unwrap_or_default();
        assert!(!upstream.contains(&sid), "sent {sent:?}, upstream saw {upstream:?}");
        assert!(upstream.contains("a=1") && upstream.contains("b=2"), "sent {sent:?}, upstream saw {upstream:?}");
    }
}

#[test]
fn several_cookie_lines_are_one_upstream() {
    let site = Site::new();
    let browser = site.guest();
    let sid = format!("{COOKIE}={}", browser.sid().expect("a cookie"));
    let id = site.look(&browser).id().to_owned();
    let request = get("/").without_jar().with("Cookie", "a=1").with("cookie", &sid).with("Cookie", "b=2; c=3");
    let (seen, _) = site.visit(&browser, request, ok());
    assert_eq!(seen.header("Cookie"), Some("a=1; b=2; c=3"));
    assert_eq!(seen.id(), id);
}

#[test]
fn http2_cookie_fields_are_joined() {
    let site = Site::new();
    let browser = site.guest();
    let sid = format!("{COOKIE}={}", browser.sid().expect("a cookie"));
    let id = site.look(&browser).id().to_owned();
    let client = site.http2();
    let pending = client.send("GET", "/", &[("cookie", "a=1"), ("cookie", &sid), ("cookie", "b=2")]);
    let exchange = site.backend.next();
    assert_eq!(exchange.header("Cookie"), Some("a=1; b=2"));
    assert_eq!(exchange.session("Id"), Some(id.as_str()));
    exchange.reply(ok());
    assert_eq!(pending.answer().status, 200);
}

#[test]
fn of_several_candidates_the_first_that_verifies_counts() {
    let site = Site::new();
    let (alice, bob) = (site.login("alice"), site.login("bob"));
    let (alice, bob) = (alice.sid().expect("a cookie"), bob.sid().expect("a cookie"));
    let mut forged = alice.clone().into_bytes();
    forged[50] = if forged[50] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).expect("ASCII");
    let cases = [
        (vec![alice.as_str(), bob.as_str()], Some("alice")),
        (vec![bob.as_str(), alice.as_str()], Some("bob")),
        (vec!["garbage", bob.as_str()], Some("bob")),
        (vec![forged.as_str(), "", bob.as_str(), alice.as_str()], Some("bob")),
        (vec![forged.as_str(), "garbage"], None),
    ];
    for (values, user) in cases {
        let line: Vec<_> = values.iter().map(|value| format!("{COOKIE}={value}")).collect();
        let (seen, _) = site.visit(&site.browser(), get("/").with("Cookie", &line.join("; ")), ok());
        assert_eq!(seen.user(), user, "{values:?}");
        let lines = values.iter().fold(get("/"), |request, value| request.with("Cookie", &format!("{COOKIE}={value}")));
        let (seen, _) = site.visit(&site.browser(), lines, ok());
        assert_eq!(seen.user(), user, "{values:?} in lines of their own");
    }
}

/// `value` decoded, changed and encoded again.
fn edited(value: &str, edit: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut bytes = URL_SAFE_NO_PAD.decode(value).expect("base64url");
    edit(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

#[test]
fn whatever_is_no_ticket_of_ours_makes_a_fresh_guest() {
    let site = Site::new();
    let browser = site.login("alice");
    let value = browser.sid().expect("a cookie");
    let mut wrong: Vec<String> = (0..72).map(|i| edited(&value, |bytes| bytes[i] ^= 1)).collect();
    wrong.extend([
        String::new(),
        "garbage".to_owned(),
        value[..95].to_owned(),
        format!("{value}A"),
        format!("{value}{value}"),
        value.replacen(&value[40..41], "=", 1),
        value.replacen(&value[40..41], "+", 1),
        "A".repeat(96),
        "A".repeat(8000),
        "%00".repeat(32),
        value.to_ascii_lowercase(),
        edited(&value, |bytes| bytes[0] = 2),
        edited(&value, |bytes| bytes[1] = Ticket::GUEST),
        edited(&value, |bytes| bytes[1] = 7),
        edited(&value, |bytes| bytes[2] = bytes[2].wrapping_add(1)),
        edited(&value, |bytes| bytes[40..].fill(0)),
    ]);
    for wrong in wrong {
        let (seen, answer) = site.visit(&site.browser(), get("/").with("Cookie", &format!("{COOKIE}={wrong}")), ok());
        seen.assert_stranger();
        assert_eq!(seen.header("Cookie"), None, "{wrong}");
        assert_eq!((answer.status(), answer.ticket().kind), (200, Ticket::GUEST), "{wrong}");
        assert_ne!(answer.ticket().secret, browser.ticket().secret, "{wrong}");
    }
    assert_eq!(site.look(&browser).user(), Some("alice"));
}

#[test]
fn a_ticket_under_a_foreign_key_is_no_ticket() {
    let (ours, theirs) = (Site::build().keys(&[1]).start(), Site::build().keys(&[2]).start());
    let value = theirs.guest().sid().expect("a cookie");
    let browser = ours.browser();
    browser.plant(COOKIE, &value);
    let (seen, answer) = ours.visit(&browser, get("/"), ok());
    seen.assert_stranger();
    assert_ne!(answer.sid().expect("a fresh guest").value, value);
}

#[test]
fn a_ticket_for_one_cookie_name_is_none_under_another() {
    let one = Site::new();
    let value = one.guest().sid().expect("a cookie");
    for name in ["__Host-other", "__Host-dis"] {
        let other = Site::build().cookie(name).start();
        let browser = other.browser();
        browser.plant(name, &value);
        other.look(&browser).assert_stranger();
    }
}

#[test]
fn a_guest_of_one_gateway_is_the_same_guest_at_another_with_its_key() {
    let (one, two) = (Site::new(), Site::new());
    let browser = one.guest();
    let id = one.look(&browser).id().to_owned();
    let elsewhere = two.browser();
    elsewhere.plant(COOKIE, &browser.sid().expect("a cookie"));
    let (seen, answer) = two.visit(&elsewhere, get("/"), ok());
    assert_eq!((seen.id(), seen.is_new()), (id.as_str(), false));
    assert_eq!(answer.sid(), None);
}

#[test]
fn a_session_ticket_that_the_store_does_not_know_is_never_adopted() {
    let (one, two) = (Site::new(), Site::new());
    let browser = one.login("alice");
    let elsewhere = two.browser();
    elsewhere.plant(COOKIE, &browser.sid().expect("a cookie"));
    let planted = elsewhere.copy();
    let (seen, answer) = two.visit(&elsewhere, post("/"), ok().session("Patch", r#"{"a":1}"#));
    seen.assert_stranger();
    assert_ne!(seen.id(), one.look(&browser).id());
    assert_ne!(answer.ticket().secret, browser.ticket().secret, "the session born is under a secret of our own");
    two.look(&planted).assert_stranger();
}
