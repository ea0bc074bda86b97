//! `longwire rr` as a program: the request it makes, the response it waits for, and with which code it ends.

#[path = "support/mod.rs"]
#[allow(dead_code, reason = "each test program uses its own part")]
mod support;

use std::process::Command;

use support::{Broker, Process, longwire};

/// `longwire TOOL` for this broker.
fn tool(broker: &Broker, tool: &str, arguments: &[&str]) -> Command {
    let mut command = longwire(&[tool, "-h", "127.0.0.1", "-p", &broker.port_text()]);
    command.args(arguments);
    command
}

fn publish(broker: &Broker, arguments: &[&str]) {
    Process::spawn(&mut tool(broker, "pub", arguments)).finish();
}

/// A subscriber that prints by this format, once it has subscribed.
fn responder(broker: &Broker, filter: &str, format: &str) -> Process {
    publish(broker, &["-t", "ready", "-m", "ready", "-r"]);
    let mut responder = Process::spawn(&mut tool(
        broker,
        "sub",
        &["-V", "5", "-q", "1", "-t", filter, "-t", "ready", "-F", format],
    ));
    responder.line();
    responder
}

#[test]
fn a_response_is_told_from_others_by_its_correlation_data() {
    let broker = Broker::start();
    let mut responder = responder(&broker, "ask", "%R|%D|%p");
    let asker = Process::spawn(&mut tool(&broker, "rr", &["-t", "ask", "-q", "1", "-m", "question", "-v"]));
    let request = responder.line();
    let parts: Vec<&str> = request.split('|').collect();
    let [topic, correlation, "question"] = parts[..] else { panic!("{request}") };
    assert!(topic.starts_with("response/") && !correlation.is_empty(), "{request}");
    let other = ["-q", "1", "-t", topic, "-m", "to another", "-D", "PUBLISH", "correlation-data", "other"];
    publish(&broker, &other);
    let ours = ["-q", "1", "-t", topic, "-m", "answer", "-D", "PUBLISH", "correlation-data", correlation];
    publish(&broker, &ours);
    assert_eq!(asker.finish(), [format!("{topic} answer")]);
}

#[test]
fn before_5_0_the_topic_alone_tells() {
    let broker = Broker::start();
    let mut responder = responder(&broker, "ask", "%p");
    let arguments = ["-V", "311", "-t", "ask", "-e", "answer", "-n", "--output", "hex"];
    let asker = Process::spawn(&mut tool(&broker, "rr", &arguments));
    assert_eq!(responder.line(), "");
    publish(&broker, &["-t", "answer", "-m", "42"]);
    assert_eq!(asker.finish(), ["3432"]);
}

#[test]
fn each_line_is_a_request_after_the_last_response() {
    let broker = Broker::start();
    let mut responder = responder(&broker, "ask", "%p");
    publish(&broker, &["-t", "answer", "-m", "old", "-r"]);
    let mut asker = Process::spawn(&mut tool(&broker, "rr", &["-t", "ask", "-e", "answer", "-l", "-R"]));
    for question in ["one", "two"] {
        asker.say(question);
        assert_eq!(responder.line(), question);
        publish(&broker, &["-t", "answer", "-m", question]);
        assert_eq!(asker.line(), question);
    }
    assert_eq!(asker.finish(), [""; 0]);
}

#[test]
fn nobody_who_answers_is_told_and_the_time_is_up() {
    let broker = Broker::start();
    let mut asker = Process::spawn(&mut tool(&broker, "rr", &["-t", "ask", "-q", "1", "-m", "x", "-W", "1"]));
    asker.log_line("nobody has subscribed");
    asker.log_line("time is up, and no response has come");
    assert_eq!(asker.wait().code(), Some(27));
}
