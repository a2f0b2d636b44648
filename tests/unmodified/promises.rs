//! What the gateway promises to whoever puts it before an application.

use serde_json::json;

use crate::stand::{Mode, Stand};
use crate::table::{App, PASSWORD, USER};
use crate::visitor::Visitor;
use crate::{COOKIE, tools};

pub(crate) fn alone_it_keeps_its_session_in_the_browser(stand: &Stand) {
    let door = stand.open(Mode::Alone);
    let visitor = visit(&Visitor::new(&door, "stranger"), Visitor::new(&door, "alice"));
    assert_eq!(visitor.cookies(), held(door.app, &[], door.app.cookies));
    for cookie in door.app.cookies {
        assert_eq!(visitor.keeps(cookie), door.app.persists == Some(cookie), "{cookie}");
    }
    let thief = visitor.stolen("thief");
    leave(&visitor);
    assert_eq!(thief.is_logged_in(), !door.app.ends_on_the_server, "a signed cookie outlives the logout");
}

pub(crate) fn a_jar_that_observes_changes_nothing_and_tells_what_enforce_would_do(stand: &Stand) {
    let door = stand.open(Mode::Observe);
    let visitor = visit(&Visitor::new(&door, "stranger"), Visitor::new(&door, "alice"));
    assert_eq!(visitor.cookies(), held(door.app, &[COOKIE], door.app.cookies));
    let thief = visitor.stolen("thief");
    leave(&visitor);
    assert_eq!(thief.is_logged_in(), !door.app.ends_on_the_server);
    let told = |names: &[&str], does: &str| names.iter().map(|name| ((*name).to_owned(), does.to_owned())).collect();
    let [kept, passed]: [Vec<_>; 2] = [told(door.app.cookies, "keep"), told(door.app.others, "pass")];
    assert_eq!(door.observed(), kept.into_iter().chain(passed).collect());
}

pub(crate) fn a_jar_that_enforces_leaves_our_cookie_alone_in_the_browser(stand: &Stand) {
    let door = stand.open(Mode::Enforce);
    let visitor = visit(&Visitor::new(&door, "stranger"), Visitor::new(&door, "alice"));
    assert_eq!(visitor.cookies(), held(door.app, &[COOKIE], &[]));
    assert_eq!(visitor.keeps(COOKIE), door.app.persists.is_some(), "our cookie lives as long as its own would");
    let thief = visitor.stolen("thief");
    assert!(thief.is_logged_in(), "a copied ticket works");
    leave(&visitor);
    assert!(!thief.is_logged_in(), "until the logout");
    assert!(visitor.cookies().iter().all(|name| !door.app.cookies.contains(&&**name)));
    // And the way back is open.
    visitor.log_in();
    assert!(visitor.is_logged_in());
}

pub(crate) fn a_jar_that_captures_by_kind_keeps_what_no_script_can_read(stand: &Stand) {
    let door = stand.open(Mode::EnforceByKind);
    let visitor = visit(&Visitor::new(&door, "stranger"), Visitor::new(&door, "alice"));
    assert_eq!(visitor.cookies(), held(door.app, &[COOKIE], if door.app.http_only { &[] } else { door.app.cookies }));
    leave(&visitor);
}

pub(crate) fn its_own_cookie_from_a_browser_is_worth_nothing(stand: &Stand) {
    let (alone, enforce) = (stand.open(Mode::Alone), stand.open(Mode::Enforce));
    let visitor = Visitor::new(&alone, "alice");
    visitor.log_in();
    assert!(visitor.is_logged_in());
    // Who can copy or forge it in the browser gets nowhere through the gateway.
    let visitor = visitor.at(&enforce);
    assert!(!visitor.is_logged_in());
    visitor.log_in();
    assert!(visitor.is_logged_in());
}

pub(crate) fn revoking_the_session_logs_its_user_out(stand: &Stand) {
    let door = stand.open(Mode::Enforce);
    let (visitor, other) = (Visitor::new(&door, "alice"), Visitor::new(&door, "elsewhere"));
    visitor.log_in();
    other.log_in();
    let thief = visitor.stolen("thief");
    assert!(visitor.is_logged_in() && thief.is_logged_in());
    visitor.revoke();
    assert!(!visitor.is_logged_in() && !thief.is_logged_in());
    assert!(other.is_logged_in(), "the same user's other session");
    visitor.log_in();
    assert!(visitor.is_logged_in() && !thief.is_logged_in());
}

pub(crate) fn a_ticket_planted_before_the_login_is_worthless_after_it(stand: &Stand) {
    let door = stand.open(Mode::Enforce);
    // Before the application has a session, with one of nobody's if it keeps such, and from within another login.
    let before: [fn(&Visitor<'_>); 3] =
        [|attacker| drop(attacker.get("/")), |attacker| attacker.log_in_with("wrong"), |attacker| attacker.log_in()];
    for prepare in before {
        let attacker = Visitor::new(&door, "attacker");
        prepare(&attacker);
        let victim = attacker.stolen("victim");
        victim.log_in();
        assert!(victim.is_logged_in());
        assert!(!attacker.is_logged_in());
        assert!(victim.is_logged_in(), "and nothing that the attacker does touches it");
    }
}

pub(crate) fn switching_to_enforce_logs_nobody_out(stand: &Stand) {
    for before in [Mode::Alone, Mode::Observe] {
        // Alone, it is served in clear text; curl has cookies of this host for both, as no cookie of it is Secure.
        let (before, after) = (stand.open(before), stand.open(Mode::Adopt));
        let visitor = Visitor::new(&before, "alice");
        visitor.log_in();
        assert!(before.app.cookies.iter().all(|name| visitor.cookies().contains(&(*name).to_owned())));
        let visitor = visitor.at(&after);
        assert!(visitor.is_logged_in(), "with what the browser still holds");
        assert_eq!(visitor.cookies(), held(after.app, &[COOKIE], &[]));
        assert!(visitor.is_logged_in(), "with what the session holds");
        leave(&visitor);
        assert!(visitor.cookies().iter().all(|name| !after.app.cookies.contains(&&**name)));
    }
}

pub(crate) fn chromium_meets_it_in_every_mode_as_it_was(stand: &Stand) {
    let modes = [Mode::Alone, Mode::Observe, Mode::Enforce, Mode::Adopt];
    let [alone, observe, enforce, adopt] = modes.map(|mode| stand.open(mode));
    let App { cookies, others, home, shows, login, logout, .. } = alone.app;
    let told = json!({
        "alone": alone.origin, "observe": observe.origin, "enforce": enforce.origin, "adopt": adopt.origin, "ticket": COOKIE, "cookies": cookies,
        "others": others, "home": home, "shows": shows, "login": login, "logout": logout, "user": USER,
        "password": PASSWORD,
    });
    tools::visit_in_chromium("unmodified/chromium.js", &told.to_string());
}

/// A visit, the same whatever stands before the application; the visitor is then logged in.
fn visit<'a>(stranger: &Visitor<'_>, visitor: Visitor<'a>) -> Visitor<'a> {
    assert!(!visitor.is_logged_in());
    visitor.log_in_with("wrong");
    assert!(!visitor.is_logged_in());
    visitor.log_in();
    assert!(visitor.is_logged_in());
    assert!(!stranger.is_logged_in());
    assert!(visitor.is_logged_in());
    visitor
}

fn leave(visitor: &Visitor<'_>) {
    visitor.log_out();
    assert!(!visitor.is_logged_in());
}

/// These and the application's others, sorted.
fn held(app: &App, ours: &[&str], theirs: &[&str]) -> Vec<String> {
    let mut names: Vec<_> = [ours, theirs, app.others].concat().into_iter().map(str::to_owned).collect();
    names.sort();
    names
}
