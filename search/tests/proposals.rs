//! Proposals: children that a command makes.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use symopt_cancel::CancelToken;
use symopt_search::engine::lineage::lineage;
use symopt_search::engine::mutation::MutationKind;
use symopt_search::engine::operators::OperatorYield;
use symopt_search::engine::proposal::GIVEN_UP;
use symopt_search::journal::Proposal;
use symopt_search::launch::Launch;
use symopt_search::{Journal, SearchConfig, SearchResult, StopReason};

fn config() -> SearchConfig {
    let mut config = SearchConfig { seed: 6, suite: "smoke".to_owned(), ..SearchConfig::default() };
    (config.evolution.population, config.evolution.lag) = (40, 16);
    (config.mutation.proposals, config.limits.programs) = (0.2, 600);
    config
}

/// The number of the child of a question.
const CHILD: &str = r#"child=$(printf '%s' "$line" | sed 's/.*"child":\([0-9]*\).*/\1/')"#;

/// A command that answers every second question with a program of its own, and others with what is
/// none. It notes which children it was asked for.
fn command(asked: &Path) -> String {
    format!(
        r#"while read -r line; do {CHILD}; echo $child >> {asked}; case $((child % 4)) in
0) printf '{{"child":%s,"program":"def f(w, g, a, b, lr):\\n  a = g * 0.%s\\n  update = a * lr\\n  return update, a, b"}}\n' $child $child;;
1) printf '%s\n' '{{"programs":["nonsense","def f(w, g, m, v, lr):\n  return g, m, v"]}}';;
2) echo '{{"error":"no idea"}}';;
3) echo 'not JSON';;
esac; done"#,
        asked = asked.display()
    )
}

fn run(launch: Launch, threads: usize, stop_at: u64) -> SearchResult {
    let cancel = CancelToken::new();
    let observe = |progress: &symopt_search::engine::Progress| {
        if progress.statistics.generated >= stop_at {
            cancel.cancel();
        }
    };
    launch.run(threads, &cancel, &mut { observe }).unwrap().result
}

fn new(config: SearchConfig, store: &Path, command: &str) -> Launch {
    let launch = Launch::new(config, store, &CancelToken::new()).unwrap();
    launch.with_proposer(Some(command.to_owned()))
}

/// Compares what two journals hold, line by line.
fn same(a: &str, b: &str) {
    assert_eq!(a.lines().zip(b.lines()).find(|(a, b)| a != b), None);
    assert_eq!(a.lines().count(), b.lines().count());
}

fn resume(store: &Path) -> Launch {
    Launch::resume(store, |_| {}, &CancelToken::new()).unwrap()
}

fn proposals(store: &Path) -> Vec<(u64, Proposal)> {
    Journal::open(store).unwrap().proposals().unwrap()
}

fn yielded(result: &SearchResult) -> OperatorYield {
    let of = |o: &&OperatorYield| o.operator == MutationKind::Proposal;
    result.operators.iter().find(of).unwrap().clone()
}

#[test]
fn answers_are_journalled_and_a_resumed_search_asks_only_for_what_is_new() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let whole = run(new(config(), &at("whole"), &command(&at("of-whole"))), 1, u64::MAX);
    assert_eq!(whole.stop, StopReason::Programs);
    let contents = |name: &str| Journal::open(&at(name)).unwrap().contents().unwrap();
    // Interrupted, and resumed with the command; first without it.
    let parts = command(&at("of-parts"));
    let _ = run(new(config(), &at("parts"), &parts), 2, 200);
    let _ = run(resume(&at("parts")).with_proposer(Some(parts.clone())), 3, 400);
    let alone = resume(&at("parts")).run(2, &CancelToken::new(), &mut |_| {});
    let error = alone.err().unwrap().to_string();
    assert!(error.contains("--proposals COMMAND"), "{error}");
    let result = run(resume(&at("parts")).with_proposer(Some(parts)), 2, u64::MAX);
    same(&contents("parts"), &contents("whole"));
    assert_eq!(result.best.hash, whole.best.hash);
    // No child was asked for twice, and all the same ones.
    let asked = |name: &str| -> Vec<u64> {
        let text = std::fs::read_to_string(at(name)).unwrap();
        text.lines().map(|line| line.parse().unwrap()).collect()
    };
    assert_eq!(asked("of-parts"), asked("of-whole"));
    let journalled = proposals(&at("whole"));
    assert_eq!(asked("of-whole"), journalled.iter().map(|(child, _)| *child).collect::<Vec<_>>());

    // Answers in the journal need no command.
    let again = run(resume(&at("whole")), 2, u64::MAX);
    assert_eq!((again.stop, again.best.hash), (StopReason::Programs, whole.best.hash));
    assert_eq!(again.operators, whole.operators);
    let good = |child: &u64| child % 4 < 2;
    let (taken, failed): (Vec<u64>, Vec<u64>) = asked("of-whole").iter().partition(|c| good(c));
    let yielded = yielded(&whole);
    assert_eq!(yielded.failed, failed.len() as u64);
    assert!(yielded.children as usize == taken.len() && taken.len() > 30, "{yielded:?}");
    let reasons: BTreeSet<String> = journalled
        .iter()
        .filter_map(|(_, proposal)| match proposal {
            Proposal::Failed(reason) => Some(reason.split(':').next().unwrap().to_owned()),
            Proposal::Program(_) => None,
        })
        .collect();
    assert_eq!(reasons.len(), 2, "{reasons:?}");

    // A lineage names the parents that were asked about.
    let evaluations = Journal::open(&at("whole")).unwrap().evaluations().unwrap();
    let (index, record) = evaluations.iter().find(|(index, _)| taken.contains(index)).unwrap();
    let name = format!("{}:{}", at("whole").display(), record.hash);
    // The text calls its slots as the first program does, whatever the answer calls them.
    let head = "def train(w, g, m, v, lr):";
    assert!(record.program.contains(head), "{}", record.program);
    let lineage = lineage(&name, &CancelToken::new(), &mut |_, _| {}).unwrap();
    let last = lineage.last().unwrap();
    let change = last.change.as_ref().unwrap();
    assert_eq!((last.index, change.kind), (Some(*index), MutationKind::Proposal));
    assert!(change.second.is_some());
}

#[test]
fn what_is_no_proposal_counts_as_failed_and_a_mutation_takes_its_place() {
    let said = |answer: &str| format!("read -r line; printf '%s\\n' '{answer}'");
    let program = |text: &str| said(&format!(r#"{{"program":"{text}"}}"#));
    let answers = [
        ("read -r line; exit 1".to_owned(), "without an answer"),
        ("exit 0".to_owned(), "without an answer"),
        (r"read -r line; printf '\377\376\000\n'".to_owned(), "not of the protocol"),
        (said("5"), "not of the protocol"),
        (said("{}"), "has no program"),
        (said(r#"{"child":99999999,"program":""}"#), "for child 99999999"),
        (program(""), ""),
        (
            program(r"def f(w, g, lr):\n  x = newton_schulz(g)\n  return x"),
            "`newton_schulz` is not among mutation.functions",
        ),
        (program(r"def f(w, g, a, b, c, lr):\n  return g, a, b, c"), "more than 2 state slots"),
        (program(r"def f(w, g, lr):\n  x = lr * g\n  return x"), "it reads lr"),
        (program(&"def f ".repeat(20_000)), "longer than 65536 bytes"),
        ("yes | tr -d '\\n'".to_owned(), "longer than 1 MiB"),
        ("no-such-command-at-all".to_owned(), "without an answer"),
    ];
    for (command, reason) in answers {
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("store");
        let mut config = config();
        config.limits.programs = 30;
        config.mutation.hidden = vec!["lr".to_owned()];
        let result = run(new(config, &store, &command), 2, u64::MAX);
        assert_eq!((result.stop, result.statistics.generated), (StopReason::Programs, 30));
        let proposals = proposals(&store);
        assert_eq!(yielded(&result).failed, proposals.len() as u64, "{command}");
        assert_eq!(yielded(&result).children, 0);
        let (_, first) = &proposals[0];
        assert!(matches!(first, Proposal::Failed(told) if told.contains(reason)), "{first:?}");
        assert_eq!(result.operators.iter().map(|o| o.children).sum::<u64>(), 30);
    }
}

#[test]
fn a_command_that_is_silent_is_given_up_and_holds_up_nobody_who_wants_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let mut config = config();
    (config.mutation.proposal_seconds, config.limits.programs) = (0.05, 200);
    let result = run(new(config.clone(), &at("silent"), "sleep 600"), 2, u64::MAX);
    assert_eq!(result.stop, StopReason::Programs);
    let reasons: Vec<String> = proposals(&at("silent"))
        .into_iter()
        .map(|(_, proposal)| match proposal {
            Proposal::Failed(reason) => reason,
            Proposal::Program(text) => panic!("{text}"),
        })
        .collect();
    assert!(reasons.len() > 2 * GIVEN_UP);
    assert!(reasons[..GIVEN_UP].iter().all(|reason| reason.contains("no answer in 0.05 s")));
    assert!(reasons[GIVEN_UP..].iter().all(|reason| reason.starts_with("not asked after")));

    config.mutation.proposal_seconds = 600.0;
    let launch = new(config, &at("cancelled"), "sleep 600");
    let (cancel, begin) = (CancelToken::new(), Instant::now());
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            cancel.cancel();
        });
        launch.run(2, &cancel, &mut |_| {}).unwrap().result
    });
    assert_eq!(result.stop, StopReason::Cancelled);
    assert!(begin.elapsed() < Duration::from_secs(60));
    assert!(proposals(&at("cancelled")).is_empty(), "it goes on with the same question");
}

#[test]
fn a_bandit_gives_the_same_search_on_any_threads_and_when_it_is_resumed() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let mut config = config();
    config.initial = vec!["adamw-paper".to_owned(), "lion".to_owned()].into();
    (config.mutation.bandit, config.mutation.crossover, config.mutation.proposals) =
        (true, 0.2, 0.1);
    let command = command(&at("asked"));
    let whole = run(new(config.clone(), &at("whole"), &command), 1, u64::MAX);
    let _ = run(new(config, &at("parts"), &command), 3, 250);
    let parts = run(resume(&at("parts")).with_proposer(Some(command)), 2, u64::MAX);
    let contents = |name: &str| Journal::open(&at(name)).unwrap().contents().unwrap();
    same(&contents("parts"), &contents("whole"));
    assert_eq!(parts.operators, whole.operators);
    let shares: Vec<f64> = whole.operators.iter().map(|o| o.share).collect();
    assert_eq!(shares.len(), 5);
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{shares:?}");
    assert!(
        shares
            .iter()
            .zip([0.7 / 3.0, 0.7 / 3.0, 0.7 / 3.0, 0.2, 0.1])
            .any(|(a, b)| (a - b).abs() > 0.02)
    );
}
