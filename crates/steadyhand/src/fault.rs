//! Why a command stops: a sentence with the facts, what to do about it, and the exit code.

use std::{fmt, path::Path};

use crate::exit::Exit;

/// An error as the person at the terminal reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The exit code it ends with.
    pub(crate) exit: Exit,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) advice: Option<String>,
}

impl Fault {
    /// A fault without advice.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), advice: None }
    }

    /// The same fault with what to do about it.
    pub(crate) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// A folder or file that can't be used as it is.
    pub(crate) fn io(path: &Path, doing: &str, error: &std::io::Error) -> Self {
        let fault = Self::new(Exit::Configuration, format!("can't {doing} {}: {error}", path.display()));
        match error.kind() {
            std::io::ErrorKind::PermissionDenied => {
                fault.advise("make it yours (`ls -ld` shows its owner), or name another place")
            }
            std::io::ErrorKind::ReadOnlyFilesystem => fault.advise("the file system is mounted read-only"),
            std::io::ErrorKind::StorageFull => fault.advise("the disk is full: make room"),
            _ => fault,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}
