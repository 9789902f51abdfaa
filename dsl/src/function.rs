//! The function table: one row for each function of the language.
//!
//! A row says everything that the rest of the system needs to know about a function: its name and
//! aliases, how many arguments it takes, how it is typed, its meaning on scalars, its algebraic
//! facts and the capability profile that it belongs to. To add a function, add a row here and a
//! kernel in the evaluator; the coverage tests fail until both are there.

use crate::semantics;
use crate::types::Type;

/// How the type of a call follows from the types of its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typing {
    /// Takes no arguments and gives a `Scalar`.
    Constant,
    /// Works on each number by itself; the result is the largest type among the arguments.
    ElementWise,
    /// One number for each array: `Tree` gives `PerArray`; the smaller types stay as they are.
    PerArrayReduction,
    /// Every argument is one vector over all arrays; gives a `Scalar`.
    GlobalReduction,
    /// The last argument must be a `Scalar`; the result is the largest type among the others.
    ScaledBy,
    /// The matrix of each array transposed: see [`types`](crate::types) for how an array is seen as
    /// a matrix.
    Transpose,
    /// The product of the matrices of each array: the columns of the first must be the rows of the
    /// second.
    MatrixProduct,
    /// Works on the matrix of each array as a whole; the result has the type of the argument.
    OfMatrix,
}

/// A named set of functions that a search may draw from and that a program may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Profile {
    /// The 43 functions of the paper (its appendix H).
    Paper,
    /// Functions that text and derivations use, but that a search never draws: `negative`, `copy`
    /// and the guarded functions by their own names.
    Language,
    /// The step count `t`: no functions, only a parameter.
    Step,
    /// More than two state slots: no functions, only parameters.
    Slots,
    /// `where` and the comparisons.
    Select,
    /// `mean` and `size`.
    Reduce,
    /// Functions of the matrix of each parameter array, such as Muon and Adafactor need. Nothing but
    /// the reference interpreter's own operations runs them
    /// ([`Graph::matrix_function`](crate::Graph::matrix_function)).
    Matrix,
}

impl Profile {
    /// Its functions, in the order of the table.
    pub fn functions(self) -> impl Iterator<Item = Function> {
        FUNCTIONS.iter().filter(move |row| row.profile == self).map(|row| row.function)
    }

    /// Its name for people: `paper`, `step`, `slots`, `select`, `reduce`, `matrix`.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Paper => "paper",
            Profile::Language => "language",
            Profile::Step => "step",
            Profile::Slots => "slots",
            Profile::Select => "select",
            Profile::Reduce => "reduce",
            Profile::Matrix => "matrix",
        }
    }
}

/// Which functions the calls of a program mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Numerics {
    /// IEEE 754, as NumPy: 0/0 is NaN, sqrt(-1) is NaN.
    #[default]
    Ieee,
    /// The published search's protected functions: marked `@guarded` above `def`.
    Guarded,
}

/// Meaning of a function when all its arguments are scalars.
#[derive(Clone, Copy)]
pub enum ScalarSemantics {
    /// A constant.
    Nullary(f64),
    /// A function of one number.
    Unary(fn(f64) -> f64),
    /// A function of two numbers.
    Binary(fn(f64, f64) -> f64),
    /// A function of three numbers.
    Ternary(fn(f64, f64, f64) -> f64),
}

/// One row of the function table.
pub struct FunctionRow {
    /// The function itself.
    pub function: Function,
    /// Name in program text and in the functional hash; never reused for another meaning.
    pub name: &'static str,
    /// Other names that the parser takes.
    pub aliases: &'static [&'static str],
    /// The Python operator that the printer uses in place of a call.
    pub operator: Option<&'static str>,
    /// Typing rule.
    pub typing: Typing,
    /// Meaning on scalars, in f64. On arrays: the same element by element, or the reduction that
    /// the documentation says.
    pub scalar: ScalarSemantics,
    /// Whether the first two arguments commute bit for bit.
    pub commutative: bool,
    /// Where the function belongs.
    pub profile: Profile,
    /// The function that takes its place in a program marked `@guarded`, if it has a guarded form.
    pub guarded: Option<Function>,
    /// One line for people.
    pub doc: &'static str,
}

impl FunctionRow {
    /// Number of arguments.
    pub const fn arity(&self) -> usize {
        match self.scalar {
            ScalarSemantics::Nullary(_) => 0,
            ScalarSemantics::Unary(_) => 1,
            ScalarSemantics::Binary(_) => 2,
            ScalarSemantics::Ternary(_) => 3,
        }
    }
}

macro_rules! function_table {
    ($($variant:ident $name:literal $([$($alias:literal),*])? $(op $operator:literal)? $(guarded $guarded:ident)? $(commutative $commutative:literal)?:
        $profile:ident $typing:ident $arity:ident($scalar:expr), $doc:literal;)*) => {
        /// A function of the language. The documentation of each is its row's `doc`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Function { $(#[doc = $doc] $variant),* }

        /// The rows, in the order of the variants.
        pub static FUNCTIONS: &[FunctionRow] = &[$(FunctionRow {
            function: Function::$variant,
            name: $name,
            aliases: &[$($($alias),*)?],
            operator: function_table!(@option $($operator)?),
            typing: Typing::$typing,
            scalar: ScalarSemantics::$arity($scalar),
            commutative: function_table!(@flag $($commutative)?),
            profile: Profile::$profile,
            guarded: function_table!(@guarded $($guarded)?),
            doc: $doc,
        }),*];
    };
    (@option) => { None };
    (@option $value:literal) => { Some($value) };
    (@flag) => { false };
    (@flag $value:literal) => { $value };
    (@guarded) => { None };
    (@guarded $value:ident) => { Some(Function::$value) };
}

function_table! {
    // Unary, element-wise.
    Abs "abs": Paper ElementWise Unary(f64::abs), "absolute value";
    Cos "cos": Paper ElementWise Unary(libm::cos), "cosine (radians)";
    Sin "sin": Paper ElementWise Unary(libm::sin), "sine (radians)";
    Tan "tan": Paper ElementWise Unary(libm::tan), "tangent (radians)";
    Arcsin "arcsin": Paper ElementWise Unary(libm::asin), "inverse sine; NaN outside [-1, 1]";
    Arccos "arccos": Paper ElementWise Unary(libm::acos), "inverse cosine; NaN outside [-1, 1]";
    Arctan "arctan": Paper ElementWise Unary(libm::atan), "inverse tangent";
    Exp "exp": Paper ElementWise Unary(libm::exp), "e to the power x";
    Log "log" guarded GuardedLog: Paper ElementWise Unary(libm::log), "natural logarithm; NaN below 0";
    Sinh "sinh": Paper ElementWise Unary(libm::sinh), "hyperbolic sine";
    Cosh "cosh": Paper ElementWise Unary(libm::cosh), "hyperbolic cosine";
    Tanh "tanh": Paper ElementWise Unary(libm::tanh), "hyperbolic tangent";
    Arcsinh "arcsinh": Paper ElementWise Unary(libm::asinh), "inverse hyperbolic sine";
    Arccosh "arccosh": Paper ElementWise Unary(semantics::arccosh), "inverse hyperbolic cosine; NaN below 1";
    Arctanh "arctanh": Paper ElementWise Unary(libm::atanh), "inverse hyperbolic tangent; NaN outside [-1, 1]";
    Sign "sign": Paper ElementWise Unary(semantics::sign), "-1, 0 or 1";
    Exp2 "exp2": Paper ElementWise Unary(libm::exp2), "2 to the power x";
    Exp10 "exp10": Paper ElementWise Unary(libm::exp10), "10 to the power x";
    Expm1 "expm1": Paper ElementWise Unary(libm::expm1), "exp(x) - 1, accurate near 0";
    Log10 "log10" guarded GuardedLog10: Paper ElementWise Unary(libm::log10), "base-10 logarithm; NaN below 0";
    Log2 "log2" guarded GuardedLog2: Paper ElementWise Unary(libm::log2), "base-2 logarithm; NaN below 0";
    Log1p "log1p" guarded GuardedLog1p: Paper ElementWise Unary(libm::log1p), "log(1 + x), accurate near 0; NaN below -1";
    Square "square": Paper ElementWise Unary(|x| x * x), "x * x";
    Sqrt "sqrt" guarded GuardedSqrt: Paper ElementWise Unary(libm::sqrt), "square root; NaN below 0";
    Cube "cube": Paper ElementWise Unary(semantics::cube), "x * x * x";
    Cbrt "cbrt": Paper ElementWise Unary(libm::cbrt), "cube root";
    Reciprocal "reciprocal": Paper ElementWise Unary(|x| 1.0 / x), "1 / x";
    // Binary, element-wise.
    Add "add" op "+" commutative true: Paper ElementWise Binary(|x, y| x + y), "x + y";
    Subtract "subtract" op "-": Paper ElementWise Binary(|x, y| x - y), "x - y";
    Multiply "multiply" op "*" commutative true: Paper ElementWise Binary(|x, y| x * y), "x * y";
    Divide "divide" op "/" guarded GuardedDivide: Paper ElementWise Binary(|x, y| x / y), "x / y";
    Power "power": Paper ElementWise Binary(semantics::power), "x to the power y";
    Maximum "maximum" ["max"] commutative true: Paper ElementWise Binary(semantics::maximum), "the larger of two numbers; NaN if either is NaN";
    Minimum "minimum" ["min"] commutative true: Paper ElementWise Binary(semantics::minimum), "the smaller of two numbers; NaN if either is NaN";
    // Linear algebra.
    Norm "norm": Paper PerArrayReduction Unary(f64::abs), "Euclidean norm of each parameter array by itself";
    GlobalNorm "global_norm": Paper GlobalReduction Unary(f64::abs), "Euclidean norm of all numbers of all parameter arrays as one vector";
    Dot "dot" commutative true: Paper GlobalReduction Binary(|x, y| x * y), "dot product over all numbers of all parameter arrays";
    CosineSim "cosine_sim" ["cosine_similarity"] commutative true: Paper GlobalReduction Binary(|x, y| semantics::cosine_similarity(x * y, x * x, y * y)), "dot(x, y) / (global_norm(x) * global_norm(y))";
    Clip "clip" ["clip_by_global_norm"]: Paper ScaledBy Binary(|x, s| x * semantics::clip_factor(x.abs(), s)), "x scaled so that its global norm is at most the scalar s";
    Interp "interp" ["interpolate"]: Paper ScaledBy Ternary(semantics::interp), "(1 - a) * x + a * y with a scalar a";
    // Constants.
    GetPi "get_pi": Paper Constant Nullary(std::f64::consts::PI), "3.14159...";
    GetE "get_e": Paper Constant Nullary(std::f64::consts::E), "2.71828...";
    GetEps "get_eps": Paper Constant Nullary(semantics::EPSILON), "1e-8";
    // Not drawn by a search.
    Negative "negative": Language ElementWise Unary(|x| -x), "-x";
    Copy "copy": Language ElementWise Unary(|x| x), "x itself: what `a = b` lowers to";
    GuardedLog "guarded_log": Language ElementWise Unary(semantics::guarded_log), "log |x|";
    GuardedLog10 "guarded_log10": Language ElementWise Unary(semantics::guarded_log10), "log10 |x|";
    GuardedLog2 "guarded_log2": Language ElementWise Unary(semantics::guarded_log2), "log2 |x|";
    GuardedLog1p "guarded_log1p": Language ElementWise Unary(semantics::guarded_log1p), "log |1 + x|";
    GuardedSqrt "guarded_sqrt": Language ElementWise Unary(semantics::guarded_sqrt), "sqrt |x|";
    GuardedDivide "guarded_divide": Language ElementWise Binary(semantics::guarded_divide), "x / (y + 1e-8)";
    // Choices. A comparison gives 1 where it holds and 0 where it does not, and with NaN it never
    // holds.
    Where "where": Select ElementWise Ternary(semantics::select), "x where c is not 0 (NaN is not 0), y where it is";
    Less "less": Select ElementWise Binary(semantics::less), "1 where x < y, else 0";
    LessEqual "less_equal": Select ElementWise Binary(semantics::less_equal), "1 where x <= y, else 0";
    Greater "greater": Select ElementWise Binary(semantics::greater), "1 where x > y, else 0";
    GreaterEqual "greater_equal": Select ElementWise Binary(semantics::greater_equal), "1 where x >= y, else 0";
    Equal "equal" commutative true: Select ElementWise Binary(semantics::equal), "1 where x == y, else 0";
    // Reductions beyond the paper's. The mean of a single number is itself, and its size is 1.
    Mean "mean": Reduce PerArrayReduction Unary(|x| x), "mean of the numbers of each parameter array by itself";
    Size "size": Reduce PerArrayReduction Unary(|_| 1.0), "how many numbers each parameter array has";
    // Matrices. On scalars, which are 1 x 1.
    Transpose "transpose": Matrix Transpose Unary(|x| x), "the matrix of each array, (first dimension) x (the rest), transposed";
    Matmul "matmul": Matrix MatrixProduct Binary(|x, y| x * y), "the product of the matrices of each array";
    RowMean "row_mean": Matrix OfMatrix Unary(|x| x), "the mean of each row, at every place of the row; a vector is one column, so its rows are its numbers";
    ColumnMean "column_mean": Matrix OfMatrix Unary(|x| x), "the mean of each column, at every place of the column; a vector is one column";
    NewtonSchulz "newton_schulz": Matrix OfMatrix Unary(semantics::newton_schulz), "the matrix of each array with its singular values brought close to 1: five steps of Muon's quintic iteration";
    Rows "rows": Matrix PerArrayReduction Unary(|_| 1.0), "the number of rows of each array: its first dimension";
    Columns "columns": Matrix PerArrayReduction Unary(|_| 1.0), "the number of columns of each array: the product of all dimensions but the first";
}

impl Function {
    /// The function's row in the table.
    #[inline]
    pub fn row(self) -> &'static FunctionRow {
        &FUNCTIONS[self as usize]
    }

    /// Name in program text.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Number of arguments.
    #[inline]
    pub fn arity(self) -> usize {
        self.row().arity()
    }

    /// All functions, in the order of the table.
    pub fn all() -> impl Iterator<Item = Function> {
        FUNCTIONS.iter().map(|row| row.function)
    }

    /// The functions that all engines run, in the order of the table: all but those of profile
    /// [`Matrix`](Profile::Matrix).
    pub fn fused() -> impl Iterator<Item = Function> {
        Function::all().filter(|function| function.row().profile != Profile::Matrix)
    }

    /// The function of this name or alias.
    pub fn from_name(name: &str) -> Option<Function> {
        FUNCTIONS
            .iter()
            .find(|row| row.name == name || row.aliases.contains(&name))
            .map(|row| row.function)
    }

    /// The function that this one lowers to under the given numerics.
    pub fn under(self, numerics: Numerics) -> Function {
        match numerics {
            Numerics::Ieee => self,
            Numerics::Guarded => self.row().guarded.unwrap_or(self),
        }
    }

    /// The value on scalars, in f64. Arguments past the arity are ignored.
    #[inline]
    pub fn on_scalars(self, x: [f64; 3]) -> f64 {
        match self.row().scalar {
            ScalarSemantics::Nullary(value) => value,
            ScalarSemantics::Unary(f) => f(x[0]),
            ScalarSemantics::Binary(f) => f(x[0], x[1]),
            ScalarSemantics::Ternary(f) => f(x[0], x[1], x[2]),
        }
    }

    /// The type of a call from the types of its arguments (one for each argument), or the position
    /// of the argument that does not fit.
    pub fn result_type(self, arguments: &[Type]) -> Result<Type, usize> {
        match self.row().typing {
            Typing::Constant => Ok(Type::Scalar),
            Typing::ElementWise => join(arguments),
            Typing::PerArrayReduction => join(arguments).map(|ty| ty.min(Type::PerArray)),
            Typing::GlobalReduction => join(arguments).map(|_| Type::Scalar),
            Typing::ScaledBy => {
                let last = arguments.len().saturating_sub(1);
                if arguments.last().is_some_and(|t| *t != Type::Scalar) {
                    Err(last)
                } else {
                    join(&arguments[..last])
                }
            }
            Typing::Transpose => join(arguments).map(Type::transposed),
            Typing::MatrixProduct => match arguments {
                [x, y] => x.product(*y).ok_or(1),
                _ => join(arguments),
            },
            Typing::OfMatrix => join(arguments),
        }
    }
}

/// The smallest type that all broadcast into, or the position of the first that is of another shape
/// than those before it.
#[inline]
fn join(types: &[Type]) -> Result<Type, usize> {
    let mut joined = Type::Scalar;
    for (position, ty) in types.iter().enumerate() {
        if !joined.fits(*ty) {
            return Err(position);
        }
        joined = joined.join(*ty);
    }
    Ok(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_variants_and_names_are_unique() {
        let mut names = std::collections::BTreeSet::new();
        for (index, row) in FUNCTIONS.iter().enumerate() {
            assert_eq!(row.function as usize, index, "{}", row.name);
            for name in std::iter::once(&row.name).chain(row.aliases) {
                assert!(names.insert(*name), "{name} stands twice");
            }
        }
    }

    #[test]
    fn the_paper_profile_holds_the_papers_43_functions() {
        assert_eq!(FUNCTIONS.iter().filter(|row| row.profile == Profile::Paper).count(), 43);
    }

    #[test]
    fn a_clip_limit_and_an_interp_weight_must_be_scalars() {
        assert_eq!(Function::Clip.result_type(&[Type::Tree, Type::Tree]), Err(1));
        assert_eq!(
            Function::Interp.result_type(&[Type::Tree, Type::Scalar, Type::PerArray]),
            Err(2)
        );
        assert_eq!(
            Function::Interp.result_type(&[Type::Scalar, Type::PerArray, Type::Scalar]),
            Ok(Type::PerArray)
        );
    }

    #[test]
    fn commutative_rows_commute_on_scalars_bit_for_bit() {
        let samples =
            [0.0, -0.0, 1.0, -2.5, 1e-300, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 0.1];
        for row in FUNCTIONS.iter().filter(|row| row.commutative) {
            for x in samples {
                for y in samples {
                    let (a, b) = (
                        row.function.on_scalars([x, y, 0.0]),
                        row.function.on_scalars([y, x, 0.0]),
                    );
                    assert!(
                        a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
                        "{}({x}, {y}): {a} and {b}",
                        row.name
                    );
                }
            }
        }
    }
}
