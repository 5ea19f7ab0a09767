//! The door between types and the JSON that a ledger's columns hold.
//!
//! An enum's variant is the name in another column (a method, a bound), its fields
//! are the text: canonical JSON, names in alphabetical order, numbers with as many
//! digits as bring back the same double. Nothing else in recert reads or writes it.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// JSON of a column that is not what this version records there: of an older
/// version, of another program, or damaged.
///
/// It displays as an error that names row, column and, where one is missing or
/// unknown, the field.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreign {
    row: String,
    column: &'static str,
    text: String,
    why: String,
}

impl Foreign {
    /// The text as it is stored.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What its fields are, as far as it is an object.
    fn fields(&self) -> Map<String, Value> {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// A field by itself, if it is what its type expects.
    pub(crate) fn field<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_value(self.fields().remove(name)?).ok()
    }

    /// The fields with their values as text.
    pub(crate) fn entries(&self) -> Vec<(String, String)> {
        texts(self.fields())
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            row,
            column,
            text,
            why,
        } = self;
        write!(f, "{row}, {column}: {why}, in '{text}'")
    }
}

impl std::error::Error for Foreign {}

/// A list, or counts by class, as JSON; these in the order of the classes.
///
/// # Panics
/// If it is of anything but numbers.
pub(crate) fn write_plain(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("numbers are JSON")
}

/// The inverse of [`write_plain`], or what is wrong with the text.
pub(crate) fn read_plain<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|why| format!("'{text}': {why}"))
}

/// The fields of an enum's value as canonical JSON.
pub(crate) fn write(value: &impl Serialize) -> String {
    Value::Object(fields(value)).to_string()
}

/// The fields of an enum's value, each as text.
pub(crate) fn entries(value: &impl Serialize) -> Vec<(String, String)> {
    texts(fields(value))
}

fn texts(fields: Map<String, Value>) -> Vec<(String, String)> {
    let fields = fields.into_iter();
    fields.map(|(name, v)| (name, v.to_string())).collect()
}

/// Without the variant's name, which is in another column.
fn fields(value: &impl Serialize) -> Map<String, Value> {
    let tagged = serde_json::to_value(value).unwrap_or_default();
    let inner = match tagged {
        Value::Object(tagged) => tagged.into_iter().next().map(|(_, inner)| inner),
        _ => None,
    };
    match inner {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// The inverse of [`write`], for the variant of this name; `None` is one that is
/// not known. `row` and the column are named by errors.
pub(crate) fn read<T: DeserializeOwned>(
    variant: Option<&str>,
    text: &str,
    (row, column): (&str, &'static str),
) -> Result<T, Foreign> {
    let typed = || {
        let variant = variant.ok_or("of no method and bound that this version knows")?;
        let inner: Value = serde_json::from_str(text).map_err(|why| why.to_string())?;
        let tagged = Value::Object(Map::from_iter([(variant.to_owned(), inner)]));
        serde_json::from_value(tagged).map_err(|why| why.to_string())
    };
    typed().map_err(|why: String| Foreign {
        row: row.to_owned(),
        column,
        text: text.to_owned(),
        why,
    })
}
