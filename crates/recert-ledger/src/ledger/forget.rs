//! Removing a network or claims from a ledger, which the journal then records.

use std::collections::HashSet;

use rusqlite::{Connection, params};

use super::conclusions::read_claim;
use super::journal::note;
use super::{Ledger, unsigned};
use crate::journal::{ForgottenClaim, JournalEvent, NetworkName};
use crate::records::NetworkId;
use crate::{Claim, Error, ErrorKind};

/// What was removed from a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forgotten {
    /// The number of claims.
    pub claims: u64,
    /// Their certificates.
    pub certificates: u64,
    /// The answers removed.
    pub answers: u64,
}

impl Ledger {
    /// Removes the claims of a network that `which` chooses, with their certificates, and
    /// records that in the [journal](JournalEvent::Forgotten). The answers stay. Returns what
    /// was removed; where nothing is chosen, nothing is recorded.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] for a run of the network that the ledger is of that stopped each
    /// input at a radius. Its results decided how many samples each input has; once nothing
    /// shows that, the inputs that have all samples would be taken for ones that nobody selected.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let (mut ledger, series) = example(folder.path())?;
    /// # ledger.put_answers(series, 0, &answers(100), 3, 2000)?;
    /// # ledger.conclude(series, &[abstention(90)])?;
    /// let forgotten = ledger.forget_claims(ledger.base(), |claim| claim.method() == "certify")?;
    /// assert_eq!((forgotten.claims, forgotten.answers), (1, 0));
    /// assert!(ledger.claims(ledger.base())?.is_empty());
    /// assert_eq!(ledger.journal()?.last().unwrap().event.kind(), "forgotten");
    /// # Ok(())
    /// # }
    /// ```
    pub fn forget_claims(
        &self,
        network: NetworkId,
        which: impl Fn(&Claim) -> bool,
    ) -> Result<Forgotten, Error> {
        let name = self.name_of(network)?;
        let stopped = |claim: &Claim| claim.method() == "until" && which(claim);
        if network == self.base() && self.claims(network)?.iter().any(stopped) {
            let message = "has a run that stopped each input at a radius, which cannot be removed: \
                           its results decided how many samples the inputs have, and whoever \
                           recertifies from this ledger has to know that";
            return Err(Error::new(ErrorKind::Mismatch, self.path(), message));
        }
        let forget = || {
            let transaction = self.connection.unchecked_transaction()?;
            let claims = forget_claims(&transaction, network, &which)?;
            let forgotten = sums(&claims, 0);
            if !claims.is_empty() {
                let event = JournalEvent::Forgotten {
                    name,
                    whole: false,
                    claims,
                    answers: 0,
                    selections: 0,
                };
                note(&transaction, None, &event)?;
            }
            transaction.commit()?;
            Ok(forgotten)
        };
        forget().map_err(|e| self.sql(e))
    }

    /// Removes a modified network with all its answers, claims, certificates and verifications,
    /// and records that in the [journal](JournalEvent::Forgotten).
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] for the network that the ledger is of, which everything in it
    /// refers to.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let (ledger, series) = example(folder.path())?;
    /// let h = ledger.add_network(&network("pruned.onnx"))?;
    /// ledger.forget_network(h)?;
    /// assert_eq!(ledger.networks()?.len(), 1);
    /// assert!(ledger.forget_network(ledger.base()).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn forget_network(&self, network: NetworkId) -> Result<Forgotten, Error> {
        if network == self.base() {
            let message = "is of this network: all other runs refer to its answers, so only the \
                           whole file can be removed";
            return Err(Error::new(ErrorKind::Mismatch, self.path(), message));
        }
        let name = self.name_of(network)?;
        let forget = || {
            let transaction = self.connection.unchecked_transaction()?;
            let mut claims = forget_claims(&transaction, network, |_| true)?;
            claims.extend(forget_verifications(&transaction, network)?);
            let answers = transaction.query_row(
                "SELECT coalesce(sum(copies), 0) AS answers FROM
                 (SELECT copies FROM answers WHERE network = ?1
                  UNION ALL SELECT copies FROM chosen WHERE network = ?1)",
                [network.0],
                |row| unsigned(row, "answers"),
            )?;
            for table in ["answers", "chosen"] {
                let delete = format!("DELETE FROM {table} WHERE network = ?1");
                transaction.execute(&delete, [network.0])?;
            }
            let delete = "DELETE FROM selection WHERE network = ?1";
            let selections = transaction.execute(delete, [network.0])? as u64;
            transaction.execute("DELETE FROM network WHERE id = ?1", [network.0])?;
            let forgotten = sums(&claims, answers);
            let event = JournalEvent::Forgotten {
                name,
                whole: true,
                claims,
                answers,
                selections,
            };
            note(&transaction, None, &event)?;
            transaction.commit()?;
            Ok(forgotten)
        };
        forget().map_err(|e| self.sql(e))
    }

    fn name_of(&self, network: NetworkId) -> Result<NetworkName, Error> {
        let networks = self.networks()?;
        let found = networks.iter().find(|(id, _)| *id == network);
        let found = found.map(|(_, network)| NetworkName::new(network));
        found.ok_or_else(|| {
            Error::new(
                ErrorKind::Missing,
                self.path(),
                "does not have this network",
            )
        })
    }
}

fn sums(claims: &[ForgottenClaim], answers: u64) -> Forgotten {
    Forgotten {
        claims: claims.len() as u64,
        certificates: claims.iter().map(|claim| claim.certificates).sum(),
        answers,
    }
}

/// Removes the verifications of a network, with their results: what the journal keeps of one
/// has the form of a claim on no samples.
fn forget_verifications(
    connection: &Connection,
    network: NetworkId,
) -> rusqlite::Result<Vec<ForgottenClaim>> {
    let mut query = connection.prepare(
        "SELECT id, kind || ' ' || method, specification, statement FROM verification
         WHERE network = ?1 ORDER BY id",
    )?;
    let found = query.query_map([network.0], |row| {
        let forgotten = ForgottenClaim {
            method: row.get(1)?,
            samples: 0,
            alpha: 0.0,
            parameters: row.get(2)?,
            statement: row.get(3)?,
            certificates: 0,
        };
        Ok((row.get::<_, i64>(0)?, forgotten))
    })?;
    let of_network = "SELECT DISTINCT idx FROM result
                      WHERE verification IN (SELECT id FROM verification WHERE network = ?1)
                      AND idx IS NOT NULL";
    let mut query = connection.prepare(of_network)?;
    let inputs = query.query_map([network.0], |row| row.get::<_, i64>(0))?;
    let inputs: Vec<i64> = inputs.collect::<rusqlite::Result<_>>()?;
    let mut forgotten = Vec::new();
    for (id, mut verification) in found.collect::<rusqlite::Result<Vec<_>>>()? {
        let delete = "DELETE FROM result WHERE verification = ?1";
        verification.certificates = connection.execute(delete, [id])? as u64;
        connection.execute("DELETE FROM verification WHERE id = ?1", [id])?;
        forgotten.push(verification);
    }
    forget_idle_inputs(connection, &inputs)?;
    Ok(forgotten)
}

/// Removes those of some inputs to which no other row refers: they would be taken for inputs
/// that a smoothing run did not come to.
fn forget_idle_inputs(connection: &Connection, inputs: &[i64]) -> rusqlite::Result<()> {
    let used = "SELECT idx FROM selection UNION SELECT idx FROM answers
                UNION SELECT idx FROM chosen UNION SELECT idx FROM certificate
                UNION SELECT idx FROM result WHERE idx IS NOT NULL";
    let mut used = connection.prepare(used)?;
    let used = used.query_map([], |row| row.get::<_, i64>(0))?;
    let used: HashSet<i64> = used.collect::<rusqlite::Result<_>>()?;
    for idx in inputs.iter().filter(|idx| !used.contains(idx)) {
        connection.execute("DELETE FROM input WHERE idx = ?1", [idx])?;
    }
    Ok(())
}

/// Removes the claims that `which` chooses, with their certificates.
fn forget_claims(
    connection: &Connection,
    network: NetworkId,
    which: impl Fn(&Claim) -> bool,
) -> rusqlite::Result<Vec<ForgottenClaim>> {
    let mut query = connection.prepare("SELECT * FROM claim WHERE network = ?1 ORDER BY id")?;
    let claims = query.query_map([network.0], |row| {
        Ok((row.get::<_, i64>("id")?, read_claim(row)?))
    })?;
    let mut forgotten = Vec::new();
    for (id, claim) in claims.collect::<rusqlite::Result<Vec<_>>>()? {
        if !which(&claim) {
            continue;
        }
        let delete = "DELETE FROM certificate WHERE claim = ?1";
        let certificates = connection.execute(delete, params![id])? as u64;
        connection.execute("DELETE FROM claim WHERE id = ?1", params![id])?;
        forgotten.push(ForgottenClaim {
            method: claim.method().to_owned(),
            samples: claim.samples,
            alpha: claim.alpha,
            parameters: claim.parameters.to_json(),
            statement: claim.statement.to_string(),
            certificates,
        });
    }
    Ok(forgotten)
}
