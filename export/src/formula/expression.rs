//! Expressions of mathematics, without a notation.

use symopt_dsl::function::Function;
use symopt_dsl::graph::{Graph, NodeId, NodeKind};
use symopt_dsl::semantics::EPSILON;
use symopt_dsl::types::Type;

use super::number::{Number, complement};
use super::symbol::Symbol;

/// An expression. Sums and products are flat; a minus sign stands in front of products, not inside.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    /// A symbol, with its time where it has one.
    Symbol(Symbol, Option<&'static str>),
    /// Not negative.
    Number(Number),
    /// Terms; true for those that are subtracted.
    Sum(Vec<(bool, Expression)>),
    Product(Vec<Expression>),
    Quotient(Box<Expression>, Box<Expression>),
    Power(Box<Expression>, Box<Expression>),
    Negative(Box<Expression>),
    Apply(Operator, Vec<Expression>),
}

/// Operator that is applied to arguments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Operator {
    Abs,
    /// The norm of all parameter arrays as one vector.
    GlobalNorm,
    /// The norm of each array by itself.
    ArrayNorm,
    Sqrt,
    CubeRoot,
    Dot,
    /// `[x < y]`: 1 where the comparison holds, else 0; the sign in Unicode and in LaTeX.
    Comparison(&'static str, &'static str),
    /// The transposed matrix.
    Transpose,
    /// The product of matrices, where a plain product is that of the numbers at each place.
    MatrixProduct,
    /// A function that is written with its name, as LaTeX has it.
    Named(&'static str, &'static str),
}

pub(super) const CLIP: Operator = Operator::Named("clip", r"\operatorname{clip}");
pub(super) const WHERE: Operator = Operator::Named("where", r"\operatorname{where}");
pub(super) const MEAN: Operator = Operator::Named("mean", r"\operatorname{mean}");
pub(super) const SIZE: Operator = Operator::Named("size", r"\operatorname{size}");
pub(super) const COSINE: Operator = Operator::Named("cossim", r"\operatorname{cossim}");
pub(super) const ROW_MEAN: Operator = Operator::Named("rowmean", r"\operatorname{rowmean}");
pub(super) const COLUMN_MEAN: Operator = Operator::Named("colmean", r"\operatorname{colmean}");
pub(super) const NEWTON_SCHULZ: Operator = Operator::Named("NS₅", r"\operatorname{NS}_5");
pub(super) const ROWS: Operator = Operator::Named("rows", r"\operatorname{rows}");
pub(super) const COLUMNS: Operator = Operator::Named("cols", r"\operatorname{cols}");

/// Whether there is one argument, and a magnitude: it has brackets of its own.
pub(super) fn is_magnitude(arguments: &[Expression]) -> bool {
    matches!(arguments, [Expression::Apply(Operator::Abs, _)])
}

/// The terms of a sum with signs between them, and one before the first where it is subtracted.
pub(super) fn joined(
    terms: &[(bool, Expression)],
    minus: &str,
    text: impl Fn(&Expression) -> String,
) -> String {
    let mut sum = String::new();
    for (index, (subtracted, term)) in terms.iter().enumerate() {
        let sign = if *subtracted { minus } else { "+" };
        match (index, subtracted) {
            (0, false) => {}
            (0, true) => sum.push_str(sign),
            _ => sum.push_str(&format!(" {sign} ")),
        }
        sum.push_str(&text(term));
    }
    sum
}

/// The symbols of the numbers that have one.
pub(super) fn constant_symbols() -> [(f64, Symbol); 2] {
    [
        (std::f64::consts::PI, Symbol::constant("π", r"\pi")),
        (std::f64::consts::E, Symbol::constant("e", r"\mathrm{e}")),
    ]
}

/// The expression of a number.
fn number(value: f64) -> Expression {
    let symbol = if value.is_nan() {
        Some(Symbol::constant("NaN", r"\mathrm{NaN}"))
    } else if value.is_infinite() {
        Some(Symbol::constant("∞", r"\infty"))
    } else {
        constant_symbols()
            .into_iter()
            .find(|(constant, _)| *constant == value.abs())
            .map(|(_, symbol)| symbol)
    };
    let magnitude = symbol.map_or_else(
        || Expression::Number(Number::new(value)),
        |symbol| Expression::Symbol(symbol, None),
    );
    if value.is_sign_negative() && !value.is_nan() { negative(magnitude) } else { magnitude }
}

fn integer(value: u8) -> Expression {
    Expression::Number(Number { mantissa: value.to_string(), exponent: None })
}

fn negative(expression: Expression) -> Expression {
    match expression {
        Expression::Negative(inner) => *inner,
        other => Expression::Negative(Box::new(other)),
    }
}

/// Takes the minus sign off, if there is one.
fn unsigned(expression: Expression) -> (bool, Expression) {
    match expression {
        Expression::Negative(inner) => (true, *inner),
        other => (false, other),
    }
}

fn with_sign(is_negative: bool, expression: Expression) -> Expression {
    if is_negative { negative(expression) } else { expression }
}

fn sum(terms: impl IntoIterator<Item = (bool, Expression)>) -> Expression {
    let mut flat = Vec::new();
    for (subtracted, term) in terms {
        let (is_negative, term) = unsigned(term);
        match (subtracted != is_negative, term) {
            (false, Expression::Sum(inner)) => flat.extend(inner),
            other => flat.push(other),
        }
    }
    // b - a, not -a + b.
    if flat.first().is_some_and(|(subtracted, _)| *subtracted)
        && let Some(place) = flat.iter().position(|(subtracted, _)| !subtracted)
    {
        let first = flat.remove(place);
        flat.insert(0, first);
    }
    Expression::Sum(flat)
}

fn product(factors: impl IntoIterator<Item = Expression>) -> Expression {
    let mut flat = Vec::new();
    let mut is_negative = false;
    for factor in factors {
        let (minus, factor) = unsigned(factor);
        is_negative ^= minus;
        match factor {
            Expression::Product(inner) => flat.extend(inner),
            other => flat.push(other),
        }
    }
    with_sign(is_negative, Expression::Product(flat))
}

fn quotient(numerator: Expression, denominator: Expression) -> Expression {
    let (is_negative, numerator) = unsigned(numerator);
    with_sign(is_negative, Expression::Quotient(Box::new(numerator), Box::new(denominator)))
}

fn power(base: Expression, exponent: Expression) -> Expression {
    Expression::Power(Box::new(base), Box::new(exponent))
}

/// `(1 - a) * x + a * y`, the larger of two known factors first.
fn affine(x: Expression, y: Expression, a: Expression, known: Option<f64>) -> Expression {
    let decimal = known.filter(|a| a.is_finite()).and_then(complement);
    let rest = match decimal {
        Some((is_negative, number)) => with_sign(is_negative, Expression::Number(number)),
        None => sum([(false, integer(1)), (true, a.clone())]),
    };
    let (of_x, of_y) = ((false, product([rest, x])), (false, product([a, y])));
    if known.is_some_and(|a| a < 0.5) { sum([of_x, of_y]) } else { sum([of_y, of_x]) }
}

/// Reads expressions off a graph.
pub(super) struct Reader<'a> {
    pub graph: &'a Graph,
    /// Whether each node depends on a slot: such terms come first in a sum.
    pub depends_on_slot: &'a [bool],
    /// The symbol of a node that is not to be written out.
    pub symbol: &'a dyn Fn(NodeId) -> Option<Expression>,
}

impl Reader<'_> {
    /// The node as its symbol, or written out where it has none.
    pub fn read(&self, id: NodeId) -> Expression {
        (self.symbol)(id).unwrap_or_else(|| self.write_out(id))
    }

    /// The node itself written out.
    pub fn write_out(&self, id: NodeId) -> Expression {
        let node = self.graph.node(id);
        match node.kind {
            NodeKind::Constant(bits) => number(f64::from_bits(bits)),
            NodeKind::Call(function) => self.call(function, node.arguments()),
            // All inputs have symbols.
            _ => (self.symbol)(id)
                .unwrap_or_else(|| Expression::Symbol(Symbol::spelled_out("?"), None)),
        }
    }

    /// Arguments in an order that is easy to read, smaller keys first.
    fn ordered(&self, arguments: &[NodeId], key: impl Fn(NodeId) -> u8) -> Vec<Expression> {
        let mut arguments = arguments.to_vec();
        arguments.sort_by_key(|id| key(*id));
        arguments.into_iter().map(|id| self.read(id)).collect()
    }

    /// Arrays before single numbers, and what depends on the state before the rest.
    fn order_in_sum(&self, id: NodeId) -> u8 {
        let node = self.graph.node(id);
        match node.ty {
            _ if node.constant().is_some() => 4,
            Type::Scalar => 3,
            Type::PerArray => 2,
            _ => u8::from(!self.depends_on_slot[id.index()]),
        }
    }

    /// Numbers, then what is one number, then arrays.
    fn order_in_product(&self, id: NodeId) -> u8 {
        let node = self.graph.node(id);
        match node.ty {
            _ if node.constant().is_some() => 0,
            Type::Scalar => 1,
            Type::PerArray => 2,
            _ => 3,
        }
    }

    fn is_never_negative(&self, id: NodeId) -> bool {
        use Function as F;
        let never = [
            F::Abs,
            F::Square,
            F::Norm,
            F::GlobalNorm,
            F::Sqrt,
            F::GuardedSqrt,
            F::Exp,
            F::Exp2,
            F::Exp10,
        ];
        matches!(self.graph.node(id).kind, NodeKind::Call(function) if never.contains(&function))
    }

    /// `[x < y]`, or `[y > x]` where x is a number: numbers stand on the right.
    fn comparison(
        &self,
        arguments: &[NodeId],
        unicode: [&'static str; 2],
        latex: [&'static str; 2],
    ) -> Expression {
        let mut sides: Vec<Expression> = arguments.iter().map(|id| self.read(*id)).collect();
        let is_number = |id: &NodeId| self.graph.node(*id).constant().is_some();
        let turned = arguments.first().is_some_and(is_number);
        if turned {
            sides.reverse();
        }
        Expression::Apply(
            Operator::Comparison(unicode[usize::from(turned)], latex[usize::from(turned)]),
            sides,
        )
    }

    fn call(&self, function: Function, arguments: &[NodeId]) -> Expression {
        use Function as F;
        // Missing arguments cannot occur: a call has as many as its function takes.
        let argument =
            |index: usize| arguments.get(index).map_or_else(|| integer(0), |id| self.read(*id));
        let named = |unicode, latex| {
            let arguments = arguments.iter().map(|id| self.read(*id)).collect();
            Expression::Apply(Operator::Named(unicode, latex), arguments)
        };
        let unary = |operator| Expression::Apply(operator, vec![argument(0)]);
        let magnitude = || match arguments.first() {
            Some(id) if self.is_never_negative(*id) => argument(0),
            _ => unary(Operator::Abs),
        };
        let applied =
            |unicode, latex, to| Expression::Apply(Operator::Named(unicode, latex), vec![to]);
        let plus_one = || sum([(false, integer(1)), (false, argument(0))]);
        match function {
            F::Add => sum(self
                .ordered(arguments, |id| self.order_in_sum(id))
                .into_iter()
                .map(|term| (false, term))),
            F::Subtract => sum([(false, argument(0)), (true, argument(1))]),
            F::Multiply => product(self.ordered(arguments, |id| self.order_in_product(id))),
            F::Divide => quotient(argument(0), argument(1)),
            F::GuardedDivide => {
                quotient(argument(0), sum([(false, argument(1)), (false, number(EPSILON))]))
            }
            F::Reciprocal => quotient(integer(1), argument(0)),
            F::Negative => negative(argument(0)),
            F::Copy => argument(0),
            F::Power => power(argument(0), argument(1)),
            F::Square => power(argument(0), integer(2)),
            F::Cube => power(argument(0), integer(3)),
            F::Exp2 => power(integer(2), argument(0)),
            F::Exp10 => power(integer(10), argument(0)),
            F::Interp => {
                let known = arguments.get(2).and_then(|id| self.graph.node(*id).constant());
                affine(argument(0), argument(1), argument(2), known)
            }
            F::Abs => unary(Operator::Abs),
            // The arrays are reduced to one number each: of a single number that leaves its
            // magnitude.
            F::Norm if arguments.first().is_none_or(|id| !self.graph.node(*id).ty.is_array()) => {
                magnitude()
            }
            F::Norm => unary(Operator::ArrayNorm),
            F::GlobalNorm => unary(Operator::GlobalNorm),
            F::Dot => Expression::Apply(Operator::Dot, vec![argument(0), argument(1)]),
            F::CosineSim => Expression::Apply(COSINE, vec![argument(0), argument(1)]),
            F::Clip => Expression::Apply(CLIP, vec![argument(0), argument(1)]),
            F::Sqrt => unary(Operator::Sqrt),
            F::GuardedSqrt => Expression::Apply(Operator::Sqrt, vec![magnitude()]),
            F::Cbrt => unary(Operator::CubeRoot),
            F::Expm1 => sum([(false, named("exp", r"\exp")), (true, integer(1))]),
            F::Log => named("log", r"\log"),
            F::Log2 => named("log₂", r"\log_2"),
            F::Log10 => named("log₁₀", r"\log_{10}"),
            F::Log1p => applied("log", r"\log", plus_one()),
            F::GuardedLog => applied("log", r"\log", magnitude()),
            F::GuardedLog2 => applied("log₂", r"\log_2", magnitude()),
            F::GuardedLog10 => applied("log₁₀", r"\log_{10}", magnitude()),
            F::GuardedLog1p => {
                applied("log", r"\log", Expression::Apply(Operator::Abs, vec![plus_one()]))
            }
            F::Exp => named("exp", r"\exp"),
            F::Cos => named("cos", r"\cos"),
            F::Sin => named("sin", r"\sin"),
            F::Tan => named("tan", r"\tan"),
            F::Arcsin => named("arcsin", r"\arcsin"),
            F::Arccos => named("arccos", r"\arccos"),
            F::Arctan => named("arctan", r"\arctan"),
            F::Sinh => named("sinh", r"\sinh"),
            F::Cosh => named("cosh", r"\cosh"),
            F::Tanh => named("tanh", r"\tanh"),
            F::Arcsinh => named("arcsinh", r"\operatorname{arcsinh}"),
            F::Arccosh => named("arccosh", r"\operatorname{arccosh}"),
            F::Arctanh => named("arctanh", r"\operatorname{arctanh}"),
            F::Sign => named("sign", r"\operatorname{sign}"),
            F::Maximum => named("max", r"\max"),
            F::Minimum => named("min", r"\min"),
            F::Where => Expression::Apply(WHERE, vec![argument(0), argument(1), argument(2)]),
            F::Less => self.comparison(arguments, ["<", ">"], ["<", ">"]),
            F::LessEqual => self.comparison(arguments, ["≤", "≥"], [r"\le", r"\ge"]),
            F::Greater => self.comparison(arguments, [">", "<"], [">", "<"]),
            F::GreaterEqual => self.comparison(arguments, ["≥", "≤"], [r"\ge", r"\le"]),
            F::Equal => self.comparison(arguments, ["=", "="], ["=", "="]),
            // The mean of one number for each array is the number itself.
            F::Mean if arguments.first().is_none_or(|id| !self.graph.node(*id).ty.is_array()) => {
                argument(0)
            }
            F::Mean => unary(MEAN),
            F::Size => unary(SIZE),
            F::Transpose => unary(Operator::Transpose),
            F::Matmul => Expression::Apply(Operator::MatrixProduct, vec![argument(0), argument(1)]),
            F::RowMean => unary(ROW_MEAN),
            F::ColumnMean => unary(COLUMN_MEAN),
            F::NewtonSchulz => unary(NEWTON_SCHULZ),
            F::Rows => unary(ROWS),
            F::Columns => unary(COLUMNS),
            F::GetPi | F::GetE | F::GetEps => number(function.on_scalars([0.0; 3])),
        }
    }
}
