//! `symopt search` with repeats and restarts, and `symopt funnel`, by the real binary.

mod common;

use common::{HOSTILE, output, page, run, tree};
use serde_json::Value;

fn words(command: &str) -> Vec<&str> {
    command.split_whitespace().collect()
}

const SEARCH: &str =
    "search --suite smoke --population 40 --programs 400 --plateau 300 --threads 1";

#[test]
fn a_campaign_is_run_resumed_and_goes_through_a_funnel() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let text = output(
        path,
        &words(&format!(
            "{SEARCH} --repeats 2 --restarts 1 --then smoke --store campaign --held-out 3"
        )),
    );
    assert!(
        text.starts_with(
            "campaign: campaign\n4 searches from adamw-paper, seed 0, 0 of them done\n"
        ),
        "{text}"
    );
    for name in ["repeat-1", "repeat-2", "restart-1", "then-1"] {
        assert_eq!(text.lines().filter(|line| line.starts_with(name)).count(), 2, "{text}");
    }
    assert!(text.contains("(± is the standard error over 3 held-out seeds)"), "{text}");
    let inspect =
        text.lines().find(|line| line.contains("symopt inspect campaign/")).unwrap().trim();
    assert!(
        output(path, &words(inspect.strip_prefix("symopt ").unwrap())).contains("lineage"),
        "{inspect}"
    );

    // Finished searches stay as they are; the report is the same again.
    let before = tree(path);
    let resumed = output(path, &words("resume campaign --held-out 3"));
    assert!(resumed.contains("seed 0, 4 of them done\n"), "{resumed}");
    let table = |text: &str| text.split("\n\n").nth(2).map(str::to_owned);
    assert!(table(&text).is_some_and(|table| table.contains("repeat-1")), "{text}");
    assert_eq!(table(&text), table(&resumed));
    assert_eq!(before, tree(path));

    let report: Value =
        serde_json::from_str(&output(path, &words("resume campaign --held-out 0 --json"))).unwrap();
    assert_eq!(
        (&report["interrupted"], report["searches"].as_array().unwrap().len()),
        (&Value::Bool(false), 4)
    );
    assert_eq!(report["comparisons"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&report["searches"][3]["seed"], &report["searches"][3]["held_out"]),
        (&3.into(), &Value::Null)
    );

    // One search of the campaign is a store like any other.
    let single =
        output(path, &words(&format!("{SEARCH} --seed 0 --store single --held-out 0 --json")));
    let single: Value = serde_json::from_str(&single).unwrap();
    assert_eq!(single["best"]["hash"], report["searches"][0]["best"]["hash"]);

    let funnel =
        "funnel campaign single --through smoke --keep 3 --seeds 3 --tuning-seeds 2 --threads 1";
    let text = output(path, &words(funnel));
    assert!(text.starts_with("3 programs through smoke\n"), "{text}");
    assert!(text.ends_with("written: runs/campaign-funnel/funnel.json\n"), "{text}");
    let report: Value =
        serde_json::from_str(&output(path, &words(&format!("{funnel} --json")))).unwrap();
    assert_eq!(report["ranking"].as_array().unwrap().len(), 3);
    for ranked in report["ranking"].as_array().unwrap() {
        assert!(text.contains(&ranked["hash"].as_str().unwrap()[..12]), "{text}");
        assert_eq!(ranked["stages"][0]["judged"]["seeds"], 3);
    }

    // The same as a page, from a store with any name.
    common::copy(&path.join("single"), &path.join(HOSTILE));
    let funnel =
        format!("funnel {HOSTILE} --through smoke --keep 2 --seeds 2 --tuning-seeds 1 --html");
    let made = |name: &str| {
        let text = output(path, &words(&format!("{funnel} {name}")));
        assert!(text.ends_with(&format!("written: {name}\n")), "{text}");
        page(path, name)
    };
    let html = made("first.html");
    assert_eq!(html, made("second.html"));
    for part in ["of 2 programs", "Gains over AdamW", "&lt;script&gt;alert(1)"] {
        assert!(html.to_lowercase().contains(&part.to_lowercase()), "{part}");
    }
}

#[test]
fn bad_input_is_refused_before_anything_is_done() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::write(path.join("broken.toml"), "name = ").unwrap();
    let source = symopt_proxy_tasks::spec::SuiteSource::find("smoke").unwrap().text;
    std::fs::write(
        path.join("bare.toml"),
        source.replace("program = \"adamw\"", "program = \"tiger\""),
    )
    .unwrap();
    output(
        path,
        &words("search --suite smoke --population 20 --programs 100 --store store --held-out 0"),
    );
    std::fs::create_dir(path.join("damaged")).unwrap();
    std::fs::write(path.join("damaged/symopt-campaign.json"), "{").unwrap();
    std::fs::create_dir(path.join("foreign")).unwrap();
    std::fs::write(path.join("foreign/funnel.json"), "[]").unwrap();
    let before = tree(path);
    for (command, reason) in [
        ("funnel", "required arguments"),
        ("funnel nowhere", "no store is there"),
        ("funnel store nowhere", "no store is there"),
        ("funnel damaged", "not the file of a campaign"),
        ("funnel foreign", "not a symopt store"),
        ("funnel store --through 10y", "no built-in suite and no file"),
        ("funnel store --through smoke --through broken.toml", "broken.toml"),
        ("funnel store --through bare.toml", "no tuned constants for adamw"),
        ("funnel store --through vit-paper", "preset"),
        ("funnel store --keep 0", "from 1 to 1000"),
        ("funnel store --seeds 1", "from 2 to 1000"),
        ("funnel store --confidence 1", "below 1"),
        ("funnel store --through smoke -o foreign", "not the file of a funnel"),
        ("funnel store --through smoke -o broken.toml", "can't make the directory"),
        ("search --repeats 0", "from 1 to 1000"),
        ("search --suite smoke --repeats 2 --store store", "a store is there already"),
        ("search --suite smoke --restarts 1 --store damaged", "a campaign is there already"),
        (
            "search --suite smoke --restarts 1 --then 10y --store new",
            "no built-in suite and no file",
        ),
        (
            "search --suite smoke --repeats 2 --then bare.toml --store new",
            "no tuned constants for adamw",
        ),
        ("search --suite smoke --repeats 2 --initial nobody --store new", "no zoo program"),
        ("resume damaged", "not the file of a campaign"),
    ] {
        let ended = run(path, &words(command));
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(2), ""),
            "{command}: {}",
            ended.stderr
        );
        assert!(ended.stderr.contains(reason), "{command}: {}", ended.stderr);
    }
    let strip = |tree: std::collections::BTreeMap<std::path::PathBuf, Option<Vec<u8>>>| -> Vec<_> {
        tree.into_iter()
            .filter(|(path, _)| path.file_name().is_some_and(|name| name != "lock"))
            .collect()
    };
    assert_eq!(strip(before), strip(tree(path)));
}
