//! `longwire rr`: publishes a request, waits for the response, and prints it. Letters and behaviour are those of
//! mosquitto_rr.
//!
//! In version 5 the request carries a response topic and correlation data. A response that bears other correlation data
//! belongs to somebody else and is passed over; one without any is taken, since not every responder copies them.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use longwire_client::{
    AcknowledgeError, Client, Message, Messages, Options, PropertiesBuf, Property, Publication, PublishError,
    QoS, ReasonCode, SubscribeError, SubscribeOptions, Subscription, Version,
};
use longwire_proto::topic;
use tokio::time::{Instant, sleep_until};

use crate::connection::{self, ConnectionArgs};
use crate::output::{OutputArgs, Printer, format_letters};
use crate::property::Target;
use crate::source::{self, SourceArgs};
use crate::{complain, exit};

/// Arguments of `longwire rr`.
#[derive(clap::Args)]
#[command(disable_help_flag = true, args_override_self = true, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Topic to publish the request on.
    #[arg(short, long, value_name = "TOPIC", required_unless_present = "url", allow_hyphen_values = true)]
    topic: Option<String>,
    /// Topic to wait for the response on. In version 5 one is made up if it is not given.
    #[arg(short = 'e', long, value_name = "TOPIC", allow_hyphen_values = true)]
    response_topic: Option<String>,
    #[command(flatten)]
    source: SourceArgs,
    /// QoS of request and response: 0, 1 or 2.
    #[arg(short, long, value_name = "QOS", value_parser = connection::qos, default_value = "0")]
    qos: QoS,
    /// End after so many seconds, with exit code 27.
    #[arg(short = 'W', value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
    /// Take no retained message for the response.
    #[arg(short = 'R')]
    no_retained: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

const EXAMPLES: &str = concat!(
    "\
Examples:
  longwire rr -t lamp/ask -m 'how bright?' -W 5
  longwire rr -t lamp/ask -e lamp/answer -m 'how bright?' -V 311
  longwire rr -t clock/ask -n -W 5 --output json
  questions | longwire rr -t ask -l            one after the other, each after the last one's response

Responding:
  The responder subscribes to the topic of the request. It publishes on the response topic, with the correlation data,
  both of which it finds among the properties of the request:
  longwire sub -V 5 -t lamp/ask -F '%R %D %p'

",
    format_letters!(),
    "

Defaults:
  Options of which each stands on a line of $XDG_CONFIG_HOME/longwire_rr, or ~/.config/longwire_rr, are added
  to those given here, which win.

Exit codes:
  0   every request has its response
  1   no connection, a request this broker cannot take, a file unreadable
  2   the arguments were not understood
  12  the broker denied the request, or the subscription to the response topic
  27  time was up (-W)
  1 to 5, 128 to 162  the broker refused the connection: the code of its CONNACK
  130, 143  a signal ended it before the response came"
);

/// Why a run came to its end early.
enum End {
    /// `-W`.
    TimedOut,
    /// SIGINT or SIGTERM.
    Signal(i32),
    /// The response topic cannot be subscribed to.
    Subscribe(SubscribeError),
    /// The request cannot be published as it is.
    Publish(PublishError),
    /// The request was not acknowledged.
    Acknowledge(AcknowledgeError),
    /// The client will have no further connection.
    Closed,
    /// Nobody reads standard output any more.
    Unheard,
    /// Reading or writing failed.
    Io(&'static str, io::Error),
}

/// Asks and prints, and returns the exit code.
pub(crate) fn run(mut args: Args) -> ExitCode {
    args.connection.prefer(Version::V5);
    let (options, printer, farewell) = match args.prepare() {
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
        let (client, messages) = match Client::connect(options).await {
            Ok(connected) => connected,
            Err(error) => return args.connection.failed(&error),
        };
        tokio::spawn(args.connection.talk().follow(client.events()));
        let mut dialogue = Dialogue::new(&args, &client, messages, printer);
        let end = dialogue.run(payload).await;
        let code = args.ended(end, &client).await;
        connection::leave(&client, &farewell).await;
        code
    })
}

impl Args {
    /// The client's options, the printer, and the properties of DISCONNECT, when all arguments make sense.
    fn prepare(&self) -> Result<(Options, Printer, PropertiesBuf), String> {
        let options = self.connection.options()?;
        self.check()?;
        Ok((options, self.output.printer()?, self.connection.farewell()?))
    }

    fn check(&self) -> Result<(), String> {
        let request = self.topic().ok_or("no topic: -t TOPIC, or a path in the URL, chooses one")?;
        for name in [Some(&request), self.response_topic.as_ref()].into_iter().flatten() {
            if topic::check_name(name).is_err() {
                return Err(format!(
                    "'{name}' is not a topic to publish on: it must not be empty, nor hold '+' or '#'"
                ));
            }
        }
        if self.response_topic.is_none() && self.connection.version() < Version::V5 {
            return Err(
                "before version 5 a request cannot say where the response belongs: agree on a topic \
                        with the responder and name it with -e"
                    .to_owned(),
            );
        }
        let sent = [Target::Connect, Target::Publish, Target::Subscribe, Target::Will, Target::Disconnect];
        self.connection.properties.check(&sent)
    }

    fn topic(&self) -> Option<String> {
        self.topic.clone().or_else(|| self.connection.topic())
    }

    async fn ended(&self, end: Result<(), End>, client: &Client) -> ExitCode {
        let talk = self.connection.talk();
        let code = match end {
            Ok(()) | Err(End::Unheard) => exit::SUCCESS,
            Err(End::TimedOut) => {
                talk.error("time is up, and no response has come");
                exit::TIMED_OUT
            }
            Err(End::Signal(number)) => u8::try_from(exit::SIGNAL + number).unwrap_or(exit::FAILURE),
            Err(End::Subscribe(error)) => {
                match &error {
                    SubscribeError::Refused { filter, reason, .. } => {
                        talk.error(connection::denied(filter, *reason));
                    }
                    error => talk.error(error),
                }
                self.connection.code_of_subscription(&error)
            }
            Err(End::Publish(error)) => {
                talk.error(&error);
                self.connection.code_of_publication(&error)
            }
            Err(End::Acknowledge(error)) => {
                connection::tell_unacknowledged(talk, &self.topic().unwrap_or_default(), &error);
                self.connection.code_of_acknowledgement(&error)
            }
            // The cause was told when it happened.
            Err(End::Closed) => match client.connected().await {
                Ok(_) => exit::FAILURE,
                Err(cause) => self.connection.code(&cause),
            },
            Err(End::Io(what, error)) => {
                talk.error(format_args!("{what}: {error}"));
                exit::FAILURE
            }
        };
        ExitCode::from(code)
    }
}

/// Requests and their responses over one connection.
struct Dialogue<'a> {
    args: &'a Args,
    client: &'a Client,
    messages: Messages,
    printer: Printer,
    response_topic: String,
    /// Makes correlation data that nobody else has.
    keys: RandomState,
    asked: u64,
}

impl<'a> Dialogue<'a> {
    fn new(args: &'a Args, client: &'a Client, messages: Messages, printer: Printer) -> Self {
        let keys = RandomState::new();
        let made_up = || format!("response/{:016x}", keys.hash_one("topic"));
        let response_topic = args.response_topic.clone().unwrap_or_else(made_up);
        Dialogue { args, client, messages, printer, response_topic, keys, asked: 0 }
    }

    async fn run(&mut self, payload: Option<Vec<u8>>) -> Result<(), End> {
        let deadline = self.args.timeout.map(|secs| Instant::now() + Duration::from_secs(secs));
        tokio::select! {
            end = self.talk(payload) => end,
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => Err(End::TimedOut),
            signal = connection::asked_to_end() => match signal {
                Ok(number) => Err(End::Signal(number)),
                Err(error) => Err(End::Io("cannot wait for signals", error)),
            },
        }
    }

    async fn talk(&mut self, payload: Option<Vec<u8>>) -> Result<(), End> {
        self.subscribe().await?;
        if let Some(payload) = payload {
            return self.ask(payload).await;
        }
        let mut lines = source::lines_of_stdin();
        while let Some(line) = lines.recv().await {
            self.ask(line.map_err(|error| End::Io("cannot read standard input", error))?).await?;
        }
        Ok(())
    }

    async fn subscribe(&self) -> Result<(), End> {
        let options = SubscribeOptions::with_qos(self.args.qos);
        let properties = self.args.connection.properties.of(Target::Subscribe).unwrap_or_default();
        let subscription = Subscription::new().filter_with(&self.response_topic, options);
        let subscription = properties.as_properties().iter().fold(subscription, Subscription::property);
        self.client.subscribe(subscription).await.map_err(End::Subscribe)?;
        self.args.connection.talk().debug(format_args!("subscribed to '{}'", self.response_topic));
        Ok(())
    }

    /// Publishes a request and prints its response, whichever is settled first.
    async fn ask(&mut self, payload: Vec<u8>) -> Result<(), End> {
        let (request, correlation) = self.request(payload);
        let publishing = self.client.publish(request).await.map_err(End::Publish)?;
        let mut acknowledged = std::pin::pin!(publishing.acknowledged());
        let mut is_acknowledged = false;
        loop {
            let message = tokio::select! {
                answer = &mut acknowledged, if !is_acknowledged => {
                    is_acknowledged = true;
                    if answer.map_err(End::Acknowledge)? == ReasonCode::NoMatchingSubscribers {
                        self.args.connection.talk().error("nobody has subscribed to the topic of the request so far");
                    }
                    continue;
                }
                message = self.messages.recv() => message,
            };
            let message = message.ok_or(End::Closed)?;
            if self.is_response(&message, correlation.as_deref()) {
                return self.print(&message);
            }
        }
    }

    /// The request, and the correlation data it carries.
    fn request(&mut self, payload: Vec<u8>) -> (Publication, Option<Vec<u8>>) {
        let mut properties = self.args.connection.properties.of(Target::Publish).unwrap_or_default();
        let mut correlation = None;
        if self.args.connection.version() == Version::V5 {
            if properties.as_properties().response_topic().is_none() {
                properties.push(Property::ResponseTopic(&self.response_topic));
            }
            if properties.as_properties().correlation_data().is_none() {
                self.asked += 1;
                let made_up = format!("{:016x}", self.keys.hash_one(self.asked));
                properties.push(Property::CorrelationData(made_up.as_bytes()));
            }
            correlation = properties.as_properties().correlation_data().map(<[u8]>::to_vec);
        }
        let request = Publication::new(self.args.topic().unwrap_or_default(), payload)
            .qos(self.args.qos)
            .properties(properties.as_properties());
        (request, correlation)
    }

    fn is_response(&self, message: &Message, correlation: Option<&[u8]>) -> bool {
        let theirs = message.properties().correlation_data();
        let ours = theirs.is_none() || correlation.is_none() || theirs == correlation;
        ours && !(self.args.no_retained && message.retain)
    }

    fn print(&self, message: &Message) -> Result<(), End> {
        let mut output = Vec::new();
        if self.printer.print(message, &mut output).is_err() {
            self.args.connection.talk().error("the payload of the response is not JSON, which %J needs");
        }
        let mut out = io::stdout().lock();
        out.write_all(&output).and_then(|()| out.flush()).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => End::Unheard,
            _ => End::Io("cannot write to standard output", error),
        })
    }
}
