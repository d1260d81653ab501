//! What durable and checked writes, and small reads, cost: `file.write` with its look, its seal and its
//! verification beside a bare loop of temporary file, fsync, rename and fsync of the folder, in turns.
//! Prints one JSON line. Budget: half of the bare loop at 32 at once.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figure")]

use std::{fs, io::Write as _, path::Path, sync::Arc, time::Duration};

use futures_util::future::join_all;
use serde_json::json;
use steadyhand_core::executor::{Attempt, Executor, Verdict};
use steadyhand_executors::{Config, Hands};
use steadyhand_testkit::chance::Seeded;
use tokio::{task::spawn_blocking, time::Instant};
use tokio_util::sync::CancellationToken;

const CALLERS: usize = 32;
const WRITES_EACH: usize = 60;
const READS_EACH: usize = 1_000;
const TURNS: usize = 5;
const CONTENT_BYTES: usize = 1024;

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir_in(".").expect("a temporary folder can be made on the disk");
    let root = fs::canonicalize(folder.path()).expect("it was just made");
    let config = Config {
        roots: vec![root.clone()],
        protected: vec![root.join("kept"), "/etc/steadyhand".into()],
        stage: "/proc/self/exe".into(),
        entropy: Arc::new(Seeded::new(1)),
    };
    let hands = Arc::new(Hands::new(config).expect("the folder is there"));
    let (mut bare, mut whole, mut reads) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let writes = CALLERS * WRITES_EACH;
        bare.push(rate(writes, join_all((0..CALLERS).map(|n| bare_writes(root.clone(), n)))).await);
        whole.push(rate(writes, join_all((0..CALLERS).map(|n| writes_by(Arc::clone(&hands), n)))).await);
        let count = CALLERS * READS_EACH;
        reads.push(rate(count, join_all((0..CALLERS).map(|n| reads_by(Arc::clone(&hands), n)))).await);
    }
    let (bare, whole, reads) = (median(bare), median(whole), median(reads));
    let line = json!({
        "bench": "files",
        "profile": if cfg!(debug_assertions) { "debug" } else { "release" },
        "callers": CALLERS,
        "bare_writes_per_s": bare.round(),
        "writes_per_s": whole.round(),
        "share_of_bare": (whole / bare * 100.0).round() / 100.0,
        "budget_share": 0.5,
        "reads_1kib_per_s": reads.round(),
    });
    println!("{line}");
}

async fn rate<T>(count: usize, work: impl Future<Output = T>) -> f64 {
    let began = Instant::now();
    work.await;
    count as f64 / began.elapsed().max(Duration::from_micros(1)).as_secs_f64()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

async fn bare_writes(root: std::path::PathBuf, caller: usize) {
    for round in 0..WRITES_EACH {
        let root = root.clone();
        let write = move || bare_write(&root, caller, round).expect("the disk takes it");
        spawn_blocking(write).await.expect("it doesn't panic");
    }
}

fn bare_write(root: &Path, caller: usize, round: usize) -> std::io::Result<()> {
    let (temp, file) = (root.join(format!("bare{caller}.tmp")), root.join(format!("bare{caller}")));
    let mut open = fs::File::create(&temp)?;
    open.write_all(content(round).as_bytes())?;
    open.sync_all()?;
    fs::rename(&temp, &file)?;
    fs::File::open(root)?.sync_all()
}

async fn writes_by(hands: Arc<Hands>, caller: usize) {
    for round in 0..WRITES_EACH {
        let mut attempt = attempt("file.write", caller, &content(round));
        attempt.operands = hands.prepare(&attempt).await.expect("it can be looked at").operands;
        let executed = hands.execute(&attempt, &CancellationToken::new()).await.expect("it is written");
        let verification = hands.verify(&attempt, &executed).await;
        assert_eq!(verification.verdict, Verdict::Confirmed);
    }
}

async fn reads_by(hands: Arc<Hands>, caller: usize) {
    let attempt = attempt("file.read", caller, "");
    for _ in 0..READS_EACH {
        hands.execute(&attempt, &CancellationToken::new()).await.expect("it is read");
    }
}

fn attempt(intent: &str, caller: usize, content: &str) -> Attempt {
    Attempt {
        attempt_id: "att_1".into(),
        action_id: "act_1".into(),
        intent: intent.to_owned(),
        correlation_id: "req_000000000000".into(),
        params: json!({"path": format!("file{caller}"), "content": content}),
        timeout: Duration::from_secs(10),
        operands: Vec::new(),
        allow_bare: false,
        extra_programs: Vec::new(),
    }
}

fn content(round: usize) -> String {
    format!("{round:0CONTENT_BYTES$}")
}
