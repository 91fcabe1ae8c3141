//! The time that the operator and the simulator share: the wall clock, or a faster one.
