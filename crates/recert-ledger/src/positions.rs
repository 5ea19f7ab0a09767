//! Lists of inputs in few characters: positions in the data as runs of equal steps.

use serde::{Deserialize, Serialize};

/// The positions of inputs, ascending, each once. As JSON they are runs of equal steps, each
/// `[first, how many, step]`; the step of a single one is 0.
///
/// ```
/// use recert_ledger::Positions;
///
/// let positions = Positions::new(&[0, 20, 40, 60, 61]);
/// assert_eq!(positions.len(), 5);
/// assert!(positions.iter().eq([0, 20, 40, 60, 61]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<[u32; 3]>", into = "Vec<[u32; 3]>")]
pub struct Positions(Vec<[u32; 3]>);

impl Positions {
    /// A list of positions.
    ///
    /// # Panics
    /// If they are not strictly ascending.
    pub fn new(positions: &[u32]) -> Self {
        assert!(
            positions.is_sorted_by(|a, b| a < b),
            "positions are ascending"
        );
        let mut runs = Vec::new();
        let mut rest = positions;
        while let [first, following @ ..] = rest {
            let step = following.first().map_or(0, |next| next - first);
            let equal = rest.windows(2).take_while(|pair| pair[1] - pair[0] == step);
            let count = equal.count() + 1;
            runs.push([*first, count as u32, step]);
            rest = &rest[count..];
        }
        Self(runs)
    }

    /// How many there are. A text of few bytes may state billions: ask before going through
    /// all of them.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|[_, count, _]| u64::from(*count)).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        let runs = self.0.iter();
        runs.flat_map(|&[first, count, step]| (0..count).map(move |i| first + i * step))
    }
}

impl From<Positions> for Vec<[u32; 3]> {
    fn from(positions: Positions) -> Self {
        positions.0
    }
}

impl TryFrom<Vec<[u32; 3]>> for Positions {
    type Error = String;

    fn try_from(runs: Vec<[u32; 3]>) -> Result<Self, String> {
        let mut least = 0_u64;
        for &[first, count, step] in &runs {
            let last = u64::from(first) + u64::from(count).saturating_sub(1) * u64::from(step);
            let has_step = (step > 0) == (count > 1);
            if count == 0 || !has_step || u64::from(first) < least || last > u64::from(u32::MAX) {
                return Err(format!(
                    "[{first},{count},{step}] is no run of positions from {least} on"
                ));
            }
            least = last + 1;
        }
        Ok(Self(runs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_runs_and_come_back() {
        for (positions, json) in [
            (&[][..], "[]"),
            (&[7], "[[7,1,0]]"),
            (&[0, 20, 40, 41], "[[0,3,20],[41,1,0]]"),
            (&[1, 5, 6, 7], "[[1,2,4],[6,2,1]]"),
            (&[0, u32::MAX], "[[0,2,4294967295]]"),
        ] {
            let list = Positions::new(positions);
            assert_eq!(serde_json::to_string(&list).unwrap(), json);
            let read: Positions = serde_json::from_str(json).unwrap();
            assert!(read.iter().eq(positions.iter().copied()), "{json}");
            assert_eq!(read.len(), positions.len() as u64);
        }
        let all: Positions = serde_json::from_str("[[0,4294967295,1]]").unwrap();
        assert_eq!(all.len(), u64::from(u32::MAX));
    }

    #[test]
    fn what_is_no_list_of_positions_is_refused() {
        for json in [
            "[[0,0,0]]",
            "[[0,2,0]]",
            "[[0,1,1]]",
            "[[4,1,0],[4,1,0]]",
            "[[0,3,20],[40,1,0]]",
            "[[1,2,4294967295]]",
            "[[4294967295,2,1]]",
            "[[0,1]]",
            "[[-1,1,0]]",
        ] {
            assert!(serde_json::from_str::<Positions>(json).is_err(), "{json}");
        }
    }
}
