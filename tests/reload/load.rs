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
/// So many of them over HTTP/2, and as many over TLS.
const OF_EACH: usize = 50;
const RELOADS: usize = 20;

#[derive(Default)]
struct Client {
    rounds: AtomicU64,
}

/// What a client was answered.
struct Seen {
    user: Option<String>,
    data: Option<String>,
}

/// Logs in, then writes and reads in its session. It never tries again: every request has to be answered, and every
/// answer to be right.
fn visit(name: &str, client: &Client, stop: &AtomicBool, mut ask: impl FnMut(Request) -> Seen) {
    ask(post("/login").ask("User", name));
    while !stop.load(Ordering::SeqCst) {
        let round = client.rounds.load(Ordering::SeqCst) + 1;
        ask(post("/count").ask("Patch", &format!("{{\"count\":{round}}}")));
        let seen = ask(get("/look"));
        assert_eq!(seen.user.as_deref(), Some(name));
        assert_eq!(seen.data, Some(format!("{{\"count\":{round}}}")), "{name}");
        client.rounds.store(round, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(100));
    }
}

/// On one connection for as long as that is kept, and on the next from then on.
fn visit_on(door: &Door, name: &str, client: &Client, stop: &AtomicBool) {
    let browser = Browser::new(door.clone(), "localhost");
    let mut connection = browser.connect();
    visit(name, client, stop, |request| {
        connection.send(&request);
        let answer = connection.next_answer();
        assert_eq!(answer.status(), 200, "{name}: {}", answer.text_head());
        if answer.header("Connection") == Some("close") {
            connection = browser.connect();
        }
        Seen { user: answer.saw("User").map(str::to_owned), data: answer.saw("Data").map(str::to_owned) }
    });
}

/// On one connection all the time.
fn visit_over_http2(door: &Door, name: &str, client: &Client, stop: &AtomicBool) {
    let connection = Http2::open(door);
    let mut cookie = String::new();
    visit(name, client, stop, |request| {
        let (method, target, mut fields) = request.parts();
        fields.push(("cookie", &cookie));
        let answer = connection.send(method, target, &fields).answer();
        assert_eq!(answer.status, 200, "{name}: {:?}", answer.headers);
        if let Some(set) = answer.all("set-cookie").first() {
            set.split(';').next().unwrap().clone_into(&mut cookie);
        }
        let saw = |what: &str| answer.all(what).first().map(|value| (*value).to_owned());
        Seen { user: saw("saw-user"), data: saw("saw-data") }
    });
}

/// Clients that come by one way.
struct Crowd {
    clients: Vec<Arc<Client>>,
    threads: Vec<thread::JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Crowd {
    fn come(count: usize, way: &str, door: &Door, visit: fn(&Door, &str, &Client, &AtomicBool)) -> Self {
        let clients: Vec<_> = (0..count).map(|_| Arc::<Client>::default()).collect();
        let stop = Arc::<AtomicBool>::default();
        let spawn = |(number, client): (usize, &Arc<Client>)| {
            let (door, client, stop) = (door.clone(), Arc::clone(client), Arc::clone(&stop));
            let name = format!("{way}-{number}");
            thread::spawn(move || visit(&door, &name, &client, &stop))
        };
        let threads = clients.iter().enumerate().map(spawn).collect();
        Self { clients, threads, stop }
    }

    fn nobody_was_wronged(&self) {
        assert!(!self.threads.iter().any(thread::JoinHandle::is_finished), "a client was wronged: see above");
    }

    fn all_go_on(&self) {
        let rounds = || self.clients.iter().map(|client| client.rounds.load(Ordering::SeqCst));
        let before: Vec<_> = rounds().collect();
        eventually_within(Duration::from_mins(1), "every client has been served again", || {
            self.nobody_was_wronged();
            rounds().zip(&before).all(|(now, before)| now > *before).then_some(())
        });
    }

    fn leave(self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().expect("a client was wronged: see above");
        }
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
    let secure = process.https();
    let clear = Crowd::come(CLIENTS - 2 * OF_EACH, "clear", &process.door(), visit_on);
    let tls = Crowd::come(OF_EACH, "tls", &secure, visit_on);
    let http2 = Crowd::come(OF_EACH, "http2", &secure, visit_over_http2);
    let crowds = [&clear, &tls, &http2];
    for crowd in crowds {
        crowd.all_go_on();
    }
    for count in 0..RELOADS {
        let marked = |count: usize| format!("[session]\nmax_data = \"{}KiB\"\n", 64 + count);
        let before = if count == 0 { "[session]\n".to_owned() } else { marked(count - 1) };
        reload(&process, |text| replaced(&text, &before, &marked(count)));
        for crowd in crowds {
            crowd.nobody_was_wronged();
        }
    }
    for crowd in crowds {
        crowd.all_go_on();
    }
    // Their socket is the gateway's own, and goes with it.
    tls.leave();
    http2.leave();
    let said = process.stop();
    assert_eq!(said.matches("was read again").count(), RELOADS, "{said}");
    let process = start();
    clear.all_go_on();
    clear.leave();
    assert_eq!(metric(&process, "sessions_live"), CLIENTS as u64);
    assert_eq!(metric(&process, "sessions_born_total{reason=\"login\"}"), 0, "all of them from before the restart");
}
