//! Runs that once violated a property must pass for ever.

use std::path::{Path, PathBuf};

use seqlane_sim::{Bundle, DecisionSource, Run};

fn bundles() -> Vec<(PathBuf, Bundle)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let entries = std::fs::read_dir(directory).expect("the corpus is there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("it can be read");
        let bundle = Bundle::read(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, bundle)
    };
    paths.into_iter().map(read).collect()
}

#[test]
fn what_was_found_once_does_not_come_back() {
    for (path, bundle) in bundles() {
        let run = Run::new(&bundle.scenario).within(bundle.limits);
        let outcome = run.record(&DecisionSource::List(bundle.decisions)).outcome;
        let back = outcome.violation.map(|violation| violation.to_string());
        assert_eq!(back, None, "{} is back", path.display());
    }
}

#[test]
fn every_case_says_what_it_violated_when_it_was_found() {
    for (path, bundle) in bundles() {
        assert!(bundle.violation.is_some(), "{} violated nothing", path.display());
        assert!(bundle.scenario.profile.scenario() != bundle.scenario || !bundle.decisions.is_empty());
    }
}
