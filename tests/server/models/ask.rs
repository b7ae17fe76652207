//! Asking the database everything that the evaluator answers.

use super::model::{EVERYBODY, Model, RIGHTS};
use super::schema::{DOC, DOCTYPES, Flavour, LINE, table_of};
use crate::chance::Chance;
use crate::support::{World, explain, literal, table};
use postgres::Client;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

/// A database of one flavour, and connections that live as long as it does: they carry what they have cached and
/// prepared from one model to the next.
pub struct Seats {
    // Before the world: connections close before the database is dropped.
    simple: Client,
    generic: Client,
    parallel: Client,
    plain: Client,
    pub world: World,
    pub count: Count,
}

/// How much was asked, and what the answers were: a test in which nobody ever sees anything shows nothing.
#[derive(Default)]
pub struct Count {
    pub models: usize,
    pub rows_shown: usize,
    pub rows_hidden: usize,
    /// Parallel plans on Doc, and those, also on Doc Line, that looked at the other table, too.
    pub parallel: usize,
    pub parallel_and_further: usize,
    pub held: usize,
    pub not_held: usize,
    pub written: usize,
    pub passed_over: usize,
    pub refused: usize,
}

/// A question about one document: user, doctype, document, right.
type Question = (&'static str, &'static str, String, &'static str);

impl Seats {
    pub fn new(flavour: &Flavour) -> Seats {
        let mut world = World::new(&flavour.schema());
        let (simple, mut generic, mut parallel, mut plain) =
            (world.app(), world.app(), world.app(), world.db.admin());
        generic
            .batch_execute("SET plan_cache_mode = force_generic_plan; SET docperm.max_inline_values = 2")
            .unwrap();
        plain.batch_execute("SET plan_cache_mode = force_generic_plan").unwrap();
        let version: i32 = table(&mut world.admin, "SHOW server_version_num")[0][0].parse().unwrap();
        let force = if version < 160_000 { "force_parallel_mode" } else { "debug_parallel_query" };
        parallel
            .batch_execute(&format!(
                "SET {force} = on; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;
                 SET min_parallel_table_scan_size = 0; SET min_parallel_index_scan_size = 0;
                 SET docperm.max_inline_values = 2"
            ))
            .unwrap();
        for doctype in DOCTYPES {
            let t = table_of(doctype);
            generic
                .batch_execute(&format!("PREPARE {t} AS SELECT '{doctype}', name::text FROM {t}"))
                .unwrap();
            // A superuser passes row security; an argument that is no constant leaves the call a call.
            let called = format!(
                "SELECT '{doctype}', name::text FROM {t} t WHERE docperm.permits(t.*, (SELECT '{doctype}'), 'read')"
            );
            plain.batch_execute(&format!("PREPARE {t} AS {called}")).unwrap();
        }
        Seats { simple, generic, parallel, plain, world, count: Count::default() }
    }

    /// Makes the database hold the model, and asks.
    pub fn check(&mut self, model: &Model) {
        let mut chance = Chance(!model.number);
        self.world.sql(&model.sql());
        self.count.models += 1;
        let sampled = chance.of(&EVERYBODY[..4]);
        for user in EVERYBODY {
            if user.contains('@') && !model.enabled.contains(user) {
                continue;
            }
            let expected: BTreeMap<&str, Vec<String>> = DOCTYPES
                .into_iter()
                .map(|doctype| (doctype, model.with_right(user, "read", doctype)))
                .collect();
            for doctype in DOCTYPES {
                self.count.rows_shown += expected[doctype].len();
                self.count.rows_hidden += model.rows[doctype].len() - expected[doctype].len();
            }
            let select = |t: &str, doctype: &str| format!("SELECT '{doctype}', name::text FROM {t}");
            let execute = |t: &str, _: &str| format!("EXECUTE {t}");
            let told = |how: &str, found: BTreeMap<&str, Vec<String>>| {
                for doctype in DOCTYPES {
                    same(model, &format!("{how}, {user}, {doctype}"), &found[doctype], &expected[doctype]);
                }
            };
            told("SELECT", read(&mut self.simple, user, select));
            told("a generic plan", read(&mut self.generic, user, execute));
            if user == sampled && chance.once_in(2) {
                told("a parallel plan", read(&mut self.parallel, user, select));
                let plans = [DOC, LINE].map(|doctype| {
                    explain(&mut self.parallel, &format!("SELECT name FROM {}", table_of(doctype)))
                });
                self.count.parallel += usize::from(plans[0].contains("Parallel Seq Scan on doc"));
                let looks_further = |plan: &&String| plan.contains("Gather") && plan.contains("SubPlan");
                self.count.parallel_and_further += plans.iter().filter(looks_further).count();
            }
            if user == sampled && chance.once_in(3) {
                told("permits as a function", read(&mut self.plain, user, execute));
            }
        }
        self.ask_for_rights(model, &mut chance);
        self.ask_for_documents(model, &mut chance);
        self.ask_for_users(model, &mut chance);
    }

    /// `has_permission` and `explain_access`, by an administrator and by oneself.
    fn ask_for_rights(&mut self, model: &Model, chance: &mut Chance) {
        let answers = "docperm.has_permission(doctype, ptype, document, user_name),
            (SELECT verdict FROM docperm.explain_access(doctype, document, ptype, user_name) ORDER BY step DESC LIMIT 1)";
        let questions: Vec<_> = (0..80).map(|_| some_question(model, chance, chance_user)).collect();
        let asked = listed(&questions, literal);
        let sql = format!("SELECT {answers} FROM (VALUES {asked}) v (user_name, doctype, document, ptype)");
        self.compare(model, "asked by an administrator", &questions, |seats| {
            table(&mut seats.world.admin, &sql)
        });

        let user = chance.of(&EVERYBODY);
        if user.contains('@') && !model.enabled.contains(user) {
            return;
        }
        let questions: Vec<_> = (0..40).map(|_| some_question(model, chance, |_| user)).collect();
        let asked = listed(&questions, |_| "NULL::text".to_owned());
        let sql = format!("SELECT {answers} FROM (VALUES {asked}) v (user_name, doctype, document, ptype)");
        act_as(&mut self.simple, user);
        self.compare(model, "asked about oneself", &questions, |seats| table(&mut seats.simple, &sql));
    }

    fn compare(
        &mut self,
        model: &Model,
        how: &str,
        questions: &[Question],
        ask: impl FnOnce(&mut Seats) -> Vec<Vec<String>>,
    ) {
        let answers = ask(self);
        assert_eq!(answers.len(), questions.len());
        for ((user, doctype, document, right), answer) in questions.iter().zip(answers) {
            let expected = holds(model, user, right, doctype, document);
            *(if expected { &mut self.count.held } else { &mut self.count.not_held }) += 1;
            let what = format!("{how}: {user}, {right}, {doctype} {document}");
            let (has, verdict) = if expected { ("t", "allowed") } else { ("f", "denied") };
            same(model, &format!("has_permission, {what}"), &answer[0], has);
            same(model, &format!("explain_access, {what}"), &answer[1], verdict);
        }
    }

    /// `permitted_documents`, by an administrator about somebody and by oneself.
    fn ask_for_documents(&mut self, model: &Model, chance: &mut Chance) {
        for by_administrator in [true, false] {
            let user = chance.of(&EVERYBODY);
            let about = if by_administrator { literal(user) } else { "NULL".to_owned() };
            let client = if by_administrator {
                &mut self.world.admin
            } else if user.contains('@') && !model.enabled.contains(user) {
                continue;
            } else {
                act_as(&mut self.simple, user);
                &mut self.simple
            };
            let listed = DOCTYPES.map(|doctype| {
                format!(
                    "SELECT '{doctype}', document, array_to_string(rights, ',') FROM docperm.permitted_documents('{doctype}', {about})"
                )
            });
            let mut found = table(client, &listed.join(" UNION ALL "));
            for row in &mut found {
                let mut rights: Vec<&str> = row[2].split(',').collect();
                rights.sort_unstable();
                row[2] = rights.join(",");
            }
            found.sort();
            let mut expected = vec![];
            for doctype in DOCTYPES {
                for row in model.rows[doctype].iter().filter(|row| model.may(user, "read", doctype, row)) {
                    let rights = RIGHTS.into_iter().filter(|right| model.may(user, right, doctype, row));
                    let rights: BTreeSet<&str> = rights.collect();
                    let rights = rights.into_iter().collect::<Vec<_>>().join(",");
                    expected.push(vec![doctype.to_owned(), row.name.clone(), rights]);
                }
            }
            expected.sort();
            same(model, &format!("permitted_documents of {user}"), &found, &expected);
        }
    }

    /// `who_can`.
    fn ask_for_users(&mut self, model: &Model, chance: &mut Chance) {
        let questions: Vec<_> = (0..8).map(|_| some_question(model, chance, |_| "somebody")).collect();
        let asked = listed(&questions, |_| "''".to_owned());
        let sql = format!(
            "SELECT (SELECT string_agg(user_name, ',' ORDER BY user_name COLLATE \"C\") FROM docperm.who_can(doctype, document, ptype))
             FROM (VALUES {asked}) v (user_name, doctype, document, ptype)"
        );
        let answers = table(&mut self.world.admin, &sql);
        for ((_, doctype, document, right), answer) in questions.iter().zip(answers) {
            let mut holders = EVERYBODY.to_vec();
            holders.retain(|user| holds(model, user, right, doctype, document));
            holders.sort_unstable();
            let expected = if holders.is_empty() { "NULL".to_owned() } else { holders.join(",") };
            same(model, &format!("who_can {right} {doctype} {document}"), &answer[0], &expected);
        }
    }

    /// The connection of the application, acting as `user`.
    pub fn acting(&mut self, user: &str) -> &mut Client {
        act_as(&mut self.simple, user);
        &mut self.simple
    }
}

fn act_as(client: &mut Client, user: &str) {
    client.batch_execute(&format!("SELECT docperm.set_user('{user}', false)")).unwrap();
}

/// The names of what `user` reads of each doctype, sorted.
fn read(
    client: &mut Client,
    user: &str,
    query: impl Fn(&str, &str) -> String,
) -> BTreeMap<&'static str, Vec<String>> {
    let queries = DOCTYPES.map(|doctype| query(table_of(doctype), doctype));
    let rows = table(client, &format!("SELECT docperm.set_user('{user}', false); {}", queries.join("; ")));
    let named = |doctype: &str| {
        let of_doctype = rows.iter().filter(|row| row[0] == doctype);
        let mut names: Vec<String> = of_doctype.map(|row| row[1].clone()).collect();
        names.sort();
        names
    };
    DOCTYPES.into_iter().map(|doctype| (doctype, named(doctype))).collect()
}

fn chance_user(chance: &mut Chance) -> &'static str {
    chance.of(&EVERYBODY)
}

/// A question, mostly about a document that exists.
fn some_question(model: &Model, chance: &mut Chance, user: impl Fn(&mut Chance) -> &'static str) -> Question {
    let doctype = chance.of(&DOCTYPES);
    let name = model.some_name(chance, doctype).filter(|_| !chance.once_in(30));
    let right = if chance.once_in(3) {
        chance.of(&["read", "write", "create", "delete"])
    } else {
        chance.of(&RIGHTS)
    };
    (user(chance), doctype, name.unwrap_or_else(|| model.flavour.name(doctype, 98)), right)
}

fn listed(questions: &[Question], name_user: impl Fn(&str) -> String) -> String {
    let rows = questions.iter().map(|(user, doctype, document, right)| {
        format!("({}, '{doctype}', {}, '{right}')", name_user(user), literal(document))
    });
    rows.collect::<Vec<_>>().join(", ")
}

fn holds(model: &Model, user: &str, right: &str, doctype: &'static str, document: &str) -> bool {
    model.find(doctype, document).is_some_and(|row| model.may(user, right, doctype, row))
}

/// Panics with the model where two answers differ.
#[track_caller]
pub fn same<Found: PartialEq<Expected> + Debug + ?Sized, Expected: Debug + ?Sized>(
    model: &Model,
    what: &str,
    found: &Found,
    expected: &Expected,
) {
    assert!(found == expected, "{what}\n   found {found:?}\nexpected {expected:?}\n\n{model}");
}
