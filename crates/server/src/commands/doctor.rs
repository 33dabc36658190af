//! Room `server`: `misybot doctor`: one line for each thing that was looked at, and an exit code
//! that says whether all of it is as it must be.

use std::fmt::{self, Write as _};
use std::path::Path;

use anyhow::{Context, ensure};
use misy_store::documents::mongo::MongoReport;
use misy_store::isolation::{self, CONTROL, Catalog, Relation, Report, Weight};
use misy_store::{Cache, Error, RolePasswords};

use super::Installation;
use crate::cli::Doctor;

/// Says of each thing the program needs whether it is there, and fails if one is not.
pub async fn run(options: &Doctor, file: Option<&Path>) -> anyhow::Result<()> {
    let installation = Installation::open(&options.place, file)?;
    let mut findings = Findings::default();
    if !options.isolation {
        findings.fine("the configuration is valid and the root key is private");
        installation.db.ping().await?;
        findings.fine("the database answers");
        check_cache(&installation, &mut findings).await?;
        check_documents(&installation, &mut findings).await?;
        check_scheduler(&mut findings);
    }
    examine(&installation, options.isolation, &mut findings).await?;
    print!("{}", findings.text);
    let Findings { faults, warnings, .. } = findings;
    ensure!(faults == 0, "{faults} of these must be mended before anything starts");
    println!("all is well; {warnings} warnings");
    Ok(())
}

/// A Redis that is away is no failure: the program goes on without it.
async fn check_cache(installation: &Installation, findings: &mut Findings) -> anyhow::Result<()> {
    let Installation { config, ambient, root, .. } = installation;
    let cache = Cache::open(&config.cache, root, ambient.clone()).await?;
    match cache.inspect().await {
        Ok(report) => {
            findings.fine(format_args!("the cache is {}", report.name));
            report.notes.iter().for_each(|note| findings.line("note", note));
        }
        Err(reason) => findings
            .line("note", format_args!("the cache is away, the program goes on without: {reason}")),
    }
    Ok(())
}

/// Where documents live, and what the document server should be told.
async fn check_documents(
    installation: &Installation,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let Some(mongo) = installation.mongo().await? else {
        findings.fine("documents live in the database");
        return Ok(());
    };
    let report = mongo.report().await.context("the document server does not answer")?;
    let MongoReport { version, database, collections, .. } = &report;
    findings.fine(format_args!(
        "the document server answers: MongoDB {version}, database `{database}`, {collections} \
         collections of tenants"
    ));
    for warning in report.warnings() {
        findings.warnings += 1;
        findings.line("WARN", warning);
    }
    Ok(())
}

/// Where the kernel shares the machine out by session (sched(7)) a password's hash does not step
/// back behind a PostgreSQL on the same machine, whose every process has a session of its own.
fn check_scheduler(findings: &mut Findings) {
    let setting = std::fs::read_to_string("/proc/sys/kernel/sched_autogroup_enabled");
    if setting.is_ok_and(|setting| setting.trim() == "1") {
        findings.line(
            "note",
            "kernel.sched_autogroup_enabled is 1: where PostgreSQL runs on this machine too, 0 \
             lets its work go before the hashing of passwords",
        );
    }
}

/// What was found so far.
#[derive(Default)]
struct Findings {
    text: String,
    faults: usize,
    warnings: usize,
}

impl Findings {
    fn line(&mut self, mark: &str, what: impl fmt::Display) {
        // Memory takes whatever is written.
        let _ = writeln!(self.text, "{mark:5} {what}");
    }

    fn fine(&mut self, what: impl fmt::Display) {
        self.line("ok", what);
    }

    fn fault(&mut self, what: impl fmt::Display) {
        self.faults += 1;
        self.line("FAIL", what);
    }
}

/// The read-only part of the proof that tenants are apart, on this installation.
async fn examine(
    installation: &Installation,
    whole: bool,
    findings: &mut Findings,
) -> Result<(), Error> {
    let passwords = RolePasswords::derive(&installation.root);
    let report = isolation::inspect(&installation.admin, &passwords).await?;
    summarise(&report, findings);
    if whole {
        describe(&report.catalog, findings);
    }
    for fault in &report.faults {
        match fault.weight {
            Weight::Opens => findings.fault(fault),
            Weight::Weakens => {
                findings.warnings += 1;
                findings.line("WARN", fault);
            }
        }
    }
    let nobody = installation.ambient.uuid();
    let probes = isolation::probe(&installation.admin, &passwords, &report.catalog, nobody).await?;
    let tried = probes.len();
    let leaked: Vec<_> =
        probes.into_iter().filter_map(|one| Some((one.tried, one.leaked?))).collect();
    for (tried, leaked) in &leaked {
        findings.fault(format_args!("tried: {tried}: {leaked}"));
    }
    if leaked.is_empty() {
        findings.fine(format_args!("{tried} attempts as misy_tenant to get at rows got none"));
    }
    Ok(())
}

fn summarise(report: &Report, findings: &mut Findings) {
    let clean = |subject: &str| !report.faults.iter().any(|fault| fault.subject == subject);
    let Catalog { relations, functions, session, .. } = &report.catalog;
    if clean("server") {
        let server = report.server();
        findings.fine(format_args!("PostgreSQL {server} has the last fixes to row-level security"));
    }
    if clean("session") {
        let (database, user) = (&session.database, &session.user);
        findings.fine(format_args!("statements in `{database}` run as {user}, in no tenant"));
    }
    for role in report.catalog.roles.iter().filter(|role| clean(&role.name)) {
        findings.fine(format_args!("{} has no more power than it needs", role.name));
    }
    let whole = |tables: &[&Relation]| tables.iter().filter(|table| clean(&table.name)).count();
    let (tenant, control): (Vec<_>, Vec<_>) =
        relations.iter().filter(|one| one.is_table()).partition(|one| one.is_tenant_table());
    let (kept, all) = (whole(&tenant), tenant.len());
    findings.fine(format_args!("{kept} of {all} tenant tables keep every rule"));
    let (kept, all) = (whole(&control), control.len());
    findings.fine(format_args!("{kept} of {all} control tables keep every rule"));
    let definers: Vec<_> = functions.iter().filter(|one| one.definer).collect();
    let kept = definers.iter().filter(|one| clean(&one.name)).count();
    let all = definers.len();
    findings
        .fine(format_args!("{kept} of {all} functions with their owner's rights are as reviewed"));
    let elapsed_ms = report.elapsed.as_millis();
    findings.fine(format_args!("all of this was read in {elapsed_ms} ms, as at each start"));
}

/// A line for each table and function.
fn describe(catalog: &Catalog, findings: &mut Findings) {
    for table in catalog.relations.iter().filter(|one| one.is_table()) {
        let class = match CONTROL.iter().find(|(name, _)| *name == table.name) {
            Some((_, None)) => "control, out of tenants' reach".to_owned(),
            Some((_, Some(column))) => format!("control, tenants by {column}"),
            None => "tenant".to_owned(),
        };
        let rights = table.rights_of("misy_tenant").join(", ").to_lowercase();
        let rights = if rights.is_empty() { "nothing" } else { &rights };
        let (name, policies) = (&table.name, table.policies.len());
        let what = format_args!("{name} ({class}): {policies} policies; misy_tenant may {rights}");
        findings.line("table", what);
    }
    for function in &catalog.functions {
        let rights = if function.definer { &function.owner } else { "its caller" };
        let (name, callers) = (&function.name, function.callers.join(", "));
        let what = format_args!("{name}: with the rights of {rights}; callers: {callers}");
        findings.line("func", what);
    }
}
