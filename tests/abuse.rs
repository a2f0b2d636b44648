//! What attackers do, against the binary as it comes: every one is ended within ten seconds, or told to go after half a
//! megabyte; memory stays as it is, and another client beside them is served as ever.

#[path = "abuse/bystander.rs"]
mod bystander;
#[path = "abuse/floods.rs"]
mod floods;
#[path = "hygiene/frames.rs"]
#[allow(dead_code)]
mod frames;
#[path = "abuse/slow.rs"]
mod slow;
#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bystander::Bystander;
use support::http2::Http2;
use support::wire::{Wire, chunk};
use support::{Process, Site};

/// Within this time an attacker is ended.
const TEN_SECONDS: Duration = Duration::from_secs(10);
/// Nobody is ended sooner for being slow: each of the timeouts that end them is 8 s.
const NOT_AT_ONCE: Duration = Duration::from_millis(7500);
/// So much an attacker may have sent before.
const HALF_A_MEGABYTE: usize = 512 * 1024;
/// What the backend sends at once.
const PIECE: usize = 16 * 1024;
/// How many attackers there are of each kind.
const EACH: usize = 20;

/// How much comes at once of a stream of events.
const BURST: usize = 2 << 20;

/// The binary with the settings that it comes with, in front of a backend that answers at once: below `/big` with more
/// than any buffers hold, below `/events` with an answer that has no end.
fn gateway() -> Process {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let server = format!("http://{}", listener.local_addr().expect("a bound address"));
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let wire = Wire::new(stream.try_clone().expect("a descriptor to spare"), stream);
            thread::spawn(move || answer(wire));
        }
    });
    Process::start(&Site::build().servers(&[&server]), "access = \"off\"")
}

/// How many answers there have been.
static ANSWERS: AtomicUsize = AtomicUsize::new(0);

fn answer(mut wire: Wire) {
    wire.set_patience(None);
    while let Ok(Some(head)) = wire.head() {
        if !wire.body(head.request_body()).is_ok_and(|body| body.complete) {
            return;
        }
        if head.start.contains("/events") {
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            if !wire.send(&[&head[..], &chunk(&vec![b'x'; BURST])].concat()) {
                return;
            }
            continue;
        }
        let mut left = if head.start.contains("/big") { 32 << 20 } else { 2 };
        let number = ANSWERS.fetch_add(1, Ordering::Relaxed);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {left}\r\nX-Number: {number}\r\n\r\n");
        // In one piece with it where it is small: of two, the second would wait until the first is acknowledged, 40 ms
        // each time.
        let mut piece = head.into_bytes();
        loop {
            let more = left.min(PIECE);
            piece.extend_from_slice(&[b'x'; PIECE][..more]);
            if !wire.send(&piece) {
                return;
            }
            left -= more;
            if left == 0 {
                break;
            }
            piece.clear();
        }
    }
}

/// One test at a time: what each measures is not to be the others' doing.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many bytes of memory the process has.
fn memory(process: &Process) -> usize {
    let statm = fs::read_to_string(format!("/proc/{}/statm", process.id())).expect("a running process");
    let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("resident pages");
    pages * 4096
}

#[test]
fn what_is_slow_is_ended_within_ten_seconds() {
    let _alone = alone();
    let process = gateway();
    let (http, https) = (process.door(), process.https());
    // What it needs anyway is there once every way has been gone.
    Bystander::measure(&https, Duration::from_millis(500));
    let alone = Bystander::measure(&http, Duration::from_secs(1));
    let (mut attackers, mut costs) = (Vec::new(), Vec::new());
    for (name, attack) in slow::ATTACKS {
        let before = memory(&process);
        for _ in 0..EACH {
            let (http, https) = (http.clone(), https.clone());
            attackers.push(thread::spawn(move || (*name, attack(&http, &https))));
        }
        // All kinds are there before the first of them is ended.
        thread::sleep(Duration::from_millis(250));
        costs.push((*name, memory(&process).saturating_sub(before) / EACH));
    }
    let beside = Bystander::measure(&http, Duration::from_secs(3));
    let (mut untimely, mut count) = (Vec::new(), 0);
    for attacker in attackers {
        let (name, took) = attacker.join().unwrap_or(("an attacker that panicked", Duration::MAX));
        count += 1;
        if !(NOT_AT_ONCE..=TEN_SECONDS).contains(&took) {
            untimely.push(format!("{name}: {took:?}"));
        }
    }
    assert!(count >= 10 * EACH, "{count} attackers");
    assert!(untimely.is_empty(), "not ended in their time:\n{}", untimely.join("\n"));
    beside.assert_as_good_as(&alone.or(Bystander::measure(&http, Duration::from_secs(1))));
    for (name, each) in costs {
        // Who takes nothing of an answer holds what the buffers hold, on the way from the backend and to the client.
        let most = if name == "reads nothing" { 1536 * 1024 } else { 384 * 1024 };
        assert!(each < most, "{name}: each costs {each} bytes");
    }
}

#[test]
fn floods_are_told_to_go_after_half_a_megabyte() {
    let _alone = alone();
    let process = gateway();
    let (http, https) = (process.door(), process.https());
    let flood = |times: usize| {
        for (name, least, flood) in floods::FLOODS {
            for _ in 0..times {
                let start = Instant::now();
                let told = flood(&http, &https);
                assert!(start.elapsed() < TEN_SECONDS, "{name}: not ended within {:?}", start.elapsed());
                assert!(told.sent <= HALF_A_MEGABYTE, "{name}: {told:?}");
                assert!(told.sent >= *least, "{name}: {told:?} is no flood yet");
                let is_http2 = *name != "a megabyte of headers";
                assert_eq!(told.code.is_some_and(|code| code != 0), is_http2, "{name}: {told:?}, and not why");
            }
        }
    };
    // Once to fill what is filled once.
    flood(2);
    let before = memory(&process);
    flood(4);
    let grown = memory(&process).saturating_sub(before);
    assert!(grown < 8 << 20, "memory has grown by {grown} bytes");
}

/// HTTP/2 remembers header values to say them shorter the next time: not the buffers that they came in.
#[test]
fn what_http2_remembers_of_answers_takes_no_more_than_their_headers() {
    const CONNECTIONS: usize = 20;
    const REQUESTS: usize = 80;
    let _alone = alone();
    let process = gateway();
    let connections: Vec<_> = (0..CONNECTIONS).map(|_| Http2::open(&process.https())).collect();
    let ask_all = || {
        for connection in &connections {
            assert_eq!(connection.send("GET", "/", &[]).answer().status, 200);
        }
    };
    ask_all();
    let before = memory(&process);
    for _ in 0..REQUESTS {
        ask_all();
    }
    let each = memory(&process).saturating_sub(before) / CONNECTIONS;
    // 80 buffers of 8 KiB, of which the last 60 or so would be remembered.
    assert!(each < 64 * 1024, "each connection keeps {each} bytes of what it was answered");
}

/// An application may say much once, and little for hours.
#[test]
fn a_stream_of_events_keeps_nothing_of_a_burst() {
    const CONNECTIONS: usize = 100;
    const MOST: usize = 128 * 1024;
    let _alone = alone();
    let process = gateway();
    let listen = || {
        let mut wire = process.door().open();
        assert!(wire.send(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let head = wire.head().expect("an answer").expect("a head");
        assert_eq!(head.status(), 200);
        let mut left = BURST;
        while left > 0 {
            let size = wire.until(b"\r\n").expect("a chunk").expect("its size");
            let size = str::from_utf8(&size).ok().and_then(|size| usize::from_str_radix(size.trim_end(), 16).ok());
            let size = size.expect("a number");
            wire.exactly(size + 2).expect("what it says").expect("all of it");
            left -= size;
        }
        wire
    };
    // What it needs anyway is there once.
    let first: Vec<_> = (0..10).map(|_| listen()).collect();
    let before = memory(&process);
    let others: Vec<_> = (0..CONNECTIONS).map(|_| listen()).collect();
    let each = || memory(&process).saturating_sub(before) / CONNECTIONS;
    // The system gets back what is given back some time later.
    let start = Instant::now();
    while each() > MOST && start.elapsed() < Duration::from_secs(5) {
        thread::sleep(Duration::from_millis(50));
    }
    let each = each();
    assert!(each < MOST, "each stream keeps {each} bytes of what has passed");
    drop((first, others));
}

#[test]
fn another_client_beside_floods_is_served_as_ever() {
    let _alone = alone();
    let process = gateway();
    let (http, https) = (process.door(), process.https());
    Bystander::measure(&http, Duration::from_millis(500));
    let alone = Bystander::measure(&http, Duration::from_secs(1));
    let until = Instant::now() + Duration::from_secs(4);
    let attackers: Vec<_> = floods::FLOODS
        .iter()
        .map(|(_, _, flood)| {
            let (http, https) = (http.clone(), https.clone());
            thread::spawn(move || {
                while Instant::now() < until {
                    flood(&http, &https);
                    // An attacker who shares this machine's cores should not starve the client that is measured.
                    thread::sleep(Duration::from_millis(100));
                }
            })
        })
        .collect();
    let beside = Bystander::measure(&http, Duration::from_secs(3));
    for attacker in attackers {
        attacker.join().expect("no attacker fails");
    }
    beside.assert_as_good_as(&alone.or(Bystander::measure(&http, Duration::from_secs(1))));
}
