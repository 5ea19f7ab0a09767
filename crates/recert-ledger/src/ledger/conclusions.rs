//! Recording and reading claims and certificates.

use std::sync::Arc;

use rusqlite::{Connection, Row, params};

use super::{Ledger, Series, unsigned};
use crate::records::{Certificate, NetworkId};
use crate::{Claim, Error, Evidence, Parameters, Statement};

impl Ledger {
    /// Merges the rows of a finished series and records its certificates, if there are
    /// any, in one transaction.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let (mut ledger, series) = example(folder.path())?;
    /// ledger.put_answers(series, 0, &answers(100), 3, 2000)?;
    /// ledger.conclude(series, &[abstention(90)])?;
    /// assert_eq!(ledger.certificates(ledger.base())?, [abstention(90)]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn conclude(&mut self, series: Series, certificates: &[Certificate]) -> Result<(), Error> {
        let class = self.margin_class(series)?;
        let transaction = self.connection.unchecked_transaction();
        let transaction = transaction.map_err(|e| self.sql(e))?;
        self.merge(series, class)?;
        let write = || -> rusqlite::Result<()> {
            for c in certificates {
                let claim = insert_claim(&transaction, series.network, &c.claim)?;
                transaction.execute(
                    "INSERT OR REPLACE INTO certificate VALUES
                     (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                    params![
                        claim,
                        c.idx,
                        c.class,
                        c.radius,
                        c.p_lower,
                        c.bound,
                        c.evidence.to_json(),
                        c.evaluations as i64,
                        c.micros as i64,
                    ],
                )?;
            }
            Ok(())
        };
        write().map_err(|e| self.sql(e))?;
        transaction.commit().map_err(|e| self.sql(e))
    }

    /// All claims of a network that have certificates, in the order of [`Ledger::certificates`].
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let (mut ledger, series) = example(folder.path())?;
    /// # ledger.put_answers(series, 0, &answers(100), 3, 2000)?;
    /// # ledger.conclude(series, &[abstention(90)])?;
    /// let claims = ledger.claims(ledger.base())?;
    /// assert_eq!((claims.len(), claims[0].method()), (1, "certify"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn claims(&self, network: NetworkId) -> Result<Vec<Claim>, Error> {
        self.rows(
            "SELECT * FROM claim WHERE network = ?1
             AND EXISTS (SELECT 1 FROM certificate WHERE certificate.claim = claim.id)
             ORDER BY method, alpha, parameters, copies, id",
            [network.0],
            read_claim,
        )
    }

    /// All certificates of a network, ordered by claim (method, alpha,
    /// parameters, samples), then by input. Certificates of one claim share it.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let (mut ledger, series) = example(folder.path())?;
    /// # ledger.put_answers(series, 0, &answers(100), 3, 2000)?;
    /// # ledger.conclude(series, &[abstention(90)])?;
    /// for certificate in ledger.certificates(ledger.base())? {
    ///     assert_eq!(certificate.claim.method(), "certify");
    ///     assert!(matches!(certificate.evidence, Evidence::OneSided { k: 90, .. }));
    ///     println!("input {}: radius {}", certificate.idx, certificate.radius);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn certificates(&self, network: NetworkId) -> Result<Vec<Certificate>, Error> {
        let mut last: Option<(i64, Arc<Claim>)> = None;
        self.rows(
            "SELECT * FROM claim JOIN certificate ON claim.id = certificate.claim
             WHERE network = ?1 ORDER BY method, alpha, parameters, copies, claim.id, idx",
            [network.0],
            |row| {
                let id: i64 = row.get("id")?;
                let claim = match &last {
                    Some((last, claim)) if *last == id => Arc::clone(claim),
                    _ => {
                        let claim = Arc::new(read_claim(row)?);
                        last = Some((id, Arc::clone(&claim)));
                        claim
                    }
                };
                let idx: u32 = row.get("idx")?;
                let (bound, counts): (Option<String>, String) =
                    (row.get("bound")?, row.get("counts")?);
                let evidence = Evidence::read(claim.method(), bound.as_deref(), &counts);
                Ok(Certificate {
                    idx,
                    claim,
                    class: row.get("class")?,
                    radius: row.get("radius")?,
                    p_lower: row.get("p_lower")?,
                    bound,
                    evidence,
                    evaluations: unsigned(row, "evaluations")?,
                    micros: unsigned(row, "micros")?,
                })
            },
        )
    }
}

/// Restates the claims of a ledger before version 3 in the words of this version.
pub(super) fn restate_claims(connection: &Connection) -> rusqlite::Result<()> {
    let mut query = connection.prepare("SELECT * FROM claim ORDER BY id")?;
    let claims = query.query_map([], |row| Ok((row.get::<_, i64>("id")?, read_claim(row)?)))?;
    for (id, claim) in claims.collect::<rusqlite::Result<Vec<_>>>()? {
        let words = claim.statement.as_str();
        if let Some(new) = Statement::restated(words, &claim.parameters, claim.alpha) {
            let update = "UPDATE claim SET statement = ?2 WHERE id = ?1";
            connection.execute(update, params![id, new.as_str()])?;
        }
    }
    Ok(())
}

fn insert_claim(
    connection: &Connection,
    network: NetworkId,
    claim: &Claim,
) -> rusqlite::Result<i64> {
    let values = params![
        network.0,
        claim.method(),
        claim.samples as i64,
        claim.alpha,
        claim.parameters.to_json(),
        claim.statement.as_str(),
    ];
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO claim (network, method, copies, alpha, parameters, statement)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(values)?;
    connection
        .prepare_cached(
            "SELECT id FROM claim WHERE network = ?1 AND method = ?2 AND copies = ?3
             AND alpha = ?4 AND parameters = ?5 AND statement = ?6",
        )?
        .query_row(values, |row| row.get(0))
}

pub(super) fn read_claim(row: &Row<'_>) -> rusqlite::Result<Claim> {
    let (method, parameters): (String, String) = (row.get("method")?, row.get("parameters")?);
    Ok(Claim {
        parameters: Parameters::read(&method, &parameters),
        samples: unsigned(row, "copies")?,
        alpha: row.get("alpha")?,
        statement: Statement::read(row.get("statement")?),
    })
}
