//! Mosquitto's command-line clients (Debian's `mosquitto-clients`), and our own against Mosquitto's broker.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Broker, PATIENCE, Process, broker, longwire};

mod v3_1 {
    cases!(super::run, "mqttv31";
        connect qos_pairs retained will wildcards shared takeover persistent_session request_response);
}

mod v3_1_1 {
    cases!(super::run, "mqttv311";
        connect qos_pairs retained will wildcards shared takeover persistent_session request_response);
}

mod v5_0 {
    cases!(super::run, "mqttv5";
        connect qos_pairs retained will wildcards shared takeover persistent_session request_response properties);
}

mod side_by_side {
    cases!(super::side_by_side, "mqttv311"; prints_the_same_3_1_1);
    cases!(super::side_by_side, "mqttv5"; prints_the_same_5_0);
    cases!(super::rr_side_by_side, "mqttv311"; asks_the_same_3_1_1);
    cases!(super::rr_side_by_side, "mqttv5"; asks_the_same_5_0);
}

mod as_broker {
    cases!(super::our_tools, "mqttv311"; publish_and_subscribe);
    cases!(super::our_tools, "mqttv5"; publish_and_subscribe_5_0);
}

fn run(version: &str, case: &str) {
    let broker = Broker::start();
    let at = At::new(&broker, version);
    match case {
        "connect" => connect(&at),
        "qos_pairs" => qos_pairs(&at),
        "retained" => retained(&at),
        "will" => will(&at),
        "wildcards" => wildcards(&at),
        "shared" => shared(&at),
        "takeover" => takeover(&at),
        "persistent_session" => persistent_session(&at),
        "request_response" => request_response(&at),
        "properties" => properties(&at),
        other => panic!("no case is called {other}"),
    }
}

/// The broker that a test talks to, and in which version.
struct At<'a> {
    port: String,
    version: &'a str,
}

impl<'a> At<'a> {
    /// Leaves the retained message by which [`At::subscribe`] knows that it has subscribed.
    fn new(broker: &Broker, version: &'a str) -> At<'a> {
        let at = At { port: broker.port_text(), version };
        at.publish(&["-t", "ready", "-m", "ready", "-r"]);
        at
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(["-h", "127.0.0.1", "-p", &self.port, "-V", self.version]).args(arguments);
        command
    }

    /// Runs `mosquitto_pub` to its end.
    fn publish(&self, arguments: &[&str]) {
        Process::spawn(&mut self.command("mosquitto_pub", arguments)).finish();
    }

    /// Starts `mosquitto_sub`, which prints topic, QoS, RETAIN and payload of each message, and waits until it has
    /// subscribed: the retained message of one filter more tells that all are granted.
    fn subscribe(&self, arguments: &[&str]) -> Process {
        let arguments = [arguments, &["-t", "ready", "-F", "%t %q %r %p"]].concat();
        let mut process = Process::spawn(&mut self.command("mosquitto_sub", &arguments));
        assert_eq!(process.line(), READY);
        process
    }
}

/// What a subscriber prints first.
const READY: &str = "ready 0 1 ready";

fn connect(at: &At<'_>) {
    at.publish(&["-t", "a", "-n"]);
    let output = Process::spawn(&mut at.command("mosquitto_sub", &["-E", "-t", "a", "-q", "2"])).finish();
    assert!(output.is_empty(), "{output:?}");
}

fn qos_pairs(at: &At<'_>) {
    for granted in ["0", "1", "2"] {
        let mut subscriber = at.subscribe(&["-q", granted, "-t", "pair/#"]);
        for published in ["0", "1", "2"] {
            at.publish(&["-q", published, "-t", &format!("pair/{published}"), "-m", "once"]);
            let lower = granted.min(published);
            assert_eq!(subscriber.line(), format!("pair/{published} {lower} 0 once"));
        }
    }
}

fn retained(at: &At<'_>) {
    for payload in ["on", "off"] {
        at.publish(&["-q", "1", "-r", "-t", "state/lamp", "-m", payload]);
        let line = format!("state/lamp 1 1 {payload}");
        let mut late = Process::spawn(
            &mut at.command("mosquitto_sub", &["-q", "1", "-C", "1", "-t", "state/+", "-F", "%t %q %r %p"]),
        );
        assert_eq!(late.line(), line);
        assert!(late.wait().success());
    }
    at.publish(&["-q", "1", "-r", "-t", "state/lamp", "-n"]);
    let mut after = at.subscribe(&["-q", "1", "-t", "state/#"]);
    at.publish(&["-q", "1", "-t", "state/end", "-m", "end"]);
    assert_eq!(after.line(), "state/end 1 0 end");
}

fn will(at: &At<'_>) {
    let mut watcher = at.subscribe(&["-q", "1", "-t", "will/#"]);
    let arguments =
        ["--will-topic", "will/crashed", "--will-payload", "gone", "--will-qos", "1", "-t", "other"];
    let polite = at.subscribe(&arguments);
    polite.terminate();
    polite.finish();
    if at.version == "mqttv5" {
        // In 5.0 this client says "Disconnect with Will Message", code 0x04.
        assert_eq!(watcher.line(), "will/crashed 1 0 gone");
    }
    let mut crashed = at.subscribe(&arguments);
    crashed.kill();
    assert_eq!(watcher.line(), "will/crashed 1 0 gone");
    at.publish(&["-q", "1", "-t", "will/end", "-m", "end"]);
    assert_eq!(watcher.line(), "will/end 1 0 end");
}

fn wildcards(at: &At<'_>) {
    let filters = ["-t", "a/#", "-t", "b/+/c", "-t", "+/d"];
    let mut subscriber = at.subscribe(&filters);
    let topics =
        ["a", "a/b", "a/b/c", "a//c", "b", "b/x/c", "b//c", "b/x/y/c", "b/x/d", "c/d", "/d", "d", "a/end"];
    let wanted = ["a", "a/b", "a/b/c", "a//c", "b/x/c", "b//c", "c/d", "/d", "a/end"];
    for topic in topics {
        at.publish(&["-t", topic, "-m", "x"]);
    }
    for topic in wanted {
        assert_eq!(subscriber.line(), format!("{topic} 0 0 x"));
    }
}

fn shared(at: &At<'_>) {
    let filter = ["-q", "1", "-t", "$share/crew/job/+"];
    let mut members = [at.subscribe(&filter), at.subscribe(&filter)];
    let mut publisher = Process::spawn(&mut at.command("mosquitto_pub", &["-q", "1", "-t", "job/dig", "-l"]));
    let jobs: Vec<String> = (10..30).map(|job| format!("job/dig 1 0 {job}")).collect();
    for job in 10..30 {
        publisher.say(&job.to_string());
    }
    let mut done = [Vec::new(), Vec::new()];
    let deadline = Instant::now() + PATIENCE;
    while done.iter().map(Vec::len).sum::<usize>() < jobs.len() {
        assert!(Instant::now() < deadline, "jobs are missing: {done:?}");
        for (member, done) in members.iter_mut().zip(&mut done) {
            done.extend(member.line_within(Duration::from_millis(20)));
        }
    }
    assert!(done.iter().all(|done| !done.is_empty()), "one member got every job: {done:?}");
    let mut done = done.concat();
    done.sort();
    assert_eq!(done, jobs);
}

fn takeover(at: &At<'_>) {
    let mut first = at.subscribe(&["-i", "twin", "-t", "a"]);
    at.publish(&["-i", "twin", "-t", "b", "-m", "x"]);
    if at.version == "mqttv5" {
        // Told by code 0x8E that it was replaced, it does not come back.
        assert_eq!(first.finish(), [""; 0]);
        return;
    }
    // It only saw its connection close: it comes back and subscribes anew.
    assert_eq!(first.line(), READY);
    at.publish(&["-t", "a", "-m", "again"]);
    assert_eq!(first.line(), "a 0 0 again");
}

fn persistent_session(at: &At<'_>) {
    let subscribe = ["-i", "sleeper", "-c", "-q", "2", "-t", "news/#"];
    let arrive = [&subscribe[..], &["-E"]].concat();
    Process::spawn(&mut at.command("mosquitto_sub", &arrive)).finish();
    for number in 0..5 {
        at.publish(&["-q", "1", "-t", "news/1", "-m", &number.to_string()]);
        at.publish(&["-q", "2", "-t", "news/2", "-m", &number.to_string()]);
    }
    let come_back = [&subscribe[..], &["-C", "10", "-F", "%t %q %r %p"]].concat();
    let got = Process::spawn(&mut at.command("mosquitto_sub", &come_back)).finish();
    for qos in 1..=2 {
        let topic = format!("news/{qos}");
        let lines: Vec<&String> = got.iter().filter(|line| line.starts_with(&topic)).collect();
        let wanted: Vec<String> = (0..5).map(|number| format!("{topic} {qos} 0 {number}")).collect();
        assert_eq!(lines, wanted.iter().collect::<Vec<_>>());
    }
}

fn request_response(at: &At<'_>) {
    let mut responder = at.subscribe(&["-q", "1", "-t", "ask"]);
    let arguments = ["-q", "1", "-t", "ask", "-e", "answer", "-m", "question", "-W", "20"];
    let mut asker = Process::spawn(&mut at.command("mosquitto_rr", &arguments));
    assert_eq!(responder.line(), "ask 1 0 question");
    at.publish(&["-q", "1", "-t", "answer", "-m", "42"]);
    assert_eq!(asker.line(), "42");
    assert!(asker.wait().success());
}

fn properties(at: &At<'_>) {
    let mut subscriber = at.subscribe(&["-q", "1", "-t", "ask"]);
    let publish = "-q 1 -t ask -m x -D publish content-type text/plain -D publish response-topic answer \
                   -D publish user-property key one";
    let mut reader =
        Process::spawn(&mut at.command(
            "mosquitto_sub",
            &["-q", "1", "-t", "ask", "-t", "ready", "-C", "2", "-F", "%p|%C|%R|%P"],
        ));
    assert_eq!(reader.line(), "ready|||");
    at.publish(&publish.split_whitespace().collect::<Vec<_>>());
    assert_eq!(subscriber.line(), "ask 1 0 x");
    assert_eq!(reader.line(), "x|text/plain|answer|key:one");
}

/// The roles the other way round: `longwire pub` and `longwire sub` with Mosquitto as the broker.
fn our_tools(version: &str, _case: &str) {
    let broker = broker::mosquitto();
    let at = At::new(&broker, version);
    let place = ["-h", "127.0.0.1", "-p", &at.port, "-V", version];
    let mut subscriber =
        Process::spawn(longwire(&["sub"]).args(place).args(["-q", "2", "-t", "a", "-t", "ready"]));
    assert_eq!(subscriber.line(), "ready");
    for qos in ["0", "1", "2"] {
        Process::spawn(longwire(&["pub"]).args(place).args(["-q", qos, "-t", "a", "-m", qos])).finish();
        assert_eq!(subscriber.line(), qos);
    }
}

/// Our tools and Mosquitto's with the same arguments print the same lines and end with the same code, here with Mosquitto as
/// the broker.
fn side_by_side(version: &str, _case: &str) {
    let broker = broker::mosquitto();
    let at = At::new(&broker, version);
    at.publish(&["-q", "1", "-r", "-t", "s/json", "-m", r#"{"a": [1, 2],  "b": "c"}"#]);
    at.publish(&["-q", "1", "-r", "-t", "s/text", "-m", "hi \u{e9}"]);
    at.publish(&["-q", "1", "-r", "-t", "s/empty/not", "-m", "x"]);
    for arguments in [
        &["-t", "s/text", "-C", "1"][..],
        &["-t", "s/text", "-C", "1", "-v", "-q", "2"],
        &["-t", "s/text", "-C", "1", "-F", "%t|%q|%r|%l|%x|%X|%p|%%|\\t|"],
        &["-t", "s/text", "-C", "1", "-F", "[%10t][%-10t][%.3t][%05l]"],
        &["-t", "s/json", "-C", "1", "-N", "-v"],
        &["-t", "s/#", "-T", "s/json", "-T", "s/empty/#", "-C", "1", "--nodelay"],
        &["-t", "s/#", "-R", "-W", "1"],
        &["-t", "s/text", "-E"],
    ] {
        let theirs = at.command("mosquitto_sub", arguments).output().expect("it runs");
        let ours = longwire(&["sub", "-h", "127.0.0.1", "-p", &at.port, "-V", version])
            .args(arguments)
            .output()
            .expect("it runs");
        assert_eq!(ours.stdout, theirs.stdout, "{arguments:?}");
        assert_eq!(ours.status.code(), theirs.status.code(), "{arguments:?}");
    }
}

/// The same for requests.
fn rr_side_by_side(version: &str, _case: &str) {
    let broker = broker::mosquitto();
    let at = At::new(&broker, version);
    let mut responder = at.subscribe(&["-q", "1", "-t", "ask"]);
    let arguments = ["-q", "1", "-t", "ask", "-e", "answer", "-m", "question", "-v", "-W", "20"];
    let place = ["-h", "127.0.0.1", "-p", &at.port, "-V", version];
    for mut asker in [at.command("mosquitto_rr", &arguments), {
        let mut ours = longwire(&["rr"]);
        ours.args(place).args(arguments);
        ours
    }] {
        let asker = Process::spawn(&mut asker);
        assert_eq!(responder.line(), "ask 1 0 question");
        at.publish(&["-q", "1", "-t", "answer", "-m", "42"]);
        assert_eq!(asker.finish(), ["answer 42"]);
    }
}
