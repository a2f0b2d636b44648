//! Health checks: whoever fails them is asked no more, and comes back with them.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::support::wire::Wire;
use crate::support::*;

/// A server that is asked about its health, and says what the test wants it to.
struct Patient {
    server: String,
    well: Arc<AtomicBool>,
    checks: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

impl Patient {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let this = Self { server, well: Arc::new(true.into()), checks: Arc::default(), requests: Arc::default() };
        let (well, checks, requests) = (Arc::clone(&this.well), Arc::clone(&this.checks), Arc::clone(&this.requests));
        thread::spawn(move || {
            for socket in listener.incoming() {
                let socket = socket.unwrap();
                let (well, checks, requests) = (Arc::clone(&well), Arc::clone(&checks), Arc::clone(&requests));
                thread::spawn(move || {
                    let mut wire = Wire::new(socket.try_clone().unwrap(), socket);
                    while let Ok(Some(head)) = wire.head() {
                        let is_check = head.start.starts_with("GET /healthz ");
                        let sick = is_check && !well.load(Ordering::SeqCst);
                        if is_check { &checks } else { &requests }.fetch_add(1, Ordering::SeqCst);
                        let status = if sick { "500 Sick" } else { "200 OK" };
                        wire.send(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes());
                    }
                });
            }
        });
        this
    }

    fn set(&self, well: bool) {
        self.well.store(well, Ordering::SeqCst);
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    fn checks(&self) -> usize {
        self.checks.load(Ordering::SeqCst)
    }

    /// Waits until the gateway says so of it.
    fn until_up(&self, site: &Site, up: bool) {
        eventually("the gateway has noticed", || {
            let labels = [("upstream", "app"), ("server", self.server.as_str())];
            (site.metric("session_gateway_upstream_server_up", &labels) == u64::from(up)).then_some(())
        });
    }
}

const OFTEN: &str = "health = { path = \"/healthz\", interval = \"20ms\", rise = 2, fall = 2 }";
const ONCE: &str = "health = { path = \"/healthz?from=gateway\", interval = \"1h\" }";

fn site(patients: &[&Patient]) -> Site {
    let servers: Vec<_> = patients.iter().map(|patient| patient.server.as_str()).collect();
    Site::build().servers(&servers).upstream(OFTEN).start()
}

fn visit(site: &Site, count: usize) {
    for _ in 0..count {
        assert_eq!(site.plain().send(get("/")).answer().status(), 200);
    }
}

#[test]
fn a_server_that_fails_its_checks_is_taken_out_and_comes_back() {
    let (first, second) = (Patient::new(), Patient::new());
    let site = site(&[&first, &second]);
    visit(&site, 8);
    assert!(first.requests() > 0 && second.requests() > 0);
    first.set(false);
    first.until_up(&site, false);
    let before = first.requests();
    visit(&site, 8);
    assert_eq!(first.requests(), before, "no request goes to it");
    first.set(true);
    first.until_up(&site, true);
    visit(&site, 8);
    assert!(first.requests() > before);
}

#[test]
fn one_bad_answer_is_not_enough() {
    let patient = Patient::new();
    let lines = "health = { path = \"/healthz\", interval = \"20ms\", fall = 1000 }";
    let site = Site::build().servers(&[&patient.server]).upstream(lines).start();
    patient.set(false);
    let before = patient.checks();
    eventually("it has failed several checks", || (patient.checks() > before + 3).then_some(()));
    visit(&site, 2);
}

#[test]
fn where_no_server_passes_its_checks_requests_are_refused_at_once() {
    let (first, second) = (Patient::new(), Patient::new());
    let site = site(&[&first, &second]);
    first.set(false);
    second.set(false);
    first.until_up(&site, false);
    second.until_up(&site, false);
    let (before, answer) = ((first.requests(), second.requests()), site.plain().send(get("/")).answer());
    assert_eq!((answer.status(), answer.header("retry-after")), (503, Some("5")));
    assert_eq!((first.requests(), second.requests()), before);
    second.set(true);
    second.until_up(&site, true);
    visit(&site, 3);
}

#[test]
fn a_check_asks_with_a_host_and_says_nothing_of_sessions() {
    let site = Site::build().upstream(ONCE).start();
    let check = site.backend.next();
    assert_eq!((check.method(), check.target()), ("GET", "/healthz?from=gateway"));
    assert_eq!(check.header("host"), site.backend.server().strip_prefix("http://"));
    assert_eq!(check.session_names(), Vec::<&str>::new());
    assert_eq!(check.header("cookie"), None);
    check.reply(status("302 Found"));
    site.look(&site.browser());
}

#[test]
fn one_asks_for_all_workers() {
    let site = Site::build().listen("workers = 4").upstream(ONCE).start();
    site.backend.next().reply(ok());
    for _ in 0..8 {
        assert_eq!(site.look(&site.plain()).header("host"), Some("localhost"));
    }
    site.backend.saw_nothing();
}

#[test]
fn servers_over_tls_and_on_unix_sockets_are_asked_as_well() {
    let authority = Authority::new();
    let dir = tempfile::tempdir().unwrap();
    let secure = Backend::secure(authority.server(&["localhost"]));
    let lines = format!("{ONCE}\ntls.ca = \"{}\"", authority.path().display());
    let _site = Site::build().servers(&[secure.server()]).upstream(&lines).start();
    let check = secure.next();
    assert_eq!(check.header("host"), secure.server().strip_prefix("https://"));

    let unix = Backend::unix(&dir.path().join("app.sock"));
    let _site = Site::build().servers(&[unix.server()]).upstream(ONCE).start();
    assert_eq!(unix.next().header("host"), Some("localhost"));
}

#[test]
fn each_change_is_told_in_one_line_with_its_reason() {
    let patient = Patient::new();
    let process = Process::start(&Site::build().servers(&[&patient.server]).upstream(OFTEN), "access = \"off\"");
    patient.set(false);
    let log = process.logged("fails its health checks");
    let line = log.lines().find(|line| line.contains("fails its health checks")).unwrap();
    for word in [&*patient.server, "app", "status 500"] {
        assert!(line.contains(word), "{word:?} should be in: {line}");
    }
    patient.set(true);
    let log = process.logged("passes its health checks again");
    assert_eq!(log.matches("health checks").count(), 2, "{log}");
}

#[test]
fn one_good_answer_is_not_enough_to_come_back() {
    let patient = Patient::new();
    let lines = "health = { path = \"/healthz\", interval = \"20ms\", rise = 1000, fall = 1 }";
    let site = Site::build().servers(&[&patient.server]).upstream(lines).start();
    patient.set(false);
    patient.until_up(&site, false);
    patient.set(true);
    let before = patient.checks();
    eventually("it has passed several checks", || (patient.checks() > before + 3).then_some(()));
    assert_eq!(site.plain().send(get("/")).answer().status(), 503);
}

#[test]
fn an_answer_that_leads_elsewhere_is_a_good_one_and_an_error_is_none() {
    for (answer, up) in [("302 Found", true), ("204 No Content", true), ("404 Not Found", false), ("503 Busy", false)] {
        let lines = "health = { path = \"/healthz\", interval = \"1h\", fall = 1 }";
        let site = Site::build().upstream(lines).start();
        site.backend.next().reply(status(answer));
        let labels = [("upstream", "app"), ("server", site.backend.server())];
        let is_up = || site.metric("session_gateway_upstream_server_up", &labels) == 1;
        if up {
            // Long enough for it to have been understood.
            std::thread::sleep(std::time::Duration::from_millis(100));
            assert!(is_up(), "{answer}");
        } else {
            eventually("it is taken out", || (!is_up()).then_some(()));
        }
    }
}

#[test]
fn who_waits_for_a_place_learns_of_a_server_that_comes_back() {
    let (well, sick) = (Backend::start(), Patient::new());
    sick.set(false);
    let lines = format!("{OFTEN}\nmax_connections = 1\nconnect_timeout = \"4s\"");
    let site = Site::build().servers(&[&sick.server, well.server()]).upstream(&lines).start();
    let (stop, stopped) = std::sync::mpsc::channel::<Exchange>();
    let held = thread::spawn(move || {
        // Its checks are passed; the one request is kept until the end.
        while let Some(exchange) = well.next_within(PATIENCE) {
            if exchange.target() == "/healthz" {
                exchange.reply(ok());
            } else if stop.send(exchange).is_err() {
                return;
            }
        }
    });
    sick.until_up(&site, false);
    let first = site.plain().send(get("/held"));
    let kept = stopped.recv_timeout(PATIENCE).expect("the request comes to the one that is well");
    let waits = site.plain().send(get("/waits"));
    std::thread::sleep(std::time::Duration::from_millis(200));
    sick.set(true);
    assert_eq!(waits.answer().status(), 200, "it does not wait for what is held");
    kept.reply(ok());
    assert_eq!(first.answer().status(), 200);
    drop((stopped, site));
    let _ = held.join();
}
