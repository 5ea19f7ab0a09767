//! Whatever is changed in a ledger, `recert check` finds.
//!
//! Every change is tried with the seal left as it is, and by somebody who makes
//! the seal again after it.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::{Place, asset, certify_demo, ok, with, words};
use crate::ledgers::{INPUTS, clean, everything, pruned, seal_of};
use recert::check::check;
use recert::ledger::raw::Table;
use rusqlite::Connection;
use rusqlite::types::Value;
use serde_json::Value as Json;

/// A ledger to be changed, again and again.
struct Victim {
    bytes: Vec<u8>,
    path: std::path::PathBuf,
}

impl Victim {
    fn new(place: &Place, name: &str) -> Self {
        let path = place.path("victim.recert");
        let bytes = std::fs::read(place.path(name)).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        Self { bytes, path }
    }

    fn connection(&self) -> Connection {
        let connection = Connection::open(&self.path).unwrap();
        let fast = "PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY;
                    PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON";
        connection.execute_batch(fast).unwrap();
        connection
    }

    /// Whether a change is found, with the seal left and with the seal made
    /// again. The ledger is as before afterwards.
    fn found(&self, change: impl FnOnce(&Connection)) -> [bool; 2] {
        let connection = self.connection();
        change(&connection);
        let rejected = || check(&self.path).map_or(true, |report| !report.is_clean());
        let sealed = rejected();
        let seal = seal_of(&connection);
        connection
            .execute("UPDATE seal SET sha256 = ?1", [seal])
            .unwrap();
        drop(connection);
        let resealed = rejected();
        std::fs::write(&self.path, &self.bytes).unwrap();
        [sealed, resealed]
    }
}

/// The names of the leaves of JSON, and the text with each of them changed.
fn changed_leaves(text: &str) -> Vec<(String, String)> {
    fn leaves(value: &Json, path: &str, found: &mut Vec<(String, String)>) {
        match value {
            Json::Object(map) => {
                for (name, value) in map {
                    leaves(value, &format!("{path}/{name}"), found);
                }
            }
            Json::Array(list) => {
                for (i, value) in list.iter().enumerate() {
                    leaves(value, &format!("{path}/{i}"), found);
                }
            }
            _ => found.push((path.to_owned(), String::new())),
        }
    }
    let value: Json = serde_json::from_str(text).unwrap();
    let mut found = Vec::new();
    leaves(&value, "", &mut found);
    for (path, changed) in &mut found {
        let mut value = value.clone();
        let leaf = value.pointer_mut(path).unwrap();
        *leaf = match &*leaf {
            Json::Number(number) => match number.as_u64() {
                Some(whole) => (whole + 1).into(),
                None => number.as_f64().unwrap().next_up().into(),
            },
            Json::String(text) => format!("{text}x").into(),
            _ => 1.into(),
        };
        *changed = value.to_string();
        // Places in lists are not told apart.
        let names = path.split('/').filter(|name| name.parse::<u8>().is_err());
        *path = names.collect::<Vec<_>>().join(".");
    }
    found
}

/// What a selection might have been as well: a vote moved between two losers, or
/// another edge.
fn plausible(text: &str) -> Option<String> {
    if let Ok(mut edges) = serde_json::from_str::<Vec<f32>>(text) {
        *edges.last_mut()? *= 2.0;
        return serde_json::to_string(&edges).ok();
    }
    let mut votes: BTreeMap<u16, u64> = serde_json::from_str(text).ok()?;
    let top = *votes.iter().rev().max_by_key(|(_, votes)| **votes)?.0;
    let loser = *votes.keys().find(|&&class| class != top)?;
    *votes.get_mut(&loser)? += 1;
    let other = *votes
        .iter()
        .find(|&(&class, &votes)| class != top && class != loser && votes > 1)?
        .0;
    *votes.get_mut(&other)? -= 1;
    serde_json::to_string(&votes).ok()
}

/// Values that a stored one is changed to, with what is changed.
fn changes(column: &str, stored: &Value) -> Vec<(String, Value)> {
    let all = |values: Vec<Value>| values.into_iter().map(|v| (String::new(), v)).collect();
    match stored {
        Value::Null => all(vec![Value::Integer(1), Value::Text("x".into())]),
        Value::Integer(value) => all(vec![
            Value::Integer(value + 1),
            Value::Integer(value ^ 1),
            Value::Integer(-value - 1),
            Value::Text("many".into()),
        ]),
        Value::Real(value) => all(vec![
            Value::Real(value.next_up()),
            Value::Real(value.next_down()),
            Value::Real(-value - 0.25),
            Value::Null,
        ]),
        Value::Text(text) if text.starts_with(['{', '[']) && column != "data" => {
            let leaves = changed_leaves(text).into_iter();
            let spaced = (String::new(), format!(" {text}"));
            let plausible = plausible(text).map(|text| (String::new(), text));
            leaves
                .chain([spaced])
                .chain(plausible)
                .map(|(name, text)| (name, Value::Text(text)))
                .collect()
        }
        Value::Text(text) => {
            // Another character of the same kind, so that a hash stays one.
            let mut other: Vec<char> = text.chars().collect();
            match other.last_mut() {
                Some(last) => *last = if *last == '1' { '2' } else { '1' },
                None => other.push('1'),
            }
            all(vec![Value::Text(other.into_iter().collect())])
        }
        Value::Blob(bytes) => {
            let flipped = |at: usize| {
                let mut bytes = bytes.clone();
                bytes[at] ^= 4;
                Value::Blob(bytes)
            };
            all(vec![
                flipped(0),
                flipped(bytes.len() / 2),
                flipped(bytes.len() - 1),
            ])
        }
    }
}

/// What nothing can be derived from, or which cannot be told from what it might
/// have been: here the seal is all there is (`docs/checking.md`). Any change of
/// anything else is found by derivation.
const UNDERIVED: [&str; 40] = [
    // Where a run is from, and on what: `--rerun` looks at these.
    "run.data",
    "run.tool",
    "network.file",
    "network.bytes",
    "network.batch_invariant",
    "network.classes",
    "network.note",
    "input.label",
    "input.name",
    // Single selection samples are not kept: their votes are known by their sum
    // and their winner, the margins not at all.
    "selection.counts",
    "selection.edges",
    // Times, where a certificate rests on a part of what was timed together.
    "selection.micros",
    "answers.micros",
    "chosen.micros",
    "certificate.micros",
    // When something happened, and which fresh samples others had answered by then.
    "journal.seconds",
    "journal.body.fresh",
    // What comparing an engine with the reference interpreter found: the engine can tell.
    "journal.body.details",
    "journal.body.images",
    "journal.body.largest_difference",
    "journal.body.reference",
    "journal.body.tolerance",
    // What was to come, and how long it took.
    "journal.body.methods",
    "journal.body.milliseconds",
    "journal.body.planned",
    "journal.network",
    // A pilot may have been any that h has answered, where the samples that count
    // are those of a larger one too.
    "certificate.counts.pilot",
    // Joint bounds: any witness proves one, any prior or tilt fixed beforehand is
    // as good as another, and a bound may be rounded down further.
    "certificate.counts.prior",
    // So has a plan from which the same second round follows.
    "certificate.counts.first.expected",
    "certificate.counts.first.multiples",
    "certificate.counts.first.planned",
    "certificate.counts.first.step",
    "certificate.counts.first.tilts",
    "certificate.counts.lattice.multiples",
    "certificate.counts.lattice.span",
    "certificate.counts.lattice.step",
    "certificate.counts.tilt",
    "certificate.counts.tilts",
    "certificate.counts.witness",
    "certificate.p_lower",
];

/// The rows of a table.
fn rows_of(connection: &Connection, table: Table) -> Vec<BTreeMap<String, Value>> {
    let sql = format!(
        "SELECT * FROM {} ORDER BY {}",
        table.name(),
        table.key().join(", ")
    );
    let mut query = connection.prepare(&sql).unwrap();
    let names: Vec<String> = query.column_names().map(str::to_owned).collect();
    let rows = query.query_map([], |row| {
        let cells = names
            .iter()
            .map(|name| Ok((name.clone(), row.get(name.as_str())?)));
        cells.collect::<rusqlite::Result<BTreeMap<_, _>>>()
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// Rows of a table to change: a few of many.
fn some_rows(connection: &Connection, table: Table) -> Vec<BTreeMap<String, Value>> {
    let rows = rows_of(connection, table);
    // All claims are of their own kind; of each there is a certificate.
    let wanted = match table {
        Table::Claim | Table::Journal => rows.len(),
        Table::Certificate => 16,
        _ => 2,
    };
    let step = (rows.len() / wanted.max(1)).max(1);
    rows.into_iter().step_by(step).collect()
}

fn filter(table: Table) -> String {
    let conditions = table.key().iter().enumerate();
    let conditions = conditions.map(|(i, column)| format!("{column} = ?{}", i + 1));
    conditions.collect::<Vec<_>>().join(" AND ")
}

fn key_of(table: Table, row: &BTreeMap<String, Value>) -> Vec<Value> {
    table
        .key()
        .iter()
        .map(|column| row[*column].clone())
        .collect()
}

/// Makes every change of some rows: all of them are found where the seal is left.
/// What is not where it is made again.
fn underived(victim: &Victim, rows: &[(Table, BTreeMap<String, Value>)]) -> BTreeSet<String> {
    let mut underived = BTreeSet::new();
    let mut tried = 0;
    for &(table, ref row) in rows {
        for (column, stored) in row {
            for (inside, value) in changes(column, stored) {
                let sql = format!(
                    "UPDATE OR REPLACE {} SET {column} = ?{} WHERE {}",
                    table.name(),
                    table.key().len() + 1,
                    filter(table),
                );
                let mut parameters = key_of(table, row);
                parameters.push(value.clone());
                let mut changed = 1;
                let found = victim.found(|connection| {
                    // A column may refuse a value: then nothing was changed.
                    let update = connection.execute(&sql, rusqlite::params_from_iter(parameters));
                    changed = update.unwrap_or(0);
                });
                if changed == 0 {
                    continue;
                }
                tried += 1;
                let what = format!("{}.{column}{inside}", table.name());
                assert!(found[0], "{what}: {stored:?} as {value:?} in {row:?}");
                if !found[1] {
                    underived.insert(what);
                }
            }
        }
    }
    eprintln!("{tried} changes");
    underived
}

/// What may pass, and holds all that did.
#[track_caller]
fn listed(underived: &BTreeSet<String>) -> BTreeSet<String> {
    let listed: BTreeSet<String> = UNDERIVED.iter().map(|&name| name.to_owned()).collect();
    let unlisted: Vec<_> = underived.difference(&listed).collect();
    assert!(
        unlisted.is_empty(),
        "passed when sealed again: {unlisted:?}"
    );
    listed
}

#[test]
fn every_changed_field_is_found() {
    let place = Place::new();
    everything(&place, "all.recert", &[]);
    clean(&place.path("all.recert"));
    let victim = Victim::new(&place, "all.recert");
    let connection = victim.connection();
    let rows: Vec<_> = Table::ALL
        .iter()
        .flat_map(|&table| {
            some_rows(&connection, table)
                .into_iter()
                .map(move |row| (table, row))
        })
        .collect();
    drop(connection);
    let underived = underived(&victim, &rows);
    let listed = listed(&underived);
    // The list is no longer than it has to be: times and the shapes of joint
    // bounds differ from run to run.
    let often = |name: &&String| !name.contains("micros") && !name.starts_with("certificate.");
    let idle: Vec<_> = listed.difference(&underived).filter(often).collect();
    assert!(idle.is_empty(), "listed, and found by derivation: {idle:?}");
}

/// One certificate of each bound of `auto`, on samples enough for those over cells.
#[test]
fn every_bound_of_auto_is_derived() {
    let place = Place::new();
    let ledger = place.text("auto.recert");
    let demo = certify_demo(1200, 50, 12);
    ok(&with(&demo, &["--every", "7", "--ledger", &ledger]));
    let network = pruned(&place);
    let recertify = with(&[], &["recertify", &ledger, "--model", &network]);
    let all: [&[&str]; 3] = [
        &["--budget", "30%"],
        &["--budget", "10%", "--one-sided"],
        &["--until-radius", "0.3"],
    ];
    for flags in all {
        ok(&with(&recertify, flags));
    }
    // Pairs are worth a two-sided bound where the networks hardly differ.
    let near = place.text("near.onnx");
    let words = [
        "approximate",
        &asset("shapes.onnx"),
        "--prune",
        "5%",
        "--out",
        &near,
    ];
    ok(&with(&[], &words));
    let words = ["recertify", &ledger, "--model", &near, "--budget", "10%"];
    ok(&with(&[], &words));
    clean(&place.path("auto.recert"));
    let victim = Victim::new(&place, "auto.recert");
    let connection = victim.connection();
    let rows = rows_of(&connection, Table::Certificate);
    drop(connection);
    let mut bounds: BTreeMap<String, (Table, BTreeMap<String, Value>)> = BTreeMap::new();
    for row in rows {
        if let (Value::Text(bound), Value::Text(counts)) = (&row["bound"], &row["counts"])
            && counts.contains("pilot")
        {
            bounds.insert(bound.clone(), (Table::Certificate, row));
        }
    }
    for bound in [
        "both",
        "fresh",
        "fresh-two-sided",
        "mixture",
        "none",
        "tail",
    ] {
        assert!(bounds.contains_key(bound), "{bound} is not in {bounds:?}");
    }
    let rows: Vec<_> = bounds.into_values().collect();
    let mut underived = underived(&victim, &rows);
    // A certificate for one budget may as well be one for another.
    underived.remove("certificate.claim");
    listed(&underived);
}

/// What bounds need the network for: where the journal does not record it, as in the first ledgers
/// and in one whose journal was changed alike, the checker finds of these only what does not fit the
/// verdict (`docs/checking.md`). Smoothing decides the rest of this list otherwise: it records
/// the shape of inputs and the images of its certificates.
const UNDERIVED_OF_BOUNDS: [&str; 21] = [
    "result.answer",
    "result.branches",
    "result.class",
    "result.counterexample",
    "result.decided_by",
    "result.idx",
    "result.margin",
    "result.micros",
    "result.proof",
    "result.verification",
    "verification.effort.attack_seed",
    "verification.effort.attack_starts",
    "verification.effort.attack_steps",
    "verification.effort.complete",
    "verification.effort.slope_steps",
    "verification.effort.timeout",
    "verification.id",
    "verification.method",
    // Rounded up by a step more than it has to be.
    "verification.specification.radius",
    "run.channels",
    "input.sha256",
];

#[test]
fn what_is_changed_of_verifications_is_found_by_the_journal_or_where_it_fits_no_verdict() {
    let place = Place::new();
    let ledger = place.text("bounds.recert");
    let data = [asset("shapes.onnx"), asset("shapes-test.npz")];
    for flags in ["--eps 0 --method ibp", "--eps 8/255 --method attack"] {
        let [model, images] = &data;
        let line = format!("verify --model {model} --data {images} --limit 6 --norm linf {flags}");
        ok(&with(&words(&line), &["--ledger", &ledger]));
    }
    clean(&place.path("bounds.recert"));
    let victim = Victim::new(&place, "bounds.recert");
    let connection = victim.connection();
    let rows = |table| {
        rows_of(&connection, table)
            .into_iter()
            .map(move |row| (table, row))
    };
    let verifications: Vec<_> = rows(Table::Verification).collect();
    let results: Vec<_> = rows(Table::Result).collect();
    let others: Vec<_> = rows(Table::Run).chain(rows(Table::Input).take(2)).collect();
    drop(connection);
    let has = |column: &str| results.iter().any(|(_, row)| row[column] != Value::Null);
    assert!(has("margin") && has("counterexample"));
    let all = [&verifications[..], &results[..], &others[..]].concat();
    let unlisted = |victim: &Victim, listed: &[&str]| {
        let mut found = underived(victim, &all);
        found
            .retain(|name| !UNDERIVED.contains(&name.as_str()) && !listed.contains(&name.as_str()));
        found
    };
    // The shape of inputs is recorded with the header of a smoothing run.
    let found = unlisted(&victim, &["run.channels"]);
    assert!(found.is_empty(), "passed when sealed again: {found:?}");

    let connection = victim.connection();
    let entries = "DELETE FROM journal WHERE kind IN ('verifying', 'results')";
    assert_eq!(connection.execute(entries, []).unwrap(), 4);
    let seal = seal_of(&connection);
    connection
        .execute("UPDATE seal SET sha256 = ?1", [seal])
        .unwrap();
    drop(connection);
    let without = Victim::new(&place, "victim.recert");
    clean(&place.path("victim.recert"));
    let found = unlisted(&without, &UNDERIVED_OF_BOUNDS);
    assert!(found.is_empty(), "passed when sealed again: {found:?}");
    let victim = without;

    // A verdict without the class that it is about.
    for verdict in ["verified", "falsified"] {
        let sql = format!("UPDATE result SET class = NULL WHERE verdict = '{verdict}'");
        let found = victim.found(|connection| {
            assert!(connection.execute(&sql, []).unwrap() > 0, "{verdict}");
        });
        assert_eq!(found, [true; 2], "{verdict}");
    }
}

#[test]
fn rows_that_go_or_are_copied_are_found() {
    let place = Place::new();
    everything(&place, "all.recert", &[]);
    let victim = Victim::new(&place, "all.recert");
    let connection = victim.connection();
    for table in Table::ALL {
        for row in some_rows(&connection, table) {
            let key = key_of(table, &row);
            let sql = format!("DELETE FROM {} WHERE {}", table.name(), filter(table));
            let [sealed, resealed] = victim.found(|connection| {
                let params = rusqlite::params_from_iter(&key);
                assert_eq!(connection.execute(&sql, params).unwrap(), 1);
            });
            assert!(sealed, "{} {key:?} gone", table.name());
            assert!(resealed, "{} {key:?} gone", table.name());

            let Some(Value::Integer(idx)) = row.get("idx").filter(|_| table != Table::Input) else {
                continue;
            };
            let other = (idx + 1) % i64::from(INPUTS);
            let columns: Vec<&str> = row.keys().map(String::as_str).collect();
            let places: Vec<String> = (1..=columns.len()).map(|i| format!("?{i}")).collect();
            let sql = format!(
                "INSERT OR REPLACE INTO {} ({}) VALUES ({})",
                table.name(),
                columns.join(", "),
                places.join(", ")
            );
            let mut copied = row.clone();
            copied.insert("idx".into(), Value::Integer(other));
            let [sealed, resealed] = victim.found(|connection| {
                let params = rusqlite::params_from_iter(copied.values());
                assert_eq!(connection.execute(&sql, params).unwrap(), 1);
            });
            assert!(sealed, "{} {key:?} to {other}", table.name());
            assert!(resealed, "{} {key:?} to {other}", table.name());
        }
    }
    // Nor may there be anything else in the file.
    for sql in [
        "CREATE TABLE mine (x)",
        "CREATE VIEW mine AS SELECT * FROM certificate",
        "CREATE TRIGGER mine AFTER INSERT ON input BEGIN DELETE FROM claim; END",
        "DROP TABLE chosen; CREATE VIEW chosen AS SELECT * FROM answers",
        "PRAGMA user_version = 1",
    ] {
        let found = victim.found(|connection| connection.execute_batch(sql).unwrap());
        assert_eq!(found, [true; 2], "{sql}");
    }
}
