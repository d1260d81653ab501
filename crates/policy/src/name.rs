//! Patterns over names: an intent's, a caller's.

use regex::Regex;

/// Whether upper and lower case are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// `A` is `a`.
    Any,
    /// `A` isn't `a`.
    Exact,
}

/// A compiled pattern over a whole name. Most are a plain word or `*`, which need no expression.
#[derive(Debug, Clone)]
pub(crate) struct NamePattern {
    source: String,
    form: Form,
}

#[derive(Debug, Clone)]
enum Form {
    Anything,
    Word(Case),
    Expression(Regex),
}

impl NamePattern {
    /// Compiles a glob: `*` is any run of characters, `?` is one, all else is itself.
    pub(crate) fn glob(source: &str, case: Case) -> Result<Self, String> {
        let form = if source == "*" {
            Form::Anything
        } else if source.contains(['*', '?']) || !source.is_ascii() {
            Form::Expression(expression(&glob_expression(source), case)?)
        } else {
            Form::Word(case)
        };
        Ok(Self { source: source.to_owned(), form })
    }

    /// Compiles a regular expression that must match the whole name, in any case.
    pub(crate) fn whole(source: &str) -> Result<Self, String> {
        // Compiled alone first, so that `a)(b` can't close the group that is put around it.
        expression(source, Case::Any)?;
        let form = Form::Expression(expression(&format!(r"\A(?:{source})\z"), Case::Any)?);
        Ok(Self { source: format!("/{source}/"), form })
    }

    /// Whether the whole `name` matches.
    pub(crate) fn matches(&self, name: &str) -> bool {
        match &self.form {
            Form::Anything => true,
            Form::Word(Case::Any) => self.source.eq_ignore_ascii_case(name),
            Form::Word(Case::Exact) => self.source == name,
            Form::Expression(regex) => regex.is_match(name),
        }
    }

    /// The pattern as it was written; an expression stands between slashes.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }
}

/// The regular expression that matches the same whole texts as a glob.
pub(crate) fn glob_expression(glob: &str) -> String {
    let mut out = String::from(r"\A(?s:");
    let mut buffer = [0; 4];
    for c in glob.chars() {
        match c {
            '*' => out.push_str(".*"),
            '?' => out.push('.'),
            c => out.push_str(&regex::escape(c.encode_utf8(&mut buffer))),
        }
    }
    out.push_str(r")\z");
    out
}

/// Compiles an expression within the bounds; the error is one line for people.
pub(crate) fn expression(source: &str, case: Case) -> Result<Regex, String> {
    regex::RegexBuilder::new(source)
        .case_insensitive(case == Case::Any)
        .size_limit(crate::bounds::REGEX_BYTES_MAX)
        .dfa_size_limit(crate::bounds::REGEX_BYTES_MAX)
        .nest_limit(crate::bounds::REGEX_NEST_MAX)
        .build()
        .map_err(|error| one_line(&error))
}

/// A syntax error draws the expression with a caret under the fault; its last line says what it is.
fn one_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim().trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_names() {
        for (glob, name, matches) in [
            ("file.write", "file.write", true),
            ("file.write", "FILE.Write", true),
            ("file.write", "file.writes", false),
            ("file.write", "fileXwrite", false),
            ("file.*", "file.read", true),
            ("FILE.*", "file.read", true),
            ("file.*", "file", false),
            ("file.*", "profile.read", false),
            ("*.read", "clipboard.read", true),
            ("*", "", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a?c", "a\nc", true),
            ("[ab]", "a", false),
            ("[ab]*", "[ab]c", true),
        ] {
            assert_eq!(NamePattern::glob(glob, Case::Any).unwrap().matches(name), matches, "{glob} {name}");
        }
    }

    #[test]
    fn callers_are_told_apart_by_case() {
        for (glob, name, matches) in [
            ("agent", "agent", true),
            ("agent", "Agent", false),
            ("ag*", "agent", true),
            ("AG*", "agent", false),
        ] {
            assert_eq!(NamePattern::glob(glob, Case::Exact).unwrap().matches(name), matches, "{glob} {name}");
        }
    }

    #[test]
    fn expressions_match_whole_names_in_any_case() {
        let pattern = NamePattern::whole("file.read|process.(start|stop)").unwrap();
        for (name, matches) in
            [("file.read", true), ("Process.Stop", true), ("xfile.read", false), ("process.stops", false)]
        {
            assert_eq!(pattern.matches(name), matches, "{name}");
        }
        assert!(NamePattern::whole("a)|(b").is_err(), "it can't close the group around it");
    }
}
