//! Samples against the fraction of successes, one line per error, as a file of its own.

use maud::{Markup, html};

use super::frame::{Frame, Size};
use super::scale::{Label, Scale};
use super::shapes::{Look, Point, dot, label, line};
use super::standalone::standalone;
use crate::text;

/// One line and the points on it whose numbers are shown.
#[derive(Debug, Clone)]
pub(crate) struct Curve {
    /// The error, in words.
    pub(crate) name: String,
    /// Fractions and samples, in increasing order of the fractions.
    pub(crate) line: Vec<(f64, u64)>,
    /// Fractions and samples, in any order.
    pub(crate) dots: Vec<(f64, u64)>,
}

/// Draws the curves under a title and a subtitle.
pub(crate) fn samples(curves: &[Curve], title: &str, subtitle: &str) -> String {
    let most = curves
        .iter()
        .flat_map(|curve| curve.line.iter().chain(&curve.dots))
        .map(|(_, samples)| *samples)
        .max()
        .unwrap_or(0);
    let frame = Frame::new(
        Size::Wide,
        Scale::linear(0.0, 1.0, Label::Plain),
        Scale::from_zero(most as f64, 6, Label::Count),
    );
    standalone(&frame, title, subtitle, &plot(curves, &frame))
}

fn plot(curves: &[Curve], frame: &Frame) -> Markup {
    // The lines come first, so that none covers another's dots.
    let marks = html! {
        @for (curve, look) in looks(curves) {
            g class=(look.classes()) {
                (line("line", &points(frame, &curve.line)))
            }
        }
        @for (curve, look, point) in names(curves, frame) {
            g class=(look.classes()) {
                (label("name", "middle", point, &format!("error {}", curve.name)))
            }
        }
        @for (curve, look) in looks(curves) {
            g class=(look.classes()) {
                @for (&(p, n), point) in curve.dots.iter().zip(points(frame, &curve.dots)) {
                    (dot(point, 3.0, &tooltip(p, &curve.name, n)))
                }
            }
        }
    };
    frame.draw(
        "samples against the fraction of successes, one line per error",
        "fraction p of the samples that are successes",
        "samples",
        &marks,
    )
}

/// The points for the names of lines: above the highest point of each, or above the
/// middle one of several. A name that would cover another is left out, since it is in
/// the tooltips too.
fn names<'a>(curves: &'a [Curve], frame: &Frame) -> Vec<(&'a Curve, Look, Point)> {
    let mut named: Vec<(&Curve, Look, Point)> = Vec::new();
    for (curve, look) in looks(curves) {
        let highest = curve.line.iter().map(|(_, samples)| *samples).max();
        let at_top = |point: &&(f64, u64)| Some(point.1) == highest;
        let top: Vec<_> = curve.line.iter().filter(at_top).copied().collect();
        let Some(&(x, y)) = points(frame, &top).get(top.len() / 2) else {
            continue;
        };
        let y = y - 9.0;
        if named.iter().all(|(.., other)| (other.1 - y).abs() > 14.0) {
            named.push((curve, look, (x, y)));
        }
    }
    named
}

fn tooltip(p: f64, error: &str, samples: u64) -> String {
    let (p, n) = (text::short(p), text::grouped(samples));
    format!("p = {p}, error {error}: n = {n}")
}

fn looks(curves: &[Curve]) -> impl Iterator<Item = (&Curve, Look)> {
    let look = |(number, curve)| (curve, Look::new(number, 0, false));
    curves.iter().enumerate().map(look)
}

fn points(frame: &Frame, values: &[(f64, u64)]) -> Vec<Point> {
    let point = |(p, samples): &(f64, u64)| frame.point(*p, *samples as f64);
    values.iter().map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../html/style.css");
    const FILE: &str = include_str!("standalone.css");

    /// The colours of a style sheet, light or dark, by the names of the page's.
    fn variables(part: &str) -> Vec<(&str, &str)> {
        let lines = part.lines().map(str::trim);
        lines
            .filter_map(|line| line.strip_prefix("--")?.strip_suffix(';')?.split_once(": "))
            .collect()
    }

    #[test]
    fn the_colours_are_those_of_the_page() {
        let split = |css: &'static str| {
            let (light, dark) = css.split_once("@media").expect("a dark mode");
            // The page's dark colours end where its classes begin.
            (light, dark.split(".k0 {").next().unwrap_or(dark))
        };
        let (page_light, page_dark) = split(PAGE);
        let (light, dark) = FILE.split_once("@media").expect("a dark mode");
        for (page, file) in [(page_light, light), (page_dark, dark)] {
            let colours = variables(page);
            let colour = |name: &str| {
                let found = colours.iter().find(|(known, _)| *known == name);
                found.expect("the page has the colour").1
            };
            for number in 0..super::super::shapes::COLOURS {
                let colour = colour(&format!("k{number}"));
                let line = format!(".k{number} .line {{ stroke: {colour}; }}");
                let fill = format!(".k{number} .dot, .k{number} .name {{ fill: {colour}; }}");
                assert!(file.contains(&line), "{line}");
                assert!(file.contains(&fill), "{fill}");
            }
            for (class, property, name) in [
                (".paper", "fill", "paper"),
                ("text", "fill", "muted"),
                ("text.head", "fill", "ink"),
                (".grid", "stroke", "faint"),
                (".axis", "stroke", "rule"),
            ] {
                let rule = format!("{class} {{ {property}: {}; }}", colour(name));
                assert!(file.contains(&rule), "{rule}");
            }
        }
    }

    #[test]
    fn lines_dots_and_names_have_the_right_coordinates() {
        let curve = |name: &str, height: u64| Curve {
            name: name.to_owned(),
            line: vec![(0.0, 0), (0.5, height), (1.0, 0)],
            dots: vec![(0.5, height), (0.25, height / 2)],
        };
        let svg = samples(
            &[curve("1 %", 1000), curve("2 %", 500), curve("2.01 %", 498)],
            "A <title> & \"more\"",
            "and more",
        );
        assert!(svg.contains("aria-label=\"A &lt;title&gt; &amp; &quot;more&quot;\""));
        assert!(svg.contains(">A &lt;title&gt; &amp; &quot;more&quot;</text>"));
        assert_eq!(svg.matches(r#"class="line""#).count(), 3);
        assert_eq!(svg.matches(r#"class="dot""#).count(), 6);
        // The third line's name would cover the second's.
        assert_eq!(svg.matches(r#"class="name""#).count(), 2);
        // The plot lies between 58 and 946 across and 16 and 360 down: half-way
        // across, and the highest point at the top of an axis that ends at 1000.
        assert!(svg.contains(r#"<path class="line" d="M58 360L502 16L946 360"></path>"#));
        assert!(svg.contains(r#"<circle class="dot" cx="280" cy="188" r="3"></circle>"#));
        assert!(svg.contains("<title>p = 0.5, error 1 %: n = 1,000</title>"));
        // One drawing is inside another; both end.
        assert_eq!(svg.matches("<svg").count(), 2);
        assert_eq!(svg.matches("</svg>").count(), 2);
        assert_eq!(svg.matches("<g").count(), svg.matches("</g>").count());
    }

    #[test]
    fn nothing_to_draw_is_drawn() {
        assert!(samples(&[], "t", "s").contains("</svg>"));
    }
}
