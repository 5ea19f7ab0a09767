//! What makes a verified result cheap to check, and its coded form.
//!
//! Whoever checks a bound needs no search: with the bounds on every neuron, the slopes of the
//! relaxation and the splits of branch and bound, one backward pass a leaf gives the margins
//! again. None of it has to be believed: bounds and margins are computed again from it.
//!
//! A blob is: a version byte; the number of layers; for each, its activation, the number of its
//! neurons, two bits a neuron (0 never above 0, 1 never below 0, 2 neither, 3 unused; packed
//! from the low end of each byte), and for each neuron of state 2 its lower and its upper
//! bound; the number of leaves; for each, the number of its splits, each with layer, neuron
//! and side (a byte, 1 for the side above 0), and the number of its rows, each with its number,
//! its slopes and its multipliers; in versions 4 and 5, the number of [`NeuronSlopes`], and for each
//! its layer, its neuron, a byte (1 for the upper bound), and the number of its runs, each with the
//! first slope's place, their number and a byte a slope; in versions 3 and 5, what
//! [`KnownBounds`] holds: the margins, and
//! for each layer the bounds of its neurons of state 0 and 1, lower and upper in turn, as
//! float32; then a CRC-32 of all that. Whole numbers are LEB128. A list of numbers is its
//! length, a byte (4 or 8), and the numbers as floats of so many bytes, little-endian: 4 where
//! that is exact for all of them.

mod neurons;
mod transform;

use crate::codes::{put, take};

pub use neurons::{NeuronSlopes, SlopeRun};
pub use transform::{CellMethod, ProvedCell, TransformProof};

/// The first byte of every blob: the format's version, without and with [`NeuronSlopes`], and
/// within each without and with [`KnownBounds`]. Version 2 is that of a [`TransformProof`].
const VERSIONS: [[u8; 2]; 2] = [[1, 3], [4, 5]];

/// Bounds on neurons, and how each margin follows from them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Proof {
    /// The inputs of the network's non-linear steps, in their order.
    pub layers: Vec<ProofLayer>,
    /// The subproblems whose bounds prove the result: one without branch and bound. None where
    /// nothing beyond the layers is needed.
    pub leaves: Vec<ProofLeaf>,
    /// The slopes by which single neurons were bounded, layer by layer; those that are left out
    /// were bounded with the usual ones. Without any, how the bounds in [`Self::layers`] came
    /// about is not known.
    pub neurons: Vec<NeuronSlopes>,
    /// What only another network's verification has a use for.
    pub known: Option<KnownBounds>,
}

/// Bounds that no checking of a result needs, and a changed network's verification begins from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KnownBounds {
    /// Lower bounds of the specification's rows on the whole region.
    pub margins: Vec<f64>,
    /// For each of [`Proof::layers`], bounds of the neurons that do not cross 0, in order;
    /// float32 in the blob, rounded outward.
    pub stable: Vec<Vec<NeuronBounds>>,
}

/// Bounds on the inputs of one non-linear step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProofLayer {
    /// The number of the step among the network's non-linear steps.
    pub activation: u32,
    /// A neuron each. Bounds that do not cross 0 are stored as their sign alone, and read as
    /// reaching to infinity.
    pub bounds: Vec<NeuronBounds>,
}

/// Bounds on one neuron's input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NeuronBounds {
    /// Never above the value.
    pub lower: f64,
    /// Never below the value.
    pub upper: f64,
}

impl NeuronBounds {
    /// Never above 0.
    pub const INACTIVE: Self = Self {
        lower: f64::NEG_INFINITY,
        upper: 0.0,
    };
    /// Never below 0.
    pub const ACTIVE: Self = Self {
        lower: 0.0,
        upper: f64::INFINITY,
    };

    fn state(self) -> u8 {
        if self.upper <= 0.0 {
            0
        } else if self.lower >= 0.0 {
            1
        } else {
            2
        }
    }
}

/// One subproblem of branch and bound.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProofLeaf {
    /// On which side of 0 neurons are, in the order in which they were split.
    pub splits: Vec<ProofSplit>,
    /// How rows of the specification are bounded; rows that are left out take the slopes that
    /// everybody takes.
    pub rows: Vec<ProofRow>,
}

/// A neuron that is on one side of 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProofSplit {
    /// The position of its layer in [`Proof::layers`].
    pub layer: u32,
    /// The neuron in the layer.
    pub neuron: u32,
    /// Whether its input is at least 0, or at most.
    pub above: bool,
}

/// The free parameters of the bound on one row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProofRow {
    /// The row of the specification.
    pub row: u32,
    /// The lower line's slope for each neuron that is stored with both bounds, in order.
    pub slopes: Vec<f64>,
    /// The multiplier of each split, at least 0.
    pub multipliers: Vec<f64>,
}

impl Proof {
    /// The proof as bytes.
    ///
    /// ```
    /// use recert_ledger::{NeuronBounds, Proof, ProofLayer};
    ///
    /// let bounds = vec![NeuronBounds::ACTIVE, NeuronBounds { lower: -0.5, upper: 0.25 }];
    /// let layers = vec![ProofLayer { activation: 0, bounds }];
    /// let proof = Proof { layers, ..Proof::default() };
    /// assert_eq!(Proof::decode(&proof.encode()), Ok(proof));
    /// ```
    pub fn encode(&self) -> Vec<u8> {
        let [with_neurons, with_known] = [!self.neurons.is_empty(), self.known.is_some()];
        let version = VERSIONS[usize::from(with_neurons)][usize::from(with_known)];
        let mut blob = vec![version];
        put(&mut blob, self.layers.len() as u64);
        for layer in &self.layers {
            put(&mut blob, layer.activation.into());
            put(&mut blob, layer.bounds.len() as u64);
            for four in layer.bounds.chunks(4) {
                let bits = four.iter().zip([0, 2, 4, 6]);
                blob.push(bits.fold(0, |byte, (bounds, shift)| byte | bounds.state() << shift));
            }
            for bounds in layer.bounds.iter().filter(|bounds| bounds.state() == 2) {
                blob.extend(bounds.lower.to_le_bytes());
                blob.extend(bounds.upper.to_le_bytes());
            }
        }
        put(&mut blob, self.leaves.len() as u64);
        for leaf in &self.leaves {
            put(&mut blob, leaf.splits.len() as u64);
            for split in &leaf.splits {
                put(&mut blob, split.layer.into());
                put(&mut blob, split.neuron.into());
                blob.push(split.above.into());
            }
            put(&mut blob, leaf.rows.len() as u64);
            for row in &leaf.rows {
                put(&mut blob, row.row.into());
                put_numbers(&mut blob, &row.slopes);
                put_numbers(&mut blob, &row.multipliers);
            }
        }
        if with_neurons {
            neurons::write(&mut blob, &self.neurons);
        }
        if let Some(known) = &self.known {
            put_numbers(&mut blob, &known.margins);
            put(&mut blob, known.stable.len() as u64);
            for layer in &known.stable {
                put(&mut blob, layer.len() as u64);
                for bounds in layer {
                    blob.extend(short_below(bounds.lower).to_le_bytes());
                    blob.extend((-short_below(-bounds.upper)).to_le_bytes());
                }
            }
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
        let Some(with_neurons) = VERSIONS.iter().position(|kind| kind.contains(&version)) else {
            return Err(format!("has version {version}, not one of {VERSIONS:?}"));
        };
        let layers = (0..take(rest)?).map(|_| layer(rest));
        let layers = layers.collect::<Result<Vec<_>, _>>()?;
        let leaves = (0..take(rest)?).map(|_| leaf(rest));
        let leaves = leaves.collect::<Result<_, _>>()?;
        let neurons = match with_neurons {
            0 => Vec::new(),
            _ => neurons::read(rest)?,
        };
        let known = (version == VERSIONS[with_neurons][1])
            .then(|| known(rest, &layers))
            .transpose()?;
        if !rest.is_empty() {
            return Err(format!("has {} bytes too many", rest.len()));
        }
        Ok(Self {
            layers,
            leaves,
            neurons,
            known,
        })
    }

    /// All bounds of a layer's neurons, in their order: those that cross 0 and the others from
    /// [`Proof::known`]. `None` where these are not there.
    pub fn whole_layer(&self, layer: usize) -> Option<Vec<NeuronBounds>> {
        let mut stable = self.known.as_ref()?.stable.get(layer)?.iter();
        let bounds = self.layers.get(layer)?.bounds.iter();
        bounds
            .map(|&bounds| match bounds.state() {
                2 => Some(bounds),
                _ => stable.next().copied(),
            })
            .collect()
    }
}

impl KnownBounds {
    /// Those of some layers, given with all bounds.
    pub fn new(margins: Vec<f64>, layers: &[ProofLayer]) -> Self {
        let stable = |layer: &ProofLayer| {
            let bounds = layer.bounds.iter().copied();
            bounds.filter(|bounds| bounds.state() != 2).collect()
        };
        Self {
            margins,
            stable: layers.iter().map(stable).collect(),
        }
    }
}

/// The largest float32 that is not above a number.
fn short_below(number: f64) -> f32 {
    let nearest = number as f32;
    if f64::from(nearest) > number {
        nearest.next_down()
    } else {
        nearest
    }
}

fn known(rest: &mut &[u8], layers: &[ProofLayer]) -> Result<KnownBounds, String> {
    let margins = numbers(rest)?;
    if take(rest)? != layers.len() as u64 {
        return Err("has bounds of other layers".into());
    }
    let stable = layers.iter().map(|layer| {
        let count = layer.bounds.iter().filter(|bounds| bounds.state() != 2);
        let count = count.count();
        if take(rest)? != count as u64 {
            return Err("has bounds of other neurons".to_owned());
        }
        let bytes = split(rest, 8 * count)?;
        let (words, _) = bytes.as_chunks::<4>();
        let pairs = words.chunks_exact(2).map(|pair| {
            let [lower, upper] = [pair[0], pair[1]].map(|word| f32::from_le_bytes(word).into());
            // That no number is in it is found by comparing.
            if lower <= upper {
                Ok(NeuronBounds { lower, upper })
            } else {
                Err(format!("has bounds {lower} and {upper} of a neuron"))
            }
        });
        pairs.collect::<Result<_, _>>()
    });
    Ok(KnownBounds {
        stable: stable.collect::<Result<_, _>>()?,
        margins,
    })
}

fn layer(rest: &mut &[u8]) -> Result<ProofLayer, String> {
    let activation = number(rest)?;
    let neurons = take(rest)? as usize;
    let states = split(rest, neurons.div_ceil(4))?;
    let mut bounds = Vec::with_capacity(neurons);
    for neuron in 0..neurons {
        bounds.push(match states[neuron / 4] >> (neuron % 4 * 2) & 3 {
            0 => NeuronBounds::INACTIVE,
            1 => NeuronBounds::ACTIVE,
            2 => {
                let (lower, upper) = (float(rest)?, float(rest)?);
                if !(lower < 0.0 && upper > 0.0) {
                    return Err(format!("has bounds {lower} and {upper}, not around 0"));
                }
                NeuronBounds { lower, upper }
            }
            _ => return Err("has a neuron in an unknown state".into()),
        });
    }
    Ok(ProofLayer { activation, bounds })
}

fn leaf(rest: &mut &[u8]) -> Result<ProofLeaf, String> {
    let splits = (0..take(rest)?).map(|_| {
        Ok(ProofSplit {
            layer: number(rest)?,
            neuron: number(rest)?,
            above: match byte(rest)? {
                0 => false,
                1 => true,
                side => return Err(format!("has a split on side {side}")),
            },
        })
    });
    let splits = splits.collect::<Result<_, String>>()?;
    let rows = (0..take(rest)?).map(|_| {
        Ok(ProofRow {
            row: number(rest)?,
            slopes: numbers(rest)?,
            multipliers: numbers(rest)?,
        })
    });
    let rows = rows.collect::<Result<_, String>>()?;
    Ok(ProofLeaf { splits, rows })
}

fn put_numbers(blob: &mut Vec<u8>, numbers: &[f64]) {
    put(blob, numbers.len() as u64);
    let short = |&number: &f64| f64::from(number as f32) == number;
    if numbers.iter().all(short) {
        blob.push(4);
        blob.extend(
            numbers
                .iter()
                .flat_map(|number| (*number as f32).to_le_bytes()),
        );
    } else {
        blob.push(8);
        blob.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    }
}

fn numbers(rest: &mut &[u8]) -> Result<Vec<f64>, String> {
    let count = take(rest)? as usize;
    let wide = match byte(rest)? {
        4 => false,
        8 => true,
        width => return Err(format!("has numbers of {width} bytes")),
    };
    let width = if wide { 8 } else { 4 };
    let bytes = split(rest, count.checked_mul(width).ok_or("is cut off")?)?;
    let numbers: Vec<f64> = if wide {
        let (words, _) = bytes.as_chunks();
        words.iter().map(|word| f64::from_le_bytes(*word)).collect()
    } else {
        let (words, _) = bytes.as_chunks();
        words
            .iter()
            .map(|word| f32::from_le_bytes(*word).into())
            .collect()
    };
    if numbers.iter().all(|number| number.is_finite()) {
        Ok(numbers)
    } else {
        Err("has a slope or multiplier that is not finite".into())
    }
}

fn number(rest: &mut &[u8]) -> Result<u32, String> {
    u32::try_from(take(rest)?).map_err(|_| "has a number too large".into())
}

fn byte(rest: &mut &[u8]) -> Result<u8, String> {
    Ok(*rest.split_off_first().ok_or("is cut off")?)
}

fn float(rest: &mut &[u8]) -> Result<f64, String> {
    let bytes = split(rest, 8)?;
    Ok(f64::from_le_bytes(
        bytes.try_into().map_err(|_| "is cut off")?,
    ))
}

fn split<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], String> {
    rest.split_off(..length).ok_or_else(|| "is cut off".into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bounds() -> impl Strategy<Value = NeuronBounds> {
        prop_oneof![
            Just(NeuronBounds::ACTIVE),
            Just(NeuronBounds::INACTIVE),
            (1e-300..1e300, 1e-300..1e300).prop_map(|(lower, upper): (f64, f64)| NeuronBounds {
                lower: -lower,
                upper,
            }),
        ]
    }

    fn numbers() -> impl Strategy<Value = Vec<f64>> {
        prop_oneof![
            prop::collection::vec(prop_oneof![Just(0.0), Just(1.0), Just(0.25)], 0..9),
            prop::collection::vec(-1e9..1e9, 0..9),
        ]
    }

    prop_compose! {
        fn leaf()(
            splits in prop::collection::vec((0..9_u32, 0..1000_u32, any::<bool>()), 0..4),
            rows in prop::collection::vec((0..9_u32, numbers(), numbers()), 0..4),
        ) -> ProofLeaf {
            let split = |(layer, neuron, above)| ProofSplit { layer, neuron, above };
            let row = |(row, slopes, multipliers)| ProofRow { row, slopes, multipliers };
            ProofLeaf {
                splits: splits.into_iter().map(split).collect(),
                rows: rows.into_iter().map(row).collect(),
            }
        }
    }

    prop_compose! {
        fn neuron()(
            at in (0..9_u32, 0..1000_u32, any::<bool>()),
            slopes in prop::collection::vec(any::<u8>(), 0..40),
        ) -> NeuronSlopes {
            NeuronSlopes::new(at, &slopes, &vec![0; slopes.len()])
        }
    }

    prop_compose! {
        fn proof()(
            layers in prop::collection::vec((0..9_u32, prop::collection::vec(bounds(), 0..20)), 0..4),
            leaves in prop::collection::vec(leaf(), 0..4),
            neurons in prop::collection::vec(neuron(), 0..4),
            margins in prop::option::of(numbers()),
        ) -> Proof {
            let layer = |(activation, bounds)| ProofLayer { activation, bounds };
            let layers: Vec<ProofLayer> = layers.into_iter().map(layer).collect();
            let known = margins.map(|margins| KnownBounds::new(margins, &layers));
            Proof { layers, leaves, neurons, known }
        }
    }

    proptest! {
        #[test]
        fn proofs_come_back_as_they_were(proof in proof()) {
            let blob = proof.encode();
            // Neither kind of proof is taken for the other, with or without known bounds.
            prop_assert!(TransformProof::decode(&blob).is_err());
            prop_assert_eq!(Proof::decode(&blob), Ok(proof));
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
            prop_assert!(Proof::decode(&blob).is_err());
            // With a checksum that fits, it is refused or another proof, and never a panic.
            let end = blob.len() - 4;
            let checksum = crc32fast::hash(&blob[..end]).to_le_bytes();
            blob[end..].copy_from_slice(&checksum);
            if let Ok(other) = Proof::decode(&blob) {
                prop_assert_eq!(Proof::decode(&other.encode()), Ok(other));
            }
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(
            version in prop::sample::select(&[1, 3, 4, 5_u8][..]),
            mut bytes in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            bytes.insert(0, version);
            bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
            let _ = Proof::decode(&bytes);
        }
    }

    #[test]
    fn neurons_that_do_not_cross_zero_take_two_bits() {
        let bounds = vec![
            NeuronBounds {
                lower: 0.5,
                upper: 7.0
            };
            4000
        ];
        let proof = Proof {
            layers: vec![ProofLayer {
                activation: 3,
                bounds,
            }],
            ..Proof::default()
        };
        let blob = proof.encode();
        assert_eq!(blob.len(), 1010);
        let decoded = Proof::decode(&blob).unwrap();
        assert_eq!(decoded.layers[0].bounds, vec![NeuronBounds::ACTIVE; 4000]);
    }

    #[test]
    fn known_bounds_are_rounded_outward_and_come_back_in_order() {
        let pair = |lower, upper| NeuronBounds { lower, upper };
        let bounds = vec![pair(0.1, 0.7), pair(-0.1, 0.1), pair(-2.0, -0.3)];
        let layers = vec![ProofLayer {
            activation: 0,
            bounds: bounds.clone(),
        }];
        let known = Some(KnownBounds::new(vec![0.5], &layers));
        let proof = Proof {
            layers,
            known,
            ..Proof::default()
        };
        let decoded = Proof::decode(&proof.encode()).unwrap();
        let whole = decoded.whole_layer(0).unwrap();
        assert_eq!(whole[1], bounds[1]);
        for (found, exact) in whole.iter().zip(&bounds) {
            assert!(found.lower <= exact.lower && found.upper >= exact.upper);
            assert!(exact.lower - found.lower < 1e-7 && found.upper - exact.upper < 1e-7);
        }
        assert_eq!(decoded.known.unwrap().margins, [0.5]);
        // Without them there are none, and not fewer than neurons.
        assert_eq!(
            Proof {
                known: None,
                ..proof
            }
            .whole_layer(0),
            None
        );
    }
}
