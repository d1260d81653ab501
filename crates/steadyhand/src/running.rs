//! The description of a running stack, written while it runs and taken away when it ends.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use steadyhand_core::time::Clock;
use steadyhand_gateway::wire::time;

use crate::{
    config::{Auth, Config},
    exit::Exit,
    fault::Fault,
    folders,
    stack::Stack,
    system::SystemClock,
};

/// Takes the description away when dropped.
pub(crate) struct Described(Option<PathBuf>);

impl Described {
    /// Writes `run/stack.json`. A service that runs alone beside a stack describes nothing.
    ///
    /// # Errors
    /// When the file can't be written.
    pub(crate) fn write(config: &Config, is_gateway: bool) -> Result<Self, Fault> {
        if !is_gateway {
            return Ok(Self(None));
        }
        let path = config.places.stack_file();
        let stack = Stack {
            pid: std::process::id(),
            port_base: config.port_base,
            bind: config.bind,
            auth: if config.auth == Auth::On { "on" } else { "off" }.to_owned(),
            started_at: time::zulu(SystemClock.now()),
        };
        if let Some(folder) = path.parent() {
            folders::make_private(folder)?;
        }
        let text = serde_json::to_string(&stack).map_err(|e| Fault::new(Exit::Failed, e.to_string()))?;
        replace(&path, text.as_bytes()).map_err(|e| Fault::io(&path, "write", &e))?;
        Ok(Self(Some(path)))
    }
}

/// Replaces a file at once, so that nobody reads half of it.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let mut file: File = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(new, path)
}

impl Drop for Described {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // A description that stays names a process that isn't there, which readers check.
            let _ = std::fs::remove_file(path);
        }
    }
}
