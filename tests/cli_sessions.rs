//! `session-gateway sessions …`, the command as an operator runs it beside a gateway that runs.

mod support;

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use serde_json::{Value, json};
use support::*;

const TOKEN: &str = "correct-horse-battery-staple";
/// No session has it.
const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// A gateway, and a configuration that says where it is.
struct Place {
    process: Process,
    config: PathBuf,
}

/// What a command printed, and its exit code.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    /// What a command said that failed and printed nothing else.
    fn error(&self) -> &str {
        assert_eq!((self.code, self.out.as_str()), (Some(1), ""), "{self:?}");
        assert_eq!(self.err.lines().count(), 1, "{self:?}");
        self.err.trim_end().strip_prefix("error: ").expect("an error")
    }

    /// What a command printed that succeeded and had nothing to remark.
    fn output(&self) -> &str {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{self:?}");
        &self.out
    }
}

fn run(config: &Path, arguments: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_session-gateway"));
    said(command.arg("sessions").args(arguments).arg("--config").arg(config))
}

fn said(command: &mut Command) -> Said {
    let output = command.output().expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// The configuration in this directory as another file, with this instead of its `[admin]` section.
fn with_admin(dir: &Path, name: &str, admin: &str) -> PathBuf {
    let text = fs::read_to_string(dir.join("gateway.toml")).expect("what the gateway was started with");
    let (before, rest) = text.split_once("[admin]\n").expect("an admin section");
    let (_, log) = rest.split_once("[log]").expect("a log section");
    let file = dir.join(name);
    fs::write(&file, format!("{before}{admin}\n[log]{log}")).expect("a writable directory");
    file
}

fn listen(address: SocketAddr) -> String {
    format!("[admin]\nlisten = \"{address}\"")
}

impl Place {
    fn new() -> Self {
        Self::start(&Site::build())
    }

    fn start(setup: &Setup) -> Self {
        let process = Process::start(setup, "access = \"off\"");
        let config = with_admin(process.dir.path(), "running.toml", &listen(process.admin_address()));
        Self { process, config }
    }

    fn run(&self, arguments: &[&str]) -> Said {
        run(&self.config, arguments)
    }

    fn visit(&self, browser: &Browser, reply: Reply) -> Head {
        let pending = browser.send(post("/"));
        let exchange = self.process.backend.next();
        let head = exchange.head.clone();
        exchange.reply(reply);
        assert_eq!(pending.answer().status(), 200);
        head
    }

    fn login(&self, user: &str) -> Browser {
        let browser = self.process.browser();
        self.visit(&browser, ok().session("User", user));
        browser
    }

    fn user(&self, browser: &Browser) -> Option<String> {
        self.visit(browser, ok()).fields.one("X-Session-User").map(str::to_owned)
    }

    fn id(&self, browser: &Browser) -> String {
        self.visit(browser, ok()).fields.one("X-Session-Id").expect("every request has one").to_owned()
    }

    /// What the API itself says.
    fn api(&self, target: &str) -> String {
        let answer = self.process.admin().send(get(target)).answer();
        assert_eq!(answer.status(), 200);
        answer.text()
    }
}

// ---- list

#[test]
fn a_users_sessions_are_listed_in_a_table() {
    let place = Place::start(&Site::build().upstream("jar = { mode = \"enforce\", capture = [\"app_*\"] }"));
    let browser = place.login("alice");
    place.visit(&browser, ok().session("Patch", r#"{"cart":["apple"]}"#).session("Persist", "true"));
    place.visit(&browser, ok().with("Set-Cookie", "app_one=1; Path=/").with("Set-Cookie", "app_two=2; Path=/"));
    place.login("alice");
    place.login("bob");

    let listed: Value = serde_json::from_str(&place.api("/sessions?user=alice")).expect("JSON");
    let mut expected = format!(
        "{:22}  {:20}  {:20}  {:20}  PERSISTENT  DATA BYTES  COOKIES\n",
        "ID", "CREATED", "LAST SEEN", "EXPIRES"
    );
    let sessions = listed["sessions"].as_array().expect("a list");
    assert_eq!(sessions.len(), 2);
    for session in sessions {
        let time = |name: &str| {
            let time = jiff::Timestamp::from_second(session[name].as_i64().expect("seconds")).expect("a time");
            time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
        };
        let (id, created, seen) = (session["id"].as_str().expect("an id"), time("created"), time("last_seen"));
        let rest = if session["persistent"] == json!(true) {
            "yes         18          app:app_one app:app_two"
        } else {
            "no          0"
        };
        let _ = writeln!(expected, "{id}  {created}  {seen}  {}  {rest}", time("expires"));
    }
    assert_eq!(place.run(&["list", "alice"]).output(), expected);
}

#[test]
fn a_user_without_sessions_is_an_empty_list_and_no_error() {
    let place = Place::new();
    place.login("bob");
    let said = place.run(&["list", "alice"]);
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(0), "", "alice has no sessions\n"));
}

#[test]
fn any_user_can_be_named() {
    let place = Place::new();
    let bob = place.login("bob");
    for user in ["a b", "a/b", "Zo\u{eb} \u{1f36a}", "100%", "%41", "a&user=bob", "j+k", "?x#y", "..", "-x", "--user"] {
        let browser = place.login(user);
        let id = place.id(&browser);
        let table = place.run(&["list", user]).output().to_owned();
        assert_eq!(table.lines().count(), 2, "{user}: {table}");
        assert!(table.contains(&id), "{user}: {table}");
        let said = place.run(&["revoke", "--user", user]);
        assert_eq!(said.output(), format!("revoked 1 session of {user}\n"));
        assert_eq!(place.user(&browser), None, "{user}");
    }
    assert_eq!(place.user(&bob).as_deref(), Some("bob"));
}

// ---- show

#[test]
fn a_session_is_shown_as_the_api_shows_it() {
    let place = Place::new();
    let browser = place.login("alice");
    place.visit(&browser, ok().session("Patch", r#"{"price":1.50,"n":12345678901234567890123,"text":"\u001b[31m"}"#));
    let id = place.id(&browser);
    let said = place.run(&["show", &id]);
    assert_eq!(said.output(), place.api(&format!("/sessions/{id}")) + "\n");
    assert!(said.out.contains(r#""data":{"n":12345678901234567890123,"price":1.50,"text":"\u001b[31m"}"#), "{said:?}");
}

#[test]
fn nothing_that_is_stored_can_write_to_the_terminal() {
    let place = Place::start(&Site::build().upstream("jar = { mode = \"enforce\", capture = [\"app_*\"] }"));
    let user = "al\u{202e}ice";
    let browser = place.login(user);
    place.visit(&browser, ok().with("Set-Cookie", "app_\u{9b}31m\t\u{2028}=1; Path=/\u{9b}2J"));
    let id = place.id(&browser);
    let (listed, shown) = (place.run(&["list", user]), place.run(&["show", &id]));
    for said in [&listed, &shown] {
        let text = said.output().strip_suffix('\n').expect("a last line");
        let moves = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{2028}".contains(c);
        assert!(!text.contains(moves), "{text:?}");
    }
    assert!(listed.out.ends_with("  app:app_\\u009b31m\\u0009\\u2028\n"), "{listed:?}");
    // It still says the same.
    let parsed = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    assert_eq!(parsed(&shown.out), parsed(&place.api(&format!("/sessions/{id}"))));
    let said = place.run(&["revoke", "--user", user]);
    assert_eq!(said.output(), "revoked 1 session of al\\u202eice\n");
}

// ---- revoke

#[test]
fn a_session_revoked_by_its_id_is_over_and_no_other() {
    let place = Place::new();
    let (browser, other) = (place.login("alice"), place.login("alice"));
    let id = place.id(&browser);
    assert_eq!(place.run(&["revoke", &id]).output(), format!("revoked session {id}\n"));
    assert_eq!(place.user(&browser), None);
    assert_eq!(place.user(&other).as_deref(), Some("alice"));
    let again = place.run(&["revoke", &id]);
    let says = format!("the gateway at {} says: no live session has this id", place.process.admin_address());
    assert_eq!(again.error(), format!("cannot revoke session {id}: {says}"));
}

#[test]
fn a_users_sessions_are_revoked_together() {
    let place = Place::new();
    let (one, two, bob) = (place.login("alice"), place.login("alice"), place.login("bob"));
    assert_eq!(place.run(&["revoke", "--user", "alice"]).output(), "revoked 2 sessions of alice\n");
    assert_eq!((place.user(&one), place.user(&two)), (None, None));
    assert_eq!(place.user(&bob).as_deref(), Some("bob"));
    let again = place.run(&["revoke", "--user", "alice"]);
    assert_eq!((again.code, again.out.as_str(), again.err.as_str()), (Some(0), "", "alice has no sessions\n"));
}

#[test]
fn a_command_that_names_nobody_or_too_much_does_nothing() {
    let place = Place::new();
    let browser = place.login("alice");
    let id = place.id(&browser);
    for arguments in [
        &["revoke"][..],
        &["revoke", ""],
        &["revoke", "--user"],
        &["revoke", "--user", ""],
        &["revoke", "--user="],
        &["revoke", &id, "--user", "alice"],
        &["revoke", "--user", "alice", &id],
        &["revoke", &id, &id],
        &["list"],
        &["list", ""],
        &["show", ""],
        &[],
    ] {
        let said = place.run(arguments);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{arguments:?}: {said:?}");
    }
    assert_eq!(place.user(&browser).as_deref(), Some("alice"));
}

#[test]
fn an_id_may_look_like_an_option_and_the_file_be_named_before_the_command() {
    let place = Place::new();
    for id in ["-cAAAAAAAAAAAAAAAAAAAA", "-hAAAAAAAAAAAAAAAAAAAA", "--userAAAAAAAAAAAAAAAA"] {
        for command in ["show", "revoke"] {
            let mut before = Command::new(env!("CARGO_BIN_EXE_session-gateway"));
            let before = said(before.arg("--config").arg(&place.config).args(["sessions", command, id]));
            for said in [place.run(&[command, id]), before] {
                assert!(said.error().ends_with("no live session has this id"), "{said:?}");
            }
        }
    }
}

// ---- what goes wrong

#[test]
fn without_an_admin_section_there_is_nobody_to_ask() {
    let place = Place::new();
    let file = with_admin(place.process.dir.path(), "without.toml", "");
    for arguments in [&["list", "alice"][..], &["show", NO_ID], &["revoke", NO_ID], &["revoke", "--user", "alice"]] {
        let said = run(&file, arguments);
        assert_eq!(said.error(), format!("{} has no [admin], so its gateway has no address for this", file.display()));
    }
    let file = place.process.dir.path().join("gateway.toml");
    let said = run(&file, &["list", "alice"]);
    assert!(said.error().starts_with(&format!("admin.listen in {} has port 0", file.display())), "{said:?}");
}

#[test]
fn the_token_is_sent_and_never_shown() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let write = |name: &str, token: &str| {
        let file = dir.path().join(name);
        fs::write(&file, format!("{token}\n")).expect("a writable directory");
        format!("\ntoken_file = {file:?}")
    };
    let (right, wrong) = (write("right", TOKEN), write("wrong", "incorrect-donkey"));
    let place = Place::start(&Site::build().admin(&right));
    let browser = place.login("alice");
    let id = place.id(&browser);
    let address = place.process.admin_address();
    let config = |name, token: &str| with_admin(place.process.dir.path(), name, &(listen(address) + token));
    let commands = [&["list", "alice"][..], &["show", &id], &["revoke", &id], &["revoke", "--user", "alice"]];

    let file = config("wrong.toml", &wrong);
    for command in commands {
        let said = run(&file, command);
        let expected =
            format!("the gateway at {address} does not accept the token in admin.token_file of {}", file.display());
        assert!(said.error().ends_with(&expected), "{said:?}");
        assert!(!said.err.contains("donkey"), "{said:?}");
    }
    for command in commands {
        let said = place.run(command);
        let expected =
            format!("the gateway at {address} wants a token, and {} has no admin.token_file", place.config.display());
        assert!(said.error().ends_with(&expected), "{said:?}");
    }
    assert_eq!(place.user(&browser).as_deref(), Some("alice"));

    let file = config("right.toml", &right);
    for command in &commands[..3] {
        let said = run(&file, command);
        assert!(said.output().contains(&id), "{said:?}");
        assert!(!said.out.contains("horse"), "{said:?}");
    }
    assert_eq!(place.user(&browser), None);
}

#[test]
fn a_gateway_that_does_not_run_is_named_by_its_address() {
    let place = Place::new();
    let address = place.process.admin_address();
    assert_eq!(place.run(&["list", "alice"]).code, Some(0));
    let Place { process, config } = place;
    // Its directory stays for as long as somebody holds it.
    let dir = std::sync::Arc::clone(&process.dir);
    process.stop();
    for arguments in [&["list", "alice"][..], &["show", NO_ID], &["revoke", NO_ID], &["revoke", "--user", "alice"]] {
        let said = run(&config, arguments);
        assert!(said.error().contains(&format!(": no gateway listens at {address}: ")), "{said:?}");
    }
    drop(dir);
}

#[test]
fn what_the_api_finds_wrong_is_said_in_its_words() {
    let place = Place::new();
    for command in ["show", "revoke"] {
        for (id, problem) in [
            (NO_ID, "no live session has this id"),
            ("x", "a session id has 22 characters of base64url"),
            ("../livez", "a session id has 22 characters of base64url"),
            ("..", "a session id has 22 characters of base64url"),
            (&format!("{NO_ID}?x"), "a session id has 22 characters of base64url"),
        ] {
            let said = place.run(&[command, id]);
            assert_eq!(
                said.error(),
                format!(
                    "cannot {command} session {id}: the gateway at {} says: {problem}",
                    place.process.admin_address()
                )
            );
        }
    }
}

#[test]
fn a_store_that_cannot_be_reached_is_an_error_and_no_empty_list() {
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("a bound address");
    let place = Place::start(&Site::build().redis_at(&format!("redis://{nobody}"), ""));
    for arguments in [&["list", "alice"][..], &["show", NO_ID], &["revoke", NO_ID], &["revoke", "--user", "alice"]] {
        let said = place.run(arguments);
        assert!(said.error().ends_with(" says: the session store could not be asked"), "{said:?}");
    }
}

/// What the command says to something that reads a request, answers this and closes.
fn told(answer: &'static str) -> Said {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let backend = Backend::start();
    fs::write(dir.path().join("gateway.toml"), Site::build().write(dir.path(), &backend))
        .expect("a writable directory");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let file = with_admin(dir.path(), "other.toml", &listen(listener.local_addr().expect("a bound address")));
    let other = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("the rest of a request");
            head.extend(byte);
        }
        stream.write_all(answer.as_bytes()).expect("a client that reads");
    });
    let said = run(&file, &["show", NO_ID]);
    other.join().expect("it was asked");
    said
}

#[test]
fn what_is_no_gateway_is_told_apart_and_cannot_write_to_the_terminal_either() {
    for (answer, expected) in [
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\n<html>", "answers 404 Not Found, which no admin address"),
        ("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "answers 302 Found, which no admin address"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n\x1b[2Jhey", "what answered is no gateway of this version"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{}", "broke off"),
        ("-ERR \x1b[2J unknown command\r\n", "broke off"),
        ("", "broke off"),
        ("HTTP/1.1 400 Bad Request\r\nContent-Length: 23\r\n\r\n{\"error\":\"\\u001b[2Jno\"}", "says: \\u001b[2Jno"),
    ] {
        let said = told(answer);
        assert!(said.error().contains(expected), "{answer:?}: {said:?}");
        assert!(!said.err.trim_end().contains(char::is_control), "{said:?}");
    }
}
