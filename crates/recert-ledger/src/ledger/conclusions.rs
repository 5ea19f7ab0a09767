//! Conclusions: the claims and the certificates drawn from answers.

use std::sync::Arc;

use rusqlite::{Connection, Row, params};

use super::{Ledger, Series, unsigned};
use crate::Error;
use crate::records::{Certificate, Claim, NetworkId};

impl Ledger {
    /// Merges the rows of a finished series into few and records what was
    /// concluded, which may be nothing: one transaction.
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
                        c.counts,
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

    /// All certificates of a network, ordered by claim (method, alpha,
    /// parameters, samples), then by input. Certificates of one claim share it.
    pub fn certificates(&self, network: NetworkId) -> Result<Vec<Certificate>, Error> {
        let mut last: Option<(i64, Arc<Claim>)> = None;
        self.rows(
            "SELECT * FROM claim JOIN certificate ON claim.id = certificate.claim
             WHERE network = ?1 ORDER BY method, alpha, parameters, copies, claim.id, idx",
            [network.0],
            |row| {
                let id: i64 = row.get("id")?;
                let claim = match &last {
                    Some((of, claim)) if *of == id => Arc::clone(claim),
                    _ => {
                        let claim = Arc::new(read_claim(row)?);
                        last = Some((id, Arc::clone(&claim)));
                        claim
                    }
                };
                Ok(Certificate {
                    idx: row.get("idx")?,
                    claim,
                    class: row.get("class")?,
                    radius: row.get("radius")?,
                    p_lower: row.get("p_lower")?,
                    bound: row.get("bound")?,
                    counts: row.get("counts")?,
                    evaluations: unsigned(row, "evaluations")?,
                    micros: unsigned(row, "micros")?,
                })
            },
        )
    }
}

fn insert_claim(
    connection: &Connection,
    network: NetworkId,
    claim: &Claim,
) -> rusqlite::Result<i64> {
    let values = params![
        network.0,
        claim.method,
        claim.samples as i64,
        claim.alpha,
        claim.parameters,
        claim.statement,
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

fn read_claim(row: &Row<'_>) -> rusqlite::Result<Claim> {
    Ok(Claim {
        method: row.get("method")?,
        samples: unsigned(row, "copies")?,
        alpha: row.get("alpha")?,
        parameters: row.get("parameters")?,
        statement: row.get("statement")?,
    })
}
