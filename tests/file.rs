//! `[store] file`: what survives a restart, and what a file may look like.

#[path = "file/crash.rs"]
mod crash;
#[path = "file/kept.rs"]
mod kept;
#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use redb::{Database, ReadableDatabase, TableDefinition};
use support::*;
use tempfile::TempDir;

const LOG: &str = "access = \"off\"";

/// A directory that outlives the gateways in it, and their file.
struct Place {
    dir: Arc<TempDir>,
    file: PathBuf,
}

impl Place {
    fn new() -> Self {
        let dir = Arc::new(tempfile::tempdir().expect("a temporary directory"));
        let file = dir.path().join("sessions.redb");
        Self { dir, file }
    }

    /// A gateway that promises nothing about crashes within a test's time: what is there was written at its end.
    fn setup() -> Setup {
        Site::build().store("file = \"sessions.redb\"\nsync = \"60s\"")
    }

    fn start(&self) -> Process {
        Process::start_in(&self.dir, &Self::setup(), LOG)
    }

    fn refusal(&self, store: &str) -> String {
        Process::refusal(&self.dir, &Site::build().store(store))
    }

    /// Files that were moved aside.
    fn aside(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir.path()).expect("a directory").map(|entry| entry.expect("an entry").path());
        entries.filter(|path| path.to_string_lossy().contains(".unreadable-")).collect()
    }
}

/// One exchange; what the backend was told, and the answer.
fn visit(process: &Process, browser: &Browser, request: Request, reply: Reply) -> (Head, Answer) {
    let pending = browser.send(request);
    let exchange = process.backend.next();
    let head = exchange.head.clone();
    exchange.reply(reply);
    (head, pending.answer())
}

fn look(process: &Process, browser: &Browser) -> Head {
    visit(process, browser, get("/look"), ok()).0
}

fn told<'a>(head: &'a Head, name: &str) -> Option<&'a str> {
    head.fields.one(&format!("X-Session-{name}"))
}

#[test]
fn a_restart_in_order_loses_nothing() {
    let place = Place::new();
    let process = place.start();
    let (alice, guest, mover) = (process.browser(), process.browser(), process.browser());
    let login = |user: &str, patch: &str| ok().session("User", user).session("Patch", patch);
    visit(&process, &alice, post("/login"), login("alice", r#"{"cart":["a"]}"#).session("Persist", "true"));
    visit(&process, &guest, post("/keep"), ok().session("Patch", r#"{"seen":1}"#));
    visit(&process, &mover, post("/login"), login("bob", r#"{"n":1}"#));
    let before = mover.copy();
    visit(&process, &mover, post("/sudo"), ok().session("Renew", "true"));
    let ids = [&alice, &guest, &mover].map(|browser| told(&look(&process, browser), "Id").map(str::to_owned));
    process.stop();

    let process = place.start();
    process.logged("kept=4 expired=0 dropped=0");
    let [alice, guest, mover, before] = [alice, guest, mover, before].map(|browser| browser.through(process.door()));
    let heads = [&alice, &guest, &mover].map(|browser| look(&process, browser));
    assert_eq!([0, 1, 2].map(|at| told(&heads[at], "Id").map(str::to_owned)), ids);
    assert_eq!([0, 1, 2].map(|at| told(&heads[at], "User")), [Some("alice"), None, Some("bob")]);
    let data = [r#"{"cart":["a"]}"#, r#"{"seen":1}"#, r#"{"n":1}"#];
    assert_eq!([0, 1, 2].map(|at| told(&heads[at], "Data").unwrap_or_default()), data);
    let dead = look(&process, &before);
    assert_eq!((told(&dead, "User"), told(&dead, "New")), (None, Some("true")), "the ticket before renewal stays dead");
    // And it goes on as if nothing had been.
    visit(&process, &alice, post("/patch"), ok().session("Patch", r#"{"cart":["a","b"]}"#));
    process.stop();
    let process = place.start();
    assert_eq!(told(&look(&process, &alice.through(process.door())), "Data"), Some(r#"{"cart":["a","b"]}"#));
}

#[test]
fn a_session_ended_over_the_limit_stays_ended_after_a_restart() {
    let place = Place::new();
    let limited = || Process::start_in(&place.dir, &Place::setup().session("max_per_user = 1"), LOG);
    let process = limited();
    let (first, second) = (process.browser(), process.browser());
    for browser in [&first, &second] {
        visit(&process, browser, post("/login"), ok().session("User", "alice"));
    }
    process.stop();
    let process = limited();
    let users = [&first, &second].map(|browser| {
        let head = look(&process, &browser.through(process.door()));
        told(&head, "User").map(str::to_owned)
    });
    assert_eq!(users, [None, Some("alice".to_owned())]);
}

#[test]
fn a_logout_before_a_restart_stays_one() {
    let place = Place::new();
    let process = place.start();
    let (alice, revoked) = (process.browser(), process.browser());
    for browser in [&alice, &revoked] {
        visit(&process, browser, post("/login"), ok().session("User", "alice"));
    }
    process.stop();
    let process = place.start();
    let (alice, revoked) = (alice.through(process.door()), revoked.through(process.door()));
    let (stolen, id) = (alice.copy(), told(&look(&process, &revoked), "Id").map(str::to_owned));
    visit(&process, &alice, post("/logout"), ok().session("End", "this"));
    let ended = process.admin().send(request("DELETE", &format!("/sessions/{}", id.expect("an id")))).answer();
    assert_eq!(ended.text(), r#"{"revoked":1}"#);
    process.stop();

    let process = place.start();
    for browser in [stolen.through(process.door()), revoked.through(process.door())] {
        // Not only gone, but remembered: a late answer neither brings it back nor touches the browser's cookie.
        let (head, answer) = visit(&process, &browser, post("/late"), ok().session("Patch", r#"{"a":1}"#));
        assert_eq!((told(&head, "User"), told(&head, "New")), (None, Some("true")));
        assert_eq!(answer.sid(), None);
    }
}

#[test]
fn what_is_answered_while_it_stops_is_kept() {
    let place = Place::new();
    let process = place.start();
    let alice = process.browser();
    visit(&process, &alice, post("/login"), ok().session("User", "alice"));
    let pending = alice.send(post("/slow"));
    let exchange = process.backend.next();
    process.signal("TERM");
    process.logged("stopping");
    exchange.reply(ok().session("Patch", r#"{"late":true}"#));
    assert_eq!(pending.answer().status(), 200);
    assert!(process.end().0);
    let process = place.start();
    assert_eq!(told(&look(&process, &alice.through(process.door())), "Data"), Some(r#"{"late":true}"#));
}

#[test]
fn a_file_that_cannot_be_read_is_moved_aside_as_it_is() {
    type Damage = fn(&PathBuf);
    let damages: [(&str, Damage); 3] = [
        ("cut off", |file| {
            let bytes = fs::read(file).expect("the file");
            fs::write(file, &bytes[..bytes.len() / 2]).expect("a writable file");
        }),
        ("overwritten at its end", |file| {
            let mut bytes = fs::read(file).expect("the file");
            let half = bytes.len() / 2;
            bytes[half..].fill(0x5a);
            fs::write(file, bytes).expect("a writable file");
        }),
        ("something else", |file| fs::write(file, "PK\u{3}\u{4} no sessions in here").expect("a writable file")),
    ];
    for (name, damage) in damages {
        let place = Place::new();
        let process = place.start();
        let alice = process.browser();
        visit(&process, &alice, post("/login"), ok().session("User", "alice"));
        process.stop();
        damage(&place.file);
        let bytes = fs::read(&place.file).expect("the file");

        let process = place.start();
        let aside = place.aside();
        assert_eq!(aside.len(), 1, "{name}: {aside:?}");
        assert!(fs::read(&aside[0]).expect("the file") == bytes, "{name}: it was changed");
        let log = process.logged("a new one begins");
        assert_eq!(log.matches("ERROR").count(), 1, "{name}: one clear error:\n{log}");
        assert!(log.contains(&*place.file.to_string_lossy()) && log.contains(&*aside[0].to_string_lossy()), "{log}");
        visit(&process, &process.browser(), post("/login"), ok().session("User", "alice"));
        process.stop();
        let process = place.start();
        process.logged("kept=1");
        assert_eq!(place.aside(), aside, "{name}: the new one is sound");
    }
}

#[test]
fn a_file_of_a_later_version_is_left_alone() {
    let place = Place::new();
    place.start().stop();
    {
        let database = Database::create(&place.file).expect("ours");
        let writing = database.begin_write().expect("a transaction");
        let about = TableDefinition::<&str, u64>::new("session gateway");
        writing.open_table(about).expect("a table").insert("version", 99).expect("room");
        writing.commit().expect("room");
    }
    let said = place.refusal("file = \"sessions.redb\"");
    assert!(said.contains("sessions.redb is of format 99, and this version reads 1"), "{said}");
    assert!(place.file.exists() && place.aside().is_empty());
}

#[test]
fn a_database_of_somebody_elses_is_left_alone() {
    let place = Place::new();
    let theirs = TableDefinition::<u64, u64>::new("theirs");
    {
        let database = Database::create(&place.file).expect("a new one");
        let writing = database.begin_write().expect("a transaction");
        writing.open_table(theirs).expect("a table").insert(1, 2).expect("room");
        writing.commit().expect("room");
    }
    let said = place.refusal("file = \"sessions.redb\"");
    assert!(said.contains("sessions.redb is a database, and not one of sessions"), "{said}");
    assert!(place.aside().is_empty());
    let database = Database::open(&place.file).expect("it is sound");
    let table = database.begin_read().expect("a transaction").open_table(theirs).expect("their table");
    assert_eq!(table.get(1).expect("it is sound").map(|value| value.value()), Some(2));
}

#[test]
fn a_file_in_use_is_left_to_who_uses_it() {
    let place = Place::new();
    let process = place.start();
    let alice = process.browser();
    visit(&process, &alice, post("/login"), ok().session("User", "alice"));
    let said = place.refusal("file = \"sessions.redb\"");
    assert!(said.contains("sessions.redb is in use by another gateway"), "{said}");
    assert!(place.aside().is_empty());
    assert_eq!(told(&look(&process, &alice), "User"), Some("alice"));
    process.stop();
    let process = place.start();
    assert_eq!(told(&look(&process, &alice.through(process.door())), "User"), Some("alice"));
}

#[test]
fn a_file_that_the_system_denies_is_an_error_at_start() {
    let place = Place::new();
    for (file, why) in [
        ("missing/sessions.redb", "No such file or directory"),
        (".", "Is a directory"),
        // Nobody can make a file there, not even root, who may run this test.
        ("/sys/sessions.redb", "cannot be used"),
        ("/dev/null", "not a regular file"),
    ] {
        let said = place.refusal(&format!("file = {file:?}"));
        assert!(
            said.contains("the session file") && said.contains(file.trim_matches('.')) && said.contains(why),
            "{said}"
        );
        assert!(place.aside().is_empty());
    }
}

/// A limit on the size of its files does to a process what a full disk does, and can be taken back.
fn limit_files(process: &Process, bytes: &str) {
    let id = process.id().to_string();
    let done =
        std::process::Command::new("prlimit").args(["--pid", &id, &format!("--fsize={bytes}:unlimited")]).status();
    assert!(done.is_ok_and(|status| status.success()), "prlimit");
}

#[test]
fn sessions_go_on_while_the_disk_is_full_and_are_all_written_then() {
    let place = Place::new();
    let setup = Site::build().store("file = \"sessions.redb\"\nsync = \"100ms\"");
    let process = Process::start_in(&place.dir, &setup, LOG);
    let ended = process.browser();
    visit(&process, &ended, post("/login"), ok().session("User", "mallory"));
    let stolen = ended.copy();
    limit_files(&process, "65536");
    let filling = "x".repeat(4000);
    let users: Vec<(String, Browser)> = (0..30).map(|user| (format!("user-{user}"), process.browser())).collect();
    for (user, browser) in &users {
        let patch = format!(r#"{{"filling":"{filling}"}}"#);
        let (_, answer) = visit(&process, browser, post("/login"), ok().session("User", user).session("Patch", &patch));
        assert_eq!(answer.status(), 200);
    }
    let log = process.logged("cannot be written");
    assert!(log.contains("sessions.redb"), "{log}");
    visit(&process, &ended, post("/logout"), ok().session("End", "this"));
    for (user, browser) in &users {
        assert_eq!(told(&look(&process, browser), "User"), Some(user.as_str()));
    }
    let metrics = process.admin().send(get("/metrics")).answer().text();
    assert!(!metrics.contains("session_gateway_store_file_failures_total 0\n"), "{metrics}");
    assert!(!metrics.contains("session_gateway_store_file_waiting 0\n"), "{metrics}");
    limit_files(&process, "unlimited");
    let log = process.logged("is written again");
    assert_eq!(log.matches("cannot be written").count(), 1, "told once, and not in every turn:\n{log}");
    process.kill();

    let process = Process::start_in(&place.dir, &setup, LOG);
    for (user, browser) in &users {
        assert_eq!(told(&look(&process, &browser.through(process.door())), "User"), Some(user.as_str()));
    }
    assert_eq!(told(&look(&process, &stolen.through(process.door())), "User"), None);
}

#[test]
fn a_file_that_is_taken_away_is_written_anew() {
    let place = Place::new();
    let setup = Site::build().store("file = \"sessions.redb\"\nsync = \"100ms\"");
    let process = Process::start_in(&place.dir, &setup, LOG);
    let (alice, bob) = (process.browser(), process.browser());
    visit(&process, &alice, post("/login"), ok().session("User", "alice"));
    fs::rename(&place.file, place.dir.path().join("elsewhere")).expect("a directory of ours");
    process.logged("it is no longer there");
    visit(&process, &bob, post("/login"), ok().session("User", "bob"));
    process.logged("is written again");
    process.stop();
    let process = Process::start_in(&place.dir, &setup, LOG);
    for (user, browser) in [("alice", alice), ("bob", bob)] {
        assert_eq!(told(&look(&process, &browser.through(process.door())), "User"), Some(user));
    }
}
