//! The scaling decision: a pure function from what was seen to what shall be done.
