//! The burn adapter.

use burn_core as burn;
use burn_core::module::{Lora, Module, Param};
use burn_core::tensor::{DType, Device, Tensor, TensorData};
use burn_optim::{GradientsParams, LionConfig, ModuleOptimizer};
use half::bf16;
use ndarray::{ArrayD, IxDyn};
use symopt_evaluator::adapters::burn::{ArrayOptimizer, ProgramOptimizer, StepError};
use symopt_evaluator::adapters::{AdapterError, MissingGradients};
use symopt_evaluator::{Layout, Optimizer, ParameterArray, Reference};

use super::{ADAMW, COUPLED, LION, bits, bytes_of, numbers, program, prototype};

#[derive(Module, Debug)]
struct Linear {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl Linear {
    fn new(seed: u64, from: usize, to: usize, device: &Device) -> Linear {
        Linear {
            weight: Param::from_data(TensorData::new(numbers(seed, from * to), [from, to]), device),
            bias: Param::from_data(TensorData::new(numbers(seed + 1, to), [to]), device),
        }
    }

    fn forward(&self, inputs: Tensor<2>) -> Tensor<2> {
        inputs.matmul(self.weight.val()) + self.bias.val().unsqueeze()
    }
}

/// A network of two layers with seeded weights.
#[derive(Module, Debug)]
struct Network {
    first: Linear,
    second: Linear,
}

const NAMES: [&str; 4] = ["first.weight", "first.bias", "second.weight", "second.bias"];
const SHAPES: [&[usize]; 4] = [&[5, 7], &[7], &[7, 3], &[3]];

fn device() -> Device {
    Device::flex().autodiff()
}

impl Network {
    fn new() -> Network {
        Network { first: Linear::new(0, 5, 7, &device()), second: Linear::new(2, 7, 3, &device()) }
    }

    fn gradients(&self) -> GradientsParams {
        let inputs = Tensor::<2>::from_data(TensorData::new(numbers(10, 40), [8, 5]), &device());
        let targets = Tensor::<2>::from_data(TensorData::new(numbers(11, 24), [8, 3]), &device());
        let outputs = self.second.forward(self.first.forward(inputs).tanh());
        GradientsParams::from_grads((outputs - targets).powi_scalar(2).mean().backward(), self)
    }

    /// The arrays, in the order of their names.
    fn arrays(&self) -> [Vec<f32>; 4] {
        let [a, b, c, d] = [
            floats(&self.first.weight),
            floats1(&self.first.bias),
            floats(&self.second.weight),
            floats1(&self.second.bias),
        ];
        [a, b, c, d]
    }

    fn bits(&self) -> Vec<u32> {
        self.arrays().iter().flat_map(|array| bits(array)).collect()
    }
}

fn floats(param: &Param<Tensor<2>>) -> Vec<f32> {
    param.val().into_data().try_to_vec().expect("f32 numbers")
}

fn floats1(param: &Param<Tensor<1>>) -> Vec<f32> {
    param.val().into_data().try_to_vec().expect("f32 numbers")
}

/// Numbers of arrays in the order of their names.
fn in_shape(arrays: [Vec<f32>; 4]) -> Vec<ArrayD<f32>> {
    let shaped =
        |(values, shape)| ArrayD::from_shape_vec(IxDyn(shape), values).expect("as many numbers");
    arrays.into_iter().zip(SHAPES).map(shaped).collect()
}

fn make(network: &impl Module, text: &str, values: &[(&str, f64)]) -> ProgramOptimizer {
    ProgramOptimizer::new(network, &prototype(text, values), MissingGradients::Refuse)
        .expect("it can be made")
}

fn train(mut network: Network, optimizer: &mut ProgramOptimizer, steps: usize) -> Network {
    for _ in 0..steps {
        let gradients = network.gradients();
        network = optimizer.step(0.01, network, gradients).expect("it steps");
    }
    network
}

#[test]
fn programs_train_a_module_to_the_bits_of_the_reference() {
    for (text, values) in [(LION, &[("weight_decay", 0.1)][..]), (ADAMW, &[]), (COUPLED, &[])] {
        let mut network = Network::new();
        let mut optimizer = make(&network, text, values);
        let mut reference = Reference::<f32>::new(&program(text), &SHAPES.map(<[usize]>::to_vec))
            .expect("it types");
        values.iter().for_each(|(name, value)| {
            reference.set(name, *value).expect("there is such a hyperparameter")
        });
        let mut expected = in_shape(network.arrays());
        for step in 0..30 {
            let gradients = network.gradients();
            let (first, second) = (&network.first, &network.second);
            let [a, b] = [first.weight.id, second.weight.id]
                .map(|id| gradients.get::<2>(id).expect("a gradient").into_data());
            let [c, d] = [first.bias.id, second.bias.id]
                .map(|id| gradients.get::<1>(id).expect("a gradient").into_data());
            let by_array =
                in_shape([a, c, b, d].map(|data| data.try_to_vec().expect("f32 numbers")));
            reference.step(&mut expected, &by_array, 0.01).expect("it fits");
            network = optimizer.step(0.01, network, gradients).expect("it steps");
            let expected: Vec<u32> = expected
                .iter()
                .flat_map(|array| bits(array.as_slice().expect("in order")))
                .collect();
            assert_eq!(
                network.bits(),
                expected,
                "{} at step {step}",
                optimizer.optimizer().program_name()
            );
        }
    }
}

/// burn computes with 1 - beta in f32 where we round f64(1 - beta), so the blends differ in their
/// last bits; and it multiplies the weights by 1 - lr * decay where the published program subtracts
/// lr * decay * w. Where no blend is so near to zero that its sign differs, that leaves nothing
/// without decay, and with it a few roundings a step, each of half an ulp of a weight: 2^-24 of it.
#[test]
fn lion_is_as_close_to_the_lion_of_burn_as_its_order_of_rounding_allows() {
    const STEPS: usize = 50;
    for decay in [0.0, 0.1] {
        let (mut ours, mut theirs) = (Network::new(), Network::new());
        let mut our_lion = make(&ours, LION, &[("weight_decay", decay)]);
        let mut their_lion = LionConfig::new().with_weight_decay(decay as f32).init();
        for step in 0..STEPS {
            let gradients = ours.gradients();
            // Both get the gradients at our weights, so that only the optimizers can part them.
            let copies = [ours.first.weight.id, ours.second.weight.id]
                .map(|id| gradients.get::<2>(id).expect("a gradient"));
            let biases = [ours.first.bias.id, ours.second.bias.id]
                .map(|id| gradients.get::<1>(id).expect("a gradient"));
            let mut same = GradientsParams::new();
            copies
                .into_iter()
                .zip([theirs.first.weight.id, theirs.second.weight.id])
                .for_each(|(copy, id)| same.register(id, copy));
            biases
                .into_iter()
                .zip([theirs.first.bias.id, theirs.second.bias.id])
                .for_each(|(copy, id)| same.register(id, copy));
            ours = our_lion.step(0.01, ours, gradients).expect("it steps");
            theirs = their_lion.step(0.01, theirs, same);
            let pairs = ours.arrays().concat().into_iter().zip(theirs.arrays().concat());
            let roundings = if decay == 0.0 { 0.0 } else { 4.0 * (step + 1) as f32 };
            for (a, b) in pairs {
                // No weight is larger than 2 on the way.
                assert!(
                    (a - b).abs() <= roundings * 2.0 * f32::EPSILON / 2.0,
                    "decay {decay}, step {step}: {a} and {b}"
                );
            }
        }
    }
}

#[derive(Module, Debug)]
struct Vector {
    weights: Param<Tensor<1>>,
}

impl Vector {
    fn new(values: Vec<f32>) -> Vector {
        let length = values.len();
        Vector { weights: Param::from_data(TensorData::new(values, [length]), &device()) }
    }

    fn gradients(&self) -> GradientsParams {
        GradientsParams::from_grads(self.weights.val().powi_scalar(2).sum().backward(), self)
    }
}

const SGD: &str = "def sgd(w, g, lr):\n  update = g * lr\n  return update\n";

#[test]
fn a_step_copies_neither_weights_nor_gradients_unless_somebody_else_has_them_too() {
    let length = 100_000;
    let mut vector = Vector::new(numbers(1, length));
    let mut optimizer = make(&vector, LION, &[]);
    let step = |optimizer: &mut ProgramOptimizer, vector: Vector| {
        // As in most training loops, the loss is still there when the step is done.
        let loss = vector.weights.val().powi_scalar(2).sum();
        let gradients = GradientsParams::from_grads(loss.backward(), &vector);
        let (bytes, stepped) = bytes_of(|| optimizer.step(0.01, vector, gradients));
        (bytes, stepped.expect("it steps"))
    };
    // The first step makes the scratch.
    (_, vector) = step(&mut optimizer, vector);
    let (bytes, vector) = step(&mut optimizer, vector);
    assert!(bytes < length, "{bytes} bytes for {length} weights of 4 bytes");

    let shared = vector.clone();
    let before = floats1(&shared.weights);
    let (bytes, vector) = step(&mut optimizer, vector);
    // burn 0.22 copies twice what it can't give away: once out of the tensor, once more to align
    // it.
    assert!(
        (4 * length..9 * length).contains(&bytes),
        "{bytes} bytes to copy {length} weights of 4 bytes"
    );
    assert_eq!(floats1(&shared.weights), before, "the clone has changed");
    assert_ne!(floats1(&vector.weights), before);
}

#[test]
fn one_array_at_a_time_copies_nothing_either() {
    let length = 100_000;
    let mut vector = Vector::new(numbers(1, length));
    let mut optimizer = by_array(&prototype(LION, &[]));
    for step in 0..3 {
        let gradients = vector.gradients();
        let (bytes, stepped) = bytes_of(|| optimizer.step(0.01, vector, gradients));
        vector = stepped;
        // The first step makes the state.
        assert!(step == 0 || bytes < length, "{bytes} bytes for {length} weights of 4 bytes");
    }
}

#[test]
fn one_array_at_a_time_rounds_other_numbers_to_f32_for_a_step() {
    let tensor =
        Tensor::<1>::from_data(TensorData::new(vec![1.0_f64, -0.1], [2]), (&device(), DType::F64));
    let vector = Vector { weights: Param::from_tensor(tensor) };
    let gradients = vector.gradients();
    let vector = by_array(&prototype(SGD, &[])).step(0.25, vector, gradients);
    // Each weight w becomes w - 2 * w * 0.25.
    let after = vector.weights.val().into_data().try_to_vec::<f64>().expect("f64 numbers");
    assert_eq!(after, [0.5, f64::from(-0.05_f32)]);
}

#[test]
fn a_gradient_in_another_order_is_put_in_order() {
    let layer = Linear::new(0, 2, 3, &device());
    let mut optimizer = make(&layer, SGD, &[]);
    let before = floats(&layer.weight);
    let mut gradients = GradientsParams::new();
    let columns = Tensor::<2>::from_data(
        TensorData::new(vec![1_f32, 4.0, 2.0, 5.0, 3.0, 6.0], [3, 2]),
        &Device::flex(),
    );
    gradients.register(layer.weight.id, columns.transpose());
    gradients.register(layer.bias.id, Tensor::<1>::zeros([3], &Device::flex()));
    let layer = optimizer.step(1.0, layer, gradients).expect("it steps");
    let expected: Vec<f32> =
        before.iter().zip([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).map(|(w, g)| w - g).collect();
    assert_eq!(floats(&layer.weight), expected);
}

#[test]
fn bf16_parameters_are_updated_as_our_bf16_weights_are() {
    let mut expected: Vec<bf16> = numbers(1, 50).into_iter().map(bf16::from_f32).collect();
    let tensor =
        Tensor::<1>::from_data(TensorData::new(expected.clone(), [50]), (&device(), DType::BF16));
    let mut vector = Vector { weights: Param::from_tensor(tensor) };
    let mut optimizer = make(&vector, LION, &[]);
    let mut ours = prototype(LION, &[])
        .for_layout(&Layout::new([("weights", vec![50])]).expect("a layout"))
        .expect("it fits");
    for _ in 0..10 {
        let gradients = vector.gradients();
        let gradient: Vec<bf16> = gradients
            .get::<1>(vector.weights.id)
            .expect("a gradient")
            .into_data()
            .try_to_vec()
            .expect("bf16 numbers");
        ours.step_arrays(&mut [ParameterArray::new("weights", &mut expected, &gradient)], 0.01)
            .expect("it fits");
        vector = optimizer.step(0.01, vector, gradients).expect("it steps");
        assert_eq!(
            vector.weights.val().into_data().try_to_vec::<bf16>().expect("bf16 numbers"),
            expected
        );
    }
}

#[test]
fn a_parameter_without_gradient_is_refused_or_gets_zeros_if_asked_for() {
    let network = Network::new();
    let lion = prototype(LION, &[("weight_decay", 0.5)]);
    let gradients = |network: &Network| {
        let mut gradients = network.gradients();
        gradients.remove::<1>(network.second.bias.id).expect("a gradient");
        gradients
    };
    let mut optimizer =
        ProgramOptimizer::new(&network, &lion, MissingGradients::Refuse).expect("it can be made");
    let (before, missing) = (network.bits(), gradients(&network));
    let StepError { module, error } =
        optimizer.step(0.5, network, missing).expect_err("a gradient is missing");
    assert!(
        matches!(&error, AdapterError::NoGradient { name } if name == "second.bias"),
        "{error}"
    );
    assert_eq!(optimizer.optimizer().steps(), 0);
    let network = *module.expect("the module comes back");
    assert_eq!(network.bits(), before);

    let mut optimizer =
        ProgramOptimizer::new(&network, &lion, MissingGradients::Zeros).expect("it can be made");
    let before = floats1(&network.second.bias);
    let missing = gradients(&network);
    let network = optimizer.step(0.5, network, missing).expect("it steps");
    assert_eq!(
        floats1(&network.second.bias),
        before.iter().map(|w| w - w * 0.5 * 0.5).collect::<Vec<_>>()
    );
}

#[test]
fn frozen_parameters_are_left_alone_and_a_model_that_has_changed_is_refused() {
    let mut network = Network::new();
    let mut optimizer = make(&network, LION, &[]);
    network.first.weight = network.first.weight.set_require_grad(false);
    let gradients = network.gradients();
    let error = optimizer
        .step(0.01, network.clone(), gradients)
        .expect_err("an array is frozen")
        .to_string();
    assert!(
        error.contains("it has no array \"first.weight\" of shape [5, 7] in its place"),
        "{error}"
    );

    let mut optimizer = make(&network, LION, &[]);
    let before = network.arrays();
    let network = train(network, &mut optimizer, 1);
    let after = network.arrays();
    assert_eq!(after[0], before[0]);
    assert!((1..4).all(|array| after[array] != before[array]));

    let frozen = network.no_grad();
    let error = ProgramOptimizer::new(&frozen, &prototype(LION, &[]), MissingGradients::Refuse)
        .expect_err("nothing to train");
    assert!(matches!(error, AdapterError::NoArrays { .. }), "{error}");
}

#[test]
fn a_step_keeps_what_a_parameter_is_to_autodiff() {
    let device = device().gradient_checkpointing();
    let strategy = device.gradient_checkpointing_strategy();
    let tensor = Tensor::<1>::from_data(TensorData::new(numbers(1, 5), [5]), &device);
    let mut vector = Vector { weights: Param::from_tensor(tensor) };
    let id = vector.weights.id;
    let mut optimizer = make(&vector, LION, &[]);
    for _ in 0..2 {
        let mut gradients = GradientsParams::new();
        gradients.register(id, Tensor::<1>::ones([5], &Device::flex()));
        vector = optimizer.step(0.01, vector, gradients).expect("it steps");
        let tensor = vector.weights.val();
        assert!(strategy.is_some() && tensor.gradient_checkpointing_strategy() == strategy);
        assert!(tensor.is_require_grad());
        assert_eq!(vector.weights.id, id);
    }
}

#[test]
fn low_rank_adapters_are_trained_and_what_they_adapt_is_not() {
    let network = Network::new().apply_lora(Lora::new(2, 4.0));
    let before = network.arrays();
    let mut optimizer = make(&network, LION, &[]);
    let names: Vec<_> =
        optimizer.optimizer().layout().arrays().iter().map(|array| array.name.clone()).collect();
    assert_eq!(
        names,
        [
            "first.weight.lora.a",
            "first.weight.lora.b",
            "second.weight.lora.a",
            "second.weight.lora.b"
        ]
    );
    let network = train(network, &mut optimizer, 3);
    let after = network.arrays();
    // The weights of the layers with the adapters, the biases, and what is adapted.
    assert!(after[0] != before[0] && after[2] != before[2]);
    assert!(after[1] == before[1] && after[3] == before[3]);
    for (param, before) in
        [(&network.first.weight, &before[0]), (&network.second.weight, &before[2])]
    {
        assert_eq!(&param.base().into_data().try_to_vec::<f32>().expect("f32 numbers"), before);
    }
}

#[test]
fn what_cannot_be_trained_is_refused_by_name() {
    let double =
        Tensor::<1>::from_data(TensorData::new(vec![1.0_f64], [1]), (&device(), DType::F64));
    let vector = Vector { weights: Param::from_tensor(double) };
    let error = ProgramOptimizer::new(&vector, &prototype(LION, &[]), MissingGradients::Refuse)
        .expect_err("f64")
        .to_string();
    assert_eq!(
        error,
        "the weights of the array \"weights\" can't be used: its numbers are neither f32 nor bf16; cast the module"
    );

    let mut tied = Network::new();
    tied.second.weight = tied.first.weight.clone();
    let error = ProgramOptimizer::new(&tied, &prototype(LION, &[]), MissingGradients::Refuse)
        .expect_err("tied");
    assert!(
        matches!(&error, AdapterError::Shared { first, second } if first == "first.weight" && second == "second.weight"),
        "{error}"
    );

    let vector = Vector::new(vec![1.0]);
    let mut optimizer = make(&vector, LION, &[]);
    let mut gradients = GradientsParams::new();
    gradients.register(vector.weights.id, Tensor::<1>::zeros([2], &Device::flex()));
    let error = optimizer.step(0.1, vector, gradients).expect_err("another shape").to_string();
    assert_eq!(
        error,
        "the gradient of the array \"weights\" can't be used: its shape is [2], not [1]"
    );
}

#[test]
fn a_saved_state_goes_on_to_the_same_bits() {
    let network = Network::new();
    let mut uninterrupted = make(&network, ADAMW, &[]);
    let whole = train(network, &mut uninterrupted, 20);

    let network = Network::new();
    let mut first = make(&network, ADAMW, &[]);
    let network = train(network, &mut first, 9);
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("adamw.safetensors");
    first.optimizer().save(&file).expect("it saves");
    let mut second = make(&network, ADAMW, &[]);
    second.optimizer_mut().load(&file).expect("it loads");
    let network = train(network, &mut second, 11);

    assert_eq!(network.bits(), whole.bits());
    assert_eq!(
        second.optimizer().save_bytes().expect("a state"),
        uninterrupted.optimizer().save_bytes().expect("a state")
    );
}

#[derive(Module, Debug)]
struct Renamed {
    first: Linear,
    head: Linear,
}

#[test]
fn a_state_of_other_names_or_of_another_program_is_refused() {
    let network = Network::new();
    let mut optimizer = make(&network, LION, &[]);
    let network = train(network, &mut optimizer, 3);
    let state = optimizer.optimizer().save_bytes().expect("a state");

    let renamed = Renamed { first: network.first.clone(), head: network.second.clone() };
    let error = make(&renamed, LION, &[])
        .optimizer_mut()
        .load_bytes(&state)
        .expect_err("other names")
        .to_string();
    assert_eq!(error, "the state does not fit the parameter arrays: m/head.weight is missing");
    let error = make(&network, ADAMW, &[])
        .optimizer_mut()
        .load_bytes(&state)
        .expect_err("another program")
        .to_string();
    assert!(error.starts_with("the state was saved by the program lion"), "{error}");
}

#[test]
fn hyperparameters_are_set_by_name_and_for_arrays_by_pattern() {
    let network = Network::new();
    let mut optimizer = make(&network, LION, &[("weight_decay", 0.5)]);
    assert_eq!(
        optimizer.optimizer_mut().set_for("*.bias", "weight_decay", 0.0).expect("there are biases"),
        2
    );
    assert!(optimizer.optimizer_mut().set("decay", 0.0).is_err());
    let before = network.arrays();
    let mut gradients = GradientsParams::new();
    for (id, shape) in [(network.first.weight.id, [5, 7]), (network.second.weight.id, [7, 3])] {
        gradients.register(id, Tensor::<2>::zeros(shape, &Device::flex()));
    }
    for (id, length) in [(network.first.bias.id, 7), (network.second.bias.id, 3)] {
        gradients.register(id, Tensor::<1>::zeros([length], &Device::flex()));
    }
    let network = optimizer.step(0.5, network, gradients).expect("it steps");
    for ((name, before), after) in NAMES.iter().zip(before).zip(network.arrays()) {
        let expected: Vec<f32> = before
            .iter()
            .map(|w| if name.ends_with("bias") { *w } else { w - w * 0.5 * 0.5 })
            .collect();
        assert_eq!(after, expected, "{name}");
    }
}

fn train_by_array(mut network: Network, optimizer: &mut ModuleOptimizer, steps: usize) -> Network {
    for _ in 0..steps {
        let gradients = network.gradients();
        network = optimizer.step(0.01, network, gradients);
    }
    network
}

fn by_array(prototype: &Optimizer) -> ModuleOptimizer {
    ModuleOptimizer::from(ArrayOptimizer::new(prototype).expect("it can be made"))
}

/// An array's norm enters, but no sum over all arrays.
const BY_ARRAY: &str = "def by_array(w, g, m, t, lr, *, beta=0.9):
  m = interp(g, m, beta)
  update = m / (norm(m) + 1e-12) * lr / t
  return update, m
";

#[test]
fn one_array_at_a_time_gives_the_same_bits_and_burns_records_go_on() {
    for text in [LION, ADAMW, BY_ARRAY] {
        let network = Network::new();
        let mut whole = make(&network, text, &[]);
        let expected = train(network, &mut whole, 20).bits();

        let prototype = prototype(text, &[]);
        let mut first = by_array(&prototype);
        let network = train_by_array(Network::new(), &mut first, 9);
        let mut second = by_array(&prototype)
            .from_bytes(first.into_bytes().expect("a record"))
            .expect("it loads");
        let network = train_by_array(network, &mut second, 11);
        assert_eq!(network.bits(), expected, "{}", prototype.program_name());
    }
}

#[test]
fn a_record_of_another_program_is_left_aside_and_a_coupled_program_refused() {
    let mut adamw = by_array(&prototype(ADAMW, &[]));
    let network = train_by_array(Network::new(), &mut adamw, 3);
    let mut foreign = by_array(&prototype(LION, &[]))
        .from_bytes(adamw.into_bytes().expect("a record"))
        .expect("it loads");
    let expected = train_by_array(network.clone(), &mut by_array(&prototype(LION, &[])), 2);
    assert_eq!(train_by_array(network, &mut foreign, 2).bits(), expected.bits());

    let error = ArrayOptimizer::new(&prototype(COUPLED, &[])).expect_err("it is coupled");
    assert!(matches!(&error, AdapterError::Coupled { program } if program == "coupled"), "{error}");
}
