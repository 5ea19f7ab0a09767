//! The page of an explanation: figures, a plot, and the inputs with their pictures.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::metrics::{Count, by_priority, by_random, by_weight, counts};
use super::picture::ENDS;
use super::table::{CAPTION, HEADS, WORDS, rows, versus_rows, versus_title};
use super::{ExplainedInput, Explanation, InputProof, VersusMetrics, card};
use crate::error::Error;
use crate::plot::{self, KeptCurve, Look, Size};
use crate::text;

/// Nothing from outside the page is loaded, and nothing is sent; pictures are within it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
     img-src data:";

/// What the pictures are.
const PICTURES: &str = "Each picture is the gradient of the middle of a kept feature's interval with \
     respect to the image, summed over its channels: where it is red a brighter pixel raises the feature, \
     where it is blue it lowers it, and where it is white it has no influence. Colours are symmetric around \
     0; their ends stand for the largest magnitude in the picture, which is stated below it.";

/// The rest of the caption, where there are two networks.
const TWO: &str = "Pictures of the same neuron in both networks stand one above the other, the first network's above, with the cosine \
     similarity of the two. Neurons are compared by position: of networks that were trained apart, a position \
     means nothing, and the most similar picture, stated beside it, means more.";

/// What a proof feature states.
const STATEMENT: &str = "A kept set suffices: with the last layer's weights of all other neurons set to zero, \
     the same bounds still prove the property. That says what a proof rests on, and not what the \
     network uses elsewhere. Bounds are outward-rounded (SOUNDNESS.md, \"Deterministic bounds\").";

/// The most inputs that the table of all of them lists.
const LISTED: usize = 10_000;

/// Writes the explanation as one HTML page, which refers to no other file. Inputs that have an
/// image are shown with their pictures.
///
/// # Errors
///
/// If the explanation does not pass [`Explanation::check`].
pub fn html(explanation: &Explanation) -> Result<String, Error> {
    explanation.check()?;
    let explanation = &explanation.printable();
    Ok(page(explanation)?.into_string())
}

fn page(explanation: &Explanation) -> Result<Markup, Error> {
    let versus = VersusMetrics::new(explanation);
    let pictures = pictures(explanation)?;
    Ok(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (explanation.title) }
                style {
                    (PreEscaped(include_str!("../html/style.css")))
                    (PreEscaped(include_str!("features.css")))
                }
            }
            body {
                main {
                    header {
                        p.eyebrow { "Proof features: what certificates by bounds rest on" }
                        h1 { (explanation.title) }
                        p.muted { (explanation.generated) }
                        (facts(explanation))
                        section.statement {
                            h2 { "What is explained" }
                            @if !explanation.statement.is_empty() {
                                p { "The property: " (explanation.statement) "." }
                            }
                            p { (STATEMENT) }
                        }
                    }
                    (figures(explanation))
                    (kept_plot(explanation))
                    @if let Some(versus) = &versus { (side_by_side(explanation, versus)) }
                    (pictures)
                    (inputs(explanation))
                }
                script { (PreEscaped(include_str!("../html/sort.js"))) }
            }
        }
    })
}

fn facts(explanation: &Explanation) -> Markup {
    html! {
        dl.facts {
            div {
                dt { "Networks" }
                @for network in &explanation.networks {
                    dd {
                        (network.network)
                        span.engine {
                            (text::counted(network.neurons, "neuron")) " in the penultimate layer; answers by " (network.engine)
                            "; preprocessing " (network.preprocessing)
                        }
                        @if !network.network_sha256.is_empty() { code { "sha256 " (network.network_sha256) } }
                    }
                }
            }
            div { dt { "Inputs" } dd { (explanation.data) " (" (text::counted(explanation.inputs.len() as u64, "input")) ")" } }
            div { dt { "Property and method" } dd { (explanation.specification) ", by " (explanation.method) } }
        }
    }
}

fn figures(explanation: &Explanation) -> Markup {
    html! {
        section {
            h2 { "Features of the proofs" }
            p.muted { (CAPTION) }
            div.scroll {
                table {
                    thead {
                        tr {
                            @for (position, head) in HEADS.iter().enumerate() {
                                th.n[!WORDS.contains(&position)] scope="col" { (head) }
                            }
                        }
                    }
                    tbody {
                        @for row in rows(explanation) {
                            tr {
                                @for (position, cell) in row.iter().enumerate() {
                                    @let word = WORDS.contains(&position);
                                    td.word[word].n[!word].main[position == 4 && row[3] == "priority"] { (cell) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The share of proofs that keep at most so many features, a line for each network and order.
fn kept_plot(explanation: &Explanation) -> Markup {
    let orders: [(&str, Count); 3] = [
        ("by priority", by_priority),
        ("by weight only", by_weight),
        ("at random", by_random),
    ];
    let mut curves = Vec::new();
    for (position, network) in explanation.networks.iter().enumerate() {
        for (colour, (order, count)) in orders.iter().enumerate() {
            let counts = counts(explanation, position, *count);
            let name = format!("{}, pruned {order}", network.network);
            curves.push(KeptCurve {
                look: Look::new(colour, position, false),
                name,
                counts,
            });
        }
    }
    curves.retain(|curve| !curve.counts.is_empty());
    if curves.is_empty() {
        return Markup::default();
    }
    html! {
        figure {
            figcaption {
                h2 { "How few features carry the proofs" }
                p.muted { "Share of the proofs that keep at most so many features. Further up is fewer features." }
            }
            (Size::both(|size| plot::kept(&curves, size)))
            ul.legend {
                @for curve in &curves { li { (curve.look.swatch()) span { (curve.name) } } }
            }
        }
    }
}

fn side_by_side(explanation: &Explanation, versus: &VersusMetrics) -> Markup {
    html! {
        section {
            h2 { "Side by side" }
            p.muted { (versus_title(explanation)) ". Means are over the inputs that both prove." }
            div.scroll {
                table.narrow-table {
                    tbody {
                        @for (name, figure) in versus_rows(versus) { tr { td.word { (name) } td.n.main { (figure) } } }
                    }
                }
            }
        }
    }
}

/// The inputs that have an image and a proof.
fn pictures(explanation: &Explanation) -> Result<Markup, Error> {
    let shown = || {
        let proved = |input: &&ExplainedInput| input.proofs.iter().any(InputProof::is_proved);
        explanation
            .inputs
            .iter()
            .filter(|i| i.image.is_some())
            .filter(proved)
    };
    let count = shown().count();
    if count == 0 {
        return Ok(Markup::default());
    }
    let both = |input: &&ExplainedInput| input.proofs.iter().all(InputProof::is_proved);
    let (proved, lost): (Vec<_>, Vec<_>) = shown().partition(both);
    let cards = |inputs: &[&ExplainedInput]| {
        let cards = inputs.iter().map(|input| card::card(explanation, input));
        cards.collect::<Result<Vec<_>, _>>()
    };
    let (proved, lost) = (cards(&proved)?, cards(&lost)?);
    let two = explanation.networks.len() == 2;
    let with_a_proof = explanation
        .inputs
        .iter()
        .filter(|input| input.proofs.iter().any(InputProof::is_proved));
    let left_out = with_a_proof.count() - count;
    let [negative, zero, positive] = ENDS.map(|[r, g, b]| format!("rgb({r} {g} {b})"));
    Ok(html! {
        section {
            h2 { "What the kept features see" }
            p.muted { (PICTURES) @if two { " " (TWO) } }
            div.scale aria-hidden="true" {
                span { "\u{2212}max" }
                i style={ "background: linear-gradient(to right, " (negative) ", " (zero) ", " (positive) ")" } {}
                span { "+max" }
            }
            @if two && !proved.is_empty() { h3 { "Proved for both networks" } }
            @for card in &proved { (card) }
            @if !lost.is_empty() { h3 { "Proved for one network alone" } }
            @for card in &lost { (card) }
            @if left_out > 0 {
                p.muted { (text::counted(left_out as u64, "further proved input")) " without pictures; all figures are of all inputs." }
            }
        }
    })
}

/// Every input, with the features that are kept.
fn inputs(explanation: &Explanation) -> Markup {
    let all = &explanation.inputs;
    html! {
        section.inputs {
            h2 { "All inputs" }
            p.muted { "Margin: a lower bound, rounded down. Neurons: those kept, the largest priority first." }
            @for (position, network) in explanation.networks.iter().enumerate() {
                details open[all.len() <= 100] {
                    summary { (network.network) }
                    div.scroll {
                        table.sortable {
                            thead {
                                tr {
                                    @for head in ["input", "class", "answer", "margin", "features", "kept", "weight only", "random", "neurons"] {
                                        th.n[head != "neurons"] scope="col" { button type="button" { (head) } }
                                    }
                                }
                            }
                            tbody {
                                @for input in all.iter().take(LISTED) { (row(input, position)) }
                            }
                        }
                    }
                    @if all.len() > LISTED { p.muted { (text::grouped((all.len() - LISTED) as u64)) " further inputs are not listed." } }
                }
            }
        }
    }
}

fn row(input: &ExplainedInput, network: usize) -> Markup {
    let proof = &input.proofs[network];
    let none = || text::NONE.to_owned();
    let class = |class: Option<u32>| class.map_or_else(none, |class| class.to_string());
    let margin = proof
        .margin
        .map_or_else(none, |margin| recert_num::format_down(margin, 4));
    let number = |number: Option<u64>| number.map_or_else(none, text::grouped);
    let neurons: Vec<String> = proof
        .kept
        .iter()
        .map(|kept| kept.neuron.to_string())
        .collect();
    html! {
        tr.wrong[!input.is_right(network)].abstained[!proof.is_proved()] {
            td.n { (input.idx) }
            td.n { (class(input.class)) }
            td.n { (class(proof.answer)) }
            td.n { (margin) }
            td.n { (number(proof.counts.map(|counts| counts.features))) }
            td.n { (number(by_priority(proof))) }
            td.n { (number(by_weight(proof))) }
            td.n { (number(by_random(proof))) }
            td { (neurons.join(" ")) }
        }
    }
}
