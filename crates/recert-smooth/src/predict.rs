//! PREDICT [Cohen, Rosenfeld, Kolter 2019]: the smoothed classifier's class.

use recert_ledger::{Certificate, Evidence, INVALID, Parameters};
use recert_noise::Stream;
use recert_num::Alpha;

use crate::bound::{self, Prediction};
use crate::certify;
use crate::run::{Collect, Run, collect, level, series};
use crate::{Error, Outcome};

/// Predicts the inputs at positions `inputs` with the ledger's own network. Samples that the
/// ledger holds already are not evaluated again.
///
/// The prediction is the most frequent class of n samples if the two-sided binomial test of
/// its count against the runner-up's, at probability 1/2, has a p-value of at most alpha;
/// otherwise the prediction is an abstention. A returned class differs from the smoothed
/// classifier's with probability at most alpha.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/doc_setup.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("run.recert");
/// use recert_smooth::{Outcome, Run, Silent, Threads, predict};
///
/// let task = Task::Predict;
/// let mut ledger = Ledger::create(&path, &Header { task, n0: 0, ..header() })?;
/// let mut f = Threads::new([(ledger.base(), brighter_than(0.5))], 32)?;
/// let mut run = Run {
///     ledger: &mut ledger,
///     inputs: &Pixels,
///     workers: &mut f,
///     observer: &mut Silent,
/// };
/// assert_eq!(predict(&mut run, &[0, 5, 9])?, Outcome::Finished);
/// let classes: Vec<_> = ledger.certificates(ledger.base())?.iter().map(|c| c.class).collect();
/// assert_eq!(classes, [Some(0), None, Some(1)], "input 5 lies on the border");
/// # Ok(())
/// # }
/// ```
pub fn predict(run: &mut Run<'_>, inputs: &[u32]) -> Result<Outcome, Error> {
    run.base_alone()?;
    // Predictions use a noise stream of their own.
    let needed = Collect {
        stream: Stream::Predict,
        samples: run.ledger.header().n,
        selection: 0,
        margins: false,
    };
    collect(run, inputs, &needed, &mut |ledger, network, idx| {
        let series = series(network, idx, Stream::Predict);
        let n = ledger.header().n;
        let alpha = Alpha::new(ledger.header().alpha)?;
        let (mut counts, micros) = ledger.answer_counts(series, n)?;
        let invalid = counts.remove(&INVALID).unwrap_or(0);
        let Prediction {
            class,
            first,
            second,
            decided,
        } = bound::prediction(&counts, level(ledger.header(), alpha, n)?)?;
        let claim = certify::claim(ledger.header(), Parameters::Predict {}, n, alpha);
        Ok(vec![Certificate {
            idx,
            claim: claim.into(),
            class: decided.then_some(class),
            radius: 0.0,
            p_lower: None,
            bound: Some("binomial test".into()),
            evidence: Evidence::Prediction {
                class,
                k1: first,
                k2: second,
                n,
                invalid,
            },
            evaluations: n,
            micros,
        }])
    })
}
