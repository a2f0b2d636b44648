//! `Set-Cookie` on its way out, and what caches are told.

use super::support::*;

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
