//! What the documents say is so: every block of SQL in README.md and docs is run, and the output behind it compared; names of
//! functions, tables, settings and tests exist, and those that exist are named; links lead somewhere.
//!
//! `DOCPERM_BLESS=1` writes the output of today, and docs/reference.md, into the documents. docs/README.md tells how they are
//! written.

#[path = "docs/document.rs"]
mod document;
#[path = "docs/names.rs"]
mod names;
#[path = "docs/reference.rs"]
mod reference;
#[path = "docs/run.rs"]
mod run;

use std::collections::BTreeSet;

use crate::support::table;
use docperm_testkit::{Server, server};
use document::{Part, is_shown, parse, without_void};
use names::{broken_links, called, documents, files, is_test, named_tests, quoted, read, root, tests};
use run::run_document;

/// Documents that are not true yet.
const NOT_YET: &[&str] = &[];

fn blesses() -> bool {
    std::env::var_os("DOCPERM_BLESS").is_some()
}

#[test]
fn every_block_of_every_document_runs_and_shows_what_it_says() {
    let server = Server::private(&[]);
    let only = std::env::var("DOCPERM_DOCUMENT").unwrap_or_default();
    let mut wrong = vec![];
    for path in documents().into_iter().filter(|path| called(path).contains(&only)) {
        let name = called(&path);
        if NOT_YET.contains(&name.as_str()) && only.is_empty() {
            continue;
        }
        let text = read(&path);
        let outcome = run_document(&server, &text);
        if blesses() && outcome.corrected != text {
            std::fs::write(&path, &outcome.corrected).unwrap();
        }
        for difference in outcome.differences {
            wrong.push(format!("{name}:{}: {}", difference.line, difference.what));
        }
    }
    assert!(wrong.is_empty(), "{} blocks are not as documents say:\n\n{}", wrong.len(), wrong.join("\n\n"));
}

#[test]
fn a_document_that_is_not_true_is_noticed() {
    let server = Server::private(&[]);
    let fence = |language: &str, text: &str| format!("```{language}\n{text}\n```\n");
    let wrong = |text: &str| {
        let outcome = run_document(&server, text);
        outcome.differences.into_iter().map(|difference| difference.what).collect::<Vec<_>>()
    };
    let one = " n\n---\n 1\n(1 row)";
    let good = fence("sql", "SELECT 1 AS n;") + "\n" + &fence("text", one);
    assert_eq!(wrong(&good), Vec::<String>::new());
    // Other output; in its place, what is printed.
    let bad = good.replace("SELECT 1", "SELECT 2");
    assert_eq!(wrong(&bad).len(), 1);
    assert_eq!(run_document(&server, &bad).corrected, bad.replace(" 1\n(", " 2\n("));
    // An error that nobody expects, one of another kind, one that does not come.
    assert!(wrong(&fence("sql", "SELECT 1 / 0;"))[0].contains("22012"));
    let expecting =
        |sqlstate: &str, sql: &str| format!("<!-- expect error {sqlstate} -->\n{}", fence("sql", sql));
    assert_eq!(wrong(&expecting("22012", "SELECT 1 / 0;")), Vec::<String>::new());
    assert_eq!(wrong(&expecting("42501", "SELECT 1 / 0;")).len(), 1);
    assert_eq!(wrong(&expecting("42501", "SELECT 1;")).len(), 1);
    // A block after one that failed; one that does not end.
    let after = expecting("22012", "SELECT 1 / 0;") + &good;
    assert_eq!(wrong(&after), Vec::<String>::new());
    assert!(!wrong(&fence("sql", "SELECT 'no end;")).is_empty());
    // Roles, parameters, what readers do not see.
    let hidden = "<!-- setup\nCREATE TABLE t (n int); INSERT INTO t VALUES (1);\n-->\n";
    let parameter = format!(
        "{hidden}<!-- with $1 = 1 -->\n{}\n{}",
        fence("sql", "SELECT n FROM t WHERE n = $1;"),
        fence("text", one)
    );
    assert_eq!(wrong(&parameter), Vec::<String>::new());
    let stranger = format!("{hidden}<!-- as erp_app -->\n{}", fence("sql", "SELECT n FROM t;"));
    assert!(wrong(&stranger)[0].contains("42501"));
    // No excuses, no comment that is not understood.
    assert!(
        wrong(&format!("<!-- not run: too much work -->\n{}", fence("sql", "SELECT 1;")))[0]
            .contains("reason")
    );
    assert_eq!(wrong(&format!("<!-- expect eror 42501 -->\n{}", fence("sql", "SELECT 1;"))).len(), 1);
}

#[test]
fn dots_stand_for_what_is_another_each_time() {
    assert!(is_shown("a\nb  \n", "a\nb"));
    assert!(!is_shown("a\nb", "a\nc") && !is_shown("a", "a\nb") && !is_shown("a\nb", "a"));
    assert!(is_shown("a\n...\nd", "a\nb\nc\nd") && is_shown("a\n...", "a") && !is_shown("a\n...\nd", "a\nb"));
    let void = " protect\n---------\n \n(1 row)\n\n";
    assert_eq!(without_void(&format!("{void} n\n---\n 1\n(1 row)\n")), " n\n---\n 1\n(1 row)");
    assert_eq!(without_void(void), "");
    assert!(is_shown("token: … (43)", "token: abc (43)") && !is_shown("token: … (43)", "token: abc (44)"));
}

#[test]
fn comments_and_output_belong_to_the_block_beside_them() {
    let text = "<!-- as bob -->\n<!-- expect error 42501 -->\n```sql\nSELECT $1;\n```\n\n```text\nout\n```\n\nwords\n\n```text\nnone\n```\n";
    let parts = parse(text).unwrap();
    assert_eq!(parts[0], Part::As("bob".to_owned()));
    let Part::Sql(block) = &parts[1] else { panic!("{parts:?}") };
    assert_eq!((block.line, block.text.as_str(), block.error.as_deref()), (3, "SELECT $1;", Some("42501")));
    assert_eq!(block.output, Some(("out".to_owned(), 7..8)));
    assert_eq!(parts.len(), 2);
    assert!(parse("```sql\nSELECT 1;").is_err() && parse("<!-- with nothing -->").is_err());
}

/// The documents that name tests.
fn naming_tests() -> Vec<std::path::PathBuf> {
    [documents(), files("tests", ".md"), vec![root().join("BENCHMARKS.md")]].concat()
}

#[test]
fn every_test_that_is_named_exists() {
    let tests = tests();
    assert!(tests.len() > 500, "{} tests were found", tests.len());
    let mut named = 0;
    let mut missing = vec![];
    for document in naming_tests() {
        for (line, name) in named_tests(&read(&document)) {
            named += 1;
            if !is_test(&name, &tests) {
                missing.push(format!("{}:{line}: {name}", called(&document)));
            }
        }
    }
    assert!(missing.is_empty(), "there are no such tests: {missing:#?}");
    assert!(named > 20, "{named} tests are named");
}

/// Tests in the tables of "Do they notice?", which name the module first: "plan_cache: `one`, `another`".
#[test]
fn every_test_that_notices_exists() {
    let tests = tests();
    let text = read(&root().join("tests/README.md"));
    let table = text.split("## Do they notice?").nth(1).unwrap();
    let mut named = 0;
    for line in table.lines().filter(|line| line.starts_with("| ") && line.contains(": `")) {
        let cell = line.trim_end_matches([' ', '|']).rsplit(" | ").next().unwrap();
        for part in cell.split("; ") {
            let Some((module, names)) = part.split_once(": ") else { continue };
            for (_, name) in quoted(names) {
                let name = format!("{module}::{name}");
                assert!(is_test(&name, &tests), "there is no test {name}");
                named += 1;
            }
        }
    }
    assert!(named > 50, "{named} tests are named");
}

/// Every acceptance case of Frappe has a row, once, and those that are tests by their number are there.
#[test]
fn every_acceptance_case_has_its_place() {
    let text = read(&root().join("tests/acceptance.md"));
    let tests = tests();
    let mut placed = BTreeSet::new();
    let mut section = "";
    for line in text.lines() {
        section = line.strip_prefix("## ").unwrap_or(section);
        if line.starts_with("Parts of these cases") {
            section = "parts";
        }
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if !line.starts_with('|') || cells.len() < 2 || section == "parts" {
            continue;
        }
        // "17: `module::name`; 18: `module::name`"
        if section == "Tested" && numbers(cells[0]).is_empty() && cells[1].contains('`') {
            for (case, _) in cells[1].split("; ").filter_map(|part| part.split_once(": `")) {
                placed.extend(numbers(case));
            }
            continue;
        }
        let by_number = cells.len() == 2 && !cells[1].contains('`') && section == "Tested";
        for case in numbers(cells[usize::from(by_number)]) {
            if by_number {
                let name = format!("acceptance::case_{case:02}_*");
                if !cells[1].contains("below") {
                    assert!(is_test(&name, &tests), "no test of case {case}");
                }
            } else if section == "Tested" {
                assert!(!named_tests(cells[1]).is_empty(), "case {case} names no test: {line}");
            }
            placed.insert(case);
        }
    }
    let missing: Vec<u32> = (1..=112).filter(|case| !placed.contains(case)).collect();
    assert!(missing.is_empty(), "no row for {missing:?}");
}

/// "1 to 16, 19" as numbers.
fn numbers(text: &str) -> Vec<u32> {
    let text = text.split(|c: char| c.is_alphabetic() && c != 't' && c != 'o').next().unwrap_or_default();
    text.split(',')
        .filter_map(|part| {
            let (from, to) = part.split_once(" to ").unwrap_or((part, part));
            Some(from.trim().parse().ok()?..=to.trim().parse().ok()?)
        })
        .flatten()
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let broken = broken_links(&naming_tests());
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_reference_is_what_the_catalog_says() {
    let path = root().join("docs/reference.md");
    let database = server().database();
    let wanted = reference::reference(&mut database.admin());
    if blesses() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let differing = wanted.lines().zip(found.lines()).find(|(wanted, found)| wanted != found);
    assert!(found == wanted, "docs/reference.md is out of date (DOCPERM_BLESS=1 writes it): {differing:#?}");
}

/// What the README's own tables name exists: functions with their arguments, columns of docperm.settings, settings.
#[test]
fn the_readme_names_what_there_is() {
    let database = server().database();
    let mut admin = database.admin();
    table(&mut admin, "SELECT docperm.whoami()");
    let text = read(&root().join("README.md"));
    let reference =
        text.split("\n## Reference").nth(1).expect("a chapter Reference").split("\n## ").next().unwrap();
    let mut seen = 0;
    for line in reference.lines().filter(|line| line.starts_with("| `")) {
        let first = line.trim_start_matches('|').split(" | ").next().unwrap();
        let words: Vec<&str> = first.split('`').collect();
        // Behind an equals sign stands a default.
        let named = words.chunks(2).filter(|pair| pair.len() == 2 && !pair[0].trim_end().ends_with('='));
        for word in named.map(|pair| pair[1]) {
            seen += 1;
            if let Some((function, arguments)) = word.split_once('(') {
                let named: Vec<&str> = arguments
                    .trim_end_matches(')')
                    .split(", ")
                    .map(|argument| argument.split(' ').next().unwrap())
                    .filter(|argument| !argument.is_empty())
                    .collect();
                let sql = format!(
                    "SELECT coalesce(array_to_string(p.proargnames[1:p.pronargs], ' '), '') FROM pg_proc p
                      WHERE p.pronamespace = 'docperm'::regnamespace AND p.proname = '{function}'"
                );
                let known = table(&mut admin, &sql);
                let is_one = known.iter().any(|known| known[0] == named.join(" "));
                assert!(is_one, "{function} takes {known:?}, not {named:?}");
            } else if word.starts_with("docperm.") {
                let sql = format!(
                    "SELECT to_regclass('{word}') IS NOT NULL OR EXISTS (SELECT FROM pg_settings WHERE name = '{word}')"
                );
                assert_eq!(table(&mut admin, &sql)[0][0], "t", "there is no {word}");
            } else {
                let sql = format!(
                    "SELECT count(*) FROM pg_attribute WHERE attrelid = 'docperm.settings'::regclass AND attname = '{word}'"
                );
                assert_eq!(table(&mut admin, &sql)[0][0], "1", "docperm.settings has no column {word}");
            }
        }
    }
    assert!(seen > 50, "{seen} names are in the reference");
}

/// And what there is, is named there or in docs/reference.md.
#[test]
fn what_there_is_is_named() {
    let database = server().database();
    let mut admin = database.admin();
    let documents: String = [
        read(&root().join("README.md")),
        std::fs::read_to_string(root().join("docs/reference.md")).unwrap_or_default(),
    ]
    .concat();
    let names = "SELECT '`' || proname || '(' FROM pg_proc WHERE pronamespace = 'docperm'::regnamespace AND proname !~ '^_'
                  UNION ALL SELECT '`' || attname FROM pg_attribute WHERE attrelid = 'docperm.settings'::regclass AND attnum > 0 AND NOT attisdropped
                  UNION ALL SELECT name FROM pg_settings WHERE name LIKE 'docperm.%'";
    let missing: Vec<String> = table(&mut admin, names)
        .into_iter()
        .map(|row| row[0].clone())
        .filter(|name| !documents.contains(name.as_str()))
        .collect();
    assert!(missing.is_empty(), "in no reference: {missing:?}");
}
