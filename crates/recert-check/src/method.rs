//! Deriving certificates from answers, one family of methods a file.

mod chosen;
mod pairs;
mod scratch;

use crate::claim::Method;
use crate::derived::{Context, Derived, Wrong};

/// Derives the certificate of one input by a method.
pub(crate) fn derive(method: &Method, context: &Context<'_>) -> Result<Derived, Wrong> {
    match method {
        Method::Scratch {
            level,
            two_sided,
            class_of_base,
        } => scratch::derive(context, *level, *two_sided, *class_of_base),
        Method::Predict { level } => scratch::predict(context, *level),
        Method::Until { level } => scratch::until(context, *level),
        Method::Pairs { kind, shares } => pairs::derive(context, *kind, shares),
        Method::Auto {
            shares,
            anytime,
            both,
            fresh_both,
        } => chosen::derive(context, *shares, *anytime, [*both, *fresh_both]),
    }
}
