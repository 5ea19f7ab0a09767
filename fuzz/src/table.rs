//! Outcomes of many networks, counted by engine and by family of operators.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::compare::Outcome;

/// One network in one engine, as a line of results.
#[derive(Debug, Clone)]
pub struct Row {
    /// Which network.
    pub subject: String,
    /// In which engine.
    pub engine: String,
    /// The network's operators.
    pub operators: Vec<String>,
    /// What became of it.
    pub outcome: Outcome,
}

impl Row {
    /// The line.
    pub fn line(&self) -> String {
        let operators = self.operators.join(" ");
        format!(
            "{}\t{}\t{operators}\t{}",
            self.subject, self.engine, self.outcome
        )
    }

    /// Reads a line.
    pub fn parse(line: &str) -> Option<Self> {
        let mut fields = line.splitn(4, '\t');
        Some(Self {
            subject: fields.next()?.to_owned(),
            engine: fields.next()?.to_owned(),
            operators: fields.next()?.split(' ').map(str::to_owned).collect(),
            outcome: Outcome::parse(fields.next()?)?,
        })
    }
}

/// Families, by the operators of which a network has one.
const FAMILIES: [(&str, &[&str]); 20] = [
    ("Conv", &["Conv"]),
    ("ConvTranspose", &["ConvTranspose"]),
    ("pooling", &["MaxPool", "AveragePool", "LpPool"]),
    ("global pooling", &["GlobalAveragePool", "GlobalMaxPool"]),
    ("Gemm, MatMul", &["Gemm", "MatMul"]),
    ("BatchNormalization", &["BatchNormalization"]),
    (
        "other normalizations",
        &[
            "InstanceNormalization",
            "LayerNormalization",
            "GroupNormalization",
            "LRN",
            "LpNormalization",
        ],
    ),
    (
        "activations",
        &[
            "Relu",
            "LeakyRelu",
            "Elu",
            "Selu",
            "Celu",
            "Sigmoid",
            "Tanh",
            "Softplus",
            "Softsign",
            "HardSigmoid",
            "HardSwish",
            "Mish",
            "Gelu",
            "ThresholdedRelu",
            "Shrink",
            "PRelu",
            "Erf",
            "Clip",
        ],
    ),
    (
        "other functions",
        &[
            "Abs",
            "Neg",
            "Exp",
            "Log",
            "Sin",
            "Cos",
            "Tan",
            "Atan",
            "Sinh",
            "Cosh",
            "Asinh",
            "Sign",
            "Floor",
            "Ceil",
            "Round",
            "Sqrt",
            "Reciprocal",
            "Pow",
        ],
    ),
    (
        "arithmetic of two and more",
        &["Add", "Sub", "Mul", "Div", "Sum", "Mean", "Max", "Min"],
    ),
    ("Concat, Split", &["Concat", "Split"]),
    ("Slice, Pad, Gather", &["Slice", "Pad", "Gather"]),
    ("Resize", &["Resize"]),
    (
        "Transpose, blocks",
        &["Transpose", "DepthToSpace", "SpaceToDepth"],
    ),
    (
        "reductions",
        &[
            "ReduceMean",
            "ReduceSum",
            "ReduceMax",
            "ReduceMin",
            "ReduceL1",
            "ReduceL2",
            "ReduceSumSquare",
            "ReduceLogSumExp",
            "CumSum",
        ],
    ),
    (
        "Softmax and its like",
        &["Softmax", "LogSoftmax", "Hardmax"],
    ),
    (
        "comparisons, Where",
        &["Where", "Greater", "Less", "GreaterOrEqual", "LessOrEqual"],
    ),
    ("Cast", &["Cast"]),
    ("QuantizeLinear, DequantizeLinear", &["QuantizeLinear"]),
    (
        "operators of integers",
        &[
            "QLinearConv",
            "QLinearMatMul",
            "MatMulInteger",
            "DynamicQuantizeLinear",
        ],
    ),
];

/// Counts of agrees, refused, differs, panicked and died.
type Counts = [usize; 5];

fn place(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Agrees(_) => 0,
        Outcome::Refused(_) => 1,
        Outcome::Differs(_) => 2,
        Outcome::Panicked(_) => 3,
        Outcome::Died(_) => 4,
    }
}

/// The tables in Markdown: by engine, and by family and engine.
pub fn markdown(rows: &[Row]) -> String {
    let mut engines: BTreeMap<&str, Counts> = BTreeMap::new();
    let mut families: BTreeMap<(usize, &str), Counts> = BTreeMap::new();
    let is_quantized = |row: &Row| row.operators.iter().any(|op| op.starts_with('Q'));
    // Networks that the reference does not take are in no engine's row.
    let rows: Vec<&Row> = rows
        .iter()
        .filter(|row| row.engine != "reference")
        .collect();
    for row in &rows {
        engines.entry(&row.engine).or_default()[place(&row.outcome)] += 1;
        for (i, (_, operators)) in FAMILIES.iter().enumerate() {
            if row
                .operators
                .iter()
                .any(|op| operators.contains(&op.as_str()))
            {
                families.entry((i, &row.engine)).or_default()[place(&row.outcome)] += 1;
            }
        }
    }
    let mut text = String::new();
    let _ = writeln!(
        text,
        "| engine | agrees | refused | differs | panicked | died | of these quantized: agrees | refused | differs |"
    );
    let _ = writeln!(text, "|---|---|---|---|---|---|---|---|---|");
    for (engine, [agrees, refused, differs, panicked, died]) in &engines {
        let quantized = |wanted: usize| {
            let of = rows.iter().filter(|row| row.engine == *engine);
            of.filter(|row| is_quantized(row) && place(&row.outcome) == wanted)
                .count()
        };
        let _ = writeln!(
            text,
            "| {engine} | {agrees} | {refused} | {differs} | {panicked} | {died} | {} | {} | {} |",
            quantized(0),
            quantized(1),
            quantized(2)
        );
    }
    let names: Vec<&str> = engines.keys().copied().collect();
    let _ = writeln!(text, "\n| networks with | {} |", names.join(" | "));
    let _ = writeln!(text, "|---|{}", "---|".repeat(names.len()));
    for (i, (family, _)) in FAMILIES.iter().enumerate() {
        let cells: Vec<String> = names
            .iter()
            .map(|engine| match families.get(&(i, engine)) {
                Some([agrees, refused, wrong @ ..]) => {
                    format!("{agrees} / {refused} / {}", wrong.iter().sum::<usize>())
                }
                None => "-".to_owned(),
            })
            .collect();
        let _ = writeln!(text, "| {family} | {} |", cells.join(" | "));
    }
    text
}
