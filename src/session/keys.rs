//! The key ring: every signing key, and what is derived from it.
//!
//! A configured key is never used as it is: HKDF-SHA-256 (RFC 5869) derives one key per purpose from it.

use std::fmt;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::UnixTime;
use super::entry::Renewed;
use super::ticket::Secret;

type HmacSha256 = Hmac<Sha256>;

/// The shortest key accepted, in bytes.
pub const SHORTEST_KEY: usize = 32;

/// Every key that verifies tickets, in the configured order; the first signs.
#[derive(Clone)]
pub struct KeyRing {
    keys: Vec<Key>,
    log: HmacSha256,
}

#[derive(Clone)]
struct Key {
    id: u8,
    /// Keyed, and already fed the label and the cookie's name: a ticket costs a clone and one block.
    ticket: HmacSha256,
    renewal: HmacSha256,
}

/// Why a key ring could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No key at all.
    #[error("no key is configured")]
    Missing,
    /// A key, counted from zero, has too few bytes.
    #[error("it has {length} bytes; at least {SHORTEST_KEY} are needed")]
    TooShort {
        /// Its place in the list.
        index: usize,
        /// Its length in bytes.
        length: usize,
    },
    /// A key, counted from zero, stands in the list already.
    #[error("it is the same key as an earlier one")]
    Repeated {
        /// Its place in the list.
        index: usize,
    },
    /// The cookie's name does not fit its one length byte.
    #[error("the cookie's name is longer than 255 bytes")]
    CookieName,
}

impl KeyRing {
    /// A ring for one cookie's tickets. Tickets of a cookie with another name do not verify, whatever the key.
    pub fn new<K: AsRef<[u8]>>(keys: &[K], cookie: &str) -> Result<Self, KeyError> {
        let name_length = u8::try_from(cookie.len()).map_err(|_| KeyError::CookieName)?;
        for (index, key) in keys.iter().enumerate() {
            let key = key.as_ref();
            if key.len() < SHORTEST_KEY {
                return Err(KeyError::TooShort { index, length: key.len() });
            }
            if keys[..index].iter().any(|earlier| earlier.as_ref() == key) {
                return Err(KeyError::Repeated { index });
            }
        }
        let first = keys.first().ok_or(KeyError::Missing)?;
        let ring = keys
            .iter()
            .map(|key| {
                let source = Hkdf::<Sha256>::new(None, key.as_ref());
                let mut ticket = derived(&source, b"session-gateway ticket");
                // Short on purpose: with a usual cookie name, everything that is hashed fits one block.
                ticket.update(b"tk1");
                ticket.update(&[name_length]);
                ticket.update(cookie.as_bytes());
                let mut id = [0];
                source.expand(b"session-gateway key id", &mut id).expect("one byte is a valid HKDF length");
                Key { id: id[0], ticket, renewal: derived(&source, b"session-gateway renewal") }
            })
            .collect();
        let log = derived(&Hkdf::<Sha256>::new(None, first.as_ref()), b"session-gateway log");
        Ok(Self { keys: ring, log })
    }

    /// How many keys verify.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Never true: a ring has at least one key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The id that tickets signed by the key at `index` carry, the same in every gateway and in every order.
    pub fn id(&self, index: usize) -> u8 {
        self.keys[index].id
    }

    /// The keys that a ticket with this id may be signed by. More than one only where two ids happen to be the same.
    pub(super) fn candidates(&self, id: u8) -> impl Iterator<Item = usize> {
        self.keys.iter().enumerate().filter(move |(_, key)| key.id == id).map(|(index, _)| index)
    }

    pub(super) fn mac(&self, index: usize, signed: &[u8]) -> HmacSha256 {
        let mut mac = self.keys[index].ticket.clone();
        mac.update(signed);
        mac
    }

    /// The secret that follows `secret` at its periodic renewal, under the signing key. The time `secret` was issued
    /// goes into it, lest two sessions that a guest's ticket gave birth to one after the other are renewed into one.
    pub fn next_secret(&self, secret: &Secret, issued_at: UnixTime) -> Secret {
        self.next_secret_under(0, secret, issued_at)
    }

    /// The same where the store says where the session is: another gateway may have renewed it under another key.
    pub fn follow(&self, secret: &Secret, renewed: &Renewed) -> Option<Secret> {
        let mut under = (0..self.keys.len()).map(|index| self.next_secret_under(index, secret, renewed.issued_at));
        under.find(|next| next.store_key() == renewed.to)
    }

    fn next_secret_under(&self, index: usize, secret: &Secret, issued_at: UnixTime) -> Secret {
        let mut mac = self.keys[index].renewal.clone();
        mac.update(secret.as_bytes());
        mac.update(&issued_at.0.to_be_bytes());
        Secret::from(<[u8; 32]>::from(mac.finalize().into_bytes()))
    }

    /// Eight hexadecimal digits that tell sessions apart in a log and lead nowhere else.
    pub fn log_hash(&self, id: &super::PublicId) -> LogHash {
        let mut mac = self.log.clone();
        mac.update(id.as_bytes());
        let bytes = mac.finalize().into_bytes();
        LogHash(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }
}

fn derived(source: &Hkdf<Sha256>, label: &[u8]) -> HmacSha256 {
    let mut key = zeroize::Zeroizing::new([0; 32]);
    source.expand(label, key.as_mut()).expect("32 bytes is a valid HKDF length");
    HmacSha256::new_from_slice(key.as_ref()).expect("HMAC takes keys of any length")
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

/// What a log shows of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogHash(u32);

impl fmt::Display for LogHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}
