//! The executor trait, spoken to an executor in another process. An attempt is sent once; when its
//! answer is lost, the outcome is looked up, never asked for again (D-41).

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use steadyhand_core::{
    executor::{
        Attempt, Availability, Executed, Executor, Prepared, Probe, UndoError, UndoMode, Undone, Verdict,
        Verification,
    },
    failure::{Effect, Failure},
};
use tokio_util::sync::CancellationToken;

use crate::{
    client::{self, CallError, Introduction},
    services::executor::{UndoCall, VerifyCall},
};

/// A cancel that wasn't heard is told again after this long, until its attempt has ended.
const TELL_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// An executor in another process.
pub struct RemoteExecutor {
    /// Such as `http://127.0.0.1:7040`.
    base: String,
    /// The gateway's own token.
    token: String,
    availability: HashMap<String, Availability>,
}

impl RemoteExecutor {
    /// Makes the acquaintance of the executor at `base`, without a slash at its end.
    ///
    /// # Errors
    /// When it can't be reached or refuses the token.
    pub async fn connect(base: &str, token: &str) -> Result<Self, Failure> {
        let mut remote =
            Self { base: base.to_owned(), token: token.to_owned(), availability: HashMap::new() };
        let url = format!("{base}/inner/availability");
        let answer = client::get(&url, Introduction { token: Some(token), correlation_id: None })
            .await
            .map_err(failed_before)?;
        remote.availability = read(&url, answer)?;
        Ok(remote)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        what: &str,
        attempt: &Attempt,
        body: &impl Serialize,
    ) -> Result<T, CallOrAnswer> {
        let url = format!("{}/inner/{what}", self.base);
        let body =
            serde_json::to_vec(body).map_err(|e| CallOrAnswer::Answer(Failure::error(e.to_string())))?;
        let answer =
            client::post(&url, self.introduction(attempt), body.into()).await.map_err(CallOrAnswer::Call)?;
        read(&url, answer).map_err(CallOrAnswer::Answer)
    }

    fn introduction<'a>(&'a self, attempt: &'a Attempt) -> Introduction<'a> {
        Introduction { token: Some(&self.token), correlation_id: Some(attempt.correlation_id.as_str()) }
    }

    /// Looks up how an attempt ended whose answer was lost.
    async fn look_up(&self, attempt: &Attempt, lost: &CallError) -> Result<Executed, Failure> {
        let unknown = || Failure::lost(format!("the executor's answer was lost: {lost}"));
        let url = format!("{}/executions/{}", self.base, attempt.attempt_id);
        let answer = client::get(&url, self.introduction(attempt)).await.map_err(|_| unknown())?;
        if answer.0 == axum::http::StatusCode::NOT_FOUND {
            return Err(Failure::not_reached("the executor never began the attempt"));
        }
        let found: Value = read(&url, answer).map_err(|_| unknown())?;
        serde_json::from_value::<Result<Executed, Failure>>(found["answer"].clone())
            .unwrap_or_else(|_| Err(unknown()))
    }
}

impl RemoteExecutor {
    /// Once `cancel` is, tells the executor to stop the attempt until it says that it does. A cancel can
    /// overtake the attempt that it is for. Ends when it was heard; dropped when the attempt has ended.
    async fn stop(&self, attempt: &Attempt, cancel: &CancellationToken) {
        cancel.cancelled().await;
        let url = format!("{}/inner/cancel/{}", self.base, attempt.attempt_id);
        loop {
            // If the executor isn't there to be told, the attempt's own call says so.
            let answer = client::post(&url, self.introduction(attempt), bytes::Bytes::new()).await;
            let told = answer.ok().and_then(|(_, body)| serde_json::from_slice::<Value>(&body).ok());
            if told.is_some_and(|told| told["cancelled"] == true) {
                return;
            }
            tokio::time::sleep(TELL_AGAIN_AFTER).await;
        }
    }
}

enum CallOrAnswer {
    Call(CallError),
    Answer(Failure),
}

impl From<CallOrAnswer> for Failure {
    fn from(error: CallOrAnswer) -> Self {
        match error {
            CallOrAnswer::Call(error) => failed_before(error),
            CallOrAnswer::Answer(failure) => failure,
        }
    }
}

/// A failed call that can have had no effect.
fn failed_before(error: CallError) -> Failure {
    match error {
        CallError::NotReached { .. } => Failure::not_reached(error.to_string()),
        CallError::Broken { .. } => Failure::timeout(error.to_string(), Effect::None),
    }
}

fn read<T: DeserializeOwned>(
    url: &str,
    (status, body): (axum::http::StatusCode, bytes::Bytes),
) -> Result<T, Failure> {
    if status == axum::http::StatusCode::SERVICE_UNAVAILABLE {
        return Err(Failure::full(format!("{url} answered {status}")));
    }
    if !status.is_success() {
        return Err(Failure::error(format!("{url} answered {status}")));
    }
    serde_json::from_slice(&body).map_err(|e| Failure::error(format!("{url} answered something else: {e}")))
}

#[async_trait]
impl Executor for RemoteExecutor {
    async fn prepare(&self, attempt: &Attempt) -> Result<Prepared, Failure> {
        self.ask::<Result<Prepared, Failure>>("prepare", attempt, attempt).await?
    }

    async fn execute(&self, attempt: &Attempt, cancel: &CancellationToken) -> Result<Executed, Failure> {
        let call = self.ask::<Result<Executed, Failure>>("execute", attempt, attempt);
        tokio::pin!(call);
        let answer = tokio::select! {
            answer = &mut call => answer,
            () = self.stop(attempt, cancel) => call.await,
        };
        match answer {
            Ok(outcome) => outcome,
            Err(CallOrAnswer::Call(lost @ CallError::Broken { .. })) => self.look_up(attempt, &lost).await,
            Err(error) => Err(error.into()),
        }
    }

    async fn verify(&self, attempt: &Attempt, executed: &Executed) -> Verification {
        let call = VerifyCall { attempt: attempt.clone(), executed: executed.clone() };
        self.ask("verify", attempt, &call).await.unwrap_or_else(|error| {
            let detail = format!("the executor could not be asked: {}", Failure::from(error));
            Verification { verdict: Verdict::Unverifiable, evidence: "none".to_owned(), detail }
        })
    }

    async fn probe(&self, attempt: &Attempt) -> Probe {
        // The executor may have ended the attempt while nobody was there to hear it.
        let url = format!("{}/executions/{}", self.base, attempt.attempt_id);
        if let Ok((status, body)) = client::get(&url, self.introduction(attempt)).await
            && status.is_success()
            && let Ok(found) = serde_json::from_slice::<Value>(&body)
            && let Ok(Ok(_)) = serde_json::from_value::<Result<Executed, Failure>>(found["answer"].clone())
        {
            return Probe::Done;
        }
        self.ask("probe", attempt, attempt).await.unwrap_or(Probe::Undecidable)
    }

    async fn undo(
        &self,
        attempt: &Attempt,
        pre_image: Option<&[u8]>,
        mode: UndoMode,
    ) -> Result<Undone, UndoError> {
        let dry_run = mode == UndoMode::DryRun;
        let call = UndoCall { attempt: attempt.clone(), pre_image: pre_image.map(<[u8]>::to_vec), dry_run };
        let answer = self.ask::<Result<Undone, UndoError>>("undo", attempt, &call).await;
        answer.unwrap_or_else(|error| Err(UndoError::Failed(error.into())))
    }

    fn availability(&self, intent: &str) -> Availability {
        self.availability.get(intent).cloned().unwrap_or_else(|| Availability {
            available: false,
            reason: Some("the executor doesn't know this capability".to_owned()),
            sandbox: "none".to_owned(),
        })
    }
}
