//! What networks compute, by the reference interpreter: the oracle of tests for
//! what rewrites must keep.

use std::collections::HashMap;

use recert_graph::{Builder, Data, Interpreter, Limits, Model, Tensor};

/// A tensor's numbers, those of integers too.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Array {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f64>,
}

impl Array {
    pub(crate) fn new(shape: &[usize], values: Vec<f64>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), values.len());
        Array {
            shape: shape.to_vec(),
            values,
        }
    }

    fn of(tensor: &Tensor) -> Self {
        let values = match (tensor.to_f32(), tensor.to_i64()) {
            (Some(floats), _) => floats.into_iter().map(f64::from).collect(),
            (_, Some(integers)) => integers.into_iter().map(|v| v as f64).collect(),
            _ => panic!("{tensor:?} holds no numbers"),
        };
        Array::new(tensor.shape(), values)
    }
}

/// Every tensor of the network for the given images, by name.
pub(crate) fn run(model: &Model, images: &Array) -> HashMap<String, Array> {
    let graph = Builder::new(model).build().unwrap();
    let interpreter = Interpreter::new(&graph, Limits::default()).unwrap();
    let pixels = images.values.iter().map(|&v| v as f32).collect();
    let images = Tensor::new(images.shape.clone(), Data::Float32(pixels)).unwrap();
    let states = interpreter.run_all(&[images]).unwrap();
    let nodes = graph.nodes().iter();
    let ids = nodes.flat_map(|node| node.inputs.iter().chain(&node.outputs));
    ids.flatten()
        .filter_map(|&id| {
            let name = graph.value(id).name.clone();
            Some((name, Array::of(states.get(id)?)))
        })
        .collect()
}

/// The network's first output.
pub(crate) fn outputs(model: &Model, images: &Array) -> Vec<f64> {
    let name = model.graph_proto().output[0].name();
    run(model, images)[name].values.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    #[test]
    fn agrees_with_onnx_runtime() {
        let (model, images) = (golden::network(), golden::images());
        golden::assert_close(&outputs(&model, &images), &golden::floats("float32"), 1e-5);
    }
}
