//! Real applications that know nothing of the gateway, each alone and behind it: its login, visits and logout go as
//! before, and the browser holds our cookie alone.
#![allow(missing_docs)]

#[path = "apps/process.rs"]
mod process;
#[path = "unmodified/stand.rs"]
mod stand;
#[expect(dead_code, reason = "the other tests of applications use the rest")]
#[path = "apps/tools.rs"]
mod tools;
#[path = "unmodified/visitor.rs"]
mod visitor;

use std::fs;
use std::path::Path;
use std::process::Command;

use process::Process;
use stand::{App, Mode, Stand};
use visitor::{Answer, Visitor};

const COOKIE: &str = "__Host-sid";

/// The blog of Flask's tutorial, which keeps its login in Flask's signed cookie.
const FLASKR: App = App {
    start: |dir| {
        // Its database lies beside it.
        copy(&tools::root().join("examples/unmodified-flask/flaskr"), &dir.join("flaskr"));
        let flask = || {
            let mut flask = Command::new(tools::python());
            flask.args(["-u", "-m", "flask", "--app", "flaskr"]).current_dir(dir);
            flask
        };
        assert!(flask().arg("init-db").output().expect("flask runs").status.success());
        Process::start("flaskr", flask().args(["run", "--port", "0"]))
    },
    jar: "capture = [\"session\"]\nrenew_on = [\"POST /auth/login\"]",
};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder is made");
    let mut copied = 0;
    for entry in fs::read_dir(from).expect("the example can be read") {
        let entry = entry.expect("a folder's entry");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("a file is copied");
        }
        copied += 1;
    }
    assert!(copied > 0, "{} is empty", from.display());
}

/// A visit to the application, the same whatever stands before it.
fn visit_flaskr(stand: &Stand, visitor: &Visitor<'_>) {
    let page = visitor.get("/");
    assert_eq!((page.status, logged_in(&page)), (200, None));
    assert_eq!(visitor.post("/auth/register", &[("username", "alice"), ("password", "secret")]).status, 302);
    let wrong = visitor.post("/auth/login", &[("username", "alice"), ("password", "wrong")]);
    assert!(wrong.status == 200 && wrong.body.contains("Incorrect password."), "{wrong:?}");
    let login = visitor.post("/auth/login", &[("username", "alice"), ("password", "secret")]);
    assert_eq!((login.status, login.location()), (302, Some("/")));
    assert_eq!(logged_in(&visitor.get("/")).as_deref(), Some("alice"));
    assert_eq!(visitor.post("/create", &[("title", "Tea"), ("body", "Green")]).status, 302);
    assert!(visitor.get("/").body.contains("<h1>Tea</h1>"));
    assert_eq!(logged_in(&Visitor::new(stand, "stranger").get("/")), None);
}

fn leave_flaskr(visitor: &Visitor<'_>) {
    assert_eq!(visitor.get("/auth/logout").status, 302);
    assert_eq!(logged_in(&visitor.get("/")), None);
    assert_eq!(visitor.get("/create").location(), Some("/auth/login"));
}

fn logged_in(page: &Answer) -> Option<String> {
    let (_, rest) = page.body.split_once("<li><span>")?;
    rest.split('<').next().map(str::to_owned)
}

#[test]
fn the_example_s_configuration_is_the_one_that_is_tested() {
    let toml = fs::read_to_string(tools::root().join("examples/unmodified-flask/gateway.toml")).expect("the example's");
    let lines: Vec<String> =
        toml.lines().map(|line| line.split('#').next().unwrap_or_default().trim().to_owned()).collect();
    for line in FLASKR.jar.lines().chain(["mode = \"enforce\"", "trust = \"none\""]) {
        assert!(lines.iter().any(|written| written == line), "{line}");
    }
}

#[test]
fn flaskr_alone_leaves_its_session_in_the_browser() {
    if tools::skipped() {
        return;
    }
    let stand = Stand::start(&FLASKR, Mode::Alone);
    let visitor = Visitor::new(&stand, "alice");
    visit_flaskr(&stand, &visitor);
    assert_eq!(visitor.cookies(), ["session"]);
    let thief = visitor.stolen("thief");
    leave_flaskr(&visitor);
    assert_eq!(logged_in(&thief.get("/")).as_deref(), Some("alice"), "a signed cookie outlives the logout");
}

#[test]
fn flaskr_behind_the_gateway_leaves_our_cookie_alone_in_the_browser() {
    if tools::skipped() {
        return;
    }
    let stand = Stand::start(&FLASKR, Mode::Jar("enforce"));
    let visitor = Visitor::new(&stand, "alice");
    visit_flaskr(&stand, &visitor);
    assert_eq!(visitor.cookies(), [COOKIE]);
    assert!(!visitor.holds("eyJ"), "nothing of Flask's cookie");
    let thief = visitor.stolen("thief");
    assert_eq!(logged_in(&thief.get("/")).as_deref(), Some("alice"), "a copied ticket works");
    leave_flaskr(&visitor);
    assert_eq!(logged_in(&thief.get("/")), None, "until the logout");
}

#[test]
fn revoking_a_session_logs_flaskr_s_user_out() {
    if tools::skipped() {
        return;
    }
    let stand = Stand::start(&FLASKR, Mode::Jar("enforce"));
    let visitor = Visitor::new(&stand, "alice");
    visit_flaskr(&stand, &visitor);
    visitor.revoke();
    assert_eq!(logged_in(&visitor.get("/")), None);
    assert_eq!(visitor.get("/create").location(), Some("/auth/login"));
    // And the way back is open.
    let login = visitor.post("/auth/login", &[("username", "alice"), ("password", "secret")]);
    assert_eq!((login.status, login.sets()), (302, vec![COOKIE]));
    assert_eq!(logged_in(&visitor.get("/")).as_deref(), Some("alice"));
}

#[test]
fn a_ticket_planted_before_the_login_to_flaskr_is_worthless_after_it() {
    if tools::skipped() {
        return;
    }
    let stand = Stand::start(&FLASKR, Mode::Jar("enforce"));
    let attacker = Visitor::new(&stand, "attacker");
    attacker.get("/");
    assert_eq!(attacker.post("/auth/register", &[("username", "alice"), ("password", "secret")]).status, 302);
    let victim = attacker.stolen("victim");
    assert_eq!(victim.post("/auth/login", &[("username", "alice"), ("password", "secret")]).status, 302);
    assert_eq!(logged_in(&victim.get("/")).as_deref(), Some("alice"));
    assert_eq!(logged_in(&attacker.get("/")), None);
    // Nor is one from within another login.
    assert_eq!(attacker.post("/auth/login", &[("username", "alice"), ("password", "secret")]).status, 302);
    let victim = attacker.stolen("victim");
    assert_eq!(victim.post("/auth/login", &[("username", "alice"), ("password", "secret")]).status, 302);
    assert_eq!(logged_in(&victim.get("/")).as_deref(), Some("alice"));
    assert_eq!(logged_in(&attacker.get("/")), None);
}
