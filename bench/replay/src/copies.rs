//! The copies of one replicate of one input, and every answer to them.

use recert_smooth::bound::{CUT, StrataCodes};
use recert_smooth::plan::{Design, Pilot, Subject};

use crate::counts::{BUCKETS, CODES};
use crate::draw::Stream;
use crate::law::Law;

/// Selection copies.
pub const N0: u64 = 100;

/// f's codes of all copies of an input.
#[derive(Debug, Clone)]
pub struct Copies {
    codes: Vec<u8>,
    /// What plans look at.
    pub subject: Subject,
    /// Where h's answers come from: on f's copies, on fresh ones.
    answers: [Stream; 2],
}

/// How h answered some copies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Copies.
    pub pairs: u64,
    /// Those that h answered with c.
    pub own: u64,
    /// Those that h answered otherwise than f.
    pub differ: u64,
}

/// How h answered the copies of a design: decided ones (or all), undecided ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// Copies.
    pub pairs: [u64; 2],
    /// Those that h did not answer with c.
    pub other: [u64; 2],
    /// Pilot copies that are not among the design's.
    pub beside: u64,
}

impl Copies {
    /// Draws f's codes on n copies.
    pub fn draw(law: &Law, n: u64, key: &[u64]) -> Self {
        let stream = |what: u64| Stream::new(&[key, &[what]].concat());
        let (selection, codes) = (stream(0), stream(1));
        let k0 = (0..N0).filter(|&i| selection.at(i) < law.f()).count() as u64;
        let mut sums = [0.0; CODES];
        let mut sum = 0.0;
        for (at, p) in sums.iter_mut().zip(law.code) {
            sum += p;
            *at = sum;
        }
        let last = law.code.iter().rposition(|&p| p > 0.0).unwrap_or(0);
        // A table of the uniform number's first ten bits makes most draws one
        // look-up.
        let first: Vec<usize> = (0..1024)
            .map(|i| {
                sums.partition_point(|&s| s <= f64::from(i) / 1024.0)
                    .min(last)
            })
            .collect();
        let code = |i: u64| {
            let u = codes.at(i);
            let mut code = first[(u * 1024.0) as usize];
            while code < last && sums[code] <= u {
                code += 1;
            }
            code as u8
        };
        let codes: Vec<u8> = (0..n).map(code).collect();
        let count = |holds: fn(usize) -> bool| {
            codes
                .iter()
                .filter(|&&code| holds(usize::from(code)))
                .count() as u64
        };
        let subject = Subject {
            n0: N0,
            k0,
            // One-sided designs only: of the other classes nothing is recorded.
            rival: 0,
            k: count(|code| code < BUCKETS),
            codes: StrataCodes {
                n,
                decided: count(|code| stratum(code) == Some(0)),
                undecided: count(|code| stratum(code) == Some(1)),
            },
        };
        Self {
            codes,
            subject,
            answers: [stream(2), stream(3)],
        }
    }

    /// Whether h answers copy i with c, and whether otherwise than f.
    fn answer(&self, law: &Law, i: usize) -> (bool, bool) {
        let (u, code) = (self.answers[0].at(i as u64), usize::from(self.codes[i]));
        let own = u < law.own[code];
        // Where f answered another class, h differs by gaining c or by going
        // to a third class: the next stretch of the unit interval.
        let differ = if code < BUCKETS {
            !own
        } else {
            u < law.differ[code]
        };
        (own, differ)
    }

    /// h on the first copies, at each of these ascending numbers of them.
    pub fn first(&self, law: &Law, numbers: &[u64]) -> Vec<Seen> {
        let mut seen = Seen::default();
        let mut each = Vec::new();
        for &number in numbers {
            for i in seen.pairs..number {
                let (own, differ) = self.answer(law, i as usize);
                seen.own += u64::from(own);
                seen.differ += u64::from(differ);
            }
            seen.pairs = number;
            each.push(seen);
        }
        each
    }

    /// h on the first `pairs` copies that f answered with c: whether f was
    /// decided, and whether h answered otherwise.
    pub fn pilot(&self, law: &Law, pairs: u64) -> Pilot {
        self.of_c()
            .take(pairs as usize)
            .map(|i| {
                (
                    stratum(usize::from(self.codes[i])) == Some(0),
                    !self.answer(law, i).0,
                )
            })
            .collect()
    }

    fn of_c(&self) -> impl Iterator<Item = usize> {
        (0..self.codes.len()).filter(|&i| usize::from(self.codes[i]) < BUCKETS)
    }

    /// h on the copies of a design, after a pilot of this many.
    pub fn run(&self, law: &Law, design: Design, pilot: u64) -> Answered {
        let mut answered = Answered {
            pairs: [0; 2],
            other: [0; 2],
            beside: 0,
        };
        let mut left = match design {
            Design::Nothing | Design::Both { .. } => [0; 2],
            Design::Fresh { copies } => {
                let h = law.h();
                let other = (0..copies).filter(|&i| self.answers[1].at(i) >= h);
                answered.pairs[0] = copies;
                answered.other[0] = other.count() as u64;
                answered.beside = pilot;
                return answered;
            }
            Design::Loss { pairs } => [pairs, 0],
            Design::Strata { decided, undecided } => [decided, undecided],
        };
        let by_stratum = matches!(design, Design::Strata { .. });
        let mut piloted = pilot;
        for (i, &code) in self.codes.iter().enumerate() {
            if left == [0; 2] && piloted == 0 {
                break;
            }
            let code = usize::from(code);
            let stratum = if by_stratum {
                stratum(code)
            } else {
                (code < BUCKETS).then_some(0)
            };
            let taken = stratum.filter(|&stratum| left[stratum] > 0);
            if let Some(stratum) = taken {
                left[stratum] -= 1;
                answered.pairs[stratum] += 1;
                answered.other[stratum] += u64::from(!self.answer(law, i).0);
            }
            if code < BUCKETS && piloted > 0 {
                piloted -= 1;
                answered.beside += u64::from(taken.is_none());
            }
        }
        answered
    }
}

/// The stratum of a code: 0 decided for c, 1 undecided, none otherwise.
fn stratum(code: usize) -> Option<usize> {
    match (code % BUCKETS < usize::from(CUT), code < BUCKETS) {
        (true, _) => Some(1),
        (false, true) => Some(0),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn law() -> Law {
        let mut law = Law {
            correct: true,
            code: [0.0; CODES],
            own: [0.0; CODES],
            differ: [0.0; CODES],
        };
        // Decided for c, undecided for c, undecided for another.
        law.code[5] = 0.7;
        law.code[1] = 0.2;
        law.code[9] = 0.1;
        law.own[5] = 1.0;
        law.own[1] = 0.75;
        law.own[9] = 0.25;
        law.differ[1] = 0.25;
        law.differ[9] = 0.5;
        law
    }

    #[test]
    fn copies_follow_their_law() {
        let (law, n) = (law(), 100_000);
        let copies = Copies::draw(&law, n, &[7]);
        let near = |count: u64, p: f64| {
            let slack = 5.0 * (p * (1.0 - p) / n as f64).sqrt();
            assert!((count as f64 / n as f64 - p).abs() <= slack, "{count} {p}");
        };
        near(copies.subject.k, 0.9);
        near(copies.subject.codes.decided, 0.7);
        near(copies.subject.codes.undecided, 0.3);
        let seen = copies.first(&law, &[1000, n]);
        assert_eq!(seen[0], copies.first(&law, &[1000])[0]);
        near(seen[1].own, 0.7 + 0.15 + 0.025);
        near(seen[1].differ, 0.05 + 0.05);
        let fresh = copies.run(&law, Design::Fresh { copies: n }, 3);
        near(n - fresh.other[0], law.h());
        assert_eq!(fresh.beside, 3);
    }

    #[test]
    fn pilot_copies_are_paid_once() {
        let law = law();
        let copies = Copies::draw(&law, 10_000, &[8]);
        let pilot = copies.pilot(&law, 50);
        let loss = copies.run(&law, Design::Loss { pairs: 50 }, 50);
        assert_eq!((loss.pairs, loss.beside), ([50, 0], 0));
        assert_eq!(loss.other[0], pilot.iter().filter(|p| p.1).count() as u64);
        let decided = pilot.iter().filter(|p| p.0).count() as u64;
        let design = |decided, undecided| Design::Strata { decided, undecided };
        assert_eq!(
            copies.run(&law, design(decided, 0), 50).beside,
            50 - decided
        );
        assert_eq!(copies.run(&law, design(100, 100), 50).beside, 0);
        assert_eq!(copies.run(&law, Design::Nothing, 50).beside, 50);
    }
}
