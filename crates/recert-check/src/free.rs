//! Free parameters of a certificate: the numbers that the prover could choose, and that the
//! checker takes from the stored counts. These are numbers of samples, a prior, tilts and a
//! witness.

use serde_json::Value as Json;

/// The number of cells of the bound over cells.
pub(crate) const CELLS: usize = 10;

/// The free parameters that the counts contain, each `None` if it is missing or malformed.
/// Everything else in the counts is derived.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct FreeParameters {
    /// The number of samples after which the run stopped, or of fresh samples.
    pub(crate) n: Option<u64>,
    /// The number of samples that h ran on.
    pub(crate) pairs: Option<u64>,
    /// The number of samples that h ran on, in each cell.
    pub(crate) cell_pairs: Option<[u64; CELLS]>,
    /// The number of pilot samples.
    pub(crate) pilot: Option<u64>,
    /// The two parameters of a Beta law, above 0.
    pub(crate) prior: Option<[f64; 2]>,
    /// The witness of a joint bound. Like the tilts it is above 0.
    pub(crate) witness: Option<f64>,
    pub(crate) tilt: Option<f64>,
    pub(crate) tilts: Option<[f64; CELLS]>,
    /// The lattice of a bound by the tail.
    pub(crate) multiples: Option<[u64; CELLS]>,
    pub(crate) step: Option<f64>,
    pub(crate) span: Option<f64>,
    /// The first round of pairs, where there were two.
    pub(crate) first: Option<FirstRound>,
}

/// What the second round of pairs follows from, beside the answers on the first.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct FirstRound {
    pub(crate) expected: Option<[f64; CELLS]>,
    pub(crate) pairs: Option<[u64; CELLS]>,
    pub(crate) planned: Option<[u64; CELLS]>,
    pub(crate) tilts: Option<[f64; CELLS]>,
    pub(crate) multiples: Option<[u64; CELLS]>,
    /// 0 without a lattice.
    pub(crate) step: Option<f64>,
}

impl FreeParameters {
    /// Reads the text of stored counts.
    pub(crate) fn read(text: &str) -> Self {
        let stored: Json = serde_json::from_str(text).unwrap_or_default();
        let count = |name: &str| stored.get(name)?.as_u64();
        let number = |name: &str| positive(stored.get(name)?);
        let lattice = stored.get("lattice").unwrap_or(&Json::Null);
        Self {
            n: count("n"),
            pairs: count("pairs"),
            cell_pairs: list(&stored, "pairs", Json::as_u64),
            pilot: count("pilot"),
            prior: list(&stored, "prior", positive),
            witness: number("witness"),
            tilt: number("tilt"),
            tilts: list(&stored, "tilts", positive),
            multiples: list(lattice, "multiples", Json::as_u64),
            step: lattice.get("step").and_then(positive),
            span: lattice.get("span").and_then(positive),
            first: stored.get("first").map(|first| FirstRound {
                expected: list(first, "expected", positive),
                pairs: list(first, "pairs", Json::as_u64),
                planned: list(first, "planned", Json::as_u64),
                tilts: list(first, "tilts", positive),
                multiples: list(first, "multiples", Json::as_u64),
                step: first.get("step").and_then(Json::as_f64),
            }),
        }
    }
}

fn list<T, const COUNT: usize>(
    stored: &Json,
    name: &str,
    read: impl Fn(&Json) -> Option<T>,
) -> Option<[T; COUNT]> {
    let values = stored.get(name)?.as_array()?.iter().map(read);
    values.collect::<Option<Vec<T>>>()?.try_into().ok()
}

fn positive(value: &Json) -> Option<f64> {
    let value = value.as_f64()?;
    (value.is_finite() && value > 0.0).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_numbers_are_not_read() {
        let read = |pairs: &str| FreeParameters::read(&format!(r#"{{"pairs": {pairs}}}"#));
        let ten = read("[1,2,3,4,5,6,7,8,9,0]");
        assert_eq!(ten.cell_pairs.map(|pairs| pairs[8]), Some(9));
        assert_eq!(ten.pairs, None);
        for bad in [
            "null",
            "[1,2]",
            "[1,2,3,4,5,6,7,8,9,-1]",
            "[1,2,3,4,5,6,7,8,9,0.5]",
            "[1,2,3,4,5,6,7,8,9,0,1]",
        ] {
            assert_eq!(read(bad), FreeParameters::default(), "{bad}");
        }
        let numbers =
            FreeParameters::read(r#"{"n":-1,"prior":[0.5,0],"witness":0.0,"tilt":"1","pilot":3}"#);
        let pilot = Some(3);
        assert_eq!(
            numbers,
            FreeParameters {
                pilot,
                ..FreeParameters::default()
            }
        );
        assert_eq!(FreeParameters::read("no JSON"), FreeParameters::default());
    }
}
