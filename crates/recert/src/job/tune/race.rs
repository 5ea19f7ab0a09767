//! Which networks are looked at further, and which are chosen.

use crate::job::search::Loss;

/// What a network costs and is expected to lose.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing<'a> {
    pub(super) cost: f64,
    pub(super) loss: &'a Loss,
    /// Whether it is no longer looked at.
    pub(super) stopped: bool,
}

/// The samples of an input after which networks are compared: each twice as many as before.
pub(super) fn rounds(samples: u64) -> Vec<u64> {
    let mut rounds: Vec<u64> = (0..4)
        .map(|half| (samples >> half).max(20).min(samples))
        .collect();
    rounds.sort_unstable();
    rounds.dedup();
    rounds
}

/// By how many standard deviations a network has to lose more than another one, so that with 95 % none of all
/// comparisons with one that loses as much in truth says so, if differences are normal.
pub(super) fn deviations(networks: usize, rounds: usize) -> f64 {
    let comparisons = (networks * networks.saturating_sub(1) / 2).max(1) * rounds;
    // A bound of the normal distribution's quantile.
    (2.0 * (comparisons as f64 / 0.05).ln()).sqrt()
}

/// Which networks another one that costs no more is ahead of by so many standard deviations.
pub(super) fn beaten(standings: &[Standing<'_>], deviations: f64) -> Vec<bool> {
    let is_beaten = |one: &Standing<'_>| {
        standings.iter().any(|other| {
            !other.stopped && other.cost <= one.cost && one.loss.is_above(other.loss, deviations)
        })
    };
    standings.iter().map(is_beaten).collect()
}

/// The networks to certify, at most so many: those that no other one beats in both cost and expected loss, and of
/// these, where `allowed` may be lost, the ones whose loss is nearest to it, the cheapest that keeps to it first.
pub(super) fn choose(standings: &[Standing<'_>], allowed: Option<f64>, most: usize) -> Vec<usize> {
    let lost = |i: usize| standings[i].loss.estimate;
    let cost = |i: usize| standings[i].cost;
    let is_beaten = |i: usize| {
        (0..standings.len()).any(|j| {
            let (cheaper, better) = (cost(j) <= cost(i), lost(j) <= lost(i));
            // What is no longer looked at has an estimate of its time.
            let stays = !standings[j].stopped;
            let same = cost(j) == cost(i) && lost(j) == lost(i);
            j != i && stays && cheaper && better && (!same || j < i)
        })
    };
    let mut front: Vec<usize> = (0..standings.len())
        .filter(|&i| !standings[i].stopped && !is_beaten(i))
        .collect();
    front.sort_by(|&a, &b| cost(a).total_cmp(&cost(b)));
    match allowed {
        Some(allowed) => {
            // Along the front what is lost falls with the cost: first those that keep to it, from the cheapest on,
            // and after each of these one that is cheaper still.
            let (keeps, loses): (Vec<usize>, Vec<usize>) =
                front.into_iter().partition(|&i| lost(i) <= allowed);
            let mut chosen = Vec::new();
            let (mut keeps, mut loses) = (keeps.into_iter(), loses.into_iter().rev());
            loop {
                let pair = [keeps.next(), keeps.next(), loses.next()];
                if pair.iter().all(Option::is_none) {
                    break;
                }
                chosen.extend(pair.into_iter().flatten());
            }
            chosen.truncate(most);
            chosen
        }
        None if front.len() > most => {
            let all = front.len();
            let at = |i: usize| {
                if most > 1 {
                    i * (all - 1) / (most - 1)
                } else {
                    0
                }
            };
            (0..most).map(|i| front[at(i)]).collect()
        }
        None => front,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::search::loss_of;

    #[test]
    fn rounds_double_up_to_all_samples() {
        assert_eq!(rounds(200), [25, 50, 100, 200]);
        assert_eq!(rounds(30), [20, 30]);
        assert_eq!(rounds(5), [5]);
    }

    #[test]
    fn only_a_cheaper_one_that_is_surely_better_stops_another() {
        // Each draw of the second is 0.1 above the first; the third is as bad and cheaper.
        let wobble = |shift: f64| loss_of(shift, (0..50).map(|i| shift + f64::from(i % 5) * 0.01));
        let (good, bad) = (wobble(0.0), wobble(0.1));
        let standing = |cost, loss| Standing {
            cost,
            loss,
            stopped: false,
        };
        let all = [
            standing(10.0, &good),
            standing(12.0, &bad),
            standing(5.0, &bad),
        ];
        assert_eq!(beaten(&all, 4.0), [false, true, false]);
        // A difference that draws do not agree on stops nothing.
        let unsure = loss_of(0.1, (0..50).map(|i| if i % 2 == 0 { 0.5 } else { -0.3 }));
        let all = [standing(10.0, &good), standing(12.0, &unsure)];
        assert_eq!(beaten(&all, 4.0), [false, false]);
        let (most, least) = (deviations(40, 4), deviations(2, 1));
        assert!(4.0 < most && most < 5.0 && least < most, "{least} {most}");
    }

    #[test]
    fn the_cheapest_that_keeps_to_it_is_chosen_first() {
        let losses: Vec<Loss> = [0.5, 0.2, 0.12, 0.08, 0.05, 0.01, 0.3]
            .map(|lost| loss_of(lost, [lost; 4].into_iter()))
            .into();
        // The last one costs as much as the best and loses more.
        let costs = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 6.0];
        let standings: Vec<Standing<'_>> = (costs.iter().zip(&losses))
            .map(|(&cost, loss)| Standing {
                cost,
                loss,
                stopped: false,
            })
            .collect();
        assert_eq!(choose(&standings, Some(0.1), 5), [3, 4, 2, 5, 1]);
        assert_eq!(choose(&standings, Some(0.1), 1), [3]);
        // Where none keeps to it, the front is there all the same, the best first.
        assert_eq!(choose(&standings, Some(0.0), 2), [5, 4]);
        assert_eq!(choose(&standings, None, 3), [0, 2, 5]);
        assert_eq!(choose(&standings, None, 9), [0, 1, 2, 3, 4, 5]);
        // One that was stopped by an early estimate pushes no other off.
        let mut standings = standings;
        standings[0].loss = &losses[5];
        standings[0].stopped = true;
        assert_eq!(choose(&standings, None, 9), [1, 2, 3, 4, 5]);
    }
}
