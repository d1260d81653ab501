//! The load generator: each connection sends its next request when the last is answered.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Makes a request from the token, the connection's number and the request's number on it.
pub(crate) type Make = fn(&str, usize, u64) -> Vec<u8>;

/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// What a round came to.
pub(crate) struct Figures {
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) errors: u64,
}

impl Figures {
    pub(crate) fn of(latencies_us: &Histogram<u64>, took: Duration, errors: u64) -> Self {
        let ms = |quantile| latencies_us.value_at_quantile(quantile) as f64 / 1e3;
        let per_second = latencies_us.len() as f64 / took.as_secs_f64();
        Self { per_second, p50_ms: ms(0.5), p99_ms: ms(0.99), errors }
    }
}

/// Sends requests over `connections` for `length`. An answer that isn't `"ok":true` with status 200 is an
/// error and doesn't count as done.
pub(crate) async fn run(
    port: u16,
    connections: usize,
    length: Duration,
    request: impl Fn(usize, u64) -> Vec<u8> + Send + Sync + 'static,
) -> anyhow::Result<Figures> {
    let request = Arc::new(request);
    let mut workers = tokio::task::JoinSet::new();
    let began = Instant::now();
    for worker in 0..connections {
        let request = Arc::clone(&request);
        workers.spawn(async move { one(port, worker, began + length, &*request).await });
    }
    let mut all = Histogram::new(3)?;
    let mut errors = 0;
    while let Some(done) = workers.join_next().await {
        let (latencies, failed) = done??;
        all.add(&latencies)?;
        errors += failed;
    }
    Ok(Figures::of(&all, began.elapsed(), errors))
}

async fn one(
    port: u16,
    worker: usize,
    end: Instant,
    request: &(impl Fn(usize, u64) -> Vec<u8> + Sync),
) -> anyhow::Result<(Histogram<u64>, u64)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let mut latencies = Histogram::new(3)?;
    let mut errors = 0;
    let mut buffer = Vec::with_capacity(16 * 1024);
    for n in 0.. {
        let bytes = request(worker, n);
        let sent = Instant::now();
        if sent >= end {
            break;
        }
        stream.write_all(&bytes).await?;
        if answered_ok(&mut stream, &mut buffer).await? {
            latencies.record(u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX))?;
        } else {
            errors += 1;
        }
    }
    Ok((latencies, errors))
}

/// Reads one answer; whether it says that all went well.
async fn answered_ok(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<bool> {
    buffer.clear();
    let head = loop {
        if let Some(at) = find(buffer, b"\r\n\r\n") {
            break at + 4;
        }
        fill(stream, buffer).await?;
    };
    let text = std::str::from_utf8(&buffer[..head])?.to_ascii_lowercase();
    let length: usize = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .context("an answer without a length")?
        .trim()
        .parse()?;
    while buffer.len() < head + length {
        fill(stream, buffer).await?;
    }
    let body = &buffer[head..];
    Ok(text.starts_with("http/1.1 200") && find(&body[..body.len().min(64)], b"\"ok\":true").is_some())
}

async fn fill(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<()> {
    if buffer.len() > ANSWER_BYTES_MAX || stream.read_buf(buffer).await? == 0 {
        bail!("the connection broke off");
    }
    Ok(())
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// An HTTP request with a JSON body.
pub(crate) fn post(path: &str, token: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
