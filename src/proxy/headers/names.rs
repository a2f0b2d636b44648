//! The session headers' names, and which names count as theirs.

use http::HeaderMap;
use http::header::{HeaderName, InvalidHeaderName};

/// The session headers' prefix and how much of them an upstream is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What every session header's name begins with, such as `X-Session-`.
    pub prefix: String,
    /// The most bytes of session data sent upstream in a header; larger data is announced by its size.
    pub data_budget: usize,
}

/// Every session header's name, made once.
#[derive(Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the header of that name: DESIGN of the contract, README")]
pub struct Names {
    prefix: Box<[u8]>,
    pub data_budget: usize,
    pub id: HeaderName,
    pub new: HeaderName,
    pub user: HeaderName,
    pub data: HeaderName,
    pub data_omitted: HeaderName,
    pub created: HeaderName,
    pub expires: HeaderName,
    pub stale: HeaderName,
    pub patch: HeaderName,
    pub end: HeaderName,
    pub renew: HeaderName,
    pub persist: HeaderName,
}

impl Names {
    /// The names under a configured prefix.
    pub fn new(settings: &Settings) -> Result<Self, InvalidHeaderName> {
        let prefix = settings.prefix.to_ascii_lowercase();
        let name = |rest: &str| HeaderName::try_from(format!("{prefix}{rest}"));
        Ok(Self {
            data_budget: settings.data_budget,
            id: name("id")?,
            new: name("new")?,
            user: name("user")?,
            data: name("data")?,
            data_omitted: name("data-omitted")?,
            created: name("created")?,
            expires: name("expires")?,
            stale: name("stale")?,
            patch: name("patch")?,
            end: name("end")?,
            renew: name("renew")?,
            persist: name("persist")?,
            prefix: prefix.into_bytes().into(),
        })
    }

    /// Whether a backend could take `name` for a session header. CGI and its heirs read every character that is no
    /// letter or digit as the same one.
    pub fn cover(&self, name: &HeaderName) -> bool {
        reads_as(name.as_str().as_bytes(), &self.prefix)
    }
}

/// Whether `name` begins with `prefix`, which is lower case, with anything but letters and digits read as `-`.
pub(super) fn reads_as(name: &[u8], prefix: &[u8]) -> bool {
    let folded = |byte: &u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
    name.len() >= prefix.len() && name.iter().zip(prefix).all(|(byte, expected)| folded(byte) == *expected)
}

/// Removes every header whose name is matched; says how many lines that were.
pub(super) fn remove_where(headers: &mut HeaderMap, matched: impl Fn(&HeaderName) -> bool) -> usize {
    let mut removed = 0;
    // One at a time, for there is hardly ever one: the map cannot be changed while its names are borrowed.
    while let Some(name) = headers.keys().find(|name| matched(name)).cloned() {
        removed += headers.get_all(&name).iter().count();
        headers.remove(name);
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names() -> Names {
        Names::new(&Settings { prefix: "X-Session-".to_owned(), data_budget: 6144 }).unwrap()
    }

    #[test]
    fn every_spelling_that_a_backend_may_alias_is_covered() {
        for name in
            ["X-Session-User", "x_session_user", "X.Session.User", "x~session-id", "X-SESSION-", "x-session_anything"]
        {
            assert!(names().cover(&name.parse().unwrap()), "{name}");
        }
        for name in ["X-Session", "X-Sessions-User", "Session-User", "X-Sess-ion-User", "XSession-User"] {
            assert!(!names().cover(&name.parse().unwrap()), "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_name_is_covered_as_a_backend_would_fold_it(name in "[a-z!#$%&'*+.^_`|~0-9-]{1,20}", alias in "[-_.~!]", rest in "[a-z_]{0,8}") {
            let folds = |name: &str| {
                let folded: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
                folded.starts_with("x-session-")
            };
            for name in [name, format!("x{alias}session{alias}{rest}")] {
                let header = HeaderName::try_from(&name).unwrap();
                prop_assert_eq!(names().cover(&header), folds(&name), "{}", name);
            }
        }
    }
}
