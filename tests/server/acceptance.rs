//! Frappe's own acceptance cases about rows, shares, lists and user permissions, numbered as in tests/acceptance.md,
//! which says of the missing numbers why they are missing.
//!
//! Most play on a blog: posts in a category, by a blogger. `sees` and `may` ask in every way that docperm has.

use crate::support::{World, explain, literal, names, one, refused_with, sorted, texts};

const MANAGER: &str = "manager@blog.test";
const WRITER: &str = "writer@blog.test";
const SELLER: &str = "seller@blog.test";

const ALL: [&str; 4] = ["post0", "post1", "post2", "post3"];

const BLOG: &str = "
    CREATE TABLE category (name text PRIMARY KEY);
    CREATE TABLE blogger  (name text PRIMARY KEY);
    CREATE TABLE post     (name text PRIMARY KEY, owner text, category text REFERENCES category,
                           blogger text REFERENCES blogger);
    INSERT INTO category VALUES ('C0'), ('C1'), ('C2');
    INSERT INTO blogger  VALUES ('B0'), ('B1'), ('B2');
    INSERT INTO post VALUES ('post0', 'Administrator', 'C0', 'B0'), ('post1', 'Administrator', 'C1', 'B1'),
                            ('post2', 'Administrator', 'C1', 'B2'), ('post3', 'Administrator', 'C0', 'B1');
    SELECT docperm.protect('category', 'Category');
    SELECT docperm.protect('blogger', 'Blogger');
    SELECT docperm.protect('post', 'Post', owner_column => 'owner');";

/// The manager may read, write, create and share posts, the writer read, write and create them, the seller nothing.
fn blog() -> World {
    let mut w = World::new(BLOG);
    w.user(MANAGER, &["Website Manager", "System Manager"]);
    w.user(WRITER, &["Writer"]);
    w.user(SELLER, &["Sales User"]);
    w.rule("Post", "Website Manager", "{read,write,create,share}");
    w.rule("Post", "Writer", "{read,write,create}");
    w
}

/// The blog, where writers have rights on their own posts only.
fn blog_of_owners(rights: &str) -> World {
    let mut w = blog();
    w.sql("DELETE FROM docperm.role_permissions WHERE role = 'Writer'");
    w.rule_if_owner("Post", "Writer", rights);
    w
}

/// The blog with comments, a child table of posts: one below each post.
fn blog_with_comments() -> World {
    let mut w = blog();
    w.sql(
        "CREATE TABLE comment (name text PRIMARY KEY, parent text, parenttype text);
         INSERT INTO comment SELECT 'on ' || name, name, 'Post' FROM post;
         SELECT docperm.protect('comment', 'Comment', parent_doctype => 'Post', parent_column => 'parent',
                                parenttype_column => 'parenttype')",
    );
    w.grant_tables();
    w
}

/// The only value of a query of `user`.
#[track_caller]
fn asked(w: &World, user: &str, query: &str) -> String {
    one(&mut w.acting(user), query)
}

/// Whether `user` has the right on the doctype, no document given.
#[track_caller]
fn at_doctype_level(w: &World, user: &str, right: &str) -> bool {
    asked(w, user, &format!("SELECT docperm.has_permission('Post', {})", literal(right))) == "t"
}

/// Shares a post, acting as `user`; the SQLSTATE of the refusal, if it is refused.
#[track_caller]
fn share(w: &World, user: &str, post: &str, with: &str, rights: &str) -> Result<(), String> {
    let (post, with, rights) = (literal(post), literal(with), literal(rights));
    let call = format!("SELECT docperm.share('Post', {post}, user_name => {with}, rights => {rights})");
    tried(w, user, &call)
}

/// Runs a statement as `user`; the SQLSTATE of the refusal, if it is refused.
#[track_caller]
fn tried(w: &World, user: &str, statement: &str) -> Result<(), String> {
    crate::support::attempt(&mut w.acting(user), statement).map(|_| ()).map_err(|error| error.sqlstate)
}

/// What [`tried`] and [`share`] return of a denial.
fn refused<T>() -> Result<T, String> {
    Err("42501".to_owned())
}

/// Takes all rules of a doctype away.
fn without_rules(w: &mut World, doctype: &str) {
    w.sql(&format!("DELETE FROM docperm.role_permissions WHERE doctype = {}", literal(doctype)));
}

// Roles, rules, documents

#[test]
fn case_01_basic_permission() {
    let mut w = blog();
    assert_eq!(w.sees(MANAGER, "Post"), ALL);
    assert!(w.sees(SELLER, "Post").is_empty());
}

#[test]
fn case_02_select_permission() {
    let mut w = blog();
    w.user("picker@blog.test", &["Picker"]);
    w.rule("Post", "Picker", "{select}");
    assert!(w.sees("picker@blog.test", "Post").is_empty());
    assert_eq!(w.may("picker@blog.test", "Post", "select"), ALL);
    assert_eq!(
        w.try_as("picker@blog.test", "UPDATE post SET category = 'C2' WHERE name = 'post0'").unwrap(),
        0
    );
    let offered = "SELECT name, title FROM docperm.link_options('Post')";
    assert_eq!(names(&mut w.acting("picker@blog.test"), offered).len(), 4);
    assert!(names(&mut w.acting(SELLER), offered).is_empty());
}

#[test]
fn case_03_user_permissions_in_doc() {
    let mut w = blog();
    w.allow(WRITER, "Category", "C1");
    assert_eq!(w.sees(WRITER, "Post"), ["post1", "post2"]);
    assert_eq!(w.may(WRITER, "Post", "write"), ["post1", "post2"]);
}

#[test]
fn case_04_user_link_match_doc() {
    let mut w = blog();
    w.allow(WRITER, "Blogger", "B1");
    assert_eq!(w.sees(WRITER, "Post"), ["post1", "post3"]);
}

#[test]
fn case_05_user_permissions_if_applied_on_doc_being_evaluated() {
    let mut w = blog();
    assert_eq!(w.sees(WRITER, "Post"), ALL);
    w.allow(WRITER, "Post", "post0");
    assert_eq!(w.sees(WRITER, "Post"), ["post0"]);
}

#[test]
fn case_06_read_if_explicit_user_permissions_are_set() {
    let mut w = blog();
    w.allow(WRITER, "Post", "post1");
    assert_eq!(w.sees(WRITER, "Post"), ["post1"]);
    w.allow(WRITER, "Post", "post3");
    assert_eq!(w.sees(WRITER, "Post"), ["post1", "post3"]);
    assert_eq!(w.sees(MANAGER, "Post"), ALL, "others are not concerned");
}

const RESTRICT_WRITER: &str = "SELECT docperm.apply_user_permission(
    user_name => 'writer@blog.test', allow => 'Category', for_value => 'C1', apply_to_all => true)";

#[test]
fn case_07_set_user_permissions() {
    let mut w = blog();
    assert_eq!(tried(&w, WRITER, RESTRICT_WRITER), refused());
    assert_eq!(w.sees(WRITER, "Post"), ALL);
    assert_eq!(asked(&w, MANAGER, RESTRICT_WRITER), "t");
    assert_eq!(w.sees(WRITER, "Post"), ["post1", "post2"]);
}

#[test]
fn case_08_not_allowed_to_remove_user_permissions() {
    let mut w = blog();
    w.allow(WRITER, "Category", "C1");
    let clear = "SELECT docperm.clear_user_permissions('writer@blog.test', 'Category')";
    assert_eq!(tried(&w, WRITER, clear), refused());
    assert_eq!(tried(&w, WRITER, "DELETE FROM docperm.user_permissions"), refused());
    assert_eq!(w.sees(WRITER, "Post"), ["post1", "post2"]);
}

#[test]
fn case_09_user_permission_doctypes() {
    let mut w = blog();
    w.allow(WRITER, "Category", "C1");
    w.allow(WRITER, "Blogger", "B1");
    assert_eq!(w.sees(WRITER, "Post"), ["post1"]);
}

#[test]
fn case_10_insert_if_owner_with_user_permissions() {
    let mut w = blog_of_owners("{read,write,create}");
    w.allow(WRITER, "Category", "C1");
    w.allow(WRITER, "Blogger", "B1");
    let insert = "INSERT INTO post VALUES ('mine', 'writer@blog.test', 'C0', 'B1')";
    assert_eq!(w.denied(WRITER, insert), "42501");
    w.allow(WRITER, "Category", "C0");
    w.acting(WRITER).batch_execute(insert).unwrap();
    assert_eq!(w.may(WRITER, "Post", "create"), ["mine", "post1", "post3"]);
    w.sql("DELETE FROM docperm.user_permissions WHERE for_value = 'C0'");
    assert_eq!(w.sees(WRITER, "Post"), ["mine"], "what is had as its owner, no user permission takes away");
    assert_eq!(w.may(WRITER, "Post", "write"), ["mine"]);
    assert_eq!(w.may(WRITER, "Post", "create"), ["post1"]);
}

#[test]
fn case_11_ignore_user_permissions_if_missing() {
    let mut w = blog();
    w.allow(WRITER, "Category", "C0");
    let insert = "INSERT INTO post VALUES ('new', 'writer@blog.test', 'C2', 'B0')";
    assert_eq!(w.denied(WRITER, insert), "42501");
    w.sql("DELETE FROM docperm.user_permissions");
    assert_eq!(w.try_as(WRITER, insert).unwrap(), 1);
}

#[test]
fn case_12_strict_user_permissions() {
    let mut w = blog();
    w.sql(
        "CREATE TABLE salutation (name text PRIMARY KEY);
         CREATE TABLE contact (name text PRIMARY KEY, salutation text REFERENCES salutation);
         INSERT INTO salutation VALUES ('Mr'), ('Ms');
         INSERT INTO contact VALUES ('blank', NULL), ('man', 'Mr'), ('woman', 'Ms');
         SELECT docperm.protect('salutation', 'Salutation'), docperm.protect('contact', 'Contact')",
    );
    w.grant_tables();
    w.rule("Contact", "Sales User", "{read}");
    w.allow(SELLER, "Salutation", "Mr");
    assert_eq!(w.sees(SELLER, "Contact"), ["blank", "man"]);
    w.strict("blank_links");
    assert_eq!(w.sees(SELLER, "Contact"), ["man"]);
}

#[test]
fn case_13_user_permission_is_not_applied_if_user_roles_does_not_have_permission() {
    let mut w = blog();
    w.allow(SELLER, "Post", "post1");
    assert!(w.sees(SELLER, "Post").is_empty(), "user permissions grant nothing");
    w.sql(&format!("INSERT INTO docperm.user_roles VALUES ('{SELLER}', 'Writer')"));
    assert_eq!(w.sees(SELLER, "Post"), ["post1"]);
}

#[test]
fn case_14_if_owner_permission_overrides_properly() {
    let mut w = blog_of_owners("{read,write,create,delete}");
    w.user("stranger@blog.test", &["Writer"]);
    w.sql(&format!("UPDATE post SET owner = '{WRITER}' WHERE name = 'post0'"));
    assert!(w.sees("stranger@blog.test", "Post").is_empty());
    assert_eq!(w.sees(WRITER, "Post"), ["post0"]);
    w.rule("Post", "Writer", "{read}");
    assert_eq!(w.sees("stranger@blog.test", "Post"), ALL);
    for right in ["write", "delete"] {
        assert!(w.may("stranger@blog.test", "Post", right).is_empty(), "{right}");
        assert_eq!(w.may(WRITER, "Post", right), ["post0"], "{right}");
    }
}

#[test]
fn case_15_if_owner_permission_on_getdoc() {
    let mut w = blog_of_owners("{read}");
    w.user("stranger@blog.test", &["Writer"]);
    w.sql(&format!("UPDATE post SET owner = '{WRITER}' WHERE name = 'post0'"));
    let open = "SELECT count(*) FROM post WHERE name = 'post0'";
    assert_eq!(asked(&w, WRITER, open), "1");
    assert_eq!(asked(&w, "stranger@blog.test", open), "0");
}

#[test]
fn case_16_if_owner_permission_on_delete() {
    let mut w = blog();
    w.rule_if_owner("Post", "Writer", "{read,delete}");
    w.sql(&format!("UPDATE post SET owner = '{WRITER}' WHERE name = 'post0'"));
    let delete = "DELETE FROM post WHERE name = 'post0'";
    assert_eq!(w.try_as(MANAGER, delete).unwrap(), 0);
    assert_eq!(w.try_as(WRITER, delete).unwrap(), 1);
    assert_eq!(w.try_as(WRITER, "DELETE FROM post WHERE name = 'post1'").unwrap(), 0);
}

#[test]
fn case_19_child_permissions() {
    let mut w = blog_with_comments();
    w.allow(WRITER, "Category", "C1");
    w.rule("Blogger", "Writer", "{read}");
    w.sql(
        "INSERT INTO comment VALUES ('elsewhere', 'B1', 'Blogger'), ('on a comment', 'on post1', 'Comment'),
                                    ('on nothing', NULL, 'Post'), ('of nobody', 'post1', NULL),
                                    ('of a stranger', 'post1', 'Nonsense'), ('orphan', 'gone', 'Post')",
    );
    let seen = names(&mut w.acting(WRITER), "SELECT name FROM comment");
    assert_eq!(seen, ["on post1", "on post2"]);
    let asked_for = names(
        &mut w.acting(WRITER),
        "SELECT c FROM unnest('{on post0,on post1,on post2,elsewhere,on a comment,on nothing,of nobody,of a stranger,
                                orphan}'::text[]) AS t(c) WHERE docperm.has_permission('Comment', 'read', c)",
    );
    assert_eq!(asked_for, seen);
    assert!(names(&mut w.acting(SELLER), "SELECT name FROM comment").is_empty());
}

#[test]
fn case_20_automatic_permissions() {
    let mut w = blog();
    without_rules(&mut w, "Post");
    w.rule("Post", "Guest", "{read}");
    w.rule("Category", "All", "{read}");
    w.rule("Blogger", "Desk User", "{read}");
    w.user("portal@blog.test", &[]);
    let mut seen = |user: &str| ["Post", "Category", "Blogger"].map(|doctype| w.sees(user, doctype).len());
    assert_eq!(seen("Guest"), [4, 0, 0]);
    assert_eq!(seen("portal@blog.test"), [4, 3, 0]);
    assert_eq!(seen(WRITER), [4, 3, 3]);
    assert_eq!(seen("Administrator"), [4, 3, 3]);
}

#[test]
fn case_21_doctypes_with_read() {
    let mut w = blog();
    without_rules(&mut w, "Post");
    w.rule("Post", "Writer", "{select}");
    assert!(!at_doctype_level(&w, WRITER, "read"));
    assert!(at_doctype_level(&w, WRITER, "select"));
    w.rule_if_owner("Post", "Writer", "{read}");
    assert!(at_doctype_level(&w, WRITER, "read"), "a list of one's own can be opened");
}

#[test]
fn case_22_overrides_work_as_expected() {
    let mut w = blog();
    without_rules(&mut w, "Post");
    w.rule("Post", "Desk User", "{read}");
    w.user("auditor@blog.test", &["Auditor"]);
    assert_eq!(w.sees(WRITER, "Post"), ALL);
    w.sql(
        "SELECT docperm.customize('Post');
         INSERT INTO docperm.role_permissions (doctype, role, custom, rights) VALUES ('Post', 'Auditor', true, '{read}');
         DELETE FROM docperm.role_permissions WHERE custom AND role = 'Desk User'",
    );
    assert!(w.sees(WRITER, "Post").is_empty());
    assert_eq!(w.sees("auditor@blog.test", "Post"), ALL);
    w.sql("SELECT docperm.reset('Post')");
    assert_eq!(w.sees(WRITER, "Post"), ALL);
}

#[test]
fn case_23_disable_role() {
    let mut w = blog();
    w.sql("UPDATE docperm.roles SET disabled = true WHERE name = 'Writer'");
    assert!(w.sees(WRITER, "Post").is_empty());
    w.sql("UPDATE docperm.roles SET disabled = false WHERE name = 'Writer'");
    assert_eq!(w.sees(WRITER, "Post"), ALL);
}

#[test]
fn case_24_approve_ptype() {
    let mut w = blog();
    let approve = "SELECT docperm.has_permission('Post', 'approve', 'post0')";
    assert_eq!(refused_with(&mut w.acting(WRITER), approve), "42704");
    w.sql("INSERT INTO docperm.rights (name) VALUES ('approve')");
    assert_eq!(asked(&w, WRITER, approve), "f");
    w.sql("UPDATE docperm.role_permissions SET rights = rights || '{approve}' WHERE role = 'Writer'");
    assert_eq!(asked(&w, WRITER, approve), "t");
    assert_eq!(asked(&w, MANAGER, approve), "f");
    assert_eq!(refused_with(&mut w.admin, "INSERT INTO docperm.rights (name) VALUES ('read')"), "23505");
}

#[test]
fn case_25_select_user() {
    let mut w = blog();
    w.sql(
        "CREATE TABLE gender (name text PRIMARY KEY);
         CREATE TABLE person (name text PRIMARY KEY, gender text REFERENCES gender);
         INSERT INTO gender VALUES ('Female'), ('Male');
         INSERT INTO person VALUES ('ann', 'Female'), ('bob', 'Male'), ('eve', 'Female');
         SELECT docperm.protect('gender', 'Gender'), docperm.protect('person', 'Person')",
    );
    w.grant_tables();
    w.rule("Person", "Sales User", "{select,read}");
    w.allow(SELLER, "Gender", "Female");
    assert_eq!(w.sees(SELLER, "Person"), ["ann", "eve"]);
    let offered = names(&mut w.acting(SELLER), "SELECT name FROM docperm.link_options('Person')");
    assert_eq!(offered, ["ann", "eve"]);
}

// Shares

#[test]
fn case_26_a_shared_document_is_listed() {
    let mut w = blog();
    assert!(w.sees(SELLER, "Post").is_empty());
    share(&w, MANAGER, "post1", SELLER, "{read}").unwrap();
    assert_eq!(w.sees(SELLER, "Post"), ["post1"]);
}

#[test]
fn case_27_a_share_opens_its_document_only() {
    let mut w = blog();
    share(&w, MANAGER, "post0", WRITER, "{read}").unwrap();
    assert!(w.sees(SELLER, "Post").is_empty());
    share(&w, MANAGER, "post1", SELLER, "{read}").unwrap();
    assert_eq!(w.sees(SELLER, "Post"), ["post1"]);
    assert_eq!(w.may(SELLER, "Post", "print"), ["post1"]);
    assert!(w.may(SELLER, "Post", "write").is_empty());
}

#[test]
fn case_28_list_permission() {
    let mut w = blog();
    assert!(!at_doctype_level(&w, SELLER, "read"));
    share(&w, MANAGER, "post1", SELLER, "{read}").unwrap();
    assert!(at_doctype_level(&w, SELLER, "read"));
    assert_eq!(w.sees(SELLER, "Post"), ["post1"]);
    w.sql("DELETE FROM post WHERE name = 'post1'");
    assert!(!at_doctype_level(&w, SELLER, "read"));
    w.sql("INSERT INTO post VALUES ('post1', 'Administrator', 'C1', 'B1')");
    assert!(w.sees(SELLER, "Post").is_empty(), "the share went with its document");
}

#[test]
fn case_29_rights_of_a_share_imply_read() {
    let mut w = blog();
    share(&w, MANAGER, "post1", SELLER, "{write,share}").unwrap();
    for right in ["share", "read", "write"] {
        assert_eq!(w.may(SELLER, "Post", right), ["post1"], "{right}");
    }
    w.sql(&format!(
        "INSERT INTO docperm.shares (doctype, document, user_name, rights)
         VALUES ('Post', 'post2', '{SELLER}', '{{share}}')"
    ));
    assert_eq!(w.sees(SELLER, "Post"), ["post1", "post2"]);
}

#[test]
fn case_30_a_right_is_added_to_a_share() {
    let mut w = blog();
    share(&w, MANAGER, "post1", SELLER, "{read}").unwrap();
    assert!(w.may(SELLER, "Post", "share").is_empty());
    share(&w, MANAGER, "post1", SELLER, "{share}").unwrap();
    assert_eq!(w.may(SELLER, "Post", "share"), ["post1"]);
    assert_eq!(one(&mut w.admin, "SELECT count(*) FROM docperm.shares"), "1");
}

#[test]
fn case_31_permission_to_share() {
    let mut w = blog();
    assert_eq!(share(&w, WRITER, "post1", SELLER, "{read}"), refused());
    assert!(w.sees(SELLER, "Post").is_empty());
    share(&w, MANAGER, "post1", WRITER, "{share}").unwrap();
    share(&w, WRITER, "post1", SELLER, "{read}").unwrap();
    assert_eq!(w.sees(SELLER, "Post"), ["post1"]);
    assert_eq!(share(&w, WRITER, "post2", SELLER, "{read}"), refused());
}

#[test]
fn case_32_remove_share() {
    let mut w = blog();
    share(&w, MANAGER, "post1", SELLER, "{write}").unwrap();
    assert_eq!(w.may(SELLER, "Post", "write"), ["post1"]);
    asked(&w, MANAGER, &format!("SELECT docperm.unshare('Post', 'post1', '{SELLER}')"));
    assert!(w.may(SELLER, "Post", "write").is_empty());
    assert!(w.sees(SELLER, "Post").is_empty());
}

#[test]
fn case_33_share_with_everyone() {
    let mut w = blog();
    w.user("nobody@blog.test", &[]);
    asked(&w, MANAGER, "SELECT docperm.share('Post', 'post1', everyone => true)");
    assert_eq!(w.sees(SELLER, "Post"), ["post1"]);
    assert_eq!(w.sees("nobody@blog.test", "Post"), ["post1"]);
    assert!(w.sees("Guest", "Post").is_empty());
    w.sql("UPDATE docperm.shares SET rights = array_remove(rights, 'read')");
    assert!(w.sees(SELLER, "Post").is_empty());
    assert!(w.sees("nobody@blog.test", "Post").is_empty());
    assert_eq!(
        one(&mut w.admin, "SELECT count(*) FROM docperm.shares"),
        "0",
        "a share of nothing is no share"
    );
}

#[test]
fn case_34_share_with_submit_perm() {
    let mut w = blog();
    w.sql(
        "CREATE TABLE invoice (name text PRIMARY KEY, docstatus int NOT NULL DEFAULT 0);
         INSERT INTO invoice VALUES ('I1'), ('I2');
         SELECT docperm.protect('invoice', 'Invoice', docstatus_column => 'docstatus')",
    );
    w.grant_tables();
    let submit = "SELECT docperm.has_permission('Invoice', 'submit')";
    assert_eq!(asked(&w, SELLER, submit), "f");
    asked(&w, "Administrator", &format!("SELECT docperm.share('Invoice', 'I1', '{SELLER}', '{{submit}}')"));
    assert_eq!(asked(&w, SELLER, submit), "t");
    for right in ["submit", "read", "write"] {
        assert_eq!(w.may(SELLER, "Invoice", right), ["I1"], "{right}");
    }
    assert_eq!(
        share(&w, "Administrator", "post1", SELLER, "{submit}"),
        Err("22023".to_owned()),
        "a post has no status"
    );
}

#[test]
fn case_35_share_disabled() {
    let mut w = blog();
    share(&w, MANAGER, "post1", SELLER, "{read}").unwrap();
    w.sql("UPDATE docperm.settings SET disable_document_sharing = true");
    assert!(w.may(MANAGER, "Post", "share").is_empty());
    assert!(!at_doctype_level(&w, MANAGER, "share"));
    assert_eq!(share(&w, MANAGER, "post2", SELLER, "{read}"), refused());
    assert_eq!(w.sees(SELLER, "Post"), ["post1"], "what is shared stays shared");
    share(&w, "Administrator", "post2", SELLER, "{read}").unwrap();
    assert_eq!(w.sees(SELLER, "Post"), ["post1", "post2"]);
}

#[test]
fn case_36_cannot_share_without_permission() {
    let mut w = blog();
    w.user("reader@blog.test", &["Reader"]);
    w.rule("Post", "Reader", "{read,share}");
    assert_eq!(share(&w, "reader@blog.test", "post1", SELLER, "{write}"), refused());
    assert!(w.sees(SELLER, "Post").is_empty());
    share(&w, "reader@blog.test", "post1", SELLER, "{read}").unwrap();
    assert_eq!(w.sees(SELLER, "Post"), ["post1"]);
}

#[test]
fn case_37_share_int_pk() {
    let mut w = blog();
    w.sql(
        "CREATE TABLE ticket (id int PRIMARY KEY);
         INSERT INTO ticket VALUES (7), (8);
         SELECT docperm.protect('ticket', 'Ticket')",
    );
    w.grant_tables();
    asked(&w, "Administrator", &format!("SELECT docperm.share('Ticket', '7', '{SELLER}')"));
    assert_eq!(w.sees(SELLER, "Ticket"), ["7"]);
    w.sql(&format!(
        "INSERT INTO docperm.shares (doctype, document, user_name, rights)
         VALUES ('Ticket', '08', '{SELLER}', '{{read}}')"
    ));
    assert_eq!(w.sees(SELLER, "Ticket"), ["7", "8"]);
}

// Lists

#[test]
fn case_38_user_permissions_in_report() {
    let mut w = blog();
    let report = "SELECT category, count(*) FROM post GROUP BY category ORDER BY category";
    assert_eq!(texts(&mut w.acting(WRITER), report), ["C0|2", "C1|2"]);
    w.allow(WRITER, "Category", "C1");
    assert_eq!(texts(&mut w.acting(WRITER), report), ["C1|2"]);
    w.allow(WRITER, "Blogger", "B1");
    assert_eq!(texts(&mut w.acting(WRITER), report), ["C1|1"]);
}

#[test]
fn case_39_build_match_conditions() {
    let mut w = blog();
    assert_eq!(
        explain(&mut w.acting(WRITER), "SELECT name FROM post"),
        "Seq Scan on post",
        "nothing to check"
    );
    w.allow(WRITER, "Post", "post0");
    w.allow(WRITER, "Post", "post2");
    assert_eq!(w.sees(WRITER, "Post"), ["post0", "post2"]);
}

#[test]
fn case_40_nested_permission() {
    let mut w = tree();
    w.allow(SELLER, "Region", "L1A");
    assert_eq!(w.sees(SELLER, "Region"), ["L1A", "L2A"]);
}

#[test]
fn case_41_contextual_user_permission() {
    let mut w = blog();
    w.sql("INSERT INTO post VALUES ('post4', 'Administrator', 'C0', 'B2')");
    w.allow(WRITER, "Blogger", "B0");
    w.allow_for(WRITER, "Blogger", "B1", "Post");
    w.allow_for(WRITER, "Blogger", "B2", "Category");
    assert_eq!(w.sees(WRITER, "Post"), ["post0", "post1", "post3"]);
}

#[test]
fn case_42_share_only_access() {
    let mut w = blog_of_owners("{read}");
    assert!(w.sees(WRITER, "Post").is_empty());
    share(&w, MANAGER, "post2", WRITER, "{read}").unwrap();
    assert_eq!(w.sees(WRITER, "Post"), ["post2"]);
}

#[test]
fn case_43_if_owner_constraint_with_shared_docs() {
    let mut w = blog_of_owners("{read}");
    w.sql(&format!("UPDATE post SET owner = '{WRITER}' WHERE name = 'post0'"));
    assert_eq!(w.sees(WRITER, "Post"), ["post0"]);
    share(&w, MANAGER, "post2", WRITER, "{read}").unwrap();
    assert_eq!(w.sees(WRITER, "Post"), ["post0", "post2"]);
}

#[test]
fn case_44_user_permission_with_shared_docs() {
    let mut w = blog();
    w.allow(WRITER, "Post", "post1");
    assert_eq!(w.sees(WRITER, "Post"), ["post1"]);
    share(&w, MANAGER, "post2", WRITER, "{read}").unwrap();
    assert_eq!(w.sees(WRITER, "Post"), ["post1", "post2"]);
}

#[test]
fn case_45_role_permission_without_restrictions() {
    let mut w = blog();
    w.sql(&format!("UPDATE post SET owner = '{MANAGER}' WHERE name = 'post0'"));
    assert_eq!(w.sees(WRITER, "Post"), ALL);
}

#[test]
fn case_46_if_owner_permission_on_get_list() {
    let mut w = blog_of_owners("{read}");
    w.user("both@blog.test", &["Writer", "Website Manager"]);
    assert_eq!(w.sees("both@blog.test", "Post"), ALL);
    w.sql("DELETE FROM docperm.user_roles WHERE role = 'Website Manager' AND user_name = 'both@blog.test'");
    assert!(w.sees("both@blog.test", "Post").is_empty());
}

#[test]
fn case_47_child_table_permission_uses_parent_doctype() {
    let mut w = blog_with_comments();
    let list = "SELECT name FROM comment";
    assert!(names(&mut w.acting(SELLER), list).is_empty());
    w.rule("Post", "Sales User", "{read}");
    assert_eq!(names(&mut w.acting(SELLER), list), ["on post0", "on post1", "on post2", "on post3"]);
}

#[test]
fn case_48_child_table_filters_orphaned_rows() {
    let mut w = blog_with_comments();
    w.sql("INSERT INTO comment VALUES ('orphan', 'gone', 'Post')");
    let list = "SELECT name FROM comment WHERE parent IN ('gone', 'post0')";
    assert_eq!(names(&mut w.acting(WRITER), list), ["on post0"]);
}

#[test]
fn case_50_permission_query_condition() {
    let mut w = blog();
    w.allow(WRITER, "Post", "post1");
    share(&w, MANAGER, "post2", WRITER, "{read}").unwrap();
    let filtered = "SELECT name FROM post WHERE blogger = 'B1'";
    assert_eq!(names(&mut w.acting(WRITER), filtered), ["post1"], "a share does not get past a filter");
    w.sql("CREATE POLICY of_the_site ON post AS RESTRICTIVE USING (blogger <> 'B2')");
    assert_eq!(
        names(&mut w.acting(WRITER), "SELECT name FROM post"),
        ["post1"],
        "nor past a condition of the site"
    );
    assert_eq!(names(&mut w.acting(MANAGER), "SELECT name FROM post"), ["post0", "post1", "post3"]);
}

#[test]
fn case_51_child_table_access_with_select_permission() {
    let mut w = blog_with_comments();
    w.rule("Post", "Sales User", "{select}");
    assert!(names(&mut w.acting(SELLER), "SELECT name FROM comment").is_empty());
}

#[test]
fn case_55_ignore_permissions_for_query() {
    let mut w = blog();
    let count = "SELECT count(*) FROM post";
    assert_eq!(asked(&w, SELLER, count), "0");
    assert_eq!(one(&mut w.admin, count), "4", "a role that passes row security");
}

// User permissions

#[test]
fn case_56_default_user_permission_validation() {
    let mut w = blog();
    let insert = |value: &str| {
        format!(
            "INSERT INTO docperm.user_permissions (user_name, allow, for_value, is_default)
             VALUES ('{WRITER}', 'Category', '{value}', true)"
        )
    };
    w.sql(&insert("C1"));
    assert_eq!(refused_with(&mut w.admin, &insert("C2")), "23505");
    assert_eq!(one(&mut w.admin, "SELECT count(*) FROM docperm.user_permissions"), "1");
}

#[test]
fn case_57_defaults_of_different_users_do_not_conflict() {
    let mut w = tree();
    for user in [SELLER, WRITER] {
        w.sql(&format!(
            "INSERT INTO docperm.user_permissions (user_name, allow, for_value, is_default, hide_descendants)
             VALUES ('{user}', 'Region', 'L1A', true, {})",
            user == SELLER
        ));
    }
    assert_eq!(w.sees(SELLER, "Region"), ["L1A"]);
    assert_eq!(w.sees(WRITER, "Region"), ["L1A", "L2A"]);
}

#[test]
fn case_58_default_user_permission() {
    let mut w = blog();
    w.sql("SELECT docperm.protect('post', 'Post', fill_defaults => true)");
    let default = "SELECT docperm.default_value('Post', 'category')";
    let inserted = |w: &World| {
        let mut client = w.acting(WRITER);
        client.batch_execute("BEGIN").unwrap();
        one(&mut client, "INSERT INTO post (name) VALUES ('new') RETURNING category")
    };
    assert_eq!(asked(&w, WRITER, default), "NULL");
    w.allow(WRITER, "Category", "C1");
    assert_eq!(asked(&w, WRITER, default), "C1");
    assert_eq!(inserted(&w), "C1");
    w.allow(WRITER, "Category", "C2");
    assert_eq!(asked(&w, WRITER, default), "NULL");
    assert_eq!(inserted(&w), "NULL");
    w.sql("UPDATE docperm.user_permissions SET is_default = true WHERE for_value = 'C2'");
    assert_eq!(asked(&w, WRITER, default), "C2");
    assert_eq!(inserted(&w), "C2");
    assert_eq!(asked(&w, SELLER, default), "NULL", "others have no such default");
}

/// The writer's user permissions, as `value for doctype`.
fn scopes(w: &mut World) -> Vec<String> {
    let query =
        "SELECT for_value || ' for ' || coalesce(applicable_for, 'all') FROM docperm.user_permissions";
    names(&mut w.admin, query)
}

const SCOPE_WRITER: &str = "SELECT docperm.apply_user_permission(
    user_name => 'writer@blog.test', allow => 'Category', for_value => 'C1', apply_to_all => false,
    applicable_for => '{Post,Category}')";

#[test]
fn case_59_apply_to_all() {
    let mut w = blog();
    assert_eq!(asked(&w, MANAGER, RESTRICT_WRITER), "t");
    assert_eq!(scopes(&mut w), ["C1 for all"]);
    assert_eq!(asked(&w, MANAGER, RESTRICT_WRITER), "f", "nothing to change");
    assert_eq!(scopes(&mut w), ["C1 for all"]);
}

#[test]
fn case_60_applicable_on_update_from_apply_to_all() {
    let mut w = blog();
    asked(&w, MANAGER, RESTRICT_WRITER);
    assert_eq!(asked(&w, MANAGER, SCOPE_WRITER), "t");
    assert_eq!(scopes(&mut w), ["C1 for Category", "C1 for Post"]);
}

#[test]
fn case_61_apply_to_all_on_update_from_applicable() {
    let mut w = blog();
    asked(&w, MANAGER, SCOPE_WRITER);
    assert_eq!(scopes(&mut w), ["C1 for Category", "C1 for Post"]);
    assert_eq!(asked(&w, MANAGER, RESTRICT_WRITER), "t");
    assert_eq!(scopes(&mut w), ["C1 for all"]);
}

/// The blog and a tree of regions, which sellers and writers may read.
fn tree() -> World {
    let mut w = blog();
    w.sql(
        "CREATE TABLE region (name text PRIMARY KEY, parent text REFERENCES region);
         INSERT INTO region VALUES ('Root', NULL), ('L1A', 'Root'), ('L1B', 'Root'), ('L2A', 'L1A'), ('L2B', 'L1B');
         SELECT docperm.protect('region', 'Region', tree_parent_column => 'parent')",
    );
    w.grant_tables();
    w.rule("Region", "Sales User", "{read}");
    w.rule("Region", "Writer", "{read}");
    w
}

#[test]
fn case_62_nested_doctype() {
    let mut w = tree();
    w.allow(SELLER, "Region", "L1A");
    assert_eq!(w.sees(SELLER, "Region"), ["L1A", "L2A"]);
    w.sql("UPDATE docperm.user_permissions SET hide_descendants = true");
    assert_eq!(w.sees(SELLER, "Region"), ["L1A"]);
}

#[test]
fn case_63_new_doc_with_field_default() {
    let mut w = blog();
    w.sql(
        "ALTER TABLE post ALTER COLUMN category SET DEFAULT 'C0';
         SELECT docperm.protect('post', 'Post', fill_defaults => true)",
    );
    let inserted = |w: &World, values: &str| {
        let mut client = w.acting(WRITER);
        client.batch_execute("BEGIN").unwrap();
        one(&mut client, &format!("INSERT INTO post {values} RETURNING coalesce(category, 'blank')"))
    };
    w.allow_for(WRITER, "Category", "C1", "Blogger");
    assert_eq!(inserted(&w, "(name) VALUES ('new')"), "C0", "the column's own default");
    assert_eq!(inserted(&w, "(name, category) VALUES ('new', NULL)"), "blank", "not that of another doctype");
    assert_eq!(asked(&w, WRITER, "SELECT docperm.default_value('Post', 'category')"), "NULL");
}

#[test]
fn case_64_clear_user_permissions() {
    let mut w = blog();
    w.allow(WRITER, "Category", "C1");
    w.allow_for(WRITER, "Category", "C2", "Post");
    w.allow(WRITER, "Blogger", "B1");
    w.allow(SELLER, "Category", "C1");
    let clear = format!("SELECT docperm.clear_user_permissions('{WRITER}', 'Category')");
    assert_eq!(asked(&w, MANAGER, &clear), "2");
    let left = names(&mut w.admin, "SELECT user_name || ' ' || allow FROM docperm.user_permissions");
    assert_eq!(left, sorted(vec![format!("{WRITER} Blogger"), format!("{SELLER} Category")]));
}
