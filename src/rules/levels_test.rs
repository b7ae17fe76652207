//! Levels: what Frappe answered in its recorded case 36, child tables, and any rules against the sentence that defines them.

use proptest::prelude::*;

use super::super::facts::PlainFacts;
use super::super::*;
use super::*;

const USER: &str = "u@x";

fn rule(role: &str, permlevel: i16, rights: &[&str]) -> Rule {
    Rule {
        role: role.to_owned(),
        permlevel,
        if_owner: false,
        custom: false,
        rights: rights.iter().map(|right| (*right).to_owned()).collect(),
    }
}

fn doctype(name: &str, rules: Vec<Rule>) -> Doctype {
    let levels = (0..4).map(|level| (format!("f{level}"), Field { permlevel: level, ..Default::default() }));
    Doctype {
        name: name.to_owned(),
        name_column: "name".to_owned(),
        fields: levels.collect(),
        rules,
        ..Default::default()
    }
}

fn child(name: &str, parent: Option<&str>) -> Doctype {
    let parentage = Parentage {
        column: "parent".to_owned(),
        doctype: parent.map(str::to_owned),
        type_column: Some("parenttype".to_owned()),
    };
    Doctype { parentage: Some(parentage), ..doctype(name, vec![]) }
}

fn model(doctypes: Vec<Doctype>) -> Model {
    let roles = ["R1", "R2", "R3", "Off"];
    Model {
        doctypes: doctypes.into_iter().map(|doctype| (doctype.name.clone(), doctype)).collect(),
        roles: roles
            .map(|role| (role.to_owned(), Role { desk_access: true, disabled: role == "Off" }))
            .into(),
        ..Default::default()
    }
}

/// The closed columns of a user with these roles; `shared` is what a share of an Order grants.
fn closed(model: &Model, roles: &[&str], doctype: &str, ptype: &str, shared: &[&str]) -> Vec<String> {
    let shared: Vec<String> = shared.iter().map(|right| (*right).to_owned()).collect();
    let mut facts = PlainFacts::default();
    if !shared.is_empty() {
        facts.shares.insert("Order".to_owned(), Shares::new([("O1", &shared[..])]).into());
    }
    let user = User::new(USER, true, roles.iter().map(|role| (*role).to_owned()).collect(), vec![]);
    let question = Question { model, name: USER, user: Some(&user), facts: &facts };
    let closed = question.closed_columns(doctype, ptype).unwrap();
    closed.into_iter().map(|closed| closed.column).collect()
}

fn case_36() -> Model {
    let mut owners = rule("R1", 2, &["read", "write"]);
    owners.if_owner = true;
    let rules = vec![
        rule("R1", 0, &["read", "write", "create"]),
        rule("R2", 0, &["read", "write", "create"]),
        rule("R2", 1, &["read", "write"]),
        rule("R3", 0, &["read", "write"]),
        rule("R3", 1, &["read"]),
        owners,
        rule("All", 3, &["read"]),
    ];
    model(vec![doctype("Order", rules), child("Line", Some("Order"))])
}

#[test]
fn a_rule_of_a_level_opens_it_whoever_the_owner_is_and_no_level_follows_from_another() {
    let model = case_36();
    let of = |roles: &[&str], ptype| closed(&model, roles, "Order", ptype, &[]);
    assert_eq!(of(&["R1"], "read"), ["f1"]);
    assert_eq!(of(&["R1"], "write"), ["f1", "f3"]);
    assert_eq!(of(&["R2"], "read"), ["f2"]);
    assert_eq!(of(&["R2"], "create"), ["f2", "f3"], "a new document is written like any other");
    assert_eq!(of(&["R3"], "write"), ["f1", "f2", "f3"]);
    assert_eq!(of(&["R1", "R3"], "read"), [""; 0]);
    assert_eq!(closed(&model, &[], "Order", "read", &["read"]), ["f1", "f2"], "a share opens level 0 alone");
    assert_eq!(of(&["Off"], "read"), ["f1", "f2"], "a role that is disabled opens nothing");
}

#[test]
fn who_passes_always_has_every_level_and_who_has_no_right_none() {
    let model = case_36();
    let facts = PlainFacts::default();
    let administrator = User::new(model::ADMINISTRATOR, true, vec![], vec![]);
    let disabled = User::new(USER, false, vec!["R2".to_owned()], vec![]);
    let levels = |user: Option<&User>| {
        let name = user.map_or(USER, |user| &user.name);
        Question { model: &model, name, user, facts: &facts }.levels("Order", "read").unwrap()
    };
    assert_eq!(levels(Some(&administrator)), Levels::Every);
    assert_eq!(levels(Some(&disabled)), Levels::Of(BTreeSet::new()));
    assert_eq!(levels(None), Levels::Of(BTreeSet::new()));
}

#[test]
fn a_doctype_without_any_rule_hides_no_column() {
    let model = model(vec![doctype("Order", vec![])]);
    assert_eq!(closed(&model, &[], "Order", "read", &["read"]), [""; 0]);
}

#[test]
fn custom_rules_replace_standard_ones_for_levels_too() {
    let mut custom = rule("R1", 0, &["read"]);
    custom.custom = true;
    let model =
        model(vec![doctype("Order", vec![rule("R1", 0, &["read"]), rule("R1", 1, &["read"]), custom])]);
    assert_eq!(closed(&model, &["R1"], "Order", "read", &[]), ["f1", "f2", "f3"]);
}

#[test]
fn the_parents_rules_open_the_columns_of_a_child_table() {
    let mut model = case_36();
    assert_eq!(closed(&model, &["R2"], "Line", "read", &[]), ["f2"]);
    assert_eq!(closed(&model, &["R2"], "Line", "write", &[]), ["f2", "f3"]);
    let own = vec![rule("R1", 1, &["read"])];
    model.doctypes.get_mut("Line").unwrap().rules = own;
    assert_eq!(closed(&model, &["R1"], "Line", "read", &[]), ["f1"], "rules of the child table do not count");
}

#[test]
fn where_rows_may_belong_to_several_doctypes_all_must_open_a_level_whose_rows_there_can_be() {
    let both = ["read", "write"];
    let order = doctype("Order", vec![rule("R1", 0, &both), rule("R1", 1, &both)]);
    let invoice = doctype("Invoice", vec![rule("R2", 0, &["read"]), rule("R2", 2, &["read"])]);
    let model = model(vec![order, invoice, child("Line", None)]);
    let of = |roles: &[&str], ptype| closed(&model, roles, "Line", ptype, &[]);
    assert_eq!(of(&["R1"], "read"), ["f2", "f3"], "there are no rows of invoices for R1");
    assert_eq!(of(&["R2"], "read"), ["f1", "f3"]);
    assert_eq!(of(&["R1", "R2"], "read"), ["f1", "f2", "f3"]);
    assert_eq!(of(&["R1", "R2"], "write"), ["f2", "f3"], "rows of invoices cannot be written");
    assert_eq!(
        closed(&model, &["R2"], "Line", "read", &["read"]),
        ["f1", "f2", "f3"],
        "rows of a shared order"
    );
    assert_eq!(of(&[], "read"), ["f1", "f2", "f3"], "no rows at all");
}

proptest! {
    #[test]
    fn a_level_is_open_if_a_rule_in_force_of_a_role_that_is_held_says_so(
        rules in prop::collection::vec((0..4usize, 0..4i16, any::<[bool; 5]>()), 0..8),
        held in any::<[bool; 4]>(),
        shared in any::<bool>(),
        write in any::<bool>(),
    ) {
        let names = ["R1", "R2", "Off", "All"];
        let rules = rules.into_iter().map(|(role, permlevel, [read, writes, create, if_owner, custom])| Rule {
            role: names[role].to_owned(),
            permlevel,
            if_owner,
            custom,
            rights: [("read", read), ("write", writes), ("create", create)]
                .into_iter()
                .filter(|(_, granted)| *granted)
                .map(|(right, _)| right.to_owned())
                .collect(),
        });
        let rules: Vec<Rule> = rules.collect();
        let roles: Vec<&str> = (0..3).filter(|role| held[*role]).map(|role| names[role]).collect();
        let (right, model) = (if write { "write" } else { "read" }, model(vec![doctype("Order", rules.clone())]));
        let any_custom = rules.iter().any(|rule| rule.custom);
        let expected: Vec<String> = (1..4)
            .filter(|level| {
                !rules.is_empty()
                    && !rules.iter().any(|rule| {
                        let is_held = rule.role == "All" || rule.role != "Off" && roles.contains(&rule.role.as_str());
                        is_held
                            && rule.custom == any_custom
                            && rule.permlevel == *level
                            && rule.rights.iter().any(|granted| granted == right)
                    })
            })
            .map(|level| format!("f{level}"))
            .collect();
        let shares: &[&str] = if shared { &["read", "write"] } else { &[] };
        prop_assert_eq!(closed(&model, &roles, "Order", right, shares), expected);
    }
}
