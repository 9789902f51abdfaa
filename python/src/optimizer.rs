//! `Optimizer`: steps of NumPy arrays in place, by the compiled zoo or the tile machine.

use std::ffi::c_int;
use std::sync::{Mutex, MutexGuard, TryLockError};

use half::bf16;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyTuple, PyType};
use symopt_evaluator::storage::{Values, ValuesMut};
use symopt_evaluator::{
    Layout, OptimizerError, Options, ParameterArray, Rounding, Storage, Threads,
};

use crate::dlpack::{Shared, shared};
use crate::error::{Raise, failed, input};
use crate::program::Program;
use crate::work::check_process;

impl Raise for OptimizerError {
    fn raise(self) -> PyErr {
        input(self)
    }
}

/// A program in use. The arrays are Python's, and come with every step.
#[pyclass(frozen, module = "symopt._symopt")]
pub struct Optimizer {
    optimizer: Mutex<symopt_evaluator::Optimizer>,
    layout: Layout,
}

impl Optimizer {
    /// The optimizer, which one thread uses at a time.
    fn locked(&self) -> PyResult<MutexGuard<'_, symopt_evaluator::Optimizer>> {
        match self.optimizer.try_lock() {
            Ok(optimizer) => Ok(optimizer),
            Err(TryLockError::WouldBlock) => Err(failed(
                "the optimizer is in use by another thread; give each thread one of its own",
            )),
            Err(TryLockError::Poisoned(_)) => {
                Err(failed("the optimizer broke in an earlier step; make a new one"))
            }
        }
    }
}

#[pymethods]
impl Optimizer {
    #[new]
    fn new(
        py: Python<'_>,
        program: &Program,
        arrays: Vec<(String, Bound<'_, PyAny>)>,
        state: &str,
        rounding_seed: Option<u64>,
        threads: &str,
    ) -> PyResult<Optimizer> {
        let options = Options {
            state: match state {
                "float32" => Storage::F32,
                "bfloat16" => Storage::Bf16,
                _ => {
                    return Err(input(format!(
                        "state_dtype is {state:?}, and should be float32 or bfloat16"
                    )));
                }
            },
            rounding: rounding_seed.map_or(Rounding::Nearest, |seed| Rounding::Stochastic { seed }),
            threads: match threads {
                "auto" => Threads::Auto,
                "one" => Threads::One,
                "all" => Threads::All,
                _ => {
                    return Err(input(format!(
                        "threads is {threads:?}, and should be auto, one or all"
                    )));
                }
            },
        };
        let mut views = Vec::with_capacity(arrays.len());
        for (name, array) in &arrays {
            views.push((name.as_str(), View::of_weights(array, name, None)?));
        }
        check_overlaps(views.iter().map(|(name, view)| (*name, view, true)))?;
        let layout = Layout::new(views.into_iter().map(|(name, view)| (name, view.shape)));
        let layout = layout.map_err(input)?;
        let optimizer = py
            .detach(|| symopt_programs::optimizer(&program.program, &layout, options))
            .map_err(Raise::raise)?;
        Ok(Optimizer { optimizer: Mutex::new(optimizer), layout })
    }

    /// One step of all arrays, in the order of the layout.
    fn step<'py>(
        &self,
        py: Python<'py>,
        weights: Vec<Bound<'py, PyAny>>,
        gradients: Vec<Bound<'py, PyAny>>,
        lr: f64,
    ) -> PyResult<()> {
        check_process()?;
        let mut optimizer = self.locked()?;
        let specs = self.layout.arrays();
        if weights.len() != specs.len() || gradients.len() != specs.len() {
            return Err(input(format!(
                "there are {} arrays, and {} gradients were given",
                specs.len(),
                gradients.len()
            )));
        }
        let mut views = Vec::with_capacity(specs.len());
        for (spec, (weights, gradients)) in specs.iter().zip(weights.iter().zip(&gradients)) {
            let name = &spec.name;
            let weights = View::of_weights(weights, name, Some(&spec.shape))?;
            let gradients = View::of(gradients, "gradient of", name, Some(&spec.shape))?;
            views.push((name.as_str(), weights, gradients));
        }
        check_overlaps(views.iter().flat_map(|(name, weights, gradients)| {
            [(*name, weights, true), (*name, gradients, false)]
        }))?;
        let optimizer = &mut *optimizer;
        py.detach(|| {
            let mut arrays: Vec<ParameterArray<'_>> = views
                .iter()
                .map(|(name, weights, gradients)| ParameterArray {
                    name,
                    // SAFETY: the caller's references keep the arrays alive to the end of the call,
                    // `View::of` has seen that so many numbers of the type lie there, aligned, one
                    // after another and writable, and `check_overlaps` that nothing else here is in
                    // them. NumPy lets no array with another reference be resized.
                    weights: unsafe { weights.values_mut() },
                    // SAFETY: as above; nothing writes to them, since no array of weights is there.
                    gradients: unsafe { gradients.values() },
                })
                .collect();
            optimizer.step_arrays(&mut arrays, lr)
        })
        .map_err(Raise::raise)
    }

    /// Sets a hyperparameter, for all arrays or for those whose names match a pattern; says how
    /// many they are.
    fn set(&self, name: &str, value: f64, pattern: Option<&str>) -> PyResult<usize> {
        let mut optimizer = self.locked()?;
        match pattern {
            Some(pattern) => optimizer.set_for(pattern, name, value).map_err(Raise::raise),
            None => {
                optimizer.set(name, value).map_err(Raise::raise)?;
                Ok(optimizer.layout().arrays().len())
            }
        }
    }

    #[getter]
    fn hyperparameters(&self) -> PyResult<Vec<(String, f64)>> {
        let optimizer = self.locked()?;
        Ok(optimizer.hyperparameters().iter().map(|h| (h.name.clone(), h.value)).collect())
    }

    #[getter]
    fn steps(&self) -> PyResult<u64> {
        Ok(self.locked()?.steps())
    }

    #[getter]
    fn state_bytes(&self) -> PyResult<usize> {
        Ok(self.locked()?.state_bytes())
    }

    #[getter]
    fn is_compiled(&self) -> PyResult<bool> {
        Ok(self.locked()?.is_compiled())
    }

    /// The live slots: names, and the numbers of all arrays one after another, in f32.
    fn slots<'py>(&self, py: Python<'py>) -> PyResult<Vec<(String, Bound<'py, PyBytes>)>> {
        let optimizer = self.locked()?;
        let bytes = |values: Values<'_>| {
            let numbers = py.detach(|| values.to_f32());
            PyBytes::new_with(py, 4 * numbers.len(), |bytes| {
                for (to, from) in bytes.chunks_exact_mut(4).zip(numbers.iter()) {
                    to.copy_from_slice(&from.to_ne_bytes());
                }
                Ok(())
            })
        };
        optimizer.slots().map(|(name, values)| Ok((name.to_owned(), bytes(values)?))).collect()
    }

    fn reset(&self) -> PyResult<()> {
        self.locked()?.reset();
        Ok(())
    }

    /// The state as a safetensors file.
    fn save<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let mut optimizer = self.locked()?;
        let optimizer = &mut *optimizer;
        let bytes = py.detach(|| optimizer.save_bytes()).map_err(Raise::raise)?;
        Ok(PyBytes::new(py, &bytes))
    }

    fn load(&self, py: Python<'_>, bytes: &[u8]) -> PyResult<()> {
        let mut optimizer = self.locked()?;
        let optimizer = &mut *optimizer;
        py.detach(|| optimizer.load_bytes(bytes)).map_err(Raise::raise)
    }
}

/// Where the numbers of an array of NumPy lie.
struct View {
    address: usize,
    /// Empty where it is the one that was asked for.
    shape: Vec<usize>,
    length: usize,
    storage: Storage,
    read_only: bool,
    /// Keeps the memory, where it is another library's.
    owner: Option<Py<PyAny>>,
}

/// The classes of arrays that are taken, and the way to what they say of their memory: NumPy's own,
/// whatever a class derived from them says.
struct NumPy {
    array: Py<PyType>,
    mapped: Py<PyType>,
    interface: Py<PyAny>,
    /// The type of f32 numbers.
    single: Py<PyAny>,
    /// Whether arrays lie in memory as [`Fields`] says.
    has_fields: bool,
}

/// The beginning of an array of NumPy in memory, which code that is compiled against NumPy reads
/// too: it is the same in all of its releases.
#[repr(C)]
struct Fields {
    head: pyo3::ffi::PyObject,
    data: usize,
    dimension_count: c_int,
    dimensions: *const isize,
    strides: *const isize,
    base: *mut pyo3::ffi::PyObject,
    kind: *mut pyo3::ffi::PyObject,
    flags: c_int,
}

/// `NPY_ARRAY_C_CONTIGUOUS`, `NPY_ARRAY_ALIGNED` and `NPY_ARRAY_WRITEABLE`.
const CONTIGUOUS: c_int = 0x1;
const ALIGNED: c_int = 0x100;
const WRITABLE: c_int = 0x400;

impl NumPy {
    /// Whether arrays are as [`Fields`] says: for two of them that differ in all that is read.
    fn check_fields(&self, module: &Bound<'_, PyModule>) -> PyResult<bool> {
        let py = module.py();
        let size: usize = self.array.bind(py).getattr("__basicsize__")?.extract()?;
        if size < size_of::<Fields>() {
            return Ok(false);
        }
        let array = module.call_method1("zeros", ((2, 3), self.single.bind(py)))?;
        let turned = array.getattr("T")?;
        let copy = module.call_method1("zeros", (4,))?;
        copy.call_method1("setflags", (false,))?;
        let agrees = |array: &Bound<'_, PyAny>, shape: &[isize], flags: c_int| -> PyResult<bool> {
            // SAFETY: the array is NumPy's own class, whose objects are at least as long.
            let fields = unsafe { &*array.as_ptr().cast::<Fields>() };
            let data = array.getattr("ctypes")?.getattr("data")?.extract::<usize>()?;
            Ok(fields.data == data
                && usize::try_from(fields.dimension_count) == Ok(shape.len())
                && fields.kind == array.getattr("dtype")?.as_ptr()
                && fields.flags & (CONTIGUOUS | ALIGNED | WRITABLE) == flags
                // SAFETY: what was read before is right, so this is too: one length for each axis.
                && unsafe { std::slice::from_raw_parts(fields.dimensions, shape.len()) } == shape)
        };
        Ok(agrees(&array, &[2, 3], CONTIGUOUS | ALIGNED | WRITABLE)?
            && agrees(&turned, &[3, 2], ALIGNED | WRITABLE)?
            && agrees(&copy, &[4], CONTIGUOUS | ALIGNED)?)
    }

    /// The numbers of an array that is as most are: f32, contiguous, aligned, of the shape that is
    /// asked for. `None` if it may be otherwise.
    fn usual(&self, array: &Bound<'_, PyAny>, shape: &[usize]) -> Option<View> {
        if !self.has_fields || array.get_type_ptr().cast() != self.array.as_ptr() {
            return None;
        }
        // SAFETY: the array is NumPy's own class, of which `check_fields` has seen that its objects
        // begin so. The GIL is held.
        let fields = unsafe { &*array.as_ptr().cast::<Fields>() };
        if fields.kind != self.single.as_ptr()
            || fields.flags & (CONTIGUOUS | ALIGNED) != CONTIGUOUS | ALIGNED
            || usize::try_from(fields.dimension_count) != Ok(shape.len())
        {
            return None;
        }
        let lengths: &[isize] = match shape.len() {
            0 => &[],
            // SAFETY: NumPy keeps one length for each axis.
            count => unsafe { std::slice::from_raw_parts(fields.dimensions, count) },
        };
        if !lengths.iter().zip(shape).all(|(a, b)| usize::try_from(*a) == Ok(*b)) {
            return None;
        }
        Some(View {
            address: fields.data,
            shape: Vec::new(),
            length: shape.iter().product(),
            storage: Storage::F32,
            read_only: fields.flags & WRITABLE == 0,
            owner: None,
        })
    }
}

static NUMPY: PyOnceLock<NumPy> = PyOnceLock::new();

fn numpy(py: Python<'_>) -> PyResult<&NumPy> {
    NUMPY.get_or_try_init(py, || {
        let module = py.import("numpy")?;
        let array = module.getattr("ndarray")?.cast_into::<PyType>()?;
        let mut numpy = NumPy {
            single: module.call_method1("dtype", ("float32",))?.unbind(),
            has_fields: false,
            mapped: module.getattr("memmap")?.cast_into::<PyType>()?.unbind(),
            interface: array.getattr("__array_interface__")?.getattr("__get__")?.unbind(),
            array: array.unbind(),
        };
        numpy.has_fields = numpy.check_fields(&module)?;
        Ok(numpy)
    })
}

impl View {
    /// The numbers of an array, which must have the shape that is asked for. `role` and `name` say
    /// what it is.
    fn of(
        array: &Bound<'_, PyAny>,
        role: &str,
        name: &str,
        asked: Option<&[usize]>,
    ) -> PyResult<View> {
        let py = array.py();
        let numpy = numpy(py)?;
        if let Some(view) = asked.and_then(|shape| numpy.usual(array, shape)) {
            return Ok(view);
        }
        let class = array.get_type();
        if !class.is(numpy.array.bind(py)) && !class.is(numpy.mapped.bind(py)) {
            // Arrays of derived classes may say something else of themselves.
            if !class.is_subclass(numpy.array.bind(py))?
                && let Some(shared) = shared(array, &format!("the {role} {name}"))?
            {
                return View::of_shared(py, shared, role, name, asked);
            }
            return Err(input(format!(
                "the {role} {name} is a {}, and should be a numpy.ndarray, or a tensor in memory that \
                 has DLPack, such as PyTorch's",
                class.fully_qualified_name()?
            )));
        }
        let interface = numpy.interface.bind(py).call1((array,))?.cast_into::<PyDict>()?;
        let item = |key: &str| {
            interface.get_item(key)?.ok_or_else(|| failed(format!("NumPy does not say the {key}")))
        };
        let kind: String = item("typestr")?.extract()?;
        let little = cfg!(target_endian = "little");
        let storage = match kind.as_str() {
            "<f4" if little => Some(Storage::F32),
            ">f4" if !little => Some(Storage::F32),
            // ml_dtypes; NumPy itself has no such type.
            "<V2" | "|V2" | ">V2"
                if array.getattr("dtype")?.getattr("name")?.extract::<String>()? == "bfloat16" =>
            {
                Some(Storage::Bf16)
            }
            _ => None,
        };
        let Some(storage) = storage else {
            return Err(input(format!(
                "the {role} {name} is of the type {}, and should be float32 (x.astype(\"float32\")), or the bfloat16 of ml_dtypes",
                array.getattr("dtype")?.str()?
            )));
        };
        let shape: Vec<usize> = item("shape")?.extract()?;
        check_shape(py, &shape, role, name, asked)?;
        let (address, read_only): (usize, bool) = item("data")?.extract()?;
        let length: usize = shape.iter().product();
        // NumPy gives no strides for an array that is contiguous in the order of C.
        let strided = !item("strides")?.is_none();
        if length > 0 && (strided || address % storage.bytes() != 0) {
            return Err(input(format!(
                "the {role} {name} is not contiguous and aligned in memory; give numpy.ascontiguousarray of it"
            )));
        }
        Ok(View { address, shape, length, storage, read_only, owner: None })
    }

    /// The same of a tensor of another library.
    fn of_shared(
        py: Python<'_>,
        shared: Shared,
        role: &str,
        name: &str,
        asked: Option<&[usize]>,
    ) -> PyResult<View> {
        let Shared { address, shape, storage, is_contiguous, read_only, capsule } = shared;
        check_shape(py, &shape, role, name, asked)?;
        let length: usize = shape.iter().product();
        if length > 0 && (!is_contiguous || address == 0 || address % storage.bytes() != 0) {
            return Err(input(format!(
                "the {role} {name} is not contiguous and aligned in memory; give x.contiguous()"
            )));
        }
        Ok(View { address, shape, length, storage, read_only, owner: Some(capsule) })
    }

    /// The same of an array that is written to.
    fn of_weights(array: &Bound<'_, PyAny>, name: &str, asked: Option<&[usize]>) -> PyResult<View> {
        let view = View::of(array, "array", name, asked)?;
        if view.read_only {
            return Err(input(format!("the array {name} is read-only; step a copy of it")));
        }
        if view.owner.is_none() {
            // It is NumPy's own.
            return Ok(view);
        }
        let library = array.get_type().getattr("__module__")?.to_string();
        for (immutable, instead) in [("jax", "symopt.optax"), ("tensorflow", "symopt.keras")] {
            if library.starts_with(immutable) {
                return Err(input(format!(
                    "the array {name} is one of {immutable}, which nobody may write to; {instead} has \
                     programs for these"
                )));
            }
        }
        Ok(view)
    }

    /// The bytes of memory, as addresses.
    fn range(&self) -> (usize, usize) {
        (self.address, self.address + self.length * self.storage.bytes())
    }

    /// # Safety
    /// The array is alive and of the type and length that it had when the view was made, and nothing
    /// writes to it for the lifetime.
    unsafe fn values<'a>(&self) -> Values<'a> {
        if self.length == 0 {
            return match self.storage {
                Storage::F32 => Values::F32(&[]),
                Storage::Bf16 => Values::Bf16(&[]),
            };
        }
        let (address, length) = (self.address, self.length);
        match self.storage {
            // SAFETY: as the caller has promised; `View::of` has checked the alignment.
            Storage::F32 => unsafe {
                Values::F32(std::slice::from_raw_parts(address as *const f32, length))
            },
            // SAFETY: as above. All bit patterns are numbers.
            Storage::Bf16 => unsafe {
                Values::Bf16(std::slice::from_raw_parts(address as *const bf16, length))
            },
        }
    }

    /// # Safety
    /// As [`View::values`], and nothing reads it either, and it is writable.
    unsafe fn values_mut<'a>(&self) -> ValuesMut<'a> {
        if self.length == 0 {
            return match self.storage {
                Storage::F32 => ValuesMut::F32(&mut []),
                Storage::Bf16 => ValuesMut::Bf16(&mut []),
            };
        }
        let (address, length) = (self.address, self.length);
        match self.storage {
            // SAFETY: as the caller has promised; `View::of` has checked the alignment.
            Storage::F32 => unsafe {
                ValuesMut::F32(std::slice::from_raw_parts_mut(address as *mut f32, length))
            },
            // SAFETY: as above. All bit patterns are numbers.
            Storage::Bf16 => unsafe {
                ValuesMut::Bf16(std::slice::from_raw_parts_mut(address as *mut bf16, length))
            },
        }
    }
}

fn check_shape(
    py: Python<'_>,
    shape: &[usize],
    role: &str,
    name: &str,
    asked: Option<&[usize]>,
) -> PyResult<()> {
    match asked {
        Some(asked) if shape != asked => Err(input(format!(
            "the {role} {name} has the shape {}, and should have {}",
            PyTuple::new(py, shape)?.repr()?,
            PyTuple::new(py, asked)?.repr()?
        ))),
        _ => Ok(()),
    }
}

/// Refuses arrays that share memory, if one of them is written to: names, arrays, and whether they
/// are.
fn check_overlaps<'a>(views: impl Iterator<Item = (&'a str, &'a View, bool)>) -> PyResult<()> {
    let mut ranges: Vec<_> =
        views.map(|(name, view, is_written)| (view.range(), name, is_written)).collect();
    ranges.retain(|((start, end), ..)| start < end);
    ranges.sort_unstable();
    // The ranges that begin before and reach furthest: of weights, and of any array.
    let (mut written, mut any) = (None::<(usize, &str)>, None::<(usize, &str)>);
    for ((start, end), name, is_written) in ranges {
        let before = if is_written { any } else { written };
        if let Some((_, other)) = before.filter(|(reach, _)| *reach > start) {
            return Err(input(if other == name {
                format!(
                    "the array {name} and its gradient share memory; give a copy of one of them"
                )
            } else {
                format!(
                    "the arrays {other} and {name}, or their gradients, share memory; give copies"
                )
            }));
        }
        let further = |old: Option<(usize, &str)>| old.is_none_or(|(reach, _)| reach < end);
        if further(any) {
            any = Some((end, name));
        }
        if is_written && further(written) {
            written = Some((end, name));
        }
    }
    Ok(())
}
