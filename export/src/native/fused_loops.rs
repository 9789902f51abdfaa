//! A plan as Rust: one fused loop for each pass.
//!
//! The loops compute in f32, in the order of the program's statements and without fused
//! multiply-adds, so that they give the bits of the reference interpreter. Small values are not
//! computed here: a pass takes them, rounded to f32, as `numbers`.

use std::collections::BTreeSet;
use std::fmt::Write;

use symopt_dsl::Function;
use symopt_dsl::plan::{Instruction, Operation, Plan, Source};

/// Imports that the text needs, with the paths that the including crate uses.
pub const IMPORTS: &str = "use symopt_evaluator::math::Real;
use symopt_evaluator::reduce::{BLOCK, BlockSum, LANES};
use symopt_evaluator::simd_dispatch;
use symopt_evaluator::storage::Element;
use symopt_evaluator::engine::stretch::{CompiledPass, Stretch};
";

/// A constant `NAME_PASSES` with a `CompiledPass` for each pass of the plan, and the functions that
/// it names. The name is in snake case.
pub fn passes(name: &str, plan: &Plan) -> String {
    let mut text = String::new();
    let mut names = Vec::new();
    for pass in 0..plan.passes.len() {
        let function = format!("{name}_{}", pass + 1);
        if plan.writes(pass) {
            writing_pass(&mut text, &function, plan, pass)
        } else {
            reducing_pass(&mut text, &function, plan, pass)
        }
        names.push(format!("CompiledPass {{ f32: {function}, bf16: {function} }}"));
    }
    text += &format!(
        "/// The passes of `{name}`.\nconst {}_PASSES: &[CompiledPass] = &[{}];\n\n",
        name.to_uppercase(),
        names.join(", ")
    );
    text
}

/// An array that a pass takes: how a stretch, a slice and an element of it are called.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Array {
    Weights,
    Gradients,
    Slot(usize),
}

impl Array {
    fn of(source: Source) -> Option<Array> {
        match source {
            Source::Weights => Some(Array::Weights),
            Source::Gradients => Some(Array::Gradients),
            Source::Slot(slot) => Some(Array::Slot(slot)),
            // Loops are written of plans of passes alone, which keep nothing.
            Source::Value(_) | Source::Small(_) | Source::Kept(_) | Source::Matrix(_) => None,
        }
    }

    fn slice(self) -> String {
        match self {
            Array::Weights => "weights".to_owned(),
            Array::Gradients => "gradients".to_owned(),
            Array::Slot(slot) => format!("slot{slot}"),
        }
    }

    fn element(self) -> String {
        match self {
            Array::Weights => "w".to_owned(),
            Array::Gradients => "g".to_owned(),
            Array::Slot(slot) => format!("s{slot}"),
        }
    }

    /// An element of the slice in f32.
    fn load(self, element: &str) -> String {
        match self {
            Array::Weights | Array::Gradients => element.to_owned(),
            Array::Slot(_) => format!("{element}.load()"),
        }
    }

    /// The slice of a stretch whose slots are taken apart.
    fn of_stretch(self) -> String {
        match self {
            Array::Weights | Array::Gradients => format!("stretch.{}", self.slice()),
            Array::Slot(_) => self.slice(),
        }
    }
}

/// The arrays and the small values that a pass reads.
fn inputs(plan: &Plan, pass: usize) -> (BTreeSet<Array>, BTreeSet<usize>) {
    let arrays = plan.reads(pass).filter_map(Array::of).collect();
    let mut numbers: BTreeSet<usize> = plan
        .reads(pass)
        .filter_map(|s| if let Source::Small(small) = s { Some(small) } else { None })
        .collect();
    for instruction in &plan.passes[pass].instructions {
        if let Operation::Blend { rest, weight } = instruction.operation {
            numbers.extend([rest, weight]);
        }
    }
    (arrays, numbers)
}

fn operand(source: Source) -> String {
    match source {
        Source::Value(value) => format!("v{value}"),
        Source::Small(small) => format!("n{small}"),
        array => Array::of(array).map(Array::element).unwrap_or_default(),
    }
}

fn expression(instruction: &Instruction) -> String {
    let (x, y, z) = (operand(instruction.x), operand(instruction.y), operand(instruction.z));
    match instruction.operation {
        Operation::Copy => x,
        Operation::Blend { rest, weight } => format!("n{rest} * {x} + n{weight} * {y}"),
        Operation::Function(Function::Negative) => format!("-{x}"),
        // `where` is a keyword of Rust.
        Operation::Function(Function::Where) => format!("Real::select({x}, {y}, {z})"),
        Operation::Function(function) => match (function.row().operator, function.arity()) {
            (Some(operator), _) => format!("{x} {operator} {y}"),
            (None, 1) => format!("Real::{}({x})", function.name()),
            (None, 2) => format!("Real::{}({x}, {y})", function.name()),
            (None, _) => format!("Real::{}({x}, {y}, {z})", function.name()),
        },
    }
}

/// A line for each instruction.
fn body(text: &mut String, plan: &Plan, pass: usize, indent: &str) {
    for (value, instruction) in plan.passes[pass].instructions.iter().enumerate() {
        let _ = writeln!(text, "{indent}let v{value} = {};", expression(instruction));
    }
}

/// `fn NAME(stretch, numbers)`, which calls the loop with the slices that it takes.
fn entry(text: &mut String, name: &str, plan: &Plan, arguments: &[String], sums: usize) {
    let list = |prefix: &str, count: usize| {
        (0..count).map(|i| format!("{prefix}{i}")).collect::<Vec<_>>().join(", ")
    };
    let slots = list("slot", plan.slots.len());
    let unused = |name: &str| {
        if arguments.iter().any(|a| a == name) { name.to_owned() } else { "_".to_owned() }
    };
    let slots =
        slots.split(", ").filter(|s| !s.is_empty()).map(unused).collect::<Vec<_>>().join(", ");
    let sums = list("sum", sums);
    let _ =
        writeln!(text, "fn {name}<S: Element>(stretch: &mut Stretch<'_, S>, numbers: &[f32]) {{");
    let _ = writeln!(
        text,
        "    if let ([{slots}], [{sums}]) = (&mut stretch.slots[..], &mut stretch.sums[..]) {{"
    );
    let _ = writeln!(text, "        {name}_loop({}, numbers);\n    }}\n}}\n", arguments.join(", "));
}

/// The type parameter of a loop, if it takes slots.
fn generic(arrays: &[(Array, bool)]) -> &'static str {
    if arrays.iter().any(|(array, _)| matches!(array, Array::Slot(_))) {
        "<S: Element>"
    } else {
        ""
    }
}

fn parameters(arrays: &[(Array, bool)]) -> String {
    let element = |array: Array| if matches!(array, Array::Slot(_)) { "S" } else { "f32" };
    let parameter = |(array, written): &(Array, bool)| {
        format!("{}: &{}[{}], ", array.slice(), if *written { "mut " } else { "" }, element(*array))
    };
    arrays.iter().map(parameter).collect()
}

fn numbers_line(numbers: &BTreeSet<usize>) -> String {
    numbers.iter().map(|n| format!("        let n{n} = numbers[{n}];\n")).collect()
}

/// The last pass: it writes the weights and the slots.
fn writing_pass(text: &mut String, name: &str, plan: &Plan, pass: usize) {
    let (mut read, numbers) = inputs(plan, pass);
    read.insert(Array::Weights);
    let written = |array: Array| match array {
        Array::Weights => true,
        Array::Gradients => false,
        Array::Slot(slot) => plan.slots[slot] != Source::Slot(slot),
    };
    let mut arrays: BTreeSet<Array> = read.clone();
    arrays.extend((0..plan.slots.len()).map(Array::Slot).filter(|slot| written(*slot)));
    let arrays: Vec<(Array, bool)> =
        arrays.into_iter().map(|array| (array, written(array))).collect();

    let _ = writeln!(
        text,
        "simd_dispatch! {{\n    fn {name}_loop{}({}numbers: &[f32]) {{",
        generic(&arrays),
        parameters(&arrays)
    );
    *text += &numbers_line(&numbers);
    // One length for all lets the compiler drop the checks of places.
    *text += "        let length = weights.len();\n";
    for (array, written) in arrays.iter().filter(|(array, _)| *array != Array::Weights) {
        let slice = array.slice();
        let _ = writeln!(
            text,
            "        let {slice} = &{}{slice}[..length];",
            if *written { "mut " } else { "" }
        );
    }
    *text += "        for i in 0..length {\n";
    for array in &read {
        let _ = writeln!(
            text,
            "            let {} = {};",
            array.element(),
            array.load(&format!("{}[i]", array.slice()))
        );
    }
    body(text, plan, pass, "            ");
    let _ = writeln!(text, "            weights[i] = w - {};", operand(plan.update));
    for (slot, source) in
        plan.slots.iter().enumerate().filter(|(slot, _)| written(Array::Slot(*slot)))
    {
        let _ = writeln!(
            text,
            "            {}[i] = S::store({});",
            Array::Slot(slot).slice(),
            operand(*source)
        );
    }
    *text += "        }\n    }\n}\n";
    entry(
        text,
        name,
        plan,
        &arrays.iter().map(|(array, _)| array.of_stretch()).collect::<Vec<_>>(),
        0,
    );
}

/// A pass before the last: it takes sums, block by block, in the fixed order of the evaluator's
/// reductions.
fn reducing_pass(text: &mut String, name: &str, plan: &Plan, pass: usize) {
    let (arrays, numbers) = inputs(plan, pass);
    let reductions = &plan.passes[pass].reductions;
    let sums = reductions.len();
    let elements = |format: &dyn Fn(&Array) -> String| {
        arrays.iter().map(format).collect::<Vec<_>>().join(", ")
    };
    let arrays_and_reads: Vec<(Array, bool)> = arrays.iter().map(|array| (*array, false)).collect();
    let sum_parameters: String = (0..sums).map(|i| format!("sum{i}: &mut [f64], ")).collect();
    // A sum is of trees, so at least one array is read.
    let first = arrays.iter().next().map(|array| array.slice()).unwrap_or_default();

    let _ = writeln!(
        text,
        "simd_dispatch! {{\n    fn {name}_loop{}({}{sum_parameters}numbers: &[f32]) {{",
        generic(&arrays_and_reads),
        parameters(&arrays_and_reads)
    );
    *text += &numbers_line(&numbers);
    let _ = writeln!(text, "        // The factors of the sums, from the elements at one place.");
    let _ = writeln!(
        text,
        "        let factors = |{}| {{",
        elements(&|array| format!("{}: f32", array.element()))
    );
    body(text, plan, pass, "            ");
    let factors: Vec<String> = reductions
        .iter()
        .map(|r| format!("({}, {})", operand(r.x), r.y.map_or("1.0".to_owned(), operand)))
        .collect();
    let _ = writeln!(text, "            [{}]\n        }};", factors.join(", "));
    let _ = writeln!(
        text,
        "        for (block, start) in (0..{first}.len()).step_by(BLOCK).enumerate() {{"
    );
    let _ = writeln!(text, "            let end = {first}.len().min(start + BLOCK);");
    for array in &arrays {
        let (slice, element) = (array.slice(), array.element());
        let _ = writeln!(
            text,
            "            let ({element}_chunks, {element}_tail) = {slice}[start..end].as_chunks::<LANES>();"
        );
    }
    let _ = writeln!(text, "            let mut sums = [BlockSum::default(); {sums}];");
    let _ = writeln!(text, "            for chunk in 0..(end - start) / LANES {{");
    for array in &arrays {
        let _ = writeln!(text, "                let {0} = &{0}_chunks[chunk];", array.element());
    }
    let _ = writeln!(
        text,
        "                let (mut x, mut y) = ([[0.0; LANES]; {sums}], [[0.0; LANES]; {sums}]);"
    );
    *text += "                for lane in 0..LANES {\n";
    let _ = writeln!(
        text,
        "                    let factors = factors({});",
        elements(&|array| array.load(&format!("{}[lane]", array.element())))
    );
    let _ = writeln!(
        text,
        "                    for sum in 0..{sums} {{\n                        (x[sum][lane], y[sum][lane]) = factors[sum];"
    );
    *text += "                    }\n                }\n";
    let _ = writeln!(
        text,
        "                for sum in 0..{sums} {{\n                    sums[sum].add_products(x[sum], y[sum]);\n                }}"
    );
    let first_tail =
        arrays.iter().next().map(|array| format!("{}_tail", array.element())).unwrap_or_default();
    let _ = writeln!(text, "            }}\n            for lane in 0..{first_tail}.len() {{");
    let _ = writeln!(
        text,
        "                let factors = factors({});",
        elements(&|array| array.load(&format!("{}_tail[lane]", array.element())))
    );
    let _ = writeln!(
        text,
        "                for sum in 0..{sums} {{\n                    sums[sum].add_product(lane, factors[sum].0, factors[sum].1);"
    );
    *text += "                }\n            }\n";
    for sum in 0..sums {
        let _ = writeln!(text, "            sum{sum}[block] = sums[{sum}].total();");
    }
    *text += "        }\n    }\n}\n";
    let arguments: Vec<String> = arrays
        .iter()
        .map(|array| array.of_stretch())
        .chain((0..sums).map(|i| format!("sum{i}")))
        .collect();
    entry(text, name, plan, &arguments, sums);
}
