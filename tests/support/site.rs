//! A gateway in this process with everything it needs: keys, a certificate, a backend, and a clock that stands still.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use session_gateway::gateway::Gateway;
use session_gateway::proxy::Clock;
use session_gateway::session::UnixTime;
use session_gateway::{config, tls};
use tempfile::TempDir;

use super::backend::{Backend, Exchange, Reply, ok};
use super::browser::{Answer, Browser, Door, Request, get, post};
use super::http2::Http2;

/// Our cookie's name, unless a test chooses another.
pub const COOKIE: &str = "__Host-sid";

/// What the clock shows when a gateway starts.
pub const START: u64 = 1_800_000_000;

/// A gateway to be: the configuration of the design, with what the test changes.
pub struct Setup {
    cookie: String,
    keys: Vec<u8>,
    listen: String,
    session: String,
    anonymous: String,
    persistent: String,
    store: String,
    upstream: String,
    trust: String,
    upstreams: String,
    routes: Option<String>,
    admin: String,
    servers: Vec<String>,
}

impl Setup {
    fn new() -> Self {
        Self {
            cookie: COOKIE.to_owned(),
            keys: vec![1],
            listen: String::new(),
            session: String::new(),
            anonymous: String::new(),
            persistent: String::new(),
            store: String::new(),
            upstream: String::new(),
            trust: "full".to_owned(),
            upstreams: String::new(),
            routes: None,
            admin: String::new(),
            servers: Vec::new(),
        }
    }

    /// Which keys, by number; the first signs. The same number is the same key in every gateway.
    pub fn keys(mut self, keys: &[u8]) -> Self {
        self.keys = keys.to_vec();
        self
    }

    /// Another name for our cookie.
    pub fn cookie(mut self, name: &str) -> Self {
        name.clone_into(&mut self.cookie);
        self
    }

    /// Lines for `[listen]`.
    pub fn listen(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.listen);
        self
    }

    /// Lines for `[session]`.
    pub fn session(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.session);
        self
    }

    /// Lines for `[session.anonymous]`.
    pub fn anonymous(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.anonymous);
        self
    }

    /// Lines for `[session.persistent]`.
    pub fn persistent(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.persistent);
        self
    }

    /// Lines for `[store]`.
    pub fn store(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.store);
        self
    }

    /// Lines for `[upstream.app]`.
    pub fn upstream(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.upstream);
        self
    }

    /// How far the backend is trusted; `full` unless a test says otherwise.
    pub fn trust(mut self, trust: &str) -> Self {
        trust.clone_into(&mut self.trust);
        self
    }

    /// The servers of `[upstream.app]`, instead of the site's own backend.
    pub fn servers(mut self, servers: &[&str]) -> Self {
        self.servers = servers.iter().map(|server| (*server).to_owned()).collect();
        self
    }

    /// One more upstream.
    pub fn another(mut self, name: &str, backend: &Backend, lines: &str) -> Self {
        let _ = writeln!(self.upstreams, "[upstream.{name}]\nservers = [\"{}\"]\n{lines}", backend.server());
        self
    }

    /// The routes, instead of one that sends everything to the site's backend.
    pub fn routes(mut self, routes: &[&str]) -> Self {
        self.routes = Some(routes.iter().fold(String::new(), |all, route| all + "[[route]]\n" + route + "\n"));
        self
    }

    /// Lines for `[admin]`.
    pub fn admin(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.admin);
        self
    }

    /// The configuration, with its key files and certificate made in `dir`.
    pub fn write(&self, dir: &Path, backend: &Backend) -> String {
        let mut names = Vec::new();
        for key in &self.keys {
            let name = format!("{key}.key");
            // 32 bytes and more, nothing in them that a careful check could call text or too regular.
            let bytes: Vec<u8> =
                (0..48_u8).map(|i| i.wrapping_mul(167).wrapping_add(key.wrapping_mul(91)) ^ 0xa5).collect();
            fs::write(dir.join(&name), bytes).expect("a writable directory");
            fs::set_permissions(dir.join(&name), fs::Permissions::from_mode(0o600)).expect("a file of ours");
            names.push(format!("{name:?}"));
        }
        let servers = if self.servers.is_empty() { vec![backend.server().to_owned()] } else { self.servers.clone() };
        let servers: Vec<String> = servers.iter().map(|server| format!("{server:?}")).collect();
        let Self { cookie, listen, session, anonymous, persistent, store, upstream, trust, upstreams, admin, .. } =
            self;
        let workers = if listen.contains("workers") { "" } else { "workers = 2\n" };
        let redirect = if listen.contains("redirect") { "" } else { "redirect = false\n" };
        let routes = self.routes.clone().unwrap_or_else(|| "[[route]]\npath = \"/\"\nupstream = \"app\"\n".to_owned());
        let secure = if cookie.starts_with("__") { "" } else { "secure = false\n" };
        format!(
            "[listen]\nhttp = \"127.0.0.1:0\"\nhttps = \"127.0.0.1:0\"\n{redirect}{workers}{listen}\n\
             [tls]\ncertificate = \"dev.crt\"\nprivate_key = \"dev.key\"\n\
             [session]\ncookie = {cookie:?}\n{secure}keys = [{keys}]\n{session}\n\
             [session.anonymous]\n{anonymous}\n[session.persistent]\n{persistent}\n\
             [store]\n{store}\n\
             [upstream.app]\nservers = [{servers}]\ntrust = {trust:?}\n{upstream}\n{upstreams}\n\
             {routes}\n[admin]\nlisten = \"127.0.0.1:0\"\n{admin}\n[log]\naccess = \"off\"\n",
            keys = names.join(", "),
            servers = servers.join(", "),
        )
    }

    /// Starts the gateway, with a backend of its own.
    pub fn start(self) -> Site {
        self.start_with(Backend::start())
    }

    /// Starts the gateway in front of this backend.
    pub fn start_with(self, backend: Backend) -> Site {
        let dir = tempfile::tempdir().expect("a temporary directory");
        tls::dev::development(dir.path()).expect("a development certificate");
        let text = self.write(dir.path(), &backend);
        let config = match config::parse(&text, Path::new("gateway.toml"), dir.path()) {
            Ok(config) => config,
            Err(mistakes) => panic!("the test's configuration is wrong:\n{mistakes}\n{text}"),
        };
        let clock = Clock::manual(UnixTime(START));
        let gateway =
            Gateway::start(&config, clock.clone()).unwrap_or_else(|e| panic!("the gateway did not start: {e:#}"));
        let roots = roots(&dir.path().join("dev.crt"));
        Site { backend, clock, gateway: Some(gateway), dir, tls: Arc::new(roots) }
    }
}

fn roots(certificate: &Path) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).expect("a PEM certificate")).expect("a usable root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    versions.expect("protocol versions").with_root_certificates(roots).with_no_client_auth()
}

/// A running gateway with its backend and its clock. It stops when dropped.
pub struct Site {
    pub backend: Backend,
    pub clock: Clock,
    gateway: Option<Gateway>,
    dir: TempDir,
    tls: Arc<ClientConfig>,
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            gateway.stop();
        }
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

    fn gateway(&self) -> &Gateway {
        self.gateway.as_ref().expect("it runs until the site is dropped")
    }

    /// Begins to stop the gateway, as a signal would; joined, it has stopped.
    pub fn stop(&mut self) -> std::thread::JoinHandle<()> {
        let gateway = self.gateway.take().expect("it is stopped once");
        std::thread::spawn(move || gateway.stop())
    }

    /// The directory of its configuration.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where TLS is served.
    pub fn https(&self) -> Door {
        Door { address: self.gateway().https.expect("https is configured"), tls: Some(Arc::clone(&self.tls)) }
    }

    /// Where clear text is served.
    pub fn http(&self) -> Door {
        Door { address: self.gateway().http.expect("http is configured"), tls: None }
    }

    /// A new visitor, over TLS.
    pub fn browser(&self) -> Browser {
        Browser::new(self.https(), "localhost")
    }

    /// A new visitor, in clear text.
    pub fn plain(&self) -> Browser {
        Browser::new(self.http(), "localhost")
    }

    /// A new visitor of `host`, over TLS.
    pub fn browser_of(&self, host: &str) -> Browser {
        Browser::new(self.https(), host)
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
        let address = self.gateway().admin.expect("an admin address is configured");
        Browser::new(Door { address, tls: None }, "localhost")
    }

    /// The sum of all samples of a metric that carry these labels.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.metric_if_any(name, labels).unwrap_or_else(|| panic!("no sample of {name} with {labels:?}"))
    }

    /// Like [`Site::metric`], where none may have been counted yet.
    pub fn metric_if_any(&self, name: &str, labels: &[(&str, &str)]) -> Option<u64> {
        let answer = self.admin(get("/metrics"));
        assert_eq!(answer.status(), 200);
        let (mut sum, mut found) = (0.0, false);
        for line in answer.text().lines().filter(|line| !line.starts_with('#')) {
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
