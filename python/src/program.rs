//! Programs, and what is known of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyType;
use serde::Serialize;
use serde_json::json;
use symopt_analysis::behaviour::behavioural_distance;
use symopt_analysis::compare::compare;
use symopt_analysis::equivalence::RandomStreams;
use symopt_analysis::identify::identify;
use symopt_analysis::simplify::{Derivation, Label, Limits, Options, reduced_until, simplify};
use symopt_analysis::structure::classify;
use symopt_dsl::graph::Redundancy;
use symopt_dsl::program::Signature;
use symopt_dsl::{Graph, Profile};
use symopt_evaluator::Storage;
use symopt_export::{Formula, Target, entry_point, export, export_plain};
use symopt_figures::Drawing;
use symopt_programs::source::{self, SourceError};
use symopt_proxy_tasks::sample::Criterion;
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_search::store::program_source;
use symopt_studies::simplification::simplify_on_tasks;
use symopt_studies::trials::Trials;

use crate::error::{Raise, failed, input};
use crate::work::{self, Cancelling};

/// Name, in messages, of a text that came without one.
const TEXT: &str = "<string>";

/// A program: parsed, typed, with its graph.
#[pyclass(frozen, module = "symopt._symopt")]
pub struct Program {
    pub program: symopt_dsl::Program,
    pub graph: Graph,
    /// The name in the zoo, if it was found by it.
    zoo_name: Option<&'static str>,
}

impl Program {
    fn new(program: symopt_dsl::Program, zoo_name: Option<&'static str>) -> PyResult<Program> {
        // The parser's programs are typed, so nobody sees this error.
        let graph = Graph::new(&program).map_err(|errors| input(format!("{errors:?}")))?;
        Ok(Program { program, graph, zoo_name })
    }

    fn called(&self) -> String {
        self.zoo_name.map_or_else(|| self.program.signature().name.clone(), str::to_owned)
    }
}

#[pymethods]
impl Program {
    /// The program of a text.
    #[classmethod]
    fn of_text(_class: &Bound<'_, PyType>, text: &str) -> PyResult<Program> {
        let program = source::parse(TEXT, text).map_err(SourceError::raise)?;
        // A text that says what one of the zoo says is not asked for by its name.
        Program::new(program, None)
    }

    /// The program of a zoo name, a file or `STORE:HASH`.
    #[classmethod]
    fn named(_class: &Bound<'_, PyType>, py: Python<'_>, name: String) -> PyResult<Program> {
        let zoo_name = symopt_programs::find(&name).map(|entry| entry.name);
        let found = work::run(py, Cancelling::Soon, move |cancel| {
            let found = program_source::find(&name).map_err(Raise::raise)?;
            found.with_constants(cancel).map_err(Raise::raise)
        })?;
        Program::new(found?, zoo_name)
    }

    /// The program of a file, whatever it is called.
    #[classmethod]
    fn of_file(_class: &Bound<'_, PyType>, path: PathBuf) -> PyResult<Program> {
        let Some(name) = path.to_str() else {
            return Err(input(format!("{}: the path is no Unicode text", path.display())));
        };
        let program = if symopt_programs::find(name).is_some() || name == "-" {
            source::find(&format!("./{name}"))
        } else {
            source::find(name)
        };
        Program::new(program.map_err(SourceError::raise)?, None)
    }

    #[getter]
    fn name(&self) -> String {
        self.called()
    }

    #[getter]
    fn function_name(&self) -> &str {
        &self.program.signature().name
    }

    #[getter]
    fn doc(&self) -> Option<&str> {
        self.program.signature().doc.as_deref()
    }

    #[getter]
    fn source(&self) -> String {
        self.program.to_string()
    }

    #[getter]
    fn hash(&self) -> String {
        self.graph.hash().to_string()
    }

    #[getter]
    fn numerics(&self) -> String {
        format!("{:?}", self.program.signature().numerics).to_lowercase()
    }

    #[getter]
    fn profiles(&self) -> Vec<&'static str> {
        self.program.profiles().into_iter().map(Profile::name).collect()
    }

    /// Names of the slots, and whether each is live.
    #[getter]
    fn slots(&self) -> Vec<(String, bool)> {
        self.program
            .signature()
            .slots()
            .zip(self.graph.slots())
            .map(|(slot, next)| (self.program.variable_name(slot).to_string(), next.is_some()))
            .collect()
    }

    #[getter]
    fn hyperparameters(&self) -> Vec<(String, f64)> {
        self.program
            .signature()
            .hyperparameters()
            .map(|(_, parameter)| (parameter.name.clone(), parameter.default.unwrap_or(0.0)))
            .collect()
    }

    #[getter]
    fn peak_learning_rate(&self) -> f64 {
        self.program.signature().peak_learning_rate()
    }

    /// Calls, passes over the arrays, bytes moved for each parameter, and bytes of state for each
    /// parameter in f32 and in bf16.
    #[getter]
    fn cost(&self) -> (usize, usize, usize, usize, usize) {
        let cost = self.graph.cost();
        let slots = self.graph.live_slots().count();
        (
            cost.calls,
            cost.array_passes,
            cost.bytes_per_parameter,
            slots * Storage::F32.bytes(),
            slots * Storage::Bf16.bytes(),
        )
    }

    /// The statements, and how each counts: `live`, `redundant` or `dead`.
    #[getter]
    fn statements(&self) -> Vec<(String, String, &'static str)> {
        let status = |redundancy: &Redundancy| match redundancy {
            Redundancy::Live => "live",
            Redundancy::WithinStep => "redundant",
            Redundancy::AcrossSteps => "dead",
        };
        self.program
            .statements
            .iter()
            .zip(self.graph.statement_types().iter().zip(self.graph.redundancy()))
            .map(|(statement, (ty, redundancy))| {
                let text = self.program.statement_text(statement).to_string();
                (text, ty.to_string(), status(redundancy))
            })
            .collect()
    }

    fn formula(&self) -> String {
        Formula::new(&self.program, &self.graph).unicode()
    }

    fn latex(&self) -> String {
        Formula::new(&self.program, &self.graph).latex()
    }

    fn svg(&self) -> String {
        Drawing::new(&self.program, &self.graph).svg()
    }

    /// The program without what nothing needs.
    fn pruned(&self) -> PyResult<Program> {
        Program::new(self.program.pruned(&self.graph), None)
    }

    #[pyo3(signature = (target, *, plain))]
    fn export(&self, py: Python<'_>, target: &str, plain: bool) -> PyResult<String> {
        let target = target_named(target)?;
        let text = py.detach(|| match plain {
            true => export_plain(&self.program, target),
            false => export(&self.program, target),
        });
        text.map_err(Raise::raise)
    }

    /// The class or the function of an export that makes the optimizer.
    fn entry_point(&self, target: &str) -> PyResult<Option<String>> {
        Ok(entry_point(&self.program, target_named(target)?))
    }

    /// The derivation: the result, as Markdown and as JSON.
    fn simplify(
        &self,
        py: Python<'_>,
        label: &str,
        nodes: usize,
        rounds: usize,
    ) -> PyResult<(Program, String, String)> {
        let mut options = options(label, nodes, rounds)?;
        let program = self.program.clone();
        let derivation = work::run(py, Cancelling::Behind, move |cancel| {
            options.limits.cancel = cancel.clone();
            simplify(&program, &options, &mut RandomStreams::default())
        })?;
        described(derivation)
    }

    /// The same, and what makes no difference on the tasks of a suite is left out.
    #[expect(clippy::too_many_arguments, reason = "Python names them")]
    fn simplify_on_tasks(
        &self,
        py: Python<'_>,
        label: &str,
        nodes: usize,
        rounds: usize,
        suite: String,
        seeds: usize,
        tolerance: f64,
        confidence: f64,
    ) -> PyResult<(Program, String, String)> {
        let mut options = options(label, nodes, rounds)?;
        if !(2..=1000).contains(&seeds) {
            return Err(input(format!("seeds is {seeds}, and should be between 2 and 1000")));
        }
        for (name, value) in [("tolerance", tolerance), ("confidence", confidence)] {
            if !(0.0..1.0).contains(&value) {
                return Err(input(format!("{name} is {value}, and should be between 0 and 1")));
            }
        }
        let (program, zoo_name) = (self.program.clone(), self.zoo_name);
        let derivation = work::run(py, Cancelling::Soon, move |cancel| {
            options.limits.cancel = cancel.clone();
            let suite = SuiteSource::find(&suite).and_then(|source| source.suite());
            let suite = Arc::new(suite.map_err(Raise::raise)?);
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            let criterion = Criterion { tolerance, confidence };
            let seeds = Trials::seeds(seeds);
            Trials::new(&suite, zoo_name, &seeds, criterion, threads, cancel, &|_, _| ())
                .and_then(|mut trials| {
                    let mut streams = RandomStreams::default();
                    simplify_on_tasks(&program, &options, &mut streams, &mut trials)
                })
                .map_err(Raise::raise)
        })?;
        described(derivation?)
    }

    /// How two programs compare, as JSON.
    fn diff(&self, py: Python<'_>, other: &Program) -> PyResult<String> {
        let (left, right) = (self.program.clone(), other.program.clone());
        let (mut left_name, mut right_name) = (self.called(), other.called());
        if left_name == right_name {
            left_name.push_str(" (left)");
            right_name.push_str(" (right)");
        }
        let found = work::run(py, Cancelling::Behind, move |cancel| {
            let simple =
                [&left, &right].map(|program| reduced_until(program, Label::Domain, cancel));
            let [left_simple, right_simple] = &simple;
            let comparison =
                compare(left_simple.result(), right_simple.result()).named(&left_name, &right_name);
            let side = |name: &str, derivation: &Derivation| {
                json!({
                    "name": name,
                    "simplified": derivation.result().to_string(),
                    "label": derivation.label(),
                })
            };
            json!({
                "relation": comparison.relation.name(),
                "distance": comparison.distance(),
                "differences": comparison.differences(),
                "summary": comparison.to_string(),
                "left": side(&left_name, left_simple),
                "right": side(&right_name, right_simple),
                "comparison": comparison,
                "behaviour": behavioural_distance(&left, &right, 0),
            })
            .to_string()
        })?;
        Ok(found)
    }

    /// The structure and the nearest programs of the zoo, as JSON.
    fn identify(&self, py: Python<'_>, count: usize) -> PyResult<String> {
        let program = self.program.clone();
        let name = self.called();
        work::run(py, Cancelling::Behind, move |cancel| {
            let simple = |program: &symopt_dsl::Program| {
                reduced_until(program, Label::Domain, cancel).result().clone()
            };
            let structure = classify(&program, simple);
            let nearest: Vec<_> = identify(&program, simple)
                .into_iter()
                .take(count)
                .map(|found| {
                    let called = found.called();
                    let comparison = found.comparison.named(&name, &called);
                    json!({
                        "name": called,
                        "relation": comparison.relation.name(),
                        "distance": comparison.distance(),
                        "differences": comparison.differences(),
                    })
                })
                .collect();
            json!({
                "summary": structure.to_string(),
                "structure": structure,
                "nearest": nearest,
            })
            .to_string()
        })
    }
}

/// The options of a simplification.
fn options(label: &str, nodes: usize, rounds: usize) -> PyResult<Options> {
    let labels =
        BTreeMap::from([("exact", Label::Exact), ("real", Label::Real), ("domain", Label::Domain)]);
    let Some(label) = labels.get(label) else {
        return Err(input(format!("label is {label:?}, and should be exact, real or domain")));
    };
    if !(1..=1_000_000).contains(&nodes) || !(1..=1_000).contains(&rounds) {
        return Err(input(format!(
            "nodes is {nodes} and rounds is {rounds}; they should be between 1 and 1000000, and between 1 and 1000"
        )));
    }
    let limits = Limits { nodes, rounds, ..Limits::default() };
    Ok(Options { label: *label, limits, ..Options::default() })
}

fn described(derivation: Derivation) -> PyResult<(Program, String, String)> {
    #[derive(Serialize)]
    struct Json<'a> {
        label: Label,
        derivation: &'a Derivation,
    }
    let json = Json { label: derivation.label(), derivation: &derivation };
    let json = serde_json::to_string(&json).map_err(failed)?;
    let result = derivation.result().clone();
    let original = &derivation.original;
    // An unchanged program keeps its doc string.
    let doc = match derivation.steps.is_empty() {
        true => result.signature().doc.clone(),
        false => Some(format!(
            "{}, simplified from {} statements to {}: equal in the sense of the label `{}`.",
            original.signature().name,
            original.statements.len(),
            result.statements.len(),
            derivation.label(),
        )),
    };
    let result = result.with_signature(Signature { doc, ..result.signature().clone() });
    Ok((Program::new(result, None)?, derivation.markdown(), json))
}

fn target_named(name: &str) -> PyResult<Target> {
    Target::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = Target::ALL.iter().map(|target| target.name()).collect();
        input(format!("{name:?} is no target; there are {}", names.join(", ")))
    })
}

/// The targets of exports: their names, how their files end, and what they are.
#[pyfunction]
pub fn targets() -> Vec<(&'static str, &'static str, &'static str)> {
    Target::ALL.iter().map(|target| (target.name(), target.extension(), target.summary())).collect()
}

/// The zoo: names, and what each program is, in a line.
#[pyfunction]
pub fn zoo() -> Vec<(&'static str, &'static str)> {
    symopt_programs::zoo().iter().map(|entry| (entry.name, entry.summary())).collect()
}

/// The usual limits of a simplification: terms, and rounds.
#[pyfunction]
pub fn simplification_limits() -> (usize, usize) {
    let limits = Limits::default();
    (limits.nodes, limits.rounds)
}
