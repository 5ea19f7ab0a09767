//! The report of a check.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::summary::{ClaimSummary, NetworkSummary, RunSummary};
use crate::unchecked::Unchecked;
use crate::verification::VerificationSummary;

/// The schema of a report as JSON.
pub const SCHEMA: &str = "recert-check/2";

/// A stored value that differs from the derived one, or that is invalid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The table, or `file` for the database as a whole.
    pub table: String,
    /// The row, by its key and what it belongs to; empty for the whole table.
    pub row: String,
    /// The column, and within JSON the name after a point; empty for the row.
    pub field: String,
    /// The stored value.
    pub stored: String,
    /// The derived value, or a description of valid values.
    pub derived: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (table, row, field) = (&self.table, &self.row, &self.field);
        f.write_str(table)?;
        if !row.is_empty() {
            write!(f, " ({row})")?;
        }
        if !field.is_empty() {
            write!(f, ", {field}")?;
        }
        write!(f, ": stored {}, derived {}", self.stored, self.derived)
    }
}

/// The state of a ledger's seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SealState {
    /// There is no seal.
    Absent,
    /// The rows are those that were sealed.
    Holds,
    /// The rows differ from those that were sealed.
    Broken,
}

/// The certificates of one method that were checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Certificates derived and compared.
    pub certificates: u64,
    /// Certificates among them that are no abstentions.
    pub certified: u64,
    /// Answers counted for them, of all networks together.
    pub samples: u64,
}

/// The outcome of checking one ledger.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The ledger's file.
    pub ledger: String,
    /// The version of its schema.
    pub version: i64,
    /// The state of its seal.
    pub seal: SealState,
    /// Answers decoded, of every network on every input.
    pub answers: u64,
    /// Certificates checked, by method.
    pub methods: BTreeMap<String, Tally>,
    /// The run's header, if the ledger has one.
    pub run: Option<RunSummary>,
    /// The networks.
    pub networks: Vec<NetworkSummary>,
    /// The valid claims, in the order of their numbers.
    pub claims: Vec<ClaimSummary>,
    /// The valid verifications by bounds, in the order of their numbers.
    pub verifications: Vec<VerificationSummary>,
    /// All violations.
    pub violations: Vec<Violation>,
    /// What was not checked, and why.
    pub unchecked: Vec<Unchecked>,
}

impl Report {
    pub(crate) fn new(ledger: &str, version: i64) -> Self {
        Self {
            ledger: ledger.to_owned(),
            version,
            seal: SealState::Absent,
            answers: 0,
            methods: BTreeMap::new(),
            run: None,
            networks: Vec::new(),
            claims: Vec::new(),
            verifications: Vec::new(),
            violations: Vec::new(),
            unchecked: Vec::new(),
        }
    }

    /// Whether there are no violations.
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    /// What is missing from the ledger: whatever should be there and is not, without being
    /// known to be wrong.
    pub fn missing(&self) -> impl Iterator<Item = &Unchecked> {
        self.unchecked.iter().filter(|item| item.is_missing())
    }

    /// The number of certificates checked, of all methods.
    pub fn certificates(&self) -> u64 {
        self.methods.values().map(|tally| tally.certificates).sum()
    }

    pub(crate) fn violation(
        &mut self,
        table: &str,
        row: &str,
        field: &str,
        stored: impl std::fmt::Display,
        derived: impl std::fmt::Display,
    ) {
        self.violations.push(Violation {
            table: table.to_owned(),
            row: row.to_owned(),
            field: field.to_owned(),
            stored: stored.to_string(),
            derived: derived.to_string(),
        });
    }
}
