//! Results of VNN-LIB files, verified again: the file is read by code of the checker's own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use recert_bounds::vnnlib::read_bytes;
use recert_engine::{Answers, Classifier};
use recert_ledger::{FileHash, Verdict, VerificationResult};
use recert_proofcheck::{Membership, Query, read_vnnlib};
use sha2::{Digest, Sha256};

use super::results::{Bounded, Found, Verifier, differs, open, verified};
use crate::{Error, ErrorKind, Result};

/// VNN-LIB files by the SHA-256 of their text: what they state, or why they are not read here.
#[derive(Debug, Default)]
pub(super) struct Specifications {
    files: BTreeMap<[u8; 32], std::result::Result<Vec<Query>, String>>,
}

impl Specifications {
    /// Reads files, plain or in gzip, and those of folders.
    pub(super) fn read(paths: &[PathBuf]) -> Result<Self> {
        let mut all = Self::default();
        for path in paths {
            let files = if path.is_dir() {
                files_of(path)?
            } else {
                vec![path.clone()]
            };
            for file in files {
                let bytes = read_bytes(&file)?;
                let hash = Sha256::digest(&bytes).into();
                let text =
                    String::from_utf8(bytes).map_err(|_| "it is no text in UTF-8".to_owned());
                let queries = text.and_then(|text| read_vnnlib(&text));
                all.files.insert(hash, queries);
            }
        }
        Ok(all)
    }
}

/// The VNN-LIB files of a folder.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let fail =
        |why: std::io::Error| Error::new(ErrorKind::Input, format!("{}: {why}", folder.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let is_file =
            name.is_some_and(|name| name.ends_with(".vnnlib") || name.ends_with(".vnnlib.gz"));
        if is_file {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

impl Verifier<'_> {
    /// Verifies the result of a file again.
    pub(super) fn file(
        &self,
        sha256: &FileHash,
        result: &VerificationResult,
        engine: &mut dyn Classifier,
    ) -> Result<Found> {
        if result.verdict == Verdict::Unknown {
            return Ok(Found::Unknown);
        }
        let queries = match self.specifications.files.get(&sha256.0) {
            None => return Ok(open("the VNN-LIB file, by its SHA-256, was not given")),
            Some(Err(why)) => {
                return Ok(open(format!("the VNN-LIB file is not read here: {why}")));
            }
            Some(Ok(queries)) => queries,
        };
        let bounded = match self.of_outputs.get_or_init(|| self.bounded(false)) {
            Err(why) => return Ok(open(format!("its bounds are not computed here: {why}"))),
            Ok(bounded) => bounded,
        };
        let sizes = [bounded.network.inputs(), bounded.network.outputs()];
        if queries.iter().any(|query| query.sizes() != sizes) {
            let derived = format!("of {} inputs and {} outputs", sizes[0], sizes[1]);
            return Ok(differs(
                "specification",
                "a file of other networks",
                derived,
            ));
        }
        let queries = self.in_pixels(bounded, queries);
        if result.verdict == Verdict::Verified {
            return Ok(verified(&bounded.network, &queries, result, false));
        }
        let Some(point) = &result.counterexample else {
            return Ok(differs("verdict", "falsified", "nothing that falsifies it"));
        };
        let mut inside = queries.iter();
        let inside = inside.find(|query| query.region.holds(point) == Membership::Inside);
        let Some(query) = inside else {
            let derived = "a point that the file allows";
            return Ok(differs("counterexample", "a point outside", derived));
        };
        let answers = engine.classify(point)?;
        let Answers::Logits { values, .. } = &answers else {
            return Ok(open("the engine gives no outputs"));
        };
        let outputs: Vec<f64> = values.iter().map(|&value| value.into()).collect();
        let excess = query.property.excess(&outputs);
        if excess <= 0.0 {
            return Ok(Found::Refuted);
        }
        if excess <= f64::from(self.tolerance(values)) && !self.exact {
            return Ok(open("the counterexample is a near tie by this engine"));
        }
        let stored = "a point with outputs that the file describes";
        Ok(differs(
            "counterexample",
            stored,
            format!("outputs beyond by {excess}"),
        ))
    }

    /// Queries on pixels, in the order of channels, rows and columns.
    fn in_pixels(&self, bounded: &Bounded, queries: &[Query]) -> Vec<Query> {
        if !bounded.channels_last {
            return queries.to_vec();
        }
        let [channels, height, width] = self.ledger.header().shape.map(|size| size as usize);
        let of_channel = |c| (0..height * width).map(move |pixel| pixel * channels + c);
        let order: Vec<usize> = (0..channels).flat_map(of_channel).collect();
        queries
            .iter()
            .map(|query| query.reordered(&order))
            .collect()
    }
}
