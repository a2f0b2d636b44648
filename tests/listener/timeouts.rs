//! Clients that are waited for, and for how long.

use super::*;

/// `start` is when the client last did something.
fn assert_ended_by_timeout(server: &Server, start: Instant) {
    assert!(start.elapsed() >= SHORT, "ended after {:?}", start.elapsed());
    eventually("the connection is closed", || read(&server.counters.open) == 0);
    assert_eq!(read(&server.counters.timeouts), 1);
}

#[test]
fn silent_tls_client_is_ended() {
    let (_dir, settings) = certificate();
    let server = Server::start(https(&settings), Limits { handshake_timeout: SHORT, ..limits() });
    let start = Instant::now();
    assert_eq!(rest(&mut server.connect()), b"");
    assert_ended_by_timeout(&server, start);
    assert_eq!(read(&server.counters.handshakes_failed), 1);
}

#[test]
fn silent_client_does_not_hold_up_others() {
    let (_dir, settings) = certificate();
    let server = Server::start(https(&settings), limits());
    let _silent = server.connect();
    let mut stream = handshake(server.connect(), &trusting(&settings, &[], rustls::ALL_VERSIONS)).unwrap();
    assert_eq!(get(&mut stream, "/hello"), "hello");
}

#[test]
fn client_that_sends_nothing_is_ended() {
    let server = Server::start(Edge::Http, Limits { header_timeout: SHORT, ..limits() });
    let start = Instant::now();
    assert_eq!(rest(&mut server.connect()), b"");
    assert_ended_by_timeout(&server, start);
}

#[test]
fn slow_head_is_ended_however_often_a_byte_comes() {
    let server = Server::start(Edge::Http, Limits { header_timeout: SHORT, ..limits() });
    let start = Instant::now();
    let mut stream = server.connect();
    stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    stream.write_all(b"GET /").unwrap();
    loop {
        assert!(start.elapsed() < LONG);
        let sent = stream.write_all(b"x");
        match stream.read(&mut [0; 100]) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) && sent.is_ok() => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("{sent:?}, but still open"),
            Ok(0) | Err(_) => break,
            Ok(_) => panic!("an answer to half a request"),
        }
    }
    assert_ended_by_timeout(&server, start);
}

#[test]
fn idle_keep_alive_connection_is_closed() {
    let server = Server::start(Edge::Http, Limits { keepalive: SHORT, ..limits() });
    let mut stream = server.connect();
    assert_eq!(get(&mut stream, "/hello"), "hello");
    stream.write_all(GET).unwrap();
    let start = Instant::now();
    assert_eq!(response(&mut stream).1, "hello");
    assert_eq!(rest(&mut stream), b"");
    assert_ended_by_timeout(&server, start);
}

#[test]
fn idle_http2_connection_is_closed_with_goaway() {
    let (_dir, settings) = certificate();
    let server = Server::start(https(&settings), Limits { keepalive: SHORT, ..limits() });
    let config = trusting(&settings, &["h2"], rustls::ALL_VERSIONS);
    let mut stream = handshake(server.connect(), &config).unwrap();
    h2::begin(&mut stream);
    let start = Instant::now();
    h2::get(&mut stream, 1, "/hello");
    assert_eq!(h2::body(&mut stream), "hello");
    assert!(h2::goes_away(&mut stream));
    assert_ended_by_timeout(&server, start);
}

#[test]
fn http2_client_that_never_begins_is_ended() {
    let (_dir, settings) = certificate();
    let server = Server::start(https(&settings), Limits { header_timeout: SHORT, ..limits() });
    let start = Instant::now();
    let config = trusting(&settings, &["h2"], rustls::ALL_VERSIONS);
    let mut stream = handshake(server.connect(), &config).unwrap();
    rest(&mut stream);
    assert_ended_by_timeout(&server, start);
}

#[test]
fn request_that_is_worked_on_is_not_idle() {
    let (_dir, settings) = certificate();
    let config = trusting(&settings, &["h2"], rustls::ALL_VERSIONS);
    let edges = [Edge::Http, https(&settings)];
    for edge in edges {
        let is_h2 = matches!(edge, Edge::Https(_));
        let short = Limits { header_timeout: SHORT, keepalive: SHORT, write_timeout: SHORT, ..limits() };
        let server = Server::start(edge, short);
        let mut clear = server.connect();
        let body = if is_h2 {
            let mut stream = handshake(clear, &config).unwrap();
            h2::begin(&mut stream);
            h2::get(&mut stream, 1, "/slow");
            server.wait_for("/slow");
            std::thread::sleep(2 * SHORT);
            server.release.notify_one();
            h2::body(&mut stream)
        } else {
            clear.write_all(b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
            server.wait_for("/slow");
            std::thread::sleep(2 * SHORT);
            server.release.notify_one();
            response(&mut clear).1
        };
        assert_eq!(body, "slow");
    }
}

#[test]
fn client_that_takes_nothing_of_its_response_is_cut() {
    let server = Server::start(Edge::Http, Limits { header_timeout: SHORT, write_timeout: SHORT, ..limits() });
    let mut stream = server.connect();
    let start = Instant::now();
    stream.write_all(b"GET /endless HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    server.wait_for("/endless");
    eventually("it is cut", || read(&server.counters.open) == 0);
    assert_ended_by_timeout(&server, start);
}

#[test]
fn http2_client_that_opens_no_window_is_cut() {
    let (_dir, settings) = certificate();
    let server = Server::start(https(&settings), Limits { header_timeout: SHORT, write_timeout: SHORT, ..limits() });
    let config = trusting(&settings, &["h2"], rustls::ALL_VERSIONS);
    let mut stream = handshake(server.connect(), &config).unwrap();
    h2::begin(&mut stream);
    let start = Instant::now();
    h2::get(&mut stream, 1, "/endless");
    // It reads all that comes and answers every ping, but gives no window.
    while h2::next(&mut stream).is_some() {}
    assert_ended_by_timeout(&server, start);
}

/// A client with a small window asks for more than the kernel's buffers take.
fn ask_for_big(server: &Server) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    socket.connect(&server.address.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(b"GET /big HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    stream
}

/// hyper has taken the whole body at once: the request is over, its bytes are not.
#[test]
fn slow_client_gets_the_whole_response() {
    // Many times what the kernel takes to ask for more, and less than the whole lasts.
    let write_timeout = 5 * SHORT;
    let server = Server::start(Edge::Http, Limits { header_timeout: SHORT, write_timeout, ..limits() });
    let start = Instant::now();
    let mut stream = ask_for_big(&server);
    let (mut total, mut buffer) = (0, vec![0; 128 * 1024]);
    loop {
        match stream.read(&mut buffer).unwrap() {
            0 => break,
            size => total += size,
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(start.elapsed() > write_timeout + 2 * SHORT, "not slow enough to prove anything: {:?}", start.elapsed());
    assert!(total > BIG, "{total} of {BIG} bytes");
    assert_eq!(read(&server.counters.timeouts), 0);
}

#[test]
fn client_that_takes_nothing_of_a_response_held_whole_is_cut() {
    let server = Server::start(Edge::Http, Limits { write_timeout: SHORT, header_timeout: SHORT, ..limits() });
    let start = Instant::now();
    let _stream = ask_for_big(&server);
    server.wait_for("/big");
    eventually("it is cut", || read(&server.counters.open) == 0);
    assert_ended_by_timeout(&server, start);
}
