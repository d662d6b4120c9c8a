use super::*;
use crate::plan::Size;

const PLAN: &str = r#"
title = "A plan"
about = "For a test."
levels = [0, 1]
seeds = 3

[conditions]
relays = 2

[[case]]
name = "down"
label = "a download"
workload = { download = "1 MiB" }
figures = ["goodput", "calls-per-mb"]

[[case]]
name = "echo"
label = "an echo"
workload = { echo = 4 }
figures = ["echo-p50"]
require = [{ figure = "goodput", by = "percent", of = "down", must = 75 }]
seeds = 7
conditions = { loss = "5/100" }

[[percentiles]]
title = "Waits"
of = "echoes"
cases = ["echo"]

[[sweep]]
name = "round-trip"
title = "By round trip"
workload = { download = "1 MiB" }
vary = "round-trip"
values = ["1s", "hosted", "100ms"]
plot = [{ figures = ["goodput"], limit = true }, { figures = ["stall-p50", "stall-most"], logarithmic = true }]

[[sweep]]
name = "depth"
title = "By depth"
workload = { download = "1 MiB" }
vary = "depth"
values = [1, 8]
series = { vary = "response-cap", values = ["1 MiB", "16 MiB"] }
plot = [{ figures = ["goodput"] }]
"#;

fn parse(text: &str) -> Result<Plan, String> {
    Plan::parse(text, &Choice::default()).map_err(|error| error.to_string())
}

#[test]
fn a_case_has_a_point_for_each_level_and_the_nearest_conditions_win() {
    let plan = parse(PLAN).unwrap();
    let echo = &plan.cases[1];
    let points: Vec<&Point> = echo.points.iter().map(|place| &plan.points[*place]).collect();
    assert_eq!((points[0].conditions.level, points[1].conditions.level), (0, 1));
    for point in points {
        assert_eq!((point.conditions.relays, point.seeds), (2, 7));
        assert_eq!((point.conditions.loss.share(), point.workload), (0.05, Workload::Echo(4)));
    }
}

#[test]
fn a_sweep_has_a_line_for_each_of_its_series_from_left_to_right() {
    let plan = parse(PLAN).unwrap();
    let by_level = &plan.sweeps[0];
    let labels: Vec<&str> = by_level.lines.iter().map(|line| line.label.as_str()).collect();
    assert_eq!(labels, ["level 0", "level 1"]);
    let xs: Vec<f64> = by_level.lines[0].points.iter().map(|(x, _)| *x).collect();
    assert_eq!(xs[..2], [0.1, 1.0]);
    assert!(xs[2] > 1.6);
    let by_depth = &plan.sweeps[1];
    assert_eq!(by_depth.lines[1].label, "16 MiB a response");
    let (x, place) = by_depth.lines[0].points[1];
    let conditions = &plan.points[place].conditions;
    assert_eq!((x, conditions.depth, conditions.response_cap), (8.0, 8, Size(1 << 20)));
}

#[test]
fn a_point_that_is_shown_twice_is_measured_once() {
    let plan = parse(PLAN).unwrap();
    // The download at the hosted round trip is a case, a place of one sweep, and a place of the other.
    let case = plan.cases[0].points[1];
    assert_eq!(plan.sweeps[0].lines[1].points[2].1, case);
    assert_eq!(plan.sweeps[1].lines[1].points[1].1, case);
}

#[test]
fn a_choice_leaves_what_it_names_and_changes_how_many_runs_there_are() {
    let only = |name: &str| Choice { only: vec![name.to_owned()], seeds: Some(2) };
    let plan = Plan::parse(PLAN, &only("depth")).unwrap();
    assert_eq!((plan.cases.len(), plan.sweeps.len(), plan.percentiles.len()), (0, 1, 0));
    assert_eq!(plan.runs(), 8);
    let plan = Plan::parse(PLAN, &only("echo")).unwrap();
    assert_eq!((plan.cases.len(), plan.sweeps.len(), plan.percentiles.len()), (1, 0, 1));
    let error = Plan::parse(PLAN, &only("deep")).unwrap_err().to_string();
    assert!(error.contains("deep") && error.contains("round-trip"), "{error}");
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    for (wrong, instead, named) in [
        ("levels = [0, 1]", "levels = [0, 9]", "no level 9"),
        ("relays = 2", "relais = 2", "relais"),
        ("relays = 2", "relays = 0", "relays"),
        ("values = [1, 8]", "values = [1, 800]", "max_depth"),
        ("echo = 4", "echoes = 4", "echoes"),
        ("\"stall-p50\", \"stall-most\"", "\"stall-p50\", \"goodput\"", "different units"),
        ("cases = [\"echo\"]", "cases = [\"ech\"]", "ech"),
        ("\"1s\"", "\"soon\"", "soon"),
        ("\"1 MiB\" }\nfig", "\"1 Mb\" }\nfig", "1 Mb"),
    ] {
        assert!(PLAN.contains(wrong), "{wrong}");
        let error = parse(&PLAN.replacen(wrong, instead, 1)).unwrap_err();
        assert!(error.contains(named), "{instead}: {error}");
    }
}

#[test]
fn a_definition_is_the_same_after_it_was_written_and_read() {
    let definition: Plan = toml::from_str(PLAN).unwrap();
    let text = toml::to_string(&definition).unwrap();
    assert_eq!(toml::from_str::<Plan>(&text).unwrap(), definition);
}

#[test]
fn a_requirement_is_measured_by_the_points_of_the_case_that_it_names() {
    let plan = parse(PLAN).unwrap();
    assert_eq!(plan.cases[1].requirements[0].others, plan.cases[0].points);
    let error = parse(&PLAN.replace("of = \"down\"", "of = \"sideways\"")).unwrap_err();
    assert!(error.contains("sideways"), "{error}");
}

#[test]
fn the_built_in_plans_are_well_formed() {
    for text in [crate::plan::BUILT_IN, crate::plan::LEVEL2] {
        assert!(!parse(text).unwrap().cases.is_empty());
    }
}
