//! `__Host-` and `__Secure-`, under which a browser holds cookies that their backend calls by shorter names.
//!
//! The prefix is the browser's promise that nobody else has set the cookie: no sibling host, nothing on the way in
//! clear text (RFC 6265bis section 4.1.3). So what comes back without it is not the backend's cookie, whatever its
//! name.

use super::jar::Pattern;
use super::names;
use super::rules::{Rule, Rules};

/// What the browser's name of a cookie begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// `__Host-`: set over TLS, by this host, for all of it.
    Host,
    /// `__Secure-`: set over TLS.
    Secure,
}

impl Prefix {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Host, Self::Secure];

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Host => "__Host-",
            Self::Secure => "__Secure-",
        }
    }
}

impl Rules {
    /// Whether browsers know some cookie by another name than the backend.
    pub fn rename(&self) -> bool {
        self.0.iter().any(|(_, rule)| rule.prefix.is_some())
    }

    /// The prefix that is not of the backend's making, where the browser's name of a cookie has one.
    pub fn added(&self, name: &[u8]) -> Option<Prefix> {
        Prefix::ALL.into_iter().find(|prefix| {
            let own = name.strip_prefix(prefix.word().as_bytes()).filter(|own| !own.is_empty());
            own.and_then(|own| self.rule(own)).is_some_and(|rule| rule.prefix == Some(*prefix))
        })
    }

    /// A client's `name=value` as the backend is to have it; none where it lacks the prefix that the browser's would
    /// have.
    pub fn restored<'p>(&self, pair: &'p [u8]) -> Option<&'p [u8]> {
        let own = names(pair).next().unwrap_or_default();
        match self.added(own) {
            Some(prefix) => Some(&pair[prefix.word().len()..]),
            None => (!names(pair).any(|name| self.lacks_prefix(name))).then_some(pair),
        }
    }

    /// Whether some backend could read a cookie of this name as one that has a prefix in browsers. As ever the first
    /// rule counts.
    fn lacks_prefix(&self, name: &[u8]) -> bool {
        let decides = |(pattern, rule): &&(Pattern, Rule)| {
            rule.prefix.is_some() && pattern.could_be_read(name) || pattern.matches(name)
        };
        self.0.iter().find(decides).is_some_and(|(_, rule)| rule.prefix.is_some())
    }
}

#[cfg(test)]
mod tests {
    use http::header::{HeaderMap, HeaderValue, SET_COOKIE};
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::Counter;
    use crate::session::jar::set_cookie;

    fn rule(pattern: &str, prefix: Option<Prefix>) -> (Pattern, Rule) {
        let pattern = match pattern.strip_suffix('*') {
            Some(start) => Pattern::Around(start.into(), "".into()),
            None => Pattern::Exact(pattern.into()),
        };
        (pattern, Rule { prefix, ..Rule::default() })
    }

    fn host(pattern: &str) -> (Pattern, Rule) {
        rule(pattern, Some(Prefix::Host))
    }

    /// The `Set-Cookie` that the browser gets, if it gets one.
    fn passed(rules: &Rules, line: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.append(SET_COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        let taken = Counter::default();
        rules.apply(&mut headers, &taken);
        let passed = headers.get(SET_COOKIE).map(|field| String::from_utf8(field.as_bytes().to_vec()).unwrap());
        assert!(passed.is_none() || taken.get() == 0);
        passed
    }

    fn back(rules: &Rules, pair: &str) -> Option<String> {
        rules.restored(pair.as_bytes()).map(|pair| String::from_utf8(pair.to_vec()).unwrap())
    }

    #[test]
    fn what_passes_to_the_browser_is_what_a_browser_accepts() {
        let secure = || rule("t_*", Some(Prefix::Secure));
        for (rules, line, expected) in [
            (vec![host("sid")], "sid=1", Some("__Host-sid=1; Secure; Path=/")),
            (vec![host("sid")], "sid=1; Path=/; Secure; x", Some("__Host-sid=1; Path=/; Secure; x")),
            (vec![host("sid")], "sid=1; path=/app; Domain=h.test;x", Some("__Host-sid=1; path=/;x; Secure")),
            (vec![host("sid")], "\t sid = 1;Secure; Path", Some("\t __Host-sid = 1;Secure; Path=/")),
            (vec![host("sid")], "sid=; Max-Age=0; Path=/app", Some("__Host-sid=; Max-Age=0; Path=/; Secure")),
            (vec![host("sid")], "sidx=1", Some("sidx=1")),
            (vec![host("sid")], "sid", Some("sid")),
            (
                vec![secure()],
                "t_a=1; Domain=h.test; Path=/app",
                Some("__Secure-t_a=1; Domain=h.test; Path=/app; Secure"),
            ),
            (vec![rule("sid", None), host("*")], "sid=1", Some("sid=1")),
            (vec![rule("sid", None), host("*")], "x=1", Some("__Host-x=1; Secure; Path=/")),
            // Two of the backend's cookies are two of the browser's.
            (vec![host("*")], "__Host-x=1; Secure; Path=/", Some("__Host-__Host-x=1; Secure; Path=/")),
            (vec![host("sid")], "__Host-sid=1; Secure; Path=/", None),
            (vec![secure()], "__Host-t_a=1", Some("__Host-t_a=1")),
            // There is no name that a prefix could stand before.
            (vec![host("*")], "=1", None),
        ] {
            assert_eq!(passed(&Rules(rules.clone()), line).as_deref(), expected, "{rules:?} {line}");
        }
    }

    #[test]
    fn what_comes_back_without_its_prefix_is_nobody_s() {
        let secure = || rule("t_*", Some(Prefix::Secure));
        for (rules, pair, expected) in [
            (vec![host("sid")], "__Host-sid=1", Some("sid=1")),
            (vec![host("sid")], "__Host-sid = a=b ", Some("sid = a=b ")),
            (vec![host("sid")], "__Host-sid", Some("sid")),
            (vec![host("sid")], "sid=evil", None),
            (vec![host("sid")], "sid", None),
            (vec![host("sid")], "sid =evil", None),
            (vec![host("s_id")], "S.id=evil", None),
            (vec![host("sid")], "%73id=evil", None),
            (vec![host("sid")], "x=1 sid=evil", None),
            (vec![host("sid")], "x,sid=evil", None),
            (vec![host("sid")], "x sid=evil", None),
            (vec![host("sid")], "x=1,sid =evil", None),
            (vec![host("sid")], "x=sid", Some("x=sid")),
            (vec![host("sid")], "x=a sidx=1", Some("x=a sidx=1")),
            (vec![host("sid")], "__Host-sid=1, sid=2", Some("sid=1, sid=2")),
            (vec![host("sid")], "sidx=1", Some("sidx=1")),
            (vec![host("sid")], "__host-sid=evil", Some("__host-sid=evil")),
            (vec![host("sid")], "__Secure-sid=evil", Some("__Secure-sid=evil")),
            (vec![host("sid")], "__Host-__Host-sid=1", Some("__Host-__Host-sid=1")),
            (vec![host("sid")], "a=__Host-sid", Some("a=__Host-sid")),
            (vec![secure()], "__Secure-t_a=1", Some("t_a=1")),
            (vec![secure()], "__Host-t_a=1", Some("__Host-t_a=1")),
            (vec![secure()], "t_a=evil", None),
            (vec![host("*")], "__Host-__Host-x=1", Some("__Host-x=1")),
            (vec![host("*")], "__Host-=1", None),
            (vec![host("*")], "x=evil", None),
            (vec![rule("x", None), host("*")], "x=1", Some("x=1")),
            (vec![rule("x", None), host("*")], "X=evil", None),
            (vec![rule("x*", None), host("*")], "xy=1", Some("xy=1")),
            (vec![host("x"), rule("*", None)], "X=evil", None),
            (vec![host("x"), rule("*", None)], "y=1", Some("y=1")),
        ] {
            assert_eq!(back(&Rules(rules.clone()), pair).as_deref(), expected, "{rules:?} {pair}");
        }
    }

    fn some_rules() -> impl Strategy<Value = Rules> {
        let prefix = prop_oneof![Just(None), Just(Some(Prefix::Host)), Just(Some(Prefix::Secure))];
        let pattern = prop_oneof!["[ab]{1,2}", "[ab]{0,2}\\*", "(__Host-|__Secure-)[ab]?\\*?"];
        proptest::collection::vec((pattern, prefix).prop_map(|(pattern, prefix)| rule(&pattern, prefix)), 0..4)
            .prop_map(Rules)
    }

    proptest! {
        #[test]
        fn where_no_rule_has_a_prefix_every_pair_stays(rules in some_rules(), pair in "[ -~\u{e9}\t]{0,40}") {
            let rules = rules.0.into_iter().map(|(pattern, rule)| (pattern, Rule { prefix: None, ..rule }));
            prop_assert_eq!(back(&Rules(rules.collect()), &pair), Some(pair));
        }

        #[test]
        fn a_name_that_goes_out_comes_back_as_it_was(rules in some_rules(), name in "(__Host-|__Secure-){0,3}[ab]{0,3}", value in "[ -:<-~]{0,6}") {
            if let Some(line) = passed(&rules, &format!("{name}={value}; Path=/x; Domain=h.test")) && !name.is_empty() {
                let pair = line.split(';').next().unwrap();
                prop_assert_eq!(back(&rules, pair), Some(format!("{name}={value}")));
            }
        }

        #[test]
        fn no_two_cookies_of_a_backend_meet_in_the_browser(rules in some_rules(), names in proptest::collection::vec("(__Host-|__Secure-){0,3}[ab]{1,2}", 2)) {
            let held = |name: &String| passed(&rules, &format!("{name}=1")).map(|line| set_cookie::name(line.as_bytes()).to_vec());
            if let [Some(one), Some(other)] = [&names[0], &names[1]].map(held) {
                prop_assert_eq!(one == other, names[0] == names[1]);
            }
        }

        #[test]
        fn nothing_reaches_the_backend_under_a_name_that_only_a_prefix_gives(rules in some_rules(), pair in "(__Host-|__Secure-){0,2}[abAB]{0,3} ?=?[ab]?") {
            // As a pair is found in its field: without white space around it.
            let pair = pair.trim();
            if let Some(back) = back(&rules, pair) && back == pair {
                let name = set_cookie::name(format!("{}=", pair.split('=').next().unwrap()).as_bytes()).to_vec();
                prop_assert!(rules.rule(&name).is_none_or(|rule| rule.prefix.is_none()));
            }
        }
    }
}
