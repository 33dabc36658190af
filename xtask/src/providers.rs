//! Room `xtask`: makes sure that the identity providers are there that tests sign in at: npm
//! packages at the versions and checksums of their lock files and a package of Debian, below
//! `target/`. They are only ever processes beside the tests: nothing of them is linked or shipped.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::debian::{self, Package};
use crate::workshop::Workshop;

/// Folders of `crates/testkit/providers`.
const PROVIDERS: [&str; 2] = ["oidc", "saml"];

/// Debian's package is unpacked and not installed: with it would come a web server that starts.
const SIMPLESAMLPHP: &str = "simplesamlphp";

/// Installs what is missing or was installed for another lock file or program.
pub(crate) fn ensure(workshop: &Workshop) -> Result<()> {
    PROVIDERS.iter().try_for_each(|name| ensure_one(workshop, name))?;
    ensure_php(workshop)?;
    ensure_simplesamlphp(workshop)
}

fn ensure_simplesamlphp(workshop: &Workshop) -> Result<()> {
    let place = workshop.state("identity-providers").join(SIMPLESAMLPHP);
    if place.join("whole").is_file() {
        return Ok(());
    }
    eprintln!("xtask: putting the identity provider `{SIMPLESAMLPHP}` (tests only) into target");
    let otherwise = "unpack the Debian package `simplesamlphp` below target/identity-providers, \
                     put an empty file `whole` beside its `usr`";
    debian::unpack(workshop, SIMPLESAMLPHP, &place, otherwise)?;
    fs::write(place.join("whole"), "").context("cannot mark the provider as whole")
}

/// PHP for the command line, which serves by itself, and what reads and signs XML.
fn ensure_php(workshop: &Workshop) -> Result<()> {
    let all = "exit((int) !(extension_loaded('dom') && extension_loaded('mbstring')));";
    if workshop.answers("php", &["-r", all]) {
        return Ok(());
    }
    let package = Package {
        name: "php-cli php-xml php-mbstring",
        before: String::new(),
        after: String::new(),
        otherwise: "install PHP for the command line with its extensions dom and mbstring",
    };
    debian::install(workshop, &package)
}

fn ensure_one(workshop: &Workshop, name: &str) -> Result<()> {
    let source = workshop.root.join("crates/testkit/providers").join(name);
    let place = workshop.state("identity-providers").join(name);
    let wanted = contents(&source)?;
    if fs::read_to_string(place.join("whole")).is_ok_and(|text| text == wanted) {
        return Ok(());
    }
    ensure_npm(workshop)?;
    eprintln!("xtask: putting the identity provider `{name}` (tests only) into target");
    fs::create_dir_all(&place).context("cannot make the provider's folder")?;
    for entry in fs::read_dir(&source)? {
        let entry = entry?;
        fs::copy(entry.path(), place.join(entry.file_name()))?;
    }
    let arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    let status = workshop.command("npm", &arguments).current_dir(&place).status();
    if !status.context("cannot start npm")?.success() {
        bail!("the identity provider `{name}` could not be installed");
    }
    fs::write(place.join("whole"), wanted).context("cannot mark the provider as whole")
}

/// Everything that decides what is installed, so that a change of it installs anew.
fn contents(source: &Path) -> Result<String> {
    let mut files: Vec<_> = fs::read_dir(source)?.collect::<std::io::Result<_>>()?;
    files.sort_by_key(fs::DirEntry::file_name);
    files.iter().map(|file| Ok(fs::read_to_string(file.path())?)).collect()
}

fn ensure_npm(workshop: &Workshop) -> Result<()> {
    if workshop.answers("node", &["--version"]) && workshop.answers("npm", &["--version"]) {
        return Ok(());
    }
    let package = Package {
        name: "npm",
        before: String::new(),
        after: String::new(),
        otherwise: "install Node.js 20 or newer (`node` and `npm` in PATH)",
    };
    debian::install(workshop, &package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_is_pinned_with_checksums() {
        let root = Workshop::find().expect("a workspace").root;
        for name in PROVIDERS {
            let folder = root.join("crates/testkit/providers").join(name);
            let lock = fs::read_to_string(folder.join("package-lock.json")).expect("a lock file");
            let packages = lock.matches("\n    \"node_modules/").count();
            let sums = lock.matches("\"integrity\": \"sha512-").count();
            assert!(packages > 0 && sums >= packages, "{name}: {sums} of {packages}");
            assert!(!lock.contains("\"resolved\""), "{name}: it names a registry's host");
        }
    }
}
