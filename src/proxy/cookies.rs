//! `Cookie` in, `Set-Cookie` out.

pub mod jar;
pub mod prefix;
pub mod rules;

use bytes::{BufMut, BytesMut};
use http::HeaderMap;
use http::header::{Entry, HeaderValue, SET_COOKIE};

use crate::sessions::Cookie;

/// How our cookie is named and which attributes it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its name, such as `__Host-sid`.
    pub name: String,
    /// Whether it carries `Secure`; `__Host-` and `__Secure-` names require it.
    pub secure: bool,
    /// Its `SameSite` attribute.
    pub same_site: SameSite,
    /// Its `Domain` attribute; host-only without one, as `__Host-` names require.
    pub domain: Option<String>,
    /// Its `Path` attribute.
    pub path: String,
}

/// RFC 6265bis section 4.1.2.7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Sent on same-site requests and top-level navigations.
    Lax,
    /// Sent on same-site requests only.
    Strict,
    /// Sent always; browsers require `Secure` with it.
    None,
}

impl SameSite {
    /// As the attribute has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Lax => "Lax",
            Self::Strict => "Strict",
            Self::None => "None",
        }
    }
}

/// Our cookie, as it is read and written.
#[derive(Debug)]
pub struct OurCookie {
    name: Box<[u8]>,
    attributes: Box<[u8]>,
}

impl OurCookie {
    /// From what is configured.
    pub fn new(settings: &Settings) -> Self {
        let mut attributes = format!("; Path={}", settings.path);
        if let Some(domain) = &settings.domain {
            attributes.push_str("; Domain=");
            attributes.push_str(domain);
        }
        attributes.push_str("; HttpOnly");
        if settings.secure {
            attributes.push_str("; Secure");
        }
        attributes.push_str("; SameSite=");
        attributes.push_str(settings.same_site.word());
        Self { name: settings.name.as_bytes().into(), attributes: attributes.into_bytes().into() }
    }

    /// Every value that a cookie of ours has in a request's `Cookie` fields, in order.
    pub fn values<'a>(&self, fields: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = &'a [u8]> {
        fields.flat_map(pairs).filter_map(|pair| self.value(pair))
    }

    /// Every pair of a request's `Cookie` fields that is not ours, in order. Ours never goes upstream.
    pub fn others<'a>(&self, fields: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = &'a [u8]> {
        fields.flat_map(pairs).filter(|pair| self.value(pair).is_none())
    }

    /// Whether a cookie of ours is in a field.
    pub fn is_in(&self, field: &[u8]) -> bool {
        pairs(field).any(|pair| self.value(pair).is_some())
    }

    /// The value of a `name=value` pair of ours.
    fn value<'a>(&self, pair: &'a [u8]) -> Option<&'a [u8]> {
        let rest = pair.strip_prefix(&*self.name)?;
        let rest = rest.trim_ascii_start();
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix(b"=").map(<[u8]>::trim_ascii_start) }
    }

    /// Takes a backend's `Set-Cookie` of our name out of its response: the browser has one cookie of that name.
    /// Returns how many there were.
    pub fn remove_set_cookies(&self, headers: &mut HeaderMap) -> usize {
        let ours = |field: &HeaderValue| {
            let pair = field.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
            let pair = pair.trim_ascii();
            // A browser sends a cookie without a name as its value alone, which would then read as ours.
            self.value(pair.strip_prefix(b"=").map_or(pair, <[u8]>::trim_ascii_start)).is_some()
        };
        let Entry::Occupied(fields) = headers.entry(SET_COOKIE) else { return 0 };
        if !fields.iter().any(ours) {
            return 0;
        }
        let (_, fields) = fields.remove_entry_mult();
        let (ours, theirs): (Vec<_>, Vec<_>) = fields.partition(ours);
        for field in theirs {
            headers.append(SET_COOKIE, field);
        }
        ours.len()
    }

    /// Our `Set-Cookie`, where there is to be one.
    pub fn set_cookie(&self, cookie: &Cookie) -> Option<HeaderValue> {
        let mut text = BytesMut::with_capacity(self.name.len() + self.attributes.len() + 128);
        text.put_slice(&self.name);
        text.put_u8(b'=');
        match cookie {
            Cookie::Keep => return None,
            Cookie::Clear => text.put_slice(b"; Max-Age=0"),
            Cookie::Set { ticket, max_age } => {
                text.put_slice(ticket.as_bytes());
                if let Some(max_age) = max_age {
                    text.put_slice(b"; Max-Age=");
                    text.put_slice(max_age.as_secs().to_string().as_bytes());
                }
            }
        }
        text.put_slice(&self.attributes);
        let mut value =
            HeaderValue::from_maybe_shared(text.freeze()).expect("name and attributes were checked at start");
        // Kept out of HPACK's dynamic table (RFC 7541 section 7.1.3), and out of Debug.
        value.set_sensitive(true);
        Some(value)
    }
}

/// The pairs of a `Cookie` field, without white space around them; empty ones are no pairs.
fn pairs(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut begin = 0;
    let ends = memchr::memchr_iter(b';', field).chain([field.len()]);
    let pairs = ends.map(move |end| field[std::mem::replace(&mut begin, end + 1)..end].trim_ascii());
    pairs.filter(|pair| !pair.is_empty())
}

/// Every name that some backend could find in a `name=value` pair: its own, and those that it and its value hide from
/// whoever splits at `;` alone. Python's `http.cookies` splits at white space as well, and old versions of Rack and
/// Express at commas.
fn names(pair: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut parts = pair[..memchr::memrchr(b'=', pair).unwrap_or(pair.len())].split(|byte| *byte == b'=');
    let own = parts.next().unwrap_or_default().trim_ascii_end();
    let hidden = std::iter::once(own).chain(parts).filter_map(|part| {
        let part = part.trim_ascii_end();
        part.iter().rposition(|byte| b" \t,".contains(byte)).map(|at| &part[at + 1..])
    });
    // PHP takes a name with a space in it whole.
    std::iter::once(own).chain(hidden)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ours() -> OurCookie {
        OurCookie::new(&Settings {
            name: "sid".to_owned(),
            secure: true,
            same_site: SameSite::Lax,
            domain: None,
            path: "/".to_owned(),
        })
    }

    fn take(fields: &[&str]) -> (Vec<String>, Vec<String>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let fields = || fields.iter().map(|field| field.as_bytes());
        assert_eq!(fields().any(|field| ours().is_in(field)), ours().values(fields()).next().is_some());
        (ours().values(fields()).map(text).collect(), ours().others(fields()).map(text).collect())
    }

    #[test]
    fn our_cookie_is_taken_out_and_the_others_stay() {
        for (fields, values, left) in [
            (&["sid=x"][..], &["x"][..], &[][..]),
            (&["a=1; sid=x; b=2"], &["x"], &["a=1", "b=2"]),
            (&["sid=x; sid=y;sid=z"], &["x", "y", "z"], &[]),
            (&["a=1", "sid=x", "b=2"], &["x"], &["a=1", "b=2"]),
            (&["a=1", "b=2"], &[], &["a=1", "b=2"]),
            (&["sidx=1; xsid=2; SID=3"], &[], &["sidx=1", "xsid=2", "SID=3"]),
            (&["sid; a=1"], &[""], &["a=1"]),
            (&["sid = x ; a=1"], &["x"], &["a=1"]),
            (&[";; ;"], &[], &[]),
            (&["a=\u{e9}; sid=x"], &["x"], &["a=\u{e9}"]),
        ] {
            let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
            assert_eq!(take(fields), (owned(values), owned(left)), "{fields:?}");
        }
    }

    #[test]
    fn a_value_hides_no_name() {
        for (pair, expected) in [
            ("a", &["a"][..]),
            ("a=", &["a"]),
            ("a = 1", &["a"]),
            ("a=b=c==", &["a"]),
            ("a=1 b=2", &["a", "b"]),
            ("a=1,b=2, c =3", &["a", "b", "c"]),
            ("a= b=2", &["a", "b"]),
            ("a=x\ty  b\t=c=2 d", &["a", "b"]),
            ("a b=1", &["a b", "b"]),
            ("=a", &[""]),
        ] {
            assert_eq!(
                names(pair.as_bytes()).collect::<Vec<_>>(),
                expected.iter().map(|name| name.as_bytes()).collect::<Vec<_>>(),
                "{pair}"
            );
        }
    }

    #[test]
    fn a_backend_cannot_set_our_cookie() {
        let mut headers = HeaderMap::new();
        for field in ["a=1; Path=/", "sid=evil; Path=/", " sid = evil", "sidx=1", "sid", "=sid=evil", "= sid"] {
            headers.append(SET_COOKIE, HeaderValue::from_static(field));
        }
        assert_eq!(ours().remove_set_cookies(&mut headers), 5);
        let left: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
        assert_eq!(left, ["a=1; Path=/", "sidx=1"]);
    }

    #[test]
    fn a_deletion_carries_the_attributes_of_what_it_deletes() {
        let value = ours().set_cookie(&Cookie::Clear).unwrap();
        assert_eq!(value, "sid=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Lax");
    }

    proptest! {
        #[test]
        fn no_field_leaves_our_cookie_in(field in "[asid=;, \"\\\\]{0,40}", other in "[asid=; ]{0,20}") {
            let (_, left) = take(&[&field, &other]);
            prop_assert!(!ours().is_in(left.join("; ").as_bytes()), "{left:?}");
        }

        #[test]
        fn what_is_not_ours_stays_in_order(names in proptest::collection::vec("[a-r]{1,3}=[!-:<-~]{0,5}", 0..6), at in 0..6_usize) {
            let mut fields = names.clone();
            fields.insert(at.min(names.len()), "sid=x".to_owned());
            let (values, left) = take(&[&fields.join("; ")]);
            prop_assert_eq!(values, ["x"]);
            prop_assert_eq!(left, names);
        }
    }
}
