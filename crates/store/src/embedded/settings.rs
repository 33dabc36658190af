//! Room `store`: what the embedded server is told. Durable always, sized by the machine, and silent
//! about data.

use std::collections::BTreeMap;

const MIB: u64 = 1 << 20;

/// Settings in the order in which the server reads them; a later one wins.
pub(super) type Settings = Vec<(String, String)>;

/// Everything for one start: what fits the machine, over it the operator's wishes, over those what
/// must not be changed. `disposable` gives up surviving a crash of the machine (not of a process).
pub(super) fn settings(
    memory_bytes: u64,
    wishes: &BTreeMap<String, String>,
    disposable: bool,
) -> Settings {
    let mut settings = sized(memory_bytes);
    settings.extend(wishes.iter().map(|(name, value)| (name.clone(), value.clone())));
    settings.extend(owned(&FIXED));
    let durable = if disposable { "off" } else { "on" };
    settings.extend(owned(&DURABLE.map(|name| (name, durable))));
    settings
}

fn owned(settings: &[(&str, &str)]) -> Settings {
    settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Untouched shared memory costs next to nothing, so the cap only bounds what a busy server takes.
///
/// Measured with pgbench on a disk with a fast flush: a commit delay of 200 us gained 5 and 28 %
/// with 32 clients and lost 31 and 15 % with 8, 1 ms lost with both, so there is none. The server's
/// own choice for the log's buffers, 16 MB, is resident while idle (12 MiB of 43) and bought no
/// throughput.
fn sized(memory_bytes: u64) -> Settings {
    let mib = |bytes: u64| format!("{}MB", bytes / MIB);
    let mut settings = owned(&[
        ("max_connections", "200"),
        ("work_mem", "8MB"),
        ("jit", "off"),
        ("huge_pages", "try"),
        ("random_page_cost", "1.1"),
        ("effective_io_concurrency", "64"),
        ("max_parallel_workers_per_gather", "0"),
        ("checkpoint_timeout", "15min"),
        ("max_wal_size", "1GB"),
        ("wal_buffers", "4MB"),
        ("max_logical_replication_workers", "0"),
        ("autovacuum_naptime", "20s"),
        ("autovacuum_work_mem", "64MB"),
    ]);
    let computed = [
        ("shared_buffers", mib((memory_bytes / 4).clamp(32 * MIB, 512 * MIB))),
        ("maintenance_work_mem", mib((memory_bytes / 16).clamp(16 * MIB, 256 * MIB))),
        ("effective_cache_size", mib((memory_bytes / 2).clamp(64 * MIB, 16_384 * MIB))),
    ];
    settings.extend(computed.map(|(name, value)| (name.to_owned(), value)));
    settings
}

/// What a disposable cluster goes without. A commit still waits until it is written, or the death
/// of a process would lose it.
const DURABLE: [&str; 2] = ["fsync", "full_page_writes"];

/// Errors are told to the client, who logs them without values; the server's own log would repeat
/// rows and statements, so below `LOG` it says nothing, and that tersely.
const FIXED: [(&str, &str); 17] = [
    ("synchronous_commit", "on"),
    ("listen_addresses", ""),
    ("password_encryption", "scram-sha-256"),
    ("row_security", "on"),
    ("logging_collector", "off"),
    ("log_destination", "stderr"),
    ("log_min_messages", "log"),
    ("log_error_verbosity", "terse"),
    ("log_min_error_statement", "panic"),
    ("log_statement", "none"),
    ("log_min_duration_statement", "-1"),
    ("log_min_duration_sample", "-1"),
    ("log_parameter_max_length", "0"),
    ("log_parameter_max_length_on_error", "0"),
    ("log_checkpoints", "off"),
    ("log_timezone", "UTC"),
    ("timezone", "UTC"),
];

/// What this machine, or the container we are in, lets us have.
pub(super) fn memory_bytes() -> u64 {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let limits = [
        total_of(&read("/proc/meminfo")),
        read("/sys/fs/cgroup/memory.max").trim().parse().ok(),
        read("/sys/fs/cgroup/memory/memory.limit_in_bytes").trim().parse().ok(),
    ];
    limits.into_iter().flatten().min().unwrap_or(1024 * MIB)
}

fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effective(memory_bytes: u64, wishes: &[(&str, &str)]) -> BTreeMap<String, String> {
        let wishes = owned(wishes).into_iter().collect();
        settings(memory_bytes, &wishes, false).into_iter().collect()
    }

    #[test]
    fn shared_memory_follows_the_machine_within_bounds() {
        for (memory_mib, buffers) in [(64, "32MB"), (1_024, "256MB"), (65_536, "512MB")] {
            assert_eq!(effective(memory_mib * MIB, &[])["shared_buffers"], buffers);
        }
    }

    #[test]
    fn a_wish_beats_the_size_but_neither_durability_nor_silence() {
        let wishes = [("work_mem", "64MB"), ("fsync", "off"), ("log_statement", "all")];
        let effective = effective(1_024 * MIB, &wishes);
        assert_eq!(effective["work_mem"], "64MB");
        assert_eq!(effective["fsync"], "on");
        assert_eq!(effective["log_statement"], "none");
    }

    #[test]
    fn memory_is_read_from_the_kernels_table() {
        let meminfo = "MemTotal:       24669008 kB\nMemFree:          512 kB\n";
        assert_eq!(total_of(meminfo), Some(24_669_008 * 1024));
        assert_eq!(total_of(""), None);
    }
}
