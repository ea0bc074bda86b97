//! Filters and topics: which are well formed and allowed, and which match. Hard cases F10 and F15 to F19.

use std::collections::BTreeSet;
use std::time::Duration;

use super::scenes;
use crate::craft;
use crate::failure::{Check, ensure, same};
use crate::message::{Arrival, Message};
use crate::peer::options;
use crate::stage::Stage;

scenes! {
    both one_refused_filter_among_good_ones "F10 U5-58" "3.8.4-5 3.9.3-1 3.9.3-2" "3.8.4-6 3.8.4-7 3.9.3-1 3.9.3-2";
    both one_malformed_filter_refuses_all "F10" "4.7.1-2 4.7.1-3" "4.7.1-1 4.7.1-2";
    both dollar_topics_hide_from_leading_wildcards "F15" "4.7.2-1" "4.7.2-1";
    both filters_match_as_written "F16" "3.3.2-3 4.7.1-2 4.7.1-3 4.7.3-1" "3.3.2-3 4.7.1-1 4.7.1-2 4.7.3-1";
    both random_filters_match_like_the_rules_say "F16" "3.3.2-3 4.7.1-2 4.7.1-3" "3.3.2-3 4.7.1-1 4.7.1-2";
    both longest_topic_works "F17" "4.7.3-3" "4.7.3-3";
    both too_many_levels_are_refused_gently "F17 U5-58" "3.3.5-2 3.8.4-5" "3.8.4-7 3.4.2-1";
    both look_alikes_are_different_topics "F18" "4.7.3-4 1.5.3-3" "4.7.3-4 1.5.4-3";
    both reserved_topics_are_not_delivered "F19 I11 U3-09" "3.3.5-2" "3.4.2-1 3.5.2-1";
    both message_reaches_every_subscriber "" "4.5.0-1" "4.5.0-1";
}

/// A filter with too many levels among good ones: its code says so, the good ones are granted.
fn one_refused_filter_among_good_ones(stage: &Stage<'_>) -> Check {
    let mut subscriber = stage.connect("sub")?;
    let (first, refused, last) = (stage.topic("a"), too_deep(stage), stage.topic("c"));
    let filters = [(first.as_str(), options(2)), (&refused, options(1)), (&last, options(0))];
    let grants = subscriber.subscribe_to(&filters, &[])?;
    let refusal = if stage.v5() { 0x8F } else { 0x80 };
    same("SUBACK codes", &grants.codes, &vec![2, refusal, 0])?;
    let mut publisher = stage.connect("pub")?;
    publisher.deliver(&Message::new(&first, "x").qos(2))?;
    subscriber.take_of("x")?;
    publisher.deliver(&Message::new(&last, "y").qos(2))?;
    subscriber.take_of("y")?;
    subscriber.quiet()
}

/// A malformed filter or malformed options beside a good one: 0x81 and close, and the good one is not subscribed.
fn one_malformed_filter_refuses_all(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut publisher = stage.connect("pub")?;
    let names = ["a#", "a/#/b", "#/a", "##", "a+", "+a", "a/b+", "a/+b/c", ""];
    let texts = [&b"\xFF"[..], b"a\0b", b"\xED\xA0\x80"];
    let reserved = if stage.v5() { 0x41 } else { 0x05 };
    let malformed = names.iter().map(|name| name.as_bytes()).chain(texts).map(|filter| (filter, 1));
    for (bad, bad_options) in malformed.chain([(&b"b"[..], reserved)]) {
        let kept = stage.login("sub").keep();
        let mut subscriber = kept.open()?;
        let properties = craft::properties(stage.version, &[]);
        let filters = craft::join(&[&craft::field(&topic), &[1], &craft::field(bad), &[bad_options]]);
        let bytes = craft::frame(0x82, &craft::join(&[&[0, 1], &properties, &filters]));
        let name = String::from_utf8_lossy(bad);
        subscriber.raw(&format!("SUBSCRIBE to a good filter and {name:?} {bad_options:02X}"), &bytes);
        subscriber.expect_close(0x81, &[0x82, 0x8F])?;
        publisher.deliver(&Message::new(&topic, "x").qos(1))?;
        kept.open_with_session(true)?.quiet_for(Duration::from_millis(50))?;
        stage.login("sub").open()?.disconnect();
    }
    Ok(())
}

/// A topic that begins with `$` is not matched by `+/…`, shared or not, but by its own name with wildcards behind it;
/// deeper `$` levels are ordinary.
fn dollar_topics_hide_from_leading_wildcards(stage: &Stage<'_>) -> Check {
    let tag = stage.tag();
    let mut subscriber = stage.subscriber("sub", &format!("+/{tag}/#"), 1)?;
    let mut member = stage.subscriber("member", &format!("$share/g{tag}/+/{tag}/#"), 1)?;
    let mut own = stage.subscriber("own", &format!("$app/{tag}/+"), 1)?;
    own.subscribe(&format!("$app/{tag}/hidden/#"), 1)?;
    let mut own_member = stage.subscriber("own_member", &format!("$share/g{tag}/$app/{tag}/#"), 1)?;
    let mut publisher = stage.connect("pub")?;
    publisher.publish(&Message::new(format!("$app/{tag}/hidden"), "hidden"));
    if !stage.settings.lenient {
        // A broker may keep such topics from clients altogether; ours does not.
        own.take_of("hidden")?;
        own_member.take_of("hidden")?;
        own.quiet()?;
    }
    publisher.deliver(&Message::new(format!("app/{tag}/$seen"), "seen").qos(1))?;
    subscriber.take_of("seen")?;
    member.take_of("seen")?;
    subscriber.quiet()?;
    member.quiet()
}

/// Filters against topics, empty levels included.
fn filters_match_as_written(stage: &Stage<'_>) -> Check {
    let mut publisher = stage.connect("pub")?;
    for (filter, matching, other) in MATCHES {
        let mut subscriber = stage.subscriber("sub", &stage.topic(filter), 1)?;
        for topic in *other {
            publisher.deliver(&Message::new(stage.topic(topic), "must not match").qos(1))?;
        }
        for topic in *matching {
            publisher.deliver(&Message::new(stage.topic(topic), "x").qos(1))?;
            let came = subscriber.take_of("x")?;
            same(&format!("topic for {filter}"), &came.topic, &stage.topic(topic))?;
        }
    }
    Ok(())
}

/// 60 random filters, 100 random topics, over a small alphabet with empty levels: each topic reaches exactly the
/// filters that a second reading of the rules says, one copy each.
fn random_filters_match_like_the_rules_say(stage: &Stage<'_>) -> Check {
    let mut random = Random(0x5DEE_CE66_D001);
    let topics: BTreeSet<String> = (0..100).map(|_| random.name(&["", "a", "b", "ab", "$a"])).collect();
    let mut publisher = stage.connect("pub")?;
    for number in 0..60 {
        let filter = random.filter();
        let mut subscriber = stage.subscriber(&format!("sub{number}"), &stage.topic(&filter), 0)?;
        for topic in &topics {
            publisher.publish(&Message::new(stage.topic(topic), "x"));
        }
        publisher.ping()?;
        let expected: Vec<&String> = topics.iter().filter(|topic| is_match(&filter, topic)).collect();
        let what = format!("topic for {filter}");
        for topic in expected {
            same(&what, &subscriber.message()?.topic, &stage.topic(topic))?;
        }
        subscriber.ping()?;
        subscriber.quiet_for(Duration::from_millis(1))?;
    }
    Ok(())
}

/// Whether a filter matches a name below this run's own first level, level by level.
fn is_match(filter: &str, topic: &str) -> bool {
    let (filter, topic): (Vec<&str>, Vec<&str>) = (filter.split('/').collect(), topic.split('/').collect());
    match filter.iter().position(|level| *level == "#") {
        Some(at) => topic.len() >= at && levels_match(&filter[..at], &topic[..at]),
        None => topic.len() == filter.len() && levels_match(&filter, &topic),
    }
}

fn levels_match(filter: &[&str], topic: &[&str]) -> bool {
    filter.iter().zip(topic).all(|(wanted, level)| *wanted == "+" || wanted == level)
}

/// The same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    /// One to four levels out of these.
    fn name(&mut self, levels: &[&str]) -> String {
        let count = 1 + self.below(4);
        (0..count).map(|_| levels[self.below(levels.len())]).collect::<Vec<_>>().join("/")
    }

    fn filter(&mut self) -> String {
        let name = self.name(&["", "a", "b", "+", "+"]);
        if self.below(3) == 0 { format!("{name}/#") } else { name }
    }
}

/// Filter, topics that match it, topics that do not.
const MATCHES: &[(&str, &[&str], &[&str])] = &[
    ("a/b", &["a/b"], &["a", "a/b/", "a/b/c", "/a/b", "A/b", "a/B"]),
    ("a/+/b", &["a//b", "a/x/b", "a/ /b"], &["a/b", "a/x/y/b", "a/x/b/"]),
    ("a/+", &["a/", "a/b"], &["a", "a/b/c", "a//"]),
    ("a/", &["a/"], &["a", "a//", "a/b"]),
    ("+/+", &["/", "/b", "a/", "a/b"], &["a", "//", "a/b/c"]),
    ("+", &["", "a"], &["/", "a/"]),
    ("a/#", &["a", "a/", "a//", "a/b/c/d"], &["ab", "b/a", "/a"]),
    ("a/+/#", &["a/", "a/b", "a/b/c"], &["a"]),
    ("+/b/#", &["/b", "a/b", "a/b/c"], &["b", "a/c/b"]),
    ("a b/ c", &["a b/ c"], &["ab/c", "a b/c"]),
];

/// A topic of 65,535 bytes in few levels works from end to end.
fn longest_topic_works(stage: &Stage<'_>) -> Check {
    let prefix = stage.topic("long/");
    let topic = format!("{prefix}{}", "x".repeat(65_535 - prefix.len()));
    let mut subscriber = stage.subscriber("sub", &topic, 1)?;
    stage.connect("pub")?.deliver(&Message::new(&topic, "x").qos(1))?;
    let came = subscriber.take_of("x")?;
    ensure(came.topic == topic, "the same topic", format!("one of {} bytes", came.topic.len()))
}

/// 201 levels, and 65,535 slashes: refused by code, dropped at QoS 0, and the link stays.
fn too_many_levels_are_refused_gently(stage: &Stage<'_>) -> Check {
    let mut client = stage.connect("client")?;
    for topic in [too_deep(stage), "/".repeat(65_535)] {
        client.publish(&Message::new(&topic, "x"));
        client.publish(&Message::new(&topic, "x").qos(1).id(9));
        let code = if stage.v5() { 0x90 } else { 0 };
        client.expect(format_args!("PUBACK id 9 code 0x{code:02X}"), |arrival| match arrival {
            Arrival::PubAck(ack) if ack.id == 9 && ack.code == code => Some(()),
            _ => None,
        })?;
        let grants = client.subscribe_to(&[(&topic, options(1))], &[])?;
        let code = if stage.v5() { 0x8F } else { 0x80 };
        same("SUBACK codes", &grants.codes, &vec![code])?;
    }
    client.quiet()
}

/// Composed and decomposed letters, case, and U+FEFF make different topics, delivered byte for byte.
fn look_alikes_are_different_topics(stage: &Stage<'_>) -> Check {
    let names = ["caf\u{e9}", "cafe\u{301}", "Caf\u{e9}", "\u{feff}caf\u{e9}", "caf\u{e9} "];
    let mut subscriber = stage.connect("sub")?;
    let mut publisher = stage.connect("pub")?;
    for subscribed in names {
        subscriber.subscribe(&stage.topic(subscribed), 1)?;
        for name in names {
            publisher.deliver(&Message::new(stage.topic(name), "x").qos(1))?;
        }
        same("topic", &subscriber.take_of("x")?.topic, &stage.topic(subscribed))?;
        subscriber.unsubscribe(&stage.topic(subscribed))?;
    }
    let first = format!("\u{feff}{}", stage.topic("a"));
    subscriber.subscribe(&first, 1)?;
    publisher.deliver(&Message::new(stage.topic("a"), "without").qos(1))?;
    publisher.deliver(&Message::new(&first, "with").qos(1))?;
    same("topic", &subscriber.take_of("with")?.topic, &first)?;
    subscriber.quiet()
}

/// A publish to a `$share/…` name is refused with 0x90, one to `$SYS/…` goes nowhere; the link stays.
fn reserved_topics_are_not_delivered(stage: &Stage<'_>) -> Check {
    let share = stage.shared("g", "a");
    let system = format!("$SYS/{}", stage.topic("a"));
    let mut subscriber = stage.subscriber("sub", &stage.topic("#"), 2)?;
    subscriber.subscribe(&system, 2)?;
    let mut publisher = stage.connect("pub")?;
    for qos in 0..=2 {
        publisher.publish(&Message::new(&system, "x").qos(qos).id(7));
        publisher.publish(&Message::new(&share, "x").qos(qos).id(8));
        let expected = if stage.v5() { 0x90 } else { 0 };
        let mut open = Vec::new();
        for (id, strict) in [(7, false), (8, true)].into_iter().filter(|_| qos > 0) {
            let came = publisher.next()?;
            let code = match &came {
                Arrival::PubAck(ack) if qos == 1 && ack.id == id => ack.code,
                Arrival::PubRec(ack) if qos == 2 && ack.id == id => ack.code,
                other => return Err(publisher.differs(format_args!("the acknowledgement of id {id}"), other)),
            };
            ensure(!strict || code == expected, format!("code 0x{expected:02X}"), &came)?;
            open.extend((qos == 2 && code < 0x80).then_some(id));
        }
        for id in open {
            publisher.pubrel(id);
            publisher.expect_pubcomp(id)?;
        }
    }
    publisher.quiet()?;
    subscriber.quiet()
}

/// Twenty subscribers by different filters, online and offline, each get one copy.
fn message_reaches_every_subscriber(stage: &Stage<'_>) -> Check {
    let filters = ["a/b", "a/+", "a/#", "#", "+/b"];
    let mut online = Vec::new();
    for (number, filter) in (0..10).zip(filters.iter().cycle()) {
        online.push(stage.subscriber(&format!("on{number}"), &stage.topic(filter), 1)?);
        let mut offline = stage.login(&format!("off{number}")).keep().open()?;
        offline.subscribe(&stage.topic(filter), 1)?;
        offline.cut();
    }
    stage.connect("pub")?.deliver(&Message::new(stage.topic("a/b"), "x").qos(1))?;
    for (number, peer) in online.iter_mut().enumerate() {
        peer.take_of("x")?;
        peer.quiet_for(Duration::from_millis(20))?;
        let mut offline = stage.login(&format!("off{number}")).keep().open_with_session(true)?;
        offline.take_of("x")?;
        offline.quiet_for(Duration::from_millis(20))?;
    }
    Ok(())
}

/// A name of 201 levels.
fn too_deep(stage: &Stage<'_>) -> String {
    stage.topic(&vec!["x"; 200].join("/"))
}
