//! Functions of single elements, of two and of several.

use super::source::{Made, Reading, Size, Source, Taken};
use crate::element::ElementType;
use crate::error::Result;
use crate::op::{Binary, Compare, Op, Unary, Variadic};
use crate::shape::{Extent, Shape};

impl Source<'_> {
    /// The function that the operator is, if it is one of one number.
    pub(super) fn unary(&self) -> Result<Option<Unary>> {
        let float = |name, default| self.float(name, default);
        Ok(Some(match self.op_type() {
            "Abs" => Unary::Abs,
            "Acos" => Unary::Acos,
            "Acosh" => Unary::Acosh,
            "Asin" => Unary::Asin,
            "Asinh" => Unary::Asinh,
            "Atan" => Unary::Atan,
            "Atanh" => Unary::Atanh,
            "Ceil" => Unary::Ceil,
            "Celu" => Unary::Celu {
                alpha: float("alpha", 1.0)?,
            },
            "Cos" => Unary::Cos,
            "Cosh" => Unary::Cosh,
            "Elu" => Unary::Elu {
                alpha: float("alpha", 1.0)?,
            },
            "Erf" => Unary::Erf,
            "Exp" => Unary::Exp,
            "Floor" => Unary::Floor,
            "Gelu" => Unary::Gelu {
                tanh: match self.text("approximate", "none")? {
                    "none" => false,
                    "tanh" => true,
                    other => return Err(self.refuse(format!("its approximation is {other}"))),
                },
            },
            "HardSigmoid" => Unary::HardSigmoid {
                alpha: float("alpha", 0.2)?,
                beta: float("beta", 0.5)?,
            },
            "HardSwish" => Unary::HardSwish,
            "IsInf" => Unary::IsInf {
                negative: self.flag("detect_negative", true)?,
                positive: self.flag("detect_positive", true)?,
            },
            "IsNaN" => Unary::IsNan,
            "LeakyRelu" => Unary::LeakyRelu {
                alpha: float("alpha", 0.01)?,
            },
            "Log" => Unary::Log,
            "Mish" => Unary::Mish,
            "Neg" => Unary::Neg,
            "Not" => Unary::Not,
            "Reciprocal" => Unary::Reciprocal,
            "Relu" => Unary::Relu,
            "Round" => Unary::Round,
            "Selu" => Unary::Selu {
                alpha: float("alpha", 1.673_263_2)?,
                gamma: float("gamma", 1.050_701)?,
            },
            "Shrink" => Unary::Shrink {
                bias: float("bias", 0.0)?,
                lambd: float("lambd", 0.5)?,
            },
            "Sigmoid" => Unary::Sigmoid,
            "Sign" => Unary::Sign,
            "Sin" => Unary::Sin,
            "Sinh" => Unary::Sinh,
            "Softplus" => Unary::Softplus,
            "Softsign" => Unary::Softsign,
            "Sqrt" => Unary::Sqrt,
            "Tan" => Unary::Tan,
            "Tanh" => Unary::Tanh,
            "ThresholdedRelu" => Unary::ThresholdedRelu {
                alpha: float("alpha", 1.0)?,
            },
            _ => return Ok(None),
        }))
    }

    pub(super) fn unary_node(&self, unary: Unary) -> Result<Reading> {
        let element = match unary {
            Unary::IsInf { .. } | Unary::IsNan => ElementType::Bool,
            _ => self.element(0)?,
        };
        Reading::node(Op::Unary(unary), 1, element, self.shape(0)?.clone())
    }

    /// Bounds were attributes before opset 11.
    pub(super) fn clip(&self) -> Result<Reading> {
        let bound = |name, position, none: f64| -> Result<f64> {
            if self.has(name) {
                return Ok(self.float(name, 0.0)?.into());
            }
            Ok(self.number(position)?.unwrap_or(none))
        };
        let op = Op::Clip {
            low: bound("min", 1, f64::NEG_INFINITY)?,
            high: bound("max", 2, f64::INFINITY)?,
        };
        self.like_first(op, 1)
    }

    /// What the inputs from `first` on are broadcast to.
    fn broadcast(&self, first: usize) -> Result<Shape> {
        let mut shape = self.shape(first)?.clone();
        for position in first + 1..self.inputs.len() {
            let other = self.shape(position)?;
            shape = shape.broadcast(other).ok_or_else(|| {
                self.refuse(format!("tensors of shapes {shape} and {other} do not fit"))
            })?;
        }
        Ok(shape)
    }

    pub(super) fn binary(&self, binary: Binary) -> Result<Reading> {
        if let Some(reading) = self.legacy_broadcast(binary)? {
            return Ok(reading);
        }
        if let Some(reading) = self.legacy_slopes(binary)? {
            return Ok(reading);
        }
        let shape = self.broadcast(0)?;
        if binary == Binary::PRelu && shape != *self.shape(0)? {
            return Err(self.refuse("its slope is of more elements than its input"));
        }
        let Reading::Node {
            op,
            inputs,
            mut outputs,
        } = Reading::node(Op::Binary(binary), 2, self.element(0)?, shape)?
        else {
            unreachable!("made above");
        };
        outputs[0].sizes = self.arithmetic(binary);
        Ok(Reading::Node {
            op,
            inputs,
            outputs,
        })
    }

    /// Before opset 7 the second operand was broadcast only if an attribute
    /// stated it, perhaps from an axis on.
    fn legacy_broadcast(&self, binary: Binary) -> Result<Option<Reading>> {
        if self.opset >= 7 || !self.flag("broadcast", false)? || !self.has("axis") {
            return Ok(None);
        }
        let (a, b) = (self.shape(0)?, self.shape(1)?);
        let axis = self.axis(0, a.rank() + 1)?;
        let Some(after) = a.rank().checked_sub(axis + b.rank()) else {
            return Err(self.refuse("its second operand does not fit from its axis on"));
        };
        if after == 0 {
            return Ok(None);
        }
        self.widened(binary, after).map(Some)
    }

    /// Before opset 7 a list of slopes was one a channel.
    fn legacy_slopes(&self, binary: Binary) -> Result<Option<Reading>> {
        let (a, b) = (self.shape(0)?, self.shape(1)?);
        if binary != Binary::PRelu || self.opset >= 7 || b.rank() != 1 || a.rank() <= 2 {
            return Ok(None);
        }
        self.widened(binary, a.rank() - 2).map(Some)
    }

    /// The operator with so many axes of extent 1 behind those of its second operand, which
    /// has to be known.
    fn widened(&self, binary: Binary, after: usize) -> Result<Reading> {
        let a = self.shape(0)?;
        let operand = self.constant(1)?.cloned();
        let operand = operand.ok_or_else(|| self.refuse("it lacks input 1"))?;
        let sizes = [operand.shape(), &vec![1; after]].concat();
        let shape = a.broadcast(&Shape::of(&sizes)).filter(|shape| shape == a);
        let shape = shape.ok_or_else(|| self.refuse("its second operand does not fit"))?;
        Ok(Reading::Node {
            op: Op::Binary(binary),
            inputs: vec![Taken::Input(0), Taken::Constant(operand.reshaped(sizes)?)],
            outputs: vec![Made {
                element: self.element(0)?,
                shape,
                sizes: None,
            }],
        })
    }

    /// The numbers of two inputs, at least one of which depends on the batch:
    /// lists of one length, or one of them of a single number.
    fn pairs(&self, positions: [usize; 2]) -> Option<Vec<(Size, Size)>> {
        let list = |position: usize| -> Option<Vec<Size>> {
            let given = self.given(position)?;
            match (given.sizes, &given.value.constant) {
                (Some(sizes), _) => Some(sizes.to_vec()),
                (None, Some(tensor)) if tensor.element() == ElementType::Int64 => {
                    Some(tensor.to_i64()?.into_iter().map(Size::Number).collect())
                }
                _ => None,
            }
        };
        let (a, b) = (list(positions[0])?, list(positions[1])?);
        let count = a.len().max(b.len());
        let fits = |list: &[Size]| list.len() == count || list.len() == 1;
        if !fits(&a) || !fits(&b) {
            return None;
        }
        let element_or_only = |list: &[Size], i: usize| list[if list.len() == 1 { 0 } else { i }];
        let pairs = (0..count).map(|i| (element_or_only(&a, i), element_or_only(&b, i)));
        Some(pairs.collect())
    }

    /// Sums and products of numbers that depend on the batch.
    fn arithmetic(&self, binary: Binary) -> Option<Vec<Size>> {
        let pairs = self.pairs([0, 1])?.into_iter();
        let result = |(a, b)| match (binary, a, b) {
            (Binary::Mul, Size::Batch(k), Size::Number(n))
            | (Binary::Mul, Size::Number(n), Size::Batch(k)) => {
                let factor = k.checked_mul(usize::try_from(n).ok()?)?;
                Some(if factor == 0 {
                    Size::Number(0)
                } else {
                    Size::Batch(factor)
                })
            }
            (Binary::Div, Size::Batch(k), Size::Number(n)) => {
                let n = usize::try_from(n).ok().filter(|&n| n > 0 && k % n == 0)?;
                Some(Size::Batch(k / n))
            }
            (Binary::Div, Size::Batch(a), Size::Batch(b)) if a % b == 0 => {
                Some(Size::Number((a / b) as i64))
            }
            (Binary::Add, Size::Batch(a), Size::Batch(b)) => Some(Size::Batch(a.checked_add(b)?)),
            (Binary::Add, Size::Number(a), Size::Number(b)) => a.checked_add(b).map(Size::Number),
            (Binary::Sub, Size::Number(a), Size::Number(b)) => a.checked_sub(b).map(Size::Number),
            (Binary::Mul, Size::Number(a), Size::Number(b)) => a.checked_mul(b).map(Size::Number),
            (Binary::Div, Size::Number(a), Size::Number(b)) => a.checked_div(b).map(Size::Number),
            _ => None,
        };
        pairs.map(result).collect()
    }

    pub(super) fn variadic(&self, variadic: Variadic) -> Result<Reading> {
        let (shape, count) = (self.broadcast(0)?, self.inputs.len());
        Reading::node(Op::Variadic(variadic), count, self.element(0)?, shape)
    }

    pub(super) fn compare(&self, compare: Compare) -> Result<Reading> {
        let shape = self.broadcast(0)?;
        let mut reading = Reading::node(Op::Compare(compare), 2, ElementType::Bool, shape)?;
        if let (Reading::Node { outputs, .. }, Compare::Equal) = (&mut reading, compare) {
            outputs[0].sizes = self.equalities();
        }
        Ok(reading)
    }

    /// Whether numbers are equal whatever the batch is, or none of them is: so
    /// exporters look for the -1 in the shape of `Expand`.
    fn equalities(&self) -> Option<Vec<Size>> {
        let result = |pair| match pair {
            (Size::Number(a), Size::Number(b)) => Some(a == b),
            (Size::Batch(_), Size::Number(n)) | (Size::Number(n), Size::Batch(_)) => {
                (n < 0).then_some(false)
            }
            (Size::Batch(a), Size::Batch(b)) => (a == b).then_some(true),
        };
        let pairs = self.pairs([0, 1])?.into_iter();
        pairs
            .map(|pair| result(pair).map(|equal| Size::Number(equal.into())))
            .collect()
    }

    pub(super) fn select(&self) -> Result<Reading> {
        let shape = self.broadcast(0)?;
        let mut reading = Reading::node(Op::Where, 3, self.element(1)?, shape)?;
        if let Reading::Node { outputs, .. } = &mut reading {
            outputs[0].sizes = self.selected();
        }
        Ok(reading)
    }

    /// The numbers that a known condition chooses of those that depend on the
    /// batch.
    fn selected(&self) -> Option<Vec<Size>> {
        let condition = self.given(0)?.value.constant.as_deref()?;
        let crate::Data::Bool(flags) = condition.data() else {
            return None;
        };
        let pairs = self.pairs([1, 2])?;
        if flags.len() != pairs.len() {
            return None;
        }
        let chosen = flags.iter().zip(pairs);
        Some(
            chosen
                .map(|(&flag, (yes, no))| if flag { yes } else { no })
                .collect(),
        )
    }

    pub(super) fn cast(&self, to: ElementType) -> Result<Reading> {
        let from = self.element(0)?;
        if let ElementType::Other(_) = to {
            return Err(self.refuse(format!("a conversion to {to} is not supported here")));
        }
        let op = if from == to {
            Op::Identity
        } else {
            Op::Cast(to)
        };
        let mut reading = Reading::node(op, 1, to, self.shape(0)?.clone())?;
        if let (Reading::Node { outputs, .. }, Some(given)) = (&mut reading, self.given(0))
            && matches!(to, ElementType::Int32 | ElementType::Int64)
        {
            outputs[0].sizes = given.sizes.map(<[Size]>::to_vec);
        }
        Ok(reading)
    }

    /// A mask that is taken is `true` everywhere. Before opset 7 an attribute
    /// distinguished training from inference, since opset 12 an input may.
    pub(super) fn dropout(&self) -> Result<Reading> {
        if self.opset < 7 && !self.flag("is_test", false)? {
            return Err(self.refuse("it is in training mode"));
        }
        if let Some(mode) = self.constant(2)? {
            let off = matches!(mode.data(), crate::Data::Bool(flags) if flags[..] == [false]);
            if !off {
                return Err(self.refuse("it may be in training mode"));
            }
        }
        let (element, shape) = (self.element(0)?, self.shape(0)?);
        if !self.makes(1) {
            return self.like_first(Op::Identity, 1);
        }
        let mask = if self.opset < 10 {
            element
        } else {
            ElementType::Bool
        };
        let outputs = vec![(element, shape.clone()), (mask, shape.clone())];
        Reading::made(Op::DropoutMask, 1, outputs)
    }

    pub(super) fn expand(&self) -> Result<Reading> {
        let sizes = self.sizes("shape", 1)?;
        let wanted = sizes.and_then(|sizes| extents(&sizes));
        let shape = wanted.and_then(|wanted| self.shape(0).ok()?.broadcast(&wanted));
        let shape = shape.ok_or_else(|| self.refuse("its input does not fit its shape"))?;
        Reading::node(Op::Expand, 1, self.element(0)?, shape)
    }
}

/// The shape of these extents, if all are.
pub(super) fn extents(sizes: &[Size]) -> Option<Shape> {
    sizes
        .iter()
        .map(|&size| match size {
            Size::Number(size) => usize::try_from(size).ok().map(Extent::Fixed),
            Size::Batch(factor) => Some(Extent::Batch(factor)),
        })
        .collect()
}
