//! Milliseconds an image, on one thread: `time MODEL [IMAGES]`. Prints a
//! line for each line that it reads (any will do), so that whoever compares it
//! with other engines can take turns: milliseconds by the clock, and on the
//! processor where the system (Linux) tells.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use recert_graph::Model;
use recert_kernels::Program;

/// Nanoseconds that this thread has been on a processor.
fn busy() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok()
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("which network?")?;
    let count: usize = arguments.next().map_or(Ok(8), |count| count.parse())?;
    let model = Model::read(&path)?;
    let signature = model.signature()?;
    let outputs = [signature.output.name.as_str()];
    let program = Arc::new(Program::compile(&model, &signature.input.name, &outputs)?);
    let mut executor = program.executor();
    let images: Vec<f32> = (0..count * program.image_len())
        .map(|i| (i * 7919 % 1000) as f32 / 500.0 - 1.0)
        .collect();
    executor.run(&images[..program.image_len()])?;
    for line in std::io::stdin().lines() {
        line?;
        let (start, before) = (Instant::now(), busy());
        executor.run(&images)?;
        let wall = start.elapsed().as_secs_f64() * 1e3;
        let cpu = before
            .zip(busy())
            .map_or(wall, |(from, to)| (to - from) / 1e6);
        println!("{:.3} {:.3}", wall / count as f64, cpu / count as f64);
    }
    Ok(())
}
