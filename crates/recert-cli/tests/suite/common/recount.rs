//! What certificates of `--method auto` and `--until-radius` state, worked out
//! again from the classes and margins in the ledger, by code that has nothing
//! in common with what made them but the outward-rounded numbers.

use std::collections::BTreeMap;
use std::path::Path;

use recert::ledger::{Certificate, Codes, INVALID, Ledger, NetworkId};
use recert::noise::Stream;
use recert::num::{
    Alpha, LowerBound, Sigma, UpperBound, clopper_pearson_lower, clopper_pearson_upper,
};
use recert::smooth::bound::{Conclusion, Shares, Verdict, two_sided};
use serde_json::{Value, json};

use super::series;

/// One in so many of f's samples is early: a vote, and nothing else.
const EARLY: u64 = 32;

/// Cells: margin buckets 0, 1, 2, 3 and higher, of samples of the class; then the
/// same of other valid answers.
const CELLS: usize = 10;

/// Whatever plain arithmetic may be off by, where a bound is not recomputed by
/// the very same outward-rounded calls.
const ERROR: f64 = 1e-9;

/// Recounts every certificate of the methods `auto` and `until` in a ledger of
/// Gaussian noise; how many there are by each bound.
pub(crate) fn recount(path: &Path) -> BTreeMap<String, u64> {
    let ledger = Ledger::open_read_only(path).expect("the ledger opens");
    let mut bounds = BTreeMap::new();
    for (network, _) in ledger.networks().expect("networks") {
        for certificate in ledger.certificates(network).expect("certificates") {
            match certificate.claim.method() {
                "auto" => recertified(&ledger, network, &certificate),
                "until" => stopped(&ledger, &certificate),
                _ => continue,
            }
            let bound = certificate.bound.clone().expect("a bound is named");
            *bounds.entry(bound).or_insert(0) += 1;
        }
    }
    bounds
}

/// The JSON of a certificate, read as numbers.
struct Json(Value);

impl Json {
    fn parse(text: &str) -> Self {
        Self(serde_json::from_str(text).expect("JSON"))
    }

    fn number(&self, name: &str) -> f64 {
        let number = self.0[name].as_f64();
        number.unwrap_or_else(|| panic!("no number '{name}' in {}", self.0))
    }

    fn count(&self, name: &str) -> u64 {
        let count = self.0[name].as_u64();
        count.unwrap_or_else(|| panic!("no count '{name}' in {}", self.0))
    }

    fn pair(&self, name: &str) -> [f64; 2] {
        [0, 1].map(|i| self.0[name][i].as_f64().expect("a number"))
    }

    /// A list of one number for each cell.
    fn list(&self, name: &str) -> [f64; CELLS] {
        let list = self.0[name].as_array().expect("a list");
        assert_eq!(list.len(), CELLS, "{name} in {}", self.0);
        std::array::from_fn(|i| list[i].as_f64().expect("a number"))
    }

    fn alpha(&self, name: &str) -> Alpha {
        Alpha::new(self.number(name)).expect("a share of alpha")
    }

    #[track_caller]
    fn has(&self, name: &str, value: &Value) {
        assert_eq!(&self.0[name], value, "{name} in {}", self.0);
    }
}

/// f's answers on an input.
struct Of {
    class: u16,
    codes: Codes,
}

impl Of {
    fn early(&self) -> usize {
        (self.codes.classes.len() as u64 / EARLY) as usize
    }

    fn late(&self) -> &[u16] {
        &self.codes.classes[self.early()..]
    }

    /// The cell of a sample; none for an invalid answer.
    fn cell(&self, sample: usize) -> Option<usize> {
        let margins = self.codes.margins.as_ref().expect("margins are kept");
        let answer = self.codes.classes[sample];
        let other = if answer == self.class { 0 } else { CELLS / 2 };
        (answer != INVALID).then_some(other + usize::from(margins[sample].min(4)))
    }

    /// The first late samples of each kind, in their order.
    fn first<const KINDS: usize>(
        &self,
        kind: impl Fn(usize) -> Option<usize>,
        mut left: [u64; KINDS],
    ) -> Vec<u32> {
        let mut samples = Vec::new();
        for sample in self.early()..self.codes.classes.len() {
            if let Some(kind) = kind(sample)
                && left[kind] > 0
            {
                left[kind] -= 1;
                samples.push(sample as u32);
            }
        }
        samples
    }

    /// The first late samples of the class, at most so many.
    fn first_of_class(&self, most: u64) -> Vec<u32> {
        let own = |sample: usize| (self.codes.classes[sample] == self.class).then_some(0);
        self.first(own, [most])
    }
}

/// The largest count of any class among `classes`.
fn largest(classes: impl Iterator<Item = u16>) -> u64 {
    let mut counts = BTreeMap::<u16, u64>::new();
    for class in classes {
        *counts.entry(class).or_default() += 1;
    }
    counts.into_values().max().unwrap_or(0)
}

/// Checks a certificate of `auto`, with or without a radius to stop at.
#[expect(clippy::too_many_lines, reason = "one arm a bound, each short")]
fn recertified(ledger: &Ledger, network: NetworkId, certificate: &Certificate) {
    let header = ledger.header();
    let (idx, claim) = (certificate.idx, &certificate.claim);
    let counts = Json::parse(&certificate.evidence.to_json());
    let parameters = Json::parse(&claim.parameters.to_json());
    let selection = ledger.selection(ledger.base(), idx).unwrap().unwrap();
    let at = series(ledger.base(), idx, Stream::Certify);
    // Where f's answers decided how many there are, they are no evidence, and no votes.
    let stopped = recert::smooth::stopped_inputs(ledger).unwrap();
    let codes = if stopped.contains(&idx) {
        Codes::default()
    } else {
        ledger.answers(at, header.n).unwrap().0
    };
    let f = Of {
        class: selection.class,
        codes,
    };
    let class = f.class;
    let bound = certificate.bound.as_deref().unwrap();
    counts.has("class", &json!(class));

    // The shares of all candidates together are within alpha. The sum itself is
    // rounded by less than this.
    let [alpha_f, alpha_h, alpha_whole] =
        ["alpha_f", "alpha_h", "alpha_whole"].map(|name| parameters.alpha(name));
    let among = parameters.number("among");
    for part in [alpha_f.get() + alpha_h.get(), alpha_whole.get()] {
        let whole = among * part;
        assert!(whole <= claim.alpha * (1.0 + 1e-15), "{whole}");
    }
    parameters.has("early", &json!(header.n / EARLY));

    // Votes: the selection samples and the early ones.
    let early = f.early();
    let favour = selection.counts.get(&class).copied().unwrap_or(0)
        + f.codes.classes[..early]
            .iter()
            .filter(|&&c| c == class)
            .count() as u64;
    let votes = selection.samples + early as u64;
    let half = Alpha::new(alpha_f.get() / 2.0).unwrap();
    let half_h = Alpha::new(alpha_h.get() / 2.0).unwrap();

    // The samples are the first late ones of their codes, or fresh.
    let (stream, samples) = match bound {
        "none" => (Stream::Certify, Vec::new()),
        "fresh" | "fresh-two-sided" | "mixture" => {
            (Stream::Fresh, (0..counts.count("n") as u32).collect())
        }
        "loss" | "loss-mixture" => (Stream::Certify, f.first_of_class(counts.count("pairs"))),
        "cells" | "tail" => {
            let pairs = counts.list("pairs").map(|pairs| pairs as u64);
            let samples = f.first(|sample| f.cell(sample), pairs);
            (Stream::Certify, samples)
        }
        "both" => {
            let samples = f.first(|_| Some(0), [counts.count("pairs")]);
            (Stream::Certify, samples)
        }
        other => panic!("unknown bound '{other}'"),
    };
    let own = ledger.answers_at(series(network, idx, stream), &samples);
    let own = own.expect("every sample of the design is answered").0;
    let pairs = own.len() as u64;
    let other = own.iter().filter(|&&answer| answer != class).count() as u64;
    if bound != "none" {
        let invalid = own.iter().filter(|&&answer| answer == INVALID).count();
        counts.has("invalid", &json!(invalid));
    }
    // What the pilot took beside them comes on top.
    let pilot = f.first_of_class(counts.count("pilot"));
    assert_eq!(counts.count("pilot"), pilot.len() as u64);
    assert!(pilot.len() <= 50 && (pilot.is_empty() || 2 * favour > votes));
    let on_pilot = ledger.answers_at(series(network, idx, Stream::Certify), &pilot);
    assert!(on_pilot.is_ok(), "the pilot is answered");
    let beside = |sample: &&u32| stream == Stream::Fresh || !samples.contains(sample);
    let extra = pilot.iter().filter(beside).count() as u64;
    assert_eq!(certificate.evaluations, pairs + extra);

    let n = f.late().len() as u64;
    let k = f.late().iter().filter(|&&c| c == class).count() as u64;
    let sigma = Sigma::new(header.sigma).unwrap();
    let p_lower = LowerBound::new(certificate.p_lower.unwrap()).unwrap();
    let mut conclusion = Conclusion::one_sided(class, p_lower, sigma, "").unwrap();
    let near = |expected: f64| {
        let p = p_lower.get();
        assert!(p <= expected + 1e-12, "{p} {expected}: {certificate:?}");
        assert!(p >= expected - ERROR, "{p} {expected}: {certificate:?}");
    };
    match bound {
        "none" => {
            counts.has("k", &json!(k));
            counts.has("n", &json!(n));
            assert_eq!(p_lower.get(), 0.0);
        }
        "fresh" => {
            counts.has("k", &json!(pairs - other));
            let expected = clopper_pearson_lower(pairs - other, pairs, alpha_whole).unwrap();
            assert_eq!(p_lower, expected);
        }
        "fresh-two-sided" => {
            // As from scratch: shares by the selection samples, the largest other answer against the class.
            let against = (selection.counts.iter())
                .filter(|&(&c, _)| c != class)
                .map(|(_, &count)| count);
            let votes = selection.counts.get(&class).copied().unwrap_or(0);
            let shares = Shares::from_votes(votes, against.max().unwrap_or(0), alpha_whole);
            let largest = (own.iter().filter(|&&answer| answer != class))
                .map(|answer| own.iter().filter(|&other| other == answer).count() as u64);
            let runner_up = largest.max().unwrap_or(0);
            counts.has("k", &json!(pairs - other));
            counts.has("n", &json!(pairs));
            counts.has("k_runner_up", &json!(runner_up));
            let found = two_sided(pairs - other, runner_up, pairs, shares.unwrap()).unwrap();
            assert_eq!(p_lower, found.p_lower);
            counts.has("p_upper", &json!(found.p_upper.get()));
            let bounds = (found.p_lower, found.p_upper);
            conclusion = Conclusion::two_sided(class, bounds, sigma, "").unwrap();
        }
        "mixture" => {
            counts.has("k", &json!(pairs - other));
            let prior = [votes - favour, favour].map(|votes| votes as f64 + 0.5);
            counts.has("prior", &json!(prior));
            near(1.0 - one_cell(other, pairs, prior, alpha_whole));
        }
        "loss" | "loss-mixture" => {
            counts.has("k", &json!(k));
            counts.has("n", &json!(n));
            counts.has("pairs", &json!(pairs));
            counts.has("other", &json!(other));
            let p_f = clopper_pearson_lower(k, n, alpha_f).unwrap();
            if bound == "loss" {
                let lost = clopper_pearson_upper(other, pairs, alpha_h).unwrap();
                assert_eq!(p_lower, p_f.times(lost.complement()));
            } else {
                let lost = one_cell(other, pairs, counts.pair("prior"), alpha_h);
                near(p_f.get() * (1.0 - lost));
            }
        }
        "cells" | "tail" => {
            counts.has("n", &json!(n));
            let mut tallies = [[0_u64; 3]; CELLS];
            for sample in early..early + n as usize {
                if let Some(cell) = f.cell(sample) {
                    tallies[cell][0] += 1;
                }
            }
            // Of the pairs of a first round apart.
            let first = counts.0.get("first");
            let mut firsts = [[0_u64; 3]; CELLS];
            for (&sample, &answer) in samples.iter().zip(&own) {
                let cell = f.cell(sample as usize).unwrap();
                if tallies[cell][1]
                    < first.map_or(0, |first| first["pairs"][cell].as_u64().unwrap())
                {
                    firsts[cell][1] += 1;
                    firsts[cell][2] += u64::from(answer == class);
                }
                tallies[cell][1] += 1;
                tallies[cell][2] += u64::from(answer == class);
            }
            if let Some(first) = first {
                assert_eq!(first["pairs"], json!(firsts.map(|tally| tally[1])));
                assert_eq!(first["own"], json!(firsts.map(|tally| tally[2])));
            }
            for (i, name) in ["copies", "pairs", "own"].into_iter().enumerate() {
                counts.has(name, &json!(tallies.map(|tally| tally[i])));
            }
            let tilts = (counts.number("tilt"), counts.list("tilts"));
            if bound == "cells" {
                near(of_cells(n, tallies, tilts, alpha_whole));
            } else {
                near(by_tail(
                    n,
                    (tallies, firsts),
                    tilts,
                    (counts.0.get("lattice"), first),
                    alpha_whole,
                ));
            }
        }
        _ => {
            let runner_up = largest(f.late().iter().copied().filter(|&c| c != class));
            let each = || f.late().iter().copied().zip(own.iter().copied());
            let lost = each().filter(|&(f, h)| f == class && h != class).count() as u64;
            let arrived = each().filter(|&(f, h)| f != h && h != class);
            let arrived = largest(arrived.map(|(_, h)| h));
            for (name, count) in [
                ("k", k),
                ("n", n),
                ("runner_up", runner_up),
                ("pairs", pairs),
                ("lost", lost),
                ("arrived", arrived),
            ] {
                counts.has(name, &json!(count));
            }
            let p_f = clopper_pearson_lower(k, n, half).unwrap();
            near((p_f.get() - clopper_pearson_upper(lost, pairs, half_h).unwrap().get()).max(0.0));
            let q = clopper_pearson_upper(runner_up, n, half).unwrap().get()
                + clopper_pearson_upper(arrived, pairs, half_h).unwrap().get();
            let q = q.min(1.0 - p_lower.get());
            let p_upper = counts.number("p_upper");
            assert!((q - 1e-12..=q + ERROR).contains(&p_upper), "{p_upper} {q}");
            let p_upper = UpperBound::new(p_upper).unwrap();
            conclusion = Conclusion::two_sided(class, (p_lower, p_upper), sigma, "").unwrap();
        }
    }
    follows(certificate, class, &conclusion);
}

/// Checks a certificate from scratch that stopped when a radius was reached.
fn stopped(ledger: &Ledger, certificate: &Certificate) {
    let header = ledger.header();
    let (idx, counts) = (
        certificate.idx,
        Json::parse(&certificate.evidence.to_json()),
    );
    let parameters = Json::parse(&certificate.claim.parameters.to_json());
    let selection = ledger.selection(ledger.base(), idx).unwrap().unwrap();
    let (class, samples) = (selection.class, counts.count("n"));
    let at = series(ledger.base(), idx, Stream::Certify);
    let codes = ledger.answers(at, samples).unwrap().0;
    let k = codes.classes.iter().filter(|&&c| c == class).count() as u64;
    let invalid = codes.classes.iter().filter(|&&c| c == INVALID).count();
    counts.has("class", &json!(class));
    counts.has("k", &json!(k));
    counts.has("invalid", &json!(invalid));
    assert_eq!(certificate.evaluations, selection.samples + samples);
    assert_eq!(certificate.bound.as_deref(), Some("mixture"));
    let alpha = parameters.alpha("alpha_any");
    assert_eq!(alpha.get(), header.alpha);
    assert_eq!(certificate.claim.alpha, header.alpha);
    let prior = counts.pair("prior");
    let votes = selection.counts.get(&class).copied().unwrap_or(0);
    let expected = [selection.samples - votes, votes].map(|votes| votes as f64 + 0.5);
    assert_eq!(prior, expected);
    let p = certificate.p_lower.unwrap();
    let exact = 1.0 - one_cell(samples - k, samples, prior, alpha);
    assert!(p <= exact + 1e-12 && p >= exact - ERROR, "{p} {exact}");
    let sigma = Sigma::new(header.sigma).unwrap();
    let p = LowerBound::new(p).unwrap();
    let conclusion = Conclusion::one_sided(class, p, sigma, "").unwrap();
    follows(certificate, class, &conclusion);
}

/// A certificate states the class and the radius of its conclusion.
fn follows(certificate: &Certificate, class: u16, conclusion: &Conclusion) {
    let certified = conclusion.is_certified();
    assert_eq!(certificate.class, certified.then_some(class));
    let radius = match conclusion.verdict {
        Verdict::Certified { radius, .. } => radius.get(),
        Verdict::Abstained => 0.0,
    };
    assert_eq!(certificate.radius, radius, "{certificate:?}");
}

/// `ln` of `theta^x (1 - theta)^(m - x)`.
fn ln_likelihood(x: u64, m: u64, theta: f64) -> f64 {
    let part = |count: u64, ln: f64| if count == 0 { 0.0 } else { count as f64 * ln };
    part(x, theta.ln()) + part(m - x, (-theta).ln_1p())
}

/// `ln` of the average of the likelihood under a Beta law.
fn ln_average(x: u64, m: u64, [a, b]: [f64; 2]) -> f64 {
    let rising = |from: f64, count: u64| (0..count).map(|i| (from + i as f64).ln()).sum::<f64>();
    rising(a, x) + rising(b, m - x) - rising(a + b, m)
}

/// The largest probability of the event that `x` of `m` leave possible: where
/// the likelihood falls to alpha times its average, by bisection.
fn one_cell(x: u64, m: u64, prior: [f64; 2], alpha: Alpha) -> f64 {
    let threshold = alpha.get().ln() + ln_average(x, m, prior);
    if m == 0 {
        return 1.0;
    }
    let (mut low, mut high) = (x as f64 / m as f64, 1.0);
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if ln_likelihood(x, m, middle) > threshold {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The bound over cells, each with its samples, pairs and answers of the class; 0
/// where nothing is known.
fn of_cells(
    n: u64,
    cells: [[u64; 3]; CELLS],
    (tilt, tilts): (f64, [f64; CELLS]),
    alpha: Alpha,
) -> f64 {
    let mut known = alpha.get().ln();
    for ([samples, pairs, own], of) in cells.into_iter().zip(tilts) {
        let value = |t: f64| {
            tilt.ln_1p() * samples as f64 * t + own as f64 * of.ln_1p()
                - pairs as f64 * (of * t).ln_1p()
        };
        // The least value of a convex function, by ternary search.
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..300 {
            let third = (high - low) / 3.0;
            if value(low + third) > value(high - third) {
                low += third;
            } else {
                high -= third;
            }
        }
        if pairs > 0 {
            known += value(f64::midpoint(low, high));
        }
    }
    ((known / n as f64).exp_m1() / tilt).max(0.0)
}

/// The bound by the tail.
fn by_tail(
    n: u64,
    (cells, firsts): ([[u64; 3]; CELLS], [[u64; 3]; CELLS]),
    (tilt, tilts): (f64, [f64; CELLS]),
    (lattice, first): (Option<&serde_json::Value>, Option<&serde_json::Value>),
    alpha: Alpha,
) -> f64 {
    let mut known = alpha.get().ln();
    let (mut wide, mut single) = (0.0, 0.0);
    let number = |name: &str| lattice.map_or(0.0, |lattice| lattice[name].as_f64().unwrap());
    let (step, span) = (number("step"), number("span"));
    let side = Alpha::new(alpha.get() / 640.0).unwrap();
    for (s, [samples, pairs, own]) in cells.into_iter().enumerate().filter(|(_, c)| c[1] > 0) {
        let [_, before, won] = firsts[s];
        let (pairs, own) = (pairs - before, own - won);
        let planned = first.map_or(1.0, |first| first["tilts"][s].as_f64().unwrap());
        let multiple = lattice.map_or(0, |lattice| lattice["multiples"][s].as_u64().unwrap());
        let kappa = match multiple {
            0 => tilts[s],
            multiple => (1.0 + step).powi(multiple as i32) - 1.0,
        };
        // In ln(1 + tilt t) the function is convex: its least value by ternary search.
        let value = |z: f64| {
            let t = z.exp_m1() / tilt;
            samples as f64 * z + own as f64 * kappa.ln_1p() - pairs as f64 * (kappa * t).ln_1p()
                + won as f64 * planned.ln_1p()
                - before as f64 * (planned * t).ln_1p()
        };
        let (mut low, mut high) = (0.0, tilt.ln_1p());
        for _ in 0..300 {
            let third = (high - low) / 3.0;
            if value(low + third) > value(high - third) {
                low += third;
            } else {
                high -= third;
            }
        }
        known += value(f64::midpoint(low, high));
        if multiple > 0 && pairs > 0 {
            let spread =
                |t: f64| pairs as f64 * (1.0 + kappa) * t * (1.0 - t) / (1.0 + kappa * t).powi(2);
            let low = spread(clopper_pearson_lower(own, pairs, side).unwrap().get());
            let high = spread(clopper_pearson_upper(own, pairs, side).unwrap().get());
            let squared = (multiple * multiple) as f64;
            wide += low.min(high) * (squared - squared * squared * span * span / 12.0).max(0.0);
            single += if multiple == 1 { low.min(high) } else { 0.0 };
        }
    }
    if lattice.is_some() || first.is_some() {
        known += (31.0_f64 / 32.0).ln();
    }
    if lattice.is_some() {
        let away = span * span / 2.0 * (1.0 - span * span / 12.0) * single;
        let most = 1.0 / (2.0 * std::f64::consts::PI * wide).sqrt() + (1.0 + away / 64.0).powi(-64);
        known -= (most * (1.0 + step) / step).min(1.0).ln();
    }
    ((known / n as f64).exp_m1() / tilt).max(0.0)
}
