//! Which of a backend's cookies are kept from the browser.

use crate::session::UnixTime;
use crate::session::jar::Jar;
use crate::session::jar::set_cookie::{self, SetCookie};

/// Which cookies, by name or by kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capture {
    /// Those of these names.
    Names(Vec<Pattern>),
    /// Those that no script can read and no other host gets: no page can tell the difference.
    HttpOnly,
}

/// A cookie's name, or what one begins and ends with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// This name.
    Exact(Box<str>),
    /// Every name that begins and ends so.
    Around(Box<str>, Box<str>),
}

/// A name, or what one begins with and what it ends with.
pub type Written = (&'static str, Option<&'static str>);

/// The session cookies that frameworks set unless they are told otherwise. CSRF cookies are not among them: pages read
/// those.
pub const PRESETS: [(&str, &[Written]); 7] = [
    ("flask", &[("session", None), ("remember_token", None)]),
    ("django", &[("sessionid", None)]),
    ("express", &[("connect.sid", None), ("session", None), ("session.sig", None)]),
    ("php", &[("PHPSESSID", None)]),
    ("java", &[("JSESSIONID", None)]),
    ("spring", &[("SESSION", None), ("JSESSIONID", None), ("remember-me", None)]),
    ("rails", &[("_", Some("_session")), ("remember_user_token", None)]),
];

impl Capture {
    /// The session cookies of a framework.
    pub fn preset(framework: &str) -> Option<Self> {
        let (_, names) = PRESETS.iter().find(|(name, _)| *name == framework)?;
        let pattern = |(start, end): &Written| match end {
            None => Pattern::Exact((*start).into()),
            Some(end) => Pattern::Around((*start).into(), (*end).into()),
        };
        Some(Self::Names(names.iter().map(pattern).collect()))
    }

    /// Whether a `Set-Cookie` is taken out of an answer. `jar` is what the session holds already: a deletion need not
    /// say `HttpOnly`.
    pub fn takes(&self, field: &[u8], upstream: &str, jar: &Jar, now: UnixTime) -> bool {
        match self {
            Self::Names(_) => self.names(set_cookie::name(field)),
            Self::HttpOnly => {
                let is_hidden = |cookie: SetCookie<'_>| cookie.http_only && cookie.domain.is_none_or(<[u8]>::is_empty);
                jar.holds(upstream, set_cookie::name(field), now) || set_cookie::parse(field).is_ok_and(is_hidden)
            }
        }
    }

    /// Whether it names a cookie.
    pub fn names(&self, name: &[u8]) -> bool {
        let Self::Names(patterns) = self else { return false };
        patterns.iter().any(|pattern| pattern.matches(name))
    }

    /// Whether a client's cookie of this name stays here: what the backend would take for its own is not the client's
    /// to send.
    pub fn refuses(&self, name: &[u8], upstream: &str, jar: &Jar, now: UnixTime) -> bool {
        match self {
            Self::Names(patterns) => patterns.iter().any(|pattern| pattern.could_be_read(name)),
            Self::HttpOnly => jar.holds(upstream, name, now),
        }
    }
}

impl Pattern {
    /// Whether a backend's cookie has such a name.
    pub fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => name == exact.as_bytes(),
            Self::Around(start, end) => {
                name.strip_prefix(start.as_bytes()).is_some_and(|rest| rest.ends_with(end.as_bytes()))
            }
        }
    }

    /// Whether some backend could read a client's cookie of this name as one of these: PHP takes some characters for
    /// others, and `name[]` for an array of that name; some do not tell capitals, and PHP and Rack decoded names until
    /// 2020.
    pub fn could_be_read(&self, name: &[u8]) -> bool {
        self.is_read(name) || percent_decoded(name).is_some_and(|decoded| self.is_read(&decoded))
    }

    fn is_read(&self, name: &[u8]) -> bool {
        let array = memchr::memchr(b'[', name).map(|index| &name[..index]);
        self.is_folded(name) || array.is_some_and(|array| self.is_folded(array))
    }

    fn is_folded(&self, name: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => folded(exact.as_bytes()).eq(folded(name)),
            Self::Around(start, end) => {
                let rest = name.len().checked_sub(start.len() + end.len());
                rest.is_some()
                    && folded(start.as_bytes()).eq(folded(&name[..start.len()]))
                    && folded(end.as_bytes()).eq(folded(&name[name.len() - end.len()..]))
            }
        }
    }
}

fn folded(name: &[u8]) -> impl Iterator<Item = u8> {
    name.iter().map(|byte| match byte {
        b'.' | b' ' | b'[' | b'+' => b'_',
        byte => byte.to_ascii_lowercase(),
    })
}

/// None where nothing is encoded.
fn percent_decoded(name: &[u8]) -> Option<Vec<u8>> {
    let mut rest = name;
    let mut decoded = Vec::new();
    while let Some(at) = memchr::memchr(b'%', rest) {
        let digits = rest.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.extend_from_slice(&rest[..at]);
        decoded.push(byte.unwrap_or(b'%'));
        rest = &rest[at + if byte.is_some() { 3 } else { 1 }..];
    }
    decoded.extend_from_slice(rest);
    (decoded != name).then_some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_name_session_cookies_and_leave_csrf_cookies_alone() {
        for (framework, name) in [
            ("flask", "session"),
            ("django", "sessionid"),
            ("express", "connect.sid"),
            ("express", "session.sig"),
            ("php", "PHPSESSID"),
            ("java", "JSESSIONID"),
            ("spring", "SESSION"),
            ("rails", "_shop_session"),
        ] {
            let capture = Capture::preset(framework).unwrap();
            assert!(capture.names(name.as_bytes()), "{framework}");
            for csrf in ["csrftoken", "XSRF-TOKEN", "_csrf", "csrf_token", "_csrf_token"] {
                assert!(!capture.names(csrf.as_bytes()), "{framework} {csrf}");
            }
        }
        assert!(Capture::preset("cobol").is_none());
    }

    #[test]
    fn what_a_backend_could_read_as_its_own_is_refused() {
        let (jar, now) = (Jar::default(), UnixTime(0));
        let patterns = [Pattern::Exact("my_id".into()), Pattern::Around("app_".into(), "".into())];
        let capture = Capture::Names(patterns.into());
        for (name, refused) in [
            ("my_id", true),
            ("my.id", true),
            ("My id", true),
            ("my[id", true),
            ("m%59%5fid", true),
            ("my%2Eid", true),
            ("my+id", true),
            // To PHP, which takes the first, an array of that name.
            ("my_id[]", true),
            ("my.id[a][b]", true),
            ("my_id%5B%5D", true),
            ("[]my_id", false),
            ("my_ids[]", false),
            ("%my_id", false),
            ("my_id%", false),
            ("my_id%6", false),
            ("my_ids", false),
            ("my_i", false),
            ("app_", true),
            ("APP.x", true),
            ("app", false),
        ] {
            assert_eq!(capture.refuses(name.as_bytes(), "app", &jar, now), refused, "{name}");
        }
    }
}
