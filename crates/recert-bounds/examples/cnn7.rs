//! Bounds the margins of a network of CNN7's size by CROWN, and prints what that took, as
//! `bench/bounds/README.md` states it: five 3x3 convolutions (64, 64, 128 with stride 2, 128, 128
//! channels) and two fully connected layers (512, 10) on images of 3x32x32. Its weights are random,
//! scaled to keep the size of what they are multiplied with, so that most neurons are unstable.
//!
//! ```sh
//! cargo run --release -p recert-bounds --example cnn7 -- [EPS] [MEMORY in MiB] [THREADS]
//! ```

use std::error::Error;

use recert_bounds::{Network, Options, Property, Region, Slopes, crown_counted, lower};
use recert_graph::Builder;
use recert_graph::testing::{Net, ints, noise};
use rustix::time::{ClockId, clock_gettime};

fn main() -> Result<(), Box<dyn Error>> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default: f64| given.get(i).map_or(Ok(default), |text| text.parse());
    let (epsilon, memory) = (number(0, 1.0 / 255.0)?, number(1, 4096.0)?);
    let options = Options {
        memory: (memory * f64::from(1 << 20)) as usize,
        threads: number(2, 1.0)? as usize,
    };
    let network = Network::new(&Builder::new(&cnn7().model()).build()?)?;
    println!("peak before bounding: {:.0} MiB", peak()?);
    let image = noise(7, network.inputs()).into_iter();
    let image: Vec<f64> = image.map(|x| f64::from(x) / 2.0 + 0.5).collect();
    let region = Region::linf(&image, epsilon)?;
    let begun = processor_seconds();
    let (bounds, rows) = crown_counted(&network, &region, options)?;
    let rows_of = Property::label(network.outputs(), 0)?.rows();
    let slopes = Slopes::default();
    let margins = lower(&network, &region, &bounds, &rows_of, &slopes, options)?;
    let seconds = processor_seconds() - begun;
    for (number, activation) in network.activations().iter().enumerate() {
        let (low, high) = bounds.neurons(&network, number);
        let unstable = low.iter().zip(high).filter(|(l, u)| **l < 0.0 && **u > 0.0);
        println!(
            "{}: {} of {} neurons unstable",
            activation.node,
            unstable.count(),
            activation.neurons
        );
    }
    let least = margins.into_iter().fold(f64::INFINITY, f64::min);
    println!("{rows} rows, {seconds:.1} s of processor time, least margin {least:.3}");
    println!("peak: {:.0} MiB", peak()?);
    Ok(())
}

fn cnn7() -> Net {
    let scaled = |net: Net, name: &str, shape: &[usize]| {
        let count: usize = shape.iter().product();
        let inputs = count / shape[0];
        // Values in [-1, 1] have a variance of 1/3; a ReLU halves that of what it is applied to.
        let factor = (6.0 / inputs as f32).sqrt();
        let values = noise(count as u32, count).into_iter().map(|x| x * factor);
        net.floats(name, shape, &values.collect::<Vec<_>>())
    };
    let mut net = Net::new(13).input("x", &[1, 3, 32, 32]);
    let mut value = "x".to_owned();
    let mut channels = 3;
    for (i, (made, stride)) in [(64, 1), (64, 1), (128, 2), (128, 1), (128, 1)]
        .into_iter()
        .enumerate()
    {
        let [weights, conv, relu] = ["w", "c", "r"].map(|name| format!("{name}{i}"));
        net = scaled(net, &weights, &[made, channels, 3, 3])
            .node_with(
                "Conv",
                &[&value, &weights],
                &conv,
                vec![ints("pads", &[1; 4]), ints("strides", &[stride, stride])],
            )
            .node("Relu", &[&conv], &relu);
        (value, channels) = (relu, made);
    }
    net = net.node("Flatten", &[&value], "flat");
    net = scaled(net, "v0", &[512, channels * 16 * 16]);
    net = scaled(net, "v1", &[10, 512]);
    let bias = |count: usize| vec![0.0; count];
    let transposed = || recert_graph::proto::onnx::AttributeProto {
        name: Some("transB".to_owned()),
        r#type: Some(recert_graph::proto::onnx::attribute_proto::AttributeType::Int.into()),
        i: Some(1),
        ..Default::default()
    };
    net.floats("b0", &[512], &bias(512))
        .floats("b1", &[10], &bias(10))
        .node_with("Gemm", &["flat", "v0", "b0"], "h", vec![transposed()])
        .node("Relu", &["h"], "p")
        .node_with("Gemm", &["p", "v1", "b1"], "y", vec![transposed()])
        .output("y", &[1, 10])
}

/// The processor time that this process has taken.
fn processor_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// The most memory that this process has held, in MiB.
fn peak() -> Result<f64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next());
    Ok(kibibytes
        .ok_or("no VmHWM in /proc/self/status")?
        .parse::<f64>()?
        / 1024.0)
}
