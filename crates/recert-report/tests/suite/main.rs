//! Reports in all their forms. One program, so that it is linked once.

mod html;
mod json;
mod samples;
mod support;
mod table;
