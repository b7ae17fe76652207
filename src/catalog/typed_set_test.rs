//! In a backend: sets of names find what SQL's own `value = ANY (array)` finds, whatever the type of the key; texts and
//! values are each other's inverse; and docperm's functions stand NULLs.

#[pgrx::pg_schema]
mod tests {
    use std::rc::Rc;

    use pgrx::datum::DatumWithOid;
    use pgrx::prelude::*;
    use pgrx::spi::quote_literal;
    use pgrx::{pg_sys, varlena};

    use crate::catalog::typed_set::{TypedSet, registered};
    use crate::catalog::values;
    use crate::rules::ValueSet;

    /// A key column, and how SQL is asked about it.
    #[derive(Clone, Copy)]
    struct Key {
        /// The type and what else stands in the column's definition.
        declared: &'static str,
        /// The type to which SQL casts the names before it compares: that of the column, without its length.
        element: &'static str,
        storage: Option<&'static str>,
    }

    fn key(declared: &'static str, element: &'static str) -> Key {
        Key { declared, element, storage: None }
    }

    impl Key {
        /// Stores the values in such a column, builds the set of `names` for it, asks both the set and SQL about each
        /// value, and returns the values that are members, as SQL writes them.
        fn members(self, names: &[&str], values: &[&str]) -> Vec<String> {
            self.store(values);
            let (type_oid, collation) = column();
            let set = TypedSet::build(&set_of(names), type_oid, collation);
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let question =
                format!("SELECT v, v::text, v = ANY ($1::{}[]) FROM keys ORDER BY number", self.element);
            Spi::connect(|client| {
                let mut rows = client.select(question.as_str(), None, &[DatumWithOid::from(names)]).unwrap();
                assert_eq!(rows.len(), values.len());
                let mut members = vec![];
                while rows.next().is_some() {
                    let stored = rows.get_datum_by_ordinal(1).unwrap().unwrap();
                    let written: String = rows.get(2).unwrap().unwrap();
                    let is_member = rows.get(3).unwrap() == Some(true);
                    let shown = format!("{} {}", self.declared, written.chars().take(60).collect::<String>());
                    assert_eq!(set.contains(stored), is_member, "{shown}, as stored");
                    assert_eq!(values::text_of(stored, type_oid), written, "{shown}");

                    let anew = values::value_of(&written, type_oid).unwrap();
                    assert_eq!(set.contains(anew), is_member, "{shown}, read anew");
                    assert_eq!(values::text_of(anew, type_oid), written, "{shown}, read anew");
                    if is_member {
                        members.push(written);
                    }
                }
                members
            })
        }

        fn store(self, values: &[&str]) {
            run("DROP TABLE IF EXISTS keys");
            run(&format!("CREATE TEMPORARY TABLE keys (number serial, v {})", self.declared));
            if let Some(storage) = self.storage {
                run(&format!("ALTER TABLE keys ALTER COLUMN v SET STORAGE {storage}"));
            }
            let rows: Vec<_> = values.iter().map(|value| format!("({})", quote_literal(value))).collect();
            for rows in rows.chunks(500) {
                run(&format!("INSERT INTO keys (v) VALUES {}", rows.join(", ")));
            }
        }
    }

    /// Type and collation of the column in use, the type below domains as the planner passes it on.
    fn column() -> (pg_sys::Oid, pg_sys::Oid) {
        let (type_oid, collation) = Spi::get_two::<pg_sys::Oid, pg_sys::Oid>(
            "SELECT atttypid, attcollation FROM pg_attribute WHERE attrelid = 'keys'::regclass AND attname = 'v'",
        )
        .unwrap();
        (values::base_type(type_oid.unwrap()), collation.unwrap())
    }

    fn set_of(names: &[&str]) -> Rc<ValueSet> {
        Rc::new(names.iter().copied().collect())
    }

    fn type_named(name: &str) -> pg_sys::Oid {
        ask(&format!("SELECT {}::regtype::oid", quote_literal(name)))
    }

    fn run(sql: &str) {
        Spi::run(sql).unwrap();
    }

    fn ask<T: FromDatum + IntoDatum>(sql: &str) -> T {
        Spi::get_one(sql).unwrap().unwrap()
    }

    // Integers. SQL compares them as numeric: names beyond the type are no error there.

    #[pg_test]
    fn smallint_keys() {
        let names = ["5", "007", "-1", "0", "-32768", "32767", "32768", "65545", "99999999999999999999"];
        let values = ["5", "6", "7", "9", "-1", "1", "0", "-32768", "32767", "-32767", "32766"];
        assert_eq!(
            key("smallint", "numeric").members(&names, &values),
            ["5", "7", "-1", "0", "-32768", "32767"]
        );
    }

    #[pg_test]
    fn integer_keys() {
        let names = ["5", "-5", "0", "-2147483648", "2147483647", "2147483648", "4294967305"];
        let values = ["5", "-5", "6", "9", "0", "-2147483648", "2147483647", "-2147483647", "-1", "1"];
        assert_eq!(
            key("integer", "numeric").members(&names, &values),
            ["5", "-5", "0", "-2147483648", "2147483647"]
        );
    }

    #[pg_test]
    fn bigint_keys() {
        let (least, most) = ("-9223372036854775808", "9223372036854775807");
        let names = [least, most, "9223372036854775808", "-9223372036854775809", "4294967296", "-1"];
        let values = [least, most, "0", "-1", "1", "4294967296", "8589934592", "-9223372036854775807"];
        assert_eq!(key("bigint", "numeric").members(&names, &values), [least, most, "-1", "4294967296"]);
    }

    #[pg_test]
    fn without_its_extremes_an_integer_set_does_not_hold_them() {
        for (declared, extremes) in [
            ("smallint", ["-32768", "32767"]),
            ("integer", ["-2147483648", "2147483647"]),
            ("bigint", ["-9223372036854775808", "9223372036854775807"]),
        ] {
            let none: [&str; 0] = [];
            assert_eq!(key(declared, "numeric").members(&["0", "1", "-1"], &extremes), none);
        }
    }

    #[pg_test]
    fn names_that_are_no_integer_name_nothing() {
        for type_name in ["smallint", "integer", "bigint"] {
            let type_oid = type_named(type_name);
            let names = ["5", "", "abc", "1.0", "0x6", "1e0", "7seven", "NULL"];
            let set = TypedSet::build(&set_of(&names), type_oid, pg_sys::InvalidOid);
            let held: Vec<i64> =
                (-300..300).filter(|value| set.contains(pg_sys::Datum::from(*value))).collect();
            assert_eq!(held, [5], "{type_name}");
            for name in &names[1..] {
                assert!(values::value_of(name, type_oid).is_none(), "{type_name} {name:?}");
            }
        }
    }

    #[pg_test]
    fn thousands_of_keys() {
        let squares: Vec<String> = (0..3000_i64).map(|n| (n * n - 1000).to_string()).collect();
        let squares: Vec<&str> = squares.iter().map(String::as_str).collect();
        let asked: Vec<String> = (-1200..4000).map(|n| n.to_string()).collect();
        let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
        for (declared, element) in
            [("integer", "integer"), ("bigint", "bigint"), ("text", "text"), ("char(8)", "bpchar")]
        {
            let found = key(declared, element).members(&squares, &asked);
            assert_eq!(found, squares[..71], "{declared}");
        }
    }

    // Texts.

    #[pg_test]
    fn text_keys() {
        let names = ["", "a", "Ab", "O'Brien", r"back\slash", "NULL", "{x,y}", "Zürich", "🦀", "trailing "];
        let others = ["A", "ab", "a ", " a", "aa", "null", "Zurich", "Zu\u{308}rich", "🦀🦀", "trailing"];
        let values = [names, others].concat();
        assert_eq!(key("text", "text").members(&names, &values), names);
        assert_eq!(key("varchar", "varchar").members(&names, &values), names);
    }

    #[pg_test]
    fn varchar_keys_and_names_that_are_too_long() {
        let values = ["", "abc", "abcde", "Abcde", "abcd", "été", "a b c"];
        let names = ["", "abc", "abcde", "abcdef", "étés", "a b c d"];
        assert_eq!(key("varchar(5)", "varchar").members(&names, &values), ["", "abc", "abcde"]);
    }

    #[pg_test]
    fn char_keys_with_and_without_their_padding() {
        let values = ["", "a", "a  ", "ab", "abc", " ab", "b", "AB"];
        let names = ["", "a", "ab ", "abc", "abcd", "b    c"];
        assert_eq!(key("char(3)", "bpchar").members(&names, &values), ["", "a", "a", "ab", "abc"]);
    }

    #[pg_test]
    fn name_keys_are_cut_as_sql_cuts_them() {
        let long = "x".repeat(80);
        let values = ["", "relation", "Relation", "relatio", &long[..62], &long[..63]];
        let names = ["", "relation", long.as_str()];
        assert_eq!(key("name", "name").members(&names, &values), ["", "relation", &long[..63]]);
    }

    /// A text of that length which does not shrink when compressed.
    fn noise(length: usize) -> String {
        let letters = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz.";
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(letters[(state >> 26) as usize])
        };
        (0..length).map(|_| next()).collect()
    }

    /// How the stored values are kept, in order.
    fn stored_forms() -> Vec<&'static str> {
        Spi::connect(|client| {
            let mut rows = client.select("SELECT v FROM keys ORDER BY number", None, &[]).unwrap();
            let mut forms = vec![];
            while rows.next().is_some() {
                let value: *const pg_sys::varlena =
                    rows.get_datum_by_ordinal(1).unwrap().unwrap().cast_mut_ptr();
                // SAFETY: a value of a type of variable length, in memory as long as `rows`.
                forms.push(unsafe {
                    match () {
                        _ if varlena::varatt_is_1b_e(value) => "elsewhere",
                        _ if varlena::varatt_is_1b(value) => "short",
                        _ if varlena::varatt_is_4b_c(value) => "compressed",
                        _ => "plain",
                    }
                });
            }
            forms
        })
    }

    #[pg_test]
    fn long_texts_however_they_are_stored() {
        let values = [
            "short".to_owned(),
            noise(200),
            "shrinks ".repeat(1_000),
            noise(30_000),
            "shrinks to much as well ".repeat(20_000),
        ];
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        // Of the same lengths, different at the very end.
        let others: Vec<String> =
            values.iter().map(|value| format!("{}\t", &value[..value.len() - 1])).collect();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        let asked = [&values[..], &others[..]].concat();

        let extended = ["short", "plain", "compressed", "elsewhere", "elsewhere"];
        let external = ["short", "plain", "elsewhere", "elsewhere", "elsewhere"];
        for (storage, forms) in [("EXTENDED", extended), ("EXTERNAL", external)] {
            for (declared, element) in [("text", "text"), ("varchar", "varchar"), ("bytea", "bytea")] {
                let long = Key { storage: Some(storage), ..key(declared, element) };
                assert_eq!(long.members(&values, &asked).len(), values.len(), "{declared}");
                assert_eq!(stored_forms(), [forms, forms].concat(), "{declared} {storage}");
            }
        }
    }

    #[pg_test]
    fn bytea_keys_in_both_spellings() {
        let values = [r"\x", r"\x00", r"\x0000", r"\x616263", r"\x616264"];
        let names = ["", r"\x00", "abc"];
        assert_eq!(key("bytea", "bytea").members(&names, &values), [r"\x", r"\x00", r"\x616263"]);
    }

    // Texts under collations of ICU.

    /// Whether this server was built with ICU. If so, there are collations that ignore case.
    fn has_icu() -> bool {
        let has_icu = ask("SELECT EXISTS (SELECT FROM pg_collation WHERE collprovider = 'i')");
        if has_icu {
            run("CREATE COLLATION ignoring_case
                     (provider = icu, locale = 'und-u-ks-level2', deterministic = false)");
            run("CREATE COLLATION exact (provider = icu, locale = 'und-u-ks-level2')");
        }
        has_icu
    }

    #[pg_test]
    fn keys_under_a_nondeterministic_collation() {
        if !has_icu() {
            return;
        }
        let names = ["", "Müller", "caf\u{e9}", "STRASSE"];
        let values =
            ["", "MÜLLER", "muller", "Mu\u{308}ller", "cafe\u{301}", "cafe", "strasse", "strass", "x"];
        let members = ["", "MÜLLER", "Mu\u{308}ller", "cafe\u{301}", "strasse"];
        for (declared, element) in [
            ("text COLLATE ignoring_case", "text"),
            ("varchar(20) COLLATE ignoring_case", "varchar"),
            ("char(20) COLLATE ignoring_case", "bpchar"),
        ] {
            assert_eq!(key(declared, element).members(&names, &values), members, "{declared}");
        }
        run("CREATE DOMAIN forgiving AS text COLLATE ignoring_case");
        assert_eq!(key("forgiving", "text").members(&names, &values), members);

        let long = noise(30_000);
        let (lower, upper) = (long.to_lowercase(), long.to_uppercase());
        let found = key("text COLLATE ignoring_case", "text").members(&[&lower], &[&upper, &lower[1..]]);
        assert_eq!(found, [upper]);
    }

    #[pg_test]
    fn keys_under_a_deterministic_collation() {
        if !has_icu() {
            return;
        }
        let values = ["Müller", "MÜLLER", "Mu\u{308}ller"];
        for (declared, element) in [("text COLLATE exact", "text"), ("char(20) COLLATE \"C\"", "bpchar")] {
            assert_eq!(key(declared, element).members(&["Müller"], &values), ["Müller"], "{declared}");
        }
    }

    // Other types, with other spellings of the same value.

    #[pg_test]
    fn uuid_keys() {
        let (one, other) = ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12");
        let least = "00000000-0000-0000-0000-000000000000";
        let names = ["{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}", "00000000000000000000000000000000"];
        assert_eq!(key("uuid", "uuid").members(&names, &[one, other, least]), [one, least]);
    }

    #[pg_test]
    fn numeric_keys() {
        let large = "123456789012345678901234567890.0000000000000000000000001";
        let names = ["1.0", "2.50", "1e3", "-0.00", "NaN", large];
        let values = ["1", "1.00", "1.01", "2.5", "1000.0", "0", "NaN", "Infinity", "-1", large];
        let members = ["1", "1.00", "2.5", "1000.0", "0", "NaN", large];
        assert_eq!(key("numeric", "numeric").members(&names, &values), members);
        let found = key("numeric(8, 2)", "numeric").members(&["1", "1.005", "3.14"], &["1", "1.005", "3.14"]);
        assert_eq!(found, ["1.00", "3.14"], "the column rounds, a name does not");
    }

    #[pg_test]
    fn date_and_timestamp_keys() {
        let values = ["2024-02-29", "2024-03-01", "infinity", "-infinity"];
        let names = ["2024-2-29", "20240229", "infinity"];
        assert_eq!(key("date", "date").members(&names, &values), ["2024-02-29", "infinity"]);

        let values = ["2024-06-01 10:00:00+00", "2024-06-01 12:00:00+00"];
        let found = key("timestamptz", "timestamptz").members(&["2024-06-01 12:00:00+02"], &values);
        assert_eq!(found.len(), 1);
    }

    #[pg_test]
    fn enum_keys() {
        run("CREATE TYPE colour AS ENUM ('red', 'green', 'Green', 'blue')");
        let found = key("colour", "colour").members(&["green", "blue"], &["red", "green", "Green", "blue"]);
        assert_eq!(found, ["green", "blue"]);
    }

    #[pg_test(error = "invalid input value for enum colour: \"mauve\"")]
    fn a_name_that_an_enum_does_not_have() {
        run("CREATE TYPE colour AS ENUM ('red')");
        TypedSet::build(&set_of(&["red", "mauve"]), type_named("colour"), pg_sys::InvalidOid);
    }

    #[pg_test]
    fn keys_of_a_domain_and_of_a_domain_over_it() {
        run("CREATE DOMAIN code AS text CHECK (VALUE ~ '^[A-Z]+$')");
        run("CREATE DOMAIN short_code AS code CHECK (length(VALUE) < 4)");
        run("CREATE DOMAIN positive AS smallint CHECK (VALUE > 0)");
        // A name that the domain refuses is a name that no document has.
        let names = ["AB", "ABCDE", "lower", ""];
        assert_eq!(key("code", "text").members(&names, &["A", "AB", "ABCDE"]), ["AB", "ABCDE"]);
        assert_eq!(key("short_code", "text").members(&names, &["A", "AB"]), ["AB"]);
        assert_eq!(key("positive", "numeric").members(&["-1", "7", "70000"], &["1", "7"]), ["7"]);
        assert_eq!(values::base_type(type_named("short_code")), pg_sys::TEXTOID);
        // Also by the domain's own name, which is what a column says.
        let set = TypedSet::build(&set_of(&["7"]), type_named("positive"), pg_sys::InvalidOid);
        assert!(set.type_oid == pg_sys::INT2OID && set.contains(7_i16.into()) && !set.contains(8_i16.into()));
    }

    #[pg_test]
    fn keys_of_a_type_without_a_hash_function() {
        let values = ["101", "0101", "1010", "10", ""];
        assert_eq!(key("varbit", "varbit").members(&["101", "10", "1"], &values), ["101", "10"]);
    }

    #[pg_test]
    fn keys_of_a_type_with_polymorphic_functions() {
        let names = ["[1,3)", "empty"];
        let values = ["[1,2]", "(0,2]", "[1,3]", "[5,5)", "[1,)"];
        let members = ["[1,3)", "[1,3)", "empty"];
        assert_eq!(key("int4range", "int4range").members(&names, &values), members);
    }

    #[pg_test(error = "the type of a key or link column has no equality operator")]
    fn a_type_without_equality_makes_no_key() {
        TypedSet::build(&set_of(&["{}"]), pg_sys::JSONOID, pg_sys::InvalidOid);
    }

    #[pg_test]
    fn an_empty_set_holds_nothing() {
        for (declared, element, value) in [
            ("smallint", "smallint", "0"),
            ("integer", "integer", "0"),
            ("bigint", "bigint", "0"),
            ("text", "text", ""),
            ("varchar(5)", "varchar", ""),
            ("char(3)", "bpchar", ""),
            ("uuid", "uuid", "00000000-0000-0000-0000-000000000000"),
            ("numeric", "numeric", "0"),
            ("date", "date", "2000-01-01"),
        ] {
            let key = key(declared, element);
            assert_eq!(key.members(&[], &[value]).len(), 0, "{declared}");
            assert_eq!(key.members(&[value], &[value]).len(), 1, "{declared}");
        }
    }

    // Values and sets by themselves.

    #[pg_test]
    fn texts_and_values_are_each_others_inverse() {
        for (type_name, text, written) in [
            ("smallint", "-32768", "-32768"),
            ("integer", "0042", "42"),
            ("bigint", "9223372036854775807", "9223372036854775807"),
            ("text", " as it is ", " as it is "),
            ("text", "", ""),
            ("varchar", "longer than any length", "longer than any length"),
            ("bpchar", "ab   ", "ab"),
            ("bpchar", "   ", ""),
            ("name", "relation", "relation"),
            ("uuid", "A0EEBC999C0B4EF8BB6D6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            ("numeric", "1.00", "1.00"),
            ("date", "2024-2-29", "2024-02-29"),
            ("boolean", "yes", "t"),
            ("bytea", "a", r"\x61"),
            ("double precision", "0.1", "0.1"),
        ] {
            let type_oid = type_named(type_name);
            let value = values::value_of(text, type_oid).unwrap();
            assert_eq!(values::text_of(value, type_oid), written, "{type_name} {text:?}");
        }
    }

    #[pg_test]
    fn texts_that_are_no_value() {
        for (type_name, text) in [
            ("smallint", "32768"),
            ("smallint", "-32769"),
            ("integer", "2147483648"),
            ("bigint", "9223372036854775808"),
            ("bigint", ""),
            ("integer", "one"),
            ("text", "with \0 in it"),
        ] {
            assert!(values::value_of(text, type_named(type_name)).is_none(), "{type_name} {text:?}");
        }
    }

    #[pg_test(error = "invalid input syntax for type uuid: \"4711\"")]
    fn a_text_that_is_no_uuid() {
        values::value_of("4711", pg_sys::UUIDOID);
    }

    #[pg_test]
    fn types_that_can_be_empty() {
        run("CREATE DOMAIN code AS varchar(5)");
        for type_name in ["text", "varchar", "bpchar", "name", "code"] {
            assert!(values::can_be_empty(type_named(type_name)), "{type_name}");
        }
        for type_name in ["smallint", "bigint", "uuid", "numeric", "date", "bytea"] {
            assert!(!values::can_be_empty(type_named(type_name)), "{type_name}");
        }
    }

    #[pg_test]
    fn a_set_is_found_by_its_number_and_secret_as_long_as_it_lives() {
        let names = set_of(&["1"]);
        let set = TypedSet::build(&names, pg_sys::INT4OID, pg_sys::InvalidOid);
        let twin = TypedSet::build(&names, pg_sys::INT4OID, pg_sys::InvalidOid);
        assert_ne!((set.id, set.secret), (twin.id, twin.secret));
        let (id, secret) = (set.id, set.secret);
        assert!(registered(id, secret).is_some_and(|found| Rc::ptr_eq(&found, &set)));
        assert!(registered(id, secret ^ 1).is_none());
        assert!(registered(id, twin.secret).is_none());
        drop(set);
        assert!(registered(id, secret).is_none());
        assert!(registered(twin.id, twin.secret).is_some());
    }

    #[pg_test]
    fn the_array_of_a_set_has_what_the_type_can_hold() {
        let uuid = "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}";
        // Names stand in the order of their bytes.
        for (type_name, names, plain, with_empty) in [
            ("smallint", &["7", "12", "70000", "", "x"][..], "{12,7}", "{12,7}"),
            ("text", &["b", "a,b", "NULL"], r#"{"NULL","a,b",b}"#, r#"{"NULL","a,b",b,""}"#),
            ("varchar", &["b", ""], r#"{"",b}"#, r#"{"",b,""}"#),
            ("uuid", &[uuid], uuid, uuid),
            ("text", &[], "{}", r#"{""}"#),
        ] {
            let set = TypedSet::build(&set_of(names), type_named(type_name), pg_sys::DEFAULT_COLLATION_OID);
            let array_type = type_named(&format!("{type_name}[]"));
            assert_eq!(values::text_of(set.array(false), array_type), plain, "{type_name}");
            assert_eq!(values::text_of(set.array(true), array_type), with_empty, "{type_name}");
            // Asked again, it answers the same.
            assert_eq!(values::text_of(set.array(false), array_type), plain, "{type_name}");
        }
    }

    // The functions, called with NULLs.

    /// Calls a function and takes all of its result. What fails comes back with its SQLSTATE and message.
    fn sqlstate_of(call: &str) -> String {
        run("CREATE OR REPLACE FUNCTION pg_temp.sqlstate_of(query text) RETURNS text LANGUAGE plpgsql AS $$
             BEGIN
                 EXECUTE query;
                 RETURN '00000';
             EXCEPTION WHEN OTHERS THEN
                 RETURN SQLSTATE || ' ' || SQLERRM;
             END $$");
        ask(&format!("SELECT pg_temp.sqlstate_of({})", quote_literal(format!("SELECT * FROM {call}"))))
    }

    #[pg_test]
    fn strict_functions_make_null_of_null() {
        for call in [
            "docperm.permits(NULL, NULL, NULL)",
            "docperm.permits(NULL::pg_class, 'DocType', 'read')",
            "docperm.permits(ROW(1), NULL, 'read')",
            "docperm.permits(ROW(1), 'DocType', NULL)",
            "docperm._is_permitted(NULL::text, 1, 1)",
            "docperm._is_permitted('x'::text, NULL, NULL)",
        ] {
            assert!(ask::<bool>(&format!("SELECT ({call}) IS NULL")), "{call}");
        }
        // With all there, it would have been an error.
        assert!(sqlstate_of("docperm.permits(ROW(1), 'DocType', 'read')").starts_with("22023"));
    }

    #[pg_test]
    fn questions_with_nulls_are_answered_or_refused() {
        run("CREATE TABLE public.note (id integer PRIMARY KEY)");
        run("SELECT docperm.protect('public.note', 'Note')");
        run("SELECT docperm.set_user('Administrator')");
        for (call, answer) in [
            ("docperm.has_permission('Note')", true),
            ("docperm.has_permission('Note', NULL, NULL, NULL)", true),
            ("docperm.has_permission('Note', 'read', NULL, 'Guest')", false),
            ("docperm.has_permission('Note', NULL, '1', NULL)", false),
        ] {
            assert_eq!(ask::<bool>(&format!("SELECT {call}")), answer, "{call}");
        }
        run("SELECT docperm.set_user(NULL)");
        assert_eq!(ask::<String>("SELECT docperm.whoami()"), "Guest");
    }

    /// Each function of docperm that SQL can call, with all of its arguments NULL, with each one NULL by itself, and with
    /// each one alone not NULL.
    #[pg_test]
    fn no_function_panics_at_null() {
        run("CREATE TABLE public.note (id integer PRIMARY KEY)");
        let calls: Vec<String> = ask(r#"
            WITH argument AS (
                SELECT p.oid, p.proname, a.position,
                       CASE a.type WHEN 'record'::regtype  THEN 'NULL::docperm.users'
                                   WHEN '"any"'::regtype   THEN 'NULL::text'
                                   ELSE format('NULL::%s', a.type::regtype) END AS absent,
                       CASE a.type WHEN 'record'::regtype   THEN 'ROW(1)'
                                   WHEN 'text'::regtype     THEN '''read'''
                                   WHEN 'name'::regtype     THEN '''id'''
                                   WHEN 'boolean'::regtype  THEN 'true'
                                   WHEN 'text[]'::regtype   THEN '''{read}'''
                                   WHEN 'regclass'::regtype THEN '''public.note'''
                                   ELSE '''1''' END AS present
                  FROM pg_proc AS p, unnest(p.proargtypes::oid[]) WITH ORDINALITY AS a (type, position)
                 WHERE p.pronamespace = 'docperm'::regnamespace AND 'internal'::regtype <> ALL (p.proargtypes)
            ), choice AS (
                -- The argument that is unlike the others; 0 for none.
                SELECT oid, proname, odd, odd_is_absent,
                       string_agg(CASE WHEN (position = odd) = odd_is_absent THEN absent ELSE present END,
                                  ', ' ORDER BY position) AS arguments
                  FROM argument, generate_series(0, 14) AS odd, (VALUES (true), (false)) AS how (odd_is_absent)
                 GROUP BY oid, proname, odd, odd_is_absent
            )
            SELECT array_agg(DISTINCT format('docperm.%I(%s)', proname, arguments)) FROM choice"#);
        for known in [
            "docperm.permits(NULL::docperm.users, NULL::text, NULL::text)",
            "docperm.set_user(NULL::text, true)",
        ] {
            assert!(calls.iter().any(|call| call == known), "{known} is not among {calls:#?}");
        }
        let panics: Vec<String> = calls
            .iter()
            .map(|call| format!("{call}: {}", sqlstate_of(call)))
            .filter(|outcome| outcome.contains(": XX"))
            .collect();
        assert!(panics.is_empty(), "{panics:#?}");
    }
}
