//! `file.read` and `file.write`: whole text files under the roots, and nowhere else.
//!
//! The road of a path: `wanted` reads its text, `place` looks it up beneath a root, `protect` says what stays
//! out of reach, `content` reads, `write` replaces in one step, `undo` puts back.

mod content;
mod diff;
mod place;
mod protect;
mod refusal;
mod stop;
mod temp;
mod undo;
mod verify;
mod wanted;
mod write;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use serde_json::Value;
use steadyhand_core::{
    approval::Operand,
    chance::Entropy,
    digest::Digest,
    executor::{Attempt, Executed, Prepared, Probe, SideEffect, UndoError, UndoMode, Undone, Verification},
    failure::Failure,
    time::millis,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::{
    content::{Keep, Sealed},
    place::{Place, Roots},
    refusal::Refusal,
    temp::Sweeper,
    undo::Undo,
    wanted::Wanted,
    write::{Order, Tools},
};
pub(crate) use self::{place::Identity, protect::Protected};
use crate::{
    HandsError,
    capabilities::{SHORT_TIMEOUT_MAX_MS, check::kind, file_read, file_write},
};

/// The largest file that is read, written or kept for an undo, in bytes (contract 5.3).
pub const CONTENT_BYTES_MAX: u64 = 10_485_760;

/// How files are confined, for `/v1/capabilities`: every path is resolved beneath a root's descriptor.
pub const CONFINEMENT: &str = "beneath-root";

/// How long looking at a file may take where no timeout is given.
const LOOK_MAX: Duration = Duration::from_millis(SHORT_TIMEOUT_MAX_MS);

/// What a path is looked at for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// `file.read`.
    Read,
    /// `file.write`.
    Write,
}

/// The executor of `file.read` and `file.write`.
#[derive(Debug, Clone)]
pub struct Files {
    inner: Arc<Inner>,
}

struct Inner {
    roots: Roots,
    entropy: Arc<dyn Entropy>,
    sweeper: Sweeper,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("roots", &self.roots).finish_non_exhaustive()
    }
}

impl Inner {
    fn tools(&self) -> Tools<'_> {
        Tools { roots: &self.roots, entropy: &*self.entropy, sweeper: &self.sweeper }
    }
}

impl Files {
    /// Opens the folders that files are looked for under. They are held open: a folder that is moved or
    /// replaced later isn't followed.
    ///
    /// # Errors
    /// [`HandsError`] when there is no folder or one can't be opened.
    pub fn open(
        roots: &[PathBuf],
        protected: &[PathBuf],
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, HandsError> {
        let roots = Roots::open(roots, protected)?;
        Ok(Self { inner: Arc::new(Inner { roots, entropy, sweeper: Sweeper::default() }) })
    }

    /// Why files can't be reached at the moment.
    #[must_use]
    pub fn obstacle(&self) -> Option<String> {
        let lost = self.inner.roots.lost()?;
        Some(format!("the sandbox folder `{}` was moved or removed; restart the service", lost.display()))
    }

    /// Looks at the attempt's file. One that isn't there is sealed as absent.
    ///
    /// # Errors
    /// The refusals of contract 5.3.
    pub async fn prepare(&self, attempt: &Attempt, intent: Intent) -> Result<Prepared, Failure> {
        check_timeout(attempt)?;
        let wanted = self.wanted(attempt)?;
        if intent == Intent::Write {
            content_of(&attempt.params)?;
        }
        let keep = if intent == Intent::Write { Keep::Content } else { Keep::DigestOnly };
        let sealed = self.look(attempt.timeout, move |inner, stop| {
            content::seal(&inner.roots.locate(&wanted)?, keep, stop)
        });
        let Sealed { operand, content } = sealed.await?;
        Ok(Prepared { operands: vec![operand], pre_image: content })
    }

    /// Reads the attempt's file.
    ///
    /// # Errors
    /// The refusals of contract 5.3; `APPROVAL_STALE` when it isn't the file that was sealed.
    pub async fn read(&self, attempt: &Attempt, cancel: &CancellationToken) -> Result<Executed, Failure> {
        let began = Instant::now();
        check_timeout(attempt)?;
        let (wanted, sealed) = (self.wanted(attempt)?, attempt.operands.first().cloned());
        let inner = Arc::clone(&self.inner);
        let work = stop::run("File read", attempt.timeout, cancel, move |stop| {
            let Place::There(found) = inner.roots.locate(&wanted)? else {
                return Err(Refusal::NotFound { given: wanted.given });
            };
            let content = content::read(&found, stop)?;
            check_sealed(sealed.as_ref(), &found.path, &content)?;
            let content = String::from_utf8(content)
                .map_err(|e| Refusal::NotText { at: e.utf8_error().valid_up_to() })?;
            Ok((found.path, content))
        });
        let (path, content) = work.await?;
        let output = file_read::Output {
            path: path.to_string_lossy().into_owned(),
            size_bytes: content.len() as u64,
            content,
            elapsed_ms: millis(began.elapsed()),
            success: true,
        };
        Ok(Executed { result: result(output), side_effects: Vec::new() })
    }

    /// Writes the attempt's file, durably and in one step. Stopped before that step, nothing is changed.
    ///
    /// # Errors
    /// The refusals of contract 5.3; `APPROVAL_STALE` when it isn't the file that was sealed.
    pub async fn write(&self, attempt: &Attempt, cancel: &CancellationToken) -> Result<Executed, Failure> {
        let began = Instant::now();
        check_timeout(attempt)?;
        let (wanted, sealed) = (self.wanted(attempt)?, attempt.operands.first().cloned());
        let content = content_of(&attempt.params)?.to_owned();
        let bytes_written = content.len() as u64;
        let inner = Arc::clone(&self.inner);
        let work = stop::run("File write", attempt.timeout, cancel, move |stop| {
            let order = Order { wanted: &wanted, content: content.as_bytes(), sealed: sealed.as_ref() };
            write::write(inner.tools(), order, stop)
        });
        let written = work.await?;
        let path = written.path.to_string_lossy().into_owned();
        let made = |folder: &PathBuf| effect("folder_created", folder.to_string_lossy().into_owned());
        let mut side_effects: Vec<SideEffect> = written.folders.iter().map(made).collect();
        side_effects.push(effect("file_written", path.clone()));
        let output = file_write::Output {
            path,
            bytes_written,
            was_existing: written.was_existing,
            elapsed_ms: millis(began.elapsed()),
            success: true,
        };
        Ok(Executed { result: result(output), side_effects })
    }

    /// Reads the file again: it should hold what was answered.
    pub async fn verify_read(&self, attempt: &Attempt, executed: &Executed) -> Verification {
        let content = executed.result.get("content").and_then(Value::as_str).unwrap_or_default();
        let digest = Digest::of(content.as_bytes());
        let seen = self.see(attempt).await;
        verify::read(&digest, seen.as_ref().map_err(ToString::to_string))
    }

    /// Reads the file afresh: it should hold what was asked for.
    pub async fn verify_write(&self, attempt: &Attempt) -> Verification {
        let asked = match content_of(&attempt.params) {
            Ok(content) => Digest::of(content.as_bytes()),
            Err(refusal) => return verify::unverifiable(&refusal.to_string()),
        };
        let seen = self.see(attempt).await;
        verify::write(&asked, attempt.operands.first(), seen.as_ref().map_err(ToString::to_string))
    }

    /// Looks whether the attempt's write happened.
    pub async fn probe(&self, attempt: &Attempt) -> Probe {
        let Ok(content) = content_of(&attempt.params) else { return Probe::Undecidable };
        let asked = Digest::of(content.as_bytes());
        match self.see(attempt).await {
            Ok(seen) => verify::probe(&asked, attempt.operands.first(), &seen),
            Err(_) => Probe::Undecidable,
        }
    }

    /// Puts back what the attempt's write replaced. Folders that it made stay.
    ///
    /// # Errors
    /// [`UndoError::Conflict`] when the file isn't as the write left it, with the difference.
    pub async fn undo(
        &self,
        attempt: &Attempt,
        pre_image: Option<&[u8]>,
        mode: UndoMode,
    ) -> Result<Undone, UndoError> {
        let wanted = self.wanted(attempt).map_err(UndoError::from)?;
        let content = content_of(&attempt.params).map_err(UndoError::from)?.to_owned();
        let Some(before) = attempt.operands.first().cloned() else {
            let text = "nothing is known of the file before the action";
            return Err(UndoError::Failed(Failure::error(text)));
        };
        let pre_image = pre_image.map(<[u8]>::to_vec);
        let undone = self.look(LOOK_MAX, move |inner, stop| {
            let (content, pre_image) = (content.as_bytes(), pre_image.as_deref());
            let undo = Undo { wanted: &wanted, content, before: &before, pre_image, mode };
            // A conflict is an answer, not a failure of the work.
            Ok(undo::undo(inner.tools(), undo, stop))
        });
        undone.await.map_err(UndoError::Failed)?
    }

    fn wanted(&self, attempt: &Attempt) -> Result<Wanted, Refusal> {
        match attempt.params.get("path") {
            None | Some(Value::Null) => Err(Refusal::Required("path")),
            Some(Value::String(path)) => Wanted::parse(path, self.inner.roots.names()),
            Some(other) => Err(not_text("path", other)),
        }
    }

    /// The attempt's file as it is now.
    async fn see(&self, attempt: &Attempt) -> Result<Operand, Failure> {
        let wanted = self.wanted(attempt)?;
        let look = self.look(LOOK_MAX, move |inner, stop| {
            Ok(content::seal(&inner.roots.locate(&wanted)?, Keep::DigestOnly, stop)?.operand)
        });
        look.await
    }

    async fn look<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce(&Inner, &stop::Stop) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Failure> {
        let inner = Arc::clone(&self.inner);
        stop::run("Looking at the file", limit, &CancellationToken::new(), move |stop| work(&inner, stop))
            .await
    }
}

fn check_timeout(attempt: &Attempt) -> Result<(), Refusal> {
    let (asked_ms, max_ms) = (attempt.timeout.as_millis(), SHORT_TIMEOUT_MAX_MS);
    if asked_ms > u128::from(max_ms) { Err(Refusal::TimeoutTooLong { asked_ms, max_ms }) } else { Ok(()) }
}

/// The content to write; none is an empty one.
fn content_of(params: &Value) -> Result<&str, Refusal> {
    let content = match params.get("content") {
        None | Some(Value::Null) => "",
        Some(Value::String(content)) => content,
        Some(other) => return Err(not_text("content", other)),
    };
    let bytes = content.len();
    if bytes as u64 > CONTENT_BYTES_MAX { Err(Refusal::ContentTooLarge { bytes }) } else { Ok(content) }
}

fn check_sealed(sealed: Option<&Operand>, path: &std::path::Path, content: &[u8]) -> Result<(), Refusal> {
    match sealed {
        Some(sealed)
            if path.to_string_lossy() != sealed.path || sealed.digest != Some(Digest::of(content)) =>
        {
            Err(Refusal::Stale { path: sealed.path.clone() })
        }
        _ => Ok(()),
    }
}

fn not_text(param: &str, given: &Value) -> Refusal {
    Refusal::IllTyped(format!("Parameter '{param}' must be a string, got {}", kind(given)))
}

fn effect(kind: &str, target: String) -> SideEffect {
    SideEffect { kind: kind.to_owned(), target }
}

fn result(output: impl serde::Serialize) -> Value {
    serde_json::to_value(output).expect("an output has names for keys and finite numbers")
}
