//! Room `bench`: decisions by policies. The floor is Cedar without an index, on the same policies
//! and questions, in the same run.

use misy_policy::pace::{Pace, measure};
use serde_json::json;

use crate::Report;

/// Measures; `rounds` is how many decisions make a run, of which the shortest of five counts.
pub fn run(rounds: u32) -> Report {
    let Pace {
        decision_us_50_policies,
        decision_us_1000_policies,
        unsliced_us_50_policies,
        unsliced_us_1000_policies,
        role_check_ns,
    } = measure(rounds);
    let metrics = json!({
        "decision_us_50_policies": decision_us_50_policies,
        "decision_us_1000_policies": decision_us_1000_policies,
        "floor_unsliced_us_50_policies": unsliced_us_50_policies,
        "floor_unsliced_us_1000_policies": unsliced_us_1000_policies,
        "role_check_ns": role_check_ns,
    });
    Report::new("authz", json!({ "rounds": rounds }), metrics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_has_every_figure_and_its_floor() {
        let report = run(2);
        assert_eq!(report.metrics.len(), 5);
        assert!(report.metrics.values().all(|figure| figure.as_f64().is_some_and(|it| it >= 0.0)));
    }
}
