//! Published settings, by name.

use super::config::TrainConfig;

/// What the presets for MNIST have in common: CTBench (Mao et al., 2025).
const MNIST: &str = "
    architecture = 'cnn7-bn'
    mean = [0.1307]
    std = [0.3081]
    batch = 256
    epochs = 70
    ramp-end = 20
    milestones = [50, 60]
";

/// And those for CIFAR-10.
const CIFAR: &str = "
    architecture = 'cnn7-bn'
    mean = [0.4914, 0.4822, 0.4465]
    std = [0.2023, 0.1994, 0.2010]
    batch = 128
    flip = true
    shift = 2
    ramp-start = 1
";

/// Rotations of MNIST by CGT (Yang et al., ICLR 2023). Their script takes the size of a batch, the
/// number of epochs and the learning rate as arguments; those here are ours.
const ROTATE: &str = "
    architecture = 'cgt-mnist'
    mean = [0.1307]
    std = [0.3081]
    initialization = 'he'
    transform = 'rotate=-30..30'
    cell-width = [0.5]
    pixels = 'interval'
    batch-cells = 1
    clean-weight = [1, 0.5]
    regularizer = 0
    clip = 8
    batch = 256
    epochs = 100
    ramp-start = 15
    ramp-end = 65
    learning-rate = 5e-4
    milestones = [80]
    decay = 0.1
";

/// The lengths of schedules for CIFAR-10, at 2/255 and at 8/255.
const SMALL: &str = "epochs = 160\nramp-end = 81\nmilestones = [120, 140]\n";
const LARGE: &str = "epochs = 240\nramp-end = 121\nmilestones = [200, 220]\n";

/// The settings, the parts they consist of, and what is their own: that of the scripts in CTBench's
/// repository, eth-sri/CTBench.
const PRESETS: [(&str, &[&str], &str); 25] = [
    (
        "mnist-0.1-ibp",
        &[MNIST],
        "method = 'ibp'\neps = 0.2\nvalidation-eps = 0.1\nl1 = 2e-6\n\
         clean-weight = [0.3, 0.3]",
    ),
    (
        "mnist-0.1-crown-ibp",
        &[MNIST],
        "method = 'crown-ibp'\neps = 0.2\nvalidation-eps = 0.1\nl1 = 5e-6\n\
         clean-weight = [0.3, 0.3]",
    ),
    (
        "mnist-0.1-sabr",
        &[MNIST],
        "method = 'sabr'\neps = 0.2\nvalidation-eps = 0.1\ntau = 0.4\nl1 = 1e-6\n\
         clean-weight = [0.3, 0.3]\nattack-steps = 10\nattack-step = 0.2\n\
         attack-restarts = 3",
    ),
    (
        "mnist-0.1-mtl-ibp",
        &[MNIST],
        "method = 'mtl-ibp'\neps = 0.2\nvalidation-eps = 0.1\nalpha = 0.02\nl1 = 1e-5\n\
         clean-weight = [0.3, 0.3]\nattack-steps = 10\nattack-step = 0.25\n\
         attack-restarts = 3\naverage-from = 65",
    ),
    (
        "mnist-0.1-taps",
        &[MNIST],
        "method = 'taps'\neps = 0.2\nvalidation-eps = 0.1\nattacked-relus = 3\n\
         taps-weight = 4\nl1 = 2e-6\nclean-weight = [0.3, 0.3]\nattack-steps = 10\n\
         attack-restarts = 3",
    ),
    (
        "mnist-0.1-staps",
        &[MNIST],
        "method = 'staps'\neps = 0.2\nvalidation-eps = 0.1\ntau = 0.4\n\
         taps-weight = 4\nl1 = 5e-6\nclean-weight = [0.3, 0.3]\nattack-steps = 10\n\
         attack-step = 0.2\nattack-restarts = 3",
    ),
    (
        "mnist-0.3-ibp",
        &[MNIST],
        "method = 'ibp'\neps = 0.3\nl1 = 2e-6\nclean-weight = [0.3, 0.3]",
    ),
    (
        "mnist-0.3-crown-ibp",
        &[MNIST],
        "method = 'crown-ibp'\neps = 0.3\nl1 = 1e-6\nclean-weight = [0.3, 0.3]",
    ),
    (
        "mnist-0.3-sabr",
        &[MNIST],
        "method = 'sabr'\neps = 0.3\ntau = 0.9\nl1 = 2e-6\nattack-steps = 5\n\
         attack-step = 0.2\nattack-restarts = 3",
    ),
    (
        "mnist-0.3-mtl-ibp",
        &[MNIST],
        "method = 'mtl-ibp'\neps = 0.3\nalpha = 0.5\nl1 = 1e-6\nattack-steps = 1\n\
         attack-step = 2\nattack-restarts = 3\naverage-from = 65",
    ),
    (
        "mnist-0.3-taps",
        &[MNIST],
        "method = 'taps'\neps = 0.4\nvalidation-eps = 0.3\nattacked-relus = 2\n\
         taps-weight = 4\nattack-steps = 5\nattack-restarts = 3",
    ),
    (
        "mnist-0.3-staps",
        &[MNIST],
        "method = 'staps'\neps = 0.3\ntau = 0.6\ntaps-weight = 4\nl1 = 1e-5\n\
         attack-steps = 10\nattack-step = 0.2\nattack-restarts = 3",
    ),
    (
        "cifar10-2-ibp",
        &[CIFAR, SMALL],
        "method = 'ibp'\neps = 0.00784313725490196\nl1 = 1e-6\n\
         clean-weight = [0.2, 0.2]",
    ),
    (
        "cifar10-2-crown-ibp",
        &[CIFAR, SMALL],
        "method = 'crown-ibp'\neps = 0.00784313725490196\nl1 = 3e-6",
    ),
    (
        "cifar10-2-sabr",
        &[CIFAR, SMALL],
        "method = 'sabr'\neps = 0.011764\nvalidation-eps = 0.00784313725490196\n\
         tau = 0.1\nrelu-shrink = 0.8\nl1 = 1e-6\nattack-steps = 5\nattack-step = 0.2\n\
         attack-restarts = 3",
    ),
    (
        "cifar10-2-mtl-ibp",
        &[CIFAR, SMALL],
        "method = 'mtl-ibp'\neps = 0.00784313725490196\nalpha = 0.01\n\
         attack-radius = 2\nl1 = 3e-6\nclean-weight = [0.1, 0.1]\nattack-steps = 1\n\
         attack-step = 2\nattack-restarts = 3\naverage-from = 150",
    ),
    (
        "cifar10-2-taps",
        &[CIFAR, SMALL],
        "method = 'taps'\neps = 0.00784313725490196\nattacked-relus = 5\n\
         taps-weight = 4\nrelu-shrink = 0.8\nl1 = 2e-6\nattack-steps = 8\n\
         attack-restarts = 3",
    ),
    (
        "cifar10-2-staps",
        &[CIFAR, SMALL],
        "method = 'staps'\neps = 0.00784313725490196\ntau = 0.1\ntaps-weight = 2\n\
         relu-shrink = 0.8\nl1 = 1e-6\nattack-steps = 8\nattack-step = 0.2\n\
         attack-restarts = 3",
    ),
    (
        "cifar10-8-ibp",
        &[CIFAR, LARGE],
        "method = 'ibp'\neps = 0.03137254901960784",
    ),
    (
        "cifar10-8-crown-ibp",
        &[CIFAR, LARGE],
        "method = 'crown-ibp'\neps = 0.03137254901960784",
    ),
    (
        "cifar10-8-sabr",
        &[CIFAR, LARGE],
        "method = 'sabr'\neps = 0.03137254901960784\ntau = 0.9\nattack-steps = 5\n\
         attack-step = 0.2\nattack-restarts = 3",
    ),
    (
        "cifar10-8-mtl-ibp",
        &[CIFAR, LARGE],
        "method = 'mtl-ibp'\neps = 0.03137254901960784\nalpha = 0.6\nattack-steps = 1\n\
         attack-step = 2\nattack-restarts = 3\naverage-from = 225",
    ),
    (
        "cifar10-8-taps",
        &[CIFAR, LARGE],
        "method = 'taps'\neps = 0.03137254901960784\ntaps-weight = 2\n\
         attack-steps = 10\nattack-restarts = 3",
    ),
    (
        "cifar10-8-staps",
        &[CIFAR, LARGE],
        "method = 'staps'\neps = 0.03137254901960784\ntau = 0.9\ntaps-weight = 2\n\
         attack-steps = 10\nattack-step = 0.2\nattack-restarts = 3",
    ),
    ("mnist-rotate30-cgt", &[ROTATE], "method = 'geometric'"),
];

/// The names of presets, each with the settings that are its own.
///
/// ```
/// let names: Vec<_> = recert::job::train_presets().map(|(name, _)| name).collect();
/// assert!(names.contains(&"mnist-0.1-mtl-ibp"));
/// ```
pub fn train_presets() -> impl Iterator<Item = (&'static str, &'static str)> {
    PRESETS.iter().map(|(name, _, own)| (*name, *own))
}

/// The settings of a preset.
pub(super) fn preset(name: &str) -> Option<TrainConfig> {
    let (_, shared, own) = PRESETS.iter().find(|(known, ..)| *known == name)?;
    let parts = shared.iter().chain([own]);
    let read = |text: &&str| TrainConfig::from_toml(text).expect("presets are TOML");
    Some(
        parts
            .map(read)
            .fold(TrainConfig::default(), TrainConfig::under),
    )
}

#[cfg(test)]
mod tests {
    use recert_train::Layer;

    use super::super::config::Begin;

    use super::*;

    #[test]
    fn presets_are_sound_settings() {
        for (name, _) in train_presets() {
            let config = preset(name).unwrap();
            let settings = config.settings().unwrap();
            let Begin::Architecture(architecture) = config.begin().unwrap() else {
                panic!("{name} begins with a file");
            };
            if let Some(latent) = settings.method.latent() {
                let layers = architecture.layers([1, 8, 8], 10).unwrap();
                let relus = layers
                    .iter()
                    .filter(|layer| matches!(layer, Layer::Relu { .. }));
                assert!(latent.relus < relus.count(), "{name}");
            }
        }
        let mtl = preset("mnist-0.1-mtl-ibp").unwrap().settings().unwrap();
        assert_eq!((mtl.eps, mtl.validation_eps), (0.2, 0.1));
        let sabr = preset("cifar10-2-sabr").unwrap().settings().unwrap();
        assert_eq!(
            (sabr.validation_eps, sabr.schedule.epochs),
            (2.0 / 255.0, 160)
        );
        // "4 17" of CTBench's layers, of which one ReLU is bounded and five are attacked.
        let taps = preset("cifar10-2-taps").unwrap().settings().unwrap();
        let latent = taps.method.latent().unwrap();
        assert_eq!(
            (latent.relus, latent.weight, taps.relu_shrink),
            (5, 4.0, 0.8)
        );
        let cgt = preset("mnist-rotate30-cgt").unwrap().settings().unwrap();
        let cells = cgt.cells.unwrap().to_string();
        assert_eq!(cells, "rotate=-30..30, cells of 0.5, interval");
        assert_eq!((cgt.schedule.clean, cgt.clip), ([1.0, 0.5], 8.0));
    }
}
