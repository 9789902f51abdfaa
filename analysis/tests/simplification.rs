//! Simplification as a whole: programs of real searches, fresh random ones, and the zoo's published
//! programs, with every step checked.

use symopt_analysis::equivalence::RandomStreams;
use symopt_analysis::simplify::{Derivation, Options, Verdict, simplify};
use symopt_dsl::{Graph, Program, parse};
use symopt_testing::draws::Draw;
use symopt_testing::random::Random;

/// The last 200 programs that were evaluated in each of five searches: `symopt search --seed N
/// --programs 150000`, N from 11 to 15.
const LATE_PROGRAMS: &str = include_str!("corpus/late_programs.txt");

fn late_programs() -> Vec<Program> {
    LATE_PROGRAMS.split("---\n").map(|text| parse(text).expect("a program")).collect()
}

fn simplified(program: &Program, seed: u64) -> Derivation {
    simplify(program, &Options::default(), &mut RandomStreams::new(seed))
}

/// Lists violations of a label, in words.
fn violations(derivation: &Derivation) -> Vec<String> {
    let reason = |step: &symopt_analysis::simplify::Step| match &step.support {
        symopt_analysis::simplify::Support::Check(evidence) => match &evidence.verdict {
            Verdict::Violated(reason) => Some(reason.clone()),
            _ => None,
        },
        symopt_analysis::simplify::Support::Trials(_) => None,
    };
    let text = |step: &symopt_analysis::simplify::Step| {
        reason(step).map(|reason| {
            format!(
                "{} [{}]: {reason}\n{:?}\n{}{}",
                step.kind, step.label, step.reasons, step.before, step.after
            )
        })
    };
    derivation.rejected.iter().filter_map(text).collect()
}

#[test]
fn programs_of_real_searches_simplify_without_a_violation() {
    let programs = late_programs();
    assert_eq!(programs.len(), 1000);
    let every = if std::env::var_os("SYMOPT_EXHAUSTIVE").is_some() { 1 } else { 10 };
    let mut broken = Vec::new();
    for (index, program) in programs.iter().enumerate().step_by(every) {
        let derivation = simplified(program, index as u64);
        let graph = Graph::new(program).expect("well typed");
        assert!(
            derivation.result().statements.len() <= program.pruned(&graph).statements.len(),
            "{program}"
        );
        broken.extend(violations(&derivation));
    }
    assert!(broken.is_empty(), "{} broken\n{}", broken.len(), broken.join("\n"));
}

/// Random programs: of all functions, and of those that the rules rewrite most, dense with chances.
fn random_programs(count: usize) -> impl Iterator<Item = (u64, Program)> {
    (0..count as u64).map(|seed| {
        let mut random = Random(0x51b1_0000 + seed);
        let statements = 4 + random.below(22);
        let draw = match seed % 3 {
            0 => Draw::everything(statements),
            1 => Draw { statements, ..Draw::rewritten() },
            _ => Draw::fused(statements),
        };
        (seed, draw.program(&mut random))
    })
}

#[test]
fn random_programs_simplify_without_a_violation() {
    let count = if std::env::var_os("SYMOPT_EXHAUSTIVE").is_some() { 9_000 } else { 900 };
    let mut broken = Vec::new();
    let mut shorter = 0;
    for (seed, program) in random_programs(count) {
        let derivation = simplified(&program, seed);
        let graph = Graph::new(&program).expect("well typed");
        let pruned = program.pruned(&graph).statements.len();
        assert!(derivation.result().statements.len() <= pruned, "{program}");
        shorter += usize::from(derivation.result().statements.len() < pruned);
        broken
            .extend(violations(&derivation).into_iter().map(|text| format!("seed {seed}: {text}")));
    }
    assert!(broken.is_empty(), "{} broken\n{}", broken.len(), broken.join("\n"));
    assert!(shorter > count / 4, "{shorter} of {count} got shorter");
}
