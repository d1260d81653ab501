//! One rule: what it is asked, when it matches, what it says then.

use std::{fmt, sync::Arc};

use serde_json::{Map, Value, json};

use crate::{arg::ArgPattern, name::NamePattern};

/// What may be done with an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// It runs at once.
    Allow,
    /// A person is asked first.
    Ask,
    /// It doesn't run.
    Deny,
}

impl Decision {
    /// The decision's word in a policy file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a rule comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A `[[rule]]` of the policy file.
    Operator,
    /// One of `action_safety.custom_rules`.
    Custom,
    /// Steadyhand itself.
    Builtin,
}

impl Origin {
    /// The origin's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Custom => "custom",
            Self::Builtin => "builtin",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a policy is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// The capability's name, as the caller wrote it.
    pub intent: &'a str,
    /// The exact parameters.
    pub params: &'a Map<String, Value>,
    /// The caller's name.
    pub caller: &'a str,
}

/// Why a rule doesn't match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch<'p> {
    /// It is about other capabilities.
    Capability {
        /// The rule's pattern.
        wanted: &'p str,
    },
    /// It is about other callers.
    Caller {
        /// The rule's pattern.
        wanted: &'p str,
    },
    /// It is about an argument that isn't there, or is null.
    ArgumentAbsent {
        /// The argument.
        name: &'p str,
    },
    /// An argument isn't as the rule wants it.
    ArgumentDiffers {
        /// The argument.
        name: &'p str,
    },
}

impl fmt::Display for Mismatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capability { wanted } => write!(f, "is about `{wanted}`"),
            Self::Caller { wanted } => write!(f, "is about the caller `{wanted}`"),
            Self::ArgumentAbsent { name } => write!(f, "argument `{name}` is absent"),
            Self::ArgumentDiffers { name } => write!(f, "argument `{name}` doesn't match"),
        }
    }
}

/// A place in a file; line and column count from 1, the column in characters.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) file: Arc<str>,
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// A compiled rule.
#[derive(Debug, Clone)]
pub struct Rule {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) decision: Decision,
    pub(crate) origin: Origin,
    /// Where it begins in its file; a built-in rule has no place.
    pub(crate) place: Option<Place>,
    /// Must match the intent.
    pub(crate) capability: NamePattern,
    /// Absent: any caller.
    pub(crate) caller: Option<NamePattern>,
    /// All of these must hold.
    pub(crate) args: Vec<(String, ArgPattern)>,
}

impl Rule {
    /// Its name, unique in a policy.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it says to people; may be empty.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// What it decides when it matches.
    #[must_use]
    pub fn decision(&self) -> Decision {
        self.decision
    }

    /// Where it comes from.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The line where it begins in its file; a built-in rule has none.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.place.as_ref().map(|place| place.line)
    }

    /// The pattern over the intent, as it was written; a regular expression stands between slashes.
    #[must_use]
    pub fn capability(&self) -> &str {
        self.capability.source()
    }

    /// The pattern over the caller's name; `None`: any caller.
    #[must_use]
    pub fn caller(&self) -> Option<&str> {
        self.caller.as_ref().map(NamePattern::source)
    }

    /// The conditions on arguments as data, such as `{"path": {"under": "scratch"}}`.
    #[must_use]
    pub fn args(&self) -> Value {
        self.args.iter().map(|(name, pattern)| (name.clone(), pattern.canonical())).collect()
    }

    /// Whether the rule's capability pattern matches `intent`, whoever asks with whatever arguments.
    #[must_use]
    pub fn is_about(&self, intent: &str) -> bool {
        self.capability.matches(intent)
    }

    /// Looks at the query.
    ///
    /// # Errors
    /// The first thing that keeps the rule from matching.
    pub fn look(&self, query: &Query<'_>) -> Result<(), Mismatch<'_>> {
        if !self.capability.matches(query.intent) {
            return Err(Mismatch::Capability { wanted: self.capability.source() });
        }
        if let Some(caller) = &self.caller
            && !caller.matches(query.caller)
        {
            return Err(Mismatch::Caller { wanted: caller.source() });
        }
        for (name, pattern) in &self.args {
            match query.params.get(name) {
                None | Some(Value::Null) => return Err(Mismatch::ArgumentAbsent { name }),
                Some(value) if !pattern.matches(value) => return Err(Mismatch::ArgumentDiffers { name }),
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// All that decides, as data: what the policy's version is the digest of.
    pub(crate) fn canonical(&self) -> Value {
        json!([
            self.name,
            self.description,
            self.decision.as_str(),
            self.origin.as_str(),
            self.capability(),
            self.caller(),
            self.args(),
        ])
    }
}
