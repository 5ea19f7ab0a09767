//! ARCHITECTURE.md's table of crates is what the manifests say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

type Graph = BTreeMap<String, BTreeSet<String>>;

/// Crates and their dependencies among themselves, from the table's first and
/// third columns.
fn drawn(text: &str) -> Graph {
    let names = |cell: &str| -> BTreeSet<String> {
        cell.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    text.lines()
        .filter(|line| line.starts_with("| `recert"))
        .map(|line| {
            let cells: Vec<_> = line.split('|').collect();
            let name = names(cells[1]).into_iter().next();
            (name.expect("a crate's name"), names(cells[3]))
        })
        .collect()
}

/// The same from the `[dependencies]` sections of `crates/*/Cargo.toml`;
/// dev-dependencies bind nobody who uses a crate.
fn built(crates: &Path) -> Graph {
    let entries = std::fs::read_dir(crates).expect("the crates' folder");
    entries
        .map(|entry| {
            let folder = entry.expect("a folder's entry").path();
            let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).expect("a manifest");
            let own = manifest
                .split("\n[")
                .find(|section| section.starts_with("dependencies]"))
                .unwrap_or_default();
            let dependencies = own
                .lines()
                .filter_map(|line| line.split(['.', '=', ' ']).next())
                .filter(|name| name.starts_with("recert"))
                .map(str::to_owned)
                .collect();
            let name = folder.file_name().expect("a name").to_string_lossy();
            (name.into_owned(), dependencies)
        })
        .collect()
}

#[test]
fn the_table_of_crates_is_true() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let (drawn, built) = (drawn(&text), built(&root.join("crates")));
    assert!(built.len() >= 10, "{built:?}");
    assert_eq!(drawn, built);
}

#[test]
fn dependencies_point_one_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut graph = built(&root.join("crates"));
    // Taking away, again and again, the crates that depend on none left must
    // end with nothing: there is no cycle.
    while !graph.is_empty() {
        let free: BTreeSet<String> = graph
            .iter()
            .filter(|(_, on)| on.is_empty())
            .map(|(name, _)| name.clone())
            .collect();
        assert!(!free.is_empty(), "a cycle among {:?}", graph.keys());
        graph.retain(|name, _| !free.contains(name));
        for on in graph.values_mut() {
            on.retain(|name| !free.contains(name));
        }
    }
}

#[test]
fn the_checker_builds_without_any_prover() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let graph = built(&root.join("crates"));
    let mut needed = BTreeSet::from(["recert-check".to_owned()]);
    loop {
        let more: BTreeSet<String> = needed
            .iter()
            .flat_map(|name| graph[name].iter().cloned())
            .chain(needed.iter().cloned())
            .collect();
        if more == needed {
            break;
        }
        needed = more;
    }
    let allowed = ["recert-check", "recert-ledger", "recert-num"];
    assert_eq!(needed, allowed.map(str::to_owned).into());
    // Nor does anything from elsewhere make certificates for it.
    let manifest = std::fs::read_to_string(root.join("crates/recert-check/Cargo.toml"));
    let manifest = manifest.expect("the checker's manifest");
    let own = manifest
        .split("\n[")
        .find_map(|section| section.strip_prefix("dependencies]"))
        .expect("it has dependencies");
    let others: BTreeSet<&str> = own
        .lines()
        .filter_map(|line| line.split(['.', '=', ' ']).next())
        .filter(|name| !name.is_empty() && !name.starts_with(['#', 'r']))
        .collect();
    assert_eq!(others, BTreeSet::from(["serde", "serde_json"]));
}

#[test]
fn only_the_ledger_crate_contains_sql() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for entry in std::fs::read_dir(root.join("crates")).expect("the crates' folder") {
        let folder = entry.expect("a folder's entry").path();
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).expect("a manifest");
        let name = folder
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let used = manifest
            .split("[dev-dependencies]")
            .next()
            .unwrap_or_default();
        assert!(
            name == "recert-ledger" || !used.contains("rusqlite"),
            "{name} depends on rusqlite"
        );
    }
}
