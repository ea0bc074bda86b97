//! What the source text says about statements: tests that name them in the comment above, and code that quotes them.
//!
//! A bare `[MQTT-3.1.2-20]` is of 5.0, `[MQTT-3.1.2-23 of 3.1.1]` says so. A string that is an id counts as a quote,
//! because it is what the code says to the operator; in the table of faults the first string is the id of 3.1.1.

use std::fs;
use std::path::{Path, PathBuf};

use longwire_conformance::spec::Family;

/// Packages whose tests prove what binds a client, and their folders below `crates/`.
pub(super) const CLIENT_PACKAGES: [&str; 3] = ["longwire-proto", "longwire-client", "longwire-ws"];
const CLIENT_FOLDERS: [&str; 3] = ["proto", "client", "ws"];

/// A statement by its family and id.
pub(super) type Key = (Family, String);

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The file, from the root of the project.
    pub(super) file: PathBuf,
    /// Its line, from 1.
    pub(super) line: usize,
}

/// A test of the client's side that names statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Test {
    /// Its function.
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) proves: Vec<Key>,
}

/// All that was found.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub(super) tests: Vec<Test>,
    /// Statements in code that is no test.
    pub(super) quotes: Vec<(Key, Place)>,
}

impl Sources {
    /// Reads every Rust file below `crates/`.
    pub(super) fn read(root: &Path) -> Result<Sources, String> {
        let mut sources = Sources::default();
        let mut files = Vec::new();
        gather(&root.join("crates"), &mut files)?;
        files.sort();
        for file in files {
            let text = fs::read_to_string(&file)
                .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
            sources.add(file.strip_prefix(root).unwrap_or(&file), &text);
        }
        Ok(sources)
    }

    fn add(&mut self, file: &Path, text: &str) {
        let parts: Vec<_> = file.iter().map(|part| part.to_string_lossy()).collect();
        let is_client = parts.get(1).is_some_and(|folder| CLIENT_FOLDERS.contains(&folder.as_ref()));
        let mut in_tests = parts.iter().any(|part| part == "tests" || part == "tests.rs");
        let mut comment: Vec<Key> = Vec::new();
        let mut is_test = false;
        for (number, line) in text.lines().enumerate() {
            let (line, place) = (line.trim(), Place { file: file.to_owned(), line: number + 1 });
            in_tests |= line.starts_with("mod tests {");
            if !in_tests {
                self.quotes.extend(keys(line).into_iter().map(|key| (key, place.clone())));
                continue;
            }
            if line.starts_with("///") {
                comment.extend(keys(line));
            } else if line.starts_with("#[") {
                is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
            } else {
                let proves = std::mem::take(&mut comment);
                if let Some(name) = function(line).filter(|_| is_test && is_client && !proves.is_empty()) {
                    self.tests.push(Test { name: name.to_owned(), place, proves });
                }
                is_test = false;
            }
        }
    }
}

fn gather(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let fault = |error| format!("{} cannot be read: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        if path.is_dir() {
            gather(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// The name in a line that begins a function.
fn function(line: &str) -> Option<&str> {
    let line = line.strip_prefix("async ").unwrap_or(line);
    line.strip_prefix("fn ")?.split(['(', '<']).next()
}

/// Every statement that a line names.
fn keys(line: &str) -> Vec<Key> {
    if let Some(pair) = fault_pair(line) {
        return pair;
    }
    let mut found = Vec::new();
    for (at, _) in line.match_indices(['[', '"']) {
        let rest = &line[at + 1..];
        let Some(end) = rest.find([']', '"']) else { break };
        found.extend(key(&rest[..end]));
    }
    found
}

/// `malformed("id of 3.1.1", "id of 5.0", …`, either of which may be empty.
fn fault_pair(line: &str) -> Option<Vec<Key>> {
    let (_, rest) = line.split_once("malformed(\"").or_else(|| line.split_once("protocol(\""))?;
    let (older, rest) = rest.split_once("\", \"")?;
    let (newer, _) = rest.split_once('"')?;
    Some(key(&format!("{older} of 3.1.1")).into_iter().chain(key(newer)).collect())
}

/// The statement of this text, which is an id, perhaps with `of 3.1.1` behind it.
fn key(text: &str) -> Option<Key> {
    let (id, family) = match text.strip_suffix(" of 3.1.1") {
        Some(id) => (id, Family::V311),
        None => (text, Family::V5),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(number) = id.strip_prefix("MQTT-") {
        let (section, count) = number.split_once('-')?;
        let is_id = section.split('.').count() == 3 && section.split('.').all(digits) && digits(count);
        return is_id.then(|| (family, id.to_owned()));
    }
    let (letters, number) = id.split_at_checked(id.len().checked_sub(2)?)?;
    match letters {
        "U3-" | "U5-" if digits(number) => Some((Family::Unnumbered, id.to_owned())),
        _ if letters.len() == 1 && ("A"..="J").contains(&letters) && digits(number) => {
            Some((Family::HardCase, id.to_owned()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, file: &str) -> Sources {
        let mut sources = Sources::default();
        sources.add(Path::new(file), text);
        sources
    }

    fn ids(keys: &[Key]) -> Vec<(Family, &str)> {
        keys.iter().map(|(family, id)| (*family, id.as_str())).collect()
    }

    #[test]
    fn ids_are_told_from_other_things_in_brackets_and_quotes() {
        let line =
            "/// As `[MQTT-3.1.2-20]` and `[MQTT-3.1.2-23 of 3.1.1]` say [U5-12], [C20]; not [A1] or [Lane].";
        let expected = [
            (Family::V5, "MQTT-3.1.2-20"),
            (Family::V311, "MQTT-3.1.2-23"),
            (Family::Unnumbered, "U5-12"),
            (Family::HardCase, "C20"),
        ];
        assert_eq!(ids(&keys(line)), expected);
        assert_eq!(
            ids(&keys("Why::BrokeRule(\"MQTT-3.1.0-2\", \"a second CONNECT\")")),
            [(Family::V5, "MQTT-3.1.0-2")]
        );
    }

    #[test]
    fn a_fault_names_the_statement_of_either_version() {
        let line = "PUBLISH_QOS: malformed(\"MQTT-3.3.1-4\", \"MQTT-3.3.1-4\", \"QoS is 3\");";
        assert_eq!(ids(&keys(line)), [(Family::V311, "MQTT-3.3.1-4"), (Family::V5, "MQTT-3.3.1-4")]);
        assert_eq!(ids(&keys("AUTH: malformed(\"\", \"U5-01\", \"x\");")), [(Family::Unnumbered, "U5-01")]);
    }

    #[test]
    fn a_test_proves_what_the_comment_above_it_names() {
        let text = "/// `[MQTT-3.1.0-1]`.\n#[test]\nfn first() {\n}\n\n/// [C20]\nfn helper() {}\n";
        let sources = found(text, "crates/client/tests/a.rs");
        assert_eq!(sources.tests.len(), 1);
        assert_eq!(sources.tests[0].name, "first");
        assert_eq!(ids(&sources.tests[0].proves), [(Family::V5, "MQTT-3.1.0-1")]);
        assert_eq!(sources.tests[0].place.line, 3);
        assert!(found(text, "crates/broker/tests/a.rs").tests.is_empty(), "no test of a client");
    }

    #[test]
    fn code_quotes_what_it_names_outside_of_its_tests() {
        let text = "// [MQTT-3.3.1-5]\nfn store() {}\n#[cfg(test)]\nmod tests {\n// [MQTT-3.3.1-6]\n}\n";
        let quotes = found(text, "crates/broker/src/a.rs").quotes;
        assert_eq!(quotes.len(), 1);
        assert_eq!((quotes[0].0.1.as_str(), quotes[0].1.line), ("MQTT-3.3.1-5", 1));
    }
}
