//! A visitor who is curl with a cookie jar.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::stand::Door;
use crate::table::{App, PASSWORD, USER, run};
use crate::tools;

pub(crate) struct Visitor<'a> {
    door: &'a Door,
    jar: PathBuf,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// A cookie in curl's jar.
struct Line {
    name: String,
    outlives: bool,
}

impl<'a> Visitor<'a> {
    /// One of this name, who has not been here.
    pub(crate) fn new(door: &'a Door, name: &str) -> Self {
        let jar = door.jars.join(format!("{name}.cookies"));
        // Two doors have the same visitors only where a visitor goes from one to the other.
        let _ = fs::remove_file(&jar);
        Self { door, jar }
    }

    /// Another who has all of this one's cookies.
    pub(crate) fn stolen(&self, name: &str) -> Self {
        let thief = Self::new(self.door, name);
        fs::copy(&self.jar, &thief.jar).expect("curl has written its jar");
        thief
    }

    /// The same one, who comes in elsewhere.
    pub(crate) fn at(self, door: &Door) -> Visitor<'_> {
        Visitor { door, jar: self.jar }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask(path, &[])
    }

    pub(crate) fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.ask(path, &form(fields))
    }

    /// Begins a request, whose answer the test comes back for.
    pub(crate) fn send(&self, path: &str, fields: &[(&str, &str)]) -> Child {
        let arguments = if fields.is_empty() { Vec::new() } else { form(fields) };
        self.curl(path, &arguments).stdout(Stdio::piped()).spawn().expect("curl runs")
    }

    /// Whether the application knows the visitor as its user.
    pub(crate) fn is_logged_in(&self) -> bool {
        let page = self.get(self.door.app.home);
        assert!(page.status < 400, "{page:?}");
        page.body.contains(self.door.app.shows)
    }

    /// Fills in the application's form.
    pub(crate) fn log_in(&self) {
        self.log_in_with(PASSWORD);
    }

    pub(crate) fn log_in_with(&self, password: &str) {
        let App { home, login, .. } = self.door.app;
        let mut page = self.get(login);
        if page.status == 302 {
            // Whoever is logged in gets no form; what it would send besides is in others.
            page = self.get(home);
        }
        let mut fields = vec![("username", USER), ("password", password)];
        fields.extend(hidden_fields(&page.body));
        let answer = self.post(login, &fields);
        assert!(page.status == 200 && answer.status < 400, "{page:?} {answer:?}");
    }

    /// Follows the home page's link, or sends its form.
    pub(crate) fn log_out(&self) {
        let App { home, logout, .. } = self.door.app;
        let page = self.get(home);
        let form = page.body.split("<form").find(|form| form.contains(&format!("action=\"{logout}\"")));
        let answer = match form {
            Some(form) => self.post(logout, &hidden_fields(form.split("</form>").next().unwrap_or_default())),
            None if page.body.contains(&format!("href=\"{logout}\"")) => self.get(logout),
            None => panic!("there is no way to {logout}: {page:?}"),
        };
        assert!(answer.status < 400, "{answer:?}");
    }

    /// The names of the cookies that this browser holds, sorted.
    pub(crate) fn cookies(&self) -> Vec<String> {
        let mut names: Vec<_> = self.lines().into_iter().map(|line| line.name).collect();
        names.sort();
        names
    }

    /// Whether it will hold the cookie of this name when it is opened again.
    pub(crate) fn keeps(&self, name: &str) -> bool {
        self.lines().into_iter().find(|line| line.name == name).expect("it holds the cookie").outlives
    }

    /// curl's jar, in the format of Netscape's cookies.txt.
    fn lines(&self) -> Vec<Line> {
        let jar = fs::read_to_string(&self.jar).unwrap_or_default();
        let lines = jar.lines().map(|line| line.strip_prefix("#HttpOnly_").unwrap_or(line));
        let cookies = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let cookies = cookies.map(|line| line.split('\t').collect::<Vec<_>>());
        cookies.map(|fields| Line { name: fields[5].to_owned(), outlives: fields[4] != "0" }).collect()
    }

    /// As an operator who ends this visitor's session.
    pub(crate) fn revoke(&self) {
        let id = self.get("/who").body;
        assert_eq!(id.len(), 22, "a public id: {id}");
        assert_eq!(self.door.operate("DELETE", &format!("/sessions/{id}")), r#"{"revoked":1}"#);
    }

    fn ask(&self, path: &str, arguments: &[String]) -> Answer {
        Answer::parse(&run(&mut self.curl(path, arguments)))
    }

    fn curl(&self, path: &str, arguments: &[String]) -> Command {
        let Door { origin, certificate, .. } = self.door;
        let mut curl = curl();
        curl.args(["--include", "--http1.1", "--cacert"]).arg(certificate);
        // From standard input: curl 7.88 reads a file once more before it writes the jar, and what an answer has
        // deleted is there again.
        let held = File::open(&self.jar).map_or_else(|_| Stdio::null(), Stdio::from);
        curl.args(["--cookie", "-"]).stdin(held).arg("--cookie-jar").arg(&self.jar).args(arguments);
        // As browsers do with a form; Django insists.
        curl.args(["--header", &format!("Referer: {origin}{path}"), "--header", &format!("Origin: {origin}")]);
        curl.arg(format!("{origin}{path}"));
        curl
    }
}

fn form(fields: &[(&str, &str)]) -> Vec<String> {
    let fields = fields.iter().flat_map(|(name, value)| ["--data-urlencode".to_owned(), format!("{name}={value}")]);
    ["--data".to_owned(), String::new()].into_iter().chain(fields).collect()
}

pub(crate) fn curl() -> Command {
    let mut curl = Command::new(tools::curl());
    // --disable: whatever is in ~/.curlrc; it must come first.
    curl.args(["--disable", "--silent", "--show-error", "--max-time", "30", "--noproxy", "*"]);
    curl
}

/// Names and values of what a form sends besides what one types.
fn hidden_fields(html: &str) -> Vec<(&str, &str)> {
    let fields = html.split("<input type=\"hidden\" name=\"").skip(1);
    let pairs = fields.filter_map(|field| {
        let (name, rest) = field.split_once("\" value=\"")?;
        Some((name, rest.split('"').next()?))
    });
    pairs.collect()
}

impl Answer {
    /// From what curl has printed.
    pub(crate) fn parse(printed: &[u8]) -> Self {
        let text = String::from_utf8_lossy(printed);
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Self { status: status.expect("a status"), headers, body: body.to_owned() }
    }

    /// The names of the cookies that this answer sets.
    pub(crate) fn sets(&self) -> Vec<&str> {
        let lines = self.headers.iter().filter(|(name, _)| name == "set-cookie");
        lines.map(|(_, line)| line.split('=').next().expect("a name")).collect()
    }
}
