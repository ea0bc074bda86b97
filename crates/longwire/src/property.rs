//! `-D PACKET PROPERTY VALUE`: properties of version 5 for the packets that `pub` and `sub` send.
//!
//! Names are the standard's with hyphens, as mosquitto_pub and mosquitto_sub write them. What each packet may carry is
//! the client library's business, except for CONNECT, whose properties are options there.

use clap::{Arg, ArgAction, ArgMatches, Command};
use longwire_client::{Options, PropertiesBuf, Property};
use std::time::Duration;

/// All `-D` of a command line.
#[derive(Debug)]
pub(crate) struct PropertyArgs {
    given: Vec<Vec<String>>,
}

/// The packet a property is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Connect,
    Publish,
    Subscribe,
    Unsubscribe,
    Will,
    Disconnect,
}

const TARGETS: [(&str, Target); 6] = [
    ("connect", Target::Connect),
    ("publish", Target::Publish),
    ("subscribe", Target::Subscribe),
    ("unsubscribe", Target::Unsubscribe),
    ("will", Target::Will),
    ("disconnect", Target::Disconnect),
];

impl PropertyArgs {
    pub(crate) fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    /// Whether every property is for a packet this command sends, and makes sense.
    ///
    /// # Errors
    /// One does not; the text says which.
    pub(crate) fn check(&self, sent: &[Target]) -> Result<(), String> {
        for words in &self.given {
            let target = target(words)?;
            if !sent.contains(&target) {
                return Err(format!("-D {}: this command sends no such packet", words.join(" ")));
            }
            property(words)?;
        }
        Ok(())
    }

    /// The properties for one kind of packet.
    pub(crate) fn of(&self, wanted: Target) -> Result<PropertiesBuf, String> {
        let mut properties = PropertiesBuf::new();
        for words in &self.given {
            if target(words)? == wanted {
                properties.push(property(words)?);
            }
        }
        Ok(properties)
    }

    /// Adds the properties of CONNECT to the options.
    pub(crate) fn connect(&self, mut options: Options) -> Result<Options, String> {
        let (mut method, mut data) = (None, None);
        let mut aliases_max = None;
        for words in &self.given {
            if target(words)? != Target::Connect {
                continue;
            }
            match property(words)? {
                Property::SessionExpiryInterval(u32::MAX) => options = options.session_expiry(Duration::MAX),
                Property::SessionExpiryInterval(secs) => {
                    options = options.session_expiry(Duration::from_secs(u64::from(secs)));
                }
                Property::ReceiveMaximum(messages) => options = options.receive_maximum(messages),
                Property::MaximumPacketSize(bytes) => options = options.packet_size_max(bytes),
                Property::TopicAliasMaximum(maximum) => aliases_max = Some(maximum),
                Property::AuthenticationMethod(name) => method = Some(name.to_owned()),
                Property::AuthenticationData(bytes) => data = Some(bytes.to_vec()),
                other => options = options.connect_property(other),
            }
        }
        if let Some(maximum) = aliases_max {
            options = options.topic_aliases(maximum, 16);
        }
        match (method, data) {
            (Some(method), data) => Ok(options.authentication(method, data, |_challenge| None)),
            (None, Some(_)) => {
                Err("-D CONNECT authentication-data needs an authentication-method".to_owned())
            }
            (None, None) => Ok(options),
        }
    }
}

fn target(words: &[String]) -> Result<Target, String> {
    let name = words.first().map_or("", String::as_str).to_ascii_lowercase();
    let known = TARGETS.iter().find(|(known, _)| *known == name);
    known.map(|(_, target)| *target).ok_or_else(|| {
        format!(
            "-D {}: the packets are CONNECT, PUBLISH, SUBSCRIBE, UNSUBSCRIBE, WILL and DISCONNECT",
            words.join(" ")
        )
    })
}

/// The property that the words after `-D` spell.
fn property(words: &[String]) -> Result<Property<'_>, String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let [_, name, values @ ..] = words.as_slice() else {
        return Err("-D takes a packet, a property and its value".to_owned());
    };
    let wrong = |wanted: &str| format!("-D {}: {name} takes {wanted}", words.join(" "));
    if *name == "user-property" {
        let [key, value] = values else { return Err(wrong("a name and a value")) };
        return Ok(Property::UserProperty(key, value));
    }
    let [value] = values else { return Err(wrong("one value")) };
    let flag = || match *value {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err(wrong("0 or 1")),
    };
    let long = || value.parse::<u32>().map_err(|_| wrong("a number up to 4294967295"));
    let short = || value.parse::<u16>().map_err(|_| wrong("a number up to 65535"));
    Ok(match *name {
        "payload-format-indicator" => Property::PayloadFormatIndicator(flag()?),
        "message-expiry-interval" => Property::MessageExpiryInterval(long()?),
        "content-type" => Property::ContentType(value),
        "response-topic" => Property::ResponseTopic(value),
        "correlation-data" => Property::CorrelationData(value.as_bytes()),
        "subscription-identifier" => Property::SubscriptionIdentifier(long()?),
        "session-expiry-interval" => Property::SessionExpiryInterval(long()?),
        "authentication-method" => Property::AuthenticationMethod(value),
        "authentication-data" => Property::AuthenticationData(value.as_bytes()),
        "request-problem-information" => Property::RequestProblemInformation(flag()?),
        "request-response-information" => Property::RequestResponseInformation(flag()?),
        "will-delay-interval" => Property::WillDelayInterval(long()?),
        "receive-maximum" => Property::ReceiveMaximum(short()?),
        "topic-alias-maximum" => Property::TopicAliasMaximum(short()?),
        "maximum-packet-size" => Property::MaximumPacketSize(long()?),
        "topic-alias" => {
            return Err("topic aliases are chosen by the program itself: leave -D topic-alias out".to_owned());
        }
        _ => return Err(format!("-D {}: there is no property '{name}' to set", words.join(" "))),
    })
}

impl clap::Args for PropertyArgs {
    fn augment_args(command: Command) -> Command {
        command.arg(
            Arg::new("property")
                .short('D')
                .long("property")
                .value_names(["PACKET", "PROPERTY", "VALUE"])
                .num_args(3..=4)
                .action(ArgAction::Append)
                .help_heading("Connection")
                .help(
                    "Set a property of version 5, such as `-D PUBLISH content-type text/plain` or \
                     `-D CONNECT user-property NAME VALUE`; may be given often",
                ),
        )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for PropertyArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let occurrences = matches.get_occurrences::<String>("property");
        let given = occurrences.into_iter().flatten().map(|words| words.cloned().collect()).collect();
        Ok(PropertyArgs { given })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(lines: &[&str]) -> PropertyArgs {
        let words = |line: &&str| line.split(' ').map(str::to_owned).collect();
        PropertyArgs { given: lines.iter().map(words).collect() }
    }

    #[test]
    fn properties_go_to_their_packets() {
        let properties =
            given(&["PUBLISH content-type text", "will will-delay-interval 7", "publish user-property k v"]);
        let published = properties.of(Target::Publish).expect("valid");
        let published: Vec<_> = published.as_properties().iter().collect();
        assert_eq!(published, [Property::ContentType("text"), Property::UserProperty("k", "v")]);
        let will = properties.of(Target::Will).expect("valid");
        assert_eq!(will.as_properties().will_delay_interval(), Some(7));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (line, part) in [
            ("PUBACK user-property k v", "the packets are"),
            ("PUBLISH colour red", "no property 'colour'"),
            ("PUBLISH message-expiry-interval soon", "takes a number"),
            ("PUBLISH payload-format-indicator 2", "takes 0 or 1"),
            ("PUBLISH user-property lonely", "a name and a value"),
            ("PUBLISH content-type a b", "one value"),
            ("PUBLISH topic-alias 1", "chosen by the program itself"),
        ] {
            let error = given(&[line]).check(&[Target::Publish]).expect_err(line);
            assert!(error.contains(part), "{line}: {error}");
        }
    }

    #[test]
    fn a_packet_that_the_command_never_sends_is_refused() {
        let error = given(&["SUBSCRIBE user-property k v"]).check(&[Target::Publish]).expect_err("not sent");
        assert!(error.contains("sends no such packet"), "{error}");
    }

    #[test]
    fn authentication_data_alone_is_refused() {
        let properties = given(&["CONNECT authentication-data x"]);
        assert!(properties.connect(Options::new("h")).is_err());
    }
}
