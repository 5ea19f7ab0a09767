//! Tests of the reader on files as VNN-COMP's benchmarks write them.

use proptest::prelude::*;

use super::*;
use crate::ErrorKind;

/// Declarations of so many inputs and outputs.
fn header(inputs: usize, outputs: usize) -> String {
    let names = (0..inputs).map(|i| format!("X_{i}"));
    let names = names.chain((0..outputs).map(|i| format!("Y_{i}")));
    let names: Vec<String> = names.collect();
    format!(
        "(declare-const {} Real)\n",
        names.join(" Real)\n(declare-const ")
    )
}

fn one(text: &str) -> Query {
    let mut queries = parse(text).unwrap();
    assert_eq!(queries.len(), 1);
    queries.remove(0)
}

/// Whether outputs are unsafe, over all queries.
fn violated(queries: &[Query], y: &[f64]) -> bool {
    queries.iter().any(|query| query.property.violated(y))
}

#[test]
fn a_box_and_a_disjunction_of_rows_in_the_style_of_acas_xu() {
    let text = format!(
        "; a comment (with parentheses\n{}\n(assert (<= X_0 0.5))\n(assert (>= X_0 -0.5))\n\
         (assert (or (and (<= Y_1 Y_0)) (and (<= Y_2 Y_0))))",
        header(1, 3)
    );
    let query = one(&text);
    assert_eq!(query.region.bounding_box(), (&[-0.5][..], &[0.5][..]));
    let set = query.property.unsafe_set();
    assert_eq!(set.len(), 2);
    assert_eq!(set[0][0].coefficients, [(0, -1.0), (1, 1.0)]);
    assert_eq!(set[1][0].coefficients, [(0, -1.0), (2, 1.0)]);
    assert_eq!(set[1][0].bound, 0.0);
}

#[test]
fn several_conjuncts_are_one_conjunction() {
    let text = format!(
        "{}(assert (<= X_0 1)) (assert (>= X_0 0)) (assert (>= Y_0 3.5)) (assert (<= Y_1 Y_0))",
        header(1, 2)
    );
    let query = one(&text);
    let set = query.property.unsafe_set();
    assert_eq!(set.len(), 1);
    assert_eq!(set[0].len(), 2);
    assert_eq!(
        (set[0][0].coefficients.as_slice(), set[0][0].bound),
        (&[(0, -1.0)][..], -3.5)
    );
    assert!(query.property.violated(&[4.0, 1.0]));
    assert!(!query.property.violated(&[3.0, 1.0]));
    assert!(!query.property.violated(&[4.0, 5.0]));
}

#[test]
fn boxes_in_alternatives_are_queries_of_their_own() {
    // As in ACAS Xu's property 6, and in nn4sys with the outputs inside.
    let text = format!(
        "{}(assert (<= X_1 1)) (assert (>= X_1 0))
         (assert (or (and (>= X_0 0) (<= X_0 1) (<= Y_0 0)) (and (>= X_0 2) (<= X_0 3) (>= Y_0 9))
                     (and (>= X_0 0) (<= X_0 1) (>= Y_0 5)) (and (>= X_0 7) (<= X_0 6) (>= Y_0 0))))",
        header(2, 1)
    );
    let queries = parse(&text).unwrap();
    // The third shares the box of the first; the fourth is empty.
    assert_eq!(queries.len(), 2);
    assert_eq!(
        queries[0].region.bounding_box(),
        (&[0.0, 0.0][..], &[1.0, 1.0][..])
    );
    assert_eq!(
        queries[1].region.bounding_box(),
        (&[2.0, 0.0][..], &[3.0, 1.0][..])
    );
    assert_eq!(queries[0].property.unsafe_set().len(), 2);
    assert!(!queries[1].property.violated(&[8.0]) && queries[1].property.violated(&[9.0]));
}

#[test]
fn disjunctions_multiply() {
    let text = format!(
        "{}(assert (and (<= X_0 1) (>= X_0 0)))
         (assert (or (<= Y_0 0) (<= Y_1 0))) (assert (or (>= Y_0 1) (and (>= Y_1 1) (>= Y_1 2))))",
        header(1, 2)
    );
    let query = one(&text);
    let sizes: Vec<_> = query.property.unsafe_set().iter().map(Vec::len).collect();
    assert_eq!(sizes, [2, 3, 2, 3]);
    assert!(query.property.violated(&[0.0, 2.0]) && !query.property.violated(&[0.0, 1.0]));
}

#[test]
fn linear_terms_are_moved_to_one_side() {
    for (constraint, coefficients, bound) in [
        (
            "(<= (+ Y_0 (* -1.0 Y_1)) 0.5)",
            vec![(0, 1.0), (1, -1.0)],
            0.5,
        ),
        ("(<= (- Y_0 Y_1 2) 0.5)", vec![(0, 1.0), (1, -1.0)], 2.5),
        ("(<= (* 2 (+ Y_0 1)) 6)", vec![(0, 2.0)], 4.0),
        ("(<= (* (- 3) Y_0 2) 6)", vec![(0, -6.0)], 6.0),
        ("(>= 3 (+ Y_0 Y_1 Y_0))", vec![(0, 2.0), (1, 1.0)], 3.0),
        ("(<= (- (- Y_1)) Y_0)", vec![(0, -1.0), (1, 1.0)], 0.0),
        // 0.1 is no f64: the row is taken ten times.
        (
            "(<= (+ (* 0.1 Y_0) (* 0.25 Y_1)) 3)",
            vec![(0, 10.0), (1, 25.0)],
            300.0,
        ),
        ("(<= (- Y_0 Y_0 Y_1) -1)", vec![(1, -1.0)], -1.0),
    ] {
        let text = format!(
            "{}(assert (<= X_0 1))(assert (>= X_0 0))(assert {constraint})",
            header(1, 2)
        );
        let query = one(&text);
        let row = &query.property.unsafe_set()[0][0];
        assert_eq!(
            (&row.coefficients, row.bound),
            (&coefficients, bound),
            "{constraint}"
        );
    }
}

#[test]
fn bounds_of_inputs_in_all_their_forms() {
    for (constraint, lower, upper) in [
        ("(and (<= 1 X_0) (>= 2 X_0))", 1.0, 2.0),
        ("(= X_0 0.5)", 0.5, 0.5),
        ("(and (<= (* -2 X_0) 3) (<= (* 4 X_0) 1))", -1.5, 0.25),
        ("(and (<= (* -0.1 X_0) 3) (<= (* 100 X_0) 25))", -30.0, 0.25),
        (
            "(and (<= (+ X_0 1) 2) (>= (- X_0 1) -1.5) (<= X_0 5))",
            -0.5,
            1.0,
        ),
    ] {
        let text = format!("{}(assert {constraint})(assert (<= Y_0 0))", header(1, 1));
        let query = one(&text);
        let (l, u) = query.region.bounding_box();
        assert_eq!((l[0], u[0]), (lower, upper), "{constraint}");
    }
    // A third is no f64, and 0.1 is none.
    let text = format!(
        "{}(assert (<= (* 3 X_0) 1)) (assert (>= X_0 0.1)) (assert (<= Y_0 0.1))",
        header(1, 1)
    );
    let query = one(&text);
    let (l, u) = query.region.bounding_box();
    assert_eq!(u[0], (1.0_f64 / 3.0).next_up());
    // The f64 nearest to 0.1 is above it.
    assert_eq!(l[0], 0.1_f64.next_down());
    assert_eq!(query.property.unsafe_set()[0][0].bound, 0.1);
}

#[test]
fn what_is_refused_says_where_and_why() {
    let bounded = format!("{}(assert (<= X_0 1))\n(assert (>= X_0 0))\n", header(2, 2));
    for (rest, message) in [
        ("(assert (<= Y_0 0))", "X_1 has no finite lower bound"),
        (
            "(assert (<= X_0 X_1))",
            "line 7: a constraint relates several inputs",
        ),
        (
            "(assert (<= X_0 Y_1))",
            "line 7: a constraint relates several inputs",
        ),
        ("(assert (<= Y_9 0))", "line 7: `Y_9` is not declared"),
        ("(assert (<= (* Y_0 Y_1) 0))", "not linear"),
        ("(assert (< Y_0 0))", "write `<=`"),
        (
            "(assert (not (<= Y_0 0)))",
            "`not` is no operator of formulas",
        ),
        ("(assert (<= (/ Y_0 2) 0))", "`/` is no operator of terms"),
        ("(assert (<= Y_0 1.5.2))", "`1.5.2` is no decimal number"),
        ("(assert (<= Y_0 1", "found the end of the file"),
        ("(assert (<= Y_0 1)))", "expected `(`, found `)`"),
        ("(assert (<= Y_0 1) 3)", "expected `)`, found `3`"),
        ("(declare-const X_0 Real)", "`X_0` is declared twice"),
        ("(declare-const Z_0 Real)", "`Z_0` is no variable"),
        ("(declare-const X_02 Real)", "`X_02` is no variable"),
        ("(declare-const Y_2 Int)", "expected `Real`, found `Int`"),
        ("(declare-const Y_3 Real)", "Y_2 is not declared"),
        ("(vnnlib-version <2.0>)", "VNN-LIB 2"),
        ("(push 1)", "`push` is no command"),
        (
            "(assert (and (<= X_1 0) (>= X_1 1)))",
            "X_1 has the lower bound 1 above its upper bound 0",
        ),
        (
            "(assert (and (<= X_1 1) (>= X_1 0)))",
            "asserts nothing about the outputs",
        ),
        (
            "(assert (and (<= X_1 1) (>= X_1 0) (<= 1 0)))",
            "no input satisfies",
        ),
        (
            "(assert (<= (* 0.30000000000000000001 Y_0) 0))",
            "more digits",
        ),
        ("(assert (<= Y_0 1e999))", "X_1 has no finite"),
        ("(assert (<= (+) Y_0))", "`+` has no operand"),
    ] {
        let error = parse(&format!("{bounded}{rest}\n")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Syntax, "{rest}");
        let text = error.to_string();
        assert!(
            text.starts_with("line ") && text.contains(message),
            "{rest}: {text}"
        );
    }
    assert!(
        parse("")
            .unwrap_err()
            .to_string()
            .contains("declares no variable X_0")
    );
}

#[test]
fn nothing_grows_without_bound() {
    let deep = "(assert ".to_owned() + &"(and ".repeat(100_000);
    assert!(
        parse(&deep)
            .unwrap_err()
            .to_string()
            .contains("nested deeper")
    );
    let deep = "(assert (<= ".to_owned() + &"(- ".repeat(100_000);
    assert!(
        parse(&deep)
            .unwrap_err()
            .to_string()
            .contains("nested deeper")
    );
    // 2^40 alternatives.
    let mut text = header(1, 1);
    text.push_str("(assert (<= X_0 1))(assert (>= X_0 0))");
    for _ in 0..40 {
        text.push_str("(assert (or (<= Y_0 0) (>= Y_0 1)))");
    }
    assert!(
        parse(&text)
            .unwrap_err()
            .to_string()
            .contains("split the file")
    );
    let huge = "(declare-const X_18446744073709551615 Real)(declare-const Y_0 Real)";
    assert!(
        parse(huge)
            .unwrap_err()
            .to_string()
            .contains("X_0 is not declared")
    );
}

#[test]
fn files_may_be_compressed() {
    use std::io::Write;

    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "{}(assert (and (<= X_0 1) (>= X_0 0) (<= Y_0 0)))",
        header(1, 1)
    );
    let plain = folder.path().join("p.vnnlib");
    std::fs::write(&plain, &text).unwrap();
    let compressed = folder.path().join("p.vnnlib.gz");
    let file = std::fs::File::create(&compressed).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap();
    assert_eq!(read(&plain).unwrap(), read(&compressed).unwrap());
    assert_eq!(read_bytes(&compressed).unwrap(), text.as_bytes());

    let whole = std::fs::read(&compressed).unwrap();
    std::fs::write(&compressed, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(read(&compressed).unwrap_err().kind(), ErrorKind::Io);
    std::fs::write(&plain, "(declare-const").unwrap();
    let error = read(&plain).unwrap_err().to_string();
    assert!(error.contains("p.vnnlib: line 1: "), "{error}");
    let error = read(folder.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    let missing = read(folder.path().join("none")).unwrap_err().to_string();
    assert!(missing.contains("no such file"), "{missing}");
}

/// Formulas over two outputs, with what they mean.
fn formula() -> impl Strategy<Value = String> {
    let atom = (0..2_usize, prop::bool::ANY, -4_i32..4)
        .prop_map(|(y, least, c)| format!("({} Y_{y} {c})", if least { ">=" } else { "<=" }));
    atom.prop_recursive(3, 12, 3, |inner| {
        (prop::bool::ANY, prop::collection::vec(inner, 1..3)).prop_map(|(and, parts)| {
            format!("({} {})", if and { "and" } else { "or" }, parts.join(" "))
        })
    })
}

/// Whether a formula holds, by its definition.
fn holds(text: &mut std::iter::Peekable<std::str::SplitWhitespace<'_>>, y: [f64; 2]) -> bool {
    assert_eq!(text.next(), Some("("));
    let operator = text.next().unwrap();
    let result = match operator {
        "and" | "or" => {
            let mut parts = Vec::new();
            while text.peek() == Some(&"(") {
                parts.push(holds(text, y));
            }
            if operator == "and" {
                parts.iter().all(|&part| part)
            } else {
                parts.iter().any(|&part| part)
            }
        }
        _ => {
            let value = y[usize::from(text.next() == Some("Y_1"))];
            let bound: f64 = text.next().unwrap().parse().unwrap();
            if operator == "<=" {
                value <= bound
            } else {
                value >= bound
            }
        }
    };
    assert_eq!(text.next(), Some(")"));
    result
}

proptest! {
    #[test]
    fn alternatives_mean_what_the_formula_means(formulas in prop::collection::vec(formula(), 1..3), y in [-5.0..5.0, -5.0..5.0_f64]) {
        let mut text = header(1, 2) + "(assert (<= X_0 1)) (assert (>= X_0 0))";
        let mut expected = true;
        for formula in &formulas {
            text.extend(["(assert ", formula.as_str(), ")"]);
            let spaced = formula.replace('(', " ( ").replace(')', " ) ");
            expected &= holds(&mut spaced.split_whitespace().peekable(), y);
        }
        prop_assert_eq!(violated(&parse(&text).unwrap(), &y), expected);
    }

    #[test]
    fn no_text_panics(parts in prop::collection::vec(prop::sample::select(vec![
        "(", ")", "assert", "and", "or", "<=", ">=", "=", "+", "-", "*", "X_0", "Y_0", "Y_1", "1", "-0.5",
        "1e40", "declare-const", "Real", ";", "\n", "(assert", "(<= X_0 1)", "(>= X_0 0)", "(<= Y_0 0)",
    ]), 0..40), declared: bool) {
        let text = if declared { header(1, 1) } else { String::new() } + &parts.join(" ");
        let _ = parse(&text);
    }
}
