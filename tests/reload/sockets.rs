//! Sockets that systemd binds and keeps, and what it is told.

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

use super::stand::*;
use super::support::*;

const QUIET: &str = "access = \"off\"";

fn dir() -> Arc<tempfile::TempDir> {
    Arc::new(tempfile::tempdir().unwrap())
}

fn bound() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

#[test]
fn passed_socket_is_served_by_all_workers_whatever_address_is_configured() {
    let socket = bound();
    let process = Process::start_on(&dir(), &Site::build(), QUIET, (&socket, "http"), "");
    assert_eq!(process.door().address, socket.local_addr().unwrap());
    // Each is held, so that one worker alone would not do.
    let pending: Vec<_> = (0..8).map(|_| process.browser().send(get("/"))).collect();
    let exchanges: Vec<_> = pending.iter().map(|_| process.backend.next()).collect();
    for exchange in exchanges {
        exchange.reply(ok());
    }
    assert!(pending.into_iter().all(|pending| pending.answer().status() == 200));
}

#[test]
fn passed_socket_without_a_name_of_ours_is_known_by_its_address() {
    let socket = bound();
    let address = socket.local_addr().unwrap().to_string();
    let setup = Site::build().http(&address);
    let process = Process::start_on(&dir(), &setup, QUIET, (&socket, "session-gateway.socket"), "");
    assert_eq!(visit(&process, &process.browser(), get("/"), ok()).1.status(), 200);
}

#[test]
fn socket_that_nothing_wants_is_refused_by_name() {
    let socket = bound();
    let said = Process::refusal_on(&dir(), &Site::build(), (&socket, "smtp"));
    assert!(said.contains("the socket smtp on 127.0.0.1:"), "{said}");
}

#[test]
fn passed_socket_that_others_can_reach_needs_a_token_to_be_the_admin_address() {
    let socket = TcpListener::bind("0.0.0.0:0").unwrap();
    let said = Process::refusal_on(&dir(), &Site::build(), (&socket, "admin"));
    assert!(said.contains("there is no admin.token_file"), "{said}");

    let (dir, token) = (dir(), "token_file = \"token\"");
    std::fs::write(dir.path().join("token"), "open-sesame").unwrap();
    let process = Process::start_on(&dir, &Site::build().admin(token), QUIET, (&socket, "admin"), "");
    edit(&process, |text| replaced(&text, token, ""));
    process.signal("HUP");
    process.logged("the configuration stays as it was: the admin address is on a socket that was passed");
    assert_eq!(process.admin().send(get("/metrics")).answer().status(), 401);
}

#[test]
fn who_connects_while_nobody_runs_is_answered_by_the_next() {
    let socket = bound();
    let (dir, setup) = (dir(), Site::build());
    let start = || Process::start_on(&dir, &setup, QUIET, (&socket, "http"), "");
    let first = start();
    let browser = first.browser();
    visit(&first, &browser, get("/"), ok());
    assert!(first.stop().contains("stopping"));
    let waiting = browser.send(get("/between"));
    let second = start();
    let exchange = second.backend.next();
    assert_eq!(exchange.target(), "/between");
    exchange.reply(ok());
    assert_eq!(waiting.answer().status(), 200);
}

#[test]
fn systemd_is_told_when_it_is_ready_reloads_and_stops() {
    let dir = dir();
    let path = dir.path().join("notify");
    let told = UnixDatagram::bind(&path).unwrap();
    told.set_read_timeout(Some(PATIENCE)).unwrap();
    let next = || {
        let mut message = [0; 256];
        let length = told.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..length]).into_owned()
    };
    let exports = format!("NOTIFY_SOCKET={}", path.display());
    let process = Process::start_on(&dir, &Site::build(), QUIET, (&bound(), "http"), &exports);
    assert_eq!(next(), "READY=1\n");
    reload(&process, |text| text);
    let reloading = next();
    let since = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").map(str::trim_end);
    assert!(since.is_some_and(|since| since.parse::<u64>().is_ok()), "{reloading:?}");
    assert_eq!(next(), "READY=1\n");
    refused(&process, |text| replaced(&text, "trust = \"full\"", "trust = \"fool\""));
    assert!(next().starts_with("RELOADING=1\n"));
    assert_eq!(next(), "READY=1\n", "the old one goes on");
    process.signal("TERM");
    assert_eq!(next(), "STOPPING=1\n");
    assert!(process.end().0);
}
