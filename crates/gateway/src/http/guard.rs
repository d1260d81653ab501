//! Who may: every request passes here first.
//!
//! Local is not safe: any web page can reach a loopback port, so `Host` and `Origin` are checked even
//! when authentication is off. Then size, token, scope and rate; only then a route sees the request.

use std::{net::IpAddr, num::NonZeroU32, sync::Arc};

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, Method, Response, header},
    middleware::Next,
};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use steadyhand_core::{
    caller::{Caller, Scope},
    chance::Entropy,
    id::CorrelationId,
    time::Clock,
};

use super::{
    problem::{Problem, Service},
    route::{Access, Route, is_known},
};
use crate::{auth::tokens::TokenStore, wire::fields::Fields};

/// The longest correlation id that is taken from a caller, in bytes.
const CORRELATION_BYTES_MAX: usize = 200;

/// Whether callers must show a token.
#[derive(Clone)]
pub enum Auth {
    /// Everybody is the operator. Loopback only.
    Off,
    /// A bearer token decides who it is.
    On(Arc<TokenStore>),
}

/// The bounds of every service.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The largest body, in bytes.
    pub body_bytes_max: usize,
    /// The largest headers, in bytes, names and values together.
    pub header_bytes_max: usize,
    /// Requests a second and caller; `None`: unlimited.
    pub requests_per_second: Option<NonZeroU32>,
    /// Connections of a service at once.
    pub connections_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        const MIB: usize = 1 << 20;
        Self {
            body_bytes_max: 24 * MIB,
            header_bytes_max: 32 * 1024,
            requests_per_second: None,
            connections_max: 1024,
        }
    }
}

/// What the guard of one service knows.
pub struct Guard {
    /// The service, for the shape of its errors.
    pub service: Service,
    /// Its routes.
    pub routes: &'static [Route],
    /// Whether callers must show a token.
    pub auth: Auth,
    /// The bounds.
    pub bounds: Bounds,
    /// Names beside loopback that `Host` may carry, lower case.
    pub hosts: Vec<String>,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// Chance, for correlation ids.
    pub entropy: Arc<dyn Entropy>,
    limiter: Option<DefaultKeyedRateLimiter<String>>,
}

impl Guard {
    /// Makes the guard of a service.
    #[must_use]
    pub fn new(
        service: Service,
        routes: &'static [Route],
        auth: Auth,
        bounds: Bounds,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let limiter = bounds.requests_per_second.map(|n| RateLimiter::keyed(Quota::per_second(n)));
        Self { service, routes, auth, bounds, hosts: Vec::new(), clock, entropy, limiter }
    }

    /// The caller's correlation id, or a new one.
    fn correlation(&self, headers: &HeaderMap) -> CorrelationId {
        headers
            .get("x-correlation-id")
            .and_then(|v| std::str::from_utf8(v.as_bytes()).ok())
            .filter(|v| !v.is_empty() && v.len() <= CORRELATION_BYTES_MAX)
            .map_or_else(|| CorrelationId::mint(&*self.entropy), CorrelationId::from)
    }

    fn check(&self, request: &Request) -> Result<Caller, Problem> {
        let headers = request.headers();
        let size: usize = headers.iter().map(|(k, v)| k.as_str().len() + v.len() + 4).sum();
        if size > self.bounds.header_bytes_max {
            return Err(Problem::HeadersTooLarge(self.bounds.header_bytes_max));
        }
        // Of two, another program might look at the other.
        for name in [header::HOST, header::ORIGIN, header::AUTHORIZATION] {
            if headers.get_all(&name).iter().count() > 1 {
                return Err(Problem::Forbidden(format!("there is more than one {name} header")));
            }
        }
        self.check_host(headers)?;
        self.check_origin(headers)?;
        let too_long = |n: u64| n > self.bounds.body_bytes_max as u64;
        let length = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok());
        if length.and_then(|v| v.parse().ok()).is_some_and(too_long) {
            return Err(Problem::BodyTooLarge(self.bounds.body_bytes_max));
        }
        let caller = self.admit(request)?;
        if let Some(limiter) = &self.limiter
            && limiter.check_key(&caller.name).is_err()
        {
            return Err(Problem::RateLimited(1));
        }
        Ok(caller)
    }

    /// The caller, if it may do what the route does.
    fn admit(&self, request: &Request) -> Result<Caller, Problem> {
        let Auth::On(tokens) = &self.auth else { return Ok(Caller::operator()) };
        let access = self.access(request);
        if access == Some(Access::Open) || access.is_none() {
            // Open to all; and a path that isn't there says so to all.
            return Ok(Caller { name: "anonymous".to_owned(), scopes: Vec::new() });
        }
        let bearer = request
            .headers()
            .get(header::AUTHORIZATION)
            .ok_or(Problem::Unauthenticated(
                "a bearer token is needed; `steadyhand token show agent` prints one",
            ))?
            .to_str()
            .ok()
            .and_then(|v| v.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .ok_or(Problem::Unauthenticated("the Authorization header is not `Bearer <token>`"))?;
        let caller = tokens
            .authenticate(bearer)
            .ok_or(Problem::Unauthenticated("no such token; it may have been rotated"))?;
        let needed = match access {
            Some(Access::NeedsUnlessDryRun(_)) if is_dry_run(request) => Scope::Read,
            Some(Access::Needs(scope) | Access::NeedsUnlessDryRun(scope)) => scope,
            Some(Access::ServiceOrAdmin) if caller.may(Scope::Service) => return Ok(caller),
            _ => Scope::Admin,
        };
        if caller.may(needed) {
            return Ok(caller);
        }
        let scope = format!("{needed:?}").to_lowercase();
        Err(Problem::Forbidden(format!("the token `{}` lacks the scope `{scope}`", caller.name)))
    }

    fn access(&self, request: &Request) -> Option<Access> {
        let path = request.extensions().get::<MatchedPath>()?.as_str();
        let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
        self.routes.iter().find(|r| r.path == path && r.method == *method).map(|r| r.access)
    }

    /// A page of another host that was made to resolve to loopback still names its own host.
    fn check_host(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let host = headers.get(header::HOST).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if self.is_ours(host) {
            return Ok(());
        }
        Err(Problem::Forbidden("the Host header names another host".to_owned()))
    }

    fn check_origin(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
        let authority = origin.to_str().ok().and_then(|o| o.split_once("://")).map(|(_, a)| a);
        if authority.is_some_and(|a| self.is_ours(a)) {
            return Ok(());
        }
        Err(Problem::Forbidden("the Origin header names another site".to_owned()))
    }

    fn is_ours(&self, authority: &str) -> bool {
        let name = host_of(authority);
        let loopback = name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        loopback
            || name.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|h| h.eq_ignore_ascii_case(name))
    }
}

/// The host of `host:port`, brackets of an IPv6 address taken off.
fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split_once(']').map_or("", |(host, _)| host);
    }
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

fn is_dry_run(request: &Request) -> bool {
    Fields::of_query(request.uri().query().unwrap_or_default()).boolean("dry_run", false)
}

/// The middleware: lets a request through with its [`Caller`] and [`CorrelationId`], or answers itself.
pub async fn guard(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response<Body> {
    let correlation = guard.correlation(request.headers());
    let path = request.uri().path();
    match guard.check(&request) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            request.extensions_mut().insert(correlation);
            next.run(request).await
        }
        Err(problem) => problem.answer(guard.service, path, &correlation, guard.clock.now()),
    }
}

/// The answer to a path that no route has: one slash too many is redirected (contract 0.4).
pub fn unknown_path(guard: &Guard, request: &Request) -> Response<Body> {
    let uri = request.uri();
    let trimmed = uri.path().trim_end_matches('/');
    if trimmed != uri.path() && is_known(guard.routes, trimmed) && !trimmed.starts_with("//") {
        let query = uri.query().map(|q| format!("?{q}")).unwrap_or_default();
        if let Ok(location) = format!("{trimmed}{query}").parse::<axum::http::HeaderValue>() {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = axum::http::StatusCode::TEMPORARY_REDIRECT;
            response.headers_mut().insert(header::LOCATION, location);
            return response;
        }
    }
    let correlation = guard.correlation(request.headers());
    Problem::NotFound.answer(guard.service, uri.path(), &correlation, guard.clock.now())
}

#[cfg(test)]
mod tests {
    use super::host_of;

    #[test]
    fn hosts_are_taken_out_of_authorities() {
        for (authority, host) in [
            ("127.0.0.1:7000", "127.0.0.1"),
            ("localhost", "localhost"),
            ("[::1]:7000", "::1"),
            ("[::1", ""),
            ("evil.example:80", "evil.example"),
            ("a:b:c", "a:b:c"),
            ("", ""),
        ] {
            assert_eq!(host_of(authority), host, "{authority}");
        }
    }
}
