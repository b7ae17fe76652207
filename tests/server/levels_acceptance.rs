//! Frappe's acceptance cases about permission levels, numbered as in tests/acceptance.md.

use crate::levels::{closed, level};
use crate::support::{World, attempt, one, refused_with, set_user, texts};

const WRITER: &str = "writer@blog.test";
const CHIEF: &str = "chief@blog.test";

/// Posts, whether they are published being of level 1, with remarks whose `inner` is of level 1. The writer has level 0, the
/// chief both.
fn blog() -> World {
    let mut w = World::new(
        "CREATE TABLE post   (name text PRIMARY KEY, title text, published int DEFAULT 0);
         CREATE TABLE remark (name text PRIMARY KEY, parent text REFERENCES post ON DELETE CASCADE, body text, inner_note text);
         INSERT INTO post VALUES ('post0', 'T0', 1), ('post1', 'T1', 0);
         INSERT INTO remark VALUES ('r0', 'post0', 'B0', 'I0');
         SELECT docperm.protect('post', 'Post'),
                docperm.protect('remark', 'Remark', parent_doctype => 'Post', parent_column => 'parent');
         SELECT docperm.set_field('Post', 'published', permlevel => 1), docperm.set_field('Remark', 'inner_note', permlevel => 1);",
    );
    w.user(WRITER, &["Writer"]);
    w.user(CHIEF, &["Writer", "Chief"]);
    w.rule("Post", "Writer", "{read,write,create}");
    w.rule("Post", "Chief", "{read,write,create}");
    w
}

#[test]
fn case_53_permlevel_fields() {
    let mut w = blog();
    w.sql("SELECT docperm.create_readable_view('Post', 'posts')");
    w.grant_tables();
    let mut c = w.acting(WRITER);
    assert_eq!(
        texts(&mut c, "SELECT name, published FROM posts ORDER BY name"),
        ["post0|NULL", "post1|NULL"]
    );
    closed(&mut c, "SELECT name, published FROM post", "published");
    closed(&mut c, "SELECT name FROM post WHERE published = 1", "published");
    assert_eq!(one(&mut c, "SELECT count(*) FROM posts WHERE published = 1"), "0");
    let mut administrator = w.acting("Administrator");
    assert_eq!(texts(&mut administrator, "SELECT name FROM post WHERE published = 1"), ["post0"]);
    assert_eq!(texts(&mut administrator, "SELECT name FROM posts WHERE published = 1"), ["post0"]);
}

#[test]
fn case_54_reportview_get() {
    let mut w = blog();
    w.sql("SELECT docperm.create_readable_view('Post', 'posts'), docperm.create_readable_view('Remark', 'remarks')");
    w.grant_tables();
    let report = "SELECT p.title, p.published, r.inner_note FROM posts p JOIN remarks r ON r.parent = p.name";
    let all = "SELECT * FROM posts WHERE name = 'post0'";
    let mut c = w.acting(WRITER);
    assert_eq!(texts(&mut c, report), ["T0|NULL|NULL"]);
    assert_eq!(texts(&mut c, all), ["post0|T0|NULL"]);
    set_user(&mut c, "Administrator");
    assert_eq!(texts(&mut c, report), ["T0|1|I0"]);
    assert_eq!(texts(&mut c, all), ["post0|T0|1"]);
}

/// In Frappe the roles of a user are a field of level 1, which he silently cannot write. Here they are rows of a table of
/// docperm's, on which nobody has a privilege whom none was given.
#[test]
fn case_75_high_permlevel_validations() {
    let mut w = blog();
    let add = |user| {
        format!("INSERT INTO docperm.user_roles (user_name, role) VALUES ('{user}', 'System Manager')")
    };
    assert_eq!(refused_with(&mut w.acting(WRITER), &add(WRITER)), "42501");
    w.sql(&add(WRITER));
    assert_eq!(
        one(&mut w.admin, "SELECT count(*) FROM docperm.user_roles WHERE role = 'System Manager'"),
        "1"
    );
}

#[test]
fn case_76_fieldlevel_permissions_in_load() {
    let mut w = blog();
    let stored = "SELECT published FROM post WHERE name = 'post1'";
    let write = "UPDATE post SET title = 'new', published = 1 WHERE name = 'post1'";
    // Before there is any rule of the level, and after there is one for another role.
    for _ in 0..2 {
        let mut c = w.acting(WRITER);
        closed(&mut c, "SELECT * FROM post", "published");
        closed(&mut c, write, "published");
        assert_eq!(one(&mut w.admin, stored), "0");
        w.sql("DELETE FROM docperm.role_permissions WHERE permlevel = 1");
        level(&mut w, "Post", "Chief", 1, "{read,write}");
    }
    w.sql("UPDATE docperm.settings SET field_level_write = 'reset'");
    attempt(&mut w.acting(WRITER), write).unwrap();
    assert_eq!(texts(&mut w.admin, "SELECT title, published FROM post WHERE name = 'post1'"), ["new|0"]);
    let mut c = w.acting(CHIEF);
    assert_eq!(one(&mut c, "SELECT published FROM post WHERE name = 'post0'"), "1");
    attempt(&mut c, write).unwrap();
    assert_eq!(one(&mut w.admin, stored), "1");
}

#[test]
fn case_77_fieldlevel_for_child_table() {
    let mut w = blog();
    level(&mut w, "Post", "Chief", 1, "{read,write}");
    let write = "UPDATE remark SET body = 'new', inner_note = 'new' WHERE name = 'r0'";
    let stored = "SELECT body, inner_note FROM remark WHERE name = 'r0'";
    closed(&mut w.acting(WRITER), write, "inner_note");
    assert_eq!(texts(&mut w.admin, stored), ["B0|I0"]);
    w.sql("UPDATE docperm.settings SET field_level_write = 'reset'");
    attempt(&mut w.acting(WRITER), write).unwrap();
    assert_eq!(texts(&mut w.admin, stored), ["new|I0"]);
    attempt(&mut w.acting(CHIEF), write).unwrap();
    assert_eq!(texts(&mut w.admin, stored), ["new|new"]);
}
