//! Room `xtask`: `cargo xtask mutate-isolation`, faults put into a copy of the tree, one at a time,
//! to see that the proof of isolation notices each.
//!
//! The faults are data, `xtask/mutants/*.toml`. A fault of the database is put into the template
//! that every test database is a clone of, a fault of the code into a copy of the tree that is
//! built and tested in `target/mutants`.

mod bench;
mod catalogue;
mod scratch;
mod template;
mod trial;
mod verdict;

#[cfg(test)]
mod tests;

use std::time::Instant;

use anyhow::{Result, bail};

use self::bench::Bench;
use self::catalogue::Mutant;
use self::verdict::{Judged, Verdict};
use crate::steps::Steps;
use crate::verbs::Usage;
use crate::workshop::Workshop;
use crate::{database, postgres};

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wish {
    list: bool,
    only: Vec<String>,
    kinds: Vec<String>,
}

impl Wish {
    fn read(arguments: &[String]) -> Result<Self> {
        let mut wish = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let list = match argument.as_str() {
                "--list" => {
                    wish.list = true;
                    continue;
                }
                "--only" => &mut wish.only,
                "--kind" => &mut wish.kinds,
                other => return Err(Usage(format!("`mutate-isolation` knows no `{other}`")).into()),
            };
            let value = rest.next().ok_or_else(|| Usage(format!("`{argument}` takes a value")))?;
            list.extend(value.split(',').map(str::to_owned));
        }
        Ok(wish)
    }

    fn wants(&self, mutant: &Mutant) -> bool {
        let named = self.only.is_empty() || self.only.contains(&mutant.name);
        named && (self.kinds.is_empty() || self.kinds.contains(&mutant.kind))
    }
}

/// `cargo xtask mutate-isolation`.
pub(crate) fn mutate_isolation(workshop: &Workshop, arguments: &[String]) -> Result<()> {
    let wish = Wish::read(arguments)?;
    let all = catalogue::read(&workshop.root)?;
    let faults = catalogue::faults(&workshop.root, &all);
    if !faults.is_empty() {
        bail!("the list of faults is not in order:\n  {}", faults.join("\n  "));
    }
    let chosen: Vec<&Mutant> = all.iter().filter(|one| wish.wants(one)).collect();
    if chosen.is_empty() {
        return Err(Usage("no fault is named so; `--list` names them".to_owned()).into());
    }
    if wish.list {
        for mutant in &chosen {
            println!("{}", verdict::listed(mutant));
        }
        println!("{} faults", chosen.len());
        return Ok(());
    }
    let begun = Instant::now();
    let judged = judge_all(workshop, &chosen)?;
    println!("\n{}", verdict::table(&judged));
    println!("in {:.1} minutes", begun.elapsed().as_secs_f64() / 60.0);
    println!("{}", verdict::score(&judged));
    let alive = judged.iter().filter(|one| !one.verdict.is_caught()).count();
    if alive > 0 {
        bail!("{alive} of the faults went unnoticed");
    }
    Ok(())
}

fn judge_all(workshop: &Workshop, chosen: &[&Mutant]) -> Result<Vec<Judged>> {
    let mut steps = Steps::begin()?;
    steps.step("postgresql", |_| postgres::ensure(workshop).map(|()| true))?;
    if !steps.run("build of the test server", &mut database::build(workshop))? {
        bail!("the build failed");
    }
    let bench = Bench::set_up(workshop, &steps)?;
    let mut order: Vec<&Mutant> = chosen.to_vec();
    order.sort_by_key(|mutant| mutant.place());
    let mut judged = Vec::new();
    for (number, mutant) in order.iter().enumerate() {
        let begun = Instant::now();
        let verdict = bench.judge(mutant, &steps)?;
        let one = Judged::new(mutant, verdict, begun.elapsed());
        eprintln!("{:>3}/{} {}", number + 1, order.len(), one.line());
        judged.push(one);
        if steps.stopped() {
            bail!("stopped");
        }
    }
    Ok(judged)
}

impl Verdict {
    /// Whether the fault was noticed, by whatever was said to notice it.
    fn is_caught(&self) -> bool {
        matches!(self, Self::Caught { .. } | Self::Refused | Self::Hung)
    }
}
