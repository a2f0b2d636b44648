//! An application that knows nothing of the gateway, with the gateway in front, or without it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use tempfile::TempDir;

use crate::process::Process;

/// An application, and what the gateway is told of it.
pub(crate) struct App {
    /// Starts it in the folder, on a port that it chooses and prints.
    pub(crate) start: fn(&Path) -> Process,
    /// `[upstream.app.jar]`, but for its mode.
    pub(crate) jar: &'static str,
}

/// How the application is reached.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// By itself: what a visitor meets there is what the gateway must not change.
    Alone,
    /// Through the gateway.
    Jar(&'static str),
}

/// All is stopped when it is dropped, the gateway first.
pub(crate) struct Stand {
    pub(crate) origin: String,
    admin: u16,
    _gateway: Option<Process>,
    _app: Process,
    dir: TempDir,
}

impl Stand {
    pub(crate) fn start(app: &App, mode: Mode) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut process = (app.start)(dir.path());
        let app_port = process.port_after("http://127.0.0.1:");
        let Mode::Jar(mode) = mode else {
            let origin = format!("http://127.0.0.1:{app_port}");
            return Self { origin, admin: 0, _gateway: None, _app: process, dir };
        };
        run(gateway(dir.path()).arg("dev-cert"));
        let key = run(gateway(dir.path()).arg("key"));
        fs::write(dir.path().join("certs/session.key"), key).expect("the key is written");
        let (jar, who) = (app.jar, who());
        let toml = format!(
            "[listen]\nhttps = \"127.0.0.1:0\"\n[tls]\ncertificate = \"certs/dev.crt\"\nprivate_key = \"certs/dev.key\"\n\
             [session]\nkeys = [\"certs/session.key\"]\n[upstream.app]\nservers = [\"http://127.0.0.1:{app_port}\"]\n\
             trust = \"none\"\n[upstream.app.jar]\nmode = {mode:?}\n{jar}\n[[route]]\nupstream = \"app\"\n\
             [upstream.who]\nservers = [\"http://127.0.0.1:{who}\"]\ntrust = \"read\"\n\
             [[route]]\npath = \"/who\"\nupstream = \"who\"\n\
             [admin]\nlisten = \"127.0.0.1:0\"\n"
        );
        fs::write(dir.path().join("gateway.toml"), toml).expect("the configuration is written");
        let mut gateway = Process::start("the gateway", &mut gateway(dir.path()));
        let port = gateway.port_after("https://127.0.0.1:");
        let admin = gateway.port_after("admin on http://127.0.0.1:");
        Self { origin: format!("https://127.0.0.1:{port}"), admin, _gateway: Some(gateway), _app: process, dir }
    }

    /// Where the certificate is, and beside it whatever the visitor keeps.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.dir.path().join("certs/dev.crt")
    }

    pub(crate) fn admin(&self) -> String {
        format!("http://127.0.0.1:{}", self.admin)
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

/// Standard output of a command that must succeed.
fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().expect("the binary runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
