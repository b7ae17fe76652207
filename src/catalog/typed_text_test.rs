//! In a backend: sets of names find what SQL finds in keys of texts, however they are stored and collated.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;
    use pgrx::{pg_sys, varlena};

    use crate::catalog::key_column::{Key, ask, key, run};

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
}
