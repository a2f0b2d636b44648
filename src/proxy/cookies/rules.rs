//! `[upstream.NAME.cookies]`: what is changed about cookies that pass to the browser.
//!
//! A `Set-Cookie` is edited where it stands: attributes that nobody here knows, their order and every other byte stay.

use http::header::{Entry, HeaderMap, HeaderValue, SET_COOKIE};

use super::SameSite;
use super::jar::Pattern;
use super::prefix::Prefix;
use crate::metrics::Counter;
use crate::session::jar::set_cookie;

/// What is done about cookies of some name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Whether they do not pass at all.
    pub block: bool,
    /// Whether they have `Secure`; left as it is where nothing is said.
    pub secure: Option<bool>,
    /// Whether they have `HttpOnly`.
    pub http_only: Option<bool>,
    /// Which `SameSite` they have.
    pub same_site: Option<SameSite>,
    /// Which `Domain` they have; none where it is empty, for this host alone.
    pub domain: Option<String>,
    /// Which `Path` they have.
    pub path: Option<String>,
    /// What their names begin with in the browser, and there alone; what a browser demands with it goes before the
    /// above.
    pub prefix: Option<Prefix>,
}

/// The rules of one upstream. Of those whose pattern matches a name, the first written counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules(pub Vec<(Pattern, Rule)>);

impl Rules {
    /// The rule for a cookie that its backend calls so.
    pub fn rule(&self, name: &[u8]) -> Option<&Rule> {
        self.0.iter().find(|(pattern, _)| pattern.matches(name)).map(|(_, rule)| rule)
    }

    /// Follows them in an answer that goes to the browser; `taken` counts what does not pass because the browser has
    /// another cookie of the name.
    pub fn apply(&self, headers: &mut HeaderMap, taken: &Counter) {
        if self.0.is_empty() {
            return;
        }
        let Entry::Occupied(fields) = headers.entry(SET_COOKIE) else { return };
        let (_, fields) = fields.remove_entry_mult();
        for field in fields.collect::<Vec<_>>() {
            if let Some(field) = self.edited(field, taken) {
                headers.append(SET_COOKIE, field);
            }
        }
    }

    /// The `Set-Cookie` as it passes, if it does.
    fn edited(&self, field: HeaderValue, taken: &Counter) -> Option<HeaderValue> {
        let name = set_cookie::name(field.as_bytes());
        let rule = self.rule(name);
        let prefix = rule.and_then(|rule| rule.prefix);
        // What has no name can have no prefix, and would come back without it.
        if rule.is_some_and(|rule| rule.block) || prefix.is_some() && name.is_empty() {
            return None;
        }
        if prefix.is_none() && self.added(name).is_some() {
            taken.increment();
            return None;
        }
        let Some(rule) = rule else { return Some(field) };
        let edited = rule.edited(field.as_bytes());
        // What is configured has been checked, so that this is a value as well.
        Some(HeaderValue::from_bytes(&edited).unwrap_or(field))
    }

    /// A `Set-Cookie` of a captured cookie under the name by which the browser has it from before it was captured.
    pub fn prefixed(&self, line: &[u8]) -> Option<Vec<u8>> {
        let rule = self.rule(set_cookie::name(line)).filter(|rule| rule.prefix.is_some())?;
        Some(rule.edited(line))
    }
}

impl Rule {
    fn edited(&self, field: &[u8]) -> Vec<u8> {
        // RFC 6265bis section 5.7: without these a browser refuses a cookie of such a name.
        let (secure, domain, path) = match self.prefix {
            Some(Prefix::Host) => (Some(true), Some(""), Some("/")),
            Some(Prefix::Secure) => (Some(true), self.domain.as_deref(), self.path.as_deref()),
            None => (self.secure, self.domain.as_deref(), self.path.as_deref()),
        };
        let mut parts: Vec<Vec<u8>> = field.split(|byte| *byte == b';').map(<[u8]>::to_vec).collect();
        if let (Some(prefix), Some(pair)) = (self.prefix, parts.first_mut()) {
            let begin = pair.len() - pair.trim_ascii_start().len();
            pair.splice(begin..begin, prefix.word().bytes());
        }
        let mut flag = |name: &str, wanted: Option<bool>| match wanted {
            Some(true) if !parts.iter().skip(1).any(|part| is(part, name)) => {
                parts.push([b" ", name.as_bytes()].concat());
            }
            Some(false) => remove(&mut parts, name),
            _ => {}
        };
        flag("Secure", secure);
        flag("HttpOnly", self.http_only);
        if let Some(same_site) = self.same_site {
            set(&mut parts, "SameSite", same_site.word());
        }
        match domain {
            Some("") => remove(&mut parts, "Domain"),
            Some(domain) => set(&mut parts, "Domain", domain),
            None => {}
        }
        if let Some(path) = path {
            set(&mut parts, "Path", path);
        }
        parts.join(&b';')
    }
}

/// Whether an attribute has this name (RFC 6265bis section 5.6).
fn is(part: &[u8], name: &str) -> bool {
    let end = memchr::memchr(b'=', part).unwrap_or(part.len());
    part[..end].trim_ascii().eq_ignore_ascii_case(name.as_bytes())
}

fn remove(parts: &mut Vec<Vec<u8>>, name: &str) {
    let mut index = 0;
    parts.retain(|part| {
        index += 1;
        index == 1 || !is(part, name)
    });
}

/// The last attribute of a name counts in a browser, so that one is changed.
fn set(parts: &mut Vec<Vec<u8>>, name: &str, value: &str) {
    match parts.iter_mut().skip(1).rfind(|part| is(part, name)) {
        Some(part) => {
            part.truncate(memchr::memchr(b'=', part).unwrap_or(part.len()));
            part.extend([b"=", value.as_bytes()].concat());
        }
        None => parts.push(format!(" {name}={value}").into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pass(rules: &Rules, lines: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(SET_COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        rules.apply(&mut headers, &Counter::default());
        headers.get_all(SET_COOKIE).iter().map(|field| field.as_bytes().to_vec()).collect()
    }

    fn one(rule: Rule, line: &str) -> Option<String> {
        let rules = Rules(vec![(Pattern::Around("a".into(), "".into()), rule)]);
        pass(&rules, &[line.as_bytes()]).pop().map(|line| String::from_utf8(line).unwrap())
    }

    #[test]
    fn attributes_are_edited_where_they_stand() {
        let rule = Rule::default;
        for (rule, line, expected) in [
            (Rule { secure: Some(true), ..rule() }, "a=1", Some("a=1; Secure")),
            (Rule { secure: Some(true), ..rule() }, "a=1;  SECURE ;x", Some("a=1;  SECURE ;x")),
            (Rule { secure: Some(true), ..rule() }, "a=secure", Some("a=secure; Secure")),
            (
                Rule { secure: Some(false), ..rule() },
                "a=1; Secure; Priority=High; secure=1",
                Some("a=1; Priority=High"),
            ),
            (
                Rule { http_only: Some(true), ..rule() },
                "a=1; Path=/; Partitioned",
                Some("a=1; Path=/; Partitioned; HttpOnly"),
            ),
            (Rule { http_only: Some(false), ..rule() }, "a=1;HttpOnly;Path=/", Some("a=1;Path=/")),
            (
                Rule { same_site: Some(SameSite::Lax), ..rule() },
                "a=1; samesite = None; x=y",
                Some("a=1; samesite =Lax; x=y"),
            ),
            (Rule { same_site: Some(SameSite::Strict), ..rule() }, "a=1", Some("a=1; SameSite=Strict")),
            (Rule { domain: Some(String::new()), ..rule() }, "a=1; Domain=x.test; Path=/", Some("a=1; Path=/")),
            (Rule { domain: Some("y.test".to_owned()), ..rule() }, "a=1; domain=x.test", Some("a=1; domain=y.test")),
            (Rule { path: Some("/app".to_owned()), ..rule() }, "a=1; Path; Path=/", Some("a=1; Path; Path=/app")),
            (Rule { block: true, ..rule() }, "a=1", None),
            (Rule { block: true, ..rule() }, "b=1", Some("b=1")),
            (Rule { secure: Some(false), ..rule() }, "Secure", Some("Secure")),
        ] {
            assert_eq!(one(rule.clone(), line).as_deref(), expected, "{rule:?} {line}");
        }
    }

    #[test]
    fn of_the_rules_that_match_the_first_counts() {
        let secure = |secure| Rule { secure: Some(secure), ..Rule::default() };
        let rules = Rules(vec![
            (Pattern::Exact("a".into()), Rule::default()),
            (Pattern::Around("".into(), "".into()), secure(true)),
            (Pattern::Exact("b".into()), secure(false)),
        ]);
        assert_eq!(pass(&rules, &[b"a=1", b"b=2", b"=3"]), [&b"a=1"[..], b"b=2; Secure", b"=3; Secure"]);
    }

    proptest! {
        #[test]
        fn without_a_rule_every_byte_stays(lines in proptest::collection::vec("[ -~\u{e9}\t]{0,40}", 0..5)) {
            let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
            prop_assert_eq!(pass(&Rules::default(), &lines), lines.clone());
            let nothing = Rules(vec![(Pattern::Around("".into(), "".into()), Rule::default())]);
            prop_assert_eq!(pass(&nothing, &lines), lines);
        }

        #[test]
        fn what_a_rule_does_not_name_stays(line in "[a-z]=[!-:<-~]{0,5}(; ?(Priority=High|Partitioned|x|expires=[a-z0-9]{3})){0,4}") {
            let rule = Rule { secure: Some(true), http_only: Some(false), ..Rule::default() };
            let rules = Rules(vec![(Pattern::Around("".into(), "".into()), rule)]);
            prop_assert_eq!(pass(&rules, &[line.as_bytes()]), [format!("{line}; Secure").into_bytes()]);
        }
    }
}
