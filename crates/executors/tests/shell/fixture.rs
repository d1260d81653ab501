//! A root with files in it, a shell over it, and looks at `/proc`.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::json;
use steadyhand_core::{
    executor::{Attempt, Executed},
    failure::Failure,
    id::{ActionId, AttemptId},
};
use steadyhand_executors::shell::{Shell, ShellConfig};
use tokio_util::sync::CancellationToken;

pub(crate) struct Fixture {
    folder: tempfile::TempDir,
    pub(crate) shell: Shell,
}

/// A root `root` with a file `a`, a protected folder `root/kept` with a file `secret`, and a file
/// `outside` beside the root.
pub(crate) fn fixture() -> Fixture {
    with_config(|_| ())
}

pub(crate) fn with_config(change: impl FnOnce(&mut ShellConfig)) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let top = folder.path();
    fs::create_dir_all(top.join("root/kept")).unwrap();
    fs::write(top.join("root/a"), "one\ntwo\n").unwrap();
    fs::write(top.join("root/kept/secret"), "hidden").unwrap();
    fs::hard_link(top.join("root/kept/secret"), top.join("root/linked")).unwrap();
    fs::write(top.join("outside"), "hidden").unwrap();
    let stage = PathBuf::from(env!("CARGO_BIN_EXE_steadyhand-exec-stage"));
    let mut config = ShellConfig::new(vec![top.join("root")], vec![top.join("root/kept")], stage);
    change(&mut config);
    Fixture { shell: Shell::new(config), folder }
}

impl Fixture {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        fs::canonicalize(self.folder.path()).unwrap().join(name)
    }

    pub(crate) async fn run(&self, command: &str) -> Result<Executed, Failure> {
        self.shell.execute(&attempt(command), &CancellationToken::new()).await
    }

    /// Exit code and both outputs of a script that `sh` runs.
    pub(crate) async fn sh(&self, script: &str) -> (i64, String, String) {
        self.output(&format!("sh -c {}", quote(script))).await
    }

    /// Exit code and both outputs of a script that `perl` runs.
    pub(crate) async fn perl(&self, script: &str) -> (i64, String, String) {
        self.output(&format!("perl -e {}", quote(script))).await
    }

    pub(crate) async fn output(&self, command: &str) -> (i64, String, String) {
        let result = self.run(command).await.unwrap_or_else(|e| panic!("{command}: {e:?}")).result;
        let text = |name: &str| result[name].as_str().unwrap().to_owned();
        (result["return_code"].as_i64().unwrap(), text("stdout"), text("stderr"))
    }
}

pub(crate) fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

pub(crate) fn attempt(command: &str) -> Attempt {
    Attempt {
        attempt_id: AttemptId::from("att_1"),
        action_id: ActionId::from("act_1"),
        intent: "shell.run".to_owned(),
        correlation_id: "req_000000000000".into(),
        params: json!({ "command": command }),
        timeout: Duration::from_secs(10),
        operands: vec![],
        allow_bare: false,
        extra_programs: ["sh", "perl", "sleep", "nosuchprogram"].map(str::to_owned).to_vec(),
    }
}

pub(crate) fn within(command: &str, timeout: Duration) -> Attempt {
    Attempt { timeout, ..attempt(command) }
}

/// Whether a process is there, dead but unreaped ones included.
pub(crate) fn is_there(pid: &str) -> bool {
    Path::new("/proc").join(pid).exists()
}

/// The processes whose command line holds `mark`.
pub(crate) fn marked(mark: &str) -> Vec<String> {
    let holds = |pid: &String| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ").contains(mark)
    };
    let pids = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
    pids.filter(|name| name.bytes().all(|b| b.is_ascii_digit())).filter(holds).collect()
}

/// Waits for something outside this process to become true.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never: {what}");
}
