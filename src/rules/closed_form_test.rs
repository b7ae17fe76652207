//! The decision against the closed form, written a second time and as plainly as possible.

use std::rc::Rc;

use proptest::prelude::*;

use super::facts::PlainFacts;
use super::*;

const USER: &str = "u@x";
const ROLES: [&str; 3] = ["R1", "R2", "Off"];
const PTYPES: [&str; 8] = ["read", "write", "create", "delete", "submit", "import", "print", "share"];
const NODES: [&str; 5] = ["n0", "n1", "n2", "n3", "n4"];
const TARGETS: [&str; 2] = ["Node", "Order"];

/// A generated document: its name, owner and two links to Node.
#[derive(Debug, Clone)]
struct Document {
    name: String,
    owner: String,
    links: [Option<String>; 2],
    /// The links of its child rows.
    lines: Vec<Option<String>>,
}

/// A row of the child table of a document.
struct Line<'d> {
    link: Option<String>,
    document: &'d Document,
}

impl Row for Line<'_> {
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
    fn parent_satisfies(&mut self, link: &ParentLink, predicate: &Predicate) -> Result<bool, Self::Error> {
        Ok(link.doctype == "Order" && !link.created_now && predicate.matches(&mut self.document.clone())?)
    }
    fn every_child_satisfies(&mut self, _: &ChildLink, _: &Predicate) -> Result<bool, Self::Error> {
        panic!("a child row has no child rows")
    }
    fn text(&mut self, column: &str) -> Result<Option<String>, Self::Error> {
        Ok(match column {
            "line_link" => self.link.clone(),
            "parenttype" => Some("Order".to_owned()),
            other => panic!("no column {other}"),
        })
    }
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
    fn parent_satisfies(&mut self, _: &ParentLink, _: &Predicate) -> Result<bool, Self::Error> {
        panic!("a document has no parent")
    }
    fn every_child_satisfies(
        &mut self,
        link: &ChildLink,
        predicate: &Predicate,
    ) -> Result<bool, Self::Error> {
        assert_eq!(link.parent_type, Some(("parenttype".to_owned(), "Order".to_owned())));
        let mut lines = self.lines.iter();
        Ok(lines.all(|line| {
            predicate.matches(&mut Line { link: line.clone(), document: self }).unwrap_or_default()
        }))
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
    shared: Vec<String>,
    check_child_links: bool,
    disable_document_sharing: bool,
    enforce_module_access: bool,
    module_blocked: bool,
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
    let flags =
        (any::<bool>(), any::<bool>(), prop::bool::weighted(0.9), any::<bool>(), prop::bool::weighted(0.2));
    let modules = (prop::bool::weighted(0.3), prop::bool::weighted(0.3));
    let settings = (0..3usize, any::<[bool; 2]>(), flags, modules);
    let shared = prop::option::weighted(
        0.3,
        prop::sample::subsequence(vec!["read", "write", "submit", "share"], 1..=4),
    );
    let roles = prop::sample::subsequence(&ROLES[..], 0..=3);
    let user = (roles, prop::collection::vec(entry(), 0..4), parents(), shared);
    let document = (0..NODES.len(), any::<bool>(), [link(), link()], prop::collection::vec(link(), 0..3));
    (settings, prop::collection::vec(rule(), 0..4), user, document, 0..PTYPES.len()).prop_map(
        |(
            (strict, ignore, flags, modules),
            rules,
            (roles, entries, parents, shared),
            (name, own, links, lines),
            ptype,
        )| Case {
            strict: [StrictMode::Off, StrictMode::BlankLinks, StrictMode::DenyByDefault][strict],
            rules,
            ignore,
            node_denied_by_default: flags.0,
            lifecycle: flags.1,
            enabled: flags.2,
            check_child_links: flags.3,
            disable_document_sharing: flags.4,
            enforce_module_access: modules.0,
            module_blocked: modules.1,
            shared: shared.into_iter().flatten().map(str::to_owned).collect(),
            roles: roles.into_iter().map(str::to_owned).collect(),
            entries,
            parents,
            document: Document {
                name: NODES[name].to_owned(),
                owner: if own { USER } else { "other@x" }.to_owned(),
                links,
                lines,
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
            docstatus_column: self.lifecycle.then(|| "docstatus".to_owned()),
            module: Some("Selling".to_owned()),
            deny_by_default: true,
            links: vec![link(0), link(1)],
            rules: self.rules.clone(),
            ..Default::default()
        };
        let node = Doctype {
            name: "Node".to_owned(),
            name_column: "name".to_owned(),
            tree_parent_column: Some("parent".to_owned()),
            module: Some("Stock".to_owned()),
            deny_by_default: self.node_denied_by_default,
            ..Default::default()
        };
        let line = Doctype {
            name: "Order Line".to_owned(),
            parentage: Some(Parentage {
                column: "parent".to_owned(),
                doctype: None,
                type_column: Some("parenttype".to_owned()),
            }),
            links: vec![LinkField {
                column: "line_link".to_owned(),
                target: "Node".to_owned(),
                ignore_user_permissions: false,
            }],
            ..Default::default()
        };
        let role = |disabled| Role { desk_access: true, disabled };
        Model {
            doctypes: [order, node, line]
                .into_iter()
                .map(|doctype| (doctype.name.clone(), doctype))
                .collect(),
            roles: [
                ("R1".to_owned(), role(false)),
                ("R2".to_owned(), role(false)),
                ("Off".to_owned(), role(true)),
            ]
            .into(),
            strict: self.strict,
            check_child_links: self.check_child_links,
            disable_document_sharing: self.disable_document_sharing,
            enforce_module_access: self.enforce_module_access,
            ..Default::default()
        }
    }

    /// Of the module of orders, and of that of nodes: it closes none of their links.
    fn user(&self) -> User {
        let blocked: &[&str] = if self.module_blocked { &["Selling", "Stock"] } else { &["Stock"] };
        User::new(USER, self.enabled, self.roles.clone(), self.entries.clone())
            .without_modules(blocked.iter().map(|module| (*module).to_owned()).collect())
    }

    fn is_closed(&self) -> bool {
        self.enforce_module_access && self.module_blocked
    }

    fn facts(&self) -> PlainFacts {
        let parent = |i: usize| self.parents[i].map(|parent| NODES[parent].to_owned());
        let nodes = NODES.iter().enumerate().map(|(i, node)| ((*node).to_owned(), parent(i)));
        let shares =
            Shares::new((!self.shared.is_empty()).then_some((self.document.name.as_str(), &self.shared[..])));
        PlainFacts {
            trees: [("Node".to_owned(), Rc::new(Tree::from_parents(nodes)))].into(),
            shares: [("Order".to_owned(), Rc::new(shares))].into(),
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

    fn expected(&self, ptype: &str) -> bool {
        let shared_as = if ptype == "print" { "read" } else { ptype };
        let shared = self.shared.iter().any(|right| right == shared_as);
        if !self.enabled || self.is_closed() || ptype == "share" && self.disable_document_sharing {
            return false;
        }
        shared || self.granted(ptype)
    }

    /// Granted on own documents, of which this is one.
    fn is_owner_only(&self, ptype: &str) -> bool {
        let without_links = Case {
            check_child_links: false,
            ignore: [true; 2],
            entries: vec![],
            strict: StrictMode::Off,
            ..self.clone()
        };
        let stranger = Case {
            document: Document { owner: "other@x".to_owned(), ..self.document.clone() },
            ..without_links.clone()
        };
        without_links.granted(ptype) && !stranger.granted(ptype)
    }

    fn granted(&self, ptype: &str) -> bool {
        let customised = self.rules.iter().any(|rule| rule.custom);
        let counts = |rule: &&Rule| {
            let held = rule.role == "All" || rule.role != "Off" && self.roles.contains(&rule.role);
            rule.permlevel == 0
                && rule.custom == customised
                && held
                && rule.rights.iter().any(|right| right == ptype)
        };
        if self.is_closed() || ptype == "import" || ptype == "submit" && !self.lifecycle {
            return false;
        }
        let granting: Vec<&Rule> = self.rules.iter().filter(counts).collect();
        let free = granting.iter().any(|rule| !rule.if_owner) || ptype == "create" && !granting.is_empty();
        let own = self.document.owner == USER;
        let up_ok = self.passes("Order", Some(&self.document.name), false)
            && (0..2).all(|i| self.ignore[i] || self.passes("Node", self.document.links[i].as_deref(), true))
            && (!self.check_child_links
                || self.document.lines.iter().all(|line| self.passes("Node", line.as_deref(), true)));
        if free { up_ok } else { !granting.is_empty() && own }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decision_is_the_closed_form(case in case()) {
        let model = case.model();
        let user = case.user();
        let (facts, ptype) = (case.facts(), PTYPES[case.ptype]);
        let question = Question { model: &model, name: USER, user: Some(&user), facts: &facts };
        let decision = question.decide("Order", ptype, Asking::default()).unwrap();
        let mut document = case.document.clone();
        let answer = decision.predicate().matches(&mut document).unwrap();
        prop_assert_eq!(answer, case.expected(ptype));
        prop_assert_eq!(tell::tell_grant(&decision, &mut document).unwrap().is_some(), answer);

        // What is told ends with what was decided.
        let steps = tell::tell(&decision, Some(&user), &facts, tell::Subject::Document { name: &case.document.name, row: &mut document, may_show: &|_| true }).unwrap();
        let last = steps.last().unwrap();
        prop_assert_eq!((last.rule, last.verdict), ("result", if answer { "allowed" } else { "denied" }));
        if !answer {
            prop_assert!(steps.iter().any(|step| step.rule != "result" && matches!(step.verdict, "denied" | "failed")));
        }

        // A child row follows its document; what is written into it must be permitted, unless nothing limits the document.
        let row = question.decide("Order Line", ptype, Asking::default()).unwrap();
        for link in &case.document.lines {
            let mut line = Line { link: link.clone(), document: &case.document };
            let changes = ["create", "write", "delete"].contains(&ptype);
            let on_document = if changes { "write" } else { ptype };
            let checked = ["create", "write"].contains(&ptype) && case.check_child_links;
            let unlimited = case.expected(on_document) && !case.granted(on_document) || case.is_owner_only(on_document);
            let fits = !checked || unlimited || case.passes("Node", link.as_deref(), true);
            prop_assert_eq!(row.predicate().matches(&mut line).unwrap(), case.expected(on_document) && fits);
        }
    }
}

#[test]
fn administrator_passes_and_nobody_does_not() {
    let model = Model {
        doctypes: [("D".to_owned(), Doctype { name: "D".to_owned(), ..Default::default() })].into(),
        ..Default::default()
    };
    let facts = PlainFacts::default();
    let ask = |name, user, doctype, ptype| {
        Question { model: &model, name, user, facts: &facts }.decide(doctype, ptype, Asking::default())
    };
    let administrator = User::new("Administrator", false, vec![], vec![]);
    let decision = ask("Administrator", Some(&administrator), "D", "submit").unwrap();
    assert!(matches!(decision.predicate(), Predicate::Always));
    let nobody = ask("gone@x", None, "D", "read").unwrap();
    assert!(matches!(nobody.predicate(), Predicate::Never));
    assert!(!nobody.at_doctype_level());
    let unknown = ask("Administrator", Some(&administrator), "E", "read");
    assert_eq!(unknown.unwrap_err(), Undecidable::UnknownDoctype("E".to_owned()));
}
