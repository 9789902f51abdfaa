//! The candle adapter.

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{Module, Optimizer as _, VarBuilder, VarMap};
use half::bf16;
use ndarray::{ArrayD, IxDyn};
use symopt_evaluator::adapters::candle::{Config, ProgramOptimizer};
use symopt_evaluator::adapters::{AdapterError, MissingGradients};
use symopt_evaluator::{Layout, OptimizerError, ParameterArray, Reference};

use super::{ADAMW, COUPLED, LION, bits, bytes_of, numbers, program, prototype};

const CPU: &Device = &Device::Cpu;

/// A network of two layers with seeded weights, and its loss.
struct Network {
    map: VarMap,
    layers: [candle_nn::Linear; 2],
    inputs: Tensor,
    targets: Tensor,
}

impl Network {
    fn new() -> Network {
        let mut map = VarMap::new();
        let builder = VarBuilder::from_varmap(&map, DType::F32, CPU);
        let layers = [("first", 5, 7), ("second", 7, 3)].map(|(name, from, to)| {
            candle_nn::linear(from, to, builder.pp(name)).expect("a layer")
        });
        for (seed, (name, var)) in sorted(&map).into_iter().enumerate() {
            let values = Tensor::from_vec(numbers(seed as u64, var.elem_count()), var.dims(), CPU)
                .expect("a tensor");
            map.set_one(name, values).expect("it fits");
        }
        let inputs = Tensor::from_vec(numbers(10, 40), (8, 5), CPU).expect("a tensor");
        let targets = Tensor::from_vec(numbers(11, 24), (8, 3), CPU).expect("a tensor");
        Network { map, layers, inputs, targets }
    }

    fn loss(&self) -> Tensor {
        let hidden =
            self.layers[0].forward(&self.inputs).and_then(|hidden| hidden.tanh()).expect("it runs");
        let outputs = self.layers[1].forward(&hidden).expect("it runs");
        (outputs - &self.targets)
            .and_then(|difference| difference.sqr()?.mean_all())
            .expect("it runs")
    }

    /// The weights, in the order of their names.
    fn weights(&self) -> Vec<u32> {
        sorted(&self.map).iter().flat_map(|(_, var)| bits(&flat(var))).collect()
    }

    fn optimizer(&self, text: &str, values: &[(&str, f64)]) -> ProgramOptimizer {
        ProgramOptimizer::from_var_map(&self.map, Config::new(0.01, prototype(text, values)))
            .expect("it can be made")
    }

    fn train(&self, optimizer: &mut ProgramOptimizer, steps: usize) {
        for _ in 0..steps {
            optimizer.backward_step(&self.loss()).expect("it steps");
        }
    }
}

fn sorted(map: &VarMap) -> Vec<(String, Var)> {
    let mut named: Vec<_> = map
        .data()
        .lock()
        .expect("a map")
        .iter()
        .map(|(name, var)| (name.clone(), var.clone()))
        .collect();
    named.sort_by(|(a, _), (b, _)| a.cmp(b));
    named
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().and_then(|flat| flat.to_vec1()).expect("f32 numbers")
}

fn array(tensor: &Tensor) -> ArrayD<f32> {
    ArrayD::from_shape_vec(IxDyn(tensor.dims()), flat(tensor)).expect("it fits")
}

fn var(values: &[f32]) -> Var {
    Var::from_slice(values, values.len(), CPU).expect("a variable")
}

fn named(vars: &[(&str, &Var)]) -> Vec<(String, Var)> {
    vars.iter().map(|(name, var)| ((*name).to_owned(), (*var).clone())).collect()
}

#[test]
fn programs_train_a_network_to_the_bits_of_the_reference() {
    for (text, values) in [(LION, &[("weight_decay", 0.1)][..]), (ADAMW, &[]), (COUPLED, &[])] {
        let network = Network::new();
        let vars = sorted(&network.map);
        let shapes: Vec<_> = vars.iter().map(|(_, var)| var.dims().to_vec()).collect();
        let mut reference = Reference::<f32>::new(&program(text), &shapes).expect("it types");
        values.iter().for_each(|(name, value)| {
            reference.set(name, *value).expect("there is such a hyperparameter")
        });
        let mut expected: Vec<_> = vars.iter().map(|(_, var)| array(var)).collect();
        let mut optimizer = network.optimizer(text, values);
        for step in 0..30 {
            let gradients = network.loss().backward().expect("it differentiates");
            let reference_gradients: Vec<_> = vars
                .iter()
                .map(|(_, var)| array(gradients.get(var).expect("a gradient")))
                .collect();
            reference.step(&mut expected, &reference_gradients, 0.01).expect("it fits");
            optimizer.step(&gradients).expect("it steps");
            let expected: Vec<u32> = expected
                .iter()
                .flat_map(|array| bits(array.as_slice().expect("in order")))
                .collect();
            assert_eq!(
                network.weights(),
                expected,
                "{} at step {step}",
                optimizer.optimizer().program_name()
            );
        }
    }
}

/// Lion in candle's own tensor operations, in the order of the published JAX code.
fn tensor_lion(
    var: &Var,
    momentum: &mut Tensor,
    gradient: &Tensor,
    lr: f64,
    decay: f64,
) -> candle_core::Result<()> {
    let blend = |beta: f64, momentum: &Tensor| {
        gradient.affine(1.0 - beta, 0.0)? + momentum.affine(beta, 0.0)?
    };
    let update =
        (blend(0.9, momentum)?.sign()? + var.as_tensor().affine(decay, 0.0)?)?.affine(lr, 0.0)?;
    *momentum = blend(0.99, momentum)?.detach();
    var.set(&(var.as_tensor() - update)?)
}

#[test]
fn lion_gives_the_weights_of_a_lion_in_tensor_operations_bit_for_bit() {
    let (ours, theirs) = (Network::new(), Network::new());
    let mut optimizer = ours.optimizer(LION, &[("weight_decay", 0.1)]);
    let vars = sorted(&theirs.map);
    let mut momentums: Vec<_> =
        vars.iter().map(|(_, var)| var.zeros_like().expect("zeros")).collect();
    for step in 0..50 {
        ours.train(&mut optimizer, 1);
        let gradients = theirs.loss().backward().expect("it differentiates");
        for ((_, var), momentum) in vars.iter().zip(&mut momentums) {
            tensor_lion(var, momentum, gradients.get(var).expect("a gradient"), 0.01, 0.1)
                .expect("it steps");
        }
        assert_eq!(ours.weights(), theirs.weights(), "at step {step}");
    }
}

#[test]
fn a_step_copies_neither_weights_nor_gradients() {
    let length = 100_000;
    let weights = Var::from_vec(numbers(1, length), length, CPU).expect("a variable");
    let inputs = Tensor::from_vec(numbers(2, length), length, CPU).expect("a tensor");
    let mut optimizer = ProgramOptimizer::from_named(
        named(&[("weights", &weights)]),
        Config::new(0.01, prototype(LION, &[])),
    )
    .expect("it can be made");
    let gradients = weights
        .mul(&inputs)
        .and_then(|product| product.sum_all()?.backward())
        .expect("it differentiates");
    // The first step makes the scratch.
    optimizer.step(&gradients).expect("it steps");
    let (bytes, stepped) = bytes_of(|| optimizer.step(&gradients));
    stepped.expect("it steps");
    assert!(bytes < length, "{bytes} bytes for {length} weights of 4 bytes");
}

#[test]
fn a_gradient_in_another_order_is_put_in_order() {
    let weights = Var::from_tensor(&Tensor::zeros((2, 3), DType::F32, CPU).expect("zeros"))
        .expect("a variable");
    let mut gradients =
        weights.sqr().and_then(|square| square.sum_all()?.backward()).expect("it differentiates");
    let columns = Tensor::from_vec(vec![1_f32, 4.0, 2.0, 5.0, 3.0, 6.0], (3, 2), CPU)
        .expect("a tensor")
        .t()
        .expect("a view");
    assert!(!columns.is_contiguous());
    gradients.insert(&weights, columns);
    let sgd = prototype("def sgd(w, g, lr):\n  update = g * lr\n  return update\n", &[]);
    let mut optimizer =
        ProgramOptimizer::from_named(named(&[("w", &weights)]), Config::new(1.0, sgd))
            .expect("it can be made");
    optimizer.step(&gradients).expect("it steps");
    assert_eq!(flat(&weights), [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0]);
}

#[test]
fn a_gradient_in_the_memory_of_a_variable_is_no_deadlock() {
    let weights = var(&[1.0, -2.0]);
    let mut gradients =
        weights.sqr().and_then(|square| square.sum_all()?.backward()).expect("it differentiates");
    gradients.insert(&weights, weights.as_detached_tensor());
    let sgd = prototype("def sgd(w, g, lr):\n  update = g * lr\n  return update\n", &[]);
    let mut optimizer =
        ProgramOptimizer::from_named(named(&[("w", &weights)]), Config::new(0.5, sgd))
            .expect("it can be made");
    optimizer.step(&gradients).expect("it steps");
    assert_eq!(flat(&weights), [0.5, -1.0]);
}

#[test]
fn bf16_variables_are_updated_as_our_bf16_weights_are() {
    let start: Vec<bf16> = numbers(1, 50).into_iter().map(bf16::from_f32).collect();
    let weights = Var::from_slice(&start, 50, CPU).expect("a variable");
    let mut optimizer = ProgramOptimizer::from_named(
        named(&[("w", &weights)]),
        Config::new(0.01, prototype(LION, &[])),
    )
    .expect("it can be made");
    let mut expected = start;
    let mut ours = prototype(LION, &[])
        .for_layout(&Layout::new([("w", vec![50])]).expect("a layout"))
        .expect("it fits");
    for _ in 0..10 {
        let gradients = weights
            .sqr()
            .and_then(|square| square.sum_all()?.backward())
            .expect("it differentiates");
        let gradient: Vec<bf16> =
            gradients.get(&weights).expect("a gradient").to_vec1().expect("bf16 numbers");
        ours.step_arrays(&mut [ParameterArray::new("w", &mut expected, &gradient)], 0.01)
            .expect("it fits");
        optimizer.step(&gradients).expect("it steps");
        assert_eq!(weights.to_vec1::<bf16>().expect("bf16 numbers"), expected);
    }
}

#[test]
fn a_variable_without_gradient_is_refused_and_nothing_changes_or_gets_zeros_if_asked_for() {
    let (used, unused) = (var(&[1.0, 2.0]), var(&[3.0, 4.0]));
    let make = |missing_gradients| {
        let config = Config {
            missing_gradients,
            ..Config::new(0.5, prototype(LION, &[("weight_decay", 0.5)]))
        };
        ProgramOptimizer::from_named(named(&[("used", &used), ("unused", &unused)]), config)
            .expect("it can be made")
    };
    let gradients =
        used.sqr().and_then(|square| square.sum_all()?.backward()).expect("it differentiates");

    let mut optimizer = make(MissingGradients::Refuse);
    let error = optimizer.step_with(&gradients).expect_err("a gradient is missing");
    assert!(matches!(&error, AdapterError::NoGradient { name } if name == "unused"), "{error}");
    assert_eq!((optimizer.optimizer().steps(), flat(&used)), (0, vec![1.0, 2.0]));

    make(MissingGradients::Zeros).step(&gradients).expect("it steps");
    assert_eq!((flat(&used), flat(&unused)), (vec![0.25, 1.0], vec![2.25, 3.0]));
}

#[test]
fn what_cannot_be_updated_in_place_is_refused_by_name() {
    let config = || Config::new(0.1, prototype(LION, &[]));
    let double = Var::zeros(2, DType::F64, CPU).expect("a variable");
    let error =
        ProgramOptimizer::from_named(named(&[("double", &double)]), config()).expect_err("f64");
    assert!(
        error.to_string().starts_with("the weights of the array \"double\" can't be used: its numbers are neither f32 nor bf16"),
        "{error}"
    );

    let once = var(&[1.0]);
    let error = ProgramOptimizer::from_named(named(&[("a", &once), ("b", &once)]), config())
        .expect_err("one variable");
    assert!(
        matches!(&error, AdapterError::Shared { first, second } if first == "a" && second == "b"),
        "{error}"
    );

    let other = var(&[1.0]);
    let error = ProgramOptimizer::from_named(named(&[("a", &once), ("a", &other)]), config())
        .expect_err("one name");
    assert!(matches!(error, AdapterError::Optimizer(OptimizerError::Layout(_))), "{error}");

    let mut gradients =
        once.sqr().and_then(|square| square.sum_all()?.backward()).expect("it differentiates");
    let mut optimizer =
        ProgramOptimizer::from_named(named(&[("a", &once)]), config()).expect("it can be made");
    for (gradient, part) in [
        (Tensor::zeros(2, DType::F32, CPU), "shape is [2], not [1]"),
        (Tensor::zeros(1, DType::F64, CPU), "f32 nor bf16"),
    ] {
        gradients.insert(&once, gradient.expect("zeros"));
        let error = optimizer.step_with(&gradients).expect_err("it does not fit").to_string();
        assert!(
            error.starts_with("the gradient of the array \"a\"") && error.contains(part),
            "{error}"
        );
    }
    assert_eq!((optimizer.optimizer().steps(), flat(&once)), (0, vec![1.0]));
}

#[test]
fn integers_are_left_out_as_candle_does() {
    let (floats, integers) = (var(&[1.0]), Var::zeros(2, DType::U32, CPU).expect("a variable"));
    let optimizer =
        ProgramOptimizer::new(vec![integers, floats], Config::new(0.1, prototype(LION, &[])))
            .expect("it can be made");
    assert_eq!(
        optimizer
            .optimizer()
            .layout()
            .arrays()
            .iter()
            .map(|array| array.name.as_str())
            .collect::<Vec<_>>(),
        ["1"]
    );
}

#[test]
fn a_saved_state_goes_on_to_the_same_bits() {
    let (whole, parts) = (Network::new(), Network::new());
    let mut uninterrupted = whole.optimizer(ADAMW, &[]);
    whole.train(&mut uninterrupted, 20);

    let mut first = parts.optimizer(ADAMW, &[]);
    parts.train(&mut first, 9);
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("adamw.safetensors");
    first.optimizer().save(&file).expect("it saves");
    let mut second = parts.optimizer(ADAMW, &[]);
    second.optimizer_mut().load(&file).expect("it loads");
    parts.train(&mut second, 11);

    assert_eq!(parts.weights(), whole.weights());
    assert_eq!(
        second.optimizer().save_bytes().expect("a state"),
        uninterrupted.optimizer().save_bytes().expect("a state")
    );
}

#[test]
fn a_state_of_other_names_or_of_another_program_is_refused() {
    let network = Network::new();
    let mut optimizer = network.optimizer(LION, &[]);
    network.train(&mut optimizer, 3);
    let state = optimizer.optimizer().save_bytes().expect("a state");

    let renamed = sorted(&network.map)
        .into_iter()
        .map(|(name, var)| (name.replace("second", "head"), var))
        .collect();
    let mut other = ProgramOptimizer::from_named(renamed, Config::new(0.01, prototype(LION, &[])))
        .expect("it can be made");
    let error = other.optimizer_mut().load_bytes(&state).expect_err("other names").to_string();
    assert_eq!(error, "the state does not fit the parameter arrays: m/head.bias is missing");

    let error = network
        .optimizer(ADAMW, &[])
        .optimizer_mut()
        .load_bytes(&state)
        .expect_err("another program")
        .to_string();
    assert!(error.starts_with("the state was saved by the program lion"), "{error}");
}

#[test]
fn hyperparameters_are_set_by_name_and_for_arrays_by_pattern() {
    let network = Network::new();
    let mut optimizer = network.optimizer(LION, &[("weight_decay", 0.5)]);
    assert_eq!(
        optimizer.optimizer_mut().set_for("*.bias", "weight_decay", 0.0).expect("there are biases"),
        2
    );
    assert!(optimizer.optimizer_mut().set_for("third.*", "weight_decay", 0.0).is_err());
    assert!(optimizer.optimizer_mut().set("decay", 0.0).is_err());
    optimizer.set_learning_rate(0.5);
    assert_eq!(optimizer.learning_rate(), 0.5);

    let before: Vec<_> =
        sorted(&network.map).iter().map(|(name, var)| (name.clone(), flat(var))).collect();
    let mut gradients = network.loss().backward().expect("it differentiates");
    for (_, var) in sorted(&network.map) {
        gradients.insert(&var, var.zeros_like().expect("zeros"));
    }
    optimizer.step(&gradients).expect("it steps");
    for ((name, before), (_, var)) in before.iter().zip(sorted(&network.map)) {
        let expected: Vec<f32> = before
            .iter()
            .map(|w| if name.ends_with("bias") { *w } else { w - w * 0.5 * 0.5 })
            .collect();
        assert_eq!(flat(&var), expected, "{name}");
    }
}

#[test]
fn thousands_of_variables_fit_on_the_stack() {
    let vars: Vec<Var> = (0..5000).map(|index| var(&[index as f32, -1.0])).collect();
    let loss = Tensor::cat(&vars.iter().map(|var| var.as_tensor().clone()).collect::<Vec<_>>(), 0)
        .and_then(|all| all.sqr()?.sum_all());
    let gradients = loss.and_then(|loss| loss.backward()).expect("it differentiates");
    let mut optimizer =
        ProgramOptimizer::new(vars.clone(), Config::new(0.25, prototype(LION, &[])))
            .expect("it can be made");
    optimizer.step(&gradients).expect("it steps");
    for (index, var) in vars.iter().enumerate() {
        let index = index as f32;
        assert_eq!(flat(var), [if index > 0.0 { index - 0.25 } else { 0.0 }, -0.75]);
    }
}
