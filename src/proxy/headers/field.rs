//! What a header is to a proxy, by its name.

use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};

use super::Names;
use super::names::reads_as;

const REQUEST_ID: &[u8] = b"x-request-id";

/// What a proxy does with a header depends on which of these it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Passed on as it came.
    EndToEnd,
    /// `Host`.
    Host,
    /// `Cookie`.
    Cookie,
    /// `Connection`, which may name more headers of its kind.
    Connection,
    /// Belongs to one connection, whether `Connection` names it or not (RFC 9110 section 7.6.1); or backends could take
    /// it for one that does, such as `Transfer_Encoding`, or for their own environment's, such as `Proxy`.
    OfTheConnection,
    /// `TE`, which belongs to it too, and says whether trailers are wanted.
    Te,
    /// `Upgrade`, which belongs to it too, and asks for another protocol on it.
    Upgrade,
    /// `Transfer-Encoding`.
    TransferEncoding,
    /// `Content-Length`.
    ContentLength,
    /// `Expect`, which this gateway answers (RFC 9110 section 10.1.1).
    Expect,
    /// Backends could take it for a session header.
    Session,
    /// Backends take it for a proxy's word about the client.
    OfTheClient,
    /// `X-Request-Id`, in any spelling.
    RequestId,
}

impl Field {
    /// What a header of this name is.
    pub fn of(name: &HeaderName, names: &Names) -> Self {
        match *name {
            HOST => Self::Host,
            COOKIE => Self::Cookie,
            CONNECTION => Self::Connection,
            TE => Self::Te,
            UPGRADE => Self::Upgrade,
            TRANSFER_ENCODING => Self::TransferEncoding,
            CONTENT_LENGTH => Self::ContentLength,
            EXPECT => Self::Expect,
            _ => match name.as_str() {
                // CGI makes HTTP_PROXY of it, by which programs send their own requests (CVE-2016-5385).
                "keep-alive" | "proxy-connection" | "proxy" => Self::OfTheConnection,
                _ if names.cover(name) => Self::Session,
                text if speaks_of_the_client(text) => Self::OfTheClient,
                text if text.len() == REQUEST_ID.len() && reads_as(text.as_bytes(), REQUEST_ID) => Self::RequestId,
                text if reads_as_framing(text) => Self::OfTheConnection,
                _ => Self::EndToEnd,
            },
        }
    }
}

/// Whether backends take a header for a proxy's word about the client. Nobody but this gateway has a say in it.
pub(super) fn speaks_of_the_client(name: &str) -> bool {
    let name = name.as_bytes();
    match name.first() {
        Some(b'x') => reads_as(name, b"x-forwarded-") || reads_as(name, b"x-real-ip"),
        Some(b'f') => reads_as(name, b"forwarded"),
        Some(b'c') => reads_as(name, b"client-cert"),
        _ => false,
    }
}

/// Whether backends could take a header of another name for one that says how a message is framed.
fn reads_as_framing(name: &str) -> bool {
    let is = |other: &str| name.len() == other.len() && reads_as(name.as_bytes(), other.as_bytes());
    match name.as_bytes().first() {
        Some(b'c') => is("content-length"),
        Some(b't') => is("transfer-encoding"),
        _ => false,
    }
}

/// The headers that `Connection` lines name (RFC 9110 section 7.6.1), but for those that are known to belong to the
/// connection anyway, and those that nobody has a say in: how a message is framed and whom it is for.
#[derive(Debug, Default)]
pub struct ConnectionOptions<'a>(Vec<&'a [u8]>);

/// More than anybody names. Further names are not read: what was to be removed for them passes on as any header might.
const MOST_OPTIONS: usize = 64;

impl<'a> ConnectionOptions<'a> {
    /// Takes in one `Connection` line.
    pub fn read(&mut self, line: &'a [u8]) {
        const KNOWN: [&[u8]; 9] = [
            b"",
            b"keep-alive",
            b"close",
            b"upgrade",
            b"te",
            b"connection",
            b"proxy-connection",
            b"host",
            b"content-length",
        ];
        for name in line.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if self.0.len() < MOST_OPTIONS && !KNOWN.iter().any(|known| name.eq_ignore_ascii_case(known)) {
                self.0.push(name);
            }
        }
    }

    /// Whether a header of this name was named.
    pub fn has(&self, name: &HeaderName) -> bool {
        self.0.iter().any(|named| named.eq_ignore_ascii_case(name.as_str().as_bytes()))
    }

    /// Every name.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().copied()
    }

    /// Whether none was named, as for nearly every message.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whether a line that is a list, as `Connection` and `Upgrade` are, has this word.
pub fn has_option(line: &[u8], option: &[u8]) -> bool {
    line.split(|byte| *byte == b',').any(|one| one.trim_ascii().eq_ignore_ascii_case(option))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::headers::Settings;

    #[test]
    fn a_header_is_known_by_its_name() {
        let names = Names::new(&Settings { prefix: "X-Session-".to_owned(), data_budget: 6144 }).unwrap();
        for (name, field) in [
            ("Host", Field::Host),
            ("cookie", Field::Cookie),
            ("TE", Field::Te),
            ("Keep-Alive", Field::OfTheConnection),
            ("Upgrade", Field::Upgrade),
            ("Transfer-Encoding", Field::TransferEncoding),
            ("x_session_user", Field::Session),
            ("X-Session-", Field::Session),
            ("x-session", Field::EndToEnd),
            ("X-Forwarded-For", Field::OfTheClient),
            ("x_forwarded~host", Field::OfTheClient),
            ("Forwarded", Field::OfTheClient),
            ("X-Real_IP", Field::OfTheClient),
            ("X-Forwarded", Field::EndToEnd),
            ("Client_Cert", Field::OfTheClient),
            ("Client-Cert-Chain", Field::OfTheClient),
            ("X-Request_ID", Field::RequestId),
            ("X-Request-Ids", Field::EndToEnd),
            ("Transfer_Encoding", Field::OfTheConnection),
            ("content.length", Field::OfTheConnection),
            ("Content_Length2", Field::EndToEnd),
            ("Accept", Field::EndToEnd),
            ("Cookie2", Field::EndToEnd),
        ] {
            assert_eq!(Field::of(&name.parse().unwrap(), &names), field, "{name}");
        }
    }

    #[test]
    fn nobody_names_what_frames_or_addresses_a_message() {
        let mut options = ConnectionOptions::default();
        options.read(b"keep-alive, Host,X-One ,, content-length,TE");
        options.read(b"x-two");
        assert_eq!(options.iter().collect::<Vec<_>>(), [&b"X-One"[..], b"x-two"]);
        assert!(options.has(&HeaderName::from_static("x-one")) && !options.has(&HeaderName::from_static("host")));
    }
}
