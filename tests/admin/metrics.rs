//! What is counted.

use super::support::*;

#[test]
fn metrics_are_openmetrics_text() {
    let site = Site::new();
    let answer = site.admin(get("/metrics"));
    assert_eq!(answer.status(), 200);
    assert!(answer.header("Content-Type").is_some_and(|kind| kind.contains("openmetrics-text")));
    assert!(answer.text().ends_with("# EOF\n"));
    assert!(answer.text().contains("_bucket{le=\"+Inf\",route=\"/\"}"), "every histogram ends without a bound");
}

/// A metric's growth while `act` runs. An exchange is counted when it is over, which its client may know first.
fn grows(site: &Site, name: &str, labels: &[(&str, &str)], by: u64, act: impl FnOnce()) {
    let read = || site.metric_if_any(name, labels).unwrap_or(0);
    let before = read();
    act();
    let deadline = std::time::Instant::now() + PATIENCE;
    while read() < before + by {
        assert!(std::time::Instant::now() < deadline, "{name}{labels:?} grew by {}, not {by}", read() - before);
    }
    assert_eq!(read(), before + by, "{name}{labels:?}");
}

#[test]
fn requests_are_counted_by_route_and_status() {
    let routes =
        ["path = \"/\"\nupstream = \"app\"", "host = \"www.example.com\"\npath = \"/api\"\nupstream = \"app\""];
    let site = Site::build().routes(&routes).start();
    let browser = site.guest();
    let requests = "session_gateway_requests_total";
    grows(&site, requests, &[("status", "404"), ("route", "/")], 2, || {
        site.visit(&browser, get("/x"), status("404 Not Found"));
        site.visit(&browser, get("/y"), status("404 Not Found"));
    });
    let api = site.browser_of("www.example.com");
    grows(&site, requests, &[("status", "200"), ("route", "www.example.com/api")], 1, || {
        site.visit(&api, get("/api/x"), ok());
    });
    grows(&site, "session_gateway_request_duration_seconds_count", &[("route", "/")], 1, || {
        site.visit(&browser, get("/x"), ok());
    });
}

#[test]
fn redirects_to_https_are_counted() {
    let site = Site::build().listen("redirect = true").start();
    grows(&site, "session_gateway_requests_total", &[("status", "308")], 1, || {
        assert_eq!(site.plain().send(get("/")).answer().status(), 308);
    });
}

#[test]
fn tickets_are_counted_by_outcome_and_key() {
    let old = Site::build().keys(&[1]).start().guest();
    let foreign = Site::build().keys(&[3]).start().guest().sid().expect("a ticket");
    let site = Site::build().keys(&[2, 1]).start();
    let tickets = "session_gateway_tickets_total";
    let key = |ticket: Ticket| format!("{:02x}", ticket.key);
    let (value, old_key) = (old.sid().expect("a ticket"), key(old.ticket()));
    let show = |value: &str| {
        let browser = site.browser();
        browser.plant(COOKIE, value);
        site.look(&browser);
        browser
    };
    grows(&site, tickets, &[("outcome", "valid"), ("key", &old_key)], 1, || drop(show(&value)));
    let guest = site.guest();
    let new_key = key(guest.ticket());
    assert_ne!(new_key, old_key);
    grows(&site, tickets, &[("outcome", "valid"), ("key", &new_key)], 2, || {
        site.look(&guest);
        site.look(&guest);
    });
    grows(&site, tickets, &[("outcome", "malformed")], 2, || {
        show("garbage");
        show(&"!".repeat(96));
    });
    grows(&site, tickets, &[("outcome", "unknown_key")], 1, || drop(show(&foreign)));
    let mut forged = value.clone().into_bytes();
    forged[70] = if forged[70] == b'A' { b'B' } else { b'A' };
    grows(&site, tickets, &[("outcome", "forged")], 1, || drop(show(&String::from_utf8_lossy(&forged))));
}

#[test]
fn sessions_are_counted_from_birth_to_end() {
    let site = Site::build().session("idle_timeout = \"4h\"").start();
    let live = "session_gateway_sessions_live";
    assert_eq!(site.metric(live, &[]), 0);
    let born = "session_gateway_sessions_born_total";
    let ended = "session_gateway_sessions_ended_total";
    let renewed = "session_gateway_tickets_renewed_total";
    let browser = site.guest();
    assert_eq!(site.metric(live, &[]), 0, "a guest is nothing");
    grows(&site, born, &[("reason", "write")], 1, || drop(site.patch(&browser, r#"{"a":1}"#)));
    assert_eq!(site.metric(live, &[]), 1);
    grows(&site, born, &[("reason", "login")], 1, || drop(site.login("bob")));
    grows(&site, ended, &[("reason", "emptied")], 1, || drop(site.patch(&browser, r#"{"a":null}"#)));
    let browser = site.login("alice");
    site.wait(3601);
    grows(&site, renewed, &[("reason", "age")], 1, || {
        site.look(&browser);
        site.look(&browser);
    });
    grows(&site, renewed, &[("reason", "request")], 1, || {
        site.visit(&browser, post("/sudo"), ok().session("Renew", "true"));
    });
    grows(&site, ended, &[("reason", "logout")], 1, || drop(site.logout(&browser)));
    grows(&site, ended, &[("reason", "revoked")], 1, || {
        site.admin(request("DELETE", "/sessions?user=bob"));
    });
    assert_eq!(site.metric(live, &[]), 0);
}

#[test]
fn sessions_born_less_sessions_ended_are_the_live_ones() {
    let site = Site::build().session("max_per_user = 2").start();
    let balanced = || {
        let [born, ended] = ["born", "ended"]
            .map(|what| site.metric_if_any(&format!("session_gateway_sessions_{what}_total"), &[]).unwrap_or(0));
        assert_eq!(born - ended, site.metric("session_gateway_sessions_live", &[]), "{born} born, {ended} ended");
    };
    let browser = site.keep(r#"{"a":1}"#);
    balanced();
    site.login_as(&browser, "alice");
    balanced();
    site.visit(&browser, post("/sudo"), ok().session("Renew", "true"));
    balanced();
    site.login_as(&browser, "bob");
    site.login("bob");
    balanced();
    site.wait(1);
    site.login_as(&browser, "bob");
    grows(&site, "session_gateway_sessions_ended_total", &[("reason", "over_limit")], 1, || drop(site.login("bob")));
    balanced();
    site.visit(&browser, post("/"), ok().session("End", "all"));
    balanced();
}

#[test]
fn what_was_not_followed_is_counted() {
    let other = Backend::start();
    let routes = ["path = \"/\"\nupstream = \"app\"", "path = \"/read\"\nupstream = \"other\""];
    let site = Site::build().another("other", &other, "trust = \"read\"").routes(&routes).start();
    let browser = site.login("alice");
    let refused = "session_gateway_upstream_headers_refused_total";
    grows(&site, refused, &[("reason", "status")], 2, || {
        let reply = status("500 Internal Server Error").session("Patch", r#"{"a":1}"#).session("User", "bob");
        site.visit(&browser, get("/"), reply);
    });
    grows(&site, refused, &[("reason", "malformed")], 1, || {
        site.visit(&browser, get("/"), ok().session("Patch", "["));
    });
    grows(&site, refused, &[("reason", "untrusted")], 1, || {
        let pending = browser.send(get("/read"));
        other.next().reply(ok().session("User", "mallory"));
        pending.answer();
    });
    grows(&site, "session_gateway_client_headers_removed_total", &[], 2, || {
        site.visit(&browser, get("/").with("X-Session-User", "m").with("x_session_id", "m"), ok());
    });
    grows(&site, "session_gateway_upstream_cookies_removed_total", &[], 1, || {
        site.visit(&browser, get("/"), ok().with("Set-Cookie", "__Host-sid=x; Secure; Path=/"));
    });
    let dead = browser.copy();
    site.logout(&browser);
    grows(&site, "session_gateway_changes_lost_total", &[("reason", "dead_ticket")], 1, || {
        site.visit(&dead, get("/"), ok().session("Patch", r#"{"a":1}"#));
    });
}

#[test]
fn evictions_and_refusals_are_counted() {
    let site = Site::build().store("max_sessions = 1").start();
    site.keep(r#"{"a":1}"#);
    grows(&site, "session_gateway_sessions_ended_total", &[("reason", "evicted")], 1, || drop(site.login("alice")));
    grows(&site, "session_gateway_changes_lost_total", &[("reason", "failed")], 1, || {
        let (_, answer) = site.visit(&site.guest(), post("/"), ok().session("User", "bob"));
        assert_eq!(answer.status(), 503);
    });
}
