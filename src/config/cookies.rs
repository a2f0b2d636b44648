//! `[upstream.NAME.cookies."PATTERN"]`: what is changed about the cookies that pass to the browser.

use crate::proxy::cookies::SameSite;
use crate::proxy::cookies::jar::Pattern;
use crate::proxy::cookies::prefix::Prefix;
use crate::proxy::cookies::rules::{Rule, Rules};
use crate::{listener, proxy};

use super::host;
use super::jar::pattern;
use super::mistake::{Fault, Kind, Place};
use super::reader::Noted;
use super::route::route_path;
use super::section::{At, Named, Section};
use super::session::Session;
use super::value::{choice, flag, text};

/// Where a rule with a prefix is written.
pub(super) struct Prefixed {
    pattern: Pattern,
    prefix: Prefix,
    place: Place,
}

/// Reads one rule, whose name is the pattern; `prefixed` gets those with a prefix.
pub(super) fn rule(
    name: &At<String>,
    section: &mut Section<'_>,
    prefixed: &mut Vec<Prefixed>,
) -> Result<(Pattern, Rule), Noted> {
    let pattern = if name.value == "*" { Ok(Pattern::Around("".into(), "".into())) } else { pattern(&name.value) };
    let pattern = pattern.map_err(|fault| section.note(&name.place, fault));
    let block = section.or("block", false, flag);
    let secure = section.optional("secure", flag);
    let http_only = section.optional("http_only", flag);
    let words = [("lax", SameSite::Lax), ("strict", SameSite::Strict), ("none", SameSite::None)];
    let same_site = section.optional("same_site", choice(&words));
    let domain = section.optional("domain", text("a domain, or \"\" for this host alone", domain));
    let path = section.optional("path", text("a path", route_path));
    let prefix = section.optional("prefix", choice(&Prefix::ALL.map(|prefix| (prefix.word(), prefix))));
    let (block, secure, domain, path, prefix) = (block?, secure?, domain?, path?, prefix?);
    let (http_only, same_site, pattern) = (http_only?, same_site?, pattern?);
    if let Some(word) = prefix.value {
        let is_host = word == Prefix::Host;
        // Each with what a browser demands of such a name (RFC 6265bis section 5.7).
        for (broken, place, expected) in [
            (block.value, &block.place, "block or prefix, not both"),
            (secure.value == Some(false), &secure.place, "secure = true, or no prefix"),
            (
                is_host && domain.value.as_ref().is_some_and(|domain| !domain.is_empty()),
                &domain.place,
                "no domain, or \"__Secure-\"",
            ),
            (is_host && path.value.as_ref().is_some_and(|path| path != "/"), &path.place, "\"/\", or \"__Secure-\""),
        ] {
            if broken {
                let fault = Fault::new(Kind::Conflict, format!("impossible with a name in {}", word.word()), expected);
                return Err(section.note(place, fault.beside(&prefix.place, "named so here")));
            }
        }
        prefixed.push(Prefixed { pattern: pattern.clone(), prefix: word, place: prefix.place });
    }
    let rule = Rule {
        block: block.value,
        secure: secure.value,
        http_only: http_only.value,
        same_site: same_site.value,
        domain: domain.value,
        path: path.value,
        prefix: prefix.value,
    };
    Ok((pattern, rule))
}

/// All, in the order in which they were written. One that changes nothing keeps a cookie from the rules after it; where
/// there are none, it is none itself.
pub(super) fn rules(read: Named<(Pattern, Rule)>) -> Result<Rules, Noted> {
    let mut rules = read.into_iter().map(|(_, rule)| rule).collect::<Result<Vec<_>, _>>()?;
    while rules.pop_if(|(_, rule)| *rule == Rule::default()).is_some() {}
    Ok(Rules(rules))
}

fn domain(written: &str) -> Result<String, Fault> {
    if written.is_empty() { Ok(String::new()) } else { host::name(written) }
}

/// What the rules of one upstream with a prefix need of the other sections.
pub(super) fn possible(
    root: &Section<'_>,
    rules: &Rules,
    prefixed: &[Prefixed],
    (listen, session): (&listener::Settings, &Session),
) -> Result<(), Noted> {
    let mut result = Ok(());
    let proxy::cookies::Settings { name: ours, secure, .. } = &session.cookie;
    for Prefixed { pattern, prefix, place } in prefixed {
        if listen.https.is_none() && !secure {
            let fault = Fault::new(Kind::Conflict, "browsers take such a cookie over TLS only", "listen.https");
            result = Err(root.note(place, fault.help("where something in front ends TLS: session.secure = true")));
        }
        // The first rule that matches is the one that would name a cookie so.
        let own = ours.strip_prefix(prefix.word()).map(str::as_bytes);
        let names =
            own.and_then(|own| rules.0.iter().find(|(pattern, _)| pattern.matches(own)).map(|(first, _)| first));
        if names == Some(pattern) {
            let own = String::from_utf8_lossy(own.unwrap_or_default());
            let fault = Fault::new(
                Kind::Conflict,
                format!("makes {own:?} the gateway's own {ours:?}"),
                "another session.cookie",
            );
            result = Err(root.note(place, fault.help(format!("or a rule for {own:?} before this one"))));
        }
    }
    result
}
