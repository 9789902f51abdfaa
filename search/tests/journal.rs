//! A store that is not what it should be is refused with a message, and not one byte of it changes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use symopt_dsl::FunctionalHash;
use symopt_proxy_tasks::suite::Fitness;
use symopt_search::SearchConfig;
use symopt_search::journal::{
    CheckedStore, EvaluationRecord, FORMAT_VERSION, Journal, JournalError, Lost, Place, Salvage,
    Settings, revision,
};
use symopt_search::judge::inner_tuning::Setting;
use symopt_search::store::follow::{Entry, Follower, Look, is_held};
use symopt_search::store::stop_reason::StopReason;

fn settings() -> Settings {
    Settings {
        config: SearchConfig::default(),
        initial: "def train(w, g, lr):\n  return g\n".to_owned(),
        others: Vec::new(),
        suite: String::new(),
        target: None,
        hash_version: FunctionalHash::FORMAT_VERSION,
    }
}

fn record(index: u64) -> (u64, EvaluationRecord) {
    let hash = FunctionalHash(u128::from(index) << 90).to_string();
    let program = "def train(w, g, lr):\n  update = g * 0.1\n  return update\n".repeat(5);
    let record = EvaluationRecord {
        hash,
        program,
        fitness: Fitness::Improvement(0.1 * index as f64),
        curve: vec![0.25; 20],
        standard_error: 0.1 / 3.0,
        seeds: 8,
        settings: vec![Setting { x: -13, z: index as i16 }],
        failure: None,
    };
    (index, record)
}

/// A store with 300 evaluations.
fn store(directory: &Path) -> PathBuf {
    let path = directory.join("store");
    let mut journal = Journal::create(&path, settings()).unwrap();
    for batch in (0..300).collect::<Vec<u64>>().chunks(10) {
        let records: Vec<_> =
            batch.iter().map(|index| (Place::Child(*index), record(*index).1)).collect();
        journal.acknowledge(&records).unwrap();
    }
    path
}

/// Every file with its bytes, the lock left out.
fn snapshot(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut open = vec![path.to_owned()];
    while let Some(next) = open.pop() {
        if next.is_dir() {
            open.extend(fs::read_dir(&next).unwrap().map(|entry| entry.unwrap().path()));
        } else if next.file_name().unwrap() != "lock" {
            files.insert(next.clone(), fs::read(&next).unwrap());
        }
    }
    files
}

fn refused(path: &Path) -> JournalError {
    let before = snapshot(path);
    let error = match Journal::open(path) {
        Ok(_) => panic!("the store was opened"),
        Err(error) => error,
    };
    assert!(snapshot(path) == before, "a refused store was changed");
    error
}

#[test]
fn what_was_acknowledged_is_there_after_reopening_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let path = store(directory.path());
    let journal = Journal::open(&path).unwrap();
    assert_eq!(journal.evaluations().unwrap(), (0..300).map(record).collect::<Vec<_>>());
    assert_eq!(journal.settings(), &settings());
    // Earlier releases are told that they can't read it; this one reads theirs.
    drop(journal);
    let manifest = fs::read_to_string(path.join("symopt-store.json")).unwrap();
    assert_eq!(manifest, format!(r#"{{"format":"symopt store","version":{FORMAT_VERSION}}}"#));
    fs::write(path.join("symopt-store.json"), r#"{"format":"symopt store","version":1}"#).unwrap();
    assert_eq!(Journal::open(&path).unwrap().evaluations().unwrap().len(), 300);
}

#[test]
fn a_store_is_not_made_over_something_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = store(directory.path());
    assert!(matches!(Journal::create(&path, settings()), Err(JournalError::Exists { .. })));
    fs::write(directory.path().join("file"), "x").unwrap();
    assert!(matches!(
        Journal::create(&directory.path().join("file"), settings()),
        Err(JournalError::Taken { .. })
    ));
}

#[test]
fn a_missing_a_foreign_and_a_newer_store_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(
        Journal::open(&directory.path().join("none")),
        Err(JournalError::Missing { .. })
    ));
    let foreign = directory.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("thesis.txt"), "do not touch").unwrap();
    assert!(matches!(refused(&foreign), JournalError::Foreign { .. }));
    let path = store(directory.path());
    fs::write(path.join("symopt-store.json"), r#"{"format":"symopt store","version":99}"#).unwrap();
    assert!(matches!(refused(&path), JournalError::Newer { found: 99, .. }));
    fs::write(path.join("symopt-store.json"), r#"{"format":"another store","version":1}"#).unwrap();
    assert!(matches!(refused(&path), JournalError::Foreign { .. }));
    fs::write(path.join("symopt-store.json"), "{").unwrap();
    assert!(matches!(refused(&path), JournalError::Foreign { .. }));
}

#[test]
fn a_store_in_use_is_busy() {
    let directory = tempfile::tempdir().unwrap();
    let path = store(directory.path());
    let _open = Journal::open(&path).unwrap();
    assert!(matches!(Journal::open(&path), Err(JournalError::Busy { .. })));
}

#[test]
fn a_store_that_lost_evaluations_or_its_database_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let path = store(directory.path());
    fs::write(path.join("acknowledged"), format!("{:020}\n", 301)).unwrap();
    assert!(matches!(refused(&path), JournalError::Damaged { .. }));
    fs::write(path.join("acknowledged"), "many").unwrap();
    assert!(matches!(refused(&path), JournalError::Damaged { .. }));
    fs::write(path.join("acknowledged"), format!("{:020}\n", 300)).unwrap();
    Journal::open(&path).map(drop).unwrap();
    fs::remove_dir_all(path.join("journal")).unwrap();
    assert!(matches!(refused(&path), JournalError::Damaged { .. }));
}

/// The largest file of the database: its log.
fn log_file(path: &Path) -> PathBuf {
    let files = snapshot(&path.join("journal"));
    files.into_iter().max_by_key(|(_, bytes)| bytes.len()).unwrap().0
}

#[test]
fn revisions_are_kept_in_order_and_missed_when_they_are_lost() {
    let directory = tempfile::tempdir().unwrap();
    let path = store(directory.path());
    let mut journal = Journal::open(&path).unwrap();
    // Two of the second epoch before the last of the first one.
    for (epoch, rank) in [(1, 0), (2, 1), (2, 0), (1, 300)] {
        journal.acknowledge(&[(Place::Revision(revision(epoch, rank)), record(epoch).1)]).unwrap();
    }
    let numbers = |journal: &Journal| -> Vec<u64> {
        journal.revisions().unwrap().into_iter().map(|(number, _)| number).collect()
    };
    let expected = [(1, 0), (1, 300), (2, 0), (2, 1)].map(|(epoch, rank)| revision(epoch, rank));
    assert_eq!(numbers(&journal), expected);
    drop(journal);
    let journal = Journal::open(&path).unwrap();
    assert_eq!(numbers(&journal), expected);
    assert_eq!(journal.evaluations().unwrap().len(), 300);
    drop(journal);
    // The last one is cut off.
    let log = log_file(&path);
    let bytes = fs::read(&log).unwrap();
    fs::write(&log, &bytes[..bytes.len() - 1]).unwrap();
    let error = refused(&path);
    assert!(
        error.to_string().contains("303 evaluations are there, but 304 were acknowledged"),
        "{error}"
    );
}

/// The log's frames after the settings: where each begins, and where the log ends.
fn frames(bytes: &[u8]) -> Vec<usize> {
    let mut places = Vec::new();
    let mut at = 16;
    while at < bytes.len() {
        at += 8 + u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        places.push(at);
    }
    assert_eq!(at, bytes.len());
    places
}

#[test]
fn a_frame_that_a_kill_cut_off_was_not_acknowledged_wherever_it_was_cut() {
    let directory = tempfile::tempdir().unwrap();
    let path = store(directory.path());
    let whole = fs::read(log_file(&path)).unwrap();
    let mut journal = Journal::open(&path).unwrap();
    journal.acknowledge(&[(Place::Child(300), record(300).1)]).unwrap();
    drop(journal);
    let longer = fs::read(log_file(&path)).unwrap();
    assert!(longer.starts_with(&whole));
    for length in (whole.len()..longer.len()).step_by(7).chain([longer.len() - 1]) {
        // As much of the frame as came to the disk, and the witness of before. The rest may be
        // anything.
        for rest in [0, 300] {
            fs::write(path.join("acknowledged"), format!("{:020}\n", 300)).unwrap();
            fs::write(log_file(&path), [&longer[..length], &vec![0; rest]].concat()).unwrap();
            assert_eq!(
                CheckedStore::of(&path).unwrap().evaluations().unwrap().len(),
                300,
                "{length} bytes"
            );
            let mut journal = Journal::open(&path).unwrap();
            assert_eq!(journal.evaluations().unwrap(), (0..300).map(record).collect::<Vec<_>>());
            assert_eq!(fs::read(log_file(&path)).unwrap(), whole);
            journal.acknowledge(&[(Place::Child(300), record(300).1)]).unwrap();
            assert_eq!(journal.evaluations().unwrap().len(), 301);
        }
    }
}

/// Returns the evaluations found in a store by the first digits of a hash.
fn found(path: &Path, digits: &str) -> Vec<(Place, EvaluationRecord)> {
    let (store, found) = CheckedStore::find(path, digits).unwrap();
    found.iter().map(|found| (found.place(), store.record(found).unwrap())).collect()
}

/// A short record, with a hash that looks random.
fn short(index: u64) -> EvaluationRecord {
    let hash = FunctionalHash(
        u128::from(index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835),
    )
    .to_string();
    let program =
        format!("def train(w, g, lr):\n  update = g * {}\n  return update\n", index % 100);
    EvaluationRecord { hash, program, settings: Vec::new(), curve: vec![0.5], ..record(index).1 }
}

#[test]
fn one_program_is_found_by_an_index_that_may_be_missing_cut_off_damaged_or_of_another_log() {
    let directory = tempfile::tempdir().unwrap();
    let write = |path: &Path, first: u64, count: u64| {
        let mut journal = if path.exists() {
            Journal::open(path).unwrap()
        } else {
            Journal::create(path, settings()).unwrap()
        };
        for batch in (first..first + count).collect::<Vec<u64>>().chunks(1000) {
            let records: Vec<_> =
                batch.iter().map(|index| (Place::Child(*index), short(*index))).collect();
            journal.acknowledge(&records).unwrap();
        }
        // One of the elite has the hash of a child.
        journal.acknowledge(&[(Place::Revision(revision(first, 0)), short(first + 7))]).unwrap();
    };
    let path = directory.path().join("store");
    let index = path.join("journal/index");
    write(&path, 0, 40_000);
    let whole = fs::read(&index).unwrap();
    assert!((30_000 * 20..40_000 * 21).contains(&whole.len()), "{} bytes", whole.len());
    let all: Vec<EvaluationRecord> = (0..40_000).map(short).collect();
    let check = |what: &str| {
        for number in [0, 7, 16_383, 20_000, 39_999] {
            let wanted = &all[number];
            assert_eq!(
                found(&path, &wanted.hash),
                [(Place::Child(number as u64), wanted.clone())],
                "{what}"
            );
            if number != 20_000 {
                continue;
            }
            let digits = &wanted.hash[..3];
            let mut expected: Vec<&EvaluationRecord> =
                all.iter().filter(|record| record.hash.starts_with(digits)).collect();
            expected.sort_by_key(|record| &record.hash);
            let found: Vec<EvaluationRecord> =
                found(&path, digits).into_iter().map(|(_, record)| record).collect();
            assert!(
                found.iter().eq(expected.iter().copied()) && expected.len() > 1,
                "{what}: {digits}"
            );
        }
        assert_eq!(found(&path, &"0".repeat(32)), [], "{what}");
    };
    check("whole");
    // Reopened, it is as it was.
    drop(Journal::open(&path).unwrap());
    assert!(fs::read(&index).unwrap() == whole);
    let segment = whole.len() / 2;
    for length in [0, 5, 60, 200, 3000, segment - 1, segment, segment + 100, whole.len() - 1] {
        fs::write(&index, &whole[..length]).unwrap();
        check(&format!("{length} bytes"));
    }
    for place in (0..whole.len()).step_by(60_013).chain((0..80).step_by(7)) {
        let mut damaged = whole.clone();
        damaged[place] ^= 16;
        fs::write(&index, damaged).unwrap();
        check(&format!("byte {place}"));
    }
    // Opening the store mends the last damage and a missing index.
    drop(Journal::open(&path).unwrap());
    assert!(fs::read(&index).unwrap() == whole);
    fs::remove_file(&index).unwrap();
    check("missing");
    drop(Journal::open(&path).unwrap());
    assert!(fs::read(&index).unwrap() == whole);
    // An index of a longer search, and one of another search.
    let other = directory.path().join("other");
    write(&other, 500, 60_000);
    fs::copy(other.join("journal/index"), &index).unwrap();
    check("of another log");
    drop(Journal::open(&path).unwrap());
    assert!(fs::read(&index).unwrap() == whole);
    write(&path, 40_000, 20_000);
    let longer = fs::read(&index).unwrap();
    assert!(longer.len() > whole.len() && longer.starts_with(&whole));
    assert_eq!(found(&path, &short(59_999).hash), [(Place::Child(59_999), short(59_999))]);
}

#[test]
fn readers_need_no_lock_and_touch_nothing_while_a_search_writes() {
    let directory = tempfile::tempdir().unwrap();
    let path = store(directory.path());
    let mut journal = Journal::open(&path).unwrap();
    for index in 300..310 {
        let before = snapshot(&path);
        let store = CheckedStore::of(&path).unwrap();
        assert_eq!(store.evaluations().unwrap(), (0..index).map(record).collect::<Vec<_>>());
        assert_eq!(
            found(&path, &record(index - 1).1.hash),
            [(Place::Child(index - 1), record(index - 1).1)]
        );
        assert!(snapshot(&path) == before);
        journal.acknowledge(&[(Place::Child(index), record(index).1)]).unwrap();
        // A reader has what was there when it began.
        assert_eq!(store.evaluations().unwrap().len() as u64, index);
    }
    // A search that is not to be read but to be gone on with waits.
    assert!(matches!(CheckedStore::held(&path, Salvage::No), Err(JournalError::Busy { .. })));
}

#[test]
fn what_is_whole_of_a_damaged_store_is_taken_up_on_request_with_what_was_lost() {
    let directory = tempfile::tempdir().unwrap();
    let path = store(directory.path());
    let bytes = fs::read(log_file(&path)).unwrap();
    let places = frames(&bytes);
    let begin = places[places.len() - 5];
    // Cut off in the middle of the log; a flipped bit; the witness is gone.
    let mut flipped = bytes.clone();
    flipped[begin + 20] ^= 4;
    let mut ends = std::collections::BTreeSet::new();
    for (damaged, lost_bytes) in [(&bytes[..begin + 3], 3), (&flipped, bytes.len() - begin)] {
        fs::write(log_file(&path), damaged).unwrap();
        fs::write(path.join("acknowledged"), format!("{:020}\n", 300)).unwrap();
        let error = refused(&path).to_string();
        assert!(error.contains("260 evaluations are there, but 300 were acknowledged"), "{error}");
        assert!(error.contains("--salvage"), "{error}");
        assert!(
            lost_bytes == 3 || error.contains(&format!("journal/log is damaged at byte {begin}")),
            "{error}"
        );
        let checked = CheckedStore::held(&path, Salvage::Yes).unwrap();
        assert_eq!(
            checked.lost(),
            Some(Lost { there: 260, acknowledged: 300, bytes: lost_bytes as u64 })
        );
        // Nothing that was written is thrown away.
        let salvaged = Journal::of(checked).unwrap();
        let kept = salvaged.kept_end().unwrap().to_owned();
        assert_eq!(kept.parent(), log_file(&path).parent());
        assert!(fs::read(&kept).unwrap() == damaged[begin..], "the kept end is another one");
        assert_eq!(fs::read(log_file(&path)).unwrap(), bytes[..begin]);
        ends.insert(kept);
        drop(salvaged);
        let journal = Journal::open(&path).unwrap();
        assert_eq!(journal.kept_end(), None);
        assert_eq!(journal.evaluations().unwrap(), (0..260).map(record).collect::<Vec<_>>());
    }
    assert_eq!(ends.len(), 2, "each in a file of its own: {ends:?}");
    fs::remove_file(path.join("acknowledged")).unwrap();
    assert!(refused(&path).to_string().contains("--salvage"));
    let checked = CheckedStore::held(&path, Salvage::Yes).unwrap();
    assert_eq!(checked.lost(), None);
    drop(Journal::of(checked).unwrap());
    assert_eq!(fs::read_to_string(path.join("acknowledged")).unwrap(), format!("{:020}\n", 260));
    // Lost settings can't be made up.
    let mut headless = bytes;
    headless[20] ^= 1;
    fs::write(log_file(&path), headless).unwrap();
    assert!(matches!(
        CheckedStore::held(&path, Salvage::Yes),
        Err(JournalError::Damaged { salvage: false, .. })
    ));
}

#[test]
fn a_store_that_a_killed_process_was_making_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let made = store(&directory.path().join("made"));
    for parts in [
        &[][..],
        &["lock"],
        &["lock", "journal"],
        &["lock", "journal", "journal/log"],
        &["lock", "journal", "journal/log", "acknowledged"],
    ] {
        let path = directory.path().join(format!("store-{}", parts.len()));
        fs::create_dir(&path).unwrap();
        fs::write(path.join(".symopt-making"), "").unwrap();
        for part in parts {
            let part = path.join(part);
            if part.ends_with("journal") {
                fs::create_dir(part).unwrap()
            } else {
                fs::write(part, "un").unwrap()
            }
        }
        assert!(matches!(Journal::open(&path), Err(JournalError::Foreign { .. })));
        let journal = Journal::create(&path, settings()).unwrap();
        assert_eq!(journal.evaluations().unwrap(), []);
        let names = |path: &Path| {
            snapshot(path)
                .into_keys()
                .map(|file| file.strip_prefix(path).unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&path), names(&made));
    }
}

#[test]
fn a_truncated_database_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let path = store(directory.path());
    let log = log_file(&path);
    let bytes = fs::read(&log).unwrap();
    for length in [0, 1, 1000, bytes.len() / 4, bytes.len() / 2] {
        fs::write(&log, &bytes[..length]).unwrap();
        let error = refused(&path);
        assert!(matches!(error, JournalError::Damaged { .. }), "{length} bytes: {error}");
    }
}

#[test]
fn a_database_with_flipped_bytes_is_either_whole_or_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let path = store(directory.path());
    let log = log_file(&path);
    let bytes = fs::read(&log).unwrap();
    let mut damaged = 0;
    for trial in 0..24 {
        let mut changed = bytes.clone();
        let start = trial * bytes.len() / 24;
        changed[start..].iter_mut().take(64).for_each(|byte| *byte ^= 0x5a);
        fs::write(&log, &changed).unwrap();
        let before = snapshot(&path);
        match Journal::open(&path) {
            // The bytes were not in use any more: then everything is still there.
            Ok(journal) => {
                assert_eq!(journal.evaluations().unwrap(), (0..300).map(record).collect::<Vec<_>>())
            }
            Err(error) => {
                damaged += 1;
                assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
                assert!(snapshot(&path) == before, "a refused store was changed");
            }
        }
        fs::remove_dir_all(path.join("journal")).unwrap();
        fs::create_dir(path.join("journal")).unwrap();
        for (file, content) in &before {
            if file.starts_with(path.join("journal")) {
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, content).unwrap();
            }
        }
    }
    assert!(damaged > 0, "no damage was ever seen");
}

/// The numbers of the children whose evaluations a look finds, and other entries.
fn look(follower: &mut Follower) -> (Look, Vec<u64>, Vec<Entry>) {
    let (mut children, mut others) = (Vec::new(), Vec::new());
    let look = follower.look(&mut |entry| match entry {
        Entry::Evaluation { place: Place::Child(number), .. } => children.push(number),
        entry => others.push(entry),
    });
    (look.unwrap(), children, others)
}

#[test]
fn whoever_follows_a_journal_has_each_entry_once_also_when_it_was_killed_and_resumed() {
    let directory = tempfile::tempdir().unwrap();
    let path = store(directory.path());
    let before = snapshot(&path);
    let mut follower = Follower::open(&path).unwrap();
    assert_eq!(follower.settings(), &settings());
    assert_eq!(look(&mut follower), (Look::More, (0..300).collect(), vec![]));
    assert_eq!(look(&mut follower), (Look::More, vec![], vec![]));
    assert!(snapshot(&path) == before, "a store that is followed was changed");
    // A search that was killed while it wrote leaves a part of a frame, and goes on after it.
    let log = path.join("journal/log");
    let whole = fs::read(&log).unwrap();
    for part in [1, 7, 8, 9, 40] {
        let mut bytes = whole.clone();
        bytes.extend([40, 0, 0, 0].iter().cycle().take(part));
        fs::write(&log, bytes).unwrap();
        assert_eq!(look(&mut follower), (Look::More, vec![], vec![]), "{part}");
    }
    let mut journal = Journal::open(&path).unwrap();
    if let Some(held) = is_held(&path) {
        assert!(held, "a search writes");
    }
    journal.acknowledge(&[(Place::Child(300), record(300).1)]).unwrap();
    assert_eq!(look(&mut follower).1, [300]);
    // Whoever follows keeps nobody from anything.
    assert!(matches!(Journal::open(&path), Err(JournalError::Busy { .. })));
    journal.note_end(StopReason::Programs).unwrap();
    drop(journal);
    assert_ne!(is_held(&path), Some(true), "nobody writes");
    let end = vec![Entry::End(StopReason::Programs)];
    assert_eq!(look(&mut follower), (Look::More, vec![], end.clone()));
    // One that begins later has the same.
    let mut late = Follower::open(&path).unwrap();
    assert_eq!(look(&mut late), (Look::More, (0..301).collect(), end));
}

#[test]
fn whoever_follows_a_journal_sees_that_it_is_another_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = store(directory.path());
    let mut follower = Follower::open(&path).unwrap();
    let _ = look(&mut follower);
    // Shorter, longer and equally long, with the same beginning and without.
    for (count, seed) in [(10, 0), (400, 0), (400, 1), (3, 2)] {
        fs::remove_dir_all(&path).unwrap();
        assert!(follower.look(&mut |_| {}).is_err(), "the store is not there");
        let mut settings = settings();
        settings.config.seed = seed;
        let mut journal = Journal::create(&path, settings).unwrap();
        let records: Vec<_> =
            (0..count).map(|index| (Place::Child(index), record(index).1)).collect();
        journal.acknowledge(&records).unwrap();
        assert_eq!(look(&mut follower).0, Look::Anew, "{count}, {seed}");
        assert_eq!(look(&mut follower).1, (0..count).collect::<Vec<_>>());
        assert_eq!(follower.settings().config.seed, seed);
    }
    // Damage is an error, and what was read before stays read.
    let log = path.join("journal/log");
    let mut bytes = fs::read(&log).unwrap();
    let whole = bytes.clone();
    let mut journal = Journal::open(&path).unwrap();
    journal.acknowledge(&[(Place::Child(3), record(3).1)]).unwrap();
    drop(journal);
    bytes = fs::read(&log).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&log, &bytes).unwrap();
    assert!(matches!(follower.look(&mut |_| {}), Err(JournalError::Damaged { .. })));
    fs::write(&log, &whole).unwrap();
    assert_eq!(look(&mut follower), (Look::More, vec![], vec![]));
}
