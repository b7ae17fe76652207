//! The report, in Markdown.

use crate::Result;
use crate::cases::{MOST, MOST_OF_VIEWS};
use crate::change::Change;
use crate::churn::Churn;
use crate::contest::{Form, Protocol, shape};
use crate::measure::{Cell, Clock, Outcome, Timing, same_shape};
use crate::options::Options;
use crate::rivals::RIVALS;
use crate::statistics::Summary;
use std::fmt::Write;
use std::path::Path;

const BEGIN: &str = "<!-- ratios:begin -->";
const END: &str = "<!-- ratios:end -->";

/// Everything that was measured.
pub struct Report {
    /// Date, machine, versions: one line each.
    pub heading: Vec<String>,
    /// All cells.
    pub cells: Vec<Cell>,
    /// The permission changes.
    pub changes: Vec<Change>,
    /// The throughput during others' permission changes.
    pub churns: Vec<Churn>,
}

impl Report {
    /// The whole report.
    pub fn markdown(&self, options: &Options) -> String {
        let mut text = String::new();
        for line in &self.heading {
            let _ = writeln!(text, "- {line}");
        }
        if options.docperm {
            self.misses(&mut text);
            self.execution(options, &mut text);
            self.same_plans(&mut text);
        }
        self.round_trips(options, &mut text);
        self.permission_changes(&mut text);
        self.cases(&mut text);
        self.churn(&mut text);
        self.rivals(options, &mut text);
        self.details(&mut text);
        text
    }

    fn misses(&self, text: &mut String) {
        let judged = self.cells.iter().filter(|cell| cell.target().is_some()).count()
            + self.changes.len()
            + self.churns.iter().filter(|churn| churn.form == Form::Docperm).count();
        let missed: Vec<_> = self.cells.iter().filter(|cell| cell.misses()).collect();
        let changes: Vec<_> = self.changes.iter().filter(|change| change.misses()).collect();
        let churns = self.churns.iter().filter(|churn| churn.misses()).count();
        let count = missed.len() + changes.len() + churns;
        let _ = writeln!(text, "\n### Targets: {} of {judged} cells met, {count} missed\n", judged - count);
        let clock = |cell: &Cell| if cell.clock == Clock::Execution { "execution" } else { "round trip" };
        if !missed.is_empty() {
            table(
                text,
                &[
                    "query",
                    "links",
                    "values",
                    "protocol",
                    "clock",
                    "ratio",
                    "quartiles",
                    "µs more",
                    "target",
                    "plan",
                    "",
                ],
            );
        }
        for cell in missed {
            let Some(((to, most), docperm)) = cell.target().zip(cell.timing(Form::Docperm)) else { continue };
            let baseline = cell.timing(to).expect("its ratio is known");
            let plans =
                if same_shape(docperm, baseline) { "same".into() } else { differing(docperm, baseline) };
            row(
                text,
                &[
                    cell.title(),
                    links(cell),
                    values(cell.size),
                    cell.protocol.title().into(),
                    clock(cell).into(),
                    cell.ratio(Form::Docperm, to).map_or("–".into(), |ratio| format!("{ratio:.3}")),
                    cell.spread(Form::Docperm, to).map_or("–".into(), |spread| quartiles(spread, 3)),
                    cell.summary(Form::Docperm)
                        .zip(cell.summary(to))
                        .map_or("–".into(), |(docperm, baseline)| {
                            format!("{:.1}", (docperm.median - baseline.median) * 1e3)
                        }),
                    format!("{most:.2} of {}", to.title()),
                    plans,
                    if cell.is_noise() { "within the noise".into() } else { String::new() },
                ],
            );
        }
        if !changes.is_empty() {
            let _ = writeln!(text, "\n{} of them are below, under the permission changes.", changes.len());
        }
        if churns > 0 {
            let _ = writeln!(text, "\n{churns} of them are below, under the permission churn.");
        }
        let control = |to: Form, cell: &Cell| cell.ratio(Form::Control, to);
        let mut controls: Vec<f64> =
            self.cells.iter().filter_map(|cell| control(cell.baseline, cell)).collect();
        controls.sort_by(f64::total_cmp);
        if let [.., _] = controls[..] {
            let at = |share: f64| controls[((controls.len() - 1) as f64 * share).round() as usize];
            let _ = writeln!(
                text,
                "\nNoise: the baseline against itself on a second connection gave ratios from {:.3} to {:.3} in 90 of \
                 100 cells (least {:.3}, most {:.3}).",
                at(0.05),
                at(0.95),
                at(0.0),
                at(1.0)
            );
        }
    }

    fn execution(&self, options: &Options, text: &mut String) {
        if self.main().next().is_none() {
            return;
        }
        let _ = writeln!(
            text,
            "\n### docperm / hand-written WHERE, execution time\n\n\
             Each entry: simple protocol · prepared statement with a generic plan. 0 values: an unrestricted user, \
             against no RLS. Bold: above the target; bold with `~`: above it within the noise."
        );
        for links in &options.links {
            let _ = writeln!(text, "\n{} nullable link{}\n", links, if *links == 1 { "" } else { "s" });
            self.matrix(options, text, |query, size| {
                let entry = |protocol| {
                    let cell = self.find(query, *links, size, protocol, Clock::Execution)?;
                    Some(marked(cell))
                };
                match (entry(Protocol::Simple), entry(Protocol::Generic)) {
                    (None, None) => None,
                    (simple, generic) => {
                        Some(format!("{} · {}", simple.unwrap_or("–".into()), generic.unwrap_or("–".into())))
                    }
                }
            });
        }
    }

    fn same_plans(&self, text: &mut String) {
        let unrestricted: Vec<_> =
            self.main().filter(|cell| cell.size == 0 && cell.clock == Clock::Execution).collect();
        if unrestricted.is_empty() {
            return;
        }
        let differing: Vec<_> = unrestricted
            .iter()
            .filter_map(|cell| {
                let (plain, docperm) = (cell.timing(Form::Plain)?, cell.timing(Form::Docperm)?);
                (plain.plan != docperm.plan).then(|| {
                    format!(
                        "\n{} ({}):\n\n```\n{}\n```\ninstead of\n```\n{}\n```",
                        cell.query.1,
                        cell.protocol.title(),
                        docperm.plan.join("\n"),
                        plain.plan.join("\n")
                    )
                })
            })
            .collect();
        let _ = writeln!(
            text,
            "\n### Plans of an unrestricted user\n\n{} of {} plans (`EXPLAIN (COSTS OFF)`, as text) are those without \
             row-level security.{}",
            unrestricted.len() - differing.len(),
            unrestricted.len(),
            differing.concat()
        );
    }

    fn round_trips(&self, options: &Options, text: &mut String) {
        let mut heads = vec!["links", "values", "protocol", "baseline µs"];
        let mut forms = vec![Form::Control];
        forms.extend(options.docperm.then_some(Form::Docperm));
        forms.extend((0..RIVALS.len()).map(Form::Rival));
        heads.extend(forms.iter().map(|form| form.title()));
        let cells: Vec<_> = self.main().filter(|cell| cell.clock == Clock::RoundTrip).collect();
        if cells.is_empty() {
            return;
        }
        let _ = writeln!(
            text,
            "\n### Lookup by primary key, round trip seen by the client\n\n\
             Microseconds of the baseline with quartiles; the other columns are ratios to it.\n"
        );
        table(text, &heads);
        for cell in cells {
            let baseline = cell.summary(cell.baseline).expect("the baseline was measured");
            let scaled = Summary {
                lower: baseline.lower * 1e3,
                median: baseline.median * 1e3,
                upper: baseline.upper * 1e3,
            };
            let mut columns = vec![
                cell.links.to_string(),
                values(cell.size),
                cell.protocol.title().to_string(),
                format!("{:.1} ({}) {}", scaled.median, quartiles(scaled, 1), cell.baseline.title()),
            ];
            columns.extend(forms.iter().map(|form| match form {
                Form::Docperm => marked(cell),
                _ => relative(cell, *form),
            }));
            row(text, &columns);
        }
    }

    fn permission_changes(&self, text: &mut String) {
        let Some(size) = self.changes.first().map(|change| change.size) else { return };
        let _ = writeln!(
            text,
            "\n### After a permission change, {} permitted values\n\n\
             One value is taken from the user, or given back, and committed by another connection. Milliseconds, \
             round trip. Targets: first below {:.0} ms, later at most {:.2} of the semi-join.\n",
            values(size),
            Change::FIRST,
            Change::LATER
        );
        table(
            text,
            &[
                "query",
                "links",
                "protocol",
                "first",
                "quartiles",
                "later",
                "hand-written semi-join",
                "later / semi-join",
            ],
        );
        for change in &self.changes {
            let bold = |missed: bool, entry: String| if missed { format!("**{entry}**") } else { entry };
            row(
                text,
                &[
                    change.query.into(),
                    change.links.to_string(),
                    change.protocol.title().into(),
                    bold(change.first.median > Change::FIRST, format!("{:.1}", change.first.median)),
                    quartiles(change.first, 1),
                    format!("{:.3}", change.later.median),
                    format!("{:.3}", change.semi_join.median),
                    bold(change.ratio() > Change::LATER, format!("{:.3}", change.ratio())),
                ],
            );
        }
    }

    /// Child tables and shares.
    fn cases(&self, text: &mut String) {
        let cells: Vec<_> = self.cells.iter().filter(|cell| !cell.case.is_empty()).collect();
        if cells.is_empty() {
            return;
        }
        let _ = writeln!(
            text,
            "\n### Child tables, shares and readable views\n\n\
             docperm / hand-written query; target {MOST:.2}, of readable views {MOST_OF_VIEWS:.2}. Size: permitted values, \
             of shares shared documents. Milliseconds of the baseline; quartiles are of the ratios within the rounds.\n"
        );
        table(
            text,
            &[
                "user",
                "size",
                "query",
                "protocol",
                "clock",
                "baseline",
                "ms",
                "baseline again",
                "docperm",
                "quartiles",
                "plan",
            ],
        );
        for cell in cells {
            let baseline = cell.summary(cell.baseline).expect("the baseline was measured");
            let spread = cell.spread(Form::Docperm, cell.baseline);
            let plans = cell.timing(Form::Docperm).zip(cell.timing(cell.baseline));
            row(
                text,
                &[
                    cell.case.into(),
                    values(cell.size),
                    cell.query.1.into(),
                    cell.protocol.title().into(),
                    if cell.clock == Clock::Execution { "execution".into() } else { "round trip".into() },
                    cell.baseline.title().into(),
                    milliseconds(baseline.median),
                    relative(cell, Form::Control),
                    marked(cell),
                    spread.map_or("–".into(), |spread| quartiles(spread, 2)),
                    match plans {
                        Some((docperm, baseline)) if !same_shape(docperm, baseline) => "other".into(),
                        _ => "same".into(),
                    },
                ],
            );
        }
    }

    fn churn(&self, text: &mut String) {
        if self.churns.is_empty() {
            return;
        }
        let _ = writeln!(
            text,
            "\n### Permission churn\n\n\
             Queries per second, prepared, while another connection shares a document with another user and takes the share \
             back, one change every 10 ms; and while nothing changes, in turns. Target: at least {:.2}. The hand-written \
             query shows what the machine itself makes of it.\n",
            Churn::LEAST
        );
        table(
            text,
            &["user", "shares", "query", "form", "changes per s", "quiet", "churn", "ratio", "quartiles"],
        );
        for churn in &self.churns {
            let ratio = format!("{:.3}", churn.ratio.median);
            row(
                text,
                &[
                    churn.case.into(),
                    values(churn.size),
                    churn.query.into(),
                    churn.form.title().into(),
                    format!("{:.0}", churn.changes),
                    format!("{:.0}", churn.quiet.median),
                    format!("{:.0}", churn.churned.median),
                    if churn.misses() { format!("**{ratio}**") } else { ratio },
                    quartiles(churn.ratio, 3),
                ],
            );
        }
    }

    fn rivals(&self, options: &Options, text: &mut String) {
        if self.main().next().is_none() {
            return;
        }
        let forms: Vec<_> = options
            .docperm
            .then_some(Form::Docperm)
            .into_iter()
            .chain((0..RIVALS.len()).map(Form::Rival))
            .collect();
        let _ = writeln!(
            text,
            "\n### All forms, execution time\n\n\
             Simple protocol; ratios to the hand-written WHERE (0 values: to no RLS). `1×`: slow, measured once. `>`: stopped at the \
             time limit. `slow`: left out, having been slow with other numbers of values. `–`: left out for want of time."
        );
        for links in &options.links {
            let _ = writeln!(text, "\n{links} nullable link{}\n", if *links == 1 { "" } else { "s" });
            let mut heads = vec!["query", "values", "baseline ms"];
            heads.extend(forms.iter().map(|form| form.title()));
            table(text, &heads);
            for cell in self.main().filter(|cell| {
                cell.clock == Clock::Execution && cell.protocol == Protocol::Simple && cell.links == *links
            }) {
                let baseline = cell.summary(cell.baseline).expect("the baseline was measured");
                let mut columns =
                    vec![cell.query.1.to_string(), values(cell.size), milliseconds(baseline.median)];
                columns.extend(forms.iter().map(|form| relative(cell, *form)));
                row(text, &columns);
            }
        }
    }

    fn details(&self, text: &mut String) {
        let _ = writeln!(
            text,
            "\n### Milliseconds of docperm and its baselines\n\n<details><summary>All cells</summary>\n\n\
             Medians, with quartiles, and after the `+` the median of the planning; how many times.\n"
        );
        table(
            text,
            &[
                "query",
                "links",
                "values",
                "protocol",
                "clock",
                "baseline",
                "",
                "docperm",
                "semi-join",
                "times",
            ],
        );
        for cell in &self.cells {
            let entry = |form| {
                let (timing, summary) = cell.timing(form).zip(cell.summary(form))?;
                let planning: Vec<_> =
                    timing.planning.iter().copied().filter(|time| time.is_finite()).collect();
                let planning = Summary::of_explain(&planning);
                let planning =
                    planning.map_or(String::new(), |time| format!(" + {}", milliseconds(time.median)));
                Some(format!("{} ({}){planning}", milliseconds(summary.median), quartiles(summary, 3)))
            };
            row(
                text,
                &[
                    cell.title(),
                    links(cell),
                    values(cell.size),
                    cell.protocol.title().into(),
                    if cell.clock == Clock::Execution { "execution".into() } else { "round trip".into() },
                    cell.baseline.title().into(),
                    entry(cell.baseline).unwrap_or("–".into()),
                    entry(Form::Docperm).unwrap_or("–".into()),
                    entry(Form::SemiJoin).unwrap_or("–".into()),
                    cell.timing(cell.baseline).map_or(0, |timing| timing.times.len()).to_string(),
                ],
            );
        }
        let _ = writeln!(text, "\n</details>");
    }

    /// The cells about restricted links.
    fn main(&self) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(|cell| cell.case.is_empty())
    }

    /// A table of queries by numbers of values.
    fn matrix(&self, options: &Options, text: &mut String, entry: impl Fn(&str, usize) -> Option<String>) {
        let sizes: Vec<_> = options.sizes.iter().map(|size| values(*size)).collect();
        let mut heads = vec!["query"];
        heads.extend(sizes.iter().map(String::as_str));
        table(text, &heads);
        let mut seen: Vec<(&str, &str)> = Vec::new();
        for cell in self.main() {
            if !seen.contains(&cell.query) {
                seen.push(cell.query);
            }
        }
        for (key, title) in seen {
            let entries: Vec<_> = options.sizes.iter().map(|size| entry(key, *size)).collect();
            if entries.iter().any(Option::is_some) {
                let mut columns = vec![title.to_string()];
                columns.extend(entries.into_iter().map(|entry| entry.unwrap_or("–".into())));
                row(text, &columns);
            }
        }
    }

    fn find(
        &self,
        query: &str,
        links: usize,
        size: usize,
        protocol: Protocol,
        clock: Clock,
    ) -> Option<&Cell> {
        self.main().find(|cell| {
            cell.query.0 == query
                && cell.links == links
                && cell.size == size
                && cell.protocol == protocol
                && cell.clock == clock
        })
    }
}

/// Replaces the generated part of a file.
pub fn write(path: &Path, markdown: &str) -> Result {
    let old = std::fs::read_to_string(path)?;
    let parts = old.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.ok_or(format!("{}: no {BEGIN} … {END} in it", path.display()))?;
    Ok(std::fs::write(path, format!("{before}{BEGIN}\n{markdown}{END}{after}"))?)
}

/// One line for the impatient, while the program runs.
pub fn progress(cell: &Cell) -> String {
    let mut line = format!(
        "{:<22} {} link(s) {:>8} values  {:<22} {:>10} ms ({})",
        cell.title(),
        links(cell),
        values(cell.size),
        cell.protocol.title(),
        cell.summary(cell.baseline).map_or("–".into(), |summary| milliseconds(summary.median)),
        cell.baseline.title(),
    );
    for timing in cell.timings.iter().filter(|timing| timing.form != cell.baseline) {
        let name = match timing.form {
            Form::Control => "A/A",
            Form::SemiJoin => "semi-join",
            Form::Literal => "literal",
            Form::Rival(place) => RIVALS[place].role.trim_start_matches("bench_"),
            other => other.title(),
        };
        let _ = write!(line, "  {name} {}", relative(cell, timing.form));
    }
    line
}

/// The plans of a cell, for who looks into a miss.
pub fn plans(cell: &Cell) -> String {
    let mut text = String::new();
    for timing in cell.timings.iter().filter(|timing| !timing.form.is_rival() && timing.form != Form::Control)
    {
        let _ = writeln!(text, "    {}:\n        {}", timing.form.title(), timing.plan.join("\n        "));
    }
    text
}

/// docperm's ratio, bold when it misses its target.
fn marked(cell: &Cell) -> String {
    let to = cell.target().map_or(cell.baseline, |(to, _)| to);
    match cell.ratio(Form::Docperm, to) {
        None => "–".into(),
        Some(ratio) if cell.misses() && cell.is_noise() => format!("**~{ratio:.2}**"),
        Some(ratio) if cell.misses() => format!("**{ratio:.2}**"),
        Some(ratio) => format!("{ratio:.2}"),
    }
}

fn relative(cell: &Cell, form: Form) -> String {
    let Some((timing, baseline)) = cell.timing(form).zip(cell.summary(cell.baseline)) else {
        return "–".into();
    };
    match (&timing.outcome, cell.ratio(form, cell.baseline)) {
        (Outcome::TimedOut(limit), _) => format!(">{}", times(limit / baseline.median)),
        (Outcome::Measured, Some(ratio)) if timing.times.len() == 1 => format!("{} 1×", times(ratio)),
        (Outcome::Measured, Some(ratio)) => times(ratio),
        (Outcome::NoTime, _) => "–".into(),
        _ => "slow".into(),
    }
}

/// As many digits as mean something.
fn times(ratio: f64) -> String {
    match ratio {
        10.0.. => format!("{ratio:.0}"),
        2.0..10.0 => format!("{ratio:.1}"),
        ..0.1 => format!("{ratio:.3}"),
        _ => format!("{ratio:.2}"),
    }
}

fn milliseconds(time: f64) -> String {
    if time < 10.0 { format!("{time:.3}") } else { format!("{time:.1}") }
}

fn quartiles(summary: Summary, digits: usize) -> String {
    format!("{:.digits$}–{:.digits$}", summary.lower, summary.upper)
}

/// How many links are restricted, where that tells cells apart.
fn links(cell: &Cell) -> String {
    if cell.case.is_empty() { cell.links.to_string() } else { "–".into() }
}

/// A number of values, with thousands set apart.
fn values(size: usize) -> String {
    match size {
        1_000.. => format!("{},{:03}", size / 1_000, size % 1_000),
        _ => size.to_string(),
    }
}

fn differing(docperm: &Timing, baseline: &Timing) -> String {
    format!("`{}` instead of `{}`", shape(&docperm.plan), shape(&baseline.plan))
}

fn table(text: &mut String, heads: &[&str]) {
    let _ = writeln!(text, "| {} |\n|{}", heads.join(" | "), "---|".repeat(heads.len()));
}

fn row(text: &mut String, columns: &[String]) {
    let _ = writeln!(text, "| {} |", columns.join(" | "));
}
