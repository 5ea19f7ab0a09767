//! Settings that are given and change nothing.

use recert_train::{Method, Schedule, Settings};

use super::config::TrainConfig;
use super::presets::preset;

/// The names of the settings given in `own` that the training by `whole`, which is the same with its
/// preset, has no use for.
pub(super) fn unused(
    own: &TrainConfig,
    whole: &TrainConfig,
    settings: &Settings,
) -> Vec<&'static str> {
    use Method as M;
    let method = &settings.method;
    let scored = settings.validation > 0 || whole.test.is_some();
    let (noisy, bounds) = (method.sigma().is_some(), method.bounds());
    let geometric = matches!(method, M::Geometric);
    // Scores attack and bound where the method is for a box.
    let scored_near = scored && !geometric && (bounds || matches!(method, M::Pgd));
    let attacks_pixels = method.attacks() && !matches!(method, M::Taps { .. });
    let mixes = matches!(
        method,
        M::MtlIbp { .. } | M::CcIbp { .. } | M::ExpIbp { .. } | M::GaussianIbp { .. }
    );
    let hinge = matches!(method, M::GaussianHinge { .. });
    let small = matches!(method, M::Sabr { .. } | M::Staps { .. });
    let latent = method.latent().is_some();
    let ramps = method.ramps();
    let falls = late(&settings.schedule).len() < settings.schedule.milestones.len();
    let all = [
        (
            "initialization",
            own.initialization.is_some(),
            whole.model.is_none(),
        ),
        ("eps", own.eps.is_some(), method.has_eps()),
        ("validation-eps", own.validation_eps.is_some(), scored_near),
        ("cell-width", own.cell_width.is_some(), geometric),
        ("pixels", own.pixels.is_some(), geometric),
        ("batch-cells", own.batch_cells.is_some(), geometric),
        ("sigma", own.sigma.is_some(), noisy),
        (
            "samples",
            own.samples.is_some(),
            matches!(method, M::SmoothAdv { .. }),
        ),
        ("tau", own.tau.is_some(), small),
        ("alpha", own.alpha.is_some(), mixes),
        ("attacked-relus", own.attacked_relus.is_some(), latent),
        ("taps-weight", own.taps_weight.is_some(), latent),
        ("connector", own.connector.is_some(), latent),
        ("relu-shrink", own.relu_shrink.is_some(), small || latent),
        ("margin", own.margin.is_some(), hinge),
        ("margin-weight", own.margin_weight.is_some(), hinge),
        (
            "attack-steps",
            own.attack_steps.is_some(),
            method.attacks() || scored_near,
        ),
        (
            "attack-step",
            own.attack_step.is_some(),
            attacks_pixels || scored_near,
        ),
        (
            "attack-restarts",
            own.attack_restarts.is_some(),
            method.attacks() || scored_near,
        ),
        ("attack-radius", own.attack_radius.is_some(), attacks_pixels),
        ("ramp-start", own.ramp_start.is_some(), ramps),
        ("ramp-end", own.ramp_end.is_some(), ramps),
        (
            "milestones",
            own.milestones.is_some(),
            falls || falls_without(whole, settings.schedule.epochs),
        ),
        ("decay", own.decay.is_some(), falls),
        ("clean-weight", own.clean_weight.is_some(), bounds),
        ("regularizer", own.regularizer.is_some(), bounds),
        (
            "split-seed",
            own.split_seed.is_some(),
            settings.validation > 0,
        ),
        ("test-limit", own.test_limit.is_some(), whole.test.is_some()),
    ];
    let given = all.into_iter().filter(|&(_, given, used)| given && !used);
    given.map(|(name, ..)| name).collect()
}

/// The milestones that come after the last epoch.
pub(super) fn late(schedule: &Schedule) -> Vec<usize> {
    let milestones = schedule.milestones.iter().copied();
    milestones.filter(|&at| at >= schedule.epochs).collect()
}

/// Whether the learning rate would fall before the end if no milestones were given.
fn falls_without(whole: &TrainConfig, epochs: usize) -> bool {
    let preset = whole.preset.as_deref().and_then(preset);
    let milestones = preset.and_then(|preset| preset.milestones);
    let milestones = milestones.unwrap_or_else(|| Schedule::default().milestones);
    milestones.iter().any(|&at| at < epochs)
}

/// A remark on such settings, where there are any.
pub(in crate::job) fn remark(names: &[&str], method: &str) -> Option<String> {
    let (names, verb) = match names {
        [] => return None,
        [one] => ((*one).to_owned(), "has"),
        several => (several.join(", "), "have"),
    };
    Some(format!(
        "{names}: given, but {verb} no effect on a training by {method}"
    ))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::ops::ControlFlow;

    use recert_train::{Architecture, Examples, Network, Training};

    use super::*;

    /// Every method with what it needs.
    const METHODS: [(&str, &str); 15] = [
        ("standard", ""),
        ("gaussian", "sigma = 0.1"),
        (
            "gaussian-hinge",
            "sigma = 0.1\nmargin = 1\nmargin-weight = 1",
        ),
        ("gaussian-ibp", "sigma = 0.1\nalpha = 0.5\neps = 0.02"),
        ("pgd", "eps = 0.02"),
        ("smoothadv", "sigma = 0.1\neps = 0.2"),
        ("ibp", "eps = 0.02"),
        ("crown-ibp", "eps = 0.02"),
        ("sabr", "eps = 0.02\ntau = 0.5"),
        ("mtl-ibp", "eps = 0.02\nalpha = 0.5"),
        ("cc-ibp", "eps = 0.02\nalpha = 0.5"),
        ("exp-ibp", "eps = 0.02\nalpha = 0.5"),
        ("taps", "eps = 0.02"),
        ("staps", "eps = 0.02\ntau = 0.5"),
        ("geometric", "transform = 'rotate=-30..30'\ncell-width = 4"),
    ];

    /// Settings with a value that is neither above nor the default.
    const CHANGES: [&str; 24] = [
        "eps = '10/255'",
        "validation-eps = 0.5",
        "cell-width = 9",
        "pixels = 'knapsack'",
        "batch-cells = 2",
        "sigma = 0.4",
        "samples = 3",
        "tau = 0.9",
        "alpha = 0.9",
        "attacked-relus = 2",
        "taps-weight = 2",
        "connector = 0.1",
        "relu-shrink = 0.5",
        "margin = 3",
        "margin-weight = 2",
        "attack-steps = 5",
        "attack-step = 0.7",
        "attack-restarts = 3",
        "attack-radius = 0.4",
        "ramp-start = 1",
        "ramp-end = 2",
        "clean-weight = [0.3, 0.6]",
        "regularizer = 3",
        "split-seed = 9",
    ];

    /// What comes of a small training: losses and scores of its epochs, and weights.
    fn outcome(config: &TrainConfig, settings: Settings) -> String {
        let pixels = (0..32 * 16).map(|i| ((i * i * 37 + i * 11) % 97) as f32 / 97.0);
        let labels = (0..32).map(|i| i * i % 3).collect();
        let examples = Examples::new([1, 4, 4], pixels.collect(), labels, 3).unwrap();
        let layers: Architecture = "fc-6-5-4".parse().unwrap();
        let layers = layers.layers([1, 4, 4], 3).unwrap();
        let how = config.initialization(&settings.method).unwrap();
        let network = Network::new([1, 4, 4], layers, config.normalization(1), how, 1).unwrap();
        let mut training = Training::new(network, &examples, settings).unwrap();
        let mut found = String::new();
        while !training.is_done() {
            let epoch = training.epoch(|_| ControlFlow::Continue(()));
            let epoch = epoch.unwrap().unwrap();
            writeln!(found, "{} {:?}", epoch.loss, epoch.validation).unwrap();
        }
        format!("{found}{:?}", training.network())
    }

    #[test]
    fn milestones_after_the_last_epoch_change_nothing_where_there_would_be_none() {
        let unused = |text: &str| TrainConfig::from_toml(text).unwrap().unused().unwrap();
        let short = "method = 'standard'\nepochs = 5\n";
        let both = ["milestones", "decay"];
        assert_eq!(
            unused(&format!("{short}milestones = [5, 9]\ndecay = 0.1")),
            both
        );
        assert!(unused(&format!("{short}milestones = [4, 9]\ndecay = 0.1")).is_empty());
        // In place of the default's, and of a preset's, that would come.
        assert!(unused("method = 'standard'\nmilestones = 99").is_empty());
        assert!(unused("preset = 'mnist-0.1-ibp'\nmilestones = 99").is_empty());
        let preset = "preset = 'mnist-0.1-ibp'\nepochs = 30\nmilestones = 99";
        assert_eq!(unused(preset), ["milestones"]);
    }

    #[test]
    fn what_is_called_unused_changes_nothing_and_all_else_does() {
        let common = "epochs = 3\nramp-end = 1\nbatch = 8\nvalidation = 16\nattack-steps = 2\n\
                      milestones = 2\nlearning-rate = 0.01\n";
        for (method, needed) in METHODS {
            let base: TrainConfig =
                TrainConfig::from_toml(&format!("{common}method = '{method}'\n{needed}")).unwrap();
            let settings = base.settings().unwrap();
            let scored = settings.method.bounds() && method != "geometric" || method == "pgd";
            let expected = outcome(&base, settings);
            let start = if base
                .initialization(&base.settings().unwrap().method)
                .unwrap()
                == recert_train::Initialization::He
            {
                "initialization = 'interval'"
            } else {
                "initialization = 'he'"
            };
            for change in CHANGES.into_iter().chain([start, "decay = 0.9"]) {
                let own = TrainConfig::from_toml(change).unwrap();
                let (name, _) = change.split_once(' ').unwrap();
                let whole = base.clone().under(own.clone());
                // What is refused is not ignored.
                let Ok(settings) = whole.settings() else {
                    assert!(
                        ["eps", "validation-eps", "relu-shrink"].contains(&name),
                        "{method}: {name}"
                    );
                    continue;
                };
                let unused = unused(&own, &whole, &settings);
                let changed = outcome(&whole, settings) != expected;
                // Scores are shares of few images, which another attack may leave as they are.
                let attack = ["attack-steps", "attack-step", "attack-restarts"];
                let seen = changed || scored && attack.contains(&name);
                assert_eq!(
                    unused,
                    if seen { vec![] } else { vec![name] },
                    "{method}: {change}"
                );
                assert!(!changed || unused.is_empty(), "{method}: {change}");
            }
        }
    }
}
