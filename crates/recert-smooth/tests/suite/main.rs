//! Runs, and their statements simulated. One program, so that it is linked once.

mod chosen;
mod coverage;
mod coverage_adaptive;
mod coverage_auto;
mod coverage_cells;
mod coverage_pairs;
mod coverage_plans;
mod coverage_rounds;
mod coverage_search;
mod coverage_tail;
mod coverage_two_sided;
mod float_attack;
mod numbers;
mod rounds;
mod runs;
mod shards;
mod simulate;
mod together;
mod workers;
