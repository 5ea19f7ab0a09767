//! A family of trainings as a file states it: the fields of a training, lists of values of some
//! of them, and how networks are scored.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer, ValueDeserializer};

use crate::job::config::{alpha, samples, sigma};
use crate::job::train::{Effective, TrainConfig, at_line, remark_on_unused, unreadable};
use crate::job::{Epsilon, VerifyConfig};
use crate::{Error, ErrorKind, Field, Result};

/// The most points of a sweep.
const MOST_POINTS: usize = 1000;

/// The fields that all points have in common, since they are compared on these images.
const COMMON: [&str; 4] = ["data", "test", "validation", "split-seed"];

/// A family of trainings, and how its networks are scored.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepConfig {
    /// The names of the fields that differ.
    pub fields: Vec<String>,
    /// The trainings, at least one; no two train the same network.
    pub points: Vec<SweepPoint>,
    /// How each network is scored.
    pub score: SweepScore,
    /// The images that the front may be reported on.
    pub test: Option<String>,
    /// A remark on settings that change nothing in any training, where there are any.
    pub unused: Option<String>,
}

/// One training of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepPoint {
    /// Its settings in a word, and the name of its files.
    pub name: String,
    /// The value of each of [`SweepConfig::fields`] as the file has it for this point; empty where it
    /// has none.
    pub values: Vec<String>,
    /// The training, without test images.
    pub config: TrainConfig,
}

/// How the networks of a sweep are scored, on images kept from training.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepScore {
    /// The most images, evenly spread over those that were kept.
    pub images: usize,
    /// What makes an image a certified one.
    pub(super) certificate: Certificate,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Certificate {
    Bounds(Bounds),
    Noise(Noise),
}

/// By the cascade of `verify`, in L-inf.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bounds {
    pub(super) eps: Epsilon,
    pub(super) timeout: Option<Duration>,
    pub(super) complete: bool,
}

/// By smoothing, in L2.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Noise {
    pub(super) sigma: f64,
    pub(super) radius: f64,
    pub(super) n: u64,
    pub(super) n0: u64,
    pub(super) alpha: f64,
}

/// The table `score` of a file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Score {
    images: Option<usize>,
    eps: Option<Distance>,
    timeout: Option<f64>,
    complete: Option<bool>,
    sigma: Option<f64>,
    radius: Option<f64>,
    n: Option<u64>,
    n0: Option<u64>,
    alpha: Option<f64>,
}

/// A distance as a file has it: a number, or a text as `"8/255"`.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "invalid type: write a number, or a fraction as in \"8/255\""
)]
enum Distance {
    Number(f64),
    Text(String),
}

impl Distance {
    fn exact(&self) -> Result<Epsilon> {
        match self {
            Self::Number(number) => number.to_string().parse(),
            Self::Text(text) => text.parse(),
        }
    }
}

impl SweepScore {
    /// What makes an image a certified one, in words.
    pub fn words(&self) -> String {
        match &self.certificate {
            Certificate::Bounds(Bounds {
                eps,
                timeout,
                complete,
            }) => {
                let search = if *complete {
                    " and branch and bound"
                } else {
                    ""
                };
                let limit = match timeout {
                    Some(timeout) => format!("at most {} s an image", timeout.as_secs_f64()),
                    None => "without a time limit".to_owned(),
                };
                format!(
                    "answered rightly and verified by bounds within {eps} in L-inf (cascade{search}, \
                     {limit}); undecided are neither verified nor falsified"
                )
            }
            Certificate::Noise(Noise {
                sigma,
                radius,
                n,
                n0,
                alpha,
            }) => format!(
                "the smoothed network's class is right and certified at the L2 radius {radius}, under noise \
                 of sigma {sigma} (n {n}, n0 {n0}, alpha {alpha}); natural is right at radius 0, \
                 undecided are abstentions"
            ),
        }
    }
}

impl TryFrom<Score> for SweepScore {
    type Error = Error;

    fn try_from(score: Score) -> Result<Self> {
        let refuse = |message: &str| Err(Error::new(ErrorKind::Parameter, message));
        let (by_bounds, by_noise) = (
            score.timeout.is_some() || score.complete.is_some(),
            score.radius.is_some()
                || score.n.is_some()
                || score.n0.is_some()
                || score.alpha.is_some(),
        );
        let certificate = match (&score.eps, score.sigma) {
            (Some(eps), None) => {
                if by_noise {
                    return refuse("radius, n, n0 and alpha are for sigma, not for eps");
                }
                let eps = eps
                    .exact()
                    .map_err(|error| Error::new(ErrorKind::Parameter, format!("eps: {error}")))?;
                if eps.up() == 0.0 || eps.up() > 1.0 {
                    return refuse(&format!("eps: {eps} is not above 0 and at most 1"));
                }
                let timeout = score.timeout.map(|seconds| {
                    Duration::try_from_secs_f64(seconds).map_err(|_| {
                        let message = format!("timeout: {seconds} is no number of seconds");
                        Error::new(ErrorKind::Parameter, message)
                    })
                });
                let timeout = timeout.transpose()?;
                let config = VerifyConfig {
                    timeout,
                    ..VerifyConfig::default()
                };
                config.validate()?;
                Certificate::Bounds(Bounds {
                    eps,
                    timeout,
                    complete: score.complete.unwrap_or(false),
                })
            }
            (None, Some(deviation)) => {
                if by_bounds {
                    return refuse("timeout and complete are for eps, not for sigma");
                }
                let noise = Noise {
                    sigma: sigma(deviation)?.get(),
                    radius: match score.radius {
                        Some(radius) if radius > 0.0 && radius.is_finite() => radius,
                        Some(radius) => return refuse(&format!("radius: {radius} is not above 0")),
                        None => {
                            return refuse("radius: sigma needs it, as what counts as certified");
                        }
                    },
                    n: samples(Field::N, score.n.unwrap_or(1000))?,
                    n0: samples(Field::N0, score.n0.unwrap_or(100))?,
                    alpha: alpha(score.alpha.unwrap_or(0.001), &[1.0, 1.0])?.get(),
                };
                Certificate::Noise(noise)
            }
            _ => {
                return refuse(
                    "give either eps, to verify by bounds in L-inf, or sigma and radius, to certify \
                     under noise in L2",
                );
            }
        };
        let images = score.images.unwrap_or(1000);
        if images == 0 {
            return refuse("images: at least 1 is needed");
        }
        Ok(Self {
            images,
            certificate,
        })
    }
}

/// A file's text, for the lines of errors.
#[derive(Clone, Copy)]
struct Text<'t>(&'t str);

impl Text<'_> {
    fn refuse<T>(self, span: Range<usize>, message: impl std::fmt::Display) -> Result<T> {
        Err(at_line(self.0, span, message))
    }

    fn read(self, error: &toml::de::Error) -> Error {
        unreadable(self.0, error)
    }

    /// A value as it is written, without quotes.
    fn value(self, span: Range<usize>) -> String {
        self.0[span].trim_matches(['"', '\'']).to_owned()
    }
}

/// A name and its value, where they stand.
type Entry<'t> = (Spanned<std::borrow::Cow<'t, str>>, Spanned<DeValue<'t>>);

impl SweepConfig {
    /// The sweep of a TOML text: the fields of a training; under `[sweep]` lists of values of some of
    /// them, of which every combination is trained, or several such lists of lists, each under
    /// `[[sweep]]`; and under `[score]` how networks are scored.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] with the line: for what is unknown, missing or out of range in any
    /// training, for an empty list, and where two points would train the same network.
    ///
    /// ```
    /// use recert::job::SweepConfig;
    ///
    /// let text = "preset = 'mnist-0.1-sabr'\ndata = 'idx:mnist'\nvalidation = 5000\n\
    ///     [sweep]\ntau = [0.2, 0.4]\nseed = [1, 2]\n[score]\neps = 0.1";
    /// let sweep = SweepConfig::from_toml(text)?;
    /// assert_eq!(sweep.points.len(), 4);
    /// assert_eq!(sweep.points[0].name, "seed-1_tau-0.2");
    ///
    /// let wrong = SweepConfig::from_toml(&text.replace("0.4", "4")).unwrap_err();
    /// assert!(wrong.to_string().starts_with("line 5: tau: 4 is not"), "{wrong}");
    /// # Ok::<(), recert::Error>(())
    /// ```
    pub fn from_toml(text: &str) -> Result<Self> {
        let source = Text(text);
        let document = DeTable::parse(text).map_err(|error| source.read(&error))?;
        let whole = document.span();
        let mut base = document.into_inner();
        let (Some(grids), Some(score)) = (base.remove("sweep"), base.remove("score")) else {
            return source.refuse(
                whole,
                "a sweep has the tables [sweep], with lists of values, and [score]",
            );
        };
        let table = Spanned::new(whole.clone(), base.clone());
        let common = TrainConfig::deserialize(Deserializer::from(table))
            .map_err(|error| source.read(&error))?;
        if common.data.is_none() {
            return source.refuse(whole, "data: name the images to train on");
        }
        if common.validation.unwrap_or(0) == 0 {
            return source.refuse(
                whole,
                "validation: points are compared on images that are kept from training: say how many",
            );
        }
        let span = score.span();
        let score = Score::deserialize(ValueDeserializer::from(score))
            .map_err(|error| source.read(&error))?;
        let score = SweepScore::try_from(score)
            .or_else(|error| source.refuse(span, format!("score: {error}")))?;
        let mut points = Vec::new();
        for grid in grids_of(source, grids)? {
            for entries in combined(source, &grid)? {
                if points.len() == MOST_POINTS {
                    let span = entries
                        .first()
                        .map_or(whole.clone(), |entry| entry.0.span());
                    let message = format!("there are more than {MOST_POINTS} points");
                    return source.refuse(span, message);
                }
                points.push(point(source, (&base, whole.clone()), entries)?);
            }
        }
        check_distinct(source, &points)?;
        let fields: BTreeSet<&str> = (points.iter())
            .flat_map(|point| point.entries.iter().map(|(key, _)| key.get_ref().as_ref()))
            .collect();
        let value_of = |point: &Read<'_>, field: &str| {
            let own = (point.entries.iter()).find(|(key, _)| key.get_ref() == field);
            let value = own.map(|(_, value)| value).or_else(|| base.get(field));
            value.map_or_else(String::new, |value| source.value(value.span()))
        };
        Ok(Self {
            points: (points.iter())
                .map(|point| SweepPoint {
                    name: point.name.clone(),
                    values: fields.iter().map(|field| value_of(point, field)).collect(),
                    config: point.config.clone(),
                })
                .collect(),
            fields: fields.into_iter().map(str::to_owned).collect(),
            score,
            test: common.test,
            unused: unused(&points)?,
        })
    }

    /// The sweep of a TOML file.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] where it cannot be read; as [`SweepConfig::from_toml`].
    pub fn from_file(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            let message = format!("{}: cannot be read: {error}", path.display());
            Error::new(ErrorKind::Input, message)
        })?;
        Self::from_toml(&text)
            .map_err(|error| Error::new(error.kind(), format!("{}: {error}", path.display())))
    }
}

/// A remark on settings that no training has a use for of those that they are given to.
fn unused(points: &[Read<'_>]) -> Result<Option<String>> {
    let mut used: BTreeMap<String, bool> = BTreeMap::new();
    for point in points {
        // A point has no test images; the front may have.
        let given = toml::Table::try_from(&point.config).unwrap_or_default();
        let unused = point.config.unused()?;
        for name in given.keys() {
            let used = used.entry(name.clone()).or_default();
            *used |= !unused.contains(&name.as_str());
        }
    }
    let names: Vec<&str> = (used.iter())
        .filter(|(_, used)| !**used)
        .map(|(name, _)| name.as_str())
        .collect();
    Ok(remark_on_unused(&names, "any method of this sweep"))
}

/// A point, with what it was read from.
struct Read<'t> {
    entries: Vec<Entry<'t>>,
    name: String,
    config: TrainConfig,
    effective: Effective,
}

/// The tables of lists: one, or several.
fn grids_of<'t>(text: Text<'_>, grids: Spanned<DeValue<'t>>) -> Result<Vec<DeTable<'t>>> {
    let span = grids.span();
    let all = match grids.into_inner() {
        DeValue::Table(grid) => vec![grid],
        DeValue::Array(grids) => {
            let tables = grids.into_iter().map(|grid| {
                let span = grid.span();
                match grid.into_inner() {
                    DeValue::Table(grid) => Ok(grid),
                    _ => text.refuse(span, "sweep: every one has to be a table of lists"),
                }
            });
            tables.collect::<Result<_>>()?
        }
        _ => return text.refuse(span, "sweep: it has to be a table of lists"),
    };
    if all.iter().any(DeTable::is_empty) || all.is_empty() {
        return text.refuse(
            span,
            "sweep: name a field and its values, as in alpha = [0.1, 0.5]",
        );
    }
    Ok(all)
}

/// All combinations of the values of a grid, lazily.
fn combined<'g, 't>(
    text: Text<'_>,
    grid: &'g DeTable<'t>,
) -> Result<impl Iterator<Item = Vec<Entry<'t>>> + use<'g, 't>> {
    let mut lists = Vec::new();
    let mut count = 1_usize;
    for (key, list) in grid {
        let name = key.get_ref().as_ref();
        if COMMON.contains(&name) {
            let message = format!("{name}: all points have to have the same, to be compared");
            return text.refuse(key.span(), message);
        }
        let values = match list.get_ref() {
            DeValue::Array(values) if values.is_empty() => {
                return text.refuse(list.span(), format!("{name}: the list is empty"));
            }
            DeValue::Array(values) => values,
            _ => {
                let message = format!("{name}: write a list of values, as in {name} = [..]");
                return text.refuse(list.span(), message);
            }
        };
        count = count.saturating_mul(values.len());
        lists.push((key, values));
    }
    Ok((0..count).map(move |number| {
        let mut rest = number;
        let mut entries: Vec<Entry<'t>> = Vec::new();
        // The last field varies first.
        for (key, values) in lists.iter().rev() {
            entries.push(((*key).clone(), values[rest % values.len()].clone()));
            rest /= values.len();
        }
        entries.reverse();
        entries
    }))
}

/// A point, checked as far as it can be without network and data.
fn point<'t>(
    text: Text<'_>,
    (base, whole): (&DeTable<'t>, Range<usize>),
    entries: Vec<Entry<'t>>,
) -> Result<Read<'t>> {
    let mut table = base.clone();
    for (key, value) in &entries {
        table.insert(key.clone(), value.clone());
    }
    let fields: Vec<_> = table.keys().cloned().collect();
    let config = TrainConfig::deserialize(Deserializer::from(Spanned::new(whole.clone(), table)))
        .map_err(|error| text.read(&error))?;
    let config = TrainConfig {
        test: None,
        ..config
    };
    let effective = match config.effective() {
        Ok(effective) => effective,
        Err(error) => {
            let message = error.to_string();
            // It names a field of its own, or begins with one of the training's.
            let named = |key: &Spanned<std::borrow::Cow<'_, str>>| {
                let key = key.get_ref().as_ref();
                let begins = message.strip_prefix(key);
                error.field().is_some_and(|field| field.name() == key)
                    || begins.is_some_and(|rest| rest.starts_with(':'))
            };
            let swept = entries.iter().find(|(key, _)| named(key));
            let span = match (swept, fields.iter().find(|key| named(key))) {
                (Some((_, value)), _) => value.span(),
                (None, Some(key)) => key.span(),
                (None, None) => entries.first().map_or(whole, |(key, _)| key.span()),
            };
            return text.refuse(span, message);
        }
    };
    let words = entries.iter().map(|(key, value)| {
        let value = text.value(value.span());
        let safe = value.chars().filter_map(|c| match c {
            c if c.is_ascii_alphanumeric() || ".-+".contains(c) => Some(c),
            '[' | ']' | ' ' => None,
            _ => Some('-'),
        });
        format!("{}-{}", key.get_ref(), safe.collect::<String>())
    });
    Ok(Read {
        name: words.collect::<Vec<_>>().join("_"),
        entries,
        config,
        effective,
    })
}

/// Fails where two points would train the same network, or write to the same file.
fn check_distinct(text: Text<'_>, points: &[Read<'_>]) -> Result<()> {
    for (number, point) in points.iter().enumerate() {
        let same = points[..number]
            .iter()
            .find(|other| other.name == point.name || other.effective == point.effective);
        if let Some(other) = same {
            let span = point
                .entries
                .first()
                .map_or(0..0, |(_, value)| value.span());
            let message = format!(
                "the points {} and {} would train the same network: leave out one of them, or the field \
                 that their method does not use",
                other.name, point.name
            );
            return text.refuse(span, message);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
