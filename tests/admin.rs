//! The admin address: health, metrics, the sessions API; and what the logs say.

mod support;

use std::fs;

use serde_json::{Value, json};
use support::*;

fn body(answer: &Answer) -> Value {
    assert_eq!(answer.header("Content-Type"), Some("application/json"), "{}", answer.text());
    serde_json::from_slice(&answer.body).expect("JSON")
}

/// The error of an answer that is one, and its status.
fn error(answer: &Answer) -> u16 {
    let body = body(answer);
    assert!(body["error"].as_str().is_some_and(|error| !error.is_empty()), "{body}");
    assert_eq!(body.as_object().map(serde_json::Map::len), Some(1), "{body}");
    answer.status()
}

fn sessions(site: &Site, user: &str) -> Vec<Value> {
    let answer = site.admin(get(&format!("/sessions?user={user}")));
    assert_eq!(answer.status(), 200);
    body(&answer)["sessions"].as_array().expect("a list").clone()
}

// ---- health

#[test]
fn a_running_gateway_is_live_and_ready() {
    let site = Site::new();
    for path in ["/livez", "/readyz"] {
        assert_eq!(site.admin(get(path)).status(), 200, "{path}");
    }
}

#[test]
fn a_gateway_that_drains_is_live_and_not_ready() {
    let mut site = Site::new();
    let admin = site.admin_browser();
    let pending = site.browser().send(get("/slow"));
    let held = site.backend.next();
    let stopping = site.stop();
    // It has begun to stop once it says so, and cannot end while the answer is held.
    let deadline = std::time::Instant::now() + PATIENCE;
    while admin.send(get("/readyz")).answer().status() != 503 {
        assert!(std::time::Instant::now() < deadline, "a draining gateway should not be ready");
    }
    assert_eq!(admin.send(get("/livez")).answer().status(), 200);
    held.reply(ok());
    assert_eq!(pending.answer().status(), 200);
    stopping.join().expect("it stops");
}

// ---- the API

#[test]
fn a_users_sessions_are_listed() {
    let site = Site::new();
    let alice = site.login("alice");
    site.patch(&alice, r#"{"cart":["apple"]}"#);
    let id = site.look(&alice).id().to_owned();
    site.wait(100);
    let other = site.login("alice");
    site.visit(&other, post("/"), ok().session("Persist", "true"));
    site.login("bob");
    site.keep(r#"{"a":1}"#);

    let listed = sessions(&site, "alice");
    assert_eq!(listed.len(), 2);
    let one = listed.iter().find(|session| session["id"] == json!(id)).expect("by its public id");
    assert_eq!(
        *one,
        json!({
            "id": id, "user": "alice", "created": START, "last_seen": START, "expires": START + 1800,
            "persistent": false, "data_bytes": r#"{"cart":["apple"]}"#.len(),
        })
    );
    let two = listed.iter().find(|session| session["id"] != json!(id)).expect("the other");
    assert_eq!((&two["persistent"], &two["created"]), (&json!(true), &json!(START + 100)));
    assert_eq!(sessions(&site, "nobody"), Vec::<Value>::new());
}

#[test]
fn any_name_can_be_asked_for() {
    let site = Site::new();
    for (name, query) in [("a b", "a%20b"), ("a&b=c", "a%26b%3Dc"), ("100%", "100%25"), ("j+k", "j%2Bk")] {
        site.login(name);
        assert_eq!(sessions(&site, query).len(), 1, "{name}");
    }
}

#[test]
fn a_session_is_shown_with_its_data() {
    let site = Site::new();
    let browser = site.login("alice");
    site.patch(&browser, r#"{"cart":["apple"],"n":1.50}"#);
    let id = site.look(&browser).id().to_owned();
    let answer = site.admin(get(&format!("/sessions/{id}")));
    let shown = body(&answer);
    assert_eq!((&shown["id"], &shown["user"]), (&json!(id), &json!("alice")));
    assert_eq!(shown["data"], json!({"cart": ["apple"], "n": 1.5}));
    assert!(answer.text().contains("1.50"), "as it was written: {}", answer.text());
    // One without a user, too.
    let browser = site.keep(r#"{"a":1}"#);
    let shown = body(&site.admin(get(&format!("/sessions/{}", site.look(&browser).id()))));
    assert_eq!((&shown["user"], &shown["data"]), (&Value::Null, &json!({"a": 1})));
}

#[test]
fn the_api_shows_no_ticket() {
    let site = Site::new();
    let browser = site.login("alice");
    let (sid, secret) = (browser.sid().expect("a ticket"), browser.ticket().secret);
    let id = site.look(&browser).id().to_owned();
    for path in [format!("/sessions/{id}"), "/sessions?user=alice".to_owned(), "/metrics".to_owned()] {
        let text = site.admin(get(&path)).text();
        for part in ways_to_write(&secret).iter().chain([&sid]) {
            assert!(!text.contains(part.as_str()), "{path}");
        }
    }
}

#[test]
fn a_session_revoked_by_id_is_over() {
    let site = Site::new();
    let (browser, other) = (site.login("alice"), site.login("alice"));
    let id = site.look(&browser).id().to_owned();
    let path = format!("/sessions/{id}");
    let answer = site.admin(request("DELETE", &path));
    assert_eq!((answer.status(), body(&answer)), (200, json!({"revoked": 1})));
    assert_eq!(error(&site.admin(request("DELETE", &path))), 404, "once is all");
    assert_eq!(error(&site.admin(get(&path))), 404);
    let (seen, answer) = site.visit(&browser, get("/"), ok());
    seen.assert_stranger();
    assert_eq!(answer.sid(), None);
    assert_eq!(site.look(&other).user(), Some("alice"));
    assert_eq!(sessions(&site, "alice").len(), 1);
}

#[test]
fn a_users_sessions_are_revoked_together() {
    let site = Site::new();
    let (one, two, bob) = (site.login("alice"), site.login("alice"), site.login("bob"));
    let answer = site.admin(request("DELETE", "/sessions?user=alice"));
    assert_eq!((answer.status(), body(&answer)), (200, json!({"revoked": 2})));
    site.look(&one).assert_stranger();
    site.look(&two).assert_stranger();
    assert_eq!(site.look(&bob).user(), Some("bob"));
    assert_eq!(body(&site.admin(request("DELETE", "/sessions?user=alice"))), json!({"revoked": 0}));
}

#[test]
fn a_list_holds_live_sessions_alone() {
    let site = Site::build().session("idle_timeout = \"4h\"").start();
    let browser = site.login("alice");
    site.login_as(&browser, "alice");
    site.wait(3601);
    site.look(&browser);
    site.look(&browser);
    assert_eq!(sessions(&site, "alice").len(), 1, "neither superseded nor renewed ones");
    let other = site.login("alice");
    assert_eq!(sessions(&site, "alice").len(), 2);
    site.logout(&other);
    assert_eq!(sessions(&site, "alice").len(), 1);
    site.wait(4 * 3600);
    assert_eq!(sessions(&site, "alice").len(), 0, "nor expired ones");
}

#[test]
fn a_renewed_session_is_revoked_by_the_same_id() {
    let site = Site::build().session("idle_timeout = \"4h\"").start();
    let browser = site.login("alice");
    let id = site.look(&browser).id().to_owned();
    site.wait(3601);
    let old = browser.copy();
    site.look(&browser);
    assert_ne!(browser.ticket().secret, old.ticket().secret);
    assert_eq!(site.admin(request("DELETE", &format!("/sessions/{id}"))).status(), 200);
    site.look(&browser).assert_stranger();
    site.look(&old).assert_no_session();
}

#[test]
fn a_wrong_call_is_one_json_error() {
    let site = Site::new();
    site.login("alice");
    assert_eq!(error(&site.admin(get("/sessions"))), 400);
    assert_eq!(error(&site.admin(get("/sessions?user="))), 400);
    assert_eq!(error(&site.admin(request("DELETE", "/sessions"))), 400, "nobody means everybody");
    assert_eq!(error(&site.admin(get("/sessions/AAAAAAAAAAAAAAAAAAAAAA"))), 404);
    assert_eq!(error(&site.admin(request("DELETE", "/sessions/AAAAAAAAAAAAAAAAAAAAAA"))), 404);
    assert!((400..500).contains(&error(&site.admin(get("/sessions/x")))));
    assert_eq!(error(&site.admin(get("/nothing"))), 404);
    assert_eq!(error(&site.admin(post("/sessions?user=alice"))), 405);
    assert_eq!(sessions(&site, "alice").len(), 1);
}

#[test]
fn the_api_is_not_on_the_public_addresses() {
    let site = Site::new();
    let alice = site.login("alice");
    let (seen, _) = site.visit(&alice, get("/sessions?user=alice"), ok());
    assert_eq!(seen.user(), Some("alice"), "a path like any other");
}

// ---- who may

#[test]
fn where_a_token_is_set_it_is_required() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("token");
    fs::write(&file, "correct-horse-battery-staple\n").expect("a writable directory");
    let site = Site::build().admin(&format!("token_file = {file:?}")).start();
    let alice = site.login("alice");
    let id = site.look(&alice).id().to_owned();
    let calls = [
        get("/sessions?user=alice"),
        get(&format!("/sessions/{id}")),
        request("DELETE", &format!("/sessions/{id}")),
        request("DELETE", "/sessions?user=alice"),
        get("/metrics"),
    ];
    let wrong = [
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Bearer correct-horse-battery-stapl",
        "Bearer correct-horse-battery-staple2",
        "Basic correct-horse-battery-staple",
        "correct-horse-battery-staple",
    ];
    for call in &calls {
        assert_eq!(site.admin(call.clone()).status(), 401, "{call:?}");
        for header in wrong {
            assert_eq!(site.admin(call.clone().with("Authorization", header)).status(), 401, "{call:?} {header}");
        }
    }
    assert_eq!(site.look(&alice).user(), Some("alice"));
    for call in [&calls[0], &calls[4], &calls[2]] {
        let answer = site.admin(call.clone().with("Authorization", "Bearer correct-horse-battery-staple"));
        assert_eq!(answer.status(), 200, "{call:?}");
    }
    for path in ["/livez", "/readyz"] {
        assert_eq!(site.admin(get(path)).status(), 200, "a probe has no token: {path}");
    }
}

#[test]
fn a_page_under_another_name_cannot_reach_an_address_without_a_token() {
    let site = Site::new();
    site.login("alice");
    for host in ["evil.example", "evil.example:9900", "localhost.evil.example"] {
        let answer = site.admin(get("/sessions?user=alice").with("Host", host));
        assert_eq!(error(&answer), 403, "{host}");
    }
}

// ---- metrics

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

// ---- the logs, as the binary writes them

#[test]
fn every_request_is_one_access_line() {
    let process = Process::start(&Site::build(), "access = \"json\"");
    let browser = process.browser();
    let pending = browser.send(get("/first?token=query-secret"));
    process.backend.next().reply(ok());
    pending.answer();
    let pending = browser.send(post("/second\"quoted"));
    process.backend.next().reply(status("404 Not Found"));
    pending.answer();
    browser.send(get("/../climb")).answer();
    let lines = process.access_lines(3);
    assert_eq!(lines.len(), 3, "{lines:?}");
    let mut parsed: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect("a JSON object")).collect();
    parsed.sort_by_key(|line| line["status"].as_u64());
    let summary: Vec<_> = parsed.iter().map(|line| (line["method"].clone(), line["status"].clone())).collect();
    assert_eq!(summary, [(json!("GET"), json!(200)), (json!("GET"), json!(400)), (json!("POST"), json!(404))]);
    assert_eq!(parsed[0]["path"], json!("/first"));
    assert_eq!(parsed[0]["bytes"], json!("the backend's body".len()));
    assert!(!lines.concat().contains("query-secret"), "{lines:?}");
}

#[test]
fn access_lines_can_be_text() {
    let process = Process::start(&Site::build(), "access = \"text\"");
    let pending = process.browser().send(get("/first"));
    process.backend.next().reply(ok());
    pending.answer();
    let lines = process.access_lines(1);
    assert!(
        lines[0].contains("127.0.0.1") && lines[0].contains("GET /first HTTP/1.1") && lines[0].contains(" 200 "),
        "{lines:?}"
    );
}

#[test]
fn a_malformed_answer_is_logged_with_its_upstream_and_what_was_wrong() {
    let process = Process::start(&Site::build(), "access = \"off\"");
    let pending = process.browser().send(get("/"));
    process.backend.next().reply(ok().session("Patch", "{\"private\": oops}"));
    let answer = pending.answer();
    assert_eq!(answer.status(), 502);
    let log = process.logged("malformed").to_ascii_lowercase();
    let line = log.lines().find(|line| line.contains("x-session-patch")).expect("found").to_owned();
    assert!(line.contains("app"), "which upstream: {line}");
    assert!(line.contains("json"), "what was wrong: {line}");
    assert!(!log.contains("private") && !log.contains("oops"), "but no session data: {line}");
}

#[test]
fn a_signal_stops_it_in_order() {
    let process = Process::start(&Site::build(), "access = \"json\"");
    let pending = process.browser().send(get("/slow"));
    let held = process.backend.next();
    process.signal("TERM");
    process.logged("stopping");
    held.reply(ok());
    assert_eq!(pending.answer().status(), 200);
    let (success, printed) = process.end();
    assert!(success, "{printed}");
    assert!(printed.contains("/slow"), "the last access line is written: {printed}");
}

#[test]
fn who_was_seen_last_is_listed_first() {
    let site = Site::new();
    let browsers: Vec<_> = (0..6).map(|_| site.login("alice")).collect();
    let mut ids = Vec::new();
    for browser in &browsers {
        site.wait(100);
        ids.insert(0, site.look(browser).id().to_owned());
    }
    let listed: Vec<_> =
        sessions(&site, "alice").iter().map(|one| one["id"].as_str().unwrap_or("").to_owned()).collect();
    assert_eq!(listed, ids);
}
