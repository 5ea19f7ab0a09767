//! Cells of a transformation's parameters: whether they lie in its ranges and leave nothing out.

use recert_ledger::ProvedCell;

/// The least and the largest value of each parameter.
type Ends = Vec<[f64; 2]>;

/// The steps of a transformation, by their names.
const STEPS: [&str; 7] = [
    "rotate",
    "translate-x",
    "translate-y",
    "scale",
    "shear",
    "contrast",
    "brightness",
];

/// The most cells that are looked at, each time a part of the parameters is cut, in all.
const MOST: usize = 10_000_000;

/// The ranges of a transformation's parameters, from its text in the form that ledgers have:
/// `name=low..high`, or `name=value`, separated by commas, each number in as many digits as it
/// takes to read the same double back.
pub(crate) fn ranges(steps: &str) -> Option<Ends> {
    let range = |step: &str| {
        let (name, interval) = step.split_once('=')?;
        let (low, high) = interval.split_once("..").unwrap_or((interval, interval));
        let [from, to]: [f64; 2] = [low.parse().ok()?, high.parse().ok()?];
        let written = if from < to {
            format!("{name}={from}..{to}")
        } else {
            format!("{name}={from}")
        };
        let fits = STEPS.contains(&name) && from.is_finite() && from <= to && to.is_finite();
        (fits && written == step).then_some([from, to])
    };
    steps.split(',').map(range).collect()
}

/// Whether parameters lie in the ranges.
pub(crate) fn within(parameters: &[f64], ranges: &[[f64; 2]]) -> bool {
    let mut pairs = parameters.iter().zip(ranges);
    parameters.len() == ranges.len() && pairs.all(|(p, [low, high])| low <= p && p <= high)
}

/// Whether every parameter in the ranges is in a cell; `None` where cells overlap in so many
/// ways that finding out takes too long.
///
/// A part of the ranges that no cell contains is cut where a cell ends, in the way that cuts the
/// fewest cells, until each part is in a cell or there is one that no cell meets. Cells that a
/// search made by cutting are found without cutting any. All is comparisons of numbers that are
/// stored, so nothing rounds.
pub(crate) fn cover(ranges: &[[f64; 2]], cells: &[ProvedCell]) -> Option<bool> {
    if cells.iter().any(|cell| cell.ends.len() != ranges.len()) {
        return Some(false);
    }
    let mut open = vec![(ranges.to_vec(), cells.iter().collect::<Vec<_>>())];
    let mut looked = 0_usize;
    while let Some((part, near)) = open.pop() {
        looked = looked.saturating_add(near.len());
        if looked > MOST {
            return None;
        }
        if near.iter().any(|cell| contains(cell, &part)) {
            continue;
        }
        // Every cell that is near ends inside the part, as none contains it.
        let Some((step, end)) = best_cut(&part, &near) else {
            return Some(false);
        };
        for side in 0..2 {
            let mut half = part.clone();
            half[step][1 - side] = end;
            let inside = near.iter().filter(|cell| meets(cell, &half));
            let inside: Vec<_> = inside.copied().collect();
            open.push((half, inside));
        }
    }
    Some(true)
}

fn contains(cell: &ProvedCell, part: &[[f64; 2]]) -> bool {
    let mut pairs = cell.ends.iter().zip(part);
    pairs.all(|(cell, part)| cell[0] <= part[0] && part[1] <= cell[1])
}

/// Whether a cell has more in common with a part than its border.
fn meets(cell: &ProvedCell, part: &[[f64; 2]]) -> bool {
    let mut pairs = cell.ends.iter().zip(part);
    pairs.all(|(cell, part)| {
        if part[0] < part[1] {
            cell[0] < part[1] && part[0] < cell[1]
        } else {
            cell[0] <= part[0] && part[0] <= cell[1]
        }
    })
}

/// The step and the value where cutting a part cuts the fewest cells, and of those the one that
/// leaves the most on either side; `None` where no cell ends inside.
fn best_cut(part: &[[f64; 2]], near: &[&ProvedCell]) -> Option<(usize, f64)> {
    let mut best: Option<((usize, usize), usize, f64)> = None;
    for (step, &[low, high]) in part.iter().enumerate() {
        let sorted = |side: usize| {
            let mut ends: Vec<f64> = near.iter().map(|cell| cell.ends[step][side]).collect();
            ends.sort_unstable_by(f64::total_cmp);
            ends
        };
        let (starts, stops) = (sorted(0), sorted(1));
        for &end in starts.iter().chain(&stops) {
            if !(low < end && end < high) {
                continue;
            }
            let begun = starts.partition_point(|&start| start < end);
            let before = stops.partition_point(|&stop| stop <= end);
            let smaller = before.min(near.len() - begun);
            let rank = (begun.saturating_sub(before), near.len() - smaller);
            if best.is_none_or(|(least, ..)| rank < least) {
                best = Some((rank, step, end));
            }
        }
    }
    best.map(|(_, step, end)| (step, end))
}

#[cfg(test)]
mod tests {
    use recert_ledger::CellMethod;

    use super::*;

    fn cells(ends: &[&[[f64; 2]]]) -> Vec<ProvedCell> {
        let cell = |ends: &&[[f64; 2]]| ProvedCell {
            ends: ends.to_vec(),
            method: CellMethod::Forward,
            margin: 1.0,
        };
        ends.iter().map(cell).collect()
    }

    #[test]
    fn ranges_are_read_in_one_form_alone() {
        assert_eq!(
            ranges("rotate=-30..30,scale=0.95"),
            Some(vec![[-30.0, 30.0], [0.95, 0.95]])
        );
        for text in [
            "",
            "rotate",
            "rotation=1..2",
            "rotate=2..1",
            "rotate=1..1",
            "rotate=1.0..2",
            "rotate=nan",
            "rotate=1..inf",
            " rotate=1..2",
            "rotate=1..2,",
        ] {
            assert_eq!(ranges(text), None, "{text:?}");
        }
    }

    #[test]
    fn cells_on_a_line() {
        let whole = vec![[-1.0, 1.0]];
        for (parts, covered) in [
            (&[[-1.0, 0.0], [0.0, 1.0]][..], true),
            (&[[0.0, 1.0], [-2.0, 0.5]], true),
            (&[[-1.0, 0.0], [0.0_f64.next_up(), 1.0]], false),
            (&[[-1.0, 1.0_f64.next_down()]], false),
            (&[[-0.5, 1.0]], false),
            (&[], false),
        ] {
            let parts: Vec<_> = parts.iter().map(std::slice::from_ref).collect();
            assert_eq!(cover(&whole, &cells(&parts)), Some(covered), "{parts:?}");
        }
        // A parameter that is fixed is covered by whatever contains it.
        let fixed = vec![[0.5, 0.5], [0.0, 1.0]];
        assert_eq!(
            cover(&fixed, &cells(&[&[[0.5, 0.5], [0.0, 1.0]]])),
            Some(true)
        );
        assert_eq!(
            cover(&fixed, &cells(&[&[[0.6, 0.7], [0.0, 1.0]]])),
            Some(false)
        );
        assert_eq!(cover(&fixed, &cells(&[&[[0.5, 0.5]]])), Some(false));
    }

    #[test]
    fn cells_that_no_straight_cut_parts() {
        // Four around one in the middle: a pinwheel.
        let whole = vec![[0.0, 3.0], [0.0, 3.0]];
        let pinwheel: [&[[f64; 2]]; 5] = [
            &[[0.0, 2.0], [0.0, 1.0]],
            &[[2.0, 3.0], [0.0, 2.0]],
            &[[1.0, 3.0], [2.0, 3.0]],
            &[[0.0, 1.0], [1.0, 3.0]],
            &[[1.0, 2.0], [1.0, 2.0]],
        ];
        assert_eq!(cover(&whole, &cells(&pinwheel)), Some(true));
        assert_eq!(cover(&whole, &cells(&pinwheel[..4])), Some(false));
        assert_eq!(cover(&whole, &cells(&pinwheel[1..])), Some(false));
    }

    #[test]
    fn many_cells_are_told_apart_in_no_time() {
        let whole = vec![[0.0, 64.0]; 2];
        let at = |i: u8| [f64::from(i), f64::from(i) + 1.0];
        let grid = (0..64_u8).flat_map(|i| (0..64_u8).map(move |j| vec![at(i), at(j)]));
        let grid: Vec<Ends> = grid.collect();
        let grid: Vec<&[[f64; 2]]> = grid.iter().map(Vec::as_slice).collect();
        let mut grid = cells(&grid);
        assert_eq!(cover(&whole, &grid), Some(true));
        grid.remove(1234);
        assert_eq!(cover(&whole, &grid), Some(false));
    }
}
