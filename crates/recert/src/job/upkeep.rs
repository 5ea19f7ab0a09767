//! Copying a ledger, and removing runs from it.

use std::path::Path;

use recert_ledger::{Forgotten, Ledger, Snapshot};

use super::report::{chooses_run, named};
use crate::{Error, ErrorKind, Result};

/// Copies what a ledger holds at this moment to a new file, also while a run writes to it.
///
/// # Errors
/// If the ledger cannot be read, or the copy exists already or cannot be written.
///
/// ```
/// use recert::job::snapshot;
///
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/dots.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let ledger = certified(folder.path())?;
/// let copied = snapshot(&ledger, &folder.path().join("copy.recert"))?;
/// assert_eq!(copied.inputs, 2);
/// # Ok(())
/// # }
/// ```
pub fn snapshot(ledger: &Path, copy: &Path) -> Result<Snapshot> {
    Ok(Ledger::open_read_only(ledger)?.snapshot(copy)?)
}

/// Removes runs from a ledger, whose journal records it: whoever checks or reads the ledger
/// later sees that something was removed, because whoever removed it may have looked at it.
///
/// `network` is a file name, or the beginning of a file's SHA-256; `run` is a method, as
/// `irs`, or a method with its goal. Without `run` the network is removed with its answers,
/// without `network` the runs of all networks are.
///
/// # Errors
/// [`ErrorKind::Parameter`] if nothing in the ledger is so named; if the ledger cannot be
/// written to, or the network is the one that it is of.
pub fn forget(ledger: &Path, network: Option<&str>, run: Option<&str>) -> Result<Forgotten> {
    let nothing = || {
        let message = format!("{} holds no such network or run", ledger.display());
        Error::new(ErrorKind::Parameter, message)
    };
    // Nothing is opened for writing before it is known what to remove.
    let reader = Ledger::open_read_only(ledger)?;
    let sigma = reader.header().sigma;
    let mut networks = reader.networks()?;
    networks.retain(|(_, record)| network.is_none_or(|network| named(record, network)));
    let mut found = false;
    for (id, _) in &networks {
        let claims = reader.claims(*id)?;
        found |= run.is_none_or(|run| claims.iter().any(|c| chooses_run(c, sigma, run)));
    }
    if !found || network.is_none() && run.is_none() {
        return Err(nothing());
    }
    drop(reader);
    let ledger = Ledger::open(ledger)?;
    let mut all = Forgotten {
        claims: 0,
        certificates: 0,
        answers: 0,
    };
    let mut problem = Ok(());
    for (id, _) in networks {
        let one = match run {
            Some(run) => ledger.forget_claims(id, |claim| chooses_run(claim, sigma, run)),
            None => ledger.forget_network(id),
        };
        match one {
            Ok(one) => {
                all.claims += one.claims;
                all.certificates += one.certificates;
                all.answers += one.answers;
            }
            Err(why) => {
                problem = Err(why);
                break;
            }
        }
    }
    ledger.close()?;
    problem?;
    Ok(all)
}
