//! Topic aliases in both directions. Hard cases H11 to H15.

use longwire_proto::property::Property;

use super::scenes;
use crate::craft;
use crate::failure::{Check, Failure, ensure, same};
use crate::message::{Arrival, Message};
use crate::peer::Peer;
use crate::stage::Stage;

scenes! {
    v5 alias_ends_with_its_connection "H11 U5-23" "3.3.2-7";
    v5 alias_of_a_refused_message_holds "H12" "3.3.2-12";
    v5 message_sent_again_has_its_topic "H13" "3.3.2-7 4.4.0-1";
    v5 alias_of_a_dropped_message_is_not_assumed "H14" "3.1.2-25 3.1.2-26";
    v5 alias_above_the_announced_maximum_is_refused "H15" "3.3.2-9 3.2.2-17 3.2.2-18";
    v5 every_announced_alias_works "U5-24" "3.3.2-12";
    v5 aliases_of_both_directions_are_independent "U5-25 U5-60" "3.1.2-26 3.3.2-11";
    v5 no_alias_without_permission "U5-60" "3.1.2-27";
}

/// Alias 1 set on one connection is unknown on the next: 0x82.
fn alias_ends_with_its_connection(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let kept = stage.login("pub").keep();
    let mut publisher = kept.open()?;
    publisher.deliver(&Message::new(&topic, "x").qos(1).with(Property::TopicAlias(1)))?;
    publisher.deliver(&Message::new("", "y").qos(1).with(Property::TopicAlias(1)))?;
    publisher.cut();
    let mut publisher = kept.open_with_session(true)?;
    publisher.publish(&Message::new("", "z").qos(1).id(9).with(Property::TopicAlias(1)));
    publisher.expect_close(0x82, &[0x94])
}

/// An alias set by a PUBLISH that was refused holds: its second use is refused in the same way.
fn alias_of_a_refused_message_holds(stage: &Stage<'_>) -> Check {
    let refused = stage.shared("g", "a");
    let mut publisher = stage.connect("pub")?;
    for (id, topic) in [(1, refused.as_str()), (2, "")] {
        publisher.publish(&Message::new(topic, "x").qos(1).id(id).with(Property::TopicAlias(1)));
        publisher.expect(format_args!("PUBACK id {id} code 0x90"), |arrival| match arrival {
            Arrival::PubAck(ack) if ack.id == id && ack.code == 0x90 => Some(()),
            _ => None,
        })?;
    }
    publisher.quiet()
}

/// A subscriber that allows aliases resumes: what is sent again has its topic.
fn message_sent_again_has_its_topic(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let kept = stage.login("sub").keep().with(Property::TopicAliasMaximum(5));
    let mut subscriber = kept.open()?;
    subscriber.subscribe(&topic, 1)?;
    let mut publisher = stage.connect("pub")?;
    for number in 0..4 {
        publisher.deliver(&Message::new(&topic, number.to_string()).qos(1))?;
    }
    for number in 0..4 {
        subscriber.message_of(number.to_string())?;
    }
    subscriber.cut();
    let mut subscriber = kept.open_with_session(true)?;
    let mut aliases = Aliases::default();
    for number in 0..4 {
        let again = subscriber.message_of(number.to_string())?;
        ensure(number > 0 || !again.topic.is_empty(), "the topic in the first packet", &again)?;
        same("topic", &aliases.topic_of(&again, 5)?, &topic)?;
    }
    Ok(())
}

/// The first message on a topic is too large for the subscriber; the next one must still carry the topic.
fn alias_of_a_dropped_message_is_not_assumed(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let limits =
        stage.login("sub").with(Property::TopicAliasMaximum(5)).with(Property::MaximumPacketSize(200));
    let mut subscriber = limits.open()?;
    subscriber.subscribe(&topic, 1)?;
    let mut publisher = stage.connect("pub")?;
    publisher.deliver(&Message::new(&topic, [b'x'; 300]).qos(1))?;
    let mut aliases = Aliases::default();
    for number in 0..3 {
        publisher.deliver(&Message::new(&topic, number.to_string()).qos(1))?;
        let came = subscriber.take_of(number.to_string())?;
        same("topic", &aliases.topic_of(&came, 5)?, &topic)?;
    }
    Ok(())
}

/// One alias above the maximum, which is 0 where none is announced: 0x94.
fn alias_above_the_announced_maximum_is_refused(stage: &Stage<'_>) -> Check {
    let mut publisher = stage.connect("pub")?;
    let maximum = alias_maximum(&publisher);
    let Some(alias) = maximum.checked_add(1) else {
        return Err(Failure::NotApplicable("the broker announces every alias there is".into()));
    };
    let [high, low] = alias.to_be_bytes();
    let bytes = craft::publish(stage.version, 0, stage.topic("a"), None, &[0x23, high, low], "x");
    publisher.raw(&format!("PUBLISH with alias {alias} above {maximum}"), &bytes);
    publisher.expect_close(0x94, &[0x81, 0x82])
}

/// Every alias up to the announced maximum is set, used, and mapped anew.
fn every_announced_alias_works(stage: &Stage<'_>) -> Check {
    let mut subscriber = stage.subscriber("sub", &stage.topic("#"), 1)?;
    let mut publisher = stage.connect("pub")?;
    let maximum = alias_maximum(&publisher).min(100);
    if maximum == 0 {
        return Err(Failure::NotApplicable("the broker announces no topic aliases".into()));
    }
    for generation in ["old", "new"] {
        for set in [true, false] {
            for alias in 1..=maximum {
                let topic = stage.topic(&format!("{generation}/{alias}"));
                let sent = if set { topic.as_str() } else { "" };
                publisher.deliver(&Message::new(sent, "x").qos(1).with(Property::TopicAlias(alias)))?;
                let came = subscriber.take_of("x")?;
                same("topic", &came.topic, &topic)?;
            }
        }
    }
    Ok(())
}

/// One client uses alias 1 for its publishes and allows the broker two: every delivery names its topic.
fn aliases_of_both_directions_are_independent(stage: &Stage<'_>) -> Check {
    let mut client = stage.login("client").with(Property::TopicAliasMaximum(2)).open()?;
    client.subscribe(&stage.topic("in/#"), 1)?;
    let mut witness = stage.subscriber("witness", &stage.topic("out"), 1)?;
    let mut publisher = stage.connect("pub")?;
    let mut aliases = Aliases::default();
    for round in 0..30 {
        let out = if round == 0 { stage.topic("out") } else { String::new() };
        client.deliver(&Message::new(out, round.to_string()).qos(1).with(Property::TopicAlias(1)))?;
        same("topic", &witness.take_of(round.to_string())?.topic, &stage.topic("out"))?;
        let topic = stage.topic(&format!("in/{}", round % 5));
        publisher.deliver(&Message::new(&topic, "x").qos(1))?;
        let came = client.take_of("x")?;
        same("topic", &aliases.topic_of(&came, 2)?, &topic)?;
    }
    Ok(())
}

/// Without Topic Alias Maximum, and with 0: no alias in any delivery, though the publisher uses one.
fn no_alias_without_permission(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut absent = stage.subscriber("absent", &topic, 1)?;
    let mut zero = stage.login("zero").with(Property::TopicAliasMaximum(0)).open()?;
    zero.subscribe(&topic, 1)?;
    let mut publisher = stage.connect("pub")?;
    for round in 0..5 {
        let sent = if round == 0 { topic.as_str() } else { "" };
        publisher.deliver(&Message::new(sent, "x").qos(1).with(Property::TopicAlias(1)))?;
        for peer in [&mut absent, &mut zero] {
            let came = peer.take_of("x")?;
            ensure(
                came.topic == topic && came.props().topic_alias().is_none(),
                "the topic, no alias",
                &came,
            )?;
        }
    }
    Ok(())
}

fn alias_maximum(peer: &Peer) -> u16 {
    peer.connack.properties.as_properties().topic_alias_maximum().unwrap_or(0)
}

/// What a receiver knows of the sender's aliases.
#[derive(Default)]
struct Aliases(std::collections::BTreeMap<u16, String>);

impl Aliases {
    /// The topic of a delivery, by itself or by its alias, which must be within `maximum`.
    fn topic_of(&mut self, message: &Message, maximum: u16) -> Check<String> {
        let Some(alias) = message.props().topic_alias() else { return Ok(message.topic.clone()) };
        ensure((1..=maximum).contains(&alias), format!("an alias of 1 to {maximum}"), message)?;
        if !message.topic.is_empty() {
            self.0.insert(alias, message.topic.clone());
        }
        self.0.get(&alias).cloned().ok_or_else(|| Failure::Differs {
            expected: "an alias that was set on this connection".into(),
            came: message.to_string(),
        })
    }
}
