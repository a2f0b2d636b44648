//! How far an upstream is believed, and by which prefix.

use serde_json::json;

use super::support::*;

fn asks_everything(patch: &str) -> Vec<Reply> {
    vec![
        ok().session("Patch", patch),
        ok().session("User", "mallory"),
        ok().session("End", "this"),
        ok().session("End", "all"),
        ok().session("Renew", "true"),
        ok().session("Persist", "true"),
    ]
}

/// A site whose `/` may do everything and whose `/app2` is trusted less.
fn two_trusts(trust: &str) -> (Site, Backend) {
    let other = Backend::start();
    let routes = ["path = \"/\"\nupstream = \"app\"", "path = \"/app2\"\nupstream = \"other\""];
    let site = Site::build().another("other", &other, &format!("trust = {trust:?}")).routes(&routes).start();
    (site, other)
}

fn ask(other: &Backend, browser: &Browser, reply: Reply) -> (Vec<String>, Answer) {
    let pending = browser.send(post("/app2"));
    let exchange = other.next();
    let names = exchange.session_names().into_iter().map(str::to_owned).collect();
    exchange.reply(reply);
    (names, pending.answer())
}

#[test]
fn an_untrusted_upstream_is_told_nothing_and_changes_nothing() {
    let (site, other) = two_trusts("none");
    let browser = site.login("alice");
    site.patch(&browser, r#"{"a":1}"#);
    for reply in
        asks_everything(r#"{"a":2}"#).into_iter().chain([ok().session("Unknown", "1"), ok().session("Patch", "[")])
    {
        let (names, answer) = ask(&other, &browser, reply);
        assert_eq!(names, Vec::<String>::new());
        assert_eq!((answer.status(), answer.sid()), (200, None));
    }
    let seen = site.look(&browser);
    assert_eq!((seen.user(), seen.data()), (Some("alice"), Some(json!({"a": 1}))));
}

#[test]
fn a_reading_upstream_is_told_and_changes_nothing() {
    let (site, other) = two_trusts("read");
    let browser = site.login("alice");
    site.patch(&browser, r#"{"a":1}"#);
    for reply in asks_everything(r#"{"a":2}"#).into_iter().chain([ok().session("Patch", "[")]) {
        let (names, answer) = ask(&other, &browser, reply);
        assert_eq!(names.len(), 5, "{names:?}");
        assert_eq!((answer.status(), answer.sid()), (200, None));
    }
    let seen = site.look(&browser);
    assert_eq!((seen.user(), seen.data()), (Some("alice"), Some(json!({"a": 1}))));
}

#[test]
fn a_writing_upstream_patches_and_does_no_more() {
    let (site, other) = two_trusts("write");
    let browser = site.login("alice");
    site.patch(&browser, r#"{"a":1}"#);
    let before = site.look(&browser).id().to_owned();
    for reply in
        asks_everything(r#"{"a":2}"#).into_iter().chain([ok().session("User", ""), ok().session("End", "what")])
    {
        let (names, answer) = ask(&other, &browser, reply);
        assert_eq!(names.len(), 5, "{names:?}");
        assert_eq!((answer.status(), answer.sid()), (200, None));
    }
    let seen = site.look(&browser);
    assert_eq!((seen.user(), seen.data(), seen.id()), (Some("alice"), Some(json!({"a": 2})), before.as_str()));
    let (_, answer) = ask(&other, &browser, ok().session("Patch", "["));
    assert_eq!(answer.status(), 502, "what it may do, it must do well");
}

#[test]
fn a_route_without_sessions_has_none() {
    let routes = ["path = \"/\"\nupstream = \"app\"", "path = \"/static\"\nupstream = \"app\"\nsession = false"];
    let site = Site::build().routes(&routes).start();
    let browser = site.login("alice");
    let sid = browser.sid();
    for reply in asks_everything(r#"{"a":2}"#) {
        let (seen, answer) =
            site.visit(&browser, get("/static/a.css").with("Cookie", "theme=dark").without_jar(), reply.clone());
        assert_eq!(seen.names(), Vec::<&str>::new());
        assert_eq!(answer.sid(), None);
        assert_eq!(answer.header("Vary"), None);
        let (seen, answer) = site.visit(&browser, get("/static/a.css"), reply);
        assert_eq!(seen.names(), Vec::<&str>::new());
        assert_eq!(seen.header("Cookie"), None, "our cookie is removed here too");
        assert_eq!(answer.sid(), None);
    }
    assert_eq!(browser.sid(), sid);
    let seen = site.look(&browser);
    assert_eq!((seen.user(), seen.data()), (Some("alice"), Some(json!({}))));
}

#[test]
fn another_prefix_is_used_and_guarded_in_both_directions() {
    let site = Site::build().session("header_prefix = \"X-Acme-\"").start();
    let browser = site.browser();
    let forged = get("/").with("X-Acme-User", "mallory").with("x_acme_user", "mallory").with("X-Acme-Other", "mallory");
    let (seen, _) = site.visit(&browser, forged, ok().with("X-Acme-User", "alice"));
    let mut names = seen.head.fields.aliases_of("X-Acme-");
    names.sort_by_key(|name| name.to_ascii_lowercase());
    assert!(names.iter().map(|name| name.to_ascii_lowercase()).eq(["x-acme-id", "x-acme-new"]), "{names:?}");
    let (seen, answer) = site.visit(&browser, get("/"), ok());
    assert_eq!(seen.header("X-Acme-User"), Some("alice"));
    assert_eq!(seen.header("X-Acme-Data"), Some("{}"));
    assert_eq!(answer.head.fields.aliases_of("X-Acme-"), Vec::<&str>::new());
}

#[test]
fn where_there_is_no_session_nothing_that_is_asked_of_it_is_read() {
    let site = Site::build().routes(&["path = \"/\"\nupstream = \"app\"\nsession = false"]).start();
    for (name, value) in [("Patch", "no JSON"), ("User", ""), ("End", "that"), ("Unheard-Of", "1")] {
        let (_, answer) = site.visit(&site.browser(), get("/"), ok().session(name, value));
        assert_eq!(answer.status(), 200, "{name}");
        assert_eq!(answer.head.fields.aliases_of("X-Session-"), Vec::<&str>::new());
    }
}

#[test]
fn what_an_answer_asks_in_vain_is_not_asked_by_the_next_one_on_its_connection() {
    let plain = "path = \"/plain\"\nupstream = \"app\"\nsession = false";
    let site = Site::build().listen("workers = 1").routes(&[plain, "path = \"/\"\nupstream = \"app\""]).start();
    let malformed = ok().session("Patch", "no JSON").session("User", "mallory");
    for (path, reply, status) in [("/plain", ok().session("User", "mallory"), 200), ("/", malformed, 502)] {
        assert_eq!(site.visit(&site.browser(), get(path), reply).1.status(), status);
        let visitor = site.browser();
        site.look(&visitor);
        assert_eq!(site.look(&visitor).user(), None, "after {path}");
    }
}
