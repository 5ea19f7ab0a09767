//! PREDICT [Cohen, Rosenfeld, Kolter 2019]: the smoothed classifier's class.

use recert_engine::Classifier;
use recert_ledger::{Certificate, Evidence, INVALID, Ledger, Parameters, Series};
use recert_noise::Stream;
use recert_num::Alpha;

use crate::bound::{self, Prediction};
use crate::certify;
use crate::run::{Collect, Voter, collect, level};
use crate::{Error, Observer, Outcome, Source};

/// What predicting needs: n samples, from a stream of their own.
pub fn predict_plan(ledger: &Ledger, batch: usize) -> Collect {
    Collect {
        stream: Stream::Predict,
        samples: ledger.header().n,
        selection: 0,
        margins: false,
        batch,
    }
}

/// Predicts the inputs at positions `inputs`, resuming where the ledger ends.
///
/// The class is the top one of n samples if the two-sided binomial test of its
/// count against the runner-up's, at probability 1/2, has a p-value of at most
/// alpha; else it abstains. With probability at least 1 - alpha the class
/// returned is the smoothed classifier's.
pub fn predict(
    ledger: &mut Ledger,
    source: &dyn Source,
    inputs: &[u32],
    batch: usize,
    classifiers: &mut [Box<dyn Classifier>],
    observer: &mut dyn Observer,
) -> Result<Outcome, Error> {
    let plan = predict_plan(ledger, batch);
    let network = ledger.base();
    collect(
        ledger,
        source,
        inputs,
        &plan,
        &mut [Voter {
            network,
            classifiers,
        }],
        observer,
        &mut |ledger, network, idx| {
            let series = Series {
                network,
                idx,
                stream: recert_ledger::Stream(Stream::Predict.tag()),
            };
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
        },
    )
}
