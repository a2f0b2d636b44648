//! Certificates to what speaks TLS: rustls' `ServerConfig`, and a `ClientConfig` for the session store and for
//! upstreams.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache, VerifierBuilderError, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

mod client;
pub mod dev;
mod names;
mod reloadable;

pub use client::client_config;
use names::ByName;
pub use reloadable::{Loaded, Looked, Reloadable};

/// Which certificates are presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// PEM file: the certificate, then its chain.
    pub certificate: PathBuf,
    /// PEM file: its private key.
    pub private_key: PathBuf,
    /// More of them, for clients that ask for one of their names. These have no more of their own.
    pub more: Vec<Self>,
    /// Whose certificates clients are asked for, if they are.
    pub client: Option<ClientSettings>,
}

/// What clients are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSettings {
    /// PEM file: the authorities whose certificates are good.
    pub ca: PathBuf,
    /// Whether a client without one stays out. One with a certificate that is no good always does.
    pub required: bool,
}

impl Settings {
    /// One certificate and its key.
    pub fn pair(certificate: PathBuf, private_key: PathBuf) -> Self {
        Self { certificate, private_key, more: Vec::new(), client: None }
    }

    /// All of them, the default first.
    fn pairs(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.more)
    }
}

/// When a certificate expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// Its file.
    pub certificate: PathBuf,
    /// The last second in which it holds, since 1970.
    pub at: i64,
}

/// A certificate as it was read.
struct Certificate {
    key: Arc<CertifiedKey>,
    /// Which hosts it is for, by their names.
    names: Vec<String>,
    expiry: Expiry,
}

/// Why TLS cannot be offered. Each variant names the file to look at.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is missing, or not ours to read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is damaged: a section without end, bytes that are no base64.
    #[error("{} is not a PEM file", path.display())]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What the parser stumbled over.
        source: pem::Error,
    },
    /// The certificate file is empty, or holds something else.
    #[error("{} holds no certificate (BEGIN CERTIFICATE)", path.display())]
    NoCertificate {
        /// Which file.
        path: PathBuf,
    },
    /// The key file is empty, or holds something else.
    #[error("{} holds no private key (BEGIN PRIVATE KEY)", path.display())]
    NoKey {
        /// Which file.
        path: PathBuf,
    },
    /// The key is under a password, and there is nobody to ask for it.
    #[error("the private key in {} is encrypted; decrypt it with `openssl pkey`", path.display())]
    EncryptedKey {
        /// Which file.
        path: PathBuf,
    },
    /// Both files can be read, but the key is not the certificate's.
    #[error("the private key in {} does not belong to the certificate in {}", private_key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        private_key: PathBuf,
    },
    /// rustls refuses the pair for another reason: a key type it does not sign with, a certificate it cannot parse.
    #[error("the certificate in {} cannot be used", certificate.display())]
    Refused {
        /// The certificate's file.
        certificate: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
    /// Of several certificates, several cannot be used.
    #[error("{}", lines(.0))]
    Several(Vec<Error>),
    /// Clients cannot be verified by these authorities.
    #[error("the authorities in {} cannot be used", ca.display())]
    Authorities {
        /// Their file.
        ca: PathBuf,
        /// What rustls said.
        source: VerifierBuilderError,
    },
    /// No `ca` is configured, and the system trusts nobody.
    #[error("the system has no certificates of authorities to check servers by; name one as `ca`")]
    NoAuthorities,
    /// rustls has nothing to speak TLS with.
    #[error("cannot speak TLS to servers")]
    Client(#[source] rustls::Error),
    /// rustls has nothing to speak TLS with.
    #[error("cannot speak TLS to clients")]
    Server(#[source] rustls::Error),
    /// No randomness for the tickets' first key.
    #[error("cannot make keys for TLS session tickets")]
    Ticketer(#[source] rustls::Error),
}

/// TLS 1.2 sessions kept for clients that take no tickets; the others cost the server no memory.
const CACHED_SESSIONS: usize = 4096;

/// What all workers serve TLS with. Shared, so that a session begun on one worker is resumed on any other, where none
/// is asked for a certificate.
pub fn server_config(settings: &Settings) -> Result<ServerConfig, Error> {
    serving(read_certificates(settings)?, Clients::read(settings.client.as_ref())?.as_ref())
}

/// Whose certificates are good, as read.
struct Clients {
    ca: PathBuf,
    authorities: Vec<CertificateDer<'static>>,
    required: bool,
}

impl Clients {
    fn read(settings: Option<&ClientSettings>) -> Result<Option<Self>, Error> {
        let Some(ClientSettings { ca, required }) = settings else { return Ok(None) };
        Ok(Some(Self { ca: ca.clone(), authorities: certificates(ca)?, required: *required }))
    }

    fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, Error> {
        let mut roots = RootCertStore::empty();
        for authority in &self.authorities {
            let added = roots.add(authority.clone());
            added.map_err(|source| Error::Refused { certificate: self.ca.clone(), source })?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = if self.required { verifier } else { verifier.allow_unauthenticated() };
        verifier.build().map_err(|source| Error::Authorities { ca: self.ca.clone(), source })
    }
}

fn serving(certificates: Vec<Certificate>, clients: Option<&Clients>) -> Result<ServerConfig, Error> {
    let mut by_name: Option<ByName> = None;
    for Certificate { key, names, .. } in certificates {
        by_name.get_or_insert_with(|| ByName::new(Arc::clone(&key))).add(&names, &key);
    }
    let by_name = by_name.expect("settings name one certificate at least");

    // The provider is named and not the process' default: no other crate's choice, nor the order of start, changes it.
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(Error::Server)?;
    let config = match clients {
        None => config.with_no_client_auth(),
        Some(clients) => config.with_client_cert_verifier(clients.verifier()?),
    };
    let mut config = config.with_cert_resolver(Arc::new(by_name));

    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    if clients.is_none() {
        // Its keys live in this process and change every six hours, so a stolen memory image opens little of the past.
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(Error::Ticketer)?;
        config.session_storage = ServerSessionMemoryCache::new(CACHED_SESSIONS);
        // A ticket is for one use (RFC 8446 §C.4), and a browser on HTTP/1.1 comes back with several connections at
        // once.
        config.send_tls13_tickets = 2;
    } else {
        // A client whose session is resumed is not verified again: its certificate would never expire, for every
        // resumption brings new tickets. It is shown anew on each connection. (Without a ticketer there are no tickets
        // of TLS 1.2, and those of 1.3 would name what is stored.)
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    // Early data can be replayed, and a replayed request would reach the backend with the victim's session.
    config.max_early_data_size = 0;
    // Nothing is said before the client has finished: HTTP has nothing to say before a request.
    config.send_half_rtt_data = false;
    // Full records: smaller ones show a first byte earlier on slow lines, but cost throughput on all others.
    config.max_fragment_size = None;
    Ok(config)
}

/// Every certificate with its key, the default first; or what is wrong with any of them.
fn read_certificates(settings: &Settings) -> Result<Vec<Certificate>, Error> {
    let (mut good, mut wrong) = (Vec::new(), Vec::new());
    for read in settings.pairs().map(read_certificate) {
        match read {
            Ok(certificate) => good.push(certificate),
            Err(error) => wrong.push(error),
        }
    }
    match wrong.pop() {
        None => Ok(good),
        Some(only) if wrong.is_empty() => Err(only),
        Some(last) => {
            wrong.push(last);
            Err(Error::Several(wrong))
        }
    }
}

fn read_certificate(pair: &Settings) -> Result<Certificate, Error> {
    // Both are read before either is judged by the other.
    let (chain, key) = (certificates(&pair.certificate)?, private_key(&pair.private_key)?);
    let certified = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider());
    let certified = certified.map_err(|error| unusable(pair, error))?;
    let told = certified.end_entity_cert().ok().and_then(|leaf| names_and_end(leaf));
    let bad = || unusable(pair, rustls::Error::InvalidCertificate(CertificateError::BadEncoding));
    let (names, at) = told.ok_or_else(bad)?;
    let expiry = Expiry { certificate: pair.certificate.clone(), at };
    Ok(Certificate { key: Arc::new(certified), names, expiry })
}

/// For which hosts a certificate is, and the last second in which it holds.
fn names_and_end(certificate: &[u8]) -> Option<(Vec<String>, i64)> {
    let (_, leaf) = X509Certificate::from_der(certificate).ok()?;
    let names = leaf.subject_alternative_name().ok()?;
    let names = names.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    Some((names.collect(), leaf.validity().not_after.timestamp()))
}

/// Each error on a line of its own, as reports have them.
fn lines(errors: &[Error]) -> String {
    let line = |error: &Error| match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    errors.iter().map(line).collect::<Vec<_>>().join("\nerror: ")
}

fn unusable(settings: &Settings, error: rustls::Error) -> Error {
    let Settings { certificate, private_key, .. } = settings.clone();
    match error {
        rustls::Error::InconsistentKeys(_) => Error::Mismatch { certificate, private_key },
        source => Error::Refused { certificate, source },
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = read(path)?;
    let chain = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| Error::Pem { path: path.into(), source })?;
    if chain.is_empty() {
        return Err(Error::NoCertificate { path: path.into() });
    }
    Ok(chain)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let text = zeroize::Zeroizing::new(read(path)?);
    // Before it is parsed: an encrypted key is damaged, or missing, to a parser that does not know it.
    if is_encrypted(&text) {
        return Err(Error::EncryptedKey { path: path.into() });
    }
    match PrivateKeyDer::from_pem_slice(&text) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) => Err(Error::NoKey { path: path.into() }),
        Err(source) => Err(Error::Pem { path: path.into(), source }),
    }
}

/// PKCS #8 says so in its label, OpenSSL's old format in a header line (RFC 1421 §4.6.1.1).
fn is_encrypted(text: &[u8]) -> bool {
    let has = |needle: &[u8]| text.windows(needle.len()).any(|window| window == needle);
    has(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || has(b"Proc-Type: 4,ENCRYPTED")
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Read { path: path.into(), source })
}
