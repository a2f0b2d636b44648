//! One example application with the gateway in front, set up and started as its README says, but on ports of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::process::Process;
use crate::tools;

#[derive(Clone, Copy)]
pub(crate) enum App {
    Flask,
    Express,
}

/// Both are stopped when it is dropped: the gateway first, so that it does not log the end of its upstream.
pub(crate) struct Stand {
    pub(crate) origin: String,
    _gateway: Process,
    _app: Process,
    dir: TempDir,
}

impl Stand {
    pub(crate) fn start(app: App) -> Self {
        let (app_process, app_port) = app.start();
        // Stands for the root of the repository.
        let dir = tempfile::tempdir().expect("a temporary directory");
        let root = dir.path();
        let config = root.join(app.config());
        fs::create_dir_all(config.parent().expect("it is in a folder")).expect("a folder is made");
        fs::write(&config, app.gateway_toml(app_port)).expect("the configuration is written");
        run(gateway(root).arg("dev-cert"));
        let key = run(gateway(root).arg("key"));
        fs::write(root.join("certs/session.key"), key).expect("the key is written");

        let mut gateway = Process::start("the gateway", gateway(root).arg("--config").arg(app.config()));
        let port = gateway.port_after("https://127.0.0.1:");
        Self { origin: format!("https://127.0.0.1:{port}"), _gateway: gateway, _app: app_process, dir }
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.dir.path().join("certs/dev.crt")
    }
}

impl App {
    fn start(self) -> (Process, u16) {
        let examples = tools::root().join("examples");
        let mut process = match self {
            Self::Flask => Process::start(
                "Flask",
                Command::new(tools::python())
                    .args(["-u", "-m", "flask", "--app"])
                    .arg(examples.join("flask/app.py"))
                    .args(["run", "--port", "0"])
                    .env("PYTHONDONTWRITEBYTECODE", "1"),
            ),
            Self::Express => Process::start(
                "Express",
                Command::new(tools::node())
                    .arg(examples.join("express/server.js"))
                    .env("NODE_PATH", tools::node_modules())
                    .env("PORT", "0"),
            ),
        };
        let port = process.port_after("http://127.0.0.1:");
        (process, port)
    }

    /// Where the example's configuration is, from the root.
    fn config(self) -> &'static str {
        match self {
            Self::Flask => "examples/flask/gateway.toml",
            Self::Express => "examples/express/gateway.toml",
        }
    }

    /// That configuration, with nothing changed but addresses.
    fn gateway_toml(self, app_port: u16) -> String {
        let app_address = match self {
            Self::Flask => "127.0.0.1:5000",
            Self::Express => "127.0.0.1:3000",
        };
        let mut toml = fs::read_to_string(tools::root().join(self.config())).expect("the example has a configuration");
        for (from, port) in [("127.0.0.1:8080", 0), ("127.0.0.1:8443", 0), (app_address, app_port)] {
            assert_eq!(toml.matches(from).count(), 1, "{}: {from}", self.config());
            toml = toml.replace(from, &format!("127.0.0.1:{port}"));
        }
        toml
    }
}

/// The gateway's binary, started in `dir`.
fn gateway(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_session-gateway"));
    command.current_dir(dir);
    command
}

/// Standard output of a command that must succeed.
fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().expect("the gateway's binary runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
