//! The state of `top` as a screen: a head, three boxes of numbers, four rates over time, a foot. Made for 80 by 24, and
//! for anything larger.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, RenderDirection, Sparkline, Wrap};

use super::snapshot::NOTHING;
use super::state::{Flow, Link, State};

/// Columns and rows below which there is no room for the boxes.
const SIZE_MIN: (u16, u16) = (60, 16);

/// Draws everything. `now` is the time since the start, as in the state.
pub(super) fn draw(frame: &mut Frame<'_>, state: &State, now: Duration) {
    let area = frame.area();
    if area.width < SIZE_MIN.0 || area.height < SIZE_MIN.1 {
        let (columns, rows) = SIZE_MIN;
        let text = format!("The terminal is too small: {columns} by {rows} is needed. q quits.");
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
        return;
    }
    let [head, middle, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(0), Constraint::Length(1)]).areas(area);
    frame.render_widget(head_line(state, head.width), head);
    frame.render_widget(foot_line(state, now), foot);
    if !state.has_values() {
        frame.render_widget(Paragraph::new(nothing(now)).wrap(Wrap { trim: true }), middle);
        return;
    }
    let [numbers, messages, bytes] =
        Layout::vertical([Constraint::Length(6), Constraint::Fill(1), Constraint::Fill(1)]).areas(middle);
    draw_numbers(frame, state, numbers);
    draw_flows(
        frame,
        state,
        messages,
        [("Messages in", Flow::MessagesIn), ("Messages out", Flow::MessagesOut)],
    );
    draw_flows(frame, state, bytes, [("Bytes in", Flow::BytesIn), ("Bytes out", Flow::BytesOut)]);
}

/// Before the first value, and when none comes.
fn nothing(now: Duration) -> String {
    if now < Duration::from_secs(3) {
        "Waiting for $SYS ...".to_owned()
    } else {
        format!("Still waiting: {NOTHING}.")
    }
}

fn head_line(state: &State, width: u16) -> Line<'static> {
    let version = state.text("version").unwrap_or("").replace(" version ", " ");
    let uptime = state.uptime_secs().map(|secs| format!("up {}", clock(secs))).unwrap_or_default();
    let left = format!(" {}", state.place);
    let right = format!("{version}  {uptime} ");
    let gap = usize::from(width).saturating_sub(left.chars().count() + right.chars().count()).max(1);
    let bar = Style::new().add_modifier(Modifier::REVERSED);
    Line::from(format!("{left}{}{right}", " ".repeat(gap))).style(bar)
}

fn foot_line(state: &State, now: Duration) -> Line<'static> {
    let keys = Span::raw(" q quits   ");
    let Link::Up = &state.link else {
        let Link::Down(why) = &state.link else { return Line::default() };
        let text = format!("no connection, dialling again: {why}");
        return Line::from(vec![keys, Span::styled(text, Style::new().fg(Color::Red))]);
    };
    let text = match state.age_and_interval(now) {
        None => String::new(),
        Some((age, None)) => format!("reported {age} s ago; rates come with the next report"),
        Some((age, Some(interval))) => format!("reported {age} s ago, every {interval} s"),
    };
    Line::from(vec![keys, Span::styled(text, Style::new().add_modifier(Modifier::DIM))])
}

fn draw_numbers(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let boxes: [_; 3] = Layout::horizontal([Constraint::Fill(1); 3]).areas(area);
    let number = |name: &str| state.number(name).map_or("-".to_owned(), grouped);
    let bytes = |name: &str| state.number(name).map_or("-".to_owned(), |bytes| scaled(bytes as f64) + "B");
    let mut subscriptions = vec![
        ("subscriptions", number("subscriptions/count")),
        ("shared groups", number("shared_subscriptions/count")),
        ("retained messages", number("retained messages/count")),
    ];
    // Not every broker tells.
    if state.number("heap/current").is_some() {
        subscriptions.push(("heap", bytes("heap/current")));
    }
    let offline = state.number("clients/total").zip(state.number("clients/connected"));
    let offline = offline.map(|(total, connected)| total.saturating_sub(connected));
    let clients = vec![
        ("connected", number("clients/connected")),
        ("sessions offline", offline.map_or("-".to_owned(), grouped)),
        ("sessions", number("clients/total")),
        ("most so far", number("clients/maximum")),
    ];
    let dropping = state.rate(Flow::Dropped).map_or("-".to_owned(), scaled);
    let queues = vec![
        ("messages stored", number("store/messages/count")),
        ("their bytes", bytes("store/messages/bytes")),
        ("dropped", number("publish/messages/dropped")),
        ("dropped per second", dropping.trim().to_owned()),
    ];
    let contents = [("Clients", clients), ("Subscriptions", subscriptions), ("Queues", queues)];
    for (place, (title, lines)) in boxes.into_iter().zip(contents) {
        let block = Block::bordered().title(format!(" {title} "));
        let width = usize::from(block.inner(place).width);
        let lines: Vec<Line<'_>> = lines.into_iter().map(|(name, value)| row(name, &value, width)).collect();
        frame.render_widget(Paragraph::new(lines).block(block), place);
    }
}

/// A name on the left, its value on the right.
fn row(name: &'static str, value: &str, width: usize) -> Line<'static> {
    let gap = width.saturating_sub(name.len() + value.chars().count() + 2).max(1);
    Line::from(vec![
        Span::raw(format!(" {name}{}", " ".repeat(gap))),
        Span::styled(value.to_owned(), Style::new().add_modifier(Modifier::BOLD)),
    ])
}

fn draw_flows(frame: &mut Frame<'_>, state: &State, area: Rect, flows: [(&'static str, Flow); 2]) {
    let boxes: [_; 2] = Layout::horizontal([Constraint::Fill(1); 2]).areas(area);
    for (place, (title, flow)) in boxes.into_iter().zip(flows) {
        let is_bytes = matches!(flow, Flow::BytesIn | Flow::BytesOut);
        let spelled =
            |rate: f64| if is_bytes { format!("{}B/s", scaled(rate)) } else { format!("{}/s", scaled(rate)) };
        let rate = state.rate(flow).map_or("-".to_owned(), spelled);
        let most = state.history(flow).iter().copied().fold(0.0, f64::max);
        let block = Block::bordered()
            .title(Line::from(vec![
                Span::raw(format!(" {title} ")),
                Span::styled(format!("{rate} "), Style::new().add_modifier(Modifier::BOLD)),
            ]))
            .title_bottom(Line::from(format!(" most {} ", spelled(most))).right_aligned());
        // Newest on the right, a column for each report; small rates are scaled up so that they are not all zero.
        let heights = state.history(flow).iter().rev().map(|rate| (rate * 1000.0) as u64);
        let line = Sparkline::default()
            .block(block)
            .direction(RenderDirection::RightToLeft)
            .style(Style::new().fg(if is_bytes { Color::Blue } else { Color::Green }))
            .data(heights.collect::<Vec<u64>>());
        frame.render_widget(line, place);
    }
}

/// Seconds as days and a clock.
fn clock(secs: u64) -> String {
    let (days, hours, minutes, seconds) = (secs / 86_400, secs / 3_600 % 24, secs / 60 % 60, secs % 60);
    let clock = format!("{hours:02}:{minutes:02}:{seconds:02}");
    if days == 0 { clock } else { format!("{days}d {clock}") }
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Three digits and a decimal prefix.
fn scaled(number: f64) -> String {
    const PREFIXES: [&str; 5] = ["", "k", "M", "G", "T"];
    let mut rest = number;
    let mut prefix = 0;
    while rest >= 999.5 && prefix + 1 < PREFIXES.len() {
        rest /= 1000.0;
        prefix += 1;
    }
    let is_whole = rest >= 99.95 || (prefix == 0 && rest.fract() == 0.0);
    let decimals = usize::from(!is_whole);
    format!("{rest:.decimals$} {}", PREFIXES[prefix])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::state::tests::reported;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn screen(state: &State, columns: u16, rows: u16, now: Duration) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).expect("a screen of this size");
        terminal.draw(|frame| draw(frame, state, now)).expect("drawn");
        let buffer = terminal.backend().buffer().clone();
        let row = |y| (0..columns).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..rows).map(row).collect()
    }

    #[test]
    fn everything_is_there_at_80_by_24() {
        let lines = screen(&reported(), 80, 24, Duration::from_secs(23));
        let text = lines.join("\n");
        for part in [
            " mqtt://localhost ",
            "longwire 0.1.0  up 00:00:20 ",
            " connected         1,234 ",
            " subscriptions    4,321 ",
            " Messages in 5.0 k/s ",
            " Bytes out 1.0 MB/s ",
            " most 10.0 k/s ",
            "reported 2 s ago, every 10 s",
            "q quits",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        assert!(lines[13].contains('█'), "the newest rate is the highest so far\n{text}");
    }

    #[test]
    fn every_size_can_be_drawn() {
        for (columns, rows) in [(1, 1), (10, 3), (59, 50), (60, 16), (200, 15), (250, 80)] {
            let lines = screen(&reported(), columns, rows, Duration::from_secs(23));
            let is_whole = columns >= SIZE_MIN.0 && rows >= SIZE_MIN.1;
            assert_eq!(
                lines.join("").contains("Messages in"),
                is_whole,
                "{columns} by {rows}\n{}",
                lines.join("\n")
            );
        }
    }

    #[test]
    fn silence_and_lost_connections_are_told() {
        let mut state = State::new("mqtt://h".to_owned());
        let text = screen(&state, 80, 24, Duration::from_secs(1)).join("\n");
        assert!(text.contains("Waiting for $SYS"), "{text}");
        let text = screen(&state, 80, 24, Duration::from_secs(9)).join("\n");
        assert!(text.contains("sys_interval"), "{text}");
        state.link = Link::Down("the connection was lost".to_owned());
        let text = screen(&state, 80, 24, Duration::from_secs(9)).join("\n");
        assert!(text.contains("dialling again: the connection was lost"), "{text}");
    }

    #[test]
    fn numbers_are_short_and_readable() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0.0, 0.5, 42.0, 999.4, 999.6, 1_234.0, 123_456.0, 2e15].map(scaled),
            ["0 ", "0.5 ", "42 ", "999 ", "1.0 k", "1.2 k", "123 k", "2000 T"]
        );
        assert_eq!([59, 3_661, 200_000].map(clock), ["00:00:59", "01:01:01", "2d 07:33:20"]);
    }
}
