//! Choosing an engine, its precision and its device: what is not there is
//! refused by name and with what to do, and never replaced by something else.

use crate::support::inputs::Images;
use crate::support::{self, MADE, every_engine, load_made, made, worker_of_made};
use recert_engine::{EngineOptions, ErrorKind, ImageShape, NetworkOptions, Precision, engines};

#[test]
fn precisions_that_an_engine_lacks_are_refused_by_name() {
    for engine in engines::survey() {
        let Ok(found) = engine.found else {
            eprintln!("skipped: {} is not installed", engine.name);
            continue;
        };
        for precision in Precision::ALL {
            let Err(error) = support::open(engine.name, precision) else {
                assert!(
                    found.devices[0].precisions.contains(&precision),
                    "{precision}"
                );
                continue;
            };
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            let text = error.to_string();
            let flag = format!("precision {precision}");
            assert!(text.contains(&flag) && text.contains("choose"), "{text}");
            assert!(!found.devices[0].precisions.contains(&precision), "{text}");
            println!("{}: refused: {text}", engine.name);
        }
    }
}

#[test]
fn int8_is_for_networks_that_quantize() {
    let images = Images::small().values;
    every_engine(|engine, runtime| {
        if engine.precision != Precision::F32 {
            return;
        }
        let int8 = support::open(engine.name, Precision::Int8).unwrap();
        let mut worker = worker_of_made(int8.as_ref(), "quantize_axis");
        let same = worker_of_made(runtime, "quantize_axis").classify(&images);
        assert_eq!(worker.classify(&images).unwrap(), same.unwrap(), "{engine}");
        let (one, other) = (made("quantize_axis"), made("plain"));
        assert_eq!(int8.identity(&one), runtime.identity(&one), "{engine}");
        let error = load_made(int8.as_ref(), "plain").err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{engine}");
        let text = error.to_string();
        assert!(
            text.contains(other.name()) && text.contains("int8 version"),
            "{text}"
        );
    });
}

#[test]
fn devices_that_are_not_here_are_refused_and_never_replaced() {
    for engine in engines::survey() {
        let Ok(found) = engine.found else {
            eprintln!("skipped: {} is not installed", engine.name);
            continue;
        };
        for device in [
            "CUDA",
            "CUDA:99",
            "GPU",
            "GPU.7",
            "AUTO",
            "HETERO:GPU,CPU",
            "TPU",
            "",
        ] {
            let options = EngineOptions {
                precision: None,
                device: Some(device.to_owned()),
            };
            let here = found.devices.iter().any(|d| d.name.starts_with(device));
            if here && !device.is_empty() {
                eprintln!("skipped: {device} is here");
                continue;
            }
            let error = engines::open(engine.name, &options).err();
            let error = error.unwrap_or_else(|| panic!("{} on {device}", engine.name));
            assert_eq!(error.kind(), ErrorKind::EngineMissing, "{error}");
            let text = error.to_string();
            let advises = text.contains("no device") || text.contains("name one of");
            assert!(
                text.contains(&format!("device {device}")) || device == "CUDA:99",
                "{text}"
            );
            assert!(advises, "{text}");
            println!("{}: refused: {text}", engine.name);
        }
    }
}

#[test]
fn identities_tell_how_a_network_is_computed_and_are_read_back() {
    let model = made("plain");
    let mut all: Vec<String> = Vec::new();
    every_engine(|engine, runtime| {
        let identity = runtime.identity(&model);
        let recorded = EngineOptions::recorded(&identity.precision);
        let again = engines::open(&identity.name, &recorded).unwrap();
        assert_eq!(again.identity(&model), identity, "{engine}");
        let text = format!(
            "{} {}, {}",
            identity.name, identity.version, identity.precision
        );
        println!("{engine}: {text}");
        assert!(!all.contains(&text), "{engine} is another network: {text}");
        all.push(text);
    });
}

#[test]
fn whatever_engine_is_fastest_takes_a_network() {
    let load = |name: &str, precision: Option<Precision>| {
        let options = EngineOptions {
            precision,
            device: None,
        };
        engines::load_any(&made(name), &options, MADE, &NetworkOptions::default())
    };
    // The first that is here, and its own answers.
    let first = engines::fastest_first(false)
        .into_iter()
        .find(|name| engines::by_name(name).is_ok());
    let network = load("plain", None).unwrap();
    assert_eq!(network.engine().name, first.unwrap());
    // What no engine takes is refused once, in the words of each that says
    // something else.
    let error = load("random_noise", None).err().unwrap().to_string();
    assert_eq!(error.matches("the_dice").count(), 1, "{error}");
    let error = load("unknown_operator", None).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("the_frobnicator"), "{error}");
    // What is wrong with the data is nobody's fault.
    let other = ImageShape {
        channels: 1,
        height: 28,
        width: 28,
    };
    let options = EngineOptions::default();
    let error = engines::load_any(&made("plain"), &options, other, &NetworkOptions::default());
    assert_eq!(error.err().unwrap().kind(), ErrorKind::Shape);
}
