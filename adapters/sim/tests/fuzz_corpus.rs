//! Every committed fuzz input is a test, on stable and without a fuzzer.

use std::fs;
use std::path::PathBuf;

use seqlane_sim::fuzz::TARGETS;
use seqlane_sim::rng::Xoshiro256pp;

fn corpus(target: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "..", "fuzz", "corpus", target].iter().collect()
}

#[test]
fn every_committed_input_still_holds() {
    for (name, target) in TARGETS {
        let mut inputs: Vec<PathBuf> =
            fs::read_dir(corpus(name)).expect(name).map(|entry| entry.expect("readable").path()).collect();
        assert!(!inputs.is_empty(), "{name} has a corpus");
        inputs.sort();
        for input in inputs {
            println!("{name}: {}", input.display());
            target(&fs::read(&input).expect("readable"));
        }
    }
}

#[test]
fn inputs_that_nobody_chose_hold_too() {
    for (name, target) in TARGETS {
        for seed in 0..60 {
            println!("{name}: seed {seed}");
            let mut rng = Xoshiro256pp::new(seed);
            let len = (rng.next() % 500) as usize;
            let input: Vec<u8> = std::iter::repeat_with(|| rng.next() as u8).take(len).collect();
            target(&input);
        }
    }
}
