//! The JSON document: its shape as a snapshot, and that it brings back what went in.

use std::collections::BTreeSet;

use crate::support;
use proptest::prelude::*;
use recert_report::{ErrorKind, Report, Row, json};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

#[test]
fn the_document() {
    let mut report = support::small();
    for run in &mut report.runs {
        run.rows.truncate(2);
    }
    report.runs.remove(1);
    if let recert_report::Method::Recertify {
        original, gamma, ..
    } = &mut report.runs[2].method
    {
        *original = Some(1);
        *gamma = Some(0.99);
    }
    report.runs.truncate(3);
    insta::assert_snapshot!(json::to_string(&report, None).unwrap());
}

#[test]
fn what_is_written_is_read_back() {
    let mut report = support::small();
    report.title = "quotes \" and <tags> and \u{1f980} and \u{0}".to_owned();
    report.runs[0].rows[0].label = None;
    report.runs[0].rows[0].radius = 0.1_f64.next_up();
    report.runs[0].rows[1].evaluations = u64::MAX - 20_000_000;
    let text = json::to_string(&report, None).unwrap();
    assert_eq!(json::from_str(&text).unwrap(), report);
    assert_eq!(
        json::from_str(&json::to_string(&Report::default(), None).unwrap()).unwrap(),
        Report::default()
    );
}

/// A JSON value none of whose objects has a key twice. Reading into a map would
/// silently keep one of the two.
struct KeysOnce;

impl<'de> Deserialize<'de> for KeysOnce {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for KeysOnce {
    type Value = Self;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON without a duplicate key")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut keys = BTreeSet::new();
        while let Some((key, Self)) = map.next_entry::<String, Self>()? {
            if keys.contains(&key) {
                return Err(A::Error::custom(format!("the key {key} is duplicate")));
            }
            keys.insert(key);
        }
        Ok(Self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self, A::Error> {
        while let Some(Self) = list.next_element()? {}
        Ok(Self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(Self)
    }
}

#[test]
fn no_object_has_a_key_twice() {
    let once = |text: &str| serde_json::from_str::<KeysOnce>(text).map(|_| ());
    let twice = once(r#"[{"a": 1, "b": {"a": 1, "c": null, "a": [2.5, -1, "x", true]}}]"#);
    assert!(
        twice
            .unwrap_err()
            .to_string()
            .contains("the key a is duplicate")
    );
    let report = support::small();
    once(&json::to_string(&report, None).unwrap()).unwrap();
    let mut unlabelled = report;
    unlabelled.runs[0].rows[0].label = None;
    once(&json::to_string(&unlabelled, None).unwrap()).unwrap();
}

#[test]
fn earlier_schemas_are_read() {
    let text = json::to_string(&support::small(), None).unwrap();
    let fourth = text.replace("recert-report/5", "recert-report/4");
    assert_eq!(json::from_str(&fourth).unwrap(), support::small());
    let third = fourth.replace("recert-report/4", "recert-report/3");
    assert_eq!(json::from_str(&third).unwrap(), support::small());
    let second = third
        .replace("recert-report/3", "recert-report/2")
        .replace("\"zeta\"", "\"disagreement\"")
        .replace("\"mean_zeta\"", "\"mean_disagreement\"")
        .replace("\"original\"", "\"base\"");
    assert_eq!(json::from_str(&second).unwrap(), support::small());
    let first = second
        .replace("recert-report/2", "recert-report/1")
        .replace("\"certified_at\"", "\"certified\"");
    assert_eq!(json::from_str(&first).unwrap(), support::small());
}

#[test]
fn radii_are_those_asked_for_and_numbers_in_parameters_are_numbers() {
    let mut report = support::small();
    let seed = u64::MAX.to_string();
    for (name, text) in [
        ("seed", seed.as_str()),
        ("alpha_f", "0.0001"),
        ("goal", r#"{"budget":500}"#),
        ("version", "1.10"),
        ("noise", "philox"),
    ] {
        (report.runs[0].parameters).insert(name.to_owned(), text.to_owned());
    }
    let text = json::to_string(&report, Some(&[0.25, 0.5])).unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let run = &document["runs"][0];
    assert_eq!(run["metrics"]["radii"], serde_json::json!([0.25, 0.5]));
    assert_eq!(run["metrics"]["certified_at"].as_array().unwrap().len(), 2);
    let parameters = &run["parameters"];
    assert_eq!(parameters["seed"].as_u64(), Some(u64::MAX));
    assert_eq!(parameters["alpha_f"].as_f64(), Some(0.0001));
    assert_eq!(parameters["goal"]["budget"].as_u64(), Some(500));
    // No number writes itself so: it stays the text that it is.
    assert_eq!(parameters["version"], "1.10");
    assert_eq!(parameters["noise"], "philox");
    assert_eq!(json::from_str(&text).unwrap(), report);
}

#[test]
fn other_documents_are_refused() {
    let text = json::to_string(&support::small(), None).unwrap();
    for (changed, kind) in [
        (
            text.replace("recert-report/5", "recert-report/6"),
            ErrorKind::Schema,
        ),
        (
            text.replace("\"sigma\": 0.5", "\"sigma\": -0.5"),
            ErrorKind::Value,
        ),
        (text.replace("\"sigma\": 0.5,", ""), ErrorKind::Format),
        (
            text.replace("\"original\": 2", "\"original\": 99"),
            ErrorKind::Value,
        ),
        (text[..text.len() / 2].to_owned(), ErrorKind::Format),
        ("{}".to_owned(), ErrorKind::Format),
        (String::new(), ErrorKind::Format),
    ] {
        assert_eq!(json::from_str(&changed).unwrap_err().kind(), kind);
    }
    let more = text.replacen("\"title\"", "\"a_later_field\": 1, \"title\"", 1);
    assert_eq!(json::from_str(&more).unwrap(), support::small());
}

#[test]
fn a_number_that_json_cannot_hold_is_refused() {
    let mut report = support::small();
    report.runs[0].rows[0].radius = f64::INFINITY;
    assert_eq!(
        json::to_string(&report, None).unwrap_err().kind(),
        ErrorKind::Value
    );
}

proptest! {
    /// No bound may move by a single bit on its way through JSON.
    #[test]
    fn every_double_comes_back(bits in any::<u64>()) {
        let radius = f64::from_bits(bits & !(1 << 63));
        prop_assume!(radius < 1e30);
        let mut report = support::small();
        report.runs.truncate(1);
        report.runs[0].rows = vec![Row { class: Some(1), radius, ..Row::default() }];
        let back = json::from_str(&json::to_string(&report, None).unwrap()).unwrap();
        prop_assert_eq!(back.runs[0].rows[0].radius.to_bits(), radius.to_bits());
    }
}
