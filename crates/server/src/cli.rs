//! Room `server`: the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use misy_core::Secret;

use crate::config::{self, Config};

/// The open conversation platform: one program, many tenants.
#[derive(Debug, Parser)]
#[command(name = "misybot", version, about, propagate_version = true)]
pub struct Cli {
    /// Configuration file; `misybot.toml` in the working folder if absent.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything in one process on embedded defaults: database, API, workers, sandbox.
    Up(Up),
    /// Serve the API; needs a database of your own.
    Serve(Place),
    /// Run workers only; needs a database of your own.
    Work(Place),
    /// Bring the database to this program's schema.
    Migrate(Place),
    /// Run the emulator of channel providers.
    Sandbox(Sandbox),
    /// Check, describe or explain the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Say whether this machine and the database are fit.
    Doctor(Doctor),
    /// Print the OpenAPI description of the API.
    Openapi,
    /// Replay jobs that gave up.
    #[command(subcommand)]
    DeadLetters(DeadLetters),
    /// Say where tenants' documents live, and move them while they are in use.
    #[command(subcommand)]
    Documents(Documents),
    /// Make, list, stop, close, remove and look into tenants.
    Tenant(Box<Tenants>),
    /// Look at a tenant's webhooks, replay what was not delivered, check a signature.
    Webhook(Box<Webhooks>),
    /// Measure, with a floor or peer in the same run.
    Bench(Bench),
}

/// Where the installation is.
#[derive(Debug, Args, Clone, Default)]
pub struct Place {
    /// Folder of keys and data.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// A PostgreSQL server of your own.
    #[arg(long, value_name = "URL")]
    pub database_url: Option<Secret>,
    /// Where the API listens; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Where metrics are served.
    #[arg(long, value_name = "ADDR")]
    pub admin_listen: Option<SocketAddr>,
}

/// Options of `up`.
#[derive(Debug, Args, Clone)]
pub struct Up {
    /// Where the installation is.
    #[command(flatten)]
    pub place: Place,
    /// Where the sandbox listens; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    pub sandbox_listen: Option<SocketAddr>,
    /// Do not run the sandbox.
    #[arg(long)]
    pub no_sandbox: bool,
    /// Write addresses and the operator's credentials to this file as JSON when ready.
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
}

/// Options of `doctor`.
#[derive(Debug, Args, Clone)]
pub struct Doctor {
    /// Only, and in full, whether tenants are apart: every table, function and role is looked at
    /// and what the tenants' role gets is tried. Reads only.
    #[arg(long)]
    pub isolation: bool,
    /// Where the installation is.
    #[command(flatten)]
    pub place: Place,
}

/// Options of `sandbox`.
#[derive(Debug, Args, Clone)]
pub struct Sandbox {
    /// Where it listens; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8090")]
    pub listen: SocketAddr,
    /// Folder of its journal; without one everything is forgotten at the end.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Write its address to this file as JSON when ready.
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
}

/// What can be done with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Exit with 0 if it is valid.
    Check,
    /// Print its JSON Schema.
    Schema,
    /// Print the settings in force, as TOML; secrets are left out.
    Explain,
}

/// What can be done with dead letters.
#[derive(Debug, Subcommand)]
pub enum DeadLetters {
    /// Put jobs that gave up back into the queue.
    Replay {
        /// Whose; jobs of the platform itself if no tenant is named.
        #[arg(long)]
        tenant: Option<misy_core::TenantId>,
        /// Only this one.
        #[arg(long)]
        job: Option<misy_core::JobId>,
        /// Only those of this name, for example `conversation.messages.deliver`.
        #[arg(long)]
        name: Option<String>,
        /// Where the installation is.
        #[command(flatten)]
        place: Place,
    },
}

/// Options of `tenant`. A tenant is named by id, UUID or slug.
#[derive(Debug, Args, Clone)]
pub struct Tenants {
    /// What to do.
    #[command(subcommand)]
    pub command: TenantCommand,
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// Where the installation is.
    #[command(flatten)]
    pub place: Place,
}

/// What can be done with tenants.
#[derive(Debug, Subcommand, Clone)]
pub enum TenantCommand {
    /// Make a tenant with everything it needs.
    Create(NewTenantOptions),
    /// List tenants, oldest first.
    List {
        /// Only those with this status.
        #[arg(long)]
        status: Option<String>,
        /// Only those with this plan.
        #[arg(long)]
        plan: Option<String>,
        /// Only those in whose slug, name or site id this occurs.
        #[arg(long)]
        q: Option<String>,
    },
    /// Show one.
    Show {
        /// Which.
        tenant: String,
    },
    /// Stop one for a while.
    Suspend {
        /// Which.
        tenant: String,
        /// `billing`, `abuse`, `admin` or `legal`.
        #[arg(long)]
        reason: String,
        /// What there is to say to that.
        #[arg(long)]
        note: Option<String>,
    },
    /// Let one work.
    Activate {
        /// Which.
        tenant: String,
    },
    /// End one; until its grace is over it can be restored.
    Close {
        /// Which.
        tenant: String,
        /// For so many days.
        #[arg(long, default_value_t = 30)]
        grace_days: u16,
    },
    /// Take back that one was closed.
    Restore {
        /// Which.
        tenant: String,
    },
    /// Remove everything of a closed one now. This cannot be taken back.
    Purge {
        /// Which.
        tenant: String,
        /// Its slug again.
        #[arg(long)]
        confirm: String,
    },
    /// List what every store holds of one, and whether it should; fails if something is wrong.
    Inventory {
        /// Which.
        tenant: String,
        /// Make again what is missing, remove what is left over.
        #[arg(long)]
        mend: bool,
    },
    /// List people who ask for a tenant of their own, oldest first.
    Signups {
        /// Only those that are so far: `pending`, `waiting`, `accepted` or `rejected`.
        #[arg(long)]
        status: Option<String>,
    },
    /// Say yes to a sign-up that waits: its tenant is made and the person is told.
    Approve {
        /// Which sign-up.
        signup: misy_core::SignupId,
    },
    /// Say no to a sign-up that waits; the person is told why.
    Reject(Rejection),
    /// Show how far one is in its onboarding.
    Onboarding {
        /// Which.
        tenant: String,
    },
    /// Write every row and document of one into a new folder, one file of lines a table.
    Export {
        /// Which.
        tenant: String,
        /// The folder; it must not exist.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

/// Options of `webhook`. A tenant is named by id, UUID or slug.
#[derive(Debug, Args, Clone)]
pub struct Webhooks {
    /// What to do.
    #[command(subcommand)]
    pub command: WebhookCommand,
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
}

/// Whose webhooks, and where they are.
#[derive(Debug, Args, Clone)]
pub struct OfTenant {
    /// Whose.
    pub tenant: String,
    /// Where the installation is.
    #[command(flatten)]
    pub place: Place,
}

/// What can be done with webhooks.
#[derive(Debug, Subcommand, Clone)]
pub enum WebhookCommand {
    /// List the endpoints of a tenant, oldest first, with since when they fail.
    Endpoints(OfTenant),
    /// List the services that a tenant hears from, with how often they were refused.
    Sources(OfTenant),
    /// List deliveries that were given up, newest first.
    DeadLetters(OfTenant),
    /// Deliver again; a worker does it and goes on after a crash.
    Replay(ReplayOptions),
    /// Check the signature of a delivery as its receiver should; needs no database.
    Verify(ReceivedDelivery),
}

/// What is delivered again.
#[derive(Debug, Args, Clone)]
pub struct ReplayOptions {
    /// Whose, and where.
    #[command(flatten)]
    pub of: OfTenant,
    /// To which endpoint; with `--dead` to every one if absent.
    #[arg(long, required_unless_present_any = ["dead", "received"])]
    pub endpoint: Option<String>,
    /// Dead letters, not all that the endpoint missed.
    #[arg(long)]
    pub dead: bool,
    /// What was received from sources, told again by their settings of now.
    #[arg(long, conflicts_with_all = ["dead", "endpoint", "event_type"])]
    pub received: bool,
    /// With `--received`: only from this source.
    #[arg(long, requires = "received")]
    pub source: Option<String>,
    /// With `--received`: only what is `stored`, `forwarded` or `invalid`.
    #[arg(long, requires = "received")]
    pub status: Option<String>,
    /// Only events of this type.
    #[arg(long)]
    pub event_type: Option<String>,
    /// What happened at or after this, like `2026-03-01T00:00:00Z`.
    #[arg(long, required_unless_present_any = ["dead", "received"])]
    pub since: Option<misy_core::Timestamp>,
    /// What happened before this; now if absent.
    #[arg(long)]
    pub until: Option<misy_core::Timestamp>,
}

/// A delivery as its receiver has it.
#[derive(Debug, Args, Clone)]
pub struct ReceivedDelivery {
    /// A file with the secret, `whsec_..`, or the public key, `whpk_..`.
    #[arg(long, value_name = "FILE")]
    pub secret_file: PathBuf,
    /// `webhook-id`.
    #[arg(long)]
    pub id: String,
    /// `webhook-timestamp`.
    #[arg(long)]
    pub timestamp: String,
    /// `webhook-signature`.
    #[arg(long)]
    pub signature: String,
    /// The body, byte for byte; standard input if absent.
    #[arg(long, value_name = "FILE")]
    pub body: Option<PathBuf>,
}

/// How a sign-up is decided.
#[derive(Debug, Args, Clone)]
pub struct Rejection {
    /// Which sign-up.
    pub signup: misy_core::SignupId,
    /// Told to the person.
    #[arg(long)]
    pub reason: String,
}

/// Options of `tenant create`.
#[derive(Debug, Args, Clone)]
pub struct NewTenantOptions {
    /// Its name in addresses; cannot be changed.
    pub slug: String,
    /// Its name for people.
    #[arg(long)]
    pub name: String,
    /// Signs in with this.
    #[arg(long)]
    pub owner_email: String,
    /// Shown to colleagues.
    #[arg(long)]
    pub owner_name: String,
    /// A file with the owner's first password; without one the owner is invited.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// What it may use.
    #[arg(long, default_value = "standard")]
    pub plan: String,
    /// Its language and region.
    #[arg(long, default_value = "en")]
    pub locale: String,
    /// Its IANA time zone.
    #[arg(long, default_value = "UTC")]
    pub time_zone: String,
}

/// What can be done with documents.
#[derive(Debug, Subcommand)]
pub enum Documents {
    /// Say for each tenant where its documents live and how far a move is.
    Status {
        /// Only this tenant: its id or slug.
        #[arg(long)]
        tenant: Option<String>,
        /// Where the installation is.
        #[command(flatten)]
        place: Place,
    },
    /// Move documents; a move that was interrupted goes on where it was.
    Migrate(Box<Migrate>),
}

/// Where documents are or go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Store {
    /// One MongoDB collection of an earlier deployment with a field that names the tenant.
    Shared,
    /// The database.
    Jsonb,
    /// The document server of the configuration.
    Mongo,
}

/// Options of `documents migrate`.
#[derive(Debug, Args, Clone)]
pub struct Migrate {
    /// Where the documents are.
    #[arg(long, value_enum)]
    pub from: Store,
    /// Where they go.
    #[arg(long, value_enum)]
    pub to: Store,
    /// Only this tenant: its id or slug; every tenant if absent.
    #[arg(long)]
    pub tenant: Option<String>,
    /// Documents in one batch, 1 to 1,000.
    #[arg(long, default_value_t = 200)]
    pub batch: u16,
    /// Count and change nothing.
    #[arg(long, conflicts_with_all = ["rollback", "finish", "resume"])]
    pub dry_run: bool,
    /// Only go on with moves that were begun.
    #[arg(long, conflicts_with_all = ["rollback", "finish"])]
    pub resume: bool,
    /// Go back to `--from` with everything that was written since.
    #[arg(long, conflicts_with = "finish")]
    pub rollback: bool,
    /// Close the way back: remove what `--from` still holds.
    #[arg(long)]
    pub finish: bool,
    /// With `shared`: address and database of the earlier deployment.
    #[arg(long, value_name = "URL", required_if_eq("from", "shared"))]
    pub source_url: Option<Secret>,
    /// With `shared`: the collection.
    #[arg(long, value_name = "NAME", required_if_eq("from", "shared"))]
    pub source_collection: Option<String>,
    /// With `shared`: the field that names the tenant, by id, UUID or slug.
    #[arg(long, value_name = "FIELD", default_value = "tenant_id")]
    pub tenant_field: String,
    /// With `shared`: the kind that the documents become.
    #[arg(long, value_name = "KIND", required_if_eq("from", "shared"))]
    pub kind: Option<String>,
    /// Where the installation is.
    #[command(flatten)]
    pub place: Place,
}

/// Options of `bench`.
#[derive(Debug, Args, Clone)]
pub struct Bench {
    /// `queue`, `ingest`, `deliver`, `noisy`, `authz`, `storm`, `logins`, `tenants`, `quotas`,
    /// `cache`, `rls` or `start`.
    pub name: String,
    /// How much work; each bench has its own unit and default.
    #[arg(long)]
    pub size: Option<u64>,
    /// For how long at most, in seconds.
    #[arg(long)]
    pub seconds: Option<u64>,
    /// A svix-server for `deliver` to drive beside, after the program; it needs `redis-server`.
    #[arg(long, value_name = "PROGRAM")]
    pub peer: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

impl Place {
    /// The configuration with what the command line says on top.
    pub fn over(&self, file: Option<&std::path::Path>) -> anyhow::Result<Config> {
        let mut config = config::load(file)?;
        if let Some(data) = &self.data {
            config.server.data.clone_from(data);
        }
        if let Some(listen) = self.listen {
            config.server.listen = listen;
        }
        if let Some(listen) = self.admin_listen {
            config.server.admin_listen = listen;
            config.server.work_admin_listen = listen;
        }
        if let Some(url) = &self.database_url {
            config.database.url = Some(url.clone());
            config.database.url_file = None;
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_given_on_the_command_line_wins() {
        let place = Place { listen: "127.0.0.1:0".parse().ok(), ..Place::default() };
        let config = place.over(None).expect("valid");
        assert_eq!(config.server.listen.port(), 0);
    }
}
