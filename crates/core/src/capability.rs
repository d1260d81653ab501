//! What can be done: a capability's description, and the registry of all of them.
//!
//! One capability is one file in `executors`; the description made there is all that the rest of the
//! product knows of it.

use std::{collections::HashMap, fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How bad it may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// Reads, or changes nothing that matters.
    Safe,
    /// Changes something small that can be put back.
    Low,
    /// Changes files, runs programs.
    Medium,
    /// Acts blindly on whatever is there.
    High,
    /// Nothing has this risk yet; the wire knows the word.
    Critical,
}

impl Risk {
    /// The risk's name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether doing it twice is as good as doing it once (contract 1.9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepeatSafe {
    /// Any repeat is harmless.
    Always,
    /// A repeat may do the thing a second time.
    Never,
    /// Safe while the target still holds what it held before, or already holds what was asked for;
    /// [`crate::executor::Executor::probe`] tells.
    WhenProbed,
}

/// The executor's tier of a tool (contract 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// Reads only.
    Readonly,
    /// Runs something.
    Compute,
    /// Creates or changes something.
    Create,
}

impl Tier {
    /// The tier's name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Readonly => "TIER_0_READONLY",
            Self::Compute => "TIER_1_COMPUTE",
            Self::Create => "TIER_2_CREATE",
        }
    }
}

/// Checks parameters against the capability's Rust type; the error names the parameter and what it
/// should be.
pub type TypeCheck = fn(&Value) -> Result<(), String>;

/// One thing that can be done on a computer.
#[derive(Debug, Clone)]
pub struct Capability {
    /// Its name on the wire, such as `file.read`.
    pub intent: &'static str,
    /// Its name for people.
    pub display_name: &'static str,
    /// Its name for people in the executor's own list (contract 5.1).
    pub tool_name: &'static str,
    /// When to use it and what comes back, in a sentence or two.
    pub description: &'static str,
    /// How bad it may go.
    pub risk: Risk,
    /// Whether a person is asked when no rule of the policy says otherwise.
    pub asks: bool,
    /// Whether this build can do it.
    pub implemented: bool,
    /// The wire's `idempotent`, kept for its shape; [`Self::repeat_safe`] decides.
    pub idempotent: bool,
    /// Whether it may be repeated after an unclear end.
    pub repeat_safe: RepeatSafe,
    /// Whether it can be undone.
    pub reversible: bool,
    /// Whether it changes the world; what doesn't owes no commit before it runs.
    pub has_effect: bool,
    /// Words to find it by, sorted.
    pub tags: &'static [&'static str],
    /// JSON Schema of its parameters, derived from their Rust type.
    pub params_schema: Value,
    /// JSON Schema of its output, derived from its Rust type.
    pub output_schema: Value,
    /// The type check of the parameters.
    pub check: TypeCheck,
    /// Parameters that must be there, in order.
    pub required: &'static [&'static str],
    /// Parameters that may be there, in order.
    pub optional: &'static [&'static str],
    /// Parameters whose text is kept out of journal, logs and lists.
    pub secret_params: &'static [&'static str],
    /// Output fields whose text is kept out of journal, logs and lists.
    pub secret_outputs: &'static [&'static str],
    /// The longest `timeout_ms` that validation lets through.
    pub timeout_max_ms: u64,
    /// The executor's own timeout when a call names none.
    pub tool_timeout_ms: u64,
    /// The executor's tier.
    pub tier: Tier,
    /// Whether the executor confines it (contract 5.1's `requires_sandboxing`).
    pub sandboxed: bool,
}

/// What is wrong with one parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParamError {
    /// A required parameter is absent or null.
    Missing(&'static str),
    /// No such parameter; the nearest known one, if one is near.
    Unknown {
        /// The name that was given.
        name: String,
        /// The known name that was probably meant.
        nearest: Option<&'static str>,
        /// All known names, in order.
        known: Vec<&'static str>,
    },
    /// The value doesn't fit the parameter's type.
    WrongType(String),
}

impl fmt::Display for ParamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "Missing required parameter: {name}"),
            Self::Unknown { name, nearest: Some(near), .. } => {
                write!(f, "Unknown parameter: {name}; did you mean '{near}'?")
            }
            Self::Unknown { name, nearest: None, known } if known.is_empty() => {
                write!(f, "Unknown parameter: {name}; this capability takes none")
            }
            Self::Unknown { name, nearest: None, known } => {
                write!(f, "Unknown parameter: {name}; known are {}", known.join(", "))
            }
            Self::WrongType(message) => f.write_str(message),
        }
    }
}

impl Capability {
    /// The required parameters that are absent or null.
    #[must_use]
    pub fn missing(&self, params: &Map<String, Value>) -> Vec<ParamError> {
        let absent = |name: &&&str| params.get(**name).is_none_or(Value::is_null);
        self.required.iter().filter(absent).map(|name| ParamError::Missing(name)).collect()
    }

    /// The parameters that the capability doesn't know.
    #[must_use]
    pub fn unknown(&self, params: &Map<String, Value>) -> Vec<ParamError> {
        let known: Vec<&'static str> = self.required.iter().chain(self.optional).copied().collect();
        params
            .keys()
            .filter(|name| !known.contains(&name.as_str()))
            .map(|name| ParamError::Unknown {
                name: name.clone(),
                nearest: nearest(name, known.iter().copied()),
                known: known.clone(),
            })
            .collect()
    }

    /// The parameters that are unknown or of the wrong type.
    #[must_use]
    pub fn ill_typed(&self, params: &Map<String, Value>) -> Vec<ParamError> {
        let mut errors = self.unknown(params);
        if errors.is_empty()
            && let Err(message) = (self.check)(&Value::Object(params.clone()))
        {
            errors.push(ParamError::WrongType(message));
        }
        errors
    }
}

/// The known name nearest to `name`, if one is near enough to have been meant.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|k| (strsim::damerau_levenshtein(&name.to_lowercase(), k), k))
        .filter(|(distance, k)| *distance <= 1.max(k.len() / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| k)
}

/// All capabilities of a build, in the order of the wire contract.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    ordered: Vec<Arc<Capability>>,
    by_intent: HashMap<&'static str, Arc<Capability>>,
}

impl Registry {
    /// Makes a registry of `capabilities`, keeping their order.
    #[must_use]
    pub fn new(capabilities: Vec<Capability>) -> Self {
        let ordered: Vec<Arc<Capability>> = capabilities.into_iter().map(Arc::new).collect();
        let by_intent = ordered.iter().map(|c| (c.intent, Arc::clone(c))).collect();
        Self { ordered, by_intent }
    }

    /// The capability of that name.
    #[must_use]
    pub fn get(&self, intent: &str) -> Option<&Arc<Capability>> {
        self.by_intent.get(intent)
    }

    /// All capabilities, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Capability>> {
        self.ordered.iter()
    }

    /// The known intent nearest to `intent`, if one is near enough to have been meant.
    #[must_use]
    pub fn nearest(&self, intent: &str) -> Option<&'static str> {
        nearest(intent, self.ordered.iter().map(|c| c.intent))
    }
}
