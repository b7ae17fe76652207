//! A decision in sentences, for those who administer and those who are refused.

use super::decide::{Decision, Standing};
use super::facts::Facts;
use super::levels::Levels;
use super::model::{Rule, User, UserPermission};
use super::predicate::Row;
use super::user_permissions::{ChildRestriction, Demand, Restriction};

/// One line of an explanation.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// What was looked at: `user`, `roles`, `module`, `rule`, `user permission`, `owner`, `share`, `parent`, `document`,
    /// `levels`, `state`, `result`.
    pub rule: &'static str,
    /// What came of it: `allowed`, `denied`, `passed`, `failed` or `noted`.
    pub verdict: &'static str,
    /// The reason, in words.
    pub detail: String,
}

fn step(rule: &'static str, verdict: &'static str, detail: impl Into<String>) -> Step {
    Step { rule, verdict, detail: detail.into() }
}

/// What the explanation may say about the document.
pub enum Subject<'r, R: Row> {
    /// No document was asked about.
    Doctype,
    /// A document that the reader of the explanation may see.
    Document {
        /// Its name.
        name: &'r str,
        /// What is in it.
        row: &'r mut R,
        /// Whether the reader may be shown what a column holds.
        may_show: &'r dyn Fn(&str) -> bool,
    },
    /// There is none of that name, or the reader may not know what is in it: the two look alike.
    Concealed {
        /// The name that was asked about.
        name: &'r str,
        /// The decision on it.
        allowed: bool,
    },
}

/// Tells a decision step by step; the last step is the result. `record` is the record of the user decided about.
pub fn tell<R: Row>(
    decision: &Decision,
    record: Option<&User>,
    facts: &dyn Facts,
    subject: Subject<R>,
) -> Result<Vec<Step>, R::Error> {
    let mut steps = vec![tell_standing(decision)];
    if decision.standing == Standing::Ordinary {
        steps.push(step(
            "roles",
            "noted",
            format!("{} has the roles {}.", decision.user, decision.roles.join(", ")),
        ));
        steps.extend(tell_rules(decision));
    }
    let (name, allowed) = match subject {
        Subject::Doctype => {
            steps.extend(tell_conditions(decision));
            ("documents", decision.at_doctype_level())
        }
        Subject::Concealed { name, allowed } => {
            steps.extend(tell_conditions(decision));
            if !allowed {
                let detail = "There is no such document, or it is outside what the steps above permit; which of the two, and \
                              what it holds, is told only to those who may read it.";
                steps.push(step("document", "noted", detail));
            }
            (name, allowed)
        }
        Subject::Document { name, row, may_show } => {
            steps.extend(tell_document(decision, record, facts, row, may_show)?);
            (name, decision.predicate().matches(row)?)
        }
    };
    let (verdict, may) = if allowed { ("allowed", "may") } else { ("denied", "may not") };
    let detail = format!("{} {may} {} {} {name}.", decision.user, decision.ptype, decision.doctype.name);
    steps.push(step("result", verdict, detail));
    Ok(steps)
}

/// What any document must satisfy.
fn tell_conditions(decision: &Decision) -> Vec<Step> {
    let of_row = decision.restrictions.iter().map(|restriction| tell_condition(decision, restriction));
    let of_children = decision.child_restrictions.iter().map(|children| {
        let columns: Vec<&str> =
            children.restrictions.iter().map(|restriction| restriction.column.as_str()).collect();
        let columns = columns.join(", ");
        let detail = format!("Every row in {} must name permitted documents in {columns}.", children.doctype);
        step("user permission", "noted", detail)
    });
    let of_shares = decision.shared.iter().map(|shared| {
        let detail = format!(
            "{} documents are shared with {}, whatever else is decided.",
            shared.len(),
            decision.user
        );
        step("share", "noted", detail)
    });
    let of_parents = decision.parents.iter().map(|parent| {
        let (child, document) = (&decision.doctype.name, &parent.decision);
        let detail = format!(
            "A row of {child} that belongs to a {} follows it: {}.",
            document.doctype.name, document.ptype
        );
        step("parent", "noted", detail)
    });
    of_row.chain(of_children).chain(of_shares).chain(of_parents).collect()
}

/// What this document satisfies and what it does not.
fn tell_document<R: Row>(
    decision: &Decision,
    record: Option<&User>,
    facts: &dyn Facts,
    row: &mut R,
    may_show: &dyn Fn(&str) -> bool,
) -> Result<Vec<Step>, R::Error> {
    let mut steps = vec![];
    for restriction in &decision.restrictions {
        steps.push(if may_show(&restriction.column) {
            tell_restriction(decision, restriction, record, facts, row)?
        } else {
            tell_outcome(decision, restriction, row)?
        });
    }
    for children in &decision.child_restrictions {
        steps.push(tell_children(decision, children, row)?);
    }
    if decision.grants.is_owner_only() {
        steps.push(tell_owner(decision, row, may_show)?);
    }
    if let Some(shared) = &decision.shared {
        let doctype = decision.doctype;
        let is_shared = row.is_one_of(&doctype.name_column, &doctype.name, shared)?;
        let (verdict, is) = if is_shared { ("passed", "is") } else { ("failed", "is not") };
        let detail = format!("The document {is} shared with {} for {}.", decision.user, decision.ptype);
        steps.push(step("share", verdict, detail));
    }
    if decision.standing == Standing::Ordinary && decision.doctype.parentage.is_some() {
        let belongs = decision.predicate().matches(row)?;
        let document = decision.parents.first().map_or(decision.ptype, |parent| parent.decision.ptype);
        let (verdict, may) = if belongs { ("passed", "may") } else { ("failed", "may not") };
        let detail = format!(
            "A row of {} follows the document that it belongs to, which {} {may} {document}.",
            decision.doctype.name, decision.user
        );
        steps.push(step("parent", verdict, detail));
    }
    Ok(steps)
}

fn tell_children<R: Row>(
    decision: &Decision,
    children: &ChildRestriction,
    row: &mut R,
) -> Result<Step, R::Error> {
    let passed = decision.condition_on_children(children).matches(row)?;
    let (verdict, every) = if passed { ("passed", "Every row") } else { ("failed", "Not every row") };
    let targets: Vec<&str> =
        children.restrictions.iter().map(|restriction| restriction.target.as_str()).collect();
    let detail = format!("{every} in {} names permitted {}.", children.doctype, targets.join(", "));
    Ok(step("user permission", verdict, detail))
}

/// By what a user has a right on a document, in a word, if the user has it.
pub fn tell_grant<R: Row>(decision: &Decision, row: &mut R) -> Result<Option<String>, R::Error> {
    if !decision.predicate().matches(row)? {
        return Ok(None);
    }
    let doctype = decision.doctype;
    if decision.standing == Standing::Administrator {
        return Ok(Some("Administrator".to_owned()));
    }
    if doctype.parentage.is_some() {
        return Ok(Some("parent document".to_owned()));
    }
    let roles = |rules: &[&Rule]| {
        let mut roles: Vec<&str> = rules.iter().map(|rule| rule.role.as_str()).collect();
        roles.dedup();
        roles.join(", ")
    };
    if let Some(shared) = &decision.shared
        && row.is_one_of(&doctype.name_column, &doctype.name, shared)?
        && !decision.limited().matches(row)?
        && !(decision.grants.is_owner_only() && decision.owns(row)?)
    {
        return Ok(Some("share".to_owned()));
    }
    Ok(Some(if decision.grants.is_free() {
        format!("role {}", roles(&decision.grants.free))
    } else {
        format!("owner, role {}", roles(&decision.grants.if_owner))
    }))
}

/// Which columns above level 0 are open and which are not.
pub fn tell_levels(decision: &Decision, levels: &Levels) -> Step {
    let columns = |is_open: bool| {
        let fields = decision.doctype.fields.iter();
        let wanted =
            fields.filter(|(_, field)| field.permlevel > 0 && levels.include(field.permlevel) == is_open);
        let named = wanted.map(|(column, field)| format!("{column} (level {})", field.permlevel));
        named.collect::<Vec<_>>().join(", ")
    };
    let (open, closed) = (columns(true), columns(false));
    let right = if decision.ptype == "read" { "read" } else { "write" };
    if closed.is_empty() {
        return step("levels", "passed", format!("{} may {right} every column, also {open}.", decision.user));
    }
    let open = if open.is_empty() { "none" } else { &open };
    let detail =
        format!("Of the columns above level 0, {} may {right} {open}, but not {closed}.", decision.user);
    step("levels", "noted", detail)
}

fn tell_standing(decision: &Decision) -> Step {
    let user = decision.user;
    match decision.standing {
        Standing::Administrator => step("user", "allowed", format!("{user} passes every check.")),
        Standing::Ordinary => step("user", "noted", format!("{user} is enabled.")),
        Standing::Disabled => step("user", "denied", format!("{user} is disabled and has no right at all.")),
        Standing::Unknown => step("user", "denied", format!("There is no user {user}.")),
    }
}

fn tell_rules(decision: &Decision) -> Vec<Step> {
    let (doctype, ptype) = (&decision.doctype.name, decision.ptype);
    if let Some(module) = decision.closed_module {
        let detail = format!(
            "{doctype} belongs to the module {module}, which is blocked for {}, and enforce_module_access is on.",
            decision.user
        );
        return vec![step("module", "denied", detail)];
    }
    let closed = decision.parents.iter().filter_map(|parent| {
        let document = &parent.decision;
        let module = document.closed_module?;
        let detail = format!(
            "{} belongs to the module {module}, which is blocked for {}, and with it the rows of {doctype} in its documents.",
            document.doctype.name, decision.user
        );
        Some(step("module", "failed", detail))
    });
    let closed: Vec<Step> = closed.collect();
    if !closed.is_empty() {
        return closed;
    }
    let grants = &decision.grants;
    let kind = |rule: &Rule| if rule.custom { "custom rule" } else { "rule" };
    let mut steps: Vec<Step> = grants
        .free
        .iter()
        .map(|rule| {
            let detail = format!("A {} of {doctype} for the role {} grants {ptype}.", kind(rule), rule.role);
            step("rule", "passed", detail)
        })
        .collect();
    if grants.is_free() {
        return steps;
    }
    for rule in &grants.if_owner {
        let detail = format!(
            "A {} of {doctype} for the role {} grants {ptype}, but only on the user's own documents; user permissions do not limit it.",
            kind(rule),
            rule.role
        );
        steps.push(step("rule", "passed", detail));
    }
    if steps.is_empty() && decision.doctype.parentage.is_none() {
        // A share may still grant it.
        let verdict = if decision.shared.is_some() { "failed" } else { "denied" };
        let detail = match ptype {
            "share" if decision.sharing_disabled => "The setting disable_document_sharing is on.".to_owned(),
            "submit" if !decision.doctype.is_submittable() => {
                format!("{doctype} has no docstatus column, so nothing is submitted.")
            }
            "import" if !decision.doctype.allow_import => format!("{doctype} does not allow import."),
            _ => format!("No rule of {doctype} grants {ptype} to any of these roles."),
        };
        steps.push(step("rule", verdict, detail));
    }
    steps
}

fn tell_condition(decision: &Decision, restriction: &Restriction) -> Step {
    let (column, target, user) = (&restriction.column, &restriction.target, decision.user);
    match &restriction.demand {
        Demand::Unattainable => tell_unattainable(decision, restriction),
        Demand::Permitted { allowed, blank_passes } => {
            let count = allowed.values.len();
            let blank = if *blank_passes { ", or be blank" } else { "" };
            let detail =
                format!("{column} must name one of the {count} {target} that {user} is permitted{blank}.");
            step("user permission", "noted", detail)
        }
    }
}

fn tell_unattainable(decision: &Decision, restriction: &Restriction) -> Step {
    let detail = format!(
        "{} links to {}, for which {} has no user permission, and strict_user_permissions is deny_by_default.",
        restriction.column, restriction.target, decision.user
    );
    step("user permission", "failed", detail)
}

fn tell_restriction<R: Row>(
    decision: &Decision,
    restriction: &Restriction,
    record: Option<&User>,
    facts: &dyn Facts,
    row: &mut R,
) -> Result<Step, R::Error> {
    let Demand::Permitted { blank_passes, .. } = &restriction.demand else {
        return Ok(tell_unattainable(decision, restriction));
    };
    let (column, target, user) = (&restriction.column, &restriction.target, decision.user);
    let passed = decision.condition(restriction).matches(row)?;
    let value = row.text(column)?.unwrap_or_default();
    let verdict = if passed { "passed" } else { "failed" };
    let detail = match (passed, row.is_blank(column)?) {
        (true, true) => format!("{column} is blank, and strict_user_permissions is off."),
        (false, true) if !blank_passes => {
            format!(
                "{column} is blank, and strict_user_permissions hides blank links from users restricted on {target}."
            )
        }
        (true, false) => {
            let why = record.and_then(|record| tell_entry(record, decision, target, &value, facts));
            let why = why.unwrap_or_else(|| "by a user permission".to_owned());
            format!("{column} is {value}, which {user} is permitted {why}.")
        }
        (false, _) => {
            format!("{column} is {value}, and {user} is permitted other documents of {target} only.")
        }
    };
    Ok(step("user permission", verdict, detail))
}

/// Whether a restriction is passed, and nothing of what the column holds.
fn tell_outcome<R: Row>(
    decision: &Decision,
    restriction: &Restriction,
    row: &mut R,
) -> Result<Step, R::Error> {
    let passed = decision.condition(restriction).matches(row)?;
    let (verdict, is) = if passed { ("passed", "is") } else { ("failed", "is not") };
    let detail = format!(
        "What {} holds {is} what {} is permitted; who asks may not SELECT it, or its level is closed to him.",
        restriction.column, decision.user
    );
    Ok(step("user permission", verdict, detail))
}

/// Names the entry that permits `value`: one for itself, or one for the nearest ancestor whose descendants it opens.
fn tell_entry(
    record: &User,
    decision: &Decision,
    target: &str,
    value: &str,
    facts: &dyn Facts,
) -> Option<String> {
    let applicable =
        |entry: &&UserPermission| &*entry.allow == target && entry.applies_to(&decision.doctype.name);
    let entry_for = |value: &str, below: bool| {
        record
            .user_permissions
            .iter()
            .filter(applicable)
            .find(|entry| entry.for_value == value && !(below && entry.hide_descendants))
    };
    let scope = |entry: &UserPermission| match &entry.applicable_for {
        Some(only) => format!(", applicable for {only}"),
        None => String::new(),
    };
    if let Some(entry) = entry_for(value, false) {
        return Some(format!("by the user permission on {target} {value}{}", scope(entry)));
    }
    let tree = facts.tree(target)?;
    let mut node = value;
    for _ in 0..10_000 {
        node = tree.parent(node)?;
        if let Some(entry) = entry_for(node, true) {
            return Some(format!("as a descendant of {node}, by the user permission on it{}", scope(entry)));
        }
    }
    None
}

fn tell_owner<R: Row>(
    decision: &Decision,
    row: &mut R,
    may_show: &dyn Fn(&str) -> bool,
) -> Result<Step, R::Error> {
    let Some(column) = &decision.doctype.owner_column else {
        let detail = format!("{} has no owner column, so nobody owns its documents.", decision.doctype.name);
        return Ok(step("owner", "failed", detail));
    };
    let owner = row.text(column)?;
    let is_own = decision.owns(row)?;
    let detail = match &owner {
        _ if !may_show(column) => {
            format!(
                "Who the document's owner is stands in {column}, which who asks may not SELECT, or whose level is closed to him."
            )
        }
        Some(owner) => format!("The document's owner is {owner}."),
        None => "The document has no owner.".to_owned(),
    };
    Ok(step("owner", if is_own { "passed" } else { "failed" }, detail))
}
