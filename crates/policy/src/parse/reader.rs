//! Typed access to a parsed text, where each refusal knows its place.

use std::{ops::Range, sync::Arc};

use steadyhand_core::capability::nearest;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Source, bounds};
use crate::{PolicyError, Problem, rule::Place};

/// One text, for its places.
pub(super) struct Reader<'t> {
    text: &'t str,
    file: Arc<str>,
    /// The byte where each line begins, ascending.
    lines: Vec<usize>,
}

/// A value with the key that it stands under.
pub(super) struct Entry<'v, 't> {
    key: String,
    value: &'v Spanned<DeValue<'t>>,
}

/// A table with the place where it begins.
pub(super) struct Table<'v, 't> {
    entries: &'v DeTable<'t>,
    at: Range<usize>,
}

impl<'t> Reader<'t> {
    /// Parses a text within its bound.
    pub(super) fn parse(source: Source<'t>) -> Result<(Self, Spanned<DeTable<'t>>), PolicyError> {
        let ends = source.text.match_indices('\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(ends).collect();
        let reader = Self { text: source.text, file: source.file_name.into(), lines };
        let bytes = source.text.len();
        if bytes > bounds::FILE_BYTES_MAX {
            let key = "file".to_owned();
            return Err(reader.refuse(0, Problem::TooLong { key, bytes, max: bounds::FILE_BYTES_MAX }));
        }
        match DeTable::parse(source.text) {
            Ok(table) => Ok((reader, table)),
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                let message = error.message().lines().collect::<Vec<_>>().join("; ");
                Err(reader.refuse(at, Problem::Syntax(message)))
            }
        }
    }

    /// The whole text as a table.
    pub(super) fn root<'v>(&self, table: &'v Spanned<DeTable<'t>>) -> Table<'v, 't> {
        Table { entries: table.get_ref(), at: 0..0 }
    }

    /// The place of a byte.
    pub(super) fn place(&self, at: usize) -> Place {
        let at = at.min(self.text.len());
        let line = self.lines.partition_point(|start| *start <= at).max(1);
        let in_line = self.text.get(self.lines[line - 1]..at).unwrap_or_default();
        Place { file: Arc::clone(&self.file), line, column: in_line.chars().count() + 1 }
    }

    /// An error at a byte.
    pub(super) fn refuse(&self, at: usize, problem: Problem) -> PolicyError {
        let Place { file, line, column } = self.place(at);
        PolicyError { file: file.to_string(), line, column, problem: Box::new(problem) }
    }

    /// Refuses the first key in the text that isn't known.
    pub(super) fn known_only(
        &self,
        table: &Table<'_, 't>,
        known: &'static [&'static str],
    ) -> Result<(), PolicyError> {
        let unknown = |key: &&Spanned<_>| !known.contains(&AsRef::<str>::as_ref(key.get_ref()));
        let Some(key) = table.entries.keys().filter(unknown).min_by_key(|key| key.span().start) else {
            return Ok(());
        };
        let name = key.get_ref().to_string();
        let near = nearest(&name, known.iter().copied());
        Err(self.refuse(key.span().start, Problem::UnknownKey { key: name, nearest: near, known }))
    }

    /// A value that must be there.
    pub(super) fn required<'v>(
        &self,
        table: &Table<'v, 't>,
        key: &'static str,
    ) -> Result<Entry<'v, 't>, PolicyError> {
        table.get(key).ok_or_else(|| self.refuse(table.at.start, Problem::Missing { key }))
    }

    /// An entry's table.
    pub(super) fn table<'v>(&self, entry: &Entry<'v, 't>) -> Result<Table<'v, 't>, PolicyError> {
        match entry.value.get_ref() {
            DeValue::Table(entries) => Ok(Table { entries, at: entry.value.span() }),
            _ => Err(self.wrong_type(entry, "a table")),
        }
    }

    /// An entry's array, of at most `max` values.
    pub(super) fn array<'v>(
        &self,
        entry: &Entry<'v, 't>,
        wanted: &'static str,
        max: usize,
    ) -> Result<Vec<Entry<'v, 't>>, PolicyError> {
        let DeValue::Array(values) = entry.value.get_ref() else {
            return Err(self.wrong_type(entry, wanted));
        };
        let count = values.len();
        if count > max {
            let key = entry.key.clone();
            return Err(self.refuse(entry.at(), Problem::TooMany { key, count, max }));
        }
        Ok(values.iter().map(|value| Entry { key: entry.key.clone(), value }).collect())
    }

    /// An entry's text of 1 to `max` bytes.
    pub(super) fn text<'v>(&self, entry: &Entry<'v, 't>, max: usize) -> Result<&'v str, PolicyError> {
        let DeValue::String(text) = entry.value.get_ref() else {
            return Err(self.wrong_type(entry, "a text"));
        };
        let key = || entry.key.clone();
        match text.len() {
            0 => Err(self.refuse(entry.at(), Problem::Empty { key: key() })),
            bytes if bytes > max => Err(self.refuse(entry.at(), Problem::TooLong { key: key(), bytes, max })),
            _ => Ok(text),
        }
    }

    /// An entry's truth value.
    pub(super) fn truth(&self, entry: &Entry<'_, 't>) -> Result<bool, PolicyError> {
        match entry.value.get_ref() {
            DeValue::Boolean(truth) => Ok(*truth),
            _ => Err(self.wrong_type(entry, "true or false")),
        }
    }

    /// An entry's whole number.
    pub(super) fn whole(&self, entry: &Entry<'_, 't>) -> Result<i64, PolicyError> {
        let wanted = "a whole number";
        match entry.value.get_ref() {
            DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix()).map_err(|_| {
                let (key, found) = (entry.key.clone(), "one beyond 64 bits");
                self.refuse(entry.at(), Problem::WrongType { key, wanted, found })
            }),
            _ => Err(self.wrong_type(entry, wanted)),
        }
    }

    /// An entry that is one of a few words.
    pub(super) fn word<T: Copy>(
        &self,
        entry: &Entry<'_, 't>,
        key: &'static str,
        known: &'static [&'static str],
        values: &[T],
    ) -> Result<T, PolicyError> {
        let word = self.text(entry, bounds::NAME_BYTES_MAX)?;
        if let Some(i) = known.iter().position(|k| *k == word) {
            return Ok(values[i]);
        }
        let near = nearest(word, known.iter().copied());
        let word = word.to_owned();
        Err(self.refuse(entry.at(), Problem::UnknownWord { key, word, nearest: near, known }))
    }

    /// The refusal of an entry whose type doesn't fit.
    pub(super) fn wrong_type(&self, entry: &Entry<'_, 't>, wanted: &'static str) -> PolicyError {
        let found = match entry.value.get_ref() {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        self.refuse(entry.at(), Problem::WrongType { key: entry.key.clone(), wanted, found })
    }
}

impl<'v, 't> Table<'v, 't> {
    /// The value under a key.
    pub(super) fn get(&self, key: &str) -> Option<Entry<'v, 't>> {
        self.entries.get(key).map(|value| Entry { key: key.to_owned(), value })
    }

    /// All entries, in the order of the text.
    pub(super) fn entries(&self) -> Vec<Entry<'v, 't>> {
        let mut entries: Vec<_> = self
            .entries
            .iter()
            .map(|(key, value)| (key.span().start, Entry { key: key.get_ref().to_string(), value }))
            .collect();
        entries.sort_by_key(|(at, _)| *at);
        entries.into_iter().map(|(_, entry)| entry).collect()
    }

    /// The byte where the table begins.
    pub(super) fn at(&self) -> usize {
        self.at.start
    }
}

impl<'v, 't> Entry<'v, 't> {
    /// The key.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// The value.
    pub(super) fn value(&self) -> &'v DeValue<'t> {
        self.value.get_ref()
    }

    /// The byte where the value begins.
    pub(super) fn at(&self) -> usize {
        self.value.span().start
    }
}
