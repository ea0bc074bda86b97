//! What happens to the application's properties on every way a message can take: live, queued, sent again, retained, as a
//! will, to a shared group, to another version. The broker forwards them unchanged and checks at most what it may check.

use std::time::Duration;

use longwire_proto::property::Property;
use longwire_proto::{ReasonCode, Version};

use super::scenes;
use crate::failure::{Check, ensure, same};
use crate::message::{Arrival, Message};
use crate::stage::Stage;

scenes! {
    v5 application_properties_are_the_same_on_every_path "D13" "3.3.2-4 3.3.2-15 3.3.2-16 3.3.2-17 3.3.2-18 3.3.2-20 3.1.3-10";
    v5 properties_are_left_out_for_older_subscribers_only "E13 I09" "3.3.2-17";
    v5 payload_that_is_not_the_text_it_claims_to_be "U5-15" "3.3.2-4";
    v5 will_that_is_not_the_text_it_claims_to_be "U5-13" "3.3.2-4";
}

/// Three sets of properties, among them none: on each path what arrives is what was sent.
fn application_properties_are_the_same_on_every_path(stage: &Stage<'_>) -> Check {
    for (number, message) in samples(stage).into_iter().enumerate() {
        for qos in 0..=2 {
            live(stage, &message.clone().qos(qos))?;
        }
        let name = format!("sub{number}");
        queued_and_sent_again(stage, &name, &message.clone().qos(2))?;
        retained(stage, &message.clone().qos(1).retain())?;
        will(stage, &message.clone().qos(1))?;
    }
    Ok(())
}

/// To a plain subscription, and to a member of a shared group.
fn live(stage: &Stage<'_>, message: &Message) -> Check {
    let mut plain = stage.subscriber("plain", &message.topic, 2)?;
    let mut member = stage.subscriber("member", &stage.shared("g", "a"), 2)?;
    stage.connect("pub")?.deliver(message)?;
    is_unchanged("live", &plain.take()?, message)?;
    is_unchanged("in a group", &member.take()?, message)
}

/// To a session that is away, which then does not acknowledge it and comes back.
fn queued_and_sent_again(stage: &Stage<'_>, name: &str, message: &Message) -> Check {
    let kept = stage.login(name).keep();
    let mut away = kept.open()?;
    away.subscribe(&message.topic, 2)?;
    away.cut();
    stage.connect("pub")?.deliver(message)?;
    let mut away = kept.open_with_session(true)?;
    is_unchanged("queued", &away.message()?, message)?;
    away.cut();
    let mut away = kept.open_with_session(true)?;
    is_unchanged("sent again", &away.take()?, message)?;
    away.unsubscribe(&message.topic)
}

fn retained(stage: &Stage<'_>, message: &Message) -> Check {
    let mut publisher = stage.connect("pub")?;
    publisher.deliver(message)?;
    is_unchanged("retained", &stage.subscriber("late", &message.topic, 2)?.take()?, message)?;
    publisher.deliver(&Message::new(&message.topic, "").retain())?;
    publisher.ping()
}

fn will(stage: &Stage<'_>, message: &Message) -> Check {
    let mut watcher = stage.subscriber("watcher", &message.topic, 2)?;
    stage.login("dev").will(message.clone()).open()?.cut();
    is_unchanged("as a will", &watcher.take()?, message)
}

/// A 5.0 and a 3.1.1 subscriber of one message: the first gets all properties, the second the payload.
fn properties_are_left_out_for_older_subscribers_only(stage: &Stage<'_>) -> Check {
    for message in samples(stage) {
        for qos in 0..=2 {
            let message = message.clone().qos(qos);
            let mut newer = stage.subscriber("newer", &message.topic, 2)?;
            let mut older = stage.login("older").version(Version::V311).open()?;
            older.subscribe(&message.topic, 2)?;
            stage.connect("pub")?.deliver(&message)?;
            is_unchanged("to 5.0", &newer.take()?, &message)?;
            let came = older.take()?;
            ensure(came.payload == message.payload && came.props().is_empty(), "the payload alone", &came)?;
        }
    }
    Ok(())
}

/// A payload marked as UTF-8 that is none: the broker may refuse it with 0x99 or forward it as it is, nothing else.
fn payload_that_is_not_the_text_it_claims_to_be(stage: &Stage<'_>) -> Check {
    let mut subscriber = stage.subscriber("sub", &stage.topic("a"), 2)?;
    for qos in 0..=2 {
        let message = not_text(stage).qos(qos).id(7);
        let mut publisher = stage.connect("pub")?;
        publisher.publish(&message);
        let refusal = ReasonCode::PayloadFormatInvalid as u8;
        let arrival =
            if qos == 0 { publisher.next_within(Duration::from_millis(300))? } else { publisher.next()? };
        let taken = match arrival {
            Arrival::Silence if qos == 0 => true,
            Arrival::PubAck(ack) if qos == 1 => ack.code != refusal,
            Arrival::PubRec(ack) if qos == 2 && ack.code == refusal => false,
            Arrival::PubRec(_) if qos == 2 => {
                publisher.pubrel(7);
                publisher.expect_pubcomp(7)?;
                true
            }
            Arrival::Disconnect(reason) if reason.code == refusal => false,
            other => return Err(publisher.differs("an acknowledgement, or code 0x99", other)),
        };
        if taken {
            let came = subscriber.take()?;
            ensure(came.payload == message.payload, "the payload as it was sent", &came)?;
            is_unchanged("live", &came, &message)?;
        }
    }
    subscriber.quiet()
}

/// The same for a will: CONNACK 0x99 and a close, or the will is published as it is.
fn will_that_is_not_the_text_it_claims_to_be(stage: &Stage<'_>) -> Check {
    let will = not_text(stage).qos(1);
    let mut watcher = stage.subscriber("watcher", &will.topic, 2)?;
    let mut device = stage.login("dev").will(will.clone()).knock()?;
    match device.next()? {
        Arrival::ConnAck(connack) if connack.code == ReasonCode::PayloadFormatInvalid as u8 => {
            device.expect_end()?;
        }
        Arrival::ConnAck(connack) if connack.code == 0 => {
            device.cut();
            let came = watcher.take()?;
            ensure(came.payload == will.payload, "the payload as it was sent", &came)?;
            is_unchanged("as a will", &came, &will)?;
        }
        other => return Err(device.differs("CONNACK code 0x00 or 0x99", other)),
    }
    watcher.quiet()
}

fn not_text(stage: &Stage<'_>) -> Message {
    Message::new(stage.topic("a"), b"\xFF\xFE").with(Property::PayloadFormatIndicator(true))
}

/// A message with no properties, one with each, and one with each at its edge.
fn samples(stage: &Stage<'_>) -> Vec<Message> {
    let plain = Message::new(stage.topic("a"), "x");
    let each = plain
        .clone()
        .with(Property::PayloadFormatIndicator(true))
        .with(Property::ContentType("text/plain"))
        .with(Property::ResponseTopic("answer/\u{e9}"))
        .with(Property::CorrelationData(&[0, 255, 0, 1]))
        .with(Property::UserProperty("z", "1"))
        .with(Property::UserProperty("a", "2"))
        .with(Property::UserProperty("z", "1"))
        .with(Property::UserProperty("z", "0"));
    let long = "x".repeat(65_535);
    let edges = plain
        .clone()
        .with(Property::PayloadFormatIndicator(false))
        .with(Property::ContentType(""))
        .with(Property::CorrelationData(b""))
        .with(Property::UserProperty("", ""))
        .with(Property::UserProperty("", &long))
        .with(Property::UserProperty("\u{feff}", "\u{1f980}"));
    vec![plain, each, edges]
}

/// The application's properties that arrived are those that were sent, user properties in their order.
fn is_unchanged(path: &str, came: &Message, sent: &Message) -> Check {
    let what = |name: &str| format!("{name} {path}");
    let (came, sent) = (came.props(), sent.props());
    same(&what("payload format"), &came.payload_format_indicator(), &sent.payload_format_indicator())?;
    same(&what("content type"), &came.content_type(), &sent.content_type())?;
    same(&what("response topic"), &came.response_topic(), &sent.response_topic())?;
    same(&what("correlation data"), &came.correlation_data(), &sent.correlation_data())?;
    let pairs: Vec<_> = came.user_properties().collect();
    same(&what("user properties"), &pairs, &sent.user_properties().collect())?;
    same(&what("number of properties"), &came.iter().count(), &sent.iter().count())
}
