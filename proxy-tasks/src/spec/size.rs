//! The same task at another batch with the same epochs, or at another width and horizon.

use super::model::ModelSpec;
use super::task::TaskSpec;

/// A task of fewer steps says nothing about an optimizer.
const LEAST_STEPS: usize = 8;

impl TaskSpec {
    /// The task at another batch that sees as many examples: steps times batch stay the same, up to
    /// the rounding of the steps. `training` is how many examples there are. Fails where the batch
    /// does not fit, with the reason.
    pub fn at_batch(&self, batch: usize, training: usize) -> Result<TaskSpec, String> {
        if batch == 0 || batch > training {
            return Err(format!(
                "a batch of {batch} does not fit its {training} training examples"
            ));
        }
        let examples = self.steps.saturating_mul(self.batch);
        let steps = (examples.saturating_add(batch / 2)) / batch;
        let least = LEAST_STEPS.max(self.checkpoints);
        if steps < least {
            return Err(format!(
                "at a batch of {batch} its {examples} examples are {steps} steps; at least {least} are wanted"
            ));
        }
        let name = format!("{} batch {batch}", self.name);
        Ok(TaskSpec { name, steps, batch, ..self.clone() })
    }

    /// The task with a model so many times as wide and so many times as many steps. Fails where
    /// there is nothing to widen, or too little is left, with the reason.
    pub fn scaled(&self, width: f64, horizon: f64) -> Result<TaskSpec, String> {
        let by = |size: usize, factor: f64| ((size as f64 * factor).round() as usize).max(1);
        let steps = by(self.steps, horizon);
        let least = LEAST_STEPS.max(self.checkpoints);
        if steps < least {
            return Err(format!(
                "at {horizon} times the horizon it has {steps} steps; at least {least} are wanted"
            ));
        }
        let mut model = self.model.clone();
        match &mut model {
            _ if width == 1.0 => {}
            ModelSpec::Linear {} => return Err("a softmax regression has no width".to_owned()),
            ModelSpec::Mlp { hidden, .. } => {
                hidden.iter_mut().for_each(|units| *units = by(*units, width));
            }
            ModelSpec::Transformer { width: features, heads, hidden, .. } => {
                // A head has whole features.
                let heads = (*heads).max(1);
                *features = by(*features / heads, width).saturating_mul(heads);
                *hidden = by(*hidden, width);
            }
        }
        let name = format!("{} width × {width}, steps × {horizon}", self.name);
        Ok(TaskSpec { name, steps, model, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use crate::spec::SuiteSource;

    #[test]
    fn a_batch_keeps_the_epochs_and_a_width_the_heads() {
        let spec = SuiteSource::find("1x").unwrap().spec().unwrap();
        let task = spec.tasks[0].get_ref();
        assert_eq!((task.steps, task.batch), (300, 32));
        let large = task.at_batch(128, 1024).unwrap();
        assert_eq!(
            (large.steps, large.batch, large.name.as_str()),
            (75, 128, "digits-vit-1x batch 128")
        );
        assert!(task.at_batch(2048, 1024).unwrap_err().contains("does not fit"));
        assert!(task.at_batch(0, 1024).is_err());
        assert!(task.at_batch(1024, 1 << 20).is_ok() && task.at_batch(4096, 1 << 20).is_err());
        for (width, horizon) in [(0.5, 1.0), (2.0, 0.5), (0.01, 1.0)] {
            let scaled = task.scaled(width, horizon).unwrap();
            let task = scaled.task("here").unwrap();
            assert!(task.task.describe().is_ok(), "{width} {horizon}");
        }
        assert!(task.scaled(1.0, 1e-3).is_err());
        let smoke = SuiteSource::find("smoke").unwrap().spec().unwrap();
        assert!(smoke.tasks[0].get_ref().scaled(2.0, 1.0).is_err());
        assert!(smoke.tasks[0].get_ref().scaled(1.0, 2.0).is_ok());
    }
}
