//! Recertifying until a radius is reached: `recertify --until-radius`.
//!
//! The samples planned for the radius are evaluated in rounds; after each, the
//! bounds that hold at all rounds at once decide whether the input is done.

use std::collections::BTreeMap;

use recert_ledger::{self as ledger, Evidence, Ledger, NetworkId};
use recert_num::Radius;

use super::conclude::Of;
use super::{Auto, places};
use crate::bound::{self, Beta};
use crate::plan::{CELLS, Choice, Design, Levels, Subject};
use crate::run::{Voter, collect_chosen};
use crate::until::Once;
use crate::{Error, Observer, Outcome, Source};

/// How much of what is planned has been evaluated after each round.
const ROUNDS: [f64; 8] = [0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 6.0];

/// Recertifies each of `voters` on `inputs`, all of them finished in the ledger,
/// each input until its radius is at least `radius` or it seems that it never will
/// be; `what.goal` is not looked at. The certificate states the radius proved when
/// it stopped. The voters share the pilot's pass and every round's.
pub fn recertify_until(
    ledger: &mut Ledger,
    source: &dyn Source,
    inputs: &[u32],
    what: &Auto,
    radius: Radius,
    voters: &mut [Voter<'_>],
    observer: &mut dyn Observer,
) -> Result<Outcome, Error> {
    let (study, known) = what.known(ledger, inputs)?;
    let Some(rates) = what.learn(ledger, source, (&study, &known), voters, observer)? else {
        return Ok(Outcome::Stopped);
    };
    let target = radius.get() / ledger.header().sigma;
    // What is planned for each network and input, until it is done.
    let mut left: BTreeMap<(usize, NetworkId), Choice> = BTreeMap::new();
    for (voter, rates) in voters.iter().zip(rates) {
        let choices = study.choose_until(rates, target)?.into_iter().enumerate();
        left.extend(choices.map(|(i, choice)| ((i, voter.network), choice)));
    }
    let goal = ledger::Goal::Until(radius.get());
    let claim = what.claim(ledger, (&study, &known), (0, goal));
    let places = places(&known);
    let last = ROUNDS[ROUNDS.len() - 1];
    let most: u64 = (left.values()).map(|c| c.design.scaled(last).cost()).sum();
    let mut observer = Once {
        observer,
        most,
        started: false,
    };
    for round in ROUNDS {
        let requests: Vec<_> = (left.iter())
            .map(|(&(i, network), choice)| known[i].request(network, choice.design.scaled(round)))
            .collect();
        if requests.is_empty() {
            break;
        }
        let outcome = collect_chosen(
            ledger,
            source,
            &what.chosen(&requests),
            voters,
            &mut observer,
            &mut |ledger, network, idx| {
                let i = places[&idx];
                let planned = left[&(i, network)];
                let choice = Choice {
                    design: planned.design.scaled(round),
                    ..planned
                };
                let of = Of {
                    study: &study,
                    claim: &claim,
                    network,
                    known: known[i],
                    subject: study.subjects[i],
                };
                let certificate = of.conclude(ledger, choice, true)?;
                let samples = |design| {
                    let picked = known[i].pick(design).samples(ledger, idx)?;
                    Ok::<_, Error>(picked.samples.len())
                };
                let more = samples(planned.design.scaled(round * 1.5))?;
                let exhausted = more == samples(choice.design)?;
                let stop = certificate.radius >= radius.get()
                    || round == last
                    || choice.design == Design::Nothing
                    || exhausted
                    || round >= 1.0 && hopeless(&certificate.evidence, target);
                if !stop {
                    return Ok(Vec::new());
                }
                left.remove(&(i, network));
                Ok(vec![certificate])
            },
        )?;
        if outcome == Outcome::Stopped {
            return Ok(outcome);
        }
    }
    Ok(Outcome::Finished)
}

/// Whether the counts themselves, without any doubt about them, fall short of
/// the radius (in units of sigma).
fn hopeless(evidence: &Evidence, target: f64) -> bool {
    let share = |part: u64, whole: u64| {
        if whole > 0 {
            part as f64 / whole as f64
        } else {
            0.0
        }
    };
    let p = match evidence {
        Evidence::FreshMixture { k, n, .. } => share(*k, *n),
        Evidence::LossMixture {
            k, n, pairs, other, ..
        } => share(*k, *n) * (1.0 - share(*other, *pairs)),
        Evidence::Cells(cells) => {
            let won = |i: usize| cells.samples[i] as f64 * share(cells.own[i], cells.pairs[i]);
            let sum: f64 = (0..CELLS).map(won).sum();
            if cells.n > 0 {
                sum / cells.n as f64
            } else {
                0.0
            }
        }
        _ => 0.0,
    };
    // Phi(target), from below.
    recert_num::normal_cdf_lower(target.min(37.0)).is_ok_and(|needed| p < needed.get())
}

/// The bound of one cell that holds at any time: its lower bound, its name, and
/// what its counts have beside the plain ones.
pub(super) fn one_cell(
    levels: Levels,
    subject: Subject,
    choice: Choice,
    (pairs, other): (u64, u64),
) -> Result<(bound::Anytime, Beta), Error> {
    let prior = subject.prior(choice.design, &choice.rates)?;
    let found = match choice.design {
        Design::Loss { .. } => {
            let tally = bound::Tally { pairs, other };
            bound::anytime_loss((subject.k, subject.n), levels.f, tally, prior, levels.h)?
        }
        _ => bound::anytime(pairs - other, pairs, prior, levels.whole)?,
    };
    Ok((found, prior))
}
