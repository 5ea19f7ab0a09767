//! Ledgers to check, and their seal made by its description.
use std::path::Path;

use recert::check::{Report, check};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use sha2::{Digest, Sha256};

use crate::common::{Place, asset, certify_demo, ok, with};

pub(crate) const N: u32 = 300;
pub(crate) const N0: u32 = 30;
pub(crate) const INPUTS: u32 = 3;

/// Makes the pruned network of the tests.
pub(crate) fn pruned(place: &Place) -> String {
    let network = place.text("p20.onnx");
    if !place.path("p20.onnx").exists() {
        let words = [
            "approximate",
            &asset("shapes.onnx"),
            "--prune",
            "20%",
            "--out",
            &network,
        ];
        ok(&with(&[], &words));
    }
    network
}

/// A ledger with certificates by every method that shares a ledger with
/// `certify`.
pub(crate) fn everything(place: &Place, name: &str, flags: &[&str]) -> String {
    let ledger = place.text(name);
    let certify = with(&certify_demo(N, N0, INPUTS), &["--ledger", &ledger]);
    ok(&with(&certify, flags));
    ok(&with(&with(&certify, flags), &["--one-sided"]));
    let network = pruned(place);
    let recertify = with(&[], &["recertify", &ledger, "--model", &network]);
    for flags in [
        &[
            "--method",
            "irs,zeta,loss,paired,direct",
            "--n-p",
            "20%,40%",
        ][..],
        &["--method", "direct", "--one-sided", "--n-p", "40%"],
        &["--budget", "30%"],
        &["--budget", "40%", "--one-sided", "--among", "3"],
        &["--until-radius", "0.2"],
        &["--target-acr", "0.2"],
    ] {
        ok(&with(&recertify, flags));
    }
    ledger
}

#[track_caller]
pub(crate) fn clean(path: &Path) -> Report {
    let report = check(path).expect("the ledger opens");
    assert!(report.is_clean(), "{:#?}", report.violations);
    report
}

/// The seal as `docs/ledger.md` describes it.
pub(crate) fn seal_of(connection: &Connection) -> String {
    let mut hasher = Sha256::new();
    hasher.update("recert ledger seal 1");
    for (name, key) in [
        ("run", "id"),
        ("network", "id"),
        ("input", "idx"),
        ("selection", "network, idx"),
        ("answers", "network, idx, stream, first"),
        ("chosen", "network, idx, stream, first"),
        ("claim", "id"),
        ("certificate", "claim, idx"),
        ("journal", "id"),
        ("verification", "id"),
        ("result", "verification, idx"),
    ] {
        hasher.update(name);
        let sql = format!("SELECT * FROM {name} ORDER BY {key}");
        let mut query = connection.prepare(&sql).unwrap();
        let columns = query.column_count();
        let mut rows = query.query([]).unwrap();
        let mut count = 0_u64;
        while let Some(row) = rows.next().unwrap() {
            count += 1;
            for column in 0..columns {
                let (tag, word, bytes) = match row.get_ref(column).unwrap() {
                    ValueRef::Null => (0, None, &[][..]),
                    ValueRef::Integer(value) => (1, Some(value as u64), &[][..]),
                    ValueRef::Real(value) => (2, Some(value.to_bits()), &[][..]),
                    ValueRef::Text(text) => (3, Some(text.len() as u64), text),
                    ValueRef::Blob(blob) => (4, Some(blob.len() as u64), blob),
                };
                hasher.update([tag]);
                if let Some(word) = word {
                    hasher.update(word.to_le_bytes());
                }
                hasher.update(bytes);
            }
        }
        hasher.update(count.to_le_bytes());
    }
    recert::ledger::hex(&hasher.finalize())
}
