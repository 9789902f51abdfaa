//! Simplification with tasks: algebra and ablation in turn.

use symopt_analysis::simplify::{Checker, Derivation, Options, Simplifier};
use symopt_dsl::Program;

use crate::ablation::{ablate_once, harden, shorten_constants};
use crate::error::StudyError;
use crate::trials::Trials;

/// Simplifies a program by algebra and by ablation, in turn, until neither changes anything; then
/// numbers get the fewest digits that the tasks allow, and names.
///
/// Algebra goes first, and again after each ablation, so that every ablation is tried on the
/// shortest program that does the same. On a program that holds its own learning rate, which was
/// found on other tasks, the factor of the update that suits each task is found first. A direction
/// is first tried as a sign.
pub fn simplify_on_tasks(
    program: &Program,
    options: &Options,
    checker: &mut dyn Checker,
    trials: &mut Trials,
) -> Result<Derivation, StudyError> {
    let mut simplifier = Simplifier::new(program, options.clone(), checker);
    simplifier.reduce();
    let adamw = trials.baseline_origin();
    if !adamw.is_tuned() {
        simplifier.note(format!("fitness is measured against {adamw}"));
    }
    trials.tune(simplifier.program())?;
    if trials.factors().iter().any(|(_, factor)| *factor != 1.0) {
        let factors: Vec<String> =
            trials.factors().iter().map(|(task, factor)| format!("{task} {factor:.4}")).collect();
        let factors = factors.join(", ");
        simplifier.note(format!(
            "the program's own learning rate comes from other tasks; on each task its update was multiplied by the factor that suits the program \
             before any ablation: {factors}"
        ));
    }
    if trials.is_of_directions() {
        harden(simplifier.program(), trials)?
            .steps
            .into_iter()
            .for_each(|step| simplifier.push(step));
        simplifier.reduce();
    }
    loop {
        let steps = ablate_once(simplifier.program(), trials)?.steps;
        if steps.is_empty() {
            break;
        }
        steps.into_iter().for_each(|step| simplifier.push(step));
        simplifier.reduce();
    }
    let shortened = shorten_constants(simplifier.program(), trials)?;
    shortened.steps.into_iter().for_each(|step| simplifier.push(step));
    Ok(simplifier.finish())
}
