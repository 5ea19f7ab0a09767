//! Data in all its formats. One program, so that it is linked once.

mod arrays;
mod folders;
mod fuzz;
mod golden;
mod support;
