//! What a person's yes is bound to.
//!
//! An approval is sealed over everything that was shown: who asks, what for, the exact arguments, the
//! files that they name as they were at that moment, and the policy in force. What runs is what was
//! shown, or nothing runs.

use serde::{Deserialize, Serialize};

use crate::{digest::Digest, time::Timestamp};

/// One file that an action works on, as it was when looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operand {
    /// The parameter that names it, or `program`.
    pub param: String,
    /// Its absolute path after links were followed.
    pub path: String,
    /// Device and inode (`dev:ino`) of the file, or of its parent folder where there is no file.
    pub identity: String,
    /// SHA-256 of the content; absent where there was no file.
    pub digest: Option<Digest>,
    /// Size in bytes; 0 where there was no file.
    pub size: u64,
}

/// Everything an approval is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// The caller's name.
    pub caller: String,
    /// The capability's name.
    pub intent: String,
    /// Digest of the exact parameters.
    pub params_digest: Digest,
    /// The files it works on.
    pub operands: Vec<Operand>,
    /// Digest of the policy that asked.
    pub policy_version: String,
    /// After this instant the approval is void.
    pub expires_at: Timestamp,
}

/// Why an approval doesn't release what it was asked to release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stale {
    /// Its time is up.
    #[error("the approval expired")]
    Expired,
    /// The policy was changed after it was shown.
    #[error("the policy changed after this was shown")]
    PolicyChanged,
    /// A file was changed or swapped after it was shown.
    #[error("`{path}` changed after this was shown")]
    OperandChanged {
        /// The file's path.
        path: String,
    },
    /// Caller, capability or arguments are not those that were shown.
    #[error("the request is not the one that was shown")]
    RequestChanged,
}

impl Seal {
    /// Compares what was shown (`self`) with what would run (`current`) at `now`.
    ///
    /// # Errors
    /// [`Stale`] names the first thing that differs.
    pub fn releases(&self, current: &Self, now: Timestamp) -> Result<(), Stale> {
        if now >= self.expires_at {
            return Err(Stale::Expired);
        }
        if (&self.caller, &self.intent, &self.params_digest)
            != (&current.caller, &current.intent, &current.params_digest)
        {
            return Err(Stale::RequestChanged);
        }
        if self.policy_version != current.policy_version {
            return Err(Stale::PolicyChanged);
        }
        if self.operands.len() != current.operands.len() {
            return Err(Stale::RequestChanged);
        }
        match self.operands.iter().zip(&current.operands).find(|(shown, now)| shown != now) {
            Some((shown, _)) => Err(Stale::OperandChanged { path: shown.path.clone() }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal() -> Seal {
        Seal {
            caller: "agent".into(),
            intent: "file.write".into(),
            params_digest: Digest::of(b"params"),
            operands: vec![Operand {
                param: "path".into(),
                path: "/r/a".into(),
                identity: "1:2".into(),
                digest: Some(Digest::of(b"old")),
                size: 3,
            }],
            policy_version: "p1".into(),
            expires_at: Timestamp(100),
        }
    }

    #[test]
    fn each_part_of_the_seal_holds() {
        let shown = seal();
        let with = |change: fn(&mut Seal)| {
            let mut current = seal();
            change(&mut current);
            shown.releases(&current, Timestamp(50))
        };
        assert_eq!(with(|_| ()), Ok(()));
        assert_eq!(with(|s| s.caller = "other".into()), Err(Stale::RequestChanged));
        assert_eq!(with(|s| s.intent = "file.read".into()), Err(Stale::RequestChanged));
        assert_eq!(with(|s| s.params_digest = Digest::of(b"x")), Err(Stale::RequestChanged));
        assert_eq!(with(|s| s.policy_version = "p2".into()), Err(Stale::PolicyChanged));
        assert_eq!(with(|s| s.operands.clear()), Err(Stale::RequestChanged));
        let changed = Err(Stale::OperandChanged { path: "/r/a".into() });
        assert_eq!(with(|s| s.operands[0].digest = Some(Digest::of(b"new"))), changed);
        assert_eq!(with(|s| s.operands[0].digest = None), changed);
        assert_eq!(with(|s| s.operands[0].identity = "1:3".into()), changed);
        assert_eq!(with(|s| s.operands[0].path = "/r/b".into()), changed);
    }

    #[test]
    fn expires_at_its_instant_and_not_before() {
        assert_eq!(seal().releases(&seal(), Timestamp(99)), Ok(()));
        assert_eq!(seal().releases(&seal(), Timestamp(100)), Err(Stale::Expired));
    }
}
