//! Who may talk to the server: tokens with tenants and roles. Secrets never show in `Debug` output.

use std::fmt;

use crate::{api::caller::Roles, model::TenantId};

/// What the operator may set about authentication.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The tokens. None means that authentication is off and everybody may do everything.
    pub tokens: Vec<Token>,
    /// Without tokens: honour `X-Scope-OrgID` and demand it, as Loki does with `auth_enabled`.
    pub multitenant: bool,
}

impl Settings {
    /// Whether callers must show a token.
    pub fn is_on(&self) -> bool {
        !self.tokens.is_empty()
    }
}

/// One bearer token, or the user name and password of basic authentication.
#[derive(Clone, Debug)]
pub struct Token {
    /// The name in messages, and the user name of basic authentication.
    pub name: String,
    /// What the caller must know.
    pub secret: Secret,
    /// Whose data the token opens.
    pub tenants: Tenants,
    /// What the token allows.
    pub roles: Roles,
}

/// A token's secret, as itself or as its SHA-256.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The secret itself.
    Plain(String),
    /// 64 hexadecimal digits: the SHA-256 of the secret.
    Sha256(String),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Secret::Plain(_) => "Plain(…)",
            Secret::Sha256(_) => "Sha256(…)",
        })
    }
}

/// Which tenants a token opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tenants {
    /// This one, whatever `X-Scope-OrgID` says.
    Fixed(TenantId),
    /// The one `X-Scope-OrgID` names, if it is in the list; the header may be left out if the list has one name.
    Listed(Vec<TenantId>),
    /// Whichever `X-Scope-OrgID` names.
    Any,
}

impl Default for Tenants {
    fn default() -> Self {
        Tenants::Fixed(TenantId::single())
    }
}
