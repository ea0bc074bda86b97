//! `longwire pub` and `longwire sub` as programs: what they print, with which code they end, and what they leave behind.

#[allow(dead_code, reason = "each test program uses its own part")]
mod support;

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use support::{Broker, Process, longwire};

/// `longwire TOOL` for this broker.
fn tool(broker: &Broker, tool: &str, arguments: &[&str]) -> Command {
    let mut command = longwire(&[tool, "-h", "127.0.0.1", "-p", &broker.port_text()]);
    command.args(arguments);
    command
}

/// Runs `longwire pub` to its end, which must be a success.
fn publish(broker: &Broker, arguments: &[&str]) -> Vec<String> {
    Process::spawn(&mut tool(broker, "pub", arguments)).finish()
}

/// Runs `longwire sub` to its end, which must be a success, and tells what it printed.
fn subscribe(broker: &Broker, arguments: &[&str]) -> Vec<String> {
    Process::spawn(&mut tool(broker, "sub", arguments)).finish()
}

/// The exit code of a command that ends by itself, and the line it said why.
fn failed(command: &mut Command) -> (Option<i32>, String) {
    let mut process = Process::spawn(command);
    let code = process.wait().code();
    (code, process.log_line("longwire: "))
}

/// A server that answers CONNECT with these bytes, the next packet with those, and then waits for the end.
fn answering(connack: &'static [u8], answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let port = listener.local_addr().expect("a bound socket has an address").port();
    std::thread::spawn(move || {
        let (mut stream, _): (TcpStream, _) = listener.accept().expect("the tool connects");
        let mut packet = [0; 256];
        for answer in [connack, answer] {
            let _ = stream.read(&mut packet);
            let _ = std::io::Write::write_all(&mut stream, answer);
        }
        while stream.read(&mut packet).is_ok_and(|bytes| bytes > 0) {}
    });
    port.to_string()
}

// What is published.

#[test]
fn each_line_of_standard_input_is_a_message() {
    let broker = Broker::start();
    publish(&broker, &["-t", "ready", "-m", "ready", "-r"]);
    let mut reader =
        Process::spawn(&mut tool(&broker, "sub", &["-q", "1", "-t", "lines", "-t", "ready", "-C", "4"]));
    assert_eq!(reader.line(), "ready");
    let mut writer = Process::spawn(&mut tool(&broker, "pub", &["-q", "1", "-t", "lines", "-l"]));
    for line in ["one", "", "three"] {
        writer.say(line);
        assert_eq!(reader.line(), line);
    }
    writer.finish();
    reader.finish();
}

#[test]
fn a_message_is_repeated_as_often_as_asked() {
    let broker = Broker::start();
    let printed = publish(
        &broker,
        &["-t", "a", "-m", "x", "-q", "2", "--repeat", "3", "--repeat-delay", "0.01", "--output", "json"],
    );
    let line = r#"{"qos":2,"reason":"success","reason_code":0,"topic":"a"}"#;
    assert_eq!(printed, [line, line, line]);
}

#[test]
fn a_file_is_published_to_the_byte() {
    let broker = Broker::start();
    publish(&broker, &["-t", "note", "-f", "Cargo.toml", "-r"]);
    let expected = std::fs::read_to_string("Cargo.toml").expect("the test runs in the crate's folder");
    assert_eq!(subscribe(&broker, &["-t", "note", "-C", "1", "-N"]).join("\n"), expected.trim_end());
}

#[test]
fn a_message_too_large_for_the_broker_is_refused_here() {
    let broker = Broker::start();
    // The program itself is larger than the broker's packet size.
    let file = env!("CARGO_BIN_EXE_longwire");
    let (code, why) = failed(&mut tool(&broker, "pub", &["-V", "5", "-t", "note", "-f", file]));
    assert_eq!(code, Some(1));
    assert!(why.contains("larger than the server takes"), "{why}");
}

#[test]
fn a_payload_may_look_like_an_option_and_be_no_text() {
    use std::os::unix::ffi::OsStrExt;
    let broker = Broker::start();
    let mut command = tool(&broker, "pub", &["-t", "odd", "-r", "-m"]);
    command.arg(std::ffi::OsStr::from_bytes(b"-\xFF"));
    Process::spawn(&mut command).finish();
    assert_eq!(subscribe(&broker, &["-t", "odd", "-C", "1", "-F", "%x"]), ["2dff"]);
}

#[test]
fn the_url_names_server_credentials_and_topic() {
    let broker = Broker::start();
    let url = format!("mqtt://me:secret@127.0.0.1:{}/from/url", broker.port());
    Process::spawn(&mut longwire(&["pub", "-L", &url, "-m", "x", "-r"])).finish();
    assert_eq!(Process::spawn(&mut longwire(&["sub", "-L", &url, "-C", "1"])).finish(), ["x"]);
}

// What is printed.

#[test]
fn properties_travel_and_are_printed() {
    let broker = Broker::start();
    let properties = ["-D", "PUBLISH", "content-type", "text", "-D", "PUBLISH", "user-property", "k", "v"];
    publish(&broker, &[&["-t", "p", "-m", "x", "-r"][..], &properties].concat());
    let identified = ["-D", "SUBSCRIBE", "subscription-identifier", "7"];
    let printed =
        subscribe(&broker, &[&["-t", "p", "-C", "1", "-F", "%C %P %S %r"][..], &identified].concat());
    assert_eq!(printed, ["text k:v 7 1"]);
}

#[test]
fn json_is_one_object_a_line() {
    let broker = Broker::start();
    publish(&broker, &["-t", "j", "-m", "say \"hi\"", "-r", "-q", "1"]);
    let printed = subscribe(&broker, &["-t", "j", "-C", "1", "-q", "1", "--output", "json"]);
    let [line] = printed.as_slice() else { panic!("{printed:?}") };
    let object: serde_json::Value = serde_json::from_str(line).expect("JSON");
    assert_eq!((&object["topic"], &object["payload"]), (&"j".into(), &"say \"hi\"".into()));
    assert_eq!((&object["qos"], &object["retain"], &object["payloadlen"]), (&1.into(), &1.into(), &8.into()));
}

#[test]
fn payloads_are_printed_raw_and_as_text_that_can_be_turned_back() {
    use std::os::unix::ffi::OsStrExt;
    let broker = Broker::start();
    let mut command = tool(&broker, "pub", &["-t", "b", "-r", "-m"]);
    command.arg(std::ffi::OsStr::from_bytes(b"\xFB\xFFa"));
    Process::spawn(&mut command).finish();
    assert_eq!(subscribe(&broker, &["-t", "b", "-C", "1", "--output", "hex"]), ["fbff61"]);
    assert_eq!(subscribe(&broker, &["-t", "b", "-C", "1", "--output", "base64", "-v"]), ["b +/9h"]);
    let json = subscribe(&broker, &["-t", "b", "-C", "1", "--output", "json"]).concat();
    let object: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(object["payload-base64"], "+/9h");
    let mut raw = tool(&broker, "sub", &["-t", "b", "-C", "1", "--output", "raw"]);
    let ended = raw.output().expect("the program runs");
    assert_eq!(ended.stdout, b"\xFB\xFFa");
}

#[test]
fn pretty_json_has_lines_and_through_a_pipe_no_colours() {
    let broker = Broker::start();
    publish(&broker, &["-t", "j", "-r", "-m", r#"{"a":[1,2.50]}"#]);
    let lines = subscribe(&broker, &["-t", "j", "-C", "1", "--pretty", "-v"]);
    assert_eq!(lines, ["j {", "  \"a\": [", "    1,", "    2.50", "  ]", "}"]);
    let lines = subscribe(&broker, &["-t", "j", "-C", "1", "--pretty", "-F", "%J"]);
    assert_eq!((lines[0].as_str(), lines.last().map(String::as_str)), ("{", Some("}")));
    assert!(lines.contains(&"    \"a\": [".to_owned()), "{lines:?}");
}

#[test]
fn a_random_filter_of_nothing_prints_nothing() {
    let broker = Broker::start();
    publish(&broker, &["-t", "a", "-m", "x", "-r"]);
    let mut reader =
        Process::spawn(&mut tool(&broker, "sub", &["-t", "a", "--random-filter", "0", "-W", "1"]));
    assert_eq!(reader.line_within(std::time::Duration::from_secs(30)), None);
    assert_eq!(subscribe(&broker, &["-t", "a", "--random-filter", "100", "-C", "1"]), ["x"]);
}

#[test]
fn filters_keep_messages_from_being_printed() {
    let broker = Broker::start();
    for topic in ["f/1", "f/2", "f/3"] {
        publish(&broker, &["-t", topic, "-m", topic, "-r"]);
    }
    let printed = subscribe(&broker, &["-t", "f/#", "-T", "f/2", "-C", "2"]);
    assert_eq!(printed, ["f/1", "f/3"]);
}

#[test]
fn retained_messages_are_removed_and_nothing_else() {
    let broker = Broker::start();
    for topic in ["old/1", "old/2", "old/kept", "end"] {
        publish(&broker, &["-t", topic, "-m", topic, "-r"]);
    }
    // The removal of a message arrives as one that is not retained, which ends this run.
    let arguments = ["-t", "old/#", "-T", "old/kept", "--remove-retained", "--retained-only"];
    assert_eq!(subscribe(&broker, &arguments), ["old/1", "old/2"]);
    assert_eq!(subscribe(&broker, &["-t", "old/#", "-t", "end", "-C", "2"]), ["old/kept", "end"]);
}

#[test]
fn a_session_taken_up_one_message_at_a_time_loses_none() {
    for version in ["311", "5"] {
        let broker = Broker::start();
        let session = ["-V", version, "-c", "-i", "archive", "-q", "2", "-t", "d"];
        assert_eq!(subscribe(&broker, &[&session[..], &["-E"]].concat()), [""; 0]);
        for number in 0..8 {
            publish(
                &broker,
                &["-q", if number % 2 == 0 { "1" } else { "2" }, "-t", "d", "-m", &number.to_string()],
            );
        }
        for number in 0..8 {
            let printed = subscribe(&broker, &[&session[..], &["-C", "1"]].concat());
            assert_eq!(printed, [number.to_string()], "version {version}");
        }
    }
}

#[test]
fn a_will_is_published_when_the_program_is_killed() {
    let broker = Broker::start();
    publish(&broker, &["-t", "ready", "-m", "ready", "-r"]);
    let mut mortal = Process::spawn(&mut tool(
        &broker,
        "sub",
        &["-t", "ready", "--will-topic", "w", "--will-payload", "gone", "--will-retain"],
    ));
    assert_eq!(mortal.line(), "ready");
    let mut heir = Process::spawn(&mut tool(&broker, "sub", &["-t", "w", "-C", "1"]));
    mortal.kill();
    assert_eq!(heir.line(), "gone");
    heir.finish();
}

// How it ends.

#[test]
fn time_that_is_up_ends_with_27() {
    let broker = Broker::start();
    let (code, why) = failed(&mut tool(&broker, "sub", &["-t", "nothing", "-W", "1"]));
    assert_eq!((code, why.as_str()), (Some(27), "longwire: time is up"));
}

#[test]
fn a_refused_connection_ends_with_the_code_of_its_connack() {
    for (version, answer, code) in [
        ("311", &[0x20, 2, 0, 5][..], 5),
        ("31", &[0x20, 2, 0, 2][..], 2),
        ("5", &[0x20, 3, 0, 0x86, 0][..], 134),
    ] {
        for arguments in [&["sub", "-t", "a"][..], &["pub", "-t", "a", "-m", "x"]] {
            let port = answering(answer, &[]);
            let (ended, why) =
                failed(longwire(arguments).args(["-h", "127.0.0.1", "-p", &port, "-V", version, "-i", "c"]));
            assert_eq!(ended, Some(code), "{why}");
            assert!(why.contains("refused the connection"), "{why}");
        }
    }
}

#[test]
fn what_the_broker_denies_ends_with_12() {
    let connack = &[0x20, 3, 0, 0, 0];
    for (arguments, answer) in [
        (&["sub", "-t", "a"][..], &[0x90, 4, 0, 1, 0, 0x87][..]),
        (&["pub", "-t", "a", "-q", "1", "-m", "x"], &[0x40, 3, 0, 1, 0x87]),
        (&["pub", "-t", "a", "-q", "2", "-m", "x"], &[0x50, 3, 0, 1, 0x87]),
        (&["rr", "-t", "a", "-e", "b", "-m", "x"], &[0x90, 4, 0, 1, 0, 0x87]),
    ] {
        let port = answering(connack, answer);
        let place = ["-h", "127.0.0.1", "-p", &port, "-V", "5", "-i", "c"];
        let (ended, why) = failed(longwire(arguments).args(place));
        assert_eq!(ended, Some(12), "{why}");
        assert!(why.contains("not authorized (0x87)"), "{why}");
    }
}

#[test]
fn a_server_that_is_not_there_is_named_with_a_remedy() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let port = listener.local_addr().expect("a bound socket has an address").port().to_string();
    drop(listener);
    let (code, why) = failed(&mut longwire(&["pub", "-h", "127.0.0.1", "-p", &port, "-t", "a", "-m", "x"]));
    assert_eq!(code, Some(1));
    assert!(why.contains(&format!("127.0.0.1:{port}")) && why.contains("-p choose"), "{why}");
}

#[test]
fn a_signal_ends_a_subscriber_in_good_order() {
    let broker = Broker::start();
    publish(&broker, &["-t", "ready", "-m", "ready", "-r"]);
    for (arguments, code) in [(&[][..], 0), (&["-C", "2"][..], 143)] {
        let all = [&["-t", "ready", "--will-topic", "w", "--will-retain"][..], arguments].concat();
        let mut reader = Process::spawn(&mut tool(&broker, "sub", &all));
        assert_eq!(reader.line(), "ready");
        reader.terminate();
        assert_eq!(reader.wait().code(), Some(code));
    }
    // The will was dropped: there is nothing retained in front of this.
    publish(&broker, &["-t", "z", "-m", "last", "-r"]);
    assert_eq!(subscribe(&broker, &["-t", "w", "-t", "z", "-C", "1"]), ["last"]);
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let broker = Broker::start();
    publish(&broker, &["-t", "ready", "-m", "ready", "-r"]);
    let mut command = tool(&broker, "sub", &["-t", "ready", "-t", "more"]);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut stdout = child.stdout.take().expect("standard output was captured");
    let mut ready = [0; 6];
    stdout.read_exact(&mut ready).expect("the retained message is printed");
    drop(stdout);
    publish(&broker, &["-t", "more", "-m", "nobody reads this"]);
    let ended = child.wait_with_output().expect("it ends by itself");
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn mistakes_are_told_before_anything_is_connected() {
    for (arguments, part) in [
        (&["sub"][..], "no topic"),
        (&["sub", "-t", "a#"], "'a#' is not a topic filter"),
        (&["sub", "-t", "a", "-F", "%k"], "'%k' means nothing"),
        (&["sub", "-t", "a", "-c"], "add -i ID"),
        (&["sub", "-t", "a", "-q", "3"], "QoS is 0, 1 or 2"),
        (&["sub", "-t", "a", "-V", "4"], "5, 311 and 31"),
        (&["sub", "-t", "a", "--psk", "ab12"], "--psk: TLS with pre-shared keys is not offered"),
        (&["sub", "-t", "a", "-S"], "-S: SRV records are not looked up"),
        (&["sub", "-t", "a", "--pretty", "--output", "hex"], "--pretty shows JSON and text"),
        (&["sub", "-t", "a", "--random-filter", "101"], "0 to 100"),
        (&["rr", "-t", "a", "-V", "311", "-m", "x"], "name it with -e"),
        (&["rr", "-t", "a", "-e", "b/#", "-m", "x"], "'b/#' is not a topic to publish on"),
        (&["rr", "-t", "a", "-e", "b"], "required"),
        (&["sub", "-L", "coap://broker.example/a"], "coap"),
        (&["pub", "-t", "a"], "required"),
        (&["pub", "-t", "a", "-m", "x", "-n"], "cannot be used with"),
        (&["pub", "-t", "a/+", "-m", "x"], "not a topic to publish on"),
        (
            &["pub", "-t", "a", "-m", "x", "-V", "311", "-D", "PUBLISH", "content-type", "x"],
            "needs version 5",
        ),
        (&["pub", "-t", "a", "-m", "x", "-D", "PUBLISH", "topic-alias", "1"], "chosen by the program"),
        (&["pub", "-t", "a", "-m", "x", "-D", "WILL", "will-delay-interval", "1"], "--will-topic"),
        (&["pub", "-t", "a", "-m", "x", "-P", "secret"], "user name"),
        (&["pub", "-t", "a", "-m", "x", "--repeat-delay", "soon"], "give seconds"),
    ] {
        let (code, why) = failed(&mut longwire(arguments));
        assert_eq!(code, Some(2), "{arguments:?}: {why}");
        assert!(why.contains(part), "{arguments:?}: {why}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let (code, why) = failed(&mut longwire(&["pub", "-t", "a", "-f", "/no/such/file"]));
    assert_eq!(code, Some(1));
    assert!(why.contains("/no/such/file"), "{why}");
}

// Defaults.

#[test]
fn a_file_holds_defaults_and_the_command_line_wins() {
    let broker = Broker::start();
    let folder =
        std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("defaults-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the folder for temporary files takes a folder");
    let port = broker.port();
    let write = |tool: &str, text: &str| {
        std::fs::write(folder.join(format!("longwire_{tool}")), text).expect("the folder takes a file");
    };
    write(
        "pub",
        &format!("# the broker of this test\n-h 127.0.0.1\n-p {port}\n-t from/file\n-r\n-m from the file\n"),
    );
    write("sub", &format!("-L mqtt://127.0.0.1:{port}\n-v\n-C 2\n"));
    let run = |arguments: &[&str]| Process::spawn(longwire(arguments).env("XDG_CONFIG_HOME", &folder));
    run(&["pub"]).finish();
    run(&["pub", "-t", "from/line", "-n"]).finish();
    run(&["pub", "-t", "from/line", "-m", "x"]).finish();
    assert_eq!(run(&["sub", "-t", "from/#"]).finish(), ["from/file from the file", "from/line x"]);

    write("sub", "-t a\n--colour red\n");
    let mut mistaken = run(&["sub"]);
    assert_eq!(mistaken.wait().code(), Some(2));
    assert!(mistaken.log_line("longwire: ").contains("longwire_sub:2: there is no option '--colour'"));
    std::fs::remove_dir_all(&folder).expect("the folder was just made");
}
