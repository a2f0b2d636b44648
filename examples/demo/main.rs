//! A small shop and the gateway in front of it, in one process: <https://localhost:8443>.
//!
//! The shop keeps nothing: who is logged in, how often somebody came and what is in the cart is told to it in request
//! headers, and what changes it says in response headers. It could be written in any language; see the other examples.

#![expect(clippy::print_stdout, reason = "a demo talks to its terminal")]

mod page;

use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use axum::extract::Form;
use axum::http::StatusCode;
use axum::http::header::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use session_gateway::gateway::Gateway;
use session_gateway::proxy::Clock;
use session_gateway::{config, telemetry, tls};

const USER: HeaderName = HeaderName::from_static("x-session-user");
const DATA: HeaderName = HeaderName::from_static("x-session-data");
const PATCH: HeaderName = HeaderName::from_static("x-session-patch");
const PERSIST: HeaderName = HeaderName::from_static("x-session-persist");
const END: HeaderName = HeaderName::from_static("x-session-end");

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let shop = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = shop.local_addr()?;
        let gateway = start_gateway(address)?;
        let at = gateway.https.context("the demo serves https")?;
        println!("\n  Open https://localhost:{} and log in.", at.port());
        println!("  Your browser does not know the certificate, which was made for this demo: go on all the same.");
        println!("  As a security officer: curl 'http://127.0.0.1:9900/sessions?user=NAME'");
        println!("  Ctrl-C ends it.\n");
        tokio::select! {
            served = axum::serve(shop, routes()) => served?,
            interrupted = tokio::signal::ctrl_c() => interrupted?,
        }
        // Blocks until the workers have ended, which none of them needs this thread for.
        gateway.stop();
        Ok(())
    })
}

fn start_gateway(shop: SocketAddr) -> anyhow::Result<Gateway> {
    let certs = Path::new("certs");
    tls::dev::development(certs)?;
    let key = certs.join("demo-session.key");
    if !key.exists() {
        write_key(&key)?;
    }
    let text = include_str!("gateway.toml").replace("{shop}", &shop.to_string());
    let config = config::parse(&text, Path::new("examples/demo/gateway.toml"), Path::new("."))?;
    telemetry::init(&config.log);
    Gateway::start(&config, Clock::System)
}

/// As `session-gateway key > FILE` does.
fn write_key(path: &Path) -> anyhow::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut key = [0; 48];
    getrandom::fill(&mut key).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
    Ok(file.write_all(STANDARD.encode(key).as_bytes())?)
}

fn routes() -> axum::Router {
    axum::Router::new()
        .route("/", get(index))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/cart", post(add))
        .route("/cart/empty", post(empty))
}

/// What the gateway tells of the visitor.
fn data(headers: &HeaderMap) -> Map<String, Value> {
    let text = headers.get(&DATA).and_then(|value| value.to_str().ok()).unwrap_or("{}");
    serde_json::from_str(text).unwrap_or_default()
}

async fn index(headers: HeaderMap) -> Response {
    let data = data(&headers);
    let visits = data.get("visits").and_then(Value::as_u64).unwrap_or(0) + 1;
    let page = Html(page::render(&headers, &USER, visits, data.get("cart")));
    ([(PATCH, json!({ "visits": visits }).to_string())], page).into_response()
}

#[derive(serde::Deserialize)]
struct Login {
    name: String,
    remember: Option<String>,
}

async fn login(Form(login): Form<Login>) -> Response {
    // A shop would ask for a password here.
    let Ok(name) = HeaderValue::from_bytes(login.name.trim().as_bytes()) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    if name.is_empty() {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let persist = if login.remember.is_some() { "true" } else { "false" };
    ([(USER, name), (PERSIST, HeaderValue::from_static(persist))], home()).into_response()
}

async fn logout() -> Response {
    ([(END, "this")], home()).into_response()
}

#[derive(serde::Deserialize)]
struct Item {
    item: String,
}

async fn add(headers: HeaderMap, Form(Item { item }): Form<Item>) -> Response {
    let mut cart = data(&headers).remove("cart").and_then(|cart| cart.as_array().cloned()).unwrap_or_default();
    cart.push(item.chars().take(40).collect::<String>().into());
    // JSON with every other character escaped is what a header can carry.
    let patch: String = json!({ "cart": cart }).to_string();
    let ascii: String = patch.chars().flat_map(escape).collect();
    ([(PATCH, ascii)], home()).into_response()
}

async fn empty() -> Response {
    ([(PATCH, r#"{"cart":null}"#)], home()).into_response()
}

fn home() -> Redirect {
    Redirect::to("/")
}

fn escape(character: char) -> Vec<char> {
    if character.is_ascii() {
        return vec![character];
    }
    character
        .encode_utf16(&mut [0; 2])
        .iter()
        .flat_map(|unit| format!("\\u{unit:04x}").chars().collect::<Vec<_>>())
        .collect()
}
