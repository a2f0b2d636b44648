//! What is not followed: malformed, too large, or on an error of the server.

use serde_json::json;

use super::support::*;

#[test]
fn patch_and_user_on_a_server_error_are_ignored() {
    let site = Site::new();
    let browser = site.keep(r#"{"a":1}"#);
    for line in ["500 Internal Server Error", "502 Bad Gateway", "503 Service Unavailable", "599 Whatever"] {
        let reply =
            status(line).session("Patch", r#"{"a":2}"#).session("User", "alice").body("the backend's error page");
        let (_, answer) = site.visit(&browser, post("/"), reply);
        assert_eq!(
            (answer.status().to_string().as_str(), answer.text().as_str()),
            (&line[..3], "the backend's error page")
        );
        assert_eq!(answer.sid(), None);
    }
    let seen = site.look(&browser);
    assert_eq!((seen.user(), seen.data()), (None, Some(json!({"a": 1}))));
}

#[test]
fn a_malformed_patch_on_a_server_error_is_ignored_like_any_other() {
    let site = Site::new();
    let browser = site.keep(r#"{"a":1}"#);
    let reply = status("500 Internal Server Error").session("Patch", "[").body("the backend's error page");
    let (_, answer) = site.visit(&browser, post("/"), reply);
    assert_eq!((answer.status(), answer.text().as_str()), (500, "the backend's error page"));
}

#[test]
fn end_on_a_server_error_holds() {
    let site = Site::new();
    let browser = site.login("alice");
    let copy = browser.copy();
    let reply = status("500 Internal Server Error").session("End", "this").session("Patch", r#"{"a":1}"#);
    let (_, answer) = site.visit(&browser, post("/logout"), reply);
    assert_eq!(answer.status(), 500);
    assert!(answer.deletes_sid());
    site.look(&copy).assert_stranger();
}

#[test]
fn end_on_a_server_error_holds_beside_a_malformed_patch() {
    let site = Site::new();
    let browser = site.login("alice");
    let copy = browser.copy();
    let reply = status("500 Internal Server Error").session("End", "this").session("Patch", "nonsense");
    let (_, answer) = site.visit(&browser, post("/logout"), reply);
    assert_eq!(answer.status(), 500);
    assert!(answer.deletes_sid());
    site.look(&copy).assert_stranger();
}

#[test]
fn anything_malformed_is_a_502_that_changes_nothing_and_leaks_nothing() {
    let site = Site::build().session("max_data = \"1KiB\"").start();
    let browser = site.keep(r#"{"a":1}"#);
    let large = format!(r#"{{"big":"{}"}}"#, "x".repeat(2000));
    let long = "x".repeat(10_000);
    let malformed: &[&[(&str, &str)]] = &[
        &[("Patch", "")],
        &[("Patch", "[]")],
        &[("Patch", "null")],
        &[("Patch", "\"a\"")],
        &[("Patch", "1")],
        &[("Patch", "{")],
        &[("Patch", "{\"a\":}")],
        &[("Patch", "{\"a\":1}}")],
        &[("Patch", "{'a':1}")],
        &[("Patch", "{\"a\":\"\\ud800\"}")],
        &[("Patch", "{\"\\udc00\":1}")],
        &[("Patch", &large)],
        &[("Patch", "{\"b\":1}"), ("Patch", "[]")],
        &[("User", "")],
        &[("User", &long)],
        &[("User", "alice"), ("User", "alice")],
        &[("User", "alice"), ("User", "bob")],
        &[("End", "")],
        &[("End", "everything")],
        &[("End", "this"), ("End", "all")],
        &[("End", "this"), ("User", "alice")],
        &[("End", "all"), ("User", "alice")],
        &[("End", "this"), ("Patch", "nonsense")],
        &[("Patch", "nonsense"), ("End", "this")],
        &[("Renew", "yes")],
        &[("Renew", "false"), ("Renew", "true")],
        &[("Persist", "1")],
        &[("Persist", "")],
        &[("Anything", "1")],
        &[("Usr", "alice")],
        &[("Patch", "{\"a\":2}"), ("User", "alice"), ("Unknown", "1")],
        &[("User", "alice"), ("Patch", "[]")],
    ];
    for headers in malformed {
        let reply = ok().with("X-Backend", "private").with("Set-Cookie", "app=1").body("the backend's secret");
        let reply = headers.iter().fold(reply, |reply, (name, value)| reply.session(name, value));
        let (_, answer) = site.visit(&browser, post("/"), reply);
        assert_eq!(answer.status(), 502, "{headers:?}");
        assert!(answer.set_cookies().is_empty(), "{headers:?}: {}", answer.text_head());
        assert_eq!(answer.header("X-Backend"), None, "{headers:?}");
        assert!(!answer.text().contains("the backend's secret"), "{headers:?}");
        assert!(
            !answer.text().contains("X-Session"),
            "the cause is for the log, not for the client: {}",
            answer.text()
        );
        assert_eq!(answer.head.fields.aliases_of("X-Session-"), Vec::<&str>::new());
        let seen = site.look(&browser);
        assert_eq!((seen.user(), seen.data()), (None, Some(json!({"a": 1}))), "{headers:?}");
    }
}

#[test]
fn bytes_that_are_no_utf8_are_malformed() {
    let site = Site::new();
    let browser = site.keep(r#"{"a":1}"#);
    for header in [&b"X-Session-Patch: {\"a\":\"\xff\"}"[..], b"X-Session-User: al\xffice"] {
        let pending = browser.send(post("/"));
        let head = [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", header, b"\r\n\r\n"].concat();
        site.backend.next().respond_raw(&head);
        assert_eq!(pending.answer().status(), 502);
        assert_eq!(site.look(&browser).data(), Some(json!({"a": 1})));
    }
}

#[test]
fn data_beyond_its_limit_is_refused_and_what_was_there_stays() {
    let site = Site::build().session("max_data = \"1KiB\"").start();
    let browser = site.keep(&format!(r#"{{"a":"{}"}}"#, "x".repeat(600)));
    let patch = format!(r#"{{"b":"{}"}}"#, "x".repeat(600));
    let (_, answer) = site.visit(&browser, post("/"), ok().session("Patch", &patch));
    assert_eq!(answer.status(), 502);
    assert!(answer.set_cookies().is_empty());
    let data = site.look(&browser).data().expect("as it was");
    assert!(data.get("a").is_some() && data.get("b").is_none());
    // What replaces as much as it adds fits.
    let patch = format!(r#"{{"a":null,"b":"{}"}}"#, "x".repeat(600));
    site.patch(&browser, &patch);
    assert!(site.look(&browser).data().expect("data").get("b").is_some());
}

#[test]
fn a_guests_malformed_answer_gives_birth_to_nothing() {
    let site = Site::new();
    let browser = site.guest();
    let (_, answer) = site.visit(&browser, post("/"), ok().session("Patch", r#"{"a":1}"#).session("What", "1"));
    assert_eq!((answer.status(), answer.sid()), (502, None));
    site.look(&browser).assert_no_session();
}
