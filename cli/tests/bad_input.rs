//! Bad programs, settings, suites, options and stores: each ends with exit code 2 and a message
//! that a user can act on, and touches nothing.
//!
//! The snapshots are transcripts: what a user typed, and what the standard error stream said.

mod common;

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use common::{copy, run_with, symopt, tree};

/// A refused command.
struct Case {
    /// Description of the fault, for the transcript.
    what: &'static str,
    arguments: Vec<String>,
    input: Vec<u8>,
}

/// A command by its words. `''` is an empty argument.
fn case(what: &'static str, command: &str) -> Case {
    let arguments = command
        .split_whitespace()
        .map(|word| if word == "''" { String::new() } else { word.to_owned() });
    Case { what, arguments: arguments.collect(), input: Vec::new() }
}

fn with_input(what: &'static str, command: &str, input: impl AsRef<[u8]>) -> Case {
    Case { input: input.as_ref().to_vec(), ..case(what, command) }
}

/// A message without what changes from run to run, and without the lists that grow with every new
/// suite and task.
fn normal(message: &str, temporary: &Path) -> String {
    let message = message.replace(&temporary.display().to_string(), "TMPDIR");
    let line = |line: &str| match ["; tasks: quick/", "; built-in suites: quick"]
        .iter()
        .find_map(|list| line.find(list).map(|at| at + list.len()))
    {
        Some(end) => format!("{}...\n", &line[..end]),
        None => format!("{line}\n"),
    };
    message.lines().map(line).collect()
}

/// Runs the cases in a directory, checks what holds for all of them, and returns the transcript.
fn transcript(directory: &Path, cases: &[Case]) -> String {
    let mut text = String::new();
    let before = tree(directory);
    for Case { what, arguments, input } in cases {
        let temporary = tempfile::tempdir().unwrap();
        let mut command = symopt(directory);
        command.args(arguments).env("TMPDIR", temporary.path());
        let ended = run_with(command, input);
        let shown: Vec<&str> = arguments
            .iter()
            .map(|argument| if argument.is_empty() { "''" } else { argument })
            .collect();
        let shown = shown.join(" ");
        assert_eq!(ended.code, Some(2), "{what}: symopt {shown}\n{}{}", ended.stdout, ended.stderr);
        assert_eq!(ended.stdout, "", "{what}: symopt {shown}");
        for word in ["panicked", "RUST_BACKTRACE", "unwrap"] {
            assert!(!ended.stderr.contains(word), "{what}: symopt {shown}\n{}", ended.stderr);
        }
        assert!(
            ended.stderr.len() > 20,
            "{what}: symopt {shown}: the message says nothing: {}",
            ended.stderr
        );
        let after = tree(directory);
        let changed = before.iter().chain(&after).filter(|(path, bytes)| {
            before.get(*path) != Some(bytes) || after.get(*path) != Some(bytes)
        });
        let changed: Vec<_> = changed.map(|(path, _)| path.display().to_string()).collect();
        assert!(changed.is_empty(), "{what}: symopt {shown} touched {changed:?}");
        let left: Vec<_> = tree(temporary.path()).into_keys().collect();
        assert!(left.is_empty(), "{what}: symopt {shown} left {left:?} behind");
        text.push_str(&format!(
            "# {what}\n$ symopt {shown}\n{}\n",
            normal(&ended.stderr, temporary.path())
        ));
    }
    text
}

/// A store of a short search, made once.
fn store() -> &'static Path {
    static STORE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let directory = STORE.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let arguments =
            "search --suite smoke --population 20 --programs 300 --held-out 0 --store store";
        let ended = common::run(directory.path(), &arguments.split(' ').collect::<Vec<_>>());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        directory
    });
    Box::leak(directory.path().join("store").into_boxed_path())
}

/// A program of one slot with these lines.
fn body(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("  {line}\n")).collect();
    format!("def p(w, g, m, lr, *, beta=0.9):\n{lines}")
}

#[test]
fn bad_programs_are_refused_with_the_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let sgd = "def sgd(w, g, lr):\n  update = g * lr\n  return update\n";
    let files: [(&str, Vec<u8>); 7] = [
        ("unknown.opt", body("update = interq(g, m, beta)\nreturn update, m").into()),
        ("type.opt", body("a = square(g)\nupdate = interp(g, m, a)\nreturn update, m").into()),
        ("empty.opt", Vec::new()),
        ("binary.opt", b"def p(w, g, lr):\n  update = \xff\xfe\n".to_vec()),
        ("long.opt", "# a line of remarks\n".repeat(60_000).into()),
        ("nul.opt", b"def p(w, g, lr):\n  update = g\0 * lr\n  return update\n".to_vec()),
        ("good.opt", sgd.into()),
    ];
    for (name, bytes) in files {
        fs::write(path.join(name), bytes).unwrap();
    }
    fs::create_dir(path.join("folder")).unwrap();
    copy(store(), &path.join("store"));
    let cases = [
        case("unknown function in a file", "inspect unknown.opt"),
        with_input(
            "unknown function on the standard input",
            "inspect -",
            body("update = interpolat(g, m, beta)\nreturn update, m"),
        ),
        with_input(
            "too few arguments",
            "inspect -",
            body("update = interp(g, m)\nreturn update, m"),
        ),
        with_input(
            "too many arguments",
            "inspect --json -",
            body("update = sqrt(g, m)\nreturn update, m"),
        ),
        with_input(
            "use before assignment",
            "inspect -",
            body("update = decay + g\ndecay = w * 0.1\nreturn update, m"),
        ),
        case("wrong type", "inspect type.opt"),
        with_input("slot missing in return", "inspect -", body("update = g * lr\nreturn update")),
        with_input("no return", "inspect -", body("update = g * lr")),
        with_input(
            "constant that overflows",
            "inspect -",
            body("update = g * 1e999\nreturn update, m"),
        ),
        with_input("malformed constant", "inspect -", body("update = g * 1.2.3\nreturn update, m")),
        with_input(
            "line too deep",
            "inspect -",
            "def p(w, g, lr):\n  update = g\n    update = update * lr\n  return update\n",
        ),
        with_input(
            "body not indented",
            "inspect -",
            "def p(w, g, lr):\nupdate = g\nreturn update\n",
        ),
        with_input(
            "Python that is no program",
            "inspect -",
            "import torch\n\nfor x in range(3):\n  print(x)\n",
        ),
        with_input("two programs", "inspect -", sgd.repeat(2)),
        case("empty file", "inspect empty.opt"),
        with_input("empty standard input", "inspect -", ""),
        case("very long file", "inspect long.opt"),
        with_input(
            "very long line",
            "inspect -",
            format!("def p(w, g, lr):\n  update = g{}\n  return update\n", " + g".repeat(100_000)),
        ),
        case("NUL", "inspect nul.opt"),
        case("file that is no text", "inspect binary.opt"),
        with_input(
            "standard input that is no text",
            "inspect -",
            b"def p(w, g, lr):\n  update = \xff\n",
        ),
        case("directory", "inspect folder"),
        case("file that never ends", "inspect /dev/zero"),
        case("missing, with a zoo program of nearly that name", "inspect lino"),
        case("missing, with nothing like it", "inspect no/such/file.opt"),
        case("no name", "inspect ''"),
        case("unknown hash", "inspect store:ffffffffffffffff"),
        case("hash that is not hexadecimal", "inspect store:worst"),
        case("no hash", "inspect store:"),
        case("missing store", "inspect nowhere:0123abcd"),
        case("directory that is no store", "inspect folder:0123abcd"),
        case("file as a store", "inspect good.opt:0123abcd"),
        case("bad program to train with", "train --task smoke-linear --program unknown.opt"),
        case("bad program to compare with", "train --task smoke-linear --program lion --vs adamww"),
        case("bad program to tune", "tune --task smoke-linear --program folder"),
        case("bad program to start from", "search --suite smoke --initial type.opt"),
        case("standard input to start from", "search --suite smoke --initial -"),
        case("bad program to find", "search --suite smoke --target-program sgdd"),
    ];
    insta::assert_snapshot!("bad_programs", transcript(path, &cases));

    // How many programs share a first digit is no part of the message's contract.
    // A decimal digit is a place of the hall of fame.
    let ambiguous = (10..16).map(|digit| {
        transcript(path, &[case("ambiguous hash", &format!("inspect store:{digit:x}"))])
    });
    assert!(ambiguous.filter(|text| text.contains("give more digits")).count() > 3);
}

#[test]
fn bad_pictures_are_refused_with_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::create_dir(path.join("folder.svg")).unwrap();
    let cases = [
        case("no ending", "inspect lion --graph picture"),
        case("unknown ending", "inspect lion --graph picture.png"),
        case("one of several", "inspect lion --graph a.svg --graph b.pdf"),
        case("nothing but an ending", "inspect lion --graph .svg"),
        case("no name", "inspect lion --graph ''"),
        case("no file", "inspect lion --graph"),
        case("missing directory", "inspect lion --graph no/such/a.svg"),
        case("directory", "inspect lion --graph folder.svg"),
        case("bad program", "inspect lino --graph a.svg"),
        case("two forms of output", "inspect lion --json --latex"),
    ];
    insta::assert_snapshot!("bad_pictures", transcript(path, &cases));
}

#[test]
fn bad_settings_are_refused_with_the_line_or_the_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let texts: &[(&'static str, &str)] = &[
        ("unknown name", "seed = 1\n\n[evolution]\npopulatoin = 5\n"),
        ("unknown table", "[evolutoin]\npopulation = 5\n"),
        ("text in place of a number", "seed = \"one\"\n"),
        ("fraction in place of a whole number", "[evolution]\npopulation = 10.5\n"),
        ("negative in place of a whole number", "[limits]\nprograms = -1\n"),
        ("number beyond all bounds", "seed = 99999999999999999999\n"),
        ("value out of range", "[evolution]\npopulation = 0\n"),
        ("lag of zero", "[evolution]\nlag = 0\n"),
        ("negative weight", "[mutation]\ninsert = -1.0\n"),
        ("infinite weight", "[mutation]\ninsert = inf\n"),
        ("no weight at all", "[mutation]\ninsert = 0\ndelete = 0\nmodify = 0\n"),
        ("probability above one", "[mutation]\nconstant = 1.5\n"),
        ("quantile that is not a number", "[hurdle]\nquantile = nan\n"),
        ("target that is not a number", "[limits]\ntarget_fitness = nan\n"),
        ("target in words", "[limits]\ntarget_fitness = \"good\"\n"),
        ("unknown numerics", "numerics = \"exact\"\n"),
        ("name twice", "seed = 1\nseed = 2\n"),
        ("no TOML", "this is not a config file\n"),
        ("unclosed text", "suite = \"smoke\n"),
        ("unknown suite", "suite = \"smokey\"\n"),
        ("unknown initial program", "suite = \"smoke\"\ninitial = \"adamw-papper\"\n"),
        ("unknown target program", "suite = \"smoke\"\n[limits]\ntarget_program = \"lionn\"\n"),
    ];
    let mut cases = Vec::new();
    for (index, (what, text)) in texts.iter().enumerate() {
        let name = format!("{index}.toml");
        fs::write(path.join(&name), text).unwrap();
        cases.push(case(what, &format!("search --config {name}")));
    }
    fs::write(path.join("binary.toml"), b"seed = \xff\n").unwrap();
    cases.push(case("no text", "search --config binary.toml"));
    cases.push(case("missing file", "search --config no/such.toml"));
    cases.push(case("directory", "search --config ."));
    insta::assert_snapshot!("bad_settings", transcript(path, &cases));
}

const TASK: &str = r#"name = "mine"
seeds = [1]

[[task]]
name = "a"
steps = 5
batch = 8
training = 64
validation = 64
data = { kind = "digits" }
model = { kind = "linear" }

[[task.tuned]]
program = "adamw"
peak_lr = 0.03
hyperparameters = []
"#;

/// [`TASK`] with a part replaced.
fn suite(part: &str, by: &str) -> String {
    assert!(TASK.contains(part), "{part}");
    TASK.replace(part, by)
}

#[test]
fn bad_suites_are_refused_with_the_task() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let digits = r#"{ kind = "digits" }"#;
    let linear = r#"{ kind = "linear" }"#;
    let language =
        r#"{ kind = "language", vocabulary = 8, states = 4, successors = 2, exponent = 1.0 }"#;
    let transformer = |rest: &str| {
        format!(r#"{{ kind = "transformer", layers = 1, width = 8, hidden = 8, {rest} }}"#)
    };
    let raw_images = |images: &str, labels: &str| {
        format!(
            r#"{{ kind = "raw-images", images = "{images}", labels = "{labels}", height = 4, width = 4, channels = 1, classes = 10 }}"#
        )
    };
    let texts: Vec<(&'static str, String)> = vec![
        ("unknown key", suite("steps = 5", "stpes = 5")),
        ("key missing", suite("steps = 5\n", "")),
        ("no task", "name = \"mine\"\nseeds = [1]\ntask = []\n".to_owned()),
        ("no task table", "name = \"mine\"\nseeds = [1]\n".to_owned()),
        ("no seed", suite("seeds = [1]", "seeds = []")),
        ("seed twice", suite("seeds = [1]", "seeds = [1, 1]")),
        ("reserved seed", suite("seeds = [1]", "seeds = [1000000]")),
        ("task twice", format!("{TASK}{}", TASK.split_once("\n\n").unwrap().1)),
        ("zero steps", suite("steps = 5", "steps = 0")),
        ("negative steps", suite("steps = 5", "steps = -5")),
        ("too many steps", suite("steps = 5", "steps = 10000000000")),
        ("zero batch", suite("batch = 8", "batch = 0")),
        ("batch above the training set", suite("batch = 8", "batch = 65")),
        ("batch above the data", suite("batch = 8\ntraining = 64", "batch = 5000")),
        ("more examples than there are", suite("training = 64", "training = 5000")),
        ("weight that is not a number", suite("batch = 8", "batch = 8\nweight = nan")),
        ("noise above one", suite("batch = 8", "batch = 8\nlabel_noise = 1.5")),
        ("unknown data", suite(digits, r#"{ kind = "imagenet" }"#)),
        ("unknown model", suite(linear, r#"{ kind = "resnet" }"#)),
        ("text for a linear model", suite(digits, language)),
        (
            "language model without context",
            suite(digits, language).replace(linear, &transformer("heads = 2")),
        ),
        ("heads that do not divide the width", suite(linear, &transformer("heads = 3, patch = 2"))),
        (
            "patch that does not divide the image",
            suite(linear, &transformer("heads = 2, patch = 3")),
        ),
        ("tuned constants of an unknown program", suite("\"adamw\"", "\"adamww\"")),
        ("tuned constants of another program only", suite("\"adamw\"", "\"lion\"")),
        (
            "unknown hyperparameter",
            suite("hyperparameters = []", "hyperparameters = [[\"beta9\", 0.5]]"),
        ),
        ("learning rate that diverges", suite("peak_lr = 0.03", "peak_lr = 1e30")),
        ("negative learning rate", suite("peak_lr = 0.03", "peak_lr = -1")),
        ("missing MNIST files", suite(digits, r#"{ kind = "mnist", path = "nowhere" }"#)),
        ("truncated MNIST file", suite(digits, r#"{ kind = "mnist", path = "mnist" }"#)),
        ("compressed MNIST file", suite(digits, r#"{ kind = "mnist", path = "mnist-gz" }"#)),
        ("missing CIFAR-10 files", suite(digits, r#"{ kind = "cifar10", path = "mnist" }"#)),
        ("truncated CIFAR-10 file", suite(digits, r#"{ kind = "cifar10", path = "cifar10" }"#)),
        (
            "missing text",
            suite(digits, r#"{ kind = "text", path = "no.txt", unit = "bytes" }"#)
                .replace(linear, &transformer("heads = 2, context = 4")),
        ),
        (
            "words without a vocabulary",
            suite(digits, r#"{ kind = "text", path = "short.txt", unit = "words" }"#)
                .replace(linear, &transformer("heads = 2, context = 4")),
        ),
        ("missing raw images", suite(digits, &raw_images("nowhere", "labels"))),
        ("raw images of another size", suite(digits, &raw_images("short.txt", "labels"))),
        ("labels of other images", suite(digits, &raw_images("images", "short.txt"))),
        (
            "table without columns",
            suite(
                digits,
                r#"{ kind = "tabular", numeric = 0, classes = 2, trees = 1, depth = 1, scale = 1 }"#,
            ),
        ),
        (
            "text that is too short",
            suite(digits, r#"{ kind = "text", path = "short.txt", unit = "bytes" }"#)
                .replace(linear, &transformer("heads = 2, context = 4")),
        ),
        ("no TOML", "a suite of tasks\n".to_owned()),
    ];
    for folder in ["mnist", "mnist-gz", "cifar10"] {
        fs::create_dir(path.join(folder)).unwrap();
    }
    // The header promises two images of 28 x 28, and one follows.
    let images = [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 28, 0, 0, 0, 28][..], &[0; 784]].concat();
    fs::write(path.join("mnist/train-images-idx3-ubyte"), images).unwrap();
    fs::write(path.join("mnist-gz/train-images-idx3-ubyte"), [0x1f, 0x8b, 8, 0]).unwrap();
    fs::write(path.join("cifar10/data_batch_1.bin"), [0; 3000]).unwrap();
    fs::write(path.join("short.txt"), "to be or not").unwrap();
    fs::write(path.join("images"), [0; 32]).unwrap();
    let mut cases = Vec::new();
    for (index, (what, text)) in texts.iter().enumerate() {
        let name = format!("{index}.toml");
        fs::write(path.join(&name), text).unwrap();
        cases.push(case(what, &format!("search --suite {name} --programs 5 --population 2")));
    }
    fs::write(path.join("binary.toml"), b"name = \xff\n").unwrap();
    cases.push(case("no text", "search --suite binary.toml"));
    cases.push(case("directory", "search --suite mnist"));
    cases.push(case("unknown, with a suite of nearly that name", "search --suite quikc"));
    cases.push(case("unknown, to list", "tasks smoky"));
    cases.push(case("bad, to list", "tasks --no-cost smoke 0.toml"));
    insta::assert_snapshot!("bad_suites", transcript(path, &cases));
}

#[test]
fn bad_options_are_refused_with_their_name() {
    let directory = tempfile::tempdir().unwrap();
    let train = "train --task smoke-linear --program lion";
    fs::write(directory.path().join("mine.toml"), TASK).unwrap();
    let cases = [
        case("unknown command", "serach"),
        case("unknown option", "search --sede 1"),
        case("command without its argument", "inspect"),
        case("command without its option", "train --task smoke-linear"),
        case("argument too many", "inspect lion adamw"),
        case("no threads", "search --suite smoke --threads 0"),
        case("threads in words", "search --suite smoke --threads many"),
        case("threads without end", "search --suite smoke --threads 100000"),
        case("no seeds", &format!("{train} --seeds 0")),
        case("negative seed", "search --suite smoke --seed -1"),
        case("negative limit", "search --suite smoke --programs -5"),
        case("empty population", "search --suite smoke --population 0"),
        case("empty tournament", "search --suite smoke --tournament 0"),
        case("too many held-out seeds", "search --suite smoke --held-out 100000"),
        case("target in words", "search --suite smoke --target-fitness x"),
        case("target that is not a number", "search --suite smoke --target-fitness nan"),
        case("store and name", "search --suite smoke --store a --name b"),
        case("no name", "search --suite smoke --name ''"),
        case("name that is a path", "search --suite smoke --name ../elsewhere"),
        case("no store", "search --suite smoke --store ''"),
        case("setting without a value", &format!("{train} --set beta1")),
        case("setting that is not a number", &format!("{train} --set beta1=nan")),
        case("infinite setting", &format!("{train} --set lr=inf")),
        case("setting in words", &format!("{train} --set beta1=high")),
        case("setting of an unknown hyperparameter", &format!("{train} --set beta3=0.5")),
        case(
            "setting of a program without hyperparameters",
            "train --task smoke-linear --program adamw-paper --set beta1=0.5",
        ),
        case("setting that no program has", &format!("{train} --program momentum --set beta3=0.5")),
        case("setting of a program that is not trained", &format!("{train} --set adamw:beta1=0.5")),
        case("program that is there twice", &format!("{train} --program lion")),
        case("constants of AdamW without a decay", &format!("{train} --from-adamw lr=1e-3")),
        case("constants of AdamW with others", &format!("{train} --from-adamw lr=1e-3,beta1=0.9")),
        case(
            "rule of thumb without a decay",
            "train --task smoke-linear --program momentum --from-adamw lr=1e-3,wd=0.1",
        ),
        case(
            "rule of thumb with a constant rate",
            "train --task smoke-linear --program lion-raw --from-adamw lr=1e-3,wd=0.1",
        ),
        case(
            "rule of thumb without signs",
            "train --task smoke-linear --program adabelief --from-adamw lr=1e-3,wd=0.1",
        ),
        case("factor without a rule", &format!("{train} --factor 3")),
        case("factor of nothing", &format!("{train} --from-adamw lr=1e-3,wd=0.1 --factor 0")),
        case("file in place of checkpoints", &format!("{train} --checkpoint mine.toml")),
        case("curves into a directory", &format!("{train} --csv .")),
        case("picture into no directory", &format!("{train} --svg no/such/curves.svg")),
        case("weights into no directory", &format!("{train} --save no/such/weights.safetensors")),
        case("unknown task", "train --task smoke-linaer --program lion"),
        case("suite in place of a task", "train --task smoke --program lion"),
        case("unknown task of a suite", "tune --task smoke/linear --program lion"),
        case("nothing to tune on", "tune --program lion"),
        case("task and suite to tune on", "tune --task smoke-linear --suite smoke --program lion"),
        case("unknown grid", "tune --suite smoke --program lion --grid rough"),
        case("no seeds to tune with", "tune --suite smoke --program lion --seeds 0"),
        case("unknown preset", "tasks --preset vit-papre"),
        case("preset in place of a suite", "search --suite vit-paper"),
        case("unknown task of a file", "train --task mine.toml/b --program lion"),
        case("missing file of a task", "train --task yours.toml/a --program lion"),
        case("unknown shell", "completions tcsh"),
        case("unknown program to measure, with one of nearly that name", "bench --program lino"),
        case("unknown program to measure, with nothing like it", "bench --program optimizer.opt"),
        case("no parameters to measure with", "bench --size 0"),
        case("negative size", "bench --size -4"),
        case("size in an unknown unit", "bench --size 4kB"),
        case("size beyond all bounds", "bench --size 99999999999Gi"),
        case("no threads to measure with", "bench --threads 0"),
        case("no time to measure in", "bench --seconds 0"),
        case("time that is not a number", "bench --seconds nan"),
        case("unknown interpreter", "bench --peers no/such/python"),
        case("directory in place of an interpreter", "bench --peers ."),
        case("interpreter of something else", "bench --peers true"),
    ];
    insta::assert_snapshot!("bad_options", transcript(directory.path(), &cases));
}

#[test]
fn bad_stores_are_refused_and_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let damaged = |name: &str, damage: &dyn Fn(&Path)| {
        let store_path = path.join(name);
        copy(store(), &store_path);
        damage(&store_path);
    };
    let log = |store: &Path| {
        let sized = tree(&store.join("journal"))
            .into_iter()
            .filter_map(|(path, bytes)| Some((bytes?.len(), path)));
        sized.max().unwrap().1
    };
    let manifest = |text: &'static str| {
        move |store: &Path| fs::write(store.join("symopt-store.json"), text).unwrap()
    };
    damaged("whole", &|_| {});
    damaged("busy", &|_| {});
    damaged("truncated", &|store| {
        let log = log(store);
        let bytes = fs::read(&log).unwrap();
        fs::write(&log, &bytes[..bytes.len() * 2 / 3]).unwrap();
    });
    damaged("flipped", &|store| {
        let log = log(store);
        let mut bytes = fs::read(&log).unwrap();
        bytes.iter_mut().step_by(97).for_each(|byte| *byte ^= 0x5a);
        fs::write(&log, bytes).unwrap();
    });
    damaged("without-journal", &|store| fs::remove_dir_all(store.join("journal")).unwrap());
    damaged("without-witness", &|store| fs::remove_file(store.join("acknowledged")).unwrap());
    damaged("garbage-witness", &|store| fs::write(store.join("acknowledged"), "many").unwrap());
    damaged("lost", &|store| {
        fs::write(store.join("acknowledged"), "00000000000000009999\n").unwrap()
    });
    damaged("garbage-manifest", &manifest("{{{"));
    damaged("foreign-manifest", &manifest(r#"{"format":"another tool","version":1}"#));
    damaged("newer", &manifest(r#"{"format":"symopt store","version":99}"#));
    fs::create_dir_all(path.join("photos/2024")).unwrap();
    fs::write(path.join("photos/2024/cat.txt"), "a cat").unwrap();
    fs::write(path.join("file"), "a file").unwrap();
    let _lock = fs::File::options().write(true).open(path.join("busy/lock")).unwrap();
    _lock.try_lock().unwrap();

    // Commands that only read a store work while it is used.
    assert_eq!(common::run(path, &["inspect", "busy:00"]).code, Some(0));
    let search =
        |store: &str| format!("search --suite smoke --programs 5 --held-out 0 --store {store}");
    let cases = [
        case("resume: missing", "resume nowhere"),
        case("resume: something else", "resume photos"),
        case("resume: a file", "resume file"),
        case("resume: truncated", "resume truncated"),
        case("resume: flipped bytes", "resume flipped"),
        case("resume: no journal", "resume without-journal"),
        case("resume: no witness", "resume without-witness"),
        case("resume: garbage witness", "resume garbage-witness"),
        case("resume: evaluations lost", "resume lost"),
        case("resume: garbage manifest", "resume garbage-manifest"),
        case("resume: manifest of another tool", "resume foreign-manifest"),
        case("resume: newer version", "resume newer"),
        case("resume: in use", "resume busy"),
        case("resume: bad limit", "resume whole --target-fitness nan"),
        case("resume: bad target", "resume whole --target-program nothing"),
        case("inspect: damaged", "inspect truncated:00"),
        case("search: into a store", &search("whole")),
        case("search: into a damaged store", &search("truncated")),
        case("search: into something else", &search("photos")),
        case("search: over a file", &search("file")),
        case("search: below a file", &search("file/store")),
        // Not writable for anybody, root included.
        case("search: where nothing can be written", &search("/proc/symopt-store")),
    ];
    // How much of a damaged log can be read depends on how the evaluations happened to be grouped
    // in it.
    let line = |line: &str| match (
        line.split_once(" the store is damaged ("),
        line.split_once("); nothing"),
    ) {
        (Some((store, _)), Some((_, end)))
            if ["error: truncated:", "error: flipped:"].contains(&store) =>
        {
            format!("{store} the store is damaged (...); nothing{end}\n")
        }
        (Some((store, rest)), _) if store == "error: lost:" => {
            format!(
                "{store} the store is damaged (...{}\n",
                rest.trim_start_matches(|c: char| c.is_ascii_digit())
            )
        }
        _ => format!("{line}\n"),
    };
    let text: String = transcript(path, &cases).lines().map(line).collect();
    insta::assert_snapshot!("bad_stores", text);
}

#[cfg(unix)]
#[test]
fn a_search_in_a_directory_that_cannot_be_written_is_refused() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::set_permissions(path, fs::Permissions::from_mode(0o555)).unwrap();
    let mut command = symopt(path);
    command.args(["search", "--suite", "smoke", "--programs", "5"]);
    if fs::metadata(path).unwrap().uid() == 0 {
        // Permissions do not bind root, so the command runs as nobody.
        std::os::unix::process::CommandExt::uid(&mut command, 65534);
    }
    // Where nobody can't reach the binary, the case of /proc above must do.
    if let Ok(output) = command.output() {
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), output.stdout.as_slice()),
            (Some(2), &b""[..]),
            "{stderr}"
        );
        assert!(
            stderr.starts_with(
                "error: runs/smoke-seed0: a store can't be made there (Permission denied"
            ),
            "{stderr}"
        );
        assert!(tree(path).is_empty());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
