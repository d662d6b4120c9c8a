//! Results of a plan as JSON.

use serde_json::{Map, Value, json};

use crate::plan::aggregate::Aggregate;
use crate::plan::definition::Plan;
use crate::plan::figure::Figure;
use crate::plan::limit::limit;
use crate::plan::point::Point;
use crate::plan::runner::Results;

/// The plan's cases and sweeps with all their figures, and each point's conditions and limit.
pub fn json(plan: &Plan, results: &Results) -> Value {
    let cases = plan.cases.iter().map(|case| {
        let required = case.requirements.iter().map(|required| required.figure);
        let figures: Vec<Figure> = case.figures.iter().copied().chain(required).collect();
        let points = case.points.iter().map(|place| point(results.of(*place), &figures));
        json!({ "name": case.name, "label": case.label, "points": points.collect::<Vec<_>>() })
    });
    let sweeps = plan.sweeps.iter().map(|sweep| {
        let figures: Vec<Figure> = sweep.plots.iter().flat_map(|plot| plot.figures.clone()).collect();
        let series = sweep.lines.iter().map(|line| {
            let points = line.points.iter().map(|(x, place)| {
                let mut shown = point(results.of(*place), &figures);
                shown["x"] = json!(x);
                shown
            });
            json!({ "label": line.label, "points": points.collect::<Vec<_>>() })
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

fn point(aggregate: &Aggregate, figures: &[Figure]) -> Value {
    let shown = figures.iter().map(|figure| {
        let name = serde_json::to_value(figure).ok().and_then(|name| name.as_str().map(str::to_owned));
        (name.unwrap_or_default(), json!(figure.of(aggregate)))
    });
    let Point { conditions, workload, seeds } = &aggregate.point;
    json!({
        "conditions": conditions,
        "workload": workload,
        "runs": seeds,
        "limit": limit(conditions, *workload),
        "figures": shown.collect::<Map<String, Value>>(),
    })
}
