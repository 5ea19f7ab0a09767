//! Several networks that begin with the same layers, computed once for all of
//! them.
//!
//! The graphs are cut after they are lowered, at a tensor that is the same in
//! all: so each operation is the one that it is in the whole network, and the
//! outputs are the same bits. Only the layout of that one tensor may differ.

mod kept;
mod same;
mod split;

use std::sync::{Arc, Mutex, MutexGuard};

use recert_graph::Model;

use crate::error::Result;
use crate::ir::Graph;
use crate::lower::lower;
use crate::program::{Executor, Output, Program};
use crate::simd::Isa;
use kept::Kept;

/// The least part of the multiply-adds of all networks for which they are
/// worth cutting.
const LEAST: f64 = 0.03;

/// A network, and what of it to compute.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// The network.
    pub model: &'a Model,
    /// The name of its image input.
    pub input: &'a str,
    /// The names of the tensors to compute.
    pub outputs: &'a [&'a str],
}

/// Networks that begin with the same layers, made ready: what they have in
/// common, and the rest of each.
///
/// Layers are the same if they compute the same function of the image by the
/// same operations with the same weights, bit for bit. They end where a single
/// tensor of floats is all that the outputs depend on.
pub struct Shared {
    first: Arc<Program>,
    rests: Vec<Arc<Program>>,
    /// Values of that tensor, an image.
    inner: usize,
    layers: usize,
    part: f64,
}

impl Shared {
    /// Makes networks ready for this processor; `None` where they have too
    /// little in common (under 3 % of the multiply-adds), or one of them takes
    /// a scale from a whole batch.
    ///
    /// # Errors
    ///
    /// As [`Program::compile`].
    pub fn compile(members: &[Member<'_>]) -> Result<Option<Self>> {
        Self::compile_for(members, Isa::best())
    }

    /// As [`Shared::compile`], for an instruction set. The results are the same.
    ///
    /// # Errors
    ///
    /// As [`Program::compile`].
    pub fn compile_for(members: &[Member<'_>], isa: Isa) -> Result<Option<Self>> {
        if members.len() < 2 {
            return Ok(None);
        }
        let graphs = members.iter().map(|member| {
            let Member {
                model,
                input,
                outputs,
            } = member;
            lower(model, input, outputs)
        });
        let graphs = graphs.collect::<Result<Vec<_>>>()?;
        let Some(seam) = split::seams(&graphs).pop() else {
            return Ok(None);
        };
        let shared = Self::of(graphs, &seam, isa);
        // Nor where there is no layer at all.
        Ok(Some(shared).filter(|shared| shared.part >= LEAST))
    }

    fn of(graphs: Vec<Graph>, seam: &split::Seam, isa: Isa) -> Self {
        let inner = graphs[0].values[seam[0]].len();
        let (first, rests) = split::cut(graphs, seam);
        let (common, layers) = split::work(&first);
        let after = rests.iter().map(|rest| split::work(rest).0);
        let all: f64 = after.map(|work| work + common).sum();
        Self {
            part: common * rests.len() as f64 / all,
            layers,
            inner,
            first: Arc::new(Program::of(&first, isa)),
            rests: (rests.iter())
                .map(|rest| Arc::new(Program::of(rest, isa)))
                .collect(),
        }
    }

    /// How many layers (convolutions and matrix products) they have in common.
    pub fn layers(&self) -> usize {
        self.layers
    }

    /// Which part of the multiply-adds of all networks together is in these
    /// layers, from 0 to 1.
    pub fn part(&self) -> f64 {
        self.part
    }

    /// What runs them, in their order, on one thread that asks one after the
    /// other: what the common layers made of an image is computed when it is
    /// first asked for, and kept for a while.
    pub fn executors(&self) -> Vec<SharedExecutor> {
        let kept = Kept::new(self.first.executor(), self.inner);
        let kept = Arc::new(Mutex::new(kept));
        let executor = |rest: &Arc<Program>| SharedExecutor {
            kept: Arc::clone(&kept),
            rest: rest.executor(),
        };
        self.rests.iter().map(executor).collect()
    }
}

/// Runs one of the networks of a [`Shared`].
pub struct SharedExecutor {
    kept: Arc<Mutex<Kept>>,
    rest: Executor,
}

impl SharedExecutor {
    /// Computes the outputs for `images`, as [`Executor::run`] of the whole
    /// network does, bit for bit, whatever any of the networks was asked
    /// before.
    ///
    /// # Errors
    ///
    /// As [`Executor::run`].
    pub fn run(&mut self, images: &[f32]) -> Result<Vec<Output>> {
        let mut kept = Self::lock(&self.kept);
        self.rest.run(kept.compute(images)?)
    }

    /// Another one of the same network, which has nothing in common with any.
    #[must_use]
    pub fn detached(&self) -> Self {
        let kept = Self::lock(&self.kept).anew();
        Self {
            kept: Arc::new(Mutex::new(kept)),
            rest: self.rest.program().executor(),
        }
    }

    /// What is kept; nothing of it after a panic, which may have left it half
    /// written.
    fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
        kept.lock().unwrap_or_else(|poisoned| {
            let mut guard = poisoned.into_inner();
            *guard = guard.anew();
            kept.clear_poison();
            guard
        })
    }
}

#[cfg(test)]
mod tests;
