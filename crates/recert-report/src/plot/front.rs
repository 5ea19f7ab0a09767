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

/// A width that few letters of a name pass.
const LETTER: f64 = 7.8;

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
    let named = names(networks, &frame, place);
    let marks = html! {
        g class=(chosen.classes()) { (line("line", &path)) }
        g class=(other.classes()) {
            @for network in networks.iter().filter(|network| !network.front) {
                (dot(place(network), 4.0, &words(network)))
            }
            @for (name, point, anchor) in named.iter().filter(|(network, ..)| !network.front) {
                (label("name", anchor, *point, &name.name))
            }
        }
        g class=(chosen.classes()) {
            @for network in &best { (dot(place(network), 5.0, &words(network))) }
            @for (name, point, anchor) in named.iter().filter(|(network, ..)| network.front) {
                (label("name", anchor, *point, &name.name))
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

/// Where names stand beside their dots, and how they are anchored, the front's first. A name that has no
/// place without covering another or a dot is in its dot's tooltip alone.
fn names<'a>(
    networks: &'a [Trained],
    frame: &Frame,
    place: impl Fn(&Trained) -> Point,
) -> Vec<(&'a Trained, Point, &'static str)> {
    let dots: Vec<Point> = networks.iter().map(&place).collect();
    let mut taken: Vec<[f64; 4]> = Vec::new();
    let mut named = Vec::new();
    let (front, others): (Vec<_>, Vec<_>) = networks.iter().partition(|network| network.front);
    for network in front.into_iter().chain(others) {
        let (x, y) = place(network);
        let width = network.name.chars().count() as f64 * LETTER;
        // The front's line goes down to the right: above it on that side, below it on the other.
        let spots = [
            (1.0, -7.0),
            (1.0, 4.0),
            (1.0, 16.0),
            (-1.0, 16.0),
            (-1.0, 4.0),
            (-1.0, -7.0),
        ];
        let spot = spots.into_iter().find_map(|(side, down)| {
            let (point, anchor) = (
                (x + side * 8.0, y + down),
                if side > 0.0 { "start" } else { "end" },
            );
            let left = if side > 0.0 { point.0 } else { point.0 - width };
            let area = [left, left + width, point.1 - 10.0, point.1 + 3.0];
            let within = area[0] >= frame.left && area[1] <= frame.right && area[3] <= frame.bottom;
            let free = taken.iter().all(|other| {
                area[0] >= other[1]
                    || area[1] <= other[0]
                    || area[2] >= other[3]
                    || area[3] <= other[2]
            });
            let clear = dots.iter().all(|&(x, y)| {
                x + 5.0 <= area[0] || x - 5.0 >= area[1] || y + 5.0 <= area[2] || y - 5.0 >= area[3]
            });
            (within && free && clear).then_some((point, anchor, area))
        });
        if let Some((point, anchor, area)) = spot {
            taken.push(area);
            named.push((network, point, anchor));
        }
    }
    named
}
