//! Message expiry: counted down, obeyed in queues, and of no effect on hand-shakes. Hard cases H01 to H06.

use longwire_proto::property::Property;

use super::scenes;
use crate::failure::{Check, ensure};
use crate::message::Message;
use crate::stage::Stage;

scenes! {
    v5 expiry_counts_down_in_the_queue "H01" "3.3.2-6";
    v5 expiry_counts_down_until_a_message_is_sent_again "H01" "3.3.2-6";
    v5 expired_message_is_not_delivered "H04" "3.3.2-5";
    v5 expiry_spares_deliveries_that_were_sent "H02" "4.3.3-7";
    v5 expiry_spares_an_owed_pubrel "H02" "4.3.3-5 4.3.3-13";
    v5 expiry_between_publish_and_pubrel_changes_nothing "H03" "4.3.3-13";
    v5 expired_messages_make_room_in_the_queue "H04" "3.3.2-5";
    v5 expiry_zero_is_for_those_present "H06 U5-59" "3.3.2-5";
    v5 longest_expiry_is_forwarded "H06" "3.3.2-6";
}

/// Expiry 10, two seconds in the queue: 7 or 8.
fn expiry_counts_down_in_the_queue(stage: &Stage<'_>) -> Check {
    let kept = absent_subscriber(stage)?;
    stage.connect("pub")?.deliver(&expiring(stage, "x", 10))?;
    stage.sleep_ms(2100);
    let came = stage_take(&kept, "x")?;
    ensure(matches!(came.props().message_expiry_interval(), Some(6..=8)), "expiry reduced to 7 or 8", &came)
}

/// Expiry 20, sent, not acknowledged, sent again after two seconds: reduced, by choice; never larger.
fn expiry_counts_down_until_a_message_is_sent_again(stage: &Stage<'_>) -> Check {
    let kept = stage.login("sub").keep();
    let mut subscriber = kept.open()?;
    subscriber.subscribe(&stage.topic("a"), 1)?;
    stage.connect("pub")?.deliver(&expiring(stage, "x", 20))?;
    subscriber.message_of("x")?;
    subscriber.cut();
    stage.sleep_ms(2100);
    let again = stage_take(&kept, "x")?;
    let most = if stage.settings.lenient { 20 } else { 18 };
    let left = again.props().message_expiry_interval().unwrap_or(u32::MAX);
    ensure((15..=most).contains(&left), format!("expiry of at most {most}"), &again)
}

/// Expiry 1, two seconds in the queue: gone.
fn expired_message_is_not_delivered(stage: &Stage<'_>) -> Check {
    let kept = absent_subscriber(stage)?;
    let mut publisher = stage.connect("pub")?;
    publisher.deliver(&expiring(stage, "gone", 1))?;
    publisher.deliver(&expiring(stage, "stays", 60))?;
    stage.sleep_ms(2200);
    let mut subscriber = kept.open_with_session(true)?;
    subscriber.take_of("stays")?;
    subscriber.quiet()
}

/// QoS 2 with expiry 1 was sent but not answered: two seconds later it still comes again.
fn expiry_spares_deliveries_that_were_sent(stage: &Stage<'_>) -> Check {
    let kept = stage.login("sub").keep();
    let mut subscriber = kept.open()?;
    subscriber.subscribe(&stage.topic("a"), 2)?;
    stage.connect("pub")?.deliver(&expiring(stage, "x", 1).qos(2))?;
    let first = subscriber.message_of("x")?;
    subscriber.cut();
    stage.sleep_ms(2200);
    let mut subscriber = kept.open_with_session(true)?;
    let again = subscriber.take_of("x")?;
    ensure(again.dup && again.id == first.id, format!("id {} with DUP 1", first.id), &again)?;
    subscriber.quiet()
}

/// QoS 2 with expiry 1 was answered by PUBREC: two seconds later PUBREL is still owed.
fn expiry_spares_an_owed_pubrel(stage: &Stage<'_>) -> Check {
    let kept = stage.login("sub").keep();
    let mut subscriber = kept.open()?;
    subscriber.subscribe(&stage.topic("a"), 2)?;
    stage.connect("pub")?.deliver(&expiring(stage, "x", 1).qos(2))?;
    let first = subscriber.message_of("x")?;
    subscriber.pubrec(first.id);
    subscriber.expect_pubrel(first.id)?;
    subscriber.cut();
    stage.sleep_ms(2200);
    let mut subscriber = kept.open_with_session(true)?;
    subscriber.expect_pubrel(first.id)?;
    subscriber.pubcomp(first.id);
    subscriber.quiet()
}

/// A publisher releases a QoS 2 message after it expired: PUBCOMP 0x00.
fn expiry_between_publish_and_pubrel_changes_nothing(stage: &Stage<'_>) -> Check {
    let mut publisher = stage.connect("pub")?;
    publisher.publish(&expiring(stage, "x", 1).qos(2).id(5));
    publisher.expect_pubrec(5)?;
    stage.sleep_ms(2100);
    publisher.pubrel(5);
    publisher.expect_pubcomp(5)
}

/// 500 messages expire in the queue, five do not: the five come at once.
fn expired_messages_make_room_in_the_queue(stage: &Stage<'_>) -> Check {
    let kept = absent_subscriber(stage)?;
    let mut publisher = stage.connect("pub")?;
    for _ in 0..5 {
        let burst: Vec<Message> = (0..100).map(|_| expiring(stage, "gone", 1)).collect();
        publisher.deliver_all(&burst)?;
        publisher.deliver(&expiring(stage, "stays", 60))?;
    }
    stage.sleep_ms(2300);
    let mut subscriber = kept.open_with_session(true)?;
    for _ in 0..5 {
        subscriber.take_of("stays")?;
    }
    subscriber.quiet()
}

/// Expiry 0: who is connected gets the message, who is away does not.
fn expiry_zero_is_for_those_present(stage: &Stage<'_>) -> Check {
    let kept = absent_subscriber(stage)?;
    let mut present = stage.subscriber("present", &stage.topic("a"), 1)?;
    stage.connect("pub")?.deliver(&expiring(stage, "now", 0))?;
    present.take_of("now")?;
    stage.sleep_ms(100);
    kept.open_with_session(true)?.quiet()
}

/// Expiry 4,294,967,295 is forwarded and does not overflow.
fn longest_expiry_is_forwarded(stage: &Stage<'_>) -> Check {
    let kept = absent_subscriber(stage)?;
    let mut present = stage.subscriber("present", &stage.topic("a"), 1)?;
    stage.connect("pub")?.deliver(&expiring(stage, "x", u32::MAX))?;
    for came in [present.take_of("x")?, stage_take(&kept, "x")?] {
        let left = came.props().message_expiry_interval().unwrap_or(0);
        ensure(left >= u32::MAX - 10, "an expiry near 4,294,967,295", &came)?;
    }
    Ok(())
}

/// A kept session that is subscribed to the topic of this scene at QoS 1 and away.
fn absent_subscriber<'a>(stage: &'a Stage<'_>) -> Check<crate::stage::Login<'a>> {
    let kept = stage.login("sub").keep();
    let mut subscriber = kept.open()?;
    subscriber.subscribe(&stage.topic("a"), 1)?;
    subscriber.cut();
    Ok(kept)
}

fn stage_take(kept: &crate::stage::Login<'_>, payload: &str) -> Check<Message> {
    let mut subscriber = kept.open_with_session(true)?;
    let came = subscriber.take_of(payload)?;
    subscriber.quiet()?;
    Ok(came)
}

/// A QoS 1 message on the topic of this scene.
fn expiring(stage: &Stage<'_>, payload: &str, secs: u32) -> Message {
    Message::new(stage.topic("a"), payload).qos(1).with(Property::MessageExpiryInterval(secs))
}
