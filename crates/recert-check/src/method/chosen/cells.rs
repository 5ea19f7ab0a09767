//! The bound over cells, from the first late samples of each cell.

use recert_ledger::INVALID;
use serde_json::json;

use super::late::{Base, Found, h_on};
use crate::answers::CERTIFY;
use crate::arithmetic::{Coded, Lattice, coded_bound, tail_bound};
use crate::derived::{Bound, Context, Wrong, count, missing, recorded};
use crate::free::CELLS;

/// The number of margin buckets that are distinguished; higher buckets count as the last one.
/// The first cells are those of f's answers with the class, then follow other valid answers.
const BUCKETS: usize = CELLS / 2;

/// The cell of each sample; none for an invalid answer.
fn cells_of(f: &Base<'_>) -> Option<Vec<Option<usize>>> {
    let cell = |(&answer, &margin): (&u16, &u8)| {
        let bucket = usize::from(margin).min(BUCKETS - 1);
        match answer {
            INVALID => None,
            answer if answer == f.class => Some(bucket),
            _ => Some(BUCKETS + bucket),
        }
    };
    Some(f.answers.iter().zip(f.margins?).map(cell).collect())
}

/// The bound over all cells (`SOUNDNESS.md`, section 4) at the recorded tilts: by Markov's
/// inequality, or by the tail.
pub(super) fn cells(
    context: &Context<'_>,
    f: &Base<'_>,
    share: f64,
    by_tail: bool,
) -> Result<Found, Wrong> {
    let cell_of = cells_of(f).ok_or_else(|| missing("f's margins, for a bound over cells"))?;
    let pairs = recorded(context.free.cell_pairs, "pairs, 10 counts")?;
    let tilt = recorded(context.free.tilt, "tilt, a number above 0")?;
    let tilts = recorded(context.free.tilts, "tilts, 10 numbers above 0")?;
    let mut samples: Vec<u32> = Vec::new();
    let mut invalid = 0;
    let mut cells = [Coded::default(); CELLS];
    for (s, cell) in cells.iter_mut().enumerate() {
        let chosen = f.take(pairs[s], |sample| cell_of[sample] == Some(s));
        let answers = h_on(context, CERTIFY, &chosen)?;
        invalid += count(&answers, INVALID);
        *cell = Coded {
            samples: f.take(f.n, |sample| cell_of[sample] == Some(s)).len() as u64,
            pairs: chosen.len() as u64,
            own: count(&answers, f.class),
            tilt: tilts[s],
        };
        samples.extend(chosen);
    }
    samples.sort_unstable();
    let (_, late) = f.class_count();
    let mut counts = json!({
        "class": f.class, "n": late, "invalid": invalid, "tilt": tilt, "tilts": tilts,
        "copies": cells.map(|cell| cell.samples), "pairs": cells.map(|cell| cell.pairs),
        "own": cells.map(|cell| cell.own),
    });
    let proved = if by_tail {
        let free = &context.free;
        let lattice = free.multiples.as_ref().zip(free.step.zip(free.span));
        let lattice = lattice.map(|(multiples, (step, span))| {
            counts["lattice"] = json!({"multiples": multiples, "span": span, "step": step});
            Lattice {
                step,
                multiples,
                span,
            }
        });
        tail_bound(late, tilt, &cells, lattice, share)
    } else {
        coded_bound(late, tilt, &cells, share)
    };
    Ok(Found {
        stream: CERTIFY,
        samples,
        bound: if by_tail { "tail" } else { "cells" },
        p: Bound::Below(proved.map_err(|form| ("counts", form))?),
        q: None,
        counts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_answers_are_in_no_cell() {
        let f = Base {
            class: 3,
            n: 7,
            early: 0,
            answers: &[3, 3, 3, 5, 0, 9, INVALID],
            margins: Some(&[0, 4, 7, 0, 3, 6, 0]),
        };
        let found = cells_of(&f).unwrap();
        assert_eq!(found[..6], [0, 4, 4, 5, 8, 9].map(Some));
        assert_eq!(found[6], None);
        assert_eq!(cells_of(&Base { margins: None, ..f }), None);
    }
}
