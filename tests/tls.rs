//! Certificates from files: what is taken, what is refused and how it is said, and the development certificate.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use session_gateway::tls::dev::{self, Origin, development};
use session_gateway::tls::{Error, Settings, server_config};

fn made(dir: &Path) -> Settings {
    development(dir).unwrap().settings
}

#[test]
fn development_certificate_is_made_once_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("certs");
    let first = development(&dir).unwrap();
    assert_eq!((first.certificate, first.private_key), (Origin::Made, Origin::Made));
    let read =
        |settings: &Settings| (fs::read(&settings.certificate).unwrap(), fs::read(&settings.private_key).unwrap());
    let bytes = read(&first.settings);
    let second = development(&dir).unwrap();
    assert_eq!((second.certificate, second.private_key), (Origin::Kept, Origin::Kept));
    assert_eq!(read(&second.settings), bytes);
    server_config(&second.settings).unwrap();
}

#[test]
fn development_key_is_readable_by_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let settings = made(dir.path());
    let mode = fs::metadata(settings.private_key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn development_certificate_is_made_for_a_key_that_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let settings = made(dir.path());
    let key = fs::read(&settings.private_key).unwrap();
    fs::remove_file(&settings.certificate).unwrap();
    let again = development(dir.path()).unwrap();
    assert_eq!((again.certificate, again.private_key), (Origin::Made, Origin::Kept));
    assert_eq!(fs::read(&settings.private_key).unwrap(), key);
    server_config(&settings).unwrap();
}

#[test]
fn development_certificate_without_its_key_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let settings = made(dir.path());
    let certificate = fs::read(&settings.certificate).unwrap();
    fs::remove_file(&settings.private_key).unwrap();
    let error = development(dir.path()).unwrap_err();
    assert!(matches!(&error, dev::Error::NoKey { certificate } if *certificate == settings.certificate), "{error}");
    assert_eq!(fs::read(&settings.certificate).unwrap(), certificate);
    assert!(!settings.private_key.exists());
}

#[test]
fn offers_http2_first_and_resumption_but_no_early_data() {
    let dir = tempfile::tempdir().unwrap();
    let config = server_config(&made(dir.path())).unwrap();
    assert_eq!(config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    assert!(config.ticketer.enabled());
    assert!(config.session_storage.can_cache());
    assert_eq!(config.max_early_data_size, 0);
}

#[test]
fn chain_and_text_around_it_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let settings = made(dir.path());
    let one = fs::read_to_string(&settings.certificate).unwrap();
    fs::write(&settings.certificate, format!("subject: a comment\r\n{}\n{one}", one.replace('\n', "\r\n"))).unwrap();
    server_config(&settings).unwrap();
}

#[test]
fn key_of_another_certificate_is_refused_by_name() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mixed = Settings { private_key: made(other.path()).private_key, ..made(one.path()) };
    let error = server_config(&mixed).unwrap_err();
    assert!(matches!(error, Error::Mismatch { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(mixed.private_key.to_str().unwrap()), "{text}");
    assert!(text.contains(mixed.certificate.to_str().unwrap()), "{text}");
}

#[test]
fn damaged_files_are_refused_by_name_and_reason() {
    const OLD_ENCRYPTED: &str = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAA==\n-----END RSA PRIVATE KEY-----\n";
    const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n";
    type Check = fn(&Error) -> bool;
    let read: Check = |error| matches!(error, Error::Read { .. });
    let pem: Check = |error| matches!(error, Error::Pem { .. });
    let no_certificate: Check = |error| matches!(error, Error::NoCertificate { .. });
    let no_key: Check = |error| matches!(error, Error::NoKey { .. });
    let encrypted: Check = |error| matches!(error, Error::EncryptedKey { .. });
    let refused: Check = |error| matches!(error, Error::Refused { .. });
    for (file, content, expected) in [
        ("dev.crt", None, read),
        ("dev.crt", Some(""), no_certificate),
        ("dev.crt", Some("hello"), no_certificate),
        ("dev.crt", Some("-----BEGIN CERTIFICATE-----\nAA==\n"), pem),
        ("dev.crt", Some("-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n"), pem),
        ("dev.crt", Some("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"), refused),
        ("dev.key", None, read),
        ("dev.key", Some(""), no_key),
        ("dev.key", Some("-----BEGIN PRIVATE KEY-----\nAA=="), pem),
        ("dev.key", Some(ENCRYPTED), encrypted),
        ("dev.key", Some(OLD_ENCRYPTED), encrypted),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let settings = made(dir.path());
        let path = dir.path().join(file);
        fs::remove_file(&path).unwrap();
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        let error = server_config(&settings).unwrap_err();
        assert!(expected(&error), "{file} {content:?}: {error:?}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}
