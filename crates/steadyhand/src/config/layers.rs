//! Default < file < environment < flag: what is in force, and where it came from.

use std::{collections::BTreeMap, fmt};

use steadyhand_core::capability::nearest;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    keys::{self, KEYS, Key},
    value::{self, Value},
};
use crate::surroundings::{NO_SETTINGS, PREFIX, Surroundings};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// Nobody set it.
    Default,
    /// The file, on this line.
    File(usize),
    /// This environment variable.
    Environment(String),
    /// This flag.
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(line) => write!(f, "file, line {line}"),
            Self::Environment(name) => write!(f, "environment, {name}"),
            Self::Flag(name) => write!(f, "flag, {name}"),
        }
    }
}

/// A setting that a flag sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flag {
    /// The setting's name.
    pub(crate) key: &'static str,
    /// The flag as it is written.
    pub(crate) flag: &'static str,
    /// What it was given; several only for folders.
    pub(crate) values: Vec<String>,
}

/// The text of a configuration file and its name for errors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileText<'t> {
    /// The text.
    pub(crate) text: &'t str,
    /// The name.
    pub(crate) name: &'t str,
}

/// Every setting's value in force, with its source.
pub(crate) type Settings = BTreeMap<&'static str, (Value, Source)>;

/// Most problems that are listed.
const PROBLEMS_MAX: usize = 20;

/// Puts the layers over each other.
///
/// # Errors
/// Everything that is wrong, one sentence each; those of the file begin with `FILE:LINE:COLUMN`.
pub(crate) fn resolve(
    file: Option<FileText<'_>>,
    around: &Surroundings,
    flags: &[Flag],
) -> Result<Settings, Vec<String>> {
    let mut problems = Vec::new();
    let mut settings = defaults(around, &mut problems);
    if let Some(file) = file {
        read_file(file, around, &mut settings, &mut problems);
    }
    read_environment(around, &mut settings, &mut problems);
    for flag in flags {
        let key = keys::find(flag.key).expect("flags name settings");
        let texts: Vec<&str> = flag.values.iter().map(String::as_str).collect();
        let value = match (key.kind, texts.as_slice()) {
            (keys::Kind::Folders, texts) => value::folders(key, texts, around),
            (_, texts) => value::from_text(key, texts.last().copied().unwrap_or_default(), around),
        };
        put(&mut settings, &mut problems, key, value, Source::Flag(flag.flag), flag.flag);
    }
    problems.truncate(PROBLEMS_MAX);
    if problems.is_empty() { Ok(settings) } else { Err(problems) }
}

fn defaults(around: &Surroundings, problems: &mut Vec<String>) -> Settings {
    let mut settings = Settings::new();
    for key in KEYS {
        match value::from_text(key, key.default, around) {
            Ok(value) => drop(settings.insert(key.name, (value, Source::Default))),
            // Without a home folder `~` leads nowhere.
            Err(_) if key.kind == keys::Kind::Folders => {
                settings.insert(key.name, (Value::Folders(Vec::new()), Source::Default));
            }
            Err(problem) => problems.push(problem),
        }
    }
    settings
}

fn put(
    settings: &mut Settings,
    problems: &mut Vec<String>,
    key: &'static Key,
    value: Result<Value, String>,
    source: Source,
    place: &str,
) {
    match value {
        Ok(value) => drop(settings.insert(key.name, (value, source))),
        Err(problem) => problems.push(format!("{place}: {problem}")),
    }
}

fn read_environment(around: &Surroundings, settings: &mut Settings, problems: &mut Vec<String>) {
    let known: Vec<(String, &'static Key)> =
        KEYS.iter().filter_map(|key| Some((key.variable()?.to_lowercase(), key))).collect();
    for (name, text) in around.ours().filter(|(name, text)| !NO_SETTINGS.contains(name) && !text.is_empty()) {
        let lower = name.to_lowercase();
        match known.iter().find(|(variable, _)| *variable == lower) {
            Some((_, key)) => {
                let value = value::from_text(key, text, around);
                put(settings, problems, key, value, Source::Environment(name.to_owned()), name);
            }
            // Other programs may use our prefix; a name next to one of ours is a slip.
            None => {
                let tails = known.iter().map(|(variable, _)| &variable[PREFIX.len()..]);
                if let Some(near) = nearest(&lower[PREFIX.len()..], tails) {
                    let near = near.to_uppercase();
                    problems
                        .push(format!("{name}: no setting has this variable; did you mean {PREFIX}{near}?"));
                }
            }
        }
    }
}

fn read_file(file: FileText<'_>, around: &Surroundings, settings: &mut Settings, problems: &mut Vec<String>) {
    match DeTable::parse(file.text) {
        Ok(table) => read_table(file, "", table.get_ref(), around, settings, problems),
        Err(error) => {
            let at = place(file, error.span().map_or(0, |span| span.start));
            problems.push(format!("{at}: not valid TOML: {}", error.message()));
        }
    }
}

fn read_table(
    file: FileText<'_>,
    prefix: &str,
    table: &DeTable<'_>,
    around: &Surroundings,
    settings: &mut Settings,
    problems: &mut Vec<String>,
) {
    let mut entries: Vec<(&Spanned<_>, &Spanned<DeValue<'_>>)> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    for (name, value) in entries {
        let path = format!("{prefix}{}", name.get_ref());
        let at = place(file, name.span().start);
        if let Some(key) = keys::find(&path) {
            let source = Source::File(position(file.text, name.span().start).0);
            let at_value = place(file, value.span().start);
            put(settings, problems, key, value::from_toml(key, value.get_ref(), around), source, &at_value);
        } else if keys::is_table(&path) {
            match value.get_ref() {
                DeValue::Table(inner) => {
                    read_table(file, &format!("{path}."), inner, around, settings, problems);
                }
                other => {
                    problems.push(format!("{at}: `{path}` is a table, not {}", value::a(other.type_str())))
                }
            }
        } else {
            problems.push(format!("{at}: unknown key `{path}`{}", hint(prefix, name.get_ref())));
        }
    }
}

/// The known key nearest to an unknown one, in its own table first, anywhere else after.
fn hint(prefix: &str, name: &str) -> String {
    let mut here: Vec<&str> = KEYS
        .iter()
        .filter_map(|k| k.name.strip_prefix(prefix))
        .map(|rest| rest.split('.').next().expect("split gives at least one"))
        .collect();
    here.dedup();
    if let Some(near) = nearest(name, here.iter().copied()) {
        return format!("; did you mean `{prefix}{near}`?");
    }
    let elsewhere = KEYS.iter().find(|k| k.name.rsplit('.').next() == Some(name));
    match elsewhere {
        Some(key) => format!("; did you mean `{}`?", key.name),
        None => format!("; known are {}", here.join(", ")),
    }
}

fn place(file: FileText<'_>, offset: usize) -> String {
    let (line, column) = position(file.text, offset);
    format!("{}:{line}:{column}", file.name)
}

/// Line and column of a byte of a text; both count from 1, the column in characters.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
