//! What the service and the stage say to each other, over a socket that is the stage's standard input.
//!
//! The service sends one [`Spec`], its length first, and then holds its end open: when that end closes,
//! for whatever reason, the stage ends everything it started. The stage answers with [`Report`]s, one
//! JSON object a line.

use std::{
    io::{self, Read, Write},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

/// Longest specification as JSON, in bytes: the longest command with every byte escaped, and its folders.
pub(crate) const SPEC_BYTES_MAX: usize = 1024 * 1024;

/// Longest report as JSON, in bytes.
pub(crate) const REPORT_BYTES_MAX: usize = 16 * 1024;

/// A user to run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Its user id.
    pub uid: u32,
    /// Its only group.
    pub gid: u32,
}

/// What to run, and within which bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The program's absolute path, links followed.
    pub program: PathBuf,
    /// Its name and arguments.
    pub argv: Vec<String>,
    /// The folders it may read; the first is its working folder. At least one.
    pub roots: Vec<PathBuf>,
    /// Files and folders it may not read, also under a root.
    pub protected: Vec<PathBuf>,
    /// The user to switch to; `None`: the service's own. Switching needs the privilege.
    pub user: Option<User>,
    /// Seconds of processor time that one process may take.
    pub cpu_seconds: u64,
    /// Whether it may run where the kernel lacks Landlock or seccomp.
    pub allow_bare: bool,
    /// The time zone it is told; `None`: the system's.
    pub time_zone: Option<String>,
}

/// Why the program wasn't started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Obstacle {
    /// The kernel can't confine it.
    Sandbox,
    /// A step before the program failed.
    Setup,
    /// The program itself can't be executed.
    Program,
}

/// What the stage tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    /// There is a process that will become the program. It says so itself, before anything else.
    Forked {
        /// Its process and group.
        pid: u32,
    },
    /// The restrictions are on; the program is about to be executed.
    Confined {
        /// The level reached.
        level: String,
    },
    /// The program runs.
    Started {
        /// Its process and group.
        pid: u32,
        /// The level reached.
        level: String,
    },
    /// The program wasn't started.
    Refused {
        /// Which step said no.
        obstacle: Obstacle,
        /// One sentence with the facts.
        message: String,
    },
    /// The program has ended, and so has every process that it left behind.
    Ended {
        /// Its exit code, or 128 + the signal that ended it.
        code: i32,
    },
}

impl Report {
    /// As one line.
    pub(crate) fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("a report has only text and numbers");
        line.push(b'\n');
        line
    }

    /// Takes the first whole line off `buffer`. A line that is no report is an error.
    pub(crate) fn take(buffer: &mut Vec<u8>) -> Option<Result<Self, serde_json::Error>> {
        let end = buffer.iter().position(|&byte| byte == b'\n')?;
        let line: Vec<u8> = buffer.drain(..=end).collect();
        Some(serde_json::from_slice(&line))
    }
}

impl Spec {
    /// As sent: the length in four bytes, little end first, then JSON.
    pub(crate) fn frame(&self) -> Vec<u8> {
        let body = serde_json::to_vec(self).unwrap_or_default();
        let length = u32::try_from(body.len()).unwrap_or(0);
        [&length.to_le_bytes()[..], &body].concat()
    }

    /// Reads what [`Self::frame`] made.
    pub(crate) fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length) as usize;
        if length == 0 || length > SPEC_BYTES_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the specification's length is out of bounds",
            ));
        }
        let mut body = vec![0; length];
        from.read_exact(&mut body)?;
        Ok(serde_json::from_slice(&body)?)
    }
}

/// Sends a report; a service that is gone doesn't hear it, and that is not the stage's concern.
pub(crate) fn tell(link: &mut impl Write, report: &Report) {
    let _ = link.write_all(&report.line());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Spec {
        Spec {
            program: "/usr/bin/ls".into(),
            argv: vec!["ls".into(), "-l\n\"".into()],
            roots: vec!["/r".into()],
            protected: vec![],
            user: Some(User { uid: 1, gid: 2 }),
            cpu_seconds: 5,
            allow_bare: false,
            time_zone: None,
        }
    }

    #[test]
    fn a_specification_comes_back_as_it_was() {
        assert_eq!(Spec::read(&mut spec().frame().as_slice()).unwrap(), spec());
    }

    #[test]
    fn broken_frames_are_errors() {
        let frame = spec().frame();
        for broken in [
            &[][..],
            &frame[..3],
            &frame[..frame.len() - 1],
            &[0, 0, 0, 0],
            &[255, 255, 255, 255, 1],
            &[2, 0, 0, 0, b'[', b']'],
        ] {
            assert!(Spec::read(&mut &*broken).is_err());
        }
    }

    #[test]
    fn reports_are_taken_line_by_line() {
        let (first, second) = (Report::Ended { code: 3 }, Report::Confined { level: "x\ny".into() });
        let mut buffer = [first.line(), second.line(), b"{\"en".to_vec()].concat();
        assert_eq!(Report::take(&mut buffer).unwrap().unwrap(), first);
        assert_eq!(Report::take(&mut buffer).unwrap().unwrap(), second);
        assert!(Report::take(&mut buffer).is_none());
        assert!(Report::take(&mut b"nonsense\n".to_vec()).unwrap().is_err());
    }
}
