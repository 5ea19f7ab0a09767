//! Uniting the rows of ledgers: what one of them has comes over, and what both have has to be the
//! same but for the time that it took. Answers are `answers.rs`.

use std::collections::HashMap;
use std::path::PathBuf;

use rusqlite::types::Value;
use rusqlite::{Params, params_from_iter};

use super::super::{Ledger, raw};
use super::answers::Times;
use crate::records::{NetworkId, hex};
use crate::verification::VerificationId;
use crate::{Error, ErrorKind};

/// A table whose rows are known by their key, which is the first columns. The last column is a time.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: &'static [&'static str],
    pub(super) key: usize,
}

const SELECTION: Table = Table {
    name: "selection",
    columns: &[
        "network", "idx", "copies", "counts", "invalid", "class", "edges", "micros",
    ],
    key: 2,
};

pub(super) const ANSWERS: Table = Table {
    name: "answers",
    columns: &[
        "network", "idx", "stream", "first", "copies", "classes", "margins", "micros",
    ],
    key: 4,
};

pub(super) const CHOSEN: Table = Table {
    name: "chosen",
    columns: &[
        "network", "idx", "stream", "first", "last", "copies", "numbers", "classes", "margins",
        "micros",
    ],
    key: 4,
};

const CERTIFICATE: Table = Table {
    name: "certificate",
    columns: &[
        "claim",
        "idx",
        "class",
        "radius",
        "p_lower",
        "bound",
        "counts",
        "evaluations",
        "micros",
    ],
    key: 2,
};

const RESULT: Table = Table {
    name: "result",
    columns: &[
        "verification",
        "idx",
        "verdict",
        "class",
        "answer",
        "margin",
        "decided_by",
        "branches",
        "proof",
        "counterexample",
        "micros",
    ],
    key: 2,
};

/// The two ledgers.
pub(super) struct Two<'a> {
    pub(super) merged: &'a Ledger,
    pub(super) part: &'a Ledger,
    /// The ledgers that were united before the part.
    earlier: &'a [PathBuf],
}

/// What a row of the part refers to: the number of it in the united ledger, and what such a row is, in
/// words; of a claim the network's number in the part as well.
pub(super) struct Referred {
    number: i64,
    words: String,
    network: i64,
}

/// Adds the rows of `part` to `merged`, in the transaction that is open. Returns how many there
/// were to add.
pub(super) fn unite(
    merged: &Ledger,
    part: &Ledger,
    networks: &HashMap<i64, NetworkId>,
    earlier: &[PathBuf],
) -> Result<u64, Error> {
    let two = Two {
        merged,
        part,
        earlier,
    };
    let files = part.networks()?.into_iter();
    let files: HashMap<i64, String> = files.map(|(id, network)| (id.0, network.file)).collect();
    let selections = files.iter().filter_map(|(id, file)| {
        let selection = Referred {
            number: networks.get(id)?.0,
            words: format!("the selection samples of {file}"),
            network: *id,
        };
        Some((*id, selection))
    });
    let mut added = two.inputs()?;
    added += two.table(&SELECTION, &selections.collect(), None)?;
    let (answers, times) = two.answers(networks, &files)?;
    added += answers;
    let claims = two.claims(networks, &files)?;
    added += two.table(&CERTIFICATE, &claims, Some(&times))?;
    let verifications = two.verifications(networks, &files)?;
    added += two.table(&RESULT, &verifications, None)?;
    Ok(added)
}

impl Two<'_> {
    fn inputs(&self) -> Result<u64, Error> {
        let mut added = 0;
        for input in self.part.inputs()? {
            let Some(known) = self.merged.input(input.idx)? else {
                self.merged.add_input(&input)?;
                added += 1;
                continue;
            };
            if known.sha256 != input.sha256 {
                let message = format!(
                    "belongs to other data: input {} has SHA-256 {} in {}, {} here",
                    input.idx,
                    hex(&known.sha256),
                    self.others(),
                    hex(&input.sha256),
                );
                return Err(Error::new(ErrorKind::OtherData, self.part.path(), message));
            }
            if known.label != input.label {
                let label = |label: Option<u32>| {
                    label.map_or_else(|| "no label".to_owned(), |label| format!("label {label}"))
                };
                let message = format!(
                    "input {} has {} in {}, {} here: read the data with the same labels for every shard",
                    input.idx,
                    label(known.label),
                    self.others(),
                    label(input.label),
                );
                return Err(Error::new(ErrorKind::OtherData, self.part.path(), message));
            }
        }
        Ok(added)
    }

    /// Adds the rows of a table, whose first column is a number of `referred`. The time of what comes
    /// over is that of its answers as the united ledger has it.
    fn table(
        &self,
        table: &Table,
        referred: &HashMap<i64, Referred>,
        times: Option<&Times>,
    ) -> Result<u64, Error> {
        let all = format!("SELECT {} FROM {}", table.columns.join(", "), table.name);
        let mut added = 0;
        self.each(&all, [], |mut row| {
            let Value::Integer(number) = row[0] else {
                return Err(self.damaged(table));
            };
            let referred = referred.get(&number).ok_or_else(|| self.damaged(table))?;
            row[0] = Value::Integer(referred.number);
            let Some(known) = self.known(table, &row)? else {
                added += 1;
                if let (Some(times), Value::Integer(idx)) = (times, row[1].clone()) {
                    let micros = row.last_mut().expect("a row has columns");
                    times.restate(referred.network, idx, micros);
                }
                return self.insert(table, &row);
            };
            let compared = table.key..table.columns.len() - 1;
            let Some(i) = compared.clone().find(|&i| known[i] != row[i]) else {
                return Ok(());
            };
            let show = |value: &Value| raw::value(value.into()).to_string();
            let of_input = match &row[1] {
                Value::Null => String::new(),
                idx => format!(" of input {}", show(idx)),
            };
            let message = format!(
                "contradicts {}: {}{of_input}: the {} is {} there, {} here; {REMEDY}",
                self.others(),
                referred.words,
                table.columns[i],
                show(&known[i]),
                show(&row[i]),
            );
            Err(Error::new(ErrorKind::Conflict, self.part.path(), message))
        })?;
        Ok(added)
    }

    /// Registers the claims.
    fn claims(
        &self,
        networks: &HashMap<i64, NetworkId>,
        files: &HashMap<i64, String>,
    ) -> Result<HashMap<i64, Referred>, Error> {
        let mut claims = HashMap::new();
        let columns = "network, method, copies, alpha, parameters, statement";
        let all = format!("SELECT id, {columns} FROM claim ORDER BY id");
        let insert =
            format!("INSERT OR IGNORE INTO claim ({columns}) VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
        let find = "SELECT id FROM claim WHERE network = ?1 AND method = ?2 AND copies = ?3
                    AND alpha = ?4 AND parameters = ?5 AND statement = ?6";
        self.each(&all, [], |row| {
            let (Value::Integer(id), Value::Integer(network)) = (&row[0], &row[1]) else {
                return Err(self.damaged(&CERTIFICATE));
            };
            let number = networks.get(network);
            let number = number.ok_or_else(|| self.damaged(&CERTIFICATE))?;
            let mut values = row[1..].to_vec();
            values[0] = Value::Integer(number.0);
            self.merged.execute(&insert, params_from_iter(&values))?;
            let read = |row: &rusqlite::Row<'_>| row.get(0);
            let found = self.merged.rows(find, params_from_iter(&values), read)?;
            let method = raw::value((&row[2]).into()).to_string();
            let file = files.get(network).map_or("", String::as_str);
            let claim = Referred {
                number: found[0],
                words: format!("the certificate by {} of {file}", method.trim_matches('"')),
                network: *network,
            };
            claims.insert(*id, claim);
            Ok(())
        })?;
        Ok(claims)
    }

    /// Registers the verifications.
    fn verifications(
        &self,
        networks: &HashMap<i64, NetworkId>,
        files: &HashMap<i64, String>,
    ) -> Result<HashMap<i64, Referred>, Error> {
        let mut verifications = HashMap::new();
        for (VerificationId(id), network, verification) in self.part.verifications()? {
            let number = networks.get(&network.0);
            let number = number.ok_or_else(|| self.damaged(&RESULT))?;
            let VerificationId(own) = self.merged.add_verification(*number, &verification)?;
            let file = files.get(&network.0).map_or("", String::as_str);
            let (what, method) = (&verification.specification, &verification.method);
            let verification = Referred {
                number: own,
                words: format!("the result of {what} by {method} of {file}"),
                network: network.0,
            };
            verifications.insert(id, verification);
        }
        Ok(verifications)
    }

    /// The row of the united ledger with the key of this one.
    pub(super) fn known(&self, table: &Table, row: &[Value]) -> Result<Option<Vec<Value>>, Error> {
        let key = table.columns[..table.key].iter().enumerate();
        let key: Vec<_> = key
            .map(|(i, column)| format!("{column} IS ?{}", i + 1))
            .collect();
        let sql = format!(
            "SELECT {} FROM {} WHERE {}",
            table.columns.join(", "),
            table.name,
            key.join(" AND ")
        );
        let mut found = self
            .merged
            .rows(&sql, params_from_iter(&row[..table.key]), |row| {
                (0..table.columns.len()).map(|i| row.get(i)).collect()
            })?;
        Ok(found.pop())
    }

    pub(super) fn insert(&self, table: &Table, row: &[Value]) -> Result<(), Error> {
        let places: Vec<_> = (1..=row.len()).map(|i| format!("?{i}")).collect();
        let sql = format!(
            "INSERT INTO {} ({}) VALUES ({})",
            table.name,
            table.columns.join(", "),
            places.join(", ")
        );
        self.merged.execute(&sql, params_from_iter(row))
    }

    /// Reads rows of the part one by one, as proofs may be large.
    pub(super) fn each(
        &self,
        sql: &str,
        parameters: impl Params,
        mut take: impl FnMut(Vec<Value>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let sql_error = |source| Error::sql(self.part.path(), source);
        let mut query = self
            .part
            .connection
            .prepare_cached(sql)
            .map_err(sql_error)?;
        let columns = query.column_count();
        let mut rows = query.query(parameters).map_err(sql_error)?;
        while let Some(row) = rows.next().map_err(sql_error)? {
            let values = (0..columns).map(|i| row.get(i));
            take(values.collect::<rusqlite::Result<_>>().map_err(sql_error)?)?;
        }
        Ok(())
    }

    /// The ledgers before the part, in words.
    pub(super) fn others(&self) -> String {
        match self.earlier {
            [one] => one.display().to_string(),
            several => format!("one of the {} ledgers before it", several.len()),
        }
    }

    pub(super) fn damaged(&self, table: &Table) -> Error {
        let message = format!(
            "is damaged: a row of {} refers to nothing; `recert check` lists what is wrong",
            table.name
        );
        Error::new(ErrorKind::Corrupt, self.part.path(), message)
    }
}

/// What to do about ledgers that contradict one another.
pub(super) const REMEDY: &str = "one of the two was not made by the network on the data and noise that both state, or \
                      its engine does not answer alike everywhere: a check that runs the networks again shows which";
