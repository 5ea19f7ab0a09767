//! Every bound against the committed tables of 70-digit references: nothing on the unsound
//! side, and the slack within the constant that the documentation states.

use std::path::Path;

use recert_num::{
    Alpha, CLOPPER_PEARSON_SLACK, NORMAL_SLACK, clopper_pearson_lower, clopper_pearson_upper,
    normal_cdf_lower, normal_cdf_upper, normal_quantile_lower, normal_quantile_upper,
    normal_tail_lower, normal_tail_upper,
};

/// A reference value as the nearest `f64` and what that leaves out.
#[derive(Clone, Copy)]
struct Reference {
    value: f64,
    rest: f64,
}

impl Reference {
    /// `bound - reference` in units of the reference; the first difference is exact for
    /// bounds this close. Zero must be met exactly.
    fn excess_of(self, bound: f64) -> f64 {
        if self.value == 0.0 {
            assert!(bound == 0.0, "{bound:e} where the exact bound is 0");
            return 0.0;
        }
        ((bound - self.value) - self.rest) / self.value.abs()
    }

    /// The relative slack of a lower bound, which must not be negative.
    fn slack_of_lower(self, bound: f64, case: &str) -> f64 {
        let slack = -self.excess_of(bound);
        assert!(
            slack >= 0.0,
            "{case}: lower bound {bound:e} is {:e} too high",
            -slack
        );
        slack
    }

    /// The relative slack of an upper bound, which must not be negative.
    fn slack_of_upper(self, bound: f64, case: &str) -> f64 {
        let slack = self.excess_of(bound);
        assert!(
            slack >= 0.0,
            "{case}: upper bound {bound:e} is {:e} too low",
            -slack
        );
        slack
    }

    /// The larger slack of an enclosure.
    fn slack_of_both(self, low: f64, high: f64, case: &str) -> f64 {
        self.slack_of_lower(low, case)
            .max(self.slack_of_upper(high, case))
    }
}

fn table(name: &str) -> Vec<Vec<f64>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/oracle")
        .join(name);
    let text = std::fs::read_to_string(path).expect("the oracle table is committed");
    text.lines()
        .skip(1)
        .map(|line| {
            line.split(',')
                .map(|x| x.parse().expect("a number"))
                .collect()
        })
        .collect()
}

#[test]
fn clopper_pearson_bounds() {
    let rows = table("clopper_pearson.csv");
    assert!(rows.len() > 2000);
    let mut worst = 0.0_f64;
    for row in rows {
        let (k, n, alpha) = (row[0] as u64, row[1] as u64, Alpha::new(row[2]).unwrap());
        let case = format!("k={k} n={n} alpha={alpha}");
        let low = clopper_pearson_lower(k, n, alpha).unwrap().get();
        let high = clopper_pearson_upper(k, n, alpha).unwrap().get();
        let (lower, upper) = (
            Reference {
                value: row[3],
                rest: row[4],
            },
            Reference {
                value: row[5],
                rest: row[6],
            },
        );
        let slack = lower
            .slack_of_lower(low, &case)
            .max(upper.slack_of_upper(high, &case));
        assert!(slack <= CLOPPER_PEARSON_SLACK, "{case}: slack {slack:e}");
        worst = worst.max(slack);
    }
    println!("largest relative slack of a Clopper-Pearson bound: {worst:e}");
}

#[test]
fn normal_distribution_bounds() {
    let mut worst = 0.0_f64;
    for row in table("normal.csv") {
        let (x, reference) = (
            row[0],
            Reference {
                value: row[1],
                rest: row[2],
            },
        );
        for (low, high) in [
            (normal_cdf_lower(x), normal_cdf_upper(x)),
            (normal_tail_lower(-x), normal_tail_upper(-x)),
        ] {
            let (low, high) = (low.unwrap().get(), high.unwrap().get());
            let slack = reference.slack_of_both(low, high, &format!("x={x}"));
            assert!(slack <= NORMAL_SLACK, "x={x}: slack {slack:e}");
            worst = worst.max(slack);
        }
    }
    println!("largest relative slack of Phi: {worst:e}");
}

#[test]
fn normal_quantile_bounds() {
    let mut worst = 0.0_f64;
    for row in table("quantile.csv") {
        let (p, reference) = (
            row[0],
            Reference {
                value: row[1],
                rest: row[2],
            },
        );
        let (low, high) = (
            normal_quantile_lower(p).unwrap(),
            normal_quantile_upper(p).unwrap(),
        );
        let slack = reference.slack_of_both(low, high, &format!("p={p}"));
        assert!(slack <= NORMAL_SLACK, "p={p}: slack {slack:e}");
        worst = worst.max(slack);
    }
    println!("largest relative slack of the normal quantile: {worst:e}");
}
