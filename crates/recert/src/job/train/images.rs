//! The images of a training, by the name that they are given by.

use std::collections::BTreeSet;

use recert_train::Examples;

use super::config::TrainConfig;
use crate::job::{Data, DataConfig, DataOptions};
use crate::{Error, ErrorKind, Field, Result, output};

/// What data sets advise where a training has no such setting, and what to do in its place.
const ADVICE: [(&str, &str); 5] = [
    (
        "give a crop so that all have one shape",
        "scale or cut the images first, so that all have one shape",
    ),
    (
        "write the classes into a text file, one name a line in the order of the network's outputs, and give it \
         as the list of classes",
        "prepare the images with numbers from 0 on as labels",
    ),
    (
        "give them apart, as labels",
        "prepare the images with a label each",
    ),
    (
        "a table of labels, or of names and labels, is given as labels, beside the images",
        "a table of labels alone is nothing to train on",
    ),
    (
        "give the images here, and labels or names of classes as such beside them",
        "give images with labels",
    ),
];

/// The name of the images to train on.
pub(super) fn named(config: &TrainConfig) -> Result<&str> {
    let name = config.data.as_deref();
    name.ok_or_else(|| Error::parameter(Field::Data, "name the images to train on"))
}

/// Images by their name, the training set or the test set where there are two.
pub(in crate::job) fn open_images(data: &str, train: bool) -> Result<Data> {
    let opened = Data::open(&DataConfig {
        data: data.to_owned(),
        options: DataOptions {
            train,
            ..DataOptions::default()
        },
    });
    opened.map_err(unprepared)
}

/// An error of a data set, without advice that a training cannot follow.
fn unprepared(error: Error) -> Error {
    let words = error.to_string();
    let advice = ADVICE.iter().find(|(theirs, _)| words.contains(theirs));
    match advice {
        Some((theirs, ours)) => Error::new(error.kind(), words.replace(theirs, ours)),
        None => error,
    }
}

/// A remark where the images to report on are those that are trained on.
pub(in crate::job) fn remark_on_test(data: &str, test: &str) -> Result<Option<String>> {
    if !same_path(data, test) {
        return Ok(None);
    }
    Images::open(test, false)?.remark_beside(&Images::open(data, true)?)
}

/// Whether two names are of one file or folder.
fn same_path(data: &str, test: &str) -> bool {
    match [data, test].map(output::data_path) {
        [Some(data), Some(test)] => output::same(&data, &test),
        _ => false,
    }
}

/// An opened set of images.
pub(super) struct Images<'n> {
    name: &'n str,
    set: Data,
}

impl<'n> Images<'n> {
    /// Images by their name, the training set or the test set where there are two.
    pub(super) fn open(name: &'n str, train: bool) -> Result<Self> {
        let set = open_images(name, train)?;
        Ok(Self { name, set })
    }

    /// Channels, height and width.
    pub(super) fn extents(&self) -> [usize; 3] {
        let shape = self.set.shape();
        [shape.channels, shape.height, shape.width]
    }

    fn pixels(&self, idx: usize) -> Result<Vec<f32>> {
        let image = self.set.image(idx as u32).map_err(unprepared)?;
        Ok(image.pixels)
    }

    /// The labels of the first images, at most `limit`.
    pub(super) fn labels(&self, limit: Option<usize>) -> Result<Vec<usize>> {
        let count = self.set.len().min(limit.unwrap_or(usize::MAX)) as u32;
        let label = |idx| {
            let label = self.set.label(idx).map(|label| label as usize);
            label.ok_or_else(|| {
                let message = format!(
                    "{}: image {idx} has no label: give images with labels, such as an npz file of both, or a \
                     folder with a folder of images for each class",
                    self.name
                );
                Error::new(ErrorKind::Input, message)
            })
        };
        (0..count).map(label).collect()
    }

    /// How many classes there are: as many as have names, else up to the largest label.
    pub(super) fn classes(&self, labels: &[usize]) -> Result<usize> {
        let files = self.set.files();
        let named = files.and_then(|files| Some(files.class_names()?.len()));
        let named = named.unwrap_or(0).max(2);
        match labels.iter().max() {
            Some(&largest) if largest >= named => {
                self.check_largest(labels, largest)?;
                Ok(largest + 1)
            }
            _ => Ok(named),
        }
    }

    /// Fails where most of the classes up to the largest label have no image, as one wrong label makes it.
    fn check_largest(&self, labels: &[usize], largest: usize) -> Result<()> {
        let all = (0..self.set.len() as u32).filter_map(|idx| self.set.label(idx));
        let found: BTreeSet<u32> = all.filter(|&label| label as usize <= largest).collect();
        let (found, classes) = (found.len(), largest + 1);
        if 2 * found >= classes {
            return Ok(());
        }
        let image = labels.iter().position(|&label| label == largest);
        let message = format!(
            "{}: labels go up to {largest}, but only {found} of {classes} classes have images: image {} has it; is \
             the label wrong?",
            self.name,
            image.unwrap_or(0)
        );
        Err(Error::new(ErrorKind::Input, message))
    }

    /// The first images, with these labels.
    pub(super) fn examples(&self, labels: Vec<usize>, classes: usize) -> Result<Examples> {
        let image = self.extents();
        let mut pixels = Vec::with_capacity(labels.len() * image.iter().product::<usize>());
        for idx in 0..labels.len() {
            pixels.extend(self.pixels(idx)?);
        }
        let examples = Examples::new(image, pixels, labels, classes);
        examples.map_err(|error| Error::from(error).during(self.name))
    }

    /// A remark where these are to report on, and are the very images that are trained on, from the same file or
    /// folder and as far as a few of them tell. Of many folders one half is trained on, and the other is these.
    pub(super) fn remark_beside(&self, trained: &Images<'_>) -> Result<Option<String>> {
        let count = self.set.len();
        if !same_path(self.name, trained.name) || count != trained.set.len() {
            return Ok(None);
        }
        for idx in [0, count / 2, count - 1] {
            let label = |images: &Images<'_>| images.set.label(idx as u32);
            if label(self) != label(trained) || self.pixels(idx)? != trained.pixels(idx)? {
                return Ok(None);
            }
        }
        Ok(Some(format!(
            "{}: data and test are the same images, so that accuracy on these says nothing of others",
            self.name
        )))
    }
}

/// Images that a training keeps for validation.
pub(in crate::job) struct Kept {
    /// Channels, height and width.
    pub(in crate::job) image: [usize; 3],
    /// Pixels in [0, 1], image by image.
    pub(in crate::job) pixels: Vec<f32>,
    /// The label of each.
    pub(in crate::job) labels: Vec<usize>,
}

/// The images that a training by `config` keeps for validation: at most `most` of them, evenly
/// spread.
pub(in crate::job) fn kept(config: &TrainConfig, most: usize) -> Result<Kept> {
    let config = config.clone().complete()?;
    let settings = config.settings()?;
    let images = Images::open(named(&config)?, true)?;
    let labels = images.labels(config.limit)?;
    let [_, kept] = settings.split(labels.len())?;
    let count = kept.len().min(most);
    let chosen: Vec<usize> = (0..count).map(|i| kept[i * kept.len() / count]).collect();
    let mut pixels = Vec::new();
    for &idx in &chosen {
        pixels.extend(images.pixels(idx)?);
    }
    Ok(Kept {
        image: images.extents(),
        pixels,
        labels: chosen.into_iter().map(|idx| labels[idx]).collect(),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Images of two pixels with labels, as rows of a table.
    fn table(folder: &Path, labels: &[u32]) -> String {
        let file = folder.join("images.csv");
        let pixels = ",0".repeat(784);
        let rows = labels.iter().map(|label| format!("{label}{pixels}\n"));
        std::fs::write(&file, rows.collect::<String>()).unwrap();
        format!("csv:{}", file.display())
    }

    #[test]
    fn one_wrong_label_is_refused_with_its_image() {
        let folder = tempfile::tempdir().unwrap();
        let classes = |labels: &[u32]| {
            let name = table(folder.path(), labels);
            let images = Images::open(&name, true).unwrap();
            let labels = images.labels(None).unwrap();
            images.classes(&labels).map_err(|error| {
                assert_eq!(error.kind(), ErrorKind::Input);
                assert!(error.to_string().starts_with(&name), "{error}");
                error.to_string()
            })
        };
        assert_eq!(classes(&[0, 1, 2, 1]), Ok(3));
        assert_eq!(classes(&[0, 0]), Ok(2));
        // Half of them may be missing, as of a part of a set.
        assert_eq!(classes(&[1, 3]), Ok(4));
        let words = classes(&[0, 1_000_000, 2, 1]).unwrap_err();
        let expected =
            "labels go up to 1000000, but only 4 of 1000001 classes have images: image 1 has it";
        assert!(words.contains(expected), "{words}");
        // What comes behind a limit counts as an image of its class, but not as a label to train on.
        let name = table(folder.path(), &[3, 0, 1, 2, 1_000_000]);
        let images = Images::open(&name, true).unwrap();
        assert_eq!(images.classes(&images.labels(Some(1)).unwrap()).unwrap(), 4);
    }

    #[test]
    fn a_label_of_no_class_is_named_with_its_data() {
        let folder = tempfile::tempdir().unwrap();
        let name = table(folder.path(), &[0, 1, 2]);
        let images = Images::open(&name, false).unwrap();
        let labels = images.labels(None).unwrap();
        let error = images.examples(labels, 2).unwrap_err().to_string();
        let expected =
            format!("{name}: image 2 has the label 2, and the network's classes are 0 to 1");
        assert_eq!(error, expected);
    }

    #[test]
    fn advice_is_for_trainings() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("images.npy");
        std::fs::write(&file, output::npy(&[2, 1, 2, 2], &[0.5; 8])).unwrap();
        let name = format!("npy:{}", file.display());
        let error = Images::open(&name, true).unwrap().labels(None).unwrap_err();
        let words = error.to_string();
        assert!(
            words.starts_with(&format!("{name}: image 0 has no label: give images")),
            "{words}"
        );
        for (theirs, ours) in ADVICE {
            let error = Error::new(ErrorKind::Input, format!("x: it is wrong; {theirs}"));
            let words = unprepared(error).to_string();
            assert_eq!(words, format!("x: it is wrong; {ours}"));
        }
    }

    /// The words that [`ADVICE`] is in place of are those of a data set.
    #[test]
    fn images_of_several_sizes_are_to_be_prepared() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recert-data/tests/golden");
        let folder = tempfile::tempdir().unwrap();
        for name in ["mode_l.png", "square.png"] {
            std::fs::copy(golden.join(name), folder.path().join(name)).unwrap();
        }
        let name = format!("folder:{}", folder.path().display());
        let images = Images::open(&name, true).unwrap();
        let error = images.pixels(1).unwrap_err().to_string();
        assert!(error.ends_with(ADVICE[0].1), "{error}");
    }

    #[test]
    fn a_test_on_the_training_images_is_remarked_on() {
        let folder = tempfile::tempdir().unwrap();
        let name = table(folder.path(), &[0, 1, 2]);
        let words = remark_on_test(&name, &name).unwrap().unwrap();
        assert!(words.contains("the same images"), "{words}");
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/demo");
        let demo = format!("npz:{}", demo.join("shapes-test.npz").display());
        assert_eq!(remark_on_test(&name, &demo).unwrap(), None);
    }
}
