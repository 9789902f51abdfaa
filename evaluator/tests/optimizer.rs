//! The optimizer's surface: named arrays, hyperparameters by name, and its state in files.

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use symopt_dsl::{Program, parse};
use symopt_evaluator::error::StateError;
use symopt_evaluator::hyperparameters::Hyperparameter;
use symopt_evaluator::options::ParameterArray;
use symopt_evaluator::{Layout, Optimizer, OptimizerError, Options, Rounding, Storage};
use symopt_testing::draws;
use symopt_testing::draws::{Draw, Flavour, difference, numbers};
use symopt_testing::random::Random;

const ADAM: &str = "def adam(w, g, m, v, t, lr, *, beta1=0.9, epsilon=1e-8):
  m = interp(g, m, beta1)
  v = interp(square(g), v, 0.999)
  update = m / (1 - power(beta1, t)) / (sqrt(v) + epsilon) * lr
  return update, m, v
";

fn program(text: &str) -> Program {
    parse(text).unwrap_or_else(|faults| panic!("{faults}\n{text}"))
}

fn layout() -> Layout {
    Layout::new([("weight", vec![3, 2]), ("bias", vec![3]), ("empty", vec![0]), ("scale", vec![])])
        .expect("a layout")
}

fn adam() -> Optimizer {
    Optimizer::new(&program(ADAM), &layout()).expect("it types")
}

/// Does so many steps on seeded gradients, the same for the same step.
fn run(optimizer: &mut Optimizer, weights: &mut [f32], steps: u64) {
    for _ in 0..steps {
        let mut random = Random(optimizer.steps());
        let gradients = numbers(&mut random, weights.len(), Flavour::Tame);
        optimizer.step(weights, &gradients, 0.01).expect("the arrays fit");
    }
}

/// Everything that can be seen of an optimizer.
#[derive(Debug, PartialEq)]
struct Seen {
    steps: u64,
    hyperparameters: Vec<Hyperparameter>,
    slots: Vec<(String, Vec<u32>)>,
}

fn seen(optimizer: &Optimizer) -> Seen {
    let slots = optimizer.slots().map(|(name, values)| {
        (name.to_owned(), values.to_f32().iter().map(|x| x.to_bits()).collect())
    });
    Seen {
        steps: optimizer.steps(),
        hyperparameters: optimizer.hyperparameters().to_vec(),
        slots: slots.collect(),
    }
}

/// Loads bytes that are wrong, checks that nothing has changed, and gives the error.
fn refused(optimizer: &mut Optimizer, bytes: &[u8]) -> StateError {
    let before = seen(optimizer);
    let error = optimizer.load_bytes(bytes).expect_err("these bytes should be refused");
    assert_eq!(seen(optimizer), before, "a refused state has changed the optimizer");
    match error {
        OptimizerError::State(error) => error,
        other => panic!("not a state error: {other:?}"),
    }
}

/// A used optimizer with state to lose.
fn used_adam() -> Optimizer {
    let mut optimizer = adam();
    run(&mut optimizer, &mut [1.0; 10], 3);
    optimizer.set("beta1", 0.8).expect("it has it");
    optimizer
}

type Tensors = Vec<(String, Dtype, Vec<usize>, Vec<u8>)>;

/// A saved state taken apart, changed and put together again.
fn edited(bytes: &[u8], edit: impl FnOnce(&mut Tensors)) -> Vec<u8> {
    let (_, header) = SafeTensors::read_metadata(bytes).expect("a saved state");
    let file = SafeTensors::deserialize(bytes).expect("a saved state");
    let mut tensors: Tensors = file
        .iter()
        .map(|(name, view)| {
            (name.to_owned(), view.dtype(), view.shape().to_vec(), view.data().to_vec())
        })
        .collect();
    edit(&mut tensors);
    let views = tensors.iter().map(|(name, dtype, shape, data)| {
        let view = TensorView::new(*dtype, shape.clone(), data).expect("data of the shape's size");
        (name.as_str(), view)
    });
    safetensors::serialize(views, header.metadata().clone()).expect("tensors can be written")
}

/// A saved state with other metadata of the same length.
fn with_metadata(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let place = bytes
        .windows(from.len())
        .position(|window| window == from.as_bytes())
        .unwrap_or_else(|| panic!("{from} is not there"));
    let mut edited = bytes.to_vec();
    edited[place..place + to.len()].copy_from_slice(to.as_bytes());
    edited
}

#[test]
fn a_loaded_state_goes_on_to_the_same_bits() {
    let mut uninterrupted = adam();
    uninterrupted.set("beta1", 0.85).expect("it has it");
    let mut weights = vec![0.5; 10];
    run(&mut uninterrupted, &mut weights, 4);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.safetensors");
    uninterrupted.save(&path).expect("it can be saved");
    let mut resumed_weights = weights.clone();
    run(&mut uninterrupted, &mut weights, 6);

    let mut resumed = adam();
    resumed.load(&path).expect("it can be loaded");
    assert_eq!(resumed.steps(), 4);
    run(&mut resumed, &mut resumed_weights, 6);
    assert_eq!(difference(&weights, &resumed_weights), None);
    assert_eq!(seen(&resumed), seen(&uninterrupted));
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("the folder").collect();
    assert_eq!(left.len(), 1, "the partial file is gone");
}

#[test]
fn states_of_random_programs_go_on_to_the_same_bits() {
    let mut random = Random(11);
    let layout = layout();
    for _ in 0..300 {
        let program = Draw::everything(10).program(&mut random);
        let mut uninterrupted = Optimizer::new(&program, &layout).expect("it types");
        let mut weights = numbers(&mut random, layout.len(), Flavour::Finite);
        run(&mut uninterrupted, &mut weights, 2);
        let mut resumed = Optimizer::new(&program, &layout).expect("it types");
        resumed
            .load_bytes(&uninterrupted.save_bytes().expect("it can be saved"))
            .expect("it can be loaded");
        let mut resumed_weights = weights.clone();
        run(&mut uninterrupted, &mut weights, 2);
        run(&mut resumed, &mut resumed_weights, 2);
        assert_eq!(difference(&weights, &resumed_weights), None, "{}", draws::listing(&program));
        // NaN keeps its bits in a file, so the slots are compared as bits.
        assert_eq!(
            uninterrupted.save_bytes().expect("it can be saved"),
            resumed.save_bytes().expect("it can be saved")
        );
    }
}

#[test]
fn the_same_state_is_saved_as_the_same_bytes() {
    let saved = [used_adam(), used_adam()]
        .map(|optimizer| optimizer.save_bytes().expect("it can be saved"));
    assert_eq!(saved[0], saved[1]);
    let mut loaded = adam();
    loaded.load_bytes(&saved[0]).expect("it can be loaded");
    assert_eq!(loaded.save_bytes().expect("it can be saved"), saved[0]);
}

#[test]
fn hyperparameters_that_are_not_round_survive_a_file() {
    let mut optimizer = adam();
    optimizer.set("beta1", 0.1 + 0.2).expect("it has it");
    optimizer.set("epsilon", f64::MIN_POSITIVE / 3.0).expect("it has it");
    let mut loaded = adam();
    loaded.load_bytes(&optimizer.save_bytes().expect("it can be saved")).expect("it can be loaded");
    assert_eq!(loaded.hyperparameters(), optimizer.hyperparameters());
}

#[test]
fn hyperparameters_that_are_not_finite_survive_a_file() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut optimizer = adam();
        optimizer.set("epsilon", value).expect("it has it");
        let mut loaded = adam();
        loaded
            .load_bytes(&optimizer.save_bytes().expect("it can be saved"))
            .expect("it can be loaded");
        assert_eq!(loaded.hyperparameters()[1].value.to_bits(), value.to_bits());
    }
}

#[test]
fn another_programs_state_is_refused() {
    let other = program(
        "def signum(w, g, m, v, lr):\n  m = interp(g, m, 0.9)\n  v = v + g\n  update = sign(m) * lr + v\n  return update, m, v\n",
    );
    let bytes =
        Optimizer::new(&other, &layout()).expect("it types").save_bytes().expect("it can be saved");
    let error = refused(&mut used_adam(), &bytes);
    let StateError::Program { found_program, program, found_hash, hash } = &error else {
        panic!("{error:?}")
    };
    assert_eq!((found_program.as_str(), program.as_str()), ("signum", "adam"));
    assert_ne!(found_hash, hash);
    assert!(
        error.to_string().contains("signum")
            && error.to_string().contains("load it into the program that saved it"),
        "{error}"
    );
}

#[test]
fn other_arrays_missing_tensors_and_surplus_tensors_are_refused() {
    let bytes = used_adam().save_bytes().expect("it can be saved");
    let reason = |bytes: &[u8], of: &mut Optimizer| match refused(of, bytes) {
        StateError::Mismatch { reason } => reason,
        other => panic!("{other:?}"),
    };
    let another = |arrays: &[(&str, Vec<usize>)]| {
        let layout = Layout::new(arrays.iter().map(|(name, shape)| (*name, shape.clone())))
            .expect("a layout");
        Optimizer::new(&program(ADAM), &layout).expect("it types")
    };

    let mut transposed = another(&[
        ("weight", vec![2, 3]),
        ("bias", vec![3]),
        ("empty", vec![0]),
        ("scale", vec![]),
    ]);
    assert_eq!(reason(&bytes, &mut transposed), "m/weight is F32 [3, 2], expected F32 [2, 3]");
    let mut renamed = another(&[
        ("weight", vec![3, 2]),
        ("offset", vec![3]),
        ("empty", vec![0]),
        ("scale", vec![]),
    ]);
    assert_eq!(reason(&bytes, &mut renamed), "m/offset is missing");
    let mut fewer = another(&[("weight", vec![3, 2]), ("bias", vec![3]), ("scale", vec![])]);
    assert_eq!(reason(&bytes, &mut fewer), "8 tensors, expected 6");

    let missing = edited(&bytes, |tensors| tensors.retain(|(name, ..)| name != "v/scale"));
    assert_eq!(reason(&missing, &mut used_adam()), "v/scale is missing");
    let surplus = edited(&bytes, |tensors| {
        tensors.push(("extra".to_owned(), Dtype::F32, vec![1], vec![0; 4]))
    });
    assert_eq!(reason(&surplus, &mut used_adam()), "9 tensors, expected 8");
    let other_type = edited(&bytes, |tensors| {
        tensors
            .iter_mut()
            .filter(|(name, ..)| name == "m/bias")
            .for_each(|(_, dtype, ..)| *dtype = Dtype::I32);
    });
    assert_eq!(reason(&other_type, &mut used_adam()), "m/bias is I32 [3], expected F32 [3]");
}

#[test]
fn a_state_with_other_hyperparameters_is_refused() {
    // Hyperparameters that nothing uses are not part of the hash, so the hashes of these two are
    // equal.
    let base = "def f(w, g, lr):\n  update = g * lr\n  return update\n";
    let with_unused = "def f(w, g, lr, *, unused=1.0):\n  update = g * lr\n  return update\n";
    let bytes = Optimizer::new(&program(with_unused), &layout())
        .expect("it types")
        .save_bytes()
        .expect("it can be saved");
    let mut optimizer = Optimizer::new(&program(base), &layout()).expect("it types");
    let before = seen(&optimizer);
    let error = optimizer.load_bytes(&bytes).expect_err("there is no such hyperparameter");
    assert!(
        matches!(error, OptimizerError::UnknownHyperparameter { ref name, .. } if name == "unused"),
        "{error:?}"
    );
    assert_eq!(seen(&optimizer), before);
}

#[test]
fn truncated_and_foreign_bytes_are_refused_at_every_length() {
    let bytes = used_adam().save_bytes().expect("it can be saved");
    let mut optimizer = used_adam();
    for length in 0..bytes.len() {
        let error = refused(&mut optimizer, &bytes[..length]);
        assert!(
            matches!(error, StateError::Malformed { .. }),
            "cut to {length} of {} bytes: {error:?}",
            bytes.len()
        );
    }
    let mut random = Random(12);
    for length in [0, 1, 7, 8, 9, 100, 5000] {
        let garbage: Vec<u8> = (0..length).map(|_| random.bits() as u8).collect();
        assert!(matches!(refused(&mut optimizer, &garbage), StateError::Malformed { .. }));
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(matches!(refused(&mut optimizer, &longer), StateError::Malformed { .. }));
    // Safetensors of somebody else.
    let foreign =
        safetensors::serialize(Vec::<(&str, TensorView)>::new(), None).expect("an empty file");
    let error = refused(&mut optimizer, &foreign);
    assert!(
        matches!(&error, StateError::Malformed { reason } if reason.contains("symopt")),
        "{error:?}"
    );
}

#[test]
fn bytes_with_a_flipped_bit_load_or_are_refused_but_never_panic() {
    let bytes = used_adam().save_bytes().expect("it can be saved");
    for place in 0..bytes.len() {
        for bit in [0, 3, 7] {
            let mut flipped = bytes.clone();
            flipped[place] ^= 1 << bit;
            let mut optimizer = used_adam();
            let before = seen(&optimizer);
            if optimizer.load_bytes(&flipped).is_err() {
                assert_eq!(seen(&optimizer), before);
            }
        }
    }
}

#[test]
fn a_newer_formats_state_is_refused_by_its_version_even_if_the_rest_has_changed() {
    let bytes = used_adam().save_bytes().expect("it can be saved");
    let newer = with_metadata(&bytes, r#"{\"version\":2"#, r#"{\"version\":9"#);
    let error = refused(&mut used_adam(), &newer);
    assert!(matches!(error, StateError::Version { found: 9, .. }), "{error:?}");
    assert!(error.to_string().contains("newer release"), "{error}");
    // A later format may well call its entries by other names.
    let renamed = with_metadata(&newer, r#"\"hyperparameters\""#, r#"\"hyper_parameter\""#);
    let error = refused(&mut used_adam(), &renamed);
    assert!(matches!(error, StateError::Version { found: 9, .. }), "{error:?}");
}

#[test]
fn a_file_that_is_not_there_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("nothing.safetensors");
    let error = adam().load(&path).expect_err("there is no file");
    assert!(
        matches!(error, OptimizerError::State(StateError::File { .. }))
            && error.to_string().contains("nothing.safetensors"),
        "{error}"
    );
    let error =
        adam().save(&folder.path().join("no-folder/state")).expect_err("there is no folder");
    assert!(
        matches!(error, OptimizerError::State(StateError::Write(_)))
            && error.to_string().contains("no-folder"),
        "{error}"
    );
}

#[test]
fn a_failed_save_leaves_what_is_there_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state");
    std::fs::create_dir(&path).expect("a folder");
    used_adam().save(&path).expect_err("a folder is there");
    assert!(path.is_dir());
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 1);
}

#[test]
fn dead_slots_are_neither_kept_nor_saved() {
    let text = "def f(w, g, a, b, lr):\n  b = b + g\n  update = b * lr\n  a = cosh(update)\n  return update, a, b\n";
    let mut optimizer = Optimizer::new(&program(text), &layout()).expect("it types");
    run(&mut optimizer, &mut [0.0; 10], 1);
    assert_eq!(optimizer.slots().map(|(name, _)| name).collect::<Vec<_>>(), ["b"]);
    let bytes = optimizer.save_bytes().expect("it can be saved");
    let names: Vec<String> = SafeTensors::deserialize(&bytes)
        .expect("safetensors")
        .names()
        .iter()
        .map(|n| n.to_string())
        .collect();
    assert_eq!(names.len(), 4);
    assert!(names.iter().all(|name| name.starts_with("b/")));
}

#[test]
fn arrays_in_separate_buffers_step_to_the_same_bits_as_one_buffer() {
    let layout = layout();
    let (mut joined, mut apart) = (adam(), adam());
    let mut weights = vec![0.5_f32; 10];
    let mut buffers: Vec<Vec<f32>> =
        layout.arrays().iter().map(|array| vec![0.5; array.range.len()]).collect();
    for step in 0..3 {
        let gradients = numbers(&mut Random(step), 10, Flavour::Tame);
        joined.step(&mut weights, &gradients, 0.1).expect("the arrays fit");
        let mut arrays: Vec<ParameterArray> = layout
            .arrays()
            .iter()
            .zip(&mut buffers)
            .map(|(array, weights)| {
                ParameterArray::new(&array.name, weights, &gradients[array.range.clone()])
            })
            .collect();
        apart.step_arrays(&mut arrays, 0.1).expect("the arrays fit");
    }
    assert_eq!(difference(&weights, &buffers.concat()), None);
    assert_eq!(seen(&joined), seen(&apart));
}

#[test]
fn arrays_that_do_not_fit_are_refused_and_change_nothing() {
    let mut optimizer = used_adam();
    let before = seen(&optimizer);
    let mut weights = [0.5; 10];
    for (weights, gradients) in
        [(&mut [0.0_f32; 9][..], &[0.0_f32; 10][..]), (&mut weights[..], &[0.0; 11][..])]
    {
        assert!(matches!(
            optimizer.step(weights, gradients, 0.1),
            Err(OptimizerError::Shape { .. })
        ));
    }
    let mut bias = [0.0; 3];
    let mut arrays = [ParameterArray::new("bias", &mut bias, &[0.0; 3])];
    let error = optimizer.step_arrays(&mut arrays, 0.1).expect_err("arrays are missing");
    assert!(error.to_string().contains("weight [3, 2], bias [3], empty [0], scale []"), "{error}");
    assert_eq!(seen(&optimizer), before);
    assert!(weights.iter().all(|w| *w == 0.5));
}

#[test]
fn an_unknown_hyperparameter_is_an_error_that_lists_the_known_ones() {
    let mut optimizer = adam();
    let error = optimizer.set("beta", 0.5).expect_err("it is called beta1");
    assert!(error.to_string().contains("beta1, epsilon"), "{error}");
    let mut sgd = Optimizer::new(
        &program("def sgd(w, g, lr):\n  update = g * lr\n  return update\n"),
        &layout(),
    )
    .expect("it types");
    assert!(sgd.set("beta", 0.5).expect_err("it has none").to_string().contains("none at all"));
}

#[test]
fn a_reset_optimizer_steps_like_a_new_one() {
    let mut used = adam();
    run(&mut used, &mut [1.0; 10], 3);
    used.reset();
    let mut new = adam();
    let mut weights = [[1.0; 10]; 2];
    run(&mut used, &mut weights[0], 3);
    run(&mut new, &mut weights[1], 3);
    assert_eq!(difference(&weights[0], &weights[1]), None);
    assert_eq!(seen(&used), seen(&new));
}

#[test]
fn hyperparameters_are_set_by_name_in_any_order() {
    let text = "def f(w, g, *, a=1.0, b=10.0, unused=5.0, c=100.0):\n  update = g * a + b * c\n  return update\n";
    let mut optimizer = Optimizer::new(&program(text), &Layout::flat(1)).expect("it types");
    optimizer.set("c", 7.0).expect("it has it");
    optimizer.set("a", 2.0).expect("it has it");
    let mut weights = [0.0];
    optimizer.step(&mut weights, &[3.0], 1.0).expect("the arrays fit");
    assert_eq!(weights, [-(3.0 * 2.0 + 10.0 * 7.0)]);
}

#[test]
fn overrides_by_name_give_the_bits_of_the_reference_for_random_programs() {
    let mut random = Random(61);
    let shapes = [vec![5], vec![2, 2], vec![], vec![3], vec![4100]];
    let layout = draws::layout(&shapes);
    let patterns = ["array1", "array[023]", "*", "array?", "*4"];
    let mut compared = 0;
    for index in 0..1500 {
        let draw = if index % 2 == 0 { Draw::everything(12) } else { Draw::fused(10) };
        let program = draw.program(&mut random);
        let names: Vec<String> =
            program.signature().hyperparameters().map(|(_, p)| p.name.clone()).collect();
        if names.is_empty() {
            continue;
        }
        let mut optimizer = Optimizer::new(&program, &layout).expect("it types");
        let mut reference =
            symopt_evaluator::Reference::<f32>::new(&program, &shapes).expect("it types");
        let mut weights = numbers(&mut random, layout.len(), Flavour::Tame);
        let mut reference_weights = draws::split(&layout, &weights);
        for _ in 0..3 {
            let (pattern, name, value) =
                (random.pick(&patterns), &names[random.below(names.len())], random.signed());
            if random.one_in(3) {
                optimizer.set(name, value).expect("it has it");
                reference.set(name, value).expect("it has it");
            } else {
                let count = optimizer.set_for(pattern, name, value).expect("some array matches");
                assert_eq!(
                    count,
                    reference.set_for(pattern, name, value).expect("some array matches")
                );
            }
            let gradients = numbers(&mut random, layout.len(), Flavour::Tame);
            optimizer.step(&mut weights, &gradients, 0.1).expect("the arrays fit");
            reference
                .step(&mut reference_weights, &draws::split(&layout, &gradients), 0.1)
                .expect("the arrays fit");
            assert_eq!(
                difference(&weights, &draws::join(&reference_weights)),
                None,
                "{}",
                draws::listing(&program)
            );
        }
        compared += usize::from(weights.iter().any(|w| !w.is_nan()));
    }
    assert!(compared > 500, "only {compared} programs left numbers to compare");
}

#[test]
fn no_decay_on_biases_and_norms() {
    let text = "def f(w, g, lr, *, weight_decay=0.5):\n  update = lr * (g + weight_decay * w)\n  return update\n";
    let layout = Layout::new([
        ("a.weight", vec![2]),
        ("a.bias", vec![1]),
        ("norm.scale", vec![1]),
        ("b.weight", vec![1]),
    ])
    .expect("a layout");
    let mut optimizer = Optimizer::new(&program(text), &layout).expect("it types");
    assert_eq!(optimizer.set_for("*.bias", "weight_decay", 0.0).expect("there is a bias"), 1);
    assert_eq!(optimizer.set_for("norm.*", "weight_decay", 0.0).expect("there is a norm"), 1);
    let mut weights = [1.0; 5];
    optimizer.step(&mut weights, &[0.0; 5], 1.0).expect("the arrays fit");
    assert_eq!(weights, [0.5, 0.5, 1.0, 1.0, 0.5]);
    // The value for all other arrays can still be set, and one pattern can be set again.
    optimizer.set("weight_decay", 0.0).expect("it has it");
    optimizer.set_for("*.bias", "weight_decay", 1.0).expect("there is a bias");
    optimizer.step(&mut weights, &[0.0; 5], 1.0).expect("the arrays fit");
    assert_eq!(weights, [0.5, 0.5, 0.0, 1.0, 0.5]);
    assert_eq!(optimizer.overrides().len(), 2);
}

#[test]
fn overrides_that_fit_nothing_are_errors_with_a_way_out_and_change_nothing() {
    let mut optimizer = used_adam();
    let before = seen(&optimizer);
    let error =
        optimizer.set_for("*.bias", "beta1", 0.5).expect_err("no array is called so").to_string();
    assert!(
        error.contains("\"*.bias\"") && error.contains("weight, bias, empty, scale"),
        "{error}"
    );
    let error = optimizer.set_for("bias", "beta", 0.5).expect_err("it is called beta1").to_string();
    assert!(error.contains("beta1, epsilon"), "{error}");
    let error =
        optimizer.set_for("[ab", "beta1", 0.5).expect_err("the bracket is not closed").to_string();
    assert!(
        error.contains("\"[ab\" is no pattern") && error.contains("`*` stands for any letters"),
        "{error}"
    );
    assert_eq!(seen(&optimizer), before);
    let many = Layout::new((0..500).map(|i| (format!("layer{i}"), vec![1]))).expect("a layout");
    let error = Optimizer::new(&program(ADAM), &many)
        .expect("it types")
        .set_for("bias", "beta1", 0.5)
        .expect_err("no such array")
        .to_string();
    assert!(error.ends_with("layer7 and 492 more"), "{error}");
}

#[test]
fn overrides_go_on_from_a_file() {
    let mut saved = adam();
    saved.set_for("bias", "beta1", 0.5).expect("there is a bias");
    saved.set_for("*", "epsilon", f64::INFINITY).expect("all match");
    let mut weights = [0.5; 10];
    run(&mut saved, &mut weights, 2);
    let bytes = saved.save_bytes().expect("it can be saved");
    let mut loaded = adam();
    loaded.set_for("scale", "beta1", 0.1).expect("there is a scale");
    loaded.load_bytes(&bytes).expect("it can be loaded");
    assert_eq!(loaded.overrides(), saved.overrides());
    assert_eq!(seen(&loaded), seen(&saved));
    // An override of arrays that another model does not have can't have been meant for it.
    let edited = with_metadata(&bytes, "bias", "none");
    let mut other = adam();
    assert!(other.load_bytes(&edited).is_err());
}

#[test]
fn a_state_of_format_version_1_is_still_read() {
    let saved = used_adam();
    let bytes = saved.save_bytes().expect("it can be saved");
    let (_, header) = SafeTensors::read_metadata(&bytes).expect("a saved state");
    let json = header.metadata().as_ref().and_then(|m| m.get("symopt")).expect("our entry");
    let mut metadata: serde_json::Value = serde_json::from_str(json).expect("JSON");
    // Version 1 lacks the fields that version 2 added.
    let fields = metadata.as_object_mut().expect("an object");
    fields.insert("version".to_owned(), 1.into());
    assert!(fields.remove("overrides").is_some() && fields.remove("rounding_seed").is_some());
    let file = SafeTensors::deserialize(&bytes).expect("a saved state");
    let tensors: Vec<_> = file.iter().collect();
    let metadata = std::collections::HashMap::from([("symopt".to_owned(), metadata.to_string())]);
    let old = safetensors::serialize(tensors, Some(metadata)).expect("tensors can be written");
    let mut loaded = adam();
    loaded.load_bytes(&old).expect("version 1 is read");
    assert_eq!(seen(&loaded), seen(&saved));
}

#[test]
fn a_state_without_overrides_goes_on_in_an_optimizer_that_has_stepped_with_some() {
    // The arrays are told apart with overrides, and run as one without.
    let layout = Layout::new((0..40).map(|i| (format!("array{i}"), vec![10]))).expect("a layout");
    let text = "def f(w, g, m, lr, *, decay=0.5):\n  m = tanh(interp(g, m, 0.9)) / (w + decay)\n  update = cos(m) * lr\n  return update, m\n";
    let new = || Optimizer::new(&program(text), &layout).expect("it types");
    let (mut plain, mut changed) = (new(), new());
    changed.set_for("array7", "decay", 0.25).expect("there is such an array");
    let mut weights = vec![0.5; 400];
    run(&mut plain, &mut weights, 1);
    run(&mut changed, &mut vec![0.5; 400], 1);
    changed.load_bytes(&plain.save_bytes().expect("it can be saved")).expect("it can be loaded");
    let mut copies = weights.clone();
    run(&mut plain, &mut weights, 2);
    run(&mut changed, &mut copies, 2);
    assert_eq!(difference(&weights, &copies), None);
}

#[test]
fn an_optimizer_can_go_to_another_thread() {
    fn goes<T: Send + Sync + 'static>(_: &T) {}
    let mut optimizer = adam();
    goes(&optimizer);
    let (mut here, mut there) = (vec![0.5; 10], vec![0.5; 10]);
    run(&mut adam(), &mut here, 2);
    let there = std::thread::spawn(move || {
        run(&mut optimizer, &mut there, 2);
        there
    });
    assert_eq!(difference(&here, &there.join().expect("it runs")), None);
}

#[test]
fn another_layout_gets_the_hyperparameters_the_options_and_zero_state() {
    let options = Options {
        state: Storage::Bf16,
        rounding: Rounding::Stochastic { seed: 7 },
        ..Options::default()
    };
    let mut prototype =
        Optimizer::with_options(&program(ADAM), &layout(), options).expect("it types");
    prototype.set("beta1", 0.5).expect("there is such a hyperparameter");
    prototype.set_for("weight*", "epsilon", 0.25).expect("there is such an array");
    run(&mut prototype, &mut [0.5; 10], 3);

    let smaller = Layout::new([("other", vec![2]), ("weights", vec![3])]).expect("a layout");
    let mut made = prototype.for_layout(&smaller).expect("it has an array of that name");
    let mut expected =
        Optimizer::with_options(&program(ADAM), &smaller, options).expect("it types");
    expected.set("beta1", 0.5).expect("there is such a hyperparameter");
    expected.set_for("weight*", "epsilon", 0.25).expect("there is such an array");
    assert_eq!(seen(&made), seen(&expected));
    let (mut weights, mut expected_weights) = (vec![0.5; 5], vec![0.5; 5]);
    run(&mut made, &mut weights, 3);
    run(&mut expected, &mut expected_weights, 3);
    assert_eq!(difference(&weights, &expected_weights), None);
    assert_eq!(made.save_bytes().expect("a state"), expected.save_bytes().expect("a state"));

    let error = prototype
        .for_layout(&Layout::new([("bias", vec![1])]).expect("a layout"))
        .expect_err("no such array")
        .to_string();
    assert_eq!(error, "no parameter array matches \"weight*\"; they are: bias");
}

#[test]
fn arrays_are_coupled_by_sums_over_all_of_them_and_by_nothing_else() {
    for (update, coupled) in [
        ("g", false),
        ("g / norm(g)", false),
        ("g / global_norm(g)", true),
        ("clip(g, 1.0)", true),
        ("g * dot(g, w)", true),
        ("g * cosine_sim(g, w)", true),
    ] {
        let text = format!(
            "def f(w, g, lr):\n  update = {update}\n  update = lr * update\n  return update\n"
        );
        assert_eq!(
            Optimizer::new(&program(&text), &layout()).expect("it types").couples_arrays(),
            coupled,
            "{update}"
        );
    }
}
