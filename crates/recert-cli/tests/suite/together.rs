//! `recertify` of several networks in one pass: the rows and what is in the
//! ledger are those of one network after the other, whatever layers they share.

use crate::common::{
    Line, Place, asset, certify_demo, evaluations, fails, held, ok, rows, text, with,
};
use recert::ledger::Ledger;
use recert::net::Model;

const INPUTS: usize = 8;

/// A ledger of the demo network.
fn base(place: &Place) -> Vec<u8> {
    let ledger = place.text("base.recert");
    let words = with(&certify_demo(500, 40, INPUTS as u32), &["--every", "9"]);
    ok(&with(&words, &["--ledger", &ledger]));
    std::fs::read(ledger).unwrap()
}

/// Writes three versions of the demo network.
fn versions(place: &Place) -> [String; 3] {
    let calibration = asset("shapes-calibration.npz");
    let int8 = ["--int8", "--calibration", &calibration, "--sigma", "0.5"];
    let all: [(&str, &[&str]); 3] = [
        ("int8.onnx", &int8),
        ("pruned.onnx", &["--prune", "30%"]),
        ("bf16.onnx", &["--bf16"]),
    ];
    all.map(|(name, how)| {
        let network = place.text(name);
        let words = ["approximate", &asset("shapes.onnx"), "--out", &network];
        ok(&with(&with(&[], &words), how));
        network
    })
}

fn recertify(ledger: &str, networks: &[&String], flags: &[&str]) -> Vec<String> {
    let models = networks.iter().flat_map(|&network| ["--model", network]);
    let words = with(&[], &["recertify", ledger]);
    with(&with(&words, &models.collect::<Vec<_>>()), flags)
}

/// The rows on stdout of each of `networks`, of which one may be given several times.
fn tables(stdout: &str, networks: &[&String]) -> Vec<Vec<Line>> {
    let (header, lines) = stdout.split_once('\n').unwrap();
    let header = header.strip_suffix("\tnetwork");
    let Some(header) = header else {
        return vec![rows(stdout)];
    };
    let of = |(i, network): (usize, &&String)| {
        let earlier = networks[..i].iter().filter(|n| n == &network).count();
        let times = networks.iter().filter(|n| n == &network).count();
        let mine = lines.lines().filter_map(|line| {
            let (row, name) = line.rsplit_once('\t').unwrap();
            (name == network.as_str()).then_some(row)
        });
        let mine: Vec<&str> = mine.skip(earlier).step_by(times).collect();
        rows(&[&[header], mine.as_slice()].concat().join("\n"))
    };
    let all: Vec<_> = networks.iter().enumerate().map(of).collect();
    let rows: usize = all.iter().map(Vec::len).sum();
    assert_eq!(rows, lines.lines().count());
    all
}

/// The demo network with one tensor's values halved, so that all layers before it
/// are the same.
fn halved(place: &Place, tensor: &str) -> String {
    let model = Model::read(asset("shapes.onnx")).unwrap();
    let stored = model.initializer(tensor).unwrap().unwrap();
    let values = stored.to_f32().unwrap();
    let stored = |factor: f32| -> Vec<u8> {
        let values = values.iter().map(|value| factor * value);
        values.flat_map(f32::to_le_bytes).collect()
    };
    let (old, mut bytes) = (stored(1.0), model.to_bytes());
    let at = (0..bytes.len()).find(|&at| bytes[at..].starts_with(&old));
    let at = at.unwrap();
    bytes[at..at + old.len()].copy_from_slice(&stored(0.5));
    let path = place.path(&format!("{tensor}.onnx"));
    std::fs::write(&path, bytes).unwrap();
    text(&path)
}

/// The bytes of a ledger in which networks are named together, and none of them has run: they
/// may run one after the other then, as candidates of one choice.
fn with_names(place: &Place, base: &[u8], networks: &[&String]) -> Vec<u8> {
    let [scratch, named] = ["scratch.recert", "named.recert"].map(|name| {
        std::fs::write(place.path(name), base).unwrap();
        place.path(name)
    });
    ok(&recertify(&text(&scratch), networks, &["--budget", "1"]));
    let scratch = Ledger::open_read_only(&scratch).unwrap();
    let all = scratch.networks().unwrap().into_iter();
    let modified = all.filter(|(id, _)| *id != scratch.base());
    let modified: Vec<_> = modified.map(|(_, network)| network).collect();
    let ledger = Ledger::open(&named).unwrap();
    ledger.name_networks(&modified).unwrap();
    ledger.close().unwrap();
    std::fs::read(&named).unwrap()
}

/// Asserts that networks together are what they are one after the other, however
/// recertified, and that it is said what they have in common.
fn assert_together_is_apart(place: &Place, networks: &[String; 3], ways: &[&[&str]], says: &str) {
    let networks: Vec<&String> = networks.iter().collect();
    let base = with_names(place, &base(place), &networks);
    let ledger = |name: &str| {
        std::fs::write(place.path(name), &base).unwrap();
        place.text(name)
    };
    for how in ways {
        let apart = ledger("apart.recert");
        let mut expected = Vec::new();
        let mut made = 0;
        for network in &networks {
            let how = [*how, &["--among", "3"]].concat();
            let said = ok(&recertify(&apart, &[network], &how));
            made += evaluations(&said);
            expected.extend(tables(&said.stdout, &[network]));
        }
        let expected_held = held(&place.path("apart.recert"));
        let together = ledger("together.recert");
        let words = recertify(&together, &networks, how);
        let said = ok(&words);
        assert_eq!(said.stderr.contains("share their first"), !says.is_empty());
        assert!(said.stderr.contains(says), "{}", said.stderr);
        assert_eq!(evaluations(&said), made, "{how:?}");
        assert!(said.stderr.contains("3 networks"), "{}", said.stderr);
        assert_eq!(tables(&said.stdout, &networks), expected, "{how:?}");
        assert_eq!(
            held(&place.path("together.recert")),
            expected_held,
            "{how:?}"
        );
        let again = ok(&words);
        assert_eq!(evaluations(&again), 0);
        assert_eq!(tables(&again.stdout, &networks), expected, "{how:?}");
        ok(&with(&[], &["check", &together]));
    }
}

#[test]
fn three_networks_together_are_one_after_the_other() {
    let place = Place::new();
    let networks = versions(&place);
    // By budgets, by n_p, by what is to be reached in the mean, and in rounds.
    let ways: [&[&str]; 4] = [
        &["--budget", "1%,9%", "--threads", "2"],
        &["--n-p", "6%", "--one-sided", "--batch", "7"],
        &["--target-acr", "0.25", "--threads", "1"],
        &["--until-radius", "0.3", "--batch", "1"],
    ];
    assert_together_is_apart(&place, &networks, &ways, "");
}

#[test]
fn three_networks_that_share_layers_are_one_after_the_other() {
    let place = Place::new();
    let networks = ["linear.weight", "linear.bias", "top.weight"];
    let networks = networks.map(|tensor| halved(&place, tensor));
    let ways: [&[&str]; 3] = [
        &["--budget", "1%,9%", "--threads", "2"],
        &["--n-p", "6%", "--batch", "7", "--threads", "1"],
        &["--until-radius", "0.3"],
    ];
    assert_together_is_apart(
        &place,
        &networks,
        &ways,
        "3 networks share their first 5 layers",
    );
    // One of them twice.
    let ledger = place.text("twice.recert");
    std::fs::copy(place.path("base.recert"), &ledger).unwrap();
    let [a, b, _] = &networks;
    let said = ok(&recertify(&ledger, &[a, b, a], &["--budget", "3%"]));
    assert!(
        said.stderr
            .contains("2 networks share their first 6 layers")
    );
    let twice = tables(&said.stdout, &[a, b, a]);
    assert_eq!(twice[0], twice[2]);
    std::fs::copy(place.path("base.recert"), &ledger).unwrap();
    let said = ok(&recertify(
        &ledger,
        &[a, b],
        &["--budget", "3%", "--among", "3"],
    ));
    assert_eq!(tables(&said.stdout, &[a, b]), twice[..2]);
    // A network twice and no other has nothing to share.
    let said = ok(&recertify(&ledger, &[a, a], &["--budget", "3%"]));
    assert!(!said.stderr.contains("share"));
}

#[test]
fn a_network_that_is_ahead_or_named_twice_is_not_run_again() {
    let place = Place::new();
    let networks = versions(&place);
    let [int8, pruned, bf16] = &networks;
    // Four candidates: these, and one more.
    let fourth = halved(&place, "linear.bias");
    let base = with_names(&place, &base(&place), &[pruned, int8, bf16, &fourth]);
    std::fs::write(place.path("apart.recert"), &base).unwrap();
    std::fs::write(place.path("mixed.recert"), &base).unwrap();
    let (apart, mixed) = (place.text("apart.recert"), place.text("mixed.recert"));
    let each = |ledger: &str, networks: &[&String], budget: &str| {
        let how = ["--among", "4", "--budget", budget];
        ok(&recertify(ledger, networks, &how))
    };
    let mut made = 0;
    for network in [pruned, int8, bf16] {
        for budget in ["2%", "10%"] {
            made += evaluations(&each(&apart, &[network], budget));
        }
    }
    // One of them at its larger budget already, another at its smaller one.
    let mut mixed_made = evaluations(&each(&mixed, &[pruned], "10%"));
    mixed_made += evaluations(&each(&mixed, &[int8], "2%"));
    let said = each(&mixed, &[bf16, pruned, int8, pruned], "2%,10%");
    mixed_made += evaluations(&said);
    assert_eq!(mixed_made, made);
    assert_eq!(
        held(&place.path("mixed.recert")),
        held(&place.path("apart.recert"))
    );
    let found = tables(&said.stdout, &[bf16, pruned, int8, pruned]);
    assert_eq!(found.len(), 4);
    assert!(found.iter().all(|table| table.len() == INPUTS));
    assert_eq!(found[1], found[3]);
}

#[test]
fn what_is_wrong_with_one_network_is_said_before_any_is_run() {
    let place = Place::new();
    std::fs::write(place.path("run.recert"), base(&place)).unwrap();
    let before = held(&place.path("run.recert"));
    let ledger = place.text("run.recert");
    let network = asset("shapes.onnx");
    for (other, says) in [
        (place.text("absent.onnx"), "absent.onnx"),
        (asset("made/plain.onnx"), "plain.onnx"),
    ] {
        let words = recertify(&ledger, &[&network, &other], &[]);
        fails(3, &[says]).check(&words);
        assert_eq!(held(&place.path("run.recert")), before);
    }
    // A log has room for one network's rows.
    let log = place.text("rows.tsv");
    let words = recertify(&ledger, &[&network, &network], &["--log", &log]);
    fails(2, &["--log"]).check(&words);
    assert!(!place.path("rows.tsv").exists());
}
