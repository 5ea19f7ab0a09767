//! What a search looks among, and what it is to find.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::job::search::Change;
use crate::job::{Amount, CalibrationConfig, NetworkConfig, SearchConfig};
use crate::{Error, ErrorKind, Field, Result};

/// The most networks that a search looks at.
const MOST_CANDIDATES: usize = 1000;

/// The most that are certified.
const MOST_CHOSEN: usize = 50;

/// What a network costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cost {
    /// Bytes: each weight of a layer at its bits, and the rest of the file.
    #[default]
    Size,
    /// Multiply-adds of an image, each times the bits of its weight.
    Operations,
    /// Seconds an image, measured on this machine.
    Latency,
}

/// Which networks are looked at, of all that the changes make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proposals {
    /// Those that what each layer bears by itself suggests.
    #[default]
    Layers,
    /// Each layer of each network by chance: to compare with.
    Random,
}

/// What the networks that are chosen are to have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Constraint {
    /// This share of the original's average certified radius, of any class.
    RadiusShare(f64),
    /// This average certified radius, of any class, in units of pixels in [0, 1].
    Radius(f64),
    /// At least this share of inputs certified at the radius, of any class.
    ShareAt {
        /// The radius, in units of pixels in [0, 1].
        radius: f64,
        /// The share of the inputs.
        least: f64,
    },
}

/// The networks to look among.
///
/// ```
/// use recert::job::Space;
///
/// let space = Space::from_toml(
///     "changes = ['int8', 'int4', 'prune20%+int8']\nkeep = ['/fc/Gemm']\ncandidates = 40\n\
///      least-radius = '99%'",
/// )?;
/// assert_eq!((space.changes.len(), space.candidates), (3, 40));
/// # Ok::<(), recert::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Space {
    /// What a layer may become; it may also stay as it is.
    pub changes: Vec<Change>,
    /// Layers that stay as they are.
    pub keep: Vec<String>,
    /// Networks that were made elsewhere.
    pub networks: Vec<PathBuf>,
    /// Which networks are looked at.
    pub proposals: Proposals,
    /// What is to be small.
    pub cost: Cost,
    /// What is to be had, if anything.
    pub constraint: Option<Constraint>,
    /// The most networks that are looked at.
    pub candidates: usize,
    /// The most that are certified.
    pub chosen: usize,
}

/// The file's form.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    #[serde(default)]
    changes: Vec<String>,
    #[serde(default)]
    keep: Vec<String>,
    #[serde(default)]
    networks: Vec<PathBuf>,
    #[serde(default)]
    proposals: Proposals,
    #[serde(default)]
    cost: Cost,
    least_radius: Option<Least>,
    at_radius: Option<f64>,
    least_certified: Option<Least>,
    candidates: Option<usize>,
    chosen: Option<usize>,
}

/// A number, or a share as `"99%"`.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "invalid type: write a number, or a share as in \"99%\""
)]
enum Least {
    Number(f64),
    Text(String),
}

impl Least {
    /// The number, and whether it is a share.
    fn value(&self) -> Option<(f64, bool)> {
        match self {
            Self::Number(number) => Some((*number, false)),
            Self::Text(text) => {
                let percent: f64 = text.trim().strip_suffix('%')?.trim().parse().ok()?;
                Some((percent / 100.0, true))
            }
        }
    }
}

impl Space {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] if it cannot be read or has an unknown field;
    /// [`ErrorKind::Parameter`] for a value out of range.
    pub fn from_file(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|why| {
            Error::new(ErrorKind::Input, format!("{}: {why}", path.display())).about(Field::Space)
        })?;
        let mut space =
            Self::from_toml(&text).map_err(|error| error.during(path.display().to_string()))?;
        // Files are beside the one that names them.
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        space.networks = found(&folder, &space.networks)?;
        Ok(space)
    }

    /// Reads the text of a file, in TOML.
    ///
    /// # Errors
    /// As for [`from_file`](Self::from_file).
    pub fn from_toml(text: &str) -> Result<Self> {
        let file: File = toml::from_str(text)
            .map_err(|why| Error::new(ErrorKind::Input, why.to_string()).about(Field::Space))?;
        Self::new(&file)
    }

    /// Reads the same fields in JSON; folders that are named are read from where the process runs.
    ///
    /// # Errors
    /// As for [`from_file`](Self::from_file).
    pub fn from_json(text: &str) -> Result<Self> {
        let file: File = serde_json::from_str(text)
            .map_err(|why| Error::new(ErrorKind::Input, why.to_string()).about(Field::Space))?;
        let mut space = Self::new(&file)?;
        space.networks = found(Path::new(""), &space.networks)?;
        Ok(space)
    }

    fn new(file: &File) -> Result<Self> {
        let refuse =
            |message: String| Error::new(ErrorKind::Parameter, message).about(Field::Space);
        let mut changes: Vec<Change> = Vec::new();
        for change in &file.changes {
            let change = change.parse().map_err(|e: Error| e.about(Field::Space))?;
            if changes.contains(&change) {
                return Err(refuse(format!("changes: {change} is there twice")));
            }
            changes.push(change);
        }
        if changes.is_empty() && file.networks.is_empty() {
            let message = "name what layers may become, as changes = [\"int8\", \"int4\"], or networks that were \
                           made elsewhere, as networks = [\"folder\"]";
            return Err(refuse(message.to_owned()));
        }
        let share = |name: &str, least: &Least, whole: bool| match least.value() {
            Some((value, percent))
                if value > 0.0 && value.is_finite() && (!percent || value <= 1.0) =>
            {
                if whole && value > 1.0 {
                    Err(refuse(format!(
                        "{name}: a share of the inputs is at most 1, not {value}"
                    )))
                } else {
                    Ok((value, percent))
                }
            }
            _ => Err(refuse(format!(
                "{name}: write a number above 0, or a share up to \"100%\""
            ))),
        };
        let constraint = match (&file.least_radius, file.at_radius, &file.least_certified) {
            (None, None, None) => None,
            (Some(least), None, None) => Some(match share("least-radius", least, false)? {
                (value, true) => Constraint::RadiusShare(value),
                (value, false) => Constraint::Radius(value),
            }),
            (None, Some(radius), Some(least)) => {
                if !(radius > 0.0 && radius.is_finite()) {
                    return Err(refuse(format!(
                        "at-radius: a radius is above 0, not {radius}"
                    )));
                }
                let (least, _) = share("least-certified", least, true)?;
                Some(Constraint::ShareAt { radius, least })
            }
            _ => {
                let message =
                    "what is to be had is either least-radius, or least-certified at at-radius";
                return Err(refuse(message.to_owned()));
            }
        };
        let within = |name: &str, value: Option<usize>, default: usize, most: usize| match value {
            None => Ok(default),
            Some(value) if (1..=most).contains(&value) => Ok(value),
            Some(value) => Err(refuse(format!("{name}: from 1 to {most}, not {value}"))),
        };
        Ok(Self {
            changes,
            keep: file.keep.clone(),
            networks: file.networks.clone(),
            proposals: file.proposals,
            cost: file.cost,
            constraint,
            candidates: within("candidates", file.candidates, 40, MOST_CANDIDATES)?,
            chosen: within("chosen", file.chosen, 3, MOST_CHOSEN)?,
        })
    }
}

/// The files that are named, and those of folders that are named, in the order of their names.
fn found(folder: &Path, named: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in named {
        let path = folder.join(path);
        if !path.is_dir() {
            files.push(path);
            continue;
        }
        let unreadable = |why: std::io::Error| {
            Error::new(ErrorKind::Input, format!("{}: {why}", path.display())).about(Field::Space)
        };
        let mut inside = Vec::new();
        for file in path.read_dir().map_err(unreadable)? {
            let file = file.map_err(unreadable)?.path();
            if file
                .extension()
                .is_some_and(|extension| extension == "onnx")
            {
                inside.push(file);
            }
        }
        if inside.is_empty() {
            let message = format!("{}: no .onnx file is in it", path.display());
            return Err(Error::new(ErrorKind::Input, message).about(Field::Space));
        }
        inside.sort_unstable();
        files.extend(inside);
    }
    Ok(files)
}

/// A search for a cheaper version of a certified network.
#[derive(Debug, Clone)]
pub struct TuneConfig {
    /// The ledger of the certified network; it is left as it is.
    pub ledger: PathBuf,
    /// The network's file.
    pub model: PathBuf,
    /// How to run it and its versions; what is left open is as in the ledger.
    pub network: NetworkConfig,
    /// What to look among.
    pub space: Space,
    /// The images to observe activations on, which integers need.
    pub calibration: Option<CalibrationConfig>,
    /// Which samples are looked at.
    pub search: SearchConfig,
    /// Evaluations of each network that is chosen, for its certificates, over all inputs of the ledger.
    pub budget: Amount,
    /// Where everything is written: the ledgers, and the files of the networks that are chosen.
    pub folder: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_are_read_and_mistakes_named() {
        let of = |text: &str| Space::from_toml(&format!("changes = ['int8']\n{text}"));
        assert_eq!(of("").unwrap().constraint, None);
        let share = of("least-radius = '99%'").unwrap().constraint;
        assert_eq!(share, Some(Constraint::RadiusShare(0.99)));
        let radius = of("least-radius = 0.4").unwrap().constraint;
        assert_eq!(radius, Some(Constraint::Radius(0.4)));
        let at = of("at-radius = 0.5\nleast-certified = '55%'")
            .unwrap()
            .constraint;
        let expected = Constraint::ShareAt {
            radius: 0.5,
            least: 0.55,
        };
        assert_eq!(at, Some(expected));
        for (text, words) in [
            ("least-radius = '0%'", "least-radius"),
            ("least-radius = '120%'", "least-radius"),
            ("least-radius = 'much'", "least-radius"),
            ("least-radius = nan", "least-radius"),
            ("at-radius = 0.5", "at at-radius"),
            ("at-radius = -1\nleast-certified = 0.5", "at-radius"),
            ("at-radius = 1\nleast-certified = 1.5", "at most 1"),
            ("candidates = 0", "candidates"),
            ("chosen = 51", "chosen"),
            ("speed = 1", "speed"),
            ("cost = 'money'", "cost"),
            ("proposals = 'all'", "proposals"),
        ] {
            let error = of(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
        let nothing = Space::from_toml("candidates = 3").unwrap_err().to_string();
        assert!(nothing.contains("changes ="), "{nothing}");
        let twice = Space::from_toml("changes = ['int8', 'int8']").unwrap_err();
        assert!(twice.to_string().contains("twice"), "{twice}");
    }
}
