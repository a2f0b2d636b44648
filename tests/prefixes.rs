//! `[upstream.NAME.cookies]` with a `prefix`: what the backend calls `session`, browsers have as `__Host-session`.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use support::*;

const HOST: &str = "[upstream.app.cookies.session]\nprefix = \"__Host-\"\n";

fn set(cookie: &str) -> Reply {
    ok().with("Set-Cookie", cookie)
}

/// What the backend sees where a client sends these `Cookie` fields.
fn sees(site: &Site, fields: &[&str]) -> Option<String> {
    let request = fields.iter().fold(get("/").without_jar(), |request, field| request.with("Cookie", field));
    let (seen, answer) = site.visit(&site.browser(), request, ok());
    assert_eq!(answer.status(), 200);
    seen.header("Cookie").map(str::to_owned)
}

/// What the browser is given for what the backend sets, but for our own.
fn gets(site: &Site, lines: &[&str]) -> Vec<String> {
    let reply = lines.iter().fold(ok(), |reply, line| reply.with("Set-Cookie", line));
    let (_, answer) = site.visit(&site.browser(), get("/"), reply);
    let lines = answer.headers_all("Set-Cookie");
    lines.into_iter().filter(|line| !line.starts_with(&format!("{COOKIE}="))).map(str::to_owned).collect()
}

#[test]
fn a_backend_s_cookie_is_the_browser_s_under_a_prefix_that_it_keeps_and_back_again() {
    let site = Site::build().upstream(HOST).start();
    let lines = [
        "session=one; Path=/app; Domain=localhost.test; Priority=High; HttpOnly",
        "theme=dark;Path=/app;Domain=localhost.test",
        "session=; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; path=/app",
    ];
    assert_eq!(
        gets(&site, &lines),
        [
            "__Host-session=one; Path=/; Priority=High; HttpOnly; Secure",
            lines[1],
            "__Host-session=; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; path=/; Secure",
        ]
    );
    // From login to logout, with a browser that knows nothing of it.
    let browser = site.guest();
    site.visit(&browser, post("/login"), set("session=\"a, b\"=c; HttpOnly"));
    assert_eq!((browser.cookie("__Host-session").as_deref(), browser.cookie("session")), (Some("\"a, b\"=c"), None));
    assert_eq!(site.visit(&browser, get("/app"), ok()).0.header("Cookie"), Some("session=\"a, b\"=c"));
    site.visit(&browser, post("/logout"), set("session=; Max-Age=0; Path=/app"));
    assert_eq!(browser.cookie("__Host-session"), None);
    assert_eq!(site.visit(&browser, get("/app"), ok()).0.header("Cookie"), None);
}

#[test]
fn what_a_sibling_host_has_planted_never_reaches_the_backend() {
    let site = Site::build().upstream(HOST).start();
    for planted in ["session=evil", " session =evil", "session", "SESSION = evil", "x=1 session=evil"] {
        assert_eq!(sees(&site, &[planted]), None, "{planted}");
        for fields in [[planted, "__Host-session=mine"], ["__Host-session=mine", planted]] {
            assert_eq!(sees(&site, &fields).as_deref(), Some("session=mine"), "{fields:?}");
            assert_eq!(sees(&site, &[&fields.join(";")]).as_deref(), Some("session=mine"), "{fields:?}");
        }
    }
    assert_eq!(site.metric("session_gateway_client_cookies_removed_total", &[]), 5 * 5);
}

#[test]
fn every_other_cookie_s_bytes_stay() {
    let site = Site::build().upstream(HOST).start();
    for (sent, seen) in [
        ("a=\"x y\" ; __Host-session=1; b==,;c", "a=\"x y\"; session=1; b==,; c"),
        ("__Host-session=a=__Host-session; x=__Host-session=1", "session=a=__Host-session; x=__Host-session=1"),
        (
            "__host-session=1; __Secure-session=2; __Host-sessions=3",
            "__host-session=1; __Secure-session=2; __Host-sessions=3",
        ),
        ("__Host-__Host-session=1; sessions=2; _session=3", "__Host-__Host-session=1; sessions=2; _session=3"),
    ] {
        assert_eq!(sees(&site, &[sent]).as_deref(), Some(seen));
    }
}

#[test]
fn in_clear_text_nothing_is_different() {
    let site = Site::build().listen("redirect = false").upstream(HOST).start();
    let browser = site.plain();
    let (_, answer) = site.visit(&browser, get("/"), set("session=1"));
    assert_eq!(answer.headers_all("Set-Cookie")[0], "__Host-session=1; Secure; Path=/");
    let (seen, _) = site.visit(&browser, get("/").without_jar().with("Cookie", "session=evil"), ok());
    assert_eq!(seen.header("Cookie"), None, "whoever is on the way could have planted it");
}

#[test]
fn secure_alone_promises_less_and_leaves_domain_and_path() {
    let site = Site::build().upstream("[upstream.app.cookies.\"app_*\"]\nprefix = \"__Secure-\"\n").start();
    let line = "app_a=1; Domain=localhost.test; Path=/app";
    assert_eq!(gets(&site, &[line]), ["__Secure-app_a=1; Domain=localhost.test; Path=/app; Secure"]);
    let sent = "__Secure-app_a=1; app_a=evil; app.b=evil; __Host-app_a=2; application=3";
    assert_eq!(sees(&site, &[sent]).as_deref(), Some("app_a=1; __Host-app_a=2; application=3"));
}

#[test]
fn two_of_a_backend_s_cookies_never_share_a_name_in_the_browser() {
    let site = Site::build().upstream(HOST).start();
    assert_eq!(gets(&site, &["__Host-session=theirs; Secure; Path=/"]), [""; 0]);
    assert_eq!(site.metric("session_gateway_upstream_cookies_removed_total", &[]), 1);
}

#[test]
fn the_gateway_s_own_cookie_is_nobody_s_with_or_without_a_prefix() {
    let all = "[upstream.app.cookies.sid]\n[upstream.app.cookies.\"*\"]\nprefix = \"__Host-\"\n";
    let site = Site::build().upstream(all).start();
    assert_eq!(gets(&site, &["sid=1", "x=2", "__Host-sid=evil"]), ["sid=1", "__Host-x=2; Secure; Path=/"]);
    let browser = site.keep(r#"{"cart":[]}"#);
    let sent = format!("sid=1; __Host-x=2; {COOKIE}={}", browser.sid().unwrap());
    let (seen, _) = site.visit(&browser, get("/").without_jar().with("Cookie", &sent), ok());
    assert_eq!(seen.header("Cookie"), Some("sid=1; x=2"));
    assert!(seen.data().is_some(), "and the session is found");

    let site = Site::build().cookie("gateway").upstream("[upstream.app.cookies.\"*\"]\nprefix = \"__Host-\"\n").start();
    let (_, answer) = site.visit(&site.browser(), get("/"), set("gateway=evil"));
    assert!(answer.headers_all("Set-Cookie").iter().all(|line| !line.contains("evil")), "{}", answer.text_head());
    assert_eq!(sees(&site, &["__Host-gateway=1; __Host-x=2"]).as_deref(), Some("x=2"));
}

#[test]
fn what_the_jar_keeps_is_no_client_s_to_send_under_any_name() {
    let jar = format!("jar = {{ mode = \"enforce\", capture = [\"session\"] }}\n{HOST}");
    let site = Site::build().upstream(&jar).start();
    let browser = site.guest();
    let (_, answer) = site.visit(&browser, post("/login"), set("session=mine; Path=/"));
    assert!(!answer.text_head().contains("mine"), "{}", answer.text_head());
    let sent = format!("__Host-session=evil; session=evil; a=1; {COOKIE}={}", browser.sid().unwrap());
    let (seen, _) = site.visit(&browser, get("/").without_jar().with("Cookie", &sent), ok());
    assert_eq!(seen.header("Cookie"), Some("a=1; session=mine"));
}

#[test]
fn the_jar_takes_over_what_browsers_have_under_a_prefix() {
    let jar = "jar = { mode = \"enforce\", capture = [\"session\"], adopt_until = 2027-01-16 }";
    let site = Site::build().upstream(&format!("{jar}\n{HOST}")).start();
    let browser = site.browser();
    browser.plant("__Host-session", "mine");
    browser.plant("session", "evil");
    let (seen, answer) = site.visit(&browser, get("/"), ok());
    assert_eq!(seen.header("Cookie"), Some("session=mine"));
    assert!(answer.headers_all("Set-Cookie").contains(&"__Host-session=; Max-Age=0; Path=/; Secure"));
    assert_eq!(browser.cookie("__Host-session"), None);
    let (seen, _) = site.visit(&browser, get("/"), ok());
    assert_eq!(seen.header("Cookie"), Some("session=mine"), "from the jar");
    // What the backend says of it at once takes its place, there and in the browser.
    let browser = site.browser();
    browser.plant("__Host-session", "mine");
    let (_, answer) = site.visit(&browser, get("/app/x"), set("session=new; Path=/app"));
    assert_eq!(browser.cookie("__Host-session"), None, "{}", answer.text_head());
    assert_eq!(site.visit(&browser, get("/app"), ok()).0.header("Cookie"), Some("session=new"));
}
