//! What a certificate's counts record that was free to be chosen: how many samples
//! of which code, a prior, tilts, a witness.

use serde_json::Value as Json;

/// Cells of the bound over cells.
pub(crate) const CELLS: usize = 10;

/// Each as far as the counts have it in its form; everything else in them is
/// derived.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Free {
    /// Samples that it stopped after, or fresh ones.
    pub(crate) n: Option<u64>,
    /// Samples that h ran on.
    pub(crate) pairs: Option<u64>,
    /// Those of each cell.
    pub(crate) cell_pairs: Option<[u64; CELLS]>,
    /// Samples of the pilot.
    pub(crate) pilot: Option<u64>,
    /// The two numbers of a Beta law, above 0.
    pub(crate) prior: Option<[f64; 2]>,
    /// A number above 0, as the tilts are.
    pub(crate) witness: Option<f64>,
    pub(crate) tilt: Option<f64>,
    pub(crate) tilts: Option<[f64; CELLS]>,
}

impl Free {
    /// Reads the text of stored counts.
    pub(crate) fn read(text: &str) -> Self {
        let stored: Json = serde_json::from_str(text).unwrap_or_default();
        let count = |name: &str| stored.get(name)?.as_u64();
        let number = |name: &str| positive(stored.get(name)?);
        Self {
            n: count("n"),
            pairs: count("pairs"),
            cell_pairs: list(&stored, "pairs", Json::as_u64),
            pilot: count("pilot"),
            prior: list(&stored, "prior", positive),
            witness: number("witness"),
            tilt: number("tilt"),
            tilts: list(&stored, "tilts", positive),
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
    fn only_what_has_its_form_is_read() {
        let of = |pairs: &str| Free::read(&format!(r#"{{"pairs": {pairs}}}"#));
        let ten = of("[1,2,3,4,5,6,7,8,9,0]");
        assert_eq!(ten.cell_pairs.map(|pairs| pairs[8]), Some(9));
        assert_eq!(ten.pairs, None);
        for bad in [
            "null",
            "[1,2]",
            "[1,2,3,4,5,6,7,8,9,-1]",
            "[1,2,3,4,5,6,7,8,9,0.5]",
            "[1,2,3,4,5,6,7,8,9,0,1]",
        ] {
            assert_eq!(of(bad), Free::default(), "{bad}");
        }
        let numbers = Free::read(r#"{"n":-1,"prior":[0.5,0],"witness":0.0,"tilt":"1","pilot":3}"#);
        let pilot = Some(3);
        assert_eq!(
            numbers,
            Free {
                pilot,
                ..Free::default()
            }
        );
        assert_eq!(Free::read("no JSON"), Free::default());
    }
}
