//! A certificate for trying things out on this machine.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use zeroize::Zeroizing;

use super::Settings;

/// Where a file that is asked for comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was made now.
    Made,
    /// It was there, and is as it was.
    Kept,
}

/// A development certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Development {
    /// Where both are, as `server_config` takes them.
    pub settings: Settings,
    /// Whether the certificate was made now.
    pub certificate: Origin,
    /// Whether its key was made now.
    pub private_key: Origin,
}

/// Why there is no development certificate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or the directory could not be made or read.
    #[error("cannot make {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is a certificate but not its key. No key can be made for it, and nothing is ever overwritten.
    #[error("{} has no key beside it; remove it to have both made anew", certificate.display())]
    NoKey {
        /// The certificate.
        certificate: PathBuf,
    },
    /// The certificate could not be made: the key that is there is of no use, or there is no randomness.
    #[error("cannot make a certificate with the key {}", private_key.display())]
    Certificate {
        /// The key.
        private_key: PathBuf,
        /// What rcgen said.
        source: rcgen::Error,
    },
}

/// Makes `dev.crt` and `dev.key` in `dir` for localhost, or keeps what is there.
pub fn development(dir: &Path) -> Result<Development, Error> {
    let settings = Settings::pair(dir.join("dev.crt"), dir.join("dev.key"));
    let file = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::File { path, source }
    };
    let certificate = if exists(&settings.certificate)? { Origin::Kept } else { Origin::Made };
    let private_key = if exists(&settings.private_key)? { Origin::Kept } else { Origin::Made };
    if certificate == Origin::Made {
        DirBuilder::new().recursive(true).mode(0o755).create(dir).map_err(file(dir))?;
        let unusable = |source| Error::Certificate { private_key: settings.private_key.clone(), source };
        let key = if private_key == Origin::Kept {
            let text = std::fs::read_to_string(&settings.private_key).map_err(file(&settings.private_key))?;
            KeyPair::from_pem(&Zeroizing::new(text)).map_err(unusable)?
        } else {
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(unusable)?;
            let text = Zeroizing::new(key.serialize_pem());
            create(&settings.private_key, 0o600, text.as_bytes()).map_err(file(&settings.private_key))?;
            key
        };
        let text = params(SystemTime::now()).and_then(|params| params.self_signed(&key)).map_err(unusable)?.pem();
        create(&settings.certificate, 0o644, text.as_bytes()).map_err(file(&settings.certificate))?;
    } else if private_key == Origin::Made {
        return Err(Error::NoKey { certificate: settings.certificate });
    }
    Ok(Development { settings, certificate, private_key })
}

/// A leaf, not an authority: who trusts it trusts nothing but this machine's own names.
fn params(now: SystemTime) -> Result<CertificateParams, rcgen::Error> {
    const DAY: Duration = Duration::from_hours(24);
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let epoch = date_time_ymd(1970, 1, 1);
    let names = ["localhost", "*.localhost", "127.0.0.1", "::1"];
    let mut params = CertificateParams::new(names.map(str::to_owned))?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Session Gateway development");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Yesterday, for a clock that is a little behind. 397 days is the most that browsers take.
    params.not_before = epoch + now.saturating_sub(DAY);
    params.not_after = epoch + now + 395 * DAY;
    Ok(params)
}

fn exists(path: &Path) -> Result<bool, Error> {
    path.try_exists().map_err(|source| Error::File { path: path.into(), source })
}

/// Never over a file that is there, and with its mode from the first byte on.
fn create(path: &Path, mode: u32, text: &[u8]) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    let written = file.write_all(text).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a file would be kept ever after.
        let _ = std::fs::remove_file(path);
    }
    written
}
