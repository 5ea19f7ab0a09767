//! Recording and reading verifications by bounds.

use std::path::Path;

use rusqlite::{Row, params};

use super::{Ledger, is_unborn, unsigned};
use crate::records::{Header, NetworkId, Task};
use crate::verification::{
    Effort, Specification, Verdict, Verification, VerificationId, VerificationResult,
    pixels_from_bytes, pixels_to_bytes,
};
use crate::{Error, ErrorKind};

impl Ledger {
    /// Opens a ledger to verify into it, or creates one without noise
    /// ([`Header::without_noise`]). One that a smoothing run began takes verifications too, of
    /// any network of images of the same shape.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] if its images are of another shape than `header`'s.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("bounds.recert");
    /// let begun = Header::without_noise(network("f.onnx"), "a data set", [3, 32, 32]);
    /// Ledger::resume_verification(&path, &begun)?.close()?;
    /// // A smoothing run into the same ledger gives it noise.
    /// let ledger = Ledger::resume(&path, &header())?;
    /// assert_eq!(ledger.header(), &header());
    /// # Ok(())
    /// # }
    /// ```
    pub fn resume_verification(path: &Path, header: &Header) -> Result<Self, Error> {
        if !path.exists() || is_unborn(path) {
            return Self::make(path, header);
        }
        Self::open_checked(path, |ledger| ledger.check_shape(header.shape))
    }

    /// Fails if the ledger's images are of another shape.
    pub(super) fn check_shape(&self, shape: [u32; 3]) -> Result<(), Error> {
        let known = self.header.shape;
        if known == shape {
            return Ok(());
        }
        let message = format!(
            "is of images of another shape: {known:?} in the ledger, {shape:?} given (another \
             shape needs another ledger)"
        );
        Err(Error::new(ErrorKind::Mismatch, &self.path, message))
    }

    /// Gives a ledger that has no noise yet the header of a smoothing run.
    pub(super) fn begin_smoothing(&mut self, header: &Header) -> Result<(), Error> {
        let write = || {
            let transaction = self.connection.unchecked_transaction()?;
            let numbers =
                super::journal::name_networks(&transaction, std::slice::from_ref(&header.network))?;
            transaction.execute(
                "UPDATE run SET task = ?1, sigma = ?2, n0 = ?3, n = ?4, alpha = ?5,
                 generator = ?6, seed = ?7, network = ?8, data = ?9 WHERE id = 1",
                params![
                    header.task.name(),
                    header.sigma,
                    header.n0 as i64,
                    header.n as i64,
                    header.alpha,
                    header.generator,
                    header.seed.to_string(),
                    numbers[0].0,
                    header.data,
                ],
            )?;
            super::journal::note_header(&transaction, header)?;
            transaction.commit()?;
            Ok(numbers[0])
        };
        self.network = write().map_err(|e| self.sql(e))?;
        self.header = header.clone();
        Ok(())
    }

    /// Registers a verification of a network, or finds it, and returns its number.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let (ledger, _) = example(folder.path())?;
    /// let id = ledger.add_verification(ledger.base(), &verification())?;
    /// assert_eq!(ledger.add_verification(ledger.base(), &verification())?, id);
    /// ledger.put_result(id, &verified(0))?;
    /// assert_eq!(ledger.results(id)?, [verified(0)]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn add_verification(
        &self,
        network: NetworkId,
        verification: &Verification,
    ) -> Result<VerificationId, Error> {
        let v = verification;
        let (kind, specification) = (v.specification.kind(), v.specification.to_json());
        let effort = v.effort.to_json();
        let values = params![
            network.0,
            kind,
            specification,
            v.method,
            effort,
            v.statement
        ];
        self.execute(
            "INSERT OR IGNORE INTO verification
             (network, kind, specification, method, effort, statement)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            values,
        )?;
        let found = self.rows(
            "SELECT id FROM verification WHERE network = ?1 AND kind = ?2 AND specification = ?3
             AND method = ?4 AND effort = ?5 AND statement = ?6",
            values,
            |row| row.get(0).map(VerificationId),
        )?;
        found.first().copied().ok_or_else(|| {
            let message = "does not keep what is written to it";
            Error::new(ErrorKind::Io, &self.path, message)
        })
    }

    /// All verifications, each with its network, in the order in which they were begun.
    /// Ledgers of versions before 4 have none.
    pub fn verifications(&self) -> Result<Vec<(VerificationId, NetworkId, Verification)>, Error> {
        self.rows("SELECT * FROM verification ORDER BY id", [], |row| {
            let text = |column: &str| row.get::<_, String>(column);
            let effort: Effort = super::networks::read_plain(&text("effort")?)?;
            let verification = Verification {
                specification: Specification::read(&text("kind")?, &text("specification")?),
                method: text("method")?,
                effort,
                statement: text("statement")?,
            };
            let (id, network) = (row.get("id")?, row.get("network")?);
            Ok((VerificationId(id), NetworkId(network), verification))
        })
    }

    /// Records a result, unless its input has one.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] for a result whose verdict contradicts its margin.
    pub fn put_result(
        &self,
        verification: VerificationId,
        result: &VerificationResult,
    ) -> Result<(), Error> {
        let r = result;
        r.check().map_err(|problem| {
            let message = format!("does not take a result: {problem}");
            Error::new(ErrorKind::Malformed, &self.path, message)
        })?;
        self.execute(
            "INSERT OR IGNORE INTO result VALUES
             (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            params![
                verification.0,
                r.idx,
                r.verdict.name(),
                r.class,
                r.answer,
                r.margin,
                r.decided_by,
                r.branches as i64,
                r.proof,
                r.counterexample.as_deref().map(pixels_to_bytes),
                r.micros as i64,
            ],
        )
    }

    /// All results of a verification, in the order of the inputs.
    pub fn results(&self, verification: VerificationId) -> Result<Vec<VerificationResult>, Error> {
        self.rows(
            "SELECT * FROM result WHERE verification = ?1 ORDER BY idx",
            [verification.0],
            read_result,
        )
    }

    /// The inputs that have a result already; `None` among them is the one of a VNN-LIB file.
    pub fn verified_inputs(&self, verification: VerificationId) -> Result<Vec<Option<u32>>, Error> {
        self.rows(
            "SELECT idx FROM result WHERE verification = ?1 ORDER BY idx",
            [verification.0],
            |row| row.get(0),
        )
    }

    /// Whether the ledger has no noise, because only verifications were written to it.
    pub fn is_without_noise(&self) -> bool {
        self.header.task == Task::Verify
    }
}

fn read_result(row: &Row<'_>) -> rusqlite::Result<VerificationResult> {
    let malformed = |problem: &str| {
        let kind = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(0, kind, problem.into())
    };
    let verdict: String = row.get("verdict")?;
    let verdict =
        Verdict::read(&verdict).ok_or_else(|| malformed(&format!("'{verdict}' is no verdict")))?;
    let counterexample = match row.get::<_, Option<Vec<u8>>>("counterexample")? {
        Some(bytes) => Some(
            pixels_from_bytes(&bytes).ok_or_else(|| malformed("a counterexample is cut off"))?,
        ),
        None => None,
    };
    Ok(VerificationResult {
        idx: row.get("idx")?,
        verdict,
        class: row.get("class")?,
        answer: row.get("answer")?,
        margin: row.get("margin")?,
        decided_by: row.get("decided_by")?,
        branches: unsigned(row, "branches")?,
        proof: row.get("proof")?,
        counterexample,
        micros: unsigned(row, "micros")?,
    })
}
