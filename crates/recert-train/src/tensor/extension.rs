//! Operations of this crate as burn's: the bilinear ones of convolutions, whose gradients are
//! operations of the same trait, and the fused ones of [`crate::fused`].

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, backend_extension};
use burn::tensor::{DType, Element, Shape, TensorData};

use crate::convolution::{self, Scalar};
use crate::fused::{Operation, through_relu};
use crate::pool;
use crate::window::Window;

/// What burn's tensors get besides their own operations; all operands are matrices.
#[backend_extension(Flex, Autodiff)]
pub(super) trait Extension: Backend {
    /// `[n, inputs]` and `[m, patch]` to `[n, outputs]`.
    fn convolve(
        x: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self>;

    /// `[n, outputs]` and `[m, patch]` to `[n, inputs]`.
    fn convolve_transposed(
        y: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self>;

    /// `[n, inputs]` and `[n, outputs]` to `[m, patch]`.
    fn convolve_weights(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self>;

    /// A fused operation; those of two operands take the second one twice.
    fn fused(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        operation: Operation,
    ) -> FloatTensor<Self>;
}

/// The derivatives of fused operations.
pub(super) trait Derivatives: Backend {
    /// The derivatives of a scalar by the operands that they are wanted of, from those by the result, `g`, and from
    /// the result where it is that of ReLUs.
    fn derivatives(
        operands: [FloatTensor<Self>; 3],
        made: Option<FloatTensor<Self>>,
        g: FloatTensor<Self>,
        operation: Operation,
        wanted: [bool; 3],
    ) -> [Option<FloatTensor<Self>>; 3];
}

/// The elements of tensors, row by row. Whole buffers are used where they are; a view of a part of one is
/// copied.
fn read<E: Element + bytemuck::Pod, R>(
    tensors: &[&FlexTensor],
    run: impl FnOnce(&[&[E]]) -> R,
) -> R {
    let copied: Vec<Option<FlexTensor>> = (tensors.iter())
        .map(|tensor| (tensor.as_slice::<E>().is_none()).then(|| tensor.to_contiguous()))
        .collect();
    let slices = tensors
        .iter()
        .zip(&copied)
        .map(|(tensor, copied)| match copied {
            Some(copied) => copied.storage::<E>(),
            None => tensor.as_slice::<E>().expect("contiguous, as was seen"),
        });
    run(&slices.collect::<Vec<_>>())
}

/// A matrix of rows of this length.
fn written<E: Element>(made: Vec<E>, columns: usize) -> FlexTensor {
    let shape = Shape::from([made.len() / columns, columns]);
    FlexTensor::from_data(TensorData::new(made, shape))
}

/// Keeps the buffer of a tensor for the next one of its size where nobody else has it.
fn let_go<E: Scalar + Element + bytemuck::Pod>(tensor: FlexTensor) {
    let whole = tensor.as_slice::<E>().map(size_of_val) == Some(tensor.bytes().len());
    if whole && tensor.is_unique() {
        let (bytes, ..) = tensor.into_data().into_parts();
        if let Ok(buffer) = bytes.try_into_vec() {
            pool::keep::<E>(buffer);
        }
    }
}

type Kernel<E> = fn(&Window, &[E], &[E]) -> Vec<E>;

/// Runs a kernel in the precision of its operands.
fn run(
    (single, double): (Kernel<f32>, Kernel<f64>),
    window: &Window,
    operands: [FlexTensor; 2],
    columns: usize,
) -> FlexTensor {
    let tensors = operands.each_ref();
    match operands[0].dtype() {
        DType::F32 => {
            let made = read(&tensors, |x| written(single(window, x[0], x[1]), columns));
            operands.into_iter().for_each(let_go::<f32>);
            made
        }
        DType::F64 => read(&tensors, |x| written(double(window, x[0], x[1]), columns)),
        kind => panic!("a convolution of {kind:?}"),
    }
}

fn unbiased<E: Scalar>(window: &Window, x: &[E], weights: &[E]) -> Vec<E> {
    convolution::forward(window, x, weights, &[], false)
}

fn computed<E: Scalar + Element + bytemuck::Pod>(
    operands: [FlexTensor; 3],
    operation: Operation,
) -> FlexTensor {
    let columns = operands[0].layout().shape()[1];
    let made = read::<E, _>(&operands.each_ref(), |x| {
        let (made, columns) = operation.forward([x[0], x[1], x[2]], columns);
        written(made, columns)
    });
    operands.into_iter().for_each(let_go::<E>);
    made
}

fn derived<E: Scalar + Element + bytemuck::Pod>(
    operands: [FlexTensor; 3],
    made: Option<FlexTensor>,
    mut g: FlexTensor,
    operation: Operation,
    wanted: [bool; 3],
) -> [Option<FlexTensor>; 3] {
    let columns = operands
        .each_ref()
        .map(|operand| operand.layout().shape()[1]);
    if let Some(made) = made {
        let columns = g.layout().shape()[1];
        let taken = read::<E, _>(&[&made, &g], |x| written(through_relu(x[0], x[1]), columns));
        [made, std::mem::replace(&mut g, taken)]
            .into_iter()
            .for_each(let_go::<E>);
    }
    let [a, b, c] = &operands;
    let derivatives = read::<E, _>(&[a, b, c, &g], |x| {
        operation.backward([x[0], x[1], x[2]], columns[0], x[3], wanted)
    });
    operands.into_iter().chain([g]).for_each(let_go::<E>);
    let mut columns = columns.into_iter();
    derivatives.map(|made| {
        let columns = columns.next().expect("as many as operands");
        made.map(|made| written(made, columns))
    })
}

impl Extension for Flex {
    fn convolve(x: FlexTensor, weights: FlexTensor, window: Window) -> FlexTensor {
        let kernels = (unbiased as Kernel<f32>, unbiased as _);
        run(kernels, &window, [x, weights], window.outputs())
    }

    fn convolve_transposed(y: FlexTensor, weights: FlexTensor, window: Window) -> FlexTensor {
        let kernels = (
            convolution::transposed as Kernel<f32>,
            convolution::transposed as _,
        );
        run(kernels, &window, [y, weights], window.inputs())
    }

    fn convolve_weights(x: FlexTensor, y: FlexTensor, window: Window) -> FlexTensor {
        let kernels = (
            convolution::weights as Kernel<f32>,
            convolution::weights as _,
        );
        run(kernels, &window, [x, y], window.patch())
    }

    fn fused(a: FlexTensor, b: FlexTensor, c: FlexTensor, operation: Operation) -> FlexTensor {
        match a.dtype() {
            DType::F32 => computed::<f32>([a, b, c], operation),
            DType::F64 => computed::<f64>([a, b, c], operation),
            kind => panic!("{operation:?} of {kind:?}"),
        }
    }
}

impl Derivatives for Flex {
    fn derivatives(
        operands: [FlexTensor; 3],
        made: Option<FlexTensor>,
        g: FlexTensor,
        operation: Operation,
        wanted: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        match g.dtype() {
            DType::F32 => derived::<f32>(operands, made, g, operation, wanted),
            _ => derived::<f64>(operands, made, g, operation, wanted),
        }
    }
}

/// An operation of the trait, bilinear in two tensors.
type Bilinear<T> = fn(T, T, Window) -> T;

/// The derivative of one of the operations: `(a, b, g)` to the gradients of a and b.
macro_rules! differentiable {
    ($name:ident, |$a:ident, $b:ident, $g:ident, $window:ident| $grad_a:expr, $grad_b:expr) => {
        #[derive(Debug)]
        struct $name;

        impl<B: Extension> Backward<B, 2> for $name {
            type State = (FloatTensor<B>, FloatTensor<B>, Window);

            fn backward(
                self,
                ops: Ops<Self::State, 2>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let [parent_a, parent_b] = ops.parents;
                let $g = grads.consume::<B>(&ops.node);
                let ($a, $b, $window) = ops.state;
                if let Some(parent) = parent_a {
                    let ($b, $g) = ($b.clone(), $g.clone());
                    grads.register::<B>(parent.id, $grad_a);
                }
                if let Some(parent) = parent_b {
                    grads.register::<B>(parent.id, $grad_b);
                }
            }
        }
    };
}

differentiable!(
    Forward,
    |a, b, g, window| B::convolve_transposed(g, b, window),
    B::convolve_weights(a, g, window)
);
differentiable!(
    Transposed,
    |a, b, g, window| B::convolve(g, b, window),
    B::convolve_weights(g, a, window)
);
differentiable!(
    Weights,
    |a, b, g, window| B::convolve_transposed(b, g, window),
    B::convolve(a, g, window)
);

#[derive(Debug)]
struct Fused;

impl<B: Extension + Derivatives> Backward<B, 3> for Fused {
    /// The operands, and the result where the derivatives are made of it.
    type State = ([FloatTensor<B>; 3], Option<FloatTensor<B>>, Operation);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let g = grads.consume::<B>(&ops.node);
        let (operands, made, operation) = ops.state;
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let made = B::derivatives(operands, made, g, operation, wanted);
        for (parent, made) in ops.parents.into_iter().zip(made) {
            if let (Some(parent), Some(made)) = (parent, made) {
                grads.register::<B>(parent.id, made);
            }
        }
    }
}

fn tracked<B: Extension, C: CheckpointStrategy, O>(
    operation: O,
    compute: Bilinear<FloatTensor<B>>,
    a: FloatTensor<Autodiff<B, C>>,
    b: FloatTensor<Autodiff<B, C>>,
    window: Window,
) -> FloatTensor<Autodiff<B, C>>
where
    O: Backward<B, 2, State = (FloatTensor<B>, FloatTensor<B>, Window)>,
{
    let ((a, a_node), (b, b_node)) = (a.into_parts(), b.into_parts());
    let nodes = [a_node, b_node];
    match operation.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => {
            let state = (a.clone(), b.clone(), window);
            prepared.finish(state, compute(a, b, window))
        }
        OpsKind::UnTracked(prepared) => prepared.finish(compute(a, b, window)),
    }
}

impl<B: Extension + Derivatives, C: CheckpointStrategy> Extension for Autodiff<B, C> {
    fn convolve(x: FloatTensor<Self>, w: FloatTensor<Self>, window: Window) -> FloatTensor<Self> {
        tracked::<B, C, _>(Forward, B::convolve, x, w, window)
    }

    fn convolve_transposed(
        y: FloatTensor<Self>,
        w: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        tracked::<B, C, _>(Transposed, B::convolve_transposed, y, w, window)
    }

    fn convolve_weights(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        tracked::<B, C, _>(Weights, B::convolve_weights, x, y, window)
    }

    fn fused(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        operation: Operation,
    ) -> FloatTensor<Self> {
        let ((a, a_node), (b, b_node), (c, c_node)) =
            (a.into_parts(), b.into_parts(), c.into_parts());
        let prepared = Fused.prepare::<C>([a_node, b_node, c_node]);
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let operands = [a.clone(), b.clone(), c.clone()];
                let made = B::fused(a, b, c, operation);
                let kept = operation.rectifies().then(|| made.clone());
                prepared.finish((operands, kept, operation), made)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::fused(a, b, c, operation)),
        }
    }
}
