//! The sessions API: list by user, show, revoke. JSON in and out.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Admin;
use crate::session::{Lifetimes, PublicId, Session, jar};
use crate::sessions;

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/sessions", get(list).delete(revoke_user))
        .route("/sessions/{id}", get(show).delete(revoke))
        .method_not_allowed_fallback(|| async { Problem::Method })
}

/// What is wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Problem {
    #[error("there is nothing under this path; see /sessions, /metrics, /livez and /readyz")]
    NotFound,
    #[error("no live session has this id")]
    NoSession,
    #[error("a session id has 22 characters of base64url")]
    NoId,
    #[error("say whose sessions: ?user=NAME")]
    NoUser,
    #[error("the one parameter of /readyz is ?store=optional")]
    Readiness,
    #[error("this path knows GET and DELETE")]
    Method,
    #[error("the header `Authorization: Bearer TOKEN` is missing, or the token is wrong")]
    Unauthorized,
    #[error("without a token this address answers to IP addresses and localhost only")]
    ForeignHost,
    #[error("the session store could not be asked")]
    Store,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NotFound | Self::NoSession => StatusCode::NOT_FOUND,
            Self::NoId | Self::NoUser | Self::Readiness => StatusCode::BAD_REQUEST,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::ForeignHost => StatusCode::FORBIDDEN,
            Self::Store => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, Json(serde_json::json!({ "error": self.to_string() }))).into_response()
    }
}

impl From<sessions::Error> for Problem {
    fn from(error: sessions::Error) -> Self {
        tracing::warn!(%error, "the sessions API could not ask the store");
        Self::Store
    }
}

#[derive(Deserialize)]
struct Whose {
    user: String,
}

/// A session as the API shows it; times are Unix seconds.
#[derive(Serialize)]
struct Shown {
    id: String,
    user: Option<Box<str>>,
    created: u64,
    last_seen: u64,
    expires: u64,
    persistent: bool,
    data_bytes: usize,
    /// The names of backends' cookies that it keeps; nobody is shown their values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<ShownCookie>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
}

impl Shown {
    fn new(session: &Session, lifetimes: &Lifetimes) -> Self {
        Self {
            id: session.id.to_string(),
            user: session.user.clone(),
            created: session.created.0,
            last_seen: session.last_seen.0,
            expires: lifetimes.expiry(session).0,
            persistent: session.persistent,
            data_bytes: session.data.len(),
            cookies: session.jar.names().map(ShownCookie::from).collect(),
            data: None,
        }
    }
}

/// A cookie as the API shows it.
#[derive(Serialize)]
struct ShownCookie {
    upstream: Box<str>,
    name: String,
    path: String,
}

impl From<&jar::Name> for ShownCookie {
    fn from(of: &jar::Name) -> Self {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Self { upstream: of.upstream.clone(), name: text(&of.name), path: text(&of.path) }
    }
}

#[derive(Serialize)]
struct List {
    sessions: Vec<Shown>,
}

#[derive(Serialize)]
struct Revoked {
    revoked: u64,
}

async fn list(State(admin): State<Admin>, whose: Result<Query<Whose>, QueryRejection>) -> Result<Json<List>, Problem> {
    let user = user(whose)?;
    let sessions = admin.sessions.list(&user, admin.clock.now()).await?;
    let mut sessions: Vec<Arc<Session>> = sessions;
    sessions.sort_by_key(|session| std::cmp::Reverse(session.last_seen));
    let shown = sessions.iter().map(|session| Shown::new(session, admin.sessions.lifetimes()));
    Ok(Json(List { sessions: shown.collect() }))
}

async fn show(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Json<Shown>, Problem> {
    let session = admin.sessions.show(&read(&id)?, admin.clock.now()).await?.ok_or(Problem::NoSession)?;
    let data = RawValue::from_string(session.data.as_str().to_owned()).ok();
    Ok(Json(Shown { data, ..Shown::new(&session, admin.sessions.lifetimes()) }))
}

async fn revoke(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Json<Revoked>, Problem> {
    let id = read(&id)?;
    if !admin.sessions.revoke(&id, admin.clock.now()).await? {
        return Err(Problem::NoSession);
    }
    tracing::info!(session = %admin.sessions.ring().log_hash(&id), "session revoked");
    Ok(Json(Revoked { revoked: 1 }))
}

async fn revoke_user(
    State(admin): State<Admin>,
    whose: Result<Query<Whose>, QueryRejection>,
) -> Result<Json<Revoked>, Problem> {
    let revoked = admin.sessions.revoke_user(&user(whose)?, admin.clock.now()).await?;
    tracing::info!(revoked, "every session of a user revoked");
    Ok(Json(Revoked { revoked }))
}

fn user(whose: Result<Query<Whose>, QueryRejection>) -> Result<String, Problem> {
    match whose {
        Ok(Query(Whose { user })) if !user.is_empty() => Ok(user),
        _ => Err(Problem::NoUser),
    }
}

fn read(id: &str) -> Result<PublicId, Problem> {
    PublicId::parse(id).ok_or(Problem::NoId)
}
