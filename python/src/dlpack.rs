//! Tensors of other libraries, by DLPack: where their numbers lie, without a copy.

use std::ffi::c_void;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi::{PyCapsule_GetPointer, PyCapsule_IsValid};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use symopt_evaluator::Storage;

use crate::error::{failed, input};

/// `kDLCPU` and `kDLCUDAHost`.
const IN_MEMORY: [i32; 2] = [1, 3];
/// `kDLFloat` and `kDLBfloat`.
const FLOAT: u8 = 2;
const BFLOAT: u8 = 4;
/// `DLPACK_FLAG_BITMASK_READ_ONLY`.
const READ_ONLY: u64 = 1;
/// Axes of a tensor, at most.
const MOST_AXES: usize = 64;

/// `DLTensor` of the specification.
#[repr(C)]
struct Tensor {
    data: *mut c_void,
    device_type: i32,
    device_id: i32,
    dimension_count: i32,
    code: u8,
    bits: u8,
    lanes: u16,
    shape: *const i64,
    strides: *const i64,
    byte_offset: u64,
}

/// `DLManagedTensorVersioned`; of `DLManagedTensor` the tensor is the first field.
#[repr(C)]
struct Versioned {
    major: u32,
    minor: u32,
    context: *mut c_void,
    deleter: *mut c_void,
    flags: u64,
    tensor: Tensor,
}

/// A tensor that lies in memory as arrays of NumPy do.
pub struct Shared {
    pub address: usize,
    pub shape: Vec<usize>,
    pub storage: Storage,
    pub is_contiguous: bool,
    /// Whether its library says that nobody may write to it. Memory counts as writable if its
    /// library does not say.
    pub read_only: bool,
    /// Keeps the memory.
    pub capsule: Py<PyAny>,
}

/// The tensor of an object; `None` of one that has no DLPack. `what` says what it is.
pub fn shared(array: &Bound<'_, PyAny>, what: &str) -> PyResult<Option<Shared>> {
    let py = array.py();
    if !array.hasattr("__dlpack__")? {
        return Ok(None);
    }
    let given = PyDict::new(py);
    given.set_item("max_version", (1, 0))?;
    let capsule = match array.call_method("__dlpack__", (), Some(&given)) {
        // From before there were versions.
        Err(error) if error.is_instance_of::<PyTypeError>(py) => array.call_method0("__dlpack__"),
        capsule => capsule,
    };
    let capsule = capsule
        .map_err(|error| input(format!("{what} can't be shared by DLPack: {}", error.value(py))))?;
    let pointer = |name: &std::ffi::CStr| {
        // SAFETY: the GIL is held; both functions take any object.
        unsafe {
            match PyCapsule_IsValid(capsule.as_ptr(), name.as_ptr()) {
                1 => Some(PyCapsule_GetPointer(capsule.as_ptr(), name.as_ptr())),
                _ => None,
            }
        }
    };
    let (tensor, read_only): (&Tensor, bool) = if let Some(found) = pointer(c"dltensor_versioned") {
        // SAFETY: a capsule of this name holds such a struct, for as long as it lives. The version
        // comes first whatever it is.
        let major = unsafe { *found.cast::<u32>() };
        if major != 1 {
            return Err(input(format!("{what} has version {major} of DLPack, and should have 1")));
        }
        // SAFETY: as above, of version 1.
        let versioned = unsafe { &*found.cast::<Versioned>() };
        (&versioned.tensor, versioned.flags & READ_ONLY != 0)
    } else if let Some(found) = pointer(c"dltensor") {
        // SAFETY: a capsule of this name holds a struct that begins so, for as long as it lives.
        (unsafe { &*found.cast::<Tensor>() }, false)
    } else {
        return Err(failed(format!("{what} gives no capsule of DLPack")));
    };
    if !IN_MEMORY.contains(&tensor.device_type) {
        return Err(input(format!(
            "{what} lies on a device, and should lie in the memory of the CPU (x.cpu())"
        )));
    }
    let storage = match (tensor.code, tensor.bits, tensor.lanes) {
        (FLOAT, 32, 1) => Storage::F32,
        (BFLOAT, 16, 1) => Storage::Bf16,
        _ => {
            let kind = array.getattr("dtype").and_then(|kind| kind.str().map(|s| s.to_string()));
            return Err(input(format!(
                "{what} is of the type {}, and should be float32 or bfloat16",
                kind.unwrap_or_else(|_| "of another library".to_owned())
            )));
        }
    };
    let axes = usize::try_from(tensor.dimension_count).unwrap_or(usize::MAX);
    if axes > MOST_AXES {
        return Err(input(format!("{what} has more than {MOST_AXES} axes")));
    }
    let numbers = |from: *const i64| -> &[i64] {
        match axes {
            0 => &[],
            // SAFETY: the specification has one number for each axis there.
            _ => unsafe { std::slice::from_raw_parts(from, axes) },
        }
    };
    let lengths = numbers(tensor.shape);
    let shape: Vec<usize> = lengths.iter().map(|n| usize::try_from(*n).unwrap_or(0)).collect();
    let mut dense = 1;
    let is_contiguous = tensor.strides.is_null()
        || numbers(tensor.strides).iter().zip(lengths).rev().all(|(stride, length)| {
            let fits = *length == 1 || *stride == dense;
            dense *= length;
            fits
        });
    let address = (tensor.data as usize).wrapping_add(tensor.byte_offset as usize);
    Ok(Some(Shared {
        address,
        shape,
        storage,
        is_contiguous,
        read_only,
        capsule: capsule.unbind(),
    }))
}
