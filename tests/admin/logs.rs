//! The logs, as the binary writes them.

use serde_json::{Value, json};

use super::support::*;

#[test]
fn every_request_is_one_access_line() {
    let process = Process::start(&Site::build(), "access = \"json\"");
    let browser = process.browser();
    let pending = browser.send(get("/first?token=query-secret"));
    process.backend.next().reply(ok());
    pending.answer();
    let pending = browser.send(post("/second\"quoted"));
    process.backend.next().reply(status("404 Not Found"));
    pending.answer();
    browser.send(get("/../climb")).answer();
    let lines = process.access_lines(3);
    assert_eq!(lines.len(), 3, "{lines:?}");
    let mut parsed: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect("a JSON object")).collect();
    parsed.sort_by_key(|line| line["status"].as_u64());
    let summary: Vec<_> = parsed.iter().map(|line| (line["method"].clone(), line["status"].clone())).collect();
    assert_eq!(summary, [(json!("GET"), json!(200)), (json!("GET"), json!(400)), (json!("POST"), json!(404))]);
    assert_eq!(parsed[0]["path"], json!("/first"));
    assert_eq!(parsed[0]["bytes"], json!("the backend's body".len()));
    assert!(!lines.concat().contains("query-secret"), "{lines:?}");
}

#[test]
fn access_lines_can_be_text() {
    let process = Process::start(&Site::build(), "access = \"text\"");
    let pending = process.browser().send(get("/first"));
    process.backend.next().reply(ok());
    pending.answer();
    let lines = process.access_lines(1);
    assert!(
        lines[0].contains("127.0.0.1") && lines[0].contains("GET /first HTTP/1.1") && lines[0].contains(" 200 "),
        "{lines:?}"
    );
}

#[test]
fn a_malformed_answer_is_logged_with_its_upstream_and_what_was_wrong() {
    let process = Process::start(&Site::build(), "access = \"off\"");
    let pending = process.browser().send(get("/"));
    process.backend.next().reply(ok().session("Patch", "{\"private\": oops}"));
    let answer = pending.answer();
    assert_eq!(answer.status(), 502);
    let log = process.logged("malformed").to_ascii_lowercase();
    let line = log.lines().find(|line| line.contains("x-session-patch")).expect("found").to_owned();
    assert!(line.contains("app"), "which upstream: {line}");
    assert!(line.contains("json"), "what was wrong: {line}");
    assert!(!log.contains("private") && !log.contains("oops"), "but no session data: {line}");
}

#[test]
fn a_signal_stops_it_in_order() {
    let process = Process::start(&Site::build(), "access = \"json\"");
    let pending = process.browser().send(get("/slow"));
    let held = process.backend.next();
    process.signal("TERM");
    process.logged("stopping");
    held.reply(ok());
    assert_eq!(pending.answer().status(), 200);
    let (success, printed) = process.end();
    assert!(success, "{printed}");
    assert!(printed.contains("/slow"), "the last access line is written: {printed}");
}
