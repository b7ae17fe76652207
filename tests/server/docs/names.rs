//! Tests that documents name, and links between documents.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The root of the project.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a directory of the project whose names end so.
pub fn files(directory: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = vec![];
    let mut open = vec![root().join(directory)];
    while let Some(directory) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The documents: in the root, and in docs.
pub fn documents() -> Vec<PathBuf> {
    [vec![root().join("README.md")], files("docs", ".md")].concat()
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// How a document is called: its path from the root.
pub fn called(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().into_owned()
}

/// The tests there are, each with its module's path.
pub fn tests() -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    let places = [("tests/server", ""), ("tests/testkit", "testkit::"), ("src", "")];
    for (directory, prefix) in places {
        for file in files(directory, ".rs") {
            let text = read(&file);
            let path = file.strip_prefix(root().join(directory)).unwrap().with_extension("");
            let module = path.to_string_lossy().replace("/mod", "").replace('/', "::");
            let mut is_test = false;
            let mut inner = String::new();
            for line in text.lines().map(str::trim) {
                if let Some(rest) = line.strip_prefix("fn ").or(line.strip_prefix("pub fn ")) {
                    if is_test {
                        let name = rest.split(['(', '<']).next().unwrap_or_default();
                        tests.insert(format!("{prefix}{module}::{inner}{name}"));
                    }
                    is_test = false;
                } else if let Some(name) = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(" {"))
                {
                    inner = format!("{name}::");
                } else if line.starts_with("#[test]") || line.starts_with("#[pg_test") {
                    is_test = true;
                }
            }
        }
    }
    tests
}

/// Whether there is a test of that name, such as `login::names_are_trimmed`; modules may be left out from the left, and a name
/// with a star at the end stands for all that begin so.
pub fn is_test(name: &str, tests: &BTreeSet<String>) -> bool {
    if let Some(beginning) = name.strip_suffix('*') {
        return tests
            .iter()
            .any(|test| test.starts_with(beginning) || test.contains(&format!("::{beginning}")));
    }
    tests.contains(name) || tests.iter().any(|test| test.ends_with(&format!("::{name}")))
}

/// What stands between backquotes, outside of blocks, with its line's number.
pub fn quoted(text: &str) -> Vec<(usize, String)> {
    let mut found = vec![];
    let mut is_block = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_block = !is_block;
        } else if !is_block {
            found.extend(line.split('`').skip(1).step_by(2).map(|word| (number + 1, word.to_owned())));
        }
    }
    found
}

/// The tests that a document names: `module::name`.
pub fn named_tests(text: &str) -> Vec<(usize, String)> {
    let is_path = |word: &str| {
        word.contains("::")
            && word.split("::").all(|part| {
                !part.is_empty()
                    && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_*".contains(c))
            })
    };
    quoted(text).into_iter().filter(|(_, word)| is_path(word)).collect()
}

/// Links of documents that lead nowhere.
pub fn broken_links(documents: &[PathBuf]) -> Vec<String> {
    let mut headings: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
    let mut broken = vec![];
    for document in documents {
        for (line, target) in links(&read(document)) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let path = if file.is_empty() { document.clone() } else { document.parent().unwrap().join(file) };
            let Ok(path) = path.canonicalize() else {
                broken.push(format!("{}:{line}: there is no {target}", called(document)));
                continue;
            };
            if !anchor.is_empty() {
                let known = headings.entry(path.clone()).or_insert_with(|| anchors(&read(&path)));
                if !known.contains(anchor) {
                    broken.push(format!("{}:{line}: no heading #{anchor} in {file}", called(document)));
                }
            }
        }
    }
    broken
}

fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = vec![];
    let mut is_block = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_block = !is_block;
        }
        if is_block || line.starts_with("    ") {
            continue;
        }
        // What is quoted is no link.
        let plain: String = line.split('`').step_by(2).collect::<Vec<_>>().join("``");
        for (at, _) in plain.match_indices("](") {
            if let Some(target) = plain[at + 2..].split(')').next() {
                found.push((number + 1, target.to_owned()));
            }
        }
    }
    found
}

/// The anchors that headings get where Markdown is shown.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let mut is_block = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_block = !is_block;
        }
        if is_block || !line.starts_with('#') {
            continue;
        }
        let heading = line.trim_start_matches('#').trim();
        let slug: String = heading
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let again = (1..).map(|number| format!("{slug}-{number}"));
        let free = std::iter::once(slug.clone()).chain(again).find(|slug| !anchors.contains(slug));
        anchors.extend(free);
    }
    anchors
}
