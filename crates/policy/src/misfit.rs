//! Finds rules that can never match what a build can do.

use steadyhand_core::capability::{Capability, Registry, nearest};

use crate::{PolicyError, Problem, rule::Rule};

/// The misfits among `rules` that have a place in a file, in order.
pub(crate) fn find(rules: &[Rule], registry: &Registry) -> Vec<PolicyError> {
    let mut found = Vec::new();
    for rule in rules {
        let Some(place) = &rule.place else { continue };
        let problems = problems(rule, registry);
        found.extend(problems.into_iter().map(|problem| PolicyError {
            file: place.file.to_string(),
            line: place.line,
            column: place.column,
            problem: Box::new(problem),
        }));
    }
    found
}

fn problems(rule: &Rule, registry: &Registry) -> Vec<Problem> {
    let (name, pattern) = (rule.name().to_owned(), rule.capability().to_owned());
    let about: Vec<&Capability> =
        registry.iter().map(AsRef::as_ref).filter(|capability| rule.is_about(capability.intent)).collect();
    if about.is_empty() {
        let nearest = registry.nearest(&pattern);
        return vec![Problem::UnknownCapability { rule: name, pattern, nearest }];
    }
    let known = || about.iter().flat_map(|c| c.required.iter().chain(c.optional)).copied();
    rule.args
        .iter()
        .filter(|(argument, _)| !known().any(|k| k == argument))
        .map(|(argument, _)| Problem::UnknownArgument {
            rule: name.clone(),
            pattern: pattern.clone(),
            argument: argument.clone(),
            nearest: nearest(argument, known()),
        })
        .collect()
}
