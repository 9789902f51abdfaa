//! Parts that the exports to TensorFlow and Keras share: libraries that don't round a scalar by
//! themselves where it meets an array, and whose variables are assigned in place.
//!
//! A scalar that is made of hyperparameters and numbers alone stays a Python float; NumPy computes
//! it, in f64. Any other (the learning rate, the step count, sums) is a tensor, and is cast to the
//! type of the array that it meets. All new values of a variable and its slots are computed before
//! any is assigned, because a library may give a view of a variable where it is asked for its
//! value.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use symopt_dsl::{Function, Graph, Program, Type};

use super::numpy::{self, NumpyNotation};
use crate::listing::{Callee, Expression, Line, Listing, ListingOptions, UNDERSCORED};
use crate::notation::{Level, Notation, comparison_sign, written, written_within};
use crate::python;
use crate::spelling::{Spelling, spelling};

/// A hyperparameter of this size makes sense.
const SENSIBLE: f64 = 1e6;

/// The hyperparameter that can be turned off for a variable.
pub const WEIGHT_DECAY: &str = "weight_decay";

/// How a library differs from the others.
pub struct Library {
    /// Its name, under which it has `where`, `equal`, `not_equal`, `cast` and `reshape`.
    pub module: &'static str,
    /// Its function that makes a tensor of a Python float and a type.
    pub constant: &'static str,
    /// The type of scalars that are tensors.
    pub scalar_type: &'static str,
    /// Its spelling of a function.
    pub spelling: fn(&Spelling) -> &'static str,
    /// A value as the type of the array at hand, with `{x}` for the value.
    pub cast: &'static str,
    /// A tensor, `{x}`, of the type of the array at hand at each place of an array, `{y}`.
    pub spread: &'static str,
    /// The value of a variable as a new tensor.
    pub copy: fn(&str) -> String,
    /// A Python float as a scalar tensor, with `{x}` for it, if a function does not take a float
    /// before a tensor.
    pub scalar: Option<&'static str>,
    /// Names that it takes, besides those that all take.
    pub reserved: &'static [&'static str],
}

const RESERVED: &[&str] = &[
    "np",
    "dtype",
    "shape",
    "index",
    "gradient",
    "variable",
    "pairs",
    "decays",
    "kwargs",
    "config",
    "name",
    "property",
    "learning_rate",
    "iterations",
    "build",
    "variables",
    "TypeError",
];

/// A program that is written for a library.
pub struct Casts<'a> {
    /// The program.
    pub listing: &'a Listing,
    library: &'a Library,
    floats: BTreeSet<String>,
    /// How large each scalar may be that has a line.
    bounds: BTreeMap<String, f64>,
    /// The floats that have a line and may be -0.0.
    negative_zeros: BTreeSet<String>,
    /// The scalars that depend on the hyperparameter that can be turned off, or on the step count:
    /// they are computed for each variable.
    pub by_variable: Vec<String>,
}

/// The listing of a program for a library.
pub fn listing(program: &Program, graph: &Graph, library: &Library) -> Listing {
    let mut reserved: Vec<&str> = library
        .reserved
        .iter()
        .chain(RESERVED)
        .chain(python::KEYWORDS)
        .chain(&[UNDERSCORED])
        .copied()
        .collect();
    // Keras has a decay of that name, which only a hyperparameter may take the place of.
    if !program.signature().hyperparameters().any(|(_, parameter)| parameter.name == WEIGHT_DECAY) {
        reserved.push(WEIGHT_DECAY);
    }
    let options = ListingOptions { reserved: &reserved, rebind: true, array_sums_inside: true };
    Listing::with_own_steps(program, graph, options, WEIGHT_DECAY)
}

impl<'a> Casts<'a> {
    /// Prepares to write the program of a listing.
    pub fn new(listing: &'a Listing, library: &'a Library) -> Casts<'a> {
        let lines = || listing.stages.iter().flat_map(|stage| &stage.scalars);
        let mut floats: BTreeSet<String> =
            listing.hyperparameters.iter().map(|p| p.name.clone()).collect();
        floats.extend(lines().map(|line| line.name.clone()));
        for parameter in listing.learning_rate.iter().chain(&listing.step) {
            floats.remove(&parameter.name);
        }
        let mut casts = Casts {
            listing,
            library,
            floats,
            bounds: BTreeMap::new(),
            negative_zeros: BTreeSet::new(),
            by_variable: Vec::new(),
        };
        // A name may be bound twice: it is a float only if it always is.
        while let Some(line) =
            lines().find(|line| casts.floats.contains(&line.name) && !casts.is_float(&line.value))
        {
            casts.floats.remove(&line.name);
        }
        for line in lines() {
            // A name that is bound again may have either value.
            let bound =
                casts.bound(&line.value).max(casts.bounds.get(&line.name).copied().unwrap_or(0.0));
            casts.bounds.insert(line.name.clone(), bound);
            if casts.may_be_negative_zero(&line.value) {
                casts.negative_zeros.insert(line.name.clone());
            }
        }
        casts.by_variable = listing.scalars_by_array(WEIGHT_DECAY);
        casts
    }

    /// How large a float may be, with hyperparameters of any size that makes sense; infinite where
    /// that is not told.
    fn bound(&self, expression: &Expression) -> f64 {
        use Function::*;
        let (function, arguments) = match expression {
            Expression::Number(number) => return number.abs(),
            Expression::Name(name, _) => {
                if let Some(bound) = self.bounds.get(name) {
                    return *bound;
                }
                let parameter = self.listing.hyperparameters.iter().find(|p| p.name == *name);
                return parameter.map_or(f64::INFINITY, |p| {
                    p.default.map_or(SENSIBLE, |default| (1e3 * default.abs()).max(SENSIBLE))
                });
            }
            Expression::Call(Callee::Function(function), _, arguments) => (*function, arguments),
            Expression::Call(..) => return f64::INFINITY,
        };
        let at = |place: usize| {
            arguments.get(place).map_or(f64::INFINITY, |argument| self.bound(argument))
        };
        match function {
            Negative | Abs | Copy | Transpose | Mean => at(0),
            Sqrt | Cbrt => at(0).max(1.0),
            Square => at(0).powi(2),
            Cube => at(0).powi(3),
            Add | Subtract => at(0) + at(1),
            Multiply => at(0) * at(1),
            Divide => match arguments.get(1) {
                Some(Expression::Number(divisor)) if *divisor != 0.0 => at(0) / divisor.abs(),
                _ => f64::INFINITY,
            },
            Maximum | Minimum => at(0).max(at(1)),
            Where => at(1).max(at(2)),
            Less | LessEqual | Greater | GreaterEqual | Equal | Sign | Cos | Sin | Tanh => 1.0,
            _ => f64::INFINITY,
        }
    }

    /// Whether a float may be beyond f32. Some libraries refuse such a one where it meets an array
    /// of f32.
    fn may_be_beyond(&self, float: &Expression) -> bool {
        let bound = self.bound(float);
        bound.is_nan() || bound > f64::from(f32::MAX)
    }

    /// Whether a float may be -0.0, with hyperparameters that are not negative where their defaults
    /// are not.
    ///
    /// TensorFlow keeps the tensors of floats by their value: whichever of 0.0 and -0.0 it meets
    /// first stands for both from then on, in the whole process. So a float that may be -0.0 must
    /// not meet a tensor as it is.
    fn may_be_negative_zero(&self, float: &Expression) -> bool {
        use Function::*;
        match float {
            Expression::Number(number) => *number == 0.0 && number.is_sign_negative(),
            Expression::Name(name, _) => {
                let parameter = self.listing.hyperparameters.iter().find(|p| p.name == *name);
                let default = parameter.and_then(|p| p.default);
                self.negative_zeros.contains(name)
                    || default.is_some_and(|default| default == 0.0 && default.is_sign_negative())
            }
            Expression::Call(Callee::Function(function), _, arguments) => {
                let is = |place: usize| {
                    arguments.get(place).is_some_and(|argument| self.may_be_negative_zero(argument))
                };
                match function {
                    Negative => {
                        !matches!(arguments.first(), Some(Expression::Number(number)) if *number != 0.0 || number.is_sign_negative())
                    }
                    Add => is(0) && is(1),
                    Subtract => is(0),
                    Multiply | Divide | GuardedDivide => {
                        arguments.iter().any(|argument| self.may_be_negative(argument))
                    }
                    Square | Abs => false,
                    _ => arguments.iter().any(|argument| {
                        self.may_be_negative_zero(argument) || self.may_be_negative(argument)
                    }),
                }
            }
            Expression::Call(Callee::ClipFactor, _, arguments) => {
                arguments.get(1).is_some_and(|limit| self.may_be_negative(limit))
            }
            Expression::Call(..) => false,
        }
    }

    /// Whether a float may have the sign of a negative number.
    fn may_be_negative(&self, float: &Expression) -> bool {
        use Function::*;
        match float {
            Expression::Number(number) => number.is_sign_negative(),
            Expression::Name(name, _) => {
                match self.listing.hyperparameters.iter().find(|p| p.name == *name) {
                    Some(parameter) => parameter.default.is_some_and(f64::is_sign_negative),
                    None => true,
                }
            }
            // One minus a share.
            Expression::Call(Callee::Function(Subtract), _, arguments) => match &arguments[..] {
                [Expression::Number(one), Expression::Name(name, _)] if *one >= 1.0 => {
                    let share = self
                        .listing
                        .hyperparameters
                        .iter()
                        .find(|p| p.name == *name)
                        .and_then(|p| p.default);
                    share.is_none_or(|share| !(0.0..=1.0).contains(&share))
                }
                _ => true,
            },
            Expression::Call(
                Callee::Function(
                    Square | Abs | Exp | Size | Less | LessEqual | Greater | GreaterEqual | Equal,
                ),
                ..,
            ) => false,
            Expression::Call(
                Callee::Function(Add | Multiply | Divide | Sqrt | Maximum | Minimum | Where),
                _,
                arguments,
            ) => arguments.iter().any(|argument| self.may_be_negative(argument)),
            Expression::Call(..) => true,
        }
    }

    /// Returns the start of a total: a tensor, so that the total is one where nothing but floats is
    /// added, or nothing.
    pub fn zero(&self) -> String {
        format!("{}(0.0, {})", self.library.constant, self.library.scalar_type)
    }

    /// Whether a value is a Python float.
    fn is_float(&self, expression: &Expression) -> bool {
        match expression {
            Expression::Number(_) => true,
            Expression::Name(name, ty) => *ty == Type::Scalar && self.floats.contains(name),
            Expression::Call(Callee::Spread, ..) => false,
            Expression::Call(_, ty, arguments) => {
                *ty == Type::Scalar && arguments.iter().all(|argument| self.is_float(argument))
            }
        }
    }

    /// A value as text.
    pub fn text(&self, expression: &Expression) -> String {
        written(self, &self.with_casts(expression))
    }

    /// A value with a copy of itself, which stands for a cast, wherever a tensor that is no array
    /// meets an array.
    fn with_casts(&self, expression: &Expression) -> Expression {
        let Expression::Call(callee, ty, arguments) = expression else { return expression.clone() };
        if let (Callee::ClipFactor, [norm, limit], true) =
            (*callee, &arguments[..], self.is_float(expression))
        {
            return self.with_casts(&clip_factor_of_floats(norm, limit));
        }
        let is_sum = *callee == Callee::Function(Function::Norm);
        let argument = |(index, argument): (usize, &Expression)| {
            let inner = self.with_casts(argument);
            let is_condition = index == 0 && *callee == Callee::Function(Function::Where);
            let is_first = index == 0
                && self.library.scalar.is_some()
                && takes_alike(*callee)
                && self.is_float(&inner);
            match inner {
                inner
                    if index == 0
                        && *callee == Callee::Spread
                        && ty.is_array()
                        && self.is_float(&inner) =>
                {
                    in_type_of_arrays(inner)
                }
                inner
                    if is_first
                        && ty.is_array()
                        && !self.may_be_beyond(&inner)
                        && !self.may_be_negative_zero(&inner) =>
                {
                    Expression::Call(Callee::Function(Function::Copy), Type::Scalar, vec![inner])
                }
                inner if ty.is_array() && !is_sum && !is_condition => self.entering(inner),
                inner
                    if *callee != Callee::Spread
                        && !ty.is_array()
                        && !is_condition
                        && !self.is_float(expression)
                        && self.is_float(&inner) =>
                {
                    self.meeting_scalars(inner)
                }
                inner => inner,
            }
        };
        Expression::Call(*callee, *ty, arguments.iter().enumerate().map(argument).collect())
    }

    /// A value as it enters the arithmetic of arrays.
    fn entering(&self, expression: Expression) -> Expression {
        match self.is_float(&expression) {
            true if self.may_be_beyond(&expression) || self.may_be_negative_zero(&expression) => {
                return in_type_of_arrays(expression);
            }
            false if !expression.ty().is_array() => {}
            _ => return expression,
        }
        Expression::Call(Callee::Function(Function::Copy), expression.ty(), vec![expression])
    }

    /// A float as it meets scalars that are tensors.
    fn meeting_scalars(&self, float: Expression) -> Expression {
        if self.may_be_negative_zero(&float) {
            Expression::Call(Callee::Spread, Type::PerArray, vec![float])
        } else {
            float
        }
    }

    /// A `where`, or a comparison as a number.
    fn selection(&self, function: Function, ty: Type, arguments: &[Expression]) -> Option<String> {
        let Library { module, constant, scalar_type, scalar, .. } = self.library;
        let dtype = if ty.is_array() { "dtype" } else { scalar_type };
        let all_floats = arguments.iter().all(|argument| self.is_float(argument));
        let value = |value| python::float_or(value, || written(self, value));
        match (function, arguments) {
            (Function::Where, [test, x, y]) if all_floats => {
                let side = |value| written_within(self, value, Level::Sum);
                Some(format!("{} if {} else {}", side(x), self.condition(ty, test), side(y)))
            }
            (Function::Where, [test, x, y]) => {
                // A float alone would get the type that the library has for floats, and before a
                // tensor too where that has to be told.
                let is_told = self.is_float(x) && (self.is_float(y) || scalar.is_some());
                let x =
                    if is_told { format!("{constant}({}, {dtype})", value(x)) } else { value(x) };
                Some(format!("{module}.where({}, {x}, {})", self.condition(ty, test), value(y)))
            }
            (_, [x, y]) => {
                let compared = self.compared(function, x, y)?;
                Some(if all_floats {
                    format!("float({compared})")
                } else {
                    format!("{module}.cast({compared}, {dtype})")
                })
            }
            _ => None,
        }
    }

    /// Returns the test of a `where` of a type: a comparison itself, or whether a number is not 0.
    /// Beside arrays it is rounded first, as all numbers are.
    fn condition(&self, ty: Type, test: &Expression) -> String {
        if let Expression::Call(Callee::Function(function), _, arguments) = test
            && let [x, y] = &arguments[..]
            && let Some(compared) = self.compared(*function, x, y)
        {
            return compared;
        }
        if ty.is_array() && !test.ty().is_array() {
            let test = if self.is_float(test) {
                in_type_of_arrays(test.clone())
            } else {
                self.entering(test.clone())
            };
            return format!("{}.not_equal({}, 0)", self.library.module, written(self, &test));
        }
        if self.is_float(test) {
            return format!("{} != 0", written_within(self, test, Level::Sum));
        }
        format!("{}.not_equal({}, 0)", self.library.module, written(self, test))
    }

    /// A comparison, whose value is true or false.
    fn compared(&self, function: Function, x: &Expression, y: &Expression) -> Option<String> {
        let sign = comparison_sign(function)?;
        if function == Function::Equal && !(self.is_float(x) && self.is_float(y)) {
            // The sign asks graphs whether both are the same tensor.
            let (x, y) = if self.is_float(x) { (y, x) } else { (x, y) };
            return Some(format!(
                "{}.equal({}, {})",
                self.library.module,
                written(self, x),
                written(self, y)
            ));
        }
        let side = |value| written_within(self, value, Level::Sum);
        Some(format!("{} {sign} {}", side(x), side(y)))
    }

    /// The factors of a sum, as text.
    pub fn factors(&self, x: &Expression, y: &Expression) -> (String, String) {
        let text = |factor: &Expression| written(self, &self.entering(self.with_casts(factor)));
        (text(x), text(y))
    }

    /// `NAME = VALUE`.
    pub fn assign(&self, text: &mut String, margin: usize, line: &Line) {
        // A name that stands for a tensor elsewhere is read as one: a float would become one of f32
        // there.
        let is_tensor = line.value.ty() == Type::Scalar
            && self.is_float(&line.value)
            && !self.floats.contains(&line.name);
        let tensor = is_tensor
            .then(|| Expression::Call(Callee::Spread, Type::PerArray, vec![line.value.clone()]));
        *text += &python::assignment(
            margin,
            &line.name,
            &self.text(tensor.as_ref().unwrap_or(&line.value)),
        );
    }

    /// The scalars of a stage that are computed once for all variables.
    pub fn write_scalars(&self, text: &mut String, margin: usize, stage: usize) {
        let scalars = self.listing.stages[stage].scalars.iter();
        scalars
            .filter(|line| !self.by_variable.contains(&line.name))
            .for_each(|line| self.assign(text, margin, line));
    }

    /// Writes the lines that a stage computes of a variable before its sums or its new values,
    /// after the arrays that it reads have been bound.
    pub fn write_lines(&self, text: &mut String, margin: usize, stage: usize) {
        let needed = self.listing.lines_by_array(stage, &self.by_variable);
        needed
            .into_iter()
            .chain(&self.listing.stages[stage].lines)
            .for_each(|line| self.assign(text, margin, line));
    }

    /// Whether a stage reads the decay for each variable by itself.
    pub fn decays(&self, stage: usize) -> bool {
        let is_used = self.listing.hyperparameters.iter().any(|p| p.name == WEIGHT_DECAY && p.used);
        is_used && self.listing.reads_by_array(stage, &self.by_variable, WEIGHT_DECAY)
    }

    /// The name of the step count where a stage reads it, for each variable by itself.
    pub fn step(&self, stage: usize) -> Option<&str> {
        let step = self.listing.step.as_ref().filter(|step| step.used)?;
        self.listing.reads_by_array(stage, &self.by_variable, &step.name).then_some(&step.name)
    }

    /// The name of the step count if the program reads it.
    pub fn count(&self) -> Option<&str> {
        self.listing.step.as_ref().filter(|step| step.used).map(|step| step.name.as_str())
    }

    /// The sums of a stage, each as the text that is added to its total.
    pub fn sums(&self, stage: usize) -> Vec<(String, String)> {
        let sums = self.listing.stages[stage].sums.iter();
        let term = |sum: &crate::listing::Sum| {
            if sum.is_of_trees() {
                let (x, y) = self.factors(&sum.x, &sum.y);
                return format!("_dot({x}, {y})");
            }
            let arguments = vec![sum.x.clone(), sum.y.clone()];
            self.text(&Expression::Call(
                Callee::Function(Function::Multiply),
                Type::PerArray,
                arguments,
            ))
        };
        sums.map(|sum| (sum.name.clone(), term(sum))).collect()
    }

    /// Binds the new values that have no name yet, and returns the names: of the update, and for
    /// each slot that changes its position and its name.
    pub fn write_results(
        &self,
        text: &mut String,
        margin: usize,
    ) -> (String, Vec<(usize, String)>) {
        let listing = self.listing;
        let lines = listing.stages.last().map_or(&[][..], |stage| &stage.lines);
        let mut taken: BTreeSet<String> = lines.iter().map(|line| line.name.clone()).collect();
        taken.extend(listing.slots.iter().chain([&listing.weights, &listing.gradients]).cloned());
        taken.extend(
            listing
                .stages
                .iter()
                .flat_map(|stage| {
                    stage.scalars.iter().map(|l| &l.name).chain(stage.sums.iter().map(|s| &s.name))
                })
                .cloned(),
        );
        taken.extend(
            listing
                .hyperparameters
                .iter()
                .chain(&listing.learning_rate)
                .chain(&listing.step)
                .map(|p| p.name.clone()),
        );
        let mut bind = |text: &mut String, base: &str, value: &Expression| {
            let value = match value {
                Expression::Name(name, _) if lines.iter().any(|line| line.name == *name) => {
                    return name.clone();
                }
                Expression::Name(name, _) => (self.library.copy)(name),
                value => self.text(value),
            };
            let mut name = base.to_owned();
            while !taken.insert(name.clone()) {
                name.push('_');
            }
            *text += &python::assignment(margin, &name, &value);
            name
        };
        let update = bind(text, "update", &listing.update);
        let mut slots = Vec::new();
        for (index, (slot, value)) in listing.slots.iter().zip(&listing.next_slots).enumerate() {
            let is_line = lines.iter().any(|line| line.name == *slot);
            if !matches!(value, Expression::Name(name, _) if name == slot && !is_line) {
                slots.push((index, bind(text, &format!("next_{slot}"), value)));
            }
        }
        (update, slots)
    }
}

/// The factor of a clip whose norm and limit are floats, as a float: the helper gives a tensor.
fn clip_factor_of_floats(norm: &Expression, limit: &Expression) -> Expression {
    let call =
        |function, arguments| Expression::Call(Callee::Function(function), Type::Scalar, arguments);
    let is_within = call(Function::LessEqual, vec![norm.clone(), limit.clone()]);
    let quotient = call(Function::Divide, vec![limit.clone(), norm.clone()]);
    call(Function::Where, vec![is_within, Expression::Number(1.0), quotient])
}

/// A float as a tensor of the type of the array at hand.
fn in_type_of_arrays(float: Expression) -> Expression {
    Expression::Call(Callee::Spread, Type::Scalar, vec![float])
}

/// Whether a function of two arguments is a call, not an operator.
fn takes_alike(callee: Callee) -> bool {
    matches!(callee, Callee::Function(Function::Power | Function::Maximum | Function::Minimum))
}

impl Notation for Casts<'_> {
    fn spelling(&self, callee: Callee, ty: Type) -> Option<Cow<'static, str>> {
        match callee {
            Callee::ClipFactor => Some("_clip_factor({x}, {y})".into()),
            Callee::Spread if ty.is_array() => Some(self.library.spread.into()),
            Callee::Spread if ty == Type::Scalar => Some("_rounded({x}, dtype)".into()),
            // A tensor, since a float that meets another one is Python's.
            Callee::Spread => Some(format!("_rounded({{x}}, {})", self.library.scalar_type).into()),
            Callee::Function(Function::Norm) => Some("_norm({x})".into()),
            Callee::Function(Function::Copy) => Some(self.library.cast.into()),
            Callee::Function(function) => {
                let text = (self.library.spelling)(spelling(function)?);
                // A product of the parameters' shape is an array of theirs again.
                let is_matrix =
                    ty == Type::Tree && matches!(function, Function::Matmul | Function::Transpose);
                Some(if is_matrix {
                    format!("{}.reshape({text}, shape)", self.library.module).into()
                } else {
                    text.into()
                })
            }
        }
    }

    fn operator(
        &self,
        function: Function,
        ty: Type,
        arguments: &[Expression],
    ) -> Option<Cow<'static, str>> {
        if let Some(text) = self.selection(function, ty, arguments) {
            return Some(text.into());
        }
        let all_floats = arguments.iter().all(|argument| self.is_float(argument));
        if let (Some(scalar), true, [first, _], false) =
            (self.library.scalar, !ty.is_array(), arguments, all_floats)
        {
            let is_mixed = takes_alike(Callee::Function(function)) && self.is_float(first);
            return spelling(function)
                .filter(|_| is_mixed)
                .map(|row| (self.library.spelling)(row).replace("{x}", scalar).into());
        }
        if function == Function::Copy || ty != Type::Scalar || !all_floats {
            return None;
        }
        NumpyNotation.operator(function, ty, arguments).or_else(|| {
            let is_operator = function.row().operator.is_some()
                || matches!(function, Function::Negative | Function::Reciprocal);
            if is_operator { None } else { numpy::of_floats(function) }
        })
    }
}

/// Helpers with those that Python floats need.
pub fn with_numpy<'a>(helpers: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    python::ARGUMENTS.iter().chain(&*numpy::OF_FLOATS).chain(helpers).copied().collect()
}

/// The import of NumPy, if a text needs it.
pub fn numpy_import(body: &str) -> &'static str {
    if python::calls(body, "np") { "import numpy as np\n" } else { "" }
}
