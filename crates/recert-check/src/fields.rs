//! Reading the fields of a row without assuming that any of them is valid.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use recert_ledger::raw::{Row, Value};
use serde_json::Value as Json;

use crate::report::Report;

/// An invalid field, whose violation is in the report already.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Invalid;

/// A row, and the report that gets its violations.
pub(crate) struct Fields<'a> {
    pub(crate) row: &'a Row,
    pub(crate) report: &'a mut Report,
    /// The description of the row in violations.
    pub(crate) key: String,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(row: &'a Row, report: &'a mut Report) -> Self {
        Self {
            key: row.key(),
            row,
            report,
        }
    }

    /// Reports a violation of a field: what is stored, and what it should be.
    pub(crate) fn wrong(
        &mut self,
        field: &str,
        stored: impl std::fmt::Display,
        derived: impl std::fmt::Display,
    ) {
        let table = self.row.table().name();
        self.report
            .violation(table, &self.key, field, stored, derived);
    }

    fn invalid(&mut self, field: &str, derived: impl std::fmt::Display) {
        let stored = self.row.get(field).to_string();
        self.wrong(field, stored, derived);
    }

    /// A whole number in a range.
    pub(crate) fn integer(&mut self, field: &str, range: RangeInclusive<u64>) -> Option<u64> {
        if let Value::Integer(value) = self.row.get(field)
            && let Ok(value) = u64::try_from(*value)
            && range.contains(&value)
        {
            return Some(value);
        }
        let (low, high) = (range.start(), range.end());
        self.invalid(field, format!("a whole number from {low} to {high}"));
        None
    }

    /// A whole number in a range, or NULL.
    pub(crate) fn integer_or_null(
        &mut self,
        field: &str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, Invalid> {
        if *self.row.get(field) == Value::Null {
            return Ok(None);
        }
        self.integer(field, range).map(Some).ok_or(Invalid)
    }

    /// A finite float that `fits`; `form` describes such a number for the violation.
    pub(crate) fn real(
        &mut self,
        field: &str,
        form: &str,
        fits: impl Fn(f64) -> bool,
    ) -> Option<f64> {
        if let Value::Real(value) = self.row.get(field)
            && value.is_finite()
            && fits(*value)
        {
            return Some(*value);
        }
        self.invalid(field, form);
        None
    }

    /// A probability strictly between 0 and 1.
    pub(crate) fn alpha(&mut self, field: &str) -> Option<f64> {
        let inside = |value: f64| value > 0.0 && value < 1.0;
        self.real(field, "a number between 0 and 1", inside)
    }

    /// Text.
    pub(crate) fn text(&mut self, field: &str) -> Option<&'a str> {
        if let Value::Text(text) = self.row.get(field) {
            return Some(text);
        }
        self.invalid(field, "text");
        None
    }

    /// Text that is not empty.
    pub(crate) fn nonempty_text(&mut self, field: &str) -> Option<&'a str> {
        let text = self.text(field)?;
        if text.is_empty() {
            self.invalid(field, "text that is not empty");
            return None;
        }
        Some(text)
    }

    /// Text, or NULL.
    pub(crate) fn text_or_null(&mut self, field: &str) -> Option<&'a str> {
        if *self.row.get(field) == Value::Null {
            return None;
        }
        self.text(field)
    }

    /// A SHA-256 in lower-case hexadecimal.
    pub(crate) fn hash(&mut self, field: &str) -> Option<()> {
        let digits = |text: &str| {
            text.len() == 64
                && text
                    .bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        if self.text(field).is_some_and(digits) {
            return Some(());
        }
        self.invalid(field, "64 lower-case hexadecimal digits");
        None
    }

    /// Bytes.
    pub(crate) fn blob(&mut self, field: &str) -> Option<&'a [u8]> {
        if let Value::Blob(bytes) = self.row.get(field) {
            return Some(bytes);
        }
        self.invalid(field, "a blob");
        None
    }

    /// Bytes, or NULL.
    pub(crate) fn blob_or_null(&mut self, field: &str) -> Result<Option<&'a [u8]>, Invalid> {
        if *self.row.get(field) == Value::Null {
            return Ok(None);
        }
        self.blob(field).map(Some).ok_or(Invalid)
    }

    /// Compares JSON text with the derived value, name by name.
    pub(crate) fn compare_json(&mut self, field: &str, text: &str, derived: &Json) {
        // Sorted even where another crate enables `preserve_order` of serde_json.
        let mut derived = derived.clone();
        derived.sort_all_objects();
        let derived = &derived;
        let canonical = derived.to_string();
        if text == canonical {
            return;
        }
        let empty = serde_json::Map::new();
        let stored: Option<Json> = serde_json::from_str(text).ok();
        let Some(Json::Object(stored)) = stored else {
            self.wrong(field, text, derived);
            return;
        };
        let derived = derived.as_object().unwrap_or(&empty);
        let names = stored.keys().chain(derived.keys());
        let names: BTreeSet<&String> = names.collect();
        let mut named = false;
        for name in names {
            let show = |value: Option<&Json>| value.map_or("nothing".to_owned(), Json::to_string);
            let (stored, derived) = (show(stored.get(name)), show(derived.get(name)));
            if stored != derived {
                named = true;
                self.wrong(&format!("{field}.{name}"), stored, derived);
            }
        }
        if !named {
            // All values agree, so the text differs in how it is written.
            let derived = Json::Object(derived.clone());
            self.wrong(field, text, derived);
        }
    }
}
