//! Which rule is looked at before which, and what identifies a policy.

use serde_json::json;
use steadyhand_policy::{Decision, Mismatch, Origin, Policy, PolicyError, Query, Source};

use crate::{decide, object};

fn with_config(policy: &str, config: &str) -> Result<Policy, PolicyError> {
    Policy::parse_with_config(
        Source { text: policy, file_name: "policy.toml" },
        Source { text: config, file_name: "config.toml" },
    )
}

const CUSTOM: &str = r#"
[gateway]
port = 7000

[action_safety]
confirmation_ttl_seconds = 60
max_pending_confirmations = 10
default_verdict = "deny"

[[action_safety.custom_rules]]
name = "third"
verdict = "confirm"
action_pattern = "file.*"

[[action_safety.custom_rules]]
name = "first"
verdict = "deny"
action_pattern = "FILE\\.read|file\\.write"
arg_patterns = { path = "\\.key$" }
description = "Keys are not read"
priority = -5

[[action_safety.custom_rules]]
name = "second"
verdict = "allow"
action_pattern = "file\\.write"
arg_patterns = { path = "tmp", content = "^$" }
priority = 99

[[action_safety.custom_rules]]
name = "fourth, same priority as third"
verdict = "deny"
action_pattern = "file\\.read"
"#;

#[test]
fn custom_rules_stand_between_the_operators_and_the_built_in_ones() {
    let operator = "[[rule]]\nname = \"mine\"\ncapability = \"file.read\"\ndecision = \"allow\"\nargs = { path = \"my.key\" }\n";
    let policy = with_config(operator, CUSTOM).unwrap();
    let names: Vec<_> = policy.rules().map(|rule| rule.name().to_owned()).take(6).collect();
    let own =
        ["mine", "first", "second", "third", "fourth, same priority as third", "deny_destructive_shell"];
    assert_eq!(names, own);
    for (intent, params, decision, rule, origin) in [
        ("file.read", json!({"path": "my.key"}), Decision::Allow, "mine", Origin::Operator),
        ("file.read", json!({"path": "a.key"}), Decision::Deny, "first", Origin::Custom),
        ("file.read", json!({"path": "a.key2"}), Decision::Ask, "third", Origin::Custom),
        ("file.write", json!({"path": "tmp/a", "content": ""}), Decision::Allow, "second", Origin::Custom),
        ("file.write", json!({"path": "tmp/a", "content": "x"}), Decision::Ask, "third", Origin::Custom),
        ("file.read", json!({"path": "../a"}), Decision::Ask, "third", Origin::Custom),
        ("window.list", json!({}), Decision::Allow, "allow_window_list", Origin::Builtin),
        ("no.such", json!({}), Decision::Deny, "confirm_unknown", Origin::Builtin),
    ] {
        let ruling = decide(&policy, intent, &params, "agent");
        assert_eq!(
            (ruling.decision, ruling.rule.as_str(), ruling.origin),
            (decision, rule, origin),
            "{params}"
        );
    }
}

#[test]
fn the_policy_file_may_hold_action_safety_itself() {
    let text = CUSTOM.replace("[gateway]\nport = 7000\n", "");
    let policy = Policy::parse(&text, "policy.toml").unwrap();
    assert_eq!(decide(&policy, "file.read", &json!({"path": "a.key"}), "agent").rule, "first");
    let error = with_config(&text, CUSTOM).unwrap_err().to_string();
    assert!(error.starts_with("config.toml:5:"), "{error}");
    assert!(error.contains("stands in the policy file too"), "{error}");
    let error = with_config("", "[action_safety]\ndefault_verdict = \"ask\"").unwrap_err().to_string();
    assert_eq!(error, "config.toml:2:19: unknown default_verdict `ask`; known are allow, confirm, deny");
}

#[test]
fn one_name_is_one_rule_across_both_files() {
    let operator = "\n[[rule]]\nname = \"first\"\ncapability = \"a\"\ndecision = \"ask\"\n";
    let error = with_config(operator, CUSTOM).unwrap_err().to_string();
    assert_eq!(
        error,
        "config.toml:16:8: another rule is named `first` (policy.toml:2); give each its own name"
    );
}

#[test]
fn in_the_built_in_rules_no_deny_comes_after_an_allow_or_a_question() {
    let policy = Policy::builtin();
    let mut others = false;
    for rule in policy.rules() {
        others |= rule.decision() != Decision::Deny;
        assert!(!(others && rule.decision() == Decision::Deny), "{}", rule.name());
    }
    assert!(others);
    assert_eq!(policy.rules().count(), policy.rule_count());
    assert_eq!(policy.rules().last().map(|rule| rule.name()), Some("confirm_unknown"));
}

#[test]
fn the_contracts_rules_are_all_there_but_the_one_that_the_engine_overrules() {
    let policy = Policy::builtin();
    let names: Vec<_> = policy.rules().map(|rule| rule.name()).collect();
    for name in [
        "deny_destructive_shell",
        "deny_path_escape",
        "deny_unknown_destructive",
        "allow_file_read",
        "allow_health_check",
        "confirm_file_write",
        "confirm_shell_write",
        "confirm_browser_open",
        "confirm_process_control",
        "confirm_unknown",
    ] {
        assert!(names.contains(&name), "{name}");
    }
    assert!(!names.contains(&"allow_readonly_shell"));
}

#[test]
fn an_explanation_names_what_each_rule_missed() {
    let text = r#"
[[rule]]
name = "a"
capability = "file.*"
caller = "operator"
decision = "allow"
[[rule]]
name = "b"
capability = "file.read"
decision = "allow"
args = { path = { under = "x" } }
[[rule]]
name = "c"
capability = "file.read"
decision = "deny"
args = { encoding = "utf-8" }
"#;
    let policy = Policy::parse(text, "policy.toml").unwrap();
    let params = object(&json!({"path": "a"}));
    let steps = policy.explain(&Query { intent: "file.read", params: &params, caller: "agent" });
    let seen: Vec<_> = steps.iter().map(|step| (step.rule.name(), step.mismatch)).collect();
    assert_eq!(
        seen,
        [
            ("a", Some(Mismatch::Caller { wanted: "operator" })),
            ("b", Some(Mismatch::ArgumentDiffers { name: "path" })),
            ("c", Some(Mismatch::ArgumentAbsent { name: "encoding" })),
            ("deny_destructive_shell", Some(Mismatch::Capability { wanted: "shell.run" })),
            ("deny_path_escape", Some(Mismatch::ArgumentDiffers { name: "path" })),
            (
                "deny_unknown_destructive",
                Some(Mismatch::Capability { wanted: r"/(?s:.*)\.(?:delete|destroy|drop)/" })
            ),
            ("allow_file_read", None),
        ]
    );
    assert_eq!(seen[0].1.unwrap().to_string(), "is about the caller `operator`");
}

#[test]
fn a_version_changes_with_what_decides_and_with_nothing_else() {
    let rule =
        |decision: &str| format!("[[rule]]\nname = \"a\"\ncapability = \"b\"\ndecision = \"{decision}\"\n");
    let version = |text: &str| Policy::parse(text, "policy.toml").unwrap().version().to_owned();
    assert_eq!(version(""), Policy::builtin().version());
    assert_eq!(version("").len(), 64);
    assert_eq!(version(&rule("ask")), version(&format!("# a remark\n\n{}", rule("ask"))));
    let different = [
        version(""),
        version(&rule("ask")),
        version(&rule("allow")),
        version(&format!("{}caller = \"c\"", rule("ask"))),
        version(&format!("{}args = {{ x = \"1\" }}", rule("ask"))),
        version(&format!("{}args = {{ x = 1 }}", rule("ask"))),
        version(&format!("{}args = {{ x = {{ regex = \"1\" }} }}", rule("ask"))),
        version(&format!("{}args = {{ x = {{ glob = \"1\" }} }}", rule("ask"))),
        version(&format!("{}args = {{ x = {{ under = \"1\" }} }}", rule("ask"))),
        version("[shell]\nallow = [\"git\"]"),
        version("[shell]\nbare = true"),
        version("[action_safety]\ndefault_verdict = \"deny\""),
    ];
    for (i, a) in different.iter().enumerate() {
        for (j, b) in different.iter().enumerate() {
            assert_eq!(i == j, a == b, "{i} {j}");
        }
    }
}
