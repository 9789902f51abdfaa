//! The simplifier: tries the kinds of steps in their order, has each checked, and begins again
//! until nothing changes.

use std::collections::{BTreeMap, BTreeSet};

use symopt_dsl::graph::{Graph, Redundancy};
use symopt_dsl::program::{Operand, ParameterKind, Program, Signature, VarId};
use symopt_dsl::types::Type;

use crate::simplify::assembly::{Naming, assemble};
use crate::simplify::check::{Checker, Claim, Condition, Verdict};
use crate::simplify::derivation::{Derivation, Reason, Step, StepKind, Support};
use crate::simplify::extraction::{self, Digits, cost};
use crate::simplify::label::Label;
use crate::simplify::proposal::Proposal;
use crate::simplify::saturation::{CONTRADICTION, Limits, Proof, Saturated, saturate, saturate_by};
use crate::simplify::term::{Leaf, Term, TermFlow};
use crate::simplify::text::Speller;
use crate::simplify::{constants, slots};

/// Settings of a simplification.
#[derive(Clone, Debug)]
pub struct Options {
    /// The weakest label that identities may have.
    pub label: Label,
    /// Limits of each saturation.
    pub limits: Limits,
    /// Whether reasons are wanted. Without them saturation is several times as fast.
    pub explain: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options { label: Label::Domain, limits: Limits::default(), explain: true }
    }
}

/// A simplification under way.
pub struct Simplifier<'a> {
    options: Options,
    checker: &'a mut dyn Checker,
    derivation: Derivation,
    /// Statements of the programs that steps were looked for in.
    work: usize,
}

/// Statements of the programs that steps are looked for in, at most, all looks together: far more
/// than programs of some hundred statements take, and a few seconds. Without a limit the time would
/// grow with the square of the number of statements, or faster.
const MOST_WORK: usize = 8_000;

/// Rounds that are made whatever they take.
const LEAST_ROUNDS: usize = 3;

impl<'a> Simplifier<'a> {
    /// Begins a simplification. The program must be well typed, as all that the parser gives is.
    pub fn new(
        program: &Program,
        options: Options,
        checker: &'a mut dyn Checker,
    ) -> Simplifier<'a> {
        Simplifier { options, checker, derivation: Derivation::new(program.clone()), work: 0 }
    }

    /// The program as it is now.
    pub fn program(&self) -> &Program {
        self.derivation.result()
    }

    /// Adds a step that was found elsewhere, as one that tasks have shown to be right.
    pub fn push(&mut self, step: Step) {
        self.derivation.steps.push(step);
    }

    /// Adds a sentence, without its full stop, that whoever reads the derivation should know.
    pub fn note(&mut self, sentence: String) {
        self.derivation.notes.push(sentence);
    }

    /// Takes all algebraic steps: redundant statements, dead slots, identities and slots, until
    /// nothing changes.
    pub fn reduce(&mut self) {
        // A rejected proposal would come again and again.
        let mut rejected: Vec<Program> = Vec::new();
        for round in 0.. {
            if self.options.limits.cancel.is_cancelled() {
                return;
            }
            // The first steps remove what nothing depends on, whatever there is of it.
            self.work += self.program().statements.len();
            if self.work > MOST_WORK && round >= LEAST_ROUNDS {
                self.note_limit(Some(format!(
                    "its limit of {MOST_WORK} statements in all rounds together"
                )));
                return;
            }
            let Some(proposal) = self.propose(&rejected) else { return };
            let after = proposal.after.clone();
            if !self.take(proposal) {
                rejected.push(after);
            }
        }
    }

    /// Ends as it stands.
    pub fn into_derivation(self) -> Derivation {
        self.derivation
    }

    /// Gives numbers and values their names, in an order that reads well, and ends.
    pub fn finish(mut self) -> Derivation {
        if let Some(proposal) = unused_hyperparameters(self.program()) {
            self.take(proposal);
        }
        if let Some(proposal) = constants::name(self.program(), self.options.label) {
            self.take(proposal);
        }
        // A program that nothing has changed keeps the names that its author gave.
        if !self.derivation.steps.is_empty()
            && let Some(proposal) = self.fresh_names()
        {
            self.take(proposal);
        }
        self.derivation
    }

    fn propose(&mut self, rejected: &[Program]) -> Option<Proposal> {
        let program = self.program().clone();
        let graph = Graph::new(&program).ok()?;
        let is_new = |proposal: &Proposal| {
            !rejected.contains(&proposal.after) && !same_text(&proposal.after, &program)
        };
        if let Some(proposal) = redundant(&program, &graph).filter(is_new) {
            return Some(proposal);
        }
        if let Some(proposal) = dead_slots(&program, &graph).filter(is_new) {
            return Some(proposal);
        }
        if let Some(function) = graph.matrix_function() {
            // The rules know sums and products place by place, on arrays of one shape.
            let note = format!(
                "identities are not looked for in programs with functions of matrices such as `{}`",
                function.name()
            );
            self.derivation
                .notes
                .extend(Some(note).filter(|note| !self.derivation.notes.contains(note)));
            return None;
        }
        let flow = TermFlow::of(&program);
        if let Some(proposal) = self.identity(&program, &flow, Label::Exact).filter(is_new) {
            return Some(proposal);
        }
        // All rules at once: where they find nothing, there is no need to try them label by label,
        // which makes for smaller steps.
        let mut weakest = self.options.label;
        let (mut found, mut limit) = saturate(&flow, weakest, &self.options.limits, false);
        self.note_limit(limit.clone());
        if found.is_none() && limit.as_deref() == Some(CONTRADICTION) && weakest > Label::Real {
            // Conditions that can't hold together spoil what is true without any.
            weakest = Label::Real;
            (found, limit) = saturate(&flow, weakest, &self.options.limits, false);
            self.note_limit(limit);
        }
        for label in [Label::Real, Label::Domain]
            .into_iter()
            .filter(|label| found.is_some() && *label <= weakest)
        {
            if let Some(proposal) = self.identity(&program, &flow, label).filter(is_new) {
                return Some(proposal);
            }
        }
        if self.options.label >= Label::Real {
            let saturated = |flow: &TermFlow| {
                saturate(flow, self.options.label.min(Label::Real), &self.options.limits, false)
                    .0
                    .map(|s| s.flow)
            };
            // A slot less is worth long numbers, another unit for one is not.
            let slot_count = |program: &Program| program.signature().slots().count();
            let is_worth_it = |proposal: &Proposal| {
                slot_count(&proposal.after) < slot_count(&program)
                    || self.is_readable(&proposal.after, &program)
            };
            let is_wanted = |proposal: &Proposal| is_new(proposal) && is_worth_it(proposal);
            if let Some(proposal) =
                slots::propose(&program, &flow, saturated).into_iter().find(is_wanted)
            {
                return Some(proposal);
            }
        }
        // A flow that is only plainer, and no shorter, comes last, so that it makes one step. It is
        // not worth a condition, nor a change of a program that is as short as it can be as its
        // author wrote it.
        if found.is_none() || self.derivation.steps.is_empty() {
            return None;
        }
        let label = weakest.min(Label::Real);
        self.identity_with(&program, &flow, label, |after, before| {
            cost(after).is_plainer_than(&cost(before))
        })
        .filter(is_new)
    }

    fn note_limit(&mut self, limit: Option<String>) {
        let note = limit.map(|limit| {
            format!("a search for identities ended at {limit}; there may be more to find")
        });
        self.derivation.notes.extend(note.filter(|note| !self.derivation.notes.contains(note)));
    }

    /// Identities that make the program shorter.
    fn identity(&mut self, program: &Program, flow: &TermFlow, label: Label) -> Option<Proposal> {
        self.identity_with(program, flow, label, |after, before| {
            cost(after).is_shorter_than(&cost(before))
        })
    }

    fn identity_with(
        &mut self,
        program: &Program,
        flow: &TermFlow,
        label: Label,
        is_wanted: impl Fn(&TermFlow, &TermFlow) -> bool,
    ) -> Option<Proposal> {
        let proposal = self.identity_by(Digits::Last, program, flow, label, &is_wanted)?;
        if self.is_readable(&proposal.after, program) {
            return Some(proposal);
        }
        self.identity_by(Digits::AsStatements, program, flow, label, &is_wanted)
            .filter(|proposal| self.is_readable(&proposal.after, program))
    }

    /// Whether there is no more to read in a program than in the one before: who reads it is better
    /// off with the program as it was than with a shorter one of long numbers. A canonical form is
    /// for nobody to read.
    fn is_readable(&self, after: &Program, before: &Program) -> bool {
        !self.options.explain || reading_length(after) <= reading_length(before)
    }

    fn identity_by(
        &self,
        digits: Digits,
        program: &Program,
        flow: &TermFlow,
        label: Label,
        is_wanted: &impl Fn(&TermFlow, &TermFlow) -> bool,
    ) -> Option<Proposal> {
        let (saturated, _) =
            saturate_by(digits, flow, label, &self.options.limits, self.options.explain);
        let saturated = match saturated.filter(|saturated| is_wanted(&saturated.flow, flow)) {
            Some(saturated) => saturated,
            // Equal calls are one in the flow, and may still be several in the program.
            None if label == Label::Exact && flow.calls().count() < program.statements.len() => {
                Saturated { flow: flow.clone(), proof: None }
            }
            None => return None,
        };
        let Saturated { flow: mut after, proof } = saturated;
        keep_names(&mut after, flow_names(program));
        let after = assemble(program.signature(), &after, Naming::Kept)?;
        if after.statements.len() > program.statements.len() {
            return None;
        }
        let (reasons, conditions) = match &proof {
            Some(proof) => read_reasons(program, proof),
            None => (
                vec![Reason {
                    rule: "equal calls are one".to_owned(),
                    label: Label::Exact,
                    text: String::new(),
                }],
                Vec::new(),
            ),
        };
        let label = if proof.is_some() {
            reasons.iter().map(|reason| reason.label).max().unwrap_or(Label::Exact)
        } else {
            label
        };
        Some(Proposal {
            kind: StepKind::Identity,
            label,
            after,
            reasons,
            slots: Vec::new(),
            conditions,
            stand_in: None,
        })
    }

    /// Has a proposal checked and takes it if it stands.
    fn take(&mut self, proposal: Proposal) -> bool {
        let before = self.program().clone();
        let Proposal { kind, label, after, reasons, slots, conditions, stand_in } = proposal;
        let (run, claimed) =
            stand_in.as_ref().map_or((&after, label), |(run, _)| (run, Label::Exact));
        let claim = Claim {
            before: &before,
            after: run,
            label: claimed,
            slots: &slots,
            conditions: &conditions,
        };
        let evidence = self.checker.check(&claim);
        if let Verdict::Unproven(reason) = &evidence.verdict {
            let rules: Vec<&str> = reasons.iter().map(|reason| reason.rule.as_str()).collect();
            let note = format!("a step ({}) was not taken, since {reason}", rules.join("; "));
            self.derivation
                .notes
                .extend(Some(note).filter(|note| !self.derivation.notes.contains(note)));
            return false;
        }
        let holds = !matches!(evidence.verdict, Verdict::Violated(_));
        let touched = touched(&before, &after);
        let meaning = stand_in.map(|(_, meaning)| meaning);
        let conditions =
            conditions.into_iter().map(|condition| condition.text).chain(meaning).collect();
        let step = Step {
            kind,
            label,
            before,
            after,
            touched,
            reasons,
            conditions,
            slots,
            support: Support::Check(Box::new(evidence)),
        };
        if holds {
            self.derivation.steps.push(step)
        } else {
            self.derivation.rejected.push(step)
        }
        holds
    }

    fn fresh_names(&self) -> Option<Proposal> {
        let program = self.program();
        let flow = TermFlow::of(program);
        let (signature, slots) = slots::fresh_names(program, &flow);
        let after = assemble(&signature, &flow, Naming::Fresh)?;
        if same_text(&after, program) || after.statements.len() > program.statements.len() {
            return None;
        }
        let reasons = vec![Reason {
            rule: "names and order".to_owned(),
            label: Label::Exact,
            text: "values are named by what they are, and stand in data-flow order: direction, state, decay and learning rate".to_owned(),
        }];
        Some(Proposal {
            kind: StepKind::Names,
            label: Label::Exact,
            after,
            reasons,
            slots,
            conditions: Vec::new(),
            stand_in: None,
        })
    }
}

/// How much there is to read in a program: statements, their operands, and the digits of numbers.
fn reading_length(program: &Program) -> usize {
    let operand = |operand: &Operand| match operand {
        Operand::Variable(_) => 1,
        Operand::Constant(value) => 1 + extraction::digits(*value),
    };
    program
        .statements
        .iter()
        .map(|statement| 1 + statement.arguments().iter().map(operand).sum::<usize>())
        .sum()
}

/// Whether two programs read the same, but for doc string, comments and the marker.
fn same_text(a: &Program, b: &Program) -> bool {
    let lines = |program: &Program| -> Vec<String> {
        let statements = program
            .statements
            .iter()
            .map(|statement| program.statement_text(statement).to_string());
        statements.chain([program.variable_name(program.update).to_string()]).collect()
    };
    a.signature().parameters == b.signature().parameters && lines(a) == lines(b)
}

/// The statements of the program before that are not in the program after, in order.
fn touched(before: &Program, after: &Program) -> Vec<usize> {
    let mut left: Vec<String> = after
        .statements
        .iter()
        .map(|statement| after.statement_text(statement).to_string())
        .collect();
    let text = |index: usize| before.statement_text(&before.statements[index]).to_string();
    (0..before.statements.len())
        .filter(|&index| match left.iter().position(|other| *other == text(index)) {
            Some(place) => {
                left.remove(place);
                false
            }
            None => true,
        })
        .collect()
}

fn redundant(program: &Program, graph: &Graph) -> Option<Proposal> {
    let is_needed = |index: usize| graph.redundancy().get(index) != Some(&Redundancy::WithinStep);
    let gone = (0..program.statements.len()).filter(|index| !is_needed(*index)).count();
    if gone == 0 {
        return None;
    }
    let mut after = program.clone();
    after.clear_comments();
    after.statements = (0..program.statements.len())
        .filter(|index| is_needed(*index))
        .map(|index| program.statements[index])
        .collect();
    let text = format!("no output depends on {gone} of {} statements", program.statements.len());
    Some(exact(StepKind::Redundant, "dependency sets", text, after))
}

fn dead_slots(program: &Program, graph: &Graph) -> Option<Proposal> {
    let signature = program.signature();
    let names: Vec<String> = signature
        .slots()
        .zip(graph.slots())
        .filter(|(_, next)| next.is_none())
        .map(|(slot, _)| program.variable_name(slot).to_string())
        .collect();
    let across = graph.redundancy().contains(&Redundancy::AcrossSteps);
    if names.is_empty() && !across {
        return None;
    }
    let text = format!("no later step reads {} before it is written", names.join(", "));
    Some(exact(StepKind::DeadSlot, "liveness across steps", text, program.pruned(graph)))
}

/// The program without the hyperparameters that no statement reads, as where a statement went that
/// did.
fn unused_hyperparameters(program: &Program) -> Option<Proposal> {
    let is_read = |variable: VarId| {
        let reads = |operand: &Operand| *operand == Operand::Variable(variable);
        program.update == variable
            || program.statements.iter().any(|statement| {
                statement.target == variable || statement.arguments().iter().any(reads)
            })
    };
    let signature = program.signature();
    let is_unused = |place: usize| {
        signature.parameters[place].kind == ParameterKind::Hyperparameter
            && !is_read(VarId(place as u16))
    };
    let places = 0..signature.parameters.len();
    let (unused, kept): (Vec<usize>, Vec<usize>) = places.partition(|place| is_unused(*place));
    if unused.is_empty() {
        return None;
    }
    let gone =
        |id: VarId| VarId(id.0 - unused.iter().filter(|place| **place < id.index()).count() as u16);
    let parameters = kept.iter().map(|place| signature.parameters[*place].clone()).collect();
    let locals = (signature.parameters.len()..program.variable_count())
        .map(|index| program.variable_name(VarId(index as u16)).to_string());
    let statements =
        program.statements.iter().map(|statement| statement.map_variables(gone)).collect();
    let signature_after = Signature { parameters, ..signature.clone() };
    let after = Program::new(
        signature_after,
        locals.collect(),
        statements,
        gone(program.update),
        Vec::new(),
    );
    let names: Vec<&str> =
        unused.iter().map(|place| signature.parameters[*place].name.as_str()).collect();
    Some(exact(StepKind::Redundant, "hyperparameters that nothing reads", names.join(", "), after))
}

fn exact(kind: StepKind, rule: &str, text: String, after: Program) -> Proposal {
    let reasons = vec![Reason { rule: rule.to_owned(), label: Label::Exact, text }];
    Proposal {
        kind,
        label: Label::Exact,
        after,
        reasons,
        slots: Vec::new(),
        conditions: Vec::new(),
        stand_in: None,
    }
}

/// Names of values by their text, so that they are found again in another flow.
fn flow_names(program: &Program) -> BTreeMap<String, String> {
    let flow = TermFlow::of(program);
    flow.names.iter().map(|(id, name)| (term_key(&flow, *id), name.clone())).collect()
}

/// A text for a value that is the same in every flow; shared values are written once for each use,
/// up to a length.
fn term_key(flow: &TermFlow, id: egg::Id) -> String {
    fn go(flow: &TermFlow, id: egg::Id, depth: usize, out: &mut String) {
        let node = &flow.nodes()[usize::from(id)];
        match node {
            Term::Call(function, _) if depth < 6 && out.len() < 400 => {
                out.push_str(function.name());
                out.push('(');
                for child in egg::Language::children(node) {
                    go(flow, *child, depth + 1, out);
                    out.push(',');
                }
                out.push(')');
            }
            Term::Call(function, _) => out.push_str(function.name()),
            other => out.push_str(&format!("{other:?}")),
        }
    }
    let mut out = String::new();
    go(flow, id, 0, &mut out);
    out
}

/// Gives values of a flow the names that they have in another program.
fn keep_names(flow: &mut TermFlow, names: BTreeMap<String, String>) {
    let ids: Vec<egg::Id> = flow.calls().collect();
    for id in ids {
        if let Some(name) = names.get(&term_key(flow, id)) {
            flow.names.insert(id, name.clone());
        }
    }
}

/// The rules of a proof for people, and the conditions for the check.
fn read_reasons(program: &Program, proof: &Proof) -> (Vec<Reason>, Vec<Condition>) {
    let speller = Speller::new(&proof.arena, &proof.names, program);
    let mut reasons = Vec::new();
    let mut conditions: Vec<Condition> = Vec::new();
    let mut known = BTreeSet::new();
    for application in &proof.applications {
        for (requirement, id) in &application.conditions {
            if !known.insert((requirement.text(""), *id)) {
                continue;
            }
            if let Some(probe) = probe(program, proof, *id) {
                conditions.push(Condition {
                    probe,
                    requirement: *requirement,
                    text: requirement.text(&speller.name(*id)),
                });
            }
        }
        let text =
            format!("{} -> {}", speller.spell(application.from), speller.spell(application.to));
        let reason = Reason { rule: application.name.clone(), label: application.label, text };
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    // A reason that only moves things about is worth a line if there is nothing else to say.
    let is_bookkeeping = |reason: &Reason| BOOKKEEPING.contains(&reason.rule.as_str());
    let telling: Vec<Reason> =
        reasons.iter().filter(|reason| !is_bookkeeping(reason)).cloned().collect();
    if telling.is_empty() {
        return (reasons, conditions);
    }
    let mut moved: Vec<&Reason> = Vec::new();
    for reason in reasons.iter().filter(|reason| is_bookkeeping(reason)) {
        if moved.iter().all(|other| other.rule != reason.rule) {
            moved.push(reason);
        }
    }
    let weakest = moved.iter().map(|reason| reason.label).max();
    let names: Vec<&str> = moved.iter().map(|reason| reason.rule.as_str()).collect();
    let last = weakest.map(|label| Reason {
        rule: "rearranged".to_owned(),
        label,
        text: names.join("; "),
    });
    (telling.into_iter().chain(last).collect(), conditions)
}

/// Rules that only move things about.
const BOOKKEEPING: &[&str] = &[
    "x + y = y + x",
    "sums in any order",
    "x y = y x",
    "products in any order",
    "numbers computed",
    "1 x = x",
    "-x = -1 x",
    "-1 x = -x",
    "x - y = x + (-y)",
    "x + (-y) = x - y",
    "x / y = x (1 / y)",
    "x (1 / y) = x / y",
    "x x = square x",
    "square x = x x",
    "max(x, y) = max(y, x)",
    "min(x, y) = min(y, x)",
    "dot(x, y) = dot(y, x)",
    "broadcast taken in",
];

/// A program that gives a value of the arena as its update, and leaves the slots as they are.
fn probe(program: &Program, proof: &Proof, id: egg::Id) -> Option<Program> {
    let mut arena = proof.arena.clone();
    let slots = program.signature().slots().count();
    let olds: Vec<egg::Id> =
        (0..slots).map(|slot| arena.add(Term::Leaf(Leaf::Slot(slot as u16)))).collect();
    let mut value = id;
    if arena.ty(id) != Type::Tree {
        // Weights are finite where conditions are looked at, so this broadcasts.
        let weights = arena.add(Term::Leaf(Leaf::Weights));
        let zero = arena.call(symopt_dsl::Function::Subtract, &[weights, weights]);
        value = arena.call(symopt_dsl::Function::Add, &[zero, value]);
    }
    let outputs: Vec<egg::Id> = std::iter::once(value).chain(olds).collect();
    assemble(program.signature(), &arena.finish(&outputs), Naming::Kept)
}
