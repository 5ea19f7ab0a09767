//! Noise: values, laws, properties. One program, so that it is linked once.

mod golden;
mod integer_golden;
mod integer_laws;
mod integer_properties;
mod laws;
mod properties;
