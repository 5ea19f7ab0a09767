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
use recert::smooth::bound::{Conclusion, Verdict};
use serde_json::{Value, json};

use super::series;

/// Copies in a margin bucket below this one are undecided.
const CUT: u8 = 2;

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
            match certificate.claim.method.as_str() {
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
    /// 0 decided for the class, 1 undecided, `None` neither.
    fn stratum(&self, copy: usize) -> Option<usize> {
        let margins = self.codes.margins.as_ref().expect("margins are kept");
        if margins[copy] < CUT {
            Some(1)
        } else {
            (self.codes.classes[copy] == self.class).then_some(0)
        }
    }

    /// The first copies of a kind, and the first of another, in their order.
    fn first(&self, kind: impl Fn(usize) -> Option<usize>, mut left: [u64; 2]) -> Vec<u32> {
        let mut copies = Vec::new();
        for copy in 0..self.codes.classes.len() {
            if let Some(kind) = kind(copy)
                && left[kind] > 0
            {
                left[kind] -= 1;
                copies.push(copy as u32);
            }
        }
        copies
    }

    fn count(&self, wanted: impl Fn(u16) -> bool) -> u64 {
        self.codes.classes.iter().filter(|&&c| wanted(c)).count() as u64
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
    let counts = Json::parse(&certificate.counts);
    let parameters = Json::parse(&claim.parameters);
    let selection = ledger.selection(ledger.base(), idx).unwrap().unwrap();
    let at = series(ledger.base(), idx, Stream::Certify);
    let f = Of {
        class: selection.class,
        codes: ledger.answers(at, header.n).unwrap().0,
    };
    let class = f.class;
    let bound = certificate.bound.as_deref().unwrap();
    counts.has("class", &json!(class));

    // The shares of all candidates together are within alpha. The sum itself is
    // rounded by less than this.
    let (alpha_f, alpha_h) = (parameters.alpha("alpha_f"), parameters.alpha("alpha_h"));
    let among = parameters.number("among");
    let whole = among * (alpha_f.get() + alpha_h.get());
    assert!(whole <= claim.alpha * (1.0 + 1e-15), "{whole}");
    let half = Alpha::new(alpha_f.get() / 2.0).unwrap();
    let half_h = Alpha::new(alpha_h.get() / 2.0).unwrap();

    // The copies are the first ones of their codes.
    let answered = |copy: usize| (f.codes.classes[copy] == class).then_some(0);
    let (stream, copies) = match bound {
        "none" => (Stream::Certify, Vec::new()),
        "fresh" | "mixture" => (Stream::Fresh, (0..counts.count("n") as u32).collect()),
        "loss" | "loss-mixture" => {
            let copies = f.first(answered, [counts.count("pairs"), 0]);
            (Stream::Certify, copies)
        }
        "strata" => {
            let pairs = counts.pair("pairs").map(|pairs| pairs as u64);
            let copies = f.first(|copy| f.stratum(copy), pairs);
            (Stream::Certify, copies)
        }
        "both" => (Stream::Certify, (0..counts.count("pairs") as u32).collect()),
        other => panic!("unknown bound '{other}'"),
    };
    let own = ledger.answers_at(series(network, idx, stream), &copies);
    let own = own.expect("every copy of the design is answered").0;
    let pairs = own.len() as u64;
    let other = own.iter().filter(|&&answer| answer != class).count() as u64;
    if bound != "none" {
        let invalid = own.iter().filter(|&&answer| answer == INVALID).count();
        counts.has("invalid", &json!(invalid));
    }
    // What the pilot took comes on top; it is at most 50 copies.
    assert!((pairs..=pairs + 50).contains(&certificate.evaluations));

    let (k, n) = (f.count(|c| c == class), header.n);
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
            let expected = clopper_pearson_lower(pairs - other, pairs, alpha_h).unwrap();
            assert_eq!(p_lower, expected);
        }
        "mixture" => {
            counts.has("k", &json!(pairs - other));
            let votes = selection.counts.get(&class).copied().unwrap_or(0);
            let prior = [selection.copies - votes, votes].map(|votes| votes as f64 + 0.5);
            counts.has("prior", &json!(prior));
            near(1.0 - one_cell(other, pairs, prior, alpha_h));
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
        "strata" => {
            let strata = (0..n as usize).map(|copy| f.stratum(copy));
            let strata: Vec<_> = strata.collect();
            let of = |stratum| strata.iter().filter(|&&s| s == Some(stratum)).count();
            let [decided, undecided] = [0, 1].map(|stratum| of(stratum) as u64);
            counts.has("n", &json!(n));
            counts.has("decided", &json!(decided));
            counts.has("undecided", &json!(undecided));
            let mut tallies = [[0_u64; 2]; 2];
            for (&copy, &answer) in copies.iter().zip(&own) {
                let stratum = strata[copy as usize].unwrap();
                tallies[stratum][0] += 1;
                tallies[stratum][1] += u64::from(answer != class);
            }
            counts.has("pairs", &json!(tallies.map(|tally| tally[0])));
            counts.has("other", &json!(tallies.map(|tally| tally[1])));
            let inner = clopper_pearson_lower(decided, n, half).unwrap().get();
            let outer = clopper_pearson_lower(decided + undecided, n, half);
            let outer = outer.unwrap().get();
            let witness = counts.pair("witness");
            let prior = |s: usize| [0, 1].map(|i| counts.0["priors"][s][i].as_f64().unwrap());
            let weights = [[inner, outer - inner], [outer, 0.0]];
            let p = weights.into_iter().zip(witness).map(|(weights, eta)| {
                let cells = [0, 1].map(|s| (weights[s], tallies[s], prior(s)));
                weights[0] + weights[1] - two_cells(cells, alpha_h, eta)
            });
            near(p.fold(f64::INFINITY, f64::min).max(0.0));
        }
        _ => {
            let runner_up =
                largest((f.codes.classes.iter().copied()).filter(|&c| c != class && c != INVALID));
            let each = || f.codes.classes.iter().copied().zip(own.iter().copied());
            let lost = each().filter(|&(f, h)| f == class && h != class).count() as u64;
            let arrived = largest(
                each()
                    .filter(|&(f, h)| f != h && h != class && h != INVALID)
                    .map(|(_, h)| h),
            );
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
    let (idx, counts) = (certificate.idx, Json::parse(&certificate.counts));
    let parameters = Json::parse(&certificate.claim.parameters);
    let selection = ledger.selection(ledger.base(), idx).unwrap().unwrap();
    let (class, copies) = (selection.class, counts.count("n"));
    let at = series(ledger.base(), idx, Stream::Certify);
    let codes = ledger.answers(at, copies).unwrap().0;
    let k = codes.classes.iter().filter(|&&c| c == class).count() as u64;
    let invalid = codes.classes.iter().filter(|&&c| c == INVALID).count();
    counts.has("class", &json!(class));
    counts.has("k", &json!(k));
    counts.has("invalid", &json!(invalid));
    assert_eq!(certificate.evaluations, selection.copies + copies);
    assert_eq!(certificate.bound.as_deref(), Some("mixture"));
    let alpha = parameters.alpha("alpha_any");
    assert_eq!(alpha.get(), header.alpha);
    assert_eq!(certificate.claim.alpha, header.alpha);
    let prior = counts.pair("prior");
    let votes = selection.counts.get(&class).copied().unwrap_or(0);
    let expected = [selection.copies - votes, votes].map(|votes| votes as f64 + 0.5);
    assert_eq!(prior, expected);
    let p = certificate.p_lower.unwrap();
    let exact = 1.0 - one_cell(copies - k, copies, prior, alpha);
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

/// The bound of a weighted sum of two probabilities at a witness; cells are
/// their weight, how many copies and events, and their Beta law.
fn two_cells(cells: [(f64, [u64; 2], [f64; 2]); 2], alpha: Alpha, eta: f64) -> f64 {
    let mut sum = -alpha.get().ln();
    for (weight, [m, x], prior) in cells {
        let value = |t: f64| ln_likelihood(x, m, t) + eta * weight * t;
        // The largest value of a concave function, by ternary search.
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..300 {
            let third = (high - low) / 3.0;
            if value(low + third) < value(high - third) {
                low += third;
            } else {
                high -= third;
            }
        }
        sum += value(f64::midpoint(low, high)) - ln_average(x, m, prior);
    }
    (sum / eta).clamp(0.0, cells[0].0 + cells[1].0)
}
