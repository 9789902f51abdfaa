//! Numbers that are known before training, as expressions of unknowns; and what the unknowns have
//! to be for a list of equations to hold.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use symopt_dsl::function::Function;
use symopt_dsl::program::VarId;

/// A number in the table of [`Scalars`]. Arguments have smaller ids than what is made of them.
pub(super) type ScalarId = usize;

/// Quantity that may have another value on the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Unknown {
    /// A hyperparameter of the program.
    Hyperparameter(VarId),
    /// The factor of the learning rate.
    Rate,
    /// The factor of a slot.
    Scale(usize),
    /// A constant of the program, by its bits.
    Constant(u64),
}

impl Unknown {
    /// Whether an equation may give a constant another value. 0, 1 and -1 are part of how a formula
    /// is written: 1 - beta.
    fn is_movable(self) -> bool {
        matches!(self, Unknown::Constant(bits) if ![0.0, 1.0].contains(&f64::from_bits(bits).abs()))
    }

    fn is_positive_factor(self) -> bool {
        matches!(self, Unknown::Rate | Unknown::Scale(_))
            || matches!(self, Unknown::Constant(bits) if f64::from_bits(bits) > 0.0)
    }
}

/// Exponents are counted in twelfths, so that square and cube roots of products stay products.
const ONE: i32 = 12;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Scalar {
    Unknown(Unknown),
    /// A number times factors with exponents, in order of the factors. No factor is a product; no
    /// exponent is 0.
    Product(u64, Vec<(ScalarId, i32)>),
    Call(Function, Vec<ScalarId>),
}

/// Hash-consed number expressions of one program.
#[derive(Clone, Debug, Default)]
pub(super) struct Scalars {
    table: Vec<Scalar>,
    ids: HashMap<Scalar, ScalarId>,
}

impl Scalars {
    fn intern(&mut self, scalar: Scalar) -> ScalarId {
        if let Some(id) = self.ids.get(&scalar) {
            return *id;
        }
        let id = self.table.len();
        self.table.push(scalar.clone());
        self.ids.insert(scalar, id);
        id
    }

    /// A number that is the same on both sides.
    pub(super) fn literal(&mut self, value: f64) -> ScalarId {
        self.intern(Scalar::Product(value.to_bits(), Vec::new()))
    }

    pub(super) fn unknown(&mut self, unknown: Unknown) -> ScalarId {
        self.intern(Scalar::Unknown(unknown))
    }

    /// The unknown that a number is, by itself.
    pub(super) fn as_unknown(&self, id: ScalarId) -> Option<Unknown> {
        match self.table[id] {
            Scalar::Unknown(unknown) => Some(unknown),
            _ => None,
        }
    }

    fn as_literal(&self, id: ScalarId) -> Option<f64> {
        match &self.table[id] {
            Scalar::Product(number, factors) if factors.is_empty() => Some(f64::from_bits(*number)),
            _ => None,
        }
    }

    fn factors(&self, id: ScalarId) -> (f64, Vec<(ScalarId, i32)>) {
        match &self.table[id] {
            Scalar::Product(number, factors) => (f64::from_bits(*number), factors.clone()),
            _ => (1.0, vec![(id, ONE)]),
        }
    }

    fn product(&mut self, number: f64, factors: BTreeMap<ScalarId, i32>) -> ScalarId {
        let factors: Vec<(ScalarId, i32)> =
            factors.into_iter().filter(|(_, exponent)| *exponent != 0).collect();
        match factors.as_slice() {
            _ if number == 0.0 => self.literal(0.0),
            [(factor, ONE)] if number == 1.0 => *factor,
            _ => self.intern(Scalar::Product(number.to_bits(), factors)),
        }
    }

    pub(super) fn multiply(&mut self, a: ScalarId, b: ScalarId) -> ScalarId {
        let ((x, factors), (y, others)) = (self.factors(a), self.factors(b));
        let mut all: BTreeMap<ScalarId, i32> = factors.into_iter().collect();
        for (factor, exponent) in others {
            *all.entry(factor).or_default() += exponent;
        }
        self.product(x * y, all)
    }

    /// The number to a whole power.
    pub(super) fn power(&mut self, a: ScalarId, exponent: i32) -> ScalarId {
        let (number, factors) = self.factors(a);
        self.product(
            number.powi(exponent),
            factors.into_iter().map(|(factor, e)| (factor, e * exponent)).collect(),
        )
    }

    pub(super) fn divide(&mut self, a: ScalarId, b: ScalarId) -> ScalarId {
        let inverse = self.power(b, -1);
        self.multiply(a, inverse)
    }

    pub(super) fn add(&mut self, a: ScalarId, b: ScalarId) -> ScalarId {
        match (self.as_literal(a), self.as_literal(b)) {
            (Some(x), Some(y)) => self.literal(x + y),
            (Some(0.0), _) => b,
            (_, Some(0.0)) => a,
            _ => self.intern(Scalar::Call(Function::Add, vec![a.min(b), a.max(b)])),
        }
    }

    /// The sum of two sums over the reals, like terms taken together: of `a + (1 - a)` the literal
    /// 1 is left, whatever `a` is.
    pub(super) fn add_like_terms(&mut self, a: ScalarId, b: ScalarId) -> ScalarId {
        let mut terms: BTreeMap<Vec<(ScalarId, i32)>, f64> = BTreeMap::new();
        let mut open = vec![b, a];
        while let Some(id) = open.pop() {
            match &self.table[id] {
                Scalar::Call(Function::Add, arguments) => open.extend(arguments),
                _ => {
                    let (number, factors) = self.factors(id);
                    *terms.entry(factors).or_default() += number;
                }
            }
        }
        let mut sum = self.literal(0.0);
        for (factors, number) in terms {
            let term = self.product(number, factors.into_iter().collect());
            sum = self.add(sum, term);
        }
        sum
    }

    /// `function` of numbers, kept as a call except where it makes a product.
    pub(super) fn call(&mut self, function: Function, arguments: &[ScalarId]) -> ScalarId {
        match (function, arguments) {
            (Function::Multiply, [a, b]) => self.multiply(*a, *b),
            (Function::Divide, [a, b]) => self.divide(*a, *b),
            (Function::Reciprocal, [a]) => self.power(*a, -1),
            (Function::Negative, [a]) => {
                let minus = self.literal(-1.0);
                self.multiply(minus, *a)
            }
            (Function::Add, [a, b]) => self.add(*a, *b),
            (Function::Subtract, [a, b]) => {
                let b = self.call(Function::Negative, &[*b]);
                self.add(*a, b)
            }
            _ => self.intern(Scalar::Call(function, arguments.to_vec())),
        }
    }

    /// A positively homogeneous function of a product, taken apart: of the factors that are known
    /// to be positive, and of the rest.
    pub(super) fn homogeneous(&mut self, function: Function, a: ScalarId) -> ScalarId {
        // Part of a positive factor that moves outside: nothing for the sign, its root, or itself;
        // as a multiple of its exponent in twelfths.
        let of_positive = match function {
            Function::Sign => 0,
            Function::Sqrt | Function::GuardedSqrt => ONE / 2,
            Function::Cbrt => ONE / 3,
            _ => ONE,
        };
        let (number, factors) = self.factors(a);
        let positive = |id: ScalarId, scalars: &Scalars| {
            scalars.as_unknown(id).is_some_and(Unknown::is_positive_factor)
        };
        let (mut outside, mut inside) = (BTreeMap::new(), BTreeMap::new());
        for (factor, exponent) in factors {
            if positive(factor, self) && exponent * of_positive % ONE == 0 {
                outside.insert(factor, exponent * of_positive / ONE);
            } else {
                inside.insert(factor, exponent);
            }
        }
        let outside = self.product(1.0, outside);
        let rest = self.product(number, inside);
        let rest = match self.as_literal(rest) {
            Some(number) => self.literal(function.on_scalars([number, 0.0, 0.0])),
            None => self.intern(Scalar::Call(function, vec![rest])),
        };
        self.multiply(outside, rest)
    }

    /// Returns the numbers that a number is made of, in order, itself last.
    fn cone(&self, id: ScalarId) -> Vec<ScalarId> {
        let mut cone = BTreeSet::new();
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            if cone.insert(id) {
                match &self.table[id] {
                    Scalar::Unknown(_) => {}
                    Scalar::Product(_, factors) => {
                        open.extend(factors.iter().map(|(factor, _)| factor))
                    }
                    Scalar::Call(_, arguments) => open.extend(arguments),
                }
            }
        }
        cone.into_iter().collect()
    }

    fn evaluate_cone(&self, cone: &[ScalarId], value: &dyn Fn(Unknown) -> f64) -> f64 {
        let mut values: Vec<f64> = Vec::with_capacity(cone.len());
        for id in cone {
            let of = |id: &ScalarId| {
                cone.binary_search(id)
                    .ok()
                    .and_then(|place| values.get(place))
                    .copied()
                    .unwrap_or(f64::NAN)
            };
            let result = match &self.table[*id] {
                Scalar::Unknown(unknown) => value(*unknown),
                Scalar::Product(number, factors) => {
                    factors.iter().fold(f64::from_bits(*number), |product, (factor, exponent)| {
                        let of = of(factor);
                        product
                            * match *exponent {
                                ONE => of,
                                exponent if exponent % ONE == 0 => of.powi(exponent / ONE),
                                exponent => libm::pow(of, f64::from(exponent) / f64::from(ONE)),
                            }
                    })
                }
                Scalar::Call(function, arguments) => {
                    let mut x = [0.0; 3];
                    for (place, argument) in x.iter_mut().zip(arguments) {
                        *place = of(argument);
                    }
                    function.on_scalars(x)
                }
            };
            values.push(result);
        }
        values.last().copied().unwrap_or(f64::NAN)
    }

    pub(super) fn evaluate(&self, id: ScalarId, value: &dyn Fn(Unknown) -> f64) -> f64 {
        self.evaluate_cone(&self.cone(id), value)
    }

    fn unknowns(&self, cone: &[ScalarId]) -> Vec<Unknown> {
        let mut unknowns: Vec<Unknown> =
            cone.iter().filter_map(|id| self.as_unknown(*id)).collect();
        unknowns.sort_unstable();
        unknowns
    }

    /// The constants and hyperparameters of the program, in the order in which they are made.
    pub(super) fn numbers(&self) -> Vec<Unknown> {
        let numbers = (0..self.table.len()).filter_map(|id| self.as_unknown(id));
        numbers
            .filter(|unknown| matches!(unknown, Unknown::Hyperparameter(_) | Unknown::Constant(_)))
            .collect()
    }

    /// The value of a number that has no hyperparameters and no factors to be found in it.
    pub(super) fn known(&self, id: ScalarId) -> Option<f64> {
        let cone = self.cone(id);
        let constant = |unknown| match unknown {
            Unknown::Constant(bits) => f64::from_bits(bits),
            _ => f64::NAN,
        };
        let is_constant = |unknown: &Unknown| matches!(unknown, Unknown::Constant(_));
        self.unknowns(&cone).iter().all(is_constant).then(|| self.evaluate_cone(&cone, &constant))
    }

    /// Whether a number is zero, whatever the hyperparameters are.
    pub(super) fn is_zero(&self, id: ScalarId) -> bool {
        self.known(id) == Some(0.0)
    }

    /// Whether a number has an unknown in it.
    pub(super) fn depends_on(&self, id: ScalarId, unknown: Unknown) -> bool {
        self.unknowns(&self.cone(id)).contains(&unknown)
    }

    /// Whether a number has hyperparameters in it.
    pub(super) fn has_hyperparameters(&self, id: ScalarId) -> bool {
        self.unknowns(&self.cone(id))
            .iter()
            .any(|unknown| matches!(unknown, Unknown::Hyperparameter(_)))
    }
}

/// An equation between a number of one side and an expression of the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Equation {
    pub(super) left: f64,
    pub(super) right: ScalarId,
}

/// Which unknowns beside the hyperparameters may have another value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Free {
    pub(super) rate: bool,
    pub(super) scales: bool,
    pub(super) constants: bool,
}

/// Solution of the equations.
#[derive(Clone, Debug, Default)]
pub(super) struct Solution {
    /// Values of the unknowns; those that are not here keep their own.
    pub(super) values: BTreeMap<Unknown, f64>,
    /// Constants of the right side and what stands in their places on the left side.
    pub(super) moved: BTreeSet<(u64, u64)>,
}

impl Solution {
    /// Whether both sides of an equation have the same bits, NaN as one value.
    pub(super) fn gives_the_bits(&self, equation: &Equation, problem: &Problem<'_>) -> bool {
        if let Some(Unknown::Constant(bits)) = problem.scalars.as_unknown(equation.right)
            && self.moved.contains(&(bits, equation.left.to_bits()))
        {
            return true;
        }
        let right = problem
            .scalars
            .evaluate(equation.right, &|unknown| problem.value(unknown, &self.values));
        right.to_bits() == equation.left.to_bits() || (right.is_nan() && equation.left.is_nan())
    }
}

/// A list of equations to be solved.
pub(super) struct Problem<'a> {
    pub(super) scalars: &'a Scalars,
    pub(super) equations: &'a [Equation],
    pub(super) free: Free,
    /// The values that hyperparameters have of themselves.
    pub(super) default: &'a dyn Fn(Unknown) -> f64,
    /// Numbers that an unknown may well have, tried before a number is computed: it would not be
    /// exactly the one in the program's text.
    pub(super) likely: &'a [f64],
    /// Numbers that may not become zero: something was divided by them.
    pub(super) divisors: &'a [ScalarId],
    /// The value that is tried first.
    pub(super) preferred: &'a dyn Fn(Unknown) -> Option<f64>,
}

/// Numbers closer than this, relatively, are the same: the equations are true over the reals, and
/// computed in f64.
const TOLERANCE: f64 = 1e-9;

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    // Infinity is not close to any other number, though infinitely far is not more than a share of
    // it.
    a == b
        || (a.is_nan() && b.is_nan())
        || ((a - b).is_finite() && (a - b).abs() <= tolerance * a.abs().max(b.abs()))
}

struct Prepared {
    left: f64,
    cone: Vec<ScalarId>,
    unknowns: Vec<Unknown>,
}

impl Problem<'_> {
    /// Values of the unknowns for which every equation holds; `None` if none are found.
    ///
    /// An equation with one unknown gives its value, over and over. Where every equation has two or
    /// more, values are guessed: those of equal names, and the numbers of the other side.
    pub(super) fn solve(&self) -> Option<Solution> {
        let mut moved = BTreeSet::new();
        let mut equations = Vec::new();
        for Equation { left, right } in self.equations {
            // A constant by itself stands for its own place only.
            if let Some(Unknown::Constant(bits)) = self.scalars.as_unknown(*right) {
                if !close(*left, f64::from_bits(bits), 0.0) {
                    if !self.free.constants {
                        return None;
                    }
                    moved.insert((bits, left.to_bits()));
                }
                continue;
            }
            let cone = self.scalars.cone(*right);
            let unknowns = self.scalars.unknowns(&cone);
            equations.push(Prepared { left: *left, cone, unknowns });
        }
        let values = self.propagate(&equations, BTreeMap::new(), 0)?;
        let values: BTreeMap<Unknown, f64> = values
            .into_iter()
            .filter(|(unknown, value)| match unknown {
                Unknown::Constant(bits) => {
                    if value.to_bits() != *bits {
                        moved.insert((*bits, value.to_bits()));
                    }
                    false
                }
                _ => true,
            })
            .collect();
        Some(Solution { values, moved })
    }

    fn is_free(&self, unknown: Unknown) -> bool {
        match unknown {
            Unknown::Hyperparameter(_) => true,
            Unknown::Rate => self.free.rate,
            Unknown::Scale(_) => self.free.scales,
            Unknown::Constant(_) => false,
        }
    }

    fn value(&self, unknown: Unknown, values: &BTreeMap<Unknown, f64>) -> f64 {
        values.get(&unknown).copied().unwrap_or_else(|| match unknown {
            Unknown::Constant(bits) => f64::from_bits(bits),
            Unknown::Rate | Unknown::Scale(_) => 1.0,
            Unknown::Hyperparameter(_) => (self.default)(unknown),
        })
    }

    fn holds(&self, equation: &Prepared, values: &BTreeMap<Unknown, f64>) -> bool {
        close(
            equation.left,
            self.scalars.evaluate_cone(&equation.cone, &|unknown| self.value(unknown, values)),
            TOLERANCE,
        )
    }

    fn propagate(
        &self,
        equations: &[Prepared],
        mut values: BTreeMap<Unknown, f64>,
        depth: usize,
    ) -> Option<BTreeMap<Unknown, f64>> {
        loop {
            let mut progress = false;
            for equation in equations {
                let open: Vec<Unknown> = equation
                    .unknowns
                    .iter()
                    .copied()
                    .filter(|u| self.is_free(*u) && !values.contains_key(u))
                    .collect();
                match open.as_slice() {
                    [] if self.holds(equation, &values) => {}
                    [] => {
                        if !self.free.constants {
                            return None;
                        }
                        let constant = equation.unknowns.iter().find_map(|unknown| {
                            let movable = unknown.is_movable() && !values.contains_key(unknown);
                            let value = movable
                                .then(|| self.solve_for(equation, *unknown, &values))
                                .flatten();
                            value.map(|value| (*unknown, value))
                        });
                        let (unknown, value) = constant?;
                        values.insert(unknown, value);
                        progress = true;
                    }
                    [unknown] => {
                        let value = self.solve_for(equation, *unknown, &values)?;
                        values.insert(*unknown, value);
                        progress = true;
                    }
                    _ => {}
                }
            }
            if !progress {
                break;
            }
        }
        let mut open: Vec<Unknown> = Vec::new();
        for equation in equations {
            open.extend(
                equation.unknowns.iter().filter(|u| self.is_free(**u) && !values.contains_key(u)),
            );
        }
        open.sort_unstable();
        open.dedup();
        if open.is_empty() {
            // A constant that has moved may have broken what held before.
            let factors_are_positive = values.iter().all(|(unknown, value)| match unknown {
                Unknown::Rate | Unknown::Scale(_) => *value > 0.0 && value.is_finite(),
                _ => value.is_finite(),
            });
            let divides = |id: &ScalarId| {
                let value = self.scalars.evaluate(*id, &|unknown| self.value(unknown, &values));
                value != 0.0 && value.is_finite()
            };
            return (factors_are_positive
                && self.divisors.iter().all(divides)
                && equations.iter().all(|equation| self.holds(equation, &values)))
            .then_some(values);
        }
        if depth == MOST_GUESSES {
            return None;
        }
        // Unknowns without a reason to differ are tried as they are first.
        open.sort_by_key(|unknown| matches!(unknown, Unknown::Hyperparameter(_)));
        for unknown in open {
            for guess in self.guesses(unknown) {
                let mut values = values.clone();
                values.insert(unknown, guess);
                if let Some(found) = self.propagate(equations, values, depth + 1) {
                    return Some(found);
                }
            }
        }
        None
    }

    fn guesses(&self, unknown: Unknown) -> Vec<f64> {
        let mut guesses = Vec::new();
        match unknown {
            Unknown::Rate | Unknown::Scale(_) => guesses.push(1.0),
            _ => {
                guesses.extend((self.preferred)(unknown));
                guesses.extend_from_slice(self.likely);
                guesses.push((self.default)(unknown));
            }
        }
        guesses
    }

    /// The value of the one unknown for which an equation holds.
    fn solve_for(
        &self,
        equation: &Prepared,
        unknown: Unknown,
        values: &BTreeMap<Unknown, f64>,
    ) -> Option<f64> {
        if let [id] = equation.cone.as_slice()
            && self.scalars.as_unknown(*id) == Some(unknown)
        {
            return Some(equation.left);
        }
        let at = |x: f64| {
            let value =
                |other: Unknown| if other == unknown { x } else { self.value(other, values) };
            self.scalars.evaluate_cone(&equation.cone, &value)
        };
        let start = self.value(unknown, values);
        let likely = self
            .guesses(unknown)
            .into_iter()
            .chain(self.likely.iter().copied())
            .chain([start, 0.0, 1.0]);
        for guess in likely {
            if close(equation.left, at(guess), EXACT) {
                return Some(guess);
            }
        }
        let is_root = |x: f64| close(equation.left, at(x), EXACT);
        if let Some(root) = self.invert(equation, unknown, values).filter(|root| is_root(*root)) {
            return Some(shortest(root, &is_root));
        }
        for start in [start, 0.5, 0.9, 0.999, 1e-3] {
            let (mut x, mut y) = (start, start * 1.01 + 1e-4);
            for _ in 0..60 {
                let (fx, fy) = (at(x) - equation.left, at(y) - equation.left);
                let next = y - fy * (y - x) / (fy - fx);
                if !next.is_finite() {
                    break;
                }
                (x, y) = (y, next);
                if is_root(y) {
                    return Some(shortest(y, &is_root));
                }
            }
        }
        // A beta near 1 stands in quotients such as beta / (1 - beta), too steep for secants.
        let off = |x: f64| at(x) - equation.left;
        let near_one = BRACKETS.map(|exponent| 1.0 - libm::exp2(-exponent));
        near_one.windows(2).find_map(|ends| {
            let root = bisect(ends[0], ends[1], &off)?;
            is_root(root).then(|| shortest(root, &is_root))
        })
    }
}

/// Roots between 0 and 1 are looked for between 1 - 2^-k for these k.
const BRACKETS: [f64; 7] = [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0];

/// A root between two numbers at which a function has other signs, to the last digit.
fn bisect(mut low: f64, mut high: f64, f: &dyn Fn(f64) -> f64) -> Option<f64> {
    let rises = f(low) < 0.0;
    // False where one of them is no number.
    let crosses = f(low) * f(high) <= 0.0;
    if !crosses {
        return None;
    }
    loop {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            return Some(if f(low).abs() <= f(high).abs() { low } else { high });
        }
        if (f(middle) < 0.0) == rises { low = middle } else { high = middle }
    }
}

impl Problem<'_> {
    /// The value of an unknown that stands in one place only, within sums and products.
    fn invert(
        &self,
        equation: &Prepared,
        unknown: Unknown,
        values: &BTreeMap<Unknown, f64>,
    ) -> Option<f64> {
        let mut target = equation.left;
        let mut id = *equation.cone.last()?;
        let value = |other: Unknown| self.value(other, values);
        let depends = |id: ScalarId| {
            self.scalars.cone(id).iter().any(|id| self.scalars.as_unknown(*id) == Some(unknown))
        };
        loop {
            match &self.scalars.table[id] {
                Scalar::Unknown(other) => return (*other == unknown).then_some(target),
                Scalar::Product(number, factors) => {
                    let mut rest = f64::from_bits(*number);
                    let mut inner = None;
                    for (factor, exponent) in factors {
                        let exponent = f64::from(*exponent) / f64::from(ONE);
                        if !depends(*factor) {
                            rest *= libm::pow(self.scalars.evaluate(*factor, &value), exponent);
                        } else if inner.replace((*factor, exponent)).is_some() {
                            return None;
                        }
                    }
                    let (factor, exponent) = inner?;
                    target = if exponent == 1.0 {
                        target / rest
                    } else {
                        libm::pow(target / rest, 1.0 / exponent)
                    };
                    id = factor;
                }
                Scalar::Call(Function::Add, arguments) => {
                    let [a, b] = arguments.as_slice() else { return None };
                    let (inner, other) = match (depends(*a), depends(*b)) {
                        (true, false) => (*a, *b),
                        (false, true) => (*b, *a),
                        _ => return None,
                    };
                    target -= self.scalars.evaluate(other, &value);
                    id = inner;
                }
                Scalar::Call(..) => return None,
            }
        }
    }
}

/// Values that are guessed, one after the other, at most.
const MOST_GUESSES: usize = 2;
/// Relative difference of numbers that are the same but for the rounding of a few operations.
const EXACT: f64 = 1e-12;
/// Relative difference of a computed root from the number that it stands for.
const ROUNDING: f64 = 1e-14;

/// The number with the fewest digits that is a root as well.
fn shortest(root: f64, is_root: &dyn Fn(f64) -> bool) -> f64 {
    (0..16)
        .filter_map(|digits| format!("{root:.digits$e}").parse::<f64>().ok())
        .find(|short| close(*short, root, ROUNDING) && is_root(*short))
        .unwrap_or(root)
}
