//! Clients' own certificates: who is asked for one, who gets in, and what the backend is told.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::CertificateParams;
use rustls::client::{Resumption, Tls12Resumption};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned, SupportedProtocolVersion, version,
};
use session_gateway::tls::{ClientSettings, Loaded, Settings};

use super::support::{Authority, PATIENCE, Seen, Setup, Site, eventually_within, get, ok};

fn asking(authority: &Authority, required: bool) -> Setup {
    let ca = authority.path().display().to_string();
    Site::build().tls(&format!("client = {{ ca = {ca:?}, required = {required} }}"))
}

/// A client with a certificate of this authority's, or with none.
fn client(site: &Site, authority: Option<&Authority>, only: &'static SupportedProtocolVersion) -> ClientConfig {
    client_with(site, authority, only, |_| {})
}

/// The same, whose certificate is different in a way.
fn client_with(
    site: &Site,
    authority: Option<&Authority>,
    only: &'static SupportedProtocolVersion,
    change: impl Fn(&mut CertificateParams),
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(site.dir().join("dev.crt")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[only]).unwrap();
    let config = config.with_root_certificates(roots);
    let mut config = match authority {
        None => config.with_no_client_auth(),
        Some(authority) => {
            let dir = tempfile::tempdir().unwrap();
            authority.issue_with(dir.path(), "client", &["alice"], change);
            let certificate = CertificateDer::from_pem_file(dir.path().join("client.crt")).unwrap();
            let key = PrivateKeyDer::from_pem_file(dir.path().join("client.key")).unwrap();
            fs::copy(dir.path().join("client.crt"), site.dir().join("client.crt")).unwrap();
            config.with_client_auth_cert(vec![certificate], key).unwrap()
        }
    };
    config.resumption = Resumption::in_memory_sessions(32).tls12_resumption(Tls12Resumption::SessionIdOrTickets);
    config
}

/// The header that tells of this certificate (RFC 9440 section 2.1).
fn told(certificate: &Path) -> String {
    format!(":{}:", STANDARD.encode(CertificateDer::from_pem_file(certificate).unwrap()))
}

const FORGED: &str = "client-cert: :AAAA:\r\nClient_Cert: :AAAA:\r\nclient-cert-chain: :AAAA:\r\n";

/// One request that tells of certificates that the client has not shown: what the backend sees, and how hands were
/// shaken; or nothing, where there was no handshake.
fn visit(site: &Site, config: &Arc<ClientConfig>) -> Option<(Seen, HandshakeKind)> {
    visit_saying(site, config, b"", FORGED)
}

/// The same with something in clear before TLS, and with these lines.
fn visit_saying(site: &Site, config: &Arc<ClientConfig>, before: &[u8], lines: &str) -> Option<(Seen, HandshakeKind)> {
    let mut socket = TcpStream::connect(site.https().address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(before).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), socket);
    let request = format!("GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{lines}\r\n");
    // Over TLS 1.3 a client learns that it was refused when it reads.
    let written = stream.write_all(request.as_bytes());
    let mut first = [0];
    if written.is_err() {
        return None;
    }
    let reading = std::thread::spawn(move || {
        let read = stream.read(&mut first).is_ok_and(|read| read == 1);
        let _ = stream.read_to_end(&mut Vec::new());
        read.then(|| stream.conn.handshake_kind().unwrap())
    });
    let seen = loop {
        if let Some(exchange) = site.backend.next_within(Duration::from_millis(20)) {
            let seen = Seen { head: exchange.head.clone() };
            exchange.reply(ok());
            break Some(seen);
        }
        if reading.is_finished() {
            break None;
        }
    };
    let kind = reading.join().unwrap();
    seen.zip(kind)
}

fn certificates(seen: &Seen) -> Vec<&str> {
    let covered = |name: &str| name.to_ascii_lowercase().replace('_', "-").starts_with("client-cert");
    seen.head.fields.0.iter().filter(|(name, _)| covered(name)).map(|(_, value)| value.as_str()).collect()
}

#[test]
fn backend_is_told_the_certificate_that_was_shown_and_none_that_was_not() {
    let authority = Authority::new();
    let site = asking(&authority, false).start();
    for only in [&version::TLS12, &version::TLS13] {
        let known = Arc::new(client(&site, Some(&authority), only));
        let expected = told(&site.dir().join("client.crt"));
        for _ in 0..2 {
            let (seen, how) = visit(&site, &known).expect("it may come in");
            assert_eq!((certificates(&seen), how), (vec![expected.as_str()], HandshakeKind::Full), "{only:?}");
        }
        let (seen, _) = visit(&site, &Arc::new(client(&site, None, only))).expect("none is required");
        assert_eq!(certificates(&seen), [""; 0]);
        let stranger = Arc::new(client(&site, Some(&Authority::new()), only));
        assert!(visit(&site, &stranger).is_none(), "of an authority that is not trusted");
    }
    // In clear text nobody shows any.
    let (seen, _) = site.visit(&site.plain(), get("/").with("Client-Cert", ":AAAA:"), ok());
    assert_eq!(certificates(&seen), [""; 0]);
}

#[test]
fn client_without_a_certificate_stays_out_where_one_is_required() {
    let authority = Authority::new();
    let site = asking(&authority, true).start();
    for only in [&version::TLS12, &version::TLS13] {
        assert!(visit(&site, &Arc::new(client(&site, None, only))).is_none());
        assert!(visit(&site, &Arc::new(client(&site, Some(&authority), only))).is_some());
    }
}

#[test]
fn certificate_is_looked_at_on_every_connection_and_no_session_resumed() {
    let (one, other) = (Authority::new(), Authority::new());
    let site = asking(&one, true).start();
    let asks = |authority: Option<&Authority>| {
        let mut settings: Settings = site.tls().settings();
        settings.client = authority.map(|authority| ClientSettings { ca: authority.path(), required: true });
        site.tls().install(Loaded::read(&settings).unwrap());
    };
    for only in [&version::TLS12, &version::TLS13] {
        asks(Some(&one));
        let known = Arc::new(client(&site, Some(&one), only));
        for _ in 0..3 {
            let (_, how) = visit(&site, &known).expect("it may come in");
            assert_eq!(how, HandshakeKind::Full, "{only:?}");
        }
        asks(Some(&other));
        assert!(visit(&site, &known).is_none(), "{only:?}: its authority is not trusted any more");

        // Nor is one from when nobody was asked.
        asks(None);
        let nobody = Arc::new(client(&site, None, only));
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            assert_eq!(visit(&site, &nobody).expect("nobody is asked").1, kind, "{only:?}");
        }
        asks(Some(&one));
        assert!(visit(&site, &nobody).is_none(), "{only:?}: it has shown none");
    }
}

#[test]
fn certificate_that_expires_is_refused_to_a_client_that_was_here_before() {
    let authority = Authority::new();
    let site = asking(&authority, true).start();
    for only in [&version::TLS12, &version::TLS13] {
        let expires = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(6);
        let known = client_with(&site, Some(&authority), only, |params| {
            params.not_after = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(expires.as_secs());
        });
        let known = Arc::new(known);
        assert!(visit(&site, &known).is_some(), "{only:?}: still good, if this machine is no slower than that");
        eventually_within(Duration::from_secs(20), "it is refused", || visit(&site, &known).is_none().then_some(()));
        assert!(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() >= expires.as_secs(), "{only:?}");
    }
}

#[test]
fn certificate_of_a_trusted_proxy_is_no_clients() {
    let authority = Authority::new();
    let behind = |lines: &str| {
        let site = asking(&authority, false).listen(&format!("trusted_proxies = [\"127.0.0.0/8\"]\n{lines}")).start();
        let config = Arc::new(client(&site, Some(&authority), &version::TLS13));
        (site, config)
    };
    // It ends TLS, and tells of its client or does not.
    let (site, proxy) = behind("");
    for told in ["", "unknown", "192.0.2.1", "127.0.0.9"] {
        let (seen, _) = visit_saying(&site, &proxy, b"", &format!("x-forwarded-for: {told}\r\n")).unwrap();
        assert_eq!(certificates(&seen), [""; 0], "{told:?}");
    }
    // It passes TLS on as it comes, from its client or, for a health check, from itself.
    let (site, known) = behind("proxy_protocol = true");
    let expected = told(&site.dir().join("client.crt"));
    let client = Some(expected.as_str());
    for (header, certificate) in [
        (&b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n"[..], client),
        (b"PROXY UNKNOWN\r\n", client),
        (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", None),
    ] {
        let (seen, _) = visit_saying(&site, &known, header, FORGED).unwrap();
        assert_eq!(certificates(&seen), certificate.into_iter().collect::<Vec<_>>(), "{}", header.escape_ascii());
    }
}
