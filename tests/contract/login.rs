//! `X-Session-User`.

use serde_json::json;

use super::support::*;

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
