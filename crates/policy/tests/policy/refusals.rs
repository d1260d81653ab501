//! What a wrong policy is answered: place, problem, remedy.

use serde_json::json;
use steadyhand_core::capability::{Capability, Registry, RepeatSafe, Risk, Tier};
use steadyhand_policy::{Policy, PolicyError, Problem, bounds};

fn refusal(text: &str) -> PolicyError {
    match Policy::parse(text, "p.toml") {
        Ok(_) => panic!("it is accepted: {text}"),
        Err(error) => error,
    }
}

/// A rule that lacks nothing, with `more` as its further lines.
fn rule(more: &str) -> String {
    format!("[[rule]]\nname = \"a\"\ncapability = \"file.read\"\ndecision = \"ask\"\n{more}")
}

#[test]
fn each_refusal_names_place_problem_and_remedy() {
    for (text, expected) in [
        ("rules = 1", "p.toml:1:1: unknown key `rules`; did you mean `rule`?"),
        ("\n  x = 1", "p.toml:2:3: unknown key `x`; known are rule, shell, action_safety"),
        ("zz = 1\nyy = 1", "p.toml:1:1: unknown key `zz`; known are rule, shell, action_safety"),
        ("rule = 1", "p.toml:1:8: `rule` must be an array of tables: write `[[rule]]`, not a whole number"),
        (
            "[rule]\nname = \"a\"",
            "p.toml:1:1: `rule` must be an array of tables: write `[[rule]]`, not a table",
        ),
        ("rule = [1]", "p.toml:1:9: `rule` must be a table, not a whole number"),
        (
            "[[rule]]\ncapability = \"x\"\ndecision = \"ask\"",
            "p.toml:1:1: `name` is missing; add it to this table",
        ),
        (
            "[[rule]]\nname = \"x\"\ndecision = \"ask\"",
            "p.toml:1:1: `capability` is missing; add it to this table",
        ),
        ("[[rule]]\nname = \"x\"", "p.toml:1:1: `decision` is missing; add it to this table"),
        (
            "[[rule]]\nname = \"x\"\ncapabilty = \"x\"",
            "p.toml:3:1: unknown key `capabilty`; did you mean `capability`?",
        ),
        (
            "[[rule]]\nname = \"\"\ncapability = \"x\"\ndecision = \"ask\"",
            "p.toml:2:8: `name` is empty; write a text, or leave the key out where it is optional",
        ),
        (
            "[[rule]]\nname = \"x\"\ncapability = \"\"\ndecision = \"ask\"",
            "p.toml:3:14: `capability` is empty; write a text, or leave the key out where it is optional",
        ),
        (
            "[[rule]]\nname = \"x\"\ncapability = [\"x\"]\ndecision = \"ask\"",
            "p.toml:3:14: `capability` must be a text, not an array",
        ),
        (
            "[[rule]]\nname = \"ü\"\ncapability = \"x\"\ndecision = \"alow\"",
            "p.toml:4:12: unknown decision `alow`; did you mean `allow`?",
        ),
        (
            "rule = [{ name = \"üü\", capability = \"x\", decision = \"confirm\" }]",
            "p.toml:1:53: unknown decision `confirm`; known are allow, ask, deny",
        ),
    ] {
        assert_eq!(refusal(text).to_string(), expected, "{text}");
    }
}

#[test]
fn each_part_of_a_rule_is_checked() {
    let empty_key = "is empty; write a text, or leave the key out where it is optional";
    for (more, expected) in [
        ("caller = \"\"", format!("p.toml:5:10: `caller` {empty_key}")),
        ("caller = true", "p.toml:5:10: `caller` must be a text, not true or false".into()),
        ("description = 1.5", "p.toml:5:15: `description` must be a text, not a fraction".into()),
        ("args = []", "p.toml:5:8: `args` must be a table, not an array".into()),
        (
            "args = { a = 1.5 }",
            "p.toml:5:14: `a` must be a text, a whole number, true, false or a table, not a fraction".into(),
        ),
        (
            "args = { a = 99999999999999999999 }",
            "p.toml:5:14: `a` must be a whole number, not one beyond 64 bits".into(),
        ),
        (
            "[rule.args]\npath = {}",
            "p.toml:6:8: `path` must be a value or a table with one of `under`, `regex`, `glob`, not a table".into(),
        ),
        (
            "[rule.args]\npath = { glob = \"a\", regex = \"a\" }",
            "p.toml:6:8: `path` must be a value or a table with one of `under`, `regex`, `glob`, not a table".into(),
        ),
        (
            "[rule.args]\npath = { regexp = \"a\" }",
            "p.toml:6:10: unknown key `regexp`; did you mean `regex`?".into(),
        ),
        ("[rule.args]\npath = { regex = \"\" }", format!("p.toml:6:18: `regex` {empty_key}")),
        (
            "[rule.args]\npath = { regex = \"a(\" }",
            "p.toml:6:18: `regex` is no usable regular expression: unclosed group".into(),
        ),
        (
            "[rule.args]\npath = { regex = '(?<=a)b' }",
            "p.toml:6:18: `regex` is no usable regular expression: look-around, including look-ahead and look-behind, is not supported".into(),
        ),
        (
            "[rule.args]\npath = { regex = '\\w{1000}{1000}' }",
            "p.toml:6:18: `regex` is no usable regular expression: Compiled regex exceeds size limit of 1048576 bytes.".into(),
        ),
        (
            "[rule.args]\npath = { under = \"a/../b\" }",
            "p.toml:6:18: `under` can't be `a/../b`: a folder without `..`, such as `scratch` or `/srv/data`".into(),
        ),
        ("[rule.args]\npath = { under = 1 }", "p.toml:6:18: `under` must be a text, not a whole number".into()),
        (
            "[[rule]]\nname = \"a\"\ncapability = \"x\"\ndecision = \"ask\"",
            "p.toml:6:8: another rule is named `a` (p.toml:1); give each its own name".into(),
        ),
        (
            "[[rule]]\nname = \"confirm_unknown\"\ncapability = \"x\"\ndecision = \"ask\"",
            "p.toml:6:8: `confirm_unknown` is a built-in rule; give yours another name, it goes first anyway".into(),
        ),
        ("[shell]\nalow = []", "p.toml:6:1: unknown key `alow`; did you mean `allow`?".into()),
        ("[shell]\nallow = \"git\"", "p.toml:6:9: `allow` must be an array of texts, not a text".into()),
        ("[shell]\nallow = [\"git\", 1]", "p.toml:6:17: `allow` must be a text, not a whole number".into()),
        (
            "[shell]\nallow = [\"/bin/git\"]",
            "p.toml:6:10: `/bin/git` is no program's name; write it without folder and arguments, such as `git`".into(),
        ),
        (
            "[shell]\nallow = [\"git log\"]",
            "p.toml:6:10: `git log` is no program's name; write it without folder and arguments, such as `git`".into(),
        ),
        ("[shell]\nbare = \"yes\"", "p.toml:6:8: `bare` must be true or false, not a text".into()),
        (
            "[action_safety]\ncustom_rule = []",
            "p.toml:6:1: unknown key `custom_rule`; did you mean `custom_rules`?".into(),
        ),
        (
            "[[action_safety.custom_rules]]\nname = \"c\"\nverdict = \"deny\"",
            "p.toml:5:1: `action_pattern` is missing; add it to this table".into(),
        ),
        (
            "[[action_safety.custom_rules]]\nname = \"c\"\nverdict = \"deny\"\naction_pattern = \"*.x\"",
            "p.toml:8:18: `action_pattern` is no usable regular expression: repetition operator missing expression".into(),
        ),
        (
            "[[action_safety.custom_rules]]\nname = \"c\"\nverdict = \"deny\"\naction_pattern = \"x\"\npriority = \"low\"",
            "p.toml:9:12: `priority` must be a whole number, not a text".into(),
        ),
        (
            "[[action_safety.custom_rules]]\nname = \"c\"\nverdict = \"deny\"\naction_pattern = \"x\"\narg_patterns = { a = 1 }",
            "p.toml:9:22: `a` must be a text, not a whole number".into(),
        ),
    ] {
        assert_eq!(refusal(&rule(more)).to_string(), expected, "{more}");
    }
}

#[test]
fn text_that_is_no_toml_is_refused_at_its_place() {
    for (text, line, column) in [
        ("[[rule]\nname = 1", 1, 8),
        ("[shell]\nbare = ", 2, 8),
        ("[shell]\nbare = true\nbare = true", 3, 1),
        ("x", 1, 2),
        ("[shell]\n\"ü\" = tru", 2, 7),
    ] {
        let error = refusal(text);
        assert!(matches!(*error.problem, Problem::Syntax(_)), "{error}");
        assert_eq!((error.line, error.column), (line, column), "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}

#[test]
fn what_passes_a_bound_is_refused_and_what_reaches_it_is_not() {
    let rules = |count: usize| -> String {
        (0..count).map(|i| format!("[[rule]]\nname='{i}'\ncapability='x'\ndecision='ask'\n")).collect()
    };
    let args = |count: usize| {
        let args: Vec<_> = (0..count).map(|i| format!("a{i}=1")).collect();
        rule(&format!("args = {{ {} }}", args.join(",")))
    };
    let programs = |count: usize| format!("[shell]\nallow = [{}]", "'git',".repeat(count));
    let long = |key: &str, bytes: usize| rule(&format!("{key} = '{}'", "x".repeat(bytes)));
    let regex = |bytes: usize| rule(&format!("args = {{ a = {{ regex = '{}' }} }}", "x".repeat(bytes)));
    let file = |bytes: usize| format!("#{}", " ".repeat(bytes - 1));
    for (name, at, past) in [
        ("rules", rules(bounds::RULES_MAX), rules(bounds::RULES_MAX + 1)),
        ("args", args(bounds::ARGS_MAX), args(bounds::ARGS_MAX + 1)),
        ("programs", programs(bounds::PROGRAMS_MAX), programs(bounds::PROGRAMS_MAX + 1)),
        (
            "description",
            long("description", bounds::DESCRIPTION_BYTES_MAX),
            long("description", bounds::DESCRIPTION_BYTES_MAX + 1),
        ),
        ("caller", long("caller", bounds::PATTERN_BYTES_MAX), long("caller", bounds::PATTERN_BYTES_MAX + 1)),
        ("regex", regex(bounds::PATTERN_BYTES_MAX), regex(bounds::PATTERN_BYTES_MAX + 1)),
        ("file", file(bounds::FILE_BYTES_MAX), file(bounds::FILE_BYTES_MAX + 1)),
    ] {
        if let Err(error) = Policy::parse(&at, "p.toml") {
            panic!("{name}: {error}");
        }
        let error = refusal(&past);
        assert!(
            matches!(*error.problem, Problem::TooMany { .. } | Problem::TooLong { .. }),
            "{name}: {error}"
        );
    }
    let deep = format!("x = {}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(matches!(*refusal(&deep).problem, Problem::Syntax(_)));
    let deep = rule(&format!("args = {{ a = {{ regex = '{}{}' }} }}", "(".repeat(400), ")".repeat(400)));
    assert!(matches!(*refusal(&deep).problem, Problem::BadRegex { .. }));
}

fn capability(intent: &'static str, required: &'static [&'static str]) -> Capability {
    Capability {
        intent,
        display_name: "",
        tool_name: "",
        description: "",
        risk: Risk::Safe,
        asks: false,
        implemented: true,
        idempotent: true,
        repeat_safe: RepeatSafe::Always,
        reversible: false,
        has_effect: false,
        tags: &[],
        params_schema: json!({}),
        output_schema: json!({}),
        check: |_| Ok(()),
        required,
        optional: &["encoding"],
        secret_params: &[],
        secret_outputs: &[],
        timeout_max_ms: 1,
        tool_timeout_ms: 1,
        tier: Tier::Readonly,
        sandboxed: true,
    }
}

#[test]
fn rules_that_can_never_match_are_found() {
    let registry = Registry::new(vec![
        capability("file.read", &["path"]),
        capability("file.write", &["path", "content"]),
    ]);
    for (more, expected) in [
        ("", vec![]),
        ("args = { path = \"x\", encoding = \"y\" }", vec![]),
        (
            "args = { pth = \"x\" }",
            vec![
                "p.toml:1:1: rule `a`: no capability of `file.read` takes an argument `pth`; did you mean `path`?",
            ],
        ),
        (
            "args = { content = \"x\" }",
            vec!["p.toml:1:1: rule `a`: no capability of `file.read` takes an argument `content`"],
        ),
        (
            "[[rule]]\nname = \"b\"\ncapability = \"file.*\"\ndecision = \"ask\"\nargs = { content = \"x\" }",
            vec![],
        ),
        (
            "[[rule]]\nname = \"b\"\ncapability = \"file.raed\"\ndecision = \"deny\"",
            vec!["p.toml:5:1: rule `b`: no capability is `file.raed`; did you mean `file.read`?"],
        ),
    ] {
        let policy = Policy::parse(&rule(more), "p.toml").unwrap();
        let found: Vec<_> = policy.misfits(&registry).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected, "{more}");
    }
    assert_eq!(Policy::builtin().misfits(&registry), []);
}
