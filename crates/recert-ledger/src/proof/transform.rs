//! What a verdict on a transformation rests on, and its coded form.
//!
//! A blob is: a version byte, which no [`super::Proof`] has; the number of counterexamples, 0 or
//! 1, and its parameters; the number of cells, and for each a byte for its method, its ends and
//! its margin; then a CRC-32 of all that. Parameters are their number and doubles, ends their
//! number and for each parameter the least and the largest one. Whole numbers are LEB128, and
//! doubles little-endian.

use super::{byte, float};
use crate::codes::{put, take};

/// The format's version, the first byte of every blob.
const VERSION: u8 = 2;

/// The cells of parameters on which the class was proved, or parameters at which the engine
/// answers another one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TransformProof {
    /// Of a falsified result: the parameters that make its counterexample, one for each step, in
    /// the unit of the step.
    pub parameters: Option<Vec<f64>>,
    /// Of a verified one: cells that cover all parameters of the transformation.
    pub cells: Vec<ProvedCell>,
}

/// A closed box of parameters on which every image has the class.
#[derive(Debug, Clone, PartialEq)]
pub struct ProvedCell {
    /// The least and the largest value of each step's parameter.
    pub ends: Vec<[f64; 2]>,
    /// What proved it.
    pub method: CellMethod,
    /// The lower bound on the smallest margin over the cell, rounded down; above 0.
    pub margin: f64,
}

/// How a cell was bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CellMethod {
    /// Interval bound propagation from a box of pixels.
    Ibp,
    /// Forward bounds linear in the parameters.
    Forward,
    /// CROWN, to the parameters.
    Crown,
}

impl CellMethod {
    /// All of them, in the order of their bytes in a blob.
    pub const ALL: [Self; 3] = [Self::Ibp, Self::Forward, Self::Crown];

    /// The name, as in `decided_by`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ibp => "ibp",
            Self::Forward => "forward",
            Self::Crown => "crown",
        }
    }
}

impl TransformProof {
    /// The proof as bytes.
    ///
    /// ```
    /// use recert_ledger::{CellMethod, ProvedCell, TransformProof};
    ///
    /// let cell = ProvedCell { ends: vec![[-1.0, 1.0]], method: CellMethod::Crown, margin: 0.5 };
    /// let proof = TransformProof { parameters: None, cells: vec![cell] };
    /// assert_eq!(TransformProof::decode(&proof.encode()), Ok(proof));
    /// ```
    pub fn encode(&self) -> Vec<u8> {
        let mut blob = vec![VERSION];
        put(&mut blob, self.parameters.iter().len() as u64);
        if let Some(parameters) = &self.parameters {
            put(&mut blob, parameters.len() as u64);
            blob.extend(parameters.iter().flat_map(|value| value.to_le_bytes()));
        }
        put(&mut blob, self.cells.len() as u64);
        for cell in &self.cells {
            // The methods are in the order of their discriminants.
            blob.push(cell.method as u8);
            put(&mut blob, cell.ends.len() as u64);
            let ends = cell.ends.iter().flatten();
            blob.extend(ends.flat_map(|end| end.to_le_bytes()));
            blob.extend(cell.margin.to_le_bytes());
        }
        blob.extend(crc32fast::hash(&blob).to_le_bytes());
        blob
    }

    /// The inverse of [`Self::encode`]. It allocates no more than a small multiple of the bytes.
    ///
    /// # Errors
    /// What is wrong with the bytes, as a phrase that follows "the proof".
    pub fn decode(blob: &[u8]) -> Result<Self, String> {
        let (mut rest, checksum) = blob.split_last_chunk().ok_or("is cut off")?;
        if crc32fast::hash(rest) != u32::from_le_bytes(*checksum) {
            return Err("is damaged (its checksum does not match)".into());
        }
        let rest = &mut rest;
        let version = byte(rest)?;
        if version != VERSION {
            return Err(format!("has version {version}, not {VERSION}"));
        }
        let parameters = match take(rest)? {
            0 => None,
            1 => {
                let values = (0..take(rest)?).map(|_| finite(rest));
                Some(values.collect::<Result<_, _>>()?)
            }
            many => return Err(format!("has {many} counterexamples")),
        };
        let cells = (0..take(rest)?).map(|_| cell(rest));
        let cells = cells.collect::<Result<_, _>>()?;
        if !rest.is_empty() {
            return Err(format!("has {} bytes too many", rest.len()));
        }
        Ok(Self { parameters, cells })
    }
}

fn cell(rest: &mut &[u8]) -> Result<ProvedCell, String> {
    let number = byte(rest)?;
    let method = CellMethod::ALL.get(usize::from(number));
    let method = *method.ok_or_else(|| format!("has a cell by method {number}"))?;
    let ends = (0..take(rest)?).map(|_| {
        let ends = [finite(rest)?, finite(rest)?];
        if ends[0] > ends[1] {
            return Err(format!("has a cell from {} to {}", ends[0], ends[1]));
        }
        Ok(ends)
    });
    let ends = ends.collect::<Result<_, String>>()?;
    let margin = float(rest)?;
    if margin.is_nan() {
        return Err("has a margin that is no number".into());
    }
    Ok(ProvedCell {
        ends,
        method,
        margin,
    })
}

fn finite(rest: &mut &[u8]) -> Result<f64, String> {
    let value = float(rest)?;
    if value.is_finite() {
        Ok(value)
    } else {
        Err("has a parameter that is not finite".into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn cell()(
            ends in prop::collection::vec((-1e9..1e9, 0.0..1e9), 0..4),
            method in prop::sample::select(&CellMethod::ALL[..]),
            margin in 1e-300..1e300,
        ) -> ProvedCell {
            let ends = ends.into_iter().map(|(low, width): (f64, f64)| [low, low + width]);
            ProvedCell { ends: ends.collect(), method, margin }
        }
    }

    prop_compose! {
        fn proof()(
            parameters in prop::option::of(prop::collection::vec(-1e9..1e9, 0..9)),
            cells in prop::collection::vec(cell(), 0..5),
        ) -> TransformProof {
            TransformProof { parameters, cells }
        }
    }

    proptest! {
        #[test]
        fn proofs_come_back_as_they_were(proof in proof()) {
            prop_assert_eq!(TransformProof::decode(&proof.encode()), Ok(proof.clone()));
            // Neither kind of proof is taken for the other.
            prop_assert!(crate::Proof::decode(&proof.encode()).is_err());
        }

        #[test]
        fn what_is_no_proof_is_refused(
            proof in proof(),
            position in any::<prop::sample::Index>(),
            flip in 1..=255_u8,
        ) {
            let mut blob = proof.encode();
            let position = position.index(blob.len());
            blob[position] ^= flip;
            prop_assert!(TransformProof::decode(&blob).is_err());
            // With a checksum that fits, it is refused or another proof, and never a panic.
            let end = blob.len() - 4;
            let checksum = crc32fast::hash(&blob[..end]).to_le_bytes();
            blob[end..].copy_from_slice(&checksum);
            if let Ok(other) = TransformProof::decode(&blob) {
                prop_assert_eq!(TransformProof::decode(&other.encode()), Ok(other));
            }
        }
    }

    #[test]
    fn methods_are_in_the_order_of_their_bytes() {
        for (number, method) in CellMethod::ALL.into_iter().enumerate() {
            assert_eq!(method as usize, number);
        }
    }
}
