//! Finding the samples that a design takes, in one pass over f's codes.

use recert_ledger::Codes;
use recert_noise::Stream;

use super::cells::{ByCell, CELLS, cell_of};
use super::{Design, early};

/// The samples that a design takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picked {
    pub(crate) stream: Stream,
    /// The samples' numbers, ascending.
    pub(crate) samples: Vec<u32>,
    /// f's codes on the samples; empty for fresh samples, which have none.
    pub(crate) f: Codes,
}

/// Finds the samples of a design while it is shown f's codes in the order of the samples.
pub(crate) struct Picker {
    class: u16,
    /// How many samples f has answered.
    cached: u64,
    /// The number of the first late sample.
    late: u64,
    missing: Missing,
    picked: Picked,
}

/// How many samples are still to be found.
enum Missing {
    Any(u64),
    OfClass(u64),
    InCells(ByCell<u64>),
}

impl Picker {
    /// A picker for `design`, where f has answered `cached` samples and the class is `class`.
    /// It finds fewer samples than the design names if there are fewer, and takes at most
    /// `cached` fresh ones.
    pub(crate) fn new(design: Design, class: u16, cached: u64) -> Self {
        let mut picked = Picked {
            stream: design.stream(),
            samples: Vec::new(),
            f: Codes::default(),
        };
        let missing = match design {
            Design::Nothing => Missing::Any(0),
            Design::Fresh { samples } | Design::FreshBoth { samples } => {
                picked.samples = (0..samples.min(cached) as u32).collect();
                Missing::Any(0)
            }
            Design::Both { pairs } => Missing::Any(pairs),
            Design::Loss { pairs } => Missing::OfClass(pairs),
            Design::Cells { pairs } => Missing::InCells(pairs),
        };
        Self {
            class,
            cached,
            late: early(cached),
            missing,
            picked,
        }
    }

    /// The range of samples whose codes the picker needs.
    pub(crate) fn range(&self) -> std::ops::Range<u64> {
        let end = if self.is_done() {
            self.late
        } else {
            self.cached
        };
        self.late..end
    }

    /// Whether all samples are found.
    pub(crate) fn is_done(&self) -> bool {
        match self.missing {
            Missing::Any(left) | Missing::OfClass(left) => left == 0,
            Missing::InCells(left) => left == [0; CELLS],
        }
    }

    /// Looks at f's codes on the samples from `first` on, which must follow those seen before.
    pub(crate) fn see(&mut self, first: u64, f: &Codes) {
        let from = self.late.saturating_sub(first) as usize;
        for i in from..f.classes.len() {
            let left = match &mut self.missing {
                Missing::Any(left) => Some(left),
                Missing::OfClass(left) => Some(left).filter(|_| f.classes[i] == self.class),
                Missing::InCells(left) => cell_of(f, self.class, i).map(|cell| &mut left[cell]),
            };
            if let Some(left) = left.filter(|left| **left > 0) {
                *left -= 1;
                self.picked.samples.push(first as u32 + i as u32);
                self.picked.f.push(f, i);
                if self.is_done() {
                    break;
                }
            }
        }
    }

    /// The samples found.
    pub(crate) fn finish(self) -> Picked {
        self.picked
    }
}

impl Design {
    /// The stream of its samples.
    pub(crate) fn stream(self) -> Stream {
        match self {
            Self::Fresh { .. } | Self::FreshBoth { .. } => Stream::Fresh,
            _ => Stream::Certify,
        }
    }

    /// The stream and the ascending numbers of the design's samples, where `f` are f's codes on
    /// all its samples and the class is `class`. There are fewer samples than the design names
    /// if f's codes contain fewer, and at most as many fresh ones as f has answered.
    ///
    /// ```
    /// use recert_ledger::Codes;
    /// use recert_smooth::budget::Design;
    ///
    /// let f = Codes { classes: [3, 3, 5].repeat(32), margins: None };
    /// let (_, samples) = Design::Loss { pairs: 4 }.samples(&f, 3);
    /// // Samples 0 to 2 are early, and f answered samples 5 and 8 otherwise.
    /// assert_eq!(samples, [3, 4, 6, 7]);
    /// ```
    pub fn samples(self, f: &Codes, class: u16) -> (Stream, Vec<u32>) {
        let mut picker = Picker::new(self, class, f.classes.len() as u64);
        if !picker.is_done() {
            picker.see(0, f);
        }
        let picked = picker.finish();
        (picked.stream, picked.samples)
    }
}

#[cfg(test)]
mod tests {
    use super::super::cells::count_cells;
    use super::*;
    use recert_ledger::INVALID;

    fn codes(classes: &[u16], margins: &[u8]) -> Codes {
        Codes {
            classes: classes.to_vec(),
            margins: Some(margins.to_vec()),
        }
    }

    #[test]
    fn designs_take_the_first_samples_of_their_codes() {
        let f = codes(&[3, 3, 5, 3, INVALID, 3, 3], &[7, 1, 0, 2, 0, 6, 1]);
        let mut counts = [0; CELLS];
        count_cells(&f, 3, 0, &mut counts);
        assert_eq!(counts, [0, 2, 1, 0, 2, 1, 0, 0, 0, 0]);
        let samples = |design: Design| design.samples(&f, 3).1;
        assert_eq!(samples(Design::Loss { pairs: 3 }), [0, 1, 3]);
        assert_eq!(samples(Design::Loss { pairs: 99 }), [0, 1, 3, 5, 6]);
        assert_eq!(samples(Design::Both { pairs: 4 }), [0, 1, 2, 3]);
        let pairs = [0, 1, 9, 0, 1, 9, 0, 0, 0, 0];
        assert_eq!(samples(Design::Cells { pairs }), [0, 1, 2, 3]);
        assert_eq!(samples(Design::Fresh { samples: 2 }), [0, 1]);
        assert!(samples(Design::Nothing).is_empty());
    }

    #[test]
    fn early_samples_are_never_taken_and_blocks_make_no_difference() {
        let answers: Vec<u16> = (0..400).map(|i| [3, 3, 5, 3, INVALID][i % 5]).collect();
        let margins: Vec<u8> = (0..400).map(|i| (i * i % 8) as u8).collect();
        let f = codes(&answers, &margins);
        for design in [
            Design::Both { pairs: 70 },
            Design::Loss { pairs: 90 },
            Design::Loss { pairs: 900 },
            Design::Cells {
                pairs: [5, 9, 0, 40, 80, 3, 3, 3, 900, 1],
            },
        ] {
            let (_, whole) = design.samples(&f, 3);
            assert!(u64::from(whole[0]) >= early(400));
            for size in [1, 7, 64] {
                let mut picker = Picker::new(design, 3, 400);
                let mut first = 0;
                while first < 400 && !picker.is_done() {
                    let end = (first + size).min(400);
                    picker.see(
                        first as u64,
                        &codes(&answers[first..end], &margins[first..end]),
                    );
                    first = end;
                }
                let picked = picker.finish();
                assert_eq!(picked.samples, whole);
                let at = |list: &[u16]| -> Vec<u16> {
                    whole.iter().map(|&i| list[i as usize]).collect()
                };
                assert_eq!(picked.f.classes, at(&answers));
            }
        }
    }
}
