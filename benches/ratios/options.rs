//! What can be asked for on the command line.

use crate::Result;
use crate::queries::QUERIES;
use std::path::PathBuf;
use std::time::Duration;

const HELP: &str = "\
Measures docperm against the hand-written WHERE and against other forms of row-level security.

  --quick            100,000 rows, few repetitions, prepared rivals for the primary key only: about five minutes
  --rows N           rows of the main tables (default 1,000,000)
  --only QUERY       one query only: count, latest, pk, filter, like, numeric, join, partitioned; or a part:
                     `change` (the first query after a permission change), `children` (child tables), `shares`, `readable` (views),
                     `churn` (throughput while others' shares change); may be given several times
  --sizes N,N        numbers of permitted values (default 0,1,10,100,1000,10000,100000; 0 = unrestricted)
  --links N,N        numbers of restricted links, 1 or 3 (default 1,3)
  --minutes N        the time that all repetitions together may take, from the start (default 13; 3 with --quick)
  --seed N           another data set (default 1)
  --set NAME=VALUE   a setting for all measured connections
  --without-docperm  leaves docperm out
  --plans            prints both plans of every cell that misses its target
  --write FILE       replaces the generated part of FILE (BENCHMARKS.md)
";

/// The choices of one run.
pub struct Options {
    /// Small data, few repetitions.
    pub quick: bool,
    /// Rows of the sales orders and of the ledger.
    pub rows: usize,
    /// Keys of the queries to measure; empty means all.
    pub only: Vec<String>,
    /// How many values the measured users are permitted; 0 stands for unrestricted.
    pub sizes: Vec<usize>,
    /// How many of the three links are restricted.
    pub links: Vec<usize>,
    /// The time that the repetitions may take; from then on only the least is measured.
    pub time_limit: Duration,
    /// Decides the data.
    pub seed: u64,
    /// More settings for the measured connections.
    pub settings: Vec<(String, String)>,
    /// Measure docperm at all.
    pub docperm: bool,
    /// Print the plans of what misses its target.
    pub plans: bool,
    /// The file whose generated part is replaced.
    pub write: Option<PathBuf>,
}

impl Options {
    /// Reads the command line. `None`: help was asked for and given.
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Options>> {
        let mut options = Options {
            quick: false,
            rows: 0,
            only: Vec::new(),
            sizes: Vec::new(),
            links: vec![1, 3],
            time_limit: Duration::ZERO,
            seed: 1,
            settings: Vec::new(),
            docperm: true,
            plans: false,
            write: None,
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--rows" => options.rows = value()?.replace(['_', ','], "").parse()?,
                "--only" => options.only.push(value()?),
                "--sizes" => options.sizes = numbers(&value()?)?,
                "--links" => options.links = numbers(&value()?)?,
                "--minutes" => options.time_limit = Duration::from_secs_f64(value()?.parse::<f64>()? * 60.0),
                "--seed" => options.seed = value()?.parse()?,
                "--set" => {
                    let setting = value()?;
                    let (name, value) = setting.split_once('=').ok_or("--set wants NAME=VALUE")?;
                    options.settings.push((name.trim().into(), value.trim().into()));
                }
                "--without-docperm" => options.docperm = false,
                "--plans" => options.plans = true,
                "--write" => options.write = Some(value()?.into()),
                // Cargo says so to everything that it runs as a benchmark.
                "--bench" => {}
                "--help" | "-h" => {
                    print!("{HELP}");
                    return Ok(None);
                }
                _ => return Err(format!("unknown option {argument}; --help shows what there is").into()),
            }
        }
        if options.rows == 0 {
            options.rows = if options.quick { 100_000 } else { 1_000_000 };
        }
        if options.sizes.is_empty() {
            options.sizes = match options.quick {
                true => vec![0, 1, 100, 1_000, 100_000],
                false => vec![0, 1, 10, 100, 1_000, 10_000, 100_000],
            };
        }
        if options.time_limit.is_zero() {
            options.time_limit = Duration::from_secs(if options.quick { 180 } else { 13 * 60 });
        }
        if options.links.iter().any(|links| ![1, 3].contains(links)) {
            return Err("--links: 1 and 3 are what there is".into());
        }
        Ok(Some(options))
    }

    /// Whether anything about restricted links is to be measured.
    pub fn wants_links(&self) -> bool {
        QUERIES.iter().map(|query| query.key).chain(["change"]).any(|key| self.wants(key))
    }

    /// Whether `key` is among what is to be measured.
    pub fn wants(&self, key: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == key)
    }
}

fn numbers(list: &str) -> Result<Vec<usize>> {
    Ok(list.split(',').map(|number| number.trim().parse()).collect::<Result<_, _>>()?)
}
