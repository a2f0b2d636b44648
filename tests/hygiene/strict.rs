//! A reader of requests that forgives nothing: what it takes for one request, everybody takes for that one (RFC 9112).
//!
//! It shares no code with the gateway and none with what the gateway stands on.

/// One request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    /// Its first line.
    pub(crate) start: String,
    /// Names in lower case, values as they came.
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, Vec<u8>)>,
}

/// What some bytes are.
#[derive(Debug)]
pub(crate) enum Read {
    /// A request, and how many bytes it has.
    Whole(Box<Request>, usize),
    /// The beginning of one.
    Begun,
}

/// Why bytes are no beginning of a request.
pub(crate) type Why = String;

/// What the bytes begin with.
pub(crate) fn read(bytes: &[u8]) -> Result<Read, Why> {
    let mut lines = Lines { bytes, at: 0 };
    let Some(start) = lines.next()? else { return Ok(Read::Begun) };
    let start = String::from_utf8(start.to_vec()).map_err(|_| "the first line is no ASCII".to_owned())?;
    first_line(&start)?;
    let Some(fields) = fields(&mut lines)? else { return Ok(Read::Begun) };
    for alias in ["content-length", "transfer-encoding"] {
        let reads_so = |name: &str| fold(name) == alias && name != alias;
        if let Some((name, _)) = fields.iter().find(|(name, _)| reads_so(name)) {
            return Err(format!("{name} may be read as {alias}"));
        }
    }
    let all = |name: &str| fields.iter().filter(|(n, _)| n == name).map(|(_, value)| &value[..]).collect::<Vec<_>>();
    if all("host").len() != 1 {
        return Err("it has not one Host".to_owned());
    }
    let mut request = Request { start, ..Request::default() };
    match (&all("content-length")[..], &all("transfer-encoding")[..]) {
        ([], []) => {}
        ([length], []) => {
            let digits = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
            let length =
                std::str::from_utf8(length).ok().filter(|_| digits).and_then(|text| text.parse::<usize>().ok());
            let length = length.ok_or_else(|| "Content-Length is none".to_owned())?;
            let Some(body) = lines.take(length) else { return Ok(Read::Begun) };
            request.body = body.to_vec();
        }
        ([], [b"chunked"]) => {
            let Some((body, trailers)) = chunks(&mut lines)? else { return Ok(Read::Begun) };
            (request.body, request.trailers) = (body, trailers);
        }
        _ => return Err("it does not say in one way how long its body is".to_owned()),
    }
    request.fields = fields;
    Ok(Read::Whole(Box::new(request), lines.at))
}

/// A name as CGI and its heirs fold it.
fn fold(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}

fn first_line(line: &str) -> Result<(), Why> {
    let bad = || format!("no request line: {line:?}");
    let parts: Vec<&str> = line.split(' ').collect();
    let [method, target, version] = parts[..] else { return Err(bad()) };
    let fine = is_token(method.as_bytes())
        && !target.is_empty()
        && target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
        && (target.starts_with('/') || target == "*")
        && version == "HTTP/1.1";
    if fine { Ok(()) } else { Err(bad()) }
}

fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// Header or trailer lines, up to the empty one.
fn fields(lines: &mut Lines<'_>) -> Result<Option<Fields>, Why> {
    let mut fields = Vec::new();
    loop {
        let Some(line) = lines.next()? else { return Ok(None) };
        if line.is_empty() {
            return Ok(Some(fields));
        }
        let bad = || format!("no header: {:?}", String::from_utf8_lossy(line));
        let colon = line.iter().position(|byte| *byte == b':').ok_or_else(bad)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if !is_token(name) || value.iter().any(|byte| *byte < b' ' && *byte != b'\t' || *byte == 0x7f) {
            return Err(bad());
        }
        fields.push((String::from_utf8_lossy(name).to_ascii_lowercase(), value.to_vec()));
    }
}

type Fields = Vec<(String, Vec<u8>)>;
type Chunks = (Vec<u8>, Fields);

fn chunks(lines: &mut Lines<'_>) -> Result<Option<Chunks>, Why> {
    let mut body = Vec::new();
    loop {
        let Some(line) = lines.next()? else { return Ok(None) };
        let digits = !line.is_empty() && line.len() <= 8 && line.iter().all(u8::is_ascii_hexdigit);
        let size = std::str::from_utf8(line).ok().filter(|_| digits);
        let size = size.and_then(|text| usize::from_str_radix(text, 16).ok());
        let size = size.ok_or_else(|| format!("no chunk size: {:?}", String::from_utf8_lossy(line)))?;
        if size == 0 {
            return Ok(fields(lines)?.map(|trailers| (body, trailers)));
        }
        let Some(data) = lines.take(size) else { return Ok(None) };
        body.extend_from_slice(data);
        match lines.next()? {
            Some([]) => {}
            Some(_) => return Err("a chunk is longer than it says".to_owned()),
            None => return Ok(None),
        }
    }
}

struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    /// The next line without its CRLF; None where it is not whole. No CR or LF stands anywhere else.
    fn next(&mut self) -> Result<Option<&'a [u8]>, Why> {
        let left = &self.bytes[self.at..];
        let Some(end) = left.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else { return Ok(None) };
        match &left[end..] {
            [b'\r', b'\n', ..] => {
                self.at += end + 2;
                Ok(Some(&left[..end]))
            }
            [b'\r'] => Ok(None),
            _ => Err(format!("a bare CR or LF behind {:?}", String::from_utf8_lossy(&left[..end]))),
        }
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(taken)
    }
}
