//! Results of a study.

use serde_json::{Value, json};
use symopt_dsl::escape::{markdown, markdown_code};
use symopt_figures::chart::{DotChart, HeatMap, LineChart};
use symopt_proxy_tasks::sample::{mean, standard_error};

use super::Subject;
use super::table::Table;

/// A figure, drawn by what it shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Chart {
    /// Lines.
    Lines(LineChart),
    /// Numbers with their errors.
    Dots(DotChart),
    /// Numbers over two hyperparameters.
    Map(HeatMap),
}

impl Chart {
    /// The picture.
    pub fn svg(&self) -> String {
        match self {
            Chart::Lines(chart) => chart.svg(),
            Chart::Dots(chart) => chart.svg(),
            Chart::Map(chart) => chart.svg(),
        }
    }
}

/// A figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Its file.
    pub file: String,
    /// Its title.
    pub title: String,
    /// Sentence that says what to see in it.
    pub sentence: String,
    /// The picture.
    pub chart: Chart,
}

/// Training runs of a study.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// Runs of the tuning, those left out after a divergence on another seed included.
    pub tuning: usize,
    /// Settings of the tuning that diverged.
    pub diverged_settings: usize,
    /// On the reporting seeds, or for measured times.
    pub reporting: usize,
    /// Those of them that diverged.
    pub diverged: usize,
}

impl Runs {
    /// The runs of a study together with those of others.
    #[must_use]
    pub fn with(self, other: Runs) -> Runs {
        Runs {
            tuning: self.tuning + other.tuning,
            diverged_settings: self.diverged_settings + other.diverged_settings,
            reporting: self.reporting + other.reporting,
            diverged: self.diverged + other.diverged,
        }
    }
}

/// Results of a study.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Findings {
    /// Name of the study on the command line.
    pub study: &'static str,
    /// Its title.
    pub title: String,
    /// The claim of Lion's paper that it tests.
    pub claim: &'static str,
    /// The suite.
    pub suite: String,
    /// The programs.
    pub programs: Vec<String>,
    /// Its verdict, in sentences, each with its numbers.
    pub verdict: Vec<String>,
    /// How it was done, in sentences.
    pub protocol: Vec<String>,
    /// Parts that could not be done, and why.
    pub notes: Vec<String>,
    /// The numbers that the verdict rests on.
    pub summary: Table,
    /// Every cell.
    pub table: Table,
    /// The figures.
    pub figures: Vec<Figure>,
    /// The runs.
    pub runs: Runs,
    /// Whether times were measured, so that another run of the study gives others.
    pub is_measured: bool,
}

impl Findings {
    /// Describes the runs, in a sentence.
    pub fn runs_text(&self) -> String {
        let Runs { tuning, diverged_settings, reporting, diverged } = self.runs;
        if self.is_measured {
            return format!("{reporting} training runs were timed.");
        }
        format!(
            "{} training runs: {tuning} of tuning, in which {diverged_settings} settings diverged, and {reporting} on the reporting seeds, \
             of which {diverged} diverged.",
            tuning + reporting
        )
    }

    /// All of it but for the pictures.
    pub fn json(&self) -> Value {
        json!({
            "study": self.study,
            "title": self.title,
            "claim": self.claim,
            "suite": self.suite,
            "programs": self.programs,
            "verdict": self.verdict,
            "protocol": self.protocol,
            "notes": self.notes,
            "runs": {
                "tuning": self.runs.tuning,
                "diverged_settings": self.runs.diverged_settings,
                "reporting": self.runs.reporting,
                "diverged": self.runs.diverged,
            },
            "measured_times": self.is_measured,
            "summary": self.summary.json(),
            "cells": self.table.json(),
        })
    }

    /// A page of Markdown, with the figures beside it.
    pub fn markdown(&self) -> String {
        let mut text = format!("# {}\n\n{}", markdown(&self.title), self.markdown_body(2, ""));
        text.truncate(text.trim_end().len());
        text.push('\n');
        text
    }

    /// Returns the text below the title. Figures are in a directory, whose name ends with `/` or is
    /// empty.
    pub fn markdown_body(&self, level: usize, directory: &str) -> String {
        let mut text = String::new();
        let heading = "#".repeat(level);
        for sentence in &self.verdict {
            text.push_str(&format!("**{}**\n\n", markdown(sentence)));
        }
        text.push_str(&format!("The claim: {}\n\n", markdown(self.claim)));
        for figure in &self.figures {
            let (title, sentence) = (markdown(&figure.title), markdown(&figure.sentence));
            text.push_str(&format!("![{title}]({directory}{})\n\n{sentence}\n\n", figure.file));
        }
        text.push_str(&format!(
            "{heading} {}\n\n{}\n",
            markdown(&self.summary.caption),
            self.summary.markdown()
        ));
        text.push_str(&format!("{heading} How\n\n"));
        let programs: Vec<String> = self.programs.iter().map(|name| markdown_code(name)).collect();
        text.push_str(&format!(
            "Suite {}; programs {}. {} {}\n\n",
            markdown_code(&self.suite),
            programs.join(", "),
            markdown(&self.protocol.join(" ")),
            self.runs_text()
        ));
        for note in &self.notes {
            text.push_str(&format!("- {}\n", markdown(note)));
        }
        if !self.notes.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("{heading} Every cell\n\n{}\n", self.table.markdown()));
        text
    }
}

/// A mean with its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    pub mean: f64,
    /// `None` for a single number.
    pub error: Option<f64>,
}

impl Estimate {
    /// Estimates the mean of a sample; `None` if it is empty or not finite.
    pub fn of(values: &[f64]) -> Option<Estimate> {
        let mean = mean(values);
        (!values.is_empty() && mean.is_finite())
            .then(|| Estimate { mean, error: standard_error(values) })
    }

    /// Whether it is more than two standard errors from 0. An error of 0 says that all numbers of a
    /// small sample are the same, and not how far others would be.
    pub fn is_sure(&self) -> bool {
        self.error.is_some_and(|error| error > 0.0 && self.mean.abs() > 2.0 * error)
    }

    /// As percent with a sign.
    pub fn percent(&self) -> String {
        let error = self.error.map_or_else(String::new, |error| format!(" ± {:.2}", 100.0 * error));
        format!("{:+.2}{error} %", 100.0 * self.mean).replacen('-', "−", 1)
    }
}

/// Numbers seed by seed, averaged over tasks by their weights.
pub(crate) fn over_tasks(by_task: &[(f64, Vec<f64>)]) -> Option<Estimate> {
    let seeds = by_task.iter().map(|(_, values)| values.len()).min()?;
    let weights: f64 = by_task.iter().map(|(weight, _)| weight).sum();
    let on_seed = |seed: usize| {
        let terms = by_task
            .iter()
            .map(|(weight, values)| weight * values.get(seed).copied().unwrap_or(f64::NAN));
        terms.sum::<f64>() / weights
    };
    Estimate::of(&(0..seeds).map(on_seed).collect::<Vec<_>>())
}

/// The names of a subject's programs.
pub(crate) fn names(subject: &Subject) -> Vec<String> {
    subject.programs.iter().map(|entry| entry.name.clone()).collect()
}
