//! The tile machine gives the bits of the reference interpreter, whatever the program, the arrays,
//! their values and the number of threads.

use std::collections::{BTreeMap, BTreeSet};

use symopt_dsl::function::{FUNCTIONS, Typing};
use symopt_dsl::graph::NodeKind;
use symopt_dsl::plan::Source;
use symopt_dsl::{Function, Graph, Plan, Program};
use symopt_evaluator::engine::tile_machine::TileMachine;
use symopt_evaluator::{Optimizer, Options, Reference, Threads};
use symopt_testing::draws::{
    Draw, Flavour, compare_with_reference, difference, disguised, join, layout, listing, numbers,
    split,
};
use symopt_testing::random::Random;

const FLAVOURS: [Flavour; 3] = [Flavour::Tame, Flavour::Finite, Flavour::Anything];

fn shapes(sizes: &[usize]) -> Vec<Vec<usize>> {
    sizes.iter().map(|size| vec![*size]).collect()
}

fn assert_equal_to_reference(
    program: &Program,
    shapes: &[Vec<usize>],
    flavour: Flavour,
    random: &mut Random,
) -> f64 {
    let seed = random.clone();
    compare_with_reference(program, shapes, 5, flavour, random).unwrap_or_else(|difference| {
        panic!("{difference} ({flavour:?} {shapes:?}, {seed:?})\n{}", listing(program))
    })
}

#[test]
fn random_programs_give_the_bits_of_the_reference_on_small_arrays() {
    let mut random = Random(1);
    let mut live_functions = BTreeSet::new();
    let mut compared = 0;
    let layouts = [
        vec![vec![17]],
        vec![vec![1], vec![3], vec![0], vec![2, 5]],
        vec![vec![], vec![4, 3, 2]],
        vec![vec![], vec![]],
        vec![vec![0]],
        vec![],
    ];
    for index in 0..6000 {
        let program = Draw::everything([3, 8, 25][index % 3]).program(&mut random);
        let graph = Graph::new(&program).expect("drawn programs type");
        live_functions.extend(graph.nodes().iter().filter_map(|node| match node.kind {
            NodeKind::Call(function) => Some(function),
            _ => None,
        }));
        // The empty layouts come up, but seldom.
        let shapes = if index % 50 == 0 { random.pick(&[4, 5]) } else { random.below(4) };
        let numbers = assert_equal_to_reference(
            &program,
            &layouts[shapes],
            random.pick(&FLAVOURS),
            &mut random,
        );
        compared += usize::from(numbers > 0.5);
    }
    // All NaN are alike, so a comparison of NaN says little.
    assert!(compared > 2000, "only {compared} programs left numbers to compare");
    // Nullary functions are folded to constants, copies disappear, and of comparisons the smaller
    // side comes first.
    let gone = [
        Function::GetPi,
        Function::GetE,
        Function::GetEps,
        Function::Copy,
        Function::Greater,
        Function::GreaterEqual,
    ];
    let missed: Vec<_> = Function::fused()
        .filter(|function| !gone.contains(function) && !live_functions.contains(function))
        .collect();
    assert!(missed.is_empty(), "never live in a random program: {missed:?}");
}

#[test]
fn random_programs_give_the_bits_of_the_reference_on_arrays_of_several_tiles() {
    let mut random = Random(2);
    let sizes = shapes(&[1, 3, 0, 1000, 5000, 8200, 4096, 2]);
    for _ in 0..60 {
        let program = Draw::everything(12).program(&mut random);
        assert_equal_to_reference(&program, &sizes, random.pick(&FLAVOURS), &mut random);
    }
}

#[test]
fn random_programs_of_operations_that_are_put_together_give_the_bits_of_the_reference() {
    let mut random = Random(14);
    let layouts = [shapes(&[37]), shapes(&[1, 3, 0, 16]), shapes(&[1100, 5])];
    let (mut compared, mut fewer) = (0, 0);
    for index in 0..8000 {
        let program = Draw::fused([4, 8, 16][index % 3]).program(&mut random);
        let shapes = if index % 20 == 0 { &layouts[2] } else { &layouts[index % 2] };
        let numbers =
            assert_equal_to_reference(&program, shapes, random.pick(&FLAVOURS), &mut random);
        compared += usize::from(numbers > 0.5);
        let plan = Plan::new(&Graph::new(&program).expect("drawn programs type"), &program);
        let (last, machine) = (plan.passes.len() - 1, TileMachine::new(&plan));
        // Alone, each instruction is an operation, and so is the subtraction from the weights.
        fewer += usize::from(machine.operations(last) <= plan.passes[last].instructions.len());
    }
    assert!(compared > 4000, "only {compared} programs left numbers to compare");
    assert!(fewer > 2000, "only {fewer} programs had operations that were put together");
}

#[test]
fn lion_takes_two_operations_on_tiles_and_adamw_one() {
    let lion = "def lion(w, g, m, lr, *, beta1=0.9, beta2=0.99, weight_decay=0.1):\n  update = sign(interp(g, m, beta1))\n  \
                m = interp(g, m, beta2)\n  update = (update + w * weight_decay) * lr\n  return update, m\n";
    let adamw = "def adamw(w, g, m, v, t, lr, *, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.01):\n  m = interp(g, m, beta1)\n  \
                 v = interp(square(g), v, beta2)\n  m_hat = m / (1 - power(beta1, t))\n  v_hat = v / (1 - power(beta2, t))\n  \
                 update = m_hat / (sqrt(v_hat) + epsilon)\n  update = (update + w * weight_decay) * lr\n  return update, m, v\n";
    for (text, operations) in [(lion, 2), (adamw, 1)] {
        let program = symopt_dsl::parse(text).unwrap_or_else(|faults| panic!("{faults}\n{text}"));
        let plan = Plan::new(&Graph::new(&program).expect("it types"), &program);
        assert_eq!(TileMachine::new(&plan).operations(0), operations, "{text}");
    }
}

#[test]
fn every_form_of_a_moment_step_is_one_operation_with_the_bits_of_the_reference() {
    let mut random = Random(15);
    for guarded in [false, true] {
        for (m, root) in
            [("m", "sqrt(v)"), ("m / (1 - power(0.9, t))", "sqrt(v / (1 - power(0.99, t)))")]
        {
            for shift in ["", " + 1e-8"] {
                for end in [
                    "update = d * lr",
                    "update = (d + w * 0.1) * lr",
                    "update = (w * 0.1 - d) * lr",
                    "update = d + w * 0.1",
                    "update = d",
                ] {
                    for averages in [
                        "m = interp(g, m, 0.9)\n  v = interp(square(g), v, 0.99)",
                        "v = interp(square(g), v, 0.99)\n  m = interp(g, m, 0.9)",
                        "m = m * 0.9 + g * 0.1\n  v = v * 0.99 + square(g)",
                    ] {
                        let mark = if guarded { "@guarded\n" } else { "" };
                        let text = format!(
                            "{mark}def f(w, g, m, v, t, lr):\n  {averages}\n  d = ({m}) / ({root}{shift})\n  {end}\n  return update, m, v\n"
                        );
                        let program = symopt_dsl::parse(&text)
                            .unwrap_or_else(|faults| panic!("{faults}\n{text}"));
                        let plan = Plan::new(&Graph::new(&program).expect("it types"), &program);
                        let operations = TileMachine::new(&plan).operations(0);
                        // A guarded division adds a guard to its divisor: to a sum, or to the
                        // number of a bias correction, that is one addition more.
                        let together = !guarded || (shift.is_empty() && m == "m");
                        assert!(operations == 1 || !together, "{operations} operations\n{text}");
                        for flavour in FLAVOURS {
                            assert_equal_to_reference(
                                &program,
                                &shapes(&[37, 1030]),
                                flavour,
                                &mut random,
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn swapped_copied_and_dead_slots_give_the_bits_of_the_reference() {
    let texts = [
        // Two slots change places.
        "def f(w, g, a, b):\n  c = a\n  a = b + g\n  b = c - g\n  update = a * 0.1\n  return update, a, b\n",
        "def f(w, g, a, b):\n  c = a\n  a = b\n  b = c + g\n  update = a * 0.1\n  return update, a, b\n",
        "def f(w, g, a, b, c):\n  d = a\n  a = b\n  b = c\n  c = d + g\n  update = a * 0.1\n  return update, a, b, c\n",
        // Inputs as slots: the slot keeps what the step began with.
        "def f(w, g, a, b):\n  update = a * 0.1 + b * 0.1\n  a = g\n  b = w\n  return update, a, b\n",
        // The update is an input, a slot's old value or its new one.
        "def f(w, g):\n  return g\n",
        "def f(w, g):\n  return w\n",
        "def f(w, g, a):\n  update = a\n  a = a + g\n  return update, a\n",
        "def f(w, g, a):\n  a = a + g\n  return a, a\n",
        // A slot that never changes, one that nothing reads, one that only feeds itself.
        "def f(w, g, a, b, c):\n  update = g + a\n  b = cosh(g)\n  c = c + g\n  return update, a, b, c\n",
        // Two slots that are equal, but are computed apart.
        "def f(w, g, a, b):\n  a = a + g\n  b = b + g\n  update = a * b\n  return update, a, b\n",
        // Two or three slots with one value, which is computed to the place of one of them: with
        // and without scratch tiles.
        "def f(w, g, a, b):\n  a = a + g\n  b = a\n  return a, a, b\n",
        "def f(w, g, a, b):\n  update = b\n  a = tanh(g)\n  b = a\n  return update, a, b\n",
        "def f(w, g, a, b):\n  update = a\n  b = tanh(g)\n  a = b\n  return update, a, b\n",
        "def f(w, g, a, b):\n  update = tanh(a) * cosh(b) + a / b\n  a = interp(g, a, 0.9)\n  b = a\n  return update, a, b\n",
        "def f(w, g, a, b, c):\n  update = b / c\n  a = interp(g, a, 0.9)\n  b = a\n  c = a\n  return update, a, b, c\n",
        "def f(w, g, a, b, c):\n  update = sign(interp(g, a, 0.9))\n  a = interp(g, a, 0.99)\n  c = a\n  b = c\n  return update, a, b, c\n",
        "def f(w, g, a, b, c, d):\n  e = a\n  a = b\n  b = e\n  c = d * g\n  d = c\n  return g, a, b, c, d\n",
        // The same value as an input of the step: a copy of the gradients, the weights or a slot's
        // old value in each of two slots.
        "def f(w, g, a, b):\n  a = g\n  b = g\n  return g, a, b\n",
        "def f(w, g, a, b, c):\n  update = b + c\n  b = a\n  c = a\n  a = w\n  return update, a, b, c\n",
        "def f(w, g, a, b):\n  update = a * b\n  a = w\n  b = w\n  return update, a, b\n",
        // The weights as a local variable.
        "def f(w, g, lr):\n  w = w * 2.0\n  update = w * lr\n  return update\n",
    ];
    let mut random = Random(3);
    for text in texts {
        let program = symopt_dsl::parse(text).unwrap_or_else(|faults| panic!("{faults}\n{text}"));
        for flavour in FLAVOURS {
            assert_equal_to_reference(&program, &[vec![3], vec![5000]], flavour, &mut random);
        }
    }
}

#[test]
fn a_function_of_equal_arguments_in_a_slot_gives_the_bits_of_the_reference() {
    // Found by a search: `maximum(m, m)` is m, both slots get one value, and no value needs a
    // scratch tile.
    let found = "@guarded\ndef train(w, g, m, v, lr):\n  m = interp(g, m, 0.995)\n  sqrt_v = sqrt(v)\n  v = maximum(m, m)\n  \
                 update = m / sqrt_v\n  return update, m, v\n";
    let mut texts = vec![found.to_owned()];
    let element_wise: Vec<_> =
        FUNCTIONS.iter().filter(|row| row.typing == Typing::ElementWise).collect();
    let mut values = vec!["m".to_owned(), "v".to_owned()];
    for (x, y) in [("m", "m"), ("v", "v"), ("m", "v"), ("v", "m")] {
        values.extend(
            element_wise
                .iter()
                .filter(|row| row.arity() == 2)
                .map(|row| format!("{}({x}, {y})", row.name)),
        );
        values.extend(
            [
                "where({x}, {y}, g)",
                "where(g, {x}, {y})",
                "where({x}, 0.5, {y})",
                "where({x} > {y}, lr, 0.0)",
                "where(lr, {x}, {y})",
            ]
            .map(|form| form.replace("{x}", x).replace("{y}", y)),
        );
        values.push(format!("interp({x}, {y}, 0.25)"));
        values.push(format!("interp({x}, {y}, lr)"));
        values.push(format!("interp({x}, interp({y}, {x}, 0.5), 0.25)"));
    }
    for x in ["m", "v"] {
        values.extend(
            element_wise
                .iter()
                .filter(|row| row.arity() == 1)
                .map(|row| format!("{}({x})", row.name)),
        );
    }
    assert!(values.len() > 100, "{} values", values.len());
    let first = ["m = interp(g, m, 0.995)", "m = interp(v, g, 0.5)", "m = tanh(g)"];
    let updates =
        ["old_m / sqrt(old_v)", "m / sqrt(old_v)", "m * v", "old_v", "v", "interp(old_m, v, 0.5)"];
    for (index, value) in values.iter().enumerate() {
        for (place, update) in updates.iter().enumerate() {
            let (mark, m) = (
                if (index + place) % 2 == 0 { "@guarded\n" } else { "" },
                first[(index + place / 2) % first.len()],
            );
            let text = format!(
                "{mark}def f(w, g, m, v, lr):\n  old_m = m\n  old_v = v\n  {m}\n  v = {value}\n  update = {update}\n  return update, m, v\n"
            );
            // And the two change places in the end.
            texts.push(text.replace("  return", "  old_m = m\n  m = v\n  v = old_m\n  return"));
            texts.push(text);
        }
    }
    let mut random = Random(16);
    for text in texts {
        let program = symopt_dsl::parse(&text).unwrap_or_else(|faults| panic!("{faults}\n{text}"));
        for flavour in FLAVOURS {
            assert_equal_to_reference(&program, &shapes(&[1, 37]), flavour, &mut random);
        }
    }
}

#[test]
fn random_programs_with_slots_of_one_value_give_the_bits_of_the_reference() {
    let mut random = Random(17);
    let (mut compared, mut alike, mut without_tiles) = (0, 0, 0);
    for index in 0..8000 {
        let statements = [1, 2, 2, 12][index % 4];
        let draw =
            if index % 3 == 0 { Draw::everything(statements) } else { Draw::fused(statements) };
        let program = draw.alike().program(&mut random);
        let numbers = assert_equal_to_reference(
            &program,
            &shapes(&[1, 37]),
            random.pick(&FLAVOURS),
            &mut random,
        );
        compared += usize::from(numbers > 0.5);
        let plan = Plan::new(&Graph::new(&program).expect("drawn programs type"), &program);
        let value = |source: &Source| matches!(source, Source::Value(_));
        if plan
            .slots
            .iter()
            .enumerate()
            .any(|(slot, source)| value(source) && plan.slots[..slot].contains(source))
        {
            alike += 1;
            without_tiles += usize::from(TileMachine::new(&plan).scratch_tiles() == 0);
        }
    }
    assert!(compared > 4000, "only {compared} programs left numbers to compare");
    assert!(alike > 500, "only {alike} programs had two slots of one value");
    assert!(without_tiles > 10, "only {without_tiles} of them needed no scratch tile");
}

#[test]
fn reductions_of_every_mix_of_types_give_the_bits_of_the_reference() {
    // A scalar, a per-array value and a tree in every place of every reduction, one after another
    // and one inside another.
    let values = ["lr", "norm(g)", "g", "w", "norm(norm(w))", "0.7"];
    let mut random = Random(4);
    for x in values {
        for y in values {
            let text = format!(
                "def f(w, g, m, lr):\n  a = dot({x}, {y})\n  b = cosine_sim({x}, {y})\n  c = global_norm({x}) + a\n  d = clip({x}, 0.3)\n  \
                 e = interp({x}, {y}, b)\n  h = norm(d * e + m)\n  m = interp(m, g, 0.5) + clip(g * d, c)\n  update = e + h + d + g * b\n  return update, m\n"
            );
            let program =
                symopt_dsl::parse(&text).unwrap_or_else(|faults| panic!("{faults}\n{text}"));
            for flavour in FLAVOURS {
                assert_equal_to_reference(
                    &program,
                    &shapes(&[1, 3, 0, 4097]),
                    flavour,
                    &mut random,
                );
            }
        }
    }
}

#[test]
fn a_plan_takes_no_more_passes_than_the_cost_of_the_graph_says() {
    let mut random = Random(13);
    for _ in 0..3000 {
        let program = Draw::everything(20).program(&mut random);
        let graph = Graph::new(&program).expect("drawn programs type");
        let (passes, cost) = (Plan::new(&graph, &program).passes.len(), graph.cost().array_passes);
        assert!(passes <= cost, "{passes} passes, by the cost {cost}\n{}", listing(&program));
    }
}

#[test]
fn a_clip_to_a_limit_that_is_itself_reduced_takes_one_pass_for_each_reduction() {
    // The limit is known a pass later than the norm of g: there used to be no pass to put the
    // factor before.
    let text = "def f(w, g):\n  direction = w / global_norm(w)\n  limit = global_norm(direction)\n  update = clip(g, limit)\n  return update\n";
    let program = symopt_dsl::parse(text).unwrap_or_else(|faults| panic!("{faults}\n{text}"));
    let plan = Plan::new(&Graph::new(&program).expect("it types"), &program);
    assert_eq!(plan.passes.len(), 3);
    assert_equal_to_reference(&program, &shapes(&[3, 5000]), Flavour::Tame, &mut Random(10));
}

/// Weights and slots after three steps, run within a pool of so many threads.
fn run_on_threads(program: &Program, sizes: &[usize], threads: usize) -> Vec<f32> {
    let layout = layout(&shapes(sizes));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool");
    pool.install(|| {
        let mut random = Random(5);
        let options = Options { threads: Threads::All, ..Options::default() };
        let mut optimizer =
            Optimizer::with_options(program, &layout, options).expect("the program types");
        let mut weights = numbers(&mut random, layout.len(), Flavour::Tame);
        for _ in 0..3 {
            let gradients = numbers(&mut random, layout.len(), Flavour::Tame);
            optimizer.step(&mut weights, &gradients, 0.01).expect("the arrays fit");
        }
        for (_, values) in optimizer.slots() {
            weights.extend_from_slice(&values.to_f32());
        }
        weights
    })
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let element_wise = "def f(w, g, m, lr):\n  update = sign(interp(g, m, 0.9)) * lr\n  m = interp(g, m, 0.99)\n  return update, m\n";
    let reductions = "def f(w, g, m, lr):\n  g = clip(g, 1.0)\n  m = interp(g, m, 0.9)\n  ratio = norm(w) / norm(m)\n  \
                      update = m * ratio * lr + w * cosine_sim(w, m) + g * dot(g, m)\n  return update, m\n";
    for text in [element_wise, reductions] {
        let program = symopt_dsl::parse(text).unwrap_or_else(|faults| panic!("{faults}\n{text}"));
        let sizes = [300_001, 7, 0, 140_000, 4096];
        let one = run_on_threads(&program, &sizes, 1);
        assert!(one.iter().all(|x| x.is_finite()));
        for threads in [2, 8] {
            assert_eq!(
                difference(&one, &run_on_threads(&program, &sizes, threads)),
                None,
                "{threads} threads\n{text}"
            );
        }
    }
}

#[test]
fn a_step_on_many_threads_gives_the_bits_of_the_reference() {
    let text = "def f(w, g, m, lr):\n  g = clip(g, 1.0)\n  m = interp(g, m, 0.9)\n  update = m * norm(w) / norm(m) * lr\n  return update, m\n";
    let program = symopt_dsl::parse(text).unwrap_or_else(|faults| panic!("{faults}\n{text}"));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().expect("a thread pool");
    // Large enough to be spread over threads without being asked to.
    pool.install(|| {
        assert_equal_to_reference(
            &program,
            &shapes(&[500_000, 100, 300_000]),
            Flavour::Tame,
            &mut Random(6),
        )
    });
}

#[test]
fn names_order_commutation_and_dead_code_change_neither_hash_nor_bits() {
    let mut random = Random(7);
    let shapes = [vec![1], vec![6], vec![2, 2]];
    let layout = layout(&shapes);
    for _ in 0..1500 {
        let program = Draw::everything(12).program(&mut random);
        let disguise = disguised(&program, &mut random);
        let hashes =
            [&program, &disguise].map(|p| Graph::new(p).expect("drawn programs type").hash());
        assert_eq!(hashes[0], hashes[1], "{}{}", listing(&program), listing(&disguise));
        let mut optimizers =
            [&program, &disguise].map(|p| Optimizer::new(p, &layout).expect("drawn programs type"));
        let flavour = random.pick(&FLAVOURS);
        let mut weights = [(); 2].map(|()| numbers(&mut random.clone(), layout.len(), flavour));
        for _ in 0..4 {
            let gradients = numbers(&mut random, layout.len(), flavour);
            for (optimizer, weights) in optimizers.iter_mut().zip(&mut weights) {
                optimizer.step(weights, &gradients, 0.1).expect("the arrays fit");
            }
            if let Some(difference) = difference(&weights[0], &weights[1]) {
                panic!("{difference}\n{}{}", listing(&program), listing(&disguise));
            }
        }
    }
}

/// Weights after each of three steps of the reference interpreter, which knows nothing of graphs.
fn reference_trajectory(program: &Program, flavour: Flavour) -> Vec<f32> {
    let shapes = [vec![1], vec![12], vec![2, 2]];
    let layout = layout(&shapes);
    let mut random = Random(8);
    let mut reference = Reference::<f32>::new(program, &shapes).expect("drawn programs type");
    let mut weights = split(&layout, &numbers(&mut random, layout.len(), flavour));
    let mut trajectory = Vec::new();
    for _ in 0..3 {
        let gradients = split(&layout, &numbers(&mut random, layout.len(), flavour));
        reference.step(&mut weights, &gradients, 0.1).expect("the arrays fit");
        trajectory.extend(join(&weights));
    }
    trajectory
}

#[test]
fn programs_of_one_hash_behave_alike_bit_for_bit_in_the_reference() {
    let mut random = Random(9);
    let mut first: BTreeMap<_, (Program, [Vec<f32>; 3])> = BTreeMap::new();
    let mut pairs = 0;
    for _ in 0..20_000 {
        let program = Draw::rewritten().program(&mut random);
        let hash = Graph::new(&program).expect("drawn programs type").hash();
        let trajectories = FLAVOURS.map(|flavour| reference_trajectory(&program, flavour));
        let Some((known, known_trajectories)) = first.get(&hash) else {
            first.insert(hash, (program, trajectories));
            continue;
        };
        let numbers = trajectories[0].iter().filter(|x| !x.is_nan()).count();
        if known.statements != program.statements && 2 * numbers > trajectories[0].len() {
            pairs += 1;
        }
        for (known_trajectory, trajectory) in known_trajectories.iter().zip(&trajectories) {
            if let Some(difference) = difference(known_trajectory, trajectory) {
                panic!("equal hashes, but {difference}\n{}{}", listing(known), listing(&program));
            }
        }
    }
    assert!(pairs > 2000, "only {pairs} pairs of different programs had one hash");
}

#[test]
fn a_pruned_program_trains_to_the_same_bits_with_the_same_hash_and_nothing_redundant() {
    let mut random = Random(77);
    let layout = layout(&shapes(&[3, 40]));
    let mut smaller = 0;
    for _ in 0..800 {
        let program = Draw::everything(15).program(&mut random);
        let graph = Graph::new(&program).expect("drawn programs type");
        let pruned = program.pruned(&graph);
        let pruned_graph = Graph::new(&pruned)
            .unwrap_or_else(|errors| panic!("{errors:?}\n{}\n{pruned}", listing(&program)));
        assert_eq!(pruned_graph.hash(), graph.hash(), "{}\n{pruned}", listing(&program));
        assert_eq!(pruned.statements.len(), graph.live_statements());
        assert_eq!(pruned_graph.live_statements(), pruned.statements.len(), "{pruned}");
        smaller += usize::from(pruned.statements.len() < program.statements.len());
        let mut both = [&program, &pruned].map(|p| Optimizer::new(p, &layout).expect("it types"));
        let mut weights = [(); 2].map(|()| vec![0.5; layout.len()]);
        for _ in 0..4 {
            let gradients = numbers(&mut random, layout.len(), Flavour::Anything);
            for (optimizer, weights) in both.iter_mut().zip(&mut weights) {
                optimizer.step(weights, &gradients, 0.3).expect("the arrays fit");
            }
        }
        assert_eq!(difference(&weights[0], &weights[1]), None, "{}\n{pruned}", listing(&program));
    }
    assert!(smaller > 200, "only {smaller} programs had anything redundant");
}
