//! The jar: the backends' own cookies, kept in the session instead of the browser.
//!
//! Each cookie is a slot of its own, so that parallel responses merge cookie by cookie. A deletion leaves its mark for
//! a while: what a request that began before it sets is dropped. This gateway is the backend's user agent here, and
//! keeps to RFC 6265bis (draft 20): [`set_cookie`] reads, [`retrieval`] says which cookies a request carries.

pub mod date;
pub mod fields;
pub mod retrieval;
pub mod set_cookie;
mod signed;

use std::fmt;
use std::sync::Arc;

use super::UnixTime;

/// The most cookies of one session.
pub const MOST_COOKIES: usize = 50;
/// The most bytes of a cookie's name and value together, as browsers have it (RFC 6265bis section 5.6).
pub const LONGEST_COOKIE: usize = 4096;
/// The most bytes of names and values of one session.
pub const MOST_BYTES: usize = 16 * 1024;
/// How many deletions of one session are remembered at once.
pub const MOST_DELETIONS: usize = 50;

/// Every cookie of a session, and every deletion that is still remembered.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Jar(Option<Arc<[Slot]>>);

/// What makes a cookie the same cookie (RFC 6265bis section 5.7), and whose it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The upstream that set it: no other gets it.
    pub upstream: Box<str>,
    /// The host that it was set for, or the domain, in lower case.
    pub domain: Box<str>,
    /// Whether hosts below that domain do not get it.
    pub host_only: bool,
    /// The path that it is for, with all below it.
    pub path: Box<[u8]>,
    /// Its own name, which may be empty.
    pub name: Box<[u8]>,
}

/// What a cookie holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its value, as the backend wrote it.
    pub value: Box<[u8]>,
    /// When it is no more; none where it dies with the session.
    pub expires: Option<UnixTime>,
    /// Whether it goes with requests over TLS only.
    pub secure: bool,
    /// Which requests from other sites it goes with.
    pub same_site: SameSite,
}

/// RFC 6265bis section 5.6.7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Nothing was said, which counts as `Lax`.
    Default,
    /// Goes with every request.
    None,
    /// Goes with requests of the same site, and when another site's link is followed.
    Lax,
    /// Goes with requests of the same site.
    Strict,
}

/// The place of one cookie.
#[derive(Clone, PartialEq, Eq)]
struct Slot {
    name: Name,
    /// The session's version that the last write made.
    stamp: u32,
    state: State,
}

#[derive(Clone, PartialEq, Eq)]
enum State {
    /// `born` orders cookies by their creation, which an update does not change.
    Kept { kept: Kept, born: u64 },
    /// It is remembered `until` then.
    Deleted { until: UnixTime },
}

/// What one response does to the jar, each cookie once.
#[derive(Clone)]
pub struct Changes {
    /// The version of the session that the request saw; none where there was no session.
    pub seen: Option<u32>,
    /// When the response came.
    pub at: UnixTime,
    /// How long deletions are remembered: longer than a request takes that has begun before.
    pub remembered: UnixTime,
    list: Vec<(Name, To)>,
}

/// What becomes of a cookie.
#[derive(Clone, PartialEq, Eq)]
pub enum To {
    /// It is set.
    Set(Kept),
    /// It is set to the value that the request carried: only its other attributes are new, and if somebody else has set
    /// it meanwhile, that stands.
    Refreshed(Kept),
    /// It is deleted.
    Deleted,
}

/// A session's cookies would be too many, or too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverLimit;

impl Jar {
    /// Whether no cookie is in it. Deletions may still be remembered.
    pub fn is_empty(&self) -> bool {
        self.kept().next().is_none()
    }

    /// Whether it has neither a cookie nor a deletion to remember.
    pub fn is_blank(&self) -> bool {
        self.slots().is_empty()
    }

    /// About how many bytes it takes.
    pub fn size(&self) -> usize {
        let size = |slot: &Slot| {
            let Name { upstream, domain, path, name, .. } = &slot.name;
            let value = if let State::Kept { kept, .. } = &slot.state { kept.value.len() } else { 0 };
            size_of::<Slot>() + upstream.len() + domain.len() + path.len() + name.len() + value
        };
        self.slots().iter().map(size).sum()
    }

    /// The names of its cookies, each with the upstream that set it.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.kept().map(|(name, ..)| name)
    }

    /// Whether one of its cookies outlives the browser.
    pub fn outlives_browser(&self) -> bool {
        self.kept().any(|(_, kept, _)| kept.expires.is_some())
    }

    /// What a cookie holds.
    pub fn get(&self, name: &Name) -> Option<&Kept> {
        let at = self.slots().binary_search_by(|slot| slot.name.cmp(name)).ok()?;
        if let State::Kept { kept, .. } = &self.slots()[at].state { Some(kept) } else { None }
    }

    /// The jar after one response's changes, which give the session the version `stamp`.
    pub fn changed(&self, changes: &Changes, stamp: u32) -> Result<Self, OverLimit> {
        let mut slots = self.slots().to_vec();
        for (index, (name, to)) in changes.list.iter().enumerate() {
            let place = slots.binary_search_by(|slot| slot.name.cmp(name));
            let old = place.ok().map(|at| &slots[at]);
            let unseen = old.is_some_and(|old| changes.seen.is_none_or(|seen| seen < old.stamp));
            let state = match (to, old.map(|old| &old.state)) {
                (To::Set(_), Some(State::Deleted { .. })) | (To::Refreshed(_), Some(_)) if unseen => continue,
                (To::Deleted, _) => State::Deleted { until: changes.remembered },
                (To::Set(kept) | To::Refreshed(kept), Some(State::Kept { born, .. })) => {
                    State::Kept { kept: kept.clone(), born: *born }
                }
                (To::Set(kept) | To::Refreshed(kept), _) => {
                    State::Kept { kept: kept.clone(), born: u64::from(stamp) << 8 | index.min(255) as u64 }
                }
            };
            let slot = Slot { name: name.clone(), stamp, state };
            match place {
                Ok(at) => slots[at] = slot,
                Err(at) => slots.insert(at, slot),
            }
        }
        slots.retain(|slot| match &slot.state {
            State::Kept { kept, .. } => kept.expires.is_none_or(|expires| changes.at < expires),
            State::Deleted { until } => changes.at < *until,
        });
        forget_oldest(&mut slots);
        let jar = Self::from(slots);
        if jar.fits() { Ok(jar) } else { Err(OverLimit) }
    }

    fn fits(&self) -> bool {
        let (mut count, mut bytes) = (0, 0);
        for (name, kept, _) in self.kept() {
            (count, bytes) = (count + 1, bytes + name.name.len() + kept.value.len());
        }
        count <= MOST_COOKIES && bytes <= MOST_BYTES
    }

    fn slots(&self) -> &[Slot] {
        self.0.as_deref().unwrap_or_default()
    }

    fn kept(&self) -> impl Iterator<Item = (&Name, &Kept, u64)> {
        self.slots().iter().filter_map(|slot| match &slot.state {
            State::Kept { kept, born } => Some((&slot.name, kept, *born)),
            State::Deleted { .. } => None,
        })
    }
}

impl From<Vec<Slot>> for Jar {
    fn from(slots: Vec<Slot>) -> Self {
        Self((!slots.is_empty()).then(|| slots.into()))
    }
}

fn forget_oldest(slots: &mut Vec<Slot>) {
    let mut deletions: Vec<u32> =
        slots.iter().filter(|slot| matches!(slot.state, State::Deleted { .. })).map(|slot| slot.stamp).collect();
    if let Some(surplus) = deletions.len().checked_sub(MOST_DELETIONS).filter(|surplus| *surplus > 0) {
        deletions.sort_unstable();
        let last = deletions[surplus - 1];
        slots.retain(|slot| matches!(slot.state, State::Kept { .. }) || slot.stamp > last);
    }
}

impl Changes {
    /// None yet.
    pub fn new(seen: Option<u32>, at: UnixTime, remembered: UnixTime) -> Self {
        Self { seen, at, remembered, list: Vec::new() }
    }

    /// Adds what becomes of one cookie, instead of what was to become of it.
    pub fn push(&mut self, name: Name, to: To) {
        self.list.retain(|(known, _)| *known != name);
        self.list.push((name, to));
    }

    /// Every cookie, with what becomes of it, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &To)> {
        self.list.iter().map(|(name, to)| (name, to))
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether a cookie is set, not only deleted.
    pub fn keeps_something(&self) -> bool {
        self.list.iter().any(|(_, to)| *to != To::Deleted)
    }
}

/// Names and numbers: a cookie's value is the backend's secret.
impl fmt::Debug for Jar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Jar({} cookies, {} slots)", self.kept().count(), self.slots().len())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({:?} of {})", String::from_utf8_lossy(&self.name), self.upstream)
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { value, expires, secure, same_site } = self;
        write!(f, "Kept({} bytes, expires {expires:?}, secure {secure}, {same_site:?})", value.len())
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Changes({} cookies)", self.list.len())
    }
}

impl fmt::Debug for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Set(_) => "Set(..)",
            Self::Refreshed(_) => "Refreshed(..)",
            Self::Deleted => "Deleted",
        })
    }
}
