//! `session-gateway sessions …`: the sessions of a gateway that runs, asked about and ended at its admin address.

mod desk;

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use clap::builder::NonEmptyStringValueParser;
use clap::{ArgGroup, Subcommand};
use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use desk::Desk;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List a user's sessions, the one seen last first.
    List {
        /// The user, as the backend names it.
        #[arg(allow_hyphen_values = true, value_parser = NonEmptyStringValueParser::new())]
        user: String,
    },
    /// Show one session with its data, as JSON.
    Show {
        /// Its public id: `X-Session-Id`, or the first column of a list.
        #[arg(allow_hyphen_values = true, value_parser = NonEmptyStringValueParser::new())]
        id: String,
    },
    /// End one session, or all of a user's.
    #[command(group = ArgGroup::new("which").args(["id", "user"]).required(true))]
    Revoke {
        /// The session's public id: `X-Session-Id`, or the first column of a list.
        #[arg(allow_hyphen_values = true, value_parser = NonEmptyStringValueParser::new())]
        id: Option<String>,
        /// The user whose every session ends.
        #[arg(long, allow_hyphen_values = true, value_parser = NonEmptyStringValueParser::new())]
        user: Option<String>,
    },
}

pub(super) fn run(command: &Command, file: &Path) -> anyhow::Result<()> {
    let desk = Desk::of(file)?;
    match command {
        Command::List { user } => {
            list(&desk, user).with_context(|| format!("cannot list the sessions of {}", plain(user)))
        }
        Command::Show { id } => show(&desk, id).with_context(|| format!("cannot show session {}", plain(id))),
        Command::Revoke { user: Some(user), .. } => {
            revoke_user(&desk, user).with_context(|| format!("cannot revoke the sessions of {}", plain(user)))
        }
        Command::Revoke { id, user: None } => {
            let id = id.as_deref().unwrap_or_default();
            revoke(&desk, id).with_context(|| format!("cannot revoke session {}", plain(id)))
        }
    }
}

fn list(desk: &Desk<'_>, user: &str) -> anyhow::Result<()> {
    let List { sessions } = read(&desk.ask(&Method::GET, &of_user(user), desk::PATIENCE)?)?;
    if sessions.is_empty() {
        return none(user);
    }
    say(&table(&sessions))
}

fn show(desk: &Desk<'_>, id: &str) -> anyhow::Result<()> {
    let text = desk.ask(&Method::GET, &of_id(id), desk::PATIENCE)?;
    let _: IgnoredAny = read(&text)?;
    say(&format!("{}\n", plain(&text)))
}

fn revoke(desk: &Desk<'_>, id: &str) -> anyhow::Result<()> {
    let _: Revoked = read(&desk.ask(&Method::DELETE, &of_id(id), desk::PATIENCE)?)?;
    say(&format!("revoked session {}\n", plain(id)))
}

fn revoke_user(desk: &Desk<'_>, user: &str) -> anyhow::Result<()> {
    let Revoked { revoked } = read(&desk.ask(&Method::DELETE, &of_user(user), desk::PATIENCE)?)?;
    match revoked {
        0 => none(user),
        1 => say(&format!("revoked 1 session of {}\n", plain(user))),
        _ => say(&format!("revoked {revoked} sessions of {}\n", plain(user))),
    }
}

/// On standard error: whoever reads the table with a program finds it empty.
fn none(user: &str) -> anyhow::Result<()> {
    writeln!(std::io::stderr(), "{} has no sessions", plain(user))?;
    Ok(())
}

fn say(text: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")
}

// ---- what is asked

/// All but the characters that RFC 3986, section 2.3, lets stand for themselves everywhere.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn of_id(id: &str) -> String {
    format!("/sessions/{}", utf8_percent_encode(id, ESCAPED))
}

fn of_user(user: &str) -> String {
    format!("/sessions?user={}", utf8_percent_encode(user, ESCAPED))
}

// ---- what comes back

#[derive(Deserialize)]
struct List {
    sessions: Vec<Listed>,
}

/// A session as the API lists it; times are Unix seconds.
#[derive(Deserialize)]
struct Listed {
    id: String,
    created: u64,
    last_seen: u64,
    expires: u64,
    persistent: bool,
    data_bytes: u64,
    #[serde(default)]
    cookies: Vec<Cookie>,
}

#[derive(Deserialize)]
struct Cookie {
    upstream: String,
    name: String,
}

#[derive(Deserialize)]
struct Revoked {
    revoked: u64,
}

fn read<T: DeserializeOwned>(text: &str) -> anyhow::Result<T> {
    serde_json::from_str(text).context("what answered is no gateway of this version")
}

/// One line for each session under a line of headings. What jars hold comes last, for it alone has no usual width.
fn table(sessions: &[Listed]) -> String {
    let headings = ["ID", "CREATED", "LAST SEEN", "EXPIRES", "PERSISTENT", "DATA BYTES", "COOKIES"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(headings).chain(sessions.iter().map(row)).collect();
    let widths: [usize; 7] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn row(session: &Listed) -> [String; 7] {
    let cookies = session.cookies.iter().map(|cookie| format!("{}:{}", plain(&cookie.upstream), plain(&cookie.name)));
    [
        plain(&session.id),
        time(session.created),
        time(session.last_seen),
        time(session.expires),
        if session.persistent { "yes" } else { "no" }.to_owned(),
        session.data_bytes.to_string(),
        cookies.collect::<Vec<_>>().join(" "),
    ]
}

fn time(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(|| seconds.to_string(), |time| time.to_string())
}

/// Text that a terminal only shows: what would move its cursor, colour it or turn the way it is read is escaped as in
/// JSON. In JSON that has no line breaks such characters stand within strings alone, so that it still says the same.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        let turns = matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if turns || character.is_control() {
            let _ = write!(plain, "\\u{:04x}", u32::from(character));
        } else {
            plain.push(character);
        }
    }
    plain
}
