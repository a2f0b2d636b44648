//! Everything a server holds, as whoever steals a copy of it would read it.

use std::collections::BTreeSet;

use super::resp::{Client, Value};

/// Every key of every database, with all that is under it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    pub entries: Vec<Stored>,
}

/// What is under one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub key: Vec<u8>,
    /// `string`, `hash`, `zset`, …
    pub kind: String,
    /// Its parts, flat: a hash's fields and values, a set's members and scores.
    pub parts: Vec<Vec<u8>>,
    /// Milliseconds that it has left; none where it stays for ever.
    pub ttl: Option<u64>,
}

impl Stored {
    /// The value of a hash's field.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        let mut pairs = self.parts.chunks_exact(2).filter(|_| self.kind == "hash");
        pairs.find(|pair| pair[0] == name.as_bytes()).map(|pair| &*pair[1])
    }
}

impl Dump {
    pub(super) fn read(client: &mut Client) -> Self {
        let mut ask = |words: &[&[u8]]| client.command(words).expect("redis-server answers");
        let keyspace = ask(&[b"INFO", b"keyspace"]).text();
        let databases = keyspace.lines().filter_map(|line| line.strip_prefix("db")?.split_once(':'));
        let mut entries = Vec::new();
        for (database, _) in databases {
            // A node of a cluster has no other than 0, and does not know the command.
            if database != "0" {
                ask(&[b"SELECT", database.as_bytes()]);
            }
            for key in keys(&mut ask) {
                let kind = ask(&[b"TYPE", &key]).text();
                let value = match kind.as_str() {
                    "string" => ask(&[b"GET", &key]),
                    "hash" => ask(&[b"HGETALL", &key]),
                    "zset" => ask(&[b"ZRANGE", &key, b"0", b"-1", b"WITHSCORES"]),
                    "set" => ask(&[b"SMEMBERS", &key]),
                    "list" => ask(&[b"LRANGE", &key, b"0", b"-1"]),
                    // It has expired since the scan.
                    "none" => continue,
                    other => panic!("a kind of value that this does not know: {other}"),
                };
                let parts = match value {
                    Value::List(values) => values.iter().map(|value| value.bytes().to_vec()).collect(),
                    value => vec![value.bytes().to_vec()],
                };
                let ttl = u64::try_from(ask(&[b"PTTL", &key]).integer()).ok();
                entries.push(Stored { key, kind, parts, ttl });
            }
        }
        Self { entries }
    }

    /// Every string of it: keys, names, values.
    pub fn strings(&self) -> impl Iterator<Item = &[u8]> {
        self.entries.iter().flat_map(|entry| std::iter::once(&entry.key).chain(&entry.parts)).map(Vec::as_slice)
    }
}

fn keys(ask: &mut impl FnMut(&[&[u8]]) -> Value) -> BTreeSet<Vec<u8>> {
    let (mut keys, mut cursor) = (BTreeSet::new(), b"0".to_vec());
    loop {
        let reply = ask(&[b"SCAN", &cursor, b"COUNT", b"1000"]);
        let [next, found] = reply.list() else { panic!("a cursor and keys: {reply:?}") };
        keys.extend(found.list().iter().map(|key| key.bytes().to_vec()));
        cursor = next.bytes().to_vec();
        if cursor == b"0" {
            return keys;
        }
    }
}
