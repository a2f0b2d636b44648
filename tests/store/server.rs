//! A Redis server of the test's own, on a free port, with nothing in it.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

/// A running `redis-server`. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
}

impl Server {
    pub(crate) fn start(options: &[&str]) -> Self {
        // The port may be taken by another between being found free and being bound.
        (0..10).find_map(|_| Self::try_start(options)).expect("redis-server starts; `make test` installs it")
    }

    fn try_start(options: &[&str]) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let mut child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--dir", "/tmp", "--logfile", "", "--daemonize", "no"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed; `make test` installs it");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let ready = lines.by_ref().map_while(Result::ok).any(|line| line.contains("Ready to accept connections"));
        // It must always be able to write its log.
        std::thread::spawn(move || lines.for_each(drop));
        let server = Self { child, port };
        ready.then_some(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// What one command gives.
    pub(crate) fn ask<T: redis::FromRedisValue>(&self, words: &[&[u8]]) -> T {
        let client = redis::Client::open(self.url()).expect("a URL");
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(*word);
        }
        command.query(&mut client.get_connection().expect("a connection")).expect("an answer")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
