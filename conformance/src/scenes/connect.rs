//! CONNECT: what is accepted, what is refused, and how. Hard cases I08, I10, I15, I16 and I20.

use std::time::Duration;

use longwire_proto::Version;
use longwire_proto::property::Property;

use super::scenes;
use crate::craft::{self, connect_named, field, frame, join};
use crate::failure::{Check, Failure, ensure, same};
use crate::message::{Arrival, hex};
use crate::stage::Stage;

scenes! {
    both connect_in_single_bytes_is_accepted "I06" "3.1.4-4" "3.1.4-5";
    both connect_with_packets_behind_it "I08 U5-61" "3.1.4-4 3.2.0-1" "3.1.4-5 3.2.0-1";
    both first_packet_must_be_connect "I10" "3.1.0-1" "3.1.0-1 3.14.0-1";
    both accepted_connect_is_answered "" "3.1.4-4 3.1.3-5 7.1.1-1" "3.1.4-5 3.1.3-5 4.2.0-1";
    both every_field_of_connect_is_read "" "3.1.3-1 3.1.2-9 3.1.2-19 3.1.2-21" "3.1.3-1 3.1.2-9 3.1.2-17 3.1.2-19";
    v5 password_without_user_name_is_accepted "" "3.1.2-19";
    v311 password_without_user_name_is_refused "" "3.1.2-22 3.1.4-1";
    both reserved_connect_flag "I10" "3.1.2-3 3.1.4-1" "3.1.2-3 3.1.4-1 3.14.0-1";
    both wrong_flags_in_the_first_byte "I10" "2.2.2-2" "2.1.3-1";
    both will_flags_that_contradict_each_other "I10" "3.1.2-11 3.1.2-13 3.1.2-14 3.1.2-15" "3.1.2-11 3.1.2-12 3.1.2-13";
    both connect_cut_short "I10" "3.1.2-9 3.1.2-19 3.1.2-21 3.1.3-3 3.1.4-1" "3.1.2-9 3.1.2-17 3.1.2-19 3.1.3-1 3.1.3-3 3.1.4-1 2.2.2-1";
    both connect_with_bytes_left_over "I10" "3.1.2-11 3.1.2-18 3.1.2-20 3.1.4-1" "3.1.2-16 3.1.2-18 3.1.4-1";
    both text_in_connect_that_is_not_utf_8 "I20" "1.5.3-1 1.5.3-2 3.1.3-4 3.1.3-10 3.1.3-11" "1.5.4-1 1.5.4-2 3.1.3-4 3.1.3-11 3.1.3-12";
    both will_topic_with_wildcards_or_empty "" "3.1.3-10 4.7.1-1" "3.1.3-11 4.7.0-1";
    both wrong_protocol_names "I15" "3.1.2-1" "3.1.2-1";
    v311 unknown_levels_below_5 "I15" "3.1.2-2 3.2.2-5";
    v5 unknown_levels_above_5 "I15" "3.1.2-2 3.2.2-7";
    v5 repeated_property_in_connect "I01 I10 U5-06" "3.1.4-1";
    v5 repeated_property_in_a_will "I01 U5-06" "3.1.4-1";
    v5 forbidden_values_in_connect "I02 I03 U5-08 U5-09 U5-10 U5-11 U5-12 U5-14" "3.1.4-1 3.2.2-7 3.2.2-8";
    v5 unknown_properties_in_connect "U5-03 U5-05" "3.1.4-1 2.2.2-1";
    v5 unsupported_authentication_method "I16" "4.12.0-1 3.2.2-6 3.2.2-7";
    both client_ids_of_every_kind "I20 U5-62" "3.1.3-2 3.1.3-5" "3.1.3-2 3.1.3-5";
    v5 announced_capabilities_are_kept "" "3.2.2-1 3.2.2-8 3.2.2-9";
}

/// A CONNECT that comes byte by byte is as good as any.
fn connect_in_single_bytes_is_accepted(stage: &Stage<'_>) -> Check {
    let mut client = stage.dial("client")?;
    for byte in stage.login("client").bytes() {
        client.raw("one byte", &[byte]);
        std::thread::sleep(Duration::from_millis(2));
    }
    client.expect_connack()?;
    client.ping()
}

/// CONNECT, SUBSCRIBE and PUBLISH in one segment: CONNACK first, then everything works.
fn connect_with_packets_behind_it(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut client = stage.dial("client")?;
    let bytes = join(&[
        &stage.login("client").bytes(),
        &craft::subscribe(stage.version, &[], topic.as_bytes(), 1),
        &craft::publish(stage.version, 2, topic.as_bytes(), Some(5), &[], b"x"),
    ]);
    client.raw("CONNECT, SUBSCRIBE and PUBLISH at once", &bytes);
    client.expect_connack()?;
    client.wait("SUBACK id 1 code 01", |arrival| match arrival {
        Arrival::SubAck(grants) if grants.id == 1 && grants.codes == [1] => Some(()),
        _ => None,
    })?;
    client.expect_puback(5)?;
    client.take_of("x")?;
    client.quiet()
}

/// Anything but CONNECT first: closed without a packet.
fn first_packet_must_be_connect(stage: &Stage<'_>) -> Check {
    for bytes in [
        &craft::publish(stage.version, 0, b"a", None, &[], b"x")[..],
        &craft::subscribe(stage.version, &[], b"a", 0),
        &[0xC0, 0],
        &[0xE0, 0],
        &[0xF0, 0],
        &[0x20, 2, 0, 0],
        &[0x00, 0],
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        &[0x16, 3, 1, 0, 0xA5, 1, 0, 0],
    ] {
        let mut client = stage.dial("client")?;
        client.raw("something that is not CONNECT", bytes);
        client.expect_end()?;
    }
    Ok(())
}

/// Ids of 1 and 23 letters and digits are accepted.
fn accepted_connect_is_answered(stage: &Stage<'_>) -> Check {
    let first = if stage.v5() { "Z" } else { "z" };
    for rest in ["", "0123456789abcdefghijkl", "mnopqrstuvwxyABCDEFGHI", "JKLMNOPQRSTUVWXY"] {
        let mut client = stage.login("client").id(&format!("{first}{rest}")).open_with_session(false)?;
        client.ping()?;
        client.disconnect();
    }
    Ok(())
}

/// Will, user name and password all in their places: accepted, and the will is what was sent.
fn every_field_of_connect_is_read(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("will");
    let mut watcher = stage.subscriber("watcher", &topic, 1)?;
    let will_properties = craft::properties(stage.version, &[]);
    let payload = join(&[
        &field(stage.client_id("full")),
        &will_properties,
        &field(&topic),
        &field("gone"),
        &field("user"),
        &field("secret"),
    ]);
    let mut client = stage.dial("full")?;
    client.raw("CONNECT with every field", &craft::connect(stage.version, 0xCE, &[], &payload));
    client.expect_connack()?;
    client.cut();
    same("QoS", &watcher.take_of("gone")?.qos, &1)
}

/// 5.0 allows a lone password.
fn password_without_user_name_is_accepted(stage: &Stage<'_>) -> Check {
    let mut client = stage.dial("client")?;
    client.raw("CONNECT with a password only", &lone_password(stage));
    client.expect_connack()
}

/// 3.1.1 does not.
fn password_without_user_name_is_refused(stage: &Stage<'_>) -> Check {
    refused(stage, "CONNECT with a password only", &lone_password(stage), 0x81, &[], None)
}

fn lone_password(stage: &Stage<'_>) -> Vec<u8> {
    craft::connect(stage.version, 0x42, &[], &join(&[&field(stage.client_id("client")), &field("secret")]))
}

/// Flag bit 0: 0x81, before 5.0 just a close.
fn reserved_connect_flag(stage: &Stage<'_>) -> Check {
    let packet = craft::connect(stage.version, 0x03, &[], &field("x"));
    refused(stage, "CONNECT with the reserved flag", &packet, 0x81, &[], None)
}

/// CONNECT with flags in its first byte: 0x81, before 5.0 just a close.
fn wrong_flags_in_the_first_byte(stage: &Stage<'_>) -> Check {
    let mut packet = craft::connect(stage.version, 2, &[], &field("x"));
    for flags in 1..16 {
        packet[0] = 0x10 | flags;
        refused(stage, "CONNECT with flags", &packet, 0x81, &[], None)?;
    }
    Ok(())
}

/// Will QoS 3; will QoS or will retain without a will: 0x81, before 5.0 just a close.
fn will_flags_that_contradict_each_other(stage: &Stage<'_>) -> Check {
    let properties = craft::properties(stage.version, &[]);
    let with_will = join(&[&field("x"), &properties, &field("w"), &field("")]);
    let packet = craft::connect(stage.version, 0x1E, &[], &with_will);
    refused(stage, "CONNECT with will QoS 3", &packet, 0x81, &[], None)?;
    for flags in [0x0A, 0x12, 0x1A, 0x22, 0x2A] {
        let packet = craft::connect(stage.version, flags, &[], &field("x"));
        refused(stage, "CONNECT with flags of no will", &packet, 0x81, &[], None)?;
    }
    Ok(())
}

/// A CONNECT whose payload ends too early, at every byte: 0x81, before 5.0 just a close.
fn connect_cut_short(stage: &Stage<'_>) -> Check {
    let properties = craft::properties(stage.version, &[]);
    let payload =
        join(&[&field("x"), &properties, &field("w"), &field("p"), &field("user"), &field("secret")]);
    for len in 0..payload.len() {
        let packet = craft::connect(stage.version, 0xC6, &[], &payload[..len]);
        refused(stage, "CONNECT cut short", &packet, 0x81, &[], None)?;
    }
    let header = join(&[&field("MQTT"), &[stage.version as u8, 2, 0, 60]]);
    for len in 7..header.len() {
        refused(stage, "CONNECT without a whole header", &frame(0x10, &header[..len]), 0x81, &[], None)?;
    }
    Ok(())
}

/// Bytes behind the last field that the flags announce: 0x81, before 5.0 just a close.
fn connect_with_bytes_left_over(stage: &Stage<'_>) -> Check {
    let user = field("user");
    for (flags, payload) in [
        (0x02, join(&[&field("x"), &user])),
        (0x02, join(&[&field("x"), &[0]])),
        (0x82, join(&[&field("x"), &user, &field("secret")])),
        (0xC2, join(&[&field("x"), &user, &field("secret"), &[0, 0]])),
    ] {
        let packet = craft::connect(stage.version, flags, &[], &payload);
        refused(stage, "CONNECT with bytes left over", &packet, 0x81, &[], None)?;
    }
    Ok(())
}

/// Bad UTF-8 or U+0000 in client id, will topic or user name: 0x81, before 5.0 just a close.
fn text_in_connect_that_is_not_utf_8(stage: &Stage<'_>) -> Check {
    let properties = craft::properties(stage.version, &[]);
    for bad in [&b"\xFF\xFE"[..], b"\xED\xA0\x80", b"\xC0\x80", b"a\0b"] {
        let bad = field(bad);
        for (flags, payload) in [
            (0x02, bad.clone()),
            (0x06, join(&[&field("x"), &properties, &bad, &field("")])),
            (0x82, join(&[&field("x"), &bad])),
        ] {
            let packet = craft::connect(stage.version, flags, &[], &payload);
            refused(stage, "CONNECT with bad text", &packet, 0x81, &[0x85, 0x86, 0x90], None)?;
        }
    }
    Ok(())
}

/// A will topic that is no topic name: refused with 0x81 or 0x90, before 5.0 just a close.
fn will_topic_with_wildcards_or_empty(stage: &Stage<'_>) -> Check {
    let properties = craft::properties(stage.version, &[]);
    for topic in ["a/#", "+", ""] {
        let payload = join(&[&field("x"), &properties, &field(topic), &field("")]);
        let mut client = stage.dial("client")?;
        client.raw("CONNECT with a bad will topic", &craft::connect(stage.version, 0x06, &[], &payload));
        let arrival = client.next()?;
        match &arrival {
            Arrival::Closed if !stage.v5() || stage.settings.lenient => {}
            Arrival::ConnAck(connack) if stage.v5() && matches!(connack.code, 0x81 | 0x90) => {
                client.expect_end()?;
            }
            _ => return Err(client.differs("CONNACK code 0x81 or 0x90 (3.1.1: none), and a close", arrival)),
        }
    }
    Ok(())
}

/// Other protocol names: in 5.0 refused with 0x84, before with a close.
fn wrong_protocol_names(stage: &Stage<'_>) -> Check {
    let level = stage.version as u8;
    for name in ["mqtt", "MQTX", "MQTTX", "", "MQIsdp"] {
        let properties = craft::properties(stage.version, &[]);
        let packet = connect_named(name, level, 2, &properties, &field("x"));
        refused(stage, &format!("CONNECT with name {name:?}"), &packet, 0x84, &[0x81, 0x01], None)?;
    }
    Ok(())
}

/// Levels 0, 1, 2: CONNACK 0x01 in the form of 3.1.1, and a close.
fn unknown_levels_below_5(stage: &Stage<'_>) -> Check {
    for level in [0, 1, 2] {
        let packet = connect_named("MQTT", level, 2, &[], &field("x"));
        refused(stage, &format!("CONNECT with level {level}"), &packet, 0x84, &[], Some(1))?;
    }
    Ok(())
}

/// Levels 6, 7 and 127: CONNACK 0x84 in the form of 5.0, and a close.
fn unknown_levels_above_5(stage: &Stage<'_>) -> Check {
    for level in [6, 7, 127] {
        let mut client = stage.dial("client")?;
        if stage.settings.lenient {
            client.version = Version::V311;
        }
        let packet = connect_named("MQTT", level, 2, &[0], &field("x"));
        client.raw(&format!("CONNECT with level {level}"), &packet);
        client.expect_refusal(0x84, &[], Some(1))?;
    }
    Ok(())
}

/// Each single property of CONNECT twice: 0x82.
fn repeated_property_in_connect(stage: &Stage<'_>) -> Check {
    for property in [
        &[0x11, 0, 0, 0, 5][..],
        &[0x15, 0, 1, b'X'],
        &[0x17, 1],
        &[0x19, 1],
        &[0x21, 0, 5],
        &[0x22, 0, 5],
        &[0x27, 0, 1, 0, 0],
    ] {
        let packet = craft::connect(Version::V5, 2, &join(&[property, property]), &field("x"));
        refused(stage, "CONNECT with a repeated property", &packet, 0x82, &[0x81], None)?;
    }
    Ok(())
}

/// Each single property of a will twice: 0x82.
fn repeated_property_in_a_will(stage: &Stage<'_>) -> Check {
    for property in [
        &[0x01, 1][..],
        &[0x02, 0, 0, 0, 60],
        &[0x03, 0, 1, b't'],
        &[0x08, 0, 1, b'r'],
        &[0x09, 0, 1, b'c'],
        &[0x18, 0, 0, 0, 1],
    ] {
        let packet = connect_with_will_properties(&join(&[property, property]));
        refused(stage, "CONNECT with a repeated will property", &packet, 0x82, &[0x81], None)?;
    }
    Ok(())
}

/// Receive Maximum 0, Maximum Packet Size 0, booleans of 2, data without method, will format 2: 0x82.
fn forbidden_values_in_connect(stage: &Stage<'_>) -> Check {
    for property in [&[0x21, 0, 0][..], &[0x27, 0, 0, 0, 0], &[0x17, 2], &[0x19, 2], &[0x16, 0, 1, b'x']] {
        let packet = craft::connect(Version::V5, 2, property, &field("x"));
        refused(stage, "CONNECT with a forbidden value", &packet, 0x82, &[0x81], None)?;
    }
    let packet = connect_with_will_properties(&[0x01, 2]);
    refused(stage, "CONNECT with will format 2", &packet, 0x82, &[0x81], None)
}

/// Unknown properties, those of other packets, cut ones, and no property length at all: 0x81.
fn unknown_properties_in_connect(stage: &Stage<'_>) -> Check {
    for property in [&[0x7F, 0][..], &[0x23, 0, 1], &[0x18, 0, 0, 0, 1], &[0x0B, 1], &[0x11, 0, 0]] {
        let packet = craft::connect(Version::V5, 2, property, &field("x"));
        refused(stage, "CONNECT with a bad property", &packet, 0x81, &[0x82], None)?;
    }
    for property in [&[0x7F, 0][..], &[0x11, 0, 0, 0, 5], &[0x23, 0, 1]] {
        let packet = connect_with_will_properties(property);
        refused(stage, "CONNECT with a bad will property", &packet, 0x81, &[0x82], None)?;
    }
    let packet = connect_named("MQTT", 5, 2, &[100], &field("x"));
    refused(stage, "CONNECT with a property length beyond it", &packet, 0x81, &[0x82], None)
}

/// A method that nobody knows: 0x8C, session present 0, close.
fn unsupported_authentication_method(stage: &Stage<'_>) -> Check {
    let kept = stage.login("client").keep();
    kept.open()?.disconnect();
    let mut client = kept.clone().with(Property::AuthenticationMethod("NO-SUCH-METHOD")).knock()?;
    client.expect_refusal(0x8C, &[0x87], None)?;
    kept.open_with_session(true).map(drop)
}

/// Long ids, other alphabets, wildcards and slashes: used as they are, or refused by code.
fn client_ids_of_every_kind(stage: &Stage<'_>) -> Check {
    let tag = stage.tag();
    let long = format!("{tag}{}", "x".repeat(65_535 - tag.len()));
    for id in [
        format!("{tag}-caf\u{e9} \u{1f980}"),
        format!("{tag}/+/#"),
        format!("{tag}{}", "y".repeat(200)),
        long,
    ] {
        let login = stage.login("client").id(&id).keep();
        let mut client = login.knock()?;
        match client.next()? {
            Arrival::ConnAck(connack) if connack.code == 0 => {
                client.cut();
                login.open_with_session(true)?.disconnect();
            }
            Arrival::ConnAck(connack) if matches!(connack.code, 0x85 | 0x02) => client.expect_end()?,
            other => return Err(client.differs("CONNACK code 0x00 or a refusal of the id", other)),
        }
    }
    Ok(())
}

/// CONNACK says nothing that it may not say, and what it announces as missing is refused.
fn announced_capabilities_are_kept(stage: &Stage<'_>) -> Check {
    let client = stage.connect("client")?;
    let props = client.connack.properties.as_properties();
    ensure(props.maximum_qos().is_none_or(|qos| qos < 2), "Maximum QoS 0 or 1, or absent", "2")?;
    ensure(props.receive_maximum() != Some(0), "Receive Maximum above 0", "0")?;
    ensure(props.maximum_packet_size() != Some(0), "Maximum Packet Size above 0", "0")?;
    ensure(props.assigned_client_identifier().is_none(), "no assigned id for a client that has one", "one")
}

fn connect_with_will_properties(raw: &[u8]) -> Vec<u8> {
    let will = join(&[&craft::properties(Version::V5, raw), &field("w"), &field("")]);
    craft::connect(Version::V5, 6, &[], &join(&[&field("x"), &will]))
}

/// A fresh connection that sends this CONNECT is refused with the code of its version.
fn refused(
    stage: &Stage<'_>,
    what: &str,
    packet: &[u8],
    code_v5: u8,
    also: &[u8],
    code_v311: Option<u8>,
) -> Check {
    let mut client = stage.dial("client")?;
    client.raw(what, packet);
    client.expect_refusal(code_v5, also, code_v311).map_err(|failure| match failure {
        Failure::Differs { expected, came } => {
            Failure::Differs { expected: format!("{expected}, for {what}: {}", hex(packet)), came }
        }
        other => other,
    })
}
