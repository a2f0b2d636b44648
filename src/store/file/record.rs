//! Entries as bytes, and groups of them.
//!
//! ```text
//! group   { length u32 │ key [16] │ entry [length] } …        length 0: there is nothing under the key any more
//! entry   1 session    │ id [16] │ flags u8 │ created u64 │ last seen u64 │ issued u64 │ version u32
//!                      │ renewed from [16], if flagged │ user: length u32, text, if flagged
//!                      │ jar: count u32, { length u32, field │ length u32, value } …, if flagged │ data: the rest
//!         2 renewed    │ to [16] │ issued u64 │ until u64
//!         3 superseded │ until u64
//!         4 ended      │ until u64
//! ```
//!
//! Numbers are little-endian, times are Unix seconds. One entry has one form, so that equal bytes are equal entries.

use std::sync::Arc;

use crate::session::entry::Renewed;
use crate::session::jar::Jar;
use crate::session::{Data, Entry, PublicId, Session, StoreKey, UnixTime, change};

const SESSION: u8 = 1;
const RENEWED: u8 = 2;
const SUPERSEDED: u8 = 3;
const ENDED: u8 = 4;

const PERSISTENT: u8 = 1;
const HAS_USER: u8 = 2;
const WAS_RENEWED: u8 = 4;
const HAS_JAR: u8 = 8;

/// What a session takes in a group, beside its user and data, at most.
pub(in crate::store) const FRAME: usize = 4 + 16 + 46 + 16 + 4;

/// Appends what is under a key to a group.
pub(super) fn push(group: &mut Vec<u8>, key: &StoreKey, entry: Option<&Entry>) {
    let length = group.len();
    group.extend([0; 4]);
    group.extend(key.as_bytes());
    let start = group.len();
    if let Some(entry) = entry {
        write(group, entry);
    }
    let written = u32::try_from(group.len() - start).expect("an entry is far smaller than 4 GiB");
    group[length..length + 4].copy_from_slice(&written.to_le_bytes());
}

/// Appends an entry.
pub(crate) fn write(bytes: &mut Vec<u8>, entry: &Entry) {
    match entry {
        Entry::Live(session) => write_session(bytes, session),
        Entry::Renewed(renewed) => {
            bytes.push(RENEWED);
            bytes.extend(renewed.to.as_bytes());
            bytes.extend(renewed.issued_at.0.to_le_bytes());
            bytes.extend(renewed.until.0.to_le_bytes());
        }
        Entry::Superseded { until } => {
            bytes.push(SUPERSEDED);
            bytes.extend(until.0.to_le_bytes());
        }
        Entry::Ended { until } => {
            bytes.push(ENDED);
            bytes.extend(until.0.to_le_bytes());
        }
    }
}

fn write_session(bytes: &mut Vec<u8>, session: &Session) {
    let Session { id, user, data, jar, created, last_seen, issued_at, version, persistent, renewed_from } = session;
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    bytes.push(SESSION);
    bytes.extend(id.first_key().as_bytes());
    bytes.push(
        flag(*persistent, PERSISTENT)
            | flag(user.is_some(), HAS_USER)
            | flag(renewed_from.is_some(), WAS_RENEWED)
            | flag(!jar.is_blank(), HAS_JAR),
    );
    for time in [created, last_seen, issued_at] {
        bytes.extend(time.0.to_le_bytes());
    }
    bytes.extend(version.to_le_bytes());
    if let Some(key) = renewed_from {
        bytes.extend(key.as_bytes());
    }
    if let Some(user) = user {
        push_framed(bytes, user.as_bytes());
    }
    if !jar.is_blank() {
        let count = u32::try_from(jar.fields().count()).expect("a jar holds far fewer than 2^32 cookies");
        bytes.extend(count.to_le_bytes());
        for (field, value) in jar.fields() {
            push_framed(bytes, &field);
            push_framed(bytes, &value);
        }
    }
    if !data.is_empty() {
        bytes.extend(data.as_str().as_bytes());
    }
}

fn push_framed(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend(u32::try_from(part.len()).expect("a part of a session is far shorter than 4 GiB").to_le_bytes());
    bytes.extend(part);
}

/// Reads an entry; none where it is not one of ours, as a whole.
pub(crate) fn read(bytes: &[u8]) -> Option<Entry> {
    let mut reader = Reader(bytes);
    let entry = match reader.byte()? {
        SESSION => Entry::Live(Arc::new(read_session(&mut reader)?)),
        RENEWED => Entry::Renewed(Box::new(Renewed {
            to: StoreKey::from(reader.take()?),
            issued_at: reader.time()?,
            until: reader.time()?,
        })),
        SUPERSEDED => Entry::Superseded { until: reader.time()? },
        ENDED => Entry::Ended { until: reader.time()? },
        _ => return None,
    };
    reader.0.is_empty().then_some(entry)
}

fn read_session(reader: &mut Reader<'_>) -> Option<Session> {
    let id = PublicId::from(StoreKey::from(reader.take()?));
    let flags = reader.byte()?;
    if flags & !(PERSISTENT | HAS_USER | WAS_RENEWED | HAS_JAR) != 0 {
        return None;
    }
    let (created, last_seen, issued_at) = (reader.time()?, reader.time()?, reader.time()?);
    let version = u32::from_le_bytes(reader.take()?);
    let has = |flag| flags & flag != 0;
    let renewed_from = if has(WAS_RENEWED) { Some(Box::new(StoreKey::from(reader.take()?))) } else { None };
    let user = if has(HAS_USER) { Some(change::user(reader.part()?).ok()?) } else { None };
    let jar = if has(HAS_JAR) {
        let count = u32::from_le_bytes(reader.take()?);
        let fields = (0..count).map(|_| Some((reader.part()?, reader.part()?))).collect::<Option<Vec<_>>>()?;
        Jar::from_fields(fields).filter(|jar| !jar.is_blank())?
    } else {
        Jar::default()
    };
    let data = Data::read(std::str::from_utf8(std::mem::take(&mut reader.0)).ok()?)?;
    let persistent = has(PERSISTENT);
    Some(Session { id, user, data, jar, created, last_seen, issued_at, version, persistent, renewed_from })
}

/// A group does not end where one of its entries does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// What a group says, each key with the bytes of its entry, which are none where there is nothing under it any more.
pub(crate) fn each(group: &[u8]) -> impl Iterator<Item = Result<(StoreKey, &[u8]), Broken>> {
    let mut reader = Reader(group);
    std::iter::from_fn(move || {
        if reader.0.is_empty() {
            return None;
        }
        let next = reader.framed();
        if next.is_none() {
            reader.0 = &[];
        }
        Some(next.ok_or(Broken))
    })
}

/// The bytes still to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take().map(|[byte]| byte)
    }

    fn time(&mut self) -> Option<UnixTime> {
        Some(UnixTime(u64::from_le_bytes(self.take()?)))
    }

    fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn part(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(u32::from_le_bytes(self.take()?)).ok()?;
        self.slice(length)
    }

    fn framed(&mut self) -> Option<(StoreKey, &'a [u8])> {
        let length = usize::try_from(u32::from_le_bytes(self.take()?)).ok()?;
        Some((StoreKey::from(self.take()?), self.slice(length)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Patch;
    use proptest::prelude::*;

    fn bytes(entry: &Entry) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes, entry);
        bytes
    }

    fn key() -> impl Strategy<Value = StoreKey> {
        any::<[u8; 16]>().prop_map(StoreKey::from)
    }

    fn session() -> impl Strategy<Value = Session> {
        let user = proptest::option::of("[^\\p{Cc}]{1,60}").prop_map(|user| user.map(String::into_boxed_str));
        let data = proptest::collection::btree_map(".*", ".*", 0..4).prop_map(|keys| {
            let patch = serde_json::to_vec(&keys).unwrap();
            Data::default().patched(&Patch::parse(&patch).unwrap())
        });
        let renewed_from = proptest::option::of(key().prop_map(Box::new));
        let jar = proptest::collection::btree_map("[a-z]{1,8}", "[!-~]{0,40}", 0..4).prop_map(|cookies| {
            let field = |name: &String| format!("app\nhost\nh\n/\n{name}").into_bytes();
            let value = |value: &String| format!("1 256 - k-d\n{value}").into_bytes();
            let deleted = (field(&"DELETED".to_owned()), b"2 0 99 x\n".to_vec());
            let fields = cookies.iter().map(|(name, text)| (field(name), value(text)));
            let fields: Vec<_> = fields.chain((!cookies.is_empty()).then_some(deleted)).collect();
            Jar::from_fields(fields.iter().map(|(field, value)| (&**field, &**value)))
                .expect("fields as they are written")
        });
        (key(), user, data, any::<[u64; 3]>(), any::<u32>(), any::<bool>(), renewed_from, jar).prop_map(
            |(id, user, data, [created, last_seen, issued_at], version, persistent, renewed_from, jar)| Session {
                id: PublicId::from(id),
                user,
                data,
                jar,
                created: UnixTime(created),
                last_seen: UnixTime(last_seen),
                issued_at: UnixTime(issued_at),
                version,
                persistent,
                renewed_from,
            },
        )
    }

    fn entry() -> impl Strategy<Value = Entry> {
        let time = || any::<u64>().prop_map(UnixTime);
        prop_oneof![
            session().prop_map(|session| Entry::Live(Arc::new(session))),
            (key(), time(), time()).prop_map(|(to, issued_at, until)| Entry::Renewed(Box::new(Renewed {
                to,
                issued_at,
                until
            }))),
            time().prop_map(|until| Entry::Superseded { until }),
            time().prop_map(|until| Entry::Ended { until }),
        ]
    }

    fn same(one: &Entry, other: &Entry) -> bool {
        match (one, other) {
            (Entry::Live(one), Entry::Live(other)) => one == other,
            (Entry::Renewed(one), Entry::Renewed(other)) => one == other,
            (Entry::Superseded { until: one }, Entry::Superseded { until: other })
            | (Entry::Ended { until: one }, Entry::Ended { until: other }) => one == other,
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(entry in entry()) {
            let bytes = bytes(&entry);
            let read = read(&bytes).unwrap();
            prop_assert!(same(&read, &entry), "{read:?} {entry:?}");
        }

        #[test]
        fn a_part_of_an_entry_is_none(entry in entry(), cut in 0.0..1.0) {
            let bytes = bytes(&entry);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "short")]
            let cut = (bytes.len() as f64 * cut) as usize;
            // A session without data is what is left where all of the data is cut off, and nothing else.
            let whole = read(&bytes[..cut]).is_none_or(|read| matches!(read, Entry::Live(read) if read.data.is_empty()));
            prop_assert!(whole);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0..6_u8) {
            let _ = read(&bytes);
            let _ = read(&[&[kind], &bytes[..]].concat());
            let _ = each(&bytes).count();
        }

        #[test]
        fn any_changed_byte_is_another_entry_or_none(entry in entry(), at: prop::sample::Index, to: u8) {
            let mut changed = bytes(&entry);
            let at = at.index(changed.len());
            prop_assume!(changed[at] != to);
            changed[at] = to;
            prop_assert!(read(&changed).is_none_or(|read| !same(&read, &entry)));
        }

        #[test]
        fn a_group_says_what_was_put_into_it(entries in proptest::collection::vec((key(), proptest::option::of(entry())), 0..5)) {
            let mut group = Vec::new();
            for (key, entry) in &entries {
                push(&mut group, key, entry.as_ref());
            }
            let read: Result<Vec<_>, _> = each(&group).collect();
            let read = read.unwrap();
            prop_assert_eq!(read.len(), entries.len());
            for ((key, found), (expected, entry)) in read.into_iter().zip(&entries) {
                prop_assert_eq!(key, *expected);
                prop_assert_eq!(found, &*entry.as_ref().map(bytes).unwrap_or_default());
            }
            if !group.is_empty() {
                prop_assert_eq!(each(&group[..group.len() - 1]).last(), Some(Err(Broken)));
            }
        }
    }

    #[test]
    fn a_frame_is_the_most_that_a_session_takes_beside_its_user_and_data() {
        let key = StoreKey::from([7; 16]);
        let session =
            Session { renewed_from: Some(Box::new(key)), user: Some("alice".into()), ..Session::new(key, UnixTime(9)) };
        let mut group = Vec::new();
        push(&mut group, &key, Some(&Entry::Live(Arc::new(session))));
        assert_eq!(group.len(), FRAME + "alice".len());
    }
}
