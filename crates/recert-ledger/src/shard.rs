//! Shards: which inputs of a run each of several processes takes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One of several parts that the inputs of a run are divided into, such as the third of sixteen.
///
/// An input belongs to a shard by its place in the list of the whole run alone: shard 3 of 16
/// takes the 3rd, the 19th, the 35th, .. of them. So shards have no input in common, together they have
/// all, and their lengths differ by one at most, whoever computes them.
///
/// ```
/// use recert_ledger::Shard;
///
/// let shard: Shard = "3/4".parse()?;
/// assert_eq!(shard.part(&[0, 20, 40, 60, 80, 100, 120]), [40, 120]);
/// assert_eq!(shard.to_string(), "3/4");
/// for refused in ["0/4", "5/4", "3", "3/0", "-1/4", "1/2/3"] {
///     assert!(refused.parse::<Shard>().is_err());
/// }
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    of: u32,
    number: u32,
}

impl Shard {
    /// Shard `number`, from 1 on, of `of`; `None` where there is no such shard.
    pub fn new(number: u32, of: u32) -> Option<Self> {
        (1..=of).contains(&number).then_some(Self { of, number })
    }

    /// Its number, from 1 on.
    pub fn number(self) -> u32 {
        self.number
    }

    /// How many shards there are.
    pub fn of(self) -> u32 {
        self.of
    }

    /// Whether it takes the input at this place of the whole run's list, from 0 on.
    pub fn takes(self, place: usize) -> bool {
        place % self.of as usize == self.number as usize - 1
    }

    /// What it takes of the whole run's list, in the same order.
    pub fn part<T: Clone>(self, whole: &[T]) -> Vec<T> {
        let places = whole.iter().skip(self.number as usize - 1);
        places.step_by(self.of as usize).cloned().collect()
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/');
        let parts = parts.and_then(|(i, n)| Some((i.trim().parse().ok()?, n.trim().parse().ok()?)));
        parts
            .and_then(|(number, of)| Self::new(number, of))
            .ok_or_else(|| {
                format!("'{text}' is no shard: give its number and how many there are, as in 3/16")
            })
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

impl TryFrom<String> for Shard {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_belongs_to_exactly_one_shard_and_lengths_differ_by_one_at_most() {
        for (inputs, of) in [
            (0, 1),
            (1, 1),
            (7, 1),
            (7, 2),
            (7, 3),
            (7, 7),
            (7, 16),
            (500, 16),
        ] {
            let whole: Vec<usize> = (0..inputs).collect();
            let shards: Vec<Shard> = (1..=of).filter_map(|i| Shard::new(i, of)).collect();
            let parts: Vec<Vec<usize>> = shards.iter().map(|shard| shard.part(&whole)).collect();
            let mut all: Vec<usize> = parts.concat();
            all.sort_unstable();
            assert_eq!(all, whole, "{inputs} inputs in {of} shards");
            let lengths = parts.iter().map(Vec::len);
            let (least, most) = (lengths.clone().min().unwrap(), lengths.max().unwrap());
            assert!(most - least <= 1, "{inputs} inputs in {of} shards");
            for (shard, part) in shards.iter().zip(&parts) {
                let taken = whole.iter().filter(|&&place| shard.takes(place));
                assert!(part.iter().eq(taken), "{shard} of {inputs}");
            }
        }
    }
}
