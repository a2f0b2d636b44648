//! A private authority, the certificates it signs, and what servers that show them learn of their clients.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{HandshakeKind, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

static AUTHORITIES: AtomicUsize = AtomicUsize::new(0);

/// An authority that nobody knows but those who are given its certificate.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        // Or a certificate of another authority would seem to be one of this whose signature is wrong.
        let number = AUTHORITIES.fetch_add(1, Ordering::Relaxed);
        params.distinguished_name.push(DnType::CommonName, format!("Authority {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate");
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::write(dir.path().join("ca.crt"), issuer.pem()).expect("a writable directory");
        Self { issuer, dir }
    }

    /// Its certificate, as PEM.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("ca.crt")
    }

    fn sign(&self, names: &[&str], change: impl Fn(&mut CertificateParams)) -> (Certificate, KeyPair) {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names or addresses");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.issuer).expect("a certificate"), key)
    }

    /// What a server presents that is known by these names.
    pub fn server(&self, names: &[&str]) -> ServerConfig {
        self.server_with(names, |_| {}, None)
    }

    /// The same, with a certificate that is different in a way, and for clients of `clients` alone, where there is one.
    pub fn server_with(
        &self,
        names: &[&str],
        change: impl Fn(&mut CertificateParams),
        clients: Option<&Self>,
    ) -> ServerConfig {
        let (certificate, key) = self.sign(names, change);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let config = config.with_safe_default_protocol_versions().expect("protocol versions");
        let config = match clients {
            None => config.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.issuer.der().clone()).expect("a usable root");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                config.with_client_cert_verifier(verifier.expect("a verifier"))
            }
        };
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        config.with_single_cert(vec![CertificateDer::from(certificate)], key).expect("a pair")
    }

    /// A certificate for these names and its key, as `FILE.crt` and `FILE.key` in `dir`.
    pub fn issue(&self, dir: &Path, file: &str, names: &[&str]) {
        self.issue_with(dir, file, names, |_| {});
    }

    /// The same, different in a way.
    pub fn issue_with(&self, dir: &Path, file: &str, names: &[&str], change: impl Fn(&mut CertificateParams)) {
        let (certificate, key) = self.sign(names, change);
        fs::write(dir.join(format!("{file}.key")), key.serialize_pem()).expect("a writable directory");
        fs::write(dir.join(format!("{file}.crt")), certificate.pem()).expect("a writable directory");
    }

    /// A client's certificate and its key, as files in `dir`.
    pub fn client(&self, dir: &Path) -> (PathBuf, PathBuf) {
        let (certificate, key) = self.sign(&["gateway"], |_| {});
        let paths = (dir.join("client.crt"), dir.join("client.key"));
        fs::write(&paths.0, certificate.pem()).expect("a writable directory");
        fs::write(&paths.1, key.serialize_pem()).expect("a writable directory");
        paths
    }
}

/// What a server learned of a client in one handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The name that the client asked for.
    pub name: Option<String>,
    /// The protocol that was agreed on.
    pub protocol: Option<String>,
    pub resumed: bool,
    /// How many certificates the client has shown.
    pub certificates: usize,
}

/// The server's end of a TLS connection, which takes down its handshake once that is over.
pub struct Secured {
    stream: StreamOwned<ServerConnection, TcpStream>,
    handshakes: Option<Arc<Mutex<Vec<Handshake>>>>,
}

impl Secured {
    pub fn new(stream: TcpStream, config: &Arc<ServerConfig>, handshakes: &Arc<Mutex<Vec<Handshake>>>) -> Self {
        let connection = ServerConnection::new(Arc::clone(config)).expect("a usable configuration");
        Self { stream: StreamOwned::new(connection, stream), handshakes: Some(Arc::clone(handshakes)) }
    }
}

impl Read for Secured {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buf)?;
        if let Some(handshakes) = self.handshakes.take() {
            let connection = &self.stream.conn;
            handshakes.lock().expect("no reader panics").push(Handshake {
                name: connection.server_name().map(str::to_owned),
                protocol: connection.alpn_protocol().map(|protocol| String::from_utf8_lossy(protocol).into_owned()),
                resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
                certificates: connection.peer_certificates().map_or(0, <[_]>::len),
            });
        }
        Ok(read)
    }
}

impl Write for Secured {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.stream.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
