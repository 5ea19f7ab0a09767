//! Raises an older operator set to 13, the first in which scales can follow
//! an axis, without changing what any operator means.

use recert_graph::index::{
    attribute, float_attribute, int_attribute, is_standard, node_name, output, standard_op,
};
use recert_graph::proto::onnx::attribute_proto::AttributeType;
use recert_graph::proto::onnx::{AttributeProto, NodeProto};
use recert_graph::{Error, ErrorKind, Result, stored};

use crate::draft::{Draft, int, set};
use crate::rank::ranks;

const TARGET: i64 = 13;

/// Operators that mean the same, for the attributes they have, from the given
/// version through 13 (ONNX's operator changelog). Later versions allowed more
/// types or inputs only.
const SAME_SINCE: &[(&str, i64)] = &[
    ("Abs", 6),
    ("Add", 7),
    ("And", 7),
    ("ArgMax", 1),
    ("ArgMin", 1),
    ("AveragePool", 7),
    ("BatchNormalization", 9),
    ("Cast", 6),
    ("Ceil", 6),
    ("Clip", 11),
    ("Concat", 4),
    ("Constant", 1),
    ("ConstantOfShape", 9),
    ("Conv", 1),
    ("ConvTranspose", 1),
    ("DepthToSpace", 1),
    ("Div", 7),
    ("Dropout", 12),
    ("Elu", 6),
    ("Equal", 7),
    ("Erf", 9),
    ("Exp", 6),
    ("Expand", 8),
    ("Flatten", 1),
    ("Floor", 6),
    ("Gather", 1),
    ("Gemm", 7),
    ("GlobalAveragePool", 1),
    ("GlobalMaxPool", 1),
    ("Greater", 7),
    ("HardSigmoid", 6),
    ("Identity", 1),
    ("InstanceNormalization", 6),
    ("LRN", 1),
    ("LeakyRelu", 6),
    ("Less", 7),
    ("Log", 6),
    ("MatMul", 1),
    ("Max", 8),
    ("MaxPool", 1),
    ("Mean", 8),
    ("Min", 8),
    ("Mul", 7),
    ("Neg", 6),
    ("Not", 1),
    ("Or", 7),
    ("PRelu", 9),
    ("Pad", 11),
    ("Pow", 7),
    ("ReduceMax", 1),
    ("ReduceMean", 1),
    ("ReduceMin", 1),
    ("Relu", 6),
    ("Reshape", 5),
    ("Selu", 6),
    ("Shape", 1),
    ("Sigmoid", 6),
    ("Slice", 10),
    ("Softplus", 1),
    ("SpaceToDepth", 1),
    ("Sqrt", 6),
    ("Sub", 7),
    ("Sum", 8),
    ("Tanh", 6),
    ("Tile", 6),
    ("Transpose", 1),
    ("Where", 9),
];

/// Raises the standard operator set to 13 where it is older.
///
/// # Errors
///
/// [`ErrorKind::Unsupported`] naming the first operator that may mean
/// something else there.
pub(super) fn raise_to_13(draft: &mut Draft) -> Result<()> {
    let version = draft.opset();
    if version >= TARGET {
        return Ok(());
    }
    if version < 7 {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "int8 needs operator set 13, and set {version} is too old to raise; export the network again"
            ),
        ));
    }
    for position in 0..draft.graph().node.len() {
        let node = &draft.graph().node[position];
        let op = standard_op(node).to_owned();
        let same = SAME_SINCE
            .iter()
            .any(|(name, since)| *name == op && *since <= version);
        if !is_standard(node.domain()) || same {
            continue;
        }
        let raised = match op.as_str() {
            "Squeeze" | "Unsqueeze" | "ReduceSum" => axes_to_input(draft, position),
            "Clip" => bounds_to_inputs(draft, position),
            "Dropout" => dropout_to_identity(draft, position)?,
            // Statistics of every value of an image on its own, which 9 left out.
            "BatchNormalization" if int_attribute(node, "spatial", 1) == 1 => {
                take_attribute(&mut draft.graph_mut().node[position], "spatial");
                true
            }
            "Pad" => pads_to_inputs(draft, position),
            "Slice" => ranges_to_inputs(draft, position),
            "Split" => split_to_input(draft, position),
            "Upsample" | "Resize" if version <= 10 => to_resize_11(draft, position),
            "Softmax" | "LogSoftmax" => {
                let rank = ranks(draft.graph(), &draft.index()?)?
                    .get(output(node))
                    .copied();
                pin_axis(draft, rank, position)
            }
            _ => false,
        };
        if !raised {
            let place = node_name(&draft.graph().node[position], position);
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "int8 needs operator set 13, where `{op}` (node `{place}`) may mean something else than in \
                     set {version}; export the network again with operator set 13 or later"
                ),
            ));
        }
    }
    let model = draft.model_mut();
    // Format version 7 came with operator set 13's predecessor and is what
    // checkers expect of it.
    model.ir_version = Some(model.ir_version().max(7));
    for set in model
        .opset_import
        .iter_mut()
        .filter(|set| is_standard(set.domain()))
    {
        set.version = Some(TARGET);
    }
    Ok(())
}

fn take_attribute(node: &mut NodeProto, name: &str) {
    node.attribute.retain(|attribute| attribute.name() != name);
}

/// The attribute `axes` became an input.
fn axes_to_input(draft: &mut Draft, position: usize) -> bool {
    let node = &draft.graph().node[position];
    let Some(axes) = attribute(node, "axes").map(|axes| axes.ints.clone()) else {
        // Without axes, all are meant in every version.
        return node.op_type() != "Unsqueeze";
    };
    let wanted = format!("{}_axes", output(node));
    let name = draft.fresh_name(&wanted);
    draft.add_initializer(stored::from_i64(&name, &[axes.len()], &axes));
    let node = &mut draft.graph_mut().node[position];
    take_attribute(node, "axes");
    node.input.truncate(1);
    node.input.push(name);
    true
}

/// The attributes `min` and `max` became inputs.
fn bounds_to_inputs(draft: &mut Draft, position: usize) -> bool {
    for (bound, at) in [("min", 1), ("max", 2)] {
        let node = &draft.graph().node[position];
        let value = attribute(node, bound).map(recert_graph::proto::onnx::AttributeProto::f);
        let mut name = String::new();
        if let Some(value) = value {
            let wanted = format!("{}_{bound}", output(node));
            name = draft.fresh_name(&wanted);
            draft.add_initializer(stored::from_f32(&name, &[], &[value]));
        }
        let node = &mut draft.graph_mut().node[position];
        take_attribute(node, bound);
        node.input.truncate(at);
        node.input.push(name);
    }
    true
}

/// A list of integers as an input, named after the node's output.
fn list_input(draft: &mut Draft, position: usize, what: &str, list: &[i64]) -> String {
    let wanted = format!("{}_{what}", output(&draft.graph().node[position]));
    let name = draft.fresh_name(&wanted);
    draft.add_initializer(stored::from_i64(&name, &[list.len()], list));
    name
}

/// Puts inputs behind the first one.
fn set_inputs(draft: &mut Draft, position: usize, inputs: Vec<String>) {
    let node = &mut draft.graph_mut().node[position];
    node.input.truncate(1);
    node.input.extend(inputs);
}

fn list(node: &NodeProto, name: &str) -> Option<Vec<i64>> {
    attribute(node, name).map(|found| found.ints.clone())
}

/// The attributes `pads` and `value` became inputs in 11.
fn pads_to_inputs(draft: &mut Draft, position: usize) -> bool {
    let node = &draft.graph().node[position];
    let value = float_attribute(node, "value", 0.0);
    let Some(pads) = list(node, "pads") else {
        return false;
    };
    let pads = list_input(draft, position, "pads", &pads);
    let wanted = format!("{}_value", output(&draft.graph().node[position]));
    let fill = draft.fresh_name(&wanted);
    draft.add_initializer(stored::from_f32(&fill, &[], &[value]));
    set_inputs(draft, position, vec![pads, fill]);
    let node = &mut draft.graph_mut().node[position];
    take_attribute(node, "pads");
    take_attribute(node, "value");
    true
}

/// The attributes `starts`, `ends` and `axes` became inputs in 10.
fn ranges_to_inputs(draft: &mut Draft, position: usize) -> bool {
    let node = &draft.graph().node[position];
    let (Some(starts), Some(ends)) = (list(node, "starts"), list(node, "ends")) else {
        return false;
    };
    let axes = list(node, "axes").unwrap_or_else(|| (0..starts.len() as i64).collect());
    let inputs = [("starts", starts), ("ends", ends), ("axes", axes)];
    let inputs = inputs.map(|(name, list)| {
        take_attribute(&mut draft.graph_mut().node[position], name);
        list_input(draft, position, name, &list)
    });
    set_inputs(draft, position, inputs.to_vec());
    true
}

/// The attribute `split` became an input in 13; equal parts are meant without it, as before.
fn split_to_input(draft: &mut Draft, position: usize) -> bool {
    if let Some(parts) = list(&draft.graph().node[position], "split") {
        let parts = list_input(draft, position, "split", &parts);
        set_inputs(draft, position, vec![parts]);
        take_attribute(&mut draft.graph_mut().node[position], "split");
    }
    true
}

/// `Upsample` of 7 and 9 and `Resize` of 10 take the value at `floor(x / scale)`, or between
/// the neighbours of `x / scale`: since 11, `Resize` states that by attributes.
fn to_resize_11(draft: &mut Draft, position: usize) -> bool {
    let node = &draft.graph().node[position];
    let scales = match (attribute(node, "scales"), node.input.get(1)) {
        (Some(scales), None) => {
            let scales = scales.floats.clone();
            let wanted = format!("{}_scales", output(node));
            let name = draft.fresh_name(&wanted);
            draft.add_initializer(stored::from_f32(&name, &[scales.len()], &scales));
            name
        }
        (None, Some(scales)) => scales.clone(),
        _ => return false,
    };
    // No region of interest.
    set_inputs(draft, position, vec![String::new(), scales]);
    let node = &mut draft.graph_mut().node[position];
    node.op_type = Some("Resize".to_owned());
    take_attribute(node, "scales");
    set(node, text("coordinate_transformation_mode", "asymmetric"));
    set(node, text("nearest_mode", "floor"));
    true
}

fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::String.into()),
        s: Some(value.as_bytes().to_vec().into()),
        ..AttributeProto::default()
    }
}

/// When a network is used, not trained, `Dropout` passes its input on.
fn dropout_to_identity(draft: &mut Draft, position: usize) -> Result<bool> {
    let index = draft.index()?;
    let mask = draft.graph().node[position].output.get(1);
    let taken = |mask: &String| index.is_output(mask) || !index.uses(mask).is_empty();
    if mask.is_some_and(|mask| !mask.is_empty() && taken(mask)) {
        return Ok(false);
    }
    let node = &mut draft.graph_mut().node[position];
    node.op_type = Some("Identity".to_owned());
    node.input.truncate(1);
    node.output.truncate(1);
    node.attribute.clear();
    Ok(true)
}

/// Before 13 the operator ran over all axes from `axis` on, since then over
/// that one: the same if it is the last.
fn pin_axis(draft: &mut Draft, rank: Option<usize>, position: usize) -> bool {
    let axis = int_attribute(&draft.graph().node[position], "axis", 1);
    let Some(rank) = rank else {
        return false;
    };
    if axis != -1 && axis != rank as i64 - 1 {
        return false;
    }
    set(&mut draft.graph_mut().node[position], int("axis", -1));
    true
}
