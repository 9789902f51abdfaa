//! Whether two machines compute the same: the release, and the bits of a few short training runs.

use symopt_cancel::CancelToken;
use symopt_dsl::FunctionalHash;
use symopt_evaluator::simd;
use symopt_proxy_tasks::error::TaskError;
use symopt_proxy_tasks::job::{FORMAT_VERSION, Job};
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::task::{Candidate, Verdict};

/// The suites whose first tasks are run, and how many of each.
const SUITES: [(&str, usize); 2] = [("smoke", 2), ("quick", 2)];
/// The programs: averages, signs, and products of matrices.
const PROGRAMS: [&str; 3] = ["adamw", "lion", "muon"];

/// Digest of a machine's arithmetic, as far as a probe of some milliseconds shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The vector instructions in use: they must not matter, and are named where something does.
    path: String,
    /// Names and values, which must be those of other machines.
    values: Vec<(String, String)>,
}

impl Probe {
    /// The probe of this machine.
    pub fn here(cancel: &CancelToken) -> Result<Probe, TaskError> {
        let mut values = vec![
            ("release".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("format".to_owned(), FORMAT_VERSION.to_string()),
            ("hash".to_owned(), FunctionalHash::FORMAT_VERSION.to_string()),
        ];
        for (suite, count) in SUITES {
            let suite = SuiteSource::find(suite)?.suite()?;
            for task in suite.tasks.iter().take(count) {
                for name in PROGRAMS {
                    let Some(known) = symopt_programs::find(name) else { continue };
                    let program = known.program();
                    let candidate =
                        Candidate { program: &program, peak_lr: 0.01, hyperparameters: &[] };
                    let run = task.task.run(&candidate, 1, cancel, &mut |_| Verdict::Continue)?;
                    let mut bits = Vec::new();
                    for point in &run.curve {
                        bits.extend(point.training_loss.to_bits().to_le_bytes());
                        bits.extend(point.validation.loss.to_bits().to_le_bytes());
                    }
                    let name = format!("{}/{name}", task.task.name());
                    values.push((name, Job::digest(&bits)));
                }
            }
        }
        Ok(Probe { path: simd::level().name().to_owned(), values })
    }

    /// The probe as a line, for [`difference`](Probe::difference).
    pub fn line(&self) -> String {
        let values = self.values.iter().map(|(name, value)| format!(" {name}={value}"));
        format!("path={}{}", self.path, values.collect::<String>())
    }

    /// The probe that a line is, so far as it is one.
    pub fn of_line(line: &str) -> Probe {
        let mut probe = Probe { path: "unknown".to_owned(), values: Vec::new() };
        for (name, value) in line.split_whitespace().filter_map(|pair| pair.split_once('=')) {
            match name {
                "path" => value.clone_into(&mut probe.path),
                name => probe.values.push((name.to_owned(), value.to_owned())),
            }
        }
        probe
    }

    /// Why this machine may not work for one whose probe has a line; `None` if it may.
    pub fn difference(&self, line: &str) -> Option<String> {
        let pairs = line.split_whitespace().filter_map(|pair| pair.split_once('='));
        let there = |name: &str| {
            let found = pairs.clone().find(|(other, _)| *other == name);
            found.map_or("none", |(_, value)| value)
        };
        let (name, here) = self.values.iter().find(|(name, value)| there(name) != value)?;
        let other = there(name);
        Some(match name.as_str() {
            "release" | "format" | "hash" => format!(
                "its {name} is {here}, and that of whoever asks is {other}; use the same release \
                 everywhere"
            ),
            _ => format!(
                "the training run {name} gives other bits than where it was asked for ({here} with \
                 {} instructions, and {other} with {}): its results would not be those of one \
                 machine; use machines that compute the same",
                self.path,
                there("path")
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named_and_the_vector_instructions_are_none() {
        let here = Probe::here(&CancelToken::new()).unwrap();
        assert!(here.values.len() > 10, "{here:?}");
        let line = here.line();
        assert_eq!(here.difference(&line), None);
        assert_eq!(Probe::of_line(&line), here);
        let other_path = Probe { path: "other".to_owned(), ..here.clone() };
        assert_eq!(other_path.difference(&line), None);
        let mut other = here.clone();
        other.values[0].1 = "9.9.9".to_owned();
        assert!(other.difference(&line).unwrap().contains("release is 9.9.9"));
        let mut other = other_path;
        other.values[4].1 = "0".repeat(16);
        let reason = other.difference(&line).unwrap();
        assert!(reason.contains(&other.values[4].0) && reason.contains("other"), "{reason}");
        assert!(here.difference("").unwrap().contains("none"));
        assert!(here.difference("release release== =").unwrap().contains("use the same release"));
    }
}
