//! The rules of arithmetic that the module's documentation states.

use half::f16;
use proptest::prelude::*;

use super::super::array::Array;
use super::super::elementwise::{binary, cast, clip, unary, variadic};
use super::super::quantize::{dequantize, quantize};
use super::super::reduce::arg_extreme;
use super::super::{Output, compute};
use super::super::{matmul, numbers};
use crate::{Binary, Data, ElementType, Granularity, Op, Tensor, Unary, Variadic};

fn vector(data: Data) -> Tensor {
    Tensor::new(vec![data.len()], data).unwrap()
}

fn floats(values: &[f32]) -> Tensor {
    vector(Data::Float32(values.to_vec()))
}

proptest! {
    /// Sums of products against exact ones, by the bound of the documentation.
    #[test]
    fn sums_are_within_their_bound(
        pairs in prop::collection::vec(
            (-(1 << 24)..1_i64 << 24, 0..16_u32, -(1 << 24)..1_i64 << 24, 0..16_u32),
            1..200,
        ),
    ) {
        let scaled = |integer: i64, down: u32| integer as f64 / f64::from(1_u32 << down);
        let n = pairs.len();
        let a = pairs.iter().map(|&(a, down, ..)| scaled(a, down)).collect();
        let b = pairs.iter().map(|&(.., b, down)| scaled(b, down)).collect();
        let (a, b) = (Array::new(vec![1, n], a), Array::new(vec![n, 1], b));
        let sum = matmul::matmul(&a, &b).unwrap();
        let sum = numbers::rounded(sum, ElementType::Float32).unwrap().number().unwrap();
        // In steps of 2^-32, every product is an integer.
        let product = |&(a, p, b, q): &(i64, u32, i64, u32)| (i128::from(a) * i128::from(b)) << (32 - p - q);
        let exact: i128 = pairs.iter().map(product).sum();
        let magnitudes: i128 = pairs.iter().map(|pair| product(pair).abs()).sum();
        let steps = (sum * 2f64.powi(32)) as i128;
        let bound = 2f64.powi(-24) * exact.abs() as f64
            + 2.0 * n as f64 * 2f64.powi(-53) * magnitudes as f64;
        prop_assert!((steps - exact).abs() as f64 <= bound, "{steps} {exact} {bound}");
    }

    /// Basic arithmetic on float32 is the processor's.
    #[test]
    fn basic_arithmetic_is_correctly_rounded(a in any::<f32>(), b in any::<f32>()) {
        let cases: [(Binary, f32); 4] = [
            (Binary::Add, a + b),
            (Binary::Sub, a - b),
            (Binary::Mul, a * b),
            (Binary::Div, a / b),
        ];
        for (function, expected) in cases {
            let found = binary(function, &floats(&[a]), &floats(&[b])).unwrap();
            let found = found.as_f32().unwrap()[0];
            prop_assert!(found == expected || (found.is_nan() && expected.is_nan()));
        }
        let root = unary(Unary::Sqrt, &floats(&[a])).unwrap().as_f32().unwrap()[0];
        prop_assert!(root == a.sqrt() || (root.is_nan() && a.sqrt().is_nan()));
    }
}

#[test]
fn float16_is_rounded_after_every_operator() {
    let half = |v: f64| f16::from_f64(v);
    let a = vector(Data::Float16(vec![half(2048.0), half(1.0)]));
    // 2048 + 1 lies between two float16, so that the sum in two operators
    // stays 2048, while one operator adds up to 2050.
    let one = vector(Data::Float16(vec![half(1.0)]));
    let twice = binary(Binary::Add, &binary(Binary::Add, &a, &one).unwrap(), &one).unwrap();
    assert_eq!(twice.to_f32().unwrap(), [2048.0, 3.0]);
    let once = variadic(Variadic::Sum, &[&a, &one, &one]).unwrap();
    assert_eq!(once.to_f32().unwrap(), [2050.0, 3.0]);
}

#[test]
fn nan_propagates() {
    let nan = floats(&[f32::NAN, -1.0]);
    let first = |tensor: Tensor| tensor.as_f32().unwrap()[0];
    assert!(first(unary(Unary::Relu, &nan).unwrap()).is_nan());
    assert!(first(unary(Unary::Sign, &nan).unwrap()).is_nan());
    assert!(first(clip(&nan, 0.0, 6.0).unwrap()).is_nan());
    for function in [Variadic::Max, Variadic::Min] {
        let (left, right) = ([&nan, &floats(&[0.0])], [&floats(&[0.0]), &nan]);
        assert!(first(variadic(function, &left).unwrap()).is_nan());
        assert!(first(variadic(function, &right).unwrap()).is_nan());
    }
    let x = floats(&[3.0, f32::NAN, 9.0, f32::NAN]);
    for (min, last, place) in [(false, false, 1), (true, false, 1), (false, true, 3)] {
        let found = arg_extreme(&x, 0, min, last, false).unwrap();
        assert_eq!(found.data(), &Data::Int64(vec![place]));
    }
}

#[test]
fn bounds_that_cross_give_the_upper_one() {
    let clipped = clip(&floats(&[-5.0, 0.0, 5.0]), 2.0, 1.0).unwrap();
    assert_eq!(clipped.as_f32().unwrap(), [1.0, 1.0, 1.0]);
}

#[test]
fn integers_divide_towards_zero_and_wrap() {
    let a = vector(Data::Int8(vec![-7, 7, -128]));
    let b = vector(Data::Int8(vec![2, -2, -1]));
    let quotient = binary(Binary::Div, &a, &b).unwrap();
    assert_eq!(quotient.data(), &Data::Int8(vec![-3, -3, -128]));
    let rest = |fmod| binary(Binary::Mod { fmod }, &a, &b).unwrap();
    assert_eq!(rest(false).data(), &Data::Int8(vec![1, -1, 0]));
    assert_eq!(rest(true).data(), &Data::Int8(vec![-1, 1, 0]));
    let zero = vector(Data::Int8(vec![0]));
    let error = binary(Binary::Div, &a, &zero).unwrap_err();
    assert_eq!(error.to_string(), "an integer is divided by zero");
}

#[test]
fn casts_clamp_floats_and_wrap_integers() {
    let wide = floats(&[1e9, -1e9, f32::NAN, -1.9, f32::INFINITY]);
    let narrow = cast(&wide, ElementType::Int8).unwrap();
    assert_eq!(narrow.data(), &Data::Int8(vec![127, -128, 0, -1, 127]));
    let narrow = cast(&vector(Data::Int64(vec![300, -1])), ElementType::UInt8).unwrap();
    assert_eq!(narrow.data(), &Data::UInt8(vec![44, 255]));
    let truths = cast(&floats(&[0.0, -0.0, 0.5, f32::NAN]), ElementType::Bool).unwrap();
    assert_eq!(truths.data(), &Data::Bool(vec![false, false, true, true]));
    // Halfway between two float32 in float64, but not before that rounding.
    let large = vector(Data::Int64(vec![(1 << 60) + (1 << 36) + 1]));
    let rounded = cast(&large, ElementType::Float32).unwrap();
    assert_eq!(rounded.as_f32().unwrap(), [1.152_921_6e18]);
}

#[test]
fn quantization_rounds_half_to_even_and_clamps() {
    let x = floats(&[0.5, 1.5, 2.5, -0.5, 300.0, -300.0, f32::INFINITY]);
    let to = ElementType::Int8;
    let whole = Granularity::Tensor;
    let steps = quantize(&x, &Tensor::scalar(1.0), None, whole, to).unwrap();
    assert_eq!(steps.data(), &Data::Int8(vec![0, 2, 2, 0, 127, -128, 127]));
    // The zero point is added after the rounding.
    let zero = Tensor::new(vec![], Data::UInt8(vec![1])).unwrap();
    let to = ElementType::UInt8;
    let steps = quantize(&x, &Tensor::scalar(1.0), Some(&zero), whole, to).unwrap();
    assert_eq!(steps.data(), &Data::UInt8(vec![1, 3, 3, 1, 255, 0, 255]));
    let back = dequantize(
        &steps,
        &Tensor::scalar(0.5),
        Some(&zero),
        whole,
        ElementType::Float32,
    );
    assert_eq!(back.unwrap().as_f32().unwrap()[..4], [0.0, 1.0, 1.0, 0.0]);
}

#[test]
fn requantization_rounds_half_to_even() {
    let bytes = |values: Vec<i8>| Tensor::new(vec![1, values.len()], Data::Int8(values)).unwrap();
    let (scale, zero) = (
        Tensor::scalar,
        Tensor::new(vec![], Data::Int8(vec![0])).unwrap(),
    );
    let a = bytes(vec![127; 3]);
    let b = Tensor::new(vec![3, 1], Data::Int8(vec![1, 1, -1])).unwrap();
    let (half, one) = (scale(0.5), scale(1.0));
    let inputs = [&a, &half, &zero, &b, &one, &zero, &one, &zero];
    let output = Output {
        shape: vec![1, 1],
        element: ElementType::Int8,
    };
    let y = compute(&Op::QLinearMatMul, &inputs.map(Some), &[Some(output)]).unwrap();
    assert_eq!(y[0].data(), &Data::Int8(vec![64]));
}
