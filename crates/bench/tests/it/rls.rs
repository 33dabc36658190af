//! Room `bench`: the bench of row-level security says what it is to say, on few rows.

use misy_bench::rls::{Settings, run};
use misy_core::crypto::Key;
use misy_store::RolePasswords;
use misy_store::embedded::{EmbeddedConfig, EmbeddedPostgres};
use misy_testkit::{platform_ctx, postgres::unpredictable};

/// The metrics that runs are compared by; their names are fixed.
const FIXED: [&str; 8] = [
    "point_read_overhead_pct",
    "range_read_overhead_pct",
    "write4_overhead_pct",
    "fulltext_ms",
    "fulltext_floor_ms",
    "round_trips_per_read",
    "plans_changed",
    "growth_exponent",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_measured_and_a_read_is_one_round_trip() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = EmbeddedConfig::new(folder.path().join("postgres"), unpredictable());
    config.disposable = true;
    let postgres = EmbeddedPostgres::start(config).await.expect("a server");
    let settings = Settings {
        server: postgres.config("postgres"),
        passwords: RolePasswords::derive(&Key::new([3; 32])),
        ambient: unpredictable(),
        ctx: platform_ctx(),
        size: 20_000,
        tenants: 50,
        seconds: 1,
    };
    let report = run(&settings).await.expect("measured");
    let metric = |name: &str| report.metrics[name].as_f64().expect(name);
    for name in FIXED {
        assert!(metric(name).is_finite(), "{name}: {report}");
    }
    assert_eq!(report.bench, "rls");
    assert_eq!(report.metrics["plans_changed"], 0, "{report}");
    assert!(metric("plans_compared") > 100.0, "{report}");
    let trips = metric("round_trips_per_read");
    assert!((0.5..1.5).contains(&trips), "one flight, whatever the machine adds: {report}");
    assert!(metric("write4_durable_us") > 0.0, "{report}");
    assert!(metric("point_read_bare_us") > 0.0 && metric("fulltext_one_ms") > 0.0, "{report}");
    postgres.stop().await.expect("stopped");
}
