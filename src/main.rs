//! The poolkeeper operator.
fn main() {}
