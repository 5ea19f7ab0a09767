//! libFuzzer draws networks: every built-in engine against the reference interpreter.
//!
//! Only the built-in engines, since libFuzzer ends at what an installed one is known to
//! compute wrongly; those are compared by seeds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recert_fuzz::compare::Case;
use recert_fuzz::network::{model_of, network};

fuzz_target!(|bytes: &[u8]| {
    let Ok(model) = model_of("fuzzed", &network(bytes)) else {
        return;
    };
    let Ok(case) = Case::new(model) else {
        return;
    };
    for engine in ["direct", "rten"] {
        let outcome = case.outcome(engine);
        assert!(outcome.is_fine(), "{engine}: {outcome}");
    }
});
