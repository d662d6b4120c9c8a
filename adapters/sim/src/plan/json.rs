//! Results of a plan as JSON.

use serde_json::{Map, Value, json};

use crate::plan::figure::Figure;
use crate::plan::limit::limit;
use crate::plan::resolve::{Plan, Point};
use crate::plan::runner::Results;

/// The plan's cases and sweeps with all their figures, and each point's conditions and limit.
pub fn json(plan: &Plan, results: &Results) -> Value {
    let cases = plan.cases.iter().map(|case| {
        let required = case.requirements.iter().map(|required| required.requirement.figure);
        let figures: Vec<Figure> = case.figures.iter().copied().chain(required).collect();
        let points = case.points.iter().map(|place| point(plan, results, *place, &figures));
        json!({ "name": case.name, "label": case.label, "points": points.collect::<Vec<_>>() })
    });
    let sweeps = plan.sweeps.iter().map(|sweep| {
        let figures: Vec<Figure> = sweep.plots.iter().flat_map(|plot| plot.figures.clone()).collect();
        let series = sweep.series.iter().map(|series| {
            let points = series.points.iter().map(|(x, place)| {
                let mut shown = point(plan, results, *place, &figures);
                shown["x"] = json!(x);
                shown
            });
            json!({ "label": series.label, "points": points.collect::<Vec<_>>() })
        });
        let series: Vec<Value> = series.collect();
        json!({ "name": sweep.name, "title": sweep.title, "x": sweep.vary, "series": series })
    });
    json!({
        "title": plan.title,
        "cases": cases.collect::<Vec<_>>(),
        "sweeps": sweeps.collect::<Vec<_>>(),
    })
}

fn point(plan: &Plan, results: &Results, place: usize, figures: &[Figure]) -> Value {
    let Point { conditions, workload, seeds } = &plan.points[place];
    let shown = figures.iter().map(|figure| {
        let value = figure.of(results.of(place), conditions, *workload);
        let name = serde_json::to_value(figure).ok().and_then(|name| name.as_str().map(str::to_owned));
        (name.unwrap_or_default(), json!(value))
    });
    json!({
        "conditions": conditions,
        "workload": workload,
        "runs": seeds,
        "limit": limit(conditions, *workload),
        "figures": shown.collect::<Map<String, Value>>(),
    })
}
