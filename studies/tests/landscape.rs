//! The landscape of a suite.

use std::sync::atomic::{AtomicUsize, Ordering};

use symopt_cancel::CancelToken;
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::suite::Suite;
use symopt_proxy_tasks::task::{Candidate, Verdict};
use symopt_proxy_tasks::tuning::pattern_search::Protocol;
use symopt_studies::landscape::{Entry, Landscape, Settings, measure, zoo};

fn smoke() -> Suite {
    SuiteSource::find("smoke").unwrap().suite().unwrap()
}

fn entries(names: &[&str]) -> Vec<Entry> {
    let entry = |name: &&str| Entry {
        name: (*name).to_owned(),
        program: symopt_programs::find(name).unwrap().program(),
        is_direction: false,
    };
    names.iter().map(entry).collect()
}

const SETTINGS: Settings =
    Settings { tuning: Protocol { seeds: 3, budget: 3 * 24, shares: true }, seeds: 5 };

fn landscape(names: &[&str], threads: usize) -> Landscape {
    measure(&smoke(), &entries(names), &SETTINGS, threads, &CancelToken::new(), &|_, _| {}).unwrap()
}

#[test]
fn gains_are_paired_with_tuned_adamw() {
    let names = ["lion", "sgd", "signum"];
    let table = landscape(&names, 2);
    assert!(table.complete);
    // AdamW was added. It is what all others are measured against.
    let adamw = table.rows.iter().find(|row| row.program == "adamw").unwrap();
    for gain in adamw.tasks.iter().map(|task| task.gain).chain([adamw.gain]) {
        let gain = gain.unwrap();
        assert_eq!((gain.mean, gain.standard_error), (0.0, Some(0.0)));
    }
    assert_eq!(table.rows.len(), 4);
    assert!(
        table.rows.windows(2).all(|pair| pair[0].gain.unwrap().mean >= pair[1].gain.unwrap().mean),
        "the best first"
    );

    // The numbers are those of runs with the tuned settings on the held-out seeds.
    let suite = smoke();
    let mut by_seed = [0.0; 5];
    for (index, weighted) in suite.tasks.iter().enumerate() {
        let losses = |name: &str| -> Vec<f64> {
            let row = table.rows.iter().find(|row| row.program == name).unwrap();
            let tuned = row.tasks[index].tuned.as_ref().unwrap();
            let program = symopt_programs::find(name).unwrap().program();
            let candidate = Candidate {
                program: &program,
                peak_lr: tuned.peak_lr,
                hyperparameters: &tuned.hyperparameters,
            };
            let run = |seed| {
                weighted
                    .task
                    .run(&candidate, seed, &CancelToken::new(), &mut |_| Verdict::Continue)
                    .unwrap()
                    .final_metrics()
                    .unwrap()
                    .loss
            };
            Suite::held_out_seeds(5).into_iter().map(run).collect()
        };
        for ((lion, adamw), total) in losses("lion").iter().zip(losses("adamw")).zip(&mut by_seed) {
            *total += (adamw - lion) / adamw / 2.0;
        }
    }
    let lion = table.rows.iter().find(|row| row.program == "lion").unwrap().gain.unwrap();
    assert!((lion.mean - by_seed.iter().sum::<f64>() / 5.0).abs() < 1e-12);
    let error = symopt_proxy_tasks::sample::standard_error(&by_seed).unwrap();
    assert!((lion.standard_error.unwrap() - error).abs() < 1e-12 && error > 0.0);

    // Nobody tunes for longer than the others may.
    for task in table.rows.iter().flat_map(|row| &row.tasks) {
        assert!(task.tuning_runs <= 3 * 24 && task.tuning_runs >= 3 * 8, "{task:?}");
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let names = ["lion", "momentum"];
    assert_eq!(landscape(&names, 1), landscape(&names, 2));
}

#[test]
fn tables_and_pictures_have_every_program_and_task() {
    let table = landscape(&["lion", "lion-raw"], 2);
    let rows = table.table();
    assert_eq!(rows[0], ["PROGRAM", "SUITE", "smoke-linear", "smoke-mlp"]);
    assert!(
        rows.contains(
            &["adamw", "+0.00 % ± 0.00", "+0.00 % ± 0.00", "+0.00 % ± 0.00"]
                .map(str::to_owned)
                .to_vec()
        ),
        "{rows:?}"
    );

    let markdown = table.markdown();
    assert!(
        markdown.starts_with("# Landscape of the suite smoke\n\nEvery program tuned per task (learning rate, weight decay and betas) with")
    );
    for part in [
        "| PROGRAM | SUITE | smoke-linear | smoke-mlp |\n|---|---|---|---|\n",
        "| smoke-mlp | lion |",
        "beta1=",
    ] {
        assert!(markdown.contains(part), "{part}:\n{markdown}");
    }
    // It has nothing to tune but the learning rate, though it states no conventional one.
    let row =
        markdown.lines().find(|line| line.starts_with("| smoke-linear | lion-raw | ")).unwrap();
    let cells: Vec<&str> = row.split('|').map(str::trim).collect();
    assert!(
        cells[3].parse::<f64>().unwrap() > 0.0
            && cells[4].is_empty()
            && cells[6].parse::<usize>().unwrap() > 1,
        "{row}"
    );

    let csv = table.csv().unwrap();
    assert_eq!(csv.lines().count(), 1 + 3 * (1 + 2), "{csv}");
    let columns = csv.lines().next().unwrap().split(',').count();
    assert!(csv.lines().all(|line| line.split(',').count() == columns), "{csv}");
    assert!(csv.contains("\nsmoke,(suite),,adamw,0,0,5,"), "{csv}");
    assert!(csv.contains("\nsmoke,smoke-linear,1,adamw,0,0,5,0,"), "{csv}");

    let svg = table.chart().svg();
    for text in ["whole suite", "smoke-linear", "smoke-mlp", "lion", "lion-raw", "adamw"] {
        assert!(svg.contains(&format!(">{text}<")), "{text}");
    }
}

#[test]
fn the_zoo_is_compared_where_it_can_be_tuned() {
    let names: Vec<String> = zoo().into_iter().map(|entry| entry.name).collect();
    for name in [
        "lion",
        "adamw",
        "sgd",
        "momentum",
        "nesterov",
        "qhm",
        "signsgd",
        "signum",
        "tiger",
        "nadam",
        "adabelief",
        "powersign",
    ] {
        assert!(names.iter().any(|other| other == name), "{name}: {names:?}");
    }
    assert!(
        names.iter().all(|name| !name.starts_with("published")
            && !name.contains("raw")
            && name != "adamw-paper"),
        "{names:?}"
    );
}

#[test]
fn a_cancelled_landscape_has_the_tasks_that_are_done() {
    let seen = AtomicUsize::new(0);
    let after = |limit: usize| {
        let cancel = CancelToken::new();
        let observe = |done: usize, total: usize| {
            assert!(done <= total, "{done} of {total}");
            seen.store(done, Ordering::Relaxed);
            if done >= limit {
                cancel.cancel();
            }
        };
        measure(&smoke(), &entries(&["sgd"]), &SETTINGS, 1, &cancel, &observe)
    };
    assert!(after(10).is_err_and(|error| error.is_cancelled()));
    let half = after(2 * (3 * 24 + 5) + 10).unwrap();
    assert!(
        !half.complete
            && half.tasks.len() == 1
            && half.rows.iter().all(|row| row.gain.is_none() && row.tasks.len() == 1)
    );
    assert!(half.markdown().contains("interrupted"));
    assert_eq!(half.table()[0], ["PROGRAM", "SUITE", "smoke-linear"]);
    assert!(half.rows.iter().all(|row| row.tasks[0].gain.is_some()));
    // Whoever counts comes to the planned total in the end.
    assert!(after(usize::MAX).unwrap().complete);
    assert_eq!(seen.load(Ordering::Relaxed), 2 * 2 * (3 * 24 + 5));
}
