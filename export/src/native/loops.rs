//! A listing as loops over the elements of one array at a time: what exports to languages without
//! arrays of their own are written from.
//!
//! Each stage of the listing is one loop over an array. The loops before the last one take sums,
//! the last one writes. A number of each array (a norm) is not kept for all arrays: where a later
//! round over the arrays needs it, the loop that gives it runs again, so no memory is needed beyond
//! the state.

use std::collections::BTreeSet;

use symopt_dsl::{Function, Type};

use crate::listing::{Callee, Expression, Line, Listing, ScalarParameter, Sum};
use crate::notation::shortest;

/// Work that is done on one array in one go.
#[derive(Clone, Debug)]
pub struct Loop {
    /// The weights, the gradients and the slots that it reads or writes, in this order.
    pub arrays: Vec<String>,
    /// Those of the arrays that it writes: of the last loop only.
    pub written: Vec<String>,
    /// Whether it reads how many elements the array has.
    pub reads_size: bool,
    /// The numbers that it needs: parameters, scalars and totals.
    pub scalars: Vec<String>,
    /// Numbers of the array that are computed once, before its elements.
    pub numbers: Vec<Line>,
    /// Computation on each element, in order.
    pub lines: Vec<Line>,
    /// The sums that it takes; both factors are names or numbers.
    pub sums: Vec<Sum>,
    /// Values that are written at its end, in order: for each array that is written, the value that
    /// its elements get, without the subtraction for the weights. None reads what was written
    /// before it.
    pub results: Vec<(String, Expression)>,
}

impl Loop {
    /// Whether it goes over the elements at all. If not, and if it reads how many there are, its
    /// only array is the weights.
    pub fn has_elements(&self) -> bool {
        self.sums.is_empty() || self.sums.iter().any(Sum::is_of_trees)
    }
}

/// All loops that run over an array before the next array's turn.
#[derive(Clone, Debug)]
pub struct Round {
    /// Scalars that are computed before the round, in order.
    pub scalars: Vec<Line>,
    /// The loops, by their places in [`Loops::loops`]. The sums over all arrays are those of the
    /// last one.
    pub loops: Vec<usize>,
}

/// A listing as loops.
#[derive(Clone, Debug)]
pub struct Loops {
    /// The loops, each a stage of the listing.
    pub loops: Vec<Loop>,
    /// The rounds over all arrays. If there is one only, the arrays have nothing to do with each
    /// other.
    pub rounds: Vec<Round>,
}

impl Loops {
    /// The loops of a listing whose options have `array_sums_inside` and `rebind` off. `fits` says
    /// whether a line is short enough for a formatter to leave it on one line, the assignments in
    /// loops, and outside of them; a line that is too long is taken apart.
    pub fn new(listing: &Listing, fits: &dyn Fn(&Line, bool) -> bool) -> Loops {
        let mut splitter = Splitter { taken: names(listing), fits };
        let last = listing.stages.len() - 1;
        let loops: Vec<Loop> = (0..=last).map(|stage| splitter.stage(listing, stage)).collect();
        let mut rounds = Vec::new();
        let mut first = 0;
        for (stage, content) in listing.stages.iter().enumerate() {
            if stage == last || content.sums.iter().any(|sum| !sum.per_array) {
                let scalars = listing.stages[first]
                    .scalars
                    .iter()
                    .flat_map(|line| splitter.split(line.clone(), false))
                    .collect();
                rounds.push(Round { scalars, loops: with_needed(&loops, stage) });
                first = stage + 1;
            }
        }
        Loops { loops, rounds }
    }

    /// Whether each array is stepped by itself.
    pub fn is_of_one_array(&self) -> bool {
        self.rounds.len() == 1
    }

    /// Whether some of the loops read a number.
    pub fn is_read(&self, scalar: &String, loops: &[usize]) -> bool {
        loops.iter().any(|place| self.loops[*place].scalars.contains(scalar))
    }
}

/// The loops that have to run over an array so that the last of them has its numbers.
fn with_needed(loops: &[Loop], last: usize) -> Vec<usize> {
    let mut needed = BTreeSet::from([last]);
    let mut open = vec![last];
    while let Some(place) = open.pop() {
        for (other, earlier) in loops[..place].iter().enumerate() {
            let gives = earlier
                .sums
                .iter()
                .any(|sum| sum.per_array && loops[place].scalars.contains(&sum.name));
            if gives && needed.insert(other) {
                open.push(other);
            }
        }
    }
    needed.into_iter().collect()
}

/// All names that a listing has.
fn names(listing: &Listing) -> BTreeSet<String> {
    let mut names: BTreeSet<String> =
        listing.slots.iter().chain([&listing.weights, &listing.gradients]).cloned().collect();
    names.extend(
        listing
            .hyperparameters
            .iter()
            .chain(&listing.learning_rate)
            .chain(&listing.step)
            .map(|p| p.name.clone()),
    );
    for stage in &listing.stages {
        names.extend(stage.scalars.iter().chain(&stage.lines).map(|line| line.name.clone()));
        names.extend(stage.sums.iter().map(|sum| sum.name.clone()));
    }
    names
}

/// Notes the names that an expression reads.
fn note_names(expression: &Expression, found: &mut BTreeSet<String>) {
    match expression {
        Expression::Name(name, _) => {
            found.insert(name.clone());
        }
        Expression::Number(_) => {}
        Expression::Call(.., arguments) => {
            arguments.iter().for_each(|argument| note_names(argument, found))
        }
    }
}

/// Whether an expression reads how many elements an array has.
fn is_size_read(expression: &Expression) -> bool {
    let mut is_read = false;
    expression.visit(&mut |callee, _| is_read |= callee == Callee::Function(Function::Size));
    is_read
}

/// Takes long lines apart.
struct Splitter<'a> {
    taken: BTreeSet<String>,
    fits: &'a dyn Fn(&Line, bool) -> bool,
}

impl Splitter<'_> {
    fn fresh(&mut self, base: &str) -> String {
        let mut name = base.to_owned();
        let mut number = 1;
        while !self.taken.insert(name.clone()) {
            number += 1;
            name = format!("{base}_{number}");
        }
        name
    }

    /// A line as lines that fit, as far as names allow.
    fn split(&mut self, line: Line, inside: bool) -> Vec<Line> {
        if (self.fits)(&line, inside) {
            return vec![line];
        }
        let Line { name, mut value } = line;
        let ty = value.ty();
        let Some(part) = largest_part(&mut value, ty) else { return vec![Line { name, value }] };
        let part_name = self.fresh("part");
        let part = std::mem::replace(part, Expression::Name(part_name.clone(), ty));
        let mut lines = self.split(Line { name: part_name, value: part }, inside);
        lines.extend(self.split(Line { name, value }, inside));
        lines
    }

    /// The name under which a value stands: its own or, for a call, that of a new line.
    fn named(&mut self, value: &Expression, base: &str, lines: &mut Vec<Line>) -> Expression {
        if !matches!(value, Expression::Call(..)) {
            return value.clone();
        }
        if let Some(known) = lines.iter().find(|line| line.value == *value) {
            return Expression::Name(known.name.clone(), value.ty());
        }
        let name = self.fresh(base);
        lines.extend(self.split(Line { name: name.clone(), value: value.clone() }, true));
        Expression::Name(name, value.ty())
    }

    fn stage(&mut self, listing: &Listing, stage: usize) -> Loop {
        let content = &listing.stages[stage];
        let (mut numbers, mut lines) = (Vec::new(), Vec::new());
        for line in &content.lines {
            if line.value.ty() == Type::Tree {
                lines.extend(self.split(line.clone(), true));
            } else {
                numbers.extend(self.split(line.clone(), false));
            }
        }
        let mut sums = Vec::new();
        for sum in &content.sums {
            let into = if sum.is_of_trees() { &mut lines } else { &mut numbers };
            let (x, y) = (self.named(&sum.x, "factor", into), self.named(&sum.y, "factor", into));
            sums.push(Sum { x, y, ..sum.clone() });
        }
        let results = if stage + 1 == listing.stages.len() {
            self.results(listing, &mut lines)
        } else {
            Vec::new()
        };
        let mut read = BTreeSet::new();
        numbers.iter().chain(&lines).for_each(|line| note_names(&line.value, &mut read));
        sums.iter().for_each(|sum| {
            [&sum.x, &sum.y].into_iter().for_each(|factor| note_names(factor, &mut read))
        });
        results.iter().for_each(|(_, value)| note_names(value, &mut read));
        let written: Vec<String> = results.iter().map(|(array, _)| array.clone()).collect();
        let reads_size = numbers.iter().chain(&lines).any(|line| is_size_read(&line.value));
        let is_of_numbers = !sums.is_empty() && !sums.iter().any(Sum::is_of_trees);
        if reads_size && is_of_numbers {
            read.insert(listing.weights.clone());
        }
        let all_arrays: Vec<&String> =
            [&listing.weights, &listing.gradients].into_iter().chain(&listing.slots).collect();
        let arrays = all_arrays
            .iter()
            .filter(|array| read.contains(**array) || written.contains(array))
            .map(|array| (*array).clone());
        let arrays = arrays.collect();
        let own = |name: &String| {
            numbers.iter().chain(&lines).any(|line| line.name == *name)
                || all_arrays.contains(&name)
        };
        let scalars = self.in_order(listing, read.into_iter().filter(|name| !own(name)).collect());
        Loop { arrays, written, reads_size, scalars, numbers, lines, sums, results }
    }

    /// Numbers in the order in which a step has them: parameters, then scalars and totals as they
    /// come.
    fn in_order(&self, listing: &Listing, names: BTreeSet<String>) -> Vec<String> {
        let parameters = listing
            .learning_rate
            .iter()
            .chain(&listing.step)
            .chain(&listing.hyperparameters)
            .map(|p| &p.name);
        let computed = listing.stages.iter().flat_map(|stage| {
            let scalars = stage.scalars.iter().map(|line| &line.name);
            scalars.chain(stage.sums.iter().map(|sum| &sum.name))
        });
        parameters.chain(computed).filter(|name| names.contains(*name)).cloned().collect()
    }

    /// Returns the values that the last loop writes; a value that would read an array written
    /// before it gets a line.
    fn results(&mut self, listing: &Listing, lines: &mut Vec<Line>) -> Vec<(String, Expression)> {
        let is_line = |name: &str, lines: &[Line]| lines.iter().any(|line| line.name == name);
        let mut results: Vec<(String, Expression)> = Vec::new();
        let values = listing
            .slots
            .iter()
            .zip(&listing.next_slots)
            .chain([(&listing.weights, &listing.update)]);
        for (array, value) in values {
            let is_update = *array == listing.weights;
            if matches!(value, Expression::Name(name, _) if name == array && !is_update && !is_line(name, lines))
            {
                continue;
            }
            let stale = results.iter().any(|(written, _)| value.reads(written));
            let long = !(self.fits)(&Line { name: array.clone(), value: value.clone() }, true);
            let base = if is_update { "update".to_owned() } else { format!("next_{array}") };
            let value = match value {
                Expression::Name(_, Type::Tree) if stale => {
                    let name = self.fresh(&base);
                    lines.push(Line { name: name.clone(), value: value.clone() });
                    Expression::Name(name, Type::Tree)
                }
                value if stale || long => self.named(value, &base, lines),
                value => value.clone(),
            };
            results.push((array.clone(), value));
        }
        results
    }
}

/// The largest call inside a call, of a type.
fn largest_part(value: &mut Expression, ty: Type) -> Option<&mut Expression> {
    let Expression::Call(.., arguments) = value else { return None };
    let is_call =
        |argument: &Expression| matches!(argument, Expression::Call(..)) && argument.ty() == ty;
    arguments.iter_mut().filter(|argument| is_call(argument)).max_by_key(|argument| argument.size())
}

/// Returns the documentation of a step, which begins with the target's own sentence.
pub fn step_words(listing: &Listing, first: &str) -> String {
    let mut words = first.to_owned();
    if let Some(step) = &listing.step {
        let sums_over_all =
            listing.stages.iter().flat_map(|stage| &stage.sums).any(|sum| !sum.per_array);
        let what = if sums_over_all {
            "the steps from 1, for all arrays together"
        } else {
            "the steps of the array from 1"
        };
        words += &format!(" `{}` counts {what}.", step.name);
    }
    if let Some(ScalarParameter { name, default: Some(default), .. }) = &listing.learning_rate {
        words += &format!(" A usual `{name}` is {}.", shortest(*default));
    }
    words
}
