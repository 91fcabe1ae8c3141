//! Generates what is generated.
