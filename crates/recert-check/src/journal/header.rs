//! The ledger's header, against the one that the journal records.

use recert_ledger::raw::{Row, Table, Value};
use recert_ledger::{Error, HeaderRecord, Ledger};

use super::{Journal, short};
use crate::report::Report;
use crate::tables::Tables;
use crate::unchecked::Unchecked;

impl Journal {
    /// Compares the header with that of the journal: sigma, n0, n, alpha, noise and seed, the
    /// network with its preprocessing, and the shape of an input.
    pub(super) fn compare_header(
        &mut self,
        ledger: &Ledger,
        tables: &Tables,
        report: &mut Report,
    ) -> Result<(), Error> {
        let Some((position, record)) = &self.header else {
            // A ledger of verifications alone has none to record.
            if !tables.without_noise {
                self.open.push(Unchecked::HeaderUnrecorded { since: None });
            }
            return Ok(());
        };
        // The first entry names the network, or records the upgrade of an older ledger; one that
        // was begun by verifications has the header of its first smoothing run.
        if *position > 1 && !self.began_with_verifications(tables) {
            let since = Some(*position as u64 + 1);
            self.open.push(Unchecked::HeaderUnrecorded { since });
        }
        for row in ledger.raw_rows(Table::Run)? {
            let derived = |recorded: &str| {
                format!("{recorded}, which journal entry {} records", position + 1)
            };
            for (field, recorded) in recorded(record) {
                let stored = words(&row, field);
                if stored != recorded {
                    report.violation("run", &row.key(), field, stored, derived(&recorded));
                }
            }
            let Value::Integer(base) = row.get("network") else {
                continue;
            };
            if let Some(name) = tables.names.get(base)
                && *name != record.network
            {
                let form = derived(&short(&record.network));
                report.violation("run", &row.key(), "network", short(name), form);
            }
        }
        Ok(())
    }
}

/// The columns of the header's row, as the journal has them, but for the network.
fn recorded(record: &HeaderRecord) -> [(&'static str, String); 10] {
    let HeaderRecord {
        task,
        sigma,
        n0,
        n,
        alpha,
        generator,
        seed,
        network: _,
        channels,
        height,
        width,
    } = record;
    [
        ("task", task.name().to_owned()),
        ("sigma", format!("{sigma:?}")),
        ("n0", n0.to_string()),
        ("n", n.to_string()),
        ("alpha", format!("{alpha:?}")),
        ("generator", generator.clone()),
        ("seed", seed.clone()),
        ("channels", channels.to_string()),
        ("height", height.to_string()),
        ("width", width.to_string()),
    ]
}

/// A column as text, without the marks of its type.
fn words(row: &Row, column: &str) -> String {
    match row.get(column) {
        Value::Text(text) => text.clone(),
        other => other.to_string(),
    }
}
