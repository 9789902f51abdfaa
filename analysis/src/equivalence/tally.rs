//! Results of a check so far.

use symopt_dsl::semantics;

use super::Feed;
use crate::simplify::check::{Evidence, Place, Verdict};

/// A number of both programs at some place of some step.
#[derive(Clone, Copy)]
pub(super) struct Sample<'a> {
    pub(super) feed: &'a Feed<'a>,
    /// `update`, or the name of a slot.
    pub(super) quantity: &'a str,
    /// Where among the numbers of the step.
    pub(super) place: usize,
    pub(super) before: f64,
    pub(super) after: f64,
}

impl Sample<'_> {
    /// Relative deviation; `None` where one of the numbers is not finite.
    fn deviation(&self) -> Option<f64> {
        let size = self.before.abs().max(self.after.abs());
        if !self.before.is_finite() || !self.after.is_finite() {
            None
        } else if self.before == self.after {
            Some(0.0)
        } else {
            // Divided first, so that huge numbers of two signs do not overflow.
            Some((self.after / size - self.before / size).abs())
        }
    }

    fn place(&self) -> Place {
        Place {
            stream: self.feed.stream_name(self.place).to_owned(),
            step: self.feed.step,
            quantity: self.quantity.to_owned(),
            gradient: self.feed.gradients.get(self.place).copied().unwrap_or(f64::NAN),
            before: self.before,
            after: self.after,
        }
    }

    /// The sample as the reason of a violation.
    pub(super) fn complaint(&self, what: &str) -> String {
        let Place { stream, step, quantity, gradient, before, after } = self.place();
        let quantity = if quantity == "update" {
            "the update".to_owned()
        } else {
            format!("the slot {quantity}")
        };
        format!(
            "{quantity} is {before:?} before and {after:?} after{what}: {stream}, step {step}, gradient {gradient:?}"
        )
    }
}

/// Counts of what was seen, and the largest deviations.
#[derive(Debug)]
pub(super) struct Tally(Evidence);

impl Default for Tally {
    fn default() -> Tally {
        Tally(Evidence::unchecked())
    }
}

impl Tally {
    /// Both programs ran so many steps more.
    pub(super) fn ran(&mut self, steps: usize) {
        self.0.steps += steps;
    }

    /// Counts an update whose sign is another one after the step; NaN has none, and both zeros have
    /// the same.
    pub(super) fn signs(&mut self, before: f64, after: f64) {
        let known = !before.is_nan() && !after.is_nan();
        self.0.sign_flips += u64::from(known && semantics::sign(before) != semantics::sign(after));
    }

    /// The numbers of a sample were compared.
    pub(super) fn compared(&mut self, sample: &Sample<'_>) {
        self.0.compared += 1;
        if let Some(deviation) = sample.deviation()
            && deviation > self.0.largest_deviation
        {
            self.0.largest_deviation = deviation;
            self.0.largest_at = Some(sample.place());
        }
    }

    /// The numbers of a sample were left out.
    pub(super) fn outside(&mut self, sample: &Sample<'_>) {
        self.0.outside += 1;
        if let Some(deviation) = sample.deviation()
            && deviation > self.0.largest_outside
        {
            self.0.largest_outside = deviation;
            self.0.outside_at = Some(sample.place());
        }
    }

    /// The evidence, with the reason of a violation if there is one.
    pub(super) fn evidence(self, violation: Option<String>) -> Evidence {
        let Tally(mut evidence) = self;
        let numbers = evidence.compared + evidence.outside;
        let too_few = evidence.compared < 200 && evidence.compared * 100 < numbers.max(1);
        evidence.verdict = match violation {
            Some(reason) => Verdict::Violated(reason),
            None if too_few => Verdict::Unproven(format!(
                "nothing could be compared: {} of {numbers} numbers, as conditions fail or the program before leaves the finite numbers",
                evidence.compared
            )),
            None => Verdict::Holds,
        };
        evidence
    }
}
