//! Certificates from two rounds of pairs: the checker derives the second from the first, and finds
//! one that was chosen otherwise.

use std::path::Path;

use recert_check::check;
use recert_engine::{Answers, Classifier};
use recert_ledger::{Engine, Evidence, Header, Input, Ledger, Network, Task};
use recert_num::Alpha;
use recert_smooth::budget::Goal;
use recert_smooth::{Auto, Error, Inputs, Outcome, Run, Sides, Silent, Threads};
use rusqlite::Connection;
use serde_json::{Value as Json, json};

/// Images of two pixels, at several distances from the border of two classes.
struct Between;

impl Inputs for Between {
    fn input(&self, idx: u32) -> Result<(Input, Vec<f32>), Error> {
        let input = Input {
            idx,
            sha256: [idx as u8; 32],
            label: None,
            name: None,
        };
        Ok((input, vec![0.0, 0.04 * idx as f32]))
    }
}

const INPUTS: [u32; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 21, 22, 23, 24];

/// The class whose centre is nearest to the second pixel, moved a little for the modified network.
struct Nearest(f32);

impl Classifier for Nearest {
    fn classes(&self) -> usize {
        4
    }
    fn image_len(&self) -> usize {
        2
    }
    fn classify(&mut self, images: &[f32]) -> Result<Answers, recert_engine::Error> {
        let values = images.chunks_exact(2).flat_map(|image| {
            let x = image[1] + self.0;
            [0.0, 0.8, 1.6, 2.4].map(|centre| -(x - centre).abs())
        });
        Ok(Answers::Logits {
            classes: 4,
            values: values.collect(),
        })
    }
}

fn network(byte: u8) -> Network {
    Network {
        sha256: [byte; 32],
        file: format!("{byte}.onnx"),
        bytes: 1,
        engine: Engine {
            name: "made up".into(),
            version: "1".into(),
            arithmetic: "exact".into(),
        },
        batch_invariant: true,
        preprocess: "none".into(),
        output: "class".into(),
        classes: 4,
        note: None,
    }
}

/// A ledger with the inputs recertified; the id of a certificate by two rounds.
fn recertified(path: &Path) -> u32 {
    let header = Header {
        task: Task::Certify,
        sigma: 0.5,
        n0: 30,
        n: 6_000,
        alpha: 0.01,
        generator: recert_noise::GENERATOR.into(),
        seed: 5,
        network: network(0),
        data: "between".into(),
        shape: [1, 1, 2],
    };
    let mut ledger = Ledger::create(path, &header).unwrap();
    let modified = ledger.name_networks(&[network(1)]).unwrap()[0];
    for (id, moved) in [(ledger.base(), 0.0), (modified, 0.06)] {
        let classifiers = vec![Box::new(Nearest(moved)) as Box<dyn Classifier>];
        let mut workers = Threads::new([(id, classifiers)], 64).unwrap();
        let mut run = Run {
            ledger: &mut ledger,
            inputs: &Between,
            workers: &mut workers,
            observer: &mut Silent,
        };
        let auto = Auto {
            alpha: Alpha::new(0.02).unwrap(),
            among: 1,
            goal: Goal::Each(1_500),
            sides: Sides::One,
        };
        let outcome = if moved == 0.0 {
            recert_smooth::certify(&mut run, &INPUTS, Sides::One)
        } else {
            recert_smooth::recertify_auto(&mut run, &INPUTS, &auto)
        };
        assert_eq!(outcome.unwrap(), Outcome::Finished);
    }
    let certificates = ledger.certificates(modified).unwrap();
    ledger.close().unwrap();
    let of_two = |evidence: &Evidence| match evidence {
        Evidence::Tail(cells) => cells.first.is_some(),
        _ => false,
    };
    let found = certificates.iter().find(|c| of_two(&c.evidence));
    found.expect("an input had two rounds").idx
}

/// A change of a certificate's counts.
type Change<'a> = &'a dyn Fn(&mut Json);

/// Changes the counts of a certificate, and seals the ledger again.
fn forge(path: &Path, idx: u32, change: impl Fn(&mut Json)) {
    let connection = Connection::open(path).unwrap();
    let row = "idx = ?1 AND bound = 'tail'";
    let counts: String = connection
        .query_row(
            &format!("SELECT counts FROM certificate WHERE {row}"),
            [idx],
            |row| row.get(0),
        )
        .unwrap();
    let mut counts: Json = serde_json::from_str(&counts).unwrap();
    change(&mut counts);
    let update = format!("UPDATE certificate SET counts = ?2 WHERE {row}");
    connection
        .execute(&update, (idx, counts.to_string()))
        .unwrap();
    connection.execute("DELETE FROM seal", []).unwrap();
    drop(connection);
    Ledger::open(path).unwrap().close().unwrap();
}

#[test]
fn a_second_round_that_does_not_follow_from_the_first_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("made.recert");
    let idx = recertified(&made);
    let report = check(&made).unwrap();
    assert!(report.is_clean(), "{:?}", report.violations);

    let less = |list: &mut Json, by: u64| {
        let numbers = list.as_array_mut().unwrap();
        let largest = (numbers.iter_mut())
            .max_by_key(|number| number.as_u64())
            .unwrap();
        *largest = json!(largest.as_u64().unwrap() - by);
    };
    let forgeries: [(&str, Change<'_>); 7] = [
        ("fewer pairs in the second round", &|counts| {
            less(&mut counts["pairs"], 1);
        }),
        ("other tilts in the second round", &|counts| {
            for tilt in counts["tilts"].as_array_mut().unwrap() {
                *tilt = json!(tilt.as_f64().unwrap() * 1.01);
            }
        }),
        ("another first round", &|counts| {
            less(&mut counts["first"]["pairs"], 1);
        }),
        ("a first round of nothing", &|counts| {
            counts["first"]["pairs"] = json!(vec![0; 10]);
            counts["first"]["own"] = json!(vec![0; 10]);
        }),
        ("other first answers", &|counts| {
            less(&mut counts["first"]["own"], 1);
        }),
        ("another plan", &|counts| {
            counts["first"]["expected"] = json!(vec![0.5; 10]);
        }),
        ("no first round", &|counts| {
            counts.as_object_mut().unwrap().remove("first");
        }),
    ];
    for (name, change) in forgeries {
        let path = folder.path().join("forged.recert");
        std::fs::copy(&made, &path).unwrap();
        forge(&path, idx, change);
        let report = check(&path).unwrap();
        assert!(!report.is_clean(), "{name}");
    }
}
