//! Every setting once: its name, unit, default, range and meaning. The reader, the environment's names,
//! `config show` and the guide come from this list.

/// What a setting's value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number in this range, both ends included.
    Integer {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// An IP address.
    Address,
    /// `auto`, `none`, or a display such as `:1`.
    Display,
    /// An `http://` address, or empty for none.
    Url,
    /// Absolute folders; `~` is the home folder. In the environment they are separated by `:`.
    Folders,
    /// Rules, which the policy reads.
    Rules,
}

/// Where a setting may come from beside its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// The file, the environment, and a flag if there is one.
    Anywhere,
    /// The file only.
    FileOnly,
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    /// Its name with the tables it lies in, such as `limits.body_bytes_max`.
    pub(crate) name: &'static str,
    /// What its value may be.
    pub(crate) kind: Kind,
    /// Its unit; empty where there is none.
    pub(crate) unit: &'static str,
    /// Its default, as the environment would write it.
    pub(crate) default: &'static str,
    /// Where it may come from.
    pub(crate) from: From,
    /// What it does.
    pub(crate) doc: &'static str,
}

impl Key {
    /// The environment variable that sets it, such as `STEADYHAND_LIMITS_BODY_BYTES_MAX`.
    pub(crate) fn variable(&self) -> Option<String> {
        let name = self.name.replace('.', "_").to_uppercase();
        (self.from == From::Anywhere).then(|| format!("{}{name}", crate::surroundings::PREFIX))
    }

    /// Its range, for people.
    pub(crate) fn range(&self) -> String {
        match self.kind {
            Kind::Word(words) => words.join(" | "),
            Kind::Integer { min, max } => format!("{min} to {max}"),
            Kind::Address => "an IP address".to_owned(),
            Kind::Display => "auto | none | :N".to_owned(),
            Kind::Url => "http://HOST:PORT".to_owned(),
            Kind::Folders => "absolute folders".to_owned(),
            Kind::Rules => "tables".to_owned(),
        }
    }
}

/// The setting of that name.
pub(crate) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|k| k.name == name)
}

/// A table that settings lie in.
pub(crate) fn is_table(name: &str) -> bool {
    KEYS.iter().any(|k| k.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

const fn key(
    name: &'static str,
    kind: Kind,
    unit: &'static str,
    default: &'static str,
    doc: &'static str,
) -> Key {
    Key { name, kind, unit, default, from: From::Anywhere, doc }
}

const fn count(min: u64, max: u64) -> Kind {
    Kind::Integer { min, max }
}

/// All settings, in the order in which they are shown.
pub(crate) const KEYS: &[Key] = &[
    key("roots", Kind::Folders, "", "~/Steadyhand", "the folders that file actions may work in"),
    key("auth", Kind::Word(&["on", "off"]), "", "on", "whether requests need a token; off only on loopback"),
    key(
        "port_base",
        count(1, 65_485),
        "",
        "7000",
        "the gateway's port; the other services lie at +10, +20, … +50",
    ),
    key("bind", Kind::Address, "", "127.0.0.1", "the address that the services listen on"),
    key("display", Kind::Display, "", "auto", "the X display that desktop actions work on"),
    key(
        "limits.body_bytes_max",
        count(65_536, 1 << 28),
        "bytes",
        "25165824",
        "the largest request body; file.write carries 10 MiB, more as JSON",
    ),
    key("limits.header_bytes_max", count(8_192, 1 << 20), "bytes", "65536", "the largest request head"),
    key(
        "limits.requests_per_second",
        count(1, 1_000_000),
        "per second",
        "20000",
        "requests that one caller may make, sustained",
    ),
    key("limits.connections_max", count(1, 65_536), "", "1024", "connections that a service holds at once"),
    key("limits.actions_running_max", count(1, 65_536), "", "256", "actions that run at once"),
    key(
        "retention.age_days",
        count(1, 36_500),
        "days",
        "30",
        "how long ended actions are kept; keys are kept 24 h at least",
    ),
    key(
        "retention.journal_gib",
        count(1, 1 << 20),
        "GiB",
        "4",
        "disk that the journal takes before old actions go",
    ),
    key(
        "retention.output_gib",
        count(1, 1 << 20),
        "GiB",
        "1",
        "disk that large outputs take before old ones go",
    ),
    key(
        "shutdown.drain_seconds",
        count(0, 600),
        "seconds",
        "10",
        "how long running actions may finish after the first signal",
    ),
    key(
        "action_safety.confirmation_ttl_seconds",
        count(1, 86_400),
        "seconds",
        "120",
        "how long an approval may be given",
    ),
    key(
        "action_safety.max_pending_confirmations",
        count(1, 10_000),
        "",
        "50",
        "approvals of a session that may wait at once",
    ),
    Key {
        from: From::FileOnly,
        ..key(
            "action_safety.default_verdict",
            Kind::Word(&["allow", "confirm", "deny"]),
            "",
            "confirm",
            "what happens where no rule matches",
        )
    },
    Key {
        from: From::FileOnly,
        ..key(
            "action_safety.custom_rules",
            Kind::Rules,
            "",
            "",
            "rules between the policy file's and the built-in ones",
        )
    },
    key("executor.url", Kind::Url, "", "", "where the executor is, for `serve gateway` alone"),
    key(
        "log.level",
        Kind::Word(&["error", "warn", "info", "debug", "trace"]),
        "",
        "info",
        "how much is logged",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_no_setting_is_also_a_table() {
        for (i, key) in KEYS.iter().enumerate() {
            assert!(KEYS[i + 1..].iter().all(|k| k.name != key.name), "{}", key.name);
            assert!(!is_table(key.name), "{}", key.name);
            assert!(!key.doc.is_empty(), "{}", key.name);
        }
        assert!(is_table("limits") && !is_table("limit") && !is_table(""));
    }

    #[test]
    fn the_variable_is_the_name_in_capitals() {
        let key = find("limits.body_bytes_max").unwrap();
        assert_eq!(key.variable().as_deref(), Some("STEADYHAND_LIMITS_BODY_BYTES_MAX"));
        assert_eq!(find("action_safety.custom_rules").unwrap().variable(), None);
    }
}
