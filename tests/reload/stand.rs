//! A gateway whose file is changed under it.

use std::fs;

use super::support::*;

/// The gateway's file, changed.
pub(super) fn edit(process: &Process, change: impl FnOnce(String) -> String) {
    let file = process.dir.path().join("gateway.toml");
    fs::write(&file, change(fs::read_to_string(&file).unwrap())).unwrap();
}

/// `text` with one thing in the place of another, which must be there.
pub(super) fn replaced(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "no {old:?} in:\n{text}");
    text.replace(old, new)
}

/// Changes the file, and has it read; returns when all requests go by it.
pub(super) fn reload(process: &Process, change: impl FnOnce(String) -> String) {
    edit(process, change);
    read_again(process, "success");
}

/// The same with a file that is wrong; what is logged.
pub(super) fn refused(process: &Process, change: impl FnOnce(String) -> String) -> String {
    edit(process, change);
    read_again(process, "failure");
    process.logged("the configuration stays as it was")
}

/// Has the file read as it is.
pub(super) fn read_again(process: &Process, outcome: &str) {
    let count = || metric(process, &format!("config_reloads_total{{outcome=\"{outcome}\"}}"));
    let before = count();
    process.signal("HUP");
    eventually("the file is read again", || (count() > before).then_some(()));
}

/// Everything that the gateway counts.
pub(super) fn metrics(process: &Process) -> String {
    let answer = process.admin().send(get("/metrics")).answer();
    assert_eq!(answer.status(), 200);
    answer.text()
}

/// One sample, by its name after the prefix, with its labels.
pub(super) fn metric(process: &Process, sample: &str) -> u64 {
    sample_in(&metrics(process), sample).unwrap_or_else(|| panic!("no sample {sample}"))
}

pub(super) fn sample_in(text: &str, sample: &str) -> Option<u64> {
    let start = format!("session_gateway_{sample} ");
    text.lines().find_map(|line| line.strip_prefix(&start)).map(|value| value.parse().unwrap())
}

/// One whole exchange with the process' own backend.
pub(super) fn visit(process: &Process, browser: &Browser, request: Request, reply: Reply) -> (Seen, Answer) {
    visit_at(&process.backend, browser, request, reply)
}

/// The same with another backend.
pub(super) fn visit_at(backend: &Backend, browser: &Browser, request: Request, reply: Reply) -> (Seen, Answer) {
    let pending = browser.send(request);
    let exchange = backend.next();
    let seen = Seen { head: exchange.head.clone() };
    exchange.reply(reply);
    (seen, pending.answer())
}

/// A visitor who has logged in.
pub(super) fn login(process: &Process, user: &str) -> Browser {
    let browser = process.browser();
    let (_, answer) = visit(process, &browser, post("/login"), ok().session("User", user));
    assert_eq!(answer.status(), 200);
    browser
}

/// Who the backend is told that this visitor is.
pub(super) fn user(process: &Process, browser: &Browser) -> Option<String> {
    visit(process, browser, get("/look"), ok()).0.user().map(str::to_owned)
}
