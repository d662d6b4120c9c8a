//! Mutation report: a row for each mutant.

use seqlane_sim::Property;
use serde_json::{Value, json};

use super::hunt::Found;
use super::patch::Mutant;

/// The head of the table, as Markdown.
pub(crate) const HEAD: &str = "| mutant | area | what goes wrong | found by | in | median seeds | shrunk: decisions, events, lines |\n\
     |---|---|---|---|---|--:|--:|\n";

/// A mutant, and how it was found, or why it could not be looked for.
pub(crate) struct Row<'a> {
    pub(crate) mutant: &'a Mutant,
    pub(crate) found: Result<Found, String>,
}

impl Row<'_> {
    /// Whether every batch found it.
    pub(crate) fn is_found(&self) -> bool {
        self.found.as_ref().is_ok_and(|found| found.seeds.iter().all(Option::is_some))
    }

    /// The properties that found it, in the order of the header.
    pub(crate) fn properties(&self) -> Vec<Property> {
        let finds = self.found.as_ref().map_or(&[][..], |found| &found.finds);
        let found = |wanted: &&Property| finds.iter().any(|(property, _)| property == *wanted);
        self.mutant.noticed_by.iter().filter(found).copied().collect()
    }

    /// The median number of seeds; none where more than half of the batches did not find it.
    fn median(&self) -> Option<u64> {
        let found = self.found.as_ref().ok()?;
        let mut seeds: Vec<u64> = found.seeds.iter().map(|seeds| seeds.unwrap_or(u64::MAX)).collect();
        seeds.sort_unstable();
        seeds.get(seeds.len() / 2).copied().filter(|seeds| *seeds < u64::MAX)
    }

    /// The row of the table.
    pub(crate) fn markdown(&self) -> String {
        let Mutant { name, area, breaks, place, .. } = self.mutant;
        let properties: Vec<&str> = self.properties().into_iter().map(Property::id).collect();
        let finders = match &self.found {
            Err(why) => format!("**{}**", why.replace('\n', " ")),
            Ok(_) if properties.is_empty() => "**not found**".to_owned(),
            Ok(_) => properties.join(", "),
        };
        let median = self.median().map_or_else(|| "-".to_owned(), |seeds| seeds.to_string());
        let small = self.found.as_ref().ok().and_then(|found| found.small);
        let small = small.map_or_else(
            || "-".to_owned(),
            |small| format!("{}, {}, {}", small.decisions, small.events, small.lines),
        );
        format!("| `{name}` | {area} | {breaks} | {finders} | {place} | {median} | {small} |\n")
    }

    /// The same for programs.
    pub(crate) fn document(&self) -> Value {
        let found = self.found.as_ref().ok();
        let small = found.and_then(|found| found.small);
        json!({
            "mutant": self.mutant.name,
            "area": self.mutant.area,
            "breaks": self.mutant.breaks,
            "error": self.found.as_ref().err(),
            "properties": self.properties(),
            "finds": found.map(|found| found.finds.iter().map(|(_, seed)| *seed).collect::<Vec<_>>()),
            "seeds": found.map(|found| &found.seeds),
            "median": self.median(),
            "decisions": small.map(|small| small.decisions),
            "events": small.map(|small| small.events),
            "lines": small.map(|small| small.lines),
        })
    }
}
