//! From the instructions of a plan's pass to steps: what can be put together is, slots are written
//! in place, values get scratch tiles.

use symopt_dsl::Function;
use symopt_dsl::plan::{Instruction, Operation, Plan, Source};

use super::{CACHE, Kind, Number, Numbers, Op, Operand, SHORTEST, Step, Target, TilePass};
use crate::engine::kernel::{Averages, BlendPair, MomentStep, Post, Then};
use crate::reduce::BLOCK;

/// The steps of a pass, and how many scratch tiles they need.
pub(super) fn lower(plan: &Plan, pass: usize) -> (TilePass, usize) {
    Lowering::new(plan, pass).lower(plan)
}

/// A step with one result that one other step reads.
#[derive(Clone, Copy)]
struct Only {
    operation: Op,
    x: Operand,
    y: Operand,
}

/// A pass on its way from the instructions of a plan to steps.
struct Lowering {
    /// For each instruction the step that computes its value; `None` once another step computes it
    /// along the way.
    steps: Vec<Option<Step>>,
    /// How often the value of each instruction is read.
    uses: Vec<usize>,
    pass: usize,
    numbers: Numbers,
    /// How many live slots there are: kept trees stand behind them.
    slots: usize,
}

impl Lowering {
    fn new(plan: &Plan, pass: usize) -> Lowering {
        let count = plan.passes[pass].instructions.len();
        let mut uses = vec![0; count];
        for instruction in &plan.passes[pass].instructions {
            for operand in [instruction.x, instruction.y, instruction.z]
                .into_iter()
                .take(operands(instruction.operation))
            {
                count_use(&mut uses, operand);
            }
        }
        for reduction in &plan.passes[pass].reductions {
            std::iter::once(reduction.x)
                .chain(reduction.y)
                .for_each(|operand| count_use(&mut uses, operand));
        }
        plan.passes[pass].kept.iter().for_each(|(source, _)| count_use(&mut uses, *source));
        if plan.writes(pass) {
            count_use(&mut uses, plan.update);
            plan.slots.iter().for_each(|slot| count_use(&mut uses, *slot));
        }
        Lowering {
            steps: Vec::with_capacity(count),
            uses,
            pass,
            numbers: Numbers { smalls: plan.smalls.len() },
            slots: plan.slots.len(),
        }
    }

    fn lower(mut self, plan: &Plan) -> (TilePass, usize) {
        let pass = &plan.passes[self.pass];
        for (index, instruction) in pass.instructions.iter().enumerate() {
            let [x, y, z] =
                [instruction.x, instruction.y, instruction.z].map(|source| self.in_slot(source));
            let instruction = Instruction { operation: instruction.operation, x, y, z };
            let (operation, x, y) = self.fuse(instruction);
            let z =
                if let Op::Ternary(_) = operation { Operand::numbered(instruction.z) } else { x };
            self.steps.push(Some(Step {
                kind: Kind::Single(operation),
                x,
                y,
                z,
                target: Target::Value(index),
            }));
        }
        let mut copies = Vec::new();
        if plan.writes(self.pass) {
            self.write(plan, &mut copies);
        }
        let in_place = self.keep(&pass.kept, &mut copies);
        let mut steps: Vec<Step> =
            std::mem::take(&mut self.steps).into_iter().flatten().chain(copies).collect();
        put_averages_together(&mut steps);
        put_moments_together(&mut steps);
        let sums: Vec<_> = pass
            .reductions
            .iter()
            .map(|r| {
                let summed = |source: Source| {
                    let place = in_place.iter().find(|(value, _)| Source::Value(*value) == source);
                    let slot = place.map(|(_, slot)| Source::Slot(*slot));
                    Operand::Source(slot.unwrap_or(self.in_slot(source)))
                };
                (summed(r.x), r.y.map(summed))
            })
            .collect();
        assign_registers(steps, sums, self.uses.len(), plan.slots.len() + plan.kept)
    }

    /// A source as the engine has it: a kept tree is a slot behind the live ones.
    fn in_slot(&self, source: Source) -> Source {
        match source {
            Source::Kept(place) => Source::Slot(self.slots + place),
            other => other,
        }
    }

    /// The writes of a pass that keeps trees: in place where that is possible. Returns the writes
    /// in place: values and their slots.
    fn keep(&mut self, kept: &[(Source, usize)], copies: &mut Vec<Step>) -> Vec<(usize, usize)> {
        let mut in_place = Vec::new();
        for (source, place) in kept {
            let slot = self.slots + place;
            match *source {
                Source::Value(value) if self.write_in_place(slot, value) => {
                    in_place.push((value, slot));
                }
                source => {
                    let x = Operand::from(self.in_slot(source));
                    let kind = Kind::Single(Op::Copy);
                    copies.push(Step { kind, x, y: x, z: x, target: Target::Slot(slot) });
                }
            }
        }
        in_place
    }

    /// The step of a value that nothing else reads, if it is one that another step can take up.
    fn only_use(&self, operand: Source) -> Option<(usize, Only)> {
        match operand {
            Source::Value(value) if self.uses[value] == 1 => match self.steps[value] {
                Some(Step { kind: Kind::Single(operation), x, y, .. }) => {
                    Some((value, Only { operation, x, y }))
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn fuse(&mut self, Instruction { operation, x, y, .. }: Instruction) -> (Op, Operand, Operand) {
        let plain = |operation: Op| (operation, Operand::numbered(x), Operand::numbered(y));
        match operation {
            Operation::Copy => plain(Op::Copy),
            Operation::Blend { rest, weight } => {
                self.linear([Number(rest), Number(weight)], [Operand::from(x), Operand::from(y)])
            }
            Operation::Function(Function::Add) => self.sum(x, y, false),
            Operation::Function(Function::Subtract) => self.sum(x, y, true),
            Operation::Function(Function::Multiply) => {
                let scaled = match (x, y) {
                    (Source::Small(small), value) | (value, Source::Small(small)) => {
                        Some((value, Number(small)))
                    }
                    _ => None,
                };
                if let Some((value, number)) = scaled {
                    return self.after(value, Post::Scale(number)).unwrap_or((
                        Op::Product(Post::None),
                        value.into(),
                        Operand::Number(number),
                    ));
                }
                plain(Op::Product(Post::None))
            }
            Operation::Function(Function::Divide) => {
                if let Some((value, Only { operation, x: divisor, y: Operand::Number(shift) })) =
                    self.only_use(y)
                    && matches!(operation, Op::Linear { weights: [p, _], square: false, post: Post::None } if p == self.numbers.one())
                {
                    self.steps[value] = None;
                    return self.root_quotient(x, divisor, Some(shift)).unwrap_or((
                        Op::ShiftedQuotient { shift },
                        Operand::numbered(x),
                        divisor,
                    ));
                }
                self.root_quotient(x, y.into(), None).unwrap_or(plain(Op::Quotient(Post::None)))
            }
            Operation::Function(Function::GuardedDivide) => self
                .root_quotient(x, y.into(), Some(self.numbers.guard()))
                .unwrap_or(plain(Op::ShiftedQuotient { shift: self.numbers.guard() })),
            Operation::Function(function) if function.arity() == 1 => {
                let fused = Post::of(function).and_then(|post| self.after(x, post));
                fused.unwrap_or(plain(Op::Unary(function)))
            }
            Operation::Function(function) if function.arity() == 2 => plain(Op::Binary(function)),
            Operation::Function(function) => plain(Op::Ternary(function)),
        }
    }

    /// `x / (divisor + shift)`, where the divisor is a square root that nothing else reads, as one
    /// step.
    fn root_quotient(
        &mut self,
        x: Source,
        divisor: Operand,
        shift: Option<Number>,
    ) -> Option<(Op, Operand, Operand)> {
        let Operand::Source(divisor) = divisor else { return None };
        let (root_value, root) = self.only_use(divisor)?;
        let whole = |guarded, divisors, x, y| {
            Some((Op::RootQuotient { divisors, shift, guarded, then: Then::Store }, x, y))
        };
        match root.operation {
            Op::Unary(function @ (Function::Sqrt | Function::GuardedSqrt)) => {
                self.steps[root_value] = None;
                whole(function == Function::GuardedSqrt, None, Operand::numbered(x), root.x)
            }
            // With bias correction: both operands are divided by numbers first.
            Op::Quotient(post @ (Post::Sqrt | Post::GuardedSqrt)) => {
                let Operand::Number(y_divisor) = root.y else { return None };
                let (
                    value,
                    Only { operation: Op::Quotient(Post::None), x, y: Operand::Number(x_divisor) },
                ) = self.only_use(x)?
                else {
                    return None;
                };
                self.steps[root_value] = None;
                self.steps[value] = None;
                whole(post == Post::GuardedSqrt, Some([x_divisor, y_divisor]), x, root.x)
            }
            _ => None,
        }
    }

    /// The step of `value` with something done to it before it is stored.
    fn after(&mut self, value: Source, what: Post<Number>) -> Option<(Op, Operand, Operand)> {
        let (value, mut step) = self.only_use(value)?;
        match &mut step.operation {
            Op::Product(post @ Post::None)
            | Op::Quotient(post @ Post::None)
            | Op::Linear { post: post @ Post::None, .. } => *post = what,
            _ => return None,
        }
        self.steps[value] = None;
        Some((step.operation, step.x, step.y))
    }

    /// `x + y`, or `x - y`. Products with a number that only the sum reads become weights of it.
    fn sum(&mut self, x: Source, y: Source, subtract: bool) -> (Op, Operand, Operand) {
        let mut term = |source: Source| {
            if let Some((
                value,
                Only { operation: Op::Product(Post::None), x, y: Operand::Number(number) },
            )) = self.only_use(source)
            {
                self.steps[value] = None;
                return (number, x);
            }
            (self.numbers.one(), source.into())
        };
        let (p, x) = term(x);
        let (q, y) = term(y);
        let q = if subtract { self.numbers.negated(q) } else { q };
        self.linear([p, q], [x, y])
    }

    /// `p * x + q * y`. At least one of the two is no number.
    fn linear(
        &mut self,
        [mut p, mut q]: [Number; 2],
        [mut x, mut y]: [Operand; 2],
    ) -> (Op, Operand, Operand) {
        let number = |weight: Number, operand: Operand| match operand {
            Operand::Source(Source::Small(small)) if weight != self.numbers.one() => {
                Operand::Number(self.numbers.negated(Number(small)))
            }
            Operand::Source(Source::Small(small)) => Operand::Number(Number(small)),
            other => other,
        };
        (x, y) = (number(p, x), number(q, y));
        let squared = |lowering: &Lowering, operand: Operand| match operand {
            Operand::Source(source) => lowering
                .only_use(source)
                .filter(|(_, step)| step.operation == Op::Unary(Function::Square))
                .map(|(value, step)| (value, step.x)),
            _ => None,
        };
        if matches!(x, Operand::Number(_))
            || (squared(self, x).is_none() && squared(self, y).is_some())
        {
            std::mem::swap(&mut p, &mut q);
            std::mem::swap(&mut x, &mut y);
        }
        let mut square = false;
        if let Some((value, operand)) = squared(self, x) {
            self.steps[value] = None;
            (x, square) = (operand, true);
        }
        (Op::Linear { weights: [p, q], square, post: Post::None }, x, y)
    }

    /// The writes of the last pass: slots in place where that is possible, the weights, and the
    /// other slots.
    fn write(&mut self, plan: &Plan, copies: &mut Vec<Step>) {
        let copy =
            |x: Operand, target| Step { kind: Kind::Single(Op::Copy), x, y: x, z: x, target };
        let mut update = self.in_slot(plan.update);
        let mut slots: Vec<Source> =
            plan.slots.iter().map(|source| self.in_slot(*source)).collect();
        // A source that would be overwritten before it is read gets a value of its own.
        let keep = |lowering: &mut Lowering, source: Source| {
            lowering.steps.push(Some(copy(source.into(), Target::Value(lowering.steps.len()))));
            lowering.uses.push(1);
            Source::Value(lowering.steps.len() - 1)
        };
        for (slot, source) in slots.iter_mut().enumerate() {
            let is_overwritten = match *source {
                Source::Weights => true,
                // Kept trees stay as they are.
                Source::Slot(other) => other != slot && other < plan.slots.len(),
                _ => false,
            };
            if is_overwritten {
                *source = keep(self, *source);
            }
        }
        if update == Source::Weights {
            update = keep(self, update);
        }

        let mut step = match self.only_use(update) {
            Some((
                value,
                Only {
                    operation:
                        Op::Linear {
                            weights,
                            square: false,
                            post: post @ (Post::None | Post::Scale(_)),
                        },
                    x,
                    y,
                },
            )) => {
                self.steps[value] = None;
                let scale =
                    if let Post::Scale(number) = post { number } else { self.numbers.one() };
                Step {
                    kind: Kind::Single(Op::LinearStep { weights, scale }),
                    x,
                    y,
                    z: x,
                    target: Target::Weights,
                }
            }
            Some((
                value,
                Only { operation: Op::Product(Post::None), x, y: Operand::Number(number) },
            )) => {
                self.steps[value] = None;
                self.subtract(x, number)
            }
            _ => self.subtract(update.into(), self.numbers.one()),
        };
        if !step.read_own_target() {
            // Both factors are the weights: one of them is read from a copy.
            let kept = keep(self, Source::Weights);
            (step.x, step.z) = (kept.into(), kept.into());
            step.read_own_target();
        }
        let step = self.step_along(step);
        self.steps.push(Some(step));

        let mut in_place = Vec::new();
        for (slot, source) in slots.into_iter().enumerate() {
            match source {
                Source::Slot(own) if own == slot => {}
                Source::Value(value) if self.write_in_place(slot, value) => {
                    in_place.push((value, slot))
                }
                _ => copies.push(copy(source.into(), Target::Slot(slot))),
            }
        }
        // Two slots may get one value: it is where the first of them has it.
        for copy in copies {
            if let Operand::Source(Source::Value(value)) = copy.x
                && let Some(slot) =
                    in_place.iter().find(|(known, _)| *known == value).map(|(_, slot)| *slot)
            {
                copy.redirect(copy.x, Operand::Source(Source::Slot(slot)));
            }
        }
    }

    /// Makes the step that computes the slot's next value write it to its place, if no later step
    /// reads the slot's old value.
    fn write_in_place(&mut self, slot: usize, value: usize) -> bool {
        let old = Operand::Source(Source::Slot(slot));
        let reads_later = self.steps[value + 1..].iter().flatten().any(|step| step.reads(old));
        let Some(mut step) =
            self.steps[value].filter(|step| step.target == Target::Value(value) && !reads_later)
        else {
            return false;
        };
        step.target = Target::Slot(slot);
        if !step.read_own_target() {
            return false;
        }
        self.steps[value] = Some(step);
        self.pair_with(value, slot);
        for reader in self.steps[value + 1..].iter_mut().flatten() {
            reader.redirect(Operand::Source(Source::Value(value)), old);
        }
        true
    }

    /// The step that writes the weights together with the root quotient that it needs, if nothing
    /// else needs that.
    fn step_along(&mut self, step: Step) -> Step {
        let then = match step.kind {
            Kind::Single(Op::Linear { weights, square: false, post: Post::None }) => {
                Then::Blend(weights)
            }
            Kind::Single(Op::LinearStep { weights, scale }) => Then::Step { weights, scale },
            _ => return step,
        };
        let (Operand::Source(source), Operand::Output) = (step.x, step.y) else { return step };
        let Some((
            value,
            Only { operation: Op::RootQuotient { divisors, shift, guarded, .. }, x, y },
        )) = self.only_use(source)
        else {
            return step;
        };
        // The loops for it read two arrays beside the one that they write.
        if [x, y]
            .iter()
            .any(|operand| matches!(operand, Operand::Number(_) | Operand::Source(Source::Weights)))
        {
            return step;
        }
        self.steps[value] = None;
        Step {
            kind: Kind::Single(Op::RootQuotient { divisors, shift, guarded, then }),
            x,
            y,
            z: x,
            target: step.target,
        }
    }

    /// `w - number * x`, as `-number * x + w`, which has the same bits.
    fn subtract(&self, x: Operand, number: Number) -> Step {
        let weights = [self.numbers.negated(number), self.numbers.one()];
        let kind = Kind::Single(Op::Linear { weights, square: false, post: Post::None });
        Step { kind, x, y: Operand::Source(Source::Weights), z: x, target: Target::Weights }
    }

    /// Puts the blend that overwrites a slot together with an earlier blend of the same operands,
    /// if nothing reads the slot in between.
    fn pair_with(&mut self, value: usize, slot: usize) {
        let old = Operand::Source(Source::Slot(slot));
        let Some(Step { kind: Kind::Single(operation), x, y: Operand::Output, .. }) =
            self.steps[value]
        else {
            return;
        };
        let Op::Linear { weights: second, square: false, post: Post::None } = operation else {
            return;
        };
        // The gradients or the weights, which are there from the beginning: the second blend moves
        // to the place of the first.
        if !matches!(x, Operand::Source(Source::Gradients | Source::Weights)) {
            return;
        }
        let last_reader =
            self.steps[..value].iter().rposition(|step| step.is_some_and(|step| step.reads(old)));
        let Some(earlier) = last_reader else { return };
        if let Some(step) = &mut self.steps[earlier]
            && let Kind::Single(Op::Linear { weights: first, square: false, post }) = step.kind
            && step.target == Target::Value(earlier)
            && (step.x, step.y) == (x, old)
        {
            step.kind = Kind::BlendPair(BlendPair { first, post, second }, slot);
            step.y = Operand::Output;
            self.steps[value] = None;
        }
    }
}

impl Step {
    /// Whether an operand is the given one.
    fn reads(&self, operand: Operand) -> bool {
        [self.x, self.y, self.z].contains(&operand)
    }

    /// Reads `to` wherever it read `from`. All operands are looked at: those that a step does not
    /// take repeat the first, and have to be somewhere, too.
    fn redirect(&mut self, from: Operand, to: Operand) {
        for operand in [&mut self.x, &mut self.y, &mut self.z] {
            if *operand == from {
                *operand = to;
            }
        }
    }

    /// Whether all that the step reads is there when it runs: its operands are neither its target,
    /// which is taken out, nor another slot that it writes, nor a scratch tile that no earlier step
    /// has written.
    fn finds_its_operands(&self, written: &[bool]) -> bool {
        let slots: &[usize] = match &self.kind {
            Kind::Single(_) => &[],
            Kind::BlendPair(_, slot) | Kind::Averages(_, slot) => std::slice::from_ref(slot),
            Kind::MomentStep(_, slots) => slots,
        };
        [self.x, self.y, self.z].into_iter().all(|operand| match operand {
            Operand::Source(source @ Source::Slot(slot)) => {
                self.target.overwritten() != Some(source) && !slots.contains(&slot)
            }
            Operand::Source(Source::Weights) => self.target != Target::Weights,
            Operand::Register(register) => {
                written[register] && self.target != Target::Register(register)
            }
            // By now it has a register, or is a slot.
            Operand::Source(Source::Value(_) | Source::Kept(_) | Source::Matrix(_)) => false,
            Operand::Source(Source::Gradients | Source::Small(_))
            | Operand::Number(_)
            | Operand::Output => true,
        })
    }

    /// Makes an operand that is the target itself an [`Operand::Output`]. False if the operation
    /// can't do that.
    fn read_own_target(&mut self) -> bool {
        let Some(own) = self.target.overwritten().map(Operand::Source) else { return true };
        if !self.reads(own) {
            return true;
        }
        let Kind::Single(operation) = &mut self.kind else { return false };
        match operation {
            Op::Linear { weights, square: false, .. } | Op::LinearStep { weights, .. }
                if self.x == own && self.y != own =>
            {
                if matches!(self.y, Operand::Number(_)) {
                    return false;
                }
                weights.swap(0, 1);
                (self.x, self.y, self.z) = (self.y, Operand::Output, self.y);
                true
            }
            Op::Linear { .. } | Op::LinearStep { .. } if self.x != own => {
                self.y = Operand::Output;
                true
            }
            _ => false,
        }
    }
}

/// Whether every step of a pass finds its operands.
fn all_find_their_operands(steps: &[Step], registers: usize) -> bool {
    let mut written = vec![false; registers];
    steps.iter().all(|step| {
        let finds = step.finds_its_operands(&written);
        if let Target::Register(register) = step.target {
            written[register] = true;
        }
        finds
    })
}

/// Two averages of the gradients, one right after the other, as one step.
fn put_averages_together(steps: &mut Vec<Step>) {
    let average = |step: &Step| match step {
        Step {
            kind: Kind::Single(Op::Linear { weights, square, post: Post::None }),
            x: Operand::Source(Source::Gradients),
            y: Operand::Output,
            target: Target::Slot(slot),
            ..
        } => Some((*weights, *square, *slot)),
        _ => None,
    };
    for second in (1..steps.len()).rev() {
        if let (Some((p, square_p, _)), Some((q, square_q, slot))) =
            (average(&steps[second - 1]), average(&steps[second]))
        {
            steps[second - 1].kind =
                Kind::Averages(Averages { weights: [p, q], squares: [square_p, square_q] }, slot);
            steps.remove(second);
        }
    }
}

/// The averages of the gradients and of their squares and, right after it, the step that divides
/// the one by the root of the other, as one step.
fn put_moments_together(steps: &mut Vec<Step>) {
    let Some([.., averages, step]) = steps.get_mut(..) else { return };
    let Kind::Averages(Averages { weights: [p, q], squares }, other) = averages.kind else {
        return;
    };
    let Target::Slot(target) = averages.target else { return };
    let (weights, slots) = match squares {
        [false, true] => ([p, q], [target, other]),
        [true, false] => ([q, p], [other, target]),
        _ => return,
    };
    let Kind::Single(Op::RootQuotient {
        divisors,
        shift,
        guarded,
        then: then @ (Then::Blend(_) | Then::Step { .. }),
    }) = step.kind
    else {
        return;
    };
    if (step.x, step.y)
        == (Operand::Source(Source::Slot(slots[0])), Operand::Source(Source::Slot(slots[1])))
    {
        averages.kind =
            Kind::MomentStep(MomentStep { weights, divisors, shift, guarded, then }, slots);
        averages.target = Target::Weights;
        steps.pop();
    }
}

impl From<Source> for Operand {
    fn from(source: Source) -> Operand {
        Operand::Source(source)
    }
}

impl Operand {
    /// The operand, a small value as a number.
    fn numbered(source: Source) -> Operand {
        match source {
            Source::Small(small) => Operand::Number(Number(small)),
            other => Operand::Source(other),
        }
    }
}

/// How many operands an operation takes.
fn operands(operation: Operation) -> usize {
    match operation {
        Operation::Function(function) => function.arity(),
        Operation::Blend { .. } => 2,
        Operation::Copy => 1,
    }
}

fn count_use(uses: &mut [usize], source: Source) {
    if let Source::Value(value) = source {
        uses[value] += 1;
    }
}

/// Gives every value a scratch tile, for as long as something reads it.
fn assign_registers(
    mut steps: Vec<Step>,
    mut sums: Vec<(Operand, Option<Operand>)>,
    values: usize,
    slots: usize,
) -> (TilePass, usize) {
    let mut last_read = vec![0; values];
    let mut note = |operand: Operand, at: usize| {
        if let Operand::Source(Source::Value(value)) = operand {
            last_read[value] = at;
        }
    };
    for (at, step) in steps.iter().enumerate() {
        [step.x, step.y, step.z].into_iter().for_each(|operand| note(operand, at));
    }
    for (x, y) in &sums {
        std::iter::once(x).chain(y).for_each(|operand| note(*operand, steps.len()));
    }
    let mut register_of = vec![0; values];
    let (mut free, mut count) = (Vec::new(), 0);
    for (at, step) in steps.iter_mut().enumerate() {
        let target = match step.target {
            Target::Value(value) => {
                register_of[value] = free.pop().unwrap_or_else(|| {
                    count += 1;
                    count - 1
                });
                Target::Register(register_of[value])
            }
            other => other,
        };
        for operand in [&mut step.x, &mut step.y, &mut step.z] {
            if let Operand::Source(Source::Value(value)) = *operand {
                *operand = Operand::Register(register_of[value]);
                // Two operands may be one value.
                if last_read[value] == at && !free.contains(&register_of[value]) {
                    free.push(register_of[value]);
                }
            }
        }
        step.target = target;
    }
    debug_assert!(all_find_their_operands(&steps, count), "{steps:#?}");
    for operand in sums.iter_mut().flat_map(|(x, y)| std::iter::once(x).chain(y)) {
        if let Operand::Source(Source::Value(value)) = *operand {
            *operand = Operand::Register(register_of[value]);
        }
    }
    let tiles = count + slots + 2;
    let mut tile = BLOCK;
    while tile > SHORTEST && tile * tiles * size_of::<f32>() > CACHE {
        tile /= 2;
    }
    (TilePass { steps, sums, tile }, count)
}
