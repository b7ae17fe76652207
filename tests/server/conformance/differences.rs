//! Where docperm answers otherwise than Frappe 15 did, on purpose, and why.
//!
//! Whatever is not here has to agree. An entry that does not come up any more fails its case, too.

/// One such answer.
pub struct Difference {
    /// The numbers of the cases.
    pub cases: &'static [&'static str],
    pub user: &'static str,
    /// `*`: every doctype.
    pub doctype: &'static str,
    /// What was asked: `document NAME` for the rights on it, `doctype` for the rights without one, the action, or the list.
    /// `*`: the rights, with and without a document.
    pub about: &'static str,
    /// What docperm answers.
    pub instead: &'static str,
    pub reason: &'static str,
}

const DISABLED: &str = "a disabled user has no right at all; in Frappe only his login is stopped";
const OLD_ROW: &str =
    "an UPDATE is checked on the row as it was, too, and may not drag a forbidden row into sight";
const TREE_GROWS: &str =
    "a tree grows under permitted nodes, as in Frappe 17; Frappe 15 refuses every new node";
const OWNER_EXACT: &str = "the owner is compared exactly, so that an index serves it";
const SHARE_IMPLIES: &str = "the row was written past the checks that make a share complete; here every way of writing \
                             a share adds what it implies: read, and write for submit";
const WHERE_READS: &str = "a statement that picks its row with WHERE reads it, and PostgreSQL asks for the right to; \
                           has_permission, and statements without WHERE, answer as Frappe does";
const FOREIGN_KEYS: &str = "he may delete it; whether anything refers to it is the concern of foreign keys";
const AMEND: &str =
    "the right amend is enforced; Frappe checks it in its user interface alone, and create suffices";
const DESK_ACCESS: &str =
    "a disabled role is not held and gives no desk access; Frappe notices when the user is saved next";
const JOINS: &str =
    "every table of a query is filtered, also one that is joined: a hidden document's title stays hidden";
const EVERY_LEVEL: &str = "the Administrator has every level, also one of which there is no rule";
const LEVELS_FILTER: &str = "what may not be read may not be filtered by either, as in Frappe 17";

#[rustfmt::skip]
pub const DIFFERENCES: &[Difference] = &[
    Difference { cases: &["26"], user: "off@x.test", doctype: "*", about: "*", instead: "", reason: DISABLED },
    Difference { cases: &["26"], user: "off_owner@x.test", doctype: "*", about: "*", instead: "", reason: DISABLED },
    Difference { cases: &["27"], user: "sysoff@x.test", doctype: "*", about: "*", instead: "", reason: DISABLED },
    Difference { cases: &["26"], user: "off@x.test", doctype: "OR Order", about: "get O1",
                 instead: "refused", reason: DISABLED },
    Difference { cases: &["26"], user: "off@x.test", doctype: "OR Order", about: "save O1",
                 instead: "refused", reason: DISABLED },

    Difference { cases: &["43"], user: "a@x.test", doctype: "OR Order", about: "save O-C2 customer=C1",
                 instead: "refused", reason: OLD_ROW },
    Difference { cases: &["43"], user: "a@x.test", doctype: "OR Order", about: "save O-C2 customer=NULL",
                 instead: "refused", reason: OLD_ROW },

    Difference { cases: &["53", "54"], user: "tree@x.test", doctype: "OR Territory",
                 about: "insert T-under-north is_group=1 parent_or_territory=North",
                 instead: "allowed: owner=tree@x.test", reason: TREE_GROWS },

    Difference { cases: &["39"], user: "own@x.test", doctype: "OR Order", about: "document O-ownercase",
                 instead: "", reason: OWNER_EXACT },

    Difference { cases: &["23", "24"], user: "rawwrite@x.test", doctype: "OR Order", about: "document O6",
                 instead: "read write print email", reason: SHARE_IMPLIES },
    Difference { cases: &["53", "54"], user: "sharesub@x.test", doctype: "OR Sub", about: "document S1",
                 instead: "read write submit print email", reason: SHARE_IMPLIES },
    Difference { cases: &["53", "54"], user: "sharesub@x.test", doctype: "OR Sub", about: "doctype",
                 instead: "read write submit print email", reason: SHARE_IMPLIES },
    Difference { cases: &["53", "54"], user: "sharesub@x.test", doctype: "OR Sub", about: "submit S1",
                 instead: "allowed", reason: SHARE_IMPLIES },
    Difference { cases: &["53", "54"], user: "sharesub@x.test", doctype: "OR Sub", about: "save S1",
                 instead: "allowed: owner=Administrator", reason: SHARE_IMPLIES },

    Difference { cases: &["05", "06"], user: "b@x.test", doctype: "OR Order2", about: "save P-b-C2 customer=C2",
                 instead: "refused", reason: WHERE_READS },
    Difference { cases: &["05", "06"], user: "b@x.test", doctype: "OR Order2", about: "delete P-b-C2",
                 instead: "refused", reason: WHERE_READS },

    Difference { cases: &["53", "54"], user: "self@x.test", doctype: "OR Customer", about: "delete C1",
                 instead: "allowed", reason: FOREIGN_KEYS },


    Difference { cases: &["36"], user: "l0@x.test", doctype: "OR Order", about: "list where {\"f1\":\"b\"}",
                 instead: "refused", reason: LEVELS_FILTER },

    Difference { cases: &["37"], user: "Administrator", doctype: "OR Order", about: "SELECT customer",
                 instead: "shown", reason: EVERY_LEVEL },
    Difference { cases: &["29"], user: "own@x.test", doctype: "OR Sub", about: "amend S2A",
                 instead: "refused", reason: AMEND },
    Difference { cases: &["29"], user: "own@x.test", doctype: "OR Sub", about: "amend S2o",
                 instead: "refused", reason: AMEND },

    Difference { cases: &["45"], user: "r2@x.test", doctype: "User", about: "user_type",
                 instead: "Website User", reason: DESK_ACCESS },

    Difference { cases: &["48"], user: "a@x.test", doctype: "OR Order", about: "list name, customer, customer.title",
                 instead: "O1:t1 O2:NULL", reason: JOINS },
    Difference { cases: &["48"], user: "norole_on_customer@x.test", doctype: "OR Order",
                 about: "list name, customer, customer.title", instead: "O1:NULL O2:NULL", reason: JOINS },
];
