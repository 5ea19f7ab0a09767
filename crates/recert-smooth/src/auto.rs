//! Recertifying with a design for each input: the method `auto`.
//!
//! A pilot shows how often h leaves f's class. The pilot on one half of the inputs decides,
//! together with f's codes, the designs of the other half ([`crate::budget`]). Then h runs on
//! the samples of the designs, in two rounds where the first can teach enough of the second, and each
//! input is concluded by the bound of its design. `SOUNDNESS.md`, section 4, has the statement and
//! its proof.
//!
//! Several networks share the passes: one over the pilot samples of all of them, one over
//! the samples of all their designs, and one over the second rounds of those that have two; a sample
//! that several of them need is made once. The designs of a network depend on its own pilot and
//! answers alone, so the other networks do not change them.
//!
//! Decisions that involve all inputs at once are data. A [`PilotPlan`] names the pilot
//! samples; with the [`PilotAnswers`] on all of them it becomes a [`RecertificationPlan`], by
//! which any part of the inputs can be recertified, in any process. [`recertify_auto`],
//! [`recertify_until`] and, for a part, [`recertify_part`] do all of this in one call.

mod check;
mod conclude;
mod execute;
mod part;
mod plan;
mod rounds;
mod subjects;
mod until;

pub use plan::{PilotAnswers, PilotPlan, RecertificationPlan};
pub use until::ROUNDS;

use recert_num::{Alpha, Radius};
use serde::{Deserialize, Serialize};

use crate::budget::Goal;
use crate::{Error, Outcome, Run, Sides};

/// The settings of a recertification by `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Auto {
    /// Total failure probability of each certificate.
    #[serde(with = "crate::serial::alpha")]
    pub alpha: Alpha,
    /// The number of candidates, if one of several modified networks will be chosen by the
    /// results; 1 for a network named in advance.
    pub among: u32,
    /// How many evaluations to spend, or which mean radius to reach.
    pub goal: Goal,
    /// Whether designs that bound the runner-up too are allowed.
    pub sides: Sides,
}

/// Recertifies each of the workers' networks on `inputs`, which must be
/// [finished](crate::finished_inputs) or [stopped](crate::stopped_inputs) in the ledger. After a stop the same call continues. The
/// certificates of one network depend on the others only through the share of alpha
/// that [`Auto::among`] leaves it.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/doc_setup.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("run.recert");
/// use recert_num::Alpha;
/// use recert_smooth::budget::Goal;
/// use recert_smooth::{Auto, Outcome, Run, Sides, Silent, Threads, recertify_auto};
///
/// # let mut ledger = Ledger::create(&path, &header())?;
/// # let mut f = Threads::new([(ledger.base(), brighter_than(0.5))], 32)?;
/// # let mut run = Run {
/// #     ledger: &mut ledger,
/// #     inputs: &Pixels,
/// #     workers: &mut f,
/// #     observer: &mut Silent,
/// # };
/// # let _ = recert_smooth::certify(&mut run, &[0, 4, 9], Sides::Two)?;
/// // The ledger has inputs 0, 4 and 9, certified.
/// let network = ledger.add_network(&network("dimmer"))?;
/// let mut h = Threads::new([(network, brighter_than(0.48))], 32)?;
/// let mut run = Run {
///     ledger: &mut ledger,
///     inputs: &Pixels,
///     workers: &mut h,
///     observer: &mut Silent,
/// };
/// let auto = Auto {
///     alpha: Alpha::new(0.002)?,
///     among: 1,
///     goal: Goal::Budget(300),
///     sides: Sides::Two,
/// };
/// assert_eq!(recertify_auto(&mut run, &[0, 4, 9], &auto)?, Outcome::Finished);
/// let certificates = ledger.certificates(network)?;
/// assert!(certificates.iter().map(|c| c.evaluations).sum::<u64>() <= 300);
/// # Ok(())
/// # }
/// ```
pub fn recertify_auto(run: &mut Run<'_>, inputs: &[u32], auto: &Auto) -> Result<Outcome, Error> {
    recertify_part(run, (inputs, inputs), auto, None)
}

/// Recertifies each of the workers' networks on `inputs`, which must be
/// [finished](crate::finished_inputs) or [stopped](crate::stopped_inputs) in the ledger: each input until its radius is at least
/// `radius`, or until that seems out of reach. The certificate states whatever radius was
/// proved at that point. `auto.goal` decides only the size of the pilot. The networks share
/// the pass of the pilot and the pass of each round.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/doc_setup.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("run.recert");
/// use recert_num::{Alpha, Radius};
/// use recert_smooth::budget::Goal;
/// use recert_smooth::{Auto, Outcome, Run, Sides, Silent, Threads, recertify_until};
///
/// # let mut ledger = Ledger::create(&path, &header())?;
/// # let mut f = Threads::new([(ledger.base(), brighter_than(0.5))], 32)?;
/// # let mut run = Run {
/// #     ledger: &mut ledger,
/// #     inputs: &Pixels,
/// #     workers: &mut f,
/// #     observer: &mut Silent,
/// # };
/// # let _ = recert_smooth::certify(&mut run, &[0, 4, 9], Sides::Two)?;
/// // The ledger has inputs 0, 4 and 9, certified.
/// let network = ledger.add_network(&network("dimmer"))?;
/// let mut h = Threads::new([(network, brighter_than(0.48))], 32)?;
/// let mut run = Run {
///     ledger: &mut ledger,
///     inputs: &Pixels,
///     workers: &mut h,
///     observer: &mut Silent,
/// };
/// let auto = Auto {
///     alpha: Alpha::new(0.002)?,
///     among: 1,
///     goal: Goal::Each(400),
///     sides: Sides::Two,
/// };
/// let outcome = recertify_until(&mut run, &[9], &auto, Radius::new(0.1)?)?;
/// assert_eq!(outcome, Outcome::Finished);
/// assert!(ledger.certificates(network)?[0].radius >= 0.1);
/// # Ok(())
/// # }
/// ```
pub fn recertify_until(
    run: &mut Run<'_>,
    inputs: &[u32],
    auto: &Auto,
    radius: Radius,
) -> Result<Outcome, Error> {
    recertify_part(run, (inputs, inputs), auto, Some(radius))
}

/// As [`recertify_auto`], or with a radius as [`recertify_until`], on the inputs `part` of a run on
/// `inputs`: with the certificates, claims and answers that these have in the whole run.
///
/// The pilot is evaluated on all `inputs`, since every design is decided from it; it has fifty
/// samples an input at most. Where it is too much, [`PilotPlan::evaluate`] divides it too.
///
/// # Errors
/// As for [`RecertificationPlan::recertify`].
pub fn recertify_part(
    run: &mut Run<'_>,
    (inputs, part): (&[u32], &[u32]),
    auto: &Auto,
    until: Option<Radius>,
) -> Result<Outcome, Error> {
    let pilot = PilotPlan::new(run.ledger, inputs, auto, until)?;
    match pilot.evaluate(run, inputs)? {
        Some(answers) => pilot.finish(&answers)?.execute(run, part),
        None => Ok(Outcome::Stopped),
    }
}
