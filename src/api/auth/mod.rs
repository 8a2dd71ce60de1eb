//! Authentication: every request gets a [`Caller`] or an answer 401, 403 or 400.
//!
//! Secrets are compared as SHA-256 in constant time, and always against every token.

mod settings;
mod throttle;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

pub use settings::{Secret, Settings, Tenants, Token};

use self::throttle::Throttle;
use super::caller::{Caller, Roles};
use crate::model::{BadTenant, TenantId};

/// The header that names the tenant.
const TENANT_HEADER: &str = "x-scope-orgid";

/// Browsers ask for a user name and password at this challenge, and so make the pages usable.
const CHALLENGE: &str = "Basic realm=\"sigyn\", charset=\"UTF-8\"";

/// Decides who is asking. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Authenticator(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    tokens: Vec<KnownToken>,
    is_multitenant: bool,
    throttle: Throttle,
}

struct KnownToken {
    digest: [u8; 32],
    name: String,
    tenants: Tenants,
    roles: Roles,
}

impl std::fmt::Debug for KnownToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KnownToken").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A token in the settings makes no sense.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadToken {
    /// An empty secret would let everybody in.
    #[error("token '{0}' has an empty secret")]
    EmptySecret(String),
    /// Not a SHA-256.
    #[error("token '{0}': a SHA-256 is 64 hexadecimal digits")]
    NotSha256(String),
    /// Nobody could use it.
    #[error("token '{0}' opens no tenant")]
    NoTenant(String),
}

/// Why a request is not let in.
#[derive(Debug, PartialEq, Eq)]
enum Denied {
    /// No token at all.
    Nobody,
    /// A wrong one.
    Unknown,
    /// Too many wrong ones: the peer is not listened to for this long.
    Throttled(Duration),
    /// The tenant header is wrong or missing.
    Tenant(BadTenant),
    /// The token does not open this tenant, or this page.
    Forbidden,
}

impl Authenticator {
    /// Checks the settings.
    pub fn new(settings: &Settings) -> Result<Self, BadToken> {
        let tokens = settings.tokens.iter().map(KnownToken::new).collect::<Result<_, _>>()?;
        let inner = Inner { tokens, is_multitenant: settings.multitenant, throttle: Throttle::default() };
        Ok(Authenticator(Arc::new(inner)))
    }

    /// Who sent these headers from this address, unless it has guessed too often.
    fn admit(&self, headers: &HeaderMap, peer: Option<IpAddr>, now: Instant) -> Result<Caller, Denied> {
        let throttle = &self.0.throttle;
        if let Some(wait) = peer.and_then(|peer| throttle.wait(peer, now)) {
            return Err(Denied::Throttled(wait));
        }
        let result = self.identify(headers);
        if let (Some(peer), Err(Denied::Unknown)) = (peer, &result) {
            throttle.note(peer, now);
        }
        result
    }

    /// Who sent these headers.
    fn identify(&self, headers: &HeaderMap) -> Result<Caller, Denied> {
        let tenant = || match headers.get(TENANT_HEADER).map(HeaderValue::to_str) {
            Some(Ok(text)) => TenantId::parse(text.trim()),
            Some(Err(_)) => Err(BadTenant::Character(String::new(), '\u{fffd}')),
            None => Err(BadTenant::Missing),
        };
        let Inner { tokens, is_multitenant, .. } = self.0.as_ref();
        if tokens.is_empty() {
            let tenant = if *is_multitenant { tenant().map_err(Denied::Tenant)? } else { TenantId::single() };
            return Ok(Caller { tenant, roles: Roles { push: true, read: true, admin: true } });
        }
        if !headers.contains_key(header::AUTHORIZATION) {
            return Err(Denied::Nobody);
        }
        let shown = Shown::from_headers(headers).ok_or(Denied::Unknown)?;
        let token = shown.find(tokens).ok_or(Denied::Unknown)?;
        let tenant = match (&token.tenants, tenant()) {
            (Tenants::Fixed(tenant), _) => tenant.clone(),
            (Tenants::Any, asked) => asked.map_err(Denied::Tenant)?,
            (Tenants::Listed(allowed), Err(BadTenant::Missing)) => match allowed.as_slice() {
                [only] => only.clone(),
                _ => return Err(Denied::Tenant(BadTenant::Missing)),
            },
            (Tenants::Listed(allowed), asked) => {
                let asked = asked.map_err(Denied::Tenant)?;
                if !allowed.contains(&asked) {
                    return Err(Denied::Forbidden);
                }
                asked
            }
        };
        Ok(Caller { tenant, roles: token.roles })
    }
}

impl KnownToken {
    fn new(token: &Token) -> Result<Self, BadToken> {
        let name = token.name.clone();
        let digest = match &token.secret {
            Secret::Plain(secret) if secret.is_empty() => return Err(BadToken::EmptySecret(name)),
            Secret::Plain(secret) => Sha256::digest(secret).into(),
            Secret::Sha256(hex) => match from_hex(hex.trim()) {
                Some(digest) => digest,
                None => return Err(BadToken::NotSha256(name)),
            },
        };
        if matches!(&token.tenants, Tenants::Listed(tenants) if tenants.is_empty()) {
            return Err(BadToken::NoTenant(name));
        }
        Ok(KnownToken { digest, name, tenants: token.tenants.clone(), roles: token.roles })
    }
}

/// What a caller shows to prove who it is.
struct Shown {
    /// The user name of basic authentication.
    user: Option<String>,
    digest: [u8; 32],
}

impl Shown {
    fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, credentials) = value.split_once(' ')?;
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Shown { user: None, digest: Sha256::digest(credentials.trim()).into() });
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = String::from_utf8(BASE64.decode(credentials.trim()).ok()?).ok()?;
        let (user, password) = decoded.split_once(':')?;
        Some(Shown { user: Some(user.to_owned()), digest: Sha256::digest(password).into() })
    }

    /// The token with this secret; the time it takes does not depend on which one it is.
    fn find<'t>(&self, tokens: &'t [KnownToken]) -> Option<&'t KnownToken> {
        let mut found = u64::MAX;
        for (at, token) in (0_u64..).zip(tokens) {
            let is_user = self.user.as_ref().is_none_or(|user| *user == token.name);
            let is_match = token.digest.ct_eq(&self.digest) & Choice::from(u8::from(is_user));
            found.conditional_assign(&at, is_match);
        }
        tokens.get(usize::try_from(found).ok()?)
    }
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(high << 4 | low),
            _ => None,
        })
        .collect::<Option<_>>()?;
    bytes.try_into().ok()
}

/// Puts authentication before every route of `router`.
pub fn layer(router: Router, authenticator: Authenticator) -> Router {
    router.layer(middleware::from_fn_with_state(authenticator, authenticate))
}

async fn authenticate(
    State(authenticator): State<Authenticator>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(addr)| addr.ip());
    match authenticator.admit(request.headers(), peer, Instant::now()) {
        // The metrics tell about every tenant; whoever may only push has no business there.
        Ok(caller) if request.uri().path() == "/metrics" && !caller.roles.read => {
            Denied::Forbidden.into_response()
        }
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(denied) => denied.into_response(),
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let (status, text) = match &self {
            Denied::Nobody | Denied::Unknown => {
                (StatusCode::UNAUTHORIZED, "authentication required".to_owned())
            }
            Denied::Throttled(_) => {
                (StatusCode::TOO_MANY_REQUESTS, "too many wrong credentials, try again later".to_owned())
            }
            Denied::Tenant(BadTenant::Missing) => (StatusCode::UNAUTHORIZED, BadTenant::Missing.to_string()),
            Denied::Tenant(bad) => (StatusCode::BAD_REQUEST, bad.to_string()),
            Denied::Forbidden => (StatusCode::FORBIDDEN, "this token does not allow that".to_owned()),
        };
        let headers = [
            (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        let mut response = (status, headers, format!("{text}\n")).into_response();
        let headers = response.headers_mut();
        match self {
            Denied::Nobody | Denied::Unknown => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
            }
            Denied::Throttled(wait) => {
                headers.insert(header::RETRY_AFTER, wait.as_secs().max(1).into());
            }
            Denied::Tenant(_) | Denied::Forbidden => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    fn authenticator() -> Authenticator {
        let roles = Roles { push: true, ..Roles::default() };
        let token = |name: &str, secret, tenants| Token { name: name.into(), secret, tenants, roles };
        // SHA-256 of "hashed".
        let hashed = Sha256::digest("hashed").iter().map(|byte| format!("{byte:02x}")).collect();
        Authenticator::new(&Settings {
            tokens: vec![
                token("fixed", Secret::Plain("s3cret".into()), Tenants::Fixed(id("a"))),
                token("listed", Secret::Sha256(hashed), Tenants::Listed(vec![id("a"), id("b")])),
                token("any", Secret::Plain("any".into()), Tenants::Any),
            ],
            multitenant: false,
        })
        .unwrap()
    }

    fn ask(authorization: &str, tenant: &str) -> Result<String, Denied> {
        let mut headers = HeaderMap::new();
        if !authorization.is_empty() {
            headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
        }
        if !tenant.is_empty() {
            headers.insert(TENANT_HEADER, tenant.parse().unwrap());
        }
        authenticator().identify(&headers).map(|caller| caller.tenant.to_string())
    }

    #[test]
    fn only_the_right_secret_opens_the_door() {
        assert_eq!(ask("", ""), Err(Denied::Nobody));
        assert_eq!(ask("Bearer wrong", ""), Err(Denied::Unknown));
        assert_eq!(ask("Bearer s3cret", "").as_deref(), Ok("a"));
        assert_eq!(ask("bearer hashed", "b").as_deref(), Ok("b"));
        let basic = |pair: &str| format!("Basic {}", BASE64.encode(pair));
        assert_eq!(ask(&basic("fixed:s3cret"), "").as_deref(), Ok("a"));
        assert_eq!(ask(&basic("listed:s3cret"), ""), Err(Denied::Unknown));
        assert_eq!(ask("Basic !!", ""), Err(Denied::Unknown));
    }

    #[test]
    fn a_guesser_is_told_to_wait_even_when_it_hits() {
        let (authenticator, now) = (authenticator(), Instant::now());
        let guess = |secret: &str, peer: &str| {
            let value = format!("Bearer {secret}").parse().unwrap();
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
            authenticator.admit(&headers, Some(peer.parse().unwrap()), now).map(|_| ())
        };
        for _ in 0..20 {
            assert_eq!(guess("wrong", "192.0.2.1"), Err(Denied::Unknown));
        }
        let refused = guess("s3cret", "192.0.2.1").unwrap_err();
        assert_eq!(guess("s3cret", "192.0.2.2"), Ok(()));
        let answer = refused.into_response();
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.headers()[header::RETRY_AFTER], "60");
    }

    #[test]
    fn the_tenant_is_what_the_token_allows() {
        assert_eq!(ask("Bearer s3cret", "b").as_deref(), Ok("a"));
        assert_eq!(ask("Bearer hashed", "c"), Err(Denied::Forbidden));
        assert_eq!(ask("Bearer hashed", ""), Err(Denied::Tenant(BadTenant::Missing)));
        assert_eq!(ask("Bearer any", "c").as_deref(), Ok("c"));
        assert_eq!(ask("Bearer any", "a|b"), Err(Denied::Tenant(BadTenant::Multiple)));
    }

    #[test]
    fn without_tokens_everybody_is_the_single_tenant_unless_told_otherwise() {
        let headers = HeaderMap::from_iter([(TENANT_HEADER.parse().unwrap(), "x".parse().unwrap())]);
        let open = Authenticator::new(&Settings::default()).unwrap();
        let caller = open.identify(&headers).unwrap();
        assert_eq!((caller.tenant.as_str(), caller.roles.admin), ("fake", true));
        let multi = Authenticator::new(&Settings { multitenant: true, tokens: vec![] }).unwrap();
        assert_eq!(multi.identify(&headers).unwrap().tenant.as_str(), "x");
        let missing = multi.identify(&HeaderMap::new()).unwrap_err();
        assert_eq!(missing.into_response().status(), StatusCode::UNAUTHORIZED);
    }

    #[test]
    fn senseless_tokens_are_refused_at_the_start() {
        let with = |secret, tenants| {
            let token = Token { name: "t".into(), secret, tenants, roles: Roles::default() };
            Authenticator::new(&Settings { tokens: vec![token], multitenant: false }).unwrap_err()
        };
        let fixed = Tenants::default;
        assert_eq!(with(Secret::Plain(String::new()), fixed()), BadToken::EmptySecret("t".into()));
        assert_eq!(with(Secret::Sha256("abc".into()), fixed()), BadToken::NotSha256("t".into()));
        assert_eq!(with(Secret::Plain("x".into()), Tenants::Listed(vec![])), BadToken::NoTenant("t".into()));
    }
}
