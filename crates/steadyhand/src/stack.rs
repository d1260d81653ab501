//! What runs on a data folder: `run/stack.json`, written by `up`, read by everything that talks to it.

use std::{net::IpAddr, path::Path};

use serde::{Deserialize, Serialize};

use crate::{config, exit::Exit, fault::Fault};

/// A running stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stack {
    /// The process.
    pub(crate) pid: u32,
    /// The gateway's port.
    pub(crate) port_base: u16,
    /// The address that the services listen on.
    pub(crate) bind: IpAddr,
    /// `on` or `off`.
    pub(crate) auth: String,
    /// When it started, RFC 3339.
    pub(crate) started_at: String,
}

impl Stack {
    /// Reads the description, if there is one.
    ///
    /// # Errors
    /// When it can't be read or understood.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, Fault> {
        let Some(text) = config::read_optional(path)? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|error| {
            let message = format!("{} is not what `up` writes: {error}", path.display());
            Fault::new(Exit::Configuration, message).advise("remove the file and start Steadyhand again")
        })
    }

    /// Whether the process is there.
    pub(crate) fn runs(&self) -> bool {
        let pid = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw);
        // EPERM: it is there, and somebody else's.
        pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
            && !self.is_zombie()
    }

    /// Whether the process has ended, and only its parent hasn't noticed yet.
    fn is_zombie(&self) -> bool {
        // `pid (name) state …`; the name may hold anything, brackets too.
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X']))
    }

    /// Where its gateway answers.
    pub(crate) fn url(&self) -> String {
        url(self.bind, self.port_base)
    }
}

/// The address of a gateway; one that listens everywhere is reached over loopback.
pub(crate) fn url(bind: IpAddr, port: u16) -> String {
    match bind {
        IpAddr::V4(v4) if v4.is_unspecified() => format!("http://127.0.0.1:{port}"),
        IpAddr::V6(v6) if v6.is_unspecified() => format!("http://[::1]:{port}"),
        IpAddr::V4(v4) => format!("http://{v4}:{port}"),
        IpAddr::V6(v6) => format!("http://[{v6}]:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_reads_back_and_nonsense_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stack.json");
        assert_eq!(Stack::read(&path), Ok(None));
        std::fs::write(
            &path,
            r#"{"pid":1,"port_base":7000,"bind":"127.0.0.1","auth":"on","started_at":"2026-01-02T03:04:05Z"}"#,
        )
        .unwrap();
        let stack = Stack::read(&path).unwrap().unwrap();
        assert_eq!(stack.url(), "http://127.0.0.1:7000");
        assert!(stack.runs(), "process 1 always does");
        assert!(!Stack { pid: u32::MAX, ..stack.clone() }.runs());
        assert!(!Stack { pid: 0, ..stack }.runs());
        for broken in ["", "{}", "[]", r#"{"pid":-1}"#] {
            std::fs::write(&path, broken).unwrap();
            assert_eq!(Stack::read(&path).unwrap_err().exit, Exit::Configuration, "{broken}");
        }
    }

    #[test]
    fn addresses_that_mean_everywhere_are_reached_over_loopback() {
        for (bind, shown) in [
            ("127.0.0.1", "http://127.0.0.1:7"),
            ("0.0.0.0", "http://127.0.0.1:7"),
            ("::", "http://[::1]:7"),
            ("10.0.0.1", "http://10.0.0.1:7"),
            ("fd00::1", "http://[fd00::1]:7"),
        ] {
            assert_eq!(url(bind.parse().unwrap(), 7), shown);
        }
    }
}
