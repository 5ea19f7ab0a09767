//! The run, the networks, the inputs and the selections.

use std::collections::{BTreeMap, BTreeSet};

use recert_ledger::raw::{Row, Table, Value};
use recert_ledger::{Error, FileHash, INVALID, Ledger, NetworkName};

use crate::fields::Fields;
use crate::noise::Law;
use crate::report::Report;
use crate::summary;

/// The version of the schema from which on there are verifications.
pub(crate) const FIRST_WITH_VERIFICATIONS: i64 = 4;

/// The run's header.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// Whether the run predicts instead of certifying.
    pub(crate) predict: bool,
    pub(crate) sigma: f64,
    pub(crate) n0: u64,
    pub(crate) n: u64,
    pub(crate) alpha: f64,
    pub(crate) law: Law,
    /// The number of values of an image.
    pub(crate) dims: u64,
    /// The number of the original network f.
    pub(crate) base: i64,
}

/// A network.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    pub(crate) classes: u64,
    /// In hexadecimal.
    pub(crate) sha256: String,
}

/// The outcome of selection samples.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    pub(crate) samples: u64,
    pub(crate) counts: BTreeMap<u16, u64>,
    pub(crate) class: u16,
    pub(crate) edges: bool,
    pub(crate) micros: u64,
}

/// The valid rows of the tables that certificates refer to.
#[derive(Debug)]
pub(crate) struct Tables {
    /// `None` if the header is invalid, or that of a ledger without a smoothing run; no
    /// certificate can be derived then.
    pub(crate) run: Option<Run>,
    pub(crate) networks: BTreeMap<i64, Network>,
    /// What identifies each network, by its number.
    pub(crate) names: BTreeMap<i64, NetworkName>,
    /// The stored hash of each input's image, by the input's position.
    pub(crate) inputs: BTreeMap<u32, String>,
    /// The number of values of an image, if the header has one.
    pub(crate) dims: Option<u64>,
    /// Whether the header is that of a ledger without a smoothing run.
    pub(crate) without_noise: bool,
    /// Networks that were verified by bounds.
    pub(crate) verified: BTreeSet<i64>,
    /// The inputs that were.
    pub(crate) verified_inputs: BTreeSet<u32>,
    pub(crate) selections: BTreeMap<(i64, u32), Selection>,
}

impl Tables {
    pub(crate) fn read(ledger: &Ledger, report: &mut Report) -> Result<Self, Error> {
        let mut tables = Self {
            run: None,
            networks: BTreeMap::new(),
            names: BTreeMap::new(),
            inputs: BTreeMap::new(),
            dims: None,
            without_noise: false,
            verified: BTreeSet::new(),
            verified_inputs: BTreeSet::new(),
            selections: BTreeMap::new(),
        };
        for row in ledger.raw_rows(Table::Network)? {
            if let Some((id, network)) = network(&mut Fields::new(&row, report)) {
                tables.networks.insert(id, network);
                tables.names.extend(name(&row).map(|name| (id, name)));
                report.networks.push(summary::network(id, &row));
            }
        }
        for row in ledger.raw_rows(Table::Run)? {
            tables.without_noise = *row.get("task") == Value::Text("verify".to_owned());
            let fields = &mut Fields::new(&row, report);
            tables.dims = dims(fields);
            tables.run = run(fields, &tables.networks, tables.dims);
            report.run = Some(summary::run(&row));
        }
        if ledger.version()? >= FIRST_WITH_VERIFICATIONS {
            for row in ledger.raw_rows(Table::Verification)? {
                if let Value::Integer(network) = row.get("network") {
                    tables.verified.insert(*network);
                }
            }
            for row in ledger.raw_rows(Table::Result)? {
                if let Value::Integer(idx) = row.get("idx") {
                    tables.verified_inputs.extend(u32::try_from(*idx));
                }
            }
        }
        for row in ledger.raw_rows(Table::Input)? {
            tables.inputs.extend(input(&mut Fields::new(&row, report)));
        }
        for row in ledger.raw_rows(Table::Selection)? {
            if let Some((key, found)) = tables.selection(&row, report) {
                tables.selections.insert(key, found);
            }
        }
        Ok(tables)
    }

    /// Whether an input has a result of a verification and no selection samples: unless it has
    /// answers or certificates, no smoothing run was of it.
    pub(crate) fn only_verified(&self, idx: u32) -> bool {
        let selected = |network: &i64| self.selections.contains_key(&(*network, idx));
        self.verified_inputs.contains(&idx) && !self.networks.keys().any(selected)
    }

    fn selection(&self, row: &Row, report: &mut Report) -> Option<((i64, u32), Selection)> {
        let mut fields = Fields::new(row, report);
        let network = fields.integer("network", 1..=i64::MAX as u64)? as i64;
        let idx = fields.integer("idx", 0..=u64::from(u32::MAX))? as u32;
        let classes = self.networks.get(&network).map_or(0, |n| n.classes);
        // Without a valid header any number is accepted.
        let n0 = self.run.as_ref().map(|run| run.n0);
        let (least, most) = (n0.unwrap_or(0), n0.unwrap_or(u64::from(u32::MAX)));
        let samples = fields.integer("copies", least..=most);
        let invalid = fields.integer("invalid", 0..=most);
        let micros = fields.integer("micros", 0..=i64::MAX as u64);
        let class = fields.integer("class", 0..=classes.saturating_sub(1));
        let edges = edges(&mut fields);
        let text = fields.text("counts")?;
        let counts: BTreeMap<u16, u64> = match serde_json::from_str(text) {
            Ok(counts) => counts,
            Err(why) => {
                fields.wrong("counts", text, why);
                return None;
            }
        };
        let canonical = serde_json::to_string(&counts).unwrap_or_default();
        if text != canonical {
            fields.wrong("counts", text, &canonical);
        }
        let fits = |(&class, &count): (&u16, &u64)| u64::from(class) < classes && count > 0;
        if !counts.iter().all(fits) {
            let derived = format!("counts above 0 of classes below {classes}");
            fields.wrong("counts", text, derived);
        }
        let (samples, invalid) = (samples?, invalid?);
        let sum = counts
            .values()
            .try_fold(0, |sum: u64, c| sum.checked_add(*c));
        if sum.and_then(|sum| sum.checked_add(invalid)) != Some(samples) {
            let derived = format!("counts that sum with {invalid} invalid ones to {samples}");
            fields.wrong("counts", text, derived);
            return None;
        }
        // The class with the most answers, ties to the lower index; class 0 if there are none.
        let mut top = (0, 0);
        for (&class, &count) in &counts {
            if count > top.1 {
                top = (class, count);
            }
        }
        let class = class?;
        if class != u64::from(top.0) {
            fields.wrong("class", class, top.0);
            return None;
        }
        let selection = Selection {
            samples,
            counts,
            class: top.0,
            edges: edges?,
            micros: micros?,
        };
        Some(((network, idx), selection))
    }
}

/// Whether a selection has margin edges; `None` if it has invalid ones.
fn edges(fields: &mut Fields<'_>) -> Option<bool> {
    let Some(text) = fields.text_or_null("edges") else {
        return Some(false);
    };
    let parsed: Option<Vec<f32>> = serde_json::from_str(text).ok();
    let good = parsed.filter(|edges| {
        edges.len() == usize::from(recert_ledger::MARGIN_BUCKETS) - 1
            && edges.iter().all(|edge| edge.is_finite() && *edge >= 0.0)
            && edges.is_sorted()
            && serde_json::to_string(edges).is_ok_and(|canonical| canonical == text)
    });
    if good.is_none() {
        fields.wrong("edges", text, "7 ascending margins of at least 0");
    }
    good.map(|_| true)
}

/// The number of values of an image.
fn dims(fields: &mut Fields<'_>) -> Option<u64> {
    let mut dims = Some(1_u64);
    for side in ["channels", "height", "width"] {
        let size = fields.integer(side, 1..=u64::from(u32::MAX));
        dims = dims
            .zip(size)
            .and_then(|(dims, size)| dims.checked_mul(size));
    }
    dims
}

/// Checks the header of a ledger that has no smoothing run: its numbers are 0.
fn without_noise(fields: &mut Fields<'_>) {
    for column in ["n0", "n"] {
        fields.integer(column, 0..=0);
    }
    for column in ["sigma", "alpha"] {
        fields.real(column, "0 in a ledger without a smoothing run", |value| {
            value == 0.0
        });
    }
    for (column, expected) in [("generator", "none"), ("seed", "0")] {
        if let Some(text) = fields.text(column).filter(|text| *text != expected) {
            fields.wrong(column, text, expected);
        }
    }
}

fn run(
    fields: &mut Fields<'_>,
    networks: &BTreeMap<i64, Network>,
    dims: Option<u64>,
) -> Option<Run> {
    let id = fields.integer("id", 1..=1);
    let task = fields.text("task");
    if task == Some("verify") {
        without_noise(fields);
        original(fields, networks);
        return None;
    }
    let predict = match task {
        Some("certify") => Some(false),
        Some("predict") => Some(true),
        other => {
            let known = "certify, predict or verify";
            fields.wrong("task", other.unwrap_or("nothing"), known);
            None
        }
    };
    let positive = |value: f64| value > 0.0;
    let sigma = fields.real("sigma", "a number above 0", positive);
    // Predicting draws no selection samples.
    let least = u64::from(predict == Some(false));
    let most = if predict == Some(true) {
        0
    } else {
        u64::from(u32::MAX)
    };
    let n0 = fields.integer("n0", least..=most);
    let n = fields.integer("n", 1..=u64::from(u32::MAX));
    let alpha = fields.alpha("alpha");
    let generator = fields.text("generator")?;
    let law = Law::of_generator(generator);
    if law.is_none() {
        fields.wrong("generator", generator, Law::names());
    }
    let seed = fields.text("seed")?;
    if seed
        .parse::<u64>()
        .ok()
        .map(|seed| seed.to_string())
        .as_deref()
        != Some(seed)
    {
        fields.wrong("seed", seed, "a whole number below 2^64");
    }
    let network = original(fields, networks)?;
    id?;
    Some(Run {
        predict: predict?,
        sigma: sigma?,
        n0: n0?,
        n: n?,
        alpha: alpha?,
        law: law?,
        dims: dims?,
        base: network,
    })
}

/// The number of the network that the ledger is of.
fn original(fields: &mut Fields<'_>, networks: &BTreeMap<i64, Network>) -> Option<i64> {
    fields.text("data");
    fields.nonempty_text("tool");
    let network = fields.integer("network", 1..=i64::MAX as u64)? as i64;
    if !networks.contains_key(&network) {
        fields.wrong("network", network, "a network of the ledger");
    }
    Some(network)
}

fn network(fields: &mut Fields<'_>) -> Option<(i64, Network)> {
    let id = fields.integer("id", 1..=i64::MAX as u64);
    fields.hash("sha256");
    for name in ["engine", "engine_version", "precision", "preprocess"] {
        fields.nonempty_text(name);
    }
    for name in ["file", "output"] {
        fields.text(name);
    }
    fields.integer("bytes", 1..=i64::MAX as u64);
    fields.integer("batch_invariant", 0..=1);
    fields.text_or_null("note");
    let classes = fields.integer("classes", 1..=u64::from(INVALID));
    let sha256 = fields.text("sha256")?.to_owned();
    let classes = classes?;
    Some((id? as i64, Network { classes, sha256 }))
}

/// What identifies a network, if its row is valid.
fn name(row: &Row) -> Option<NetworkName> {
    let text = |column: &str| match row.get(column) {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    };
    let engine = (text("engine")?, text("engine_version")?, text("precision")?);
    Some(NetworkName {
        sha256: FileHash::try_from(text("sha256")?).ok()?,
        engine: format!("{} {}, {}", engine.0, engine.1, engine.2),
        preprocess: text("preprocess")?,
        output: text("output")?,
    })
}

fn input(fields: &mut Fields<'_>) -> Option<(u32, String)> {
    let idx = fields.integer("idx", 0..=u64::from(u32::MAX));
    fields.hash("sha256");
    let image = match fields.row.get("sha256") {
        Value::Text(text) => text.clone(),
        _ => String::new(),
    };
    let _ = fields.integer_or_null("label", 0..=u64::from(u32::MAX));
    fields.text_or_null("name");
    Some((idx? as u32, image))
}
