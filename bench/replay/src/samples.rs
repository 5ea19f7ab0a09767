//! The samples of one replicate of one input, and every answer to them.

use recert_smooth::budget::{ByCell, CELLS, Design, Pilot, Subject, cell, early};

use crate::counts::{BUCKETS, CODES};
use crate::draw::Stream;
use crate::law::Law;

/// Selection samples.
pub const N0: u64 = 100;

/// f's codes of all samples of an input.
#[derive(Debug, Clone)]
pub struct Samples {
    codes: Vec<u8>,
    /// How many of them f answered with c.
    pub k: u64,
    /// What plans look at.
    pub subject: Subject,
    /// Where h's answers come from: on f's samples, on fresh ones.
    answers: [Stream; 2],
}

/// How h answered some samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Samples.
    pub pairs: u64,
    /// Those that h answered with c.
    pub own: u64,
    /// Those that h answered otherwise than f.
    pub differ: u64,
}

/// How h answered the samples of a design: in each cell, or all in the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// Samples.
    pub pairs: ByCell<u64>,
    /// Those that h answered with c.
    pub own: ByCell<u64>,
    /// Pilot samples that are not among the design's.
    pub beside: u64,
}

impl Samples {
    /// Draws f's codes on n samples.
    pub fn draw(law: &Law, n: u64, key: &[u64]) -> Self {
        let stream = |purpose: u64| Stream::new(&[key, &[purpose]].concat());
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
        let own = |codes: &[u8]| codes.iter().filter(|&&c| usize::from(c) < BUCKETS).count() as u64;
        let (first, late) = codes.split_at(early(n) as usize);
        let mut cells = [0; CELLS];
        for cell in late.iter().filter_map(|&code| cell_of(usize::from(code))) {
            cells[cell] += 1;
        }
        let subject = Subject {
            votes: N0 + early(n),
            favour: k0 + own(first),
            // One-sided designs only: of the other classes nothing is recorded.
            rival: 0,
            n: late.len() as u64,
            k: own(late),
            stopped: false,
            held: late.len() as u64,
            cells,
            pilot: 0,
            piloted: [0; CELLS],
        };
        Self {
            k: own(&codes),
            codes,
            subject,
            answers: [stream(2), stream(3)],
        }
    }

    /// Cached samples.
    pub fn n(&self) -> u64 {
        self.codes.len() as u64
    }

    /// Whether h answers sample i with c, and whether otherwise than f.
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

    /// h on the first samples, at each of these ascending numbers of them.
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

    /// h on the first `pairs` samples that f answered with c: the cell of each, and
    /// whether h answered otherwise.
    pub fn pilot(&self, law: &Law, pairs: u64) -> Pilot {
        self.of_c()
            .take(pairs as usize)
            .filter_map(|i| {
                let cell = cell_of(usize::from(self.codes[i]))?;
                Some((cell, !self.answer(law, i).0))
            })
            .collect()
    }

    /// What plans look at, with a pilot of so many samples.
    pub fn subject(&self, pilot: u64) -> Subject {
        let mut subject = Subject {
            pilot,
            ..self.subject
        };
        for i in self.of_c().take(pilot as usize) {
            if let Some(cell) = cell_of(usize::from(self.codes[i])) {
                subject.piloted[cell] += 1;
            }
        }
        subject
    }

    fn of_c(&self) -> impl Iterator<Item = usize> {
        let late = self.codes.len() - self.subject.n as usize..self.codes.len();
        late.filter(|&i| usize::from(self.codes[i]) < BUCKETS)
    }

    /// h on the samples of a design, after a pilot of this many.
    pub fn run(&self, law: &Law, design: Design, pilot: u64) -> Answered {
        let mut answered = Answered {
            pairs: [0; CELLS],
            own: [0; CELLS],
            beside: 0,
        };
        let mut left = [0; CELLS];
        let by_cell = match design {
            Design::Nothing | Design::FreshBoth { .. } | Design::Both { .. } => false,
            Design::Fresh { samples } => {
                let h = law.h();
                let own = (0..samples).filter(|&i| self.answers[1].at(i) < h);
                answered.pairs[0] = samples;
                answered.own[0] = own.count() as u64;
                answered.beside = pilot;
                return answered;
            }
            Design::Loss { pairs } => {
                left[0] = pairs;
                false
            }
            Design::Cells { pairs } => {
                left = pairs;
                true
            }
        };
        let mut piloted = pilot;
        let late = self.codes.len() - self.subject.n as usize;
        for (i, &code) in self.codes.iter().enumerate().skip(late) {
            if left == [0; CELLS] && piloted == 0 {
                break;
            }
            let code = usize::from(code);
            let cell = if by_cell {
                cell_of(code)
            } else {
                (code < BUCKETS).then_some(0)
            };
            let taken = cell.filter(|&cell| left[cell] > 0);
            if let Some(cell) = taken {
                left[cell] -= 1;
                answered.pairs[cell] += 1;
                let own = u64::from(self.answer(law, i).0);
                answered.own[cell] += own;
            }
            if code < BUCKETS && piloted > 0 {
                piloted -= 1;
                answered.beside += u64::from(taken.is_none());
            }
        }
        answered
    }
}

/// The cell of a code.
fn cell_of(code: usize) -> Option<usize> {
    cell(u16::from(code >= BUCKETS), (code % BUCKETS) as u8, 0)
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
    fn samples_follow_their_law() {
        let (law, n) = (law(), 100_000);
        let samples = Samples::draw(&law, n, &[7]);
        let near = |count: u64, p: f64| {
            let slack = 5.0 * (p * (1.0 - p) / n as f64).sqrt();
            assert!((count as f64 / n as f64 - p).abs() <= slack, "{count} {p}");
        };
        near(samples.k, 0.9);
        let early = n - samples.subject.n;
        near(samples.subject.k + early * 9 / 10, 0.9);
        near(samples.subject.cells[4] + early * 7 / 10, 0.7);
        near(samples.subject.cells[1] + early * 2 / 10, 0.2);
        near(samples.subject.cells[6] + early / 10, 0.1);
        let seen = samples.first(&law, &[1000, n]);
        assert_eq!(seen[0], samples.first(&law, &[1000])[0]);
        near(seen[1].own, 0.7 + 0.15 + 0.025);
        near(seen[1].differ, 0.05 + 0.05);
        let fresh = samples.run(&law, Design::Fresh { samples: n }, 3);
        near(fresh.own[0], law.h());
        assert_eq!(fresh.beside, 3);
    }

    #[test]
    fn pilot_samples_are_paid_once() {
        let law = law();
        let samples = Samples::draw(&law, 10_000, &[8]);
        let pilot = samples.pilot(&law, 50);
        let loss = samples.run(&law, Design::Loss { pairs: 50 }, 50);
        assert_eq!((loss.pairs[0], loss.beside), (50, 0));
        assert_eq!(loss.own[0], pilot.iter().filter(|p| !p.1).count() as u64);
        let piloted = samples.subject(50).piloted;
        assert_eq!(piloted.iter().sum::<u64>(), 50);
        let design = |first, second| {
            let mut pairs = [0; CELLS];
            (pairs[4], pairs[1]) = (first, second);
            Design::Cells { pairs }
        };
        assert_eq!(
            samples.run(&law, design(piloted[4], 0), 50).beside,
            piloted[1]
        );
        assert_eq!(samples.run(&law, design(100, 100), 50).beside, 0);
        assert_eq!(samples.run(&law, Design::Nothing, 50).beside, 50);
    }
}
