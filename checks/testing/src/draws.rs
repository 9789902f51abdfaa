//! Random valid programs to run, nasty inputs, and comparison of bits.

use ndarray::{ArrayD, IxDyn};
use symopt_dsl::program::{Parameter, ParameterKind};
use symopt_dsl::{Function, Numerics, Operand, Program, Signature, SlotId, Statement, Type, VarId};
use symopt_evaluator::{Layout, Optimizer, Reference};

use crate::random::Random;

/// Choices that a random program is drawn from.
#[derive(Clone, Debug)]
pub struct Draw {
    /// Functions of its statements.
    pub functions: Vec<Function>,
    /// Constants of its operands.
    pub constants: Vec<f64>,
    /// Whether constants are also drawn from a range.
    pub any_constants: bool,
    /// Statements, at least.
    pub statements: usize,
    /// Slots, at most.
    pub slots: usize,
    /// Hyperparameters, at most.
    pub hyperparameters: usize,
    /// Whether statements often read one value twice, and slots often get the value of another slot
    /// or variable.
    pub alike: bool,
}

impl Draw {
    /// All functions that every engine runs.
    pub fn everything(statements: usize) -> Draw {
        Draw {
            functions: Function::fused().collect(),
            constants: vec![0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 1e-8, 0.9, 1e30, -1e30],
            any_constants: true,
            statements,
            slots: 3,
            hyperparameters: 2,
            alike: false,
        }
    }

    /// Few functions and constants, those that the normal form of a graph rewrites: many pairs of
    /// programs are equal in function.
    pub fn rewritten() -> Draw {
        use Function as F;
        Draw {
            functions: vec![
                F::Abs,
                F::Square,
                F::Cube,
                F::Negative,
                F::Sign,
                F::Copy,
                F::Reciprocal,
                F::Norm,
                F::GlobalNorm,
                F::Dot,
                F::GuardedSqrt,
                F::GuardedLog,
                F::Exp,
                F::Add,
                F::Subtract,
                F::Multiply,
                F::Divide,
                F::Maximum,
                F::Minimum,
                F::CosineSim,
                F::Add,
                F::Subtract,
                F::Multiply,
                F::Divide,
                F::Negative,
                F::Sqrt,
                F::Clip,
                F::Interp,
                F::Where,
                F::Where,
                F::Less,
                F::LessEqual,
                F::Greater,
                F::GreaterEqual,
                F::Equal,
                F::Mean,
                F::Size,
            ],
            constants: vec![0.0, -0.0, 1.0, -1.0, 2.0],
            any_constants: false,
            statements: 4,
            slots: 2,
            hyperparameters: 0,
            alike: false,
        }
    }

    /// The functions that the tile machine puts together, on many slots: sums, products, quotients,
    /// roots, signs and blends.
    pub fn fused(statements: usize) -> Draw {
        use Function as F;
        let often = [F::Add, F::Subtract, F::Multiply, F::Divide, F::Interp];
        let seldom = [
            F::Sqrt,
            F::GuardedSqrt,
            F::Square,
            F::Sign,
            F::Abs,
            F::GuardedDivide,
            F::Maximum,
            F::Tanh,
            F::Norm,
            F::Where,
            F::Less,
            F::Mean,
        ];
        Draw {
            functions: often.iter().chain(&often).chain(&seldom).copied().collect(),
            constants: vec![0.0, -0.0, 1.0, -1.0, 0.5, 0.9, 0.999, 1e-8],
            any_constants: true,
            statements,
            slots: 4,
            hyperparameters: 2,
            alike: false,
        }
    }

    /// Functions of matrices, and what may stand around them: operations on numbers one by one, on
    /// arrays of every shape, and their sums.
    pub fn matrices(statements: usize) -> Draw {
        use Function as F;
        let of_matrices = [
            F::Transpose,
            F::Transpose,
            F::Matmul,
            F::Matmul,
            F::Matmul,
            F::RowMean,
            F::ColumnMean,
            F::NewtonSchulz,
            F::Rows,
            F::Columns,
        ];
        let others = [
            F::Add,
            F::Subtract,
            F::Multiply,
            F::Divide,
            F::Interp,
            F::Sqrt,
            F::Sign,
            F::Where,
            F::Less,
            F::Norm,
            F::GlobalNorm,
            F::Mean,
            F::Size,
            F::Dot,
            F::CosineSim,
            F::Clip,
            F::Copy,
        ];
        Draw {
            functions: of_matrices.iter().chain(&of_matrices).chain(&others).copied().collect(),
            constants: vec![0.0, -0.0, 1.0, -1.0, 0.5, 0.9, 1e-8],
            any_constants: true,
            statements,
            slots: 3,
            hyperparameters: 2,
            alike: false,
        }
    }

    /// The same with many values that are read twice and slots that get one value.
    pub fn alike(self) -> Draw {
        Draw { alike: true, ..self }
    }

    /// A random valid program: it types by construction.
    pub fn program(&self, random: &mut Random) -> Program {
        let slots = random.below(self.slots + 1);
        let hyperparameters = random.below(self.hyperparameters + 1);
        let mut parameters = Vec::new();
        let mut types = Vec::new();
        let mut push = |name: String, kind, default, ty| {
            parameters.push(Parameter { name, kind, default });
            types.push(Some(ty));
        };
        push("w".to_owned(), ParameterKind::Weights, None, Type::Tree);
        push("g".to_owned(), ParameterKind::Gradients, None, Type::Tree);
        for slot in 0..slots {
            push(format!("s{slot}"), ParameterKind::Slot(SlotId(slot as u16)), None, Type::Tree);
        }
        push("lr".to_owned(), ParameterKind::LearningRate, None, Type::Scalar);
        push("t".to_owned(), ParameterKind::Step, None, Type::Scalar);
        for index in 0..hyperparameters {
            push(
                format!("h{index}"),
                ParameterKind::Hyperparameter,
                Some(random.signed()),
                Type::Scalar,
            );
        }
        let numerics = if random.one_in(3) { Numerics::Guarded } else { Numerics::Ieee };
        let signature = Signature { name: "random".to_owned(), doc: None, numerics, parameters };

        let mut statements = Vec::new();
        let locals = 8;
        types.resize(types.len() + locals, None);
        let count = 1 + random.below(self.statements);
        let mut recent =
            if self.alike { signature.slots().last().unwrap_or(VarId(1)) } else { VarId(1) };
        while statements.len() < count {
            let function = random.pick(&self.functions);
            let mut arguments: Vec<Operand> =
                (0..function.arity()).map(|_| self.operand(random, &types, recent)).collect();
            if self.alike
                && random.one_in(3)
                && let [x, y, ..] = &mut arguments[..]
            {
                *y = *x;
            }
            let target = VarId(random.below(types.len()) as u16);
            if push_statement(&mut statements, &mut types, target, function, &arguments) {
                recent = target;
            }
        }
        // Returned values must be trees. Mixing the last value in keeps more of the program alive.
        let trees: Vec<VarId> = (0..types.len())
            .filter(|i| types[*i] == Some(Type::Tree))
            .map(|i| VarId(i as u16))
            .collect();
        if trees.is_empty() {
            // Every tree has been overwritten: draw again.
            return self.program(random);
        }
        let mut tree = random.pick(&trees);
        if types[recent.index()] == Some(Type::Tree) {
            tree = recent;
        }
        for slot in signature.slots() {
            if types[slot.index()] != Some(Type::Tree) {
                let mix = [Operand::Variable(slot), Operand::Variable(tree)];
                // An array of another shape does not go with a tree.
                if !push_statement(&mut statements, &mut types, slot, Function::Multiply, &mix) {
                    push_statement(&mut statements, &mut types, slot, Function::Copy, &mix[1..]);
                }
            }
        }
        let slots: Vec<VarId> = signature.slots().collect();
        if self.alike && !slots.is_empty() {
            for slot in &slots {
                if !random.one_in(4) {
                    let value = if !random.one_in(4) { tree } else { random.pick(&slots) };
                    push_statement(
                        &mut statements,
                        &mut types,
                        *slot,
                        Function::Copy,
                        &[Operand::Variable(value)],
                    );
                }
            }
            // Slots live only if the update depends on what the step began with.
            let old = VarId(types.len() as u16);
            types.push(Some(Type::Tree));
            let first = random.below(slots.len());
            let (function, second) = if random.one_in(2) {
                let function = random.pick(&[
                    Function::Add,
                    Function::Subtract,
                    Function::Divide,
                    Function::Maximum,
                ]);
                (function, Operand::Variable(slots[(first + 1) % slots.len()]))
            } else {
                // Needs no scratch tile within a sum.
                (Function::Multiply, Operand::Constant(0.5))
            };
            let both = [Operand::Variable(slots[first]), second];
            statements.insert(0, Statement::new(old, function, &both));
            if random.one_in(2) {
                let mix = [Operand::Variable(old), Operand::Variable(tree)];
                push_statement(&mut statements, &mut types, old, Function::Add, &mix);
            }
            return Program::new(signature, Vec::new(), statements, old, Vec::new());
        }
        let update = if types[recent.index()] == Some(Type::Tree) || random.one_in(2) {
            tree
        } else {
            let target = VarId((types.len() - 1) as u16);
            let mix = [Operand::Variable(recent), Operand::Variable(tree)];
            let [first, second] = mix;
            // An array of another shape goes with a tree as a matrix.
            let ways: [(Function, &[Operand]); 4] = [
                (Function::Multiply, &[first, second]),
                (Function::Matmul, &[first, second]),
                (Function::Matmul, &[second, first]),
                (Function::Transpose, &[first]),
            ];
            let mut is_tree = |(function, arguments): &&(Function, &[Operand])| {
                push_statement(&mut statements, &mut types, target, *function, arguments)
                    && types[target.index()] == Some(Type::Tree)
            };
            ways.iter().find(&mut is_tree).map_or(tree, |_| target)
        };
        Program::new(signature, Vec::new(), statements, update, Vec::new())
    }

    fn operand(&self, random: &mut Random, types: &[Option<Type>], recent: VarId) -> Operand {
        if random.one_in(4) {
            let ranged = self.any_constants && random.one_in(2);
            return Operand::Constant(if ranged {
                3.0 * random.signed()
            } else {
                random.pick(&self.constants)
            });
        }
        if random.one_in(2) {
            return Operand::Variable(recent);
        }
        loop {
            let variable = random.below(types.len());
            if types[variable].is_some() {
                return Operand::Variable(VarId(variable as u16));
            }
        }
    }
}

/// Appends a statement if it types.
fn push_statement(
    statements: &mut Vec<Statement>,
    types: &mut [Option<Type>],
    target: VarId,
    function: Function,
    arguments: &[Operand],
) -> bool {
    let argument_types: Vec<Type> = arguments
        .iter()
        .map(|argument| match argument {
            Operand::Variable(id) => types[id.index()].expect("only assigned variables are drawn"),
            Operand::Constant(_) => Type::Scalar,
        })
        .collect();
    match function.result_type(&argument_types) {
        Ok(ty) => {
            statements.push(Statement::new(target, function, arguments));
            types[target.index()] = Some(ty);
            true
        }
        Err(_) => false,
    }
}

/// How nasty the numbers of an input are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Between -1 and 1, with zeros.
    Tame,
    /// With zeros of both signs, denormals, and numbers whose squares overflow or underflow.
    Finite,
    /// With infinities and NaN as well.
    Anything,
}

/// Draws a number of a flavour.
pub fn number(random: &mut Random, flavour: Flavour) -> f32 {
    let finite =
        [0.0, -0.0, 1e-40, -1e-45, 1e25, -3e38, 1e-25, 1.0, -1.0, f32::MIN_POSITIVE, f32::MAX];
    let any = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
    match flavour {
        Flavour::Finite if random.one_in(5) => random.pick(&finite),
        Flavour::Anything if random.one_in(8) => random.pick(&finite),
        Flavour::Anything if random.one_in(8) => random.pick(&any),
        _ if random.one_in(8) => 0.0,
        _ => random.signed() as f32,
    }
}

/// Draws so many numbers of a flavour.
pub fn numbers(random: &mut Random, length: usize, flavour: Flavour) -> Vec<f32> {
    (0..length).map(|_| number(random, flavour)).collect()
}

/// Returns a layout of arrays of these shapes, named by their places.
pub fn layout(shapes: &[Vec<usize>]) -> Layout {
    Layout::new(shapes.iter().enumerate().map(|(i, shape)| (format!("array{i}"), shape.clone())))
        .expect("the shapes are a layout")
}

/// A flat buffer as one array for each array of the layout.
pub fn split<T: Copy>(layout: &Layout, flat: &[T]) -> Vec<ArrayD<T>> {
    let array = |spec: &symopt_evaluator::ArraySpec| {
        ArrayD::from_shape_vec(IxDyn(&spec.shape), flat[spec.range.clone()].to_vec())
            .expect("the range has the size of the shape")
    };
    layout.arrays().iter().map(array).collect()
}

/// Arrays as one flat buffer.
pub fn join<T: Copy>(arrays: &[ArrayD<T>]) -> Vec<T> {
    arrays.iter().flat_map(|array| array.iter().copied()).collect()
}

/// Same bits, or both NaN.
pub fn same(x: f32, y: f32) -> bool {
    x.to_bits() == y.to_bits() || (x.is_nan() && y.is_nan())
}

/// The first place where two buffers differ.
pub fn difference(x: &[f32], y: &[f32]) -> Option<String> {
    if x.len() != y.len() {
        return Some(format!("lengths {} and {}", x.len(), y.len()));
    }
    let place = x.iter().zip(y).position(|(x, y)| !same(*x, *y))?;
    Some(format!("at {place} of {}: {:e} and {:e}", x.len(), x[place], y[place]))
}

/// Runs the tile machine beside the reference interpreter, on gradients of the given flavour. Gives
/// the share of the weights that are not NaN in the end, or where the two first differ.
pub fn compare_with_reference(
    program: &Program,
    shapes: &[Vec<usize>],
    steps: usize,
    flavour: Flavour,
    random: &mut Random,
) -> Result<f64, String> {
    let layout = layout(shapes);
    let mut optimizer = Optimizer::new(program, &layout).expect("the program types");
    let mut reference = Reference::<f32>::new(program, shapes).expect("the program types");
    let mut weights = numbers(random, layout.len(), flavour);
    let mut reference_weights = split(&layout, &weights);
    let slot_names: Vec<String> =
        program.signature().slots().map(|id| program.variable_name(id).to_string()).collect();
    for step in 1..=steps {
        let gradients = numbers(random, layout.len(), flavour);
        let lr = 0.1 * random.unit();
        optimizer.step(&mut weights, &gradients, lr).expect("the arrays fit");
        reference
            .step(&mut reference_weights, &split(&layout, &gradients), lr)
            .expect("the arrays fit");
        if let Some(difference) = difference(&weights, &join(&reference_weights)) {
            return Err(format!("step {step}, weights {difference}"));
        }
        for (name, values) in optimizer.slots() {
            let slot =
                slot_names.iter().position(|known| known == name).expect("a slot of the program");
            if let Some(difference) = difference(&values.to_f32(), &join(&reference.slots()[slot]))
            {
                return Err(format!("step {step}, slot {name} {difference}"));
            }
        }
    }
    let numbers = weights.iter().filter(|w| !w.is_nan()).count();
    Ok(numbers as f64 / weights.len().max(1) as f64)
}

/// A program as lines of calls, for messages.
pub fn listing(program: &Program) -> String {
    let mut text = format!("{:?}\n", program.signature().numerics);
    for statement in &program.statements {
        let arguments: Vec<String> = statement
            .arguments()
            .iter()
            .map(|argument| match argument {
                Operand::Variable(id) => program.variable_name(*id).to_string(),
                Operand::Constant(value) => format!("{value:?}"),
            })
            .collect();
        text += &format!(
            "  {} = {}({})\n",
            program.variable_name(statement.target),
            statement.function.name(),
            arguments.join(", ")
        );
    }
    text + &format!("  return {}\n", program.variable_name(program.update))
}

/// The same program with other names, another order of statements and of arguments, and statements
/// that do nothing.
pub fn disguised(program: &Program, random: &mut Random) -> Program {
    let signature = program.signature();
    let parameters = signature.parameters.len();
    let mut statements = program.statements.clone();

    for statement in &mut statements {
        if statement.function.row().commutative && random.one_in(2) {
            statement.arguments_mut().swap(0, 1);
        }
    }

    let reads = |statement: &Statement, variable: VarId| {
        statement.arguments().contains(&Operand::Variable(variable))
    };
    for _ in 0..4 * statements.len() {
        let first = random.below(statements.len().max(2) - 1);
        if let [a, b] = statements[first..statements.len().min(first + 2)]
            && !reads(&b, a.target)
            && !reads(&a, b.target)
            && a.target != b.target
        {
            statements.swap(first, first + 1);
        }
    }

    // Locals change places; the parameters stay where they are.
    let locals = program.variable_count() - parameters;
    let mut places: Vec<usize> = (0..locals).collect();
    for index in (1..locals).rev() {
        places.swap(index, random.below(index + 1));
    }
    let moved = |id: VarId| {
        if id.index() < parameters {
            id
        } else {
            VarId((parameters + places[id.index() - parameters]) as u16)
        }
    };
    for statement in &mut statements {
        statement.target = moved(statement.target);
        for argument in statement.arguments_mut() {
            if let Operand::Variable(id) = argument {
                *id = moved(*id);
            }
        }
    }

    let dead = VarId(program.variable_count() as u16);
    for _ in 0..random.below(4) {
        let function =
            random.pick(&[Function::Exp, Function::GlobalNorm, Function::Add, Function::Norm]);
        let argument = VarId(random.below(2) as u16);
        let statement = Statement::new(
            dead,
            function,
            &[Operand::Variable(argument), Operand::Variable(argument)],
        );
        statements.insert(random.below(statements.len() + 1), statement);
    }

    let mut renamed = signature.clone();
    renamed.name = "disguised".to_owned();
    for parameter in &mut renamed.parameters {
        if parameter.kind != ParameterKind::Hyperparameter {
            parameter.name.push_str("_renamed");
        }
    }
    let names = (0..=locals).map(|i| format!("local{i}")).collect();
    Program::new(renamed, names, statements, moved(program.update), Vec::new())
}
