use symopt_search::rediscovery::*;
use std::sync::atomic::AtomicBool;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let protocol = Protocol::from_toml("p", &std::fs::read_to_string(&args[1]).unwrap()).unwrap();
    let t = std::time::Instant::now();
    let r = Rediscovery::new(protocol, 2).unwrap();
    println!("{:?} {:.1}", r.peers(), t.elapsed().as_secs_f64());
    let text = std::fs::read_to_string(&args[2]).unwrap();
    for body in text.split("----\n") {
        let t = std::time::Instant::now();
        let d = symopt_search::direction::split(&symopt_dsl::parse(body).unwrap()).unwrap();
        let f = r.finish(&d, &AtomicBool::new(false)).unwrap();
        println!("==== {:.1} s\n{}\n{}\n{:?} {:?} {}\n{:?} {:?}", t.elapsed().as_secs_f64(), body, f.simplified, f.structure, f.by_form, f.classification, f.fitness, f.gains);
    }
}
