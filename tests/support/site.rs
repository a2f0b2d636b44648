//! A gateway in this process with everything it needs: keys, a certificate, a backend, and a clock that stands still.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use session_gateway::config;
use session_gateway::config::Config;
use session_gateway::gateway::{Files, Gateway};
use session_gateway::proxy::Clock;
use session_gateway::session::UnixTime;
use session_gateway::tls::{self, Reloadable};
use tempfile::TempDir;

use super::backend::{Backend, Exchange, Reply, ok};
use super::browser::{Answer, Browser, Door, Doors, Request, get, post};
use super::http2::Http2;
use super::redis::{Redis, dump::Stored};
use super::setup::Setup;

/// Our cookie's name, unless a test chooses another.
pub const COOKIE: &str = "__Host-sid";

/// What the clock shows when a gateway starts.
pub const START: u64 = 1_800_000_000;

pub fn roots(certificate: &Path) -> ClientConfig {
    roots_in(certificate, rustls::DEFAULT_VERSIONS)
}

/// The same, for certain versions of TLS.
pub fn roots_in(certificate: &Path, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).expect("a PEM certificate")).expect("a usable root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions);
    config.expect("protocol versions").with_root_certificates(roots).with_no_client_auth()
}

/// A running gateway, or several, with backend and clock. It stops when dropped.
pub struct Site {
    pub backend: Backend,
    pub clock: Clock,
    gateways: Vec<Gateway>,
    /// The way to each of them, over TLS and in clear text.
    https: Rc<Doors>,
    http: Rc<Doors>,
    admin: Rc<Doors>,
    config: Config,
    dir: TempDir,
    redis: Option<Redis>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.gateways.drain(..).for_each(Gateway::stop);
    }
}

impl Site {
    /// One with the design's configuration.
    pub fn new() -> Self {
        Setup::new().start()
    }

    /// One that is about to differ.
    pub fn build() -> Setup {
        Setup::new()
    }

    pub(super) fn start(setup: &Setup, backend: Backend, redis: Option<Redis>) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        tls::dev::development(dir.path()).expect("a development certificate");
        let text = setup.write(dir.path(), &backend);
        let config = match config::parse(&text, Path::new("gateway.toml"), dir.path()) {
            Ok(config) => config,
            Err(mistakes) => panic!("the test's configuration is wrong:\n{mistakes}\n{text}"),
        };
        let clock = Clock::manual(UnixTime(START));
        let gateways: Vec<_> = (0..setup.gateways).map(|_| run(&config, &clock)).collect();
        let tls = Arc::new(roots(&dir.path().join("dev.crt")));
        let doors = |door: &dyn Fn(&Gateway) -> Door| Rc::new(Doors::new(gateways.iter().map(door).collect()));
        let https = doors(&|gateway| https_of(gateway, Arc::clone(&tls)));
        let (http, admin) = (doors(&http_of), doors(&admin_of));
        Self { backend, clock, gateways, https, http, admin, config, dir, redis }
    }

    /// Begins to stop the gateway, as a signal would; joined, it has stopped.
    pub fn stop(&mut self) -> std::thread::JoinHandle<()> {
        let gateway = self.gateways.pop().expect("it is stopped once");
        std::thread::spawn(move || gateway.stop())
    }

    /// Stops this gateway and starts another in its place, with the same configuration.
    pub fn replace_gateway(&mut self, index: usize) {
        let new = run(&self.config, &self.clock);
        let tls = self.https.get(index).tls.expect("https is served over TLS");
        self.https.set(index, https_of(&new, tls));
        self.http.set(index, http_of(&new));
        self.admin.set(index, admin_of(&new));
        std::mem::replace(&mut self.gateways[index], new).stop();
    }

    /// Has every gateway go by another configuration.
    pub fn reload(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
        for gateway in &mut self.gateways {
            let files = Files::read(&self.config);
            gateway.reload(files.map(|files| (self.config.clone(), files))).expect("nothing that needs a restart");
        }
    }

    /// The server that keeps the sessions.
    pub fn redis(&mut self) -> &mut Redis {
        self.redis.as_mut().expect("the sessions are in a Redis of the site's own")
    }

    /// How many sessions are stored and live.
    pub fn live_sessions(&self) -> usize {
        match &self.redis {
            None => usize::try_from(self.metric("session_gateway_sessions_live", &[])).expect("a small count"),
            Some(redis) => {
                let is_live = |entry: &Stored| entry.field("m").is_some_and(|meta| meta.starts_with(b"1 live "));
                redis.dump().entries.iter().filter(|entry| is_live(entry)).count()
            }
        }
    }

    /// What the first gateway serves TLS with.
    pub fn tls(&self) -> &Reloadable {
        self.gateways[0].tls.as_deref().expect("https is configured")
    }

    /// The directory of its configuration.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where TLS is served.
    pub fn https(&self) -> Door {
        self.https.next()
    }

    /// Where clear text is served.
    pub fn http(&self) -> Door {
        self.http.next()
    }

    /// The ways to all gateways, in clear text, for a visitor on another thread.
    pub fn doors(&self) -> Doors {
        (*self.http).clone()
    }

    /// A new visitor, over TLS. Where there are several gateways, each of its requests goes to the next.
    pub fn browser(&self) -> Browser {
        self.browser_of("localhost")
    }

    /// A new visitor, in clear text.
    pub fn plain(&self) -> Browser {
        Browser::among(Rc::clone(&self.http), "localhost")
    }

    /// A new visitor of `host`, over TLS.
    pub fn browser_of(&self, host: &str) -> Browser {
        Browser::among(Rc::clone(&self.https), host)
    }

    /// The same visitor, who from now on meets this gateway alone.
    pub fn at(&self, index: usize, browser: &Browser) -> Browser {
        browser.through(self.https.get(index))
    }

    pub fn http2(&self) -> Http2 {
        Http2::open(&self.https())
    }

    /// One whole exchange: the browser asks, the backend answers `reply`. What the backend saw, and the answer.
    pub fn visit(&self, browser: &Browser, request: Request, reply: Reply) -> (Seen, Answer) {
        let pending = browser.send(request);
        let exchange = self.backend.next();
        let seen = Seen { head: exchange.head.clone() };
        exchange.reply(reply);
        (seen, pending.answer())
    }

    /// A visit that asks nothing of the session.
    pub fn look(&self, browser: &Browser) -> Seen {
        self.visit(browser, get("/look"), ok()).0
    }

    /// A visitor who has been here: a guest.
    pub fn guest(&self) -> Browser {
        let browser = self.browser();
        self.look(&browser);
        browser
    }

    /// A visitor without a user, for whom the backend keeps `data`.
    pub fn keep(&self, data: &str) -> Browser {
        let browser = self.guest();
        self.patch(&browser, data);
        browser
    }

    /// A visitor who has logged in as `user`.
    pub fn login(&self, user: &str) -> Browser {
        let browser = self.guest();
        self.login_as(&browser, user);
        browser
    }

    /// Logs this browser in.
    pub fn login_as(&self, browser: &Browser, user: &str) -> Answer {
        let (_, answer) = self.visit(browser, post("/login"), ok().session("User", user));
        assert_eq!(answer.status(), 200, "a login should succeed: {}", answer.text_head());
        answer
    }

    /// Patches this browser's session.
    pub fn patch(&self, browser: &Browser, patch: &str) -> Answer {
        let (_, answer) = self.visit(browser, post("/patch"), ok().session("Patch", patch));
        assert_eq!(answer.status(), 200, "a patch should succeed: {}", answer.text_head());
        answer
    }

    /// Logs this browser out.
    pub fn logout(&self, browser: &Browser) -> Answer {
        let (_, answer) = self.visit(browser, post("/logout"), ok().session("End", "this"));
        assert_eq!(answer.status(), 200, "a logout should succeed: {}", answer.text_head());
        answer
    }

    /// Asks the admin address.
    pub fn admin(&self, request: Request) -> Answer {
        self.admin_browser().send(request).answer()
    }

    /// Someone at the admin address.
    pub fn admin_browser(&self) -> Browser {
        Browser::among(Rc::clone(&self.admin), "localhost")
    }

    /// The sum of all samples of a metric that carry these labels.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.metric_if_any(name, labels).unwrap_or_else(|| panic!("no sample of {name} with {labels:?}"))
    }

    /// Like [`Site::metric`], where none may have been counted yet.
    pub fn metric_if_any(&self, name: &str, labels: &[(&str, &str)]) -> Option<u64> {
        let (mut sum, mut found) = (0.0, false);
        let mut text = String::new();
        for _ in &self.gateways {
            let answer = self.admin(get("/metrics"));
            assert_eq!(answer.status(), 200);
            text += &answer.text();
        }
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (sample, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line:?}"));
            let (family, set) = sample.split_once('{').unwrap_or((sample, ""));
            if family == name && labels.iter().all(|(label, value)| set.contains(&format!("{label}=\"{value}\""))) {
                sum += value.parse::<f64>().unwrap_or_else(|_| panic!("no number: {line:?}"));
                found = true;
            }
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small counts")]
        found.then_some(sum as u64)
    }

    /// Turns the clock forward by `seconds`.
    pub fn wait(&self, seconds: u64) {
        self.clock.advance(seconds);
    }

    /// What the clock shows.
    pub fn now(&self) -> u64 {
        self.clock.now().0
    }
}

fn run(config: &Config, clock: &Clock) -> Gateway {
    Gateway::start(config, clock.clone()).unwrap_or_else(|error| panic!("the gateway did not start: {error:#}"))
}

fn https_of(gateway: &Gateway, tls: Arc<ClientConfig>) -> Door {
    Door { address: gateway.https.expect("https is configured"), tls: Some(tls) }
}

fn http_of(gateway: &Gateway) -> Door {
    Door { address: gateway.http.expect("http is configured"), tls: None }
}

fn admin_of(gateway: &Gateway) -> Door {
    Door { address: gateway.admin.expect("an admin address is configured"), tls: None }
}

/// A request as the backend saw it, once answered.
#[derive(Clone, Debug)]
pub struct Seen {
    pub head: super::wire::Head,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.fields.one(name)
    }

    /// The value of `X-Session-{name}`.
    pub fn session(&self, name: &str) -> Option<&str> {
        self.header(&format!("X-Session-{name}"))
    }

    /// The public id, which is there on every request of a route with sessions.
    pub fn id(&self) -> &str {
        self.session("Id").expect("every request has an X-Session-Id")
    }

    pub fn user(&self) -> Option<&str> {
        self.session("User")
    }

    /// The session's data, parsed.
    pub fn data(&self) -> Option<serde_json::Value> {
        self.session("Data").map(|data| serde_json::from_str(data).expect("X-Session-Data is JSON"))
    }

    pub fn is_new(&self) -> bool {
        match self.session("New") {
            None => false,
            Some("true") => true,
            Some(other) => panic!("X-Session-New is `true` or absent, not {other:?}"),
        }
    }

    /// Nothing but an id: this visitor has no session.
    pub fn assert_no_session(&self) {
        for name in ["User", "Data", "Data-Omitted", "Created", "Expires"] {
            assert_eq!(self.session(name), None, "X-Session-{name} for a visitor without a session");
        }
    }

    /// A dead or foreign ticket: no session, and a visitor as new as any.
    pub fn assert_stranger(&self) {
        self.assert_no_session();
        assert!(self.is_new(), "a visitor without a live ticket is new: {:?}", self.head);
    }

    pub fn names(&self) -> Vec<&str> {
        self.head.fields.aliases_of("X-Session-")
    }
}
