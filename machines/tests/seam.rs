//! Work that goes as jobs gives the bits of work that does not, and no bytes do harm.

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use symopt_cancel::CancelToken;
use symopt_machines::here::Here;
use symopt_proxy_tasks::error::{Failure, FailureKind, TaskError};
use symopt_proxy_tasks::executor::Executor;
use symopt_proxy_tasks::job::{
    Answer, FORMAT_VERSION, Job, JobKind, LARGEST, MessageError, Outcome, SuiteText,
};
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::suite::Suite;
use symopt_proxy_tasks::task::{Candidate, Verdict};
use symopt_search::config::{Form, SearchConfig};
use symopt_search::journal::Journal;
use symopt_search::launch::Launcher;

fn here() -> Arc<dyn Executor> {
    Arc::new(Here::default())
}

/// A small search in a form, with seeds that change and a hurdle.
fn config(form: Form) -> SearchConfig {
    let mut config = SearchConfig {
        suite: "smoke".to_owned(),
        seed: 3,
        initial: vec!["adamw".to_owned()].into(),
        ..SearchConfig::default()
    };
    config.fitness.form = form;
    (config.fitness.seeds, config.fitness.tuning_seeds) = (2, 2);
    (config.fitness.rotate, config.fitness.elite) = (150, 3);
    (config.evolution.population, config.evolution.tournament, config.evolution.lag) = (20, 4, 8);
    (config.hurdle.quantile, config.hurdle.every) = (0.3, 10);
    config.limits.programs = 400;
    config
}

/// Runs a search and returns the contents of its store in the end.
fn contents(launcher: &Launcher, config: &SearchConfig, threads: usize, store: &Path) -> String {
    let cancel = CancelToken::new();
    let launch = launcher.begin(config.clone(), store, &cancel).unwrap();
    drop(launch.run(threads, &cancel, &mut |_| {}).unwrap());
    Journal::open(store).unwrap().contents().unwrap()
}

#[test]
fn a_search_by_jobs_has_the_journal_of_one_in_threads() {
    for form in [Form::Direction, Form::Program] {
        let directory = tempfile::tempdir().unwrap();
        let of = |name: &str, executor, threads| {
            let store = directory.path().join(name);
            contents(&Launcher::new(executor), &config(form), threads, &store)
        };
        let threads = of("threads", None, 1);
        assert!(threads.contains("revision/") && threads.len() > 10_000, "{}", threads.len());
        assert!(threads == of("jobs", Some(here()), 3), "the journals differ");
    }
}

/// Loses every worker that has one of a fifth of the programs, as a courier says in the end.
struct Losing(Arc<dyn Executor>);

impl Executor for Losing {
    fn execute(&self, job: &Job, cancel: &CancelToken) -> Result<serde_json::Value, TaskError> {
        let text = job.body["program"]["text"].to_string();
        if job.kind == JobKind::Judgement && text.len().is_multiple_of(5) {
            let reason = "3 workers were lost while they did this job".to_owned();
            let failure = Failure { kind: FailureKind::Lost, reason, stderr: String::new() };
            return Err(TaskError::Failed { task: job.suite.name.clone(), failure });
        }
        self.0.execute(job, cancel)
    }
}

#[test]
fn a_program_that_ends_workers_fails_once_and_the_search_goes_on() {
    for form in [Form::Direction, Form::Program] {
        let directory = tempfile::tempdir().unwrap();
        let cancel = CancelToken::new();
        let losing: Arc<dyn Executor> = Arc::new(Losing(here()));
        let launch =
            Launcher::new(Some(losing)).begin(config(form), directory.path(), &cancel).unwrap();
        let result = launch.run(2, &cancel, &mut |_| {}).unwrap().result;
        assert_eq!(result.statistics.generated, 400);
        let [lost] = &result.failures[..] else { panic!("{:?}", result.failures) };
        // One of the elite may fail on later seeds too.
        assert!(lost.kind == FailureKind::Lost && lost.count >= result.statistics.failed, "{lost}");
        assert!(result.statistics.failed > 0, "{form:?}");
    }
}

#[test]
fn a_training_run_by_a_job_has_the_bits_of_one_here_also_where_it_is_stopped() {
    let source = SuiteSource::find("smoke").unwrap();
    let (plain, by_jobs): (Suite, Suite) =
        (source.suite().unwrap(), source.suite_on(Some(&here())).unwrap());
    let cancel = CancelToken::new();
    for (name, peak_lr, decay) in [("adamw", 0.01, 0.1), ("lion", 1e-3, 1.0), ("adamw", 1e9, 0.0)] {
        let program = program_of(name);
        let hyperparameters = [("weight_decay".to_owned(), decay)];
        let candidate = Candidate { program: &program, peak_lr, hyperparameters: &hyperparameters };
        for (a, b) in plain.tasks.iter().zip(&by_jobs.tasks) {
            for stop_at in [0, 1, a.task.checkpoints() - 1, usize::MAX] {
                let run = |task: &dyn symopt_proxy_tasks::task::Task| {
                    let mut seen = Vec::new();
                    let run = task.run(&candidate, 7, &cancel, &mut |checkpoint| {
                        seen.push(format!("{checkpoint:?}"));
                        if seen.len() > stop_at { Verdict::Stop } else { Verdict::Continue }
                    });
                    let run = run.unwrap();
                    (format!("{:?} {:?}", run.curve, run.stop), seen)
                };
                assert_eq!(run(a.task.as_ref()), run(b.task.as_ref()), "{name} {stop_at}");
            }
        }
    }
}

fn program_of(name: &str) -> symopt_dsl::Program {
    symopt_programs::find(name).unwrap().program()
}

fn job(body: serde_json::Value) -> Job {
    let source = SuiteSource::find("smoke").unwrap();
    let suite = SuiteText { name: source.name, text: source.text };
    let hash_version = symopt_dsl::FunctionalHash::FORMAT_VERSION;
    Job { kind: JobKind::TrainingRun, hash_version, suite, body }
}

fn training_run(task: &str, program: &str, hash: Option<String>) -> Job {
    job(serde_json::json!({
        "task": task, "program": {"text": program, "hash": hash},
        "peak_lr": 0.01f64.to_bits(), "hyperparameters": [], "seed": 1,
    }))
}

#[test]
fn what_can_not_be_done_is_said_with_the_reason() {
    let outcome = |job: &Job| Here::default().outcome(job, &CancelToken::new()).unwrap();
    let adamw = program_of("adamw");
    let hash = symopt_dsl::Graph::new(&adamw).unwrap().hash().to_string();
    let good = training_run("smoke-mlp", &adamw.to_string(), Some(hash.clone()));
    assert!(matches!(outcome(&good), Outcome::Done(_)));
    let said = |job: &Job| match outcome(job) {
        Outcome::Failed(reason) | Outcome::Refused(reason) => reason,
        outcome => panic!("{outcome:?}"),
    };
    let other = Job { hash_version: 0, ..good.clone() };
    assert!(said(&other).contains("use the same release everywhere"));
    let other = training_run("smoke-mlp", &adamw.to_string(), Some("0".repeat(32)));
    assert!(said(&other).contains("functional hash"), "{}", said(&other));
    let other = training_run("none", &adamw.to_string(), Some(hash.clone()));
    assert!(said(&other).contains("no task none"));
    assert!(said(&training_run("smoke-mlp", "def", None)).contains("the program of a job"));
    assert!(said(&job(serde_json::json!({"task": 1}))).contains("body of the training run"));
    // A job names neither commands nor files that are run or read.
    let suite = |text: &str| {
        let text = format!("name = \"s\"\nseeds = [1]\n{text}");
        Job { suite: SuiteText { name: "s".to_owned(), text }, ..good.clone() }
    };
    let command = suite("[[external]]\nname = \"smoke-mlp\"\ncommand = \"touch /tmp/never\"\n");
    assert!(said(&command).contains("--task-command"), "{}", said(&command));
    let file = suite(
        "[[task]]\nname = \"t\"\nsteps = 1\nbatch = 1\nvalidation = 1\ncheckpoints = 1\n\
         [task.data]\nkind = \"text\"\npath = \"/etc/passwd\"\nunit = \"bytes\"\n\
         [task.model]\nkind = \"linear\"\n",
    );
    let reason = said(&file);
    assert!(reason.contains("are files") || reason.contains("suite s"), "{reason}");
    let kind = Job { kind: JobKind::Judgement, body: serde_json::json!([]), ..good };
    assert!(said(&kind).contains("a judgement"));
}

#[test]
fn messages_of_other_kinds_versions_and_sizes_are_refused_by_name() {
    let bytes = job(serde_json::json!({})).encode().unwrap();
    assert_eq!(Job::decode(&bytes).unwrap().encode().unwrap(), bytes);
    assert!(matches!(Answer::decode(&bytes), Err(MessageError::Kind { .. })));
    let text = String::from_utf8(bytes.clone()).unwrap();
    let newer = text.replacen(&format!("job {FORMAT_VERSION} "), "job 99 and more ", 1);
    assert_eq!(Job::decode(newer.as_bytes()), Err(MessageError::Version { found: 99 }));
    assert!(matches!(Job::decode(&bytes[..200]), Err(MessageError::Length { .. })));
    assert_eq!(Job::decode(b"{\"job\": 1}\n"), Err(MessageError::Foreign));
    assert_eq!(Job::decode(b""), Err(MessageError::Foreign));
    let large = vec![b'x'; LARGEST + 1];
    assert_eq!(Job::decode(&large), Err(MessageError::Oversized { bytes: LARGEST + 1 }));
    let large = job(serde_json::json!("x".repeat(LARGEST)));
    assert!(matches!(large.encode(), Err(MessageError::Oversized { .. })));
}

proptest! {
    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Job::decode(&bytes).is_err() && Answer::decode(&bytes).is_err());
        let mut with_heading = b"symopt job 1 ".to_vec();
        with_heading.extend(&bytes);
        prop_assert!(Job::decode(&with_heading).is_err());
    }

    #[test]
    fn a_flipped_bit_or_a_cut_is_seen(place in any::<prop::sample::Index>(), bit in 0..8u32) {
        let outcome = Outcome::Done(serde_json::json!({"bits": f64::NAN.to_bits(), "text": "é"}));
        let answer = Answer { job: "0".repeat(16), worker: "w".to_owned(), outcome };
        let bytes = answer.encode().unwrap();
        prop_assert_eq!(Answer::decode(&bytes).unwrap(), answer);
        let mut flipped = bytes.clone();
        flipped[place.index(bytes.len())] ^= 1 << bit;
        prop_assert!(Answer::decode(&flipped).is_err());
        prop_assert!(Answer::decode(&bytes[..place.index(bytes.len())]).is_err());
    }
}
