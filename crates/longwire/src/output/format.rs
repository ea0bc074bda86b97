//! A format string of mosquitto_sub's letters: how a message becomes bytes on standard output.
//!
//! A format is parsed once, so that a mistake in it is told before anything is connected; printing then cannot fail,
//! but for `%J`. Neighbours: `json` spells a message as an object, `pretty` breaks JSON into lines.

use jiff::ZonedDateTime;
use jiff::fmt::strtime;
use longwire_client::{Message, Properties};
use longwire_proto::PacketId;
use serde_json::Value;

use super::encoding::{base64, hexadecimal};
use super::json::{self, NotJson};
use super::pretty::Pretty;

/// A format string, understood.
#[derive(Debug, PartialEq)]
pub(crate) struct Format(Vec<Piece>);

/// What of a message is printed without a format string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The payload as it came.
    Payload,
    /// The payload in hexadecimal digits.
    Hexadecimal,
    /// The payload in base 64.
    Base64,
    /// The payload for people.
    Readable,
    /// All of it, as with `%j`.
    Json,
}

#[derive(Debug, PartialEq)]
enum Piece {
    Text(Vec<u8>),
    /// A letter after `%`.
    Field(Field),
    /// A letter after `@`, as strftime takes it.
    Time(String),
    /// `@N`.
    Nanoseconds,
    /// The payload in base 64.
    Base64,
    /// The payload as JSON or text for people.
    Readable,
    /// The topic in front of it.
    ReadableTopic,
}

#[derive(Debug, PartialEq, Eq)]
struct Field {
    letter: u8,
    left: bool,
    zeros: bool,
    width: usize,
    /// Characters at most.
    precision: Option<usize>,
}

/// The letters after `%`.
const LETTERS: &[u8] = b"%ACDEFIJPRSUXjlmpqrtx";
/// Widths beyond this are a mistake, not a wish.
const WIDTH_MAX: usize = 10_000;

impl Format {
    /// One part of the message, behind its topic if that is wanted, as with `-v`.
    pub(crate) fn of(part: Part, topic: bool) -> Self {
        let mut pieces = Vec::new();
        if topic {
            pieces.push(if part == Part::Readable {
                Piece::ReadableTopic
            } else {
                Piece::Field(Field::plain(b't'))
            });
            pieces.push(Piece::Text(b" ".to_vec()));
        }
        pieces.push(match part {
            Part::Payload => Piece::Field(Field::plain(b'p')),
            Part::Hexadecimal => Piece::Field(Field::plain(b'x')),
            Part::Base64 => Piece::Base64,
            Part::Readable => Piece::Readable,
            Part::Json => Piece::Field(Field::plain(b'j')),
        });
        Format(pieces)
    }

    /// Understands a format string.
    ///
    /// # Errors
    /// It has a letter that means nothing, or ends in the middle of one; the text says which.
    pub(crate) fn parse(format: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = format;
        while let Some(special) = rest.find(['%', '@', '\\']) {
            push_text(&mut pieces, &rest.as_bytes()[..special]);
            let (sign, after) = rest[special..].split_at(1);
            rest = match sign {
                "%" => field(after, &mut pieces)?,
                "@" => time(after, &mut pieces)?,
                _ => escape(after, &mut pieces)?,
            };
        }
        push_text(&mut pieces, rest.as_bytes());
        Ok(Format(pieces))
    }

    /// Appends a message, received at `now`, to `out`; objects are broken into lines if `pretty` says how.
    ///
    /// # Errors
    /// The format has `%J` and the payload is no JSON; nothing was appended.
    pub(crate) fn print(
        &self,
        message: &Message,
        now: &ZonedDateTime,
        pretty: Option<Pretty>,
        out: &mut Vec<u8>,
    ) -> Result<(), NotJson> {
        let start = out.len();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Time(format) => out.extend_from_slice(timestamp(format, now).as_bytes()),
                Piece::Nanoseconds => {
                    out.extend_from_slice(format!("{:09}", now.subsec_nanosecond()).as_bytes());
                }
                Piece::Base64 => out.extend_from_slice(base64(&message.payload).as_bytes()),
                Piece::Readable => {
                    out.extend_from_slice(pretty.unwrap_or_default().payload(&message.payload).as_bytes());
                }
                Piece::ReadableTopic => {
                    out.extend_from_slice(pretty.unwrap_or_default().topic(&message.topic).as_bytes());
                }
                Piece::Field(field) => {
                    if field.print(message, now, pretty, out).is_err() {
                        out.truncate(start);
                        return Err(NotJson);
                    }
                }
            }
        }
        Ok(())
    }
}

impl Field {
    fn plain(letter: u8) -> Self {
        Field { letter, left: false, zeros: false, width: 0, precision: None }
    }

    fn print(
        &self,
        message: &Message,
        now: &ZonedDateTime,
        pretty: Option<Pretty>,
        out: &mut Vec<u8>,
    ) -> Result<(), NotJson> {
        let object = |payload: &str| {
            let object = json::object(message, now, payload);
            pretty.map_or(object.clone(), |pretty| pretty.json(&object))
        };
        let properties = message.properties();
        let text = |text: Option<&str>| text.unwrap_or("").to_owned();
        let number = |number: Option<u32>| number.map(|number| number.to_string()).unwrap_or_default();
        match self.letter {
            b'%' => out.push(b'%'),
            b'A' => self.number(&number(properties.topic_alias().map(u32::from)), out),
            b'C' => self.text(&text(properties.content_type()), out),
            b'D' => out.extend_from_slice(properties.correlation_data().unwrap_or(&[])),
            b'E' => self.number(&number(properties.message_expiry_interval()), out),
            b'F' => self.number(&number(properties.payload_format_indicator().map(u32::from)), out),
            b'I' => self.text(&timestamp("%Y-%m-%dT%H:%M:%S%z", now), out),
            b'J' => out.extend_from_slice(object(&json::compact(&message.payload)?).as_bytes()),
            b'P' => out.extend_from_slice(user_properties(properties).as_bytes()),
            b'R' => self.text(&text(properties.response_topic()), out),
            b'S' => self.number(&subscription_identifiers(properties), out),
            b'U' => {
                let since = now.timestamp();
                let text = format!("{}.{:09}", since.as_second(), since.subsec_nanosecond());
                out.extend_from_slice(text.as_bytes());
            }
            b'X' => self.number(&hexadecimal(&message.payload, b"0123456789ABCDEF"), out),
            b'j' => {
                let payload = Value::from(String::from_utf8_lossy(&message.payload)).to_string();
                out.extend_from_slice(object(&payload).as_bytes());
            }
            b'l' => self.number(&message.payload.len().to_string(), out),
            b'm' => self.number(&message.packet_id.map_or(0, PacketId::get).to_string(), out),
            b'p' => self.padded(&message.payload, message.payload.len(), b' ', out),
            b'q' => out.push(b'0' + message.qos as u8),
            b'r' => out.push(b'0' + u8::from(message.retain)),
            b't' => self.text(&message.topic, out),
            _ => self.number(&hexadecimal(&message.payload, b"0123456789abcdef"), out),
        }
        Ok(())
    }

    fn text(&self, text: &str, out: &mut Vec<u8>) {
        let text: String = text.chars().take(self.precision.unwrap_or(usize::MAX)).collect();
        self.padded(text.as_bytes(), text.chars().count(), b' ', out);
    }

    /// Numbers, and what looks like one, may be filled up with zeros; an absent one never is.
    fn number(&self, digits: &str, out: &mut Vec<u8>) {
        let zeros = self.zeros && !self.left && !digits.is_empty();
        self.padded(digits.as_bytes(), digits.len(), if zeros { b'0' } else { b' ' }, out);
    }

    fn padded(&self, bytes: &[u8], columns: usize, fill: u8, out: &mut Vec<u8>) {
        let fill = std::iter::repeat_n(fill, self.width.saturating_sub(columns));
        if self.left {
            out.extend_from_slice(bytes);
            out.extend(fill);
        } else {
            out.extend(fill);
            out.extend_from_slice(bytes);
        }
    }
}

fn push_text(pieces: &mut Vec<Piece>, bytes: &[u8]) {
    match pieces.last_mut() {
        _ if bytes.is_empty() => {}
        Some(Piece::Text(text)) => text.extend_from_slice(bytes),
        _ => pieces.push(Piece::Text(bytes.to_vec())),
    }
}

/// Understands what follows `%`, and returns the rest.
fn field<'a>(mut rest: &'a str, pieces: &mut Vec<Piece>) -> Result<&'a str, String> {
    let mut field = Field::plain(b'%');
    while let Some(after) = rest.strip_prefix(['-', '0']) {
        if rest.starts_with('-') {
            field.left = true;
        } else {
            field.zeros = true;
        }
        rest = after;
    }
    (field.width, rest) = leading_number(rest)?;
    if let Some(after) = rest.strip_prefix('.') {
        let (precision, after) = leading_number(after)?;
        field.precision = Some(precision);
        rest = after;
    }
    let letter = rest.chars().next().ok_or("the format ends in the middle of a '%' letter")?;
    if !LETTERS.iter().any(|&known| char::from(known) == letter) {
        return Err(format!("'%{letter}' means nothing in a format: the letters are {}", letters()));
    }
    field.letter = letter as u8;
    pieces.push(Piece::Field(field));
    Ok(&rest[1..])
}

fn letters() -> String {
    LETTERS.iter().map(|&letter| char::from(letter).to_string()).collect::<Vec<_>>().join(" ")
}

fn leading_number(text: &str) -> Result<(usize, &str), String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    let width = if number.is_empty() { Some(0) } else { number.parse().ok() };
    match width.filter(|&width| width <= WIDTH_MAX) {
        Some(width) => Ok((width, rest)),
        None => Err(format!("the width {number} in the format is too large: at most {WIDTH_MAX}")),
    }
}

/// Understands what follows `@`, and returns the rest.
fn time<'a>(rest: &'a str, pieces: &mut Vec<Piece>) -> Result<&'a str, String> {
    let letter = rest.chars().next().ok_or("the format ends in the middle of a '@' letter")?;
    match letter {
        '@' => push_text(pieces, b"@"),
        'N' => pieces.push(Piece::Nanoseconds),
        _ => {
            let format = format!("%{letter}");
            if strtime::format(&format, &ZonedDateTime::now()).is_err() {
                return Err(format!("'@{letter}' is no part of a date or time"));
            }
            pieces.push(Piece::Time(format));
        }
    }
    Ok(&rest[letter.len_utf8()..])
}

/// Understands what follows a backslash, and returns the rest.
fn escape<'a>(rest: &'a str, pieces: &mut Vec<Piece>) -> Result<&'a str, String> {
    let letter = rest.chars().next().ok_or("the format ends in the middle of a '\\' letter")?;
    let byte = match letter {
        '\\' => b'\\',
        '0' => 0,
        'a' => 7,
        'e' => 0x1B,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0B,
        _ => {
            return Err(format!("'\\{letter}' means nothing in a format: the letters are \\ 0 a e n r t v"));
        }
    };
    push_text(pieces, &[byte]);
    Ok(&rest[1..])
}

/// The time as strftime writes it; the format was tried when it was parsed.
pub(super) fn timestamp(format: &str, now: &ZonedDateTime) -> String {
    strtime::format(format, now).unwrap_or_default()
}

fn user_properties(properties: Properties<'_>) -> String {
    let pairs: Vec<String> =
        properties.user_properties().map(|(name, value)| format!("{name}:{value}")).collect();
    pairs.join(" ")
}

fn subscription_identifiers(properties: Properties<'_>) -> String {
    let numbers: Vec<String> =
        properties.subscription_identifiers().map(|number| number.to_string()).collect();
    numbers.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use longwire_client::{PropertiesBuf, Property, QoS};

    fn message(payload: &[u8], properties: &[Property<'_>]) -> Message {
        Message {
            topic: "a/b".into(),
            payload: payload.to_vec(),
            qos: QoS::AtLeastOnce,
            retain: true,
            dup: false,
            packet_id: std::num::NonZeroU16::new(7),
            properties: properties.iter().copied().collect::<PropertiesBuf>(),
        }
    }

    fn moment() -> ZonedDateTime {
        "2020-05-06T22:12:05.012345678+01:00[+01:00]".parse().expect("a moment")
    }

    fn printed(format: &str, message: &Message) -> String {
        let mut out = Vec::new();
        let format = Format::parse(format).expect("a format");
        format.print(message, &moment(), None, &mut out).expect("printable");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn letters_stand_for_parts_of_the_message() {
        let properties = [
            Property::ContentType("text"),
            Property::CorrelationData(b"cd"),
            Property::MessageExpiryInterval(99),
            Property::PayloadFormatIndicator(true),
            Property::ResponseTopic("r/t"),
            Property::SubscriptionIdentifier(5),
            Property::UserProperty("k", "v"),
            Property::UserProperty("k", "w"),
        ];
        let got = printed(
            "%A|%C|%D|%E|%F|%l|%m|%P|%p|%q|%R|%r|%S|%t|%x|%X|%%",
            &message(b"hi\xC3\xA9", &properties),
        );
        assert_eq!(got, "|text|cd|99|1|4|7|k:v k:w|hié|1|r/t|1|5|a/b|6869c3a9|6869C3A9|%");
    }

    #[test]
    fn times_are_those_of_the_arrival() {
        let got = printed("%I %U @Y-@m-@d @H:@M:@S @N @@", &message(b"", &[]));
        assert_eq!(got, "2020-05-06T22:12:05+0100 1588799525.012345678 2020-05-06 22:12:05 012345678 @");
    }

    #[test]
    fn widths_fill_up_and_precisions_cut() {
        let message = message(b"hi", &[]);
        assert_eq!(printed("[%6t][%-6t][%.1t][%06t]", &message), "[   a/b][a/b   ][a][   a/b]");
        assert_eq!(
            printed("[%5m][%05m][%-05m][%06x][%-6X][%4p]", &message),
            "[    7][00007][7    ][006869][6869  ][  hi]"
        );
        assert_eq!(printed("[%03A]", &message), "[   ]", "an absent number has no zeros");
    }

    #[test]
    fn escapes_are_bytes() {
        assert_eq!(printed(r"\\ \0\a\e\n\r\t\v", &message(b"", &[])), "\\ \0\x07\x1b\n\r\t\x0b");
    }

    #[test]
    fn mistakes_are_named() {
        for (format, part) in [
            ("%", "ends in the middle"),
            ("@", "ends in the middle"),
            ("\\", "ends in the middle"),
            ("%-5", "ends in the middle"),
            ("%k", "'%k' means nothing"),
            ("%é", "'%é' means nothing"),
            ("\\q", "'\\q' means nothing"),
            ("@é", "'@é' is no part"),
            ("%99999999999999999999t", "too large"),
        ] {
            let error = Format::parse(format).expect_err(format);
            assert!(error.contains(part), "{format}: {error}");
        }
    }

    #[test]
    fn json_has_everything_and_quotes_the_payload() {
        let properties = [Property::ContentType("t\"x"), Property::UserProperty("k", "v")];
        let got = printed("%j", &message(b"h\"i\n", &properties));
        assert_eq!(
            got,
            "{\"tst\":\"2020-05-06T22:12:05.012345+0100\",\"topic\":\"a/b\",\"qos\":1,\"retain\":1,\
             \"payloadlen\":4,\"mid\":7,\"properties\":{\"content-type\":\"t\\\"x\",\
             \"user-properties\":{\"k\":\"v\"}},\"payload\":\"h\\\"i\\n\"}"
        );
    }

    #[test]
    fn a_json_payload_is_put_in_as_it_is_on_one_line() {
        let got = printed("%J", &message(b"{ \"a\": [1,\n 2.50],  \"b c\": \"d \\\" e\" }", &[]));
        assert!(got.ends_with(r#""payload":{"a":[1,2.50],"b c":"d \" e"}}"#), "{got}");
    }

    #[test]
    fn a_payload_that_is_no_json_prints_nothing() {
        let mut out = b"before".to_vec();
        let format = Format::parse("x %J").expect("a format");
        assert_eq!(format.print(&message(b"{", &[]), &moment(), None, &mut out), Err(NotJson));
        assert_eq!(out, b"before");
    }
}
