//! Reading claims and making them again.
//!
//! A claim's parameters and words follow from its method, its alpha and the run,
//! but for what the user asked for (gamma, a budget, a radius): all of it is made
//! again here and compared.

use std::cell::Cell;

use recert_ledger::raw::Table;
use recert_ledger::{Error, Ledger};
use serde_json::Value;

use super::asked::{self, Asked};
use super::due::due;
use super::{Claim, Claims};
use crate::derived::Wrong;
use crate::fields::Fields;
use crate::noise::Law;
use crate::report::Report;
use crate::tables::{Run, Tables};

/// Every claim that is what it should be; what is wrong with the others is in the
/// report.
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

/// Reads a claim and makes it again; `None` if certificates by it cannot be
/// derived.
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
    let mut refuse = |(field, what): Wrong| {
        let shown = if field == "method" { name } else { text };
        fields.wrong(field, shown, what);
    };
    let asked = asked::read(name, &stored).map_err(&mut refuse).ok()?;
    let due = due(&asked, (samples, alpha), run);
    let due = due.map_err(&mut refuse).ok()?;
    if let Some(wanted) = due.samples.filter(|&wanted| wanted != samples) {
        fields.wrong("copies", samples, wanted);
    }
    fields.compare_json("parameters", text, &due.parameters);
    let words = statement(&asked, alpha, run.law);
    let stated = fields.text("statement")?;
    if stated != words {
        fields.wrong("statement", format!("{stated:?}"), format!("{words:?}"));
    }
    let claim = Claim {
        network,
        method_name: name.to_owned(),
        samples,
        alpha,
        method: due.method,
        most: due.most,
        certificates: Cell::new(0),
    };
    Some((id, claim))
}

/// What is claimed, in words.
fn statement(asked: &Asked, alpha: f64, law: Law) -> String {
    let among = asked.among();
    let network = if among == 1 {
        "for this network and this input, named in advance".to_owned()
    } else {
        format!(
            "for this input, named in advance, and a network chosen among {among} by their results"
        )
    };
    let images = match law {
        Law::Integer => " for images of 8-bit pixels",
        Law::Gaussian => "",
    };
    let wrong = if *asked == Asked::Predict {
        "the class is not the smoothed classifier's".to_owned()
    } else {
        format!("the radius is wrong{images}")
    };
    format!("{network}: {wrong} with probability at most {alpha}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn statements_say_what_the_choice_and_the_noise_cover() {
        let stored = json!({"among": 3, "inputs": 5, "sides": 2, "goal": {"each": 9}});
        let asked = asked::read("auto", &stored);
        let words = statement(&asked.unwrap(), 0.002, Law::Integer);
        assert_eq!(
            words,
            "for this input, named in advance, and a network chosen among 3 by their results: the \
             radius is wrong for images of 8-bit pixels with probability at most 0.002"
        );
    }
}
