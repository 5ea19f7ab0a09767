//! Dense tensors of every element type that networks hold.

use half::{bf16, f16};

use crate::element::ElementType;
use crate::error::{Error, ErrorKind, Result};

/// A row-major tensor: as many elements as its shape asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Data,
}

/// A tensor's elements.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// IEEE 754 binary32.
    Float32(Vec<f32>),
    /// IEEE 754 binary16.
    Float16(Vec<f16>),
    /// The upper half of a binary32.
    BFloat16(Vec<bf16>),
    /// IEEE 754 binary64.
    Float64(Vec<f64>),
    /// Unsigned 8-bit integers.
    UInt8(Vec<u8>),
    /// Signed 8-bit integers.
    Int8(Vec<i8>),
    /// Unsigned 16-bit integers.
    UInt16(Vec<u16>),
    /// Signed 16-bit integers.
    Int16(Vec<i16>),
    /// Unsigned 32-bit integers.
    UInt32(Vec<u32>),
    /// Signed 32-bit integers.
    Int32(Vec<i32>),
    /// Unsigned 64-bit integers.
    UInt64(Vec<u64>),
    /// Signed 64-bit integers.
    Int64(Vec<i64>),
    /// Truth values.
    Bool(Vec<bool>),
}

/// Evaluates `$body` with `$values` bound to the vector of whatever type.
#[macro_export]
macro_rules! with_data {
    ($data:expr, $values:ident => $body:expr) => {
        match $data {
            $crate::Data::Float32($values) => $body,
            $crate::Data::Float16($values) => $body,
            $crate::Data::BFloat16($values) => $body,
            $crate::Data::Float64($values) => $body,
            $crate::Data::UInt8($values) => $body,
            $crate::Data::Int8($values) => $body,
            $crate::Data::UInt16($values) => $body,
            $crate::Data::Int16($values) => $body,
            $crate::Data::UInt32($values) => $body,
            $crate::Data::Int32($values) => $body,
            $crate::Data::UInt64($values) => $body,
            $crate::Data::Int64($values) => $body,
            $crate::Data::Bool($values) => $body,
        }
    };
}

/// As [`with_data`], the result being data of the same type.
#[macro_export]
macro_rules! map_data {
    ($data:expr, $values:ident => $body:expr) => {
        match $data {
            $crate::Data::Float32($values) => $crate::Data::Float32($body),
            $crate::Data::Float16($values) => $crate::Data::Float16($body),
            $crate::Data::BFloat16($values) => $crate::Data::BFloat16($body),
            $crate::Data::Float64($values) => $crate::Data::Float64($body),
            $crate::Data::UInt8($values) => $crate::Data::UInt8($body),
            $crate::Data::Int8($values) => $crate::Data::Int8($body),
            $crate::Data::UInt16($values) => $crate::Data::UInt16($body),
            $crate::Data::Int16($values) => $crate::Data::Int16($body),
            $crate::Data::UInt32($values) => $crate::Data::UInt32($body),
            $crate::Data::Int32($values) => $crate::Data::Int32($body),
            $crate::Data::UInt64($values) => $crate::Data::UInt64($body),
            $crate::Data::Int64($values) => $crate::Data::Int64($body),
            $crate::Data::Bool($values) => $crate::Data::Bool($body),
        }
    };
}

impl Data {
    /// The number of elements.
    pub fn len(&self) -> usize {
        with_data!(self, values => values.len())
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The type of the elements.
    pub fn element(&self) -> ElementType {
        match self {
            Self::Float32(_) => ElementType::Float32,
            Self::Float16(_) => ElementType::Float16,
            Self::BFloat16(_) => ElementType::BFloat16,
            Self::Float64(_) => ElementType::Float64,
            Self::UInt8(_) => ElementType::UInt8,
            Self::Int8(_) => ElementType::Int8,
            Self::UInt16(_) => ElementType::UInt16,
            Self::Int16(_) => ElementType::Int16,
            Self::UInt32(_) => ElementType::UInt32,
            Self::Int32(_) => ElementType::Int32,
            Self::UInt64(_) => ElementType::UInt64,
            Self::Int64(_) => ElementType::Int64,
            Self::Bool(_) => ElementType::Bool,
        }
    }
}

impl Tensor {
    /// A tensor of this shape.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Tensor`] where the shape asks for another number of
    /// elements.
    pub fn new(shape: Vec<usize>, data: Data) -> Result<Self> {
        let count = shape.iter().try_fold(1_usize, |n, &d| n.checked_mul(d));
        if count != Some(data.len()) {
            let why = format!("{} elements do not fill the shape {shape:?}", data.len());
            return Err(Error::new(ErrorKind::Tensor, why));
        }
        Ok(Self { shape, data })
    }

    /// As [`Tensor::new`], of as many elements as the shape asks for.
    pub(crate) fn filled(shape: Vec<usize>, data: Data) -> Self {
        debug_assert_eq!(shape.iter().product::<usize>(), data.len());
        Self { shape, data }
    }

    /// A tensor without axes, of one float32.
    pub fn scalar(value: f32) -> Self {
        Self {
            shape: Vec::new(),
            data: Data::Float32(vec![value]),
        }
    }

    /// A tensor of one axis, of int64.
    pub fn list(values: Vec<i64>) -> Self {
        Self {
            shape: vec![values.len()],
            data: Data::Int64(values),
        }
    }

    /// The extents, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements, row-major.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The shape and the elements.
    pub fn into_parts(self) -> (Vec<usize>, Data) {
        (self.shape, self.data)
    }

    /// The type of the elements.
    pub fn element(&self) -> ElementType {
        self.data.element()
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The elements, if they are float32.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match &self.data {
            Data::Float32(values) => Some(values),
            _ => None,
        }
    }

    /// Elements of a floating-point type as float32: exact for float32,
    /// float16 and bfloat16, to nearest for float64. `None` for other types.
    pub fn to_f32(&self) -> Option<Vec<f32>> {
        Some(match &self.data {
            Data::Float32(values) => values.clone(),
            Data::Float16(values) => values.iter().map(|v| v.to_f32()).collect(),
            Data::BFloat16(values) => values.iter().map(|v| v.to_f32()).collect(),
            Data::Float64(values) => values.iter().map(|v| *v as f32).collect(),
            _ => return None,
        })
    }

    /// Elements of an integer type as int64; `None` for other types, and where
    /// a uint64 does not fit.
    pub fn to_i64(&self) -> Option<Vec<i64>> {
        fn wide<T: Copy + Into<i64>>(values: &[T]) -> Vec<i64> {
            values.iter().map(|&value| value.into()).collect()
        }
        Some(match &self.data {
            Data::UInt8(values) => wide(values),
            Data::Int8(values) => wide(values),
            Data::UInt16(values) => wide(values),
            Data::Int16(values) => wide(values),
            Data::UInt32(values) => wide(values),
            Data::Int32(values) => wide(values),
            Data::Int64(values) => values.clone(),
            Data::UInt64(values) => {
                let fitting = values.iter().map(|&value| value.try_into().ok());
                fitting.collect::<Option<_>>()?
            }
            _ => return None,
        })
    }

    /// The one element as float64, of any numeric type; `None` of several, of
    /// truth values, and of integers beyond 2^53.
    pub fn number(&self) -> Option<f64> {
        match &self.data {
            Data::Float64(values) => match values[..] {
                [value] => Some(value),
                _ => None,
            },
            _ if self.len() != 1 => None,
            _ => match (self.to_f32(), self.to_i64()) {
                (Some(values), _) => values.first().map(|&value| value.into()),
                (_, Some(values)) => values
                    .first()
                    .filter(|value| value.unsigned_abs() <= 1 << 53)
                    .map(|&value| value as f64),
                _ => None,
            },
        }
    }

    /// The same elements in another shape.
    ///
    /// # Errors
    ///
    /// As [`Tensor::new`].
    pub fn reshaped(self, shape: Vec<usize>) -> Result<Self> {
        Self::new(shape, self.data)
    }
}
