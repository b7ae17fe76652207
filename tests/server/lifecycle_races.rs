//! Sessions that submit, cancel, discard, amend and change the same documents and their rows at random: no state that is
//! forbidden is ever committed.
//!
//! What a document looks like with its rows is written down by a trigger in the transaction that submits it. From then on
//! it has to look so, in every snapshot that an observer takes, and to the end. `DOCPERM_RACE_SECONDS` says how long it goes on.

use crate::chance::Chance;
use crate::support::{World, attempt, names, one, table};
use postgres::Client;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const SESSIONS: u64 = 5;

const TABLES: &str = "
    CREATE TABLE orders (name text PRIMARY KEY, amount int, note text, docstatus int NOT NULL DEFAULT 0, amended_from text, changed timestamptz);
    CREATE TABLE line (id uuid DEFAULT gen_random_uuid() PRIMARY KEY, parent text, item text);
    CREATE INDEX ON line (parent);
    CREATE INDEX ON orders (amended_from);
    SELECT docperm.protect('orders', 'Order', docstatus_column => 'docstatus', amended_from_column => 'amended_from', modified_column => 'changed');
    SELECT docperm.protect('line', 'Line', parent_doctype => 'Order', parent_column => 'parent');
    SELECT docperm.set_field('Order', 'note', allow_on_submit => true);

    -- What a document looks like, apart from what may change.
    CREATE FUNCTION look(document text) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER BEGIN ATOMIC
        SELECT concat_ws(' ', o.amount, (SELECT string_agg(l.id || l.item, ',' ORDER BY l.id) FROM line AS l WHERE l.parent = o.name))
          FROM orders AS o WHERE o.name = document;
    END;
    CREATE TABLE sealed (name text PRIMARY KEY, look text);
    CREATE TABLE steps (id bigint GENERATED ALWAYS AS IDENTITY, name text, before int, after int);
    CREATE FUNCTION write_down() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        INSERT INTO steps (name, before, after) VALUES (coalesce(NEW.name, OLD.name), OLD.docstatus, NEW.docstatus);
        IF OLD.docstatus = 0 AND NEW.docstatus = 1 THEN
            INSERT INTO sealed VALUES (NEW.name, look(NEW.name));
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER write_down AFTER INSERT OR UPDATE OR DELETE ON orders FOR EACH ROW EXECUTE FUNCTION write_down();";

/// Submitted and cancelled documents that do not look as they were submitted, all in one snapshot.
const ALTERED: &str =
    "SELECT o.name || ': ' || s.look || ' / ' || look(o.name) FROM orders AS o JOIN sealed AS s USING (name)
     WHERE o.docstatus > 0 AND s.look IS DISTINCT FROM look(o.name)";

#[test]
fn no_forbidden_state_is_ever_committed() {
    let seconds = std::env::var("DOCPERM_RACE_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    let mut w = World::new(TABLES);
    for (user, rights) in [
        ("full@erp.test", "{read,write,create,delete,submit,cancel,amend}"),
        ("clerk@erp.test", "{read,write,create,delete}"),
    ] {
        w.user(user, &[user]);
        w.rule("Order", user, rights);
    }
    let is_over = AtomicBool::new(false);
    let outcomes = std::thread::scope(|scope| {
        let sessions: Vec<_> = (0..SESSIONS)
            .map(|number| {
                let user = if number == 0 { "clerk@erp.test" } else { "full@erp.test" };
                let (client, chance, is_over) =
                    (w.acting(user), Chance(0x9E37_79B9_7F4A_7C15 ^ (number + 1)), &is_over);
                scope.spawn(move || session(client, chance, is_over))
            })
            .collect();
        let mut observer = w.db.admin();
        let end = Instant::now() + Duration::from_secs(seconds);
        let mut looks = 0;
        while Instant::now() < end && !sessions.iter().any(std::thread::ScopedJoinHandle::is_finished) {
            let altered = names(&mut observer, ALTERED);
            is_over.fetch_or(!altered.is_empty(), Ordering::Relaxed);
            assert!(altered.is_empty(), "{altered:?}");
            looks += 1;
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(looks > 10, "{looks}");
        let mut all = BTreeMap::<String, usize>::new();
        for outcomes in sessions.into_iter().map(|session| session.join().unwrap()) {
            outcomes.into_iter().for_each(|(what, count)| *all.entry(what).or_default() += count);
        }
        all
    });
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{outcomes:?}\n").as_bytes());

    assert_eq!(names(&mut w.admin, ALTERED), [""; 0]);
    let steps = table(
        &mut w.admin,
        "SELECT DISTINCT coalesce(before::text, '-'), coalesce(after::text, '-') FROM steps",
    );
    let steps: BTreeSet<_> = steps.into_iter().map(|step| step.join(" to ")).collect();
    let allowed = ["- to 0", "0 to 0", "0 to 1", "1 to 1", "1 to 2", "0 to 2", "0 to -", "2 to -"];
    assert!(steps.iter().all(|step| allowed.contains(&&**step)), "{steps:?}");
    for step in ["0 to 1", "1 to 1", "1 to 2"] {
        assert!(steps.contains(step), "{step} never came up: {steps:?}");
    }
    // Each step begins where the one before it ended.
    let broken = "SELECT count(*)::text FROM (SELECT before, lag(after) OVER (PARTITION BY name ORDER BY id) AS last FROM steps) AS s
                   WHERE before <> last";
    assert_eq!(one(&mut w.admin, broken), "0");
    let twice =
        "SELECT amended_from FROM orders WHERE amended_from IS NOT NULL GROUP BY 1 HAVING count(*) > 1";
    assert_eq!(names(&mut w.admin, twice), [""; 0]);
    for what in ["ok", "55000", "42501"] {
        assert!(outcomes.get(what).is_some_and(|count| *count > 0), "{what} never came up: {outcomes:?}");
    }
}

/// Works at random until the time is over; how often which outcome came up.
fn session(mut client: Client, mut chance: Chance, is_over: &AtomicBool) -> BTreeMap<String, usize> {
    let mut outcomes = BTreeMap::<String, usize>::new();
    while !is_over.load(Ordering::Relaxed) {
        let alive = names(
            &mut client,
            "SELECT name FROM orders WHERE docstatus < 2 UNION ALL (SELECT name FROM orders WHERE docstatus = 2 ORDER BY random() LIMIT 1)",
        );
        let isolation = chance.of(&["READ COMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]);
        let mut statements = vec![format!("BEGIN ISOLATION LEVEL {isolation}")];
        for _ in 0..=chance.below(3) {
            statements.push(step(&alive, &mut chance));
        }
        statements.push(chance.of(&["COMMIT", "COMMIT", "COMMIT", "ROLLBACK"]).to_owned());
        let outcome = statements.iter().find_map(|statement| attempt(&mut client, statement).err());
        let what = outcome.map_or("ok".to_owned(), |error| {
            let is_expected = ["42501", "55000", "40001", "40P01", "23505"].contains(&&*error.sqlstate);
            assert!(is_expected, "{statements:?}\n{error:?}");
            error.sqlstate
        });
        *outcomes.entry(what).or_default() += 1;
        client.batch_execute("ROLLBACK").unwrap();
    }
    outcomes
}

fn step(alive: &[String], chance: &mut Chance) -> String {
    if alive.len() < 4 || chance.once_in(40) {
        let name = format!("O{}", chance.below(1_000_000_000));
        return format!(
            "INSERT INTO orders (name, amount) VALUES ('{name}', 0); INSERT INTO line (parent, item) VALUES ('{name}', 'x')"
        );
    }
    let name = &alive[chance.below(alive.len())];
    let other = &alive[chance.below(alive.len())];
    match chance.below(16) {
        0 => format!("UPDATE orders SET docstatus = 1 WHERE name = '{name}'"),
        1 => format!("SELECT docperm.submit('Order', '{name}')"),
        2 => format!("UPDATE orders SET docstatus = 2 WHERE name = '{name}'"),
        3 => format!("SELECT docperm.cancel('Order', '{name}')"),
        4 => format!("SELECT docperm.discard('Order', '{name}')"),
        5 => format!("SELECT docperm.amend('Order', '{name}')"),
        6 => format!("UPDATE orders SET docstatus = 0 WHERE name = '{name}'"),
        7 => format!("UPDATE orders SET amount = amount + 1 WHERE name = '{name}'"),
        8 => format!("UPDATE orders SET note = 'x' WHERE name = '{name}'"),
        9 | 10 => format!("INSERT INTO line (parent, item) VALUES ('{name}', 'y')"),
        11 => format!("UPDATE line SET item = item || 'z' WHERE parent = '{name}'"),
        12 => format!(
            "DELETE FROM line WHERE id = (SELECT id FROM line WHERE parent = '{name}' ORDER BY random() LIMIT 1)"
        ),
        13 => format!(
            "UPDATE line SET parent = '{other}' WHERE id = (SELECT id FROM line WHERE parent = '{name}' ORDER BY random() LIMIT 1)"
        ),
        14 => format!(
            "SAVEPOINT s; UPDATE line SET item = 'w' WHERE parent = '{name}'; ROLLBACK TO s; DELETE FROM line WHERE parent = '{other}'"
        ),
        _ => format!("DELETE FROM orders WHERE name = '{name}' AND docstatus = 2"),
    }
}
