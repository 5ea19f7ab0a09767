//! f's answers on an input with the samples that h may run on, and h's answers on the chosen
//! ones.

use recert_num::UpperBound;
use serde_json::Value as Json;

use crate::derived::{Bound, Context, Wrong, count, missing};
use crate::tables::Selection;

/// f's answers on an input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Base<'a> {
    pub(super) class: u16,
    pub(super) n: u64,
    /// The number of early samples, on which h never runs.
    pub(super) early: u64,
    pub(super) answers: &'a [u16],
    pub(super) margins: Option<&'a [u8]>,
}

impl Base<'_> {
    /// The first late samples for which `which` holds, ascending, at most `count` of them.
    pub(super) fn take(&self, count: u64, which: impl Fn(usize) -> bool) -> Vec<u32> {
        let late = self.early as usize..self.answers.len();
        let samples = late.filter(|&sample| which(sample));
        let samples = samples.take(usize::try_from(count).unwrap_or(usize::MAX));
        samples.map(|sample| sample as u32).collect()
    }

    /// The first late samples that f answered with the class.
    pub(super) fn take_class(&self, count: u64) -> Vec<u32> {
        self.take(count, |sample| self.answers[sample] == self.class)
    }

    /// f's answers on the late samples.
    pub(super) fn late(&self) -> &[u16] {
        &self.answers[self.early as usize..]
    }

    /// The number of late samples that f answered with the class, and of all late samples.
    pub(super) fn class_count(&self) -> (u64, u64) {
        (count(self.late(), self.class), self.late().len() as u64)
    }

    /// The number of votes (f's answers on the selection samples and on the early samples),
    /// and the number of votes for the class.
    pub(super) fn votes(&self, selection: &Selection) -> (u64, u64) {
        let selected = selection.counts.get(&self.class).copied().unwrap_or(0);
        let early = &self.answers[..self.early as usize];
        let favour = selected + count(early, self.class);
        (selection.samples + self.early, favour)
    }
}

/// The bounds derived from the chosen samples.
pub(super) struct Found {
    pub(super) stream: u32,
    pub(super) samples: Vec<u32>,
    pub(super) bound: &'static str,
    pub(super) p: Bound,
    /// The upper confidence bound of every other class, for a two-sided radius.
    pub(super) q: Option<UpperBound>,
    pub(super) counts: Json,
}

/// h's answers on the chosen samples.
pub(super) fn h_on(context: &Context<'_>, stream: u32, samples: &[u32]) -> Result<Vec<u16>, Wrong> {
    if samples.is_empty() {
        return Ok(Vec::new());
    }
    let series = context.answers.series(context.network, stream);
    let found = series.and_then(|series| series.on(samples));
    found.ok_or_else(|| {
        missing(format!(
            "answers of network {} on the {} samples chosen of stream {stream}",
            context.network,
            samples.len()
        ))
    })
}
