//! Decides from the words alone whether a command may run, and which of its words name files.
//!
//! The order is the contract's (5.3): blocklist, then allowlist, then the options of the program.

use super::rules::{self, Operands, Rule};

/// What the first word must not contain, case-sensitive. The words are the contract's; most are another
/// system's, `.` and `&` matter here: they keep out every path and every name with a suffix, also for
/// programs that the operator's policy adds (`python3.11` can't be added, `python3` can).
const BLOCKED_IN_PROGRAM: &[&str] = &[
    "Remove-Item",
    "Delete",
    "Clear-Content",
    "Remove-PSSession",
    "Stop-Process",
    "Stop-Service",
    "Set-ExecutionPolicy",
    "New-PSDrive",
    "New-PSSession",
    "Invoke-Command",
    "Invoke-WebRequest",
    "Invoke-Expression",
    "IEX",
    "&",
    ".",
];

/// A command that may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed<'a> {
    /// The program's bare name.
    pub program: &'a str,
    /// The words that name files whose content is printed; each must resolve under a root.
    pub files: Vec<&'a str>,
}

/// Why a command may not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The program isn't on the list, or its name is blocked.
    #[error("Command '{0}' not in allowlist")]
    Program(String),
    /// The option isn't on the program's list.
    #[error("Option '{option}' of '{program}' not in allowlist")]
    Option {
        /// The program's name.
        program: String,
        /// The word that holds the option.
        option: String,
    },
    /// The program takes no such argument here.
    #[error("Argument '{argument}' of '{program}' not in allowlist")]
    Argument {
        /// The program's name.
        program: String,
        /// The word.
        argument: String,
    },
}

/// Decides whether `words` may run. `extra` are programs that the operator's policy adds; their arguments
/// aren't looked at, the kernel's sandbox alone bounds them. A built-in program keeps its rule.
///
/// # Errors
/// See [`Refusal`].
pub fn decide<'a>(words: &'a [String], extra: &[String]) -> Result<Allowed<'a>, Refusal> {
    let program = words.first().map_or("", String::as_str);
    let refused = || Refusal::Program(program.to_owned());
    if BLOCKED_IN_PROGRAM.iter().any(|blocked| program.contains(blocked)) || !is_bare_name(program) {
        return Err(refused());
    }
    let arguments = &words[1..];
    match rules::find(program) {
        Some(Rule { operands: Operands::Ps, .. }) => ps(program, arguments),
        Some(rule) => Walk { rule, files: Vec::new() }.run(arguments),
        None if extra.iter().any(|name| name == program) => Ok(Allowed { program, files: Vec::new() }),
        None => Err(refused()),
    }
}

/// Whether it is a name to look up on the fixed path, and nothing that looks like an option.
fn is_bare_name(program: &str) -> bool {
    !program.is_empty() && !program.starts_with('-') && !program.contains(['/', '\0', '='])
}

struct Walk<'a> {
    rule: &'static Rule,
    files: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    fn run(mut self, arguments: &'a [String]) -> Result<Allowed<'a>, Refusal> {
        let mut arguments = arguments.iter().map(String::as_str);
        let mut options_ended = false;
        while let Some(word) = arguments.next() {
            if options_ended || word == "-" || !word.starts_with('-') {
                self.operand(word)?;
            } else if word == "--" {
                options_ended = true;
            } else if self.takes_next(word)? && arguments.next().is_none() {
                return Err(self.option(word));
            }
        }
        Ok(Allowed { program: self.rule.program, files: self.files })
    }

    fn operand(&mut self, word: &'a str) -> Result<(), Refusal> {
        match self.rule.operands {
            // Standard input is empty.
            Operands::Content if word == "-" => Ok(()),
            Operands::Content => {
                self.files.push(word);
                Ok(())
            }
            Operands::Metadata | Operands::Words => Ok(()),
            Operands::Format if word.starts_with('+') => Ok(()),
            Operands::Format | Operands::Nothing | Operands::Ps => {
                Err(Refusal::Argument { program: self.rule.program.to_owned(), argument: word.to_owned() })
            }
        }
    }

    /// Checks a word of options; says whether the next word is the value of its last one.
    fn takes_next(&self, word: &str) -> Result<bool, Refusal> {
        if let Some(long) = word.strip_prefix("--") {
            let (name, value) = long.split_once('=').map_or((long, None), |(n, v)| (n, Some(v)));
            if self.rule.long_valued.contains(&name) {
                return Ok(value.is_none());
            }
            let known = self.rule.long.contains(&name) || ["help", "version"].contains(&name);
            return if known { Ok(false) } else { Err(self.option(word)) };
        }
        let shorts = &word[1..];
        if self.rule.digits && shorts.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(false);
        }
        for (at, letter) in shorts.char_indices() {
            if self.rule.short_valued.contains(letter) {
                return Ok(at + letter.len_utf8() == shorts.len());
            }
            // `date -I` takes its value joined: `-Iseconds`.
            if letter == 'I' && self.rule.operands == Operands::Format {
                return Ok(false);
            }
            if !self.rule.short.contains(letter) {
                return Err(self.option(word));
            }
        }
        Ok(false)
    }

    fn option(&self, word: &str) -> Refusal {
        Refusal::Option { program: self.rule.program.to_owned(), option: word.to_owned() }
    }
}

/// Options of `ps` that take the next word as their value.
const PS_VALUED: &str = "CGOUgknopqstu";

/// `ps` takes anything but what prints environments: the BSD option `e`, and the column `environ`. The
/// kernel's sandbox refuses those too, where it is there.
fn ps<'a>(program: &'a str, arguments: &'a [String]) -> Result<Allowed<'a>, Refusal> {
    let mut is_value = false;
    for word in arguments {
        let bsd_environment = !is_value
            && !word.starts_with('-')
            && word.chars().all(char::is_alphabetic)
            && word.contains('e');
        if bsd_environment || word.to_ascii_lowercase().contains("environ") {
            return Err(Refusal::Option { program: program.to_owned(), option: word.clone() });
        }
        is_value = match word.strip_prefix("--") {
            Some(long) => !long.contains('='),
            None => word.starts_with('-') && word.ends_with(|last| PS_VALUED.contains(last)),
        };
    }
    Ok(Allowed { program, files: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::split::split;

    fn check(command: &str, extra: &[&str]) -> Result<Vec<String>, String> {
        let words = split(command).map_err(|e| e.to_string())?;
        let extra: Vec<String> = extra.iter().map(|&name| name.to_owned()).collect();
        let allowed = decide(&words, &extra).map_err(|e| e.to_string())?;
        Ok(allowed.files.iter().map(|&file| file.to_owned()).collect())
    }

    #[test]
    fn read_only_commands_are_allowed_and_their_files_found() {
        let table: &[(&str, &[&str])] = &[
            ("ls", &[]),
            ("ls -la --color=never sub", &[]),
            ("ls --sort size -w 80", &[]),
            ("pwd -P", &[]),
            ("date", &[]),
            ("date -u +%s", &[]),
            ("date -Iseconds", &[]),
            ("date -d yesterday '+%F %T'", &[]),
            ("date --rfc-3339=seconds", &[]),
            ("uname -a", &[]),
            ("id -u root", &[]),
            ("whoami", &[]),
            ("df -h .", &[]),
            ("free -m", &[]),
            ("uptime -p", &[]),
            ("ps", &[]),
            ("ps aux", &[]),
            ("ps -ef", &[]),
            ("ps -C sleep -o pid,comm", &[]),
            ("ps --sort -pcpu", &[]),
            ("ps -p 1 -o time", &[]),
            ("stat -c %s a", &[]),
            ("stat --format=%s a", &[]),
            ("wc -l a b", &["a", "b"]),
            ("wc", &[]),
            ("file -b a", &["a"]),
            ("du -sh .", &[]),
            ("du --max-depth 1", &[]),
            ("sha256sum a", &["a"]),
            ("cat a", &["a"]),
            ("cat -n a -- -b", &["a", "-b"]),
            ("cat -", &[]),
            ("cat ''", &[""]),
            ("cat a -n b", &["a", "b"]),
            ("head -5 a", &["a"]),
            ("head -n 5 a", &["a"]),
            ("head -n5 a", &["a"]),
            ("head -qn 5 a", &["a"]),
            ("head --lines=5 a", &["a"]),
            ("head --lines 5 a", &["a"]),
            ("tail -n +2 a", &["a"]),
            ("tail -c 10 -- a", &["a"]),
            ("cat --help", &[]),
            ("cat a=b", &["a=b"]),
        ];
        for (command, files) in table {
            assert_eq!(check(command, &[]).unwrap_or_else(|e| panic!("{command}: {e}")), *files, "{command}");
        }
    }

    #[test]
    fn programs_off_the_list_are_refused_in_the_contracts_words() {
        for command in [
            "rm -rf x",
            "sh -c id",
            "bash",
            "python3 -c pass",
            "perl",
            "find . -delete",
            "env",
            "xargs rm",
            "tar c .",
            "git log",
            "sudo ls",
            "LS",
            "Ls",
            "ls2",
            "lsx",
            "''",
            "' ls'",
            "'ls '",
            "-l",
            "--",
            "./ls",
            "/bin/ls",
            "../ls",
            "sub/ls",
            "ls.",
            ".",
            "PATH=x ls",
            "FOO=bar",
            "Remove-Item x",
            "Get-Content x",
            "IEX",
            "'ls&'",
            "Delete",
            "xargs",
            "nohup ls",
            "timeout 1 ls",
            "nice ls",
            "watch ls",
            "dd of=x",
            "tee x",
            "cp a b",
            "mv a b",
            "ln -s a b",
            "chmod 777 a",
            "chown root a",
            "kill 1",
            "curl x",
            "wget x",
            "nc x 1",
            "ssh x",
            "mount",
            "awk 1",
            "sed -i s/a/b/ x",
            "vi x",
            "less x",
            "man ls",
            "strace ls",
            "gdb",
            "busybox ls",
            "exec ls",
            "eval ls",
            "source x",
            "cd x",
            "ｌｓ",
        ] {
            let name = split(command).unwrap()[0].clone();
            assert_eq!(check(command, &[]), Err(format!("Command '{name}' not in allowlist")), "{command}");
        }
    }

    #[test]
    fn dangerous_options_are_refused() {
        for (command, text) in [
            ("date -s 12:00", "Option '-s' of 'date'"),
            ("date -us 12:00", "Option '-us' of 'date'"),
            ("date --set=12:00", "Option '--set=12:00' of 'date'"),
            ("date --se=12:00", "Option '--se=12:00' of 'date'"),
            ("date --s 12:00", "Option '--s' of 'date'"),
            ("date -f x", "Option '-f' of 'date'"),
            ("date --file=x", "Option '--file=x' of 'date'"),
            ("date -r x", "Option '-r' of 'date'"),
            ("date 010100002030", "Argument '010100002030' of 'date'"),
            ("date -- 010100002030", "Argument '010100002030' of 'date'"),
            ("date -d", "Option '-d' of 'date'"),
            ("tail -f a", "Option '-f' of 'tail'"),
            ("tail -F a", "Option '-F' of 'tail'"),
            ("tail -qf a", "Option '-qf' of 'tail'"),
            ("tail -5f a", "Option '-5f' of 'tail'"),
            ("tail --follow a", "Option '--follow' of 'tail'"),
            ("tail --fol a", "Option '--fol' of 'tail'"),
            ("tail --retry a", "Option '--retry' of 'tail'"),
            ("tail --pid=1 a", "Option '--pid=1' of 'tail'"),
            ("file -C", "Option '-C' of 'file'"),
            ("file -m x a", "Option '-m' of 'file'"),
            ("file -f x", "Option '-f' of 'file'"),
            ("file -bf x", "Option '-bf' of 'file'"),
            ("file -z a", "Option '-z' of 'file'"),
            ("file -s a", "Option '-s' of 'file'"),
            ("file --files-from x", "Option '--files-from' of 'file'"),
            ("file --magic-file=x a", "Option '--magic-file=x' of 'file'"),
            ("du --files0-from=x", "Option '--files0-from=x' of 'du'"),
            ("du --files0-fr=x", "Option '--files0-fr=x' of 'du'"),
            ("du -X x", "Option '-X' of 'du'"),
            ("du --exclude-from=x", "Option '--exclude-from=x' of 'du'"),
            ("wc --files0-from=x", "Option '--files0-from=x' of 'wc'"),
            ("wc --files0=x", "Option '--files0=x' of 'wc'"),
            ("sha256sum -c x", "Option '-c' of 'sha256sum'"),
            ("sha256sum --check x", "Option '--check' of 'sha256sum'"),
            ("sha256sum -bc x", "Option '-bc' of 'sha256sum'"),
            ("free -s 1", "Option '-s' of 'free'"),
            ("ps e", "Option 'e' of 'ps'"),
            ("ps auxe", "Option 'auxe' of 'ps'"),
            ("ps -p 1 eww", "Option 'eww' of 'ps'"),
            ("ps -o environ", "Option 'environ' of 'ps'"),
            ("ps -oENVIRON", "Option '-oENVIRON' of 'ps'"),
            ("whoami x", "Argument 'x' of 'whoami'"),
            ("uname x", "Argument 'x' of 'uname'"),
            ("head -n", "Option '-n' of 'head'"),
            ("head --lines", "Option '--lines' of 'head'"),
            ("cat -é a", "Option '-é' of 'cat'"),
            ("cat --", ""),
        ] {
            match check(command, &[]) {
                Ok(_) => assert!(text.is_empty(), "{command} was allowed"),
                Err(refusal) => assert_eq!(refusal, format!("{text} not in allowlist"), "{command}"),
            }
        }
    }

    #[test]
    fn policy_adds_names_but_lifts_neither_blocklist_nor_rules() {
        assert_eq!(check("sh -c 'id; id'", &["sh"]), Ok(vec![]));
        for (command, extra) in
            [("./sh", "./sh"), ("/bin/sh", "/bin/sh"), ("python3.11", "python3.11"), ("IEX", "IEX"), ("", "")]
        {
            assert!(check(command, &[extra]).is_err(), "{command}");
        }
        assert!(check("tail -f a", &["tail"]).is_err());
        assert!(check("sh", &["SH", "s", "sh "]).is_err());
    }

    #[test]
    fn every_program_of_the_contract_has_one_rule() {
        let names: Vec<&str> = rules::RULES.iter().map(|rule| rule.program).collect();
        let wanted = "ls pwd date uname id whoami df free uptime ps stat wc file du sha256sum cat head tail";
        assert_eq!(names.join(" "), wanted);
    }
}
