//! Runs that are stopped and gone on with.

use std::path::Path;

use symopt_cancel::CancelToken;
use symopt_proxy_tasks::error::{SnapshotError, TaskError};
use symopt_proxy_tasks::run::snapshot::{Snapshot, weights_to_bytes};
use symopt_proxy_tasks::run::snapshot_store::SnapshotStore;
use symopt_proxy_tasks::run::{Run, StopReason};
use symopt_proxy_tasks::spec::{SuiteSource, find_task};
use symopt_proxy_tasks::suite::WeightedTask;
use symopt_proxy_tasks::task::{Candidate, Verdict};

const TASK: &str = r#"
name = "mine"
seeds = [1]

[[task]]
name = "a"
steps = 40
batch = 8
checkpoints = 8
training = 100
validation = 50
data = { kind = "digits" }
model = { kind = "mlp", hidden = [6], activation = "relu" }
"#;

fn task_of(text: &str) -> WeightedTask {
    SuiteSource { name: "mine.toml".to_owned(), text: text.to_owned() }
        .suite()
        .unwrap()
        .tasks
        .remove(0)
}

/// A run from a snapshot that is stopped at a step, with its last snapshot.
fn run(
    task: &WeightedTask,
    candidate: &Candidate,
    from: Option<&Snapshot>,
    stop: usize,
) -> (Run, Option<Snapshot>) {
    let mut last = from.cloned();
    let run = task.task.resumable().unwrap().run_from(
        candidate,
        3,
        from,
        &CancelToken::new(),
        &mut |snapshot| {
            let verdict = if snapshot.step() >= stop { Verdict::Stop } else { Verdict::Continue };
            last = Some(snapshot);
            verdict
        },
    );
    (run.unwrap(), last)
}

/// The same through a file.
fn through_a_file(
    directory: &Path,
    task: &WeightedTask,
    candidate: &Candidate,
    snapshot: &Snapshot,
) -> Snapshot {
    let store = SnapshotStore::open(directory).unwrap();
    store.save(0, snapshot).unwrap();
    let resumable = task.task.resumable().unwrap();
    store
        .load(0, &resumable.identity(candidate, 3).unwrap(), &resumable.layout(3).unwrap())
        .unwrap()
        .unwrap()
}

fn bits(weights: &[f32]) -> Vec<u32> {
    weights.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn a_run_that_is_stopped_anywhere_and_gone_on_with_ends_with_the_same_bits() {
    let directory = tempfile::tempdir().unwrap();
    let mine = task_of(TASK);
    // One of each kind of state: none, one slot, two with a step count; and a model of another
    // kind.
    let tasks = [
        (&mine, ["sgd", "lion", "adamw"].as_slice()),
        (&find_task("smoke/smoke-mlp").unwrap(), &["nadam"]),
    ];
    for (task, programs) in tasks {
        for name in programs {
            let program = symopt_programs::find(name).unwrap().program();
            let hyperparameters =
                if *name == "lion" { vec![("beta1".to_owned(), 0.95)] } else { Vec::new() };
            let candidate =
                Candidate { program: &program, peak_lr: 0.01, hyperparameters: &hyperparameters };
            let (whole, end) = run(task, &candidate, None, usize::MAX);
            let end = end.unwrap();
            assert_eq!(whole.stop, StopReason::Completed);
            // Snapshots change nothing in a run.
            let plain = task
                .task
                .run(&candidate, 3, &CancelToken::new(), &mut |_| Verdict::Continue)
                .unwrap();
            assert_eq!((&plain.curve, plain.stop), (&whole.curve, whole.stop));
            for stop in whole.curve.iter().map(|checkpoint| checkpoint.step) {
                let (part, snapshot) = run(task, &candidate, None, stop);
                let expected = if stop == end.step() {
                    StopReason::Completed
                } else {
                    StopReason::Stopped { step: stop }
                };
                assert_eq!(part.stop, expected);
                let snapshot =
                    through_a_file(directory.path(), task, &candidate, &snapshot.unwrap());
                assert_eq!(snapshot.step(), stop);
                let (rest, last) = run(task, &candidate, Some(&snapshot), usize::MAX);
                assert_eq!(
                    (&rest.curve, rest.stop),
                    (&whole.curve, StopReason::Completed),
                    "{name} from step {stop}"
                );
                let last = last.unwrap();
                assert_eq!(bits(&last.weights), bits(&end.weights), "{name} from step {stop}");
                assert_eq!(last.to_bytes().unwrap(), end.to_bytes().unwrap());
            }
        }
    }
}

#[test]
fn a_run_that_diverges_does_so_again_after_it_was_stopped() {
    let task = task_of(TASK);
    // Weights that grow: first a little, and in the end beyond all bounds.
    let program = symopt_dsl::parse(
        "def grow(w, g, lr):\n  update = w * lr\n  update = update * -0.3\n  return update\n",
    )
    .unwrap();
    let candidate = Candidate { program: &program, peak_lr: 1.0, hyperparameters: &[] };
    let (whole, last) = run(&task, &candidate, None, usize::MAX);
    let (StopReason::Diverged { .. }, Some(last)) = (&whole.stop, last) else {
        panic!("{whole:?}")
    };
    let (again, _) = run(&task, &candidate, Some(&last), usize::MAX);
    assert_eq!((again.stop, again.curve), (whole.stop, whole.curve));
}

/// Returns the message with which a store refuses a candidate's snapshot.
fn refusal(store: &SnapshotStore, task: &WeightedTask, candidate: &Candidate, seed: u64) -> String {
    let resumable = task.task.resumable().unwrap();
    let loaded = store.load(
        0,
        &resumable.identity(candidate, seed).unwrap(),
        &resumable.layout(seed).unwrap(),
    );
    loaded.expect_err("it is of another run").to_string()
}

#[test]
fn a_snapshot_of_another_run_is_refused_with_what_differs() {
    let directory = tempfile::tempdir().unwrap();
    let store = SnapshotStore::open(directory.path()).unwrap();
    let task = task_of(TASK);
    let (lion, signum) =
        ["lion", "signum"].map(|name| symopt_programs::find(name).unwrap().program()).into();
    let decay = [("weight_decay".to_owned(), 0.1)];
    let candidate = Candidate { program: &lion, peak_lr: 0.01, hyperparameters: &decay };
    let snapshot = run(&task, &candidate, None, 10).1.unwrap();
    store.save(0, &snapshot).unwrap();
    let says = |text: String, parts: &[&str]| {
        for part in parts {
            assert!(text.contains(part), "{part} is missing: {text}");
        }
    };
    says(
        refusal(&store, &task, &Candidate { peak_lr: 0.02, ..candidate }, 3),
        &["peak learning rate is 0.01 there, and 0.02 here"],
    );
    says(
        refusal(&store, &task, &Candidate { hyperparameters: &[], ..candidate }, 3),
        &["weight_decay is 0.1 there, and 0 here"],
    );
    says(
        refusal(
            &store,
            &task,
            &Candidate { program: &signum, hyperparameters: &[], ..candidate },
            3,
        ),
        &["the program is lion", "signum"],
    );
    let other = task_of(&TASK.replace("name = \"a\"", "name = \"b\""));
    says(refusal(&store, &other, &candidate, 3), &["the task is a there, and b here"]);
    // Tasks of the same name that differ in one point.
    for (part, by) in [
        ("steps = 40", "steps = 48"),
        ("batch = 8", "batch = 4"),
        ("checkpoints = 8", "checkpoints = 4"),
        ("training = 100", "training = 101"),
        ("validation = 50", "validation = 49"),
        ("relu", "tanh"),
        ("[6]", "[7]"),
        ("batch = 8", "batch = 8\nschedule = \"constant\""),
        ("batch = 8", "batch = 8\nlabel_noise = 0.5"),
    ] {
        says(
            refusal(&store, &task_of(&TASK.replace(part, by)), &candidate, 3),
            &["what the task is made of"],
        );
    }
    // A file that was copied over that of another seed.
    std::fs::copy(store.path(0, 3), store.path(0, 4)).unwrap();
    says(refusal(&store, &task, &candidate, 4), &["the seed is 3 there, and 4 here"]);
    // In memory as well as in a file.
    let resumable = task.task.resumable().unwrap();
    let error = resumable
        .run_from(&candidate, 4, Some(&snapshot), &CancelToken::new(), &mut |_| Verdict::Continue)
        .unwrap_err();
    assert!(matches!(error, TaskError::Snapshot(SnapshotError::OtherRun { .. })), "{error}");
}

#[test]
fn a_damaged_file_is_no_snapshot_whatever_the_damage() {
    let directory = tempfile::tempdir().unwrap();
    let store = SnapshotStore::open(directory.path()).unwrap();
    let task = task_of(TASK);
    let program = symopt_programs::lion().program();
    let candidate = Candidate::new(&program);
    store.save(0, &run(&task, &candidate, None, 10).1.unwrap()).unwrap();
    let resumable = task.task.resumable().unwrap();
    let (identity, layout) =
        (resumable.identity(&candidate, 3).unwrap(), resumable.layout(3).unwrap());
    let path = store.path(0, 3);
    let intact = std::fs::read(&path).unwrap();
    assert!(store.load(0, &identity, &layout).unwrap().is_some());
    for length in [0, 1, 8, 100, intact.len() / 2, intact.len() - 1] {
        std::fs::write(&path, &intact[..length]).unwrap();
        assert!(
            matches!(store.load(0, &identity, &layout), Err(SnapshotError::Damaged { .. })),
            "{length} bytes"
        );
    }
    // Flipped bits, from the beginning to the end: in the header, in the weights and in the
    // optimizer's state.
    for place in (0..intact.len()).step_by(41) {
        let mut damaged = intact.clone();
        damaged[place] ^= 4;
        std::fs::write(&path, &damaged).unwrap();
        // Damage only goes unnoticed in bytes that are not read: the padding of the header does not
        // matter.
        if let Ok(loaded) = store.load(0, &identity, &layout) {
            assert_eq!(intact[place], b' ', "byte {place}");
            assert_eq!(loaded.unwrap().to_bytes().unwrap(), intact);
        }
    }
    let newer =
        String::from_utf8_lossy(&intact).replacen("{\\\"version\\\":1", "{\\\"version\\\":2", 1);
    assert_ne!(newer.as_bytes(), String::from_utf8_lossy(&intact).as_bytes());
    let at = intact.windows(14).position(|window| window == b"{\\\"version\\\":1").unwrap();
    let mut newer = intact.clone();
    newer[at + 13] = b'2';
    std::fs::write(&path, &newer).unwrap();
    let error = store.load(0, &identity, &layout).unwrap_err();
    assert!(matches!(error, SnapshotError::Version { found: 2, .. }), "{error}");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(store.load(0, &identity, &layout).unwrap(), None);
}

#[test]
fn saved_weights_have_the_names_of_the_arrays_and_their_bits() {
    let task = task_of(TASK);
    let program = symopt_programs::lion().program();
    let last = run(&task, &Candidate::new(&program), None, usize::MAX).1.unwrap();
    let bytes = weights_to_bytes(&[("lion", &last)]).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.len(), last.layout.arrays().len());
    for array in last.layout.arrays() {
        let tensor = tensors.tensor(&array.name).unwrap();
        let expected: Vec<u8> =
            last.weights[array.range.clone()].iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(
            (tensor.shape(), tensor.data()),
            (array.shape.as_slice(), expected.as_slice()),
            "{}",
            array.name
        );
    }
    let both = weights_to_bytes(&[("lion", &last), ("adamw", &last)]).unwrap();
    let names = safetensors::SafeTensors::deserialize(&both).unwrap().names().len();
    assert_eq!(names, 2 * last.layout.arrays().len());
}
