//! What any reverse proxy owes both sides: the right upstream, the same bytes, and an end to every wait.

#[path = "proxying/bodies.rs"]
mod bodies;
#[path = "proxying/connections.rs"]
mod connections;
#[path = "proxying/failures.rs"]
mod failures;
#[path = "proxying/heads.rs"]
mod heads;
#[path = "proxying/http2.rs"]
mod http2;
#[path = "proxying/routes.rs"]
mod routes;
#[path = "proxying/stopping.rs"]
mod stopping;
mod support;

const MIB: usize = 1 << 20;

/// Bytes that repeat at no power of two, so that a lost or doubled buffer shows.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| u8::try_from(i % 251).expect("less than 251")).collect()
}

/// A server that refuses connections: its port is bound, so that nobody else gets it, and nobody listens.
fn refusing() -> (socket2::Socket, String) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().expect("an address").into()).expect("a free port");
    let port = socket.local_addr().expect("bound").as_socket().expect("IP").port();
    (socket, format!("http://127.0.0.1:{port}"))
}
