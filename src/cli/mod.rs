//! The command line: one file per command.
//!
//! Exit codes: 0 done · 1 failed · 2 wrong usage · 64 wrong configuration (before any port is bound).
//! stdout carries results only, through `output`; the server's own log goes to stderr.

mod analyze;
mod backup;
mod check_config;
mod demo;
mod findings;
mod log;
mod output;
mod replay;
mod serve;
mod test_alert;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Environment, Mistakes, Settings, Sources};

/// Wrong configuration (`EX_USAGE` of sysexits.h).
const EXIT_CONFIG: u8 = 64;

/// Sigyn: point Promtail at it, and read what your logs are telling you.
#[derive(Debug, Parser)]
#[command(name = "sigyn", version, about)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 64 wrong configuration")]
struct Cli {
    #[command(flatten)]
    server: ServerArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server (the default)
    Serve(ServerArgs),
    /// Watch it work: a server fed with a made-up day of six servers
    Demo(demo::DemoArgs),
    /// Analyse files or a pipe once, without a server
    Analyze(analyze::AnalyzeArgs),
    /// Say what the stored lines would have led to under this configuration, and what it would have cost
    Replay(replay::ReplayArgs),
    /// Show the findings of a running server
    Findings(findings::FindingsArgs),
    /// Check the configuration: all mistakes at once
    CheckConfig(ServerArgs),
    /// Copy the database while the server runs
    Backup(backup::BackupArgs),
    /// Send a test message over every channel
    TestAlert(test_alert::TestAlertArgs),
}

/// What `serve` and its relatives take.
#[derive(Clone, Debug, Default, Args)]
struct ServerArgs {
    /// YAML configuration [env: SIGYN_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1:3100]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// Folder of the database [default: ./sigyn-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Let other machines connect without authentication
    #[arg(long)]
    insecure_no_auth: bool,
}

impl ServerArgs {
    /// Flags given before the command count as well.
    fn or(self, outer: ServerArgs) -> ServerArgs {
        ServerArgs {
            config: self.config.or(outer.config),
            listen: self.listen.or(outer.listen),
            data_dir: self.data_dir.or(outer.data_dir),
            insecure_no_auth: self.insecure_no_auth || outer.insecure_no_auth,
        }
    }

    /// The settings these flags, the environment and the file amount to.
    fn load(self) -> Result<Settings, Mistakes> {
        let mut environment = Environment::of_process(self.config.as_deref());
        let file = self.config.or_else(|| environment.get("SIGYN_CONFIG").map(PathBuf::from));
        if let Some(folder) = file.as_deref().and_then(std::path::Path::parent) {
            environment.complete_from(&folder.join(".env"));
        }
        let mut flags = Vec::new();
        if let Some(address) = self.listen {
            flags.push(("--listen", "listen.address", address.to_string()));
        }
        if let Some(folder) = self.data_dir {
            flags.push(("--data-dir", "store.data_dir", folder.display().to_string()));
        }
        if self.insecure_no_auth {
            flags.push(("--insecure-no-auth", "auth.insecure_no_auth", "true".to_owned()));
        }
        config::load(&Sources { file, environment, flags })
    }
}

/// Runs the command of this process's arguments.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        None => serve::run(cli.server).map(done),
        Some(Command::Serve(args)) => serve::run(args.or(cli.server)).map(done),
        Some(Command::CheckConfig(args)) => check_config::run(args.or(cli.server)).map(done),
        Some(Command::Demo(args)) => demo::run(&args).map(done),
        Some(Command::Analyze(args)) => analyze::run(args, cli.server),
        Some(Command::Replay(args)) => replay::run(&args, cli.server),
        Some(Command::Findings(args)) => findings::run(&args).map(done),
        Some(Command::Backup(args)) => backup::run(&args, cli.server).map(done),
        Some(Command::TestAlert(args)) => test_alert::run(&args, cli.server).map(done),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            output::problem(&format!("{error:#}"));
            ExitCode::from(if error.is::<Mistakes>() { EXIT_CONFIG } else { 1 })
        }
    }
}

fn done((): ()) -> ExitCode {
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_is_the_default_and_flags_may_stand_before_the_command() {
        let plain = Cli::parse_from(["sigyn", "--listen", "127.0.0.1:9"]);
        assert!(plain.command.is_none() && plain.server.listen.is_some());
        let Cli { server, command: Some(Command::Serve(args)) } =
            Cli::parse_from(["sigyn", "--data-dir", "d", "serve", "--insecure-no-auth"])
        else {
            panic!("not serve")
        };
        let args = args.or(server);
        assert_eq!(args.data_dir, Some(PathBuf::from("d")));
        assert!(args.insecure_no_auth);
    }
}
