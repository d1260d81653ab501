//! A folder to work in, with what must not be reached around and inside it.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};
use steadyhand_core::{
    executor::{Attempt, Executed, Executor, Prepared, Probe, UndoError, UndoMode, Undone, Verification},
    failure::Failure,
};
use steadyhand_executors::{Config, Hands};
use steadyhand_testkit::chance::Seeded;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// What lies outside the root, and is never to be seen.
pub(crate) const SECRET: &str = "the secret";

/// What `a.txt` holds at first.
pub(crate) const OLD: &str = "old\n";

pub(crate) struct World {
    _folder: TempDir,
    /// What holds the root and its surroundings.
    pub(crate) top: PathBuf,
    pub(crate) root: PathBuf,
    pub(crate) hands: Hands,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let top = fs::canonicalize(folder.path()).unwrap();
        let root = top.join("root");
        for made in ["root/sub", "root/kept", "root/config", "second", "root-evil", "outside", "data"] {
            fs::create_dir_all(top.join(made)).unwrap();
        }
        for (path, content) in [
            ("root/a.txt", OLD),
            ("root/sub/b.txt", "b"),
            ("root/config/settings.json", "{}"),
            ("root/kept/x", SECRET),
            ("root/policy.toml", SECRET),
            ("second/c.txt", "c"),
            ("root-evil/secret", SECRET),
            ("outside/secret", SECRET),
            ("data/token", SECRET),
        ] {
            fs::write(top.join(path), content).unwrap();
        }
        let config = Config {
            roots: vec![root.clone(), top.join("second")],
            protected: vec![
                top.join("data"),
                root.join("kept"),
                root.join("policy.toml"),
                root.join("not-yet/journal"),
            ],
            stage: PathBuf::from("/proc/self/exe"),
            entropy: Arc::new(Seeded::new(1)),
        };
        let hands = Hands::new(config).unwrap();
        Self { _folder: folder, top, root, hands }
    }

    pub(crate) fn link(&self, name: &str, target: impl AsRef<Path>) {
        symlink(target, self.root.join(name)).unwrap();
    }

    pub(crate) fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.root.join(name), content).unwrap();
    }

    pub(crate) fn get(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.root.join(name)).ok()
    }

    /// Everything under `folder`: kind, permissions and content by path.
    pub(crate) fn snapshot(&self, folder: &str) -> BTreeMap<PathBuf, String> {
        let mut all = BTreeMap::new();
        let mut open = vec![self.top.join(folder)];
        while let Some(path) = open.pop() {
            let found = fs::symlink_metadata(&path).unwrap();
            let content = if found.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
            all.insert(path.clone(), format!("{:o} {}", found.mode(), String::from_utf8_lossy(&content)));
            if found.is_dir() {
                open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
        }
        all
    }

    pub(crate) async fn read(&self, path: &str) -> Result<Executed, Failure> {
        self.hands.execute(&attempt("file.read", json!({ "path": path })), &CancellationToken::new()).await
    }

    pub(crate) async fn write(&self, path: &str, content: &str) -> Result<Executed, Failure> {
        self.execute(&writing(path, content)).await
    }

    pub(crate) async fn execute(&self, attempt: &Attempt) -> Result<Executed, Failure> {
        self.hands.execute(attempt, &CancellationToken::new()).await
    }

    /// Looks, and gives the attempt that carries what was seen.
    pub(crate) async fn sealed(&self, path: &str, content: &str) -> (Attempt, Prepared) {
        let attempt = writing(path, content);
        let prepared = self.hands.prepare(&attempt).await.unwrap();
        (Attempt { operands: prepared.operands.clone(), ..attempt }, prepared)
    }

    pub(crate) async fn verify(&self, attempt: &Attempt) -> Verification {
        let executed = Executed { result: json!({}), side_effects: Vec::new() };
        self.hands.verify(attempt, &executed).await
    }

    pub(crate) async fn probe(&self, attempt: &Attempt) -> Probe {
        self.hands.probe(attempt).await
    }

    pub(crate) async fn undo(
        &self,
        attempt: &Attempt,
        prepared: &Prepared,
        mode: UndoMode,
    ) -> Result<Undone, UndoError> {
        self.hands.undo(attempt, prepared.pre_image.as_deref(), mode).await
    }

    /// Names of temporary files anywhere under the root.
    pub(crate) fn temps(&self) -> Vec<PathBuf> {
        let is_temp = |path: &PathBuf| path.to_string_lossy().contains(".steadyhand-");
        self.snapshot("root").into_keys().filter(is_temp).collect()
    }
}

pub(crate) fn attempt(intent: &str, params: Value) -> Attempt {
    Attempt {
        attempt_id: "att_1".into(),
        action_id: "act_1".into(),
        intent: intent.to_owned(),
        correlation_id: "req_000000000000".into(),
        params,
        timeout: Duration::from_secs(10),
        operands: Vec::new(),
        allow_bare: false,
        extra_programs: Vec::new(),
    }
}

pub(crate) fn writing(path: &str, content: &str) -> Attempt {
    attempt("file.write", json!({ "path": path, "content": content }))
}
