//! Cost of the built-in tasks, and where the time goes.
//!
//! `run/*`: one training run of each task of `quick` with tuned AdamW, validation included.
//! `gradient/*` and `adamw/*`: one step's batch, loss and gradient against one step of the
//! optimizer on the same parameters.

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use symopt_cancel::CancelToken;
use symopt_evaluator::{Layout, Optimizer};
use symopt_proxy_tasks::model::{
    Activation, Batch, Inputs, Linear, Mlp, Model, Transformer, TransformerSizes,
};
use symopt_proxy_tasks::rng::{Purpose, stream};
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::task::Verdict;

fn runs(criterion: &mut Criterion) {
    let suite = SuiteSource::find("quick")
        .and_then(|source| source.suite())
        .expect("the built-in suite is sound");
    let adamw = symopt_programs::adamw().program();
    let mut group = criterion.benchmark_group("run");
    group.sample_size(20);
    for weighted in &suite.tasks {
        let candidate = weighted.candidate(&adamw, Some("adamw"));
        group.bench_function(weighted.task.name(), |bencher| {
            bencher.iter(|| {
                weighted
                    .task
                    .run(&candidate, 1, &CancelToken::new(), &mut |_| Verdict::Continue)
                    .expect("adamw runs")
            });
        });
    }
}

/// A name, a model and a batch for it.
type Case<'a> = (&'a str, Box<dyn Model<f32>>, Batch<'a, f32>);

fn steps(criterion: &mut Criterion) {
    let sizes = TransformerSizes {
        layers: 1,
        width: 16,
        heads: 2,
        hidden: 32,
        activation: Activation::Gelu,
    };
    let (rows, tokens, labels) = (vec![0.5_f32; 64 * 64], vec![3_u16; 16 * 8], vec![1_u16; 64]);
    let vectors = Batch {
        size: 64,
        inputs: Inputs::Vectors { rows: &rows, columns: &rows },
        labels: &labels,
    };
    let text = Batch { size: 16, inputs: Inputs::Tokens(&tokens), labels: &tokens };
    let models: [Case; 3] = [
        ("digits-linear", Box::new(Linear::new(64, 10).expect("sizes fit")), vectors),
        (
            "digits-mlp",
            Box::new(Mlp::new(64, &[32], 10, Activation::Relu).expect("sizes fit")),
            vectors,
        ),
        ("language-tiny", Box::new(Transformer::language(sizes, 32, 8).expect("sizes fit")), text),
    ];
    for (name, model, batch) in &models {
        let mut parameters = model.initialize(&mut stream(1, Purpose::Initialization));
        let mut gradient = vec![0.0; parameters.len()];
        let mut workspace = model.workspace(batch.size);
        criterion.bench_function(&format!("gradient/{name}"), |bencher| {
            bencher.iter(|| {
                model.loss_and_gradient(
                    black_box(&parameters),
                    batch,
                    &mut gradient,
                    &mut workspace,
                )
            });
        });
        let arrays = model
            .parameters()
            .arrays()
            .iter()
            .map(|array| (array.name.as_str(), array.shape.clone()));
        let layout = Layout::new(arrays).expect("names are unique");
        let mut optimizer =
            Optimizer::new(&symopt_programs::adamw().program(), &layout).expect("adamw runs");
        criterion.bench_function(&format!("adamw/{name}"), |bencher| {
            bencher.iter(|| {
                optimizer
                    .step(&mut parameters, black_box(&gradient), 1e-6)
                    .expect("the layout is the optimizer's")
            });
        });
    }
}

criterion_group!(benches, runs, steps);
criterion_main!(benches);
