//! The poolkeeper operator.
