//! Tests of the search on functions whose counterexamples are known.

use proptest::prelude::*;

use super::*;
use crate::ErrorKind;

/// Searches with `y = W x + b`, row-major.
fn search(
    attack: Attack,
    weights: &[f64],
    bias: &[f64],
    region: &Region,
    property: &Property,
) -> Option<Counterexample> {
    let inputs = weights.len() / bias.len();
    let evaluate = |x: &[f64]| {
        let rows = weights.chunks(inputs).zip(bias);
        rows.map(|(row, b)| row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + b)
            .collect()
    };
    let gradient = |_: &[f64], cotangent: &[f64]| {
        let column = |i| {
            let rows = weights.chunks(inputs).zip(cotangent);
            rows.map(|(row, c)| row[i] * c).sum()
        };
        (0..inputs).map(column).collect()
    };
    let found = attack.search_in(&evaluate, &gradient, region, property);
    found.unwrap()
}

/// `y0 = x0 + x1`, `y1 = bound`: class 0 loses where the sum falls to the bound.
fn sum_against(bound: f64) -> ([f64; 4], [f64; 2]) {
    ([1.0, 1.0, 0.0, 0.0], [0.0, bound])
}

#[test]
fn a_box_is_searched_to_its_corner_and_not_beyond() {
    let region = Region::linf(&[0.5, 0.7], 0.1).unwrap();
    let property = Property::label(2, 0).unwrap();
    // The least sum is 1, at the corner (0.4, 0.6), which float32 does not hold.
    let (weights, bias) = sum_against(1.000_001);
    let found = search(Attack::default(), &weights, &bias, &region, &property).unwrap();
    let x: Vec<f64> = found.input.iter().map(|&x| f64::from(x)).collect();
    assert!(found.inside && region.contains(&x), "{found:?}");
    assert!(found.worst <= 0.0 && property.violated(&found.outputs));
    let (weights, bias) = sum_against(0.999_999);
    assert_eq!(
        search(Attack::default(), &weights, &bias, &region, &property),
        None
    );
}

#[test]
fn a_ball_is_searched_to_its_edge_and_not_beyond() {
    let region = Region::l2(&[0.5, 0.5], 0.25).unwrap();
    let property = Property::label(2, 0).unwrap();
    let least = 1.0 - 0.25 * 2_f64.sqrt();
    let (weights, bias) = sum_against(least + 1e-5);
    let found = search(Attack::default(), &weights, &bias, &region, &property).unwrap();
    let x: Vec<f64> = found.input.iter().map(|&x| f64::from(x)).collect();
    assert!(found.inside && region.contains(&x), "{found:?}");
    let (weights, bias) = sum_against(least - 1e-6);
    assert_eq!(
        search(Attack::default(), &weights, &bias, &region, &property),
        None
    );
}

#[test]
fn every_alternative_is_tried() {
    // Unsafe: x0 >= 0.6 and x1 >= 0.6 (never), or x1 <= 0.45, or x0 + x1 >= 1.15 (never).
    let weights = [1.0, 0.0, 0.0, 1.0];
    let constraint = |coefficients: &[(usize, f64)], bound| Constraint {
        coefficients: coefficients.to_vec(),
        bound,
    };
    let unsafe_set = vec![
        vec![
            constraint(&[(0, -1.0)], -0.6),
            constraint(&[(1, -1.0)], -0.6),
        ],
        vec![constraint(&[(1, 1.0)], 0.45)],
        vec![constraint(&[(0, -1.0), (1, -1.0)], -1.15)],
    ];
    let property = Property::avoiding(2, unsafe_set).unwrap();
    let region = Region::Box {
        lower: vec![0.5, 0.45],
        upper: vec![0.55, 0.55],
    };
    // The f64 0.45 is below the least float32 of the box, so that it cannot be met ..
    let found = search(Attack::default(), &weights, &[0.0; 2], &region, &property);
    assert_eq!(found, None);
    // .. and 0.4375 can.
    let region = Region::Box {
        lower: vec![0.5, 0.4375],
        upper: vec![0.55, 0.55],
    };
    let found = search(Attack::default(), &weights, &[0.0; 2], &region, &property).unwrap();
    assert!(found.input[1] <= 0.45);
}

#[test]
fn a_region_without_a_float_is_searched_and_the_result_says_so() {
    let region = Region::Box {
        lower: vec![0.1, 0.0],
        upper: vec![0.1, 1.0],
    };
    let property = Property::label(2, 0).unwrap();
    let (weights, bias) = sum_against(0.5);
    let found = search(Attack::default(), &weights, &bias, &region, &property).unwrap();
    assert_eq!(found.input[0], 0.1_f32);
    assert!(!found.inside);
}

#[test]
fn nothing_is_found_where_nothing_is_unsafe_or_known() {
    let region = Region::linf(&[0.5, 0.5], 0.1).unwrap();
    let (weights, bias) = sum_against(9.0);
    let empty = Property::avoiding(2, vec![]).unwrap();
    assert_eq!(
        search(Attack::default(), &weights, &bias, &region, &empty),
        None
    );
    let property = Property::label(2, 0).unwrap();
    let nan = [f64::NAN; 4];
    assert_eq!(
        search(Attack::default(), &nan, &bias, &region, &property),
        None
    );
    let none = Attack {
        restarts: 0,
        ..Attack::default()
    };
    assert_eq!(search(none, &weights, &bias, &region, &property), None);
    let late = Attack {
        deadline: Some(Instant::now()),
        ..Attack::default()
    };
    assert_eq!(search(late, &weights, &bias, &region, &property), None);
    let none = Attack {
        steps: 0,
        ..Attack::default()
    };
    assert!(search(none, &weights, &bias, &region, &property).is_some());
}

#[test]
fn transformed_images_are_refused() {
    let linear = crate::region::Linear {
        offset: vec![0.0],
        slope: vec![1.0],
    };
    let region = Region::Parametric {
        parameters: [vec![0.0], vec![1.0]],
        lower: linear.clone(),
        upper: linear,
        pixels: [vec![0.0], vec![1.0]],
    };
    let error = place::Place::new(&region).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

proptest! {
    /// A linear function's minimum over a box is at a corner, so the search finds a
    /// counterexample if there is one by more than float32's rounding; and only then.
    #[test]
    fn linear_functions_are_decided(
        weights in prop::collection::vec(-1.0..1.0_f64, 6),
        bias in prop::collection::vec(-0.2..0.2_f64, 2),
        image in prop::collection::vec(0.0..1.0_f64, 3),
        eps in 0.001..0.3_f64,
        seed: u64,
        round: bool,
    ) {
        let property = Property::label(2, 0).unwrap();
        let margin = |x: &[f64]| (0..3).map(|i| (weights[i] - weights[3 + i]) * x[i]).sum::<f64>() + bias[0] - bias[1];
        let attack = Attack { seed, ..Attack::default() };
        let region = if round { Region::l2(&image, eps) } else { Region::linf(&image, eps) }.unwrap();
        let found = search(attack, &weights, &bias, &region, &property);
        prop_assert_eq!(&found, &search(attack, &weights, &bias, &region, &property));
        if let Some(found) = &found {
            let x: Vec<f64> = found.input.iter().map(|&x| f64::from(x)).collect();
            prop_assert!(found.inside && region.contains(&x));
            prop_assert!(margin(&x) <= 1e-12);
        } else if !round {
            let (lower, upper) = region.bounding_box();
            let corner: Vec<f64> = (0..3).map(|i| if weights[i] > weights[3 + i] { lower[i] } else { upper[i] }).collect();
            prop_assert!(margin(&corner) > -1e-6);
        }
    }
}
