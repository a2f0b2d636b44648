//! An application that knows nothing of the gateway, and the ways in to it: its own, and gateways before it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use tempfile::TempDir;

use crate::process::Process;
use crate::table::{App, Running, run};
use crate::visitor;

/// How the application is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// By itself: what a visitor meets there is what the gateway must not change.
    Alone,
    /// Through a gateway that changes nothing.
    Observe,
    /// Through one that keeps its cookies.
    Enforce,
    /// The same with those that no script can read, whatever their names.
    EnforceByKind,
    /// Through one that also takes over those that browsers still hold.
    Adopt,
}

/// The application, running.
pub(crate) struct Stand {
    app: &'static App,
    running: Running,
    who: u16,
    dir: TempDir,
}

/// One way in. All gateways of a stand have the same keys, as if one had been started again with another configuration.
pub(crate) struct Door {
    pub(crate) app: &'static App,
    pub(crate) origin: String,
    /// Where the certificate is.
    pub(crate) certificate: PathBuf,
    /// Where curl's jars are.
    pub(crate) jars: PathBuf,
    admin: u16,
    _gateway: Option<Process>,
}

impl Stand {
    pub(crate) fn start(app: &'static App) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for folder in ["app", "jars"] {
            fs::create_dir(dir.path().join(folder)).expect("a folder is made");
        }
        let running = (app.start)(&dir.path().join("app"));
        run(gateway(dir.path()).arg("dev-cert"));
        let key = run(gateway(dir.path()).arg("key"));
        fs::write(dir.path().join("certs/session.key"), key).expect("the key is written");
        Self { app, running, who: who(), dir }
    }

    /// Opens a way in.
    pub(crate) fn open(&self, mode: Mode) -> Door {
        let dir = self.dir.path();
        let (certificate, jars) = (dir.join("certs/dev.crt"), dir.join("jars"));
        let app_port = self.running.port;
        let door = |origin, admin, gateway| Door { app: self.app, origin, certificate, jars, admin, _gateway: gateway };
        let App { preset, login, .. } = self.app;
        let (jar, capture) = match mode {
            Mode::Alone => return door(format!("http://127.0.0.1:{app_port}"), 0, None),
            Mode::Observe => ("mode = \"observe\"", *preset),
            Mode::Enforce => ("mode = \"enforce\"", *preset),
            Mode::EnforceByKind => ("mode = \"enforce\"", "http-only"),
            Mode::Adopt => ("mode = \"enforce\"\nadopt_until = \"2200-01-01\"", *preset),
        };
        let toml = format!(
            "[listen]\nhttps = \"127.0.0.1:0\"\n[tls]\ncertificate = \"certs/dev.crt\"\nprivate_key = \"certs/dev.key\"\n\
             [session]\nkeys = [\"certs/session.key\"]\n[upstream.app]\nservers = [\"http://127.0.0.1:{app_port}\"]\n\
             trust = \"none\"\n[upstream.app.jar]\n{jar}\ncapture = {capture:?}\nrenew_on = [\"POST {login}\"]\n\
             [[route]]\nupstream = \"app\"\n[upstream.who]\nservers = [\"http://127.0.0.1:{who}\"]\ntrust = \"read\"\n\
             [[route]]\npath = \"/who\"\nupstream = \"who\"\n[admin]\nlisten = \"127.0.0.1:0\"\n",
            who = self.who
        );
        let file = format!("{mode:?}.toml");
        fs::write(dir.join(&file), toml).expect("the configuration is written");
        let mut process = Process::start("the gateway", gateway(dir).args(["--config", &file]));
        let port = process.port_after("https://127.0.0.1:");
        let admin = process.port_after("admin on http://127.0.0.1:");
        door(format!("https://127.0.0.1:{port}"), admin, Some(process))
    }
}

impl Door {
    /// As an operator at the gateway's admin address.
    pub(crate) fn operate(&self, method: &str, path: &str) -> String {
        let url = format!("http://127.0.0.1:{}{path}", self.admin);
        String::from_utf8_lossy(&run(visitor::curl().args(["--request", method, &url]))).into_owned()
    }

    /// The names of the cookies that a jar has observed, with what `enforce` would do.
    pub(crate) fn observed(&self) -> BTreeSet<(String, String)> {
        let metrics = self.operate("GET", "/metrics");
        let lines = metrics.lines().filter(|line| line.starts_with("session_gateway_jar_observed_total{"));
        let label = |line: &str, name: &str| {
            let (_, rest) = line.split_once(&format!("{name}=\"")).expect("a label");
            rest.split('"').next().expect("its value").to_owned()
        };
        lines.map(|line| (label(line, "cookie"), label(line, "enforce"))).collect()
    }
}

/// A server that tells a visitor what the session is called, by which an operator can end it. It ends with the process.
fn who() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("a bound address").port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut id = String::new();
            let mut lines = BufReader::new(stream.try_clone().expect("a descriptor to spare")).lines();
            while let Some(Ok(line)) = lines.next().filter(|line| line.as_ref().is_ok_and(|line| !line.is_empty())) {
                if let Some(value) = line.strip_prefix("x-session-id: ") {
                    value.clone_into(&mut id);
                }
            }
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{id}", id.len());
            let _ = (&stream).write_all(answer.as_bytes());
        }
    });
    port
}

/// The gateway's binary, started in `dir`.
fn gateway(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_session-gateway"));
    command.current_dir(dir);
    command
}
