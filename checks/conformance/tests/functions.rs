//! Each function of the table is known wherever it must be: this is the list of the places that a
//! new one needs. `CONTRIBUTING.md` has them in words.

use std::panic::{AssertUnwindSafe, catch_unwind};

use symopt_conformance::case::{self, Case};
use symopt_conformance::engines::{self, Engine};
use symopt_conformance::expected;
use symopt_conformance::subject::Subject;
use symopt_conformance::suite::Suite;
use symopt_dsl::function::{Profile, Typing};
use symopt_dsl::{Function, Program, parse};
use symopt_evaluator::engine::kernel;
use symopt_export::spelling::spelling;
use symopt_export::{Target, export};

/// Where a function is missing: the file to edit, and what it lacks.
type Missing = (String, String);

/// A program that calls a function on arrays, and says the result with one number.
fn program(function: Function) -> Program {
    let arguments = match function {
        Function::Matmul => "g, transpose(w)",
        Function::Clip => "g, 0.3",
        Function::Interp => "g, w, 0.3",
        _ => ["", "g", "g, w", "g, w, m"][function.arity()],
    };
    let text = format!(
        "def f(w, g, m, lr):\n  x = {}({arguments})\n  m = g * norm(x)\n  update = m * lr\n  return update, m\n",
        function.name()
    );
    parse(&text).unwrap_or_else(|faults| panic!("{faults}\n{text}"))
}

/// The value of a call that must neither fail nor panic.
fn tried<T, E>(call: impl FnOnce() -> Result<T, E>) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call)).ok().and_then(Result::ok)
}

/// The engines that lack a function.
fn missing_in_engines(function: Function, program: &Program, case: &Case) -> Vec<Missing> {
    let mut missing = Vec::new();
    let is_element_wise = function.row().typing == Typing::ElementWise;
    let has_kernel = match function.arity() {
        1 => kernel::unary::<f32>(function).is_some(),
        2 => kernel::binary::<f32>(function).is_some(),
        _ => kernel::ternary::<f32>(function).is_some(),
    };
    if is_element_wise && !has_kernel {
        let lacks = "`element_wise_functions!` has no word for it, or `math/` no f32 form";
        missing.push(("evaluator/src/engine/kernel.rs".to_owned(), lacks.to_owned()));
    }
    let Some(reference) = tried(|| expected::outcome::<f32>(program, case)) else {
        let lacks = "`Reference::call` does not compute it on arrays".to_owned();
        missing.push(("evaluator/src/engine/reference.rs".to_owned(), lacks));
        return missing;
    };
    let found = tried(|| {
        let subject = Subject::new("f", program.clone());
        let optimizer = Engine::TileMachine.optimizer(&subject, &engines::layout(case));
        match optimizer {
            Ok(Some(mut optimizer)) => engines::outcome(&mut optimizer, program, case),
            Ok(None) => Ok(reference.clone()),
            Err(error) => Err(error),
        }
    });
    if found.is_none_or(|found| format!("{found:?}") != format!("{reference:?}")) {
        let lacks = "the tile machine does not compute it as the reference does".to_owned();
        missing.push(("dsl/src/plan.rs".to_owned(), lacks));
    }
    missing
}

/// The targets that lack a function.
fn missing_in_exports(function: Function, program: &Program) -> Vec<Missing> {
    let mut missing = Vec::new();
    for target in Target::ALL.iter().copied() {
        let file = match tried(|| export(program, target)) {
            Some(file) => file,
            None => {
                let lacks = format!("no row that {target} can write");
                missing.push(("export/src/spelling.rs".to_owned(), lacks));
                continue;
            }
        };
        let own = spelling(function).map_or("", |row| match target {
            Target::PyTorch => row.torch,
            Target::Optax | Target::Praxis => row.jax,
            Target::Keras => row.keras,
            Target::Tf1 | Target::Tf2 => row.tensorflow,
            Target::Numpy => row.numpy,
            _ => "",
        });
        let helper = own.split('(').next().filter(|name| name.starts_with('_'));
        if let Some(helper) = helper
            && file.contains(&format!("{helper}("))
            && !file.contains(&format!("def {helper}("))
        {
            let folder = match target {
                Target::Praxis => "optax".to_owned(),
                Target::Tf1 | Target::Tf2 => "tensorflow".to_owned(),
                target => target.to_string(),
            };
            missing.push((
                format!("export/runtime/{folder}/helpers.py"),
                format!("no `{helper}`, which its row in export/src/spelling.rs calls"),
            ));
        }
    }
    missing
}

#[test]
fn each_function_is_known_in_each_of_the_places_that_a_new_one_needs() {
    let plain = case::cases().into_iter().next().expect("there are cases");
    let mixed: String = Suite::mixed().subjects.iter().map(|s| s.program.to_string()).collect();
    for function in Function::all().filter(|function| function.arity() > 0) {
        let program = program(function);
        let mut missing = missing_in_engines(function, &program, &plain);
        missing.extend(missing_in_exports(function, &program));
        let row = function.row();
        let is_mixed = row.profile == Profile::Language
            || match row.operator {
                Some(operator) => mixed.contains(&format!(" {operator} ")),
                None => mixed.contains(&format!("{}(", function.name())),
            };
        if !is_mixed {
            let lacks = "no program calls it on operands of mixed sizes".to_owned();
            missing.push(("checks/conformance/src/mixed.rs".to_owned(), lacks));
        }
        // Loops over elements can do nothing with matrices, and say so.
        let refused: &[&str] = match row.profile {
            Profile::Matrix => &["no row that rust can write", "no row that c can write"],
            _ => &[],
        };
        let refusals: Vec<&str> = missing
            .iter()
            .map(|(_, lacks)| lacks.as_str())
            .filter(|lacks| refused.contains(lacks))
            .collect();
        assert_eq!(refusals, refused, "{}: a target refuses it no longer", function.name());
        missing.retain(|(_, lacks)| !refused.contains(&lacks.as_str()));
        let list: String =
            missing.iter().map(|(file, lacks)| format!("\n- {file}: {lacks}")).collect();
        assert!(missing.is_empty(), "`{}` is not known everywhere. Edit:{list}", function.name());
    }
}
