//! A gateway, its Redis, the network between them, and visitors of every kind.

use std::time::{Duration, Instant};

use crate::support::redis::{Options, Redis, Value};
use crate::support::*;
use serde_json::json;

/// How long the gateway waits for Redis, and how long a request may take that waits for it at most twice: to open a
/// session, and to store its change. The rest is what a busy machine may add.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(250);
pub(crate) const LIMIT: Duration = Duration::from_millis(2 * 250 + 400);

pub(crate) struct Stand {
    pub(crate) site: Site,
    pub(crate) relay: Relay,
    pub(crate) redis: Redis,
    /// Logged in.
    pub(crate) alice: Browser,
    /// Without a user, and with something in its cart.
    pub(crate) cart: Browser,
    pub(crate) guest: Browser,
}

impl Stand {
    /// All is well, and every write is on the disk.
    pub(crate) fn new(redis: Options) -> Self {
        Self::with(redis, Site::build())
    }

    pub(crate) fn with(redis: Options, setup: Setup) -> Self {
        let redis = redis.durable().start();
        let relay = Relay::to(redis.port());
        let lines = format!("near_cache = false\ntimeout = \"{}ms\"", TIMEOUT.as_millis());
        let site = setup
            .mirror("")
            .route("path = \"/open\"\nupstream = \"app\"\non_store_failure = \"anonymous\"")
            .redis_at(&redis.url_through(relay.port()), &lines)
            .start();
        let (alice, cart, guest) = (site.login("alice"), site.keep(r#"{"cart":["apple"]}"#), site.guest());
        site.patch(&alice, r#"{"note":"kept"}"#);
        Self { site, relay, redis, alice, cart, guest }
    }

    /// Redis cannot be asked: nobody loses a cookie or gets one but a new visitor, nobody waits, guests are served, and
    /// nothing is reported as done.
    pub(crate) fn endure(&self) {
        let before = self.cookies();
        for browser in [&self.alice, &self.cart] {
            self.refuse(browser, get("/look"));
        }
        // Whoever has no session is served.
        let seen = self.serve(&self.guest, get("/look"), ok());
        seen.assert_no_session();
        assert!(!seen.is_new());
        assert!(self.serve(&self.site.browser(), get("/look"), ok()).is_new());
        // Whoever would get one is told that it did not work.
        self.refuse_change(&self.guest, ok().session("Patch", r#"{"lost":true}"#));
        self.refuse_change(&self.guest, ok().session("User", "mallory"));
        self.refuse_change(&self.site.browser(), ok().session("User", "mallory"));
        assert_eq!(self.cookies(), before);
    }

    /// Redis can be asked again: everybody is who they were, and has what was acknowledged.
    pub(crate) fn recover(&self) {
        let before = self.cookies();
        self.until_alice_gets(200);
        self.assert_all_is_well();
        assert_eq!(self.cookies(), before);
        // And it goes on as before.
        self.site.patch(&self.alice, r#"{"note":"again"}"#);
        assert_eq!(self.site.look(&self.alice).data(), Some(json!({"note": "again"})));
        assert_eq!(self.site.look(&self.site.login("bob")).user(), Some("bob"));
    }

    /// Waits until every worker serves her, or refuses her. Which of them a request meets, the kernel decides: of so
    /// many in a row, none meets only one.
    pub(crate) fn until_alice_gets(&self, status: u16) {
        let mut in_a_row = 0;
        eventually(&format!("every worker answers {status}"), || {
            let answer = within_limit(|| self.alice.copy().send(get("/mirror")).answer());
            in_a_row = if answer.status() == status { in_a_row + 1 } else { 0 };
            (in_a_row == 20).then_some(())
        });
    }

    pub(crate) fn assert_all_is_well(&self) {
        let alice = self.site.look(&self.alice);
        assert_eq!((alice.user(), alice.data()), (Some("alice"), Some(json!({"note": "kept"}))));
        let cart = self.site.look(&self.cart);
        assert_eq!((cart.user(), cart.data()), (None, Some(json!({"cart": ["apple"]}))));
        self.site.look(&self.guest).assert_no_session();
    }

    /// The answer to a request that opens a session which cannot be read.
    pub(crate) fn refuse(&self, browser: &Browser, request: Request) {
        let answer = within_limit(|| browser.send(request).answer());
        assert_refusal(&answer);
        self.site.backend.saw_nothing();
    }

    /// The answer to a request whose change cannot be stored.
    pub(crate) fn refuse_change(&self, browser: &Browser, reply: Reply) {
        let (_, answer) = within_limit(|| self.site.visit(browser, post("/change"), reply));
        assert_refusal(&answer);
    }

    /// What the backend sees of a request that is served, and whose visitor keeps its cookie.
    pub(crate) fn serve(&self, browser: &Browser, request: Request, reply: Reply) -> Seen {
        let (seen, answer) = within_limit(|| self.site.visit(browser, request, reply));
        assert_eq!(answer.status(), 200, "{}", answer.text_head());
        if !seen.is_new() {
            assert_eq!(answer.sid(), None, "{}", answer.text_head());
        }
        seen
    }

    /// The Redis key of this browser's session, which is the only one of its user.
    pub(crate) fn key_of(&self, user: &str) -> Vec<u8> {
        let dump = self.redis.dump();
        let is_theirs = |stored: &&redis::dump::Stored| stored.field("u") == Some(user.as_bytes());
        dump.entries.iter().find(is_theirs).expect("a session of theirs").key.clone()
    }

    /// Redis' own clients are thrown out.
    pub(crate) fn throw_out(&self) {
        assert!(matches!(self.redis.command(&["CLIENT", "KILL", "TYPE", "normal"]), Value::Integer(_)));
    }

    fn cookies(&self) -> [Option<String>; 3] {
        [&self.alice, &self.cart, &self.guest].map(Browser::sid)
    }
}

pub(crate) fn within_limit<T>(work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = work();
    let took = began.elapsed();
    assert!(took < LIMIT, "it took {took:?}");
    done
}

pub(crate) fn assert_refusal(answer: &Answer) {
    assert_eq!(answer.status(), 503, "{}", answer.text_head());
    assert_eq!(answer.set_cookies(), [], "{}", answer.text_head());
    assert!(answer.header("retry-after").is_some(), "{}", answer.text_head());
}
