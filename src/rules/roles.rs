//! Which roles a user has.

use super::model::{ADMINISTRATOR, GUEST, Model, User};

/// Held by every user who is not `Guest`.
pub const ALL: &str = "All";
/// Held by every System User: a user with a role that gives access to the desk.
pub const DESK_USER: &str = "Desk User";
/// Holders administer users, roles and rules.
pub const SYSTEM_MANAGER: &str = "System Manager";

/// Roles that are derived and never given: naming one in `user_roles` has no effect.
pub const AUTOMATIC: [&str; 4] = [ADMINISTRATOR, ALL, DESK_USER, GUEST];

/// The roles that count for `user`, sorted: explicit enabled ones and the automatic ones.
pub fn roles_of<'a>(model: &'a Model, user: &'a User) -> Vec<&'a str> {
    if user.name == GUEST {
        return vec![GUEST];
    }
    if user.is_administrator() {
        let mut every: Vec<&str> = model.roles.keys().map(String::as_str).chain(AUTOMATIC).collect();
        every.sort_unstable();
        every.dedup();
        return every;
    }
    let mut roles: Vec<&str> = explicit_roles(model, user).collect();
    roles.push(ALL);
    roles.push(GUEST);
    if is_system_user(model, user) {
        roles.push(DESK_USER);
    }
    roles.sort_unstable();
    roles.dedup();
    roles
}

/// Has at least one role with access to the desk.
pub fn is_system_user(model: &Model, user: &User) -> bool {
    user.is_administrator() || explicit_roles(model, user).any(|role| model.roles[role].desk_access)
}

/// May administer: the Administrator, and enabled holders of System Manager.
pub fn administers(model: &Model, user: &User) -> bool {
    user.is_administrator() || user.enabled && explicit_roles(model, user).any(|role| role == SYSTEM_MANAGER)
}

fn explicit_roles<'a>(model: &'a Model, user: &'a User) -> impl Iterator<Item = &'a str> {
    user.roles.iter().map(String::as_str).filter(|role| {
        !AUTOMATIC.contains(role) && model.roles.get(*role).is_some_and(|known| !known.disabled)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::model::Role;

    fn model() -> Model {
        let role = |desk_access, disabled| Role { desk_access, disabled };
        let roles = [
            ("Clerk", role(true, false)),
            ("Portal", role(false, false)),
            ("Gone", role(true, true)),
            ("System Manager", role(true, false)),
        ];
        Model {
            roles: roles.into_iter().map(|(name, role)| (name.to_owned(), role)).collect(),
            ..Default::default()
        }
    }

    fn roles(name: &str, explicit: &[&str]) -> Vec<String> {
        let user = User::new(name, true, explicit.iter().map(|r| (*r).to_owned()).collect(), vec![]);
        roles_of(&model(), &user).into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn guest_is_only_guest() {
        assert_eq!(roles("Guest", &["Clerk"]), ["Guest"]);
    }

    #[test]
    fn website_user_is_no_desk_user() {
        assert_eq!(roles("w@x", &["Portal"]), ["All", "Guest", "Portal"]);
        assert_eq!(roles("w@x", &[]), ["All", "Guest"]);
    }

    #[test]
    fn system_user_is_desk_user() {
        assert_eq!(roles("s@x", &["Clerk"]), ["All", "Clerk", "Desk User", "Guest"]);
    }

    #[test]
    fn automatic_roles_cannot_be_given() {
        assert_eq!(roles("s@x", &["Administrator", "Desk User"]), ["All", "Guest"]);
    }

    #[test]
    fn disabled_role_is_not_held() {
        assert_eq!(roles("s@x", &["Gone", "Portal"]), ["All", "Guest", "Portal"]);
    }

    #[test]
    fn administrator_has_every_role() {
        assert!(roles("Administrator", &[]).contains(&"Portal".to_owned()));
    }

    #[test]
    fn system_manager_administers_while_enabled() {
        let manager = |enabled| User::new("m@x", enabled, vec!["System Manager".to_owned()], vec![]);
        assert!(administers(&model(), &manager(true)));
        assert!(!administers(&model(), &manager(false)));
    }
}
