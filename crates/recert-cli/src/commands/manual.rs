//! `recert completions` and `recert man`: what the shell and `man` know of the flags, from
//! the same definitions as the help.

use clap_complete::generate;

use crate::args::{Args, Completions, Man};
use crate::exit::{Failure, Result};
use crate::terminal::{self, count, print};

pub(crate) fn completions(args: &Completions) -> Result<()> {
    let mut script = Vec::new();
    generate(args.shell, &mut Args::commands(), "recert", &mut script);
    print(&String::from_utf8_lossy(&script))
}

pub(crate) fn pages(args: &Man) -> Result<()> {
    let folder = &args.folder;
    let failed = |why| Failure::output(format!("to the folder {}", folder.display()), why);
    std::fs::create_dir_all(folder).map_err(failed)?;
    let commands = Args::commands();
    let shown = commands.get_subcommands().filter(|one| !one.is_hide_set());
    let pages = 1 + shown.count();
    clap_mangen::generate_to(Args::commands().disable_help_subcommand(true), folder)
        .map_err(failed)?;
    terminal::say!(
        "wrote {} to {}",
        count(pages, "manual page"),
        folder.display()
    );
    Ok(())
}
