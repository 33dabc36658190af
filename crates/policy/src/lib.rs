//! Room `policy`: policies of tenants.
