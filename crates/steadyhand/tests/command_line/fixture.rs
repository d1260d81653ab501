//! Runs the binary in a home folder of its own.

use std::{
    path::Path,
    process::{Command, Stdio},
};

/// A home folder for one test.
pub(crate) struct Home(tempfile::TempDir);

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The exit code.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

impl Home {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The binary with nothing of this machine's environment.
    #[expect(clippy::disallowed_methods, reason = "the binary is what is tested")]
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_steadyhand"));
        command.args(args).env_clear().env("HOME", self.path()).env("COLUMNS", "100");
        command.current_dir(self.path()).stdin(Stdio::null());
        command
    }

    /// Runs the binary to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Self::finish(&mut self.command(args))
    }

    /// Runs a command to its end.
    pub(crate) fn finish(command: &mut Command) -> Ran {
        let output = command.output().expect("the binary starts");
        let text = |bytes| String::from_utf8(bytes).expect("the binary prints UTF-8");
        let code = output.status.code().expect("no signal ended it");
        Ran { code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Writes a file below the home folder, making its folders.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a file in a folder")).expect("folders can be made");
        std::fs::write(path, text).expect("files can be written");
    }
}

impl Ran {
    /// Checks the exit code and what was said, and answers both texts.
    #[track_caller]
    pub(crate) fn ends(self, code: i32, said: &str) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        assert!(format!("{}\n{}", self.stdout, self.stderr).contains(said), "no `{said}` in {self:?}");
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}
