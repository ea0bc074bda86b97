//! Wills: when they are published, with what, and when not. Hard cases D.

use std::time::Duration;

use longwire_proto::ReasonCode;
use longwire_proto::property::Property;

use super::scenes;
use crate::craft;
use crate::failure::{Check, ensure, same};
use crate::message::Message;
use crate::peer::Peer;
use crate::stage::{Login, Stage};

scenes! {
    both takeover_publishes_a_will_without_delay "D01" "3.1.2-8 3.1.4-2" "3.1.2-8 3.1.4-3";
    v5 takeover_that_resumes_cancels_a_delayed_will "D02" "3.1.3-9 3.1.2-8";
    v5 clean_takeover_publishes_a_delayed_will_at_once "D03" "3.1.2-8";
    v5 takeover_of_a_session_without_expiry_publishes_at_once "D04" "3.1.2-8";
    v5 delayed_will_fires_at_the_end_of_its_session "D05" "3.1.2-8";
    v5 delayed_will_fires_when_its_delay_has_passed "D05" "3.1.2-8";
    v5 delay_without_session_expiry_is_no_delay "D05" "3.1.2-8";
    v5 return_within_the_delay_replaces_the_will "D06" "3.1.3-9 3.1.2-10";
    v5 return_within_the_delay_without_a_will_leaves_none "D06" "3.1.3-9 3.1.2-10";
    both proper_disconnect_discards_the_will "D08" "3.14.4-3 3.1.2-10" "3.14.4-3 3.1.2-10";
    v5 disconnect_with_other_codes_publishes_the_will "D08 U5-40" "3.14.4-3";
    both malformed_disconnect_publishes_the_will "D09 U5-40" "3.14.1-1 3.1.2-8" "3.14.1-1 3.14.4-3";
    v5 disconnect_with_a_code_of_the_server_publishes_the_will "D09 U5-63" "3.14.2-1 3.14.4-3";
    both empty_retained_will_clears_the_topic "D10" "3.1.2-17 3.3.1-10" "3.1.2-15 3.3.1-6";
    both will_to_a_topic_that_is_not_allowed_is_dropped "D11" "3.1.4-4" "3.1.4-5";
    both own_will_waits_for_the_own_session "D12" "3.1.2-8" "3.1.2-8";
    v5 own_will_respects_no_local "D12 F08" "3.8.3-3";
    v5 will_properties_travel_with_it "D13" "3.1.3-10 3.3.2-4 3.3.2-15 3.3.2-16 3.3.2-18 3.3.2-20";
    both refused_connect_has_no_will "D14 I08" "3.1.4-5 3.2.2-5" "3.1.2-30 3.1.4-6 3.2.2-7";
    both silence_beyond_the_keep_alive_publishes_the_will "D15 I13" "3.1.2-24 3.1.2-8" "3.1.2-22 3.2.2-22 3.1.2-8";
    v5 disconnect_that_ends_the_session_publishes_a_delayed_will "D17" "3.14.4-3";
    both cut_connection_publishes_the_will_once "U5-40" "3.1.2-8 3.1.2-9 3.1.2-10" "3.1.2-7 3.1.2-8 3.1.2-10";
    both end_right_behind_a_packet_publishes_the_will "U5-40" "3.1.2-8" "3.1.2-8";
    both reset_connection_publishes_the_will "U5-40" "3.1.2-8" "3.1.2-8";
    both will_waits_for_absent_subscribers "" "3.1.2-8 4.5.0-1" "3.1.2-8 4.5.0-1";
    both protocol_error_publishes_the_will "U5-40" "3.1.2-8 4.8.0-1" "3.1.2-8 4.13.1-1";
    both plain_will_is_not_retained "" "3.1.2-16" "3.1.2-14";
    both retained_will_is_retained "" "3.1.2-17" "3.1.2-15";
    both will_is_published_at_its_qos "" "3.1.2-9" "3.1.2-7";
    both client_without_will_publishes_none "" "3.1.2-12" "3.1.2-10";
}

/// Takeover, delay 0: the will is published at the takeover.
fn takeover_publishes_a_will_without_delay(stage: &Stage<'_>) -> Check {
    let mut watcher = watcher(stage)?;
    let _old = with_will(stage, 0).keep().open()?;
    let _new = stage.login("dev").keep().open_with_session(true)?;
    watcher.take_of("gone")?;
    watcher.quiet()
}

/// Takeover with Clean Start 0, expiry above 0, delay 1: no will, not later either.
fn takeover_that_resumes_cancels_a_delayed_will(stage: &Stage<'_>) -> Check {
    let mut watcher = watcher(stage)?;
    let _old = with_will(stage, 1).keep().open()?;
    let _new = stage.login("dev").keep().open_with_session(true)?;
    watcher.quiet_for(Duration::from_millis(2500))
}

/// Takeover with Clean Start 1, delay 30: the old session ends, so the will is published at once.
fn clean_takeover_publishes_a_delayed_will_at_once(stage: &Stage<'_>) -> Check {
    let mut watcher = watcher(stage)?;
    let _old = with_will(stage, 30).keep().open()?;
    let _new = stage.login("dev").open_with_session(false)?;
    watcher.take_of("gone")?;
    watcher.quiet()
}

/// Takeover with Clean Start 0 of a session with expiry 0, delay 30: it ended, so the will is published at once.
fn takeover_of_a_session_without_expiry_publishes_at_once(stage: &Stage<'_>) -> Check {
    let mut watcher = watcher(stage)?;
    let _old = with_will(stage, 30).clean(false).open()?;
    let _new = stage.login("dev").clean(false).open_with_session(false)?;
    watcher.take_of("gone")?;
    watcher.quiet()
}

/// Delay 30, session expiry 1: the will is published when the session ends.
fn delayed_will_fires_at_the_end_of_its_session(stage: &Stage<'_>) -> Check {
    let mut watcher = watcher(stage)?;
    with_will(stage, 30).clean(false).expiry(1).open()?.cut();
    watcher.quiet_for(Duration::from_millis(600))?;
    watcher.take_of("gone").map(drop)
}

/// Delay 1, session expiry 300: nothing at once, the will a second later.
fn delayed_will_fires_when_its_delay_has_passed(stage: &Stage<'_>) -> Check {
    let mut watcher = watcher(stage)?;
    with_will(stage, 1).keep().open()?.cut();
    watcher.quiet_for(Duration::from_millis(600))?;
    watcher.take_of("gone")?;
    watcher.quiet()
}

/// Delay 30, session expiry 0: the session ends with the connection, so the will is published at once.
fn delay_without_session_expiry_is_no_delay(stage: &Stage<'_>) -> Check {
    let mut watcher = watcher(stage)?;
    with_will(stage, 30).open()?.cut();
    watcher.take_of("gone").map(drop)
}

/// A return within the delay with a new will: the old one never fires, the new one does.
fn return_within_the_delay_replaces_the_will(stage: &Stage<'_>) -> Check {
    let mut watcher = watcher(stage)?;
    with_will(stage, 1).keep().open()?.cut();
    let new = stage.login("dev").keep().will(Message::new(will_topic(stage), "new").qos(1));
    let device = new.open_with_session(true)?;
    watcher.quiet_for(Duration::from_millis(2200))?;
    device.cut();
    watcher.take_of("new")?;
    watcher.quiet()
}

/// A return within the delay without a will: nothing fires, not after its end either.
fn return_within_the_delay_without_a_will_leaves_none(stage: &Stage<'_>) -> Check {
    let mut watcher = watcher(stage)?;
    with_will(stage, 1).keep().open()?.cut();
    stage.login("dev").keep().open_with_session(true)?.cut();
    watcher.quiet_for(Duration::from_millis(2200))
}

/// DISCONNECT, in 5.0 with 0x00: no will.
fn proper_disconnect_discards_the_will(stage: &Stage<'_>) -> Check {
    let mut watcher = watcher(stage)?;
    with_will(stage, 0).open()?.disconnect();
    watcher.quiet()
}

/// DISCONNECT with 0x04 or a code from 0x80: the will is published.
fn disconnect_with_other_codes_publishes_the_will(stage: &Stage<'_>) -> Check {
    let mut watcher = watcher(stage)?;
    let codes = [
        ReasonCode::DisconnectWithWill,
        ReasonCode::UnspecifiedError,
        ReasonCode::MalformedPacket,
        ReasonCode::ImplementationSpecificError,
        ReasonCode::AdministrativeAction,
    ];
    for code in codes {
        with_will(stage, 0).open()?.leave(code, &[]);
        watcher.take_of("gone")?;
    }
    watcher.quiet()
}

/// DISCONNECT with wrong flags: 0x81, close, and the will is published.
fn malformed_disconnect_publishes_the_will(stage: &Stage<'_>) -> Check {
    let mut watcher = watcher(stage)?;
    let mut device = with_will(stage, 0).open()?;
    device.raw("DISCONNECT with flags 2", &[0xE2, 0]);
    device.expect_close(0x81, &[])?;
    watcher.take_of("gone").map(drop)
}

/// DISCONNECT with a code that only servers send: 0x82, close, and the will is published.
fn disconnect_with_a_code_of_the_server_publishes_the_will(stage: &Stage<'_>) -> Check {
    let mut watcher = watcher(stage)?;
    for code in [0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2] {
        let mut device = with_will(stage, 0).open()?;
        device.raw("DISCONNECT with a code of servers", &[0xE0, 2, code, 0]);
        device.expect_close(0x82, &[0x81])?;
        watcher.take_of("gone")?;
    }
    watcher.quiet()
}

/// A retained will without payload clears the retained message of its topic.
fn empty_retained_will_clears_the_topic(stage: &Stage<'_>) -> Check {
    let topic = will_topic(stage);
    stage.connect("pub")?.deliver(&Message::new(&topic, "kept").qos(1).retain())?;
    let mut watcher = watcher(stage)?;
    watcher.take_of("kept")?;
    stage.login("dev").will(Message::new(&topic, "").retain()).open()?.cut();
    watcher.take_of("")?;
    stage.subscriber("late", &topic, 1)?.quiet()
}

/// A will to a topic that is not for clients: the CONNECT is accepted, the will reaches nobody, the broker goes on.
fn will_to_a_topic_that_is_not_allowed_is_dropped(stage: &Stage<'_>) -> Check {
    let system = format!("$SYS/{}", stage.topic("will"));
    let mut watcher = stage.subscriber("watcher", &stage.topic("#"), 2)?;
    watcher.subscribe(&system, 2)?;
    for topic in [system, stage.shared("g", "will")] {
        for retain in [false, true] {
            let will = Message { retain, ..Message::new(&topic, "gone").qos(1) };
            stage.login("dev").will(will).open()?.cut();
        }
        stage.subscriber("late", &stage.topic("#"), 2)?.quiet()?;
    }
    watcher.quiet()
}

/// A kept session that subscribes to its own will finds it when it returns.
fn own_will_waits_for_the_own_session(stage: &Stage<'_>) -> Check {
    let login = with_will(stage, 0).keep();
    let mut device = login.open()?;
    device.subscribe(&will_topic(stage), 1)?;
    device.cut();
    let mut device = login.open_with_session(true)?;
    device.take_of("gone").map(drop)
}

/// The same with No Local: the own will does not come back.
fn own_will_respects_no_local(stage: &Stage<'_>) -> Check {
    let login = with_will(stage, 0).keep();
    let mut device = login.open()?;
    let mut options = crate::peer::options(1);
    options.no_local = true;
    device.subscribe_one(&will_topic(stage), options, &[])?;
    let mut watcher = watcher(stage)?;
    device.cut();
    watcher.take_of("gone")?;
    login.open_with_session(true)?.quiet()
}

/// All properties of a will arrive, user properties in order, without the delay; its expiry starts now.
fn will_properties_travel_with_it(stage: &Stage<'_>) -> Check {
    let mut watcher = watcher(stage)?;
    let mut will = Message::new(will_topic(stage), "gone")
        .qos(1)
        .with(Property::WillDelayInterval(2))
        .with(Property::PayloadFormatIndicator(true))
        .with(Property::MessageExpiryInterval(60))
        .with(Property::ContentType("text/plain"))
        .with(Property::ResponseTopic("answer/here"))
        .with(Property::CorrelationData(&[0, 1, 0]));
    let pairs = [("b", "2"), ("a", "1"), ("b", "2"), ("", ""), ("a", "0")];
    for (name, value) in pairs {
        will = will.with(Property::UserProperty(name, value));
    }
    stage.login("dev").keep().will(will).open()?.cut();
    let came = watcher.take_of("gone")?;
    let props = came.props();
    same("payload format", &props.payload_format_indicator(), &Some(true))?;
    same("expiry that starts at publication", &props.message_expiry_interval(), &Some(60))?;
    same("content type", &props.content_type(), &Some("text/plain"))?;
    same("response topic", &props.response_topic(), &Some("answer/here"))?;
    same("correlation data", &props.correlation_data(), &Some(&[0, 1, 0][..]))?;
    same("user properties", &props.user_properties().collect::<Vec<_>>(), &pairs.to_vec())?;
    let delay = props.iter().any(|property| matches!(property, Property::WillDelayInterval(_)));
    ensure(!delay, "no will delay in a PUBLISH", &came)
}

/// A CONNECT that was refused never fires its will, and nothing behind it is delivered or retained.
fn refused_connect_has_no_will(stage: &Stage<'_>) -> Check {
    let mut watcher = watcher(stage)?;
    let will = Message::new(will_topic(stage), "gone").qos(1);
    let login = stage.login("dev").will(will);
    let mut refused = if stage.v5() {
        login.with(Property::AuthenticationMethod("NO-SUCH-METHOD")).knock()?
    } else {
        login.id("").clean(false).knock()?
    };
    refused.publish(&Message::new(will_topic(stage), "pipelined").retain());
    refused.expect_refusal(0x8C, &[0x87], Some(2))?;
    watcher.quiet()?;
    stage.subscriber("late", &will_topic(stage), 1)?.quiet()
}

/// Keep-alive 1 and silence: closed 1.5 s later or soon after that, in 5.0 with 0x8D, and the will is published.
fn silence_beyond_the_keep_alive_publishes_the_will(stage: &Stage<'_>) -> Check {
    let mut watcher = watcher(stage)?;
    let mut device = with_will(stage, 0).keep_alive(1).open()?;
    let start = std::time::Instant::now();
    device.expect_close(0x8D, &[])?;
    let took = start.elapsed();
    let due = Duration::from_millis(1500);
    let in_time = took + Duration::from_millis(50) >= due && took < due + stage.timer_slack();
    ensure(
        in_time,
        "a close 1.5 s after the last packet or a little later",
        format!("a close after {took:?}"),
    )?;
    watcher.take_of("gone").map(drop)
}

/// DISCONNECT 0x04 with expiry 0 and delay 30: the session ends now, and the will with it.
fn disconnect_that_ends_the_session_publishes_a_delayed_will(stage: &Stage<'_>) -> Check {
    let mut watcher = watcher(stage)?;
    let device = with_will(stage, 30).keep().open()?;
    device.leave(ReasonCode::DisconnectWithWill, &[Property::SessionExpiryInterval(0)]);
    watcher.take_of("gone").map(drop)
}

/// The connection breaks: the will once; after a return without a will and another break: none.
fn cut_connection_publishes_the_will_once(stage: &Stage<'_>) -> Check {
    let mut watcher = watcher(stage)?;
    with_will(stage, 0).keep().open()?.cut();
    watcher.take_of("gone")?;
    stage.login("dev").keep().open_with_session(true)?.cut();
    watcher.quiet()
}

/// A hundred times a packet and the end of the stream arrive together: the broker notices both at once.
fn end_right_behind_a_packet_publishes_the_will(stage: &Stage<'_>) -> Check {
    let mut watcher = watcher(stage)?;
    let topic = stage.topic("busy");
    for _ in 0..100 {
        let mut device = with_will(stage, 0).open()?;
        device.subscribe(&topic, 1)?;
        device.publish(&Message::new(&topic, "last words").qos(1).id(7));
        device.stop_sending();
        watcher.take_of("gone")?;
    }
    watcher.quiet()
}

/// The socket is dropped with unread data, which resets the connection: the will is published.
fn reset_connection_publishes_the_will(stage: &Stage<'_>) -> Check {
    let mut watcher = watcher(stage)?;
    let topic = stage.topic("unread");
    for _ in 0..10 {
        let mut device = with_will(stage, 0).open()?;
        device.subscribe(&topic, 0)?;
        device.publish(&Message::new(&topic, "to myself"));
        stage.sleep_ms(20);
        drop(device);
        watcher.take_of("gone")?;
    }
    watcher.quiet()
}

/// A will of QoS 1 waits for a session that is away when it fires.
fn will_waits_for_absent_subscribers(stage: &Stage<'_>) -> Check {
    let kept = stage.login("away").keep();
    let mut away = kept.open()?;
    away.subscribe(&will_topic(stage), 1)?;
    away.cut();
    with_will(stage, 0).open()?.cut();
    let mut away = kept.open_with_session(true)?;
    away.take_of("gone")?;
    away.quiet()
}

/// A malformed packet closes the link, and the will is published.
fn protocol_error_publishes_the_will(stage: &Stage<'_>) -> Check {
    let mut watcher = watcher(stage)?;
    let mut device = with_will(stage, 0).open()?;
    device.raw("PUBLISH QoS 3", &craft::publish(stage.version, 6, b"a", Some(1), &[], b""));
    device.expect_close(0x81, &[])?;
    watcher.take_of("gone").map(drop)
}

/// Will retain 0: a late subscriber gets nothing.
fn plain_will_is_not_retained(stage: &Stage<'_>) -> Check {
    let mut watcher = watcher(stage)?;
    with_will(stage, 0).open()?.cut();
    let came = watcher.take_of("gone")?;
    ensure(!came.retain, "RETAIN 0", &came)?;
    stage.subscriber("late", &will_topic(stage), 1)?.quiet()
}

/// Will retain 1: live subscribers get RETAIN 0, late ones RETAIN 1.
fn retained_will_is_retained(stage: &Stage<'_>) -> Check {
    let mut watcher = watcher(stage)?;
    let will = Message::new(will_topic(stage), "gone").qos(1).retain();
    stage.login("dev").will(will).open()?.cut();
    let live = watcher.take_of("gone")?;
    ensure(!live.retain, "RETAIN 0 for an established subscription", &live)?;
    let late = stage.subscriber("late", &will_topic(stage), 1)?.take_of("gone")?;
    ensure(late.retain, "RETAIN 1 for a new subscription", &late)
}

/// Wills of QoS 0, 1 and 2 arrive at QoS 0, 1 and 2.
fn will_is_published_at_its_qos(stage: &Stage<'_>) -> Check {
    let mut watcher = watcher(stage)?;
    for qos in 0..=2 {
        let will = Message::new(will_topic(stage), "gone").qos(qos);
        stage.login("dev").will(will).open()?.cut();
        same("QoS", &watcher.take_of("gone")?.qos, &qos)?;
    }
    Ok(())
}

/// A client without a will breaks off: nothing below this scene's topics.
fn client_without_will_publishes_none(stage: &Stage<'_>) -> Check {
    let mut watcher = stage.subscriber("watcher", &stage.topic("#"), 2)?;
    stage.connect("dev")?.cut();
    watcher.quiet()
}

fn will_topic(stage: &Stage<'_>) -> String {
    stage.topic("will")
}

/// Sees every will of this scene, at its own QoS.
fn watcher(stage: &Stage<'_>) -> Check<Peer> {
    stage.subscriber("watcher", &will_topic(stage), 2)
}

/// The device of this scene with the will "gone" at QoS 1 and this delay in seconds.
fn with_will<'a>(stage: &'a Stage<'_>, delay_secs: u32) -> Login<'a> {
    let will = Message::new(will_topic(stage), "gone").qos(1);
    let will = if delay_secs > 0 { will.with(Property::WillDelayInterval(delay_secs)) } else { will };
    stage.login("dev").will(will)
}
