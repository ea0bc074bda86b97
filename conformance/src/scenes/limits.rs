//! Limits that a broker announces in CONNACK, as far as they are tighter than what a client asked for.
//!
//! Each scene reads the announcement first and does not apply where there is none, so they say something only about
//! a broker that was set up for them.

use std::time::{Duration, Instant};

use longwire_proto::property::Property;
use longwire_proto::{ReasonCode, Version};

use super::scenes;
use crate::failure::{Check, Failure, ensure};
use crate::message::{Arrival, Message};
use crate::stage::Stage;

scenes! {
    v5 session_expiry_is_capped "C07 U5-18" "4.1.0-2";
    v5 longer_keep_alive_is_replaced "I13" "3.1.2-21 3.2.2-21 3.1.2-22";
    both longer_client_id_is_refused "U5-62" "3.1.3-9" "3.1.3-8";
    v311 longer_keep_alive_is_refused "I13" "3.2.2-4 3.2.2-5";
    v5 aliases_that_are_not_allowed_are_refused "H15" "3.2.2-18 3.3.2-9";
    v311 open_publishes_beyond_the_window_are_answered "A21" "4.3.2-2";
}

/// Longest announcement that a scene waits for, seconds.
const PATIENT_SECS: u32 = 5;

/// The broker caps session expiry: CONNACK says so, and so it is after a break; a larger wish in DISCONNECT is capped too.
fn session_expiry_is_capped(stage: &Stage<'_>) -> Check {
    let login = stage.login("client").clean(false).expiry(u32::MAX);
    let client = login.open_with_session(false)?;
    let cap = client.connack.properties.as_properties().session_expiry_interval();
    let Some(cap) = cap.filter(|cap| *cap <= PATIENT_SECS) else {
        return not_announced("a session expiry of a few seconds");
    };
    client.cut();
    let client = login.open_with_session(true)?;
    let broken = stage.login("broken").clean(false).expiry(u32::MAX);
    broken.open_with_session(false)?.cut();
    client.leave(ReasonCode::Success, &[Property::SessionExpiryInterval(86_400)]);
    stage.sleep_ms(u64::from(cap) * 1000 + 1300);
    login.open_with_session(false)?;
    broken.open_with_session(false).map(drop)
}

/// Server Keep Alive replaces a longer wish and a wish of none, and agrees to a wish of just as much: all three are
/// closed at 1.5 times the announced value.
fn longer_keep_alive_is_replaced(stage: &Stage<'_>) -> Check {
    let announced = server_keep_alive(stage)?.filter(|secs| u32::from(*secs) <= PATIENT_SECS);
    let Some(secs) = announced else { return not_announced("a Server Keep Alive of a few seconds") };
    let mut clients = Vec::new();
    for (name, wish) in [("longer", secs + 1), ("none", 0), ("equal", secs)] {
        let client = stage.login(name).keep_alive(wish).open()?;
        let told = client.connack.properties.as_properties().server_keep_alive();
        ensure(
            told == Some(secs) || told.is_none() && wish == secs,
            "the same for each",
            format!("{told:?}"),
        )?;
        clients.push((client, Instant::now()));
    }
    let due = Duration::from_millis(u64::from(secs) * 1500);
    for (mut client, start) in clients {
        client.expect_close(0x8D, &[])?;
        let took = start.elapsed() + Duration::from_millis(50);
        ensure(
            took >= due && took < due + stage.timer_slack(),
            format!("a close after {due:?}"),
            format!("{took:?}"),
        )?;
    }
    Ok(())
}

/// Before 5.0 nothing can replace the wish: CONNACK 0x02, session present 0 although there is one, and a close. A wish
/// within the limit is accepted.
fn longer_keep_alive_is_refused(stage: &Stage<'_>) -> Check {
    let Some(secs) = server_keep_alive(stage)? else { return not_announced("a Server Keep Alive") };
    let kept = stage.login("client").keep();
    kept.clone().keep_alive(secs).open()?.disconnect();
    for wish in [secs.saturating_add(1), 0] {
        kept.clone().keep_alive(wish).knock()?.expect_refusal(0x85, &[], Some(2))?;
    }
    kept.keep_alive(secs).open_with_session(true).map(drop)
}

/// An id of 65,535 bytes, where the broker does not take it: refused by code, and a short one is accepted.
fn longer_client_id_is_refused(stage: &Stage<'_>) -> Check {
    let mut client = stage.login("client").id(&"x".repeat(65_535)).knock()?;
    let refusal = if stage.v5() { 0x85 } else { 2 };
    match client.next()? {
        Arrival::ConnAck(connack) if connack.code == 0 => {
            client.disconnect();
            return not_announced("a limit for client ids (it accepts the longest)");
        }
        Arrival::ConnAck(connack) if connack.code == refusal => client.expect_end()?,
        other => return Err(client.differs(format_args!("CONNACK code 0x{refusal:02X}"), other)),
    }
    stage.connect("client")?.ping()
}

/// No aliases are allowed: alias 1 gets 0x94.
fn aliases_that_are_not_allowed_are_refused(stage: &Stage<'_>) -> Check {
    let mut client = stage.connect("client")?;
    if client.connack.properties.as_properties().topic_alias_maximum().unwrap_or(0) > 0 {
        return not_announced("that topic aliases are not allowed");
    }
    client.publish(&Message::new(stage.topic("a"), "x").with(Property::TopicAlias(1)));
    client.expect_close(0x94, &[0x82])
}

/// A 3.1.1 client knows of no window: a thousand QoS 1 messages in one write are all answered, in order.
fn open_publishes_beyond_the_window_are_answered(stage: &Stage<'_>) -> Check {
    let mut client = stage.connect("client")?;
    let burst: Vec<Message> =
        (1..=1000).map(|id| Message::new(stage.topic("a"), "x").qos(1).id(id)).collect();
    client.publish_all(&burst);
    for message in &burst {
        client.expect_puback(message.id)?;
    }
    client.quiet()
}

/// The Server Keep Alive that a wish of none gets, if the broker has one.
fn server_keep_alive(stage: &Stage<'_>) -> Check<Option<u16>> {
    let asked = stage.login("asks").version(Version::V5).keep_alive(0).open()?;
    Ok(asked.connack.properties.as_properties().server_keep_alive().filter(|secs| *secs > 0))
}

fn not_announced(what: &str) -> Check {
    Err(Failure::NotApplicable(format!("the broker does not announce {what}")))
}
