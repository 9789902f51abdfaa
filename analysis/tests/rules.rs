//! The labels of the simplifier's rules: every rule on its own, against the reference interpreter
//! on streams with zeros, denormals, large numbers, infinities and NaN.

use symopt_analysis::equivalence::RandomStreams;
use symopt_analysis::simplify::rules::RULES;
use symopt_analysis::simplify::{Checker, Claim, Label, Verdict};

#[test]
fn every_rule_keeps_its_label() {
    let mut streams = RandomStreams::new(1);
    let mut broken = Vec::new();
    for rule in RULES {
        let instances = rule.instances();
        assert!(!instances.is_empty(), "{}: no instance", rule.name);
        let mut proven = 0;
        for instance in &instances {
            let claim = Claim {
                before: &instance.before,
                after: &instance.after,
                label: instance.label,
                slots: &[],
                conditions: &instance.conditions,
            };
            match streams.check(&claim).verdict {
                Verdict::Holds => proven += 1,
                // A rule may leave no numbers to compare with some values, as log of something
                // below zero.
                Verdict::Unproven(_) => {}
                verdict => broken.push(format!(
                    "{} [{}] {verdict:?}\n{}{}",
                    rule.name, instance.label, instance.before, instance.after
                )),
            }
        }
        if proven == 0 {
            broken.push(format!("{}: nothing could be compared in any instance", rule.name));
        }
    }
    assert!(broken.is_empty(), "{} broken\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn labels_are_no_weaker_than_they_have_to_be() {
    // |x| = x follows from bounds, which leave the sign of zero open: sqrt(-0) is -0.
    let known = ["|x| = x for x >= 0"];
    let mut streams = RandomStreams::new(1);
    let looks_exact = |label: Label,
                       rule: &symopt_analysis::simplify::rules::Rule,
                       streams: &mut RandomStreams| {
        rule.instances().iter().all(|instance| {
            let claim = Claim {
                before: &instance.before,
                after: &instance.after,
                label,
                slots: &[],
                conditions: &[],
            };
            matches!(streams.check(&claim).verdict, Verdict::Holds)
        })
    };
    let weaker = RULES
        .iter()
        .filter(|rule| rule.label != Label::Exact && looks_exact(Label::Exact, rule, &mut streams));
    let names: Vec<&str> =
        weaker.map(|rule| rule.name).filter(|name| !known.contains(name)).collect();
    assert!(names.is_empty(), "exact as far as can be seen: {names:?}");
}
