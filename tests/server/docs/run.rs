//! Runs a document from its beginning to its end with psql, in a database of its own, and compares what it shows.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use docperm_testkit::{Server, run, texts};

use super::document::{Part, Sql, is_shown, parse, without_void};

/// Why a block may be left out.
const REASONS: &[&str] = &["it needs another server", "it is a pattern, not a statement", "it takes a build"];

/// The roles that documents may connect as without making them: that of an application's pool, and that of a reporting tool.
const ROLES: &str = "CREATE ROLE erp_app LOGIN; CREATE ROLE bi_reader LOGIN;";

/// Something in a document that is not so.
#[derive(Debug)]
pub struct Difference {
    pub line: usize,
    pub what: String,
}

/// What came of a document: what is not so in it, and how it should read.
pub struct Outcome {
    pub differences: Vec<Difference>,
    pub corrected: String,
}

/// Runs a document on a server that nobody else uses: databases and roles that it makes are gone afterwards.
pub fn run_document(server: &Server, text: &str) -> Outcome {
    let mut differences = vec![];
    let mut corrected: Vec<String> = text.lines().map(str::to_owned).collect();
    let parts = match parse(text) {
        Ok(parts) => parts,
        Err(what) => {
            differences.push(Difference { line: 0, what });
            vec![]
        }
    };
    let blocks: Vec<&Sql> = parts
        .iter()
        .filter_map(|part| if let Part::Sql(block) = part { Some(block) } else { None })
        .collect();
    if !blocks.is_empty() {
        let prepared = Prepared::new(server, &parts);
        let output = prepared.psql(&script(&parts));
        let mut moved = 0isize;
        for (number, block) in blocks.into_iter().enumerate() {
            let mut wrong = |what| differences.push(Difference { line: block.line, what });
            if let Some(reason) = &block.not_run {
                if !REASONS.contains(&reason.as_str()) {
                    wrong(format!("not a reason to leave a block out: {reason}"));
                }
                continue;
            }
            let Some((printed, sqlstate)) = printed(&output, number) else {
                wrong(format!("the block did not end. Everything printed:\n{output}"));
                break;
            };
            let says_so = block.output.as_ref().is_some_and(|(shown, _)| shown.contains("ERROR:"));
            match &block.error {
                Some(expected) if expected == sqlstate => {}
                Some(expected) => {
                    wrong(format!("SQLSTATE {sqlstate}, where {expected} was expected:\n{printed}"))
                }
                None if sqlstate == "00000" || says_so => {}
                None => wrong(format!("failed with {sqlstate}:\n{printed}")),
            }
            let Some((shown, range)) = &block.output else { continue };
            let printed = without_void(printed);
            if !is_shown(&without_void(shown), &printed) {
                wrong(format!("shows\n{shown}\nand it prints\n{printed}"));
                let indent = corrected_indent(&corrected, range, moved);
                let lines: Vec<String> = printed
                    .trim_end()
                    .lines()
                    .map(|line| {
                        if line.trim().is_empty() {
                            String::new()
                        } else {
                            format!("{indent}{}", line.trim_end())
                        }
                    })
                    .collect();
                let (from, to) = (shifted(range.start, moved), shifted(range.end, moved));
                moved += lines.len() as isize - range.len() as isize;
                corrected.splice(from..to, lines);
            }
        }
    }
    Outcome { differences, corrected: corrected.join("\n") + "\n" }
}

fn shifted(line: usize, by: isize) -> usize {
    line.saturating_add_signed(by)
}

fn corrected_indent(lines: &[String], range: &std::ops::Range<usize>, moved: isize) -> String {
    let fence = &lines[shifted(range.start, moved) - 1];
    fence[..fence.len() - fence.trim_start().len()].to_owned()
}

const MARK: &str = "---- end of block";

/// All of a document as one script for psql.
fn script(parts: &[Part]) -> String {
    let mut script = "\\set SHOW_CONTEXT never\n".to_owned();
    let mut role = "postgres";
    let mut number = 0;
    for part in parts {
        match part {
            Part::Prepared(_) => {}
            Part::Setup(sql) => {
                let _ = writeln!(script, "\\connect - postgres\n{sql}\n;\n\\connect - {role}");
            }
            Part::As(other) => {
                role = other;
                let _ = writeln!(script, "\\connect - {role}");
            }
            Part::Sql(block) => {
                let sql = if block.not_run.is_none() { block.filled_in() } else { String::new() };
                let _ = writeln!(script, "\\echo '{MARK}' before {number} :LAST_ERROR_SQLSTATE");
                let _ = writeln!(script, "\\set LAST_ERROR_SQLSTATE 00000\n{sql}\n;");
                let _ = writeln!(script, "\\echo '{MARK}' {number} :LAST_ERROR_SQLSTATE");
                number += 1;
            }
        }
    }
    script
}

/// What a block printed, and the SQLSTATE with which it ended.
fn printed(output: &str, number: usize) -> Option<(&str, &str)> {
    let before = format!("{MARK} before {number} ");
    let from = output.find(&before)?;
    let (_, rest) = output[from..].split_once('\n')?;
    let mark = format!("{MARK} {number} ");
    let end = rest.find(&mark)?;
    let sqlstate = rest[end + mark.len()..].lines().next()?;
    Some((&rest[..end], sqlstate))
}

/// A database for one document.
struct Prepared<'a> {
    server: &'a Server,
    key_file: Option<PathBuf>,
}

const DATABASE: &str = "document";

impl<'a> Prepared<'a> {
    fn new(server: &'a Server, parts: &[Part]) -> Self {
        let mut prepared = Prepared { server, key_file: None };
        let mut admin = server.connect("postgres", "postgres", None);
        run(&mut admin, &format!("CREATE DATABASE {DATABASE}"));
        let is_wanted = |what: &str| parts.iter().any(|part| *part == Part::Prepared(what.to_owned()));
        let mut inside = server.connect("postgres", DATABASE, None);
        if is_wanted("demo") {
            prepared.psql("\\i demo/company.sql\n\\i demo/permissions.sql\n");
        } else {
            run(&mut inside, ROLES);
            if !is_wanted("nothing") {
                run(&mut inside, "CREATE EXTENSION docperm");
            }
        }
        if is_wanted("key file") {
            let file = server.socket_dir().join("document.key");
            let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
            write_for_the_server(server, &file, key);
            let setting =
                format!("ALTER DATABASE {DATABASE} SET docperm.secret_key_file = '{}'", file.display());
            run(&mut inside, &setting);
            prepared.key_file = Some(file);
        }
        prepared
    }

    /// What psql prints when it is given that.
    fn psql(&self, script: &str) -> String {
        let file = self.server.socket_dir().join("document.sql");
        std::fs::write(&file, script).unwrap();
        // One pipe for both, so that errors stand where they belong.
        let done = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 2>&1"])
            .arg(self.server.bin().join("psql"))
            .args(["--no-psqlrc", "--quiet", "-U", "postgres", "-d", DATABASE, "-h"])
            .arg(self.server.socket_dir())
            .args(["-p", &self.server.port().to_string()])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("PGOPTIONS", "-c client_min_messages=warning -c TimeZone=UTC -c statement_timeout=60s")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::from(std::fs::File::open(&file).unwrap()))
            .output()
            .unwrap_or_else(|error| panic!("psql: {error}"));
        let _ = std::fs::remove_file(&file);
        String::from_utf8_lossy(&done.stdout).into_owned()
    }
}

impl Drop for Prepared<'_> {
    fn drop(&mut self) {
        let mut admin = self.server.connect("postgres", "postgres", None);
        run(&mut admin, &format!("DROP DATABASE {DATABASE} WITH (FORCE)"));
        for role in texts(
            &mut admin,
            "SELECT quote_ident(rolname) FROM pg_roles WHERE rolname !~ '^pg_' AND rolname <> 'postgres'",
        ) {
            run(&mut admin, &format!("DROP ROLE {role}"));
        }
        if let Some(file) = &self.key_file {
            let _ = std::fs::remove_file(file);
        }
    }
}

fn write_for_the_server(server: &Server, file: &Path, text: &str) {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    std::fs::write(file, text).unwrap();
    let owner = std::fs::metadata(server.socket_dir()).unwrap();
    chown(file, Some(owner.uid()), Some(owner.gid())).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}
