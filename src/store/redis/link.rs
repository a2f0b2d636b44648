//! One worker's way to one server: a connection that is made when it is first needed, and replaced when it fails.
//!
//! ```text
//! Idle ─ asked ─▶ Connecting ─ made ─▶ Up ─ lost, late, read-only ─▶ Down ─ made ─▶ Up
//!                     └────── failed, or not made in time ───────────▲
//! ```
//!
//! While it is being made for the first time, or after the server has closed it in good order, requests wait for it, no
//! longer than for an answer. Once it has failed they fail at once, until one task, trying again and again, has made
//! another. A late answer is a failure too: a connection that is half dead would cost every request its whole timeout.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use redis::cmd;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::connect::{Answer, ConnectError, Connection, Question, Who, connect};
use super::failure::Failure;
use super::patience::Patience;
use super::sentinel::{self, Master};
use super::settings::Address;
use super::shared::Shared;
use super::tracking;
use crate::deadline::Deadline;
use crate::store::{Error, Outage};

/// How long after a failure the next attempt comes, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// A connection that did not last so long is a failed attempt like any other.
const LASTING: Duration = Duration::from_secs(5);

pub(super) struct Link {
    shared: Arc<Shared>,
    target: Target,
    state: Mutex<State>,
    patience: Patience,
}

/// Which server it leads to.
#[derive(Clone)]
pub(super) enum Target {
    Server(Address),
    /// Whichever these sentinels say is the master of that name.
    Master {
        sentinels: Vec<Address>,
        name: String,
    },
}

/// A task is what ends `Connecting` and `Down`; only the end of its runtime takes it away before.
enum State {
    Idle,
    Connecting(watch::Receiver<()>, AbortHandle),
    /// With the pause that came before it was made.
    Up(Connection, Duration),
    Down(AbortHandle),
}

impl Link {
    pub(super) fn new(target: Target, shared: Arc<Shared>) -> Arc<Self> {
        let patience = Patience::new(shared.settings.timeout);
        Arc::new(Self { shared, target, state: Mutex::new(State::Idle), patience })
    }

    /// The answer, if it comes in time.
    pub(super) async fn ask(self: &Arc<Self>, question: Question<'_>, deadline: Deadline) -> Result<Answer, Failure> {
        let connection = self.connection(deadline).await?;
        // In its place: one that is given away would have its size twice in this one.
        let asked = pin!(connection.ask(question));
        let failure = match self.patience.wait_for(asked, deadline).await {
            Some(Ok(value)) => return Ok(Answer { value, tracking: connection.tracking() }),
            Some(Err(error)) => Failure::new(&error),
            None => Failure::Error(Error::Unavailable(Outage::TimedOut)),
        };
        if let Failure::Error(Error::Unavailable(outage)) = &failure {
            self.look_at(*outage, &connection);
        }
        Err(failure)
    }

    /// The connection, as soon as there is one.
    pub(super) async fn connection(self: &Arc<Self>, deadline: Deadline) -> Result<Connection, Error> {
        loop {
            let mut made = {
                let mut state = self.state();
                match &*state {
                    State::Up(connection, _) if !connection.is_over() => return Ok(connection.clone()),
                    State::Up(connection, pause) if connection.age() < LASTING => {
                        *state = State::Down(self.reconnect(longer(*pause), None));
                        return Err(Error::Unavailable(Outage::Lost));
                    }
                    State::Down(task) if !task.is_finished() => return Err(Error::Unavailable(Outage::Down)),
                    State::Connecting(made, task) if !task.is_finished() => made.clone(),
                    State::Idle | State::Up(..) | State::Down(_) | State::Connecting(..) => {
                        let (tell, made) = watch::channel(());
                        *state = State::Connecting(made.clone(), self.reconnect(Duration::ZERO, Some(tell)));
                        made
                    }
                }
            };
            if timeout(deadline.left(), made.changed()).await.is_err() {
                self.stop_waiting();
                return Err(Error::Unavailable(Outage::Unreachable));
            }
        }
    }

    /// What has taken one request its whole time is not waited for by others.
    fn stop_waiting(&self) {
        let mut state = self.state();
        if let State::Connecting(_, task) = &*state {
            *state = State::Down(task.clone());
        }
    }

    /// Whether the server answers in time. Where it does not, the connection is replaced.
    pub(super) async fn ping(self: &Arc<Self>, connection: &Connection) -> Result<(), Outage> {
        let outage = match timeout(self.shared.settings.timeout, connection.tell(cmd("PING"))).await {
            Ok(Err(error)) if error.is_io_error() => Outage::Lost,
            // Whatever it says, it says something.
            Ok(_) => return Ok(()),
            Err(_) => Outage::TimedOut,
        };
        self.look_at(outage, connection);
        Err(outage)
    }

    /// Replaces a connection that has shown to be no good. Requests that wait for answers on it may still get them.
    pub(super) fn look_at(self: &Arc<Self>, outage: Outage, connection: &Connection) {
        if !matches!(outage, Outage::Lost | Outage::TimedOut | Outage::ReadOnly) {
            return;
        }
        let mut state = self.state();
        if let State::Up(current, pause) = &*state
            && current.is(connection)
        {
            connection.retire();
            let pause = if connection.age() < LASTING { longer(*pause) } else { Duration::ZERO };
            *state = State::Down(self.reconnect(pause, None));
        }
    }

    fn reconnect(self: &Arc<Self>, pause: Duration, waiting: Option<watch::Sender<()>>) -> AbortHandle {
        tokio::spawn(reconnect(Arc::downgrade(self), pause, waiting)).abort_handle()
    }

    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No step under it can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tries until there is a connection. Those who wait are told of the first attempt's end by the end of the channel.
async fn reconnect(link: Weak<Link>, mut pause: Duration, mut waiting: Option<watch::Sender<()>>) {
    loop {
        sleep(scattered(pause)).await;
        let Some((target, shared)) = link.upgrade().map(|link| (link.target.clone(), Arc::clone(&link.shared))) else {
            return;
        };
        let limit = shared.settings.connect_timeout;
        let made = timeout(limit, target.connect(&shared)).await.unwrap_or(Err(ConnectError::Timeout(limit)));
        let Some(link) = link.upgrade() else { return };
        match made {
            Ok((connection, master)) => {
                shared.came_back(&target);
                if let (Target::Master { sentinels, name }, Some(master)) = (target, master) {
                    let (link, connection) = (Arc::downgrade(&link), connection.downgrade());
                    tokio::spawn(sentinel::watch(sentinels, name, master, link, connection));
                }
                if shared.near.is_some() {
                    tokio::spawn(tracking::supervise(Arc::downgrade(&link), connection.downgrade()));
                }
                *link.state() = State::Up(connection, pause);
                return;
            }
            Err(error) => {
                shared.went_away(&target, &error);
                pause = longer(pause);
                link.stop_waiting();
                drop(waiting.take());
            }
        }
    }
}

impl Target {
    /// A connection, and which master it leads to where sentinels have said so.
    async fn connect(&self, shared: &Arc<Shared>) -> Result<(Connection, Option<Master>), ConnectError> {
        match self {
            Self::Server(address) => connect(address, Who::User, shared).await.map(|connection| (connection, None)),
            Self::Master { sentinels, name } => {
                let (connection, master) = sentinel::connect_to_master(sentinels, name, shared).await?;
                Ok((connection, Some(master)))
            }
        }
    }
}

/// As the log calls it.
impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Server(address) => address.fmt(f),
            Self::Master { name, .. } => write!(f, "the master of {name}"),
        }
    }
}

fn longer(pause: Duration) -> Duration {
    (pause * 2).clamp(PAUSES.0, PAUSES.1)
}

/// Up to a quarter more, so that workers and gateways do not all come back in the same moment.
fn scattered(pause: Duration) -> Duration {
    let quarter = pause / 4;
    pause + quarter * (getrandom::u32().unwrap_or(0) >> 16) / (1 << 16)
}
