//! Output of the commands.

mod common;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{HOSTILE, output, page, run, run_with, symopt};
use serde_json::Value;

fn here() -> PathBuf {
    std::env::temp_dir()
}

/// A text with every number that has a decimal point replaced: measured times and losses are not
/// the same on every machine.
fn without_measured_numbers(text: &str) -> String {
    let mut result = String::new();
    let mut digits = String::new();
    for character in text.chars().chain(['\0']) {
        if character.is_ascii_digit() || character == '.' {
            digits.push(character);
            continue;
        }
        let measured = digits.contains('.') && digits.len() > 2;
        result.push_str(if measured { "#.#" } else { &digits });
        digits.clear();
        if character != '\0' {
            result.push(character);
        }
    }
    result
}

fn assert_fits_a_terminal(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= 120, "{} columns: {line}", line.chars().count());
    }
}

#[test]
fn programs_lists_the_zoo() {
    let text = output(&here(), &["programs"]);
    assert_fits_a_terminal(&text);
    insta::assert_snapshot!("programs", text);
    let rows: Value = serde_json::from_str(&output(&here(), &["programs", "--json"])).unwrap();
    let lion = &rows[0];
    assert_eq!(
        (&lion["name"], &lion["slots"], &lion["live_statements"]),
        (&Value::from("lion"), &Value::from(1), &Value::from(6))
    );
    // Every one of them can be inspected by its name.
    for row in rows.as_array().unwrap() {
        let inspection: Value = serde_json::from_str(&output(
            &here(),
            &["inspect", "--json", row["name"].as_str().unwrap()],
        ))
        .unwrap();
        assert_eq!(inspection["hash"], row["hash"]);
    }
}

#[test]
fn inspect_shows_what_a_program_is() {
    insta::assert_snapshot!("inspect_lion_raw", output(&here(), &["inspect", "lion-raw"]));
    insta::assert_snapshot!(
        "inspect_lion_raw_json",
        output(&here(), &["inspect", "lion-raw", "--json"])
    );
    insta::assert_snapshot!("inspect_adamw", output(&here(), &["inspect", "adamw"]));
}

#[test]
fn inspect_shows_comments_and_long_heads_beside_the_margin() {
    let text = "# found by hand
def commented(w, g, first_moment, second_moment, third_moment, lr=0.01, *, first_decay=0.9, second_decay=0.99, third_decay=0.999, eps=1e-8):  # head
  # what follows is about g
  x = square(g)  # g):
  first_moment = interp(g, first_moment, first_decay)
  second_moment = interp(x, second_moment, second_decay)
  third_moment = tanh(g)
  unused = 1 - third_decay
  update = first_moment / (sqrt(second_moment) + eps)
  # the end
  update = update * lr
  return update, first_moment, second_moment, third_moment  # all
";
    let mut command = symopt(&here());
    command.args(["inspect", "-"]);
    let ended = run_with(command, text.as_bytes());
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!("inspect_commented", ended.stdout);
}

#[test]
fn inspect_prints_formulas() {
    let latex = output(&here(), &["inspect", "lion", "--latex"]);
    insta::assert_snapshot!("inspect_lion_latex", latex);
    let inspection: Value =
        serde_json::from_str(&output(&here(), &["inspect", "lion", "--json"])).unwrap();
    assert_eq!(inspection["latex"], latex);
    assert_eq!(inspection["formula"]["update"], "lr·(sign(β₁·m + (1 − β₁)·g) + λ·w)");
    assert_eq!(inspection["formula"]["slots"][0]["name"], "m′");
    assert_eq!(inspection["formula"]["slots"][0]["formula"], "β₂·m + (1 − β₂)·g");
    assert_eq!(inspection["formula"]["where"], Value::Array(Vec::new()));
    let rows: Value = serde_json::from_str(&output(&here(), &["programs", "--json"])).unwrap();
    for row in rows.as_array().unwrap() {
        let text = output(&here(), &["inspect", row["name"].as_str().unwrap()]);
        let formula = text.split_once("\nformula\n\n").unwrap().1;
        assert!(formula.lines().all(|line| line.chars().count() <= 120), "{formula}");
        assert!(formula.contains("update = "), "{formula}");
    }
}

#[test]
fn inspect_draws_the_data_flow() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let plain = output(path, &["inspect", "lion-raw"]);
    let drawn = output(
        path,
        &["inspect", "lion-raw", "--graph", "a.svg", "--graph", "b.dot", "--graph=c.SVG"],
    );
    assert_eq!(
        drawn.strip_prefix(&plain),
        Some(
            "\ndata flow drawn into a.svg\ndata flow drawn into b.dot\ndata flow drawn into c.SVG\n"
        )
    );
    let read = |name: &str| std::fs::read_to_string(path.join(name)).unwrap();
    let (svg, dot) = (read("a.svg"), read("b.dot"));
    assert_eq!(svg, read("c.SVG"));
    assert!(
        svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\"") && svg.ends_with("</svg>\n")
    );
    assert!(dot.starts_with("digraph \"lion_raw\" {\n") && dot.ends_with("}\n"));
    for label in ["arcsin", "× 0.0002171761734643951", "a = 1.109133005142212", "next v", "update"]
    {
        assert!(svg.contains(label) && dot.contains(label), "{label}");
    }
    assert!(!svg.contains("cosh") && !dot.contains("cosh"));

    // Output that programs read says nothing else; an existing picture is written anew.
    std::fs::write(path.join("a.svg"), "old").unwrap();
    let json = output(path, &["inspect", "lion-raw", "--json", "--graph", "a.svg"]);
    assert_eq!(json, output(path, &["inspect", "lion-raw", "--json"]));
    assert_eq!(read("a.svg"), svg);
    let latex = output(path, &["inspect", "lion-raw", "--latex", "--graph", "b.dot"]);
    assert_eq!(latex, output(path, &["inspect", "lion-raw", "--latex"]));
}

/// The programs of the paper, as they stand in it.
#[test]
fn the_programs_of_the_paper_paste_in_unchanged() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dsl/tests/programs");
    let mut names: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert_eq!(names.len(), 7);
    for path in names {
        let mut command = symopt(&here());
        command.args(["inspect", "-"]);
        let ended = run_with(command, &std::fs::read(&path).unwrap());
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{name}");
        insta::assert_snapshot!(format!("paper_{name}"), ended.stdout);
    }
}

#[test]
fn tasks_lists_the_suites() {
    let text = output(&here(), &["tasks", "--no-cost"]);
    assert_fits_a_terminal(&text);
    for suite in ["quick", "smoke"] {
        assert!(text.lines().any(|line| line.starts_with(suite)), "{suite}:\n{text}");
    }
    insta::assert_snapshot!("tasks_smoke", output(&here(), &["tasks", "smoke", "--no-cost"]));
    let rows: Value =
        serde_json::from_str(&output(&here(), &["tasks", "smoke", "--json"])).unwrap();
    assert!(rows.as_array().unwrap().iter().all(|row| row["milliseconds"].as_f64().unwrap() > 0.0));
}

#[test]
fn a_preset_is_printed_as_a_suite_file() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["vit-paper", "lm-paper"] {
        let text = output(&here(), &["tasks", "--preset", name]);
        std::fs::write(directory.path().join("mine.toml"), text).unwrap();
        // All of it is in order but the path to the data.
        let output = symopt(directory.path()).args(["tasks", "mine.toml"]).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.code() == Some(2)
                && error.contains(&format!("task {name}: cannot read PATH/TO/")),
            "{error}"
        );
    }
}

#[test]
fn tune_prints_tables_for_all_tasks_of_a_suite() {
    let tune = [
        "tune",
        "--suite",
        "smoke",
        "--program",
        "lion",
        "--program",
        "momentum",
        "--grid",
        "local",
        "--seeds",
        "1",
    ];
    let text = output(&here(), &tune);
    let directory = tempfile::tempdir().unwrap();
    let suite = |seeds: &str, rest: &str| {
        let tasks = ["smoke-linear", "smoke-mlp"].map(|name| {
            format!("[[task]]\nname = {name:?}\nsteps = 1\nbatch = 1\ncheckpoints = 1\ndata = {{ kind = \"digits\" }}\nmodel = {{ kind = \"linear\" }}\n")
        });
        format!("name = \"mine\"\nseeds = [{seeds}]\n{}{}{rest}", tasks[0], tasks[1])
    };
    // The printed text goes into a suite file as it is.
    std::fs::write(directory.path().join("mine.toml"), suite("1", &text)).unwrap();
    output(directory.path(), &["tasks", "--no-cost", "mine.toml"]);
    for line in [
        "# lion on smoke-linear: loss ",
        "# momentum on smoke-mlp: loss ",
        "program = \"momentum\"",
        "hyperparameters = []",
    ] {
        assert!(text.contains(line), "{line}:\n{text}");
    }
    let reports: Value =
        serde_json::from_str(&output(&here(), &[&tune[..], &["--json"]].concat())).unwrap();
    assert_eq!(reports.as_array().unwrap().len(), 4);
    for report in reports.as_array().unwrap() {
        let losses =
            report["trials"].as_array().unwrap().iter().filter_map(|trial| trial["loss"].as_f64());
        assert_eq!(report["best"]["loss"].as_f64(), losses.min_by(f64::total_cmp), "{report}");
    }
}

#[test]
fn train_compares_two_programs() {
    let train = [
        "train",
        "--task",
        "smoke-linear",
        "--program",
        "lion",
        "--set",
        "weight_decay=0.1",
        "--vs",
        "adamw",
    ];
    let text = output(&here(), &train);
    // Where the lines of the chart are follows from the numbers.
    let (before, rest) =
        text.split_once("\nTraining on smoke-linear, mean over 3 seeds\n").unwrap();
    let (chart, after) = rest.split_once("  o lion\n  x adamw\n").unwrap();
    assert!(chart.contains('o') && chart.contains("steps\n"), "{chart}");
    assert_fits_a_terminal(chart);
    let normal = without_measured_numbers(&format!("{before}{after}"));
    // Signs and the widths of columns follow from the numbers; so does whether a tuned constant is
    // a whole number.
    let line = |line: &str| {
        line.split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .replace(['+', '-'], " ")
            .replace(" #.#", " #")
    };
    let normal: Vec<String> = normal.split('\n').map(line).collect();
    let normal = normal.join("\n").replace("weight_decay 1 ", "weight_decay # ");
    insta::assert_snapshot!("train", normal);

    let both: Value =
        serde_json::from_str(&output(&here(), &[&train[..], &["--json", "--seeds", "2"]].concat()))
            .unwrap();
    assert_eq!(both[0]["hyperparameters"], serde_json::json!([["weight_decay", 0.1]]));
    for training in both.as_array().unwrap() {
        let runs = training["runs"].as_array().unwrap();
        assert_eq!(runs.len(), 2);
        let last = |run: &Value| {
            run["curve"].as_array().unwrap().last().unwrap()["validation"]["loss"].as_f64().unwrap()
        };
        let mean = (last(&runs[0]) + last(&runs[1])) / 2.0;
        assert!((mean - training["mean"]["loss"].as_f64().unwrap()).abs() < 1e-12);
    }
}

/// Structure, not speed: what is measured, and that one run says all that there is to say about it.
#[test]
fn bench_measures_every_engine_of_a_cell() {
    let tiny =
        ["bench", "--program", "lion", "--size", "4Ki", "--threads", "1", "--seconds", "0.01"];
    let report: Value =
        serde_json::from_str(&output(&here(), &[&tiny[..], &["--json"]].concat())).unwrap();
    assert_eq!(report["complete"], true);
    assert!(report["machine"]["cores"].as_u64().unwrap() >= 1);
    let cells = report["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 1);
    let cell = &cells[0];
    assert_eq!(
        (&cell["program"], &cell["parameters"], &cell["threads"]),
        (&"lion".into(), &4096.into(), &1.into())
    );
    assert!(cell["bandwidth_gigabytes_per_second"].as_f64().unwrap() > 0.0);
    let rows = cell["rows"].as_array().unwrap();
    let engines: Vec<&str> = rows.iter().map(|row| row["engine"].as_str().unwrap()).collect();
    for engine in ["reference", "tile-machine", "compiled"] {
        assert_eq!(engines.iter().filter(|other| **other == engine).count(), 1, "{engines:?}");
    }
    // Either there are C loops, or a note says how to get them.
    let notes = report["notes"].as_array().unwrap();
    assert!(
        engines.contains(&"c")
            || notes.iter().any(|note| note.as_str().unwrap().contains("set CC")),
        "{notes:?}"
    );
    for row in rows {
        let number = |name: &str| row[name].as_f64().unwrap();
        let [fastest, slowest] = [0, 1].map(|index| row["range"][index].as_f64().unwrap());
        assert!(
            0.0 < fastest
                && fastest <= number("nanoseconds_per_step")
                && number("nanoseconds_per_step") <= slowest,
            "{row}"
        );
        assert!(
            (number("nanoseconds_per_parameter") * 4096.0 / number("nanoseconds_per_step") - 1.0)
                .abs()
                < 1e-9
        );
        let traffic = number("gigabytes_per_second") * number("nanoseconds_per_step");
        assert!((traffic / (number("bytes_per_parameter") * 4096.0) - 1.0).abs() < 1e-9);
        assert!(number("ratio_to_bandwidth") > 0.0);
    }
    assert_eq!(
        report["plans"].as_array().unwrap().len(),
        symopt_programs::zoo().iter().filter(|entry| entry.is_compiled()).count()
    );
    let targets = report["targets"].as_array().unwrap();
    let verdict =
        |what: &str| &targets.iter().find(|target| target["what"] == what).unwrap()["verdict"];
    assert_ne!(verdict("tile machine / compiled lion, 1 thread"), "not-measured");
    assert_eq!(verdict("compiled adamw / C loop, 2 threads"), "not-measured");

    let text = output(&here(), &[&tiny[..], &["--no-c"]].concat());
    assert_fits_a_terminal(&text);
    for part in ["machine: ", "\nlion      4Ki        1  tile machine", "not measured"] {
        assert!(text.contains(part), "{part:?}:\n{text}");
    }
    assert!(!text.contains("C loop  "), "{text}");

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let text = output(path, &[&tiny[..], &["--no-c", "--html", "page.html"]].concat());
    assert!(text.ends_with("written: page.html\n"), "{text}");
    let html = page(path, "page.html");
    for part in ["4Ki parameters, 1 thread", "tile machine", "Targets", "times as long as"] {
        assert!(html.contains(part), "{part}");
    }
}

#[test]
fn conformance_becomes_a_page() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let words = ["conformance", "--no-exports", "--program", "lion", "--program", "muon", "--html"];
    let made = |name: &str| {
        // It says on the standard error stream which engine runs.
        let ended = run(path, &[&words[..], &[name]].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stdout.ends_with(&format!("written: {name}\n")), "{}", ended.stdout);
        page(path, name)
    };
    let html = made("first.html");
    assert_eq!(html, made("second.html"));
    for part in ["2 programs in ", "Every program", "extremes", "every bit: the same operations"] {
        assert!(html.contains(part), "{part}");
    }
}

#[test]
fn a_rediscovery_becomes_a_page() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::write(path.join("small.toml"), include_str!("common/rediscovery.toml")).unwrap();
    let words = ["rediscover", "--protocol", "small.toml", "--seeds", "1", "-o", HOSTILE, "--html"];
    let made = |name: &str| {
        let text = output(path, &[&words[..], &[name]].concat());
        assert!(text.ends_with(&format!("written: {name}\n")), "{text}");
        page(path, name)
    };
    let html = made("first.html");
    assert_eq!(html, made("second.html"), "made again from what is kept");
    for part in ["of 1 seed end", "seed 1, search 1", "The finals", "&lt;script&gt;alert(1)"] {
        assert!(html.contains(part), "{part}");
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_bench_prints_what_it_has() {
    let mut command = symopt(&here());
    // Without an end, as far as a test is concerned.
    command.args(
        "bench --program lion --size 4Ki --size 8Ki --threads 1 --seconds 3600 --no-c --json"
            .split(' '),
    );
    let mut child = command.spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert!(child.try_wait().unwrap().is_none());
    assert!(
        Command::new("kill")
            .args(["-s", "INT", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    let ended = child.wait_with_output().unwrap();
    assert_eq!(
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap().as_str()),
        (Some(0), common::INTERRUPTED)
    );
    let report: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(report["complete"], false);
    assert!(report["cells"].as_array().unwrap().len() <= 1);
}

#[cfg(unix)]
#[test]
fn bench_bears_peers_that_fail() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().unwrap();
    let python = directory.path().join("python");
    // It can be asked once.
    let script = r#"#!/bin/sh
echo '{"peers":[{"name":"fake lion","program":"lion","version":"1"},{"name":"fake adamw","program":"adamw","version":"1"}]}'
read -r _; echo '{"nanoseconds":[]}'
read -r _; echo 'worn out' >&2; exit 7
"#;
    // Written by another process: a file that this one has open for writing may be inherited by a
    // child of another test, and can't be run then.
    let mut write = Command::new("sh");
    write.args(["-c", "cat > \"$0\""]).arg(&python);
    assert_eq!(run_with(write, script.as_bytes()).code, Some(0));
    std::fs::set_permissions(&python, std::fs::Permissions::from_mode(0o755)).unwrap();

    let mut command = symopt(directory.path());
    command.args(
        "bench --program lion --size 4Ki --size 8Ki --threads 1 --seconds 0.01 --no-c --json"
            .split(' '),
    );
    command.arg("--peers").arg(&python);
    let ended = run_with(command, b"");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    let notes = report["notes"].as_array().unwrap();
    // Once, though there was a second size.
    assert_eq!(notes.len(), 1, "{notes:?}");
    let note = notes[0].as_str().unwrap();
    for part in ["fake lion", "lion at 4Ki", "7", "worn out", "left out"] {
        assert!(note.contains(part), "{note}");
    }
    assert_eq!(report["cells"].as_array().unwrap().len(), 2);
    assert!(!ended.stdout.contains("\"engine\": \"python\""));
}

#[test]
fn the_same_training_twice_has_the_same_losses() {
    let train = || {
        let mut report: Value = serde_json::from_str(&output(
            &here(),
            &["train", "--task", "smoke/smoke-mlp", "--program", "lion", "--json"],
        ))
        .unwrap();
        for run in report[0]["runs"].as_array_mut().unwrap() {
            let run = run.as_object_mut().unwrap();
            run.remove("milliseconds");
            run.remove("elapsed");
        }
        report
    };
    assert_eq!(train(), train());
}

#[test]
fn completions_are_made_for_each_shell() {
    let directory = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = output(directory.path(), &["completions", shell]);
        for word in ["symopt", "inspect", "target-program"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        let path = directory.path().join(shell);
        std::fs::write(&path, &script).unwrap();
        // A shell that is not installed can't check its script.
        if let Ok(status) = Command::new(shell).arg("-n").arg(&path).status() {
            assert!(status.success(), "{shell} -n");
        }
    }
}

#[test]
fn every_command_explains_itself() {
    let mut text = String::new();
    for command in [
        "",
        "search",
        "resume",
        "discover",
        "funnel",
        "study",
        "study batch-size",
        "rediscover",
        "report",
        "serve",
        "inspect",
        "simplify",
        "diff",
        "identify",
        "train",
        "tune",
        "programs",
        "tasks",
        "bench",
        "worker",
        "cluster",
        "cluster init",
        "cluster status",
        "cluster demo",
        "completions",
    ] {
        let mut arguments: Vec<&str> = command.split_whitespace().collect();
        arguments.push("--help");
        text.push_str(&format!(
            "$ symopt {}\n{}\n",
            arguments.join(" "),
            output(&here(), &arguments)
        ));
    }
    assert_fits_a_terminal(&text);
    insta::assert_snapshot!("help", text);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let directory = tempfile::tempdir().unwrap();
    let commands: &[&[&str]] = &[
        &["programs"],
        &["programs", "--json"],
        &["inspect", "lion-raw"],
        &["tasks", "--no-cost"],
        &["completions", "bash"],
        &["search", "--print-config"],
        &["search", "--suite", "smoke", "--programs", "2000", "--held-out", "2"],
        &["train", "--task", "smoke-linear", "--program", "lion"],
        &["--help"],
    ];
    for arguments in commands {
        // The first read takes what is there at that time, and then the pipe is closed: at once, or
        // after the first byte.
        for bytes in [0, 1] {
            let mut child = symopt(directory.path())
                .args(*arguments)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut stdout = child.stdout.take().unwrap();
            stdout.read_exact(&mut vec![0; bytes]).unwrap();
            drop(stdout);
            let output = child.wait_with_output().unwrap();
            assert_eq!(
                (output.status.code(), output.stderr.as_slice()),
                (Some(0), &b""[..]),
                "{arguments:?}"
            );
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_cannot_be_written_is_a_failure_of_the_work() {
    for arguments in
        [&["programs"][..], &["programs", "--json"], &["inspect", "lion"], &["completions", "fish"]]
    {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = symopt(&here()).args(arguments).stdout(full).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
        assert!(
            stderr.starts_with("error: can't write the output: ") && !stderr.contains("panicked"),
            "{stderr}"
        );
    }
}

#[test]
fn messages_that_nobody_reads_change_no_exit_code() {
    let mut child = symopt(&here()).args(["inspect", "no-such-program"]).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(2));
}

#[test]
fn a_search_reports_the_best_program_and_how_to_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let ended = run(
        directory.path(),
        &[
            "search",
            "--suite",
            "smoke",
            "--programs",
            "1000",
            "--population",
            "50",
            "--held-out",
            "2",
            "--threads",
            "1",
        ],
    );
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert_fits_a_terminal(&ended.stdout);
    let (before, rest) = ended.stdout.split_once("def train(").unwrap();
    let (program, after) = rest.split_once("\n\n").unwrap();
    assert!(program.contains("  return update") && !program.contains("\"\"\""), "{program}");
    let normal = |text: &str| {
        without_measured_numbers(text).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(
        before.starts_with("store: runs/smoke-seed0\nsearch from adamw-paper on the suite smoke, seed 0, 1 thread\nended after "),
        "{before}"
    );
    assert!(normal(before).contains("1000 programs generated"), "{before}");
    let after = normal(after);
    for part in [
        "PROGRAM SEARCH SEEDS HELD-OUT SEEDS BEST AHEAD BY smoke-linear smoke-mlp",
        "to go on: symopt inspect runs/smoke-seed0:",
        " --vs adamw symopt resume runs/smoke-seed0 --programs 2000",
    ] {
        assert!(after.contains(part), "{part} is missing:\n{after}");
    }

    // The printed commands can be typed in as they stand.
    let commands = ended.stdout.lines().filter_map(|line| line.strip_prefix("  symopt "));
    let mut count = 0;
    for command in commands {
        output(
            directory.path(),
            &command
                .split(' ')
                .chain(command.starts_with("resume").then_some("--held-out=0"))
                .collect::<Vec<_>>(),
        );
        count += 1;
    }
    assert_eq!(count, 4);
}
