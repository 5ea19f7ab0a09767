//! Matrices with derivatives: all that this crate knows of burn.
//!
//! Everything in training is a matrix with a row an example (or a row an example and class), or
//! a matrix of weights: images and planes of convolutions lie flat in their rows, and
//! [`Window`] states what they are. A matrix is in float32 or float64, of which the second serves
//! tests of gradients.
//!
//! Gradients are recorded for what depends on a [`Matrix::tracked`] one, and on nothing else, so
//! that an evaluation on plain matrices keeps no graph.
//!
//! Matrices in float32 are on the current device of the thread ([`on`]), those in float64 on the
//! processor. Convolutions and fused operations are this crate's own on the processor (`extension`),
//! and compositions of burn's elsewhere (`composed`).

#[cfg(any(test, feature = "gpu"))]
mod composed;
mod extension;
mod place;

use burn::backend::Dispatch;
use burn::tensor::{DType, Device, Element, Gradients, Tensor, TensorData, activation};

use crate::fused::Operation;
use crate::pool;
use crate::window::Window;
use extension::Extension as _;

#[cfg(test)]
pub(crate) use place::composed;
pub(crate) use place::{on, opened};

/// Floating-point numbers of 32 or 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precision {
    /// float32.
    Single,
    /// float64.
    Double,
}

impl Precision {
    fn dtype(self) -> DType {
        match self {
            Self::Single => DType::F32,
            Self::Double => DType::F64,
        }
    }

    /// Where matrices of it are made: few devices but the processor have float64.
    fn place(self) -> Device {
        match self {
            Self::Single => place::current(),
            Self::Double => place::processor(),
        }
    }
}

/// A matrix, perhaps with the record of how it was computed.
#[derive(Debug, Clone)]
pub(crate) struct Matrix(Tensor<2>);

/// Derivatives of a scalar.
pub(crate) struct Derivatives(Gradients);

impl Matrix {
    /// A matrix of these elements, row by row.
    pub(crate) fn new(columns: usize, elements: &[f32], precision: Precision) -> Self {
        let shape = [elements.len() / columns, columns];
        let data = match precision {
            Precision::Single => TensorData::new(pool::copied(elements), shape),
            Precision::Double => {
                let wide: Vec<f64> = elements.iter().map(|&x| x.into()).collect();
                TensorData::new(wide, shape)
            }
        };
        Self(Tensor::from_data(
            data,
            (&precision.place(), precision.dtype()),
        ))
    }

    /// A matrix in float64.
    #[cfg(test)]
    pub(crate) fn double(columns: usize, elements: &[f64]) -> Self {
        let data = TensorData::new(elements.to_vec(), [elements.len() / columns, columns]);
        Self(Tensor::from_data(data, (&place::processor(), DType::F64)))
    }

    /// The same numbers, by which derivatives can be asked for.
    pub(crate) fn tracked(&self) -> Self {
        Self(self.0.clone().detach().require_grad())
    }

    /// The same numbers, as a constant.
    pub(crate) fn constant(&self) -> Self {
        Self(self.0.clone().detach())
    }

    /// The same numbers in float64, as a constant.
    pub(crate) fn doubled(&self) -> Self {
        let data = TensorData::new(self.doubles(), self.0.dims());
        Self(Tensor::from_data(data, (&place::processor(), DType::F64)))
    }

    /// The same numbers in float32 on the current device, as a constant.
    pub(crate) fn moved(&self) -> Self {
        Self::new(self.columns(), &self.values(), Precision::Single)
    }

    /// The precision of the elements.
    pub(crate) fn precision(&self) -> Precision {
        match self.0.dtype() {
            DType::F64 => Precision::Double,
            _ => Precision::Single,
        }
    }

    /// The number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.0.dims()[0]
    }

    /// The number of columns.
    pub(crate) fn columns(&self) -> usize {
        self.0.dims()[1]
    }

    /// The elements, row by row.
    pub(crate) fn values(&self) -> Vec<f32> {
        self.read()
    }

    /// The elements, row by row, in float64.
    pub(crate) fn doubles(&self) -> Vec<f64> {
        self.read()
    }

    fn read<E: Element>(&self) -> Vec<E> {
        let elements = self.0.try_to_vec_as();
        elements.expect("what was computed can be read")
    }

    /// The elements of a matrix in float32 that is not needed any more, row by row, uncopied where nothing else has
    /// them.
    pub(crate) fn into_values(self) -> Vec<f32> {
        let (bytes, ..) = self.0.into_data().into_parts();
        let shared = |bytes: burn::tensor::Bytes| bytemuck::pod_collect_to_vec(&bytes);
        bytes.try_into_vec().unwrap_or_else(shared)
    }

    /// The derivatives of the sum of all elements.
    pub(crate) fn derivatives(&self) -> Derivatives {
        Derivatives(self.0.clone().sum().backward())
    }

    /// The sum of elements; operands with one row or one column are repeated.
    pub(crate) fn add(&self, other: &Self) -> Self {
        Self(self.0.clone() + other.0.clone())
    }

    /// The difference, likewise.
    pub(crate) fn sub(&self, other: &Self) -> Self {
        Self(self.0.clone() - other.0.clone())
    }

    /// The products of elements, likewise.
    pub(crate) fn mul(&self, other: &Self) -> Self {
        Self(self.0.clone() * other.0.clone())
    }

    /// The quotients of elements, likewise.
    pub(crate) fn div(&self, other: &Self) -> Self {
        Self(self.0.clone() / other.0.clone())
    }

    /// Every element times a number.
    pub(crate) fn scale(&self, factor: f64) -> Self {
        Self(self.0.clone() * factor)
    }

    /// Every element plus a number.
    pub(crate) fn shift(&self, term: f64) -> Self {
        Self(self.0.clone() + term)
    }

    /// Absolute values; the derivative at 0 is 0.
    pub(crate) fn abs(&self) -> Self {
        Self(self.0.clone().abs())
    }

    /// Square roots.
    pub(crate) fn sqrt(&self) -> Self {
        Self(self.0.clone().sqrt())
    }

    /// Natural logarithms.
    pub(crate) fn log(&self) -> Self {
        Self(self.0.clone().log())
    }

    /// Exponentials.
    pub(crate) fn exp(&self) -> Self {
        Self(self.0.clone().exp())
    }

    /// The larger of 0 and each element; the derivative at 0 is 0.
    pub(crate) fn relu(&self) -> Self {
        Self(activation::relu(self.0.clone()))
    }

    /// Logarithms of the softmax of each row.
    pub(crate) fn log_softmax(&self) -> Self {
        Self(activation::log_softmax(self.0.clone(), 1))
    }

    /// The matrix product.
    pub(crate) fn product(&self, other: &Self) -> Self {
        self.fused(Operation::Product, other, other)
    }

    /// The matrix product with the other's transpose.
    pub(crate) fn product_transposed(&self, other: &Self) -> Self {
        self.fused(Operation::ProductTransposed, other, other)
    }

    /// The matrix product with the transpose of weights, and every row plus the bias, `[1, m]`; `relu` takes ReLUs of
    /// it.
    pub(crate) fn linear(&self, weights: &Self, bias: &Self, relu: bool) -> Self {
        self.fused(Operation::Linear { relu }, weights, bias)
    }

    /// `[1, 1]`: the sum of all elements.
    pub(crate) fn sum(&self) -> Self {
        Self(self.0.clone().sum().reshape([1, 1]))
    }

    /// `[rows, 1]`: the sum of each row.
    pub(crate) fn sum_rows(&self) -> Self {
        Self(self.0.clone().sum_dim(1))
    }

    /// The mean of all elements, `[1, 1]`.
    pub(crate) fn mean(&self) -> Self {
        self.sum()
            .scale(1.0 / (self.rows() * self.columns()) as f64)
    }

    /// The same elements in rows of another length.
    pub(crate) fn reshaped(&self, columns: usize) -> Self {
        let rows = self.rows() * self.columns() / columns;
        Self(self.0.clone().reshape([rows, columns]))
    }

    /// The same rows with a 0 before each.
    pub(crate) fn after_zeros(&self) -> Self {
        let zeros = Tensor::zeros([self.rows(), 1], (&self.0.device(), self.0.dtype()));
        Self(Tensor::cat(vec![zeros, self.0.clone()], 1))
    }

    /// Each row repeated `times` times in a row.
    pub(crate) fn repeated(&self, times: usize) -> Self {
        let [rows, columns] = self.0.dims();
        let wide: Tensor<3> = self.0.clone().reshape([rows, 1, columns]);
        let wide: Tensor<3> = wide.expand([rows, times, columns]);
        Self(wide.reshape([rows * times, columns]))
    }

    /// `[n, channels * plane]`, each channel by its factor plus its term, `[1, channels]` both.
    pub(crate) fn affine_channels(&self, factors: &Self, terms: &Self) -> Self {
        self.fused(Operation::Affine, factors, terms)
    }

    /// `[n, channels * plane]` times `[1, channels]`, each channel by its factor.
    pub(crate) fn scale_channels(&self, factors: &Self) -> Self {
        self.affine_channels(factors, &factors.scale(0.0).constant())
    }

    /// `[n, channels * plane]` plus `[1, channels]`.
    pub(crate) fn shift_channels(&self, terms: &Self) -> Self {
        self.affine_channels(&terms.scale(0.0).shift(1.0).constant(), terms)
    }

    /// The sum of each row's elements, each times the number of its channel: `[n, channels *
    /// plane]` and `[1, channels]` to `[n, 1]`.
    pub(crate) fn product_channels(&self, terms: &Self) -> Self {
        self.fused(Operation::Terms, terms, terms)
    }

    /// The sums of each channel's plane: `[n, channels * plane]` to `[n, channels]`.
    pub(crate) fn sum_planes(&self, channels: usize) -> Self {
        let (rows, plane) = (self.rows(), self.columns() / channels);
        if plane == 1 {
            return self.clone();
        }
        let planes: Tensor<3> = self.0.clone().reshape([rows, channels, plane]);
        Self(planes.sum_dim(2).reshape([rows, channels]))
    }

    /// Each element repeated `plane` times: `[n, channels]` to `[n, channels * plane]`.
    pub(crate) fn spread(&self, plane: usize) -> Self {
        let [rows, channels] = self.0.dims();
        let wide: Tensor<3> = self.0.clone().reshape([rows, channels, 1]);
        let wide: Tensor<3> = wide.expand([rows, channels, plane]);
        Self(wide.reshape([rows, channels * plane]))
    }

    /// The mean of each channel over its plane and all rows, `[1, channels]`.
    pub(crate) fn mean_channels(&self, channels: usize) -> Self {
        let count = self.rows() * self.columns() / channels;
        let sums = self.sum_planes(channels).0.sum_dim(0);
        Self(sums / count as f64)
    }

    /// The convolution of every row by the weights.
    pub(crate) fn convolve(&self, weights: &Self, window: Window) -> Self {
        #[cfg(any(test, feature = "gpu"))]
        if !self.has_own_operations() {
            let (x, weights) = (self.0.clone(), weights.0.clone());
            return Self(composed::convolve(x, weights, window));
        }
        let [x, weights] = [self, weights].map(|m| m.0.clone().into_dispatch());
        Self(Tensor::from_dispatch(Dispatch::convolve(
            x, weights, window,
        )))
    }

    /// The same, and every channel plus its bias, `[1, channels]`; `relu` takes ReLUs of it.
    pub(crate) fn convolve_biased(
        &self,
        weights: &Self,
        bias: &Self,
        window: Window,
        relu: bool,
    ) -> Self {
        self.fused(Operation::Convolve { window, relu }, weights, bias)
    }

    /// The centre of a ReLU's values on intervals with these centres and of that radius, and
    /// their radius.
    pub(crate) fn relu_on(&self, radius: &Self) -> [Self; 2] {
        [Operation::ReluCentre, Operation::ReluRadius]
            .map(|operation| self.fused(operation, radius, radius))
    }

    /// Rows of coefficients of ReLUs' values, m an example, carried back to what the ReLUs take:
    /// positive coefficients take the line below, negative ones that above. With it, what the lines
    /// add to each row, `[n m, 1]`.
    pub(crate) fn relaxed(&self, centre: &Self, radius: &Self) -> [Self; 2] {
        [Operation::Relaxed, Operation::Offsets]
            .map(|operation| self.fused(operation, centre, radius))
    }

    /// The least of each row's values on the example's box, m rows an example, `[n m, 1]`.
    pub(crate) fn lowest(&self, centre: &Self, radius: &Self) -> Self {
        self.fused(Operation::Lowest, centre, radius)
    }

    /// Of neurons on intervals with these centres and that radius, five sums, `[1, 1]` each: of
    /// the radii; of the centres of active neurons, and the negative of that of inactive ones; of
    /// the squared distances of active ones' centres from the mean centre, and of inactive ones'.
    pub(crate) fn neuron_sums(&self, radius: &Self) -> [Self; 5] {
        let sums = self.fused(Operation::Sums, radius, radius);
        [0, 1, 2, 3, 4].map(|which| Self(sums.0.clone().narrow(1, which, 1)))
    }

    fn fused(&self, operation: Operation, b: &Self, c: &Self) -> Self {
        #[cfg(any(test, feature = "gpu"))]
        if !self.has_own_operations() {
            let operands = [self, b, c].map(|m| m.0.clone());
            return Self(composed::fused(operation, operands));
        }
        let [a, b, c] = [self, b, c].map(|m| m.0.clone().into_dispatch());
        Self(Tensor::from_dispatch(Dispatch::fused(a, b, c, operation)))
    }

    #[cfg(any(test, feature = "gpu"))]
    fn has_own_operations(&self) -> bool {
        place::has_own_operations(&self.0.device())
    }

    /// The transposed convolution of every row by the weights.
    pub(crate) fn convolve_transposed(&self, weights: &Self, window: Window) -> Self {
        #[cfg(any(test, feature = "gpu"))]
        if !self.has_own_operations() {
            let (y, weights) = (self.0.clone(), weights.0.clone());
            return Self(composed::convolve_transposed(y, weights, window));
        }
        let [y, weights] = [self, weights].map(|m| m.0.clone().into_dispatch());
        let made = Dispatch::convolve_transposed(y, weights, window);
        Self(Tensor::from_dispatch(made))
    }
}

impl Derivatives {
    /// The derivatives by a tracked matrix; `None` where the scalar does not depend on it.
    pub(crate) fn by(&self, matrix: &Matrix) -> Option<Matrix> {
        let found = matrix.0.grad(&self.0)?;
        Some(Matrix(Tensor::from_inner(found)))
    }

    /// The same, taken from here.
    pub(crate) fn take(&mut self, matrix: &Matrix) -> Option<Matrix> {
        let found = matrix.0.grad_remove(&mut self.0)?;
        Some(Matrix(Tensor::from_inner(found)))
    }
}
