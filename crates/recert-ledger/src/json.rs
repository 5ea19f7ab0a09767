//! Conversion between Rust types and the JSON text in a ledger's columns.
//!
//! The variant of an enum follows from another column (the method, the bound); the text
//! holds the variant's fields as canonical JSON: names in alphabetical order, numbers with
//! as many digits as are needed to read back the same double. Except for the checker, which
//! reads raw rows, nothing else in recert reads or writes this JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// JSON of a column in a form that this version does not record: an older version or
/// another program wrote it, or it is damaged. `recert check` reports which field is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreign {
    text: String,
}

impl Foreign {
    /// The text exactly as the ledger stores it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The object's fields; none if the text is not a JSON object.
    fn fields(&self) -> Map<String, Value> {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// One field, if it is there and has the type asked for.
    pub(crate) fn field<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_value(self.fields().remove(name)?).ok()
    }

    /// The name of every field, with its value as text.
    pub(crate) fn entries(&self) -> Vec<(String, String)> {
        texts(self.fields())
    }
}

/// A list of numbers, or counts by class in the order of the classes, as JSON.
///
/// # Panics
/// If the value contains anything but numbers.
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
    let text = |value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    fields.map(|(name, v)| (name, text(v))).collect()
}

/// The fields of an enum's value, without the name of its variant.
fn fields(value: &impl Serialize) -> Map<String, Value> {
    let mut tagged = serde_json::to_value(value).unwrap_or_default();
    // The map is sorted by itself only as long as no crate of the whole program
    // enables `preserve_order` of serde_json.
    tagged.sort_all_objects();
    let inner = match tagged {
        Value::Object(tagged) => tagged.into_iter().next().map(|(_, inner)| inner),
        _ => None,
    };
    match inner {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// The inverse of [`write`] for the variant with this name. `None` stands for a name that
/// this version does not know; the text is then returned as it is.
pub(crate) fn read<T: DeserializeOwned>(variant: Option<&str>, text: &str) -> Result<T, Foreign> {
    let typed = || {
        let inner: Value = serde_json::from_str(text).ok()?;
        let tagged = Value::Object(Map::from_iter([(variant?.to_owned(), inner)]));
        serde_json::from_value(tagged).ok()
    };
    typed().ok_or_else(|| Foreign {
        text: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Inner {
        z: u8,
        a: u8,
    }

    #[derive(Serialize)]
    enum Outer {
        Variant { inner: Vec<Inner>, b: f64, a: u8 },
    }

    /// Also with `--features serde_json/preserve_order`, which a dependent may enable.
    #[test]
    fn names_are_in_alphabetical_order_at_every_depth() {
        let value = Outer::Variant {
            inner: vec![Inner { z: 1, a: 2 }],
            b: 0.1,
            a: 3,
        };
        assert_eq!(write(&value), r#"{"a":3,"b":0.1,"inner":[{"a":2,"z":1}]}"#);
        let names: Vec<_> = entries(&value).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "b", "inner"]);
    }
}
