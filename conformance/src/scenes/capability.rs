//! What a broker says that it does not have: higher QoS, retained messages, kinds of subscriptions. Hard case D16.
//!
//! Each scene asks a 5.0 CONNACK first, for 3.1.1 has no words for it, and does not apply where nothing is missing; so
//! they say something only about a broker that was set up for them.

use longwire_proto::Version;
use longwire_proto::property::{Properties, Property};

use super::scenes;
use crate::craft;
use crate::failure::{Check, Failure, ensure, same};
use crate::message::Message;
use crate::peer::options;
use crate::stage::Stage;

scenes! {
    both subscriptions_are_granted_the_maximum_qos "U3-07 F12" "3.8.4-5 3.8.4-6" "3.2.2-9 3.2.2-10 3.8.4-7 3.8.4-8";
    both message_above_the_maximum_qos_closes "" "" "3.2.2-11 4.13.1-1";
    both will_above_the_maximum_qos_is_refused "D14 D16" "3.2.2-6" "3.2.2-7 3.2.2-8 3.2.2-12";
    both message_that_cannot_be_retained_closes "" "" "3.2.2-14 4.13.1-1";
    both will_that_cannot_be_retained_is_refused "D14 D16" "3.2.2-6" "3.2.2-7 3.2.2-8 3.2.2-13";
    both wildcards_that_are_not_allowed "U5-19" "3.8.3-2 3.8.4-5 3.9.3-1 3.9.3-2" "4.13.1-1";
    both shared_subscriptions_that_are_not_allowed "U5-21" "3.8.4-5 3.9.3-1 3.9.3-2" "4.13.1-1";
    v5 identifiers_that_are_not_allowed "U5-20" "4.13.1-1";
}

/// Wished QoS 0, 1 and 2: granted no more than the maximum, also in one SUBSCRIBE, and messages flow at what was granted.
fn subscriptions_are_granted_the_maximum_qos(stage: &Stage<'_>) -> Check {
    let maximum = maximum_qos(stage)?;
    let names = [stage.topic("0"), stage.topic("1"), stage.topic("2")];
    let filters: Vec<_> = names.iter().zip(0..).map(|(name, qos)| (name.as_str(), options(qos))).collect();
    let granted: Vec<u8> = (0..=2).map(|qos| maximum.min(qos)).collect();
    let mut subscriber = stage.connect("sub")?;
    same("SUBACK codes", &subscriber.subscribe_to(&filters, &[])?.codes, &granted)?;
    let mut publisher = stage.connect("pub")?;
    for (name, granted) in names.iter().zip(&granted) {
        for published in 0..=maximum {
            publisher.deliver(&Message::new(name, "x").qos(published))?;
            same("QoS", &subscriber.take_of("x")?.qos, &published.min(*granted))?;
        }
    }
    subscriber.quiet()
}

/// A PUBLISH above the maximum: 0x9B, before 5.0 just a close; nobody gets it, and others do not notice.
fn message_above_the_maximum_qos_closes(stage: &Stage<'_>) -> Check {
    for qos in maximum_qos(stage)? + 1..=2 {
        closes(stage, &Message::new(stage.topic("a"), "x").qos(qos).id(7), 0x9B)?;
    }
    Ok(())
}

/// A will above the maximum: CONNACK 0x9B and a close, before 5.0 a close alone; the will is not published.
fn will_above_the_maximum_qos_is_refused(stage: &Stage<'_>) -> Check {
    let maximum = maximum_qos(stage)?;
    will_is_accepted(stage, &Message::new(stage.topic("a"), "x").qos(maximum))?;
    for qos in maximum + 1..=2 {
        will_is_refused(stage, &Message::new(stage.topic("a"), "x").qos(qos), 0x9B)?;
    }
    Ok(())
}

/// A PUBLISH with RETAIN 1, also one that would clear: 0x9A, before 5.0 just a close; nobody gets it.
fn message_that_cannot_be_retained_closes(stage: &Stage<'_>) -> Check {
    announced(stage, "that nothing is retained", |connack| connack.retain_available() == Some(false))?;
    for payload in ["x", ""] {
        closes(stage, &Message::new(stage.topic("a"), payload).retain(), 0x9A)?;
    }
    Ok(())
}

/// A will with RETAIN 1: CONNACK 0x9A and a close, before 5.0 a close alone; the will is not published.
fn will_that_cannot_be_retained_is_refused(stage: &Stage<'_>) -> Check {
    announced(stage, "that nothing is retained", |connack| connack.retain_available() == Some(false))?;
    will_is_accepted(stage, &Message::new(stage.topic("a"), "x"))?;
    will_is_refused(stage, &Message::new(stage.topic("a"), "x").retain(), 0x9A)
}

/// Wildcards, shared or not: 0xA2 and nothing of the SUBSCRIBE is granted; before 5.0 they alone are refused.
fn wildcards_that_are_not_allowed(stage: &Stage<'_>) -> Check {
    let missing = |connack: Properties<'_>| connack.wildcard_subscription_available() == Some(false);
    announced(stage, "that wildcards are not allowed", missing)?;
    for filter in [stage.topic("#"), stage.topic("+"), stage.topic("+/a")] {
        filter_is_refused(stage, &filter, 0xA2)?;
    }
    Ok(())
}

/// A shared subscription: 0x9E and nothing of the SUBSCRIBE is granted; before 5.0 it alone is refused.
fn shared_subscriptions_that_are_not_allowed(stage: &Stage<'_>) -> Check {
    let missing = |connack: Properties<'_>| connack.shared_subscription_available() == Some(false);
    announced(stage, "that shared subscriptions are not allowed", missing)?;
    filter_is_refused(stage, &stage.shared("g", "a"), 0x9E)
}

/// A subscription identifier: 0xA1, and nothing of the SUBSCRIBE is granted.
fn identifiers_that_are_not_allowed(stage: &Stage<'_>) -> Check {
    let missing = |connack: Properties<'_>| connack.subscription_identifier_available() == Some(false);
    announced(stage, "that subscription identifiers are not allowed", missing)?;
    let topic = stage.topic("good");
    let kept = stage.login("sub").keep();
    let mut subscriber = kept.open()?;
    subscriber.ask_to_subscribe(1, &[(&topic, options(0))], &[Property::SubscriptionIdentifier(1)]);
    subscriber.expect_close(0xA1, &[])?;
    is_not_subscribed(stage, &kept, &topic)
}

/// The highest QoS that the broker announces, where there is one above it.
fn maximum_qos(stage: &Stage<'_>) -> Check<u8> {
    let mut maximum = None;
    announced(stage, "a Maximum QoS", |connack| {
        maximum = connack.maximum_qos();
        maximum.is_some()
    })?;
    let maximum = maximum.unwrap_or(u8::MAX);
    ensure(maximum < 2, "a Maximum QoS of 0 or 1", maximum)?;
    Ok(maximum)
}

/// Passes where a 5.0 CONNACK says that something is missing; elsewhere the scene does not apply.
fn announced(stage: &Stage<'_>, what: &str, says_so: impl FnOnce(Properties<'_>) -> bool) -> Check {
    let asked = stage.login("asks").version(Version::V5).open()?;
    if says_so(asked.connack.properties.as_properties()) {
        asked.disconnect();
        return Ok(());
    }
    Err(Failure::NotApplicable(format!("the broker does not announce {what}")))
}

/// Whoever publishes this message is closed with this code, a subscriber sees nothing of it.
fn closes(stage: &Stage<'_>, message: &Message, code: u8) -> Check {
    let mut subscriber = stage.subscriber("sub", &message.topic, 0)?;
    let mut publisher = stage.connect("pub")?;
    publisher.publish(message);
    publisher.expect_close(code, &[])?;
    subscriber.quiet()?;
    stage.connect("other")?.deliver(&Message::new(&message.topic, "good"))?;
    subscriber.take_of("good").map(drop)
}

fn will_is_accepted(stage: &Stage<'_>, will: &Message) -> Check {
    stage.login("dev").will(will.clone()).open()?.disconnect();
    Ok(())
}

/// The CONNECT with this will is refused, and neither the will nor a PUBLISH behind the CONNECT reaches anybody.
fn will_is_refused(stage: &Stage<'_>, will: &Message, code: u8) -> Check {
    let mut watcher = stage.subscriber("watcher", &will.topic, 0)?;
    let mut device = stage.login("dev").will(will.clone()).knock()?;
    device.publish(&Message::new(&will.topic, "pipelined"));
    device.expect_refusal(code, &[], None)?;
    watcher.quiet()
}

/// A SUBSCRIBE with this filter between two good ones: in 5.0 a close and no subscription, before that code 0x80.
fn filter_is_refused(stage: &Stage<'_>, filter: &str, code: u8) -> Check {
    let (first, last) = (stage.topic("first"), stage.topic("last"));
    let filters = [(first.as_str(), options(0)), (filter, options(0)), (last.as_str(), options(0))];
    let kept = stage.login("sub").keep();
    let mut subscriber = kept.open()?;
    if stage.v5() {
        subscriber.ask_to_subscribe(1, &filters, &[]);
        subscriber.expect_close(code, &[])?;
        return is_not_subscribed(stage, &kept, &first);
    }
    same("SUBACK codes", &subscriber.subscribe_to(&filters, &[])?.codes, &vec![0, 0x80, 0])?;
    let mut publisher = stage.connect("pub")?;
    publisher.publish(&Message::new(stage.topic("a"), "not subscribed"));
    for topic in [&first, &last] {
        publisher.publish(&Message::new(topic, "x"));
        same("topic", &subscriber.take_of("x")?.topic, topic)?;
    }
    subscriber.quiet()
}

/// The session that was closed over a SUBSCRIBE has no subscription to this topic.
fn is_not_subscribed(stage: &Stage<'_>, kept: &crate::stage::Login<'_>, topic: &str) -> Check {
    let mut subscriber = kept.open_with_session(true)?;
    stage.connect("pub")?.deliver(&Message::new(topic, "x"))?;
    subscriber.quiet()?;
    subscriber.raw("UNSUBSCRIBE", &craft::unsubscribe(stage.version, &[], topic.as_bytes()));
    subscriber.expect("UNSUBACK code 0x11", |arrival| match arrival {
        crate::message::Arrival::UnsubAck(grants) if grants.codes == [0x11] => Some(()),
        _ => None,
    })
}
