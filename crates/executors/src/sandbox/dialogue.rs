//! What the service and a running stage have said so far, and what that comes to.

use rustix::process::Pid;
use steadyhand_core::failure::Failure;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

use super::wire::{Obstacle, REPORT_BYTES_MAX, Report, Spec};

/// Bytes of reports read at once.
const CHUNK_BYTES: usize = 1024;

/// A program that ran to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) code: i32,
    pub(super) pid: u32,
    pub(super) level: String,
}

/// What the stage has said so far.
#[derive(Default)]
pub(super) struct Dialogue {
    buffer: Vec<u8>,
    forked: Option<u32>,
    started: Option<(u32, String)>,
    last: Option<Report>,
}

impl Dialogue {
    /// Sends the specification and listens until the last report, or until the stage is gone.
    pub(super) async fn hold(&mut self, link: &mut UnixStream, spec: &Spec) {
        if link.write_all(&spec.frame()).await.is_err() {
            return;
        }
        let mut chunk = [0; CHUNK_BYTES];
        while let Ok(read @ 1..) = link.read(&mut chunk).await {
            self.hear(&chunk[..read]);
            if self.last.is_some() || self.buffer.len() > REPORT_BYTES_MAX {
                return;
            }
        }
    }

    /// Hears what has arrived, without waiting for more.
    pub(super) fn catch_up(&mut self, link: &UnixStream) {
        let mut chunk = [0; CHUNK_BYTES];
        while let Ok(read @ 1..) = link.try_read(&mut chunk) {
            self.hear(&chunk[..read]);
            if self.buffer.len() > REPORT_BYTES_MAX {
                return;
            }
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        while let Some(Ok(report)) = Report::take(&mut self.buffer) {
            match report {
                Report::Confined { .. } => {}
                Report::Forked { pid } => self.forked = Some(pid),
                Report::Started { pid, level } => self.started = Some((pid, level)),
                last @ (Report::Refused { .. } | Report::Ended { .. }) => self.last = Some(last),
            }
        }
    }

    /// The program's process group, known before it runs.
    pub(super) fn group(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.forked?).ok().filter(|pid| *pid > 1)?)
    }

    /// Whether the stage has said its last word.
    pub(super) fn has_ended(&self) -> bool {
        self.last.is_some()
    }

    /// How it ended; `None`: it started, and then the stage went silent.
    pub(super) fn outcome(&self) -> Result<Option<Ended>, Failure> {
        match (self.started.clone(), self.last.clone()) {
            (Some((pid, level)), Some(Report::Ended { code })) => Ok(Some(Ended { code, pid, level })),
            (None, Some(Report::Refused { obstacle, message })) => Err(match obstacle {
                Obstacle::Sandbox => Failure::denied(message).with_code("SANDBOX_UNAVAILABLE"),
                Obstacle::Setup => Failure::not_reached(message),
                Obstacle::Program => Failure::error(message),
            }),
            (None, _) => Err(Failure::not_reached("the restricted stage gave no answer")),
            (Some(_), _) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use steadyhand_core::failure::Status;

    use super::*;

    fn heard(reports: &[Report]) -> Dialogue {
        let mut dialogue = Dialogue::default();
        let bytes: Vec<u8> = reports.iter().flat_map(Report::line).collect();
        bytes.chunks(5).for_each(|part| dialogue.hear(part));
        dialogue
    }

    fn started() -> Report {
        Report::Started { pid: 70, level: "bare".to_owned() }
    }

    fn refused(obstacle: Obstacle) -> Report {
        Report::Refused { obstacle, message: "no".to_owned() }
    }

    #[test]
    fn a_program_that_started_and_ended_has_an_exit_code() {
        let dialogue = heard(&[Report::Forked { pid: 70 }, started(), Report::Ended { code: 3 }]);
        let ended = Ended { code: 3, pid: 70, level: "bare".to_owned() };
        assert_eq!(dialogue.outcome(), Ok(Some(ended)));
        assert_eq!(dialogue.group(), Pid::from_raw(70));
    }

    #[test]
    fn what_is_missing_from_the_dialogue_decides_the_failure() {
        for (reports, status) in [
            (vec![], Status::NotReached),
            (vec![Report::Forked { pid: 70 }], Status::NotReached),
            (vec![Report::Ended { code: 0 }], Status::NotReached),
            (vec![refused(Obstacle::Setup)], Status::NotReached),
            (vec![refused(Obstacle::Sandbox)], Status::PolicyDenied),
            (vec![refused(Obstacle::Program)], Status::Error),
        ] {
            assert_eq!(heard(&reports).outcome().unwrap_err().status, status, "{reports:?}");
        }
        assert_eq!(heard(&[started()]).outcome(), Ok(None));
        assert_eq!(heard(&[started(), refused(Obstacle::Setup)]).outcome(), Ok(None));
    }

    #[test]
    fn no_report_names_a_group_that_must_not_be_killed() {
        for pid in [0, 1, u32::MAX, 1 << 31] {
            assert_eq!(heard(&[Report::Forked { pid }]).group(), None, "{pid}");
        }
    }
}
