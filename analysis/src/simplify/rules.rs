//! The rules of algebra, each with a label that says in which sense it is true.
//!
//! The labels are tested, not believed: the evaluator's tests run every rule on its own, over
//! special values, against the reference interpreter.

use symopt_dsl::semantics::EPSILON;
use symopt_dsl::types::Type;

use crate::simplify::check::Requirement;
use crate::simplify::facts::Facts;
use crate::simplify::label::Label;

/// Fact that must be known about a variable of a rule before it is applied.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Given {
    /// The variable is a number.
    Constant(&'static str),
    /// The variable is a scalar.
    Scalar(&'static str),
    /// The variable is never zero.
    NonZero(&'static str),
    /// The variable is never below zero.
    NonNegative(&'static str),
    /// The variable is always above zero.
    Positive(&'static str),
    /// The variable is a number for all numbers that it is made of.
    Total(&'static str),
    /// A number is far enough from 0 and 1 for 1 less the number to have as many good digits. Other
    /// variables may be anything.
    Moderate(&'static str),
    /// The variable is always between -1 and 1.
    InUnit(&'static str),
    /// The first is never below the second.
    AtLeast(&'static str, &'static str),
    /// Two numbers with the sum 1.
    SumToOne(&'static str, &'static str),
    /// Two numbers with a sum above zero.
    SumPositive(&'static str, &'static str),
    /// A number above -1.
    AboveMinusOne(&'static str),
}

/// A rule: its left side may be replaced by its right side.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Name.
    pub name: &'static str,
    /// In which sense both sides are equal.
    pub label: Label,
    /// Pattern, as an s-expression of function names, operators, numbers and `?variables`.
    pub left: &'static str,
    /// Its replacement.
    pub right: &'static str,
    /// Facts that must be known.
    pub given: &'static [Given],
    /// Requirement that has to hold, for the label `domain`. Where it is known to hold, the rule is
    /// applied with the label `real`.
    pub domain: &'static [(Requirement, &'static str)],
}

const fn rule(label: Label, name: &'static str, left: &'static str, right: &'static str) -> Rule {
    Rule { name, label, left, right, given: &[], domain: &[] }
}

const fn exact(name: &'static str, left: &'static str, right: &'static str) -> Rule {
    rule(Label::Exact, name, left, right)
}

const fn real(name: &'static str, left: &'static str, right: &'static str) -> Rule {
    rule(Label::Real, name, left, right)
}

const fn domain(
    name: &'static str,
    left: &'static str,
    right: &'static str,
    domain: &'static [(Requirement, &'static str)],
) -> Rule {
    Rule { domain, ..rule(Label::Domain, name, left, right) }
}

impl Rule {
    const fn given(self, given: &'static [Given]) -> Rule {
        Rule { given, ..self }
    }
}

/// How far from zero a denominator `|x| + 1e-8` has to keep for the 1e-8 not to be seen: it then
/// changes the quotient by one part in a million.
const FAR_FROM_EPSILON: f64 = 1e-2;

/// How closely a rule is true where its conditions hold, if it is not over the reals: it neglects
/// the guard of a division.
pub(crate) fn neglected(name: &str) -> Option<String> {
    let rule = RULES.iter().find(|rule| rule.name == name)?;
    let distance = rule.domain.iter().find_map(|(requirement, _)| match requirement {
        R::AwayFromZero(distance) => Some(*distance),
        _ => None,
    })?;
    Some(format!(
        "the guard of the division is neglected: the quotient changes by {EPSILON:e} / |x|, at most {:e}",
        EPSILON / distance
    ))
}

use Given::{
    AboveMinusOne, AtLeast, Constant, Moderate, NonNegative, NonZero, Positive, Scalar,
    SumPositive, SumToOne,
};
use Requirement as R;

/// The rules, by subject.
pub static RULES: &[Rule] = &[
    // Sums.
    exact("x + y = y + x", "(+ ?x ?y)", "(+ ?y ?x)"),
    real("sums in any order", "(+ (+ ?x ?y) ?z)", "(+ ?x (+ ?y ?z))"),
    exact("x - y = x + (-y)", "(- ?x ?y)", "(+ ?x (neg ?y))"),
    exact("x + (-y) = x - y", "(+ ?x (neg ?y))", "(- ?x ?y)"),
    exact("-x = -1 x", "(neg ?x)", "(* -1 ?x)"),
    exact("-1 x = -x", "(* -1 ?x)", "(neg ?x)"),
    real("-(x - y) = y - x", "(neg (- ?x ?y))", "(- ?y ?x)"),
    domain("x - x = 0", "(- ?x ?x)", "0", &[(R::Finite, "?x")]),
    real("x + 0 = x", "(+ ?x 0)", "?x"),
    exact("x + (-0) = x", "(+ ?x -0.0)", "?x"),
    exact("x - 0 = x", "(- ?x 0)", "?x"),
    exact("x + x = 2 x", "(+ ?x ?x)", "(* 2 ?x)"),
    real("a x + x = (a + 1) x", "(+ (* ?a ?x) ?x)", "(* (+ ?a 1) ?x)").given(&[Constant("?a")]),
    real("common factor", "(+ (* ?a ?x) (* ?a ?y))", "(* ?a (+ ?x ?y))"),
    real("common factor of a difference", "(- (* ?a ?x) (* ?a ?y))", "(* ?a (- ?x ?y))"),
    real("a (b x + y) = a b x + a y", "(* ?a (+ (* ?b ?x) ?y))", "(+ (* (* ?a ?b) ?x) (* ?a ?y))")
        .given(&[Constant("?a"), Constant("?b")]),
    real("x + x y = x (1 + y)", "(+ ?x (* ?x ?y))", "(* ?x (+ 1 ?y))"),
    // Products.
    exact("x y = y x", "(* ?x ?y)", "(* ?y ?x)"),
    real("products in any order", "(* (* ?x ?y) ?z)", "(* ?x (* ?y ?z))"),
    exact("1 x = x", "(* 1 ?x)", "?x"),
    domain("0 x = 0", "(* 0 ?x)", "0", &[(R::Finite, "?x")]),
    exact("x x = square x", "(* ?x ?x)", "(square ?x)"),
    exact("square x = x x", "(square ?x)", "(* ?x ?x)"),
    exact("x square x = cube x", "(* ?x (square ?x))", "(cube ?x)"),
    exact("cube x = x square x", "(cube ?x)", "(* ?x (square ?x))"),
    real("square of a multiple", "(square (* ?a ?x))", "(* (square ?a) (square ?x))")
        .given(&[Scalar("?a")]),
    real("product of squares", "(* (square ?x) (square ?y))", "(square (* ?x ?y))"),
    real("cube of a multiple", "(cube (* ?a ?x))", "(* (cube ?a) (cube ?x))")
        .given(&[Constant("?a"), NonZero("?a")]),
    // Quotients.
    real("x / y = x (1 / y)", "(/ ?x ?y)", "(* ?x (reciprocal ?y))"),
    real("x (1 / y) = x / y", "(* ?x (reciprocal ?y))", "(/ ?x ?y)"),
    exact("1 / x = reciprocal x", "(/ 1 ?x)", "(reciprocal ?x)"),
    real(
        "1 / (a x) = (1 / a) (1 / x)",
        "(reciprocal (* ?a ?x))",
        "(* (reciprocal ?a) (reciprocal ?x))",
    )
    .given(&[Scalar("?a")]),
    real(
        "(1 / x) (1 / y) = 1 / (x y)",
        "(* (reciprocal ?x) (reciprocal ?y))",
        "(reciprocal (* ?x ?y))",
    ),
    domain("1 / (1 / x) = x", "(reciprocal (reciprocal ?x))", "?x", &[(R::NonZero, "?x")]),
    domain("x / x = 1", "(* ?x (reciprocal ?x))", "1", &[(R::NonZero, "?x")]),
    domain("x / |x| = sign x", "(* ?x (reciprocal (abs ?x)))", "(sign ?x)", &[(R::NonZero, "?x")]),
    domain("|x| / x = sign x", "(* (abs ?x) (reciprocal ?x))", "(sign ?x)", &[(R::NonZero, "?x")]),
    domain("1 / sign x = sign x", "(reciprocal (sign ?x))", "(sign ?x)", &[(R::NonZero, "?x")]),
    domain(
        "x / sqrt x = sqrt x",
        "(* ?x (reciprocal (sqrt ?x)))",
        "(sqrt ?x)",
        &[(R::Positive, "?x")],
    ),
    domain("square x / x = x", "(* (square ?x) (reciprocal ?x))", "?x", &[(R::NonZero, "?x")]),
    domain(
        "x / square x = 1 / x",
        "(* ?x (reciprocal (square ?x)))",
        "(reciprocal ?x)",
        &[(R::NonZero, "?x")],
    ),
    // Guarded functions.
    real("guarded x / y = x / (y + 1e-8)", "(guarded_divide ?x ?y)", "(/ ?x (+ ?y 1e-8))"),
    real("x / (y + 1e-8) = guarded x / y", "(/ ?x (+ ?y 1e-8))", "(guarded_divide ?x ?y)"),
    exact("guarded sqrt x = sqrt |x|", "(guarded_sqrt ?x)", "(sqrt (abs ?x))"),
    exact("sqrt |x| = guarded sqrt x", "(sqrt (abs ?x))", "(guarded_sqrt ?x)"),
    exact("guarded log x = log |x|", "(guarded_log ?x)", "(log (abs ?x))"),
    exact("log |x| = guarded log x", "(log (abs ?x))", "(guarded_log ?x)"),
    exact("guarded log2 x = log2 |x|", "(guarded_log2 ?x)", "(log2 (abs ?x))"),
    exact("log2 |x| = guarded log2 x", "(log2 (abs ?x))", "(guarded_log2 ?x)"),
    exact("guarded log10 x = log10 |x|", "(guarded_log10 ?x)", "(log10 (abs ?x))"),
    exact("log10 |x| = guarded log10 x", "(log10 (abs ?x))", "(guarded_log10 ?x)"),
    domain(
        "guarded x / |x| = sign x",
        "(* ?x (reciprocal (+ (abs ?x) 1e-8)))",
        "(sign ?x)",
        &[(R::AwayFromZero(FAR_FROM_EPSILON), "?x")],
    ),
    domain(
        "guarded x / x = 1",
        "(* ?x (reciprocal (+ ?x 1e-8)))",
        "1",
        &[(R::AwayFromZero(FAR_FROM_EPSILON), "?x")],
    ),
    domain(
        "guarded 1 / x, large x",
        "(reciprocal (+ ?x 1e-8))",
        "(reciprocal ?x)",
        &[(R::AwayFromZero(FAR_FROM_EPSILON), "?x")],
    ),
    // Choices.
    exact("where(c, x, x) = x", "(where ?z ?x ?x)", "?x"),
    exact("where(0, x, y) = y", "(where 0 ?x ?y)", "?y"),
    exact("where(1, x, y) = x", "(where 1 ?x ?y)", "?x"),
    exact("x == y is y == x", "(equal ?x ?y)", "(equal ?y ?x)"),
    real(
        "where(c, a x, a y) = a where(c, x, y)",
        "(where ?z (* ?a ?x) (* ?a ?y))",
        "(* ?a (where ?z ?x ?y))",
    ),
    // Absolute values and signs.
    exact("| |x| | = |x|", "(abs (abs ?x))", "(abs ?x)"),
    exact("|-x| = |x|", "(abs (neg ?x))", "(abs ?x)"),
    real("|x| = x for x >= 0", "(abs ?x)", "?x").given(&[NonNegative("?x")]),
    exact("|a x| = |a| |x|", "(abs (* ?a ?x))", "(* (abs ?a) (abs ?x))").given(&[Scalar("?a")]),
    exact("|x| |y| = |x y|", "(* (abs ?x) (abs ?y))", "(abs (* ?x ?y))"),
    exact("|1 / x| = 1 / |x|", "(abs (reciprocal ?x))", "(reciprocal (abs ?x))"),
    exact("square |x| = square x", "(square (abs ?x))", "(square ?x)"),
    exact("square(-x) = square x", "(square (neg ?x))", "(square ?x)"),
    exact("sign sign x = sign x", "(sign (sign ?x))", "(sign ?x)"),
    exact("sign(-x) = -sign x", "(sign (neg ?x))", "(neg (sign ?x))"),
    exact("x sign x = |x|", "(* ?x (sign ?x))", "(abs ?x)"),
    exact("|x| sign x = x", "(* (abs ?x) (sign ?x))", "?x"),
    real("sign(a x) = sign x for a > 0", "(sign (* ?a ?x))", "(sign ?x)").given(&[Positive("?a")]),
    domain(
        "sign(lr x) = sign x for lr > 0",
        "(sign (* ?a ?x))",
        "(sign ?x)",
        &[(R::Positive, "?a")],
    )
    .given(&[Scalar("?a"), NonNegative("?a")]),
    real("sign(x / y) = sign x for y > 0", "(sign (* ?x (reciprocal ?a)))", "(sign ?x)")
        .given(&[Positive("?a")]),
    real("sign x sign y = sign(x y)", "(* (sign ?x) (sign ?y))", "(sign (* ?x ?y))"),
    real("sign(1 / x) = 1 / sign x", "(sign (reciprocal ?x))", "(reciprocal (sign ?x))"),
    real("sign x = 1 for x > 0", "(sign ?x)", "1").given(&[Positive("?x")]),
    domain("square sign x = 1", "(square (sign ?x))", "1", &[(R::NonZero, "?x")]),
    domain("|sign x| = 1", "(abs (sign ?x))", "1", &[(R::NonZero, "?x")]),
    // Roots and powers.
    real("sqrt square x = |x|", "(sqrt (square ?x))", "(abs ?x)"),
    domain("square sqrt x = x", "(square (sqrt ?x))", "?x", &[(R::NonNegative, "?x")]),
    real("sqrt of a multiple", "(sqrt (* ?a ?x))", "(* (sqrt ?a) (sqrt ?x))")
        .given(&[Constant("?a"), Positive("?a")]),
    domain(
        "sqrt x sqrt y = sqrt(x y)",
        "(* (sqrt ?x) (sqrt ?y))",
        "(sqrt (* ?x ?y))",
        &[(R::NonNegative, "?x"), (R::NonNegative, "?y")],
    ),
    domain(
        "sqrt(1 / x) = 1 / sqrt x",
        "(sqrt (reciprocal ?x))",
        "(reciprocal (sqrt ?x))",
        &[(R::Positive, "?x")],
    ),
    real("cbrt cube x = x", "(cbrt (cube ?x))", "?x"),
    real("cube cbrt x = x", "(cube (cbrt ?x))", "?x"),
    real("cbrt of a multiple", "(cbrt (* ?a ?x))", "(* (cbrt ?a) (cbrt ?x))")
        .given(&[Constant("?a")]),
    exact("x to the power 0 = 1", "(power ?x 0)", "1"),
    exact("x to the power 1 = x", "(power ?x 1)", "?x"),
    real("x to the power 2 = square x", "(power ?x 2)", "(square ?x)"),
    real("x to the power 3 = cube x", "(power ?x 3)", "(cube ?x)"),
    domain("x to the power 1/2 = sqrt x", "(power ?x 0.5)", "(sqrt ?x)", &[(R::NonNegative, "?x")]),
    domain("x to the power -1 = 1 / x", "(power ?x -1)", "(reciprocal ?x)", &[(R::NonZero, "?x")]),
    exact("1 to the power x = 1", "(power 1 ?x)", "1"),
    // Odd and even functions.
    exact("sin(-x) = -sin x", "(sin (neg ?x))", "(neg (sin ?x))"),
    exact("tan(-x) = -tan x", "(tan (neg ?x))", "(neg (tan ?x))"),
    exact("arcsin(-x) = -arcsin x", "(arcsin (neg ?x))", "(neg (arcsin ?x))"),
    exact("arctan(-x) = -arctan x", "(arctan (neg ?x))", "(neg (arctan ?x))"),
    exact("sinh(-x) = -sinh x", "(sinh (neg ?x))", "(neg (sinh ?x))"),
    real("tanh(-x) = -tanh x", "(tanh (neg ?x))", "(neg (tanh ?x))"),
    exact("arcsinh(-x) = -arcsinh x", "(arcsinh (neg ?x))", "(neg (arcsinh ?x))"),
    exact("arctanh(-x) = -arctanh x", "(arctanh (neg ?x))", "(neg (arctanh ?x))"),
    exact("cube(-x) = -cube x", "(cube (neg ?x))", "(neg (cube ?x))"),
    exact("cbrt(-x) = -cbrt x", "(cbrt (neg ?x))", "(neg (cbrt ?x))"),
    exact("cos(-x) = cos x", "(cos (neg ?x))", "(cos ?x)"),
    exact("cosh(-x) = cosh x", "(cosh (neg ?x))", "(cosh ?x)"),
    exact("cos |x| = cos x", "(cos (abs ?x))", "(cos ?x)"),
    exact("cosh |x| = cosh x", "(cosh (abs ?x))", "(cosh ?x)"),
    // A rising odd function keeps the sign.
    exact("sign sinh x = sign x", "(sign (sinh ?x))", "(sign ?x)"),
    exact("sign tanh x = sign x", "(sign (tanh ?x))", "(sign ?x)"),
    exact("sign arctan x = sign x", "(sign (arctan ?x))", "(sign ?x)"),
    exact("sign arcsinh x = sign x", "(sign (arcsinh ?x))", "(sign ?x)"),
    real("sign cube x = sign x", "(sign (cube ?x))", "(sign ?x)"),
    exact("sign cbrt x = sign x", "(sign (cbrt ?x))", "(sign ?x)"),
    exact("sign expm1 x = sign x", "(sign (expm1 ?x))", "(sign ?x)"),
    domain(
        "sign arcsin x = sign x",
        "(sign (arcsin ?x))",
        "(sign ?x)",
        &[(R::Within(-1.0, 1.0), "?x")],
    ),
    domain(
        "sign arctanh x = sign x",
        "(sign (arctanh ?x))",
        "(sign ?x)",
        &[(R::Within(-1.0, 1.0), "?x")],
    ),
    domain("sign log1p x = sign x", "(sign (log1p ?x))", "(sign ?x)", &[(R::AboveMinusOne, "?x")]),
    domain("sign sqrt x = sign x", "(sign (sqrt ?x))", "(sign ?x)", &[(R::NonNegative, "?x")]),
    // Inverse pairs.
    real("log exp x = x", "(log (exp ?x))", "?x"),
    real("log2 exp2 x = x", "(log2 (exp2 ?x))", "?x"),
    real("log10 exp10 x = x", "(log10 (exp10 ?x))", "?x"),
    real("log1p expm1 x = x", "(log1p (expm1 ?x))", "?x"),
    domain("exp log x = x", "(exp (log ?x))", "?x", &[(R::Positive, "?x")]),
    domain("exp2 log2 x = x", "(exp2 (log2 ?x))", "?x", &[(R::Positive, "?x")]),
    domain("exp10 log10 x = x", "(exp10 (log10 ?x))", "?x", &[(R::Positive, "?x")]),
    domain("expm1 log1p x = x", "(expm1 (log1p ?x))", "?x", &[(R::AboveMinusOne, "?x")]),
    real("arcsinh sinh x = x", "(arcsinh (sinh ?x))", "?x"),
    real("sinh arcsinh x = x", "(sinh (arcsinh ?x))", "?x"),
    domain("tan arctan x = x", "(tan (arctan ?x))", "?x", &[(R::Within(-100.0, 100.0), "?x")]),
    real("arctanh tanh x = x", "(arctanh (tanh ?x))", "?x"),
    domain("tanh arctanh x = x", "(tanh (arctanh ?x))", "?x", &[(R::Within(-1.0, 1.0), "?x")]),
    domain("sin arcsin x = x", "(sin (arcsin ?x))", "?x", &[(R::Within(-1.0, 1.0), "?x")]),
    domain("cos arccos x = x", "(cos (arccos ?x))", "?x", &[(R::Within(-1.0, 1.0), "?x")]),
    domain("arcsin sin x = x", "(arcsin (sin ?x))", "?x", &[(R::Within(-1.5, 1.5), "?x")]),
    domain("arctan tan x = x", "(arctan (tan ?x))", "?x", &[(R::Within(-1.5, 1.5), "?x")]),
    // Exponentials.
    real("exp x exp y = exp(x + y)", "(* (exp ?x) (exp ?y))", "(exp (+ ?x ?y))"),
    real("1 / exp x = exp(-x)", "(reciprocal (exp ?x))", "(exp (neg ?x))"),
    real("square exp x = exp(2 x)", "(square (exp ?x))", "(exp (* 2 ?x))"),
    real("sqrt exp x = exp(x / 2)", "(sqrt (exp ?x))", "(exp (* 0.5 ?x))"),
    real("exp x - 1 = expm1 x", "(+ (exp ?x) -1)", "(expm1 ?x)"),
    real("log(1 + x) = log1p x", "(log (+ 1 ?x))", "(log1p ?x)"),
    // Minima and maxima.
    exact("max(x, y) = max(y, x)", "(maximum ?x ?y)", "(maximum ?y ?x)"),
    exact("min(x, y) = min(y, x)", "(minimum ?x ?y)", "(minimum ?y ?x)"),
    exact("max(x, x) = x", "(maximum ?x ?x)", "?x"),
    exact("min(x, x) = x", "(minimum ?x ?x)", "?x"),
    exact("maxima in any order", "(maximum (maximum ?x ?y) ?z)", "(maximum ?x (maximum ?y ?z))"),
    exact("minima in any order", "(minimum (minimum ?x ?y) ?z)", "(minimum ?x (minimum ?y ?z))"),
    real("max(x, min(x, y)) = x", "(maximum ?x (minimum ?x ?y))", "?x"),
    real("min(x, max(x, y)) = x", "(minimum ?x (maximum ?x ?y))", "?x"),
    exact("max(-x, -y) = -min(x, y)", "(maximum (neg ?x) (neg ?y))", "(neg (minimum ?x ?y))"),
    exact("min(-x, -y) = -max(x, y)", "(minimum (neg ?x) (neg ?y))", "(neg (maximum ?x ?y))"),
    exact("max(x, -x) = |x|", "(maximum ?x (neg ?x))", "(abs ?x)"),
    exact("min(x, -x) = -|x|", "(minimum ?x (neg ?x))", "(neg (abs ?x))"),
    real("max(x, y) = x for x >= y", "(maximum ?x ?y)", "?x").given(&[AtLeast("?x", "?y")]),
    real("min(x, y) = y for x >= y", "(minimum ?x ?y)", "?y").given(&[AtLeast("?x", "?y")]),
    real("max(a x, a y) = a max(x, y)", "(maximum (* ?a ?x) (* ?a ?y))", "(* ?a (maximum ?x ?y))")
        .given(&[NonNegative("?a")]),
    real("min(a x, a y) = a min(x, y)", "(minimum (* ?a ?x) (* ?a ?y))", "(* ?a (minimum ?x ?y))")
        .given(&[NonNegative("?a")]),
    // Norms.
    real("norm(a x) = |a| norm x", "(norm (* ?a ?x))", "(* (abs ?a) (norm ?x))")
        .given(&[Scalar("?a")]),
    real(
        "global_norm(a x) = |a| global_norm x",
        "(global_norm (* ?a ?x))",
        "(* (abs ?a) (global_norm ?x))",
    )
    .given(&[Scalar("?a")]),
    exact("norm(-x) = norm x", "(norm (neg ?x))", "(norm ?x)"),
    exact("norm |x| = norm x", "(norm (abs ?x))", "(norm ?x)"),
    exact("global_norm(-x) = global_norm x", "(global_norm (neg ?x))", "(global_norm ?x)"),
    exact("global_norm |x| = global_norm x", "(global_norm (abs ?x))", "(global_norm ?x)"),
    exact("dot(x, y) = dot(y, x)", "(dot ?x ?y)", "(dot ?y ?x)"),
    real("dot(x, x) = square global_norm x", "(dot ?x ?x)", "(square (global_norm ?x))"),
    real("dot(a x, y) = a dot(x, y)", "(dot (* ?a ?x) ?y)", "(* ?a (dot ?x ?y))")
        .given(&[Scalar("?a")]),
    exact("cosine_sim(x, y) = cosine_sim(y, x)", "(cosine_sim ?x ?y)", "(cosine_sim ?y ?x)"),
    real(
        "cosine_sim(a x, y) = cosine_sim(x, y)",
        "(cosine_sim (* ?a ?x) ?y)",
        "(cosine_sim ?x ?y)",
    )
    .given(&[Scalar("?a"), Positive("?a")]),
    domain("cosine_sim(x, x) = 1", "(cosine_sim ?x ?x)", "1", &[(R::NonZero, "?x")]),
    // Clipping.
    exact("clip(-x, s) = -clip(x, s)", "(clip (neg ?x) ?s)", "(neg (clip ?x ?s))"),
    real(
        "clip(clip(x, s), r) = clip(x, min(s, r))",
        "(clip (clip ?x ?s) ?r)",
        "(clip ?x (minimum ?s ?r))",
    )
    .given(&[NonNegative("?s"), NonNegative("?r")]),
    real("clip(a x, s) = a clip(x, s / a)", "(clip (* ?a ?x) ?s)", "(* ?a (clip ?x (/ ?s ?a)))")
        .given(&[Constant("?a"), Positive("?a")]),
    domain("sign clip(x, s) = sign x", "(sign (clip ?x ?s))", "(sign ?x)", &[(R::Positive, "?s")]),
    // Blends.
    exact(
        "interp(x, y, a) = (1 - a) x + a y",
        "(interp ?x ?y ?a)",
        "(+ (* (- 1 ?a) ?x) (* ?a ?y))",
    ),
    exact(
        "(1 - a) x + a y = interp(x, y, a)",
        "(+ (* (- 1 ?a) ?x) (* ?a ?y))",
        "(interp ?x ?y ?a)",
    )
    .given(&[Scalar("?a")]),
    real(
        "b x + a y = interp(x, y, a) for a + b = 1",
        "(+ (* ?b ?x) (* ?a ?y))",
        "(interp ?x ?y ?a)",
    )
    .given(&[SumToOne("?a", "?b")]),
    real(
        "sign(b x + a y) = sign of a blend",
        "(sign (+ (* ?b ?x) (* ?a ?y)))",
        "(sign (interp ?x ?y (/ ?a (+ ?a ?b))))",
    )
    .given(&[SumPositive("?a", "?b")]),
    real(
        "sign(x + a y) = sign of a blend",
        "(sign (+ ?x (* ?a ?y)))",
        "(sign (interp ?x ?y (/ ?a (+ ?a 1))))",
    )
    .given(&[AboveMinusOne("?a")]),
    real("interp(x, x, a) = x", "(interp ?x ?x ?a)", "?x"),
    real("interp(x, y, 0) = x", "(interp ?x ?y 0)", "?x"),
    real("interp(x, y, 1) = y", "(interp ?x ?y 1)", "?y"),
    real("interp(x, y, a) = interp(y, x, 1 - a)", "(interp ?x ?y ?a)", "(interp ?y ?x (- 1 ?a))")
        .given(&[Moderate("?a")]),
    real("chained blends are one", "(interp ?x (interp ?x ?y ?a) ?b)", "(interp ?x ?y (* ?a ?b))"),
    real("blend of multiples", "(interp (* ?a ?x) (* ?a ?y) ?b)", "(* ?a (interp ?x ?y ?b))"),
];

impl Requirement {
    /// Returns the fact that must be known for the requirement to hold always, if facts can tell.
    pub(crate) fn as_given(self, variable: &'static str) -> Option<Given> {
        match self {
            Requirement::Finite => Some(Given::Total(variable)),
            Requirement::NonZero => Some(Given::NonZero(variable)),
            Requirement::Positive => Some(Given::Positive(variable)),
            Requirement::NonNegative => Some(Given::NonNegative(variable)),
            Requirement::AboveMinusOne => Some(Given::NonNegative(variable)),
            Requirement::Within(low, high) if low <= -1.0 && high >= 1.0 => {
                Some(Given::InUnit(variable))
            }
            Requirement::Within(..) | Requirement::AwayFromZero(_) => None,
        }
    }
}

impl Given {
    /// Whether the facts about the variables say so.
    pub(crate) fn holds(self, facts: impl Fn(&str) -> Facts) -> bool {
        let number = |name: &str| facts(name).constant.filter(|value| value.is_finite());
        match self {
            Given::Constant(x) => number(x).is_some(),
            Given::Scalar(x) => facts(x).ty == Type::Scalar,
            Given::NonZero(x) => facts(x).nonzero,
            Given::Total(x) => facts(x).total,
            Given::Moderate(x) => number(x).is_none_or(|a| {
                [a, 1.0 - a].iter().all(|x| (1e-4..1e4).contains(&x.abs()) || *x == 0.0)
            }),
            Given::NonNegative(x) => facts(x).is_nonnegative(),
            Given::Positive(x) => facts(x).is_positive(),
            Given::InUnit(x) => facts(x).range().0 >= -1.0 && facts(x).range().1 <= 1.0,
            Given::AtLeast(x, y) => facts(x).range().0 >= facts(y).range().1,
            Given::SumToOne(a, b) => number(a)
                .zip(number(b))
                .is_some_and(|(a, b)| (a + b - 1.0).abs() <= 1e-14 && is_comparable(a, b)),
            // Weights that differ too much leave nothing of the smaller one, and a sum that all but
            // cancels nothing but its rounding.
            Given::SumPositive(a, b) => number(a)
                .zip(number(b))
                .is_some_and(|(a, b)| a + b > 1e-6 * a.abs().max(b.abs()) && is_comparable(a, b)),
            Given::AboveMinusOne(a) => {
                number(a).is_some_and(|a| a + 1.0 > 1e-6 * a.abs() && is_comparable(a, 1.0))
            }
        }
    }
}

/// Whether one number is not very much smaller than the other.
fn is_comparable(a: f64, b: f64) -> bool {
    let (a, b) = (a.abs(), b.abs());
    a.min(b) >= 1e-4 * a.max(b)
}
