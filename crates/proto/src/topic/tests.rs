//! Names, filters and matching against examples and against a matcher that is too plain to be wrong.

use proptest::prelude::*;

use super::*;

/// Level by level, as section 4.7 tells it.
fn plain_matches(filter: &str, name: &str) -> bool {
    if name.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let (filter, name): (Vec<_>, Vec<_>) = (levels(filter).collect(), levels(name).collect());
    match filter.split_last() {
        Some((&"#", above)) => name.len() >= above.len() && levels_match(above, &name[..above.len()]),
        _ => filter.len() == name.len() && levels_match(&filter, &name),
    }
}

fn levels_match(filter: &[&str], name: &[&str]) -> bool {
    filter.iter().zip(name).all(|(wanted, found)| *wanted == "+" || wanted == found)
}

fn plain_check(filter: &str) -> bool {
    let parts: Vec<&str> = levels(filter).collect();
    let levels = match parts.as_slice() {
        ["$share", group, rest @ ..] => {
            if group.is_empty() || has_wildcard(group) || rest.is_empty() || rest == [""] {
                return false;
            }
            rest
        }
        ["$share"] => return false,
        all => all,
    };
    let last = levels.len() - 1;
    !filter.is_empty()
        && levels.iter().enumerate().all(|(place, &level)| match level {
            "+" => true,
            "#" => place == last,
            _ => !has_wildcard(level),
        })
}

#[test]
fn examples_of_matching() {
    for (filter, name) in [
        ("sport/#", "sport"),
        ("sport/#", "sport/"),
        ("sport/#", "sport/a/b"),
        ("sport/+", "sport/"),
        ("+/+", "/finance"),
        ("/+", "/finance"),
        ("#", "a/b"),
        ("+/+", "/"),
        ("a/+/b", "a//b"),
        ("$SYS/#", "$SYS/broker"),
        ("$SYS/+", "$SYS/x"),
        ("a/+/#", "a/$b"),
        ("+", "ä"),
    ] {
        assert!(matches(filter, name), "{filter} and {name}");
    }
}

#[test]
fn examples_of_not_matching() {
    for (filter, name) in [
        ("sport/+", "sport"),
        ("+", "/finance"),
        ("#", "$SYS/broker"),
        ("+/broker", "$SYS/broker"),
        ("a", "a/"),
        ("a/", "a"),
        ("a/b/#", "a"),
        ("a/#", "ab"),
        ("a/+/c", "a/b/d"),
        ("A", "a"),
        ("Å", "A\u{30A}"),
    ] {
        assert!(!matches(filter, name), "{filter} and {name}");
    }
}

#[test]
fn wildcards_fill_levels_of_filters_only() {
    assert_eq!(check_name("a/+"), Err(TopicError::Wildcard));
    assert_eq!(check_name("#"), Err(TopicError::Wildcard));
    for filter in ["a#", "a/#/b", "##", "#/", "#/a"] {
        assert_eq!(check_filter(filter), Err(TopicError::MultiLevel), "{filter}");
    }
    for filter in ["a+", "+a/b", "a/b+", "++", "+#"] {
        assert_eq!(check_filter(filter), Err(TopicError::SingleLevel), "{filter}");
    }
    for filter in ["#", "+", "+/#", "/", "a/+/+/#", "/#", "$SYS/#"] {
        assert_eq!(check_filter(filter), Ok(()), "{filter}");
    }
}

#[test]
fn names_and_filters_have_1_to_65535_bytes_without_nul() {
    let longest = "/".repeat(65_535);
    for check in [check_name, check_filter] {
        assert_eq!(check(""), Err(TopicError::Empty));
        assert_eq!(check("a\0b"), Err(TopicError::Nul));
        assert_eq!(check(&longest), Ok(()));
        assert_eq!(check(&format!("{longest}/")), Err(TopicError::TooLong));
    }
}

#[test]
fn shared_filters_have_a_share_name_and_a_filter() {
    for filter in ["$share", "$share/", "$share/g", "$share//a", "$share/g+/a", "$share/#/a", "$share/g/"] {
        assert_eq!(check_filter(filter), Err(TopicError::Share), "{filter}");
    }
    assert_eq!(check_filter("$share/g/a#"), Err(TopicError::MultiLevel));
    assert_eq!(check_filter("$share/g//x"), Ok(()));
    assert_eq!(shared("$share/g//x"), Some(Shared { group: "g", filter: "/x" }));
    assert_eq!(shared("$sharing/g/x"), None);
    assert_eq!(check_filter("$shared"), Ok(()));
}

#[test]
fn a_name_of_slashes_costs_no_stack() {
    let name = "/".repeat(65_535);
    let filter = format!("{}+", "+/".repeat(32_767));
    assert!(!matches(&filter, &name));
    assert!(matches("/#", &name));
    assert!(matches(&name, &name));
}

proptest! {
    #[test]
    fn matching_agrees_with_the_plain_matcher(filter in "[ab$/+#]{1,9}", name in "[ab$/]{1,9}") {
        prop_assume!(check_filter(&filter).is_ok());
        prop_assert_eq!(matches(&filter, &name), plain_matches(&filter, &name));
    }

    #[test]
    fn matching_agrees_where_filters_are_made_from_names(
        name in "[ab$/]{1,12}",
        wild in proptest::collection::vec(any::<bool>(), 13),
        cut in proptest::option::of(0..13_usize),
    ) {
        let replaced = levels(&name).zip(&wild).map(|(level, &wild)| if wild { "+" } else { level });
        let replaced: Vec<_> = match cut {
            Some(cut) => replaced.take(cut).chain(["#"]).collect(),
            None => replaced.collect(),
        };
        let filter = replaced.join("/");
        prop_assume!(!filter.is_empty());
        prop_assert_eq!(matches(&filter, &name), plain_matches(&filter, &name), "{} and {}", filter, name);
    }

    #[test]
    fn checking_agrees_with_the_plain_check(filter in "(\\$share/?)?[ab/+#]{0,7}") {
        prop_assert_eq!(check_filter(&filter).is_ok(), plain_check(&filter));
    }
}
