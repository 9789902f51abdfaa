//! Searches by way of a real server have the journal of one in threads, whatever others publish
//! there: garbage, what was there before, wrong results. The server is the one of
//! `.ci/nats-server`:
//!
//! ```sh
//! cargo test -p symopt-machines --features nats --test proofs -- --include-ignored
//! ```

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::message::PublishMessage;
use futures_util::StreamExt;
use symopt_cancel::CancelToken;
use symopt_machines::courier::{Courier, CourierError, Link, Notice, Terms, serve};
use symopt_machines::here::Here;
use symopt_machines::probe::Probe;
use symopt_proxy_tasks::executor::Executor;
use symopt_proxy_tasks::job::{Answer, Job, LARGEST, Outcome};
use symopt_search::SearchConfig;
use symopt_search::journal::Journal;
use symopt_search::launch::Launcher;
use symopt_testing::nats::Server;

fn config(programs: u64) -> SearchConfig {
    let mut config = SearchConfig {
        suite: "smoke".to_owned(),
        seed: 5,
        initial: vec!["adamw".to_owned()].into(),
        ..SearchConfig::default()
    };
    (config.fitness.seeds, config.fitness.tuning_seeds) = (2, 2);
    (config.evolution.population, config.evolution.tournament, config.evolution.lag) = (20, 4, 8);
    config.limits.programs = programs;
    config
}

fn contents(executor: Option<Arc<dyn Executor>>, config: &SearchConfig) -> String {
    let directory = tempfile::tempdir().unwrap();
    let (store, cancel) = (directory.path().join("store"), CancelToken::new());
    let launch = Launcher::new(executor).begin(config.clone(), &store, &cancel).unwrap();
    drop(launch.run(4, &cancel, &mut |_| {}).unwrap());
    Journal::open(&store).unwrap().contents().unwrap()
}

fn terms(server: &Server, name: &str) -> Terms {
    Terms {
        link: Link::new(&server.url()),
        class: "cpu".to_owned(),
        name: name.to_owned(),
        slots: 1,
        idle_exit: None,
        command: None,
        limit: Duration::from_secs(600),
        probe: Probe::here(&CancelToken::new()).unwrap(),
    }
}

type Heard = Arc<Mutex<Vec<Notice>>>;

fn courier(server: &Server) -> (Arc<dyn Executor>, Heard) {
    let heard = Heard::default();
    let of_courier = Arc::clone(&heard);
    let notify = Box::new(move |notice: &Notice| of_courier.lock().unwrap().push(notice.clone()));
    let courier = Courier::new(&Link::new(&server.url()), "cpu", notify).unwrap();
    (Arc::new(courier), heard)
}

/// Runs something that talks to the server as anybody can, until the token is cancelled.
fn meddle<F: Future<Output = ()>>(make: impl FnOnce(jetstream::Context) -> F, server: &Server) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = async_nats::connect(server.url()).await.unwrap();
        make(jetstream::new(client)).await;
    });
}

/// Publishes what was published before, and all kinds of things that are no messages.
async fn noise(context: jetstream::Context, end: &CancelToken) {
    let client = context.client();
    let mut seen = client.subscribe("symopt.>").await.unwrap();
    let mut turn = 0usize;
    while !end.is_cancelled() {
        let next = tokio::time::timeout(Duration::from_millis(50), seen.next()).await;
        let Ok(Some(message)) = next else { continue };
        // Not what this published itself.
        let is_own = |h: &async_nats::HeaderMap| h.get("Noise").is_some();
        if message.headers.as_ref().is_some_and(is_own) || message.subject.ends_with("roll") {
            continue;
        }
        turn += 1;
        let mut headers = message.headers.clone().unwrap_or_default();
        headers.insert("Noise", "1");
        headers.insert("Nats-Msg-Id", format!("noise-{turn}"));
        let mut payload = message.payload.to_vec();
        match turn % 8 {
            // Again as it was: a stale job, a stale answer.
            0 => {}
            1 => payload.truncate(payload.len() / 2),
            2 => {
                let place = payload.len() / 2;
                payload[place] ^= 1;
            }
            3 => payload = b"symopt answer 1 0123456789abcdef 2\n{}".to_vec(),
            4 => payload = b"symopt job 99 and more\n".to_vec(),
            5 => payload = vec![0xff; 1000],
            6 => payload = vec![b'x'; LARGEST + 1000],
            // To nobody, or by nobody.
            _ => {
                headers.insert("Symopt-Session", "a.b > *");
                headers.insert("Symopt-Publication", "-1");
            }
        }
        let subject = message.subject.clone();
        client.publish_with_headers(subject, headers, payload.into()).await.unwrap();
    }
}

#[test]
#[ignore = "it starts the server of .ci/nats-server: `.ci/run` runs it"]
fn garbage_and_what_was_there_before_change_nothing() {
    let store = tempfile::tempdir().unwrap();
    let server = Server::start(store.path());
    let config = config(600);
    let expected = contents(None, &config);
    let (courier, _) = courier(&server);
    let (drain, end) = (CancelToken::new(), CancelToken::new());
    let all = [terms(&server, "one"), terms(&server, "two")];
    std::thread::scope(|scope| {
        let workers: Vec<_> =
            all.iter().map(|terms| scope.spawn(|| serve(terms, &drain, &end))).collect();
        let meddler = scope.spawn(|| meddle(|context| noise(context, &end), &server));
        let found = scope.spawn(|| contents(Some(courier), &config)).join();
        drain.cancel();
        for worker in workers {
            worker.join().unwrap().unwrap();
        }
        end.cancel();
        meddler.join().unwrap();
        assert!(found.unwrap() == expected, "the journals differ");
    });
}

/// A worker that flips a bit in each of its results after the first `honest` ones.
async fn lie(context: jetstream::Context, name: &str, honest: usize, end: &CancelToken) {
    let here = Here::default();
    let mut done = 0;
    while !end.is_cancelled() {
        let consumer =
            context.get_consumer_from_stream::<pull::Config, _, _>("workers-cpu", "SYMOPT_JOBS");
        let Ok(consumer) = consumer.await else { continue };
        let fetch = consumer.fetch().max_messages(1).expires(Duration::from_millis(500));
        let mut messages = fetch.messages().await.unwrap();
        while let Some(Ok(message)) = messages.next().await {
            let headers = message.headers.clone().unwrap();
            let header = |name: &str| headers.get(name).unwrap().as_str().to_owned();
            let (session, publication) = (header("Symopt-Session"), header("Symopt-Publication"));
            let job = Job::decode(&message.payload).unwrap();
            let mut outcome = here.outcome(&job, &CancelToken::new()).unwrap();
            done += 1;
            if done > honest
                && let Outcome::Done(value) = &mut outcome
            {
                flip(value);
            }
            let digest = Job::digest(&message.payload);
            let answer = Answer { job: digest, worker: name.to_owned(), outcome };
            let publish = PublishMessage::build()
                .header("Symopt-Publication", publication)
                .payload(answer.encode().unwrap().into());
            let sent = context.send_publish(format!("symopt.results.{session}"), publish).await;
            sent.unwrap().await.unwrap();
            message.double_ack().await.unwrap();
        }
    }
}

/// Flips the last bit of the first large number, which are the bits of a loss or of a fitness.
fn flip(value: &mut serde_json::Value) -> bool {
    match value {
        serde_json::Value::Number(number) => match number.as_u64() {
            Some(bits) if bits > 1 << 32 => {
                *value = (bits ^ 1).into();
                true
            }
            _ => false,
        },
        serde_json::Value::Array(values) => values.iter_mut().any(flip),
        serde_json::Value::Object(fields) => fields.values_mut().any(flip),
        _ => false,
    }
}

#[test]
#[ignore = "it starts the server of .ci/nats-server: `.ci/run` runs it"]
fn a_worker_that_lies_is_found_before_its_first_result_counts() {
    let store = tempfile::tempdir().unwrap();
    let server = Server::start(store.path());
    let config = config(600);
    let expected = contents(None, &config);
    let (courier, heard) = courier(&server);
    let (drain, end) = (CancelToken::new(), CancelToken::new());
    let honest = terms(&server, "honest");
    std::thread::scope(|scope| {
        let liar = scope.spawn(|| meddle(|context| lie(context, "liar", 0, &end), &server));
        let search = scope.spawn(|| contents(Some(courier), &config));
        // The liar has the first job.
        std::thread::sleep(Duration::from_millis(500));
        let worker = scope.spawn(|| serve(&honest, &drain, &CancelToken::new()));
        let found = search.join();
        drain.cancel();
        end.cancel();
        worker.join().unwrap().unwrap();
        liar.join().unwrap();
        assert!(found.unwrap() == expected, "the journals differ");
    });
    let heard = heard.lock().unwrap();
    let alarm = Notice::Wrong { worker: "liar".to_owned(), others: 0, wrong: 0 };
    assert!(heard.contains(&alarm), "{heard:?}");
}

#[test]
#[ignore = "it starts the server of .ci/nats-server: `.ci/run` runs it"]
fn a_worker_that_lies_later_ends_the_search_with_its_name() {
    let store = tempfile::tempdir().unwrap();
    let server = Server::start(store.path());
    let config = config(20_000);
    let (courier, heard) = courier(&server);
    let end = CancelToken::new();
    std::thread::scope(|scope| {
        let liar = scope.spawn(|| meddle(|context| lie(context, "liar", 5, &end), &server));
        let search = scope.spawn(|| {
            let directory = tempfile::tempdir().unwrap();
            let (store, cancel) = (directory.path().join("store"), CancelToken::new());
            let launcher = Launcher::new(Some(courier));
            let launch = launcher.begin(config.clone(), &store, &cancel).unwrap();
            launch.run(4, &cancel, &mut |_| {}).map(drop)
        });
        let error = search.join().unwrap().unwrap_err().to_string();
        end.cancel();
        liar.join().unwrap();
        assert!(error.contains("worker liar") && error.contains("begin again"), "{error}");
    });
    let heard = heard.lock().unwrap();
    let is_alarm = |notice: &Notice| matches!(notice, Notice::Wrong { wrong: 1.., .. });
    assert!(heard.iter().any(is_alarm), "{heard:?}");
}

#[test]
#[ignore = "it starts the server of .ci/nats-server: `.ci/run` runs it"]
fn a_worker_of_another_release_or_with_other_bits_is_refused_with_the_reason() {
    let store = tempfile::tempdir().unwrap();
    let server = Server::start(store.path());
    let config = config(300);
    let expected = contents(None, &config);
    let (courier, heard) = courier(&server);
    let good = terms(&server, "good");
    let line = good.probe.line();
    let release = line.split(' ').find(|pair| pair.starts_with("release=")).unwrap();
    let run = line.split(' ').find(|pair| pair.contains('/')).unwrap();
    let name = run.split('=').next().unwrap();
    let drain = CancelToken::new();
    let others = [line.replace(release, "release=0.0.1"), line.replace(run, &format!("{name}=0"))];
    std::thread::scope(|scope| {
        let search = scope.spawn(|| contents(Some(courier), &config));
        for (line, expected) in others.iter().zip(["release is 0.0.1", name]) {
            let terms = Terms { probe: Probe::of_line(line), ..terms(&server, "other") };
            let refused = serve(&terms, &CancelToken::new(), &CancelToken::new());
            let Err(CourierError::Differs(reason)) = refused else { panic!("{refused:?}") };
            assert!(reason.contains(expected), "{reason}");
        }
        let worker = scope.spawn(|| serve(&good, &drain, &CancelToken::new()));
        let found = search.join();
        drain.cancel();
        worker.join().unwrap().unwrap();
        assert!(found.unwrap() == expected, "the journals differ");
    });
    let heard = heard.lock().unwrap();
    assert!(heard.iter().any(|notice| matches!(notice, Notice::Returned { .. })), "{heard:?}");
}
