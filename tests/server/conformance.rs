//! What a real Frappe answered, case by case; tests/conformance/README.md describes the cases.
//!
//! Each is built through docperm's tables and functions, then asked and written to as each of its users. All answers
//! have to agree, except those in [`differences`].

mod actor;
mod case;
mod differences;
mod site;
mod verdict;

use actor::{Actor, RightsByDocument, in_order};
use case::{Action, Answer, Case, Documents, Field, List, ListQuery};
use serde_json::Value;
use site::{quoted, sql_value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use verdict::{Topic, Verdict};

use crate::support::{World, literal, one, sorted};

/// Builds a case and compares everything that was recorded.
fn holds(name: &'static str) {
    let path = directory().join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let case: Case =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let writers = case.actions.iter().map(|action| &action.user);
    for user in writers.chain(case.extra_queries.iter().map(|query| &query.user)) {
        assert!(case.results.contains_key(user), "{name}: nobody would act as {user}");
    }
    let mut world = site::build(&case);
    let mut verdict = Verdict::new(name);

    for (user, answers) in &case.results {
        let known = &case.effective.users[user];
        let asked = format!("SELECT user_type FROM docperm.users WHERE name = {}", literal(user));
        let user_type = one(&mut world.admin, &asked);
        let topic = Topic { user, doctype: "User" };
        let expected = verdict.expected(topic, "user_type", known.user_type.clone());
        verdict.compare(topic, "user_type", &user_type, &expected);

        let mut actor = Actor::new(&mut world, user, known.enabled);
        for (doctype, answer) in answers {
            let topic = Topic { user, doctype };
            match answer {
                Answer::Documents { docs, doctype_level, fields_in_list_star } => {
                    let level = verdict.expected(topic, "doctype", in_order(doctype_level));
                    verdict.compare(
                        topic,
                        "has_permission without a document",
                        &actor.rights(doctype),
                        &level,
                    );
                    documents(&mut verdict, topic, &mut world, &mut actor, docs);
                    if let Some(listed) = fields_in_list_star {
                        let fields = &case.effective.doctypes[doctype].fields;
                        columns(&mut verdict, topic, &mut actor, fields, listed);
                    }
                }
                Answer::Child { child_lists } => {
                    children(&mut verdict, topic, &mut actor, &case, child_lists)
                }
            }
        }
        for query in case.extra_queries.iter().filter(|query| query.user == *user) {
            list(&mut verdict, &mut actor, &case, query);
        }
        for action in case.actions.iter().filter(|action| action.user == *user) {
            act(&mut verdict, &mut actor, &case, action);
        }
    }
    verdict.finish();
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}

/// The rights on every document, in all ways of asking and of using them.
fn documents(verdict: &mut Verdict, topic: Topic, world: &mut World, actor: &mut Actor, docs: &Documents) {
    let mut expected = RightsByDocument::new();
    for (name, rights) in docs {
        expected.insert(name.clone(), verdict.expected(topic, &format!("document {name}"), in_order(rights)));
    }
    let holding = |rights: &[&str]| {
        let held = expected.iter().filter(|(_, held)| held.split(' ').any(|right| rights.contains(&right)));
        held.map(|(name, _)| name.clone()).collect::<Vec<_>>()
    };
    let names: Vec<&str> = docs.keys().map(String::as_str).collect();

    let told = actor.rights_on(topic.doctype, &names);
    let told_to_administrator = actor.rights_told_to(&mut world.admin, topic.doctype, &names);
    for (name, rights) in &expected {
        let of = |answers: &RightsByDocument| answers[name].clone();
        verdict.compare(topic, format!("has_permission on {name}"), &of(&told), rights);
        let how = format!("has_permission on {name}, asked by an administrator");
        verdict.compare(topic, how, &of(&told_to_administrator), rights);
    }

    let report = actor.permitted_documents(topic.doctype);
    let readable: RightsByDocument = expected
        .iter()
        .filter(|(name, _)| holding(&["read"]).contains(name))
        .map(|(n, r)| (n.clone(), r.clone()))
        .collect();
    verdict.compare(topic, "permitted_documents", &format!("{report:?}"), &format!("{readable:?}"));

    let mut compare = |how: &str, answer: Result<Vec<String>, String>, expected: Vec<String>| {
        let answer = answer.map(sorted).map_or_else(|refusal| refusal, |names| names.join(" "));
        verdict.compare(topic, how, &answer, &sorted(expected).join(" "));
    };
    compare("SELECT", Ok(actor.selects(topic.doctype)), holding(&["read"]));
    compare("link_options", Ok(actor.link_options(topic.doctype, None)), holding(&["select", "read"]));
    compare("UPDATE of all rows", actor.updates_blindly(topic.doctype), holding(&["write"]));
    let deletable = holding(&["delete"]);
    let spared = docs.keys().filter(|name| !deletable.contains(name)).cloned().collect();
    compare("what DELETE of all rows leaves", actor.spares_blindly(topic.doctype), spared);
}

/// Which columns may be read of a doctype some of whose are above level 0: those that Frappe lists.
fn columns(verdict: &mut Verdict, topic: Topic, actor: &mut Actor, fields: &[Field], listed: &[String]) {
    if fields.iter().all(|field| field.permlevel == 0) {
        return;
    }
    for column in fields.iter().filter(|field| field.rows_of().is_none()).map(|field| &field.fieldname) {
        let query = format!("SELECT {} FROM {}", quoted(column), quoted(topic.doctype));
        let answer = actor.attempt(&query, "SELECT 1").map_or_else(|refusal| refusal, |_| "shown".to_owned());
        let recorded = if listed.contains(column) { "shown" } else { "refused" };
        let expected = verdict.expected(topic, &format!("SELECT {column}"), recorded.to_owned());
        verdict.compare(topic, format!("SELECT {column}"), &answer, &expected);
    }
}

/// Rows of a child table follow their documents. Frappe 15 lists all rows of the table as soon as the user may read the
/// parent doctype; from 16 on it lists those whose document he may read, as docperm does.
fn children(
    verdict: &mut Verdict,
    topic: Topic,
    actor: &mut Actor,
    case: &Case,
    lists: &BTreeMap<String, List>,
) {
    let rows = case.effective.documents.get(topic.doctype).map_or(&[][..], Vec::as_slice);
    let text = |row: &case::Row, column: &str| row[column].as_str().unwrap_or_default().to_owned();
    for (parent, recorded) in lists {
        let documents = case.documents(topic.user, parent).expect("a parent doctype is no child table");
        let readable =
            |name: &String| documents.get(name).is_some_and(|rights| rights.iter().any(|r| r == "read"));
        let of_parent = rows.iter().filter(|row| text(row, "parenttype") == *parent);
        let (shown, hidden): (Vec<_>, Vec<_>) = of_parent.partition(|row| readable(&text(row, "parent")));
        let names = |rows: &[&case::Row]| sorted(rows.iter().map(|row| text(row, "name")).collect());
        let (shown, hidden) = (names(&shown), names(&hidden));
        // What is shown must be among what was listed: the recorded answers do not contradict each other.
        let listed = recorded.list.as_deref().unwrap_or_default();
        assert!(crate::support::within(&shown, listed), "{topic}: rows of {parent} that Frappe did not list");

        let (table, type_of_parent) = (quoted(topic.doctype), literal(parent));
        let seen = actor.list(&format!("SELECT name FROM {table} WHERE parenttype = {type_of_parent}"));
        verdict.compare(topic, format!("rows of {parent}"), &seen.join(" "), &shown.join(" "));
        for (names, right) in [(&shown, true), (&hidden, false)] {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            for (name, rights) in actor.rights_on(topic.doctype, &names) {
                let reads = rights.split(' ').any(|held| held == "read");
                let how = format!("has_permission for read on row {name}");
                verdict.compare(topic, how, &reads.to_string(), &right.to_string());
            }
        }
    }
}

/// A list with arguments, as a query.
fn list(verdict: &mut Verdict, actor: &mut Actor, case: &Case, query: &ListQuery) {
    let topic = Topic { user: &query.user, doctype: &query.doctype };
    if let Some(context) = &query.args.reference_doctype {
        let answer = actor.link_options(&query.doctype, Some(context)).join(" ");
        let recorded = sorted(query.result.list.clone().expect("link pickers were not refused")).join(" ");
        let expected = verdict.expected(topic, &format!("options for {context}"), recorded);
        return verdict.compare(topic, format!("link_options for {context}"), &answer, &expected);
    }

    // `field.column` reaches into the linked document, or into the child rows.
    let joined: Vec<(&str, &str)> =
        query.args.fields.iter().filter_map(|field| field.split_once('.')).collect();
    let (mut columns, mut joins) = ("t.name".to_owned(), String::new());
    for (i, (field, column)) in joined.iter().enumerate() {
        let field = declared(case, &query.doctype, field);
        let (table, condition) = match (field.rows_of(), field.link_to()) {
            (Some(child), _) => (child, belongs(&format!("j{i}"), &query.doctype)),
            (_, Some(target)) => (target, format!("j{i}.name = t.{}", quoted(&field.fieldname))),
            _ => panic!("{} leads nowhere", field.fieldname),
        };
        columns += &format!(" || ':' || coalesce(j{i}.{}::text, 'NULL')", quoted(column));
        joins += &format!(" LEFT JOIN {} j{i} ON {condition}", quoted(table));
    }
    let conditions = conditions(query);
    let answer = actor
        .try_list(&format!(
            "SELECT {columns} FROM {} t{joins} WHERE {}",
            quoted(&query.doctype),
            conditions.join(" AND ")
        ))
        .map_or_else(|refusal| refusal, |names| names.join(" "));

    let mut about = format!("list {}", query.args.fields.join(", "));
    about += &query.args.filters.as_ref().map_or(String::new(), |filters| format!("where {filters}"));
    let expected = verdict.expected(topic, &about, recorded_list(case, query, &joined));
    verdict.compare(topic, about, &answer, &expected);
}

fn declared<'c>(case: &'c Case, doctype: &str, field: &str) -> &'c Field {
    let fields = &case.effective.doctypes[doctype].fields;
    fields.iter().find(|declared| declared.fieldname == field).expect("a declared field")
}

/// That a child row `alias` belongs to the document `t`.
fn belongs(alias: &str, doctype: &str) -> String {
    format!("{alias}.parent = t.name AND {alias}.parenttype = {}", literal(doctype))
}

fn conditions(query: &ListQuery) -> Vec<String> {
    let mut conditions = vec!["true".to_owned()];
    conditions.extend(
        query.args.parent_doctype.as_ref().map(|parent| format!("t.parenttype = {}", literal(parent))),
    );
    match &query.args.filters {
        None => {}
        Some(Value::Object(filters)) => {
            let equal =
                |(column, value): (&String, &Value)| format!("t.{} = {}", quoted(column), sql_value(value));
            conditions.extend(filters.iter().map(equal));
        }
        Some(Value::Array(filters)) => conditions.extend(filters.iter().map(|filter| {
            let [Value::String(doctype), Value::String(column), Value::String(operator), value] =
                &filter.as_array().expect("a filter")[..]
            else {
                panic!("unknown filter {filter}")
            };
            assert_eq!(operator, "=");
            let equal = |alias: &str| format!("{alias}.{} = {}", quoted(column), sql_value(value));
            if *doctype == query.doctype {
                return equal("t");
            }
            let (child, row) = (quoted(doctype), belongs("f", &query.doctype));
            format!("EXISTS (SELECT FROM {child} f WHERE {row} AND {})", equal("f"))
        })),
        Some(other) => panic!("unknown filters {other}"),
    }
    conditions
}

/// What Frappe listed, of which docperm shows the documents that the user may read, or their child rows. Without a
/// filter these are all documents that he may read: Frappe's lists leave some of them out.
fn recorded_list(case: &Case, query: &ListQuery, joined: &[(&str, &str)]) -> String {
    let Some(listed) = &query.result.list else { return "refused".to_owned() };
    let documents = |doctype: &str| case.documents(&query.user, doctype).expect("documents");
    let reads = |doctype: &str, name: &str| {
        documents(doctype).get(name).is_some_and(|rights| rights.iter().any(|right| right == "read"))
    };
    if joined.is_empty() && query.args.filters.is_none() && query.args.parent_doctype.is_none() {
        let names = documents(&query.doctype).keys();
        return sorted(names.filter(|name| reads(&query.doctype, name)).cloned().collect()).join(" ");
    }
    let shown = |name: &str| match &query.args.parent_doctype {
        None => reads(&query.doctype, name),
        Some(parent) => {
            let row = case.stored(&query.doctype, name).expect("a child row");
            row["parenttype"] == **parent && reads(parent, row["parent"].as_str().expect("a parent"))
        }
    };
    let listed: Vec<String> = if joined.is_empty() {
        listed.iter().filter(|name| shown(name)).cloned().collect()
    } else {
        let rows = query.result.rows.as_ref().expect("rows, since columns were asked for").iter();
        let name = |row: &case::Row| row["name"].as_str().expect("a name").to_owned();
        let value = |row: &case::Row, column: &str| row[column].as_str().unwrap_or("NULL").to_owned();
        rows.filter(|row| shown(&name(row)))
            .map(|row| joined.iter().fold(name(row), |text, (_, column)| text + ":" + &value(row, column)))
            .collect()
    };
    sorted(listed).join(" ")
}

/// A write, or an attempt to open a document.
fn act(verdict: &mut Verdict, actor: &mut Actor, case: &Case, action: &Action) {
    let topic = Topic { user: &action.user, doctype: &action.doctype };
    let doctype = &case.effective.doctypes[&action.doctype];
    let (table, name) = (quoted(&action.doctype), literal(&action.name));
    let values: Vec<(&String, String)> = action.values.iter().map(|(c, v)| (c, sql_value(v))).collect();

    let statement = match action.op.as_str() {
        "get" => format!("SELECT name FROM {table} WHERE name = {name}"),
        "insert" => {
            let mut row = BTreeMap::from([("name", name.clone()), ("owner", literal(&action.user))]);
            row.extend(values.iter().map(|(column, value)| (column.as_str(), value.clone())));
            let columns: Vec<String> = row.keys().map(|column| quoted(column)).collect();
            let values: Vec<&str> = row.values().map(String::as_str).collect();
            format!("INSERT INTO {table} ({}) VALUES ({})", columns.join(", "), values.join(", "))
        }
        "save" => {
            let assign = |(column, value): &(&String, String)| format!("{} = {value}", quoted(column));
            let mut assignments: Vec<String> = values.iter().map(assign).collect();
            assignments.push("touched = true".to_owned());
            format!("UPDATE {table} SET {} WHERE name = {name}", assignments.join(", "))
        }
        "delete" => format!("DELETE FROM {table} WHERE name = {name}"),
        "share" => {
            let with = sql_value(&action.values["user"]);
            format!("SELECT docperm.share({}, {name}, user_name => {with})", literal(&action.doctype))
        }
        verb @ ("submit" | "cancel" | "amend") => {
            format!("SELECT docperm.{verb}({}, {name})", literal(&action.doctype))
        }
        other => panic!("unknown action {other}"),
    };

    // Of the document afterwards: its owner, its links, which may have been filled in, and fields above level 0, which may have
    // been kept.
    let is_link = |field: &&Field| field.link_to().is_some_and(|target| target != action.doctype);
    let is_kept = |field: &&Field| is_link(field) || field.permlevel > 0;
    let mut kept: Vec<&str> =
        doctype.fields.iter().filter(is_kept).map(|field| field.fieldname.as_str()).collect();
    kept.push("owner");
    kept.sort();
    let stores = ["insert", "save"].contains(&action.op.as_str());
    let described = |values: Vec<String>| {
        let pairs = kept.iter().zip(values).map(|(column, value)| format!("{column}={value}"));
        format!("allowed: {}", pairs.collect::<Vec<_>>().join(" "))
    };
    let columns: Vec<String> =
        kept.iter().map(|column| format!("coalesce({}, 'NULL')", quoted(column))).collect();
    let then = format!("SELECT concat_ws(E'\\t', {}) FROM {table} WHERE name = {name}", columns.join(", "));

    let answer = match actor.attempt(&statement, &then) {
        Err(refusal) => refusal,
        Ok((0, _)) => "refused".to_owned(),
        Ok((_, stored)) if stores => described(stored[0].split('\t').map(str::to_owned).collect()),
        Ok(_) => "allowed".to_owned(),
    };
    let recorded = match &action.result.doc {
        _ if !action.result.ok => "refused".to_owned(),
        Some(document) if stores => {
            let value =
                |column: &&str| document.get(*column).and_then(Value::as_str).unwrap_or("NULL").to_owned();
            described(kept.iter().map(value).collect())
        }
        _ => "allowed".to_owned(),
    };

    let mut about = format!("{} {}", action.op, action.name);
    for (column, value) in &action.values {
        about += &format!(
            " {column}={}",
            value.as_str().map_or_else(|| value.to_string().replace("null", "NULL"), str::to_owned)
        );
    }
    let expected = verdict.expected(topic, &about, recorded);
    verdict.compare(topic, about, &answer, &expected);
}

/// A test for each case, and one that none was forgotten.
macro_rules! cases {
    ($($test:ident $name:literal)*) => {
        $(#[test] fn $test() { holds($name); })*

        #[test]
        fn every_case_has_a_test() {
            let files = std::fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().file_name());
            let files = files.filter_map(|file| file.to_str().unwrap().strip_suffix(".json").map(str::to_owned));
            assert_eq!(sorted(files.collect()), [$($name),*]);
        }
    };
}

cases! {
    case_01_plain_role_read "01_plain_role_read"
    case_02_no_role_nothing "02_no_role_nothing"
    case_03_if_owner "03_if_owner"
    case_04_if_owner_plus_role "04_if_owner_plus_role"
    case_05_if_owner_with_user_permission_strict0 "05_if_owner_with_user_permission_strict0"
    case_06_if_owner_with_user_permission_strict1 "06_if_owner_with_user_permission_strict1"
    case_07_user_permission_link_strict0 "07_user_permission_link_strict0"
    case_08_user_permission_link_strict1 "08_user_permission_link_strict1"
    case_09_or_and_strict0 "09_or_and_strict0"
    case_10_or_and_strict1 "10_or_and_strict1"
    case_11_applicable_for_strict0 "11_applicable_for_strict0"
    case_12_applicable_for_strict1 "12_applicable_for_strict1"
    case_13_tree_parentlinks_ignored_strict0 "13_tree_parentlinks_ignored_strict0"
    case_14_tree_parentlinks_enforced_strict0 "14_tree_parentlinks_enforced_strict0"
    case_15_tree_parentlinks_ignored_strict1 "15_tree_parentlinks_ignored_strict1"
    case_16_tree_parentlinks_enforced_strict1 "16_tree_parentlinks_enforced_strict1"
    case_17_tree_auto "17_tree_auto"
    case_18_tree_user_permission_target_gone "18_tree_user_permission_target_gone"
    case_19_ignore_user_permissions_strict0 "19_ignore_user_permissions_strict0"
    case_20_ignore_user_permissions_strict1 "20_ignore_user_permissions_strict1"
    case_21_multiple_links_same_doctype_strict0 "21_multiple_links_same_doctype_strict0"
    case_22_multiple_links_same_doctype_strict1 "22_multiple_links_same_doctype_strict1"
    case_23_docshare_disable_sharing0 "23_docshare_disable_sharing0"
    case_24_docshare_disable_sharing1 "24_docshare_disable_sharing1"
    case_25_share_unlocks_whole_doctype "25_share_unlocks_whole_doctype"
    case_26_disabled_user "26_disabled_user"
    case_27_automatic_roles "27_automatic_roles"
    case_28_administrator_and_system_manager "28_administrator_and_system_manager"
    case_29_submittable "29_submittable"
    case_30_submittable_self_permission_strict0 "30_submittable_self_permission_strict0"
    case_31_submittable_self_permission_strict1 "31_submittable_self_permission_strict1"
    case_32_child_table_links_strict0 "32_child_table_links_strict0"
    case_33_child_table_links_strict1 "33_child_table_links_strict1"
    case_34_user_permission_on_the_doctype_itself_strict0 "34_user_permission_on_the_doctype_itself_strict0"
    case_35_user_permission_on_the_doctype_itself_strict1 "35_user_permission_on_the_doctype_itself_strict1"
    case_36_permlevels "36_permlevels"
    case_37_permlevel_link_field "37_permlevel_link_field"
    case_38_select_only "38_select_only"
    case_39_collation_and_case "39_collation_and_case"
    case_40_custom_docperm_replaces "40_custom_docperm_replaces"
    case_41_user_permission_on_user "41_user_permission_on_user"
    case_42_dynamic_link_not_enforced "42_dynamic_link_not_enforced"
    case_43_writes_with_check "43_writes_with_check"
    case_44_is_default_has_no_effect "44_is_default_has_no_effect"
    case_45_disabled_role "45_disabled_role"
    case_46_no_permission_on_link_target "46_no_permission_on_link_target"
    case_47_permlevel_only_rows "47_permlevel_only_rows"
    case_48_link_field_join_leak "48_link_field_join_leak"
    case_49_nested_set_details "49_nested_set_details"
    case_50_guest_everyone_share "50_guest_everyone_share"
    case_51_share_with_strict_and_self_permission "51_share_with_strict_and_self_permission"
    case_52_owner_reads_but_list_hides "52_owner_reads_but_list_hides"
    case_53_create_under_user_permission_strict0 "53_create_under_user_permission_strict0"
    case_54_create_under_user_permission_strict1 "54_create_under_user_permission_strict1"
}
