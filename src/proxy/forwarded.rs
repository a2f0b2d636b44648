//! Proxies in front: whose word about the client is taken, in which header they give it, and what it comes to.
//!
//! What a trusted proxy says is read from the right, where it has written last. Each address names who stood before the
//! one that wrote it; so the first that is no trusted proxy's is the client's, and what stands left of it is the
//! client's own talk. Where something cannot be read, nothing left of it is believed.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use super::{Announced, Client, Scheme};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Who is in front, and how they tell of clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The proxies in front.
    pub trusted: Trusted,
    /// Where they tell of clients. The other header is as good as not there.
    pub header: Header,
    /// Whether the host that they name is the one the request is for.
    pub host: bool,
    /// Whether every connection begins with a PROXY protocol header. One without is from before that was asked for:
    /// nobody knows whether it is a proxy that speaks on it, or a client through a proxy.
    pub announced: bool,
}

/// The networks of the proxies whose word is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trusted(pub Arc<[IpNet]>);

impl Trusted {
    /// Whether one of them is there. The address is in its canonical form.
    pub fn covers(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// A header in which proxies tell of clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Header {
    /// `X-Forwarded-For`, with `X-Forwarded-Proto` and `X-Forwarded-Host`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239), which has all three in it.
    Forwarded,
}

/// What the proxies in front have said.
#[derive(Debug, Default)]
struct Told<'a> {
    /// From the nearest on; the last of them is the client.
    addresses: Vec<SocketAddr>,
    scheme: Option<Scheme>,
    host: Option<&'a [u8]>,
}

impl Settings {
    /// Whose request this is: `peer`'s, or, where that is a trusted proxy, whoever's it says.
    pub fn client(&self, headers: &HeaderMap, peer: &Rc<Client>) -> Rc<Client> {
        if !self.is_proxy(peer) {
            return Rc::clone(peer);
        }
        let told = match self.header {
            Header::XForwardedFor => self.x_forwarded(headers),
            Header::Forwarded => self.forwarded(headers),
        };
        let mut forwarded_for = String::new();
        for address in told.addresses.iter().rev() {
            // Nothing but the client and those who are trusted: a backend may take the first for the client.
            let _ = write!(forwarded_for, "{}, ", address.ip());
        }
        let _ = write!(forwarded_for, "{}", peer.address.ip());
        let scheme = told.scheme.unwrap_or(peer.scheme);
        Rc::new(Client {
            address: told.addresses.last().copied().unwrap_or(peer.address),
            scheme,
            announced: peer.announced,
            // The proxy's own: no client's, whether it tells of one or not.
            certificate: None,
            host: told.host.filter(|_| self.host).and_then(|host| HeaderValue::from_bytes(host).ok()),
            forwarded: Client::forwarded(&forwarded_for, scheme),
        })
    }

    /// Whether it is a trusted proxy that speaks, and not somebody through one.
    fn is_proxy(&self, peer: &Client) -> bool {
        let speaks = match peer.announced {
            Announced::Nothing => !self.announced,
            Announced::Address => true,
            Announced::Somebody => false,
        };
        speaks && self.trusted.covers(peer.address.ip())
    }

    fn x_forwarded<'a>(&self, headers: &'a HeaderMap) -> Told<'a> {
        let mut addresses = Vec::new();
        for address in from_the_last(headers, &X_FORWARDED_FOR).map_while(node) {
            addresses.push(address);
            if !self.trusted.covers(address.ip()) {
                break;
            }
        }
        // The last is the nearest proxy's own; what came before it may be anybody's.
        Told {
            addresses,
            scheme: from_the_last(headers, &X_FORWARDED_PROTO).next().and_then(scheme),
            host: from_the_last(headers, &X_FORWARDED_HOST).next(),
        }
    }

    fn forwarded<'a>(&self, headers: &'a HeaderMap) -> Told<'a> {
        let mut told = Told::default();
        for element in from_the_last(headers, &FORWARDED).map_while(Element::read) {
            told.addresses.push(element.address);
            // One who does not say is taken to have passed on what the next has seen.
            told.scheme = element.scheme.or(told.scheme);
            told.host = element.host.or(told.host);
            if !self.trusted.covers(element.address.ip()) {
                break;
            }
        }
        told
    }
}

/// What one proxy has said in `Forwarded` (RFC 7239 section 4).
struct Element<'a> {
    address: SocketAddr,
    scheme: Option<Scheme>,
    host: Option<&'a [u8]>,
}

impl<'a> Element<'a> {
    /// None where it is malformed, or does not tell by its address who was there.
    fn read(element: &'a [u8]) -> Option<Self> {
        let (mut address, mut proto, mut host) = (None, None, None);
        for pair in unquoted_split(element, b';').map(<[u8]>::trim_ascii) {
            let equals = pair.iter().position(|byte| *byte == b'=')?;
            let (name, value) = (&pair[..equals], unquoted(&pair[equals + 1..])?);
            let known = match name.to_ascii_lowercase().as_slice() {
                b"for" => &mut address,
                b"proto" => &mut proto,
                b"host" => &mut host,
                _ => continue,
            };
            // "Each parameter MUST NOT occur more than once per field-value".
            if known.replace(value).is_some() {
                return None;
            }
        }
        Some(Self { address: node(address?)?, scheme: proto.and_then(scheme), host })
    }
}

/// The elements of a list over all its lines, the last first. Commas in quotes are none between elements.
fn from_the_last<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let lines = headers.get_all(name).iter().rev();
    let elements = lines.flat_map(|line| unquoted_split(line.as_bytes(), b','));
    // RFC 9110 section 5.6.1.2: empty elements are none.
    elements.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// Splits from the right, so that a quote which somebody left open hides nothing that a later proxy has added.
fn unquoted_split(list: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    list.rsplit(move |byte| {
        quoted ^= *byte == b'"';
        *byte == separator && !quoted
    })
}

/// The value of a token or of a quoted string. None with a backslash: nothing that is looked for here needs one.
fn unquoted(value: &[u8]) -> Option<&[u8]> {
    let inner = match value {
        [b'"', inner @ .., b'"'] => inner,
        value => value,
    };
    let is_plain = !inner.is_empty() && inner.iter().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(byte));
    is_plain.then_some(inner)
}

/// An address, with a port or without. None for `unknown`, for identifiers that hide it, and for what is malformed.
fn node(node: &[u8]) -> Option<SocketAddr> {
    let node = str::from_utf8(node).ok()?;
    if let Some(rest) = node.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        let port = if port.is_empty() { 0 } else { self::port(port.strip_prefix(':')?)? };
        return Some(SocketAddr::new(IpAddr::from(address).to_canonical(), port));
    }
    if let Ok(address) = node.parse::<IpAddr>() {
        return Some(SocketAddr::new(address.to_canonical(), 0));
    }
    let (address, port) = node.split_once(':')?;
    Some(SocketAddr::new(address.parse::<Ipv4Addr>().ok()?.into(), self::port(port)?))
}

/// A port; one that is hidden is as good as none.
fn port(port: &str) -> Option<u16> {
    if port.starts_with('_') {
        return Some(0);
    }
    port.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
    port.parse().ok()
}

fn scheme(name: &[u8]) -> Option<Scheme> {
    match name.to_ascii_lowercase().as_slice() {
        // Some proxies, Traefik for one, name a WebSocket's own scheme.
        b"http" | b"ws" => Some(Scheme::Http),
        b"https" | b"wss" => Some(Scheme::Https),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn settings(header: Header) -> Settings {
        let networks = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
        Settings { trusted: Trusted(networks.into()), header, host: true, announced: false }
    }

    /// Client, scheme, host and `X-Forwarded-For`, for a request that 10.0.0.1 passed on.
    fn told(header: Header, lines: &[(&'static str, &str)]) -> (String, Scheme, Option<String>, String) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let peer = Rc::new(Client::new("10.0.0.1:5".parse().unwrap(), Scheme::Http));
        let client = settings(header).client(&headers, &peer);
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        let address = client.address.ip().to_string();
        let scheme = if client.scheme == Scheme::Https { "https" } else { "http" };
        let written = client.forwarded.strip_suffix(&format!("\r\nx-forwarded-proto: {scheme}\r\n"));
        let written = written.and_then(|written| written.strip_prefix("x-forwarded-for: ")).unwrap();
        (address, client.scheme, client.host.as_ref().map(text), written.to_owned())
    }

    #[test]
    fn client_is_the_rightmost_that_is_no_trusted_proxy() {
        for (lines, client, forwarded_for) in [
            (&[][..], "10.0.0.1", "10.0.0.1"),
            (&[""], "10.0.0.1", "10.0.0.1"),
            (&["192.0.2.1"], "192.0.2.1", "192.0.2.1, 10.0.0.1"),
            (&["198.51.100.9, 192.0.2.1"], "192.0.2.1", "192.0.2.1, 10.0.0.1"),
            (&["192.0.2.1, 10.1.1.1,, ,10.2.2.2"], "192.0.2.1", "192.0.2.1, 10.1.1.1, 10.2.2.2, 10.0.0.1"),
            (&["9.9.9.9", "192.0.2.1", "10.2.2.2"], "192.0.2.1", "192.0.2.1, 10.2.2.2, 10.0.0.1"),
            (&["10.3.3.3, 10.2.2.2"], "10.3.3.3", "10.3.3.3, 10.2.2.2, 10.0.0.1"),
            (&["192.0.2.1:4711"], "192.0.2.1", "192.0.2.1, 10.0.0.1"),
            (&["2001:db8::1"], "2001:db8::1", "2001:db8::1, 10.0.0.1"),
            (&["[2001:db8::1]"], "2001:db8::1", "2001:db8::1, 10.0.0.1"),
            (&["[2001:db8::1]:4711, fd00::7"], "2001:db8::1", "2001:db8::1, fd00::7, 10.0.0.1"),
            (&["::ffff:192.0.2.1, ::ffff:10.1.1.1"], "192.0.2.1", "192.0.2.1, 10.1.1.1, 10.0.0.1"),
            // What cannot be read ends it, and the last good one is the client.
            (&["192.0.2.1, unknown"], "10.0.0.1", "10.0.0.1"),
            (&["192.0.2.1, _hidden, 10.2.2.2"], "10.2.2.2", "10.2.2.2, 10.0.0.1"),
            (&["192.0.2.1, 10.2.2"], "10.0.0.1", "10.0.0.1"),
            (&["192.0.2.1, 10.2.2.2:99999"], "10.0.0.1", "10.0.0.1"),
            (&["192.0.2.1, 10.2.2.2:+1"], "10.0.0.1", "10.0.0.1"),
            (&["192.0.2.1, [10.2.2.2]"], "10.0.0.1", "10.0.0.1"),
            (&["192.0.2.1, [::1"], "10.0.0.1", "10.0.0.1"),
            (&["192.0.2.1, [::1]x"], "10.0.0.1", "10.0.0.1"),
            (&["192.0.2.1, 10.2.2.2 10.3.3.3"], "10.0.0.1", "10.0.0.1"),
            (&["192.0.2.1, \u{e9}"], "10.0.0.1", "10.0.0.1"),
            (&["\"192.0.2.1"], "10.0.0.1", "10.0.0.1"),
            (&["\"9.9.9.9, 192.0.2.1, 10.2.2.2"], "192.0.2.1", "192.0.2.1, 10.2.2.2, 10.0.0.1"),
        ] {
            let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
            let (address, _, _, written) = told(Header::XForwardedFor, &lines);
            assert_eq!((address.as_str(), written.as_str()), (client, forwarded_for), "{lines:?}");
        }
    }

    #[test]
    fn forwarded_tells_of_the_same_client_what_its_own_element_says() {
        let (http, https) = (Scheme::Http, Scheme::Https);
        for (lines, client, scheme, host) in [
            (&["for=192.0.2.1"][..], "192.0.2.1", http, None),
            (&["For=192.0.2.1;Proto=HTTPS;host=a.example"], "192.0.2.1", https, Some("a.example")),
            (&["for=\"[2001:db8::1]:4711\" ; proto=https"], "2001:db8::1", https, None),
            (&["for=192.0.2.1;proto=https, for=10.2.2.2;proto=http"], "192.0.2.1", https, None),
            (&["for=9.9.9.9;proto=http", "for=192.0.2.1", "for=10.2.2.2;proto=https"], "192.0.2.1", https, None),
            (
                &["for=\"9.9.9.9;proto=https, for=192.0.2.1;host=\"b.example:1\""],
                "192.0.2.1",
                http,
                Some("b.example:1"),
            ),
            (&["for=192.0.2.1;by=\"x,y;for=9.9.9.9\";secret=_a"], "192.0.2.1", http, None),
            (&["for=192.0.2.1:_port;proto=gopher"], "192.0.2.1", http, None),
            // Malformed, or of nobody's address.
            (&["for=192.0.2.1, for=unknown;proto=https"], "10.0.0.1", http, None),
            (&["for=192.0.2.1, for=\"_hidden\", for=10.2.2.2"], "10.2.2.2", http, None),
            (&["for=192.0.2.1, proto=https"], "10.0.0.1", http, None),
            (&["for=192.0.2.1;for=192.0.2.2;proto=https"], "10.0.0.1", http, None),
            (&["for=192.0.2.1;;proto=https"], "10.0.0.1", http, None),
            (&["for=\"192.0.2.1\\\"\""], "10.0.0.1", http, None),
            (&["192.0.2.1"], "10.0.0.1", http, None),
        ] {
            let lines: Vec<_> = lines.iter().map(|line| ("forwarded", *line)).collect();
            let (address, found, named, _) = told(Header::Forwarded, &lines);
            assert_eq!((address.as_str(), found, named.as_deref()), (client, scheme, host), "{lines:?}");
        }
    }

    #[test]
    fn one_header_is_believed_and_the_other_is_not() {
        let both = [
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "a.example"),
            ("forwarded", "for=192.0.2.2;host=b.example"),
        ];
        let (client, scheme, host, _) = told(Header::XForwardedFor, &both);
        assert_eq!((client.as_str(), scheme, host.as_deref()), ("192.0.2.1", Scheme::Https, Some("a.example")));
        let (client, scheme, host, _) = told(Header::Forwarded, &both);
        assert_eq!((client.as_str(), scheme, host.as_deref()), ("192.0.2.2", Scheme::Http, Some("b.example")));
    }

    #[test]
    fn nearest_proxys_scheme_and_host_are_the_last() {
        let lines =
            [("x-forwarded-proto", "https, http"), ("x-forwarded-proto", "HTTPS"), ("x-forwarded-host", "a, b")];
        let (_, scheme, host, _) = told(Header::XForwardedFor, &lines);
        assert_eq!((scheme, host.as_deref()), (Scheme::Https, Some("b")));
        assert_eq!(told(Header::XForwardedFor, &[("x-forwarded-proto", "https, ftp")]).1, Scheme::Http);
    }

    proptest! {
        #[test]
        fn nothing_that_a_client_writes_changes_what_a_proxy_adds(junk in "[\\x20-\\x7e\\xe9]{0,60}") {
            let line = format!("{junk}, 192.0.2.1, 10.2.2.2");
            prop_assert_eq!(told(Header::XForwardedFor, &[("x-forwarded-for", &line)]).0, "192.0.2.1");
            let line = format!("{junk}, for=192.0.2.1;proto=http, for=10.2.2.2");
            let (client, scheme, _, _) = told(Header::Forwarded, &[("forwarded", &line)]);
            prop_assert_eq!((client.as_str(), scheme), ("192.0.2.1", Scheme::Http));
        }
    }
}
