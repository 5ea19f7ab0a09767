//! Reading claims and deriving them again.
//!
//! A claim's parameters and statement follow from its method, its alpha, the run, and the
//! parameters that the user chose (such as gamma, a budget or a radius). They are derived
//! again here and compared.

use std::cell::RefCell;

use recert_ledger::raw::Table;
use recert_ledger::{Error, Ledger};
use serde_json::Value;

use super::expected::expected;
use super::requested::{self, Requested};
use super::{Claim, Claims};
use crate::derived::Wrong;
use crate::fields::Fields;
use crate::journal;
use crate::noise::Law;
use crate::report::Report;
use crate::tables::{Run, Tables};

/// All valid claims; the report gets the violations of the others.
pub(crate) fn read(ledger: &Ledger, tables: &Tables, report: &mut Report) -> Result<Claims, Error> {
    let mut claims = Claims::new();
    for row in ledger.raw_rows(Table::Claim)? {
        let mut fields = Fields::new(&row, report);
        if let Some((id, claim)) = tables
            .run
            .as_ref()
            .and_then(|run| one(&mut fields, tables, run))
        {
            claims.insert(id, claim);
        }
    }
    Ok(claims)
}

/// Reads a claim and derives it again; `None` if certificates by it cannot be derived.
fn one(fields: &mut Fields<'_>, tables: &Tables, run: &Run) -> Option<(i64, Claim)> {
    let id = fields.integer("id", 1..=i64::MAX as u64)? as i64;
    let network = fields.integer("network", 1..=i64::MAX as u64)? as i64;
    if !tables.networks.contains_key(&network) {
        fields.wrong("network", network, "a network of the ledger");
        return None;
    }
    let name = fields.text("method")?;
    let samples = fields.integer("copies", 0..=u64::from(u32::MAX))?;
    let alpha = fields.alpha("alpha")?;
    let text = fields.text("parameters")?;
    let Ok(stored) = serde_json::from_str::<Value>(text) else {
        fields.wrong("parameters", text, "JSON");
        return None;
    };
    if run.predict != (name == "predict") {
        let task = if run.predict { "predict" } else { "certify" };
        fields.wrong("method", name, format!("a method of a run to {task}"));
        return None;
    }
    let from_scratch = matches!(name, "certify" | "predict" | "until");
    if from_scratch && network != run.base {
        fields.wrong("network", network, run.base);
    }
    if from_scratch && alpha.to_bits() != run.alpha.to_bits() {
        fields.wrong("alpha", alpha, run.alpha);
    }
    let mut report_wrong = |(field, form): Wrong| {
        let stored = if field == "method" { name } else { text };
        fields.wrong(field, stored, form);
    };
    let request = requested::read(name, &stored);
    let request = request.map_err(&mut report_wrong).ok()?;
    let expected = expected(&request, (samples, alpha), run);
    let expected = expected.map_err(&mut report_wrong).ok()?;
    if let Some(derived) = expected.samples.filter(|&derived| derived != samples) {
        fields.wrong("copies", samples, derived);
    }
    fields.compare_json("parameters", text, &expected.parameters);
    let derived = statement(&request, alpha, run.law, fields.report.version);
    let stated = fields.text("statement")?;
    if stated != derived {
        fields.wrong("statement", format!("{stated:?}"), format!("{derived:?}"));
    }
    let claim = Claim {
        network,
        method_name: name.to_owned(),
        samples,
        alpha,
        method: expected.method,
        most: expected.most,
        inputs_sha256: match &request {
            Requested::Auto(auto) => auto.inputs_sha256.clone(),
            _ => None,
        },
        among: request.among(),
        parameters: text.to_owned(),
        statement: stated.to_owned(),
        concluded: RefCell::new(Vec::new()),
    };
    Some((id, claim))
}

/// The statement of a claim, in the words of a version of the schema.
fn statement(request: &Requested, alpha: f64, law: Law, version: i64) -> String {
    let subject = match request.among() {
        1 if version < journal::SINCE => {
            "for this network and this input, named in advance".to_owned()
        }
        among if version < journal::SINCE => format!(
            "for this input, named in advance, and a network chosen among {among} by their results"
        ),
        1 => "for this network and this input, both fixed before any answer on these samples was \
              looked at"
            .to_owned(),
        among => format!(
            "for this input and a network chosen among {among} by their results, all fixed before \
             any answer on these samples was looked at"
        ),
    };
    let images = match law {
        Law::Integer => " for images of 8-bit pixels",
        Law::Gaussian => "",
    };
    let wrong = if *request == Requested::Predict {
        "the class is not the smoothed classifier's".to_owned()
    } else {
        format!("the radius is wrong{images}")
    };
    format!("{subject}: {wrong} with probability at most {alpha}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn statements_say_what_the_choice_and_the_noise_cover() {
        let stored = json!({"among": 3, "inputs": 5, "sides": 2, "goal": {"each": 9}});
        let request = requested::read("auto", &stored);
        let request = request.unwrap();
        assert_eq!(
            statement(&request, 0.002, Law::Integer, 3),
            "for this input and a network chosen among 3 by their results, all fixed before any \
             answer on these samples was looked at: the radius is wrong for images of 8-bit pixels \
             with probability at most 0.002"
        );
        assert_eq!(
            statement(&request, 0.002, Law::Gaussian, 2),
            "for this input, named in advance, and a network chosen among 3 by their results: the \
             radius is wrong with probability at most 0.002"
        );
    }
}
