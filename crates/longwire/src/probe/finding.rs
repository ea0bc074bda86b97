//! What a probe has found: a list of named values, which become the lines of a table or the members of an object.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

/// Everything found about one broker, in the order in which it is shown.
#[derive(Debug)]
pub(super) struct Findings {
    place: String,
    /// What the broker calls itself.
    broker: Option<String>,
    lines: Vec<Finding>,
}

#[derive(Debug)]
struct Finding {
    /// What people read.
    title: &'static str,
    text: String,
    /// Name and value in JSON.
    name: &'static str,
    value: Value,
}

/// What came of a feature that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It works.
    Works,
    /// It does not, and why.
    Fails(String),
}

impl Findings {
    pub(super) fn new(place: String) -> Self {
        Findings { place, broker: None, lines: Vec::new() }
    }

    /// Notes what the broker calls itself.
    pub(super) fn is_called(&mut self, broker: String) {
        self.broker = Some(broker);
    }

    /// Adds a value, and how people read it.
    pub(super) fn add(
        &mut self,
        title: &'static str,
        name: &'static str,
        value: Value,
        text: impl Into<String>,
    ) {
        self.lines.push(Finding { title, text: text.into(), name, value });
    }

    /// Adds a feature: true, or an object that says why not.
    pub(super) fn tried(&mut self, title: &'static str, name: &'static str, outcome: Outcome) {
        match outcome {
            Outcome::Works => self.add(title, name, json!(true), "yes"),
            Outcome::Fails(why) => {
                let text = format!("no: {why}");
                self.add(title, name, json!({ "works": false, "why": why }), text);
            }
        }
    }

    /// A title and a line for each finding, in columns.
    pub(super) fn table(&self) -> String {
        let width = self.lines.iter().map(|line| line.title.len()).max().unwrap_or_default();
        let mut table = self.place.clone();
        if let Some(broker) = &self.broker {
            let _ = write!(table, ": {broker}");
        }
        table.push_str("\n\n");
        for line in &self.lines {
            let _ = writeln!(table, "{:width$}  {}", line.title, line.text);
        }
        table
    }

    /// One object on lines of its own.
    pub(super) fn json(&self) -> String {
        let mut object = Map::new();
        object.insert("url".to_owned(), json!(self.place));
        object.insert("broker".to_owned(), json!(self.broker));
        object.extend(self.lines.iter().map(|line| (line.name.to_owned(), line.value.clone())));
        format!("{:#}\n", Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Findings {
        let mut findings = Findings::new("mqtt://h".to_owned());
        findings.is_called("a broker".to_owned());
        findings.add("receive maximum", "receive_maximum", json!(20), "20 messages");
        findings.tried("retain", "retain", Outcome::Works);
        findings.tried("sharing", "shared", Outcome::Fails("not authorized".to_owned()));
        findings
    }

    #[test]
    fn a_table_has_columns() {
        let wanted = "mqtt://h: a broker\n\nreceive maximum  20 messages\nretain           yes\n\
                      sharing          no: not authorized\n";
        assert_eq!(findings().table(), wanted);
    }

    #[test]
    fn json_has_a_member_for_each_line() {
        let object: Value = serde_json::from_str(&findings().json()).expect("JSON");
        let wanted = json!({
            "url": "mqtt://h",
            "broker": "a broker",
            "receive_maximum": 20,
            "retain": true,
            "shared": { "works": false, "why": "not authorized" },
        });
        assert_eq!(object, wanted);
    }
}
