//! The ticket: what our cookie carries, signed and opaque.
//!
//! ```text
//! version u8 = 1 │ kind u8 │ key id u8 │ issued_at u40 (Unix seconds) │ secret [32] │ mac [32]
//! ```
//!
//! base64url without padding: 96 characters, none of which needs quoting in a cookie.

use std::cell::RefCell;
use std::fmt;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{KeyRing, UnixTime};

/// Characters of a ticket in a cookie.
pub const LENGTH: usize = 96;
const BYTES: usize = 72;
const SIGNED: usize = 40;
const VERSION: u8 = 1;

/// A ticket whose signature holds.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// Whether anything may be stored under it.
    pub kind: Kind,
    /// When its secret was issued.
    pub issued_at: UnixTime,
    /// What it proves knowledge of.
    pub secret: Secret,
}

/// What a ticket claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing is stored; the store is not asked.
    Guest,
    /// A stored record may be named by it.
    Session,
}

/// A ticket and the place in the ring of the key that signed it.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The ticket.
    pub ticket: Ticket,
    /// The signing key's place in the ring; anything but 0 wants re-signing.
    pub key: usize,
}

/// Why a cookie value is no ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Wrong length, alphabet, version or kind.
    #[error("malformed")]
    Malformed,
    /// Signed by a key that is not in the ring.
    #[error("unknown key")]
    UnknownKey,
    /// The signature does not hold.
    #[error("bad signature")]
    Forged,
}

/// What tickets are read with: whatever instructions the machine has for it.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
static BASE64URL: LazyLock<base64::engine::Simd> =
    LazyLock::new(|| base64::engine::Simd::url_safe(base64::engine::general_purpose::NO_PAD));
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
static BASE64URL: LazyLock<base64::engine::GeneralPurpose> = LazyLock::new(|| URL_SAFE_NO_PAD);

impl Ticket {
    /// Reads a cookie value. No store is asked and nothing is allocated.
    pub fn verify(value: &[u8], ring: &KeyRing) -> Result<Verified, Refusal> {
        if value.len() != LENGTH {
            return Err(Refusal::Malformed);
        }
        let mut bytes = Zeroizing::new([0; BYTES]);
        BASE64URL.decode_slice(value, bytes.as_mut()).map_err(|_| Refusal::Malformed)?;
        let kind = match (bytes[0], bytes[1]) {
            (VERSION, 0) => Kind::Guest,
            (VERSION, 1) => Kind::Session,
            _ => return Err(Refusal::Malformed),
        };
        let (signed, mac) = bytes.split_at(SIGNED);
        let mut refusal = Refusal::UnknownKey;
        for key in ring.candidates(signed[2]) {
            // Constant time, and the whole MAC (RFC 2104 section 5 allows truncation; we do not use it).
            if ring.mac(key, signed).verify_slice(mac).is_ok() {
                let issued_at = signed[3..8].iter().fold(0, |seconds, byte| seconds << 8 | u64::from(*byte));
                let mut secret = Secret([0; 32]);
                secret.0.copy_from_slice(&signed[8..]);
                return Ok(Verified { ticket: Self { kind, issued_at: UnixTime(issued_at), secret }, key });
            }
            refusal = Refusal::Forged;
        }
        Err(refusal)
    }

    /// Signs it with the ring's first key, as a cookie value.
    pub fn sign(&self, ring: &KeyRing) -> Signed {
        let mut bytes = Zeroizing::new([0; BYTES]);
        bytes[0] = VERSION;
        bytes[1] = match self.kind {
            Kind::Guest => 0,
            Kind::Session => 1,
        };
        bytes[2] = ring.id(0);
        bytes[3..8].copy_from_slice(&self.issued_at.0.to_be_bytes()[3..]);
        bytes[8..SIGNED].copy_from_slice(&self.secret.0);
        let mac = ring.mac(0, &bytes[..SIGNED]).finalize().into_bytes();
        bytes[SIGNED..].copy_from_slice(&mac);
        let mut value = [0; LENGTH];
        URL_SAFE_NO_PAD.encode_slice(bytes.as_ref(), &mut value).expect("72 bytes are 96 characters");
        Signed(value)
    }
}

/// A signed ticket as a cookie value. Whoever has it has the session: it is shown nowhere else.
#[derive(Clone, PartialEq, Eq)]
pub struct Signed([u8; LENGTH]);

impl Signed {
    /// The cookie value.
    pub fn as_bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signed(..)")
    }
}

/// 32 random bytes that a browser alone holds.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Secret([u8; 32]);

impl Secret {
    /// A new one from the operating system's generator.
    pub fn random() -> Self {
        /// Secrets drawn at once: a system call for each would be a third of what a new visitor costs.
        const DRAWN: usize = 64;
        thread_local! {
            static POOL: RefCell<Vec<Secret>> = const { RefCell::new(Vec::new()) };
        }
        POOL.with_borrow_mut(|pool| {
            pool.pop().unwrap_or_else(|| {
                let mut bytes = Zeroizing::new([0; 32 * DRAWN]);
                // The kernel's generator cannot fail once it has been seeded, which it has before any service starts.
                getrandom::fill(bytes.as_mut()).expect("the operating system gives random bytes");
                let (secrets, _) = bytes.as_chunks::<32>();
                pool.extend(secrets.iter().map(|secret| Self(*secret)));
                pool.pop().expect("more than one was drawn")
            })
        })
    }

    /// The key its record is stored under, which does not lead back to it.
    pub fn store_key(&self) -> StoreKey {
        let hash = Sha256::digest(self.0);
        let mut key = [0; 16];
        key.copy_from_slice(&hash[..16]);
        StoreKey(key)
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Secret {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Where a session is stored: the first 128 bits of SHA-256(secret), so that a dump of the store is not a set of
/// credentials. Half the hash is as hard to invert for a secret of 256 bits, and halves what a million keys take.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreKey(pub(super) [u8; 16]);

impl StoreKey {
    /// The smallest key, where a range over keys begins.
    pub const FIRST: Self = Self([0; 16]);

    /// It as a store may write it down.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<[u8; 16]> for StoreKey {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreKey(..)")
    }
}

/// What backends, operators and the API call a session: 16 bytes, written as 22 characters of base64url.
///
/// It is the store key the session was born under. It stays while periodic renewal moves the session to other keys, and
/// changes with privilege, when the session moves to an unrelated secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicId([u8; 16]);

impl PublicId {
    /// Characters of its text form.
    pub const LENGTH: usize = 22;

    /// Its text form.
    pub fn text(&self) -> [u8; Self::LENGTH] {
        let mut text = [0; Self::LENGTH];
        URL_SAFE_NO_PAD.encode_slice(self.0, &mut text).expect("16 bytes are 22 characters");
        text
    }

    /// Reads the text form; nothing else is an id.
    pub fn parse(text: impl AsRef<[u8]>) -> Option<Self> {
        let mut bytes = [0; 16];
        let written = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        (written == 16).then_some(Self(bytes))
    }

    /// The store key that a session has which was never renewed.
    pub fn first_key(&self) -> StoreKey {
        StoreKey(self.0)
    }

    pub(super) fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<StoreKey> for PublicId {
    fn from(key: StoreKey) -> Self {
        Self(key.0)
    }
}

impl fmt::Display for PublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).expect("base64url is ASCII"))
    }
}

impl fmt::Debug for PublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicId(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::entry::Renewed;
    use crate::session::keys::KeyError;
    use proptest::prelude::*;

    fn ring(keys: &[&[u8]]) -> KeyRing {
        KeyRing::new(keys, "__Host-sid").unwrap()
    }

    fn ticket(kind: Kind) -> Ticket {
        Ticket { kind, issued_at: UnixTime(1_800_000_000), secret: Secret([7; 32]) }
    }

    #[test]
    fn a_ticket_is_96_characters_that_need_no_quoting() {
        let value = ticket(Kind::Guest).sign(&ring(&[&[1; 32]]));
        assert!(value.as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')));
    }

    #[test]
    fn every_key_verifies_and_the_first_signs() {
        let (old, new): (&[u8], &[u8]) = (&[1; 32], &[2; 40]);
        let value = ticket(Kind::Session).sign(&ring(&[old]));
        let rolled = Ticket::verify(value.as_bytes(), &ring(&[new, old])).unwrap();
        assert_eq!((rolled.key, rolled.ticket.kind), (1, Kind::Session));
        assert_eq!(Ticket::verify(value.as_bytes(), &ring(&[new])).unwrap_err(), Refusal::UnknownKey);
    }

    #[test]
    fn a_ticket_of_another_cookie_is_forged() {
        let value = ticket(Kind::Session).sign(&KeyRing::new(&[[1; 32]], "sid").unwrap());
        assert_eq!(Ticket::verify(value.as_bytes(), &ring(&[&[1; 32]])).unwrap_err(), Refusal::Forged);
    }

    #[test]
    fn keys_that_are_short_missing_or_repeated_are_refused() {
        assert_eq!(KeyRing::new::<[u8; 32]>(&[], "sid").unwrap_err(), KeyError::Missing);
        assert_eq!(KeyRing::new(&[[0; 31]], "sid").unwrap_err(), KeyError::TooShort { index: 0, length: 31 });
        assert_eq!(KeyRing::new(&[[3; 32], [3; 32]], "sid").unwrap_err(), KeyError::Repeated { index: 1 });
    }

    #[test]
    fn secrets_and_ids_never_show_in_debug() {
        let ticket = ticket(Kind::Session);
        let shown =
            format!("{ticket:?} {:?} {:?}", ticket.sign(&ring(&[&[1; 32]])), PublicId::from(ticket.secret.store_key()));
        assert_eq!(
            shown,
            "Ticket { kind: Session, issued_at: UnixTime(1800000000), secret: Secret(..) } Signed(..) PublicId(..)"
        );
    }

    #[test]
    fn the_renewed_secret_is_found_under_whichever_key_derived_it() {
        let (old, new): (&[u8], &[u8]) = (&[1; 32], &[2; 32]);
        let secret = Secret([9; 32]);
        let next = ring(&[old, new]).next_secret(&secret, UnixTime(5));
        let renewed = |to, issued_at| Renewed { to, issued_at: UnixTime(issued_at), until: UnixTime(9) };
        assert_eq!(ring(&[new, old]).follow(&secret, &renewed(next.store_key(), 5)), Some(next.clone()));
        assert_eq!(ring(&[new, old]).follow(&secret, &renewed(next.store_key(), 6)), None);
        assert_eq!(ring(&[new, old]).follow(&secret, &renewed(secret.store_key(), 5)), None);
    }

    proptest! {
        #[test]
        fn what_is_signed_verifies(session: bool, seconds in 0..1u64 << 40, secret: [u8; 32], key: [u8; 32]) {
            let ring = ring(&[&key]);
            let kind = if session { Kind::Session } else { Kind::Guest };
            let value = Ticket { kind, issued_at: UnixTime(seconds), secret: Secret(secret) }.sign(&ring);
            let read = Ticket::verify(value.as_bytes(), &ring).unwrap();
            prop_assert_eq!((read.key, read.ticket.kind, read.ticket.issued_at), (0, kind, UnixTime(seconds)));
            prop_assert_eq!(read.ticket.secret, Secret(secret));
        }

        #[test]
        fn any_changed_character_refuses_the_ticket(at in 0..LENGTH, to: u8) {
            let ring = ring(&[&[1; 32]]);
            let value = ticket(Kind::Guest).sign(&ring);
            let mut changed = *value.as_bytes();
            prop_assume!(changed[at] != to);
            changed[at] = to;
            prop_assert!(Ticket::verify(&changed, &ring).is_err());
        }

        #[test]
        fn any_bytes_are_refused_without_a_panic(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Ticket::verify(&value, &ring(&[&[1; 32]])).is_err());
        }

        #[test]
        fn public_ids_read_back(bytes: [u8; 16]) {
            let id = PublicId(bytes);
            prop_assert_eq!(PublicId::parse(id.to_string()), Some(id));
        }
    }
}
