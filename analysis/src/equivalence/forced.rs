//! The check of the labels *real* and *domain*: at each step the program after begins where the
//! program before stands.

use symopt_dsl::Graph;
use symopt_evaluator::Reference;

use super::flow::OperationFlow;
use super::noise::{FlowEvaluator, Inputs, NOISE, Noise};
use super::streams::Random;
use super::tally::{Sample, Tally};
use super::{
    Feed, Hyperparameters, Refusal, Setting, gather, gather_slots, map_slots, scatter, slot_names,
    zeros,
};
use crate::simplify::check::{Condition, Requirement};

/// How far each result on the way to a number may be off, relative, unless a condition of the claim
/// allows more.
pub(super) const TOLERANCE: f64 = 1e-9;

/// Where rounding could make up more than this of a number, it says nothing.
const MOST_ROUNDING: f64 = 0.1;

/// Noisy runs before a deviation counts as a violation, as many more with noise on the inputs as
/// well, and as many with noise of the size of the tolerance. So many because a sign may be all
/// that is left of a rounding error, and comes out the same in half of the runs.
const RUNS: usize = 32;

/// A state beyond this starts again from zero, as one that is not finite does.
const LARGEST_STATE: f64 = 1e150;

/// Verdict on two numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Judgement {
    Compared,
    Outside,
    Violated,
}

/// Two numbers that differ by more than the tolerance.
struct Suspect {
    /// 0 for the update, and from 1 the slots after.
    quantity: usize,
    place: usize,
    before: f64,
    after: f64,
    /// How far noise moves the two numbers.
    spread: [f64; 2],
    /// How far noise of the size of the tolerance moves them.
    jump: [f64; 2],
    judgement: Option<Judgement>,
}

/// Runs all streams.
pub(super) fn check(setting: &Setting<'_>, tally: &mut Tally) -> Result<(), Refusal> {
    let mut run = Run::new(setting)?;
    setting.groups.iter().try_for_each(|kinds| {
        let mut feed = Feed::new(setting, kinds, setting.steps_per_stream);
        let mut again = false;
        while feed.advance(again) {
            run.step(&feed, tally)?;
            again = run.mend_state();
        }
        Ok(())
    })
}

/// Both programs with their state and all buffers.
struct Run<'a> {
    setting: &'a Setting<'a>,
    before: Reference<f64>,
    after: Reference<f64>,
    noisy_before: FlowEvaluator,
    noisy_after: FlowEvaluator,
    /// The graph of the program before: where the value of a condition goes.
    normal_form: FlowEvaluator,
    /// The conditions, and where the normal form has the value, if it does.
    probes: Vec<(FlowEvaluator, Requirement, Option<usize>)>,
    /// `update` and the names of the slots after.
    quantities: Vec<&'a str>,
    hyperparameters: Hyperparameters,
    weights: Vec<ndarray::ArrayD<f64>>,
    gradients: Vec<ndarray::ArrayD<f64>>,
    /// The slots of both programs when the step begins.
    old: [Vec<Vec<f64>>; 2],
    /// The slots before when the step ends.
    next: Vec<Vec<f64>>,
    updates: [Vec<f64>; 2],
    /// The mapped slots before when the step ends, and the slots after.
    slots: [Vec<Vec<f64>>; 2],
    /// Where a condition of the claim fails, by quantity.
    fails: Vec<Vec<bool>>,
    random: Random,
}

impl<'a> Run<'a> {
    fn new(setting: &'a Setting<'a>) -> Result<Run<'a>, Refusal> {
        let claim = setting.claim;
        let shapes = setting.shapes();
        let lengths: Vec<usize> = shapes.iter().map(|shape| shape.iter().product()).collect();
        let evaluator = |flow| FlowEvaluator::new(flow, &lengths);
        let normal_form = evaluator(OperationFlow::of_graph(&setting.before));
        let probe = |(condition, graph): (&Condition, &Graph)| {
            let flow = OperationFlow::of_graph(graph);
            let place = normal_form.flow().place_of_update_of(&flow);
            (evaluator(flow), condition.requirement, place)
        };
        let probes = claim.conditions.iter().zip(&setting.probes).map(probe).collect();
        Ok(Run {
            before: Reference::new(claim.before, &shapes)?,
            after: Reference::new(claim.after, &shapes)?,
            noisy_before: evaluator(OperationFlow::of_statements(claim.before, &setting.before)),
            noisy_after: evaluator(OperationFlow::of_statements(claim.after, &setting.after)),
            normal_form,
            probes,
            quantities: std::iter::once("update").chain(slot_names(claim.after)).collect(),
            hyperparameters: Hyperparameters::new(claim, 0, setting.seed),
            weights: zeros(&shapes),
            gradients: zeros(&shapes),
            old: Default::default(),
            next: Vec::new(),
            updates: Default::default(),
            slots: Default::default(),
            fails: vec![Vec::new(); 1 + setting.slots.len()],
            random: Random::new(!setting.seed),
            setting,
        })
    }

    fn step(&mut self, feed: &Feed<'_>, tally: &mut Tally) -> Result<(), Refusal> {
        let claim = self.setting.claim;
        if feed.fresh {
            self.before.restart();
            self.after.restart();
            self.hyperparameters = feed.hyperparameters();
            Hyperparameters::apply(&self.hyperparameters.before, claim.before, &mut self.before)?;
            Hyperparameters::apply(&self.hyperparameters.after, claim.after, &mut self.after)?;
        }
        scatter(&feed.weights, &mut self.weights);
        scatter(&feed.gradients, &mut self.gradients);
        let [old_before, old_after] = &mut self.old;
        gather_slots(self.before.slots(), old_before);
        map_slots(&self.setting.slots, old_before, feed.weights.len(), old_after);
        for (flat, arrays) in old_after.iter().zip(self.after.slots_mut()) {
            scatter(flat, arrays);
        }
        self.find_failing_conditions(feed);

        gather(&self.before.update(&self.weights, &self.gradients, feed.lr)?, &mut self.updates[0]);
        gather(&self.after.update(&self.weights, &self.gradients, feed.lr)?, &mut self.updates[1]);
        gather_slots(self.before.slots(), &mut self.next);
        map_slots(&self.setting.slots, &self.next, feed.weights.len(), &mut self.slots[0]);
        gather_slots(self.after.slots(), &mut self.slots[1]);
        tally.ran(feed.streams.len());
        self.compare(feed, tally)
    }

    /// Finds the numbers where a condition fails: at the same place, and where numbers mix,
    /// wherever the value of the condition goes.
    fn find_failing_conditions(&mut self, feed: &Feed<'_>) {
        let numbers = feed.weights.len();
        self.fails.iter_mut().for_each(|fails| {
            fails.clear();
            fails.resize(numbers, false);
        });
        let inputs = inputs(feed, &self.old[0], &self.hyperparameters.before);
        let mut sources = Vec::new();
        for (probe, requirement, node) in &mut self.probes {
            probe.run(inputs, None);
            let fails: Vec<bool> = probe.update().iter().map(|x| !requirement.holds(*x)).collect();
            if !fails.contains(&true) {
                continue;
            }
            match node {
                Some(node) if self.setting.mixing => sources.push((*node, fails)),
                // Nobody knows where a value goes that the program before does not hold.
                None if self.setting.mixing => {
                    return self.fails.iter_mut().for_each(|fails| fails.fill(true));
                }
                _ => self.fails.iter_mut().for_each(|all| {
                    all.iter_mut().zip(&fails).for_each(|(all, fails)| *all |= fails)
                }),
            }
        }
        if !sources.is_empty() {
            self.normal_form.mark_dependent(&sources);
            for (quantity, fails) in self.fails.iter_mut().enumerate() {
                for (place, fails) in fails.iter_mut().enumerate() {
                    *fails = marks(&self.normal_form, &self.setting.slots, quantity, place);
                }
            }
        }
    }

    fn compare(&mut self, feed: &Feed<'_>, tally: &mut Tally) -> Result<(), Refusal> {
        let mut suspects = Vec::new();
        let slots = self.slots[0].iter().zip(&self.slots[1]);
        for (quantity, (before, after)) in
            std::iter::once((&self.updates[0], &self.updates[1])).chain(slots).enumerate()
        {
            if quantity > 0 && !self.setting.slot_matters(quantity - 1) {
                continue;
            }
            for (place, (before, after)) in
                before.iter().copied().zip(after.iter().copied()).enumerate()
            {
                if quantity == 0 {
                    tally.signs(before, after);
                }
                let sample =
                    Sample { feed, quantity: self.quantities[quantity], place, before, after };
                if self.fails[quantity][place] || !before.is_finite() {
                    tally.outside(&sample);
                } else if (after - before).abs()
                    <= self.setting.tolerance * before.abs().max(after.abs())
                    && after.is_finite()
                {
                    tally.compared(&sample);
                } else {
                    suspects.push(Suspect {
                        quantity,
                        place,
                        before,
                        after,
                        spread: [0.0; 2],
                        jump: [0.0; 2],
                        judgement: None,
                    });
                }
            }
        }
        if suspects.is_empty() {
            return Ok(());
        }
        self.judge(feed, &mut suspects);
        let mut violation = None;
        for suspect in &suspects {
            let Suspect { quantity, place, before, after, .. } = *suspect;
            let sample = Sample { feed, quantity: self.quantities[quantity], place, before, after };
            match suspect.judgement {
                Some(Judgement::Outside) => tally.outside(&sample),
                Some(Judgement::Compared) => tally.compared(&sample),
                Some(Judgement::Violated) | None => {
                    tally.compared(&sample);
                    violation.get_or_insert_with(|| {
                        let allowed = suspect.allowed(self.setting.tolerance);
                        sample.complaint(&if after.is_finite() {
                            format!(", a difference of {allowed:.1e} allowed")
                        } else {
                            String::new()
                        })
                    });
                }
            }
        }
        violation.map_or(Ok(()), |reason| Err(Refusal(reason)))
    }

    /// Says of each suspect whether rounding explains it.
    fn judge(&mut self, feed: &Feed<'_>, suspects: &mut [Suspect]) {
        let maps = &self.setting.slots;
        let inputs_before = inputs(feed, &self.old[0], &self.hyperparameters.before);
        let inputs_after = inputs(feed, &self.old[1], &self.hyperparameters.after);
        self.noisy_before.run_carefully(inputs_before, &mut self.random);
        self.noisy_before.mark_strange();
        self.noisy_after.run_carefully(inputs_after, &mut self.random);
        self.noisy_after.mark_strange();
        for suspect in suspects.iter_mut() {
            let place = suspect.place;
            let before = marks(&self.noisy_before, maps, suspect.quantity, place);
            let after = match suspect.quantity.checked_sub(1) {
                None => self.noisy_after.update_marks()[place],
                Some(slot) => self.noisy_after.slot_marks(slot).is_some_and(|marks| marks[place]),
            };
            if before || (after && suspect.after.is_finite()) {
                suspect.judgement = Some(Judgement::Outside);
            }
        }
        let tolerance = self.setting.tolerance;
        for run in 0..3 * RUNS {
            if suspects.iter().all(|suspect| suspect.judgement.is_some()) {
                return;
            }
            if run < RUNS {
                self.noisy_before.run(inputs_before, Some(Noise::new(&mut self.random)));
                self.noisy_after.run(inputs_after, Some(Noise::new(&mut self.random)));
            } else if run < 2 * RUNS {
                let disturbed = Disturbed::new(inputs_before, maps, &mut self.random);
                self.noisy_before.run(
                    disturbed.inputs(inputs_before, false),
                    Some(Noise::new(&mut self.random)),
                );
                self.noisy_after
                    .run(disturbed.inputs(inputs_after, true), Some(Noise::new(&mut self.random)));
            } else {
                self.noisy_before.run(inputs_before, Some(Noise::of(tolerance, &mut self.random)));
                self.noisy_after.run(inputs_after, Some(Noise::of(tolerance, &mut self.random)));
            }
            for suspect in suspects.iter_mut().filter(|suspect| suspect.judgement.is_none()) {
                let place = suspect.place;
                // A dead slot has no value in the graph; it is as it was.
                let [before, after] = match suspect.quantity.checked_sub(1) {
                    None => [self.noisy_before.update()[place], self.noisy_after.update()[place]],
                    Some(slot) => [
                        maps[slot]
                            .iter()
                            .map(|(f, i)| {
                                f * self
                                    .noisy_before
                                    .slot(*i)
                                    .map_or(self.next[*i][place], |x| x[place])
                            })
                            .sum(),
                        self.noisy_after.slot(slot).map_or(suspect.after, |x| x[place]),
                    ],
                };
                match run < 2 * RUNS {
                    true => suspect.see(before, after, tolerance),
                    false => suspect.see_jump(before, after),
                }
            }
        }
        for suspect in suspects {
            suspect.judgement.get_or_insert(Judgement::Violated);
        }
    }

    /// Where the state has left the finite numbers it starts again from zero: number by number
    /// where a number knows nothing of the others and of the time. True if everything has to start
    /// again.
    fn mend_state(&mut self) -> bool {
        let lost = |x: &f64| x.is_nan() || x.abs() > LARGEST_STATE;
        // A dead slot may hold anything.
        let live: Vec<&Vec<f64>> = self
            .next
            .iter()
            .zip(self.setting.before.slots())
            .filter(|(_, n)| n.is_some())
            .map(|(x, _)| x)
            .collect();
        if !live.iter().any(|slot| slot.iter().any(lost)) {
            return false;
        }
        if self.setting.mixing {
            return true;
        }
        if self.setting.counts_steps {
            return false;
        }
        for place in 0..self.updates[0].len() {
            if live.iter().any(|slot| lost(&slot[place])) {
                for arrays in self.before.slots_mut() {
                    if let Some(x) = arrays.iter_mut().flatten().nth(place) {
                        *x = 0.0;
                    }
                }
            }
        }
        false
    }
}

impl Suspect {
    /// Takes in what a noisy run of both programs gives.
    fn see(&mut self, before: f64, after: f64, tolerance: f64) {
        // Where noise makes the difference between a number and none, rounding does.
        if !before.is_finite() || self.after.is_finite() != after.is_finite() {
            self.judgement = Some(Judgement::Outside);
            return;
        }
        if !self.after.is_finite() {
            return;
        }
        self.spread[0] = self.spread[0].max((before - self.before).abs());
        self.spread[1] = self.spread[1].max((after - self.after).abs());
        let allowed = self.allowed(tolerance);
        if (self.after - self.before).abs() <= allowed {
            let size = self.before.abs().max(self.after.abs());
            self.judgement = Some(if allowed > MOST_ROUNDING * size {
                Judgement::Outside
            } else {
                Judgement::Compared
            });
        }
    }

    /// Takes in what noise of the size of the tolerance makes of both programs. A comparison or a
    /// sign may turn between the small noise and that, and then the small one says nothing of how
    /// far the number may be off.
    fn see_jump(&mut self, before: f64, after: f64) {
        if !before.is_finite() || self.after.is_finite() != after.is_finite() {
            self.judgement = Some(Judgement::Outside);
            return;
        }
        self.jump[0] = self.jump[0].max((before - self.before).abs());
        self.jump[1] = self.jump[1].max((after - self.after).abs());
        if (self.after - self.before).abs() <= self.jump[0] + self.jump[1] {
            self.judgement = Some(Judgement::Outside);
        }
    }

    fn allowed(&self, tolerance: f64) -> f64 {
        tolerance
            * (self.before.abs().max(self.after.abs()) + (self.spread[0] + self.spread[1]) / NOISE)
    }
}

/// Inputs with noise of their own: they move a program off a point where it is defined by luck, as
/// `power(-2, g)` is at whole gradients.
struct Disturbed {
    weights: Vec<f64>,
    gradients: Vec<f64>,
    before: Vec<Vec<f64>>,
    after: Vec<Vec<f64>>,
}

impl Disturbed {
    fn new(inputs: Inputs<'_>, maps: &[Vec<(f64, usize)>], random: &mut Random) -> Disturbed {
        let mut noise = Noise::new(random);
        let mut noisy =
            |numbers: &[f64]| numbers.iter().map(|x| x * noise.factor()).collect::<Vec<f64>>();
        let before: Vec<Vec<f64>> = inputs.slots.iter().map(|slot| noisy(slot)).collect();
        let mut after = Vec::new();
        map_slots(maps, &before, inputs.weights.len(), &mut after);
        Disturbed {
            weights: noisy(inputs.weights),
            gradients: noisy(inputs.gradients),
            before,
            after,
        }
    }

    fn inputs<'b>(&'b self, inputs: Inputs<'b>, after: bool) -> Inputs<'b> {
        let slots = if after { &self.after } else { &self.before };
        Inputs { weights: &self.weights, gradients: &self.gradients, slots, ..inputs }
    }
}

/// Whether a number of the program before is marked: of the update, or of the slots that a slot
/// after follows from.
fn marks(
    evaluator: &FlowEvaluator,
    maps: &[Vec<(f64, usize)>],
    quantity: usize,
    place: usize,
) -> bool {
    match quantity.checked_sub(1) {
        None => evaluator.update_marks()[place],
        Some(slot) => maps[slot]
            .iter()
            .any(|(_, i)| evaluator.slot_marks(*i).is_some_and(|marks| marks[place])),
    }
}

fn inputs<'b>(feed: &'b Feed<'_>, slots: &'b [Vec<f64>], hyperparameters: &'b [f64]) -> Inputs<'b> {
    Inputs {
        weights: &feed.weights,
        gradients: &feed.gradients,
        slots,
        lr: feed.lr,
        t: feed.step as f64,
        hyperparameters,
    }
}
