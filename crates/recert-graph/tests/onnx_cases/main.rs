//! The reference interpreter on ONNX's own test cases, which the onnx package for
//! Python brings along.
//!
//! One trial a case. Cases that the graph does not take are reported as
//! ignored, each with its reason, and counted by reason at the end; so are all
//! cases where the package is not installed. `RECERT_ONNX_TESTS` may name a
//! folder of cases to take instead (`NAME/model.onnx`, `NAME/test_data_set_0`).

mod case;
mod cases;
mod compare;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// How many cases pass at least, of those of onnx 1.23 and later: 1,159 of 1.23.2
/// do. Fewer means that a change lost some.
const FLOOR: usize = 1155;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let skipped: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    let (cases, missing) = match cases::find() {
        Ok(cases) => (cases, None),
        Err(reason) => (Vec::new(), Some(reason)),
    };
    let installed = missing.is_none();
    let mut trials: Vec<Trial> = cases
        .into_iter()
        .map(|case| {
            let skipped = Arc::clone(&skipped);
            Trial::ignorable_test(case.name.clone(), move || match case.run() {
                Ok(()) => Ok(Completion::Completed),
                Err(case::Outcome::Wrong(why)) => Err(Failed::from(why)),
                Err(case::Outcome::Skipped { class, why }) => {
                    count(&skipped, class);
                    Ok(Completion::ignored_with(why))
                }
            })
        })
        .collect();
    if let Some(reason) = missing {
        let skipped = Arc::clone(&skipped);
        trials.push(Trial::ignorable_test("onnx's own cases", move || {
            count(&skipped, reason.clone());
            Ok(Completion::ignored_with(reason))
        }));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    for (reason, count) in &*skipped.lock().unwrap_or_else(PoisonError::into_inner) {
        println!("skipped {count}: {reason}");
    }
    let everything = installed
        && !arguments.list
        && std::env::var_os("RECERT_ONNX_TESTS").is_none()
        && conclusion.num_filtered_out == 0;
    if everything && conclusion.num_passed < FLOOR as u64 {
        println!(
            "only {} cases passed; at least {FLOOR} have to",
            conclusion.num_passed
        );
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

fn count(skipped: &Mutex<BTreeMap<String, usize>>, reason: String) {
    let mut skipped = skipped.lock().unwrap_or_else(PoisonError::into_inner);
    *skipped.entry(reason).or_default() += 1;
}
