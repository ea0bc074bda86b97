//! The terminal of `top`: taken over, drawn on whenever something changes, and given back, also after a panic.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval};

use super::draw;
use super::feed::{Feed, News};
use super::state::{Link, State};
use crate::connection::asked_to_end;
use crate::{complain, exit};

/// How often the ages on the screen are brought up to date.
const TICK: Duration = Duration::from_millis(250);
/// Key presses waiting to be handled.
const KEYS_MAX: usize = 16;

/// What a key press or a new size asks for.
enum Wish {
    Leave,
    Redraw,
}

/// Shows the state until a key or a signal ends it.
pub(super) async fn run(mut feed: Feed) -> ExitCode {
    // From here on a panic gives the terminal back before it is reported.
    let mut terminal = match ratatui::try_init() {
        Ok(terminal) => terminal,
        Err(error) => {
            complain(format_args!("cannot use this terminal: {error}; --once prints the values as text"));
            return ExitCode::from(exit::FAILURE);
        }
    };
    let shown = show(&mut terminal, &mut feed).await;
    ratatui::restore();
    feed.close().await;
    match shown {
        Ok(()) => ExitCode::from(exit::SUCCESS),
        Err(error) => {
            complain(format_args!("the terminal failed: {error}"));
            ExitCode::from(exit::FAILURE)
        }
    }
}

async fn show(terminal: &mut DefaultTerminal, feed: &mut Feed) -> io::Result<()> {
    let began = Instant::now();
    let mut state = State::new(feed.place.clone());
    let mut wishes = wishes();
    let mut ticks = interval(TICK);
    let ended = asked_to_end();
    tokio::pin!(ended);
    let mut over = false;
    loop {
        terminal.draw(|frame| draw::draw(frame, &state, began.elapsed()))?;
        tokio::select! {
            wish = wishes.recv() => match wish {
                Some(Wish::Redraw) => {}
                Some(Wish::Leave) | None => return Ok(()),
            },
            signal = &mut ended => return signal.map(|_| ()),
            news = feed.next(), if !over => match news {
                News::Value(message) => {
                    state.note(&message.topic, &message.text(), began.elapsed());
                    // The rest of a report follows at once: it is drawn as a whole, by the next tick.
                    while let Some(message) = feed.next_at_hand() {
                        state.note(&message.topic, &message.text(), began.elapsed());
                    }
                }
                News::Connected => state.link = Link::Up,
                News::Interrupted(why) => state.link = Link::Down(why),
                News::Ended => over = true,
            },
            _ = ticks.tick() => {
                state.settle(began.elapsed());
            }
        }
    }
}

/// Reads keys on a thread of its own, since they cannot be waited for otherwise; the thread ends with the program.
fn wishes() -> mpsc::Receiver<Wish> {
    let (sender, receiver) = mpsc::channel(KEYS_MAX);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            let wish = match event {
                Event::Key(key) if leaves(key) => Wish::Leave,
                Event::Resize(..) => Wish::Redraw,
                _ => continue,
            };
            if sender.blocking_send(wish).is_err() {
                break;
            }
        }
    });
    receiver
}

fn leaves(key: KeyEvent) -> bool {
    let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press
        && (control_c || matches!(key.code, KeyCode::Char('q' | 'Q') | KeyCode::Esc))
}
