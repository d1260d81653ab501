//! What holds for every policy and every action.

use proptest::{prelude::*, sample::select};
use serde_json::{Map, Value, json};
use steadyhand_policy::{Decision, Policy, Query};

/// Text that comes near to what rules are about, and text that doesn't.
fn any_text() -> impl Strategy<Value = String> {
    let near = select(vec![
        "rm ",
        "../",
        "scratch",
        "/",
        "..",
        "C:\\",
        "ls",
        " ",
        "file.",
        "read",
        "write",
        "shell.run",
        ".delete",
        "ü",
        "\0",
        "\n",
        "*",
        "?",
        "agent",
        "IEX",
        "Delete",
    ]);
    prop_oneof![proptest::collection::vec(near, 0..6).prop_map(|parts| parts.concat()), any::<String>(),]
}

fn any_intent() -> impl Strategy<Value = String> {
    let known = ["file.read", "FILE.write", "shell.run", "window.list", "a.drop", "healthz", "mouse.click"];
    prop_oneof![select(known.to_vec()).prop_map(str::to_owned), any_text()]
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => any_text().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(|n| json!(n)),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => proptest::collection::vec(any_text(), 0..3).prop_map(|texts| json!(texts)),
    ]
}

fn any_params() -> impl Strategy<Value = Map<String, Value>> {
    let name = prop_oneof![select(vec!["path", "command", "text", "x"]).prop_map(str::to_owned), any_text()];
    proptest::collection::vec((name, any_value()), 0..4).prop_map(|pairs| pairs.into_iter().collect())
}

/// A rule as TOML, nearly always a valid one; its name is added where it is used.
fn any_rule() -> impl Strategy<Value = String> {
    let capability = select(vec!["*", "file.*", "FILE.read", "shell.run", "?indow.*", "a.drop", "*t*"]);
    let caller = proptest::option::of(select(vec!["agent", "*", "a*"]));
    let decision = select(vec!["allow", "ask", "deny"]);
    let condition = select(vec![
        "",
        "path = { under = 'scratch' }",
        "path = { glob = '*a?' }",
        "command = { regex = '^ls( |$)' }",
        "x = 1",
        "text = ''",
    ]);
    (capability, caller, decision, condition).prop_map(|(capability, caller, decision, condition)| {
        let caller = caller.map(|caller| format!("caller = '{caller}'\n")).unwrap_or_default();
        format!("capability = '{capability}'\ndecision = '{decision}'\n{caller}args = {{ {condition} }}\n")
    })
}

fn any_policy() -> impl Strategy<Value = Policy> {
    proptest::collection::vec(any_rule(), 0..6).prop_map(|rules| {
        let text: String =
            rules.iter().enumerate().map(|(i, rule)| format!("[[rule]]\nname = 'r{i}'\n{rule}")).collect();
        Policy::parse(&text, "p.toml").expect("the generator writes valid rules")
    })
}

proptest! {
    #[test]
    fn the_same_question_has_the_same_answer_and_the_explanation_agrees(
        policy in any_policy(), intent in any_intent(), params in any_params(), caller in any_text(),
    ) {
        let query = Query { intent: &intent, params: &params, caller: &caller };
        let ruling = policy.decide(&query);
        prop_assert_eq!(&ruling, &policy.decide(&query));
        let steps = policy.explain(&query);
        let (last, before) = steps.split_last().expect("the last rule matches everything");
        prop_assert!(before.iter().all(|step| step.mismatch.is_some()));
        prop_assert_eq!(last.mismatch, None);
        prop_assert_eq!(last.rule.name(), ruling.rule);
        prop_assert_eq!(last.rule.decision(), ruling.decision);
        prop_assert_eq!(last.rule.line(), ruling.line);
        let looked_at: Vec<_> = policy.rules().take(steps.len()).map(|rule| rule.name()).collect();
        prop_assert_eq!(looked_at, steps.iter().map(|step| step.rule.name()).collect::<Vec<_>>());
    }

    #[test]
    fn a_rule_that_is_put_first_and_matches_decides(
        policy in any_rule(), intent in any_intent(), params in any_params(), decision in select(vec!["allow", "ask", "deny"]),
    ) {
        let text = format!(
            "[[rule]]\nname = 'first'\ncapability = '*'\ndecision = '{decision}'\n[[rule]]\nname = 'r'\n{policy}"
        );
        let policy = Policy::parse(&text, "p.toml").unwrap();
        let ruling = policy.decide(&Query { intent: &intent, params: &params, caller: "agent" });
        prop_assert_eq!((ruling.rule.as_str(), ruling.decision.as_str()), ("first", decision));
    }

    #[test]
    fn without_an_operators_word_a_step_up_is_never_allowed(
        before in any_text(), after in any_text(), write: bool,
    ) {
        let intent = if write { "file.write" } else { "file.read" };
        let params = json!({ "path": format!("{before}../{after}") }).as_object().unwrap().clone();
        let ruling = Policy::builtin().decide(&Query { intent, params: &params, caller: "agent" });
        prop_assert_eq!(ruling.decision, Decision::Deny);
    }

    #[test]
    fn what_lies_under_a_folder_never_steps_up(before in any_text(), after in any_text()) {
        let text = "[[rule]]\nname = 'a'\ncapability = 'file.write'\ndecision = 'allow'\nargs = { path = { under = 'scratch' } }";
        let policy = Policy::parse(text, "p.toml").unwrap();
        let path = format!("scratch/{before}/../{after}");
        let params = json!({ "path": path }).as_object().unwrap().clone();
        let ruling = policy.decide(&Query { intent: "file.write", params: &params, caller: "agent" });
        prop_assert_eq!(ruling.decision, Decision::Deny);
    }

    #[test]
    fn any_text_is_read_or_refused_with_its_place(text in any::<String>()) {
        if let Err(error) = Policy::parse(&text, "p.toml") {
            prop_assert!(error.line >= 1 && error.line <= text.lines().count().max(1) + 1);
            prop_assert!(error.column >= 1 && error.column <= text.chars().count() + 1);
        }
    }

    #[test]
    fn a_damaged_policy_is_read_or_refused(rule in any_rule(), at in 0_usize..200, junk in any_text()) {
        let mut text = format!("[[rule]]\nname = 'a'\n{rule}[shell]\nallow = ['git']\nbare = true\n");
        let mut at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        text.insert_str(at, &junk);
        if let Err(error) = Policy::parse(&text, "p.toml") {
            prop_assert!(error.line >= 1 && error.line <= text.split('\n').count());
        }
    }
}
