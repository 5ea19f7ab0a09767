//! The page: well formed, self-contained, safe against hostile texts, and right.

use crate::support;
use recert_report::html::{Options, render};
use recert_report::{Law, Report, Row, Run};

/// One tag of a page, and the text before it.
#[derive(Debug, PartialEq)]
struct Tag {
    text: String,
    name: String,
    attributes: Vec<(String, String)>,
    closing: bool,
}

const VOID: [&str; 2] = ["meta", "wbr"];

/// Splits a page into tags, strictly: every attribute is quoted, and nothing
/// but tags and entities uses the characters that have a meaning.
fn tags(page: &str) -> Vec<Tag> {
    let mut rest = page.strip_prefix("<!DOCTYPE html>").expect("a doctype");
    let mut tags: Vec<Tag> = Vec::new();
    while let Some(start) = rest.find('<') {
        let text = rest[..start].to_owned();
        let end = start + rest[start..].find('>').expect("a tag ends");
        let inside = &rest[start + 1..end];
        let closing = inside.starts_with('/');
        let inside = inside.trim_start_matches('/');
        let (name, mut list) = inside.split_once(' ').unwrap_or((inside, ""));
        let mut attributes = Vec::new();
        while !list.trim().is_empty() {
            match list.trim_start().split_once(['=', ' ']) {
                Some((key, after)) if list.trim_start().as_bytes()[key.len()] == b'=' => {
                    let after = after.strip_prefix('"').expect("a quoted value");
                    let (value, after) = after.split_once('"').expect("an ending quote");
                    attributes.push((key.to_owned(), value.to_owned()));
                    list = after;
                }
                _ => {
                    let (key, after) = list
                        .trim_start()
                        .split_once(' ')
                        .unwrap_or((list.trim(), ""));
                    attributes.push((key.to_owned(), String::new()));
                    list = after;
                }
            }
        }
        let raw = matches!(name, "script" | "style") && !closing;
        let tag = Tag {
            text,
            name: name.to_owned(),
            attributes,
            closing,
        };
        rest = &rest[end + 1..];
        if raw {
            rest = &rest[rest
                .find(&format!("</{}", tag.name))
                .expect("raw text ends")..];
        }
        tags.push(tag);
    }
    assert!(rest.trim().is_empty());
    tags
}

/// Checks balance, entities and attribute names; gives back the tags.
fn well_formed(page: &str) -> Vec<Tag> {
    let tags = tags(page);
    let mut open: Vec<&str> = Vec::new();
    for tag in &tags {
        assert!(
            tag.name.bytes().all(|b| b.is_ascii_alphanumeric()),
            "<{}>",
            tag.name
        );
        for (name, value) in &tag.attributes {
            assert!(!name.starts_with("on"), "{name}");
            assert!(
                !["src", "href", "action", "srcdoc", "data"].contains(&name.as_str()),
                "{name}"
            );
            assert!(!value.contains(['<', '>']), "{value}");
        }
        for part in tag.text.split('&').skip(1) {
            let entity = part.split(';').next().unwrap_or_default();
            assert!(["amp", "lt", "gt", "quot"].contains(&entity), "&{entity}");
        }
        if VOID.contains(&tag.name.as_str()) {
            continue;
        }
        if tag.closing {
            assert_eq!(open.pop(), Some(tag.name.as_str()), "after {:?}", tag.text);
        } else {
            open.push(&tag.name);
        }
    }
    assert!(open.is_empty(), "still open: {open:?}");
    tags
}

fn page(report: &Report) -> String {
    render(report, &Options::default()).unwrap()
}

#[test]
fn the_page_is_well_formed_and_refers_to_nothing() {
    let page = page(&support::small());
    well_formed(&page);
    let without_policy = page.replace("http-equiv=\"Content-Security-Policy\"", "");
    for outside in ["http", "src=", "href", "url(", "@import", "//"] {
        assert!(!without_policy.contains(outside), "{outside}");
    }
    assert!(page.contains("default-src 'none'"));
    assert!(!page.contains("NaN") && !page.contains("inf\""));
}

#[test]
fn the_page_shows_the_figures() {
    let page = page(&support::small());
    for shown in [
        // Average certified radii, rounded down, and speed-ups by hand: for run 5 the 24,000
        // evaluations at ACR 0.375 that are expected from scratch over its own 4,000, the 18,000
        // planned ones, and the 31,000 measured ones (without 100 selection samples an input).
        "<td class=\"n main\">0.437</td>",
        "<td class=\"n main\">6.00</td>",
        "<td class=\"n main\">4.50</td>",
        "<td class=\"n\">6.10</td>",
        "<td class=\"n\">7.75</td>",
        "<td class=\"n\">7.33</td>",
        "<td class=\"n\">3.13 %</td>",
        "500 of 10,000",
        "paired 3",
        "Run 1, radius 0.75: 50.0 % (2 of 4)",
        "0.875 to 0.9: 3 of 4 inputs (75.0 %)",
        "Run 5: 4,000 evaluations, average certified radius 0.3750, speed-up 6.00",
        "Each radius holds with probability at least 0.999 over the noise.",
        "CIFAR-10 test, every 2500th (4 inputs)",
        "Made up, for tests.",
        "<i>seed</i> 42",
    ] {
        assert!(page.contains(shown), "the page lacks {shown}");
    }
    assert!(page.contains(&format!("sha256 {}", "a".repeat(64))));
}

#[test]
fn hostile_text_stays_text_wherever_it_is() {
    // Ends attributes and elements of every kind, and reorders what follows.
    let hostile = |number: u32| {
        format!(
            "\"'><script>alert({number})</script></title></style></svg><img src=x onerror=alert(1)>\
             <!-- &lt;\u{202e}\x1b[2J\0 onload=\"alert(1)\" .onnx"
        )
    };
    let harmless = page(&support::with_texts(|number| format!("text{number}")));
    let page = page(&support::with_texts(hostile));
    assert!(!page.contains(['\u{202e}', '\x1b', '\0']));
    for number in 1..=13 {
        let shown = format!("&lt;script&gt;alert({number})&lt;/<wbr>script&gt;");
        let unbroken = shown.replace("<wbr>", "");
        assert!(
            page.contains(&shown) || page.contains(&unbroken),
            "{number}"
        );
    }
    assert!(page.contains("&amp;lt;"));
    // Nothing but leave to break lines differs from the page of harmless texts.
    let elements = |page: &str| -> Vec<Tag> {
        let tags = well_formed(page).into_iter();
        let without_text = |tag| Tag {
            text: String::new(),
            ..tag
        };
        tags.filter(|tag| tag.name != "wbr")
            .map(without_text)
            .collect()
    };
    assert_eq!(elements(&page), elements(&harmless));
}

#[test]
fn bounds_and_terms_are_explained_where_they_occur() {
    let page = page(&support::small());
    for explained in [
        "<dt>paired</dt><dd>that of loss, plus the lower confidence bound of a gain",
        "<dt>zeta</dt><dd>upper confidence bound of the probability of disagreement",
        "<dt>speed-up</dt><dd>what certifying h from scratch costs",
    ] {
        assert!(page.contains(explained), "the page lacks {explained}");
    }
    assert!(!page.contains("<dt>cells</dt>"));
}

#[test]
fn the_law_of_the_noise_is_that_of_the_run() {
    let law = |law| {
        let mut report = support::small();
        for run in &mut report.runs {
            run.law = law;
        }
        page(&report)
    };
    let only = "8-bit pixels only";
    let gaussian = law(Some(Law::Gaussian));
    assert!(gaussian.contains("; Gaussian") && !gaussian.contains(only));
    assert!(law(Some(Law::Integer)).contains(only));
    assert!(!law(None).contains("Gaussian"));
}

#[test]
fn odd_reports_make_whole_pages() {
    let run = |rows: Vec<Row>| Run {
        network: "net".to_owned(),
        sigma: 0.5,
        alpha: 0.001,
        rows,
        ..Run::default()
    };
    let report = |runs: Vec<Run>| Report {
        runs,
        ..Report::default()
    };
    let abstained = vec![Row {
        label: Some(1),
        p_lower: Some(0.0),
        ..Row::default()
    }];
    let unlabelled = vec![Row {
        class: Some(1),
        radius: 0.25,
        p_lower: Some(1.0),
        ..Row::default()
    }];
    let tiny = vec![Row {
        label: Some(1),
        class: Some(1),
        radius: 1e-300,
        evaluations: 1,
        ..Row::default()
    }];
    let huge = vec![Row {
        label: Some(1),
        class: Some(1),
        radius: 1e29,
        evaluations: u64::MAX,
        ..Row::default()
    }];
    for report in [
        Report::default(),
        report(vec![run(Vec::new())]),
        report(vec![run(abstained.clone()), run(abstained.clone())]),
        report(vec![run(unlabelled.clone())]),
        report(vec![run(unlabelled), run(abstained), run(Vec::new())]),
        report(vec![run(tiny), run(huge)]),
    ] {
        let page = page(&report);
        well_formed(&page);
        assert!(!page.contains("NaN") && !page.contains("Infinity"));
    }
}

#[test]
fn long_lists_are_folded_and_cut_where_asked() {
    let mut report = support::small();
    assert!(page(&report).contains("<details open>"));
    report.runs.truncate(1);
    report.runs[0].rows = (0..201)
        .map(|idx| Row {
            idx,
            ..Row::default()
        })
        .collect();
    let all = page(&report);
    assert!(all.contains("<details>") && !all.contains("<details open>"));
    assert_eq!(all.matches("<tr class=\"abstained\">").count(), 201);
    let mut options = Options::default();
    options.listed_inputs = 50;
    let cut = render(&report, &options).unwrap();
    assert_eq!(cut.matches("<tr class=\"abstained\">").count(), 50);
    assert!(cut.contains("The first 50 inputs; 151 more are in the JSON report."));
}

#[test]
fn many_runs_share_the_plots_by_series() {
    let mut report = support::small();
    for n in [20_000, 30_000, 40_000, 50_000] {
        let mut run = report.runs[2].clone();
        run.n = n;
        report.runs.push(run);
    }
    let page = page(&report);
    well_formed(&page);
    assert!(page.contains("the one with most is shown"));
    // Of the from-scratch series of the bfloat16 network only the largest run is drawn.
    assert!(page.contains("Run 9, radius 0.5:") && !page.contains("Run 2, radius 0.5:"));
}
