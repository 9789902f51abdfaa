//! Names of the hyperparameters and the slots of a program for users of PyTorch.
//!
//! A group keeps a hyperparameter under the name that it has in `torch.optim`, so that schedulers
//! and checkpoints of PyTorch find it.
//!
//! | program | group |
//! |---|---|
//! | `beta1`, `beta2` and so on | `betas`, a tuple |
//! | `epsilon` | `eps` |
//! | `momentum_decay`; or else `beta`, if there is no `beta1` | `momentum` |
//! | `eta_minus` and `eta_plus`; `min_step` and `max_step` | `etas`; `step_sizes`: tuples, as Rprop's |
//! | any other | its own name |
//!
//! A slot has the name of `torch.optim`'s where it means the same, which its next value shows.
//!
//! | next value of a slot s | state |
//! |---|---|
//! | `interp(g, s, h)` | `exp_avg`, or `momentum_buffer` if h has "momentum" in its name |
//! | `interp(square(g), s, h)` | `exp_avg_sq`, or `square_avg` if no slot is an average of gradients |
//! | `interp(square(d), s, h)`, where the update is d times `lr` and there is a `square_avg` | `acc_delta` |
//! | `s * h + g` | `momentum_buffer` |
//! | `s + square(g)` | `sum` |
//! | `maximum(s, v)`, where v is the next `exp_avg_sq` | `max_exp_avg_sq` |
//! | `maximum(s * h, abs(g) + e)` | `exp_inf` |
//! | `where(g * s < 0, 0, g)` | `prev` |
//! | s, or `lr` in the first step, times a factor, between two hyperparameters, where there is a `prev` | `step_size` |
//! | any other, and two of a kind | its own name |

use symopt_dsl::graph::{NodeId, NodeKind};
use symopt_dsl::program::{ParameterKind, SlotId};
use symopt_dsl::{Function, Graph, Program};

use crate::listing::{Listing, ScalarParameter};

/// Where a hyperparameter is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupKey {
    /// The name in the program's text, or one that Python can have as an argument: how the
    /// constructor takes it too.
    pub own: String,
    /// The key in a group.
    pub key: String,
    /// The index in the tuple that is there.
    pub index: Option<usize>,
}

impl GroupKey {
    /// How it is read from a group.
    pub fn read(&self) -> String {
        match self.index {
            Some(index) => format!("group[\"{}\"][{index}]", self.key),
            None => format!("group[\"{}\"]", self.key),
        }
    }

    /// Whether a group has it under another name than the program's.
    pub fn is_elsewhere(&self) -> bool {
        self.key != self.own
    }
}

/// The names of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The learning rate, if there is one, and the hyperparameters, as in the listing.
    pub places: Vec<GroupKey>,
    /// The key of each live slot in the state of a parameter.
    pub slots: Vec<String>,
    /// The name in the program of each live slot.
    pub given_slots: Vec<String>,
    /// Whether each parameter counts its steps: the program reads the count, or `torch.optim` has
    /// one beside these slots.
    pub counts_steps: bool,
    /// Whether schedulers that move the momentum find none.
    pub lacks_momentum: bool,
    /// Whether the program reads no learning rate: a group has one all the same, as those of
    /// `torch.optim` do, which nothing may move.
    pub lacks_rate: bool,
}

/// Two hyperparameters that a group has as a tuple.
const PAIRS: &[(&str, [&str; 2])] =
    &[("etas", ["eta_minus", "eta_plus"]), ("step_sizes", ["min_step", "max_step"])];

/// Names that a constructor or a group has for something else: schedulers and checkpoints write
/// some of these.
const TAKEN: &[&str] = &[
    "self",
    "__class__",
    "params",
    "lr",
    "step",
    "betas",
    "etas",
    "step_sizes",
    "maximize",
    "foreach",
    "fused",
    "state_dtype",
    "initial_lr",
    "max_lr",
    "min_lr",
    "swa_lr",
    "max_momentum",
    "base_momentum",
    "param_names",
    "capturable",
    "differentiable",
    "amsgrad",
    "decoupled_weight_decay",
    "torch",
    "Any",
    "Tensor",
    "ParamsT",
    "super",
    "float",
    "tuple",
    "bool",
    "dict",
    "defaults",
    "group",
    "is_complex",
];

/// A name with underscores behind it until it is free.
fn free(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let mut name = name.to_owned();
    while is_taken(&name) {
        name.push('_');
    }
    name
}

impl Names {
    /// The names of a program. `graph` must be its own, and `listing` one of it.
    pub fn new(program: &Program, graph: &Graph, listing: &Listing) -> Names {
        let all: Vec<&ScalarParameter> = listing.hyperparameters.iter().collect();
        let is_given = |name: &str| all.iter().any(|parameter| parameter.given == name);
        let mut places: Vec<GroupKey> = listing
            .learning_rate
            .iter()
            .map(|_| GroupKey { own: "lr".to_owned(), key: "lr".to_owned(), index: None })
            .collect();
        let mut betas = 0;
        while is_given(&format!("beta{}", betas + 1)) {
            betas += 1;
        }
        let momentum = match () {
            () if is_given("momentum") || betas > 0 => None,
            () if is_given("momentum_decay") => Some("momentum_decay"),
            () => Some("beta"),
        };
        for parameter in &all {
            let given = parameter.given.as_str();
            let is_taken = |name: &str| {
                let is_another = name != given && is_given(name);
                is_another
                    || TAKEN.contains(&name)
                    || crate::python::is_keyword(name)
                    || places.iter().any(|p| p.own == name)
            };
            let own = free(given, is_taken);
            let number = given.strip_prefix("beta").and_then(|number| number.parse::<usize>().ok());
            let is_free = |pair: &str, both: &[&str; 2]| {
                !is_given(pair) && both.iter().all(|name| is_given(name))
            };
            let pair = PAIRS.iter().find_map(|(pair, both)| {
                let index = both.iter().position(|name| *name == given)?;
                is_free(pair, both).then_some((*pair, Some(index)))
            });
            let (key, index) = match (given, number) {
                _ if pair.is_some() => pair.unwrap_or_default(),
                (_, Some(number))
                    if (1..=betas).contains(&number) && given == format!("beta{number}") =>
                {
                    ("betas", Some(number - 1))
                }
                ("epsilon", _) if !is_given("eps") => ("eps", None),
                (given, _) if momentum == Some(given) => ("momentum", None),
                _ => (own.as_str(), None),
            };
            places.push(GroupKey { key: key.to_owned(), index, own });
        }
        let has_momentum =
            places.iter().any(|place| place.key == "betas" || place.key == "momentum");
        let (given_slots, kinds) = slots(program, graph);
        let mut names: Vec<String> = Vec::new();
        for (given, kind) in given_slots.iter().zip(&kinds) {
            let is_unique = |kind: &&&str| {
                kinds.iter().flatten().filter(|other| **other == **kind).count() == 1
            };
            let is_free =
                |kind: &&&str| given_slots.iter().all(|other| other == given || other != **kind);
            match kind.as_ref().filter(is_unique).filter(is_free) {
                Some(kind) => names.push((*kind).to_owned()),
                None => names.push(free(given, |name| name == "step")),
            }
        }
        let counts_steps = listing.step.is_some()
            || names.iter().any(|name| name == "square_avg" || name == "sum");
        let lacks_rate = places.iter().all(|place| place.key != "lr");
        Names {
            places,
            slots: names,
            given_slots,
            counts_steps,
            lacks_momentum: !has_momentum,
            lacks_rate,
        }
    }

    /// The places whose values a group has elsewhere than under the program's name.
    pub fn elsewhere(&self) -> impl Iterator<Item = &GroupKey> {
        self.places.iter().filter(|place| place.is_elsewhere())
    }

    /// Returns the keys, with values, that the optimizers of `torch.optim` read from a group beside
    /// these slots, and no program reads.
    pub fn unread(&self) -> Vec<(&'static str, &'static str)> {
        let has = |slot: &str| self.renamed_slots().any(|(_, name)| name == slot);
        let decays = self.renamed_slots().any(|(_, name)| !matches!(name, "prev" | "step_size"));
        let all = [
            ("weight_decay", "0.0", decays),
            ("dampening", "0.0", has("momentum_buffer")),
            ("lr_decay", "0.0", has("sum")),
            ("centered", "False", has("square_avg")),
        ];
        let is_free =
            |key: &str| self.places.iter().all(|place| place.key != key && place.own != key);
        all.into_iter()
            .filter(|(key, _, needed)| *needed && is_free(key))
            .map(|(key, value, _)| (key, value))
            .collect()
    }

    /// The slots whose states have other names than the program's, these and those; a `step` in a
    /// state is a count.
    pub fn renamed_slots(&self) -> impl Iterator<Item = (&str, &str)> {
        self.given_slots
            .iter()
            .zip(&self.slots)
            .filter(|(given, name)| given != name && *given != "step")
            .map(|(given, name)| (given.as_str(), name.as_str()))
    }
}

/// The names of the live slots in the program, and the names of those of `torch.optim` that they
/// mean the same as.
fn slots(program: &Program, graph: &Graph) -> (Vec<String>, Vec<Option<&'static str>>) {
    let parameters = &program.signature().parameters;
    let name_of = |slot: SlotId| {
        parameters
            .iter()
            .find(|p| p.kind == ParameterKind::Slot(slot))
            .map_or_else(String::new, |p| p.name.clone())
    };
    let shapes = Shapes { program, graph };
    let live: Vec<(SlotId, NodeId)> = graph.live_slots().collect();
    let averages: Vec<Option<(Averaged, String)>> =
        live.iter().map(|(slot, next)| shapes.average(*slot, *next)).collect();
    let averages_gradients =
        averages.iter().flatten().any(|(averaged, _)| *averaged == Averaged::Gradients);
    let averages_squares =
        averages.iter().flatten().any(|(averaged, _)| *averaged == Averaged::Squares);
    let next_of_squares = live
        .iter()
        .zip(&averages)
        .find(|(_, average)| matches!(average, Some((Averaged::Squares, _))))
        .map(|((_, next), _)| *next);
    let keeps_gradients = live.iter().any(|(slot, next)| shapes.is_last_gradient(*slot, *next));
    let kinds = live.iter().zip(&averages).map(|((slot, next), average)| match average {
        None if shapes.is_last_gradient(*slot, *next) => Some("prev"),
        None if keeps_gradients && shapes.is_step_size(*slot, *next) => Some("step_size"),
        Some((Averaged::Gradients, by)) => {
            Some(if by.contains("momentum") { "momentum_buffer" } else { "exp_avg" })
        }
        Some((Averaged::Squares, _)) => {
            Some(if averages_gradients { "exp_avg_sq" } else { "square_avg" })
        }
        Some((Averaged::SquaredSteps, _)) => {
            (averages_squares && !averages_gradients).then_some("acc_delta")
        }
        None => shapes.accumulated(*slot, *next, next_of_squares.filter(|_| averages_gradients)),
    });
    (live.iter().map(|(slot, _)| name_of(*slot)).collect(), kinds.collect())
}

/// Values that a slot is a running average of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Averaged {
    Gradients,
    Squares,
    /// The squares of the update without the learning rate.
    SquaredSteps,
}

/// Looks at the values that slots take.
struct Shapes<'a> {
    program: &'a Program,
    graph: &'a Graph,
}

impl Shapes<'_> {
    fn call(&self, id: NodeId) -> Option<(Function, &[NodeId])> {
        let node = self.graph.node(id);
        match node.kind {
            NodeKind::Call(function) => Some((function, node.arguments())),
            _ => None,
        }
    }

    fn is_gradients(&self, id: NodeId) -> bool {
        self.graph.node(id).kind == NodeKind::Gradients
    }

    fn is_slot(&self, id: NodeId, slot: SlotId) -> bool {
        self.graph.node(id).kind == NodeKind::Slot(slot)
    }

    /// The name of a hyperparameter; a constant has an empty one.
    fn coefficient(&self, id: NodeId) -> Option<String> {
        match self.graph.node(id).kind {
            NodeKind::Hyperparameter(variable) => {
                Some(self.program.variable_name(variable).to_string())
            }
            NodeKind::Constant(_) => Some(String::new()),
            _ => None,
        }
    }

    /// Returns the node that is squared.
    fn squared(&self, id: NodeId) -> Option<NodeId> {
        match self.call(id)? {
            (Function::Square, [x]) => Some(*x),
            (Function::Multiply, [x, y]) if x == y => Some(*x),
            _ => None,
        }
    }

    /// Both orders of the operands of a call that commutes.
    fn operands(&self, id: NodeId, function: Function) -> Vec<(NodeId, NodeId)> {
        match self.call(id) {
            Some((found, [x, y])) if found == function => vec![(*x, *y), (*y, *x)],
            _ => Vec::new(),
        }
    }

    /// Returns the node that is averaged, and its coefficient: `interp(x, slot, h)`, or the same
    /// with operators.
    fn averaged(&self, slot: SlotId, next: NodeId) -> Option<(NodeId, String)> {
        if let Some((Function::Interp, [x, y, weight])) = self.call(next) {
            return self
                .is_slot(*y, slot)
                .then(|| self.coefficient(*weight))
                .flatten()
                .map(|name| (*x, name));
        }
        let kept = |id: NodeId| {
            self.operands(id, Function::Multiply)
                .into_iter()
                .find(|(x, _)| self.is_slot(*x, slot))
                .map(|(_, h)| h)
        };
        for (first, second) in self.operands(next, Function::Add) {
            let Some(weight) = kept(first) else { continue };
            for (x, rest) in self.operands(second, Function::Multiply) {
                let is_rest = match (
                    self.call(rest),
                    self.graph.node(rest).constant(),
                    self.graph.node(weight).constant(),
                ) {
                    (Some((Function::Subtract, [one, other])), ..) => {
                        self.graph.node(*one).constant() == Some(1.0) && *other == weight
                    }
                    (None, Some(rest), Some(weight)) => rest == 1.0 - weight,
                    _ => false,
                };
                if is_rest {
                    return self.coefficient(weight).map(|name| (x, name));
                }
            }
        }
        None
    }

    fn average(&self, slot: SlotId, next: NodeId) -> Option<(Averaged, String)> {
        let (x, coefficient) = self.averaged(slot, next)?;
        if self.is_gradients(x) {
            return Some((Averaged::Gradients, coefficient));
        }
        let root = self.squared(x)?;
        if self.is_gradients(root) {
            return Some((Averaged::Squares, coefficient));
        }
        let is_rate = |id: NodeId| self.graph.node(id).kind == NodeKind::LearningRate;
        let is_step = self
            .operands(self.graph.update(), Function::Multiply)
            .iter()
            .any(|(x, y)| *x == root && is_rate(*y));
        is_step.then_some((Averaged::SquaredSteps, coefficient))
    }

    /// Whether a slot has the gradients of the last step, or zero where their signs had changed.
    fn is_last_gradient(&self, slot: SlotId, next: NodeId) -> bool {
        let is_zero = |id: NodeId| self.graph.node(id).constant() == Some(0.0);
        let Some((Function::Where, [condition, zero, kept])) = self.call(next) else {
            return false;
        };
        let Some((Function::Less, [x, y])) = self.call(*condition) else { return false };
        let is_product = self
            .operands(*x, Function::Multiply)
            .iter()
            .any(|(x, y)| self.is_gradients(*x) && self.is_slot(*y, slot));
        is_product && is_zero(*y) && is_zero(*zero) && self.is_gradients(*kept)
    }

    /// Whether a slot has the sizes of steps, which begin at `lr` and lie between two
    /// hyperparameters.
    fn is_step_size(&self, slot: SlotId, next: NodeId) -> bool {
        let within = |id: NodeId, function: Function| {
            self.operands(id, function)
                .into_iter()
                .find(|(_, bound)| self.coefficient(*bound).is_some())
                .map(|(value, _)| value)
        };
        let Some(value) =
            within(next, Function::Minimum).and_then(|value| within(value, Function::Maximum))
        else {
            return false;
        };
        let is_kept = |id: NodeId| {
            let Some((Function::Where, [condition, rate, kept])) = self.call(id) else {
                return false;
            };
            let begins = self.operands(*condition, Function::Equal).iter().any(|(step, one)| {
                self.graph.node(*step).kind == NodeKind::Step
                    && self.graph.node(*one).constant() == Some(1.0)
            });
            begins
                && self.graph.node(*rate).kind == NodeKind::LearningRate
                && self.is_slot(*kept, slot)
        };
        self.operands(value, Function::Multiply).iter().any(|(x, _)| is_kept(*x))
    }

    /// The name of a slot that is no average; `squares` is the next average of squares.
    fn accumulated(
        &self,
        slot: SlotId,
        next: NodeId,
        squares: Option<NodeId>,
    ) -> Option<&'static str> {
        let decayed = |id: NodeId| {
            let operands = self.operands(id, Function::Multiply);
            operands.iter().any(|(x, y)| self.is_slot(*x, slot) && self.coefficient(*y).is_some())
        };
        for (x, y) in self.operands(next, Function::Add) {
            if decayed(x) && self.is_gradients(y) {
                return Some("momentum_buffer");
            }
            if self.is_slot(x, slot) && self.squared(y).is_some_and(|root| self.is_gradients(root))
            {
                return Some("sum");
            }
        }
        for (x, y) in self.operands(next, Function::Maximum) {
            if self.is_slot(x, slot) && squares == Some(y) {
                return Some("max_exp_avg_sq");
            }
            let is_size = |id: NodeId| matches!(self.call(id), Some((Function::Abs, [x])) if self.is_gradients(*x));
            let is_guarded_size = |id: NodeId| {
                let operands = self.operands(id, Function::Add);
                operands.iter().any(|(x, y)| is_size(*x) && self.coefficient(*y).is_some())
            };
            if decayed(x) && is_guarded_size(y) {
                return Some("exp_inf");
            }
        }
        None
    }
}
