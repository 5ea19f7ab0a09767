//! The table of operators: which function reads which.

use super::source::{Reading, Source};
use crate::error::Result;
use crate::op::{Binary, Compare, Op, Reduction, Variadic};

impl Source<'_> {
    /// Reads the node.
    pub(super) fn read(&self) -> Result<Reading> {
        let reading = self.read_operator()?;
        self.check_attributes()?;
        Ok(reading)
    }

    fn read_operator(&self) -> Result<Reading> {
        if let Some(unary) = self.unary()? {
            return self.unary_node(unary);
        }
        match self.op_type() {
            "Constant" => self.constant_node(),
            "ConstantOfShape" => self.constant_of_shape(),
            "Shape" => self.shape_of(),
            "Size" => self.size_of(),
            "Identity" => self.identity(),
            "Dropout" => self.dropout(),
            "Cast" => self.cast_to(),
            "CastLike" => self.cast(self.element(1)?),
            "Clip" => self.clip(),
            "Where" => self.select(),

            "Add" => self.binary(Binary::Add),
            "Sub" => self.binary(Binary::Sub),
            "Mul" => self.binary(Binary::Mul),
            "Div" => self.binary(Binary::Div),
            "Pow" => self.binary(Binary::Pow),
            "PRelu" => self.binary(Binary::PRelu),
            "And" => self.binary(Binary::And),
            "Or" => self.binary(Binary::Or),
            "Xor" => self.binary(Binary::Xor),
            "Mod" => self.binary(Binary::Mod {
                fmod: self.flag("fmod", false)?,
            }),
            "Sum" => self.variadic(Variadic::Sum),
            "Mean" => self.variadic(Variadic::Mean),
            "Max" => self.variadic(Variadic::Max),
            "Min" => self.variadic(Variadic::Min),
            "Equal" => self.compare(Compare::Equal),
            "Less" => self.compare(Compare::Less),
            "LessOrEqual" => self.compare(Compare::LessOrEqual),
            "Greater" => self.compare(Compare::Greater),
            "GreaterOrEqual" => self.compare(Compare::GreaterOrEqual),

            "Conv" => self.conv(),
            "ConvTranspose" => self.conv_transpose(),
            "Gemm" => self.gemm(),
            "MatMul" => self.matmul(),
            "BatchNormalization" => self.batch_normalization(),
            "InstanceNormalization" => self.instance_normalization(),
            "GroupNormalization" => self.group_normalization(),
            "LayerNormalization" => self.layer_normalization(),
            "LRN" => self.lrn(),
            "LpNormalization" => self.lp_normalization(),
            "MaxPool" | "AveragePool" | "LpPool" => self.pool(),
            "GlobalAveragePool" => self.global_pool(Op::GlobalAveragePool),
            "GlobalMaxPool" => self.global_pool(Op::GlobalMaxPool),

            "ReduceSum" => self.reduce(Reduction::Sum),
            "ReduceMean" => self.reduce(Reduction::Mean),
            "ReduceMax" => self.reduce(Reduction::Max),
            "ReduceMin" => self.reduce(Reduction::Min),
            "ReduceProd" => self.reduce(Reduction::Prod),
            "ReduceL1" => self.reduce(Reduction::L1),
            "ReduceL2" => self.reduce(Reduction::L2),
            "ReduceLogSum" => self.reduce(Reduction::LogSum),
            "ReduceLogSumExp" => self.reduce(Reduction::LogSumExp),
            "ReduceSumSquare" => self.reduce(Reduction::SumSquare),
            "ArgMax" => self.arg_extreme(false),
            "ArgMin" => self.arg_extreme(true),
            "Softmax" | "LogSoftmax" | "Hardmax" => self.softmax(),
            "CumSum" => self.cum_sum(),

            "Flatten" => self.flatten(),
            "Reshape" => self.reshape(),
            "Squeeze" => self.squeeze(),
            "Unsqueeze" => self.unsqueeze(),
            "Transpose" => self.transpose(),
            "Slice" => self.slice(),
            "Pad" => self.pad(),
            "Concat" => self.concat(),
            "Split" => self.split(),
            "Gather" => self.gather(),
            "GatherElements" => self.gather_elements(),
            "Expand" => self.expand(),
            "Tile" => self.tile(),
            "Resize" | "Upsample" => self.resize(),
            "DepthToSpace" => self.blocks(true),
            "SpaceToDepth" => self.blocks(false),

            "QuantizeLinear" => self.quantize(),
            "DequantizeLinear" => self.dequantize(),
            "DynamicQuantizeLinear" => self.dynamic_quantize(),
            "QLinearConv" => self.qlinear_conv(),
            "QLinearMatMul" => self.qlinear_matmul(),
            "ConvInteger" => self.conv_integer(),
            "MatMulInteger" => self.matmul_integer(),
            _ => Err(self.refuse("this operator is not supported here")),
        }
    }
}
