//! The margin of a cell of parameters by each method, and the parameter to cut it along.

use recert_num::directed::sub_down;

use super::cell::Cell;
use super::image::apply;
use super::pixels::{PixelBox, Transformed};
use super::search::{Sample, Sampler};
use super::verify::Work;
use crate::error::Result;
use crate::hybrid::{self, Forms};
use crate::network::Network;
use crate::property::Rows;
use crate::region::Region;
use crate::slopes::Slopes;

/// How the outputs are bounded over a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Interval bound propagation on a box of pixels; the label's lower bound is compared with
    /// the others' upper bounds, as in CGT.
    Intervals(PixelBox),
    /// Interval bound propagation on a box, with the last layer merged into the margins.
    Merged(PixelBox),
    /// Forward bounds linear in the parameters, with the last layer merged.
    Forward,
    /// CROWN, backwards to the pixels and on to the parameters, on the intermediate bounds of
    /// [`Method::Forward`].
    Crown,
}

/// Bounds of cells for one image.
pub(crate) struct Bounder<'a> {
    pub(crate) network: &'a Network,
    pub(crate) transformed: &'a Transformed<'a>,
    pub(crate) rows: &'a Rows,
    pub(crate) label: usize,
    /// Memory and threads of CROWN.
    pub(crate) bounding: crate::Options,
    pub(crate) work: Work,
}

/// What is known of a cell.
pub(crate) struct Bounded {
    /// The method that proves the most.
    pub(crate) method: Method,
    /// The lower bound of the smallest margin by it.
    pub(crate) margin: f64,
    /// The lines of the pixels, where they were needed.
    region: Option<Region>,
}

impl Bounder<'_> {
    /// Tries methods in order until one proves the cell.
    pub(crate) fn bound(&mut self, cell: &Cell, methods: &[Method]) -> Result<Bounded> {
        let mut best = Bounded {
            method: methods[0],
            margin: f64::NEG_INFINITY,
            region: None,
        };
        // Forward bounds are made once, for themselves and for CROWN.
        let mut forms: Option<Forms> = None;
        for &method in methods {
            let margins = match method {
                Method::Intervals(pixels) => self.differences(cell, pixels)?,
                Method::Merged(pixels) => {
                    self.work.interval += 1;
                    let forms = hybrid::propagate(self.network, &self.boxed(cell, pixels)?)?;
                    forms.margins(self.network, self.rows)
                }
                Method::Forward | Method::Crown => {
                    let region = match best.region.take() {
                        Some(region) => region,
                        None => self.transformed.region(cell)?,
                    };
                    let made = if let Some(forms) = forms.take() {
                        forms
                    } else {
                        self.work.forward += 1;
                        hybrid::propagate(self.network, &region)?
                    };
                    let margins = if method == Method::Forward {
                        made.margins(self.network, self.rows)
                    } else {
                        self.crown(&region, &made)?
                    };
                    (best.region, forms) = (Some(region), Some(made));
                    margins
                }
            };
            let margin = least(margins);
            if margin > best.margin {
                (best.method, best.margin) = (method, margin);
            }
            if margin > 0.0 {
                break;
            }
        }
        Ok(best)
    }

    fn boxed(&self, cell: &Cell, pixels: PixelBox) -> Result<Region> {
        let [lower, upper] = self.transformed.pixels(cell, pixels)?;
        Ok(Region::Box { lower, upper })
    }

    /// The label's lower bound less each other class's upper bound.
    fn differences(&mut self, cell: &Cell, pixels: PixelBox) -> Result<Vec<f64>> {
        self.work.interval += 1;
        let forms = hybrid::propagate(self.network, &self.boxed(cell, pixels)?)?;
        let (lower, upper) = forms.outputs(self.network);
        let others = (0..upper.len()).filter(|&class| class != self.label);
        Ok(others
            .map(|class| sub_down(lower[self.label], upper[class]))
            .collect())
    }

    fn crown(&mut self, region: &Region, forms: &Forms) -> Result<Vec<f64>> {
        self.work.crown += 1;
        let bounds = forms.bounds(self.network);
        let slopes = Slopes::default();
        crate::lower(
            self.network,
            region,
            &bounds,
            self.rows,
            &slopes,
            self.bounding,
        )
    }

    /// For each parameter, the sum over pixels of how much the smallest margin changes with the
    /// pixel, times how much the pixel changes over the cell.
    pub(crate) fn influence(
        &self,
        cell: &Cell,
        bounded: &Bounded,
        centre: &Sample,
        sampler: &Sampler<'_>,
    ) -> Result<Vec<f64>> {
        let made;
        let region = if let Some(region) = &bounded.region {
            region
        } else {
            made = self.transformed.region(cell)?;
            &made
        };
        let parameters = &centre.parameters;
        let image = apply(
            sampler.transformation,
            sampler.extents,
            sampler.image,
            parameters,
        )?;
        let outputs = self.network.evaluate(&image);
        let rival = (0..outputs.len())
            .filter(|&class| class != self.label)
            .max_by(|&a, &b| outputs[a].total_cmp(&outputs[b]));
        let mut cotangent = vec![0.0; outputs.len()];
        cotangent[self.label] = 1.0;
        if let Some(rival) = rival {
            cotangent[rival] = -1.0;
        }
        let gradient = self.network.gradient(&image, &cotangent);
        let Region::Parametric { lower, upper, .. } = region else {
            unreachable!("a transformed image gives a parametric region");
        };
        let parameters = parameters.len();
        let mut influence = vec![0.0; parameters];
        for (pixel, weight) in gradient.iter().enumerate() {
            for (index, influence) in influence.iter_mut().enumerate() {
                let at = pixel * parameters + index;
                *influence += weight.abs() * lower.slope[at].abs().max(upper.slope[at].abs());
            }
        }
        Ok(influence)
    }
}

/// The least of several bounds; one that is NaN proves nothing.
fn least(bounds: impl IntoIterator<Item = f64>) -> f64 {
    bounds.into_iter().fold(f64::INFINITY, |least, bound| {
        if bound.is_nan() {
            f64::NEG_INFINITY
        } else {
            least.min(bound)
        }
    })
}
