//! Real Redis servers that tests start, kill, freeze and look into.
//!
//! ```text
//! gateway ──────────── port ───────────▶ redis-server ◀── Unix socket ── the test: commands, counts, dumps
//! gateway ── port ──▶ Relay ── port ──▶ redis-server
//! ```

pub mod cluster;
pub mod dump;
pub mod resp;
pub mod sentinels;
pub mod server;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use super::eventually;

pub use cluster::Cluster;
pub use dump::Dump;
pub use resp::{Client, Value};
pub use sentinels::Sentinels;
use server::Server;

/// A running server.
pub struct Redis {
    server: Server,
    /// What stands before the address in its URL: the scheme, and who one is.
    origin: String,
    /// The certificate of the authority that vouches for it, where it speaks TLS.
    authority: Option<TempDir>,
}

/// A server to be.
#[derive(Clone, Debug, Default)]
pub struct Options {
    lines: String,
    password: Option<String>,
    user: Option<(String, String)>,
    tls: bool,
}

impl Options {
    /// One more line of its configuration.
    pub fn line(mut self, line: &str) -> Self {
        self.lines += line;
        self.lines.push('\n');
        self
    }

    /// What it has acknowledged is on the disk.
    pub fn durable(self) -> Self {
        self.line("appendonly yes").line("appendfsync always")
    }

    /// Whoever does not name this password is refused.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self.line(&format!("requirepass {password}"))
    }

    /// A user of its own with this password, who may do what `rules` allow; its URL names that user.
    pub fn user(mut self, name: &str, password: &str, rules: &str) -> Self {
        self.user = Some((name.to_owned(), password.to_owned()));
        self.line(&format!("user {name} on >{password} {rules}"))
    }

    /// Its port speaks TLS alone, with a certificate of an authority that nobody knows.
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    pub fn start(self) -> Redis {
        let authority = self.tls.then(certificates);
        let auth: Vec<String> =
            self.password.iter().flat_map(|password| ["AUTH".to_owned(), password.clone()]).collect();
        let server = Server::start(&[], &auth, |port, _| match &authority {
            None => format!("port {port}\n{}", self.lines),
            Some(dir) => format!(
                "port 0\ntls-port {port}\ntls-auth-clients no\ntls-cert-file {dir}/server.crt\n\
                 tls-key-file {dir}/server.key\ntls-ca-cert-file {dir}/ca.crt\n{lines}",
                dir = dir.path().display(),
                lines = self.lines
            ),
        });
        let who = match (&self.user, &self.password) {
            (Some((user, password)), _) => format!("{user}:{password}@"),
            (None, Some(password)) => format!(":{password}@"),
            (None, None) => String::new(),
        };
        let scheme = if self.tls { "rediss" } else { "redis" };
        Redis { server, origin: format!("{scheme}://{who}"), authority }
    }
}

impl Redis {
    /// One that keeps nothing on the disk and knows no passwords.
    pub fn start() -> Self {
        Options::default().start()
    }

    pub fn build() -> Options {
        Options::default()
    }

    pub fn port(&self) -> u16 {
        self.server.port
    }

    /// Its URL as the configuration of a gateway spells it, without a database.
    pub fn url(&self) -> String {
        self.url_through(self.port())
    }

    /// The same where the way to it begins at another port.
    pub fn url_through(&self, port: u16) -> String {
        format!("{}127.0.0.1:{port}", self.origin)
    }

    /// The certificate of the authority that vouches for it, as PEM.
    pub fn authority(&self) -> PathBuf {
        self.authority.as_ref().expect("it speaks TLS").path().join("ca.crt")
    }

    /// Ends it as a power cut does.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts it again on the same port, with what is on its disk; returns once it answers.
    pub fn restart(&mut self) {
        self.server.restart();
    }

    /// It stands still: connections are open, and nothing is answered.
    pub fn freeze(&self) {
        self.server.freeze();
    }

    pub fn thaw(&self) {
        self.server.thaw();
    }

    /// A connection that no fault on the way to the port touches.
    pub fn client(&self) -> Client {
        self.server.connect().unwrap_or_else(|error| panic!("redis-server does not answer: {error}"))
    }

    /// One command; an error is a failure of the test.
    pub fn command<A: AsRef<[u8]>>(&self, words: &[A]) -> Value {
        let said = String::from_utf8_lossy(words[0].as_ref()).into_owned();
        match self.client().command(words) {
            Ok(Value::Error(error)) => panic!("{said}: {error}"),
            Ok(value) => value,
            Err(error) => panic!("{said}: {error}"),
        }
    }

    /// One line of `INFO`. None, too, where the connection breaks: a sentinel throws everybody out of a server whose
    /// part it changes.
    pub fn info(&self, section: &str, name: &str) -> Option<String> {
        let text = self.client().command(&["INFO", section]).ok()?.text();
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::to_owned))
    }

    /// How often each command was called, by whomever but the test, and but for what keeps a connection or a
    /// cluster up.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        const UPKEEP: [&str; 10] =
            ["auth", "client", "cluster", "command", "config", "hello", "info", "ping", "psync", "replconf"];
        let text = self.command(&["INFO", "commandstats"]).text();
        let calls = text.lines().filter_map(|line| {
            let (name, numbers) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let upkeep = UPKEEP.contains(&name.split('|').next().unwrap_or_default());
            let count = numbers.split(',').next()?.parse().expect("a number of calls");
            (!upkeep).then(|| (name.to_owned(), count))
        });
        calls.collect()
    }

    /// Waits until `replica` has all that was written here so far.
    pub fn settle_on(&self, replica: &Redis) {
        // WAIT would ask after the writes of its own connection only.
        let offset = |redis: &Redis, name| redis.info("replication", name)?.parse::<u64>().ok();
        let written = offset(self, "master_repl_offset").expect("a server that is followed counts");
        eventually("the replica has it all", || (offset(replica, "slave_repl_offset")? >= written).then_some(()));
    }

    /// Everything in it.
    pub fn dump(&self) -> Dump {
        Dump::read(&mut self.client())
    }

    pub fn log(&self) -> String {
        self.server.log()
    }
}

/// A private authority's certificate, and one of its making for a server on this machine.
fn certificates() -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let write = |name: &str, text: String| fs::write(dir.path().join(name), text).expect("a writable directory");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate");
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(names).expect("two names");
    let certificate = params.signed_by(&key, &authority).expect("a certificate");
    write("ca.crt", authority.pem());
    write("server.crt", certificate.pem());
    write("server.key", key.serialize_pem());
    dir
}
