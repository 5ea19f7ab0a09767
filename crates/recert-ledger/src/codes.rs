//! A network's answers on many samples, and their entropy-coded form.
//!
//! A blob is: a version byte; the number of symbols; then, for each context,
//! the table of symbols seen with their counts; then one rANS stream
//! ([`constriction`]'s `DefaultAnsCoder`: 32-bit words, 24-bit probabilities)
//! holding the symbols in order; then a CRC-32 of all that. Integers in the head
//! are LEB128. The model's integer frequencies are computed from the counts
//! alone, in integer arithmetic, so every machine decodes alike; and the decoded
//! symbols must match the counts.
//!
//! Classes are coded with one context. Margins are coded with two: samples on
//! which the selected class won, and the others.

use constriction::stream::Decode;
use constriction::stream::model::ContiguousCategoricalEntropyModel;
use constriction::stream::stack::DefaultAnsCoder;

/// The code of a sample whose answer is invalid (a NaN or an infinite logit).
pub const INVALID: u16 = u16::MAX;

/// Margin codes are below this.
pub const MARGIN_BUCKETS: u8 = 8;

/// Bits of the coder's fixed-point probabilities.
const PRECISION: usize = 24;

/// Samples a blob may hold; larger runs take several.
pub(crate) const MAX_SAMPLES: u64 = 1 << 24;

/// The format's version, the first byte of every blob.
const VERSION: u8 = 1;

type Model = ContiguousCategoricalEntropyModel<u32, Vec<u32>, PRECISION>;

/// One network's answers on samples of one input, one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Codes {
    /// The class answered on each sample, or [`INVALID`].
    pub classes: Vec<u16>,
    /// The bucket of the selected class's absolute margin on each sample, below
    /// [`MARGIN_BUCKETS`] (0 where invalid); `None` for classifiers that give
    /// classes only, and where no margins are kept.
    pub margins: Option<Vec<u8>>,
}

impl Codes {
    /// Appends answer `i` of `others`, which must have margins if these do.
    ///
    /// # Panics
    /// If there is no such sample.
    ///
    /// ```
    /// use recert_ledger::{Codes, INVALID};
    ///
    /// let all = Codes { classes: vec![3, 5, INVALID], margins: None };
    /// let mut some = Codes::default();
    /// some.push(&all, 0);
    /// some.push(&all, 2);
    /// assert_eq!(some.classes, [3, INVALID]);
    /// assert_eq!((some.count(3), some.invalid()), (1, 1));
    /// ```
    pub fn push(&mut self, others: &Self, i: usize) {
        self.classes.push(others.classes[i]);
        if let Some(margins) = &others.margins {
            self.margins.get_or_insert_default().push(margins[i]);
        }
    }

    /// How often `class` was answered.
    pub fn count(&self, class: u16) -> u64 {
        self.classes.iter().filter(|&&c| c == class).count() as u64
    }

    /// How many answers are invalid.
    pub fn invalid(&self) -> u64 {
        self.count(INVALID)
    }
}

/// Encodes `symbols`, symbol `i` in context `context(i) < contexts`.
pub(crate) fn encode(
    symbols: &[u16],
    contexts: usize,
    context: impl Fn(usize) -> usize,
) -> Vec<u8> {
    let mut tables = vec![Vec::new(); contexts];
    for (i, &symbol) in symbols.iter().enumerate() {
        count(&mut tables[context(i)], symbol);
    }
    let mut blob = vec![VERSION];
    put(&mut blob, symbols.len() as u64);
    for table in &mut tables {
        table.sort_unstable();
        put(&mut blob, table.len() as u64);
        for &(symbol, count) in table.iter() {
            put(&mut blob, symbol.into());
            put(&mut blob, count);
        }
    }
    let models: Vec<_> = tables.iter().map(|table| model(table)).collect();
    let mut coder = DefaultAnsCoder::new();
    // A stack: what is to come out first goes in last.
    for (i, symbol) in symbols.iter().enumerate().rev() {
        let c = context(i);
        if let Some(model) = &models[c] {
            let index = tables[c]
                .binary_search_by_key(symbol, |entry| entry.0)
                .expect("every symbol was counted");
            constriction::stream::Encode::encode_symbol(&mut coder, index, model)
                .expect("every symbol counted has a probability");
        }
    }
    let Ok(words) = coder.into_compressed();
    for word in words {
        blob.extend(word.to_le_bytes());
    }
    blob.extend(crc32fast::hash(&blob).to_le_bytes());
    blob
}

/// The inverse of [`encode`], or what is wrong with the blob.
pub(crate) fn decode(
    blob: &[u8],
    expected: u64,
    contexts: usize,
    context: impl Fn(usize) -> usize,
) -> Result<Vec<u16>, String> {
    let (mut rest, checksum) = blob.split_last_chunk().ok_or("is cut off")?;
    if crc32fast::hash(rest) != u32::from_le_bytes(*checksum) {
        return Err("is damaged (its checksum does not match)".into());
    }
    let version = rest.split_off_first().ok_or("is empty")?;
    if *version != VERSION {
        return Err(format!("has version {version}, not {VERSION}"));
    }
    let count = take(&mut rest)?;
    if expected > MAX_SAMPLES {
        return Err(format!("claims {expected} samples"));
    }
    if count != expected {
        return Err(format!("holds {count} samples, not {expected}"));
    }
    let mut tables = Vec::with_capacity(contexts);
    let mut total = 0_u64;
    for _ in 0..contexts {
        let mut table = Vec::new();
        for _ in 0..take(&mut rest)? {
            let symbol = u16::try_from(take(&mut rest)?).map_err(|_| "has a symbol too large")?;
            let count = take(&mut rest)?;
            if count == 0 || table.last().is_some_and(|&(last, _)| last >= symbol) {
                return Err("has a malformed table".into());
            }
            total = total.checked_add(count).ok_or("has counts too large")?;
            table.push((symbol, count));
        }
        tables.push(table);
    }
    if total != expected {
        return Err(format!("has counts that add up to {total}, not {expected}"));
    }
    if rest.len() % 4 != 0 {
        return Err("is cut off".into());
    }
    let words: Vec<u32> = rest
        .chunks_exact(4)
        .map(|bytes| u32::from_le_bytes(bytes.try_into().expect("four bytes")))
        .collect();
    let models: Vec<_> = tables.iter().map(|table| model(table)).collect();
    let mut coder = DefaultAnsCoder::from_compressed(words).map_err(|_| "ends in a zero word")?;
    let mut seen: Vec<Vec<u64>> = tables.iter().map(|table| vec![0; table.len()]).collect();
    let mut symbols = Vec::with_capacity(expected as usize);
    for i in 0..expected as usize {
        let c = context(i);
        let index = match &models[c] {
            Some(model) => {
                let Ok(index) = coder.decode_symbol(model);
                index
            }
            None => 0,
        };
        let (symbol, _) = tables[c]
            .get(index)
            .ok_or("has a sample in an empty context")?;
        seen[c][index] += 1;
        symbols.push(*symbol);
    }
    let matches = tables
        .iter()
        .zip(&seen)
        .all(|(table, seen)| table.iter().map(|entry| &entry.1).eq(seen));
    if !matches || !coder.is_empty() {
        return Err("does not decode to the counts it states".into());
    }
    Ok(symbols)
}

/// Counts `symbol` in a short unsorted table.
fn count(table: &mut Vec<(u16, u64)>, symbol: u16) {
    match table.iter_mut().find(|entry| entry.0 == symbol) {
        Some(entry) => entry.1 += 1,
        None => table.push((symbol, 1)),
    }
}

/// The coder's model for a table of counts; `None` if there is at most one
/// symbol, which then takes no space.
fn model(table: &[(u16, u64)]) -> Option<Model> {
    if table.len() < 2 {
        return None;
    }
    let total: u128 = table.iter().map(|entry| u128::from(entry.1)).sum();
    let whole = 1_u128 << PRECISION;
    let mut frequencies: Vec<u32> = table
        .iter()
        .map(|entry| ((u128::from(entry.1) * whole / total) as u32).max(1))
        .collect();
    // Rounding leaves a little over (or, with many rare symbols, lacks a
    // little): the most frequent symbol takes it.
    let sum: u128 = frequencies.iter().map(|&f| u128::from(f)).sum();
    let largest = frequencies.iter_mut().max()?;
    *largest = u32::try_from(u128::from(*largest) + whole - sum).ok()?;
    Model::from_nonzero_fixed_point_probabilities(frequencies, false).ok()
}

/// Appends an unsigned LEB128 integer.
pub(crate) fn put(blob: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        blob.push(value as u8 | 0x80);
        value >>= 7;
    }
    blob.push(value as u8);
}

/// Takes an unsigned LEB128 integer off the front.
pub(crate) fn take(rest: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *rest.split_off_first().ok_or("is cut off")?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err("has an integer too large".into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(symbols: &[u16]) -> usize {
        let blob = encode(symbols, 2, |i| i % 2);
        let back = decode(&blob, symbols.len() as u64, 2, |i| i % 2).unwrap();
        assert_eq!(back, symbols);
        blob.len()
    }

    #[test]
    fn edge_cases_round_trip() {
        round_trip(&[]);
        round_trip(&[7]);
        round_trip(&[INVALID; 1000]);
        round_trip(&(0..2000).collect::<Vec<_>>());
        round_trip(&[0, 1]);
    }

    #[test]
    fn skewed_answers_come_close_to_their_entropy() {
        // 1 % of a second symbol: 0.0808 bits a sample.
        let symbols: Vec<u16> = (0..100_000).map(|i| u16::from(i % 100 == 0)).collect();
        let blob = encode(&symbols, 1, |_| 0);
        let bits = blob.len() as f64 * 8.0 / symbols.len() as f64;
        assert!((0.0807..0.0830).contains(&bits), "{bits}");
    }

    #[test]
    fn damage_is_noticed() {
        let symbols: Vec<u16> = (0..5000_u32).map(|i| (i * i % 97 % 7) as u16).collect();
        let blob = encode(&symbols, 1, |_| 0);
        for place in 0..blob.len() {
            let mut damaged = blob.clone();
            damaged[place] ^= 1;
            let result = decode(&damaged, symbols.len() as u64, 1, |_| 0);
            assert!(result.is_err(), "flip at {place}");
        }
        assert!(decode(&blob[..blob.len() - 4], 5000, 1, |_| 0).is_err());
    }

    proptest! {
        #[test]
        fn any_symbols_round_trip(symbols in prop::collection::vec(any::<u16>(), 0..600)) {
            round_trip(&symbols);
        }

        #[test]
        fn few_symbols_round_trip(symbols in prop::collection::vec(0_u16..4, 0..3000)) {
            round_trip(&symbols);
        }

        #[test]
        fn random_bytes_never_panic(blob in prop::collection::vec(any::<u8>(), 0..200), n in 0_u64..300) {
            let _ = decode(&blob, n, 2, |i| i % 2);
        }
    }
}
