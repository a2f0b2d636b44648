//! Which upstream, and which of its servers.

use super::refusing;
use super::support::*;

#[test]
fn the_longest_prefix_of_whole_segments_wins() {
    let (api, deep) = (Backend::start(), Backend::start());
    let routes = [
        "path = \"/api/v2\"\nupstream = \"deep\"",
        "path = \"/\"\nupstream = \"app\"",
        "path = \"/api\"\nupstream = \"api\"",
    ];
    let site = Site::build().another("api", &api, "").another("deep", &deep, "").routes(&routes).start();
    let cases = [
        ("/", &site.backend),
        ("/other", &site.backend),
        ("/apis", &site.backend),
        ("/API", &site.backend),
        ("/api", &api),
        ("/api?x=/api/v2", &api),
        ("/api/", &api),
        ("/api/v1", &api),
        ("/api/v22", &api),
        ("/api/v2", &deep),
        ("/api/v2?y", &deep),
        ("/api/v2/things/1", &deep),
    ];
    for (target, backend) in cases {
        let pending = site.browser().send(get(target));
        let exchange = backend.next();
        assert_eq!(exchange.target(), target);
        exchange.reply(ok());
        assert_eq!(pending.answer().status(), 200);
    }
}

#[test]
fn an_exact_host_wins_over_a_wildcard_and_a_wildcard_over_none() {
    let (exact, wild) = (Backend::start(), Backend::start());
    let routes = [
        "path = \"/\"\nupstream = \"app\"",
        "host = \"*.example.com\"\npath = \"/\"\nupstream = \"wild\"",
        "host = \"www.example.com\"\npath = \"/\"\nupstream = \"exact\"",
    ];
    let site = Site::build().another("exact", &exact, "").another("wild", &wild, "").routes(&routes).start();
    let cases = [
        ("www.example.com", &exact),
        ("WWW.Example.COM", &exact),
        ("www.example.com:8443", &exact),
        ("api.example.com", &wild),
        ("api.example.com:443", &wild),
        ("a.b.example.com", &wild),
        ("example.com", &site.backend),
        ("notexample.com", &site.backend),
        ("www.example.com.evil.org", &site.backend),
        ("127.0.0.1:8443", &site.backend),
        ("[::1]:8443", &site.backend),
    ];
    for (host, backend) in cases {
        let pending = site.browser_of(host).send(get("/"));
        let exchange = backend.next();
        assert_eq!(exchange.header("Host"), Some(host), "passed on as it came");
        exchange.reply(ok());
        assert_eq!(pending.answer().status(), 200);
    }
}

#[test]
fn what_no_route_serves_is_404() {
    let routes = ["host = \"www.example.com\"\npath = \"/app\"\nupstream = \"app\""];
    let site = Site::build().routes(&routes).start();
    for (host, target) in [("www.example.com", "/"), ("www.example.com", "/apple"), ("other.org", "/app")] {
        let answer = site.browser_of(host).send(get(target)).answer();
        assert_eq!((answer.status(), answer.sid()), (404, None), "{host}{target}");
        assert!(answer.text().contains("Not Found"), "{}", answer.text());
    }
    site.backend.saw_nothing();
}

/// Java servers cut what follows a semicolon off a segment before they look at the path.
#[test]
fn a_path_parameter_hides_no_route() {
    let (rest, admin) = (Backend::start(), Backend::start());
    let routes = ["path = \"/\"\nupstream = \"rest\"", "path = \"/admin\"\nupstream = \"admin\""];
    let site = Site::build().another("rest", &rest, "").another("admin", &admin, "").routes(&routes).start();
    for (target, backend) in [
        ("/admin;a=b/x", &admin),
        ("/;/admin/x", &admin),
        ("/admin;/x", &admin),
        ("/admin%3bx/y", &admin),
        ("/administrator;/admin", &rest),
        ("/x;/admin", &rest),
    ] {
        let pending = site.browser().send(get(target));
        let exchange = backend.next();
        assert_eq!(exchange.target(), target, "it goes upstream as it came");
        exchange.reply(ok());
        assert_eq!(pending.answer().status(), 200);
    }
}

#[test]
fn servers_are_asked_in_turn() {
    let (one, two) = (Backend::start(), Backend::start());
    let site = Site::build().servers(&[one.server(), two.server()]).listen("workers = 1").start();
    let browser = site.browser();
    // Both answers are held, so that no connection of either is idle when the next server is chosen.
    for _ in 0..3 {
        let requests = [browser.send(get("/a")), browser.send(get("/b"))];
        one.next().reply(ok());
        two.next().reply(ok());
        for pending in requests {
            assert_eq!(pending.answer().status(), 200);
        }
    }
}

#[test]
fn a_server_that_refuses_is_passed_over() {
    let (_closed, closed) = refusing();
    let one = Backend::start();
    let site = Site::build().servers(&[&closed, one.server()]).listen("workers = 1").start();
    for _ in 0..4 {
        let pending = site.browser().send(post("/"));
        one.next().reply(ok());
        assert_eq!(pending.answer().status(), 200);
    }
}

#[test]
fn a_unix_socket_is_an_upstream() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let site = Site::build().start_with(Backend::unix(&dir.path().join("app.sock")));
    let browser = site.login("alice");
    let seen = site.look(&browser);
    assert_eq!((seen.user(), seen.header("Host")), (Some("alice"), Some("localhost")));
    assert_eq!(seen.header("X-Forwarded-For"), Some("127.0.0.1"));
}
