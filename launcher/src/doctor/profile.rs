//! Owns the AppArmor profile that lets shieldrun make user namespaces where Ubuntu forbids them.

use std::path::Path;

/// What to write where, for the program at `executable`.
///
/// `userns` is the permission that Ubuntu's restriction asks for; `unconfined` leaves all else as it
/// is. See apparmor.d(5) of AppArmor 4.
pub(super) fn for_program(executable: &Path) -> String {
    // Quotes are AppArmor's own; a path with a quote or a glob in it has to be written by hand.
    format!(
        "as root, write this to /etc/apparmor.d/shieldrun:\n\
         \x20 abi <abi/4.0>,\n\
         \x20 include <tunables/global>\n\
         \x20 profile shieldrun \"{}\" flags=(unconfined) {{\n\
         \x20   userns,\n\
         \x20 }}\n\
         and load it: apparmor_parser -r /etc/apparmor.d/shieldrun",
        executable.display()
    )
}
