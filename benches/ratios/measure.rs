//! The measuring: every contender's answer is checked first, then all take turns in an order drawn anew for each
//! round, so that a busy moment of the machine, or what the previous contender left in the caches, hits all alike.

use crate::Result;
use crate::contest::{Contest, Explained, Form, Protocol, shape};
use crate::options::Options;
use crate::queries::Query;
use crate::statistics::{Random, Summary, paired_ratios};
use crate::wire::{Failure, Row};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// After so many cells of a query in which a rival was slow it is left out of the others: what makes it slow is a cost
/// per row, whatever the number of permitted values.
const SLOW_CELLS: u32 = 2;

/// The rivals' share of the time, at most.
const RIVALS_SHARE: f64 = 0.3;

/// With more than one link rivals are measured for so many values only.
const RIVALS_SIZES: [usize; 2] = [100, 10_000];

/// The share of a cell's time that its first pass may take: checking the answers, and the plans of long literals, take
/// some, too, and more passes may follow.
const PASS_SHARE: f64 = 0.35;

/// A ratio that may or may not be a miss is worth so many times the repetitions, all counted together.
const PASSES: usize = 4;

/// A round of the main forms that takes longer is repeated less.
const LONG_TURN: Duration = Duration::from_millis(100);

/// Lookups of one contender in a row, before the next has its turn.
const BLOCK: usize = 10;

/// What became of one form in one cell.
pub enum Outcome {
    /// Measured, this often.
    Measured,
    /// Ran into the time limit, in milliseconds.
    TimedOut(f64),
    /// Left out, having been slow.
    TooSlow,
    /// Left out, the time being up.
    NoTime,
}

/// The times of one form in one cell.
pub struct Timing {
    /// Whose.
    pub form: Form,
    /// What became of it.
    pub outcome: Outcome,
    /// Execution, or round trips, in milliseconds.
    pub times: Vec<f64>,
    /// Planning, in milliseconds.
    pub planning: Vec<f64>,
    /// The plan, without costs; main forms only.
    pub plan: Vec<String>,
}

/// What the times of a cell are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The server's, by EXPLAIN ANALYZE.
    Execution,
    /// The client's.
    RoundTrip,
}

/// One query for one user by one protocol: all forms.
pub struct Cell {
    /// Key and title of the query.
    pub query: (&'static str, &'static str),
    /// The case, beyond restricted links; empty otherwise.
    pub case: &'static str,
    /// What docperm may take there, in times of the baseline.
    pub most: Option<f64>,
    /// How many links are restricted.
    pub links: usize,
    /// How many values are permitted, or documents shared.
    pub size: usize,
    /// By which protocol.
    pub protocol: Protocol,
    /// By which clock.
    pub clock: Clock,
    /// The form that the others are held against.
    pub baseline: Form,
    /// All forms.
    pub timings: Vec<Timing>,
}

impl Cell {
    /// The query, and the case that it belongs to.
    pub fn title(&self) -> String {
        match self.case {
            "" => self.query.1.into(),
            case => format!("{case}: {}", self.query.1),
        }
    }

    /// The times of a form.
    pub fn timing(&self, form: Form) -> Option<&Timing> {
        self.timings.iter().find(|timing| timing.form == form)
    }

    /// Median and quartiles of a form's times.
    pub fn summary(&self, form: Form) -> Option<Summary> {
        let times = &self.timing(form)?.times;
        match self.clock {
            Clock::Execution => Summary::of_explain(times),
            Clock::RoundTrip => Summary::of(times),
        }
    }

    /// The ratio of two forms' medians.
    pub fn ratio(&self, form: Form, to: Form) -> Option<f64> {
        Some(self.summary(form)?.median / self.summary(to)?.median)
    }

    /// The quartiles of the ratios within the rounds.
    pub fn spread(&self, form: Form, to: Form) -> Option<Summary> {
        Summary::of(&paired_ratios(&self.timing(form)?.times, &self.timing(to)?.times))
    }

    /// What docperm is held against here, and how much slower it may be, if there is a target.
    pub fn target(&self) -> Option<(Form, f64)> {
        if let Some(most) = self.most {
            return Some((self.baseline, most));
        }
        match (self.clock, self.protocol, self.size) {
            (Clock::Execution, _, 0) => Some((Form::Plain, 1.02)),
            (Clock::Execution, _, 100_000..) => Some((Form::SemiJoin, 1.10)),
            (Clock::Execution, _, _) => Some((self.baseline, 1.05)),
            (Clock::RoundTrip, Protocol::Simple, 0..=100) => Some((self.baseline, 1.25)),
            (Clock::RoundTrip, Protocol::Simple, _) => None,
            (Clock::RoundTrip, _, 0) => Some((Form::Plain, 1.02)),
            (Clock::RoundTrip, _, 100_000..) => Some((Form::SemiJoin, 1.10)),
            (Clock::RoundTrip, _, _) => Some((self.baseline, 1.05)),
        }
    }

    /// Whether docperm misses its target here.
    pub fn misses(&self) -> bool {
        self.target()
            .is_some_and(|(to, most)| self.ratio(Form::Docperm, to).is_some_and(|ratio| ratio > most))
    }

    /// Whether a miss is within the noise: in a quarter of the rounds or more the target was met.
    pub fn is_noise(&self) -> bool {
        self.target()
            .is_some_and(|(to, most)| self.spread(Form::Docperm, to).is_some_and(|s| s.lower <= most))
    }
}

/// Measures cell by cell.
pub struct Meter {
    deadline: Instant,
    /// Time for the main forms of a cell in one pass, and for one rival.
    main_budget: Duration,
    rival_budget: Duration,
    /// From which time on a rival is measured once, and counts as slow, in milliseconds.
    once: f64,
    slow: f64,
    time_limit: Duration,
    cells: u32,
    cells_left: u32,
    /// What the rivals have taken so far.
    rivals_took: Duration,
    slow_cells: HashMap<(&'static str, usize, Form), u32>,
    random: Random,
}

impl Meter {
    /// A meter with the repetitions that the options ask for, as far as there is time until the deadline for so many cells.
    pub fn new(options: &Options, deadline: Instant, cells: usize) -> Meter {
        let (main, rival, slow) = if options.quick { (120, 40, 200.0) } else { (1200, 250, 800.0) };
        Meter {
            deadline,
            cells_left: cells as u32,
            main_budget: Duration::from_millis(main),
            rival_budget: Duration::from_millis(rival),
            once: 2.0 * rival as f64,
            slow,
            time_limit: deadline.saturating_duration_since(Instant::now()),
            cells: cells as u32,
            rivals_took: Duration::ZERO,
            slow_cells: HashMap::new(),
            random: Random(options.seed),
        }
    }

    /// The rivals are sampled: what they cost hardly depends on the protocol, and grows evenly with the links. Their share
    /// of the time is dealt out by cells.
    fn rivals_take_part(&self, cell: &Cell) -> bool {
        let wanted = (cell.protocol == Protocol::Simple || cell.clock == Clock::RoundTrip)
            && (cell.links == 1 || RIVALS_SIZES.contains(&cell.size));
        let dealt = RIVALS_SHARE * f64::from(self.cells - self.cells_left) / f64::from(self.cells);
        wanted && self.rivals_took.as_secs_f64() < self.time_limit.as_secs_f64() * dealt
    }

    /// Measures one query for one user by one protocol.
    pub fn cell(
        &mut self,
        contest: &mut Contest,
        query: &Query,
        protocol: Protocol,
        clock: Clock,
    ) -> Result<Cell> {
        // What is left of the time is dealt out to the cells that are left, so that the last get as much as the first.
        let begun = Instant::now();
        let share = self.deadline.saturating_duration_since(begun) / self.cells_left.max(1);
        self.cells_left = self.cells_left.saturating_sub(1);
        let main_budget = self.main_budget.min(share.mul_f64(PASS_SHARE));
        let late = begun > self.deadline;
        let first = contest.baselines()[0];
        contest.set(query, protocol, first)?;
        let mut cell = Cell {
            query: (query.key, query.title),
            case: contest.case,
            most: contest.most,
            links: contest.links,
            size: contest.size,
            protocol,
            clock,
            baseline: first,
            timings: Vec::new(),
        };
        self.check_answers(contest, query, late, &mut cell)?;
        if contest.baselines().len() > 1 {
            cell.baseline = faster_baseline(contest, query, &mut cell)?;
            contest.set_control(query, protocol, cell.baseline)?;
        }

        let mut main = vec![cell.baseline, Form::Control, Form::Docperm];
        if contest.baselines().contains(&Form::SemiJoin) && !main.contains(&Form::SemiJoin) {
            main.push(Form::SemiJoin);
        }
        for timing in cell.timings.iter_mut().filter(|timing| main.contains(&timing.form)) {
            let arguments = contest.arguments(query, 0);
            timing.plan = contest.contender(timing.form).expect("it was checked").plan(&arguments)?;
        }

        // An unrecorded turn for everybody shows how many repetitions the time allows. For a prepared statement
        // PostgreSQL weighs a generic plan from the sixth execution on.
        let warm_up = if protocol == Protocol::Prepared { 8 } else { 1 };
        let mut turns = HashMap::new();
        let mut main_turn = Duration::ZERO;
        for timing in cell.timings.iter().filter(|timing| matches!(timing.outcome, Outcome::Measured)) {
            if !timing.times.is_empty() {
                continue;
            }
            let start = Instant::now();
            if take_turn(contest, query, clock, timing.form, 0, warm_up, &mut Vec::new(), &mut Vec::new())? {
                turns.insert(timing.form, start.elapsed() / warm_up as u32);
            }
            if main.contains(&timing.form) {
                main_turn += start.elapsed() / warm_up as u32;
            } else if timing.form.is_rival() {
                self.rivals_took += start.elapsed();
            }
        }
        // Long ones need fewer rounds than the scheduler's whims in a lookup of microseconds.
        let long = main_turn > LONG_TURN;
        let block = if clock == Clock::RoundTrip && !long { BLOCK } else { 1 };
        let (least, most) = match clock {
            Clock::RoundTrip if !long => (10, 200),
            _ if main_turn > 10 * LONG_TURN => (3, 300),
            _ => (5, 300),
        };
        let allowed = |budget: Duration, turn: Duration| {
            (budget.as_secs_f64() / (turn.as_secs_f64() * block as f64).max(1e-6)) as usize
        };
        let main_rounds = if late { least } else { allowed(main_budget, main_turn).clamp(least, most) };

        for pass in 0..PASSES {
            let mut rounds: HashMap<Form, usize> = HashMap::new();
            for (form, turn) in &turns {
                let count = match main.contains(form) {
                    true => main_rounds,
                    false if pass > 0 => continue,
                    false if late => 1,
                    false => allowed(self.rival_budget, *turn).clamp(1, (most / 4).min(main_rounds)),
                };
                rounds.insert(*form, count);
            }
            for round in 0..main_rounds {
                let mut order: Vec<_> = rounds
                    .iter()
                    .filter(|(_, count)| (round + 1) * **count / main_rounds > round * **count / main_rounds)
                    .map(|(form, _)| *form)
                    .collect();
                order.sort();
                self.random.shuffle(&mut order);
                for form in order {
                    let timing = cell.timings.iter_mut().find(|timing| timing.form == form).expect("checked");
                    let repetition = (pass * main_rounds + round) * block;
                    let Timing { times, planning, .. } = timing;
                    let start = Instant::now();
                    if !take_turn(contest, query, clock, form, repetition, block, times, planning)? {
                        rounds.remove(&form);
                    }
                    if form.is_rival() {
                        self.rivals_took += start.elapsed();
                    }
                }
            }
            let out_of_time = begun.elapsed() > share.mul_f64(2.0 * (1.0 - PASS_SHARE));
            if late || out_of_time || main_turn > 5 * LONG_TURN || !(cell.misses() && cell.is_noise()) {
                break;
            }
        }
        for timing in &mut cell.timings {
            if matches!(timing.outcome, Outcome::Measured) && timing.times.is_empty() {
                timing.outcome = Outcome::TooSlow;
            }
        }
        Ok(cell)
    }

    /// Runs the query by every form and compares the answers. A slow rival's run is its measurement.
    fn check_answers(&mut self, contest: &mut Contest, query: &Query, late: bool, cell: &mut Cell) -> Result {
        // A lookup is checked with several keys.
        let repetitions = if contest.arguments(query, 0).is_empty() { 1 } else { 3 };
        let arguments: Vec<_> =
            (0..repetitions).map(|repetition| contest.arguments(query, repetition)).collect();
        let rivals_take_part = self.rivals_take_part(cell);
        let mut expected: Option<Vec<Vec<Row>>> = None;
        let baselines = contest.baselines().len();
        for contender in &mut contest.contenders {
            let form = contender.form;
            // A literal that was too long to plan will be so for every user with as many values or more links.
            let literal = form == Form::Literal && baselines > 1;
            let key = if literal { (query.key, 0, form) } else { (query.key, cell.links, form) };
            let slow_cells = self.slow_cells.entry(key).or_default();
            let too_slow = *slow_cells >= if literal { 1 } else { SLOW_CELLS };
            let mut timing = Timing {
                form,
                outcome: Outcome::Measured,
                times: Vec::new(),
                planning: Vec::new(),
                plan: Vec::new(),
            };
            if too_slow || form.is_rival() && (late || !rivals_take_part) {
                timing.outcome = if too_slow { Outcome::TooSlow } else { Outcome::NoTime };
                cell.timings.push(timing);
                continue;
            }
            let start = Instant::now();
            let answers: Result<Vec<_>, Failure> =
                arguments.iter().map(|arguments| contender.rows(arguments)).collect();
            let took = start.elapsed().as_secs_f64() * 1e3 / repetitions as f64;
            if form.is_rival() {
                self.rivals_took += start.elapsed();
            }
            match answers {
                Err(failure) if failure.is_timeout() && form.is_optional() => {
                    *slow_cells += 1;
                    timing.outcome = Outcome::TimedOut(start.elapsed().as_secs_f64() * 1e3);
                }
                Err(failure) => {
                    return Err(format!("{}: {}: {failure}", query.key, form.title()).into());
                }
                Ok(answers) => match &expected {
                    None => expected = Some(answers),
                    Some(expected) if *expected != answers => {
                        return Err(format!(
                            "{} with {} links, {} values, {}: {} answers {answers:?}, but {} answers {expected:?}",
                            query.key,
                            cell.links,
                            cell.size,
                            cell.protocol.title(),
                            form.title(),
                            cell.baseline.title(),
                        )
                        .into());
                    }
                    Some(_) if form.is_rival() && took > self.once => {
                        *slow_cells += u32::from(took > self.slow);
                        timing.times.push(took);
                    }
                    Some(_) => {}
                },
            }
            cell.timings.push(timing);
        }
        Ok(())
    }
}

/// One turn of one contender. `false`: it ran into the time limit.
#[allow(clippy::too_many_arguments, reason = "one call's place, spelled out")]
fn take_turn(
    contest: &mut Contest,
    query: &Query,
    clock: Clock,
    form: Form,
    repetition: usize,
    block: usize,
    times: &mut Vec<f64>,
    planning: &mut Vec<f64>,
) -> Result<bool> {
    for offset in 0..block {
        let arguments = contest.arguments(query, repetition + offset);
        let contender = contest.contender(form).expect("it was checked");
        let result = match clock {
            Clock::Execution => contender.explain_analyze(&arguments),
            Clock::RoundTrip => {
                contender.round_trip(&arguments).map(|execution| Explained { planning: f64::NAN, execution })
            }
        };
        match result {
            Ok(explained) => {
                times.push(explained.execution);
                planning.push(explained.planning);
            }
            Err(failure) if failure.is_timeout() && form.is_optional() => return Ok(false),
            Err(failure) => return Err(format!("{}: {}: {failure}", query.key, form.title()).into()),
        }
    }
    Ok(true)
}

/// The faster of the hand-written forms. Unprepared, planning counts too: a long literal is planned each time.
fn faster_baseline(contest: &mut Contest, query: &Query, cell: &mut Cell) -> Result<Form> {
    let mut best = (f64::INFINITY, Form::SemiJoin);
    for form in [Form::SemiJoin, Form::AntiJoin, Form::Literal] {
        let outcome = cell.timing(form).map(|timing| &timing.outcome);
        if !matches!(outcome, Some(Outcome::Measured)) {
            continue;
        }
        let mut totals = Vec::new();
        for repetition in 0..6 {
            let (mut times, mut planning) = (Vec::new(), Vec::new());
            if !take_turn(contest, query, cell.clock, form, repetition, 1, &mut times, &mut planning)? {
                totals = vec![f64::INFINITY; 2];
                break;
            }
            let total = times[0] + planning[0].max(0.0);
            totals.push(total);
            // Far behind, and not because of having been planned just now: no need to look longer.
            if repetition > 0 && total > 3.0 * best.0 {
                break;
            }
        }
        let median = Summary::of(&totals[1..]).map_or(f64::INFINITY, |summary| summary.median);
        if median < best.0 {
            best = (median, form);
        }
    }
    Ok(best.1)
}

/// Whether two plans go the same way.
pub fn same_shape(one: &Timing, other: &Timing) -> bool {
    shape(&one.plan) == shape(&other.plan)
}
