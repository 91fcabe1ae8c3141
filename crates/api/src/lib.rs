//! The custom resources of poolkeeper.dev/v1alpha1.
