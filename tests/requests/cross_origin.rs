//! Requests of other sites' pages.

use super::{is_refused, passes, refused};
use crate::support::*;

const ENFORCE: &str =
    "path = \"/\"\nupstream = \"app\"\ncsrf = \"enforce\"\ntrusted_origins = [\"https://app.example\"]";

fn reported(site: &Site) -> u64 {
    site.metric("session_gateway_requests_cross_origin_total", &[])
}

fn forged(method: &str) -> Request {
    request(method, "/pay").with("Sec-Fetch-Site", "cross-site").with("Origin", "https://evil.example")
}

fn handshake() -> Request {
    get("/socket")
        .with("Connection", "Upgrade")
        .with("Upgrade", "websocket")
        .with("Sec-WebSocket-Version", "13")
        .with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
}

#[test]
fn they_change_nothing_in_a_session_where_that_is_enforced() {
    let site = Site::build().routes(&[ENFORCE]).start();
    let browser = site.login("alice");
    for method in ["POST", "PUT", "PATCH", "DELETE", "PROPFIND"] {
        is_refused(&site, &browser, forged(method), 403);
    }
    let own = format!("https://{}", "gateway.test");
    for request in [
        post("/").with("Origin", "null"),
        post("/").with("Origin", "https://evil.example"),
        post("/").with("Sec-Fetch-Site", "same-site"),
        post("/").with("Sec-Fetch-Site", "cross-site").with("Origin", &own).with("Host", "gateway.test"),
        post("/").with("Origin", &own).with("Origin", "https://evil.example").with("Host", "gateway.test"),
        handshake().with("Origin", "https://evil.example"),
        handshake().with("Sec-Fetch-Site", "cross-site"),
    ] {
        is_refused(&site, &browser, request, 403);
    }
    assert_eq!((refused(&site, "cross_origin"), reported(&site)), (12, 0));
    for request in [
        post("/"),
        post("/").with("Sec-Fetch-Site", "same-origin"),
        post("/").with("Sec-Fetch-Site", "none"),
        post("/").with("Origin", &own).with("Host", "gateway.test"),
        post("/").with("Sec-Fetch-Site", "cross-site").with("Origin", "https://app.example"),
        forged("GET"),
        forged("HEAD"),
        forged("OPTIONS"),
        handshake().with("Origin", &own).with("Host", "gateway.test"),
    ] {
        passes(&site, &browser, request);
    }
    assert_eq!(refused(&site, "cross_origin"), 12);
}

#[test]
fn they_pass_where_there_is_no_session_to_change() {
    let site = Site::build().routes(&[ENFORCE]).start();
    let guest = site.guest();
    passes(&site, &site.browser(), forged("POST"));
    passes(&site, &guest, forged("POST"));
    assert_eq!(refused(&site, "cross_origin"), 0);
}

#[test]
fn they_are_counted_and_logged_where_nothing_is_said() {
    let site = Site::new();
    let browser = site.login("alice");
    passes(&site, &browser, forged("POST"));
    passes(&site, &browser, forged("GET"));
    passes(&site, &browser, post("/").with("Sec-Fetch-Site", "same-origin"));
    assert_eq!((refused(&site, "cross_origin"), reported(&site)), (0, 1));

    let process = Process::start(&Site::build(), "");
    let browser = process.browser();
    for request in [post("/login"), forged("POST")] {
        let pending = browser.send(request);
        process.backend.next().reply(ok().session("User", "alice"));
        pending.answer();
    }
    let line = process.logged("another origin");
    assert!(line.contains("https://evil.example") && line.contains("POST") && !line.contains("alice"), "{line}");
}

#[test]
fn nobody_looks_where_it_is_off() {
    let site = Site::build().routes(&["path = \"/\"\nupstream = \"app\"\ncsrf = \"off\""]).start();
    passes(&site, &site.login("alice"), forged("POST"));
    assert_eq!((refused(&site, "cross_origin"), reported(&site)), (0, 0));
}
