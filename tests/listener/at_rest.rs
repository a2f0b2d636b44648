//! Connections that have nothing to do give up what they need for a request, and nobody notices.

use std::any::Any;
use std::io::Write;
use std::net::TcpStream;

use super::*;

fn eventually_rests(server: &Server, times: u64) {
    eventually("it rests", || read(&server.counters.rests) == times);
}

#[test]
fn connection_at_rest_serves_the_next_request() {
    let server = Server::start(Edge::Http, limits());
    let mut stream = server.connect();
    for rests in 1..=2 {
        assert_eq!(get(&mut stream, "/hello"), "hello");
        eventually_rests(&server, rests);
    }
    assert_eq!(get(&mut stream, "/hello"), "hello");
    assert_eq!(read(&server.counters.accepted), 1);
}

#[test]
fn connection_at_rest_serves_the_next_request_over_tls() {
    let (_dir, settings) = certificate();
    let server = Server::start(https(&settings), limits());
    for version in rustls::ALL_VERSIONS {
        let config = trusting(&settings, &["http/1.1"], &[version]);
        let mut stream = handshake(server.connect(), &config).unwrap();
        let before = read(&server.counters.rests);
        for rests in 1..=2 {
            assert_eq!(get(&mut stream, "/hello"), "hello");
            eventually_rests(&server, before + rests);
        }
        assert_eq!(get(&mut stream, "/hello"), "hello");
    }
}

#[test]
fn head_that_has_begun_does_not_rest() {
    let server = Server::start(Edge::Http, limits());
    let (mut stream, mut other) = (server.connect(), server.connect());
    assert_eq!(get(&mut stream, "/hello"), "hello");
    stream.write_all(b"GET /version HT").unwrap();
    assert_eq!(get(&mut other, "/hello"), "hello");
    eventually_rests(&server, 1);
    stream.write_all(b"TP/1.1\r\nhost: localhost\r\n\r\nGET /hello HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    assert_eq!(response(&mut stream).1, "HTTP/1.1");
    assert_eq!(response(&mut stream).1, "hello");
}

#[test]
fn rest_of_an_upload_that_was_answered_early_is_no_request() {
    let server = Server::start(Edge::Http, limits());
    let mut stream = server.connect();
    let upload = b"POST /early HTTP/1.1\r\nhost: localhost\r\ncontent-length: 56\r\n\r\n";
    stream.write_all(upload).unwrap();
    assert_eq!(response(&mut stream).1, "early");
    // Once this one rests, the other had time enough to.
    let mut other = server.connect();
    assert_eq!(get(&mut other, "/hello"), "hello");
    eventually_rests(&server, 1);
    stream.write_all(b"GET /smuggled HTTP/1.1\r\nhost: localhost\r\nx: 12345678\r\n\r\n").unwrap();
    assert_eq!(get(&mut stream, "/version"), "HTTP/1.1");
    for path in ["/early", "/hello", "/version"] {
        server.wait_for(path);
    }
}

#[test]
fn request_that_is_worked_on_does_not_rest() {
    let server = Server::start(Edge::Http, limits());
    let (mut busy, mut idle): (TcpStream, TcpStream) = (server.connect(), server.connect());
    busy.write_all(b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    server.wait_for("/slow");
    assert_eq!(get(&mut idle, "/hello"), "hello");
    eventually_rests(&server, 1);
    server.release.notify_one();
    assert_eq!(response(&mut busy).1, "slow");
}

#[test]
fn client_that_leaves_its_connection_at_rest_frees_its_place() {
    let (_dir, settings) = certificate();
    let config = trusting(&settings, &["http/1.1"], rustls::ALL_VERSIONS);
    for edge in [Edge::Http, https(&settings)] {
        let tls = matches!(edge, Edge::Https(_));
        let server = Server::start(edge, limits());
        let mut clear = server.connect();
        let stream: Box<dyn Any> = if tls {
            let mut stream = handshake(clear, &config).unwrap();
            assert_eq!(get(&mut stream, "/hello"), "hello");
            Box::new(stream)
        } else {
            assert_eq!(get(&mut clear, "/hello"), "hello");
            Box::new(clear)
        };
        eventually_rests(&server, 1);
        drop(stream);
        eventually("it is gone", || read(&server.counters.open) == 0);
    }
}

#[test]
fn stop_closes_connections_at_rest_at_once() {
    let (_dir, settings) = certificate();
    let config = trusting(&settings, &["http/1.1"], rustls::ALL_VERSIONS);
    let mut server = Server::start(https(&settings), limits());
    let mut stream = handshake(server.connect(), &config).unwrap();
    assert_eq!(get(&mut stream, "/hello"), "hello");
    eventually_rests(&server, 1);
    server.stop.ask();
    // Closed in the way of TLS, too: an end without notice would be an error.
    let mut end = Vec::new();
    assert_eq!(stream.read_to_end(&mut end).unwrap(), 0);
    server.join();
}

#[test]
fn empty_line_that_came_before_it_rests_is_no_part_of_the_next_request() {
    let server = Server::start(Edge::Http, limits());
    for (rests, blank) in [(1, "\r\n"), (2, "\r\n\r\n")] {
        let mut stream = server.connect();
        assert_eq!(get(&mut stream, "/hello"), "hello");
        stream.write_all(blank.as_bytes()).unwrap();
        eventually_rests(&server, rests);
        assert_eq!(get(&mut stream, "/hello"), "hello", "{blank:?}");
        drop(stream);
        eventually("it is gone", || read(&server.counters.open) == 0);
    }
}
