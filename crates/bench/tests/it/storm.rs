//! Room `bench`: the storm, small. `misybot bench storm --size 1000000` is the same with 1,000
//! tenants and a million operations.

use misy_bench::storm::{Settings, run};
use misy_testkit::{TestDatabase, platform_ctx, wall_ambient};

/// The dice fall the same way each time, the machine's timing does not.
async fn storm(size: usize, seed: u64) -> serde_json::Map<String, serde_json::Value> {
    let database = TestDatabase::create().await;
    let settings = Settings {
        server: database.superuser().clone(),
        passwords: database.passwords().clone(),
        ambient: wall_ambient(seed),
        ctx: platform_ctx(),
        tenants: 200,
        size,
        connections: 4,
        at_once: 32,
        seed,
    };
    run(&settings).await.expect("the storm is over").metrics
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_tenant_meets_another_in_a_storm_of_cancellations_panics_and_time_outs() {
    let metrics = storm(4_000, 0x5707).await;
    let number = |name: &str| metrics[name].as_u64().expect("a count");
    assert_eq!(number("foreign_canaries"), 0, "{metrics:?}");
    assert_eq!(number("uncommitted_rows_kept"), 0, "{metrics:?}");
    assert_eq!(number("transactions_left_open"), 0, "{metrics:?}");
    assert_eq!(number("unexpected"), 0, "{metrics:?}");
    // It was a storm.
    for name in ["canaries_read", "committed", "cancelled", "panicked", "failed"] {
        assert!(number(name) > 50, "{name}: {metrics:?}");
    }
    assert!(number("timed_out") > 0, "{metrics:?}");
}
