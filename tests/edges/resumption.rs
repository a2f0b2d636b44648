//! TLS sessions that are resumed: on any worker, and after the certificate is replaced.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::client::{Resumption, Tls12Resumption};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, StreamOwned, version};
use session_gateway::tls::Loaded;

use super::support::site::roots_in;
use super::support::{PATIENCE, Site};

/// So many that the kernel hands all of them to one of four workers by a chance of 1 in 4^15 only.
const VISITS: usize = 16;

/// How a new connection shook hands, known once an answer has come on it, and its tickets with it.
fn visit(address: SocketAddr, config: &Arc<ClientConfig>) -> HandshakeKind {
    let name = ServerName::try_from("localhost").unwrap();
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), socket);
    stream.write_all(b"GET /nowhere HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 404 "), "{}", String::from_utf8_lossy(&answer));
    stream.conn.handshake_kind().unwrap()
}

#[test]
fn session_is_resumed_whichever_worker_accepts_and_after_a_reload() {
    let site = Site::build().listen("workers = 4").routes(&["path = \"/app\"\nupstream = \"app\""]).start();
    let address = site.https().address;
    for (version, by) in [
        (&version::TLS12, Tls12Resumption::SessionIdOnly),
        (&version::TLS12, Tls12Resumption::SessionIdOrTickets),
        (&version::TLS13, Tls12Resumption::Disabled),
    ] {
        let mut config = roots_in(&site.dir().join("dev.crt"), &[version]);
        config.resumption = Resumption::in_memory_sessions(32).tls12_resumption(by);
        let config = Arc::new(config);
        assert_eq!(visit(address, &config), HandshakeKind::Full);
        for _ in 0..VISITS {
            assert_eq!(visit(address, &config), HandshakeKind::Resumed, "{version:?} {by:?}");
        }
        let tls = site.tls();
        tls.install(Loaded::read(&tls.settings()).unwrap());
        for _ in 0..VISITS {
            assert_eq!(visit(address, &config), HandshakeKind::Resumed, "{version:?} {by:?}, after a reload");
        }
    }
}
