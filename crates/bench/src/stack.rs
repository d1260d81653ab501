//! The product under measurement: a real `steadyhand up` in folders of its own.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde_json::json;
use tokio::net::TcpStream;

use crate::load;

/// The stack must answer within this time.
const START_PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Stack {
    binary: PathBuf,
    folder: PathBuf,
    child: Child,
    pub(crate) port: u16,
    pub(crate) root: PathBuf,
    pub(crate) token: String,
    pub(crate) started_in: Duration,
}

impl Stack {
    pub(crate) async fn start(binary: &Path, folder: &Path) -> anyhow::Result<Self> {
        let root = folder.join("root");
        std::fs::create_dir_all(&root)?;
        let policy =
            "[[rule]]\nname = \"measured writes\"\ncapability = \"file.write\"\ndecision = \"allow\"\n";
        std::fs::write(folder.join("policy.toml"), policy)?;
        std::fs::write(folder.join("config.toml"), "")?;
        let port = free_ports()?;
        let began = Instant::now();
        let child = spawn(binary, folder, &root, port)?;
        let mut stack = Self {
            binary: binary.to_owned(),
            folder: folder.to_owned(),
            child,
            port,
            root,
            token: String::new(),
            started_in: Duration::ZERO,
        };
        stack.healthy().await?;
        stack.started_in = began.elapsed();
        stack.token = stack.read_token()?;
        Ok(stack)
    }

    fn read_token(&self) -> anyhow::Result<String> {
        let output = Command::new(&self.binary)
            .args(["token", "show", "operator"])
            .env("STEADYHAND_DATA_DIR", self.folder.join("data"))
            .env("HOME", &self.folder)
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        let token = text.split_whitespace().find(|word| word.starts_with("sth_"));
        token.map(str::to_owned).context("`steadyhand token show operator` prints no token")
    }

    async fn healthy(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        while began.elapsed() < START_PATIENCE {
            if answers(self.port).await && answers(self.port + 40).await && answers(self.port + 50).await {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the stack ended: {status}; see {}", self.folder.join("log").display());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        bail!("the stack doesn't answer")
    }

    /// The most memory that the process has had in RAM so far.
    pub(crate) fn peak_memory_mb(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|l| l.starts_with("VmHWM:")).context("no VmHWM")?;
        let kb: f64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
        Ok(kb / 1e3)
    }

    /// Kills the process the hard way while requests are on their way.
    pub(crate) async fn kill_under_load(&mut self, after: Duration) -> anyhow::Result<()> {
        let (port, token) = (self.port, self.token.clone());
        let request = move |worker, n| file_write(&token, worker, n);
        let busy = tokio::spawn(load::run(port, 32, after * 4, request));
        tokio::time::sleep(after).await;
        self.child.kill()?;
        self.child.wait()?;
        // Its connections broke off; that is the point.
        let _ = busy.await?;
        Ok(())
    }

    /// Starts it again on the same folders; the time until all services answer.
    pub(crate) async fn restart(&mut self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        self.child = spawn(&self.binary, &self.folder, &self.root, self.port)?;
        self.healthy().await?;
        Ok(began.elapsed())
    }

    pub(crate) fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(binary: &Path, folder: &Path, root: &Path, port: u16) -> anyhow::Result<Child> {
    let log = std::fs::File::create(folder.join("log"))?;
    Command::new(binary)
        .arg("up")
        .args(["--port-base", &port.to_string(), "--display", "none"])
        .arg("--data-dir")
        .arg(folder.join("data"))
        .arg("--config")
        .arg(folder.join("config.toml"))
        .arg("--root")
        .arg(root)
        .env("HOME", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .with_context(|| format!("can't start {}", binary.display()))
}

/// A base port with nothing on it or its neighbours.
fn free_ports() -> anyhow::Result<u16> {
    for base in (20_000..50_000).step_by(100) {
        let free = (0..=50).step_by(10).all(|n| std::net::TcpListener::bind(("127.0.0.1", base + n)).is_ok());
        if free {
            return Ok(base);
        }
    }
    bail!("no free ports")
}

async fn answers(port: u16) -> bool {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await else { return false };
    let request = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    let mut answer = Vec::new();
    stream.write_all(request).await.is_ok()
        && stream.read_to_end(&mut answer).await.is_ok()
        && answer.starts_with(b"HTTP/1.1 200")
}

pub(crate) fn dry_run(token: &str, _: usize, _: u64) -> Vec<u8> {
    let params = json!({"path": "bench.txt", "content": "x".repeat(300)});
    let body = json!({"intent": "file.write", "dry_run": true, "params": params});
    load::post("/v1/actions/plan", token, &body.to_string())
}

pub(crate) fn file_read(token: &str, _: usize, _: u64) -> Vec<u8> {
    let body = json!({"intent": "file.read", "params": {"path": "kib.txt"}});
    load::post("/v1/actions/plan", token, &body.to_string())
}

pub(crate) fn file_write(token: &str, worker: usize, n: u64) -> Vec<u8> {
    let mut content = "x".repeat(1000);
    content.push_str(&format!("{n:024}"));
    let params = json!({"path": format!("bench-{worker}.txt"), "content": content});
    load::post("/v1/actions/plan", token, &json!({"intent": "file.write", "params": params}).to_string())
}
