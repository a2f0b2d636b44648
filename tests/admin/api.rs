//! Health, and the sessions API.

use serde_json::{Value, json};

use super::support::*;
use super::{body, error, sessions};

#[test]
fn a_running_gateway_is_live_and_ready() {
    let site = Site::new();
    for path in ["/livez", "/readyz"] {
        assert_eq!(site.admin(get(path)).status(), 200, "{path}");
    }
    assert_eq!(error(&site.admin(get("/readyz?store=maybe"))), 400);
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
