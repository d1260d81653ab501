//! Measures a real stack from outside: throughput and latency over HTTP beside what a bare server and
//! the bare disk give in the same run, start-up, memory, and the way back after a `kill -9`.
//!
//! Usage: `steadyhand-bench PATH_OF_STEADYHAND [SECONDS]`. Never here: the product's own code; what is
//! measured is the binary that people run.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures wall-clock time and starts the product")]

mod limits;
mod load;
mod stack;

use std::{path::PathBuf, time::Duration};

use anyhow::Context;

use crate::{load::Figures, stack::Stack};

/// Connections of each round.
const CONNECTIONS: [usize; 3] = [1, 32, 256];

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let binary: PathBuf = args.next().context("usage: steadyhand-bench PATH_OF_STEADYHAND [SECONDS]")?.into();
    let seconds: f64 = args.next().map_or(Ok(3.0), |s| s.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(measure(binary, Duration::from_secs_f64(seconds)))
}

async fn measure(binary: PathBuf, length: Duration) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let cores = std::thread::available_parallelism()?;
    println!("Load generator and server share {cores} cores. Each row ran {:.1} s.\n", length.as_secs_f64());
    header();

    let bare = limits::BareAxum::start().await?;
    let mut echo = Vec::new();
    for connections in CONNECTIONS {
        let figures = load::run(bare.port, connections, length, |_, _| limits::echo_request()).await?;
        row("limit: bare axum, JSON echo", connections, &figures, None);
        echo.push(figures.per_second);
    }
    let disk = folder.path().join("disk");
    std::fs::create_dir_all(&disk)?;
    let mut fsync = Vec::new();
    for writers in CONNECTIONS {
        let figures = limits::replace_loop(&disk, writers, length)?;
        row("limit: temp + fsync + rename + fsync folder", writers, &figures, None);
        fsync.push(figures.per_second);
    }

    let mut stack = Stack::start(&binary, folder.path()).await?;
    println!("\nstart to healthy services: {:.0} ms (budget 150)\n", stack.started_in.as_secs_f64() * 1e3);
    std::fs::write(stack.root.join("kib.txt"), "x".repeat(1024))?;
    header();
    let rounds: [(&str, load::Make, &[f64]); 3] = [
        ("dry run of file.write", stack::dry_run, &echo),
        ("file.read of 1 KiB", stack::file_read, &echo),
        ("file.write of 1 KiB, durable and checked", stack::file_write, &fsync),
    ];
    for (name, make, limit) in rounds {
        for (connections, limit) in CONNECTIONS.into_iter().zip(limit) {
            let token = stack.token.clone();
            let request = move |worker, n| make(&token, worker, n);
            let figures = load::run(stack.port, connections, length, request).await?;
            row(name, connections, &figures, Some(*limit));
        }
    }
    println!("\nresident memory under load, at most: {:.1} MB (budget 60)", stack.peak_memory_mb()?);
    stack.kill_under_load(length.min(Duration::from_secs(2))).await?;
    let back = stack.restart().await?;
    println!("kill -9 under load to serving again: {:.0} ms (budget 1000)", back.as_secs_f64() * 1e3);
    stack.stop();
    Ok(())
}

fn header() {
    println!(
        "{:<46} {:>5} {:>10} {:>9} {:>9} {:>9} {:>8}",
        "what", "conn", "per s", "p50 ms", "p99 ms", "errors", "of limit"
    );
}

fn row(name: &str, connections: usize, figures: &Figures, limit: Option<f64>) {
    let share = limit.map_or_else(String::new, |l| format!("{:.0} %", figures.per_second / l * 100.0));
    println!(
        "{name:<46} {connections:>5} {:>10.0} {:>9.2} {:>9.2} {:>9} {share:>8}",
        figures.per_second, figures.p50_ms, figures.p99_ms, figures.errors
    );
}
