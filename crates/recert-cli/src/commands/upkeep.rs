//! `recert snapshot`, `recert merge` and `recert forget`.

use recert::ledger::Seal;

use crate::args::{Forget, Merge, Snapshot};
use crate::exit::Result;
use crate::terminal::{self, count, print};

pub(crate) fn snapshot(args: &Snapshot) -> Result<()> {
    let copied = recert::job::snapshot(&args.ledger, &args.copy)?;
    let seal = match copied.seal {
        Seal::Holds => "sealed",
        Seal::Absent => "not sealed: a run is writing to the ledger, or was not ended",
        Seal::Broken { .. } => "its rows are not those that were sealed: see `recert check`",
    };
    print(&format!(
        "{}: {}, {}; {seal}\n",
        args.copy.display(),
        count(copied.inputs, "input"),
        count(copied.certificates, "certificate"),
    ))
}

pub(crate) fn merge(args: &Merge) -> Result<()> {
    let merged = recert::job::merge(&args.out, &args.ledgers, args.partial)?;
    for lacking in &merged.lacking {
        terminal::remark(lacking);
    }
    let totals = merged.totals;
    let mut holds = vec![count(totals.inputs, "input")];
    if totals.certificates > 0 || totals.results == 0 {
        holds.push(count(totals.certificates, "certificate"));
    }
    if totals.results > 0 {
        holds.push(count(totals.results, "result"));
    }
    let found = if totals.changed {
        format!("merged of {}", count(totals.ledgers, "ledger"))
    } else {
        "had all of it already".to_owned()
    };
    let out = args.out.display();
    print(&format!(
        "{out}: {}; {found}, checked and sealed\n",
        holds.join(", ")
    ))
}

pub(crate) fn forget(args: &Forget) -> Result<()> {
    let (network, run) = (args.network.as_deref(), args.run.as_deref());
    let forgotten = recert::job::forget(&args.ledger, network, run)?;
    print(&format!(
        "{}: removed {} with {}, and {}; the ledger records it\n",
        args.ledger.display(),
        count(forgotten.claims, "claim"),
        count(forgotten.certificates, "certificate"),
        count(forgotten.answers, "answer"),
    ))
}
