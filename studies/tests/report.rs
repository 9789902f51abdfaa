//! Reports: their numbers are those of the stores, and the same every time.

use std::path::{Path, PathBuf};

use symopt_cancel::CancelToken;
use symopt_proxy_tasks::sample::standard_error;
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::suite::{Fitness, Suite};
use symopt_proxy_tasks::task::Verdict;
use symopt_search::SearchConfig;
use symopt_search::config::{Form, Strategy};
use symopt_search::engine::SearchResult;
use symopt_search::launch::{Launch, Launcher};
use symopt_studies::StudyError;
use symopt_studies::report::{Options, Over, Report, report};

fn search(store: &Path, change: impl FnOnce(&mut SearchConfig)) -> SearchResult {
    let mut config = SearchConfig { suite: "smoke".to_owned(), ..SearchConfig::default() };
    config.evolution.population = 50;
    config.limits.programs = 2000;
    change(&mut config);
    let cancel = CancelToken::new();
    Launch::new(config, store, &cancel).unwrap().run(1, &cancel, &mut |_| {}).unwrap().result
}

fn options(threads: usize) -> Options {
    Options {
        validate: None,
        seeds: 4,
        sample: 8,
        over: None,
        threads,
        launcher: Launcher::default(),
    }
}

fn smoke_suite() -> Suite {
    SuiteSource::find("smoke").unwrap().suite().unwrap()
}

fn of(stores: &[PathBuf], options: &Options) -> Report {
    report(stores, options, &CancelToken::new(), &|_, _| {}).unwrap()
}

#[test]
fn strategies_are_compared_and_meta_validated() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let stores = [at("first"), at("second"), at("random"), at("constants")];
    let first = search(&stores[0], |_| {});
    let second = search(&stores[1], |config| config.seed = 1);
    let _ = search(&stores[2], |config| {
        config.evolution.strategy = Strategy::Random;
        config.limits.programs = 4000;
    });
    let _ = search(&stores[3], |config| config.mutation.constants_only = true);

    let validating = Options { validate: Some(SuiteSource::find("smoke").unwrap()), ..options(1) };
    let report = of(&stores, &validating);
    assert_eq!(report, of(&stores, &Options { threads: 2, ..validating.clone() }));

    // The report agrees with the results of the searches.
    for (store, result) in report.stores.iter().zip([&first, &second]) {
        assert_eq!(
            (store.best.hash.clone(), store.best.fitness),
            (result.best.hash.to_string(), result.best.fitness)
        );
        assert_eq!(
            (store.best.index, store.best.program.clone()),
            (result.best.index, result.best.program.to_string())
        );
        assert_eq!(
            (store.end.programs, store.end.evaluations),
            (2000, result.statistics.evaluated)
        );
        assert_eq!(
            store.rates_at_end.as_ref().unwrap().cache_hit_rate,
            result.statistics.cache_hit_rate()
        );
        assert_eq!(store.rates.len(), 4);
        assert_eq!(store.curve.first().unwrap().programs, 0);
        assert_eq!(store.curve.first().unwrap().best, store.initial.fitness);
        assert_eq!(store.curve.last().unwrap().programs, 2000);
        assert_eq!(store.curve.last().unwrap().best, result.best.fitness);
        assert!(store.curve.is_sorted_by_key(|point| (
            point.programs,
            point.evaluations,
            point.best
        )));
        // No evaluation takes more than all runs, and those that diverge take less.
        let runs = store.end.training_runs.unwrap();
        let suite = smoke_suite();
        let most = (store.end.evaluations as usize * suite.seeds.len() * suite.tasks.len()) as f64;
        assert!(runs > 0.0 && runs < most, "{runs} of {most}");
    }

    // The best on fresh seeds, as the suite judges it.
    let suite = smoke_suite();
    let baseline = suite.baseline(&Suite::held_out_seeds(4), &CancelToken::new()).unwrap();
    let outcome = suite
        .evaluate(&first.best.program, None, &baseline, &CancelToken::new(), &mut |_, _| {
            Verdict::Continue
        })
        .unwrap();
    assert_eq!(report.stores[0].best_fresh.fitness, outcome.fitness);
    assert_eq!(
        report.stores[0].best_fresh.standard_error,
        outcome.by_seed(&suite).and_then(|values| standard_error(&values))
    );

    // The sample begins with the initial program and ends with the best; here its suite is the
    // search's own.
    for store in &report.stores {
        assert!((5..=8).contains(&store.validation.len()), "{}", store.validation.len());
        let (begin, end) = (store.validation.first().unwrap(), store.validation.last().unwrap());
        assert_eq!(
            (begin.programs, &begin.hash, begin.validation),
            (0, &store.initial.hash, store.initial_fresh)
        );
        assert_eq!(
            (end.programs, &end.hash, end.validation),
            (store.end.programs, &store.best.hash, store.best_fresh)
        );
        assert!(store.validation.is_sorted_by_key(|point| point.programs));
        assert!(store.validation.is_sorted_by_key(|point| point.fitness));
        let (peak, _) = store.validation_peak_and_end().unwrap();
        assert!(
            store
                .validation
                .iter()
                .all(|point| point.validation.fitness <= peak.validation.fitness)
        );
        assert_eq!(store.without_text, 0);
    }

    // The settings that are listed make the search again.
    for store in &report.stores {
        let config = SearchConfig::from_toml(&store.settings.join("\n")).unwrap();
        assert_eq!((config.suite.as_str(), config.evolution.population), ("smoke", 50));
        assert_eq!(config.limits.programs, store.end.programs);
    }

    // Groups.
    assert_eq!(report.over, Over::TrainingRuns);
    let names: Vec<&str> = report.groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["evolution", "random search", "constants only"]);
    let evolution = &report.groups[0];
    let Fitness::Improvement(a) = first.best.fitness else { panic!("{:?}", first.best) };
    let Fitness::Improvement(b) = second.best.fitness else { panic!("{:?}", second.best) };
    assert_eq!((evolution.stores, evolution.at_end.unwrap().mean), (2, (a + b) / 2.0));
    assert_eq!(
        (evolution.at_end.unwrap().low, evolution.at_end.unwrap().high),
        (a.min(b), a.max(b))
    );
    let least = report
        .stores
        .iter()
        .map(|store| store.end.training_runs.unwrap())
        .fold(f64::INFINITY, f64::min);
    assert_eq!(report.common_compute, least);
    for group in &report.groups {
        assert!(group.compute >= least);
        if let (Some(common), Some(end)) = (group.at_common_compute, group.at_end) {
            assert!(common.mean <= end.mean);
        }
    }

    let figures = report.figures();
    let files: Vec<&str> = figures.iter().map(|figure| figure.file).collect();
    assert_eq!(
        files,
        ["fitness.svg", "validation.svg", "redundancy.svg", "comparison.svg", "fresh.svg"]
    );
    for figure in &figures {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("report-{}", figure.file));
        std::fs::write(path, &figure.svg).unwrap();
        assert!(!figure.svg.contains("NaN") && !figure.svg.contains("inf"), "{}", figure.file);
    }
    let text = report.markdown("symopt report a b");
    assert!(text.contains("```\nsymopt report a b\n```"), "{text}");
    for figure in &figures {
        assert!(text.contains(&format!("({})", figure.file)), "{text}");
    }
    for line in [
        "evolution.strategy = \"random\"",
        "mutation.constants_only = true",
        "limits.programs = 4000",
        "suite = \"smoke\"",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    // Without what no output depends on.
    let best = symopt_dsl::parse(&report.stores[0].best.program).unwrap();
    let pruned = best.pruned(&symopt_dsl::Graph::new(&best).unwrap()).to_string();
    assert!(text.contains(pruned.trim_end()), "{text}");
}

#[test]
fn directions_are_tuned_anew_and_seeds_may_change() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    let result = search(&store, |config| {
        config.fitness.form = Form::Direction;
        (config.fitness.seeds, config.fitness.tuning_seeds) = (2, 2);
        config.fitness.rotate = 200;
        config.fitness.elite = 3;
        config.limits.programs = 600;
        config.evolution.lag = 16;
    });
    let options =
        Options { validate: Some(SuiteSource::find("smoke").unwrap()), seeds: 3, ..options(1) };
    let stores = [store];
    let report = of(&stores, &options);
    let [search] = report.stores.as_slice() else { panic!("one store") };
    assert_eq!(
        (search.best.hash.clone(), search.best.fitness),
        (result.best.hash.to_string(), result.best.fitness)
    );
    assert_eq!(
        (search.form, search.end.training_runs, report.over),
        (Form::Direction, None, Over::Evaluations)
    );
    assert!(search.best_fresh.standard_error.is_some());
    // Fresh seeds are not those of the search.
    assert_ne!(search.best_fresh.fitness, search.best.fitness);
    assert_eq!(report, of(&stores, &options));
    assert!(report.markdown("x").contains("fitness.rotate = 200"));

    let over = Options { over: Some(Over::TrainingRuns), ..options.clone() };
    let cancel = CancelToken::new();
    let failed = |options: &Options| {
        symopt_studies::report::report(&stores, options, &cancel, &|_, _| {}).unwrap_err()
    };
    let error = failed(&over);
    assert!(matches!(error, StudyError::NoRuns { .. }), "{error}");
    cancel.cancel();
    assert!(failed(&options).is_cancelled());
}

#[test]
fn a_search_that_hardly_began_has_a_report_too() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    let _ = search(&store, |config| config.limits.programs = 1);
    let report = of(&[store], &options(1));
    assert_eq!((report.stores[0].end.programs, report.stores[0].rates_at_end.clone()), (1, None));
    let files: Vec<&str> = report.figures().iter().map(|figure| figure.file).collect();
    assert_eq!(files, ["fitness.svg", "fresh.svg"]);
    assert!(report.markdown("x").contains("limits.programs = 1"));
}
