//! Campaigns: the plan follows from the settings, and one that was interrupted ends as if nothing
//! had happened.

use std::path::Path;

use symopt_cancel::CancelToken;
use symopt_search::StopReason;
use symopt_search::config::{Form, RestartConfig, SearchConfig};
use symopt_search::journal::{CheckedStore, Journal};
use symopt_studies::restarts::{self, Campaign, Start, plan};

fn config(form: Form) -> SearchConfig {
    let mut config = SearchConfig { seed: 7, suite: "smoke".to_owned(), ..SearchConfig::default() };
    config.evolution.population = 30;
    config.evolution.lag = 16;
    config.fitness.form = form;
    config.fitness.seeds = 3;
    config.fitness.tuning_seeds = 2;
    config.limits.programs = 300;
    config.limits.plateau = 200;
    config.restarts = RestartConfig { repeats: 2, restarts: 1, then: vec!["smoke".to_owned()] };
    config
}

/// Goes on with a campaign; in the search of a name it is interrupted after so many programs. True
/// if it came to its end.
fn go_on(path: &Path, threads: usize, interrupt_in: Option<(&str, u64)>) -> bool {
    let mut campaign = Campaign::open(path).unwrap();
    while let Some(step) = campaign.next() {
        let cancel = CancelToken::new();
        let launch = campaign.launch(&step, threads, &cancel, &|_| {}).unwrap();
        let at = interrupt_in.filter(|(name, _)| *name == step.name).map(|(_, at)| at);
        let mut observe = |progress: &symopt_search::engine::Progress| {
            if at.is_some_and(|at| progress.statistics.generated >= at) {
                cancel.cancel();
            }
        };
        let result = launch.run(threads, &cancel, &mut observe).unwrap().result;
        if result.stop == StopReason::Cancelled {
            return false;
        }
        campaign.end(&result).unwrap();
    }
    true
}

/// All that a campaign leaves, as text.
fn contents(path: &Path) -> String {
    let mut text = std::fs::read_to_string(path.join(restarts::FILE)).unwrap();
    let stores = restarts::stores(path).unwrap();
    assert_eq!(stores.len(), 4);
    for store in stores {
        text.push_str(&Journal::open(&store).unwrap().contents().unwrap());
    }
    text
}

#[test]
fn the_plan_follows_from_the_settings() {
    let mut config = config(Form::Program);
    config.restarts =
        RestartConfig { repeats: 3, restarts: 2, then: vec!["10x".to_owned(), "100x".to_owned()] };
    let steps = plan(&config);
    let told: Vec<_> = steps
        .iter()
        .map(|step| (step.name.as_str(), step.seed, step.suite.as_str(), step.start))
        .collect();
    let expected = [
        ("repeat-1", 7, "smoke", Start::Initial),
        ("repeat-2", 8, "smoke", Start::Initial),
        ("repeat-3", 9, "smoke", Start::Initial),
        ("restart-1", 10, "smoke", Start::Best),
        ("restart-2", 11, "smoke", Start::Best),
        ("then-1", 12, "10x", Start::Best),
        ("then-2", 13, "100x", Start::Best),
    ];
    assert_eq!(told, expected);
    assert!(SearchConfig::default().restarts.is_plain());
    assert_eq!(plan(&SearchConfig::default()).len(), 1);
}

#[test]
fn an_interrupted_campaign_ends_as_one_that_was_not() {
    for form in [Form::Program, Form::Direction] {
        let directory = tempfile::tempdir().unwrap();
        let (whole, parts) = (directory.path().join("whole"), directory.path().join("parts"));
        Campaign::create(config(form), &whole, &CancelToken::new()).unwrap();
        assert!(go_on(&whole, 1, None));

        Campaign::create(config(form), &parts, &CancelToken::new()).unwrap();
        assert!(!go_on(&parts, 2, Some(("repeat-1", 20))));
        assert!(!go_on(&parts, 1, Some(("repeat-2", 50))));
        assert!(!go_on(&parts, 2, Some(("restart-1", 10))));
        // The process ends after a search and before that is noted.
        let mut campaign = Campaign::open(&parts).unwrap();
        let step = campaign.next().unwrap();
        assert_eq!(step.name, "restart-1");
        let launch = campaign.launch(&step, 1, &CancelToken::new(), &|_| {}).unwrap();
        assert_ne!(
            launch.run(1, &CancelToken::new(), &mut |_| {}).unwrap().result.stop,
            StopReason::Cancelled
        );
        drop(campaign);
        // And while a store is made.
        std::fs::create_dir_all(parts.join("then-1/journal")).unwrap();
        assert!(go_on(&parts, 1, None));
        assert_eq!(contents(&whole), contents(&parts), "{form:?}");
    }
}

#[test]
fn a_restart_begins_with_the_best_on_fresh_seeds() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("campaign");
    Campaign::create(config(Form::Direction), &path, &CancelToken::new()).unwrap();
    assert!(go_on(&path, 1, None));
    let campaign = Campaign::open(&path).unwrap();
    assert_eq!(campaign.next(), None);
    assert_eq!(campaign.comparisons().len(), 2);
    for (comparison, compared) in campaign.comparisons().iter().zip([2, 3]) {
        assert_eq!(comparison.gains.len(), compared);
        let gain = |name: &str| {
            comparison
                .gains
                .iter()
                .find(|(other, _)| other == name)
                .unwrap()
                .1
                .gain
                .map(|gain| gain.mean)
        };
        let best = gain(&comparison.best);
        assert!(
            comparison.gains.iter().all(|(name, judged)| judged.seeds == 16 && gain(name) <= best),
            "{comparison:?}"
        );

        let store = CheckedStore::of(&path.join(&comparison.step)).unwrap();
        let from = campaign.ended().iter().find(|ended| ended.name == comparison.best).unwrap();
        let settings = store.settings();
        assert_eq!(
            settings.config.initial.to_string(),
            format!("{}:{}", comparison.best, from.best.hash)
        );
        assert!(settings.config.restarts.is_plain());
        let hash = |text: &str| {
            symopt_dsl::Graph::new(&symopt_dsl::parse(text).unwrap()).unwrap().hash().to_string()
        };
        assert_eq!(hash(&settings.initial), from.best.hash);
        // It is in its store under that name.
        assert!(
            symopt_search::store::program_source::find_program(&format!(
                "{}:{}",
                path.join(&from.name).display(),
                from.best.hash
            ))
            .is_ok()
        );
    }
    let report = |threads| campaign.report(3, threads, &CancelToken::new(), &|_| {}).unwrap();
    let once = report(1);
    assert_eq!(once.len(), 4);
    assert_eq!(once, report(2));
}

#[test]
fn what_is_wrong_is_said_before_a_directory_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("campaign");
    let refused = |change: &dyn Fn(&mut SearchConfig)| {
        let mut config = config(Form::Program);
        change(&mut config);
        let error = Campaign::create(config, &path, &CancelToken::new()).unwrap_err().to_string();
        assert!(!path.exists());
        error
    };
    assert!(refused(&|c| c.restarts.then = vec!["10y".to_owned()]).contains("10y"));
    assert!(refused(&|c| c.restarts.repeats = 0).contains("restarts.repeats"));
    assert!(refused(&|c| c.initial = "nobody".into()).contains("nobody"));
    let error = refused(&|c| c.mutation.hidden = vec!["lrr".to_owned()]);
    assert!(
        error.contains("`lrr`")
            && error.contains("did you mean `lr`?")
            && error.contains("its parameters: w, g, "),
        "{error}"
    );

    Campaign::create(config(Form::Program), &path, &CancelToken::new()).unwrap();
    assert!(Campaign::create(config(Form::Program), &path, &CancelToken::new()).is_err());
    let file = path.join(restarts::FILE);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, &text[..text.len() / 2]).unwrap();
    assert!(Campaign::open(&path).unwrap_err().to_string().contains("not the file of a campaign"));
    let newer = text.replace("\"version\": 1", "\"version\": 2");
    std::fs::write(&file, &newer).unwrap();
    assert!(Campaign::open(&path).unwrap_err().to_string().contains("checksum"));
    // As earlier releases wrote it: without a checksum, which comes first.
    std::fs::write(&file, format!("{{{}", newer.split_once(',').unwrap().1)).unwrap();
    assert!(Campaign::open(&path).unwrap_err().to_string().contains("newer"));
}
