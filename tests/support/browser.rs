//! The client's side: requests as raw bytes over TCP or TLS, and a cookie jar that behaves as a browser's does.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::PATIENCE;
use super::site::COOKIE;
use super::wire::{Body, Fields, Framing, Head, Wire};

/// Where the gateway is, and how to speak to it.
#[derive(Clone)]
pub struct Door {
    pub address: SocketAddr,
    pub tls: Option<Arc<ClientConfig>>,
}

impl Door {
    /// The same door, where this protocol is asked for in the TLS handshake.
    pub fn asking_for(&self, protocol: &str) -> Self {
        let tls = self.tls.as_ref().map(|config| {
            let mut config = ClientConfig::clone(config);
            config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
            Arc::new(config)
        });
        Self { tls, ..self.clone() }
    }

    /// A fresh connection.
    pub fn open(&self) -> Wire {
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE).expect("the gateway should accept");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        let socket = stream.try_clone().expect("a descriptor to spare");
        let Some(config) = &self.tls else { return Wire::new(stream, socket) };
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(Arc::clone(config), name).expect("a TLS client");
        Wire::new(StreamOwned::new(connection, stream), socket)
    }
}

/// Ways to gateways that are as good as each other, taken in turn.
#[derive(Clone)]
pub struct Doors {
    doors: RefCell<Vec<Door>>,
    turn: Cell<usize>,
}

impl Doors {
    pub fn new(doors: Vec<Door>) -> Self {
        Self { doors: RefCell::new(doors), turn: Cell::new(0) }
    }

    pub fn next(&self) -> Door {
        let turn = self.turn.get();
        self.turn.set(turn + 1);
        self.get(turn % self.doors.borrow().len())
    }

    pub fn get(&self, index: usize) -> Door {
        self.doors.borrow()[index].clone()
    }

    pub fn set(&self, index: usize, door: Door) {
        self.doors.borrow_mut()[index] = door;
    }
}

/// A visitor with a cookie jar. Clones share the jar, as tabs do; [`Browser::copy`] steals it.
#[derive(Clone)]
pub struct Browser {
    doors: Rc<Doors>,
    host: Rc<str>,
    jar: Rc<RefCell<BTreeMap<String, String>>>,
}

impl Browser {
    pub fn new(door: Door, host: &str) -> Self {
        Self::among(Rc::new(Doors::new(vec![door])), host)
    }

    /// One whose requests each take the next door, whoever took the last.
    pub fn among(doors: Rc<Doors>, host: &str) -> Self {
        Self { doors, host: host.into(), jar: Rc::default() }
    }

    /// The same visitor, with the same jar, at this door alone.
    pub fn through(&self, door: Door) -> Self {
        Self { doors: Rc::new(Doors::new(vec![door])), ..self.clone() }
    }

    /// Another browser with a copy of these cookies.
    pub fn copy(&self) -> Self {
        let jar = self.jar.borrow().clone();
        Self { jar: Rc::new(RefCell::new(jar)), ..self.clone() }
    }

    /// Sends a request with the cookies of this moment; the answer is read when it is asked for.
    pub fn send(&self, request: Request) -> Pending {
        let mut wire = self.doors.next().open();
        wire.send(&request.bytes(&self.host, &self.cookie_header()));
        Pending { wire, method: request.method, browser: self.clone(), interim: Vec::new() }
    }

    /// Opens a connection and says nothing yet.
    pub fn connect(&self) -> Pending {
        self.send_raw(b"")
    }

    /// Sends these bytes on a connection of their own, without any cookie that is not in them.
    pub fn send_raw(&self, bytes: &[u8]) -> Pending {
        let mut wire = self.doors.next().open();
        wire.send(bytes);
        let method = String::from_utf8_lossy(bytes).split(' ').next().unwrap_or_default().to_owned();
        Pending { wire, method, browser: self.clone(), interim: Vec::new() }
    }

    /// The value that the jar holds under `name`.
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.jar.borrow().get(name).cloned()
    }

    /// Our cookie's value, if the browser holds one.
    pub fn sid(&self) -> Option<String> {
        self.cookie(COOKIE)
    }

    /// Our cookie, read.
    pub fn ticket(&self) -> Ticket {
        Ticket::read(&self.sid().expect("the browser should hold our cookie"))
    }

    /// Puts a cookie into the jar.
    pub fn plant(&self, name: &str, value: &str) {
        self.jar.borrow_mut().insert(name.to_owned(), value.to_owned());
    }

    fn cookie_header(&self) -> String {
        let pairs: Vec<String> = self.jar.borrow().iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    }

    fn take(&self, cookies: &[SetCookie]) {
        for cookie in cookies.iter().filter(|cookie| cookie.is_acceptable()) {
            if cookie.is_deletion() {
                self.jar.borrow_mut().remove(&cookie.name);
            } else {
                self.plant(&cookie.name, &cookie.value);
            }
        }
    }
}

/// A request to be sent.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    cookies: bool,
}

pub fn get(target: &str) -> Request {
    request("GET", target)
}

/// A POST with an empty body.
pub fn post(target: &str) -> Request {
    request("POST", target).body("")
}

pub fn request(method: &str, target: &str) -> Request {
    let (method, target) = (method.to_owned(), target.to_owned());
    Request { method, target, headers: Vec::new(), body: None, cookies: true }
}

impl Request {
    /// With one more header line; a `Host` replaces the browser's own.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this body, its length told in advance.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = Some(body.as_ref().to_vec());
        self
    }

    /// Without what the jar holds; its `Cookie` lines, if any, are the test's own.
    pub fn without_jar(mut self) -> Self {
        self.cookies = false;
        self
    }

    /// Method, target and header fields, for one who writes them otherwise.
    pub fn parts(&self) -> (&str, &str, Vec<(&str, &str)>) {
        let fields = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        (&self.method, &self.target, fields.collect())
    }

    fn bytes(&self, host: &str, cookies: &str) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        let mut line = |name: &str, value: &str| head.extend([name, ": ", value, "\r\n"]);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            line("Host", host);
        }
        if self.cookies && !cookies.is_empty() {
            line("Cookie", cookies);
        }
        for (name, value) in &self.headers {
            line(name, value);
        }
        if let Some(body) = &self.body {
            line("Content-Length", &body.len().to_string());
        }
        head.push_str("\r\n");
        [head.as_bytes(), self.body.as_deref().unwrap_or_default()].concat()
    }
}

/// A request under way. Dropped, its connection closes: the client has gone away.
pub struct Pending {
    wire: Wire,
    method: String,
    browser: Browser,
    interim: Vec<Head>,
}

impl Pending {
    /// Waits for the whole answer and puts its cookies into the jar.
    pub fn answer(mut self) -> Answer {
        self.next_answer()
    }

    /// Waits for the whole answer as it was on the wire, and loses it: the browser never sees it.
    pub fn lose(mut self) -> Answer {
        self.read()
    }

    /// Waits for the whole answer and keeps the connection for another request.
    pub fn next_answer(&mut self) -> Answer {
        let answer = self.read();
        self.browser.take(&answer.set_cookies());
        answer
    }

    /// Waits for the head alone, past any 1xx.
    pub fn head(&mut self) -> Head {
        loop {
            let head = self.wire.head().expect("the answer should have come by now");
            let head = head.expect("the gateway closed the connection without an answer");
            if head.status() >= 200 {
                return head;
            }
            self.interim.push(head);
        }
    }

    /// Waits for the head that switches protocols, and puts its cookies into the jar.
    pub fn switched(&mut self) -> Head {
        let head = self.wire.head().expect("the answer should have come by now");
        let head = head.expect("the gateway closed the connection without an answer");
        assert_eq!(head.status(), 101, "{head:?}");
        self.browser.take(&head.fields.all("set-cookie").into_iter().map(SetCookie::read).collect::<Vec<_>>());
        head
    }

    /// Says that nothing more will be sent; not over TLS.
    pub fn finish(&self) {
        self.wire.finish();
    }

    /// Sends more bytes: the rest of a body, or the next request.
    pub fn write(&mut self, bytes: &[u8]) {
        self.wire.send(bytes);
    }

    /// Writes zeros until `total` are gone or the gateway takes no more; how many were taken.
    pub fn pour(&mut self, total: usize) -> usize {
        self.wire.pour(total)
    }

    /// Sends another request on the same connection.
    pub fn send(&mut self, request: &Request) {
        self.method.clone_from(&request.method);
        let bytes = request.bytes(&self.browser.host, &self.browser.cookie_header());
        self.wire.send(&bytes);
    }

    /// Waits for `needle` in the raw bytes of the body.
    pub fn until(&mut self, needle: &[u8]) -> Vec<u8> {
        let bytes = self.wire.until(needle).expect("more of the answer's body should have come by now");
        bytes.expect("the answer ended before that")
    }

    /// Waits for so many bytes, whatever they are; whether they came.
    pub fn takes(&mut self, count: usize) -> bool {
        let body = self.wire.body(Framing::Length(count)).expect("more bytes should have come by now");
        body.complete
    }

    /// Every byte that still comes before the gateway closes this connection.
    pub fn until_closed(&mut self) -> Vec<u8> {
        self.wire.rest().expect("the gateway should have closed the connection by now")
    }

    /// Whether the gateway closes this connection, whatever it sends before.
    pub fn is_closed(&mut self) -> bool {
        self.wire.closes().unwrap_or(false)
    }

    fn read(&mut self) -> Answer {
        let head = self.head();
        let framing = head.response_body(&self.method);
        let Body { bytes, trailers, complete } =
            self.wire.body(framing).expect("the answer's body should have come by now");
        Answer { head, body: bytes, trailers, complete, interim: std::mem::take(&mut self.interim) }
    }
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    pub head: Head,
    pub body: Vec<u8>,
    pub trailers: Fields,
    /// Whether the body came to its proper end.
    pub complete: bool,
    /// The 1xx answers before it.
    pub interim: Vec<Head>,
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.fields.one(name)
    }

    pub fn headers_all(&self, name: &str) -> Vec<&str> {
        self.head.fields.all(name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn set_cookies(&self) -> Vec<SetCookie> {
        self.headers_all("set-cookie").into_iter().map(SetCookie::read).collect()
    }

    /// Our own Set-Cookie; two of them are a failure.
    pub fn sid(&self) -> Option<SetCookie> {
        let mut ours: Vec<_> = self.set_cookies().into_iter().filter(|cookie| cookie.name == COOKIE).collect();
        assert!(ours.len() <= 1, "more than one Set-Cookie of ours: {ours:?}");
        ours.pop()
    }

    /// The ticket that our Set-Cookie carries.
    pub fn ticket(&self) -> Ticket {
        let cookie = self.sid().unwrap_or_else(|| panic!("no Set-Cookie of ours in {}", self.text_head()));
        Ticket::read(&cookie.value)
    }

    /// Whether this answer makes the browser forget our cookie.
    pub fn deletes_sid(&self) -> bool {
        self.sid().is_some_and(|cookie| cookie.is_deletion())
    }

    pub fn text_head(&self) -> String {
        String::from_utf8_lossy(&self.head.raw).into_owned()
    }
}

/// One Set-Cookie line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetCookie {
    pub name: String,
    pub value: String,
    attributes: Vec<(String, String)>,
}

impl SetCookie {
    pub fn read(line: &str) -> Self {
        let split = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name.trim().to_owned(), value.trim().to_owned())
        };
        let mut pairs = line.split(';').map(split);
        let (name, value) = pairs.next().expect("split yields one part at least");
        Self { name, value, attributes: pairs.collect() }
    }

    /// The value of an attribute, `""` where it has none.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let mut values = self.attributes.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} twice in {self:?}");
        value
    }

    /// The names of its attributes, lower-cased and sorted.
    pub fn attribute_names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.attributes.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        names.sort();
        names
    }

    pub fn is_deletion(&self) -> bool {
        self.attribute("max-age").is_some_and(|age| age.parse::<i64>().is_ok_and(|age| age <= 0))
    }

    /// RFC 6265bis section 4.1.3: a browser refuses a `__Host-` cookie that lacks what the name promises.
    fn is_acceptable(&self) -> bool {
        !self.name.starts_with("__Host-")
            || self.attribute("secure").is_some()
                && self.attribute("path") == Some("/")
                && self.attribute("domain").is_none()
    }
}

/// A ticket, taken apart as DESIGN section 3 lays it out. The tests cannot check its MAC; only gateways can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub version: u8,
    /// 0 guest, 1 session.
    pub kind: u8,
    pub key: u8,
    pub issued_at: u64,
    pub secret: [u8; 32],
}

impl Ticket {
    pub const GUEST: u8 = 0;
    pub const SESSION: u8 = 1;

    pub fn read(value: &str) -> Self {
        assert_eq!(value.len(), 96, "a ticket has 96 characters: {value:?}");
        let bytes = URL_SAFE_NO_PAD.decode(value).expect("a ticket is base64url without padding");
        let issued_at = bytes[3..8].iter().fold(0, |seconds, byte| seconds << 8 | u64::from(*byte));
        let secret = bytes[8..40].try_into().expect("32 bytes");
        Self { version: bytes[0], kind: bytes[1], key: bytes[2], issued_at, secret }
    }
}
