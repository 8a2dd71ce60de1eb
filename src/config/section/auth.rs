//! `auth`: who may talk to the server.

use std::path::PathBuf;

use serde::Deserialize;

use super::Context;
use crate::{
    api::{
        auth::{Secret, Settings, Tenants, Token},
        caller::Roles,
    },
    config::value::Hidden,
    model::TenantId,
};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Raw {
    insecure_no_auth: Option<bool>,
    multitenant: Option<bool>,
    tokens: Vec<RawToken>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawToken {
    name: Option<String>,
    secret: Option<Hidden>,
    secret_file: Option<PathBuf>,
    secret_sha256: Option<Hidden>,
    tenants: Option<Vec<String>>,
    roles: Option<Vec<String>>,
}

/// The settings, and whether an open door without authentication is allowed.
pub(super) fn fill(raw: Raw, context: &mut Context<'_>) -> (Settings, bool) {
    let tokens = raw.tokens.into_iter().enumerate().filter_map(|(at, raw)| token(at, raw, context)).collect();
    let settings = Settings { tokens, multitenant: raw.multitenant.unwrap_or(false) };
    (settings, raw.insecure_no_auth.unwrap_or(false))
}

fn token(at: usize, raw: RawToken, context: &mut Context<'_>) -> Option<Token> {
    let key = format!("auth.tokens[{at}]");
    let secret = secret(&key, raw.secret, raw.secret_file, raw.secret_sha256, context);
    let tenants = tenants(&key, raw.tenants, context);
    let roles = roles(&key, raw.roles, context);
    let Some(name) = raw.name.filter(|name| !name.is_empty()) else {
        context.wrong(
            &format!("{key}.name"),
            "is missing",
            "give every token a name; it is basic auth's user name",
        );
        return None;
    };
    Some(Token { name, secret: secret?, tenants: tenants?, roles: roles? })
}

fn secret(
    key: &str,
    plain: Option<Hidden>,
    file: Option<PathBuf>,
    sha256: Option<Hidden>,
    context: &mut Context<'_>,
) -> Option<Secret> {
    if let Some(Hidden(digits)) = sha256 {
        if plain.is_some() || file.is_some() {
            context.wrong(
                &format!("{key}.secret_sha256"),
                "another secret is set as well",
                "keep one of them",
            );
            return None;
        }
        if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            let mend = "make it with: printf %s SECRET | sha256sum";
            context.wrong(&format!("{key}.secret_sha256"), "not 64 hexadecimal digits", mend);
            return None;
        }
        return Some(Secret::Sha256(digits.to_ascii_lowercase()));
    }
    if plain.is_none() && file.is_none() {
        context.wrong(&format!("{key}.secret"), "is missing", "set secret, secret_file or secret_sha256");
        return None;
    }
    let secret = context.secret(&format!("{key}.secret"), plain, file)?;
    if secret.is_empty() {
        context.wrong(&format!("{key}.secret"), "is empty", "anybody could guess it");
        return None;
    }
    Some(Secret::Plain(secret))
}

fn tenants(key: &str, names: Option<Vec<String>>, context: &mut Context<'_>) -> Option<Tenants> {
    let Some(names) = names else { return Some(Tenants::default()) };
    if names.iter().any(|name| name == "*") {
        return Some(Tenants::Any);
    }
    let mut tenants = Vec::new();
    for name in &names {
        match TenantId::parse(name) {
            Ok(tenant) => tenants.push(tenant),
            Err(error) => context.wrong(&format!("{key}.tenants"), error, "name tenants, or '*' for all"),
        }
    }
    match tenants.as_slice() {
        [] => {
            context.wrong(&format!("{key}.tenants"), "names nobody", "name tenants, or '*' for all");
            None
        }
        [only] => Some(Tenants::Fixed(only.clone())),
        _ => Some(Tenants::Listed(tenants)),
    }
}

fn roles(key: &str, names: Option<Vec<String>>, context: &mut Context<'_>) -> Option<Roles> {
    let mut roles = Roles::default();
    let mend = "write some of: push, read, admin";
    let Some(names) = names.filter(|names| !names.is_empty()) else {
        context.wrong(&format!("{key}.roles"), "is missing", mend);
        return None;
    };
    for name in names {
        match name.as_str() {
            "push" => roles.push = true,
            "read" => roles.read = true,
            "admin" => roles.admin = true,
            _ => context.wrong(&format!("{key}.roles"), format!("unknown role '{name}'"), mend),
        }
    }
    Some(roles)
}
