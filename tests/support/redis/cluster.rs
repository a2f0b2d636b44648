//! A cluster of three masters with a replica each.

use std::time::Duration;

use super::{Options, Redis};
use crate::support::eventually_within;

const MASTERS: usize = 3;
const SLOTS: usize = 16_384;

/// How long the nodes may take to agree here.
const ELECTION: Duration = Duration::from_secs(30);

/// Six nodes; the first three begin as masters, and each of the others replicates the one three before it.
pub struct Cluster {
    pub nodes: Vec<Redis>,
}

impl Cluster {
    /// Returns once every node says that all is well, and every master has its replica.
    pub fn start() -> Self {
        let options = Options::default()
            .durable()
            .line("cluster-enabled yes")
            .line("cluster-config-file nodes.conf")
            .line("cluster-node-timeout 1000")
            .line("cluster-replica-validity-factor 0")
            .line("repl-diskless-sync-delay 0");
        let cluster = Self { nodes: (0..2 * MASTERS).map(|_| options.clone().start()).collect() };
        let first = cluster.nodes[0].port().to_string();
        for (i, node) in cluster.nodes.iter().enumerate() {
            node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(i + 1).to_string()]);
            if i < MASTERS {
                let slots = (i * SLOTS / MASTERS..(i + 1) * SLOTS / MASTERS).map(|slot| slot.to_string());
                let words = ["CLUSTER".to_owned(), "ADDSLOTS".to_owned()].into_iter().chain(slots);
                node.command(&words.collect::<Vec<_>>());
            }
            if i > 0 {
                node.command(&["CLUSTER", "MEET", "127.0.0.1", &first]);
            }
        }
        cluster.until("the nodes have met", |node| {
            (node.info_of_cluster("cluster_known_nodes") == "6" && node.is_well()).then_some(())
        });
        let (masters, replicas) = cluster.nodes.split_at(MASTERS);
        for (master, replica) in masters.iter().zip(replicas) {
            let id = master.command(&["CLUSTER", "MYID"]).text();
            replica.command(&["CLUSTER", "REPLICATE", &id]);
        }
        cluster.until("every master has its replica", |node| {
            let nodes = node.command(&["CLUSTER", "NODES"]).text();
            let replicas = nodes.lines().filter(|line| line.contains("slave ")).count();
            (replicas == MASTERS && node.is_well()).then_some(())
        });
        for replica in replicas {
            eventually_within(ELECTION, "the replicas follow", || {
                (replica.info("replication", "master_link_status")? == "up").then_some(())
            });
        }
        cluster
    }

    /// The URL of a gateway's configuration.
    pub fn url(&self) -> String {
        let hosts: Vec<_> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        format!("redis+cluster://{}", hosts.join(","))
    }

    /// Kills one of the first three; returns once its replica has taken its place and the cluster is well without it.
    pub fn fail_over(&mut self, master: usize) {
        self.nodes[master].kill();
        let replica = &self.nodes[master + MASTERS];
        eventually_within(ELECTION, "the replica becomes a master", || {
            (replica.info("replication", "role")? == "master").then_some(())
        });
        for node in self.nodes.iter().enumerate().filter(|(i, _)| *i != master).map(|(_, node)| node) {
            eventually_within(ELECTION, "the others see a whole cluster", || node.is_well().then_some(()));
        }
    }

    /// Waits until every node says that all is well.
    pub fn until_well(&self) {
        self.until("every node sees a whole cluster", |node| node.is_well().then_some(()));
    }

    /// Waits until every replica has all that was written to its master so far.
    pub fn settle(&self) {
        let (masters, replicas) = self.nodes.split_at(MASTERS);
        for (master, replica) in masters.iter().zip(replicas) {
            master.settle_on(replica);
        }
    }

    fn until(&self, what: &str, condition: impl Fn(&Redis) -> Option<()>) {
        for node in &self.nodes {
            eventually_within(ELECTION, what, || condition(node));
        }
    }
}

impl Redis {
    fn info_of_cluster(&self, name: &str) -> String {
        let text = self.command(&["CLUSTER", "INFO"]).text();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
    }

    fn is_well(&self) -> bool {
        self.info_of_cluster("cluster_state") == "ok"
    }
}
