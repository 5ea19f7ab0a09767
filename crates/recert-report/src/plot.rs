//! Inline SVG: axes, ticks and marks, styled by the page's own style sheet.
//!
//! Drawn here and not by a plotting library because the page needs what such
//! libraries leave out: colours that follow the reader's light or dark mode
//! (classes instead of fixed colours), tooltips (`title` elements), text in the
//! page's own font, and two drawings of each plot, for wide and narrow windows,
//! so that letters keep their size on a telephone.

mod accuracy;
mod cost;
mod frame;
mod front;
mod histogram;
mod kept;
mod layers;
mod samples;
mod scale;
mod shapes;
mod standalone;
mod versions;

pub(crate) use accuracy::{Line, accuracy};
pub(crate) use cost::{Mark, cost};
pub(crate) use frame::Size;
pub(crate) use front::{Trained, front};
pub(crate) use histogram::{histogram, tallest};
pub(crate) use kept::{Curve as KeptCurve, kept};
pub(crate) use layers::{Changed, layers};
pub(crate) use samples::{Curve, samples};
pub(crate) use shapes::Look;
pub(crate) use versions::{Version, versions};
