//! A case: a program, parameter arrays, their numbers and a number of steps, from any bytes; and
//! the check that all engines agree on it.
//!
//! Every byte string is a case. A choice that would make a program ill-typed picks something else
//! in its place instead of being rejected, so that no work of the fuzzer is lost, and bytes past
//! the end read as 0. Each choice takes whole bytes, so that a mutation of one choice leaves the
//! others alone.
//!
//! A change of the decoding, or of the order of the function table, changes what the committed
//! files mean. They still are cases, but a fault that a file stands for needs its program as a test
//! of its own.

use std::fmt;

use symopt_dsl::function::{FUNCTIONS, Function, Typing};
use symopt_dsl::program::{Parameter, ParameterKind};
use symopt_dsl::{
    Graph, Numerics, Operand, Program, Signature, SlotId, Statement, Type, VarId, parse,
};
use symopt_evaluator::options::ParameterArray;
use symopt_evaluator::{Layout, Optimizer, Reference};

use crate::draws::{Flavour, difference, join, layout, number, split};
use crate::random::Random;

/// The folder of the fuzz target, whose corpus and regressions are cases.
pub const FUZZ: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz");

/// Statements that the bytes give, as many as they last for; some may follow that make arrays of
/// the slots and the update.
const MOST_STATEMENTS: usize = 24;

/// Variables beside the parameters.
const LOCALS: usize = 16;

/// Functions of the table when the corpus was begun.
const FIRST_FUNCTIONS: usize = 51;

/// Functions that move values about, scale them and reduce them: the planning of passes, slots and
/// small values turns on them.
const STRUCTURE: [Function; 12] = [
    Function::Copy,
    Function::Interp,
    Function::Add,
    Function::Norm,
    Function::Multiply,
    Function::Clip,
    Function::Subtract,
    Function::Dot,
    Function::Divide,
    Function::GlobalNorm,
    Function::Maximum,
    Function::CosineSim,
];

/// Numbers that stand at an edge of something: of the types, of a rounding to f32, of a domain.
const FINITE: [f64; 28] = [
    1.0,
    -1.0,
    0.0,
    -0.0,
    2.0,
    0.5,
    0.9,
    0.999,
    1e-8,
    -1e-8,
    3.0,
    -2.0,
    1e30,
    -1e30,
    1e-30,
    16_777_217.0,
    f64::MAX,
    f64::MIN,
    f64::MIN_POSITIVE,
    5e-324,
    f32::MAX as f64,
    // Half a unit above the largest f32: the first that rounds to infinity.
    3.402_823_567_797_336_6e38,
    f32::MIN_POSITIVE as f64,
    // The smallest f32, and half of it.
    1.401_298_464_324_817e-45,
    7.006_492_321_624_085e-46,
    88.722_839_355_468_75,
    709.782_712_893_384,
    std::f64::consts::FRAC_PI_2,
];

/// Numbers that only the caller of a step can give.
const NOT_FINITE: [f64; 3] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];

/// The bytes that are left; zeros follow them.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    /// At most `most`, which is less than 255.
    fn up_to(&mut self, most: u8) -> u8 {
        self.byte() % (most + 1)
    }

    fn flag(&mut self) -> bool {
        self.byte() % 2 == 1
    }

    /// An edge, a number between -2 and 2, or any finite number by its bits.
    fn finite(&mut self) -> f64 {
        let choice = self.byte();
        if let Some(edge) = FINITE.get(usize::from(choice)) {
            return *edge;
        }
        if choice < 224 {
            return f64::from(i16::from_le_bytes(self.array())) / 16_383.0;
        }
        let value = f64::from_bits(u64::from_le_bytes(self.array()));
        // Without the top bit of its exponent a number is finite.
        if value.is_finite() { value } else { f64::from_bits(value.to_bits() & !(1 << 62)) }
    }

    /// Any number at all.
    fn number(&mut self) -> f64 {
        match self.byte() {
            0 => 0.01,
            index @ 1..4 => NOT_FINITE[usize::from(index - 1)],
            4..232 => self.finite(),
            _ => f64::from_bits(u64::from_le_bytes(self.array())),
        }
    }

    /// Small, or around the lengths at which vectors, tiles and the blocks of the sums end; up to
    /// six blocks.
    fn length(&mut self) -> usize {
        let edge = match self.byte() {
            // The first is not 0, so that a short input still has something to compare.
            small @ 0..192 => return (usize::from(small) + 17) % 48,
            vectors @ 192..240 => 16 * usize::from(vectors - 191),
            _ => [1024, 2048, 3072, 4096, 8192, 12288, 16384, 20480][usize::from(self.up_to(7))],
        };
        edge + usize::from(self.up_to(2)) - 1
    }

    fn shape(&mut self) -> Vec<usize> {
        let length = self.length();
        match self.up_to(3) {
            1 if length == 1 => vec![],
            1 if length.is_multiple_of(2) => vec![2, length / 2],
            2 if length.is_multiple_of(3) => vec![length / 3, 1, 3],
            _ => vec![length],
        }
    }
}

/// Where the weights and gradients come from: too many numbers to take each from the bytes.
#[derive(Clone, Debug)]
enum Numbers {
    /// As in the other tests.
    Flavoured(Flavour),
    /// Any bits: mostly huge or tiny numbers.
    Bits,
    /// A few numbers over and over.
    Palette([f32; 4]),
}

impl Numbers {
    fn decode(bytes: &mut Bytes) -> Numbers {
        match bytes.up_to(4) {
            0 => Numbers::Flavoured(Flavour::Tame),
            1 => Numbers::Flavoured(Flavour::Finite),
            2 => Numbers::Flavoured(Flavour::Anything),
            3 => Numbers::Bits,
            _ => Numbers::Palette(std::array::from_fn(|_| {
                f32::from_bits(u32::from_le_bytes(bytes.array()))
            })),
        }
    }

    fn draw(&self, random: &mut Random, length: usize) -> Vec<f32> {
        let mut draw = || match self {
            Numbers::Flavoured(flavour) => number(random, *flavour),
            Numbers::Bits => f32::from_bits(random.bits() as u32),
            Numbers::Palette(palette) => random.pick(palette),
        };
        (0..length).map(|_| draw()).collect()
    }
}

/// A program while its statements are put together. It always types, and at least one variable is
/// always an array.
struct Draft {
    signature: Signature,
    types: Vec<Option<Type>>,
    /// The assigned variables, the latest last: a byte picks an operand by how long ago it was
    /// assigned, so that programs hang together.
    assigned: Vec<VarId>,
    statements: Vec<Statement>,
}

impl Draft {
    fn decode(bytes: &mut Bytes) -> Draft {
        let mut parameters = Vec::new();
        let mut push =
            |name: String, kind, default| parameters.push(Parameter { name, kind, default });
        push("w".to_owned(), ParameterKind::Weights, None);
        push("g".to_owned(), ParameterKind::Gradients, None);
        for slot in 0..bytes.up_to(4) {
            push(format!("s{slot}"), ParameterKind::Slot(SlotId(slot.into())), None);
        }
        let flags = bytes.byte();
        let numerics = if flags & 1 == 1 { Numerics::Guarded } else { Numerics::Ieee };
        if flags & 2 == 0 {
            push("t".to_owned(), ParameterKind::Step, None);
        }
        if flags & 4 == 0 {
            let peak = (flags & 8 == 8).then(|| bytes.finite());
            push("lr".to_owned(), ParameterKind::LearningRate, peak);
        }
        for index in 0..bytes.up_to(3) {
            push(format!("h{index}"), ParameterKind::Hyperparameter, Some(bytes.finite()));
        }
        let is_tree = |p: &Parameter| {
            matches!(
                p.kind,
                ParameterKind::Weights | ParameterKind::Gradients | ParameterKind::Slot(_)
            )
        };
        let mut types: Vec<_> = parameters
            .iter()
            .map(|p| Some(if is_tree(p) { Type::Tree } else { Type::Scalar }))
            .collect();
        let assigned = (0..parameters.len()).rev().map(|i| VarId(i as u16)).collect();
        types.resize(parameters.len() + LOCALS, None);
        let signature = Signature { name: "case".to_owned(), doc: None, numerics, parameters };
        Draft { signature, types, assigned, statements: Vec::new() }
    }

    fn type_of(&self, operand: Operand) -> Type {
        match operand {
            // Only assigned variables are picked.
            Operand::Variable(id) => self.types[id.index()].unwrap_or(Type::Scalar),
            Operand::Constant(_) => Type::Scalar,
        }
    }

    /// The variables that hold a tree, the latest first.
    fn trees(&self) -> Vec<VarId> {
        self.assigned
            .iter()
            .rev()
            .copied()
            .filter(|id| self.types[id.index()] == Some(Type::Tree))
            .collect()
    }

    /// An assigned variable or a constant; a `Scalar` if it must be.
    fn operand(&self, bytes: &mut Bytes, scalar: bool) -> Operand {
        let choice = usize::from(bytes.byte());
        let fits = |id: &VarId| !scalar || self.types[id.index()] == Some(Type::Scalar);
        let candidates: Vec<VarId> = self.assigned.iter().rev().copied().filter(fits).collect();
        if choice >= 192 || candidates.is_empty() {
            return Operand::Constant(bytes.finite());
        }
        // Mostly the latest: otherwise most statements would compute what nothing reads.
        let near = if choice < 128 { candidates.len().min(3) } else { candidates.len() };
        Operand::Variable(candidates[choice % near])
    }

    fn push(&mut self, target: VarId, function: Function, arguments: &[Operand]) {
        let types: Vec<Type> = arguments.iter().map(|argument| self.type_of(*argument)).collect();
        let ty = function.result_type(&types).expect("the operands were picked to fit");
        let is_last_tree = |target: VarId| ty != Type::Tree && self.trees() == [target];
        // The variable beside the last tree is none, and then the tree stays.
        let target = if is_last_tree(target) {
            VarId(((target.index() + 1) % self.types.len()) as u16)
        } else {
            target
        };
        self.statements.push(Statement::new(target, function, arguments));
        self.types[target.index()] = Some(ty);
        self.assigned.retain(|id| *id != target);
        self.assigned.push(target);
    }

    fn push_decoded(&mut self, bytes: &mut Bytes) {
        let choice = usize::from(bytes.byte());
        // Bytes past three times the table pick what the plans of the engines are about, and the
        // last ones the functions that came later: the committed files mean much the same as
        // before. The functions of matrices, which are not fused, come last in the table.
        let (first, later) = FUNCTIONS[..Function::fused().count()].split_at(FIRST_FUNCTIONS);
        let function = match choice.checked_sub(3 * first.len()) {
            None => first[choice % first.len()].function,
            Some(_) if 255 - choice < 3 * later.len() => {
                later[(255 - choice) % later.len()].function
            }
            Some(index) => STRUCTURE[index % STRUCTURE.len()],
        };
        let target = VarId((usize::from(bytes.byte()) % self.types.len()) as u16);
        let arity = function.arity();
        let is_scalar =
            |position: usize| function.row().typing == Typing::ScaledBy && position + 1 == arity;
        let arguments: Vec<Operand> =
            (0..arity).map(|position| self.operand(bytes, is_scalar(position))).collect();
        self.push(target, function, &arguments);
    }

    /// The program, with its slots and its update made arrays if they are not. `choice` picks the
    /// update.
    fn finish(mut self, choice: u8) -> Program {
        let mixed =
            |draft: &Draft, id: VarId| [Operand::Variable(id), Operand::Variable(draft.trees()[0])];
        let latest = self.assigned.last().copied().unwrap_or(VarId(1));
        let slots: Vec<VarId> = self.signature.slots().collect();
        for slot in slots {
            if self.types[slot.index()] != Some(Type::Tree) {
                let mix = mixed(&self, slot);
                self.push(slot, Function::Multiply, &mix);
            }
        }
        let choice = usize::from(choice);
        // The value computed last keeps the most of the program alive.
        let tree = self.trees()[choice % self.trees().len()];
        let update = match choice {
            0..96 => latest,
            96..192 => {
                self.push(
                    latest,
                    Function::Add,
                    &[Operand::Variable(latest), Operand::Variable(tree)],
                );
                latest
            }
            _ => tree,
        };
        if self.types[update.index()] != Some(Type::Tree) {
            let mix = mixed(&self, update);
            self.push(update, Function::Multiply, &mix);
        }
        Program::new(self.signature, Vec::new(), self.statements, update, Vec::new())
    }
}

/// A program with all that it takes to run it.
#[derive(Clone, Debug)]
pub struct Case {
    program: Program,
    shapes: Vec<Vec<usize>>,
    /// Values that some of the hyperparameters are set to, by name.
    set: Vec<(String, f64)>,
    numbers: Numbers,
    seed: u64,
    lr: f64,
    steps: u8,
    /// The step after which the state goes through a file.
    save_after: u8,
}

impl Case {
    /// The case that the bytes stand for: there always is one.
    pub fn decode(bytes: &[u8]) -> Case {
        let mut bytes = Bytes(bytes);
        let steps = 3 - bytes.up_to(2);
        let save_after = 1 + bytes.up_to(steps - 1);
        let shapes = (0..=bytes.up_to(3)).map(|_| bytes.shape()).collect();
        let numbers = Numbers::decode(&mut bytes);
        let seed = u16::from_le_bytes(bytes.array()).into();
        let lr = bytes.number();
        let mut draft = Draft::decode(&mut bytes);
        let names: Vec<String> =
            draft.signature.hyperparameters().map(|(_, p)| p.name.clone()).collect();
        let set = names
            .into_iter()
            .filter_map(|name| bytes.flag().then(|| (name, bytes.number())))
            .collect();
        let update = bytes.byte();
        while !bytes.0.is_empty() && draft.statements.len() < MOST_STATEMENTS {
            draft.push_decoded(&mut bytes);
        }
        Case { program: draft.finish(update), shapes, set, numbers, seed, lr, steps, save_after }
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Compares all that runs a program with the reference interpreter, bit for bit (one NaN is as
    /// good as another), after every step. Two optimizers run beside it: one on a flat buffer,
    /// whose state goes through a file on the way, and one on separate arrays, which runs the
    /// program as it is read back from its text. Gives the share of the weights that are not NaN in
    /// the end; on a difference the place, and the case.
    pub fn check(&self) -> Result<f64, String> {
        self.run().map_err(|difference| format!("{difference}\n{self}"))
    }

    fn run(&self) -> Result<f64, String> {
        let text = self.program.to_string();
        let reread = parse(&text)
            .map_err(|faults| format!("the printed program does not parse: {faults}"))?;
        let hash = |program: &Program| {
            Graph::new(program).map(|graph| graph.hash()).map_err(|errors| format!("{errors:?}"))
        };
        let (before, after) = (hash(&self.program)?, hash(&reread)?);
        if before != after {
            return Err(format!(
                "the functional hash is {before}, but {after} after printing and parsing"
            ));
        }

        let error = |e: symopt_evaluator::OptimizerError| e.to_string();
        let layout = layout(&self.shapes);
        let mut flat = Optimizer::new(&self.program, &layout).map_err(error)?;
        let mut apart = Optimizer::new(&reread, &layout).map_err(error)?;
        let mut reference = Reference::<f32>::new(&self.program, &self.shapes).map_err(error)?;
        for (name, value) in &self.set {
            flat.set(name, *value).map_err(error)?;
            apart.set(name, *value).map_err(error)?;
            reference.set(name, *value).map_err(error)?;
        }
        let mut random = Random(self.seed);
        let mut flat_weights = self.numbers.draw(&mut random, layout.len());
        let mut apart_weights = flat_weights.clone();
        let mut reference_weights = split(&layout, &flat_weights);
        for step in 1..=self.steps {
            let gradients = self.numbers.draw(&mut random, layout.len());
            reference
                .step(&mut reference_weights, &split(&layout, &gradients), self.lr)
                .map_err(error)?;
            flat.step(&mut flat_weights, &gradients, self.lr).map_err(error)?;
            step_apart(&mut apart, &layout, &mut apart_weights, &gradients, self.lr)
                .map_err(error)?;
            for (way, optimizer, weights) in
                [("flat", &flat, &flat_weights), ("separate arrays", &apart, &apart_weights)]
            {
                self.compare(optimizer, weights, &reference, &join(&reference_weights)).map_err(
                    |difference| {
                        format!("step {step}, {way}, {difference} (tile machine and reference)")
                    },
                )?;
            }
            if step == self.save_after {
                let bytes = flat.save_bytes().map_err(error)?;
                // The hyperparameters that were set come from the file, too.
                let mut loaded = Optimizer::new(&self.program, &layout).map_err(error)?;
                loaded.load_bytes(&bytes).map_err(error)?;
                if loaded.save_bytes().map_err(error)? != bytes {
                    return Err(format!(
                        "step {step}: a state that was loaded is saved as other bytes"
                    ));
                }
                flat = loaded;
            }
        }
        let numbers = flat_weights.iter().filter(|weight| !weight.is_nan()).count();
        Ok(numbers as f64 / flat_weights.len().max(1) as f64)
    }

    fn compare(
        &self,
        optimizer: &Optimizer,
        weights: &[f32],
        reference: &Reference<f32>,
        expected: &[f32],
    ) -> Result<(), String> {
        if let Some(difference) = difference(weights, expected) {
            return Err(format!("weights {difference}"));
        }
        let names: Vec<String> = self
            .program
            .signature()
            .slots()
            .map(|id| self.program.variable_name(id).to_string())
            .collect();
        for (name, values) in optimizer.slots() {
            let slot = names
                .iter()
                .position(|known| known == name)
                .ok_or_else(|| format!("{name} is no slot of the program"))?;
            if let Some(difference) = difference(&values.to_f32(), &join(&reference.slots()[slot]))
            {
                return Err(format!("slot {name} {difference}"));
            }
        }
        Ok(())
    }
}

/// A step over arrays in buffers of their own.
fn step_apart(
    optimizer: &mut Optimizer,
    layout: &Layout,
    weights: &mut [f32],
    gradients: &[f32],
    lr: f64,
) -> Result<(), symopt_evaluator::OptimizerError> {
    // Copies: an access past the end of one must not land in the next, where no sanitizer sees it.
    let mut buffers: Vec<_> = layout
        .arrays()
        .iter()
        .map(|spec| (weights[spec.range.clone()].to_vec(), gradients[spec.range.clone()].to_vec()))
        .collect();
    let mut arrays: Vec<ParameterArray> = layout
        .arrays()
        .iter()
        .zip(&mut buffers)
        .map(|(spec, (weights, gradients))| {
            ParameterArray::new(&spec.name, weights, &gradients[..])
        })
        .collect();
    optimizer.step_arrays(&mut arrays, lr)?;
    for (spec, (buffer, _)) in layout.arrays().iter().zip(&buffers) {
        weights[spec.range.clone()].copy_from_slice(buffer);
    }
    Ok(())
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case { program, shapes, set, numbers, seed, lr, steps, save_after } = self;
        writeln!(
            f,
            "shapes {shapes:?}, {numbers:?} from seed {seed}, lr {lr:?}, {steps} steps, saved after {save_after}, set {set:?}"
        )?;
        write!(f, "{program}")
    }
}
