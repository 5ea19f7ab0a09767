//! Running samples again finds what was forged as often as is stated, however unequal the
//! numbers of answers are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use recert::engine::ImageShape;
use recert::job::{
    self, Auditor, CertifyConfig, Data, Event, Network, Rerun, RerunConfig, RunConfig,
};
use recert::noise::Stream;

const IMAGE: ImageShape = ImageShape {
    channels: 1,
    height: 2,
    width: 4,
};

/// How many samples are run again, and how often.
const SAMPLES: u64 = 20;
const TIMES: u64 = 300;

/// The input whose answers are forged.
const FORGED: u32 = 3;

/// Six images: four pixels from dark to bright, then four that are white in one image alone.
fn data() -> Data {
    let image = |i: u32| {
        let marked = f32::from(u8::from(i == FORGED));
        [[i as f32 / 5.0; 4], [marked; 4]].concat()
    };
    let pixels: Vec<f32> = (0..6).flat_map(image).collect();
    Data::from_pixels("six greys", IMAGE, &pixels, None).unwrap()
}

fn network(answers: impl Fn(&[f32]) -> bool + Clone + Send + Sync + 'static) -> Network {
    let class = move |image: &[f32]| Some(u16::from(answers(image)));
    Network::from_fn("bright", 2, IMAGE, class).unwrap()
}

fn is_bright(image: &[f32]) -> bool {
    image[..4].iter().sum::<f32>() > 2.0
}

/// A ledger in which some inputs have many answers and others few.
fn unequal(folder: &Path) -> PathBuf {
    let ledger = folder.join("until");
    let config = CertifyConfig {
        n: 2000,
        n0: 20,
        until_radius: Some(0.19),
        run: RunConfig {
            threads: Some(1),
            batch: Some(32),
        },
        ..CertifyConfig::new(0.25)
    };
    let (data, network) = (data(), network(is_bright));
    let job = job::certify(&ledger, &config, &data, &network).unwrap();
    let _ = job.run(&mut |_: Event<'_>| ()).unwrap();
    ledger
}

/// Runs `samples` answers again by a network that passes for the ledger's.
fn rerun(ledger: &Path, samples: u64, seed: u64, other: fn(&[f32]) -> bool) -> Rerun {
    let config = RerunConfig {
        samples,
        seed: Some(seed),
        ..RerunConfig::default()
    };
    let auditor = Auditor::new(config).unwrap();
    let auditor = auditor.with_data(data()).with_network(network(other));
    let mut checked = job::check(&[ledger.to_owned()], Some(&auditor)).unwrap();
    checked.pop().unwrap().result.unwrap().rerun.unwrap()
}

/// The answers found to be others, but for what selection samples select.
fn found(rerun: &Rerun) -> BTreeMap<u32, u64> {
    let mut found = BTreeMap::new();
    let answers = rerun.differences.iter();
    for difference in answers.filter(|difference| difference.stream == Stream::Certify) {
        *found.entry(difference.idx).or_default() += 1;
    }
    found
}

#[test]
fn a_forgery_is_found_as_often_as_stated() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = unequal(folder.path());
    // About a sixth of the answers on one input are others.
    let honest_elsewhere = |image: &[f32]| {
        let forged = image[4..].iter().sum::<f32>() > 2.0 && image[0] - image[1] > 0.35;
        is_bright(image) != forged
    };
    let all = rerun(&ledger, u64::MAX, 0, honest_elsewhere);
    let answers = all.networks[0].answers;
    assert_eq!(all.samples, answers, "all of them, each once");
    let forged = found(&all);
    assert_eq!(forged.keys().copied().collect::<Vec<_>>(), [FORGED]);
    let counts = found(&rerun(&ledger, u64::MAX, 0, |image| !is_bright(image)));
    assert_eq!(counts.values().sum::<u64>(), answers);
    let (fewest, most) = (counts.values().min(), counts.values().max());
    assert!(fewest.unwrap() * 20 < *most.unwrap(), "{counts:?}");

    let share = forged[&FORGED] as f64 / answers as f64;
    let stated = 1.0 - (1.0 - share).powi(SAMPLES as i32);
    assert!((0.5..0.95).contains(&stated), "{stated}");
    let times = (0..TIMES).filter(|&seed| {
        let rerun = rerun(&ledger, SAMPLES, seed, honest_elsewhere);
        assert_eq!(rerun.samples, SAMPLES);
        !found(&rerun).is_empty()
    });
    let rate = times.count() as f64 / TIMES as f64;
    // Three standard deviations: fewer happen in 1 of 700 such tests. The seeds are fixed.
    let deviation = (stated * (1.0 - stated) / TIMES as f64).sqrt();
    assert!(
        rate >= stated - 3.0 * deviation,
        "found {rate}, stated {stated}"
    );

    // Every answer is drawn as often as every other: inputs in proportion to theirs.
    let mut drawn: BTreeMap<u32, u64> = BTreeMap::new();
    for seed in 0..TIMES {
        let rerun = rerun(&ledger, SAMPLES, seed, |image| !is_bright(image));
        for (idx, count) in found(&rerun) {
            *drawn.entry(idx).or_default() += count;
        }
    }
    let draws = (TIMES * SAMPLES) as f64;
    for (idx, count) in counts {
        let expected = draws * count as f64 / answers as f64;
        let found = drawn.get(&idx).copied().unwrap_or(0) as f64;
        let allowed = 4.0 * expected.sqrt() + 1.0;
        assert!(
            (found - expected).abs() < allowed,
            "input {idx}: {found}, not {expected}"
        );
    }
}

#[test]
fn an_engine_to_run_samples_again_has_to_be_named() {
    let config = RerunConfig {
        samples: 5,
        engine: Some("auto".to_owned()),
        ..RerunConfig::default()
    };
    let error = Auditor::new(config).err().unwrap();
    assert_eq!(error.field(), Some(recert::Field::Engine), "{error}");
    assert!(error.to_string().contains("reference"), "{error}");
}
