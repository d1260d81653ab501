//! The executor: sends each attempt to the code of its capability, and bounds how many run at once.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use steadyhand_core::{
    chance::Entropy,
    executor::{
        Attempt, Availability, Executed, Executor, Prepared, Probe, UndoError, UndoMode, Undone, Verdict,
        Verification,
    },
    failure::Failure,
};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use crate::{
    files::{self, Files},
    shell::{Shell, ShellConfig},
};

/// How many attempts are prepared or executed at once; others wait for a place.
pub const CONCURRENT_MAX: usize = 64;

/// How long an attempt waits for a place before its caller is told to come back. Who waits is bounded by
/// the callers: actions that run at once, and connections.
pub const PLACE_PATIENCE: Duration = Duration::from_secs(2);

/// Where the hands may reach.
#[derive(Clone)]
pub struct Config {
    /// The folders that files are read and written under. Relative paths start at the first.
    pub roots: Vec<PathBuf>,
    /// Files and folders that are always refused, also under a root: the product's own data, its
    /// configuration and policy, tokens and keys. They need not exist.
    pub protected: Vec<PathBuf>,
    /// The program that becomes the restricted stage, normally `/proc/self/exe`.
    pub stage: PathBuf,
    /// Names temporary files.
    pub entropy: Arc<dyn Entropy>,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("roots", &self.roots)
            .field("protected", &self.protected)
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}

/// Why there are no hands.
#[derive(Debug, thiserror::Error)]
pub enum HandsError {
    /// No folder was named to work under.
    #[error("no sandbox folder is configured")]
    NoRoot,
    /// A folder to work under can't be opened.
    #[error("sandbox folder `{}` can't be opened", path.display())]
    Root {
        /// The folder, as configured.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// The executor of all capabilities that this build has.
#[derive(Debug)]
pub struct Hands {
    files: Files,
    shell: Shell,
    places: Semaphore,
}

/// The capabilities that are done here.
#[derive(Debug, Clone, Copy)]
enum Hand {
    Read,
    Write,
    Shell,
}

impl Hand {
    fn of(intent: &str) -> Option<Self> {
        match intent {
            "file.read" => Some(Self::Read),
            "file.write" => Some(Self::Write),
            "shell.run" => Some(Self::Shell),
            _ => None,
        }
    }

    fn of_attempt(attempt: &Attempt) -> Result<Self, Failure> {
        Self::of(&attempt.intent).ok_or_else(|| Failure::not_implemented("Tool not yet implemented"))
    }
}

impl Hands {
    /// Opens the folders of `config`.
    ///
    /// # Errors
    /// [`HandsError`] when there is no folder or one can't be opened.
    pub fn new(config: Config) -> Result<Self, HandsError> {
        let shell = ShellConfig::new(config.roots.clone(), config.protected.clone(), config.stage);
        Ok(Self {
            files: Files::open(&config.roots, &config.protected, config.entropy)?,
            shell: Shell::new(shell),
            places: Semaphore::new(CONCURRENT_MAX),
        })
    }

    async fn enter(&self) -> Result<SemaphorePermit<'_>, Failure> {
        tokio::time::timeout(PLACE_PATIENCE, self.wait())
            .await
            .map_err(|_| Failure::full(format!("the executor is full: {CONCURRENT_MAX} actions at once")))
    }

    /// For what must not be turned away; whoever asks holds a place in a bounded queue of his own.
    async fn wait(&self) -> SemaphorePermit<'_> {
        self.places.acquire().await.expect("it is never closed")
    }
}

#[async_trait]
impl Executor for Hands {
    async fn prepare(&self, attempt: &Attempt) -> Result<Prepared, Failure> {
        let hand = Hand::of_attempt(attempt)?;
        let _place = self.enter().await?;
        match hand {
            Hand::Read => self.files.prepare(attempt, files::Intent::Read).await,
            Hand::Write => self.files.prepare(attempt, files::Intent::Write).await,
            Hand::Shell => self.shell.prepare(attempt).await,
        }
    }

    async fn execute(&self, attempt: &Attempt, cancel: &CancellationToken) -> Result<Executed, Failure> {
        let hand = Hand::of_attempt(attempt)?;
        let _place = self.enter().await?;
        match hand {
            Hand::Read => self.files.read(attempt, cancel).await,
            Hand::Write => self.files.write(attempt, cancel).await,
            Hand::Shell => self.shell.execute(attempt, cancel).await,
        }
    }

    async fn verify(&self, attempt: &Attempt, executed: &Executed) -> Verification {
        let _place = self.wait().await;
        match Hand::of(&attempt.intent) {
            Some(Hand::Read) => self.files.verify_read(attempt, executed).await,
            Some(Hand::Write) => self.files.verify_write(attempt).await,
            Some(Hand::Shell) => self.shell.verify(attempt, executed),
            None => Verification {
                verdict: Verdict::Unverifiable,
                evidence: "none".to_owned(),
                detail: format!("nothing here can do {}", attempt.intent),
            },
        }
    }

    async fn probe(&self, attempt: &Attempt) -> Probe {
        let _place = self.wait().await;
        match Hand::of(&attempt.intent) {
            Some(Hand::Read) => Probe::NotDone,
            Some(Hand::Write) => self.files.probe(attempt).await,
            Some(Hand::Shell) => self.shell.probe(attempt),
            None => Probe::Undecidable,
        }
    }

    async fn undo(
        &self,
        attempt: &Attempt,
        pre_image: Option<&[u8]>,
        mode: UndoMode,
    ) -> Result<Undone, UndoError> {
        match Hand::of(&attempt.intent) {
            Some(Hand::Write) => {
                let _place = self.wait().await;
                self.files.undo(attempt, pre_image, mode).await
            }
            Some(Hand::Read | Hand::Shell) | None => Err(UndoError::NotReversible(attempt.intent.clone())),
        }
    }

    fn availability(&self, intent: &str) -> Availability {
        match Hand::of(intent) {
            Some(Hand::Read | Hand::Write) => {
                let reason = self.files.obstacle();
                Availability { available: reason.is_none(), reason, sandbox: files::CONFINEMENT.to_owned() }
            }
            Some(Hand::Shell) => {
                let available = Shell::is_confined();
                let reason = (!available).then(|| {
                    "this kernel can't confine commands; the operator's policy can allow them less confined"
                        .to_owned()
                });
                Availability { available, reason, sandbox: Shell::level() }
            }
            None => {
                let reason = Some("not implemented in this build".to_owned());
                Availability { available: false, reason, sandbox: "none".to_owned() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;
    use steadyhand_core::failure::{Effect, FailureClass, Status};
    use steadyhand_testkit::chance::Seeded;

    use super::*;
    use crate::capabilities::registry;

    fn config(root: &std::path::Path) -> Config {
        Config {
            roots: vec![root.to_owned()],
            protected: Vec::new(),
            stage: "/nowhere/stage".into(),
            entropy: Arc::new(Seeded::new(1)),
        }
    }

    fn attempt(intent: &str) -> Attempt {
        Attempt {
            attempt_id: "att_1".into(),
            action_id: "act_1".into(),
            intent: intent.to_owned(),
            correlation_id: "req_000000000000".into(),
            params: json!({"path": "a", "content": "", "command": "pwd"}),
            timeout: Duration::from_secs(5),
            operands: Vec::new(),
            allow_bare: false,
            extra_programs: Vec::new(),
        }
    }

    #[tokio::test]
    async fn what_is_described_as_implemented_is_and_the_rest_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let hands = Hands::new(config(folder.path())).unwrap();
        let mut intents: Vec<_> = registry().iter().map(|c| (c.intent, c.implemented)).collect();
        intents.push(("no.such", false));
        for (intent, implemented) in intents {
            let looked = hands.prepare(&attempt(intent)).await;
            let executed = hands.execute(&attempt(intent), &CancellationToken::new()).await;
            let statuses = [looked.err().map(|f| f.status), executed.as_ref().err().map(|f| f.status)];
            let missing = [Some(Status::NotImplemented); 2];
            assert_eq!(statuses == missing, !implemented, "{intent}");
            if !implemented {
                let failure = executed.unwrap_err();
                assert_eq!(failure.message, "Tool not yet implemented");
                let nothing = Executed { result: json!({}), side_effects: Vec::new() };
                let verification = hands.verify(&attempt(intent), &nothing).await;
                assert_eq!(verification.verdict, Verdict::Unverifiable);
                assert_eq!(hands.probe(&attempt(intent)).await, Probe::Undecidable);
            }
            let availability = hands.availability(intent);
            assert_eq!(availability.available, availability.reason.is_none(), "{intent}");
            assert!(implemented || !availability.available, "{intent}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_place_in_time_is_told_to_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let hands = Hands::new(config(folder.path())).unwrap();
        let mut places = Vec::new();
        for _ in 0..CONCURRENT_MAX {
            places.push(hands.enter().await.unwrap());
        }
        for failure in [
            hands.execute(&attempt("file.write"), &CancellationToken::new()).await.unwrap_err(),
            hands.prepare(&attempt("file.write")).await.unwrap_err(),
        ] {
            assert_eq!((failure.status, failure.effect), (Status::Full, Effect::None));
            assert_eq!(failure.class, FailureClass::Backpressure);
            assert_eq!(failure.message, "the executor is full: 64 actions at once");
        }
        assert!(!folder.path().join("a").exists());
        places.pop();
        // Real work takes real time, which a paused clock would count as none.
        tokio::time::resume();
        hands.execute(&attempt("file.write"), &CancellationToken::new()).await.unwrap();
    }

    #[test]
    fn there_are_no_hands_without_folders() {
        let folder = tempfile::tempdir().unwrap();
        let with = |roots| Hands::new(Config { roots, ..config(folder.path()) }).unwrap_err().to_string();
        assert_eq!(with(Vec::new()), "no sandbox folder is configured");
        let gone = folder.path().join("gone");
        let message = format!("sandbox folder `{}` can't be opened", gone.display());
        assert_eq!(with(vec![folder.path().to_owned(), gone]), message);
    }

    #[test]
    fn a_folder_that_was_swapped_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir(&root).unwrap();
        let hands = Hands::new(config(&root)).unwrap();
        assert!(hands.availability("file.read").available);
        assert_eq!(hands.availability("file.write").sandbox, "beneath-root");
        std::fs::rename(&root, folder.path().join("other")).unwrap();
        std::fs::create_dir(&root).unwrap();
        let availability = hands.availability("file.read");
        assert!(!availability.available && availability.reason.unwrap().contains("was moved or removed"));
    }
}
