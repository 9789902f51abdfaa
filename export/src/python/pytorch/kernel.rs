//! A step as a Triton kernel: one pass over all elements of all tensors of a group.
//!
//! Contraction to fused multiply-adds is switched off at the launch, divisions and roots are the
//! rounded ones, and the other functions come from libdevice, so that a kernel rounds as PyTorch's
//! own operations do.

use std::borrow::Cow;
use std::fmt::Write;
use std::num::FpCategory;
use std::sync::LazyLock;

use symopt_dsl::{Function, Profile, Type};

use super::eager::compared;
use super::operations::is_comparison;
use crate::listing::{Callee, Expression, Listing};
use crate::notation::{Level, Notation, written, written_within};
use crate::python::{bracketed, calls, python_float};
use crate::runtime::{self, Helpers};
use crate::spelling::spelling;

struct KernelNotation;

impl Notation for KernelNotation {
    fn spelling(&self, callee: Callee, _ty: Type) -> Option<Cow<'static, str>> {
        match callee {
            // Computed before: it is a number.
            Callee::ClipFactor => None,
            // Two numbers of the text would be added in f64.
            Callee::Spread => Some("(tl.zeros_like(place).to(tl.float32) + {x!})".into()),
            Callee::Function(function) => spelling(function)?.triton.map(Cow::Borrowed),
        }
    }

    fn operator(
        &self,
        function: Function,
        _ty: Type,
        arguments: &[Expression],
    ) -> Option<Cow<'static, str>> {
        match function {
            Function::Where => Some(match arguments.first() {
                Some(Expression::Call(Callee::Function(function), _, sides))
                    if is_comparison(*function) =>
                {
                    let [x, y] = [0, 1].map(|side| written_within(self, &sides[side], Level::Sum));
                    format!("tl.where({}, {{y}}, {{z}})", compared(*function, &x, &y)).into()
                }
                _ => "tl.where({x!} != 0.0, {y}, {z})".into(),
            }),
            function if is_comparison(function) => {
                Some(format!("tl.where({}, 1.0, 0.0)", compared(function, "{x!}", "{y!}")).into())
            }
            Function::Divide => Some("tl.div_rn({x}, {y})".into()),
            Function::Reciprocal => Some("tl.div_rn(1.0, {x})".into()),
            _ => None,
        }
    }

    fn number(&self, number: f64) -> String {
        let text = python_float(number);
        // Triton takes a number that is no normal one of f32 for one of f64, which would make the
        // call that it is given to one in f64.
        match (number as f32).classify() {
            FpCategory::Normal => text,
            FpCategory::Zero if number == 0.0 => text,
            _ => format!("tl.full([], {text}, tl.float32)"),
        }
    }
}

/// Their names are others than those of the helpers for tensors, beside which they stand in a file.
static HELPERS: Helpers =
    LazyLock::new(|| runtime::helpers(include_str!("../../../runtime/pytorch/kernel.py")));

/// Names that the text of a kernel uses. A variable of the program must not have them.
pub const RESERVED: &[&str] = &[
    "addresses",
    "owners",
    "firsts",
    "block",
    "array",
    "start",
    "place",
    "inside",
    "row",
    "W_TYPE",
    "G_TYPE",
    "SLOT_TYPE",
    "BLOCK",
    "triton",
    "tl",
    "libdevice",
];

/// The part of a file that defines the kernel, and what it imports. `numbers` are the numbers that
/// the last stage reads.
pub fn definitions(listing: &Listing, numbers: &[String]) -> (String, String) {
    let stage = listing.stages.last();
    let mut parameters: Vec<String> = ["addresses", "owners", "firsts"].map(str::to_owned).to_vec();
    parameters.extend(numbers.iter().cloned());
    parameters.extend(
        ["W_TYPE", "G_TYPE", "SLOT_TYPE", "BLOCK"].map(|name| format!("{name}: tl.constexpr")),
    );
    let arrays: Vec<(&String, &str)> =
        [(&listing.weights, "W_TYPE"), (&listing.gradients, "G_TYPE")]
            .into_iter()
            .chain(listing.slots.iter().map(|slot| (slot, "SLOT_TYPE")))
            .collect();
    let width = arrays.len() + 1;
    let mut text =
        bracketed(4, "def _kernel(", &parameters, "):").replacen('(', "(  # type: ignore", 1);
    let mut line = |line: String| {
        let _ = writeln!(text, "        {line}");
    };
    line("block = tl.program_id(0)".to_owned());
    line("array = tl.load(owners + block).to(tl.int64)".to_owned());
    line("start = (block - tl.load(firsts + array)).to(tl.int64) * BLOCK".to_owned());
    line("place = start + tl.arange(0, BLOCK)".to_owned());
    line(format!("row = addresses + array * {width}"));
    line("inside = place < tl.load(row)".to_owned());
    let writes =
        |name: &str| name == listing.weights || listing.slots.iter().any(|slot| slot == name);
    let read = |name: &str| listing.weights == name || reads(listing, name);
    for (index, (name, ty)) in arrays.iter().enumerate() {
        if read(name) || writes(name) {
            line(format!(
                "{name}_pointers = tl.load(row + {}).to(tl.pointer_type({ty}))",
                index + 1
            ));
            line(format!("{name}_pointers = tl.multiple_of({name}_pointers, 16) + place"));
        }
        if read(name) {
            line(format!(
                "{name} = tl.load({name}_pointers, mask=inside, other=0.0).to(tl.float32)"
            ));
        }
    }
    for assignment in stage.iter().flat_map(|stage| &stage.lines) {
        line(format!("{} = {}", assignment.name, written(&KernelNotation, &assignment.value)));
    }
    // All values are computed before the first one is written, as slots may be swapped.
    for (slot, value) in listing.slots.iter().zip(&listing.next_slots) {
        let spread =
            if value.ty() == Type::Tree { "" } else { " + tl.zeros_like(place).to(tl.float32)" };
        line(format!("next_{slot} = {}{spread}", written(&KernelNotation, value)));
    }
    let weights = &listing.weights;
    line(format!("update_of_{weights} = {}", written(&KernelNotation, &listing.update)));
    for slot in &listing.slots {
        line(format!("tl.store({slot}_pointers, next_{slot}.to(SLOT_TYPE), mask=inside)"));
    }
    line(format!("next_{weights} = {weights} - update_of_{weights}"));
    line(format!("tl.store({weights}_pointers, next_{weights}.to(W_TYPE), mask=inside)"));
    let helpers: String = HELPERS
        .iter()
        .filter(|(name, _)| calls(&text, name))
        .map(|(_, definition)| format!("{}\n", runtime::indented(definition)))
        .collect();
    let device = if calls(&text, "libdevice") || calls(&helpers, "libdevice") {
        "    from triton.language.extra import libdevice\n"
    } else {
        ""
    };
    let imports = format!(
        "try:\n    import triton\n    import triton.language as tl\n{device}except ImportError:  # There is no Triton for this machine.\n    triton = None\n"
    );
    (imports, format!("if triton is not None:\n\n{helpers}    @triton.jit  # type: ignore\n{text}"))
}

/// Whether the last stage reads an array as it comes in.
fn reads(listing: &Listing, name: &str) -> bool {
    let lines = listing.stages.last().map_or(&[][..], |stage| &stage.lines);
    let values =
        lines.iter().map(|line| &line.value).chain(&listing.next_slots).chain([&listing.update]);
    values.into_iter().any(|value| value.reads(name))
}

/// Whether there is a kernel: it works element by element, on numbers that are the same for all
/// arrays.
pub fn exists(listing: &Listing) -> bool {
    let lines = listing.stages.last().map_or(&[][..], |stage| &stage.lines);
    let values =
        lines.iter().map(|line| &line.value).chain(&listing.next_slots).chain([&listing.update]);
    values.into_iter().all(is_element_wise)
}

fn is_element_wise(expression: &Expression) -> bool {
    let is_own = matches!(expression.ty(), Type::Scalar | Type::Tree);
    match expression {
        Expression::Name(..) | Expression::Number(_) => is_own,
        Expression::Call(Callee::Function(function), ..)
            if function.row().profile == Profile::Matrix =>
        {
            false
        }
        Expression::Call(.., arguments) => is_own && arguments.iter().all(is_element_wise),
    }
}
