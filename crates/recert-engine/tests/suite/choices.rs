//! Choosing an engine, its precision and its device: what is not there is
//! refused by name and with what to do, and never replaced by something else.

use crate::support::inputs::Images;
use crate::support::{
    self, MADE, Setup, in_every_precision, load_made, made, test_of_every_engine, worker_of_made,
};
use recert_engine::engines::{self, EngineEntry, Found};
use recert_engine::{
    Arithmetic, EngineOptions, ErrorKind, ImageShape, NetworkOptions, Precision, Runtime,
};
use recert_testing::{Skip, note, test};

/// Runs `test` with an engine and what of it is installed.
fn where_found(engine: &EngineEntry, test: fn(&EngineEntry, &Found)) -> Result<(), Skip> {
    test(engine, &engine.find().map_err(Skip::because)?);
    Ok(())
}

test_of_every_engine!(precisions_that_it_lacks_are_refused_by_name, |engine| {
    where_found(engine, precisions_that_it_lacks_are_refused_by_name)
});
fn precisions_that_it_lacks_are_refused_by_name(engine: &EngineEntry, found: &Found) {
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
        note!("{}: refused: {text}", engine.name);
    }
}

test_of_every_engine!(int8_is_for_networks_that_quantize);
fn int8_is_for_networks_that_quantize(engine: &Setup, runtime: &dyn Runtime) {
    let images = Images::small().values;
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
}

test_of_every_engine!(devices_that_are_not_here_are_refused, |engine| {
    where_found(engine, devices_that_are_not_here_are_refused)
});
fn devices_that_are_not_here_are_refused(engine: &EngineEntry, found: &Found) {
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
            device: Some(device.to_owned()),
            ..EngineOptions::default()
        };
        let here = found.devices.iter().any(|d| d.name.starts_with(device));
        if here && !device.is_empty() {
            continue;
        }
        let error = engine.open(&options).err();
        let error = error.unwrap_or_else(|| panic!("{} on {device}", engine.name));
        assert_eq!(error.kind(), ErrorKind::EngineMissing, "{error}");
        let text = error.to_string();
        let advises = text.contains("no device") || text.contains("name one of");
        assert!(
            text.contains(&format!("device {device}")) || device == "CUDA:99",
            "{text}"
        );
        assert!(advises, "{text}");
        note!("{}: refused: {text}", engine.name);
    }
}

test_of_every_engine!(an_identity_opens_the_same_engine_again);
fn an_identity_opens_the_same_engine_again(engine: &Setup, runtime: &dyn Runtime) {
    let model = made("plain");
    let identity = runtime.identity(&model);
    assert_eq!(identity.name, engine.name);
    let recorded = Arithmetic::from(identity.arithmetic.to_string().as_str());
    assert_eq!(recorded, identity.arithmetic);
    let again = engines::open(&identity.name, &recorded.options()).unwrap();
    assert_eq!(again.identity(&model), identity, "{engine}");
}

test_of_every_engine!(every_precision_has_another_identity, |engine| {
    let identities = std::cell::RefCell::new(Vec::new());
    in_every_precision(engine, |setup, runtime| {
        let identity = runtime.identity(&made("plain"));
        note!("{setup}: {identity:?}");
        assert!(!identities.borrow().contains(&identity), "{setup}");
        identities.borrow_mut().push(identity);
    })
});

test!(the_reference_has_to_be_named);
fn the_reference_has_to_be_named() {
    let reference = engines::entry("reference").unwrap();
    assert!(!reference.is_automatic());
    for quantized in [false, true] {
        let order = engines::fastest_first(quantized);
        assert_eq!(order.len(), engines::ENGINES.len() - 1);
        assert!(
            order
                .iter()
                .all(|e| e.name != "reference" && e.is_automatic())
        );
    }
    let network = load_made(engines::by_name("reference").unwrap().as_ref(), "plain").unwrap();
    let identity = network.engine();
    assert_eq!(
        identity.arithmetic.to_string(),
        "as in the model, each operator in float64 and rounded once"
    );
    assert!(identity.batch_invariant && identity.arithmetic.deterministic);
}

test!(whatever_engine_is_fastest_takes_a_network);
fn whatever_engine_is_fastest_takes_a_network() {
    let load = |name: &str, precision: Option<Precision>| {
        let options = EngineOptions {
            precision,
            ..EngineOptions::default()
        };
        engines::load_any(&made(name), &options, MADE, &NetworkOptions::default())
    };
    // The first that is here, and its own answers.
    let first = engines::fastest_first(false)
        .into_iter()
        .find(|engine| engine.find().is_ok());
    let network = load("plain", None).unwrap();
    assert_eq!(network.engine().name, first.unwrap().name);
    // What no engine supports is refused: once where all have the same words for it,
    // else with a line per engine.
    let error = load("random_noise", None).err().unwrap().to_string();
    assert_eq!(error.matches("the_dice").count(), 1, "{error}");
    let error = load("unknown_operator", None).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let text = error.to_string();
    assert!(text.contains("the_frobnicator"), "{text}");
    let mut lines = text.lines();
    assert!(lines.next().unwrap().contains("unknown_operator"), "{text}");
    let names: Vec<&str> = lines
        .filter_map(|line| line.trim_start().split_once(": ").map(|(name, _)| name))
        .collect();
    assert!(
        names.contains(&"direct") && names.contains(&"rten"),
        "{text}"
    );
    for name in names {
        assert!(engines::entry(name).is_some(), "{name} in {text}");
    }
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
