//! The decision against the closed form, written a second time and as plainly as possible.

use std::collections::HashMap;
use std::rc::Rc;

use proptest::prelude::*;

use super::*;

const USER: &str = "u@x";
const ROLES: [&str; 3] = ["R1", "R2", "Off"];
const PTYPES: [&str; 6] = ["read", "write", "create", "delete", "submit", "import"];
const NODES: [&str; 5] = ["n0", "n1", "n2", "n3", "n4"];
const TARGETS: [&str; 2] = ["Node", "Order"];

/// A generated document: its name, owner and two links to Node.
#[derive(Debug, Clone)]
struct Document {
    name: String,
    owner: String,
    links: [Option<String>; 2],
}

impl Row for Document {
    type Error = std::convert::Infallible;
    fn is_one_of(&mut self, column: &str, _: &str, values: &Rc<ValueSet>) -> Result<bool, Self::Error> {
        Ok(self.text(column)?.is_some_and(|value| values.contains(&value)))
    }
    fn is_blank(&mut self, column: &str) -> Result<bool, Self::Error> {
        Ok(self.text(column)?.is_none_or(|value| value.is_empty()))
    }
    fn equals(&mut self, column: &str, text: &str) -> Result<bool, Self::Error> {
        Ok(self.text(column)?.as_deref() == Some(text))
    }
    fn text(&mut self, column: &str) -> Result<Option<String>, Self::Error> {
        Ok(match column {
            "name" => Some(self.name.clone()),
            "owner" => Some(self.owner.clone()),
            "link0" => self.links[0].clone(),
            "link1" => self.links[1].clone(),
            other => panic!("no column {other}"),
        })
    }
}

#[derive(Debug, Clone)]
struct Case {
    strict: StrictMode,
    rules: Vec<Rule>,
    ignore: [bool; 2],
    node_denied_by_default: bool,
    lifecycle: bool,
    enabled: bool,
    roles: Vec<String>,
    entries: Vec<UserPermission>,
    parents: [Option<usize>; 5],
    document: Document,
    ptype: usize,
}

fn rule() -> impl Strategy<Value = Rule> {
    (
        0..ROLES.len() + 1,
        0..2i16,
        any::<bool>(),
        prop::bool::weighted(0.2),
        prop::sample::subsequence(&PTYPES[..], 1..4),
    )
        .prop_map(|(role, permlevel, if_owner, custom, rights)| Rule {
            role: ROLES.get(role).unwrap_or(&"All").to_string(),
            permlevel,
            if_owner,
            custom,
            rights: rights.into_iter().map(str::to_owned).collect(),
        })
}

fn entry() -> impl Strategy<Value = UserPermission> {
    (prop::bool::weighted(0.8), 0..NODES.len(), prop::option::weighted(0.3, 0..3usize), any::<bool>())
        .prop_map(|(on_node, value, only, hide_descendants)| UserPermission {
            allow: TARGETS[usize::from(!on_node)].into(),
            for_value: NODES[value].to_owned(),
            applicable_for: only.map(|only| ["Node", "Order", "Other"][only].into()),
            hide_descendants,
        })
}

fn link() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        1 => Just(None),
        1 => Just(Some(String::new())),
        6 => (0..NODES.len()).prop_map(|node| Some(NODES[node].to_owned())),
    ]
}

/// A node's parent has a smaller number, so there is no cycle.
fn parents() -> impl Strategy<Value = [Option<usize>; 5]> {
    prop::array::uniform5(prop::option::of(0..5usize)).prop_map(|picks| {
        std::array::from_fn(|node| picks[node].filter(|_| node > 0).map(|pick| pick % node.max(1)))
    })
}

fn case() -> impl Strategy<Value = Case> {
    let settings = (0..3usize, any::<[bool; 2]>(), any::<bool>(), any::<bool>(), prop::bool::weighted(0.9));
    let user =
        (prop::sample::subsequence(&ROLES[..], 0..=3), prop::collection::vec(entry(), 0..4), parents());
    let document = (0..NODES.len(), any::<bool>(), [link(), link()]);
    (settings, prop::collection::vec(rule(), 0..4), user, document, 0..PTYPES.len()).prop_map(
        |(
            (strict, ignore, node_denied_by_default, lifecycle, enabled),
            rules,
            (roles, entries, parents),
            (name, own, links),
            ptype,
        )| Case {
            strict: [StrictMode::Off, StrictMode::BlankLinks, StrictMode::DenyByDefault][strict],
            rules,
            ignore,
            node_denied_by_default,
            lifecycle,
            enabled,
            roles: roles.into_iter().map(str::to_owned).collect(),
            entries,
            parents,
            document: Document {
                name: NODES[name].to_owned(),
                owner: if own { USER } else { "other@x" }.to_owned(),
                links,
            },
            ptype,
        },
    )
}

impl Case {
    fn model(&self) -> Model {
        let link = |index: usize| LinkField {
            column: format!("link{index}"),
            target: "Node".to_owned(),
            ignore_user_permissions: self.ignore[index],
        };
        let order = Doctype {
            name: "Order".to_owned(),
            name_column: "name".to_owned(),
            owner_column: Some("owner".to_owned()),
            submittable: self.lifecycle,
            deny_by_default: true,
            links: vec![link(0), link(1)],
            rules: self.rules.clone(),
            ..Default::default()
        };
        let node = Doctype {
            name: "Node".to_owned(),
            name_column: "name".to_owned(),
            tree_parent_column: Some("parent".to_owned()),
            deny_by_default: self.node_denied_by_default,
            ..Default::default()
        };
        let role = |disabled| Role { desk_access: true, disabled };
        Model {
            doctypes: [("Order".to_owned(), order), ("Node".to_owned(), node)].into(),
            roles: [
                ("R1".to_owned(), role(false)),
                ("R2".to_owned(), role(false)),
                ("Off".to_owned(), role(true)),
            ]
            .into(),
            strict: self.strict,
        }
    }

    /// `node` is `ancestor` or below it, found by walking up.
    fn is_below(&self, node: &str, ancestor: &str) -> bool {
        let mut current = NODES.iter().position(|known| *known == node);
        while let Some(index) = current {
            if NODES[index] == ancestor {
                return true;
            }
            current = self.parents[index];
        }
        false
    }

    fn passes(&self, target: &str, value: Option<&str>, is_link: bool) -> bool {
        let applicable: Vec<_> = self
            .entries
            .iter()
            .filter(|entry| &*entry.allow == target)
            .filter(|entry| {
                entry.applicable_for.is_none() || entry.applicable_for.as_deref() == Some("Order")
            })
            .collect();
        let blank = value.is_none_or(str::is_empty);
        if applicable.is_empty() {
            return !(is_link && self.strict == StrictMode::DenyByDefault && self.node_denied_by_default);
        }
        if blank {
            return is_link && self.strict == StrictMode::Off;
        }
        applicable.iter().any(|entry| {
            let value = value.unwrap_or_default();
            let below = target == "Node" && !entry.hide_descendants && self.is_below(value, &entry.for_value);
            value == entry.for_value || below
        })
    }

    fn expected(&self) -> bool {
        let ptype = PTYPES[self.ptype];
        let customised = self.rules.iter().any(|rule| rule.custom);
        let counts = |rule: &&Rule| {
            let held = rule.role == "All" || rule.role != "Off" && self.roles.contains(&rule.role);
            rule.permlevel == 0
                && rule.custom == customised
                && held
                && rule.rights.iter().any(|right| right == ptype)
        };
        if !self.enabled || ptype == "import" || ptype == "submit" && !self.lifecycle {
            return false;
        }
        let granting: Vec<&Rule> = self.rules.iter().filter(counts).collect();
        let free = granting.iter().any(|rule| !rule.if_owner) || ptype == "create" && !granting.is_empty();
        let own = self.document.owner == USER;
        let up_ok = self.passes("Order", Some(&self.document.name), false)
            && (0..2).all(|i| self.ignore[i] || self.passes("Node", self.document.links[i].as_deref(), true));
        if free { up_ok } else { !granting.is_empty() && own }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decision_is_the_closed_form(case in case()) {
        let model = case.model();
        let user = User::new(USER, case.enabled, case.roles.clone(), case.entries.clone());
        let nodes = NODES.iter().enumerate().map(|(i, node)| ((*node).to_owned(), case.parents[i].map(|p| NODES[p].to_owned())));
        let trees = HashMap::from([("Node".to_owned(), Rc::new(Tree::from_parents(nodes)))]);
        let decision = decide(&model, USER, Some(&user), "Order", PTYPES[case.ptype], &trees).unwrap();
        let mut document = case.document.clone();
        let answer = decision.predicate().matches(&mut document).unwrap();
        prop_assert_eq!(answer, case.expected());

        // What is told ends with what was decided.
        let steps = tell::tell(&decision, Some(&user), &trees, tell::Subject::Document { name: &case.document.name, row: &mut document }).unwrap();
        let last = steps.last().unwrap();
        prop_assert_eq!((last.rule, last.verdict), ("result", if answer { "allowed" } else { "denied" }));
        if !answer {
            prop_assert!(steps.iter().any(|step| step.rule != "result" && matches!(step.verdict, "denied" | "failed")));
        }
    }
}

#[test]
fn administrator_passes_and_nobody_does_not() {
    let model = Model {
        doctypes: [("D".to_owned(), Doctype { name: "D".to_owned(), ..Default::default() })].into(),
        ..Default::default()
    };
    let trees: HashMap<String, Rc<Tree>> = HashMap::new();
    let administrator = User::new("Administrator", false, vec![], vec![]);
    let decision = decide(&model, "Administrator", Some(&administrator), "D", "submit", &trees).unwrap();
    assert!(matches!(decision.predicate(), Predicate::Always));
    let nobody = decide(&model, "gone@x", None, "D", "read", &trees).unwrap();
    assert!(matches!(nobody.predicate(), Predicate::Never));
    assert!(!nobody.at_doctype_level());
    let unknown = decide(&model, "Administrator", Some(&administrator), "E", "read", &trees);
    assert_eq!(unknown.unwrap_err(), Undecidable::UnknownDoctype("E".to_owned()));
}
