//! What a rewrite did, layer by layer, for reports and for the file itself.

use std::fmt;

use recert_graph::{Error, ErrorKind, Result};

/// The report of one rewrite.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Changes {
    /// What was done, in words, as written into the file's metadata under
    /// `recert.approximation` (after what an earlier rewrite wrote there).
    pub approximation: String,
    /// What arithmetic an engine uses on the result, in words, as written
    /// under `recert.arithmetic`.
    pub arithmetic: String,
    /// The fingerprint of the network before, as written in hexadecimal under
    /// `recert.source_sha256`.
    pub source_sha256: [u8; 32],
    /// The layers whose weights the rewrite was applied to, in file order.
    pub layers: Vec<LayerChange>,
    /// How many `BatchNormalization` nodes were folded into the layer before.
    pub folded_batchnorms: usize,
    /// The file's length in bytes before.
    pub size_before: usize,
    /// The file's length in bytes after.
    pub size_after: usize,
    /// Anything else worth knowing, one sentence each.
    pub notes: Vec<String>,
}

/// What happened to one layer's weights.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LayerChange {
    /// The node's name, or `#` and its position.
    pub layer: String,
    /// The operator, for example `Conv`.
    pub op: String,
    /// The stored tensor's name before.
    pub tensor: String,
    /// How many weights there are, biases not counted.
    pub weights: usize,
    /// How many of them have another value now.
    pub changed: usize,
    /// How many of them are zero now and were not before.
    pub zeroed: usize,
    /// The largest `|after - before|` over the weights.
    pub max_abs_error: f64,
    /// The largest `|after - before| / |before|` over the weights that were
    /// not zero before; 0 where there is none.
    pub max_rel_error: f64,
}

impl LayerChange {
    /// Compares weights before and after, both finite and of equal number.
    pub(crate) fn compare(
        layer: String,
        op: &str,
        tensor: &str,
        before: &[f32],
        after: &[f32],
    ) -> Self {
        debug_assert_eq!(before.len(), after.len());
        let mut change = LayerChange {
            layer,
            op: op.to_owned(),
            tensor: tensor.to_owned(),
            weights: before.len(),
            changed: 0,
            zeroed: 0,
            max_abs_error: 0.0,
            max_rel_error: 0.0,
        };
        for (before, after) in before.iter().zip(after) {
            let (before, after) = (f64::from(*before), f64::from(*after));
            let error = (after - before).abs();
            change.changed += usize::from(error > 0.0);
            change.zeroed += usize::from(after == 0.0 && before != 0.0);
            change.max_abs_error = change.max_abs_error.max(error);
            if before != 0.0 {
                change.max_rel_error = change.max_rel_error.max(error / before.abs());
            }
        }
        change
    }
}

impl Changes {
    /// A report whose fingerprint and sizes are filled in when the network is
    /// finished.
    pub(crate) fn new(approximation: String, arithmetic: String, layers: Vec<LayerChange>) -> Self {
        Changes {
            approximation,
            arithmetic,
            source_sha256: [0; 32],
            layers,
            folded_batchnorms: 0,
            size_before: 0,
            size_after: 0,
            notes: Vec::new(),
        }
    }

    /// The number of weights in all layers.
    pub fn weights(&self) -> usize {
        self.layers.iter().map(|layer| layer.weights).sum()
    }

    /// The number of weights that have another value now.
    pub fn changed(&self) -> usize {
        self.layers.iter().map(|layer| layer.changed).sum()
    }

    /// The number of weights that the rewrite made zero.
    pub fn zeroed(&self) -> usize {
        self.layers.iter().map(|layer| layer.zeroed).sum()
    }

    /// Refuses a rewrite that was asked to approximate and changed no weight:
    /// certifying such a network again would say nothing new.
    pub(crate) fn require_change(&self) -> Result<()> {
        if self.layers.is_empty() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "the network has no convolution or linear layer with known float weights",
            ));
        }
        if self.changed() == 0 {
            return Err(Error::new(
                ErrorKind::Unchanged,
                format!(
                    "not one of {} weights would change; the approximation would be none: {}",
                    self.weights(),
                    self.approximation
                ),
            ));
        }
        Ok(())
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}; {}", self.approximation, self.arithmetic)?;
        writeln!(
            f,
            "{} of {} weights in {} layers changed, {} became zero; {} -> {} bytes",
            self.changed(),
            self.weights(),
            self.layers.len(),
            self.zeroed(),
            self.size_before,
            self.size_after
        )?;
        if self.folded_batchnorms > 0 {
            writeln!(f, "{} batch normalisations folded", self.folded_batchnorms)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}
