//! Random valid programs, from a seed: the same seed gives the same program.

use symopt_dsl::function::FUNCTIONS;
use symopt_dsl::program::{
    Comment, CommentPlace, Numerics, Operand, Parameter, ParameterKind, Program, Signature, SlotId,
    Statement, VarId,
};
use symopt_dsl::{Function, Type};

use crate::random::Random;

/// A random valid program: named and numbered variables, every function of the table, and comments
/// in every place if `comments`.
pub fn random_program(seed: u64, comments: bool) -> Program {
    let mut random = Random(seed);
    let mut parameters = vec![
        parameter("w", ParameterKind::Weights, None),
        parameter("g", ParameterKind::Gradients, None),
    ];
    let slots = random.below(4);
    for slot in 0..slots {
        parameters.push(parameter(
            ["m", "v", "slow"][slot],
            ParameterKind::Slot(SlotId(slot as u16)),
            None,
        ));
    }
    if random.one_in(3) {
        parameters.push(parameter("t", ParameterKind::Step, None));
    }
    if !random.one_in(4) {
        let peak = random.one_in(2).then(|| random.constant());
        parameters.push(parameter("lr", ParameterKind::LearningRate, peak));
    }
    for name in ["beta1", "v7", "decay"] {
        if random.one_in(2) {
            parameters.push(parameter(
                name,
                ParameterKind::Hyperparameter,
                Some(random.constant()),
            ));
        }
    }
    let mut types: Vec<Option<Type>> = parameters
        .iter()
        .map(|p| match p.kind {
            ParameterKind::Weights | ParameterKind::Gradients | ParameterKind::Slot(_) => {
                Some(Type::Tree)
            }
            _ => Some(Type::Scalar),
        })
        .collect();
    let locals: Vec<String> = ["update", "g2", "v8", "update_1"][..random.below(5)]
        .iter()
        .map(|s| s.to_string())
        .collect();
    types.resize(parameters.len() + locals.len() + random.below(8), None);
    let mut statements = Vec::new();
    while statements.len() < 1 + random.below(30) {
        let function = FUNCTIONS[random.below(FUNCTIONS.len())].function;
        let readable: Vec<usize> = (0..types.len()).filter(|&i| types[i].is_some()).collect();
        let operands: Vec<Operand> = (0..function.arity())
            .map(|_| {
                if random.one_in(4) {
                    Operand::Constant(random.constant())
                } else {
                    Operand::Variable(VarId(random.pick(&readable) as u16))
                }
            })
            .collect();
        let operand_types: Vec<Type> = operands
            .iter()
            .map(|operand| match operand {
                Operand::Variable(id) => types[id.index()].unwrap_or(Type::Scalar),
                Operand::Constant(_) => Type::Scalar,
            })
            .collect();
        let Ok(result) = function.result_type(&operand_types) else { continue };
        let target = random.below(types.len());
        // The slots must still be arrays at the end, and so must something that can be the update:
        // the weights.
        let is_slot = parameters
            .get(target)
            .is_some_and(|p| matches!(p.kind, ParameterKind::Slot(_) | ParameterKind::Weights));
        if is_slot && result != Type::Tree {
            continue;
        }
        types[target] = Some(result);
        statements.push(Statement::new(VarId(target as u16), function, &operands));
    }
    let trees: Vec<usize> = (0..types.len()).filter(|&i| types[i] == Some(Type::Tree)).collect();
    let update = VarId(random.pick(&trees) as u16);
    let docs = [
        None,
        Some("One line."),
        Some("Lines.\n\n  Indented: \\beta \"\"\" and \"quoted\""),
        Some("A\n  b\n  c\\"),
        Some("  first is indented\nλ"),
        Some(""),
    ];
    let signature = Signature {
        name: "evolved".to_string(),
        doc: random.pick(&docs).map(str::to_string),
        numerics: if random.one_in(2) { Numerics::Guarded } else { Numerics::Ieee },
        parameters,
    };
    let comments =
        if comments { random_comments(&mut random, statements.len()) } else { Vec::new() };
    Program::new(signature, locals, statements, update, comments)
}

fn random_comments(random: &mut Random, statements: usize) -> Vec<Comment> {
    let mut comments = Vec::new();
    let mut add = |place: CommentPlace, most: usize| {
        for _ in 0..random.below(most + 1) {
            let text =
                random.pick(&["", "why", "# two marks", "β → \"x\" (", "'''", "a = b"]).to_string();
            comments.push(Comment { place, text });
        }
    };
    add(CommentPlace::Header, 2);
    add(CommentPlace::BesideDef, 1);
    for index in 0..statements {
        add(CommentPlace::Above(index), 2);
        add(CommentPlace::Beside(index), 1);
    }
    add(CommentPlace::AboveReturn, 2);
    add(CommentPlace::BesideReturn, 1);
    add(CommentPlace::Footer, 2);
    comments
}

fn parameter(name: &str, kind: ParameterKind, default: Option<f64>) -> Parameter {
    Parameter { name: name.to_string(), kind, default }
}

/// A program of which nearly everything matters: `statements` calls of which each works on one of
/// the last few values, two slots and three hyperparameters, with many values shared.
pub fn dense_program(seed: u64, statements: usize) -> Program {
    let mut random = Random(seed);
    let mut parameters = vec![
        parameter("w", ParameterKind::Weights, None),
        parameter("g", ParameterKind::Gradients, None),
    ];
    parameters.push(parameter("m", ParameterKind::Slot(SlotId(0)), None));
    parameters.push(parameter("v", ParameterKind::Slot(SlotId(1)), None));
    parameters.push(parameter("lr", ParameterKind::LearningRate, None));
    for name in ["beta1", "beta2", "decay"] {
        parameters.push(parameter(name, ParameterKind::Hyperparameter, Some(0.9)));
    }
    let mut values: Vec<(VarId, Type)> =
        (0..8).map(|i| (VarId(i), if i < 4 { Type::Tree } else { Type::Scalar })).collect();
    let mut program = Vec::new();
    while program.len() < statements {
        let function = FUNCTIONS[random.below(FUNCTIONS.len())].function;
        let operands: Vec<Operand> = (0..function.arity())
            .map(|_| match random.below(8) {
                0 => Operand::Constant(random.pick(&[0.9, 0.25, -2.0, 1e-8, 0.8999999761581421])),
                1 | 2 => Operand::Variable(values[random.below(values.len())].0),
                _ => Operand::Variable(values[values.len() - 1 - random.below(5)].0),
            })
            .collect();
        let types: Vec<Type> = operands
            .iter()
            .map(|operand| match operand {
                Operand::Variable(id) => values[id.index()].1,
                Operand::Constant(_) => Type::Scalar,
            })
            .collect();
        let Ok(result) = function.result_type(&types) else { continue };
        // Constants alone say nothing, and too many single numbers would leave nothing to do for
        // the arrays.
        if result != Type::Tree && (types.is_empty() || random.below(4) > 0) {
            continue;
        }
        let target = VarId(values.len() as u16);
        values.push((target, result));
        program.push(Statement::new(target, function, &operands));
    }
    let trees: Vec<VarId> =
        values.iter().skip(8).filter(|(_, ty)| *ty == Type::Tree).map(|(id, _)| *id).collect();
    let tree = |back: usize| trees.get(trees.len().wrapping_sub(back)).copied().unwrap_or(VarId(1));
    for (slot, back) in [(2, 2), (3, trees.len() / 2)] {
        program.push(Statement::new(VarId(slot), Function::Copy, &[Operand::Variable(tree(back))]));
    }
    let numerics = if random.one_in(2) { Numerics::Guarded } else { Numerics::Ieee };
    let signature = Signature { name: "dense".to_string(), doc: None, numerics, parameters };
    Program::new(signature, Vec::new(), program, tree(1), Vec::new())
}
