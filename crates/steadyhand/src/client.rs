//! A client of the gateway: small, bounded, HTTP only.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, Request, header};
use hyper_util::{
    client::legacy::{Client as Http, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use steadyhand_gateway::auth::tokens::Secret;

mod answer;
mod connect;

pub(crate) use answer::{Answer, exit_of_action};

use crate::{exit::Exit, fault::Fault};

/// Largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an answer may take that doesn't wait for an action.
pub(crate) const LOOK: Duration = Duration::from_secs(15);
/// How long an answer may take that waits for an action: its longest deadline, and some.
pub(crate) const RUN: Duration = Duration::from_secs(630);

/// Speaks to one gateway as one caller.
pub(crate) struct Client {
    base: String,
    token: Option<Secret>,
    /// Why there is no token, for when the gateway wants one.
    no_token: Option<String>,
    http: Http<HttpConnector, Full<Bytes>>,
}

/// A call: what, with what, and how long it may take.
#[derive(Debug, Clone)]
pub(crate) struct Call<'a> {
    method: Method,
    path: &'a str,
    body: Option<&'a Value>,
    correlation_id: Option<&'a str>,
    within: Duration,
}

impl<'a> Call<'a> {
    /// A look at `path`, query included.
    pub(crate) fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, body: None, correlation_id: None, within: LOOK }
    }

    /// A change at `path` that may take as long as an action does.
    pub(crate) fn post(path: &'a str) -> Self {
        Self { method: Method::POST, path, body: None, correlation_id: None, within: RUN }
    }

    /// The same call with a JSON body.
    pub(crate) fn body(mut self, body: &'a Value) -> Self {
        self.body = Some(body);
        self
    }

    /// The same call under a correlation id of ours.
    pub(crate) fn correlation_id(mut self, id: &'a str) -> Self {
        self.correlation_id = Some(id);
        self
    }

    /// The same call with less time.
    pub(crate) fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }
}

impl Client {
    /// A client of the gateway at `base`, such as `http://127.0.0.1:7000`.
    pub(crate) fn new(base: String, token: Option<Secret>, no_token: Option<String>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let http = Http::builder(TokioExecutor::new()).build(connector);
        Self { base, token, no_token, http }
    }

    /// The gateway's address.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Makes a call and takes any answer that is JSON.
    ///
    /// # Errors
    /// When nobody answers, not in time, or not as a gateway does.
    pub(crate) async fn send(&self, call: Call<'_>) -> Result<Answer, Fault> {
        let within = call.within;
        tokio::time::timeout(within, self.exchange(call)).await.unwrap_or_else(|_| {
            let message = format!("{} gave no answer within {} s", self.base, within.as_secs());
            Err(Fault::new(Exit::NotReachable, message)
                .advise("what was asked for may still happen: see `steadyhand actions`"))
        })
    }

    /// Makes a call and takes only success.
    ///
    /// # Errors
    /// As [`Self::send`], and what the gateway refuses.
    pub(crate) async fn ask(&self, call: Call<'_>) -> Result<Value, Fault> {
        self.taken(self.send(call).await?)
    }

    /// The body of a success.
    ///
    /// # Errors
    /// What the gateway refuses.
    pub(crate) fn taken(&self, answer: Answer) -> Result<Value, Fault> {
        answer.success(self.no_token.as_deref())
    }

    async fn exchange(&self, call: Call<'_>) -> Result<Answer, Fault> {
        let request = self.request(&call)?;
        let response = self.http.request(request).await.map_err(|error| {
            if error.is_connect() {
                let message = format!("no gateway answers at {}", self.base);
                Fault::new(Exit::NotReachable, message).advise("start it with `steadyhand up`")
            } else {
                let message = format!("{} broke off: {}", self.base, innermost(&error));
                Fault::new(Exit::NotReachable, message)
                    .advise("what was asked for may have happened: see `steadyhand actions`")
            }
        })?;
        let status = response.status().as_u16();
        let retry_after =
            response.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(|error| {
            let message = format!("the answer of {} can't be read: {error}", self.base);
            Fault::new(Exit::Failed, message)
        })?;
        let bytes = body.to_bytes();
        let body = if bytes.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&bytes) };
        let body = body.map_err(|_| {
            let message = format!("{} answers, but not as Steadyhand does", self.base);
            Fault::new(Exit::NotReachable, message)
                .advise("another program may have the port: see `steadyhand doctor`")
        })?;
        Ok(Answer { status, body, retry_after })
    }

    fn request(&self, call: &Call<'_>) -> Result<Request<Full<Bytes>>, Fault> {
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(format!("{}{}", self.base, call.path))
            .header(header::ACCEPT, "application/json");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose()));
        }
        if let Some(id) = call.correlation_id {
            request = request.header("x-correlation-id", id);
        }
        let body = call.body.map(Value::to_string);
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        request.body(Full::new(Bytes::from(body.unwrap_or_default()))).map_err(|error| {
            Fault::new(Exit::Usage, format!("`{}{}` can't be asked for: {error}", self.base, call.path))
        })
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// `text` as one segment of a path or one value of a query.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_and_values_are_encoded() {
        for (text, encoded) in [
            ("act_0123", "act_0123"),
            ("../x", "..%2Fx"),
            ("a b&c=d?e#f", "a%20b%26c%3Dd%3Fe%23f"),
            ("ü", "%C3%BC"),
            ("", ""),
        ] {
            assert_eq!(encode(text), encoded);
        }
    }
}
