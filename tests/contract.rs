//! The header contract of DESIGN section 5, row by row: what the upstream is told, and what it may ask.

mod support;

use serde_json::json;
use support::*;

const MONTH: u64 = 31 * 24 * 60 * 60;

fn is_public_id(id: &str) -> bool {
    id.len() == 22 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

// ---- to the upstream

#[test]
fn a_visitor_without_a_ticket_is_new_and_has_an_id() {
    let site = Site::new();
    let browser = site.browser();
    let seen = site.look(&browser);
    seen.assert_stranger();
    assert!(is_public_id(seen.id()), "{}", seen.id());
}

#[test]
fn a_returning_guest_keeps_the_id_and_is_not_new() {
    let site = Site::new();
    let browser = site.browser();
    let id = site.look(&browser).id().to_owned();
    for _ in 0..3 {
        let seen = site.look(&browser);
        seen.assert_no_session();
        assert!(!seen.is_new());
        assert_eq!(seen.id(), id);
        site.wait(3600);
    }
}

#[test]
fn two_visitors_have_two_ids() {
    let site = Site::new();
    assert_ne!(site.look(&site.browser()).id(), site.look(&site.browser()).id());
}

#[test]
fn a_session_shows_its_data_and_its_times_but_no_user() {
    let site = Site::new();
    let browser = site.guest();
    site.wait(100);
    site.patch(&browser, r#"{"cart":["apple"]}"#);
    site.wait(10);
    let seen = site.look(&browser);
    assert_eq!(seen.session("Data"), Some(r#"{"cart":["apple"]}"#));
    assert_eq!(seen.session("Created"), Some((START + 100).to_string().as_str()));
    assert_eq!(seen.session("Expires"), Some((START + 100 + 24 * 3600).to_string().as_str()));
    assert_eq!((seen.user(), seen.is_new()), (None, false));
}

#[test]
fn a_logged_in_user_is_shown() {
    let site = Site::new();
    let browser = site.guest();
    site.wait(100);
    site.login_as(&browser, "alice@example.com");
    site.wait(10);
    let seen = site.look(&browser);
    assert_eq!(seen.user(), Some("alice@example.com"));
    assert_eq!(seen.session("Data"), Some("{}"));
    assert_eq!(seen.session("Created"), Some((START + 100).to_string().as_str()));
    assert_eq!(seen.session("Expires"), Some((START + 100 + 30 * 60).to_string().as_str()));
    assert!(!seen.is_new());
}

#[test]
fn a_guest_ticket_never_yields_data() {
    let site = Site::new();
    let browser = site.guest();
    let guest = browser.copy();
    site.patch(&browser, r#"{"cart":["apple"]}"#);
    assert_eq!(browser.ticket().secret, guest.ticket().secret, "the session is born under the same secret");
    site.look(&guest).assert_no_session();
}

#[test]
fn data_is_ascii_whatever_was_kept() {
    let site = Site::new();
    let browser = site.guest();
    let patch = r#"{"name":"J\u00f6rg \ud83d\ude00","\u00e9":"line\nbreak\u0000\u007f"}"#;
    site.patch(&browser, patch);
    let seen = site.look(&browser);
    let header = seen.session("Data").expect("data");
    assert!(header.bytes().all(|b| (b' '..=b'~').contains(&b)), "{header}");
    assert!(header.to_ascii_lowercase().contains(r"j\u00f6rg \ud83d\ude00"), "{header}");
    assert_eq!(seen.data(), Some(serde_json::from_str(patch).expect("JSON")));
}

#[test]
fn raw_utf8_in_a_patch_is_shown_escaped() {
    let site = Site::new();
    let browser = site.guest();
    site.patch(&browser, r#"{"name":"Jörg 😀"}"#);
    let seen = site.look(&browser);
    assert!(seen.head.raw.is_ascii());
    assert_eq!(seen.data(), Some(json!({"name": "Jörg 😀"})));
}

#[test]
fn data_over_the_header_budget_is_announced_instead_of_sent() {
    let site = Site::new();
    let browser = site.guest();
    let value = "x".repeat(3000);
    site.patch(&browser, &format!(r#"{{"a":"{value}"}}"#));
    site.patch(&browser, &format!(r#"{{"b":"{value}"}}"#));
    let seen = site.look(&browser);
    assert!(seen.data().is_some() && seen.session("Data-Omitted").is_none(), "6014 bytes are within 6 KiB");
    site.patch(&browser, &format!(r#"{{"c":"{}"}}"#, "x".repeat(200)));
    let seen = site.look(&browser);
    assert_eq!(seen.data(), None);
    let whole = json!({"a": value, "b": value, "c": "x".repeat(200)}).to_string();
    assert_eq!(seen.session("Data-Omitted"), Some(whole.len().to_string().as_str()));
    site.patch(&browser, r#"{"a":null}"#);
    let seen = site.look(&browser);
    assert!(seen.data().is_some() && seen.session("Data-Omitted").is_none(), "small again");
}

#[test]
fn omitted_data_is_had_from_the_api() {
    let site = Site::new();
    let browser = site.guest();
    let value = "x".repeat(7000);
    site.patch(&browser, &format!(r#"{{"a":"{value}"}}"#));
    let id = site.look(&browser).id().to_owned();
    let answer = site.admin(get(&format!("/sessions/{id}")));
    let session: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(session["data"], json!({"a": value}));
}

// ---- the id

#[test]
fn the_id_stays_when_a_guest_becomes_a_session_and_on_every_patch() {
    let site = Site::new();
    let browser = site.browser();
    let id = site.look(&browser).id().to_owned();
    for i in 0..3 {
        site.patch(&browser, &format!(r#"{{"a":{i}}}"#));
        assert_eq!(site.look(&browser).id(), id);
    }
}

#[test]
fn the_id_changes_on_login_logout_and_renewal_by_the_backend() {
    let site = Site::new();
    let browser = site.keep(r#"{"a":1}"#);
    let mut ids = vec![site.look(&browser).id().to_owned()];
    site.login_as(&browser, "alice");
    ids.push(site.look(&browser).id().to_owned());
    site.visit(&browser, post("/sudo"), ok().session("Renew", "true"));
    ids.push(site.look(&browser).id().to_owned());
    site.logout(&browser);
    ids.push(site.look(&browser).id().to_owned());
    for (i, id) in ids.iter().enumerate() {
        assert!(is_public_id(id));
        assert!(!ids[..i].contains(id), "{ids:?}");
    }
}

#[test]
fn the_id_is_not_in_the_ticket_nor_the_ticket_in_the_id() {
    let site = Site::new();
    let browser = site.login("alice");
    let (seen, ticket) = (site.look(&browser), browser.sid().expect("a ticket"));
    assert!(!ticket.contains(seen.id()));
    assert!(!String::from_utf8_lossy(&seen.head.raw).contains(&ticket));
}

// ---- patch

#[test]
fn a_patch_sets_keys_null_removes_them_and_others_are_untouched() {
    let site = Site::new();
    let browser = site.keep(r#"{"a":1,"b":{"deep":[1,2]},"c":"three"}"#);
    site.patch(&browser, r#"{"a":2,"c":null,"d":false,"never":null}"#);
    assert_eq!(site.look(&browser).data(), Some(json!({"a": 2, "b": {"deep": [1, 2]}, "d": false})));
    // A value is set as a whole, and a null inside it is a value.
    site.patch(&browser, r#"{"b":{"other":null}}"#);
    assert_eq!(site.look(&browser).data(), Some(json!({"a": 2, "b": {"other": null}, "d": false})));
}

#[test]
fn numbers_are_kept_as_they_were_written() {
    let site = Site::new();
    let browser = site.keep(r#"{"big":12345678901234567890123,"exact":0.10,"e":1E3}"#);
    let seen = site.look(&browser);
    let data = seen.session("Data").expect("data");
    for number in ["12345678901234567890123", "0.10", "1E3"] {
        assert!(data.contains(number), "{data}");
    }
}

#[test]
fn a_patch_without_effect_keeps_nothing_for_a_guest() {
    let site = Site::new();
    for patch in ["{}", r#"{"a":null}"#] {
        let browser = site.guest();
        let answer = site.patch(&browser, patch);
        assert_eq!(answer.sid(), None, "{}", answer.text_head());
        site.look(&browser).assert_no_session();
    }
}

#[test]
fn a_session_left_empty_without_a_user_is_deleted_with_its_cookie() {
    let site = Site::new();
    let browser = site.keep(r#"{"a":1,"b":2}"#);
    let copy = browser.copy();
    site.patch(&browser, r#"{"a":null}"#);
    assert!(site.look(&browser).data().is_some());
    let answer = site.patch(&browser, r#"{"b":null}"#);
    assert!(answer.deletes_sid(), "{}", answer.text_head());
    assert_eq!(browser.sid(), None);
    site.look(&copy).assert_no_session();
}

#[test]
fn a_user_session_left_empty_stays() {
    let site = Site::new();
    let browser = site.login("alice");
    site.patch(&browser, r#"{"a":1}"#);
    let answer = site.patch(&browser, r#"{"a":null}"#);
    assert!(!answer.deletes_sid());
    assert_eq!(site.look(&browser).user(), Some("alice"));
}

#[test]
fn a_patch_is_applied_on_any_status_below_500() {
    let site = Site::new();
    let browser = site.guest();
    let lines = ["201 Created", "204 No Content", "303 See Other", "304 Not Modified", "404 Not Found", "409 Conflict"];
    for line in lines {
        let key = &line[..3];
        let patch = format!(r#"{{"s{key}":true}}"#);
        let (_, answer) = site.visit(&browser, post("/"), status(line).session("Patch", &patch));
        assert_eq!(answer.status().to_string(), key);
    }
    let data = site.look(&browser).data().expect("kept");
    for line in lines {
        assert_eq!(data[format!("s{}", &line[..3])], json!(true));
    }
    let (_, answer) = site.visit(&browser, request("HEAD", "/"), ok().session("Patch", r#"{"head":true}"#));
    assert_eq!((answer.status(), answer.body.len()), (200, 0));
    assert_eq!(site.look(&browser).data().expect("kept")["head"], json!(true));
}

// ---- login

#[test]
fn a_login_gets_a_new_ticket_and_a_new_id_and_keeps_a_guests_data() {
    let site = Site::new();
    let browser = site.keep(r#"{"cart":["apple"]}"#);
    let (old, id) = (browser.ticket(), site.look(&browser).id().to_owned());
    let answer = site.login_as(&browser, "alice");
    let new = answer.ticket();
    assert_eq!(new.kind, Ticket::SESSION);
    assert_ne!(new.secret, old.secret);
    let seen = site.look(&browser);
    assert_eq!((seen.user(), seen.data()), (Some("alice"), Some(json!({"cart": ["apple"]}))));
    assert_ne!(seen.id(), id);
}

#[test]
fn a_login_without_any_cookie_works() {
    let site = Site::new();
    let browser = site.browser();
    let answer = site.login_as(&browser, "alice");
    assert_eq!(answer.ticket().kind, Ticket::SESSION);
    assert_eq!(site.look(&browser).user(), Some("alice"));
}

#[test]
fn a_login_as_another_user_drops_the_first_ones_data() {
    let site = Site::new();
    let browser = site.login("alice");
    site.patch(&browser, r#"{"private":"alice's"}"#);
    let thief = browser.copy();
    site.login_as(&browser, "bob");
    let seen = site.look(&browser);
    assert_eq!((seen.user(), seen.data()), (Some("bob"), Some(json!({}))));
    site.look(&thief).assert_stranger();
}

#[test]
fn a_login_as_the_same_user_keeps_the_data_under_a_new_ticket() {
    let site = Site::new();
    let browser = site.login("alice");
    site.patch(&browser, r#"{"private":"alice's"}"#);
    let (old, id) = (browser.copy(), site.look(&browser).id().to_owned());
    site.login_as(&browser, "alice");
    let seen = site.look(&browser);
    assert_eq!((seen.user(), seen.data()), (Some("alice"), Some(json!({"private": "alice's"}))));
    assert_ne!(seen.id(), id);
    site.look(&old).assert_stranger();
}

#[test]
fn a_login_and_a_patch_in_one_answer_both_hold() {
    let site = Site::new();
    let browser = site.keep(r#"{"cart":["apple"]}"#);
    site.visit(&browser, post("/login"), ok().session("User", "alice").session("Patch", r#"{"theme":"dark"}"#));
    let seen = site.look(&browser);
    assert_eq!((seen.user(), seen.data()), (Some("alice"), Some(json!({"cart": ["apple"], "theme": "dark"}))));
}

#[test]
fn a_login_on_a_redirect_does_not_overtake_its_session() {
    let site = Site::new();
    let browser = site.guest();
    let reply = status("303 See Other").with("Location", "/home").session("User", "alice");
    let (_, answer) = site.visit(&browser, post("/login"), reply);
    assert_eq!((answer.status(), answer.header("Location")), (303, Some("/home")));
    assert_eq!(site.look(&browser).user(), Some("alice"));
}

#[test]
fn a_login_beyond_max_per_user_logs_out_where_the_user_has_been_idle_longest() {
    let site = Site::build().session("max_per_user = 2").start();
    let (first, second, bob) = (site.login("alice"), site.login("alice"), site.login("bob"));
    let (late, write) = (second.send(post("/slow")), site.backend.next());
    site.wait(61);
    site.look(&first);
    let newest = site.login("alice");
    for (browser, user) in [(&first, "alice"), (&newest, "alice"), (&bob, "bob")] {
        assert_eq!(site.look(browser).user(), Some(user));
    }
    write.reply(ok().session("Patch", r#"{"late":true}"#));
    assert_eq!(late.answer().sid(), None, "an ended session takes no change, and gives no cookie");
    let (seen, answer) = site.visit(&second, get("/"), ok());
    seen.assert_stranger();
    assert_eq!(answer.sid().map(|cookie| cookie.is_deletion()), None, "{}", answer.text_head());
    site.login_as(&second, "alice");
    assert_eq!(site.look(&second).user(), Some("alice"));
}

#[test]
fn a_users_name_reaches_the_upstream_as_it_was_given() {
    let site = Site::new();
    for name in ["alice", "alice smith", "a,b;c=d", "CN=Alice,O=Example", "alice%20", "\"quoted\""] {
        assert_eq!(site.look(&site.login(name)).user(), Some(name));
    }
}

// ---- end

#[test]
fn ending_this_session_logs_out_here_alone() {
    let site = Site::new();
    let (here, there) = (site.login("alice"), site.login("alice"));
    let copy = here.copy();
    let answer = site.logout(&here);
    assert!(answer.deletes_sid(), "{}", answer.text_head());
    assert_eq!(here.sid(), None);
    site.look(&copy).assert_stranger();
    assert_eq!(site.look(&there).user(), Some("alice"));
}

#[test]
fn ending_the_others_leaves_this_one() {
    let site = Site::new();
    let (here, there, elsewhere, bob) =
        (site.login("alice"), site.login("alice"), site.login("alice"), site.login("bob"));
    let id = site.look(&here).id().to_owned();
    let (_, answer) = site.visit(&here, post("/"), ok().session("End", "others"));
    assert!(!answer.deletes_sid());
    let seen = site.look(&here);
    assert_eq!((seen.user(), seen.id()), (Some("alice"), id.as_str()));
    site.look(&there).assert_stranger();
    site.look(&elsewhere).assert_stranger();
    assert_eq!(site.look(&bob).user(), Some("bob"));
}

#[test]
fn ending_all_leaves_none_of_the_users() {
    let site = Site::new();
    let (here, there, bob) = (site.login("alice"), site.login("alice"), site.login("bob"));
    let copy = here.copy();
    let (_, answer) = site.visit(&here, post("/"), ok().session("End", "all"));
    assert!(answer.deletes_sid());
    site.look(&copy).assert_stranger();
    site.look(&there).assert_stranger();
    assert_eq!(site.look(&bob).user(), Some("bob"));
}

#[test]
fn a_password_change_ends_the_others_and_renews_this_one() {
    let site = Site::new();
    let (here, there) = (site.login("alice"), site.login("alice"));
    let old = here.copy();
    site.visit(&here, post("/password"), ok().session("End", "others").session("Renew", "true"));
    assert_eq!(site.look(&here).user(), Some("alice"));
    site.look(&there).assert_stranger();
    site.look(&old).assert_stranger();
}

#[test]
fn a_login_that_ends_the_others_keeps_itself() {
    let site = Site::new();
    let (there, here) = (site.login("alice"), site.guest());
    site.visit(&here, post("/login"), ok().session("User", "alice").session("End", "others"));
    assert_eq!(site.look(&here).user(), Some("alice"));
    site.look(&there).assert_stranger();
}

#[test]
fn ending_all_without_a_user_ends_nobody_elses() {
    let site = Site::new();
    let (here, there) = (site.keep(r#"{"a":1}"#), site.keep(r#"{"b":1}"#));
    let copy = here.copy();
    let (_, answer) = site.visit(&here, post("/"), ok().session("End", "all"));
    assert!(answer.deletes_sid());
    site.look(&copy).assert_stranger();
    assert!(site.look(&there).data().is_some());
}

#[test]
fn ending_where_nothing_is_ends_nothing() {
    let site = Site::new();
    let alice = site.login("alice");
    for end in ["this", "others", "all"] {
        let (_, answer) = site.visit(&site.browser(), post("/"), ok().session("End", end));
        assert_eq!(answer.status(), 200);
        assert!(answer.sid().is_none_or(|cookie| !cookie.is_deletion()), "no ticket, nothing to delete");
    }
    assert_eq!(site.look(&alice).user(), Some("alice"));
}

#[test]
fn ending_a_guest_deletes_the_guests_cookie() {
    let site = Site::new();
    for end in ["this", "all"] {
        let browser = site.guest();
        let (_, answer) = site.visit(&browser, post("/"), ok().session("End", end));
        assert!(answer.deletes_sid(), "{end}: {}", answer.text_head());
        assert!(site.look(&browser).is_new());
    }
    let browser = site.guest();
    assert_eq!(site.visit(&browser, post("/"), ok().session("End", "others")).1.sid(), None);
    assert!(!site.look(&browser).is_new());
}

#[test]
fn after_a_logout_the_visitor_is_new() {
    let site = Site::new();
    let browser = site.login("alice");
    site.logout(&browser);
    let (seen, answer) = site.visit(&browser, get("/"), ok());
    seen.assert_stranger();
    assert_eq!(answer.ticket().kind, Ticket::GUEST);
}

// ---- renew, persist

#[test]
fn a_renewal_asked_for_gets_a_new_ticket_and_id_with_the_same_data() {
    let site = Site::new();
    let browser = site.login("alice");
    site.patch(&browser, r#"{"a":1}"#);
    let (old, before) = (browser.copy(), site.look(&browser));
    site.wait(100);
    let (_, answer) = site.visit(&browser, post("/sudo"), ok().session("Renew", "true"));
    assert_ne!(answer.ticket().secret, old.ticket().secret);
    let after = site.look(&browser);
    assert_eq!((after.user(), after.data()), (before.user(), before.data()));
    assert_ne!(after.id(), before.id());
    assert_eq!(after.session("Created"), before.session("Created"), "a renewal does not begin a lifetime");
    site.look(&old).assert_stranger();
}

#[test]
fn a_renewal_asked_for_a_guest_stores_nothing() {
    let site = Site::new();
    let browser = site.guest();
    let (_, answer) = site.visit(&browser, post("/"), ok().session("Renew", "true"));
    assert_eq!(answer.status(), 200);
    site.look(&browser).assert_no_session();
    assert_eq!(browser.ticket().kind, Ticket::GUEST);
    assert_eq!(site.metric("session_gateway_sessions_live", &[]), 0);
}

#[test]
fn a_persistent_session_has_a_cookie_with_max_age() {
    let site = Site::new();
    let browser = site.login("alice");
    assert_eq!(site.visit(&browser, get("/"), ok()).1.sid(), None);
    let (_, answer) = site.visit(&browser, post("/"), ok().session("Persist", "true"));
    let cookie = answer.sid().expect("the cookie with its new attribute");
    assert_eq!(cookie.attribute("Max-Age"), Some(MONTH.to_string().as_str()));
    let (_, answer) = site.visit(&browser, post("/"), ok().session("Persist", "false"));
    let cookie = answer.sid().expect("the cookie without it");
    assert_eq!((cookie.attribute("Max-Age"), cookie.attribute("Expires")), (None, None));
    assert_eq!(site.look(&browser).user(), Some("alice"));
}

#[test]
fn remember_me_is_one_answer() {
    let site = Site::new();
    let browser = site.guest();
    let (_, answer) = site.visit(&browser, post("/login"), ok().session("User", "alice").session("Persist", "true"));
    let cookie = answer.sid().expect("a login's cookie");
    assert_eq!(cookie.attribute("Max-Age"), Some(MONTH.to_string().as_str()));
}

#[test]
fn persist_alone_keeps_nothing_for_a_guest() {
    let site = Site::new();
    let browser = site.guest();
    let (_, answer) = site.visit(&browser, post("/"), ok().session("Persist", "true"));
    assert_eq!(answer.status(), 200);
    site.look(&browser).assert_no_session();
}

// ---- status >= 500

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

// ---- malformed

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

// ---- trust

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

// ---- prefix

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
fn another_users_login_is_as_short_as_any_though_the_one_before_was_to_persist() {
    let site = Site::new();
    let browser = site.login("alice");
    site.visit(&browser, post("/remember"), ok().session("Persist", "true"));
    let outlives = |answer: &Answer| answer.sid().expect("a login's cookie").attribute("max-age").is_some();
    assert!(outlives(&site.login_as(&browser, "alice")), "the same user's goes on");
    assert!(!outlives(&site.login_as(&browser, "bob")), "nobody has asked for that");
}

#[test]
fn a_login_with_a_guest_ticket_that_somebody_else_has_long_filled_takes_nothing_of_it() {
    let site = Site::new();
    let attacker = site.guest();
    let victim = attacker.copy();
    site.patch(&attacker, r#"{"cart":["planted"]}"#);
    // Longer than any request of the victim's own can have been under way.
    site.wait(600);
    site.login_as(&victim, "alice");
    assert_eq!((site.look(&victim).user(), site.look(&victim).data()), (Some("alice"), Some(json!({}))));
    let theirs = site.look(&attacker);
    assert_eq!((theirs.user(), theirs.data()), (None, Some(json!({"cart": ["planted"]}))));
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
