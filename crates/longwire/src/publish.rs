//! `longwire pub`: publishes one message, the same one several times, or each line of standard input, and waits until
//! the broker has them. Letters and behaviour are those of mosquitto_pub.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use longwire_client::{
    AcknowledgeError, Client, Options, PropertiesBuf, Publication, PublishError, Publishing, QoS, ReasonCode,
};
use serde_json::json;

use crate::connection::{self, ConnectionArgs, Talk};
use crate::property::Target;
use crate::source::{self, SourceArgs};
use crate::{complain, exit};

/// Messages without an answer, past which the next line waits.
const UNANSWERED_MAX: usize = 1_000;

/// Arguments of `longwire pub`.
#[derive(clap::Args)]
#[command(disable_help_flag = true, args_override_self = true, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Topic to publish on.
    #[arg(short, long, value_name = "TOPIC", required_unless_present = "url", allow_hyphen_values = true)]
    topic: Option<String>,
    #[command(flatten)]
    source: SourceArgs,
    /// QoS of the messages: 0, 1 or 2.
    #[arg(short, long, value_name = "QOS", value_parser = connection::qos, default_value = "0")]
    qos: QoS,
    /// Have the broker keep the message for later subscribers.
    #[arg(short, long)]
    retain: bool,
    /// Publish the message so many times.
    #[arg(long, value_name = "COUNT", default_value_t = 1, conflicts_with = "stdin_line")]
    repeat: u32,
    /// Seconds from the delivery of one repetition to the next; fractions are allowed.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "0")]
    repeat_delay: Duration,
    /// QoS 1 and 2 messages sent ahead of their acknowledgements.
    #[arg(short = 'M', long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..))]
    max_inflight: u16,
    /// Form of the results on standard output: `json` prints a line for each message the broker took.
    #[arg(long, value_name = "FORM", value_enum, default_value_t = Form::Text)]
    output: Form,
    #[command(flatten)]
    connection: ConnectionArgs,
}

const EXAMPLES: &str = "\
Examples:
  longwire pub -t temperature/kitchen -m 21
  longwire pub -h broker.example -t temperature/kitchen -m 21 -q 1 -r
  sensors | longwire pub -t readings -l -q 1
  longwire pub -t picture -f picture.jpg -D PUBLISH content-type image/jpeg
  longwire pub -L mqtt://me:secret@broker.example:1884/temperature -m 21

Defaults:
  Options of which each stands on a line of $XDG_CONFIG_HOME/longwire_pub, or ~/.config/longwire_pub, are added
  to those given here, which win.

Exit codes:
  0   published; with -q 1 and 2, acknowledged by the broker
  1   not published: no connection, a message this broker cannot take, a file unreadable
  2   the arguments were not understood
  12  the broker denied the message (with -q 1 and 2 of version 5)
  1 to 5, 128 to 162  the broker refused the connection: the code of its CONNACK";

/// The form of results on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// Nothing: the exit code tells.
    Text,
    /// One JSON object for each message, with the broker's answer.
    Json,
}

/// What ends a run early.
enum Failure {
    /// A message cannot be published as it is.
    Publish(PublishError),
    /// A message was not acknowledged.
    Acknowledge(AcknowledgeError),
    /// Reading or writing failed.
    Io(&'static str, io::Error),
    /// Nobody reads standard output any more.
    Unheard,
}

/// Publishes, and returns the exit code.
pub(crate) fn run(args: &Args) -> ExitCode {
    let (options, farewell) = match args.prepare() {
        Ok(prepared) => prepared,
        Err(error) => {
            complain(error);
            return ExitCode::from(exit::USAGE);
        }
    };
    let payload = match args.source.payload() {
        Ok(payload) => payload,
        Err(error) => {
            complain(error);
            return ExitCode::from(exit::FAILURE);
        }
    };
    connection::run(async {
        let (client, _messages) = match Client::connect(options.in_flight_max(args.max_inflight)).await {
            Ok(connected) => connected,
            Err(error) => return args.connection.failed(&error),
        };
        tokio::spawn(args.connection.talk().follow(client.events()));
        let published = match payload {
            Some(payload) => args.publish_repeatedly(&client, &payload).await,
            None => args.publish_lines(&client).await,
        };
        connection::leave(&client, &farewell).await;
        args.ended(published)
    })
}

impl Args {
    /// The client's options and the properties of DISCONNECT, when all arguments make sense.
    fn prepare(&self) -> Result<(Options, PropertiesBuf), String> {
        let options = self.connection.options()?;
        self.check()?;
        Ok((options, self.connection.farewell()?))
    }

    fn check(&self) -> Result<(), String> {
        let topic = self.topic().ok_or("no topic: -t TOPIC, or a path in the URL, chooses one")?;
        if topic.is_empty() || topic.contains(['+', '#']) {
            return Err(format!(
                "'{topic}' is not a topic to publish on: it must not be empty, nor hold '+' or '#'"
            ));
        }
        let sent = [Target::Connect, Target::Publish, Target::Will, Target::Disconnect];
        self.connection.properties.check(&sent)
    }

    fn topic(&self) -> Option<String> {
        self.topic.clone().or_else(|| self.connection.topic())
    }

    fn publication(&self, payload: Vec<u8>) -> Publication {
        let properties = self.connection.properties.of(Target::Publish).unwrap_or_default();
        Publication::new(self.topic().unwrap_or_default(), payload)
            .qos(self.qos)
            .retain(self.retain)
            .properties(properties.as_properties())
    }

    async fn publish_repeatedly(&self, client: &Client, payload: &[u8]) -> Result<(), Failure> {
        for number in 0..self.repeat {
            if number > 0 && !self.repeat_delay.is_zero() {
                tokio::time::sleep(self.repeat_delay).await;
            }
            let publishing =
                client.publish(self.publication(payload.to_vec())).await.map_err(Failure::Publish)?;
            self.acknowledged(publishing).await?;
        }
        Ok(())
    }

    /// Publishes lines as they come, many ahead of their acknowledgements.
    async fn publish_lines(&self, client: &Client) -> Result<(), Failure> {
        let mut lines = source::lines_of_stdin();
        let mut unanswered: VecDeque<Publishing> = VecDeque::new();
        loop {
            let oldest = unanswered.pop_front();
            let full = unanswered.len() >= UNANSWERED_MAX;
            let line = match oldest {
                None => lines.recv().await,
                Some(oldest) if full => {
                    self.acknowledged(oldest).await?;
                    continue;
                }
                Some(mut oldest) => tokio::select! {
                    line = lines.recv() => {
                        unanswered.push_front(oldest);
                        line
                    }
                    () = oldest.settled() => {
                        self.acknowledged(oldest).await?;
                        continue;
                    }
                },
            };
            let Some(line) = line else { break };
            let payload = line.map_err(|error| Failure::Io("cannot read standard input", error))?;
            unanswered.push_back(client.publish(self.publication(payload)).await.map_err(Failure::Publish)?);
        }
        for publishing in unanswered {
            self.acknowledged(publishing).await?;
        }
        Ok(())
    }

    async fn acknowledged(&self, publishing: Publishing) -> Result<(), Failure> {
        let reason = publishing.acknowledged().await.map_err(Failure::Acknowledge)?;
        self.connection.talk().debug(format_args!("published: {reason}"));
        self.report(reason)
    }

    /// Prints the result, if that was asked for.
    fn report(&self, reason: ReasonCode) -> Result<(), Failure> {
        if self.output == Form::Text {
            return Ok(());
        }
        let result = json!({
            "topic": self.topic(),
            "qos": self.qos as u8,
            "reason_code": reason as u8,
            "reason": reason.name(),
        });
        let mut out = io::stdout().lock();
        writeln!(out, "{result}").and_then(|()| out.flush()).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::Unheard,
            _ => Failure::Io("cannot write to standard output", error),
        })
    }

    fn ended(&self, published: Result<(), Failure>) -> ExitCode {
        let talk: Talk = self.connection.talk();
        let code = match published {
            Ok(()) | Err(Failure::Unheard) => exit::SUCCESS,
            Err(Failure::Publish(error)) => {
                talk.error(&error);
                self.connection.code_of_publication(&error)
            }
            Err(Failure::Acknowledge(error)) => {
                connection::tell_unacknowledged(talk, &self.topic().unwrap_or_default(), &error);
                self.connection.code_of_acknowledgement(&error)
            }
            Err(Failure::Io(what, error)) => {
                talk.error(format_args!("{what}: {error}"));
                exit::FAILURE
            }
        };
        ExitCode::from(code)
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.parse().ok().and_then(|secs| Duration::try_from_secs_f64(secs).ok());
    number.ok_or_else(|| "give seconds, such as 2 or 0.5".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_may_have_fractions_and_are_not_negative() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert!(seconds("-1").is_err());
        assert!(seconds("soon").is_err());
    }
}
