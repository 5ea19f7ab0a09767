//! Whether networks may be chosen among by their results: all of them have to be named to the
//! ledger before any of them has answers in it. And what to remark on of networks that are given
//! twice, or come after the results of others.

use std::collections::BTreeMap;

use recert_ledger::{Answered, Claim, JournalEvent, Ledger, NetworkName};

use super::network::Network;
use super::remark::Remark;
use crate::{Error, Field, Result};

/// When a network was named and had answers, by the positions of the journal's entries.
#[derive(Debug, Clone, Copy, Default)]
struct Life {
    named: Option<usize>,
    answered: Option<usize>,
}

/// Each network that the journal names, with the file it was named by.
type Lives = BTreeMap<NetworkName, (Life, String)>;

impl Life {
    fn is_candidate_at(&self, position: usize) -> bool {
        let named = self.named.is_some_and(|named| named <= position);
        named && self.answered.is_none_or(|answered| position < answered)
    }
}

/// Checks that `networks` may be candidates of which one is chosen among `among` by the
/// results.
///
/// # Errors
/// [`ErrorKind::Parameter`](crate::ErrorKind::Parameter) if one of them was first named to the
/// ledger, or is named now, after a modified network had answers, so that fewer than `among`
/// can have been fixed before any of them ran; and if they had run, as no candidates, before the
/// ledger recorded when networks are named. Answers that were removed count as answers.
pub(super) fn check(ledger: &Ledger, networks: &[&Network], among: u32) -> Result<()> {
    if among < 2 {
        return Ok(());
    }
    let (lives, now) = lives(ledger)?;
    let wanted: Vec<(&Network, Life)> = (networks.iter())
        .map(|network| {
            let known = lives.get(&NetworkName::new(network.identity()));
            let new = Life {
                named: Some(now),
                answered: None,
            };
            (*network, known.map_or(new, |(life, _)| *life))
        })
        .collect();
    if wanted.iter().all(|(_, life)| life.named.is_none()) {
        return check_unnamed(ledger, &wanted, among);
    }
    let mut all: Vec<Life> = lives.values().map(|(life, _)| *life).collect();
    let new = wanted.iter().map(|(_, life)| *life);
    all.extend(new.filter(|life| life.named == Some(now)));
    let most = (0..=now)
        .filter(|&at| wanted.iter().all(|(_, life)| life.is_candidate_at(at)))
        .map(|at| all.iter().filter(|life| life.is_candidate_at(at)).count())
        .max();
    if most.unwrap_or(0) >= among as usize {
        return Ok(());
    }
    for (network, life) in &wanted {
        let named = life.named.unwrap_or(0);
        let earlier =
            (lives.values()).find(|(life, _)| life.answered.is_some_and(|at| at <= named));
        if let Some((_, earlier)) = earlier {
            let file = &network.identity().file;
            let when = if named == now { "is" } else { "was" };
            let message = format!(
                "{file} {when} first named to {} after {earlier} had been run on these samples: a \
                 choice among {among} by their results holds only for networks that were all fixed \
                 before any of them ran: {REMEDY}; or recertify {file} by itself, which states nothing \
                 about a choice",
                ledger.path().display(),
            );
            return Err(Error::parameter(Field::Model, message));
        }
    }
    Ok(())
}

/// What a person should know of networks that are going to run: those given twice, each of which
/// takes a share of alpha, and those that are new where results of others are known.
pub(super) fn remarks(ledger: &Ledger, networks: &[&Network], among: u32) -> Result<Vec<Remark>> {
    let names: Vec<_> = (networks.iter())
        .map(|network| NetworkName::new(network.identity()))
        .collect();
    let known = ledger.networks()?;
    let mut others = 0;
    for (id, network) in &known {
        let counts = *id != ledger.base() && !names.contains(&NetworkName::new(network));
        others += usize::from(counts && !ledger.claims(*id)?.is_empty());
    }
    let mut remarks = Vec::new();
    for (position, (network, name)) in networks.iter().zip(&names).enumerate() {
        let file = || network.identity().file.clone();
        let is = |other: &&NetworkName| *other == name;
        if names[..position].contains(name) {
            continue;
        }
        if names.iter().filter(is).count() > 1 && among > 1 {
            remarks.push(Remark::GivenAgain {
                network: file(),
                among,
            });
        }
        let is_new = known
            .iter()
            .all(|(_, known)| NetworkName::new(known) != *name);
        if is_new && others > 0 {
            remarks.push(Remark::ResultsKnown {
                network: file(),
                others,
            });
        }
    }
    Ok(remarks)
}

/// Checks networks of a ledger that began without a journal. Nothing is known of when they were
/// named, which the checker states. So they are candidates only if they have not run yet, or go
/// on with a choice among as many that the ledger states of them already.
fn check_unnamed(ledger: &Ledger, wanted: &[(&Network, Life)], among: u32) -> Result<()> {
    let known = ledger.networks()?;
    for (network, _) in wanted.iter().filter(|(_, life)| life.answered.is_some()) {
        let name = NetworkName::new(network.identity());
        let (id, _) = (known.iter())
            .find(|(_, known)| NetworkName::new(known) == name)
            .expect("a network with answers is in the ledger");
        let states_choice = |claim: &Claim| claim.parameters.among() >= among;
        if !ledger.claims(*id)?.iter().any(states_choice) {
            let file = &network.identity().file;
            let message = format!(
                "{file} had been run on the samples of {} before that ledger recorded when networks \
                 are named, so that nothing shows that all {among} candidates were fixed before any \
                 of them ran: {REMEDY}; or recertify {file} by itself, which states nothing about a \
                 choice",
                ledger.path().display(),
            );
            return Err(Error::parameter(Field::Model, message));
        }
    }
    Ok(())
}

/// What to do with networks that cannot be candidates any more.
const REMEDY: &str = "certify the original again with a fresh seed into another ledger, and \
                      recertify all candidates from it in one command";

/// Every modified network that the ledger knows or knew, with its file; and the position that
/// the next entry of the journal will have.
fn lives(ledger: &Ledger) -> Result<(Lives, usize)> {
    let mut lives = Lives::new();
    let journal = ledger.journal()?;
    let now = journal.len();
    let networks = ledger.networks()?;
    for (id, network) in networks.iter().filter(|(id, _)| *id != ledger.base()) {
        let answered = (ledger.stored_bytes(*id)?.samples > 0).then_some(now);
        let life = Life {
            named: None,
            answered,
        };
        lives.insert(NetworkName::new(network), (life, network.file.clone()));
    }
    let base = NetworkName::new(&ledger.header().network);
    for (position, entry) in journal.into_iter().enumerate() {
        let (named, answered) = match entry.event {
            JournalEvent::Named {
                networks, answered, ..
            } => (networks, answered),
            JournalEvent::Upgraded { answered, .. } => (Vec::new(), answered),
            // Whoever removed answers may have looked at them.
            JournalEvent::Forgotten { name, answers, .. } if answers > 0 => {
                let network = name;
                (Vec::new(), vec![Answered { network, answers }])
            }
            _ => continue,
        };
        for name in named.into_iter().filter(|name| *name != base) {
            let removed = || (Life::default(), "a network that was removed".to_owned());
            let (life, _) = lives.entry(name).or_insert_with(removed);
            // One that is named again after it was removed is known since the first time.
            life.named.get_or_insert(position);
        }
        for network in answered.into_iter().map(|answered| answered.network) {
            if let Some((life, _)) = lives.get_mut(&network) {
                let first = life.answered.map_or(position, |at| at.min(position));
                life.answered = Some(first);
            }
        }
    }
    Ok((lives, now))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use recert_engine::ImageShape;

    use super::*;
    use crate::job::{
        CertifyConfig, Data, Event, Method, Outcome, Recertification, RecertifyConfig, certify,
        forget, report,
    };

    const SHAPE: ImageShape = ImageShape {
        channels: 1,
        height: 1,
        width: 1,
    };

    fn above(limit: f32) -> Network {
        let bright = move |pixels: &[f32]| Some(u16::from(pixels[0] > limit));
        Network::from_fn(&format!("above {limit}"), 2, SHAPE, bright).unwrap()
    }

    fn data() -> Data {
        Data::from_pixels("two dots", SHAPE, &[0.9, 0.1], None).unwrap()
    }

    fn certified(folder: &Path) -> std::path::PathBuf {
        std::fs::create_dir_all(folder).unwrap();
        let ledger = folder.join("dots.recert");
        let config = CertifyConfig {
            n: 400,
            ..CertifyConfig::new(0.25)
        };
        let (data, network) = (data(), above(0.5));
        let job = certify(&ledger, &config, &data, &network).unwrap();
        let outcome = job.run(&mut |_: Event<'_>| ()).unwrap();
        assert_eq!(outcome, Outcome::Finished);
        ledger
    }

    /// Recertifies networks, and returns the remarks.
    fn run(ledger: &Path, limits: &[f32], config: &RecertifyConfig) -> Result<Vec<Remark>> {
        let networks: Vec<Network> = limits.iter().map(|&limit| above(limit)).collect();
        let recertification = Recertification::open(ledger, config, networks.len())?;
        let mut remarks = Vec::new();
        let data = data();
        let job = recertification.job(&data, &networks)?;
        let outcome = job.run(&mut |event: Event<'_>| {
            if let Event::Remark(remark) = event {
                remarks.push(remark);
            }
        })?;
        assert_eq!(outcome, Outcome::Finished);
        // What a run gave is not what these tests are about.
        remarks.retain(|remark| !matches!(remark, Remark::WithOriginal(_)));
        Ok(remarks)
    }

    fn among(among: Option<u32>) -> RecertifyConfig {
        RecertifyConfig {
            among,
            ..RecertifyConfig::default()
        }
    }

    #[test]
    fn a_candidate_named_after_others_ran_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = certified(folder.path());
        run(&ledger, &[0.51, 0.52], &among(None)).unwrap();
        // The same candidates again, and one of them by itself among both.
        run(&ledger, &[0.52, 0.51], &among(None)).unwrap();
        run(&ledger, &[0.51], &among(Some(2))).unwrap();
        let before = std::fs::read(&ledger).unwrap();
        for (limits, k) in [
            (&[0.53][..], Some(3)),
            (&[0.51, 0.53], None),
            (&[0.53, 0.54], Some(3)),
            (&[0.51], Some(3)),
        ] {
            let refused = run(&ledger, limits, &among(k));
            if limits == [0.51] {
                // Nothing contradicts a third candidate that has not run here.
                refused.unwrap();
                continue;
            }
            let error = refused.unwrap_err();
            assert_eq!(error.field(), Some(Field::Model), "{error}");
            let words = error.to_string();
            for part in [
                "above 0.53 is first named",
                "had been run on these samples",
                "fresh seed",
            ] {
                assert!(words.contains(part), "{words}");
            }
            assert_eq!(
                std::fs::read(&ledger).unwrap(),
                before,
                "nothing is written"
            );
        }
        // Two new ones may be chosen among, and one by itself states nothing of a choice.
        run(&ledger, &[0.53, 0.54], &among(None)).unwrap();
        let remarks = run(&ledger, &[0.55], &among(None)).unwrap();
        assert!(
            remarks.contains(&Remark::OneByOne { networks: 5 }),
            "{remarks:?}"
        );
        let known = Remark::ResultsKnown {
            network: "above 0.55".into(),
            others: 4,
        };
        assert!(remarks.contains(&known), "{remarks:?}");
        let again = run(&ledger, &[0.55], &among(None)).unwrap();
        assert!(!again.contains(&known), "it is not new: {again:?}");
    }

    #[test]
    fn a_network_that_is_given_twice_is_remarked_on() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = certified(folder.path());
        let data = data();
        let network = above(0.51);
        let recertification = Recertification::open(&ledger, &among(None), 2).unwrap();
        let session = recertification.session(&data, vec![&network, &network]);
        let mut remarks = Vec::new();
        let outcome = crate::job::Job::new(session.unwrap()).run(&mut |event: Event<'_>| {
            if let Event::Remark(remark) = event {
                remarks.push(remark);
            }
        });
        assert_eq!(outcome.unwrap(), Outcome::Finished);
        let given = Remark::GivenAgain {
            network: "above 0.51".into(),
            among: 2,
        };
        assert!(remarks.contains(&given), "{remarks:?}");
    }

    #[test]
    fn networks_that_ran_and_were_removed_are_no_new_candidates() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = certified(folder.path());
        // The second may have been made from the results of the first.
        run(&ledger, &[0.51], &among(None)).unwrap();
        run(&ledger, &[0.52], &among(None)).unwrap();
        for file in ["above 0.51", "above 0.52"] {
            forget(&ledger, Some(file), None).unwrap();
        }
        for limits in [&[0.51, 0.52][..], &[0.52, 0.51]] {
            let error = run(&ledger, limits, &among(None)).unwrap_err();
            assert!(
                error.to_string().contains("above 0.52 was first named"),
                "{error}"
            );
        }
        // Two that were named together are candidates again as they were.
        let ledger = folder.path().join("together.recert");
        std::fs::rename(certified(folder.path().join("again").as_path()), &ledger).unwrap();
        run(&ledger, &[0.51, 0.52], &among(None)).unwrap();
        for file in ["above 0.51", "above 0.52"] {
            forget(&ledger, Some(file), None).unwrap();
        }
        run(&ledger, &[0.52, 0.51], &among(None)).unwrap();
        let report = recert_check::check(&ledger).unwrap();
        assert!(report.is_clean(), "{:#?}", report.violations);
        assert_eq!(
            report.missing().count(),
            2,
            "the candidates that were removed"
        );
    }

    #[test]
    fn several_statements_of_one_network_are_remarked_on() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = certified(folder.path());
        let irs = |alpha| RecertifyConfig {
            methods: vec![Method::Irs],
            alpha,
            ..RecertifyConfig::default()
        };
        assert_eq!(run(&ledger, &[0.51], &irs(None)).unwrap(), []);
        for (config, differ_in) in [
            (irs(Some(0.01)), "alpha 0.002 and 0.01"),
            (among(None), "methods auto and irs"),
        ] {
            let remarks = run(&ledger, &[0.51], &config).unwrap();
            let [
                Remark::SeveralClaims {
                    differ_in: found, ..
                },
            ] = &remarks[..]
            else {
                panic!("{remarks:?}");
            };
            assert!(found.contains(differ_in), "{found}");
        }
        let notes = report(&[ledger], "Dots").unwrap().report.notes;
        assert!(
            notes
                .iter()
                .any(|note| note.contains("above 0.51 has 3 sets of certificates")),
            "{notes:?}"
        );
    }
}
