//! The names and terms that a report uses, explained in the words of `docs/glossary.md`.

/// A name or term, and what it means.
pub(crate) struct Term {
    pub(crate) word: &'static str,
    pub(crate) meaning: &'static str,
}

const fn term(word: &'static str, meaning: &'static str) -> Term {
    Term { word, meaning }
}

/// Terms of tables and plots.
pub(crate) const TERMS: [Term; 16] = [
    term(
        "smoothed classifier",
        "g(x) = the class that f answers most often on x + noise (Cohen, Rosenfeld, Kolter, ICML 2019)",
    ),
    term(
        "certified radius",
        "L2 radius within which the smoothed classifier's answer is proved not to change",
    ),
    term(
        "abstain",
        "to return neither class nor radius, because no radius above 0 is proved",
    ),
    term(
        "certified accuracy at r",
        "share of inputs certified with the right class at a radius of at least r",
    ),
    term(
        "average certified radius, ACR",
        "mean over all inputs of the certified radius where the class is the label, 0 elsewhere",
    ),
    term(
        "one-sided, two-sided",
        "bounding the class's probability alone (Cohen et al., CERTIFY); bounding the runner-up's too",
    ),
    term(
        "p_lower, p_upper",
        "lower confidence bound of the class's probability; upper confidence bound of every other class's",
    ),
    term("alpha", "failure probability of one certificate"),
    term(
        "evaluation",
        "one run of a network on one sample: what a certificate costs",
    ),
    term(
        "original network f, modified network h",
        "the network certified from scratch; the quantized, pruned or fine-tuned one",
    ),
    term(
        "disagreement",
        "f and h answer different classes on a sample",
    ),
    term(
        "zeta",
        "upper confidence bound of the probability of disagreement (Ugare et al., IRS, ICLR 2024)",
    ),
    term(
        "from scratch",
        "certified without pairs; where there is f's ledger, f's class is the class",
    ),
    term(
        "planned",
        "of samples from scratch: distributed over the inputs by f's counts, where they gain most",
    ),
    term(
        "the paper's baseline",
        "certifying from scratch as Ugare et al. compare with it: 100 selection samples and as many estimation samples of every input, one-sided",
    ),
    term(
        "speed-up",
        "what certifying h from scratch costs for the same average certified radius, over what \
         recertifying h cost; what certifying f cost is in neither",
    ),
];

/// Lower confidence bounds of the class's probability, and methods that choose among them.
const BOUNDS: [Term; 14] = [
    term("direct", "Clopper-Pearson on the network's own samples"),
    term(
        "two-sided",
        "bounds of the class's and of the runner-up's probability on the network's own samples",
    ),
    term(
        "fresh",
        "Clopper-Pearson on new noise samples that f was never run on",
    ),
    term(
        "fresh-two-sided",
        "as two-sided, on new noise samples that f was never run on",
    ),
    term("zeta", "f's bound less zeta (IRS, theorem 2)"),
    term(
        "loss",
        "f's bound less the upper confidence bound of a loss (f answers the class and h does not)",
    ),
    term(
        "paired",
        "that of loss, plus the lower confidence bound of a gain (h answers the class and f does not)",
    ),
    term(
        "both",
        "that of loss, with a bound of every other class's probability beside it",
    ),
    term(
        "cells",
        "one bound over all cells (f's answer is the class or not, and its margin bucket) at once",
    ),
    term(
        "tail",
        "as cells, with the probability of the tail in place of Markov's inequality",
    ),
    term(
        "mixture",
        "an anytime-valid bound on the network's own samples, by a mixture of likelihood ratios",
    ),
    term("loss-mixture", "that of loss, anytime-valid"),
    term(
        "irs",
        "Ugare et al., algorithm 2: zeta or direct, its error accounted for over both branches",
    ),
    term(
        "auto",
        "the sampling plan and bound with the largest expected radius",
    ),
];

/// The bounds and methods that `names` has, and those that their meanings refer to, in
/// the order of the glossary.
pub(crate) fn bounds(names: &[&str]) -> Vec<&'static Term> {
    let named = |term: &Term| names.contains(&term.word);
    let refers_to_loss = |term: &Term| term.meaning.starts_with("that of loss");
    let loss = BOUNDS
        .iter()
        .any(|term| named(term) && refers_to_loss(term));
    let shown = |term: &&Term| named(term) || loss && term.word == "loss";
    BOUNDS.iter().filter(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_glossary() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/glossary.md");
        let glossary = std::fs::read_to_string(path).unwrap().replace('`', "");
        let rows: Vec<&str> = glossary.lines().collect();
        for term in TERMS.iter().chain(&BOUNDS) {
            let row = format!("| {} | {} |", term.word, term.meaning);
            assert!(rows.contains(&row.as_str()), "the glossary lacks: {row}");
        }
    }

    #[test]
    fn names_that_occur_are_explained_and_no_others() {
        let words =
            |names: &[&str]| -> Vec<&str> { bounds(names).iter().map(|term| term.word).collect() };
        assert_eq!(words(&["cells", "unknown", "direct"]), ["direct", "cells"]);
        assert_eq!(words(&["paired"]), ["loss", "paired"]);
    }
}
