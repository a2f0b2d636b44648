//! What is written of a request's head, and what is not.

use super::*;
use crate::proxy::cookies::{self, SameSite};
use crate::proxy::headers::Settings;
use proptest::prelude::*;

fn names() -> Names {
    Names::new(&Settings { prefix: "X-Session-".to_owned(), data_budget: 6144 }).unwrap()
}

fn ours() -> OurCookie {
    let (name, path) = ("sid".to_owned(), "/".to_owned());
    OurCookie::new(&cookies::Settings { name, secure: true, same_site: SameSite::Lax, domain: None, path })
}

fn head(lines: &[(&str, &str)]) -> request::Parts {
    let request = lines.iter().fold(http::Request::builder().uri("/a?b"), |request, (name, value)| {
        request.header(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap())
    });
    request.body(()).unwrap().into_parts().0
}

/// What goes upstream, with the values that our cookie had.
fn written(lines: &[(&str, &str)]) -> Result<(String, Vec<String>), Unframed> {
    let (head, names) = (head(lines), names());
    let mut outgoing = Outgoing::read(&head, b"h", None, &names)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let values = outgoing.values(&ours()).map(text).collect();
    outgoing.pass_cookies(&ours());
    Ok((text(&outgoing.frame(Length::Empty)), values))
}

#[test]
fn every_connection_line_is_read() {
    let (text, _) = written(&[
        ("connection", "close, X-One"),
        ("x-one", "1"),
        ("x-two", "2"),
        ("x-three", "3"),
        ("connection", " x-two ,,"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("expect", "100-continue"),
    ])
    .unwrap();
    assert_eq!(text, "GET /a?b HTTP/1.1\r\nhost: h\r\nx-three: 3\r\n\r\n");
}

#[test]
fn a_client_cannot_name_its_framing_or_host_as_hop_by_hop() {
    let (text, _) = written(&[("connection", "host, content-length"), ("content-length", "0")]).unwrap();
    assert_eq!(text, "GET /a?b HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n");
}

#[test]
fn cookies_pass_as_they_came_but_for_ours() {
    for (fields, cookie, values) in [
        (&["a=1;b=2"][..], Some("a=1;b=2"), &[][..]),
        (&["a=1; sid=x;b=2"], Some("a=1; b=2"), &["x"]),
        (&["a=1", "sid=x", "b=2"], Some("a=1; b=2"), &["x"]),
        (&["a=1", "b=2"], Some("a=1; b=2"), &[]),
        (&["sid=x"], None, &["x"]),
        (&[";; ;"], Some(";; ;"), &[]),
    ] {
        let lines: Vec<_> = fields.iter().map(|field| ("cookie", *field)).collect();
        let (text, found) = written(&lines).unwrap();
        let line = cookie.map(|cookie| format!("cookie: {cookie}\r\n")).unwrap_or_default();
        assert_eq!(text, format!("GET /a?b HTTP/1.1\r\nhost: h\r\n{line}\r\n"), "{fields:?}");
        assert_eq!(found, values);
    }
}

#[test]
fn a_transfer_coding_other_than_chunked_is_not_passed_on() {
    for lines in [
        &[("transfer-encoding", "gzip, chunked")][..],
        &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
    ] {
        assert_eq!(written(lines).unwrap_err(), Unframed::Coding, "{lines:?}");
    }
}

proptest! {
    #[test]
    fn whatever_comes_one_well_formed_head_without_session_headers_or_our_cookie_goes_out(
        lines in proptest::collection::vec(
            ("[a-z!#$%&'*+.^_`|~-]{1,12}|x[-_.~]session[-_]user|cookie|host|x-forwarded-for|connection", "[ -~\u{e9}]{0,20}|sid=x; a=1"),
            0..8,
        ),
    ) {
        let lines: Vec<_> = lines.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let head = head(&lines);
        let names = names();
        let mut outgoing = Outgoing::read(&head, b"h", None, &names).unwrap();
        outgoing.pass_cookies(&ours());
        let bytes = outgoing.frame(Length::Unknown);
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut parsed = httparse::Request::new(&mut fields);
        prop_assert_eq!(parsed.parse(&bytes).unwrap(), httparse::Status::Complete(bytes.len()));
        for field in parsed.headers.iter() {
            let name = field.name.parse().unwrap();
            prop_assert!(!names.cover(&name), "{}", name);
            prop_assert!(name != "cookie" || !ours().is_in(field.value));
        }
        let many = |name: &str| parsed.headers.iter().filter(|field| field.name == name).count();
        prop_assert_eq!((many("host"), many("transfer-encoding"), many("x-forwarded-for"), many("connection")), (1, 1, 0, 0));
        prop_assert!(many("cookie") <= 1);
    }
}
