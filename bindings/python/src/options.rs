//! Keywords as configurations. They have the names of the command line's options, and of the fields
//! that errors name.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use pyo3::conversion::FromPyObjectOwned;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use recert::engine::Apart;
use recert::job::{
    Amount, DataOptions, Law, NetworkConfig, RunConfig, Sides, SubsetConfig, fresh_seed, whole,
};

use crate::errors::{raise, refuse};

/// The keywords of a function.
pub(crate) struct Options<'py>(pub(crate) Bound<'py, PyDict>);

impl<'py> Options<'py> {
    /// The value of a keyword, which is missing where it is `None`.
    pub(crate) fn item(&self, keyword: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        let item = self.0.get_item(keyword)?;
        Ok(item.filter(|item| !item.is_none()))
    }

    /// The same as a type.
    pub(crate) fn get<T: FromPyObjectOwned<'py>>(&self, keyword: &str) -> PyResult<Option<T>> {
        let Some(item) = self.item(keyword)? else {
            return Ok(None);
        };
        match item.extract() {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(cannot_be(keyword, &item, &error.into())),
        }
    }

    /// The same, of a keyword that is needed.
    pub(crate) fn need<T: FromPyObjectOwned<'py>>(&self, keyword: &str) -> PyResult<T> {
        self.get(keyword)?
            .ok_or_else(|| refuse(keyword, &format!("{keyword} is needed")))
    }

    /// The value as it reads: of strings and numbers.
    pub(crate) fn parsed<T: FromStr<Err: Display>>(&self, keyword: &str) -> PyResult<Option<T>> {
        let item = self.item(keyword)?;
        item.map(|item| parse(keyword, &item)).transpose()
    }

    /// The same of a list, or of one value alone.
    pub(crate) fn several<T: FromStr<Err: Display>>(&self, keyword: &str) -> PyResult<Vec<T>> {
        let items = self.items(keyword)?.into_iter();
        items.map(|item| parse(keyword, &item)).collect()
    }

    /// The values of a list, or one value alone.
    pub(crate) fn items(&self, keyword: &str) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let Some(item) = self.item(keyword)? else {
            return Ok(Vec::new());
        };
        let is_list = !item.is_instance_of::<pyo3::types::PyString>() && item.len().is_ok();
        if is_list {
            return item.try_iter()?.collect();
        }
        Ok(vec![item])
    }

    /// A whole number: `100_000`, `1e5` and `"1e5"` are the same.
    pub(crate) fn count<N: TryFrom<u64>>(&self, keyword: &str) -> PyResult<Option<N>> {
        let Some(item) = self.item(keyword)? else {
            return Ok(None);
        };
        let text = match item.extract::<f64>() {
            Ok(value) if value.fract() == 0.0 && (0.0..2_f64.powi(53)).contains(&value) => {
                (value as u64).to_string()
            }
            _ => item.str()?.to_string(),
        };
        let number = whole(&text).map_err(|why| refuse(keyword, &why.to_string()))?;
        let number = N::try_from(number);
        let too_large = |_| refuse(keyword, &format!("{keyword} cannot be as large as {text}"));
        number.map(Some).map_err(too_large)
    }

    /// What a name stands for.
    pub(crate) fn chosen<T: Copy>(
        &self,
        keyword: &str,
        names: &[(&str, T)],
    ) -> PyResult<Option<T>> {
        let item = self.item(keyword)?;
        item.map(|item| choose(keyword, &item, names)).transpose()
    }

    pub(crate) fn subset(&self) -> PyResult<SubsetConfig> {
        let all = SubsetConfig::default();
        Ok(SubsetConfig {
            every: self.count("every")?.unwrap_or(all.every),
            offset: self.count("offset")?.unwrap_or(all.offset),
            limit: self.count("limit")?,
        })
    }

    pub(crate) fn run(&self) -> PyResult<RunConfig> {
        Ok(RunConfig {
            threads: self.count("threads")?,
            batch: self.count("batch")?,
            shard: self.parsed("shard")?,
        })
    }

    pub(crate) fn sides(&self) -> PyResult<Sides> {
        let one = self.get("one_sided")?.unwrap_or(false);
        Ok(if one { Sides::One } else { Sides::Two })
    }

    pub(crate) fn noise(&self) -> PyResult<Law> {
        let laws = [("gaussian", Law::Gaussian), ("integer", Law::Integer)];
        Ok(self.chosen("noise", &laws)?.unwrap_or(Law::Gaussian))
    }

    /// The seed, or the one of the ledger where it is to be fresh.
    pub(crate) fn seed(&self, ledger: &std::path::Path) -> PyResult<u64> {
        let fresh = self.item("seed")?.is_some_and(|seed| {
            let seed: PyResult<String> = seed.extract();
            seed.is_ok_and(|seed| seed == "fresh")
        });
        if fresh && !ledger.exists() && self.item("shard")?.is_some() {
            let message = "every shard needs the same seed, and each would draw a fresh one of its \
                           own: draw it once, and give all of them the number";
            return Err(refuse("seed", message));
        }
        if fresh {
            return fresh_seed(ledger).map_err(raise);
        }
        Ok(self.count("seed")?.unwrap_or(0))
    }

    /// A number of seconds, or a `datetime.timedelta`.
    pub(crate) fn duration(&self, keyword: &str) -> PyResult<Option<Duration>> {
        let Some(item) = self.item(keyword)? else {
            return Ok(None);
        };
        if let Ok(seconds) = item.extract::<f64>() {
            let duration = Duration::try_from_secs_f64(seconds);
            return duration
                .map(Some)
                .map_err(|why| refuse(keyword, &format!("{keyword} is {seconds}: {why}")));
        }
        self.get(keyword)
    }

    /// How to read files of images. `labels` is a file here.
    pub(crate) fn data(&self) -> PyResult<DataOptions> {
        Ok(DataOptions {
            train: self.get("train")?.unwrap_or(false),
            labels: self.get("labels")?,
            classes: self.get("classes")?,
            label_offset: self.get("label_offset")?,
            resize: self.count("resize")?,
            crop: self.count("crop")?,
        })
    }

    /// How to compute a network's file.
    pub(crate) fn network(&self) -> PyResult<NetworkConfig> {
        Ok(NetworkConfig {
            engine: self.get("engine")?,
            precision: self.parsed("precision")?,
            device: self.get("device")?,
            apart: apart(self.0.py())?,
            output: self.get("output")?,
            mean: self.several("mean")?,
            std: self.several("std")?,
            scale: self.get("scale")?,
            max_memory: self.count("max_memory")?,
        })
    }

    /// Counts of samples, or percentages.
    pub(crate) fn amounts(&self, keyword: &str) -> PyResult<Vec<Amount>> {
        let items = self.items(keyword)?.into_iter();
        items
            .map(|item| match item.extract::<f64>() {
                Ok(value) if value.fract() == 0.0 && (1.0..2_f64.powi(53)).contains(&value) => {
                    Ok(Amount::Count(value as u64))
                }
                _ => parse(keyword, &item),
            })
            .collect()
    }
}

/// What a value stands for, by its name.
pub(crate) fn choose<T: Copy>(
    keyword: &str,
    item: &Bound<'_, PyAny>,
    names: &[(&str, T)],
) -> PyResult<T> {
    let given = item.str()?.to_string();
    let found = names.iter().find(|(name, _)| *name == given);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = names.iter().map(|(name, _)| *name).collect();
        let message = format!("{keyword} cannot be '{given}', but {}", names.join(", "));
        refuse(keyword, &message)
    })
}

fn parse<T: FromStr<Err: Display>>(keyword: &str, item: &Bound<'_, PyAny>) -> PyResult<T> {
    let text = item.str()?.to_string();
    text.parse()
        .map_err(|why: T::Err| refuse(keyword, &why.to_string()))
}

fn cannot_be(keyword: &str, item: &Bound<'_, PyAny>, why: &PyErr) -> PyErr {
    let value = item
        .repr()
        .map_or_else(|_| "that".to_owned(), |value| value.to_string());
    let why = why.value(item.py());
    refuse(keyword, &format!("{keyword} cannot be {value}: {why}"))
}

/// How this program is started again, for the first runs of engines that are other projects'
/// libraries: nothing where there is no interpreter to start, as in a program that embeds one.
pub(crate) fn apart(py: Python<'_>) -> PyResult<Option<Apart>> {
    let program = py.import("sys")?.getattr("executable")?;
    let program: Option<String> = program.extract()?;
    let program = program.filter(|program| !program.is_empty());
    Ok(program.map(|program| Apart::new(program, ["-m", "recert", recert_cli::FIRST_RUNS])))
}
