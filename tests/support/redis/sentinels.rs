//! A master, its replica, and three sentinels who watch over them.

use super::server::Server;
use super::{Options, Redis, Value};
use crate::support::eventually_within;
use std::time::Duration;

/// What the sentinels call the master.
pub const NAME: &str = "sessions";

/// How long an election and all that follows it may take here.
const ELECTION: Duration = Duration::from_secs(30);

pub struct Sentinels {
    /// The two servers; which of them is master, the sentinels know.
    pub servers: [Redis; 2],
    sentinels: Vec<Server>,
}

impl Sentinels {
    /// Returns once all of them agree on who is master, and could elect another.
    pub fn start() -> Self {
        let options = Options::default().durable().line("repl-diskless-sync-delay 0");
        let master = options.clone().start();
        let replica = options.line(&format!("replicaof 127.0.0.1 {}", master.port())).start();
        eventually_within(ELECTION, "the replica follows", || {
            (replica.info("replication", "master_link_status")? == "up").then_some(())
        });
        let sentinel = || {
            Server::start(&["--sentinel"], &[], |port, _| {
                format!(
                    "port {port}\nsentinel monitor {NAME} 127.0.0.1 {} 2\n\
                     sentinel down-after-milliseconds {NAME} 700\nsentinel failover-timeout {NAME} 3000",
                    master.port()
                )
            })
        };
        let sentinels = vec![sentinel(), sentinel(), sentinel()];
        let all = Self { servers: [master, replica], sentinels };
        for sentinel in &all.sentinels {
            eventually_within(ELECTION, "the sentinels know each other and the replica", || {
                let master = ask(sentinel, &["SENTINEL", "MASTER", NAME])?;
                let known = (master.field("num-other-sentinels")?, master.field("num-slaves")?);
                (known == ("2".to_owned(), "1".to_owned())).then_some(())
            });
        }
        all
    }

    /// The URL of a gateway's configuration.
    pub fn url(&self) -> String {
        let hosts: Vec<_> = self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port)).collect();
        format!("redis+sentinel://{}/{NAME}", hosts.join(","))
    }

    /// The index of the server that every sentinel takes for the master; none while they disagree.
    pub fn master(&self) -> Option<usize> {
        let mut ports = self.sentinels.iter().map(|sentinel| {
            let address = ask(sentinel, &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME])?;
            address.list().get(1).map(Value::text)
        });
        let port = ports.next()??;
        let agreed = ports.all(|other| other.as_deref() == Some(&port));
        self.servers.iter().position(|server| agreed && server.port().to_string() == port)
    }

    /// Kills the master; returns once the sentinels have made the other server one. Which that is now.
    pub fn fail_over(&mut self) -> usize {
        let old = self.master().expect("they agree before");
        self.servers[old].kill();
        eventually_within(ELECTION, "another master", || {
            let new = self.master().filter(|new| *new != old)?;
            (self.servers[new].info("replication", "role")? == "master").then_some(new)
        })
    }

    /// Makes the replica master while both live, as for maintenance.
    pub fn swap(&self) {
        let old = self.master().expect("they agree before");
        ask(&self.sentinels[0], &["SENTINEL", "FAILOVER", NAME]);
        eventually_within(ELECTION, "the servers have changed places", || {
            (self.master()? != old).then_some(())?;
            (self.servers[1 - old].info("replication", "role")? == "master").then_some(())
        });
        self.until_follows(old);
    }

    /// Waits until this server follows the other as its replica.
    pub fn until_follows(&self, index: usize) {
        eventually_within(ELECTION, "the old master follows the new one", || {
            (self.servers[index].info("replication", "master_link_status")? == "up").then_some(())
        });
    }

    /// Waits until the replica has all that was written to the master so far.
    pub fn settle(&self) {
        let master = self.master().expect("they agree");
        self.servers[master].settle_on(&self.servers[1 - master]);
    }
}

fn ask(sentinel: &Server, words: &[&str]) -> Option<Value> {
    let reply = sentinel.connect().and_then(|mut client| client.command(words)).ok()?;
    matches!(reply, Value::List(_)).then_some(reply)
}
