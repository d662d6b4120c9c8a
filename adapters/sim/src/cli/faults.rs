//! `faults`: the list of fault kinds.

use seqlane_sim::Fault;
use serde_json::{Value, json};

use crate::cli::console::Console;
use crate::cli::scenario::ScenarioArgs;
use crate::cli::table::table;
use crate::cli::verdict::{CliError, Verdict};

/// List the fault kinds, with their probabilities in a scenario.
#[derive(clap::Args, Debug)]
pub(crate) struct FaultsArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,
}

pub(crate) fn run(args: FaultsArgs, console: &Console) -> Result<Verdict, CliError> {
    let scenario = args.scenario.scenario()?;
    let probability =
        |fault: &Fault| scenario.net.get(fault).map_or_else(|| "0".to_owned(), ToString::to_string);
    let mut table =
        table(&["fault", "--set net.NAME=PROBABILITY", "probability ", "from level ", "what happens"]);
    for fault in Fault::ALL {
        let level = fault.from_level().to_string();
        table.add_row([fault.id(), fault.option(), &probability(fault), &level, fault.text()]);
    }
    console.say(&format!("{}\n", table.trim_fmt()))?;
    let all = Fault::ALL.iter().map(|fault| {
        json!({
            "id": fault.id(), "name": fault.option(), "probability": probability(fault),
            "from_level": fault.from_level(), "text": fault.text(),
        })
    });
    console.document(&all.collect::<Value>())?;
    Ok(Verdict::Pass)
}
