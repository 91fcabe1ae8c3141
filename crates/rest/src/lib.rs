//! What the REST clients share: bounded bodies, Retry-After, error classes.
