//! What no real sentinel can be made to say at will, said by servers that are played.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::session::lifetime::tests::lifetimes;
use crate::store::redis::settings::{Servers, Settings};

fn text(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

#[test]
fn what_a_sentinel_says_is_read_or_left_alone() {
    let here = Address { host: "::1".to_owned(), port: 7000 };
    assert_eq!(address(Ok(Value::Array(vec![text("::1"), text("7000")]))), Some(here));
    for wrong in [Value::Nil, Value::Array(vec![text("a")]), Value::Array(vec![text("a"), text("70000")])] {
        assert_eq!(address(Ok(wrong)), None);
    }
    let fields = [("name", "m"), ("config-epoch", "7"), ("flags", "master")];
    let map = fields.map(|(name, value)| (text(name), text(value))).to_vec();
    let list = fields.iter().flat_map(|(name, value)| [text(name), text(value)]).collect();
    assert_eq!([epoch(Ok(Value::Map(map))), epoch(Ok(Value::Array(list)))], [Some(7), Some(7)]);
    for wrong in [Value::Nil, Value::Array(vec![text("config-epoch")]), Value::Map(Vec::new())] {
        assert_eq!(epoch(Ok(wrong)), None);
    }
}

/// A server that greets, and answers every other command as it is told. It ends with its runtime.
async fn play(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, Arc::clone(&answer)));
        }
    });
    Address { host: "127.0.0.1".to_owned(), port }
}

async fn converse(mut stream: TcpStream, answer: Arc<impl Fn(&str) -> String>) {
    let mut input = Vec::new();
    while stream.read_buf(&mut input).await.is_ok_and(|read| read > 0) {
        while let Some((words, length)) = command(&input) {
            input.drain(..length);
            let answer = match &words[..] {
                [name, ..] if name == "HELLO" => "%1\r\n+proto\r\n:3\r\n".to_owned(),
                [name, ..] if name == "CLIENT" => "+OK\r\n".to_owned(),
                words => answer(&words.join(" ")),
            };
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

/// The words of the first command, once it is there whole, and its length.
fn command(input: &[u8]) -> Option<(Vec<String>, usize)> {
    let line = |at: usize| {
        let end = at + input.get(at..)?.windows(2).position(|two| two == b"\r\n")?;
        Some((str::from_utf8(&input[at + 1..end]).unwrap().parse::<usize>().unwrap(), end + 2))
    };
    let (count, mut at) = line(0).filter(|_| !input.is_empty())?;
    let mut words = Vec::new();
    for _ in 0..count {
        let (length, begin) = line(at)?;
        words.push(String::from_utf8(input.get(begin..begin + length)?.to_vec()).unwrap());
        at = begin + length + 2;
    }
    (input.len() >= at).then_some((words, at))
}

fn shared(sentinels: &[Address]) -> Arc<Shared> {
    let settings = Settings {
        servers: Servers::Sentinels { sentinels: sentinels.to_vec(), master: "m".to_owned() },
        tls: false,
        ca: None,
        user: None,
        password: None,
        database: 0,
        key_prefix: "sgw".to_owned(),
        near_cache: None,
        timeout: Duration::from_secs(5),
        connect_timeout: Duration::from_secs(5),
    };
    Arc::new(Shared::new(settings, lifetimes(), None))
}

/// A server that says that it is a master.
async fn play_master() -> Address {
    play(|_| "*1\r\n$6\r\nmaster\r\n".to_owned()).await
}

/// What a sentinel says of one.
fn naming(question: &str, epoch: u64, master: &Address) -> String {
    let text = |text: &str| format!("${}\r\n{text}\r\n", text.len());
    if question.starts_with("SENTINEL MASTER") {
        format!("%1\r\n{}{}", text("config-epoch"), text(&epoch.to_string()))
    } else {
        format!("*2\r\n{}{}", text(&master.host), text(&master.port.to_string()))
    }
}

/// Which master the gateway goes to.
async fn master_by(sentinels: &[Address]) -> Result<Master, ConnectError> {
    connect_to_master(sentinels, "m", &shared(sentinels)).await.map(|(_, master)| master)
}

#[tokio::test]
async fn an_election_between_two_answers_makes_no_new_master_of_the_old_one() {
    let (old, new) = (play_master().await, play_master().await);
    let (before, after) = (old.clone(), new.clone());
    let asked = std::sync::atomic::AtomicBool::new(false);
    let sentinel = play(move |question| {
        let is_over = asked.swap(true, std::sync::atomic::Ordering::SeqCst);
        if is_over { naming(question, 2, &after) } else { naming(question, 1, &before) }
    });
    let sentinels = [sentinel.await];
    let master = master_by(&sentinels).await.unwrap();
    assert_ne!(master, Master { epoch: 2, address: old }, "nobody would ever leave it");
    assert_eq!(master.address, new);
}

#[tokio::test]
async fn a_replaced_master_is_no_way_out_where_its_successor_cannot_be_reached() {
    let old = play_master().await;
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Address { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() }
    };
    let (before, after) = (old.clone(), gone.clone());
    let late = play(move |question| naming(question, 1, &before)).await;
    let up_to_date = play(move |question| naming(question, 2, &after)).await;
    let sentinels = [late.clone(), up_to_date];
    assert!(matches!(master_by(&sentinels).await, Err(ConnectError::Socket(_))));
    // It is what it is as long as nobody knows of another.
    let sentinels = [late];
    let master = master_by(&sentinels).await.unwrap();
    assert_eq!(master, Master { epoch: 1, address: old });
}
