//! `[upstream.NAME.cookies."PATTERN"]`: what is changed about the cookies that pass to the browser.

use crate::proxy::cookies::SameSite;
use crate::proxy::cookies::jar::Pattern;
use crate::proxy::cookies::rules::{Rule, Rules};

use super::host;
use super::jar::pattern;
use super::mistake::Fault;
use super::reader::Noted;
use super::section::{At, Named, Section};
use super::upstream::route_path;
use super::value::{choice, flag, malformed, text};

/// Reads one rule, whose name is the pattern.
pub(super) fn rule(name: &At<String>, section: &mut Section<'_>) -> Result<(Pattern, Rule), Noted> {
    let pattern = if name.value == "*" { Ok(Pattern::Around("".into(), "".into())) } else { pattern(&name.value) };
    let pattern = pattern.map_err(|fault| section.note(&name.place, fault));
    let block = section.or("block", false, flag);
    let secure = section.optional("secure", flag);
    let http_only = section.optional("http_only", flag);
    let words = [("lax", SameSite::Lax), ("strict", SameSite::Strict), ("none", SameSite::None)];
    let same_site = section.optional("same_site", choice(&words));
    let domain = section.optional("domain", text("a domain, or \"\" for this host alone", domain));
    let path = section.optional("path", text("a path", cookie_path));
    let rule = Rule {
        block: block?.value,
        secure: secure?.value,
        http_only: http_only?.value,
        same_site: same_site?.value,
        domain: domain?.value,
        path: path?.value,
    };
    Ok((pattern?, rule))
}

/// All, in the order in which they were written. One that changes nothing keeps a cookie from the rules after it; where there
/// are none, it is none itself.
pub(super) fn rules(read: Named<(Pattern, Rule)>) -> Result<Rules, Noted> {
    let mut rules = read.into_iter().map(|(_, rule)| rule).collect::<Result<Vec<_>, _>>()?;
    while rules.pop_if(|(_, rule)| *rule == Rule::default()).is_some() {}
    Ok(Rules(rules))
}

fn domain(written: &str) -> Result<String, Fault> {
    if written.is_empty() { Ok(String::new()) } else { host::name(written) }
}

/// What ends an attribute cannot stand in one.
fn cookie_path(written: &str) -> Result<String, Fault> {
    let path = route_path(written)?;
    if path.contains(';') { Err(malformed(written, "a path without `;`")) } else { Ok(path) }
}
