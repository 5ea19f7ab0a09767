//! Layers of a network by what changing one of them alone does: the plot and table from which people choose which
//! layers keep a higher precision.
//!
//! A [`LayerReport`] is a plain struct that the caller fills. From it come a table for a terminal, an SVG
//! plot, and JSON of schema `recert-sensitivity/1`: an object with `schema` and the fields of
//! [`LayerReport`]. Fields may be added under the same version; nothing is renamed, removed or given
//! another meaning.

use serde::Serialize;

use crate::error::Error;
use crate::plot;
use crate::table::{Options, lines};
use crate::text::{self, printable};

/// The schema of the JSON documents.
pub const SCHEMA: &str = "recert-sensitivity/1";

/// An estimate with an interval around it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// The estimate.
    pub estimate: f64,
    /// The lower end.
    pub lower: f64,
    /// The upper end.
    pub upper: f64,
}

/// Layers, each changed alone.
///
/// ```
/// use recert_report::layers::{ChangedLayer, Interval, LayerReport};
///
/// let layer = |name: &str, rate| ChangedLayer {
///     layer: name.to_owned(),
///     change: "int8".to_owned(),
///     weights: 432,
///     pairs: 20_000,
///     disagreement: Interval { estimate: rate, lower: 0.9 * rate, upper: 1.1 * rate },
///     radius_lost: Interval { estimate: 0.001, lower: 0.0, upper: 0.002 },
/// };
/// let report = LayerReport {
///     network: "net.onnx".to_owned(),
///     sigma: 0.25,
///     inputs: 100,
///     samples: 200,
///     original_radius: 0.41,
///     layers: vec![layer("conv1", 0.02), layer("fc", 0.001)],
///     unchanged: Vec::new(),
/// };
/// assert!(report.table().contains("conv1"));
/// assert!(report.svg()?.starts_with("<svg"));
/// # Ok::<(), recert_report::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerReport {
    /// The network's file.
    pub network: String,
    /// Standard deviation of the noise, in units of pixels in [0, 1].
    pub sigma: f64,
    /// The inputs looked at.
    pub inputs: u64,
    /// Samples of each of them.
    pub samples: u64,
    /// The network's own average radius over these inputs, of any class, one-sided, from as many samples as its
    /// certificates have.
    pub original_radius: f64,
    /// The layers, in the network's order and for each the changes in the order in which they were asked for.
    pub layers: Vec<ChangedLayer>,
    /// Layers with the change that would not change one of their weights.
    pub unchanged: Vec<String>,
}

/// A layer that is changed alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChangedLayer {
    /// Its name.
    pub layer: String,
    /// What it becomes.
    pub change: String,
    /// How many weights it has.
    pub weights: u64,
    /// Samples that both networks answered, over all inputs.
    pub pairs: u64,
    /// The share of samples on which they disagree.
    pub disagreement: Interval,
    /// By how much the average radius is expected to fall.
    pub radius_lost: Interval,
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    #[serde(flatten)]
    report: &'a LayerReport,
}

impl LayerReport {
    /// What has to be known to read the figures.
    fn notes(&self) -> Vec<String> {
        let mut notes = vec![
            format!(
                "Each layer is changed alone. Pairs are of {} inputs with {} samples each, at sigma {}, on noise \
                 that no certificate rests on.",
                self.inputs, self.samples, self.sigma
            ),
            "Disagreement: the share of samples on which the two networks answer otherwise, on average over \
             these inputs; each end of a row's interval fails with 2.5 % at most, if the version was fixed before these samples \
             were looked at."
                .to_owned(),
            format!(
                "Radius lost: what the average radius, {} here, is expected to lose, by a model of how often a version \
                 leaves the class, with the range of 95 % of draws of as many inputs: for choosing, and no \
                 certificate.",
                format_args!("{:.4}", self.original_radius)
            ),
        ];
        if !self.unchanged.is_empty() {
            notes.push(format!(
                "Not one weight would change: {}.",
                self.unchanged.join(", ")
            ));
        }
        notes
    }

    /// Writes a table, the layer that loses most radius first.
    pub fn table(&self) -> String {
        let heads = [
            "layer",
            "change",
            "weights",
            "disagreement, %",
            "95 %",
            "radius lost",
            "95 %",
        ];
        let mut layers: Vec<&ChangedLayer> = self.layers.iter().collect();
        layers.sort_by(|a, b| {
            let by_radius = b.radius_lost.estimate.total_cmp(&a.radius_lost.estimate);
            by_radius.then(b.disagreement.estimate.total_cmp(&a.disagreement.estimate))
        });
        let rows = layers.into_iter().map(|layer| {
            let percent = |share: f64| format!("{:.3}", share * 100.0);
            // The ends are bounds: outward.
            let down = |share: f64| percent((share * 1e5).floor() / 1e5);
            let up = |share: f64| percent((share * 1e5).ceil() / 1e5);
            let (often, lost) = (layer.disagreement, layer.radius_lost);
            vec![
                printable(&layer.layer).into_owned(),
                layer.change.clone(),
                text::grouped(layer.weights),
                percent(often.estimate),
                format!("{} to {}", down(often.lower), up(often.upper)),
                format!("{:.5}", lost.estimate),
                format!("{:.5} to {:.5}", lost.lower, lost.upper),
            ]
        });
        let natural = Options {
            width: u16::MAX,
            ..Options::default()
        };
        let mut out = vec![format!("Layers of {}", printable(&self.network))];
        out.extend(lines(&heads, rows, &[0, 1], &natural));
        for note in self.notes() {
            out.extend(text::wrapped(&printable(&note), 80));
        }
        out.push(String::new());
        out.join("\n")
    }

    /// Writes the JSON document.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::ErrorKind::Format) if it cannot be written.
    pub fn json(&self) -> Result<String, Error> {
        let document = Document {
            schema: SCHEMA,
            report: self,
        };
        serde_json::to_string_pretty(&document)
            .map(|text| text + "\n")
            .map_err(|e| Error::format("cannot write the layers as JSON").with_source(e))
    }

    /// Draws each layer's disagreement with its interval as an SVG file that refers to no other, the layers in
    /// the network's order.
    ///
    /// # Errors
    /// [`ErrorKind::Value`](crate::ErrorKind::Value) where there is no layer.
    pub fn svg(&self) -> Result<String, Error> {
        if self.layers.is_empty() {
            return Err(Error::value("a report of no layers"));
        }
        let mut changes: Vec<&str> = Vec::new();
        for layer in &self.layers {
            if !changes.contains(&layer.change.as_str()) {
                changes.push(&layer.change);
            }
        }
        let bars = self.layers.iter().map(|layer| plot::Changed {
            layer: printable(&layer.layer).into_owned(),
            series: (changes.iter().position(|c| *c == layer.change)).expect("it is listed"),
            share: layer.disagreement,
        });
        let subtitle = format!(
            "share of samples on which the network with one layer changed disagrees with it, with 95 % intervals; \
             {} inputs, {} samples each, sigma {}",
            self.inputs, self.samples, self.sigma
        );
        let title = format!("Layers of {}", printable(&self.network));
        Ok(plot::layers(
            &bars.collect::<Vec<_>>(),
            &changes,
            &title,
            &subtitle,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(name: &str, change: &str, rate: f64, lost: f64) -> ChangedLayer {
        let around = |estimate: f64| Interval {
            estimate,
            lower: estimate * 0.5,
            upper: estimate * 2.0,
        };
        ChangedLayer {
            layer: name.to_owned(),
            change: change.to_owned(),
            weights: 4320,
            pairs: 1000,
            disagreement: around(rate),
            radius_lost: around(lost),
        }
    }

    fn report() -> LayerReport {
        LayerReport {
            network: "a<b>.onnx".to_owned(),
            sigma: 0.5,
            inputs: 10,
            samples: 100,
            original_radius: 0.5,
            layers: vec![
                layer("first", "int8", 0.01, 0.001),
                layer("first", "int4", 0.2, 0.05),
                layer("last\u{1b}[2J", "int8", 0.005, 0.002),
            ],
            unchanged: vec!["fc (bf16)".to_owned()],
        }
    }

    #[test]
    fn the_layer_that_loses_most_comes_first() {
        let table = report().table();
        let places = ["int4", "last", "0.001"].map(|word| table.find(word).expect(word));
        assert!(places.is_sorted(), "{table}");
        assert!(
            table.contains("20.000") && table.contains("fc (bf16)"),
            "{table}"
        );
        assert!(!table.contains('\u{1b}'), "{table}");
    }

    #[test]
    fn the_plot_has_every_layer_once_and_every_change_in_its_legend() {
        let svg = report().svg().unwrap();
        assert_eq!(svg.matches("<circle class=\"dot\"").count(), 3 + 2, "{svg}");
        assert_eq!(svg.matches(">first</text>").count(), 1, "{svg}");
        assert!(svg.contains(">int4</text>") && svg.contains(">int8</text>"));
        assert!(!svg.contains("<b>"), "{svg}");
        let empty = LayerReport {
            layers: Vec::new(),
            ..report()
        };
        assert!(empty.svg().is_err());
    }

    #[test]
    fn json_has_the_schema_and_every_field() {
        let json: serde_json::Value = serde_json::from_str(&report().json().unwrap()).unwrap();
        assert_eq!(json["schema"], SCHEMA);
        assert_eq!(json["layers"][1]["disagreement"]["estimate"], 0.2);
        assert_eq!(json["unchanged"][0], "fc (bf16)");
    }
}
