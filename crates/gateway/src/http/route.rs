//! A service's routes as a table: what the guard asks of a caller, what OpenAPI says, and which path is
//! meant when one comes with a slash too many.

use axum::http::Method;
use steadyhand_core::caller::Scope;

/// What a route asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing: the health trio.
    Open,
    /// A token with this scope.
    Needs(Scope),
    /// A token with this scope, or with `read` when the query says `dry_run`.
    NeedsUnlessDryRun(Scope),
    /// The gateway's own token, or `admin`.
    ServiceOrAdmin,
}

/// One route.
#[derive(Debug, Clone)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with `{name}` for a segment that varies.
    pub path: &'static str,
    /// What it asks of its caller.
    pub access: Access,
    /// What it does, in one sentence.
    pub summary: &'static str,
}

/// A route that reads.
#[must_use]
pub const fn get(path: &'static str, access: Access, summary: &'static str) -> Route {
    Route { method: Method::GET, path, access, summary }
}

/// A route that acts.
#[must_use]
pub const fn post(path: &'static str, access: Access, summary: &'static str) -> Route {
    Route { method: Method::POST, path, access, summary }
}

/// Whether `path` is one of `routes`.
#[must_use]
pub fn is_known(routes: &[Route], path: &str) -> bool {
    routes.iter().any(|route| matches(route.path, path))
}

fn matches(pattern: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(w), Some(g)) if w == g || (w.starts_with('{') && !g.is_empty()) => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_paths_only() {
        for (pattern, path, matched) in [
            ("/status", "/status", true),
            ("/status", "/status/", false),
            ("/v1/actions/{id}", "/v1/actions/act_1", true),
            ("/v1/actions/{id}", "/v1/actions/", false),
            ("/v1/actions/{id}", "/v1/actions/a/b", false),
            ("/", "/", true),
        ] {
            assert_eq!(matches(pattern, path), matched, "{pattern} {path}");
        }
    }
}
