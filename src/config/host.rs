//! Host names as the configuration takes them: in routes, in servers, in the cookie's domain.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::mistake::{Fault, Kind};
use super::value::malformed;

/// What a host name is, for a report.
const NAME: &str = "a host name of letters, digits, `-` and dots";

/// A host name in lower case without a trailing dot; an IPv4 address is one too.
pub(super) fn name(written: &str) -> Result<String, Fault> {
    let fault = || {
        let fault = malformed(written, NAME);
        if written.is_ascii() { fault } else { fault.help("write an international name in its ASCII form, `xn--…`") }
    };
    let name = written.strip_suffix('.').unwrap_or(written).to_ascii_lowercase();
    let labels_are_good = name.split('.').all(is_label);
    // A last label of digits makes it an address (WHATWG URL, "ends in a number checker"), and then a whole one.
    let like_address = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|each| each.is_ascii_digit()));
    let good = name.len() <= 253 && labels_are_good && (!like_address || name.parse::<Ipv4Addr>().is_ok());
    if good { Ok(name) } else { Err(fault()) }
}

/// A route's host: a name, an address, or `*.` and a name.
pub(super) fn pattern(written: &str) -> Result<String, Fault> {
    if written == "*" {
        return Err(malformed(written, NAME).help("leave `host` out to serve every host"));
    }
    if let Some(address) = written.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: Result<Ipv6Addr, _> = address.parse();
        return address
            .map(|address| format!("[{address}]"))
            .map_err(|_| malformed(written, "an IPv6 address in `[]`"));
    }
    if written.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|each| each.is_ascii_digit())) {
        return Err(
            malformed(written, "a host without a port").help("a route serves its host on every port listened on")
        );
    }
    let Some(parent) = written.strip_prefix("*.") else {
        return name(written).map_err(|fault| {
            if written.contains('*') {
                fault.help("`*` stands only at the start, as in \"*.example.com\"")
            } else {
                fault
            }
        });
    };
    match name(parent) {
        Ok(parent) if parent.parse::<Ipv4Addr>().is_err() => Ok(format!("*.{parent}")),
        _ => Err(malformed(written, format!("`*.` and {NAME}"))),
    }
}

/// The `Domain` of a cookie.
pub(super) fn cookie_domain(written: &str) -> Result<String, Fault> {
    if let Some(bare) = written.strip_prefix('.') {
        return Err(malformed(written, NAME).help(format!("write \"{bare}\": it covers the hosts below it anyway")));
    }
    let domain = name(written)?;
    if domain.parse::<Ipv4Addr>().is_ok() {
        let expected = "a host name; an address has no hosts below it";
        return Err(
            Fault::new(Kind::Malformed, format!("{written:?} is an address"), expected).help("leave `domain` out")
        );
    }
    Ok(domain)
}

/// Underscores are no part of host names, and of many names in private networks.
fn is_label(label: &str) -> bool {
    let inner = |each: u8| each.is_ascii_alphanumeric() || each == b'-' || each == b'_';
    (1..=63).contains(&label.len()) && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_lower_case_ascii_with_a_leading_wildcard_only() {
        for (written, host) in [
            ("example.com", "example.com"),
            ("App.Example.COM.", "app.example.com"),
            ("*.example.com", "*.example.com"),
            ("localhost", "localhost"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "[::1]"),
            ("[0:0::1]", "[::1]"),
            ("my_service", "my_service"),
        ] {
            assert_eq!(pattern(written).as_deref(), Ok(host), "{written}");
        }
        for written in [
            "",
            ".",
            "*",
            "*.",
            "a.*.com",
            "*a.com",
            "**.com",
            "a b",
            "a..b",
            ".a.com",
            "a.com..",
            "a.com:80",
            "bücher.de",
            "-a.com",
            "1.2.3",
            "256.1.1.1",
            "*.1.2.3.4",
            "http://a.com",
            "a.com/",
            "[::1",
            "[::1]:80",
            "[zz]",
            "a\n",
        ] {
            assert!(pattern(written).is_err(), "{written}");
        }
    }
}
