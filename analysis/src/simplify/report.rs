//! A derivation to be read: Markdown.

use std::fmt::{self, Write};

use similar::{ChangeTag, TextDiff};
use symopt_dsl::program::{Program, Signature};

use crate::simplify::check::{Evidence, Place, Verdict};
use crate::simplify::derivation::{Derivation, Step, StepKind, Support, Trial};
use crate::simplify::label::{Label, SlotMap};
use crate::simplify::rules;

impl Derivation {
    /// The derivation as Markdown: the program, each step with what it changes, why, and what its
    /// check has seen, and what is left.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let (first, last) = (&self.original, self.result());
        writeln!(
            out,
            "# {}: from {} statements to {}\n",
            first.signature().name,
            first.statements.len(),
            last.statements.len()
        )?;
        write_program(out, first)?;
        for (index, step) in self.steps.iter().enumerate() {
            write_step(out, index + 1, step)?;
        }
        if self.steps.is_empty() {
            writeln!(out, "Nothing to simplify.\n")?;
        } else {
            writeln!(out, "## What is left\n")?;
            write_program(out, last)?;
        }
        if !self.rejected.is_empty() {
            writeln!(
                out,
                "## Rejected\n\nThese steps broke their own label, which is a bug of the simplifier: please report them.\n"
            )?;
            for (index, step) in self.rejected.iter().enumerate() {
                write_step(out, index + 1, step)?;
            }
        }
        for note in &self.notes {
            writeln!(out, "Note: {note}.")?;
        }
        Ok(())
    }
}

fn without_doc(program: &Program) -> Program {
    program.with_signature(Signature { doc: None, ..program.signature().clone() })
}

fn write_program(out: &mut String, program: &Program) -> fmt::Result {
    writeln!(out, "```python\n{}```\n", without_doc(program))
}

fn write_step(out: &mut String, number: usize, step: &Step) -> fmt::Result {
    let (before, after) = (step.before.statements.len(), step.after.statements.len());
    writeln!(out, "## {number}. {}: {before} -> {after} statements ({})\n", step.kind, step.label)?;
    for reason in &step.reasons {
        match (reason.text.as_str(), reason.label == step.label) {
            ("", _) => writeln!(out, "- {}", reason.rule)?,
            (text, true) => writeln!(out, "- {}: `{text}`", reason.rule)?,
            (text, false) => writeln!(out, "- {} ({}): `{text}`", reason.rule, reason.label)?,
        }
    }
    if !step.conditions.is_empty() {
        writeln!(out, "- where `{}`", step.conditions.join("` and `"))?;
    }
    if let Some(neglected) = step.reasons.iter().find_map(|reason| rules::neglected(&reason.rule)) {
        writeln!(out, "- {neglected}")?;
    }
    for map in &step.slots {
        writeln!(out, "- change of variable: `{}`", slot_map(map))?;
    }
    writeln!(out, "\n```diff")?;
    let (before, after) =
        (without_doc(&step.before).to_string(), without_doc(&step.after).to_string());
    for change in TextDiff::from_lines(&before, &after).iter_all_changes() {
        let mark = match change.tag() {
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
            ChangeTag::Equal => ' ',
        };
        write!(out, "{mark}{change}")?;
    }
    writeln!(out, "```\n")?;
    match &step.support {
        // With the meaning that the step gives to `lr`, numbers that get names are checked bit for
        // bit.
        Support::Check(evidence) if step.kind == StepKind::Constants => {
            writeln!(out, "{}\n", evidence.sentence(Label::Exact))
        }
        Support::Check(evidence) => writeln!(out, "{}\n", evidence.sentence(step.label)),
        Support::Trials(trials) => write_trials(out, trials),
    }
}

fn slot_map(map: &SlotMap) -> String {
    let terms: Vec<String> = map
        .terms
        .iter()
        .map(|(factor, name)| {
            if *factor == 1.0 {
                format!("old {name}")
            } else {
                format!("{} * old {name}", symopt_dsl::printer::number(*factor))
            }
        })
        .collect();
    format!(
        "new {} = {}",
        map.after,
        if terms.is_empty() { "0".to_owned() } else { terms.join(" + ") }
    )
}

fn write_trials(out: &mut String, trials: &[Trial]) -> fmt::Result {
    let percent = |value: Option<f64>| {
        value.map_or_else(|| "diverged".to_owned(), |value| format!("{:+.2} %", 100.0 * value))
    };
    writeln!(out, "| change | fitness | with the change | difference | standard error | kept |")?;
    writeln!(out, "|---|---|---|---|---|---|")?;
    for trial in trials {
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} |",
            trial.change,
            percent(trial.fitness_before),
            percent(trial.fitness_after),
            percent(trial.difference),
            trial
                .standard_error
                .map_or_else(|| "-".to_owned(), |error| format!("{:.2} %", 100.0 * error)),
            if trial.kept { "yes" } else { "no" },
        )?;
    }
    writeln!(out)
}

impl Evidence {
    /// Summarizes the check in a sentence or two.
    pub fn sentence(&self, label: Label) -> String {
        let ran =
            format!("{} steps on random streams, {} numbers compared", self.steps, self.compared);
        let mut text = match (&self.verdict, label) {
            (Verdict::Unchecked, _) => return "Not checked.".to_owned(),
            (Verdict::Unproven(reason), _) => format!("Not proven: {reason} ({ran})"),
            (Verdict::Violated(reason), _) => format!("BROKEN: {reason} ({ran})"),
            (Verdict::Holds, Label::Exact) => {
                format!("Checked: {ran}, in f32 and f64: equal bit for bit")
            }
            (Verdict::Holds, _) => format!(
                "Checked: {ran}: the largest relative deviation is {:.1e}",
                self.largest_deviation
            ),
        };
        if self.outside > 0 {
            text.push_str(&format!("; {} more numbers were out of the domain", self.outside));
            if let Some(Place { stream, step, quantity, before, after, gradient }) =
                &self.outside_at
            {
                text.push_str(&format!(
                    ", worst where {quantity} is {before:.3e} before and {after:.3e} after (gradient {gradient:.1e}, step {step}, {stream})"
                ));
            }
        }
        if self.sign_flips > 0 {
            text.push_str(&format!("; {} updates change their sign", self.sign_flips));
        }
        text.push('.');
        text
    }
}
