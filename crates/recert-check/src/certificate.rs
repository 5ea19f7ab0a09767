//! Comparing stored certificates with derived ones.

use std::collections::BTreeMap;

use recert_ledger::raw::{Row, Table, Value};
use recert_ledger::{Error, Ledger};

use crate::answers::Answers;
use crate::claim::{Claim, Claims};
use crate::derived::{Bound, Context, Derived};
use crate::fields::Fields;
use crate::free::FreeParameters;
use crate::method;
use crate::report::Report;
use crate::tables::Tables;

/// The certificates of every input.
pub(crate) fn by_input(
    ledger: &Ledger,
    report: &mut Report,
) -> Result<BTreeMap<u32, Vec<Row>>, Error> {
    let mut all: BTreeMap<u32, Vec<Row>> = BTreeMap::new();
    for row in ledger.raw_rows(Table::Certificate)? {
        let idx = Fields::new(&row, report).integer("idx", 0..=u64::from(u32::MAX));
        if let Some(idx) = idx {
            all.entry(idx as u32).or_default().push(row);
        }
    }
    Ok(all)
}

/// Derives a certificate again and compares it with what is stored.
pub(crate) fn check(
    row: &Row,
    tables: &Tables,
    claims: &Claims,
    answers: &Answers,
    report: &mut Report,
) {
    let mut fields = Fields::new(row, report);
    let Some(id) = fields.integer("claim", 1..=i64::MAX as u64) else {
        return;
    };
    let (Some(claim), Some(run)) = (claims.get(&(id as i64)), &tables.run) else {
        fields.wrong("claim", id, "a valid claim");
        return;
    };
    let (method, network) = (&claim.method_name, claim.network);
    fields.key = format!(
        "claim {id} ({method} from {} samples of network {network}), idx {}",
        claim.samples, answers.idx
    );
    if claim.exceeds_most(answers.idx) {
        fields.wrong(
            "",
            "a certificate",
            "no more certificates than the claim has inputs",
        );
    }
    let Some(text) = fields.text("counts") else {
        return;
    };
    let p_lower = match fields.row.get("p_lower") {
        Value::Real(value) => Some(*value),
        _ => None,
    };
    let context = Context {
        run,
        tables,
        answers,
        network,
        samples: claim.samples,
        free: FreeParameters::read(text),
        bound: fields.row.get("bound").to_string(),
        p_lower,
        stops: claims.values().any(|claim| claim.stops(run.base)),
        abstains: *fields.row.get("class") == Value::Null,
    };
    let derived = match method::derive(&claim.method, &context) {
        Ok(derived) => derived,
        Err((field, form)) => {
            let stored = match field {
                "counts" => text.to_owned(),
                "" => "a certificate".to_owned(),
                field => fields.row.get(field).to_string(),
            };
            fields.wrong(field, stored, form);
            return;
        }
    };
    compare(&mut fields, text, &derived);
    tally(report, claim, &derived);
}

fn tally(report: &mut Report, claim: &Claim, derived: &Derived) {
    let tally = report.methods.entry(claim.method_name.clone()).or_default();
    tally.certificates += 1;
    tally.certified += u64::from(derived.class.is_some());
    tally.samples += derived.samples;
}

fn compare(fields: &mut Fields<'_>, counts: &str, derived: &Derived) {
    fields.compare_json("counts", counts, &derived.counts);
    let class = fields.integer_or_null("class", 0..=u64::from(u16::MAX));
    let derived_class = derived.class.map(u64::from);
    let show = |class: Option<u64>| class.map_or("an abstention".to_owned(), |c| c.to_string());
    if let Ok(class) = class
        && class != derived_class
    {
        fields.wrong("class", show(class), show(derived_class));
    }
    let non_negative = |value: f64| value >= 0.0 && value.to_bits() != (-0.0_f64).to_bits();
    let radius = fields.real("radius", "a number of at least 0", non_negative);
    if let Some(radius) = radius.filter(|radius| radius.to_bits() != derived.radius.to_bits()) {
        fields.wrong(
            "radius",
            format!("{radius:?}"),
            format!("{:?}", derived.radius),
        );
    }
    match derived.p_lower {
        Bound::Nothing => {
            let stored = fields.row.get("p_lower").to_string();
            if stored != "NULL" {
                fields.wrong("p_lower", stored, "NULL");
            }
        }
        Bound::Exactly(value) => {
            let p = fields.real("p_lower", "a probability", non_negative);
            if let Some(p) = p.filter(|p| p.to_bits() != value.to_bits()) {
                fields.wrong("p_lower", format!("{p:?}"), format!("{value:?}"));
            }
        }
        Bound::Below(proved) => {
            let p = fields.real("p_lower", "a probability", non_negative);
            if let Some(p) = p.filter(|&p| !proved.covers(p)) {
                let (bound, slack) = (proved.bound, proved.slack);
                let range = format!("at most {bound:?}, and below that by no more than {slack:e}");
                fields.wrong("p_lower", format!("{p:?}"), range);
            }
        }
    }
    let bound = fields.text("bound");
    if let Some(bound) = bound.filter(|&bound| bound != derived.bound) {
        fields.wrong("bound", bound, derived.bound);
    }
    let evaluations = fields.integer("evaluations", 0..=i64::MAX as u64);
    if let Some(stored) = evaluations.filter(|&stored| stored != derived.evaluations) {
        fields.wrong("evaluations", stored, derived.evaluations);
    }
    let micros = fields.integer("micros", 0..=i64::MAX as u64);
    if let (Some(stored), Some(derived)) = (micros, derived.micros)
        && stored != derived
    {
        fields.wrong("micros", stored, derived);
    }
}
