//! The lines that say how long a message is, by the letter of the grammar.

/// The largest length, of a body or of a chunk: there are servers that count with a sign.
const LARGEST: u64 = i64::MAX.unsigned_abs();

/// The value of a header, if this is its name.
pub(super) fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    let value = value.strip_prefix(b":")?;
    start.eq_ignore_ascii_case(name).then(|| trim(value))
}

/// Without optional whitespace around it (RFC 9110 section 5.6.3).
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// RFC 9110 section 8.6: digits and nothing else. A list of equal ones may be refused, and is.
pub(super) fn length(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| digits)?.parse().ok().filter(|length| *length <= LARGEST)
}

/// RFC 9112 section 7.1: hexadecimal digits, then extensions, which mean nothing to anybody.
pub(super) fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, extensions) = line.split_at(digits);
    let size = std::str::from_utf8(size).ok().and_then(|size| u64::from_str_radix(size, 16).ok());
    let size = size.filter(|size| *size <= LARGEST)?;
    are_extensions(extensions).then_some(size)
}

/// RFC 9112 section 7.1.1: `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`.
fn are_extensions(mut text: &[u8]) -> bool {
    while !text.is_empty() {
        let Some(name) = blank(text).strip_prefix(b";") else { return false };
        let Some(behind) = token(blank(name)) else { return false };
        text = behind;
        if let Some(value) = blank(behind).strip_prefix(b"=") {
            let value = blank(value);
            let Some(behind) = token(value).or_else(|| quoted(value)) else { return false };
            text = behind;
        }
    }
    true
}

/// What is behind whitespace.
fn blank(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    &text[blanks..]
}

/// What is behind a token (RFC 9110 section 5.6.2).
fn token(text: &[u8]) -> Option<&[u8]> {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let length = text.iter().take_while(|byte| is_token(byte)).count();
    (length > 0).then(|| &text[length..])
}

/// What is behind a quoted string (RFC 9110 section 5.6.4), in ASCII.
fn quoted(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text.strip_prefix(b"\"")?;
    loop {
        rest = match rest {
            [b'"', behind @ ..] => return Some(behind),
            [b'\\', b'\t' | b' '..=b'~', behind @ ..] | [b'\t' | b' '..=b'[' | b']'..=b'~', behind @ ..] => behind,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_what_the_grammar_says() {
        for line in ["0", "a;b", "A;b=c", "1 ; b = c", "1;b=\"c d\"", "1;b=\"\\\"\";c", "7fffffffffffffff"] {
            assert!(chunk_size(line.as_bytes()).is_some(), "{line}");
        }
        for line in [
            "",
            ";",
            "1;",
            "1 ",
            "1;b=",
            "1;b=\"c",
            "1;b=\"c\"d",
            "1;=c",
            "1;b\r",
            "1;b\0",
            "1;\u{e9}",
            "0x1",
            "+1",
            "-1",
            "1_0",
            "1;b=\"\r\"",
            " 1",
            "10000000000000000",
            "ffffffffffffffff",
        ] {
            assert_eq!(chunk_size(line.as_bytes()), None, "{line:?}");
        }
    }
}
