//! Reload, drain and restart while two hundred clients do not stop.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::stand::*;
use super::support::browser::Door;
use super::support::*;

const CLIENTS: usize = 200;
const RELOADS: usize = 20;

#[derive(Default)]
struct Client {
    rounds: AtomicU64,
}

/// Logs in, then writes and reads in its session on one connection for as long as that is kept, and on the next from then on.
/// It never tries again: every request has to be answered, and every answer to be right.
fn visit_on(door: &Door, name: &str, client: &Client, stop: &AtomicBool) {
    let browser = Browser::new(door.clone(), "localhost");
    let mut connection = browser.connect();
    let mut ask = |request: Request| {
        connection.send(&request);
        let answer = connection.next_answer();
        assert_eq!(answer.status(), 200, "{name}: {}", answer.text_head());
        if answer.header("Connection") == Some("close") {
            connection = browser.connect();
        }
        answer
    };
    ask(post("/login").ask("User", name));
    while !stop.load(Ordering::SeqCst) {
        let round = client.rounds.load(Ordering::SeqCst) + 1;
        ask(post("/count").ask("Patch", &format!("{{\"count\":{round}}}")));
        let seen = ask(get("/look"));
        assert_eq!(seen.saw("User"), Some(name), "{}", seen.text_head());
        assert_eq!(seen.saw("Data"), Some(format!("{{\"count\":{round}}}").as_str()), "{name}");
        client.rounds.store(round, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn two_hundred_clients_twenty_reloads_and_a_restart_fail_no_request_and_lose_no_session() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let mirror = Mirror::start();
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let setup = Site::build().servers(&[mirror.server()]).store("file = \"sessions.redb\"\n");
    let start = || Process::start_on(&dir, &setup, "access = \"off\"", (&socket, "http"), "");
    let process = start();
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS).map(|_| Arc::<Client>::default()).collect();
    let spawn = |(number, client): (usize, &Arc<Client>)| {
        let (door, client, stop) = (process.door(), Arc::clone(client), Arc::clone(&stop));
        thread::spawn(move || visit_on(&door, &format!("visitor-{number}"), &client, &stop))
    };
    let threads: Vec<_> = clients.iter().enumerate().map(spawn).collect();
    let wronged = || threads.iter().any(thread::JoinHandle::is_finished);
    let all_go_on = || {
        let rounds = || clients.iter().map(|client| client.rounds.load(Ordering::SeqCst));
        let before: Vec<_> = rounds().collect();
        eventually_within(Duration::from_mins(1), "every client has been served again", || {
            assert!(!wronged(), "a client was wronged: see above");
            rounds().zip(&before).all(|(now, before)| now > *before).then_some(())
        });
    };
    all_go_on();
    for count in 0..RELOADS {
        let marked = |count: usize| format!("[session]\nmax_data = \"{}KiB\"\n", 64 + count);
        let before = if count == 0 { "[session]\n".to_owned() } else { marked(count - 1) };
        reload(&process, |text| replaced(&text, &before, &marked(count)));
        assert!(!wronged(), "a client was wronged: see above");
    }
    all_go_on();
    let said = process.stop();
    assert_eq!(said.matches("was read again").count(), RELOADS, "{said}");
    let process = start();
    all_go_on();
    stop.store(true, Ordering::SeqCst);
    for thread in threads {
        thread.join().expect("a client was wronged: see above");
    }
    assert_eq!(metric(&process, "sessions_live"), CLIENTS as u64);
    assert_eq!(metric(&process, "sessions_born_total{reason=\"login\"}"), 0, "all of them from before the restart");
}
