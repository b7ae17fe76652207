//! Links that may be set only to documents that whoever sets them may select: what docperm.link_options() offers.

use crate::support::{World, attempt, names, one, refused_with, set_user, table, texts};
use docperm_testkit::refused;
use postgres::Client;

const ANN: &str = "ann@erp.test";
const BOSS: &str = "boss@erp.test";

/// Ann may select customers of EU; deal 1 has been given one of US by somebody else.
fn world() -> World {
    let mut w = World::new(
        "CREATE TABLE territory (name text PRIMARY KEY);
         CREATE TABLE customer (id int PRIMARY KEY, territory text REFERENCES territory);
         CREATE TABLE deal (name text PRIMARY KEY, customer int, note text);
         CREATE TABLE deal_line (parent text REFERENCES deal ON UPDATE CASCADE ON DELETE CASCADE, customer int, qty int);
         CREATE TABLE visit (id int, at date, customer int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
         CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM ('2026-01-01') TO ('2026-07-01');
         CREATE TABLE visit_2 PARTITION OF visit FOR VALUES FROM ('2026-07-01') TO ('2027-01-01');
         INSERT INTO territory VALUES ('EU'), ('US');
         INSERT INTO customer VALUES (1, 'EU'), (2, 'EU'), (8, 'US'), (9, 'US');
         INSERT INTO deal VALUES ('D1', 8, 'given'), ('D2', 1, NULL), ('D3', NULL, NULL);
         INSERT INTO visit VALUES (1, '2026-02-01', 8), (2, '2026-02-02', 1);
         SELECT docperm.protect('territory', 'Territory'), docperm.protect('customer', 'Customer'), docperm.protect('deal', 'Deal'),
                docperm.protect('deal_line', 'Deal Line', parent_doctype => 'Deal', parent_column => 'parent'),
                docperm.protect('visit', 'Visit');
         SELECT docperm.set_field(d, 'customer', link_to => 'Customer', requires_select => true, ignore_user_permissions => false)
           FROM unnest('{Deal,Deal Line,Visit}'::text[]) d;",
    );
    w.user(ANN, &["Seller"]);
    w.user(BOSS, &["Boss"]);
    for doctype in ["Territory", "Deal", "Visit"] {
        w.rule(doctype, "Seller", "{read,write,create,delete}");
        w.rule(doctype, "Boss", "{read,write,create,delete}");
    }
    w.rule("Customer", "Seller", "{select}");
    w.rule("Customer", "Boss", "{read}");
    // The links themselves do not limit Ann: only what she sets them to counts here.
    w.allow_for(ANN, "Territory", "EU", "Customer");
    w
}

/// What the picker offers in a form.
fn offered(c: &mut Client, form: &str) -> Vec<String> {
    names(
        c,
        &format!(
            "SELECT name FROM docperm.link_options('Customer', for_doctype => '{form}', max_rows => 1000)"
        ),
    )
}

#[test]
fn a_link_is_set_to_what_may_be_selected_only() {
    let w = world();
    let mut c = w.acting(ANN);
    for refused in [
        "INSERT INTO deal VALUES ('N', 8)",
        "INSERT INTO deal VALUES ('N', 1), ('M', 9)",
        "INSERT INTO deal SELECT 'N' || i, CASE i WHEN 77 THEN 8 ELSE 1 END FROM generate_series(1, 100) i",
        "INSERT INTO deal VALUES ('D2', 1) ON CONFLICT (name) DO UPDATE SET customer = 8",
        "INSERT INTO deal VALUES ('N', 8) ON CONFLICT (name) DO NOTHING",
        "UPDATE deal SET customer = 8 WHERE name = 'D2'",
        "UPDATE deal SET customer = 8 - 7 * (name = 'D2')::int",
        "UPDATE deal SET customer = 77",
        "MERGE INTO deal USING (VALUES ('D2')) v (name) ON deal.name = v.name WHEN MATCHED THEN UPDATE SET customer = 8",
        "MERGE INTO deal USING (VALUES ('N')) v (name) ON deal.name = v.name WHEN NOT MATCHED THEN INSERT VALUES (v.name, 8)",
        "WITH gone AS (INSERT INTO deal VALUES ('N', 8) RETURNING name) SELECT * FROM gone",
        "INSERT INTO deal_line VALUES ('D2', 8)",
        "INSERT INTO visit VALUES (7, '2026-03-01', 8)",
        "INSERT INTO visit_2 VALUES (7, '2026-08-01', 8)",
        "UPDATE visit SET customer = 9 WHERE id = 2",
        "UPDATE visit_1 SET customer = 9 WHERE id = 2",
        "UPDATE visit SET at = '2026-08-01', customer = 9 WHERE id = 2",
        "MERGE INTO visit USING (VALUES (2)) v (id) ON visit.id = v.id WHEN MATCHED THEN UPDATE SET at = '2026-08-01', customer = 9",
        "MERGE INTO visit USING (VALUES (7)) v (id) ON visit.id = v.id WHEN NOT MATCHED THEN INSERT VALUES (7, '2026-08-01', 9)",
        "PREPARE p AS UPDATE deal SET customer = $1 WHERE name = 'D2'; EXECUTE p (8)",
        "WITH made AS (INSERT INTO deal VALUES ('N', 8)) MERGE INTO visit USING (VALUES (2)) v (id) ON visit.id = v.id WHEN MATCHED THEN UPDATE SET at = '2026-08-01'",
        "DO $$BEGIN UPDATE deal SET customer = 8 WHERE name = 'D2'; END$$",
    ] {
        assert_eq!(w.denied(ANN, refused), "42501", "{refused}");
    }
    for passes in [
        "INSERT INTO deal VALUES ('N', 1), ('M', 2), ('O', NULL)",
        "INSERT INTO deal VALUES ('D1', 1) ON CONFLICT (name) DO UPDATE SET customer = 2",
        "UPDATE deal SET customer = 2",
        "UPDATE deal SET customer = NULL",
        // What is there already may stay, but may not be spread.
        "UPDATE deal SET note = 'x'",
        "UPDATE deal SET customer = customer, note = 'x'",
        "UPDATE deal SET name = 'D9' WHERE name = 'D1'",
        "INSERT INTO deal_line VALUES ('D2', 1), ('D1', NULL)",
        "UPDATE visit SET at = '2026-08-01'",
        "UPDATE visit SET customer = 2, at = '2026-08-01'",
        "MERGE INTO visit USING (VALUES (2)) v (id) ON visit.id = v.id WHEN MATCHED THEN UPDATE SET at = '2026-08-01', customer = 2",
        "DELETE FROM deal",
    ] {
        w.try_as(ANN, passes).unwrap_or_else(|error| panic!("{passes}\n{error:#?}"));
    }
    assert_eq!(
        refused_with(&mut c, "UPDATE deal SET customer = d.customer FROM deal d WHERE d.name = 'D1'"),
        "42501"
    );
    for user in [BOSS, "Administrator"] {
        assert_eq!(w.try_as(user, "UPDATE deal SET customer = 8"), Ok(3), "{user}");
    }
    assert_eq!(
        w.try_as("Administrator", "UPDATE deal SET customer = 77"),
        Ok(3),
        "no foreign key says otherwise"
    );
    assert_eq!(
        w.denied(BOSS, "UPDATE deal SET customer = 77"),
        "42501",
        "nobody may select what is not there"
    );
}

#[test]
fn the_refusal_names_the_column_and_tells_nothing_of_the_document() {
    let w = world();
    let mut c = w.acting(ANN);
    let hidden = refused(&mut c, "UPDATE deal SET customer = 8 WHERE name = 'D2'");
    let missing = refused(&mut c, "UPDATE deal SET customer = 77 WHERE name = 'D2'");
    assert_eq!(hidden, missing);
    assert_eq!(hidden.sqlstate, "42501");
    assert_eq!(hidden.message, "column \"customer\" of Deal may not be set to such a Customer");
    let hint = hidden.hint.unwrap();
    let offers = hint.split(" lists").next().unwrap();
    assert_eq!(
        texts(&mut c, &format!("SELECT name FROM {offers}")),
        ["1", "2"],
        "the hint's statement works"
    );
}

/// The check and the picker decide alike, for whatever decides: roles, user permissions that apply to the form, links that
/// ignore them, shares, ownership.
#[test]
fn it_agrees_with_the_link_picker() {
    let mut w = world();
    w.sql("ALTER TABLE customer ADD owner text; INSERT INTO customer SELECT i, CASE i % 3 WHEN 0 THEN 'US' ELSE 'EU' END FROM generate_series(20, 60) i;
           UPDATE customer SET owner = 'ann@erp.test' WHERE id % 5 = 0");
    let all: Vec<String> = texts(&mut w.admin, "SELECT id FROM customer ORDER BY id");
    let steps = [
        "SELECT 1",
        "INSERT INTO docperm.user_permissions (user_name, allow, for_value, applicable_for) VALUES ('ann@erp.test', 'Customer', '30', 'Visit'), ('ann@erp.test', 'Customer', '31', 'Deal')",
        "INSERT INTO docperm.shares (doctype, document, user_name, rights) VALUES ('Customer', '9', 'ann@erp.test', '{read}')",
        // For the customer's own form alone: in others he is offered, and may be set.
        "INSERT INTO docperm.user_permissions (user_name, allow, for_value, applicable_for) VALUES ('ann@erp.test', 'Customer', '30', 'Customer')",
        "DELETE FROM docperm.user_permissions WHERE allow = 'Customer' AND applicable_for IN ('Deal', 'Customer')",
        "SELECT docperm.set_field('Deal', 'customer', ignore_user_permissions => true)",
        "UPDATE docperm.settings SET strict_user_permissions = 'deny_by_default'",
        "SELECT docperm.set_field('Deal', 'customer', ignore_user_permissions => false)",
        "DELETE FROM docperm.role_permissions WHERE doctype = 'Customer' AND role = 'Seller'",
        "SELECT docperm.protect('customer', 'Customer', owner_column => 'owner'); INSERT INTO docperm.role_permissions (doctype, role, if_owner, rights) VALUES ('Customer', 'Seller', true, '{read}')",
    ];
    let mut sizes = vec![];
    for step in steps {
        w.sql(step);
        let ignores = one(
            &mut w.admin,
            "SELECT ignore_user_permissions FROM docperm.doctype_fields WHERE doctype = 'Deal' AND column_name = 'customer'",
        ) == "t";
        let mut c = w.acting(ANN);
        for (form, insert) in [
            ("Deal", "INSERT INTO deal (name, customer) VALUES ('X', $1)"),
            ("Visit", "INSERT INTO visit VALUES (99, '2026-03-03', $1)"),
            ("Deal Line", "INSERT INTO deal_line VALUES ('D3', $1)"),
        ] {
            let offers = if ignores && form == "Deal" {
                names(
                    &mut c,
                    "SELECT name FROM docperm.link_options('Customer', for_doctype => 'Deal', ignore_user_permissions => true, max_rows => 1000)",
                )
            } else {
                offered(&mut c, form)
            };
            let mut accepted = vec![];
            for id in &all {
                c.batch_execute("BEGIN").unwrap();
                match attempt(&mut c, &insert.replace("$1", id)) {
                    Ok(_) => accepted.push(id.clone()),
                    Err(error) => assert_eq!(error.sqlstate, "42501"),
                }
                c.batch_execute("ROLLBACK").unwrap();
            }
            accepted.sort();
            // The user permissions on customers that hold for the form itself limit the row as well.
            let readable = |id: &String| docs_of(&mut w.db.admin(), form, id);
            let offers: Vec<String> = offers.into_iter().filter(|id| readable(id)).collect();
            assert_eq!(accepted, offers, "{form} after {step}");
            sizes.push(accepted.len());
        }
    }
    sizes.dedup();
    assert!(sizes.len() > 5, "the steps make a difference: {sizes:?}");
}

/// Whether Ann's user permissions let a row of the form have that customer.
fn docs_of(admin: &mut Client, form: &str, customer: &str) -> bool {
    let parent = if form == "Deal Line" { "Deal" } else { form };
    let sql = format!(
        "SELECT CASE
                    WHEN (SELECT ignore_user_permissions FROM docperm.doctype_fields WHERE doctype = '{form}' AND column_name = 'customer') THEN true
                    WHEN EXISTS (SELECT FROM docperm.user_permissions WHERE allow = 'Customer' AND coalesce(applicable_for, '{parent}') = '{parent}')
                        THEN EXISTS (SELECT FROM docperm.user_permissions WHERE allow = 'Customer' AND for_value = '{customer}' AND coalesce(applicable_for, '{parent}') = '{parent}')
                    ELSE (SELECT strict_user_permissions FROM docperm.settings) <> 'deny_by_default'
                END"
    );
    one(admin, &sql) == "t"
}

#[test]
fn many_names_are_looked_at_at_once() {
    let mut w = world();
    w.sql("INSERT INTO customer SELECT i, 'EU' FROM generate_series(10000, 13999) i; INSERT INTO customer VALUES (20000, 'US');");
    let many = "INSERT INTO deal SELECT 'M' || i, i FROM generate_series(10000, 13999) i";
    assert_eq!(w.try_as(ANN, many), Ok(4000));
    for one_wrong in ["8", "20000", "77777"] {
        assert_eq!(
            w.denied(ANN, &format!("{many} UNION ALL SELECT 'wrong', {one_wrong}")),
            "42501",
            "{one_wrong}"
        );
    }
    // As numbers and as texts, names of the same documents are written in other ways.
    w.sql("CREATE TABLE offer (name text PRIMARY KEY, customer text);
           SELECT docperm.protect('offer', 'Offer'), docperm.set_field('Offer', 'customer', link_to => 'Customer', requires_select => true);");
    w.grant_tables();
    w.rule("Offer", "Seller", "{read,write,create}");
    assert_eq!(w.try_as(ANN, "INSERT INTO offer SELECT i, i FROM generate_series(10000, 13999) i"), Ok(4000));
    assert_eq!(w.try_as(ANN, "INSERT INTO offer VALUES ('a', '1'), ('b', '')"), Ok(2), "blank passes");
    for no_name in ["01", " 1", "x", "1.0"] {
        assert_eq!(
            w.denied(ANN, &format!("INSERT INTO offer VALUES ('a', '{no_name}')")),
            "42501",
            "{no_name}"
        );
    }
}

#[test]
fn of_several_documents_of_a_name_all_must_be_selectable() {
    let mut w = world();
    w.sql("CREATE TABLE depot (name text, territory text, PRIMARY KEY (name, territory)) PARTITION BY LIST (territory);
           CREATE TABLE depot_eu PARTITION OF depot FOR VALUES IN ('EU');
           CREATE TABLE depot_us PARTITION OF depot FOR VALUES IN ('US');
           CREATE TABLE parcel (name text PRIMARY KEY, depot text);
           INSERT INTO depot VALUES ('one', 'EU'), ('both', 'EU'), ('both', 'US');
           SELECT docperm.protect('depot', 'Depot', name_column => 'name'), docperm.protect('parcel', 'Parcel');
           SELECT docperm.set_field('Depot', 'territory', link_to => 'Territory'),
                  docperm.set_field('Parcel', 'depot', link_to => 'Depot', requires_select => true);");
    w.grant_tables();
    for doctype in ["Depot", "Parcel"] {
        w.rule(doctype, "Seller", "{read,write,create}");
    }
    w.allow_for(ANN, "Territory", "EU", "Depot");
    assert_eq!(w.try_as(ANN, "INSERT INTO parcel VALUES ('P', 'one')"), Ok(1));
    assert_eq!(w.denied(ANN, "INSERT INTO parcel VALUES ('P', 'both')"), "42501");
}

#[test]
fn a_document_of_the_same_statement_may_be_linked_to() {
    let mut w = World::new(
        "CREATE TABLE part (name text PRIMARY KEY, within text, secret boolean);
         INSERT INTO part VALUES ('engine', NULL);
         SELECT docperm.protect('part', 'Part');
         SELECT docperm.set_field('Part', 'within', link_to => 'Part', requires_select => true, ignore_user_permissions => true);",
    );
    w.user(ANN, &["Maker"]);
    w.rule("Part", "Maker", "{read,write,create}");
    assert_eq!(
        w.try_as(ANN, "INSERT INTO part VALUES ('bolt', 'nut'), ('nut', 'engine'), ('self', 'self')"),
        Ok(3)
    );
    assert_eq!(w.denied(ANN, "INSERT INTO part VALUES ('bolt', 'nuts')"), "42501");
}

#[test]
fn it_is_switched_on_and_off_by_the_field() {
    let mut w = world();
    let triggers = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'docperm\\_links%'";
    // deal and its lines two each; visit and its two partitions two each, and the row trigger of the three.
    assert_eq!(one(&mut w.admin, triggers), "13");
    let smuggle = "INSERT INTO deal VALUES ('N', 8)";
    assert_eq!(w.denied(ANN, smuggle), "42501");
    w.sql("SELECT docperm.set_field('Deal', 'customer', requires_select => false)");
    assert_eq!(w.try_as(ANN, smuggle), Ok(1));
    w.sql("UPDATE docperm.doctype_fields SET requires_select = true WHERE doctype = 'Deal' AND column_name = 'customer'");
    assert_eq!(w.denied(ANN, smuggle), "42501");
    w.sql("UPDATE docperm.doctypes SET name = 'Bargain' WHERE name = 'Deal'");
    assert_eq!(w.denied(ANN, smuggle), "42501");
    w.sql("CREATE TABLE visit_3 PARTITION OF visit FOR VALUES FROM ('2027-01-01') TO ('2027-07-01')");
    w.grant_tables();
    assert_eq!(w.denied(ANN, "INSERT INTO visit_3 VALUES (1, '2027-01-01', 8)"), "42501");
    w.sql("SELECT docperm.unprotect('deal_line'), docperm.unprotect('deal'), docperm.unprotect('visit')");
    assert_eq!(one(&mut w.admin, triggers), "0");
}

#[test]
fn roles_that_pass_row_security_bring_what_they_bring() {
    let mut w = world();
    set_user(&mut w.admin, ANN);
    w.sql("INSERT INTO deal VALUES ('N', 8)");
    // What a foreign key writes is no link that somebody sets.
    w.sql("ALTER TABLE deal ADD FOREIGN KEY (customer) REFERENCES customer ON UPDATE CASCADE");
    w.sql("SELECT docperm.set_user(NULL, false)");
    w.rule("Customer", "Clerk", "{read,write}");
    w.user("kim@erp.test", &["Clerk"]);
    assert_eq!(w.try_as("kim@erp.test", "UPDATE customer SET id = 800 WHERE id = 8"), Ok(1));
}

#[test]
fn nobody_hangs_the_trigger_onto_a_table_of_his_own() {
    let mut w = world();
    let app = w.app_role.clone();
    w.sql(&format!("CREATE SCHEMA own AUTHORIZATION {app}"));
    let mut c = w.acting(ANN);
    c.batch_execute("CREATE TABLE own.t (name text, customer int)").unwrap();
    let hang = "CREATE TRIGGER x AFTER INSERT ON own.t FOR EACH ROW EXECUTE FUNCTION docperm._check_link_targets('Deal')";
    assert_eq!(refused_with(&mut c, hang), "42501");
    assert_eq!(table(&mut c, "SELECT count(*) FROM own.t"), [["0"]]);
}
