//! A client that shows everything of an answer, and can send what no orderly client sends.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Whose token a call shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// May everything but execute directly.
    Operator,
    /// May read and act.
    Agent,
    /// The gateway's own.
    Service,
    /// This text.
    Text(String),
    /// None.
    None,
}

/// An answer, whole.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body as it came.
    pub(crate) text: String,
    /// The body as JSON; null where it is none.
    pub(crate) body: Value,
}

impl Answer {
    /// The body, of an answer that must be 200.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.body
    }

    /// A header, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }
}

/// A call that is being put together.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl Call {
    /// A call without a body.
    pub(crate) fn new(method: Method, path: &str) -> Self {
        Self { method, path: path.to_owned(), headers: Vec::new(), body: Bytes::new() }
    }

    /// `GET`.
    pub(crate) fn get(path: &str) -> Self {
        Self::new(Method::GET, path)
    }

    /// `POST` with a JSON body.
    pub(crate) fn post(path: &str, body: &Value) -> Self {
        Self::new(Method::POST, path).text(&body.to_string())
    }

    /// With this body, whatever it is.
    pub(crate) fn text(mut self, body: &str) -> Self {
        self.body = Bytes::copy_from_slice(body.as_bytes());
        self
    }

    /// With this header, also instead of one that would be sent anyway.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_lowercase(), value.to_owned()));
        self
    }
}

/// Speaks with one service, with one token.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// The service's port.
    pub(crate) port: u16,
    /// The token that is shown, if any.
    pub(crate) bearer: Option<String>,
}

impl Client {
    /// Sends a call on a connection of its own.
    pub(crate) async fn send(&self, call: Call) -> Answer {
        self.try_send(call).await.unwrap_or_else(|error| panic!("port {}: {error}", self.port))
    }

    /// Sends a call whose answer may not come.
    pub(crate) async fn try_send(&self, call: Call) -> Result<Answer, String> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.map_err(|e| e.to_string())?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.map_err(|e| e.to_string())?;
        tokio::spawn(connection);
        let given = |name: &str| call.headers.iter().any(|(k, _)| k == name);
        let mut request = Request::builder().method(call.method.clone()).uri(&call.path);
        if !given("host") {
            request = request.header("host", format!("127.0.0.1:{}", self.port));
        }
        if !given("content-type") && !call.body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        if let Some(bearer) = self.bearer.as_ref().filter(|_| !given("authorization")) {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(call.body)).map_err(|e| e.to_string())?;
        let response = sender.send_request(request).await.map_err(|e| format!("{e:?}"))?;
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.map_err(|e| format!("{e:?}"))?.to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, text, body })
    }

    /// `GET path`
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Call::get(path)).await
    }

    /// `POST path` with a JSON body.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Call::post(path, &body)).await
    }

    /// `POST path` without a body.
    pub(crate) async fn act(&self, path: &str) -> Answer {
        self.send(Call::new(Method::POST, path)).await
    }

    /// Sends bytes as they are and reads until the other side closes.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // A reset after the answer is an end, too.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Sends a whole request and hangs up without reading a byte of the answer.
    pub(crate) async fn hang_up_after(&self, path: &str, body: &Value) {
        let body = body.to_string();
        let bearer = self.bearer.as_ref().map(|b| format!("authorization: Bearer {b}\r\n"));
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{}content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            bearer.unwrap_or_default(),
            body.len(),
        );
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
    }
}
