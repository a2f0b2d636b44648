//! What Redis answers, as values that scripts and commands of ours give.

use redis::Value;

use crate::store::record::Fields;
use crate::store::{Error, Outage};

/// An answer that is none of those that a server of ours gives.
pub(super) const INCOMPREHENSIBLE: Error = Error::Unavailable(Outage::Incomprehensible);

/// What a script says: a word, and what belongs to it.
pub(super) struct Reply {
    word: Vec<u8>,
    rest: std::vec::IntoIter<Value>,
}

impl Reply {
    pub(super) fn new(value: Value) -> Result<Self, Error> {
        let Value::Array(values) = value else { return Err(INCOMPREHENSIBLE) };
        let mut rest = values.into_iter();
        let Some(Value::BulkString(word)) = rest.next() else { return Err(INCOMPREHENSIBLE) };
        Ok(Self { word, rest })
    }

    pub(super) fn word(&self) -> &[u8] {
        &self.word
    }

    pub(super) fn next(&mut self) -> Option<Value> {
        self.rest.next()
    }

    pub(super) fn text(&mut self) -> Option<Vec<u8>> {
        if let Some(Value::BulkString(text)) = self.next() { Some(text) } else { None }
    }

    pub(super) fn size(&mut self) -> Result<usize, Error> {
        let Some(Value::Int(size)) = self.next() else { return Err(INCOMPREHENSIBLE) };
        usize::try_from(size).map_err(|_| INCOMPREHENSIBLE)
    }
}

/// A hash's fields with their values: a map as a command gives it, or a list as a script does.
pub(super) fn pairs(value: Value) -> Result<Fields, Error> {
    let bytes = |value| if let Value::BulkString(bytes) = value { Ok(bytes) } else { Err(INCOMPREHENSIBLE) };
    match value {
        Value::Map(pairs) => pairs.into_iter().map(|(field, value)| Ok((bytes(field)?, bytes(value)?))).collect(),
        Value::Array(mut values) => {
            let mut pairs = Vec::with_capacity(values.len() / 2);
            let mut values = values.drain(..);
            while let (Some(field), Some(value)) = (values.next(), values.next()) {
                pairs.push((bytes(field)?, bytes(value)?));
            }
            Ok(pairs)
        }
        _ => Err(INCOMPREHENSIBLE),
    }
}
