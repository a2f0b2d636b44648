//! The applications. One more is a row here, and a line in `each_application!`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::Process;
use crate::support::Redis;
use crate::tools;

/// An application, and what a visitor must know to use it. It has one user, [`USER`] with [`PASSWORD`]; its form asks
/// for `username` and `password`.
pub(crate) struct App {
    /// Starts it with what it needs, its files in this folder.
    pub(crate) start: fn(&Path) -> Running,
    /// What the gateway's configuration calls its framework.
    pub(crate) preset: &'static str,
    /// The cookies that it keeps the session of whoever is logged in in.
    pub(crate) cookies: &'static [&'static str],
    /// Cookies of its that are none of a session's, and stay in the browser.
    pub(crate) others: &'static [&'static str],
    /// A page that shows who is logged in.
    pub(crate) home: &'static str,
    /// What is on that page where [`USER`] is, and not otherwise.
    pub(crate) shows: &'static str,
    /// Where the form is, and where it goes.
    pub(crate) login: &'static str,
    /// Where the home page has a link or a form to.
    pub(crate) logout: &'static str,
    /// Which of them outlives the browser.
    pub(crate) persists: Option<&'static str>,
    /// Whether they are kept from scripts.
    pub(crate) http_only: bool,
    /// Whether a copy of them is worthless after the logout.
    pub(crate) ends_on_the_server: bool,
}

pub(crate) const USER: &str = "alice";
pub(crate) const PASSWORD: &str = "secret";

/// Stopped when it is dropped.
pub(crate) struct Running {
    _process: Process,
    pub(crate) port: u16,
    _store: Option<Redis>,
}

impl Running {
    fn start(name: &'static str, command: &mut Command) -> Self {
        let mut process = Process::start(name, command);
        let port = process.port_after("http://127.0.0.1:");
        Self { _process: process, port, _store: None }
    }
}

/// The blog of Flask's tutorial: Flask's signed cookie.
pub(crate) const FLASKR: App = App {
    start: |dir| {
        // Its database lies beside it.
        copy(&tools::root().join("examples/unmodified-flask/flaskr"), &dir.join("flaskr"));
        let register = format!(
            "import flaskr; visitor = flaskr.create_app().test_client(); \
             visitor.post('/auth/register', data={{'username': '{USER}', 'password': '{PASSWORD}'}})"
        );
        run(Command::new(tools::python()).args(["-m", "flask", "--app", "flaskr", "init-db"]).current_dir(dir));
        run(Command::new(tools::python()).args(["-c", &register]).current_dir(dir));
        flask("flaskr", dir)
    },
    preset: "flask",
    cookies: &["session"],
    others: &[],
    home: "/",
    shows: "<li><span>alice</span>",
    login: "/auth/login",
    logout: "/auth/logout",
    persists: None,
    http_only: true,
    ends_on_the_server: false,
};

/// Flask's signed cookie, of a session that lasts for one visit of the browser.
pub(crate) const FLASK: App = App {
    start: |_| flask("flask_app", &apps()),
    shows: "<b id=\"user\">alice</b>",
    login: "/login",
    logout: "/logout",
    ..FLASKR
};

/// `session.permanent`.
pub(crate) const FLASK_PERMANENT: App =
    App { start: |_| flask("flask_app:create_app(permanent=True)", &apps()), persists: Some("session"), ..FLASK };

/// Flask-Session, on a Redis of its own.
pub(crate) const FLASK_SESSION: App = App {
    start: |_| {
        let redis = Redis::start();
        let running = flask(&format!("flask_app:create_app(redis='{}')", redis.url()), &apps());
        Running { _store: Some(redis), ..running }
    },
    ends_on_the_server: true,
    ..FLASK
};

/// Flask-Login with "remember me": another cookie, from which it makes the session again.
pub(crate) const FLASK_LOGIN: App = App {
    start: |_| flask("flask_login_app", &apps()),
    cookies: &["remember_token", "session"],
    persists: Some("remember_token"),
    ..FLASK
};

/// The admin pages of a new project, as `django-admin startproject` makes it.
pub(crate) const DJANGO: App = App {
    start: |dir| {
        run(Command::new(tools::python()).args(["-m", "django", "startproject", "site_of_its_own"]).arg(dir));
        let settings = dir.join("site_of_its_own/settings.py");
        let written = fs::read_to_string(&settings).expect("startproject has written it");
        fs::write(settings, written + DJANGO_SETTINGS).expect("the settings can be written");
        let manage = |arguments: &[&str]| {
            let mut manage = Command::new(tools::python());
            manage.args(["-u", "manage.py"]).args(arguments).current_dir(dir);
            manage.env("DJANGO_SUPERUSER_PASSWORD", PASSWORD);
            manage
        };
        run(&mut manage(&["migrate"]));
        run(&mut manage(&["createsuperuser", "--noinput", "--username", USER, "--email", "alice@example.com"]));
        Running::start("Django", &mut manage(&["runserver", "--noreload", "0"]))
    },
    preset: "django",
    cookies: &["sessionid"],
    others: &["csrftoken"],
    home: "/admin/",
    shows: "<strong>alice</strong>",
    login: "/admin/login/",
    logout: "/admin/logout/",
    persists: Some("sessionid"),
    http_only: true,
    ends_on_the_server: true,
};

/// What is added to a new project's.
const DJANGO_SETTINGS: &str = r#"
# Otherwise the Origin of a form, which is https, is taken for another site's. Django's checklist for deployment has it.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# As Django advises for tests: the others are slow on purpose.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
"#;

/// express-session with its `MemoryStore`.
pub(crate) const EXPRESS_SESSION: App = App {
    start: |_| express("express-session"),
    preset: "express",
    cookies: &["connect.sid"],
    ends_on_the_server: true,
    ..FLASK
};

/// cookie-session: all that it keeps is in the cookie, and a signature in another.
pub(crate) const COOKIE_SESSION: App =
    App { start: |_| express("cookie-session"), preset: "express", cookies: &["session", "session.sig"], ..FLASK };

/// PHP's built-in sessions, in files.
pub(crate) const PHP: App = App {
    start: |dir| {
        let mut php = Command::new(tools::php());
        php.args(["-d", &format!("session.save_path={}", dir.display()), "-S", "127.0.0.1:0"]);
        Running::start("PHP", php.arg(apps().join("php_app.php")))
    },
    preset: "php",
    cookies: &["PHPSESSID"],
    http_only: false,
    ends_on_the_server: true,
    ..FLASK
};

fn flask(app: &str, dir: &Path) -> Running {
    let mut flask = Command::new(tools::python());
    flask.args(["-u", "-m", "flask", "--app", app, "run", "--port", "0"]).current_dir(dir);
    Running::start("Flask", flask.env("PYTHONDONTWRITEBYTECODE", "1"))
}

fn express(keeper: &str) -> Running {
    let mut express = Command::new(tools::node());
    express.arg(apps().join("express_app.js")).arg(keeper).env("NODE_PATH", tools::node_modules());
    Running::start("Express", &mut express)
}

fn apps() -> PathBuf {
    tools::root().join("tests/unmodified/apps")
}

/// A command that must succeed; what it printed.
pub(crate) fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

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
