//! Running a network in an engine, as the product does, and in ONNX Runtime without any
//! optimisation.

use std::sync::OnceLock;

use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::TensorRef;
use recert_engine::{Answers, EngineOptions, ImageShape, Network, NetworkOptions, engines};
use recert_graph::Model;

use crate::reference::{Answer, image_extents, in_layout};

/// ONNX Runtime with all optimisations off: a second opinion on the reference interpreter.
pub const PLAIN: &str = "onnxruntime-plain";

/// Images that are also given one by one.
const ALONE: usize = 3;

/// Why an engine does not take a network.
#[derive(Debug)]
pub struct Refusal(pub String);

impl<E: std::fmt::Display> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self(format!("{error:#}"))
    }
}

/// The names of all engines that are installed.
pub fn installed() -> Vec<&'static str> {
    let all = engines::ENGINES.iter();
    all.filter(|engine| engine.find().is_ok())
        .map(|engine| engine.name)
        .collect()
}

/// The answers of an engine to all images, several times where it is asked in several ways.
///
/// # Errors
/// The engine's refusal.
pub fn answers(
    engine: &str,
    model: &Model,
    images: &[Vec<f32>],
) -> Result<Vec<Vec<Answer>>, Refusal> {
    if engine == PLAIN {
        return Ok(vec![plain(model, images)?]);
    }
    let [channels, height, width] = image_extents(&model.signature()?)?;
    let image = ImageShape {
        channels,
        height,
        width,
    };
    let runtime = engines::open(engine, &EngineOptions::default())?;
    let network = Network::load(model, runtime.as_ref(), image, &NetworkOptions::default())?;
    let mut worker = network.worker()?;
    let together = read(&worker.classify(&images.concat())?);
    let mut alone = together.clone();
    for (image, answer) in images.iter().zip(&mut alone).skip(2).take(ALONE) {
        *answer = read(&worker.classify(image)?).swap_remove(0);
    }
    Ok(vec![together, alone])
}

fn read(answers: &Answers) -> Vec<Answer> {
    match answers {
        Answers::Logits { classes, values } => values
            .chunks_exact(*classes)
            .map(|row| row.iter().map(|&value| value.into()).collect())
            .collect(),
        Answers::Classes(classes) => classes
            .iter()
            .map(|class| vec![class.map_or(f64::NAN, f64::from)])
            .collect(),
    }
}

/// The only environment of the process: where this is made, recert's own engine cannot be.
fn environment() -> Result<&'static Environment, Refusal> {
    static MADE: OnceLock<Option<Environment>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let library = std::env::var("RECERT_FUZZ_ORT").ok()?;
        let builder = ort::init_from(library).ok()?;
        builder.with_telemetry(false).build().ok()
    });
    made.as_ref()
        .ok_or_else(|| Refusal("ONNX Runtime could not be loaded".to_owned()))
}

fn plain(model: &Model, images: &[Vec<f32>]) -> Result<Vec<Answer>, Refusal> {
    let signature = model.signature()?;
    let mut session = Session::builder(environment()?)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_optimization_level(GraphOptimizationLevel::Disable)?
        .with_log_level(ort::logging::LogLevel::Fatal)?
        .commit_from_memory(&model.to_bytes())?;
    let batch = signature.input.fixed_batch.unwrap_or(1);
    let mut answers = Vec::new();
    for image in images {
        let mut shape = vec![batch];
        shape.extend(
            signature.input.dims[1..]
                .iter()
                .map(|dim| dim.fixed().unwrap_or(1)),
        );
        let values = in_layout(&signature, image).repeat(batch);
        let tensor = TensorRef::from_array_view((shape, values.as_slice()))?;
        let outputs = session.run(ort::inputs![signature.input.name.as_str() => tensor])?;
        let output = &outputs[signature.output.name.as_str()];
        let values: Vec<f64> = if let Ok((_, values)) = output.try_extract_tensor::<f32>() {
            values.iter().map(|&value| value.into()).collect()
        } else {
            let (_, values) = output.try_extract_tensor::<i64>()?;
            values.iter().map(|&value| value as f64).collect()
        };
        answers.push(values[..values.len() / batch].to_vec());
    }
    Ok(answers)
}
