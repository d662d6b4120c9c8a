//! The program as it is used: what it prints, what it writes, and how it exits.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_seqlane-sim")).args(arguments).output().expect("the program runs")
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("it prints text")
}

/// A directory of this test's own.
fn directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    drop(std::fs::remove_dir_all(&directory));
    std::fs::create_dir_all(&directory).expect("it can be made");
    directory
}

fn path(directory: &Path, name: &str) -> String {
    directory.join(name).display().to_string()
}

#[test]
fn bad_usage_is_told_in_one_line_and_exits_with_2() {
    for arguments in [
        &["run", "--profile", "faulty"][..],
        &["run", "--set", "net.lose-rely=1/2"],
        &["run", "--seed", "often"],
        &["replay", "no-such-file.json"],
        &["shrink", "Cargo.toml"],
    ] {
        let output = sim(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_trace_is_replayed_exactly_and_a_changed_one_is_told_by_its_first_entry() {
    let directory = directory("replay");
    let (trace, changed) = (path(&directory, "run.jsonl"), path(&directory, "changed.jsonl"));
    let calm = ["--profile", "calm", "--seed", "7"];
    assert_eq!(sim(&[&["run", "--trace", &trace], &calm[..]].concat()).status.code(), Some(0));
    assert_eq!(sim(&["replay", &trace]).status.code(), Some(0));
    let said = std::fs::read_to_string(&trace).expect("it was written");
    std::fs::write(&changed, said.replacen("connects for flow", "refuses flow", 1))
        .expect("it can be written");
    let output = sim(&["replay", &changed]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output).contains("refuses flow"), "{}", text(&output));
    let output = sim(&["diff", &trace, &changed]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output).contains("first difference: entry"), "{}", text(&output));
}

#[test]
fn a_calm_swarm_passes_and_counts() {
    let output = sim(&["swarm", "--profile", "calm", "--seeds", "0..40", "--check-determinism", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert_eq!(document["seeds"], 40);
    assert_eq!(document["failed"], 0);
    assert!(document["sometimes"]["AllDone"].as_u64() > Some(0));
}

#[test]
fn what_never_happens_is_missed() {
    let output = sim(&["coverage", "--profile", "calm", "--seeds", "0..3"]);
    assert_eq!(output.status.code(), Some(5));
    assert!(text(&output).lines().last().is_some_and(|line| line.contains("RelayDown")));
}

#[test]
fn a_run_is_drawn_in_every_form() {
    let directory = directory("pictures");
    let bundle = path(&directory, "run.json");
    let faulty = ["--profile", "calm", "--set", "net.lose-reply=1/3", "--seed", "4"];
    sim(&[&["run", "--bundle", &bundle], &faulty[..]].concat());
    for (name, start) in [
        ("run.svg", "<svg xmlns"),
        ("run.html", "<!DOCTYPE html>"),
        ("run.mmd", "sequenceDiagram"),
        ("perfetto.json", "{\"displayTimeUnit\""),
        ("run.txt", "seed 0x4, profile calm"),
    ] {
        let picture = path(&directory, name);
        assert_eq!(sim(&["timeline", &bundle, "-o", &picture]).status.code(), Some(0), "{name}");
        let drawn = std::fs::read_to_string(&picture).expect("it was written");
        assert!(drawn.starts_with(start), "{name}: {}", &drawn[..60]);
    }
}

#[test]
fn lists_are_whole() {
    let (props, faults) = (text(&sim(&["props"])), text(&sim(&["faults"])));
    assert!(["S1 ", "R3 ", "L4 ", "M1 "].iter().all(|id| props.contains(id)), "{props}");
    assert!(["F1 ", "F20 ", "lose-reply"].iter().all(|id| faults.contains(id)), "{faults}");
}

#[test]
fn a_plan_prints_its_table_and_writes_its_pictures() {
    let directory = directory("plan");
    let (plan, report) = (path(&directory, "plan.toml"), path(&directory, "report.html"));
    let printed = sim(&["plan", "--print"]);
    assert_eq!(printed.status.code(), Some(0));
    std::fs::write(&plan, text(&printed)).expect("it can be written");
    let output = sim(&["plan", &plan, "--only", "echo", "--seeds", "2", "--markdown", "-o", &report]);
    assert_eq!(output.status.code(), Some(0));
    let table = text(&output);
    assert!(table.starts_with("| workload | figure | level 0 | level 1 |\n"), "{table}");
    assert!(table.contains("| echo alone | echo time, median |"), "{table}");
    let again = sim(&["plan", "--only", "echo", "--seeds", "2", "--markdown", "--jobs", "1"]);
    assert_eq!(text(&again), table);
    assert!(std::fs::read_to_string(&report).expect("it was written").contains("<svg"));
    assert_eq!(sim(&["plan", "--only", "nothing"]).status.code(), Some(2));
}

#[test]
fn the_table_of_level_2_says_what_must_be_reached_and_what_was() {
    let output = sim(&["plan", "--table", "level2", "--only", "stall-echo", "--seeds", "2", "--markdown"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let table = text(&output);
    assert!(
        table.starts_with("| workload | figure | must | goal | reached | level 2 | level 1 |\n"),
        "{table}"
    );
    assert!(table.contains("| 3.00 rt | - |"), "{table}");
    assert_eq!(sim(&["plan", "--table", "level9"]).status.code(), Some(2));
}

/// A recording of a client that opened a flow, as `seqlane client --record` writes it.
fn recording() -> Vec<u8> {
    use seqlane::{
        Client, ClientAction, ClientEvent, ClientOptions, FlowKind, Instant, RelayOptions, Secret, Target,
    };
    use seqlane_record::{Ending, Machine, RecordingWriter};
    let options = ClientOptions::new(vec![RelayOptions::new(Secret::new("key"))]);
    let mut client = Client::start(options.clone(), [1; 32], Instant::ZERO).expect("valid");
    let mut file = Vec::new();
    let mut writer = RecordingWriter::<Client>::begin(&options, [1; 32], Instant::ZERO, &mut file);
    let target = Target::new("example.org", 443).expect("a target");
    for event in [ClientEvent::Open { target, kind: FlowKind::Tcp }, ClientEvent::Close] {
        writer.event(Instant::ZERO, &event, &mut file);
        client.handle(Instant::ZERO, event).expect("within the contract");
        loop {
            let action = client.poll();
            writer.action(&action, &mut file);
            if matches!(action, ClientAction::Idle { .. }) {
                break;
            }
        }
    }
    writer.end(Ending::Stopped, &mut file);
    file
}

#[test]
fn a_recording_of_real_sockets_is_replayed_and_a_damaged_one_is_told() {
    let directory = directory("recording");
    let file = path(&directory, "client.recording");
    let replay = |bytes: &[u8], more: &[&str]| {
        std::fs::write(&file, bytes).expect("it can be written");
        sim(&[&["replay", &file], more].concat())
    };
    let whole = recording();
    let output = replay(&whole, &["--verbose"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = text(&output);
    assert!(said.contains("event    Open") && said.contains("it did the same"), "{said}");

    let output = replay(&whole, &["--json"]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert_eq!((&document["machine"], &document["events"]), (&"client".into(), &2.into()));

    let mut damaged = whole.clone();
    let place = damaged.len() - 30;
    damaged[place] ^= 1;
    for (bytes, words) in
        [(&damaged[..], "damaged"), (&whole[..whole.len() - 1], "has no end"), (&whole[..21], "has no end")]
    {
        let output = replay(bytes, &[]);
        assert_eq!(output.status.code(), Some(2));
        let error = String::from_utf8(output.stderr).expect("text");
        assert!(error.contains(words) && error.lines().count() == 1, "{error}");
    }
    assert_eq!(replay(&whole, &["--trace", &path(&directory, "trace.jsonl")]).status.code(), Some(2));
}

#[test]
fn every_mutant_applies_to_the_core_as_it_is() {
    let output = sim(&["mutants", "--check"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}
