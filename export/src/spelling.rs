//! How each function is spelled in each language: one row a function.
//!
//! A spelling is a call in which `{x}` and `{y}` are the arguments, or `{x!}` where an argument
//! that is no atom needs brackets. Names that begin with an underscore (in C with `symopt_`, in
//! Rust bare) are helpers that the file of the export defines when it uses them. The operators, and
//! what [`Listing`](super::listing::Listing) takes apart (`interp`, `clip`, sums over arrays, the
//! guarded functions), have no row.

use symopt_dsl::{Function, Profile};

/// The spellings of a function on the elements of arrays.
#[derive(Clone, Copy, Debug)]
pub struct Spelling {
    /// The function.
    pub function: Function,
    /// NumPy as `np`.
    pub numpy: &'static str,
    /// PyTorch.
    pub torch: &'static str,
    /// JAX, with `jax.numpy` as `jnp`.
    pub jax: &'static str,
    /// TensorFlow as `tf`, in its versions 1 and 2.
    pub tensorflow: &'static str,
    /// Keras 3, with `keras.ops` as `ops`.
    pub keras: &'static str,
    /// C with `math.h`, in f32. `None` where a sum over elements is taken, where operators of the
    /// language do it, and for matrices.
    pub c: Option<&'static str>,
    /// Rust's standard library, in f32.
    pub rust: Option<&'static str>,
    /// Triton, as `tl` and `libdevice`.
    pub triton: Option<&'static str>,
}

macro_rules! spellings {
    ($($function:ident: $numpy:literal, $torch:literal, $jax:literal, $tensorflow:literal, $keras:literal $(, $c:literal, $rust:literal, $triton:literal)?;)*) => {
        /// The rows.
        pub static SPELLINGS: &[Spelling] = &[$(Spelling {
            function: Function::$function,
            numpy: $numpy,
            torch: $torch,
            jax: $jax,
            tensorflow: $tensorflow,
            keras: $keras,
            c: spellings!(@option $($c)?),
            rust: spellings!(@option $($rust)?),
            triton: spellings!(@option $($triton)?),
        }),*];
    };
    (@option) => { None };
    (@option $value:literal) => { Some($value) };
}

#[rustfmt::skip]
spellings! {
    Abs: "np.abs({x})", "torch.abs({x})", "jnp.abs({x})", "tf.abs({x})", "ops.abs({x})", "fabsf({x})", "{x!}.abs()", "tl.abs({x})";
    Cos: "np.cos({x})", "torch.cos({x})", "jnp.cos({x})", "tf.cos({x})", "ops.cos({x})", "cosf({x})", "{x!}.cos()", "libdevice.cos({x})";
    Sin: "np.sin({x})", "torch.sin({x})", "jnp.sin({x})", "tf.sin({x})", "ops.sin({x})", "sinf({x})", "{x!}.sin()", "libdevice.sin({x})";
    Tan: "np.tan({x})", "torch.tan({x})", "jnp.tan({x})", "tf.tan({x})", "ops.tan({x})", "tanf({x})", "{x!}.tan()", "libdevice.tan({x})";
    Arcsin: "np.arcsin({x})", "torch.asin({x})", "jnp.arcsin({x})", "tf.asin({x})", "ops.arcsin({x})", "asinf({x})", "{x!}.asin()", "libdevice.asin({x})";
    Arccos: "np.arccos({x})", "torch.acos({x})", "jnp.arccos({x})", "tf.acos({x})", "ops.arccos({x})", "acosf({x})", "{x!}.acos()", "libdevice.acos({x})";
    Arctan: "np.arctan({x})", "torch.atan({x})", "jnp.arctan({x})", "tf.atan({x})", "ops.arctan({x})", "atanf({x})", "{x!}.atan()", "libdevice.atan({x})";
    Exp: "np.exp({x})", "torch.exp({x})", "jnp.exp({x})", "tf.exp({x})", "ops.exp({x})", "expf({x})", "{x!}.exp()", "libdevice.exp({x})";
    Log: "np.log({x})", "torch.log({x})", "jnp.log({x})", "tf.math.log({x})", "ops.log({x})", "logf({x})", "{x!}.ln()", "libdevice.log({x})";
    Sinh: "np.sinh({x})", "torch.sinh({x})", "jnp.sinh({x})", "tf.sinh({x})", "ops.sinh({x})", "sinhf({x})", "{x!}.sinh()", "libdevice.sinh({x})";
    Cosh: "np.cosh({x})", "torch.cosh({x})", "jnp.cosh({x})", "tf.cosh({x})", "ops.cosh({x})", "coshf({x})", "{x!}.cosh()", "libdevice.cosh({x})";
    Tanh: "np.tanh({x})", "torch.tanh({x})", "jnp.tanh({x})", "tf.tanh({x})", "ops.tanh({x})", "tanhf({x})", "{x!}.tanh()", "libdevice.tanh({x})";
    Arcsinh: "np.arcsinh({x})", "torch.asinh({x})", "jnp.arcsinh({x})", "tf.asinh({x})", "ops.arcsinh({x})", "asinhf({x})", "arcsinh({x})", "libdevice.asinh({x})";
    Arccosh: "np.arccosh({x})", "torch.acosh({x})", "jnp.arccosh({x})", "tf.acosh({x})", "ops.arccosh({x})", "acoshf({x})", "arccosh({x})", "libdevice.acosh({x})";
    Arctanh: "np.arctanh({x})", "torch.atanh({x})", "jnp.arctanh({x})", "tf.atanh({x})", "ops.arctanh({x})", "atanhf({x})", "arctanh({x})", "libdevice.atanh({x})";
    Sign: "np.sign({x})", "torch.sign({x})", "jnp.sign({x})", "tf.sign({x})", "ops.sign({x})", "symopt_sign({x})", "sign({x})", "_triton_sign({x})";
    Exp2: "np.exp2({x})", "torch.exp2({x})", "jnp.exp2({x})", "_exp2({x})", "ops.exp2({x})", "exp2f({x})", "{x!}.exp2()", "libdevice.exp2({x})";
    Exp10: "np.power(10, {x})", "torch.pow(10.0, {x})", "jnp.power(10.0, {x})", "_exp10({x})", "ops.power(10.0, {x})", "powf(10.0f, {x})", "10.0_f32.powf({x})", "libdevice.exp10({x})";
    Expm1: "np.expm1({x})", "torch.expm1({x})", "jnp.expm1({x})", "tf.math.expm1({x})", "ops.expm1({x})", "expm1f({x})", "{x!}.exp_m1()", "libdevice.expm1({x})";
    Log10: "np.log10({x})", "torch.log10({x})", "jnp.log10({x})", "_log10({x})", "ops.log10({x})", "log10f({x})", "{x!}.log10()", "libdevice.log10({x})";
    Log2: "np.log2({x})", "torch.log2({x})", "jnp.log2({x})", "_log2({x})", "ops.log2({x})", "log2f({x})", "{x!}.log2()", "libdevice.log2({x})";
    Log1p: "np.log1p({x})", "torch.log1p({x})", "jnp.log1p({x})", "tf.math.log1p({x})", "ops.log1p({x})", "log1pf({x})", "{x!}.ln_1p()", "libdevice.log1p({x})";
    Square: "np.square({x})", "torch.square({x})", "jnp.square({x})", "tf.square({x})", "ops.square({x})", "symopt_square({x})", "square({x})", "_triton_square({x})";
    Sqrt: "np.sqrt({x})", "torch.sqrt({x})", "jnp.sqrt({x})", "tf.sqrt({x})", "ops.sqrt({x})", "sqrtf({x})", "{x!}.sqrt()", "tl.sqrt_rn({x})";
    Cube: "_cube({x})", "_cube({x})", "_cube({x})", "_cube({x})", "_cube({x})", "symopt_cube({x})", "cube({x})", "_triton_cube({x})";
    Cbrt: "np.cbrt({x})", "_cbrt({x})", "jnp.cbrt({x})", "_cbrt({x})", "_cbrt({x})", "cbrtf({x})", "{x!}.cbrt()", "libdevice.cbrt({x})";
    Power: "np.power({x}, {y})", "torch.pow({x}, {y})", "jnp.power({x}, {y})", "tf.pow({x}, {y})", "ops.power({x}, {y})", "powf({x}, {y})", "{x!}.powf({y})", "libdevice.pow({x}, {y})";
    Maximum: "np.maximum({x}, {y})", "torch.maximum({x}, {y})", "jnp.maximum({x}, {y})", "tf.maximum({x}, {y})", "ops.maximum({x}, {y})", "symopt_maximum({x}, {y})", "maximum({x}, {y})", "_triton_maximum({x}, {y})";
    Minimum: "np.minimum({x}, {y})", "torch.minimum({x}, {y})", "jnp.minimum({x}, {y})", "tf.minimum({x}, {y})", "ops.minimum({x}, {y})", "symopt_minimum({x}, {y})", "minimum({x}, {y})", "_triton_minimum({x}, {y})";
    Norm: "_norm({x})", "_norm({x})", "_norm({x})", "_norm({x})", "_norm({x})";
    GuardedLog1p: "_guarded_log1p({x})", "_guarded_log1p({x})", "_guarded_log1p({x})", "_guarded_log1p({x})", "_guarded_log1p({x})", "symopt_guarded_log1p({x})", "guarded_log1p({x})", "_triton_guarded_log1p({x})";
    Where: "_where({x}, {y}, {z})", "_where({x}, {y}, {z})", "_where({x}, {y}, {z})", "_where({x}, {y}, {z})", "_where({x}, {y}, {z})";
    Less: "_less({x}, {y})", "_less({x}, {y})", "_less({x}, {y})", "_less({x}, {y})", "_less({x}, {y})";
    LessEqual: "_less_equal({x}, {y})", "_less_equal({x}, {y})", "_less_equal({x}, {y})", "_less_equal({x}, {y})", "_less_equal({x}, {y})";
    Greater: "_greater({x}, {y})", "_greater({x}, {y})", "_greater({x}, {y})", "_greater({x}, {y})", "_greater({x}, {y})";
    GreaterEqual: "_greater_equal({x}, {y})", "_greater_equal({x}, {y})", "_greater_equal({x}, {y})", "_greater_equal({x}, {y})", "_greater_equal({x}, {y})";
    Equal: "_equal({x}, {y})", "_equal({x}, {y})", "_equal({x}, {y})", "_equal({x}, {y})", "_equal({x}, {y})";
    Mean: "_mean({x})", "_mean({x})", "_mean({x})", "_mean({x})", "_mean({x})";
    Size: "_size({x})", "_size({x})", "_size({x})", "_size({x})", "_size({x})";
    Transpose: "_transpose({x})", "_transpose({x})", "_transpose({x})", "_transpose({x})", "_transpose({x})";
    Matmul: "_matmul({x}, {y})", "_matmul({x}, {y})", "_matmul({x}, {y})", "_matmul({x}, {y})", "_matmul({x}, {y})";
    RowMean: "_row_mean({x})", "_row_mean({x})", "_row_mean({x})", "_row_mean({x})", "_row_mean({x})";
    ColumnMean: "_column_mean({x})", "_column_mean({x})", "_column_mean({x})", "_column_mean({x})", "_column_mean({x})";
    NewtonSchulz: "_newton_schulz({x})", "_newton_schulz({x})", "_newton_schulz({x})", "_newton_schulz({x})", "_newton_schulz({x})";
    Rows: "_rows({x})", "_rows({x})", "_rows({x})", "_rows({x})", "_rows({x})";
    Columns: "_columns({x})", "_columns({x})", "_columns({x})", "_columns({x})", "_columns({x})";
}

/// The row of a function, if it has one.
pub fn spelling(function: Function) -> Option<&'static Spelling> {
    SPELLINGS.iter().find(|row| row.function == function)
}

/// Why a target cannot express a function that has no row, and that is neither an operator nor
/// taken apart by the listing; or one whose spelling calls a helper that the target does not
/// define.
pub fn lacks_row(
    function: Function,
    own: fn(&Spelling) -> &'static str,
    helpers: &[(&str, &str)],
) -> Option<String> {
    let is_operator = function.row().operator.is_some()
        || matches!(function, Function::Negative | Function::Reciprocal | Function::Copy);
    let is_constant = function.arity() == 0;
    let is_taken_apart = matches!(
        function,
        Function::Interp
            | Function::Clip
            | Function::GlobalNorm
            | Function::Dot
            | Function::CosineSim
            | Function::GuardedSqrt
            | Function::GuardedLog
            | Function::GuardedLog2
            | Function::GuardedLog10
            | Function::GuardedDivide
    );
    let row = spelling(function);
    let is_expressed = row.is_some() || is_operator || is_constant || is_taken_apart;
    let helper =
        row.and_then(|row| own(row).split('(').next().filter(|name| name.starts_with('_')));
    // Choices are written by operators and functions of the libraries.
    let is_choice = function.row().profile == Profile::Select;
    let is_defined =
        helper.is_none_or(|helper| is_choice || helpers.iter().any(|(name, _)| *name == helper));
    (!(is_expressed && is_defined)).then(|| format!("it has no {}", function.name()))
}

/// Why loops over the elements of arrays cannot express a function: what it gives at a place
/// depends on more than that place.
pub fn lacks_matrix(function: Function) -> Option<String> {
    let is_of_matrices = function.row().profile == Profile::Matrix;
    is_of_matrices.then(|| {
        format!(
            "`{}` works on the matrix of an array as a whole, which loops over elements cannot do",
            function.name()
        )
    })
}
