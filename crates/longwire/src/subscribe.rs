//! `longwire sub`: subscribes, and prints messages until it has enough, its time is up, or a signal ends it. Letters and
//! behaviour are those of mosquitto_sub.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use longwire_client::{
    Client, Message, Messages, Options, PropertiesBuf, Publication, Publishing, QoS, ReasonCode,
    SubscribeError, SubscribeOptions, Subscription,
};
use longwire_proto::topic;
use tokio::time::{Instant, sleep_until};

use crate::connection::{self, ConnectionArgs, Talk};
use crate::output::{OutputArgs, Printer, format_letters};
use crate::property::Target;
use crate::{complain, exit};

/// Bytes of output gathered before they are written, while more messages are there already.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;
/// Messages being removed at a time by `--remove-retained`.
const REMOVALS_MAX: usize = 100;

/// Arguments of `longwire sub`.
#[derive(clap::Args)]
#[command(disable_help_flag = true, args_override_self = true, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Topic filter to subscribe to; may be given often.
    #[arg(short, long, value_name = "FILTER", allow_hyphen_values = true)]
    topic: Vec<String>,
    /// Topic filter to unsubscribe from, in a session that was taken up with -c; may be given often.
    #[arg(short = 'U', long, value_name = "FILTER", allow_hyphen_values = true)]
    unsubscribe: Vec<String>,
    /// Do not print messages whose topic matches this filter; may be given often.
    #[arg(short = 'T', long, value_name = "FILTER", allow_hyphen_values = true)]
    filter_out: Vec<String>,
    /// Highest QoS of the messages: 0, 1 or 2.
    #[arg(short, long, value_name = "QOS", value_parser = connection::qos, default_value = "0")]
    qos: QoS,
    /// End after so many messages.
    #[arg(short = 'C', value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after so many seconds, with exit code 27.
    #[arg(short = 'W', value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
    /// End as soon as the subscriptions are answered.
    #[arg(short = 'E')]
    exit_subscribed: bool,
    /// Do not print retained messages.
    #[arg(short = 'R', conflicts_with = "retained_only")]
    no_retained: bool,
    /// Print retained messages only, and end at the first other one.
    #[arg(long)]
    retained_only: bool,
    /// Remove the retained messages that arrive from the broker.
    #[arg(long)]
    remove_retained: bool,
    /// Have the retained flag as the publisher set it. Version 5 only.
    #[arg(long)]
    retain_as_published: bool,
    /// Print only a part of the messages, chosen at random: so many in a hundred, such as 50 or 0.5.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    random_filter: Option<f64>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

const EXAMPLES: &str = concat!(
    "\
Examples:
  longwire sub -t 'temperature/#' -v
  longwire sub -t temperature/kitchen -C 1 -W 10     one message, at most ten seconds
  longwire sub -c -i archive -q 1 -t '#'             take up where the last run ended
  longwire sub -t '#' --output json | jq .topic
  longwire sub -t '#' -F '@Y-@m-@d @H:@M:@S %t %x'
  longwire sub -t 'old/#' --remove-retained --retained-only

",
    format_letters!(),
    "

Defaults:
  Options of which each stands on a line of $XDG_CONFIG_HOME/longwire_sub, or ~/.config/longwire_sub, are added
  to those given here, which win.

Exit codes:
  0   it received what was asked for, or a signal ended it
  1   no connection
  2   the arguments were not understood
  12  the broker denied every subscription
  27  time was up (-W)
  1 to 5, 128 to 162  the broker refused the connection: the code of its CONNACK
  130, 143  a signal ended it before it had its -C messages"
);

/// Why a run came to its end.
enum End {
    /// It has what was asked for.
    Done,
    /// `-W`.
    TimedOut,
    /// SIGINT or SIGTERM.
    Signal(i32),
    /// Nobody reads standard output any more.
    Unheard,
    /// Writing failed.
    Io(io::Error),
    /// The client will have no further connection.
    Closed,
    /// No subscription was granted, or it could not be asked for.
    Subscribe(SubscribeError),
}

/// Subscribes and prints, and returns the exit code.
pub(crate) fn run(args: &Args) -> ExitCode {
    let (options, printer, farewell) = match args.prepare() {
        Ok(prepared) => prepared,
        Err(error) => {
            complain(error);
            return ExitCode::from(exit::USAGE);
        }
    };
    connection::run_beside_output(async {
        let (client, mut messages) = match Client::connect(options).await {
            Ok(connected) => connected,
            Err(error) => return args.connection.failed(&error),
        };
        tokio::spawn(args.connection.talk().follow(client.events()));
        let mut reader = Reader::new(args, printer, &client);
        let end = reader.run(&mut messages).await;
        reader.finish_removals().await;
        let code = args.ended(end, &client).await;
        // Messages that were not taken stay with the broker, if the session does.
        connection::leave(&client, &farewell).await;
        drop(messages);
        code
    })
}

impl Args {
    /// The client's options, the format, and the properties of DISCONNECT, when all arguments make sense.
    fn prepare(&self) -> Result<(Options, Printer, PropertiesBuf), String> {
        let options = self.connection.options()?;
        self.check()?;
        Ok((options, self.output.printer()?, self.connection.farewell()?))
    }

    fn check(&self) -> Result<(), String> {
        if self.filters().is_empty() && self.unsubscribe.is_empty() {
            return Err("no topic: -t FILTER, or a path in the URL, chooses one".to_owned());
        }
        for filter in self.filters().iter().chain(&self.unsubscribe).chain(&self.filter_out) {
            if topic::check_filter(filter).is_err() {
                return Err(format!(
                    "'{filter}' is not a topic filter: '+' must be a whole level, '#' the last one"
                ));
            }
        }
        let sent =
            [Target::Connect, Target::Subscribe, Target::Unsubscribe, Target::Will, Target::Disconnect];
        self.connection.properties.check(&sent)
    }

    fn filters(&self) -> Vec<String> {
        let mut filters = self.topic.clone();
        filters.extend(self.connection.topic());
        filters
    }

    fn subscription(&self) -> Subscription {
        let options = SubscribeOptions {
            retain_as_published: self.retain_as_published,
            ..SubscribeOptions::with_qos(self.qos)
        };
        let filters = self.filters();
        let subscription = filters
            .iter()
            .fold(Subscription::new(), |subscription, filter| subscription.filter_with(filter, options));
        let properties = self.connection.properties.of(Target::Subscribe).unwrap_or_default();
        properties.as_properties().iter().fold(subscription, Subscription::property)
    }

    async fn ended(&self, end: End, client: &Client) -> ExitCode {
        let talk = self.connection.talk();
        let code = match end {
            End::Done | End::Unheard => exit::SUCCESS,
            End::TimedOut => {
                talk.error("time is up");
                exit::TIMED_OUT
            }
            End::Signal(number) if self.count.is_some() => {
                u8::try_from(exit::SIGNAL + number).unwrap_or(exit::FAILURE)
            }
            End::Signal(_) => exit::SUCCESS,
            End::Io(error) => {
                talk.error(format_args!("cannot write to standard output: {error}"));
                exit::FAILURE
            }
            // The cause was told when it happened.
            End::Closed => match client.connected().await {
                Ok(_) => exit::FAILURE,
                Err(cause) => self.connection.code(&cause),
            },
            End::Subscribe(error) => {
                // What was refused was told filter by filter.
                if !matches!(error, SubscribeError::Refused { .. }) {
                    talk.error(&error);
                }
                self.connection.code_of_subscription(&error)
            }
        };
        ExitCode::from(code)
    }
}

/// A run from the subscription to its end.
struct Reader<'a> {
    args: &'a Args,
    printer: Printer,
    client: &'a Client,
    talk: Talk,
    printed: u64,
    dice: Dice,
    output: Vec<u8>,
    removals: VecDeque<Publishing>,
}

impl<'a> Reader<'a> {
    fn new(args: &'a Args, printer: Printer, client: &'a Client) -> Self {
        Reader {
            args,
            printer,
            client,
            talk: args.connection.talk(),
            printed: 0,
            dice: Dice::default(),
            output: Vec::new(),
            removals: VecDeque::new(),
        }
    }

    async fn run(&mut self, messages: &mut Messages) -> End {
        let deadline = self.args.timeout.map(|secs| Instant::now() + Duration::from_secs(secs));
        tokio::select! {
            end = self.subscribe_and_print(messages) => end,
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => End::TimedOut,
            signal = connection::asked_to_end() => signal.map_or_else(End::Io, End::Signal),
        }
    }

    async fn subscribe_and_print(&mut self, messages: &mut Messages) -> End {
        // Messages may come before the answer to the subscription, and fill the queue in front of it.
        let asking = ask(self.args, self.client, self.talk);
        tokio::pin!(asking);
        let mut asked = false;
        loop {
            let message = tokio::select! {
                biased;
                answer = &mut asking, if !asked => {
                    asked = true;
                    match answer {
                        Err(error) => return End::Subscribe(error),
                        Ok(()) if self.args.exit_subscribed => return End::Done,
                        Ok(()) => continue,
                    }
                }
                message = messages.recv() => message,
            };
            let Some(message) = message else { return End::Closed };
            let mut next = Some(message);
            while let Some(message) = next {
                if let Some(end) = self.take(&message).await {
                    return self.flush().err().unwrap_or(end);
                }
                next = if self.output.len() < OUTPUT_BYTES_MAX { messages.try_recv() } else { None };
            }
            if let Err(end) = self.flush() {
                return end;
            }
        }
    }

    /// Does what the arguments say about a message; tells when it was the last.
    async fn take(&mut self, message: &Message) -> Option<End> {
        self.talk.debug(format_args!(
            "received '{}', {} bytes, QoS {}{}",
            message.topic,
            message.payload.len(),
            message.qos as u8,
            if message.retain { ", retained" } else { "" }
        ));
        if self.args.retained_only && !message.retain {
            return Some(End::Done);
        }
        if self.args.filter_out.iter().any(|filter| topic::matches(filter, &message.topic)) {
            return None;
        }
        if self.args.remove_retained && message.retain {
            self.remove(message).await;
        }
        if self.args.no_retained && message.retain {
            return None;
        }
        if self.args.random_filter.is_some_and(|percent| self.dice.throw() >= percent) {
            return None;
        }
        self.print(message);
        self.printed += 1;
        (self.args.count == Some(self.printed)).then_some(End::Done)
    }

    fn print(&mut self, message: &Message) {
        if self.printer.print(message, &mut self.output).is_err() {
            self.talk.error(format_args!("the payload on '{}' is not JSON, which %J needs", message.topic));
        }
    }

    fn flush(&mut self) -> Result<(), End> {
        let mut out = io::stdout().lock();
        let written = out.write_all(&self.output).and_then(|()| out.flush());
        self.output.clear();
        written.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => End::Unheard,
            _ => End::Io(error),
        })
    }

    /// Has the broker forget a retained message. It is published at QoS 1, so that it can be waited for.
    async fn remove(&mut self, message: &Message) {
        let empty = Publication::new(message.topic.as_str(), "").qos(QoS::AtLeastOnce).retain(true);
        match self.client.publish(empty).await {
            Ok(publishing) => self.removals.push_back(publishing),
            Err(error) => self.talk.error(format_args!("'{}' stays retained: {error}", message.topic)),
        }
        if self.removals.len() > REMOVALS_MAX {
            self.finish_removal().await;
        }
    }

    async fn finish_removals(&mut self) {
        while !self.removals.is_empty() {
            self.finish_removal().await;
        }
    }

    async fn finish_removal(&mut self) {
        let Some(oldest) = self.removals.pop_front() else { return };
        if let Err(error) = oldest.acknowledged().await {
            self.talk.error(format_args!("a message stays retained: {error}"));
        }
    }
}

/// Subscribes and unsubscribes. Some refusals are told, but only when nothing at all was granted is it a failure.
async fn ask(args: &Args, client: &Client, talk: Talk) -> Result<(), SubscribeError> {
    let filters = args.filters();
    if !filters.is_empty() {
        let answers: Vec<Result<QoS, ReasonCode>> = client.subscribe_each(args.subscription()).await?;
        for (filter, answer) in filters.iter().zip(&answers) {
            match answer {
                Ok(qos) => talk.debug(format_args!("subscribed to '{filter}' with QoS {}", *qos as u8)),
                Err(reason) => talk.error(connection::denied(filter, *reason)),
            }
        }
        let refused = answers.iter().find_map(|answer| answer.err());
        if let Some(reason) = refused.filter(|_| answers.iter().all(Result::is_err)) {
            let filter = filters.into_iter().next().unwrap_or_default();
            return Err(SubscribeError::Refused { filter, reason, answers });
        }
    }
    if !args.unsubscribe.is_empty() {
        let filters: Vec<&str> = args.unsubscribe.iter().map(String::as_str).collect();
        client.unsubscribe(&filters).await?;
        talk.debug(format_args!("unsubscribed from {}", filters.join(", ")));
    }
    Ok(())
}

/// Chance for `--random-filter`, from the keys that the system gives hash maps.
#[derive(Default)]
struct Dice {
    keys: RandomState,
    thrown: u64,
}

impl Dice {
    /// From 0 to below 100.
    fn throw(&mut self) -> f64 {
        self.thrown += 1;
        (self.keys.hash_one(self.thrown) % 10_000) as f64 / 100.0
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|percent| (0.0..=100.0).contains(percent));
    number.ok_or_else(|| "give a number from 0 to 100".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_throws_are_below_half() {
        let mut dice = Dice::default();
        let low = (0..10_000).filter(|_| dice.throw() < 50.0).count();
        assert!((4_500..5_500).contains(&low), "{low}");
    }

    #[test]
    fn a_part_is_at_most_all() {
        assert_eq!(percent("0.5"), Ok(0.5));
        assert!(percent("101").is_err() && percent("NaN").is_err() && percent("some").is_err());
    }
}
