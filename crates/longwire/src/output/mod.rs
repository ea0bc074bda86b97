//! How `sub` and `rr` print messages: the options that choose a form, and the printer that they make.
//!
//! - [`mod@format`]: mosquitto_sub's letters, into which every other form is translated.
//! - [`json`]: a message as an object; [`pretty`]: JSON in lines; [`encoding`]: bytes as text.

mod encoding;
mod format;
mod json;
mod pretty;

use jiff::ZonedDateTime;
use longwire_client::Message;

use format::{Format, Part};
pub(crate) use json::NotJson;
use pretty::Pretty;

/// The options that say how messages are printed.
#[derive(Debug, clap::Args)]
pub(crate) struct OutputArgs {
    /// Print the topic before the payload.
    #[arg(short, long, help_heading = "Output")]
    verbose: bool,
    /// Print by this format; the letters are listed below.
    #[arg(
        short = 'F',
        value_name = "FORMAT",
        allow_hyphen_values = true,
        conflicts_with = "output",
        help_heading = "Output"
    )]
    format: Option<String>,
    /// Put no end of line after each message.
    #[arg(short = 'N', help_heading = "Output")]
    no_end_of_line: bool,
    /// Form of the messages.
    #[arg(long, value_name = "FORM", value_enum, default_value_t = Form::Text, help_heading = "Output")]
    output: Form,
    /// Show payloads that are JSON in lines, and in colours on a terminal; objects of %j and `--output json` too.
    #[arg(long, help_heading = "Output")]
    pretty: bool,
}

/// The form of messages on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// The payload as it came, and an end of line.
    Text,
    /// One JSON object a line, as with -F %j.
    Json,
    /// The payload as it came and nothing else.
    Raw,
    /// The payload in hexadecimal digits.
    Hex,
    /// The payload in base 64.
    Base64,
}

/// What stands behind `--help` about formats.
macro_rules! format_letters {
    () => {
        "Letters of a format:
  %t topic            %p payload           %x %X payload in hexadecimal   %l its length
  %q QoS              %r retained          %m packet id                   %j %J JSON
  %C content type     %R response topic    %D correlation data            %P user properties
  %E message expiry   %F payload format    %S subscription identifier     %A topic alias
  %I time, ISO 8601   %U time, Unix        @Y @m @d @H @M @S as strftime  @N nanoseconds
  %% @@ \\\\ themselves  \\n \\t \\r \\0 \\a \\e \\v as usual; %10t %-10t %.5t %05m widths
  %J puts a payload in that is JSON itself, %j quotes any payload."
    };
}
pub(crate) use format_letters;

/// Prints messages in one form.
#[derive(Debug)]
pub(crate) struct Printer {
    format: Format,
    pretty: Option<Pretty>,
    end_of_line: bool,
}

impl OutputArgs {
    /// The printer that these options ask for.
    ///
    /// # Errors
    /// They contradict each other, or the format has a mistake; the text says which.
    pub(crate) fn printer(&self) -> Result<Printer, String> {
        if self.pretty && matches!(self.output, Form::Raw | Form::Hex | Form::Base64) {
            return Err("--pretty shows JSON and text: leave --output out, or make it json".to_owned());
        }
        let part = match self.output {
            Form::Text if self.pretty => Part::Readable,
            Form::Text | Form::Raw => Part::Payload,
            Form::Json => Part::Json,
            Form::Hex => Part::Hexadecimal,
            Form::Base64 => Part::Base64,
        };
        let format = match &self.format {
            Some(format) => Format::parse(format)?,
            None => Format::of(part, self.verbose && part != Part::Json),
        };
        Ok(Printer {
            format,
            pretty: self.pretty.then(Pretty::for_stdout),
            end_of_line: !self.no_end_of_line && self.output != Form::Raw,
        })
    }
}

impl Printer {
    /// Appends a message that arrived just now to `out`.
    ///
    /// # Errors
    /// The format has `%J` and the payload is no JSON; nothing was appended.
    pub(crate) fn print(&self, message: &Message, out: &mut Vec<u8>) -> Result<(), NotJson> {
        self.format.print(message, &ZonedDateTime::now(), self.pretty, out)?;
        if self.end_of_line {
            out.push(b'\n');
        }
        Ok(())
    }
}
