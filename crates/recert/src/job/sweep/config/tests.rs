use super::*;

const BASE: &str = "data = 'idx:mnist'\ntest = 'idx:mnist'\nvalidation = 100\narchitecture = 'cnn3'\n\
    eps = 0.1\nmethod = 'mtl-ibp'\nalpha = 0.5\n";
const SCORE: &str = "[score]\neps = 0.1\n";

fn read(sweep: &str, score: &str) -> Result<SweepConfig> {
    SweepConfig::from_toml(&format!("{BASE}{sweep}\n{score}"))
}

fn refused(sweep: &str, score: &str) -> String {
    let error = read(sweep, score).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Parameter);
    error.to_string()
}

#[test]
fn points_are_all_combinations_and_grids_add_up() {
    let names = |sweep: &str| -> Vec<String> {
        let config = read(sweep, SCORE).unwrap();
        config.points.into_iter().map(|point| point.name).collect()
    };
    assert_eq!(
        names("[sweep]\nseed = [1, 2]\nalpha = [0.1, 0.9]"),
        [
            "alpha-0.1_seed-1",
            "alpha-0.1_seed-2",
            "alpha-0.9_seed-1",
            "alpha-0.9_seed-2"
        ]
    );
    let two = "[[sweep]]\nmethod = ['ibp']\n[[sweep]]\nmethod = ['cc-ibp']\nalpha = [0.1, 0.9]";
    assert_eq!(
        names(two),
        [
            "method-ibp",
            "alpha-0.1_method-cc-ibp",
            "alpha-0.9_method-cc-ibp"
        ]
    );
    let config = read(two, SCORE).unwrap();
    assert_eq!(config.fields, ["alpha", "method"]);
    // What a point does not vary it has from the file.
    assert_eq!(config.points[0].values, ["0.5", "ibp"]);
    assert_eq!(config.points[1].values, ["0.1", "cc-ibp"]);
    // Values of a point come before the file's; no point has test images.
    assert_eq!(config.points[1].config.alpha, Some(0.1));
    assert!(config.points[1].config.test.is_none() && config.test.is_some());
    // Lists are values too.
    assert_eq!(
        names("[sweep]\nclean-weight = [[0.0, 0.0], [1.0, 0.5]]"),
        ["clean-weight-0.0-0.0", "clean-weight-1.0-0.5"]
    );
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let cases = [
        ("[sweep]\nalpah = [0.1]", "line 9: unknown field `alpah`"),
        ("[sweep]\nalpha = []", "line 9: alpha: the list is empty"),
        (
            "[sweep]\nalpha = 0.5",
            "line 9: alpha: write a list of values",
        ),
        (
            "[sweep]\nseed = [1]\nalpha = [0.1,\n  'x']",
            "line 11: alpha: invalid type",
        ),
        (
            "[[sweep]]\nseed = [1]\n[[sweep]]\nepochs = [2, true]",
            "line 11: epochs: invalid type",
        ),
        (
            "clip = 'x'\n[sweep]\nseed = [1]",
            "line 8: clip: invalid type",
        ),
        (
            "[sweep]\neps = [0.1, '8//255']",
            "line 9: eps: '8//255' is no distance",
        ),
        (
            "[sweep]\nsplit-seed = [1, 2]",
            "line 9: split-seed: all points",
        ),
        (
            "[sweep]\nseed = [1]\nalpha = [0.1,\n  7.0]",
            "line 11: alpha: 7 is not from 0 to 1",
        ),
        (
            "[sweep]\nmethod = ['ibp', 'magic']",
            "line 9: 'magic' is none of standard",
        ),
        (
            "[sweep]\nmethod = ['ibp', 'sabr']",
            "line 9: tau: sabr needs it",
        ),
        (
            "[sweep]\nalpha = [0.1, 0.10]",
            "line 9: the points alpha-0.1 and alpha-0.10",
        ),
        (
            "[sweep]\nmethod = ['ibp']\nalpha = [0.1, 0.2]",
            "would train the same network",
        ),
        (
            "[sweep]\nvalidation = [5, 6]",
            "line 9: validation: all points",
        ),
        ("[sweep]\ndata = ['a', 'b']", "line 9: data: all points"),
        ("[sweep]", "line 8: sweep: name a field"),
        ("sweep = 3", "line 8: sweep: it has to be a table"),
        ("sweep = [3]", "line 8: sweep: every one"),
        ("", "line 1: a sweep has the tables"),
        (
            "epoch = 3\n[sweep]\nseed = [1]",
            "line 8: unknown field `epoch`",
        ),
        ("[sweep]\nseed == [1]", "line 9"),
    ];
    for (sweep, expected) in cases {
        let found = refused(sweep, SCORE);
        assert!(found.contains(expected), "{sweep}: {found}");
    }
    let many: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    let many = many.join(", ");
    let sweep = format!("[sweep]\nseed = [{many}]\nepochs = [1, {many}]");
    assert!(refused(&sweep.replace("0, 1", "41, 1"), SCORE).contains("more than 1000 points"));
    for (missing, named) in [
        ("data = 'idx:mnist'\n", "data: name the images"),
        ("architecture = 'cnn3'\n", "line 8: architecture: name one"),
    ] {
        let text = format!("{}[sweep]\nseed = [1]\n{SCORE}", BASE.replace(missing, ""));
        let found = SweepConfig::from_toml(&text).unwrap_err().to_string();
        assert!(found.contains(named), "{found}");
    }
    let without = BASE.replace("validation = 100\n", "");
    let error = SweepConfig::from_toml(&format!("{without}[sweep]\nseed = [1]\n{SCORE}"));
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("validation: points are compared")
    );
}

#[test]
fn scores_are_by_bounds_or_by_noise() {
    let sweep = "[sweep]\nseed = [1, 2]";
    let words = |score: &str| read(sweep, score).unwrap().score.words();
    let bounds = words("[score]\neps = 0.1\ntimeout = 5\ncomplete = true\nimages = 7");
    assert!(bounds.contains("within 0.1 in L-inf (cascade and branch and bound, at most 5 s"));
    // A fraction is exact, which no double would be.
    assert!(words("[score]\neps = '8/255'").contains("within 8/255 in L-inf"));
    let noise = words("[score]\nsigma = 0.25\nradius = 0.5\nn = 500");
    assert!(noise.contains("radius 0.5") && noise.contains("n 500, n0 100, alpha 0.001"));
    let cases = [
        ("[score]\nepss = 0.1", "line 11: unknown field `epss`"),
        ("[score]", "give either eps"),
        ("[score]\neps = 0.1\nsigma = 0.25", "give either eps"),
        ("[score]\neps = 0.1\nradius = 0.5", "not for eps"),
        (
            "[score]\nsigma = 0.25\nradius = 0.5\ntimeout = 5",
            "not for sigma",
        ),
        ("[score]\nsigma = 0.25", "radius: sigma needs it"),
        ("[score]\nsigma = 0.25\nradius = -0.5", "radius: -0.5"),
        ("[score]\nsigma = -1.0\nradius = 0.5", "line 10: score: "),
        (
            "[score]\nsigma = 0.25\nradius = 0.5\nalpha = 1.0",
            "line 10: score: ",
        ),
        ("[score]\neps = 0.0", "eps: 0 is not"),
        ("[score]\neps = nan", "eps: 'NaN' is no distance"),
        (
            "[score]\neps = '8/255/2'",
            "line 10: score: eps: '8/255/2' is no",
        ),
        ("[score]\neps = '300/255'", "eps: 300/255 is not"),
        (
            "[score]\neps = [0.1]",
            "line 11: eps: invalid type: write a number",
        ),
        (
            "[score]\neps = 0.1\nimages = 'x'",
            "line 12: images: invalid type",
        ),
        ("[score]\neps = 0.1\ntimeout = -5.0", "timeout: -5"),
        ("[score]\neps = 0.1\ntimeout = inf", "timeout: inf"),
        ("[score]\neps = 0.1\nimages = 0", "images: at least 1"),
        ("", "line 1: a sweep has the tables"),
    ];
    for (score, expected) in cases {
        let found = refused(sweep, score);
        assert!(found.contains(expected), "{score}: {found}");
    }
}

#[test]
fn settings_without_effect_in_any_point_are_named_once() {
    let unused = |sweep: &str| read(sweep, SCORE).unwrap().unused;
    assert_eq!(unused("[sweep]\nseed = [1, 2]"), None);
    // For one point there is a use for alpha, and for none for tau.
    let both =
        "tau = 0.5\nsigma = 0.25\n[[sweep]]\nmethod = ['ibp']\n[[sweep]]\nmethod = ['cc-ibp']";
    let words = unused(both).unwrap();
    assert!(
        words.starts_with("sigma, tau: given, but have no effect"),
        "{words}"
    );
    // What a point has of its own counts there alone.
    let own = "[[sweep]]\nmethod = ['ibp']\ntau = [0.5]\n[[sweep]]\nseed = [3]";
    assert!(unused(own).unwrap().starts_with("tau: given, but has"));
    let fractions = read("[sweep]\neps = ['8/255', '2/255']", SCORE).unwrap();
    assert_eq!(fractions.points[0].name, "eps-8-255");
    assert_eq!(fractions.points[0].config.eps, Some(8.0 / 255.0));
}
