//! A session's data: one JSON object, kept as the text that goes upstream.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::Patch;

/// One JSON object as compact ASCII text, keys in order; what a header can carry as it stands.
///
/// Values are kept as they were written: no number is rounded, whatever its size.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Data(Box<str>);

impl Data {
    /// The JSON text; `{}` where nothing is kept.
    pub fn as_str(&self) -> &str {
        if self.0.is_empty() { "{}" } else { &self.0 }
    }

    /// Reads back a text that was kept; none where it could not be ours.
    pub fn read(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::default());
        }
        let printable = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        let object = text.starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok();
        (printable && object).then(|| Self(text.into()))
    }

    /// Bytes of the JSON text; zero where nothing is kept.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no key is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// This data with every key of `patch` set or removed.
    #[must_use]
    pub fn patched(&self, patch: &Patch) -> Self {
        // The text is our own; were it ever unreadable, the patch alone would be kept.
        let mut keys: BTreeMap<String, &RawValue> = serde_json::from_str(self.as_str()).unwrap_or_default();
        for (key, value) in patch.iter() {
            match value {
                Some(value) => drop(keys.insert(key.to_owned(), value)),
                None => drop(keys.remove(key)),
            }
        }
        if keys.is_empty() {
            return Self::default();
        }
        let mut text = String::with_capacity(self.len() + patch.size());
        let mut separator = '{';
        for (key, value) in keys {
            text.push(separator);
            separator = ',';
            push_ascii(&mut text, &serde_json::Value::String(key).to_string());
            text.push(':');
            push_ascii(&mut text, value.get());
        }
        text.push('}');
        Self(text.into())
    }

    /// Every key with its value, both as they stand in the text, the key without its quotes.
    pub fn fields(&self) -> Vec<(String, &str)> {
        let keys: BTreeMap<String, &RawValue> = serde_json::from_str(self.as_str()).unwrap_or_default();
        keys.into_iter().map(|(key, value)| (escaped(&key), value.get())).collect()
    }

    /// The data that has these fields, in whichever order they come; none where they are not what [`Data::fields`]
    /// gives.
    pub fn from_fields<'a, T: AsRef<[u8]> + ?Sized + 'a>(
        fields: impl IntoIterator<Item = (&'a T, &'a T)>,
    ) -> Option<Self> {
        let mut named = Vec::new();
        let mut length = 1;
        for (key, value) in fields {
            let (key, value) = (str::from_utf8(key.as_ref()).ok()?, str::from_utf8(value.as_ref()).ok()?);
            let is_json = serde_json::from_str::<IgnoredAny>(value).is_ok();
            if !is_json || !value.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
                return None;
            }
            let name = unescaped(key)?;
            length += key.len() + value.len() + "{\"\":".len();
            named.push((name, key, value));
        }
        if named.is_empty() {
            return Some(Self::default());
        }
        named.sort_unstable();
        let mut text = String::with_capacity(length);
        let mut separator = "{\"";
        for (_, key, value) in named {
            for part in [separator, key, "\":", value] {
                text.push_str(part);
            }
            separator = ",\"";
        }
        text.push('}');
        Some(Self(text.into()))
    }
}

/// A key as it stands in the text, without its quotes.
pub(super) fn escaped(key: &str) -> String {
    let quoted = ascii(&serde_json::Value::String(key.to_owned()).to_string());
    quoted[1..quoted.len() - 1].to_owned()
}

/// What [`escaped`] made this of; none where it has made it of nothing.
fn unescaped(key: &str) -> Option<Cow<'_, str>> {
    if key.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\') {
        return Some(Cow::Borrowed(key));
    }
    let name: String = serde_json::from_str(&format!("\"{key}\"")).ok()?;
    (escaped(&name) == key).then_some(Cow::Owned(name))
}

/// A value as it stands in the text.
pub(super) fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    push_ascii(&mut text, json);
    text
}

/// Copies JSON text without the white space between tokens, and with every character that is not printable ASCII as
/// `\uXXXX` (RFC 8259 section 7). Such characters occur within strings only, where that means the same.
fn push_ascii(text: &mut String, json: &str) {
    let (mut in_string, mut escaped) = (false, false);
    for character in json.chars() {
        match character {
            ' ' | '\t' | '\n' | '\r' if !in_string => continue,
            '\u{20}'..='\u{7e}' => text.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(text, "\\u{unit:04x}").expect("a String takes every write");
                }
            }
        }
        in_string ^= character == '"' && !escaped;
        escaped = in_string && character == '\\' && !escaped;
    }
}

impl std::fmt::Debug for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Data({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    fn patched(data: &Data, patch: &str) -> Data {
        data.patched(&Patch::parse(patch.as_bytes()).unwrap())
    }

    #[test]
    fn keys_are_set_removed_and_left_alone() {
        let data = patched(&Data::default(), r#"{"cart":["a"],"old":1,"kept":true}"#);
        let data = patched(&data, r#"{"cart":["a","b"],"old":null}"#);
        assert_eq!(data.as_str(), r#"{"cart":["a","b"],"kept":true}"#);
        assert!(patched(&data, r#"{"cart":null,"kept":null,"never":null}"#).is_empty());
    }

    #[test]
    fn text_is_compact_ascii() {
        let data = patched(&Data::default(), "{ \"k\\u00fc\" : [ 1 , \"a \\\" b\u{7f}\u{e9}\u{1f600}\\\\\" ,\t{ } ] }");
        assert_eq!(data.as_str(), r#"{"k\u00fc":[1,"a \" b\u007f\u00e9\ud83d\ude00\\",{}]}"#);
    }

    #[test]
    fn numbers_are_kept_as_they_were_written() {
        let written = r#"{"n":12345678901234567890123456789.000000000001e999}"#;
        assert_eq!(patched(&Data::default(), written).as_str(), written);
    }

    #[test]
    fn what_is_no_object_in_printable_ascii_is_not_read_back() {
        for text in [
            "{",
            "[]",
            "1",
            " {}",
            "{}{}",
            "{\"a\":\"\u{e9}\"}",
            "{\"a\":1}\n",
            "{\"a\":\r\nX-Session-User: root\r\n1}",
        ] {
            assert_eq!(Data::read(text), None, "{text:?}");
        }
    }

    #[test]
    fn fields_that_are_not_ours_are_no_data() {
        for (key, value) in [
            ("a", ""),
            ("a", "1,\"b\":2"),
            ("a", "\"\u{e9}\""),
            ("a", "[1,\n2]"),
            ("a\"", "1"),
            ("\u{e9}", "1"),
            ("\\u0061", "1"),
            ("\\", "1"),
        ] {
            assert_eq!(Data::from_fields([(key, value)]), None, "{key} {value}");
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(".*", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_patch_means_what_it_means_to_any_json_reader(
            first in proptest::collection::btree_map("[a-c]|.*", json(), 0..5),
            second in proptest::collection::btree_map("[a-c]|.*", json(), 0..5),
        ) {
            let mut expected = Map::new();
            let mut data = Data::default();
            for patch in [first, second] {
                let patch: Map<String, Value> = patch.into_iter().collect();
                data = patched(&data, &Value::Object(patch.clone()).to_string());
                for (key, value) in patch {
                    if value.is_null() { expected.remove(&key); } else { expected.insert(key, value); }
                }
            }
            prop_assert_eq!(serde_json::from_str::<Map<String, Value>>(data.as_str()).unwrap(), expected);
            prop_assert!(data.as_str().bytes().all(|byte| (0x20..0x7f).contains(&byte)));
            let fields = data.fields();
            let backwards = fields.iter().rev().map(|(key, value)| (key.as_str(), *value));
            prop_assert_eq!(Data::from_fields(backwards), Some(data.clone()));
            prop_assert_eq!(Data::read(if data.is_empty() { "" } else { data.as_str() }), Some(data));
        }
    }
}
