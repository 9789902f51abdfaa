//! The page of searches as they run, over real connections: each entry of a journal once, whatever
//! happens to the search, the page and the server; and nothing for anybody but this machine.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use symopt_cancel::CancelToken;
use symopt_dsl::FunctionalHash;
use symopt_live::{Live, LiveError};
use symopt_proxy_tasks::suite::Fitness;
use symopt_search::SearchConfig;
use symopt_search::journal::{EvaluationRecord, Improvement, Journal, Place, Settings};
use symopt_search::store::stop_reason::StopReason;

const PROGRAM: &str = "def f(w, g, lr):\n  update = g * lr\n  return update\n";
/// Time limit that any machine keeps, however loaded it is.
const LONG: Duration = Duration::from_secs(60);

fn settings(seed: u64) -> Settings {
    Settings {
        config: SearchConfig { seed, ..SearchConfig::default() },
        initial: PROGRAM.to_owned(),
        others: Vec::new(),
        suite: String::new(),
        target: None,
        hash_version: FunctionalHash::FORMAT_VERSION,
    }
}

fn acknowledge(journal: &mut Journal, children: std::ops::Range<u64>) {
    for child in children {
        let record = EvaluationRecord {
            hash: FunctionalHash(u128::from(child) << 80).to_string(),
            program: PROGRAM.to_owned(),
            fitness: Fitness::Improvement(0.001 * child as f64),
            curve: Vec::new(),
            standard_error: 0.0,
            seeds: 1,
            settings: Vec::new(),
            failure: None,
        };
        let improvement =
            Improvement { index: child, hash: record.hash.clone(), fitness: record.fitness };
        journal.note_improvement(&improvement).unwrap();
        journal.acknowledge(&[(Place::Child(child), record)]).unwrap();
    }
}

fn address(live: &Live) -> String {
    live.url().trim_start_matches("http://").trim_end_matches('/').to_owned()
}

/// The answer to a request as it stands.
fn asked(live: &Live, request: &str) -> String {
    let mut stream = TcpStream::connect(address(live)).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(live: &Live, host: &str) -> String {
    asked(live, &format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
}

/// A page: the entries that it has of each store, taken as the page's script takes them.
struct Page {
    lines: BufReader<TcpStream>,
    entries: Vec<Vec<Value>>,
    statuses: Vec<Value>,
    last: String,
    /// Entries that came twice, or from further on than what was there.
    faults: usize,
}

impl Page {
    fn open(live: &Live, last: &str, entries: Vec<Vec<Value>>) -> Page {
        let mut stream = TcpStream::connect(address(live)).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let id = if last.is_empty() { String::new() } else { format!("Last-Event-ID: {last}\r\n") };
        write!(stream, "GET /events HTTP/1.0\r\nHost: localhost:1\r\n{id}\r\n").unwrap();
        let lines = BufReader::new(stream);
        Page { lines, entries, statuses: Vec::new(), last: last.to_owned(), faults: 0 }
    }

    /// Takes events until something holds.
    fn until(&mut self, holds: impl Fn(&Page) -> bool) {
        let begin = Instant::now();
        let (mut kind, mut data, mut id) = (String::new(), String::new(), None);
        while !holds(self) {
            assert!(begin.elapsed() < LONG, "{:?} {:?}", self.counts(), self.statuses);
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "the server has ended");
            let line = line.trim_end();
            match line.split_once(": ") {
                Some(("event", text)) => kind = text.to_owned(),
                Some(("data", text)) => data = text.to_owned(),
                Some(("id", text)) => id = Some(text.to_owned()),
                _ if line.is_empty() && !kind.is_empty() => {
                    self.take(&std::mem::take(&mut kind), &std::mem::take(&mut data));
                    self.last = id.take().unwrap_or_else(|| self.last.clone());
                }
                _ => {}
            }
        }
    }

    fn take(&mut self, kind: &str, data: &str) {
        let data: Value = serde_json::from_str(data).unwrap_or_default();
        let store = data["store"].as_u64().unwrap_or(0) as usize;
        match kind {
            "status" => {
                self.statuses.resize(self.statuses.len().max(store + 1), Value::Null);
                self.statuses[store] = data["status"].clone();
            }
            "entries" => {
                self.entries.resize(self.entries.len().max(store + 1), Vec::new());
                let held = &mut self.entries[store];
                let from = data["from"].as_u64().unwrap() as usize;
                // From the first on where it is another journal, and otherwise where it was.
                self.faults += usize::from(from != held.len() && from != 0);
                held.truncate(from);
                held.extend(data["entries"].as_array().unwrap().iter().cloned());
            }
            _ => {}
        }
    }

    fn counts(&self) -> Vec<usize> {
        self.entries.iter().map(Vec::len).collect()
    }

    /// The children whose evaluations it has, in the order in which they came.
    fn children(&self, store: usize) -> Vec<u64> {
        let of_child =
            |entry: &Value| (entry[0] == "evaluation").then(|| entry[1].as_u64()).flatten();
        self.entries
            .get(store)
            .map_or_else(Vec::new, |held| held.iter().filter_map(of_child).collect())
    }
}

fn begun(stores: &[PathBuf]) -> Live {
    let live = Live::begin(0, &CancelToken::new()).unwrap();
    live.show_all(stores).unwrap();
    live
}

fn all(count: u64) -> Vec<u64> {
    (0..count).collect()
}

#[test]
fn a_page_has_each_entry_once_whatever_ends_and_begins_again() {
    let directory = tempfile::tempdir().unwrap();
    let stores: Vec<PathBuf> = ["first", "second"].map(|name| directory.path().join(name)).into();
    let mut first = Journal::create(&stores[0], settings(0)).unwrap();
    drop(Journal::create(&stores[1], settings(1)).unwrap());
    acknowledge(&mut first, 0..2500);
    let live = begun(&stores);
    let mut page = Page::open(&live, "", Vec::new());
    page.until(|page| page.children(0).len() == 2500);
    // The search goes on, is interrupted, and resumed; the second begins.
    acknowledge(&mut first, 2500..2510);
    page.until(|page| page.children(0).len() == 2510);
    drop(first);
    let mut first = Journal::open(&stores[0]).unwrap();
    let mut second = Journal::open(&stores[1]).unwrap();
    acknowledge(&mut second, 0..5);
    acknowledge(&mut first, 2510..2520);
    page.until(|page| page.children(0).len() == 2520 && page.children(1).len() == 5);
    // The connection breaks: what follows is what was not there.
    let Page { entries, last, faults, .. } = page;
    assert_eq!(faults, 0);
    acknowledge(&mut first, 2520..2530);
    let mut page = Page::open(&live, &last, entries);
    page.until(|page| page.children(0).len() == 2530);
    // The server ends, and another one begins.
    let Page { entries, last, faults, .. } = page;
    assert_eq!(faults, 0);
    drop(live);
    acknowledge(&mut first, 2530..2540);
    let live = begun(&stores);
    let mut page = Page::open(&live, &last, entries);
    page.until(|page| page.children(0).len() == 2540);
    first.note_end(StopReason::Programs).unwrap();
    drop(first);
    page.until(|page| page.statuses.first().is_some_and(|status| status["state"] == "ended"));
    assert_eq!((page.faults, page.children(0), page.children(1)), (0, all(2540), all(5)));
    let improvements = page.entries[0].iter().filter(|entry| entry[0] == "best").count();
    assert_eq!(improvements, 2540, "each child was better");
    // Another search in the place of the first: its entries, and none of the other's.
    std::fs::remove_dir_all(&stores[0]).unwrap();
    let mut other = Journal::create(&stores[0], settings(7)).unwrap();
    acknowledge(&mut other, 0..3);
    page.until(|page| page.children(0) == all(3));
    // A page with the id of a journal that is gone, or with one that nobody gave, begins anew.
    for last in [page.last.as_str(), "2540-abc.5-1", "x", "99999999-0.1-1"] {
        let mut late = Page::open(&live, last, vec![vec![Value::Null; 9], Vec::new()]);
        if last != page.last {
            late.until(|late| late.children(0) == all(3) && late.children(1) == all(5));
            assert_eq!(late.counts()[0], page.counts()[0]);
        }
    }
}

#[test]
fn a_page_shows_rates_the_best_program_and_the_hall_of_fame() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("<script>alert(1)");
    let mut journal = Journal::create(&store, settings(3)).unwrap();
    acknowledge(&mut journal, 0..20);
    let live = begun(std::slice::from_ref(&store));
    let mut page = Page::open(&live, "", Vec::new());
    page.until(|page| {
        page.statuses.first().is_some_and(|status| !status["hall"]["best"].is_null())
    });
    let status = &page.statuses[0];
    assert_eq!(status["name"], store.display().to_string());
    assert_eq!((&status["programs"], &status["evaluated"]), (&20.into(), &20.into()));
    assert_eq!(status["best"]["fitness"], 1.9);
    assert_eq!(status["hall"]["best"]["text"], PROGRAM);
    assert_eq!(status["hall"]["best"]["update"], "update = lr·g");
    assert_eq!(status["hall"]["front"][0]["fitness"], 1.9);
    assert_eq!(status["search"]["seed"], 3);
    if cfg!(target_os = "linux") {
        assert_eq!(status["state"], "running");
        drop(journal);
        page.until(|page| page.statuses[0]["state"] == "stopped");
    }
    // The page reports the end of a store and lives on.
    std::fs::remove_dir_all(&store).unwrap();
    page.until(|page| page.statuses[0]["state"] == "unreadable");
    let mut journal = Journal::create(&store, settings(3)).unwrap();
    acknowledge(&mut journal, 0..21);
    page.until(|page| page.children(0) == all(21));
    assert_eq!(page.faults, 0);
}

#[test]
fn nothing_is_served_but_to_this_machine() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    drop(Journal::create(&store, settings(0)).unwrap());
    let live = begun(std::slice::from_ref(&store));
    let port = address(&live).rsplit_once(':').unwrap().1.to_owned();
    assert!(address(&live).starts_with("127.0.0.1:"));
    for host in [format!("localhost:{port}"), address(&live), "LOCALHOST".to_owned()] {
        let answer = get(&live, &host);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{host}: {answer:.300}");
        let head = answer.split("\r\n\r\n").next().unwrap().to_lowercase();
        assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
        assert!(!head.contains("unsafe") && !head.contains("access-control"), "{head}");
        assert!(head.contains("x-content-type-options: nosniff"), "{head}");
    }
    for host in [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        format!("127.0.0.1.evil:{port}"),
    ] {
        let answer = get(&live, &host);
        assert!(answer.starts_with("HTTP/1.1 421 "), "{host}: {answer:.300}");
        let request = format!("GET /events HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert!(asked(&live, &request).starts_with("HTTP/1.1 421 "), "{host}");
    }
    for (request, code) in [
        ("GET / HTTP/1.0\r\n\r\n", " 421 "),
        (
            "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            " 421 ",
        ),
        (
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            " 405 ",
        ),
        ("GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", " 404 "),
        ("HEAD /events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", " 200 "),
        ("garbage\r\n\r\n", " 400 "),
    ] {
        let answer = asked(&live, request);
        assert!(
            answer.lines().next().is_some_and(|line| line.contains(code)),
            "{request}: {answer:.200}"
        );
    }
    // A port that is taken is an error, with a way out.
    let taken = Live::begin(port.parse().unwrap(), &CancelToken::new()).map(drop).unwrap_err();
    assert!(matches!(taken, LiveError::Taken { .. }) && taken.to_string().contains("another port"));
    let none = live.show(&directory.path().join("none")).unwrap_err();
    assert!(matches!(none, LiveError::Journal(_)), "{none}");
}

#[test]
fn an_end_that_is_asked_for_comes_while_pages_are_open() {
    let directory = tempfile::tempdir().unwrap();
    let store: &Path = &directory.path().join("store");
    drop(Journal::create(store, settings(0)).unwrap());
    let cancel = CancelToken::new();
    let live = Live::begin(0, &cancel).unwrap();
    live.show(store).unwrap();
    let mut pages: Vec<Page> = (0..3).map(|_| Page::open(&live, "", Vec::new())).collect();
    for page in &mut pages {
        page.until(|page| !page.statuses.is_empty());
    }
    // One that says nothing, too.
    let silent = TcpStream::connect(address(&live)).unwrap();
    let begin = Instant::now();
    cancel.cancel();
    live.wait();
    assert!(begin.elapsed() < Duration::from_secs(20));
    drop(silent);
}
