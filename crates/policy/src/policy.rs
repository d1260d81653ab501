//! A whole policy: the rules in force, and the question put to them.

use serde_json::json;
use steadyhand_core::{capability::Registry, digest::Digest};

use crate::{
    PolicyError, builtin, misfit,
    parse::{self, Source},
    rule::{Decision, Mismatch, Origin, Query, Rule},
};

/// A policy in force. Made once per change of its file, then only read.
#[derive(Debug, Clone)]
pub struct Policy {
    /// In the order in which they are looked at.
    rules: Vec<Rule>,
    /// Matches everything; decides where no other rule does.
    last: Rule,
    shell_allow: Vec<String>,
    allow_bare: bool,
    version: Digest,
}

/// What the policy says of an action, and which rule says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// What may be done.
    pub decision: Decision,
    /// The name of the rule that decided.
    pub rule: String,
    /// What the rule says to people; may be empty.
    pub description: String,
    /// Where the rule comes from.
    pub origin: Origin,
    /// The line where the rule begins in its file; a built-in rule has none.
    pub line: Option<usize>,
}

/// A rule that was looked at, and what came of it.
#[derive(Debug, Clone, Copy)]
pub struct Step<'p> {
    /// The rule.
    pub rule: &'p Rule,
    /// Why it didn't match; `None`: it did, and decided.
    pub mismatch: Option<Mismatch<'p>>,
}

impl Policy {
    /// Compiles the text of a policy file. Empty text is the built-in policy.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn parse(text: &str, file_name: &str) -> Result<Self, PolicyError> {
        parse::policy(Source { text, file_name }, None).map(Self::from_parts)
    }

    /// As [`Policy::parse`], with `action_safety` from Steadyhand's configuration file, whose other
    /// tables are not looked at.
    ///
    /// # Errors
    /// The first thing that is wrong in either, with its place.
    pub fn parse_with_config(policy: Source<'_>, config: Source<'_>) -> Result<Self, PolicyError> {
        parse::policy(policy, Some(config)).map(Self::from_parts)
    }

    /// The policy of a machine without a policy file.
    #[must_use]
    pub fn builtin() -> Self {
        Self::from_parts(parse::Parts::default())
    }

    fn from_parts(parts: parse::Parts) -> Self {
        let mut rules = parts.rules;
        rules.extend(builtin::rules());
        let last = builtin::last(parts.default_decision);
        let version = digest(&rules, &last, &parts.shell_allow, parts.allow_bare);
        Self { rules, last, shell_allow: parts.shell_allow, allow_bare: parts.allow_bare, version }
    }

    /// Identifies what decides: 64 hexadecimal digits of SHA-256 over all rules in force, the built-in
    /// ones included, and the shell's settings. Comments and layout of the file don't count.
    #[must_use]
    pub fn version(&self) -> &str {
        self.version.as_str()
    }

    /// What may be done with the action: the first rule that matches decides.
    #[must_use]
    pub fn decide(&self, query: &Query<'_>) -> Ruling {
        let rule = self.rules.iter().find(|rule| rule.look(query).is_ok()).unwrap_or(&self.last);
        Ruling {
            decision: rule.decision,
            rule: rule.name.clone(),
            description: rule.description.clone(),
            origin: rule.origin,
            line: rule.line(),
        }
    }

    /// Every rule that [`Policy::decide`] looks at for the query, in order; the last one decided.
    #[must_use]
    pub fn explain(&self, query: &Query<'_>) -> Vec<Step<'_>> {
        let mut steps = Vec::new();
        for rule in self.rules() {
            let mismatch = rule.look(query).err();
            steps.push(Step { rule, mismatch });
            if mismatch.is_none() {
                break;
            }
        }
        steps
    }

    /// All rules in the order in which they are looked at.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().chain(std::iter::once(&self.last))
    }

    /// How many rules there are, the built-in ones included.
    #[must_use]
    pub fn rule_count(&self) -> usize {
        self.rules.len() + 1
    }

    /// The operator's and custom rules that can never match what `registry` holds: misspelt capabilities
    /// and arguments. A deny among them has no effect, so whoever loads a policy should refuse or warn.
    #[must_use]
    pub fn misfits(&self, registry: &Registry) -> Vec<PolicyError> {
        misfit::find(&self.rules, registry)
    }

    /// Programs that commands may run beside the built-in list.
    #[must_use]
    pub fn shell_allow(&self) -> &[String] {
        &self.shell_allow
    }

    /// Whether commands may run without the kernel's sandbox where it can't be had. Default: no.
    #[must_use]
    pub fn allow_bare(&self) -> bool {
        self.allow_bare
    }
}

fn digest(rules: &[Rule], last: &Rule, shell_allow: &[String], allow_bare: bool) -> Digest {
    let rules: Vec<_> = rules.iter().chain(std::iter::once(last)).map(Rule::canonical).collect();
    Digest::of_json(&json!({ "rules": rules, "shell_allow": shell_allow, "bare": allow_bare }))
}
