//! The jar as fields with values, which is how stores keep it: one for each cookie.
//!
//! | | |
//! |---|---|
//! | field | `UPSTREAM␊DOMAIN␊h` (or `-` where hosts below get it, too) `␊PATH␊NAME` |
//! | of a cookie | `STAMP BORN EXPIRES` (or `-`) `kSN␊VALUE`: secure `s` or `-`; `d`, `n`, `l` or `s` for the same site |
//! | of a deletion | `STAMP 0 UNTIL x␊` |
//!
//! Neither part of a name nor a value holds a line feed. The script `edit.lua` reads and writes the same.

use super::{Changes, Jar, Kept, Name, SameSite, Slot, State, To};
use crate::session::UnixTime;

/// More digits than any number of ours has would be another number to a script.
const MOST_DIGITS: usize = 15;

/// What becomes of a cookie, as a script is told it.
#[derive(Debug)]
pub struct FieldChange {
    /// The cookie's field.
    pub field: Vec<u8>,
    /// `set`, `refresh` or `delete`.
    pub verb: &'static str,
    /// What follows stamp and birth in the value.
    pub rest: Vec<u8>,
}

impl Jar {
    /// Every slot's field and value.
    pub fn fields(&self) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
        self.slots().iter().map(|slot| {
            let value = match &slot.state {
                State::Kept { kept, born } => [format!("{} {born} ", slot.stamp).into_bytes(), rest(kept)].concat(),
                State::Deleted { until } => format!("{} 0 {} x\n", slot.stamp, until.0).into_bytes(),
            };
            (field(&slot.name), value)
        })
    }

    /// The jar that has these fields, in whatever order; none where they are not what [`Jar::fields`] gives.
    pub fn from_fields<'a>(fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Option<Self> {
        let mut slots = fields.into_iter().map(|(field, value)| read(field, value)).collect::<Option<Vec<_>>>()?;
        slots.sort_by(|a, b| a.name.cmp(&b.name));
        let distinct = slots.windows(2).all(|pair| pair[0].name != pair[1].name);
        distinct.then(|| slots.into())
    }
}

impl Changes {
    /// Every cookie's field and what becomes of it.
    pub fn fields(&self) -> impl Iterator<Item = FieldChange> {
        self.iter().map(|(name, to)| {
            let (verb, rest) = match to {
                To::Set(kept) => ("set", rest(kept)),
                To::Refreshed(kept) => ("refresh", rest(kept)),
                To::Deleted => ("delete", Vec::new()),
            };
            FieldChange { field: field(name), verb, rest }
        })
    }
}

fn field(name: &Name) -> Vec<u8> {
    let Name { upstream, domain, host_only, path, name } = name;
    let host_only: &[u8] = if *host_only { b"h" } else { b"-" };
    [upstream.as_bytes(), domain.as_bytes(), host_only, path, name].join(&b'\n')
}

fn rest(kept: &Kept) -> Vec<u8> {
    let expires = kept.expires.map_or_else(|| "-".to_owned(), |expires| expires.0.to_string());
    let secure = if kept.secure { 's' } else { '-' };
    let same_site = match kept.same_site {
        SameSite::Default => 'd',
        SameSite::None => 'n',
        SameSite::Lax => 'l',
        SameSite::Strict => 's',
    };
    [format!("{expires} k{secure}{same_site}\n").as_bytes(), &kept.value].concat()
}

fn read(field: &[u8], value: &[u8]) -> Option<Slot> {
    let mut parts = field.split(|byte| *byte == b'\n');
    let mut part = || parts.next();
    let text = |part: &[u8]| std::str::from_utf8(part).ok().map(Into::into);
    let (upstream, domain) = (text(part()?)?, text(part()?)?);
    let host_only = flag(part()?, b"h")?;
    let name = Name { upstream, domain, host_only, path: part()?.into(), name: part()?.into() };
    if part().is_some() {
        return None;
    }
    let end = memchr::memchr(b'\n', value)?;
    let (head, value) = (std::str::from_utf8(&value[..end]).ok()?, &value[end + 1..]);
    let mut words = head.split(' ');
    let mut word = || words.next();
    let stamp = u32::try_from(number(word()?)?).ok()?;
    let (born, expires, kind) = (number(word()?)?, word()?, word()?);
    let state = match kind.as_bytes() {
        b"x" if value.is_empty() && born == 0 => State::Deleted { until: UnixTime(number(expires)?) },
        [b'k', secure, same_site] => State::Kept {
            kept: Kept {
                value: value.into(),
                expires: if expires == "-" { None } else { Some(UnixTime(number(expires)?)) },
                secure: flag(&[*secure], b"s")?,
                same_site: match same_site {
                    b'd' => SameSite::Default,
                    b'n' => SameSite::None,
                    b'l' => SameSite::Lax,
                    b's' => SameSite::Strict,
                    _ => return None,
                },
            },
            born,
        },
        _ => return None,
    };
    let is_sendable = |text: &[u8]| !text.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n'));
    let whole = word().is_none() && is_sendable(value) && is_sendable(&name.name);
    whole.then_some(Slot { name, stamp, state })
}

fn flag(text: &[u8], set: &[u8]) -> Option<bool> {
    if text == set { Some(true) } else { (text == b"-").then_some(false) }
}

fn number(text: &str) -> Option<u64> {
    let is_number = text.len() <= MOST_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name() -> impl Strategy<Value = Name> {
        let text = || {
            proptest::collection::vec(any::<u8>().prop_filter("no line feed", |byte| !b"\n\r\0".contains(byte)), 0..8)
        };
        ("[a-z]{1,3}", "[a-z.]{1,8}", any::<bool>(), text(), text()).prop_map(
            |(upstream, domain, host_only, path, name)| {
                let (upstream, domain) = (upstream.into(), domain.into());
                Name { upstream, domain, host_only, path: path.into(), name: name.into() }
            },
        )
    }

    fn to() -> impl Strategy<Value = To> {
        let same_site = [SameSite::Default, SameSite::None, SameSite::Lax, SameSite::Strict];
        let value =
            proptest::collection::vec(any::<u8>().prop_filter("sendable", |byte| !b"\n\r\0".contains(byte)), 0..8);
        let kept = (value, proptest::option::of(1_000..2_000_u64), any::<bool>(), 0..4_usize).prop_map(
            move |(value, expires, secure, index)| Kept {
                value: value.into(),
                expires: expires.map(UnixTime),
                secure,
                same_site: same_site[index],
            },
        );
        prop_oneof![kept.clone().prop_map(To::Set), kept.prop_map(To::Refreshed), Just(To::Deleted)]
    }

    proptest! {
        #[test]
        fn fields_read_back(list in proptest::collection::vec((name(), to()), 0..12), stamp: u32) {
            let mut changes = Changes::new(None, UnixTime(500), UnixTime(600));
            for (name, to) in list {
                changes.push(name, to);
            }
            let jar = Jar::default().changed(&changes, stamp).unwrap();
            let fields: Vec<_> = jar.fields().collect();
            let backwards = fields.iter().rev().map(|(field, value)| (&**field, &**value));
            prop_assert!(Jar::from_fields(backwards).is_some_and(|read| read == jar));
        }

        #[test]
        fn any_fields_are_read_without_a_panic(field: Vec<u8>, value: Vec<u8>, head in "[0-9kx -]{0,20}\n?") {
            drop(Jar::from_fields([(&*field, &*value)]));
            drop(Jar::from_fields([(&b"app\nhost\nh\n/\nname"[..], head.as_bytes())]));
        }
    }

    #[test]
    fn what_is_damaged_is_not_read() {
        let good = &b"app\nhost\nh\n/\nname"[..];
        let read = |field: &[u8], value: &[u8]| Jar::from_fields([(field, value)]).is_some();
        assert!(read(good, b"1 256 - kss\nvalue") && read(good, b"1 0 9 x\n"));
        for value in [
            &b""[..],
            b"1 256 - kss",
            b"1 256 - kss\na\nb",
            b"1 256 - kss\na\rb",
            b"1 256 - ksx\n",
            b"1 256 - k?s\n",
            b"1 256 kss\n",
            b"1 256 - - kss\n",
            b"-1 256 - kss\n",
            b"4294967296 256 - kss\n",
            b"1 256 9999999999999999 kss\n",
            b"1 0 - x\n",
            b"1 0 9 x\nvalue",
            b"1 7 9 x\n",
        ] {
            assert!(!read(good, value), "{}", value.escape_ascii());
        }
        for field in [
            &b""[..],
            b"app\nhost\nh\n/",
            b"app\nhost\nq\n/\nname",
            b"app\nhost\nh\n/\nname\nmore",
            b"\xff\nhost\nh\n/\nname",
        ] {
            assert!(!read(field, b"1 256 - kss\nvalue"), "{}", field.escape_ascii());
        }
        let twice = [(good, &b"1 0 9 x\n"[..]), (good, b"1 0 8 x\n")];
        assert!(Jar::from_fields(twice).is_none());
    }
}
