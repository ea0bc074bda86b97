//! Topic filters and names: checks and matching against a matcher that is too plain to be wrong.

use longwire_proto::topic;

use crate::Outcome;

/// Takes the first line of `data` for a filter and the rest for a name.
pub fn topic(data: &[u8]) -> Outcome {
    let Ok(text) = std::str::from_utf8(data) else { return 0 };
    let Some((filter, name)) = text.split_once('\n') else { return 0 };
    let is_filter = topic::check_filter(filter).is_ok();
    let is_name = topic::check_name(name).is_ok();
    assert_eq!(is_filter, is_plain_filter(filter), "is {filter:?} a filter?");
    assert_eq!(is_name, is_plain_name(name), "is {name:?} a name?");
    if !is_filter || !is_name {
        return 1;
    }
    let shared = topic::shared(filter);
    let filter = shared.map_or(filter, |shared| shared.filter);
    let found = topic::matches(filter, name);
    assert_eq!(found, plain_matches(filter, name), "does {filter:?} match {name:?}?");
    let levels = topic::levels(filter).count().min(20) as u64;
    2 + levels * 4 + u64::from(found) * 2 + u64::from(shared.is_some())
}

/// Pairs that show every rule of matching.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    let pairs = [
        ("exact", "a/b\na/b"),
        ("parent", "sport/#\nsport"),
        ("below", "sport/#\nsport/a/b"),
        ("single", "a/+/c\na/b/c"),
        ("empty-levels", "a//+\na//"),
        ("dollar", "#\n$SYS/x"),
        ("dollar-below", "$SYS/+\n$SYS/x"),
        ("shared", "$share/group/a/+\na/b"),
        ("utf8", "ä/€/+\nä/€/𝄞"),
        ("bad-hash", "a#\na"),
        ("bad-plus", "a/b+\na/b"),
        ("bad-share", "$share/g\na"),
    ];
    pairs.map(|(name, pair)| (name.to_owned(), pair.as_bytes().to_vec())).to_vec()
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 65_535 && !name.contains(['\0', '+', '#'])
}

fn is_plain_filter(filter: &str) -> bool {
    if filter.is_empty() || filter.len() > 65_535 || filter.contains('\0') {
        return false;
    }
    let parts: Vec<&str> = filter.split('/').collect();
    let levels = match parts.as_slice() {
        ["$share"] => return false,
        ["$share", group, levels @ ..] => {
            if group.is_empty() || group.contains(['+', '#']) || levels.is_empty() || levels == [""] {
                return false;
            }
            levels
        }
        levels => levels,
    };
    levels.iter().enumerate().all(|(place, level)| match *level {
        "+" => true,
        "#" => place + 1 == levels.len(),
        level => !level.contains(['+', '#']),
    })
}

fn plain_matches(filter: &str, name: &str) -> bool {
    if name.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let filter: Vec<&str> = filter.split('/').collect();
    let name: Vec<&str> = name.split('/').collect();
    let same = |filter: &[&str], name: &[&str]| {
        filter.iter().zip(name).all(|(wanted, found)| *wanted == "+" || wanted == found)
    };
    match filter.split_last() {
        Some((&"#", above)) => name.len() >= above.len() && same(above, &name),
        _ => filter.len() == name.len() && same(&filter, &name),
    }
}
