//! The end.

use super::*;

#[test]
fn stop_finishes_requests_in_flight_and_closes_idle_connections_at_once() {
    let mut server = Server::start(Edge::Http, limits());
    let (mut idle, mut untouched, mut busy) = (server.connect(), server.connect(), server.connect());
    assert_eq!(get(&mut idle, "/hello"), "hello");
    server.wait_for("/hello");
    busy.write_all(b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    server.wait_for("/slow");

    server.stop.ask();
    assert_eq!(rest(&mut idle), b"");
    assert_eq!(rest(&mut untouched), b"");
    assert_eq!(TcpStream::connect(server.address).unwrap_err().kind(), ErrorKind::ConnectionRefused);

    server.release.notify_one();
    let (head, body) = response(&mut busy);
    assert_eq!(body, "slow");
    assert!(head.contains("connection: close\r\n"), "{head}");
    assert_eq!(rest(&mut busy), b"");
    server.join();
    assert_eq!(read(&server.counters.open), 0);
}

#[test]
fn who_waits_at_a_socket_of_our_own_when_it_stops_is_served() {
    let (socket, stop) = (bound(), Stop::new());
    let mut waiting = [(); 3].map(|()| {
        let mut stream = TcpStream::connect(socket.local_addr().unwrap()).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.write_all(GET).unwrap();
        stream
    });
    stop.ask();
    let mut server = Server::start_on(socket, Edge::Http, limits(), stop);
    for stream in &mut waiting {
        assert_eq!(response(stream).1, "hello");
    }
    server.join();
    assert_eq!(read(&server.counters.accepted), 3);
}

#[test]
fn stop_finishes_http2_streams_in_flight() {
    let (_dir, settings) = certificate();
    let mut server = Server::start(https(&settings), limits());
    let config = trusting(&settings, &["h2"], rustls::ALL_VERSIONS);
    let mut stream = handshake(server.connect(), &config).unwrap();
    h2::begin(&mut stream);
    h2::get(&mut stream, 1, "/slow");
    server.wait_for("/slow");
    server.stop.ask();
    while h2::next(&mut stream).unwrap().kind != h2::GOAWAY {}
    server.release.notify_one();
    assert_eq!(h2::body(&mut stream), "slow");
    h2::goes_away(&mut stream);
    server.join();
}

#[test]
fn stop_does_not_wait_for_handshakes() {
    let (_dir, settings) = certificate();
    let mut server = Server::start(https(&settings), limits());
    let mut silent = server.connect();
    eventually("it is accepted", || read(&server.counters.open) == 1);
    server.stop.ask();
    assert_eq!(rest(&mut silent), b"");
    server.join();
}

#[test]
fn drain_deadline_cuts_what_is_stuck() {
    let (_dir, settings) = certificate();
    let config = trusting(&settings, &["h2"], rustls::ALL_VERSIONS);
    for is_h2 in [false, true] {
        let edge = if is_h2 { https(&settings) } else { Edge::Http };
        let mut server = Server::start(edge, Limits { drain_timeout: SHORT, ..limits() });
        let mut clear = server.connect();
        if is_h2 {
            let mut stream = handshake(clear, &config).unwrap();
            h2::begin(&mut stream);
            h2::get(&mut stream, 1, "/slow");
            server.wait_for("/slow");
            let start = Instant::now();
            server.stop.ask();
            while h2::next(&mut stream).is_some() {}
            assert!((SHORT..LONG / 2).contains(&start.elapsed()), "{:?}", start.elapsed());
        } else {
            clear.write_all(b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
            server.wait_for("/slow");
            let start = Instant::now();
            server.stop.ask();
            assert_eq!(rest(&mut clear), b"");
            assert!((SHORT..LONG / 2).contains(&start.elapsed()), "{:?}", start.elapsed());
        }
        server.join();
        assert_eq!(read(&server.counters.open), 0);
    }
}
