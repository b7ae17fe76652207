//! Known answers of zxcvbn, and what docperm makes of them.

use super::*;

/// The passwords of zxcvbn's demonstration page, and those of Frappe's tests, with the scores that Frappe's library, zxcvbn
/// for Python, gives them.
#[rustfmt::skip]
const PUBLISHED: [(&str, u8); 68] = [
    ("zxcvbn", 0),
    ("qwER43@!", 2),
    ("Tr0ub4dour&3", 2),
    ("correcthorsebatterystaple", 4),
    ("coRrecth0rseba++ery9.23.2007staple$", 4),
    ("p@ssword", 0),
    ("p@$$word", 0),
    ("123456", 0),
    ("123456789", 0),
    ("11111111", 0),
    ("zxcvbnm,./", 1),
    ("love88", 1),
    ("angel08", 1),
    ("monkey13", 1),
    ("iloveyou", 0),
    ("woaini", 1),
    ("wang", 0),
    ("tianya", 1),
    ("zhang198822", 2),
    ("li4478", 1),
    ("a6a4Aa8a", 2),
    ("b6b4Bb8b", 2),
    ("z6z4Zz8z", 2),
    ("aiIiAaIA", 2),
    ("zxXxZzXZ", 2),
    ("pässwörd", 2),
    ("alpha bravo charlie delta", 4),
    ("a b c d e f g h i j k l m n o p q r s t u v w x y z 0 1 2 3 4 5 6 7 8 9", 4),
    ("a b c 1 2 3", 4),
    ("correct-horse-battery-staple", 4),
    ("correct.horse.battery.staple", 4),
    ("correct,horse,battery,staple", 4),
    ("correct~horse~battery~staple", 4),
    ("Athena lavished a marvelous splendor", 4),
    ("buckmulliganstenderchant", 4),
    ("seethenthatyewalkcircumspectly", 4),
    ("establishedinthecityofZarahemla", 4),
    ("D0g..................", 1),
    ("abcdefghijk987654321", 1),
    ("neverforget13/3/1997", 3),
    ("1qaz2wsx3edc", 0),
    ("temppass22", 1),
    ("briansmith", 1),
    ("briansmith4mayor", 4),
    ("password1", 0),
    ("viking", 0),
    ("thx1138", 0),
    ("ScoRpi0ns", 1),
    ("do you know", 3),
    ("ryanhunter2000", 3),
    ("rianhunter2000", 3),
    ("asdfghju7654rewq", 3),
    ("AOEUIDHG&*()LS_", 3),
    ("12345678", 0),
    ("defghi6789", 1),
    ("rosebud", 0),
    ("Rosebud", 0),
    ("ROSEBUD", 0),
    ("rosebuD", 0),
    ("ros3bud99", 1),
    ("r0s3bud99", 1),
    ("R0$38uD99", 2),
    ("verlineVANDERMARK", 4),
    ("eheuczkqyq", 3),
    ("rWibMFACxAUGZmxhVncy", 4),
    ("Ba9ZyWABu99[BK#6MBgbH88Tofv)vs$w", 4),
    ("bee2ve", 1),
    ("Eastern_43A1W", 3),
];

fn score(password: &str, about_user: &[&str]) -> u8 {
    measure(password, about_user).score
}

fn policy(minimum_score: u8) -> Policy {
    Policy { minimum_score, minimum_length: 0 }
}

#[test]
fn scores_are_the_published_ones() {
    let found: Vec<(&str, u8)> =
        PUBLISHED.iter().map(|(password, _)| (*password, score(password, &[]))).collect();
    assert_eq!(found, PUBLISHED);
}

#[test]
fn feedback_is_the_published_one() {
    let weak = measure("password", &[]);
    assert_eq!(weak.warning.as_deref(), Some("This is a top-10 common password."));
    assert_eq!(weak.suggestions, ["Add another word or two. Uncommon words are better."]);
    let keyboard = measure("qwER43@!", &[]);
    assert_eq!(
        keyboard.feedback(),
        "Short keyboard patterns are easy to guess. Add another word or two. Uncommon words are better. \
         Use a longer keyboard pattern with more turns."
    );
    assert_eq!(measure("correcthorsebatterystaple", &[]).feedback(), "");
}

#[test]
fn a_password_of_no_characters_is_as_weak_as_can_be() {
    let nothing = measure("", &[]);
    assert_eq!((nothing.score, nothing.guesses_log10), (0, 0.0));
}

#[test]
fn what_is_known_of_the_user_makes_a_password_weak() {
    let about = [
        "Wilhelmina",
        "Quastenberg",
        "w.quastenberg@zwirbelwerke.example",
        "1990-05-21",
        "+49 171 5550123",
        "",
    ];
    for password in [
        "Wilhelmina",
        "quastenberg1",
        "w1lhelm1na",
        "animlehliw",
        "zwirbelwerke",
        "Zwirbelwerke21",
        "wquastenberg",
        "w.quastenberg@zwirbelwerke.example",
        "491715550123",
        "5550123",
        "19900521",
        "21051990",
        "Ｑｕａｓｔｅｎｂｅｒｇ",
    ] {
        assert!(policy(2).check(password, &about).is_err(), "{password}");
    }
    // Without them, these would do.
    for password in ["quastenberg1", "zwirbelwerke", "wquastenberg", "491715550123"] {
        assert_eq!(policy(2).check(password, &[]), Ok(()), "{password}");
    }
    assert_eq!(policy(4).check("correct horse battery staple", &about), Ok(()));
}

#[test]
fn who_used_his_own_words_is_told_so() {
    let told = measure("zwirbelwerke", &["a@zwirbelwerke.example"]);
    assert!(
        told.feedback().starts_with("Words that have to do with you are easy to guess. Add another"),
        "{told:?}"
    );
}

#[test]
fn words_are_in_normal_form_and_longer_than_a_character() {
    assert_eq!(words(&["Ｗｉｌｍａ"]), ["wilma"]);
    assert_eq!(words(&["J", "R.R. O'Neil", " ", "J."]), ["r.r. o'neil", "neil", "rroneil", "j."]);
}

#[test]
fn many_and_long_words_are_bounded() {
    let many: Vec<String> = (0..10_000).map(|n| format!("word{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(words(&many).len(), 100);
    assert_eq!(words(&["x".repeat(10_000).as_str()]), ["x".repeat(100)]);
}

#[test]
fn the_lowest_score_that_passes_is_one() {
    assert!(policy(0).check("zxcvbn", &[]).is_err());
    assert_eq!(policy(0).check("bee2ve", &[]), Ok(()));
    // Frappe's own cases.
    assert!(policy(1).check("zxcvbn", &[]).is_err());
    assert_eq!(policy(1).check("bee2ve", &[]), Ok(()));
    assert_eq!(policy(1).check("Eastern_43A1W", &[]), Ok(()));
    assert!(policy(2).check("bee2ve", &[]).is_err());
}

#[test]
fn every_refusal_comes_with_a_suggestion() {
    for minimum in 0..=4 {
        for (password, score) in PUBLISHED {
            match policy(minimum).check(password, &[]) {
                Ok(()) => assert!(score >= minimum.max(1), "{password}"),
                Err(weak) => {
                    assert!(score < minimum.max(1), "{password}");
                    assert!(!weak.suggestions.is_empty(), "{password}");
                    assert!(!weak.feedback().contains(password), "{password}");
                }
            }
        }
    }
}

#[test]
fn characters_count_and_not_bytes() {
    let policy = Policy { minimum_score: 0, minimum_length: 8 };
    let short = policy.check("ßqx7wkv", &[]).unwrap_err();
    assert_eq!(short.suggestions[0], "Use at least 8 characters.");
    assert_eq!(policy.check("ßqx7wkvü", &[]), Ok(()));
    // Decomposed, it has more.
    assert!(policy.check("u\u{308}qx7wkv", &[]).is_err());
}

#[test]
fn common_passwords_stay_common_in_full_width() {
    assert_eq!(score("ｐａｓｓｗｏｒｄ", &[]), 0);
}

#[test]
fn odd_texts_are_rated() {
    for text in ["\u{0}", "\u{301}", "𐰊𐰂𐰄𐰀𐰁", "﷽﷽﷽", "İİİİ", "ﬃﬃ", "08märz2010", "👩‍👩‍👧‍👦"]
    {
        for length in [1, 3, 50, 200] {
            let text = text.repeat(length);
            assert_ne!(
                measure(&text, &[&text]).warning.as_deref(),
                Some("This password cannot be rated."),
                "{text}"
            );
        }
    }
}
