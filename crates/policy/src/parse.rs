//! From text to rules: the shape of the policy file and of `action_safety`, and nothing of their meaning.
//!
//! The file is walked by hand, for a refusal must name line, column and remedy, also where a derived
//! reader would only know the table.

mod reader;

use reader::{Entry, Reader, Table};
use serde_json::Value;
use toml::de::DeValue;

use crate::{
    PolicyError, Problem,
    arg::{ArgPattern, Folder},
    builtin,
    name::{self, Case, NamePattern},
    rule::{Decision, Origin, Rule},
};

/// What a policy may hold at most. One more is refused when it is read.
pub mod bounds {
    /// Bytes of a policy file.
    pub const FILE_BYTES_MAX: usize = 1 << 20;
    /// Rules of the operator; custom rules have the same bound of their own.
    pub const RULES_MAX: usize = 1000;
    /// Conditions on arguments in one rule.
    pub const ARGS_MAX: usize = 32;
    /// Programs in `shell.allow`.
    pub const PROGRAMS_MAX: usize = 256;
    /// Bytes of a rule's name, of a program's and of an argument's.
    pub const NAME_BYTES_MAX: usize = 200;
    /// Bytes of a description.
    pub const DESCRIPTION_BYTES_MAX: usize = 1000;
    /// Bytes of a glob, an expression, a folder or an exact text.
    pub const PATTERN_BYTES_MAX: usize = 1000;
    /// Bytes that one compiled expression may take, and again its lazily built automaton.
    pub const REGEX_BYTES_MAX: usize = 1 << 20;
    /// Depth to which groups of an expression may nest.
    pub const REGEX_NEST_MAX: u32 = 50;
}

/// A text and the name of the file that it comes from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'t> {
    /// The text.
    pub text: &'t str,
    /// The file's name, for errors.
    pub file_name: &'t str,
}

/// What was read, in the order of the first match.
#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) rules: Vec<Rule>,
    pub(crate) default_decision: Option<Decision>,
    pub(crate) shell_allow: Vec<String>,
    pub(crate) allow_bare: bool,
}

const ROOT_KEYS: &[&str] = &["rule", "shell", "action_safety"];
const RULE_KEYS: &[&str] = &["name", "capability", "caller", "decision", "description", "args"];
const SHELL_KEYS: &[&str] = &["allow", "bare"];
const CONDITION_KEYS: &[&str] = &["under", "regex", "glob"];
const SAFETY_KEYS: &[&str] =
    &["confirmation_ttl_seconds", "max_pending_confirmations", "default_verdict", "custom_rules"];
const CUSTOM_KEYS: &[&str] =
    &["name", "verdict", "action_pattern", "arg_patterns", "description", "priority"];
const DECISIONS: &[&str] = &["allow", "ask", "deny"];
const VERDICTS: &[&str] = &["allow", "confirm", "deny"];
/// What the words of both lists mean, in order.
const MEANINGS: [Decision; 3] = [Decision::Allow, Decision::Ask, Decision::Deny];
/// The priority of a custom rule that names none.
const PRIORITY: i64 = 100;

/// Reads a policy file, and `action_safety` from a configuration if one is given.
pub(crate) fn policy(source: Source<'_>, config: Option<Source<'_>>) -> Result<Parts, PolicyError> {
    let (reader, root) = Reader::parse(source)?;
    let root = reader.root(&root);
    reader.known_only(&root, ROOT_KEYS)?;
    let mut parts = Parts::default();
    if let Some(rules) = root.get("rule") {
        for entry in reader.array(&rules, "an array of tables: write `[[rule]]`", bounds::RULES_MAX)? {
            let rule = rule(&reader, &entry)?;
            add(&reader, &entry, &mut parts.rules, rule)?;
        }
    }
    if let Some(shell) = root.get("shell") {
        read_shell(&reader, &reader.table(&shell)?, &mut parts)?;
    }
    let own_safety = root.get("action_safety");
    if let Some(safety) = &own_safety {
        read_safety(&reader, safety, &mut parts)?;
    }
    if let Some(config) = config {
        let (reader, root) = Reader::parse(config)?;
        if let Some(safety) = reader.root(&root).get("action_safety") {
            if own_safety.is_some() {
                return Err(reader.refuse(safety.at(), Problem::TwoActionSafety));
            }
            read_safety(&reader, &safety, &mut parts)?;
        }
    }
    Ok(parts)
}

/// One `[[rule]]`.
fn rule<'t>(reader: &Reader<'t>, entry: &Entry<'_, 't>) -> Result<Rule, PolicyError> {
    let table = reader.table(entry)?;
    reader.known_only(&table, RULE_KEYS)?;
    let decision = reader.required(&table, "decision")?;
    Ok(Rule {
        name: name(reader, &table)?,
        description: description(reader, &table)?,
        decision: reader.word(&decision, "decision", DECISIONS, &MEANINGS)?,
        origin: Origin::Operator,
        place: Some(reader.place(table.at())),
        capability: {
            let entry = reader.required(&table, "capability")?;
            let glob = reader.text(&entry, bounds::PATTERN_BYTES_MAX)?;
            usable(reader, &entry, NamePattern::glob(glob, Case::Any))?
        },
        caller: match table.get("caller") {
            None => None,
            Some(entry) => {
                let glob = reader.text(&entry, bounds::PATTERN_BYTES_MAX)?;
                Some(usable(reader, &entry, NamePattern::glob(glob, Case::Exact))?)
            }
        },
        args: match table.get("args") {
            None => Vec::new(),
            Some(entry) => conditions(reader, &reader.table(&entry)?, condition)?,
        },
    })
}

/// One of `custom_rules`, with its priority.
fn custom_rule<'t>(reader: &Reader<'t>, entry: &Entry<'_, 't>) -> Result<(i64, Rule), PolicyError> {
    let table = reader.table(entry)?;
    reader.known_only(&table, CUSTOM_KEYS)?;
    let verdict = reader.required(&table, "verdict")?;
    let priority = table.get("priority").map_or(Ok(PRIORITY), |entry| reader.whole(&entry))?;
    let rule = Rule {
        name: name(reader, &table)?,
        description: description(reader, &table)?,
        decision: reader.word(&verdict, "verdict", VERDICTS, &MEANINGS)?,
        origin: Origin::Custom,
        place: Some(reader.place(table.at())),
        capability: {
            let entry = reader.required(&table, "action_pattern")?;
            let regex = reader.text(&entry, bounds::PATTERN_BYTES_MAX)?;
            usable(reader, &entry, NamePattern::whole(regex))?
        },
        caller: None,
        args: match table.get("arg_patterns") {
            None => Vec::new(),
            Some(entry) => conditions(reader, &reader.table(&entry)?, searched)?,
        },
    };
    Ok((priority, rule))
}

/// Adds a rule whose name is its own.
fn add<'t>(
    reader: &Reader<'t>,
    entry: &Entry<'_, 't>,
    rules: &mut Vec<Rule>,
    rule: Rule,
) -> Result<(), PolicyError> {
    let name = rule.name.clone();
    let other = rules.iter().find(|other| other.name == name);
    let problem = match other.and_then(|other| other.place.as_ref()) {
        Some(place) => Problem::DuplicateName { name, place: format!("{}:{}", place.file, place.line) },
        None if builtin::is_name(&name) => Problem::BuiltinName { name },
        None => {
            rules.push(rule);
            return Ok(());
        }
    };
    let at = reader.table(entry)?.get("name").map_or(entry.at(), |name| name.at());
    Err(reader.refuse(at, problem))
}

fn name<'t>(reader: &Reader<'t>, table: &Table<'_, 't>) -> Result<String, PolicyError> {
    let entry = reader.required(table, "name")?;
    reader.text(&entry, bounds::NAME_BYTES_MAX).map(str::to_owned)
}

fn description<'t>(reader: &Reader<'t>, table: &Table<'_, 't>) -> Result<String, PolicyError> {
    let Some(entry) = table.get("description") else { return Ok(String::new()) };
    reader.text(&entry, bounds::DESCRIPTION_BYTES_MAX).map(str::to_owned)
}

/// How the value beside an argument's name is read.
type ReadCondition<'t> = fn(&Reader<'t>, &Entry<'_, 't>) -> Result<ArgPattern, PolicyError>;

fn conditions<'t>(
    reader: &Reader<'t>,
    table: &Table<'_, 't>,
    read: ReadCondition<'t>,
) -> Result<Vec<(String, ArgPattern)>, PolicyError> {
    let entries = table.entries();
    let (count, max) = (entries.len(), bounds::ARGS_MAX);
    if count > max {
        return Err(reader.refuse(table.at(), Problem::TooMany { key: "args".to_owned(), count, max }));
    }
    entries.iter().map(|entry| Ok((entry.key().to_owned(), read(reader, entry)?))).collect()
}

/// A condition of a `[[rule]]`: an exact value, or a table with one word.
fn condition<'t>(reader: &Reader<'t>, entry: &Entry<'_, 't>) -> Result<ArgPattern, PolicyError> {
    let exact = match entry.value() {
        DeValue::Table(_) => {
            let table = reader.table(entry)?;
            reader.known_only(&table, CONDITION_KEYS)?;
            let [inner] = table.entries().try_into().map_err(|_: Vec<_>| {
                reader.wrong_type(entry, "a value or a table with one of `under`, `regex`, `glob`")
            })?;
            return pattern(reader, &inner);
        }
        DeValue::String(text) if text.is_empty() => Value::from(""),
        DeValue::String(_) => Value::from(reader.text(entry, bounds::PATTERN_BYTES_MAX)?),
        DeValue::Boolean(truth) => Value::from(*truth),
        DeValue::Integer(_) => Value::from(reader.whole(entry)?),
        _ => return Err(reader.wrong_type(entry, "a text, a whole number, true, false or a table")),
    };
    Ok(ArgPattern::Exact(exact))
}

/// `under`, `regex` or `glob`.
fn pattern<'t>(reader: &Reader<'t>, entry: &Entry<'_, 't>) -> Result<ArgPattern, PolicyError> {
    let source = reader.text(entry, bounds::PATTERN_BYTES_MAX)?;
    match entry.key() {
        "under" => Folder::new(source)
            .map(ArgPattern::Under)
            .ok_or_else(|| reader.refuse(entry.at(), Problem::BadFolder { path: source.to_owned() })),
        "glob" => {
            let regex = usable(reader, entry, name::expression(&name::glob_expression(source), Case::Exact))?;
            Ok(ArgPattern::Text { word: "glob", source: source.to_owned(), regex })
        }
        _ => searched(reader, entry),
    }
}

/// An expression that is searched in the argument.
fn searched<'t>(reader: &Reader<'t>, entry: &Entry<'_, 't>) -> Result<ArgPattern, PolicyError> {
    let source = reader.text(entry, bounds::PATTERN_BYTES_MAX)?;
    let regex = usable(reader, entry, name::expression(source, Case::Exact))?;
    Ok(ArgPattern::Text { word: "regex", source: source.to_owned(), regex })
}

fn usable<'t, T>(
    reader: &Reader<'t>,
    entry: &Entry<'_, 't>,
    compiled: Result<T, String>,
) -> Result<T, PolicyError> {
    compiled.map_err(|message| {
        reader.refuse(entry.at(), Problem::BadRegex { key: entry.key().to_owned(), message })
    })
}

fn read_shell<'t>(reader: &Reader<'t>, table: &Table<'_, 't>, parts: &mut Parts) -> Result<(), PolicyError> {
    reader.known_only(table, SHELL_KEYS)?;
    if let Some(allow) = table.get("allow") {
        for entry in reader.array(&allow, "an array of texts", bounds::PROGRAMS_MAX)? {
            let program = reader.text(&entry, bounds::NAME_BYTES_MAX)?;
            let bare = !program.starts_with(['-', '.'])
                && !program.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control());
            if !bare {
                let name = program.to_owned();
                return Err(reader.refuse(entry.at(), Problem::BadProgram { name }));
            }
            parts.shell_allow.push(program.to_owned());
        }
    }
    if let Some(bare) = table.get("bare") {
        parts.allow_bare = reader.truth(&bare)?;
    }
    Ok(())
}

/// `action_safety`: the rules and the default. Its two numbers are the approvals', which read them
/// elsewhere; here they only have to be known.
fn read_safety<'t>(reader: &Reader<'t>, entry: &Entry<'_, 't>, parts: &mut Parts) -> Result<(), PolicyError> {
    let table = reader.table(entry)?;
    reader.known_only(&table, SAFETY_KEYS)?;
    if let Some(verdict) = table.get("default_verdict") {
        let decision = reader.word(&verdict, "default_verdict", VERDICTS, &MEANINGS)?;
        parts.default_decision = Some(decision);
    }
    let Some(rules) = table.get("custom_rules") else { return Ok(()) };
    let wanted = "an array of tables: write `[[action_safety.custom_rules]]`";
    let mut priorities = Vec::new();
    let operators = parts.rules.len();
    for entry in reader.array(&rules, wanted, bounds::RULES_MAX)? {
        let (priority, rule) = custom_rule(reader, &entry)?;
        priorities.push(priority);
        add(reader, &entry, &mut parts.rules, rule)?;
    }
    // Stable: rules of one priority keep the order of the file.
    let custom = parts.rules.split_off(operators);
    let mut ordered: Vec<(i64, Rule)> = priorities.into_iter().zip(custom).collect();
    ordered.sort_by_key(|(priority, _)| *priority);
    parts.rules.extend(ordered.into_iter().map(|(_, rule)| rule));
    Ok(())
}
