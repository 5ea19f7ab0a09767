//! Certified against natural accuracy, a dot a network, with a line through the Pareto front.

use maud::html;

use super::frame::{Frame, Size};
use super::scale::{Label, Scale};
use super::shapes::{Look, Point, dot, label, line};
use super::standalone::standalone;

/// One network.
#[derive(Debug, Clone)]
pub(crate) struct Trained {
    /// Its name.
    pub(crate) name: String,
    /// Natural and certified accuracy, in [0, 1].
    pub(crate) accuracy: [f64; 2],
    /// Whether it is on the front.
    pub(crate) front: bool,
}

/// Draws the networks under a title and a subtitle, as a file of its own.
pub(crate) fn front(networks: &[Trained], title: &str, subtitle: &str) -> String {
    let scale = |axis: usize| {
        let values = || networks.iter().map(|network| network.accuracy[axis]);
        let low = values().fold(1.0, f64::min);
        Scale::around(low, values().fold(0.0, f64::max), Label::Percent)
    };
    let frame = Frame::new(Size::Wide, scale(0), scale(1));
    let place = |network: &Trained| frame.point(network.accuracy[0], network.accuracy[1]);
    let mut best: Vec<&Trained> = networks.iter().filter(|network| network.front).collect();
    best.sort_by(|a, b| a.accuracy[0].total_cmp(&b.accuracy[0]));
    let path: Vec<Point> = best.iter().map(|network| place(network)).collect();
    let [chosen, other] = [Look::new(0, 0, false), Look::new(6, 0, false)];
    let words = |network: &Trained| {
        let [natural, certified] = network.accuracy.map(|share| share * 100.0);
        let name = &network.name;
        format!("{name}: {natural:.1} % natural, {certified:.1} % certified")
    };
    // Names beside dots, towards the middle; one that would cover another is in the tooltip alone.
    let mut named: Vec<(&Trained, Point, &str)> = Vec::new();
    for network in &best {
        let (x, y) = place(network);
        let right = x < f64::midpoint(frame.left, frame.right);
        let (point, anchor) = if right {
            ((x + 8.0, y - 7.0), "start")
        } else {
            ((x - 8.0, y - 7.0), "end")
        };
        if named
            .iter()
            .all(|(_, other, _)| (other.1 - point.1).abs() > 14.0)
        {
            named.push((network, point, anchor));
        }
    }
    let marks = html! {
        g class=(chosen.classes()) { (line("line", &path)) }
        g class=(other.classes()) {
            @for network in networks.iter().filter(|network| !network.front) {
                (dot(place(network), 4.0, &words(network)))
            }
        }
        g class=(chosen.classes()) {
            @for network in &best { (dot(place(network), 5.0, &words(network))) }
            @for (network, point, anchor) in named {
                (label("name", anchor, point, &network.name))
            }
        }
    };
    let plot = frame.draw(
        "certified against natural accuracy, a dot a network, with a line through the Pareto front",
        "natural accuracy",
        "certified accuracy",
        &marks,
    );
    standalone(&frame, title, subtitle, &plot)
}
