fn main() {
    let mut first = true;
    for path in std::env::args().skip(1) {
        let store = symopt_search::journal::CheckedStore::of(std::path::Path::new(&path)).unwrap();
        let records = store.evaluations().unwrap();
        let late: Vec<_> = records
            .iter()
            .rev()
            .filter(|(_, r)| matches!(r.fitness, symopt_proxy_tasks::suite::Fitness::Improvement(_)))
            .take(100)
            .collect();
        eprintln!(
            "{path}: {} evaluations, last index {}, late from {}",
            records.len(),
            records.last().map_or(0, |r| r.0),
            late.last().map_or(0, |r| r.0)
        );
        for (_, record) in late {
            if !first {
                println!("---");
            }
            first = false;
            print!("{}", record.program);
        }
    }
}
