//! RESP2, as much of it as a test asks with. Its own, so that a fault of the library under test cannot hide itself.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A connection to a server's Unix socket: whatever happens to its port, the test gets through.
pub struct Client(BufReader<UnixStream>);

/// One reply.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    Nil,
    Integer(i64),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    /// `ERR`, `OOM`, `NOPERM`: the whole line.
    Error(String),
}

impl Client {
    pub fn connect(socket: &Path, patience: Duration) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends one command and reads its reply.
    pub fn command<A: AsRef<[u8]>>(&mut self, words: &[A]) -> io::Result<Value> {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            let word = word.as_ref();
            bytes.extend(format!("${}\r\n", word.len()).into_bytes());
            bytes.extend([word, b"\r\n"].concat());
        }
        self.0.get_mut().write_all(&bytes)?;
        self.reply()
    }

    fn reply(&mut self) -> io::Result<Value> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let Some(text) = line.strip_suffix("\r\n").filter(|text| !text.is_empty()) else {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("a reply that ends in {line:?}")));
        };
        let (kind, text) = text.split_at(1);
        let number = || text.parse::<i64>().map_err(|_| io::Error::other(format!("no number: {line:?}")));
        Ok(match kind {
            "+" => Value::Bytes(text.as_bytes().to_vec()),
            "-" => Value::Error(text.to_owned()),
            ":" => Value::Integer(number()?),
            "$" => match usize::try_from(number()?) {
                Err(_) => Value::Nil,
                Ok(length) => {
                    let mut bytes = vec![0; length + 2];
                    self.0.read_exact(&mut bytes)?;
                    bytes.truncate(length);
                    Value::Bytes(bytes)
                }
            },
            "*" => match usize::try_from(number()?) {
                Err(_) => Value::Nil,
                Ok(length) => Value::List((0..length).map(|_| self.reply()).collect::<io::Result<_>>()?),
            },
            _ => return Err(io::Error::other(format!("no reply: {line:?}"))),
        })
    }
}

impl Value {
    pub fn bytes(&self) -> &[u8] {
        if let Self::Bytes(bytes) = self { bytes } else { panic!("not bytes: {self:?}") }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    pub fn integer(&self) -> i64 {
        if let Self::Integer(number) = self { *number } else { panic!("no number: {self:?}") }
    }

    pub fn list(&self) -> &[Value] {
        if let Self::List(values) = self { values } else { panic!("no list: {self:?}") }
    }

    /// The value of `name` in a reply that is a flat list of names and values.
    pub fn field(&self, name: &str) -> Option<String> {
        self.list().chunks(2).find(|pair| pair[0].text() == name).map(|pair| pair[1].text())
    }
}
