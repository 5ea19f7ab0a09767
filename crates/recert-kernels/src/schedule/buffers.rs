//! The buffers of a schedule: which tensors share one.

use std::collections::HashMap;

use super::Work;
use crate::memory::Layout;

/// Where a tensor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Location {
    /// In the caller's image.
    Image,
    /// In the buffer of this number.
    Slot(usize),
}

/// One step of the schedule.
pub(crate) struct Step {
    pub(crate) work: Work,
    pub(crate) inputs: Vec<Location>,
    /// The buffer written, which is none of the inputs'.
    pub(crate) output: usize,
}

/// The steps of a network and the buffers that they read and write.
pub(crate) struct Schedule {
    pub(crate) steps: Vec<Step>,
    /// How many values each buffer holds for one image, and what every byte of
    /// it is beforehand.
    pub(crate) slots: Vec<(usize, u8)>,
    /// Where the outputs are, plain.
    pub(crate) outputs: Vec<Location>,
    /// The most values that one step touches for one image.
    pub(crate) widest: usize,
    /// The most values that one step needs beside its tensors.
    pub(crate) scratch: usize,
}

pub(super) type StorageId = usize;

/// A tensor in one layout.
pub(super) struct Storage {
    pub(super) layout: Layout,
    /// The last step that reads it.
    pub(super) last_use: usize,
}

/// A step whose tensors have no buffers yet.
pub(super) struct Draft {
    pub(super) work: Work,
    pub(super) inputs: Vec<StorageId>,
    pub(super) output: StorageId,
}

/// Gives every tensor a buffer. A buffer is used again after the last step that
/// reads it, and only for the same layout, so that columns of zeros stay zero.
pub(super) fn assign(
    mut storages: Vec<Storage>,
    drafts: Vec<Draft>,
    outputs: &[StorageId],
) -> Schedule {
    for (step, draft) in drafts.iter().enumerate() {
        for &input in &draft.inputs {
            storages[input].last_use = step;
        }
    }
    for &output in outputs {
        storages[output].last_use = usize::MAX;
    }
    let mut locations = vec![Location::Image; storages.len()];
    let mut slots = Vec::new();
    let mut free: HashMap<Layout, Vec<usize>> = HashMap::new();
    let mut steps = Vec::new();
    let mut widest = 0;
    let scratch = drafts.iter().map(|draft| draft.work.scratch()).max();
    for (number, draft) in drafts.into_iter().enumerate() {
        let storage = &storages[draft.output];
        let slot = free.get_mut(&storage.layout).and_then(Vec::pop);
        let slot = slot.unwrap_or_else(|| {
            slots.push((storage.layout.size(), storage.layout.fill()));
            slots.len() - 1
        });
        locations[draft.output] = Location::Slot(slot);
        let mut used = draft.inputs.clone();
        used.push(draft.output);
        used.sort_unstable();
        used.dedup();
        let touched = used.iter().map(|&id| storages[id].layout.size());
        widest = widest.max(touched.sum());
        for &id in &used {
            // An output that no step reads is free at once.
            let storage = &storages[id];
            if storage.last_use <= number
                && let Location::Slot(slot) = locations[id]
            {
                free.entry(storage.layout).or_default().push(slot);
            }
        }
        steps.push(Step {
            work: draft.work,
            inputs: draft.inputs.iter().map(|&id| locations[id]).collect(),
            output: slot,
        });
    }
    Schedule {
        steps,
        slots,
        outputs: outputs.iter().map(|&id| locations[id]).collect(),
        widest,
        scratch: scratch.unwrap_or(0),
    }
}
