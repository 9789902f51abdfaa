//! The figures of a report.

use symopt_dsl::escape::markdown_code;
use symopt_figures::chart::{Axis, Dot, DotChart, DotGroup, LineChart, Panel, Point, Series};
use symopt_proxy_tasks::sample;
use symopt_search::config::Form;

use super::{FreshFitness, Over, Report, StoreReport};

/// The published searches' share of programs whose fitness was known, and of redundant statements.
pub(super) const PAPER_CACHE_HITS: f64 = 0.891;
pub(super) const PAPER_REDUNDANT: f64 = 0.70;

/// So many stores have lines of their own; more are shown by group.
const OWN_LINES: usize = 7;
/// So many stores have bands of their own.
const OWN_BANDS: usize = 3;
/// Names in the key of a chart are cut to this length.
const LONGEST_NAME: usize = 40;

/// A picture with its place and what it shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Name of its file.
    pub file: &'static str,
    /// Title of the figure.
    pub title: &'static str,
    /// Explanation that one needs to read it.
    pub caption: String,
    /// The picture.
    pub svg: String,
}

impl Report {
    /// The figures; which there are depends on what the report holds.
    pub fn figures(&self) -> Vec<Figure> {
        let mut figures = vec![self.fitness()];
        figures.extend(self.validation());
        figures.extend(self.redundancy());
        figures.extend(self.comparison());
        figures.push(self.fresh());
        figures
    }

    /// (a) Fitness over the programs generated.
    fn fitness(&self) -> Figure {
        let series = self.group_curves(Over::Programs);
        let falls = about_falls(&series);
        let chart = LineChart {
            title: "Best fitness over the search".to_owned(),
            subtitle: self.about_fitness("on the seeds that the search sees", &series),
            x: Axis::linear("programs generated"),
            panels: vec![Panel { y: gain_axis("fitness (%)", &series), series }],
        };
        Figure {
            file: "fitness.svg",
            title: "Fitness",
            caption: format!(
                "Best fitness so far, as the searches had it: validation loss saved against {} on the same seeds; {}. Lines begin with the \
                 initial program, which may lie below the picture.{falls}",
                self.adamw(),
                self.spread_text()
            ),
            svg: chart.svg(),
        }
    }

    /// The fitness of the sample on the other suite below that on the search's own.
    fn validation(&self) -> Option<Figure> {
        let suite = self.validation_suite.as_ref()?;
        let own_lines = self.stores.len() <= OWN_LINES;
        let names = self.store_names();
        let (above, below) = if own_lines {
            let line = |(store, name): (&StoreReport, &String)| {
                Series::line(name, &curve(store, Over::Programs)).stepped()
            };
            let above: Vec<Series> = self.stores.iter().zip(&names).map(line).collect();
            let banded = self.stores.len() <= OWN_BANDS;
            let point = |(programs, judged): (u64, FreshFitness)| {
                let y = percent(judged.fitness.improvement()?);
                let band = judged
                    .standard_error
                    .filter(|_| banded)
                    .map(|error| (y - percent(error), y + percent(error)));
                Some(Point { x: programs as f64, y, band })
            };
            let points = |store: &StoreReport| {
                store
                    .validation
                    .iter()
                    .map(|v| (v.programs, v.validation))
                    .filter_map(point)
                    .collect()
            };
            let below = self
                .stores
                .iter()
                .zip(&names)
                .map(|(store, name)| Series {
                    name: name.clone(),
                    points: points(store),
                    ..Series::default()
                })
                .collect();
            (above, below)
        } else {
            let runs = |store: &StoreReport| -> Vec<(f64, f64)> {
                let points = store.validation.iter().filter_map(|v| {
                    Some((v.programs as f64, percent(v.validation.fitness.improvement()?)))
                });
                points.collect()
            };
            (self.group_curves(Over::Programs), self.over_groups(&runs))
        };
        let spread = match (own_lines, self.stores.len() <= OWN_BANDS) {
            (true, true) => format!("bands are one standard error over {} fresh seeds", self.seeds),
            (true, false) => "a line for each search".to_owned(),
            (false, _) => self.spread_text(),
        };
        let chart = LineChart {
            title: "Fitness and meta-validation".to_owned(),
            subtitle: format!(
                "below: programs that were the best, on the suite {suite}, which the search does not see; {spread}"
            ),
            x: Axis::linear("programs generated"),
            panels: vec![
                Panel { y: gain_axis("fitness (%)", &above), series: above },
                Panel { y: gain_axis(&format!("on {} (%)", short(suite)), &below), series: below },
            ],
        };
        Some(Figure {
            file: "validation.svg",
            title: "Meta-validation",
            caption: format!(
                "Above, the best fitness as the searches had it. Below, a sample of the programs that were the best, judged on the suite {} with \
                 {} fresh seeds, {}; {spread}. Where the lower line falls while the upper one rises, the search overfits its tasks. Programs that \
                 diverge there have no point.",
                markdown_code(suite),
                self.seeds,
                self.how_judged()
            ),
            svg: chart.svg(),
        })
    }

    /// (b) Cache hits and redundant statements, against the published searches'.
    fn redundancy(&self) -> Option<Figure> {
        let end = self
            .stores
            .iter()
            .filter_map(|store| store.rates.last())
            .map(|rates| rates.programs)
            .max()?;
        let panel = |label: &str, paper: f64, of: &dyn Fn(&super::RatePoint) -> f64| {
            let runs = |store: &StoreReport| {
                store
                    .rates
                    .iter()
                    .map(|row| (row.programs as f64, percent(of(row))))
                    .collect::<Vec<_>>()
            };
            let mut series = self.over_groups(&runs);
            let published = [(0.0, percent(paper)), (end as f64, percent(paper))];
            series.push(Series::line("published searches", &published).reference());
            Panel { y: Axis::linear(label).between(0.0, 100.0), series }
        };
        let chart = LineChart {
            title: "Work that is saved".to_owned(),
            subtitle: format!("over all programs generated so far; {}", self.spread_text()),
            x: Axis::linear("programs generated"),
            panels: vec![
                panel("cache hits (%)", PAPER_CACHE_HITS, &|row| row.cache_hit_rate),
                panel("redundant (%)", PAPER_REDUNDANT, &|row| row.redundant_share),
            ],
        };
        Some(Figure {
            file: "redundancy.svg",
            title: "Cache hits and redundant statements",
            caption: format!(
                "Above, the share of the programs generated whose fitness was known from an earlier one; below, the mean share of their statements that \
                 nothing depends on; both over all programs so far. The published searches report {:.0} % and {:.0} %.",
                percent(PAPER_CACHE_HITS),
                percent(PAPER_REDUNDANT)
            ),
            svg: chart.svg(),
        })
    }

    /// (c) Groups of stores against each other.
    fn comparison(&self) -> Option<Figure> {
        if self.groups.len() < 2 {
            return None;
        }
        let series = self.group_curves(self.over);
        let falls = about_falls(&series);
        let chart = LineChart {
            title: "Strategies compared".to_owned(),
            subtitle: self.about_fitness("best fitness on the seeds that the search sees", &series),
            x: Axis::log(self.over.label()),
            panels: vec![Panel { y: gain_axis("fitness (%)", &series), series }],
        };
        Some(Figure {
            file: "comparison.svg",
            title: "Comparison",
            caption: format!(
                "Best fitness so far over the compute, in {}; {}. Each line ends where the last of its searches does.{falls}",
                self.over.label(),
                self.spread_text()
            ),
            svg: chart.svg(),
        })
    }

    /// The last best programs on fresh seeds.
    fn fresh(&self) -> Figure {
        let dot = |judged: FreshFitness| {
            judged.fitness.improvement().map(|value| Dot {
                value: percent(value),
                error: judged.standard_error.map(percent),
            })
        };
        let suites: Vec<&String> = self.stores.iter().map(|store| &store.suite).collect();
        let own = match suites.as_slice() {
            [first, rest @ ..] if rest.iter().all(|suite| suite == first) => short(first),
            _ => "own suite".to_owned(),
        };
        let mut groups = vec![DotGroup {
            name: own,
            dots: self.stores.iter().map(|store| dot(store.best_fresh)).collect(),
        }];
        if let Some(suite) = &self.validation_suite {
            let last = |store: &StoreReport| {
                store.validation.last().and_then(|point| dot(point.validation))
            };
            groups.push(DotGroup {
                name: short(suite),
                dots: self.stores.iter().map(last).collect(),
            });
        }
        let chart = DotChart {
            title: "The last best programs on fresh seeds".to_owned(),
            subtitle: format!(
                "{} seeds, the same for all; bars are one standard error",
                self.seeds
            ),
            label: format!("loss saved against {} (%)", self.adamw()),
            categories: self.store_names(),
            groups,
            missing: "diverged".to_owned(),
            highlighted: Vec::new(),
        };
        Figure {
            file: "fresh.svg",
            title: "Fresh seeds",
            caption: format!(
                "The last best program of each search on {} seeds that no search has seen, the same for all, {}, with the standard error over the seeds.",
                self.seeds,
                self.how_judged()
            ),
            svg: chart.svg(),
        }
    }

    /// How programs are judged on fresh seeds.
    pub(super) fn how_judged(&self) -> String {
        let directions = self.stores.iter().filter(|store| store.form == Form::Direction).count();
        let how = match directions {
            0 => "as they stand, with their own constants",
            all if all == self.stores.len() => {
                "each at the learning rate and the weight decay that suit it on other fresh seeds"
            }
            _ => {
                "whole programs with their own constants, directions at the learning rate and the weight decay that suit them on other fresh seeds"
            }
        };
        let adamw = self.adamw();
        let adamw = if adamw.is_tuned() {
            "AdamW tuned for each task".to_owned()
        } else {
            adamw.to_string()
        };
        format!("{how}, against {adamw}")
    }

    /// Returns the note that one needs to read lines of best fitness.
    fn about_fitness(&self, first: &str, series: &[Series]) -> String {
        let falls = if about_falls(series).is_empty() {
            ""
        } else {
            "; it falls where new seeds judge the best again"
        };
        format!("{first}; {}{falls}", self.spread_text())
    }

    fn spread_text(&self) -> String {
        if self.groups.iter().any(|group| group.stores > 1) {
            "mean of the searches of a kind, bands from the lowest to the highest".to_owned()
        } else {
            "one search of a kind".to_owned()
        }
    }

    fn group_curves(&self, over: Over) -> Vec<Series> {
        let lines = self.over_groups(&|store| curve(store, over));
        lines.into_iter().map(Series::stepped).collect()
    }

    /// A line for each group. Stores without a point are left out: a mean would begin nowhere.
    fn over_groups(&self, run: &dyn Fn(&StoreReport) -> Vec<(f64, f64)>) -> Vec<Series> {
        let series = |group: &super::Group| {
            let members = self.stores.iter().filter(|store| store.group == group.name);
            let runs: Vec<Vec<(f64, f64)>> =
                members.map(run).filter(|run| !run.is_empty()).collect();
            let searches = if group.stores == 1 {
                "1 search".to_owned()
            } else {
                format!("{} searches", group.stores)
            };
            Series::over_runs(&format!("{} ({searches})", group.name), &runs, sample::range)
        };
        self.groups.iter().map(series).collect()
    }

    /// Names of the stores, without the directories that all have in common.
    pub(super) fn store_names(&self) -> Vec<String> {
        let parts: Vec<Vec<&str>> = self
            .stores
            .iter()
            .map(|s| s.store.trim_end_matches('/').split('/').collect())
            .collect();
        let shortest = parts.iter().map(Vec::len).min().unwrap_or(1);
        let same = |place: usize| {
            parts.windows(2).all(|pair| matches!(pair, [a, b] if a.get(place) == b.get(place)))
        };
        let common = (0..shortest.saturating_sub(1)).take_while(|place| same(*place)).count();
        parts
            .iter()
            .map(|parts| short(&parts[common.min(parts.len().saturating_sub(1))..].join("/")))
            .collect()
    }
}

/// The best fitness over a search, as far as it is a number. It holds each value until the next.
fn curve(store: &StoreReport, over: Over) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = Vec::new();
    for point in &store.curve {
        let Some(best) = point.best.improvement() else { continue };
        points.push((over.of(point), percent(best)));
    }
    points
}

/// Explains best fitness that falls; empty where none does.
pub(super) fn about_falls(series: &[Series]) -> &'static str {
    let falls = series.iter().any(|line| line.points.windows(2).any(|pair| pair[1].y < pair[0].y));
    if falls {
        " Where a line falls, the best program was judged again on new seeds and turned out less good than it had seemed: seeds that change keep luck from staying on top."
    } else {
        ""
    }
}

fn percent(share: f64) -> f64 {
    100.0 * share
}

/// The end of a name that is too long.
fn short(name: &str) -> String {
    let length = name.chars().count();
    if length <= LONGEST_NAME {
        name.to_owned()
    } else {
        format!("…{}", name.chars().skip(length + 1 - LONGEST_NAME).collect::<String>())
    }
}

/// An axis of gains that shows where lines end and where they came from shortly before, not how bad
/// they were at the very beginning.
fn gain_axis(label: &str, series: &[Series]) -> Axis {
    let points = || series.iter().flat_map(|line| &line.points);
    let ends = || {
        points().flat_map(|point| point.band.map_or([point.y, point.y], |(low, high)| [low, high]))
    };
    let high = ends().fold(f64::NEG_INFINITY, f64::max);
    let low = ends().fold(f64::INFINITY, f64::min);
    let last = series
        .iter()
        .filter_map(|line| line.points.last())
        .map(|point| point.band.map_or(point.y, |(low, _)| low));
    let last = last.fold(f64::INFINITY, f64::min);
    let axis = Axis::linear(label);
    if !(low.is_finite() && high.is_finite() && last.is_finite()) {
        return axis;
    }
    // At least some percent, so that noise does not fill the picture.
    let span = (high - last).max(2.0);
    let floor = last - 1.5 * span;
    if low >= floor { axis } else { axis.between(floor, high + 0.05 * (high - floor)) }
}
