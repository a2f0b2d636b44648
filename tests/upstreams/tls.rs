//! Servers over TLS: the right one and no other is talked to, and what passes is what would pass in clear.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use rcgen::CertificateParams;
use rustls::{ServerConnection, StreamOwned};

use crate::support::*;

/// Lines for an upstream whose servers' certificates are of this authority.
fn trusting(authority: &Authority) -> String {
    format!("tls.ca = \"{}\"", authority.path().display())
}

/// Lines for a gateway that shows this certificate, of this key.
fn shown((certificate, key): &(PathBuf, PathBuf)) -> String {
    format!("tls.certificate = \"{}\"\ntls.private_key = \"{}\"", certificate.display(), key.display())
}

fn site(authority: &Authority) -> Site {
    Site::build().upstream(&trusting(authority)).start_with(Backend::secure(authority.server(&["localhost"])))
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| u8::try_from(i % 251).expect("less than 251")).collect()
}

/// A request to this server is answered by 502, the log says why, and the server has been told nothing.
fn assert_refused(server: &Backend, lines: &str, why: &[&str]) {
    let setup = Site::build().servers(&[server.server()]).upstream(lines);
    let process = Process::start(&setup, "access = \"off\"");
    assert_eq!(process.browser().send(get("/secret")).answer().status(), 502);
    let log = process.logged("cannot connect to");
    let line = log.lines().find(|line| line.contains("cannot connect to")).expect("just seen");
    for word in why.iter().chain([&server.server()]) {
        assert!(line.contains(word), "{word:?} should be in: {line}");
    }
    server.saw_nothing();
}

#[test]
fn a_request_and_its_answer_pass_over_tls() {
    let authority = Authority::new();
    let site = site(&authority);
    for browser in [site.browser(), site.plain()] {
        let pending = browser.send(post("/form?a=b").body("question"));
        let mut exchange = site.backend.next();
        assert_eq!(exchange.target(), "/form?a=b");
        assert_eq!(exchange.body().bytes, b"question");
        assert!(exchange.session("Id").is_some());
        exchange.reply(ok().body("answer").session("User", "alice"));
        let answer = pending.answer();
        assert_eq!((answer.status(), &*answer.text()), (200, "answer"));
        assert_eq!(site.look(&browser).user(), Some("alice"));
    }
    let handshakes = site.backend.handshakes();
    assert_eq!(handshakes[0].name.as_deref(), Some("localhost"));
    assert_eq!(handshakes[0].protocol, None, "the server knows of no protocols to choose from");
}

#[test]
fn http_1_is_what_is_offered() {
    let authority = Authority::new();
    let mut config = authority.server(&["localhost"]);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let site = Site::build().upstream(&trusting(&authority)).start_with(Backend::secure(config));
    site.look(&site.browser());
    assert_eq!(site.backend.handshakes()[0].protocol.as_deref(), Some("http/1.1"));
}

#[test]
fn a_connection_over_tls_serves_many_requests() {
    let authority = Authority::new();
    let site = Site::build()
        .listen("workers = 1")
        .upstream(&trusting(&authority))
        .start_with(Backend::secure(authority.server(&["localhost"])));
    let browser = site.browser();
    for _ in 0..5 {
        // What the server says after the handshake, tickets, is no reason to leave the connection.
        site.look(&browser);
    }
    assert_eq!(site.backend.connections(), 1);
}

#[test]
fn large_bodies_pass_over_tls_unharmed() {
    let authority = Authority::new();
    let site = site(&authority);
    let body = pattern(5 << 20);
    for _ in 0..2 {
        let pending = site.plain().send(post("/upload").body(body.clone()));
        let mut exchange = site.backend.next();
        assert!(exchange.body().bytes == body, "the upload should have come as it was sent");
        exchange.reply(ok().body(&body));
        assert!(pending.answer().body == body, "the download should have come as it was sent");
    }
}

#[test]
fn nothing_of_a_body_stays_behind_where_a_server_is_slow_to_take_it() {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // It takes little before it reads, so that TLS keeps the end of some of these bodies for later.
    socket2::SockRef::from(&listener).set_recv_buffer_size(4096).unwrap();
    let backend = Backend::secure_on(listener, authority.server(&["localhost"]));
    let site = Site::build().upstream(&trusting(&authority)).start_with(backend);
    let lengths = (16..=64).map(|part| part * 56 * 1024);
    let pending: Vec<_> =
        lengths.map(|length| (length, site.plain().send(post(&format!("/{length}")).body(pattern(length))))).collect();
    let exchanges: Vec<_> = pending.iter().map(|_| site.backend.next()).collect();
    // Nobody tells when the gateway has written all that it can; reading sooner would only make it easier.
    std::thread::sleep(Duration::from_millis(200));
    for mut exchange in exchanges {
        let length: usize = exchange.target()[1..].parse().unwrap();
        assert!(exchange.body().bytes == pattern(length), "{length} bytes should have come as they were sent");
        exchange.reply(ok());
    }
    for (length, pending) in pending {
        assert_eq!(pending.answer().status(), 200, "of {length} bytes");
    }
}

#[test]
fn a_websocket_is_carried_over_tls() {
    let authority = Authority::new();
    let site = site(&authority);
    let request = get("/socket")
        .with("Connection", "Upgrade")
        .with("Upgrade", "websocket")
        .with("Sec-WebSocket-Version", "13")
        .with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    let mut client = site.browser().send(request);
    let mut server = site.backend.next();
    server.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nfirst");
    client.switched();
    client.until(b"first");
    for round in 0..3 {
        client.write(format!("question {round}\n").as_bytes());
        server.until(format!("question {round}\n").as_bytes());
        server.write(format!("answer {round}\n").as_bytes());
        client.until(format!("answer {round}\n").as_bytes());
    }
    let much = pattern(2 << 20);
    let (sent, mut both) = (much.clone(), server);
    let writing = std::thread::spawn(move || {
        both.write(&sent);
        both
    });
    client.until(&much[much.len() - 600..]);
    drop(writing.join().unwrap());
}

#[test]
fn a_server_with_a_certificate_of_another_authority_is_refused() {
    let (authority, another) = (Authority::new(), Authority::new());
    let server = Backend::secure(another.server(&["localhost"]));
    assert_refused(&server, &trusting(&authority), &["UnknownIssuer"]);
}

#[test]
fn a_server_with_a_certificate_for_another_name_is_refused() {
    let authority = Authority::new();
    let server = Backend::secure(authority.server(&["elsewhere.example"]));
    assert_refused(&server, &trusting(&authority), &["not valid for name", "localhost"]);
    let server = Backend::secure(authority.server(&["localhost"]));
    let lines = format!("{}\ntls.server_name = \"elsewhere.example\"", trusting(&authority));
    assert_refused(&server, &lines, &["not valid for name", "elsewhere.example"]);
}

#[test]
fn a_server_with_an_expired_certificate_is_refused() {
    let authority = Authority::new();
    let expired = |params: &mut CertificateParams| params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let server = Backend::secure(authority.server_with(&["localhost"], expired, None));
    assert_refused(&server, &trusting(&authority), &["expired"]);
}

#[test]
fn a_server_that_speaks_no_tls_is_refused() {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        let mut socket = listener.accept().unwrap().0;
        let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        let _ = socket.read(&mut [0]);
    });
    let process =
        Process::start(&Site::build().servers(&[&server]).upstream(&trusting(&authority)), "access = \"off\"");
    assert_eq!(process.browser().send(get("/")).answer().status(), 502);
    process.logged(&format!("cannot connect to {server}: received corrupt message"));
}

#[test]
fn a_handshake_that_stands_still_is_timed_out_as_a_connection_is() {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let lines = format!("{}\nconnect_timeout = \"100ms\"", trusting(&authority));
    let process = Process::start(&Site::build().servers(&[&server]).upstream(&lines), "access = \"off\"");
    assert_eq!(process.browser().send(get("/")).answer().status(), 504);
    process.logged(&format!("cannot connect to {server} within 100 ms"));
}

#[test]
fn a_server_name_is_asked_for_and_verified_instead_of_the_host() {
    let authority = Authority::new();
    let backend = Backend::secure(authority.server(&["app.internal"]));
    let lines = format!("{}\ntls.server_name = \"app.internal\"", trusting(&authority));
    let site = Site::build().upstream(&lines).start_with(backend);
    let seen = site.look(&site.browser());
    assert_eq!(seen.header("host"), Some("localhost"), "the client's host, as ever");
    assert_eq!(site.backend.handshakes()[0].name.as_deref(), Some("app.internal"));
}

#[test]
fn a_server_at_an_address_is_verified_by_it() {
    let authority = Authority::new();
    let backend = Backend::secure(authority.server(&["127.0.0.1"]));
    let server = backend.server().replace("localhost", "127.0.0.1");
    let site = Site::build().servers(&[&server]).upstream(&trusting(&authority)).start_with(backend);
    site.look(&site.browser());
    assert_eq!(site.backend.handshakes()[0].name, None, "an address is no name to ask for (RFC 6066 section 3)");
}

#[test]
fn a_client_certificate_is_shown_to_a_server_that_asks() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let dir = tempfile::tempdir().unwrap();
    let shown = shown(&clients.client(dir.path()));
    let config = || authority.server_with(&["localhost"], |_| {}, Some(&clients));
    let lines = format!("{}\n{shown}", trusting(&authority));
    let site = Site::build().upstream(&lines).start_with(Backend::secure(config()));
    site.look(&site.browser());
    assert_eq!(site.backend.handshakes()[0].certificates, 1);

    let server = Backend::secure(config());
    let site = Site::build().upstream(&trusting(&authority)).start_with(server);
    assert_eq!(site.browser().send(get("/")).answer().status(), 502, "without one it is of no use");
    site.backend.saw_nothing();
}

#[test]
fn tls_sessions_are_resumed() {
    let authority = Authority::new();
    let site = site(&authority);
    let browser = site.browser();
    for _ in 0..3 {
        let pending = browser.send(get("/"));
        site.backend.next().respond_and_go(ok());
        assert_eq!(pending.answer().status(), 200);
    }
    let resumed: Vec<_> = site.backend.handshakes().iter().map(|handshake| handshake.resumed).collect();
    assert_eq!(resumed, [false, true, true]);
}

#[test]
fn a_body_that_ends_without_the_end_of_its_tls_connection_is_not_whole() {
    let authority = Authority::new();
    let site = site(&authority);
    let pending = site.plain().send(get("/"));
    // Whoever cuts the line could have cut it here (RFC 9112 section 9.8).
    site.backend.next().respond_and_close(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf of i");
    assert!(!pending.answer().complete, "the client should learn that it is not whole");
}

#[test]
fn a_connection_that_the_server_has_ended_serves_no_further_request() {
    let authority = Authority::new();
    let config = Arc::new(authority.server(&["localhost"]));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let (sender, ended) = channel();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, socket.unwrap());
            stream.sock.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.extend(byte);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
            // The end of TLS, and not of TCP: nothing is heard on it any more.
            stream.conn.send_close_notify();
            stream.flush().unwrap();
            // The gateway has noticed once it has closed its own end.
            let closed = stream.sock.read_to_end(&mut Vec::new()).is_ok();
            if sender.send(closed).is_err() {
                return;
            }
        }
    });
    let setup = Site::build().listen("workers = 1").servers(&[&server]).upstream(&trusting(&authority));
    let process = Process::start(&setup, "access = \"off\"");
    let browser = process.browser();
    for _ in 0..2 {
        // A method that would not be sent twice.
        let status = browser.send(post("/").body("once")).answer().status();
        assert_eq!(status, 200, "{}", process.logged("upstream app"));
        assert!(ended.recv_timeout(PATIENCE).unwrap(), "a connection that is at its end should be closed");
    }
}

#[test]
fn files_that_cannot_be_used_are_told_at_start_by_upstream_and_file() {
    let authority = Authority::new();
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let another = tempfile::tempdir().unwrap();
    let (certificate, key) = authority.client(dir.path());
    let (_, other_key) = Authority::new().client(another.path());
    let (mixed, shown) = (shown(&(certificate.clone(), other_key)), shown(&(certificate, key)));
    let lines = format!("tls.ca = \"missing.crt\"\n{shown}");
    let mixed = format!("{}\n{mixed}", trusting(&authority));
    let setup = Site::build().servers(&["https://localhost:1"]).upstream(&lines).another_at(
        "second",
        "https://localhost:2",
        &mixed,
    );
    let said = Process::refusal(&dir, &setup);
    for words in ["upstream app", "missing.crt", "upstream second", "does not belong to the certificate"] {
        assert!(said.contains(words), "{words:?} should be in: {said}");
    }
}
