//! Routes for users alone.

use super::{is_refused, passes, refused};
use crate::support::*;

fn site(store: &str) -> Site {
    let members = "path = \"/\"\nupstream = \"app\"\nrequire_user = true\nlogin_url = \"/login\"";
    let api = "path = \"/api\"\nupstream = \"app\"\nrequire_user = true";
    let sso = "path = \"/sso\"\nupstream = \"app\"\nrequire_user = true\nlogin_url = \"https://sso.example/in?a=b\"";
    let open = "path = \"/login\"\nupstream = \"app\"";
    Site::build().store(store).routes(&[members, api, sso, open]).start()
}

fn page(target: &str) -> Request {
    get(target).with("Sec-Fetch-Mode", "navigate").with("Accept", "text/html,*/*")
}

#[test]
fn a_user_passes_and_nobody_else_does() {
    let site = site("");
    let (stranger, guest) = (site.browser(), site.browser());
    is_refused(&site, &stranger, get("/"), 401);
    let (_, answer) = site.visit(&guest, get("/login"), ok());
    assert!(answer.sid().is_some(), "the login page is for everybody, and its visitor a guest");
    is_refused(&site, &guest, get("/"), 401);
    site.visit(&guest, post("/login"), ok().session("Patch", r#"{"cart":1}"#));
    is_refused(&site, &guest, get("/"), 401);
    site.visit(&guest, post("/login"), ok().session("User", "alice"));
    passes(&site, &guest, get("/"));
    passes(&site, &guest, get("/api/things"));
    let copy = guest.copy();
    site.visit(&guest, post("/login"), ok().session("End", "this"));
    is_refused(&site, &copy, get("/"), 401);
    is_refused(&site, &guest, get("/"), 401);
    assert_eq!(refused(&site, "user"), 5);
}

#[test]
fn a_page_leads_to_the_login_and_back_and_a_script_is_told() {
    let site = site("");
    let browser = site.browser();
    let location = |request: Request| {
        let answer = is_refused(&site, &browser, request, 303);
        answer.header("location").unwrap().to_owned()
    };
    assert_eq!(location(page("/cart?item=1&n=2")), "/login?next=/cart%3Fitem%3D1%26n%3D2");
    assert_eq!(location(get("/old").with("Accept", "text/html")), "/login?next=/old");
    assert_eq!(location(post("/pay").with("Sec-Fetch-Mode", "navigate")), "/login");
    assert_eq!(location(page("//evil.example/")), "/login");
    assert_eq!(
        location(page("/sso/x?y").with("Host", "app.example")),
        "https://sso.example/in?a=b&next=https%3A//app.example/sso/x%3Fy"
    );
    for request in [
        get("/cart"),
        get("/cart").with("Sec-Fetch-Mode", "cors").with("Accept", "text/html"),
        post("/cart").with("Accept", "text/html"),
        page("/api/things"),
    ] {
        let answer = is_refused(&site, &browser, request, 401);
        assert_eq!((answer.header("location"), answer.header("www-authenticate")), (None, Some("Cookie")));
    }
}

#[test]
fn over_http2_it_is_the_same() {
    let site = site("");
    let client = site.http2();
    let answer = client.send("GET", "/a", &[("sec-fetch-mode", "navigate")]).answer();
    assert_eq!((answer.status, answer.all("location")), (303, vec!["/login?next=/a"]));
    site.backend.saw_nothing();
}

#[test]
fn who_is_logged_in_is_not_sent_to_log_in_because_the_store_is_down() {
    let mut site = Site::build()
        .redis(Redis::start(), "near_cache = false")
        .routes(&[
            "path = \"/\"\nupstream = \"app\"\nrequire_user = true\nlogin_url = \"/login\"",
            "path = \"/login\"\nupstream = \"app\"",
        ])
        .start();
    let browser = site.browser();
    site.visit(&browser, post("/login"), ok().session("User", "alice"));
    passes(&site, &browser, get("/"));
    site.redis().kill();
    is_refused(&site, &browser, page("/"), 503);
}
