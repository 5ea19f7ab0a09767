//! One input on the page: the image, and beside it the pictures of the kept features.

use maud::{Markup, html};
use recert_num::{format_down, format_up};

use super::{ExplainedInput, Explanation, Grown, KeptFeature};
use crate::error::Error;
use crate::text;

/// The most features of one input that are shown; the card states how many more there are.
const MOST: usize = 12;

/// The most grown intervals of one input that are shown.
const MOST_GROWN: usize = 5;

/// Width of the bars of grown intervals, in SVG units.
const BAR: f64 = 150.0;

/// A neuron that is kept by some network: its feature in each.
struct Column<'a> {
    neuron: u32,
    kept: Vec<Option<&'a KeptFeature>>,
    /// The cosine similarity of the pictures, where both keep it.
    cosine: Option<f64>,
}

/// The input, its image, and its features.
pub(super) fn card(explanation: &Explanation, input: &ExplainedInput) -> Result<Markup, Error> {
    let networks = &explanation.networks;
    let all = columns(input);
    let shown = &all[..all.len().min(MOST)];
    let pictures = shown
        .iter()
        .map(|column| column.draw(input))
        .collect::<Result<Vec<_>, _>>()?;
    let image = match &input.image {
        Some(image) => image.image()?,
        None => String::new(),
    };
    let label = match (input.label, input.class) {
        (Some(label), _) => format!("label {label}"),
        (None, Some(class)) => format!("answered {class}"),
        (None, None) => String::new(),
    };
    let words: Vec<Markup> = (0..networks.len())
        .map(|n| summary(explanation, input, n))
        .collect();
    Ok(html! {
        article.card {
            div.shot {
                img.pixels src=(image) alt={ "input " (input.idx) };
                p { b { "input " (input.idx) } " " (label) }
            }
            div.side {
                @for words in &words { p.network { (words) } }
                div.strip {
                    @for picture in &pictures { (picture) }
                    @if all.len() > shown.len() {
                        p.more { "and " (all.len() - shown.len()) " more" }
                    }
                }
                (grown(explanation, input))
            }
        }
    })
}

/// What a network's proof of the input is, in a line.
fn summary(explanation: &Explanation, input: &ExplainedInput, network: usize) -> Markup {
    let proof = &input.proofs[network];
    let name = &explanation.networks[network].network;
    let margin = proof
        .margin
        .map(|margin| format_down(margin, 3))
        .unwrap_or_default();
    let several = explanation.networks.len() > 1;
    html! {
        @if several { b { (name) } " " }
        @if let Some(counts) = proof.counts {
            b { (proof.kept.len()) } " of " (text::counted(counts.features, "feature"))
            span.which { "margin \u{2265} " (margin) }
            span.which { "weight only " (counts.weight) ", random " (counts.random) }
        } @else if input.is_right(network) {
            span.lost { "not proved" }
            @if !margin.is_empty() { span.which { "margin \u{2265} " (margin) } }
        } @else {
            span.lost { "answered wrongly" }
        }
    }
}

/// The kept features of all networks, the first network's largest priority first.
fn columns(input: &ExplainedInput) -> Vec<Column<'_>> {
    let mut columns: Vec<Column<'_>> = Vec::new();
    for (network, proof) in input.proofs.iter().enumerate() {
        for kept in &proof.kept {
            let known = columns
                .iter()
                .position(|column| column.neuron == kept.neuron);
            let position = known.unwrap_or_else(|| {
                columns.push(Column {
                    neuron: kept.neuron,
                    kept: vec![None; input.proofs.len()],
                    cosine: None,
                });
                columns.len() - 1
            });
            columns[position].kept[network] = Some(kept);
        }
    }
    if let Some(compared) = &input.comparison {
        for column in &mut columns {
            let shared = compared
                .shared
                .iter()
                .position(|&neuron| neuron == column.neuron);
            column.cosine = shared.and_then(|shared| *compared.cosines.get(shared)?);
        }
    }
    columns
}

impl Column<'_> {
    fn draw(&self, input: &ExplainedInput) -> Result<Markup, Error> {
        // A network without a proof keeps nothing, which its line above says.
        let proved = (self.kept.iter().zip(&input.proofs)).filter(|(_, proof)| proof.is_proved());
        let cells = proved.map(|(kept, _)| match kept {
            Some(kept) => drawn(kept),
            None => Ok(html! { div.blank { "not kept" } }),
        });
        let cells = cells.collect::<Result<Vec<_>, _>>()?;
        let closest = input.comparison.as_ref().and_then(|compared| {
            let kept = input.proofs[0].kept.iter();
            let position = kept
                .map(|kept| kept.neuron)
                .position(|neuron| neuron == self.neuron)?;
            compared.closest.get(position).copied().flatten()
        });
        Ok(html! {
            div.feature {
                p.neuron { "neuron " (self.neuron) }
                @for cell in &cells { (cell) }
                @if let Some(cosine) = self.cosine { p.cosine { "cosine " (signed(cosine)) } }
                @if let Some(closest) = closest.filter(|closest| closest.neuron != self.neuron) {
                    p.cosine { "closest " (closest.neuron) ", " (signed(closest.cosine)) }
                }
            }
        })
    }
}

/// A kept feature: its picture, interval and priority.
fn drawn(kept: &KeptFeature) -> Result<Markup, Error> {
    let words = format!(
        "neuron {}: interval {}, weight {:.4}, priority {:.4}",
        kept.neuron,
        interval(kept.interval),
        kept.weight,
        kept.priority
    );
    Ok(match &kept.picture {
        Some(picture) => {
            let (map, scale) = picture.map()?;
            html! {
                figure title=(words) {
                    img.pixels src=(map) alt=(words);
                    figcaption { "\u{b1}" (figures(scale)) span { (interval(kept.interval)) } }
                }
            }
        }
        None => {
            html! { div.blank title=(words) { (interval(kept.interval)) } }
        }
    })
}

/// A number for the eye, with three digits.
fn figures(number: f64) -> String {
    directed(number, |number, digits| format!("{number:.digits$}"))
}

/// An interval for the eye, rounded outward.
fn interval([lower, upper]: [f64; 2]) -> String {
    let (lower, upper) = (directed(lower, format_down), directed(upper, format_up));
    format!("[{lower}, {upper}]")
}

/// A number with about three digits, by a function of it and the digits after the point.
fn directed(number: f64, write: fn(f64, usize) -> String) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    let digits = 2 - number.abs().log10().floor() as i32;
    write(number, digits.clamp(0, 6) as usize)
}

fn signed(cosine: f64) -> String {
    format!("{cosine:.2}").replace('-', "\u{2212}")
}

/// The intervals that grew where one network has no proof.
fn grown(explanation: &Explanation, input: &ExplainedInput) -> Markup {
    let Some(lost) = input.lost().filter(|&lost| input.is_right(lost)) else {
        return Markup::default();
    };
    if input.grown.is_empty() {
        return html! {
            div.grown {
                p.muted {
                    "No interval grew by what explains it: the last layer's weights differ, or a neuron went that \
                     carried the proof."
                }
            }
        };
    }
    let shown = &input.grown[..input.grown.len().min(MOST_GROWN)];
    let ends = || shown.iter().flat_map(|grown| grown.intervals.concat());
    let low = ends().fold(0.0, f64::min);
    let high = ends().fold(f64::MIN_POSITIVE, f64::max);
    let names = [1 - lost, lost].map(|n| explanation.networks.get(n).map_or("", |n| &n.network));
    html! {
        div.grown {
            p.muted {
                "Intervals that grew most from " (names[0]) " (upper bar) to " (names[1]) ", and what that can cost of a margin:"
            }
            table {
                tbody {
                    @for grown in shown {
                        tr {
                            td.n { "neuron " (grown.neuron) }
                            td { (bars(grown, low, high)) }
                            td.n { @let [a, b] = grown.intervals.map(|[l, u]| figures(u - l)); (a) " \u{2192} " (b) }
                            td.n { "\u{2212}" (figures(grown.loss)) }
                        }
                    }
                }
            }
        }
    }
}

/// Two intervals, one above the other, on one scale.
fn bars(grown: &Grown, low: f64, high: f64) -> Markup {
    let place = |value: f64| ((value - low) / (high - low) * BAR * 10.0).round() / 10.0;
    html! {
        svg.bars viewBox={ "0 0 " (BAR) " 16" } width=(BAR) height="16" role="img"
            aria-label={ "neuron " (grown.neuron) }
        {
            @for (index, [lower, upper]) in grown.intervals.iter().enumerate() {
                rect class=(["v0", "v2"][index]) x=(place(*lower)) y=(1 + 8 * index)
                    width=((place(*upper) - place(*lower)).max(1.0)) height="6" rx="1"
                {
                    title { (interval([*lower, *upper])) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_shown_no_narrower_than_they_are() {
        for (numbers, shown) in [
            ([0.0, 0.123_45], "[0, 0.124]"),
            ([-0.123_45, 12.345], "[-0.124, 12.4]"),
            ([123.45, 12_345.6], "[123, 12346]"),
        ] {
            assert_eq!(interval(numbers), shown);
        }
    }
}
