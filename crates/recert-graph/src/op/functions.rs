//! Functions of numbers: of one, of two, of several, and along axes.

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Unary {
    /// `|x|`.
    Abs,
    /// Inverse cosine.
    Acos,
    /// Inverse hyperbolic cosine.
    Acosh,
    /// Inverse sine.
    Asin,
    /// Inverse hyperbolic sine.
    Asinh,
    /// Inverse tangent.
    Atan,
    /// Inverse hyperbolic tangent.
    Atanh,
    /// Rounding up.
    Ceil,
    /// `max(0, x) + min(0, alpha (exp(x / alpha) - 1))`.
    Celu {
        /// As above.
        alpha: f32,
    },
    /// Cosine.
    Cos,
    /// Hyperbolic cosine.
    Cosh,
    /// `x` where `x >= 0`, else `alpha (exp(x) - 1)`.
    Elu {
        /// As above.
        alpha: f32,
    },
    /// The error function.
    Erf,
    /// The exponential.
    Exp,
    /// Rounding down.
    Floor,
    /// `x Phi(x)`, or its approximation by the hyperbolic tangent.
    Gelu {
        /// Whether approximated.
        tanh: bool,
    },
    /// `max(0, min(1, alpha x + beta))`.
    HardSigmoid {
        /// As above.
        alpha: f32,
        /// As above.
        beta: f32,
    },
    /// `x max(0, min(1, x / 6 + 1 / 2))`.
    HardSwish,
    /// Whether infinite.
    IsInf {
        /// Whether minus infinity counts.
        negative: bool,
        /// Whether infinity counts.
        positive: bool,
    },
    /// Whether not a number.
    IsNan,
    /// `x` where `x >= 0`, else `alpha x`.
    LeakyRelu {
        /// As above.
        alpha: f32,
    },
    /// The natural logarithm.
    Log,
    /// `x tanh(log(1 + exp(x)))`.
    Mish,
    /// `-x`.
    Neg,
    /// Not, of truth values.
    Not,
    /// `1 / x`.
    Reciprocal,
    /// `max(0, x)`.
    Relu,
    /// To the nearest integer, half to even.
    Round,
    /// `gamma x` where `x > 0`, else `gamma alpha (exp(x) - 1)`.
    Selu {
        /// As above.
        alpha: f32,
        /// As above.
        gamma: f32,
    },
    /// `x + bias` below `-lambd`, `x - bias` above `lambd`, else 0.
    Shrink {
        /// As above.
        bias: f32,
        /// As above.
        lambd: f32,
    },
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// -1, 0 or 1.
    Sign,
    /// Sine.
    Sin,
    /// Hyperbolic sine.
    Sinh,
    /// `log(1 + exp(x))`.
    Softplus,
    /// `x / (1 + |x|)`.
    Softsign,
    /// The square root.
    Sqrt,
    /// Tangent.
    Tan,
    /// Hyperbolic tangent.
    Tanh,
    /// `x` where `x > alpha`, else 0.
    ThresholdedRelu {
        /// As above.
        alpha: f32,
    },
}

/// A function of two numbers of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Binary {
    /// The sum.
    Add,
    /// The difference.
    Sub,
    /// The product.
    Mul,
    /// The quotient; of integers towards zero.
    Div,
    /// The remainder: with the divisor's sign, or as C's `fmod`.
    Mod {
        /// Whether as C's `fmod`.
        fmod: bool,
    },
    /// The power; the exponent may be of another type.
    Pow,
    /// `x` where `x >= 0`, else `x` times the second number.
    PRelu,
    /// And, of truth values.
    And,
    /// Or, of truth values.
    Or,
    /// Exclusive or, of truth values.
    Xor,
}

/// A function of any number of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Variadic {
    /// The sum.
    Sum,
    /// The mean.
    Mean,
    /// The largest.
    Max,
    /// The smallest.
    Min,
}

/// A comparison of two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// `=`.
    Equal,
    /// `<`.
    Less,
    /// `<=`.
    LessOrEqual,
    /// `>`.
    Greater,
    /// `>=`.
    GreaterOrEqual,
}

/// What axes are reduced by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reduction {
    /// The sum.
    Sum,
    /// The mean.
    Mean,
    /// The largest.
    Max,
    /// The smallest.
    Min,
    /// The product.
    Prod,
    /// The sum of magnitudes.
    L1,
    /// The Euclidean norm.
    L2,
    /// The logarithm of the sum.
    LogSum,
    /// The logarithm of the sum of exponentials.
    LogSumExp,
    /// The sum of squares.
    SumSquare,
}

impl Unary {
    /// ONNX's name of the operator.
    pub fn name(self) -> &'static str {
        match self {
            Self::Abs => "Abs",
            Self::Acos => "Acos",
            Self::Acosh => "Acosh",
            Self::Asin => "Asin",
            Self::Asinh => "Asinh",
            Self::Atan => "Atan",
            Self::Atanh => "Atanh",
            Self::Ceil => "Ceil",
            Self::Celu { .. } => "Celu",
            Self::Cos => "Cos",
            Self::Cosh => "Cosh",
            Self::Elu { .. } => "Elu",
            Self::Erf => "Erf",
            Self::Exp => "Exp",
            Self::Floor => "Floor",
            Self::Gelu { .. } => "Gelu",
            Self::HardSigmoid { .. } => "HardSigmoid",
            Self::HardSwish => "HardSwish",
            Self::IsInf { .. } => "IsInf",
            Self::IsNan => "IsNaN",
            Self::LeakyRelu { .. } => "LeakyRelu",
            Self::Log => "Log",
            Self::Mish => "Mish",
            Self::Neg => "Neg",
            Self::Not => "Not",
            Self::Reciprocal => "Reciprocal",
            Self::Relu => "Relu",
            Self::Round => "Round",
            Self::Selu { .. } => "Selu",
            Self::Shrink { .. } => "Shrink",
            Self::Sigmoid => "Sigmoid",
            Self::Sign => "Sign",
            Self::Sin => "Sin",
            Self::Sinh => "Sinh",
            Self::Softplus => "Softplus",
            Self::Softsign => "Softsign",
            Self::Sqrt => "Sqrt",
            Self::Tan => "Tan",
            Self::Tanh => "Tanh",
            Self::ThresholdedRelu { .. } => "ThresholdedRelu",
        }
    }
}

impl Binary {
    /// ONNX's name of the operator.
    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "Add",
            Self::Sub => "Sub",
            Self::Mul => "Mul",
            Self::Div => "Div",
            Self::Mod { .. } => "Mod",
            Self::Pow => "Pow",
            Self::PRelu => "PRelu",
            Self::And => "And",
            Self::Or => "Or",
            Self::Xor => "Xor",
        }
    }
}

impl Reduction {
    /// ONNX's name of the operator.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sum => "ReduceSum",
            Self::Mean => "ReduceMean",
            Self::Max => "ReduceMax",
            Self::Min => "ReduceMin",
            Self::Prod => "ReduceProd",
            Self::L1 => "ReduceL1",
            Self::L2 => "ReduceL2",
            Self::LogSum => "ReduceLogSum",
            Self::LogSumExp => "ReduceLogSumExp",
            Self::SumSquare => "ReduceSumSquare",
        }
    }
}

impl Variadic {
    /// ONNX's name of the operator.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sum => "Sum",
            Self::Mean => "Mean",
            Self::Max => "Max",
            Self::Min => "Min",
        }
    }
}

impl Compare {
    /// ONNX's name of the operator.
    pub fn name(self) -> &'static str {
        match self {
            Self::Equal => "Equal",
            Self::Less => "Less",
            Self::LessOrEqual => "LessOrEqual",
            Self::Greater => "Greater",
            Self::GreaterOrEqual => "GreaterOrEqual",
        }
    }
}
