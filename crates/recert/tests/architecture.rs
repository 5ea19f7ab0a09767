//! ARCHITECTURE.md's table of crates is what `cargo metadata` reports, and what the table
//! claims that crates do not know, they do not depend on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

type Names = BTreeSet<String>;
type Graph = BTreeMap<String, Names>;

/// Phrases of the table's last column that no dependency would give away.
const BEYOND_TESTS: [&str; 3] = [
    "batches",
    "what answers are for",
    "or what may be asked for",
];

/// The phrases of the table's last column, and the crates that whoever does not know the
/// thing does not depend on.
fn crates_about(phrase: &str) -> Option<&'static [&'static str]> {
    Some(match phrase {
        "networks" | "how anything is computed" => &[
            "recert-graph",
            "recert-net",
            "recert-kernels",
            "recert-engine",
        ],
        "ONNX" => &["recert-graph", "recert-net", "recert-kernels", "prost"],
        "ONNX's attributes and opsets" => &["prost"],
        "kernels" => &["recert-kernels"],
        "rewrites" | "rewrites into other networks" => &["recert-net"],
        "engines" | "other engines" => &["recert-engine", "ort", "openvino", "rten"],
        "noise" => &["recert-noise"],
        "statistics" => &["recert-num", "recert-smooth"],
        "data" | "data formats" => &["recert-data"],
        "ledgers" => &["recert-ledger"],
        "SQL" => &["rusqlite"],
        "reports" => &["recert-report"],
        "whatever makes certificates" => &["recert-smooth", "recert-bounds"],
        "recert-smooth" => &["recert-smooth"],
        "recert-bounds" => &["recert-bounds"],
        "the command line" => &["clap", "recert-cli"],
        "the terminal" => &["clap", "ctrlc", "indicatif", "recert-cli"],
        _ => return None,
    })
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every crate that is for users, with its dependencies of all kinds and for all targets, by their real
/// names: not the fuzzer and the replay bench, which use crates that must not depend on each other.
/// Nothing is resolved or downloaded.
fn packages() -> Vec<Package> {
    let described = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec();
    let mut packages = described.expect("cargo describes the workspace").packages;
    packages.retain(|package| !["recert-fuzz", "recert-replay"].contains(&package.name.as_str()));
    for package in &mut packages {
        // What is named there for its features alone is not used.
        let unused = package.features.get("as-tested").cloned();
        let unused = unused.unwrap_or_default();
        let named = |name: &str| unused.contains(&format!("dep:{name}"));
        package.dependencies.retain(|one| !named(&one.name));
    }
    packages
}

/// The names of what `package` depends on by dependencies of these kinds.
fn dependencies(package: &Package, kinds: &[DependencyKind]) -> Names {
    let chosen = package.dependencies.iter();
    let chosen = chosen.filter(|dependency| kinds.contains(&dependency.kind));
    chosen.map(|dependency| dependency.name.clone()).collect()
}

/// What is built into whoever uses a crate.
const BUILT_IN: [DependencyKind; 2] = [DependencyKind::Normal, DependencyKind::Build];
const ALL: [DependencyKind; 3] = [
    DependencyKind::Normal,
    DependencyKind::Build,
    DependencyKind::Development,
];

/// The crates and their dependencies among themselves.
fn graph(packages: &[Package], kinds: &[DependencyKind]) -> Graph {
    let ours: Names = (packages.iter())
        .map(|package| package.name.to_string())
        .collect();
    let edges = packages.iter().map(|package| {
        let names = dependencies(package, kinds);
        let names = names.intersection(&ours).cloned().collect();
        (package.name.to_string(), names)
    });
    edges.collect()
}

/// A row of ARCHITECTURE.md's table of crates.
struct Row {
    name: String,
    depends_on: Names,
    does_not_know: Vec<String>,
}

fn table() -> Vec<Row> {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let names = |cell: &str| -> Names {
        let quoted = cell.split('`').skip(1).step_by(2);
        quoted.map(str::to_owned).collect()
    };
    let row = |line: &str| {
        let cells: Vec<_> = line.split('|').collect();
        Row {
            name: names(cells[1]).pop_first().expect("a crate's name"),
            depends_on: names(cells[3]),
            does_not_know: (cells[4].split([',', ':']))
                .map(|phrase| phrase.trim().replace('`', ""))
                .collect(),
        }
    };
    let lines = text.lines().filter(|line| line.starts_with("| `recert"));
    lines.map(row).collect()
}

#[test]
fn the_table_of_crates_is_true() {
    let drawn: Graph = (table().into_iter())
        .map(|row| (row.name, row.depends_on))
        .collect();
    assert_eq!(drawn, graph(&packages(), &BUILT_IN));
}

#[test]
fn crates_do_not_depend_on_what_the_table_says_they_do_not_know() {
    let packages = packages();
    for row in table() {
        let package = (packages.iter()).find(|package| *package.name == row.name);
        let built_in = dependencies(package.expect("the table's crates exist"), &BUILT_IN);
        for phrase in &row.does_not_know {
            if BEYOND_TESTS.contains(&phrase.as_str()) {
                continue;
            }
            if phrase == "anything else" {
                assert_eq!(built_in, Names::new(), "{} knows nothing else", row.name);
                continue;
            }
            let foreign = crates_about(phrase).unwrap_or_else(|| {
                panic!(
                    "'{phrase}' of {}'s row: add the crates it stands for to crates_about",
                    row.name
                )
            });
            for name in foreign {
                assert!(
                    !built_in.contains(*name),
                    "{} depends on {name}, but the table says that it does not know {phrase}",
                    row.name
                );
            }
        }
    }
}

#[test]
fn dependencies_point_one_way() {
    // Those of tests, too, so that crates can be built and tested from the bottom up.
    let mut graph = graph(&packages(), &ALL);
    // Taking away, again and again, the crates that depend on none left must
    // end with nothing: there is no cycle.
    while !graph.is_empty() {
        let free: Names = graph
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
fn every_dependency_by_path_is_a_crate_of_the_workspace() {
    // Otherwise a crate outside could join two that must not know each other.
    let packages = packages();
    let graph = graph(&packages, &ALL);
    for package in &packages {
        for dependency in package.dependencies.iter().filter(|d| d.path.is_some()) {
            assert!(
                graph.contains_key(&dependency.name),
                "{} depends on {}, outside the workspace",
                package.name,
                dependency.name
            );
        }
    }
}

#[test]
fn the_checker_builds_without_any_prover() {
    let packages = packages();
    let graph = graph(&packages, &BUILT_IN);
    let mut tree = Names::new();
    let mut open = vec!["recert-check".to_owned()];
    while let Some(name) = open.pop() {
        open.extend(graph[&name].iter().cloned());
        tree.insert(name);
    }
    // The rule of a second round of pairs is one function for both, and makes no certificate.
    let allowed = [
        "recert-check",
        "recert-ledger",
        "recert-num",
        "recert-second",
    ];
    assert_eq!(tree, allowed.map(str::to_owned).into());
    // Nor does anything from elsewhere make certificates for it.
    let checker = packages.iter().find(|p| *p.name == "recert-check");
    let others = &dependencies(checker.expect("there is a checker"), &BUILT_IN) - &tree;
    assert_eq!(others, ["serde", "serde_json"].map(str::to_owned).into());
}

#[test]
fn training_is_built_for_those_alone_who_ask_for_it() {
    // Burn takes minutes to build. Of the package for Python a wheel is installed, which is built.
    let packages = packages();
    let built = packages
        .iter()
        .filter(|package| package.name != "recert-python");
    for package in built {
        let uses = package.dependencies.iter();
        let mut uses = uses.filter(|dependency| dependency.name == "recert-train");
        assert!(
            uses.all(|dependency| dependency.optional),
            "{}",
            package.name
        );
        let default = package.features.get("default");
        let asked = default.is_some_and(|features| features.iter().any(|f| f.contains("train")));
        assert!(!asked, "{}", package.name);
    }
}

#[test]
fn libraries_from_elsewhere_have_one_user() {
    let users: [(&[&str], &str); 4] = [
        (&["rusqlite"], "recert-ledger"),
        (
            &[
                "openvino",
                "openvino-sys",
                "ort",
                "rten",
                "rten-onnx",
                "rten-tensor",
            ],
            "recert-engine",
        ),
        (&["clap", "anyhow", "ctrlc", "indicatif"], "recert-cli"),
        (&["burn-core", "burn"], "recert-train"),
    ];
    // Tests damage ledgers, behind the back of recert-ledger.
    let exceptions = ["recert", "recert-cli", "recert-check"]
        .map(|tests| (tests, "rusqlite", DependencyKind::Development));
    for package in &packages() {
        for dependency in &package.dependencies {
            let (name, used) = (package.name.as_str(), dependency.name.as_str());
            let user = users
                .iter()
                .find(|(libraries, _)| libraries.contains(&used));
            assert!(
                user.is_none_or(|(_, user)| *user == name)
                    || exceptions.contains(&(name, used, dependency.kind)),
                "{name} depends on {used}"
            );
        }
    }
}

/// All Rust sources below a folder.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return found;
    };
    for entry in entries {
        let path = entry.expect("a folder's entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source");
            found.push((path, text));
        }
    }
    found.sort();
    found
}

/// The texts of the string literals in Rust source, as they are written.
fn string_literals(source: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(at) = rest.find(['"', '\'', '/', 'r']) {
        let before = rest[..at].chars().next_back();
        rest = &rest[at..];
        let hashes = rest[1..].bytes().take_while(|&byte| byte == b'#').count();
        rest = if let Some(comment) = rest.strip_prefix("//") {
            comment.find('\n').map_or("", |end| &comment[end..])
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.find("*/").map_or("", |end| &comment[end + 2..])
        } else if let Some(text) = rest.strip_prefix('"') {
            let mut escaped = false;
            let end = text.find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            let end = end.expect("a string literal ends");
            found.push(&text[..end]);
            &text[end + 1..]
        } else if let Some(text) = rest.strip_prefix('\'') {
            // A character, unless it is a lifetime.
            let mut chars = text.char_indices();
            match (chars.next(), chars.next()) {
                (Some((_, '\\')), Some((at, c))) => {
                    let text = &text[at + c.len_utf8()..];
                    text.find('\'').map_or("", |end| &text[end + 1..])
                }
                (Some(_), Some((at, '\''))) => &text[at + 1..],
                _ => text,
            }
        } else if rest[1 + hashes..].starts_with('"')
            && before.is_none_or(|c| c == 'b' || !c.is_alphanumeric() && c != '_')
        {
            let end = format!("\"{}", "#".repeat(hashes));
            let text = &rest[2 + hashes..];
            let length = text.find(&end).expect("a raw string literal ends");
            found.push(&text[..length]);
            &text[length + end.len()..]
        } else {
            &rest[1..]
        };
    }
    found
}

/// Whether a text names a flag, as in "choose --engine rten".
fn names_a_flag(text: &str) -> bool {
    let after = |(at, _)| {
        let before = text[..at].chars().next_back();
        let next = text[at + 2..].chars().next();
        before.is_none_or(|c| !c.is_alphanumeric() && c != '-')
            && next.is_some_and(|c| c.is_ascii_lowercase())
    };
    text.match_indices("--").any(after)
}

#[test]
fn string_literals_are_found() {
    let source = r##"
        // "comment" isn't
        /* "neither" */ fn f<'a>(x: &'a str) { g('"', '\'', "one \" --two", b"three"); }
        const C: &str = r#"fo"ur"#; let r = other; h("five")
    "##;
    let found = ["one \\\" --two", "three", "fo\"ur", "five"];
    assert_eq!(string_literals(source), found);
    assert!(names_a_flag(found[0]) && names_a_flag("(--mean 1"));
    assert!(!names_a_flag("a--b") && !names_a_flag("a -- b") && !names_a_flag("---a"));
}

#[test]
fn libraries_know_no_flags() {
    let mut found = Vec::new();
    for package in &packages() {
        let folder = package.manifest_path.parent().expect("a folder");
        if *package.name == "recert-cli" {
            continue;
        }
        for (path, text) in sources(folder.join("src").as_std_path()) {
            if path.ends_with("tests.rs") {
                continue;
            }
            let product = text.split("#[cfg(test)]\nmod tests {").next();
            let literals = string_literals(product.unwrap_or_default());
            let flags = literals.into_iter().filter(|text| names_a_flag(text));
            found.extend(flags.map(|text| format!("{}: {text}", path.display())));
        }
    }
    // A library names a field, and the command line makes a flag of it.
    assert!(
        found.is_empty(),
        "libraries name flags:\n{}",
        found.join("\n")
    );
}

#[test]
fn programs_with_a_harness_of_their_own_have_no_tests_that_it_does_not_run() {
    // Without the standard harness, `#[test]` functions are not even compiled.
    for package in &packages() {
        let main = |text: &str| {
            let mut lines = text.lines();
            lines.any(|line| line.trim() == "recert_testing::main()")
        };
        let targets = package.targets.iter().filter(|target| target.is_test());
        for target in targets {
            let path = target.src_path.as_std_path();
            let text = std::fs::read_to_string(path).expect("a source");
            if !main(&text) {
                continue;
            }
            let modules = if path.ends_with("main.rs") {
                sources(path.parent().expect("a folder"))
            } else {
                vec![(path.to_owned(), text)]
            };
            for (path, text) in modules {
                assert!(
                    !text.lines().any(|line| line.trim() == "#[test]"),
                    "{}: declare the test with test!(name) of recert-testing",
                    path.display()
                );
            }
        }
    }
}
