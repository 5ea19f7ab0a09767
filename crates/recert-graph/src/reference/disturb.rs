//! Runs whose rounding is disturbed: how far rounding reaches in a network.
//!
//! What one engine computes and what another does differ by rounding, and by how much
//! that moves the outputs is a matter of the network: by 1e-6 of the largest in most
//! networks in float32, by several per cent in a deep one that is quantized, where a value
//! next to a tie goes one way here and the other way there. A disturbed run shows it: its
//! difference from the undisturbed run is one that rounding alone can make.

use half::{bf16, f16};

use super::array::Array;
use super::numbers::{as_floats, range, rounded};
use super::{Result, quantize};
use crate::op::{Op, Unary};
use crate::{Data, ElementType, Tensor};

/// By how much rounding is disturbed, and which way.
///
/// ```
/// use recert_graph::{Builder, Data, Direction, Disturbance, Interpreter, Limits, Model, Tensor};
///
/// # fn main() -> recert_graph::Result<()> {
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../recert-net/tests/golden/residual.onnx");
/// let graph = Builder::new(&Model::read(path)?).build()?;
/// let interpreter = Interpreter::new(&graph, Limits::default())?;
/// let shape = graph.value(graph.inputs()[0]).shape.at(1);
/// let pixels = vec![0.5; shape.iter().product()];
/// let image = [Tensor::new(shape, Data::Float32(pixels))?];
///
/// let disturbance = Disturbance {
///     relative: 1e-6,
///     steps: 1e-3,
///     neighbours: 1e-3,
///     direction: Direction::Either,
///     seed: 1,
/// };
/// let exact = &interpreter.run(&image)?[0];
/// let disturbed = &interpreter.run_disturbed(&image, &disturbance)?[0];
/// assert_ne!(exact, disturbed);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Disturbance {
    /// The network's inputs, and every float that an operator computes, are multiplied by
    /// `1 + t relative`, `t` uniform in [-1, 1].
    pub relative: f64,
    /// What is quantized is moved before it is rounded, by up to so many steps of its grid,
    /// in this direction.
    pub steps: f64,
    /// The share of the float16 and bfloat16 numbers that an operator computes which become
    /// one of the two numbers next to them.
    pub neighbours: f64,
    /// Which way quantized values are moved.
    pub direction: Direction,
    /// Of the random numbers.
    pub seed: u64,
}

/// Which way a [`Disturbance`] moves what is quantized. All one way is what an engine does
/// that rounds all ties up, which moves sums by more than moves that cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Each value up or down, at random, by a random part of the most.
    Either,
    /// All up, by the most.
    Up,
    /// All down, by the most.
    Down,
}

/// Random numbers in [-1, 1].
pub(super) struct Random(u64);

impl Random {
    /// Those of one place of one run.
    pub(super) fn new(seed: u64, place: usize) -> Self {
        let mut random = Self(seed.wrapping_mul(0xd134_2543_de82_ef95) ^ place as u64);
        random.bits();
        random
    }

    /// `SplitMix64` (Steele, Lea, Flood, OOPSLA 2014).
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn next(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

impl Disturbance {
    fn shift(&self, random: &mut Random) -> f64 {
        match self.direction {
            Direction::Either => self.steps * random.next(),
            Direction::Up => self.steps,
            Direction::Down => -self.steps,
        }
    }

    /// The first input of an operator, if that is moved before it is rounded.
    pub(super) fn before(
        &self,
        op: &Op,
        inputs: &[Option<&Tensor>],
        random: &mut Random,
    ) -> Result<Option<Tensor>> {
        let (Op::QuantizeLinear(granularity), [Some(x), Some(scale), ..]) = (op, inputs) else {
            return Ok(None);
        };
        let ones = Tensor::new(x.shape().to_vec(), Data::Int8(vec![1; x.len()]))?;
        let wide = ElementType::Float64;
        let steps = as_floats(&quantize::dequantize(
            &ones,
            scale,
            None,
            *granularity,
            wide,
        )?);
        let values = as_floats(x);
        let moved = (values.data.iter().zip(&steps.data))
            .map(|(value, step)| value + self.shift(random) * step);
        rounded(Array::new(values.shape.clone(), moved.collect()), wide).map(Some)
    }

    /// An output of an operator, or an input of the network where there is none.
    pub(super) fn after(
        &self,
        op: Option<&Op>,
        made: Tensor,
        random: &mut Random,
    ) -> Result<Tensor> {
        if op.is_some_and(only_moves) {
            return Ok(made);
        }
        let requantizes = matches!(op, Some(Op::QLinearConv { .. } | Op::QLinearMatMul));
        let (shape, data) = made.into_parts();
        let mut chosen = |share: f64| {
            let t = random.next();
            (t.abs() < share).then_some(t > 0.0)
        };
        let data = match data {
            Data::Float16(values) => Data::Float16(
                (values.into_iter())
                    .map(|value| match chosen(self.neighbours) {
                        Some(up) => f16_beside(value, up),
                        None => value,
                    })
                    .collect(),
            ),
            Data::BFloat16(values) => Data::BFloat16(
                (values.into_iter())
                    .map(|value| match chosen(self.neighbours) {
                        Some(up) => bf16_beside(value, up),
                        None => value,
                    })
                    .collect(),
            ),
            Data::Float32(values) => {
                let scaled =
                    |value| (f64::from(value) * (1.0 + self.relative * random.next())) as f32;
                Data::Float32(values.into_iter().map(scaled).collect())
            }
            Data::Float64(values) => {
                let scaled = |value| value * (1.0 + self.relative * random.next());
                Data::Float64(values.into_iter().map(scaled).collect())
            }
            // The sums are not here any more: as many go to the next step as would.
            data @ (Data::UInt8(_) | Data::Int8(_)) if requantizes => {
                let element = data.element();
                let (low, high) = range(element)?;
                let tensor = Tensor::new(shape.clone(), data)?;
                let mut steps = as_floats(&tensor);
                for step in &mut steps.data {
                    let moves = self.shift(random);
                    // A value at the end of the range is far beyond it, as a rule.
                    let inner = *step > low as f64 && *step < high as f64;
                    if inner && random.next().abs() < moves.abs() {
                        *step += moves.signum();
                    }
                }
                let back = steps.map(|step| step as i128);
                return super::numbers::wrapped(back, element);
            }
            data => data,
        };
        Tensor::new(shape, data)
    }
}

/// Whether an operator computes no number that was not there before.
fn only_moves(op: &Op) -> bool {
    matches!(
        op,
        Op::Identity
            | Op::DropoutMask
            | Op::Reshape
            | Op::Transpose { .. }
            | Op::Slice(_)
            | Op::Pad { .. }
            | Op::Concat { .. }
            | Op::Split { .. }
            | Op::Gather { .. }
            | Op::GatherElements { .. }
            | Op::Expand
            | Op::Tile { .. }
            | Op::DepthToSpace { .. }
            | Op::SpaceToDepth { .. }
            | Op::ShapeOf(_)
            | Op::Fill(_)
            | Op::Where
            | Op::Clip { .. }
            | Op::MaxPool { .. }
            | Op::GlobalMaxPool
            | Op::Unary(Unary::Relu | Unary::Neg | Unary::Abs | Unary::Sign)
    )
}

/// The number after (or before) one that is finite.
fn f16_beside(value: f16, up: bool) -> f16 {
    if !value.is_finite() || value == f16::ZERO {
        return value;
    }
    let away = up == value.is_sign_positive();
    let bits = value.to_bits();
    f16::from_bits(if away { bits + 1 } else { bits - 1 })
}

fn bf16_beside(value: bf16, up: bool) -> bf16 {
    if !value.is_finite() || value == bf16::ZERO {
        return value;
    }
    let away = up == value.is_sign_positive();
    let bits = value.to_bits();
    bf16::from_bits(if away { bits + 1 } else { bits - 1 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Granularity;

    fn disturbance(direction: Direction) -> Disturbance {
        Disturbance {
            relative: 1e-4,
            steps: 0.25,
            neighbours: 0.5,
            direction,
            seed: 3,
        }
    }

    #[test]
    fn what_is_quantized_is_moved_by_steps_of_its_own_grid() {
        let x = Tensor::new(vec![2, 2], Data::Float32(vec![1.0; 4])).unwrap();
        let scale = Tensor::new(vec![2], Data::Float32(vec![1.0, 8.0])).unwrap();
        let op = Op::QuantizeLinear(Granularity::Axis(1));
        for (direction, wanted) in [
            (Direction::Up, [1.25, 3.0, 1.25, 3.0]),
            (Direction::Down, [0.75, -1.0, 0.75, -1.0]),
        ] {
            let moved = disturbance(direction)
                .before(&op, &[Some(&x), Some(&scale)], &mut Random::new(1, 0))
                .unwrap()
                .unwrap();
            assert_eq!(moved.data(), &Data::Float64(wanted.to_vec()));
        }
    }

    #[test]
    fn floats_move_within_the_bound_and_halves_to_their_neighbours() {
        let d = disturbance(Direction::Either);
        let exp = Op::Unary(Unary::Exp);
        let made = Tensor::new(vec![1000], Data::Float32(vec![2.0; 1000])).unwrap();
        let moved = d
            .after(Some(&exp), made.clone(), &mut Random::new(1, 0))
            .unwrap();
        let moved = moved.as_f32().unwrap();
        assert!(moved.iter().all(|v| (v - 2.0).abs() < 2.1e-4));
        assert!(moved.iter().any(|v| *v > 2.0001) && moved.iter().any(|v| *v < 1.9999));
        let kept = d.after(Some(&Op::Reshape), made.clone(), &mut Random::new(1, 0));
        assert_eq!(kept.unwrap(), made);

        let one = f16::from_f32(1.0);
        let made = Tensor::new(vec![1000], Data::Float16(vec![one; 1000])).unwrap();
        let moved = d.after(Some(&exp), made, &mut Random::new(1, 0)).unwrap();
        let Data::Float16(moved) = moved.data() else {
            panic!("the type changed")
        };
        let count = |bits: u16| moved.iter().filter(|v| v.to_bits() == bits).count();
        let (above, below) = (count(one.to_bits() + 1), count(one.to_bits() - 1));
        assert_eq!(count(one.to_bits()) + above + below, 1000);
        assert!((200..300).contains(&above) && (200..300).contains(&below));
    }
}
