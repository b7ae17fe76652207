//! docperm.login() and its like: what is asked of the login worker, and what its answer becomes.

use pgrx::Inet;
use pgrx::spi::Spi;
use zeroize::Zeroizing;

use super::access::is_permitted;
use super::sessions::actor;
use super::{administers, require_oneself, required};
use crate::auth::ask::ask;
use crate::auth::attempt::expect;
use crate::auth::owner::as_owner;
use crate::auth::request::{Answer, Refusal, Request, Secret};
use crate::catalog::cache;
use crate::concealment::conceal_statement;
use crate::fault::{Fault, SqlState};
use crate::identity::address::ClientAddress;
use crate::identity::{self, Source, acting, is_database_superuser};
use crate::rules::NotAdmitted;
use crate::rules::model::{ADMINISTRATOR, GUEST};

/// As long as a password can be (bytes).
const LONGEST: usize = 4096;
/// Longer than any ID token that is read.
const LONGEST_TOKEN: usize = 65536;

/// What is not too long to be handed over. It is not counted as an attempt: it could not be right.
fn bounded<'a>(text: &'a str, name: &str, longest: usize) -> &'a str {
    if text.len() > longest {
        Fault::bad_argument(format!("{name} is longer than {longest} bytes")).hint("Shorten it.").raise();
    }
    text
}

fn given<'a>(text: Option<&'a str>, name: &str) -> &'a str {
    bounded(required(text, name), name, LONGEST)
}

fn secret(text: Option<&str>, name: &str) -> Secret {
    Zeroizing::new(given(text, name).to_owned())
}

/// Opens a session to whoever knows the password.
#[pgrx::pg_extern(sql = false)]
fn docperm_login(
    login_id: Option<&str>,
    password: Option<&str>,
    otp: Option<&str>,
    client_address: Option<Inet>,
    is_local: Option<bool>,
) -> String {
    conceal_statement();
    let from = ClientAddress::of_client(client_address);
    let answer = ask(&Request::Login {
        login_id: given(login_id, "login_id").to_owned(),
        password: secret(password, "password"),
        code: otp.map(|otp| Zeroizing::new(bounded(otp, "otp", LONGEST).to_owned())),
        from,
    });
    enter(answer, from, is_local)
}

/// Opens a session to whom the token is about.
#[pgrx::pg_extern(sql = false)]
fn docperm_login_with_id_token(
    provider: Option<&str>,
    id_token: Option<&str>,
    nonce: Option<&str>,
    client_address: Option<Inet>,
    is_local: Option<bool>,
) -> String {
    conceal_statement();
    let from = ClientAddress::of_client(client_address);
    let answer = ask(&Request::IdToken {
        provider: given(provider, "provider").to_owned(),
        token: Zeroizing::new(bounded(required(id_token, "id_token"), "id_token", LONGEST_TOKEN).to_owned()),
        nonce: nonce.map(|nonce| bounded(nonce, "nonce", LONGEST).to_owned()),
        from,
    });
    enter(answer, from, is_local)
}

/// Changes the acting user's password.
#[pgrx::pg_extern(sql = false)]
fn docperm_change_password(
    old_password: Option<&str>,
    new_password: Option<&str>,
    client_address: Option<Inet>,
) {
    conceal_statement();
    let identity = acting();
    if identity.source == Source::Nobody || identity.user == GUEST {
        Fault::denied("nobody acts who has a password")
            .hint("Log in first. Administrators use docperm.set_password().")
            .raise();
    }
    require_oneself("change the password");
    let user = identity.user;
    let new_password = secret(new_password, "new_password");
    let old_password = secret(old_password, "old_password");
    // First, because it costs no attempt.
    let arguments = [user.as_str().into(), new_password.as_str().into(), old_password.as_str().into()];
    as_owner(|| expect(Spi::run_with_args("SELECT docperm._check_new_password($1, $2, $3)", &arguments)));

    let answer = ask(&Request::VerifyPassword {
        user: user.clone(),
        password: old_password,
        from: ClientAddress::of_client(client_address),
    });
    if !matches!(answer, Answer::Verified) {
        refusal(answer).raise();
    }
    as_owner(|| {
        expect(Spi::run_with_args("SELECT docperm._store_password($1, $2)", &arguments[..2]));
        let sql = "SELECT docperm._end_sessions_of($1, true) FROM docperm.settings AS s WHERE s.logout_on_password_reset";
        expect(Spi::run_with_args(sql, &arguments[..1]));
    });
}

/// Opens a session as somebody else.
#[pgrx::pg_extern(sql = false)]
fn docperm_impersonate(
    user_name: Option<&str>,
    reason: Option<&str>,
    client_address: Option<Inet>,
    is_local: Option<bool>,
) -> String {
    let user = identity::stored_name(required(user_name, "user_name"));
    let reason = given(reason, "reason").trim();
    if reason.is_empty() {
        Fault::bad_argument("a reason is wanted").hint("The user will read it.").raise();
    }
    require_impersonation(&user);
    let from = ClientAddress::of_client(client_address);
    let returns_to = identity::acting_session().and_then(|session| session.id);
    let answer =
        ask(&Request::Impersonate { user, actor: actor(), returns_to, reason: reason.to_owned(), from });
    enter(answer, from, is_local)
}

/// The right that lets a user act as another one; on documents of the doctype User.
const IMPERSONATE: &str = "impersonate";

fn require_impersonation(user: &str) {
    let identity = acting();
    let authority = cache::authority(&identity.user);
    let is_known = cache::authority(user).record().is_some();
    let refuse = |detail: &str| -> ! {
        Fault::denied(format!("user \"{}\" may not impersonate \"{user}\"", identity.user))
            .detail(detail)
            .hint("The Administrator may, and who has the right impersonate on the doctype User.")
            .raise()
    };
    if identity::acting_session().is_some_and(|session| session.impersonated_by.is_some()) {
        refuse(
            "Who acts as somebody else does not go on to a third one: docperm.end_impersonation() comes first.",
        );
    }
    if identity.source == Source::Session
        && identity::acting_session().is_some_and(|session| session.id.is_none())
    {
        refuse("API keys are for programs, which impersonate nobody.");
    }
    let is_master = is_database_superuser(&identity) || identity.user == ADMINISTRATOR;
    let may = is_master
        || (authority.site.model.doctypes.contains_key("User")
            && is_permitted(&authority, "User", IMPERSONATE, user));
    if !may {
        refuse("The right is missing.");
    }
    if !is_known {
        Fault::unknown(format!("unknown user \"{user}\"")).hint("Users are rows of docperm.users.").raise();
    }
    if user == GUEST || user == identity.user {
        refuse("There is nothing to gain by it.");
    }
    // Nobody reaches for more than he has himself.
    let reaches_up = user == ADMINISTRATOR
        || (!administers(&identity)
            && cache::authority(user)
                .record()
                .is_some_and(|record| crate::rules::roles::administers(&authority.site.model, record)));
    if reaches_up && !is_master {
        refuse("That user administers.");
    }
}

/// Ends a session as somebody else. To act as oneself again takes the token of a session of one's own: code of the other's
/// that runs in this one must not be able to.
#[pgrx::pg_extern(sql = false)]
fn docperm_end_impersonation(is_local: Option<bool>, own_token: Option<&str>) -> Option<String> {
    conceal_statement();
    let is_local = is_local.unwrap_or(false);
    let impersonator = identity::acting_session().and_then(|session| session.impersonated_by.clone());
    let Some(impersonator) = impersonator else {
        Fault::bad_argument("nobody is impersonated").hint("docperm.session_info() tells who acts.").raise()
    };
    if own_token.is_some_and(|token| identity::session::valid(token).user != impersonator) {
        Fault::new(
            SqlState::ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
            "the token is not that of a session of who acts as somebody else",
        )
        .hint("Give the token that docperm.login() returned, or none, and log in again.")
        .raise();
    }
    as_owner(|| expect(Spi::run("SELECT docperm._end_impersonation()")));
    match own_token {
        Some(token) => Some(identity::resume(token, ClientAddress::of_client(None), is_local).user.clone()),
        None => {
            identity::settings::assign_session_token("", is_local);
            None
        }
    }
}

/// Acts in the session that was opened.
fn enter(answer: Answer, from: ClientAddress, is_local: Option<bool>) -> String {
    match answer {
        Answer::Opened { token } => {
            identity::resume(&token, from, is_local.unwrap_or(false));
            token.to_string()
        }
        other => refusal(other).raise(),
    }
}

/// One message for whatever is wrong with the credentials: which it is, is for the log.
fn refusal(answer: Answer) -> Fault {
    let not_now = |message: &str| Fault::new(SqlState::ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION, message);
    match answer {
        Answer::Locked { seconds } => {
            Fault::new(SqlState::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED, "too many failed logins")
                .detail(format!("The next attempt is possible in {} s.", seconds.ceil().max(1.0)))
                .hint("Wait, or ask an administrator for docperm.unlock().")
        }
        Answer::Trouble(trouble) => {
            Fault::from_parts(trouble.sqlstate, trouble.message, trouble.detail, trouble.hint)
        }
        Answer::Refused(Refusal::CodeRequired) => not_now("a one-time code is wanted")
            .detail("The second factor is missing.")
            .hint("Log in again with otp => the code that the authenticator shows."),
        Answer::Refused(Refusal::NotEnrolled) => not_now("the second factor is not enrolled")
            .detail("The user's role demands one-time codes, and no authenticator has been set up.")
            .hint("The application starts the enrolment: docperm.start_enrollment()."),
        Answer::Refused(Refusal::PasswordExpired) => not_now("the password has to be changed")
            .detail("It is too old, or was given to be changed.")
            .hint("The application asks for a reset: docperm.request_password_reset()."),
        Answer::Refused(Refusal::NotAdmitted(NotAdmitted::Hour)) => {
            not_now("logins are not possible at this hour")
                .hint("Ask an administrator for the hours that apply.")
        }
        Answer::Refused(Refusal::NotAdmitted(NotAdmitted::Address)) => {
            not_now("logins are not possible from this address")
                .hint("Ask an administrator for the addresses that apply.")
        }
        Answer::Refused(Refusal::NotAdmitted(NotAdmitted::Disabled)) => {
            not_now("the user is disabled").hint("Ask an administrator.")
        }
        Answer::Refused(Refusal::IdToken(_)) => {
            Fault::new(SqlState::ERRCODE_INVALID_PASSWORD, "the ID token opens no session").hint(
                "Log in at the provider again. An administrator finds the reason in docperm.activity_log.",
            )
        }
        _ => Fault::new(SqlState::ERRCODE_INVALID_PASSWORD, "wrong login or password")
            .hint("Check both; after too many failures the account is locked for a while."),
    }
}
