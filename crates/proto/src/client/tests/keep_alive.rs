//! Who speaks up when nothing happens, and who is given up.

use super::*;

/// `[MQTT-3.1.2-20]`, `[MQTT-3.1.2-23 of 3.1.1]`: well within the interval, for as long as it is idle.
#[test]
fn an_idle_client_sends_pingreq() {
    for settings in [Settings::default(), v311()] {
        let mut scene = Scene::online_with(Settings { keep_alive_secs: 60, ..settings }, &[]);
        for _ in 0..3 {
            assert_eq!(scene.client.next_deadline(), Some(scene.now_ms + 45_000));
            scene.after(44_999);
            assert_eq!(scene.seen(), []);
            scene.after(1);
            assert_eq!(scene.seen(), [Seen::Ping]);
            scene.server(&Packet::PingResp);
        }
    }
}

/// `[MQTT-3.1.2-21]`, `[MQTT-3.2.2-21]`.
#[test]
fn server_keep_alive_replaces_the_clients() {
    let mut scene = Scene::online_with(Settings::default(), &[Property::ServerKeepAlive(1)]);
    scene.after(750);
    assert_eq!(scene.seen(), [Seen::Ping]);
}

#[test]
fn a_silent_server_is_given_up() {
    let settings = Settings { keep_alive_secs: 4, ping_timeout_ms: 2_000, ..Settings::default() };
    let mut scene = Scene::online_with(settings, &[]);
    scene.after(3_000);
    assert_eq!(scene.seen(), [Seen::Ping]);
    assert_eq!(scene.client.next_deadline(), Some(scene.now_ms + 2_000));
    scene.after(2_000);
    assert_eq!(scene.event(), Event::Closed(Cause::ServerSilent));
}

#[test]
fn a_pingresp_keeps_the_connection() {
    let settings = Settings { keep_alive_secs: 4, ping_timeout_ms: 2_000, ..Settings::default() };
    let mut scene = Scene::online_with(settings, &[]);
    for _ in 0..3 {
        scene.after(3_000);
        assert_eq!(scene.seen(), [Seen::Ping]);
        scene.server(&Packet::PingResp);
    }
    assert_eq!(scene.events(), []);
}
