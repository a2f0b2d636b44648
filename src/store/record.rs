//! An entry as the fields of a Redis hash, and back.
//!
//! | field | value |
//! |---|---|
//! | `m` | what the entry is, in words, behind the version of this format: see [`meta`] |
//! | `u` | the user, where one is logged in |
//! | `c:NAME` | one cookie of a backend's, or that it was deleted: see `session/jar/fields.rs` |
//! | `d:KEY` | one key of the session's data, and its JSON text; as in the text itself, the key's escapes included |
//!
//! The scripts under `redis/` read and write the same fields. Whatever else a hash has is left alone.

use std::sync::Arc;

use crate::session::entry::Renewed;
use crate::session::{Data, Entry, Jar, PublicId, Session, StoreKey, UnixTime};

/// Why a stored record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// It is no hash.
    #[error("it has another type than ours")]
    Type,
    /// Its first field is missing, of a version that we do not know, or damaged.
    #[error("its version is unknown, or its fields are damaged")]
    Meta,
    /// The user is no text.
    #[error("its user is not UTF-8")]
    User,
    /// The data is not what we write.
    #[error("its data is not JSON in ASCII")]
    Data,
    /// A cookie is not what we write.
    #[error("one of its cookies is damaged")]
    Jar,
}

/// A key in text: 22 characters of base64url.
pub(super) fn key(key: &StoreKey) -> [u8; PublicId::LENGTH] {
    PublicId::from(*key).text()
}

/// Reads the text form.
pub(super) fn read_key(text: &[u8]) -> Option<StoreKey> {
    PublicId::parse(text).map(|id| id.first_key())
}

/// What an entry is, as its field `m` says it: `1 live ID CREATED SEEN ISSUED VERSION p|- FROM|-`,
/// `1 renewed TO ISSUED UNTIL`, `1 superseded UNTIL` or `1 ended UNTIL`.
pub(crate) fn meta(entry: &Entry) -> String {
    match entry {
        Entry::Live(session) => live(session),
        Entry::Renewed(renewed) => {
            let to = PublicId::from(renewed.to);
            format!("1 renewed {to} {} {}", renewed.issued_at.0, renewed.until.0)
        }
        Entry::Superseded { until } => format!("1 superseded {}", until.0),
        Entry::Ended { until } => format!("1 ended {}", until.0),
    }
}

/// The same of a session.
pub(super) fn live(session: &Session) -> String {
    let Session { id, created, last_seen, issued_at, version, persistent, .. } = session;
    let persistent = if *persistent { 'p' } else { '-' };
    let from = session.renewed_from.as_ref().map_or_else(|| "-".to_owned(), |key| PublicId::from(**key).to_string());
    format!("1 live {id} {} {} {} {version} {persistent} {from}", created.0, last_seen.0, issued_at.0)
}

/// A hash's fields, with their values.
pub(crate) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// The entry in a hash's fields; none where there are none.
pub(crate) fn read(fields: &[(Vec<u8>, Vec<u8>)]) -> Result<Option<Entry>, Flaw> {
    if fields.is_empty() {
        return Ok(None);
    }
    let of = |name: &[u8]| fields.iter().find(|(field, _)| field == name).map(|(_, value)| &**value);
    let mut entry = read_meta(of(b"m").ok_or(Flaw::Meta)?)?;
    if let Entry::Live(session) = &mut entry {
        let session = Arc::make_mut(session);
        session.user = of(b"u").map(|user| str::from_utf8(user).map(Into::into)).transpose().map_err(|_| Flaw::User)?;
        let data = fields.iter().filter_map(|(field, value)| Some((field.strip_prefix(b"d:")?, &**value)));
        session.data = Data::from_fields(data).ok_or(Flaw::Data)?;
        let cookies = fields.iter().filter_map(|(field, value)| Some((field.strip_prefix(b"c:")?, &**value)));
        session.jar = Jar::from_fields(cookies).ok_or(Flaw::Jar)?;
    }
    Ok(Some(entry))
}

/// The entry that the field `m` tells; a session's user and data are in others.
pub(super) fn read_meta(meta: &[u8]) -> Result<Entry, Flaw> {
    let mut words = meta.split(|byte| *byte == b' ');
    if words.next() != Some(b"1") {
        return Err(Flaw::Meta);
    }
    let kind = words.next();
    let mut word = || words.next().ok_or(Flaw::Meta);
    let entry = match kind {
        Some(b"live") => {
            let id = PublicId::parse(word()?).ok_or(Flaw::Meta)?;
            Entry::Live(Arc::new(Session {
                id,
                created: time(word()?)?,
                last_seen: time(word()?)?,
                issued_at: time(word()?)?,
                version: number(word()?)?.try_into().map_err(|_| Flaw::Meta)?,
                persistent: match word()? {
                    b"p" => true,
                    b"-" => false,
                    _ => return Err(Flaw::Meta),
                },
                renewed_from: match word()? {
                    b"-" => None,
                    from => Some(Box::new(read_key(from).ok_or(Flaw::Meta)?)),
                },
                ..Session::new(id.first_key(), UnixTime(0))
            }))
        }
        Some(b"renewed") => {
            let to = read_key(word()?).ok_or(Flaw::Meta)?;
            Entry::Renewed(Box::new(Renewed { to, issued_at: time(word()?)?, until: time(word()?)? }))
        }
        Some(b"superseded") => Entry::Superseded { until: time(word()?)? },
        Some(b"ended") => Entry::Ended { until: time(word()?)? },
        _ => return Err(Flaw::Meta),
    };
    if words.next().is_some() { Err(Flaw::Meta) } else { Ok(entry) }
}

/// A session's fields besides `m`, with their values.
pub(crate) fn fields(session: &Session) -> Fields {
    let user = session.user.iter().map(|user| (b"u".to_vec(), user.as_bytes().to_vec()));
    let data = session.data.fields();
    let data = data.into_iter().map(|(key, value)| (data_field(&key).into_bytes(), value.as_bytes().to_vec()));
    let cookies = session.jar.fields().map(|(field, value)| (cookie_field(&field), value));
    user.chain(data).chain(cookies).collect()
}

/// The field of a cookie.
pub(super) fn cookie_field(field: &[u8]) -> Vec<u8> {
    [b"c:", field].concat()
}

/// The field of a key of the data, given as it stands in the text.
pub(super) fn data_field(key: &str) -> String {
    format!("d:{key}")
}

fn time(digits: &[u8]) -> Result<UnixTime, Flaw> {
    number(digits).map(UnixTime)
}

/// More digits than any number of ours has would be another number to a script.
fn number(digits: &[u8]) -> Result<u64, Flaw> {
    const MOST_DIGITS: usize = 15;
    if !(1..=MOST_DIGITS).contains(&digits.len()) {
        return Err(Flaw::Meta);
    }
    digits.iter().try_fold(0, |number, byte| match byte.wrapping_sub(b'0') {
        digit @ 0..=9 => Ok(number * 10 + u64::from(digit)),
        _ => Err(Flaw::Meta),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Patch, Secret};
    use proptest::prelude::*;

    fn written(entry: &Entry) -> Fields {
        let mut all = vec![(b"m".to_vec(), meta(entry).into_bytes())];
        if let Entry::Live(session) = entry {
            all.extend(fields(session));
        }
        all
    }

    fn session() -> Session {
        let key = Secret::random().store_key();
        let patch = Patch::parse("{\"\u{fc}\":[1,\"\u{e9}\"],\"a\\\"b\":{}}".as_bytes()).unwrap();
        let session = Session::new(key, UnixTime(1_800_000_000));
        Session {
            user: Some("j\u{f6}rg \u{0} m".into()),
            data: session.data.patched(&patch),
            last_seen: UnixTime(1_800_000_100),
            issued_at: UnixTime(1_800_000_050),
            version: u32::MAX,
            persistent: true,
            renewed_from: Some(Box::new(Secret::random().store_key())),
            ..session
        }
    }

    #[test]
    fn entries_read_back() {
        let until = UnixTime(1_800_000_060);
        let to = Secret::random().store_key();
        for entry in [
            Entry::Live(Arc::new(session())),
            Entry::Live(Arc::new(Session::new(to, until))),
            Entry::Renewed(Box::new(Renewed { to, issued_at: UnixTime(1), until })),
            Entry::Superseded { until },
            Entry::Ended { until },
        ] {
            let read = read(&written(&entry)).unwrap().unwrap();
            match (&entry, &read) {
                (Entry::Live(entry), Entry::Live(read)) => assert!(entry == read),
                _ => assert_eq!(meta(&entry), meta(&read)),
            }
        }
    }

    #[test]
    fn what_is_not_ours_is_a_flaw_and_never_nothing() {
        assert!(read(&[]).unwrap().is_none());
        let good = live(&session());
        for bad in ["", "1", "1 live", "2 ended 1", "1 ended", "1 ended 1 ", "1 ended -1", "1 ended 1e3", "1 gone 1"] {
            assert_eq!(read_meta(bad.as_bytes()).unwrap_err(), Flaw::Meta, "{bad}");
        }
        for bad in
            [good.replace(" p ", " q "), good.replacen('1', "3", 1), format!("{good} more"), good[..40].to_owned()]
        {
            assert_eq!(read_meta(bad.as_bytes()).unwrap_err(), Flaw::Meta, "{bad}");
        }
        let with = |field: &[u8], value: &[u8]| {
            read(&[(b"m".to_vec(), good.clone().into_bytes()), (field.to_vec(), value.to_vec())])
        };
        assert_eq!(with(b"u", b"\xff").unwrap_err(), Flaw::User);
        assert_eq!(with(b"d:\xff", b"1").unwrap_err(), Flaw::Data);
        assert_eq!(with(b"d:a", b"1,\"b\":2").unwrap_err(), Flaw::Data);
        assert_eq!(read(&[(b"other".to_vec(), b"1".to_vec())]).unwrap_err(), Flaw::Meta);
        assert_eq!(with(b"c:sid", b"anything").unwrap_err(), Flaw::Jar);
        assert!(with(b"e:sid", b"anything").unwrap().is_some(), "what a later version adds is left alone");
    }

    proptest! {
        #[test]
        fn any_fields_are_read_without_a_panic(
            meta in "(1|2) (live|renewed|ended) [-p0-9A-Za-z_ ]{0,60}",
            name: Vec<u8>, value: Vec<u8>,
        ) {
            drop(read(&[(b"m".to_vec(), meta.into_bytes()), (name, value)]));
        }
    }
}
