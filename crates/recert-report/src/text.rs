//! Texts for people: safe strings, grouped counts, durations, lists of runs.

use std::borrow::Cow;

/// The text of a cell without a value.
pub(crate) const NONE: &str = "\u{2013}";

/// Replaces characters that must not reach a terminal or a page: control
/// characters, which begin escape sequences, and marks that reorder text.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_unprintable) {
        Cow::Owned(
            text.chars()
                .map(|c| match c {
                    '\n' | '\r' | '\t' => ' ',
                    c if is_unprintable(c) => '\u{fffd}',
                    c => c,
                })
                .collect(),
        )
    } else {
        Cow::Borrowed(text)
    }
}

fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A count with its digits in groups of three: `100,000`.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count and its noun, in the plural unless the count is 1: `1 input`, `500 inputs`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(count))
}

/// A duration in its two largest units: `4.2 s`, `3 min 05 s`, `27 h 10 min`.
pub(crate) fn duration(seconds: f64) -> String {
    if seconds < 0.0995 {
        return format!("{:.1} ms", seconds * 1e3);
    }
    if seconds < 99.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    if whole < 6000 {
        format!("{} min {:02} s", whole / 60, whole % 60)
    } else {
        let minutes = (seconds / 60.0).round() as u64;
        format!("{} h {:02} min", minutes / 60, minutes % 60)
    }
}

/// Run numbers, counted from 1, as words: `run 1`, `runs 1, 3 and 4`,
/// `runs 1 to 5`. The positions are in increasing order.
pub(crate) fn runs(indices: &[usize]) -> String {
    let mut stretches: Vec<(usize, usize)> = Vec::new();
    for index in indices {
        let number = index + 1;
        match stretches.last_mut() {
            Some((_, end)) if *end + 1 == number => *end = number,
            _ => stretches.push((number, number)),
        }
    }
    let words: Vec<String> = stretches
        .into_iter()
        .flat_map(|(from, to)| match to - from {
            0 => vec![from.to_string()],
            1 => vec![from.to_string(), to.to_string()],
            _ => vec![format!("{from} to {to}")],
        })
        .collect();
    match words.as_slice() {
        [] => "no run".to_owned(),
        [one] if indices.len() == 1 => format!("run {one}"),
        [one] => format!("runs {one}"),
        [most @ .., last] => format!("runs {} and {last}", most.join(", ")),
    }
}

/// A number as short as it can be written: `0.25`, `1`, `0.001`.
pub(crate) fn short(x: f64) -> String {
    format!("{x}")
}

/// Breaks `text` at spaces into lines of at most `width` characters, where
/// that is possible; a longer word is a line of its own.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_reordering_characters_do_not_pass() {
        assert_eq!(printable("plain.onnx"), "plain.onnx");
        assert_eq!(printable("a\x1b[31mred"), "a\u{fffd}[31mred");
        assert_eq!(printable("a\u{202e}b\nc"), "a\u{fffd}b c");
    }

    #[test]
    fn counts_and_durations_read_well() {
        for (count, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (10_000_100, "10,000,100"),
        ] {
            assert_eq!(grouped(count), text);
        }
        for (seconds, text) in [
            (0.0, "0.0 ms"),
            (0.012, "12.0 ms"),
            (4.25, "4.2 s"),
            (99.96, "1 min 40 s"),
            (185.0, "3 min 05 s"),
            (5999.6, "1 h 40 min"),
            (150_059.4, "41 h 41 min"),
        ] {
            assert_eq!(duration(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn lists_of_runs_read_well() {
        assert_eq!(runs(&[0]), "run 1");
        assert_eq!(runs(&[0, 1]), "runs 1 and 2");
        assert_eq!(runs(&[0, 2]), "runs 1 and 3");
        assert_eq!(runs(&[0, 1, 2, 3]), "runs 1 to 4");
        assert_eq!(runs(&[0, 1, 2, 8]), "runs 1 to 3 and 9");
        assert_eq!(runs(&[0, 2, 3]), "runs 1, 3 and 4");
    }

    #[test]
    fn wrapping_keeps_words_whole() {
        assert_eq!(wrapped("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrapped("long-word x", 4), ["long-word", "x"]);
        assert!(wrapped("  ", 4).is_empty());
    }
}
