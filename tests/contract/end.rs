//! `X-Session-End`.

use super::support::*;

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
