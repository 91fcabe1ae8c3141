//! One deterministic world of scale sets, agents and jobs, with the REST faces of both clouds.
