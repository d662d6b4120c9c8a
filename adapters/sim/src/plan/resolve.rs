//! Resolution of plan files: every point with its conditions.

use std::fmt;
use std::mem::take;

use toml::{Table, Value};

use crate::plan::conditions::Conditions;
use crate::plan::definition::{Case, Line, Percentiles, Plan, Plot, Series, Sweep};
use crate::plan::parameter::Parameter;
use crate::plan::point::Point;
use crate::plan::workload::Workload;

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
        let mut plan: Self = toml::from_str(text).map_err(bad)?;
        let all = plan.cases.clone();
        plan.choose(&choice.only)?;
        let Self { levels, seeds, conditions, cases, sweeps, percentiles, points, .. } = &mut plan;
        let seeds = (choice.seeds, *seeds);
        let mut resolver = Resolver { base: conditions, levels, seeds, points };
        for case in &mut *cases {
            resolver.case(case, &all)?;
        }
        for sweep in sweeps {
            resolver.sweep(sweep)?;
        }
        for picture in percentiles {
            picture.resolve(levels, cases)?;
        }
        Ok(plan)
    }

    /// How many runs it has.
    pub fn runs(&self) -> u64 {
        self.points.iter().map(|point| u64::from(point.seeds)).sum()
    }

    /// Leaves the chosen cases and sweeps, and of pictures of percentiles the lines of those cases.
    fn choose(&mut self, only: &[String]) -> Result<(), BadPlan> {
        if only.is_empty() {
            return Ok(());
        }
        let names = self.cases.iter().map(|case| &case.name);
        let names: Vec<&String> = names.chain(self.sweeps.iter().map(|sweep| &sweep.name)).collect();
        if let Some(unknown) = only.iter().find(|name| !names.contains(name)) {
            let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
            return Err(BadPlan(format!("the plan has no `{unknown}`; it has {}", names.join(", "))));
        }
        self.sweeps.retain(|sweep| only.contains(&sweep.name));
        let (chosen, dropped): (Vec<_>, Vec<_>) =
            take(&mut self.cases).into_iter().partition(|case| only.contains(&case.name));
        self.cases = chosen;
        for picture in &mut self.percentiles {
            picture.cases.retain(|name| dropped.iter().all(|case| case.name != *name));
        }
        self.percentiles.retain(|picture| !picture.cases.is_empty());
        Ok(())
    }
}

/// What the points of a plan are made from, and those that there are.
struct Resolver<'a> {
    base: &'a Table,
    levels: &'a [u8],
    /// Runs of each point: what was chosen, and what the plan says.
    seeds: (Option<u32>, u32),
    points: &'a mut Vec<Point>,
}

impl Resolver<'_> {
    fn case(&mut self, case: &mut Case, all: &[Case]) -> Result<(), BadPlan> {
        case.points = self.points_of(case)?;
        for requirement in &mut case.requirements {
            let Some(name) = &requirement.of else { continue };
            let other = all.iter().find(|other| other.name == *name).ok_or_else(|| {
                BadPlan(format!("case {}: there is no case `{name}` to compare with", case.name))
            })?;
            requirement.others = self.points_of(other)?;
        }
        Ok(())
    }

    /// The places of a case's points, by level.
    fn points_of(&mut self, case: &Case) -> Result<Vec<usize>, BadPlan> {
        let mut points = Vec::new();
        for level in self.levels {
            let level = (Parameter::Level, &Value::from(i64::from(*level)));
            let conditions = self
                .conditions(&case.conditions, &[level])
                .map_err(|BadPlan(why)| BadPlan(format!("case {}: {why}", case.name)))?;
            points.push(self.point(conditions, case.workload, case.seeds));
        }
        Ok(points)
    }

    fn sweep(&mut self, sweep: &mut Sweep) -> Result<(), BadPlan> {
        let levels = || Series {
            vary: Parameter::Level,
            values: self.levels.iter().map(|level| Value::from(i64::from(*level))).collect(),
        };
        let series = sweep.series.clone().unwrap_or_else(levels);
        for value in &series.values {
            let mut line = Line { label: String::new(), points: Vec::new() };
            for x in &sweep.values {
                let conditions = self
                    .conditions(&sweep.conditions, &[(series.vary, value), (sweep.vary, x)])
                    .map_err(|BadPlan(why)| BadPlan(format!("sweep {}: {why}", sweep.name)))?;
                (_, line.label) = series.vary.read(&conditions);
                let (x, _) = sweep.vary.read(&conditions);
                line.points.push((x, self.point(conditions, sweep.workload, sweep.seeds)));
            }
            line.points.sort_by(|(one, _), (other, _)| one.total_cmp(other));
            sweep.lines.push(line);
        }
        match sweep.plots.iter().find(|plot| !plot.is_one_unit()) {
            Some(Plot { figures, .. }) => {
                Err(BadPlan(format!("sweep {}: {figures:?} have different units, or are none", sweep.name)))
            }
            None => Ok(()),
        }
    }

    /// The conditions of the plan under `own`, with these parameters varied.
    fn conditions(&self, own: &Table, varied: &[(Parameter, &Value)]) -> Result<Conditions, BadPlan> {
        let mut table = self.base.clone();
        table.extend(own.clone());
        table.extend(varied.iter().map(|(parameter, value)| (parameter.to_string(), (*value).clone())));
        let conditions: Conditions = table.try_into().map_err(bad)?;
        conditions.check().map_err(BadPlan)?;
        Ok(conditions)
    }

    /// The place of a point, which is measured once however often it is shown.
    fn point(&mut self, conditions: Conditions, workload: Workload, own_seeds: Option<u32>) -> usize {
        let (chosen, usual) = self.seeds;
        let point = Point { conditions, workload, seeds: chosen.or(own_seeds).unwrap_or(usual).max(1) };
        self.points.iter().position(|known| *known == point).unwrap_or_else(|| {
            self.points.push(point);
            self.points.len() - 1
        })
    }
}

impl Percentiles {
    fn resolve(&mut self, levels: &[u8], cases: &[Case]) -> Result<(), BadPlan> {
        for name in &self.cases {
            let case = cases.iter().find(|case| case.name == *name);
            let case = case.ok_or_else(|| BadPlan(format!("percentiles: no case is called `{name}`")))?;
            let label = |level: &u8| format!("level {level}, {}", case.label);
            self.lines.push(levels.iter().map(label).zip(case.points.iter().copied()).collect());
        }
        Ok(())
    }
}

impl Plot {
    fn is_one_unit(&self) -> bool {
        let mut units = self.figures.iter().map(|figure| figure.unit());
        units.next().is_some_and(|first| units.all(|unit| unit == first))
    }
}

#[cfg(test)]
mod tests;
