//! A gateway to be: the configuration of the design, with what a test changes, written into a folder of its own.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::backend::Backend;
use super::mirror::Mirror;
use super::redis::Redis;
use super::site::{COOKIE, Site};

/// A gateway to be: the configuration of the design, with what the test changes.
pub struct Setup {
    cookie: String,
    http: String,
    keys: Vec<u8>,
    listen: String,
    tls: String,
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
    pub(super) gateways: usize,
    redis: Option<Redis>,
}

impl Setup {
    pub(super) fn new() -> Self {
        Self {
            cookie: COOKIE.to_owned(),
            http: "127.0.0.1:0".to_owned(),
            keys: vec![1],
            listen: String::new(),
            tls: String::new(),
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
            gateways: 1,
            redis: None,
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

    /// Another address for clear text.
    pub fn http(mut self, address: &str) -> Self {
        address.clone_into(&mut self.http);
        self
    }

    /// Lines for `[listen]`.
    pub fn listen(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.listen);
        self
    }

    /// Lines for `[tls]`.
    pub fn tls(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.tls);
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

    /// Lines for `[store]`, of kind `memory` unless they name another.
    pub fn store(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.store);
        self
    }

    /// The sessions are in this server, which is the site's from now on.
    pub fn redis(self, redis: Redis, lines: &str) -> Self {
        let url = redis.url();
        Self { redis: Some(redis), ..self.redis_at(&url, lines) }
    }

    /// The sessions are in the server that this URL leads to.
    pub fn redis_at(self, url: &str, lines: &str) -> Self {
        self.store(&format!("kind = \"redis\"\nurl = {url:?}\n{lines}"))
    }

    /// So many gateways share store, keys, backend and clock. Each request goes to the next of them.
    pub fn gateways(mut self, count: usize) -> Self {
        self.gateways = count;
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
    pub fn another(self, name: &str, backend: &Backend, lines: &str) -> Self {
        self.another_at(name, backend.server(), lines)
    }

    /// One more upstream, of whatever kind.
    pub fn another_at(mut self, name: &str, server: &str, lines: &str) -> Self {
        let _ = writeln!(self.upstreams, "[upstream.{name}]\nservers = [\"{server}\"]\n{lines}");
        self
    }

    /// With a mirror that answers requests below `/mirror`: for those of which it is not sure that they are served.
    /// What is sent elsewhere still goes to the site's backend. `lines` are added to both routes.
    pub fn mirror(self, lines: &str) -> Self {
        let route = |path: &str, upstream: &str| format!("path = \"{path}\"\nupstream = \"{upstream}\"\n{lines}");
        let (app, mirror) = (route("/", "app"), route("/mirror", "mirror"));
        self.another_at("mirror", Mirror::start().server(), "trust = \"full\"").routes(&[&app, &mirror])
    }

    /// The routes, instead of one that sends everything to the site's backend.
    pub fn routes(mut self, routes: &[&str]) -> Self {
        self.routes = Some(routes.iter().fold(String::new(), |all, route| all + "[[route]]\n" + route + "\n"));
        self
    }

    /// One more route, where there are any.
    pub fn route(mut self, lines: &str) -> Self {
        self.routes.as_mut().expect("routes of the test's own").extend(["[[route]]\n", lines, "\n"]);
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
        let Self {
            cookie,
            http,
            listen,
            tls,
            session,
            anonymous,
            persistent,
            store,
            upstream,
            trust,
            upstreams,
            admin,
            ..
        } = self;
        let workers = if listen.contains("workers") { "" } else { "workers = 2\n" };
        let redirect = if listen.contains("redirect") { "" } else { "redirect = false\n" };
        let routes = self.routes.clone().unwrap_or_else(|| "[[route]]\npath = \"/\"\nupstream = \"app\"\n".to_owned());
        let secure = if cookie.starts_with("__") { "" } else { "secure = false\n" };
        format!(
            "[listen]\nhttp = {http:?}\nhttps = \"127.0.0.1:0\"\n{redirect}{workers}{listen}\n\
             [tls]\ncertificate = \"dev.crt\"\nprivate_key = \"dev.key\"\n{tls}\n\
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
    pub fn start_with(mut self, backend: Backend) -> Site {
        let redis = self.redis.take();
        Site::start(&self, backend, redis)
    }
}
