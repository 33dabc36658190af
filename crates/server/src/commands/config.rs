//! Room `server`: `misybot config`.

use std::path::Path;

use crate::cli::ConfigCommand;
use crate::config;

/// Checks, describes or explains the configuration.
pub fn run(command: &ConfigCommand, file: Option<&Path>) -> anyhow::Result<()> {
    match command {
        ConfigCommand::Check => {
            config::load(file)?;
            println!("the configuration is valid");
        }
        ConfigCommand::Schema => println!("{:#}", config::schema()?),
        ConfigCommand::Explain => print!("{}", toml::to_string_pretty(&config::load(file)?)?),
    }
    Ok(())
}
