//! Several certificates, by the name that a client asks for, and certificates that change while the gateway runs.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use session_gateway::config;
use session_gateway::gateway::Files;
use session_gateway::tls::{Loaded, Looked, Reloadable, Settings};

use super::support::{Authority, PATIENCE, Setup, Site, eventually, eventually_within, get, ok};

/// Takes down what it is shown, and believes it.
#[derive(Debug, Default)]
struct Shown(Mutex<Vec<u8>>);

impl ServerCertVerifier for Shown {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.0.lock().unwrap() = certificate.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ED25519]
    }
}

/// The certificate that a client is shown who asks for this name, or for none by an address.
fn shown(address: SocketAddr, name: &str) -> Vec<u8> {
    let shown = Arc::new(Shown::default());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.dangerous().with_custom_certificate_verifier(Arc::clone(&shown) as Arc<dyn ServerCertVerifier>);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut tls = ClientConnection::new(Arc::new(config.with_no_client_auth()), name).unwrap();
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    while tls.is_handshaking() {
        tls.complete_io(&mut socket).unwrap();
    }
    let shown = shown.0.lock().unwrap();
    shown.clone()
}

fn der(path: &Path) -> Vec<u8> {
    CertificateDer::from_pem_file(path).unwrap().to_vec()
}

/// A line of configuration for each of these in `dir`, beside the default.
fn with(dir: &Path, files: &[&str]) -> Setup {
    let section = |file: &&str| {
        let path = dir.join(file).display().to_string();
        format!("[[tls.certificates]]\ncertificate = \"{path}.crt\"\nprivate_key = \"{path}.key\"\n")
    };
    Site::build().tls(&files.iter().map(section).collect::<String>())
}

#[test]
fn client_is_shown_the_certificate_for_its_name_and_others_the_first() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    authority.issue(dir.path(), "a", &["a.example", "WWW.a.example"]);
    authority.issue(dir.path(), "b", &["*.b.example", "a.example"]);
    authority.issue(dir.path(), "own", &["own.b.example", "*.a.example"]);
    let site = with(dir.path(), &["a", "b", "own"]).start();
    let first = der(&site.dir().join("dev.crt"));
    let [a, b, own] = ["a.crt", "b.crt", "own.crt"].map(|file| der(&dir.path().join(file)));
    for (name, expected) in [
        ("a.example", &a),
        ("A.Example", &a),
        ("www.a.example", &a),
        ("x.b.example", &b),
        // A name's own is before a wildcard's, whichever comes first in the file.
        ("own.b.example", &own),
        ("x.a.example", &own),
        ("b.example", &first),
        ("y.x.b.example", &first),
        ("other.example", &first),
        ("localhost", &first),
        ("127.0.0.1", &first),
    ] {
        assert!(shown(site.https().address, name) == *expected, "{name}");
    }
    for file in [site.dir().join("dev.crt"), dir.path().join("a.crt"), dir.path().join("b.crt")] {
        let path = file.display().to_string();
        let expires = site.metric("session_gateway_certificate_expires_timestamp_seconds", &[("certificate", &path)]);
        assert!(expires > 1_700_000_000, "{expires}");
    }
}

#[test]
fn certificates_that_change_are_shown_to_the_next_client_and_broken_ones_are_not() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    let versions = ["1", "2", "3"].map(|version| dir.path().join(version));
    for version in &versions {
        fs::create_dir(version).unwrap();
        authority.issue(version, "tls", &["a.example"]);
    }
    // As volumes of Kubernetes are: a link to a folder is switched at once, and the files are links below it.
    let switch = |to: &Path| {
        let _ = fs::remove_file(dir.path().join("new"));
        symlink(to, dir.path().join("new")).unwrap();
        fs::rename(dir.path().join("new"), dir.path().join("data")).unwrap();
    };
    switch(&versions[0]);
    for file in ["tls.crt", "tls.key"] {
        symlink(Path::new("data").join(file), dir.path().join(file)).unwrap();
    }
    let site = with(dir.path(), &["tls"]).start();
    let address = site.https().address;
    let [one, two, three] = versions.clone().map(|version| der(&version.join("tls.crt")));
    assert!(shown(address, "a.example") == one);
    let open = site.browser();
    let pending = open.send(get("/slow"));
    let slow = site.backend.next();

    switch(&versions[1]);
    let patience = Duration::from_secs(20);
    eventually_within(patience, "the new one is shown", || (shown(address, "a.example") == two).then_some(()));

    // A key that is another's: nothing changes, until what is right is there.
    let wrong = dir.path().join("wrong");
    fs::create_dir(&wrong).unwrap();
    authority.issue(&wrong, "tls", &["a.example"]);
    fs::copy(versions[0].join("tls.key"), wrong.join("tls.key")).unwrap();
    switch(&wrong);
    let tls = site.tls();
    let mut looked = Looked::default();
    assert!(!tls.look(&mut looked).unwrap(), "nothing is read in the moment of the change");
    for _ in 0..3 {
        // The gateway's own look may have come first: then there is nothing to be read again.
        if let Ok(changed) = tls.look(&mut looked) {
            assert!(!changed);
        }
        assert!(shown(address, "a.example") == two);
    }
    switch(&versions[2]);
    eventually_within(patience, "the right one is shown", || {
        let now = shown(address, "a.example");
        assert!(now == two || now == three);
        (now == three).then_some(())
    });
    slow.reply(ok());
    assert_eq!(pending.answer().status(), 200, "a request from before is answered");
}

#[test]
fn every_unusable_certificate_is_named_and_an_expired_one_warned_of() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    for file in ["one", "two", "three"] {
        authority.issue(dir.path(), file, &["a.example"]);
    }
    fs::copy(dir.path().join("three.key"), dir.path().join("one.key")).unwrap();
    fs::write(dir.path().join("two.crt"), "nothing").unwrap();
    fs::remove_file(dir.path().join("three.key")).unwrap();
    let text = |site: &Site, setup: &Setup| setup.write(site.dir(), &site.backend);
    let site = Site::new();
    let config = |setup: &Setup| config::parse(&text(&site, setup), Path::new("gateway.toml"), site.dir()).unwrap();
    let error = Files::read(&config(&with(dir.path(), &["one", "two", "three"]))).unwrap_err().to_string();
    for file in ["one.key", "one.crt", "two.crt", "three.key"] {
        assert!(error.contains(&*dir.path().join(file).display().to_string()), "{file}: {error}");
    }

    authority
        .issue_with(dir.path(), "old", &["a.example"], |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    authority.issue(dir.path(), "new", &["a.example"]);
    let files = Files::read(&config(&with(dir.path(), &["new", "old"]))).unwrap();
    let warned = files.doubts();
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(warned[0].contains("old.crt") && warned[0].contains("2020-01-01"), "{warned:?}");
}

#[test]
fn file_that_is_read_without_end_holds_up_neither_a_reload_nor_a_stop() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    authority.issue(dir.path(), "a", &["a.example"]);
    authority.issue(dir.path(), "b", &["a.example"]);
    let mut site = with(dir.path(), &["a"]).start();
    let (address, pipe) = (site.https().address, dir.path().join("a.crt"));
    fs::remove_file(&pipe).unwrap();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Opened once somebody reads it, who then waits for more.
    let hangs = fs::OpenOptions::new().write(true).open(&pipe).unwrap();

    let tls = site.tls();
    let installed = thread::scope(|scope| {
        let installing = scope.spawn(|| {
            let mut settings = tls.settings();
            settings.more = vec![Settings::pair(dir.path().join("b.crt"), dir.path().join("b.key"))];
            tls.install(Loaded::read(&settings).unwrap());
        });
        let until = Instant::now() + PATIENCE;
        while !installing.is_finished() && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
        let in_time = installing.is_finished();
        in_time.then_some(hangs)
    });
    let hangs = installed.expect("it waits for the file");
    assert!(shown(address, "a.example") == der(&dir.path().join("b.crt")));
    let stopping = site.stop();
    eventually("it has stopped", || stopping.is_finished().then_some(()));
    drop(hangs);
}

#[test]
fn what_is_installed_while_files_are_read_is_not_replaced_by_what_was_in_them() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    let pair =
        |name: &str| Settings::pair(dir.path().join(format!("{name}.crt")), dir.path().join(format!("{name}.key")));
    for name in ["a", "b"] {
        authority.issue(dir.path(), name, &["a.example"]);
    }
    let tls = Reloadable::new(Loaded::read(&pair("a")).unwrap());
    let pipe = pair("a").certificate;
    let good = fs::read(&pipe).unwrap();
    fs::remove_file(&pipe).unwrap();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut looked = Looked::default();
            assert!(!tls.look(&mut looked).unwrap(), "it is not known to be at rest");
            tls.look(&mut looked)
        });
        let mut read = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
        tls.install(Loaded::read(&pair("b")).unwrap());
        read.write_all(&good).unwrap();
        drop(read);
        assert!(!looking.join().unwrap().unwrap(), "it is out of date");
    });
    assert_eq!(tls.settings(), pair("b"));
}
