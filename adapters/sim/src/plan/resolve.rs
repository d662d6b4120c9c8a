//! Resolved plans: every point with its conditions.

use std::fmt;

use toml::{Table, Value};

use crate::plan::conditions::Conditions;
use crate::plan::definition::{
    CaseDefinition, Definition, PercentilesDefinition, PlotDefinition, SeriesDefinition, SweepDefinition,
    Waits,
};
use crate::plan::figure::Figure;
use crate::plan::parameter::Parameter;
use crate::plan::requirement::Requirement;
use crate::plan::workload::Workload;

/// A plan that can be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The heading of the report.
    pub title: String,
    /// What the figures are about.
    pub about: String,
    /// The columns of the table.
    pub levels: Vec<u8>,
    /// Everything that is measured, each once.
    pub points: Vec<Point>,
    /// Rows of the table.
    pub cases: Vec<Case>,
    /// Pictures of one thing varied.
    pub sweeps: Vec<Sweep>,
    /// Pictures of percentiles.
    pub percentiles: Vec<Percentiles>,
}

/// Runs that differ in nothing but their seeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// What they take place under.
    pub conditions: Conditions,
    /// What is done.
    pub workload: Workload,
    /// How many there are, with the seeds from 0 on.
    pub seeds: u32,
}

/// A group of rows of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Its name in the plan.
    pub name: String,
    /// What the table calls it.
    pub label: String,
    /// A row each.
    pub figures: Vec<Figure>,
    /// A row each, with what must be reached.
    pub requirements: Vec<Required>,
    /// By level of the plan: the place of its point.
    pub points: Vec<usize>,
}

/// A requirement, and by level of the plan the points of the case that it is compared with.
#[derive(Clone, Debug, PartialEq)]
pub struct Required {
    /// What is required.
    pub requirement: Requirement,
    /// The places of points; empty where nothing is compared.
    pub others: Vec<usize>,
}

/// One condition varied.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// Its name in the plan.
    pub name: String,
    /// The heading of its pictures.
    pub title: String,
    /// The x axis.
    pub vary: Parameter,
    /// The lines.
    pub series: Vec<Series>,
    /// The pictures.
    pub plots: Vec<PlotDefinition>,
}

/// A line of a sweep's pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What it is called.
    pub label: String,
    /// Places on the x axis, and of the points.
    pub points: Vec<(f64, usize)>,
}

/// A picture of percentiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Percentiles {
    /// Its heading.
    pub title: String,
    /// What is waited for.
    pub of: Waits,
    /// The lines of each case: what each is called, and the place of its point, by level of the plan.
    pub lines: Vec<Vec<(String, usize)>>,
}

/// An invalid plan, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadPlan(String);

fn bad(error: impl fmt::Display) -> BadPlan {
    BadPlan(error.to_string().trim_end().to_owned())
}

/// What a run of the plan may leave out or change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Only the cases and sweeps of these names; all, where there is none.
    pub only: Vec<String>,
    /// Runs of each point, instead of what the plan says.
    pub seeds: Option<u32>,
}

impl Plan {
    /// Reads a plan file.
    ///
    /// # Errors
    /// [`BadPlan`] names what cannot be read or is invalid.
    pub fn parse(text: &str, choice: &Choice) -> Result<Self, BadPlan> {
        let mut definition: Definition = toml::from_str(text).map_err(bad)?;
        let all = definition.cases.clone();
        choose(&mut definition, &choice.only)?;
        let mut plan = Self {
            title: definition.title.clone(),
            about: definition.about.clone(),
            levels: definition.levels.clone(),
            points: Vec::new(),
            cases: Vec::new(),
            sweeps: Vec::new(),
            percentiles: Vec::new(),
        };
        let seeds = |own: Option<u32>| choice.seeds.or(own).unwrap_or(definition.seeds).max(1);
        for case in &definition.cases {
            plan.add_case(&definition.conditions, case, &all, &seeds)?;
        }
        for sweep in &definition.sweeps {
            plan.add_sweep(&definition.conditions, sweep, seeds(sweep.seeds))?;
        }
        for picture in &definition.percentiles {
            plan.add_percentiles(picture)?;
        }
        Ok(plan)
    }

    /// How many runs it has.
    pub fn runs(&self) -> u64 {
        self.points.iter().map(|point| u64::from(point.seeds)).sum()
    }

    fn add_case(
        &mut self,
        base: &Table,
        case: &CaseDefinition,
        all: &[CaseDefinition],
        seeds: &impl Fn(Option<u32>) -> u32,
    ) -> Result<(), BadPlan> {
        let points = self.points_of(base, case, seeds(case.seeds))?;
        let mut requirements = Vec::new();
        for requirement in case.requirements.clone() {
            let others = match &requirement.of {
                None => Vec::new(),
                Some(name) => {
                    let other = all.iter().find(|other| other.name == *name).ok_or_else(|| {
                        BadPlan(format!("case {}: there is no case `{name}` to compare with", case.name))
                    })?;
                    self.points_of(base, other, seeds(other.seeds))?
                }
            };
            requirements.push(Required { requirement, others });
        }
        let CaseDefinition { name, label, figures, .. } = case.clone();
        self.cases.push(Case { name, label, figures, requirements, points });
        Ok(())
    }

    /// The places of a case's points, by level.
    fn points_of(&mut self, base: &Table, case: &CaseDefinition, seeds: u32) -> Result<Vec<usize>, BadPlan> {
        let mut points = Vec::new();
        for level in self.levels.clone() {
            let level = (Parameter::Level, &Value::from(i64::from(level)));
            let conditions = overlay(&[base, &case.conditions], &[level])
                .map_err(|BadPlan(why)| BadPlan(format!("case {}: {why}", case.name)))?;
            points.push(self.point(conditions, case.workload, seeds));
        }
        Ok(points)
    }

    fn add_sweep(&mut self, base: &Table, sweep: &SweepDefinition, seeds: u32) -> Result<(), BadPlan> {
        let levels = || SeriesDefinition {
            vary: Parameter::Level,
            values: self.levels.iter().map(|level| Value::from(i64::from(*level))).collect(),
        };
        let lines = sweep.series.clone().unwrap_or_else(levels);
        let mut series = Vec::new();
        for line in &lines.values {
            let mut points = Vec::new();
            let mut label = String::new();
            for x in &sweep.values {
                let turned = [(lines.vary, line), (sweep.vary, x)];
                let conditions = overlay(&[base, &sweep.conditions], &turned)
                    .map_err(|BadPlan(why)| BadPlan(format!("sweep {}: {why}", sweep.name)))?;
                label = lines.vary.tell(&conditions);
                let x = sweep.vary.read(&conditions);
                points.push((x, self.point(conditions, sweep.workload, seeds)));
            }
            points.sort_by(|(one, _), (other, _)| one.total_cmp(other));
            series.push(Series { label, points });
        }
        let SweepDefinition { name, title, vary, plots, .. } = sweep.clone();
        if let Some(mixed) = plots.iter().find(|plot| !plot.is_one_unit()) {
            return Err(BadPlan(format!(
                "sweep {name}: {:?} have different units, or are none",
                mixed.figures
            )));
        }
        self.sweeps.push(Sweep { name, title, vary, series, plots });
        Ok(())
    }

    fn add_percentiles(&mut self, picture: &PercentilesDefinition) -> Result<(), BadPlan> {
        let mut lines = Vec::new();
        for name in &picture.cases {
            let case = self.cases.iter().find(|case| case.name == *name);
            let case = case.ok_or_else(|| BadPlan(format!("percentiles: no case is called `{name}`")))?;
            let of_level = self.levels.iter().zip(&case.points);
            lines.push(
                of_level.map(|(level, point)| (format!("level {level}, {}", case.label), *point)).collect(),
            );
        }
        self.percentiles.push(Percentiles { title: picture.title.clone(), of: picture.of, lines });
        Ok(())
    }

    /// The place of a point, which is measured once however often it is shown.
    fn point(&mut self, conditions: Conditions, workload: Workload, seeds: u32) -> usize {
        let point = Point { conditions, workload, seeds };
        self.points.iter().position(|known| *known == point).unwrap_or_else(|| {
            self.points.push(point);
            self.points.len() - 1
        })
    }
}

impl PlotDefinition {
    fn is_one_unit(&self) -> bool {
        let mut units = self.figures.iter().map(|figure| figure.unit());
        units.next().is_some_and(|first| units.all(|unit| unit == first))
    }
}

/// Leaves the chosen cases and sweeps, and of pictures of percentiles the lines of those cases.
fn choose(definition: &mut Definition, only: &[String]) -> Result<(), BadPlan> {
    if only.is_empty() {
        return Ok(());
    }
    let known = |name: &String| {
        definition.cases.iter().any(|case| case.name == *name)
            || definition.sweeps.iter().any(|sweep| sweep.name == *name)
    };
    if let Some(unknown) = only.iter().find(|name| !known(name)) {
        let names = definition.cases.iter().map(|case| case.name.as_str());
        let names: Vec<&str> =
            names.chain(definition.sweeps.iter().map(|sweep| sweep.name.as_str())).collect();
        return Err(BadPlan(format!("the plan has no `{unknown}`; it has {}", names.join(", "))));
    }
    definition.sweeps.retain(|sweep| only.contains(&sweep.name));
    let (chosen, dropped): (Vec<_>, Vec<_>) =
        std::mem::take(&mut definition.cases).into_iter().partition(|case| only.contains(&case.name));
    definition.cases = chosen;
    for picture in &mut definition.percentiles {
        picture.cases.retain(|name| dropped.iter().all(|case| case.name != *name));
    }
    definition.percentiles.retain(|picture| !picture.cases.is_empty());
    Ok(())
}

fn overlay(tables: &[&Table], turned: &[(Parameter, &Value)]) -> Result<Conditions, BadPlan> {
    let mut table = Table::new();
    for below in tables {
        table.extend(below.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    for (parameter, value) in turned {
        table.insert(parameter.to_string(), (*value).clone());
    }
    let conditions: Conditions = table.try_into().map_err(bad)?;
    conditions.check().map_err(BadPlan)?;
    Ok(conditions)
}

#[cfg(test)]
mod tests;
