//! Checks of the pages in `docs/` and at the root against the code: links, rooms, tests and the table of contents.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_path_buf()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The pages for people.
fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> =
        ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].iter().map(|name| root().join(name)).collect();
    let docs = fs::read_dir(root().join("docs")).expect("docs");
    pages.extend(docs.map(|entry| entry.expect("an entry").path()));
    pages.retain(|path| path.extension().is_some_and(|ending| ending == "md"));
    pages.sort();
    pages
}

/// Every Rust file below `folder`.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("target") {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The texts between backquotes in the cells of a table's column, for the table under `heading`.
fn column(page: &str, heading: &str, column: usize) -> Vec<String> {
    let section = page.split(heading).nth(1).unwrap_or_else(|| panic!("no {heading}"));
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with('|'));
    let cells = rows.filter_map(|row| row.split('|').nth(column + 1));
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2).map(String::from).collect::<Vec<_>>()).collect()
}

#[test]
fn the_programs_in_the_readme_are_the_examples_that_run() {
    let readme = read(&root().join("README.md"));
    for example in ["core/examples/in_memory.rs", "adapters/tokio/examples/embed.rs"] {
        let code = read(&root().join(example));
        let program = code.split("\n#[test]").next().and_then(|code| code.split_once("\n\n"));
        let (_, program) = program.expect("a heading, the program, its test");
        assert!(readme.contains(program.trim()), "README.md has another {example}");
    }
}

#[test]
fn every_relative_link_leads_to_a_file() {
    let mut dead = Vec::new();
    for page in pages() {
        let text = read(&page);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            if !page.parent().expect("a folder").join(path).exists() {
                dead.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(dead.is_empty(), "links to nothing:\n{}", dead.join("\n"));
}

#[test]
fn every_room_of_a_rule_is_a_file_of_the_core() {
    let page = read(&root().join("docs/architecture.md"));
    let rooms = column(&page, "## Rules, rooms and tests", 2);
    assert!(rooms.len() > 40, "the table has {} rooms", rooms.len());
    let missing: Vec<_> = rooms.iter().filter(|room| !root().join("core/src").join(room).is_file()).collect();
    assert!(missing.is_empty(), "no such files: {missing:?}");
}

#[test]
fn every_test_of_a_rule_exists() {
    let page = read(&root().join("docs/architecture.md"));
    let tests = column(&page, "## Rules, rooms and tests", 3);
    let code: String = sources(&root().join("core/src")).iter().map(|path| read(path)).collect();
    let missing: Vec<_> = tests.iter().filter(|test| !code.contains(&format!("fn {test}("))).collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
}

#[test]
fn the_table_of_contents_names_every_file_of_the_core() {
    let page = read(&root().join("docs/architecture.md"));
    let tree = page.split("```text").find(|part| part.contains("\nclient/")).expect("the table of contents");
    let tree = tree.split("```").next().unwrap_or_default();
    let mut folders: Vec<&str> = Vec::new();
    let mut listed = BTreeSet::new();
    for line in tree.lines().filter(|line| !line.trim().is_empty()) {
        let depth = (line.len() - line.trim_start().len()) / 2;
        let name = line.split_whitespace().next().unwrap_or_default();
        folders.truncate(depth);
        let path = folders.iter().copied().chain([name]).collect::<String>();
        if name.ends_with('/') {
            folders.push(name);
        }
        listed.insert(path);
    }
    let core = root().join("core/src");
    let files = sources(&core).into_iter().filter_map(|path| {
        let path = path.strip_prefix(&core).expect("below the core").to_str()?.to_owned();
        let test = path.contains("tests/") || path.ends_with("tests.rs");
        let module = path.strip_suffix("/mod.rs").map(|folder| format!("{folder}/"));
        let name = module.unwrap_or_else(|| path.trim_end_matches(".rs").to_owned());
        (!test && name != "lib").then_some(name)
    });
    let files: BTreeSet<String> = files.collect();
    let unlisted: Vec<_> = files.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&files).collect();
    assert!(unlisted.is_empty() && gone.is_empty(), "not listed: {unlisted:?}; listed and gone: {gone:?}");
}
