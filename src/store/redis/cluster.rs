//! A cluster: every key belongs to one of 16384 slots, and every slot to one server.
//!
//! Which server that is, servers say: all of it when asked, and of one slot when asked about a key that is not theirs.
//! What is not known yet, or not right any more, costs a request another question and nothing else. Each server has a
//! link of its own: one that is down takes its own slots along, until its replica takes over, and no others.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{Value, cmd};
use tokio::time::{sleep, timeout};

use super::connect::{Answer, Question};
use super::failure::Failure;
use super::link::{Link, Target};
use super::settings::Address;
use super::shared::Shared;
use crate::deadline::Deadline;
use crate::store::{Error, Outage};

const SLOTS: u16 = 16_384;
/// How often one question follows from server to server.
const MOST_REDIRECTS: usize = 5;
/// How long after one look at the whole map the next one may follow.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// More ranges of slots than any cluster has whose map we would understand.
const MOST_RANGES: usize = SLOTS as usize;

/// One worker's view of a cluster.
pub(super) struct Cluster {
    shared: Arc<Shared>,
    /// The servers of the configuration, asked where nothing else is known.
    seeds: Vec<Address>,
    known: Mutex<Known>,
    is_looking: AtomicBool,
    looks: AtomicUsize,
}

#[derive(Default)]
struct Known {
    /// By the last slot of a range, its first one and its owner.
    ranges: BTreeMap<u16, (u16, Address)>,
    links: BTreeMap<Address, Arc<Link>>,
}

impl Cluster {
    pub(super) fn new(seeds: Vec<Address>, shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            shared,
            seeds,
            known: Mutex::default(),
            is_looking: AtomicBool::new(false),
            looks: AtomicUsize::new(0),
        })
    }

    /// The answer of whichever server the key belongs to, if it comes in time.
    pub(super) async fn ask(self: &Arc<Self>, question: Question<'_>, deadline: Deadline) -> Result<Answer, Failure> {
        let owner = self.owner(slot(question.key.as_bytes()));
        let mut others = self.seeds.iter().filter(|_| owner.is_none());
        let mut at = match &owner {
            Some(owner) => owner.clone(),
            None => others.next().ok_or(Error::Unavailable(Outage::NoMaster))?.clone(),
        };
        let mut question = question;
        for _ in 0..MOST_REDIRECTS.max(self.seeds.len()) {
            // No server is to blame for time that another has taken.
            if deadline.left().is_zero() {
                return Err(Error::Unavailable(Outage::TimedOut).into());
            }
            match self.link(&at).ask(question, deadline).await {
                Ok(answer) => {
                    if owner.is_none() {
                        self.look();
                    }
                    return Ok(answer);
                }
                Err(Failure::Moved(to)) => {
                    self.look();
                    (at, question.asking) = (to.from(&at), false);
                }
                Err(Failure::Asking(to)) => (at, question.asking) = (to.from(&at), true),
                Err(failure @ Failure::Error(Error::Unavailable(outage))) => {
                    if !matches!(outage, Outage::OutOfMemory | Outage::Denied) {
                        self.look();
                    }
                    // Nobody knows yet whose it is: any of the others may say so. What was on its way is not asked
                    // twice.
                    let unasked = matches!(outage, Outage::Down | Outage::Unreachable | Outage::NoMaster);
                    match others.next().filter(|_| unasked) {
                        Some(other) => (at, question.asking) = (other.clone(), false),
                        None => return Err(failure),
                    }
                }
                Err(failure @ Failure::Error(_)) => return Err(failure),
            }
        }
        Err(Error::Unavailable(Outage::NoMaster).into())
    }

    fn owner(&self, slot: u16) -> Option<Address> {
        let known = self.known();
        let (_, (first, owner)) = known.ranges.range(slot..).next()?;
        (*first <= slot).then(|| owner.clone())
    }

    fn link(&self, address: &Address) -> Arc<Link> {
        let mut known = self.known();
        if let Some(link) = known.links.get(address) {
            return Arc::clone(link);
        }
        let link = Link::new(Target::Server(address.clone()), Arc::clone(&self.shared));
        known.links.insert(address.clone(), Arc::clone(&link));
        link
    }

    /// Looks at the whole map again, in the background, unless somebody just does.
    fn look(self: &Arc<Self>) {
        if self.is_looking.swap(true, Ordering::AcqRel) {
            return;
        }
        let this = Looking(Arc::clone(self));
        tokio::spawn(async move {
            this.0.try_look().await;
            sleep(LOOK_EVERY).await;
            drop(this);
        });
    }

    async fn try_look(self: &Arc<Self>) {
        let mut servers: Vec<Address> = self.known().links.keys().chain(&self.seeds).cloned().collect();
        // Another one each time: one that the others have left behind answers, and its map is old.
        let turn = self.looks.fetch_add(1, Ordering::Relaxed) % servers.len().max(1);
        servers.rotate_left(turn);
        for server in servers {
            let deadline = Deadline::after(self.shared.settings.timeout);
            let Ok(connection) = self.link(&server).connection(deadline).await else { continue };
            let mut question = cmd("CLUSTER");
            question.arg("SLOTS");
            let Ok(Ok(answer)) = timeout(deadline.left(), connection.tell(question)).await else { continue };
            let Some(ranges) = ranges(answer, &server) else { continue };
            let mut known = self.known();
            // Who owns nothing is not asked any more, and a link that nobody holds ends.
            known.links.retain(|address, _| ranges.values().any(|(_, owner)| owner == address));
            known.ranges = ranges;
            return;
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // No step under it can panic half way.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody looks at the map, until this is dropped: with its task, if need be.
struct Looking(Arc<Cluster>);

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.is_looking.store(false, Ordering::Release);
    }
}

/// What `CLUSTER SLOTS` says: for each range its first and last slot, its owner, and its replicas. Nothing where it
/// makes no sense, or covers nothing, as a server says that has not met the others.
fn ranges(answer: Value, asked: &Address) -> Option<BTreeMap<u16, (u16, Address)>> {
    let Value::Array(all) = answer else { return None };
    if all.is_empty() || all.len() > MOST_RANGES {
        return None;
    }
    let range = |value| {
        let Value::Array(parts) = value else { return None };
        let [Value::Int(first), Value::Int(last), Value::Array(owner), ..] = &parts[..] else { return None };
        let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
        let host = match owner.first()? {
            Value::BulkString(host) if !host.is_empty() => str::from_utf8(host).ok()?.to_owned(),
            // Where it does not know its own name, it is the one by which it was reached.
            Value::BulkString(_) | Value::Nil => asked.host.clone(),
            _ => return None,
        };
        let Some(Value::Int(port)) = owner.get(1) else { return None };
        let owner = Address { host, port: u16::try_from(*port).ok()? };
        (first <= last && last < SLOTS).then_some((last, (first, owner)))
    };
    all.into_iter().map(range).collect()
}

/// The slot of a key: CRC-16/XMODEM of it. Our keys have no part in braces, which alone would count otherwise.
fn slot(key: &[u8]) -> u16 {
    let crc = key.iter().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    });
    crc % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!([slot(b"123456789"), slot(b"foo"), slot(b"")], [0x31c3, 12_182, 0]);
    }

    fn node(host: Value, port: i64) -> Value {
        Value::Array(vec![host, Value::Int(port), Value::BulkString(b"id".to_vec())])
    }

    fn host(name: &str) -> Value {
        Value::BulkString(name.as_bytes().to_vec())
    }

    #[test]
    fn a_map_of_slots_is_read_or_left_alone() {
        let asked = Address { host: "here".to_owned(), port: 1 };
        let range = |first, last, owner| Value::Array(vec![Value::Int(first), Value::Int(last), owner]);
        let map = Value::Array(vec![range(0, 99, node(host("a"), 7000)), range(100, 16_383, node(Value::Nil, 7001))]);
        let owner = |host: &str, port| Address { host: host.to_owned(), port };
        let expected = BTreeMap::from([(99, (0, owner("a", 7000))), (16_383, (100, owner("here", 7001)))]);
        assert_eq!(ranges(map, &asked), Some(expected));
        for wrong in [
            Value::Nil,
            Value::Array(Vec::new()),
            Value::Array(vec![range(0, 16_384, node(host("a"), 7000))]),
            Value::Array(vec![range(9, 8, node(host("a"), 7000))]),
            Value::Array(vec![range(-1, 8, node(host("a"), 7000))]),
            Value::Array(vec![range(0, 8, node(host("a"), 70_000))]),
            Value::Array(vec![range(0, 8, Value::Array(Vec::new()))]),
            Value::Array(vec![Value::Array(vec![Value::Int(0)])]),
        ] {
            assert_eq!(ranges(wrong, &asked), None);
        }
    }
}
