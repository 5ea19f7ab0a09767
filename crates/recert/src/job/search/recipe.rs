//! Networks of which each layer becomes something.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use recert_net::{self as net, Calibration, HalfFormat, Int8Options, Layers, Model, PruneScope};

use super::change::{Change, Format};
use crate::{Error, Field, Result};

/// What the layers of a network become, by their names; others stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(in super::super) struct Recipe(pub(in super::super) BTreeMap<String, Change>);

impl Recipe {
    /// Of one layer.
    pub(in super::super) fn one(layer: &str, change: Change) -> Self {
        Self([(layer.to_owned(), change)].into())
    }
}

impl fmt::Display for Recipe {
    /// The changes, each with how many layers it is of, or the layer where it is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut layers: BTreeMap<Change, Vec<&str>> = BTreeMap::new();
        for (layer, change) in &self.0 {
            layers.entry(*change).or_default().push(layer);
        }
        for (i, (change, of)) in layers.into_iter().enumerate() {
            let gap = if i > 0 { ", " } else { "" };
            match of[..] {
                [layer] => write!(f, "{gap}{change} in {layer}")?,
                _ => write!(f, "{gap}{change} in {} layers", of.len())?,
            }
        }
        Ok(())
    }
}

/// Makes networks from one, whose activations were observed once.
pub(in super::super) struct Maker {
    /// The original, whose nodes have names.
    model: Model,
    calibration: Option<Calibration>,
}

impl Maker {
    /// # Errors
    /// If the model cannot be encoded again.
    pub(in super::super) fn new(model: &Model, calibration: Option<Calibration>) -> Result<Self> {
        Ok(Self {
            model: net::with_node_names(model)?,
            calibration,
        })
    }

    /// The original, whose nodes have names.
    pub(in super::super) fn original(&self) -> &Model {
        &self.model
    }

    /// The layers, in the file's order, with how many weights each has.
    pub(in super::super) fn layers(&self) -> Result<Vec<(String, u64)>> {
        let weights = net::weights(&self.model)?.into_iter();
        Ok(weights.map(|w| (w.layer, w.values.len() as u64)).collect())
    }

    /// All weights of layers.
    pub(in super::super) fn weights(&self) -> Result<u64> {
        Ok(self.layers()?.iter().map(|(_, weights)| weights).sum())
    }

    /// The network by a recipe, and what of it was done, as some layers cannot become everything; `None` where not
    /// one weight would be another.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`](crate::ErrorKind::Parameter) where integers are asked for and no
    /// activations were observed; whatever the rewrites fail with.
    pub(in super::super) fn make(
        &self,
        recipe: &Recipe,
        name: &str,
    ) -> Result<Option<(Model, Recipe)>> {
        let mut model = self.model.clone();
        let (mut pruned, mut formatted) = (BTreeSet::new(), BTreeSet::new());
        let of = |wanted: &dyn Fn(&Change) -> bool| {
            let layers = recipe.0.iter().filter(|(_, change)| wanted(change));
            Layers::only(layers.map(|(layer, _)| layer.as_str()))
        };
        let shares: BTreeSet<Option<u32>> = (recipe.0.values())
            .map(|change| change.pruned().map(|share| (share * 1e6).round() as u32))
            .collect();
        for share in shares.into_iter().flatten() {
            let share = f64::from(share) / 1e6;
            let layers = of(&|change| change.pruned() == Some(share));
            let made = net::prune(&model, share, PruneScope::PerLayer, &layers);
            step(made, &mut model, &mut pruned)?;
        }
        let ints: Vec<(&String, u8)> = (recipe.0.iter())
            .filter_map(|(layer, change)| match change.format() {
                Some(Format::Int(bits)) => Some((layer, bits)),
                _ => None,
            })
            .collect();
        let halves = [
            (Format::Float16, HalfFormat::Float16),
            (Format::BFloat16, HalfFormat::BFloat16),
        ];
        let is_half = |change: &Change| halves.iter().any(|(f, _)| change.format() == Some(*f));
        if !ints.is_empty() && recipe.0.values().any(is_half) {
            // Integers need batch normalisations folded, which would make other numbers of what was
            // rounded.
            match net::fold_batchnorm(&model) {
                Ok((folded, _)) => model = folded,
                Err(error) if error.kind() == net::ErrorKind::Unchanged => {}
                Err(error) => return Err(error.into()),
            }
        }
        for (format, half) in halves {
            let layers = of(&|change| change.format() == Some(format));
            if recipe
                .0
                .values()
                .any(|change| change.format() == Some(format))
            {
                step(net::half(&model, half, &layers), &mut model, &mut formatted)?;
            }
        }
        if !ints.is_empty() {
            let Some(calibration) = &self.calibration else {
                let message = "integers need images to observe activations on";
                return Err(Error::parameter(Field::Calibration, message));
            };
            let mut options = Int8Options::default();
            for (layer, bits) in &ints {
                options = options.with_bits_of(layer.as_str(), *bits);
            }
            let layers = Layers::only(ints.iter().map(|(layer, _)| layer.as_str()));
            let options = options.with_layers(layers);
            let made = net::quantize_int8_with(&model, calibration, &options);
            step(made, &mut model, &mut formatted)?;
        }
        let done = recipe.0.iter().filter_map(|(layer, change)| {
            let done = change.done(pruned.contains(layer), formatted.contains(layer));
            Some((layer.clone(), done?))
        });
        let done = Recipe(done.collect());
        if done.0.is_empty() {
            return Ok(None);
        }
        Ok(Some((Model::from_bytes(name, model.to_bytes())?, done)))
    }
}

/// Takes what a rewrite made, and notes the layers that it was of; nothing where it would have changed nothing.
fn step(
    made: net::Result<(Model, net::Changes)>,
    model: &mut Model,
    done: &mut BTreeSet<String>,
) -> Result<()> {
    match made {
        Ok((made, changes)) => {
            done.extend(changes.layers.into_iter().map(|change| change.layer));
            *model = made;
            Ok(())
        }
        Err(error) if error.kind() == net::ErrorKind::Unchanged => Ok(()),
        Err(error) => Err(error.into()),
    }
}
