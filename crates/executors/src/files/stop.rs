//! Runs blocking work that can be stopped up to a point of no return, and says afterwards whether anything
//! can have happened.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use steadyhand_core::failure::{Effect, Failure};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::refusal::Refusal;

/// How long stopped work may take to clear up before its caller is answered without waiting for it.
const CLEAR_UP_MAX: Duration = Duration::from_millis(500);

const RUNNING: u8 = 0;
const STOPPED: u8 = 1;
const COMMITTED: u8 = 2;

/// The flag between the work and whoever wants to stop it. One of the two wins, once.
#[derive(Debug, Default)]
pub(super) struct Stop(AtomicU8);

impl Stop {
    /// For the work, between its steps.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if self.0.load(Ordering::SeqCst) == STOPPED { Err(Refusal::Stopped) } else { Ok(()) }
    }

    /// For the work, right before its point of no return.
    pub(super) fn commit(&self) -> Result<(), Refusal> {
        match self.0.compare_exchange(RUNNING, COMMITTED, Ordering::SeqCst, Ordering::SeqCst) {
            Err(STOPPED) => Err(Refusal::Stopped),
            _ => Ok(()),
        }
    }

    /// For the other side; `true` when the work can't pass its point of no return any more.
    pub(super) fn stop(&self) -> bool {
        let was = self.0.compare_exchange(RUNNING, STOPPED, Ordering::SeqCst, Ordering::SeqCst);
        was != Err(COMMITTED)
    }
}

/// Stops the work when its caller goes away.
struct StopOnDrop(Arc<Stop>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Runs `work`, called `what` in messages, off the caller's thread for at most `limit`.
///
/// Stopped early, the work removes what it began; the answer's effect is exact either way.
pub(super) async fn run<T: Send + 'static>(
    what: &'static str,
    limit: Duration,
    cancel: &CancellationToken,
    work: impl FnOnce(&Stop) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Failure> {
    if cancel.is_cancelled() {
        return Err(Failure::cancelled(format!("{what} was stopped"), Effect::None));
    }
    let stop = Arc::new(Stop::default());
    let guard = StopOnDrop(Arc::clone(&stop));
    let mut task = tokio::task::spawn_blocking(move || work(&stop));
    let timed_out = tokio::select! {
        biased;
        ended = &mut task => return ending(what, ended),
        () = cancel.cancelled() => false,
        () = sleep(limit) => true,
    };
    let prevented = guard.0.stop();
    match timeout(CLEAR_UP_MAX, &mut task).await {
        Ok(Ok(Err(Refusal::Stopped))) | Err(_) => {}
        Ok(ended) => return ending(what, ended),
    }
    let effect = if prevented { Effect::None } else { Effect::Unknown };
    Err(if timed_out {
        Failure::timeout(format!("{what} timed out after {}ms", limit.as_millis()), effect)
    } else {
        Failure::cancelled(format!("{what} was stopped"), effect)
    })
}

fn ending<T>(
    what: &'static str,
    ended: Result<Result<T, Refusal>, tokio::task::JoinError>,
) -> Result<T, Failure> {
    match ended {
        Ok(result) => result.map_err(Failure::from),
        Err(error) => Err(Failure::failed_midway(format!("{what} broke off: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use steadyhand_core::failure::Status;

    use super::*;

    const LONG: Duration = Duration::from_secs(15);

    fn wait_for_stop(stop: &Stop) -> Refusal {
        loop {
            if let Err(refusal) = stop.check() {
                return refusal;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn one_of_the_two_wins_once() {
        let stop = Stop::default();
        assert!(stop.stop() && stop.check().is_err() && stop.commit().is_err() && stop.stop());
        let stop = Stop::default();
        assert!(stop.commit().is_ok() && !stop.stop() && stop.check().is_ok() && stop.commit().is_ok());
    }

    #[tokio::test]
    async fn a_timeout_before_the_point_of_no_return_had_no_effect() {
        let work = |stop: &Stop| Err::<(), _>(wait_for_stop(stop));
        let failure = run("It", Duration::ZERO, &CancellationToken::new(), work).await.unwrap_err();
        assert_eq!((failure.status, failure.effect), (Status::Timeout, Effect::None));
        assert_eq!(failure.message, "It timed out after 0ms");
    }

    #[tokio::test]
    async fn a_cancelled_work_is_told_and_waited_for() {
        let cancel = CancellationToken::new();
        let (begun, begins) = tokio::sync::oneshot::channel();
        let (ended, ends) = mpsc::channel();
        let work = run("It", LONG, &cancel, move |stop| {
            begun.send(()).unwrap();
            let refusal = wait_for_stop(stop);
            ended.send(()).unwrap();
            Err::<(), _>(refusal)
        });
        let cancelling = async {
            begins.await.unwrap();
            cancel.cancel();
        };
        let (failure, ()) = tokio::join!(work, cancelling);
        let failure = failure.unwrap_err();
        assert_eq!((failure.status, failure.effect), (Status::Cancelled, Effect::None));
        ends.try_recv().unwrap();
    }

    #[tokio::test]
    async fn past_the_point_of_no_return_the_result_is_waited_for() {
        let cancel = CancellationToken::new();
        let (committed, commits) = tokio::sync::oneshot::channel();
        let (cancelled, cancels) = mpsc::channel();
        let work = run("It", LONG, &cancel, move |stop| {
            stop.commit()?;
            committed.send(()).unwrap();
            cancels.recv().unwrap();
            Ok(7)
        });
        let cancelling = async {
            commits.await.unwrap();
            cancel.cancel();
            cancelled.send(()).unwrap();
        };
        let (result, ()) = tokio::join!(work, cancelling);
        assert_eq!(result.unwrap(), 7);
    }

    #[tokio::test]
    async fn work_whose_caller_goes_away_stops() {
        let (begun, begins) = tokio::sync::oneshot::channel();
        let (ended, ends) = tokio::sync::oneshot::channel();
        let cancel = CancellationToken::new();
        let work = run("It", LONG, &cancel, move |stop| {
            begun.send(()).unwrap();
            ended.send(wait_for_stop(stop).to_string()).unwrap();
            Ok(())
        });
        tokio::select! {
            _ = work => panic!("it can't have ended"),
            begun = begins => begun.unwrap(),
        }
        assert_eq!(ends.await.unwrap(), "stopped before anything was changed");
    }

    #[tokio::test]
    async fn work_that_panics_may_have_done_something() {
        let work = |_: &Stop| -> Result<(), Refusal> { panic!("a bug") };
        let failure = run("It", LONG, &CancellationToken::new(), work).await.unwrap_err();
        assert_eq!((failure.status, failure.effect), (Status::Error, Effect::Unknown));
    }
}
