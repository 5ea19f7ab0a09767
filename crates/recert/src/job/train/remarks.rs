//! What a person should know of a training before it begins.

use std::path::Path;

use recert_train::{Examples, Network, Settings};

use super::config::TrainConfig;
use super::unused::late;
use crate::output::count;

/// The most numbers of a list.
const LISTED: usize = 10;

/// Numbers with commas between them: the first, and how many more there are.
fn listed(numbers: &[usize]) -> String {
    let first = numbers.iter().take(LISTED).map(usize::to_string);
    let first = first.collect::<Vec<_>>().join(", ");
    match numbers.len().saturating_sub(LISTED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// What of the schedule comes after the last epoch; `unused` are settings that are named already.
pub(super) fn of_schedule(
    config: &TrainConfig,
    settings: &Settings,
    unused: &[&str],
) -> Vec<String> {
    let schedule = &settings.schedule;
    let epochs = schedule.epochs;
    let ends = format!("training ends after {}", count(epochs as u64, "epoch"));
    let mut found = Vec::new();
    if settings.method.ramps() && schedule.ramp_end >= epochs {
        found.push(format!(
            "no epoch comes after the ramp: ramp-end is {}, and {ends}, so that eps, or the cells' widths, have their \
             full value in none",
            schedule.ramp_end
        ));
    }
    if let Some(from) = settings.average_from
        && from >= epochs
    {
        found.push(format!(
            "average-from {from}: {ends}, so that nothing is averaged"
        ));
    }
    let late = late(schedule);
    if config.milestones.is_some() && !late.is_empty() && !unused.contains(&"milestones") {
        found.push(format!(
            "milestones {}: {ends}, so that the learning rate does not fall there",
            listed(&late)
        ));
    }
    found
}

/// Classes that no image is of.
pub(super) fn of_classes(examples: &Examples) -> Option<String> {
    let missing = examples.missing();
    let (noun, them) = match missing.len() {
        0 => return None,
        1 => ("class", "it"),
        _ => ("classes", "them"),
    };
    Some(format!(
        "no training image is of the {noun} {}: the network will not learn {them}",
        listed(&missing)
    ))
}

/// A file's name that does not say what is in it.
pub(super) fn of_ending(out: &Path) -> Option<String> {
    let ends = (out.extension()).is_some_and(|ending| ending.eq_ignore_ascii_case("onnx"));
    (!ends).then(|| {
        format!(
            "{}: what is written is ONNX, which other programs know by the ending .onnx",
            out.display()
        )
    })
}

/// A normalization in front of one that a network has itself.
pub(super) fn of_normalization(config: &TrainConfig, network: &Network) -> Option<String> {
    let given = config.normalization(network.image()[0]);
    let changes =
        given.mean.iter().any(|&mean| mean != 0.0) || given.std.iter().any(|&std| std != 1.0);
    (changes && *network.normalization() != given).then(|| {
        "the network that is begun with normalizes its images itself, and mean and std come in front of \
         that: leave them out, or set them to 0 and 1 where a preset has them"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<String> {
        let own = TrainConfig::from_toml(text).unwrap();
        let unused = own.unused().unwrap();
        let config = own.complete().unwrap();
        of_schedule(&config, &config.settings().unwrap(), &unused)
    }

    #[test]
    fn what_comes_after_the_last_epoch_is_said_with_numbers() {
        let found = of("preset = 'mnist-0.1-mtl-ibp'\nepochs = 5");
        let expected = [
            "no epoch comes after the ramp: ramp-end is 20, and training ends after 5 epochs",
            "average-from 65: training ends after 5 epochs, so that nothing is averaged",
            "milestones 50, 60: training ends after 5 epochs",
        ];
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}");
        }
        assert!(of("preset = 'mnist-0.1-mtl-ibp'").is_empty());
        // The default's milestones were not asked for.
        assert!(of("method = 'standard'\nepochs = 5").is_empty());
        let some = "method = 'standard'\nepochs = 1\nmilestones = [1, 2]";
        let none: [String; 0] = [];
        // Named among the settings that change nothing.
        assert_eq!(of(some), none);
        let found = of("method = 'standard'\nepochs = 9\nmilestones = [3, 9, 12]");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with("milestones 9, 12: training ends after 9 epochs"),
            "{found:?}"
        );
    }

    #[test]
    fn lists_of_classes_are_short() {
        let classes = |classes| {
            let made = Examples::new([1; 3], vec![0.5; 2], vec![0, 2], classes);
            of_classes(&made.unwrap())
        };
        assert_eq!(
            classes(3).unwrap(),
            "no training image is of the class 1: the network will not learn it"
        );
        let words = classes(1_000_001).unwrap();
        let expected = "of the classes 1, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 999989 more: the network";
        assert!(words.contains(expected), "{words}");
        let whole = Examples::new([1; 3], vec![0.5; 2], vec![0, 1], 2).unwrap();
        assert_eq!(of_classes(&whole), None);
    }

    #[test]
    fn an_ending_that_is_not_onnx_is_remarked_on() {
        assert!(
            of_ending(Path::new("net.pth"))
                .unwrap()
                .starts_with("net.pth: ")
        );
        assert!(of_ending(Path::new("net")).is_some());
        assert!(of_ending(Path::new("net.ONNX")).is_none());
    }
}
