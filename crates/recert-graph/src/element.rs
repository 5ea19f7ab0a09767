//! The types of tensors' elements.

use std::fmt;

use half::{bf16, f16};

use crate::proto::onnx::tensor_proto::DataType;

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
    /// Unsigned 16-bit integers.
    UInt16,
    /// Signed 16-bit integers.
    Int16,
    /// Unsigned 32-bit integers.
    UInt32,
    /// Signed 32-bit integers.
    Int32,
    /// Unsigned 64-bit integers.
    UInt64,
    /// Signed 64-bit integers.
    Int64,
    /// Truth values.
    Bool,
    /// Any other type, by the number of ONNX's `TensorProto.DataType`.
    Other(i32),
}

impl ElementType {
    /// The type that ONNX gives this number.
    pub fn from_onnx(number: i32) -> Self {
        match DataType::try_from(number) {
            Ok(DataType::Float) => Self::Float32,
            Ok(DataType::Float16) => Self::Float16,
            Ok(DataType::Bfloat16) => Self::BFloat16,
            Ok(DataType::Double) => Self::Float64,
            Ok(DataType::Uint8) => Self::UInt8,
            Ok(DataType::Int8) => Self::Int8,
            Ok(DataType::Uint16) => Self::UInt16,
            Ok(DataType::Int16) => Self::Int16,
            Ok(DataType::Uint32) => Self::UInt32,
            Ok(DataType::Int32) => Self::Int32,
            Ok(DataType::Uint64) => Self::UInt64,
            Ok(DataType::Int64) => Self::Int64,
            Ok(DataType::Bool) => Self::Bool,
            _ => Self::Other(number),
        }
    }

    /// Whether the elements are floating-point numbers of a common width.
    pub fn is_float(self) -> bool {
        matches!(
            self,
            Self::Float32 | Self::Float16 | Self::BFloat16 | Self::Float64
        )
    }

    /// Whether this type and another are of floating-point numbers, and the other holds all of this.
    pub fn widens_to(self, other: Self) -> bool {
        match self {
            Self::Float16 | Self::BFloat16 => matches!(other, Self::Float32 | Self::Float64),
            Self::Float32 => other == Self::Float64,
            _ => false,
        }
    }

    /// The number of this type that is nearest to `value`, of two the even one; beyond the
    /// type's range infinite, as ONNX converts. Types that hold every float32, and types
    /// that are no floats, change nothing.
    ///
    /// ```
    /// use recert_graph::ElementType;
    ///
    /// assert_eq!(ElementType::Float16.rounded(0.1), 0.099_975_586);
    /// assert_eq!(ElementType::Float16.rounded(65520.0), f32::INFINITY);
    /// assert_eq!(ElementType::Float64.rounded(0.1), 0.1);
    /// ```
    pub fn rounded(self, value: f32) -> f32 {
        match self {
            Self::Float16 => f16::from_f32(value).to_f32(),
            Self::BFloat16 => bf16::from_f32(value).to_f32(),
            _ => value,
        }
    }

    /// Whether the elements are integers that can number classes.
    pub fn is_integer(self) -> bool {
        matches!(self, Self::UInt8 | Self::Int8 | Self::Int32 | Self::Int64)
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Float32 => "float32",
            Self::Float16 => "float16",
            Self::BFloat16 => "bfloat16",
            Self::Float64 => "float64",
            Self::UInt8 => "uint8",
            Self::Int8 => "int8",
            Self::UInt16 => "uint16",
            Self::Int16 => "int16",
            Self::UInt32 => "uint32",
            Self::Int32 => "int32",
            Self::UInt64 => "uint64",
            Self::Int64 => "int64",
            Self::Bool => "bool",
            Self::Other(8) => "text",
            Self::Other(number) => return write!(f, "ONNX element type {number}"),
        };
        f.write_str(name)
    }
}
