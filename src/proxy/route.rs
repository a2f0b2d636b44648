//! Host and path to route.
//!
//! Routes are matched against the path as a backend would read it: percent-decoded, with runs of slashes as one. What
//! goes upstream is the path as it came. A path that climbs (`..`, in any spelling) or holds a NUL is refused: what it
//! means is for no two servers the same, so that a rule for a prefix could be walked around with it.

use std::borrow::Cow;
use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::admission::{CrossOrigin, Login, Origin};

/// One route as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The host it serves: exact, `*.example.com`, or any.
    pub host: Option<String>,
    /// The path prefix it serves, by whole segments; starts with `/`.
    pub path: String,
    /// Index of its upstream.
    pub upstream: usize,
    /// Whether requests on it have sessions at all.
    pub session: bool,
    /// Whether requests on it leave the idle time alone (polling).
    pub passive: bool,
    /// What becomes of a request whose session cannot be opened because the store does not answer.
    pub on_store_failure: OnStoreFailure,
    /// Whether requests on it need a user, and where who is none is sent.
    pub require_user: Option<Login>,
    /// What becomes of requests from other sites' pages that may change something in a session.
    pub csrf: CrossOrigin,
    /// Whose pages may make them all the same.
    pub trusted_origins: Vec<Origin>,
    /// The most bytes a request's body may have.
    pub max_body_size: Option<u64>,
}

/// What a session's ticket gets while the store cannot be asked. Whoever has none is served in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStoreFailure {
    /// 503, to be tried again.
    Reject,
    /// It is served as a visitor's without a session, whose cookie stays as it is.
    Anonymous,
    /// It is served with the session as it was a while ago, where that is known, and may change nothing; 503 elsewhere.
    Stale,
}

impl Settings {
    /// What metrics and access lines call it.
    pub fn label(&self) -> String {
        format!("{}{}", self.host.as_deref().unwrap_or_default(), self.path)
    }
}

/// Every route, ready to be asked.
#[derive(Debug)]
pub struct Table {
    routes: Vec<Settings>,
    exact: HashMap<String, Prefixes, RandomState>,
    /// By what follows `*.`.
    wildcard: HashMap<String, Prefixes, RandomState>,
    any: Prefixes,
}

/// Indexes of routes, the longest path first.
type Prefixes = Vec<usize>;

/// A path that no route may be chosen by, since servers read it differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous;

impl Table {
    /// A table of `routes`; hosts are lower case.
    pub fn new(routes: &[Settings]) -> Self {
        let mut by_length: Vec<usize> = (0..routes.len()).collect();
        by_length.sort_by_key(|index| std::cmp::Reverse(routes[*index].path.len()));
        let mut table =
            Self { routes: routes.to_vec(), exact: HashMap::default(), wildcard: HashMap::default(), any: Vec::new() };
        for index in by_length {
            match routes[index].host.as_deref() {
                None => table.any.push(index),
                Some(host) => match host.strip_prefix("*.") {
                    Some(parent) => table.wildcard.entry(parent.to_owned()).or_default().push(index),
                    None => table.exact.entry(host.to_owned()).or_default().push(index),
                },
            }
        }
        table
    }

    /// The route for a host (without port) and a path, with its index. An exact host goes before a wildcard, the longer
    /// wildcard before the shorter, any wildcard before none; then the longest path wins.
    pub fn find(&self, host: &str, path: &str) -> Result<Option<(usize, &Settings)>, Ambiguous> {
        let path = plain(path)?;
        if self.exact.is_empty() && self.wildcard.is_empty() {
            return Ok(self.longest(&self.any, &path));
        }
        let host = host.strip_suffix('.').unwrap_or(host);
        let host: Cow<'_, str> = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            host.to_ascii_lowercase().into()
        } else {
            host.into()
        };
        let exact = self.exact.get(&*host);
        let parents = host.match_indices('.').map(|(dot, _)| &host[dot + 1..]);
        let wildcards = parents.filter_map(|parent| self.wildcard.get(parent));
        Ok(exact.into_iter().chain(wildcards).chain([&self.any]).find_map(|routes| self.longest(routes, &path)))
    }

    fn longest(&self, prefixes: &[usize], path: &str) -> Option<(usize, &Settings)> {
        let under = |prefix: &str| {
            let segment = prefix.strip_suffix('/').unwrap_or(prefix);
            path.strip_prefix(segment)
                .is_some_and(|rest| rest.starts_with('/') || (rest.is_empty() && segment.len() == prefix.len()))
        };
        let index = *prefixes.iter().find(|index| under(&self.routes[**index].path))?;
        Some((index, &self.routes[index]))
    }
}

/// The path as routes see it.
pub(super) fn plain(path: &str) -> Result<Cow<'_, str>, Ambiguous> {
    if path == "*" {
        return Ok("/".into()); // OPTIONS * asks about the server as a whole (RFC 9110 section 9.3.7).
    }
    let mut before = 0;
    let odd = path.bytes().any(|byte| {
        let slash = std::mem::replace(&mut before, byte) == b'/';
        matches!(byte, b'%' | b'\\' | b';') || (slash && matches!(byte, b'/' | b'.'))
    });
    if !odd {
        return Ok(path.into());
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => {
                let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
                let mut ahead = bytes.clone();
                match (digit(ahead.next()), digit(ahead.next())) {
                    (Some(high), Some(low)) => {
                        bytes = ahead;
                        u8::try_from(high * 16 + low).expect("two hexadecimal digits are a byte")
                    }
                    _ => b'%',
                }
            }
            byte => byte,
        };
        // Some backends take a backslash for a slash; none that takes it for a letter needs it in a route.
        decoded.push(if byte == b'\\' { b'/' } else { byte });
    }
    if decoded.contains(&0) {
        return Err(Ambiguous);
    }
    let mut plain = Vec::with_capacity(decoded.len() + 1);
    // Java servers cut a segment at its first semicolon, before they look for dots.
    let segments = decoded.split(|byte| *byte == b'/').map(|segment| segment.split(|byte| *byte == b';').next());
    for segment in segments.flatten().filter(|segment| !segment.is_empty()) {
        if matches!(segment, b"." | b"..") {
            return Err(Ambiguous);
        }
        plain.push(b'/');
        plain.extend_from_slice(segment);
    }
    if plain.is_empty() || decoded.ends_with(b"/") {
        plain.push(b'/');
    }
    Ok(String::from_utf8_lossy(&plain).into_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(routes: &[(&str, &str)]) -> Table {
        let routes: Vec<Settings> = routes
            .iter()
            .map(|(host, path)| Settings {
                host: (!host.is_empty()).then(|| (*host).to_owned()),
                path: (*path).to_owned(),
                upstream: 0,
                session: true,
                passive: false,
                on_store_failure: OnStoreFailure::Reject,
                require_user: None,
                csrf: CrossOrigin::Report,
                trusted_origins: Vec::new(),
                max_body_size: None,
            })
            .collect();
        Table::new(&routes)
    }

    fn found(table: &Table, host: &str, path: &str) -> Option<usize> {
        table.find(host, path).unwrap().map(|(index, _)| index)
    }

    #[test]
    fn the_longest_prefix_of_whole_segments_wins() {
        let table = table(&[("", "/"), ("", "/api"), ("", "/api/v2/"), ("", "/static/")]);
        for (path, route) in [
            ("/", 0),
            ("/apix", 0),
            ("/api", 1),
            ("/api/", 1),
            ("/api/v2", 1),
            ("/api/v2/", 2),
            ("/api/v2/x", 2),
            ("/static", 0),
            ("/api;a=b/x", 1),
            ("/;/api/x", 1),
            ("/api;/v2;x/y", 2),
            ("/api%3bx", 1),
            ("/static/a", 3),
            ("//api", 1),
            ("/%61pi/x", 1),
            ("/api%2fv2/x", 2),
            ("\\api", 1),
            ("*", 0),
        ] {
            assert_eq!(found(&table, "any", path), Some(route), "{path}");
        }
    }

    #[test]
    fn a_prefix_with_a_slash_goes_before_the_same_without() {
        let table = table(&[("", "/api"), ("", "/api/")]);
        assert_eq!((found(&table, "any", "/api"), found(&table, "any", "/api/x")), (Some(0), Some(1)));
    }

    #[test]
    fn the_most_exact_host_wins() {
        let table = table(&[("", "/"), ("*.example.com", "/"), ("*.a.example.com", "/"), ("b.example.com", "/b")]);
        for (host, path, route) in [
            ("example.com", "/", 0),
            ("x.example.com", "/", 1),
            ("X.EXAMPLE.com.", "/", 1),
            ("x.a.example.com", "/", 2),
            ("b.example.com", "/b", 3),
            ("b.example.com", "/", 1),
            ("badexample.com", "/", 0),
        ] {
            assert_eq!(found(&table, host, path), Some(route), "{host}{path}");
        }
    }

    #[test]
    fn without_a_route_nothing_is_found() {
        let table = table(&[("a.example.com", "/x")]);
        assert_eq!(found(&table, "a.example.com", "/"), None);
        assert_eq!(found(&table, "b.example.com", "/x"), None);
    }

    #[test]
    fn climbing_paths_are_refused_in_every_spelling() {
        for path in [
            "/../a",
            "/a/..",
            "/a/./b",
            "/.",
            "/%2e%2e/a",
            "/a/.%2E",
            "/a%2f..%2fb",
            "/a\\..\\b",
            "/a/%5c../b",
            "/a/..;x=1/b",
            "/a/..%3bx/b",
            "/a%00b",
        ] {
            assert_eq!(table(&[("", "/")]).find("h", path), Err(Ambiguous), "{path}");
        }
        for path in ["/...", "/.well-known/x", "/a..b", "/a/..b", "/%2e%2e%2e", "/a;x/b"] {
            assert!(table(&[("", "/")]).find("h", path).is_ok(), "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_path_is_answered_without_a_panic(path in "[/.%a-f0-9\\\\;*]{0,40}") {
            let _ = table(&[("", "/"), ("*.b", "/a")]).find("a.b", &path);
        }
    }
}
