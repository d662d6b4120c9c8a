//! The same decisions give the same run: in this process, in others, from decisions, and from the middle on.

use std::process::Command;

use seqlane_sim::trace::NoTrace;
use seqlane_sim::{DecisionSource, Profile, Run, Seeded, Seeds, Swarm, World};

const SEEDS: u64 = 200;

/// The hash list of another process.
fn other_process() -> String {
    let seeds = format!("0..{SEEDS}");
    let output = Command::new(env!("CARGO_BIN_EXE_seqlane-sim"))
        .args(["swarm", "--hashes", "--seeds", &seeds, "--jobs", "2"])
        .output()
        .expect("the program runs");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("hashes are text")
}

#[test]
fn two_processes_make_the_same_runs_and_so_does_this_one() {
    let hashes = other_process();
    assert_eq!(hashes.lines().count() as u64, SEEDS);
    assert_eq!(hashes, other_process());
    let scenario = Profile::Swarm.scenario();
    let swarm = Swarm { run: Run::new(&scenario), jobs: 1, check: Run::seeded, hashes: true };
    let figures = swarm.run(Seeds { first: 0, end: Some(SEEDS) }, |_| true);
    let here: String = figures
        .hashes
        .iter()
        .map(|(seed, (hash, events))| format!("{seed} {hash:016x} {events}\n"))
        .collect();
    assert_eq!(hashes, here);
}

#[test]
fn the_picks_of_a_run_make_it_again() {
    for profile in Profile::ALL.iter().copied() {
        let scenario = profile.scenario();
        let run = Run::new(&scenario);
        // The profile of figures moves megabytes in every run.
        let seeds = if profile == Profile::Hosted { 2 } else { 30 };
        for seed in 0..seeds {
            let recording = run.record(&DecisionSource::Seed(seed));
            let again = run.record(&DecisionSource::List(recording.decisions.clone()));
            assert_eq!(again.outcome, recording.outcome, "seed {seed} of {profile}");
            assert_eq!(again.decisions, recording.decisions, "seed {seed} of {profile}");
        }
    }
}

#[test]
fn a_trace_changes_nothing() {
    let scenario = Profile::Swarm.scenario();
    let run = Run::new(&scenario);
    for seed in 0..60 {
        assert_eq!(run.record(&DecisionSource::Seed(seed)).outcome, run.seeded(seed), "seed {seed}");
    }
}

#[test]
fn a_copy_of_a_world_in_the_middle_of_a_run_behaves_like_the_original() {
    let scenario = Profile::Swarm.scenario();
    for seed in 0..60 {
        let whole = World::new(&scenario, seed).run(u64::MAX);
        let mut original = World::with(&scenario, Seeded::new(seed), NoTrace);
        original.run(whole.events / 2);
        let mut copy = original.clone();
        assert_eq!(copy.run(u64::MAX), whole, "the copy of seed {seed}");
        assert_eq!(original.run(u64::MAX), whole, "the original of seed {seed}, after its copy");
    }
}
