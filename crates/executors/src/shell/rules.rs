//! The programs that may run by default, with the options that each may get.
//!
//! Options are listed, not banned: an option that isn't here is refused, and so are abbreviations of long
//! ones. Left out on purpose: whatever sets something (`date -s`), reads names or patterns out of another
//! file (`--files0-from`, `--exclude-from`, `file -f`, `file -m`), follows without end (`tail -f`,
//! `free -s`), or starts another program (`file -z`).

/// What a program does with the arguments that aren't options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operands {
    /// It prints what is in these files: each must lie under a root.
    Content,
    /// It prints names, sizes and times. The kernel's sandbox bounds which folders can be listed.
    Metadata,
    /// Words such as user names. Nothing is opened.
    Words,
    /// Only `+FORMAT`; anything else would set the clock.
    Format,
    /// None at all.
    Nothing,
    /// The options of `ps`, in its three styles; only those that print environments are refused.
    Ps,
}

/// One program and its options.
#[derive(Debug)]
pub(super) struct Rule {
    /// The program's name.
    pub(super) program: &'static str,
    /// What its other arguments are.
    pub(super) operands: Operands,
    /// Short options without a value.
    pub(super) short: &'static str,
    /// Short options with a value, which follows in the same word or is the next one.
    pub(super) short_valued: &'static str,
    /// Whether `-5` is a number of lines.
    pub(super) digits: bool,
    /// Long options without a value, or with one that is optional and joined by `=`.
    pub(super) long: &'static [&'static str],
    /// Long options with a value, joined by `=` or in the next word.
    pub(super) long_valued: &'static [&'static str],
}

const fn rule(program: &'static str, operands: Operands, short: &'static str) -> Rule {
    Rule { program, operands, short, short_valued: "", digits: false, long: &[], long_valued: &[] }
}

/// The rule of a program, if it may run by default.
pub(super) fn find(program: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.program == program)
}

/// All programs of contract 5.3, in its order. `--help` and `--version` are allowed for each.
pub(super) static RULES: [Rule; 18] = [
    Rule {
        short_valued: "wTI",
        long: &[
            "all",
            "almost-all",
            "author",
            "classify",
            "color",
            "directory",
            "escape",
            "file-type",
            "full-time",
            "group-directories-first",
            "human-readable",
            "inode",
            "no-group",
            "numeric-uid-gid",
            "quote-name",
            "recursive",
            "reverse",
            "si",
            "size",
            "zero",
        ],
        long_valued: &["format", "hide", "ignore", "indicator-style", "sort", "time", "time-style", "width"],
        ..rule("ls", Operands::Metadata, "aAbBcCdfFgGhHiklLmnNopqQrRsStuUvxXZ1")
    },
    Rule { long: &["logical", "physical"], ..rule("pwd", Operands::Nothing, "LP") },
    Rule {
        short_valued: "d",
        long: &["iso-8601", "rfc-email", "universal", "utc"],
        long_valued: &["date", "rfc-3339"],
        ..rule("date", Operands::Format, "IRu")
    },
    Rule {
        long: &[
            "all",
            "hardware-platform",
            "kernel-name",
            "kernel-release",
            "kernel-version",
            "machine",
            "nodename",
            "operating-system",
            "processor",
        ],
        ..rule("uname", Operands::Nothing, "amnoprsvi")
    },
    Rule {
        long: &["group", "groups", "name", "real", "user", "zero"],
        ..rule("id", Operands::Words, "aGgnruz")
    },
    rule("whoami", Operands::Nothing, ""),
    Rule {
        short_valued: "Btx",
        long: &[
            "all",
            "human-readable",
            "inodes",
            "local",
            "no-sync",
            "output",
            "portability",
            "print-type",
            "si",
            "total",
        ],
        long_valued: &["block-size", "exclude-type", "type"],
        ..rule("df", Operands::Metadata, "ahHiklPT")
    },
    Rule {
        long: &[
            "bytes", "gibi", "giga", "human", "kibi", "kilo", "lohi", "mebi", "mega", "si", "total", "wide",
        ],
        ..rule("free", Operands::Nothing, "bkmghltvw")
    },
    Rule { long: &["pretty", "since"], ..rule("uptime", Operands::Nothing, "ps") },
    rule("ps", Operands::Ps, ""),
    Rule {
        short_valued: "c",
        long: &["dereference", "file-system", "terse"],
        long_valued: &["format", "printf"],
        ..rule("stat", Operands::Metadata, "Lft")
    },
    Rule {
        long: &["bytes", "chars", "lines", "max-line-length", "words"],
        long_valued: &["total"],
        ..rule("wc", Operands::Content, "clmLw")
    },
    Rule {
        short_valued: "eF",
        long: &[
            "brief",
            "dereference",
            "mime",
            "mime-encoding",
            "mime-type",
            "no-dereference",
            "no-pad",
            "raw",
        ],
        long_valued: &["exclude", "separator"],
        ..rule("file", Operands::Content, "bhiLNr")
    },
    Rule {
        short_valued: "Bdt",
        long: &[
            "all",
            "apparent-size",
            "bytes",
            "count-links",
            "dereference",
            "human-readable",
            "inodes",
            "one-file-system",
            "separate-dirs",
            "si",
            "summarize",
            "time",
            "total",
        ],
        long_valued: &["block-size", "exclude", "max-depth", "threshold", "time-style"],
        ..rule("du", Operands::Metadata, "abcDhHklLmPsSx")
    },
    Rule { long: &["binary", "tag", "text", "zero"], ..rule("sha256sum", Operands::Content, "btz") },
    Rule {
        long: &[
            "number",
            "number-nonblank",
            "show-all",
            "show-ends",
            "show-nonprinting",
            "show-tabs",
            "squeeze-blank",
        ],
        ..rule("cat", Operands::Content, "AbeEnstTuv")
    },
    Rule {
        short_valued: "cn",
        digits: true,
        long: &["quiet", "silent", "verbose", "zero-terminated"],
        long_valued: &["bytes", "lines"],
        ..rule("head", Operands::Content, "qvz")
    },
    Rule {
        short_valued: "cn",
        digits: true,
        long: &["quiet", "silent", "verbose", "zero-terminated"],
        long_valued: &["bytes", "lines"],
        ..rule("tail", Operands::Content, "qvz")
    },
];
