//! What a ledger says of every input, reduced to counts by code; and its file.
//!
//! A code is whether f answered the class selected, c, and the bucket of its
//! margin. For every h the table has, by code, the pairs (samples that both
//! answered) and how they ended.

use std::fmt::Write as _;
use std::path::Path;

use recert_ledger::{INVALID, Ledger, MARGIN_BUCKETS, NetworkId, Series, Stream};

/// Margin buckets.
pub const BUCKETS: usize = MARGIN_BUCKETS as usize;

/// Codes: buckets where f answered c, then buckets where it did not.
pub const CODES: usize = 2 * BUCKETS;

/// Counts by code.
pub type ByCode = [u64; CODES];

/// One input: f's samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Its place in the data set.
    pub idx: u32,
    /// Whether the class selected is the label. Used for scoring alone.
    pub correct: bool,
    /// f's samples by code.
    pub samples: ByCode,
}

/// One input: h's answers on the first samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paired {
    /// Samples that both answered.
    pub pairs: ByCode,
    /// Those that h answered with c.
    pub own: ByCode,
    /// Those that h answered otherwise than f.
    pub differ: ByCode,
}

/// A ledger's counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// The inputs.
    pub inputs: Vec<Base>,
    /// Each h by name, and its counts on every input.
    pub networks: Vec<(String, Vec<Paired>)>,
}

/// What can go wrong here, in words.
pub type Error = Box<dyn std::error::Error>;

impl Counts {
    /// Counts the answers in the ledger: f's on all samples, and each h's on its first `m`.
    pub fn extract(ledger: &Path, m: u64) -> Result<Self, Error> {
        let ledger = Ledger::open_read_only(ledger)?;
        let n = ledger.header().n;
        let series = |network: NetworkId, idx: u32| Series {
            network,
            idx,
            // The samples that certificates rest on.
            stream: Stream(1),
        };
        let networks = ledger.networks()?;
        let base = networks.iter().find(|(id, _)| *id == ledger.base());
        let stem = base.map_or("", |(_, f)| f.file.trim_end_matches(".onnx"));
        let mut inputs = Vec::new();
        let mut codes = Vec::new();
        for input in ledger.inputs()? {
            let selection =
                (ledger.selection(ledger.base(), input.idx)?).ok_or("an input has no selection")?;
            let (f, _) = ledger.answers(series(ledger.base(), input.idx), n)?;
            let margins = f.margins.as_ref().ok_or("the ledger keeps no margins")?;
            let code: Vec<usize> = (f.classes.iter().zip(margins))
                .map(|(&class, &bucket)| {
                    let other = class != selection.class || class == INVALID;
                    usize::from(other) * BUCKETS + usize::from(bucket)
                })
                .collect();
            let mut samples = [0; CODES];
            for &code in &code {
                samples[code] += 1;
            }
            inputs.push(Base {
                idx: input.idx,
                correct: input.label == Some(u32::from(selection.class)),
                samples,
            });
            codes.push((selection.class, f, code));
        }
        let mut counts = Self {
            inputs,
            networks: Vec::new(),
        };
        for (id, network) in networks.iter().filter(|(id, _)| *id != ledger.base()) {
            let mut paired = Vec::new();
            for (input, (class, f, code)) in counts.inputs.iter().zip(&codes) {
                let (h, _) = ledger.answers(series(*id, input.idx), m)?;
                let mut one = Paired {
                    pairs: [0; CODES],
                    own: [0; CODES],
                    differ: [0; CODES],
                };
                for (sample, &answer) in h.classes.iter().enumerate() {
                    one.pairs[code[sample]] += 1;
                    one.own[code[sample]] += u64::from(answer == *class);
                    one.differ[code[sample]] +=
                        u64::from(answer != f.classes[sample] || answer == INVALID);
                }
                paired.push(one);
            }
            let name = network.file.trim_end_matches(".onnx");
            let name = name.strip_prefix(stem).unwrap_or(name).trim_matches('.');
            counts.networks.push((name.to_owned(), paired));
        }
        Ok(counts)
    }

    /// The table as tab-separated text.
    pub fn to_text(&self) -> String {
        let mut text = String::from("network\tidx\tcorrect\twhat\tby code\n");
        let mut line = |network: &str, input: &Base, kind: &str, counts: &ByCode| {
            let each: Vec<String> = counts.iter().map(u64::to_string).collect();
            let correct = u8::from(input.correct);
            let _ = writeln!(
                text,
                "{network}\t{}\t{correct}\t{kind}\t{}",
                input.idx,
                each.join(" ")
            );
        };
        for input in &self.inputs {
            line("f", input, "copies", &input.samples);
        }
        for (name, paired) in &self.networks {
            for (input, paired) in self.inputs.iter().zip(paired) {
                line(name, input, "pairs", &paired.pairs);
                line(name, input, "own", &paired.own);
                line(name, input, "differ", &paired.differ);
            }
        }
        text
    }

    /// Reads [`Self::to_text`]'s table.
    pub fn from_text(text: &str) -> Result<Self, Error> {
        let mut counts = Self {
            inputs: Vec::new(),
            networks: Vec::new(),
        };
        for (number, line) in text.lines().enumerate().skip(1) {
            let bad = || format!("line {}: not a row of counts", number + 1);
            let fields: Vec<&str> = line.split('\t').collect();
            let [network, idx, correct, kind, numbers] = fields[..] else {
                return Err(bad().into());
            };
            let numbers: Vec<u64> = (numbers.split(' ').map(str::parse))
                .collect::<Result<_, _>>()
                .map_err(|_| bad())?;
            let numbers: ByCode = numbers.try_into().map_err(|_| bad())?;
            if network == "f" {
                counts.inputs.push(Base {
                    idx: idx.parse()?,
                    correct: correct == "1",
                    samples: numbers,
                });
                continue;
            }
            if counts
                .networks
                .last()
                .is_none_or(|(name, _)| name != network)
            {
                counts.networks.push((network.to_owned(), Vec::new()));
            }
            let paired = &mut counts.networks.last_mut().ok_or_else(bad)?.1;
            if kind == "pairs" {
                paired.push(Paired {
                    pairs: numbers,
                    own: [0; CODES],
                    differ: [0; CODES],
                });
                continue;
            }
            let last = paired.last_mut().ok_or_else(bad)?;
            match kind {
                "own" => last.own = numbers,
                "differ" => last.differ = numbers,
                _ => return Err(bad().into()),
            }
        }
        if counts
            .networks
            .iter()
            .any(|(_, p)| p.len() != counts.inputs.len())
        {
            return Err("a network lacks inputs".into());
        }
        Ok(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_come_back_as_they_went_out() {
        let by = |i: u64| std::array::from_fn(|code| i + code as u64);
        let counts = Counts {
            inputs: (0..2)
                .map(|i| Base {
                    idx: 5 * i,
                    correct: i == 1,
                    samples: by(u64::from(i)),
                })
                .collect(),
            networks: vec![(
                "int8".to_owned(),
                (0..2)
                    .map(|i| Paired {
                        pairs: by(i + 10),
                        own: by(i + 20),
                        differ: by(i + 30),
                    })
                    .collect(),
            )],
        };
        assert_eq!(Counts::from_text(&counts.to_text()).unwrap(), counts);
        assert!(Counts::from_text("header\nf\t1\t1\tcopies\t1 2").is_err());
    }
}
