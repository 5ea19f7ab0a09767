//! Which networks may be chosen among, by when they were named and when they had answers.

use std::collections::BTreeMap;

use recert_ledger::NetworkName;

use super::{Journal, Life};
use crate::claim::Claims;
use crate::report::Report;
use crate::tables::Tables;
use crate::unchecked::Unchecked;

impl Life {
    /// Whether the network was fixed, and without answers, when entry `position` was made.
    fn is_candidate_at(&self, position: usize) -> bool {
        let named = self.named.is_some_and(|named| named <= position);
        named && self.answered.is_none_or(|answered| position < answered)
    }
}

impl Journal {
    /// Compares claims of a choice among candidates with the networks that could be
    /// candidates: those named before any of them had answers.
    pub(super) fn candidates(
        &self,
        tables: &Tables,
        claims: &Claims,
        report: &mut Report,
    ) -> Vec<Unchecked> {
        let base = tables
            .run
            .as_ref()
            .and_then(|run| tables.names.get(&run.base));
        let modified: BTreeMap<&NetworkName, Life> = self
            .lives
            .iter()
            .filter(|(name, _)| Some(*name) != base)
            .map(|(name, life)| (name, *life))
            .collect();
        let all: Vec<Life> = modified.values().copied().collect();
        let mut open = Vec::new();
        for (id, claim) in claims {
            let name = tables.names.get(&claim.network);
            let Some(life) = name.and_then(|name| modified.get(name)) else {
                continue;
            };
            let row = format!(
                "claim {id} ({} of network {})",
                claim.method_name, claim.network
            );
            if claim.among == 1 {
                if life.together > 1 {
                    open.push(Unchecked::NamedTogether {
                        claim: row,
                        others: life.together as u64 - 1,
                    });
                }
                continue;
            }
            let named = candidates_with(*life, &all);
            if named >= claim.among {
                continue;
            }
            let late = life.named.is_some_and(|named| {
                let had_answers = |other: &Life| other.answered.is_some_and(|at| at <= named);
                modified.values().any(had_answers)
            });
            if late {
                let stored = format!("a choice among {}", claim.among);
                let form = format!(
                    "a choice among {named}: the network was named to this ledger after others had \
                     answers, so only {named} of the networks named can have been fixed before any \
                     of them ran"
                );
                report.violation("claim", &row, "parameters.among", stored, form);
            } else {
                open.push(Unchecked::Candidates {
                    claim: row,
                    among: claim.among,
                    named,
                });
            }
        }
        open
    }
}

/// The most networks, this one among them, that were all named at some time at which none of
/// them had answers; 0 if it is not known when this one was named.
fn candidates_with(life: Life, all: &[Life]) -> u64 {
    let Some(named) = life.named else { return 0 };
    // The number changes only where another network is named.
    let starts = all.iter().filter_map(|other| other.named);
    let times = starts.chain([named]).filter(|&at| life.is_candidate_at(at));
    let at_once = |at| all.iter().filter(|other| other.is_candidate_at(at)).count();
    times.map(at_once).max().unwrap_or(0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(named: usize, answered: Option<usize>) -> Life {
        Life {
            named: Some(named),
            answered,
            together: 1,
            removed: false,
        }
    }

    #[test]
    fn candidates_are_networks_named_before_any_of_them_had_answers() {
        // Two at once, a third before they ran, a fourth after the first of them.
        let all = [
            life(1, Some(3)),
            life(1, Some(4)),
            life(2, None),
            life(3, None),
        ];
        let with = |i: usize| candidates_with(all[i], &all);
        assert_eq!([0, 1, 2, 3].map(with), [3, 3, 3, 3]);
        let one_by_one = [life(1, Some(2)), life(2, Some(3)), life(3, None)];
        for life in one_by_one {
            assert_eq!(candidates_with(life, &one_by_one), 1);
        }
        let unknown = Life {
            named: None,
            ..one_by_one[0]
        };
        assert_eq!(candidates_with(unknown, &one_by_one), 0);
    }
}
