//! The field's log format: one tab-separated line per input [Cohen et al. 2019].
//!
//! ```text
//! idx  label  predict  radius    correct  time
//! 0    3      3        0.377123  1        0:00:14.172309
//! 20   7      -1       0.0       0        0:00:14.101748
//! ```
//!
//! - `predict` is -1 for an abstention, which has radius 0.0 and correct 0.
//! - `radius` is written rounded DOWN, with six decimals unless the caller asks for others.
//!   Published logs round to nearest, and so hold radii above what their own
//!   counts allow.
//! - `correct` is 1 where the certified class is the label.
//! - `time` is `H:MM:SS.ffffff`; hours run past 24. Python prints
//!   `1 day, 2:03:04` instead, which is read too.
//! - An input without a label has label -1 and correct 0: an abstention on it
//!   has the same label and predict, and still is not correct. Accuracies computed
//!   by other tools from the `correct` column of such a log are 0.
//!
//! The format has no place for the sigma, the number of samples, the failure
//! probability or the lower bound; keep them elsewhere.

mod log;
mod read;
mod row;

pub use log::CohenLog;
pub use read::{parse, read};
pub use row::{HEADER, LogRow};
