//! Which networks to look at, from what each layer is expected to lose when it is changed alone.

use std::collections::{BTreeMap, BTreeSet};

use super::Layer;
use crate::job::search::{Change, Recipe};

/// What a layer is expected to lose by a change, looked at alone.
pub(super) type Bearing = BTreeMap<(String, Change), f64>;

/// How many prices of a unit of cost are tried.
const PRICES: i32 = 400;

/// At most `room` recipes: each change in all layers, and in all but the first and the last; and those that lose
/// least for what they cost, if what layers lose adds up, at more and more of a price for cost.
pub(super) fn recipes(
    layers: &[&Layer],
    changes: &[Change],
    bearing: &Bearing,
    cost: &dyn Fn(&Recipe) -> f64,
    room: usize,
) -> Vec<Recipe> {
    let mut found: Vec<Recipe> = Vec::new();
    let mut known: BTreeSet<Recipe> = BTreeSet::new();
    let mut add = |recipe: Recipe, found: &mut Vec<Recipe>| {
        if !recipe.0.is_empty() && known.insert(recipe.clone()) {
            found.push(recipe);
        }
    };
    let alike = |layers: &[&Layer], change| {
        Recipe(
            layers
                .iter()
                .map(|layer| (layer.name.clone(), change))
                .collect(),
        )
    };
    for &change in changes {
        add(alike(layers, change), &mut found);
        if let [_, inner @ .., _] = layers {
            add(alike(inner, change), &mut found);
        }
    }
    found.truncate(room);
    let mut priced = Vec::new();
    // What a change of a layer saves: exact, as what a network costs is a sum over layers.
    let whole = cost(&Recipe::default());
    let saves: BTreeMap<(&str, Change), f64> = (layers.iter())
        .flat_map(|layer| {
            changes
                .iter()
                .map(move |&change| (layer.name.as_str(), change))
        })
        .map(|key| (key, whole - cost(&Recipe::one(key.0, key.1))))
        .collect();
    for price in 0..PRICES {
        // From losing a millionth for all that can be saved to losing everything for it.
        let price =
            10_f64.powf(f64::from(price) / f64::from(PRICES) * 8.0 - 6.0) / whole.max(1e-300);
        let mut recipe = Recipe::default();
        for layer in layers {
            // A layer that cannot become something has no entry.
            let gain = |change: Change| {
                let lost = bearing.get(&(layer.name.clone(), change))?.max(0.0);
                Some(price * saves[&(layer.name.as_str(), change)] - lost)
            };
            let best = (changes.iter()).filter_map(|&change| Some((gain(change)?, change)));
            let best = best.max_by(|(a, _), (b, _)| a.total_cmp(b));
            if let Some((gain, change)) = best.filter(|(gain, _)| *gain > 0.0) {
                debug_assert!(gain.is_finite());
                recipe.0.insert(layer.name.clone(), change);
            }
        }
        add(recipe, &mut priced);
    }
    // Evenly over what they cost, dearest and cheapest included.
    let left = room - found.len();
    if priced.len() > left {
        priced.sort_by(|a, b| cost(a).total_cmp(&cost(b)));
        let all = priced.len();
        let at = |i: usize| {
            if left > 1 {
                i * (all - 1) / (left - 1)
            } else {
                0
            }
        };
        priced = (0..left).map(|i| priced[at(i)].clone()).collect();
    }
    found.extend(priced);
    found
}

/// So many recipes in which each layer becomes one thing or another, or stays, by chance.
pub(super) fn random(layers: &[&Layer], changes: &[Change], room: usize) -> Vec<Recipe> {
    let mut random = fastrand::Rng::with_seed(0);
    let mut found: Vec<Recipe> = Vec::new();
    // There may be fewer than there is room for.
    for _ in 0..20 * room {
        let mut recipe = Recipe::default();
        for layer in layers {
            if let Some(&change) = changes.get(random.usize(..=changes.len())) {
                recipe.0.insert(layer.name.clone(), change);
            }
        }
        if found.len() < room && !recipe.0.is_empty() && !found.contains(&recipe) {
            found.push(recipe);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(name: &str, weights: u64) -> Layer {
        Layer {
            name: name.to_owned(),
            weights,
            operations: weights,
        }
    }

    #[test]
    fn layers_that_bear_it_become_small_first() {
        let layers = [
            layer("weak", 100),
            layer("strong", 100),
            layer("large", 1000),
        ];
        let layers: Vec<&Layer> = layers.iter().collect();
        let int4: Change = "int4".parse().unwrap();
        let int8: Change = "int8".parse().unwrap();
        let lost = |name: &str, change| match name {
            "weak" => {
                if change == int4 {
                    0.1
                } else {
                    0.01
                }
            }
            "strong" => 0.0,
            _ => {
                if change == int4 {
                    0.02
                } else {
                    0.001
                }
            }
        };
        let bearing: Bearing = (layers.iter())
            .flat_map(|l| [int4, int8].map(|c| ((l.name.clone(), c), lost(&l.name, c))))
            .collect();
        let cost = |recipe: &Recipe| {
            let bits = |l: &&Layer| recipe.0.get(&l.name).map_or(32, |c| c.bits());
            layers
                .iter()
                .map(|l| l.weights as f64 * f64::from(bits(l)))
                .sum()
        };
        let found = recipes(&layers, &[int8, int4], &bearing, &cost, 40);
        let distinct: BTreeSet<&Recipe> = found.iter().collect();
        assert_eq!(distinct.len(), found.len());
        // Both changes in all layers and in the inner one.
        assert!(found.len() > 4, "{found:?}");
        // Whoever changes the weak layer to 4 bits has changed the strong and the large one as much.
        let priced = &found[4..];
        for recipe in priced {
            assert_eq!(recipe.0.get("strong"), Some(&int4), "{recipe}");
            if recipe.0.get("weak") == Some(&int4) {
                assert_eq!(recipe.0.get("large"), Some(&int4), "{recipe}");
            }
        }
        // Fewer, when there is less room: the cheapest and the dearest are among them.
        let few = recipes(&layers, &[int8, int4], &bearing, &cost, 6);
        assert_eq!(few.len(), 6);
        let cheapest = found.iter().map(&cost).fold(f64::INFINITY, f64::min);
        assert!(few.iter().any(|recipe| cost(recipe) == cheapest));
        assert_eq!(recipes(&layers, &[int8, int4], &bearing, &cost, 3).len(), 3);
        assert!(recipes(&layers, &[int8, int4], &bearing, &cost, 0).is_empty());
        // By chance: different ones, and no more than there are.
        let chance = random(&layers, &[int8, int4], 10);
        assert_eq!(chance.iter().collect::<BTreeSet<_>>().len(), 10);
        assert_eq!(random(&layers[..1], &[int8], 10).len(), 1);
    }
}
