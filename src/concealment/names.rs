//! Which statements may hold a secret, by what they name.
//!
//! For statements that fail before docperm is called at all: in a transaction that is aborted already, with a syntax error,
//! while they are planned. Better one too many than one too few: it costs a line in the log, and no answer.

/// What is given secrets, by names that others may use as well: these count with the schema in front.
const QUALIFIED: [&str; 10] = [
    "api_keys",
    "change_password",
    "confirm_two_factor",
    "end_impersonation",
    "login",
    "login_with_id_token",
    "passwords",
    "password_strength",
    "resume",
    "session",
];

/// Names that are docperm's wherever they stand, for those who have the schema in their search_path.
const ANYWHERE: [&str; 9] = [
    "change_password",
    "confirm_two_factor",
    "hash_password",
    "import_password_hash",
    "login_with_id_token",
    "password_reset_recipient",
    "reset_password",
    "set_password",
    "verify_password",
];

/// Whether a statement names something of docperm's that is given secrets.
#[must_use]
pub fn may_hold_a_secret(statement: &[u8]) -> bool {
    let is_of_a_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || !byte.is_ascii();
    let is_one_of =
        |names: &[&str], word: &[u8]| names.iter().any(|name| word.eq_ignore_ascii_case(name.as_bytes()));
    let mut rest = statement;
    // The name before was the schema's.
    let mut is_qualified = false;
    while !rest.is_empty() {
        let length = rest.iter().take_while(|byte| is_of_a_name(byte)).count();
        let (word, after) = rest.split_at(length);
        if is_one_of(&ANYWHERE, word) || is_qualified && is_one_of(&QUALIFIED, word) {
            return true;
        }
        let between = after.iter().take_while(|byte| !is_of_a_name(byte)).count();
        let (separator, next) = after.split_at(between);
        let is_dot = separator.iter().all(|byte| b"\". \t\r\n".contains(byte)) && separator.contains(&b'.');
        is_qualified = is_dot && word.eq_ignore_ascii_case(b"docperm");
        rest = next;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::may_hold_a_secret;

    #[test]
    fn statements_with_secrets_are_known_by_what_they_name() {
        for statement in [
            "SELECT docperm.login('bob', 'secret')",
            "select * from DocPerm . \"login\"('bob', 'secret'",
            "SELECT \"docperm\".resume('secret')",
            "SET docperm.session = 'secret'",
            "set local docperm.session to 'secret'; SELECT 1",
            "SELECT set_config('docperm.session', 'secret', true)",
            "SELECT 1; SELECT set_password('bob', 'secret')",
            "INSERT INTO docperm.passwords VALUES ('bob', 'secret')",
            "DO $$ BEGIN PERFORM docperm.change_password('a', 'b'); END $$",
        ] {
            assert!(may_hold_a_secret(statement.as_bytes()), "{statement}");
        }
    }

    #[test]
    fn others_are_not() {
        for statement in [
            "",
            "docperm.",
            "SELECT login FROM person",
            "SELECT * FROM docperm.sessions",
            "SELECT * FROM docperm.session_info()",
            "SELECT docperm.whoami(), resume FROM applicant",
            "SELECT mydocperm.login('x')",
            "SELECT docperm, login FROM x",
            "UPDATE docperm.settings SET enable_password_policy = false",
        ] {
            assert!(!may_hold_a_secret(statement.as_bytes()), "{statement}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_read_to_the_end() {
        assert!(may_hold_a_secret(b"\xff\xfe docperm.login('\xe9')"));
        assert!(!may_hold_a_secret(&[0xff; 1000]));
    }
}
