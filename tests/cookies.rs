//! Our cookie, in and out: its shape, its attributes, what becomes of other cookies, and what caches are told.

mod support;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use support::*;

const DAY: u64 = 24 * 60 * 60;

// ---- shape and attributes

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

// ---- requests from other sites, which come without the cookie that the browser holds

fn from_another_site(request: Request) -> Request {
    request.without_jar().with("Sec-Fetch-Site", "cross-site").with("Sec-Fetch-Mode", "navigate")
}

#[test]
fn a_cross_site_post_without_a_cookie_gets_no_guest_cookie_and_a_get_does() {
    let site = Site::new();
    let (seen, answer) = site.visit(&site.browser(), from_another_site(post("/")), ok());
    seen.assert_stranger();
    assert_eq!(answer.sid(), None, "{}", answer.text_head());
    let (_, answer) = site.visit(&site.browser(), from_another_site(get("/")), ok());
    assert_eq!(answer.ticket().kind, Ticket::GUEST, "SameSite=Lax withholds nothing from a link");
    let (_, answer) = site.visit(&site.browser(), post("/").with("Sec-Fetch-Site", "same-origin"), ok());
    assert_eq!(answer.ticket().kind, Ticket::GUEST, "nor anything from our own forms");
}

#[test]
fn under_same_site_strict_a_cross_site_get_without_a_cookie_gets_no_guest_cookie() {
    let site = Site::build().session("same_site = \"strict\"").start();
    let (seen, answer) = site.visit(&site.browser(), from_another_site(get("/")), ok());
    seen.assert_stranger();
    assert_eq!(answer.sid(), None, "{}", answer.text_head());
    for here in ["none", "same-origin"] {
        let (_, answer) = site.visit(&site.browser(), get("/").with("Sec-Fetch-Site", here), ok());
        assert_eq!(answer.ticket().kind, Ticket::GUEST, "{here}");
    }
}

#[test]
fn a_form_posted_from_another_site_does_not_overwrite_the_session() {
    let site = Site::new();
    let browser = site.login("alice");
    site.visit(&browser, from_another_site(post("/payment-return")), ok());
    assert_eq!(site.look(&browser).user(), Some("alice"));
}

#[test]
fn a_login_posted_from_another_site_logs_in() {
    let site = Site::new();
    let browser = site.guest();
    site.visit(&browser, from_another_site(post("/saml")), ok().session("User", "alice"));
    assert_eq!(site.look(&browser).user(), Some("alice"));
}

// ---- Cookie, on its way in

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

// ---- key rotation

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

// ---- Set-Cookie, on its way out

#[test]
fn a_backends_cookies_pass_byte_for_byte_beside_ours() {
    let site = Site::new();
    let theirs = [
        "app=1; Path=/; Priority=High; Partitioned; secure",
        "b=\"x y\"; expires=Wed, 21 Oct 2015 07:28:00 GMT;HttpOnly",
        "c=; Max-Age=-1",
        "novalue",
        "__Host-other=1; Secure; Path=/",
        "app=2; Path=/second",
    ];
    let reply = theirs.iter().fold(ok(), |reply, line| reply.with("Set-Cookie", line));
    let (_, answer) = site.visit(&site.browser(), get("/"), reply);
    let sent = answer.headers_all("Set-Cookie");
    let (ours, passed): (Vec<_>, Vec<_>) = sent.into_iter().partition(|line| line.starts_with("__Host-sid="));
    assert_eq!(passed, theirs);
    assert_eq!(ours.len(), 1);
}

#[test]
fn a_backends_cookie_with_our_name_is_dropped() {
    let site = Site::new();
    let browser = site.login("alice");
    let before = browser.sid();
    let evil = [
        "__Host-sid=evil; Path=/; Secure",
        "__Host-sid=; Max-Age=0; Path=/; Secure",
        " __Host-sid =evil; Path=/; Secure",
    ];
    for line in evil {
        let (_, answer) = site.visit(&browser, get("/"), ok().with("Set-Cookie", line).with("Set-Cookie", "app=1"));
        assert_eq!(answer.headers_all("Set-Cookie"), ["app=1"], "{line:?}");
    }
    let (_, answer) = site.visit(&site.browser(), get("/"), ok().with("Set-Cookie", evil[0]));
    assert_eq!(answer.sid().expect("ours").value.len(), 96);
    assert_eq!(browser.sid(), before);
    // Where sessions are off, the name is ours all the same.
    let site = Site::build().trust("none").routes(&["path = \"/\"\nupstream = \"app\"\nsession = false"]).start();
    let (_, answer) = site.visit(&site.browser(), get("/"), ok().with("Set-Cookie", evil[0]));
    assert_eq!(answer.sid(), None);
}

/// RFC 6265bis section 5.7: a cookie without a name is sent back as its value alone, which then reads as one of ours.
/// Browsers refuse that for `__Host-`, not for other names.
#[test]
fn a_backends_nameless_cookie_that_would_come_back_as_ours_is_dropped() {
    let site = Site::build().cookie("sid").start();
    for line in ["=sid=evil; Path=/", " = sid=evil", "=sid"] {
        let pending = site.plain().send(get("/"));
        site.backend.next().reply(ok().with("Set-Cookie", line).with("Set-Cookie", "=other=1"));
        let answer = pending.answer();
        let lines = answer.headers_all("Set-Cookie");
        assert!(!lines.contains(&line.trim()), "{lines:?}");
        assert!(lines.contains(&"=other=1"), "{lines:?}");
    }
}

#[test]
fn never_two_cookies_of_ours_on_one_answer() {
    // Key rotation, birth, persistence and login all at once.
    let old = Site::build().keys(&[1]).start().guest();
    let site = Site::build().keys(&[2, 1]).start();
    let browser = site.browser();
    browser.plant(COOKIE, &old.sid().expect("a cookie"));
    let reply = ok()
        .session("User", "alice")
        .session("Patch", r#"{"a":1}"#)
        .session("Persist", "true")
        .session("Renew", "true");
    let (_, answer) = site.visit(&browser, post("/"), reply.with("Set-Cookie", "__Host-sid=evil; Secure; Path=/"));
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.sid().expect("exactly one").attribute("Max-Age"), Some("2678400"));
    assert_eq!(site.look(&browser).user(), Some("alice"));
}

// ---- caches

fn cache_control(answer: &Answer) -> String {
    answer.headers_all("Cache-Control").join(", ").to_ascii_lowercase()
}

#[test]
fn our_cookie_goes_with_no_store() {
    let site = Site::new();
    for backends in [None, Some("max-age=60"), Some("private"), Some("no-cache"), Some("private, max-age=600")] {
        let reply = backends.iter().fold(ok(), |reply, value| reply.with("Cache-Control", value));
        let (_, answer) = site.visit(&site.browser(), get("/"), reply);
        assert!(answer.sid().is_some(), "{backends:?}");
        let control = cache_control(&answer);
        assert!(control.contains("no-store"), "{backends:?} became {control:?}");
        assert!(!control.contains("max-age=6"), "{backends:?} became {control:?}");
    }
    let (_, answer) = site.visit(&site.browser(), get("/"), ok().with("Cache-Control", "private, no-store"));
    assert_eq!(answer.headers_all("Cache-Control"), ["private, no-store"], "as strict already");
}

#[test]
fn an_answer_without_our_cookie_keeps_its_cache_control() {
    let site = Site::new();
    let browser = site.guest();
    for control in ["max-age=60", "public, max-age=600", "no-cache", "private"] {
        let (_, answer) = site.visit(&browser, get("/"), ok().with("Cache-Control", control));
        assert_eq!((answer.sid(), answer.headers_all("Cache-Control")), (None, vec![control]));
    }
    let (_, answer) = site.visit(&browser, get("/"), ok());
    assert_eq!(answer.header("Cache-Control"), None);
}

const SHARED: [&str; 7] = [
    "public",
    "public, max-age=600",
    "max-age=1, s-maxage=600",
    "S-MAXAGE=5",
    "max-age=31536000, immutable",
    "PUBLIC",
    "max-age=5 ,public",
];

#[test]
fn no_guest_cookie_goes_with_an_answer_that_shared_caches_may_store() {
    let site = Site::new();
    for control in SHARED {
        let browser = site.browser();
        let (seen, answer) = site.visit(&browser, get("/"), ok().with("Cache-Control", control));
        assert!(seen.is_new());
        assert_eq!((answer.sid(), answer.headers_all("Cache-Control")), (None, vec![control]));
        assert_eq!(browser.sid(), None);
    }
    let reply = ok().with("Cache-Control", "max-age=5").with("Cache-Control", "public");
    assert_eq!(site.visit(&site.browser(), get("/"), reply).1.sid(), None, "in the second of two lines");
    let reply = ok().with("Cache-Control", "private=\"public\", max-age=0");
    assert!(site.visit(&site.browser(), get("/"), reply).1.sid().is_some(), "a quoted word is no directive");
}

#[test]
fn no_guest_cookie_goes_with_an_answer_that_says_how_a_cdn_may_store_it() {
    let site = Site::new();
    for name in ["CDN-Cache-Control", "Surrogate-Control"] {
        let (_, answer) = site.visit(&site.browser(), get("/"), ok().with(name, "max-age=600"));
        assert_eq!((answer.sid(), answer.header(name)), (None, Some("max-age=600")), "{}", answer.text_head());
    }
}

#[test]
fn no_guest_cookie_goes_with_a_304() {
    let site = Site::new();
    let request = get("/app.js").with("If-None-Match", "\"a\"");
    let (_, answer) = site.visit(&site.browser(), request, status("304 Not Modified").with("ETag", "\"a\""));
    assert_eq!(answer.sid(), None, "a cache would store it with what it updates: {}", answer.text_head());
    assert_eq!(answer.header("Cache-Control"), None);
}

#[test]
fn no_renewing_cookie_goes_with_an_answer_that_shared_caches_may_store() {
    let site = Site::build().session("idle_timeout = \"4h\"").start();
    let browser = site.login("alice");
    let old = browser.ticket();
    site.wait(3601);
    for control in SHARED {
        let (seen, answer) = site.visit(&browser, get("/"), ok().with("Cache-Control", control));
        assert_eq!(seen.user(), Some("alice"));
        assert_eq!((answer.sid(), answer.headers_all("Cache-Control")), (None, vec![control]));
    }
    let (_, answer) = site.visit(&browser, get("/"), ok());
    assert_ne!(answer.ticket().secret, old.secret, "the next answer that may carry it, does");
}

#[test]
fn a_login_on_an_answer_said_to_be_public_is_kept_from_caches() {
    let site = Site::new();
    for control in SHARED {
        let browser = site.guest();
        let (_, answer) =
            site.visit(&browser, post("/login"), ok().with("Cache-Control", control).session("User", "alice"));
        assert!(answer.sid().is_some(), "{control}");
        let after = cache_control(&answer);
        assert!(after.contains("no-store"), "{control} became {after}");
        for directive in ["public", "s-maxage", "immutable", "max-age"] {
            assert!(!after.contains(directive), "{control} became {after}");
        }
        assert_eq!(site.look(&browser).user(), Some("alice"));
    }
}

#[test]
fn a_login_on_an_answer_meant_for_a_cdn_is_kept_from_it() {
    let site = Site::new();
    for name in ["CDN-Cache-Control", "Surrogate-Control"] {
        let browser = site.guest();
        let reply = ok().with(name, "max-age=600").session("User", "alice");
        let (_, answer) = site.visit(&browser, post("/login"), reply);
        assert_eq!((answer.header(name), answer.header("Cache-Control")), (None, Some("no-store")));
        assert_eq!(site.look(&browser).user(), Some("alice"));
    }
}

#[test]
fn a_logout_goes_with_no_store() {
    let site = Site::new();
    let browser = site.login("alice");
    let (_, answer) =
        site.visit(&browser, post("/logout"), ok().with("Cache-Control", "public").session("End", "this"));
    assert!(answer.deletes_sid());
    assert!(cache_control(&answer).contains("no-store"));
}

#[test]
fn answers_vary_on_cookie_where_identity_was_injected() {
    let site = Site::new();
    let browser = site.guest();
    let vary = |reply: Reply| {
        let (_, answer) = site.visit(&browser, get("/"), reply);
        let mut members: Vec<_> =
            answer.headers_all("Vary").join(",").split(',').map(|m| m.trim().to_ascii_lowercase()).collect();
        members.sort();
        members
    };
    assert_eq!(vary(ok()), ["cookie"]);
    assert_eq!(vary(ok().with("Vary", "Accept-Encoding")), ["accept-encoding", "cookie"]);
    assert_eq!(vary(ok().with("Vary", "Accept").with("Vary", "Origin")), ["accept", "cookie", "origin"]);
    assert_eq!(vary(ok().with("Vary", "cookie, Accept")), ["accept", "cookie"]);
    assert_eq!(vary(ok().with("Vary", "X-Cookie")), ["cookie", "x-cookie"]);
    assert_eq!(vary(ok().with("Cache-Control", "public")), ["cookie"]);
    assert_eq!(vary(status("304 Not Modified")), ["cookie"]);
    let star = vary(ok().with("Vary", "*"));
    assert!(star.contains(&"*".to_owned()), "{star:?}");
}

#[test]
fn answers_of_an_upstream_that_was_told_nothing_do_not_vary() {
    let site = Site::build().trust("none").start();
    let (_, answer) = site.visit(&site.browser(), get("/"), ok());
    assert_eq!(answer.header("Vary"), None);
}
