//! Documents that are refused, with line and key; and what the policies of good ones do.

use super::*;
use crate::facts::{test_entry, test_situation as situation};
use crate::policy::{Action, Plan, plan};

const GOOD: &str = r#"
# What we keep.
[pool.scratch]
[pool.daily]
allocation = { calendar = "Mon 00:00" }
retention = "30d"
scratch = "scratch"
low = 3
create = 5
gfs = { daily = 7, weekly = 5 }

[group.mail]
members = ["MAIL*", "A00001L9"]

[policy.offsite]
pool = "daily"
when = { all = ["unloaded", { any = ["full", { age = "1d" }, { disk-above = 80 }] }] }
verify = true
copies = 2
eject = true
free-disk = true
"#;

/// A document that is good but for one place.
fn refused(old: &str, new: &str) -> RulesError {
    assert!(GOOD.contains(old), "{old}");
    Rules::parse(&GOOD.replacen(old, new, 1)).unwrap_err()
}

#[test]
fn when_and_how_a_group_is_rehearsed_is_checked() {
    let end = "\"A00001L9\"]";
    for (keys, line, key, told) in [
        ("drill = \"Sun 25:00\"", 14, "drill", "as systemd does"),
        ("drill = \"Sun\"\ndrill-level = 4", 15, "drill-level", "a command of your own"),
        ("drill = \"Sun\"\ndrill-level = 0", 15, "drill-level", "1 to 3"),
        ("drill-level = 2", 14, "drill-level", "without drill"),
    ] {
        let error = refused(end, &format!("{end}\n{keys}"));
        assert_eq!((error.line, error.key.as_str()), (line, &*format!("group.mail.{key}")));
        assert!(error.message.contains(told), "{error}");
    }
    let rules =
        |keys: &str| Rules::parse(&GOOD.replacen(end, &format!("{end}\n{keys}"), 1)).unwrap();
    assert_eq!(rules("drill = \"Sun\"").groups["mail"].drill_level(), 3);
    assert_eq!(rules("drill = \"Sun\"\ndrill-level = 1").groups["mail"].drill_level(), 1);
}

#[test]
fn errors_name_line_and_key() {
    Rules::parse(GOOD).unwrap();
    for (old, new, line, key, told) in [
        ("copies = 2", "copies = 6", 19, "policy.offsite.copies", "1 to 5"),
        ("copies = 2", "copies = \"two\"", 19, "policy.offsite.copies", "invalid type"),
        ("copies = 2", "copys = 2", 19, "policy.offsite.copys", "unknown field `copys`"),
        ("copies = 2\n", "", 15, "policy.offsite", "free-disk needs copies"),
        ("pool = \"daily\"", "pool = \"dayly\"", 16, "policy.offsite.pool", "no pool `dayly`"),
        ("{ age = \"1d\" }", "{ age = \"soon\" }", 17, "policy.offsite.when", "no span of time"),
        (
            "{ age = \"1d\" }",
            "{ calendar = \"Fo 2:00\" }",
            17,
            "policy.offsite.when",
            "as systemd does",
        ),
        ("disk-above = 80", "disk-above = 100", 15, "policy.offsite", "0 to 99"),
        ("[\"full\", {", "[\"ful\", {", 17, "policy.offsite.when", "unknown variant `ful`"),
        ("scratch = \"scratch\"", "scratch = \"daily\"", 7, "pool.daily.scratch", "its own"),
        ("create = 5", "create = 11", 9, "pool.daily.create", "1 to 10"),
        ("low = 3\n", "", 8, "pool.daily.create", "without low"),
        ("retention = \"30d\"", "retention = \"ever\"", 6, "pool.daily.retention", "keep"),
        ("\"Mon 00:00\"", "\"Mond 00:00\"", 5, "pool.daily.allocation", "no day of the week"),
        ("daily = 7, weekly = 5", "daily = 0", 4, "pool.daily", "keeps nothing"),
        ("\"MAIL*\"", "\"mail*\"", 13, "group.mail.members", "no pattern"),
        ("[\"MAIL*\", \"A00001L9\"]", "[]", 12, "group.mail", "has no members"),
        ("[group.mail]", "[grup.mail]", 12, "grup.mail", "unknown field `grup`"),
        ("low = 3", "low = ", 8, "pool.daily.low", ""),
        ("verify = true", "run = \"25:00\"", 18, "policy.offsite.run", "as systemd does"),
        // Both were taken, and never came.
        ("verify = true", "run = \"*-02-30\"", 18, "policy.offsite.run", "never comes"),
        ("\"Mon 00:00\"", "\"*-11-31\"", 5, "pool.daily.allocation", "never comes"),
        ("verify = true", "drive = \"/dev/nst0\"", 18, "policy.offsite.drive", "set run"),
        (
            "verify = true\n",
            "run = \"daily\"\nlibrary = \"sg3\"\n",
            19,
            "policy.offsite.library",
            "no device",
        ),
        (
            "verify = true\n",
            "run = \"daily\"\nscratch = \"S*\"\n",
            19,
            "policy.offsite.scratch",
            "without library",
        ),
    ] {
        assert!(GOOD.contains(old), "{old}");
        let error = Rules::parse(&GOOD.replacen(old, new, 1)).unwrap_err();
        assert_eq!((error.line, error.key.as_str()), (line, key), "{new}: {error}");
        assert!(error.message.contains(told), "{new}: {error}");
    }
    let long = format!("# {}", "x".repeat(RULES_BYTES_MAX));
    assert!(Rules::parse(&long).is_err());
}

fn of_pool(barcode: &str, written: Option<&str>) -> CartridgeEntry {
    CartridgeEntry { pool: Some("daily".into()), ..test_entry(barcode, written) }
}

fn actions(plan: &Plan) -> Vec<(String, Action, bool)> {
    let row = |planned: &crate::policy::Planned| {
        (planned.barcode.to_string(), planned.action, planned.blocked.is_some())
    };
    plan.actions.iter().map(row).collect()
}

#[test]
fn a_plan_says_what_and_why() {
    let rules = Rules::parse(GOOD).unwrap();
    let cartridges = vec![
        of_pool("B00001L9", Some("2026-11-25T20:00:00Z")),
        of_pool("B00002L9", Some("2026-11-28T19:00:00Z")),
        of_pool("B00003L9", None),
        test_entry("C00001L9", Some("2026-01-01T00:00:00Z")),
    ];
    let made = plan(&rules, &situation(cartridges));
    let first = |action, is_blocked| ("B00001L9".to_owned(), action, is_blocked);
    assert_eq!(
        actions(&made),
        [
            first(Action::Verify, false),
            first(Action::Export { copy: 1 }, false),
            first(Action::Export { copy: 2 }, false),
            first(Action::Eject, true),
            first(Action::FreeDisk, true),
        ]
    );
    assert_eq!(
        made.actions[0].reason,
        "it was unloaded after writing, and it was last written 3 days ago; it was not read back since"
    );
    assert_eq!(made.actions[3].blocked.as_deref(), Some("0 of 2 copies have receipts"));
    assert_eq!(made.waiting.len(), 1, "{:?}", made.waiting);
    assert_eq!(
        made.waiting[0].reason,
        "it is not full; it was last written 1 hour ago, and 1d is asked for; the disk is 10 % full, not above 80 %"
    );
}

#[test]
fn a_group_waits_for_its_last_member() {
    let rules = Rules::parse(GOOD).unwrap();
    // A00001L9 is of the pool; MAIL01L9 is not, and comes along because of the group.
    let old = "2026-11-25T20:00:00Z";
    let mut cartridges =
        vec![of_pool("A00001L9", Some(old)), test_entry("MAIL01L9", Some("2026-11-28T19:00:00Z"))];
    let made = plan(&rules, &situation(cartridges.clone()));
    assert!(made.actions.is_empty(), "{made:?}");
    assert!(
        made.waiting[0].reason.starts_with("group mail is handled all or none, and of MAIL01L9")
    );
    cartridges[1].last_written = Some(old.parse().unwrap());
    let made = plan(&rules, &situation(cartridges));
    assert_eq!(made.actions.len(), 10, "five for each");
}

#[test]
fn a_cartridge_in_two_groups_is_found() {
    let document = "[group.a]\nmembers = [\"A*\"]\n[group.b]\nmembers = [\"*L9\"]\n";
    let rules = Rules::parse(document).unwrap();
    let cartridges = [test_entry("B00001L9", None), test_entry("A00001L9", None)];
    let (barcode, first, second) = rules.ambiguous(&cartridges).unwrap();
    assert_eq!((barcode.as_str(), first, second), ("A00001L9", "a", "b"));
}
