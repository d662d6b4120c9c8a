//! `props`: the list of properties.

use seqlane_sim::Property;
use serde_json::{Value, json};

use crate::cli::console::Console;
use crate::cli::table::table;
use crate::cli::verdict::{CliError, Verdict};

/// List the properties.
#[derive(clap::Args, Debug)]
pub(crate) struct PropsArgs {}

pub(crate) fn run(_args: PropsArgs, console: &Console) -> Result<Verdict, CliError> {
    let mut table = table(&["property", "it must hold that"]);
    for property in Property::ALL {
        table.add_row([property.id(), property.text()]);
    }
    console.say(&format!("{}\n", table.trim_fmt()))?;
    let all = Property::ALL.iter().map(|property| json!({ "id": property.id(), "text": property.text() }));
    console.document(&all.collect::<Value>())?;
    Ok(Verdict::Pass)
}
