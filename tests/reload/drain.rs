//! How it goes: what is under way ends, and nothing is promised that is not kept.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use super::stand::*;
use super::support::*;

const QUIET: &str = "access = \"off\"";

fn start(listen: &str) -> Process {
    Process::start(&Site::build().listen(listen), QUIET)
}

/// Has the file read again, with a key that is a pipe, as it is named there: whoever reads it waits for more until the
/// writer is dropped.
fn reload_that_hangs(process: &Process) -> (String, fs::File) {
    let pipe = process.dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let key = format!("\"{}\", ", pipe.display());
    edit(process, |text| replaced(&text, "keys = [", &format!("keys = [{key}")));
    process.signal("HUP");
    // Opened once somebody reads it.
    let writer = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    (key, writer)
}

/// Whether it has begun to stop.
fn stops(process: &Process) {
    process.signal("TERM");
    process.logged("stopping:");
}

#[test]
fn file_that_is_read_again_without_end_keeps_it_neither_from_serving_nor_from_stopping() {
    let process = start("");
    let (_, hangs) = reload_that_hangs(&process);
    assert_eq!(visit(&process, &process.browser(), get("/"), ok()).1.status(), 200);
    assert!(process.stop().contains("stopping"));
    drop(hangs);
}

#[test]
fn file_that_is_read_again_without_end_is_given_up_and_the_next_reload_is_like_any() {
    let process = start("");
    let (key, hangs) = reload_that_hangs(&process);
    // Longer than anything else here is waited for.
    std::thread::sleep(Duration::from_secs(8));
    process.logged("the configuration stays as it was: reading it and its files took longer than 10 s");
    edit(&process, |text| replaced(&text, &key, ""));
    process.signal("HUP");
    process.logged("was read again");
    drop(hangs);
}

#[test]
fn websockets_are_closed_with_1001_between_two_frames_and_events_end() {
    let process = start("");
    let handshake = get("/socket").with("Connection", "Upgrade").with("Upgrade", "websocket");
    let mut client = process.browser().send(handshake);
    let mut server = process.backend.next();
    server.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    client.switched();
    // Half of a frame is on its way.
    server.write(b"\x82\x0ahalf ");
    client.until(b"half ");
    let mut events = process.browser().send(get("/events"));
    let mut source = process.backend.next();
    source.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n");
    events.until(b"data: one\n\n");
    let began = Instant::now();
    stops(&process);
    server.write(b"and a");
    client.until(b"and a\x88\x13\x03\xe9the gateway stops");
    assert!(client.is_closed() && server.is_given_up());
    // A whole answer.
    events.until(b"0\r\n\r\n");
    assert!(source.is_given_up());
    let (succeeded, said) = process.end();
    assert!(succeeded, "{said}");
    assert!(began.elapsed() < PATIENCE, "it has waited for nobody");
}

#[test]
fn requests_under_way_are_answered_and_so_is_one_more_on_each_connection() {
    let process = start("");
    let answered_last = |answer: Answer| {
        assert_eq!((answer.status(), answer.header("Connection")), (200, Some("close")), "{}", answer.text_head());
    };
    // One that is waited for, one that has been used, and one that has said nothing yet.
    let mut working = process.browser().send(get("/slow"));
    let slow = process.backend.next();
    let mut idle = process.browser().connect();
    idle.send(&get("/first"));
    process.backend.next().reply(ok());
    assert_eq!(idle.next_answer().header("Connection"), None);
    let mut fresh = process.browser().connect();
    // Behind it in the queue: it is accepted.
    visit(&process, &process.browser(), get("/"), ok());
    stops(&process);
    eventually("nobody listens any more", || TcpStream::connect(process.door().address).is_err().then_some(()));
    idle.send(&get("/last"));
    process.backend.next().reply(ok());
    answered_last(idle.next_answer());
    fresh.send(&get("/only"));
    process.backend.next().reply(ok());
    answered_last(fresh.next_answer());
    slow.reply(ok());
    answered_last(working.next_answer());
    assert!(idle.is_closed() && fresh.is_closed() && working.is_closed());
    assert!(process.end().0);
}

#[test]
fn what_takes_longer_than_the_deadline_is_cut() {
    let process = start("drain_timeout = \"1500ms\"\n");
    let mut client = process.browser().send(get("/slow"));
    let mut exchange = process.backend.next();
    let began = Instant::now();
    stops(&process);
    assert!(client.is_closed() && exchange.is_given_up());
    let took = began.elapsed();
    assert!((Duration::from_millis(1500)..PATIENCE).contains(&took), "{took:?}");
    assert!(process.end().0);
}

#[test]
fn second_signal_does_not_wait() {
    let process = start("drain_timeout = \"10m\"\n");
    let mut client = process.browser().send(get("/slow"));
    let _exchange = process.backend.next();
    stops(&process);
    process.signal("TERM");
    let (succeeded, _) = process.end();
    assert!(!succeeded, "it says that it has not ended in order");
    assert!(client.is_closed());
}

#[test]
fn load_balancers_are_told_before_anything_else_changes() {
    let process = start("drain_delay = \"1h\"\n");
    let ready = || process.admin().send(get("/readyz")).answer().status();
    assert_eq!(ready(), 200);
    stops(&process);
    eventually("it is not ready", || (ready() == 503).then_some(()));
    let (_, answer) = visit(&process, &process.browser(), get("/"), ok());
    assert_eq!((answer.status(), answer.header("Connection")), (200, None), "served as before");
    process.kill();
}

#[test]
fn login_of_a_last_answer_is_there_after_a_restart() {
    let setup = Site::build().store("file = \"sessions.redb\"\n");
    let process = Process::start(&setup, QUIET);
    let browser = process.browser();
    let pending = browser.send(post("/login"));
    let exchange = process.backend.next();
    stops(&process);
    exchange.reply(ok().session("User", "ada"));
    assert_eq!(pending.answer().status(), 200);
    let dir = std::sync::Arc::clone(&process.dir);
    assert!(process.end().0);
    let process = Process::start_in(&dir, &setup, QUIET);
    assert_eq!(user(&process, &browser.through(process.door())).as_deref(), Some("ada"));
}

#[test]
fn idle_connections_do_not_hold_it_up() {
    let process = start("drain_timeout = \"10m\"\n");
    let mut silent: Vec<_> = (0..4).map(|_| process.browser().connect()).collect();
    visit(&process, &process.browser(), get("/"), ok());
    let began = Instant::now();
    stops(&process);
    assert!(silent.iter_mut().all(Pending::is_closed));
    assert!(process.end().0 && began.elapsed() < Duration::from_secs(4));
}

#[test]
fn refusal_of_an_upload_reaches_its_client_in_the_middle_of_it() {
    let process = start("workers = 1\ndrain_timeout = \"10m\"\n");
    let mut client = TcpStream::connect(process.door().address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nbegun").unwrap();
    let mut exchange = process.backend.next();
    let mut idle = process.browser().connect();
    stops(&process);
    assert!(idle.is_closed(), "now all are told to close");
    exchange.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\n\r\ntoo large");
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.ends_with("too large"), "{answer}");
    for _ in 0..5 {
        // A connection that was closed is reset by the first of these.
        client.write_all(b"more").expect("what it still sends is taken");
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(client);
    assert!(process.end().0);
}
