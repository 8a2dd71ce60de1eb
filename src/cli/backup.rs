//! `sigyn backup`: copies the database while the server goes on.

use std::path::PathBuf;

use clap::Args;

use super::{ServerArgs, output};
use crate::store;

/// What `backup` takes.
#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// The new file; must not exist
    target: PathBuf,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn run(args: &BackupArgs, outer: ServerArgs) -> anyhow::Result<()> {
    let settings = args.server.clone().or(outer).load()?;
    store::backup(&settings.store.data_dir, &args.target, |done, total| {
        output::progress(&format!("{done} of {total} pages"));
    })?;
    output::progress("");
    output::say(&format!("copied to {}", args.target.display()));
    Ok(())
}
