//! Everything about cookies: ours, the browser's, the backend's.

use std::time::Duration;

use http::HeaderMap;
use http::header::{HeaderValue, SET_COOKIE};

use super::lines;
use crate::metrics::Counter;
use crate::proxy::cookies::jar::Pattern;
use crate::proxy::cookies::prefix::Prefix;
use crate::proxy::cookies::rules::{Rule, Rules};
use crate::proxy::cookies::{self, OurCookie, SameSite};
use crate::session::jar::retrieval::{Initiator, Request};
use crate::session::jar::{self, Changes, Jar, set_cookie as read};
use crate::session::{KeyRing, Kind, Secret, Ticket, UnixTime};

const NOW: UnixTime = UnixTime(1_800_000_000);

/// A ticket is ours or none. The first byte says how many bytes of a good one are changed, each by two more; what is
/// behind them is a ticket of the client's own making.
///
/// # Panics
/// Where one that was not signed is taken for a ticket.
pub fn ticket(data: &[u8]) {
    let ring = KeyRing::new(&[[7; 32], [9; 32]], "sid").expect("two good keys");
    let good = Ticket { kind: Kind::Session, issued_at: NOW, secret: Secret::random() }.sign(&ring);
    assert!(Ticket::verify(good.as_bytes(), &ring).is_ok_and(|found| found.key == 0 && found.ticket.issued_at == NOW));
    let [changes, rest @ ..] = data else { return };
    let (changes, own) = rest.split_at((usize::from(*changes) * 2).min(rest.len()));
    assert!(Ticket::verify(own, &ring).is_err(), "a ticket that nobody signed");
    let mut bad = *good.as_bytes();
    for change in changes.chunks_exact(2) {
        let at = usize::from(change[0]) % bad.len();
        bad[at] = change[1];
    }
    assert_eq!(Ticket::verify(&bad, &ring).is_ok(), bad == *good.as_bytes(), "a ticket is what was signed");
}

fn ours() -> OurCookie {
    let (name, path) = ("sid".to_owned(), "/".to_owned());
    OurCookie::new(&cookies::Settings { name, secure: true, same_site: SameSite::Lax, domain: None, path })
}

/// `Cookie` fields: none of ours goes upstream, and none of another's is lost.
///
/// # Panics
/// Where a backend could read a cookie of ours in what is left.
pub fn cookie(data: &[u8]) {
    let ours = ours();
    let fields = || lines(data);
    let left: Vec<_> = ours.others(fields()).collect();
    let values = ours.values(fields()).count();
    assert_eq!(values > 0, fields().any(|field| ours.is_in(field)));
    let joined = left.join(&b"; "[..]);
    assert!(!ours.is_in(&joined), "a cookie of ours in what goes upstream");
    // As a backend reads it that is as lenient as they come.
    for pair in joined.split(|byte| *byte == b';').map(<[u8]>::trim_ascii) {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        assert!(name.trim_ascii() != b"sid", "{}", joined.escape_ascii());
    }
    let pairs = fields().flat_map(|field| field.split(|byte| *byte == b';'));
    let pairs = pairs.filter(|pair| !pair.trim_ascii().is_empty()).count();
    assert_eq!(left.iter().filter(|pair| !pair.trim_ascii().is_empty()).count() + values, pairs);
}

/// `Set-Cookie` lines under rules: the name stays, what a rule says holds, and following it twice changes nothing more.
///
/// # Panics
/// Where one of these does not hold.
pub fn set_cookie(data: &[u8]) {
    let rule = Rule {
        secure: Some(true),
        http_only: Some(false),
        same_site: Some(SameSite::Strict),
        domain: Some(String::new()),
        path: Some("/app".to_owned()),
        ..Rule::default()
    };
    let prefixed = Rule { prefix: Some(Prefix::Host), ..Rule::default() };
    let rules = Rules(vec![
        (Pattern::Exact("__Host-".into()), prefixed.clone()),
        (Pattern::Around("p".into(), "".into()), prefixed),
        (Pattern::Exact("b".into()), Rule { block: true, ..Rule::default() }),
        (Pattern::Around("".into(), "".into()), rule),
    ]);
    let mut headers = HeaderMap::new();
    let written: Vec<_> = lines(data).filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
    for line in &written {
        headers.append(SET_COOKIE, line.clone());
    }
    let taken = Counter::default();
    rules.apply(&mut headers, &taken);
    for edited in headers.get_all(SET_COOKIE) {
        let name = read::name(edited.as_bytes());
        assert!(name != b"b", "one that is blocked");
        let Ok(cookie) = read::parse(edited.as_bytes()) else { continue };
        let was_prefixed = |bare: &&[u8]| bare.starts_with(b"p") || *bare == b"__Host-";
        if let Some(bare) = name.strip_prefix(b"__Host-").filter(was_prefixed) {
            assert!(cookie.secure && cookie.domain.is_none_or(<[u8]>::is_empty) && cookie.path == Some(b"/"));
            assert!(written.iter().any(|line| read::name(line.as_bytes()) == bare));
            continue;
        }
        assert!(cookie.secure && !cookie.http_only && cookie.domain.is_none() && cookie.path == Some(b"/app"));
        assert_eq!(cookie.same_site, Some(jar::SameSite::Strict));
        let mut twice = HeaderMap::from_iter([(SET_COOKIE, edited.clone())]);
        rules.apply(&mut twice, &taken);
        assert_eq!(twice.get(SET_COOKIE), Some(edited));
    }
    ours().remove_set_cookies(&mut headers);
    for left in headers.get_all(SET_COOKIE) {
        assert!(read::name(left.as_bytes()) != b"sid", "one of our name: {left:?}");
    }
}

/// Answers that set cookies, one a line: the jar keeps to its limits, what it gives is sendable and meant for the
/// request, and it is the same after it was stored.
///
/// # Panics
/// Where one of these does not hold.
pub fn jar(data: &[u8]) {
    let request =
        Request { upstream: "app", host: "www.example.com", path: b"/shop/cart", is_secure: true, by: Initiator::Here };
    let mut jar = Jar::default();
    for (line, stamp) in lines(data).zip(1..200) {
        let now = UnixTime(NOW.0 + u64::from(stamp));
        let Ok(cookie) = read::parse(line) else { continue };
        let Ok((name, to)) = cookie.store(&request, &jar, now) else { continue };
        let mut changes = Changes::new(Some(stamp - 1), now, now.after(Duration::from_mins(1)));
        changes.push(name, to);
        let Ok(next) = jar.changed(&changes, stamp) else { continue };
        jar = next;
        let fields: Vec<_> = jar.fields().collect();
        let read = Jar::from_fields(fields.iter().map(|(field, value)| (&**field, &**value)));
        assert!(read.is_some_and(|read| read == jar), "what is stored is read back");
        for (name, value) in jar.cookies_for(&request, now) {
            let is_sendable = |text: &[u8]| !text.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0 | b';'));
            assert!(is_sendable(name) && is_sendable(value));
        }
        let elsewhere = Request { host: "www.example.org", ..request };
        assert!(jar.cookies_for(&elsewhere, now).is_empty(), "a cookie for another host");
        assert!(jar.cookies_for(&Request { upstream: "other", ..request }, now).is_empty());
    }
}
