//! Convolution as an operation of burn's with a derivative, on the kernels of
//! [`crate::convolution`].
//!
//! The gradients are operations of the same trait, so that they may be differentiated again.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, backend_extension};
use burn::tensor::{DType, Element, Shape, TensorData};

use crate::convolution::{self, Scalar};
use crate::window::Window;

/// A convolution, its transpose, and the gradient of its weights; all operands are matrices with a
/// row an image, or a row an output channel.
#[backend_extension(Flex, Autodiff)]
pub(super) trait Convolution: Backend {
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
}

type Kernel<E> = fn(&Window, &[E], &[E]) -> Vec<E>;

fn computed<E: Scalar + Element + bytemuck::Pod>(
    kernel: Kernel<E>,
    window: &Window,
    [a, b]: [&FlexTensor; 2],
    columns: usize,
) -> FlexTensor {
    // Whole buffers are used where they are; a view of a part of one is copied.
    let elements = |tensor: &'_ FlexTensor| -> Vec<E> { tensor.to_contiguous().storage().to_vec() };
    let whole = [a, b].map(|tensor| tensor.as_slice::<E>());
    let [copied_a, copied_b] = [(a, whole[0]), (b, whole[1])].map(|(tensor, whole)| {
        let copied = whole.is_none().then(|| elements(tensor));
        copied.unwrap_or_default()
    });
    let a = whole[0].unwrap_or(&copied_a);
    let b = whole[1].unwrap_or(&copied_b);
    let made = kernel(window, a, b);
    let shape = [made.len() / columns, columns];
    FlexTensor::from_data(TensorData::new(made, Shape::from(shape)))
}

/// Runs a kernel in the precision of its operands.
fn run(
    (single, double): (Kernel<f32>, Kernel<f64>),
    window: &Window,
    operands: [&FlexTensor; 2],
    columns: usize,
) -> FlexTensor {
    match operands.map(FlexTensor::dtype) {
        [DType::F32, DType::F32] => computed(single, window, operands, columns),
        [DType::F64, DType::F64] => computed(double, window, operands, columns),
        kinds => panic!("a convolution of {kinds:?}"),
    }
}

impl Convolution for Flex {
    fn convolve(x: FlexTensor, weights: FlexTensor, window: Window) -> FlexTensor {
        let kernels = (
            convolution::forward as Kernel<f32>,
            convolution::forward as _,
        );
        run(kernels, &window, [&x, &weights], window.outputs())
    }

    fn convolve_transposed(y: FlexTensor, weights: FlexTensor, window: Window) -> FlexTensor {
        let kernels = (
            convolution::transposed as Kernel<f32>,
            convolution::transposed as _,
        );
        run(kernels, &window, [&y, &weights], window.inputs())
    }

    fn convolve_weights(x: FlexTensor, y: FlexTensor, window: Window) -> FlexTensor {
        let kernels = (
            convolution::weights as Kernel<f32>,
            convolution::weights as _,
        );
        run(kernels, &window, [&x, &y], window.patch())
    }
}

/// An operation of the trait, bilinear in two tensors.
type Bilinear<T> = fn(T, T, Window) -> T;

/// The derivative of one of the operations: `(a, b, g)` to the gradients of a and b.
macro_rules! differentiable {
    ($name:ident, |$a:ident, $b:ident, $g:ident, $window:ident| $grad_a:expr, $grad_b:expr) => {
        #[derive(Debug)]
        struct $name;

        impl<B: Convolution> Backward<B, 2> for $name {
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

fn tracked<B: Convolution, C: CheckpointStrategy, O>(
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

impl<B: Convolution, C: CheckpointStrategy> Convolution for Autodiff<B, C> {
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
}
