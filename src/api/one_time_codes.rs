//! docperm.enroll_two_factor() and its kin.

use std::rc::Rc;

use pgrx::spi::Spi;

use super::sessions::actor;
use super::{administers, require_oneself, required};
use crate::auth::attempt::expect;
use crate::auth::owner::as_owner;
use crate::auth::two_factor::{self, Outcome};
use crate::catalog::cache::{self, Authority};
use crate::concealment::conceal_statement;
use crate::fault::{Fault, OrRaise, SqlState};
use crate::identity::{Identity, acting, is_database_superuser, stored_name};
use crate::rules::model::{ADMINISTRATOR, GUEST};

/// A new second factor for the acting user, in force once it is confirmed.
#[pgrx::pg_extern(sql = false)]
fn docperm_enroll_two_factor() -> String {
    let user = acting_user();
    let address = as_owner(|| two_factor::enroll(&user)).or_raise();
    log(&user, "begun");
    address.as_str().to_owned()
}

/// Puts the acting user's new second factor in force.
#[pgrx::pg_extern(sql = false)]
fn docperm_confirm_two_factor(otp: Option<&str>) {
    conceal_statement();
    let user = acting_user();
    let code = required(otp, "otp");
    as_owner(|| two_factor::confirm(&user, code)).or_raise();
    log(&user, "confirmed");
}

/// Takes away a second factor: one's own, or as an administrator that of another.
#[pgrx::pg_extern(sql = false)]
fn docperm_reset_two_factor(user_name: Option<&str>) -> bool {
    require_oneself("reset the second factor");
    let identity = acting();
    let user = user_name.map_or_else(|| identity.user.clone(), stored_name);
    require_may_reset(&identity, &user);
    require_user(&user);
    let was_there = as_owner(|| two_factor::reset(&user)).or_raise();
    if was_there {
        log(&user, "taken away");
    }
    was_there
}

/// A new second factor for a user who cannot log in without one. Who may execute it is trusted to tell nobody but the user.
#[pgrx::pg_extern(sql = false)]
fn docperm_start_enrollment(user_name: Option<&str>) -> String {
    let user = stored_name(required(user_name, "user_name"));
    require_enabled(&user);
    let address = as_owner(|| two_factor::enroll(&user)).or_raise();
    log(&user, "begun");
    address.as_str().to_owned()
}

/// What a code is worth to log in with, and uses it up.
#[pgrx::pg_extern(sql = false)]
fn docperm_verify_one_time_code(user_name: &str, code: &str) -> &'static str {
    match two_factor::verify(user_name, code).or_raise() {
        Outcome::NotEnrolled => "not enrolled",
        Outcome::Right => "right",
        Outcome::Wrong => "wrong",
        Outcome::AlreadyUsed => "already used",
    }
}

/// A renamed user's secret.
#[pgrx::pg_extern(sql = false)]
fn docperm_reseal_secret(sealed: &str, from_user: &str, to_user: &str) -> String {
    two_factor::reseal(sealed, from_user, to_user).or_raise()
}

/// Seals all secrets with the first key.
#[pgrx::pg_extern(sql = false)]
fn docperm_reseal_secrets() -> i32 {
    as_owner(two_factor::reseal_all).or_raise()
}

/// Writes down what became of a user's second factor, and by whom.
fn log(user: &str, what: &str) {
    let arguments = [user.into(), format!("{what} by {}", actor()).into()];
    let sql = "SELECT docperm._log_activity('Two Factor', $1, true, NULL, $2)";
    as_owner(|| expect(Spi::run_with_args(sql, &arguments)));
}

/// The acting user, who is somebody.
fn acting_user() -> String {
    require_oneself("set up the second factor");
    let user = acting().user;
    if user == GUEST {
        Fault::denied("Guest has no second factor").hint("Log in first.").raise();
    }
    require_enabled(&user);
    user
}

/// Refuses users who do not exist, and Guest.
fn require_user(user: &str) -> Rc<Authority> {
    let authority = cache::authority(user);
    if authority.record().is_none() {
        Fault::unknown(format!("unknown user \"{user}\"")).hint("Users are rows of docperm.users.").raise();
    }
    if user == GUEST {
        Fault::bad_argument("Guest has no second factor").hint("Name a user who logs in.").raise();
    }
    authority
}

/// Refuses who could not log in anyway.
fn require_enabled(user: &str) {
    let authority = require_user(user);
    let is_enabled = authority.record().is_some_and(|record| record.enabled || record.is_administrator());
    if !is_enabled {
        Fault::new(
            SqlState::ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
            format!("user \"{user}\" is disabled"),
        )
        .hint("An administrator can enable the user: docperm.users.enabled.")
        .raise();
    }
}

/// The Administrator's is taken away by himself or a superuser: otherwise a System Manager could open his door.
fn require_may_reset(identity: &Identity, user: &str) {
    let may = identity.user == user
        || is_database_superuser(identity)
        || user != ADMINISTRATOR && administers(identity);
    if !may {
        Fault::denied(format!("user \"{}\" may not reset the second factor of \"{user}\"", identity.user))
            .detail("Only the Administrator and System Managers may, and that of the Administrator only he himself.")
            .hint("Leave user_name out to reset your own.")
            .raise();
    }
}
