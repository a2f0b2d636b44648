//! A visitor who is curl with a cookie jar, and what it is answered.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::stand::Stand;
use crate::{COOKIE, tools};

pub(crate) struct Visitor<'a> {
    stand: &'a Stand,
    jar: PathBuf,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// One line of curl's jar, in the format of Netscape's cookies.txt.
#[derive(Debug)]
pub(crate) struct JarCookie {
    name: String,
    pub(crate) value: String,
    domain: String,
    path: String,
    subdomains: bool,
    http_only: bool,
    secure: bool,
    /// Unix seconds; 0 is a cookie that dies with the browser.
    pub(crate) expires: u64,
}

impl<'a> Visitor<'a> {
    pub(crate) fn of(stand: &'a Stand) -> Self {
        Self { stand, jar: stand.certificate().with_file_name("cookies.txt") }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask(path, |curl| curl.arg("--cookie").arg(&self.jar).arg("--cookie-jar").arg(&self.jar))
    }

    pub(crate) fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.ask(path, |curl| {
            curl.arg("--cookie").arg(&self.jar).arg("--cookie-jar").arg(&self.jar);
            let fields = fields.iter().map(|(name, value)| format!("{name}={value}"));
            curl.args(["--data", ""]).args(fields.flat_map(|field| ["--data-urlencode".into(), field]))
        })
    }

    /// As another client would that has got hold of `ticket`.
    pub(crate) fn get_with_ticket(&self, path: &str, ticket: &str) -> Answer {
        self.ask(path, |curl| curl.arg("--cookie").arg(format!("{COOKIE}={ticket}")))
    }

    /// The cookies in the jar.
    pub(crate) fn jar(&self) -> Vec<JarCookie> {
        let jar = fs::read_to_string(&self.jar).expect("curl has written its jar");
        jar.lines().filter_map(JarCookie::parse).collect()
    }

    /// The ticket in the jar, where it must be alone and have the promised attributes.
    pub(crate) fn ticket(&self) -> String {
        let jar = self.jar();
        let [cookie] = &jar[..] else { panic!("not exactly one cookie: {jar:?}") };
        assert_eq!((&*cookie.name, &*cookie.domain, &*cookie.path), (COOKIE, "127.0.0.1", "/"), "{cookie:?}");
        assert!(cookie.http_only && cookie.secure && !cookie.subdomains, "{cookie:?}");
        assert_eq!(cookie.expires, 0, "a cookie that dies with the browser: {cookie:?}");
        assert_ticket(&cookie.value);
        cookie.value.clone()
    }

    fn ask(&self, path: &str, arguments: impl FnOnce(&mut Command) -> &mut Command) -> Answer {
        let mut curl = Command::new(tools::curl());
        // --disable: whatever is in ~/.curlrc; it must come first.
        curl.args(["--disable", "--silent", "--show-error", "--include", "--max-time", "30", "--noproxy", "*"]);
        // Chromium speaks HTTP/2.
        curl.arg("--http1.1").arg("--cacert").arg(self.stand.certificate());
        arguments(&mut curl).arg(format!("{}{path}", self.stand.origin));
        let output = curl.output().expect("curl runs");
        assert!(output.status.success(), "{curl:?}: {}", String::from_utf8_lossy(&output.stderr));
        Answer::parse(&String::from_utf8(output.stdout).expect("UTF-8"))
    }
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        for (name, _) in &headers {
            assert!(!name.starts_with("x-session-"), "{name} has reached the client:\n{head}");
        }
        Self { status: status.expect("a status"), headers, body: body.to_owned() }
    }

    /// The ticket that this answer sets in a cookie that dies with the browser.
    pub(crate) fn new_ticket(&self) -> Option<String> {
        let (ticket, attributes) = self.new_cookie()?;
        assert_eq!(attributes, ["httponly", "path=/", "samesite=lax", "secure"]);
        Some(ticket)
    }

    /// The ticket that this answer sets, and its cookie's attributes, sorted. It must set no other cookie.
    pub(crate) fn new_cookie(&self) -> Option<(String, Vec<String>)> {
        let set_cookies: Vec<&str> = self.headers_named("set-cookie").collect();
        assert!(set_cookies.len() < 2, "{set_cookies:?}");
        let mut parts = set_cookies.first()?.split("; ");
        let (name, ticket) = parts.next().and_then(|pair| pair.split_once('=')).expect("a name and a value");
        assert_eq!(name, COOKIE);
        assert_ticket(ticket);
        let cache_control: Vec<&str> = self.headers_named("cache-control").collect();
        assert!(cache_control.join(",").contains("no-store"), "a cookie with {cache_control:?}");
        let mut attributes: Vec<String> = parts.map(str::to_ascii_lowercase).collect();
        attributes.sort();
        Some((ticket.to_owned(), attributes))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers_named(name).next()
    }

    fn headers_named(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(field, _)| field == name).map(|(_, value)| &**value)
    }

    /// The text of the element with this id.
    pub(crate) fn text_of(&self, id: &str) -> Option<&str> {
        let (_, rest) = self.body.split_once(&format!(" id=\"{id}\">"))?;
        rest.split('<').next()
    }

    /// The items in the cart, as HTML.
    pub(crate) fn cart(&self) -> Vec<&str> {
        let items = self.body.split("<li>").skip(1);
        items.map(|rest| rest.split("</li>").next().unwrap_or_default()).collect()
    }
}

impl JarCookie {
    fn parse(line: &str) -> Option<Self> {
        let (http_only, line) = match line.strip_prefix("#HttpOnly_") {
            Some(rest) => (true, rest),
            None if line.is_empty() || line.starts_with('#') => return None,
            None => (false, line),
        };
        let fields: Vec<&str> = line.split('\t').collect();
        let [domain, subdomains, path, secure, expires, name, value] = fields[..] else {
            panic!("not a line of a cookie jar: {line}");
        };
        Some(Self {
            name: name.to_owned(),
            value: value.to_owned(),
            domain: domain.to_owned(),
            path: path.to_owned(),
            subdomains: subdomains == "TRUE",
            http_only,
            secure: secure == "TRUE",
            expires: expires.parse().expect("seconds"),
        })
    }
}

fn assert_ticket(value: &str) {
    let base64url = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    assert!(value.len() == 96 && value.bytes().all(base64url), "not a ticket: {value}");
}
