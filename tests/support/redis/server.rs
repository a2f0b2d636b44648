//! One `redis-server` process, whatever it plays: a server, a node of a cluster, a sentinel.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use tempfile::TempDir;

use super::resp::{Client, Value};
use crate::support::{PATIENCE, eventually};

/// A server in a folder of its own, which holds its configuration, its socket, its data and its log. Killed when
/// dropped.
pub struct Server {
    pub port: u16,
    dir: TempDir,
    mode: &'static [&'static str],
    /// What the test's own connections say first.
    auth: Vec<String>,
    child: Child,
}

impl Server {
    /// Starts one, configured with what `configure` says for a port and a folder; returns once it answers. `mode` is
    /// what its command line says besides.
    pub fn start(mode: &'static [&'static str], auth: &[String], configure: impl Fn(u16, &Path) -> String) -> Self {
        for _ in 0..20 {
            let (port, dir) = (free_port(), tempfile::tempdir().expect("a temporary directory"));
            let (path, socket) = (dir.path(), socket(dir.path()));
            let text = format!(
                "bind 127.0.0.1\nlogfile \"\"\nsave \"\"\nunixsocket {}\ndir {}\n{}\n",
                socket.display(),
                path.display(),
                configure(port, path)
            );
            fs::write(path.join("server.conf"), text).expect("a writable directory");
            let child = spawn(path, mode);
            let mut server = Self { port, dir, mode, auth: auth.to_vec(), child };
            if server.answers() {
                return server;
            }
            // Another test may have taken the port since we looked.
            assert!(server.log().contains("in use"), "redis-server did not start:\n{}", server.log());
        }
        panic!("no port was free")
    }

    /// Ends it at once, as kill -9 or a power cut does.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child of ours");
        self.child.wait().expect("a child is waited for");
    }

    /// Starts it again after [`Server::kill`], on the same port and with the data it left; returns once it answers.
    pub fn restart(&mut self) {
        let _ = fs::remove_file(socket(self.dir.path()));
        self.child = spawn(self.dir.path(), self.mode);
        assert!(self.answers(), "redis-server did not start again:\n{}", self.log());
    }

    /// Stops it in its tracks: its port is open, its connections stand, and nothing is answered.
    pub fn freeze(&self) {
        self.signal("STOP");
        eventually("redis-server stands still", || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("a child has a status");
            stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('T')).then_some(())
        });
    }

    /// Lets it go on after [`Server::freeze`].
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    /// A connection of the test's own. It goes through no port, so that no fault on the way to one touches it.
    pub fn connect(&self) -> std::io::Result<Client> {
        let mut client = Client::connect(&socket(self.dir.path()), PATIENCE)?;
        if !self.auth.is_empty() {
            let reply = client.command(&self.auth)?;
            assert!(!matches!(reply, Value::Error(_)), "the test's own password is refused: {reply:?}");
        }
        Ok(client)
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.dir.path().join("log")).expect("a log");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn answers(&mut self) -> bool {
        eventually("redis-server answers, or ends", || {
            if self.child.try_wait().expect("a child of ours").is_some() {
                return Some(false);
            }
            let reply = self.connect().and_then(|mut client| client.command(&["PING"]));
            // Anything else says that it is still loading.
            reply.is_ok_and(|reply| reply == Value::Bytes(b"PONG".to_vec())).then_some(true)
        })
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            eprintln!("redis-server on {}:\n{}", self.port, lines[lines.len().saturating_sub(20)..].join("\n"));
        }
    }
}

/// `REDIS_SERVER` names another than `redis-server`: `valkey-server`, or an older version.
fn spawn(dir: &Path, mode: &[&str]) -> Child {
    let program = std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
    let log = File::options().append(true).create(true).open(dir.join("log")).expect("a writable directory");
    let spawned = Command::new(&program)
        .arg(dir.join("server.conf"))
        .args(mode)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a descriptor to spare"))
        .stderr(log)
        .spawn();
    match spawned {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("{program} is not installed, and tests need a real one: `make test` installs it")
        }
        Err(error) => panic!("{program} does not start: {error}"),
    }
}

fn socket(dir: &Path) -> PathBuf {
    dir.join("socket")
}

/// A port that nobody listens on. Below those that the system gives to outgoing connections, so that it stays free
/// while its server is down, and so low that the bus of a cluster fits 10,000 above.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test binaries that run at once begin at different places.
    let first = std::process::id().wrapping_mul(97) % 12_000;
    loop {
        let offset = (first + u32::from(NEXT.fetch_add(1, Ordering::Relaxed))) % 12_000;
        let port = 10_000 + u16::try_from(offset).expect("below 12,000");
        let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if free(port) && free(port + 10_000) {
            return port;
        }
    }
}
