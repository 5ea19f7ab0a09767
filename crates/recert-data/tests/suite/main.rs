//! Data in all its formats. One program, so that it is linked once.

mod arrays;
mod folders;
mod foreign;
mod formats;
mod fuzz;
mod golden;
mod parquet;
mod support;
