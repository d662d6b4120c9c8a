//! Structure of the core's source files: imports without circles, one file for each machine, headings.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A source file of the core, without its tests.
struct Source {
    /// Relative to `core/src`.
    path: PathBuf,
    /// The whole text.
    text: String,
    /// The code, without tests and comments.
    code: String,
}

/// A module, as the names from the crate's root to it.
type Module = Vec<String>;

impl Source {
    /// The module that the file is.
    fn module(&self) -> Module {
        let path = self.path.with_extension("");
        let mut names: Module = path.iter().map(|name| name.to_string_lossy().into_owned()).collect();
        names.pop_if(|name| matches!(name.as_str(), "mod" | "lib"));
        names
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/src");
    let mut folders = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of the core") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            if path.is_dir() && name != "tests" {
                folders.push(path);
            } else if name.ends_with(".rs") && name != "tests.rs" {
                let text = fs::read_to_string(&path).expect("a source file");
                let path = path.strip_prefix(&root).expect("a file under the root").to_owned();
                sources.push(Source { path, code: code_of(&text), text });
            }
        }
    }
    assert!(sources.len() > 50, "the core has its files in core/src");
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// `text` without its test module and without comments.
fn code_of(text: &str) -> String {
    let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The paths that a file imports or names from the crate's root on.
fn paths_of(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for statement in code.split(';') {
        let Some(start) = statement.rfind("use ") else { continue };
        let before = statement.get(..start).unwrap_or_default().lines().last().unwrap_or_default().trim();
        // What a module passes on is no need of its own.
        if before.is_empty() || before.starts_with("pub(") {
            expand(statement.get(start + 4..).unwrap_or_default(), "", &mut paths);
        }
    }
    for (at, _) in code.match_indices("crate::") {
        let path = code.get(at..).unwrap_or_default();
        let path = path.split(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | ':')).next();
        // Visibility names a module and needs nothing of it.
        if !code.get(..at).unwrap_or_default().ends_with("in ") {
            paths.extend(path.map(str::to_owned));
        }
    }
    paths
}

/// The single paths of an import: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expand(tree: &str, prefix: &str, paths: &mut Vec<String>) {
    let tree = tree.trim();
    let Some((head, rest)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default().trim();
        paths.push(format!("{prefix}{}", path.strip_suffix("::self").unwrap_or(path)));
        return;
    };
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let (mut depth, mut item) = (0, String::new());
    for c in inner.chars().chain([',']) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let item = std::mem::take(&mut item);
                if !item.trim().is_empty() {
                    expand(&item, &format!("{prefix}{}", head.trim()), paths);
                }
                continue;
            }
            _ => {}
        }
        item.push(c);
    }
}

/// The file whose module `path` leads to, from the file of module `here`.
fn file_of<'a>(path: &str, here: &Module, files: &BTreeMap<Module, &'a Source>) -> Option<&'a Source> {
    let mut names: Vec<&str> = path.split("::").filter(|name| !name.is_empty()).collect();
    let mut base = match *names.first()? {
        "crate" => Module::new(),
        "super" | "self" => here.clone(),
        first => {
            let child: Module = here.iter().cloned().chain([first.to_owned()]).collect();
            files.get(&child)?;
            here.clone()
        }
    };
    while let Some(first) = names.first() {
        match *first {
            "crate" | "self" => {}
            "super" => drop(base.pop()),
            name => {
                base.push(name.to_owned());
                if !files.contains_key(&base) {
                    base.pop();
                    break;
                }
            }
        }
        names.remove(0);
    }
    // A name that a module alone is imported for counts for that module; one from the root for nobody.
    files.get(&base).copied().filter(|file| file.path != Path::new("lib.rs"))
}

/// Which files each file imports from.
fn imports(sources: &[Source]) -> BTreeMap<&Path, BTreeSet<&Path>> {
    let files: BTreeMap<Module, &Source> = sources.iter().map(|source| (source.module(), source)).collect();
    let of = |source: &Source| {
        let here = source.module();
        let imported = paths_of(&source.code);
        let files = imported.iter().filter_map(|path| file_of(path, &here, &files));
        files.map(|file| &*file.path).filter(|path| *path != source.path).collect()
    };
    sources.iter().map(|source| (&*source.path, of(source))).collect()
}

/// Everything that can be reached from `start`.
fn reached<'a>(start: &'a Path, imports: &BTreeMap<&'a Path, BTreeSet<&'a Path>>) -> BTreeSet<&'a Path> {
    let (mut found, mut open) = (BTreeSet::new(), vec![start]);
    while let Some(next) = open.pop() {
        open.extend(imports[next].iter().copied().filter(|path| found.insert(*path)));
    }
    found
}

#[test]
fn no_file_of_the_core_imports_itself_through_others() {
    let sources = sources();
    let imports = imports(&sources);
    let reach: BTreeMap<&Path, BTreeSet<&Path>> =
        imports.keys().map(|path| (*path, reached(path, &imports))).collect();
    let circle = |path: &Path| -> Vec<String> {
        let back = |other: &&&Path| reach[**other].contains(path);
        reach[path].iter().filter(back).map(|other| other.display().to_string()).collect()
    };
    let circles: BTreeSet<Vec<String>> =
        imports.keys().map(|path| circle(path)).filter(|circle| !circle.is_empty()).collect();
    assert!(circles.is_empty(), "these files import each other; move what they share: {circles:#?}");
}

#[test]
fn each_machine_is_implemented_in_one_file() {
    let sources = sources();
    for machine in ["Client", "Node"] {
        let head = format!("impl {machine} {{");
        let files: Vec<String> = sources
            .iter()
            .filter(|source| source.code.lines().any(|line| line.starts_with(&head)))
            .map(Source::name)
            .collect();
        assert_eq!(files.len(), 1, "`{head}` stands in {files:?}");
    }
}

#[test]
fn every_module_has_a_heading_that_is_a_noun_phrase() {
    const QUESTIONS: [&str; 9] = ["What", "When", "How", "Who", "Which", "Where", "Whether", "From", "Why"];
    for source in sources() {
        let heading = source.text.lines().next().and_then(|line| line.strip_prefix("//! "));
        let Some(heading) = heading else { panic!("{} has no heading in its first line", source.name()) };
        let first = heading.split_whitespace().next().unwrap_or_default();
        assert!(!QUESTIONS.contains(&first), "the heading of {} names no thing: {heading}", source.name());
    }
}
