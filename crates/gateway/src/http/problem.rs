//! What a caller hears when there is no better answer (contract 0.4): one set of problems, and each
//! service's own way to write them.

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};
use serde_json::{Value, json};
use steadyhand_core::{id::CorrelationId, store::StoreError, time::Timestamp};
use steadyhand_pipeline::PipelineError;

use crate::wire::{fields::Unfit, time};

/// Which service answers; it decides the shape of its errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// The front door.
    Gateway,
    /// The hands.
    Executor,
    /// The policy gate.
    Supervisor,
}

impl Service {
    /// The service's name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "api-gateway",
            Self::Executor => "openclaw",
            Self::Supervisor => "eva-os",
        }
    }

    /// The service's port, counted from the base.
    #[must_use]
    pub fn port_offset(self) -> u16 {
        match self {
            Self::Gateway => 0,
            Self::Executor => 40,
            Self::Supervisor => 50,
        }
    }
}

/// A request that gets no answer of its route.
#[derive(Debug, Clone, PartialEq)]
pub enum Problem {
    /// No such path.
    NotFound,
    /// The path doesn't take the method.
    MethodNotAllowed,
    /// The request doesn't fit the schema.
    Unfit(Unfit),
    /// No token, or a wrong one.
    Unauthenticated(&'static str),
    /// The token lacks the scope, or `Host` or `Origin` are wrong.
    Forbidden(String),
    /// The body is larger than this many bytes.
    BodyTooLarge(usize),
    /// The headers are larger than this many bytes.
    HeadersTooLarge(usize),
    /// The body came too slowly.
    TooSlow,
    /// The caller asks too often; the wait in seconds.
    RateLimited(u64),
    /// No room for more work now.
    Overloaded(String),
    /// A thing that isn't there, named in the sentence.
    Missing(String),
    /// A body or parameter that the service refuses in its own words.
    Refused(StatusCode, String),
    /// What should not happen; the sentence is for the log only.
    Internal(String),
}

impl From<Unfit> for Problem {
    fn from(unfit: Unfit) -> Self {
        Self::Unfit(unfit)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::DiskFull | StoreError::Overloaded(_) | StoreError::Closed => {
                Self::Overloaded(error.to_string())
            }
            StoreError::KeyTaken(_) | StoreError::Fatal(_) | StoreError::Corrupt(_) => {
                Self::Internal(error.to_string())
            }
        }
    }
}

impl From<PipelineError> for Problem {
    fn from(error: PipelineError) -> Self {
        match error {
            PipelineError::Overloaded(_) | PipelineError::Stopping => Self::Overloaded(error.to_string()),
            PipelineError::Journal(error) => error.into(),
        }
    }
}

impl Problem {
    /// Status, code and sentence.
    fn facts(&self) -> (StatusCode, &'static str, String) {
        match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "NOT_FOUND", "Not Found".to_owned()),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "Method Not Allowed".to_owned())
            }
            Self::Unfit(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "INVALID_ARGUMENT", "the request is unfit".to_owned())
            }
            Self::Unauthenticated(why) => (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", (*why).to_owned()),
            Self::Forbidden(why) => (StatusCode::FORBIDDEN, "FORBIDDEN", why.clone()),
            Self::BodyTooLarge(max) => {
                let message = format!("the body is larger than {max} bytes");
                (StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", message)
            }
            Self::HeadersTooLarge(max) => {
                let message = format!("the headers are larger than {max} bytes");
                (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "HEADERS_TOO_LARGE", message)
            }
            Self::TooSlow => {
                (StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT", "the body came too slowly".to_owned())
            }
            Self::RateLimited(_) => {
                (StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", "too many requests; wait".to_owned())
            }
            Self::Overloaded(why) => (StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED", why.clone()),
            Self::Missing(what) => (StatusCode::NOT_FOUND, "NOT_FOUND", what.clone()),
            Self::Refused(status, why) => (*status, "INVALID_ARGUMENT", why.clone()),
            Self::Internal(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", "Internal server error".to_owned())
            }
        }
    }

    /// Writes the problem as `service` does.
    #[must_use]
    pub fn answer(
        &self,
        service: Service,
        path: &str,
        correlation: &CorrelationId,
        now: Timestamp,
    ) -> Response<Body> {
        let (status, code, message) = self.facts();
        if let Self::Internal(detail) = self {
            tracing::error!(service = service.as_str(), path, %correlation, detail, "unexpected failure");
        }
        let body = match self {
            Self::NotFound | Self::MethodNotAllowed => json!({"detail": message}),
            Self::Unfit(Unfit(errors)) => json!({"detail": errors}),
            Self::Missing(_) => missing(service, &message, now),
            Self::Internal(_) => internal(service, path, correlation, &message, now),
            _ => match service {
                Service::Gateway => envelope(service, path, correlation, code, &message),
                Service::Executor | Service::Supervisor => json!({"detail": message}),
            },
        };
        let mut response = json_response(status, &body);
        let headers = response.headers_mut();
        if matches!(self, Self::Unauthenticated(_)) {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        let wait = match self {
            Self::RateLimited(seconds) => Some(*seconds),
            Self::Overloaded(_) => Some(1),
            _ => None,
        };
        if let Some(seconds) = wait {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

fn missing(service: Service, message: &str, now: Timestamp) -> Value {
    match service {
        Service::Gateway => json!({"ok": false, "error": {"code": "NOT_FOUND", "message": message}}),
        Service::Executor => {
            json!({"status": "error", "message": message, "timestamp": time::zulu(now)})
        }
        Service::Supervisor => json!({"detail": message}),
    }
}

fn internal(
    service: Service,
    path: &str,
    correlation: &CorrelationId,
    message: &str,
    now: Timestamp,
) -> Value {
    match service {
        Service::Gateway => envelope(service, path, correlation, "INTERNAL_ERROR", message),
        Service::Executor => {
            json!({"status": "error", "message": message, "timestamp": time::zulu(now)})
        }
        Service::Supervisor => {
            json!({"error": "internal_server_error", "message": message, "service": service.as_str()})
        }
    }
}

/// The envelope of contract 0.5, with an error in it.
fn envelope(service: Service, path: &str, correlation: &CorrelationId, code: &str, message: &str) -> Value {
    json!({
        "ok": false,
        "service": service.as_str(),
        "operation": path,
        "correlation_id": correlation,
        "duration_ms": 0,
        "data": null,
        "error": {"code": code, "message": message, "details": {}},
    })
}

/// A JSON answer.
#[must_use]
pub fn json_response(status: StatusCode, body: &Value) -> Response<Body> {
    json_bytes(status, serde_json::to_vec(body).expect("a JSON value can be written as JSON"))
}

/// A JSON answer that is written already.
#[must_use]
pub fn json_bytes(status: StatusCode, body: Vec<u8>) -> Response<Body> {
    let mut response = (status, body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
