//! A visitor who is curl with a cookie jar.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::stand::Stand;
use crate::tools;

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

impl<'a> Visitor<'a> {
    /// One of this name, who has not been here.
    pub(crate) fn new(stand: &'a Stand, name: &str) -> Self {
        let folder = stand.certificate().parent().expect("it is in a folder").to_owned();
        fs::create_dir_all(&folder).expect("a folder is made");
        Self { stand, jar: folder.join(format!("{name}.cookies")) }
    }

    /// Another who has all of this one's cookies.
    pub(crate) fn stolen(&self, name: &str) -> Self {
        let thief = Self::new(self.stand, name);
        fs::copy(&self.jar, &thief.jar).expect("curl has written its jar");
        thief
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask(path, &[])
    }

    pub(crate) fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let fields = fields.iter().map(|(name, value)| format!("{name}={value}"));
        let mut arguments = vec!["--data".to_owned(), String::new()];
        arguments.extend(fields.flat_map(|field| ["--data-urlencode".to_owned(), field]));
        self.ask(path, &arguments)
    }

    /// The names of the cookies that this browser holds, sorted.
    pub(crate) fn cookies(&self) -> Vec<String> {
        let jar = fs::read_to_string(&self.jar).unwrap_or_default();
        let lines = jar.lines().map(|line| line.strip_prefix("#HttpOnly_").unwrap_or(line));
        let cookies = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut names: Vec<_> = cookies.map(|line| line.split('\t').nth(5).expect("a name").to_owned()).collect();
        names.sort();
        names
    }

    /// Whether the browser has this text among its cookies.
    pub(crate) fn holds(&self, text: &str) -> bool {
        fs::read_to_string(&self.jar).unwrap_or_default().contains(text)
    }

    /// As an operator who ends this visitor's session.
    pub(crate) fn revoke(&self) {
        let id = self.get("/who").body;
        assert_eq!(id.len(), 22, "a public id: {id}");
        let url = format!("{}/sessions/{id}", self.stand.admin());
        let output = curl().args(["--request", "DELETE", &url]).output().expect("curl runs");
        assert_eq!(String::from_utf8_lossy(&output.stdout), r#"{"revoked":1}"#);
    }

    fn ask(&self, path: &str, arguments: &[String]) -> Answer {
        let mut curl = curl();
        curl.args(["--include", "--http1.1", "--cacert"]).arg(self.stand.certificate());
        // curl takes no Secure cookie to http, and the application alone is served so.
        curl.arg("--cookie").arg(&self.jar).arg("--cookie-jar").arg(&self.jar).args(arguments);
        curl.args(["--header", &format!("Referer: {}{path}", self.stand.origin)]);
        let output = curl.arg(format!("{}{path}", self.stand.origin)).output().expect("curl runs");
        assert!(output.status.success(), "{curl:?}: {}", String::from_utf8_lossy(&output.stderr));
        Answer::parse(&String::from_utf8_lossy(&output.stdout))
    }
}

fn curl() -> Command {
    let mut curl = Command::new(tools::curl());
    // --disable: whatever is in ~/.curlrc; it must come first.
    curl.args(["--disable", "--silent", "--show-error", "--max-time", "30", "--noproxy", "*"]);
    curl
}

impl Answer {
    fn parse(text: &str) -> Self {
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

    pub(crate) fn location(&self) -> Option<&str> {
        self.headers.iter().find(|(name, _)| name == "location").map(|(_, value)| &**value)
    }
}
