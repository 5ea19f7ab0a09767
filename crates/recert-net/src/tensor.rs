//! Stored tensors: element types, lengths checked against shapes, values as
//! numbers and back.

use std::fmt;

use half::{bf16, f16};
use prost::bytes::Bytes;

use crate::error::{Error, ErrorKind, Result};
use crate::proto::onnx::TensorProto;
use crate::proto::onnx::tensor_proto::{DataLocation, DataType};

/// The type of a tensor's elements, as ONNX numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ElementType {
    /// IEEE 754 binary32.
    Float32,
    /// IEEE 754 binary16.
    Float16,
    /// The upper half of a binary32.
    BFloat16,
    /// IEEE 754 binary64.
    Float64,
    /// Unsigned 8-bit integers.
    UInt8,
    /// Signed 8-bit integers.
    Int8,
    /// Signed 32-bit integers.
    Int32,
    /// Signed 64-bit integers.
    Int64,
    /// Truth values.
    Bool,
    /// Any other type, by the number of ONNX's `TensorProto.DataType`.
    Other(i32),
}

impl ElementType {
    pub(crate) fn from_onnx(number: i32) -> Self {
        match DataType::try_from(number) {
            Ok(DataType::Float) => ElementType::Float32,
            Ok(DataType::Float16) => ElementType::Float16,
            Ok(DataType::Bfloat16) => ElementType::BFloat16,
            Ok(DataType::Double) => ElementType::Float64,
            Ok(DataType::Uint8) => ElementType::UInt8,
            Ok(DataType::Int8) => ElementType::Int8,
            Ok(DataType::Int32) => ElementType::Int32,
            Ok(DataType::Int64) => ElementType::Int64,
            Ok(DataType::Bool) => ElementType::Bool,
            _ => ElementType::Other(number),
        }
    }

    /// Whether the elements are floating-point numbers of a common width.
    pub fn is_float(self) -> bool {
        matches!(
            self,
            ElementType::Float32
                | ElementType::Float16
                | ElementType::BFloat16
                | ElementType::Float64
        )
    }

    /// Whether the elements are integers that can number classes.
    pub fn is_integer(self) -> bool {
        matches!(
            self,
            ElementType::UInt8 | ElementType::Int8 | ElementType::Int32 | ElementType::Int64
        )
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            ElementType::Float32 => "float32",
            ElementType::Float16 => "float16",
            ElementType::BFloat16 => "bfloat16",
            ElementType::Float64 => "float64",
            ElementType::UInt8 => "uint8",
            ElementType::Int8 => "int8",
            ElementType::Int32 => "int32",
            ElementType::Int64 => "int64",
            ElementType::Bool => "bool",
            ElementType::Other(number) => return write!(f, "ONNX element type {number}"),
        };
        f.write_str(name)
    }
}

fn wrong(tensor: &TensorProto, why: impl fmt::Display) -> Error {
    Error::new(
        ErrorKind::Tensor,
        format!("tensor `{}` {why}", tensor.name()),
    )
}

/// The shape, each extent checked to be a size and their product to fit.
pub(crate) fn shape(tensor: &TensorProto) -> Result<Vec<usize>> {
    let dims: Option<Vec<usize>> = tensor
        .dims
        .iter()
        .map(|d| usize::try_from(*d).ok())
        .collect();
    let dims = dims.ok_or_else(|| {
        wrong(
            tensor,
            format!("has the impossible shape {:?}", tensor.dims),
        )
    })?;
    // The product of the extents without the zeros, so that [0, 2^63, 2^63]
    // is refused too.
    let product = dims
        .iter()
        .filter(|d| **d > 0)
        .try_fold(1_usize, |n, d| n.checked_mul(*d));
    match product {
        Some(n) if isize::try_from(n).is_ok() => Ok(dims),
        _ => Err(wrong(tensor, format!("has the absurd shape {dims:?}"))),
    }
}

/// How many bits one element takes in `raw_data`; `None` for strings.
fn bits(kind: DataType) -> Option<usize> {
    use DataType as T;
    Some(match kind {
        T::Undefined | T::String => return None,
        T::Uint2 | T::Int2 => 2,
        T::Uint4 | T::Int4 | T::Float4e2m1 => 4,
        T::Float6e2m3 | T::Float6e3m2 => 6,
        T::Uint8
        | T::Int8
        | T::Bool
        | T::Float8e4m3fn
        | T::Float8e4m3fnuz
        | T::Float8e5m2
        | T::Float8e5m2fnuz
        | T::Float8e8m0 => 8,
        T::Uint16 | T::Int16 | T::Float16 | T::Bfloat16 => 16,
        T::Float | T::Int32 | T::Uint32 => 32,
        T::Double | T::Int64 | T::Uint64 | T::Complex64 => 64,
        T::Complex128 => 128,
    })
}

pub(crate) fn is_external(tensor: &TensorProto) -> bool {
    tensor.data_location() == DataLocation::External
}

/// How many bytes the tensor takes as `raw_data`.
pub(crate) fn raw_length(tensor: &TensorProto) -> Result<usize> {
    let count: usize = shape(tensor)?.iter().product();
    let kind = DataType::try_from(tensor.data_type()).unwrap_or(DataType::Undefined);
    let bits = bits(kind).ok_or_else(|| wrong(tensor, "is of a type that has no raw data"))?;
    count
        .checked_mul(bits)
        .map(|bits| bits.div_ceil(8))
        .ok_or_else(|| wrong(tensor, format!("has the absurd shape {:?}", tensor.dims)))
}

/// Checks that the tensor holds exactly the data that its shape and type ask
/// for. Data in another file is not looked at.
pub(crate) fn check(tensor: &TensorProto) -> Result<()> {
    use DataType as T;
    let count: usize = shape(tensor)?.iter().product();
    let kind = match T::try_from(tensor.data_type()) {
        Ok(kind) if kind != T::Undefined => kind,
        _ => {
            return Err(wrong(
                tensor,
                format!("is of the unknown type {}", tensor.data_type()),
            ));
        }
    };
    if tensor.segment.is_some() {
        return Err(wrong(
            tensor,
            "is stored in segments, which no one writes; export the network again",
        ));
    }
    if is_external(tensor) {
        return raw_length(tensor).map(drop);
    }
    let (held, wanted) = match &tensor.raw_data {
        Some(raw) if kind != T::String => (raw.len(), raw_length(tensor)?),
        _ => {
            let per_byte = |bits: usize| count.div_ceil(8 / bits);
            match kind {
                T::Float => (tensor.float_data.len(), count),
                T::Complex64 => (tensor.float_data.len(), count.saturating_mul(2)),
                T::Double => (tensor.double_data.len(), count),
                T::Complex128 => (tensor.double_data.len(), count.saturating_mul(2)),
                T::Int64 => (tensor.int64_data.len(), count),
                T::Uint64 | T::Uint32 => (tensor.uint64_data.len(), count),
                T::String => (tensor.string_data.len(), count),
                T::Uint4 | T::Int4 | T::Float4e2m1 => (tensor.int32_data.len(), per_byte(4)),
                T::Uint2 | T::Int2 => (tensor.int32_data.len(), per_byte(2)),
                _ => (tensor.int32_data.len(), count),
            }
        }
    };
    if held != wanted {
        let shape = &tensor.dims;
        return Err(wrong(
            tensor,
            format!(
                "of shape {shape:?} needs {wanted} units of data but holds {held}; the file is damaged"
            ),
        ));
    }
    Ok(())
}

/// The elements as float32: exact for float32, float16 and bfloat16, to
/// nearest for float64. `None` for other types.
pub(crate) fn floats(tensor: &TensorProto) -> Result<Option<Vec<f32>>> {
    check(tensor)?;
    let short = |tensor: &TensorProto, convert: fn(u16) -> f32| -> Vec<f32> {
        match &tensor.raw_data {
            Some(raw) => chunks(raw)
                .map(|b| convert(u16::from_le_bytes(b)))
                .collect(),
            None => tensor
                .int32_data
                .iter()
                .map(|v| convert(*v as u16))
                .collect(),
        }
    };
    Ok(Some(match DataType::try_from(tensor.data_type()) {
        Ok(DataType::Float) => match &tensor.raw_data {
            Some(raw) => chunks(raw).map(f32::from_le_bytes).collect(),
            None => tensor.float_data.clone(),
        },
        Ok(DataType::Double) => match &tensor.raw_data {
            Some(raw) => chunks(raw).map(|b| f64::from_le_bytes(b) as f32).collect(),
            None => tensor.double_data.iter().map(|v| *v as f32).collect(),
        },
        Ok(DataType::Float16) => short(tensor, |bits| f16::from_bits(bits).to_f32()),
        Ok(DataType::Bfloat16) => short(tensor, |bits| bf16::from_bits(bits).to_f32()),
        _ => return Ok(None),
    }))
}

/// The elements as integers; `None` for types that are not integers of up to
/// 64 bits, or narrower than 8.
pub(crate) fn integers(tensor: &TensorProto) -> Result<Option<Vec<i64>>> {
    check(tensor)?;
    let kind = DataType::try_from(tensor.data_type()).unwrap_or(DataType::Undefined);
    let raw = tensor.raw_data.as_ref();
    Ok(Some(match (kind, raw) {
        (DataType::Int64, Some(raw)) => chunks(raw).map(i64::from_le_bytes).collect(),
        (DataType::Int64, None) => tensor.int64_data.clone(),
        (DataType::Int32, Some(raw)) => chunks(raw).map(|b| i32::from_le_bytes(b).into()).collect(),
        (DataType::Int8, Some(raw)) => raw.iter().map(|b| (*b as i8).into()).collect(),
        (DataType::Uint8, Some(raw)) => raw.iter().map(|b| (*b).into()).collect(),
        (DataType::Int32 | DataType::Int8 | DataType::Uint8, None) => {
            tensor.int32_data.iter().map(|v| (*v).into()).collect()
        }
        _ => return Ok(None),
    }))
}

fn chunks<const N: usize>(raw: &Bytes) -> impl Iterator<Item = [u8; N]> {
    raw.as_chunks::<N>().0.iter().copied()
}

/// A tensor of the given type whose little-endian elements are `raw`.
fn raw(name: &str, shape: &[usize], kind: DataType, raw: Vec<u8>) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        dims: shape.iter().map(|d| *d as i64).collect(),
        data_type: Some(kind.into()),
        raw_data: Some(raw.into()),
        ..TensorProto::default()
    }
}

pub(crate) fn from_f32(name: &str, shape: &[usize], values: &[f32]) -> TensorProto {
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    raw(name, shape, DataType::Float, bytes)
}

pub(crate) fn from_f16(name: &str, shape: &[usize], values: &[f16]) -> TensorProto {
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    raw(name, shape, DataType::Float16, bytes)
}

pub(crate) fn from_i8(name: &str, shape: &[usize], values: &[i8]) -> TensorProto {
    raw(
        name,
        shape,
        DataType::Int8,
        values.iter().map(|v| *v as u8).collect(),
    )
}

pub(crate) fn from_u8(name: &str, shape: &[usize], values: &[u8]) -> TensorProto {
    raw(name, shape, DataType::Uint8, values.to_vec())
}

pub(crate) fn from_i32(name: &str, shape: &[usize], values: &[i32]) -> TensorProto {
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    raw(name, shape, DataType::Int32, bytes)
}

pub(crate) fn from_i64(name: &str, shape: &[usize], values: &[i64]) -> TensorProto {
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    raw(name, shape, DataType::Int64, bytes)
}

/// Replaces the elements of a float32, float16 or bfloat16 tensor, keeping
/// its type.
///
/// # Errors
///
/// [`ErrorKind::Tensor`] where a value cannot be told in that type.
pub(crate) fn store(tensor: &mut TensorProto, values: &[f32]) -> Result<()> {
    let shape = shape(tensor)?;
    let kind = DataType::try_from(tensor.data_type()).unwrap_or(DataType::Undefined);
    let bytes = match kind {
        DataType::Float => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        DataType::Float16 => values
            .iter()
            .flat_map(|v| f16::from_f32(*v).to_le_bytes())
            .collect(),
        DataType::Bfloat16 => values
            .iter()
            .flat_map(|v| bf16::from_f32(*v).to_le_bytes())
            .collect(),
        _ => return Err(wrong(tensor, "is of a type that this rewrite cannot store")),
    };
    let fresh = TensorProto {
        doc_string: tensor.doc_string.clone(),
        metadata_props: tensor.metadata_props.clone(),
        ..raw(tensor.name(), &shape, kind, bytes)
    };
    if floats(&fresh)?.as_deref() != Some(values) {
        return Err(wrong(tensor, "cannot hold the new values in its own type"));
    }
    *tensor = fresh;
    Ok(())
}
