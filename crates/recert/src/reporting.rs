//! From ledgers to a report.

mod sessions;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use recert_engine::{Arithmetic, Precision};
use recert_ledger::{
    Certificate, Claim, Input, JournalEvent, KnownUse, Ledger, Network, NetworkId, Parameters,
    Seal, VerificationResult, hex,
};
use recert_num::Alpha;
use recert_report::speed_up::{ByBaseline, Point};
use recert_report::{Goal, Law, Method, Report, Row, Run, Verdict, Verified};
use recert_smooth::baseline::{Baseline, FromScratch, SELECTION};
use recert_smooth::finished_inputs;
use sha2::{Digest, Sha256};

use crate::identity::is_quantized;
use crate::job::{DataConfig, QUANTIZED};
use crate::output::count;
use crate::{Error, ErrorKind, Result, statements};
use sessions::Sessions;

/// A report of everything that `ledgers` hold, in their order: for each, the
/// network certified from scratch, then each recertification, one run for each
/// method and number of samples, with what certifying from scratch is expected to cost. Prediction ledgers hold no certificates and
/// are an error the caller should catch first; they give runs without radii.
///
/// # Errors
/// If a ledger cannot be read.
pub fn from_ledgers(ledgers: &[Ledger], title: &str, generated: &str) -> Result<Report> {
    let mut report = Report {
        title: title.to_owned(),
        generated: generated.to_owned(),
        ..Report::default()
    };
    for ledger in ledgers {
        let inputs: BTreeMap<u32, Input> = ledger
            .inputs()?
            .into_iter()
            .map(|input| (input.idx, input))
            .collect();
        let compared = crate::job::held::compared_in(ledger)?;
        let recorded = (compared.into_iter())
            .filter_map(|(network, found)| Some(format!("{network}: {}.", found?)));
        report.notes.extend(recorded);
        let smoothed = if ledger.is_without_noise() {
            Vec::new()
        } else {
            ledger.networks()?
        };
        let mut expected = ExpectedCosts::new(ledger)?;
        let sessions = Sessions::read(ledger)?;
        let mut base = None;
        for (id, network) in smoothed {
            let first = report.runs.len();
            let mut groups = groups(ledger.certificates(id)?);
            groups.sort_by(|a, b| order(&a[0].claim, &b[0].claim));
            for group in groups {
                let mut run = run(ledger, &network, &inputs, &group, base);
                sessions.complete(&mut run, id, &group[0].claim);
                if !run.method.is_from_scratch() {
                    run.baselines = expected.of(&run, &group)?;
                }
                let certifies = matches!(group[0].claim.method(), "certify" | "until");
                if id == ledger.base() && certifies && base.is_none() {
                    base = Some(report.runs.len());
                }
                report.runs.push(run);
            }
            add_notes(&mut report, &network, first);
        }
        // A number that cannot be is the ledger's fault, and found before anything is written.
        if let Err(why) = report.check() {
            let message = format!("ledger {}: is damaged: {why}", ledger.path().display());
            return Err(Error::new(ErrorKind::Input, message));
        }
        report.verifications.extend(verifications(ledger, &inputs)?);
        add_contradictions(&mut report, ledger)?;
        add_forgotten(&mut report, ledger)?;
        let several = statements::several(ledger, None)?;
        let several = several.iter().map(|remark| match ledgers.len() {
            1 => format!("{remark}."),
            _ => format!("{}: {remark}.", ledger.path().display()),
        });
        report.notes.extend(several);
    }
    // What several ledgers say of one network is said once.
    let mut said = BTreeSet::new();
    report.notes.retain(|note| said.insert(note.clone()));
    Ok(report)
}

/// A warning where the rows of a ledger are not those that were sealed
/// when it was closed, for a report's notes; `None` where they are, and where
/// there is no seal. [`from_ledgers`] does not look: this reads the whole file.
pub fn seal_note(ledger: &Ledger) -> Option<String> {
    let problem = match ledger.seal() {
        Ok(Seal::Holds | Seal::Absent) => return None,
        Ok(Seal::Broken { .. }) => "its rows are not those that were sealed".to_owned(),
        Err(why) => format!("its seal cannot be compared with its rows ({why})"),
    };
    let name = ledger.path().display();
    Some(format!("{name}: {problem}: see `recert check`."))
}

/// The runs of the original and of `network`, by the claim for which `is_row` holds, on the
/// inputs of the latter; `None` where one of them lacks certificates.
pub(crate) fn with_original(
    ledger: &Ledger,
    network: NetworkId,
    is_row: &dyn Fn(&Claim) -> bool,
) -> Result<Option<[Run; 2]>> {
    let mut modified = groups(ledger.certificates(network)?).into_iter();
    let Some(group) = modified.find(|group| is_row(&group[0].claim)) else {
        return Ok(None);
    };
    let positions: BTreeSet<u32> = group.iter().map(|c| c.idx).collect();
    let certifies =
        |group: &Vec<Certificate>| matches!(group[0].claim.method(), "certify" | "until");
    let original = groups(ledger.certificates(ledger.base())?).into_iter();
    let Some(mut original) = original.into_iter().find(certifies) else {
        return Ok(None);
    };
    original.retain(|c| positions.contains(&c.idx));
    let networks: BTreeMap<NetworkId, Network> = ledger.networks()?.into_iter().collect();
    let (Some(f), Some(h)) = (networks.get(&ledger.base()), networks.get(&network)) else {
        return Ok(None);
    };
    if original.len() != group.len() {
        return Ok(None);
    }
    let inputs: BTreeMap<u32, Input> =
        (ledger.inputs()?.into_iter().map(|input| (input.idx, input))).collect();
    let f = run(ledger, f, &inputs, &original, None);
    let mut h = run(ledger, h, &inputs, &group, Some(0));
    Sessions::read(ledger)?.complete(&mut h, network, &group[0].claim);
    if !h.method.is_from_scratch() {
        h.baselines = ExpectedCosts::new(ledger)?.of(&h, &group)?;
    }
    Ok(Some([f, h]))
}

/// The order of a network's runs: those that others are compared with first, whenever they were
/// concluded; then by their kind of goal, each by its number.
fn order(a: &Claim, b: &Claim) -> Ordering {
    let auto = |claim: &Claim| claim.method() == "auto";
    let goal = |claim: &Claim| match claim.parameters.goal() {
        None => (0, 0.0),
        Some(recert_ledger::Goal::Budget(evaluations)) => (1, evaluations as f64),
        Some(recert_ledger::Goal::Each(evaluations)) => (2, evaluations as f64),
        Some(recert_ledger::Goal::MeanRadiusOverSigma(radius)) => (3, radius),
        Some(recert_ledger::Goal::Until(radius)) => (4, radius),
    };
    let ((kind_a, amount_a), (kind_b, amount_b)) = (goal(a), goal(b));
    (auto(a).cmp(&auto(b)))
        .then(kind_a.cmp(&kind_b))
        .then(amount_a.total_cmp(&amount_b))
}

/// Certificates of one network that differ in the input alone.
fn groups(certificates: Vec<Certificate>) -> Vec<Vec<Certificate>> {
    let mut groups: Vec<Vec<Certificate>> = Vec::new();
    for c in certificates {
        match groups.last_mut() {
            Some(group) if group[0].claim == c.claim => group.push(c),
            _ => groups.push(vec![c]),
        }
    }
    groups
}

fn run(
    ledger: &Ledger,
    network: &Network,
    inputs: &BTreeMap<u32, Input>,
    group: &[Certificate],
    base: Option<usize>,
) -> Run {
    let header = ledger.header();
    let first = &group[0].claim;
    let parameters = &first.parameters;
    let method = match parameters.method() {
        // From scratch, whether of f or of h.
        "certify" | "direct" | "predict" | "until" => Method::Certify {
            sides: parameters.sides(),
            until: match parameters {
                Parameters::Until { until, .. } => Some(*until),
                _ => None,
            },
        },
        name => Method::Recertify {
            name: name.to_owned(),
            original: base,
            gamma: parameters.gamma(),
        },
    };
    // Recertifications, and new runs from scratch, take f's class; what some inputs get beyond the average
    // number of samples is no selection. Those that stop at a radius need fewer.
    let drawn_selection = match method {
        Method::Certify { until: Some(_), .. } => true,
        Method::Certify { .. } => group.iter().any(|c| c.evaluations > first.samples),
        _ => false,
    };
    let mut named: BTreeMap<String, String> = BTreeMap::new();
    named.insert("seed".into(), header.seed.to_string());
    named.insert("noise".into(), header.generator.clone());
    named.insert("preprocessing".into(), network.preprocess.clone());
    named.extend(parameters.entries());
    Run {
        network: network.file.clone(),
        network_sha256: hex(&network.sha256),
        engine: network.engine.to_string(),
        arithmetic: arithmetic(network),
        data: DataConfig::from_record(&header.data)
            .map_or_else(|| header.data.clone(), |record| record.data),
        inputs_sha256: inputs_hash(inputs, group),
        sigma: header.sigma,
        method,
        law: match recert_noise::Law::of_generator(&header.generator) {
            Ok(recert_noise::Law::Gaussian) => Some(Law::Gaussian),
            Ok(recert_noise::Law::Integer) => Some(Law::Integer),
            Err(_) => None,
        },
        goal: parameters.goal().map(|goal| reported(goal, header.sigma)),
        among: match parameters {
            Parameters::Auto { among, .. } => Some(*among),
            _ => None,
        },
        n: match first.method() {
            // Each input got its own number of samples: their mean.
            "auto" => group.iter().map(|c| c.evaluations).sum::<u64>() / group.len() as u64,
            _ => first.samples,
        },
        n0: if drawn_selection { header.n0 } else { 0 },
        alpha: first.alpha,
        statement: first.statement.to_string(),
        parameters: named,
        baselines: None,
        planned_inputs: None,
        wall_seconds: None,
        through_seconds: None,
        rows: group.iter().map(|c| row(c, inputs.get(&c.idx))).collect(),
    }
}

/// A hash over the positions and the hashes of a run's inputs; `None` where the ledger lacks
/// one of them.
fn inputs_hash(inputs: &BTreeMap<u32, Input>, group: &[Certificate]) -> Option<String> {
    let positions: BTreeSet<u32> = group.iter().map(|c| c.idx).collect();
    let mut hasher = Sha256::new();
    for idx in positions {
        hasher.update(idx.to_le_bytes());
        hasher.update(inputs.get(&idx)?.sha256);
    }
    Some(hex(&hasher.finalize()))
}

/// What certifying from scratch is expected to cost, for the recertifications of a ledger.
struct ExpectedCosts<'a> {
    ledger: &'a Ledger,
    /// The inputs on which f has all its samples.
    finished: Vec<u32>,
    /// What has been computed.
    known: Vec<Known>,
}

/// The curves for certificates at one alpha.
struct Known {
    alpha: f64,
    /// The inputs, each with whether its radius counts.
    inputs: Vec<(u32, bool)>,
    curves: ByBaseline<Vec<Point>>,
}

impl<'a> ExpectedCosts<'a> {
    fn new(ledger: &'a Ledger) -> Result<Self> {
        Ok(Self {
            ledger,
            finished: finished_inputs(ledger)?,
            known: Vec::new(),
        })
    }

    /// The curves for a run by the certificates of `group`; `None` where f lacks samples of an
    /// input, or alpha is outside of what the bounds are proved for.
    fn of(&mut self, run: &Run, group: &[Certificate]) -> Result<Option<ByBaseline<Vec<Point>>>> {
        // What is divided among candidates is divided from scratch too.
        let alpha = run.alpha / f64::from(run.among.unwrap_or(1).max(1));
        let labelled = run.is_labelled();
        let mut inputs = Vec::new();
        for (certificate, row) in group.iter().zip(&run.rows) {
            let selection = self.ledger.selection(self.ledger.base(), row.idx)?;
            let class = selection.map(|selection| u32::from(selection.class));
            let counts = !labelled || class == row.label;
            inputs.push((certificate.idx, counts));
        }
        let finished = |(idx, _): &(u32, bool)| self.finished.binary_search(idx).is_ok();
        if !inputs.iter().all(finished) {
            return Ok(None);
        }
        let charged = |mut curves: ByBaseline<Vec<Point>>| {
            if run.through_seconds.is_some() {
                // Nobody who certifies this network alone has its class, or counts to plan by.
                let selection = SELECTION * inputs.len() as u64;
                let points = curves.from_scratch.iter_mut();
                points.for_each(|point| point.cost += selection as f64);
                curves.planned.clear();
            }
            curves
        };
        let alike = |known: &&Known| known.alpha == alpha && known.inputs == inputs;
        if let Some(known) = self.known.iter().find(alike) {
            return Ok(Some(charged(known.curves.clone())));
        }
        let Ok(proved) = Alpha::new(alpha) else {
            return Ok(None);
        };
        let positions: Vec<u32> = inputs.iter().map(|(idx, _)| *idx).collect();
        let counted: Vec<bool> = inputs.iter().map(|(_, counts)| *counts).collect();
        let mut scratch = FromScratch::read(self.ledger, &positions, proved)?;
        let curves = baselines(&mut scratch, &counted, self.ledger.header().sigma)?;
        let result = charged(curves.clone());
        self.known.push(Known {
            alpha,
            inputs,
            curves,
        });
        Ok(Some(result))
    }
}

/// Evaluations over all inputs against the mean of the radii that count, in units of pixels in
/// [0, 1], for each baseline.
pub(crate) fn baselines(
    scratch: &mut FromScratch,
    counted: &[bool],
    sigma: f64,
) -> Result<ByBaseline<Vec<Point>>> {
    by_baseline(|baseline| {
        let points = scratch.curve(baseline, counted)?.into_iter();
        let point = |(evaluations, radius): (u64, f64)| Point {
            cost: evaluations as f64,
            quality: radius * sigma,
        };
        Ok(points.map(point).collect())
    })
}

/// What `make` gives for each baseline.
pub(crate) fn by_baseline<T>(mut make: impl FnMut(Baseline) -> Result<T>) -> Result<ByBaseline<T>> {
    Ok(ByBaseline {
        from_scratch: make(Baseline::FromScratch)?,
        planned: make(Baseline::Planned)?,
        paper: make(Baseline::Paper)?,
    })
}

/// A goal in the report's units: its radii are not in units of sigma.
pub(crate) fn reported(goal: recert_ledger::Goal, sigma: f64) -> Goal {
    use recert_ledger::Goal as Recorded;
    match goal {
        Recorded::Budget(evaluations) => Goal::Budget(evaluations),
        Recorded::Each(evaluations) => Goal::PerInput(evaluations),
        Recorded::MeanRadiusOverSigma(radius) => Goal::AverageRadius(radius * sigma),
        Recorded::Until(radius) => Goal::UntilRadius(radius),
    }
}

/// The precision that a network was computed in, if it is not that of its file (one file in
/// two precisions is two networks), and whether it is quantized: what an engine's precision
/// names is the rest of it.
fn arithmetic(network: &Network) -> Option<String> {
    let low = |precision: &Precision| matches!(precision, Precision::Bf16 | Precision::F16);
    let recorded = Arithmetic::from(network.engine.arithmetic.as_str());
    let precision = recorded.precision().filter(low);
    let precision = precision.map(|precision| format!("computed in {precision}"));
    let quantized = is_quantized(network).then(|| format!("quantized layers in {QUANTIZED}"));
    let parts: Vec<String> = precision.into_iter().chain(quantized).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn row(c: &Certificate, input: Option<&Input>) -> Row {
    let rate = |(disagreements, m): (u64, u64)| disagreements as f64 / m as f64;
    Row {
        idx: c.idx,
        label: input.and_then(|input| input.label),
        class: c.class.map(u32::from),
        radius: c.radius,
        p_lower: c.p_lower,
        evaluations: c.evaluations,
        seconds: c.micros as f64 / 1e6,
        zeta: c.evidence.zeta(),
        disagreement_rate: (c.evidence.disagreements())
            .filter(|&(_, m)| m > 0)
            .map(rate),
        bound: c.bound.clone(),
        invalid: c.evidence.invalid(),
    }
}

/// What was verified by bounds.
fn verifications(ledger: &Ledger, inputs: &BTreeMap<u32, Input>) -> Result<Vec<Verified>> {
    let networks: BTreeMap<_, _> = ledger.networks()?.into_iter().collect();
    let mut found = Vec::new();
    for (id, network, verification) in ledger.verifications()? {
        let results = ledger.results(id)?;
        let Some(network) = networks.get(&network).filter(|_| !results.is_empty()) else {
            continue;
        };
        let row = |result: VerificationResult| Verdict {
            idx: result.idx,
            label: (result.idx.and_then(|idx| inputs.get(&idx))).and_then(|input| input.label),
            answer: result.answer.map(u32::from),
            verdict: result.verdict.to_string(),
            margin: result.margin.filter(|margin| margin.is_finite()),
            decided_by: result.decided_by,
            seconds: result.micros as f64 / 1e6,
        };
        let data = &ledger.header().data;
        found.push(Verified {
            network: network.file.clone(),
            network_sha256: hex(&network.sha256),
            engine: network.engine.to_string(),
            preprocessing: network.preprocess.clone(),
            data: DataConfig::from_record(data).map_or_else(|| data.clone(), |record| record.data),
            specification: verification.specification.to_string(),
            method: verification.method,
            statement: verification.statement,
            conditional: (verification.effort.from)
                .is_some_and(|origin| origin.bounds == KnownUse::Assumed),
            rows: results.into_iter().map(row).collect(),
        });
    }
    Ok(found)
}

/// Remarks on results that contradict one another.
fn add_contradictions(report: &mut Report, ledger: &Ledger) -> Result<()> {
    let file = ledger.path().display();
    let found = recert_check::contradictions(ledger)?.into_iter();
    report
        .notes
        .extend(found.map(|found| format!("{file}: {found}.")));
    Ok(())
}

/// A remark on what was removed from a ledger, as its journal records.
fn add_forgotten(report: &mut Report, ledger: &Ledger) -> Result<()> {
    for entry in ledger.journal()? {
        let JournalEvent::Forgotten {
            name,
            claims,
            answers,
            ..
        } = entry.event
        else {
            continue;
        };
        let certificates: u64 = claims.iter().map(|claim| claim.certificates).sum();
        report.notes.push(format!(
            "{}: {} and {} of network {} were removed; whoever removed them may have looked at their \
             results first.",
            ledger.path().display(),
            count(certificates, "certificate"),
            count(answers, "answer"),
            &hex(&name.sha256.0)[..16],
        ));
    }
    Ok(())
}

/// Remarks on a network: what its file states of its own arithmetic, and samples
/// that it gave no valid answer on. Its runs in this ledger are those from
/// `first` on.
fn add_notes(report: &mut Report, network: &Network, first: usize) {
    if let Some(words) = &network.note {
        let notes = &mut report.notes;
        notes.push(format!("{}: {words}.", network.file));
    }
    // The runs of a network rest on prefixes of the same samples, so the longest
    // has the invalid ones of all.
    let mut invalid: BTreeMap<u32, u64> = BTreeMap::new();
    for row in report.runs[first..].iter().flat_map(|run| &run.rows) {
        let most = invalid.entry(row.idx).or_default();
        *most = row.invalid.max(*most);
    }
    let invalid: u64 = invalid.values().sum();
    if invalid > 0 {
        report.notes.push(format!(
            "{}: {} had NaN or infinite logits; each counts against the class.",
            network.file,
            count(invalid, "sample")
        ));
    }
}
