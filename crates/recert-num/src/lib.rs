//! Outward-rounded Phi, Phi^-1 and binomial bounds, with checked newtypes for their arguments
//! and results.
//!
//! Every bound of this crate is a proof: a lower bound is never above the exact value and
//! an upper bound never below it, whatever the arguments. How close it comes is stated
//! beside each function as a constant ([`CLOPPER_PEARSON_SLACK`], [`NORMAL_SLACK`],
//! [`TAIL_SLACK`]); where that closeness cannot be proved for the arguments at hand, the
//! function returns an error and no number.
//!
//! The proofs are in the module documentation of the source, next to the code that they are
//! about. They assume IEEE 754 binary64 arithmetic (`+`, `-`, `*`, `/` and the square root
//! rounded to nearest), which Rust guarantees. The `ln`, `exp` and powers of the platform
//! occur only in first guesses, where their accuracy does not matter.
//!
//! | What | Where |
//! |---|---|
//! | numbers with a meaning | [`Sigma`], [`Alpha`], [`LowerBound`], [`UpperBound`], [`Radius`] |
//! | Clopper-Pearson bounds | [`clopper_pearson_lower`], [`clopper_pearson_upper`] |
//! | binomial tails, PREDICT's test | [`binomial_tail_lower`], [`binomial_tail_upper`], [`fair_coin_p_value_upper`] |
//! | the normal distribution | [`normal_cdf_lower`] ..., [`normal_quantile_lower`] ... |
//! | rounding with a direction | [`directed`], [`format_down`], [`format_up`] ... |
//! | sine and cosine of degrees | [`degrees`] |
//! | how many samples are needed | [`samples`] |
//!
//! ```
//! # fn main() -> Result<(), recert_num::Error> {
//! use recert_num::{Alpha, Radius, Sigma, clopper_pearson_lower};
//! // 99,000 of 100,000 noisy samples were of the top class.
//! let p_a = clopper_pearson_lower(99_000, 100_000, Alpha::new(0.001)?)?;
//! let radius = Radius::one_sided(Sigma::new(0.25)?, p_a)?.expect("above one half");
//! assert_eq!(radius.to_string(), "0.5724");
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod binomial;
mod dd;
mod decimal;
pub mod degrees;
pub mod directed;
mod elementary;
mod error;
mod normal;
mod radius;
pub mod samples;
mod tables;
mod types;

pub use binomial::{
    CLOPPER_PEARSON_SLACK, MAX_ALPHA, MAX_TRIALS, MIN_ALPHA, TAIL_FLOOR, TAIL_SLACK,
    binomial_tail_lower, binomial_tail_upper, clopper_pearson_lower, clopper_pearson_upper,
    fair_coin_p_value_upper,
};
pub use decimal::{format_down, format_up, format_up_significant};
pub use error::{Error, ErrorKind};
pub use normal::{
    NORMAL_SLACK, normal_cdf_lower, normal_cdf_upper, normal_quantile_lower, normal_quantile_upper,
    normal_tail_lower, normal_tail_upper,
};
pub use radius::Radius;
pub use types::{Alpha, LowerBound, Sigma, UpperBound};
