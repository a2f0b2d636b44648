//! What is spoken with a client, and what is told of it.

use super::*;

#[test]
fn alpn_picks_the_protocol() {
    let (_dir, settings) = certificate();
    let server = Server::start(https(&settings), limits());
    for (alpn, agreed) in [
        (&["h2", "http/1.1"][..], Some(&b"h2"[..])),
        (&["http/1.1", "h2"], Some(b"h2")),
        (&["h2"], Some(b"h2")),
        (&["http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        let mut stream = handshake(server.connect(), &trusting(&settings, alpn, rustls::ALL_VERSIONS)).unwrap();
        assert_eq!(stream.conn.alpn_protocol(), agreed, "{alpn:?}");
        if agreed == Some(b"h2") {
            h2::begin(&mut stream);
            h2::get(&mut stream, 1, "/version");
            assert_eq!(h2::body(&mut stream), "HTTP/2.0");
        } else {
            assert_eq!(get(&mut stream, "/version"), "HTTP/1.1");
        }
    }
}

#[test]
fn alpn_without_http_is_refused() {
    let (_dir, settings) = certificate();
    let server = Server::start(https(&settings), limits());
    let config = trusting(&settings, &["smtp"], rustls::ALL_VERSIONS);
    let error = handshake(server.connect(), &config).unwrap_err();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
    eventually("the failure is counted", || read(&server.counters.handshakes_failed) == 1);
}

#[test]
fn tls_1_2_and_1_3_are_served() {
    let (_dir, settings) = certificate();
    let server = Server::start(https(&settings), limits());
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut stream = handshake(server.connect(), &trusting(&settings, &[], &[version])).unwrap();
        assert_eq!(stream.conn.protocol_version(), Some(version.version));
        assert_eq!(get(&mut stream, "/hello"), "hello");
    }
}

#[test]
fn tls_session_begun_on_one_worker_is_resumed_on_another() {
    let (_dir, settings) = certificate();
    let edge = https(&settings);
    let workers = [Server::start(edge.clone(), limits()), Server::start(edge, limits())];
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = trusting(&settings, &[], &[version]);
        for (worker, kind) in workers.iter().zip([HandshakeKind::Full, HandshakeKind::Resumed]) {
            let mut stream = handshake(worker.connect(), &config).unwrap();
            assert_eq!(get(&mut stream, "/hello"), "hello");
            assert_eq!(stream.conn.handshake_kind(), Some(kind), "{version:?}");
        }
    }
}

#[test]
fn new_certificate_is_seen_by_the_next_client_and_ends_neither_connections_nor_sessions() {
    let ((_dir, old), (_other, new)) = (certificate(), certificate());
    let tls = Reloadable::new(Loaded::read(&old).unwrap());
    let server = Server::start(Edge::Https(tls.config()), limits());
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        tls.install(Loaded::read(&old).unwrap());
        let config = trusting(&old, &[], &[version]);
        let mut open = handshake(server.connect(), &config).unwrap();
        assert_eq!(get(&mut open, "/hello"), "hello");

        tls.install(Loaded::read(&new).unwrap());
        assert_eq!(tls.settings(), new);
        let shown = handshake(server.connect(), &trusting(&new, &[], &[version]));
        assert_eq!(get(&mut shown.unwrap(), "/hello"), "hello", "{version:?}");
        handshake(server.connect(), &trusting(&old, &[], &[version])).unwrap_err();
        assert_eq!(get(&mut open, "/hello"), "hello", "{version:?}");
        let mut again = handshake(server.connect(), &config).unwrap();
        assert_eq!(get(&mut again, "/hello"), "hello");
        assert_eq!(again.conn.handshake_kind(), Some(HandshakeKind::Resumed), "{version:?}");
    }
}

#[test]
fn clear_text_is_http_1_alone() {
    let server = Server::start(Edge::Http, limits());
    let mut stream = server.connect();
    h2::begin(&mut stream);
    let rest = rest(&mut stream);
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 "), "{rest:?}");
    assert!(server.arrived.try_recv().is_err(), "no request is made of it");
}

#[test]
fn handler_knows_the_clients_address_and_scheme() {
    let (_dir, settings) = certificate();
    for (edge, scheme) in [(Edge::Http, Scheme::Http), (https(&settings), Scheme::Https)] {
        let server = Server::start(edge, limits());
        let stream = server.connect();
        let expected = format!("{} {scheme:?}", stream.local_addr().unwrap());
        let body = match scheme {
            Scheme::Http => get(&mut { stream }, "/client"),
            Scheme::Https => {
                get(&mut handshake(stream, &trusting(&settings, &[], rustls::ALL_VERSIONS)).unwrap(), "/client")
            }
        };
        assert_eq!(body, expected);
    }
}

#[test]
fn head_over_its_limit_is_refused() {
    let server = Server::start(Edge::Http, limits());
    let mut stream = server.connect();
    write!(stream, "GET / HTTP/1.1\r\nhost: localhost\r\nx: {}", "x".repeat(16 * 1024)).unwrap();
    let rest = rest(&mut stream);
    assert!(rest.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&rest));
}
