//! Who is compared: every form of the filter, each on a connection of its own, for one kind of user.

use crate::Result;
use crate::cases::Case;
use crate::data::{self, Permitted};
use crate::docperm;
use crate::options::Options;
use crate::queries::{Argument, Handwritten, Query, inline};
use crate::rivals::{self, RIVALS};
use crate::server::Server;
use crate::wire::{Failure, Row, Wire};

/// From this size on the hand-written WHERE may also be a semi-join with a table of the permitted values.
const SEMI_JOIN_FROM: usize = 1_001;

/// How long a literal array may then take, planning included.
const LITERAL_LIMIT: &str = "2s";

/// A way to filter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Form {
    /// No row-level security and no WHERE.
    Plain,
    /// Hand-written with an array literal.
    Literal,
    /// Hand-written with a semi-join.
    SemiJoin,
    /// Hand-written with an anti-join.
    AntiJoin,
    /// The baseline once more, on another connection: what it differs by is noise.
    Control,
    /// docperm's policy.
    Docperm,
    /// Another policy: its place in `RIVALS`.
    Rival(usize),
}

impl Form {
    /// How the report calls it.
    pub fn title(self) -> &'static str {
        match self {
            Form::Plain => "no RLS",
            Form::Literal => "hand-written, literal array",
            Form::SemiJoin => "hand-written, semi-join",
            Form::AntiJoin => "hand-written, anti-join",
            Form::Control => "baseline again",
            Form::Docperm => "docperm",
            Form::Rival(place) => RIVALS[place].title,
        }
    }

    /// Another way to write a policy.
    pub fn is_rival(self) -> bool {
        matches!(self, Form::Rival(_))
    }

    /// Whether it may run into its time limit: the rivals have one, and so has the literal array where a semi-join can
    /// take its place. With 100,000 values and partitions it takes a minute to plan.
    pub fn is_optional(self) -> bool {
        self.is_rival() || self == Form::Literal
    }
}

/// How a statement reaches the server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Protocol {
    /// As text, planned each time.
    Simple,
    /// Prepared; PostgreSQL chooses between custom and generic plans as it does by default.
    Prepared,
    /// Prepared; the generic plan is forced.
    Generic,
}

impl Protocol {
    /// How the report calls it.
    pub fn title(self) -> &'static str {
        match self {
            Protocol::Simple => "simple",
            Protocol::Prepared => "prepared",
            Protocol::Generic => "prepared, generic plan",
        }
    }

    fn plan_cache_mode(self) -> &'static str {
        if self == Protocol::Generic { "force_generic_plan" } else { "auto" }
    }
}

/// The connections of all forms for one kind of user.
pub struct Contest {
    /// What kind that is, beyond restricted links; empty otherwise.
    pub case: &'static str,
    /// What docperm may take, in times of the baseline, where that does not depend on the query.
    pub most: Option<f64>,
    /// How many links are restricted.
    pub links: usize,
    /// How many values of each are permitted; 0 means unrestricted.
    pub size: usize,
    /// All forms.
    pub contenders: Vec<Contender>,
    baselines: Vec<Form>,
    handwriting: Handwriting,
    ids: Vec<String>,
}

/// What the hand-written forms are made from.
enum Handwriting {
    /// The values permitted on links.
    Links(Vec<Permitted>),
    /// Conditions as they are.
    Conditions(Vec<(Form, Option<String>)>),
}

/// One form, ready to run the current statement.
pub struct Contender {
    /// Which form.
    pub form: Form,
    connection: Wire,
    text: String,
    protocol: Protocol,
}

impl Contest {
    /// Connects all forms, and gives the rivals the policies for this case.
    pub fn open(
        server: &Server,
        admin: &mut Wire,
        options: &Options,
        links: usize,
        size: usize,
    ) -> Result<Contest> {
        let permitted = if size == 0 { Vec::new() } else { data::permitted(admin, links, size)? };
        let ids = data::ids(admin, links, &permitted)?;
        rivals::install(admin, links, size == 0)?;

        let mut forms = baselines(size).to_vec();
        forms.push(Form::Control);
        forms.extend(options.docperm.then_some(Form::Docperm));
        forms.extend((0..RIVALS.len()).map(Form::Rival));
        let contenders = forms
            .into_iter()
            .map(|form| {
                let mut connection = match form {
                    Form::Docperm => server.measured(&docperm::role(links, size), &[("search_path", "erp")]),
                    Form::Rival(place) => {
                        let limit = if options.quick { "1500ms" } else { "4s" };
                        server.measured(
                            RIVALS[place].role,
                            &[
                                ("search_path", "rls"),
                                ("app.user", &rivals::user(size)),
                                ("statement_timeout", limit),
                            ],
                        )
                    }
                    Form::Literal if size >= SEMI_JOIN_FROM => server.measured(
                        "bench_plain",
                        &[("search_path", "erp"), ("statement_timeout", LITERAL_LIMIT)],
                    ),
                    _ => server.measured("bench_plain", &[("search_path", "erp")]),
                }?;
                server.pin(&mut connection)?;
                Ok(Contender { form, connection, text: String::new(), protocol: Protocol::Simple })
            })
            .collect::<Result<_>>()?;
        Ok(Contest {
            case: "",
            most: None,
            links,
            size,
            contenders,
            baselines: baselines(size).to_vec(),
            handwriting: Handwriting::Links(permitted),
            ids,
        })
    }

    /// Connects docperm and the hand-written forms of a case.
    pub fn of_case(server: &Server, case: &Case, ids: Vec<String>) -> Result<Contest> {
        let baselines: Vec<Form> = case.conditions.iter().map(|(form, _)| *form).collect();
        let contenders = baselines
            .iter()
            .copied()
            .chain([Form::Control, Form::Docperm])
            .map(|form| {
                let (role, path) = match form {
                    Form::Docperm => (case.role.as_str(), case.search_path),
                    _ => ("bench_plain", "erp"),
                };
                let mut connection = server.measured(role, &[("search_path", path)])?;
                server.pin(&mut connection)?;
                Ok(Contender { form, connection, text: String::new(), protocol: Protocol::Simple })
            })
            .collect::<Result<_>>()?;
        Ok(Contest {
            case: case.title,
            most: Some(case.most),
            links: 0,
            size: case.size,
            contenders,
            baselines,
            handwriting: Handwriting::Conditions(case.conditions.clone()),
            ids,
        })
    }

    /// What the others are held against: one form, or two of which the faster counts.
    pub fn baselines(&self) -> &[Form] {
        &self.baselines
    }

    /// Gives every contender its statement for a query. The control runs what `baseline` runs.
    pub fn set(&mut self, query: &Query, protocol: Protocol, baseline: Form) -> Result {
        for place in 0..self.contenders.len() {
            let form = self.contenders[place].form;
            let text = self.text(query, if form == Form::Control { baseline } else { form });
            self.contenders[place].set(text, protocol)?;
        }
        Ok(())
    }

    /// Has the control run what `baseline` runs, all others being set.
    pub fn set_control(&mut self, query: &Query, protocol: Protocol, baseline: Form) -> Result {
        let text = self.text(query, baseline);
        Ok(self.contender(Form::Control).expect("it always takes part").set(text, protocol)?)
    }

    fn text(&self, query: &Query, form: Form) -> String {
        query.text(match (&self.handwriting, form) {
            (Handwriting::Links(permitted), Form::Literal) => Handwritten::Literal(permitted),
            (Handwriting::Links(permitted), Form::SemiJoin) => Handwritten::SemiJoin(permitted),
            (Handwriting::Conditions(conditions), _) => {
                let condition = conditions.iter().find(|(of, _)| *of == form);
                condition
                    .and_then(|(_, condition)| condition.as_deref())
                    .map_or(Handwritten::Nothing, Handwritten::Condition)
            }
            _ => Handwritten::Nothing,
        })
    }

    /// What the `repetition`-th run of a query looks for.
    pub fn arguments(&self, query: &Query, repetition: usize) -> Vec<Argument> {
        query.arguments(&self.ids, repetition)
    }

    /// The contender of a form, if it takes part.
    pub fn contender(&mut self, form: Form) -> Option<&mut Contender> {
        self.contenders.iter_mut().find(|contender| contender.form == form)
    }
}

fn baselines(size: usize) -> &'static [Form] {
    match size {
        0 => &[Form::Plain],
        1..SEMI_JOIN_FROM => &[Form::Literal],
        _ => &[Form::Literal, Form::SemiJoin],
    }
}

/// What EXPLAIN ANALYZE reports, in milliseconds.
pub struct Explained {
    /// Planning, or for a prepared statement fetching the plan.
    pub planning: f64,
    /// Execution, from start to shutdown of the executor.
    pub execution: f64,
}

impl Contender {
    fn set(&mut self, text: String, protocol: Protocol) -> Result<(), Failure> {
        self.connection
            .run(&format!("DEALLOCATE ALL; SET plan_cache_mode = {}", protocol.plan_cache_mode()))?;
        if protocol != Protocol::Simple {
            self.connection.prepare("q", &text)?;
        }
        self.text = text;
        self.protocol = protocol;
        Ok(())
    }

    /// Runs the statement.
    pub fn rows(&mut self, arguments: &[Argument]) -> Result<Vec<Row>, Failure> {
        match self.protocol {
            Protocol::Simple => self.connection.query(&inline(&self.text, arguments)),
            _ => self.connection.execute("q", &texts(arguments)),
        }
    }

    /// Runs the statement and returns what the round trip took, in milliseconds.
    pub fn round_trip(&mut self, arguments: &[Argument]) -> Result<f64, Failure> {
        match self.protocol {
            Protocol::Simple => {
                let sql = inline(&self.text, arguments);
                let start = std::time::Instant::now();
                self.connection.run(&sql)?;
                Ok(start.elapsed().as_secs_f64() * 1e3)
            }
            _ => {
                let texts = texts(arguments);
                let start = std::time::Instant::now();
                self.connection.run_prepared("q", &texts)?;
                Ok(start.elapsed().as_secs_f64() * 1e3)
            }
        }
    }

    /// Runs the statement under EXPLAIN ANALYZE.
    pub fn explain_analyze(&mut self, arguments: &[Argument]) -> Result<Explained, Failure> {
        let sql = format!("EXPLAIN (ANALYZE, TIMING OFF) {}", self.explainable(arguments));
        let lines = self.connection.query(&sql)?;
        let time = |label: &str| {
            let value =
                lines.iter().rev().find_map(|row| row[0].as_deref()?.trim_start().strip_prefix(label));
            value.and_then(|value| value.trim_end_matches(" ms").trim().parse().ok()).unwrap_or(f64::NAN)
        };
        Ok(Explained { planning: time("Planning Time:"), execution: time("Execution Time:") })
    }

    /// The plan, without costs, long lines (of literal arrays) cut off.
    pub fn plan(&mut self, arguments: &[Argument]) -> Result<Vec<String>, Failure> {
        let sql = format!("EXPLAIN (COSTS OFF) {}", self.explainable(arguments));
        let line = |row: Row| Some(row.first()?.as_ref()?.chars().take(300).collect());
        Ok(self.connection.query(&sql)?.into_iter().filter_map(line).collect())
    }

    fn explainable(&self, arguments: &[Argument]) -> String {
        match self.protocol {
            Protocol::Simple => inline(&self.text, arguments),
            _ if arguments.is_empty() => "EXECUTE q".into(),
            _ => {
                let literals: Vec<_> = arguments.iter().map(|argument| argument.literal.as_str()).collect();
                format!("EXECUTE q ({})", literals.join(", "))
            }
        }
    }
}

fn texts(arguments: &[Argument]) -> Vec<&str> {
    arguments.iter().map(|argument| argument.text.as_str()).collect()
}

/// The nodes of a plan, without their conditions: what tells whether two plans go the same way.
pub fn shape(plan: &[String]) -> String {
    let node = |(place, line): (usize, &String)| {
        let line = line.trim_start();
        line.strip_prefix("->").or((place == 0).then_some(line)).map(|node| node.trim().to_string())
    };
    plan.iter().enumerate().filter_map(node).collect::<Vec<_>>().join(" > ")
}
