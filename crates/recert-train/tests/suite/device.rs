//! Trainings on a graphics processor, or on a software driver of one, beside the same on the processor.

use std::ops::ControlFlow;

use recert_testing::{Skip, note, test};
use recert_train::{
    Device, ErrorKind, Examples, Initialization, Method, Schedule, Settings, Training,
};

use crate::training::{METHODS, examples, network, settings};

/// A graphics processor: a need of tests.
fn gpu() -> Result<String, Skip> {
    if !cfg!(feature = "gpu") {
        return Err(Skip::because(
            "recert-train is built without its feature gpu",
        ));
    }
    Device::Gpu.description().map_err(Skip::because)
}

/// A build for the processor alone: a need of tests.
fn processor_alone() -> Result<(), Skip> {
    if cfg!(feature = "gpu") {
        return Err(Skip::because("recert-train is built with its feature gpu"));
    }
    Ok(())
}

fn on(device: Device, settings: Settings) -> Settings {
    Settings { device, ..settings }
}

/// The mean losses of the epochs.
fn losses(name: &str, examples: &Examples, settings: Settings) -> Vec<f64> {
    let begun = network(name, Initialization::Interval);
    let mut training = Training::new(begun, examples, settings).unwrap();
    while !training.is_done() {
        let epoch = training.epoch(|_| ControlFlow::Continue(()));
        epoch.unwrap().unwrap();
    }
    training.epochs().iter().map(|epoch| epoch.loss).collect()
}

test!(every_method_has_the_losses_of_the_processor, needs gpu);
fn every_method_has_the_losses_of_the_processor(_: &str) {
    let examples = examples(40);
    for method in METHODS {
        let settings = Settings {
            schedule: Schedule {
                epochs: 3,
                ramp_end: 2,
                ..settings(method).schedule
            },
            ..settings(method)
        };
        let [cpu, gpu] = [Device::Cpu, Device::Gpu]
            .map(|device| losses("fc-8-6", &examples, on(device, settings.clone())));
        for (cpu, gpu) in cpu.iter().zip(&gpu) {
            let apart = (cpu - gpu).abs() / cpu.abs().max(1e-3);
            note!("{method}: {cpu} and {gpu}, {apart:.1e} apart");
            // Steps of a search by signs may go elsewhere by a rounding.
            assert!(apart < 1e-2, "{method}: {cpu} {gpu}");
        }
    }
}

test!(convolutions_and_normalizations_train_and_resume_there, needs gpu);
fn convolutions_and_normalizations_train_and_resume_there(description: &str) {
    let examples = examples(40);
    let settings = Settings {
        schedule: Schedule {
            epochs: 2,
            ramp_end: 1,
            ..settings(Method::CrownIbp).schedule
        },
        device: Device::Gpu,
        ..settings(Method::CrownIbp)
    };
    let begun = || network("cnn7-bn", Initialization::He);
    let mut training = Training::new(begun(), &examples, settings.clone()).unwrap();
    let report = training.test_device().unwrap().unwrap();
    assert_eq!(report.device, description);
    note!("{report:?}");
    training.epoch(|_| ControlFlow::Continue(())).unwrap();
    let bytes = training.checkpoint().unwrap();
    let elsewhere = Training::resumed(
        begun(),
        &examples,
        on(Device::Cpu, settings.clone()),
        &bytes,
    );
    let error = elsewhere.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Checkpoint);
    assert!(error.to_string().contains(description), "{error}");
    let mut resumed = Training::resumed(begun(), &examples, settings, &bytes).unwrap();
    for training in [&mut training, &mut resumed] {
        training.epoch(|_| ControlFlow::Continue(())).unwrap();
    }
    assert_eq!(training.network(), resumed.network());
}

test!(a_build_without_it_says_how_to_build_with_it, needs processor_alone);
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "as the harness gives what a test needs"
)]
fn a_build_without_it_says_how_to_build_with_it((): &()) {
    let examples = examples(40);
    let settings = on(Device::Gpu, settings(Method::Ibp));
    let begun = network("fc-8", Initialization::He);
    let error = Training::new(begun, &examples, settings).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Setting);
    assert_eq!(error.field(), Some("device"));
    assert!(error.to_string().contains("feature train-gpu"), "{error}");
}
