//! A request's head on its way upstream: read once, and written as it is read.
//!
//! Nothing is put into a header map to be taken out of it again: what goes upstream is bytes, and this is where they
//! are made. The order of the steps is the order of the calls: [`Outgoing::read`] passes on what may pass, before
//! anything of our own is added, since a client may name our headers in `Connection`.

use http::header::{CONNECTION, HeaderValue};
use http::{Method, Version, request};

use super::field::{ConnectionOptions, Field, has_option};
use super::hop::{Unframed, via};
use super::{Names, push_line};
use crate::metrics::Counter;
use crate::proxy::Client;
use crate::proxy::cookies::OurCookie;
use crate::proxy::cookies::rules::Rules;
use crate::proxy::request_id::RequestId;
use crate::session::Lifetimes;
use crate::sessions::Visit;

/// Room for the head of a usual request, so that it is allocated once.
const USUAL: usize = 1024;

/// The head of a request as it goes upstream, as far as it is written.
#[derive(Debug)]
pub struct Outgoing<'a> {
    bytes: Vec<u8>,
    cookies: Cookies<'a>,
    /// By which names the backend knows them, where these are not the client's.
    names: Option<BackendNames<'a>>,
    /// Whether the client has said how long the body is, though it may have none.
    has_length: bool,
    /// Whether an `Upgrade` of it names WebSocket.
    names_websocket: bool,
    /// Whether a `TE` of it asks for trailers.
    wants_trailers: bool,
    /// How many headers were removed because a backend could take them for session headers.
    pub spoofed: u64,
}

/// A request's `Cookie` fields: one over HTTP/1.1, often several over HTTP/2 (RFC 9113 section 8.2.3).
#[derive(Debug, Default)]
struct Cookies<'a> {
    first: Option<&'a HeaderValue>,
    rest: Vec<&'a HeaderValue>,
}

/// The rules that rename cookies; `lacking` counts those that stay here for want of their prefix.
#[derive(Clone, Copy, Debug)]
struct BackendNames<'a> {
    rules: &'a Rules,
    lacking: &'a Counter,
}

impl<'a> Cookies<'a> {
    fn iter(&self) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.first.iter().chain(&self.rest).map(|field| field.as_bytes())
    }

    /// Every pair that is not ours, as the backend is to have it.
    fn pairs(&self, ours: &OurCookie, names: Option<BackendNames<'a>>) -> impl Iterator<Item = &'a [u8]> {
        ours.others(self.iter()).filter_map(move |pair| {
            let Some(BackendNames { rules, lacking }) = names else { return Some(pair) };
            // Nor does a cookie become ours by losing its prefix.
            let restored = rules.restored(pair).filter(|pair| !ours.is_in(pair));
            if restored.is_none() {
                lacking.increment();
            }
            restored
        })
    }
}

impl<'a> Outgoing<'a> {
    /// Writes the request line and every header that passes. The target is in origin form (RFC 9112 section 3.2.1).
    /// Where the request has an `id`, the upstream is told that one, and no other.
    pub fn read(
        head: &'a request::Parts,
        host: &[u8],
        id: Option<&RequestId>,
        names: &Names,
    ) -> Result<Self, Unframed> {
        let mut bytes = Vec::with_capacity(USUAL);
        bytes.extend_from_slice(head.method.as_str().as_bytes());
        bytes.push(b' ');
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        // `http://host?query` is one without a path; for origin form it has one.
        if target.starts_with('?') {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(target.as_bytes());
        bytes.extend_from_slice(b" HTTP/1.1\r\nhost: ");
        bytes.extend_from_slice(host);
        bytes.extend_from_slice(b"\r\n");
        if let Some(id) = id {
            bytes.extend_from_slice(b"x-request-id: ");
            id.write(&mut bytes);
            bytes.extend_from_slice(b"\r\n");
        }
        let cookies = Cookies::default();
        let mut this = Self {
            bytes,
            cookies,
            names: None,
            has_length: false,
            names_websocket: false,
            wants_trailers: false,
            spoofed: 0,
        };
        let options = options(head);
        let mut coded = false;
        for (name, value) in &head.headers {
            match Field::of(name, names) {
                Field::RequestId if id.is_some() => {}
                Field::EndToEnd | Field::RequestId | Field::Cookie if options.has(name) => {}
                Field::EndToEnd | Field::RequestId => push_line(&mut this.bytes, name.as_str(), value.as_bytes()),
                Field::Cookie if this.cookies.first.is_none() => this.cookies.first = Some(value),
                Field::Cookie => this.cookies.rest.push(value),
                // A transfer coding other than chunked is not a proxy's to pass on: nobody said that the next recipient
                // understands it (RFC 9112 section 6.1).
                Field::TransferEncoding if coded || !is_chunked(value) => return Err(Unframed::Coding),
                Field::TransferEncoding => coded = true,
                Field::ContentLength if this.has_length => return Err(Unframed::Lengths),
                Field::ContentLength => this.has_length = true,
                Field::Upgrade => this.names_websocket |= has_option(value.as_bytes(), b"websocket"),
                Field::Te => this.wants_trailers |= has_option(value.as_bytes(), b"trailers"),
                Field::Session => this.spoofed += 1,
                Field::Host | Field::Connection | Field::OfTheConnection | Field::Expect | Field::OfTheClient => {}
            }
        }
        Ok(this)
    }

    /// Every value that a cookie of ours has in it, in order.
    pub fn values(&self, cookie: &OurCookie) -> impl Iterator<Item = &'a [u8]> {
        cookie.values(self.cookies.iter())
    }

    /// From here on, cookies have the names by which the backend knows them. `lacking` counts those that stay here
    /// because they lack the prefix that the backend's own have in browsers.
    pub fn rename_cookies(&mut self, rules: &'a Rules, lacking: &'a Counter) {
        self.names = rules.rename().then_some(BackendNames { rules, lacking });
    }

    /// Writes the cookies that are not ours, as one field.
    pub fn pass_cookies(&mut self, cookie: &OurCookie) {
        let Self { bytes, cookies, names, .. } = self;
        let only = cookies.first.filter(|_| cookies.rest.is_empty() && names.is_none());
        if let Some(only) = only.filter(|field| !cookie.is_in(field.as_bytes())) {
            return push_line(bytes, "cookie", only.as_bytes());
        }
        let begin = bytes.len();
        for pair in cookies.pairs(cookie, *names) {
            bytes.extend_from_slice(if bytes.len() == begin { b"cookie: " } else { b"; " });
            bytes.extend_from_slice(pair);
        }
        if bytes.len() > begin {
            bytes.extend_from_slice(b"\r\n");
        }
    }

    /// Writes the client's cookies that are not ours and that `passes` lets through, and those that are `kept` for it.
    pub fn pass_cookies_with(
        &mut self,
        cookie: &OurCookie,
        kept: &[(&[u8], &[u8])],
        mut passes: impl FnMut(&[u8]) -> bool,
    ) {
        let Self { bytes, cookies, names, .. } = self;
        let begin = bytes.len();
        let push = |bytes: &mut Vec<u8>, parts: &[&[u8]]| {
            bytes.extend_from_slice(if bytes.len() == begin { b"cookie: " } else { b"; " });
            for part in parts {
                bytes.extend_from_slice(part);
            }
        };
        for pair in cookies.pairs(cookie, *names).filter(|pair| passes(pair)) {
            push(bytes, &[pair]);
        }
        for (name, value) in kept {
            // RFC 6265bis section 5.8.3 step 5: a cookie without a name is its value alone.
            push(bytes, &[name, if name.is_empty() { b"" } else { b"=" }, value]);
        }
        if bytes.len() > begin {
            bytes.extend_from_slice(b"\r\n");
        }
    }

    /// Tells the upstream who is calling. What the client sent under these names is gone already.
    pub fn identify(&mut self, names: &Names, visit: &Visit, lifetimes: &Lifetimes) {
        let bytes = &mut self.bytes;
        push_line(bytes, names.id.as_str(), &visit.id().text());
        if visit.is_new() {
            push_line(bytes, names.new.as_str(), b"true");
        }
        let Some(session) = visit.session() else { return };
        if visit.is_stale() {
            push_line(bytes, names.stale.as_str(), b"true");
        }
        let user = session.user.as_deref().map(str::as_bytes).filter(|user| is_value(user));
        if let Some(user) = user {
            push_line(bytes, names.user.as_str(), user);
        }
        let data = session.data.as_str().as_bytes();
        if data.len() > names.data_budget {
            push_number(bytes, names.data_omitted.as_str(), data.len() as u64);
        } else if is_value(data) {
            push_line(bytes, names.data.as_str(), data);
        }
        push_number(bytes, names.created.as_str(), session.created.0);
        push_number(bytes, names.expires.as_str(), lifetimes.expiry(session).0);
    }

    /// Tells the upstream where the request came from. What the client said of that is gone already.
    pub fn forward(&mut self, client: &Client, host: &[u8], version: Version) {
        let bytes = &mut self.bytes;
        bytes.extend_from_slice(client.forwarded.as_bytes());
        push_line(bytes, "x-forwarded-host", host);
        if let Some(certificate) = &client.certificate {
            push_line(bytes, "client-cert", certificate.as_bytes());
        }
        push_line(bytes, "via", via(version).as_bytes());
    }

    /// Whether the client may be asking for WebSocket.
    pub fn names_websocket(&self) -> bool {
        self.names_websocket
    }

    /// Asks the upstream for WebSocket, where the client does: a GET without a body whose `Connection` says so, too
    /// (RFC 9110 section 7.8, RFC 6455 section 4.1). Over HTTP/2 there is no such header but where this gateway has
    /// made a handshake of an extended CONNECT. Other protocols are not asked for: what they would carry past this
    /// gateway, nobody has looked at.
    pub fn ask(&mut self, head: &request::Parts, length: Length) -> Asked {
        let for_websocket = self.names_websocket
            && (&head.method, length) == (&Method::GET, Length::Empty)
            && head.version != Version::HTTP_10
            && head.headers.get_all(CONNECTION).iter().any(|line| has_option(line.as_bytes(), b"upgrade"));
        if for_websocket {
            push_line(&mut self.bytes, "connection", b"upgrade");
            push_line(&mut self.bytes, "upgrade", b"websocket");
            return Asked::ForWebSocket;
        }
        match head.method {
            Method::HEAD => Asked::ToHead,
            _ if self.wants_trailers => Asked::ForTrailers,
            _ => Asked::Usually,
        }
    }

    /// Says how long the body is, as this gateway read it, and ends the head.
    pub fn frame(mut self, length: Length) -> Vec<u8> {
        let bytes = &mut self.bytes;
        match length {
            Length::Empty if self.has_length => push_line(bytes, "content-length", b"0"),
            Length::Empty => {}
            Length::Known(length) => push_number(bytes, "content-length", length),
            Length::Unknown => push_line(bytes, "transfer-encoding", b"chunked"),
        }
        bytes.extend_from_slice(b"\r\n");
        self.bytes
    }
}

/// What kind of answer a request may get, besides the usual one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nothing else.
    Usually,
    /// The usual one, with its trailers if it has any: who asked takes them (RFC 9110 section 10.1.4).
    ForTrailers,
    /// HEAD: one without a body, whatever it says.
    ToHead,
    /// An upgrade: another protocol instead of an answer.
    ForWebSocket,
}

/// How long a request's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// There is none.
    Empty,
    /// So many bytes.
    Known(u64),
    /// It ends when it ends.
    Unknown,
}

/// What any `Connection` line names, wherever it stands among the headers.
fn options(head: &request::Parts) -> ConnectionOptions<'_> {
    let mut options = ConnectionOptions::default();
    for line in head.headers.get_all(CONNECTION) {
        options.read(line.as_bytes());
    }
    options
}

/// Whether what a store gave may stand in a header. It always may, unless somebody has written into the store by hand;
/// then it must not become a header of its own.
fn is_value(bytes: &[u8]) -> bool {
    memchr::memchr3(b'\r', b'\n', 0, bytes).is_none()
}

fn is_chunked(coding: &HeaderValue) -> bool {
    coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")
}

/// Whether a request may be sent again though it may have been carried out (RFC 9110 section 9.2.2).
pub fn is_idempotent(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE, Method::TRACE].contains(method)
}

fn push_number(bytes: &mut Vec<u8>, name: &str, number: u64) {
    push_line(bytes, name, itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests;
