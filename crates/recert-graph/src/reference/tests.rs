//! Tests of the interpreter that need no files.

mod arithmetic;
mod kernels;
mod runs;
