//! The bound over cells, from the first late samples of each cell.

use recert_ledger::INVALID;
use recert_second::ByCell;
use serde_json::json;

use super::late::{Base, Found, h_on};
use super::rounds::{Design, First};
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
    let free = &context.free;
    let tilt = recorded(free.tilt, "tilt, a number above 0")?;
    let (_, late) = f.class_count();
    let samples: ByCell<Vec<u32>> =
        std::array::from_fn(|s| f.take(f.n, |sample| cell_of[sample] == Some(s)));
    let sizes = samples.each_ref().map(|samples| samples.len() as u64);
    // h's answers on the first of each cell's samples.
    let answers = |s: usize, pairs: u64| {
        let chosen = &samples[s][..pairs.min(sizes[s]) as usize];
        h_on(context, CERTIFY, chosen)
    };
    let own_of = |pairs: &ByCell<u64>| -> Result<ByCell<u64>, Wrong> {
        let mut own = [0; CELLS];
        for (s, own) in own.iter_mut().enumerate() {
            *own = count(&answers(s, pairs[s])?, f.class);
        }
        Ok(own)
    };
    let mut counts = json!({"class": f.class, "n": late, "tilt": tilt, "copies": sizes});
    let design = match free.first.as_ref().filter(|_| by_tail) {
        Some(first) => {
            let first = First::read(first, (late, sizes), (tilt, share))?;
            let own = own_of(&first.pairs)?;
            counts["first"] = first.counts(&own);
            Design::after(&first, &own)
        }
        None => Design {
            first: Vec::new(),
            pairs: recorded(free.cell_pairs, "pairs, 10 counts")?,
            tilts: recorded(free.tilts, "tilts, 10 numbers above 0")?,
            lattice: free.step.zip(free.multiples),
        },
    };
    let pairs: ByCell<u64> = std::array::from_fn(|s| design.pairs[s].min(sizes[s]));
    let own = own_of(&pairs)?;
    let (mut invalid, mut chosen) = (0, Vec::new());
    for s in 0..CELLS {
        invalid += count(&answers(s, pairs[s])?, INVALID);
        chosen.extend_from_slice(&samples[s][..pairs[s] as usize]);
    }
    chosen.sort_unstable();
    // Those of the last round, of which the first's are no part.
    let cells: ByCell<Coded> = std::array::from_fn(|s| {
        let before = design.first.get(s).copied().unwrap_or_default();
        Coded {
            samples: sizes[s],
            pairs: pairs[s] - before.pairs,
            own: own[s] - before.own,
            tilt: design.tilts[s],
        }
    });
    for (name, value) in [
        ("invalid", json!(invalid)),
        ("tilts", json!(design.tilts)),
        ("pairs", json!(pairs)),
        ("own", json!(own)),
    ] {
        counts[name] = value;
    }
    let proved = if by_tail {
        let lattice = match &design.lattice {
            Some((step, multiples)) => {
                let span = recorded(free.span, "lattice.span, a number above 0")?;
                counts["lattice"] = json!({"multiples": multiples, "span": span, "step": step});
                Some(Lattice {
                    step: *step,
                    multiples,
                    span,
                })
            }
            None => None,
        };
        tail_bound(late, tilt, &design.first, &cells, lattice, share)
    } else {
        coded_bound(late, tilt, &cells, share)
    };
    Ok(Found {
        stream: CERTIFY,
        samples: chosen,
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
