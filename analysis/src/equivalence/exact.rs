//! The check of the label *exact*: both programs run on their own, and every number must have the
//! same bits.

use symopt_evaluator::Reference;
use symopt_evaluator::math::Real;

use super::tally::{Sample, Tally};
use super::{
    Feed, Hyperparameters, Refusal, Setting, gather, gather_slots, map_slots, scatter, slot_names,
    zeros,
};

/// Runs all streams in one precision, for so many steps each.
pub(super) fn check<T: Real>(
    setting: &Setting<'_>,
    precision: &str,
    steps: usize,
    tally: &mut Tally,
) -> Result<(), Refusal> {
    let claim = setting.claim;
    let shapes = setting.shapes();
    let mut before = Reference::<T>::new(claim.before, &shapes)?;
    let mut after = Reference::<T>::new(claim.after, &shapes)?;
    let names: Vec<&str> = slot_names(claim.after).collect();
    let (mut weights, mut gradients) = (zeros::<T>(&shapes), zeros::<T>(&shapes));
    let (mut numbers_before, mut numbers_after) = (Vec::new(), Vec::new());
    let (mut slots_before, mut mapped, mut slots_after) = (Vec::new(), Vec::new(), Vec::new());
    for kinds in &setting.groups {
        let mut feed = Feed::new(setting, kinds, steps);
        while feed.advance(false) {
            if feed.fresh {
                before.restart();
                after.restart();
                let values = feed.hyperparameters();
                Hyperparameters::apply(&values.before, claim.before, &mut before)?;
                Hyperparameters::apply(&values.after, claim.after, &mut after)?;
            }
            scatter(&feed.weights, &mut weights);
            scatter(&feed.gradients, &mut gradients);
            gather(&before.update(&weights, &gradients, feed.lr)?, &mut numbers_before);
            gather(&after.update(&weights, &gradients, feed.lr)?, &mut numbers_after);
            gather_slots(before.slots(), &mut slots_before);
            gather_slots(after.slots(), &mut slots_after);
            map_slots(&setting.slots, &slots_before, feed.weights.len(), &mut mapped);
            tally.ran(kinds.len());

            let mut violation = None;
            for (b, a) in numbers_before.iter().zip(&numbers_after) {
                tally.signs(*b, *a);
            }
            let slots = mapped
                .iter()
                .zip(&slots_after)
                .enumerate()
                .filter(|(slot, _)| setting.slot_matters(*slot));
            let slots = slots.map(|(slot, (mapped, after))| (names[slot], mapped, after));
            for (quantity, before, after) in
                std::iter::once(("update", &numbers_before, &numbers_after)).chain(slots)
            {
                for (place, (before, after)) in before.iter().zip(after).enumerate() {
                    // A sum of slots is a number of T as well.
                    let sample = Sample {
                        feed: &feed,
                        quantity,
                        place,
                        before: T::from_f64(*before).to_f64(),
                        after: *after,
                    };
                    tally.compared(&sample);
                    if sample.before.to_bits() != sample.after.to_bits()
                        && !(sample.before.is_nan() && sample.after.is_nan())
                    {
                        violation
                            .get_or_insert_with(|| sample.complaint(&format!(" in {precision}")));
                    }
                }
            }
            if let Some(violation) = violation {
                return Err(Refusal(violation));
            }
        }
    }
    Ok(())
}
