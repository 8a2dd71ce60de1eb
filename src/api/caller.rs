//! Who is asking: put into each request by the authentication layer, taken out by handlers through an extractor
//! that names the role it needs.

use axum::{extract::FromRequestParts, http::StatusCode, http::request::Parts};

use crate::model::TenantId;

/// What a caller may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// Send lines.
    pub push: bool,
    /// Read lines, findings and everything derived from them.
    pub read: bool,
    /// Change things: finding states, settings, tests.
    pub admin: bool,
}

/// An authenticated caller.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whose data the request is about.
    pub tenant: TenantId,
    /// What the caller may do.
    pub roles: Roles,
}

/// A caller who may push.
pub struct Pusher(pub TenantId);
/// A caller who may read.
pub struct Reader(pub TenantId);
/// A caller who may change things.
pub struct Admin(pub TenantId);

/// The role is missing.
const FORBIDDEN: (StatusCode, &str) = (StatusCode::FORBIDDEN, "this token does not allow that\n");

fn caller(parts: &Parts, allowed: impl Fn(Roles) -> bool) -> Result<TenantId, (StatusCode, &'static str)> {
    match parts.extensions.get::<Caller>() {
        Some(caller) if allowed(caller.roles) => Ok(caller.tenant.clone()),
        Some(_) => Err(FORBIDDEN),
        // Not reachable behind the authentication layer; refuse rather than guess.
        None => Err((StatusCode::UNAUTHORIZED, "no org id\n")),
    }
}

impl<S: Sync> FromRequestParts<S> for Pusher {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        caller(parts, |roles| roles.push).map(Pusher)
    }
}

impl<S: Sync> FromRequestParts<S> for Reader {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        caller(parts, |roles| roles.read).map(Reader)
    }
}

impl<S: Sync> FromRequestParts<S> for Admin {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        caller(parts, |roles| roles.admin).map(Admin)
    }
}
