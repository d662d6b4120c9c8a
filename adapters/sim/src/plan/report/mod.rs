//! The report of a plan: one self-contained HTML file with a table and charts.

mod chart;
mod scale;

use std::fmt::Write as _;
use std::iter;
use std::time::Duration;

use crate::plan::definition::{Percentiles, Plan, Plot, Sweep, Waits};
use crate::plan::figure::Figure;
use crate::plan::limit::limit;
use crate::plan::measure::Measurement;
use crate::plan::report::chart::{Chart, Curve, Style};
use crate::plan::report::scale::{Scale, Tick};
use crate::plan::runner::Results;
use crate::plan::table::{heading, rows};
use crate::timeline::escaped;

const STYLE: &str = include_str!("style.css");

/// How to read a logarithmic axis.
const GROWS: &str = " The scale grows by factors.";

/// What stands beside a picture.
struct Picture {
    title: String,
    reading: String,
    chart: Chart,
}

/// The report as one HTML file.
pub fn html(plan: &Plan, results: &Results) -> String {
    let title = escaped(&plan.title);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n<p>{}</p>\n",
        escaped(plan.about.trim())
    );
    if !plan.cases.is_empty() {
        table(&mut out, plan, results);
    }
    out.push_str("<div class=\"pictures\">\n");
    let percentiles = plan.percentiles.iter().map(|picture| waits(results, picture));
    let sweeps =
        plan.sweeps.iter().flat_map(|sweep| sweep.plots.iter().map(move |plot| swept(results, sweep, plot)));
    for Picture { title, reading, chart } in sweeps.chain(percentiles) {
        let (title, reading, svg) = (escaped(&title), escaped(&reading), chart.svg());
        let _ =
            write!(out, "<figure>\n<h2>{title}</h2>\n{svg}<figcaption>{reading}</figcaption>\n</figure>\n");
    }
    out + "</div>\n</body>\n</html>\n"
}

fn table(out: &mut String, plan: &Plan, results: &Results) {
    out.push_str("<table>\n<thead><tr>");
    for head in heading(plan) {
        let _ = write!(out, "<th>{}</th>", escaped(&head));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    let mut above = String::new();
    for row in rows(plan, results) {
        let first = row[0] != above;
        out.push_str(if first { "<tr class=\"first\">" } else { "<tr>" });
        for (column, cell) in row.iter().enumerate() {
            let shown = if column == 0 && !first { "" } else { cell };
            let class = if column > 1 { " class=\"number\"" } else { "" };
            let _ = write!(out, "<td{class}>{}</td>", escaped(shown));
        }
        out.push_str("</tr>\n");
        above.clone_from(&row[0]);
    }
    out.push_str("</tbody>\n</table>\n");
}

/// A picture of a sweep.
fn swept(results: &Results, sweep: &Sweep, plot: &Plot) -> Picture {
    let first = plot.figures[0];
    let one = plot.figures.len() == 1;
    let mut lines = Vec::new();
    for (figure, style) in plot.figures.iter().zip(iter::once(Style::Full).chain(iter::repeat(Style::Broken)))
    {
        for (colour, line) in sweep.lines.iter().enumerate() {
            let points =
                line.points.iter().filter_map(|(x, place)| Some((*x, figure.of(results.of(*place))?)));
            let label = if one { line.label.clone() } else { format!("{}: {}", line.label, figure.text()) };
            lines.push(Curve { label, colour, style, points: points.collect() });
        }
    }
    let mut reading = first.reading().to_owned();
    if plot.limit {
        lines.extend(limits(results, sweep));
        reading += " Dotted: the theoretical limit, min(bandwidth, depth × cap / round trip).";
    }
    if plot.logarithmic {
        reading += GROWS;
    }
    let x = lines.iter().flat_map(|line| line.points.iter().map(|(x, _)| *x));
    let named = if one { first.text() } else { first.text().split(',').next().unwrap_or_default() };
    let unit = first.unit();
    let chart = Chart {
        title: sweep.title.clone(),
        x_axis: sweep.vary.axis().to_owned(),
        y_axis: if unit.is_empty() { named.to_owned() } else { format!("{named}, {unit}") },
        x: Scale::new(sweep.vary.is_logarithmic(), x),
        y: Scale::new(plot.logarithmic, heights(&lines)),
        x_ticks: None,
        lines,
    };
    Picture { title: format!("{}: {named}", sweep.title), reading, chart }
}

fn heights(lines: &[Curve]) -> impl Iterator<Item = f64> {
    lines.iter().flat_map(|line| line.points.iter().map(|(_, y)| *y))
}

/// The theoretical limit of each line; one for all, where it is the same.
fn limits(results: &Results, sweep: &Sweep) -> Vec<Curve> {
    const MEGA: f64 = 1_000_000.0;
    let mut limits: Vec<Curve> = Vec::new();
    for (colour, line) in sweep.lines.iter().enumerate() {
        let limit = |(x, place): &(f64, usize)| {
            let point = &results.of(*place).point;
            Some((*x, limit(&point.conditions, point.workload)? / MEGA))
        };
        let points: Vec<(f64, f64)> = line.points.iter().filter_map(limit).collect();
        match limits.iter_mut().find(|limit| limit.points == points) {
            Some(same) => same.label = format!("{}, {}", same.label, line.label),
            None => limits.push(Curve { label: line.label.clone(), colour, style: Style::Limit, points }),
        }
    }
    match &mut limits[..] {
        [only] => only.label = "limit".to_owned(),
        several => several.iter_mut().for_each(|line| line.label += ": limit"),
    }
    limits
}

/// A picture of percentiles: from the middle to one of a thousand, each nine as far from the last.
fn waits(results: &Results, picture: &Percentiles) -> Picture {
    const PERMILLE: [usize; 12] = [500, 600, 700, 800, 900, 925, 950, 975, 990, 995, 998, 999];
    const MARKS: [(usize, &str); 5] =
        [(500, "50 %"), (900, "90 %"), (950, "95 %"), (990, "99 %"), (999, "99.9 %")];
    let place = |permille: usize| 3.0 - ((1000 - permille) as f64).log10();
    let (waits, figure): (fn(&Measurement) -> &[Duration], _) = match picture.of {
        Waits::Echoes => (|run| &run.echoes, Figure::EchoP50),
        Waits::Pushes => (|run| &run.pushes, Figure::PushP50),
    };
    let mut lines = Vec::new();
    for (case, style) in picture.lines.iter().zip([Style::Smooth, Style::SmoothBroken].into_iter().cycle()) {
        for (colour, (label, point)) in case.iter().enumerate() {
            let samples = results.of(*point).durations(waits);
            // Beyond one sample of those that are there, a percentile says nothing.
            let told = PERMILLE.into_iter().filter(|permille| samples.len() * (1000 - permille) >= 1000);
            let points = told.filter_map(|permille| Some((place(permille), samples.seconds(permille)?)));
            lines.push(Curve { label: label.clone(), colour, style, points: points.collect() });
        }
    }
    let chart = Chart {
        title: picture.title.clone(),
        x_axis: "this share is not slower".to_owned(),
        y_axis: "seconds".to_owned(),
        x: Scale::Linear { low: place(500), high: place(999), step: 1.0 },
        y: Scale::new(true, heights(&lines)),
        x_ticks: Some(MARKS.map(|(at, label)| Tick { at: place(at), label: label.to_owned() }).to_vec()),
        lines,
    };
    let reading = figure.reading();
    Picture {
        title: format!("{}: percentiles", picture.title),
        reading: format!("{reading} Flat is steady; what rises to the right are the slow ones.{GROWS}"),
        chart,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{BUILT_IN, Choice};

    #[test]
    fn a_report_has_every_picture_of_its_plan_and_asks_for_nothing_from_elsewhere() {
        let only = ["echo", "echo-beside", "depth"].map(str::to_owned).to_vec();
        let mut plan = Plan::parse(BUILT_IN, &Choice { only, seeds: Some(1) }).unwrap();
        for point in &mut plan.points {
            point.workload = crate::plan::Workload::Echo(3);
        }
        let results = plan.run(1, || {}).unwrap();
        let report = html(&plan, &results);
        let pictures: usize = plan.sweeps.iter().map(|sweep| sweep.plots.len()).sum();
        assert_eq!(report.matches("<svg").count(), pictures + plan.percentiles.len());
        assert!(report.contains("echo beside a download"));
        for foreign in ["<script", "http:", "https:", "@import", "url("] {
            assert!(!report.contains(foreign), "{foreign}");
        }
    }
}
