//! A document in Markdown, as far as it is run: blocks of SQL, the output behind them, and what comments say of them.

/// What a document consists of, in its order.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// The document begins in a database that is prepared so: `<!-- setup: demo -->`.
    Prepared(String),
    /// SQL that readers do not see, run by a superuser: `<!-- setup`, lines of SQL, `-->`.
    Setup(String),
    /// From here on this database role is connected: `<!-- as erp_app -->`.
    As(String),
    /// A block of SQL.
    Sql(Sql),
}

/// A block of SQL, and what is said of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sql {
    /// In which line of the document it begins.
    pub line: usize,
    pub text: String,
    /// The output directly behind it, and the lines of the document that it takes.
    pub output: Option<(String, std::ops::Range<usize>)>,
    /// It must fail with this SQLSTATE: `<!-- expect error 42501 -->`.
    pub error: Option<String>,
    /// It is not run: `<!-- not run: reason -->`.
    pub not_run: Option<String>,
    /// What drivers put in place of `$1`: `<!-- with $1 = :'token', $2 = 'bob' -->`.
    pub parameters: Vec<(String, String)>,
}

/// The parts of a document, or what is wrong with it.
pub fn parse(text: &str) -> Result<Vec<Part>, String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut parts = vec![];
    let mut next = Sql::default();
    // The last block, as long as nothing but blank lines came after it.
    let mut last_is_near = false;
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at].trim();
        if let Some(language) = line.strip_prefix("```") {
            let end = (at + 1..lines.len()).find(|end| lines[*end].trim() == "```");
            let end = end.ok_or(format!("line {}: the block does not end", at + 1))?;
            let indent = lines[at].len() - lines[at].trim_start().len();
            let content: Vec<&str> =
                lines[at + 1..end].iter().map(|line| line.get(indent..).unwrap_or(line.trim())).collect();
            match language {
                "sql" => {
                    let block = Sql { line: at + 1, text: content.join("\n"), ..std::mem::take(&mut next) };
                    parts.push(Part::Sql(block));
                    last_is_near = true;
                }
                "text" if last_is_near => {
                    if let Some(Part::Sql(block)) = parts.last_mut() {
                        block.output = Some((content.join("\n"), at + 1..end));
                    }
                    last_is_near = false;
                }
                _ => last_is_near = false,
            }
            at = end + 1;
            continue;
        }
        if let Some(comment) = line.strip_prefix("<!--") {
            let end = (at..lines.len()).find(|end| lines[*end].trim_end().ends_with("-->"));
            let end = end.ok_or(format!("line {}: the comment does not end", at + 1))?;
            let whole = if end == at {
                comment.trim_end_matches("-->").trim().to_owned()
            } else {
                let last = lines[end].trim_end().trim_end_matches("-->");
                [&[comment], &lines[at + 1..end], &[last]].concat().join("\n")
            };
            directive(&whole, &mut parts, &mut next).map_err(|why| format!("line {}: {why}", at + 1))?;
            last_is_near = false;
            at = end + 1;
            continue;
        }
        last_is_near &= line.is_empty();
        at += 1;
    }
    if next == Sql::default() { Ok(parts) } else { Err("a comment at the end is about no block".to_owned()) }
}

fn directive(comment: &str, parts: &mut Vec<Part>, next: &mut Sql) -> Result<(), String> {
    let comment = comment.trim();
    if let Some(prepared) = comment.strip_prefix("setup:") {
        parts.push(Part::Prepared(prepared.trim().to_owned()));
    } else if let Some(sql) = comment.strip_prefix("setup") {
        parts.push(Part::Setup(sql.to_owned()));
    } else if let Some(role) = comment.strip_prefix("as ") {
        parts.push(Part::As(role.trim().to_owned()));
    } else if let Some(sqlstate) = comment.strip_prefix("expect error ") {
        next.error = Some(sqlstate.trim().to_owned());
    } else if let Some(reason) = comment.strip_prefix("not run:") {
        next.not_run = Some(reason.trim().to_owned());
    } else if let Some(parameters) = comment.strip_prefix("with ") {
        for parameter in parameters.split(", $") {
            let (name, value) = parameter.split_once('=').ok_or("a parameter has no value")?;
            let name = name.trim().trim_start_matches('$');
            next.parameters.push((format!("${name}"), value.trim().to_owned()));
        }
        // $12 before $1.
        next.parameters.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    } else {
        return Err(format!("a comment that is not understood: {comment}"));
    }
    Ok(())
}

impl Sql {
    /// The text with values in place of parameters.
    pub fn filled_in(&self) -> String {
        self.parameters.iter().fold(self.text.clone(), |text, (name, value)| text.replace(name, value))
    }
}

/// Output without the tables of functions that return nothing: one column, one row, and nothing in it.
pub fn without_void(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    let mut kept = vec![];
    let mut at = 0;
    while at < lines.len() {
        let is_void = match &lines[at..] {
            [_, rule, value, "(1 row)", ..] => {
                !rule.is_empty() && rule.chars().all(|c| c == '-') && value.trim().is_empty()
            }
            _ => false,
        };
        if !is_void {
            kept.push(lines[at]);
            at += 1;
            continue;
        }
        at += 4;
        at += usize::from(lines.get(at).is_some_and(|line| line.is_empty()));
    }
    kept.join("\n").trim_end().to_owned()
}

/// Whether output is what a document shows. There, a line of three dots stands for any number of lines, and an ellipsis
/// (`…`) within a line for anything; blanks at the ends of lines do not count.
pub fn is_shown(shown: &str, output: &str) -> bool {
    let lines =
        |text: &str| text.trim_end().lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
    are_lines(&lines(shown), &lines(output))
}

fn are_lines(shown: &[String], output: &[String]) -> bool {
    match shown.split_first() {
        None => output.is_empty(),
        Some((dots, rest)) if dots == "..." => {
            (0..=output.len()).any(|skip| are_lines(rest, &output[skip..]))
        }
        Some((line, rest)) => output
            .split_first()
            .is_some_and(|(first, others)| is_line(line, first) && are_lines(rest, others)),
    }
}

fn is_line(shown: &str, output: &str) -> bool {
    match shown.split_once('…') {
        None => shown == output,
        Some((before, after)) => output.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| is_line(after, &rest[at..]))
        }),
    }
}
