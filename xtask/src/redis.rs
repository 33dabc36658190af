//! Room `xtask`: makes sure that a Redis server is installed. It is never started here: tests run it
//! as a private server of their own.

use std::process::Command;

use anyhow::{Result, bail};

use crate::debian::{self, Package};
use crate::workshop::Workshop;

const OLDEST_MAJOR: u32 = 7;

/// Keeps Debian's package from starting its own server while it is installed (`invoke-rc.d(8)`).
const NO_SERVICE: &str = "policy=/usr/sbin/policy-rc.d; if [ ! -e $policy ]; then \
                          printf '#!/bin/sh\\nexit 101\\n' > $policy; chmod 755 $policy; \
                          trap 'rm -f /usr/sbin/policy-rc.d' EXIT; fi";

/// And at the next start of the machine, where services are started by systemd.
const NEVER: &str = "if command -v systemctl > /dev/null; \
                     then systemctl disable redis-server > /dev/null 2>&1 || true; fi";

/// Finds a server or installs Debian's package.
pub(crate) fn ensure(workshop: &Workshop) -> Result<()> {
    if installed() {
        return Ok(());
    }
    eprintln!("xtask: no Redis {OLDEST_MAJOR} or newer is installed; installing Debian's package");
    let package = Package {
        name: "redis-server",
        before: format!("{NO_SERVICE};"),
        after: NEVER.to_owned(),
        otherwise: "install Redis 7 or newer (`redis-server` in PATH)",
    };
    debian::install(workshop, &package)?;
    if installed() {
        return Ok(());
    }
    bail!("the package `redis-server` brought no server of version {OLDEST_MAJOR} or newer")
}

fn installed() -> bool {
    let Ok(output) = Command::new("redis-server").arg("--version").output() else { return false };
    parse_major(&String::from_utf8_lossy(&output.stdout)).is_some_and(|it| it >= OLDEST_MAJOR)
}

/// The 7 of `Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=..`.
fn parse_major(version: &str) -> Option<u32> {
    let (_, number) = version.split_once("v=")?;
    number.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read() {
        assert_eq!(parse_major("Redis server v=7.0.15 sha=0 bits=64\n"), Some(7));
        assert_eq!(parse_major("redis-server: not found"), None);
    }

    #[test]
    fn what_surrounds_the_install_are_shell_scripts() {
        for script in [NO_SERVICE, NEVER] {
            let checked = Command::new("sh").args(["-n", "-c", script]).status().unwrap();
            assert!(checked.success(), "{script}");
        }
    }
}
