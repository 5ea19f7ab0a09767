//! Stored tensors: lengths checked against shapes, values as numbers and back.

use std::fmt;

use half::{bf16, f16};
use prost::bytes::Bytes;

use crate::element::ElementType;
use crate::error::{Error, ErrorKind, Result};
use crate::proto::onnx::TensorProto;
use crate::proto::onnx::tensor_proto::{DataLocation, DataType};
use crate::tensor::{Data, Tensor};

fn wrong(tensor: &TensorProto, why: impl fmt::Display) -> Error {
    Error::new(
        ErrorKind::Tensor,
        format!("tensor `{}` {why}", tensor.name()),
    )
}

/// The shape, each extent checked to be a size and their product to fit.
pub fn shape(tensor: &TensorProto) -> Result<Vec<usize>> {
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

/// Whether the data lies in another file.
pub fn is_external(tensor: &TensorProto) -> bool {
    tensor.data_location() == DataLocation::External
}

/// How many bytes the tensor takes as `raw_data`.
pub fn raw_length(tensor: &TensorProto) -> Result<usize> {
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
pub fn check(tensor: &TensorProto) -> Result<()> {
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
pub fn floats(tensor: &TensorProto) -> Result<Option<Vec<f32>>> {
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

/// The tensor with typed elements.
///
/// # Errors
///
/// [`ErrorKind::Tensor`] where its data is damaged, [`ErrorKind::Unsupported`]
/// for an element type that [`Data`] has not.
pub fn typed(tensor: &TensorProto) -> Result<Tensor> {
    use DataType as T;
    check(tensor)?;
    let raw = tensor.raw_data.as_ref();
    // Narrow types lie in fields of wider ones where they are not raw.
    let narrow = &tensor.int32_data;
    macro_rules! read {
        ($variant:ident, $bytes:expr, $field:expr) => {
            Data::$variant(match raw {
                Some(raw) => chunks(raw).map($bytes).collect(),
                None => $field.collect(),
            })
        };
    }
    let data = match T::try_from(tensor.data_type()) {
        Ok(T::Float) => read!(
            Float32,
            f32::from_le_bytes,
            tensor.float_data.iter().copied()
        ),
        Ok(T::Double) => read!(
            Float64,
            f64::from_le_bytes,
            tensor.double_data.iter().copied()
        ),
        Ok(T::Float16) => read!(
            Float16,
            f16::from_le_bytes,
            narrow.iter().map(|v| f16::from_bits(*v as u16))
        ),
        Ok(T::Bfloat16) => read!(
            BFloat16,
            bf16::from_le_bytes,
            narrow.iter().map(|v| bf16::from_bits(*v as u16))
        ),
        Ok(T::Uint8) => read!(UInt8, u8::from_le_bytes, narrow.iter().map(|v| *v as u8)),
        Ok(T::Int8) => read!(Int8, i8::from_le_bytes, narrow.iter().map(|v| *v as i8)),
        Ok(T::Uint16) => read!(UInt16, u16::from_le_bytes, narrow.iter().map(|v| *v as u16)),
        Ok(T::Int16) => read!(Int16, i16::from_le_bytes, narrow.iter().map(|v| *v as i16)),
        Ok(T::Int32) => read!(Int32, i32::from_le_bytes, narrow.iter().copied()),
        Ok(T::Int64) => read!(Int64, i64::from_le_bytes, tensor.int64_data.iter().copied()),
        Ok(T::Uint32) => read!(
            UInt32,
            u32::from_le_bytes,
            tensor.uint64_data.iter().map(|v| *v as u32)
        ),
        Ok(T::Uint64) => read!(
            UInt64,
            u64::from_le_bytes,
            tensor.uint64_data.iter().copied()
        ),
        Ok(T::Bool) => read!(Bool, |b: [u8; 1]| b[0] != 0, narrow.iter().map(|v| *v != 0)),
        _ => {
            let element = ElementType::from_onnx(tensor.data_type());
            let why = format!(
                "tensor `{}` is of {element}, which is not supported",
                tensor.name()
            );
            return Err(Error::new(ErrorKind::Unsupported, why));
        }
    };
    Tensor::new(shape(tensor)?, data)
}

/// The elements as integers; `None` for types that are not integers of up to
/// 64 bits, or narrower than 8.
pub fn integers(tensor: &TensorProto) -> Result<Option<Vec<i64>>> {
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

/// A stored tensor of float32.
pub fn from_f32(name: &str, shape: &[usize], values: &[f32]) -> TensorProto {
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    raw(name, shape, DataType::Float, bytes)
}

/// A stored tensor of float16.
pub fn from_f16(name: &str, shape: &[usize], values: &[f16]) -> TensorProto {
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    raw(name, shape, DataType::Float16, bytes)
}

/// A stored tensor of int8.
pub fn from_i8(name: &str, shape: &[usize], values: &[i8]) -> TensorProto {
    raw(
        name,
        shape,
        DataType::Int8,
        values.iter().map(|v| *v as u8).collect(),
    )
}

/// A stored tensor of uint8.
pub fn from_u8(name: &str, shape: &[usize], values: &[u8]) -> TensorProto {
    raw(name, shape, DataType::Uint8, values.to_vec())
}

/// A stored tensor of int32.
pub fn from_i32(name: &str, shape: &[usize], values: &[i32]) -> TensorProto {
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    raw(name, shape, DataType::Int32, bytes)
}

/// A stored tensor of int64.
pub fn from_i64(name: &str, shape: &[usize], values: &[i64]) -> TensorProto {
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    raw(name, shape, DataType::Int64, bytes)
}

/// Replaces the elements of a float32, float16 or bfloat16 tensor, keeping
/// its type.
///
/// # Errors
///
/// [`ErrorKind::Tensor`] where a value cannot be represented in that type.
pub fn store(tensor: &mut TensorProto, values: &[f32]) -> Result<()> {
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
