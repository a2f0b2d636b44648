//! What one response may ask of the session, and what is malformed about it.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;

use super::{data, jar};

/// The longest user name, in bytes.
pub const LONGEST_USER: usize = 256;

/// Everything one response asks.
#[derive(Clone, Default)]
pub struct Change {
    /// What becomes of the session as it stands.
    pub edit: Edit,
    /// Who logs in.
    pub user: Option<Box<str>>,
    /// Whether it gets a new ticket and id, with the same data.
    pub renew: bool,
    /// Whether the renewal is for a login of the backend's own, which passes with a dead ticket, too.
    pub is_login: bool,
    /// Which sessions end.
    pub end: Option<End>,
}

impl Change {
    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.edit.is_empty() && self.user.is_none() && !self.renew && self.end.is_none()
    }
}

/// Not who logs in: a log may show this.
impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change")
            .field("edit", &self.edit)
            .field("has_user", &self.user.is_some())
            .field("renew", &self.renew)
            .field("is_login", &self.is_login)
            .field("end", &self.end)
            .finish()
    }
}

/// What changes in a session that stays the same session.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    /// Keys to set and remove.
    pub patch: Option<Patch>,
    /// Whether its cookie is to outlive the browser.
    pub persist: Option<bool>,
    /// What becomes of the backend's own cookies.
    pub jar: Option<Box<jar::Changes>>,
}

impl Edit {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.patch.is_none() && self.persist.is_none() && self.jar.is_none()
    }

    /// Whether a session could be born of it: something is set, not only removed.
    pub fn keeps_something(&self) -> bool {
        self.patch.as_ref().is_some_and(|patch| patch.iter().any(|(_, value)| value.is_some()))
            || self.jar.as_ref().is_some_and(|jar| jar.keeps_something())
    }
}

/// Which of a user's sessions end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The one at hand.
    This,
    /// The user's other ones.
    Others,
    /// All of the user's, the one at hand included.
    All,
}

/// Why a response's session headers cannot be followed. Shown in logs: it quotes nothing of the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The patch is no JSON object in UTF-8.
    #[error("it is not one JSON object in UTF-8 (escape other characters as \\uXXXX)")]
    Patch,
    /// The user name is empty, too long, no UTF-8 or holds control characters.
    #[error("a user is 1 to {LONGEST_USER} bytes of UTF-8 without control characters")]
    User,
    /// None of the three words.
    #[error("expected this, others or all")]
    End,
    /// Neither of the two words, or for renewal not `true`.
    #[error("expected true")]
    Renew,
    /// Neither of the two words.
    #[error("expected true or false")]
    Persist,
    /// The header came twice.
    #[error("it came more than once")]
    Repeated,
    /// A header of our prefix that means nothing.
    #[error("there is no such header")]
    Unknown,
    /// A login and the end of the session it would log in.
    #[error("a response cannot both log a user in and end this session")]
    Contradiction,
}

/// Keys to set and to remove, each value as it was written.
#[derive(Clone, Default)]
pub struct Patch(BTreeMap<String, Option<Box<RawValue>>>);

impl Patch {
    /// Reads the header's value: one JSON object, where `null` removes a key. Of a repeated key the last counts.
    pub fn parse(value: &[u8]) -> Result<Self, Malformed> {
        // `Option` reads null as None, which is what it means here.
        let patch: Self = serde_json::from_slice(value).map(Self).map_err(|_| Malformed::Patch)?;
        if patch.iter().any(|(_, value)| value.is_some_and(|value| has_lone_surrogate(value.get()))) {
            return Err(Malformed::Patch);
        }
        Ok(patch)
    }

    /// Every key, with its new value or none where it is removed.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&RawValue>)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_deref()))
    }

    /// The same, both as they stand in a session's data, the key without its quotes.
    pub fn fields(&self) -> impl Iterator<Item = (String, Option<String>)> {
        self.iter().map(|(key, value)| (data::escaped(key), value.map(|value| data::ascii(value.get()))))
    }

    /// About how many bytes its keys and values take as JSON.
    pub fn size(&self) -> usize {
        self.iter().map(|(key, value)| key.len() + value.map_or(0, |value| value.get().len()) + 6).sum()
    }
}

/// Whether a string in this JSON text holds half of a surrogate pair, which is no character: the next backend that
/// reads it may refuse the whole session for it (RFC 8259 section 8.2).
fn has_lone_surrogate(json: &str) -> bool {
    let mut rest = json;
    let mut high = false;
    while let Some(at) = rest.find('\\') {
        let (low_next, escape) = (high && at == 0, &rest[at + 1..]);
        let unit = escape.strip_prefix('u').and_then(|unit| u16::from_str_radix(unit.get(..4)?, 16).ok());
        let low = matches!(unit, Some(0xdc00..=0xdfff));
        if low != low_next && (low || high) {
            return true;
        }
        high = matches!(unit, Some(0xd800..=0xdbff));
        rest = &escape[if unit.is_some() { 5 } else { escape.chars().next().map_or(0, char::len_utf8) }..];
    }
    high
}

/// The number of keys alone: values are the backend's.
impl fmt::Debug for Patch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Patch({} keys)", self.0.len())
    }
}

/// Reads a user's name.
pub fn user(value: &[u8]) -> Result<Box<str>, Malformed> {
    let name = std::str::from_utf8(value).map_err(|_| Malformed::User)?;
    let fits = !name.is_empty() && name.len() <= LONGEST_USER && !name.chars().any(char::is_control);
    if fits { Ok(name.into()) } else { Err(Malformed::User) }
}

/// Reads which sessions end.
pub fn end(value: &[u8]) -> Result<End, Malformed> {
    match value {
        b"this" => Ok(End::This),
        b"others" => Ok(End::Others),
        b"all" => Ok(End::All),
        _ => Err(Malformed::End),
    }
}

/// Reads a request for renewal, which is `true` or not made at all.
pub fn renew(value: &[u8]) -> Result<bool, Malformed> {
    if value == b"true" { Ok(true) } else { Err(Malformed::Renew) }
}

/// Reads whether the cookie is to outlive the browser.
pub fn persist(value: &[u8]) -> Result<bool, Malformed> {
    match value {
        b"true" => Ok(true),
        b"false" => Ok(false),
        _ => Err(Malformed::Persist),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_a_json_object_is_a_patch() {
        for malformed in ["", "null", "[]", "1", "{", "{}{}", "{\"a\":}", "{a:1}", "\u{feff}{}", "{\"a\":1,}"] {
            assert_eq!(Patch::parse(malformed.as_bytes()).unwrap_err(), Malformed::Patch, "{malformed}");
        }
        assert_eq!(Patch::parse(b"{\"a\":\"\xe9\"}").unwrap_err(), Malformed::Patch);
        assert!(Patch::parse(b" {} ").unwrap().iter().next().is_none());
    }

    #[test]
    fn half_a_surrogate_pair_is_no_character() {
        for (value, fits) in [
            (r#""\ud83d\ude00""#, true),
            (r#""\\ud800""#, true),
            (r#""\\\\ud800""#, true),
            (r#""a\u00e9\n""#, true),
            (r#""\ud83d\ude00\ud83d\ude00""#, true),
            (r#""\ud800""#, false),
            (r#""\udc00""#, false),
            (r#""\ud800x\udc00""#, false),
            (r#""\ud800\ud800\udc00""#, false),
            (r#""\ud800\n""#, false),
            (r#"["\ud800","\udc00"]"#, false),
            (r#""\\\ud800""#, false),
        ] {
            assert_eq!(Patch::parse(format!(r#"{{"a":{value}}}"#).as_bytes()).is_ok(), fits, "{value}");
        }
    }

    #[test]
    fn of_a_repeated_key_the_last_counts() {
        let patch = Patch::parse(br#"{"a":1,"a":null}"#).unwrap();
        assert!(matches!(patch.iter().collect::<Vec<_>>()[..], [("a", None)]));
    }

    #[test]
    fn a_patch_nested_beyond_reason_is_no_stack_overflow() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        drop(Patch::parse(deep.as_bytes()));
    }

    #[test]
    fn users_are_short_printable_utf8() {
        assert_eq!(&*user("j\u{f6}rg@example.com".as_bytes()).unwrap(), "j\u{f6}rg@example.com");
        for malformed in [&b""[..], b"a\tb", b"\xe9", b"a\x7f", &[b'a'; LONGEST_USER + 1]] {
            assert_eq!(user(malformed).unwrap_err(), Malformed::User);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(value in proptest::collection::vec(any::<u8>(), 0..64)) {
            drop(Patch::parse(&value));
            let _ = (user(&value), end(&value), renew(&value), persist(&value));
        }
    }
}
