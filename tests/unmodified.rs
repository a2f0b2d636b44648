//! Real applications that know nothing of the gateway: what each does alone it does behind the gateway, where the
//! browser holds our cookie alone.
#![allow(missing_docs)]

#[path = "apps/process.rs"]
mod process;
#[path = "unmodified/promises.rs"]
mod promises;
#[path = "unmodified/races.rs"]
mod races;
#[path = "unmodified/stand.rs"]
mod stand;
mod support;
#[path = "unmodified/table.rs"]
mod table;
#[path = "apps/tools.rs"]
mod tools;
#[path = "unmodified/visitor.rs"]
mod visitor;

use std::fs;

use table::FLASKR;

const COOKIE: &str = "__Host-sid";

/// Every promise is made for every application.
macro_rules! each_application {
    ($($name:ident: $app:ident)*) => { $(mod $name {
        each_application! { @promises $app
            alone_it_keeps_its_session_in_the_browser
            a_jar_that_observes_changes_nothing_and_tells_what_enforce_would_do
            a_jar_that_enforces_leaves_our_cookie_alone_in_the_browser
            a_jar_that_captures_by_kind_keeps_what_no_script_can_read
            its_own_cookie_from_a_browser_is_worth_nothing
            revoking_the_session_logs_its_user_out
            a_ticket_planted_before_the_login_is_worthless_after_it
            switching_to_enforce_logs_nobody_out
            chromium_meets_it_in_every_mode_as_it_was
        }
    })* };
    (@promises $app:ident $($promise:ident)*) => { $(
        #[test]
        fn $promise() {
            if !super::tools::skipped() {
                super::promises::$promise(&super::stand::Stand::start(&super::table::$app));
            }
        }
    )* };
}

each_application! {
    flask_tutorial: FLASKR
    flask: FLASK
    flask_with_permanent_sessions: FLASK_PERMANENT
    flask_session_on_redis: FLASK_SESSION
    flask_login: FLASK_LOGIN
    django_admin: DJANGO
    express_session: EXPRESS_SESSION
    cookie_session: COOKIE_SESSION
    php_sessions: PHP
}

#[test]
fn the_example_s_configuration_is_the_one_that_is_tested() {
    let toml = fs::read_to_string(tools::root().join("examples/unmodified-flask/gateway.toml")).expect("the example's");
    let lines: Vec<String> =
        toml.lines().map(|line| line.split('#').next().unwrap_or_default().trim().to_owned()).collect();
    let jar = [format!("capture = {:?}", FLASKR.preset), format!("renew_on = [\"POST {}\"]", FLASKR.login)];
    for line in jar.iter().map(String::as_str).chain(["mode = \"enforce\"", "trust = \"none\""]) {
        assert!(lines.iter().any(|written| written == line), "{line}");
    }
}
