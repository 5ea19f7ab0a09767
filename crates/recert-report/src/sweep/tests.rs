use super::*;

fn sweep(found: &[[u64; 3]]) -> Sweep {
    let point = |(number, &[images, natural, certified]): (usize, &[u64; 3])| Point {
        name: format!("seed-{number}"),
        values: vec![number.to_string()],
        network: format!("seed-{number}.onnx"),
        sha256: "ab".repeat(32),
        validation: Accuracy {
            images,
            natural,
            certified,
            undecided: 1,
        },
        test: None,
    };
    Sweep {
        title: "a | <sweep>".to_owned(),
        certificate: "within 0.1".to_owned(),
        validation: "images".to_owned(),
        test: None,
        fields: vec!["seed".to_owned()],
        points: found.iter().enumerate().map(point).collect(),
        failed: Vec::new(),
    }
}

#[test]
fn the_front_has_what_nothing_is_better_than() {
    let front = |found: &[[u64; 3]]| sweep(found).front();
    assert_eq!(front(&[[100, 90, 80]]), [true]);
    // Equal ones are both on it; one that is equal in one and lower in the other is not.
    assert_eq!(
        front(&[[100, 90, 80], [100, 90, 80], [100, 90, 79], [100, 89, 80]]),
        [true, true, false, false]
    );
    assert_eq!(
        front(&[[100, 95, 70], [100, 90, 80], [100, 80, 75]]),
        [true, true, false]
    );
    // By shares, not by numbers: 45 of 50 are as many as 90 of 100.
    assert_eq!(front(&[[100, 90, 80], [50, 45, 41]]), [false, true]);
    // Numbers whose products do not fit 64 bits.
    let most = u64::MAX;
    assert_eq!(
        front(&[[most, most - 1, 0], [most, most, 0]]),
        [false, true]
    );
}

#[test]
fn pages_have_all_points_and_mark_the_front() {
    let mut made = sweep(&[[200, 190, 150], [200, 180, 149]]);
    made.points[0].test = Some(made.points[0].validation);
    made.test = Some("test images".to_owned());
    let table = made.table().unwrap();
    assert!(
        table.contains("95.0 \u{b1} 1.5") && table.contains("seed-1.onnx"),
        "{table}"
    );
    assert!(table.contains("Nothing is chosen by them"), "{table}");
    let page = made.markdown("plot.svg").unwrap();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| ")).collect();
    assert_eq!(rows.len(), 3, "{page}");
    assert!(
        rows[1].starts_with("| * | 0 |") && rows[2].starts_with("|  | 1 |"),
        "{page}"
    );
    assert!(page.contains("](plot.svg)"), "{page}");
    let json: serde_json::Value = serde_json::from_str(&made.json().unwrap()).unwrap();
    assert_eq!(json["schema"], SCHEMA);
    assert_eq!(json["points"][0]["front"], true);
    assert_eq!(json["points"][1]["front"], false);
    assert_eq!(json["points"][1]["validation"]["certified"], 149);
    let svg = made.svg().unwrap();
    assert_eq!(svg.matches("<circle class=\"dot\"").count(), 2, "{svg}");
    assert!(!svg.contains("<sweep>"), "{svg}");
}

#[test]
fn networks_that_could_not_be_trained_are_listed() {
    let mut made = sweep(&[[200, 190, 150]]);
    let json = |made: &Sweep| -> serde_json::Value {
        serde_json::from_str(&made.json().unwrap()).unwrap()
    };
    assert_eq!(json(&made)["failed"], serde_json::json!([]));
    assert!(!made.table().unwrap().contains("Could not be trained"));
    made.failed.push(Failed {
        name: "seed-9".to_owned(),
        error: "the loss is \u{1b}[2J NaN".to_owned(),
    });
    let table = made.table().unwrap();
    assert!(
        table.contains("Could not be trained, and is not in the table: seed-9: the loss"),
        "{table}"
    );
    assert!(!table.contains('\u{1b}'), "{table}");
    let page = made.markdown("plot.svg").unwrap();
    assert!(
        page.contains("\nCould not be trained, and is not in the table: seed-9: "),
        "{page}"
    );
    let found = json(&made);
    assert_eq!(found["schema"], SCHEMA);
    assert_eq!(found["failed"][0]["name"], "seed-9");
    assert_eq!(found["failed"][0]["error"], made.failed[0].error.as_str());
    assert_eq!(found["points"].as_array().unwrap().len(), 1);
}

#[test]
fn numbers_that_are_none_of_images_are_refused() {
    for found in [[0, 0, 0], [10, 11, 5], [10, 5, 6]] {
        assert!(sweep(&[found]).table().is_err(), "{found:?}");
    }
    assert!(sweep(&[]).json().is_err());
    let mut made = sweep(&[[10, 9, 8]]);
    made.points[0].values.clear();
    assert!(made.svg().is_err());
}

#[test]
fn every_dot_has_its_name_and_a_long_subtitle_its_lines() {
    let mut made = sweep(&[
        [200, 198, 120],
        [200, 190, 150],
        [200, 170, 100],
        [200, 170, 100],
    ]);
    for (i, point) in made.points.iter_mut().enumerate() {
        point.name = format!("eps-0.{i}");
    }
    made.certificate = "verified within 0.1 in L-inf of every image ".repeat(6);
    let svg = made.svg().unwrap();
    for i in 0..3 {
        assert!(svg.contains(&format!(">eps-0.{i}</text>")), "{svg}");
    }
    assert_eq!(svg.matches("class=\"sub\"").count(), 3, "{svg}");
    // Two networks in one place: both names are there, one below the other.
    assert!(svg.contains(">eps-0.3</text>"), "{svg}");
}
