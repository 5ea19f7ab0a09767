//! The whole job under integer noise: certify, predict, recertify and report on
//! the demo's 8-bit images, and what is refused.

use crate::common::{
    self, Place, STREAMS, accuracy, asset, certify_demo, fails, held, ok, rows, small_data, with,
};
use recert::data::{DataSpec, Dataset, Options};
use recert::engine::{ImageShape, Network, NetworkOptions, engines};
use recert::ledger::{Header, Ledger, Task};
use recert::net::Model;
use recert::noise::integer::levels;
use recert::noise::{GENERATOR_INTEGER, IntegerNoise, Stream};

/// Samples and inputs of a run.
const SAMPLES: u32 = 150;
const INPUTS: u32 = 12;

fn certify(place: &Place, ledger: &str) -> Vec<String> {
    let base = certify_demo(SAMPLES, 20, INPUTS);
    with(
        &base,
        &["--noise", "integer", "--ledger", &place.text(ledger)],
    )
}

/// The classes that the demo network answers on the first samples of an input,
/// made here from the noise and the engine alone.
fn answers(model: &str, idx: u32, samples: u32) -> Vec<u16> {
    let spec: DataSpec = asset("shapes-test.npz").parse().unwrap();
    let data = Dataset::open(&spec, &Options::default()).unwrap();
    let image = levels(&data.image(idx).unwrap().pixels).expect("an 8-bit image");
    let shape = ImageShape {
        channels: 3,
        height: 32,
        width: 32,
    };
    let rten = engines::by_name("rten").unwrap();
    let model = Model::read(model).unwrap();
    let network = Network::load(&model, rten.as_ref(), shape, &NetworkOptions::default()).unwrap();
    let mut worker = network.worker().unwrap();
    let noise = IntegerNoise::new(0, 0.5).unwrap();
    let mut noisy = vec![0.0; image.len()];
    (0..samples)
        .map(|sample| {
            noise.add(Stream::Certify, idx, sample, &image, &mut noisy);
            let answers = worker.classify(&noisy).unwrap();
            answers.class(0).expect("a valid answer")
        })
        .collect()
}

#[test]
fn certify_recertify_and_report() {
    let place = Place::new();
    let said = ok(&certify(&place, "run.recert"));
    let certified = rows(&said.stdout);
    assert_eq!(certified.len(), INPUTS as usize);
    assert!(accuracy(&certified) > 0.5, "{certified:?}");
    assert!(certified.iter().any(|row| row.radius > 0.3));

    // The same samples whatever the threads, the batch and an interruption.
    let other = certify(&place, "other.recert");
    ok(&with(&other, &["--threads", "1", "--batch", "7"]));
    assert!(held(&place.path("run.recert")) == held(&place.path("other.recert")));

    // Gaussian noise is another run.
    let gaussian = with(
        &certify_demo(SAMPLES, 20, INPUTS),
        &["--ledger", &place.text("run.recert")],
    );
    fails(4, &["generator"]).check(&gaussian);

    let network = place.text("shapes.bf16.onnx");
    ok(&with(
        &[],
        &[
            "approximate",
            &asset("shapes.onnx"),
            "--bf16",
            "--out",
            &network,
        ],
    ));
    let recertify = ["recertify", &place.text("run.recert"), "--model", &network];
    let said = ok(&with(
        &with(&[], &recertify),
        &["--n-p", "40%", "--method", "irs,direct"],
    ));
    assert_eq!(rows(&said.stdout).len(), INPUTS as usize);

    // Both networks saw integer noise.
    let ledger = held(&place.path("run.recert"));
    let [f, h] = &ledger.networks[..] else {
        panic!("two networks");
    };
    let stream = STREAMS[0].tag();
    for (of, model, samples) in [(f, asset("shapes.onnx"), 40), (h, network, 40)] {
        for idx in [0, 5] {
            let recorded = &of.classes[&(idx, stream)][..samples as usize];
            assert_eq!(recorded, answers(&model, idx, samples), "{model} {idx}");
        }
    }

    let report = ok(&with(&[], &["report", &place.text("run.recert"), "--json"]));
    assert!(report.stdout.contains(GENERATOR_INTEGER));

    // The page and the table say what the law covers, by the ledger.
    let page = place.text("report.html");
    let words = ["report", &place.text("run.recert"), "--html", &page];
    let said = ok(&with(&[], &words)).stdout;
    let said: Vec<&str> = said.split_whitespace().collect();
    let law = "Gaussian rounded to grey levels: certificates hold for images of 8-bit pixels only";
    assert!(said.join(" ").contains(law), "{said:?}");
    let html = std::fs::read_to_string(page).unwrap();
    assert!(html.contains(law) && html.contains("seed 0"), "{html}");
}

#[test]
fn predictions_too() {
    let place = Place::new();
    let line = format!(
        "predict --model {} --data {} --sigma 0.5 --n 100 --limit 6 --noise integer --ledger {}",
        asset("shapes.onnx"),
        asset("shapes-test.npz"),
        place.text("run.recert"),
    );
    let said = ok(&common::words(&line));
    assert_eq!(rows(&said.stdout).len(), 6);
    let ledger = Ledger::open_read_only(&place.path("run.recert")).unwrap();
    assert_eq!(ledger.header().generator, GENERATOR_INTEGER);
}

/// Of these images the first is black, so 8-bit, and the others are not.
#[test]
fn images_off_the_grid_are_refused_by_name() {
    let place = Place::new();
    let ledger = place.text("run.recert");
    let run = |more: &[&str]| {
        let line = format!(
            "certify --model {} --sigma 0.25 --n 10 --n0 2 --noise integer --ledger {ledger}",
            asset("made/plain.onnx"),
        );
        with(&common::words(&line), more)
    };
    let data = small_data(&place);
    let data: Vec<&str> = data.iter().map(String::as_str).collect();
    // Where the first input is refused there is no ledger yet.
    let says = ["input 2 is not 8-bit: integer noise needs pixels k/255"];
    fails(3, &says).check(&with(&run(&data), &["--offset", "2"]));
    assert!(!place.path("run.recert").exists());
    // Else the ledger keeps the inputs before it.
    let says = ["input 1 is not 8-bit: integer noise needs pixels k/255"];
    fails(3, &says).check(&run(&data));
    let held = held(&place.path("run.recert"));
    assert_eq!(held.inputs.len(), 1);
}

#[test]
fn wrong_flags_leave_no_ledger() {
    let place = Place::new();
    let run = certify(&place, "run.recert");
    let again = |flag: &str, value: &str| {
        let mut run = run.clone();
        let at = run.iter().position(|word| word == flag).expect("the flag");
        value.clone_into(&mut run[at + 1]);
        run
    };
    fails(2, &["--sigma", "0.0009765625 to 16"]).check(&again("--sigma", "0.0001"));
    fails(2, &["--sigma", "0.0009765625 to 16"]).check(&again("--sigma", "17"));
    fails(2, &["--noise", "gaussian, integer"]).check(&again("--noise", "poisson"));
    let small_alpha = with(&run, &["--alpha", "1e-26"]);
    fails(2, &["--alpha", "sampler's own error"]).check(&small_alpha);
    assert!(!place.path("run.recert").exists());
}

/// A ledger whose noise this version cannot make is refused untouched.
#[test]
fn noise_of_another_version_is_refused() {
    let place = Place::new();
    ok(&certify(&place, "known.recert"));
    let known = Ledger::open_read_only(&place.path("known.recert")).unwrap();
    let header = Header {
        task: Task::Certify,
        generator: "philox4x32-10/rounded-normal-128/tile64/v9".into(),
        ..known.header().clone()
    };
    let path = place.path("other.recert");
    Ledger::create(&path, &header).unwrap().close().unwrap();
    let recertify = ["recertify", &place.text("other.recert"), "--model"];
    let words = with(&with(&[], &recertify), &[&asset("shapes.onnx")]);
    fails(4, &["tile64/v9", "unknown to this version"]).check(&words);
}
