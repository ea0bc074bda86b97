//! Every string that a client sends, with every kind of text that is not UTF-8, and with texts that only look wrong.

use longwire_proto::Version;

use super::answer::{Answer, Reply, granted, replied, stays};
use super::carrier::{CARRIERS, Carrier};
use super::row::{RUN, Rule, Table};
use crate::craft::{
    connect, field, frame, join, properties, property, publish, subscribe, unsubscribe, user_property,
};

/// A packet of this version with this text in it.
type Packet = Box<dyn Fn(Version, &[u8]) -> Vec<u8>>;

/// A string in a packet of a client.
struct Place {
    name: String,
    /// The statements that say of this string that it is text, where the version has it.
    statement_v311: Option<&'static str>,
    statement_v5: &'static str,
    /// The packet with this text there.
    packet: Packet,
    /// What answers bad text there.
    refused: Answer,
    /// What answers good text there.
    accepted: Option<Answer>,
    kind: Kind,
}

/// What a string is good for.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// A topic name or filter.
    Topic,
    /// A client id or user name. In these and in topics our broker wants no control characters.
    Name,
    /// Anything else.
    Text,
}

const NOT_UTF_8: [(&str, &[u8]); 19] = [
    ("high_surrogate", b"\xED\xA0\x80"),
    ("low_surrogate", b"\xED\xBF\xBF"),
    ("surrogate_pair", b"\xED\xA0\xBD\xED\xB8\x80"),
    ("overlong_zero", b"\xC0\x80"),
    ("overlong_slash", b"\xC0\xAF"),
    ("overlong_slash_in_three_bytes", b"\xE0\x80\xAF"),
    ("overlong_slash_in_four_bytes", b"\xF0\x80\x80\xAF"),
    ("byte_fe", b"\xFE"),
    ("byte_ff", b"a\xFF"),
    ("stray_continuation", b"\x80"),
    ("stray_continuation_inside", b"a\xBFb"),
    ("missing_continuation", b"\xC3"),
    ("missing_continuation_inside", b"\xC3(b"),
    ("character_cut_in_three_bytes", b"\xE2\x82"),
    ("character_cut_in_four_bytes", b"\xF0\x9F\xA6"),
    ("character_above_10ffff", b"\xF4\x90\x80\x80"),
    ("lead_byte_f5", b"\xF5\x80\x80\x80"),
    ("form_of_five_bytes", b"\xF8\x88\x80\x80\x80"),
    ("latin_1", b"caf\xE9"),
];

const WITH_ZERO: [(&str, &[u8]); 4] =
    [("zero", b"\0"), ("zero_at_the_start", b"\0a"), ("zero_at_the_end", b"a\0"), ("zero_inside", b"a/\0/b")];

const DISCOURAGED: [(&str, &str); 13] = [
    ("control_01", "\u{1}"),
    ("tab", "a\tb"),
    ("line_feed", "a\nb"),
    ("escape", "\u{1b}[2J"),
    ("control_1f", "a\u{1f}"),
    ("delete", "\u{7f}"),
    ("control_80", "\u{80}"),
    ("control_9f", "a\u{9f}"),
    ("non_character_fdd0", "\u{fdd0}"),
    ("non_character_fdef", "\u{fdef}"),
    ("non_character_ffff", "\u{ffff}"),
    ("non_character_1fffe", "\u{1fffe}"),
    ("non_character_10ffff", "\u{10ffff}"),
];

const BYTE_ORDER_MARKS: [(&str, &str); 3] = [
    ("byte_order_mark", "\u{feff}"),
    ("byte_order_mark_at_the_start", "\u{feff}a"),
    ("byte_order_mark_inside", "a\u{feff}b"),
];

const UNUSUAL: [(&str, &str); 12] = [
    ("replacement_character", "\u{fffd}"),
    ("character_of_two_bytes", "caf\u{e9}"),
    ("character_of_three_bytes", "\u{20ac}"),
    ("character_of_four_bytes", "\u{1f980}"),
    ("character_before_the_surrogates", "\u{d7ff}"),
    ("character_behind_the_surrogates", "\u{e000}"),
    ("highest_character", "\u{10fffd}"),
    ("space", " "),
    ("no_break_space", "\u{a0}"),
    ("tilde", "~"),
    ("combining_accent", "e\u{301}"),
    ("change_of_direction", "\u{202e}a"),
];

pub(super) fn rows(table: &mut Table) {
    for place in places() {
        not_text(table, &place);
        discouraged(table, &place);
        unusual(table, &place);
    }
}

/// What is not UTF-8, and what contains U+0000.
fn not_text(table: &mut Table, place: &Place) {
    let zero = if place.kind == Kind::Topic {
        ("1.5.3-2 4.7.3-2", "1.5.4-2 4.7.3-2", &WITH_ZERO[..])
    } else {
        ("1.5.3-2", "1.5.4-2", &WITH_ZERO[..])
    };
    for (v311, v5, texts) in [("1.5.3-1", "1.5.4-1", &NOT_UTF_8[..]), zero] {
        let v311 = format!("{v311} {}", place.statement_v311.unwrap_or_default());
        let v5 = format!("{v5} {}", place.statement_v5);
        let mut rule = table.rule("", v311, v5, place.refused.clone()).also(&[0x85, 0x86, 0x8F, 0x90, 0x99]);
        for (what, text) in texts {
            place.row(&mut rule, what, text);
        }
    }
}

/// Control characters and non-characters: not in names, welcome elsewhere.
fn discouraged(table: &mut Table, place: &Place) {
    let welcome = place.kind == Kind::Text;
    let answer = if welcome { place.accepted.clone() } else { Some(place.refused.clone()) };
    let Some(answer) = answer else { return };
    let mut rule = table.rule("U3-10", "1.5.3-1", "1.5.4-1", answer).by_choice();
    for (what, text) in DISCOURAGED {
        place.row(&mut rule, what, text.as_bytes());
    }
}

/// Text that a careless check would refuse or change.
fn unusual(table: &mut Table, place: &Place) {
    let Some(accepted) = place.accepted.clone() else { return };
    for (statement_v311, statement_v5, texts) in
        [("1.5.3-1", "1.5.4-1", &UNUSUAL[..]), ("1.5.3-3", "1.5.4-3", &BYTE_ORDER_MARKS)]
    {
        let mut rule = table.rule("", statement_v311, statement_v5, accepted.clone());
        for (what, text) in texts {
            place.row(&mut rule, what, format!("{text}{RUN}").as_bytes());
        }
    }
}

impl Place {
    fn row(&self, rule: &mut Rule<'_>, what: &str, text: &[u8]) {
        let name = format!("{}_with_{what}", self.name);
        let packet = |version| (self.packet)(version, text);
        if self.statement_v311.is_some() {
            rule.both(name, packet);
        } else {
            rule.v5(name, packet(Version::V5));
        }
    }
}

/// Every string of every packet of a client.
fn places() -> Vec<Place> {
    let mut places = fields();
    for carrier in CARRIERS {
        places.extend(strings_of(carrier));
    }
    places
}

/// Strings that stand outside property sets, in both versions.
fn fields() -> Vec<Place> {
    use Kind::{Name, Topic};
    let no_subscription = replied(Reply::UnsubAck(1, vec![0x11]));
    vec![
        place("client_id", Name, ["3.1.3-4", "3.1.3-4"], Answer::Accepted, |v, text| {
            connect(v, 0x02, &[], &field(text))
        }),
        place("will_topic", Topic, ["3.1.3-10", "3.1.3-11"], Answer::Accepted, |v, text| {
            connect(v, 0x06, &[], &join(&[&field(""), &properties(v, &[]), &field(text), &field("")]))
        }),
        place("user_name", Name, ["3.1.3-11", "3.1.3-12"], Answer::Accepted, |v, text| {
            connect(v, 0x82, &[], &join(&[&field(""), &field(text)]))
        }),
        place("topic", Topic, ["3.3.2-1", "3.3.2-1"], stays(), |v, text| publish(v, 0, text, None, &[], "x")),
        place("topic_at_qos_1", Topic, ["3.3.2-1", "3.3.2-1"], replied(Reply::PubAck(1, 0)), |v, text| {
            publish(v, 2, text, Some(1), &[], "x")
        }),
        place("filter", Topic, ["3.8.3-1", "3.8.3-1"], granted(&[0]), |v, text| subscribe(v, &[], text, 0)),
        place("second_filter", Topic, ["3.8.3-1", "3.8.3-1"], granted(&[1, 0]), |v, text| {
            let filters = join(&[&field("malformed/a"), &[1], &field(text), &[0]]);
            frame(0x82, &join(&[&[0, 1], &properties(v, &[]), &filters]))
        }),
        place("share_name", Topic, ["3.8.3-1", "3.8.3-1"], granted(&[0]), |v, text| {
            subscribe(v, &[], join(&[b"$share/", text, b"/malformed"]), 0)
        }),
        place("unsubscribed_filter", Topic, ["3.10.3-1", "3.10.3-1"], no_subscription, |v, text| {
            unsubscribe(v, &[], text)
        }),
    ]
}

/// A string that both versions have; its statements are those of 3.1.1 and of 5.0.
fn place(
    name: &str,
    kind: Kind,
    statements: [&'static str; 2],
    accepted: Answer,
    packet: impl Fn(Version, &[u8]) -> Vec<u8> + 'static,
) -> Place {
    let is_in_connect = matches!(accepted, Answer::Accepted);
    Place {
        name: name.to_owned(),
        statement_v311: Some(statements[0]),
        statement_v5: statements[1],
        packet: Box::new(packet),
        refused: if is_in_connect { Answer::Refused(0x81) } else { Answer::Closed(0x81) },
        accepted: Some(accepted),
        kind,
    }
}

/// The string properties that may stand in a packet.
fn strings_of(carrier: Carrier) -> Vec<Place> {
    use Carrier::{Auth, Connect, Disconnect, PubAck, PubComp, PubRec, PubRel, Publish, Will};
    let in_carrier = |name: &str, statement_v5, with: fn(&[u8]) -> Vec<u8>| Place {
        name: format!("{name}_of_{}", carrier.name()),
        statement_v311: None,
        statement_v5,
        packet: Box::new(move |_, text| carrier.with(&with(text))),
        refused: carrier.refused(0x81),
        accepted: carrier.accepted(),
        kind: if name == "response_topic" { Kind::Topic } else { Kind::Text },
    };
    let mut places = vec![
        in_carrier("user_property_name", "1.5.7-1", |text| user_property(text, "v")),
        in_carrier("user_property_value", "1.5.7-1", |text| user_property("k", text)),
    ];
    if matches!(carrier, Publish | Will) {
        places.push(in_carrier("content_type", "3.3.2-19", |text| property(0x03, text)));
        places.push(in_carrier("response_topic", "3.3.2-13", |text| property(0x08, text)));
    }
    if matches!(carrier, PubAck | PubRec | PubRel | PubComp | Disconnect | Auth) {
        places.push(in_carrier("reason", "4.13.1-1", |text| property(0x1F, text)));
    }
    if carrier == Connect {
        let method = in_carrier("method", "3.1.4-1", |text| property(0x15, text));
        places.push(Place { accepted: Some(Answer::Refused(0x8C)), ..method });
    }
    if carrier == Auth {
        places.push(in_carrier("method", "4.13.1-1", |text| property(0x15, text)));
    }
    places
}
