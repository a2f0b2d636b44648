//! Every counter, summed over workers, as `OpenMetrics` text.

mod family;
mod store;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::Reloads;
use crate::metrics::{BUCKETS, Connections, Counter, Expiries};
use crate::proxy::cookies::jar::Observed;
use crate::proxy::counters::Named;
use crate::proxy::upstream;
use crate::session::KeyRing;
use crate::store::Store;
use crate::{proxy, sessions};
use family::{counter, gauge, sample, single};

/// One worker's counters.
#[derive(Clone, Debug)]
pub struct Worker {
    /// Of its connections.
    pub connections: Arc<Connections>,
    /// Of its requests.
    pub proxy: Arc<proxy::Counters>,
    /// Of its sessions.
    pub sessions: Arc<sessions::Counters>,
}

/// What is counted, and by whom.
#[derive(Debug)]
pub struct Exposition {
    registry: Registry,
}

impl Exposition {
    /// Over these workers. `admin` are the counters of the API's own sessions handle; with the settings comes what
    /// workers share of each upstream.
    pub fn new(
        workers: Vec<Worker>,
        admin: Arc<sessions::Counters>,
        store: Store,
        ring: Arc<KeyRing>,
        (settings, shared): (&proxy::Settings, Arc<[Arc<upstream::Shared>]>),
        (reloads, lost_lines): (Arc<Reloads>, Arc<AtomicU64>),
    ) -> Self {
        let upstreams = settings.upstreams.iter().map(|upstream| upstream.name.clone()).collect();
        let mut registry = Registry::with_prefix("session_gateway");
        let jars = settings.upstreams.iter().filter_map(|of| Some((of.name.clone(), of.jar.as_ref()?)));
        let observed = jars.map(|(upstream, jar)| (upstream, jar.observed.clone())).collect();
        let sum = Sum { workers, admin, store, ring, upstreams, shared, observed, reloads, lost_lines };
        registry.register_collector(Box::new(sum));
        Self { registry }
    }

    /// With these certificates.
    pub fn certificates(&mut self, expiries: Arc<Expiries>) {
        self.registry.register_collector(Box::new(Certificates(expiries)));
    }

    /// The text as it is scraped.
    pub fn text(&self) -> String {
        let mut text = String::new();
        match prometheus_client::encoding::text::encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(fmt::Error) => String::new(),
        }
    }
}

#[derive(Debug)]
struct Certificates(Arc<Expiries>);

impl Collector for Certificates {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (name, help) = ("certificate_expires_timestamp_seconds", "When a certificate expires, by its file");
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (certificate, at) in self.0.get() {
            family.encode_family(&[("certificate", certificate.as_str())])?.encode_gauge(&at)?;
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Sum {
    workers: Vec<Worker>,
    admin: Arc<sessions::Counters>,
    store: Store,
    ring: Arc<KeyRing>,
    /// Those of the configuration.
    upstreams: Vec<String>,
    /// By upstream.
    shared: Arc<[Arc<upstream::Shared>]>,
    observed: Vec<(String, Observed)>,
    reloads: Arc<Reloads>,
    lost_lines: Arc<AtomicU64>,
}

impl Collector for Sum {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.requests(&mut encoder)?;
        self.upstreams(&mut encoder)?;
        self.connections(&mut encoder)?;
        self.tickets(&mut encoder)?;
        self.sessions(&mut encoder)?;
        self.store(&mut encoder)?;
        self.reloads(&mut encoder)
    }
}

impl Sum {
    /// What each worker has counted under each name: also under those that the configuration does not have any more,
    /// for what is counted never goes back.
    fn by_name<T: Default>(&self, of: impl Fn(&proxy::Counters) -> &Named<T>) -> BTreeMap<String, Vec<Arc<T>>> {
        let mut names = BTreeMap::<_, Vec<_>>::new();
        for (name, counters) in self.workers.iter().flat_map(|worker| of(&worker.proxy).all()) {
            names.entry(name).or_default().push(counters);
        }
        names
    }

    fn requests(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut family =
            counter(encoder, "requests", "Requests answered, by route and status; 499: the client left first")?;
        let mut routes = self.by_name(|of| &of.routes);
        routes.insert("none".to_owned(), self.workers.iter().map(|of| Arc::clone(&of.proxy.unrouted)).collect());
        for (route, workers) in &routes {
            let mut sums = BTreeMap::new();
            for (status, count) in workers.iter().flat_map(|of| of.statuses()) {
                *sums.entry(status).or_insert(0_u64) += count;
            }
            for (status, count) in sums {
                sample(&mut family, &[("route", route.as_str()), ("status", &status.to_string())], count)?;
            }
        }
        let help = "Time from a request's head to the last byte of its answer";
        let unit = prometheus_client::registry::Unit::Seconds;
        let mut family = encoder.encode_descriptor("request_duration", help, Some(&unit), MetricType::Histogram)?;
        for (route, workers) in &routes {
            let mut buckets = [0; BUCKETS.len() + 1];
            let mut seconds = 0.0;
            for counters in workers {
                seconds += counters.duration.sum().as_secs_f64();
                for (sum, count) in buckets.iter_mut().zip(counters.duration.counts()) {
                    *sum += count;
                }
            }
            #[expect(clippy::cast_precision_loss, reason = "bounds are ten million microseconds at most")]
            let bounds = BUCKETS.iter().map(|micros| *micros as f64 / 1e6).chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(buckets).collect();
            let count = buckets.iter().map(|(_, count)| count).sum();
            family
                .encode_family(&[("route", route.as_str())])?
                .encode_histogram::<NoLabelSet>(seconds, count, &buckets, None)?;
        }
        let help = "Requests refused because of what they are, by reason";
        let mut family = counter(encoder, "requests_refused", help)?;
        for (reason, sum) in [
            ("headers", self.sum(|worker| &worker.proxy.refused.headers)),
            ("uri", self.sum(|worker| &worker.proxy.refused.uri)),
            ("body", self.sum(|worker| &worker.proxy.refused.body)),
            ("user", self.sum(|worker| &worker.proxy.refused.user)),
            ("cross_origin", self.sum(|worker| &worker.proxy.refused.cross_origin)),
            ("new_sessions", self.sum(|worker| &worker.proxy.refused.births)),
        ] {
            sample(&mut family, &[("reason", reason)], sum)?;
        }
        let reported = self.sum(|worker| &worker.proxy.cross_origin);
        let help = "Requests of other origins' pages that may have changed something in a session, passed on";
        single(encoder, "requests_cross_origin", help, reported)?;
        let spoofed = self.sum(|worker| &worker.proxy.spoofed);
        single(encoder, "client_headers_removed", "Session headers sent by clients, removed", spoofed)
    }

    fn upstreams(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        type Field = fn(&proxy::upstream::Counters) -> &Counter;
        let families: [(&str, &str, Field); 3] = [
            ("upstream_connects", "Connections made to upstreams", |of| &of.connects),
            ("upstream_reuses", "Requests sent on a connection used before", |of| &of.reused),
            ("upstream_failures", "Exchanges that ended without an answer", |of| &of.failures),
        ];
        let upstreams = self.by_name(|of| &of.upstreams);
        for (name, help, field) in families {
            let mut family = counter(encoder, name, help)?;
            for (upstream, workers) in &upstreams {
                let sum = workers.iter().map(|of| field(of).get()).sum();
                sample(&mut family, &[("upstream", upstream.as_str())], sum)?;
            }
        }
        let help = "Whether requests go to a server: not while it fails its health checks, or has failed too often";
        let mut family = encoder.encode_descriptor("upstream_server_up", help, None, MetricType::Gauge)?;
        for (upstream, shared) in self.upstreams.iter().zip(&*self.shared) {
            for (server, up) in shared.servers() {
                let labels: &[(&str, &str)] = &[("upstream", upstream.as_str()), ("server", server)];
                family.encode_family(&labels)?.encode_gauge(&u64::from(up))?;
            }
        }
        let outcomes: [(&str, Field); 6] = [
            ("captured", |of| &of.jar.captured),
            ("adopted", |of| &of.jar.adopted),
            ("over_limit", |of| &of.jar.over_limit),
            ("ignored", |of| &of.jar.ignored),
            ("homeless", |of| &of.jar.homeless),
            ("refused", |of| &of.jar.refused),
        ];
        let help = "Cookies kept from browsers by what became of them; refused: sent by clients all the same";
        let mut family = counter(encoder, "jar_cookies", help)?;
        for (upstream, workers) in &upstreams {
            for (outcome, field) in outcomes {
                let sum = workers.iter().map(|of| field(of).get()).sum();
                sample(&mut family, &[("upstream", upstream.as_str()), ("outcome", outcome)], sum)?;
            }
        }
        let help = "Cookies that upstreams set, as a jar that only observes has seen them, and what enforce would do";
        let mut family = counter(encoder, "jar_observed", help)?;
        let word = |is: bool| if is { "true" } else { "false" };
        for (upstream, observed) in &self.observed {
            for (seen, count) in observed.counts() {
                let labels = [
                    ("upstream", upstream.as_str()),
                    ("cookie", &*seen.cookie),
                    ("enforce", seen.verdict.word()),
                    ("script_readable", word(seen.is_readable)),
                    ("secure", word(seen.is_secure)),
                ];
                sample(&mut family, &labels, count)?;
            }
        }
        let mut family =
            counter(encoder, "upstream_headers_refused", "Session headers of upstreams not followed, by reason")?;
        for (reason, sum) in [
            ("untrusted", self.sum(|worker| &worker.proxy.untrusted)),
            ("status", self.sum(|worker| &worker.proxy.on_failure)),
            ("malformed", self.sum(|worker| &worker.proxy.malformed)),
        ] {
            sample(&mut family, &[("reason", reason)], sum)?;
        }
        let shadowed = self.sum(|worker| &worker.proxy.shadowed);
        let help = "Cookies set by upstreams under the gateway's name, or under one that stands for another, removed";
        single(encoder, "upstream_cookies_removed", help, shadowed)?;
        let unprefixed = self.sum(|worker| &worker.proxy.unprefixed);
        let help = "Cookies of clients without the prefix that the upstream's own have in browsers, removed";
        single(encoder, "client_cookies_removed", help, unprefixed)
    }

    fn connections(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        type Field = fn(&Connections) -> &Counter;
        let sum = |field: Field| -> u64 { self.workers.iter().map(|worker| field(&worker.connections).get()).sum() };
        let families: [(&str, &str, Field); 7] = [
            ("connections_accepted", "Connections accepted", |of| &of.accepted),
            ("connections_waited", "Connections that waited for a place below the limit", |of| &of.at_limit),
            ("connections_timed_out", "Connections ended by a timeout", |of| &of.timeouts),
            ("connections_rested", "Times that an idle HTTP/1.1 connection gave up its buffers", |of| &of.rests),
            ("accept_errors", "Times that no connection could be accepted", |of| &of.accept_errors),
            ("proxy_headers_refused", "Connections without a valid PROXY protocol header", |of| {
                &of.proxy_headers_refused
            }),
            ("tls_handshakes_failed", "TLS handshakes that failed or took too long", |of| &of.handshakes_failed),
        ];
        for (name, help, field) in families {
            single(encoder, name, help, sum(field))?;
        }
        gauge(encoder, "connections_open", "Connections open now", sum(|of| &of.open))
    }

    fn tickets(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut family =
            counter(encoder, "tickets", "Cookie values of our name by outcome; valid ones by the id of their key")?;
        // Keys that are gone are told of as well, if there was any ticket of theirs.
        let ids: Vec<_> = (0..self.ring.len()).map(|index| self.ring.id(index)).collect();
        for id in 0..=u8::MAX {
            let sum: u64 = self.workers.iter().map(|worker| worker.sessions.valid.of(id).get()).sum();
            if sum == 0 && !ids.contains(&id) {
                continue;
            }
            sample(&mut family, &[("outcome", "valid"), ("key", &format!("{id:02x}"))], sum)?;
        }
        for (outcome, sum) in [
            ("malformed", self.sum(|worker| &worker.sessions.malformed)),
            ("unknown_key", self.sum(|worker| &worker.sessions.unknown_key)),
            ("forged", self.sum(|worker| &worker.sessions.forged)),
            ("outlived", self.sum(|worker| &worker.sessions.outlived)),
        ] {
            sample(&mut family, &[("outcome", outcome), ("key", "")], sum)?;
        }
        Ok(())
    }

    fn sessions(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        type Field = fn(&sessions::Counters) -> &Counter;
        let sum = |field: Field| -> u64 {
            let workers = self.workers.iter().map(|worker| field(&worker.sessions).get());
            workers.chain([field(&self.admin).get()]).sum()
        };
        let mut family = counter(encoder, "sessions_born", "Sessions begun, by reason")?;
        sample(&mut family, &[("reason", "write")], sum(|of| &of.born))?;
        sample(&mut family, &[("reason", "login")], sum(|of| &of.logged_in))?;
        let mut family = counter(encoder, "sessions_ended", "Sessions gone, by reason")?;
        for (reason, sum) in [
            ("logout", sum(|of| &of.logged_out)),
            ("revoked", sum(|of| &of.revoked)),
            ("over_limit", sum(|of| &of.over_limit)),
            ("emptied", sum(|of| &of.emptied)),
            ("superseded", sum(|of| &of.superseded)),
        ] {
            sample(&mut family, &[("reason", reason)], sum)?;
        }
        if let Store::Memory(memory) = &self.store {
            let stats = memory.stats();
            sample(&mut family, &[("reason", "expired")], stats.expired)?;
            sample(&mut family, &[("reason", "evicted")], stats.evicted)?;
        }
        let mut family = counter(encoder, "tickets_renewed", "Tickets replaced within a session, by reason")?;
        sample(&mut family, &[("reason", "age")], sum(|of| &of.renewed))?;
        sample(&mut family, &[("reason", "request")], sum(|of| &of.renewed_on_request))?;
        let mut family = counter(encoder, "changes_lost", "Changes asked for and not made, by reason")?;
        sample(&mut family, &[("reason", "dead_ticket")], sum(|of| &of.dropped))?;
        sample(&mut family, &[("reason", "failed")], sum(|of| &of.failed))
    }

    fn store(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Requests with a session's ticket while the store could not be asked, by what became of them";
        let mut family = counter(encoder, "requests_without_store", help)?;
        sample(&mut family, &[("outcome", "rejected")], self.sum(|worker| &worker.proxy.rejected))?;
        sample(&mut family, &[("outcome", "anonymous")], self.sum(|worker| &worker.proxy.served_anonymous))?;
        sample(&mut family, &[("outcome", "stale")], self.sum(|worker| &worker.proxy.served_stale))?;
        store::write(encoder, &self.store)?;
        single(
            encoder,
            "access_lines_lost",
            "Access lines dropped because they could not be written in time",
            self.lost_lines.load(Ordering::Relaxed),
        )
    }

    fn reloads(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let told = self.reloads.told();
        let help = "Whether the configuration was last read without a mistake";
        gauge(encoder, "config_last_reload_successful", help, u64::from(told.is_good))?;
        let help = "When the configuration in use was read";
        gauge(encoder, "config_last_reload_success_timestamp_seconds", help, told.good_at)?;
        let mut family = counter(encoder, "config_reloads", "Times that the configuration was read again, by outcome")?;
        sample(&mut family, &[("outcome", "success")], told.succeeded)?;
        sample(&mut family, &[("outcome", "failure")], told.failed)
    }

    fn sum(&self, field: impl Fn(&Worker) -> &Counter) -> u64 {
        self.workers.iter().map(|worker| field(worker).get()).sum()
    }
}
