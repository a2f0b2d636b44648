//! The servers of an `[upstream.NAME]`, and its `[upstream.NAME.tls]`.

use std::net::Ipv6Addr;
use std::path::PathBuf;

use rustls_pki_types::ServerName;

use crate::proxy::upstream::{Identity, MOST_SERVERS, Protocol, Server, Tls};

use super::host;
use super::mistake::{Fault, Kind, Place};
use super::reader::Noted;
use super::section::{At, Section, Taken, written};
use super::value::{Value, list, malformed, path, text};

pub(super) const SERVER: &str =
    "a server at http://host:port, https://host:port, h2c://host:port, h2://host:port or unix:/path/to.sock";

/// `http://host:port`, `https://`, `h2c://`, `h2://`, or `unix:/path`.
pub(super) fn server(written: &str) -> Result<Server, Fault> {
    if let Some(path) = written.strip_prefix("unix:") {
        // sockaddr_un holds 108 bytes, one of them the end (unix(7)).
        let good = path.starts_with('/') && path.len() > 1 && path.len() < 108 && !path.contains('\0');
        let fault = || malformed(written, "`unix:` and an absolute path of less than 108 bytes");
        return if good { Ok(Server::Unix(PathBuf::from(path))) } else { Err(fault()) };
    }
    let (scheme, authority) = written.split_once("://").ok_or_else(|| malformed(written, SERVER))?;
    let (usual_port, protocol) = match scheme {
        "http" => (80, Protocol::Http1),
        "https" => (443, Protocol::Http1),
        "h2c" => (80, Protocol::Http2),
        "h2" => (443, Protocol::Http2),
        _ => return Err(malformed(written, SERVER)),
    };
    if authority.contains(['/', '?', '#', '@']) {
        let expected = format!("{scheme}://host:port and nothing more");
        return Err(malformed(written, expected).help("the path of the request is kept"));
    }
    let (host, port) = host_and_port(authority).ok_or_else(|| malformed(written, SERVER))?;
    let port = match port {
        None => Some(usual_port),
        Some(port) if port.bytes().all(|each| each.is_ascii_digit()) => port.parse().ok().filter(|port| *port > 0),
        Some(_) => None,
    };
    let port = port.ok_or_else(|| malformed(written, "a port from 1 to 65535"))?;
    let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().map(|address| address.to_string()).ok(),
        None => host::name(host).ok(),
    };
    let host = host.ok_or_else(|| malformed(written, SERVER))?;
    if matches!(scheme, "http" | "h2c") {
        return Ok(Server::Tcp { host, port, protocol });
    }
    let name = ServerName::try_from(host.clone()).map_err(|_| malformed(written, SERVER))?;
    Ok(Server::Tls { host, port, name, protocol })
}

/// Every server, if all of them speak the same HTTP: a request is made for one of the two before its server is chosen.
pub(super) fn servers(value: &Value<'_>) -> Result<Vec<Server>, Noted> {
    let servers = list(1..=MOST_SERVERS, text(SERVER, server))(value)?;
    let differs = |server: &&Server| server.protocol() != servers[0].protocol();
    if let Some(other) = servers.iter().find(differs) {
        let found = format!("{} and {other} in one upstream", servers[0]);
        let fault = Fault::new(Kind::Conflict, found, "servers that speak the same HTTP");
        return Err(value.wrong(fault.help("http:// and https:// are HTTP/1.1, h2c:// and h2:// are HTTP/2")));
    }
    Ok(servers)
}

/// Splits at the last colon, unless it is one of an IPv6 address.
fn host_and_port(authority: &str) -> Option<(&str, Option<&str>)> {
    let after_brackets = authority.find(']').map_or(0, |end| end + 1);
    let (host, rest) = match authority.get(after_brackets..)?.find(':') {
        Some(colon) => authority.split_at(after_brackets + colon),
        None => (authority, ""),
    };
    Some((host, rest.strip_prefix(':')))
}

/// `[upstream.NAME.tls]` as read.
pub(super) struct TlsSection {
    /// There where a server speaks TLS.
    pub(super) settings: Option<Tls>,
    /// Whose certificate every server has to show, instead of each its host's.
    server_name: Option<ServerName<'static>>,
}

impl TlsSection {
    /// The servers, with the names that their certificates must be for.
    pub(super) fn verified(&self, mut servers: Vec<Server>) -> Vec<Server> {
        for server in &mut servers {
            if let (Server::Tls { name, .. }, Some(instead)) = (server, &self.server_name) {
                name.clone_from(instead);
            }
        }
        servers
    }
}

pub(super) fn tls(section: &mut Section<'_>, servers: &Taken<Vec<Server>>) -> Result<TlsSection, Noted> {
    let ca = section.optional("ca", path);
    let server_name = section.optional("server_name", text(NAME, server_name));
    let certificate = section.optional("certificate", path);
    let private_key = section.optional("private_key", path);
    let spoken = servers.as_ref().is_ok_and(|at| at.value.iter().any(|server| matches!(server, Server::Tls { .. })));
    let written = [written(&ca), written(&server_name), written(&certificate), written(&private_key)];
    if let Ok(servers) = servers
        && !spoken
        && let Some(place) = written.iter().flatten().next()
    {
        let fault = Fault::new(Kind::Conflict, "no server of this upstream speaks TLS", "a server at https://");
        return Err(section.note(place, fault.beside(&servers.place, "the servers")));
    }
    let identity = match (certificate?, private_key?) {
        (At { value: Some(certificate), .. }, At { value: Some(private_key), .. }) => {
            Some(Identity { certificate, private_key })
        }
        (At { value: None, .. }, At { value: None, .. }) => None,
        (At { value: None, place, .. }, _) => return Err(missing(section, &place, "the certificate of private_key")),
        (_, At { place, .. }) => return Err(missing(section, &place, "the private key of certificate")),
    };
    Ok(TlsSection { settings: spoken.then_some(Tls { ca: ca?.value, identity }), server_name: server_name?.value })
}

fn missing(section: &Section<'_>, place: &Place, what: &str) -> Noted {
    section.note(place, Fault::new(Kind::MissingKey, "missing", format!("a PEM file: {what}")))
}

const NAME: &str = "the name or address that is in the servers' certificates";

fn server_name(written: &str) -> Result<ServerName<'static>, Fault> {
    ServerName::try_from(written.to_owned()).map_err(|_| malformed(written, NAME))
}
