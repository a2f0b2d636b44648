//! The binary as an operator runs it: what it prints is what this looks at.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use session_gateway::tls;
use tempfile::TempDir;

use super::PATIENCE;
use super::backend::Backend;
use super::browser::{Browser, Door};
use super::setup::Setup;

/// A running `session-gateway`. Killed when dropped.
pub struct Process {
    pub backend: Backend,
    pub dir: Arc<TempDir>,
    child: Child,
    out: Output,
    err: Output,
    http: SocketAddr,
    admin: SocketAddr,
}

/// What a pipe said so far, and a bell for every line of it.
struct Output {
    text: Arc<Mutex<String>>,
    bell: Receiver<()>,
}

impl Output {
    fn read(pipe: impl Read + Send + 'static) -> Self {
        let (ring, bell) = channel();
        let text = Arc::new(Mutex::new(String::new()));
        let writer = Arc::clone(&text);
        thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                writer.lock().expect("no reader panics").push_str(&String::from_utf8_lossy(&line));
                let _ = ring.send(());
                line.clear();
            }
        });
        Self { text, bell }
    }

    fn text(&self) -> String {
        self.text.lock().expect("no writer panics").clone()
    }

    /// Waits until `what` finds something in the text.
    fn wait<T>(&self, name: &str, what: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.text();
            if let Some(found) = what(&text) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(self.bell.recv_timeout(left).is_ok(), "waited in vain for {name} in:\n{text}");
        }
    }
}

fn address(text: &str, before: &str) -> Option<SocketAddr> {
    let at = text.find(before)? + before.len();
    let rest = &text[at..];
    rest[..rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').unwrap_or(rest.len())].parse().ok()
}

fn passed(socket: &TcpListener) -> Stdio {
    OwnedFd::from(socket.try_clone().expect("a descriptor to spare")).into()
}

/// What makes a shell pass its input as systemd passes a socket.
fn exports_of(name: &str, exports: &str) -> String {
    format!("exec 3<&0 0</dev/null; export LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES={name} {exports};")
}

impl Process {
    /// Starts it with this setup, and `log` as its `[log]` section.
    pub fn start(setup: &Setup, log: &str) -> Self {
        Self::start_in(&Arc::new(tempfile::tempdir().expect("a temporary directory")), setup, log)
    }

    /// The same in this directory, where another may have run before.
    pub fn start_in(dir: &Arc<TempDir>, setup: &Setup, log: &str) -> Self {
        Self::start_from(dir, setup, log, Stdio::null(), "")
    }

    /// The same with this socket as descriptor 3, as systemd passes it under this name; `exports` are more variables.
    pub fn start_on(
        dir: &Arc<TempDir>,
        setup: &Setup,
        log: &str,
        (socket, name): (&TcpListener, &str),
        exports: &str,
    ) -> Self {
        Self::start_from(dir, setup, log, passed(socket), &exports_of(name, exports))
    }

    fn start_from(dir: &Arc<TempDir>, setup: &Setup, log: &str, input: Stdio, before: &str) -> Self {
        let backend = Backend::start();
        let mut child = Self::spawn(dir, setup, &backend, (log, input, before));
        let out = Output::read(child.stdout.take().expect("piped"));
        let err = Output::read(child.stderr.take().expect("piped"));
        let http = err.wait("the address", |text| address(text, "listening on http://"));
        let admin = err.wait("the admin address", |text| address(text, "admin on http://"));
        Self { backend, dir: Arc::clone(dir), child, out, err, http, admin }
    }

    /// Starts one in this directory that should refuse to run; what it says.
    pub fn refusal(dir: &Arc<TempDir>, setup: &Setup) -> String {
        Self::refusal_from(dir, setup, Stdio::null(), "")
    }

    /// The same with this socket passed under this name.
    pub fn refusal_on(dir: &Arc<TempDir>, setup: &Setup, (socket, name): (&TcpListener, &str)) -> String {
        Self::refusal_from(dir, setup, passed(socket), &exports_of(name, ""))
    }

    fn refusal_from(dir: &Arc<TempDir>, setup: &Setup, input: Stdio, before: &str) -> String {
        let mut child = Self::spawn(dir, setup, &Backend::start(), ("access = \"off\"", input, before));
        let deadline = Instant::now() + PATIENCE;
        while child.try_wait().expect("a child is waited for").is_none() {
            if Instant::now() > deadline {
                let _ = child.kill();
                panic!("it should have refused to run by now");
            }
            thread::sleep(Duration::from_millis(5));
        }
        let output = child.wait_with_output().expect("a child is waited for");
        assert!(!output.status.success(), "it should have refused to run");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn spawn(dir: &TempDir, setup: &Setup, backend: &Backend, (log, input, exports): (&str, Stdio, &str)) -> Child {
        tls::dev::development(dir.path()).expect("a development certificate");
        let text = setup.write(dir.path(), backend);
        let (before, _) = text.split_once("[log]").expect("a log section");
        let file = dir.path().join("gateway.toml");
        fs::write(&file, format!("{before}[log]\n{log}\n")).expect("a writable directory");
        // Without the signal, a file that would exceed a limit on its size is an error like that of a full disk.
        Command::new("sh")
            .args(["-c", &format!("trap '' XFSZ; {exports} exec \"$@\""), "sh"])
            .arg(env!("CARGO_BIN_EXE_session-gateway"))
            .arg("--config")
            .arg(&file)
            .env_remove("RUST_LOG")
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts")
    }

    /// Where clear text is served.
    pub fn door(&self) -> Door {
        Door { address: self.http, tls: None }
    }

    /// Where TLS is served.
    pub fn https(&self) -> Door {
        let address = self.err.wait("the address of https", |text| address(text, "listening on https://"));
        Door { address, tls: Some(Arc::new(super::site::roots(&self.dir.path().join("dev.crt")))) }
    }

    /// A new visitor, in clear text.
    pub fn browser(&self) -> Browser {
        Browser::new(self.door(), "localhost")
    }

    /// Someone at the admin address.
    pub fn admin(&self) -> Browser {
        Browser::new(Door { address: self.admin, tls: None }, "localhost")
    }

    /// Where the admin address is served.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// Waits until standard output has so many lines.
    pub fn access_lines(&self, count: usize) -> Vec<String> {
        self.out.wait("access lines", |text| {
            let lines: Vec<_> = text.lines().map(str::to_owned).collect();
            (lines.len() >= count).then_some(lines)
        })
    }

    /// Waits until the log says `words`; the log.
    pub fn logged(&self, words: &str) -> String {
        self.err.wait(words, |text| text.contains(words).then(|| text.to_owned()))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(self) -> String {
        self.signal("TERM");
        let (succeeded, said) = self.end();
        assert!(succeeded, "it should have ended in order:\n{said}");
        said
    }

    /// Kills it, and waits until it is gone: it cannot do anything about it. Everything it printed.
    pub fn kill(mut self) -> String {
        self.child.kill().expect("a child of ours");
        self.end().1
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill");
    }

    /// Waits for its end: whether it succeeded, and everything it printed on both outputs.
    pub fn end(mut self) -> (bool, String) {
        // Both pipes close when it ends, and not before.
        let deadline = Instant::now() + PATIENCE;
        for output in [&self.out, &self.err] {
            while output.bell.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok() {}
        }
        assert!(Instant::now() < deadline, "it should have ended by now:\n{}", self.err.text());
        let status = self.child.wait().expect("a child is waited for");
        (status.success(), self.out.text() + &self.err.text())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
