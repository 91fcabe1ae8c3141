//! The local stage of tests and demo: control plane, simulator, chart, operator.
