//! The limits: what a bare server answers, and how often the bare disk replaces a file.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use axum::{Json, Router, routing::post};
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::load::{self, Figures};

/// A server that does nothing but parse a JSON body of the size of a plan and write one of the size of an
/// answer.
pub(crate) struct BareAxum {
    pub(crate) port: u16,
}

impl BareAxum {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let echo = |Json(body): Json<Value>| async move { Json(json!({"ok": true, "request": body})) };
        let router = Router::new().route("/echo", post(echo));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { port })
    }
}

pub(crate) fn echo_request() -> Vec<u8> {
    let body = json!({"intent": "file.write", "dry_run": true, "params": {"path": "bench.txt",
        "content": "x".repeat(300)}});
    load::post("/echo", "none", &body.to_string())
}

/// Replaces files as durably as `file.write` does, with nothing around it, on `writers` threads.
pub(crate) fn replace_loop(folder: &Path, writers: usize, length: Duration) -> anyhow::Result<Figures> {
    let began = Instant::now();
    let end = began + length;
    let all = std::thread::scope(|scope| -> anyhow::Result<Histogram<u64>> {
        let threads: Vec<_> =
            (0..writers).map(|n| scope.spawn(move || replace_until(folder, n, end))).collect();
        let mut all = Histogram::new(3)?;
        for thread in threads {
            all.add(&thread.join().map_err(|_| anyhow::anyhow!("a writer broke off"))??)?;
        }
        Ok(all)
    })?;
    Ok(Figures::of(&all, began.elapsed(), 0))
}

fn replace_until(folder: &Path, n: usize, end: Instant) -> anyhow::Result<Histogram<u64>> {
    let (temp, target) = (folder.join(format!("t{n}")), folder.join(format!("f{n}")));
    let content = [b'x'; 1024];
    let mut latencies = Histogram::new(3)?;
    while Instant::now() < end {
        let began = Instant::now();
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&temp)?;
        file.write_all(&content)?;
        file.sync_all()?;
        std::fs::rename(&temp, &target)?;
        File::open(folder)?.sync_all()?;
        latencies.record(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX))?;
    }
    Ok(latencies)
}
