//! A small HTTP client for other services on this machine.

use std::sync::OnceLock;

use axum::http::{HeaderValue, Method, Request, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

/// The largest answer that is read, in bytes: a pre-image of 10 MiB as a JSON array of numbers.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The other side was not reached: nothing can have happened.
    #[error("{url} can't be reached")]
    NotReached {
        /// Where it was tried.
        url: String,
    },
    /// It was reached, and the answer didn't come or broke off.
    #[error("{url} broke off: {why}")]
    Broken {
        /// Where it was tried.
        url: String,
        /// What happened.
        why: String,
    },
}

/// What a call says of its caller.
#[derive(Debug, Clone, Copy, Default)]
pub struct Introduction<'a> {
    /// A bearer token.
    pub token: Option<&'a str>,
    /// Ties the call to the request that it is made for.
    pub correlation_id: Option<&'a str>,
}

fn client() -> &'static Client<HttpConnector, Full<Bytes>> {
    static CLIENT: OnceLock<Client<HttpConnector, Full<Bytes>>> = OnceLock::new();
    CLIENT.get_or_init(|| Client::builder(TokioExecutor::new()).build_http())
}

/// `GET url`
///
/// # Errors
/// See [`CallError`].
pub async fn get(url: &str, by: Introduction<'_>) -> Result<(StatusCode, Bytes), CallError> {
    call(Method::GET, url, by, Bytes::new()).await
}

/// `POST url` with a JSON body.
///
/// # Errors
/// See [`CallError`].
pub async fn post(url: &str, by: Introduction<'_>, body: Bytes) -> Result<(StatusCode, Bytes), CallError> {
    call(Method::POST, url, by, body).await
}

async fn call(
    method: Method,
    url: &str,
    by: Introduction<'_>,
    body: Bytes,
) -> Result<(StatusCode, Bytes), CallError> {
    let broken = |why: String| CallError::Broken { url: url.to_owned(), why };
    let mut request =
        Request::builder().method(method).uri(url).header(header::CONTENT_TYPE, "application/json");
    if let Some(token) = by.token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    // One that can't be a header is in the body too.
    let correlation_id = by.correlation_id.and_then(|id| HeaderValue::from_bytes(id.as_bytes()).ok());
    if let Some(correlation_id) = correlation_id {
        request = request.header("X-Correlation-ID", correlation_id);
    }
    let request = request.body(Full::new(body)).map_err(|e| broken(e.to_string()))?;
    let response = client().request(request).await.map_err(|e| {
        if e.is_connect() { CallError::NotReached { url: url.to_owned() } } else { broken(e.to_string()) }
    })?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
    Ok((status, body.map_err(|e| broken(e.to_string()))?.to_bytes()))
}
