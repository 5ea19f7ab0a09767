//! Shards of a run: uniting their ledgers, and giving a shard of a recertification its own.

use std::path::{Path, PathBuf};

use recert_check::check;
use recert_ledger::{JournalEvent, Ledger, Merge, Shard, Totals};
use recert_smooth::{finished_inputs, stopped_inputs};

use crate::{Error, ErrorKind, Field, Result};

/// What became of merging ledgers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// What the united ledger holds.
    pub totals: Totals,
    /// For each run by shards that it does not have all of, what it lacks, in words.
    pub lacking: Vec<String>,
}

/// Unites ledgers of one run, such as those of its shards, in the ledger at `out`, which takes part
/// where it is there already. It has the counts, answers, certificates and claims of a run that was
/// not divided; times are those of the ledgers.
///
/// Every ledger is checked first, as by [`check`](super::check()), since the united one could not show
/// what was wrong with a part; and so is the united one before it gets its name. Where anything
/// fails, or the process is killed, `out` is as it was.
///
/// # Errors
/// [`ErrorKind::Input`] for a ledger that does not pass, or contradicts another one; where
/// shards are missing, by their numbers, unless they may be (`partial`); and where `out` is there
/// and itself the ledger of a shard, as where the name of a new file was forgotten, unless likewise.
/// [`ErrorKind::Ledger`] for ledgers of different runs or data, and where a process writes to `out`.
///
/// ```
/// use recert::job::merge;
///
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/dots.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let file = |name: &str| folder.path().join(name);
/// // In two processes, on one machine or on two:
/// for shard in ["1/2", "2/2"] {
///     let mut config = CertifyConfig { n: 200, ..CertifyConfig::new(0.25) };
///     config.run.shard = Some(shard.parse()?);
///     let ledger = file(&format!("{}.recert", &shard[..1]));
///     certify(&ledger, &config, &dots()?, &brighter_than(1.0)?)?.run(&mut |_: Event<'_>| ())?;
/// }
/// // Afterwards:
/// let merged = merge(&file("run.recert"), &[file("1.recert"), file("2.recert")], false)?;
/// assert_eq!((merged.totals.inputs, merged.totals.certificates), (2, 2));
/// // One of them alone is not the whole.
/// assert!(merge(&file("half.recert"), &[file("1.recert")], false).is_err());
/// # Ok(())
/// # }
/// ```
pub fn merge(out: &Path, ledgers: &[PathBuf], partial: bool) -> Result<Merged> {
    let there = out.metadata().is_ok_and(|file| file.len() > 0);
    if there
        && !partial
        && let Some(shard) = shard_of(out)?
    {
        let message = format!(
            "{} is there, and is the ledger of shard {shard}, which the others would be added to: name a \
             new file first, then the ledgers to unite",
            out.display()
        );
        return Err(Error::new(ErrorKind::Input, message).about(Field::Out));
    }
    for ledger in there
        .then_some(out)
        .into_iter()
        .chain(ledgers.iter().map(PathBuf::as_path))
    {
        passes(ledger, "nothing was merged")?;
    }
    let united = Merge::new(out, ledgers)?;
    let lacking: Vec<String> = united.lacking().iter().map(ToString::to_string).collect();
    if !partial && !lacking.is_empty() {
        let message = format!(
            "the ledgers are not all of the run: {}. Merge these too, or allow that they are missing",
            lacking.join("; ")
        );
        return Err(Error::new(ErrorKind::Input, message).about(Field::Partial));
    }
    passes(united.path(), "these ledgers do not go together")?;
    let totals = united.totals();
    united.publish()?;
    Ok(Merged { totals, lacking })
}

/// The shard that a ledger is of, if nothing was merged into it since.
fn shard_of(ledger: &Path) -> Result<Option<Shard>> {
    let mut shard = None;
    for entry in Ledger::open_read_only(ledger)?.journal()? {
        match entry.event {
            JournalEvent::Merged { .. } => shard = None,
            JournalEvent::Begun { shard: found, .. }
            | JournalEvent::Verifying { shard: found, .. } => shard = found,
            _ => {}
        }
    }
    Ok(shard)
}

/// Fails where a check finds something wrong.
fn passes(ledger: &Path, otherwise: &str) -> Result<()> {
    let report = check(ledger)?;
    let Some(first) = report.violations.first() else {
        return Ok(());
    };
    let message = format!(
        "{}: {otherwise}, as it does not pass `recert check`, which finds {}: {} {} {}: {}, not \
         {}",
        ledger.display(),
        match report.violations.len() {
            1 => "one violation".to_owned(),
            several => format!("{several} violations"),
        },
        first.table,
        first.row,
        first.field,
        first.stored,
        first.derived,
    );
    Err(Error::new(ErrorKind::Input, message))
}

/// Makes `copy` a copy of the original's `ledger`, or, where it is there, fails unless it is one of the
/// same run and the same inputs, so that a run into it can be continued.
pub(super) fn copy_for_shard(ledger: &Path, copy: &Path) -> Result<()> {
    let original = Ledger::open_read_only(ledger)?;
    if copy.symlink_metadata().is_err() {
        original.snapshot(copy)?;
        return Ok(());
    }
    let copied = Ledger::open_read_only(copy)?;
    copied.check(original.header())?;
    let inputs = |ledger: &Ledger| -> Result<_> {
        let mut inputs = stopped_inputs(ledger)?;
        inputs.extend(finished_inputs(ledger)?);
        Ok(inputs)
    };
    if inputs(&original)? == inputs(&copied)? {
        return Ok(());
    }
    let message = format!(
        "{} has other inputs than {}, which it is to be a copy of: a plan is made of all inputs, so \
         remove it, or name a file that is not there",
        copy.display(),
        ledger.display()
    );
    Err(Error::new(ErrorKind::Ledger, message).about(Field::Into))
}
